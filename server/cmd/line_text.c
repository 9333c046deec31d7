/* line_text.c - a text with a cursor: where characters, words and rows begin, and changes at the cursor. */
#include "line_text_private.h"

#include "width_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <string.h>

#define JOINER 0x200d /* makes one emoji of two */

static struct span text_of(const struct line_text *t)
{
    return (struct span){(const uint8_t *)t->bytes.text, t->bytes.size};
}

static size_t step_back(const struct line_text *t, size_t at)
{
    do
        at--;
    while (at > 0 && ((uint8_t)t->bytes.text[at] & 0xc0) == 0x80);
    return at;
}

static uint32_t code_at(const struct line_text *t, size_t at)
{
    return unicode_read(text_of(t), &at);
}

/* The start of the character before `at`, with its marks and the characters that it is joined to. */
size_t line_text_previous(const struct line_text *t, size_t at)
{
    if (at == 0)
        return 0;
    at = step_back(t, at);
    while (at > 0) {
        size_t before = step_back(t, at);
        if (character_width(code_at(t, at)) > 0 && code_at(t, before) != JOINER)
            break;
        at = before;
    }
    return at;
}

size_t line_text_next(const struct line_text *t, size_t at)
{
    uint32_t code = 0;
    if (at >= t->bytes.size)
        return t->bytes.size;
    code = unicode_read(text_of(t), &at);
    while (at < t->bytes.size && (code == JOINER || character_width(code_at(t, at)) == 0))
        code = unicode_read(text_of(t), &at);
    return at;
}

static bool is_space(const struct line_text *t, size_t at)
{
    return unicode_class(code_at(t, at)) == UNICODE_SPACE;
}

size_t line_text_word_start(const struct line_text *t, size_t at)
{
    while (at > 0 && is_space(t, line_text_previous(t, at)))
        at = line_text_previous(t, at);
    while (at > 0 && !is_space(t, line_text_previous(t, at)))
        at = line_text_previous(t, at);
    return at;
}

size_t line_text_word_end(const struct line_text *t, size_t at)
{
    while (at < t->bytes.size && is_space(t, at))
        at = line_text_next(t, at);
    while (at < t->bytes.size && !is_space(t, at))
        at = line_text_next(t, at);
    return at;
}

size_t line_text_row_start(const struct line_text *t, size_t at)
{
    while (at > 0 && t->bytes.text[at - 1] != '\n')
        at--;
    return at;
}

size_t line_text_row_end(const struct line_text *t, size_t at)
{
    while (at < t->bytes.size && t->bytes.text[at] != '\n')
        at++;
    return at;
}

void line_text_erase(struct line_text *t, size_t from, size_t to)
{
    memmove(t->bytes.text + from, t->bytes.text + to, t->bytes.size - to + 1);
    t->bytes.size -= to - from;
    t->cursor = from;
}

void line_text_insert(struct line_text *t, struct span s)
{
    size_t size = t->bytes.size, tail = size - t->cursor;
    strbuf_add(&t->bytes, s);
    if (t->bytes.size != size + s.size) {
        t->bytes.failed = false; /* full: the text is dropped */
        line_text_erase(t, size, t->bytes.size);
        return;
    }
    memmove(t->bytes.text + t->cursor + s.size, t->bytes.text + t->cursor, tail);
    memcpy(t->bytes.text + t->cursor, s.at, s.size);
    t->cursor += s.size;
}

/* The cursor in the row from `start` to `end`, at most `in` bytes behind its start, on the start of a character. */
static void place_in_row(struct line_text *t, size_t start, size_t end, size_t in)
{
    t->cursor = start + in < end ? start + in : end;
    while (
        t->cursor > start && t->cursor < t->bytes.size && ((uint8_t)t->bytes.text[t->cursor] & 0xc0) == 0x80)
        t->cursor--;
}

bool line_text_up(struct line_text *t)
{
    size_t start = line_text_row_start(t, t->cursor);
    if (start == 0)
        return false;
    place_in_row(t, line_text_row_start(t, start - 1), start - 1, t->cursor - start);
    return true;
}

bool line_text_down(struct line_text *t)
{
    size_t start = line_text_row_start(t, t->cursor), end = line_text_row_end(t, t->cursor);
    if (end == t->bytes.size)
        return false;
    place_in_row(t, end + 1, line_text_row_end(t, end + 1), t->cursor - start);
    return true;
}
