/* unigram.c - SentencePiece's unigram model, "t5" in files: T5, and encoders such as XLM-RoBERTa.
 *
 * The text is normalized: by the file's map of characters, and its spaces become U+2581. Then those tokens are chosen that
 * have the highest sum of scores. A character that is part of none is the unknown token, once for several in a row.
 *
 * No token reaches across two bytes that no token has side by side, so the normalized text is encoded in parts, which end
 * there, and only one part is in memory.
 */
#include "tokenizer_private.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 8192 /* sums that are remembered: more than characters of a token; a power of two */
#define UNKNOWN_PENALTY 10.0f

/* --- Reading --- */

static bool read_charsmap(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    const struct checkpoint_value *map = checkpoint_find(c, key);
    if (!map)
        return true;
    if ((!checkpoint_is_array_of(map, CHECKPOINT_SIGNED) &&
            !checkpoint_is_array_of(map, CHECKPOINT_UNSIGNED)) ||
        map->width != 1)
        return error_set(err, "key \"%s\" is not an array of bytes", key);
    const uint8_t *at = map->bytes.at;
    const size_t all = map->bytes.size;
    size_t size = all < 4 ? 0 : at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if (all < 4 || size >= all - 4)
        return error_set(err, "key \"%s\" is cut short", key);
    t->charsmap = (struct span){at + 4, size};
    t->replacements = (struct span){at + 4 + size, all - 4 - size};
    return true;
}

static int compare_texts(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->at, y->at, size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static bool list_user_defined(struct tokenizer *t, struct error *err)
{
    size_t n = 0;
    for (size_t id = 0; id < t->vocabulary.n; id++)
        n += t->vocabulary.tokens[id].kind == TOKEN_USER_DEFINED;
    t->user_defined = malloc((n + 1) * sizeof(*t->user_defined));
    if (!t->user_defined)
        return error_no_memory(err, "the vocabulary");
    for (size_t id = 0; id < t->vocabulary.n; id++)
        if (t->vocabulary.tokens[id].kind == TOKEN_USER_DEFINED)
            t->user_defined[t->n_user_defined++] = vocabulary_text(&t->vocabulary, id);
    qsort(t->user_defined, n, sizeof(*t->user_defined), compare_texts);
    return true;
}

static bool unigram_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    const unsigned kinds = 1u << TOKEN_NORMAL | 1u << TOKEN_USER_DEFINED | 1u << TOKEN_UNUSED;
    float least = FLT_MAX;
    if (!read_scores(t, c, err) || !read_charsmap(t, c, err) || !list_user_defined(t, err) ||
        !tokenizer_key_bool(c, "tokenizer.ggml.add_space_prefix", &t->space_prefix, err) ||
        !tokenizer_key_bool(c, "tokenizer.ggml.remove_extra_whitespaces", &t->joins_spaces, err))
        return false;
    for (size_t id = 0; id < t->vocabulary.n; id++)
        if (t->vocabulary.tokens[id].kind == TOKEN_NORMAL && score_of(t, (int32_t)id) < least)
            least = score_of(t, (int32_t)id);
    t->unknown_score = least - UNKNOWN_PENALTY;
    find_joints(t);
    return prefixes_init(&t->prefixes, &t->vocabulary, kinds, err);
}

/* --- The best tokens of a part --- */

/* Weighs each way to go on at a character, whose number is `index` and which begins at `at`. sums[i % WINDOW] is the best
 * sum up to character i, and s->choices[i] the last token of it. False when memory is short. */
static bool weigh(struct tokenizer_session *s, struct span text, size_t at, size_t index, double *sums)
{
    const struct tokenizer *t = s->t;
    const double sum = sums[index % WINDOW], unknown = sum + (double)t->unknown_score;
    size_t n, reached = 0, length = 0;
    bool single = false;
    if (!prefixes_at(s, text, at, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        const int32_t id = s->found[i].id;
        for (; reached < s->found[i].size; length++)
            reached += symbol_size(text, at + reached);
        if (reached != s->found[i].size || (s->by_others && tokenizer_is_guarded(t, s->guard, id)))
            continue;
        single = single || length == 1;
        double score = t->vocabulary.tokens[id].kind == TOKEN_USER_DEFINED ? 0 : (double)score_of(t, id);
        if (sum + score > sums[(index + length) % WINDOW]) {
            sums[(index + length) % WINDOW] = sum + score;
            s->choices[index + length] = id;
        }
    }
    if (!single && unknown > sums[(index + 1) % WINDOW]) {
        sums[(index + 1) % WINDOW] = unknown;
        s->choices[index + 1] = TOKENIZER_NONE;
    }
    return true;
}

static size_t characters_of(struct span text)
{
    size_t n = 0;
    for (size_t at = 0; at < text.size; n++)
        at += symbol_size(text, at);
    return n;
}

static void reverse(int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        int32_t id = ids[i];
        ids[i] = ids[n - 1 - i];
        ids[n - 1 - i] = id;
    }
}

