/* methods_str.c - the methods of Python's strings, a row each. */
#include "template_private.h"

#include "berth/base/character.h"

#include <string.h>

bool wants_text(struct template_run *r, const struct value *v)
{
    return v->kind == VALUE_STRING || run_fail(r, "a str is needed here, not '%s'", kind_name(v));
}

bool wants_count(struct template_run *r, const struct value *v, int64_t otherwise, int64_t *out)
{
    *out = v->kind == VALUE_UNDEFINED ? otherwise : whole(*v) ? as_integer(*v) : 0;
    return v->kind == VALUE_UNDEFINED || whole(*v) ||
           run_fail(r, "an int is needed here, not '%s'", kind_name(v));
}

static bool strip_with(
    struct template_run *r, const struct value *at, bool left, bool right, struct value *out)
{
    if (given(at[1]) && !wants_text(r, &at[1]))
        return false;
    *out = strip(&at[0], given(at[1]) ? &at[1] : NULL, left, right);
    return run_step(r, at[0].text.size / 16);
}

static bool str_strip(struct template_run *r, const struct value *at, struct value *out)
{
    return strip_with(r, at, true, true, out);
}

static bool str_lstrip(struct template_run *r, const struct value *at, struct value *out)
{
    return strip_with(r, at, true, false, out);
}

static bool str_rstrip(struct template_run *r, const struct value *at, struct value *out)
{
    return strip_with(r, at, false, true, out);
}

static bool str_upper(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, &at[0], CASE_UPPER, out);
}

static bool str_lower(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, &at[0], CASE_LOWER, out);
}

static bool str_title(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, &at[0], CASE_WORDS, out);
}

static bool str_capitalize(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, &at[0], CASE_CAPITAL, out);
}

static bool str_replace(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t count;
    return wants_text(r, &at[1]) && wants_text(r, &at[2]) && wants_count(r, &at[3], -1, &count) &&
           replace_text(r, at[0], at[1], at[2], count, out);
}

/* The part of at[0] between the characters at[2] and at[3], and how many characters stand before it. *inside is false
 * when the part begins behind its end, where nothing is found, not even nothing. */
static bool part_of(
    struct template_run *r, const struct value *at, struct value *out, size_t *skipped, bool *inside)
{
    *out = at[0];
    *skipped = 0;
    *inside = true;
    if (!given(at[2]) && !given(at[3]))
        return true;
    int64_t n = (int64_t)count_characters(value_span(at[0])), ends[2] = {0, n};
    for (size_t i = 0; i < 2; i++) {
        if (given(at[2 + i]) && !wants_count(r, &at[2 + i], 0, &ends[i]))
            return false;
        ends[i] = ends[i] < 0 ? ends[i] + n : ends[i];
        ends[i] = ends[i] < 0 ? 0 : ends[i];
    }
    ends[1] = ends[1] > n ? n : ends[1];
    *inside = ends[0] <= ends[1];
    if (*inside) {
        *out = value_part(at[0], character_offset(value_span(at[0]), (size_t)ends[0]),
            character_offset(value_span(at[0]), (size_t)ends[1]));
        *skipped = (size_t)ends[0];
    }
    return run_step(r, at[0].text.size / 16);
}

static bool starts(struct value s, struct value with)
{
    return with.text.size <= s.text.size &&
           (with.text.size == 0 || memcmp(s.text.at, with.text.at, with.text.size) == 0);
}

static bool ends(struct value s, struct value with)
{
    return with.text.size <= s.text.size &&
           starts(value_part(s, s.text.size - with.text.size, s.text.size), with);
}

/* startswith and endswith take one string or a tuple of them. */
static bool match_any(struct template_run *r, const struct value *at,
    bool (*match)(struct value s, struct value with), struct value *out)
{
    bool many = at[1].kind == VALUE_LIST && at[1].list->tuple, found = false;
    size_t n = many ? at[1].list->n : 1, skipped;
    struct value s;
    bool inside;
    if (!part_of(r, at, &s, &skipped, &inside))
        return false;
    for (size_t i = 0; i < n && !found; i++) {
        struct value with = many ? at[1].list->items[i] : at[1];
        if (!wants_text(r, &with) || !run_step(r, 1))
            return false;
        found = inside && match(s, with);
    }
    *out = value_bool(found);
    return true;
}

static bool str_startswith(struct template_run *r, const struct value *at, struct value *out)
{
    return match_any(r, at, starts, out);
}

