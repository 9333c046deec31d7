/* delta.c - what is new of a choice, as parts of JSON: text, token ids, tokens with their log probabilities. */
#include "berth/server/api/completion.h"

#include <inttypes.h>
#include <math.h>

#define NEVER (-9999.0) /* what OpenAI writes for the log probability of an impossible token */
#define PIECES_MAX ((size_t)65536 * (JOB_LOGPROBS_MAX + 1)) /* bytes of the texts of a token and its rivals */

/* ---- a delta and its parts ---- */

#define PARTS 7

static void parts_of(struct delta *f, struct strbuf *parts[PARTS])
{
    struct strbuf *const all[PARTS] = {
        &f->ids, &f->tokens, &f->logprobs, &f->top, &f->offsets, &f->text, &f->reasoning};
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = all[i];
}

void delta_init(struct delta *f, struct byte_budget *memory)
{
    struct strbuf *parts[PARTS];
    parts_of(f, parts);
    for (size_t i = 0; i < PARTS; i++) {
        strbuf_init(parts[i], ANSWER_MAX);
        parts[i]->budget = memory;
    }
}

void delta_clear(struct delta *f)
{
    struct strbuf *parts[PARTS];
    parts_of(f, parts);
    for (size_t i = 0; i < PARTS; i++)
        parts[i]->size = 0;
}

void delta_release(struct delta *f)
{
    struct strbuf *parts[PARTS];
    parts_of(f, parts);
    for (size_t i = 0; i < PARTS; i++)
        strbuf_release(parts[i]);
}

bool delta_failed(const struct delta *f)
{
    return f->text.failed || f->reasoning.failed || f->ids.failed || f->tokens.failed || f->logprobs.failed ||
           f->top.failed || f->offsets.failed;
}

size_t delta_bytes(const struct delta *f)
{
    return f->text.size + f->reasoning.size + f->ids.size + f->tokens.size + f->logprobs.size + f->top.size +
           f->offsets.size;
}

bool delta_has_lists(const struct delta *f)
{
    return f->ids.size > 0 || f->tokens.size > 0;
}

void delta_add_part(struct strbuf *out, const struct strbuf *text)
{
    strbuf_add(out, (struct span){(const uint8_t *)text->text, text->size});
}

static void add_comma(struct strbuf *list)
{
    if (list->size > 0)
        strbuf_text(list, ",");
}

static void join_list(struct strbuf *to, const struct strbuf *from)
{
    if (from->size > 0)
        add_comma(to);
    delta_add_part(to, from);
}

void delta_join_lists(struct delta *to, const struct delta *from)
{
    join_list(&to->ids, &from->ids);
    join_list(&to->tokens, &from->tokens);
    join_list(&to->logprobs, &from->logprobs);
    join_list(&to->top, &from->top);
    join_list(&to->offsets, &from->offsets);
}

/* ---- tokens with their probabilities ---- */

static bool is_text(struct span s)
{
    for (size_t pos = 0, size; pos < s.size; pos += size) {
        size = text_character((struct span){s.at + pos, s.size - pos});
        if (size == 0)
            return false;
    }
    return true;
}

/* A token's text as a JSON string. Bytes that are not UTF-8 are written as OpenAI does: bytes:\xe2\x80. */
static void add_token_text(struct strbuf *out, struct span piece)
{
    if (is_text(piece)) {
        strbuf_json(out, piece);
        return;
    }
    strbuf_text(out, "\"bytes:");
    for (size_t i = 0; i < piece.size; i++)
        strbuf_format(out, "\\\\x%02x", piece.at[i]);
    strbuf_text(out, "\"");
}

static void add_number(struct strbuf *out, float logprob)
{
    if (isnan(logprob))
        strbuf_text(out, "null");
    else
        strbuf_format(out, "%.9g", isinf(logprob) ? NEVER : (double)logprob);
}

/* "token":…,"logprob":…,"bytes":[…] */
static void add_token_members(
    const struct completion *a, struct strbuf *out, struct strbuf *piece, int32_t id, float logprob)
{
    piece->size = 0;
    if (text_model_tokenizer(a->requested_model.text))
        tokenizer_piece(text_model_tokenizer(a->requested_model.text), id, true, piece);
    struct span bytes = {(const uint8_t *)piece->text, piece->size};
    if (a->writer->token_object_ids)
        strbuf_format(out, "\"id\":%" PRId32 ",", id);
    strbuf_text(out, "\"token\":");
    add_token_text(out, bytes);
    strbuf_text(out, ",\"logprob\":");
    add_number(out, logprob);
    strbuf_text(out, ",\"bytes\":[");
    for (size_t i = 0; i < bytes.size; i++)
        strbuf_format(out, i ? ",%u" : "%u", bytes.at[i]);
    strbuf_text(out, "]");
}

