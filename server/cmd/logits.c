/* logits.c - writes the logits of every position of a list of token ids, as raw numbers.
 *
 * It is the forward pass alone: the file is opened as in the server, the same decoder runs, and no tokenizer is needed.
 * Logits are compared with those of other programs by this command, so it takes every setting that must not change
 * them: threads, chunks, instructions.
 */
#include "find_model_private.h"
#include "flags_private.h"
#include "local_private.h"

#include "berth/kernels/isa.h"
#include "berth/engine/model/decoder.h"
#include "berth/base/limits.h"
#include "berth/loaders/loader.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDS_MAX ((size_t)1 << 24)

struct logits_args {
    const char *path, *cpu, *kv_type;
    uint64_t chunk, threads;
    unsigned processors;
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
            return error_set(err, "standard input has %s, which is not a token id", shown);
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
    const struct decoder_batch batch = {.rows = p->rows, .n = n, .causal = decoder_is_causal(p->decoder)};
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
    if (r->n > decoder_n_ctx(d))
        return error_set(err, "%zu ids are more than the model's context of %zu", r->n, decoder_n_ctx(d));
    return decoder_is_causal(d) || r->chunk >= r->n ||
           error_set(err, "the model is not causal, so %zu ids need one forward call: --chunk %zu", r->n, r->n);
}

static bool run_model(const struct checkpoint *c, const struct logits_args *r, struct error *err)
{
    struct kv_budget budget = {.limit = UINT64_MAX};
    struct pass p = {.decoder = decoder_new(c, r->as_float, err)};
    bool good = p.decoder && check_ids(p.decoder, r, err);
    if (good) {
        size_t n_layers;
        const struct layer_state *layers = decoder_layer_states(p.decoder, &n_layers);
        enum attention_type kv_type = ATTENTION_F16;
        attention_type_find(r->kv_type, &kv_type);
        p.pool = pool_new((unsigned)r->threads, r->processors, err);
        p.cache = kv_cache_new(&budget, kv_type, layers, n_layers);
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
    if (!loaded_open(&l, v, v->single, err))
        return false;
    bool good = l.checkpoint ? run_model(l.checkpoint, r, err)
                             : error_set(err, "is not a model in a format that berth can run");
    good = good && loaded_intact(&l, err);
    loaded_close(&l);
    return good;
}

static bool run(struct logits_args *r, struct error *err)
{
    struct volume v;
    char *path = NULL;
    bool good = (!r->from_input || read_ids(r, err)) && mapping_guard(err) &&
                (path = find_model(r->path, err)) != NULL && volume_open(&v, path, err) == VOLUME_OPEN;
    if (good) {
        good = run_file(&v, r, err);
        volume_close(&v);
    }
    free(path);
    return good;
}

/* ---- arguments ---- */

static bool read_operands(struct logits_args *r, const struct operands *o, struct error *err)
{
    size_t first = r->path ? 0 : 1;
    int32_t id;
    if (!r->path)
        r->path = o->n > 0 ? o->at[0] : NULL;
    for (size_t i = first; i < o->n; i++) {
        if (strcmp(o->at[i], "-") == 0)
            r->from_input = true;
        else if (!parse_id(o->at[i], &id))
            return error_set(err, "not a token id: %s", o->at[i]);
        else if (!add_id(r, id, err))
            return false;
    }
    if (!r->path)
        return error_set(err, "a FILE is needed");
    if (r->from_input && r->n > 0)
        return error_set(err, "ids come from the command line or by -, not both");
    return r->from_input || r->n > 0 ||
           error_set(err, "token ids are needed, or - to read them from standard input");
}

/* Binary output could change the settings of a terminal. */
static bool output_is_fit(struct error *err)
{
    return !isatty(STDOUT_FILENO) ||
           error_set(
               err, "logits are binary and standard output is a terminal; write them to a file: >LOGITS");
}

int cmd_logits(int argc, char **argv)
{
    struct error err = {0};
    struct limits limits;
    struct operands operands;
    limits_read(&limits, "");
    struct logits_args r = {
        .kv_type = "f16", .cpu = "auto", .chunk = 512, .threads = limits.cpus, .processors = limits.cpus};
    enum flags_result result = flags_read(&command_logits, argc, argv, &r, &operands, &err);
    bool good = result == FLAGS_READ && read_operands(&r, &operands, &err) && isa_select(r.cpu, &err) &&
                output_is_fit(&err);
    operands_release(&operands);
    int status = 0;
    if (result == FLAGS_HELP) {
        status = command_help(&command_logits);
    } else if (!good) {
        status = command_wrong(&command_logits, &err);
    } else {
        signal(SIGPIPE, SIG_DFL);
        status = run(&r, &err) ? 0 : command_failed(r.path, &err);
    }
    free(r.ids);
    return status;
}

/* clang-format off */
static const struct command_flag flags[] = {
    {.name = "--kv-type", .value = "TYPE", .kind = FLAG_WORD, .field = offsetof(struct logits_args, kv_type),
     .choices = local_kv_types, .help = "of cached keys and values: f16 (default), f32 or q8_0"},
    {.name = "--chunk", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct logits_args, chunk),
     .least = 1, .most = IDS_MAX, .help = "ids of one forward call (default 512)"},
    {.name = "--threads", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct logits_args, threads),
     .least = 1, .most = POOL_MAX, .help = "compute threads (default: the processors that the process may use)"},
    {.name = "--cpu", .value = "SET", .kind = FLAG_TEXT, .field = offsetof(struct logits_args, cpu),
     .help = "instructions: plain, avx2, avxvnni, avx512, neon, dotprod,\ni8mm, or auto (default)"},
    {.name = "--float", .kind = FLAG_SWITCH, .field = offsetof(struct logits_args, as_float),
     .help = "multiply in float32 also where weights are quantized"},
    {.name = "--model", .letter = "-m", .value = "FILE", .kind = FLAG_TEXT,
     .field = offsetof(struct logits_args, path), .help = "the same as FILE"},
};
/* clang-format on */

const struct command command_logits = {
    .name = "logits",
    .run = cmd_logits,
    .usage = "FILE ID...|- [OPTIONS] >LOGITS",
    .summary = "write the logits of every position as float32",
    .about =
        "Runs the model of the GGUF file FILE on the token ids and writes the logits of every position to standard\n"
        "output: float32 in this machine's byte order, [ids][vocabulary]. With - the ids come from standard input,\n"
        "with white space between them. The file needs no tokenizer.",
    .notes = "--chunk, --threads and --cpu change the speed, not the logits.\n"
             "Exit status: 0; 1 when the model cannot be run; 2 for wrong usage.",
    .flags = {{flags, sizeof(flags) / sizeof(flags[0]), 0}},
    .operand = OPERAND_FILE,
};
