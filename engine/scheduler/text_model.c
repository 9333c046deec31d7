/* text_model.c - makes of a loaded file what can be made of it, and says of the rest why not. */
#include "scheduler_private.h"

#include <stdlib.h>
#include <string.h>

static void read_tokenizer(struct text_model *m, const struct gguf *g, const struct text_model_options *o)
{
    if (o->no_tokenizer)
        error_set(&m->no_tokenizer, "the tokenizer was left out");
    else
        m->tokenizer = tokenizer_new(g, &m->no_tokenizer);
}

static void read_template(struct text_model *m, const struct gguf *g, const struct text_model_options *o)
{
    if (!o->chat_template.at) {
        chat_template_read(&m->chat, g, &m->no_chat);
        return;
    }
    /* The tokens that the file names are wanted whatever becomes of its own template. */
    struct error ignored = {0};
    chat_template_read(&m->chat, g, &ignored);
    template_free(m->chat.parsed);
    m->chat.parsed = template_parse(o->chat_template, &m->no_chat);
    if (!m->chat.parsed)
        error_prefix(&m->no_chat, "the chat template");
}

/* False when memory is short. */
static bool read_decoder(struct text_model *m, struct engine *e, const struct gguf_model *g,
    const struct text_model_options *o, struct error *err)
{
    m->decoder = decoder_new(g, o->as_float, &m->no_decoder);
    if (!m->decoder)
        return true;
    size_t n_layers, context = decoder_n_ctx(m->decoder);
    const struct kv_layer *layers = decoder_kv_layers(m->decoder, &n_layers);
    m->context = o->context > 0 && o->context < context ? o->context : context;
    if (m->context < context && !decoder_limit_context(m->decoder, m->context, err))
        return false;
    m->cache = kv_cache_new(engine_budget(e), engine_options_of(e)->kv_type, layers, n_layers);
    m->scheduling = m->cache ? schedule_new(e, m) : NULL;
    return m->scheduling || error_set(err, "memory is short");
}

struct text_model *text_model_new(
    struct engine *e, struct loaded *l, const struct text_model_options *o, struct error *err)
{
    if (l->loader != &loader_gguf) {
        error_set(err, "is no GGUF file");
        return NULL;
    }
    struct text_model *m = calloc(1, sizeof(*m));
    if (!m) {
        error_set(err, "memory is short");
        return NULL;
    }
    const struct gguf_model *g = l->parsed;
    m->loaded = l;
    m->id = o->id ? o->id : "";
    m->engine = e;
    read_tokenizer(m, g->files[0], o);
    read_template(m, g->files[0], o);
    if (read_decoder(m, e, g, o, err))
        return m;
    text_model_free(m);
    return NULL;
}

void text_model_free(struct text_model *m)
{
    if (!m)
        return;
    if (m->scheduling)
        schedule_leave(m->scheduling, m->engine);
    kv_cache_free(m->cache);
    decoder_free(m->decoder);
    chat_template_release(&m->chat);
    tokenizer_free(m->tokenizer);
    free(m);
}

bool text_model_chat_ids(const struct text_model *m, const struct template_text *prompt,
    struct tokenizer_ids *ids, struct error *err)
{
    /* Many templates write the token themselves; then it must not come twice. What the
     * file wants behind a text does not belong behind an open turn, so add_special is no help. */
    struct span text = {(const uint8_t *)prompt->text, prompt->size};
    struct tokenizer_text in = {.text = text, .parse_special = true, .trusted = prompt->marks};
    int32_t bos = tokenizer_special(m->tokenizer, TOKENIZER_BOS);
    if (!tokenizer_encode(m->tokenizer, &in, ids, err))
        return false;
    if (!tokenizer_adds_bos(m->tokenizer) || bos == TOKENIZER_NONE || (ids->n > 0 && ids->at[0] == bos))
        return true;
    int32_t *more = realloc(ids->at, (ids->n + 1) * sizeof(*more));
    if (!more)
        return error_set(err, "memory is short");
    memmove(more + 1, more, ids->n * sizeof(*more));
    more[0] = bos;
    ids->at = more;
    ids->room = ++ids->n;
    return true;
}

void text_model_lose(struct text_model *m, const struct error *reason)
{
    if (atomic_exchange(&m->losing, true))
        return;
    m->lost_reason = *reason;
    atomic_store_explicit(&m->lost, true, memory_order_release);
}
