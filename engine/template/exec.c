/* exec.c - runs statements.
 *
 * Each round of a loop, each call of a macro and each `with` has a scope of its own; names that are set in it end with it.
 * An `if` has none. A macro sees the scope in which it was defined, with the values at the time of the call: those of the
 * current round, and none behind the loop. names.c says which names a scope hides until it sets them.
 */
#include "template_private.h"

#include <string.h>

static bool assign_parts(struct template_run *r, const struct node *target, struct value v)
{
    struct value list;
    size_t n = 0;
    for (const struct node *part = target->a; part; part = part->next)
        n++;
    if (!iterate(r, &v, &list))
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

bool assign(struct template_run *r, const struct node *target, struct value v)
{
    if (target->kind == NODE_TUPLE)
        return assign_parts(r, target, v);
    if (target->kind == NODE_ATTRIBUTE)
        return assign_attribute(r, target, v);
    return scope_set(r, value_span(target->value), &v);
}

/* Runs the body of a statement in a scope of its own. */
static enum flow exec_scoped(struct template_run *r, const struct node *n)
{
    struct scope *outer = r->scope;
    enum flow flow = scope_open(r, n) ? exec_body(r, n->d) : FLOW_FAILED;
    scope_close(r, outer);
    return flow;
}

/* Applies the filters of a block to a value. The innermost one has no input of its own. */
static bool exec_filters(struct template_run *r, const struct node *filter, struct value *v)
{
    struct arguments args;
    arguments_init(&args);
    if (filter->a && !exec_filters(r, filter->a, v))
        return false;
    return arguments_add(r, &args, v) && eval_arguments(r, filter->b, &args) &&
           builtin_call_node(r, filter, &args, v);
}

/* Runs the body of a statement and makes a value of what it writes. Its filters, which are in `b`, see what it sets. */
static enum flow exec_captured(struct template_run *r, const struct node *n, struct value *out)
{
    size_t start = r->size;
    struct scope *outer = r->scope;
    enum flow flow = scope_open(r, n) ? exec_body(r, n->d) : FLOW_FAILED;
    if (flow != FLOW_FAILED && !run_take(r, start, out))
        flow = FLOW_FAILED;
    out->text.markup = r->safe;
    if (flow == FLOW_ON && n->b && !exec_filters(r, n->b, out))
        flow = FLOW_FAILED;
    scope_close(r, outer);
    return flow;
}

/* Writes what stands in the text, which is escaped where the template asks for it. */
static bool print_value(struct template_run *r, struct value v)
{
    if (r->escapes) {
        v = escape_text(r, &v);
        return v.kind == VALUE_STRING && print_text(r, &v);
    }
    return print_text(r, &v);
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
        if (truth(&test))
            return exec_body(r, branch->b);
    }
    return FLOW_ON;
}

/* ---- loops ---- */

static bool holds(struct template_run *r, struct loop *l, struct value item, bool *good)
{
    struct scope *here = r->scope;
    struct value test = value_bool(true);
    if (l->checked || !l->node->c) {
        *good = true;
        return true;
    }
    r->scope = l->scope;
    bool ran = scope_open(r, l->node->c) && assign(r, l->node->a, item) && eval(r, l->node->c, &test);
    r->scope = here;
    *good = truth(&test);
    return ran;
}

/* The next item for which the loop's condition holds. */
static bool loop_pull(struct template_run *r, struct loop *l, struct value *out, bool *more)
{
    bool good = false;
    *more = !l->ended;
    while (*more && !good)
        if (!iterator_next(r, &l->from, out, more) || (*more && !holds(r, l, *out, &good)))
            return false;
    l->ended = !*more;
    return true;
}

static bool loop_peek(struct template_run *r, struct loop *l)
{
    return l->has_after || loop_pull(r, l, &l->after, &l->has_after);
}

bool loop_step(struct template_run *r, struct loop *l, bool *more)
{
    if (!loop_peek(r, l))
        return false;
    *more = l->has_after;
    if (!*more)
        return true;
    l->has_after = false;
    l->index++;
    l->before = l->current;
    l->current = l->after;
    return true;
}

