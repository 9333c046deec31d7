/* numbers.c - reading, rounding and changing numbers, by Python's rules. */
#include "template_private.h"

#include "berth/base/character.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 400 /* characters of a number that is read */

/* Copies a number without white space around it and the underscores between its digits. False where no number can be. */
static bool copy_number(struct value s, char out[NUMBER_MAX])
{
    size_t n = 0;
    s = strip(&s, NULL, true, true);
    if (s.text.size == 0 || s.text.size >= NUMBER_MAX)
        return false;
    for (size_t i = 0, size; i < s.text.size; i += size) {
        uint32_t c = get_character((struct span){(const uint8_t *)s.text.at + i, s.text.size - i}, &size);
        bool between = i > 0 && i + 1 < s.text.size;
        if (c >= 0x80 && (character_class(c) & CHARACTER_DECIMAL)) {
            /* Decimal digits of a script are ten code points in a row. */
            unsigned digit = 0;
            while (
                digit < 9 && (character_class(c - digit - 1) & CHARACTER_DECIMAL) && (c - digit - 1) >= 0x80)
                digit++;
            c = '0' + digit % 10;
        }
        if (c >= 0x80 || c == 0)
            return false;
        char before = n > 0 ? out[n - 1] : '\0', after = i + 1 < s.text.size ? s.text.at[i + 1] : '\0';
        if (c == '_' && (!between || before == '_' || after == '_' || before == '.' || after == '.'))
            return false;
        out[n++] = (char)c;
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (out[i] != '_')
            out[kept++] = out[i];
    out[kept] = '\0';
    return true;
}

bool read_real(struct value s, double *out)
{
    char text[NUMBER_MAX], *end;
    if (!copy_number(s, text) || strpbrk(text, "xXpP()"))
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && end != text && text[0] != ' ';
}

bool read_integer(struct value s, int64_t base, int64_t *out, bool *too_large)
{
    char text[NUMBER_MAX], *at = text, *end;
    *too_large = false;
    if ((base != 0 && base < 2) || base > 36 || !copy_number(s, text))
        return false;
    bool negative = *at == '-';
    at += *at == '-' || *at == '+';
    char letter = at[0] == '0' ? (char)(at[1] | 0x20) : '\0';
    int64_t prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (prefix && (base == 0 || base == prefix)) {
        at += 2;
        base = prefix;
    }
    if (base == 0 && at[0] == '0' && strspn(at, "0") != strlen(at))
        return false;
    base = base == 0 ? 10 : base;
    if (*at == '\0' || *at == '-' || *at == '+' || *at == ' ' ||
        (*at == '0' && base == 16 && (at[1] | 0x20) == 'x'))
        return false;
    errno = 0;
    memmove(text + 1, at, strlen(at) + 1);
    text[0] = negative ? '-' : '+';
    long long i = strtoll(text, &end, (int)base);
    *out = i;
    *too_large = errno == ERANGE;
    return *end == '\0';
}

static bool too_large(struct template_run *r)
{
    return run_fail(r, "integers beyond 64 bits are not supported");
}

/* int(d), towards zero. */
static bool integer_of(struct template_run *r, double d, struct value *out)
{
    if (!isfinite(d))
        return run_fail(r, "no integer is '%s'", isnan(d) ? "nan" : "inf");
    if (fabs(d) >= 9223372036854775808.0)
        return too_large(r);
    *out = value_integer((int64_t)d);
    return true;
}

bool filter_int(struct template_run *r, const struct value *at, struct value *out)
{
    double real;
    int64_t integer, base;
    bool beyond;
    *out = at[1].kind == VALUE_UNDEFINED ? value_integer(0) : at[1];
    if (at[0].kind == VALUE_UNDEFINED)
        return undefined_fail(r, &at[0]);
    if (whole(at[0]))
        *out = value_integer(as_integer(at[0]));
    if (at[0].kind == VALUE_FLOAT)
        return isinf(at[0].real) ? run_fail(r, "no integer is 'inf'")
                                 : isnan(at[0].real) || integer_of(r, at[0].real, out);
    if (at[0].kind != VALUE_STRING)
        return true;
    if (!wants_count(r, &at[2], 10, &base))
        return false;
    if (read_integer(at[0], base, &integer, &beyond)) {
        *out = value_integer(integer);
        return !beyond || too_large(r);
    }
    return !read_real(at[0], &real) || !isfinite(real) || integer_of(r, real, out);
}

bool filter_float(struct template_run *r, const struct value *at, struct value *out)
{
    double real;
    if (at[0].kind == VALUE_UNDEFINED)
        return undefined_fail(r, &at[0]);
    if (is_number(at[0]))
        *out = value_float(as_real(at[0]));
    else if (at[0].kind == VALUE_STRING && read_real(at[0], &real))
        *out = value_float(real);
    else
        *out = at[1].kind == VALUE_UNDEFINED ? value_float(0) : at[1];
    return true;
}

bool filter_abs(struct template_run *r, const struct value *at, struct value *out)
{
    if (!is_number(at[0]))
        return run_fail(r, "abs is for numbers, not '%s'", kind_name(&at[0]));
    if (at[0].kind == VALUE_FLOAT)
        *out = value_float(fabs(at[0].real));
    else if (as_integer(at[0]) == INT64_MIN)
        return too_large(r);
    else
        *out = value_integer(as_integer(at[0]) < 0 ? -as_integer(at[0]) : as_integer(at[0]));
    return true;
}

/* A float rounded to so many decimal places, half to even by its exact value. */
static double round_real(double d, int64_t places)
{
    char text[NUMBER_MAX];
    if (!isfinite(d) || d == 0 || places > 330)
        return d;
    if (places < -310)
        return copysign(0, d);
    if (places >= 0) {
        if (fabs(d) >= 1e22)
            return d;
        snprintf(text, sizeof(text), "%.*f", (int)(places > 350 ? 350 : places), d);
        return strtod(text, NULL);
    }
    snprintf(text, sizeof(text), "%.17e", d);
    int digits = atoi(strchr(text, 'e') + 1) + 1 + (int)places; /* that are left */
    if (digits > 0) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, d);
        return strtod(text, NULL);
    }
    double unit = pow(10, (double)-places);
    return digits == 0 && fabs(d) > unit / 2 ? copysign(unit, d) : copysign(0, d);
}

