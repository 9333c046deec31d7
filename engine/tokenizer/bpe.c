/* bpe.c - byte-level BPE, "gpt2" in files: the tokenizer of GPT-2 and of most families since.
 *
 * Text is cut into words, and a word into bytes. Each byte is a token, and pairs of tokens merge in the order of the
 * file's list of merges. The text of a token has a visible character for each byte: the printable ones of Latin-1 stand
 * for themselves, the others are U+0100 and on.
 *
 * Merges are stored as ids: the two tokens, and the one that they become. A file in which a merge makes a text that is no
 * token is refused.
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

/* --- Bytes and the characters that stand for them --- */

static bool is_plain(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

/* The bytes that are not plain are three runs. Their characters are numbered from U+0100 on. */
static uint32_t code_of_byte(uint8_t byte)
{
    if (is_plain(byte))
        return byte;
    return 0x100u + (byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7fu + 0x21u : 0x43u);
}

/* The byte that a character stands for, or -1. */
static int byte_of_code(uint32_t code)
{
    if (code < 0x100)
        return is_plain(code) ? (int)code : -1;
    code -= 0x100;
    return code <= 0x20 ? (int)code : code < 0x43 ? (int)(code - 0x21 + 0x7f) : code == 0x43 ? 0xad : -1;
}

/* --- Reading --- */

#define MERGES_AT_A_TIME 32
#define CODES_KEPT ((size_t)1 << 16) /* code points whose memory is kept for the next fragment */

static uint32_t hash_of_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32 ^ h >> 15);
}

/* The slot that holds the pair, or the free one where it belongs, or NO_SLOT after too many steps. */
static size_t slot_of(const struct merges *m, int32_t left, int32_t right)
{
    for (size_t step = 0, i = hash_of_pair(left, right) & m->mask; step < PROBES_MAX; step++) {
        uint32_t rank = m->slots[i];
        if (rank == NO_SLOT || (m->at[rank].left == left && m->at[rank].right == right))
            return i;
        i = (i + 1) & m->mask;
    }
    return NO_SLOT;
}

/* Whether a token's text is `left` followed by `right`. */
static bool is_both(struct span text, struct span left, struct span right)
{
    return text.size == left.size + right.size && memcmp(text.at, left.at, left.size) == 0 &&
           memcmp(text.at + left.size, right.at, right.size) == 0;
}

/* Not inlined, because the array would be set up at each call of the caller. */
static __attribute__((noinline)) int32_t find_joined(
    const struct vocabulary *v, struct span left, struct span right)
{
    uint8_t text[2 * TOKEN_BYTES_MAX];
    memcpy(text, left.at, left.size);
    memcpy(text + left.size, right.at, right.size);
    return vocabulary_find(v, (struct span){text, left.size + right.size});
}

/* The token whose text is both. The one after `last` is tried first, because most vocabularies are in the order of their
 * merges. */
static int32_t find_both(const struct vocabulary *v, struct span left, struct span right, int32_t last)
{
    size_t next = (size_t)(last + 1);
    if (next < v->n && is_both(vocabulary_text(v, next), left, right))
        return (int32_t)next;
    if (left.size + right.size > v->longest)
        return TOKENIZER_NONE;
    return find_joined(v, left, right);
}

static bool no_token(struct span merge, size_t rank, struct error *err)
{
    char shown[96];
    text_escape(shown, sizeof(shown), merge);
    return error_set(err, "merge %zu, \"%s\", makes a text that is not a token", rank, shown);
}

/* A merge's two texts, as the file has them with a space between. */
static bool split_merge(struct span text, size_t rank, struct span sides[2], struct error *err)
{
    const uint8_t *gap = text.size > 1 ? memchr(text.at + 1, ' ', text.size - 1) : NULL;
    if (!gap)
        return error_set(err, "merge %zu has no space between two tokens", rank);
    sides[0] = (struct span){text.at, (size_t)(gap - text.at)};
    sides[1] = (struct span){gap + 1, text.size - sides[0].size - 1};
    return true;
}

