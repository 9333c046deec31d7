/* sentencepiece.c - what the kinds of SentencePiece share: a space is U+2581, a byte is "<0x0A>".
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MARK_BYTES SPACE_MARK_BYTES
const uint8_t space_mark[SPACE_MARK_BYTES] = {0xe2, 0x96, 0x81};

size_t symbol_bytes(uint8_t first)
{
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t symbol_size(struct span text, size_t place)
{
    size_t size = symbol_bytes(text.at[place]);
    return size < text.size - place ? size : text.size - place;
}

/* Whether a mark of its own stands in front of this byte. */
static bool is_prefixed(struct span text, size_t i, enum space_prefix prefix)
{
    if (prefix != SPACE_PREFIX_LINES)
        return prefix == SPACE_PREFIX_TEXT && i == 0;
    if ((i > 0 && text.at[i - 1] != '\n') || text.at[i] == '\n' || text.at[i] == ' ')
        return false;
    return text.size - i < MARK_BYTES || memcmp(text.at + i, space_mark, MARK_BYTES) != 0;
}

bool escape_spaces(
    struct tokenizer_session *s, struct span *text, const uint8_t **trusted, enum space_prefix prefix)
{
    size_t room = text->size, size = 0;
    for (size_t i = 0; i < text->size; i++)
        room +=
            (is_prefixed(*text, i, prefix) ? MARK_BYTES : 0u) + (text->at[i] == ' ' ? MARK_BYTES - 1u : 0u);
    if (room == text->size)
        return true;
    if (!session_room(s, &s->escaped, &s->escaped_room, room, 1) ||
        (*trusted && !session_room(s, &s->marks, &s->marks_room, room, 1)))
        return false;
    for (size_t i = 0; i < text->size; i++) {
        if (is_prefixed(*text, i, prefix)) {
            memcpy(s->escaped + size, space_mark, MARK_BYTES);
            if (*trusted)
                memset(s->marks + size, TOKENIZER_BY_TEMPLATE, MARK_BYTES);
            size += MARK_BYTES;
        }
        const size_t length = text->at[i] == ' ' ? MARK_BYTES : 1;
        memcpy(s->escaped + size, length > 1 ? space_mark : &text->at[i], length);
        if (*trusted)
            memset(s->marks + size, (*trusted)[i], length);
        size += length;
    }
    *text = (struct span){s->escaped, size};
    *trusted = *trusted ? s->marks : NULL;
    return true;
}

bool has_joint(const struct tokenizer *t, uint8_t left, uint8_t right)
{
    return bits_hold(t->joints, (size_t)left << 8 | right);
}

void find_joints(struct tokenizer *t)
{
    for (size_t id = 0; id < t->vocabulary.n; id++) {
        struct span text = vocabulary_text(&t->vocabulary, id);
        for (size_t i = 1; i < text.size; i++)
            bits_set(t->joints, (size_t)text.at[i - 1] << 8 | text.at[i]);
    }
}

int byte_of_piece(struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    if (text.size != 6 || memcmp(text.at, "<0x", 3) != 0 || text.at[5] != '>')
        return -1;
    const char *high = memchr(digits, text.at[3], 16), *low = memchr(digits, text.at[4], 16);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

int32_t find_byte_piece(const struct vocabulary *v, uint8_t byte)
{
    char name[8];
    snprintf(name, sizeof(name), "<0x%02X>", byte);
    return vocabulary_find(v, span_of(name));
}

void sentencepiece_piece(const struct tokenizer *t, int32_t id, struct strbuf *out)
{
    struct span text = vocabulary_text(&t->vocabulary, (size_t)id);
    int byte = t->vocabulary.tokens[id].kind == TOKEN_BYTE ? byte_of_piece(text) : -1;
    if (byte >= 0) {
        strbuf_add(out, (struct span){&(uint8_t){(uint8_t)byte}, 1});
        return;
    }
    for (size_t i = 0, length; i < text.size; i += length) {
        bool space = text.size - i >= MARK_BYTES && memcmp(text.at + i, space_mark, MARK_BYTES) == 0;
        length = space ? MARK_BYTES : 1;
        strbuf_add(out, space ? span_of(" ") : (struct span){text.at + i, 1});
    }
}

float score_of(const struct tokenizer *t, int32_t id)
{
    uint32_t bits = 0;
    float score;
    if (t->scores)
        memcpy(&bits, t->scores + (size_t)id * sizeof(bits), sizeof(bits));
    memcpy(&score, &bits, sizeof(score));
    return t->scores_are_integers ? (float)(int32_t)bits : score;
}

bool read_scores(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    const struct checkpoint_value *array = checkpoint_find(c, "tokenizer.ggml.scores");
    if (!array)
        return true;
    t->scores_are_integers = checkpoint_is_array_of(array, CHECKPOINT_SIGNED);
    if ((!t->scores_are_integers && !checkpoint_is_array_of(array, CHECKPOINT_REAL)) || array->width != 4)
        return error_set(err, "key \"tokenizer.ggml.scores\" is not an array of f32 or i32");
    if (array->count < t->vocabulary.n)
        return error_set(err, "key \"tokenizer.ggml.scores\" has %" PRIu64 " items for %zu tokens",
            array->count, t->vocabulary.n);
    t->scores = array->bytes.at;
    for (size_t i = 0; i < t->vocabulary.n; i++)
        if (isnan(score_of(t, (int32_t)i)))
            return error_set(err, "the score of token %zu is NaN", i);
    return true;
}
