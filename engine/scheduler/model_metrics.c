/* model_metrics.c - puts durations into histograms. */
#include "berth/engine/scheduler/model_metrics.h"

#include <stdint.h>

const double model_metrics_bounds[MODEL_METRICS_BOUNDS] = {
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500.0};

void model_histogram_add(struct model_histogram *h, double seconds)
{
    unsigned bucket = 0;
    while (bucket < MODEL_METRICS_BOUNDS && seconds > model_metrics_bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&h->buckets[bucket], 1, memory_order_relaxed);
    if (seconds > 0)
        atomic_fetch_add_explicit(&h->sum_ns, (uint_fast64_t)(seconds * 1e9), memory_order_relaxed);
}
