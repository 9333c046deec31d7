/* exec.c - runs statements.
 *
 * Each round of a loop, each call of a macro and each `with` has a scope of its own; names that are set in it end with it.
 * An `if` has none. A macro sees the scope in which it was defined, with the values at the time of the call.
 */
#include "template_private.h"

static bool assign(struct template_run *r, const struct node *target, struct value v);

static bool assign_parts(struct template_run *r, const struct node *target, struct value v)
{
    struct value list;
    size_t n = 0;
    for (const struct node *part = target->a; part; part = part->next)
        n++;
    if (!iterate(r, v, &list))
        return false;
    if (list.list->n != n)
        return run_fail(r, "%zu names are set from %zu values", n, list.list->n);
    const struct value *item = list.list->items;
    for (const struct node *part = target->a; part; part = part->next)
        if (!assign(r, part, *item++))
            return false;
    return true;
}

static bool assign_attribute(struct template_run *r, const struct node *target, struct value v)
{
    struct value space;
    if (!eval(r, target->a, &space))
        return false;
    if (space.kind != VALUE_OBJECT || space.object.type != object_namespace)
        return run_fail(r, "attributes can be set on a namespace only");
    struct value map = {.kind = VALUE_MAP, .map = space.object.data};
    return value_set(r->arena, map, target->value, v) || run_step(r, 1);
}

static bool assign(struct template_run *r, const struct node *target, struct value v)
{
    if (target->kind == NODE_TUPLE)
        return assign_parts(r, target, v);
    if (target->kind == NODE_ATTRIBUTE)
        return assign_attribute(r, target, v);
    return scope_set(r, value_span(target->value), v);
}

/* Runs a body in a scope of its own. */
static enum flow exec_scoped(struct template_run *r, const struct node *body)
{
    struct scope *outer = r->scope;
    enum flow flow = scope_open(r) ? exec_body(r, body) : FLOW_FAILED;
    r->scope = outer;
    return flow;
}

/* Runs a body and makes a value of what it writes. */
static enum flow exec_captured(struct template_run *r, const struct node *body, struct value *out)
{
    size_t start = r->size;
    enum flow flow = exec_scoped(r, body);
    if (flow == FLOW_FAILED || !run_take(r, start, out))
        return FLOW_FAILED;
    return flow;
}

/* Applies the filters of a block to a value. The innermost one has no input of its own. */
static bool exec_filters(struct template_run *r, const struct node *filter, struct value *v)
{
    struct arguments args = {0};
    if (filter->a && !exec_filters(r, filter->a, v))
        return false;
    args.at[args.n++] = *v;
    return eval_arguments(r, filter->b, &args) && builtin_call_node(r, filter, &args, v);
}

static enum flow flow_of(bool good)
{
    return good ? FLOW_ON : FLOW_FAILED;
}

static enum flow exec_if(struct template_run *r, const struct node *n)
{
    for (const struct node *branch = n->a; branch; branch = branch->next) {
        struct value test = value_bool(true);
        r->line = branch->line;
        if (branch->a && !eval(r, branch->a, &test))
            return FLOW_FAILED;
        if (truth(test))
            return exec_body(r, branch->b);
    }
    return FLOW_ON;
}

bool loop_find(struct template_run *r, struct loop *l, size_t n)
{
    struct scope *here = r->scope;
    const struct node *node = l->node;
    bool good = true;
    r->scope = l->scope;
    while (good && l->items.list->n < n && l->asked < l->all.list->n) {
        struct value item = l->all.list->items[l->asked++], test = value_bool(true);
        good = scope_open(r) && assign(r, node->a, item) && (!node->c || eval(r, node->c, &test));
        if (good && truth(test))
            good = value_append(r->arena, l->items, item) || run_step(r, 1);
        r->scope = l->scope;
    }
    r->scope = here;
    return good && run_step(r, 1);
}

