/* prefill.c - the prefill budget: how many rows prompts may have in a step, from what steps have cost.
 *
 * A step reads all weights once and does arithmetic for each row, so it takes about `base` + rows * `row` seconds. Rows
 * of prompts and of answers cost the same, and a row costs the same beside 4 others as beside 60 (measured). So a prefill
 * in small parts beside answers wastes little, and the time of a step can be divided freely.
 *
 * A slot in prefill gets as much time as a slot that decodes. All slots in prefill together get at least the time of all
 * that decode, so a long prompt takes at most twice as long as alone. They get at most twice that time, so a token takes at
 * most three times as long as alone. A step may always take UNNOTICED_SECONDS, which is enough for `chunk` rows of a tiny
 * model.
 */
#include "scheduler_private.h"

#define UNNOTICED_SECONDS 0.01 /* nobody who reads a stream notices a step of this length */
#define STEP_SECONDS 1.0 /* for prompts in a step without answers */
#define ROWS_LEAST 8 /* for prompts in a step, however slow rows are */
#define ROWS_FIRST 16 /* while the cost of rows is unknown */
#define NEWEST 0.25 /* weight of the newest step in the averages */
/* Of the mean: a larger value counts as this, because a single step may take any time. */
#define MOST_TIMES 2.0
#define LEAST_PART 0.25 /* of a step: base and rows each take at least this much, whatever was measured */

/* Only steps without prompts give a value of the base, and there may be few of them. So a value that is far too large must
 * not dominate the mean. */
static void average(double *mean, double value)
{
    double most = MOST_TIMES * *mean;
    *mean = *mean > 0 ? *mean + NEWEST * ((value < most ? value : most) - *mean) : value;
}

void prefill_learn(struct prefill_cost *p, size_t decode_rows, size_t prefill_rows, double seconds)
{
    double least = LEAST_PART * seconds;
    if (prefill_rows == 0) {
        double rest = seconds - p->row_seconds * (double)decode_rows;
        average(&p->base_seconds, rest > least ? rest : least);
        return;
    }
    double rest = seconds - p->base_seconds;
    double row = (rest > least ? rest : least) / (double)(decode_rows + prefill_rows);
    if (p->base_seconds > 0 || row >= p->row_seconds)
        average(&p->row_seconds, row);
    else
        p->row_seconds = row; /* includes a share of the base, which is smallest in the largest step */
}

double prefill_decode_seconds(const struct prefill_cost *p, size_t decoding)
{
    return decoding > 0 ? p->base_seconds + p->row_seconds * (double)decoding : 0;
}

size_t prefill_budget(const struct prefill_cost *p, const struct prefill_load *l, size_t chunk)
{
    double row = p->row_seconds > 0 ? p->row_seconds : p->base_seconds; /* a row costs less than a step */
    double seconds = STEP_SECONDS;
    size_t least = chunk < ROWS_LEAST ? chunk : ROWS_LEAST;
    if (row <= 0)
        return chunk < ROWS_FIRST ? chunk : ROWS_FIRST;
    if (l->decoding > 0) {
        double share = (double)l->prefilling / (double)l->decoding;
        seconds = l->decode_seconds * (share < 1 ? 1 : share > 2 ? 2 : share);
        if (l->decode_seconds + seconds < UNNOTICED_SECONDS)
            seconds = UNNOTICED_SECONDS - l->decode_seconds;
    }
    double rows = seconds / row;
    return rows >= (double)chunk ? chunk : rows > (double)least ? (size_t)rows : least;
}
