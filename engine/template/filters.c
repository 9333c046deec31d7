/* filters.c - the filters, a row each: name, parameters, function.
 *
 * A filter without a row fails where a template reaches it.
 */
#include "template_private.h"

static bool filter_trim(struct template_run *r, const struct value *at, struct value *out)
{
    struct value s;
    if (!to_string(r, &at[0], &s))
        return false;
    bool characters = given(at[1]);
    if (characters && at[1].kind != VALUE_STRING)
        return run_fail(r, "trim takes characters to strip, not '%s'", kind_name(&at[1]));
    *out = strip(&s, characters ? &at[1] : NULL, true, true);
    return run_step(r, s.text.size / 16);
}

static bool filter_length(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t n;
    if (!value_length(r, &at[0], &n))
        return false;
    *out = value_integer(n);
    return true;
}

static bool cased(struct template_run *r, struct value v, enum letter_case to, struct value *out)
{
    struct value s;
    return to_string(r, &v, &s) && change_case(r, &s, to, out);
}

static bool filter_upper(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_UPPER, out);
}

static bool filter_lower(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_LOWER, out);
}

static bool filter_capitalize(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_CAPITAL, out);
}

static bool filter_title(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_TITLE, out);
}

static bool filter_string(struct template_run *r, const struct value *at, struct value *out)
{
    return to_string(r, &at[0], out);
}

static bool filter_default(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    bool falls_back = at[0].kind == VALUE_UNDEFINED || (truth(&at[2]) && !truth(&at[0]));
    *out = !falls_back ? at[0] : at[1].kind != VALUE_UNDEFINED ? at[1] : value_literal("");
    return true;
}

static bool filter_tojson(struct template_run *r, const struct value *at, struct value *out)
{
    struct json_style style = {
        .ascii = truth(&at[1]), .indent = at[2], .separators = at[3], .sorted = truth(&at[4])};
    size_t start = r->size;
    return print_json(r, at[0], &style) && run_take(r, start, out);
}

static bool filter_first(struct template_run *r, const struct value *at, struct value *out)
{
    struct iterator it;
    bool more;
    if (!iterator_open(r, &at[0], &it) || !iterator_next(r, &it, out, &more))
        return false;
    *out = more ? *out : value_undefined;
    return true;
}

static bool filter_last(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (is_object(at[0], object_generator))
        return run_fail(r, "last needs a list, not '%s'", kind_name(&at[0]));
    if (!iterate(r, &at[0], &list))
        return false;
    *out = list.list->n > 0 ? list.list->items[list.list->n - 1] : value_undefined;
    return true;
}

static bool filter_list(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, copy;
    if (!iterate(r, &at[0], &list))
        return false;
    copy = value_list(r->arena, list.list->n);
    for (size_t i = 0; i < list.list->n; i++)
        list_put(r, &copy, &list.list->items[i]);
    *out = copy;
    return run_step(r, 1 + list.list->n / 8);
}

static bool filter_replace(struct template_run *r, const struct value *at, struct value *out)
{
    struct value parts[3];
    int64_t count = -1;
    for (size_t i = 0; i < 3; i++)
        if (!to_string(r, &at[i], &parts[i]))
            return false;
    if (given(at[3]) && !wants_count(r, &at[3], -1, &count))
        return false;
    if (r->safe && (parts[1].text.markup || (parts[2].text.markup && !parts[0].text.markup)))
        parts[0] = escape_text(r, &parts[0]);
    for (size_t i = 1; i < 3 && parts[0].text.markup; i++)
        if ((parts[i] = escape_text(r, &parts[i])).kind != VALUE_STRING)
            return false;
    if (!replace_text(r, parts[0], parts[1], parts[2], count, out))
        return false;
    out->text.markup = r->safe && parts[0].text.markup;
    return true;
}

/* An attribute as Python has it, never an item. */
static bool filter_attr(struct template_run *r, const struct value *at, struct value *out)
{
    struct value name = at[1];
    if (name.kind != VALUE_STRING)
        return run_fail(r, "the name of an attribute is '%s', not 'str'", kind_name(&name));
    if (at[0].kind == VALUE_MAP) { /* one without items has the attributes alone */
        struct value empty = value_map(r->arena, 0);
        if (!run_step(r, 1) || !get_attribute(r, empty, name, out))
            return false;
        return out->kind == VALUE_UNDEFINED || get_attribute(r, at[0], name, out);
    }
    return get_attribute(r, at[0], name, out);
}

static bool filter_random(struct template_run *r, const struct value *at, struct value *out)
{
    (void)at, (void)out;
    return run_fail(r, "random is not supported: a prompt is the same each time");
}

bool pair_of(struct template_run *r, const struct value *a, const struct value *b, struct value *out)
{
    struct value pair = value_list(r->arena, 2);
    list_put(r, &pair, a);
    list_put(r, &pair, b);
    if (!run_step(r, 1))
        return false;
    pair.list->tuple = true;
    *out = pair;
    return true;
}

