/* parse.c - parses tags into a tree of statements.
 *
 * A tag is a row of a table; a tag without a row is refused by its name. A body ends at the tags that its opening tag
 * names, so an `endif` too many is reported at its own line.
 */
#include "template_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_BYTES ((size_t)64 << 20) /* of a tree with its tokens: far more than any real template needs */

struct node *parse_fail(struct parser *p, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!p->err->text[0])
        error_set(p->err, "line %u: %s", p->at->line, text);
    return NULL;
}

struct node *parse_node(struct parser *p, enum node_kind kind)
{
    struct node *n = value_alloc(p->arena, sizeof(*n));
    if (!n)
        return parse_fail(p, "no memory for the template");
    *n = (struct node){.kind = kind, .line = p->at->line};
    return n;
}

bool parse_at(const struct parser *p, enum template_token_kind kind, const char *text)
{
    return p->at->kind == kind && (!text || span_is(p->at->text, text));
}

bool parse_skip(struct parser *p, enum template_token_kind kind, const char *text)
{
    if (!parse_at(p, kind, text))
        return false;
    p->at++;
    return true;
}

static const char *describe(const struct template_token *t, char out[80])
{
    static const char *const kinds[TOKEN_OPERATOR + 1] = {[TOKEN_END] = "the end of the template",
        [TOKEN_DATA] = "text",
        [TOKEN_BLOCK_BEGIN] = "{%",
        [TOKEN_BLOCK_END] = "the end of the tag",
        [TOKEN_PRINT_BEGIN] = "{{",
        [TOKEN_PRINT_END] = "the end of the tag",
        [TOKEN_STRING] = "a string"};
    if (kinds[t->kind])
        return kinds[t->kind];
    char text[64];
    text_escape(text, sizeof(text), t->text);
    snprintf(out, 80, "'%s'", text);
    return out;
}

bool parse_expect(struct parser *p, enum template_token_kind kind, const char *text)
{
    char found[80];
    if (parse_skip(p, kind, text))
        return true;
    const char *wanted = kind == TOKEN_NAME ? "a name" : "the end of the tag";
    parse_fail(p, "expected %s%s%s, found %s", text ? "'" : "", text ? text : wanted, text ? "'" : "",
        describe(p->at, found));
    return false;
}

bool parse_enter(struct parser *p)
{
    if (p->depth < PARSE_DEPTH) {
        p->depth++;
        return true;
    }
    parse_fail(p, "more than %d nested tags and brackets", PARSE_DEPTH);
    return false;
}

struct node *parse_refused(struct parser *p, const char *reason)
{
    struct node *n = parse_node(p, NODE_REFUSED);
    if (n)
        n->value = value_literal(reason);
    return n;
}

uint8_t parse_use_of(struct span name)
{
    static const char *const names[] = {"caller", "kwargs", "varargs"};
    for (unsigned i = 0; i < 3; i++)
        if (span_is(name, names[i]))
            return (uint8_t)(1u << i);
    return 0;
}

/* ---- bodies ---- */

static struct node *parse_tag(struct parser *p);

/* Parses statements up to a tag that begins with one of `ends`, whose name is the current token then. */
static bool parse_body(struct parser *p, const char *const ends[], struct node **first)
{
    struct node **last = first;
    for (;;) {
        struct node *n;
        if (p->at->kind == TOKEN_DATA) {
            n = parse_node(p, NODE_TEXT);
            if (n)
                n->value = value_borrow(p->at++->text, VALUE_FROM_TEMPLATE);
        } else if (parse_skip(p, TOKEN_PRINT_BEGIN, NULL)) {
            n = parse_node(p, NODE_PRINT);
            if (n && (!(n->a = parse_tuple(p)) || !parse_expect(p, TOKEN_PRINT_END, NULL)))
                return false;
        } else if (parse_skip(p, TOKEN_BLOCK_BEGIN, NULL)) {
            for (size_t i = 0; ends[i]; i++)
                if (parse_at(p, TOKEN_NAME, ends[i]))
                    return true;
            n = parse_tag(p);
        } else {
            return !ends[0] || parse_fail(p, "expected the tag '%s', found the end of the template", ends[0]);
        }
        if (!n)
            return false;
        *last = n;
        last = &n->next;
    }
}