/* Appends the choices that lead to the end of the part, from the last one to the first, and turns them round. One unknown
 * token is enough for a run, which may have begun in the part before. */
static bool add_choices(struct tokenizer_session *s, size_t n)
{
    const struct vocabulary *v = &s->t->vocabulary;
    const size_t before = s->ids->n;
    const int32_t unknown = s->t->special[TOKENIZER_UNKNOWN];
    bool is_unknown = false;
    while (n > 0) {
        const int32_t id = s->choices[n];
        const bool again = is_unknown && id == TOKENIZER_NONE;
        is_unknown = id == TOKENIZER_NONE;
        n -= is_unknown ? 1 : characters_of(vocabulary_text(v, (size_t)id));
        if (!again && !(is_unknown && unknown == TOKENIZER_NONE) &&
            !session_add(s, is_unknown ? unknown : id))
            return false;
    }
    if (is_unknown && s->ends_unknown && unknown != TOKENIZER_NONE)
        s->ids->n--;
    reverse(s->ids->at + before, s->ids->n - before);
    return true;
}

/* Encodes the part in the session's buffer, which is empty afterwards. */
static bool end_part(struct tokenizer_session *s)
{
    double sums[WINDOW];
    const struct span text = {s->escaped, s->n_escaped};
    const size_t n = characters_of(text);
    if (n == 0)
        return true;
    if (!session_room(s, &s->choices, &s->choices_room, n + 1, sizeof(*s->choices)))
        return false;
    for (size_t i = 0; i < WINDOW && i <= n; i++)
        sums[i] = -DBL_MAX;
    sums[0] = 0;
    s->found_bytes = 0;
    for (size_t at = 0, i = 0; at < text.size; i++) {
        if (!weigh(s, text, at, i, sums))
            return false;
        sums[i % WINDOW] = -DBL_MAX; /* the room of character i + WINDOW */
        at += symbol_size(text, at);
    }
    s->n_escaped = s->next_symbol = 0;
    if (!add_choices(s, n))
        return false;
    s->ends_unknown = s->choices[n] == TOKENIZER_NONE;
    return true;
}

/* --- Normalization --- */

/* Adds bytes to the part. The part ends before them where a character begins that no token has behind the last byte. */
static bool add_bytes(struct tokenizer_session *s, const uint8_t *bytes, size_t n)
{
    bool begins = s->n_escaped > 0 && s->n_escaped == s->next_symbol;
    if (begins && !has_joint(s->t, s->escaped[s->n_escaped - 1], bytes[0]) && !end_part(s))
        return false;
    if (!session_room(s, &s->escaped, &s->escaped_room, s->n_escaped + n, 1))
        return false;
    memcpy(s->escaped + s->n_escaped, bytes, n);
    s->n_escaped += n;
    while (s->next_symbol < s->n_escaped)
        s->next_symbol += symbol_bytes(s->escaped[s->next_symbol]);
    return true;
}

/* The bytes that the text from `at` on has in common with a user-defined token: such text is not normalized. */
static size_t user_defined_bytes(const struct tokenizer *t, struct span rest)
{
    size_t low = 0, high = t->n_user_defined, most = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_texts(&t->user_defined[middle], &rest) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low - (low > 0); i <= low && i < t->n_user_defined; i++) {
        struct span own = t->user_defined[i];
        size_t n = 0;
        while (n < own.size && n < rest.size && own.at[n] == rest.at[n])
            n++;
        most = n > most ? n : most;
    }
    return most;
}

/* A unit of the map of characters, which is a double array whose links are exclusive-ored: bits 0 to 7 are the byte that
 * leads to it, bit 8 says that a replacement begins here, bits 10 to 30 with bit 9 are where its children are; in a unit
 * of a replacement bits 0 to 30 are its place. False when the index is beyond the map. */
