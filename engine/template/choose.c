/* choose.c - the filters that pick and change items, one at a time, as they are asked for. */
#include "template_private.h"

/* ---- attributes of items, as join, map and the like take them ---- */

/* One part of "a.b.0": an index when it is a number. */
static bool get_part(struct template_run *r, struct value of, struct value part, struct value *out)
{
    int64_t index = 0;
    bool number = part.text.size > 0 && part.text.size < 10;
    for (size_t i = 0; number && i < part.text.size; i++) {
        number = part.text.at[i] >= '0' && part.text.at[i] <= '9';
        index = index * 10 + (part.text.at[i] - '0');
    }
    return get_item(r, of, number ? value_integer(index) : part, out);
}

bool get_path_or(
    struct template_run *r, struct value of, struct value path, struct value otherwise, struct value *out)
{
    *out = of;
    if (path.kind != VALUE_STRING) {
        if (!get_path(r, of, path, out))
            return false;
        *out = out->kind == VALUE_UNDEFINED && given(otherwise) ? otherwise : *out;
        return true;
    }
    for (size_t at = 0; at <= path.text.size;) {
        size_t end = find_bytes(value_span(path), span_of("."), at);
        end = end == SIZE_MAX ? path.text.size : end;
        if (!get_part(r, *out, value_part(path, at, end), out))
            return false;
        if (out->kind == VALUE_UNDEFINED && given(otherwise))
            *out = otherwise;
        at = end + 1;
    }
    return true;
}

bool get_path(struct template_run *r, struct value of, struct value path, struct value *out)
{
    if (path.kind == VALUE_STRING)
        return get_path_or(r, of, path, value_undefined, out);
    *out = of;
    return path.kind == VALUE_NULL || get_item(r, of, path, out);
}

struct value path_of(struct value argument)
{
    return argument.kind == VALUE_UNDEFINED ? value_null : argument;
}

/* ---- choosing ---- */

/* Calls a filter or test for an item, with the arguments that the generator has from its number `first` on. */
static bool apply(
    struct template_run *r, const struct generator *g, struct value v, size_t first, struct value *out)
{
    struct arguments all;
    arguments_init(&all);
    return arguments_add(r, &all, &v) && arguments_join(r, &all, &g->args, first) &&
           builtin_call(r, g->builtin, &all, out);
}

static const struct value *named(const struct arguments *args, const char *name)
{
    const struct value map = {.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)&args->named};
    return value_find(map, span_of(name));
}

/* A value that is empty, zero or none counts as a list without items. */
static bool choosing(struct template_run *r, const struct arguments *args,
    bool (*next)(struct template_run *r, struct generator *g, struct value *out, bool *more),
    struct generator **made, struct value *out)
{
    if (args->n == 0)
        return run_fail(r, "the filter needs a value");
    *made = generator_new(r, next, truth(&args->at[0]) ? args->at[0] : value_undefined, out);
    return *made && arguments_join(r, &(*made)->args, args, 1);
}

/* Finds the test that is named in the arguments; without one the truth of an item counts. */
static bool prepare_choice(struct template_run *r, struct generator *g)
{
    size_t first = g->attribute;
    if (g->at++ > 0)
        return true;
    if (g->args.n < first)
        return run_fail(r, "the filter needs the name of an attribute");
    if (g->args.n == first)
        return true;
    struct value name = g->args.at[first];
    g->builtin = name.kind == VALUE_STRING ? test_find(value_span(name)) : NULL;
    return g->builtin || run_fail(r, "a test that is named in a filter is not known");
}

static bool next_chosen(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    bool chosen = false;
    if (g->from.over.kind == VALUE_UNDEFINED)
        return true;
    if (!prepare_choice(r, g))
        return false;
    for (*more = true; *more && !chosen;) {
        if (!iterator_next(r, &g->from, out, more))
            return false;
        struct value tested = *out, result;
        if (!*more)
            break;
        if (g->attribute && !get_path(r, *out, g->args.at[0], &tested))
            return false;
        result = tested;
        if (g->builtin && !apply(r, g, tested, (size_t)g->attribute + 1, &result))
            return false;
        chosen = truth(&result) == g->wanted;
    }
    return true;
}

static bool choose(
    struct template_run *r, const struct arguments *args, bool attribute, bool wanted, struct value *out)
{
    struct generator *g;
    if (!choosing(r, args, next_chosen, &g, out))
        return false;
    g->attribute = attribute;
    g->wanted = wanted;
    return true;
}

bool filter_select(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, false, true, out);
}

bool filter_reject(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, false, false, out);
}

bool filter_selectattr(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, true, true, out);
}

bool filter_rejectattr(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, true, false, out);
}

/* ---- map ---- */

/* What map does: it looks an attribute up, which is with[0], or applies a filter. */
static bool prepare_map(struct template_run *r, struct generator *g)
{
    const struct value *path = named(&g->args, "attribute"), *otherwise = named(&g->args, "default");
    if (g->at++ > 0)
        return true;
    g->attribute = g->args.n == 0 && path;
    if (g->attribute) {
        g->with[0] = *path;
        g->with[1] = otherwise ? *otherwise : value_null;
        return g->args.named.n == 1 + (size_t)(otherwise != NULL) ||
               run_fail(r, "map takes 'attribute', 'default' or the name of a filter");
    }
    if (g->args.n == 0)
        return run_fail(r, "map needs 'attribute' or the name of a filter");
    struct value name = g->args.at[0];
    g->builtin = name.kind == VALUE_STRING ? filter_find(value_span(name)) : NULL;
    return g->builtin || run_fail(r, "a filter that is named in map is not known");
}

static bool next_mapped(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    struct value item;
    if (g->from.over.kind == VALUE_UNDEFINED)
        return true;
    if (!prepare_map(r, g) || !iterator_next(r, &g->from, &item, more) || !*more)
        return !r->err->text[0];
    if (!g->attribute)
        return apply(r, g, item, 1, out);
    return get_path_or(r, item, g->with[0], g->with[1], out);
}

bool filter_map(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct generator *g;
    return choosing(r, args, next_mapped, &g, out);
}