/* Parses the end of a tag, its body, and the closing tag. */
static bool parse_block(struct parser *p, const char *end, struct node **body)
{
    const char *const ends[] = {end, NULL};
    if (!parse_expect(p, TOKEN_BLOCK_END, NULL) || !parse_enter(p) || !parse_body(p, ends, body))
        return false;
    p->depth--;
    p->at++;
    return true;
}

/* ---- the tags; each function begins after the tag's name and stops before its end ---- */

static struct node *parse_target_part(struct parser *p, bool namespaces)
{
    if (parse_skip(p, TOKEN_OPERATOR, "(")) {
        struct node *n = parse_tuple(p);
        return n && parse_expect(p, TOKEN_OPERATOR, ")") ? n : NULL;
    }
    if (p->at->kind != TOKEN_NAME)
        return parse_fail(p, "expected a name to set");
    uint8_t read = p->uses.read;
    struct node *n = parse_primary(p);
    if (n && !(namespaces && parse_at(p, TOKEN_OPERATOR, "."))) {
        p->uses.left &= (uint8_t)~parse_use_of(value_span(n->value)); /* it is set, not read */
        p->uses.read = read;
    }
    if (!n || !namespaces || !parse_skip(p, TOKEN_OPERATOR, "."))
        return n;
    struct node *attribute = parse_node(p, NODE_ATTRIBUTE);
    if (!attribute || p->at->kind != TOKEN_NAME)
        return parse_fail(p, "expected a name after the dot");
    attribute->a = n;
    attribute->value = value_borrow(p->at++->text, VALUE_FROM_TEMPLATE);
    return attribute;
}

static bool can_assign(const struct node *n)
{
    if (n->kind != NODE_TUPLE)
        return n->kind == NODE_NAME || n->kind == NODE_ATTRIBUTE;
    for (const struct node *part = n->a; part; part = part->next)
        if (!can_assign(part))
            return false;
    return true;
}

/* A name, an attribute of a namespace, or several with commas between. */
static struct node *parse_target(struct parser *p, bool namespaces)
{
    struct node *first = parse_target_part(p, namespaces), *tuple = NULL;
    struct node **last = first ? &first->next : NULL;
    while (first && parse_skip(p, TOKEN_OPERATOR, ",")) {
        if (!tuple) {
            tuple = parse_node(p, NODE_TUPLE);
            if (!tuple)
                return NULL;
            tuple->a = first;
        }
        if (p->at->kind != TOKEN_NAME && !parse_at(p, TOKEN_OPERATOR, "("))
            break;
        *last = parse_target_part(p, namespaces);
        if (!*last)
            return NULL;
        last = &(*last)->next;
    }
    struct node *n = tuple ? tuple : first;
    return n && !can_assign(n) ? parse_fail(p, "this cannot be assigned to") : n;
}

/* One expression or a tuple, without a conditional: an `if` belongs to the loop. */
static struct node *parse_plain_tuple(struct parser *p)
{
    struct node *first = parse_or(p);
    if (!first || !parse_at(p, TOKEN_OPERATOR, ","))
        return first;
    struct node *tuple = parse_node(p, NODE_TUPLE);
    struct node **last = &first->next;
    while (parse_skip(p, TOKEN_OPERATOR, ",") && p->at->kind != TOKEN_BLOCK_END) {
        *last = parse_or(p);
        if (!*last)
            return NULL;
        last = &(*last)->next;
    }
    if (tuple)
        tuple->a = first;
    return tuple;
}

