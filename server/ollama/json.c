/* json.c - the objects of Ollama's answers, written as text: one, or one a line of a stream (NDJSON).
 *
 * A call of a tool is written once, whole, since its arguments are an object: until then the choice gathers them. A call
 * that was cut has no arguments that are JSON, and is left out.
 */
#include "ollama_private.h"

#include <inttypes.h>
#include <time.h>

/* What one object tells. */
struct ollama_part {
    struct span text, thinking;
    const struct tool_call *calls; /* [n_calls] */
    size_t n_calls, first_call; /* the number of the first among all calls of the answer */
    const struct strbuf *logprobs; /* items of a list; NULL for none */
};

/* ---- parts of an object ---- */

void ollama_add_time(struct strbuf *out, int64_t seconds, long nanoseconds)
{
    struct tm tm;
    char text[32];
    time_t at = (time_t)seconds;
    if (!gmtime_r(&at, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        text[0] = '\0';
    strbuf_format(out, "\"%s.%09ldZ\"", text, nanoseconds);
}

void ollama_add_head(struct strbuf *out, struct span model)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    strbuf_text(out, "{\"model\":");
    strbuf_json(out, model);
    strbuf_text(out, ",\"created_at\":");
    ollama_add_time(out, now.tv_sec, now.tv_nsec);
}

/* The name that the client gave, so that it finds it again; the model's id where it gave none. */
static void add_head(const struct completion *a, struct strbuf *out)
{
    const json_t *name = json_object_get(a->request, "model");
    struct span id = span_of(a->requested_model.model->id);
    if (json_is_string(name) && json_string_length(name) > 0)
        id = (struct span){(const uint8_t *)json_string_value(name), json_string_length(name)};
    ollama_add_head(out, id);
}

/* JSON without white space between its values, on one line. */
static void add_compact(struct strbuf *out, struct span json)
{
    bool quoted = false;
    size_t start = 0;
    for (size_t i = 0; i <= json.size; i++) {
        uint8_t c = i < json.size ? json.at[i] : ' ';
        bool white = c == ' ' || c == '\n' || c == '\r' || c == '\t';
        if (quoted && c == '\\' && i + 1 < json.size) {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (i == json.size || (white && !quoted)) {
            strbuf_add(out, (struct span){json.at + start, i - start});
            start = i + 1;
        }
    }
}

static void add_calls(struct strbuf *out, const struct ollama_part *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_calls; i++) {
        const struct tool_call *call = &p->calls[i];
        if (!call->whole)
            continue;
        strbuf_text(out, n++ ? "},{" : ",\"tool_calls\":[{");
        strbuf_text(out, "\"id\":");
        strbuf_json(out, span_of(call->id));
        strbuf_format(out, ",\"function\":{\"index\":%zu,\"name\":", p->first_call + i);
        strbuf_json(out, strbuf_span(&call->name));
        strbuf_text(out, ",\"arguments\":");
        if (call->arguments.size > 0)
            add_compact(out, strbuf_span(&call->arguments));
        else
            strbuf_text(out, "{}");
        strbuf_text(out, "}");
    }
    if (n > 0)
        strbuf_text(out, "}]");
}

static void add_part(const struct completion *a, struct strbuf *out, const struct ollama_part *p)
{
    bool chat = a->writer == &ollama_chat_writer;
    strbuf_text(out, chat ? ",\"message\":{\"role\":\"assistant\",\"content\":" : ",\"response\":");
    strbuf_json(out, p->text);
    if (p->thinking.size > 0) {
        strbuf_text(out, ",\"thinking\":");
        strbuf_json(out, p->thinking);
    }
    add_calls(out, p);
    if (chat)
        strbuf_text(out, "}");
    if (p->logprobs && p->logprobs->size > 0) {
        strbuf_text(out, ",\"logprobs\":[");
        delta_add_part(out, p->logprobs);
        strbuf_text(out, "]");
    }
}

static int64_t nanoseconds(double seconds)
{
    return seconds > 0 ? (int64_t)(seconds * 1e9) : 0;
}

/* Clients divide by eval_duration, so it is never 0. */
static void add_done(const struct completion *a, struct strbuf *out)
{
    static const struct finish_words words = {.stop = "stop", .length = "length", .calls = "stop"};
    struct completion_totals t = completion_totals_of(a);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double total = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - a->arrived;
    strbuf_format(out,
        ",\"done\":true,\"done_reason\":\"%s\",\"total_duration\":%" PRId64
        ",\"load_duration\":0,\"prompt_eval_count\":%zu,\"prompt_eval_duration\":%" PRId64
        ",\"eval_count\":%zu,\"eval_duration\":%" PRId64 "}",
        choice_finish_word(&a->choices[0], &words), nanoseconds(total), t.prompt,
        nanoseconds(t.prompt_seconds), t.generated, nanoseconds(t.generate_seconds) + 1);
}

/* ---- the writers ---- */

static void write_whole(const struct completion *a, struct strbuf *out)
{
    const struct choice *c = &a->choices[0];
    add_head(a, out);
    add_part(a, out,
        &(struct ollama_part){.text = strbuf_span(&c->delta.text),
            .thinking = strbuf_span(&c->delta.reasoning),
            .calls = c->calls,
            .n_calls = c->n_gathered,
            .logprobs = &c->delta.tokens});
    add_done(a, out);
}

static void write_event(
    struct completion *a, size_t index, const struct completion_event *e, struct strbuf *out)
{
    const struct choice *c = &a->choices[index];
    struct ollama_part p = {.logprobs = e->lists ? &e->lists->tokens : NULL};
    if (e->kind == CHAT_TEXT)
        p.text = e->text;
    if (e->kind == CHAT_REASONING)
        p.thinking = e->text;
    if (e->kind == CHAT_CALL_END && c->n_gathered > 0) {
        p.calls = &c->calls[c->n_gathered - 1];
        p.n_calls = 1;
        p.first_call = c->n_gathered - 1;
    }
    if (p.text.size == 0 && p.thinking.size == 0 && p.n_calls == 0 && !p.logprobs)
        return;
    add_head(a, out);
    add_part(a, out, &p);
    strbuf_text(out, ",\"done\":false}\n");
}

static void write_end(struct completion *a, struct strbuf *out)
{
    add_head(a, out);
    add_part(a, out, &(struct ollama_part){0});
    add_done(a, out);
    strbuf_text(out, "\n");
}

static void write_fail(struct completion *a, struct strbuf *out)
{
    strbuf_text(out, "{\"error\":");
    strbuf_json(out, span_of(a->why.text));
    strbuf_text(out, "}\n");
}

#define WRITER                                                                                               \
    {                                                                                                        \
        .stream_type = "application/x-ndjson", .gathers = true, .token_objects = true, .whole = write_whole, \
        .event = write_event, .end = write_end, .fail = write_fail                                           \
    }

/* Two, so that each is told by its address. */
const struct completion_writer ollama_chat_writer = WRITER;
const struct completion_writer ollama_generate_writer = WRITER;
