/* schema_strings.c - strings: length, pattern, format, and texts that are left out.
 *
 * Where a string has limits, its contents are written with the escapes that JSON demands and no others, so that each
 * character has one form and languages can be intersected. A length alone counts characters in any form.
 */
#include "schema_private.h"
#include "builder_private.h"

#include <string.h>

#define LENGTH_MOST ((size_t)1 << 20) /* a longer limit is this one: no answer is longer */
/* The same beside a pattern or format, where the automaton has a state for each length. */
#define LENGTH_BESIDE ((size_t)256)

#define PATTERNS_MOST 8 /* of one string */
#define PRODUCT_STEPS 2048 /* of work, for an intersection or a difference */

/* Of each format a part that every validator accepts. */
#define DATE                                                                                                 \
    "(?:[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"                                       \
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"                                    \
    "|[12][0-9](?:0[48]|[2468][048]|[13579][26])-02-29|(?:1[26]|2[048])00-02-29)"
#define TIME                                                                                                 \
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define DURATION_TIME                                                                                        \
    "T(?:[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S)"
#define DURATION_DATE                                                                                        \
    "(?:[0-9]{1,4}Y(?:[0-9]{1,4}M(?:[0-9]{1,4}D)?)?|[0-9]{1,4}M(?:[0-9]{1,4}D)?|[0-9]{1,4}D)"
#define BYTE "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define LABEL "(?:[a-zA-Z0-9]-?){0,30}[a-zA-Z0-9]"
#define HOST "(?:" LABEL "\\.){0,3}[a-zA-Z](?:[a-zA-Z0-9]-?){0,29}[a-zA-Z0-9]"
#define WORD "[a-zA-Z0-9_+-]{1,16}"
#define MAIL WORD "(?:\\." WORD "){0,2}@(?:" LABEL "\\.){1,2}[a-zA-Z]{2,24}"
#define HEX "[0-9a-fA-F]{1,4}"
#define IPV6                                                                                                 \
    "(?:(?:" HEX ":){7}" HEX "|(?:" HEX ":){1,7}:|:(?::" HEX "){1,7}|::|(?:" HEX ":){1,6}:" HEX "|(?:" HEX   \
    ":){1,5}(?::" HEX "){1,2}|(?:" HEX ":){1,4}(?::" HEX "){1,3}|(?:" HEX ":){1,3}(?::" HEX "){1,4}|(?:" HEX \
    ":){1,2}(?::" HEX "){1,5}|" HEX ":(?::" HEX "){1,6})"
#define PCHAR "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})"
#define URI                                                                                                  \
    "[a-z][a-z0-9+.-]{1,15}://" HOST "(?::[1-9][0-9]{1,3})?(?:/" PCHAR "*)*(?:\\?(?:" PCHAR                  \
    "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?"
#define POINTER "(?:/(?:[^/~]|~[01])*)*"

static const struct {
    const char *name, *pattern; /* NULL: says nothing that a validator checks */
} formats[] = {
    {"date", DATE},
    {"time", TIME},
    {"date-time", DATE "T" TIME},
    {"duration", "P(?:[0-9]{1,4}W|" DURATION_DATE "(?:" DURATION_TIME ")?|" DURATION_TIME ")"},
    {"uuid", "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"},
    {"ipv4", BYTE "(?:\\." BYTE "){3}"},
    {"ipv6", IPV6},
    {"hostname", HOST},
    {"idn-hostname", HOST},
    {"email", MAIL},
    {"idn-email", MAIL},
    {"uri", URI},
    {"uri-reference", URI},
    {"iri", URI},
    {"iri-reference", URI},
    {"uri-template", URI},
    {"json-pointer", POINTER},
    {"relative-json-pointer", "(?:0|[1-9][0-9]{0,3})(?:#|" POINTER ")"},
    {"password", NULL},
    {"binary", NULL},
    {"int32", NULL},
    {"int64", NULL},
    {"float", NULL},
    {"double", NULL},
};

/* What narrows the contents so far. */
struct contents {
    struct schema_compiler *c;
    enum regex_reading reading;
    grammar_node node;
    bool narrowed, exact;
    size_t least, most, patterns;
};

static void narrow(struct contents *s, grammar_node node)
{
    if (!s->narrowed)
        s->node = node;
    else if (schema_step(s->c, PRODUCT_STEPS))
        s->node = grammar_intersection(s->c->b, s->node, node);
    s->narrowed = true;
}

static void leave_out(struct contents *s, grammar_node node)
{
    struct grammar_builder *b = s->c->b;
    if (!s->narrowed)
        s->node = grammar_repeat(b, char_any(b, CHAR_JSON), 0, GRAMMAR_UNBOUNDED);
    if (schema_step(s->c, PRODUCT_STEPS))
        s->node = grammar_difference(b, s->node, node);
    s->narrowed = true;
}

bool schema_check_pattern(struct schema_compiler *c, const struct schema_path *path, struct span pattern)
{
    struct grammar_builder *trial = grammar_builder_new(0);
    if (!trial) {
        grammar_builder_no_memory(c->b);
        return false;
    }
    regex_node(trial, pattern, true, CHAR_JSON, REGEX_SURE);
    bool good = !grammar_builder_failed(trial);
    if (!good && grammar_builder_error(trial)->no_memory)
        grammar_builder_no_memory(c->b);
    else if (!good)
        schema_refuse(c, path, "pattern", grammar_builder_error(trial)->text);
    grammar_builder_free(trial);
    return good;
}

