/* streams_private.h - models whose residual has several streams.
 *
 * A kind of streams says what becomes of them around each layer: which mix of them is the residual that the layer works
 * on, and what the layer's result changes in each of them. An architecture's row chooses the kind; models with one
 * residual have none.
 */
#ifndef STREAMS_PRIVATE_H
#define STREAMS_PRIVATE_H

#include "linear_private.h"
#include "norm_private.h"

#define STREAMS_MAX 8

struct binder;
struct worker;

struct stream_kind {
    /* Finds the weights: of the whole, and of layer i. */
    bool (*bind)(struct binder *b);
    bool (*bind_layer)(struct binder *b, size_t i);
    /* All workers call these, each for its rows of the residual, m->x, and of the streams, m->streams [m->n][n_streams]
     * [n_embd]. `begin` makes the streams of the embedding; `enter` leaves in m->x what layer i works on; `leave` takes
     * the layer's result from there, and adds the layer's own input (forward_inputs.c). `end` leaves in m->x one row for
     * each wanted one, and reduces m->n to them. */
    void (*begin)(struct worker *m);
    void (*enter)(struct worker *m, size_t i);
    void (*leave)(struct worker *m, size_t i);
    void (*end)(struct worker *m);
};

extern const struct stream_kind streams_altup;

/* AltUp: of one layer. */
struct altup_layer {
    struct norm router_norm;
    const float *router; /* [n_streams][n_embd] */
    const float *predict; /* [n_streams][n_streams][n_streams] */
    const float *correct; /* [n_streams][n_streams] */
    const float *correct_scale; /* [n_embd] */
};

/* AltUp: of the whole. */
struct altup {
    struct expert_weights proj, unembd_proj; /* [n_streams - 1][n_embd][n_embd] */
};

#endif
