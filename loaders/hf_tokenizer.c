/* hf_tokenizer.c - tokenizer.json to the keys of a GGUF file's vocabulary.
 *
 * The file describes a pipeline: a normalizer, what cuts a text into words, a model that makes tokens of them, and what is
 * added around. The engine has each pipeline that models use as a kind, with few settings. So a file's parts are compared
 * with what a kind does, and a part that no kind does is refused.
 *
 * Source of the format: Hugging Face's tokenizers.
 */
#include "hf_private.h"

#include <stdlib.h>
#include <string.h>

bool hf_refuse_tokenizer(const char *name, const char *what, struct error *err)
{
    return error_set(err, "tokenizer.json: field \"%s\" %s", name, what);
}

const struct value *hf_member(struct value map, const char *name)
{
    const struct value *v = value_find(map, span_of(name));
    return v && v->kind != VALUE_NULL ? v : NULL;
}

bool hf_is_type(const struct value *v, const char *type)
{
    const struct value *name = v ? hf_member(*v, "type") : NULL;
    return name && value_is(*name, type);
}

bool hf_is_set(struct value map, const char *name)
{
    const struct value *v = hf_member(map, name);
    return v && v->kind == VALUE_BOOL && v->boolean;
}

/* A table as it is written; empty where it is missing. */
static struct span table_of(const struct hf_tokenizer *t, const char *name)
{
    const struct value *v = hf_member(t->model, name);
    return v && v->kind == VALUE_STRING ? value_span(*v) : (struct span){0};
}

static bool check_model(const struct hf_tokenizer *t, struct error *err)
{
    static const char *const empty[] = {"dropout", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        const struct value *v = hf_member(t->model, empty[i]);
        if (v && !value_is(*v, "") && !(v->kind == VALUE_FLOAT && v->real == 0))
            return error_set(
                err, "tokenizer.json: field \"model.%s\" is set, which berth does not run", empty[i]);
    }
    return t->vocab.at || hf_refuse_tokenizer("model.vocab", "is missing", err);
}

static bool read_parts(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    return check_model(t, err) && hf_read_words(m, t, err) &&
           hf_add_text(m, "tokenizer.ggml.model", span_of(t->kind), err) && hf_read_vocabulary(m, t, err) &&
           hf_read_merges(m, t, err) && hf_read_special(m, t, err);
}

bool hf_read_tokenizer(struct hf_model *m, struct error *err)
{
    struct hf_tokenizer t = {0};
    bool there;
    if (!hf_json_file(m, "tokenizer.json", &t.file, &there, err))
        return false;
    if (!there)
        return error_set(err, "tokenizer.json: is missing; berth reads the tokenizer from it alone");
    const struct value *model = hf_member(t.file, "model");
    if (!model || model->kind != VALUE_MAP)
        return hf_refuse_tokenizer("model", "is missing, or no object", err);
    t.model = *model;
    t.vocab = table_of(&t, "vocab");
    t.merges = table_of(&t, "merges");
    const bool good = read_parts(m, &t, err);
    free(t.tokens);
    return good;
}
