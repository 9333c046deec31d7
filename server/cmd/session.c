/* session.c - opens the model for `berth generate` and prints its answers.
 *
 * The main thread waits for pieces of the answer and for signals at the same time. Signals are read from a descriptor, so
 * there is no signal handler.
 */
#include "flags_private.h"
#include "session_private.h"

#include "berth/engine/template/chat.h"
#include "berth/server/api/json_value.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define ARENA_MAX ((size_t)256 << 20)
#define PROGRESS_SECONDS 0.25 /* between two reports of the progress of a prompt */

/* ---- signals ---- */

static int open_signals(struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        error_set(err, "cannot wait for signals: %s", strerror(errno));
    return fd;
}

bool session_interrupted(struct session *s)
{
    struct signalfd_siginfo info;
    bool interrupted = false;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGINT)
            interrupted = true;
        else
            s->ending = true;
    }
    return interrupted;
}

/* ---- opening ---- */

static float given_or(float value, float otherwise)
{
    return isnan(value) ? otherwise : value;
}

/* The flags that were given, else the model's own settings. */
static struct sampler_options choose_sampling(const struct generate_request *r, const struct text_model *m)
{
    struct sampler_options o = *text_model_sampling(m);
    o.temperature = given_or(r->temperature, o.temperature);
    o.top_k = r->top_k == SESSION_UNSET ? o.top_k : (uint32_t)r->top_k;
    o.top_p = given_or(r->top_p, o.top_p);
    o.min_p = given_or(r->min_p, o.min_p);
    o.repetition_penalty = given_or(r->repeat_penalty, o.repetition_penalty);
    o.seed = r->seed;
    return o;
}

bool session_open(struct session *s, const struct generate_request *r, struct error *err)
{
    *s = (struct session){.request = r, .signals = open_signals(err)};
    if (s->signals < 0)
        return false;
    if (!local_open(&s->local, &r->local, err)) {
        close(s->signals);
        return false;
    }
    s->sampling = choose_sampling(r, s->local.model);
    return true;
}

void session_close(struct session *s)
{
    local_close(&s->local);
    close(s->signals);
}

/* ---- prompts ---- */

size_t session_context(const struct session *s)
{
    return text_model_context(s->local.model);
}

const char *session_no_chat(const struct session *s)
{
    const struct error *why = text_model_lacks(s->local.model, TEXT_TOKENIZER);
    if (!why)
        why = text_model_lacks(s->local.model, TEXT_CHAT);
    return why ? why->text : NULL;
}

bool session_chat_ids(
    const struct session *s, const json_t *chat, struct tokenizer_ids *ids, struct error *err)
{
    struct value vars;
    struct chat_prompt prompt;
    const struct chat_template *t = text_model_chat(s->local.model);
    struct value_arena *arena = value_arena_new(ARENA_MAX);
    bool good = arena ? json_chat_variables(arena, chat, t->bos, t->eos, &vars, err)
                      : error_set(err, "memory is short");
    if (good && !chat_render(t, arena, vars, (int64_t)time(NULL), &prompt, err)) {
        good = error_prefix(err, "the chat template");
    } else if (good) {
        good = text_model_chat_ids(s->local.model, &prompt.text, ids, err);
        template_text_release(&prompt.text);
    }
    value_arena_free(arena);
    return good;
}

bool session_text_ids(const struct session *s, struct span text, struct tokenizer_ids *ids, struct error *err)
{
    const struct error *why = text_model_lacks(s->local.model, TEXT_TOKENIZER);
    const struct tokenizer_text in = {.text = text, .add_special = true, .parse_special = true};
    if (why)
        return error_set(err, "%s", why->text);
    return tokenizer_encode(text_model_tokenizer(s->local.model), &in, ids, err);
}

/* ---- answers ---- */

