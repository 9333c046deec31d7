/* chat_answer.h - answers in chat formats for tests: a vocabulary of bytes, a matcher that follows a text, and what the
 * reader tells of it. Include this after cmocka.h.
 */
#ifndef BERTH_TESTS_CHAT_ANSWER_H
#define BERTH_TESTS_CHAT_ANSWER_H

#include "berth/engine/chat/chat_format.h"
#include "berth/server/api/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_CALLS 512

/* ---- what was told ---- */

struct told {
    struct strbuf text, reasoning;
    struct told_call {
        char name[80], id[16];
        struct strbuf arguments;
        bool ended;
    } calls[ANSWER_CALLS];
    size_t n_calls;
    char next_id[16];
    bool cut_characters; /* an event ended inside a character */
};

static inline void told_init(struct told *t)
{
    memset(t, 0, sizeof(*t));
    strbuf_init(&t->text, (size_t)1 << 20);
    strbuf_init(&t->reasoning, (size_t)1 << 20);
    for (size_t i = 0; i < ANSWER_CALLS; i++)
        strbuf_init(&t->calls[i].arguments, (size_t)1 << 20);
}

static inline void told_release(struct told *t)
{
    strbuf_release(&t->text);
    strbuf_release(&t->reasoning);
    for (size_t i = 0; i < ANSWER_CALLS; i++)
        strbuf_release(&t->calls[i].arguments);
}

static inline bool ends_whole(struct span s)
{
    for (size_t i = 0; i < s.size;) {
        size_t n = text_character((struct span){s.at + i, s.size - i});
        if (n == 0 && s.size - i < 4 && s.at[i] >= 0xc0)
            return false;
        i += n > 0 ? n : 1;
    }
    return true;
}

static inline void tell_told(void *context, enum chat_event event, size_t call, struct span text)
{
    struct told *t = context;
    struct told_call *c = &t->calls[call];
    assert_true(call < ANSWER_CALLS);
    t->cut_characters = t->cut_characters || !ends_whole(text);
    switch (event) {
    case CHAT_TEXT:
        strbuf_add(&t->text, text);
        break;
    case CHAT_REASONING:
        strbuf_add(&t->reasoning, text);
        break;
    case CHAT_CALL_ID:
        snprintf(t->next_id, sizeof(t->next_id), "%.*s", (int)text.size, (const char *)text.at);
        break;
    case CHAT_CALL_BEGIN:
        assert_int_equal(call, t->n_calls);
        t->n_calls++;
        snprintf(c->name, sizeof(c->name), "%.*s", (int)text.size, (const char *)text.at);
        memcpy(c->id, t->next_id, sizeof(c->id));
        t->next_id[0] = 0;
        break;
    case CHAT_CALL_ARGUMENTS:
        assert_int_equal(call + 1, t->n_calls);
        assert_false(c->ended);
        strbuf_add(&c->arguments, text);
        break;
    case CHAT_CALL_END:
        assert_int_equal(call + 1, t->n_calls);
        assert_false(c->ended);
        c->ended = true;
        break;
    }
}

/* ---- a vocabulary: the bytes, an end, control tokens, and pieces of text ---- */

#define TOKEN_OF_END 256
#define PIECE_LONGEST 16

struct token_list {
    const char *const *controls; /* ends in NULL; NULL for none */
    char (*pieces)[PIECE_LONGEST + 1]; /* [n_pieces] */
    size_t n_controls, n_pieces;
};

static inline enum token_class read_token(void *context, int32_t id, struct strbuf *out)
{
    const struct token_list *v = context;
    uint8_t byte = (uint8_t)id;
    size_t i = (size_t)(id - TOKEN_OF_END - 1);
    if (id < 256)
        strbuf_add(out, (struct span){&byte, 1});
    else if (id == TOKEN_OF_END)
        strbuf_text(out, "<|the_end|>");
    else
        strbuf_text(out, i < v->n_controls ? v->controls[i] : v->pieces[i - v->n_controls]);
    return id == TOKEN_OF_END ? TOKEN_END : id > 256 && i < v->n_controls ? TOKEN_CONTROL : TOKEN_TEXT;
}

/* ---- an answer ---- */

struct following {
    struct grammar *g;
    struct token_trie *trie;
    struct token_list tokens;
    struct grammar_matcher *m;
    struct chat_reader reader;
    struct told told;
};