/* Finds the token that a merge of these two sides gives. */
static bool find_merge(struct tokenizer *t, struct span text, const struct span sides[2],
    const int32_t ids[2], size_t rank, struct error *err)
{
    struct merges *m = &t->merges;
    int32_t last = rank > 0 ? m->at[rank - 1].merged : TOKENIZER_NONE, both = TOKENIZER_NONE;
    if (ids[0] >= 0 && ids[1] >= 0)
        both = find_both(&t->vocabulary, sides[0], sides[1], last);
    if (both == TOKENIZER_NONE)
        return no_token(text, rank, err);
    m->at[rank].left = ids[0];
    m->at[rank].right = ids[1];
    m->at[rank].merged = both;
    return true;
}

static bool insert_merge(struct merges *m, size_t rank, struct error *err)
{
    size_t slot = slot_of(m, m->at[rank].left, m->at[rank].right);
    if (slot == NO_SLOT)
        return error_set(err, "too many of the vocabulary's merges collide");
    if (m->slots[slot] == NO_SLOT)
        m->slots[slot] = (uint32_t)rank; /* of two merges of the same pair the first counts */
    return true;
}

/* Reads n merges from `first` on. The memory of all of them is prefetched before any is used. */
static bool add_merges(struct tokenizer *t, const struct checkpoint_value *array, size_t *pos, size_t first,
    size_t n, struct error *err)
{
    struct merges *m = &t->merges;
    struct span texts[MERGES_AT_A_TIME], sides[2 * MERGES_AT_A_TIME] = {{0}};
    int32_t ids[2 * MERGES_AT_A_TIME];
    for (size_t i = 0; i < n; i++) {
        texts[i] = checkpoint_next_string(array->bytes, pos);
        if (!split_merge(texts[i], first + i, &sides[2 * i], err))
            return false;
    }
    vocabulary_find_all(&t->vocabulary, sides, 2 * n, ids);
    for (size_t i = 0; i < n; i++) {
        if (!find_merge(t, texts[i], &sides[2 * i], &ids[2 * i], first + i, err))
            return false;
        const uint32_t hash = hash_of_pair(m->at[first + i].left, m->at[first + i].right);
        __builtin_prefetch(&m->slots[hash & m->mask]);
    }
    for (size_t i = 0; i < n; i++)
        if (!insert_merge(m, first + i, err))
            return false;
    return true;
}

static bool read_merges(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    struct merges *m = &t->merges;
    const struct checkpoint_value *array = checkpoint_find(c, "tokenizer.ggml.merges");
    if (!array || !checkpoint_is_array_of(array, CHECKPOINT_STRING))
        return error_set(
            err, "key \"tokenizer.ggml.merges\" is %s", array ? "not an array of strings" : "missing");
    m->n = (size_t)array->count;
    m->mask = vocabulary_slots(m->n) - 1;
    m->at = malloc((m->n + 1) * sizeof(*m->at));
    m->slots = malloc((m->mask + 1) * sizeof(*m->slots));
    if (!m->at || !m->slots)
        return error_set(err, "no memory for %zu merges", m->n);
    memset(m->slots, 0xff, (m->mask + 1) * sizeof(*m->slots)); /* every rank NO_SLOT */
    size_t pos = 0;
    for (size_t i = 0; i < m->n; i += MERGES_AT_A_TIME) {
        size_t n = m->n - i < MERGES_AT_A_TIME ? m->n - i : MERGES_AT_A_TIME;
        if (!add_merges(t, array, &pos, i, n, err))
            return false;
    }
    return true;
}

static bool read_pre(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    struct span name = span_of("default");
    if (checkpoint_get_text(c, "tokenizer.ggml.pre", &name, err) == CHECKPOINT_WRONG)
        return false;
    t->pre = pretokenizer_find(name);
    if (t->pre)
        return true;
    char shown[96];
    text_escape(shown, sizeof(shown), name);
    return error_set(err, "pre-tokenizer \"%s\" (key \"tokenizer.ggml.pre\") is not supported", shown);
}

