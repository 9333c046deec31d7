/* decoder.h - models that generate text one token after the other: from rows of tokens to logits.
 *
 * A decoder is a shape (numbers read from the file), layers of several kinds (attention, short convolution; dense
 * feed-forwards, mixtures of experts) and weights (views on the mapped file). It is read-only once made and shared by
 * all threads. The kinds of its layers and their fields (norms, rotation, gates, windows, scales, biases) are set by
 * the row of its architecture. A forward call takes a batch: rows of any number of sequences of this model, prefill
 * and decode together.
 *
 * The bits of a row's output depend on its sequence alone: not on the other rows of the batch, nor on how the
 * sequence was cut into batches, nor on threads or CPU.
 */
#ifndef BERTH_DECODER_H
#define BERTH_DECODER_H

#include "berth/loaders/checkpoint.h"
#include "berth/engine/model/kv_cache.h"
#include "berth/base/pool.h"

struct decoder;

/* Reads the shape and binds the weights. NULL with the reason, which names the architecture, key or tensor:
 * an architecture that is not supported, a key or tensor that is missing, contradicts another or is out of
 * bounds. Takes milliseconds and reads no weight. `as_float`: all products have float32 activations.
 * The model's files must live longer. */
struct decoder *decoder_new(const struct checkpoint *c, bool as_float, struct error *err);
void decoder_free(struct decoder *d);

/* Limits sequences to so many positions, fewer than the model's own. Called before the first forward call: the limit
 * decides by which factors some models rotate (longrope). */
bool decoder_limit_context(struct decoder *d, size_t context, struct error *err);

/* The name of the i-th architecture that is supported; NULL behind the last one. */
const char *decoder_architecture(size_t i);
bool decoder_supports(struct span architecture);
bool decoder_encodes(struct span architecture); /* it is an encoder's: see decoder_is_encoder */

/* False when every row of a sequence sees all others, as in models that fill in text by diffusion. Then a sequence is one
 * batch that is not causal. */
bool decoder_is_causal(const struct decoder *d);
/* True for a model that makes vectors of texts: rows have hidden states, and no logits. */
bool decoder_is_encoder(const struct decoder *d);
size_t decoder_n_vocab(const struct decoder *d); /* token ids, and logits a row */
size_t decoder_n_embd(const struct decoder *d);
size_t decoder_n_ctx(const struct decoder *d); /* positions that the model was made for */
/* What a sequence stores for each of the n layers, for kv_cache_new. */
const struct layer_state *decoder_layer_states(const struct decoder *d, size_t *n);

enum decoder_output { DECODER_NOTHING, DECODER_LOGITS, DECODER_HIDDEN };

/* One token of one sequence. */
struct decoder_row {
    struct sequence *sequence;
    uint32_t position;
    int32_t token; /* below the vocabulary's size, or with `embedding` ignored */
    const float *embedding; /* [n_embd] instead of a token, as it enters the first layer; NULL otherwise */
    enum decoder_output output;
};

/* The rows of a sequence stand together, at consecutive positions that begin at the sequence's length. All positions
 * must have been reserved. */
struct decoder_batch {
    const struct decoder_row *rows; /* [n] */
    size_t n;
    /* Attention sees the sequence up to the row; otherwise all rows of the sequence in this batch. */
    bool causal;
};

/* Memory of forward calls: it grows with the largest batch and is reused. */
struct decoder_workspace;
size_t decoder_row_bytes(
    const struct decoder *d, struct pool *pool); /* bytes of it for each row of a batch */
struct decoder_workspace *decoder_workspace_new(void);
void decoder_workspace_free(struct decoder_workspace *w);

/* Runs the batch on the pool. On success every sequence is longer by its rows, and *out points into the
 * workspace: for each row with an output, in the order of rows, its logits [vocabulary] or hidden state
 * [n_embd] (after the last norm). Two results lie max(vocabulary, n_embd) floats apart when both kinds occur, else
 * they are contiguous. False with the reason when memory is short; the sequences have not changed then. `stop`, when
 * not NULL, is read between layers: once it is set, the call returns false with an empty reason. */
bool decoder_forward(struct decoder *d, struct decoder_workspace *w, struct pool *pool,
    const struct decoder_batch *batch, const atomic_bool *stop, float **out, struct error *err);

#endif
