/* completion.c - from checked prompts to jobs, and from their pieces to a reply or a stream.
 *
 * All jobs of a request are submitted before its handler returns, or none stays. From then on an HTTP thread
 * looks whenever one of them has woken the connection. When one fails the whole answer has: a reply with the
 * status that the engine says, or, in a stream that has begun, an error event. Every stream ends in [DONE].
 */
#include "completion_private.h"

#include "berth/base/log.h"
#include "berth/server/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define RETRY_SECONDS 1
#define ANSWER_COPIES 2 /* what is gathered, and the reply that is written of it */
#define TOKENS_AT_ONCE 512
#define COMPLETIONS_MAX_TOKENS 16 /* OpenAI's default of max_tokens */

static struct completion *answer_of(struct async_reply *l)
{
    return (struct completion *)(void *)l;
}

/* ---- what has come ---- */

static void fail(struct completion *a, unsigned status, const char *why)
{
    a->status = status;
    a->retry_after = status == 503 ? RETRY_SECONDS : 0;
    error_set(&a->why, "%s", why);
}

/* Puts what has come into the choice's own delta, within what the request and all of them may take. */
static void gather(struct completion *a, struct choice *c)
{
    size_t more = delta_bytes(&a->scratch), taken = ANSWER_COPIES * more;
    a->gathered += more;
    if (a->gathered > ANSWER_MAX)
        fail(a, 400,
            "The answer is too large: ask for fewer choices, prompts or log probabilities, or a stream");
    else if (!byte_budget_take(&a->server->request_memory, taken))
        fail(a, 503, "There is no room for the answer now");
    else {
        a->held += taken;
        delta_join(&c->delta, &a->scratch);
    }
    if (delta_failed(&c->delta))
        fail(a, 503, "There is no memory for the answer");
}

static void use_fragment(struct completion *a, size_t index, enum job_finish finish, struct strbuf *out)
{
    struct choice *c = &a->choices[index];
    if (!out)
        gather(a, c);
    if (out && !c->begun)
        openai_write_begin(a, index, out);
    if (out)
        openai_write_fragment(a, index, &a->scratch, out);
    c->begun = true;
    if (finish == JOB_RUNNING)
        return;
    c->finish = a->max_tokens == 0 && finish == JOB_STOP ? JOB_LENGTH : finish;
    if (out && (finish == JOB_STOP || finish == JOB_LENGTH))
        openai_write_finish(a, index, out);
}

/* The prompt's tokens, and the end of a job that has nothing but these, are those of every choice: they come before
 * any choice has begun for itself, so they are written once, as the first of them tells them. */
static void use_piece(struct completion *a, size_t asked, const struct job_piece *p, struct strbuf *out)
{
    bool shared = p->prompt || job_request_of(a->prompts[asked].job)->kind == JOB_SCORE;
    size_t first = asked * a->n_choices + (shared ? 0 : p->choice), n = shared ? a->n_choices : 1;
    const struct prompt *prompt = &a->prompts[asked].prompt;
    struct choice *c = &a->choices[first];
    delta_clear(&a->scratch);
    if (!p->prompt)
        c->generated = p->generated;
    if (a->echo && !c->begun)
        strbuf_add(&a->scratch.text, (struct span){(const uint8_t *)prompt->text, prompt->text_size});
    delta_add(a, c, &a->scratch, p);
    for (size_t i = 0; i < n && !a->status; i++) {
        a->choices[first + i].characters = c->characters;
        a->choices[first + i].unprefixed = c->unprefixed;
        use_fragment(a, first + i, p->finish, out);
    }
    if (delta_failed(&a->scratch) || (out && out->failed))
        fail(a, 503, "There is no memory for the answer");
}

static void end_job(struct completion *a, struct completion_prompt *asked)
{
    asked->ended = true;
    asked->usage = job_usage_of(asked->job);
    a->n_running--;
    struct error why = {0};
    enum result result = job_result(asked->job, &why);
    if (result != RESULT_OK && !a->status) {
        struct result_reply reply = result_reply(result);
        a->status = reply.status;
        a->code = reply.code;
        a->retry_after = reply.retry_after;
        a->why = why;
    }
}

