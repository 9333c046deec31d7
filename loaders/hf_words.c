/* hf_words.c - normalizers and pre-tokenizers of tokenizer.json, and the kinds of tokenizers that do the same.
 *
 * For byte-level BPE the regular expressions choose one of the names that tokenizer.ggml.pre has. They are compared as
 * text: what a regex matches is not computed. The names and what they stand for are in engine/tokenizer/pretokenizers.
 */
#include "hf_private.h"

#include <stdio.h>
#include <string.h>

#define MARK "\xe2\x96\x81" /* U+2581 */

/* ---- lists of steps ---- */

/* Step `i` of a normalizer or a pre-tokenizer, which is a sequence or one step; NULL behind the last one. */
static const struct value *step_at(const struct value *v, const char *list, size_t i)
{
    if (!hf_is_type(v, "Sequence"))
        return i == 0 ? v : NULL;
    const struct value *steps = hf_member(*v, list);
    return steps && steps->kind == VALUE_LIST && i < steps->list->n ? &steps->list->items[i] : NULL;
}

static size_t count_steps(const struct value *v, const char *list)
{
    size_t n = 0;
    while (step_at(v, list, n))
        n++;
    return n;
}

/* The pattern of a step, by its kind: "Regex" or "String". */
static struct span pattern_of(const struct value *step, const char *kind)
{
    const struct value *pattern = step ? hf_member(*step, "pattern") : NULL;
    const struct value *text = pattern ? hf_member(*pattern, kind) : NULL;
    return text && text->kind == VALUE_STRING ? value_span(*text) : (struct span){0};
}

static bool member_is(const struct value *v, const char *name, const char *text)
{
    const struct value *found = v ? hf_member(*v, name) : NULL;
    return found && value_is(*found, text);
}

static bool refuse_step(const char *field, const struct value *step, struct error *err)
{
    char shown[HF_SHOWN];
    const struct value *type = step ? hf_member(*step, "type") : NULL;
    text_escape(
        shown, sizeof(shown), type && type->kind == VALUE_STRING ? value_span(*type) : span_of("nothing"));
    return error_set(err,
        "tokenizer.json: field \"%s\" has %s where berth runs no such step, or not with these settings",
        field, shown);
}

/* ---- byte-level BPE ---- */

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SPACES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SYMBOLS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"

