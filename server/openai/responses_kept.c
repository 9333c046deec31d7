/* responses_kept.c - responses that are kept (--store): what a request goes on from, and what is kept of an answer.
 *
 * A kept response has the `input` of its own request and its output. What it goes on from is kept beside it; the
 * conversation up to it is the way through these, back to the first.
 */
#include "responses_private.h"

#include "berth/base/log.h"
#include "berth/server/json/body.h"
#include "berth/server/response_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_A_BYTE 10 /* of a text: its copies as JSON, value and prompt, as in request_memory.c */

/* ---- a request that is to be kept, or goes on from what is ---- */

static bool refuse_previous(const json_t *previous, struct api_error *c)
{
    char shown[100];
    text_escape(shown, sizeof(shown), api_text(previous));
    return api_error_status(c, 400, "previous_response_not_found", "previous_response_id",
        "Previous response with id '%s' not found.", shown);
}

static bool find_previous(struct responses_request *m, struct server *s, const struct http_request *q,
    const json_t *previous, struct api_error *c)
{
    if (!s->responses)
        return api_error_status(c, 400, "unsupported_parameter", "previous_response_id",
            "'previous_response_id' is not supported: this server keeps no responses, since it was started without "
            "--store; send the whole conversation as 'input'");
    m->previous = response_store_get(s->responses, q->key, api_text(previous));
    return m->previous || refuse_previous(previous, c);
}

/* What responses_keep stores beside the response. */
static json_t *what_is_kept(const struct http_request *q, const json_t *request, const json_t *previous)
{
    const json_t *input = json_object_get(request, "input");
    char *text = input ? json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("null");
    if (!text)
        return NULL;
    json_t *kept = json_pack("{s:s, s:I, s:O?}", "input", text, "key", (json_int_t)q->key, "previous",
        (json_t *)(uintptr_t)previous);
    free(text);
    return kept;
}

bool responses_read_kept(struct responses_request *m, struct server *s, const struct http_request *q,
    const json_t *request, json_t *echo, struct api_error *c)
{
    bool keeps;
    const json_t *previous = json_object_get(request, "previous_response_id");
    if (!api_is_absent(previous) && !json_is_string(previous))
        return api_error_bad(c, "previous_response_id", "'previous_response_id' must be a string");
    if (json_string_length(previous) == 0)
        previous = NULL;
    if (!api_truth(request, "store", true, &keeps, c) || (previous && !find_previous(m, s, q, previous, c)))
        return false;
    keeps = keeps && s->responses;
    if (keeps && json_object_set_new(m->told, "kept", what_is_kept(q, request, previous)) != 0)
        return api_error_no_memory(c);
    json_t *told =
        json_pack("{s:O?, s:b}", "previous_response_id", (json_t *)(uintptr_t)previous, "store", keeps);
    bool good = told && json_object_update(echo, told) == 0;
    json_decref(told);
    return good || api_error_no_memory(c);
}

void responses_keep(const struct completion *a, struct span body, struct span output)
{
    char id[ANSWER_ID_MAX + 8];
    struct response_store *all = a->server->responses;
    const json_t *kept = json_object_get(a->request, "kept");
    const json_t *previous = json_object_get(kept, "previous");
    if (!kept)
        return;
    snprintf(id, sizeof(id), "resp_%s", a->id);
    struct stored_response response = {.id = span_of(id),
        .owner = (size_t)json_integer_value(json_object_get(kept, "key")),
        .body = body,
        .output = output,
        .input = api_text(json_object_get(kept, "input"))};
    if (json_is_string(previous))
        response.previous = response_store_get(all, response.owner, api_text(previous));
    /* Without its beginning the conversation would be another one. */
    bool whole = !json_is_string(previous) || response.previous;
    if (!whole || !response_store_add(all, &response))
        log_line(LOG_INFO, "a response is not kept",
            LOG_FIELDS(log_text("id", id), log_count("bytes", body.size),
                log_text("reason", whole ? "--store has too little room" : "what it goes on from is gone")));
    response_store_drop(all, response.previous);
}

/* ---- kept texts ---- */

/* The bytes that a kept text takes until it is token ids. */
static size_t bytes_of(struct span text)
{
    return 2 * http_json_bytes(text) + BYTES_A_BYTE * text.size;
}

static json_t *parsed(struct span text)
{
    json_error_t why;
    bool no_memory;
    return json_parse(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why, &no_memory);
}

json_t *responses_turns(
    const struct stored_response *last, struct byte_budget *memory, size_t *held, struct api_error *c)
{
    json_t *turns = json_array();
    for (const struct stored_response *r = last; r; r = r->previous) {
        size_t bytes = bytes_of(r->input) + bytes_of(r->output);
        bool taken = byte_budget_take(memory, bytes);
        *held += taken ? bytes : 0;
        if (taken &&
            json_array_append_new(turns, json_pack("[o, o]", parsed(r->input), parsed(r->output))) == 0)
            continue;
        json_decref(turns);
        if (taken)
            api_error_no_memory(c);
        else
            request_memory_refuse(c);
        return NULL;
    }
    if (!turns)
        api_error_no_memory(c);
    return turns;
}

/* ---- references to items ---- */

/* The item number n of what `text` is the list of, in *out. False with the error, also for lack of memory. */
static bool item_at(
    struct span text, size_t n, struct byte_budget *memory, size_t *held, json_t **out, struct api_error *c)
{
    size_t bytes = bytes_of(text);
    if (!byte_budget_take(memory, bytes))
        return request_memory_refuse(c);
    *held += bytes;
    json_t *list = parsed(text);
    *out = json_incref(json_array_get(list, n));
    json_decref(list);
    return list || api_error_no_memory(c);
}

/* An output item's id is KIND_RESPONSE_NUMBER, as responses_answer.c makes it. */
static bool find_item(struct responses_request *m, struct server *s, const struct http_request *q,
    const char *id, json_t **out, struct api_error *c)
{
    char name[ANSWER_ID_MAX + 8];
    const char *response = strchr(id, '_'), *number = strrchr(id, '_');
    *out = NULL;
    if (!response || number == response || number[1] < '0' || number[1] > '9')
        return true;
    snprintf(name, sizeof(name), "resp%.*s", (int)(number - response), response);
    const struct stored_response *found = response_store_get(s->responses, q->key, span_of(name));
    bool good =
        !found || item_at(found->output, strtoul(number + 1, NULL, 10), &s->request_memory, &m->held, out, c);
    if (found)
        response_store_drop(s->responses, found);
    const char *known = json_string_value(json_object_get(*out, "id"));
    if (*out && (!known || strcmp(known, id) != 0)) {
        json_decref(*out);
        *out = NULL;
    }
    return good;
}

bool responses_resolve(struct responses_request *m, struct server *s, const struct http_request *q,
    json_t *request, struct api_error *c)
{
    char param[32], shown[100];
    size_t i;
    json_t *input = json_object_get(request, "input"), *item, *found;
    json_array_foreach(input, i, item)
    {
        const json_t *id = json_object_get(item, "id");
        if (!s->responses || !translate_is_word(json_object_get(item, "type"), "item_reference") ||
            !json_is_string(id))
            continue;
        if (!find_item(m, s, q, json_string_value(id), &found, c))
            return false;
        snprintf(param, sizeof(param), "input[%zu]", i);
        text_escape(shown, sizeof(shown), api_text(id));
        if (!found)
            return api_error_status(c, 404, NULL, param, "Item with id '%s' not found.", shown);
        if (json_array_set_new(input, i, found) != 0)
            return api_error_no_memory(c);
    }
    return true;
}