/* Takes pieces of one job until *budget is used up. */
static void take_of_job(struct completion *a, size_t index, struct strbuf *out, size_t *budget)
{
    struct completion_prompt *asked = &a->prompts[index];
    if (!asked->rest && !asked->last)
        asked->rest = job_take(asked->job, &asked->last);
    while (asked->rest && *budget > 0) {
        struct job_piece *p = asked->rest;
        asked->rest = p->next;
        *budget -= p->n_tokens + 1 < *budget ? p->n_tokens + 1 : *budget;
        if (!a->status)
            use_piece(a, index, p, out);
        job_piece_free(p);
    }
    if (!asked->rest && asked->last && !asked->ended)
        end_job(a, asked);
}

/* Takes what the jobs have, into the choices or, for a stream, into `out`. Other connections wait for this thread, so
 * one call takes some hundred tokens at most. False when there is more. */
static bool take_pieces(struct completion *a, struct strbuf *out)
{
    size_t budget = TOKENS_AT_ONCE;
    for (size_t i = 0; i < a->n_prompts && budget > 0; i++)
        if (!a->prompts[i].ended)
            take_of_job(a, i, out, &budget);
    return budget > 0;
}

static void cancel(struct completion *a)
{
    for (size_t i = 0; i < a->n_prompts; i++)
        if (a->prompts[i].job)
            job_cancel(a->prompts[i].job);
}

/* ---- how it is told ---- */

static void reply_failure(struct completion *a, struct reply *r)
{
    reply_error(r, &openai_dialect, a->status, a->why.text, NULL, a->code);
    reply_retry_after(r, a->retry_after);
    cancel(a);
}

static void reply_whole(struct completion *a, struct reply *r)
{
    struct strbuf out;
    size_t size;
    strbuf_init(&out, 2 * ANSWER_MAX);
    openai_write_whole(a, &out);
    char *text = strbuf_take(&out, &size);
    reply_owned(r, 200, "application/json", text, size);
}

static enum async_reply_state look_whole(struct completion *a, struct reply *r)
{
    bool all = take_pieces(a, NULL);
    if (!a->status && a->n_running > 0)
        return all ? ASYNC_NOT_YET : ASYNC_AGAIN;
    if (a->status)
        reply_failure(a, r);
    else
        reply_whole(a, r);
    return ASYNC_WHOLE;
}

/* A stream begins when there is something to send, so that what fails before has a status of its own. */
static enum async_reply_state look(struct async_reply *l, bool begin, struct reply *r)
{
    struct completion *a = answer_of(l);
    if (!a->stream)
        return look_whole(a, r);
    bool all = take_pieces(a, &a->first_events);
    if (a->first_events.size == 0 && a->status) {
        reply_failure(a, r);
        return ASYNC_WHOLE;
    }
    if (a->first_events.size == 0 && !begin)
        return all ? ASYNC_NOT_YET : ASYNC_AGAIN;
    r->status = 200;
    r->content_type = "text/event-stream; charset=utf-8";
    r->events = true;
    return ASYNC_STREAM;
}

static enum async_reply_more more(struct async_reply *l, struct strbuf *out)
{
    struct completion *a = answer_of(l);
    if (a->told_all)
        return ASYNC_END;
    strbuf_add(out, (struct span){(const uint8_t *)a->first_events.text, a->first_events.size});
    a->first_events.size = 0;
    bool all = take_pieces(a, out);
    if (!a->status && a->n_running > 0)
        return all ? ASYNC_MORE : ASYNC_MORE_NOW;
    if (a->status) {
        openai_write_error(a->status, a->code, a->why.text, out);
        cancel(a);
    } else if (a->include_usage) {
        openai_write_usage(a, out);
    }
    openai_write_done(out);
    a->told_all = true;
    return ASYNC_END;
}

static void release(struct async_reply *l)
{
    struct completion *a = answer_of(l);
    for (size_t i = 0; i < a->n_prompts; i++) {
        for (struct job_piece *next, *p = a->prompts[i].rest; p; p = next) {
            next = p->next;
            job_piece_free(p);
        }
        if (a->prompts[i].job)
            job_release(a->prompts[i].job);
        prompt_release(&a->prompts[i].prompt);
    }
    for (size_t i = 0; a->choices && !a->stream && i < a->n_prompts * a->n_choices; i++)
        delta_release(&a->choices[i].delta);
    byte_budget_give(&a->server->request_memory, a->held);
    delta_release(&a->scratch);
    strbuf_release(&a->first_events);
    requested_model_release(&a->requested_model, a->server);
    free(a->choices);
    free(a->prompts);
    free(a);
}

static const struct async_reply_kind answer_kind = {.look = look, .more = more, .release = release};

/* ---- the jobs ---- */

static void wake(void *context)
{
    struct completion *a = context;
    suspended_wake(a->suspended);
}

