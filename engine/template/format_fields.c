/* format_fields.c - fills the fields of a string: `%` and str.format. */
#include "template_private.h"

#include <math.h>
#include <string.h>

/* ---- % ---- */

struct percent {
    struct template_run *r;
    struct value with;
    size_t used; /* of the values, when they are a tuple */
};

static bool next_value(struct percent *p, struct value *out)
{
    bool tuple = p->with.kind == VALUE_LIST && p->with.list->tuple;
    size_t n = tuple ? p->with.list->n : 1;
    if (p->used >= n)
        return run_fail(p->r, "there are too few values for the format");
    *out = tuple ? p->with.list->items[p->used] : p->with;
    p->used++;
    return true;
}

/* A width or a precision: digits, or `*` for one of the values. A negative width aligns to the left. */
static bool next_size(struct percent *p, struct span s, size_t *at, size_t *out, bool *left)
{
    struct value v;
    *out = 0;
    if (*at < s.size && s.at[*at] == '*') {
        ++*at;
        if (!next_value(p, &v))
            return false;
        if (!whole(v) || as_integer(v) > 1 << 24 || as_integer(v) < -(1 << 24))
            return run_fail(p->r, "'*' wants an int that is not too large");
        *left = as_integer(v) < 0;
        *out = (size_t)(as_integer(v) < 0 ? -as_integer(v) : as_integer(v));
        return true;
    }
    for (; *at < s.size && s.at[*at] >= '0' && s.at[*at] <= '9'; ++*at)
        if ((*out = *out * 10 + (size_t)(s.at[*at] - '0')) > 1 << 24)
            return run_fail(p->r, "a field is too wide");
    return true;
}

static bool percent_number(struct percent *p, struct value v, struct format_spec *spec)
{
    struct template_run *r = p->r;
    if (v.kind == VALUE_UNDEFINED)
        return undefined_fail(r, &v);
    if (!is_number(v))
        return run_fail(r, "'%%%c' wants a number, not '%s'", spec->type, kind_name(&v));
    if (strchr("eEfFgG", spec->type))
        return format_real(r, as_real(v), spec);
    if (v.kind == VALUE_FLOAT && spec->type != 'd')
        return run_fail(r, "'%%%c' wants an int, not 'float'", spec->type);
    if (v.kind == VALUE_FLOAT && (!isfinite(v.real) || fabs(v.real) >= 9.2e18))
        return run_fail(r, "integers beyond 64 bits are not supported");
    if (spec->has_precision && spec->precision > 64)
        return run_fail(r, "a precision over 64 is not supported for integers");
    return format_integer(r, v.kind == VALUE_FLOAT ? (int64_t)v.real : as_integer(v), spec);
}

static bool percent_text(struct percent *p, struct value v, char type, struct format_spec *spec)
{
    struct template_run *r = p->r;
    struct value text;
    size_t start = r->size;
    if (type == 'c' && v.kind != VALUE_STRING) {
        char bytes[4];
        if (!whole(v) || as_integer(v) < 0 || as_integer(v) > 0x10ffff || (as_integer(v) >> 11) == 0x1b)
            return run_fail(r, "'%%c' wants a character");
        struct span one = {(const uint8_t *)bytes, put_character((uint32_t)as_integer(v), bytes)};
        if (!run_add(r, one, VALUE_FROM_TEMPLATE) || !run_take(r, start, &text))
            return false;
    } else if (type == 'c') {
        text = v;
        if (count_characters(value_span(v)) != 1)
            return run_fail(r, "'%%c' wants one character");
    } else {
        bool good = type == 's'   ? print_text(r, &v)
                    : type == 'r' ? print_quoted(r, &v, 0)
                                  : print_ascii(r, v);
        if (!good || !run_take(r, start, &text))
            return false;
    }
    if (type == 'c')
        spec->has_precision = false;
    spec->zero = false;
    spec->type = '\0';
    spec->align = spec->align ? spec->align : '>';
    return format_text(r, text, spec);
}

/* Finds the value of a field with a name, "(name)". */
static bool named_value(struct percent *p, struct span s, size_t *at, struct value *out)
{
    size_t depth = 1, start = ++*at;
    for (; *at < s.size && depth > 0; ++*at)
        depth += s.at[*at] == '(' ? 1 : s.at[*at] == ')' ? (size_t)-1 : 0;
    if (depth > 0 || p->with.kind != VALUE_MAP)
        return run_fail(p->r, "a format with names wants a dict and closed parentheses");
    const struct value *found = value_find(p->with, (struct span){s.at + start, *at - start - 1});
    if (!found)
        return run_fail(p->r, "a name of the format is not in the dict");
    *out = *found;
    return true;
}