bool pairs_of(struct template_run *r, struct value map, struct value *out)
{
    struct value list = value_list(r->arena, map.map->n), pair;
    for (size_t i = 0; i < map.map->n; i++)
        if (!pair_of(r, &map.map->pairs[i].key, &map.map->pairs[i].value, &pair) ||
            !list_put(r, &list, &pair))
            return false;
    *out = list;
    return run_step(r, 1);
}

static bool filter_sum(struct template_run *r, const struct value *at, struct value *out)
{
    struct iterator it;
    struct value item, sum = at[2].kind == VALUE_UNDEFINED ? value_integer(0) : at[2];
    if (!iterator_open(r, &at[0], &it))
        return false;
    if (sum.kind == VALUE_STRING)
        return run_fail(r, "sum does not join strings");
    for (bool more = true; more;) {
        if (!iterator_next(r, &it, &item, &more) || (more && !get_path(r, item, path_of(at[1]), &item)))
            return false;
        if (more && !operate(r, OP_ADD, sum, item, &sum))
            return false;
    }
    *out = sum;
    return true;
}

static const struct builtin filters[] = {
    {"abs", "x", {.run = filter_abs}},
    {"attr", "obj name", {.run = filter_attr}},
    {"batch", "value linecount fill_with?", {.run = filter_batch}},
    {"capitalize", "s", {.run = filter_capitalize}},
    {"center", "value width?", {.run = filter_center}},
    {"count", "obj", {.run = filter_length}},
    {"d", "value default_value? boolean?", {.run = filter_default}},
    {"default", "value default_value? boolean?", {.run = filter_default}},
    {"dictsort", "value case_sensitive? by? reverse?", {.run = filter_dictsort}},
    {"e", "s", {.run = filter_escape}},
    {"escape", "s", {.run = filter_escape}},
    {"filesizeformat", "value binary?", {.run = filter_filesizeformat}},
    {"first", "seq", {.run = filter_first}},
    {"float", "value default?", {.run = filter_float}},
    {"forceescape", "value", {.run = filter_forceescape}},
    {"format", NULL, {.run_any = filter_format}},
    {"groupby", "value attribute default? case_sensitive?", {.run = filter_groupby}},
    {"indent", "s width? first? blank?", {.run = filter_indent}},
    {"int", "value default? base?", {.run = filter_int}},
    {"items", "value", {.run = filter_items}},
    {"join", "value d? attribute?", {.run = filter_join}},
    {"last", "seq", {.run = filter_last}},
    {"length", "obj", {.run = filter_length}},
    {"list", "value", {.run = filter_list}},
    {"lower", "s", {.run = filter_lower}},
    {"map", NULL, {.run_any = filter_map}},
    {"max", "value case_sensitive? attribute?", {.run = filter_max}},
    {"min", "value case_sensitive? attribute?", {.run = filter_min}},
    {"pprint", "value", {.run = filter_pprint}},
    {"random", "seq", {.run = filter_random}},
    {"reject", NULL, {.run_any = filter_reject}},
    {"rejectattr", NULL, {.run_any = filter_rejectattr}},
    {"replace", "s old new count?", {.run = filter_replace}},
    {"reverse", "value", {.run = filter_reverse}},
    {"round", "value precision? method?", {.run = filter_round}},
    {"safe", "value", {.run = filter_safe}},
    {"select", NULL, {.run_any = filter_select}},
    {"selectattr", NULL, {.run_any = filter_selectattr}},
    {"slice", "value slices fill_with?", {.run = filter_slice}},
    {"sort", "value reverse? case_sensitive? attribute?", {.run = filter_sort}},
    {"string", "object", {.run = filter_string}},
    {"striptags", "value", {.run = filter_striptags}},
    {"sum", "iterable attribute? start?", {.run = filter_sum}},
    {"title", "s", {.run = filter_title}},
    {"tojson", "x ensure_ascii? indent? separators? sort_keys?", {.run = filter_tojson}},
    {"trim", "value chars?", {.run = filter_trim}},
    {"truncate", "s length? killwords? end? leeway?", {.run = filter_truncate}},
    {"unique", "value case_sensitive? attribute?", {.run = filter_unique}},
    {"upper", "s", {.run = filter_upper}},
    {"urlencode", "value", {.run = filter_urlencode}},
    {"urlize", "value trim_url_limit? nofollow? target? rel? extra_schemes?", {.run = filter_urlize}},
    {"wordcount", "s", {.run = filter_wordcount}},
    {"wordwrap", "s width? break_long_words? wrapstring? break_on_hyphens?", {.run = filter_wordwrap}},
    {"xmlattr", "d autospace?", {.run = filter_xmlattr}},
};

const struct builtin *filter_find(struct span name)
{
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        if (span_is(name, filters[i].name))
            return &filters[i];
    return NULL;
}
