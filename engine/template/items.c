/* items.c - attributes, subscripts, slices, and iteration.
 *
 * A name after a dot is looked up among Python's attributes first, then among the items; in brackets it is the other way
 * round. Indices count characters, not bytes.
 */
#include "template_private.h"

static bool missing(struct value name, struct value *out)
{
    *out = value_undefined;
    if (name.kind == VALUE_STRING)
        out->text = name.text;
    return true;
}

static bool bound_method(
    struct template_run *r, struct value of, struct value name, bool *known, struct value *out)
{
    const struct builtin *b = method_find(of.kind, value_span(name), known);
    if (!b)
        return true;
    struct method *m = value_alloc(r->arena, sizeof(*m));
    if (!m)
        return run_step(r, 1);
    *m = (struct method){.builtin = b, .self = of};
    *out = object_value(object_method, m);
    return true;
}

/* Looks up a name that is a method in Python. A method that is not supported here fails. Sets *found. */
static bool find_method(
    struct template_run *r, struct value of, struct value name, bool *found, struct value *out)
{
    bool known = false;
    struct value v = value_undefined;
    *found = false;
    if (!bound_method(r, of, name, &known, &v))
        return false;
    if (known && v.kind == VALUE_UNDEFINED)
        return run_fail(r, "the method '%.*s' of '%s' is not supported", (int)name.text.size, name.text.at,
            kind_name(of));
    if (known) {
        *found = true;
        *out = v;
    }
    return true;
}

static bool object_attribute(struct template_run *r, struct value of, struct value name, struct value *out)
{
    struct value map = {.kind = VALUE_MAP, .map = of.object.data};
    if (of.object.type == object_loop)
        return loop_attribute(r, of.object.data, value_span(name), out);
    const struct value *found = of.object.type == object_namespace ? value_find(map, value_span(name)) : NULL;
    if (!found)
        return missing(name, out);
    *out = *found;
    return true;
}

/* of.name: an attribute as Python has it, else an item. */
bool get_attribute(struct template_run *r, struct value of, struct value name, struct value *out)
{
    bool found;
    if (of.kind == VALUE_UNDEFINED)
        return undefined_fail(r, of);
    if (of.kind == VALUE_OBJECT)
        return object_attribute(r, of, name, out);
    if (!find_method(r, of, name, &found, out) || found)
        return found;
    const struct value *item = of.kind == VALUE_MAP ? value_find(of, value_span(name)) : NULL;
    if (!item)
        return missing(name, out);
    *out = *item;
    return run_step(r, of.map->n / 16);
}

static bool in_range(int64_t index, size_t n, size_t *at)
{
    if (index < 0)
        index += (int64_t)n;
    if (index < 0 || (uint64_t)index >= n)
        return false;
    *at = (size_t)index;
    return true;
}

static bool get_character_of(struct template_run *r, struct value of, int64_t index, struct value *out)
{
    size_t at, n = count_characters(value_span(of));
    if (!run_step(r, of.text.size / 16))
        return false;
    if (!in_range(index, n, &at))
        return missing(value_undefined, out);
    *out = value_part(of, character_offset(value_span(of), at), character_offset(value_span(of), at + 1));
    return true;
}

/* of[key]: an item, else an attribute as Python has it. */
bool get_item(struct template_run *r, struct value of, struct value key, struct value *out)
{
    size_t at;
    bool found;
    struct value *item = NULL;
    if (of.kind == VALUE_UNDEFINED)
        return undefined_fail(r, of);
    if (of.kind == VALUE_LIST && whole(key)) {
        if (!in_range(as_integer(key), of.list->n, &at))
            return missing(value_undefined, out);
        *out = of.list->items[at];
        return true;
    }
    if (of.kind == VALUE_STRING && whole(key))
        return get_character_of(r, of, as_integer(key), out);
    bool hashable = key.kind != VALUE_MAP && (key.kind != VALUE_LIST || key.list->tuple);
    if (of.kind == VALUE_MAP && hashable && !map_find(r, of, key, &item))
        return false;
    if (item) {
        *out = *item;
        return true;
    }
    if (key.kind != VALUE_STRING)
        return missing(value_undefined, out);
    if (of.kind == VALUE_OBJECT)
        return object_attribute(r, of, key, out);
    if (!find_method(r, of, key, &found, out))
        return false;
    return found || missing(key, out);
}

