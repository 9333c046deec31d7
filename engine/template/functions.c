/* functions.c - the functions that a template can call by name, and what `loop` has. */
#include "template_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool function_raise(struct template_run *r, const struct value *at, struct value *out)
{
    char shown[400];
    if (!to_string(r, &at[0], out))
        return false;
    text_escape(shown, sizeof(shown), value_span(*out));
    return run_fail(r, "the template raises: %s", shown);
}

static bool function_strftime(struct template_run *r, const struct value *at, struct value *out)
{
    char format[512], text[1024];
    struct tm now;
    time_t seconds = (time_t)r->now;
    if (at[0].kind != VALUE_STRING || at[0].text.size >= sizeof(format) / 4)
        return run_fail(r, "strftime_now: the format is too long or not a str");
    size_t n = 0;
    for (size_t i = 0; i < at[0].text.size;
         i++) { /* Python's own: microseconds, and zones of a time without one */
        char next = at[0].text.at[i] == '%' && i + 1 < at[0].text.size ? at[0].text.at[i + 1] : '\0';
        if (next == 'f')
            n += (size_t)snprintf(format + n, sizeof(format) - n, "000000");
        else if (next != 'z' && next != 'Z')
            format[n++] = at[0].text.at[i];
        if (next == '%')
            format[n++] = '%';
        i += next == 'f' || next == 'z' || next == 'Z' || next == '%';
    }
    format[n] = '\0';
    if (!localtime_r(&seconds, &now))
        return run_fail(r, "the clock shows no date");
    size_t size = strftime(text, sizeof(text), format, &now);
    unsigned origin = at[0].text.marks ? VALUE_FROM_MESSAGE : at[0].text.origin;
    *out = value_string(r->arena, (struct span){(const uint8_t *)text, size}, origin);
    return run_step(r, 1);
}

/* Adds the members of a dict, or of pairs. */
static bool add_members(struct template_run *r, struct value map, struct value from)
{
    struct value list, pair;
    if (from.kind == VALUE_MAP ? !pairs_of(r, from, &list) : !iterate(r, &from, &list))
        return false;
    for (size_t i = 0; i < list.list->n; i++) {
        if (!iterate(r, &list.list->items[i], &pair))
            return false;
        if (pair.list->n != 2)
            return run_fail(r, "a member of a dict is made of %zu values", pair.list->n);
        if (!map_set(r, &map, &pair.list->items[0], &pair.list->items[1]))
            return false;
    }
    return true;
}

static bool function_dict(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct value map = value_map(r->arena, args->named.n);
    if (args->n > 1)
        return run_fail(r, "a dict is made of one value and keywords");
    if (!run_step(r, 1) || (args->n == 1 && !add_members(r, map, args->at[0])))
        return false;
    for (size_t i = 0; i < args->named.n; i++)
        if (!map_set(r, &map, &args->named.pairs[i].key, &args->named.pairs[i].value))
            return false;
    *out = map;
    return true;
}

static bool function_namespace(struct template_run *r, const struct arguments *args, struct value *out)
{
    if (!function_dict(r, args, out))
        return false;
    *out = object_value(object_namespace, out->map);
    return true;
}

static bool function_range(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t part[3] = {0, 0, 1};
    for (size_t i = 0; i < 3; i++) {
        if (at[i].kind == VALUE_UNDEFINED && i > 0)
            continue;
        if (!whole(at[i]))
            return run_fail(r, "range takes integers, not '%s'", kind_name(&at[i]));
        part[i] = as_integer(at[i]);
    }
    return at[1].kind == VALUE_UNDEFINED ? range_new(r, 0, part[0], part[2], out)
                                         : range_new(r, part[0], part[1], part[2], out);
}

static bool new_cycler(
    struct template_run *r, const void *type, struct value items, struct value text, struct value *out)
{
    struct cycler *c = value_alloc(r->arena, sizeof(*c));
    if (!c)
        return run_step(r, 1);
    *c = (struct cycler){.items = items, .text = text};
    *out = object_value(type, c);
    return run_step(r, 1);
}

static bool function_cycler(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct value items = value_list(r->arena, args->n);
    if (args->n == 0 || args->named.n > 0)
        return run_fail(r, "cycler needs at least one value");
    for (size_t i = 0; i < args->n; i++)
        list_put(r, &items, &args->at[i]);
    return new_cycler(r, object_cycler, items, value_undefined, out);
}

static bool function_joiner(struct template_run *r, const struct value *at, struct value *out)
{
    struct value text = at[0].kind == VALUE_UNDEFINED ? value_literal(", ") : at[0];
    return new_cycler(r, object_joiner, value_undefined, text, out);
}

static bool function_lipsum(struct template_run *r, const struct arguments *args, struct value *out)
{
    (void)args, (void)out;
    return run_fail(r, "lipsum is not supported: a prompt is the same each time");
}

static const struct builtin functions[] = {
    {"raise_exception", "message", {.run = function_raise}},
    {"strftime_now", "format", {.run = function_strftime}},
    {"range", "1 2? 3?", {.run = function_range}},
    {"lipsum", NULL, {.run_any = function_lipsum}},
    /* classes */
    {"namespace", NULL, {.run_any = function_namespace}},
    {"dict", NULL, {.run_any = function_dict}},
    {"cycler", NULL, {.run_any = function_cycler}},
    {"joiner", "sep?", {.run = function_joiner}},
};

#define FIRST_CLASS 4

const struct builtin *function_find(struct span name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (span_is(name, functions[i].name))
            return &functions[i];
    return NULL;
}

struct value function_value(const struct builtin *f)
{
    return object_value(f >= functions + FIRST_CLASS ? object_class : object_function, (void *)(uintptr_t)f);
}

