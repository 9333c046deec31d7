/* bench.c - how fast a model reads and writes on this machine, through the scheduler as a request would go.
 *
 * Three things are measured: reading a prompt, writing one token after the other (for several answers at a time, if
 * that is asked for), and, with several streams, requests that do both. Each is repeated and the median is told. The
 * tokens are made up, which costs the same as real ones; so a file needs no tokenizer.
 *
 * With a depth all prompts begin with the same so many tokens. They are read once, before the clock runs: the engine
 * keeps them as it does for requests that begin alike.
 */
#include "local_private.h"

#include "berth/server/command.h"
#include "berth/kernels/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#define REPEAT_MAX 100
#define STREAMS_MAX JOB_CHOICES_MAX
#define WARM_TOKENS 16

/* Requests draw their tokens from seeds that are apart, so that with a depth nothing but the depth is kept from one for
 * another. */
enum { SEED_WARM = 1, SEED_PREFILL = 0x1000, SEED_DECODE = 0x2000, SEED_MIXED = 0x10000 };

static const char help_text[] =
    "berth bench -m FILE [OPTIONS]\n"
    "\n"
    "Measures how many tokens a second the model in the GGUF file FILE reads and writes.\n"
    "\n"
    "  --prompt N            tokens of the prompt that is read (default 512)\n"
    "  --new N               tokens that are written (default 64)\n"
    "  --depth N             tokens that are there before anything is read or written (default 0)\n"
    "  --streams N           answers that are written at a time (default 1); with more than one also as many\n"
    "                        requests together, of --prompt and --new tokens each\n"
    "  --repeat N            measurements of each, of which the median counts (default 3)\n"
    "  --chunk N             tokens of prompts that are read in one step (default 256, as a server)\n"
    "  --json                one JSON object in place of the table\n" LOCAL_USAGE "\n"
    "Exit status: 0; 1 when the model cannot be run; 2 for wrong usage.";

struct bench {
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
            local_wait(l, -1);
    }
    *usage = job_usage_of(j);
    return job_result(j, err) == RESULT_OK;
}

/* One request. */
struct ask {
    size_t depth, prompt,
        new; /* tokens that all requests begin with, then its own, then those to be written */
    uint32_t choices;
    uint32_t seed; /* of its own tokens: the same ones in every run */
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

/* What nothing is measured by. It reads what all others begin with. */
static bool warm_up(struct local *l, const struct bench *b, struct error *err)
{
    struct job_usage u;
    const struct ask a = {
        .depth = b->depth, .prompt = WARM_TOKENS, .new = 2, .choices = 1, .seed = SEED_WARM};
    return run_one(l, &a, &u, err);
}

/* The engine keeps whole pages; what is left of the depth is read and counted with the prompt. */
static bool measure_prefill(
    struct local *l, const struct bench *b, uint32_t turn, double *out, struct error *err)
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

/* The first token comes with the prompt, and is not counted. An answer needs a token to begin with. */
static bool measure_decode(
    struct local *l, const struct bench *b, uint32_t turn, double *out, struct error *err)
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

/* All tokens of all requests, read and written, from the first submission to the last end. */
static bool measure_mixed(
    struct local *l, const struct bench *b, uint32_t turn, double *out, struct error *err)
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
    struct local *l, const struct bench *b, uint32_t turn, double *out, struct error *err);

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool median(
    struct local *l, const struct bench *b, measurement measure, double *out, struct error *err)
{
    double values[REPEAT_MAX];
    for (uint32_t i = 0; i < b->repeat; i++)
        if (!measure(l, b, i, &values[i], err))
            return false;
    qsort(values, b->repeat, sizeof(*values), ascending);
    *out = (values[(b->repeat - 1) / 2] + values[b->repeat / 2]) / 2;
    return true;
}

static bool measure_all(struct local *l, const struct bench *b, struct figures *f, struct error *err)
{
    if (!warm_up(l, b, err) || !median(l, b, measure_prefill, &f->prefill, err))
        return false;
    if (b->new > 1 && !median(l, b, measure_decode, &f->decode, err))
        return false;
    return b->streams == 1 || median(l, b, measure_mixed, &f->mixed, err);
}

