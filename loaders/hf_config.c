/* hf_config.c - config.json to the keys that a GGUF file has: a table of fields, and a row for each architecture.
 *
 * Config files have many fields that change nothing. Those that would change an answer are listed with the value that they
 * have where they change nothing; another value is refused, unless the architecture's row reads the field. Tensors tell the
 * rest: the engine refuses shapes that contradict the keys, and tensors that no layer asks for.
 *
 * Source: the classes of configs in transformers, and llama.cpp's convert_hf_to_gguf.py.
 */
#include "hf_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- fields ---- */

bool hf_refuse(const char *name, const char *what, struct error *err)
{
    return error_set(err, "config.json: field \"%s\" %s", name, what);
}

const struct value *hf_field(const struct hf_model *m, const char *name)
{
    const struct value *v = value_find(m->config, span_of(name));
    return v && v->kind != VALUE_NULL ? v : NULL;
}

bool hf_number(const struct hf_model *m, const char *name, double fallback, double *out, struct error *err)
{
    const struct value *v = hf_field(m, name);
    *out = fallback;
    if (!v)
        return true;
    if (v->kind != VALUE_INTEGER && v->kind != VALUE_FLOAT)
        return hf_refuse(name, "is no number", err);
    *out = v->kind == VALUE_INTEGER ? (double)v->integer : v->real;
    return true;
}

bool hf_whole(const struct hf_model *m, const char *name, uint64_t fallback, uint64_t *out, struct error *err)
{
    const struct value *v = hf_field(m, name);
    *out = fallback;
    if (!v)
        return true;
    if (v->kind != VALUE_INTEGER || v->integer < 0)
        return hf_refuse(name, "is no whole number", err);
    *out = (uint64_t)v->integer;
    return true;
}

bool hf_refuse_set(const struct hf_model *m, const char *name, struct error *err)
{
    const struct value *v = hf_field(m, name);
    bool set = v && !(v->kind == VALUE_BOOL && !v->boolean) &&
               !(v->kind == VALUE_INTEGER && v->integer == 0) &&
               !(v->kind == VALUE_LIST && v->list->n == 0) && !(v->kind == VALUE_FLOAT && v->real == 0);
    return !set || hf_refuse(name, "has a value that berth has no use for: the answers would be others", err);
}

const char *hf_key(char out[HF_KEY_ROOM], const struct hf_model *m, const char *rest)
{
    snprintf(out, HF_KEY_ROOM, "%s.%s", m->arch->gguf, rest);
    return out;
}

bool hf_tied(const struct hf_model *m)
{
    const struct value *v = hf_field(m, "tie_word_embeddings");
    return v && v->kind == VALUE_BOOL ? v->boolean : m->arch->tied;
}

/* ---- the common keys ---- */

struct hf_pair {
    const char *field, *key;
    bool real, needed;
};

static const struct hf_pair decoder_keys[] = {
    {"num_hidden_layers", "block_count", false, true},
    {"hidden_size", "embedding_length", false, true},
    {"intermediate_size", "feed_forward_length", false, true},
    {"num_attention_heads", "attention.head_count", false, true},
    {"num_key_value_heads", "attention.head_count_kv", false, false},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", true, true},
    {NULL, NULL, false, false},
};
static const struct hf_pair encoder_keys[] = {
    {"num_hidden_layers", "block_count", false, true},
    {"hidden_size", "embedding_length", false, true},
    {"intermediate_size", "feed_forward_length", false, true},
    {"num_attention_heads", "attention.head_count", false, true},
    {"layer_norm_eps", "attention.layer_norm_epsilon", true, true},
    {NULL, NULL, false, false},
};

static bool add_pair(struct hf_model *m, const struct hf_pair *p, struct error *err)
{
    char key[HF_KEY_ROOM];
    double real;
    uint64_t whole;
    if (!hf_field(m, p->field))
        return !p->needed || hf_refuse(p->field, "is missing", err);
    hf_key(key, m, p->key);
    if (p->real)
        return hf_number(m, p->field, 0, &real, err) && hf_add_real(m, key, real, err);
    return hf_whole(m, p->field, 0, &whole, err) && hf_add_whole(m, key, whole, err);
}

static bool add_pairs(struct hf_model *m, const struct hf_pair *pairs, struct error *err)
{
    for (; pairs->field; pairs++)
        if (!add_pair(m, pairs, err))
            return false;
    return true;
}

/* ---- fields that change answers ---- */