static bool percent_field(struct percent *p, struct span s, size_t *at)
{
    struct format_spec spec = {0};
    struct value v = value_undefined;
    bool named = false, left = false;
    if (*at < s.size && s.at[*at] == '(') {
        if (!named_value(p, s, at, &v))
            return false;
        named = true;
    }
    for (; *at < s.size && s.at[*at] && strchr("-+ #0", s.at[*at]); ++*at) {
        char flag = (char)s.at[*at];
        spec.align = flag == '-' ? '<' : spec.align;
        spec.sign = flag == '+' || (flag == ' ' && spec.sign != '+') ? flag : spec.sign;
        spec.alternate = spec.alternate || flag == '#';
        spec.zero = spec.zero || flag == '0';
    }
    if (!next_size(p, s, at, &spec.width, &left))
        return false;
    spec.align = left ? '<' : spec.align;
    if (*at < s.size && s.at[*at] == '.') {
        ++*at;
        spec.has_precision = true;
        if (!next_size(p, s, at, &spec.precision, &left))
            return false;
        spec.precision = left ? 0 : spec.precision;
    }
    *at += *at < s.size && s.at[*at] && strchr("hlL", s.at[*at]);
    char type = *at < s.size ? (char)s.at[(*at)++] : '\0';
    if (type == '%')
        return run_add(p->r, span_of("%"), VALUE_FROM_TEMPLATE);
    if (!type || !strchr("diuoxXeEfFgGcrsa", type))
        return run_fail(p->r, "a format character is missing or not known");
    if (!named && !next_value(p, &v))
        return false;
    spec.type = type == 'i' || type == 'u' ? 'd' : type;
    if (strchr("crsa", type))
        return percent_text(p, v, type, &spec);
    spec.zero = spec.zero && spec.align != '<';
    return percent_number(p, v, &spec);
}

bool format_percent(struct template_run *r, struct value format, struct value with, struct value *out)
{
    struct percent p = {.r = r, .with = with};
    struct span s = value_span(format);
    size_t start = r->size;
    for (size_t at = 0; at < s.size;) {
        size_t next = find_bytes(s, span_of("%"), at);
        next = next == SIZE_MAX ? s.size : next;
        if (!run_add_part(r, &format, at, next) || !run_step(r, 1))
            return false;
        at = next + 1;
        if (next < s.size && !percent_field(&p, s, &at))
            return false;
    }
    bool tuple = with.kind == VALUE_LIST && with.list->tuple;
    bool any = (with.kind == VALUE_LIST && !tuple) || with.kind == VALUE_MAP ||
               with.kind == VALUE_UNDEFINED || is_object(with, object_range);
    if (!any && p.used < (tuple ? with.list->n : 1))
        return run_fail(r, "the format does not use all of the values");
    return run_take(r, start, out);
}

bool filter_format(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct value text, with = value_list(r->arena, args->n);
    if (args->n == 0 || !to_string(r, &args->at[0], &text))
        return run_fail(r, "format needs a text");
    if (args->n > 1 && args->named.n > 0)
        return run_fail(r, "format takes values by place or by name, not both");
    for (size_t i = 1; i < args->n; i++)
        list_put(r, &with, &args->at[i]);
    if (!run_step(r, 1))
        return false;
    with.list->tuple = true;
    if (args->named.n > 0)
        with = (struct value){.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)&args->named};
    return format_percent(r, text, with, out);
}

/* ---- str.format ---- */

struct braces {
    struct template_run *r;
    const struct arguments *args;
    size_t first; /* the argument that {0} is */
    size_t automatic; /* of {}, the next one */
    bool counted, manual; /* {} was there, {0} was there */
};

static bool write_braces(struct braces *b, struct value format, unsigned depth);

static bool all_digits(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
    return s.size > 0 && s.size < 10;
}

static size_t number_of(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.size; i++)
        n = n * 10 + (size_t)(s.at[i] - '0');
    return n;
}

static bool first_value(struct braces *b, struct span name, struct value *out)
{
    bool digits = all_digits(name);
    if (digits || name.size == 0) {
        b->counted = b->counted || !digits;
        b->manual = b->manual || digits;
        if (b->counted && b->manual)
            return run_fail(b->r, "a format numbers its fields by itself or not at all");
        size_t n = b->first + (digits ? number_of(name) : b->automatic++);
        if (n >= b->args->n)
            return run_fail(b->r, "there are too few values for the format");
        *out = b->args->at[n];
        return true;
    }
    const struct value map = {.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)&b->args->named};
    const struct value *found = value_find(map, name);
    if (!found)
        return run_fail(b->r, "a name of the format is not given");
    *out = *found;
    return true;
}

