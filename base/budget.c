/* budget.c - one atomic counter, which never exceeds its limit. */
#include "berth/base/budget.h"

bool byte_budget_take(struct byte_budget *b, size_t bytes)
{
    if (!b)
        return true;
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (bytes > b->limit || used > b->limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&b->used, &used, used + bytes));
    return true;
}

void byte_budget_give(struct byte_budget *b, size_t bytes)
{
    if (b)
        atomic_fetch_sub(&b->used, bytes);
}
