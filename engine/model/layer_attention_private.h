/* layer_attention_private.h - the mixer "attention": heads of queries over the keys and values of the sequence.
 *
 * Its fields cover grouped heads, norms of heads or rows, rotation (rope), slopes by distance (ALiBi), windows, sinks,
 * gates, limits, softcaps and scales. A sequence stores pages of keys and values for it.
 */
#ifndef LAYER_ATTENTION_PRIVATE_H
#define LAYER_ATTENTION_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"
#include "norm_private.h"

#define ATTENTION_GROUP_MAX 512 /* query heads for one key-value head */

extern const struct layer_kind layer_attention;

/* Norms of queries and keys, of the shape's kind. */
enum qk_norm {
    QK_NONE,
    QK_BARE, /* over each head, without weights */
    QK_HEAD, /* over each head, one weight [head_dim_k] for all */
    QK_HEAD_OPTIONAL, /* the same; may be missing */
    QK_EACH_HEAD, /* over each head, weights [n_head][head_dim_k]; may be missing */
    QK_GAIN, /* over each head, without weights; queries have one factor for each head, [n_head] */
    QK_ROW, /* over all heads together, weight [n_head * head_dim_k] */
    QK_ROW_OPTIONAL, /* the same; may be missing */
};

/* Gates of the result, before the output's product. attn_gate has a row for each head or for each element. */
enum attention_gate {
    GATE_NONE,
    GATE_SIGMOID,
    GATE_SOFTPLUS, /* ln(1 + e^x) */
    GATE_SOFTPLUS_2, /* log2(1 + 2^x) */
    GATE_IN_Q, /* by sigmoid; the product for queries gives each head's query, then its gate */
};

/* Factor of queries by position: 1 + scale ln(1 + floor((position + offset) / span)). */
struct attention_temperature {
    float scale; /* 0 for none */
    uint32_t span, offset;
};

#define VALUE_EXPERTS_MAX 64

/* Values by experts: a router chooses some of them for each row, and the values are the sum of silu(expert * x), each with
 * its weight. The product is computed for all experts. */
struct value_experts {
    uint32_t n, n_used; /* n is 0 where values have one matrix, as usual */
    bool sigmoid; /* scores of experts; otherwise softmax */
    bool normalized; /* weights are divided by their sum */
    float scale; /* factor of weights */
    struct linear router; /* [n][n_embd] */
    const float *bias; /* [n], added to scores only to choose experts; or NULL */
};

/* Fields and weights of one layer. */
struct attention_layer {
    uint32_t n_head, n_head_kv;
    uint32_t head_dim_k, head_dim_v; /* of a head */
    uint32_t window; /* keys that a query sees, its own the last; 0 for all */
    bool chunked; /* the window begins at a multiple of its size */
    bool centered; /* the window reaches half of its size to either side, in a model that is not causal */
    enum qk_norm qk_norm;
    bool norm_rotated; /* heads are normed after the rotation */
    bool rotates;
    unsigned rope; /* index of the decoder's ropes */
    float scale;
    float result_scale; /* factor of the output's product; 0 for none */
    float softcap; /* of scores; 0 for none */
    float clamp; /* limit of queries, keys and values; 0 for none */
    float alibi; /* the largest bias: head i of n has the slope 2^(-alibi (i + 1) / n); 0 for none */
    bool sinks; /* attn_sinks has one score for each head; may be missing */
    struct attention_temperature temperature;
    enum attention_gate gated;
    bool v_norm; /* heads of values are normed, without weights */
    bool v_from_k; /* without attn_v the product for keys, before its norm, gives the values */
    bool shares_cache; /* the keys and values are those of layer cache_of, which stores them */
    uint32_t cache_of;
    struct norm q_norm, k_norm;
    const float *slopes, *sink; /* [n_head], or NULL */
    struct linear q, k, v, out; /* v of all experts, one behind the other */
    struct value_experts values;
    struct linear gate; /* without data where there is none */
};

/* Floats of one query head in the result of the product for queries. */
static inline size_t attention_q_room(const struct attention_layer *l)
{
    return l->gated == GATE_IN_Q ? 2 * (size_t)l->head_dim_k : l->head_dim_k;
}

/* Finds the weights of layer i: `bind` of the kind. */
bool attention_bind(struct binder *b, size_t i);

/* The same for values by experts, of `rows` rows each. */
bool attention_bind_values(struct binder *b, size_t i, struct attention_layer *l, size_t rows);
/* Computes the rows' values from the products of all experts. All workers call it. */
void attention_mix_values(struct worker *m, const struct attention_layer *l);

/* ---- rotation ---- */

/* The angles of rotation at a position: each pair of a head's elements has a frequency of its own. */
struct rope_shape {
    uint32_t n_rot; /* elements of a head that are rotated */
    double base;
    double scale; /* factor of all positions: 1 / rope.scaling.factor */
    double magnitude; /* factor of cosine and sine */
    double yarn; /* weight of YaRN's correction, 0 for none */
    double yarn_fast, yarn_slow; /* turns within the original context, see rope.c */
};

/* Rotation of all attention layers of a decoder. */
struct rope_fields {
    bool none; /* no layer rotates */
    bool halves; /* element i is paired with i + n_rot / 2, not with its neighbour */
    bool long_factors; /* the file has two sets of factors, chosen by the context's size */
    uint32_t skip; /* each layer whose number, from 1, is a multiple of this does not rotate; 0 for none */
    uint32_t context; /* the original context, before scaling */
    struct rope_shape global, local; /* of layers without and with a window */
};

/* The frequencies of rotation. */
struct rope {
    size_t pairs;
    double *inv_freq; /* [pairs], radians a position */
    float magnitude;
};

/* Computes the inv_freq for a context of so many positions. */
bool rope_prepare(struct decoder *d, size_t context, struct error *err);
/* Cosine and sine of pairs first ... first + count - 1 at a position, to cos_sin[2 * pair] and behind it. */
void rope_cos_sin(const struct rope *r, uint32_t position, size_t first, size_t count, float *cos_sin);

/* ---- a forward call ---- */

struct batch_run;

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
    float *q, *k,
        *v; /* [n][n_head * attention_q_room], [n][n_head_kv * head_dim_k], [n][n_head_kv * head_dim_v] */
    float *gate; /* [n][rows of the gate] */
    float *expert_values, *value_router; /* [n][experts * n_head_kv * head_dim_v], [n][experts] */
    float *att; /* [n][n_head * head_dim_v] */
    float *parts; /* of splits */
    float *cos_sin[2]; /* [n][n_rot]: cosines and sines for each of the decoder's ropes */
};

/* Norms, rotates and stores: the rows of a tile for one key-value head, and the query heads of its group. */
void attention_prepare(const struct forward *f, size_t layer, const struct query_tile *t, size_t head);
/* The gate of the group's results for the same rows. */
void attention_apply_gate(
    const struct forward *f, const struct attention_layer *l, const struct query_tile *t, size_t head);
/* What concerns all heads of a row together, before attention_prepare: limits, and the norms of rows. */
void attention_prepare_rows(struct worker *m, const struct attention_layer *l);
/* One key-value head of one layer, in the form that attention.h takes. */
struct attention attention_head(
    const struct forward *f, size_t layer, size_t head, const struct batch_run *r);

#endif
