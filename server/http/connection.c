/* connection.c - the list of connections and their deadlines.
 *
 * A lock guards the list. It is taken when a client connects or leaves and when the deadlines are compared with the
 * clock. A request moves its connection from phase to phase without the lock, by one atomic exchange. A connection
 * leaves the list before its socket is closed, so while the lock is held no socket's number is reused.
 */
#include "berth/server/http/connection.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define PHASE_BITS 3
#define NO_DEADLINE (UINT64_MAX >> PHASE_BITS)
#define LOOKED_AT_ONCE 128
#define REFUSED_HEADER_SECONDS 1.0 /* for the headers on a connection over the limit, which must end soon */
#define HURRY_SECONDS 2.0

struct connections {
    pthread_mutex_t lock;
    struct connection *first; /* under lock */
    size_t n_open; /* under lock */
    const struct connection_limits *limits;
    struct http_counters *counters;
    atomic_bool hurry;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t pack(enum phase phase, uint64_t at_ms)
{
    return at_ms << PHASE_BITS | phase;
}

static enum phase phase_of(uint64_t deadline)
{
    return (enum phase)(deadline & ((1 << PHASE_BITS) - 1));
}

static double seconds_of(const struct connections *all, enum phase phase)
{
    const struct connection_limits *l = all->limits;
    switch (phase) {
    case PHASE_HEADER:
        return l->header_timeout;
    case PHASE_BODY:
        return atomic_load(&all->hurry) && l->body_timeout > HURRY_SECONDS ? HURRY_SECONDS : l->body_timeout;
    case PHASE_WRITE:
        return l->write_timeout;
    default:
        return l->keep_alive;
    }
}

static uint64_t deadline_of(const struct connections *all, const struct connection *c, enum phase phase)
{
    double seconds = seconds_of(all, phase);
    if (phase == PHASE_WORK)
        return NO_DEADLINE;
    if (c->refuse && seconds > REFUSED_HEADER_SECONDS)
        seconds = REFUSED_HEADER_SECONDS;
    return now_ms() + (uint64_t)(seconds * 1000);
}

struct connections *connections_new(const struct connection_limits *limits, struct http_counters *counters)
{
    struct connections *all = calloc(1, sizeof(*all));
    if (!all)
        return NULL;
    pthread_mutex_init(&all->lock, NULL);
    all->limits = limits;
    all->counters = counters;
    return all;
}

void connections_free(struct connections *all)
{
    if (!all)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all);
}

/* IPv4 addresses as ::ffff:a.b.c.d, so that one client is one address on either kind of socket. */
static void copy_address(unsigned char out[16], const struct sockaddr *address)
{
    memset(out, 0, 16);
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof(in));
        memcpy(out, &in.sin6_addr, 16);
    } else if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        memset(out + 10, 0xff, 2);
        memcpy(out + 12, &in.sin_addr, 4);
    }
}

static void write_peer(struct connection *c)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool v4 = memcmp(c->address, mapped, sizeof(mapped)) == 0;
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->address + 12 : c->address, c->peer, sizeof(c->peer));
}

/* Caller holds the lock. */
static bool over_address_limit(const struct connections *all, const struct connection *added)
{
    uint64_t most = all->limits->most_per_address, same = 0;
    for (const struct connection *c = all->first; most && c; c = c->next)
        same += memcmp(c->address, added->address, sizeof(c->address)) == 0;
    return most && same >= most;
}

static void count(struct connections *all, enum connection_end end)
{
    atomic_fetch_add_explicit(&all->counters->connections_ended[end], 1, memory_order_relaxed);
}

void connections_add(
    struct connections *all, struct connection *c, int socket, const struct sockaddr *address)
{
    *c = (struct connection){.socket = socket};
    copy_address(c->address, address);
    write_peer(c);
    pthread_mutex_lock(&all->lock);
    if (all->n_open >= all->limits->most) {
        c->refuse = 503;
        count(all, CONNECTION_OVER_LIMIT);
    } else if (over_address_limit(all, c)) {
        c->refuse = 429;
        count(all, CONNECTION_OVER_ADDRESS_LIMIT);
    }
    atomic_store(&c->deadline, pack(PHASE_HEADER, deadline_of(all, c, PHASE_HEADER)));
    c->next = all->first;
    if (c->next)
        c->next->previous = c;
    all->first = c;
    all->n_open++;
    pthread_mutex_unlock(&all->lock);
    atomic_fetch_add_explicit(&all->counters->connections_accepted, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&all->counters->connections_open, 1, memory_order_relaxed);
}

void connections_remove(struct connections *all, struct connection *c)
{
    pthread_mutex_lock(&all->lock);
    if (c->next)
        c->next->previous = c->previous;
    if (c->previous)
        c->previous->next = c->next;
    else
        all->first = c->next;
    all->n_open--;
    pthread_mutex_unlock(&all->lock);
    atomic_fetch_sub_explicit(&all->counters->connections_open, 1, memory_order_relaxed);
}

