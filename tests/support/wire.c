/* wire.c - raw HTTP to a server; see harness.h.
 *
 * Whole answers are read by their content-length, or by chunks. Streams of events are read in events.c.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static bool wait_for(int fd, short events, int64_t deadline)
{
    int64_t left = deadline - now_ms();
    struct pollfd p = {.fd = fd, .events = events};
    return left >= 0 && poll(&p, 1, (int)left) == 1;
}

/* `from`: the IPv4 address to connect from, or NULL. */
static int connect_to(const char *host, int port, const char *from)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
    assert_true(is_v6 || inet_pton(AF_INET, host, &v4.sin_addr) == 1);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    struct sockaddr_in source = {.sin_family = AF_INET};
    if (from)
        assert_true(inet_pton(AF_INET, from, &source.sin_addr) == 1 &&
                    bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0);
    int failed = is_v6 ? connect(fd, (struct sockaddr *)&v6, sizeof(v6))
                       : connect(fd, (struct sockaddr *)&v4, sizeof(v4));
    socklen_t size = sizeof(failed);
    if (failed && (errno != EINPROGRESS || !wait_for(fd, POLLOUT, now_ms() + WAIT_MS) ||
                      getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) || failed)) {
        close(fd);
        return -1;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

bool wire_try_open(struct wire *w, const struct server *s)
{
    *w = (struct wire){.fd = connect_to(s->host, s->port, NULL)};
    return w->fd >= 0;
}

void wire_open(struct wire *w, const struct server *s)
{
    if (!wire_try_open(w, s))
        fail_msg("cannot connect to %s port %d", s->host, s->port);
}

void wire_open_from(struct wire *w, const struct server *s, const char *address)
{
    *w = (struct wire){.fd = connect_to(s->host, s->port, address)};
    if (w->fd < 0)
        fail_msg("cannot connect from %s", address);
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    free(w->data);
    *w = (struct wire){.fd = -1};
}

bool wire_send(struct wire *w, const void *bytes, size_t size)
{
    const char *at = bytes;
    int64_t deadline = now_ms() + WAIT_MS;
    while (size > 0) {
        ssize_t sent = send(w->fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0 && !wait_for(w->fd, POLLOUT, deadline))
            return false;
        at += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

bool wire_say(struct wire *w, const char *text)
{
    return wire_send(w, text, strlen(text));
}

/* Receives bytes, and waits for them until the deadline. False when none came. */
static bool receive(struct wire *w, int64_t deadline)
{
    if (w->ended || !wait_for(w->fd, POLLIN, deadline))
        return false;
    if (w->room - w->size < 65536) {
        w->room = w->room * 2 + 131072;
        w->data = realloc(w->data, w->room);
        assert_non_null(w->data);
    }
    ssize_t got = recv(w->fd, w->data + w->size, w->room - w->size - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return true;
    w->ended = got <= 0;
    w->size += got > 0 ? (size_t)got : 0;
    w->data[w->size] = '\0';
    return got > 0;
}

static char *copy_of(const char *bytes, size_t size)
{
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

static void take(struct wire *w, size_t size)
{
    memmove(w->data, w->data + size, w->size - size + 1);
    w->size -= size;
}

/* Length of the head at the start of what was received, 0 while it is not whole. */
static size_t head_size(const struct wire *w)
{
    char *end = w->size ? memmem(w->data, w->size, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - w->data) + 4 : 0;
}

static bool take_head(struct wire *w, struct answer *a, int64_t deadline)
{
    while (head_size(w) == 0)
        if (!receive(w, deadline))
            return false;
    size_t size = head_size(w);
    a->head = copy_of(w->data, size);
    take(w, size);
    if (sscanf(a->head, "HTTP/1.%*1[01] %3d", &a->status) != 1)
        fail_msg("no HTTP answer: %.200s", a->head);
    return true;
}

bool wire_head(struct wire *w, struct answer *a, int ms)
{
    *a = (struct answer){0};
    return take_head(w, a, now_ms() + ms);
}

bool wire_more(struct wire *w, int64_t deadline)
{
    return receive(w, deadline);
}

/* Waits until w->data has `size` bytes. */
static bool have(struct wire *w, size_t size, int64_t deadline)
{
    while (w->size < size)
        if (!receive(w, deadline))
            return false;
    return true;
}

void wire_begin_post(struct wire *w, const char *path, size_t size)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    wire_say(
        w, text_of("POST %s HTTP/1.1\r\nHost: berth\r\nContent-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
               path, size));
    assert_true(have(w, sizeof(go_on) - 1, now_ms() + WAIT_MS));
    assert_memory_equal(w->data, go_on, sizeof(go_on) - 1);
    take(w, sizeof(go_on) - 1);
}

/* Powers of two, so that a body of many pieces is not copied for each. */
static size_t room_for(size_t size)
{
    size_t room = 64;
    while (room < size)
        room *= 2;
    return room;
}

/* Appends `size` bytes to the body. */
static bool take_into(struct wire *w, struct answer *a, size_t size, int64_t deadline)
{
    if (!have(w, size, deadline))
        return false;
    size_t room = room_for(a->body_size + size + 1);
    if (!a->body || room != room_for(a->body_size + 1))
        a->body = realloc(a->body, room);
    assert_non_null(a->body);
    memcpy(a->body + a->body_size, w->size ? w->data : "", size);
    a->body_size += size;
    a->body[a->body_size] = '\0';
    if (size)
        take(w, size);
    return true;
}

static bool take_line(struct wire *w, char line[32], int64_t deadline)
{
    char *end = NULL;
    while (!(end = w->size ? memmem(w->data, w->size, "\r\n", 2) : NULL))
        if (!receive(w, deadline))
            return false;
    size_t size = (size_t)(end - w->data);
    assert_true(size < 32);
    memcpy(line, w->data, size);
    line[size] = '\0';
    take(w, size + 2);
    return true;
}

static bool take_chunks(struct wire *w, struct answer *a, int64_t deadline)
{
    char line[32], *end;
    for (size_t size = 1; size > 0;) {
        if (!take_line(w, line, deadline))
            return false;
        size = strtoul(line, &end, 16);
        if (end == line || *end)
            fail_msg("no size of a chunk: %s", line);
        if (!take_into(w, a, size, deadline) || !take_line(w, line, deadline))
            return false;
        assert_string_equal(line, "");
    }
    return true;
}

static bool take_body(struct wire *w, struct answer *a, bool to_head, int64_t deadline)
{
    const char *coding = answer_header(a, "transfer-encoding");
    bool chunked = coding && strcmp(coding, "chunked") == 0;
    const char *length = answer_header(a, "content-length");
    if (!length && !chunked && a->status != 204)
        fail_msg("an answer without its length: %s", a->head);
    if (length && chunked)
        fail_msg("an answer with two lengths: %s", a->head);
    if (chunked && !to_head)
        return take_chunks(w, a, deadline);
    return take_into(w, a, to_head || !length ? 0 : strtoul(length, NULL, 10), deadline);
}

bool wire_answer(struct wire *w, struct answer *a, bool to_head, int ms)
{
    int64_t deadline = now_ms() + ms;
    *a = (struct answer){0};
    if (!take_head(w, a, deadline))
        return false;
    if (a->status == 100) {
        answer_release(a);
        return wire_answer(w, a, to_head, ms);
    }
    if (take_body(w, a, to_head, deadline))
        return true;
    answer_release(a);
    return false;
}

bool wire_ends(struct wire *w, int ms)
{
    int64_t deadline = now_ms() + ms;
    while (w->size == 0 && receive(w, deadline))
        continue;
    return w->ended && w->size == 0;
}

void answer_release(struct answer *a)
{
    free(a->head);
    free(a->body);
    *a = (struct answer){0};
}

const char *answer_header(const struct answer *a, const char *name)
{
    static _Thread_local char value[8192];
    size_t length = strlen(name);
    for (const char *line = strstr(a->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) || line[length] != ':')
            continue;
        line += length + 1;
        line += strspn(line, " \t");
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\r\n"), line);
        return value;
    }
    return NULL;
}

json_t *answer_json(const struct answer *a)
{
    json_error_t err;
    json_t *value = json_loadb(a->body, a->body_size, JSON_REJECT_DUPLICATES, &err);
    if (!value)
        fail_msg("not JSON: %s at byte %d of: %.400s", err.text, err.position, a->body);
    return value;
}

struct answer server_request(
    const struct server *s, const char *method, const char *target, const char *headers)
{
    struct wire w;
    struct answer a = {0};
    wire_open(&w, s);
    char *text = NULL;
    int length = asprintf(&text, "%s %s HTTP/1.1\r\nHost: berth\r\nConnection: close\r\n%s\r\n", method,
        target, headers ? headers : "");
    assert_true(length > 0);
    if (!wire_say(&w, text) || !wire_answer(&w, &a, strcmp(method, "HEAD") == 0, WAIT_MS))
        fail_msg("no answer to %s %.200s", method, target);
    if (!wire_ends(&w, WAIT_MS))
        fail_msg("after the answer to %s %.200s: more bytes, or no end: %.200s", method, target, w.data);
    free(text);
    wire_close(&w);
    return a;
}

struct answer server_get(const struct server *s, const char *target)
{
    return server_request(s, "GET", target, NULL);
}

json_t *server_json(const struct server *s, const char *target)
{
    struct answer a = server_get(s, target);
    if (a.status != 200)
        fail_msg("%s: %d: %s", target, a.status, a.body);
    json_t *value = answer_json(&a);
    answer_release(&a);
    return value;
}

void server_wait_status(const struct server *s, const char *target, int status)
{
    int64_t deadline = now_ms() + WAIT_MS;
    for (;;) {
        struct answer a = server_get(s, target);
        int got = a.status;
        if (now_ms() > deadline)
            fail_msg("%s still answers %d, not %d: %s", target, got, status, a.body);
        answer_release(&a);
        if (got == status)
            return;
        pause_ms(2);
    }
}

void server_assert_healthy(const struct server *s)
{
    struct answer a = server_get(s, "/health");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"status\":\"healthy\"}");
    answer_release(&a);
}

void server_assert_root(const struct server *s, const char *message)
{
    struct answer a = server_get(s, "/");
    assert_string_equal(a.body, text_of("{\"message\":\"%s\"}", message));
    answer_release(&a);
}
