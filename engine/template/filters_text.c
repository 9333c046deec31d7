/* filters_text.c - the filters that lay text out: joined, indented, cut, wrapped. */
#include "template_private.h"

#include "berth/base/character.h"

#include <string.h>

static uint32_t character_at(struct span s, size_t at, size_t *size)
{
    return get_character((struct span){s.at + at, s.size - at}, size);
}

/* What `\w` matches. */
static bool is_word(uint32_t c)
{
    return c == '_' || (character_class(c) & (CHARACTER_ALPHA | CHARACTER_NUMERIC)) != 0;
}

bool join_escaped(struct template_run *r, struct value list, struct value between, struct value *out)
{
    bool markup = between.kind == VALUE_STRING && between.text.markup;
    struct value parts = value_list(r->arena, list.list->n);
    for (size_t i = 0; i < list.list->n; i++)
        markup = markup || (list.list->items[i].kind == VALUE_STRING && list.list->items[i].text.markup);
    for (size_t i = 0; i < list.list->n; i++) {
        struct value text = list.list->items[i];
        if (markup ? (text = escape_text(r, &text)).kind != VALUE_STRING : !to_string(r, &text, &text))
            return false;
        list_put(r, &parts, &text);
    }
    if (markup ? (between = escape_text(r, &between)).kind != VALUE_STRING
               : !to_string(r, &between, &between))
        return false;
    if (!run_step(r, 1) || !join_texts(r, &parts, &between, out))
        return false;
    out->text.markup = markup;
    return true;
}

bool filter_join(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, between = at[1].kind == VALUE_UNDEFINED ? value_literal("") : at[1];
    if (!iterate(r, &at[0], &list))
        return false;
    if (given(at[2])) {
        struct value picked = value_list(r->arena, list.list->n), item;
        for (size_t i = 0; i < list.list->n; i++)
            if (!get_path(r, list.list->items[i], at[2], &item) || !list_put(r, &picked, &item))
                return false;
        list = picked;
    }
    if (!run_step(r, 1))
        return false;
    return r->safe ? join_escaped(r, list, between, out) : join_texts(r, &list, &between, out);
}

bool filter_indent(struct template_run *r, const struct value *at, struct value *out)
{
    size_t start = r->size;
    int64_t width;
    struct value s = at[0], by = at[1];
    const struct value nothing = value_literal("");
    if (!wants_text(r, &s) || (by.kind != VALUE_STRING && !wants_count(r, &by, 4, &width)))
        return false;
    if (by.kind != VALUE_STRING &&
        (!pad_text(r, &nothing, width > 0 ? (size_t)width : 0, 0, NULL) || !run_take(r, start, &by)))
        return false;
    if (s.text.markup && (by = escape_text(r, &by)).kind != VALUE_STRING)
        return false;
    if (truth(&at[2]) && !run_add_text(r, &by))
        return false;
    size_t next = 0;
    for (size_t from = 0; from <= s.text.size; from = next) {
        size_t end = line_end(s, from, &next);
        bool dents = from > 0 && (end > from || truth(&at[3]));
        if ((from > 0 && !run_add(r, span_of("\n"), VALUE_FROM_TEMPLATE)) ||
            (dents && !run_add_text(r, &by)) || !run_add_part(r, &s, from, end) || !run_step(r, 1))
            return false;
        if (next == s.text.size && end == s.text.size)
            break;
    }
    if (!run_take(r, start, out))
        return false;
    out->text.markup = s.text.markup;
    return true;
}

bool filter_center(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t width;
    struct value s;
    size_t start = r->size;
    if (!wants_count(r, &at[1], 80, &width) || !to_string(r, &at[0], &s))
        return false;
    int64_t n = (int64_t)count_characters(value_span(s)), room = width > n ? width - n : 0;
    int64_t left = room / 2 + (room & width & 1);
    return pad_text(r, &s, (size_t)left, (size_t)(room - left), NULL) && run_take(r, start, out);
}

bool filter_truncate(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t length, leeway = 5, n;
    struct value s = at[0], end = at[3].kind == VALUE_UNDEFINED ? value_literal("...") : at[3];
    size_t start = r->size;
    if (!wants_count(r, &at[1], 255, &length) || !wants_text(r, &end) ||
        (given(at[4]) && !wants_count(r, &at[4], 5, &leeway)))
        return false;
    int64_t tail = (int64_t)count_characters(value_span(end));
    if (length < tail || leeway < 0)
        return run_fail(r, "truncate leaves less than its end, or has a negative leeway");
    if (!value_length(r, &s, &n))
        return false;
    *out = s;
    if (n <= length + leeway)
        return true;
    if (!wants_text(r, &s))
        return false;
    struct value kept = value_part(s, 0, character_offset(value_span(s), (size_t)(length - tail)));
    size_t space = truth(&at[2]) ? SIZE_MAX : find_last(value_span(kept), span_of(" "));
    kept = space == SIZE_MAX ? kept : value_part(kept, 0, space);
    return run_add_text(r, &kept) && run_add_text(r, &end) && run_take(r, start, out) &&
           run_step(r, s.text.size / 16);
}