static uint64_t any_number(void)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        number = (uint64_t)time(NULL);
    return number;
}

static struct job_request job_request(
    const struct completion *a, const struct completion_params *w, size_t index)
{
    const struct tokenizer_ids *ids = &a->prompts[index].prompt.ids;
    bool scores = w->max_tokens == 0;
    return (struct job_request){
        .kind = scores ? JOB_SCORE : JOB_GENERATE,
        .model = a->requested_model.served,
        .prompt = ids->at,
        .n_prompt = ids->n,
        .n_choices = scores ? 1 : (uint32_t)w->n,
        .max_tokens = (uint64_t)w->max_tokens < SIZE_MAX ? (size_t)w->max_tokens : SIZE_MAX,
        .sampling =
            {
                .temperature = (float)w->temperature,
                .top_k = w->top_k <= 0           ? 0
                         : w->top_k < UINT32_MAX ? (uint32_t)w->top_k
                                                 : UINT32_MAX,
                .top_p = (float)w->top_p,
                .min_p = (float)w->min_p,
                .typical_p = (float)w->typical_p,
                .presence_penalty = (float)w->presence_penalty,
                .frequency_penalty = (float)w->frequency_penalty,
                .repetition_penalty = (float)w->repetition_penalty,
                .seed = (uint64_t)w->seed,
                .bias = w->bias,
                .n_bias = w->n_bias,
            },
        .logprobs = w->logprobs,
        .n_top = (uint32_t)w->n_top,
        .echo_logprobs = a->logprobs && a->echo,
        .text = text_model_tokenizer(a->requested_model.text) != NULL,
        .special_text = w->special_text,
        .stops = w->stops,
        .n_stops = w->n_stops,
        .stop_tokens = w->stop_tokens,
        .n_stop_tokens = w->n_stop_tokens,
        .ignore_end = w->ignore_end,
        /* What counts in completion_tokens is in the four lists, by which clients slice. */
        .end_token = a->route == FOR_COMPLETIONS && w->logprobs,
        .cache_prompt = w->cache_prompt,
        .arrived = a->arrived,
    };
}

static bool submit(struct completion *a, const struct completion_params *w, size_t index, struct api_error *c)
{
    struct error err = {0};
    struct job_request request = job_request(a, w, index);
    struct job *j = job_new(&request, wake, a);
    a->prompts[index].job = j;
    if (!j)
        return api_error_status(c, 500, NULL, NULL, "no memory for the request");
    enum result result = served_model_submit(j, &err);
    if (result == RESULT_OK)
        return true;
    struct result_reply reply = result_reply(result);
    c->retry_after = reply.retry_after;
    return api_error_status(c, reply.status, reply.code, NULL, "%s", err.text);
}

/* More than all slots and the whole queue would be refused for ever, however often the client comes back. */
static bool check_number(const struct completion *a, struct api_error *c)
{
    const struct engine_options *o = engine_options_of(a->server->engine);
    return a->n_prompts <= o->slots + o->queue ||
           api_error_bad(c, "prompt",
               "a request may have %zu prompts here, as many as there are slots and places in "
               "the queue",
               o->slots + o->queue);
}

/* OpenAI's documentation: of a completion, prompt and max_tokens must fit together; of a chat, max_tokens is an
 * upper bound. */
static bool check_length(const struct completion *a, const struct completion_params *w, struct api_error *c)
{
    size_t context = text_model_context(a->requested_model.text);
    bool chat = a->route == FOR_CHAT;
    for (size_t i = 0; i < a->n_prompts; i++) {
        size_t n = a->prompts[i].prompt.ids.n;
        if (n == 0)
            return api_error_bad(c, chat ? "messages" : "prompt", "the prompt has no tokens");
        if (n > context)
            return api_error_status(c, 400, "context_length_exceeded", chat ? "messages" : "prompt",
                "This model's maximum context length is %zu tokens. However, your %s %zu tokens. Please reduce "
                "the length of the %s.",
                context, chat ? "messages resulted in" : "prompt has", n, chat ? "messages" : "prompt");
        if (!chat && w->max_tokens != COMPLETION_UNLIMITED && (uint64_t)w->max_tokens > context - n)
            return api_error_status(c, 400, "context_length_exceeded", "max_tokens",
                "This model's maximum context length is %zu tokens. However, your prompt has %zu and you asked "
                "for %lld more. Please reduce the prompt or 'max_tokens'.",
                context, n, (long long)w->max_tokens);
    }
    return true;
}

