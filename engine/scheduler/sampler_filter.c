/* sampler_filter.c - removes candidates (top_k, typical_p, top_p, min_p) and samples one of the rest.
 *
 * Of 150,000 tokens a few hundred matter, and sorting all of them would take longer than the model's last layer. So for the
 * first filter an x is computed, in one pass over the logits, below which no candidate can pass. Only candidates above it
 * are gathered and sorted. Without filters nothing is gathered.
 *
 * Sums are in double and in a fixed order, and exponentials are those of vector.h, so the same random number gives the
 * same token on every CPU.
 */
#include "sampler_private.h"

#include "berth/kernels/vector.h"

#include <math.h>
#include <stdlib.h>

#define DRAW_BLOCK 1024
#define BUCKETS 1024
#define BUCKETS_A_UNIT 16 /* a power of two, so that the bounds are exact */
#define LEAST_X (-104.0f) /* exp is 0 in float32 below this */
#define SLACK 0.01f /* more than the rounding errors of a floor */
#define WEIGHT_SLACK 1.0001 /* more than the rounding errors of a sum of weights */

/* ---- order ---- */

/* True when a is ordered after b. */
static bool is_worse(const struct candidate *a, const struct candidate *b)
{
    return a->key < b->key || (a->key == b->key && a->id > b->id);
}

/* Restores the heap below `at`. The root is the worst candidate. */
static void sink(struct candidate *heap, size_t n, size_t at)
{
    struct candidate moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_worse(&heap[child + 1], &heap[child]))
            child++;
        if (!is_worse(&heap[child], &moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* Sorts by key, best first. */
static void sort(struct candidates *c)
{
    for (size_t i = c->n / 2; i-- > 0;)
        sink(c->at, c->n, i);
    for (size_t left = c->n; left > 1;) {
        left--;
        struct candidate worst = c->at[0];
        c->at[0] = c->at[left];
        c->at[left] = worst;
        sink(c->at, left, 0);
    }
}

static void sort_by_x(struct candidates *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->at[i].key = c->at[i].x;
    sort(c);
}

/* ---- gathering ---- */

/* For each bucket of x in [0, -64]: how many there are, and the sum of their distances below the bucket's upper bound.
 * Smaller x are not counted. */
struct histogram {
    uint32_t counts[BUCKETS];
    double below[BUCKETS];
};

static void count_buckets(struct histogram *h, const float *x, size_t n)
{
    *h = (struct histogram){.counts = {0}};
    for (size_t i = 0; i < n; i++) {
        float at = -x[i] * BUCKETS_A_UNIT;
        if (!(at < BUCKETS - 1))
            continue;
        size_t bucket = (size_t)at;
        h->counts[bucket]++;
        h->below[bucket] += (double)(at - (float)bucket) / BUCKETS_A_UNIT;
    }
}

/* The lower bound of a bucket. */
static float floor_of_bucket(size_t bucket)
{
    return -(float)(bucket + 1) / BUCKETS_A_UNIT;
}

/* An x above which there are at least k candidates, and not many more. */
static float floor_of_top_k(const float *x, size_t n, size_t k)
{
    struct histogram h;
    size_t above = 0;
    count_buckets(&h, x, n);
    for (size_t b = 0; b < BUCKETS - 1; b++)
        if ((above += h.counts[b]) >= k)
            return floor_of_bucket(b);
    return -INFINITY;
}

/* An x above which there is at least this weight, and not much more: exp(-b - d) is at least exp(-b) * (1 - d). */
static float floor_of_weight(const float *x, size_t n, double weight)
{
    struct histogram h;
    double above = 0;
    count_buckets(&h, x, n);
    for (size_t b = 0; b < BUCKETS - 1; b++) {
        above += (double)vector_exp(-(float)b / BUCKETS_A_UNIT) * ((double)h.counts[b] - h.below[b]);
        if (above >= weight)
            return floor_of_bucket(b);
    }
    return -INFINITY;
}

/* All tokens with probabilities below (1 - top_p) / n together have less than 1 - top_p, so top_p is reached without
 * them. This bound helps where top_p is so close to 1 that the histogram does not reach it. */
static float floor_of_top_p(const float *x, size_t n, float top_p, double total)
{
    double least = (1 - (double)top_p) / (double)n * total;
    float by_share = least > 0 ? vector_log((float)least) - SLACK : -INFINITY;
    float by_weight = floor_of_weight(x, n, (double)top_p * total * WEIGHT_SLACK);
    return by_weight > by_share ? by_weight : by_share;
}

static bool gather(struct candidates *c, const float *x, size_t n, float least)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] > least;
    if (count > c->room) {
        struct candidate *more = realloc(c->at, count * sizeof(*more));
        if (!more)
            return false;
        c->at = more;
        c->room = count;
    }
    c->n = 0;
    for (size_t i = 0; i < n; i++)
        if (x[i] > least)
            c->at[c->n++] = (struct candidate){x[i], x[i], vector_exp(x[i]), (int32_t)i};
    return true;
}

/* ---- filters; each leaves at least one candidate ---- */