static bool bpe_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    if (!read_pre(t, c, err) || !read_merges(t, c, err))
        return false;
    t->add_bos = t->pre->adds_bos;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint8_t text[UNICODE_BYTES];
        size_t size = unicode_write(text, code_of_byte((uint8_t)byte));
        t->byte_ids[byte] = vocabulary_find_word(&t->vocabulary, (struct span){text, size});
    }
    return true;
}

void tokenizer_bpe_release(struct tokenizer *t)
{
    free(t->merges.at);
    free(t->merges.slots);
}

/* --- Text to ids --- */

static void bpe_rank(const struct tokenizer_session *s, const struct merge_window *w, struct symbol *left,
    const struct symbol *right)
{
    (void)w;
    const struct merges *m = &s->t->merges;
    size_t slot = left->id < 0 || right->id < 0 ? NO_SLOT : slot_of(m, left->id, right->id);
    if (slot == NO_SLOT || m->slots[slot] == NO_SLOT)
        return;
    int32_t merged = m->at[m->slots[slot]].merged;
    if (vocabulary_is_mark(&s->t->vocabulary, merged) ||
        ((left->by_others || right->by_others) && tokenizer_is_guarded(s->t, s->guard, merged)))
        return;
    left->rank = m->slots[slot];
    left->merged = merged;
}

/* The token that is this whole word, or TOKENIZER_NONE. `word` is bytes of text. */
static int32_t whole_word(const struct tokenizer *t, struct span word)
{
    uint8_t text[TOKEN_BYTES_MAX + UNICODE_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < word.size; i++) {
        size += unicode_write(text + size, code_of_byte(word.at[i]));
        if (size > t->vocabulary.longest)
            return TOKENIZER_NONE;
    }
    return vocabulary_find_word(&t->vocabulary, (struct span){text, size});
}

/* A symbol for each byte. */
static bool bpe_link(
    struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w, size_t end, size_t *n)
{
    const size_t from = w->from.place;
    *n = end - from;
    if (!session_room(s, &w->symbols, &w->symbols_room, *n, sizeof(*w->symbols)))
        return false;
    for (size_t i = 0; i < *n; i++)
        w->symbols[i] = (struct symbol){
            .place = (uint32_t)(from + i),
            .id = s->t->byte_ids[m->text.at[from + i]],
            .next = i + 1 < *n ? (uint32_t)i + 1 : NO_SYMBOL,
            .previous = (uint32_t)i - 1, /* of the first that is NO_SYMBOL */
            .by_others = m->trusted && m->trusted[from + i] != TOKENIZER_BY_TEMPLATE,
        };
    return true;
}

/* Leaves out a byte that is no token, as the reference does. */
static bool bpe_emit(struct tokenizer_session *s, const struct merge_window *w, const struct symbol *symbol)
{
    (void)w;
    return symbol->id < 0 || session_add(s, symbol->id);
}

static bool is_by_others(const uint8_t *trusted, size_t size)
{
    for (size_t i = 0; trusted && i < size; i++)
        if (trusted[i] != TOKENIZER_BY_TEMPLATE)
            return true;
    return false;
}

static bool encode_word(struct tokenizer_session *s, struct span word, const uint8_t *trusted)
{
    int32_t whole = s->t->pre->ignores_merges ? whole_word(s->t, word) : TOKENIZER_NONE;
    if (whole != TOKENIZER_NONE && is_by_others(trusted, word.size) &&
        tokenizer_is_guarded(s->t, s->guard, whole))
        whole = TOKENIZER_NONE;
    if (whole != TOKENIZER_NONE)
        return session_add(s, whole);
    const struct merge_text m = {.text = word,
        .trusted = trusted,
        .places = word.size,
        .link = bpe_link,
        .rank = bpe_rank,
        .emit = bpe_emit};
    return merge_text(s, &m);
}

