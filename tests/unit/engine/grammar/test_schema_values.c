/* test_schema_values.c - JSON without a schema, its styles and white space, and numbers against arithmetic. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "schema_grammar.h"
#include "small_vocabulary.h"

#include <math.h>
#include <stdio.h>

#include <cmocka.h>

static struct grammar *json_grammar(bool object, const struct json_schema_options *o)
{
    struct error err = {0};
    struct grammar_builder *b = grammar_builder_new(0);
    assert_non_null(b);
    struct grammar *g = grammar_build(b, object ? grammar_json_object(b, o) : grammar_json(b, o), &err);
    assert_non_null(g);
    grammar_builder_free(b);
    return g;
}

static void check(struct grammar *g, const char *const *texts, bool expected)
{
    for (; *texts; texts++)
        if (grammar_matches(g, span_of(*texts)) != expected)
            fail_msg("%s: %s", expected ? "does not match" : "matches", *texts);
}

static void test_any_json_value(void **state)
{
    static const struct json_schema_options options = {.strict = true};
    static const char *const yes[] = {"0", "-12.5e+3", "\"\\ud83d\\ude00\\n\\/\"", "[]", "{}",
        "[1, [2], {\"a\": null}]", "{\"a\":{\"b\":[true,false]},\"\":0}",
        "{\n    \"a\": 1,\n    \"b\": [\n        2\n    ]\n}", "[\n\t1\n]", NULL};
    static const char *const no[] = {"", " 1", "1 ", "01", "1.", "\"\\ud83d\"", "\"\\ude00\\ud83d\"",
        "\"\\x\"", "\"\t\"", "[1,]", "{\"a\"}", "{a:1}", "[1  ,2]", "{ }", "[1,\n\n2]",
        "[\n                                          1]", "True", "\"\xff\"", "\"\xed\xa0\xbd\"", "1e400",
        "1234567890123456", NULL};
    (void)state;
    struct grammar *g = json_grammar(false, &options);
    check(g, yes, true);
    check(g, no, false);
    grammar_drop(g);
}

static void test_any_json_object(void **state)
{
    static const struct json_schema_options options = {.strict = true};
    static const char *const yes[] = {"{}", "{\"a\": [1]}", NULL}, *const no[] = {
                                                                       "[]", "1", "{}{}", "", NULL};
    (void)state;
    struct grammar *g = json_grammar(true, &options);
    check(g, yes, true);
    check(g, no, false);
    grammar_drop(g);
}

static void test_compact_has_no_white_space(void **state)
{
    static const struct json_schema_options options = {.strict = true, .compact = true};
    static const char *const yes[] = {"{\"a\":[1,2]}", NULL}, *const no[] = {
                                                                  "{\"a\": [1]}", "[1, 2]", "[\n1]", NULL};
    (void)state;
    struct grammar *g = json_grammar(false, &options);
    check(g, yes, true);
    check(g, no, false);
    grammar_drop(g);
}

static void test_nesting_has_no_limit(void **state)
{
    static const struct json_schema_options options = {.strict = true};
    char text[2001];
    (void)state;
    memset(text, '[', 1000);
    memset(text + 1000, ']', 1000);
    text[2000] = 0;
    struct grammar *g = json_grammar(false, &options);
    assert_true(grammar_matches(g, span_of(text)));
    text[1999] = 0;
    assert_false(grammar_matches(g, span_of(text)));
    grammar_drop(g);
}

/* The tags of the bytes of a text that a grammar matches. */
static void tags_of(struct grammar *g, const char *text, uint16_t *tags)
{
    struct small_vocabulary v;
    char letter[2] = {0};
    small_vocabulary_begin(&v);
    small_vocabulary_letters(&v, "[]{},: \"abTrueFalseNone1", NULL, 0);
    struct token_trie *trie = small_vocabulary_trie(&v);
    struct grammar_matcher *m = grammar_matcher_new(g, trie);
    assert_non_null(m);
    for (size_t i = 0; text[i]; i++) {
        struct grammar_run runs[GRAMMAR_RUNS_MAX];
        size_t back;
        letter[0] = text[i];
        int32_t token = small_vocabulary_find(&v, letter);
        assert_true(grammar_matcher_allows(m, token));
        assert_int_equal(grammar_matcher_accept(m, token, runs, &back), 1);
        tags[i] = runs[0].tag;
    }
    assert_true(grammar_matcher_may_end(m));
    grammar_matcher_free(m);
    token_trie_free(trie);
}

