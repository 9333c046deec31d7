/* responses_items.c - the routes of responses that are kept (--store): to read one, to delete it, to list what it was made
 * from. */
#include "openai_private.h"
#include "responses_private.h"

#include "berth/server/json/body.h"
#include "berth/server/response_store.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MOST (2 * ANSWER_MAX)
#define ITEMS_DEFAULT 20 /* of a page */
#define ITEMS_MOST 100

/* ---- a response ---- */

/* The response that the path names, held. NULL with the error. */
static const struct stored_response *asked_for(
    struct server *s, const struct http_request *q, struct api_error *c)
{
    char shown[100];
    struct span id = http_request_param(q, "id");
    const struct stored_response *found = s->responses ? response_store_get(s->responses, q->key, id) : NULL;
    text_escape(shown, sizeof(shown), id);
    if (!found)
        api_error_status(c, 404, NULL, NULL, "Response with id '%s' not found%s", shown,
            s->responses ? "." : ": this server keeps no responses, since it was started without --store.");
    return found;
}

static bool write_body(struct strbuf *out, const struct stored_response *response,
    const struct http_request *q, struct api_error *c)
{
    const char *stream = http_request_query(q, "stream");
    if (stream && strcmp(stream, "true") == 0)
        return api_error_bad(
            c, "stream", "'stream' is not supported here: a response that is kept comes whole");
    strbuf_add(out, response->body);
    return !out->failed || request_memory_refuse(c);
}

void openai_response(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    struct strbuf out;
    const struct stored_response *found = asked_for(s, q, &c);
    strbuf_init(&out, BODY_MOST);
    out.budget = &s->request_memory;
    if (found && write_body(&out, found, q, &c)) {
        reply_buffer(r, 200, "application/json", &out);
    } else {
        strbuf_release(&out);
        api_error_reply(&c, q, r);
    }
    if (found)
        response_store_drop(s->responses, found);
}

void openai_response_delete(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    const struct stored_response *found = asked_for(s, q, &c);
    if (!found) {
        api_error_reply(&c, q, r);
        return;
    }
    response_store_delete(s->responses, q->key, found->id);
    reply_json(r, 200,
        json_pack("{s:s%, s:s, s:b}", "id", (const char *)found->id.at, found->id.size, "object", "response",
            "deleted", 1));
    response_store_drop(s->responses, found);
}

void openai_responses_compact(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    (void)s;
    api_error_status(&c, 404, "unsupported_endpoint", NULL,
        "/v1/responses/compact is not supported: this server makes no encrypted summaries of conversations; send "
        "the items that the model is to see as 'input' of /v1/responses");
    api_error_reply(&c, q, r);
}

/* ---- the items of a conversation ---- */

/* The id of an item that came without one: the same each time. */
static json_t *made_id(const json_t *item, struct span response, size_t number)
{
    const json_t *type = json_object_get(item, "type");
    const char *prefix = translate_is_word(type, "message")         ? "msg"
                         : translate_is_word(type, "reasoning")     ? "rs"
                         : translate_is_word(type, "function_call") ? "fc"
                                                                    : "item";
    return json_sprintf(
        "%s_%.*s_in%zu", prefix, (int)(response.size - 5), (const char *)response.at + 5, number);
}

/* Sets a member that the item does not have. */
static bool complete(json_t *item, const char *name, json_t *value)
{
    if (!api_is_absent(json_object_get(item, name))) {
        json_decref(value);
        return true;
    }
    return json_object_set_new(item, name, value) == 0;
}

/* Appends an item as OpenAI shows it: with type and id, and of a message with parts and a status. */
static bool add_shown(json_t *all, const json_t *item, struct span response, size_t number)
{
    json_t *shown = json_copy((json_t *)(uintptr_t)item);
    json_t *content = json_object_get(shown, "content");
    bool good = shown && complete(shown, "type", json_string("message"));
    if (good && translate_is_word(json_object_get(shown, "type"), "message")) {
        bool model = translate_is_word(json_object_get(shown, "role"), "assistant");
        good = complete(shown, "status", json_string("completed"));
        if (good && json_is_string(content))
            good = json_object_set_new(shown, "content",
                       json_pack("[{s:s, s:O}]", "type", model ? "output_text" : "input_text", "text",
                           content)) == 0;
    }
    good = good && complete(shown, "id", made_id(shown, response, number));
    return json_array_append_new(all, shown) == 0 && good;
}

