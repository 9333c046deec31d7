/* bench.c - measures the speed of prefill and decode on this machine, through the scheduler, like requests.
 *
 * Three figures are measured: the prefill of a prompt; decode, for --streams answers at a time; and, with several streams,
 * whole requests that do both. Each is repeated, and the median is printed. Token ids are made up, which takes the same
 * time as real ones, so the file needs no tokenizer.
 *
 * With --depth all prompts begin with the same --depth tokens. They are computed once before anything is measured; the
 * engine keeps them in its prefix cache.
 */
#include "flags_private.h"
#include "local_private.h"

#include "berth/kernels/isa.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#define REPEAT_MAX 100
#define STREAMS_MAX JOB_CHOICES_MAX
#define WARM_TOKENS 16
#define FIT_LEAST 4 /* tokens after the depth: two of a prompt and two of an answer */

/* The requests of each measurement have their own range of seeds, so that the prefix cache has nothing but the depth for
 * them. */
enum { SEED_WARM = 1, SEED_PREFILL = 0x1000, SEED_DECODE = 0x2000, SEED_MIXED = 0x10000 };

struct bench_request {
    struct local_options local;
    uint64_t prompt, new, depth, streams, repeat;
    bool json;
};

struct figures {
    double prefill, decode, mixed; /* tokens a second; 0: not measured */
    double load_seconds;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- one measurement ---- */

/* Takes pieces until the job has ended. False with the reason. */
static bool finish(struct local *l, struct job *j, struct job_usage *usage, struct error *err)
{
    bool ended = false;
    while (!ended) {
        for (struct job_piece *p = job_take(j, &ended), *next; p; p = next) {
            next = p->next;
            job_piece_free(p);
        }
        if (!ended)
            local_wait(l, -1, -1);
    }
    *usage = job_usage_of(j);
    return job_result(j, err) == RESULT_OK;
}

/* One request. */
struct ask {
    size_t depth; /* tokens that all requests begin with */
    size_t prompt; /* tokens of its own after them */
    size_t new; /* tokens of the answer */
    uint32_t choices;
    uint32_t seed; /* of its own tokens: the same in every run */
};

static void make_up(int32_t *ids, size_t n, size_t vocabulary, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 8) % vocabulary);
    }
}

static struct job *submit(struct local *l, const struct ask *a, struct error *err)
{
    size_t n_prompt = a->depth + a->prompt, vocabulary = text_model_n_vocab(l->model);
    int32_t *ids = malloc(n_prompt * sizeof(*ids));
    if (!ids) {
        error_set(err, "memory is short");
        return NULL;
    }
    make_up(ids, a->depth, vocabulary, 0);
    make_up(ids + a->depth, a->prompt, vocabulary, a->seed);
    const struct job_request r = {.kind = JOB_GENERATE,
        .model = l->served,
        .prompt = ids,
        .n_prompt = n_prompt,
        .n_choices = a->choices,
        .max_tokens = a->new,
        .sampling = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1},
        .ignore_end = true,
        .cache_prompt = a->depth > 0};
    struct job *j = local_submit(l, &r, err);
    free(ids);
    return j;
}

static bool run_one(struct local *l, const struct ask *a, struct job_usage *usage, struct error *err)
{
    struct job *j = submit(l, a, err);
    if (!j)
        return false;
    bool good = finish(l, j, usage, err);
    job_release(j);
    return good;
}

/* Runs a request that is not measured. It puts the depth into the prefix cache. */
static bool warm_up(struct local *l, const struct bench_request *b, struct error *err)
{
    struct job_usage u;
    size_t prompt = b->prompt < WARM_TOKENS ? b->prompt : WARM_TOKENS;
    const struct ask a = {.depth = b->depth, .prompt = prompt, .new = 2, .choices = 1, .seed = SEED_WARM};
    return run_one(l, &a, &u, err);
}

/* The prefix cache has whole pages; the rest of the depth is computed again and counted with the prompt. */
static bool measure_prefill(
    struct local *l, const struct bench_request *b, uint32_t turn, double *out, struct error *err)
{
    struct job_usage u;
    const struct ask a = {
        .depth = b->depth, .prompt = b->prompt, .new = 1, .choices = 1, .seed = SEED_PREFILL + turn};
    if (!run_one(l, &a, &u, err))
        return false;
    if (u.cached_tokens < b->depth - b->depth % ATTENTION_BLOCK)
        return error_set(err, "memory is short for a depth of %llu tokens", (unsigned long long)b->depth);
    *out = (double)(u.prompt_tokens - u.cached_tokens) / u.prompt_seconds;
    return true;
}