/* Decodes the fragment: code points and their classes. False when memory is short. */
static bool decode(struct tokenizer_session *s, struct span text, size_t *n)
{
    if (!session_room(s, &s->codes, &s->codes_room, text.size, sizeof(*s->codes)) ||
        !session_room(s, &s->classes, &s->classes_room, text.size, sizeof(*s->classes)))
        return false;
    *n = 0;
    for (size_t pos = 0; pos < text.size; (*n)++) {
        s->codes[*n] = unicode_read(text, &pos);
        s->classes[*n] = (uint8_t)unicode_class(s->codes[*n]);
    }
    return true;
}

/* Cuts the fragment into words and encodes each. */
static bool encode_words(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    size_t n, from = 0, to = 0;
    if (!decode(s, text, &n))
        return false;
    pretokenize(s->t->pre, s->codes, s->classes, n);
    if (s->codes_room > CODES_KEPT) { /* the ids need the memory now */
        free(s->codes);
        s->codes = NULL;
        s->codes_room = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && s->classes[i] & WORD_STARTS) {
            if (!encode_word(s, (struct span){text.at + from, to - from}, trusted ? trusted + from : NULL))
                return false;
            from = to;
        }
        unicode_read(text, &to);
    }
    return encode_word(s, (struct span){text.at + from, to - from}, trusted ? trusted + from : NULL);
}

/* A copy of the text with U+FFFD in place of each byte that is not UTF-8, as the reference has it. The caller frees it.
 * *trusted is replaced by that of the copy, which is freed with it. NULL when memory is short. */
static uint8_t *repair(struct span text, const uint8_t **trusted, size_t *size)
{
    size_t room = text.size * UNICODE_BYTES;
    uint8_t *copy = malloc(2 * room), *marks = copy ? copy + room : NULL;
    *size = 0;
    for (size_t pos = 0; copy && pos < text.size;) {
        size_t at = pos, written = unicode_write(copy + *size, unicode_read(text, &pos));
        if (*trusted)
            memset(marks + *size, (*trusted)[at], written);
        *size += written;
    }
    *trusted = *trusted ? marks : NULL;
    return copy;
}

/* Whether decoding and encoding the text again gives the same bytes. */
static bool is_whole(struct span text)
{
    for (size_t pos = 0; pos < text.size;) {
        size_t at = pos;
        if (unicode_read(text, &pos) == UNICODE_REPLACEMENT && pos - at == 1)
            return false;
    }
    return true;
}

static bool bpe_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    size_t size;
    if (is_whole(text))
        return encode_words(s, text, trusted);
    uint8_t *copy = repair(text, &trusted, &size);
    if (!copy)
        return error_no_memory(s->err, "a text of this length");
    bool good = encode_words(s, (struct span){copy, size}, trusted);
    free(copy);
    return good;
}

/* --- Ids to text --- */

/* A character that stands for no byte is copied. Only vocabularies made by hand have such characters. */
static void bpe_piece(const struct tokenizer *t, int32_t id, struct strbuf *out)
{
    struct span text = vocabulary_text(&t->vocabulary, (size_t)id);
    for (size_t pos = 0; pos < text.size;) {
        uint8_t bytes[UNICODE_BYTES];
        uint32_t code = unicode_read(text, &pos);
        int byte = byte_of_code(code);
        size_t size = byte < 0 ? unicode_write(bytes, code) : 1;
        if (byte >= 0)
            bytes[0] = (uint8_t)byte;
        strbuf_add(out, (struct span){bytes, size});
    }
}

const struct tokenizer_kind tokenizer_bpe = {
    .name = "gpt2",
    .bos = TOKENIZER_NONE,
    .eos = TOKENIZER_NONE,
    .unknown = TOKENIZER_NONE,
    .read = bpe_read,
    .encode = bpe_encode,
    .piece = bpe_piece,
};