static bool str_endswith(struct template_run *r, const struct value *at, struct value *out)
{
    return match_any(r, at, ends, out);
}

static bool str_removeprefix(struct template_run *r, const struct value *at, struct value *out)
{
    if (!wants_text(r, &at[1]))
        return false;
    *out = value_part(at[0], starts(at[0], at[1]) ? at[1].text.size : 0, at[0].text.size);
    return true;
}

static bool str_removesuffix(struct template_run *r, const struct value *at, struct value *out)
{
    if (!wants_text(r, &at[1]))
        return false;
    *out = value_part(at[0], 0, at[0].text.size - (ends(at[0], at[1]) ? at[1].text.size : 0));
    return true;
}

/* ---- cutting ---- */

static bool split_space(struct template_run *r, struct value s, int64_t most, struct value list)
{
    s = strip(&s, NULL, true, false);
    for (; s.text.size > 0 && most != 0; most--) {
        size_t end = 0, size;
        while (end < s.text.size &&
               space_at((struct span){(const uint8_t *)s.text.at + end, s.text.size - end}) == 0) {
            get_character((struct span){(const uint8_t *)s.text.at + end, s.text.size - end}, &size);
            end += size;
        }
        list_put_part(r, &list, &s, 0, end);
        s = value_part(s, end, s.text.size);
        s = strip(&s, NULL, true, false);
        if (!run_step(r, 1 + end / 16))
            return false;
    }
    return s.text.size == 0 || list_put(r, &list, &s);
}

static bool split_at(struct template_run *r, struct value s, struct value by, int64_t most, struct value list)
{
    size_t at = 0;
    if (by.text.size == 0)
        return run_fail(r, "the separator of a split is empty");
    for (; most != 0; most--) {
        size_t found = find_bytes(value_span(s), value_span(by), at);
        if (found == SIZE_MAX)
            break;
        list_put_part(r, &list, &s, at, found);
        at = found + by.text.size;
        if (!run_step(r, 1))
            return false;
    }
    return list_put_part(r, &list, &s, at, s.text.size);
}

static bool str_split(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t most;
    struct value list = value_list(r->arena, 0);
    if ((given(at[1]) && !wants_text(r, &at[1])) || !wants_count(r, &at[2], -1, &most))
        return false;
    bool good = given(at[1]) ? split_at(r, at[0], at[1], most, list) : split_space(r, at[0], most, list);
    *out = list;
    return good && run_step(r, 1);
}

/* From the right, at white space, at most so many times. */
static bool rsplit_space(struct template_run *r, struct value s, int64_t most, struct value parts)
{
    s = strip(&s, NULL, false, true);
    for (; s.text.size > 0 && most != 0; most--) {
        size_t start = s.text.size;
        while (start > 0 && space_before((struct span){(const uint8_t *)s.text.at, start}) == 0)
            start--;
        list_put_part(r, &parts, &s, start, s.text.size);
        s = value_part(s, 0, start);
        s = strip(&s, NULL, false, true);
        if (!run_step(r, 1))
            return false;
    }
    return s.text.size == 0 || list_put(r, &parts, &s);
}

static bool rsplit_at(
    struct template_run *r, struct value s, struct value by, int64_t most, struct value parts)
{
    if (by.text.size == 0)
        return run_fail(r, "the separator of a split is empty");
    for (; most != 0; most--) {
        size_t found = find_last(value_span(s), value_span(by));
        if (found == SIZE_MAX)
            break;
        list_put_part(r, &parts, &s, found + by.text.size, s.text.size);
        s = value_part(s, 0, found);
        if (!run_step(r, 1))
            return false;
    }
    return list_put(r, &parts, &s);
}

static bool str_rsplit(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t most;
    struct value parts = value_list(r->arena, 0), list = value_list(r->arena, 0);
    if ((given(at[1]) && !wants_text(r, &at[1])) || !wants_count(r, &at[2], -1, &most))
        return false;
    if (!(given(at[1]) ? rsplit_at(r, at[0], at[1], most, parts) : rsplit_space(r, at[0], most, parts)) ||
        !run_step(r, 1 + at[0].text.size / 16))
        return false;
    for (size_t i = parts.list->n; i > 0; i--)
        list_put(r, &list, &parts.list->items[i - 1]);
    *out = list;
    return run_step(r, 1);
}

