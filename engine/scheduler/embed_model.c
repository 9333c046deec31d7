/* embed_model.c - opens a model that makes vectors of texts: an encoder, or a decoder whose file names a pooling.
 *
 * It is a text model with other operations: its tokenizer, its context and its decoder are those of a text model.
 */
#include "scheduler_private.h"

#include <stdio.h>

/* The numbers of the key pooling_type. */
static const enum pooling by_number[] = {POOLING_NONE, POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_RANK};

static struct span architecture_of(const struct checkpoint *c)
{
    struct error ignored = {0};
    struct span name = {NULL, 0};
    checkpoint_get_text(c, "general.architecture", &name, &ignored);
    return name;
}

/* What the file says: POOLING_UNKNOWN where it says nothing that is known. */
static enum pooling pooling_of_file(const struct checkpoint *c)
{
    char key[96];
    struct error ignored = {0};
    struct span name = architecture_of(c);
    uint64_t number = UINT64_MAX;
    snprintf(key, sizeof(key), "%.*s.pooling_type", (int)name.size, (const char *)name.at);
    checkpoint_get_u64(c, key, &number, &ignored);
    return number < sizeof(by_number) / sizeof(by_number[0]) ? by_number[number] : POOLING_UNKNOWN;
}

static bool pools(enum pooling p)
{
    return p != POOLING_UNKNOWN && p != POOLING_NONE && p != POOLING_RANK;
}

static bool claims(const struct loaded *l, const struct served_model_options *o)
{
    const struct checkpoint *c = l->checkpoint;
    return c && (pools(o->pooling) || decoder_encodes(architecture_of(c)) || pools(pooling_of_file(c)));
}

bool embed_choose_pooling(struct text_model *m, const struct served_model_options *o, struct error *err)
{
    enum pooling said = pooling_of_file(m->served.loaded->checkpoint);
    m->pooling = o->pooling != POOLING_UNKNOWN ? o->pooling : said;
    if (pools(m->pooling))
        return true;
    if (said == POOLING_RANK)
        return error_set(err, "the model is a reranker, which berth does not serve yet");
    return error_set(err,
        "the file %s how the vectors of tokens become that of a text; tell it by --pooling ID=mean, cls, last, "
        "weighted-mean or max, as the model was trained",
        said == POOLING_NONE ? "says that there is no pooling, so that it does not tell" : "does not tell");
}

static struct served_model *open_embedding(
    struct engine *e, struct loaded *l, const struct served_model_options *o, struct error *err)
{
    return text_model_open(&text_embedding, e, l, o, err);
}

static void describe(const struct served_model *served, struct served_description *out)
{
    const struct text_model *m = (const struct text_model *)(const void *)served;
    out->answers = m->decoder != NULL;
    out->lacks = !m->decoder ? &m->missing[TEXT_DECODER] : !m->tokenizer ? &m->missing[TEXT_TOKENIZER] : NULL;
    out->context = m->context;
    if (m->decoder) {
        out->pooling = m->pooling;
        out->n_embd = decoder_n_embd(m->decoder);
    }
}

static enum result submit(struct served_model *served, struct job *j, struct error *err)
{
    return engine_submit(served->engine, j, err);
}

const struct model_operations text_embedding = {
    .kind = SERVED_EMBED,
    .claims = claims,
    .open = open_embedding,
    .describe = describe,
    .close = text_model_close,
    .submit = submit,
};
