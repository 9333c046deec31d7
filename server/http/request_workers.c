/* request_workers.c - the threads that run the handlers of slow routes.
 *
 * To read a long prompt takes a template, a tokenizer and up to some hundred milliseconds. On an HTTP thread
 * health probes would wait behind it; here they do not. A session that is at the desk sleeps, so libmicrohttpd
 * leaves it alone, and stream.c does not let it end: until its handler has returned it belongs to this thread.
 * The queue is bounded by the number of connections.
 */
#include "http_private.h"

#include <stdlib.h>
#include <string.h>

#define DESKS 2 /* so that one request that takes long does not hold up all others */
#define DESK_STACK_BYTES (1024 * 1024) /* jansson's parser recurses, and so do templates */

struct request_workers {
    struct server *server;
    pthread_mutex_t lock; /* of the four below */
    pthread_cond_t wake;
    struct http_session *first, *last;
    bool closing;
    pthread_t threads[DESKS];
    size_t n_threads;
};

/* The next session, or NULL when there will be none. */
static struct http_session *next(struct request_workers *d)
{
    pthread_mutex_lock(&d->lock);
    while (!d->first && !d->closing)
        pthread_cond_wait(&d->wake, &d->lock);
    struct http_session *s = d->first;
    if (s)
        d->first = s->next_for_workers;
    pthread_mutex_unlock(&d->lock);
    return s;
}

static void *request_workers_run(void *context)
{
    struct request_workers *d = context;
    for (struct http_session *s = next(d); s; s = next(d)) {
        s->route->run(d->server, &s->request, &s->reply);
        suspended_answer(&s->suspended, s->reply.async);
    }
    return NULL;
}

static bool start_thread(struct request_workers *d)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, DESK_STACK_BYTES);
    int failed = pthread_create(&d->threads[d->n_threads], &attributes, request_workers_run, d);
    pthread_attr_destroy(&attributes);
    d->n_threads += failed == 0;
    return failed == 0;
}

struct request_workers *request_workers_open(struct server *server, struct error *err)
{
    struct request_workers *d = calloc(1, sizeof(*d));
    if (!d) {
        error_set(err, "no memory for the threads that read requests");
        return NULL;
    }
    d->server = server;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    while (d->n_threads < DESKS)
        if (!start_thread(d)) {
            request_workers_close(d);
            error_set(err, "cannot start the threads that read requests");
            return NULL;
        }
    return d;
}

bool request_workers_put(struct request_workers *d, struct http_session *s)
{
    s->next_for_workers = NULL;
    pthread_mutex_lock(&d->lock);
    bool open = !d->closing;
    if (open) {
        if (d->first)
            d->last->next_for_workers = s;
        else
            d->first = s;
        d->last = s;
        pthread_cond_signal(&d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return open;
}

void request_workers_close(struct request_workers *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->closing = true;
    pthread_cond_broadcast(&d->wake);
    pthread_mutex_unlock(&d->lock);
    for (size_t i = 0; i < d->n_threads; i++)
        pthread_join(d->threads[i], NULL);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
