/* sources.h - languages in which a client says what an answer may be: each becomes an expression of builder.h.
 *
 * Each reader fails the builder with a message that names what it does not understand and where.
 */
#ifndef BERTH_GRAMMAR_SOURCES_H
#define BERTH_GRAMMAR_SOURCES_H

#include "berth/base/value.h"
#include "berth/engine/grammar/builder.h"

/* The whole text matches the regular expression: the syntax of ECMA-262 with `u`, and what Python's `re` adds to it that
 * is regular. ^ and $ are allowed at the ends of alternatives. Look-around, back references and word borders are refused
 * by name. With `anywhere` it is enough that a part of the text matches, as JSON Schema's "pattern" has it. Lazy
 * quantifiers match the same texts as greedy ones. */
grammar_node grammar_regex(struct grammar_builder *b, struct span pattern, bool anywhere);

/* A grammar in GBNF, as llama.cpp reads it, with the rule "root". The reason names the line. */
grammar_node grammar_gbnf(struct grammar_builder *b, struct span source);

/* ---- JSON ---- */

enum json_style {
    JSON_STYLE_JSON,
    JSON_STYLE_PYTHON, /* True, False and None, each with a tag: see below */
};

/* Tags of Python's literals, so that a reader can write JSON's: */
#define JSON_TAG_TRUE (UINT16_MAX - 1)
#define JSON_TAG_FALSE (UINT16_MAX - 2)
#define JSON_TAG_NULL (UINT16_MAX - 3)

struct json_schema_options {
    enum json_style style;
    bool strict; /* what cannot be enforced fails; otherwise it is left out, and named in `notes` */
    bool compact; /* no white space at all between tokens; otherwise bounded white space */
};

#define JSON_NOTES_MAX 8

/* What was not enforced: paths with the keyword, "properties.city.format". */
struct json_notes {
    char at[JSON_NOTES_MAX][128];
    size_t n, more; /* `more`: how many have no room */
};

/* Any JSON value; any JSON object. */
grammar_node grammar_json(struct grammar_builder *b, const struct json_schema_options *o);
grammar_node grammar_json_object(struct grammar_builder *b, const struct json_schema_options *o);

/* A JSON text that is valid under the schema, a value whose $ref are local. Every text that matches is valid; not every
 * valid text matches: members come in the order of `properties`, and members beside these come where the schema says so.
 * In strict mode the builder fails with "KEYWORD at PATH …" where a keyword cannot be enforced. `notes` may be NULL. */
grammar_node grammar_json_schema(struct grammar_builder *b, struct value schema,
    const struct json_schema_options *o, struct json_notes *notes);

/* The same as the parts of an object schema, for call syntaxes that write arguments their own way: calls `each` for each
 * property, in order. False when the schema is no object with properties that can be taken apart. */
struct json_property {
    struct span name;
    grammar_node value; /* in the options' style */
    bool required;
    bool is_string; /* its type is "string" alone, and text holds all of it: no enum, pattern or length */
    struct value schema;
};
bool grammar_json_properties(struct grammar_builder *b, struct value schema, const struct json_schema_options *o,
    struct json_notes *notes, void (*each)(void *context, const struct json_property *p), void *context);

#endif