/* partition and rpartition: what stands before a separator, it, and what stands behind it. */
static bool cut(struct template_run *r, const struct value *at, bool last, struct value *out)
{
    struct value s = at[0], list = value_list(r->arena, 3);
    if (!wants_text(r, &at[1]) || (at[1].text.size == 0 && !run_fail(r, "the separator is empty")))
        return false;
    size_t found =
        last ? find_last(value_span(s), value_span(at[1])) : find_bytes(value_span(s), value_span(at[1]), 0);
    bool there = found != SIZE_MAX;
    size_t end = there ? found + at[1].text.size : 0;
    /* What is not there leaves the whole on one side, and nothing in the middle. */
    size_t first = there ? found : last ? 0 : s.text.size, second = there ? end : first;
    list_put_part(r, &list, &s, 0, first);
    list_put_part(r, &list, &s, first, second);
    list_put_part(r, &list, &s, second, s.text.size);
    if (!run_step(r, 1 + s.text.size / 16))
        return false;
    list.list->tuple = true;
    *out = list;
    return true;
}

static bool str_partition(struct template_run *r, const struct value *at, struct value *out)
{
    return cut(r, at, false, out);
}

static bool str_rpartition(struct template_run *r, const struct value *at, struct value *out)
{
    return cut(r, at, true, out);
}

static bool str_splitlines(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list = value_list(r->arena, 0);
    for (size_t from = 0, next; from < at[0].text.size; from = next) {
        size_t end = line_end(at[0], from, &next);
        list_put_part(r, &list, &at[0], from, truth(&at[1]) ? next : end);
        if (!run_step(r, 1 + (next - from) / 16))
            return false;
    }
    *out = list;
    return run_step(r, 1);
}

static bool str_join(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (!iterate(r, &at[1], &list))
        return false;
    for (size_t i = 0; i < list.list->n; i++)
        if (!wants_text(r, &list.list->items[i]))
            return false;
    return join_texts(r, &list, &at[0], out);
}

/* ---- asking ---- */

static bool locate(struct template_run *r, const struct value *at, bool last, bool needed, struct value *out)
{
    struct value s;
    size_t skipped;
    bool inside;
    if (!wants_text(r, &at[1]) || !part_of(r, at, &s, &skipped, &inside))
        return false;
    size_t found = !inside ? SIZE_MAX
                   : last  ? find_last(value_span(s), value_span(at[1]))
                           : find_bytes(value_span(s), value_span(at[1]), 0);
    *out = value_integer(-1);
    if (found != SIZE_MAX)
        *out = value_integer(
            (int64_t)(skipped + count_characters((struct span){(const uint8_t *)s.text.at, found})));
    else if (needed)
        return run_fail(r, "the text that 'index' looks for is not there");
    return run_step(r, at[0].text.size / 16);
}

static bool str_find(struct template_run *r, const struct value *at, struct value *out)
{
    return locate(r, at, false, false, out);
}

static bool str_rfind(struct template_run *r, const struct value *at, struct value *out)
{
    return locate(r, at, true, false, out);
}

static bool str_index(struct template_run *r, const struct value *at, struct value *out)
{
    return locate(r, at, false, true, out);
}

static bool str_rindex(struct template_run *r, const struct value *at, struct value *out)
{
    return locate(r, at, true, true, out);
}

static bool str_count(struct template_run *r, const struct value *at, struct value *out)
{
    struct value s;
    size_t skipped;
    bool inside;
    int64_t n = 0;
    if (!wants_text(r, &at[1]) || !part_of(r, at, &s, &skipped, &inside))
        return false;
    if (inside && at[1].text.size == 0)
        n = (int64_t)count_characters(value_span(s)) + 1;
    else if (inside)
        for (size_t i = 0; (i = find_bytes(value_span(s), value_span(at[1]), i)) != SIZE_MAX;
             i += at[1].text.size)
            n++;
    *out = value_integer(n);
    return run_step(r, at[0].text.size / 16);
}

static bool str_isdigit(struct template_run *r, const struct value *at, struct value *out)
{
    return all_characters(r, at[0], CHARACTER_DIGIT, out);
}

static bool str_isdecimal(struct template_run *r, const struct value *at, struct value *out)
{
    return all_characters(r, at[0], CHARACTER_DECIMAL, out);
}

static bool str_isnumeric(struct template_run *r, const struct value *at, struct value *out)
{
    return all_characters(r, at[0], CHARACTER_NUMERIC, out);
}

static bool str_isalpha(struct template_run *r, const struct value *at, struct value *out)
{
    return all_characters(r, at[0], CHARACTER_ALPHA, out);
}

