/* logits.c - the logits of every position of a list of token ids, as raw numbers.
 *
 * It is the forward pass with nothing around it: the file is opened by the way that the server takes, the
 * same decoder runs, and no tokenizer is needed. What the pass gives is compared with other programs by this
 * command, so every choice that must not change it (threads, chunks, instructions) can be made here.
 */
#include "local_private.h"

#include "berth/server/command.h"
#include "berth/kernels/isa.h"
#include "berth/engine/model/decoder.h"
#include "berth/base/limits.h"
#include "berth/loaders/loader.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDS_MAX ((size_t)1 << 24)

static const char usage[] =
    "berth logits FILE ID... | FILE - [OPTIONS] >LOGITS\n"
    "\n"
    "Reads the token ids with the model of the GGUF file FILE, and writes the logits of every position to\n"
    "standard output: float32 of this machine, [ids][vocabulary]. With - the ids come from standard input,\n"
    "white space between them. The file needs no tokenizer.\n"
    "\n"
    "  --kv-type TYPE   f16, f32 or q8_0: what keys and values are kept as (f16)\n"
    "  --chunk N        ids that are read in one forward call (512)\n"
    "  --threads N      compute threads (the processors that this process may use)\n"
    "  --cpu SET        plain, avx2, avxvnni, avx512, neon, dotprod, i8mm or auto: what to use (auto)\n"
    "  --float          multiply with float32 activations throughout\n"
    "\n"
    "Only speed depends on --chunk, --threads and --cpu.\n"
    "Exit status: 0; 1 when the model cannot be run; 2 for wrong usage.";

struct logits_args {
    const char *path, *cpu;
    enum attention_type kv_type;
    size_t chunk;
    unsigned threads, processors;
    bool as_float, from_input;
    int32_t *ids;
    size_t n, room;
};

/* ---- ids ---- */

static bool add_id(struct logits_args *r, int32_t id, struct error *err)
{
    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 256;
        int32_t *ids = room <= 2 * IDS_MAX ? realloc(r->ids, room * sizeof(*ids)) : NULL;
        if (!ids)
            return error_set(err, "more than %zu ids, or memory is short", r->n);
        r->ids = ids;
        r->room = room;
    }
    r->ids[r->n++] = id;
    return true;
}

static bool parse_id(const char *text, int32_t *id)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    *id = (int32_t)value;
    return errno == 0 && end != text && *end == '\0' && isdigit((unsigned char)text[0]) && value <= INT32_MAX;
}

static bool read_ids(struct logits_args *r, struct error *err)
{
    char word[32];
    while (scanf("%31s", word) == 1) {
        int32_t id;
        char shown[100];
        if (!parse_id(word, &id)) {
            text_escape(shown, sizeof(shown), span_of(word));
            return error_set(err, "standard input holds %s, which is no token id", shown);
        }
        if (!add_id(r, id, err))
            return false;
    }
    return !ferror(stdin) || error_set(err, "cannot read standard input: %s", strerror(errno));
}

/* ---- the run ---- */

struct pass {
    struct decoder *decoder;
    struct pool *pool;
    struct kv_cache *cache;
    struct sequence *sequence;
    struct decoder_workspace *workspace;
    struct decoder_row *rows; /* [chunk] */
};

static void pass_release(struct pass *p)
{
    free(p->rows);
    decoder_workspace_free(p->workspace);
    sequence_free(p->sequence);
    kv_cache_free(p->cache);
    pool_free(p->pool);
    decoder_free(p->decoder);
}

static bool run_chunk(struct pass *p, const struct logits_args *r, size_t first, size_t n, struct error *err)
{
    float *out;
    for (size_t i = 0; i < n; i++)
        p->rows[i] = (struct decoder_row){.sequence = p->sequence,
            .position = (uint32_t)(first + i),
            .token = r->ids[first + i],
            .output = DECODER_LOGITS};
    const struct decoder_batch batch = {.rows = p->rows, .n = n, .causal = true};
    if (!sequence_reserve(p->sequence, first + n))
        return error_set(err, "no memory for the keys and values of %zu positions", first + n);
    if (!decoder_forward(p->decoder, p->workspace, p->pool, &batch, NULL, &out, err))
        return false;
    size_t vocabulary = decoder_n_vocab(p->decoder);
    return fwrite(out, sizeof(float) * vocabulary, n, stdout) == n ||
           error_set(err, "cannot write to standard output: %s", strerror(errno));
}

static bool run_all(struct pass *p, const struct logits_args *r, struct error *err)
{
    for (size_t at = 0; at < r->n; at += r->chunk)
        if (!run_chunk(p, r, at, r->n - at < r->chunk ? r->n - at : r->chunk, err))
            return false;
    return fflush(stdout) == 0 || error_set(err, "cannot write to standard output: %s", strerror(errno));
}

static bool check_ids(const struct decoder *d, const struct logits_args *r, struct error *err)
{
    for (size_t i = 0; i < r->n; i++)
        if ((size_t)r->ids[i] >= decoder_n_vocab(d))
            return error_set(
                err, "id %" PRId32 " is not below the vocabulary's size, %zu", r->ids[i], decoder_n_vocab(d));
    return r->n <= decoder_n_ctx(d) ||
           error_set(err, "%zu ids are more than the model's context of %zu", r->n, decoder_n_ctx(d));
}

