/* builder.h - expressions of a grammar, from which grammar_build makes an automaton over bytes and tokens.
 *
 * An expression is a node: a number. Nodes are made bottom up and shared freely. NODE_NEVER matches nothing, NODE_EMPTY
 * the empty text. Rules may call themselves and each other, so that a grammar can be recursive; a rule is made by
 * grammar_rule_new, called, and defined once. An expression without calls and tokens is regular: two of them can be
 * intersected and subtracted.
 *
 * Where a text can be read in several ways, the tags of its bytes are those of the first alternative that still matches.
 * Very many ways at once are not followed: the first 4096 are, so that a grammar never allows what does not match.
 *
 * A builder has a limit of states. Whatever exceeds it, or memory, makes the builder fail: all functions then return
 * NODE_NEVER, and grammar_build gives the reason. So callers need not check every call.
 */
#ifndef BERTH_GRAMMAR_BUILDER_H
#define BERTH_GRAMMAR_BUILDER_H

#include "berth/base/error.h"
#include "berth/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t grammar_node;

#define NODE_NEVER ((grammar_node)0)
#define NODE_EMPTY ((grammar_node)1)
#define GRAMMAR_UNBOUNDED SIZE_MAX
#define GRAMMAR_STATES_MAX ((size_t)1 << 17) /* the default limit of states of a builder */

struct grammar_builder;

/* `states`: how many states all rules may have together; 0 for the default. NULL without memory. */
struct grammar_builder *grammar_builder_new(size_t states);
void grammar_builder_free(struct grammar_builder *b); /* NULL is fine */

/* True when the limit or memory was exceeded, or grammar_builder_fail was called. */
bool grammar_builder_failed(const struct grammar_builder *b);
/* Makes the builder fail with this reason, unless it has failed. Returns NODE_NEVER. */
grammar_node grammar_builder_fail(struct grammar_builder *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for lack of memory: the same grammar may be made later. */
grammar_node grammar_builder_no_memory(struct grammar_builder *b);
/* The reason; an empty error while it has not failed. */
const struct error *grammar_builder_error(const struct grammar_builder *b);

/* ---- text ---- */

grammar_node grammar_literal(struct grammar_builder *b, struct span bytes);
/* One byte of a set: bit b of set[b / 64]. */
grammar_node grammar_byte_set(struct grammar_builder *b, const uint64_t set[4]);

struct grammar_range {
    uint32_t first, last; /* code points, inclusive */
};
/* One character in UTF-8 that lies in one of the ranges, or, with `negated`, in none of them. Surrogates are in no
 * set. Ranges may overlap and come in any order. */
grammar_node grammar_chars(
    struct grammar_builder *b, const struct grammar_range *ranges, size_t n, bool negated);

/* ---- composition ---- */

grammar_node grammar_sequence(struct grammar_builder *b, grammar_node first, grammar_node then);
grammar_node grammar_either(struct grammar_builder *b, grammar_node one, grammar_node other);
/* `most` may be GRAMMAR_UNBOUNDED. */
grammar_node grammar_repeat(struct grammar_builder *b, grammar_node node, size_t least, size_t most);
grammar_node grammar_optional(struct grammar_builder *b, grammar_node node);

/* ---- rules ---- */

typedef uint32_t grammar_rule;

grammar_rule grammar_rule_new(struct grammar_builder *b);
void grammar_rule_define(struct grammar_builder *b, grammar_rule rule, grammar_node node);
grammar_node grammar_call(struct grammar_builder *b, grammar_rule rule);

/* ---- regular expressions alone: no calls, tokens or tags inside. Others make the builder fail ---- */

grammar_node grammar_intersection(struct grammar_builder *b, grammar_node one, grammar_node other);
grammar_node grammar_difference(struct grammar_builder *b, grammar_node one, grammar_node without);
/* True when no text matches both (both regular), or when the builder has failed. */
bool grammar_disjoint(struct grammar_builder *b, grammar_node one, grammar_node other);
/* True when no text matches. */
bool grammar_matches_nothing(struct grammar_builder *b, grammar_node node);

/* ---- answers: markers, tokens and tags ---- */

/* A mark in an answer: as bytes, or as the control token that has this text in the vocabulary. */
struct grammar_marker {
    struct span text;
    int32_t token; /* -1: the bytes of `text`; else this control token alone */
};

/* Any text, control tokens included, up to and with the first marker that comes; then what belongs to that marker,
 * then[i]. Where then[i] is NODE_NEVER the marker cannot come. With `may_end` the text may also end without a marker. Markers
 * of bytes have between 1 and 255. With n = 0 any text. Text before the marker has the tag `tag` (GRAMMAR_TAG_NONE: that of
 * the part around it), the marker itself GRAMMAR_TAG_MARK. */
grammar_node grammar_until(struct grammar_builder *b, const struct grammar_marker *markers,
    const grammar_node *then, size_t n, bool may_end, uint16_t tag);

/* One token of the class TOKEN_CONTROL or TOKEN_END, by its id. A token that is text never matches here. */
grammar_node grammar_token(struct grammar_builder *b, int32_t token);
/* The same as grammar_literal or grammar_token, tagged GRAMMAR_TAG_MARK. */
grammar_node grammar_mark(struct grammar_builder *b, const struct grammar_marker *marker);

/* Bytes that `node` matches have this tag, unless an inner one has another. The matcher tells it with each byte. */
grammar_node grammar_tag(struct grammar_builder *b, grammar_node node, uint16_t tag);

#define GRAMMAR_TAG_NONE 0 /* the tag of text that has none */
#define GRAMMAR_TAG_MARK UINT16_MAX

/* ---- the result ---- */

struct grammar;

/* Makes the automaton of what `root` matches. Rules that were called and not defined match nothing, and what cannot be
 * completed is left out. NULL with the reason: also when nothing at all matches, when a rule calls itself before it has
 * matched anything (left recursion), and when there are too many ways to begin. The builder can be freed after it. */
struct grammar *grammar_build(struct grammar_builder *b, grammar_node root, struct error *err);

#endif
