/* hf_tensors.c - the names that tensors have in files of Hugging Face's transformers, and in GGUF.
 *
 * A name is a stem, with numbers of layers and experts in it, and an ending: "model.layers.3.self_attn.q_proj" and
 * ".weight". The stem is looked up with # for each number. No matrix is copied. Norms of Gemma are: files have them less 1.
 *
 * Source: the models' code in transformers, and llama.cpp's gguf-py/gguf/tensor_mapping.py.
 */
#include "hf_private.h"

#include "berth/base/half.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 160
#define NUMBERS_MAX 2

/* clang-format off */
static const struct hf_name ends[] = {
    {"embed_tokens", "token_embd"},
    {"norm", "output_norm"},
    {"lm_head", "output"},
    {"rotary_emb.inv_freq", NULL},
    {"layers.#.self_attn.rotary_emb.inv_freq", NULL},
    {"layers.#.input_layernorm", "blk.#.attn_norm"},
    {"layers.#.self_attn.q_proj", "blk.#.attn_q"},
    {"layers.#.self_attn.k_proj", "blk.#.attn_k"},
    {"layers.#.self_attn.v_proj", "blk.#.attn_v"},
    {"layers.#.self_attn.o_proj", "blk.#.attn_output"},
    {"layers.#.self_attn.qkv_proj", "blk.#.attn_qkv"},
    {"layers.#.self_attn.q_norm", "blk.#.attn_q_norm"},
    {"layers.#.self_attn.k_norm", "blk.#.attn_k_norm"},
    {"layers.#.mlp.gate_proj", "blk.#.ffn_gate"},
    {"layers.#.mlp.up_proj", "blk.#.ffn_up"},
    {"layers.#.mlp.gate_up_proj", "blk.#.ffn_up"},
    {"layers.#.mlp.down_proj", "blk.#.ffn_down"},
    {"layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"layers.#.mlp.experts.#.gate_proj", "blk.#.ffn_gate.#"},
    {"layers.#.mlp.experts.#.up_proj", "blk.#.ffn_up.#"},
    {"layers.#.mlp.experts.#.down_proj", "blk.#.ffn_down.#"},
    {"layers.#.block_sparse_moe.gate", "blk.#.ffn_gate_inp"},
    {"layers.#.block_sparse_moe.experts.#.w1", "blk.#.ffn_gate.#"},
    {"layers.#.block_sparse_moe.experts.#.w2", "blk.#.ffn_down.#"},
    {"layers.#.block_sparse_moe.experts.#.w3", "blk.#.ffn_up.#"},
    {NULL, NULL},
};
static const struct hf_name pre_norms[] = {
    {"layers.#.post_attention_layernorm", "blk.#.ffn_norm"},
    {NULL, NULL},
};
/* Layers with a norm behind each half. */
static const struct hf_name post_norms[] = {
    {"layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"layers.#.pre_feedforward_layernorm", "blk.#.ffn_norm"},
    {"layers.#.post_feedforward_layernorm", "blk.#.post_ffw_norm"},
    {NULL, NULL},
};
static const struct hf_name bert[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"embeddings.position_ids", NULL},
    {"encoder.layer.#.attention.self.query", "blk.#.attn_q"},
    {"encoder.layer.#.attention.self.key", "blk.#.attn_k"},
    {"encoder.layer.#.attention.self.value", "blk.#.attn_v"},
    {"encoder.layer.#.attention.output.dense", "blk.#.attn_output"},
    {"encoder.layer.#.attention.output.LayerNorm", "blk.#.attn_output_norm"},
    {"encoder.layer.#.intermediate.dense", "blk.#.ffn_up"},
    {"encoder.layer.#.output.dense", "blk.#.ffn_down"},
    {"encoder.layer.#.output.LayerNorm", "blk.#.layer_output_norm"},
    {"pooler.dense", NULL},
    {NULL, NULL},
};
/* clang-format on */

const struct hf_name *const hf_decoder_names[] = {ends, pre_norms, NULL};
const struct hf_name *const hf_post_norm_names[] = {ends, post_norms, NULL};
const struct hf_name *const hf_encoder_names[] = {bert, NULL};

/* A name in its parts. */
struct parts {
    char stem[NAME_MAX_BYTES]; /* without "model.", with # for each number */
    struct span numbers[NUMBERS_MAX];
    const char *ending; /* ".weight", ".bias" or "" */
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static struct span without(struct span name, const char *begin)
{
    const size_t size = strlen(begin);
    return name.size > size && memcmp(name.at, begin, size) == 0
               ? (struct span){name.at + size, name.size - size}
               : name;
}

static bool take_apart(struct parts *p, struct span name)
{
    static const char *const endings[] = {".weight", ".bias"};
    size_t n = 0, numbers = 0;
    *p = (struct parts){.ending = ""};
    name = without(without(name, "model."), "bert.");
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (span_ends_with(name, endings[i]))
            p->ending = endings[i];
    name.size -= strlen(p->ending);
    if (name.size >= NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.size;) {
        size_t digits = 0;
        while ((i == 0 || name.at[i - 1] == '.') && i + digits < name.size && is_digit(name.at[i + digits]))
            digits++;
        if (digits > 0 && digits < 6 && (i + digits == name.size || name.at[i + digits] == '.')) {
            if (numbers == NUMBERS_MAX)
                return false;
            p->numbers[numbers++] = (struct span){name.at + i, digits};
            p->stem[n++] = '#';
            i += digits;
        } else {
            p->stem[n++] = (char)name.at[i++];
        }
    }
    return true;
}

static const struct hf_name *find(const struct hf_arch *a, const char *stem)
{
    for (const struct hf_name *const *table = a->names; *table; table++)
        for (const struct hf_name *n = *table; n->from; n++)
            if (strcmp(n->from, stem) == 0)
                return n;
    return NULL;
}

/* Puts the numbers in the places of the #. */
static void put_together(char out[2 * NAME_MAX_BYTES], const char *to, const struct parts *p)
{
    size_t n = 0, number = 0;
    for (; *to; to++) {
        if (*to != '#') {
            out[n++] = *to;
            continue;
        }
        const struct span digits = p->numbers[number++];
        memcpy(out + n, digits.at, digits.size);
        n += digits.size;
    }
    snprintf(out + n, 16, "%s", p->ending);
}

/* A norm of Gemma: one more than the file has. */
static bool add_norm(struct hf_model *m, const char *name, const struct tensor *t, struct error *err)
{
    float *values = t->size ? hf_memory(m, (size_t)t->elems * sizeof(float), err) : NULL;
    if (!values)
        return false;
    const size_t n = (size_t)t->elems;
    if (t->type->id == TENSOR_F32)
        memcpy(values, t->data, n * sizeof(float));
    else if (t->type->id == TENSOR_F16)
        half_to_floats(values, t->data, n);
    else if (t->type->id == TENSOR_BF16)
        bfloat_to_floats(values, t->data, n);
    else
        return error_set(err, "tensor \"%s\" is a norm of a type that norms cannot have", name);
    for (size_t i = 0; i < n; i++)
        values[i] += 1;
    return hf_add_floats(m, name, values, n, err);
}

static bool is_norm(const char *name)
{
    return strstr(name, "norm.weight") != NULL;
}

static bool add_named(struct hf_model *m, const char *name, const struct tensor *t, struct error *err)
{
    struct tensor named = *t;
    if (m->arch->norm_plus_one && is_norm(name) && t->rank == 1)
        return add_norm(m, name, t, err);
    const size_t size = strlen(name);
    char *copy = hf_memory(m, size + 1, err);
    if (!copy)
        return false;
    memcpy(copy, name, size + 1);
    named.name = span_of(copy);
    return hf_add_tensor(m, &named, err);
}

static bool add_tensor(struct hf_model *m, const struct tensor *t, struct error *err)
{
    char shown[HF_SHOWN], name[2 * NAME_MAX_BYTES];
    struct parts p;
    const struct hf_name *found = take_apart(&p, t->name) ? find(m->arch, p.stem) : NULL;
    text_escape(shown, sizeof(shown), t->name);
    if (!found)
        return error_set(
            err, "tensor \"%s\" does not belong to %s, as far as berth knows it", shown, m->arch->class);
    /* Of a model whose output is its embedding some files have both. */
    if (!found->to || (strcmp(found->to, "output") == 0 && hf_tied(m)))
        return true;
    put_together(name, found->to, &p);
    return add_named(m, name, t, err);
}

bool hf_add_tensors(struct hf_model *m, const struct safetensors *s, struct error *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (!add_tensor(m, &s->tensors[i], err))
            return false;
    return true;
}

bool hf_check_tensors(const struct hf_model *m, struct error *err)
{
    if (m->arch->encoder || hf_tied(m) || checkpoint_tensor(&m->checkpoint, "output.weight"))
        return true;
    return error_set(
        err, "tensor \"lm_head.weight\" is missing, and config.json does not say tie_word_embeddings");
}
