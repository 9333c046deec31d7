/* ops.c - operators, with Python's rules for them.
 *
 * Operations that fail in Python fail here. Integers have 64 bits, and an overflow is an error. Comparison follows nested
 * lists down to VALUE_DEPTH and counts a step for each item.
 */
#include "template_private.h"

#include <math.h>
#include <string.h>

const char object_macro[] = "Macro", object_namespace[] = "Namespace", object_loop[] = "LoopContext",
           object_method[] = "builtin_function_or_method", object_function[] = "function",
           object_generator[] = "generator", object_range[] = "range", object_view[] = "dict_view",
           object_cycler[] = "Cycler", object_joiner[] = "Joiner", object_class[] = "type",
           object_blocks[] = "TemplateReference";

const char *kind_name(const struct value *v)
{
    switch (v->kind) {
    case VALUE_UNDEFINED:
        return "Undefined";
    case VALUE_NULL:
        return "NoneType";
    case VALUE_BOOL:
        return "bool";
    case VALUE_INTEGER:
        return "int";
    case VALUE_FLOAT:
        return "float";
    case VALUE_STRING:
        return "str";
    case VALUE_LIST:
        return v->list->tuple ? "tuple" : "list";
    case VALUE_MAP:
        return "dict";
    case VALUE_OBJECT:
        break;
    }
    return v->object.type;
}

bool truth(const struct value *v)
{
    switch (v->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        return false;
    case VALUE_BOOL:
        return v->boolean;
    case VALUE_INTEGER:
        return v->integer != 0;
    case VALUE_FLOAT:
        return v->real != 0;
    case VALUE_STRING:
        return v->text.size > 0;
    case VALUE_LIST:
        return v->list->n > 0;
    case VALUE_MAP:
        return v->map->n > 0;
    case VALUE_OBJECT:
        break;
    }
    if (v->object.type == object_range)
        return ((const struct range *)v->object.data)->n > 0;
    return v->object.type != object_view || ((const struct view *)v->object.data)->map.map->n > 0;
}

bool undefined_fail(struct template_run *r, const struct value *v)
{
    char name[80];
    text_escape(name, sizeof(name), value_span(*v));
    return run_fail(r, v->text.size > 0 ? "'%s' is undefined" : "%sa value is undefined", name);
}

/* ---- comparing ---- */

static bool equal_at(struct template_run *r, struct value a, struct value b, unsigned depth, bool *equal);

static bool equal_lists(struct template_run *r, struct value a, struct value b, unsigned depth, bool *equal)
{
    *equal = a.list->n == b.list->n && a.list->tuple == b.list->tuple;
    for (size_t i = 0; *equal && i < a.list->n; i++)
        if (!equal_at(r, a.list->items[i], b.list->items[i], depth + 1, equal))
            return false;
    return true;
}

static bool equal_maps(struct template_run *r, struct value a, struct value b, unsigned depth, bool *equal)
{
    *equal = a.map->n == b.map->n;
    for (size_t i = 0; *equal && i < a.map->n; i++) {
        struct value *other;
        if (!map_find(r, &b, &a.map->pairs[i].key, &other))
            return false;
        *equal = other != NULL;
        if (other && !equal_at(r, a.map->pairs[i].value, *other, depth + 1, equal))
            return false;
    }
    return true;
}

static bool equal_texts(struct template_run *r, struct value a, struct value b, bool *equal)
{
    *equal =
        a.text.size == b.text.size && (a.text.size == 0 || memcmp(a.text.at, b.text.at, a.text.size) == 0);
    return run_step(r, a.text.size / 64);
}

/* An integer equals a float when they are the same number. As doubles, two different numbers may look equal. */
static int order_numbers(struct value a, struct value b)
{
    if (a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT) {
        int64_t x = as_integer(a), y = as_integer(b);
        return (x > y) - (x < y);
    }
    double x = as_real(a), y = as_real(b);
    return (x > y) - (x < y);
}