static const struct {
    const char *name;
    double neutral; /* beside null, false, 0 and an empty list */
} checked[] = {
    {"quantization_config", 0},
    {"is_encoder_decoder", 0},
    {"add_cross_attention", 0},
    {"is_decoder", 0},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"use_bidirectional_attention", 0},
    {"clip_qkv", 0},
    {"alibi", 0},
    {"logit_scale", 1},
    {"embedding_multiplier", 1},
    {"attention_multiplier", 0},
    {"residual_multiplier", 1},
    {"logits_scaling", 1},
    {"use_qk_norm", 0},
    {"qk_layernorm", 0},
    {"num_experts", 0},
    {"num_local_experts", 0},
    {"n_routed_experts", 0},
    {"attention_chunk_size", 0},
    {"no_rope_layers", 0},
    {"text_config", 0},
    {"vision_config", 0},
    {"audio_config", 0},
};

static bool is_read(const struct hf_arch *a, const char *name)
{
    for (const char *const *read = a->reads; read && *read; read++)
        if (strcmp(*read, name) == 0)
            return true;
    return false;
}

static bool check_fields(const struct hf_model *m, struct error *err)
{
    for (size_t i = 0; i < sizeof(checked) / sizeof(checked[0]); i++) {
        const struct value *v = hf_field(m, checked[i].name);
        if (!v || is_read(m->arch, checked[i].name))
            continue;
        const double number = v->kind == VALUE_INTEGER ? (double)v->integer
                              : v->kind == VALUE_FLOAT ? v->real
                                                       : NAN;
        if (number != checked[i].neutral && !hf_refuse_set(m, checked[i].name, err))
            return false;
    }
    return true;
}

static bool check_activation(const struct hf_model *m, struct error *err)
{
    const struct hf_arch *a = m->arch;
    const char *field = a->activation_field ? a->activation_field : "hidden_act";
    const char *needed = a->activation ? a->activation : "silu";
    const struct value *v = hf_field(m, field);
    char what[160], shown[64];
    if (!v || value_is(*v, needed))
        return true;
    text_escape(shown, sizeof(shown), v->kind == VALUE_STRING ? value_span(*v) : span_of("no string"));
    snprintf(what, sizeof(what), "is \"%s\"; berth runs %s with \"%s\"", shown, a->class, needed);
    return hf_refuse(field, what, err);
}

/* ---- keys of single architectures ---- */

static bool copy_real(
    struct hf_model *m, const char *field, const char *rest, double fallback, struct error *err)
{
    char key[HF_KEY_ROOM];
    double value;
    return hf_number(m, field, fallback, &value, err) &&
           (value == 0 || hf_add_real(m, hf_key(key, m, rest), value, err));
}

static bool copy_whole(struct hf_model *m, const char *field, const char *rest, struct error *err)
{
    char key[HF_KEY_ROOM];
    uint64_t value;
    if (!hf_field(m, field))
        return hf_refuse(field, "is missing", err);
    return hf_whole(m, field, 0, &value, err) && hf_add_whole(m, hf_key(key, m, rest), value, err);
}

/* Scores are divided by the square root of query_pre_attn_scalar, in place of the head's size. */
static bool read_query_scalar(struct hf_model *m, struct error *err)
{
    char key[HF_KEY_ROOM];
    double scalar;
    if (!hf_number(m, "query_pre_attn_scalar", 256, &scalar, err))
        return false;
    if (!(scalar > 0))
        return hf_refuse("query_pre_attn_scalar", "is not above 0", err);
    return hf_add_real(m, hf_key(key, m, "attention.scale"), 1 / sqrt(scalar), err);
}

static bool read_gemma2(struct hf_model *m, struct error *err)
{
    return read_query_scalar(m, err) &&
           copy_real(m, "attn_logit_softcapping", "attn_logit_softcapping", 50, err) &&
           copy_real(m, "final_logit_softcapping", "final_logit_softcapping", 30, err);
}

static bool read_gemma3(struct hf_model *m, struct error *err)
{
    return read_query_scalar(m, err) &&
           copy_real(m, "final_logit_softcapping", "final_logit_softcapping", 0, err) &&
           hf_read_local_rope(m, err);
}

static bool read_granite(struct hf_model *m, struct error *err)
{
    return copy_real(m, "embedding_multiplier", "embedding_scale", 1, err) &&
           copy_real(m, "residual_multiplier", "residual_scale", 1, err) &&
           copy_real(m, "attention_multiplier", "attention.scale", 1, err) &&
           copy_real(m, "logits_scaling", "logit_scale", 1, err);
}

