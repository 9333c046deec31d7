/* ssm_private.h - what the mixers "mamba", "mamba2" and "gated delta rule" share: the convolution, the scan, and the
 * state of a sequence.
 *
 * The state of a sequence is that of the convolution, the last n_taps - 1 inputs of each channel as [n_taps - 1][channels],
 * oldest first, and behind it that of the scan, one block of kernels/scan.h after the other. Both steps go through the
 * rows of a run in order and write the state at each checkpoint that they pass.
 */
#ifndef SSM_PRIVATE_H
#define SSM_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

struct batch_run;

#define SSM_TAPS_MAX 64
#define SSM_STATES_MAX 4096

/* Fields of one layer, and weights of both mixers. */
struct ssm_layer {
    uint32_t n_inner; /* rows of the scan in all */
    uint32_t n_head; /* each has n_inner / n_head rows; 0: the rows are no heads (Mamba) */
    uint32_t n_group; /* heads of a group have the same b and c */
    uint32_t n_state; /* numbers of a row */
    uint32_t n_taps;
    uint32_t n_channels; /* of the convolution */
    const float *taps; /* [n_taps][n_channels], oldest first */
    const float *conv_bias; /* [n_channels], or NULL */
    const float *a, *d; /* as in kernels/scan.h, of the first block or head */
    struct linear in, out;
};

/* What a row of the scan is a part of: a head, or all rows. */
static inline size_t ssm_head_rows(const struct ssm_layer *l)
{
    return l->n_head > 0 ? l->n_inner / l->n_head : l->n_inner;
}

struct layer_state ssm_state(const struct ssm_layer *l);
/* Floats of the convolution's state, behind which the rest begins. */
size_t ssm_held_floats(const struct ssm_layer *l);

/* Finds the taps, a and d, and the products in and out. `in_rows` is the number of rows of the tensor ssm_in. */
bool ssm_bind(struct binder *b, size_t i, struct ssm_layer *l, size_t in_rows);

/* Where rows of a batch lie: `at` is the first row, of which each is `stride` floats long. */
struct ssm_rows {
    float *at;
    size_t stride;
};

/* Convolves all channels into `out` [n][n_channels]. Channel c of a row is in.at[c], or where `gap` is not 0, as many
 * floats are skipped after each head. The workers divide the channels; others may read `out` after a barrier. */
void ssm_convolve(
    struct worker *m, size_t layer, const struct ssm_layer *l, struct ssm_rows in, size_t gap, float *out);

/* The scan reads x, z, dt, b and c of each row, and writes y, which may be x. z has the gap that is described above. */
struct ssm_scan {
    struct ssm_rows x, z, dt, b, c, y;
    size_t gap;
};

/* Steps all rows of the scan through the batch, and ends with a barrier. */
void ssm_scan(struct worker *m, size_t layer, const struct ssm_layer *l, const struct ssm_scan *s);

/* A walk of a part of a run's state through the run: stretch by stretch, up to each checkpoint and to the run's end. */
struct state_walk {
    const struct batch_run *run;
    size_t at, floats; /* where the part lies in every state, and its size */
    size_t checkpoint, done;
    const float *before; /* NULL for zeros */
    float *after; /* where the state behind the stretch is to be written */
    size_t tokens; /* of the stretch */
};

struct state_walk state_walk_begin(const struct batch_run *run, size_t at, size_t floats);
/* The next stretch. False at the end, when all states have been written. */
bool state_walk_next(struct state_walk *w);

/* out = log(1 + exp(in + bias)) for n columns of all rows of the batch. The workers divide the columns; others may read
 * `out` after a barrier. */
void ssm_softplus(struct worker *m, struct ssm_rows in, const float *bias, struct ssm_rows out, size_t n);

#endif
