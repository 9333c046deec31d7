/* json.c - the objects and events of llama.cpp's answers, written as text. */
#include "llamacpp_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings ---- */

void llamacpp_add_settings(struct strbuf *out, const struct llamacpp_settings *w)
{
    const struct sampler_options *s = w->sampling;
    int64_t most = w->max_tokens < INT64_MAX ? (int64_t)w->max_tokens : -1;
    strbuf_format(out, "{\"n_predict\":%" PRId64 ",\"max_tokens\":%" PRId64 ",\"seed\":%" PRIu64, most, most,
        w->seeded ? s->seed : UINT64_C(4294967295));
    strbuf_format(out,
        ",\"temperature\":%.7g,\"top_k\":%" PRIu32 ",\"top_p\":%.7g,\"min_p\":%.7g,\"typical_p\":%.7g",
        (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p, (double)s->typical_p);
    strbuf_format(out,
        ",\"repeat_last_n\":-1,\"repeat_penalty\":%.7g,\"presence_penalty\":%.7g,\"frequency_penalty\":%.7g",
        (double)s->repetition_penalty, (double)s->presence_penalty, (double)s->frequency_penalty);
    strbuf_text(out, ",\"dynatemp_range\":0.0,\"xtc_probability\":0.0,\"dry_multiplier\":0.0,\"mirostat\":0"
                     ",\"n_keep\":0,\"min_keep\":0,\"samplers\":[\"penalties\",\"temperature\",\"top_k\","
                     "\"typ_p\",\"top_p\",\"min_p\"],\"stop\":[");
    for (size_t i = 0; i < w->n_stops; i++) {
        strbuf_text(out, i ? "," : "");
        strbuf_json(out, w->stops[i]);
    }
    strbuf_format(out, "],\"ignore_eos\":%s,\"stream\":%s,\"n_probs\":%" PRIu32 "}",
        w->ignore_eos ? "true" : "false", w->stream ? "true" : "false", w->n_probs);
}

/* ---- parts of an object ---- */

static const struct job_request *request_of(const struct completion *a, size_t index)
{
    return job_request_of(a->prompts[index].job);
}

static bool reads_only(const struct completion *a)
{
    return json_is_true(json_object_get(a->request, "reads_only"));
}

static size_t generated(const struct completion *a, size_t index)
{
    return reads_only(a) ? 0 : a->choices[index].generated;
}

static void add_tokens(struct strbuf *out, const struct strbuf *ids)
{
    strbuf_text(out, ",\"tokens\":[");
    if (ids)
        delta_add_part(out, ids);
    strbuf_text(out, "]");
}

static void add_probabilities(const struct completion *a, struct strbuf *out, const struct strbuf *items)
{
    if (!a->logprobs || !items)
        return;
    strbuf_text(out, ",\"completion_probabilities\":[");
    delta_add_part(out, items);
    strbuf_text(out, "]");
}

static void add_stop(const struct completion *a, struct strbuf *out, size_t index)
{
    const struct choice *c = &a->choices[index];
    bool stops = c->finish == JOB_STOP && !reads_only(a), word = stops && c->stopped_by >= 0;
    strbuf_format(out, ",\"stop_type\":\"%s\",\"stopping_word\":", word ? "word" : stops ? "eos" : "limit");
    strbuf_json(out, word ? request_of(a, index)->stops[c->stopped_by] : span_of(""));
}

/* The text of the ids that the model got, special tokens too. */
static void add_prompt(const struct completion *a, struct strbuf *out, size_t index)
{
    struct strbuf text;
    const struct tokenizer_ids *ids = &a->prompts[index].prompt.ids;
    struct detokenizer d = {
        .tokenizer = text_model_tokenizer(a->requested_model.text), .special = true, .strip = true};
    strbuf_init(&text, TOKENIZER_TEXT_MAX);
    text.budget = &a->server->request_memory;
    for (size_t i = 0; d.tokenizer && i < ids->n; i++)
        detokenizer_add(&d, ids->at[i], &text);
    if (d.tokenizer)
        detokenizer_end(&d, &text);
    strbuf_text(out, ",\"prompt\":");
    strbuf_json(out, strbuf_span(&text));
    out->failed = out->failed || text.failed;
    strbuf_release(&text);
}

static double per(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void add_timings(struct strbuf *out, const struct job_usage *u, size_t prompt, size_t predicted)
{
    double read = (double)(prompt - u->cached_tokens), said = (double)predicted;
    double read_ms = u->prompt_seconds * 1000, said_ms = u->generate_seconds * 1000;
    strbuf_format(out,
        ",\"timings\":{\"cache_n\":%zu,\"prompt_n\":%.0f,\"prompt_ms\":%.3f,\"prompt_per_token_ms\":%.6g"
        ",\"prompt_per_second\":%.6g,\"predicted_n\":%.0f,\"predicted_ms\":%.3f"
        ",\"predicted_per_token_ms\":%.6g,\"predicted_per_second\":%.6g}",
        u->cached_tokens, read, read_ms, per(read_ms, read), per(read, u->prompt_seconds), said, said_ms,
        per(said_ms, said), per(said, u->generate_seconds));
}

/* What comes with the end of an answer. */
static void add_end(const struct completion *a, struct strbuf *out, size_t index)
{
    const struct job_request *r = request_of(a, index);
    struct job_usage u = job_usage_of(a->prompts[index].job);
    size_t prompt = a->prompts[index].prompt.ids.n;
    strbuf_text(out, ",\"id_slot\":-1,\"stop\":true,\"model\":");
    strbuf_json(out, span_of(a->requested_model.model->id));
    strbuf_format(out, ",\"tokens_predicted\":%zu,\"tokens_evaluated\":%zu,\"tokens_cached\":%zu",
        generated(a, index), prompt, u.cached_tokens);
    strbuf_text(out, ",\"truncated\":false,\"generation_settings\":");
    llamacpp_add_settings(out, &(struct llamacpp_settings){.sampling = &r->sampling,
                                   .seeded = true,
                                   .max_tokens = reads_only(a) ? 0 : r->max_tokens,
                                   .stops = r->stops,
                                   .n_stops = r->n_stops,
                                   .n_probs = r->n_top,
                                   .ignore_eos = r->ignore_end,
                                   .stream = a->stream});
    add_prompt(a, out, index);
    add_stop(a, out, index);
    add_timings(out, &u, prompt, generated(a, index));
}

static void add_result(const struct completion *a, struct strbuf *out, size_t index)
{
    static const struct delta nothing;
    const struct delta *f = reads_only(a) ? &nothing : &a->choices[index].delta;
    strbuf_format(out, "{\"index\":%zu,\"content\":", index);
    strbuf_json(out, strbuf_span(&f->text));
    add_tokens(out, &f->ids);
    add_end(a, out, index);
    add_probabilities(a, out, &f->tokens);
    strbuf_text(out, "}");
}

/* ---- some fields of an object ---- */

/* "timings/prompt_n" is a member of a member. */
static const json_t *value_at(const json_t *object, const char *path)
{
    for (const char *slash; object && (slash = strchr(path, '/')); path = slash + 1)
        object = json_object_getn(object, path, (size_t)(slash - path));
    return json_object_get(object, path);
}

/* Puts the members that the client names in the place of text[from, size). */
static void pick(struct strbuf *out, size_t from, const json_t *fields)
{
    json_error_t why;
    bool no_memory;
    struct span text = {(const uint8_t *)out->text + from, out->size - from};
    if (out->failed || !json_is_array(fields) || json_array_size(fields) == 0)
        return;
    json_t *all = json_parse(text, JSON_ALLOW_NUL, &why, &no_memory), *picked = json_object();
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const char *path = json_string_value(json_array_get(fields, i));
        const json_t *value = path ? value_at(all, path) : NULL;
        if (value)
            json_object_set(picked, path, (json_t *)(uintptr_t)value);
    }
    char *short_text = json_dumps(picked, JSON_COMPACT);
    json_decref(all);
    json_decref(picked);
    strbuf_cut(out, from);
    if (short_text)
        strbuf_text(out, short_text);
    out->failed = out->failed || !short_text;
    free(short_text);
}

/* ---- the writer ---- */

/* One prompt is answered by an object, several by a list. */
static void write_whole(const struct completion *a, struct strbuf *out)
{
    const json_t *fields = json_object_get(a->request, "response_fields");
    strbuf_text(out, a->n_prompts > 1 ? "[" : "");
    for (size_t i = 0; i < a->n_prompts; i++) {
        strbuf_text(out, i ? "," : "");
        size_t from = out->size;
        add_result(a, out, i);
        pick(out, from, fields);
    }
    strbuf_text(out, a->n_prompts > 1 ? "]" : "");
}

static void write_event(
    struct completion *a, size_t index, const struct completion_event *e, struct strbuf *out)
{
    if ((e->text.size == 0 && !e->lists) || reads_only(a))
        return;
    strbuf_format(out, "data: {\"index\":%zu,\"content\":", index);
    strbuf_json(out, e->text);
    add_tokens(out, e->lists ? &e->lists->ids : NULL);
    strbuf_format(out, ",\"stop\":false,\"id_slot\":-1,\"tokens_predicted\":%zu,\"tokens_evaluated\":%zu",
        a->choices[index].generated, a->prompts[index].prompt.ids.n);
    add_probabilities(a, out, e->lists ? &e->lists->tokens : NULL);
    strbuf_text(out, "}\n\n");
}

static void write_finish(struct completion *a, size_t index, struct strbuf *out)
{
    strbuf_format(out, "data: {\"index\":%zu,\"content\":\"\"", index);
    add_tokens(out, NULL);
    add_end(a, out, index);
    strbuf_text(out, "}\n\n");
}

static void write_fail(struct completion *a, struct strbuf *out)
{
    strbuf_format(out, "data: {\"error\":{\"code\":%u,\"message\":", a->status);
    strbuf_json(out, span_of(a->why.text));
    strbuf_format(out, ",\"type\":\"%s\"}}\n\n", a->status >= 500 ? "server_error" : "invalid_request_error");
}

const struct completion_writer llamacpp_writer = {
    .stream_type = "text/event-stream; charset=utf-8",
    .token_objects = true,
    .token_object_ids = true,
    .whole = write_whole,
    .event = write_event,
    .finish = write_finish,
    .fail = write_fail,
};
