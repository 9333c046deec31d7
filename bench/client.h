/* client.h - what the measuring programs share: flags, a clock, sockets, and the end of a reply.
 *
 * The programs only know the port of a server on 127.0.0.1, so that every server is measured by the same code. The
 * end of a reply is found by its Content-Length, which all measured servers send.
 */
#ifndef BERTH_BENCH_CLIENT_H
#define BERTH_BENCH_CLIENT_H

#include "berth/base/error.h"

#include <stddef.h>
#include <stdint.h>

#define CLIENT_REPLY_MAX 65536

/* One flag of a program. Its value is stored by the pointer that is not NULL. */
struct flag {
    const char *name; /* with its dashes; NULL ends a table */
    double *number;
    double least; /* the smallest number that makes sense */
    const char **text;
};

/* Reads flags up to the first word that is no flag, or up to "--". Returns the index of the next word, or -1 with the
 * reason. */
int client_flags(const struct flag *table, int argc, char **argv, struct error *err);

/* Nanoseconds of the monotonic clock. */
uint64_t client_now(void);

/* Connects to 127.0.0.1. Returns the socket, or -1 with errno set. Receiving fails after a second. */
int client_connect(unsigned port);

/* Writes a request for `path` into `out`. Returns its size, 0 when it does not fit. */
size_t client_request(char *out, size_t room, const char *path, bool keep_alive);
bool client_send(int fd, const char *text, size_t size);

struct reply {
    int status; /* 0 while the head is not complete */
    size_t size; /* head and body, as the head announces them */
};

/* Finds the length of the reply whose first `used` bytes are in `text`. Returns false when they are not the beginning
 * of a reply with a Content-Length. `text` has room for one more byte, which is overwritten. */
bool client_reply(char *text, size_t used, struct reply *reply);

/* Sends `request` and receives the whole reply. Returns its status, or 0 with the reason. */
int client_ask(int fd, const char *request, size_t size, struct error *err);

#endif
