/* regex_private.h - sets of characters, and regular expressions over the text of JSON strings. */
#ifndef BERTH_REGEX_PRIVATE_H
#define BERTH_REGEX_PRIVATE_H

#include "berth/engine/grammar/builder.h"

/* How a character is written. */
enum char_writing {
    CHAR_RAW, /* as itself */
    CHAR_JSON, /* as in a JSON string: what must be escaped is, and nothing else */
};

#define CHAR_LAST 0x10ffff

/* A set of characters. Zeroed, it is empty. */
struct char_set {
    struct grammar_range *ranges; /* [n], in any order until char_set_settle */
    size_t n, room;
    bool failed; /* without memory */
};

void char_set_free(struct char_set *s);
void char_set_add(struct char_set *s, uint32_t first, uint32_t last);
/* Adds all ranges of a sorted table, or, with `negated`, what lies between them. */
void char_set_add_table(struct char_set *s, const struct grammar_range *ranges, size_t n, bool negated);
void char_set_settle(struct char_set *s); /* sorts and joins the ranges */
void char_set_negate(struct char_set *s); /* settles it too */

/* One character of the set, which must be settled. */
grammar_node char_set_node(struct grammar_builder *b, const struct char_set *s, enum char_writing writing);
/* Any character in this writing. */
grammar_node char_any(struct grammar_builder *b, enum char_writing writing);
/* The text, character by character. What is not UTF-8 makes the builder fail. */
grammar_node char_text(struct grammar_builder *b, struct span text, enum char_writing writing);

/* The literal of a JSON string with its quotes, and of `after`, a few bytes, behind it. */
grammar_node char_quoted(struct grammar_builder *b, struct span text, const char *after);

/* The code point at the start of `s`, whose length text_character told. */
uint32_t char_decode(struct span s, size_t length);

/* Where ECMA-262 and Python differ, what matches in both or in any of them. */
enum regex_reading {
    REGEX_SURE,
    REGEX_WIDEST,
};

/* The same as grammar_regex, in a writing. With REGEX_WIDEST texts match that may match, to be left out. */
grammar_node regex_node(struct grammar_builder *b, struct span pattern, bool anywhere,
    enum char_writing writing, enum regex_reading reading);

#endif
