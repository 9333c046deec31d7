/* client.c - the parts of an HTTP client that a measurement needs.
 *
 * Code that runs once per request neither copies nor allocates, because the server waits during the client's time.
 * Every error is returned to the caller, so that no benchmark measures error replies.
 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static bool set_flag(const struct flag *f, const char *value, struct error *err)
{
    if (f->text) {
        *f->text = value;
        return true;
    }
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(number) || number < f->least || number > 1e9)
        return error_set(err, "%s: \"%s\" is not allowed: a number from %g", f->name, value, f->least);
    *f->number = number;
    return true;
}

int client_flags(const struct flag *table, int argc, char **argv, struct error *err)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--") == 0)
            return i + 1;
        const struct flag *f = table;
        while (f->name && strcmp(f->name, argv[i]) != 0)
            f++;
        if (!f->name || i + 1 == argc) {
            error_set(err, f->name ? "%s wants a value" : "unknown option %s", argv[i]);
            return -1;
        }
        if (!set_flag(f, argv[i + 1], err))
            return -1;
    }
    return i;
}

uint64_t client_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int client_connect(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct timeval patience = {.tv_sec = 1};
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

size_t client_request(char *out, size_t room, const char *path, bool keep_alive)
{
    int size = snprintf(out, room, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path,
        keep_alive ? "" : "Connection: close\r\n");
    return size > 0 && (size_t)size < room ? (size_t)size : 0;
}

bool client_send(int fd, const char *text, size_t size)
{
    return send(fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* The value of Content-Length in the head that ends at `end`, or -1. */
static long body_size(const char *head, const char *end)
{
    static const char name[] = "content-length:";
    for (const char *line = strstr(head, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, sizeof(name) - 1) == 0)
            return strtol(line + 2 + sizeof(name) - 1, NULL, 10);
    return -1;
}

bool client_reply(char *text, size_t used, struct reply *reply)
{
    *reply = (struct reply){0};
    text[used] = '\0';
    if (used >= 9 && strncmp(text, "HTTP/1.1 ", 9) != 0)
        return false;
    const char *end = strstr(text, "\r\n\r\n");
    if (!end)
        return used < CLIENT_REPLY_MAX;
    long body = body_size(text, end);
    if (body < 0 || body > CLIENT_REPLY_MAX)
        return false;
    reply->status = (int)strtol(text + 9, NULL, 10);
    reply->size = (size_t)(end - text) + 4 + (size_t)body;
    return reply->status >= 100 && reply->size <= CLIENT_REPLY_MAX;
}

int client_ask(int fd, const char *request, size_t size, struct error *err)
{
    static char text[CLIENT_REPLY_MAX + 1];
    struct reply reply = {0};
    size_t used = 0;
    if (!client_send(fd, request, size)) {
        error_set(err, "the request could not be sent: %s", strerror(errno));
        return 0;
    }
    do {
        ssize_t got = recv(fd, text + used, CLIENT_REPLY_MAX - used, 0);
        if (got <= 0) {
            error_set(err, "no reply: %s", got == 0 ? "the server closed the connection" : strerror(errno));
            return 0;
        }
        used += (size_t)got;
        if (!client_reply(text, used, &reply)) {
            error_set(err, "the server sent what is no reply with a Content-Length");
            return 0;
        }
    } while (reply.status == 0 || used < reply.size);
    return reply.status;
}
