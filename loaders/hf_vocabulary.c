/* hf_vocabulary.c - the tokens of tokenizer.json: the model's vocabulary, and the tokens that were added to it.
 *
 * The vocabulary is a table of texts and ids in any order, of up to some 300,000 entries. It is read by a scan that notes
 * where each text lies, and then written as one array in the order of the ids.
 */
#include "hf_private.h"
#include "json_scan_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS_MAX ((uint64_t)1 << 21)
#define GAP_ROOM 16 /* of "[PAD151643]" */
#define MARK "\xe2\x96\x81" /* U+2581 */

static bool token_room(struct hf_tokenizer *t, uint64_t id, struct error *err)
{
    if (id >= TOKENS_MAX)
        return error_set(err, "the id %" PRIu64 " is too large for a token", id);
    if (id >= t->room) {
        const size_t room = (size_t)id + (size_t)id / 2 + 1024;
        struct hf_token *grown = realloc(t->tokens, room * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, "the vocabulary");
        memset(grown + t->room, 0, (room - t->room) * sizeof(*grown));
        t->tokens = grown;
        t->room = room;
    }
    t->n = id >= t->n ? (size_t)id + 1 : t->n;
    return true;
}

static bool set_token(struct hf_tokenizer *t, uint64_t id, struct hf_token token, struct error *err)
{
    if (!token_room(t, id, err))
        return false;
    if (t->tokens[id].text.at)
        return error_set(err, "two tokens have the id %" PRIu64, id);
    t->tokens[id] = token;
    return true;
}

/* ---- the model's vocabulary ---- */

/* {"text": id, …} */
static bool read_map(struct hf_tokenizer *t, struct json_scan *s)
{
    struct span text;
    uint64_t id;
    bool first = true;
    for (json_scan_enter(s, '{'); json_scan_member(s, &first, &text) && json_scan_whole(s, &id);)
        if (!set_token(t, id, (struct hf_token){.text = text, .kind = HF_NORMAL}, s->err))
            return false;
    return !s->failed;
}

/* [["text", score], …] of the unigram model; ids are places. */
static bool read_list(struct hf_tokenizer *t, struct json_scan *s)
{
    bool first = true;
    for (json_scan_enter(s, '['); json_scan_item(s, &first);) {
        struct hf_token token = {.kind = HF_NORMAL};
        double score = 0;
        bool begins = true;
        if (!json_scan_enter(s, '[') || !json_scan_item(s, &begins) || !json_scan_text(s, &token.text) ||
            !json_scan_item(s, &begins) || !json_scan_real(s, &score) || json_scan_item(s, &begins))
            return json_scan_fail(s, "a text and a score are needed");
        token.score = (float)score;
        if (s->failed || !set_token(t, t->n, token, s->err))
            return false;
    }
    return !s->failed;
}

/* ---- added tokens ---- */

static bool begins(struct span text, const char *with)
{
    const size_t size = strlen(with);
    return text.size >= size && memcmp(text.at, with, size) == 0;
}

/* Files do not call some marks special that a message must not forge: <|fim_prefix|>. */
static bool looks_special(struct span text)
{
    return (begins(text, "<|") && span_ends_with(text, "|>")) ||
           (begins(text, "<\xef\xbd\x9c") && span_ends_with(text, "\xef\xbd\x9c>"));
}

static bool read_added(struct hf_tokenizer *t, struct value added, size_t index, struct error *err)
{
    const struct value *id = hf_member(added, "id"), *content = hf_member(added, "content");
    char what[80];
    snprintf(what, sizeof(what), "item %zu has no id or no content", index);
    if (!id || id->kind != VALUE_INTEGER || id->integer < 0 || !content || content->kind != VALUE_STRING)
        return hf_refuse_tokenizer("added_tokens", what, err);
    snprintf(what, sizeof(what), "item %zu has single_word, which berth does not run", index);
    if (hf_is_set(added, "single_word"))
        return hf_refuse_tokenizer("added_tokens", what, err);
    const struct span text = value_span(*content);
    if (text.size == 0)
        return true;
    if (!token_room(t, (uint64_t)id->integer, err))
        return false;
    const bool special = hf_is_set(added, "special") || looks_special(text);
    t->tokens[id->integer].text = text;
    t->tokens[id->integer].is_plain = true;
    t->tokens[id->integer].kind = special ? HF_CONTROL : HF_USER_DEFINED;
    return true;
}

static const struct value *added_tokens(const struct hf_tokenizer *t)
{
    const struct value *list = hf_member(t->file, "added_tokens");
    return list && list->kind == VALUE_LIST ? list : NULL;
}

static bool read_all_added(struct hf_tokenizer *t, struct error *err)
{
    const struct value *list = added_tokens(t);
    for (size_t i = 0; list && i < list->list->n; i++)
        if (!read_added(t, list->list->items[i], i, err))
            return false;
    return true;
}

