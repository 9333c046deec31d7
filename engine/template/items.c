/* items.c - attributes, subscripts and slices.
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

/* Looks up a name that Python has as an attribute. One that is not supported here fails. Sets *found. */
static bool find_attribute(
    struct template_run *r, struct value of, struct value name, bool *found, struct value *out)
{
    bool refused = false;
    const struct builtin *b = method_find(of, value_span(name), &refused);
    *found = true;
    if (b)
        return method_value(r, b, of, out);
    if (refused)
        return run_fail(r, "the method '%.*s' of '%s' is not supported", (int)name.text.size, name.text.at,
            kind_name(&of));
    bool group = of.kind == VALUE_LIST && of.list->group;
    if (group && (value_is(name, "grouper") || value_is(name, "list")))
        *out = of.list->items[value_is(name, "list")];
    else if (is_number(of) &&
             (value_is(name, "real") || (of.kind != VALUE_FLOAT && value_is(name, "numerator"))))
        *out = of.kind == VALUE_BOOL ? value_integer(of.boolean) : of;
    else if (is_number(of) && value_is(name, "imag"))
        *out = of.kind == VALUE_FLOAT ? value_float(0) : value_integer(0);
    else if (whole(of) && value_is(name, "denominator"))
        *out = value_integer(1);
    else if (is_object(of, object_range) && value_is(name, "start"))
        *out = value_integer(((const struct range *)of.object.data)->start);
    else if (is_object(of, object_range) && value_is(name, "stop"))
        *out = value_integer(((const struct range *)of.object.data)->stop);
    else if (is_object(of, object_range) && value_is(name, "step"))
        *out = value_integer(((const struct range *)of.object.data)->step);
    else
        *found = false;
    return true;
}

/* Methods that change a dict: in the sandbox there is nothing under their names. */
static bool is_hidden(struct value of, struct value name)
{
    static const char *const words[] = {"clear", "pop", "popitem", "setdefault", "update"};
    for (size_t i = 0; of.kind == VALUE_MAP && i < sizeof(words) / sizeof(words[0]); i++)
        if (value_is(name, words[i]))
            return true;
    return false;
}

/* of.name: an attribute as Python has it, else an item. */
bool get_attribute(struct template_run *r, struct value of, struct value name, struct value *out)
{
    bool found;
    if (of.kind == VALUE_UNDEFINED)
        return undefined_fail(r, &of);
    if (!find_attribute(r, of, name, &found, out) || found)
        return found;
    if (of.kind == VALUE_OBJECT)
        return object_member(r, of, name, out);
    const struct value *item =
        of.kind == VALUE_MAP && !is_hidden(of, name) ? value_find(of, value_span(name)) : NULL;
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
        return undefined_fail(r, &of);
    if (of.kind == VALUE_LIST && whole(key)) {
        if (!in_range(as_integer(key), of.list->n, &at))
            return missing(value_undefined, out);
        *out = of.list->items[at];
        return true;
    }
    if (of.kind == VALUE_STRING && whole(key))
        return get_character_of(r, of, as_integer(key), out);
    if (is_object(of, object_range) && whole(key)) {
        const struct range *range = of.object.data;
        return in_range(as_integer(key), range->n, &at) ? range_item(range, (int64_t)at, out)
                                                        : missing(value_undefined, out);
    }
    bool hashable = key.kind != VALUE_MAP && (key.kind != VALUE_LIST || key.list->tuple);
    if (of.kind == VALUE_MAP && hashable && !map_find(r, &of, &key, &item))
        return false;
    if (item) {
        *out = *item;
        return true;
    }
    if (key.kind != VALUE_STRING)
        return missing(value_undefined, out);
    if (!find_attribute(r, of, key, &found, out) || found)
        return found;
    if (of.kind == VALUE_OBJECT)
        return object_member(r, of, key, out);
    return missing(key, out);
}

/* Python's bounds of a slice over n items, for any step: where it starts and stops, and how many items it takes. */
static bool slice_bounds(struct template_run *r, const struct value bounds[3], size_t n, int64_t *start,
    int64_t *stop, int64_t *step, size_t *count)
{
    int64_t size = (int64_t)n, at[2];
    *step = bounds[2].kind == VALUE_NULL ? 1 : as_integer(bounds[2]);
    for (size_t i = 0; i < 3; i++)
        if (bounds[i].kind != VALUE_NULL && !whole(bounds[i]))
            return run_fail(r, "a bound of a slice is '%s', not an integer", kind_name(&bounds[i]));
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
    *stop = at[1];
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
    if (!iterate(r, &of, &characters))
        return false;
    for (size_t i = 0; i < count; i++, start += i < count ? step : 0)
        if (!run_add_text(r, &characters.list->items[start]))
            return false;
    return run_take(r, begin, out);
}

/* A slice of a range is a range. */
static bool slice_range(struct template_run *r, const struct range *range, int64_t start, int64_t stop,
    int64_t step, struct value *out)
{
    struct value first, end;
    int64_t stride;
    range_item(range, start, &first);
    range_item(range, stop, &end);
    if (__builtin_mul_overflow(range->step, step, &stride))
        return run_fail(r, "integers beyond 64 bits are not supported");
    return range_new(r, first.integer, end.integer, stride, out);
}

bool get_slice(struct template_run *r, struct value of, const struct value bounds[3], struct value *out)
{
    int64_t start = 0, stop = 0, step = 1;
    size_t count = 0;
    if (of.kind == VALUE_UNDEFINED)
        return undefined_fail(r, &of);
    const struct range *range = is_object(of, object_range) ? of.object.data : NULL;
    if (!is_sequence(of) && !range)
        return run_fail(r, "'%s' has no slices", kind_name(&of));
    size_t n = range ? range->n : of.kind == VALUE_LIST ? of.list->n : count_characters(value_span(of));
    if (!slice_bounds(r, bounds, n, &start, &stop, &step, &count))
        return false;
    if (range)
        return slice_range(r, range, start, stop, step, out);
    if (of.kind == VALUE_STRING)
        return slice_text(r, of, start, step, count, out);
    struct value list = value_list(r->arena, count);
    for (size_t i = 0; i < count; i++, start += i < count ? step : 0)
        list_put(r, &list, &of.list->items[start]);
    if (!run_step(r, 1 + count / 8))
        return false;
    list.list->tuple = of.list->tuple;
    *out = list;
    return true;
}
