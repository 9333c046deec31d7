/* desk.c - the threads that run the handlers of slow routes.
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

struct desk {
    struct server *server;
    pthread_mutex_t lock; /* of the four below */
    pthread_cond_t wake;
    struct session *first, *last;
    bool closing;
    pthread_t threads[DESKS];
    size_t n_threads;
};

/* The next session, or NULL when there will be none. */
static struct session *next(struct desk *d)
{
    pthread_mutex_lock(&d->lock);
    while (!d->first && !d->closing)
        pthread_cond_wait(&d->wake, &d->lock);
    struct session *s = d->first;
    if (s)
        d->first = s->next_at_desk;
    pthread_mutex_unlock(&d->lock);
    return s;
}

static void *desk_run(void *context)
{
    struct desk *d = context;
    for (struct session *s = next(d); s; s = next(d)) {
        s->route->run(d->server, &s->request, &s->reply);
        sleeper_answer(&s->sleeper, s->reply.later);
    }
    return NULL;
}

static bool start_thread(struct desk *d)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, DESK_STACK_BYTES);
    int failed = pthread_create(&d->threads[d->n_threads], &attributes, desk_run, d);
    pthread_attr_destroy(&attributes);
    d->n_threads += failed == 0;
    return failed == 0;
}

struct desk *desk_open(struct server *server, struct error *err)
{
    struct desk *d = calloc(1, sizeof(*d));
    if (!d) {
        error_set(err, "no memory for the threads that read requests");
        return NULL;
    }
    d->server = server;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    while (d->n_threads < DESKS)
        if (!start_thread(d)) {
            desk_close(d);
            error_set(err, "cannot start the threads that read requests");
            return NULL;
        }
    return d;
}

bool desk_put(struct desk *d, struct session *s)
{
    s->next_at_desk = NULL;
    pthread_mutex_lock(&d->lock);
    bool open = !d->closing;
    if (open) {
        if (d->first)
            d->last->next_at_desk = s;
        else
            d->first = s;
        d->last = s;
        pthread_cond_signal(&d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return open;
}

void desk_close(struct desk *d)
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
