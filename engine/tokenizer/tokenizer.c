/* tokenizer.c - the table of kinds, and the call that encodes a text.
 *
 * A text is cut at its special tokens, and the text between them is encoded by the kind. All memory of a call is in its
 * session, so calls of several threads share only the vocabulary.
 */
#include "tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

static const struct tokenizer_kind *const kinds[] = {&tokenizer_bpe, &tokenizer_gemma4, &tokenizer_plamo2,
    &tokenizer_rwkv, &tokenizer_spm, &tokenizer_unigram, &tokenizer_wordpiece};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* --- Making one --- */

bool tokenizer_key_bool(const struct checkpoint *c, const char *key, bool *out, struct error *err)
{
    return checkpoint_get_bool(c, key, out, err) != CHECKPOINT_WRONG;
}

static const struct tokenizer_kind *find_kind(const struct checkpoint *c, struct error *err)
{
    struct span name;
    switch (checkpoint_get_text(c, "tokenizer.ggml.model", &name, err)) {
    case CHECKPOINT_WRONG:
        return NULL;
    case CHECKPOINT_ABSENT:
        error_set(err, "the file has no tokenizer: key \"tokenizer.ggml.model\" is missing");
        return NULL;
    case CHECKPOINT_GOT:
        break;
    }
    for (size_t i = 0; i < N_KINDS; i++)
        if (span_is(name, kinds[i]->name))
            return kinds[i];
    char shown[96];
    text_escape(shown, sizeof(shown), name);
    error_set(err, "tokenizer \"%s\" (key \"tokenizer.ggml.model\") is not supported", shown);
    return NULL;
}

/* Which marks are added around a text. */
static bool read_ends(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    if (!tokenizer_key_bool(c, "tokenizer.ggml.add_bos_token", &t->add_bos, err) ||
        !tokenizer_key_bool(c, "tokenizer.ggml.add_eos_token", &t->add_eos, err))
        return false;
    if (t->pre && t->pre->always_bos)
        t->add_bos = true;
    if (t->kind->ends != KIND_BY_KEYS)
        t->add_bos = t->add_eos = t->kind->ends == KIND_WRAPS;
    return true;
}

/* Refuses a key that would change ids in a way that is not known. */
static bool check_keys(const struct checkpoint *c, struct error *err)
{
    static const char prefix[] = "tokenizer.ggml.normalizer.";
    static const char *const known[] = {"nfc", "lowercase", "strip_accents"};
    for (size_t i = 0; i < c->n_values; i++) {
        struct span key = c->values[i].key;
        const size_t size = sizeof(prefix) - 1;
        bool good = key.size < size || memcmp(key.at, prefix, size) != 0;
        for (size_t k = 0; !good && k < sizeof(known) / sizeof(known[0]); k++)
            good = span_is((struct span){key.at + size, key.size - size}, known[k]);
        char shown[96];
        text_escape(shown, sizeof(shown), key);
        if (!good)
            return error_set(err, "key \"%s\" is not supported", shown);
    }
    return true;
}

static bool read_all(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    t->add_bos = t->kind->adds_bos;
    t->add_eos = t->kind->adds_eos;
    bool good = check_keys(c, err) && vocabulary_read(&t->vocabulary, c, err) && t->kind->read(t, c, err) &&
                read_ends(t, c, err) && tokenizer_read_roles(t, c, err) &&
                specials_init(&t->specials, &t->vocabulary, err);
    merges_drop_marks(t);
    return good;
}

struct tokenizer *tokenizer_new(const struct checkpoint *c, struct error *err)
{
    const struct tokenizer_kind *kind = find_kind(c, err);
    struct tokenizer *t = kind ? calloc(1, sizeof(*t)) : NULL;
    if (!t) {
        if (kind)
            error_set(err, "no memory");
        return NULL;
    }
    t->kind = kind;
    for (size_t i = 0; i < TOKENIZER_SPECIALS; i++)
        t->special[i] = TOKENIZER_NONE;
    if (read_all(t, c, err))
        return t;
    tokenizer_free(t);
    return NULL;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    vocabulary_release(&t->vocabulary);
    specials_release(&t->specials);
    merges_release(&t->merges);
    prefixes_release(&t->prefixes);
    vocabulary_release(&t->plain);
    free(t->suppressed);
    free(t->user_defined);
    free(t->plain_bytes);
    free(t);
}

/* --- A session --- */

bool session_room(struct tokenizer_session *s, void *memory, size_t *room, size_t n, size_t item)
{
    void *grown, *old;
    if (n <= *room)
        return true;
    size_t more = *room ? n + n / 2 : n;
    memcpy(&old, memory, sizeof(old));
    grown = realloc(old, more * item);
    if (!grown)
        return error_set(s->err, "no memory for a text of this length");
    memcpy(memory, &grown, sizeof(grown));
    *room = more;
    return true;
}

