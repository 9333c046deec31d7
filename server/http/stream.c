/* stream.c - connections that are suspended until their reply comes, and replies that come in pieces.
 *
 * In libmicrohttpd a callback may suspend its connection, and any thread may resume it. There are three rules:
 *  - A connection that is not suspended must not be resumed. So both are done under the suspended connection's lock, and
 *    a wake that comes before the suspension is stored.
 *  - libmicrohttpd does not notice when the client of a suspended connection leaves. So streams_tick polls the sockets.
 *  - It must not be stopped while a connection is suspended. So streams_close resumes all of them, and none is suspended
 *    afterwards.
 *
 * A client that shuts down its sending side counts as one that has left, as in most servers, because the two look the same.
 */
#include "http_private.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_BYTES 4096
#define OUT_MAX ((size_t)256 << 20)
#define OUT_KEPT_MAX 65536 /* bytes; a larger buffer is freed when what is in it was sent */
#define LOOKED_AT_ONCE 128
#define STATUS_LEFT 499 /* for log and metrics only: the client closed the connection */

static const char ping[] = ": ping\n\n";
static const char blank[] = " "; /* in streams that know no comments: white space before a line of JSON */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Caller holds the suspended connection's lock. libmicrohttpd may close a connection after it was resumed, so a connection
 * stays suspended while a request worker uses its session. */
static void wake_locked(struct suspended *z)
{
    z->woken = true;
    if (!z->suspended || !z->answered)
        return;
    z->suspended = false;
    MHD_resume_connection(z->connection);
}

void suspended_wake(struct suspended *z)
{
    pthread_mutex_lock(&z->lock);
    wake_locked(z);
    pthread_mutex_unlock(&z->lock);
}

/* When the lock is released the request may end, and `z` with it. */
void suspended_answer(struct suspended *z, struct async_reply *async)
{
    pthread_mutex_lock(&z->lock);
    z->async = async;
    z->answered = true;
    wake_locked(z);
    pthread_mutex_unlock(&z->lock);
}

/* Suspends the connection; only from a callback of libmicrohttpd. False when it was woken since the last call: then look
 * again. */
static bool suspend(struct suspended *z)
{
    pthread_mutex_lock(&z->lock);
    bool suspends = !z->woken && !(z->left && z->answered);
    z->woken = false;
    if (suspends) {
        z->suspended = true;
        MHD_suspend_connection(z->connection);
    }
    pthread_mutex_unlock(&z->lock);
    return suspends;
}

/* Lets the thread serve its other connections before it calls again for this one. Only from a callback. */
static void yield_thread(struct suspended *z)
{
    MHD_suspend_connection(z->connection);
    MHD_resume_connection(z->connection);
}

