/* responses_answer.c - a response and the events of its stream, written as text.
 *
 * The output is a list of items: reasoning, messages, calls of tools, in the order in which the model wrote them; each is a
 * part of the answer. A stream tells the beginning, the growth and the end of each item, and then the whole response.
 *
 * What is repeated of the request comes in `request`: "echo" is the text of members, "warnings" a list of strings, "summary"
 * tells whether reasoning is shown as its summary, and "kept" is there where the response is to be kept.
 */
#include "responses_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- kinds of items ---- */

/* The words of a kind of item, in the names of events and in objects. */
struct item_words {
    const char *prefix; /* of its id */
    const char *stem; /* of the events that tell of its text */
    const char *text; /* the member that has all of its text, when it is done */
    const char *part; /* of the events that tell of the part with the text; NULL: the item has no parts */
    const char *index; /* the member with the number of the part */
    const char *type; /* of the part */
};

static const struct item_words *words_of(const struct completion *a, const struct answer_part *part)
{
    static const struct item_words message = {
        "msg_", "output_text", "text", "content_part", "content_index", "output_text"};
    static const struct item_words reasoning = {
        "rs_", "reasoning_text", "text", "content_part", "content_index", "reasoning_text"};
    static const struct item_words summary = {
        "rs_", "reasoning_summary_text", "text", "reasoning_summary_part", "summary_index", "summary_text"};
    static const struct item_words call = {
        .prefix = "fc_", .stem = "function_call_arguments", .text = "arguments"};
    if (part->kind == CHAT_TEXT)
        return &message;
    if (part->kind != CHAT_REASONING)
        return &call;
    return json_is_true(json_object_get(a->request, "summary")) ? &summary : &reasoning;
}

enum item_status { ITEM_BEGINS, ITEM_DONE, ITEM_CUT };

static const char *const statuses[] = {"in_progress", "completed", "incomplete"};

/* How an item has ended once the answer has: the last one may have been cut. */
static enum item_status status_of(const struct choice *c, size_t i)
{
    const struct answer_part *part = &c->parts[i];
    bool cut = c->finish != JOB_STOP && i + 1 == c->n_parts;
    if (part->kind == CHAT_CALL_BEGIN)
        cut = !c->calls[part->at].whole;
    return cut ? ITEM_CUT : ITEM_DONE;
}

/* ---- objects ---- */

/* The text of an item so far. */
static struct span text_of_item(const struct choice *c, const struct answer_part *part)
{
    if (part->kind == CHAT_CALL_BEGIN)
        return strbuf_span(&c->calls[part->at].arguments);
    const struct strbuf *b = part->kind == CHAT_TEXT ? &c->delta.text : &c->delta.reasoning;
    return (struct span){(const uint8_t *)b->text + part->at, part->size};
}

static void add_logprobs(const struct choice *c, size_t i, struct strbuf *out)
{
    const struct strbuf *all = &c->delta.tokens;
    size_t at = c->parts[i].tokens, end = i + 1 < c->n_parts ? c->parts[i + 1].tokens : all->size;
    if (at < end && all->text[at] == ',')
        at++;
    strbuf_text(out, ",\"logprobs\":[");
    strbuf_add(out, (struct span){(const uint8_t *)all->text + at, end - at});
    strbuf_text(out, "]");
}

/* The part of a message or of reasoning; without text when it begins. */
static void add_part(
    const struct completion *a, const struct choice *c, size_t i, enum item_status status, struct strbuf *out)
{
    const struct answer_part *part = &c->parts[i];
    strbuf_format(out, "{\"type\":\"%s\",\"text\":", words_of(a, part)->type);
    strbuf_json(out, status == ITEM_BEGINS ? (struct span){0} : text_of_item(c, part));
    if (part->kind == CHAT_TEXT) {
        strbuf_text(out, ",\"annotations\":[]");
        if (status == ITEM_BEGINS)
            strbuf_text(out, ",\"logprobs\":[]");
        else
            add_logprobs(c, i, out);
    }
    strbuf_text(out, "}");
}

static void add_call(const struct tool_call *call, enum item_status status, struct strbuf *out)
{
    strbuf_format(out, "\",\"type\":\"function_call\",\"status\":\"%s\",\"call_id\":", statuses[status]);
    strbuf_json(out, span_of(call->id));
    strbuf_text(out, ",\"name\":");
    strbuf_json(out, strbuf_span(&call->name));
    strbuf_text(out, ",\"arguments\":");
    strbuf_json(out, status == ITEM_BEGINS ? (struct span){0} : strbuf_span(&call->arguments));
    strbuf_text(out, "}");
}