static enum flow exec_round(struct template_run *r, const struct node *n, struct loop *l)
{
    struct scope *outer = r->scope;
    bool ready = run_step(r, 1) && scope_open(r) &&
                 scope_set(r, span_of("loop"), object_value(object_loop, l)) &&
                 assign(r, n->a, l->items.list->items[l->index]);
    enum flow flow = ready ? exec_body(r, n->d) : FLOW_FAILED;
    r->scope = outer;
    return flow;
}

/* `else` runs when no round reached its end: there was no item, or each round ended by break or continue. */
static enum flow exec_for(struct template_run *r, const struct node *n)
{
    struct value over, all;
    if (!eval(r, n->b, &over) || !iterate(r, over, &all))
        return FLOW_FAILED;
    struct loop *l = value_alloc(r->arena, sizeof(*l));
    struct value found = n->c ? value_list(r->arena, 0) : all;
    if (!l || !run_step(r, 1))
        return flow_of(run_step(r, 1));
    *l = (struct loop){.items = found, .all = all, .node = n, .scope = r->scope, .depth = 1};
    l->asked = n->c ? 0 : all.list->n;
    bool finished = false;
    for (enum flow flow = FLOW_ON; flow != FLOW_BREAK; l->index++) {
        if (!loop_find(r, l, l->index + 1))
            return FLOW_FAILED;
        if (l->index >= l->items.list->n)
            break;
        flow = exec_round(r, n, l);
        if (flow == FLOW_FAILED)
            return flow;
        finished = finished || flow == FLOW_ON;
    }
    return finished ? FLOW_ON : exec_scoped(r, n->e);
}

static enum flow exec_set_block(struct template_run *r, const struct node *n)
{
    struct value v;
    enum flow flow = exec_captured(r, n->d, &v);
    if (flow != FLOW_ON)
        return flow;
    return flow_of((!n->b || exec_filters(r, n->b, &v)) && assign(r, n->a, v));
}

static enum flow exec_filter_block(struct template_run *r, const struct node *n)
{
    struct value v;
    enum flow flow = exec_captured(r, n->d, &v);
    if (flow != FLOW_ON)
        return flow;
    return flow_of(exec_filters(r, n->b, &v) && print_text(r, v));
}

static bool define_macro(struct template_run *r, const struct node *n, struct value *out)
{
    struct macro *m = value_alloc(r->arena, sizeof(*m));
    if (!m)
        return run_step(r, 1);
    *m = (struct macro){.node = n, .scope = r->scope};
    *out = object_value(object_macro, m);
    return true;
}

static enum flow exec_with(struct template_run *r, const struct node *n)
{
    struct value values[MAX_ARGUMENTS];
    struct scope *outer = r->scope;
    size_t at = 0;
    for (const struct node *set = n->a; set; set = set->next) {
        if (at == MAX_ARGUMENTS)
            return flow_of(run_fail(r, "more than %d names in one 'with'", MAX_ARGUMENTS));
        if (!eval(r, set->b, &values[at++]))
            return FLOW_FAILED;
    }
    bool ready = scope_open(r);
    at = 0;
    for (const struct node *set = n->a; ready && set; set = set->next)
        ready = assign(r, set->a, values[at++]);
    enum flow flow = ready ? exec_body(r, n->d) : FLOW_FAILED;
    r->scope = outer;
    return flow;
}

static bool exec_call_block(struct template_run *r, const struct node *n)
{
    struct arguments args = {0};
    struct value callee, caller, result;
    if (!define_macro(r, n, &caller) || !eval(r, n->a->a, &callee) || !eval_arguments(r, n->a->b, &args))
        return false;
    if (callee.kind != VALUE_OBJECT || callee.object.type != object_macro || args.n_named == MAX_ARGUMENTS)
        return run_fail(r, "a 'call' block can only call a macro");
    args.names[args.n_named] = span_of("caller");
    args.named[args.n_named++] = caller;
    return call_macro(r, callee, &args, &result) && print_text(r, result);
}

static bool exec_print(struct template_run *r, const struct node *n)
{
    struct value v;
    return eval(r, n->a, &v) && print_text(r, v);
}