/* Looks ahead as far as an attribute of `loop` needs: to the next item, or to the end for the length. */
static bool loop_look(struct template_run *r, struct loop *l, bool to_the_end)
{
    int64_t n;
    if (!to_the_end)
        return loop_peek(r, l);
    if (l->has_length)
        return true;
    l->has_length = true;
    if (!l->node->c && !is_object(l->over, object_generator)) {
        bool good = value_length(r, &l->over, &n);
        l->length = good ? (size_t)n : 0;
        return good;
    }
    struct value left = value_list(r->arena, 0), item;
    for (bool more = true; more;) {
        if (!loop_pull(r, l, &item, &more))
            return false;
        if (more && !list_put(r, &left, &item))
            return false;
    }
    if (!run_step(r, 1))
        return false;
    l->length = left.list->n + l->index + l->has_after;
    l->from = (struct iterator){.over = left};
    l->checked = true;
    l->ended = false;
    return true;
}

bool loop_attribute(struct template_run *r, struct loop *l, struct value name, struct value *out)
{
    bool length = value_is(name, "length") || value_is(name, "revindex") || value_is(name, "revindex0");
    bool next = value_is(name, "last") || value_is(name, "nextitem");
    if ((length || next) && !loop_look(r, l, length))
        return false;
    return loop_member(r, l, name, out);
}

static enum flow exec_round(struct template_run *r, const struct node *n, struct loop *l)
{
    const struct value loop = object_value(object_loop, l);
    bool ready = run_step(r, 1) && scope_begin(r, n) && scope_set(r, span_of("loop"), &loop) &&
                 assign(r, n->a, l->current);
    return ready ? exec_body(r, n->d) : FLOW_FAILED;
}

/* `else` runs when no round reached its end: there was no item, or each round ended by break or continue. */
static enum flow exec_rounds(struct template_run *r, const struct node *n, struct loop *l, bool *finished)
{
    bool more;
    for (enum flow flow = FLOW_ON; flow != FLOW_BREAK;) {
        if (!loop_step(r, l, &more))
            return FLOW_FAILED;
        if (!more)
            break;
        flow = exec_round(r, n, l);
        if (flow == FLOW_FAILED)
            return flow;
        *finished = *finished || flow == FLOW_ON;
    }
    return FLOW_ON;
}

static enum flow exec_loop(struct template_run *r, const struct node *n, struct value over, unsigned depth)
{
    struct scope *outer = r->scope;
    struct loop *l = value_alloc(r->arena, sizeof(*l));
    bool finished = false;
    if (!l)
        return flow_of(run_step(r, 1));
    *l = (struct loop){.node = n, .scope = outer, .over = over, .depth = depth};
    if (!iterator_open(r, &over, &l->from) || !scope_open(r, n))
        return FLOW_FAILED;
    enum flow flow = exec_rounds(r, n, l, &finished);
    scope_close(r, outer);
    return finished || flow == FLOW_FAILED ? flow : exec_body(r, n->e);
}

static enum flow exec_for(struct template_run *r, const struct node *n)
{
    struct value over;
    return eval(r, n->b, &over) ? exec_loop(r, n, over, 1) : FLOW_FAILED;
}

/* Calls what a call, a recursive loop or a block writes, in the scope where it was defined. */
static bool captured(struct template_run *r, struct scope *scope, bool escapes,
    enum flow (*run)(struct template_run *r, const void *with), const void *with, struct value *out)
{
    struct scope *caller = r->scope;
    size_t start = r->size;
    unsigned line = r->line;
    bool before = r->escapes;
    r->scope = scope;
    r->escapes = escapes;
    bool good = run(r, with) != FLOW_FAILED && run_take(r, start, out);
    r->scope = caller;
    r->line = line;
    r->escapes = before;
    if (good)
        out->text.markup = r->safe;
    return good;
}

struct again {
    const struct loop *loop;
    struct value over;
};

static enum flow run_again(struct template_run *r, const void *with)
{
    const struct again *a = with;
    return exec_loop(r, a->loop->node, a->over, a->loop->depth + 1);
}

bool call_loop(struct template_run *r, struct loop *l, struct value over, struct value *out)
{
    if (!l->node->flag)
        return run_fail(r, "the loop must be marked 'recursive' to be called");
    const struct again a = {l, over};
    return captured(r, l->scope, r->escapes, run_again, &a, out);
}