/* Each step as text, one behind the other: a regex stands for itself, others are named in braces. */
/* clang-format off */
static const struct {
    const char *steps;
    const char *name; /* in tokenizer.ggml.pre */
    const char *whole; /* the same where words that are tokens are not merged ("ignore_merges"); NULL: there is none */
} words[] = {
    {"{ByteLevel}", "gpt-2", NULL},
    {"{Digits}{ByteLevel}", "starcoder", NULL},
    {"{Punctuation}{ByteLevel}{Numbers}[0-9][0-9][0-9]", "falcon", NULL},
    {CONTRACTION "|" LEAD "\\p{L}+|\\p{N}{1,3}" SYMBOLS SPACES, "dbrx", "llama-bpe"},
    {CONTRACTION "|" LEAD "\\p{L}+|\\p{N}" SYMBOLS SPACES, "qwen2", NULL},
    {CONTRACTION "|" LEAD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES, "qwen35", NULL},
    {LEAD UPPER "*" LOWER "+" CONTRACTION "?|" LEAD UPPER "+" LOWER "*" CONTRACTION
     "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES, "gpt-4o", NULL},
    {LEAD UPPER "*" LOWER "+|" LEAD UPPER "+" LOWER "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES, NULL, "tekken"},
    {"\\p{N}{1,3}" "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"
     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*"
     SPACES, "deepseek-v3", NULL},
};
/* clang-format on */

struct steps {
    char text[1024];
    size_t size;
};

static bool add_step(struct steps *s, struct span text)
{
    if (text.size == 0 || s->size + text.size >= sizeof(s->text))
        return false;
    memcpy(s->text + s->size, text.at, text.size);
    s->size += text.size;
    s->text[s->size] = '\0';
    return true;
}

/* A regex whose matches are pieces, and so is what lies between them. */
static bool add_split(struct steps *s, const struct value *step)
{
    const bool isolated = member_is(step, "behavior", "Isolated") && !hf_is_set(*step, "invert");
    const bool inverted = member_is(step, "behavior", "Removed") && hf_is_set(*step, "invert");
    return (isolated || inverted) && add_step(s, pattern_of(step, "Regex"));
}

static bool add_words(struct steps *s, const struct value *step, size_t i)
{
    if (hf_is_type(step, "Split"))
        return add_split(s, step);
    if (hf_is_type(step, "Digits"))
        return add_step(s, span_of(hf_is_set(*step, "individual_digits") ? "{Digits}" : "{Numbers}"));
    if (hf_is_type(step, "Punctuation"))
        return member_is(step, "behavior", "Contiguous") && add_step(s, span_of("{Punctuation}"));
    if (!hf_is_type(step, "ByteLevel") || hf_is_set(*step, "add_prefix_space"))
        return false;
    const struct value *regex = hf_member(*step, "use_regex");
    const bool cuts = !regex || regex->kind != VALUE_BOOL || regex->boolean;
    return cuts ? add_step(s, span_of("{ByteLevel}")) : i > 0;
}

/* Whether bytes become characters, which all of this kind do in some step. */
static bool is_byte_level(const struct value *pre)
{
    for (size_t i = 0; step_at(pre, "pretokenizers", i); i++)
        if (hf_is_type(step_at(pre, "pretokenizers", i), "ByteLevel"))
            return true;
    return false;
}

static bool name_words(
    struct hf_model *m, const struct hf_tokenizer *t, const struct steps *s, struct error *err)
{
    const bool whole = hf_is_set(t->model, "ignore_merges");
    char shown[400];
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *name = whole ? words[i].whole : words[i].name;
        if (name && strcmp(words[i].steps, s->text) == 0)
            return hf_add_text(m, "tokenizer.ggml.pre", span_of(name), err);
    }
    text_escape(shown, sizeof(shown), span_of(s->text));
    return error_set(err,
        "tokenizer.json: field \"pre_tokenizer\" cuts words in a way that berth does not know%s: %s",
        whole ? " with ignore_merges" : "", shown);
}

/* A text in the composed form is left as it is; another one is not composed. */
static bool check_composition(struct hf_model *m, const struct value *normalizer, struct error *err)
{
    for (size_t i = 0; step_at(normalizer, "normalizers", i); i++)
        if (!hf_is_type(step_at(normalizer, "normalizers", i), "NFC"))
            return refuse_step("normalizer", step_at(normalizer, "normalizers", i), err);
    return count_steps(normalizer, "normalizers") == 0 ||
           hf_add_bool(m, "tokenizer.ggml.normalizer.nfc", true, err);
}

static bool read_byte_level(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    const struct value *pre = hf_member(t->file, "pre_tokenizer");
    struct steps s = {.size = 0};
    t->kind = "gpt2";
    if (!check_composition(m, hf_member(t->file, "normalizer"), err))
        return false;
    const struct value *step;
    for (size_t i = 0; (step = step_at(pre, "pretokenizers", i)); i++)
        if (!add_words(&s, step, i))
            return refuse_step("pre_tokenizer", step, err);
    return name_words(m, t, &s, err);
}

/* ---- SentencePiece's BPE ---- */

enum prefix { PREFIX_NEVER, PREFIX_ALWAYS, PREFIX_FIRST, PREFIX_UNKNOWN };

static enum prefix prefix_of(const struct value *metaspace)
{
    static const char *const schemes[] = {
        [PREFIX_NEVER] = "never", [PREFIX_ALWAYS] = "always", [PREFIX_FIRST] = "first"};
    const struct value *scheme = hf_member(*metaspace, "prepend_scheme"),
                       *old = hf_member(*metaspace, "add_prefix_space");
    for (size_t i = 0; scheme && i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (value_is(*scheme, schemes[i]))
            return (enum prefix)i;
    if (scheme)
        return PREFIX_UNKNOWN;
    return old && old->kind == VALUE_BOOL && !old->boolean ? PREFIX_NEVER : PREFIX_ALWAYS;
}

/* Steps that replace spaces by U+2581, and put one in front. */
static bool read_normalizer(
    const struct value *normalizer, bool *replaces, enum prefix *prefix, struct error *err)
{
    const struct value *step;
    for (size_t i = 0; (step = step_at(normalizer, "normalizers", i)); i++) {
        if (hf_is_type(step, "Prepend") && member_is(step, "prepend", MARK))
            *prefix = PREFIX_ALWAYS;
        else if (hf_is_type(step, "Replace") && span_is(pattern_of(step, "String"), " ") &&
                 member_is(step, "content", MARK))
            *replaces = true;
        else
            return refuse_step("normalizer", step, err);
    }
    return true;
}

/* No space is left where a normalizer has replaced them, so to cut there does nothing. */
static bool read_metaspace(const struct value *pre, bool *replaces, enum prefix *prefix, struct error *err)
{
    if (!pre || (*replaces && hf_is_type(pre, "Split") && span_is(pattern_of(pre, "String"), " ")))
        return true;
    if (!hf_is_type(pre, "Metaspace") || !member_is(pre, "replacement", MARK))
        return refuse_step("pre_tokenizer", pre, err);
    *replaces = true;
    *prefix = prefix_of(pre);
    return *prefix != PREFIX_UNKNOWN || refuse_step("pre_tokenizer", pre, err);
}

static bool read_sentencepiece(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    bool replaces = false;
    enum prefix prefix = PREFIX_NEVER;
    t->kind = "llama";
    t->sentencepiece = true;
    if (!read_normalizer(hf_member(t->file, "normalizer"), &replaces, &prefix, err) ||
        !read_metaspace(hf_member(t->file, "pre_tokenizer"), &replaces, &prefix, err))
        return false;
    if (!replaces)
        return hf_refuse_tokenizer("pre_tokenizer", "is missing, and no normalizer replaces spaces", err);
    if (hf_is_set(t->model, "ignore_merges"))
        return hf_refuse_tokenizer(
            "model.ignore_merges", "is true, which berth does not run with this kind", err);
    return hf_add_bool(m, "tokenizer.ggml.add_space_prefix", prefix != PREFIX_NEVER, err) &&
           (prefix != PREFIX_FIRST || hf_add_bool(m, "tokenizer.ggml.space_prefix_first", true, err));
}

/* ---- WordPiece ---- */

static bool read_wordpiece(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    const struct value *normalizer = hf_member(t->file, "normalizer"),
                       *pre = hf_member(t->file, "pre_tokenizer");
    const struct value *prefix = hf_member(t->model, "continuing_subword_prefix");
    const struct value *most = hf_member(t->model, "max_input_chars_per_word");
    t->kind = "bert";
    t->wordpiece = true;
    if (!hf_is_type(normalizer, "BertNormalizer"))
        return refuse_step("normalizer", normalizer, err);
    if (!hf_is_type(pre, "BertPreTokenizer"))
        return refuse_step("pre_tokenizer", pre, err);
    if (!hf_is_set(*normalizer, "clean_text") || !hf_is_set(*normalizer, "handle_chinese_chars"))
        return hf_refuse_tokenizer(
            "normalizer", "does not clean texts or cut Chinese characters, which berth always does", err);
    if (!prefix || !value_is(*prefix, "##"))
        return hf_refuse_tokenizer("model.continuing_subword_prefix", "is not \"##\"", err);
    const bool lower = hf_is_set(*normalizer, "lowercase");
    const struct value *strips = hf_member(*normalizer, "strip_accents");
    const uint64_t characters =
        most && most->kind == VALUE_INTEGER && most->integer > 0 ? (uint64_t)most->integer : 100;
    return hf_add_bool(m, "tokenizer.ggml.normalizer.lowercase", lower, err) &&
           hf_add_bool(m, "tokenizer.ggml.normalizer.strip_accents",
               strips ? strips->kind == VALUE_BOOL && strips->boolean : lower, err) &&
           hf_add_bool(m, "tokenizer.ggml.bert_normalizer", true, err) &&
           hf_add_whole(m, "tokenizer.ggml.max_word_characters", characters, err);
}

/* ---- the whole ---- */

bool hf_read_words(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    char shown[HF_SHOWN];
    const struct value *type = hf_member(t->model, "type");
    const bool bpe = type ? value_is(*type, "BPE") : t->merges.at != NULL;
    if (bpe && is_byte_level(hf_member(t->file, "pre_tokenizer")))
        return read_byte_level(m, t, err);
    if (bpe && hf_is_set(t->model, "byte_fallback"))
        return read_sentencepiece(m, t, err);
    if (type && value_is(*type, "WordPiece"))
        return read_wordpiece(m, t, err);
    text_escape(
        shown, sizeof(shown), type && type->kind == VALUE_STRING ? value_span(*type) : span_of("nothing"));
    return error_set(err,
        "tokenizer.json: field \"model.type\" is %s; berth runs byte-level BPE, BPE with byte_fallback, and WordPiece",
        shown);
}
