/* layer_dense_private.h - the feed-forward "dense": down(f(gate(x)) * up(x)), or down(f(up(x))) without a gate. */
#ifndef LAYER_DENSE_PRIVATE_H
#define LAYER_DENSE_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

#include "berth/kernels/vector.h"

extern const struct layer_kind layer_dense;

/* How an activation is limited. */
enum dense_limit {
    LIMIT_ACTIVATED, /* min(f(gate), limit), up in -limit ... limit */
    LIMIT_GATE, /* f(min(gate, limit)), up in -limit ... limit */
    LIMIT_SWIGLU_OAI, /* g = min(gate, limit): g * sigmoid(1.702 g) * (1 + up in -limit ... limit) */
};

/* Fields and weights of one layer. */
struct dense_layer {
    uint32_t n_ff;
    enum vector_gate activation;
    float limit; /* 0 for none; only with a gate */
    enum dense_limit limits;
    float sparsity; /* f is of what the gate has above mean + sparsity * deviation; 0 for none */
    bool ungated; /* down(f(up(x))) */
    bool xielu; /* f is xIELU with the layer's own numbers, in place of the activation; without a gate */
    struct vector_xielu curve;
    bool
        act_scales; /* the result of f is divided by the tensor ffn.act.scales, which may be missing; without a gate */
    const float *act_divisors; /* [n_ff], or NULL */
    struct linear gate, up, down;
};

struct dense_memory {
    float *up; /* [n][n_ff] */
    float *gates; /* for each worker [n][gate_columns]: of the piece that it works on */
    size_t gate_columns;
    float *sparse_gates; /* [n][n_ff], where a layer has sparsity */
};

/* True when a product by the layer's input reads the packed form. */
bool dense_packs(const struct dense_layer *l);

/* up[t][rows] = f(gate(in)) * up(in) for a piece of rows. `up` has a stride of n_ff; `gate` is memory of the worker,
 * [tokens][gate_columns], with at least as many columns as the piece has rows. */
void dense_gate_rows(const struct dense_layer *l, const struct matmul_input *in, struct work_range rows,
    float *up, float *gate, size_t gate_columns);

/* Columns of a worker's gate memory, for layers of so many rows. */
size_t dense_gate_columns(const struct forward *f, size_t n_ff);

/* Lays out *w for layers with up to n_ff rows. */
void dense_workspace(struct forward *f, struct layout *passing, size_t n_ff, struct dense_memory *w);

/* Runs one layer of the form above on the worker's input, into f->sum. */
void dense_run(struct worker *m, const struct dense_layer *l, const struct dense_memory *w);

#endif
