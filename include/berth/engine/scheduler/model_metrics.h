/* model_metrics.h - what the engine counts for each model: relaxed atomics that any thread may read. */
#ifndef BERTH_MODEL_METRICS_H
#define BERTH_MODEL_METRICS_H

#include <stdatomic.h>

#define MODEL_METRICS_BOUNDS 18

/* Upper bounds of the histograms below, in seconds: 1 ms to 500 s in steps of 1, 2, 5. */
extern const double model_metrics_bounds[MODEL_METRICS_BOUNDS];

struct model_histogram {
    atomic_uint_fast64_t buckets[MODEL_METRICS_BOUNDS + 1]; /* not cumulative */
    atomic_uint_fast64_t sum_ns;
};
void model_histogram_add(struct model_histogram *h, double seconds);

struct model_metrics {
    atomic_uint_fast64_t prompt_tokens, cached_tokens, generated_tokens;
    atomic_uint_fast64_t jobs_ended[5]; /* by enum job_finish */
    atomic_uint_fast64_t jobs_refused; /* the queue was full */
    atomic_uint_fast64_t
        preemptions; /* of slots; their pages were freed, and their tokens are computed again */
    atomic_uint_fast64_t forward_calls, forward_rows;
    atomic_uint_fast64_t forward_ns;
    atomic_uint_fast64_t queued, running; /* jobs, now */
    atomic_uint_fast64_t kv_bytes; /* now; a page that is shared counts once */
    atomic_uint_fast64_t
        prefix_bytes; /* the part of kv_bytes that no slot uses and that is kept for later prompts */
    struct model_histogram queue_time, first_token, between_tokens, whole;
};

#endif
