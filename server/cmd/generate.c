/* generate.c - an answer on the terminal, or a conversation, by the engine that the server uses.
 *
 * The main thread waits for three things at once: pieces of the answer, a line that is typed, and Ctrl-C, which comes
 * as a descriptor that can be read; so nothing has to be done in a signal handler.
 */
#include "local_private.h"

#include "berth/server/command.h"
#include "berth/server/openai/json_value.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define ARENA_MAX ((size_t)256 << 20)
#define LINE_MAX_BYTES ((size_t)1 << 24)
#define STOPS_MAX 16

static const char help_text[] =
    "berth generate -m FILE [OPTIONS] [PROMPT]\n"
    "\n"
    "Lets the model in the GGUF file FILE go on with PROMPT, and prints what it says. With --chat it is a\n"
    "conversation by the model's own template: PROMPT, if there is one, is the first message, and each line that\n"
    "is typed the next. Ctrl-C ends an answer; at the prompt it ends the program, as the end of input does.\n"
    "\n"
    "  --chat                a conversation\n"
    "  --system TEXT         what the conversation begins with\n"
    "  --max-tokens N        tokens of an answer (default: to the end of the context)\n"
    "  --temperature T       0 always takes the most probable token (default 0.8)\n"
    "  --top-k N             of the N most probable tokens alone (default 40; 0: of all)\n"
    "  --top-p P             of as few as have this probability together (default 0.95)\n"
    "  --min-p P             of those that have this share of the best one's probability (default 0.05)\n"
    "  --repeat-penalty R    makes tokens that were there less likely (default 1: does not)\n"
    "  --seed N              the same seed gives the same answer (default: from the clock)\n"
    "  --stop TEXT           ends an answer before this text; up to 16 times\n"
    "  --ignore-end          goes on where the model would end\n"
    "  --special             prints special tokens, too\n" LOCAL_USAGE "\n"
    "Standard error tells the speed at the end. Exit status: 0; 1 when the model cannot be run; 2 for wrong\n"
    "usage.";

struct generate {
    struct local_options local;
    struct sampler_options sampling;
    const char *prompt, *system; /* NULL: none */
    uint64_t max_tokens, seed, top_k;
    struct span stops[STOPS_MAX];
    size_t n_stops;
    bool chat, ignore_end, special;
};

struct terminal {
    struct local local;
    const struct generate *request;
    int interrupts; /* signalfd of SIGINT */
    struct strbuf typed; /* read from standard input, and not used yet */
};

/* ---- answers ---- */

