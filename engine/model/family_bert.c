/* family_bert.c - encoders: BERT, Nomic-BERT, Jina-BERT and ModernBERT.
 *
 * Their tokens see each other in both directions, and they end in a vector for each token. GELU is the exact one, by erf, as
 * the models were trained.
 *
 * Facts: the models' code in transformers, and llama.cpp's loader.
 */
#include "arch_private.h"

static bool read_jina(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_alibi(d, k, 8);
}

/* Layers see a window around each token, but for the first and each further one by the period. */
static bool read_modern(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window, period;
    if (!arch_read_window(k, 0, &window) ||
        !arch_key_size(k, "attention.sliding_window_pattern", DECODER_SIZE_MAX, 3, &period) ||
        !arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct attention_layer *l = &d->layers[i].attention;
        l->window = i % period == 0 ? 0 : window;
        l->centered = true;
        l->rope = l->window > 0;
    }
    return true;
}

#define BERT_SHAPE                                                                                           \
    .layer_norm = true, .no_pre_norms = true, .post_norms = true, .sum_norms = true, .not_causal = true,     \
    .encoder = true, .embedding_norm = "token_embd_norm"

/* clang-format off */
const struct arch family_bert[] = {
    {.name = "bert", .shape = {BERT_SHAPE, .positions = true}, .rope = {.none = true}, /* and RoBERTa, XLM-RoBERTa */
     .dense = {.activation = VECTOR_GELU_ERF, .ungated = true}},
    {.name = "nomic-bert", .shape = {BERT_SHAPE}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "jina-bert-v2", .shape = {BERT_SHAPE}, .rope = {.none = true}, .attention = {.qk_norm = QK_ROW_OPTIONAL},
     .dense = {.activation = VECTOR_GELU_ERF}, .read = read_jina},
    {.name = "jina-bert-v3", .shape = {BERT_SHAPE}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU_ERF, .ungated = true}},
    {.name = "modern-bert", .shape = {.layer_norm = true, .first_norm_optional = true, .not_causal = true, .encoder = true,
      .embedding_norm = "token_embd_norm"}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU_ERF}, .read = read_modern},
    {.name = NULL},
};
/* clang-format on */
