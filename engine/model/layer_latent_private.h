/* layer_latent_private.h - the mixer "latent attention": queries over low-rank keys and values (arXiv 2405.04434).
 *
 * A position's keys and values of all heads come from one vector, the latent, and from one rotated part of the key that
 * all heads share. Only these are stored: the query of a head is taken into the space of the latent, where one key serves
 * all heads, and the weighted sum of latents is taken out of it into the head's values.
 */
#ifndef LAYER_LATENT_PRIVATE_H
#define LAYER_LATENT_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

extern const struct layer_kind layer_latent;

/* Fields and weights of one layer. A head's query is n_nope elements and the rotated ones, of which there are as many as
 * the decoder's rope has. A stored key is the latent and the rotated elements. */
struct latent_layer {
    uint32_t n_head;
    uint32_t n_latent, n_nope, n_value; /* of the latent; of a head's query, and of its values */
    uint32_t n_query; /* rank of the queries; the file has it where queries have no matrix of full rank */
    bool rotates; /* otherwise the parts that others rotate stay as they are */
    float scale;
    /* The query at position p is multiplied by 1 + temperature * log(1 + floor(p / temperature_length)). 0 for none. */
    float temperature;
    uint32_t temperature_length;
    uint32_t window; /* keys that a query sees, its own the last; 0 for all */
    unsigned rope; /* index of the decoder's ropes */
    bool norms_rotated; /* the rotated part of the key is normed first */
    bool
        gated; /* attn_gate has a row for each head or for each element of the values: their factor, by sigmoid */
    bool
        full_rank; /* of the queries: `query` is [n_head * (n_nope + n_rot)][n_embd], and there is no query_low */
    const float *query_norm, *latent_norm, *rotated_norm; /* [n_query], [n_latent], [n_rot] */
    struct linear query_low, query; /* [n_query][n_embd], [n_head * (n_nope + n_rot)][n_query] */
    struct linear low; /* [n_latent + n_rot][n_embd]: the latent and the rotated part of the key */
    struct expert_weights key; /* by head [n_latent][n_nope]: takes a query to the latent's space */
    /* In older files one matrix gives keys and values of all heads, [n_head][n_nope + n_value][n_latent]. The rows of keys
     * are the columns of `key`. */
    struct linear joined;
    bool is_joined;
    struct expert_weights value; /* by head [n_value][n_latent] */
    struct linear gate, out;
};

struct latent_memory {
    size_t tile_rows, n_tiles; /* rows of one run whose attention is computed by one call, for some heads */
    size_t tile_heads;
    size_t n_splits;
    bool split; /* splits of positions are divided among the workers */
    struct query_tile *tiles;
    float *cos_sin[2]; /* [n][n_rot], of each rope */
    float *query_low; /* [n][n_query] */
    float *low; /* [n][n_latent + n_rot] */
    float *query; /* [n][n_head][n_nope + n_rot] */
    float *latent_query; /* [n][n_head][n_latent + n_rot] */
    float *att; /* [n][n_head][n_latent] */
    float *value; /* [n][n_head][n_value] */
    float *gate; /* [n][rows of the gate] */
    float *parts; /* of splits */
    uint8_t *packed; /* of one matrix for each head */
};

#endif
