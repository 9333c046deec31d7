/* line_text_private.h - the text that a line editor edits, and the place of its cursor.
 *
 * Places are bytes of the text. A character is what a person sees as one: a code point with its combining marks and the
 * code points that it is joined to.
 */
#ifndef BERTH_LINE_TEXT_PRIVATE_H
#define BERTH_LINE_TEXT_PRIVATE_H

#include "berth/base/strbuf.h"

struct line_text {
    struct strbuf bytes; /* UTF-8 */
    size_t cursor; /* in front of this byte; bytes.size at the end */
};

/* The start of the character before `at`, and of the one after it. */
size_t line_text_previous(const struct line_text *t, size_t at);
size_t line_text_next(const struct line_text *t, size_t at);

/* The start of the word before `at`, and the end of the word after it. */
size_t line_text_word_start(const struct line_text *t, size_t at);
size_t line_text_word_end(const struct line_text *t, size_t at);

/* The start and the end of the row, between line ends, that `at` is in. */
size_t line_text_row_start(const struct line_text *t, size_t at);
size_t line_text_row_end(const struct line_text *t, size_t at);

/* Removes the bytes from `from` to `to`; the cursor is then at `from`. */
void line_text_erase(struct line_text *t, size_t from, size_t to);

/* Inserts `s` at the cursor, which is then after it. A text that does not fit is dropped. */
void line_text_insert(struct line_text *t, struct span s);

/* Moves the cursor to the row above or below. False when there is none. */
bool line_text_up(struct line_text *t);
bool line_text_down(struct line_text *t);

#endif
