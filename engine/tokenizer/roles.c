/* roles.c - which tokens end a text or a turn, which mark a gap, and which are marks.
 *
 * Files name some of these tokens by keys, do not name others, or give a mark the type of an ordinary word. So they are
 * recognized by their texts, too. After an end that is not recognized a model would go on generating.
 *
 * Source of the texts: the vocabularies of the families, as llama.cpp lists them.
 */
#include "tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

struct role {
    const char *text;
    enum tokenizer_special
        special; /* the role of the token where no key names another; TOKENIZER_SPECIALS: none */
    bool ends;
};

/* clang-format off */
static const struct role roles[] = {
    {.text = "<|eot_id|>",        .special = TOKENIZER_EOT, .ends = true},
    {.text = "<|im_end|>",        .special = TOKENIZER_EOT, .ends = true},
    {.text = "<|end|>",           .special = TOKENIZER_EOT, .ends = true},
    {.text = "<end_of_turn>",     .special = TOKENIZER_EOT, .ends = true},
    {.text = "<|endoftext|>",     .special = TOKENIZER_EOT, .ends = true},
    {.text = "<|end_of_text|>",   .special = TOKENIZER_EOT, .ends = true},
    {.text = "<EOT>",             .special = TOKENIZER_EOT, .ends = true},
    {.text = "_<EOT>",            .special = TOKENIZER_EOT, .ends = true},
    {.text = "[EOT]",             .special = TOKENIZER_EOT, .ends = true},
    {.text = "<｜end▁of▁sentence｜>", .special = TOKENIZER_EOT, .ends = true},
    {.text = "<end_of_utterance>", .special = TOKENIZER_EOT, .ends = true},
    {.text = "<|eom_id|>",        .special = TOKENIZER_EOM, .ends = true},
    {.text = "<|return|>",        .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<|call|>",          .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<|calls|>",         .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<|flush|>",         .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "</s>",              .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "[EOS]",             .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<eos>",             .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<turn|>",           .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<|tool_response>",  .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "[e~[",              .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<|ifm|im_end|>",    .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<|plamo:eos|>",     .special = TOKENIZER_SPECIALS, .ends = true},
    {.text = "<|fim_prefix|>",    .special = TOKENIZER_FIM_PREFIX},
    {.text = "<fim-prefix>",      .special = TOKENIZER_FIM_PREFIX},
    {.text = "<fim_prefix>",      .special = TOKENIZER_FIM_PREFIX},
    {.text = "<｜fim▁begin｜>",   .special = TOKENIZER_FIM_PREFIX},
    {.text = "<PRE>",             .special = TOKENIZER_FIM_PREFIX},
    {.text = "▁<PRE>",            .special = TOKENIZER_FIM_PREFIX},
    {.text = "<|code_prefix|>",   .special = TOKENIZER_FIM_PREFIX},
    {.text = "<|prefix|>",        .special = TOKENIZER_FIM_PREFIX},
    {.text = "<|plamo:fim_prefix|>", .special = TOKENIZER_FIM_PREFIX},
    {.text = "<|fim_suffix|>",    .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<fim-suffix>",      .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<fim_suffix>",      .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<｜fim▁hole｜>",    .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<SUF>",             .special = TOKENIZER_FIM_SUFFIX},
    {.text = "▁<SUF>",            .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<|code_suffix|>",   .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<|suffix|>",        .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<|plamo:fim_suffix|>", .special = TOKENIZER_FIM_SUFFIX},
    {.text = "<|fim_middle|>",    .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<fim-middle>",      .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<fim_middle>",      .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<｜fim▁end｜>",     .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<MID>",             .special = TOKENIZER_FIM_MIDDLE},
    {.text = "▁<MID>",            .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<|code_middle|>",   .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<|middle|>",        .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<|plamo:fim_middle|>", .special = TOKENIZER_FIM_MIDDLE},
    {.text = "<|fim_pad|>",       .special = TOKENIZER_FIM_PAD},
    {.text = "<fim-pad>",         .special = TOKENIZER_FIM_PAD},
    {.text = "<fim_pad>",         .special = TOKENIZER_FIM_PAD},
    {.text = "<PAD>",             .special = TOKENIZER_FIM_PAD},
    {.text = "[PAD]",             .special = TOKENIZER_FIM_PAD},
    {.text = "<|fim_repo|>",      .special = TOKENIZER_FIM_REPOSITORY},
    {.text = "<|repo_name|>",     .special = TOKENIZER_FIM_REPOSITORY},
    {.text = "<fim-repo>",        .special = TOKENIZER_FIM_REPOSITORY},
    {.text = "<REPO>",            .special = TOKENIZER_FIM_REPOSITORY},
    {.text = "<reponame>",        .special = TOKENIZER_FIM_REPOSITORY},
    {.text = "<|file_sep|>",      .special = TOKENIZER_FIM_FILE},
    {.text = "<|plamo:file_separator|>", .special = TOKENIZER_FIM_FILE},
};

/* Keys of ids. When a role has several keys, older files have the later ones. */
static const struct {
    const char *key;
    enum tokenizer_special special;
} keys[] = {
    {"tokenizer.ggml.bos_token_id",     TOKENIZER_BOS},
    {"tokenizer.ggml.eos_token_id",     TOKENIZER_EOS},
    {"tokenizer.ggml.eot_token_id",     TOKENIZER_EOT},
    {"tokenizer.ggml.eom_token_id",     TOKENIZER_EOM},
    {"tokenizer.ggml.unknown_token_id", TOKENIZER_UNKNOWN},
    {"tokenizer.ggml.padding_token_id", TOKENIZER_PAD},
    {"tokenizer.ggml.seperator_token_id", TOKENIZER_SEPARATOR}, /* as files spell it */
    {"tokenizer.ggml.mask_token_id",    TOKENIZER_MASK},
    {"tokenizer.ggml.fim_pre_token_id", TOKENIZER_FIM_PREFIX},
    {"tokenizer.ggml.fim_suf_token_id", TOKENIZER_FIM_SUFFIX},
    {"tokenizer.ggml.fim_mid_token_id", TOKENIZER_FIM_MIDDLE},
    {"tokenizer.ggml.fim_pad_token_id", TOKENIZER_FIM_PAD},
    {"tokenizer.ggml.fim_rep_token_id", TOKENIZER_FIM_REPOSITORY},
    {"tokenizer.ggml.fim_sep_token_id", TOKENIZER_FIM_FILE},
    {"tokenizer.ggml.prefix_token_id",  TOKENIZER_FIM_PREFIX},
    {"tokenizer.ggml.suffix_token_id",  TOKENIZER_FIM_SUFFIX},
    {"tokenizer.ggml.middle_token_id",  TOKENIZER_FIM_MIDDLE},
};
/* clang-format on */

#define N_ROLES (sizeof(roles) / sizeof(roles[0]))
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static int32_t find(const struct tokenizer *t, const char *text)
{
    return vocabulary_find(&t->vocabulary, span_of(text));
}

static void set_kind(struct tokenizer *t, int32_t id, enum vocab_token_kind kind)
{
    if (id != TOKENIZER_NONE)
        t->vocabulary.tokens[id].kind = (uint8_t)kind;
}

static void set_shown(struct tokenizer *t, int32_t id)
{
    if (id != TOKENIZER_NONE)
        t->vocabulary.tokens[id].is_shown = true;
}

static void set_end(struct tokenizer *t, int32_t id, bool ends)
{
    if (id != TOKENIZER_NONE)
        t->vocabulary.tokens[id].is_end = ends;
}

/* An id beyond the vocabulary counts as none. */
static bool read_keys(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    t->special[TOKENIZER_BOS] = t->kind->bos;
    t->special[TOKENIZER_EOS] = t->kind->eos;
    t->special[TOKENIZER_UNKNOWN] = t->kind->unknown;
    t->special[TOKENIZER_SEPARATOR] = t->kind->separator;
    t->special[TOKENIZER_PAD] = t->kind->padding;
    t->special[TOKENIZER_MASK] = t->kind->mask;
    for (size_t i = 0; i < N_KEYS; i++) {
        uint64_t id = UINT64_MAX;
        if (checkpoint_get_u64(c, keys[i].key, &id, err) == CHECKPOINT_WRONG)
            return false;
        if (id < t->vocabulary.n)
            t->special[keys[i].special] = (int32_t)id;
    }
    for (size_t i = 0; i < TOKENIZER_SPECIALS; i++)
        if (t->special[i] >= 0 && (size_t)t->special[i] >= t->vocabulary.n)
            t->special[i] = TOKENIZER_NONE;
    return true;
}

/* Gives a role that no key names to the token with the first of the role's texts that the vocabulary has, and marks every
 * token whose text ends an answer. Where the file tells all of its marks, a word with such a text is a word. */
static void find_roles(struct tokenizer *t, bool told)
{
    for (size_t i = 0; i < N_ROLES; i++) {
        int32_t id = find(t, roles[i].text);
        if (told && id != TOKENIZER_NONE && t->vocabulary.tokens[id].kind == TOKEN_NORMAL)
            continue;
        bool named = roles[i].special == TOKENIZER_SPECIALS || t->special[roles[i].special] != TOKENIZER_NONE;
        if (id == TOKENIZER_NONE || (named && !roles[i].ends))
            continue;
        if (!named)
            t->special[roles[i].special] = id;
        set_kind(t, id, TOKEN_CONTROL);
        set_end(t, id, roles[i].ends);
    }
}

static void find_ends(struct tokenizer *t)
{
    static const enum tokenizer_special ends[] = {TOKENIZER_EOS, TOKENIZER_EOT, TOKENIZER_EOM,
        TOKENIZER_FIM_PAD, TOKENIZER_FIM_REPOSITORY, TOKENIZER_FIM_FILE};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        set_end(t, t->special[ends[i]], true);
}

/* Corrects families in which a text of the table has another meaning. In the reference the marks that separate parts of an
 * answer are recognized in any text. Here they are marks that a message cannot forge, and they are shown in answers. */
static void mend_ends(struct tokenizer *t)
{
    static const char *const shown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        set_shown(t, find(t, shown[i]));

    int32_t end = find(t, "<|end|>"), close = find(t, "</s>");
    bool returns = find(t, "<|return|>") >= 0, flushes = find(t, "<|flush|>") >= 0;
    bool calls = find(t, "<|call|>") >= 0 || find(t, "<|calls|>") >= 0;
    if (calls && (returns || flushes)) { /* <|end|> ends a part of an answer there, not the answer */
        set_shown(t, end);
        set_end(t, end, false);
    }
    if (find(t, "<|tool_response>") >= 0 && close >= 0) {
        set_kind(t, close, TOKEN_NORMAL);
        set_end(t, close, false);
    }
}

/* Tokens to which the white space beside them belongs. No key says so, so names decide, as in the reference. */
static const struct {
    const char *key, *holds; /* in lower case */
    const char *mark; /* white space in front belongs to it; NULL: to each mark the white space behind it */
} strips[] = {
    {"tokenizer.ggml.pre", "jina-v2-de", "<mask>"},
    {"tokenizer.ggml.pre", "jina-v2-es", "<mask>"},
    {"tokenizer.ggml.pre", "jina-v2-code", "<mask>"},
    {"general.architecture", "nomic-bert-moe", "<mask>"},
    {"general.architecture", "jina-bert-v3", "<mask>"},
    {"general.name", "phi-3", NULL},
    {"general.name", "phi3", NULL},
    {"general.name", "modern-bert", "[MASK]"},
};

static void strip_behind_marks(struct tokenizer *t)
{
    for (size_t i = 0; i < t->vocabulary.n; i++) {
        struct vocab_token *token = &t->vocabulary.tokens[i];
        struct span text = vocabulary_text(&t->vocabulary, i);
        bool mark = token->kind == TOKEN_CONTROL || token->kind == TOKEN_USER_DEFINED ||
                    token->kind == TOKEN_UNKNOWN || span_is(text, "</s>");
        token->strip_right =
            mark && !span_is(text, "<unk>") && !span_is(text, "<s>") && !span_is(text, "<|endoftext|>");
    }
}

/* The tokens that a key lists; false where there is no such key. */
static bool mark_listed(
    struct tokenizer *t, const struct checkpoint *c, const char *key, void (*mark)(struct vocab_token *token))
{
    const struct checkpoint_value *ids = checkpoint_find(c, key);
    uint64_t id;
    for (size_t i = 0; ids && ids->is_array && i < ids->count; i++)
        if (checkpoint_item_u64(ids, i, &id) && id < t->vocabulary.n)
            mark(&t->vocabulary.tokens[id]);
    return ids != NULL;
}

static void mark_left(struct vocab_token *token)
{
    token->strip_left = true;
}

static void mark_right(struct vocab_token *token)
{
    token->strip_right = true;
}

static void mark_end(struct vocab_token *token)
{
    token->is_end = true;
}

/* The first row that applies is the only one; none does where keys list the tokens. */
static void find_strips(struct tokenizer *t, const struct checkpoint *c)
{
    const bool left = mark_listed(t, c, "tokenizer.ggml.lstrip_token_ids", mark_left);
    const bool right = mark_listed(t, c, "tokenizer.ggml.rstrip_token_ids", mark_right);
    if (left || right)
        return;
    for (size_t i = 0; i < sizeof(strips) / sizeof(strips[0]); i++) {
        struct span name = {NULL, 0};
        struct error ignored = {0};
        if (checkpoint_get_text(c, strips[i].key, &name, &ignored) != CHECKPOINT_GOT ||
            !text_holds(name, strips[i].holds))
            continue;
        int32_t mark = strips[i].mark ? find(t, strips[i].mark) : TOKENIZER_NONE;
        if (!strips[i].mark)
            strip_behind_marks(t);
        else if (mark != TOKENIZER_NONE)
            t->vocabulary.tokens[mark].strip_left = true;
        return;
    }
}

/* An id beyond the vocabulary counts as none. */
static bool read_suppressed(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    static const char key[] = "tokenizer.ggml.suppress_tokens";
    const struct checkpoint_value *ids = checkpoint_find(c, key);
    if (!ids)
        return true;
    if (!checkpoint_is_array_of(ids, CHECKPOINT_SIGNED) && !checkpoint_is_array_of(ids, CHECKPOINT_UNSIGNED))
        return error_set(err, "key \"%s\" is not an array of integers", key);
    t->suppressed = malloc((ids->count + 1) * sizeof(*t->suppressed));
    if (!t->suppressed)
        return error_no_memory(err, "the suppressed tokens");
    for (size_t i = 0; i < ids->count; i++) {
        uint64_t id;
        if (checkpoint_item_u64(ids, i, &id) && id < t->vocabulary.n)
            t->suppressed[t->n_suppressed++] = (int32_t)id;
    }
    return true;
}

bool tokenizer_read_roles(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    if (!read_keys(t, c, err) || !read_suppressed(t, c, err))
        return false;
    find_roles(t, checkpoint_find(c, "tokenizer.ggml.lstrip_token_ids") != NULL);
    find_ends(t);
    mend_ends(t);
    mark_listed(t, c, "tokenizer.ggml.end_token_ids", mark_end);
    find_strips(t, c);
    return true;
}
