/* functions.c - the functions that a template can call by name, and what `loop` has. */
#include "template_private.h"

#include <string.h>
#include <time.h>

static bool function_raise(struct template_run *r, const struct value *at, struct value *out)
{
    char shown[400];
    if (!to_string(r, at[0], out))
        return false;
    text_escape(shown, sizeof(shown), value_span(*out));
    return run_fail(r, "the template raises: %s", shown);
}

static bool function_strftime(struct template_run *r, const struct value *at, struct value *out)
{
    char format[128], text[512];
    struct tm now;
    time_t seconds = (time_t)r->now;
    if (at[0].kind != VALUE_STRING || at[0].text.size == 0 || at[0].text.size >= sizeof(format))
        return run_fail(r, "strftime_now: the format is empty, too long or not a str");
    memcpy(format, at[0].text.at, at[0].text.size);
    format[at[0].text.size] = '\0';
    if (!localtime_r(&seconds, &now))
        return run_fail(r, "the clock shows no date");
    size_t size = strftime(text, sizeof(text), format, &now);
    unsigned origin = at[0].text.marks ? VALUE_FROM_MESSAGE : at[0].text.origin;
    *out = value_string(r->arena, (struct span){(const uint8_t *)text, size}, origin);
    return run_step(r, 1);
}

static bool function_namespace(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct value map = value_map(r->arena, args->n_named);
    if (args->n > 1 || (args->n == 1 && args->at[0].kind != VALUE_MAP))
        return run_fail(r, "namespace takes a dict and keywords");
    for (size_t i = 0; args->n == 1 && i < args->at[0].map->n; i++)
        value_set_new(r->arena, map, args->at[0].map->pairs[i].key, args->at[0].map->pairs[i].value);
    for (size_t i = 0; i < args->n_named; i++)
        value_set(r->arena, map, value_borrow(args->names[i], VALUE_FROM_TEMPLATE), args->named[i]);
    if (!run_step(r, 1))
        return false;
    *out = object_value(object_namespace, map.map);
    return true;
}

static bool function_dict(struct template_run *r, const struct arguments *args, struct value *out)
{
    if (!function_namespace(r, args, out))
        return false;
    *out = (struct value){.kind = VALUE_MAP, .map = out->object.data};
    return true;
}

static bool function_range(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t part[3] = {0, 0, 1};
    for (size_t i = 0; i < 3; i++) {
        if (at[i].kind == VALUE_UNDEFINED && i > 0)
            continue;
        if (at[i].kind != VALUE_INTEGER && at[i].kind != VALUE_BOOL)
            return run_fail(r, "range takes integers, not '%s'", kind_name(at[i]));
        part[i] = as_integer(at[i]);
    }
    if (at[1].kind == VALUE_UNDEFINED) {
        part[1] = part[0];
        part[0] = 0;
    }
    struct value list = value_list(r->arena, 0);
    if (part[2] == 0)
        return run_fail(r, "range has the step 0");
    for (int64_t i = part[0], n = 0; part[2] > 0 ? i < part[1] : i > part[1]; n++) {
        if (n == 100000) /* as in the sandbox */
            return run_fail(r, "range has more than 100000 numbers");
        value_append(r->arena, list, value_integer(i));
        if (!run_step(r, 1))
            return false;
        if (__builtin_add_overflow(i, part[2], &i))
            break;
    }
    *out = list;
    return run_step(r, 1);
}

/* clang-format off */
static const struct builtin functions[] = {
    {.name = "raise_exception", .parameters = {"message"}, .needed = 1, .run = function_raise},
    {.name = "strftime_now", .parameters = {"format"}, .needed = 1, .run = function_strftime},
    {.name = "namespace", .run_any = function_namespace},
    {.name = "dict", .run_any = function_dict},
    {.name = "range", .parameters = {"start", "stop", "step"}, .needed = 1, .run = function_range},
};
/* clang-format on */

const struct builtin *function_find(struct span name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (span_is(name, functions[i].name))
            return &functions[i];
    return NULL;
}

/* ---- loop ---- */

static bool loop_cycle(struct template_run *r, const struct arguments *args, struct value *out)
{
    const struct loop *l = args->at[0].object.data;
    if (args->n < 2 || args->n_named > 0)
        return run_fail(r, "loop.cycle needs at least one value");
    *out = args->at[1 + l->index % (args->n - 1)];
    return true;
}

static bool loop_changed(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct loop *l = args->at[0].object.data;
    struct value now = value_list(r->arena, args->n);
    bool equal = false;
    for (size_t i = 1; i < args->n; i++)
        value_append(r->arena, now, args->at[i]);
    if (!run_step(r, 1) || !values_equal(r, l->last_changed, now, &equal))
        return false;
    l->last_changed = now;
    *out = value_bool(!equal);
    return true;
}

static bool loop_number(const struct loop *l, struct span name, int64_t *n)
{
    int64_t at = (int64_t)l->index, all = (int64_t)l->items.list->n;
    const struct {
        const char *name;
        int64_t n;
    } numbers[] = {{"index", at + 1}, {"index0", at}, {"length", all}, {"revindex", all - at},
        {"revindex0", all - at - 1}, {"depth", l->depth}, {"depth0", (int64_t)l->depth - 1}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (span_is(name, numbers[i].name)) {
            *n = numbers[i].n;
            return true;
        }
    return false;
}

static bool loop_method(struct template_run *r, struct loop *l, const struct builtin *b, struct value *out)
{
    struct method *m = value_alloc(r->arena, sizeof(*m));
    if (!m)
        return run_step(r, 1);
    *m = (struct method){.builtin = b, .self = object_value(object_loop, l)};
    *out = object_value(object_method, m);
    return true;
}

bool loop_attribute(struct template_run *r, struct loop *l, struct span name, struct value *out)
{
    static const struct builtin cycle = {.name = "cycle", .run_any = loop_cycle};
    static const struct builtin changed = {.name = "changed", .run_any = loop_changed};
    int64_t n;
    bool needs_all = span_is(name, "length") || span_is(name, "revindex") || span_is(name, "revindex0");
    bool needs_next = span_is(name, "last") || span_is(name, "nextitem");
    if ((needs_all || needs_next) && !loop_find(r, l, needs_all ? SIZE_MAX : l->index + 2))
        return false;
    size_t last = l->items.list->n - 1;
    *out = value_undefined;
    if (loop_number(l, name, &n))
        *out = value_integer(n);
    else if (span_is(name, "first"))
        *out = value_bool(l->index == 0);
    else if (span_is(name, "last"))
        *out = value_bool(l->index == last);
    else if (span_is(name, "previtem") && l->index > 0)
        *out = l->items.list->items[l->index - 1];
    else if (span_is(name, "nextitem") && l->index < last)
        *out = l->items.list->items[l->index + 1];
    else if (span_is(name, "cycle"))
        return loop_method(r, l, &cycle, out);
    else if (span_is(name, "changed"))
        return loop_method(r, l, &changed, out);
    return true;
}
