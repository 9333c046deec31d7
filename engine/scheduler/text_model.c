/* text_model.c - opens a language model: reads each of its parts, and keeps the reason for each that is missing. */
#include "scheduler_private.h"

#include "berth/engine/template/chat.h"

#include <stdlib.h>
#include <string.h>

static struct text_model *cast(struct served_model *m)
{
    return (struct text_model *)(void *)m;
}

struct text_model *text_model_of(struct served_model *m)
{
    return m && (m->operations == &text_generation || m->operations == &text_embedding) ? cast(m) : NULL;
}

struct served_model *text_model_served(struct text_model *m)
{
    return &m->served;
}

/* ---- opening ---- */

static bool claims(const struct loaded *l, const struct served_model_options *o)
{
    (void)o;
    return l->checkpoint != NULL;
}

static void read_tokenizer(
    struct text_model *m, const struct checkpoint *c, const struct served_model_options *o)
{
    if (o->no_tokenizer)
        error_set(&m->missing[TEXT_TOKENIZER], "the tokenizer was left out");
    else
        m->tokenizer = tokenizer_new(c, &m->missing[TEXT_TOKENIZER]);
}

static void read_template(
    struct text_model *m, const struct checkpoint *c, const struct served_model_options *o)
{
    struct error *missing = &m->missing[TEXT_CHAT];
    if (!o->chat_template.at) {
        struct span other = m->defaults.other_template;
        if (!chat_template_read(&m->chat, c, missing) && other.size &&
            !checkpoint_find(c, "tokenizer.chat_template"))
            error_set(missing,
                "the file has no chat template, and the model's own is a %.*s, which berth does not run",
                (int)other.size, (const char *)other.at);
        return;
    }
    /* The tokens that the file names are needed even when its own template fails or is replaced. */
    struct error ignored = {0};
    chat_template_read(&m->chat, c, &ignored);
    chat_template_replace(&m->chat, o->chat_template, missing);
}

/* Whether the decoder can do what the model's kind does. */
static bool decoder_fits(struct text_model *m, const struct served_model_options *o)
{
    struct error *missing = &m->missing[TEXT_DECODER];
    if (m->served.operations->kind == SERVED_EMBED)
        return embed_choose_pooling(m, o, missing);
    return decoder_is_causal(m->decoder) ||
           error_set(missing, "the model is not causal: berth generates one token after the other");
}

/* Keys and values of a text that is computed at once are not kept, so their type saves nothing. */
static enum attention_type kv_type_of(const struct text_model *m)
{
    return decoder_is_causal(m->decoder) ? engine_options_of(m->served.engine)->kv_type : ATTENTION_F32;
}

/* False when memory is short. */
static bool read_decoder(
    struct text_model *m, const struct checkpoint *c, const struct served_model_options *o, struct error *err)
{
    struct engine *e = m->served.engine;
    m->decoder = decoder_new(c, o->as_float, &m->missing[TEXT_DECODER]);
    if (!m->decoder)
        return true;
    if (!decoder_fits(m, o)) {
        decoder_free(m->decoder);
        m->decoder = NULL;
        return true;
    }
    size_t n_layers, context = decoder_n_ctx(m->decoder);
    const struct layer_state *layers = decoder_layer_states(m->decoder, &n_layers);
    m->context = o->context > 0 && o->context < context ? o->context : context;
    if (m->context < context && !decoder_limit_context(m->decoder, m->context, err))
        return false;
    bool embeds = m->served.operations->kind == SERVED_EMBED;
    m->cache = kv_cache_new(engine_budget(e), kv_type_of(m), layers, n_layers);
    m->schedule = m->cache ? schedule_new(e, m, embeds ? &schedule_embed : &schedule_generate) : NULL;
    return m->schedule || error_set(err, "memory is short");
}

void text_model_close(struct served_model *served)
{
    struct text_model *m = cast(served);
    if (m->schedule)
        schedule_leave(m->schedule, served->engine);
    kv_cache_free(m->cache);
    decoder_free(m->decoder);
    chat_template_release(&m->chat);
    tokenizer_guard_free(atomic_load(&m->guard));
    token_trie_free(atomic_load(&m->trie));
    kept_grammars_free(m->grammars);
    tokenizer_free(m->tokenizer);
    free(m);
}

struct served_model *text_model_open(const struct model_operations *operations, struct engine *e,
    struct loaded *l, const struct served_model_options *o, struct error *err)
{
    struct text_model *m = calloc(1, sizeof(*m));
    if (!m) {
        error_set(err, "memory is short");
        return NULL;
    }
    served_model_init(&m->served, operations, e, l, o);
    m->defaults = defaults_of_checkpoint(l->checkpoint);
    read_tokenizer(m, l->checkpoint, o);
    read_template(m, l->checkpoint, o);
    m->chat_format = o->chat_format ? o->chat_format : chat_format_of(m->chat.parsed);
    m->grammars = kept_grammars_new();
    m->sampling = sampling_of_checkpoint(l->checkpoint);
    if (m->grammars ? read_decoder(m, l->checkpoint, o, err) : error_set(err, "memory is short"))
        return &m->served;
    text_model_close(&m->served);
    return NULL;
}