static void add_item(
    const struct completion *a, const struct choice *c, size_t i, enum item_status status, struct strbuf *out)
{
    const struct answer_part *part = &c->parts[i];
    const struct item_words *w = words_of(a, part);
    bool summary = w->index && w->index[0] == 's';
    strbuf_format(out, "{\"id\":\"%s%s_%zu", w->prefix, a->id, i);
    if (part->kind == CHAT_CALL_BEGIN) {
        add_call(&c->calls[part->at], status, out);
        return;
    }
    if (part->kind == CHAT_TEXT)
        strbuf_format(out, "\",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
            statuses[status]);
    else
        strbuf_text(out, summary ? "\",\"type\":\"reasoning\",\"summary\":["
                                 : "\",\"type\":\"reasoning\",\"summary\":[],\"content\":[");
    if (status != ITEM_BEGINS)
        add_part(a, c, i, status, out);
    strbuf_text(out, "]}");
}

static void add_usage(const struct completion *a, struct strbuf *out)
{
    struct completion_totals t = completion_totals_of(a);
    strbuf_format(out,
        "{\"input_tokens\":%zu,\"input_tokens_details\":{\"cached_tokens\":%zu,\"cache_write_tokens\":0},"
        "\"output_tokens\":%zu,\"output_tokens_details\":{\"reasoning_tokens\":%zu},\"total_tokens\":%zu}",
        t.prompt, t.cached, t.generated, t.reasoning, t.prompt + t.generated);
}

static void add_error(const struct completion *a, struct strbuf *out)
{
    const char *code = a->status == 429  ? "rate_limit_exceeded"
                       : a->code         ? a->code
                       : a->status < 500 ? "invalid_prompt"
                                         : "server_error";
    strbuf_format(out, "{\"code\":\"%s\",\"message\":", code);
    strbuf_json(out, span_of(a->why.text));
    strbuf_text(out, "}");
}

/* A number that may be a model's default, of 32 bits: 0.8, not 0.800000012. */
static void add_number(struct strbuf *out, const char *name, double number)
{
    strbuf_format(out, (double)(float)number == number ? ",\"%s\":%.7g" : ",\"%s\":%.15g", name, number);
}

enum response_status { IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED };

static enum response_status response_status(const struct completion *a)
{
    return a->choices[0].finish == JOB_STOP ? COMPLETED : INCOMPLETE;
}

/* Where a text lies in a buffer. */
struct stretch {
    size_t at, size;
};

/* Returns where the list of output items is. */
static struct stretch add_response(
    const struct completion *a, enum response_status status, struct strbuf *out)
{
    static const char *const names[] = {"in_progress", "completed", "incomplete", "failed"};
    const struct choice *c = &a->choices[0];
    bool ended = status == COMPLETED || status == INCOMPLETE;
    const json_t *echo = json_object_get(a->request, "echo");
    strbuf_format(out,
        "{\"id\":\"resp_%s\",\"object\":\"response\",\"created_at\":%" PRId64 ",\"status\":\"%s\"", a->id,
        a->created, names[status]);
    if (status == COMPLETED)
        strbuf_format(out, ",\"completed_at\":%" PRId64, (int64_t)time(NULL));
    else
        strbuf_text(out, ",\"completed_at\":null");
    strbuf_text(out, ",\"error\":");
    if (status == FAILED)
        add_error(a, out);
    else
        strbuf_text(out, "null");
    strbuf_format(out, ",\"incomplete_details\":%s,\"model\":",
        status == INCOMPLETE ? "{\"reason\":\"max_output_tokens\"}" : "null");
    strbuf_json(out, span_of(a->requested_model.model->id));
    strbuf_text(out, ",\"output\":");
    struct stretch output = {.at = out->size};
    strbuf_text(out, "[");
    for (size_t i = 0; ended && i < c->n_parts; i++) {
        strbuf_text(out, i ? "," : "");
        add_item(a, c, i, status_of(c, i), out);
    }
    strbuf_text(out, "]");
    output.size = out->size - output.at;
    strbuf_text(out, ",\"usage\":");
    if (ended)
        add_usage(a, out);
    else
        strbuf_text(out, "null");
    add_number(out, "temperature", a->temperature);
    add_number(out, "top_p", a->top_p);
    strbuf_text(out, ",");
    strbuf_add(out, (struct span){(const uint8_t *)json_string_value(echo), json_string_length(echo)});
    answer_add_warnings(a, json_object_get(a->request, "warnings"), out);
    strbuf_text(out, "}");
    return output;
}

/* A response that has ended. It is kept before the client can know its id. */
static void add_ended(const struct completion *a, struct strbuf *out)
{
    size_t at = out->size;
    struct stretch output = add_response(a, response_status(a), out);
    const uint8_t *text = (const uint8_t *)out->text;
    if (!out->failed)
        responses_keep(
            a, (struct span){text + at, out->size - at}, (struct span){text + output.at, output.size});
}

static void write_whole(const struct completion *a, struct strbuf *out)
{
    add_ended(a, out);
}

/* ---- events ---- */

