/* calls.c - calls: the arguments, and what can be called.
 *
 * A built-in names its parameters, and gets one value for each. Macros, functions and methods that take any number get the
 * arguments as they were given.
 */
#include "template_private.h"

#include <ctype.h>
#include <string.h>

void arguments_init(struct arguments *args)
{
    *args = (struct arguments){.room = FEW_ARGUMENTS};
    args->at = args->few;
}

bool arguments_add(struct template_run *r, struct arguments *args, const struct value *v)
{
    if (args->n == args->room) {
        struct value *more = value_alloc(r->arena, args->room * 2 * sizeof(*more));
        if (!more)
            return run_step(r, 1);
        memcpy(more, args->at, args->n * sizeof(*more));
        args->at = more;
        args->room *= 2;
    }
    args->at[args->n++] = *v;
    return true;
}

bool arguments_name(struct template_run *r, struct arguments *args, struct value name, struct value v)
{
    struct value map = {.kind = VALUE_MAP, .map = &args->named};
    if (value_find(map, value_span(name)))
        return run_fail(r, "the argument '%.*s' is given twice",
            (int)(name.text.size < 60 ? name.text.size : 60), name.text.at);
    return value_set_new(r->arena, map, name, v) || run_step(r, 1);
}

bool arguments_join(
    struct template_run *r, struct arguments *args, const struct arguments *from, size_t first)
{
    for (size_t i = first; i < from->n; i++)
        if (!arguments_add(r, args, &from->at[i]))
            return false;
    for (size_t i = 0; i < from->named.n; i++)
        if (!arguments_name(r, args, from->named.pairs[i].key, from->named.pairs[i].value))
            return false;
    return true;
}

static bool add_spread(struct template_run *r, struct arguments *args, const struct node *n)
{
    struct value v, list;
    if (!eval(r, n->a, &v))
        return false;
    if (n->kind == NODE_SPREAD) {
        if (!iterate(r, &v, &list))
            return false;
        for (size_t i = 0; i < list.list->n; i++)
            if (!arguments_add(r, args, &list.list->items[i]))
                return false;
        return true;
    }
    if (v.kind != VALUE_MAP)
        return run_fail(r, "'%s' is no dict of arguments", kind_name(&v));
    for (size_t i = 0; i < v.map->n; i++) {
        struct value key = v.map->pairs[i].key;
        if (key.kind != VALUE_STRING)
            return run_fail(r, "the name of an argument is '%s', not 'str'", kind_name(&key));
        if (!run_step(r, 1) || !arguments_name(r, args, key, v.map->pairs[i].value))
            return false;
    }
    return true;
}

bool eval_arguments(struct template_run *r, const struct node *first, struct arguments *args)
{
    for (const struct node *n = first; n; n = n->next) {
        struct value v;
        bool spread = n->kind == NODE_SPREAD || n->kind == NODE_SPREAD_NAMED;
        if (spread ? !add_spread(r, args, n) : !eval(r, n->kind == NODE_KEYWORD ? n->a : n, &v))
            return false;
        if (!spread &&
            !(n->kind == NODE_KEYWORD ? arguments_name(r, args, n->value, v) : arguments_add(r, args, &v)))
            return false;
    }
    return true;
}

bool method_value(struct template_run *r, const struct builtin *b, struct value self, struct value *out)
{
    struct method *m = value_alloc(r->arena, sizeof(*m));
    if (!m)
        return run_step(r, 1);
    *m = (struct method){.builtin = b, .self = self};
    *out = object_value(object_method, m);
    return true;
}

/* Puts the arguments in the order of the row's parameters. */
bool builtin_call(
    struct template_run *r, const struct builtin *b, const struct arguments *args, struct value *out)
{
    struct value at[MAX_PARAMETERS];
    struct value named = {.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)&args->named};
    size_t n = 0, taken = 0;
    if (!b->parameters)
        return b->run_any(r, args, out);
    for (const char *name = b->parameters; *name && n < MAX_PARAMETERS; n++) {
        size_t size = strcspn(name, "? ");
        bool optional = name[size] == '?';
        const struct value *found = isdigit((unsigned char)name[0])
                                        ? NULL
                                        : value_find(named, (struct span){(const uint8_t *)name, size});
        if (n < args->n && found)
            return run_fail(r, "'%s' is given its argument '%.*s' twice", b->name, (int)size, name);
        at[n] = n < args->n ? args->at[n] : found ? *found : value_undefined;
        if (n >= args->n && !found && !optional)
            return run_fail(r, "'%s' needs its argument '%.*s'", b->name, (int)size, name);
        taken += n < args->n || found;
        name += size + optional;
        name += *name == ' ';
    }
    if (taken != args->n + args->named.n)
        return run_fail(r, "'%s' does not take all of these arguments", b->name);
    return b->run(r, at, out);
}

bool builtin_call_node(
    struct template_run *r, const struct node *n, const struct arguments *args, struct value *out)
{
    if (n->builtin)
        return builtin_call(r, n->builtin, args, out);
    struct span name = value_span(n->value);
    r->line = n->line;
    return run_fail(r, "the %s '%.*s' is not known", n->kind == NODE_TEST ? "test" : "filter",
        (int)(name.size < 60 ? name.size : 60), (const char *)name.at);
}

static bool call_method(
    struct template_run *r, const struct method *m, const struct arguments *args, struct value *out)
{
    struct arguments all;
    arguments_init(&all);
    if (!arguments_add(r, &all, &m->self) || !arguments_join(r, &all, args, 0) ||
        !builtin_call(r, m->builtin, &all, out))
        return false;
    if (out->kind == VALUE_STRING && m->self.kind == VALUE_STRING)
        out->text.markup = m->self.text.markup;
    return true;
}

/* A joiner gives nothing the first time. */
static bool call_joiner(struct cycler *c, struct value *out)
{
    *out = c->at++ ? c->text : value_literal("");
    return true;
}

bool call_value(struct template_run *r, struct value callee, const struct arguments *args, struct value *out)
{
    if (callee.kind == VALUE_UNDEFINED)
        return undefined_fail(r, &callee);
    const void *type = callee.kind == VALUE_OBJECT ? callee.object.type : NULL;
    if (type == object_macro)
        return call_macro(r, callee, args, out);
    if (type == object_method)
        return call_method(r, callee.object.data, args, out);
    if (type == object_function || type == object_class)
        return builtin_call(r, callee.object.data, args, out);
    if (type == object_joiner && args->n + args->named.n == 0)
        return call_joiner(callee.object.data, out);
    if (type == object_loop && args->n == 1 && args->named.n == 0)
        return call_loop(r, callee.object.data, args->at[0], out);
    return run_fail(r, "'%s' cannot be called%s", kind_name(&callee),
        type == object_loop || type == object_joiner ? " with these arguments" : "");
}
