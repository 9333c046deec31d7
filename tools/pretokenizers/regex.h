/* regex.h - compiles a regular expression to a deterministic automaton, while berth is built.
 *
 * The syntax is the part of Perl's that engine/tokenizer/pretokenizers tells. Of the matches that begin at a place the
 * automaton finds the one that Perl finds: alternatives are tried from the left, repetitions take as much as they can.
 *
 * The method is that of subset construction with sets in order of preference: a state of the automaton is a list of
 * places in the expression, the preferred one first, and a match cuts off all that come after it. A look-ahead is
 * decided when the next code point is read, so a step says whether a match ends before it.
 *
 * The program that calls this ends after its output is written, so memory is never freed. Any error ends it.
 */
#ifndef BERTH_TOOLS_REGEX_H
#define BERTH_TOOLS_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ASCII 128
#define CATEGORIES 8 /* other, letter, number, mark, punctuation, symbol, space, control: as enum unicode_class */

struct automaton {
    size_t n_states,
        n_classes; /* the last class is the place after the text; state 0 is dead, state 1 the first */
    int *next; /* [n_states][n_classes] */
    bool *matched; /* the same: a match ends before what is read */
    int ascii[ASCII]; /* classes */
    uint32_t *cuts; /* [n_cuts]: outside ASCII, code points at which classes change */
    size_t n_cuts;
    int *classes; /* [n_cuts + 1][CATEGORIES] */
};

struct automaton *regex_compile(const char *text);

_Noreturn void fail(const char *what, const char *text);
void *need(size_t n, size_t size); /* zeroed memory */

#endif
