/* cursor.h - reads bytes from front to back and cannot be made to read past their end.
 *
 * A model file comes from a stranger: any length in it may lie. So every loader reads through a cursor. The
 * first failure sticks: later reads return zero or an empty span and move nothing, so a parser reads a whole
 * record and asks once whether it was real. The error tells what was missing, and at which byte.
 *
 * A cursor borrows its bytes and its error. Spans it hands out point into the bytes and live as long as
 * those.
 */
#ifndef BERTH_CURSOR_H
#define BERTH_CURSOR_H

#include "berth/base/error.h"
#include "berth/base/text.h"

struct cursor {
    struct span bytes;
    size_t pos; /* next byte to read, never above bytes.size */
    bool failed;
    struct error *err; /* NULL: nobody asks for the reason */
};

/* Little-endian values at any alignment. `what` names the field in the error, as in "the tensor count". */
uint8_t cursor_u8(struct cursor *c, const char *what);
uint16_t cursor_u16(struct cursor *c, const char *what);
uint32_t cursor_u32(struct cursor *c, const char *what);
uint64_t cursor_u64(struct cursor *c, const char *what);

/* The next `size` bytes, or an empty span when fewer are left. */
struct span cursor_take(struct cursor *c, uint64_t size, const char *what);

/* A 64-bit count of items of at least `item_bytes` (> 0) each; fails, and returns 0, when so many cannot
 * fit in what is left. Read a count this way before anything is allocated for it. */
size_t cursor_count(struct cursor *c, size_t item_bytes, const char *what);

/* Fails the cursor for a reason of the caller's. Keeps an earlier reason. Returns false. */
bool cursor_fail(struct cursor *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
