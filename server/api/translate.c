/* translate.c - fields, tools and errors between a dialect and OpenAI's chat request. */
#include "berth/server/api/translate.h"

#include "fields_private.h"

#include "berth/base/log.h"

#include <stdio.h>
#include <string.h>

/* ---- fields ---- */

static const struct dialect_field sampling_fields[] = {
    {"cache_prompt", FIELD_COPIED, NULL, SCHEMA_TRUTH},
    {"cache_salt", FIELD_COPIED, NULL, SCHEMA_STRING},
    {"chat_template_kwargs", FIELD_COPIED, NULL, SCHEMA_OBJECT},
    {"frequency_penalty", FIELD_COPIED, NULL, SCHEMA_NUMBER},
    {"ignore_eos", FIELD_COPIED, NULL, SCHEMA_TRUTH},
    {"logit_bias", FIELD_COPIED, NULL, SCHEMA_OBJECT},
    {"min_p", FIELD_COPIED, NULL, SCHEMA_NUMBER},
    {"presence_penalty", FIELD_COPIED, NULL, SCHEMA_NUMBER},
    {"repeat_penalty", FIELD_COPIED, NULL, SCHEMA_NUMBER},
    {"repetition_penalty", FIELD_COPIED, NULL, SCHEMA_NUMBER},
    {"seed", FIELD_COPIED, NULL, SCHEMA_INTEGER},
    {"stop_token_ids", FIELD_COPIED, NULL, SCHEMA_LIST},
    {"temperature", FIELD_COPIED, NULL, SCHEMA_NUMBER},
    {"top_k", FIELD_COPIED, NULL, SCHEMA_INTEGER},
    {"top_p", FIELD_COPIED, NULL, SCHEMA_NUMBER},
    {"typical_p", FIELD_COPIED, NULL, SCHEMA_NUMBER},
};

#define N_SAMPLING (sizeof(sampling_fields) / sizeof(sampling_fields[0]))

static bool has_row(const struct dialect_fields *d, const struct dialect_field *row)
{
    unsigned routes = row->use / FIELD_ON;
    return !d->route || !routes || (routes & d->route);
}

static const struct dialect_field *find_row(const struct dialect_fields *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++)
        if (has_row(d, &d->rows[i]) && strcmp(d->rows[i].name, name) == 0)
            return &d->rows[i];
    return NULL;
}

static bool is_taken(const struct dialect_field *row)
{
    return (row->use & FIELD_USE) == FIELD_READ || (row->use & FIELD_USE) == FIELD_COPIED;
}