static void make_id(struct completion *a)
{
    uint64_t high = any_number(), low = any_number();
    snprintf(a->id, sizeof(a->id), "%s%016llx%08llx", a->route == FOR_CHAT ? "chatcmpl-" : "cmpl-",
        (unsigned long long)high, (unsigned long long)(low & 0xffffffff));
}

static struct completion *answer_new(struct server *s, const struct http_request *q, enum fields_route route,
    const struct completion_params *w, struct requested_model *m, struct prompt *prompts, size_t n)
{
    struct completion *a = calloc(1, sizeof(*a));
    struct completion_prompt *asked = calloc(n, sizeof(*asked));
    struct choice *choices = calloc(n * (size_t)w->n, sizeof(*choices));
    if (!a || !asked || !choices) {
        free(a);
        free(asked);
        free(choices);
        return NULL;
    }
    *a = (struct completion){
        .async = {&answer_kind},
        .server = s,
        .requested_model = *m,
        .suspended = q->suspended,
        .route = route,
        .stream = w->stream,
        .include_usage = w->stream && w->include_usage,
        .continuous_usage = w->stream && w->continuous_usage,
        .logprobs = w->logprobs,
        .echo = w->echo,
        .token_ids = w->token_ids,
        .n_top = (uint32_t)w->n_top,
        .max_tokens = w->max_tokens,
        .created = (int64_t)time(NULL),
        .arrived = q->arrived,
        .prompts = asked,
        .n_prompts = n,
        .n_running = n,
        .choices = choices,
        .n_choices = (size_t)w->n,
    };
    make_id(a);
    for (size_t i = 0; i < n; i++) {
        asked[i].prompt = prompts[i];
        prompts[i] = (struct prompt){0};
    }
    for (size_t i = 0; i < n * a->n_choices; i++) {
        const struct prompt *p = &asked[i / a->n_choices].prompt;
        choices[i].unprefixed = w->echo && p->text_size > 0 && p->text[0] != ' ';
        if (!w->stream)
            delta_init(&choices[i].delta);
    }
    delta_init(&a->scratch);
    strbuf_init(&a->first_events, ANSWER_MAX);
    *m = (struct requested_model){0};
    return a;
}

/* The memory of the prompts stays taken while the jobs run. */
static bool hold_prompts(struct completion *a, struct api_error *c)
{
    size_t bytes = 0;
    for (size_t i = 0; i < a->n_prompts; i++)
        bytes += a->prompts[i].prompt.ids.n * sizeof(int32_t) + a->prompts[i].prompt.text_size;
    if (!byte_budget_take(&a->server->request_memory, bytes))
        return request_memory_refuse(c);
    a->held += bytes;
    return true;
}

/* How long an answer may be when the request does not say. */
static void set_max_tokens(
    struct completion_params *w, enum fields_route route, const struct options *options)
{
    if (w->max_tokens != COMPLETION_UNSET)
        return;
    w->max_tokens = options->max_tokens_default ? (int64_t)options->max_tokens_default : COMPLETION_UNLIMITED;
    if (route == FOR_COMPLETIONS && w->max_tokens > COMPLETIONS_MAX_TOKENS)
        w->max_tokens = COMPLETIONS_MAX_TOKENS;
}

/* Names what is ignored of stream_options, once in the life of the process. */
static void log_stream_option(struct server *s, const struct completion_params *w)
{
    if (w->unknown_stream_option && !atomic_exchange(&s->told_stream_option, true))
        log_line(LOG_INFO, "an unknown member of 'stream_options' is ignored; others are not logged",
            LOG_FIELDS(log_text("member", w->unknown_stream_option)));
}

bool completion_start(struct server *s, const struct http_request *q, struct reply *r,
    enum fields_route route, struct completion_params *w, struct requested_model *m, struct prompt *prompts,
    size_t n_prompts, struct api_error *c)
{
    set_max_tokens(w, route, s->options);
    completion_params_set_sampling(w, text_model_sampling(m->text));
    log_stream_option(s, w);
    if (!w->seeded)
        w->seed = (int64_t)any_number();
    struct completion *a = answer_new(s, q, route, w, m, prompts, n_prompts);
    if (!a)
        return api_error_status(c, 500, NULL, NULL, "no memory for the request");
    bool good = check_number(a, c) && check_length(a, w, c) && hold_prompts(a, c);
    for (size_t i = 0; good && i < n_prompts; i++)
        good = submit(a, w, i, c);
    if (good)
        r->async = &a->async;
    else
        release(&a->async);
    return good;
}
