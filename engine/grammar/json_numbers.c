/* json_numbers.c - numbers between two limits, and multiples, digit by digit.
 *
 * A number is written as so many digits before the point and at most so many behind it, `scale`. Read without the point
 * it is a whole number, and limits are whole numbers in the same scale. While the digits so far equal a limit's, the
 * next one has that limit; after that any digit is allowed. Fifteen digits in all keep different texts different
 * doubles, so that a limit that is excluded is not met by rounding.
 *
 * A multiple is told by what the digits so far leave: with k digits to come, by value * 10^k modulo the divisor.
 */
#include "json_private.h"
#include "builder_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MOST 18 /* of a whole number; fits int64_t */
#define EXACT_DIGITS 15 /* of a number with a fraction */
#define REMAINDERS_MOST 4096 /* pairs of digits to come and remainder; a power of two */

static const int64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
    10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
    10000000000000000, 100000000000000000, 1000000000000000000};

/* mantissa * 10^exponent; the mantissa does not end in 0 unless it is 0. */
struct decimal {
    int64_t mantissa;
    int exponent;
};

static struct decimal decimal_of(struct value v)
{
    struct decimal d = {0};
    char text[40];
    if (v.kind == VALUE_INTEGER) {
        d.mantissa = v.integer == INT64_MIN ? INT64_MIN + 1 : v.integer;
    } else if (fabs(v.real) < 9e18 && floor(v.real) >= v.real) {
        d.mantissa = (int64_t)v.real;
    } else {
        for (int precision = 14; precision <= 16; precision++) {
            snprintf(text, sizeof(text), "%.*e", precision, v.real);
            if (!(strtod(text, NULL) < v.real) && !(strtod(text, NULL) > v.real))
                break;
        }
        char *mark = strchr(text, 'e'), *point = strchr(text, '.');
        if (!mark || !point)
            return d;
        d.exponent = atoi(mark + 1) - (int)(mark - point - 1);
        memmove(point, point + 1, (size_t)(mark - point - 1));
        mark[-1] = 0;
        d.mantissa = strtoll(text, NULL, 10);
    }
    while (d.mantissa && d.mantissa % 10 == 0) {
        d.mantissa /= 10;
        d.exponent++;
    }
    if (!d.mantissa)
        d.exponent = 0;
    return d;
}

int json_compare_numbers(struct value a, struct value b)
{
    if (a.kind == VALUE_INTEGER && b.kind == VALUE_INTEGER)
        return a.integer < b.integer ? -1 : a.integer > b.integer;
    if (a.kind == VALUE_FLOAT && b.kind == VALUE_FLOAT)
        return a.real < b.real ? -1 : a.real > b.real;
    if (b.kind == VALUE_INTEGER)
        return -json_compare_numbers(b, a);
    if (b.real >= 9223372036854775808.0)
        return -1;
    if (b.real < -9223372036854775808.0)
        return 1;
    double whole = floor(b.real);
    int64_t other = (int64_t)whole;
    if (a.integer != other)
        return a.integer < other ? -1 : 1;
    return b.real > whole ? -1 : 0;
}

bool json_is_multiple(struct value number, struct value multiple)
{
    struct decimal n = decimal_of(number), m = decimal_of(multiple);
    if (m.mantissa <= 0 || n.mantissa == 0)
        return m.mantissa > 0;
    int shift = n.exponent - m.exponent;
    if (shift < 0 || shift > DIGITS_MOST || llabs(n.mantissa) > INT64_MAX / tens[shift])
        return false;
    return n.mantissa * tens[shift] % m.mantissa == 0;
}

/* ---- one length of digits ---- */

struct remainder_entry {
    int64_t remainder;
    int left; /* digits to come, + 1; 0: the entry is free */
    grammar_node node;
};

struct digits {
    struct json_parts *p;
    int n, scale; /* digits, and how many of them stand behind the point */
    int64_t divisor; /* 1: none */
    uint8_t low[DIGITS_MOST + 1], high[DIGITS_MOST + 1];
    struct remainder_entry *table; /* [REMAINDERS_MOST] */
    size_t used;
    bool full; /* the table was too small */
    struct json_doubt *doubt;
};

static grammar_node digit_range(struct json_parts *p, int first, int last)
{
    uint64_t set[4] = {0};
    for (int i = first; i <= last; i++)
        set[0] |= (uint64_t)1 << ('0' + i);
    return grammar_byte_set(p->b, set);
}

static grammar_node some_digits(struct json_parts *p, int least, int most)
{
    return grammar_repeat(p->b, digit_range(p, 0, 9), (size_t)least, (size_t)most);
}

/* Puts the point before what follows the digits before it. */
static grammar_node with_point(struct digits *d, int at, grammar_node rest)
{
    if (at != d->n - d->scale || !d->scale)
        return rest;
    return grammar_sequence(d->p->b, json_text(d->p, "."), rest);
}

static void forget_remainders(struct digits *d)
{
    memset(d->table, 0, REMAINDERS_MOST * sizeof(*d->table));
    d->used = 0;
}

