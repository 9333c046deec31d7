/* tests.c - the tests behind `is`, a row each. */
#include "template_private.h"

#include "berth/base/character.h"

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
    bool object = is_object(at[0], object_loop) || is_object(at[0], object_generator) ||
                  is_object(at[0], object_range) || is_object(at[0], object_view);
    return answer(out, object || (ITERABLES & KIND(at[0].kind)) != 0);
}

static bool test_sequence(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    bool range = is_object(at[0], object_range);
    return answer(out, range || (ITERABLES & KIND(at[0].kind)) != 0);
}

/* Undefined counts as callable: in Jinja it has a __call__, which raises. */
static bool test_callable(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    const void *type = at[0].kind == VALUE_OBJECT ? at[0].object.type : NULL;
    return answer(out, at[0].kind == VALUE_UNDEFINED || type == object_macro || type == object_loop ||
                           type == object_method || type == object_function || type == object_class ||
                           type == object_joiner);
}

static bool remainder_is(
    struct template_run *r, struct value v, struct value by, int64_t rest, struct value *out)
{
    const struct value wanted = value_integer(rest);
    struct value left;
    bool equal;
    if (!operate(r, OP_MODULO, v, by, &left) || !values_equal(r, &left, &wanted, &equal))
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

/* Python shares objects by rules of its own: small integers are one object, and equal strings may be. */
static bool test_sameas(struct template_run *r, const struct value *at, struct value *out)
{
    const struct value *a = &at[0], *b = &at[1];
    bool equal;
    if (a->kind != b->kind || a->kind == VALUE_UNDEFINED)
        return answer(out, false);
    if (a->kind == VALUE_LIST || a->kind == VALUE_MAP || a->kind == VALUE_OBJECT)
        return answer(out, a->kind == VALUE_OBJECT ? a->object.data == b->object.data : a->list == b->list);
    if (!values_equal(r, a, b, &equal))
        return false;
    bool same = a->kind == VALUE_NULL || a->kind == VALUE_BOOL ||
                (a->kind == VALUE_INTEGER && a->integer >= -5 && a->integer <= 256) ||
                (a->kind == VALUE_STRING && a->text.at == b->text.at);
    return !equal || same ? answer(out, equal)
                          : run_fail(r, "sameas of two equal '%s' is not supported", kind_name(a));
}

static bool test_lower(struct template_run *r, const struct value *at, struct value *out)
{
    struct value s;
    return to_string(r, &at[0], &s) && all_cased(r, s, CHARACTER_IS_LOWER, out);
}

static bool test_upper(struct template_run *r, const struct value *at, struct value *out)
{
    struct value s;
    return to_string(r, &at[0], &s) && all_cased(r, s, CHARACTER_IS_UPPER, out);
}

static bool test_escaped(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    return answer(out, at[0].kind == VALUE_STRING && at[0].text.markup);
}

/* Only what could be a key of the tables is looked for in them. */
static bool is_key(struct template_run *r, struct value v)
{
    struct value *found, none = value_map(r->arena, 0);
    return run_step(r, 1) && map_find(r, &none, &v, &found);
}

/* Whether a filter or a test of this name is known. A template can check it before it uses one. */
static bool test_filter(struct template_run *r, const struct value *at, struct value *out)
{
    return is_key(r, at[0]) &&
           answer(out, at[0].kind == VALUE_STRING && filter_find(value_span(at[0])) != NULL);
}

static bool test_test(struct template_run *r, const struct value *at, struct value *out)
{
    return is_key(r, at[0]) &&
           answer(out, at[0].kind == VALUE_STRING && test_find(value_span(at[0])) != NULL);
}

static const struct builtin tests[] = {
    {"boolean", "value", {.run = test_boolean}},
    {"callable", "obj", {.run = test_callable}},
    {"defined", "value", {.run = test_defined}},
    {"divisibleby", "value num", {.run = test_divisible}},
    {"eq", "a b", {.run = test_eq}},
    {"equalto", "a b", {.run = test_eq}},
    {"==", "a b", {.run = test_eq}},
    {"escaped", "value", {.run = test_escaped}},
    {"even", "value", {.run = test_even}},
    {"false", "value", {.run = test_false}},
    {"filter", "value", {.run = test_filter}},
    {"float", "value", {.run = test_float}},
    {"ge", "a b", {.run = test_ge}},
    {">=", "a b", {.run = test_ge}},
    {"greaterthan", "a b", {.run = test_gt}},
    {"gt", "a b", {.run = test_gt}},
    {">", "a b", {.run = test_gt}},
    {"in", "value seq", {.run = test_in}},
    {"integer", "value", {.run = test_integer}},
    {"iterable", "value", {.run = test_iterable}},
    {"le", "a b", {.run = test_le}},
    {"<=", "a b", {.run = test_le}},
    {"lessthan", "a b", {.run = test_lt}},
    {"lower", "value", {.run = test_lower}},
    {"lt", "a b", {.run = test_lt}},
    {"<", "a b", {.run = test_lt}},
    {"mapping", "value", {.run = test_mapping}},
    {"ne", "a b", {.run = test_ne}},
    {"!=", "a b", {.run = test_ne}},
    {"none", "value", {.run = test_none}},
    {"number", "value", {.run = test_number}},
    {"odd", "value", {.run = test_odd}},
    {"sameas", "value other", {.run = test_sameas}},
    {"sequence", "value", {.run = test_sequence}},
    {"string", "value", {.run = test_string}},
    {"test", "value", {.run = test_test}},
    {"true", "value", {.run = test_true}},
    {"undefined", "value", {.run = test_undefined}},
    {"upper", "value", {.run = test_upper}},
};

const struct builtin *test_find(struct span name)
{
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (span_is(name, tests[i].name))
            return &tests[i];
    return NULL;
}
