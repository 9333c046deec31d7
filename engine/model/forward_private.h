/* forward_private.h - one forward call: what its workers share, and what each of them has for itself.
 *
 * The workers of the pool run the same layer at the same time, and meet at a barrier after each step whose results other
 * workers read. Work on the residual (norms, sums, packing) is divided among them when there are many rows. When there are
 * few, every worker does all of it in memory of its own, because that takes less time than another barrier. The numbers
 * are the same in both cases.
 */
#ifndef FORWARD_PRIVATE_H
#define FORWARD_PRIVATE_H

#include "decoder_private.h"

#define FORWARD_COUNTERS 4
#define FORWARD_PIECES 8 /* of a step for each worker; a slow worker takes fewer */
#define FORWARD_STRETCHES 16 /* the most stretches of a step's pieces */

/* Rows of one sequence. */
struct batch_run {
    struct sequence *sequence;
    uint8_t *const *pages[KV_CLASSES];
    size_t row, n; /* which rows of the batch */
    uint32_t start, end; /* position of its first row, and one more than that of its last row */
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
    atomic_size_t last_layer; /* the call stops behind it; one worker lowers it */
    bool alone; /* each worker has a residual of its own */
    size_t n, n_runs, n_out;
    struct batch_run *runs;
    size_t *wanted; /* [n_out] rows whose results are asked for */
    bool logits; /* some of those ask for logits, */
    bool hidden; /* some for the hidden state */
    /* Memory, in rows of floats. */
    float *x, *normed; /* [n][n_embd], or as many for each worker; so is the packed form */
    float *inputs; /* [n][n_layer][n_input] */
    float *input_gates; /* [n][n_input] */
    float *high, *low; /* the same as x, for models that keep the embedding, or two states */
    float *spare; /* the same, where a second mixer follows a norm of the first one's result */
    float *streams; /* the same, n_streams for each row */
    uint8_t *packed;
    size_t packed_bytes;
    float *sum; /* [n][n_embd]: the result of a mixer or feed-forward, which is added to the residual */
    /* Of the layer kinds. */
    struct attention_memory attention;
    struct latent_memory latent;
    struct shortconv_memory shortconv;
    struct delta_memory delta;
    struct mamba_memory mamba;
    struct mamba2_memory mamba2;
    struct rwkv_memory rwkv;
    struct laurel_memory laurel;
    struct dense_memory dense;
    struct moe_memory moe;
    struct channel_mix_memory channel_mix;
    float *out; /* [n_out][out_stride] */
    size_t out_stride;
    struct counter counters[FORWARD_COUNTERS][FORWARD_STRETCHES];
};

/* The run's pages with the keys and values of the layer that stores them. */
static inline uint8_t *const *forward_pages(const struct forward *f, const struct batch_run *r, size_t layer)
{
    return r->pages[kv_cache_class(f->cache, layer)];
}

struct worker {
    struct forward *f;
    unsigned index, n_workers;
    unsigned step;
    size_t n; /* rows that are still computed */
    bool kept_wanted; /* they are only those whose results are wanted */
    float *x, *normed; /* [n][n_embd], its own or the shared ones: the residual, and its norm */
    float *high, *low, *spare, *streams;
    struct matmul_input in;
    uint8_t *packed;
};

/* The worker's share of n items, each of which is done by one worker. */
struct work_range forward_work_range(const struct worker *m, size_t n);
/* The rows of the residual that the worker computes: all where it has a residual of its own. */
struct work_range forward_residual_rows(const struct worker *m);
/* The next item of this step that no worker has taken, by the first counter or by another one. */
size_t forward_take(struct worker *m);
size_t forward_take_of(const struct worker *m, size_t counter); /* below forward_counters */
size_t forward_counters(const struct worker *m);
/* Waits for all workers. What they wrote before can be read afterwards. */
void forward_barrier(struct worker *m);
/* The same after work on forward_residual_rows, which nobody else reads where each worker has its own. */
void forward_settle(struct worker *m);

/* The norm of n values, of the shape's kind. */
void forward_norm(const struct decoder_shape *s, float *out, const float *x, struct norm w, size_t n);

/* For a mixer that has written the states: `rows` [m->n][columns] is what its result is computed from. In the last layer
 * only rows whose results are wanted are kept: they are copied to `kept`, the residual is reduced to the same rows, and
 * m->n becomes smaller, unless the layer's feed-forward has a state. Returns the rows to go on with, or NULL when no result
 * of the batch is wanted. */
const float *forward_keep_wanted(
    struct worker *m, size_t layer, const float *rows, size_t columns, float *kept);

/* ---- what goes on beside the residual: forward_states.c ---- */

/* True when the embedding, or a high state that begins as it, is needed behind the first layer. */
bool forward_keeps_high(const struct decoder *d);
/* After the embedding, for models that keep it. */
void forward_keep_embedding(struct worker *m);
/* Behind layer i: the embedding's share of the result, and the turn of the states. */
void forward_after_layer(struct worker *m, const struct layer *l);

/* True when the second mixer's input must outlast a norm of the first one's result. */
bool forward_needs_spare(const struct decoder *d);

/* ---- inputs of each layer: forward_inputs.c ---- */

/* Finds the weights: of the whole, and of layer i. */
bool inputs_bind(struct binder *b);
bool inputs_bind_layer(struct binder *b, size_t i);
/* After the embedding: computes the inputs of all layers. */
void forward_make_inputs(struct worker *m);
/* Behind the feed-forward of layer i: leaves in f->sum what its input adds, before the layer's input_norm. */
void forward_run_input(struct worker *m, size_t i);

/* ---- memory ---- */

struct layout {
    uint8_t *base; /* NULL while sizes are added up */
    size_t at;
};

/* Memory aligned to a cache line; NULL while sizes are added up. */
void *layout_take(struct layout *l, size_t bytes);
float *layout_floats(struct layout *l, size_t rows, size_t columns);

static inline size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Lays out the memory of a forward call, in f's pointers. False when it is short. */
struct decoder_workspace {
    uint8_t *memory;
    size_t size;
    struct batch_run *runs; /* [runs_room] */
    size_t runs_room;
};
bool forward_prepare(struct forward *f, struct decoder_workspace *w, struct error *err);

#endif