static bool has_left(int socket)
{
    struct pollfd p = {.fd = socket, .events = POLLRDHUP};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

bool suspended_left(struct suspended *z)
{
    if (atomic_load_explicit(z->stopping, memory_order_relaxed))
        return true;
    bool gone = has_left(z->wire->socket);
    pthread_mutex_lock(&z->lock);
    z->left |= gone;
    gone = z->left;
    pthread_mutex_unlock(&z->lock);
    if (gone)
        atomic_store(&z->useless, true);
    return gone;
}

/* ---- before the answer ---- */

static bool join(struct streams *all, struct http_session *s, struct MHD_Connection *c)
{
    struct suspended *z = &s->suspended;
    z->wire = &s->connection;
    z->stopping = &s->http->stopping;
    atomic_store(&z->useless, false);
    z->suspended = z->woken = z->answered = z->left = z->quiet = z->ended = false;
    z->async = NULL;
    z->connection = c;
    z->taken = 0;
    z->heard_ms = now_ms();
    pthread_mutex_lock(&all->lock);
    bool open = !all->closing;
    if (open) {
        z->previous = NULL;
        z->next = all->first;
        if (z->next)
            z->next->previous = z;
        all->first = z;
    }
    pthread_mutex_unlock(&all->lock);
    z->begun = open;
    return open;
}

static void leave(struct streams *all, struct suspended *z)
{
    pthread_mutex_lock(&all->lock);
    if (z->next)
        z->next->previous = z->previous;
    if (z->previous)
        z->previous->next = z->next;
    else
        all->first = z->next;
    pthread_mutex_unlock(&all->lock);
    z->begun = false;
}

/* State that an HTTP thread needs for one call, read under one lock. */
struct stream_look {
    bool answered, left, quiet;
};

static struct stream_look see(struct suspended *z)
{
    pthread_mutex_lock(&z->lock);
    struct stream_look seen = {z->answered, z->left, z->quiet};
    pthread_mutex_unlock(&z->lock);
    return seen;
}

/* The client is about to receive something. */
static void heard(struct suspended *z)
{
    pthread_mutex_lock(&z->lock);
    z->quiet = false;
    z->heard_ms = now_ms();
    pthread_mutex_unlock(&z->lock);
}

/* Gives the session to the request workers. False when that fails: s->reply has the refusal, or the client has left. */
static bool start(struct http_session *s, struct MHD_Connection *c)
{
    struct suspended *z = &s->suspended;
    s->request.suspended = z;
    s->request.useless = &z->useless;
    if (!join(&s->http->streams, s, c))
        return false;
    if (request_workers_put(s->http->workers, s))
        return true;
    leave(&s->http->streams, z);
    decide_refuse(s, 503, "The server is shutting down");
    s->reply.close = true;
    return false;
}

enum stream_answer stream_answer(struct http_session *s, struct MHD_Connection *c)
{
    struct suspended *z = &s->suspended;
    if (!z->begun && !start(s, c))
        return s->reply.status ? STREAM_THERE : STREAM_GONE;
    do {
        struct stream_look seen = see(z);
        if (!seen.answered)
            continue;
        session_drop_body(s); /* it may be large, and the answer may take long; it is not needed any more */
        if (seen.left) {
            s->status = STATUS_LEFT;
            return STREAM_GONE;
        }
        if (s->reply.status)
            return STREAM_THERE;
        enum async_reply_state state = z->async->kind->look(z->async, seen.quiet, &s->reply);
        if (state == ASYNC_WHOLE || state == ASYNC_STREAM)
            return STREAM_THERE;
        if (state == ASYNC_AGAIN) {
            yield_thread(z);
            return STREAM_SUSPENDED;
        }
    } while (!suspend(z));
    return STREAM_SUSPENDED;
}

/* ---- a stream ---- */

enum filled { FILLED, EMPTY, ENDED, BROKEN };

static void open_out(struct http_session *s)
{
    strbuf_release(&s->suspended.out);
    strbuf_init(&s->suspended.out, OUT_MAX);
    s->suspended.out.budget = s->http->config.memory;
}

static bool has_comments(const struct http_session *s)
{
    static const char type[] = "text/event-stream";
    return s->reply.content_type && strncmp(s->reply.content_type, type, sizeof(type) - 1) == 0;
}

/* Gets the next bytes into z->out and starts the deadline for writing. EMPTY: the connection was suspended. */
static enum filled fill(struct http_session *s)
{
    struct suspended *z = &s->suspended;
    if (z->out.room > OUT_KEPT_MAX)
        open_out(s);
    z->out.size = z->taken = 0;
    do {
        struct stream_look seen = see(z);
        if (seen.left)
            return BROKEN;
        if (z->ended)
            return ENDED;
        enum async_reply_more more = z->async->kind->more(z->async, &z->out);
        z->ended = more == ASYNC_END;
        if (z->out.size == 0 && seen.quiet && !z->ended)
            strbuf_text(&z->out, z->async->ping ? z->async->ping : has_comments(s) ? ping : blank);
        if (z->out.failed)
            return BROKEN;
        enum phase phase = z->out.size > 0 ? PHASE_WRITE : PHASE_WORK;
        if (!connection_enter(s->http->connections, &s->connection, phase))
            return BROKEN;
        if (z->out.size > 0) {
            heard(z);
            return FILLED;
        }
        if (more == ASYNC_MORE_NOW) {
            yield_thread(z);
            return EMPTY;
        }
    } while (z->ended || !suspend(z));
    return EMPTY;
}

static ssize_t read_stream(void *context, uint64_t position, char *to, size_t room)
{
    struct http_session *s = context;
    struct suspended *z = &s->suspended;
    (void)position;
    if (z->taken == z->out.size) {
        switch (fill(s)) {
        case FILLED:
            break;
        case EMPTY:
            return 0;
        case ENDED:
            return MHD_CONTENT_READER_END_OF_STREAM;
        case BROKEN:
            s->status = STATUS_LEFT;
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }
    size_t size = z->out.size - z->taken;
    if (size > room)
        size = room;
    memcpy(to, z->out.text + z->taken, size);
    z->taken += size;
    s->sent += size;
    return (ssize_t)size;
}

struct MHD_Response *stream_response(struct http_session *s)
{
    open_out(s);
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, s, NULL);
}

/* No request worker uses the session, because its connection is not suspended. The thread that woke it may still hold the
 * lock. */
void stream_end(struct http_session *s)
{
    struct suspended *z = &s->suspended;
    if (!z->begun)
        return;
    leave(&s->http->streams, z);
    pthread_mutex_lock(&z->lock);
    pthread_mutex_unlock(&z->lock);
    if (z->async)
        z->async->kind->release(z->async);
    z->async = NULL;
    strbuf_release(&z->out);
}

/* ---- all of them ---- */

void streams_open(struct streams *all, double seconds)
{
    pthread_mutex_init(&all->lock, NULL);
    all->ping = seconds;
}

/* Wakes the connection, which is dropped then. The caller holds the list's lock, so that `z` does not end meanwhile. */
static void give_up(struct suspended *z)
{
    atomic_store(&z->useless, true);
    pthread_mutex_lock(&z->lock);
    z->left = true;
    wake_locked(z);
    pthread_mutex_unlock(&z->lock);
}

static void give_up_those_who_left(struct suspended *const *batch, struct pollfd *polls, nfds_t n)
{
    if (n == 0 || poll(polls, n, 0) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        if (polls[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
            give_up(batch[i]);
}

static void look_for_quiet(const struct streams *all, struct suspended *z, uint64_t now)
{
    if (all->ping <= 0)
        return;
    pthread_mutex_lock(&z->lock);
    if (!z->quiet && (double)(now - z->heard_ms) >= all->ping * 1000) {
        z->quiet = true;
        wake_locked(z);
    }
    pthread_mutex_unlock(&z->lock);
}

bool streams_tick(struct streams *all)
{
    struct suspended *batch[LOOKED_AT_ONCE];
    struct pollfd polls[LOOKED_AT_ONCE];
    nfds_t n = 0;
    uint64_t now = now_ms();
    pthread_mutex_lock(&all->lock);
    bool any = all->first != NULL;
    for (struct suspended *z = all->first; z; z = z->next) {
        look_for_quiet(all, z, now);
        batch[n] = z;
        polls[n++] = (struct pollfd){.fd = z->wire->socket, .events = POLLRDHUP};
        if (n == LOOKED_AT_ONCE) {
            give_up_those_who_left(batch, polls, n);
            n = 0;
        }
    }
    give_up_those_who_left(batch, polls, n);
    pthread_mutex_unlock(&all->lock);
    return any;
}

void streams_stop(struct streams *all)
{
    pthread_mutex_lock(&all->lock);
    for (struct suspended *z = all->first; z; z = z->next)
        atomic_store(&z->useless, true);
    pthread_mutex_unlock(&all->lock);
}

/* Sends 503 past libmicrohttpd for a request whose handler still runs; its reply has not begun. Caller holds the list's
 * lock. */
static void refuse_running(struct suspended *z)
{
    pthread_mutex_lock(&z->lock);
    if (!z->answered && !z->left)
        connection_say(z->wire, "503 Service Unavailable", "The server is shutting down");
    pthread_mutex_unlock(&z->lock);
}

void streams_close(struct streams *all)
{
    pthread_mutex_lock(&all->lock);
    all->closing = true;
    for (struct suspended *z = all->first; z; z = z->next) {
        refuse_running(z);
        give_up(z);
    }
    pthread_mutex_unlock(&all->lock);
}