static bool exec_set(struct template_run *r, const struct node *n)
{
    struct value v;
    return eval(r, n->b, &v) && assign(r, n->a, v);
}

static bool exec_macro(struct template_run *r, const struct node *n)
{
    struct value macro;
    return define_macro(r, n, &macro) && scope_set(r, value_span(n->value), macro);
}

static enum flow exec(struct template_run *r, const struct node *n)
{
    r->line = n->line;
    if (!run_step(r, 1))
        return FLOW_FAILED;
    switch (n->kind) {
    case NODE_TEXT:
        return flow_of(run_add_text(r, n->value));
    case NODE_PRINT:
        return flow_of(exec_print(r, n));
    case NODE_IF:
        return exec_if(r, n);
    case NODE_FOR:
        return exec_for(r, n);
    case NODE_SET:
        return flow_of(exec_set(r, n));
    case NODE_SET_BLOCK:
        return exec_set_block(r, n);
    case NODE_MACRO:
        return flow_of(exec_macro(r, n));
    case NODE_WITH:
        return exec_with(r, n);
    case NODE_FILTER_BLOCK:
        return exec_filter_block(r, n);
    case NODE_CALL_BLOCK:
        return flow_of(exec_call_block(r, n));
    case NODE_SCOPE:
        return exec_scoped(r, n->d);
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    default:
        return flow_of(run_fail(r, "this cannot be run"));
    }
}

enum flow exec_body(struct template_run *r, const struct node *first)
{
    enum flow flow = FLOW_ON;
    if (r->depth >= RUN_DEPTH)
        return flow_of(run_fail(r, "more than %d nested levels of evaluation", RUN_DEPTH));
    r->depth++;
    for (const struct node *n = first; n && flow == FLOW_ON; n = n->next)
        flow = exec(r, n);
    r->depth--;
    return flow;
}

/* ---- macros ---- */

static const struct value *named_argument(const struct arguments *args, struct span name)
{
    for (size_t i = 0; i < args->n_named; i++)
        if (span_compare(args->names[i], name) == 0)
            return &args->named[i];
    return NULL;
}

/* Sets the parameters in order: to the argument, else to the default, else to undefined. */
static bool set_parameters(struct template_run *r, const struct node *first, const struct arguments *args)
{
    size_t at = 0, used = 0;
    for (const struct node *p = first; p; p = p->next, at++) {
        struct span name = value_span(p->value);
        const struct value *named = named_argument(args, name);
        struct value v = {.kind = VALUE_UNDEFINED, .text = p->value.text};
        if (at < args->n && named)
            return run_fail(r, "the macro's parameter '%.*s' is given twice", (int)name.size, name.at);
        if (at < args->n)
            v = args->at[at];
        else if (named)
            v = *named;
        else if (p->a && !eval(r, p->a, &v))
            return false;
        used += named != NULL;
        if (!scope_set(r, name, v))
            return false;
    }
    if (args->n > at)
        return run_fail(r, "a macro of %zu parameters is called with %zu", at, args->n);
    const struct value *caller = named_argument(args, span_of("caller"));
    if (caller && used < args->n_named) {
        used++;
        if (!scope_set(r, span_of("caller"), *caller))
            return false;
    }
    return used == args->n_named || run_fail(r, "a macro is called with a keyword that it does not take");
}

bool call_macro(struct template_run *r, struct value macro, const struct arguments *args, struct value *out)
{
    const struct macro *m = macro.object.data;
    struct scope *caller = r->scope;
    size_t start = r->size;
    unsigned line = r->line;
    const struct node *parameters = m->node->kind == NODE_MACRO ? m->node->a : m->node->b;
    r->scope = m->scope;
    bool good = scope_open(r) && set_parameters(r, parameters, args) && exec_body(r, m->node->d) == FLOW_ON &&
                run_take(r, start, out);
    r->scope = caller;
    r->line = line;
    return good;
}