static bool is_neutral(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool use_field(const struct dialect_field *row, json_t *value, json_t *to, struct api_error *c)
{
    if ((row->use & FIELD_USE) == FIELD_REFUSED && !is_neutral(value))
        return api_error_status(c, 400, "unsupported_parameter", row->name, "'%s' is not supported%s",
            row->name, row->more ? row->more : "");
    if ((row->use & FIELD_USE) == FIELD_COPIED && to && !json_is_null(value) &&
        json_object_set(to, row->more ? row->more : row->name, value) != 0)
        return api_error_no_memory(c);
    return true;
}

static void try_rows(struct near *n, const struct dialect_fields *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (has_row(d, &d->rows[i]) && is_taken(&d->rows[i]))
            near_try(n, d->rows[i].name);
    struct route_field f;
    for (size_t i = 0; d->others && d->others(i, &f); i++)
        if (f.use == ROUTE_FIELD_TAKEN)
            near_try(n, f.name);
}

/* One missing, added or wrong character is a slip of the pen; more than that is another word. */
static bool check_unknown(
    const struct dialect_fields *d, const struct dialect_fields *more, const char *name, struct api_error *c)
{
    char shown[100];
    struct near near = near_begin(span_of(name));
    text_escape(shown, sizeof(shown), span_of(name));
    try_rows(&near, d);
    if (more)
        try_rows(&near, more);
    if (near.name && near.distance <= 1 && strlen(name) > 5)
        return api_error_status(c, 400, "unknown_parameter", shown,
            "'%s' is not a known field; did you mean '%s'?", shown, near.name);
    log_line(LOG_DEBUG, "an unknown field of a request is ignored", LOG_FIELDS(log_text("field", shown)));
    return true;
}

bool translate_fields(
    const json_t *request, const struct dialect_field *rows, size_t n, json_t *to, struct api_error *c)
{
    const char *name;
    json_t *value;
    struct dialect_fields d = {.rows = rows, .n = n}, more = {.rows = sampling_fields, .n = N_SAMPLING};
    /* jansson does not change an object that is only iterated. */
    json_object_foreach((json_t *)(uintptr_t)request, name, value)
    {
        const struct dialect_field *row = find_row(&d, name);
        if (!row)
            row = find_row(&more, name);
        if (row ? !use_field(row, value, to, c) : !check_unknown(&d, &more, name, c))
            return false;
    }
    return true;
}

/* ---- descriptions ---- */

static void describe_row(const struct dialect_field *row, struct route_field *out)
{
    const char *text = !is_taken(row) ? row->more : row->schema ? row->schema : "{}";
    out->name = row->name;
    out->use = is_taken(row)                             ? ROUTE_FIELD_TAKEN
               : (row->use & FIELD_USE) == FIELD_IGNORED ? ROUTE_FIELD_IGNORED
                                                         : ROUTE_FIELD_REFUSED;
    out->required = row->use & FIELD_REQUIRED;
    out->one_of = row->use & FIELD_ONE_OF;
    snprintf(out->schema, sizeof(out->schema), "not supported%s", text ? text : "");
    if (is_taken(row))
        snprintf(out->schema, sizeof(out->schema), "%s", text);
}

bool dialect_describe(const struct dialect_fields *d, size_t i, struct route_field *out)
{
    for (size_t k = 0; k < d->n; k++)
        if (has_row(d, &d->rows[k]) && i-- == 0) {
            describe_row(&d->rows[k], out);
            return true;
        }
    return d->others && d->others(i, out);
}

static bool sampling_field(size_t i, struct route_field *out)
{
    return dialect_describe(&(struct dialect_fields){.rows = sampling_fields, .n = N_SAMPLING}, i, out);
}

bool translate_describe(const struct dialect_field *rows, size_t n, size_t i, struct route_field *out)
{
    return dialect_describe(&(struct dialect_fields){.rows = rows, .n = n, .others = sampling_field}, i, out);
}

static bool check_others(const struct dialect_fields *d, const json_t *request, struct api_error *c)
{
    struct route_field f;
    for (size_t i = 0; d->others && d->others(i, &f); i++) {
        const json_t *value =
            f.use == ROUTE_FIELD_TAKEN && !find_row(d, f.name) ? json_object_get(request, f.name) : NULL;
        if (value && !json_is_null(value) && !schema_check_value(f.name, f.schema, value, c))
            return false;
    }
    return true;
}

bool dialect_check(const struct dialect_fields *d, const json_t *request, struct api_error *c)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)request, name, value)
    {
        const struct dialect_field *row = find_row(d, name);
        if (row ? !use_field(row, value, NULL, c)
                : !completion_params_knows(name) && !check_unknown(d, NULL, name, c))
            return false;
        if (row && is_taken(row) && row->schema && !schema_check_value(name, row->schema, value, c))
            return false;
    }
    return check_others(d, request, c);
}

bool translate_is_word(const json_t *value, const char *word)
{
    return value_is_word(value, word);
}

/* ---- errors ---- */

/* The row of the field that the text begins with, and the size of its name. */
static const struct renamed_field *row_at(
    const struct renamed_field *rows, size_t n, const char *text, size_t *size)
{
    for (size_t i = 0; i < n; i++) {
        *size = strlen(rows[i].name);
        if (strncmp(text, rows[i].name, *size) == 0 && (!text[*size] || strchr("'.[", text[*size])))
            return &rows[i];
    }
    return NULL;
}

