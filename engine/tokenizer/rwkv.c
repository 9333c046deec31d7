/* rwkv.c - the tokenizer of RWKV, "rwkv" in files: the longest token, from the left.
 *
 * The file has the tokens' texts escaped: \n, \t, \r, \xNN, and a backslash in front of any other character. They are
 * unescaped into a vocabulary of their own when the file is read.
 */
#include "tokenizer_private.h"

#include <stdlib.h>

static uint8_t hex_value(uint8_t c)
{
    return (uint8_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

/* Writes what the escaped text stands for, which is no longer, and returns its size. */
static size_t unescape(struct span text, uint8_t *out)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        if (c != '\\' || i + 1 == text.size) {
            if (c != '\\')
                out[size++] = c;
            continue;
        }
        c = text.at[++i];
        if (c != 'x') {
            out[size++] = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        } else if (i + 2 < text.size) {
            out[size++] = (uint8_t)(hex_value(text.at[i + 1]) << 4 | hex_value(text.at[i + 2]));
            i += 2;
        } else {
            break;
        }
    }
    return size;
}

static bool rwkv_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    (void)c;
    const struct vocabulary *v = &t->vocabulary;
    size_t bytes = 0;
    for (size_t id = 0; id < v->n; id++)
        bytes += v->tokens[id].size;
    t->plain_bytes = malloc(bytes + 1);
    if (!t->plain_bytes || !vocabulary_copy(&t->plain, v))
        return error_no_memory(err, "the vocabulary");
    size_t at = 0;
    for (size_t id = 0; id < v->n; id++) {
        size_t size = unescape(vocabulary_text(v, id), t->plain_bytes + at);
        t->plain.tokens[id].at = (uint32_t)at;
        t->plain.tokens[id].size = (uint16_t)size;
        at += size;
    }
    t->plain.bytes = (struct span){t->plain_bytes, at};
    return vocabulary_index(&t->plain, err) && prefixes_init(&t->prefixes, &t->plain, PREFIX_ALL, err);
}

static bool rwkv_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    const bool by_others = is_by_others(trusted, text.size);
    s->found_bytes = 0;
    for (size_t at = 0, n; at < text.size;) {
        if (!prefixes_at(s, text, at, &n))
            return false;
        while (n > 0 && by_others && is_forbidden(s, s->found[n - 1].id))
            n--;
        int32_t id = n > 0 ? s->found[n - 1].id : s->t->special[TOKENIZER_UNKNOWN];
        at += n > 0 ? s->found[n - 1].size : 1;
        if (id != TOKENIZER_NONE && !session_add(s, id))
            return false;
    }
    return true;
}

static void rwkv_piece(const struct tokenizer *t, int32_t id, struct strbuf *out)
{
    strbuf_add(out, vocabulary_text(&t->plain, (size_t)id));
}

const struct tokenizer_kind tokenizer_rwkv = {
    .name = "rwkv",
    .bos = TOKENIZER_NONE,
    .eos = TOKENIZER_NONE,
    .unknown = TOKENIZER_NONE,
    .separator = TOKENIZER_NONE,
    .padding = TOKENIZER_NONE,
    .mask = TOKENIZER_NONE,
    .ends = KIND_ADDS_NOTHING,
    .read = rwkv_read,
    .encode = rwkv_encode,
    .piece = rwkv_piece,
};
