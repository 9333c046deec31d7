/* strbuf.c - grows by doubling up to its limit; after the first failure every call is a no-op. */
#include "berth/base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 256 /* is not counted */

void strbuf_init(struct strbuf *b, size_t limit)
{
    *b = (struct strbuf){.limit = limit, .room = ROOM_FIRST};
    b->text = malloc(b->room);
    if (b->text)
        b->text[0] = '\0';
    else
        b->failed = true;
}

struct span strbuf_span(const struct strbuf *b)
{
    return (struct span){(const uint8_t *)b->text, b->size};
}

size_t strbuf_held(const struct strbuf *b)
{
    return b->budget && b->room > ROOM_FIRST ? b->room - ROOM_FIRST : 0;
}

void strbuf_release(struct strbuf *b)
{
    byte_budget_give(b->budget, strbuf_held(b));
    free(b->text);
    *b = (struct strbuf){.failed = true};
}

void strbuf_cut(struct strbuf *b, size_t size)
{
    if (!b->text)
        return;
    b->size = size;
    b->text[size] = '\0';
    b->failed = false;
}

static bool make_room(struct strbuf *b, size_t size)
{
    if (b->failed || size > b->limit || b->size > b->limit - size) {
        b->failed = true;
        return false;
    }
    size_t need = b->size + size + 1, room = b->room;
    if (need <= room)
        return true;
    while (room < need)
        room *= 2;
    bool counted = byte_budget_take(b->budget, room - b->room);
    char *text = counted ? realloc(b->text, room) : NULL;
    if (!text) {
        byte_budget_give(b->budget, counted ? room - b->room : 0);
        b->failed = true;
        return false;
    }
    b->text = text;
    b->room = room;
    return true;
}

void strbuf_add(struct strbuf *b, struct span s)
{
    if (!make_room(b, s.size) || s.size == 0)
        return;
    memcpy(b->text + b->size, s.at, s.size);
    b->size += s.size;
    b->text[b->size] = '\0';
}

void strbuf_text(struct strbuf *b, const char *text)
{
    strbuf_add(b, span_of(text));
}

void strbuf_format(struct strbuf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    if (size < 0)
        b->failed = true;
    else if (make_room(b, (size_t)size)) {
        vsnprintf(b->text + b->size, (size_t)size + 1, format, again);
        b->size += (size_t)size;
    }
    va_end(again);
    va_end(args);
}

void strbuf_integer(struct strbuf *b, int64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (n < 0)
        digits[--at] = '-';
    strbuf_add(b, (struct span){(const uint8_t *)digits + at, sizeof(digits) - at});
}

static const char *json_short_escape(uint8_t byte)
{
    switch (byte) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

void strbuf_json(struct strbuf *b, struct span s)
{
    strbuf_text(b, "\"");
    for (size_t pos = 0; pos < s.size && !b->failed;) {
        struct span rest = {s.at + pos, s.size - pos};
        size_t size = text_character(rest);
        const char *form = json_short_escape(rest.at[0]);
        if (form)
            strbuf_text(b, form);
        else if (size == 0)
            strbuf_text(b, "\xef\xbf\xbd");
        else if (rest.at[0] < 0x20 || rest.at[0] == 0x7f)
            strbuf_format(b, "\\u%04x", rest.at[0]);
        else if (rest.at[0] == 0xc2 && rest.at[1] < 0xa0) /* C1 controls, which terminals obey, too */
            strbuf_format(b, "\\u%04x", rest.at[1]);
        else
            strbuf_add(b, (struct span){rest.at, size});
        pos += size ? size : 1;
    }
    strbuf_text(b, "\"");
}

char *strbuf_take(struct strbuf *b, size_t *size)
{
    char *text = b->failed ? NULL : b->text;
    byte_budget_give(b->budget, strbuf_held(b));
    if (size)
        *size = text ? b->size : 0;
    if (!text)
        free(b->text);
    *b = (struct strbuf){.failed = true};
    return text;
}
