/* forward_private.h - one forward call: what its workers share, and what each of them has for itself.
 *
 * The workers of the pool go through the layers side by side, and meet after each step whose results others
 * read. What is done to a row of the stream (norms, residual sums, packing) is divided among them when there
 * are many rows; when there are few, every worker does it all in memory of its own, since that costs less
 * than to meet once more. The numbers are the same either way.
 */
#ifndef FORWARD_PRIVATE_H
#define FORWARD_PRIVATE_H

#include "decoder_private.h"

#define FORWARD_COUNTERS 4
#define FORWARD_PIECES 8 /* that each worker should find in a step, so that a slow one gets fewer */
#define FORWARD_STRETCHES 16 /* that a step's pieces are cut into at most */

/* Rows of one sequence. */
struct batch_run {
    uint8_t *const *pages;
    size_t row, n; /* which rows of the batch */
    uint32_t start, end; /* positions: of its first row, and behind its last one */
};

/* Rows of one run whose queries are answered together. */
struct query_tile {
    size_t run, row, n;
};

struct counter {
    _Alignas(64) atomic_size_t next;
};

struct forward {
    const struct decoder *d;
    const struct decoder_batch *batch;
    const struct kv_cache *cache;
    struct pool *pool;
    const atomic_bool *stop;
    bool stopping; /* written by one worker, read by all after the next meeting */
    bool alone; /* each worker has a stream of its own */
    bool together; /* a tile's keys are stored and its queries answered in one go: no run has two tiles */
    bool split; /* few tiles, long ranges: splits are divided among the workers */
    size_t n, n_runs, n_tiles, n_splits, n_out;
    struct batch_run *runs;
    struct query_tile *tiles;
    size_t *wanted; /* [n_out] rows whose results are asked for */
    bool logits; /* some of those ask for logits, */
    bool hidden; /* some for the hidden state */
    /* Memory, in rows of floats. */
    float *x, *normed; /* [n][n_embd], or as many for each worker; so is the packed form */
    uint8_t *packed;
    size_t packed_bytes;
    float *q, *k, *v; /* [n][n_head * head_dim_k], [n][n_head_kv * head_dim_k], [n][n_head_kv * head_dim_v] */
    float *att; /* [n][n_head * head_dim_v]; rows that are wanted go to q in the end */
    float *sum; /* [n][n_embd]: what goes back into the stream */
    float *up; /* [n][n_ff]; lies over q, k, v and att, which are done with then */
    float *gates; /* for each worker [n][gate_columns]: of the piece that it is at */
    size_t gate_columns;
    float *cos_sin[2]; /* [n][n_rot]: cosines and sines for each of the decoder's ropes */
    float *parts; /* of splits */
    float *out; /* [n_out][out_stride] */
    size_t out_stride;
    struct counter counters[FORWARD_COUNTERS][FORWARD_STRETCHES];
};

struct worker {
    struct forward *f;
    unsigned index, n_workers;
    unsigned step;
    size_t n; /* rows that are left, */
    bool kept_wanted; /* and whether they are those whose results are wanted */
    float *x, *normed; /* [n][n_embd], its own or the shared ones */
    float *att;
    float *gate; /* its own */
    struct matmul_input in;
    uint8_t *packed;
};

/* Rows or other items, from the first to before the end. */
struct work_range {
    size_t first, end;
};

/* The worker's share of n items, when all are done by one worker each. */
struct work_range forward_work_range(const struct worker *m, size_t n);
/* The next item of this step that nobody has taken yet. */
size_t forward_take(struct worker *m);
/* Waits for all workers: what they wrote in this step can be read. */
void forward_barrier(struct worker *m);

/* Norm as the shape has it, of n values. */
void forward_norm(const struct decoder_shape *s, float *out, const float *x, struct norm w, size_t n);

/* From the products q, k, v to att: norms of heads, rotation, storing, and the answers of layer `i`. */
void forward_attention(struct worker *m, size_t i);

/* Memory of a forward call, in f's pointers. False when it is short. */
struct decoder_workspace {
    uint8_t *memory;
    size_t size;
};
bool forward_prepare(struct forward *f, struct decoder_workspace *w, struct error *err);

#endif