static struct node *parse_if(struct parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct node *n = parse_node(p, NODE_IF);
    struct node **last = n ? &n->a : NULL;
    for (bool more = true; last && more; last = &(*last)->next) {
        bool otherwise = n->a && span_is(p->at[-1].text, "else");
        struct node *branch = parse_node(p, NODE_BRANCH);
        if (!branch || (!otherwise && !(branch->a = parse_plain_tuple(p))))
            return NULL;
        if (!parse_expect(p, TOKEN_BLOCK_END, NULL) || !parse_enter(p) ||
            !parse_body(p, otherwise ? ends + 2 : ends, &branch->b))
            return NULL;
        p->depth--;
        *last = branch;
        more = !span_is(p->at++->text, "endif");
    }
    return n;
}

static struct node *parse_for(struct parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    struct node *n = parse_node(p, NODE_FOR);
    if (!n || !(n->a = parse_target(p, false)) || !parse_expect(p, TOKEN_NAME, "in") ||
        !(n->b = parse_plain_tuple(p)))
        return NULL;
    if (parse_skip(p, TOKEN_NAME, "if") && !(n->c = parse_expression(p)))
        return NULL;
    n->flag = parse_skip(p, TOKEN_NAME, "recursive");
    p->loops++;
    if (!parse_expect(p, TOKEN_BLOCK_END, NULL) || !parse_enter(p) || !parse_body(p, ends, &n->d))
        return NULL;
    p->loops--;
    bool otherwise = span_is(p->at++->text, "else");
    if (otherwise) {
        n->e = parse_node(p, NODE_SCOPE);
        if (!n->e || !parse_expect(p, TOKEN_BLOCK_END, NULL) || !parse_body(p, ends + 1, &n->e->d))
            return NULL;
        p->at++;
    }
    p->depth--;
    return n;
}

static struct node *parse_set(struct parser *p)
{
    struct node *n = parse_node(p, NODE_SET);
    if (!n || !(n->a = parse_target(p, true)))
        return NULL;
    if (parse_skip(p, TOKEN_OPERATOR, "="))
        return (n->b = parse_tuple(p)) ? n : NULL;
    n->kind = NODE_SET_BLOCK;
    if (parse_at(p, TOKEN_OPERATOR, "|") && !(n->b = parse_filters(p, NULL, false)))
        return NULL;
    return parse_block(p, "endset", &n->d) ? n : NULL;
}

static bool parse_parameters(struct parser *p, struct node **first)
{
    struct node **last = first;
    if (!parse_expect(p, TOKEN_OPERATOR, "("))
        return false;
    for (size_t n = 0; !parse_skip(p, TOKEN_OPERATOR, ")"); n++) {
        if (n > 0 && !parse_expect(p, TOKEN_OPERATOR, ","))
            return false;
        struct node *parameter = parse_node(p, NODE_PARAMETER);
        if (!parameter)
            return false;
        parameter->value = value_borrow(p->at->text, VALUE_FROM_TEMPLATE);
        if (!parse_expect(p, TOKEN_NAME, NULL))
            return false;
        if (parse_skip(p, TOKEN_OPERATOR, "=") && !(parameter->a = parse_expression(p)))
            return false;
        if (!parameter->a && n > 0 && (*first)->a && last != first)
            for (struct node *before = *first; before; before = before->next)
                if (before->a)
                    return parse_fail(p, "a parameter without a default follows one with a default");
        *last = parameter;
        last = &parameter->next;
    }
    return true;
}

/* A macro may be called from anywhere, so a loop around its definition is not a loop around its body. */
static bool parse_macro_body(struct parser *p, const char *end, struct node **body)
{
    unsigned loops = p->loops;
    p->loops = 0;
    bool good = parse_block(p, end, body);
    p->loops = loops;
    return good;
}

/* The same for a macro. *uses says which names of a call its body reads, before it sets them. */
static bool parse_called_body(struct parser *p, const char *end, struct node **body, uint8_t *uses)
{
    struct parser_uses outer = p->uses;
    p->uses = (struct parser_uses){.left = USES_CALLER | USES_KWARGS | USES_VARARGS};
    bool good = parse_macro_body(p, end, body);
    *uses = p->uses.read;
    p->uses.read = (outer.left & p->uses.read) | outer.read;
    p->uses.left &= outer.left;
    return good;
}