static enum flow run_block(struct template_run *r, const void *with)
{
    return exec_scoped(r, with);
}

bool call_block(struct template_run *r, const struct node *block, struct value *out)
{
    return captured(r, r->root, false, run_block, block, out);
}

/* A block sees the names of the template's top level alone, unless it is scoped. */
static enum flow exec_block(struct template_run *r, const struct node *n)
{
    struct scope *outer = r->scope;
    bool before = r->escapes;
    r->scope = n->flag ? r->scope : r->root;
    r->escapes = false;
    enum flow flow = exec_scoped(r, n);
    r->scope = outer;
    r->escapes = before;
    return flow;
}

static enum flow exec_autoescape(struct template_run *r, const struct node *n)
{
    bool before[2] = {r->escapes, r->safe};
    struct value on;
    if (!eval(r, n->a, &on))
        return FLOW_FAILED;
    r->escapes = r->safe = truth(&on);
    enum flow flow = exec_scoped(r, n);
    r->escapes = before[0];
    r->safe = before[1];
    return flow;
}

static enum flow exec_set_block(struct template_run *r, const struct node *n)
{
    struct value v;
    enum flow flow = exec_captured(r, n, &v);
    return flow == FLOW_ON ? flow_of(assign(r, n->a, v)) : flow;
}

static enum flow exec_filter_block(struct template_run *r, const struct node *n)
{
    struct value v;
    enum flow flow = exec_captured(r, n, &v);
    return flow == FLOW_ON ? flow_of(wants_text(r, &v) && print_text(r, &v)) : flow;
}

static bool define_macro(struct template_run *r, const struct node *n, struct value *out)
{
    struct macro *m = value_alloc(r->arena, sizeof(*m));
    if (!m)
        return run_step(r, 1);
    *m = (struct macro){.node = n, .scope = r->scope, .escapes = r->escapes};
    *out = object_value(object_macro, m);
    return true;
}

static enum flow exec_with(struct template_run *r, const struct node *n)
{
    struct scope *outer = r->scope;
    struct arguments values;
    size_t at = 0;
    arguments_init(&values);
    for (const struct node *set = n->a; set; set = set->next) {
        struct value v;
        if (!eval(r, set->b, &v) || !arguments_add(r, &values, &v))
            return FLOW_FAILED;
    }
    bool ready = scope_open(r, n);
    for (const struct node *set = n->a; ready && set; set = set->next)
        ready = assign(r, set->a, values.at[at++]);
    enum flow flow = ready ? exec_body(r, n->d) : FLOW_FAILED;
    scope_close(r, outer);
    return flow;
}

static bool exec_call_block(struct template_run *r, const struct node *n)
{
    struct arguments args;
    struct value callee, caller, result;
    arguments_init(&args);
    return define_macro(r, n, &caller) && eval(r, n->a->a, &callee) && eval_arguments(r, n->a->b, &args) &&
           arguments_name(r, &args, value_literal("caller"), caller) &&
           call_value(r, callee, &args, &result) && print_value(r, result);
}

static bool exec_print(struct template_run *r, const struct node *n)
{
    struct value v;
    return eval(r, n->a, &v) && print_value(r, v);
}

static bool exec_set(struct template_run *r, const struct node *n)
{
    struct value v;
    return eval(r, n->b, &v) && assign(r, n->a, v);
}

static bool exec_macro(struct template_run *r, const struct node *n)
{
    struct value macro;
    return define_macro(r, n, &macro) && scope_set(r, value_span(n->value), &macro);
}