static struct served_model *open_generation(
    struct engine *e, struct loaded *l, const struct served_model_options *o, struct error *err)
{
    return text_model_open(&text_generation, e, l, o, err);
}

/* ---- what it has ---- */

static bool has(const struct text_model *m, enum text_part part)
{
    const bool parts[TEXT_PARTS] = {
        [TEXT_DECODER] = m->decoder != NULL,
        [TEXT_TOKENIZER] = m->tokenizer != NULL,
        [TEXT_CHAT] = m->chat.parsed != NULL,
    };
    return parts[part];
}

const struct error *text_model_lacks(const struct text_model *m, enum text_part part)
{
    return has(m, part) ? NULL : &m->missing[part];
}

const struct tokenizer *text_model_tokenizer(const struct text_model *m)
{
    return m->tokenizer;
}

const struct chat_template *text_model_chat(const struct text_model *m)
{
    return m->chat.parsed ? &m->chat : NULL;
}

const struct chat_format *text_model_chat_format(const struct text_model *m)
{
    return m->chat_format;
}

const struct sampler_options *text_model_sampling(const struct text_model *m)
{
    return &m->sampling;
}

const struct text_defaults *text_model_defaults(const struct text_model *m)
{
    return &m->defaults;
}

size_t text_model_context(const struct text_model *m)
{
    return m->context;
}

size_t text_model_n_embd(const struct text_model *m)
{
    return m->decoder ? decoder_n_embd(m->decoder) : 0;
}

size_t text_model_n_vocab(const struct text_model *m)
{
    return m->decoder ? decoder_n_vocab(m->decoder) : 0;
}

static void describe(const struct served_model *served, struct served_description *out)
{
    const struct text_model *m = (const struct text_model *)(const void *)served;
    for (int part = TEXT_PARTS; part-- > 0;)
        if (!has(m, (enum text_part)part))
            out->lacks = &m->missing[part];
    out->answers = m->decoder != NULL;
    out->chats = out->lacks == NULL;
    out->context = m->context;
    if (!m->cache)
        return;
    out->kv_type = attention_type_name(kv_cache_type(m->cache));
    out->kv_page_tokens = ATTENTION_BLOCK;
    out->kv_bytes_per_token = kv_cache_page_bytes(m->cache) / ATTENTION_BLOCK;
    out->prefix_cache = engine_options_of(served->engine)->prefix_cache;
}

/* ---- jobs ---- */

static enum result submit(struct served_model *served, struct job *j, struct error *err)
{
    return engine_submit(served->engine, j, err);
}

const struct model_operations text_generation = {
    .kind = SERVED_GENERATE,
    .claims = claims,
    .open = open_generation,
    .describe = describe,
    .close = text_model_close,
    .submit = submit,
};

/* ---- prompts ---- */

_Static_assert((int)VALUE_FROM_MESSAGE == TOKENIZER_BY_OTHERS &&
                   (int)VALUE_FROM_TEMPLATE == TOKENIZER_BY_TEMPLATE &&
                   (int)VALUE_FROM_MODEL == TOKENIZER_BY_MODEL,
    "the tokenizer reads a template's marks as they are");

/* The marks that the template writes around plain messages. NULL with the reason when memory is short. */
static struct tokenizer_guard *make_guard(const struct text_model *m, struct error *err)
{
    size_t n;
    struct tokenizer_guard *g = tokenizer_guard_new();
    const struct template_text *written = chat_written(&m->chat, &n);
    bool good = (g && written) || error_set(err, "memory is short");
    for (size_t i = 0; good && i < n; i++) {
        struct span text = {(const uint8_t *)written[i].text, written[i].size};
        good = tokenizer_guard_add(g, m->tokenizer, text, written[i].marks, err);
    }
    if (good)
        return g;
    tokenizer_guard_free(g);
    return NULL;
}

/* The guard of the model, which is made by the first thread that asks. */
static const struct tokenizer_guard *guard_of(struct text_model *m, struct error *err)
{
    struct tokenizer_guard *known = atomic_load_explicit(&m->guard, memory_order_acquire);
    struct tokenizer_guard *made = known ? NULL : make_guard(m, err);
    if (!made)
        return known;
    if (atomic_compare_exchange_strong(&m->guard, &known, made))
        return made;
    tokenizer_guard_free(made);
    return known;
}

bool text_model_chat_ids(
    struct text_model *m, const struct template_text *prompt, struct tokenizer_ids *ids, struct error *err)
{
    /* Many templates write the token that begins a text themselves; then it must not come twice. add_special would
     * also add the tokens that end a text, which must not follow an open turn. */
    struct span text = {(const uint8_t *)prompt->text, prompt->size};
    struct tokenizer_text in = {.text = text, .parse_special = true, .trusted = prompt->marks};
    int32_t bos = tokenizer_special(m->tokenizer, TOKENIZER_BOS);
    in.guard = guard_of(m, err);
    if (!in.guard || !tokenizer_encode(m->tokenizer, &in, ids, err))
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