static bool add_input_items(json_t *all, const json_t *input, struct span response)
{
    bool good = true;
    if (json_is_string(input)) {
        json_t *message = json_pack("{s:s, s:s, s:O}", "type", "message", "role", "user", "content", input);
        good = message && add_shown(all, message, response, 0);
        json_decref(message);
    }
    for (size_t i = 0; good && i < json_array_size(input); i++)
        good = add_shown(all, json_array_get(input, i), response, i);
    return good;
}

/* All that the model was told but the instructions: the conversation before, and the request's own input. */
static json_t *all_items(const struct stored_response *last, const json_t *turns)
{
    json_t *all = json_array();
    bool good = all != NULL;
    const struct stored_response *r = last;
    size_t n = json_array_size(turns);
    struct span *ids = calloc(n, sizeof(*ids));
    for (size_t i = 0; ids && i < n; i++, r = r->previous)
        ids[i] = r->id;
    good = good && ids;
    for (size_t i = n; good && i-- > 0;) {
        const json_t *turn = json_array_get(turns, i);
        good = add_input_items(all, json_array_get(turn, 0), ids[i]) &&
               (i == 0 || json_array_extend(all, json_array_get(turn, 1)) == 0);
    }
    free(ids);
    if (good)
        return all;
    json_decref(all);
    return NULL;
}

/* What of a list a query asks for. */
struct page {
    size_t limit;
    bool rising;
    const char *after; /* an id; NULL: from the beginning */
};

static bool read_page(struct page *p, const struct http_request *q, struct api_error *c)
{
    const char *limit = http_request_query(q, "limit"), *order = http_request_query(q, "order");
    char *end = NULL;
    *p = (struct page){.limit = ITEMS_DEFAULT, .after = http_request_query(q, "after")};
    if (limit) {
        unsigned long n = strtoul(limit, &end, 10);
        if (limit[0] < '0' || limit[0] > '9' || *end || n < 1 || n > ITEMS_MOST)
            return api_error_bad(c, "limit", "'limit' must be a whole number from 1 to %d", ITEMS_MOST);
        p->limit = n;
    }
    p->rising = order && strcmp(order, "asc") == 0;
    return !order || p->rising || strcmp(order, "desc") == 0 ||
           api_error_bad(c, "order", "'order' must be asc or desc");
}

static json_t *id_of(const json_t *list, size_t i)
{
    return json_object_get(json_array_get(list, i), "id");
}

static bool reply_page(struct reply *r, const json_t *all, const struct page *p, struct api_error *c)
{
    size_t n = json_array_size(all), at = 0;
    json_t *data = json_array();
    if (p->after) {
        while (at < n && !translate_is_word(id_of(all, p->rising ? at : n - 1 - at), p->after))
            at++;
        if (at++ == n) {
            json_decref(data);
            return api_error_bad(c, "after", "'after' is the id of no item of this response");
        }
    }
    bool good = true;
    for (; good && at < n && json_array_size(data) < p->limit; at++)
        good = json_array_append(data, json_array_get(all, p->rising ? at : n - 1 - at)) == 0;
    size_t last = json_array_size(data);
    json_t *body = json_pack("{s:s, s:o, s:O?, s:O?, s:b}", "object", "list", "data", data, "first_id",
        id_of(data, 0), "last_id", last ? id_of(data, last - 1) : NULL, "has_more", at < n);
    if (!good || !body) {
        json_decref(body);
        return api_error_no_memory(c);
    }
    reply_json(r, 200, body);
    return true;
}

void openai_response_input_items(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    struct page page;
    size_t held = 0;
    const struct stored_response *found = asked_for(s, q, &c);
    json_t *turns =
        found && read_page(&page, q, &c) ? responses_turns(found, &s->request_memory, &held, &c) : NULL;
    json_t *all = turns ? all_items(found, turns) : NULL;
    if (turns && !all)
        api_error_no_memory(&c);
    if (!all || !reply_page(r, all, &page, &c))
        api_error_reply(&c, q, r);
    json_decref(all);
    json_decref(turns);
    byte_budget_give(&s->request_memory, held);
    if (found)
        response_store_drop(s->responses, found);
}
