/* line_view.c - draws a text that is edited. Rows are wrapped here, not by the terminal.
 *
 * There are two passes over the text: one finds the rows and the cursor, the other one draws the rows that fit. Each row
 * ends with a line break, so the place of the cursor does not depend on how a terminal wraps.
 */
#include "line_view_private.h"

#include "width_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <string.h>

#define TAB_COLUMNS 4
#define COLUMNS_LEAST 4

/* One pass over prompt and text. */
struct line_layout {
    struct strbuf *out; /* NULL: nothing is drawn */
    size_t columns;
    size_t first, last; /* rows that are drawn */
    size_t row, column;
    size_t cursor_row, cursor_column;
};

static void next_row(struct line_layout *l)
{
    l->row++;
    l->column = 0;
    if (l->out && l->row > l->first && l->row <= l->last)
        strbuf_text(l->out, "\r\n");
}

static void put(struct line_layout *l, struct span bytes, size_t width)
{
    if (l->column + width > l->columns)
        next_row(l);
    if (l->out && l->row >= l->first && l->row <= l->last)
        strbuf_add(l->out, bytes);
    l->column += width;
}

static void put_text(struct line_layout *l, const char *text)
{
    for (; *text; text++)
        put(l, (struct span){(const uint8_t *)text, 1}, 1);
}

/* Control characters, which pasted text may have, are shown as ^X and take two columns. */
static void put_control(struct line_layout *l, uint8_t code)
{
    const uint8_t shown[2] = {'^', code ^ 0x40};
    put(l, (struct span){shown, 2}, 2);
}

static void put_character(struct line_layout *l, const struct line_view *v, size_t *at)
{
    size_t start = *at;
    uint32_t code = unicode_read(v->text, at);
    struct span bytes = {v->text.at + start, *at - start};
    if (code == '\n') {
        next_row(l);
        for (size_t i = strlen(v->prompt); i > 0; i--)
            put_text(l, " ");
    } else if (code == '\t') {
        put(l, span_of("    "), TAB_COLUMNS);
    } else if (code < 0x20 || code == 0x7f) {
        put_control(l, (uint8_t)code);
    } else if (code == UNICODE_REPLACEMENT || (code >= 0x80 && code < 0xa0)) {
        put(l, span_of("?"), 1);
    } else {
        put(l, bytes, character_width(code));
    }
}

static void mark_cursor(struct line_layout *l)
{
    bool wraps = l->column >= l->columns;
    l->cursor_row = l->row + wraps;
    l->cursor_column = wraps ? 0 : l->column;
}

static void walk(struct line_layout *l, const struct line_view *v)
{
    put_text(l, v->prompt);
    for (size_t at = 0; at < v->text.size;) {
        if (at == v->cursor)
            mark_cursor(l);
        put_character(l, v, &at);
    }
    /* After a full row the cursor is in a row of its own. */
    if (l->column >= l->columns)
        next_row(l);
    if (v->cursor >= v->text.size)
        mark_cursor(l);
}

void line_view_draw(struct line_view *v, struct strbuf *out)
{
    size_t columns = v->columns > COLUMNS_LEAST ? v->columns : COLUMNS_LEAST;
    struct line_layout measured = {.columns = columns};
    walk(&measured, v);
    size_t first = v->rows && measured.cursor_row >= v->rows ? measured.cursor_row - v->rows + 1 : 0;
    size_t last = v->rows ? first + v->rows - 1 : measured.row;
    struct line_layout drawn = {.out = out, .columns = columns, .first = first, .last = last};
    if (v->cursor_row > 0)
        strbuf_format(out, "\033[%zuA", v->cursor_row);
    strbuf_text(out, "\r\033[J");
    walk(&drawn, v);
    size_t bottom = drawn.row < last ? drawn.row : last;
    if (bottom > drawn.cursor_row)
        strbuf_format(out, "\033[%zuA", bottom - drawn.cursor_row);
    strbuf_text(out, "\r");
    if (drawn.cursor_column > 0)
        strbuf_format(out, "\033[%zuC", drawn.cursor_column);
    v->cursor_row = drawn.cursor_row - first;
}