/* Each fourth layer does not rotate, as in the engine's row. */
static bool read_smollm3(struct hf_model *m, struct error *err)
{
    const struct value *layers = hf_field(m, "no_rope_layers");
    uint64_t interval;
    if (!hf_whole(m, "no_rope_layer_interval", 4, &interval, err))
        return false;
    if (!layers)
        return interval == 4 || hf_refuse("no_rope_layer_interval", "is not 4", err);
    if (layers->kind != VALUE_LIST)
        return hf_refuse("no_rope_layers", "is no list", err);
    for (size_t i = 0; i < layers->list->n; i++) {
        const struct value *v = &layers->list->items[i];
        if (v->kind != VALUE_INTEGER || v->integer != ((i + 1) % 4 != 0))
            return hf_refuse("no_rope_layers", "does not leave out each fourth layer", err);
    }
    return true;
}

static bool read_qwen3_moe(struct hf_model *m, struct error *err)
{
    const struct value *normalized = hf_field(m, "norm_topk_prob");
    uint64_t step;
    if (!normalized || normalized->kind != VALUE_BOOL || !normalized->boolean)
        return hf_refuse("norm_topk_prob", "is not true", err);
    if (!hf_whole(m, "decoder_sparse_step", 1, &step, err) || !hf_refuse_set(m, "mlp_only_layers", err))
        return false;
    if (step != 1)
        return hf_refuse("decoder_sparse_step", "is not 1", err);
    return copy_whole(m, "num_experts", "expert_count", err) &&
           copy_whole(m, "num_experts_per_tok", "expert_used_count", err) &&
           copy_whole(m, "moe_intermediate_size", "expert_feed_forward_length", err);
}

static bool read_mixtral(struct hf_model *m, struct error *err)
{
    return copy_whole(m, "num_local_experts", "expert_count", err) &&
           copy_whole(m, "num_experts_per_tok", "expert_used_count", err);
}

/* clang-format off */
static const char *const soft_caps[] = {"attn_logit_softcapping", "final_logit_softcapping", NULL};
static const char *const final_cap[] = {"final_logit_softcapping", NULL};
static const char *const multipliers[] = {"embedding_multiplier", "attention_multiplier", "residual_multiplier",
    "logits_scaling", NULL};
static const char *const no_rope[] = {"no_rope_layers", NULL};
static const char *const experts[] = {"num_experts", NULL};
static const char *const local_experts[] = {"num_local_experts", NULL};

static const struct hf_arch archs[] = {
    {.class = "LlamaForCausalLM", .type = "llama", .gguf = "llama", .names = hf_decoder_names},
    {.class = "MistralForCausalLM", .type = "mistral", .gguf = "llama", .names = hf_decoder_names, .window = HF_WINDOW_ALWAYS},
    {.class = "MixtralForCausalLM", .type = "mixtral", .gguf = "llama", .names = hf_decoder_names, .window = HF_WINDOW_ALWAYS,
     .theta = 1e6, .reads = local_experts, .read = read_mixtral},
    {.class = "Qwen2ForCausalLM", .type = "qwen2", .gguf = "qwen2", .names = hf_decoder_names, .window = HF_WINDOW_FLAGGED},
    {.class = "Qwen3ForCausalLM", .type = "qwen3", .gguf = "qwen3", .names = hf_decoder_names, .window = HF_WINDOW_FLAGGED,
     .head = 128},
    {.class = "Qwen3MoeForCausalLM", .type = "qwen3_moe", .gguf = "qwen3moe", .names = hf_decoder_names,
     .window = HF_WINDOW_FLAGGED, .reads = experts, .read = read_qwen3_moe},
    {.class = "SmolLM3ForCausalLM", .type = "smollm3", .gguf = "smollm3", .names = hf_decoder_names,
     .window = HF_WINDOW_FLAGGED, .tied = true, .theta = 2e6, .reads = no_rope, .read = read_smollm3},
    {.class = "Phi3ForCausalLM", .type = "phi3", .gguf = "phi3", .names = hf_decoder_names, .window = HF_WINDOW_KEY},
    {.class = "GemmaForCausalLM", .type = "gemma", .gguf = "gemma", .names = hf_decoder_names, .tied = true,
     .norm_plus_one = true, .head = 256, .activation = "gelu_pytorch_tanh", .activation_field = "hidden_activation"},
    {.class = "Gemma2ForCausalLM", .type = "gemma2", .gguf = "gemma2", .names = hf_post_norm_names, .window = HF_WINDOW_KEY,
     .tied = true, .norm_plus_one = true, .head = 256, .activation = "gelu_pytorch_tanh",
     .activation_field = "hidden_activation", .reads = soft_caps, .read = read_gemma2},
    {.class = "Gemma3ForCausalLM", .type = "gemma3_text", .gguf = "gemma3", .names = hf_post_norm_names,
     .window = HF_WINDOW_KEY, .tied = true, .norm_plus_one = true, .head = 256, .theta = 1e6,
     .activation = "gelu_pytorch_tanh", .activation_field = "hidden_activation", .reads = final_cap, .read = read_gemma3},
    {.class = "GraniteForCausalLM", .type = "granite", .gguf = "granite", .names = hf_decoder_names, .reads = multipliers,
     .read = read_granite},
    {.class = "Olmo2ForCausalLM", .type = "olmo2", .gguf = "olmo2", .names = hf_post_norm_names},
    {.class = "BertModel", .type = "bert", .gguf = "bert", .names = hf_encoder_names, .encoder = true, .tied = true,
     .activation = "gelu", .read = hf_read_bert},
};
/* clang-format on */