/* name, then .name and [key] as often as they are there. */
static bool field_value(struct braces *b, struct value field, struct value *out)
{
    struct span s = value_span(field);
    size_t at = 0;
    while (at < s.size && s.at[at] != '.' && s.at[at] != '[')
        at++;
    if (!first_value(b, (struct span){s.at, at}, out))
        return false;
    while (at < s.size) {
        bool attribute = s.at[at] == '.', item = s.at[at] == '[';
        size_t start = ++at;
        while (at < s.size && (item ? s.at[at] != ']' : s.at[at] != '.' && s.at[at] != '['))
            at++;
        if ((!attribute && !item) || at == start || (item && at == s.size))
            return run_fail(b->r, "a field of the format is wrong");
        struct value name = value_part(field, start, at);
        struct value key =
            all_digits(value_span(name)) ? value_integer((int64_t)number_of(value_span(name))) : name;
        if (attribute ? !get_attribute(b->r, *out, name, out) : !get_item(b->r, *out, key, out))
            return false;
        at += item;
    }
    return true;
}

/* Writes the field that begins behind a brace, and leaves *at behind its end. */
static bool brace_field(struct braces *b, struct value format, size_t *at, unsigned depth)
{
    struct template_run *r = b->r;
    struct span s = value_span(format);
    size_t start = *at, end = start, level = 1;
    bool bracket = false;
    for (; end < s.size; end++) {
        if (s.at[end] == '{')
            return run_fail(r, "a field of the format has a '{' in its name");
        bracket = s.at[end] == '[' || (bracket && s.at[end] != ']');
        if (!bracket && (s.at[end] == '}' || s.at[end] == ':' || s.at[end] == '!'))
            break;
    }
    struct value field = value_part(format, start, end), v, spec = value_literal("");
    char how = '\0';
    size_t next = end;
    if (next + 1 < s.size && s.at[next] == '!') {
        how = (char)s.at[next + 1];
        next += 2;
    }
    size_t spec_start = next + 1, spec_end = spec_start;
    if (next < s.size && s.at[next] == ':') {
        while (spec_end < s.size && (level += s.at[spec_end] == '{'   ? 1
                                              : s.at[spec_end] == '}' ? (size_t)-1
                                                                      : 0) > 0)
            spec_end++;
        next = spec_end;
    }
    if (next >= s.size || s.at[next] != '}' || (how && !strchr("sra", how)))
        return run_fail(r, "a field of the format is wrong or has no end");
    *at = next + 1;
    size_t mark = r->size;
    if (!field_value(b, field, &v))
        return false;
    if (how && !((how == 's'      ? print_text(r, &v)
                     : how == 'r' ? print_quoted(r, &v, 0)
                                  : print_ascii(r, v)) &&
                   run_take(r, mark, &v)))
        return false;
    if (spec_end > spec_start &&
        (!write_braces(b, value_part(format, spec_start, spec_end), depth + 1) || !run_take(r, mark, &spec)))
        return false;
    return format_value(r, v, spec);
}

static bool write_braces(struct braces *b, struct value format, unsigned depth)
{
    struct span s = value_span(format);
    if (depth > 1)
        return run_fail(b->r, "the fields of a format are nested too deep");
    for (size_t at = 0; at < s.size;) {
        size_t next = at;
        while (next < s.size && s.at[next] != '{' && s.at[next] != '}')
            next++;
        if (!run_add_part(b->r, &format, at, next) || !run_step(b->r, 1))
            return false;
        at = next + 1;
        if (next == s.size)
            break;
        bool twice = at < s.size && s.at[at] == s.at[next];
        if (!twice && (s.at[next] == '}' || at == s.size))
            return run_fail(b->r, "a single '%c' stands in the format", s.at[next]);
        if (twice ? !run_add_part(b->r, &format, next, at) : !brace_field(b, format, &at, depth))
            return false;
        at += twice;
    }
    return true;
}

bool format_braces(struct template_run *r, struct value format, const struct arguments *args, size_t first,
    struct value *out)
{
    struct braces b = {.r = r, .args = args, .first = first};
    size_t start = r->size;
    return write_braces(&b, format, 0) && run_take(r, start, out);
}