bool session_add(struct tokenizer_session *s, int32_t id)
{
    if (s->ids->stop && atomic_load_explicit(s->ids->stop, memory_order_relaxed))
        return error_set(s->err, "the request was cancelled");
    if (!session_room(s, &s->ids->at, &s->ids->room, s->ids->n + 1, sizeof(*s->ids->at)))
        return false;
    s->ids->at[s->ids->n++] = id;
    return true;
}

static void session_release(struct tokenizer_session *s)
{
    free(s->escaped);
    free(s->marks);
    free(s->repaired);
    free(s->repaired_marks);
    free(s->choices);
    free(s->found);
    free(s->codes);
    free(s->classes);
    for (size_t i = 0; i < 2; i++)
        free(s->windows[i].symbols);
    free(s->heap);
    free(s->pairs);
}

static bool add_if(struct tokenizer_session *s, bool wanted, enum tokenizer_special which)
{
    int32_t id = s->t->special[which];
    return !wanted || id == TOKENIZER_NONE || session_add(s, id);
}

static bool add_fragment(struct tokenizer_session *s, const struct tokenizer_text *in, size_t from, size_t to)
{
    const uint8_t *trusted = in->trusted ? in->trusted + from : NULL;
    s->is_first = from == 0;
    return from == to || s->t->kind->encode(s, (struct span){in->text.at + from, to - from}, trusted);
}

static bool encode_all(struct tokenizer_session *s, const struct tokenizer_text *in)
{
    uint8_t *taken = NULL;
    size_t at = 0, done = 0;
    struct special_found found;
    bool good =
        add_if(s, in->add_special && s->t->add_bos, TOKENIZER_BOS) && specials_find(s->t, in, &taken, s->err);
    while (good && specials_next(s->t, in, taken, &at, &found)) {
        good = add_fragment(s, in, done, found.from) && session_add(s, found.id);
        done = at;
    }
    good = good && add_fragment(s, in, done, in->text.size) &&
           add_if(s, in->add_special && s->t->add_eos,
               s->t->kind->ends == KIND_WRAPS ? TOKENIZER_SEPARATOR : TOKENIZER_EOS);
    free(taken);
    return good;
}

bool tokenizer_encode(
    const struct tokenizer *t, const struct tokenizer_text *in, struct tokenizer_ids *ids, struct error *err)
{
    if (in->text.size > TOKENIZER_TEXT_MAX)
        return error_set(err, "the text has %zu bytes; %zu is the most", in->text.size, TOKENIZER_TEXT_MAX);
    struct tokenizer_session s = {.t = t, .guard = in->guard, .ids = ids, .err = err};
    bool good = encode_all(&s, in);
    session_release(&s);
    return good;
}

void tokenizer_ids_release(struct tokenizer_ids *ids)
{
    free(ids->at);
    *ids = (struct tokenizer_ids){0};
}

/* --- Figures and tokens --- */

static const struct vocab_token *token_of(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->vocabulary.n ? &t->vocabulary.tokens[id] : NULL;
}

const char *tokenizer_model(const struct tokenizer *t)
{
    return t->kind->name;
}

const char *tokenizer_pre(const struct tokenizer *t)
{
    return t->pre ? t->pre->name : "";
}

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->vocabulary.n;
}

static size_t vocabulary_bytes(const struct vocabulary *v)
{
    return v->tokens ? v->n * sizeof(*v->tokens) + (v->mask + 1) * sizeof(*v->slots) + (v->bits_mask + 1) / 8
                     : 0;
}

size_t tokenizer_bytes(const struct tokenizer *t)
{
    const struct merges *m = &t->merges;
    size_t bytes = sizeof(*t) + vocabulary_bytes(&t->vocabulary) + vocabulary_bytes(&t->plain);
    bytes += t->specials.n * sizeof(*t->specials.ids) + (t->specials.mask + 1) * sizeof(*t->specials.slots);
    if (m->slots)
        bytes += (m->mask + 1) * sizeof(*m->slots) + (m->bits_mask + 1) / 8;
    return bytes + m->extras.bytes_room + prefixes_bytes(&t->prefixes) +
           t->n_user_defined * sizeof(*t->user_defined) + t->plain.bytes.size;
}

int32_t tokenizer_special(const struct tokenizer *t, enum tokenizer_special which)
{
    return t->special[which];
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->add_bos;
}

bool tokenizer_adds_eos(const struct tokenizer *t)
{
    return t->add_eos;
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id)
{
    const struct vocab_token *token = token_of(t, id);
    return token && token->is_end;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    const struct vocab_token *token = token_of(t, id);
    return token && vocabulary_is_mark(&t->vocabulary, id);
}

const int32_t *tokenizer_suppressed(const struct tokenizer *t, size_t *n)
{
    *n = t->n_suppressed;
    return t->suppressed;
}

struct span tokenizer_text_of(const struct tokenizer *t, int32_t id)
{
    return token_of(t, id) ? vocabulary_text(&t->vocabulary, (size_t)id) : (struct span){NULL, 0};
}

int32_t tokenizer_find(const struct tokenizer *t, struct span text)
{
    return vocabulary_find(&t->vocabulary, text);
}
