/* strbuf.h - a text buffer that grows up to a fixed limit.
 *
 * The first failure stays (`failed`), so that a writer can append everything and check once at the end. The text is
 * always NUL-terminated.
 */
#ifndef BERTH_STRBUF_H
#define BERTH_STRBUF_H

#include "berth/base/budget.h"
#include "berth/base/text.h"

struct strbuf {
    char *text; /* never NULL after strbuf_init; NULL after strbuf_take and strbuf_release */
    size_t size; /* bytes in it, without the NUL */
    size_t room;
    size_t limit;
    /* Set it after strbuf_init: `room` counts in it as the buffer grows; NULL: nothing does. */
    struct byte_budget *budget;
    bool failed; /* the limit was reached or memory ran out; text holds what came before */
};

void strbuf_init(struct strbuf *b, size_t limit);
void strbuf_release(struct strbuf *b);

void strbuf_add(struct strbuf *b, struct span s);
void strbuf_text(struct strbuf *b, const char *text);
void strbuf_format(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_integer(struct strbuf *b, int64_t n); /* in decimal; quicker than strbuf_format */

/* Leaves the first `size` bytes, which may have been followed by a failure, and goes on from there. */
void strbuf_cut(struct strbuf *b, size_t size);

struct span strbuf_span(const struct strbuf *b); /* what it holds, until it changes */

/* Bytes of the budget that the buffer holds. */
size_t strbuf_held(const struct strbuf *b);

/* Adds `s` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void strbuf_json(struct strbuf *b, struct span s);

/* Returns the text, which the caller frees, or NULL when the buffer failed. Releases the buffer in both cases; the text
 * counts in the budget no more. */
char *strbuf_take(struct strbuf *b, size_t *size);

#endif