static bool equal_at(struct template_run *r, struct value a, struct value b, unsigned depth, bool *equal)
{
    if (depth > VALUE_DEPTH)
        return run_fail(r, "values are compared that are nested deeper than %d", VALUE_DEPTH);
    if (!run_step(r, 1))
        return false;
    *equal = false;
    if (is_number(a) && is_number(b)) {
        bool odd = isnan(as_real(a)) || isnan(as_real(b));
        *equal = !odd && order_numbers(a, b) == 0;
        return true;
    }
    if (a.kind != b.kind)
        return true;
    if (a.kind == VALUE_STRING)
        return equal_texts(r, a, b, equal);
    if (a.kind == VALUE_LIST)
        return equal_lists(r, a, b, depth, equal);
    if (a.kind == VALUE_MAP)
        return equal_maps(r, a, b, depth, equal);
    *equal = a.kind != VALUE_OBJECT || (a.object.type == b.object.type && a.object.data == b.object.data);
    if (!*equal && is_object(a, object_method) && is_object(b, object_method)) {
        const struct method *x = a.object.data, *y = b.object.data;
        *equal = x->builtin == y->builtin && x->self.kind == y->self.kind && x->self.map == y->self.map;
        return true;
    }
    if (*equal || !is_object(a, object_range) || !is_object(b, object_range))
        return true;
    const struct range *x = a.object.data, *y = b.object.data;
    *equal = x->n == y->n && (x->n == 0 || (x->start == y->start && (x->n == 1 || x->step == y->step)));
    return true;
}

bool values_equal(struct template_run *r, const struct value *a, const struct value *b, bool *equal)
{
    return equal_at(r, *a, *b, 0, equal);
}

static bool order_at(struct template_run *r, struct value a, struct value b, unsigned depth, int *order)
{
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return undefined_fail(r, a.kind == VALUE_UNDEFINED ? &a : &b);
    if (depth > VALUE_DEPTH)
        return run_fail(r, "values are compared that are nested deeper than %d", VALUE_DEPTH);
    if (is_number(a) && is_number(b)) {
        *order = order_numbers(a, b);
        return run_step(r, 1);
    }
    if (a.kind == VALUE_STRING && b.kind == VALUE_STRING) {
        *order = span_compare(value_span(a), value_span(b));
        return run_step(r, 1 + a.text.size / 64);
    }
    if (a.kind != VALUE_LIST || b.kind != VALUE_LIST || a.list->tuple != b.list->tuple)
        return run_fail(r, "'%s' and '%s' have no order", kind_name(&a), kind_name(&b));
    size_t both = a.list->n < b.list->n ? a.list->n : b.list->n;
    for (size_t i = 0; i < both; i++) {
        bool equal;
        if (!equal_at(r, a.list->items[i], b.list->items[i], depth + 1, &equal))
            return false;
        if (!equal)
            return order_at(r, a.list->items[i], b.list->items[i], depth + 1, order);
    }
    *order = (a.list->n > b.list->n) - (a.list->n < b.list->n);
    return true;
}

bool values_order(struct template_run *r, const struct value *a, const struct value *b, int *order)
{
    return order_at(r, *a, *b, 0, order);
}

bool map_find(struct template_run *r, const struct value *map, const struct value *key, struct value **found)
{
    *found = NULL;
    if (key->kind == VALUE_LIST && !key->list->tuple)
        return run_fail(r, "a list cannot be a key of a dict");
    for (size_t i = 0; key->kind == VALUE_LIST && i < key->list->n; i++)
        if (!run_step(r, 1) || !map_find(r, map, &key->list->items[i], found))
            return false;
    *found = NULL;
    if (key->kind == VALUE_MAP || is_object(*key, object_view))
        return run_fail(r, "a '%s' cannot be a key of a dict", kind_name(key));
    for (size_t i = 0; i < map->map->n && !*found; i++) {
        bool equal = false;
        struct value_pair *p = &map->map->pairs[i];
        bool differ =
            key->kind == VALUE_STRING && p->key.kind == VALUE_STRING && key->text.size != p->key.text.size;
        if (!differ && !values_equal(r, &p->key, key, &equal))
            return false;
        *found = equal ? &p->value : NULL;
    }
    return run_step(r, map->map->n / 16);
}

bool map_set(struct template_run *r, const struct value *map, const struct value *key, const struct value *v)
{
    struct value *old;
    if (!map_find(r, map, key, &old))
        return false;
    if (old)
        *old = *v;
    return old || value_set_new(r->arena, *map, *key, *v) || run_step(r, 1);
}

