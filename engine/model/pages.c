/* pages.c - pages of keys and values that sequences share, each counted.
 *
 * A page follows a header of one cache line, which has its count and class. Sequences have pointers to the page itself, as
 * attention reads them. A page is written only while one sequence alone holds it, and only from that sequence's length on.
 * So a fork shares the pages, and a page is copied when one of its holders writes. Counts are not atomic, because one
 * thread changes them.
 */
#include "sequence_private.h"

#include <stdlib.h>
#include <string.h>

struct page_header {
    unsigned count;
    enum kv_class class;
};

static struct page_header *header_of(uint8_t *page)
{
    return (struct page_header *)(void *)(page - KV_HEADER);
}

static uint8_t *page_new(struct kv_cache *c, enum kv_class class)
{
    uint8_t *memory = kv_cache_take(c, c->page_bytes[class]);
    if (!memory)
        return NULL;
    uint8_t *page = memory + KV_HEADER;
    *header_of(page) = (struct page_header){.count = 1, .class = class};
    c->n_pages[class]++;
    return page;
}

void kv_cache_drop_page(struct kv_cache *c, uint8_t *page)
{
    if (!page || --header_of(page)->count > 0)
        return;
    enum kv_class class = header_of(page)->class;
    kv_cache_give_back(c, page - KV_HEADER, c->page_bytes[class]);
    c->n_pages[class]--;
}

size_t pages_for(size_t positions)
{
    return positions / ATTENTION_BLOCK + (positions % ATTENTION_BLOCK != 0);
}

bool pages_init(struct page_part *p, struct kv_cache *c, enum kv_class class, size_t room)
{
    *p = (struct page_part){
        .cache = c, .class = class, .pages = malloc(room * sizeof(*p->pages)), .room = room};
    return p->pages != NULL;
}

void pages_release(struct page_part *p)
{
    pages_cut(p, 0);
    free(p->pages);
}

void pages_cut(struct page_part *p, size_t pages)
{
    while (p->n > pages)
        kv_cache_drop_page(p->cache, p->pages[--p->n]);
    p->first = p->first < p->n ? p->first : p->n;
}

void pages_give_back(struct page_part *p, size_t first)
{
    for (; p->first < p->n && (p->first < first || !p->pages[p->first]); p->first++) {
        kv_cache_drop_page(p->cache, p->pages[p->first]);
        p->pages[p->first] = NULL;
    }
}

static bool make_room(struct page_part *p, size_t pages)
{
    if (pages <= p->room)
        return true;
    size_t room = pages > 2 * p->room ? pages : 2 * p->room;
    uint8_t **grown = realloc(p->pages, room * sizeof(*grown));
    if (!grown)
        return false;
    p->pages = grown;
    p->room = room;
    return true;
}

/* True when the next position lies in a page that exists and that others hold, too. */
static bool writes_to_shared(const struct page_part *p, size_t length, size_t n)
{
    size_t page = length / ATTENTION_BLOCK;
    return n > length && page < p->n && header_of(p->pages[page])->count > 1;
}

bool pages_reserve(struct page_part *p, size_t length, size_t n)
{
    size_t before = p->n, wanted = pages_for(n);
    if (!make_room(p, wanted))
        return false;
    while (p->n < wanted) {
        uint8_t *page = page_new(p->cache, p->class);
        if (!page) {
            pages_cut(p, before);
            return false;
        }
        p->pages[p->n++] = page;
    }
    if (!writes_to_shared(p, length, n))
        return true;
    uint8_t *copy = page_new(p->cache, p->class);
    if (!copy) {
        pages_cut(p, before);
        return false;
    }
    uint8_t **shared = &p->pages[length / ATTENTION_BLOCK];
    memcpy(copy, *shared, p->cache->page_bytes[p->class] - KV_HEADER);
    kv_cache_drop_page(p->cache, *shared);
    *shared = copy;
    return true;
}

void pages_fork(struct page_part *to, const struct page_part *from, size_t pages)
{
    to->first = from->first;
    for (to->n = 0; to->n < pages; to->n++)
        to->pages[to->n] = page_hold(from->pages[to->n]);
}

bool pages_share(struct page_part *p, size_t i, uint8_t *page)
{
    if (!make_room(p, i + 1))
        return false;
    if (i == p->n)
        p->pages[p->n++] = NULL;
    if (page && i >= p->first) {
        page_hold(page);
        kv_cache_drop_page(p->cache, p->pages[i]);
        p->pages[i] = page;
    }
    return true;
}

uint8_t *page_hold(uint8_t *page)
{
    if (page)
        header_of(page)->count++;
    return page;
}
