/* prefill.c - the prefill budget: how many rows prompts may have in a step, from what steps have cost.
 *
 * A step reads all weights once and does arithmetic for each row, so it takes about `base` + rows * `row` seconds. Rows
 * of prompts and of answers cost the same, and a row costs the same beside 4 others as beside 60 (measured). Reading a
 * prompt in small parts beside answers therefore wastes little, and the question is how to divide the time.
 *
 * Each slot that reads gets as much time as a slot that answers. All readers together get at least the time of all
 * answers, so a long prompt takes at most twice as long as alone, and at most twice that time, so a token takes at most
 * three times as long as alone. A step may always take UNNOTICED_SECONDS, in which tiny models read all of `chunk`.
 */
#include "scheduler_private.h"

#define UNNOTICED_SECONDS 0.01 /* a step that is shorter delays no reader of a stream */
#define STEP_SECONDS 1.0 /* for prompts in a step without answers */
#define ROWS_LEAST 8 /* for prompts in a step, however slow rows are */
#define ROWS_FIRST 16 /* while the cost of rows is unknown */
#define NEWEST 0.25 /* weight of the newest step in the averages */
#define MOST_TIMES                                                                                           \
    2.0 /* of the mean: a larger value counts as this, because a single step may take any time */
#define LEAST_PART 0.25 /* of a step: base and rows each take at least this much, whatever was measured */

/* Only steps without prompts give a value of the base, and there may be few of them, so a value that is far off must not
 * stay in the mean. */
static void average(double *mean, double value)
{
    double most = MOST_TIMES * *mean;
    *mean = *mean > 0 ? *mean + NEWEST * ((value < most ? value : most) - *mean) : value;
}

void prefill_learn(struct prefill_cost *p, size_t answering, size_t reading, double seconds)
{
    double least = LEAST_PART * seconds;
    if (reading == 0) {
        double rest = seconds - p->row_seconds * (double)answering;
        average(&p->base_seconds, rest > least ? rest : least);
        return;
    }
    double rest = seconds - p->base_seconds;
    double row = (rest > least ? rest : least) / (double)(answering + reading);
    if (p->base_seconds > 0 || row >= p->row_seconds)
        average(&p->row_seconds, row);
    else
        p->row_seconds = row; /* contains a share of the base, which is least in the largest step */
}

double prefill_answer_seconds(const struct prefill_cost *p, size_t answering)
{
    return answering > 0 ? p->base_seconds + p->row_seconds * (double)answering : 0;
}

size_t prefill_budget(const struct prefill_cost *p, const struct prefill_load *l, size_t chunk)
{
    double row = p->row_seconds > 0 ? p->row_seconds : p->base_seconds; /* a row costs less than a step */
    double seconds = STEP_SECONDS;
    size_t least = chunk < ROWS_LEAST ? chunk : ROWS_LEAST;
    if (row <= 0)
        return chunk < ROWS_FIRST ? chunk : ROWS_FIRST;
    if (l->answering > 0) {
        double share = (double)l->reading / (double)l->answering;
        seconds = l->answer_seconds * (share < 1 ? 1 : share > 2 ? 2 : share);
        if (l->answer_seconds + seconds < UNNOTICED_SECONDS)
            seconds = UNNOTICED_SECONDS - l->answer_seconds;
    }
    double rows = seconds / row;
    return rows >= (double)chunk ? chunk : rows > (double)least ? (size_t)rows : least;
}
