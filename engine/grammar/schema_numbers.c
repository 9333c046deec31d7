/* schema_numbers.c - limits and multiples of numbers. */
#include "schema_private.h"

#define EXCEPTIONS_MOST 64
#define FRACTION_MOST 1000000000

static bool is_number(struct value v)
{
    return v.kind == VALUE_INTEGER || v.kind == VALUE_FLOAT;
}

/* The narrower of two limits. */
static struct json_limit narrower(struct json_limit a, struct json_limit b, bool low)
{
    if (!a.set || !b.set)
        return a.set ? a : b;
    int order = json_compare_numbers(a.number, b.number);
    if (order == 0)
        return a.exclusive ? a : b;
    return (order > 0) == low ? a : b;
}

static struct json_limit limit_of(struct schema_compiler *c, const struct schema_part *part, bool low)
{
    const char *name = low ? "minimum" : "maximum", *strict = low ? "exclusiveMinimum" : "exclusiveMaximum";
    const struct value *limit = schema_keyword(part->map, name),
                       *excluded = schema_keyword(part->map, strict);
    struct json_limit plain = {0}, exclusive = {0};
    if (limit && !is_number(*limit))
        schema_wrong(c, part->path, name, "must be a number");
    else if (limit)
        plain = (struct json_limit){.set = true, .number = *limit};
    if (excluded && excluded->kind == VALUE_BOOL)
        plain.exclusive = excluded->boolean;
    else if (excluded && !is_number(*excluded))
        schema_wrong(c, part->path, strict, "must be a number");
    else if (excluded)
        exclusive = (struct json_limit){.set = true, .exclusive = true, .number = *excluded};
    return narrower(plain, exclusive, low);
}

struct json_limit schema_limit(struct schema_compiler *c, const struct schema_set *set, bool low)
{
    struct json_limit limit = {0};
    for (size_t i = 0; i < set->n; i++)
        limit = narrower(limit, limit_of(c, &set->parts[i], low), low);
    return limit;
}

bool schema_number_allowed(struct schema_compiler *c, const struct schema_set *set, struct value v)
{
    struct json_limit low = schema_limit(c, set, true), high = schema_limit(c, set, false);
    int above = low.set ? json_compare_numbers(v, low.number) : 1;
    int below = high.set ? json_compare_numbers(high.number, v) : 1;
    if (above < 0 || below < 0 || (above == 0 && low.exclusive) || (below == 0 && high.exclusive))
        return false;
    for (size_t i = 0; i < set->n; i++) {
        const struct value *multiple = schema_keyword(set->parts[i].map, "multipleOf");
        if (multiple && is_number(*multiple) && !json_is_multiple(v, *multiple))
            return false;
    }
    return true;
}

static int64_t common_multiple(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x > INT64_MAX / b ? INT64_MAX : a / x * b;
}

/* One number that is a multiple of all; VALUE_UNDEFINED for none. `*part` is the last that has one. */
static struct value multiple_of(
    struct schema_compiler *c, const struct schema_set *set, const struct schema_part **part)
{
    struct value all = value_undefined;
    *part = NULL;
    for (size_t i = 0; i < set->n; i++) {
        const struct value *v = schema_keyword(set->parts[i].map, "multipleOf");
        if (!v)
            continue;
        *part = &set->parts[i];
        if (!is_number(*v) || json_compare_numbers(*v, value_integer(0)) <= 0)
            schema_wrong(c, (*part)->path, "multipleOf", "must be a number above 0");
        else if (all.kind == VALUE_UNDEFINED || json_is_multiple(*v, all))
            all = *v;
        else if (all.kind == VALUE_INTEGER && v->kind == VALUE_INTEGER)
            all = value_integer(common_multiple(all.integer, v->integer));
        else if (!json_is_multiple(all, *v))
            schema_refuse(c, (*part)->path, "multipleOf", "cannot be enforced beside the other one");
    }
    return all;
}