static struct node *parse_macro(struct parser *p)
{
    struct node *n = parse_node(p, NODE_MACRO);
    if (!n)
        return NULL;
    n->value = value_borrow(p->at->text, VALUE_FROM_TEMPLATE);
    if (!parse_expect(p, TOKEN_NAME, NULL) || !parse_parameters(p, &n->a))
        return NULL;
    for (const struct node *parameter = n->a; parameter; parameter = parameter->next)
        if (value_is(parameter->value, "caller") && !parameter->a)
            return parse_fail(p, "the parameter 'caller' needs a default");
    return parse_called_body(p, "endmacro", &n->d, &n->uses) ? n : NULL;
}

static struct node *parse_call_tag(struct parser *p)
{
    struct node *n = parse_node(p, NODE_CALL_BLOCK);
    if (!n || (parse_at(p, TOKEN_OPERATOR, "(") && !parse_parameters(p, &n->b)))
        return NULL;
    n->a = parse_expression(p);
    if (!n->a)
        return NULL;
    if (n->a->kind != NODE_CALL)
        return parse_fail(p, "expected a call");
    return parse_called_body(p, "endcall", &n->d, &n->uses) ? n : NULL;
}

static struct node *parse_with(struct parser *p)
{
    struct node *n = parse_node(p, NODE_WITH);
    struct node **last = n ? &n->a : NULL;
    while (last && p->at->kind != TOKEN_BLOCK_END) {
        if (n->a && !parse_expect(p, TOKEN_OPERATOR, ","))
            return NULL;
        struct node *set = parse_node(p, NODE_SET);
        if (!set || !(set->a = parse_target_part(p, false)) || !can_assign(set->a) ||
            !parse_expect(p, TOKEN_OPERATOR, "=") || !(set->b = parse_expression(p)))
            return parse_fail(p, "expected NAME = VALUE");
        *last = set;
        last = &set->next;
    }
    return n && parse_block(p, "endwith", &n->d) ? n : NULL;
}

static struct node *parse_filter_tag(struct parser *p)
{
    struct node *n = parse_node(p, NODE_FILTER_BLOCK);
    if (!n || !(n->b = parse_filters(p, NULL, true)))
        return NULL;
    return parse_block(p, "endfilter", &n->d) ? n : NULL;
}

/* {% generation %} marks the model's own text for training; here it is plain text. */
static struct node *parse_generation(struct parser *p)
{
    struct node *n = parse_node(p, NODE_SCOPE);
    return n && parse_macro_body(p, "endgeneration", &n->d) ? n : NULL;
}

static struct node *parse_autoescape(struct parser *p)
{
    struct node *n = parse_node(p, NODE_AUTOESCAPE);
    if (!n || !(n->a = parse_expression(p)))
        return NULL;
    return parse_block(p, "endautoescape", &n->d) ? n : NULL;
}

static struct node *parse_named_block(struct parser *p)
{
    struct node *n = parse_node(p, NODE_BLOCK);
    if (!n || p->at->kind != TOKEN_NAME)
        return parse_fail(p, "expected the name of the block");
    n->value = value_borrow(p->at++->text, VALUE_FROM_TEMPLATE);
    for (const struct node *other = p->blocks; other; other = other->e)
        if (span_compare(value_span(other->value), value_span(n->value)) == 0)
            return parse_fail(p, "a block of this name is already there");
    n->flag = parse_skip(p, TOKEN_NAME, "scoped");
    bool required = parse_skip(p, TOKEN_NAME, "required");
    n->e = p->blocks;
    p->blocks = n;
    if (!parse_macro_body(p, "endblock", &n->d))
        return NULL;
    if (p->at->kind == TOKEN_NAME && span_compare(p->at->text, value_span(n->value)) == 0)
        p->at++;
    if (required)
        n->d = parse_refused(p, "a block is required that another template has");
    return n;
}

