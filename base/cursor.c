/* cursor.c - bounded, little-endian reading.
 *
 * Every read goes through cursor_take, the only place that compares a length with the bytes that are left. It
 * subtracts, which cannot wrap around, and compares in 64 bits, so that no length is truncated first. Integers are
 * composed byte by byte, for any address and any byte order of the machine.
 */
#include "berth/base/cursor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static uint64_t cursor_left(const struct cursor *c)
{
    return c->bytes.size - c->pos;
}

static uint64_t cursor_integer(struct cursor *c, uint64_t size, const char *what)
{
    struct span s = cursor_take(c, size, what);
    uint64_t value = 0;
    for (size_t i = s.size; i > 0; i--)
        value = value << 8 | s.at[i - 1];
    return value;
}

uint8_t cursor_u8(struct cursor *c, const char *what)
{
    return (uint8_t)cursor_integer(c, 1, what);
}

uint16_t cursor_u16(struct cursor *c, const char *what)
{
    return (uint16_t)cursor_integer(c, 2, what);
}

uint32_t cursor_u32(struct cursor *c, const char *what)
{
    return (uint32_t)cursor_integer(c, 4, what);
}

uint64_t cursor_u64(struct cursor *c, const char *what)
{
    return cursor_integer(c, 8, what);
}

struct span cursor_take(struct cursor *c, uint64_t size, const char *what)
{
    if (c->failed)
        return (struct span){0};
    if (size > cursor_left(c)) {
        cursor_fail(c, "%s at byte %zu takes %" PRIu64 " bytes, but only %" PRIu64 " are left", what, c->pos,
            size, cursor_left(c));
        return (struct span){0};
    }
    struct span s = {.at = c->bytes.at ? c->bytes.at + c->pos : NULL, .size = (size_t)size};
    c->pos += (size_t)size;
    return s;
}

size_t cursor_count(struct cursor *c, size_t item_bytes, const char *what)
{
    size_t at = c->pos;
    uint64_t count = cursor_u64(c, what);
    if (c->failed)
        return 0;
    if (count > cursor_left(c) / item_bytes) {
        cursor_fail(c,
            "%s at byte %zu is %" PRIu64 ", which takes at least %zu bytes each, but only %" PRIu64
            " bytes are left",
            what, at, count, item_bytes, cursor_left(c));
        return 0;
    }
    return (size_t)count;
}

bool cursor_fail(struct cursor *c, const char *format, ...)
{
    if (c->failed)
        return false;
    if (!c->err) {
        c->failed = true;
        return false;
    }
    char reason[sizeof(c->err->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    c->failed = true;
    return error_set(c->err, "%s", reason);
}
