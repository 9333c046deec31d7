/* html.c - the filters of HTML. A string that is markup is HTML as it is; other strings are escaped beside it. */
#include "template_private.h"

#include <ctype.h>
#include <string.h>

static const struct {
    char character;
    const char *text;
} escapes[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&#34;"}, {'\'', "&#39;"}};

#define N_ESCAPES (sizeof(escapes) / sizeof(escapes[0]))

static const char *escape_of(char c)
{
    for (size_t i = 0; i < N_ESCAPES; i++)
        if (c == escapes[i].character)
            return escapes[i].text;
    return NULL;
}

struct value escape_text(struct template_run *r, const struct value *v)
{
    size_t start = r->size, done = 0;
    struct value s;
    if (v->kind == VALUE_STRING && v->text.markup)
        return *v;
    if (!to_string(r, v, &s) || !run_step(r, s.text.size / 16))
        return value_undefined;
    for (size_t i = 0; i < s.text.size; i++) {
        const char *text = escape_of(s.text.at[i]);
        if (!text)
            continue;
        if (!run_add_part(r, &s, done, i) || !run_add(r, span_of(text), value_origin_at(&s.text, i)))
            return value_undefined;
        done = i + 1;
    }
    if (!run_add_part(r, &s, done, s.text.size) || !run_take(r, start, &s))
        return value_undefined;
    s.text.markup = true;
    return s;
}

bool filter_escape(struct template_run *r, const struct value *at, struct value *out)
{
    *out = escape_text(r, &at[0]);
    return out->kind == VALUE_STRING;
}

bool filter_forceescape(struct template_run *r, const struct value *at, struct value *out)
{
    struct value v = at[0];
    if (v.kind == VALUE_STRING)
        v.text.markup = false;
    *out = escape_text(r, &v);
    return out->kind == VALUE_STRING;
}

bool filter_safe(struct template_run *r, const struct value *at, struct value *out)
{
    if (!to_string(r, &at[0], out))
        return false;
    out->text.markup = true;
    return true;
}

bool filter_xmlattr(struct template_run *r, const struct value *at, struct value *out)
{
    size_t start = r->size;
    bool any = false, space = at[1].kind == VALUE_UNDEFINED || truth(&at[1]);
    if (at[0].kind != VALUE_MAP)
        return run_fail(r, "xmlattr is for a dict, not '%s'", kind_name(&at[0]));
    for (size_t i = 0; i < at[0].map->n; i++) {
        const struct value_pair *pair = &at[0].map->pairs[i];
        if (!given(pair->value))
            continue;
        if (!wants_text(r, &pair->key))
            return false;
        for (size_t k = 0; k < pair->key.text.size; k++)
            if (!pair->key.text.at[k] ? false : strchr(" \t\n\r\f\v/>=", pair->key.text.at[k]) != NULL)
                return run_fail(r, "the name of an attribute has a blank, '/', '>' or '='");
        struct value key = escape_text(r, &pair->key), v = escape_text(r, &pair->value);
        if (key.kind != VALUE_STRING || v.kind != VALUE_STRING ||
            ((any || space) && !run_add(r, span_of(" "), VALUE_FROM_TEMPLATE)) || !run_add_text(r, &key) ||
            !run_add(r, span_of("=\""), VALUE_FROM_TEMPLATE) || !run_add_text(r, &v) ||
            !run_add(r, span_of("\""), VALUE_FROM_TEMPLATE))
            return false;
        any = true;
    }
    if (!run_take(r, start, out))
        return false;
    out->text.markup = r->safe;
    return true;
}

/* Leaves comments and tags out, up to the first that has no end. */
static bool without_tags(struct template_run *r, struct value s, struct value *out)
{
    struct span in = value_span(s);
    size_t start = r->size, at = 0, from;
    while ((from = find_bytes(in, span_of("<"), at)) != SIZE_MAX) {
        bool comment = in.size - from >= 4 && memcmp(in.at + from, "<!--", 4) == 0;
        size_t end = find_bytes(in, span_of(comment ? "-->" : ">"), from + (comment ? 4 : 0));
        if (end == SIZE_MAX)
            break;
        if (!run_add_part(r, &s, at, from) || !run_step(r, 1))
            return false;
        at = end + (comment ? 3 : 1);
    }
    return run_add_part(r, &s, at, s.text.size) && run_take(r, start, out);
}

/* Puts the characters back for which an entity stands that escape_text writes, or a number. */
static bool unescape(struct template_run *r, struct value s, struct value *out)
{
    size_t start = r->size, done = 0;
    for (size_t i = 0; i < s.text.size; i++) {
        struct span rest = {(const uint8_t *)s.text.at + i, s.text.size - i};
        for (size_t k = 0; s.text.at[i] == '&' && k < N_ESCAPES; k++) {
            size_t size = strlen(escapes[k].text);
            if (rest.size < size || memcmp(rest.at, escapes[k].text, size) != 0)
                continue;
            if (!run_add_part(r, &s, done, i) ||
                !run_add(
                    r, (struct span){(const uint8_t *)&escapes[k].character, 1}, value_origin_at(&s.text, i)))
                return false;
            done = i + size;
            i = done - 1;
            break;
        }
        bool other =
            rest.size > 1 && rest.at[0] == '&' && done <= i && (rest.at[1] == '#' || isalpha(rest.at[1]));
        if (other && memchr(rest.at, ';', rest.size < 34 ? rest.size : 34))
            return run_fail(r, "striptags of other entities than those of escape is not supported");
    }
    return run_add_part(r, &s, done, s.text.size) && run_take(r, start, out);
}

bool filter_striptags(struct template_run *r, const struct value *at, struct value *out)
{
    struct value s, words = value_list(r->arena, 0);
    if (!to_string(r, &at[0], &s) || !without_tags(r, s, &s) || !run_step(r, s.text.size / 4))
        return false;
    for (s = strip(&s, NULL, true, true); s.text.size > 0;) { /* white space becomes single blanks */
        size_t end = 0, size;
        while (end < s.text.size &&
               space_at((struct span){(const uint8_t *)s.text.at + end, s.text.size - end}) == 0) {
            get_character((struct span){(const uint8_t *)s.text.at + end, s.text.size - end}, &size);
            end += size;
        }
        list_put_part(r, &words, &s, 0, end);
        s = value_part(s, end, s.text.size);
        s = strip(&s, NULL, true, false);
        if (!run_step(r, 1))
            return false;
    }
    const struct value blank = value_literal(" ");
    return join_texts(r, &words, &blank, &s) && unescape(r, s, out);
}

bool filter_urlize(struct template_run *r, const struct value *at, struct value *out)
{
    (void)at, (void)out;
    return run_fail(r, "urlize is not supported");
}