static enum flow exec(struct template_run *r, const struct node *n)
{
    r->line = n->line;
    if (!run_step(r, 1))
        return FLOW_FAILED;
    switch (n->kind) {
    case NODE_TEXT:
        return flow_of(run_add_text(r, &n->value));
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
        return exec_scoped(r, n);
    case NODE_AUTOESCAPE:
        return exec_autoescape(r, n);
    case NODE_BLOCK:
        return exec_block(r, n);
    case NODE_REFUSED:
        return flow_of(run_fail(r, "%.*s", (int)n->value.text.size, n->value.text.at));
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

static bool take_named(struct value_map *named, struct value name, struct value *out)
{
    for (size_t i = 0; i < named->n; i++)
        if (span_compare(value_span(named->pairs[i].key), value_span(name)) == 0) {
            *out = named->pairs[i].value;
            memmove(named->pairs + i, named->pairs + i + 1, (named->n - i - 1) * sizeof(*named->pairs));
            named->n--;
            return true;
        }
    return false;
}

/* Sets the parameters: first all that are given, then defaults in order, which may name parameters before and after. */
static bool set_parameters(struct template_run *r, const struct node *first, const struct arguments *args,
    struct value_map *named, size_t *n)
{
    const struct node *p = first;
    for (*n = 0; p; p = p->next, ++*n) {
        struct value v = {.kind = VALUE_UNDEFINED, .text = p->value.text};
        if (*n < args->n)
            v = args->at[*n];
        else
            take_named(named, p->value, &v);
        if (!scope_set(r, value_span(p->value), &v))
            return false;
    }
    const struct value all = {.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)&args->named};
    size_t at = 0;
    for (p = first; p; p = p->next, at++) {
        struct value v;
        bool missing = at >= args->n && !value_find(all, value_span(p->value));
        if (missing && p->a && (!eval(r, p->a, &v) || !scope_set(r, value_span(p->value), &v)))
            return false;
    }
    return true;
}

/* Sets `caller`, `kwargs` and `varargs` where the macro's body uses them; otherwise they must not be given. */
static bool set_rest(struct template_run *r, const struct node *macro, const struct arguments *args,
    struct value_map *named, size_t n)
{
    const struct value *declared = NULL;
    for (const struct binding *b = r->scope->bindings; b; b = b->next)
        declared = span_is(b->name, "caller") ? &b->value : declared;
    struct value caller = {.kind = VALUE_UNDEFINED, .text = value_literal("caller").text};
    if ((macro->uses & USES_CALLER) && !declared) {
        take_named(named, value_literal("caller"), &caller);
        if (!scope_set(r, span_of("caller"), &caller))
            return false;
    }
    struct value rest = value_map(r->arena, named->n), more = value_list(r->arena, 0);
    for (size_t i = 0; i < named->n; i++)
        value_set_new(r->arena, rest, named->pairs[i].key, named->pairs[i].value);
    for (size_t i = n; i < args->n; i++)
        list_put(r, &more, &args->at[i]);
    if (!run_step(r, 1))
        return false;
    more.list->tuple = true;
    if (named->n > 0 && !(macro->uses & USES_KWARGS))
        return run_fail(r, "the macro does not take the keyword '%.*s'", (int)named->pairs[0].key.text.size,
            named->pairs[0].key.text.at);
    if (args->n > n && !(macro->uses & USES_VARARGS))
        return run_fail(r, "a macro of %zu parameters is called with %zu", n, args->n);
    return (!(macro->uses & USES_KWARGS) || scope_set(r, span_of("kwargs"), &rest)) &&
           (!(macro->uses & USES_VARARGS) || scope_set(r, span_of("varargs"), &more));
}

struct call {
    const struct node *macro;
    const struct arguments *args;
};

static enum flow run_macro(struct template_run *r, const void *with)
{
    const struct call *c = with;
    const struct node *first = c->macro->kind == NODE_MACRO ? c->macro->a : c->macro->b;
    struct value_map named = c->args->named;
    size_t n = 0;
    if (named.n > 0) {
        named.pairs = value_alloc(r->arena, named.n * sizeof(*named.pairs));
        if (!named.pairs)
            return flow_of(run_step(r, 1));
        memcpy(named.pairs, c->args->named.pairs, named.n * sizeof(*named.pairs));
    }
    bool ready = scope_open(r, c->macro) && set_parameters(r, first, c->args, &named, &n) &&
                 set_rest(r, c->macro, c->args, &named, n);
    return ready ? exec_body(r, c->macro->d) : FLOW_FAILED;
}

bool call_macro(struct template_run *r, struct value macro, const struct arguments *args, struct value *out)
{
    const struct macro *m = macro.object.data;
    const struct call c = {m->node, args};
    if (m->node->kind == NODE_BLOCK)
        return args->n + args->named.n == 0 ? call_block(r, m->node, out)
                                            : run_fail(r, "a block takes no arguments");
    return captured(r, m->scope, m->escapes, run_macro, &c, out);
}
