/* line_view_private.h - lays a text out in rows of a terminal and draws it. */
#ifndef BERTH_LINE_VIEW_PRIVATE_H
#define BERTH_LINE_VIEW_PRIVATE_H

#include "berth/base/strbuf.h"

struct line_view {
    const char *prompt; /* in front of the text, one column a byte */
    struct span text;
    size_t cursor; /* a byte of the text, or its end */
    size_t columns, rows; /* of the terminal */
    size_t cursor_row; /* of the screen's rows that were drawn last time: where the cursor is */
};

/* Adds to `out` what changes the screen from the last drawing to the present text, and sets cursor_row. Of a text with
 * more rows than the terminal has, the rows around the cursor are shown. */
void line_view_draw(struct line_view *v, struct strbuf *out);

#endif
