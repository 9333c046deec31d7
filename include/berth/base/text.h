/* text.h - bytes that need not be valid text, and numbers in a form for people.
 *
 * Names come from files and directories of strangers. They may be invalid UTF-8, contain NUL bytes, or control a
 * terminal. Pass them through text_escape before they reach a log line, an error or a reply.
 */
#ifndef BERTH_TEXT_H
#define BERTH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A view of bytes that another object owns; not NUL-terminated. `at` may be NULL when size is 0. */
struct span {
    const uint8_t *at;
    size_t size;
};

struct span span_of(const char *text); /* the bytes of a C string, without its NUL */
bool span_is(struct span s, const char *text); /* equal to a C string */
int span_compare(struct span a, struct span b); /* below 0, 0 or above 0: by bytes, a prefix first */
bool span_ends_with(struct span s, const char *text);

/* Length in bytes of the UTF-8 character at the start of `s` (1 to 4), or 0 when there is none: empty, cut,
 * overlong, a surrogate or beyond U+10FFFF. */
size_t text_character(struct span s);

/* Writes `s` as printable UTF-8 into out[size] and ends it with a NUL: control characters and bytes that
 * are not UTF-8 become \xNN, a backslash becomes \\. What does not fit is cut and ends in "…". Returns the
 * length. */
size_t text_escape(char *out, size_t size, struct span s);

#define TEXT_NUMBER 32 /* room that the two below need */

/* "0 B", "17 B", "1.5 KiB", "8.0 GiB". Returns `out`. */
const char *text_bytes(char out[TEXT_NUMBER], uint64_t bytes);

/* "512", "1.5 K", "134.5 M", "7.2 B": for counts of parameters and elements. Returns `out`. */
const char *text_count(char out[TEXT_NUMBER], uint64_t count);

#endif