/* An answer while it is printed. */
struct printing {
    struct job *job;
    struct strbuf *said;
    bool shows_progress; /* until the first piece, on a terminal */
    bool progress_shown;
    size_t progress; /* tokens in the last report */
    enum job_finish finish;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void show_progress(struct printing *p)
{
    size_t done = job_usage_of(p->job).prompt_done;
    if (p->progress_shown && done == p->progress)
        return;
    fprintf(stderr, "\r\033[Kreading the prompt: %zu of %zu tokens", done, job_request_of(p->job)->n_prompt);
    p->progress = done;
    p->progress_shown = true;
}

static void end_progress(struct printing *p)
{
    if (p->progress_shown)
        fputs("\r\033[K", stderr);
    p->shows_progress = p->progress_shown = false;
}

/* Prints the pieces that have come. Sets *ended when there will be no more. False with the reason when they cannot be
 * written. */
static bool print_pieces(struct printing *p, bool *ended, struct error *err)
{
    for (struct job_piece *piece = job_take(p->job, ended), *next; piece; piece = next) {
        next = piece->next;
        if (piece->text_size > 0)
            end_progress(p);
        fwrite(piece->text, 1, piece->text_size, stdout);
        strbuf_add(p->said, (struct span){(const uint8_t *)piece->text, piece->text_size});
        if (piece->finish != JOB_RUNNING)
            p->finish = piece->finish;
        job_piece_free(piece);
    }
    return flush_output(err);
}

static bool print_answer(struct session *s, struct printing *p, struct error *err)
{
    bool ended = false;
    while (!ended) {
        if (!print_pieces(p, &ended, err))
            return false;
        if (ended)
            break;
        double start = now(), seconds = p->shows_progress ? PROGRESS_SECONDS : -1;
        if (local_wait(&s->local, s->signals, seconds) && (session_interrupted(s) || s->ending))
            job_cancel(p->job);
        if (p->shows_progress && now() - start >= PROGRESS_SECONDS / 2)
            show_progress(p);
    }
    end_progress(p);
    enum result result = job_result(p->job, err);
    return result == RESULT_OK || result == RESULT_CANCELLED;
}

static void print_speed(const struct job_usage *u)
{
    size_t read = u->prompt_tokens - u->cached_tokens; /* the rest was computed for an earlier turn */
    bool terminal = isatty(STDOUT_FILENO);
    if (terminal && putchar('\n') != EOF)
        fflush(stdout);
    fprintf(stderr, "%s[prompt: %zu tokens, %.1f a second; answer: %zu tokens", terminal ? "" : "\n", read,
        u->prompt_seconds > 0 ? (double)read / u->prompt_seconds : 0, u->generated_tokens);
    if (u->generated_tokens > 1 && u->generate_seconds > 0)
        fprintf(stderr, ", %.1f a second", (double)(u->generated_tokens - 1) / u->generate_seconds);
    fputs("]\n", stderr);
}

/* Notes about an answer that its text does not show. */
static void print_notes(const struct session *s, const struct printing *p, const struct job_usage *u)
{
    size_t context = session_context(s);
    if (p->said->size == 0 && p->finish == JOB_STOP)
        fputs("(the model ended its answer without a text)\n", stderr);
    if (p->finish == JOB_LENGTH && u->prompt_tokens + u->generated_tokens >= context)
        fprintf(stderr, "(the context of %zu tokens is full: the answer was cut)\n", context);
}

bool session_answer(
    struct session *s, const struct tokenizer_ids *ids, struct strbuf *said, struct error *err)
{
    const struct generate_request *g = s->request;
    struct span stops[FLAG_TEXTS_MAX];
    for (size_t i = 0; i < g->stops.n; i++)
        stops[i] = span_of(g->stops.at[i]);
    const struct job_request r = {.kind = JOB_GENERATE,
        .model = s->local.served,
        .prompt = ids->at,
        .n_prompt = ids->n,
        .n_choices = 1,
        .max_tokens = g->max_tokens,
        .sampling = s->sampling,
        .text = true,
        .special_text = g->special,
        .stops = stops,
        .n_stops = g->stops.n,
        .ignore_end = g->ignore_end,
        .cache_prompt = true};
    struct printing p = {.said = said, .shows_progress = isatty(STDERR_FILENO), .finish = JOB_RUNNING};
    p.job = local_submit(&s->local, &r, err);
    if (!p.job)
        return false;
    bool good = print_answer(s, &p, err);
    struct job_usage usage = job_usage_of(p.job);
    job_release(p.job);
    if (good) {
        print_speed(&usage);
        print_notes(s, &p, &usage);
    }
    return good;
}