/* response.STEM.VERB, or response.VERB. */
static void begin_event(struct completion *a, const char *stem, const char *verb, struct strbuf *out)
{
    char name[64];
    snprintf(name, sizeof(name), "response.%s%s%s", stem, stem[0] ? "." : "", verb);
    strbuf_format(
        out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%zu", name, name, a->sequence++);
}

static void end_event(struct strbuf *out)
{
    strbuf_text(out, "}\n\n");
}

static void tell_response(
    struct completion *a, const char *verb, enum response_status status, struct strbuf *out)
{
    begin_event(a, "", verb, out);
    strbuf_text(out, ",\"response\":");
    if (status == COMPLETED || status == INCOMPLETE)
        add_ended(a, out);
    else
        add_response(a, status, out);
    end_event(out);
}

static void tell_item(
    struct completion *a, const char *verb, size_t i, enum item_status status, struct strbuf *out)
{
    begin_event(a, "output_item", verb, out);
    strbuf_format(out, ",\"output_index\":%zu,\"item\":", i);
    add_item(a, &a->choices[0], i, status, out);
    end_event(out);
}

/* Begins an event about the text of an item, or about its part. */
static void begin_text_event(
    struct completion *a, const char *stem, const char *verb, size_t i, struct strbuf *out)
{
    const struct item_words *w = words_of(a, &a->choices[0].parts[i]);
    begin_event(a, stem, verb, out);
    strbuf_format(out, ",\"item_id\":\"%s%s_%zu\",\"output_index\":%zu", w->prefix, a->id, i, i);
    if (w->index)
        strbuf_format(out, ",\"%s\":0", w->index);
}

static void tell_part(
    struct completion *a, const char *verb, size_t i, enum item_status status, struct strbuf *out)
{
    const struct item_words *w = words_of(a, &a->choices[0].parts[i]);
    if (!w->part)
        return;
    begin_text_event(a, w->part, verb, i, out);
    strbuf_text(out, ",\"part\":");
    add_part(a, &a->choices[0], i, status, out);
    end_event(out);
}

static void tell_delta(
    struct completion *a, size_t i, struct span text, const struct delta *lists, struct strbuf *out)
{
    const struct answer_part *part = &a->choices[0].parts[i];
    begin_text_event(a, words_of(a, part)->stem, "delta", i, out);
    strbuf_text(out, ",\"delta\":");
    strbuf_json(out, text);
    if (part->kind == CHAT_TEXT) {
        strbuf_text(out, ",\"logprobs\":[");
        if (lists)
            delta_add_part(out, &lists->tokens);
        strbuf_text(out, "]");
    }
    end_event(out);
}

static void begin_item(struct completion *a, size_t i, struct strbuf *out)
{
    tell_item(a, "added", i, ITEM_BEGINS, out);
    tell_part(a, "added", i, ITEM_BEGINS, out);
}

static void end_item(struct completion *a, size_t i, enum item_status status, struct strbuf *out)
{
    const struct choice *c = &a->choices[0];
    const struct answer_part *part = &c->parts[i];
    const struct item_words *w = words_of(a, part);
    begin_text_event(a, w->stem, "done", i, out);
    strbuf_format(out, ",\"%s\":", w->text);
    strbuf_json(out, text_of_item(c, part));
    if (part->kind == CHAT_TEXT)
        add_logprobs(c, i, out);
    if (part->kind == CHAT_CALL_BEGIN) {
        strbuf_text(out, ",\"name\":");
        strbuf_json(out, strbuf_span(&c->calls[part->at].name));
    }
    end_event(out);
    tell_part(a, "done", i, status, out);
    tell_item(a, "done", i, status, out);
}

static void write_begin(struct completion *a, size_t index, struct strbuf *out)
{
    (void)index;
    tell_response(a, "created", IN_PROGRESS, out);
    tell_response(a, "in_progress", IN_PROGRESS, out);
}

/* The last part is the one that the event belongs to, since it was gathered before. */
static void write_event(
    struct completion *a, size_t index, const struct completion_event *e, struct strbuf *out)
{
    struct choice *c = &a->choices[index];
    while (c->open.index < c->n_parts) {
        if (c->open.index > 0)
            end_item(a, c->open.index - 1, ITEM_DONE, out);
        begin_item(a, c->open.index++, out);
    }
    bool grows = e->kind == CHAT_TEXT || e->kind == CHAT_REASONING || e->kind == CHAT_CALL_ARGUMENTS;
    if (grows && e->text.size > 0 && c->n_parts > 0)
        tell_delta(a, c->n_parts - 1, e->text, e->lists, out);
}

static void write_finish(struct completion *a, size_t index, struct strbuf *out)
{
    struct choice *c = &a->choices[index];
    if (c->open.index > 0)
        end_item(a, c->open.index - 1, status_of(c, c->open.index - 1), out);
}

static void write_end(struct completion *a, struct strbuf *out)
{
    enum response_status status = response_status(a);
    tell_response(a, status == COMPLETED ? "completed" : "incomplete", status, out);
}

static void write_fail(struct completion *a, struct strbuf *out)
{
    if (!a->begun)
        write_begin(a, 0, out);
    tell_response(a, "failed", FAILED, out);
}

const struct completion_writer responses_writer = {
    .stream_type = "text/event-stream; charset=utf-8",
    .begins_early = true,
    .gathers = true,
    .whole = write_whole,
    .begin = write_begin,
    .event = write_event,
    .finish = write_finish,
    .end = write_end,
    .fail = write_fail,
};
