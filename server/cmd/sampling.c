/* sampling.c - reads the sampling settings that a model's file recommends. */
#include "sampling_private.h"

#include "inspect_private.h"

#include <stddef.h>
#include <stdlib.h>

/* For models whose files recommend nothing. */
static const struct sampler_options usual = {.temperature = 0.8f,
    .top_k = 40,
    .top_p = 0.95f,
    .min_p = 0.05f,
    .typical_p = 1,
    .repetition_penalty = 1};

/* Settings by their names in files, behind "general.sampling.". */
static const struct {
    const char *name;
    size_t field; /* of a float in struct sampler_options */
    double least, most;
} reals[] = {
    {"temp", offsetof(struct sampler_options, temperature), 0, 100},
    {"top_p", offsetof(struct sampler_options, top_p), 0, 1},
    {"min_p", offsetof(struct sampler_options, min_p), 0, 1},
    {"penalty_repeat", offsetof(struct sampler_options, repetition_penalty), 0.01, 100},
};

static void apply(struct sampler_options *o, struct span name, double value)
{
    if (span_is(name, "top_k") && value >= 0 && value <= UINT32_MAX)
        o->top_k = (uint32_t)value;
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
        if (span_is(name, reals[i].name) && value >= reals[i].least && value <= reals[i].most)
            *(float *)(void *)((char *)o + reals[i].field) = (float)value;
}

struct sampler_options sampling_of_file(const struct loaded *l)
{
    struct sampler_options o = usual;
    struct sampling_setting settings[INSPECT_SAMPLING];
    const struct gguf_model *m = l->parsed;
    size_t n = m ? inspect_sampling(m->files[0], settings) : 0;
    for (size_t i = 0; i < n; i++) {
        struct strbuf text;
        struct error ignored;
        struct cursor c = {.bytes = settings[i].pair->bytes, .err = &ignored};
        strbuf_init(&text, 64);
        inspect_scalar(&text, &c, settings[i].pair->type, NULL);
        if (settings[i].pair->type != GGUF_BOOL)
            apply(&o, settings[i].name, strtod(text.text, NULL));
        strbuf_release(&text);
    }
    return o;
}