bool values_contain(struct template_run *r, struct value in, struct value what, bool *found)
{
    *found = false;
    if (in.kind == VALUE_STRING) {
        if (what.kind != VALUE_STRING)
            return run_fail(r, "only a str can be in a str, not '%s'", kind_name(&what));
        *found = find_bytes(value_span(in), value_span(what), 0) != SIZE_MAX;
        return run_step(r, in.text.size / 64);
    }
    const struct view *view = is_object(in, object_view) ? in.object.data : NULL;
    struct value *value;
    if (view && view->what == VIEW_KEYS)
        in = view->map;
    if (in.kind == VALUE_MAP) {
        if (!map_find(r, &in, &what, &value))
            return false;
        *found = value != NULL;
        return true;
    }
    struct iterator it;
    struct value item;
    bool more = true;
    if (!iterator_open(r, &in, &it))
        return false;
    while (more && !*found)
        if (!iterator_next(r, &it, &item, &more) || (more && !values_equal(r, &item, &what, found)))
            return false;
    return true;
}

bool compare(struct template_run *r, enum operation op, struct value a, struct value b, bool *out)
{
    int order = 0;
    if (op == OP_IN || op == OP_NOT_IN) {
        if (!values_contain(r, b, a, out))
            return false;
        *out = *out == (op == OP_IN);
        return true;
    }
    if (op == OP_EQUAL || op == OP_UNEQUAL) {
        if (!values_equal(r, &a, &b, out))
            return false;
        *out = *out == (op == OP_EQUAL);
        return true;
    }
    if (!values_order(r, &a, &b, &order))
        return false;
    bool odd = is_number(a) && (isnan(as_real(a)) || isnan(as_real(b)));
    *out = !odd && (op == OP_LESS            ? order < 0
                       : op == OP_LESS_EQUAL ? order <= 0
                       : op == OP_GREATER    ? order > 0
                                             : order >= 0);
    return true;
}

/* ---- arithmetic ---- */

static bool integer_power(struct template_run *r, int64_t base, int64_t exponent, struct value *out)
{
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0)
            return run_fail(r, "zero cannot have a negative exponent");
        *out = value_float(pow((double)base, (double)exponent));
        return true;
    }
    if (base >= -1 && base <= 1) /* the loop would be long, and only the parity counts */
        exponent = exponent > 2 ? 2 - exponent % 2 : exponent;
    for (int64_t i = 0; i < exponent; i++)
        if (__builtin_mul_overflow(result, base, &result))
            return run_fail(r, "integers beyond 64 bits are not supported");
    *out = value_integer(result);
    return true;
}

static bool integer_operate(
    struct template_run *r, enum operation op, int64_t a, int64_t b, struct value *out)
{
    int64_t result = 0;
    bool over = false;
    if ((op == OP_DIVIDE || op == OP_FLOOR_DIVIDE || op == OP_MODULO) && b == 0)
        return run_fail(r, "division by zero");
    switch (op) {
    case OP_ADD:
        over = __builtin_add_overflow(a, b, &result);
        break;
    case OP_SUBTRACT:
        over = __builtin_sub_overflow(a, b, &result);
        break;
    case OP_MULTIPLY:
        over = __builtin_mul_overflow(a, b, &result);
        break;
    case OP_FLOOR_DIVIDE: /* towards minus infinity */
        over = a == INT64_MIN && b == -1;
        result = over ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    case OP_MODULO: /* with the sign of the divisor */
        result = b == -1 ? 0 : a % b;
        result += result != 0 && (result < 0) != (b < 0) ? b : 0;
        break;
    case OP_POWER:
        return integer_power(r, a, b, out);
    default:
        *out = value_float((double)a / (double)b);
        return true;
    }
    *out = value_integer(result);
    return !over || run_fail(r, "integers beyond 64 bits are not supported");
}

