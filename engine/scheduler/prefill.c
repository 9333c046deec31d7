/* prefill.c - how many rows prompts may have in a step, by what steps have cost.
 *
 * A step reads all weights once, and does some arithmetic for each row: its seconds are close to `base` + rows * `row`,
 * alike for rows of prompts and of answers (measured: a row costs the same beside 4 others as beside 60). So to read a
 * prompt in small pieces beside answers wastes little, for the weights are read anyway; what is at stake is how the time
 * is divided. It is divided by head: who reads gets as long as who answers; but all that read never get less than those
 * who answer, so that a long prompt takes at most twice its time, nor more than twice that, so that a token comes in
 * three times its time at the most. A step may always last UNNOTICED_SECONDS: for tiny models all of `chunk` fits in.
 */
#include "scheduler_private.h"

#define UNNOTICED_SECONDS 0.01 /* for a step: a hundred tokens a second are read by nobody */
#define STEP_SECONDS 1.0 /* that prompts may take in a step where nobody answers */
#define ROWS_LEAST 8 /* for prompts in a step, however slow rows are */
#define ROWS_FIRST 16 /* while it is not known how slow */
#define NEWEST 0.25 /* the weight of the newest step in the averages */
#define MOST_TIMES                                                                                           \
    2.0 /* the mean: as a value that is more counts, for one step may take any time for any reason */
#define LEAST_PART 0.25 /* of a step that the base takes, or the rows do: what is measured is not exact */

/* The base is learned from steps without prompts alone, which may not come for long: a value that is wrong by far must
 * not stay in it. */
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
        p->row_seconds = row; /* with the base still in it, of which the largest step has the least */
}

double prefill_answer_seconds(const struct prefill_cost *p, size_t answering)
{
    return answering > 0 ? p->base_seconds + p->row_seconds * (double)answering : 0;
}

size_t prefill_budget(const struct prefill_cost *p, const struct prefill_load *l, size_t chunk)
{
    double row = p->row_seconds > 0 ? p->row_seconds : p->base_seconds; /* which it cannot be above */
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
