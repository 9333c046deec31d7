/* model_info.c - describes a model from its checkpoint, whatever its format.
 *
 * Values come from keys; where there is no key they are computed from the tensors. A file without tensors (a vocabulary) is
 * a valid model of no kind.
 */
#include "loader_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_ROOM 128

static bool describe_text(
    const struct checkpoint *c, const char *key, char *out, size_t size, struct error *err)
{
    struct span text;
    enum checkpoint_got got = checkpoint_get_text(c, key, &text, err);
    if (got == CHECKPOINT_GOT)
        text_escape(out, size, text);
    return got != CHECKPOINT_WRONG;
}

/* Reads the key "ARCHITECTURE.`what`" into *out, which does not change when there is none. */
static bool describe_number(const struct checkpoint *c, const char *what, uint64_t *out, struct error *err)
{
    struct span arch = {0};
    char key[KEY_ROOM];
    if (checkpoint_get_text(c, "general.architecture", &arch, err) != CHECKPOINT_GOT ||
        arch.size > KEY_ROOM / 2)
        return true;
    snprintf(key, sizeof(key), "%.*s.%s", (int)arch.size, (const char *)arch.at, what);
    return checkpoint_get_u64(c, key, out, err) != CHECKPOINT_WRONG;
}

/* The names of quantization mixtures, by their number in general.file_type. Gaps are numbers that were removed. */
static const char *const file_types[] = {
    [0] = "F32",
    [1] = "F16",
    [2] = "Q4_0",
    [3] = "Q4_1",
    [7] = "Q8_0",
    [8] = "Q5_0",
    [9] = "Q5_1",
    [10] = "Q2_K",
    [11] = "Q3_K_S",
    [12] = "Q3_K_M",
    [13] = "Q3_K_L",
    [14] = "Q4_K_S",
    [15] = "Q4_K_M",
    [16] = "Q5_K_S",
    [17] = "Q5_K_M",
    [18] = "Q6_K",
    [19] = "IQ2_XXS",
    [20] = "IQ2_XS",
    [21] = "Q2_K_S",
    [22] = "IQ3_XS",
    [23] = "IQ3_XXS",
    [24] = "IQ1_S",
    [25] = "IQ4_NL",
    [26] = "IQ3_S",
    [27] = "IQ3_M",
    [28] = "IQ2_S",
    [29] = "IQ2_M",
    [30] = "IQ4_XS",
    [31] = "IQ1_M",
    [32] = "BF16",
    [36] = "TQ1_0",
    [37] = "TQ2_0",
    [38] = "MXFP4",
    [39] = "NVFP4",
    [40] = "Q1_0",
    [41] = "Q2_0",
};

/* The type that most bytes of the model are stored in; NULL without tensors. */
static const char *heaviest_type(const struct checkpoint *c)
{
    const struct tensor_type *heaviest = NULL;
    uint64_t bytes[64] = {0}; /* by type id */
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor_type *type = c->tensors[i].type;
        uint64_t *sum = &bytes[type->id % 64];
        *sum += c->tensors[i].size;
        if (!heaviest || *sum > bytes[heaviest->id % 64])
            heaviest = type;
    }
    return heaviest ? heaviest->name : NULL;
}

static bool describe_quantization(struct model_info *info, const struct checkpoint *c, struct error *err)
{
    const size_t known = sizeof(file_types) / sizeof(file_types[0]);
    uint64_t number = known;
    if (checkpoint_get_u64(c, "general.file_type", &number, err) == CHECKPOINT_WRONG)
        return false;
    const char *heaviest = heaviest_type(c);
    const char *name = heaviest && number < known ? file_types[number] : NULL;
    if (!name)
        name = heaviest ? heaviest : "";
    snprintf(info->quantization, sizeof(info->quantization), "%s", name);
    return true;
}

/* Elements of all tensors. The sum cannot wrap: a byte of a file holds eight of them at the most. */
static uint64_t count_parameters(const struct checkpoint *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->n_tensors; i++)
        sum += c->tensors[i].elems;
    return sum;
}

static bool has_blocks(const struct checkpoint *c)
{
    for (size_t i = 0; i < c->n_tensors; i++)
        if (c->tensors[i].name.size > 4 && memcmp(c->tensors[i].name.at, "blk.", 4) == 0)
            return true;
    return false;
}

static bool is_one_of(const char *name, const char *const list[])
{
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

/* Encoders of text: their result is a vector. */
static const char *const embedders[] = {"bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "modern-bert",
    "jina-bert-v2", "jina-bert-v3", "eurobert", "t5encoder", "gemma-embedding", NULL};

/* Models that have blocks and an embedding of tokens but do not generate one token after the other. */
static const char *const not_causal[] = {
    "t5", "clip", "wavtokenizer-dec", "dream", "llada", "llada-moe", "rnd1", NULL};

/* pooling_type: 0 is none; with 1 to 3 (mean, first, last) the result is one vector for a text; with 4 it is a score, for
 * which there is no kind. */
static bool describe_kind(struct model_info *info, const struct checkpoint *c, struct error *err)
{
    uint64_t pooling = 0;
    if (!describe_number(c, "pooling_type", &pooling, err))
        return false;
    if (!checkpoint_tensor(c, "token_embd.weight") || !has_blocks(c) || pooling > 3)
        return true;
    if (pooling != 0 || is_one_of(info->architecture, embedders))
        info->kind = "embed";
    else if (!is_one_of(info->architecture, not_causal))
        info->kind = "generate";
    return true;
}

bool model_info_read(struct model_info *info, const struct checkpoint *c, struct error *err)
{
    info->parameters = count_parameters(c);
    return describe_text(c, "general.architecture", info->architecture, sizeof(info->architecture), err) &&
           describe_text(c, "general.name", info->name, sizeof(info->name), err) &&
           describe_number(c, "context_length", &info->context, err) && describe_quantization(info, c, err) &&
           describe_kind(info, c, err);
}
