/* pretokenizer_private.h - the form of the tables that tools/pretokenizers writes from engine/tokenizer/pretokenizers.
 *
 * A regex is a deterministic automaton that reads a code point a step. All of them are in one packed table: the step of
 * state s for class c is in cell base[s] + c when s owns that cell, and is the state's usual step otherwise. A step says
 * whether a match ends before the code point that was read, and which state is next.
 */
#ifndef BERTH_PRETOKENIZER_PRIVATE_H
#define BERTH_PRETOKENIZER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGEX_MATCHED 0x8000u /* set in a step: a match ends here */
#define REGEX_DEAD 0u /* the state from which nothing matches */
#define REGEX_CATEGORIES 8 /* of enum unicode_class */

struct regex_cell {
    uint16_t owner, step;
};

struct regex_state {
    uint16_t base, usual;
};

struct regex {
    uint16_t start;
    uint8_t end_class; /* of the place after the last code point */
    bool skip; /* where a match fails, none begins in the text that was examined */
    const uint8_t *ascii; /* [128] classes */
    const uint32_t *cuts; /* [n_cuts]: outside ASCII, code points at which the classes change */
    const uint8_t *classes; /* [n_cuts + 1][REGEX_CATEGORIES]: between two cuts, by category */
    uint16_t n_cuts;
};

/* A run of characters is cut in threes, counted from its end. */
struct threes {
    bool numbers; /* the category; otherwise the digits of ASCII */
    bool ends; /* a cut after each three; otherwise before each */
};

struct stage {
    const struct regex *regex; /* NULL: threes */
    struct threes threes;
};

struct pretokenizer {
    const char *name; /* in tokenizer.ggml.pre */
    const struct stage *stages;
    size_t n_stages;
    bool ignores_merges, adds_bos, always_bos, raw, escapes, prefixes, lines;
};

extern const struct regex_state regex_states[];
extern const struct regex_cell regex_cells[];
extern const struct pretokenizer pretokenizers[];
extern const size_t n_pretokenizers;

#endif