static struct remainder_entry *remainder_at(struct digits *d, int left, int64_t remainder)
{
    size_t at = (size_t)(remainder * 31 + left * 2654435761) & (REMAINDERS_MOST - 1);
    while (d->table[at].left && (d->table[at].left != left + 1 || d->table[at].remainder != remainder))
        at = (at + 1) & (REMAINDERS_MOST - 1);
    return &d->table[at];
}

/* Any digits to the end that make the number a multiple. */
static grammar_node to_multiple(struct digits *d, int at, int64_t remainder)
{
    int left = d->n - at;
    int64_t missing = (d->divisor - remainder) % d->divisor;
    grammar_node all = NODE_NEVER;
    if (missing >= tens[left])
        return NODE_NEVER;
    if (left == 0)
        return NODE_EMPTY;
    struct remainder_entry *known = remainder_at(d, left, remainder);
    if (known->left)
        return known->node;
    d->full = d->full || d->used >= REMAINDERS_MOST * 3 / 4;
    if (d->full)
        return NODE_NEVER;
    d->used++;
    *known = (struct remainder_entry){.remainder = remainder, .left = left + 1};
    for (int digit = 0; digit <= 9; digit++) {
        int64_t next = (remainder + digit * (tens[left - 1] % d->divisor)) % d->divisor;
        grammar_node rest = to_multiple(d, at + 1, next);
        all = grammar_either(d->p->b, all, grammar_sequence(d->p->b, digit_range(d->p, digit, digit), rest));
    }
    return known->node = with_point(d, at, all);
}

/* Any digits to the end. */
static grammar_node to_end(struct digits *d, int at, int64_t remainder)
{
    int before = d->n - d->scale - at;
    if (d->divisor > 1)
        return to_multiple(d, at, remainder);
    if (before < 0)
        return some_digits(d->p, 0, d->n - at);
    grammar_node point = NODE_EMPTY;
    if (d->scale)
        point = grammar_optional(
            d->p->b, grammar_sequence(d->p->b, json_text(d->p, "."), some_digits(d->p, 1, d->scale)));
    return grammar_sequence(d->p->b, some_digits(d->p, before, before), point);
}

/* The rest is left out where that means zeros which the lower limit has too. */
static bool may_stop(const struct digits *d, int at, bool low)
{
    if (at < d->n - d->scale || d->divisor > 1)
        return false;
    for (int i = at; low && i < d->n; i++)
        if (d->low[i])
            return false;
    return true;
}

/* The digits from `at` on. `low`, `high`: all before equal those of the limit. */
static grammar_node digits_from(struct digits *d, int at, bool low, bool high, int64_t remainder)
{
    struct grammar_builder *b = d->p->b;
    if (at == d->n)
        return remainder % d->divisor == 0 ? NODE_EMPTY : NODE_NEVER;
    if (!low && !high && at > 0)
        return to_end(d, at, remainder);
    int first = low ? d->low[at] : at == 0 && d->n > d->scale + 1, last = high ? d->high[at] : 9;
    grammar_node all = NODE_NEVER;
    for (int digit = first; digit <= last; digit++) {
        int64_t next = (remainder + digit * (tens[d->n - at - 1] % d->divisor)) % d->divisor;
        grammar_node rest = digits_from(d, at + 1, low && digit == first, high && digit == last, next);
        all = grammar_either(b, all, grammar_sequence(b, digit_range(d->p, digit, digit), rest));
    }
    all = with_point(d, at, all);
    return may_stop(d, at, low) ? grammar_optional(b, all) : all;
}

static int count_digits(int64_t v)
{
    int n = 1;
    while (n <= DIGITS_MOST && v >= tens[n])
        n++;
    return n;
}

static void write_digits(uint8_t *out, int n, int64_t v)
{
    for (int i = n; i-- > 0; v /= 10)
        out[i] = (uint8_t)(v % 10);
}

/* Whole numbers in the scale from low to high, neither below 0. */
static grammar_node between(struct digits *d, int64_t low, int64_t high)
{
    grammar_node all = NODE_NEVER;
    if (low > high)
        return NODE_NEVER;
    int least = count_digits(low), most = count_digits(high);
    least = least > d->scale ? least : d->scale + 1;
    most = most > d->scale ? most : d->scale + 1;
    for (int n = least; n <= most; n++) {
        d->n = n;
        if (d->divisor > 1)
            forget_remainders(d);
        write_digits(d->low, n, low);
        write_digits(d->high, n, n == most ? high : 0);
        all = grammar_either(d->p->b, all, digits_from(d, 0, n == least, n == most, 0));
    }
    return all;
}

/* ---- limits ---- */