bool filter_wordcount(struct template_run *r, const struct value *at, struct value *out)
{
    struct value s;
    int64_t n = 0;
    bool before = false;
    if (!to_string(r, &at[0], &s))
        return false;
    for (size_t i = 0, size; i < s.text.size; i += size) {
        bool word = is_word(character_at(value_span(s), i, &size));
        n += word && !before;
        before = word;
    }
    *out = value_integer(n);
    return run_step(r, s.text.size / 4);
}

/* ---- wrapping, as Python's textwrap does it ---- */

struct wrapping {
    struct template_run *r;
    struct value line;
    struct value chunks; /* of the line: words, parts of words with hyphens, white space */
    size_t width;
    bool breaks, hyphens; /* long words are broken; lines end after hyphens */
    struct value lines;
};

static bool blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == ' ';
}

static bool is_letter(uint32_t c)
{
    return is_word(c) && !(character_class(c) & CHARACTER_DECIMAL);
}

static bool beside_dash(uint32_t c)
{
    return is_word(c) || (c && c < 0x80 && strchr("!\"'&.,?", (int)c) != NULL);
}

/* The character that ends at `at`; 0 at the start. */
static uint32_t character_before(struct span s, size_t at)
{
    size_t size = 1;
    if (at == 0)
        return 0;
    while (size < at && (s.at[at - size] & 0xc0) == 0x80)
        size++;
    return character_at(s, at - size, &size);
}

/* Where two or more dashes end that begin at `at` and stand before a word; `at` when there are none. */
static size_t dashes_end(struct span s, size_t at)
{
    size_t end = at, size;
    while (end < s.size && s.at[end] == '-')
        end++;
    return end > at + 1 && end < s.size && is_word(character_at(s, end, &size)) ? end : at;
}

/* Whether a line may end behind the hyphen at `at`: letters before it, and a word of two letters behind it. */
static bool hyphen_ends(struct span s, size_t at)
{
    size_t size;
    uint32_t before = character_before(s, at);
    size_t back = at, steps;
    for (steps = 0; steps < 2 && back > 0; steps++)
        do
            back--;
        while (back > 0 && (s.at[back] & 0xc0) == 0x80);
    uint32_t second = steps == 2 ? character_at(s, back, &size) : 0;
    bool good = is_letter(before) && is_letter(second);
    if (!good && second == '-' && beside_dash(before))
        good = is_letter(character_before(s, back));
    size_t next = at + 1;
    if (!good || next >= s.size || !is_letter(character_at(s, next, &size)))
        return false;
    next += size;
    next += next < s.size && s.at[next] == '-';
    return next < s.size && is_letter(character_at(s, next, &size));
}

/* Where the chunk that begins at `at` ends. */
static size_t chunk_end(const struct wrapping *w, size_t at)
{
    struct span s = value_span(w->line);
    size_t size, end = at;
    if (blank(character_at(s, at, &size))) {
        while (end < s.size && blank(character_at(s, end, &size)))
            end += size;
        return end;
    }
    if (w->hyphens && beside_dash(character_before(s, at)) && dashes_end(s, at) > at)
        return dashes_end(s, at);
    for (end = at + size; end < s.size; end += size) {
        uint32_t c = character_at(s, end, &size);
        if (blank(c))
            break;
        if (w->hyphens && c == '-' && hyphen_ends(s, end))
            return end + 1;
        if (w->hyphens && c == '-' && beside_dash(character_before(s, end)) && dashes_end(s, end) > end)
            break;
    }
    return end;
}

static bool is_blank(struct value v)
{
    return strip(&v, NULL, true, false).text.size == 0;
}

/* Cuts a word that is longer than a line, and adds what still fits the line; *chunk keeps the rest. */
static void put_word(const struct wrapping *w, struct value *line, struct value *chunk, size_t room)
{
    struct value word = *chunk;
    size_t end = character_offset(value_span(word), room);
    size_t hyphen = w->hyphens && count_characters(value_span(word)) > room
                        ? find_last((struct span){(const uint8_t *)word.text.at, end}, span_of("-"))
                        : SIZE_MAX;
    if (hyphen != SIZE_MAX && hyphen > 0)
        for (size_t i = 0; i < hyphen; i++)
            if (word.text.at[i] != '-') {
                end = hyphen + 1;
                break;
            }
    *chunk = value_part(word, end, word.text.size);
    list_put_part(w->r, line, &word, 0, end);
}

