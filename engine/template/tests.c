/* tests.c - the tests behind `is`, a row each. */
#include "template_private.h"

#include <string.h>

static bool answer(struct value *out, bool b)
{
    *out = value_bool(b);
    return true;
}

/* What kinds of value a test holds for. */
#define KIND(k) (1u << (k))

static bool is_of(struct value v, unsigned kinds, struct value *out)
{
    return answer(out, (kinds & KIND(v.kind)) != 0);
}

static bool test_defined(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, at[0].kind != VALUE_UNDEFINED);
}

static bool test_undefined(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], KIND(VALUE_UNDEFINED), out);
}

static bool test_none(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], KIND(VALUE_NULL), out);
}

static bool test_boolean(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], KIND(VALUE_BOOL), out);
}

static bool test_true(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, at[0].kind == VALUE_BOOL && at[0].boolean);
}

static bool test_false(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, at[0].kind == VALUE_BOOL && !at[0].boolean);
}

static bool test_integer(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], KIND(VALUE_INTEGER), out);
}

static bool test_float(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], KIND(VALUE_FLOAT), out);
}

static bool test_number(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, is_number(at[0]));
}

static bool test_string(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], KIND(VALUE_STRING), out);
}

static bool test_mapping(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], KIND(VALUE_MAP), out);
}

#define ITERABLES (KIND(VALUE_STRING) | KIND(VALUE_LIST) | KIND(VALUE_MAP) | KIND(VALUE_UNDEFINED))

static bool test_iterable(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    bool loop = at[0].kind == VALUE_OBJECT && at[0].object.type == object_loop;
    return answer(out, loop || (ITERABLES & KIND(at[0].kind)) != 0);
}

static bool test_sequence(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return is_of(at[0], ITERABLES, out);
}

/* Undefined counts as callable: in Jinja it has a __call__, which raises. */
static bool test_callable(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, at[0].kind == VALUE_UNDEFINED ||
                           (at[0].kind == VALUE_OBJECT && at[0].object.type != object_namespace));
}

static bool remainder_is(
    struct template_run *r, struct value v, struct value by, int64_t rest, struct value *out)
{
    struct value left;
    bool equal;
    if (!operate(r, OP_MODULO, v, by, &left) || !values_equal(r, left, value_integer(rest), &equal))
        return false;
    return answer(out, equal);
}

static bool test_odd(struct template_run *r, const struct value *at, struct value *out)
{
    return remainder_is(r, at[0], value_integer(2), 1, out);
}

static bool test_even(struct template_run *r, const struct value *at, struct value *out)
{
    return remainder_is(r, at[0], value_integer(2), 0, out);
}

static bool test_divisible(struct template_run *r, const struct value *at, struct value *out)
{
    return remainder_is(r, at[0], at[1], 0, out);
}

static bool compared(struct template_run *r, enum operation op, const struct value *at, struct value *out)
{
    bool holds;
    return compare(r, op, at[0], at[1], &holds) && answer(out, holds);
}

static bool test_eq(struct template_run *r, const struct value *at, struct value *out)
{
    return compared(r, OP_EQUAL, at, out);
}

static bool test_ne(struct template_run *r, const struct value *at, struct value *out)
{
    return compared(r, OP_UNEQUAL, at, out);
}

static bool test_lt(struct template_run *r, const struct value *at, struct value *out)
{
    return compared(r, OP_LESS, at, out);
}

static bool test_le(struct template_run *r, const struct value *at, struct value *out)
{
    return compared(r, OP_LESS_EQUAL, at, out);
}

static bool test_gt(struct template_run *r, const struct value *at, struct value *out)
{
    return compared(r, OP_GREATER, at, out);
}

static bool test_ge(struct template_run *r, const struct value *at, struct value *out)
{
    return compared(r, OP_GREATER_EQUAL, at, out);
}

static bool test_in(struct template_run *r, const struct value *at, struct value *out)
{
    return compared(r, OP_IN, at, out);
}

/* Only kinds whose values are compared as in Python are supported. Python shares objects of others by rules of its own. */
static bool test_sameas(struct template_run *r, const struct value *at, struct value *out)
{
    if (at[0].kind != at[1].kind)
        return answer(out, false);
    switch (at[0].kind) {
    case VALUE_NULL:
        return answer(out, true);
    case VALUE_BOOL:
        return answer(out, at[0].boolean == at[1].boolean);
    case VALUE_LIST:
        return answer(out, at[0].list == at[1].list);
    case VALUE_MAP:
        return answer(out, at[0].map == at[1].map);
    default:
        return run_fail(r, "sameas is supported for none, booleans, lists and dicts only");
    }
}

