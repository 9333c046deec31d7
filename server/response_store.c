/* response_store.c - a hash table of responses by id, and the list of them from the oldest to the newest.
 *
 * An entry is held by the table, by each entry that goes on from it, and by each caller that reads it. The last one that
 * lets go of it frees it.
 */
#include "berth/server/response_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET_BYTES 4096 /* of the limit, for each bucket; about what a short response takes */
#define BUCKETS_MOST 65536

struct kept_response {
    struct stored_response shown; /* first: the two are cast into each other */
    size_t bytes; /* of itself */
    size_t all_bytes; /* of itself and of all that it goes on from */
    size_t holds;
    struct kept_response *next; /* in its bucket; of one that is to be freed: the next such one */
    struct kept_response *older, *newer;
};

struct response_store {
    pthread_mutex_t lock; /* of all below, and of the entries but for what they show */
    size_t limit;
    size_t bytes, n; /* of all entries; listed */
    struct kept_response *oldest, *newest;
    size_t n_buckets; /* a power of two */
    struct kept_response *buckets[];
};

static struct kept_response *entry_of(const struct stored_response *shown)
{
    return (struct kept_response *)(uintptr_t)shown;
}

struct response_store *response_store_new(size_t limit)
{
    size_t n = 16;
    while (n < BUCKETS_MOST && n < limit / BUCKET_BYTES)
        n *= 2;
    struct response_store *s = calloc(1, sizeof(*s) + n * sizeof(s->buckets[0]));
    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->limit = limit;
    s->n_buckets = n;
    return s;
}

/* ---- with the lock held ---- */

/* Ids are random, so that any mixture of their bytes spreads them. */
static struct kept_response **bucket_of(struct response_store *s, struct span id)
{
    size_t mixed = 0;
    for (size_t i = 0; i < id.size; i++)
        mixed = mixed * 31 + id.at[i];
    return &s->buckets[mixed & (s->n_buckets - 1)];
}

static struct kept_response *find(struct response_store *s, size_t owner, struct span id)
{
    struct kept_response *e = *bucket_of(s, id);
    while (e && (e->shown.owner != owner || span_compare(e->shown.id, id) != 0))
        e = e->next;
    return e;
}

/* Lets go of an entry. Those that nobody holds then are put in front of *freed. */
static void let_go(struct response_store *s, struct kept_response *e, struct kept_response **freed)
{
    while (e && --e->holds == 0) {
        struct kept_response *previous = e->shown.previous ? entry_of(e->shown.previous) : NULL;
        s->bytes -= e->bytes;
        e->next = *freed;
        *freed = e;
        e = previous;
    }
}

static void unlist(struct response_store *s, struct kept_response *e, struct kept_response **freed)
{
    struct kept_response **at = bucket_of(s, e->shown.id);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    s->n--;
    let_go(s, e, freed);
}

static void list(struct response_store *s, struct kept_response *e)
{
    struct kept_response **bucket = bucket_of(s, e->shown.id);
    e->next = *bucket;
    *bucket = e;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    s->n++;
    s->bytes += e->bytes;
    if (e->shown.previous)
        entry_of(e->shown.previous)->holds++;
}

/* ---- without it ---- */

static void free_all(struct kept_response *freed)
{
    for (struct kept_response *next; freed; freed = next) {
        next = freed->next;
        free(freed);
    }
}

void response_store_free(struct response_store *s)
{
    struct kept_response *freed = NULL;
    if (!s)
        return;
    while (s->oldest)
        unlist(s, s->oldest, &freed);
    free_all(freed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct span copied(char **to, struct span text)
{
    struct span copy = {(const uint8_t *)*to, text.size};
    if (text.size > 0)
        memcpy(*to, text.at, text.size);
    *to += text.size;
    return copy;
}

static struct kept_response *entry_new(const struct stored_response *r, size_t bytes, size_t all_bytes)
{
    struct kept_response *e = malloc(bytes);
    if (!e)
        return NULL;
    char *text = (char *)(e + 1);
    *e = (struct kept_response){.shown = *r, .bytes = bytes, .all_bytes = all_bytes, .holds = 1};
    e->shown.id = copied(&text, r->id);
    e->shown.body = copied(&text, r->body);
    e->shown.output.at = e->shown.body.at + (r->output.at - r->body.at);
    e->shown.input = copied(&text, r->input);
    return e;
}

bool response_store_add(struct response_store *s, const struct stored_response *r)
{
    struct kept_response *freed = NULL;
    size_t bytes = sizeof(struct kept_response) + r->id.size + r->body.size + r->input.size;
    size_t before = r->previous ? entry_of(r->previous)->all_bytes : 0;
    if (before > s->limit || bytes > s->limit - before)
        return false;
    struct kept_response *e = entry_new(r, bytes, before + bytes);
    if (!e)
        return false;
    pthread_mutex_lock(&s->lock);
    while (s->oldest && s->bytes + bytes > s->limit)
        unlist(s, s->oldest, &freed);
    /* What others read at this moment may still leave too little. */
    bool fits = s->bytes + bytes <= s->limit;
    if (fits)
        list(s, e);
    pthread_mutex_unlock(&s->lock);
    free_all(freed);
    if (!fits)
        free(e);
    return fits;
}

const struct stored_response *response_store_get(struct response_store *s, size_t owner, struct span id)
{
    pthread_mutex_lock(&s->lock);
    struct kept_response *e = find(s, owner, id);
    if (e)
        e->holds++;
    pthread_mutex_unlock(&s->lock);
    return e ? &e->shown : NULL;
}

void response_store_drop(struct response_store *s, const struct stored_response *held)
{
    struct kept_response *freed = NULL;
    if (!held)
        return;
    pthread_mutex_lock(&s->lock);
    let_go(s, entry_of(held), &freed);
    pthread_mutex_unlock(&s->lock);
    free_all(freed);
}

bool response_store_delete(struct response_store *s, size_t owner, struct span id)
{
    struct kept_response *freed = NULL;
    pthread_mutex_lock(&s->lock);
    struct kept_response *e = find(s, owner, id);
    if (e)
        unlist(s, e, &freed);
    pthread_mutex_unlock(&s->lock);
    free_all(freed);
    return e != NULL;
}

struct response_store_usage response_store_usage(struct response_store *s)
{
    pthread_mutex_lock(&s->lock);
    struct response_store_usage usage = {.bytes = s->bytes, .responses = s->n};
    pthread_mutex_unlock(&s->lock);
    return usage;
}