static bool run_model(const struct gguf_model *m, const struct logits_args *r, struct error *err)
{
    struct kv_budget budget = {.limit = UINT64_MAX};
    struct pass p = {.decoder = decoder_new(m, r->as_float, err)};
    bool good = p.decoder && check_ids(p.decoder, r, err);
    if (good) {
        size_t n_layers;
        const struct kv_layer *layers = decoder_kv_layers(p.decoder, &n_layers);
        p.pool = pool_new(r->threads, r->processors, err);
        p.cache = kv_cache_new(&budget, r->kv_type, layers, n_layers);
        p.sequence = p.cache ? sequence_new(p.cache) : NULL;
        p.workspace = decoder_workspace_new();
        p.rows = calloc(r->chunk < r->n ? r->chunk : r->n + 1, sizeof(*p.rows));
        good = p.pool &&
               ((p.sequence && p.workspace && p.rows) || error_set(err, "no memory for the forward pass"));
    }
    good = good && run_all(&p, r, err);
    pass_release(&p);
    return good;
}

static bool run_file(const struct volume *v, const struct logits_args *r, struct error *err)
{
    struct loaded l;
    if (!v->single)
        return error_set(err, "is a directory; name a file in it");
    if (!loaded_open(&l, v, v->single, err))
        return false;
    bool good = l.loader == &loader_gguf ? run_model(l.parsed, r, err) : error_set(err, "is no GGUF file");
    good = good && loaded_intact(&l, err);
    loaded_close(&l);
    return good;
}

static bool run(struct logits_args *r, struct error *err)
{
    struct volume v;
    if ((r->from_input && !read_ids(r, err)) || !mapping_guard(err) ||
        volume_open(&v, r->path, err) != VOLUME_OPEN)
        return false;
    bool good = run_file(&v, r, err);
    volume_close(&v);
    return good;
}

/* ---- arguments ---- */

static int wrong(const char *what, const char *argument)
{
    char shown[200];
    text_escape(shown, sizeof(shown), span_of(argument));
    fprintf(stderr, "berth: logits: %s%s; see berth logits --help\n", what, shown);
    return 2;
}

static int read_number(const char *text, size_t most, size_t *out)
{
    int32_t value;
    char what[80];
    snprintf(what, sizeof(what), "a whole number from 1 to %zu is wanted, not ", most);
    if (!parse_id(text, &value) || value == 0 || (size_t)value > most)
        return wrong(what, text);
    *out = (size_t)value;
    return 0;
}

static int read_option(struct logits_args *r, const char *option, const char *value)
{
    struct error err = {0};
    size_t number;
    int status = 0;
    if (strcmp(option, "--cpu") == 0)
        return isa_select(value, &err) ? 0 : wrong("", err.text);
    if (strcmp(option, "--kv-type") == 0)
        return attention_type_find(value, &r->kv_type) ? 0 : wrong("unknown type ", value);
    if (strcmp(option, "--chunk") == 0)
        return read_number(value, IDS_MAX, &r->chunk);
    status = read_number(value, POOL_MAX, &number);
    if (status == 0)
        r->threads = (unsigned)number;
    return status;
}

static bool takes_value(const char *option)
{
    static const char *const options[] = {"--kv-type", "--chunk", "--threads", "--cpu"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(option, options[i]) == 0)
            return true;
    return false;
}

static int read_operand(struct logits_args *r, const char *argument)
{
    struct error err = {0};
    int32_t id;
    if (!r->path) {
        r->path = argument;
        return 0;
    }
    if (strcmp(argument, "-") == 0) {
        r->from_input = true;
        return 0;
    }
    if (!parse_id(argument, &id))
        return wrong("no token id: ", argument);
    return add_id(r, id, &err) ? 0 : wrong("", err.text);
}

/* 0, or the exit status when the arguments make no sense, which has been said then. */
static int read_arguments(struct logits_args *r, int argc, char **argv)
{
    bool options = true;
    int status = 0;
    for (int i = 1; i < argc && status == 0; i++) {
        const char *a = argv[i];
        if (options && strcmp(a, "--") == 0)
            options = false;
        else if (options && strcmp(a, "--float") == 0)
            r->as_float = true;
        else if (options && takes_value(a))
            status = i + 1 < argc ? read_option(r, a, argv[i + 1]) : wrong("a value is needed after ", a),
            i++;
        else if (options && a[0] == '-' && a[1])
            status = wrong("unknown option ", a);
        else
            status = read_operand(r, a);
    }
    if (status == 0 && !r->path)
        return wrong("a FILE is needed", "");
    if (status == 0 && r->from_input == (r->n > 0))
        return wrong(
            r->n ? "ids come from the command line or by -, not both" : "token ids are needed, or -", "");
    return status;
}

int cmd_logits(int argc, char **argv)
{
    struct error err = {0};
    struct limits limits;
    if (local_asks_for_help(argc, argv))
        return puts(usage) < 0 || fflush(stdout) != 0;
    limits_read(&limits, "");
    struct logits_args r = {
        .kv_type = ATTENTION_F16, .chunk = 512, .threads = limits.cpus, .processors = limits.cpus};
    isa_select("auto", &err);
    int status = read_arguments(&r, argc, argv);
    if (status == 0) {
        signal(SIGPIPE, SIG_DFL);
        status = run(&r, &err) ? 0 : local_failed(r.path, &err);
    }
    free(r.ids);
    return status;
}