/* One line of the chunks from *at on. */
static bool wrap_line(struct wrapping *w, size_t *at)
{
    struct template_run *r = w->r;
    struct value *chunks = w->chunks.list->items, line = value_list(r->arena, 0);
    size_t n = w->chunks.list->n, size = 0, start = r->size;
    if (is_blank(chunks[*at]) && w->lines.list->n > 0)
        ++*at;
    for (; *at < n && size + count_characters(value_span(chunks[*at])) <= w->width; ++*at) {
        size += count_characters(value_span(chunks[*at]));
        list_put(r, &line, &chunks[*at]);
    }
    if (!run_step(r, 1))
        return false;
    if (*at < n && count_characters(value_span(chunks[*at])) > w->width) {
        if (w->breaks && size < w->width)
            put_word(w, &line, &chunks[*at], w->width - size);
        else if (line.list->n == 0)
            list_put(r, &line, &chunks[(*at)++]);
    }
    if (!run_step(r, 1))
        return false;
    size_t kept = line.list->n;
    kept -= kept > 0 && is_blank(line.list->items[kept - 1]);
    for (size_t i = 0; i < kept; i++)
        if (!run_add_text(r, &line.list->items[i]))
            return false;
    struct value text;
    return kept == 0 || (run_take(r, start, &text) && (list_put(r, &w->lines, &text)));
}

static bool wrap(struct wrapping *w)
{
    w->chunks = value_list(w->r->arena, 0);
    for (size_t at = 0, end; at < w->line.text.size; at = end) {
        end = chunk_end(w, at);
        value_append(w->r->arena, w->chunks, value_part(w->line, at, end));
        if (!run_step(w->r, 1 + (end - at) / 4))
            return false;
    }
    for (size_t at = 0; at < w->chunks.list->n;)
        if (!wrap_line(w, &at))
            return false;
    return true;
}

bool filter_wordwrap(struct template_run *r, const struct value *at, struct value *out)
{
    struct wrapping w = {.r = r,
        .breaks = at[2].kind == VALUE_UNDEFINED || truth(&at[2]),
        .hyphens = at[4].kind == VALUE_UNDEFINED || truth(&at[4])};
    struct value s = at[0], between = given(at[3]) ? at[3] : value_literal("\n"),
                 all = value_list(r->arena, 0);
    int64_t width;
    if (!wants_text(r, &s) || !wants_count(r, &at[1], 79, &width) || !wants_text(r, &between))
        return false;
    for (size_t from = 0, next; from < s.text.size; from = next) {
        struct value line;
        w.line = value_part(s, from, line_end(s, from, &next));
        w.lines = value_list(r->arena, 0);
        if (!run_step(r, 1))
            return false;
        if (width <= 0)
            return run_fail(r, "wordwrap needs a positive width");
        w.width = (size_t)width;
        if (!wrap(&w) || !join_texts(r, &w.lines, &between, &line) || !list_put(r, &all, &line))
            return false;
    }
    return run_step(r, 1) && join_texts(r, &all, &between, out);
}

/* ---- URLs ---- */

static bool quote_url(struct template_run *r, struct value v, bool query)
{
    static const char digits[] = "0123456789ABCDEF";
    struct value s;
    if (!to_string(r, &v, &s))
        return false;
    for (size_t i = 0; i < s.text.size; i++) {
        unsigned char c = (unsigned char)s.text.at[i];
        bool safe = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80) ||
                    (c && strchr(query ? "_.-~" : "_.-~/", c) != NULL);
        char text[3] = {'%', digits[c >> 4], digits[c & 15]};
        struct span put = {(const uint8_t *)text, 3};
        if (query && c == ' ')
            put = span_of("+");
        if (!(safe ? run_add_part(r, &s, i, i + 1) : run_add(r, put, value_origin_at(&s.text, i))) ||
            !run_step(r, 1))
            return false;
    }
    return true;
}

bool filter_urlencode(struct template_run *r, const struct value *at, struct value *out)
{
    size_t start = r->size;
    struct iterator it;
    struct value pair, list, from = at[0], pairs;
    bool iterable = from.kind == VALUE_LIST || from.kind == VALUE_MAP || from.kind == VALUE_UNDEFINED ||
                    is_object(from, object_generator) || is_object(from, object_view) ||
                    is_object(from, object_range);
    if (!iterable)
        return quote_url(r, from, false) && run_take(r, start, out);
    if (from.kind == VALUE_MAP) {
        if (!pairs_of(r, from, &pairs))
            return false;
        from = pairs;
    }
    if (!iterator_open(r, &from, &it))
        return false;
    for (bool more = true, first = true; more; first = false) {
        if (!iterator_next(r, &it, &pair, &more) || (more && !iterate(r, &pair, &list)))
            return false;
        if (!more)
            break;
        if (list.list->n != 2)
            return run_fail(r, "urlencode needs pairs");
        if ((!first && !run_add(r, span_of("&"), VALUE_FROM_TEMPLATE)) ||
            !quote_url(r, list.list->items[0], true) || !run_add(r, span_of("="), VALUE_FROM_TEMPLATE) ||
            !quote_url(r, list.list->items[1], true))
            return false;
    }
    return run_take(r, start, out);
}
