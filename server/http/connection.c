/* connection.c - the list of connections and their deadlines.
 *
 * The list is under a lock, taken when a client connects or leaves and when deadlines are looked through. A
 * request moves its connection from phase to phase with one atomic exchange instead. The lock also keeps a
 * socket's number from being used again while it is being cut: a connection leaves the list before its socket
 * is closed.
 */
#include "berth/server/http/connection.h"

#include <netinet/in.h>
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
#define REFUSED_HEADER_SECONDS 1.0 /* a spare place is not for waiting in */

struct connections {
    pthread_mutex_t lock;
    struct connection *first; /* under lock */
    size_t n_open; /* under lock */
    const struct options *options;
    struct metrics *metrics;
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

static uint64_t deadline_of(const struct options *o, const struct connection *c, enum phase phase)
{
    double seconds = phase == PHASE_HEADER  ? o->header_timeout
                     : phase == PHASE_BODY  ? o->body_timeout
                     : phase == PHASE_WRITE ? o->write_timeout
                                            : o->keep_alive;
    if (phase == PHASE_WORK)
        return NO_DEADLINE;
    if (c->refuse && seconds > REFUSED_HEADER_SECONDS)
        seconds = REFUSED_HEADER_SECONDS;
    return now_ms() + (uint64_t)(seconds * 1000);
}

struct connections *connections_new(const struct options *o, struct metrics *m)
{
    struct connections *all = calloc(1, sizeof(*all));
    if (!all)
        return NULL;
    pthread_mutex_init(&all->lock, NULL);
    all->options = o;
    all->metrics = m;
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

/* Caller holds the lock. */
static bool over_address_limit(const struct connections *all, const struct connection *added)
{
    uint64_t most = all->options->max_connections_per_address, same = 0;
    for (const struct connection *c = all->first; most && c; c = c->next)
        same += memcmp(c->address, added->address, sizeof(c->address)) == 0;
    return most && same >= most;
}

static void count(struct connections *all, enum connection_end end)
{
    atomic_fetch_add_explicit(&all->metrics->connections_ended[end], 1, memory_order_relaxed);
}

void connections_add(
    struct connections *all, struct connection *c, int socket, const struct sockaddr *address)
{
    *c = (struct connection){.socket = socket};
    copy_address(c->address, address);
    pthread_mutex_lock(&all->lock);
    if (all->n_open >= all->options->max_connections) {
        c->refuse = 503;
        count(all, CONNECTION_OVER_LIMIT);
    } else if (over_address_limit(all, c)) {
        c->refuse = 429;
        count(all, CONNECTION_OVER_ADDRESS_LIMIT);
    }
    atomic_store(&c->deadline, pack(PHASE_HEADER, deadline_of(all->options, c, PHASE_HEADER)));
    c->next = all->first;
    if (c->next)
        c->next->previous = c;
    all->first = c;
    all->n_open++;
    pthread_mutex_unlock(&all->lock);
    atomic_fetch_add_explicit(&all->metrics->connections_accepted, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&all->metrics->connections_open, 1, memory_order_relaxed);
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
    atomic_fetch_sub_explicit(&all->metrics->connections_open, 1, memory_order_relaxed);
}

bool connection_enter(struct connections *all, struct connection *c, enum phase phase)
{
    uint64_t old = atomic_load(&c->deadline), entered = pack(phase, deadline_of(all->options, c, phase));
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
        /* Best effort: the connection is cut in any case. */
    }
}

/* Caller holds the lock, so the socket is still this connection's. */
static void cut(struct connections *all, struct connection *c, enum phase phase)
{
    switch (phase) {
    case PHASE_HEADER:
        connection_say(c, "408 Request Timeout", "The request's headers did not arrive in time");
        count(all, CONNECTION_HEADER_LATE);
        break;
    case PHASE_BODY:
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

/* Fails when a request has moved on in this moment: then the connection was not late. */
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

/* Has shut its side down, and everything that it sent was read. */
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
        /* Its last request may have been read in this moment and be about to be answered. */
        if (c->left_at != now)
            c->left_at = now;
        else if (expire(c, now))
            shutdown(c->socket, SHUT_RDWR);
    }
}

/* A client that leaves in the same moment as its last bytes arrive goes unnoticed by libmicrohttpd, which
 * waits for a change that has been. Caller holds the lock. */
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