#define N_ARCHS (sizeof(archs) / sizeof(archs[0]))

/* ---- the whole ---- */

/* By the class; where the file names none, by the type. */
static const struct hf_arch *find_arch(const struct hf_model *m, struct span *name)
{
    const struct value *classes = hf_field(m, "architectures"), *type = hf_field(m, "model_type");
    const bool by_class = classes && classes->kind == VALUE_LIST && classes->list->n > 0 &&
                          classes->list->items[0].kind == VALUE_STRING;
    *name = (struct span){0};
    if (by_class)
        *name = value_span(classes->list->items[0]);
    else if (type && type->kind == VALUE_STRING)
        *name = value_span(*type);
    for (size_t i = 0; i < N_ARCHS; i++)
        if (span_is(*name, by_class ? archs[i].class : archs[i].type))
            return &archs[i];
    return NULL;
}

static bool refuse_arch(const char *field, struct span name, struct error *err)
{
    char shown[64], list[400] = "";
    size_t size = 0;
    for (size_t i = 0; i < N_ARCHS; i++)
        size += (size_t)snprintf(list + size, sizeof(list) - size, "%s%s", i ? ", " : "", archs[i].class);
    text_escape(shown, sizeof(shown), name);
    return error_set(err, "config.json: field \"%s\" is \"%s\"; of Hugging Face directories berth runs %s",
        field, shown, list);
}

static bool read_head(struct hf_model *m, uint64_t *head, struct error *err)
{
    char key[HF_KEY_ROOM];
    uint64_t size, heads;
    if (!hf_whole(m, "hidden_size", 0, &size, err) || !hf_whole(m, "num_attention_heads", 0, &heads, err))
        return false;
    if (heads == 0)
        return hf_refuse("num_attention_heads", "is 0", err);
    if (!hf_whole(m, "head_dim", m->arch->head ? m->arch->head : size / heads, head, err))
        return false;
    if (*head == 0)
        return hf_refuse("head_dim", "is 0", err);
    return m->arch->encoder || (hf_add_whole(m, hf_key(key, m, "attention.key_length"), *head, err) &&
                                   hf_add_whole(m, hf_key(key, m, "attention.value_length"), *head, err));
}

static bool read_name(struct hf_model *m, struct error *err)
{
    struct span name = m->directory;
    if (name.size > 0 && name.at[name.size - 1] == '/')
        name.size--;
    for (size_t i = name.size; i > 0; i--)
        if (name.at[i - 1] == '/')
            name = (struct span){name.at + i, name.size - i};
    return name.size == 0 || hf_add_text(m, "general.name", name, err);
}

bool hf_read_config(struct hf_model *m, struct error *err)
{
    struct span name;
    uint64_t head;
    m->arch = find_arch(m, &name);
    if (!m->arch)
        return refuse_arch(hf_field(m, "architectures") ? "architectures" : "model_type", name, err);
    return hf_add_text(m, "general.architecture", span_of(m->arch->gguf), err) && read_name(m, err) &&
           add_pairs(m, m->arch->encoder ? encoder_keys : decoder_keys, err) && check_fields(m, err) &&
           check_activation(m, err) && read_head(m, &head, err) && hf_read_context(m, err) &&
           (m->arch->encoder || hf_read_rope(m, head, err)) && (!m->arch->read || m->arch->read(m, err));
}
