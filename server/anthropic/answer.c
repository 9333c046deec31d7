/* answer.c - Anthropic's message and the events of its stream, written as text.
 *
 * A message is a list of blocks: thinking, text, calls of tools, in the order in which the model wrote them.
 */
#include "anthropic_private.h"

#include "berth/engine/scheduler/job.h"

#include <inttypes.h>
#include <string.h>

enum block_kind { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL };

static const char event_end[] = "}\n\n";

/* The client wants no thinking to be shown. */
static bool omits(const struct completion *a)
{
    return json_is_true(json_object_get(a->request, "omit"));
}

/* ---- objects ---- */

/* Tokens of the prompt that were read from the prefix cache do not count as input. */
static void add_usage(const struct completion *a, struct strbuf *out)
{
    struct completion_totals t = completion_totals_of(a);
    size_t cached = a->n_running > 0 ? job_usage_of(a->prompts[0].job).cached_tokens : t.cached;
    size_t generated = a->n_running > 0 ? a->choices[0].generated : t.generated;
    strbuf_format(out,
        ",\"usage\":{\"input_tokens\":%zu,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":%zu,"
        "\"cache_creation\":null,\"output_tokens\":%zu,\"output_tokens_details\":{\"thinking_tokens\":%zu},"
        "\"server_tool_use\":null,\"service_tier\":\"standard\",\"inference_geo\":null}",
        t.prompt - cached, cached, generated, t.reasoning);
}

/* Why the answer ended; null while it has not. */
static void add_stop(const struct completion *a, bool ended, struct strbuf *out)
{
    static const struct finish_words words = {
        .stop = "end_turn", .length = "max_tokens", .calls = "tool_use"};
    const struct choice *c = &a->choices[0];
    const struct job_request *r = job_request_of(a->prompts[0].job);
    if (!ended) {
        strbuf_text(out, "\"stop_reason\":null,\"stop_sequence\":null");
    } else if (c->finish == JOB_STOP && c->stopped_by >= 0 && (size_t)c->stopped_by < r->n_stops) {
        strbuf_text(out, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":");
        strbuf_json(out, r->stops[c->stopped_by]);
    } else {
        strbuf_format(out, "\"stop_reason\":\"%s\",\"stop_sequence\":null", choice_finish_word(c, &words));
    }
    strbuf_text(out, ",\"stop_details\":null,\"container\":null");
}

static void add_head(const struct completion *a, struct strbuf *out)
{
    strbuf_format(out, "{\"id\":\"msg_%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", a->id);
    strbuf_json(out, span_of(a->requested_model.model->id));
}

static void add_call_head(const char *id, struct span name, struct strbuf *out)
{
    strbuf_format(out, "{\"type\":\"tool_use\",\"id\":\"%s\",\"caller\":{\"type\":\"direct\"},\"name\":", id);
    strbuf_json(out, name);
    strbuf_text(out, ",\"input\":");
}

/* Arguments that were cut are no JSON: they come whole, as a text in the member that Anthropic names for it. */
static void add_call(const struct tool_call *call, struct strbuf *out)
{
    add_call_head(call->id, strbuf_span(&call->name), out);
    if (call->whole) {
        strbuf_add(out, call->arguments.size > 0 ? strbuf_span(&call->arguments) : span_of("{}"));
    } else {
        strbuf_text(out, "{\"INVALID_JSON\":");
        strbuf_json(out, strbuf_span(&call->arguments));
        strbuf_text(out, "}");
    }
    strbuf_text(out, "}");
}

static void add_block(
    const struct completion *a, const struct choice *c, const struct answer_part *part, struct strbuf *out)
{
    struct span nothing = {0};
    switch (part->kind) {
    case CHAT_REASONING:
        strbuf_text(out, "{\"type\":\"thinking\",\"signature\":\"\",\"thinking\":");
        strbuf_json(
            out, omits(a) ? nothing
                          : (struct span){(const uint8_t *)c->delta.reasoning.text + part->at, part->size});
        strbuf_text(out, "}");
        break;
    case CHAT_TEXT:
        strbuf_text(out, "{\"type\":\"text\",\"citations\":null,\"text\":");
        strbuf_json(out, (struct span){(const uint8_t *)c->delta.text.text + part->at, part->size});
        strbuf_text(out, "}");
        break;
    default:
        add_call(&c->calls[part->at], out);
    }
}

static void write_whole(const struct completion *a, struct strbuf *out)
{
    const struct choice *c = &a->choices[0];
    add_head(a, out);
    strbuf_text(out, ",\"content\":[");
    for (size_t i = 0; i < c->n_parts; i++) {
        strbuf_text(out, i ? "," : "");
        add_block(a, c, &c->parts[i], out);
    }
    strbuf_text(out, "],");
    add_stop(a, true, out);
    add_usage(a, out);
    answer_add_warnings(a, json_object_get(a->request, "warnings"), out);
    strbuf_text(out, "}");
}

