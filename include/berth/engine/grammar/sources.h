/* sources.h - languages in which a client says what an answer may be: each becomes an expression of builder.h.
 *
 * Each reader fails the builder with a message that names what it does not understand and where.
 */
#ifndef BERTH_GRAMMAR_SOURCES_H
#define BERTH_GRAMMAR_SOURCES_H

#include "berth/base/value.h"
#include "berth/engine/grammar/builder.h"

/* The whole text matches the regular expression: the syntax of ECMA-262 with `u`, and what Python's `re` adds to it that
 * is regular. Anchors are allowed anywhere but in a repetition. Look-around, back references, word borders, Unicode
 * properties and flags are refused by name. Where the two differ about a class, it has what it has in both. With
 * `anywhere` it is enough that a part of the text matches, as JSON Schema's "pattern" has it. Lazy quantifiers match the
 * same texts as greedy ones. A pattern has at most 64 KiB. */
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

/* Any JSON value; any JSON object. Numbers have so few digits that each is a finite double, strings hold no half of a
 * surrogate pair, and white space around tokens is bounded. Nesting is not. `o` must live as long as the call. */
grammar_node grammar_json(struct grammar_builder *b, const struct json_schema_options *o);
grammar_node grammar_json_object(struct grammar_builder *b, const struct json_schema_options *o);

/* A JSON text that is valid under the schema, of draft 7, 2019-09 or 2020-12, whose $ref are local. Every text that
 * matches is valid; not every valid text matches: members come in the order of `properties`, and members beside these come
 * where the schema says so. docs/structured-output.md says which keywords are enforced. In strict mode the builder fails
 * with "KEYWORD at PATH: why" where one cannot be; otherwise it is noted. In both modes it fails when the schema is
 * malformed or nothing is valid under it. `notes` may be NULL, and is cleared first. The values are read during the call
 * alone. Not more than some 24 MiB are in use meanwhile. */
grammar_node grammar_json_schema(struct grammar_builder *b, struct value schema,
    const struct json_schema_options *o, struct json_notes *notes);

/* The same as the parts of an object schema, for call syntaxes that write arguments their own way: calls `each` for each
 * property, in order. False when the schema is no object with properties that can be taken apart: it has other types,
 * choices, counts, or members that it does not name; or when the builder has failed. `each` may have been called before
 * that only when the builder has failed. A property that nothing is valid for is left out. */
struct json_property {
    struct span name;
    grammar_node value; /* in the options' style */
    bool required;
    bool is_string; /* its type is "string" alone, and text holds all of it: no enum, pattern or length */
    struct value schema; /* what the schema says first about it, or true; valid while `each` is called */
};
bool grammar_json_properties(struct grammar_builder *b, struct value schema,
    const struct json_schema_options *o, struct json_notes *notes,
    void (*each)(void *context, const struct json_property *p), void *context);

#endif