/* The first token comes with the prompt and is not counted. Without a depth the prompt is one token. */
static bool measure_decode(
    struct local *l, const struct bench_request *b, uint32_t turn, double *out, struct error *err)
{
    struct job_usage u;
    const struct ask a = {.depth = b->depth,
        .prompt = b->depth ? 0 : 1,
        .new = b->new,
        .choices = (uint32_t)b->streams,
        .seed = SEED_DECODE + turn};
    if (!run_one(l, &a, &u, err))
        return false;
    *out = (double)(u.generated_tokens - 1) / u.generate_seconds;
    return true;
}

/* Counts all tokens of prompts and answers, from the first submission to the last end. */
static bool measure_mixed(
    struct local *l, const struct bench_request *b, uint32_t turn, double *out, struct error *err)
{
    struct job *jobs[STREAMS_MAX] = {NULL};
    struct job_usage u;
    bool good = true;
    double start = now();
    for (uint32_t i = 0; i < b->streams && good; i++) {
        const struct ask a = {.depth = b->depth,
            .prompt = b->prompt,
            .new = b->new,
            .choices = 1,
            .seed = SEED_MIXED + turn *STREAMS_MAX + i};
        good = (jobs[i] = submit(l, &a, err)) != NULL;
    }
    for (size_t i = 0; i < b->streams && good; i++)
        good = finish(l, jobs[i], &u, err);
    *out = (double)(b->streams * (b->prompt + b->new)) / (now() - start);
    for (size_t i = 0; i < b->streams; i++)
        if (jobs[i])
            job_release(jobs[i]);
    return good;
}

/* ---- all of them ---- */

typedef bool (*measurement)(
    struct local *l, const struct bench_request *b, uint32_t turn, double *out, struct error *err);

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool median(
    struct local *l, const struct bench_request *b, measurement measure, double *out, struct error *err)
{
    double values[REPEAT_MAX];
    for (uint32_t i = 0; i < b->repeat; i++)
        if (!measure(l, b, i, &values[i], err))
            return false;
    qsort(values, b->repeat, sizeof(*values), ascending);
    *out = (values[(b->repeat - 1) / 2] + values[b->repeat / 2]) / 2;
    return true;
}

static bool measure_all(struct local *l, const struct bench_request *b, struct figures *f, struct error *err)
{
    if (!warm_up(l, b, err) || !median(l, b, measure_prefill, &f->prefill, err))
        return false;
    if (b->new > 1 && !median(l, b, measure_decode, &f->decode, err))
        return false;
    return b->streams == 1 || median(l, b, measure_mixed, &f->mixed, err);
}

static void print_table(const struct local *l, const struct bench_request *b, const struct figures *f)
{
    const struct model_info *info = &l->loaded.info;
    char parameters[TEXT_NUMBER], size[TEXT_NUMBER];
    printf("%s  %s %s, %s parameters, %s\n", info->name[0] ? info->name : l->path, info->architecture,
        info->quantization, text_count(parameters, info->parameters),
        text_bytes(size, loaded_mapped_bytes(&l->loaded)));
    printf("%u thread%s, %s, keys and values in %s\n\n", l->threads, l->threads == 1 ? "" : "s",
        isa_name(isa_selected()), b->local.kv_type);
    printf("%-44s %10s\n", "", "tokens/s");
    printf("read  %6llu tokens after %6llu %13s %10.1f\n", (unsigned long long)b->prompt,
        (unsigned long long)b->depth, "", f->prefill);
    if (f->decode > 0)
        printf("write %6llu tokens after %6llu, %3llu at a time %10.1f\n", (unsigned long long)b->new,
            (unsigned long long)(b->depth ? b->depth : 1), (unsigned long long)b->streams, f->decode);
    if (f->mixed > 0)
        printf("both, %3llu requests together %20s %10.1f\n", (unsigned long long)b->streams, "", f->mixed);
}

static bool print_json(const struct local *l, const struct bench_request *b, const struct figures *f)
{
    const struct model_info *info = &l->loaded.info;
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:s, s:i, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}",
        "version", BERTH_VERSION, "model", info->name[0] ? info->name : l->path, "architecture",
        info->architecture, "quantization", info->quantization, "parameters", (json_int_t)info->parameters,
        "cpu", isa_name(isa_selected()), "threads", (int)l->threads, "kv_type", b->local.kv_type, "float",
        b->local.as_float, "prompt", (json_int_t)b->prompt, "new", (json_int_t)b->new, "depth",
        (json_int_t)b->depth, "streams", (json_int_t)b->streams, "repeat", (json_int_t)b->repeat, "chunk",
        (json_int_t)b->local.chunk, "load_seconds", f->load_seconds, "prefill_tokens_per_second", f->prefill,
        "decode_tokens_per_second", f->decode);
    if (o && f->mixed > 0)
        json_object_set_new(o, "mixed_tokens_per_second", json_real(f->mixed));
    bool good = o && json_dumpf(o, stdout, JSON_REAL_PRECISION(6)) == 0 && putchar('\n') != EOF;
    json_decref(o);
    return good;
}

