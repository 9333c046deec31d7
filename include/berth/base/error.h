/* error.h - why something could not be done, as a value.
 *
 * A function that can fail takes a `struct error *` from its caller, writes one sentence for a person into it, and
 * returns false or NULL. The sentence ends up in a log line, in a model's reason or in an HTTP reply. A function that
 * fails because another one failed keeps that one's sentence, and may put its context in front with error_prefix.
 */
#ifndef BERTH_ERROR_H
#define BERTH_ERROR_H

#include <stdbool.h>

struct error {
    char text[640]; /* empty while nothing went wrong; cut at the end when too long */
    bool no_memory; /* memory is short: the same may succeed later, and nobody asked for too much */
};

/* Writes the reason and returns false, so that a caller can say `return error_set(err, ...)`. */
bool error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "no memory for <what>", with the flag. Returns false. */
bool error_no_memory(struct error *err, const char *what);

/* Puts "<context>: " in front of the reason that is there. Returns false. */
bool error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
