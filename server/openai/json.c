/* json.c - the objects and events of OpenAI's answers, written straight into text.
 *
 * A stream writes some hundred bytes for each token, so no tree of values is built for it. The members are
 * those of OpenAI's reference, in its order.
 */
#include "completion_private.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define NEVER (-9999.0) /* what OpenAI writes for the logarithm of nothing */
#define PIECES_MAX                                                                                           \
    ((size_t)65536 * (JOB_LOGPROBS_MAX + 1)) /* bytes of the texts of a token and of the best */

/* ---- deltas ---- */

void delta_init(struct delta *f)
{
    strbuf_init(&f->text, ANSWER_MAX);
    strbuf_init(&f->ids, ANSWER_MAX);
    strbuf_init(&f->tokens, ANSWER_MAX);
    strbuf_init(&f->logprobs, ANSWER_MAX);
    strbuf_init(&f->top, ANSWER_MAX);
    strbuf_init(&f->offsets, ANSWER_MAX);
}

void delta_clear(struct delta *f)
{
    f->text.size = f->ids.size = f->tokens.size = f->logprobs.size = f->top.size = f->offsets.size = 0;
}

void delta_release(struct delta *f)
{
    strbuf_release(&f->text);
    strbuf_release(&f->ids);
    strbuf_release(&f->tokens);
    strbuf_release(&f->logprobs);
    strbuf_release(&f->top);
    strbuf_release(&f->offsets);
}

bool delta_failed(const struct delta *f)
{
    return f->text.failed || f->ids.failed || f->tokens.failed || f->logprobs.failed || f->top.failed ||
           f->offsets.failed;
}

static void add_text(struct strbuf *out, const struct strbuf *text)
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
    add_text(to, from);
}

size_t delta_bytes(const struct delta *f)
{
    return f->text.size + f->ids.size + f->tokens.size + f->logprobs.size + f->top.size + f->offsets.size;
}

void delta_join(struct delta *to, const struct delta *from)
{
    add_text(&to->text, &from->text);
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

/* As a JSON string; bytes that are no text as OpenAI shows them: bytes:\xe2\x80. */
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

/* The i-th of several texts that follow each other. */
static struct span text_at(const struct strbuf *texts, const size_t *ends, uint32_t i)
{
    size_t start = i ? ends[i - 1] : 0;
    return (struct span){(const uint8_t *)texts->text + start, ends[i] - start};
}

/* Two tokens may have one text, and an object only one member of a name: the more probable stays. */
static bool told_before(const struct strbuf *texts, const size_t *ends, uint32_t i)
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
    /* The token itself comes behind the best, where it is none of them. */
    texts->size = 0;
    for (uint32_t i = 0; i <= n; i++) {
        if (tokenizer)
            tokenizer_piece(tokenizer, i < n ? t->top[i].token : t->id, true, texts);
        ends[i] = texts->size;
    }
    strbuf_text(out, "{");
    for (uint32_t i = 0; i <= n; i++) {
        if (told_before(texts, ends, i))
            continue;
        strbuf_text(out, i ? "," : "");
        add_token_text(out, text_at(texts, ends, i));
        strbuf_text(out, ":");
        add_number(out, i < n ? t->top[i].logprob : t->logprob);
    }
    strbuf_text(out, "}");
}

/* Characters that a token's bytes begin: those that are no continuation. Special tokens are not in the text. */
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
    if (!p->prompt)
        strbuf_add(&f->text, (struct span){(const uint8_t *)p->text, p->text_size});
    for (size_t i = 0; a->token_ids && !p->prompt && i < p->n_tokens && !p->tokens[i].ends; i++)
        strbuf_format(&f->ids, f->ids.size ? ",%" PRId32 : "%" PRId32, p->tokens[i].id);
    if (!a->logprobs || p->n_tokens == 0)
        return;
    strbuf_init(&piece, PIECES_MAX);
    for (size_t i = 0; i < p->n_tokens; i++) {
        if (a->route == FOR_CHAT)
            add_chat_token(a, f, &piece, &p->tokens[i]);
        else
            add_completion_token(a, c, f, &piece, &p->tokens[i]);
    }
    strbuf_release(&piece);
}