void translate_error(struct api_error *c, const struct renamed_field *rows, size_t n)
{
    struct error said = {0};
    size_t out = 0, size;
    char param[sizeof(c->param)];
    const struct renamed_field *row = row_at(rows, n, c->param, &size);
    if (row) {
        snprintf(param, sizeof(param), "%s%.60s", row->own, row->whole ? "" : c->param + size);
        memcpy(c->param, param, sizeof(param));
    }
    for (const char *at = c->message.text; *at && out + 1 < sizeof(said.text);) {
        said.text[out++] = *at++;
        if (said.text[out - 1] != '\'' || !(row = row_at(rows, n, at, &size)))
            continue;
        int wrote = snprintf(said.text + out, sizeof(said.text) - out, "%s", row->own);
        out = out + (size_t)wrote < sizeof(said.text) ? out + (size_t)wrote : sizeof(said.text) - 1;
        at += row->whole ? strcspn(at, "'") : size;
    }
    said.text[out] = '\0';
    memcpy(c->message.text, said.text, sizeof(said.text));
}

/* ---- tools ---- */

static json_t *shared(const json_t *value)
{
    return json_incref((json_t *)(uintptr_t)value);
}

bool translate_tool(json_t *tools, const json_t *name, const json_t *description, const json_t *parameters,
    const json_t *strict)
{
    json_t *function = json_pack("{s:o}", "name", shared(name));
    int failed = !function;
    if (json_is_string(description))
        failed |= json_object_set_new(function, "description", shared(description));
    if (parameters && !json_is_null(parameters))
        failed |= json_object_set_new(function, "parameters", shared(parameters));
    if (json_is_true(strict))
        failed |= json_object_set_new(function, "strict", json_true());
    failed |= json_array_append_new(tools, json_pack("{s:s, s:o}", "type", "function", "function", function));
    return failed == 0;
}

bool translate_skipped_tool(json_t *warnings, size_t index, const json_t *type)
{
    char shown[64];
    text_escape(shown, sizeof(shown),
        (struct span){(const uint8_t *)json_string_value(type), json_string_length(type)});
    return json_array_append_new(
               warnings, json_sprintf("tools[%zu], of type '%s', is left out: this server cannot run it",
                             index, shown)) == 0;
}

/* ---- answers ---- */

static void add_warning(struct strbuf *out, size_t *n, const char *text, size_t size)
{
    strbuf_text(out, (*n)++ ? "," : ",\"warnings\":[");
    strbuf_json(out, (struct span){(const uint8_t *)text, size});
}

void answer_add_warnings(const struct completion *a, const json_t *more, struct strbuf *out)
{
    size_t n = 0;
    char note[sizeof(a->notes.at[0]) + 32];
    for (size_t i = 0; i < json_array_size(more); i++) {
        const json_t *text = json_array_get(more, i);
        add_warning(out, &n, json_string_value(text), json_string_length(text));
    }
    for (size_t i = 0; i < a->notes.n; i++) {
        snprintf(note, sizeof(note), "not enforced: %s", a->notes.at[i]);
        add_warning(out, &n, note, strlen(note));
    }
    if (a->notes.more > 0) {
        snprintf(note, sizeof(note), "and %zu more", a->notes.more);
        add_warning(out, &n, note, strlen(note));
    }
    strbuf_text(out, n ? "]" : "");
}

bool chat_count(
    struct server *s, const struct http_request *q, json_t *request, size_t *n, struct api_error *c)
{
    struct requested_model m = {0};
    struct completion_params w = {0};
    struct prompt p = prompt_for(s, q);
    bool parallel;
    bool good = completion_params_read(&w, request, FOR_CHAT, c) &&
                api_truth(request, "parallel_tool_calls", true, &parallel, c) &&
                requested_model_find(&m, s, request, NEEDS_TOKENIZER | NEEDS_CHAT, c) &&
                prompt_of_chat(&p, &m, request, c);
    *n = p.ids.n;
    completion_params_release(&w);
    prompt_release(&p);
    requested_model_release(&m, s);
    return good;
}
