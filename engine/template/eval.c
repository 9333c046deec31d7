/* eval.c - evaluates expressions.
 *
 * All recursion goes through eval, which counts a step and a level each time. So a deep tree, or a macro that calls itself,
 * reaches a limit.
 */
#include "template_private.h"

static bool eval_name(struct template_run *r, const struct node *n, struct value *out)
{
    struct span name = value_span(n->value);
    const struct binding *b = scope_find(r, name);
    const struct value *v = b ? &b->value : value_find(r->vars, name);
    const struct builtin *f = v ? NULL : function_find(name);
    if (v)
        *out = *v;
    else if (f)
        *out = function_value(f);
    else if (span_is(name, "self"))
        *out = object_value(object_blocks, NULL);
    else
        *out = (struct value){.kind = VALUE_UNDEFINED, .text = n->value.text};
    return true;
}

static bool eval_list(struct template_run *r, const struct node *n, struct value *out)
{
    struct value list = value_list(r->arena, 0);
    for (const struct node *item = n->a; item; item = item->next) {
        struct value v;
        if (!eval(r, item, &v))
            return false;
        list_put(r, &list, &v);
    }
    if (!run_step(r, 1))
        return false;
    list.list->tuple = n->kind == NODE_TUPLE;
    *out = list;
    return true;
}

static bool eval_dict(struct template_run *r, const struct node *n, struct value *out)
{
    struct value map = value_map(r->arena, 0);
    for (const struct node *pair = n->a; pair; pair = pair->next) {
        struct value key, v;
        if (!run_step(r, 1) || !eval(r, pair->a, &key) || !eval(r, pair->b, &v) ||
            !map_set(r, &map, &key, &v))
            return false;
    }
    *out = map;
    return run_step(r, 1);
}

static bool eval_condition(struct template_run *r, const struct node *n, struct value *out)
{
    struct value test;
    if (!eval(r, n->a, &test))
        return false;
    if (truth(&test))
        return eval(r, n->b, out);
    *out = value_undefined;
    return !n->c || eval(r, n->c, out);
}

static bool eval_logic(struct template_run *r, const struct node *n, struct value *out)
{
    if (!eval(r, n->a, out))
        return false;
    return truth(out) == (n->kind == NODE_OR) || eval(r, n->b, out);
}

static bool eval_not(struct template_run *r, const struct node *n, struct value *out)
{
    struct value v;
    if (!eval(r, n->a, &v))
        return false;
    *out = value_bool(!truth(&v));
    return true;
}

static bool eval_sign(struct template_run *r, const struct node *n, struct value *out)
{
    struct value v;
    if (!eval(r, n->a, &v))
        return false;
    if (v.kind == VALUE_UNDEFINED)
        return undefined_fail(r, &v);
    if (!is_number(v))
        return run_fail(r, "a sign stands before %s", kind_name(&v));
    if (v.kind == VALUE_FLOAT)
        *out = value_float(n->kind == NODE_NEGATIVE ? -v.real : v.real);
    else if (n->kind == NODE_POSITIVE)
        *out = value_integer(as_integer(v));
    else
        return operate(r, OP_SUBTRACT, value_integer(0), v, out);
    return true;
}

static bool eval_binary(struct template_run *r, const struct node *n, struct value *out)
{
    struct value a, b;
    return eval(r, n->a, &a) && eval(r, n->b, &b) && operate(r, n->op, a, b, out);
}

/* All parts are evaluated before any is printed, because a macro among them writes to the output, too. */
static bool eval_concat(struct template_run *r, const struct node *n, struct value *out)
{
    struct value parts;
    if (!eval_list(r, n, &parts))
        return false;
    const struct value nothing = value_literal("");
    return r->escapes ? join_escaped(r, parts, nothing, out) : join_texts(r, &parts, &nothing, out);
}

static bool eval_compare(struct template_run *r, const struct node *n, struct value *out)
{
    struct value left, right;
    bool holds = true;
    if (!eval(r, n->a, &left))
        return false;
    for (const struct node *o = n->b; o && holds; o = o->next) {
        if (!eval(r, o->a, &right) || !compare(r, o->op, left, right, &holds))
            return false;
        left = right;
    }
    *out = value_bool(holds);
    return true;
}

static bool eval_item(struct template_run *r, const struct node *n, struct value *out)
{
    struct value of, key;
    if (!eval(r, n->a, &of))
        return false;
    if (n->b->kind != NODE_SLICE)
        return eval(r, n->b, &key) && get_item(r, of, key, out);
    struct value bounds[3] = {value_null, value_null, value_null};
    const struct node *parts[3] = {n->b->a, n->b->b, n->b->c};
    for (size_t i = 0; i < 3; i++)
        if (parts[i] && !eval(r, parts[i], &bounds[i]))
            return false;
    return get_slice(r, of, bounds, out);
}

static bool eval_attribute(struct template_run *r, const struct node *n, struct value *out)
{
    struct value of;
    return eval(r, n->a, &of) && get_attribute(r, of, n->value, out);
}

static bool eval_call(struct template_run *r, const struct node *n, struct value *out)
{
    struct value callee;
    struct arguments args;
    arguments_init(&args);
    return eval(r, n->a, &callee) && eval_arguments(r, n->b, &args) && call_value(r, callee, &args, out);
}

static bool eval_builtin(struct template_run *r, const struct node *n, struct value *out)
{
    struct arguments args;
    struct value input;
    arguments_init(&args);
    if (!eval(r, n->a, &input) || !arguments_add(r, &args, &input))
        return false;
    return eval_arguments(r, n->b, &args) && builtin_call_node(r, n, &args, out);
}

static bool eval_node(struct template_run *r, const struct node *n, struct value *out)
{
    switch (n->kind) {
    case NODE_CONST:
        *out = n->value;
        return true;
    case NODE_NAME:
        return eval_name(r, n, out);
    case NODE_LIST:
    case NODE_TUPLE:
        return eval_list(r, n, out);
    case NODE_DICT:
        return eval_dict(r, n, out);
    case NODE_CONDITION:
        return eval_condition(r, n, out);
    case NODE_AND:
    case NODE_OR:
        return eval_logic(r, n, out);
    case NODE_NOT:
        return eval_not(r, n, out);
    case NODE_NEGATIVE:
    case NODE_POSITIVE:
        return eval_sign(r, n, out);
    case NODE_BINARY:
        return eval_binary(r, n, out);
    case NODE_CONCAT:
        return eval_concat(r, n, out);
    case NODE_COMPARE:
        return eval_compare(r, n, out);
    case NODE_ATTRIBUTE:
        return eval_attribute(r, n, out);
    case NODE_ITEM:
        return eval_item(r, n, out);
    case NODE_CALL:
        return eval_call(r, n, out);
    case NODE_FILTER:
    case NODE_TEST:
        return eval_builtin(r, n, out);
    case NODE_REFUSED:
        return run_fail(r, "%.*s", (int)n->value.text.size, n->value.text.at);
    default:
        return run_fail(r, "this cannot be evaluated");
    }
}

bool eval(struct template_run *r, const struct node *n, struct value *out)
{
    if (r->depth >= RUN_DEPTH)
        return run_fail(r, "more than %d nested levels of evaluation", RUN_DEPTH);
    r->line = n->line;
    r->depth++;
    bool good = run_step(r, 1) && eval_node(r, n, out);
    r->depth--;
    return good;
}
