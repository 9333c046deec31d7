/* start.c - the beginning of open text: reasoning whose marker is bytes, and calls that have no marker of their own.
 *
 * Such bytes have a meaning at the beginning alone; later in the text they are text, which may speak of them. So the
 * beginning is a trie of all texts that mean something. A byte that leaves the trie makes it text, but for the first
 * byte of a marker of calls: that one is looked for from there.
 */
#include "format_private.h"

#include <stdlib.h>

#define NEWLINES_MAX 2
#define SPACES_MAX 24 /* between tokens of a call that the model lays out as it likes */

enum {
    ROOT, /* the answer begins */
    ROOT_MARKERS, /* markers that count anywhere */
    ROOT_NAMES, /* names of functions, in a call without a mark, */
    ROOT_FENCED, /* or in a block of code */
    ROOTS,
};

struct start {
    uint8_t byte;
    uint16_t tag; /* of this byte, the last one of a text */
    grammar_node then; /* what is behind the text that ends here; NODE_NEVER: none does */
    grammar_node expression;
    size_t child, sibling; /* 0: none */
};

struct starts {
    struct chat_build *f;
    struct start *at; /* [n]; a child lies behind its parent */
    size_t n, room;
    bool failed;
    grammar_node tokens; /* control tokens that are markers, with what is behind each */
    grammar_rule rules[ROOTS]; /* of roots that are gone to more than once */
    grammar_node again[256]; /* behind a byte that begins a marker; NODE_NEVER: it begins none */
};

static size_t add_byte(struct starts *s, size_t parent, uint8_t byte)
{
    size_t at = s->at[parent].child;
    while (at && s->at[at].byte != byte)
        at = s->at[at].sibling;
    if (at)
        return at;
    if (s->n == s->room) {
        struct start *more = realloc(s->at, s->room * 2 * sizeof(*more));
        s->failed = !more;
        if (!more)
            return parent;
        s->at = more;
        s->room *= 2;
    }
    s->at[s->n] = (struct start){.byte = byte, .sibling = s->at[parent].child};
    s->at[parent].child = s->n;
    return s->n++;
}

static size_t add_text(struct starts *s, size_t at, struct span text)
{
    for (size_t i = 0; i < text.size && !s->failed; i++)
        at = add_byte(s, at, text.at[i]);
    return at;
}

static void end_text(struct starts *s, size_t at, grammar_node then, uint16_t tag)
{
    if (s->failed || s->at[at].then != NODE_NEVER)
        return;
    s->at[at].then = then;
    s->at[at].tag = tag;
}

/* The node behind `newlines` newlines at the beginning. */
static size_t behind_newlines(struct starts *s, size_t newlines)
{
    size_t at = ROOT;
    for (size_t i = 0; i < newlines && !s->failed; i++)
        at = add_byte(s, at, '\n');
    return at;
}

static void add_marker(struct starts *s, struct grammar_marker m, grammar_node then, bool anywhere)
{
    struct grammar_builder *b = s->f->b;
    if (m.token >= 0)
        s->tokens = grammar_either(b, s->tokens, grammar_sequence(b, grammar_mark(b, &m), then));
    for (size_t i = 0; m.token < 0 && i <= NEWLINES_MAX; i++)
        end_text(s, add_text(s, behind_newlines(s, i), m.text), then, GRAMMAR_TAG_MARK);
    if (m.token < 0 && anywhere)
        end_text(s, add_text(s, ROOT_MARKERS, m.text), then, GRAMMAR_TAG_MARK);
}

static void add_markers(struct starts *s, grammar_node reasoning)
{
    struct chat_build *f = s->f;
    grammar_node rest;
    if (reasoning != NODE_NEVER) {
        struct grammar_marker m = chat_marker(f, f->format->reasoning_open, &rest);
        add_marker(s, m, grammar_sequence(f->b, rest, reasoning), false);
    }
    if (f->calls) {
        struct grammar_marker m = chat_marker(f, chat_trigger(f), &rest);
        add_marker(s, m, chat_calls_behind(f, rest), true);
    }
    if (f->format->text_open) {
        struct grammar_marker m = chat_marker(f, f->format->text_open, &rest);
        add_marker(s, m, grammar_sequence(f->b, rest, f->text), true);
    }
}

/* ---- calls without a mark ---- */

static void add_implicit(struct starts *s)
{
    struct strbuf text;
    strbuf_init(&text, 4096);
    for (size_t i = 0; chat_calls_start(s->f, i, &text); i++) {
        size_t at = add_text(s, ROOT, (struct span){(const uint8_t *)text.text, text.size});
        end_text(s, at, chat_calls_from_start(s->f, i), GRAMMAR_TAG_MARK);
        strbuf_cut(&text, 0);
    }
    s->failed = s->failed || text.failed;
    strbuf_release(&text);
}

static grammar_node mark(const struct chat_build *f, const char *text)
{
    return grammar_tag(f->b, grammar_literal(f->b, span_of(text)), GRAMMAR_TAG_MARK);
}

static grammar_node spaces(const struct chat_build *f)
{
    static const struct grammar_range blanks[] = {{' ', ' '}, {'\n', '\n'}, {'\t', '\t'}};
    grammar_node one = grammar_chars(f->b, blanks, 3, false);
    return grammar_tag(f->b, grammar_repeat(f->b, one, 0, SPACES_MAX), GRAMMAR_TAG_MARK);
}

static grammar_node with_space(const struct chat_build *f, grammar_node one, grammar_node other)
{
    return grammar_sequence(f->b, one, grammar_sequence(f->b, spaces(f), other));
}

