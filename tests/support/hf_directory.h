/* hf_directory.h - the files of a small Hugging Face directory, as texts: a Llama of one layer with nine tokens. */
#ifndef BERTH_TESTS_HF_DIRECTORY_H
#define BERTH_TESTS_HF_DIRECTORY_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HF_CONFIG                                                                                            \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"num_hidden_layers\":1,"            \
    "\"hidden_size\":32,\"intermediate_size\":64,\"num_attention_heads\":2,\"num_key_value_heads\":1,"       \
    "\"rms_norm_eps\":1e-5,\"max_position_embeddings\":64,\"rope_theta\":10000.0,\"hidden_act\":\"silu\","   \
    "\"tie_word_embeddings\":true,\"vocab_size\":9,\"torch_dtype\":\"float32\"}"

#define HF_TOKENIZER                                                                                         \
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":8,\"content\":\"<|end|>\",\"special\":true,"             \
    "\"lstrip\":false,\"rstrip\":true,\"single_word\":false,\"normalized\":false}],\"normalizer\":null,"     \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"              \
    "\"post_processor\":{\"type\":\"ByteLevel\"},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":"  \
    "\"BPE\",\"dropout\":null,\"unk_token\":null,\"byte_fallback\":false,\"vocab\":{\"a\":0,\"b\":1,"        \
    "\"c\":2,\"\\u0120\":3,\"ab\":4,\"abc\":5,\"\\\"\":6,\"\\u010a\":7},"                                    \
    "\"merges\":[\"a b\",[\"ab\",\"c\"]]}}"

#define HF_TOKENIZER_CONFIG "{\"eos_token\":{\"content\":\"<|end|>\"},\"chat_template\":\"{{ bos_token }}\"}"
#define HF_GENERATION "{\"eos_token_id\":[8,7],\"temperature\":0.5,\"top_k\":3,\"do_sample\":true}"

static const struct {
    const char *name;
    uint64_t rows, columns; /* 0 rows: a vector */
} hf_tensors[] = {
    {"model.embed_tokens.weight", 9, 32},
    {"model.norm.weight", 0, 32},
    {"model.layers.0.input_layernorm.weight", 0, 32},
    {"model.layers.0.post_attention_layernorm.weight", 0, 32},
    {"model.layers.0.self_attn.q_proj.weight", 32, 32},
    {"model.layers.0.self_attn.k_proj.weight", 16, 32},
    {"model.layers.0.self_attn.v_proj.weight", 16, 32},
    {"model.layers.0.self_attn.o_proj.weight", 32, 32},
    {"model.layers.0.mlp.gate_proj.weight", 64, 32},
    {"model.layers.0.mlp.up_proj.weight", 64, 32},
    {"model.layers.0.mlp.down_proj.weight", 32, 64},
};

#define HF_TENSORS (sizeof(hf_tensors) / sizeof(hf_tensors[0]))
#define HF_WEIGHTS_ROOM 65536

/* Writes a safetensors file of the tensors from `first` to `end`, all zeros in F32, and returns its size. The header's
 * length is made odd by `pad` spaces, so that the data begin at any address. */
static inline size_t hf_weights(uint8_t out[HF_WEIGHTS_ROOM], size_t first, size_t end, size_t pad)
{
    char head[4096];
    size_t n = (size_t)snprintf(head, sizeof(head), "{\"__metadata__\":{\"format\":\"pt\"}"), at = 0;
    for (size_t i = first; i < end; i++) {
        const uint64_t rows = hf_tensors[i].rows, columns = hf_tensors[i].columns;
        const size_t size = (size_t)((rows ? rows : 1) * columns * 4);
        n += (size_t)snprintf(
            head + n, sizeof(head) - n, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", hf_tensors[i].name);
        if (rows)
            n += (size_t)snprintf(head + n, sizeof(head) - n, "%u,", (unsigned)rows);
        n += (size_t)snprintf(
            head + n, sizeof(head) - n, "%u],\"data_offsets\":[%zu,%zu]}", (unsigned)columns, at, at + size);
        at += size;
    }
    n += (size_t)snprintf(head + n, sizeof(head) - n, "}%*s", (int)pad, "");
    memset(out, 0, HF_WEIGHTS_ROOM);
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(out + 8, head, n);
    return 8 + n + at;
}

#endif
