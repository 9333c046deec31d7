/* format.c - writes values into fields: what `%` and str.format do with one value.
 *
 * A specification is [[fill]align][sign][z][#][0][width][group][.precision][type], as in Python's "Format Specification
 * Mini-Language". Numbers are made of a sign, a prefix, digits and a rest, and filled up between any two of them.
 */
#include "template_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRECISION_MAX 400
#define NUMBER_ROOM 800 /* digits of the largest float, and its fraction */
#define WIDTH_MAX ((size_t)1 << 24)

/* ---- the parts of a number ---- */

struct number {
    char sign; /* '\0': none */
    const char *prefix, *digits; /* before a fraction or exponent */
    size_t n_digits;
    const char *rest;
    unsigned group; /* digits in a group; 0: no groups */
};

static bool add(struct template_run *r, const char *text, size_t size)
{
    return run_add(r, (struct span){(const uint8_t *)text, size}, VALUE_FROM_TEMPLATE);
}

static bool fill(struct template_run *r, uint32_t code, size_t n)
{
    char bytes[4];
    size_t size = put_character(code ? code : ' ', bytes);
    for (size_t i = 0; i < n; i++)
        if (!run_step(r, 1) || !add(r, bytes, size))
            return false;
    return true;
}

/* How long so many digits are with signs between groups. */
static size_t grouped(size_t digits, unsigned group)
{
    return group && digits > 0 ? digits + (digits - 1) / group : digits;
}

static bool add_digits(struct template_run *r, const struct number *n, size_t zeros, char separator)
{
    size_t all = zeros + n->n_digits;
    for (size_t i = 0; i < all; i++) {
        if (i > 0 && n->group && (all - i) % n->group == 0 && !add(r, &separator, 1))
            return false;
        if (!run_step(r, 1) || !add(r, i < zeros ? "0" : n->digits + i - zeros, 1))
            return false;
    }
    return true;
}

static bool add_number(struct template_run *r, const struct number *n, const struct format_spec *spec)
{
    size_t beside = (n->sign != '\0') + strlen(n->prefix) + strlen(n->rest), zeros = 0;
    char align = spec->align ? spec->align : spec->zero ? '=' : '>';
    bool inside = align == '=' && (spec->fill == '0' || (spec->zero && !spec->fill));
    while (inside && n->n_digits > 0 && beside + grouped(n->n_digits + zeros, n->group) < spec->width) {
        zeros++;
        if (!run_step(r, 1))
            return false;
    }
    size_t size = beside + grouped(n->n_digits + zeros, n->group);
    size_t room = spec->width > size ? spec->width - size : 0;
    size_t left = align == '>' ? room : align == '^' ? room / 2 : 0;
    size_t middle = align == '=' ? room : 0;
    uint32_t with = spec->fill ? spec->fill : spec->zero ? '0' : ' ';
    return fill(r, with, left) && (n->sign == '\0' || add(r, &n->sign, 1)) &&
           add(r, n->prefix, strlen(n->prefix)) && fill(r, with, middle) &&
           add_digits(r, n, zeros, spec->group) && add(r, n->rest, strlen(n->rest)) &&
           fill(r, with, room - left - middle);
}

static char sign_of(bool negative, const struct format_spec *spec)
{
    return negative ? '-' : spec->sign == '+' || spec->sign == ' ' ? spec->sign : '\0';
}

static bool unknown(struct template_run *r, const char *kind, const struct format_spec *spec)
{
    char shown = spec->type;
    return run_fail(r, "no format of '%s' is '%c'", kind, shown >= ' ' && shown < 0x7f ? shown : '?');
}

static bool format_character(struct template_run *r, int64_t code, const struct format_spec *spec)
{
    char bytes[4];
    if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return run_fail(r, "%" PRId64 " is no character", code);
    struct format_spec text = *spec;
    text.align = spec->align == '\0' ? '<' : spec->align; /* a number's place is not a character's */
    size_t size = put_character((uint32_t)code, bytes);
    return format_text(
        r, value_borrow((struct span){(const uint8_t *)bytes, size}, VALUE_FROM_TEMPLATE), &text);
}