static bool str_isalnum(struct template_run *r, const struct value *at, struct value *out)
{
    return all_characters(r, at[0], CHARACTER_ALPHA | CHARACTER_NUMERIC, out);
}

static bool str_isprintable(struct template_run *r, const struct value *at, struct value *out)
{
    if (!all_characters(r, at[0], CHARACTER_PRINTABLE, out))
        return false;
    *out = value_bool(at[0].text.size == 0 || truth(out));
    return true;
}

static bool str_isascii(struct template_run *r, const struct value *at, struct value *out)
{
    *out = value_bool(is_ascii(value_span(at[0])));
    return run_step(r, at[0].text.size / 16);
}

static bool str_islower(struct template_run *r, const struct value *at, struct value *out)
{
    return all_cased(r, at[0], CHARACTER_IS_LOWER, out);
}

static bool str_isupper(struct template_run *r, const struct value *at, struct value *out)
{
    return all_cased(r, at[0], CHARACTER_IS_UPPER, out);
}

static bool str_istitle(struct template_run *r, const struct value *at, struct value *out)
{
    return is_title(r, at[0], out);
}

static bool str_isspace(struct template_run *r, const struct value *at, struct value *out)
{
    *out = value_bool(at[0].text.size > 0 && strip(&at[0], NULL, true, false).text.size == 0);
    return run_step(r, at[0].text.size / 16);
}

/* ---- filling up ---- */

/* Writes at[0] in a field of at[1] characters; `side`: the text stands left, in the middle or right. */
static bool justify(struct template_run *r, const struct value *at, char side, struct value *out)
{
    int64_t width, n = (int64_t)count_characters(value_span(at[0]));
    struct value fill = at[2].kind == VALUE_UNDEFINED ? value_literal(" ") : at[2];
    size_t start = r->size;
    if (at[1].kind == VALUE_UNDEFINED || !wants_count(r, &at[1], 0, &width) || !wants_text(r, &fill))
        return run_fail(r, "a width is needed");
    if (count_characters(value_span(fill)) != 1)
        return run_fail(r, "one character fills a field, not several");
    int64_t room = width > n ? width - n : 0, left = room / 2 + (room & width & 1);
    left = side == '<' ? 0 : side == '>' ? room : left;
    return pad_text(r, &at[0], (size_t)left, (size_t)(room - left), &fill) && run_take(r, start, out);
}

static bool str_center(struct template_run *r, const struct value *at, struct value *out)
{
    return justify(r, at, '^', out);
}

static bool str_ljust(struct template_run *r, const struct value *at, struct value *out)
{
    return justify(r, at, '<', out);
}

static bool str_rjust(struct template_run *r, const struct value *at, struct value *out)
{
    return justify(r, at, '>', out);
}

static bool str_zfill(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t width, n = (int64_t)count_characters(value_span(at[0]));
    size_t start = r->size,
           sign = at[0].text.size > 0 && (at[0].text.at[0] == '+' || at[0].text.at[0] == '-');
    if (!wants_count(r, &at[1], 0, &width))
        return false;
    const struct value zero = value_literal("0"), digits = value_part(at[0], sign, at[0].text.size);
    return run_add_part(r, &at[0], 0, sign) &&
           pad_text(r, &digits, width > n ? (size_t)(width - n) : 0, 0, &zero) && run_take(r, start, out);
}

static bool str_expandtabs(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t tab, column = 0;
    size_t start = r->size;
    if (!wants_count(r, &at[1], 8, &tab))
        return false;
    for (size_t i = 0, size; i < at[0].text.size; i += size) {
        uint32_t c =
            get_character((struct span){(const uint8_t *)at[0].text.at + i, at[0].text.size - i}, &size);
        int64_t spaces = c == '\t' && tab > 0 ? tab - column % tab : 0;
        struct value part = value_part(at[0], i, c == '\t' ? i : i + size);
        if (!pad_text(r, &part, (size_t)spaces, 0, NULL) || !run_step(r, 1))
            return false;
        column = c == '\n' || c == '\r' ? 0 : column + (c == '\t' ? spaces : 1);
    }
    return run_take(r, start, out);
}

/* ---- changing ---- */

static bool str_casefold(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, &at[0], CASE_FOLD, out);
}

static bool str_swapcase(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, &at[0], CASE_SWAP, out);
}

