/* inspect_summary.c - whether berth can run a model, and the sampling settings in its file. */
#include "inspect_private.h"

#include "berth/engine/model/decoder.h"

#include <stdio.h>
#include <string.h>

#define SAMPLING "general.sampling."
#define LINE_COLUMNS 100 /* of help */

bool inspect_supported(const struct loaded *l, const char **why)
{
    if (!l->checkpoint) {
        *why = "no: only GGUF models and Hugging Face directories are run";
        return false;
    }
    if (loaded_companion(l)) {
        *why = "no: the file is a part of a model (a projector, an adapter, an importance matrix)";
        return false;
    }
    bool supported = decoder_supports(span_of(l->info.architecture));
    *why = supported
               ? "yes"
               : "no: berth does not run this architecture (`berth inspect --help` lists those that it runs)";
    return supported;
}

void inspect_print_architectures(void)
{
    size_t column = (size_t)printf("\nArchitectures that berth runs:");
    for (size_t i = 0; decoder_architecture(i); i++) {
        size_t size = strlen(decoder_architecture(i)) + 2;
        bool wraps = column + size > LINE_COLUMNS;
        column = (wraps ? 0 : column) + size;
        printf(
            "%s%s%s", wraps ? "\n" : " ", decoder_architecture(i), decoder_architecture(i + 1) ? "," : "\n");
    }
}

size_t inspect_sampling(const struct gguf *g, struct sampling_setting found[INSPECT_SAMPLING])
{
    size_t n = 0, size = sizeof(SAMPLING) - 1;
    for (size_t i = 0; i < g->n_pairs && n < INSPECT_SAMPLING; i++) {
        const struct gguf_pair *p = &g->pairs[i];
        bool number = p->type != GGUF_STRING && p->type != GGUF_ARRAY;
        if (number && p->key.size > size && memcmp(p->key.at, SAMPLING, size) == 0)
            found[n++] = (struct sampling_setting){.name = {p->key.at + size, p->key.size - size}, .pair = p};
    }
    return n;
}