/* The limit in the scale as the first number inside it; `end` where there is none. False when no number is inside. */
static bool scaled_limit(struct json_limit limit, int scale, bool low, int64_t end, int64_t *out)
{
    *out = low ? -end : end;
    if (!limit.set)
        return true;
    struct decimal d = decimal_of(limit.number);
    int shift = d.exponent + scale;
    int64_t v = d.mantissa;
    bool exact = true, above = v > 0;
    if (v && (shift > DIGITS_MOST || (shift > 0 && llabs(v) > INT64_MAX / tens[shift]))) {
        return above != low;
    } else if (shift >= 0) {
        v *= v ? tens[shift] : 1;
    } else {
        int64_t by = -shift > DIGITS_MOST ? INT64_MAX : tens[-shift], whole = v / by;
        exact = v % by == 0;
        v = whole + (!exact && above && low) - (!exact && !above && !low);
    }
    if (exact && limit.exclusive)
        v += low ? 1 : -1;
    if (low ? v > end : v < -end)
        return false;
    if (low ? v > *out : v < *out)
        *out = v;
    return true;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Sets the scale and the divisor from the multiple. */
static bool set_multiple(struct digits *d, bool whole, struct value multiple)
{
    struct decimal m = decimal_of(multiple);
    if (m.mantissa <= 0) {
        *d->doubt = (struct json_doubt){"multipleOf", "must be above 0"};
        return false;
    }
    int scale = m.exponent < 0 ? -m.exponent : 0;
    if (scale > 9 || m.exponent > 9 || m.mantissa > tens[9]) {
        *d->doubt = (struct json_doubt){"multipleOf", "has too many digits"};
        return false;
    }
    d->divisor = m.exponent > 0 ? m.mantissa * tens[m.exponent] : m.mantissa;
    d->scale = scale;
    if (whole && scale) {
        d->divisor /= common_divisor(d->divisor, tens[scale]);
        d->scale = 0;
    }
    return true;
}

static int digits_before_point(struct json_limit limit)
{
    struct decimal d = limit.set ? decimal_of(limit.number) : (struct decimal){0};
    int n = count_digits(llabs(d.mantissa)) + d.exponent;
    return n < 1 ? 1 : n > EXACT_DIGITS ? EXACT_DIGITS : n;
}

/* Numbers with more digits before the point than the limits have. */
static grammar_node beyond(struct digits *d, int before)
{
    struct json_parts *p = d->p;
    if (before >= EXACT_DIGITS)
        return NODE_NEVER;
    grammar_node number =
        grammar_sequence(p->b, digit_range(p, 1, 9), some_digits(p, before, EXACT_DIGITS - 1));
    grammar_node fraction = grammar_sequence(p->b, json_text(p, "."), some_digits(p, 1, d->scale));
    return d->scale ? grammar_sequence(p->b, number, grammar_optional(p->b, fraction)) : number;
}

static grammar_node both_signs(struct digits *d, struct json_limit low, struct json_limit high, int64_t end)
{
    struct grammar_builder *b = d->p->b;
    int64_t first, last;
    if (!scaled_limit(low, d->scale, true, end, &first) || !scaled_limit(high, d->scale, false, end, &last)) {
        *d->doubt = (struct json_doubt){low.set ? "minimum" : "maximum", "has too many digits"};
        return NODE_NEVER;
    }
    grammar_node positive = NODE_NEVER, negative = NODE_NEVER;
    if (last >= 0)
        positive = between(d, first > 0 ? first : 0, last);
    if (first < 0)
        negative = between(d, last < 0 ? -last : 1, -first);
    return grammar_either(b, positive, grammar_sequence(b, json_text(d->p, "-"), negative));
}

/* With a fraction and without a multiple: one more digit before the point than limits have, and then any. */
static grammar_node with_fraction(struct digits *d, struct json_limit low, struct json_limit high)
{
    struct grammar_builder *b = d->p->b;
    int one = digits_before_point(low), other = digits_before_point(high);
    int before = one > other ? one : other;
    d->scale = EXACT_DIGITS - before < 14 ? EXACT_DIGITS - before : 14;
    grammar_node all = both_signs(d, low, high, tens[before + d->scale] - 1);
    if (!high.set)
        all = grammar_either(b, all, beyond(d, before));
    if (!low.set)
        all = grammar_either(b, all, grammar_sequence(b, json_text(d->p, "-"), beyond(d, before)));
    return all;
}

grammar_node json_numbers_between(struct json_parts *p, struct json_limit low, struct json_limit high,
    bool whole, struct value multiple, struct json_doubt *doubt)
{
    struct digits d = {.p = p, .divisor = 1, .doubt = doubt};
    bool has_multiple = multiple.kind == VALUE_INTEGER || multiple.kind == VALUE_FLOAT;
    grammar_node all = NODE_NEVER;
    *doubt = (struct json_doubt){0};
    if (has_multiple && !set_multiple(&d, whole, multiple))
        return NODE_NEVER;
    d.table = d.divisor > 1 ? malloc(REMAINDERS_MOST * sizeof(*d.table)) : NULL;
    if (d.divisor > 1 && !d.table)
        return builder_no_memory(p->b);
    if (whole || has_multiple)
        all = both_signs(&d, low, high, tens[d.scale ? EXACT_DIGITS : DIGITS_MOST] - 1);
    else
        all = with_fraction(&d, low, high);
    if (d.full) {
        *doubt = (struct json_doubt){"multipleOf", "has too many digits"};
        all = NODE_NEVER;
    }
    free(d.table);
    return all;
}