/* Writes the ids of added tokens with this flag as an array, also where none has it. */
static bool add_flagged(
    struct hf_model *m, const struct hf_tokenizer *t, const char *flag, const char *key, struct error *err)
{
    const struct value *list = added_tokens(t);
    const size_t most = list ? list->list->n : 0;
    uint64_t n = 0;
    uint8_t *ids = hf_memory(m, 8 * most + 1, err);
    for (size_t i = 0; ids && i < most; i++)
        if (hf_is_set(list->list->items[i], flag))
            hf_put_u64(ids + 8 * n++, (uint64_t)hf_member(list->list->items[i], "id")->integer);
    return ids && hf_add_array(m, key, CHECKPOINT_UNSIGNED, 8, n, (struct span){ids, 8 * (size_t)n}, err);
}

/* ---- the array ---- */

static bool is_byte(struct span text)
{
    return text.size == 6 && memcmp(text.at, "<0x", 3) == 0 && text.at[5] == '>';
}

/* WordPiece's texts as GGUF has them: a token that goes on with a word has no ##, one that begins a word has U+2581. */
static size_t as_piece(uint8_t *text, size_t size)
{
    if (size > 2 && memcmp(text, "##", 2) == 0) {
        memmove(text, text + 2, size - 2);
        return size - 2;
    }
    memmove(text + 3, text, size);
    memcpy(text, MARK, 3);
    return size + 3;
}

static bool pack_token(struct hf_tokenizer *t, size_t id, uint8_t **at, struct error *err)
{
    struct hf_token *token = &t->tokens[id];
    uint8_t *text = *at + 8;
    size_t size = token->text.size;
    if (!token->text.at) {
        size = (size_t)sprintf((char *)text, "[PAD%zu]", id);
        token->kind = HF_UNUSED;
    } else if (token->is_plain) {
        memcpy(text, token->text.at, size);
    } else if (!json_scan_unescape(token->text, text, &size)) {
        return error_set(err, "token %zu has an escape that JSON does not have", id);
    }
    if (t->wordpiece && token->kind == HF_NORMAL)
        size = as_piece(text, size);
    if (t->sentencepiece && token->kind == HF_NORMAL && is_byte((struct span){text, size}))
        token->kind = HF_BYTE;
    hf_put_u64(*at, size);
    token->text = (struct span){text, size};
    *at = text + size;
    return true;
}

static bool pack(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    size_t room = 1;
    for (size_t i = 0; i < t->n; i++)
        room += 8 + 3 + (t->tokens[i].text.at ? t->tokens[i].text.size : GAP_ROOM);
    uint8_t *at = t->packed = hf_memory(m, room, err), *kinds = hf_memory(m, t->n + 1, err);
    if (!at || !kinds)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        if (!pack_token(t, i, &at, err))
            return false;
        kinds[i] = t->tokens[i].kind;
    }
    const struct span texts = {t->packed, (size_t)(at - t->packed)};
    return hf_add_array(m, "tokenizer.ggml.tokens", CHECKPOINT_STRING, 0, t->n, texts, err) &&
           hf_add_array(
               m, "tokenizer.ggml.token_type", CHECKPOINT_UNSIGNED, 1, t->n, (struct span){kinds, t->n}, err);
}

/* ---- the whole ---- */

uint64_t hf_find_token(const struct hf_tokenizer *t, struct span text)
{
    for (size_t i = 0; i < t->n; i++)
        if (span_compare(t->tokens[i].text, text) == 0)
            return i;
    return UINT64_MAX;
}

/* The unknown token is no special one in all files. */
static bool mark_unknown(struct hf_tokenizer *t, struct error *err)
{
    const struct value *unknown = hf_member(t->model, "unk_token"), *number = hf_member(t->model, "unk_id");
    uint64_t id = UINT64_MAX;
    if (unknown && unknown->kind == VALUE_STRING) {
        for (id = 0; id < t->n; id++)
            if (span_compare(t->tokens[id].text, value_span(*unknown)) == 0)
                break;
    } else if (number && number->kind == VALUE_INTEGER && number->integer >= 0) {
        id = (uint64_t)number->integer;
    } else {
        return true;
    }
    if (id >= t->n)
        return hf_refuse_tokenizer("model.unk_token", "is no token", err);
    if (t->sentencepiece)
        t->tokens[id].kind = HF_UNKNOWN;
    return true;
}

bool hf_read_vocabulary(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    struct json_scan s = {.text = t->vocab, .err = err};
    const bool list = json_scan_peek(&s) == '[';
    if (!(list ? read_list(t, &s) : read_map(t, &s)))
        return error_prefix(err, "tokenizer.json: field \"model.vocab\"");
    if (!read_all_added(t, err) || !mark_unknown(t, err))
        return false;
    if (t->n == 0)
        return hf_refuse_tokenizer("model.vocab", "is empty", err);
    return (pack(m, t, err) || error_prefix(err, "tokenizer.json")) &&
           add_flagged(m, t, "lstrip", "tokenizer.ggml.lstrip_token_ids", err) &&
           add_flagged(m, t, "rstrip", "tokenizer.ggml.rstrip_token_ids", err);
}
