/* expr.c - parses expressions, from `if` and `or` down to names and brackets.
 *
 * There is one function for each level of precedence, which calls that of the next tighter level, as in Jinja's grammar.
 * Depth is counted where a level can contain itself. A chain of operators of one level is a loop and adds no depth.
 */
#include "template_private.h"

#include <inttypes.h>
#include <string.h>

static bool at_operator(const struct parser *p, const char *text)
{
    return parse_at(p, TOKEN_OPERATOR, text);
}

static bool skip_operator(struct parser *p, const char *text)
{
    return parse_skip(p, TOKEN_OPERATOR, text);
}

static bool skip_name(struct parser *p, const char *text)
{
    return parse_skip(p, TOKEN_NAME, text);
}

static struct node *with_children(struct node *n, struct node *a, struct node *b)
{
    if (!n || !a || !b)
        return NULL;
    n->a = a;
    n->b = b;
    return n;
}

static struct node *constant(struct parser *p, struct value v)
{
    struct node *n = parse_node(p, NODE_CONST);
    if (n)
        n->value = v;
    return n;
}

/* ---- operators ---- */

struct binary {
    const char *text;
    enum operation op;
};

/* One level of operators that group from the left. */
static struct node *parse_left(
    struct parser *p, const struct binary *rows, struct node *(*tighter)(struct parser *))
{
    struct node *left = tighter(p);
    while (left) {
        const struct binary *row = rows;
        while (row->text && !at_operator(p, row->text))
            row++;
        if (!row->text)
            break;
        struct node *n = parse_node(p, NODE_BINARY);
        p->at++;
        if (n)
            n->op = row->op;
        left = with_children(n, left, tighter(p));
    }
    return left;
}

static struct node *parse_signed(struct parser *p)
{
    return parse_unary(p, true);
}

static struct node *parse_power(struct parser *p)
{
    static const struct binary rows[] = {{"**", OP_POWER}, {NULL, OP_NONE}};
    return parse_left(p, rows, parse_signed);
}

static struct node *parse_product(struct parser *p)
{
    static const struct binary rows[] = {
        {"*", OP_MULTIPLY}, {"//", OP_FLOOR_DIVIDE}, {"/", OP_DIVIDE}, {"%", OP_MODULO}, {NULL, OP_NONE}};
    return parse_left(p, rows, parse_power);
}

static struct node *parse_concat(struct parser *p)
{
    struct node *first = parse_product(p);
    if (!first || !at_operator(p, "~"))
        return first;
    struct node *n = parse_node(p, NODE_CONCAT);
    struct node **last = &first->next;
    while (skip_operator(p, "~")) {
        *last = parse_product(p);
        if (!*last)
            return NULL;
        last = &(*last)->next;
    }
    if (n)
        n->a = first;
    return n;
}

static struct node *parse_sum(struct parser *p)
{
    static const struct binary rows[] = {{"+", OP_ADD}, {"-", OP_SUBTRACT}, {NULL, OP_NONE}};
    return parse_left(p, rows, parse_concat);
}

