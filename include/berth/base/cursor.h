/* cursor.h - reads bytes from front to back, never past their end.
 *
 * A model file comes from a stranger, so any length in it may be wrong. Every loader reads through a cursor. The
 * first failure stays: later reads return zero or an empty span and do not move the cursor. So a parser can read a
 * whole record and check `failed` once. The error names the field that was missing and the byte offset.
 *
 * A cursor borrows its bytes and its error. The spans that it returns point into the bytes and live as long as they
 * do.
 */
#ifndef BERTH_CURSOR_H
#define BERTH_CURSOR_H

#include "berth/base/error.h"
#include "berth/base/text.h"

struct cursor {
    struct span bytes;
    size_t pos; /* next byte to read, never above bytes.size */
    bool failed;
    struct error *err; /* may be NULL: then the reason is not written */
};

/* Little-endian values at any alignment. `what` names the field in the error, as in "the tensor count". */
uint8_t cursor_u8(struct cursor *c, const char *what);
uint16_t cursor_u16(struct cursor *c, const char *what);
uint32_t cursor_u32(struct cursor *c, const char *what);
uint64_t cursor_u64(struct cursor *c, const char *what);

/* Returns the next `size` bytes, or an empty span when fewer are left. */
struct span cursor_take(struct cursor *c, uint64_t size, const char *what);

/* Reads a 64-bit count of items of at least `item_bytes` (> 0) each. Fails and returns 0 when so many items cannot
 * fit in the bytes that are left. Read a count this way before memory is allocated for it. */
size_t cursor_count(struct cursor *c, size_t item_bytes, const char *what);

/* Fails the cursor with the caller's reason. An earlier reason stays. Returns false. */
bool cursor_fail(struct cursor *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
