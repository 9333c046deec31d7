/* layer_attention_private.h - the mixer "attention": heads of queries over the keys and values of the sequence.
 *
 * Its fields cover grouped heads, norms of heads or rows, rotation (rope), windows, softcaps and scales. A sequence
 * stores pages of keys and values for it.
 */
#ifndef LAYER_ATTENTION_PRIVATE_H
#define LAYER_ATTENTION_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

#define ATTENTION_GROUP_MAX 512 /* query heads for one key-value head */

extern const struct layer_kind layer_attention;

enum qk_norm {
    QK_NONE,
    QK_HEAD, /* over each head, one weight [head_dim_k] for all */
    QK_EACH_HEAD, /* over each head, weights [n_head][head_dim_k]; may be missing */
    QK_ROW, /* over all heads together, weight [n_head * head_dim_k] */
};

/* Fields and weights of one layer. */
struct attention_layer {
    uint32_t n_head, n_head_kv;
    uint32_t head_dim_k, head_dim_v; /* of a head */
    uint32_t window; /* keys that a query sees, its own the last; 0 for all */
    enum qk_norm qk_norm;
    bool qk_norm_optional; /* norms that the file does not have are left out */
    bool no_out_bias; /* a bias of the output is not used */
    bool rotates;
    unsigned rope; /* index of the decoder's ropes */
    float scale;
    float softcap; /* of scores; 0 for none */
    const float *q_norm, *k_norm;
    struct linear q, k, v, out;
};

/* ---- rotation ---- */

/* The angles of rotation at a position: each pair of a head's elements has a frequency of its own. */
struct rope_shape {
    double base;
    double scale; /* factor of all positions: 1 / rope.scaling.factor */
    double magnitude; /* factor of cosine and sine */
    double yarn; /* weight of YaRN's correction, 0 for none */
    double yarn_fast, yarn_slow; /* turns within the original context, see rope.c */
};

/* Rotation of all attention layers of a decoder. */
struct rope_fields {
    uint32_t n_rot; /* elements of a head that are rotated; 0: no layer of the decoder rotates */
    bool halves; /* element i is paired with i + n_rot / 2, not with its neighbour */
    bool long_factors; /* the file has two sets of factors, chosen by the context's size */
    uint32_t skip; /* each layer whose number, from 1, is a multiple of this does not rotate; 0 for none */
    uint32_t context; /* the original context, before scaling */
    struct rope_shape global, local; /* of layers without and with a window */
};

/* The frequencies of rotation. */
struct rope {
    double *inv_freq; /* [n_rot / 2], radians a position */
    float magnitude;
};

/* Computes the inv_freq for a context of so many positions. */
bool rope_prepare(struct decoder *d, size_t context, struct error *err);
/* Cosine and sine of pairs first ... first + count - 1 at a position, to cos_sin[2 * pair] and behind it. */
void rope_cos_sin(const struct rope *r, uint32_t position, size_t first, size_t count, float *cos_sin);

/* ---- a forward call ---- */

/* Rows of one run whose attention is computed by one call. */
struct query_tile {
    size_t run, row, n;
};

struct attention_memory {
    size_t tile_rows; /* at most, in a tile */
    size_t n_tiles, n_splits;
    /* A worker stores a tile's keys and computes its attention at once; no run has two tiles. */
    bool together;
    bool split; /* splits are divided among the workers */
    struct query_tile *tiles;
    float *q, *k, *v; /* [n][n_head * head_dim_k], [n][n_head_kv * head_dim_k], [n][n_head_kv * head_dim_v] */
    float *att; /* [n][n_head * head_dim_v] */
    float *parts; /* of splits */
    float *cos_sin[2]; /* [n][n_rot]: cosines and sines for each of the decoder's ropes */
};

#endif