static bool unit_at(const struct tokenizer *t, uint32_t index, uint32_t *unit)
{
    if (index >= t->charsmap.size / 4)
        return false;
    const uint8_t *at = t->charsmap.at + (size_t)index * 4;
    *unit = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return true;
}

static uint32_t children_of(uint32_t unit)
{
    return unit >> 10 << ((unit & 1u << 9) >> 6);
}

/* Finds the longest beginning of the text that the map replaces: its size, 0 for none, and where the replacement is. False
 * when the map points outside itself. */
static bool find_replacement(const struct tokenizer *t, struct span rest, size_t *size, size_t *place)
{
    uint32_t unit, node;
    *size = *place = 0;
    if (t->charsmap.size < 4)
        return true;
    unit_at(t, 0, &unit);
    node = children_of(unit);
    for (size_t i = 0; i < rest.size && rest.at[i] != 0; i++) {
        node ^= rest.at[i];
        if (!unit_at(t, node, &unit))
            return false;
        if ((unit & (1u << 31 | 0xff)) != rest.at[i])
            return true;
        node ^= children_of(unit);
        if (unit >> 8 & 1) {
            if (!unit_at(t, node, &unit))
                return false;
            *size = i + 1;
            *place = unit & 0x7fffffffu;
        }
    }
    return true;
}

/* The normalized form of what the text begins with, and how many bytes of it that is. An empty form is right. */
static bool normalize(const struct tokenizer *t, struct span rest, struct span *form, size_t *taken)
{
    size_t place, pos = 0;
    if ((*taken = user_defined_bytes(t, rest)) > 0) {
        *form = (struct span){rest.at, *taken};
        return true;
    }
    if (!find_replacement(t, rest, taken, &place))
        return false;
    if (*taken > 0) {
        if (place >= t->replacements.size)
            return false;
        const uint8_t *at = t->replacements.at + place;
        const uint8_t *end = memchr(at, 0, t->replacements.size - place);
        *form = (struct span){at, end ? (size_t)(end - at) : 0};
        return end != NULL;
    }
    bool valid = unicode_read(rest, &pos) != UNICODE_REPLACEMENT || pos > 1;
    *taken = pos;
    *form = valid ? (struct span){rest.at, pos} : span_of("\xef\xbf\xbd");
    return true;
}

/* Adds a normalized form: spaces become marks, or a single one in front of the next word. */
static bool add_form(struct tokenizer_session *s, struct span form)
{
    const struct tokenizer *t = s->t;
    for (size_t i = 0, n; i < form.size; i += n) {
        n = 1;
        if (form.at[i] == ' ') {
            s->in_word = false;
            if (!t->joins_spaces && !add_bytes(s, space_mark, SPACE_MARK_BYTES))
                return false;
            continue;
        }
        while (i + n < form.size && form.at[i + n] != ' ')
            n++;
        bool mark = !s->in_word && ((t->space_prefix && !s->is_prefixed) || t->joins_spaces);
        s->in_word = true;
        s->is_prefixed = s->is_prefixed || mark;
        if ((mark && !add_bytes(s, space_mark, SPACE_MARK_BYTES)) || !add_bytes(s, form.at + i, n))
            return false;
    }
    return true;
}

static bool unigram_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    s->by_others = is_by_others(trusted, text.size);
    s->n_escaped = s->next_symbol = 0;
    s->in_word = s->is_prefixed = s->ends_unknown = false;
    for (size_t at = 0, taken; at < text.size; at += taken) {
        struct span form;
        if (!normalize(s->t, (struct span){text.at + at, text.size - at}, &form, &taken))
            return error_set(s->err, "key \"tokenizer.ggml.precompiled_charsmap\" points outside itself");
        if (!add_form(s, form))
            return false;
    }
    return end_part(s);
}

const struct tokenizer_kind tokenizer_unigram = {
    .name = "t5",
    .adds_eos = true,
    .bos = TOKENIZER_NONE,
    .eos = 1,
    .unknown = 2,
    .separator = TOKENIZER_NONE,
    .padding = 0,
    .mask = TOKENIZER_NONE,
    .read = unigram_read,
    .encode = unigram_encode,
    .piece = sentencepiece_piece,
};