static enum operation comparison(struct parser *p)
{
    static const struct binary rows[] = {{"==", OP_EQUAL}, {"!=", OP_UNEQUAL}, {"<", OP_LESS},
        {"<=", OP_LESS_EQUAL}, {">", OP_GREATER}, {">=", OP_GREATER_EQUAL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (skip_operator(p, rows[i].text))
            return rows[i].op;
    if (skip_name(p, "in"))
        return OP_IN;
    if (!parse_at(p, TOKEN_NAME, "not") || p->at[1].kind != TOKEN_NAME || !span_is(p->at[1].text, "in"))
        return OP_NONE;
    p->at += 2;
    return OP_NOT_IN;
}

static struct node *parse_comparison(struct parser *p)
{
    struct node *first = parse_sum(p), *n = NULL, **last = NULL;
    for (enum operation op; first && (op = comparison(p)) != OP_NONE;) {
        if (!n) {
            n = parse_node(p, NODE_COMPARE);
            if (!n)
                return NULL;
            n->a = first;
            last = &n->b;
        }
        struct node *operand = parse_node(p, NODE_OPERAND);
        if (!operand || !(operand->a = parse_sum(p)))
            return NULL;
        operand->op = op;
        *last = operand;
        last = &operand->next;
    }
    return n ? n : first;
}

static struct node *parse_not(struct parser *p)
{
    if (!parse_at(p, TOKEN_NAME, "not"))
        return parse_comparison(p);
    struct node *n = parse_node(p, NODE_NOT);
    p->at++;
    if (!n || !parse_enter(p))
        return NULL;
    n->a = parse_not(p);
    p->depth--;
    return n->a ? n : NULL;
}

static struct node *parse_and(struct parser *p)
{
    struct node *left = parse_not(p);
    while (left && skip_name(p, "and"))
        left = with_children(parse_node(p, NODE_AND), left, parse_not(p));
    return left;
}

struct node *parse_or(struct parser *p)
{
    struct node *left = parse_and(p);
    while (left && skip_name(p, "or"))
        left = with_children(parse_node(p, NODE_OR), left, parse_and(p));
    return left;
}

static struct node *parse_condition(struct parser *p)
{
    struct node *then = parse_or(p);
    while (then && skip_name(p, "if")) {
        struct node *n = with_children(parse_node(p, NODE_CONDITION), parse_or(p), then);
        if (!n)
            return NULL;
        if (skip_name(p, "else") && !(n->c = parse_expression(p)))
            return NULL;
        then = n;
    }
    return then;
}

struct node *parse_expression(struct parser *p)
{
    if (!parse_enter(p))
        return NULL;
    struct node *n = parse_condition(p);
    p->depth--;
    return n;
}

/* ---- operands ---- */

/* Items with commas between, up to the closing bracket, which may follow a comma. False when it fails. */
static bool parse_items(struct parser *p, const char *close, struct node **first)
{
    for (struct node **last = first; !at_operator(p, close); last = &(*last)->next) {
        if (last != first && !parse_expect(p, TOKEN_OPERATOR, ","))
            return false;
        if (last != first && at_operator(p, close))
            break;
        *last = parse_expression(p);
        if (!*last)
            return false;
    }
    p->at++;
    return true;
}

static struct node *parse_pair(struct parser *p)
{
    struct node *pair = parse_node(p, NODE_PAIR);
    struct node *key = parse_expression(p);
    if (!key || !parse_expect(p, TOKEN_OPERATOR, ":"))
        return NULL;
    return with_children(pair, key, parse_expression(p));
}

static struct node *parse_dict(struct parser *p)
{
    struct node *n = parse_node(p, NODE_DICT);
    struct node **last = n ? &n->a : NULL;
    while (n && !at_operator(p, "}")) {
        if (n->a && !parse_expect(p, TOKEN_OPERATOR, ","))
            return NULL;
        if (at_operator(p, "}"))
            break;
        *last = parse_pair(p);
        if (!*last)
            return NULL;
        last = &(*last)->next;
    }
    p->at++;
    return n;
}

static bool tuple_ends(const struct parser *p)
{
    return p->at->kind == TOKEN_BLOCK_END || p->at->kind == TOKEN_PRINT_END || p->at->kind == TOKEN_END ||
           at_operator(p, ")");
}

struct node *parse_tuple(struct parser *p)
{
    struct node *tuple = parse_node(p, NODE_TUPLE);
    bool comma = false;
    for (struct node **last = tuple ? &tuple->a : NULL; last; last = &(*last)->next) {
        if (tuple_ends(p))
            break;
        *last = parse_expression(p);
        if (!*last)
            return NULL;
        if (!skip_operator(p, ","))
            break;
        comma = true;
    }
    if (!tuple || comma)
        return tuple;
    return tuple->a ? tuple->a : parse_fail(p, "expected an expression");
}

static struct node *parse_parentheses(struct parser *p)
{
    if (!parse_enter(p))
        return NULL;
    struct node *n;
    if (at_operator(p, ")"))
        n = parse_node(p, NODE_TUPLE);
    else
        n = parse_tuple(p);
    p->depth--;
    return n && parse_expect(p, TOKEN_OPERATOR, ")") ? n : NULL;
}

static struct node *parse_name(struct parser *p)
{
    struct span name = p->at->text;
    static const struct {
        const char *name;
        enum value_kind kind;
        bool truth;
    } words[] = {{"true", VALUE_BOOL, true}, {"True", VALUE_BOOL, true}, {"false", VALUE_BOOL, false},
        {"False", VALUE_BOOL, false}, {"none", VALUE_NULL, false}, {"None", VALUE_NULL, false}};
    struct node *n = parse_node(p, NODE_NAME);
    p->at++;
    if (!n)
        return NULL;
    n->value = value_borrow(name, VALUE_FROM_TEMPLATE);
    p->uses.read |= p->uses.left & parse_use_of(name);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_is(name, words[i].name)) {
            n->kind = NODE_CONST;
            n->value = words[i].kind == VALUE_NULL ? value_null : value_bool(words[i].truth);
        }
    return n;
}

/* Adjacent strings are one string. */
static struct node *parse_string(struct parser *p)
{
    struct node *n = constant(p, value_borrow(p->at->text, VALUE_FROM_TEMPLATE));
    size_t size = 0;
    const struct template_token *first = p->at;
    for (; p->at->kind == TOKEN_STRING; p->at++)
        size += p->at->text.size;
    if (!n || p->at == first + 1)
        return n;
    uint8_t *all = value_alloc(p->arena, size);
    if (!all)
        return parse_fail(p, "no memory for the template");
    size = 0;
    for (const struct template_token *t = first; t < p->at; size += t->text.size, t++)
        if (t->text.size > 0)
            memcpy(all + size, t->text.at, t->text.size);
    n->value = value_borrow((struct span){all, size}, VALUE_FROM_TEMPLATE);
    return n;
}

static struct node *parse_bracket(struct parser *p)
{
    struct node *n = NULL;
    if (skip_operator(p, "("))
        return parse_parentheses(p);
    if (skip_operator(p, "[")) {
        n = parse_node(p, NODE_LIST);
        return n && parse_items(p, "]", &n->a) ? n : NULL;
    }
    if (skip_operator(p, "{"))
        return parse_dict(p);
    return parse_fail(p, "expected an expression");
}

struct node *parse_primary(struct parser *p)
{
    switch (p->at->kind) {
    case TOKEN_NAME:
        return parse_name(p);
    case TOKEN_STRING:
        return parse_string(p);
    case TOKEN_INTEGER:
        if (p->at->too_large) {
            p->at++;
            return parse_refused(p, "integers beyond 64 bits are not supported");
        }
        return constant(p, value_integer(p->at++->integer));
    case TOKEN_FLOAT:
        return constant(p, value_float(p->at++->real));
    default:
        break;
    }
    return parse_bracket(p);
}

/* ---- suffixes: attributes, subscripts, calls, filters, tests ---- */

static struct node *parse_attribute(struct parser *p, struct node *of)
{
    struct node *n = parse_node(p, NODE_ATTRIBUTE);
    if (n && p->at->kind == TOKEN_INTEGER) {
        n->kind = NODE_ITEM;
        return with_children(n, of, constant(p, value_integer(p->at++->integer)));
    }
    if (!n || p->at->kind != TOKEN_NAME)
        return parse_fail(p, "expected a name or number after the dot");
    n->a = of;
    n->value = value_borrow(p->at++->text, VALUE_FROM_TEMPLATE);
    return n;
}

static struct node *parse_bounds(struct parser *p)
{
    struct node *n = NULL, *part[3] = {NULL, NULL, NULL};
    for (size_t i = 0; i < 3; i++) {
        if (!at_operator(p, ":") && !at_operator(p, "]") && !at_operator(p, ",")) {
            part[i] = parse_expression(p);
            if (!part[i])
                return NULL;
        }
        if (i == 2 || !at_operator(p, ":"))
            break;
        if (!n && !(n = parse_node(p, NODE_SLICE)))
            return NULL;
        p->at++;
    }
    if (!n)
        return part[0] ? part[0] : parse_fail(p, "expected a subscript");
    n->a = part[0];
    n->b = part[1];
    n->c = part[2];
    return n;
}

static struct node *parse_subscript(struct parser *p, struct node *of)
{
    struct node *n = parse_node(p, NODE_ITEM);
    if (!n || !(n->b = parse_bounds(p)))
        return NULL;
    n->a = of;
    if (at_operator(p, ",")) {
        struct node *tuple = parse_node(p, NODE_TUPLE);
        struct node **last = tuple ? &tuple->a : NULL;
        bool slices = false;
        for (struct node *part = n->b; last && part; part = skip_operator(p, ",") ? parse_bounds(p) : NULL) {
            slices = slices || part->kind == NODE_SLICE;
            *last = part;
            last = &part->next;
        }
        if (!tuple)
            return NULL;
        n->b = slices ? parse_refused(p, "a slice of several dimensions is not supported") : tuple;
    }
    return n->b && parse_expect(p, TOKEN_OPERATOR, "]") ? n : NULL;
}

/* Arguments come in an order: by place, `*`, by name and `**`. */
struct argument_order {
    bool named, spread, spread_named;
};

static struct node *parse_spread(struct parser *p, struct argument_order *order)
{
    bool names = at_operator(p, "**");
    struct node *n = parse_node(p, names ? NODE_SPREAD_NAMED : NODE_SPREAD);
    if (order->spread_named || (!names && order->spread))
        return parse_fail(p, "an argument follows those that are unpacked");
    p->at++;
    order->spread = order->spread || !names;
    order->spread_named = names;
    return n && (n->a = parse_expression(p)) ? n : NULL;
}

static struct node *parse_argument(struct parser *p, struct argument_order *order)
{
    if (at_operator(p, "*") || at_operator(p, "**"))
        return parse_spread(p, order);
    bool named = p->at->kind == TOKEN_NAME && p->at[1].kind == TOKEN_OPERATOR && span_is(p->at[1].text, "=");
    if (order->spread_named || (!named && (order->named || order->spread)))
        return parse_fail(p, "an argument by place follows one by name");
    if (!named)
        return parse_expression(p);
    struct node *n = parse_node(p, NODE_KEYWORD);
    if (!n)
        return NULL;
    n->value = value_borrow(p->at->text, VALUE_FROM_TEMPLATE);
    p->at += 2;
    order->named = true;
    n->a = parse_expression(p);
    return n->a ? n : NULL;
}

/* The arguments behind an opening parenthesis that was passed. */
static bool parse_arguments(struct parser *p, struct node **first)
{
    struct argument_order order = {0};
    for (struct node **last = first; !at_operator(p, ")"); last = &(*last)->next) {
        if (last != first && !parse_expect(p, TOKEN_OPERATOR, ","))
            return false;
        if (last != first && at_operator(p, ")"))
            break;
        *last = parse_argument(p, &order);
        if (!*last)
            return false;
    }
    p->at++;
    return true;
}

static struct node *parse_call(struct parser *p, struct node *callee)
{
    struct node *n = parse_node(p, NODE_CALL);
    if (!n || !parse_arguments(p, &n->b))
        return NULL;
    n->a = callee;
    return n;
}

static struct node *parse_behind(struct parser *p, struct node *n)
{
    while (n) {
        if (skip_operator(p, "."))
            n = parse_attribute(p, n);
        else if (skip_operator(p, "["))
            n = parse_subscript(p, n);
        else if (skip_operator(p, "("))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

static struct node *parse_filter(struct parser *p, struct node *input)
{
    struct node *n = parse_node(p, NODE_FILTER);
    if (!n || p->at->kind != TOKEN_NAME)
        return parse_fail(p, "expected the name of a filter");
    n->value = value_borrow(p->at->text, VALUE_FROM_TEMPLATE);
    n->builtin = filter_find(p->at++->text);
    n->a = input;
    return !skip_operator(p, "(") || parse_arguments(p, &n->b) ? n : NULL;
}

struct node *parse_filters(struct parser *p, struct node *input, bool begun)
{
    struct node *n = input;
    bool first = begun;
    while (first || skip_operator(p, "|")) {
        n = parse_filter(p, n);
        if (!n)
            return NULL;
        first = false;
    }
    return n;
}

/* A test takes one argument without parentheses where an expression follows. */
static bool parse_test_argument(struct parser *p, struct node **argument)
{
    if (skip_operator(p, "("))
        return parse_arguments(p, argument);
    static const char *const words[] = {"else", "or", "and"};
    bool begins = p->at->kind == TOKEN_STRING || p->at->kind == TOKEN_INTEGER || p->at->kind == TOKEN_FLOAT ||
                  at_operator(p, "[") || at_operator(p, "{");
    if (p->at->kind == TOKEN_NAME) {
        begins = true;
        for (size_t i = 0; i < 3; i++)
            begins = begins && !span_is(p->at->text, words[i]);
    }
    if (!begins)
        return true;
    if (parse_at(p, TOKEN_NAME, "is"))
        return parse_fail(p, "tests cannot be chained by 'is'") != NULL;
    struct node *n = parse_primary(p);
    *argument = n ? parse_behind(p, n) : NULL;
    return *argument != NULL;
}

static struct node *parse_test(struct parser *p, struct node *input)
{
    bool negative = skip_name(p, "not");
    struct node *n = parse_node(p, NODE_TEST), *inverse = negative ? parse_node(p, NODE_NOT) : NULL;
    if (!n || p->at->kind != TOKEN_NAME)
        return parse_fail(p, "expected the name of a test");
    n->value = value_borrow(p->at->text, VALUE_FROM_TEMPLATE);
    n->builtin = test_find(p->at++->text);
    n->a = input;
    if (!parse_test_argument(p, &n->b))
        return NULL;
    if (!negative)
        return n;
    if (inverse)
        inverse->a = n;
    return inverse;
}

static struct node *parse_filters_and_tests(struct parser *p, struct node *n)
{
    while (n) {
        if (skip_operator(p, "|"))
            n = parse_filter(p, n);
        else if (skip_name(p, "is"))
            n = parse_test(p, n);
        else if (skip_operator(p, "("))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

struct node *parse_unary(struct parser *p, bool with_filters)
{
    struct node *n;
    if (at_operator(p, "-") || at_operator(p, "+")) {
        struct node *sign = parse_node(p, at_operator(p, "-") ? NODE_NEGATIVE : NODE_POSITIVE);
        p->at++;
        if (!sign || !parse_enter(p))
            return NULL;
        sign->a = parse_unary(p, false);
        p->depth--;
        n = sign->a ? sign : NULL;
    } else {
        n = parse_primary(p);
    }
    n = n ? parse_behind(p, n) : NULL;
    return n && with_filters ? parse_filters_and_tests(p, n) : n;
}