/* Python's bounds of a slice over n items, for any step: where it starts, and how many items it takes. */
static bool slice_bounds(struct template_run *r, const struct value bounds[3], size_t n, int64_t *start,
    int64_t *step, size_t *count)
{
    int64_t size = (int64_t)n, at[2];
    *step = bounds[2].kind == VALUE_NULL ? 1 : as_integer(bounds[2]);
    for (size_t i = 0; i < 3; i++)
        if (bounds[i].kind != VALUE_NULL && !whole(bounds[i]))
            return run_fail(r, "a bound of a slice is '%s', not an integer", kind_name(bounds[i]));
    if (*step == 0)
        return run_fail(r, "a slice has the step 0");
    int64_t low = *step > 0 ? 0 : -1, high = *step > 0 ? size : size - 1;
    for (size_t i = 0; i < 2; i++) {
        bool given = bounds[i].kind != VALUE_NULL;
        at[i] = given ? as_integer(bounds[i]) : (i == 0) == (*step > 0) ? low : high;
        if (given && at[i] < 0)
            at[i] += size;
        at[i] = at[i] < low ? low : at[i] > high ? high : at[i];
    }
    *start = at[0];
    uint64_t stride = *step > 0 ? (uint64_t)*step : -(uint64_t)*step;
    int64_t length = *step > 0 ? at[1] - at[0] : at[0] - at[1];
    *count = length > 0 ? (size_t)(((uint64_t)length - 1) / stride + 1) : 0;
    return true;
}

static bool slice_text(
    struct template_run *r, struct value of, int64_t start, int64_t step, size_t count, struct value *out)
{
    struct span s = value_span(of);
    struct value characters;
    if (!run_step(r, s.size / 16))
        return false;
    if (step == 1) {
        *out = value_part(of, character_offset(s, (size_t)start), character_offset(s, (size_t)start + count));
        return true;
    }
    size_t begin = r->size;
    if (!iterate(r, of, &characters))
        return false;
    for (size_t i = 0; i < count; i++, start += i < count ? step : 0)
        if (!run_add_text(r, characters.list->items[start]))
            return false;
    return run_take(r, begin, out);
}

bool get_slice(struct template_run *r, struct value of, const struct value bounds[3], struct value *out)
{
    int64_t start = 0, step = 1;
    size_t count = 0;
    if (of.kind == VALUE_UNDEFINED)
        return undefined_fail(r, of);
    if (!is_sequence(of))
        return run_fail(r, "'%s' has no slices", kind_name(of));
    size_t n = of.kind == VALUE_LIST ? of.list->n : count_characters(value_span(of));
    if (!slice_bounds(r, bounds, n, &start, &step, &count))
        return false;
    if (of.kind == VALUE_STRING)
        return slice_text(r, of, start, step, count, out);
    struct value list = value_list(r->arena, count);
    for (size_t i = 0; i < count; i++, start += i < count ? step : 0)
        value_append(r->arena, list, of.list->items[start]);
    if (!run_step(r, 1 + count / 8))
        return false;
    list.list->tuple = of.list->tuple;
    *out = list;
    return true;
}

/* ---- iteration ---- */

static bool each_character(struct template_run *r, struct value s, struct value list)
{
    for (size_t at = 0; at < s.text.size;) {
        size_t size;
        get_character((struct span){(const uint8_t *)s.text.at + at, s.text.size - at}, &size);
        if (!value_append(r->arena, list, value_part(s, at, at + size)) || !run_step(r, 1))
            return run_step(r, 1);
        at += size;
    }
    return true;
}

bool iterate(struct template_run *r, struct value over, struct value *list)
{
    if (over.kind == VALUE_LIST) {
        *list = over;
        return run_step(r, 1);
    }
    if (over.kind != VALUE_UNDEFINED && over.kind != VALUE_STRING && over.kind != VALUE_MAP)
        return run_fail(r, "'%s' is not iterable", kind_name(over));
    *list = value_list(r->arena, 0);
    if (over.kind == VALUE_STRING && !each_character(r, over, *list))
        return false;
    for (size_t i = 0; over.kind == VALUE_MAP && i < over.map->n; i++)
        value_append(r->arena, *list, over.map->pairs[i].key);
    return run_step(r, 1 + (over.kind == VALUE_MAP ? over.map->n / 8 : 0));
}

bool value_length(struct template_run *r, struct value v, int64_t *length)
{
    *length = 0;
    if (v.kind == VALUE_STRING) {
        *length = (int64_t)count_characters(value_span(v));
        return run_step(r, v.text.size / 16);
    }
    if (v.kind == VALUE_LIST)
        *length = (int64_t)v.list->n;
    else if (v.kind == VALUE_MAP)
        *length = (int64_t)v.map->n;
    else if (v.kind != VALUE_UNDEFINED)
        return run_fail(r, "'%s' has no length", kind_name(v));
    return true;
}