static bool real_operate(struct template_run *r, enum operation op, double a, double b, struct value *out)
{
    double result = 0;
    if ((op == OP_DIVIDE || op == OP_FLOOR_DIVIDE || op == OP_MODULO) && b == 0)
        return run_fail(r, "division by zero");
    switch (op) {
    case OP_ADD:
        result = a + b;
        break;
    case OP_SUBTRACT:
        result = a - b;
        break;
    case OP_MULTIPLY:
        result = a * b;
        break;
    case OP_DIVIDE:
        result = a / b;
        break;
    case OP_POWER:
        result = pow(a, b);
        break;
    default: { /* the remainder has the divisor's sign, the quotient goes towards minus infinity */
        double rest = fmod(a, b);
        double whole = (a - rest) / b;
        if (rest != 0 && (rest < 0) != (b < 0)) {
            rest += b;
            whole -= 1;
        }
        rest = rest == 0 ? copysign(0, b) : rest;
        whole = whole == 0 ? copysign(0, a / b) : floor(whole + 0.5);
        result = op == OP_MODULO ? rest : whole;
    }
    }
    *out = value_float(result);
    return true;
}

static bool join_lists(struct template_run *r, struct value a, struct value b, struct value *out)
{
    struct value list = value_list(r->arena, a.list->n + b.list->n);
    for (size_t i = 0; i < a.list->n; i++)
        list_put(r, &list, &a.list->items[i]);
    for (size_t i = 0; i < b.list->n; i++)
        list_put(r, &list, &b.list->items[i]);
    if (!run_step(r, 1 + (a.list->n + b.list->n) / 8))
        return false;
    list.list->tuple = a.list->tuple;
    *out = list;
    return true;
}

static bool repeat(struct template_run *r, struct value v, int64_t times, struct value *out)
{
    size_t start = r->size;
    if (v.kind == VALUE_STRING) {
        for (int64_t i = 0; i < times && v.text.size > 0; i++)
            if (!run_step(r, 1) || !run_add_text(r, &v))
                return false;
        return run_take(r, start, out);
    }
    struct value list = value_list(r->arena, 0);
    for (int64_t i = 0; i < times && v.list->n > 0; i++)
        for (size_t j = 0; j < v.list->n; j++)
            if (!run_step(r, 1) || !list_put(r, &list, &v.list->items[j]))
                return false;
    if (!run_step(r, 1))
        return false;
    list.list->tuple = v.list->tuple;
    *out = list;
    return true;
}

bool operate(struct template_run *r, enum operation op, struct value a, struct value b, struct value *out)
{
    static const char *const signs[] = {[OP_ADD] = "+",
        [OP_SUBTRACT] = "-",
        [OP_MULTIPLY] = "*",
        [OP_DIVIDE] = "/",
        [OP_FLOOR_DIVIDE] = "//",
        [OP_MODULO] = "%",
        [OP_POWER] = "**"};
    if (op == OP_MODULO && a.kind == VALUE_STRING)
        return format_percent(r, a, b, out);
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return undefined_fail(r, a.kind == VALUE_UNDEFINED ? &a : &b);
    if (whole(a) && whole(b))
        return integer_operate(r, op, as_integer(a), as_integer(b), out);
    if (is_number(a) && is_number(b))
        return real_operate(r, op, as_real(a), as_real(b), out);
    if (op == OP_ADD && a.kind == VALUE_STRING && b.kind == VALUE_STRING) {
        size_t start = r->size;
        bool markup = a.text.markup || b.text.markup;
        if (markup &&
            ((a = escape_text(r, &a)).kind != VALUE_STRING || (b = escape_text(r, &b)).kind != VALUE_STRING))
            return false;
        bool good = run_add_text(r, &a) && run_add_text(r, &b) && run_take(r, start, out);
        out->text.markup = good && markup;
        return good;
    }
    if (op == OP_ADD && a.kind == VALUE_LIST && b.kind == VALUE_LIST && a.list->tuple == b.list->tuple)
        return join_lists(r, a, b, out);
    if (op == OP_MULTIPLY && is_sequence(a) && whole(b))
        return repeat(r, a, as_integer(b), out);
    if (op == OP_MULTIPLY && whole(a) && is_sequence(b))
        return repeat(r, b, as_integer(a), out);
    return run_fail(r, "'%s' does not take '%s' and '%s'", signs[op], kind_name(&a), kind_name(&b));
}