/* ---- objects ---- */

static void add_head(const struct completion *a, struct strbuf *out)
{
    const char *kind = a->route != FOR_CHAT ? "text_completion"
                       : a->stream          ? "chat.completion.chunk"
                                            : "chat.completion";
    strbuf_format(
        out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", a->id, kind, a->created);
    strbuf_json(out, span_of(a->requested_model.model->id));
    strbuf_text(out, ",\"system_fingerprint\":\"berth-" BERTH_VERSION "\"");
}

static void add_list(struct strbuf *out, const char *name, const struct strbuf *items)
{
    strbuf_format(out, "\"%s\":[", name);
    add_text(out, items);
    strbuf_text(out, "]");
}

static void add_logprobs(const struct completion *a, const struct delta *f, struct strbuf *out)
{
    strbuf_text(out, ",\"logprobs\":");
    if (!a->logprobs || !f) {
        strbuf_text(out, "null");
        return;
    }
    strbuf_text(out, "{");
    if (a->route == FOR_CHAT) {
        add_list(out, "content", &f->tokens);
        strbuf_text(out, ",\"refusal\":null}");
        return;
    }
    add_list(out, "tokens", &f->tokens);
    strbuf_text(out, ",");
    add_list(out, "token_logprobs", &f->logprobs);
    strbuf_text(out, ",");
    add_list(out, "top_logprobs", &f->top);
    strbuf_text(out, ",");
    add_list(out, "text_offset", &f->offsets);
    strbuf_text(out, "}");
}

static void add_finish(const struct completion *a, size_t index, bool ended, struct strbuf *out)
{
    bool stop = a->choices[index].finish == JOB_STOP;
    strbuf_format(out, ",\"finish_reason\":%s", !ended ? "null" : stop ? "\"stop\"" : "\"length\"");
}

static void add_prompt_ids(const struct completion *a, size_t prompt, struct strbuf *out)
{
    const struct tokenizer_ids *ids = &a->prompts[prompt].prompt.ids;
    strbuf_text(out, ",\"prompt_token_ids\":[");
    for (size_t i = 0; i < ids->n; i++) {
        if (i > 0)
            strbuf_add(out, (struct span){(const uint8_t *)",", 1});
        strbuf_integer(out, ids->at[i]);
    }
    strbuf_text(out, "]");
}

static void add_counts(size_t prompt, size_t generated, struct strbuf *out)
{
    strbuf_format(out, ",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu",
        prompt, generated, prompt + generated);
}

static void add_usage(const struct completion *a, struct strbuf *out)
{
    size_t prompt = 0, cached = 0, generated = 0;
    for (size_t i = 0; i < a->n_prompts; i++) {
        prompt += a->prompts[i].prompt.ids.n;
        cached += a->prompts[i].usage.cached_tokens;
        generated += a->prompts[i].usage.generated_tokens;
    }
    add_counts(prompt, generated, out);
    strbuf_format(out, ",\"prompt_tokens_details\":{\"cached_tokens\":%zu}}", cached);
}

static void add_choice(const struct completion *a, size_t index, struct strbuf *out)
{
    const struct delta *f = &a->choices[index].delta;
    struct span text = {(const uint8_t *)f->text.text, f->text.size};
    strbuf_format(out, "%s{\"index\":%zu,", index ? "," : "", index);
    strbuf_text(out, a->route == FOR_CHAT ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
    strbuf_json(out, text);
    strbuf_text(out, a->route == FOR_CHAT ? ",\"refusal\":null}" : "");
    add_logprobs(a, f, out);
    add_finish(a, index, true, out);
    if (a->token_ids) {
        strbuf_text(out, ",");
        add_list(out, "token_ids", &f->ids);
        if (a->route != FOR_CHAT)
            add_prompt_ids(a, index / a->n_choices, out);
    }
    strbuf_text(out, "}");
}

void openai_write_whole(const struct completion *a, struct strbuf *out)
{
    add_head(a, out);
    strbuf_text(out, ",\"choices\":[");
    for (size_t i = 0; i < a->n_prompts * a->n_choices; i++)
        add_choice(a, i, out);
    strbuf_text(out, "]");
    add_usage(a, out);
    if (a->token_ids && a->route == FOR_CHAT)
        add_prompt_ids(a, 0, out);
    strbuf_text(out, "}");
}

/* ---- events ---- */

static void begin_event(const struct completion *a, size_t index, struct strbuf *out)
{
    strbuf_text(out, "data: ");
    add_head(a, out);
    strbuf_format(out, ",\"choices\":[{\"index\":%zu,", index);
}

/* The usage in an event of a choice is that of its prompt and of the choice so far. Where usage comes in the last
 * event alone, the others have null. */
static void end_event(const struct completion *a, size_t index, struct strbuf *out)
{
    strbuf_text(out, "}]");
    if (a->continuous_usage) {
        add_counts(a->prompts[index / a->n_choices].prompt.ids.n, a->choices[index].generated, out);
        strbuf_text(out, "}");
    } else if (a->include_usage) {
        strbuf_text(out, ",\"usage\":null");
    }
    strbuf_text(out, "}\n\n");
}

void openai_write_begin(const struct completion *a, size_t index, struct strbuf *out)
{
    if (a->route != FOR_CHAT)
        return;
    begin_event(a, index, out);
    strbuf_text(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}");
    add_logprobs(a, NULL, out);
    add_finish(a, index, false, out);
    if (a->token_ids)
        add_prompt_ids(a, 0, out);
    end_event(a, index, out);
}

void openai_write_fragment(
    const struct completion *a, size_t index, const struct delta *f, struct strbuf *out)
{
    if (f->text.size == 0 && f->ids.size == 0 && f->tokens.size == 0)
        return;
    begin_event(a, index, out);
    strbuf_text(out, a->route == FOR_CHAT ? "\"delta\":{\"content\":" : "\"text\":");
    strbuf_json(out, (struct span){(const uint8_t *)f->text.text, f->text.size});
    strbuf_text(out, a->route == FOR_CHAT ? "}" : "");
    add_logprobs(a, f, out);
    add_finish(a, index, false, out);
    if (a->token_ids) {
        strbuf_text(out, ",");
        add_list(out, "token_ids", &f->ids);
        if (a->route != FOR_CHAT && !a->choices[index].begun)
            add_prompt_ids(a, index / a->n_choices, out);
    }
    end_event(a, index, out);
}

void openai_write_finish(const struct completion *a, size_t index, struct strbuf *out)
{
    begin_event(a, index, out);
    strbuf_text(out, a->route == FOR_CHAT ? "\"delta\":{}" : "\"text\":\"\"");
    add_logprobs(a, NULL, out);
    add_finish(a, index, true, out);
    end_event(a, index, out);
}

void openai_write_usage(const struct completion *a, struct strbuf *out)
{
    strbuf_text(out, "data: ");
    add_head(a, out);
    strbuf_text(out, ",\"choices\":[]");
    add_usage(a, out);
    strbuf_text(out, "}\n\n");
}

void openai_write_error(unsigned status, const char *code, const char *message, struct strbuf *out)
{
    strbuf_text(out, "data: {\"error\":{\"message\":");
    strbuf_json(out, span_of(message));
    strbuf_format(out, ",\"type\":\"%s\",\"param\":null,\"code\":",
        status >= 500 ? "server_error" : "invalid_request_error");
    if (code)
        strbuf_format(out, "\"%s\"}}\n\n", code);
    else
        strbuf_text(out, "null}}\n\n");
}

void openai_write_done(struct strbuf *out)
{
    strbuf_text(out, "data: [DONE]\n\n");
}