bool schema_name_matches(
    struct schema_compiler *c, struct span name, const struct schema_path *path, struct span pattern)
{
    return schema_check_pattern(c, path, pattern) &&
           !grammar_disjoint(c->b, char_text(c->b, name, CHAR_JSON),
               regex_node(c->b, pattern, true, CHAR_JSON, REGEX_WIDEST));
}

static void add_pattern(struct contents *s, const struct schema_part *part, const char *keyword)
{
    const struct value *v = schema_keyword(part->map, keyword);
    if (!v)
        return;
    if (v->kind != VALUE_STRING) {
        schema_wrong(s->c, part->path, "pattern", "must be a string");
    } else if (s->patterns++ >= PATTERNS_MOST) {
        schema_refuse(s->c, part->path, "pattern", "too many patterns hold together");
    } else if (schema_check_pattern(s->c, part->path, value_span(*v))) {
        bool without = strcmp(keyword, "pattern") != 0, widest = (s->reading == REGEX_WIDEST) != without;
        grammar_node node =
            regex_node(s->c->b, value_span(*v), true, CHAR_JSON, widest ? REGEX_WIDEST : REGEX_SURE);
        if (!without)
            narrow(s, node);
        else
            leave_out(s, node);
    }
}

static void add_format(struct contents *s, const struct schema_part *part)
{
    const struct value *v = schema_keyword(part->map, "format");
    if (!v)
        return;
    s->exact = false;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (value_is(*v, formats[i].name)) {
            if (formats[i].pattern)
                narrow(s, regex_node(s->c->b, span_of(formats[i].pattern), false, CHAR_JSON, REGEX_SURE));
            return;
        }
    schema_refuse(s->c, part->path, "format", "this format is not supported");
}

static void add_exceptions(struct contents *s, const struct schema_part *part)
{
    const struct value *v = schema_keyword(part->map, "berth:except");
    for (size_t i = 0; v && v->kind == VALUE_LIST && i < v->list->n; i++)
        if (v->list->items[i].kind == VALUE_STRING)
            leave_out(s, char_text(s->c->b, value_span(v->list->items[i]), CHAR_JSON));
}

static struct contents contents_of(
    struct schema_compiler *c, const struct schema_set *set, enum regex_reading reading)
{
    struct contents s = {.c = c, .reading = reading, .exact = true, .most = GRAMMAR_UNBOUNDED};
    for (size_t i = 0; i < set->n && !schema_failed(c); i++) {
        const struct schema_part *part = &set->parts[i];
        size_t least = schema_count(c, part, "minLength", 0);
        size_t most = schema_count(c, part, "maxLength", GRAMMAR_UNBOUNDED);
        s.least = least > s.least ? least : s.least;
        s.most = most < s.most ? most : s.most;
        add_pattern(&s, part, "pattern");
        add_format(&s, part);
    }
    /* What is left out comes last: it would be lost in an intersection that was not begun. */
    for (size_t i = 0; i < set->n && !schema_failed(c); i++) {
        add_pattern(&s, &set->parts[i], "berth:without");
        add_exceptions(&s, &set->parts[i]);
    }
    if (s.most != GRAMMAR_UNBOUNDED && s.most > LENGTH_MOST) {
        s.most = LENGTH_MOST;
        s.exact = false;
    }
    return s;
}

/* Intersects with the length. */
static void add_length(struct contents *s)
{
    struct grammar_builder *b = s->c->b;
    if (!s->least && s->most == GRAMMAR_UNBOUNDED)
        return;
    size_t beside = s->least > LENGTH_BESIDE / 2 ? s->least * 2 : LENGTH_BESIDE;
    if (s->narrowed && s->most != GRAMMAR_UNBOUNDED && s->most > beside) {
        s->most = beside;
        s->exact = false;
    }
    narrow(s, grammar_repeat(b, char_any(b, CHAR_JSON), s->least, s->most));
}

bool schema_contents(struct schema_compiler *c, const struct schema_set *set, enum regex_reading reading,
    grammar_node *contents, bool *exact)
{
    struct contents s = contents_of(c, set, reading);
    if (s.least <= s.most)
        add_length(&s);
    else
        narrow(&s, NODE_NEVER);
    *contents = s.node;
    *exact = s.exact;
    return s.narrowed;
}

grammar_node schema_strings(struct schema_compiler *c, const struct schema_set *set)
{
    struct contents s = contents_of(c, set, REGEX_SURE);
    grammar_node quote = json_text(&c->json, "\"");
    if (s.least > s.most)
        return NODE_NEVER;
    if (s.narrowed) {
        add_length(&s);
        if (grammar_matches_nothing(c->b, s.node))
            return NODE_NEVER;
    } else if (s.least || s.most != GRAMMAR_UNBOUNDED) {
        s.node = grammar_repeat(c->b, json_character(&c->json), s.least, s.most);
    } else {
        return json_any_string(&c->json);
    }
    return grammar_sequence(c->b, quote, grammar_sequence(c->b, s.node, quote));
}
