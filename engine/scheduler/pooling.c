/* pooling.c - the kinds of pooling. */
#include "pooling_private.h"

#include <math.h>

/* clang-format off */
static const char *const names[POOLINGS] = {
    [POOLING_UNKNOWN] = "unknown",
    [POOLING_NONE] = "none",
    [POOLING_MEAN] = "mean",
    [POOLING_CLS] = "cls",
    [POOLING_LAST] = "last",
    [POOLING_RANK] = "rank",
    [POOLING_WEIGHTED_MEAN] = "weighted-mean",
    [POOLING_MAX] = "max",
};
/* clang-format on */

const char *pooling_name(enum pooling p)
{
    return names[p];
}

bool pooling_find(struct span name, enum pooling *out)
{
    for (int p = POOLING_MEAN; p < POOLINGS; p++)
        if (p != POOLING_RANK && span_is(name, names[p])) {
            *out = (enum pooling)p;
            return true;
        }
    return false;
}

bool pooling_wants(enum pooling p, size_t position, size_t size)
{
    if (p == POOLING_CLS)
        return position == 0;
    return p != POOLING_LAST || position + 1 == size;
}

void pooling_add(enum pooling p, double *sum, const float *hidden, size_t position, size_t width)
{
    bool first = position == 0 || p == POOLING_LAST;
    double weight = p == POOLING_WEIGHTED_MEAN ? (double)(position + 1) : 1;
    for (size_t i = 0; i < width; i++) {
        double value = weight * (double)hidden[i];
        if (p == POOLING_MAX)
            sum[i] = first || value > sum[i] ? value : sum[i];
        else
            sum[i] = first ? value : sum[i] + value;
    }
}

static double divisor(enum pooling p, size_t size)
{
    double n = (double)size;
    return p == POOLING_MEAN ? n : p == POOLING_WEIGHTED_MEAN ? n * (n + 1) / 2 : 1;
}

void pooling_end(enum pooling p, const double *sum, size_t size, bool normalizes, float *out, size_t n)
{
    double by = divisor(p, size), squares = 0;
    for (size_t i = 0; normalizes && i < n; i++)
        squares += sum[i] / by * (sum[i] / by);
    by *= squares > 0 ? sqrt(squares) : 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(sum[i] / by);
}