static void add_chat_token(
    const struct completion *a, struct delta *f, struct strbuf *piece, const struct job_token *t)
{
    add_comma(&f->tokens);
    strbuf_text(&f->tokens, "{");
    add_token_members(a, &f->tokens, piece, t->id, t->logprob);
    strbuf_text(&f->tokens, ",\"top_logprobs\":[");
    for (uint32_t i = 0; t->top && i < a->n_top && t->top[i].token >= 0; i++) {
        strbuf_text(&f->tokens, i ? ",{" : "{");
        add_token_members(a, &f->tokens, piece, t->top[i].token, t->top[i].logprob);
        strbuf_text(&f->tokens, "}");
    }
    strbuf_text(&f->tokens, "]}");
}

static struct span piece_of(const struct completion *a, struct strbuf *piece, int32_t id)
{
    piece->size = 0;
    if (text_model_tokenizer(a->requested_model.text))
        tokenizer_piece(text_model_tokenizer(a->requested_model.text), id, true, piece);
    return (struct span){(const uint8_t *)piece->text, piece->size};
}

/* The i-th of several texts that lie behind each other. */
static struct span text_at(const struct strbuf *texts, const size_t *ends, uint32_t i)
{
    size_t start = i ? ends[i - 1] : 0;
    return (struct span){(const uint8_t *)texts->text + start, ends[i] - start};
}

/* Two tokens may have the same text, and an object has a name once: the more probable token is written. */
static bool is_repeated(const struct strbuf *texts, const size_t *ends, uint32_t i)
{
    uint32_t k = 0;
    while (k < i && span_compare(text_at(texts, ends, k), text_at(texts, ends, i)) != 0)
        k++;
    return k < i;
}

static void add_top_object(
    const struct completion *a, struct strbuf *out, struct strbuf *texts, const struct job_token *t)
{
    const struct tokenizer *tokenizer = text_model_tokenizer(a->requested_model.text);
    size_t ends[JOB_LOGPROBS_MAX + 1];
    uint32_t n = 0;
    if (isnan(t->logprob)) {
        strbuf_text(out, "null"); /* the prompt's first token */
        return;
    }
    if (a->n_top == 0) {
        strbuf_text(out, "{}");
        return;
    }
    while (t->top && n < a->n_top && t->top[n].token >= 0)
        n++;
    /* The token itself comes last, where it is not among the most probable. */
    texts->size = 0;
    for (uint32_t i = 0; i <= n; i++) {
        if (tokenizer)
            tokenizer_piece(tokenizer, i < n ? t->top[i].token : t->id, true, texts);
        ends[i] = texts->size;
    }
    strbuf_text(out, "{");
    for (uint32_t i = 0; i <= n; i++) {
        if (is_repeated(texts, ends, i))
            continue;
        strbuf_text(out, i ? "," : "");
        add_token_text(out, text_at(texts, ends, i));
        strbuf_text(out, ":");
        add_number(out, i < n ? t->top[i].logprob : t->logprob);
    }
    strbuf_text(out, "}");
}

/* How many characters begin in a token's bytes. Special tokens are not in the text. */
static size_t characters_of(const struct completion *a, struct span piece, int32_t id)
{
    size_t n = 0;
    const struct tokenizer *t = text_model_tokenizer(a->requested_model.text);
    if (!t || tokenizer_is_special(t, id))
        return 0;
    for (size_t i = 0; i < piece.size; i++)
        n += (piece.at[i] & 0xc0) != 0x80;
    return n;
}

static void add_completion_token(const struct completion *a, struct choice *c, struct delta *f,
    struct strbuf *piece, const struct job_token *t)
{
    add_comma(&f->tokens);
    add_comma(&f->logprobs);
    add_comma(&f->top);
    add_comma(&f->offsets);
    struct span text = piece_of(a, piece, t->id);
    size_t characters = characters_of(a, text, t->id);
    add_token_text(&f->tokens, text);
    strbuf_format(&f->offsets, "%zu", c->characters);
    if (c->unprefixed && characters > 0) {
        characters -= text.at[0] == ' ';
        c->unprefixed = false;
    }
    c->characters += characters;
    add_number(&f->logprobs, t->logprob);
    add_top_object(a, &f->top, piece, t);
}

void delta_add(const struct completion *a, struct choice *c, struct delta *f, const struct job_piece *p)
{
    struct strbuf piece;
    for (size_t i = 0; a->token_ids && !p->prompt && i < p->n_tokens && !p->tokens[i].ends; i++)
        strbuf_format(&f->ids, f->ids.size ? ",%" PRId32 : "%" PRId32, p->tokens[i].id);
    if (!a->logprobs || p->n_tokens == 0)
        return;
    strbuf_init(&piece, PIECES_MAX);
    for (size_t i = 0; i < p->n_tokens; i++) {
        if (a->route == FOR_CHAT || a->writer->token_objects)
            add_chat_token(a, f, &piece, &p->tokens[i]);
        else
            add_completion_token(a, c, f, &piece, &p->tokens[i]);
    }
    strbuf_release(&piece);
}