/* ---- loop ---- */

static bool loop_cycle(struct template_run *r, const struct arguments *args, struct value *out)
{
    const struct loop *l = args->at[0].object.data;
    if (args->n < 2 || args->named.n > 0)
        return run_fail(r, "loop.cycle needs at least one value");
    *out = args->at[1 + (l->index - 1) % (args->n - 1)];
    return true;
}

static bool loop_changed(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct loop *l = args->at[0].object.data;
    struct value now = value_list(r->arena, args->n);
    bool equal = false;
    if (args->named.n > 0)
        return run_fail(r, "loop.changed takes no keywords");
    for (size_t i = 1; i < args->n; i++)
        list_put(r, &now, &args->at[i]);
    if (!run_step(r, 1) || !values_equal(r, &l->last_changed, &now, &equal))
        return false;
    l->last_changed = now;
    *out = value_bool(!equal);
    return true;
}

static const struct builtin loop_methods[] = {
    {"cycle", NULL, {.run_any = loop_cycle}}, {"changed", NULL, {.run_any = loop_changed}}};

bool loop_member(struct template_run *r, struct loop *l, struct value name, struct value *out)
{
    int64_t at = (int64_t)l->index, all = (int64_t)l->length;
    const struct {
        const char *name;
        struct value v;
    } members[] = {{"index", value_integer(at)}, {"index0", value_integer(at - 1)},
        {"length", value_integer(all)}, {"revindex", value_integer(all - at + 1)},
        {"revindex0", value_integer(all - at)}, {"depth", value_integer(l->depth)},
        {"depth0", value_integer((int64_t)l->depth - 1)}, {"first", value_bool(at == 1)},
        {"last", value_bool(!l->has_after)}, {"previtem", at > 1 ? l->before : value_undefined},
        {"nextitem", l->has_after ? l->after : value_undefined}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (value_is(name, members[i].name)) {
            *out = members[i].v;
            return true;
        }
    for (size_t i = 0; i < 2; i++)
        if (value_is(name, loop_methods[i].name))
            return method_value(r, &loop_methods[i], object_value(object_loop, l), out);
    return true;
}

/* ---- attributes of other objects ---- */

static bool cycler_next(struct template_run *r, const struct value *at, struct value *out)
{
    struct cycler *c = at[0].object.data;
    *out = c->items.list->items[c->at];
    c->at = (c->at + 1) % c->items.list->n;
    return run_step(r, 1);
}

static bool cycler_reset(struct template_run *r, const struct value *at, struct value *out)
{
    ((struct cycler *)at[0].object.data)->at = 0;
    *out = value_null;
    return run_step(r, 1);
}

static const struct builtin cycler_methods[] = {
    {"next", "1", {.run = cycler_next}}, {"reset", "1", {.run = cycler_reset}}};

static bool cycler_member(struct template_run *r, struct value of, struct value name, struct value *out)
{
    const struct cycler *c = of.object.data;
    if (value_is(name, "current"))
        *out = c->items.list->items[c->at];
    else if (value_is(name, "pos"))
        *out = value_integer((int64_t)c->at);
    for (size_t i = 0; i < 2; i++)
        if (value_is(name, cycler_methods[i].name))
            return method_value(r, &cycler_methods[i], of, out);
    return true;
}

static bool macro_member(struct template_run *r, struct value of, struct value name, struct value *out)
{
    const struct node *n = ((const struct macro *)of.object.data)->node;
    struct value list = value_list(r->arena, 0);
    if (value_is(name, "name"))
        *out = n->kind == NODE_MACRO ? n->value : value_null;
    else if (value_is(name, "caller"))
        *out = value_bool((n->uses & USES_CALLER) != 0);
    else if (value_is(name, "catch_kwargs"))
        *out = value_bool((n->uses & USES_KWARGS) != 0);
    else if (value_is(name, "catch_varargs"))
        *out = value_bool((n->uses & USES_VARARGS) != 0);
    else if (value_is(name, "arguments")) {
        for (const struct node *p = n->kind == NODE_MACRO ? n->a : n->b; p; p = p->next)
            list_put(r, &list, &p->value);
        *out = list;
        if (list.kind == VALUE_LIST)
            list.list->tuple = true;
    }
    return run_step(r, 1);
}

static bool block_member(struct template_run *r, struct value name, struct value *out)
{
    const struct node *block = r->template->blocks;
    while (block && span_compare(value_span(block->value), value_span(name)) != 0)
        block = block->e;
    struct macro *m = block ? value_alloc(r->arena, sizeof(*m)) : NULL;
    if (!m)
        return run_step(r, 1);
    *m = (struct macro){.node = block, .scope = r->root};
    *out = object_value(object_macro, m);
    return true;
}

bool object_member(struct template_run *r, struct value of, struct value name, struct value *out)
{
    const void *type = of.object.type;
    *out = (struct value){.kind = VALUE_UNDEFINED, .text = name.text};
    if (type == object_loop)
        return loop_attribute(r, of.object.data, name, out);
    if (type == object_cycler)
        return cycler_member(r, of, name, out);
    if (type == object_macro)
        return macro_member(r, of, name, out);
    if (type == object_blocks)
        return block_member(r, name, out);
    const struct value *found = NULL;
    if (type == object_namespace)
        found = value_find((struct value){.kind = VALUE_MAP, .map = of.object.data}, value_span(name));
    if (found)
        *out = *found;
    else if (type == object_joiner && (value_is(name, "sep") || value_is(name, "used")))
        *out = value_is(name, "sep") ? ((struct cycler *)of.object.data)->text
                                     : value_bool(((struct cycler *)of.object.data)->at > 0);
    return true;
}