/* ---- events ---- */

static void begin_event(struct strbuf *out, const char *name)
{
    strbuf_format(out, "event: %s\ndata: {\"type\":\"%s\"", name, name);
}

static void write_begin(struct completion *a, size_t index, struct strbuf *out)
{
    (void)index;
    begin_event(out, "message_start");
    strbuf_text(out, ",\"message\":");
    add_head(a, out);
    strbuf_text(out, ",\"content\":[],");
    add_stop(a, false, out);
    add_usage(a, out);
    answer_add_warnings(a, json_object_get(a->request, "warnings"), out);
    strbuf_text(out, "}");
    strbuf_text(out, event_end);
}

/* The part of an event that adds to the open block. */
static void add_delta(
    const struct choice *c, const char *type, const char *member, struct span text, struct strbuf *out)
{
    begin_event(out, "content_block_delta");
    strbuf_format(out, ",\"index\":%zu,\"delta\":{\"type\":\"%s\",\"%s\":", c->open.index, type, member);
    strbuf_json(out, text);
    strbuf_text(out, "}");
    strbuf_text(out, event_end);
}

static void close_block(struct choice *c, struct strbuf *out)
{
    if (c->open.kind == BLOCK_NONE)
        return;
    if (c->open.kind == BLOCK_THINKING)
        add_delta(c, "signature_delta", "signature", (struct span){0}, out);
    begin_event(out, "content_block_stop");
    strbuf_format(out, ",\"index\":%zu", c->open.index);
    strbuf_text(out, event_end);
    c->open.kind = BLOCK_NONE;
    c->open.index++;
}

static void open_block(struct choice *c, enum block_kind kind, struct span name, struct strbuf *out)
{
    if ((int)kind == c->open.kind && kind != BLOCK_CALL)
        return;
    close_block(c, out);
    begin_event(out, "content_block_start");
    strbuf_format(out, ",\"index\":%zu,\"content_block\":", c->open.index);
    if (kind == BLOCK_CALL) {
        add_call_head(c->call_id, name, out);
        strbuf_text(out, "{}}");
    } else {
        strbuf_text(out, kind == BLOCK_TEXT ? "{\"type\":\"text\",\"text\":\"\",\"citations\":null}"
                                            : "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    }
    strbuf_text(out, event_end);
    c->open.kind = (int)kind;
}

static void write_event(
    struct completion *a, size_t index, const struct completion_event *e, struct strbuf *out)
{
    struct choice *c = &a->choices[index];
    bool grows = e->kind == CHAT_TEXT || e->kind == CHAT_REASONING || e->kind == CHAT_CALL_ARGUMENTS;
    if (grows && e->text.size == 0)
        return;
    switch (e->kind) {
    case CHAT_TEXT:
        open_block(c, BLOCK_TEXT, (struct span){0}, out);
        add_delta(c, "text_delta", "text", e->text, out);
        break;
    case CHAT_REASONING:
        open_block(c, BLOCK_THINKING, (struct span){0}, out);
        if (!omits(a))
            add_delta(c, "thinking_delta", "thinking", e->text, out);
        break;
    case CHAT_CALL_BEGIN:
        open_block(c, BLOCK_CALL, e->text, out);
        break;
    case CHAT_CALL_ARGUMENTS:
        add_delta(c, "input_json_delta", "partial_json", e->text, out);
        break;
    case CHAT_CALL_END:
        close_block(c, out);
        break;
    case CHAT_CALL_ID:
        break;
    }
}

static void write_finish(struct completion *a, size_t index, struct strbuf *out)
{
    close_block(&a->choices[index], out);
}

static void write_end(struct completion *a, struct strbuf *out)
{
    begin_event(out, "message_delta");
    strbuf_text(out, ",\"delta\":{");
    add_stop(a, true, out);
    strbuf_text(out, "}");
    add_usage(a, out);
    strbuf_text(out, event_end);
    begin_event(out, "message_stop");
    strbuf_text(out, event_end);
}

static void write_fail(struct completion *a, struct strbuf *out)
{
    begin_event(out, "error");
    strbuf_format(out, ",\"error\":{\"type\":\"%s\",\"message\":", anthropic_error_type(a->status));
    strbuf_json(out, span_of(a->why.text));
    strbuf_text(out, "},\"request_id\":");
    strbuf_json(out, span_of(a->request_id));
    strbuf_text(out, event_end);
}

const struct completion_writer anthropic_writer = {
    .stream_type = "text/event-stream; charset=utf-8",
    .ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    .begins_early = true,
    .whole = write_whole,
    .begin = write_begin,
    .event = write_event,
    .finish = write_finish,
    .end = write_end,
    .fail = write_fail,
};