/* By a dict of code points: to a code point, a text, or none, which leaves the character out. */
static bool str_translate(struct template_run *r, const struct value *at, struct value *out)
{
    size_t start = r->size;
    if (at[1].kind != VALUE_MAP)
        return run_fail(r, "translate takes a dict here, not '%s'", kind_name(&at[1]));
    for (size_t i = 0, size; i < at[0].text.size; i += size) {
        uint32_t c =
            get_character((struct span){(const uint8_t *)at[0].text.at + i, at[0].text.size - i}, &size);
        struct value part = value_part(at[0], i, i + size), *to;
        const struct value code = value_integer(c);
        char bytes[4];
        if (!map_find(r, &at[1], &code, &to))
            return false;
        if (to && to->kind == VALUE_INTEGER) {
            if (to->integer < 0 || to->integer > 0x10ffff || (to->integer >= 0xd800 && to->integer < 0xe000))
                return run_fail(r, "translate gives no character");
            part = value_string(r->arena,
                (struct span){(const uint8_t *)bytes, put_character((uint32_t)to->integer, bytes)},
                value_origin_at(&part.text, 0));
        } else if (to) {
            part = to->kind == VALUE_NULL ? value_literal("") : *to;
        }
        if (!run_step(r, 1) || !wants_text(r, &part) || !run_add_text(r, &part))
            return false;
    }
    return run_take(r, start, out);
}

static bool str_format(struct template_run *r, const struct arguments *args, struct value *out)
{
    return format_braces(r, args->at[0], args, 1, out);
}

static bool str_format_map(struct template_run *r, const struct value *at, struct value *out)
{
    struct arguments args;
    arguments_init(&args);
    if (at[1].kind != VALUE_MAP)
        return run_fail(r, "format_map takes a dict, not '%s'", kind_name(&at[1]));
    args.named = *at[1].map;
    return format_braces(r, at[0], &args, 0, out);
}

const struct builtin str_methods[] = {
    {"strip", "1 2?", {.run = str_strip}},
    {"lstrip", "1 2?", {.run = str_lstrip}},
    {"rstrip", "1 2?", {.run = str_rstrip}},
    {"split", "1 sep? maxsplit?", {.run = str_split}},
    {"rsplit", "1 sep? maxsplit?", {.run = str_rsplit}},
    {"splitlines", "1 keepends?", {.run = str_splitlines}},
    {"partition", "1 2", {.run = str_partition}},
    {"rpartition", "1 2", {.run = str_rpartition}},
    {"startswith", "1 2 3? 4?", {.run = str_startswith}},
    {"endswith", "1 2 3? 4?", {.run = str_endswith}},
    {"removeprefix", "1 2", {.run = str_removeprefix}},
    {"removesuffix", "1 2", {.run = str_removesuffix}},
    {"replace", "1 2 3 count?", {.run = str_replace}},
    {"upper", "1", {.run = str_upper}},
    {"lower", "1", {.run = str_lower}},
    {"title", "1", {.run = str_title}},
    {"capitalize", "1", {.run = str_capitalize}},
    {"casefold", "1", {.run = str_casefold}},
    {"swapcase", "1", {.run = str_swapcase}},
    {"join", "1 2", {.run = str_join}},
    {"find", "1 2 3? 4?", {.run = str_find}},
    {"rfind", "1 2 3? 4?", {.run = str_rfind}},
    {"index", "1 2 3? 4?", {.run = str_index}},
    {"rindex", "1 2 3? 4?", {.run = str_rindex}},
    {"count", "1 2 3? 4?", {.run = str_count}},
    {"isdigit", "1", {.run = str_isdigit}},
    {"isdecimal", "1", {.run = str_isdecimal}},
    {"isnumeric", "1", {.run = str_isnumeric}},
    {"isalpha", "1", {.run = str_isalpha}},
    {"isalnum", "1", {.run = str_isalnum}},
    {"isprintable", "1", {.run = str_isprintable}},
    {"isascii", "1", {.run = str_isascii}},
    {"islower", "1", {.run = str_islower}},
    {"isupper", "1", {.run = str_isupper}},
    {"istitle", "1", {.run = str_istitle}},
    {"isspace", "1", {.run = str_isspace}},
    {"center", "1 2 3?", {.run = str_center}},
    {"ljust", "1 2 3?", {.run = str_ljust}},
    {"rjust", "1 2 3?", {.run = str_rjust}},
    {"zfill", "1 2", {.run = str_zfill}},
    {"expandtabs", "1 tabsize?", {.run = str_expandtabs}},
    {"translate", "1 2", {.run = str_translate}},
    {"format", NULL, {.run_any = str_format}},
    {"format_map", "1 2", {.run = str_format_map}},
    {.name = NULL},
};