bool connection_enter(struct connections *all, struct connection *c, enum phase phase)
{
    uint64_t old = atomic_load(&c->deadline), entered = pack(phase, deadline_of(all, c, phase));
    do {
        if (phase_of(old) == PHASE_EXPIRED)
            return false;
    } while (!atomic_compare_exchange_weak(&c->deadline, &old, entered));
    return true;
}

void connection_say(const struct connection *c, const char *status, const char *detail)
{
    char text[256];
    int size = snprintf(text, sizeof(text),
        "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n{\"detail\":\"%s\"}",
        status, strlen(detail) + strlen("{\"detail\":\"\"}"), detail);
    if (send(c->socket, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* The connection is cut in any case. */
    }
}

/* Sends the reason where a reply is still possible, and cuts the connection. The caller holds the lock, so the socket is
 * still this connection's. */
static void cut(struct connections *all, struct connection *c, enum phase phase)
{
    switch (phase) {
    case PHASE_HEADER:
        connection_say(c, "408 Request Timeout", "The request's headers did not arrive in time");
        count(all, CONNECTION_HEADER_LATE);
        break;
    case PHASE_BODY:
        if (atomic_load(&all->hurry))
            connection_say(c, "503 Service Unavailable", "The server is shutting down");
        else
            connection_say(c, "408 Request Timeout", "The request's body did not arrive in time");
        count(all, CONNECTION_BODY_LATE);
        break;
    case PHASE_WRITE:
        count(all, CONNECTION_WRITE_LATE);
        break;
    case PHASE_WORK:
    case PHASE_IDLE:
    case PHASE_EXPIRED:
        break;
    }
    shutdown(c->socket, SHUT_RDWR);
}

/* False when the connection has just entered another phase: then it is not late. */
static bool expire(struct connection *c, uint64_t old)
{
    return atomic_compare_exchange_strong(&c->deadline, &old, pack(PHASE_EXPIRED, 0));
}

/* Caller holds the lock. */
static void cut_late(struct connections *all, uint64_t now)
{
    for (struct connection *c = all->first; c; c = c->next) {
        uint64_t old = atomic_load(&c->deadline);
        if (phase_of(old) != PHASE_EXPIRED && old >> PHASE_BITS <= now && expire(c, old))
            cut(all, c, phase_of(old));
    }
}

static bool waits_for_client(const struct connection *c)
{
    enum phase phase = phase_of(atomic_load(&c->deadline));
    return phase == PHASE_HEADER || phase == PHASE_BODY || phase == PHASE_IDLE;
}

/* True when the client has shut down its sending side, and everything that it sent was read. */
static bool has_left(const struct pollfd *p)
{
    int unread = 0;
    return (p->revents & (POLLRDHUP | POLLHUP | POLLERR)) && ioctl(p->fd, FIONREAD, &unread) == 0 &&
           unread == 0;
}

static void cut_those_who_left(struct connection *const *batch, struct pollfd *polls, nfds_t n)
{
    if (n == 0 || poll(polls, n, 0) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++) {
        struct connection *c = batch[i];
        uint64_t now = atomic_load(&c->deadline);
        if (!waits_for_client(c) || !has_left(&polls[i]))
            continue;
        /* A request that was just read may be answered soon, so the connection is cut at the second look. */
        if (c->left_at != now)
            c->left_at = now;
        else if (expire(c, now))
            shutdown(c->socket, SHUT_RDWR);
    }
}

/* libmicrohttpd does not notice a client that leaves at the moment when its last bytes arrive: it waits for an event that
 * has already come. Caller holds the lock. */
static void cut_left(struct connections *all)
{
    struct connection *batch[LOOKED_AT_ONCE];
    struct pollfd polls[LOOKED_AT_ONCE];
    nfds_t n = 0;
    for (struct connection *c = all->first; c; c = c->next) {
        if (!waits_for_client(c))
            continue;
        batch[n] = c;
        polls[n++] = (struct pollfd){.fd = c->socket, .events = POLLRDHUP};
        if (n == LOOKED_AT_ONCE) {
            cut_those_who_left(batch, polls, n);
            n = 0;
        }
    }
    cut_those_who_left(batch, polls, n);
}

void connections_expire(struct connections *all)
{
    pthread_mutex_lock(&all->lock);
    cut_late(all, now_ms());
    cut_left(all);
    pthread_mutex_unlock(&all->lock);
}

void connections_hurry(struct connections *all)
{
    pthread_mutex_lock(&all->lock);
    atomic_store(&all->hurry, true);
    for (struct connection *c = all->first; c; c = c->next) {
        uint64_t old = atomic_load(&c->deadline), sooner = pack(PHASE_BODY, deadline_of(all, c, PHASE_BODY));
        /* Fails when the body has just ended, which is fine. */
        if (phase_of(old) == PHASE_BODY && sooner < old)
            atomic_compare_exchange_strong(&c->deadline, &old, sooner);
    }
    pthread_mutex_unlock(&all->lock);
}
