/* line_view_private.h - lays a text out in rows of a terminal and draws it. */
#ifndef BERTH_LINE_VIEW_PRIVATE_H
#define BERTH_LINE_VIEW_PRIVATE_H

#include "berth/base/strbuf.h"

struct line_view {
    const char *prompt; /* in front of the text, one column a byte */
    struct span text;
    size_t cursor; /* a byte of the text, or its end */
    size_t columns, rows; /* of the terminal */
    size_t cursor_row; /* where the cursor is, among the rows that were drawn last time */
};

/* Appends to `out` what replaces the last drawing by the current text, and sets cursor_row. When the text has more rows
 * than the terminal, the rows around the cursor are shown. */
void line_view_draw(struct line_view *v, struct strbuf *out);

#endif