/* An integer rounded to tens, hundreds and so on, half to even. */
static bool round_integer(struct template_run *r, int64_t i, int64_t places, struct value *out)
{
    int64_t unit = 1, rounded;
    if (places >= 0) {
        *out = value_integer(i);
        return true;
    }
    *out = value_integer(0);
    if (places < -19)
        return true;
    uint64_t size = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    if (places == -19) { /* the unit is 10 to the 19th */
        return size <= 5000000000000000000u || too_large(r);
    }
    for (; places < 0; places++)
        unit *= 10;
    uint64_t rest = size % (uint64_t)unit, quotient = size / (uint64_t)unit;
    if (rest > (uint64_t)unit / 2 || (rest == (uint64_t)unit / 2 && quotient % 2 == 1))
        quotient++;
    if (__builtin_mul_overflow((int64_t)quotient, unit, &rounded))
        return too_large(r);
    *out = value_integer(i < 0 ? -rounded : rounded);
    return true;
}

/* ceil and floor: the value is scaled, made whole and scaled back, and what comes out is a float. */
static bool round_by(struct template_run *r, struct value v, int64_t places, bool up, struct value *out)
{
    struct value factor, scaled;
    if (!operate(r, OP_POWER, value_integer(10), value_integer(places), &factor) ||
        !operate(r, OP_MULTIPLY, v, factor, &scaled))
        return false;
    if (scaled.kind == VALUE_FLOAT) {
        double d = up ? ceil(scaled.real) : floor(scaled.real);
        if (!isfinite(d))
            return run_fail(r, "no integer is '%s'", isnan(d) ? "nan" : "inf");
        scaled = value_float(d == 0 ? 0 : d);
    }
    return operate(r, OP_DIVIDE, scaled, factor, out);
}

bool filter_round(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t places;
    bool common = at[2].kind == VALUE_UNDEFINED || value_is(at[2], "common");
    if (!common && !value_is(at[2], "ceil") && !value_is(at[2], "floor"))
        return run_fail(r, "the method of round is 'common', 'ceil' or 'floor'");
    if (at[0].kind == VALUE_UNDEFINED)
        return undefined_fail(r, &at[0]);
    if (!is_number(at[0]))
        return run_fail(r, "round is for numbers, not '%s'", kind_name(&at[0]));
    if (common && at[1].kind == VALUE_NULL) { /* to an integer */
        *out = value_integer(as_integer(at[0]));
        return at[0].kind != VALUE_FLOAT || integer_of(r, nearbyint(at[0].real), out);
    }
    if (!wants_count(r, &at[1], 0, &places))
        return false;
    if (!common)
        return round_by(r, at[0], places, value_is(at[2], "ceil"), out);
    if (at[0].kind != VALUE_FLOAT)
        return round_integer(r, as_integer(at[0]), places, out);
    *out = value_float(round_real(at[0].real, places));
    return !isinf(out->real) || isinf(at[0].real) || run_fail(r, "the rounded number is too large");
}

bool filter_filesizeformat(struct template_run *r, const struct value *at, struct value *out)
{
    static const char units[] = "kMGTPEZY";
    double bytes, base = truth(&at[1]) ? 1024 : 1000, unit = base;
    char text[NUMBER_MAX];
    if (is_number(at[0]))
        bytes = as_real(at[0]);
    else if (at[0].kind != VALUE_STRING || !read_real(at[0], &bytes))
        return run_fail(r, "filesizeformat needs a number, not '%s'", kind_name(&at[0]));
    size_t i = 0;
    if (bytes == 1)
        snprintf(text, sizeof(text), "1 Byte");
    else if (bytes < base)
        snprintf(text, sizeof(text), "%.0f Bytes", trunc(bytes) == 0 ? 0.0 : trunc(bytes));
    else {
        while (i < sizeof(units) - 2 && !(bytes < unit * base)) {
            unit *= base;
            i++;
        }
        snprintf(text, sizeof(text), "%.1f %c%sB", base * bytes / (unit * base),
            base > 1000 && i == 0 ? 'K' : units[i], base > 1000 ? "i" : "");
    }
    if (isinf(bytes) && bytes < 0)
        return run_fail(r, "no integer is '-inf'");
    *out = value_string(r->arena, span_of(text), VALUE_FROM_TEMPLATE);
    return run_step(r, 1);
}