static void print_table(const struct local *l, const struct bench *b, const struct figures *f)
{
    const struct model_info *info = &l->loaded.info;
    char parameters[TEXT_NUMBER], size[TEXT_NUMBER];
    printf("%s  %s %s, %s parameters, %s\n", info->name[0] ? info->name : b->local.path, info->architecture,
        info->quantization, text_count(parameters, info->parameters),
        text_bytes(size, loaded_mapped_bytes(&l->loaded)));
    printf("%u thread%s, %s, keys and values in %s\n\n", l->threads, l->threads == 1 ? "" : "s",
        isa_name(isa_selected()), attention_type_name(b->local.kv_type));
    printf("%-44s %10s\n", "", "tokens/s");
    printf("read  %6llu tokens after %6llu %13s %10.1f\n", (unsigned long long)b->prompt,
        (unsigned long long)b->depth, "", f->prefill);
    if (f->decode > 0)
        printf("write %6llu tokens after %6llu, %3llu at a time %10.1f\n", (unsigned long long)b->new,
            (unsigned long long)(b->depth ? b->depth : 1), (unsigned long long)b->streams, f->decode);
    if (f->mixed > 0)
        printf("both, %3llu requests together %20s %10.1f\n", (unsigned long long)b->streams, "", f->mixed);
}

static bool print_json(const struct local *l, const struct bench *b, const struct figures *f)
{
    const struct model_info *info = &l->loaded.info;
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:s, s:i, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}",
        "version", BERTH_VERSION, "model", info->name[0] ? info->name : b->local.path, "architecture",
        info->architecture, "quantization", info->quantization, "parameters", (json_int_t)info->parameters,
        "cpu", isa_name(isa_selected()), "threads", (int)l->threads, "kv_type",
        attention_type_name(b->local.kv_type), "float", b->local.as_float, "prompt", (json_int_t)b->prompt,
        "new", (json_int_t)b->new, "depth", (json_int_t)b->depth, "streams", (json_int_t)b->streams, "repeat",
        (json_int_t)b->repeat, "chunk", (json_int_t)b->local.chunk, "load_seconds", f->load_seconds,
        "prefill_tokens_per_second", f->prefill, "decode_tokens_per_second", f->decode);
    if (o && f->mixed > 0)
        json_object_set_new(o, "mixed_tokens_per_second", json_real(f->mixed));
    bool good = o && json_dumpf(o, stdout, JSON_REAL_PRECISION(6)) == 0 && putchar('\n') != EOF;
    json_decref(o);
    return good;
}

static bool run(const struct bench *b, struct error *err)
{
    struct local l;
    struct figures f = {0};
    double start = now();
    if (!local_open(&l, &b->local, err))
        return false;
    f.load_seconds = now() - start;
    bool good = measure_all(&l, b, &f, err);
    if (good && b->json)
        good = print_json(&l, b, &f) || error_set(err, "cannot write to standard output");
    else if (good)
        print_table(&l, b, &f);
    local_close(&l);
    return good;
}

/* ---- the command ---- */

static bool read_flag(struct bench *b, int argc, char **argv, int *at, struct error *err)
{
    const struct {
        const char *flag;
        uint64_t *value, least, most;
    } numbers[] = {{"--prompt", &b->prompt, 1, UINT32_MAX}, {"--new", &b->new, 1, UINT32_MAX},
        {"--depth", &b->depth, 0, UINT32_MAX}, {"--streams", &b->streams, 1, STREAMS_MAX},
        {"--repeat", &b->repeat, 1, REPEAT_MAX}, {"--chunk", &b->local.chunk, 1, 65536}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (strcmp(argv[*at], numbers[i].flag) == 0)
            return local_number(argc, argv, at, numbers[i].least, numbers[i].most, numbers[i].value, err);
    if (strcmp(argv[*at], "--json") == 0)
        return b->json = true;
    return error_set(err, "unknown option %s", argv[*at]);
}

static bool read_arguments(struct bench *b, int argc, char **argv, struct error *err)
{
    for (int i = 1; i < argc; i++) {
        enum local_flag flag = local_flag(&b->local, argc, argv, &i, err);
        if (flag == LOCAL_WRONG || (flag == LOCAL_OTHER && !read_flag(b, argc, argv, &i, err)))
            return false;
    }
    b->local.slots = b->streams;
    return b->local.path || error_set(err, "-m FILE is needed");
}

int cmd_bench(int argc, char **argv)
{
    struct bench b = {.local = local_defaults, .prompt = 512, .new = 64, .streams = 1, .repeat = 3};
    b.local.no_tokenizer = true;
    struct error err = {0};
    if (local_asks_for_help(argc, argv))
        return puts(help_text) < 0 || fflush(stdout) != 0;
    if (!read_arguments(&b, argc, argv, &err))
        return local_wrong("bench", &err);
    return run(&b, &err) ? 0 : local_failed(b.local.path, &err);
}
