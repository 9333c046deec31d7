/* hf_bert.c - encoders: the fields of BERT, and how a vector is made of the tokens' vectors.
 *
 * The pooling is told by the files of sentence-transformers: modules.json names a directory whose config.json has a flag
 * for each kind. Where no file tells it, or tells a kind that GGUF has no number for, the key is missing.
 */
#include "hf_private.h"

#include <stdio.h>
#include <string.h>

/* The numbers of pooling_type in GGUF. */
static const struct {
    const char *flag;
    uint64_t number;
} poolings[] = {
    {"pooling_mode_mean_tokens", 1},
    {"pooling_mode_cls_token", 2},
    {"pooling_mode_lasttoken", 3},
};

static bool is_true(struct value map, const char *name)
{
    const struct value *v = value_find(map, span_of(name));
    return v && v->kind == VALUE_BOOL && v->boolean;
}

/* The only flag that is set; 0: none that has a number, or several. */
static uint64_t pooling_of(struct value config)
{
    uint64_t number = 0;
    size_t set = 0;
    for (size_t i = 0; i < config.map->n; i++) {
        const struct value *v = &config.map->pairs[i].value;
        const struct span key = value_span(config.map->pairs[i].key);
        set +=
            v->kind == VALUE_BOOL && v->boolean && key.size > 13 && memcmp(key.at, "pooling_mode_", 13) == 0;
    }
    for (size_t i = 0; set == 1 && i < sizeof(poolings) / sizeof(poolings[0]); i++)
        if (is_true(config, poolings[i].flag))
            number = poolings[i].number;
    return number;
}

static bool read_pooling(struct hf_model *m, struct error *err)
{
    static const char *const file = "1_Pooling/config.json";
    char key[HF_KEY_ROOM];
    struct value config;
    bool there;
    if (!hf_json_file(m, file, &config, &there, err))
        return false;
    const uint64_t number = there ? pooling_of(config) : 0;
    return number == 0 || hf_add_whole(m, hf_key(key, m, "pooling_type"), number, err);
}

bool hf_read_bert(struct hf_model *m, struct error *err)
{
    const struct value *positions = hf_field(m, "position_embedding_type");
    char key[HF_KEY_ROOM];
    uint64_t types;
    if (positions && !value_is(*positions, "absolute"))
        return hf_refuse("position_embedding_type", "is not \"absolute\"", err);
    return hf_whole(m, "type_vocab_size", 2, &types, err) &&
           hf_add_whole(m, "tokenizer.ggml.token_type_count", types, err) &&
           hf_add_bool(m, hf_key(key, m, "attention.causal"), false, err) && read_pooling(m, err);
}