/* What is behind a name: its arguments, in any layout. Behind a call the next one may stand as at the beginning. */
static grammar_node loose_arguments(const struct starts *s, size_t tool, bool fenced)
{
    const struct chat_build *f = s->f;
    grammar_node key = grammar_either(f->b, mark(f, "\"arguments\""), mark(f, "\"parameters\""));
    grammar_node node = with_space(f, with_space(f, mark(f, ","), key), mark(f, ":"));
    node = with_space(f, with_space(f, node, f->values[tool]), mark(f, "}"));
    if (fenced)
        node = with_space(f, node, mark(f, "```"));
    return f->form->parallel ? grammar_sequence(f->b, node, grammar_call(f->b, s->rules[ROOT])) : node;
}

static void add_names(struct starts *s, size_t root)
{
    struct chat_build *f = s->f;
    s->rules[root] = grammar_rule_new(f->b);
    for (size_t i = 0; i < f->n_tools && !s->failed; i++) {
        size_t at = add_text(s, root, f->form->tools[f->first_tool + i].name);
        at = add_text(s, at, span_of("\""));
        end_text(s, at, loose_arguments(s, i, root == ROOT_FENCED), GRAMMAR_TAG_MARK);
    }
}

/* Models that have seen calls in many forms write JSON without the mark, or in a block of code. Such an answer is a call
 * when it names one of the functions. */
static void add_loose(struct starts *s)
{
    s->rules[ROOT] = grammar_rule_new(s->f->b);
    add_names(s, ROOT_NAMES);
    add_names(s, ROOT_FENCED);
    for (size_t i = 0; chat_loose_fences[i]; i++) {
        for (size_t k = 0; chat_loose_names[k]; k++) {
            grammar_node names = grammar_call(s->f->b, s->rules[i > 0 ? ROOT_FENCED : ROOT_NAMES]);
            for (size_t n = 0; n <= NEWLINES_MAX && !s->failed; n++) {
                size_t at = add_text(s, behind_newlines(s, n), span_of(chat_loose_fences[i]));
                at = add_text(s, at, span_of(chat_loose_names[k]));
                end_text(s, at, names, CHAT_TAG_TEXT);
            }
        }
    }
}

/* ---- expressions ---- */

/* What follows a node: its children, text, or the beginning of a marker. */
static grammar_node expression_of(struct starts *s, size_t i)
{
    struct grammar_builder *b = s->f->b;
    grammar_node node = grammar_either(b, NODE_EMPTY, s->tokens);
    uint64_t rest[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    for (size_t at = s->at[i].child; at; at = s->at[at].sibling) {
        const struct start *c = &s->at[at];
        bool last = c->then != NODE_NEVER;
        grammar_node byte = grammar_literal(b, (struct span){&c->byte, 1});
        byte = grammar_tag(b, byte, last ? c->tag : CHAT_TAG_TEXT);
        node = grammar_either(b, node, grammar_sequence(b, byte, last ? c->then : c->expression));
        rest[c->byte / 64] &= ~((uint64_t)1 << c->byte % 64);
    }
    for (size_t at = s->at[ROOT_MARKERS].child; at; at = s->at[at].sibling) {
        uint8_t byte = s->at[at].byte;
        if (!(rest[byte / 64] >> byte % 64 & 1))
            continue;
        grammar_node first = grammar_tag(b, grammar_literal(b, (struct span){&byte, 1}), CHAT_TAG_TEXT);
        node = grammar_either(b, node, grammar_sequence(b, first, s->again[byte]));
        rest[byte / 64] &= ~((uint64_t)1 << byte % 64);
    }
    grammar_node other = grammar_tag(b, grammar_byte_set(b, rest), CHAT_TAG_TEXT);
    return grammar_either(b, node, grammar_sequence(b, other, s->f->text));
}

static void make_expressions(struct starts *s)
{
    struct grammar_builder *b = s->f->b;
    grammar_rule rules[256];
    for (size_t at = s->at[ROOT_MARKERS].child; at; at = s->at[at].sibling) {
        rules[s->at[at].byte] = grammar_rule_new(b);
        s->again[s->at[at].byte] = grammar_call(b, rules[s->at[at].byte]);
    }
    for (size_t i = s->n; i-- > 0;)
        s->at[i].expression = expression_of(s, i);
    for (size_t at = s->at[ROOT_MARKERS].child; at; at = s->at[at].sibling)
        grammar_rule_define(b, rules[s->at[at].byte], s->at[at].expression);
    if (s->f->calls && s->f->calls->loose) {
        grammar_rule_define(b, s->rules[ROOT], s->at[ROOT].expression);
        grammar_rule_define(b, s->rules[ROOT_NAMES], s->at[ROOT_NAMES].expression);
        grammar_rule_define(b, s->rules[ROOT_FENCED], s->at[ROOT_FENCED].expression);
    }
}

grammar_node chat_beginning(struct chat_build *f, grammar_node reasoning)
{
    struct starts s = {.f = f, .n = ROOTS, .room = 256};
    bool calls = f->calls && (f->calls->implicit || f->calls->loose);
    if (reasoning == NODE_NEVER && !calls)
        return f->text;
    s.at = calloc(s.room, sizeof(*s.at));
    if (!s.at)
        return grammar_builder_no_memory(f->b);
    if (calls && f->calls->loose)
        add_loose(&s);
    if (calls)
        add_implicit(&s);
    add_markers(&s, reasoning);
    if (s.failed)
        grammar_builder_no_memory(f->b);
    else
        make_expressions(&s);
    grammar_node root = s.at[ROOT].expression;
    free(s.at);
    return root;
}
