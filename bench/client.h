/* client.h - what the measuring programs share: their flags, a clock, a socket, and where a reply ends.
 *
 * The programs know nothing of the server they measure but its port on 127.0.0.1, so that any other server
 * can be put in its place and is measured by the very same code. Replies are told apart by their
 * Content-Length, which everything measured here sends.
 */
#ifndef BERTH_BENCH_CLIENT_H
#define BERTH_BENCH_CLIENT_H

#include "berth/base/error.h"

#include <stddef.h>
#include <stdint.h>

#define CLIENT_REPLY_MAX 65536

/* One flag of a program; the value lands in the pointer that is not NULL. */
struct flag {
    const char *name; /* with its dashes; NULL ends a table */
    double *number;
    double least; /* the smallest number that makes sense */
    const char **text;
};

/* Reads flags up to the first word that is none, or past "--". Returns its index, or -1 with the reason. */
int client_flags(const struct flag *table, int argc, char **argv, struct error *err);

/* Nanoseconds of the monotonic clock. */
uint64_t client_now(void);

/* A connection to 127.0.0.1, or -1 with errno set. Receiving gives up after a second. */
int client_connect(unsigned port);

/* Writes a request for `path` into `out`. Returns its size, 0 when it does not fit. */
size_t client_request(char *out, size_t room, const char *path, bool keep_alive);
bool client_send(int fd, const char *text, size_t size);

struct reply {
    int status; /* 0 while the head is not complete */
    size_t size; /* head and body, as the head announces them */
};

/* Finds out how long the reply is whose first `used` bytes are in `text`. False when it is no reply that
 * can be told: neither complete nor going to be. `text` has room for one more byte, which is overwritten. */
bool client_reply(char *text, size_t used, struct reply *reply);

/* Sends `request` and takes the whole reply. Returns its status, or 0 with the reason. */
int client_ask(int fd, const char *request, size_t size, struct error *err);

#endif