bool format_integer(struct template_run *r, int64_t i, const struct format_spec *spec)
{
    char digits[80];
    uint64_t size = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    char type = spec->type ? spec->type : 'd';
    const char *letters = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
    size_t at = sizeof(digits);
    if (strchr("eEfFgG%", type))
        return format_real(r, (double)i, spec);
    if (type == 'c')
        return format_character(r, i, spec);
    if (!strchr("bdnoxX", type))
        return unknown(r, "int", spec);
    if (spec->group == ',' && base != 10)
        return run_fail(r, "no format has ',' and '%c'", type);
    do
        digits[--at] = letters[size % base];
    while ((size /= base) > 0);
    while (spec->has_precision && at > 0 && sizeof(digits) - at < spec->precision) /* of `%` alone */
        digits[--at] = '0';
    const char prefix[3] = {'0', type, '\0'};
    const struct number n = {.sign = sign_of(i < 0, spec),
        .prefix = spec->alternate && base != 10 ? prefix : "",
        .digits = digits + at,
        .n_digits = sizeof(digits) - at,
        .rest = "",
        .group = !spec->group ? 0
                 : base == 10 ? 3
                              : 4};
    return add_number(r, &n, spec);
}

/* ---- floats ---- */

/* Digits as `g` has them, but with an exponent or a point in any case: what format() writes without a type. */
static void plain_real(char text[NUMBER_ROOM], double d, int precision)
{
    char *end;
    precision = precision < 1 ? 1 : precision;
    snprintf(text, NUMBER_ROOM, "%.*e", precision - 1, d);
    bool exponent = atoi(strchr(text, 'e') + 1) == precision - 1;
    if (!exponent)
        snprintf(text, NUMBER_ROOM, "%.*g", precision, d);
    else if (strchr(text, '.')) {
        char tail[16];
        end = strchr(text, 'e');
        snprintf(tail, sizeof(tail), "%s", end);
        while (end[-1] == '0')
            end--;
        end -= end[-1] == '.';
        memcpy(end, tail, strlen(tail) + 1);
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
}

static bool write_real(char text[NUMBER_ROOM], double d, const struct format_spec *spec)
{
    char format[16], type = spec->type == 'n' ? 'g' : spec->type == '%' ? 'f' : spec->type;
    int precision = spec->has_precision ? (int)spec->precision : 6;
    if (!isfinite(d)) {
        bool upper = type == 'E' || type == 'F' || type == 'G';
        snprintf(text, NUMBER_ROOM, "%s", isnan(d) ? upper ? "NAN" : "nan" : upper ? "INF" : "inf");
    } else if (type == '\0') {
        plain_real(text, d, precision);
    } else {
        snprintf(format, sizeof(format), "%%%s.*%c", spec->alternate ? "#" : "", type);
        snprintf(text, NUMBER_ROOM, format, precision, d);
    }
    return true;
}

bool format_real(struct template_run *r, double d, const struct format_spec *spec)
{
    char text[NUMBER_ROOM + 2];
    struct value shortest;
    size_t start = r->size;
    if (spec->type && !strchr("eEfFgGn%", spec->type))
        return unknown(r, "float", spec);
    if (spec->precision > PRECISION_MAX)
        return run_fail(r, "a precision over %d is not supported", PRECISION_MAX);
    bool negative = signbit(d) && !isnan(d);
    double size = fabs(spec->type == '%' ? d * 100 : d);
    if (!spec->type && !spec->has_precision) { /* as it is printed */
        if (!print_real(r, size, false) || !run_take(r, start, &shortest))
            return false;
        snprintf(text, sizeof(text), "%.*s", (int)shortest.text.size, shortest.text.at);
    } else {
        write_real(text, size, spec);
    }
    if (spec->type == '%')
        strcat(text, "%");
    size_t digits = strspn(text, "0123456789");
    if (spec->no_negative_zero && strspn(text, "0.") == strcspn(text, "e%"))
        negative = false;
    const struct number n = {.sign = sign_of(negative, spec),
        .prefix = "",
        .digits = text,
        .n_digits = digits,
        .rest = text + digits,
        .group = spec->group ? 3 : 0};
    return add_number(r, &n, spec);
}

/* ---- text ---- */

bool format_text(struct template_run *r, struct value text, const struct format_spec *spec)
{
    size_t n = count_characters(value_span(text));
    if (spec->type && spec->type != 's' && spec->type != 'c')
        return unknown(r, "str", spec);
    if (spec->has_precision && n > spec->precision) {
        text = value_part(text, 0, character_offset(value_span(text), spec->precision));
        n = spec->precision;
    }
    char align = spec->align ? spec->align : '<';
    size_t room = spec->width > n ? spec->width - n : 0, left = align == '>'   ? room
                                                                : align == '^' ? room / 2
                                                                               : 0;
    uint32_t with = spec->fill ? spec->fill : spec->zero ? '0' : ' ';
    return fill(r, with, left) && run_add_text(r, &text) && fill(r, with, room - left) &&
           run_step(r, text.text.size / 16);
}

/* ---- specifications ---- */

static bool read_size(struct template_run *r, struct span s, size_t *at, size_t *out, bool *has)
{
    *out = 0;
    for (; *at < s.size && s.at[*at] >= '0' && s.at[*at] <= '9'; ++*at) {
        *out = *out * 10 + (size_t)(s.at[*at] - '0');
        *has = true;
        if (*out > WIDTH_MAX)
            return run_fail(r, "a field is wider than %zu", WIDTH_MAX);
    }
    return true;
}

static bool is_align(struct span s, size_t at)
{
    return at < s.size && s.at[at] && strchr("<>=^", s.at[at]) != NULL;
}

static bool read_spec(struct template_run *r, struct span s, struct format_spec *spec)
{
    size_t at = 0, first = text_character(s);
    *spec = (struct format_spec){0};
    if (is_align(s, first)) {
        spec->fill = get_character(s, &first);
        at = first;
    }
    spec->align = is_align(s, at) ? (char)s.at[at++] : '\0';
    if (at < s.size && s.at[at] && strchr("+- ", s.at[at]))
        spec->sign = (char)s.at[at++];
    if (at < s.size && s.at[at] == 'z') {
        spec->no_negative_zero = true;
        at++;
    }
    if (at < s.size && s.at[at] == '#') {
        spec->alternate = true;
        at++;
    }
    if (at < s.size && s.at[at] == '0' && !spec->fill) {
        spec->zero = true;
        at++;
    }
    if (!read_size(r, s, &at, &spec->width, &spec->has_width))
        return false;
    if (at < s.size && (s.at[at] == ',' || s.at[at] == '_'))
        spec->group = (char)s.at[at++];
    if (at < s.size && s.at[at] == '.') {
        at++;
        if (!read_size(r, s, &at, &spec->precision, &spec->has_precision))
            return false;
        if (!spec->has_precision)
            return run_fail(r, "a format has '.' without a precision");
    }
    if (at < s.size)
        spec->type = (char)s.at[at++];
    return at == s.size ||
           run_fail(r, "the format '%.*s' is wrong", (int)(s.size < 40 ? s.size : 40), (const char *)s.at);
}

bool format_value(struct template_run *r, struct value v, struct value spec)
{
    struct format_spec f;
    if (spec.text.size == 0)
        return print_text(r, &v);
    if (v.kind != VALUE_STRING && !is_number(v))
        return run_fail(r, "'%s' has no format", kind_name(&v));
    if (!read_spec(r, value_span(spec), &f))
        return false;
    if (v.kind == VALUE_STRING) {
        if (f.sign || f.group || f.alternate || f.align == '=' || f.no_negative_zero ||
            (f.type && f.type != 's'))
            return run_fail(r, "this format is for numbers, not for '%s'", kind_name(&v));
        return format_text(r, v, &f);
    }
    bool real = v.kind == VALUE_FLOAT || (f.type && strchr("eEfFgG%", f.type));
    if (!real && (f.has_precision || f.no_negative_zero))
        return run_fail(r, "the format of an integer has no precision");
    if (!real && f.type == 'c' && (f.sign || f.alternate || f.group))
        return run_fail(r, "the format of a character has no sign");
    if (f.group && f.type == 'n')
        return run_fail(r, "no format has '%c' and 'n'", f.group);
    return real ? format_real(r, as_real(v), &f) : format_integer(r, as_integer(v), &f);
}
