/* completion.c - from the pieces that jobs deliver to a reply or a stream.
 *
 * An HTTP thread looks whenever a job has woken the connection. When one job fails the whole request fails: with a
 * reply whose status says why, or, in a stream that has begun, with an error event. Every stream ends in [DONE].
 */
#include "completion_private.h"

#include "berth/server/result.h"

#include <stdlib.h>

#define RETRY_SECONDS 1
#define TOKENS_AT_ONCE 512 /* that one call turns into text: other connections wait for the thread */

static const char no_memory[] = "There is no memory for the answer now";

static struct completion *completion_of(struct async_reply *l)
{
    return (struct completion *)(void *)l;
}

/* ---- pieces ---- */

static void fail(struct completion *a, unsigned status, const char *why)
{
    a->status = status;
    a->retry_after = status == 503 ? RETRY_SECONDS : 0;
    error_set(&a->why, "%s", why);
}

/* Appends the scratch delta to the choice's own, within the limits of the request and of all requests. */
static void gather(struct completion *a, struct choice *c)
{
    a->gathered += delta_bytes(&a->scratch);
    if (a->gathered > ANSWER_MAX)
        fail(a, 400,
            "The answer is too large: ask for fewer choices, prompts or log probabilities, or a stream");
    else
        delta_join(&c->delta, &a->scratch);
    if (delta_failed(&c->delta))
        fail(a, 503, no_memory);
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

/* Pieces with tokens of the prompt, and all pieces of a job that only scores, belong to every choice. They come before
 * any piece of a single choice, so they are made once, for the first choice, and used for all. */
static void use_piece(struct completion *a, size_t index, const struct job_piece *p, struct strbuf *out)
{
    bool shared = p->prompt || job_request_of(a->prompts[index].job)->kind == JOB_SCORE;
    size_t first = index * a->n_choices + (shared ? 0 : p->choice), n = shared ? a->n_choices : 1;
    const struct prompt *prompt = &a->prompts[index].prompt;
    struct choice *c = &a->choices[first];
    size_t before = out ? out->size : 0;
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
    if (!delta_failed(&a->scratch) && (!out || !out->failed))
        return;
    fail(a, 503, no_memory);
    if (out) /* an error event takes its place */
        strbuf_cut(out, before);
}

static void end_job(struct completion *a, struct completion_prompt *one)
{
    one->ended = true;
    one->usage = job_usage_of(one->job);
    a->n_running--;
    struct error why = {0};
    enum result result = job_result(one->job, &why);
    if (result != RESULT_OK && !a->status) {
        struct result_reply reply = result_reply(result);
        a->status = reply.status;
        a->code = reply.code;
        a->retry_after = reply.retry_after;
        a->why = why;
    }
}

/* Uses pieces of one job until none is left or *budget tokens are used up. */
static void take_of_job(struct completion *a, size_t index, struct strbuf *out, size_t *budget)
{
    struct completion_prompt *one = &a->prompts[index];
    if (!one->rest && !one->last)
        one->rest = job_take(one->job, &one->last);
    while (one->rest && *budget > 0) {
        struct job_piece *p = one->rest;
        one->rest = p->next;
        *budget -= p->n_tokens + 1 < *budget ? p->n_tokens + 1 : *budget;
        if (!a->status)
            use_piece(a, index, p, out);
        job_piece_free(p);
    }
    if (!one->rest && one->last && !one->ended)
        end_job(a, one);
}

/* Moves the pieces of all jobs into the choices or, for a stream, as events into `out`. Takes TOKENS_AT_ONCE at most.
 * False when there may be more. */
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

/* ---- the reply ---- */

/* Frees what was gathered, and the prompts, before the client reads the reply and asks again. */
static void drop_gathered(struct completion *a)
{
    for (size_t i = 0; i < a->n_prompts * a->n_choices; i++)
        delta_release(&a->choices[i].delta);
    for (size_t i = 0; i < a->n_prompts; i++)
        prompt_release(&a->prompts[i].prompt);
    byte_budget_give(&a->server->request_memory, a->held);
    a->held = 0;
}

static void reply_failure(struct completion *a, struct reply *r)
{
    reply_error(r, &openai_dialect, a->status, a->why.text, NULL, a->code);
    reply_retry_after(r, a->retry_after);
    cancel(a);
    drop_gathered(a);
}

static void reply_whole(struct completion *a, struct reply *r)
{
    struct strbuf out;
    strbuf_init(&out, 2 * ANSWER_MAX);
    out.budget = &a->server->request_memory;
    openai_write_whole(a, &out);
    if (out.failed) {
        strbuf_release(&out);
        fail(a, 503, no_memory);
        reply_failure(a, r);
        return;
    }
    reply_buffer(r, 200, "application/json", &out);
    drop_gathered(a);
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
    struct completion *a = completion_of(l);
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
    struct completion *a = completion_of(l);
    if (a->finished)
        return ASYNC_END;
    strbuf_add(out, (struct span){(const uint8_t *)a->first_events.text, a->first_events.size});
    strbuf_release(&a->first_events);
    if (out->failed) {
        fail(a, 503, no_memory);
        strbuf_cut(out, 0);
    }
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
    a->finished = true;
    return ASYNC_END;
}

void completion_release(struct completion *a)
{
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

static void release(struct async_reply *l)
{
    completion_release(completion_of(l));
}

const struct async_reply_kind completion_kind = {.look = look, .more = more, .release = release};