/* Whether a string has letters, and none of the other case. */
static bool has_case(struct template_run *r, struct value v, enum letter_case of, struct value *out)
{
    struct value s, changed;
    bool equal, letters = false;
    if (!to_string(r, v, &s) || !change_case(r, s, of, &changed) || !values_equal(r, s, changed, &equal))
        return false;
    for (size_t i = 0; i < s.text.size && !letters; i++)
        letters = (s.text.at[i] | 0x20) >= 'a' && (s.text.at[i] | 0x20) <= 'z';
    return answer(out, equal && letters);
}

static bool test_lower(struct template_run *r, const struct value *at, struct value *out)
{
    return has_case(r, at[0], CASE_LOWER, out);
}

static bool test_upper(struct template_run *r, const struct value *at, struct value *out)
{
    return has_case(r, at[0], CASE_UPPER, out);
}

/* Whether a filter or a test of this name is known. A template can check it before it uses one. */
static bool test_filter(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, at[0].kind == VALUE_STRING && filter_find(value_span(at[0])) != NULL);
}

static bool test_test(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, at[0].kind == VALUE_STRING && test_find(value_span(at[0])) != NULL);
}

/* clang-format off */
static const struct builtin tests[] = {
    {.name = "boolean", .parameters = {"value"}, .needed = 1, .run = test_boolean},
    {.name = "callable", .parameters = {"obj"}, .needed = 1, .run = test_callable},
    {.name = "defined", .parameters = {"value"}, .needed = 1, .run = test_defined},
    {.name = "divisibleby", .parameters = {"value", "num"}, .needed = 2, .run = test_divisible},
    {.name = "eq", .parameters = {"a", "b"}, .needed = 2, .run = test_eq},
    {.name = "equalto", .parameters = {"a", "b"}, .needed = 2, .run = test_eq},
    {.name = "==", .parameters = {"a", "b"}, .needed = 2, .run = test_eq},
    {.name = "even", .parameters = {"value"}, .needed = 1, .run = test_even},
    {.name = "false", .parameters = {"value"}, .needed = 1, .run = test_false},
    {.name = "filter", .parameters = {"value"}, .needed = 1, .run = test_filter},
    {.name = "float", .parameters = {"value"}, .needed = 1, .run = test_float},
    {.name = "ge", .parameters = {"a", "b"}, .needed = 2, .run = test_ge},
    {.name = ">=", .parameters = {"a", "b"}, .needed = 2, .run = test_ge},
    {.name = "greaterthan", .parameters = {"a", "b"}, .needed = 2, .run = test_gt},
    {.name = "gt", .parameters = {"a", "b"}, .needed = 2, .run = test_gt},
    {.name = ">", .parameters = {"a", "b"}, .needed = 2, .run = test_gt},
    {.name = "in", .parameters = {"value", "seq"}, .needed = 2, .run = test_in},
    {.name = "integer", .parameters = {"value"}, .needed = 1, .run = test_integer},
    {.name = "iterable", .parameters = {"value"}, .needed = 1, .run = test_iterable},
    {.name = "le", .parameters = {"a", "b"}, .needed = 2, .run = test_le},
    {.name = "<=", .parameters = {"a", "b"}, .needed = 2, .run = test_le},
    {.name = "lessthan", .parameters = {"a", "b"}, .needed = 2, .run = test_lt},
    {.name = "lower", .parameters = {"value"}, .needed = 1, .run = test_lower},
    {.name = "lt", .parameters = {"a", "b"}, .needed = 2, .run = test_lt},
    {.name = "<", .parameters = {"a", "b"}, .needed = 2, .run = test_lt},
    {.name = "mapping", .parameters = {"value"}, .needed = 1, .run = test_mapping},
    {.name = "ne", .parameters = {"a", "b"}, .needed = 2, .run = test_ne},
    {.name = "!=", .parameters = {"a", "b"}, .needed = 2, .run = test_ne},
    {.name = "none", .parameters = {"value"}, .needed = 1, .run = test_none},
    {.name = "number", .parameters = {"value"}, .needed = 1, .run = test_number},
    {.name = "odd", .parameters = {"value"}, .needed = 1, .run = test_odd},
    {.name = "sameas", .parameters = {"value", "other"}, .needed = 2, .run = test_sameas},
    {.name = "sequence", .parameters = {"value"}, .needed = 1, .run = test_sequence},
    {.name = "string", .parameters = {"value"}, .needed = 1, .run = test_string},
    {.name = "test", .parameters = {"value"}, .needed = 1, .run = test_test},
    {.name = "true", .parameters = {"value"}, .needed = 1, .run = test_true},
    {.name = "undefined", .parameters = {"value"}, .needed = 1, .run = test_undefined},
    {.name = "upper", .parameters = {"value"}, .needed = 1, .run = test_upper},
};
/* clang-format on */

const struct builtin *test_find(struct span name)
{
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (span_is(name, tests[i].name))
            return &tests[i];
    return NULL;
}