static bool was_interrupted(const struct terminal *t)
{
    struct signalfd_siginfo info;
    return read(t->interrupts, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* Prints pieces until the answer has ended; all of its text goes to `said`, too. */
static bool print_answer(struct terminal *t, struct job *j, struct strbuf *said, struct error *err)
{
    bool ended = false;
    while (!ended) {
        for (struct job_piece *p = job_take(j, &ended), *next; p; p = next) {
            next = p->next;
            fwrite(p->text, 1, p->text_size, stdout);
            strbuf_add(said, (struct span){(const uint8_t *)p->text, p->text_size});
            job_piece_free(p);
        }
        if (fflush(stdout) != 0)
            return error_set(err, "cannot write to standard output: %s", strerror(errno));
        if (!ended && local_wait(&t->local, t->interrupts) && was_interrupted(t))
            job_cancel(j);
    }
    enum result result = job_result(j, err);
    return result == RESULT_OK || result == RESULT_CANCELLED;
}

static void print_speed(const struct job_usage *u)
{
    size_t read = u->prompt_tokens - u->cached_tokens; /* the rest is an earlier turn's */
    fprintf(stderr, "\n[prompt: %zu tokens, %.1f a second; answer: %zu tokens", read,
        u->prompt_seconds > 0 ? (double)read / u->prompt_seconds : 0, u->generated_tokens);
    if (u->generated_tokens > 1 && u->generate_seconds > 0)
        fprintf(stderr, ", %.1f a second", (double)(u->generated_tokens - 1) / u->generate_seconds);
    fputs("]\n", stderr);
}

static bool answer(
    struct terminal *t, const struct tokenizer_ids *ids, struct strbuf *said, struct error *err)
{
    const struct generate *g = t->request;
    const struct job_request r = {.kind = JOB_GENERATE,
        .model = t->local.served,
        .prompt = ids->at,
        .n_prompt = ids->n,
        .n_choices = 1,
        .max_tokens = g->max_tokens,
        .sampling = g->sampling,
        .text = true,
        .special_text = g->special,
        .stops = g->stops,
        .n_stops = g->n_stops,
        .ignore_end = g->ignore_end,
        .cache_prompt = true};
    struct job *j = local_submit(&t->local, &r, err);
    if (!j)
        return false;
    bool good = print_answer(t, j, said, err);
    struct job_usage usage = job_usage_of(j);
    job_release(j);
    if (good)
        print_speed(&usage);
    return good;
}

static bool complete(struct terminal *t, struct error *err)
{
    struct strbuf said;
    struct tokenizer_ids ids = {0};
    const struct text_model *m = t->local.model;
    const struct tokenizer_text in = {
        .text = span_of(t->request->prompt), .add_special = true, .parse_special = true};
    strbuf_init(&said, LINE_MAX_BYTES);
    const struct error *why = text_model_lacks(m, TEXT_TOKENIZER);
    bool good = !why || error_set(err, "%s", why->text);
    good = good && tokenizer_encode(text_model_tokenizer(m), &in, &ids, err) && answer(t, &ids, &said, err);
    tokenizer_ids_release(&ids);
    strbuf_release(&said);
    return good;
}

/* ---- conversations ---- */

static bool add_message(json_t *request, const char *role, const char *text, size_t size)
{
    return json_array_append_new(json_object_get(request, "messages"),
               json_pack("{s:s, s:s%}", "role", role, "content", text, size)) == 0;
}

/* The ids of the whole conversation so far, up to where the next answer begins. */
static bool render(
    const struct text_model *m, const json_t *request, struct tokenizer_ids *ids, struct error *err)
{
    struct value vars;
    struct template_text prompt;
    const struct chat_template *chat = text_model_chat(m);
    struct value_arena *arena = value_arena_new(ARENA_MAX);
    bool good = arena ? json_chat_variables(arena, request, chat->bos, chat->eos, &vars, err)
                      : error_set(err, "memory is short");
    if (good && !template_render(chat->parsed, vars, (int64_t)time(NULL), NULL, &prompt, err)) {
        good = error_prefix(err, "the chat template");
    } else if (good) {
        good = text_model_chat_ids(m, &prompt, ids, err);
        template_text_release(&prompt);
    }
    value_arena_free(arena);
    return good;
}

/* The next line that is typed, without its end, in the buffer; its size in *size. False at the end of input, or when
 * Ctrl-C was pressed. */
static bool read_line(struct terminal *t, size_t *size)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = t->interrupts, .events = POLLIN}};
    for (;;) {
        const char *end = memchr(t->typed.text, '\n', t->typed.size);
        if (end) {
            *size = (size_t)(end - t->typed.text);
            return true;
        }
        uint8_t block[4096];
        if ((poll(fds, 2, -1) < 0 && errno != EINTR) || (fds[1].revents && was_interrupted(t)))
            return false;
        ssize_t n = fds[0].revents ? read(STDIN_FILENO, block, sizeof(block)) : 1;
        if (n <= 0 || t->typed.failed) {
            *size = t->typed.size;
            return t->typed.size > 0 && !t->typed.failed;
        }
        if (fds[0].revents)
            strbuf_add(&t->typed, (struct span){block, (size_t)n});
    }
}

static void forget_line(struct strbuf *typed, size_t size)
{
    size += size < typed->size; /* its end */
    typed->size -= size;
    memmove(typed->text, typed->text + size, typed->size);
    typed->text[typed->size] = '\0';
}

/* One message and its answer. */
static bool turn(struct terminal *t, json_t *request, const char *text, size_t size, struct error *err)
{
    struct strbuf said;
    struct tokenizer_ids ids = {0};
    strbuf_init(&said, LINE_MAX_BYTES);
    bool good = add_message(request, "user", text, size) || error_set(err, "the line is no UTF-8");
    good = good && render(t->local.model, request, &ids, err) && answer(t, &ids, &said, err);
    /* What is no UTF-8 of an answer is left out of what the model sees of it. */
    if (good && !add_message(request, "assistant", said.text, said.size))
        good = add_message(request, "assistant", "", 0);
    tokenizer_ids_release(&ids);
    strbuf_release(&said);
    return good;
}

static bool converse(struct terminal *t, struct error *err)
{
    const struct generate *g = t->request;
    const struct text_model *m = t->local.model;
    const struct error *why = text_model_lacks(m, TEXT_TOKENIZER);
    if (!why)
        why = text_model_lacks(m, TEXT_CHAT);
    if (why)
        return error_set(err, "%s", why->text);
    json_t *request = json_pack("{s:[]}", "messages");
    bool good =
        request != NULL && (!g->system || add_message(request, "system", g->system, strlen(g->system)));
    if (good && g->prompt)
        good = turn(t, request, g->prompt, strlen(g->prompt), err);
    bool asks = isatty(STDIN_FILENO);
    for (size_t size; good;) {
        if (asks)
            fputs("\n> ", stderr);
        if (!read_line(t, &size))
            break;
        if (size > 0)
            good = turn(t, request, t->typed.text, size, err);
        forget_line(&t->typed, size);
    }
    json_decref(request);
    return good;
}

