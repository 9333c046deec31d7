/* request_workers.c - the threads that run the handlers of slow routes.
 *
 * Rendering and tokenizing a long prompt may take some hundred milliseconds. On an HTTP thread, health probes would wait
 * for it. A worker's session is suspended, so libmicrohttpd does not use it, and stream.c does not end it before its
 * handler has returned.
 *
 * There are two queues, for short and for long bodies. One thread never takes long ones, and all others prefer them. So a
 * short request never waits for long ones, and long ones are run however many short ones there are. Requests whose clients
 * have left are not run. The number of connections bounds the queues.
 */
#include "http_private.h"

#include <stdlib.h>

#define LONG_BYTES 65536 /* of a body; a shorter one takes a few milliseconds */
#define WORKER_STACK_BYTES (1024 * 1024) /* JSON parsers and templates recurse */

struct request_queue {
    struct http_session *first, *last;
};

struct request_workers {
    struct http *http;
    pthread_mutex_t lock; /* of what follows, down to the blank line */
    pthread_cond_t wake;
    struct request_queue shorts, longs;
    size_t n_long; /* threads that run long requests */
    bool stopped;

    size_t n_threads;
    pthread_t threads[]; /* [n_threads] */
};

static bool is_long(const struct http_session *s)
{
    return s->body_size > LONG_BYTES;
}

static void add(struct request_queue *q, struct http_session *s)
{
    s->next_for_workers = NULL;
    if (q->first)
        q->last->next_for_workers = s;
    else
        q->first = s;
    q->last = s;
}

static struct http_session *take(struct request_queue *q)
{
    struct http_session *s = q->first;
    if (s)
        q->first = s->next_for_workers;
    return s;
}

/* The request to run next, or NULL when a thread has to wait. Caller holds the lock. */
static struct http_session *choose(struct request_workers *w)
{
    if (w->longs.first && w->n_long + 1 < w->n_threads) {
        w->n_long++;
        return take(&w->longs);
    }
    return take(&w->shorts);
}

/* NULL when there will be no more. */
static struct http_session *next(struct request_workers *w)
{
    struct http_session *s = NULL;
    pthread_mutex_lock(&w->lock);
    while (!w->stopped && !(s = choose(w)))
        pthread_cond_wait(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return s;
}

static void long_has_ended(struct request_workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->n_long--;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void refuse(struct http_session *s)
{
    decide_refuse(s, 503, "The server is shutting down");
    s->reply.close = true;
    suspended_answer(&s->suspended, NULL);
}

static void *request_workers_run(void *context)
{
    struct request_workers *w = context;
    for (struct http_session *s = next(w); s; s = next(w)) {
        bool was_long = is_long(s);
        if (!suspended_left(&s->suspended))
            s->request.route->run(w->http->context, &s->request, &s->reply);
        if (!s->reply.status && !s->reply.async)
            refuse(s);
        else
            suspended_answer(&s->suspended, s->reply.async);
        if (was_long)
            long_has_ended(w);
    }
    return NULL;
}

static bool start_thread(struct request_workers *w)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
    int failed = pthread_create(&w->threads[w->n_threads], &attributes, request_workers_run, w);
    pthread_attr_destroy(&attributes);
    pthread_mutex_lock(&w->lock);
    w->n_threads += failed == 0;
    pthread_mutex_unlock(&w->lock);
    return failed == 0;
}

struct request_workers *request_workers_open(struct http *h, unsigned threads, struct error *err)
{
    struct request_workers *w = calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));
    if (!w) {
        error_set(err, "no memory for the request workers");
        return NULL;
    }
    w->http = h;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    for (unsigned i = 0; i < threads; i++)
        if (!start_thread(w)) {
            request_workers_close(w);
            error_set(err, "cannot start the request workers");
            return NULL;
        }
    return w;
}

bool request_workers_put(struct request_workers *w, struct http_session *s)
{
    pthread_mutex_lock(&w->lock);
    bool open = !w->stopped;
    if (open) {
        add(is_long(s) ? &w->longs : &w->shorts, s);
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    return open;
}

void request_workers_stop(struct request_workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopped = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    /* No thread adds or takes any more. */
    for (struct http_session *s; (s = take(&w->shorts)) || (s = take(&w->longs));)
        refuse(s);
}

void request_workers_close(struct request_workers *w)
{
    if (!w)
        return;
    request_workers_stop(w);
    for (size_t i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