/* ---- what `not` takes out ---- */

struct intervals {
    struct value out[EXCEPTIONS_MOST]; /* sorted */
    size_t n;
};

static void add_exception(struct intervals *v, struct value number)
{
    size_t at = v->n;
    if (v->n == EXCEPTIONS_MOST)
        return;
    for (; at > 0 && json_compare_numbers(v->out[at - 1], number) > 0; at--)
        v->out[at] = v->out[at - 1];
    v->out[at] = number;
    v->n++;
}

static void find_exceptions(struct schema_compiler *c, const struct schema_set *set, struct intervals *v)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct value *except = schema_keyword(set->parts[i].map, "berth:except");
        for (size_t k = 0; except && except->kind == VALUE_LIST && k < except->list->n; k++)
            if (is_number(except->list->items[k]))
                add_exception(v, except->list->items[k]);
        if (v->n == EXCEPTIONS_MOST)
            schema_refuse(c, set->parts[i].path, "not", "excludes too many numbers");
    }
}

/* Numbers of each interval between those that are taken out. */
static grammar_node between_exceptions(struct schema_compiler *c, const struct intervals *v,
    struct json_limit low, struct json_limit high, bool whole, struct value multiple,
    struct json_doubt *doubt)
{
    grammar_node all = NODE_NEVER;
    for (size_t i = 0; i <= v->n; i++) {
        struct json_limit first = low, last = high;
        if (i > 0)
            first = narrower(
                low, (struct json_limit){.set = true, .exclusive = true, .number = v->out[i - 1]}, true);
        if (i < v->n)
            last = narrower(
                high, (struct json_limit){.set = true, .exclusive = true, .number = v->out[i]}, false);
        all = grammar_either(c->b, all, json_numbers_between(&c->json, first, last, whole, multiple, doubt));
        if (doubt->keyword)
            return NODE_NEVER;
    }
    return all;
}

/* Within these limits a fraction has enough digits to stay one as a double. */
static void bound_fractions(struct json_limit *low, struct json_limit *high)
{
    struct json_limit least = {.set = true, .number = value_integer(-FRACTION_MOST)};
    struct json_limit most = {.set = true, .number = value_integer(FRACTION_MOST)};
    *low = narrower(*low, least, true);
    *high = narrower(*high, most, false);
}

static grammar_node not_whole(struct schema_compiler *c)
{
    return regex_node(c->b, span_of("-?[0-9]+\\.[0-9]*[1-9][0-9]*"), false, CHAR_RAW, REGEX_SURE);
}

grammar_node schema_numbers(struct schema_compiler *c, const struct schema_set *set, unsigned types)
{
    struct json_limit low = schema_limit(c, set, true), high = schema_limit(c, set, false);
    const struct schema_part *part;
    struct value multiple = multiple_of(c, set, &part);
    struct intervals v = {.n = 0};
    find_exceptions(c, set, &v);
    bool whole = !(types & SCHEMA_FRACTION);
    bool limited = low.set || high.set || v.n || multiple.kind != VALUE_UNDEFINED;
    struct json_doubt doubt;
    if (schema_failed(c))
        return NODE_NEVER;
    if (!(types & SCHEMA_INTEGER) && !limited)
        return json_any_fraction(&c->json);
    if (!(types & SCHEMA_INTEGER))
        bound_fractions(&low, &high);
    if (!limited)
        return whole ? json_any_integer(&c->json) : json_any_number(&c->json);
    grammar_node node = between_exceptions(c, &v, low, high, whole, multiple, &doubt);
    if (doubt.keyword) {
        schema_refuse(c, part ? part->path : set->parts[0].path, doubt.keyword, doubt.why);
        return whole ? json_any_integer(&c->json) : json_any_number(&c->json);
    }
    return types & SCHEMA_INTEGER ? node : grammar_intersection(c->b, node, not_whole(c));
}
