/* form.c - the grammar of an answer: reasoning, then text or calls.
 *
 * A byte that may belong to a marker or to text has the tag of text until the last byte of the marker, in all
 * alternatives. So the tag of a byte is certain when it is taken, and the reader holds back what may become a marker.
 */
#include "format_private.h"

#include "berth/engine/grammar/grammar.h"

#include <stdlib.h>

#define NEWLINES_MAX 2

/* ---- marks ---- */

/* Length of the control token that the text begins with, or 0. */
static size_t control_at(const struct chat_build *f, struct span s, int32_t *token)
{
    if (!f->form->trie || s.size == 0 || (s.at[0] != '<' && s.at[0] != '['))
        return 0;
    for (size_t n = 2; n <= s.size; n++) {
        if (s.at[n - 1] != '>' && s.at[n - 1] != ']')
            continue;
        *token = token_trie_control(f->form->trie, (struct span){s.at, n});
        if (*token >= 0)
            return n;
    }
    return 0;
}

/* The control token, or the bytes up to the next one, that a text begins with. */
static struct grammar_marker segment(const struct chat_build *f, struct span s)
{
    int32_t token = -1;
    size_t n = control_at(f, s, &token), ignored = 0;
    if (n > 0)
        return (struct grammar_marker){{s.at, n}, token};
    for (n = s.size > 0; n < s.size && ignored == 0; n += ignored == 0)
        ignored = control_at(f, (struct span){s.at + n, s.size - n}, &token);
    return (struct grammar_marker){{s.at, n}, -1};
}

static struct span behind(struct span s, size_t n)
{
    return (struct span){s.at + n, s.size - n};
}

static grammar_node marks(const struct chat_build *f, struct span s)
{
    grammar_node node = NODE_EMPTY;
    while (s.size > 0) {
        struct grammar_marker m = segment(f, s);
        node = grammar_sequence(f->b, node, grammar_mark(f->b, &m));
        s = behind(s, m.text.size);
    }
    return node;
}

grammar_node chat_mark(const struct chat_build *f, const char *piece)
{
    return marks(f, chat_piece(piece));
}

grammar_node chat_mark_optional(const struct chat_build *f, const char *piece)
{
    return piece ? grammar_optional(f->b, chat_mark(f, piece)) : NODE_EMPTY;
}

/* A control token is found wherever it stands in the piece: bytes in front of it may be missing. */
struct grammar_marker chat_marker(const struct chat_build *f, const char *piece, grammar_node *rest)
{
    struct span s = chat_piece(piece);
    struct grammar_marker m = segment(f, s);
    if (m.token < 0 && m.text.size < s.size) {
        s = behind(s, m.text.size);
        m = segment(f, s);
    }
    *rest = marks(f, behind(s, m.text.size));
    return m;
}

grammar_node chat_newlines(const struct chat_build *f)
{
    grammar_node newlines = grammar_repeat(f->b, grammar_literal(f->b, span_of("\n")), 0, NEWLINES_MAX);
    return grammar_tag(f->b, newlines, GRAMMAR_TAG_MARK);
}

/* ---- text ---- */

bool chat_answer_is_free(const struct chat_build *f)
{
    return f->form->answer.kind == CHAT_ANSWER_FREE;
}

static grammar_node one_of(struct chat_build *f, const struct span *choices, size_t n)
{
    grammar_node node = NODE_NEVER;
    for (size_t i = 0; i < n; i++)
        node = grammar_either(f->b, node, grammar_literal(f->b, choices[i]));
    return node;
}

grammar_node chat_answer_text(struct chat_build *f)
{
    const struct chat_answer_form *a = &f->form->answer;
    const struct json_schema_options options = {.strict = true};
    switch (a->kind) {
    case CHAT_ANSWER_JSON:
        return grammar_json_object(f->b, &options);
    case CHAT_ANSWER_SCHEMA:
        return grammar_json_schema(f->b, a->schema, &options, NULL);
    case CHAT_ANSWER_REGEX:
        return grammar_regex(f->b, a->source, false);
    case CHAT_ANSWER_CHOICE:
        return one_of(f, a->choices, a->n_choices);
    case CHAT_ANSWER_GBNF:
        return grammar_gbnf(f->b, a->source);
    case CHAT_ANSWER_FREE:
        break;
    }
    return grammar_until(f->b, NULL, NULL, 0, true, CHAT_TAG_TEXT);
}

static bool must_call(const struct chat_build *f)
{
    return f->calls && f->form->choice != CHAT_TOOLS_AUTO;
}

/* An answer that may be any text, with calls and reasoning in it. */
static bool is_open(const struct chat_build *f)
{
    return chat_answer_is_free(f) && !must_call(f);
}

/* ---- reasoning ---- */

/* What is behind the mark that opens reasoning. A model may call from there, where a control token opens a call: as bytes
 * the reasoning may speak of it. */