static double weight_of(const struct candidates *c)
{
    double sum = 0;
    for (size_t i = 0; i < c->n; i++)
        sum += (double)c->at[i].weight;
    return sum;
}

/* Keeps the fewest first candidates that have this weight together. */
static void keep_weight(struct candidates *c, double weight)
{
    double sum = 0;
    size_t n = 0;
    while (n < c->n && (n == 0 || sum < weight))
        sum += (double)c->at[n++].weight;
    c->n = n;
}

/* Locally typical sampling (Meister et al. 2022): keeps the candidates whose surprise is closest to the expected one. */
static void keep_typical(struct candidates *c, float typical_p)
{
    double total = weight_of(c), expected = 0; /* of -x; the logarithm of the total is the same for all */
    for (size_t i = 0; i < c->n; i++)
        expected -= (double)c->at[i].weight * (double)c->at[i].x / total;
    for (size_t i = 0; i < c->n; i++)
        c->at[i].key = -(float)fabs(-(double)c->at[i].x - expected);
    sort(c);
    keep_weight(c, (double)typical_p * total);
    sort_by_x(c);
}

static void keep_min_p(struct candidates *c, float min_p)
{
    size_t n = 1;
    while (n < c->n && c->at[n].weight >= min_p * c->at[0].weight)
        n++;
    c->n = n;
}

/* The x below which no candidate passes the first filter. *total becomes the weight of all tokens when that is top_p. */
static float floor_of(const struct sampler_options *o, const float *x, size_t n, double *total)
{
    if (o->top_k > 0 && o->top_k < n)
        return floor_of_top_k(x, n, o->top_k);
    if (o->typical_p < 1)
        return LEAST_X;
    if (o->top_p < 1) {
        *total = (double)vector_exp_sum(x, 0, n);
        return floor_of_top_p(x, n, o->top_p, *total);
    }
    return o->min_p < 1 ? vector_log(o->min_p) - SLACK : -SLACK;
}

static bool filter(struct candidates *c, const struct sampler_options *o, const float *x, size_t n)
{
    double total = 0;
    float least = floor_of(o, x, n, &total);
    if (!gather(c, x, n, least > LEAST_X ? least : LEAST_X))
        return false;
    sort_by_x(c);
    if (o->top_k > 0 && o->top_k < c->n)
        c->n = o->top_k;
    if (o->typical_p < 1)
        keep_typical(c, o->typical_p);
    if (total <= 0)
        total = weight_of(c);
    if (o->top_p < 1)
        keep_weight(c, (double)o->top_p * total);
    if (o->min_p > 0)
        keep_min_p(c, o->min_p);
    return true;
}

/* ---- the sample ---- */

static int32_t draw_filtered(const struct candidates *c, double uniform)
{
    double target = uniform * weight_of(c), sum = 0;
    size_t i = 0;
    for (; i + 1 < c->n; i++)
        if ((sum += (double)c->at[i].weight) > target)
            break;
    return c->at[i].id;
}

static int32_t draw_any(float *x, size_t n, double uniform)
{
    double total = 0, sum = 0;
    vector_softmax(x, x, n);
    for (size_t i = 0; i < n; i++)
        total += (double)x[i];
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] > 0))
            continue;
        last = i;
        if ((sum += (double)x[i]) > uniform * total)
            break;
    }
    return (int32_t)last;
}

/* Finds the block that the number falls into by the blocks' sums, then the token. */
static int32_t draw_any_kept(const float *x, size_t n, double uniform)
{
    double total = 0, sum = 0, block;
    size_t last = 0, from = 0;
    for (size_t at = 0; at < n; at += DRAW_BLOCK)
        total += (double)vector_exp_sum(x + at, 0, n - at < DRAW_BLOCK ? n - at : DRAW_BLOCK);
    for (; from + DRAW_BLOCK < n; from += DRAW_BLOCK, sum += block) {
        block = (double)vector_exp_sum(x + from, 0, DRAW_BLOCK);
        if (sum + block > uniform * total)
            break;
    }
    for (size_t i = from; i < n; i++) {
        float weight = vector_exp(x[i]);
        if (!(weight > 0))
            continue;
        last = i;
        if ((sum += (double)weight) > uniform * total)
            break;
    }
    return (int32_t)last;
}

static bool filters(const struct sampler_options *o, size_t n)
{
    return (o->top_k > 0 && o->top_k < n) || o->typical_p < 1 || o->top_p < 1 || o->min_p > 0;
}

static int32_t draw_of_filtered(
    struct candidates *c, const struct sampler_options *o, const float *x, size_t n, double uniform)
{
    return filter(c, o, x, n) ? draw_filtered(c, uniform) : SAMPLER_NONE;
}

int32_t sampler_draw(
    struct candidates *c, const struct sampler_options *o, float *x, size_t n, double uniform)
{
    return filters(o, n) ? draw_of_filtered(c, o, x, n, uniform) : draw_any(x, n, uniform);
}

int32_t sampler_draw_kept(
    struct candidates *c, const struct sampler_options *o, const float *x, size_t n, double uniform)
{
    return filters(o, n) ? draw_of_filtered(c, o, x, n, uniform) : draw_any_kept(x, n, uniform);
}