static struct node *parse_print_tag(struct parser *p)
{
    struct node *first = parse_node(p, NODE_IF), *branch = parse_node(p, NODE_BRANCH);
    struct node **last = branch ? &branch->b : NULL;
    while (first && last && p->at->kind != TOKEN_BLOCK_END) {
        if (branch->b && !parse_expect(p, TOKEN_OPERATOR, ","))
            return NULL;
        struct node *n = parse_node(p, NODE_PRINT);
        if (!n || !(n->a = parse_expression(p)))
            return NULL;
        *last = n;
        last = &n->next;
    }
    if (first)
        first->a = branch;
    return last ? first : NULL;
}

/* Tags that need other templates fail when they are reached. Their syntax is checked. */
static struct node *parse_other_template(struct parser *p)
{
    static const char *const words[] = {"ignore", "missing", "with", "without", "context", "as", "import"};
    struct node *n = parse_refused(p, "this needs another template, and a chat template is alone");
    if (!n || !parse_expression(p))
        return NULL;
    for (bool more = true; more && p->at->kind != TOKEN_BLOCK_END;) {
        more = parse_skip(p, TOKEN_OPERATOR, ",");
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            more = parse_skip(p, TOKEN_NAME, words[i]) || more;
        more = more || parse_skip(p, TOKEN_NAME, NULL);
    }
    return n;
}

static struct node *parse_jump(struct parser *p)
{
    bool breaks = span_is(p->at[-1].text, "break");
    if (p->loops == 0)
        return parse_fail(p, "'%s' outside of a loop", breaks ? "break" : "continue");
    return parse_node(p, breaks ? NODE_BREAK : NODE_CONTINUE);
}

static struct node *parse_tag(struct parser *p)
{
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *p);
    } tags[] = {{"if", parse_if}, {"for", parse_for}, {"set", parse_set}, {"macro", parse_macro},
        {"call", parse_call_tag}, {"with", parse_with}, {"filter", parse_filter_tag},
        {"generation", parse_generation}, {"autoescape", parse_autoescape}, {"block", parse_named_block},
        {"print", parse_print_tag}, {"include", parse_other_template}, {"extends", parse_other_template},
        {"import", parse_other_template}, {"from", parse_other_template}, {"break", parse_jump},
        {"continue", parse_jump}};
    char found[80];
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (parse_skip(p, TOKEN_NAME, tags[i].name)) {
            unsigned line = p->at[-1].line;
            struct node *n = tags[i].parse(p);
            if (!n || !parse_expect(p, TOKEN_BLOCK_END, NULL))
                return NULL;
            n->line = line;
            return n;
        }
    const char *name = describe(p->at, found);
    if (p->at->kind == TOKEN_NAME && p->at->text.size > 3 && memcmp(p->at->text.at, "end", 3) == 0)
        return parse_fail(p, "the tag %s closes nothing that is open here", name);
    return parse_fail(p, "the tag %s is not known", name);
}

struct template *template_parse(struct span source, struct error *err)
{
    static const char *const no_end[] = {NULL};
    *err = (struct error){0};
    if (source.size > TEMPLATE_SOURCE_MAX) {
        error_set(err, "the template has %zu bytes; %zu is the most", source.size, TEMPLATE_SOURCE_MAX);
        return NULL;
    }
    struct template *t = malloc(sizeof(*t));
    if (t)
        *t = (struct template){.arena = value_arena_new(TREE_BYTES)};
    if (!t || !t->arena) {
        error_set(err, "no memory for the template");
        free(t);
        return NULL;
    }
    struct parser p = {.arena = t->arena, .err = err};
    t->source = value_span(value_string(t->arena, source, VALUE_FROM_TEMPLATE));
    const struct template_token *tokens = template_lex(t->arena, source, err);
    p.at = tokens;
    t->root = tokens ? parse_node(&p, NODE_SCOPE) : NULL;
    bool good = t->root && parse_body(&p, no_end, &t->root->d);
    t->blocks = p.blocks;
    if (good && names_find(t, (size_t)(p.at - tokens), err))
        return t;
    template_free(t);
    return NULL;
}

void template_free(struct template *t)
{
    if (t)
        value_arena_free(t->arena);
    free(t);
}