static void test_literals_of_python_have_tags(void **state)
{
    static const struct json_schema_options options = {.style = JSON_STYLE_PYTHON, .strict = true};
    static const char *const no[] = {"true", "null", "[false]", "'a'", NULL};
    static const char text[] = "[True,{\"a\":None},False,1]";
    uint16_t tags[sizeof(text)];
    (void)state;
    struct grammar *g = json_grammar(false, &options);
    check(g, no, false);
    tags_of(g, text, tags);
    for (size_t i = 0; text[i]; i++) {
        uint16_t expected = i >= 1 && i < 5     ? JSON_TAG_TRUE
                            : i >= 11 && i < 15 ? JSON_TAG_NULL
                            : i >= 17 && i < 22 ? JSON_TAG_FALSE
                                                : GRAMMAR_TAG_NONE;
        assert_int_equal(tags[i], expected);
    }
    grammar_drop(g);
}

static void test_python_literals_of_schemas(void **state)
{
    static const struct json_schema_options options = {.style = JSON_STYLE_PYTHON, .strict = true};
    struct error err = {0};
    (void)state;
    struct grammar *g = schema_grammar("{'enum':[true,null,{'a':false}]}", &options, NULL, &err);
    static const char *const yes[] = {"True", "None", "{\"a\": False}", NULL}, *const no[] = {
                                                                                   "true", "null", NULL};
    assert_non_null(g);
    check(g, yes, true);
    check(g, no, false);
    grammar_drop(g);
}

/* ---- numbers ---- */

static uint64_t chance_state = 1;

static int64_t chance(int64_t first, int64_t last)
{
    chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
    return first + (int64_t)((chance_state >> 33) % (uint64_t)(last - first + 1));
}

/* A schema with chosen limits. `low`, `high`: in hundredths, with 0 or 2 digits. */
static void write_schema(char *out, size_t size, bool whole, const char *low, double a, const char *high,
    double b, int64_t multiple)
{
    int n = snprintf(
        out, size, "{'type':'%s','%s':%.10g,'%s':%.10g", whole ? "integer" : "number", low, a, high, b);
    if (multiple)
        n += snprintf(out + n, size - (size_t)n, ",'multipleOf':%lld", (long long)multiple);
    snprintf(out + n, size - (size_t)n, "}");
}

static bool inside(double v, const char *low, double a, const char *high, double b)
{
    return (low[0] == 'e' ? v > a : v >= a) && (high[0] == 'e' ? v < b : v <= b);
}

static void check_numbers(struct grammar *g, const char *schema, bool whole, const char *low, double a,
    const char *high, double b, int64_t multiple)
{
    for (int i = 0; i < 120; i++) {
        char text[40];
        int64_t v = chance(-130000, 130000);
        if (i < 10) /* near the limits */
            v = (int64_t)llround((i % 2 ? a : b) * 100) + (i / 2 - 2) * (whole ? 100 : 1);
        if (whole || i % 3 == 0)
            v = v / 100 * 100;
        double real = (double)v / 100;
        snprintf(text, sizeof(text),
            whole          ? "%.0f"
            : v % 100 == 0 ? "%.0f"
            : v % 10 == 0  ? "%.1f"
                           : "%.2f",
            real);
        bool expected = inside(real, low, a, high, b) && (!multiple || v % (multiple * 100) == 0) &&
                        text[0] && strcmp(text, "-0") != 0;
        if (grammar_matches(g, span_of(text)) != expected)
            fail_msg("%s %s %s", schema, expected ? "does not match" : "matches", text);
    }
}

static void test_numbers_between_limits(void **state)
{
    static const char *const lows[] = {"minimum", "exclusiveMinimum"}, *const highs[] = {
                                                                           "maximum", "exclusiveMaximum"};
    static const struct json_schema_options options = {.strict = true};
    unsigned compiled = 0;
    (void)state;
    for (int i = 0; i < 600; i++) {
        char schema[200];
        struct error err = {0};
        bool whole = i % 2;
        const char *low = lows[chance(0, 1)], *high = highs[chance(0, 1)];
        int64_t size = (int64_t[]){300, 3000, 130000}[chance(0, 2)];
        double a = (double)chance(-size, size) / 100, b = (double)chance(-size, size) / 100;
        if (a > b) {
            double other = a;
            a = b;
            b = other;
        }
        int64_t multiple = whole && chance(0, 2) == 0 ? chance(1, 40) : 0;
        write_schema(schema, sizeof(schema), whole, low, a, high, b, multiple);
        struct grammar *g = schema_grammar(schema, &options, NULL, &err);
        if (!g && !strstr(err.text, "no value is valid"))
            fail_msg("%s: %s", schema, err.text);
        if (g)
            check_numbers(g, schema, whole, low, a, high, b, multiple);
        compiled += g != NULL;
        grammar_drop(g);
    }
    assert_true(compiled > 400);
}