/* ---- the command ---- */

static bool run(const struct generate *g, struct error *err)
{
    struct terminal t = {.request = g};
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);
    t.interrupts = signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
    if (t.interrupts < 0)
        return error_set(err, "cannot wait for Ctrl-C: %s", strerror(errno));
    strbuf_init(&t.typed, LINE_MAX_BYTES);
    bool good = local_open(&t.local, &g->local, err);
    if (good) {
        good = g->chat ? converse(&t, err) : complete(&t, err);
        local_close(&t.local);
    }
    strbuf_release(&t.typed);
    close(t.interrupts);
    return good;
}

static bool read_switch(struct generate *g, const char *flag)
{
    const struct {
        const char *flag;
        bool *value;
    } switches[] = {{"--chat", &g->chat}, {"--ignore-end", &g->ignore_end}, {"--special", &g->special}};
    for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++)
        if (strcmp(flag, switches[i].flag) == 0)
            return *switches[i].value = true;
    return false;
}

static bool read_stop(struct generate *g, const char *text, struct error *err)
{
    if (text && (!*text || g->n_stops == STOPS_MAX))
        return error_set(err, "--stop takes a text, at most %d times", STOPS_MAX);
    if (text)
        g->stops[g->n_stops++] = span_of(text);
    return text != NULL;
}

static bool read_flag(struct generate *g, int argc, char **argv, int *at, struct error *err)
{
    const char *flag = argv[*at];
    struct sampler_options *o = &g->sampling;
    if (read_switch(g, flag))
        return true;
    if (strcmp(flag, "--system") == 0)
        return (g->system = local_text(argc, argv, at, err)) != NULL;
    if (strcmp(flag, "--stop") == 0)
        return read_stop(g, local_text(argc, argv, at, err), err);
    if (strcmp(flag, "--max-tokens") == 0)
        return local_number(argc, argv, at, 1, UINT32_MAX, &g->max_tokens, err);
    if (strcmp(flag, "--seed") == 0)
        return local_number(argc, argv, at, 0, UINT64_MAX, &g->seed, err);
    if (strcmp(flag, "--top-k") == 0)
        return local_number(argc, argv, at, 0, UINT32_MAX, &g->top_k, err);
    if (strcmp(flag, "--temperature") == 0)
        return local_real(argc, argv, at, 0, 100, &o->temperature, err);
    if (strcmp(flag, "--top-p") == 0)
        return local_real(argc, argv, at, 0, 1, &o->top_p, err);
    if (strcmp(flag, "--min-p") == 0)
        return local_real(argc, argv, at, 0, 1, &o->min_p, err);
    if (strcmp(flag, "--repeat-penalty") == 0)
        return local_real(argc, argv, at, 0.01, 100, &o->repetition_penalty, err);
    return error_set(err, "unknown option %s", flag);
}

static bool read_arguments(struct generate *g, int argc, char **argv, struct error *err)
{
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }
        enum local_flag flag = options ? local_flag(&g->local, argc, argv, &i, err) : LOCAL_OTHER;
        if (flag == LOCAL_WRONG)
            return false;
        if (flag == LOCAL_TAKEN)
            continue;
        if (options && argv[i][0] == '-' && argv[i][1]) {
            if (!read_flag(g, argc, argv, &i, err))
                return false;
        } else if (g->prompt) {
            return error_set(err, "one PROMPT at a time, not also %s", argv[i]);
        } else {
            g->prompt = argv[i];
        }
    }
    g->sampling.seed = g->seed;
    g->sampling.top_k = (uint32_t)g->top_k;
    if (!g->local.path)
        return error_set(err, "-m FILE is needed");
    return g->chat || g->prompt || error_set(err, "a PROMPT is needed, or --chat");
}

int cmd_generate(int argc, char **argv)
{
    struct error err = {0};
    struct generate g = {.local = local_defaults,
        .sampling =
            {.temperature = 0.8f, .top_p = 0.95f, .min_p = 0.05f, .typical_p = 1, .repetition_penalty = 1},
        .top_k = 40,
        .max_tokens = UINT32_MAX,
        .seed = (uint64_t)time(NULL)};
    if (local_asks_for_help(argc, argv))
        return puts(help_text) < 0 || fflush(stdout) != 0;
    if (!read_arguments(&g, argc, argv, &err))
        return local_wrong("generate", &err);
    signal(SIGPIPE, SIG_DFL);
    return run(&g, &err) ? 0 : local_failed(g.local.path, &err);
}
