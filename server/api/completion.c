/* completion.c - from the pieces that jobs deliver to a reply or a stream.
 *
 * An HTTP thread looks whenever a job has woken the connection. When one job fails the whole request fails: with a
 * reply whose status says why, or, in a stream that has begun, with what the dialect's writer has for an error.
 */
#include "berth/server/api/completion.h"

#include "berth/server/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

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

/* What is told of one piece, in order. */
struct told {
    struct completion *a;
    size_t index; /* of the choice */
    struct strbuf *out; /* of a stream; NULL for a whole reply */
    bool any;
};

/* The id of the call that begins: the model's own, or one that its template wants to find later. */
static void make_call_id(const struct completion *a, struct choice *c, struct span name)
{
    struct strbuf id;
    uint64_t random = 0;
    struct span written = {(const uint8_t *)c->call_id, c->has_call_id ? strlen(c->call_id) : 0};
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random = (uint64_t)time(NULL);
    strbuf_init(&id, CALL_ID_MAX - 1);
    chat_format_call_id(text_model_chat_format(a->requested_model.text), name, written, random, &id);
    if (!id.failed)
        snprintf(c->call_id, sizeof(c->call_id), "%.*s", (int)id.size, id.text);
    strbuf_release(&id);
}

static bool gathers(const struct completion *a)
{
    return !a->stream || a->writer->gathers;
}

static struct tool_call *begin_call(struct completion *a, struct choice *c, struct span name)
{
    struct tool_call *more = realloc(c->calls, (c->n_gathered + 1) * sizeof(*more));
    if (!more) {
        fail(a, 503, no_memory);
        return NULL;
    }
    c->calls = more;
    struct tool_call *call = &more[c->n_gathered++];
    *call = (struct tool_call){0};
    memcpy(call->id, c->call_id, sizeof(call->id));
    strbuf_init(&call->name, ANSWER_MAX);
    strbuf_init(&call->arguments, ANSWER_MAX);
    call->name.budget = call->arguments.budget = &a->server->request_memory;
    strbuf_add(&call->name, name);
    return call;
}

/* The part of the answer that the event goes on with; a new one where it is of another kind. An event without text
 * begins none. False when memory is short. */
static bool note_part(struct choice *c, const struct completion_event *e)
{
    bool call = e->kind == CHAT_CALL_BEGIN;
    struct answer_part *last = c->n_parts > 0 ? &c->parts[c->n_parts - 1] : NULL;
    if (e->kind == CHAT_CALL_ARGUMENTS || e->kind == CHAT_CALL_END || (!call && e->text.size == 0))
        return true;
    if (call || !last || last->kind != e->kind) {
        if (c->n_parts == c->parts_room) {
            size_t room = c->parts_room ? 2 * c->parts_room : 4;
            struct answer_part *more = realloc(c->parts, room * sizeof(*more));
            if (!more)
                return false;
            c->parts = more;
            c->parts_room = room;
        }
        last = &c->parts[c->n_parts++];
        *last = (struct answer_part){.kind = e->kind,
            .at = call                   ? c->n_gathered
                  : e->kind == CHAT_TEXT ? c->delta.text.size
                                         : c->delta.reasoning.size,
            .tokens = c->delta.tokens.size};
    }
    last->size += call ? 1 : e->text.size;
    return true;
}

