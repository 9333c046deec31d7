/* schema_grammar.h - grammars of schemas and patterns for tests: compile, match, say what is wrong. */
#ifndef BERTH_SCHEMA_GRAMMAR_H
#define BERTH_SCHEMA_GRAMMAR_H

#include "berth/engine/grammar/grammar.h"
#include "berth/engine/grammar/sources.h"
#include "berth/server/openai/json_value.h"

#include <stdlib.h>
#include <string.h>

/* The value of a JSON text, in the arena. Quotes may be written as ' in `text`. */
static inline struct value schema_value(struct value_arena *arena, const char *text)
{
    struct error err = {0};
    struct value v = value_undefined;
    char *quoted = strdup(text);
    if (!quoted)
        abort();
    for (char *at = quoted; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads(quoted, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    free(quoted);
    if (!json || !json_to_value(arena, json, &v, &err))
        v = value_undefined;
    json_decref(json);
    return v;
}

/* The grammar of a schema, written with ' for quotes. NULL with the reason. `notes` may be NULL. */
static inline struct grammar *schema_grammar(
    const char *schema, const struct json_schema_options *o, struct json_notes *notes, struct error *err)
{
    struct value_arena *arena = value_arena_new((size_t)1 << 26);
    struct grammar_builder *b = grammar_builder_new(0);
    if (!arena || !b)
        abort();
    struct value v = schema_value(arena, schema);
    if (v.kind == VALUE_UNDEFINED)
        error_set(err, "the test's schema is not JSON: %.200s", schema);
    struct grammar *g =
        v.kind == VALUE_UNDEFINED ? NULL : grammar_build(b, grammar_json_schema(b, v, o, notes), err);
    grammar_builder_free(b);
    value_arena_free(arena);
    return g;
}

#endif
