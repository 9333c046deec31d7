/* json_private.h - the pieces of JSON's syntax that schemas are put together from. */
#ifndef BERTH_JSON_PRIVATE_H
#define BERTH_JSON_PRIVATE_H

#include "berth/engine/grammar/sources.h"

/* Rules that many places of a grammar call. Each is made when it is first needed. */
struct json_parts {
    struct grammar_builder *b;
    const struct json_schema_options *o;
    struct json_part {
        grammar_rule rule;
        bool made;
    } indent, string, number, fraction, integer, value, list, object;
};

grammar_node json_text(struct json_parts *p, const char *text);
grammar_node json_line(struct json_parts *p); /* white space around members and items */
grammar_node json_comma(struct json_parts *p); /* with the white space behind it */
grammar_node json_colon(struct json_parts *p);
/* `inner` in brackets, "[]" or "{}", with white space inside; `inner` must not be empty. */
grammar_node json_between(struct json_parts *p, const char *brackets, grammar_node inner);
/* One and more of `item` with commas between. `item` should be a call: it is repeated. */
grammar_node json_series(struct json_parts *p, grammar_node item, size_t least, size_t most);

grammar_node json_character(struct json_parts *p); /* one of a string, in any writing */
grammar_node json_any_string(struct json_parts *p); /* with its quotes, as all below */
grammar_node json_key(struct json_parts *p, struct span name); /* of a member, with the colon */
grammar_node json_any_number(struct json_parts *p);
grammar_node json_any_fraction(struct json_parts *p); /* a number that is not whole */
grammar_node json_any_integer(struct json_parts *p);
grammar_node json_literal_bool(struct json_parts *p, bool truth);
grammar_node json_literal_null(struct json_parts *p);
grammar_node json_any_list(struct json_parts *p);
grammar_node json_any_object(struct json_parts *p);
grammar_node json_any(struct json_parts *p);
grammar_node json_constant(struct json_parts *p, struct value v); /* this value alone */

/* ---- numbers ---- */

/* A limit of a number; `number` is an integer or a float. */
struct json_limit {
    bool set, exclusive;
    struct value number;
};

/* Below 0, 0 or above 0; both are integers or floats. */
int json_compare_numbers(struct value a, struct value b);

/* Why numbers cannot be told by their digits; `keyword` is NULL where they can. */
struct json_doubt {
    const char *keyword, *why;
};

/* Numbers between two limits, whole ones only or not, that are multiples of `multiple` where it is an integer or a
 * float. NODE_NEVER, with the doubt, where that cannot be told. */
grammar_node json_numbers_between(struct json_parts *p, struct json_limit low, struct json_limit high,
    bool whole, struct value multiple, struct json_doubt *doubt);

/* True when `number` is a multiple; exact in decimals. */
bool json_is_multiple(struct value number, struct value multiple);

#endif