/* ---- parts of an object ---- */

struct seen {
    char text[400];
    struct grammar_builder *b;
    grammar_node first;
};

static void see(void *context, const struct json_property *p)
{
    struct seen *s = context;
    size_t n = strlen(s->text);
    if (!n)
        s->first = p->value;
    snprintf(s->text + n, sizeof(s->text) - n, "%.*s%s%s ", (int)p->name.size, (const char *)p->name.at,
        p->required ? "!" : "", p->is_string ? "\"" : "");
}

static void test_an_object_is_taken_apart(void **state)
{
    static const struct {
        const char *schema, *parts; /* NULL: it cannot be */
    } rows[] = {
        {"{'type':'object','properties':{'a':{'type':'integer'},'b':{'type':'string','description':'x'}},"
         "'required':['b']}",
            "a b!\" "},
        {"{'properties':{'a':{'type':'string','enum':['x']},'b':{'type':'string','maxLength':3},'c':{'type':"
         "['string','null']}}}",
            "a b c "},
        {"{'type':'object','properties':{}}", ""},
        {"{'$ref':'#/$defs/x','$defs':{'x':{'properties':{'a':{'$ref':'#/$defs/y'}},'type':'object'},'y':{'type':"
         "'string'}}}",
            "a\" "},
        {"{'allOf':[{'properties':{'a':{}}},{'properties':{'b':{}},'required':['a']}],'type':'object'}",
            "a! b "},
        {"{'type':'object','properties':{'a':{},'b':{},'c':{}},'required':['a'],'propertyNames':{'enum':['a','c']}}", "a! c "},
        {"{'type':'object','properties':{'a':{},'bc':{}},'propertyNames':{'maxLength':1}}", "a "},
        {"{'type':'object'}", NULL},
        {"{'type':'string'}", NULL},
        {"{'type':'object','properties':{'a':{}},'additionalProperties':true}", NULL},
        {"{'type':'object','properties':{'a':{}},'minProperties':1}", NULL},
        {"{'type':'object','anyOf':[{'properties':{'a':{}}},{'properties':{'b':{}}}]}", NULL},
        {"true", NULL},
    };
    static const struct json_schema_options options = {.strict = true};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct seen seen = {.b = grammar_builder_new(0)};
        struct value_arena *arena = value_arena_new((size_t)1 << 20);
        bool taken =
            grammar_json_properties(seen.b, schema_value(arena, rows[i].schema), &options, NULL, see, &seen);
        assert_false(grammar_builder_failed(seen.b));
        if (taken != (rows[i].parts != NULL))
            fail_msg("%s is %staken apart", rows[i].schema, taken ? "" : "not ");
        if (taken)
            assert_string_equal(seen.text, rows[i].parts);
        grammar_builder_free(seen.b);
        value_arena_free(arena);
    }
}

static void test_a_part_has_its_value(void **state)
{
    static const struct json_schema_options options = {.style = JSON_STYLE_PYTHON, .strict = true};
    struct error err = {0};
    struct seen seen = {.b = grammar_builder_new(0)};
    struct value_arena *arena = value_arena_new((size_t)1 << 20);
    (void)state;
    assert_true(grammar_json_properties(seen.b,
        schema_value(arena, "{'type':'object','properties':{'a':{'type':'boolean'}}}"), &options, NULL, see,
        &seen));
    struct grammar *g = grammar_build(seen.b, seen.first, &err);
    assert_non_null(g);
    assert_true(grammar_matches(g, span_of("True")));
    assert_false(grammar_matches(g, span_of("true")));
    grammar_drop(g);
    grammar_builder_free(seen.b);
    value_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_json_value),
        cmocka_unit_test(test_any_json_object),
        cmocka_unit_test(test_compact_has_no_white_space),
        cmocka_unit_test(test_nesting_has_no_limit),
        cmocka_unit_test(test_literals_of_python_have_tags),
        cmocka_unit_test(test_python_literals_of_schemas),
        cmocka_unit_test(test_numbers_between_limits),
        cmocka_unit_test(test_an_object_is_taken_apart),
        cmocka_unit_test(test_a_part_has_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
