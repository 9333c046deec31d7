/* builder_index.c - arrays that grow, and an index of their items by content. */
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

uint32_t hash_of(const void *bytes, size_t size, uint32_t seed)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ (size * 0x9e3779b97f4a7c15);
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * 0xff51afd7ed558ccd;
        h ^= h >> 32;
    }
    for (; size > 0; size--, p++)
        h = (h ^ *p) * 0x100000001b3;
    h ^= h >> 29;
    h *= 0xc4ceb9fe1a85ec53;
    return (uint32_t)(h >> 32);
}

uint32_t hash_index_next(const struct hash_index *x, uint32_t hash, uint32_t *at)
{
    if (x->mask == 0)
        return NO_INDEX;
    for (uint32_t i = *at; i <= x->mask; i++) {
        const struct hash_slot *s = &x->slots[(hash + i) & x->mask];
        if (s->item == NO_INDEX)
            return NO_INDEX;
        if (s->hash == hash) {
            *at = i + 1;
            return s->item;
        }
    }
    return NO_INDEX;
}

static void put(struct hash_slot *slots, uint32_t mask, struct hash_slot s)
{
    uint32_t at = s.hash & mask;
    while (slots[at].item != NO_INDEX)
        at = (at + 1) & mask;
    slots[at] = s;
}

bool hash_index_add(struct hash_index *x, uint32_t hash, uint32_t item)
{
    if (x->mask == 0 || x->used > x->mask / 2) {
        uint32_t mask = x->mask ? x->mask * 2 + 1 : 63;
        struct hash_slot *slots = mask < NO_INDEX / 2 ? malloc(((size_t)mask + 1) * sizeof(*slots)) : NULL;
        if (!slots)
            return false;
        memset(slots, 0xff, ((size_t)mask + 1) * sizeof(*slots));
        for (uint32_t i = 0; x->mask && i <= x->mask; i++)
            if (x->slots[i].item != NO_INDEX)
                put(slots, mask, x->slots[i]);
        free(x->slots);
        x->slots = slots;
        x->mask = mask;
    }
    put(x->slots, x->mask, (struct hash_slot){hash, item});
    x->used++;
    return true;
}

size_t hash_index_bytes(const struct hash_index *x)
{
    return x->mask ? ((size_t)x->mask + 1) * sizeof(*x->slots) : 0;
}

bool array_grow(void *array, uint32_t *room, size_t need, size_t size)
{
    void *old;
    if (need <= *room)
        return true;
    size_t more = need + need / 2 + 16;
    if (more >= NO_INDEX || more > SIZE_MAX / size)
        return false;
    memcpy(&old, array, sizeof(old));
    void *new = realloc(old, more * size);
    if (!new)
        return false;
    memcpy(array, &new, sizeof(new));
    *room = (uint32_t)more;
    return true;
}