/* Shortens the prompt, then the answer, until they fit the model's context after the depth, and prints that on standard
 * error. False with the reason when the depth alone is too long. */
static bool fit(struct bench_request *b, size_t context, struct error *err)
{
    if (b->depth + b->prompt + b->new <= context)
        return true;
    if (b->depth + FIT_LEAST > context)
        return error_set(err, "--depth %llu leaves no room in the context of %zu tokens",
            (unsigned long long)b->depth, context);
    uint64_t room = context - b->depth;
    if (b->new > room / 2)
        b->new = room / 2;
    if (b->prompt > room - b->new)
        b->prompt = room - b->new;
    fprintf(stderr, "berth: the context is %zu tokens: reading %llu and writing %llu instead\n", context,
        (unsigned long long)b->prompt, (unsigned long long)b->new);
    return true;
}

static bool run(struct bench_request *b, struct error *err)
{
    struct local l;
    struct figures f = {0};
    double start = now();
    if (!local_open(&l, &b->local, err))
        return false;
    f.load_seconds = now() - start;
    bool good = fit(b, text_model_context(l.model), err) && measure_all(&l, b, &f, err);
    if (good && b->json)
        good = print_json(&l, b, &f) || error_set(err, "cannot write to standard output");
    else if (good)
        print_table(&l, b, &f);
    good = good && flush_output(err);
    if (!good)
        local_name_file(l.path, err);
    local_close(&l);
    return good;
}

/* ---- the command ---- */

static bool take_operand(struct bench_request *b, const struct operands *o, struct error *err)
{
    if (o->n > 1 || (o->n == 1 && b->local.path))
        return error_set(err, "one model at a time, not also %s", o->at[o->n - 1]);
    if (o->n == 1)
        b->local.path = o->at[0];
    return true;
}

int cmd_bench(int argc, char **argv)
{
    struct bench_request b = {.local = local_defaults, .prompt = 512, .new = 64, .streams = 1, .repeat = 3};
    struct operands operands;
    struct error err = {0};
    b.local.no_tokenizer = true;
    enum flags_result result = flags_read(&command_bench, argc, argv, &b, &operands, &err);
    bool good = result == FLAGS_READ && take_operand(&b, &operands, &err);
    operands_release(&operands);
    b.local.slots = b.streams;
    if (result == FLAGS_HELP)
        return command_help(&command_bench);
    if (!good)
        return command_wrong(&command_bench, &err);
    return run(&b, &err) ? 0 : command_failed(NULL, &err);
}

/* clang-format off */
static const struct command_flag flags[] = {
    {.name = "--prompt", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct bench_request, prompt),
     .least = 1, .most = UINT32_MAX, .help = "tokens of the prompt that is read (default 512)"},
    {.name = "--new", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct bench_request, new),
     .least = 1, .most = UINT32_MAX, .help = "tokens that are written (default 64)"},
    {.name = "--depth", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct bench_request, depth),
     .most = UINT32_MAX, .help = "tokens that were read before anything is measured (default 0)"},
    {.name = "--streams", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct bench_request, streams),
     .least = 1, .most = STREAMS_MAX,
     .help = "answers that are written at a time (default 1); with more than\n"
             "one, also as many requests at a time of --prompt and --new tokens"},
    {.name = "--repeat", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct bench_request, repeat),
     .least = 1, .most = REPEAT_MAX, .help = "measurements of each figure, of which the median counts (default 3)"},
    {.name = "--chunk", .value = "N", .kind = FLAG_COUNT,
     .field = offsetof(struct bench_request, local) + offsetof(struct local_options, chunk),
     .least = 1, .most = 65536, .help = "tokens of prompts that are read in one step (default 256)"},
    {.name = "--json", .kind = FLAG_SWITCH, .field = offsetof(struct bench_request, json),
     .help = "one JSON object instead of the table"},
};
/* clang-format on */

const struct command command_bench = {
    .name = "bench",
    .run = cmd_bench,
    .usage = "[-m FILE] [OPTIONS]",
    .summary = "measure how fast a model reads and writes",
    .about =
        "Measures how many tokens a second the model reads and writes on this machine. Prompt and answer are\n"
        "shortened where they do not fit the model's context.",
    .notes = "Exit status: 0; 1 when the model cannot be run; 2 for wrong usage.",
    .flags = {{flags, sizeof(flags) / sizeof(flags[0]), 0},
        {local_flags, LOCAL_N_FLAGS, offsetof(struct bench_request, local)}},
    .operand = OPERAND_FILE,
};