/* Appends an event to the choice, within the limits of the request and of all requests. */
static void gather(struct completion *a, struct choice *c, const struct completion_event *e)
{
    struct tool_call *call = c->n_gathered > 0 ? &c->calls[c->n_gathered - 1] : NULL;
    a->gathered += e->text.size + (e->lists ? delta_bytes(e->lists) : 0);
    if (a->gathered > ANSWER_MAX) {
        fail(a, 400,
            "The answer is too large: ask for fewer choices, prompts or log probabilities, or a stream");
        return;
    }
    if (!note_part(c, e)) {
        fail(a, 503, no_memory);
        return;
    }
    if (e->lists)
        delta_join_lists(&c->delta, e->lists);
    if (e->kind == CHAT_TEXT || e->kind == CHAT_REASONING)
        strbuf_add(e->kind == CHAT_TEXT ? &c->delta.text : &c->delta.reasoning, e->text);
    if (e->kind == CHAT_CALL_BEGIN)
        call = begin_call(a, c, e->text);
    if (e->kind == CHAT_CALL_ARGUMENTS && call)
        strbuf_add(&call->arguments, e->text);
    if (e->kind == CHAT_CALL_END && call)
        call->whole = true;
    if (delta_failed(&c->delta) || (call && (call->name.failed || call->arguments.failed)))
        fail(a, 503, no_memory);
}

static void tell_event(struct told *t, const struct completion_event *e)
{
    struct completion *a = t->a;
    struct choice *c = &a->choices[t->index];
    t->any = true;
    if (a->status)
        return;
    if (gathers(a))
        gather(a, c, e);
    if (!t->out || a->status)
        return;
    if (!c->begun && a->writer->begin)
        a->writer->begin(a, t->index, t->out);
    a->writer->event(a, t->index, e, t->out);
    c->begun = a->begun = true;
}

static void tell(void *context, enum chat_event kind, size_t call, struct span text)
{
    struct told *t = context;
    struct choice *c = &t->a->choices[t->index];
    if (kind == CHAT_REASONING && t->a->hides_reasoning)
        return;
    if (kind == CHAT_CALL_ID) {
        snprintf(c->call_id, sizeof(c->call_id), "%.*s", (int)text.size, (const char *)text.at);
        c->has_call_id = true;
        return;
    }
    if (kind == CHAT_CALL_BEGIN) {
        c->n_calls++;
        make_call_id(t->a, c, text);
        c->has_call_id = false;
    }
    const struct delta *lists = !t->any && delta_has_lists(&t->a->scratch) ? &t->a->scratch : NULL;
    tell_event(t, &(struct completion_event){kind, call, text, lists});
}

static void end_choice(struct told *t, const struct job_piece *last)
{
    struct completion *a = t->a;
    struct choice *c = &a->choices[t->index];
    enum job_finish finish = last->finish;
    c->stopped_by = last->stopped_by;
    chat_reader_end(&c->reader, finish == JOB_STOP && last->stopped_by < 0, tell, t);
    if (c->reader.failed)
        fail(a, 503, no_memory);
    c->finish = a->max_tokens == 0 && finish == JOB_STOP ? JOB_LENGTH : finish;
    if (!t->out || a->status || (finish != JOB_STOP && finish != JOB_LENGTH))
        return;
    if (!c->begun && a->writer->begin)
        a->writer->begin(a, t->index, t->out);
    c->begun = a->begun = true;
    if (a->writer->finish)
        a->writer->finish(a, t->index, t->out);
}