static grammar_node reasoning(struct chat_build *f, grammar_node after)
{
    grammar_node rest, then[2];
    struct grammar_marker markers[2] = {chat_marker(f, f->format->reasoning_close, &rest)};
    size_t n = 1;
    then[0] = grammar_sequence(f->b, rest, after);
    if (f->calls) {
        markers[1] = chat_marker(f, chat_trigger(f), &rest);
        if (markers[1].token >= 0)
            then[n++] = chat_calls_behind(f, rest);
    }
    return grammar_until(f->b, markers, then, n, is_open(f), CHAT_TAG_REASONING);
}

/* ---- the whole ---- */

/* Text up to calls, behind which it may go on. A control token opens reasoning anywhere, bytes at the beginning alone. */
static grammar_node open_text(struct chat_build *f, bool reasons)
{
    struct grammar_marker markers[4];
    grammar_node then[4], rest;
    size_t n = 0;
    if (f->calls) {
        markers[n] = chat_marker(f, chat_trigger(f), &rest);
        then[n++] = chat_calls_behind(f, rest);
    }
    const char *const around[] = {f->format->text_open, f->format->text_close};
    for (size_t i = 0; i < 2; i++) {
        if (around[i]) {
            markers[n] = chat_marker(f, around[i], &rest);
            then[n++] = grammar_sequence(f->b, rest, f->text);
        }
    }
    if (reasons) {
        markers[n] = chat_marker(f, f->format->reasoning_open, &rest);
        if (markers[n].token >= 0)
            then[n++] = grammar_sequence(f->b, rest, reasoning(f, f->text));
    }
    return grammar_until(f->b, markers, then, n, true, CHAT_TAG_TEXT);
}

/* Text in a form, or calls. */
static grammar_node closed_text(struct chat_build *f)
{
    grammar_node calls = f->calls ? chat_calls_whole(f) : NODE_NEVER;
    if (must_call(f))
        return calls;
    grammar_node text = grammar_tag(f->b, chat_answer_text(f), CHAT_TAG_TEXT);
    text = grammar_sequence(f->b, chat_mark_optional(f, f->format->text_open), text);
    text = grammar_sequence(f->b, text, chat_mark_optional(f, f->format->text_close));
    return grammar_either(f->b, text, calls);
}

static grammar_node whole_answer(struct chat_build *f)
{
    struct span end = f->form->prompt_end;
    bool opened = chat_format_opens_reasoning(f->format, end);
    bool reasons = f->format->reasoning_open && !opened && !chat_format_closes_reasoning(f->format, end);
    if (is_open(f)) {
        grammar_rule rule = grammar_rule_new(f->b);
        f->text = grammar_call(f->b, rule);
        grammar_rule_define(f->b, rule, open_text(f, reasons));
        grammar_node text = chat_beginning(f, NODE_NEVER);
        return opened ? reasoning(f, text) : reasons ? chat_beginning(f, reasoning(f, text)) : text;
    }
    grammar_node text = closed_text(f), after = grammar_sequence(f->b, chat_newlines(f), text);
    if (opened)
        return reasoning(f, after);
    if (!reasons)
        return text;
    grammar_node open = grammar_sequence(f->b, chat_newlines(f), chat_mark(f, f->format->reasoning_open));
    return grammar_either(f->b, text, grammar_sequence(f->b, open, reasoning(f, after)));
}

static grammar_node root_of(struct chat_build *f)
{
    if (!f->format)
        return chat_answer_text(f);
    if (f->calls)
        chat_calls_prepare(f);
    return f->format->harmony ? chat_harmony(f) : whole_answer(f);
}

bool chat_form_is_free(const struct chat_form *form)
{
    bool calls = form->format && form->n_tools > 0 && form->choice != CHAT_TOOLS_NONE;
    bool reasons = form->format && form->split_reasoning &&
                   (chat_format_reasons(form->format) || form->format->text_open);
    return form->answer.kind == CHAT_ANSWER_FREE && !calls && !reasons;
}

struct grammar *chat_form_build(const struct chat_form *form, struct json_notes *notes, struct error *err)
{
    struct chat_build f = {.form = form, .format = form->format, .notes = notes};
    struct grammar *g = NULL;
    if (form->format && form->n_tools > 0 && form->choice != CHAT_TOOLS_NONE) {
        bool named = form->choice == CHAT_TOOLS_NAMED;
        f.calls = form->format->calls;
        f.first_tool = named ? form->named : 0;
        f.n_tools = named ? 1 : form->n_tools;
    }
    f.b = grammar_builder_new(0);
    f.arguments = calloc(f.n_tools * 2 + 1, sizeof(*f.arguments));
    if (f.b && f.arguments) {
        f.values = f.arguments + f.n_tools;
        grammar_node root = root_of(&f);
        g = grammar_build(f.b, root, err);
        if (f.failed && !err->no_memory)
            error_prefix(
                err, "the function '%.*s'", (int)f.failed->name.size, (const char *)f.failed->name.at);
    } else {
        error_no_memory(err, "a grammar");
    }
    free(f.arguments);
    grammar_builder_free(f.b);
    return g;
}