static inline void follow_with(struct following *f, const struct chat_form *form, struct token_list tokens)
{
    struct error err = {0};
    struct json_notes notes = {0};
    struct chat_form own = *form;
    while (tokens.controls && tokens.controls[tokens.n_controls])
        tokens.n_controls++;
    f->tokens = tokens;
    f->trie =
        token_trie_new(TOKEN_OF_END + 1 + tokens.n_controls + tokens.n_pieces, read_token, &f->tokens, &err);
    assert_non_null(f->trie);
    own.trie = f->trie;
    f->g = chat_form_build(&own, &notes, &err);
    if (!f->g)
        fail_msg("%s: %s", form->format ? chat_format_name(form->format) : "no format", err.text);
    f->m = grammar_matcher_new(f->g, f->trie);
    assert_non_null(f->m);
    chat_reader_init(&f->reader, &own, NULL);
    told_init(&f->told);
}

static inline void follow(struct following *f, const struct chat_form *form, const char *const *controls)
{
    follow_with(f, form, (struct token_list){.controls = controls});
}

/* A new answer under the same grammar. */
static inline void begin_again(struct following *f, const struct chat_form *form)
{
    grammar_matcher_free(f->m);
    f->m = grammar_matcher_new(f->g, f->trie);
    assert_non_null(f->m);
    chat_reader_release(&f->reader);
    told_release(&f->told);
    chat_reader_init(&f->reader, form, NULL);
    told_init(&f->told);
}

static inline void unfollow(struct following *f)
{
    grammar_matcher_free(f->m);
    grammar_drop(f->g);
    token_trie_free(f->trie);
    chat_reader_release(&f->reader);
    told_release(&f->told);
}

/* Takes one token. False when it is not allowed. */
static inline bool take(struct following *f, int32_t token)
{
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct strbuf text;
    size_t back, at = 0; /* the reader knows by itself what it has to hold back */
    if (!grammar_matcher_allows(f->m, token))
        return false;
    strbuf_init(&text, 256);
    size_t n = grammar_matcher_accept(f->m, token, runs, &back);
    if (read_token(&f->tokens, token, &text) == TOKEN_CONTROL)
        chat_reader_add(&f->reader, GRAMMAR_TAG_MARK, span_of(""), tell_told, &f->told);
    for (size_t i = 0; i < n; at += runs[i++].bytes)
        chat_reader_add(&f->reader, runs[i].tag,
            (struct span){(const uint8_t *)text.text + at, runs[i].bytes}, tell_told, &f->told);
    strbuf_release(&text);
    return true;
}

/* The control token that the text begins with, or its first byte; *n is its length. */
static inline int32_t next_token(const struct following *f, const char *text, size_t *n)
{
    for (size_t i = 0; i < f->tokens.n_controls; i++) {
        *n = strlen(f->tokens.controls[i]);
        if (strncmp(text, f->tokens.controls[i], *n) == 0)
            return (int32_t)(TOKEN_OF_END + 1 + i);
    }
    *n = 1;
    return (uint8_t)text[0];
}

/* Takes the text, byte by byte and control token by control token. Returns how many bytes were allowed. */
static inline size_t take_text(struct following *f, const char *text)
{
    size_t at = 0, n;
    for (; text[at]; at += n)
        if (!take(f, next_token(f, text + at, &n)))
            break;
    return at;
}

/* Ends the answer. Returns whether it was whole. */
static inline bool take_end(struct following *f)
{
    bool whole = grammar_matcher_may_end(f->m);
    assert_int_equal(whole, grammar_matcher_allows(f->m, TOKEN_OF_END));
    chat_reader_end(&f->reader, whole, tell_told, &f->told);
    return whole;
}

/* ---- tools ---- */

static inline struct value parsed_value(struct value_arena *a, const char *text)
{
    struct error err = {0};
    struct value v = value_undefined;
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    assert_true(json_to_value(a, json, &v, &err));
    json_decref(json);
    return v;
}

static inline struct chat_tool new_tool(struct value_arena *a, const char *name, const char *parameters)
{
    return (struct chat_tool){
        .name = span_of(name), .parameters = parameters ? parsed_value(a, parameters) : value_undefined};
}

#endif
