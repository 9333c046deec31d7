/* cmd_bench.c - how fast a model reads and writes on this machine, through the scheduler as a request would go.
 *
 * Three things are measured: reading a prompt, writing one token after the other (for several answers at a time, if
 * that is asked for), and, with several streams, requests that do both. Each is repeated and the median is told. The
 * tokens are made up, which costs the same as real ones; so a file needs no tokenizer.
 */
#include "local_private.h"

#include "berth/command.h"
#include "berth/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#define REPEAT_MAX 100
#define STREAMS_MAX JOB_CHOICES_MAX
#define WARM_TOKENS 16

static const char help_text[] =
    "berth bench -m FILE [OPTIONS]\n"
    "\n"
    "Measures how many tokens a second the model in the GGUF file FILE reads and writes.\n"
    "\n"
    "  --prompt N            tokens of the prompt that is read (default 512)\n"
    "  --new N               tokens that are written (default 64)\n"
    "  --depth N             tokens that are there before those are written (default 1)\n"
    "  --streams N           answers that are written at a time (default 1); with more than one also as many\n"
    "                        requests together, of --prompt and --new tokens each\n"
    "  --repeat N            measurements of each, of which the median counts (default 3)\n"
    "  --chunk N             tokens of prompts that are read in one step (default 512)\n"
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
    return job_error(j, err) == 0;
}

/* A request of made-up tokens; the same ones in every run. `seed` tells requests apart. */
static struct job *submit(
    struct local *l, size_t n_prompt, size_t new, uint32_t choices, uint32_t seed, struct error *err)
{
    int32_t *ids = malloc(n_prompt * sizeof(*ids));
    size_t vocabulary = decoder_vocabulary(l->model->decoder);
    if (!ids) {
        error_set(err, "memory is short");
        return NULL;
    }
    for (size_t i = 0; i < n_prompt; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 8) % vocabulary);
    }
    const struct job_request r = {.kind = JOB_GENERATE,
        .model = l->model,
        .prompt = ids,
        .n_prompt = n_prompt,
        .n_choices = choices,
        .max_tokens = new,
        .sampling = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1},
        .ignore_end = true};
    struct job *j = local_submit(l, &r, err);
    free(ids);
    return j;
}

static bool run_one(struct local *l, size_t n_prompt, size_t new, uint32_t choices, struct job_usage *usage,
    struct error *err)
{
    struct job *j = submit(l, n_prompt, new, choices, 1, err);
    if (!j)
        return false;
    bool good = finish(l, j, usage, err);
    job_release(j);
    return good;
}

static bool measure_prefill(struct local *l, const struct bench *b, double *out, struct error *err)
{
    struct job_usage u;
    if (!run_one(l, b->prompt, 1, 1, &u, err))
        return false;
    *out = (double)b->prompt / u.prompt_seconds;
    return true;
}

/* The first token comes with the prompt, and is not counted. */
static bool measure_decode(struct local *l, const struct bench *b, double *out, struct error *err)
{
    struct job_usage u;
    if (!run_one(l, b->depth, b->new, (uint32_t)b->streams, &u, err))
        return false;
    *out = (double)(u.generated_tokens - 1) / u.generate_seconds;
    return true;
}

/* All tokens of all requests, read and written, from the first submission to the last end. */
static bool measure_mixed(struct local *l, const struct bench *b, double *out, struct error *err)
{
    struct job *jobs[STREAMS_MAX] = {NULL};
    struct job_usage u;
    bool good = true;
    double start = now();
    for (size_t i = 0; i < b->streams && good; i++)
        good = (jobs[i] = submit(l, b->prompt, b->new, 1, (uint32_t)i, err)) != NULL;
    for (size_t i = 0; i < b->streams && good; i++)
        good = finish(l, jobs[i], &u, err);
    *out = (double)(b->streams * (b->prompt + b->new)) / (now() - start);
    for (size_t i = 0; i < b->streams; i++)
        if (jobs[i])
            job_release(jobs[i]);
    return good;
}

/* ---- all of them ---- */

typedef bool (*measurement)(struct local *l, const struct bench *b, double *out, struct error *err);

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool median(
    struct local *l, const struct bench *b, measurement measure, double *out, struct error *err)
{
    double values[REPEAT_MAX];
    for (size_t i = 0; i < b->repeat; i++)
        if (!measure(l, b, &values[i], err))
            return false;
    qsort(values, b->repeat, sizeof(*values), ascending);
    *out = (values[(b->repeat - 1) / 2] + values[b->repeat / 2]) / 2;
    return true;
}

static bool measure_all(struct local *l, const struct bench *b, struct figures *f, struct error *err)
{
    struct job_usage warm;
    if (!run_one(l, WARM_TOKENS, 2, 1, &warm, err) || !median(l, b, measure_prefill, &f->prefill, err))
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
        cpu_set_name(cpu_selected()), attention_type_name(b->local.kv_type));
    printf("%-44s %10s\n", "", "tokens/s");
    printf("read  %6llu tokens %26s %10.1f\n", (unsigned long long)b->prompt, "", f->prefill);
    if (f->decode > 0)
        printf("write %6llu tokens after %6llu, %3llu at a time %10.1f\n", (unsigned long long)b->new,
            (unsigned long long)b->depth, (unsigned long long)b->streams, f->decode);
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
        "cpu", cpu_set_name(cpu_selected()), "threads", (int)l->threads, "kv_type",
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
        {"--depth", &b->depth, 1, UINT32_MAX}, {"--streams", &b->streams, 1, STREAMS_MAX},
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
    struct bench b = {
        .local = local_defaults, .prompt = 512, .new = 64, .depth = 1, .streams = 1, .repeat = 3};
    b.local.no_tokenizer = true;
    struct error err = {0};
    if (local_asks_for_help(argc, argv))
        return puts(help_text) < 0 || fflush(stdout) != 0;
    if (!read_arguments(&b, argc, argv, &err))
        return local_wrong("bench", &err);
    return run(&b, &err) ? 0 : local_failed(b.local.path, &err);
}