/* Makes events of a piece for one choice. The scratch delta has its lists, and the text of an echo. */
static void use_for_choice(struct told *t, const struct job_piece *p)
{
    struct completion *a = t->a;
    struct choice *c = &a->choices[t->index];
    if (a->scratch.text.size > 0)
        tell(t, CHAT_TEXT, 0, (struct span){(const uint8_t *)a->scratch.text.text, a->scratch.text.size});
    if (!p->prompt && (p->text_size > 0 || p->tag == GRAMMAR_TAG_MARK))
        chat_reader_add(&c->reader, p->tag, (struct span){(const uint8_t *)p->text, p->text_size}, tell, t);
    /* Tokens without text still have their ids and log probabilities. */
    if (!t->any && delta_has_lists(&a->scratch))
        tell(t, CHAT_TEXT, 0, (struct span){(const uint8_t *)"", 0});
    if (p->finish != JOB_RUNNING)
        end_choice(t, p);
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
    c->reasoning_tokens += p->tag == CHAT_TAG_REASONING ? p->n_tokens : 0;
    if (a->echo && !c->begun && !c->echoed)
        strbuf_add(&a->scratch.text, (struct span){(const uint8_t *)prompt->text, prompt->text_size});
    delta_add(a, c, &a->scratch, p);
    for (size_t i = 0; i < n && !a->status; i++) {
        a->choices[first + i].characters = c->characters;
        a->choices[first + i].unprefixed = c->unprefixed;
        a->choices[first + i].echoed = true;
        use_for_choice(&(struct told){.a = a, .index = first + i, .out = out}, p);
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

/* ---- what writers ask ---- */

const char *choice_finish_word(const struct choice *c, const struct finish_words *words)
{
    if (c->finish != JOB_STOP)
        return words->length;
    return c->n_calls > 0 && !chat_reader_in_call(&c->reader) ? words->calls : words->stop;
}

struct completion_totals completion_totals_of(const struct completion *a)
{
    struct completion_totals t = {0};
    for (size_t i = 0; i < a->n_prompts; i++) {
        const struct job_usage *u = &a->prompts[i].usage;
        t.prompt += a->prompts[i].prompt.ids.n;
        t.cached += u->cached_tokens;
        t.generated += u->generated_tokens;
        t.prompt_seconds = u->prompt_seconds > t.prompt_seconds ? u->prompt_seconds : t.prompt_seconds;
        t.generate_seconds =
            u->generate_seconds > t.generate_seconds ? u->generate_seconds : t.generate_seconds;
        t.queued_seconds = u->queued_seconds > t.queued_seconds ? u->queued_seconds : t.queued_seconds;
    }
    for (size_t i = 0; i < a->n_prompts * a->n_choices; i++)
        t.reasoning += a->choices[i].reasoning_tokens;
    return t;
}

/* ---- the reply ---- */

static void choice_release(struct choice *c)
{
    delta_release(&c->delta);
    chat_reader_release(&c->reader);
    for (size_t i = 0; i < c->n_gathered; i++) {
        strbuf_release(&c->calls[i].name);
        strbuf_release(&c->calls[i].arguments);
    }
    free(c->calls);
    free(c->parts);
    c->calls = NULL;
    c->parts = NULL;
    c->n_gathered = c->n_parts = c->parts_room = 0;
}

/* Frees what was gathered, and the prompts, before the client reads the reply and asks again. */
static void drop_gathered(struct completion *a)
{
    for (size_t i = 0; i < a->n_prompts * a->n_choices; i++)
        choice_release(&a->choices[i]);
    for (size_t i = 0; i < a->n_prompts; i++)
        prompt_release(&a->prompts[i].prompt);
    byte_budget_give(&a->server->request_memory, a->held);
    a->held = 0;
}

static void reply_failure(struct completion *a, struct reply *r)
{
    reply_error(r, a->dialect, a->status, a->why.text, NULL, a->code);
    reply_retry_after(r, a->retry_after);
    cancel(a);
    drop_gathered(a);
}

static void reply_whole(struct completion *a, struct reply *r)
{
    struct strbuf out;
    strbuf_init(&out, 2 * ANSWER_MAX);
    out.budget = &a->server->request_memory;
    a->writer->whole(a, &out);
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

/* The client has waited for long: it gets the first events of the choices, which tell that the request was accepted. */
static void begin_choices(struct completion *a, struct strbuf *out)
{
    for (size_t i = 0; i < a->n_prompts * a->n_choices; i++) {
        if (!a->choices[i].begun && a->writer->begin)
            a->writer->begin(a, i, out);
        a->choices[i].begun = a->begun = true;
    }
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
    if (a->first_events.size == 0 && a->writer->begins_early)
        begin_choices(a, &a->first_events);
    r->status = 200;
    r->content_type = a->writer->stream_type;
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
        a->writer->fail(a, out);
        cancel(a);
    } else if (a->writer->end) {
        a->writer->end(a, out);
    }
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
    for (size_t i = 0; a->choices && i < a->n_prompts * a->n_choices; i++)
        choice_release(&a->choices[i]);
    json_decref(a->request);
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
