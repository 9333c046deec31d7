/* budget.h - bytes that several users share, counted so that together they stay below a limit.
 *
 * Whoever needs memory takes it from the budget before it is allocated and gives it back after it is freed. All functions
 * may be called from any thread. Without a budget (NULL) nothing is counted.
 */
#ifndef BERTH_BUDGET_H
#define BERTH_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct byte_budget {
    size_t limit; /* constant once it is shared */
    atomic_size_t used;
};

/* Takes `bytes`. False, with nothing taken, when the budget has fewer left. */
bool byte_budget_take(struct byte_budget *b, size_t bytes);
void byte_budget_give(struct byte_budget *b, size_t bytes);

#endif
