/* test_schema_refused.c - what cannot be enforced is refused with its keyword and place, or noted; what is hostile ends
 * soon. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "schema_grammar.h"

#include <stdio.h>

#include <cmocka.h>

static const struct json_schema_options strict = {.strict = true}, lenient = {.strict = false};

static void test_strict_names_keyword_place_and_reason(void **state)
{
    static const struct {
        const char *schema, *reason;
    } rows[] = {
        {"{'type':'array','uniqueItems':true}", "uniqueItems at the root: "},
        {"{'properties':{'city':{'type':'array','items':{'format':'regex'}}},'type':'object'}",
            "format at properties.city.items: this format is not supported"},
        {"{'type':'string','pattern':'(?=a)'}", "pattern at the root: regular expression: look-ahead"},
        {"{'$ref':'http://example.com/x'}", "$ref at the root: a reference to another document"},
        {"{'$ref':'#/$defs/x'}", "$ref at the root: there is no schema at this place"},
        {"{'$ref':'#'}", "$ref at #: refers to itself without an end"},
        {"{'anyOf':[{'$ref':'#'}]}", "refers to itself without an end"},
        {"{'$dynamicRef':'#x'}", "$dynamicRef at the root"},
        {"{'oneOf':[{'type':'string','format':'date'},{'type':'string','format':'email'}]}",
            "oneOf at the root: two of its schemas may be valid together"},
        {"{'not':{'multipleOf':2}}", "not at the root: this schema cannot be negated"},
        {"{'type':'object','minProperties':3}", "minProperties at the root"},
        {"{'type':'integer','multipleOf':1.23456789012}", "multipleOf at the root: has too many digits"},
        {"{'type':'number','minimum':1e30}", "minimum at the root: has too many digits"},
        {"{'type':'array','contains':{'const':1},'minItems':5}", "contains at the root"},
        {"{'type':'strin'}", "type at the root: is not the name of a type"},
        {"{'properties':[]}", "properties at the root: must be an object"},
        {"{'properties':{'a':3}}", "schema at properties.a: must be an object or a boolean"},
        {"{'minLength':-1,'type':'string'}", "minLength at the root: must be a whole number"},
        {"{'required':'a'}", "required at the root: must be a list of names"},
        {"{'anyOf':[]}", "anyOf at the root: must be a list that is not empty"},
        {"{'minimum':'a'}", "minimum at the root: must be a number"},
        {"{'enum':3}", "enum at the root: must be a list"},
        {"3", "schema at the root: must be an object or a boolean"},
        {"false", "no value is valid under the schema"},
        {"{'type':'integer','minimum':3,'maximum':2}", "no value is valid under the schema"},
        {"{'type':'string','pattern':'^a$','minLength':2}", "no value is valid under the schema"},
        {"{'type':'object','required':['a'],'properties':{'a':false}}", "no value is valid under the schema"},
        {"{'enum':[1],'type':'string'}", "no value is valid under the schema"},
        {"{'type':'object','properties':{'a':{'$ref':'#'}},'required':['a']}", "no text"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        struct grammar *g = schema_grammar(rows[i].schema, &strict, NULL, &err);
        if (g)
            fail_msg("%s is not refused", rows[i].schema);
        if (!strstr(err.text, rows[i].reason))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].schema, err.text, rows[i].reason);
    }
}

static void test_otherwise_it_is_left_out_and_noted(void **state)
{
    static const struct {
        const char *schema, *note, *text;
    } rows[] = {
        {"{'type':'array','uniqueItems':true}", "uniqueItems", "[1,1]"},
        {"{'type':'object','properties':{'a':{'type':'string','format':'regex'}}}", "properties.a.format",
            "{\"a\":\"(\"}"},
        {"{'type':'string','pattern':'(?=a)'}", "pattern", "\"b\""},
        {"{'type':'integer','$ref':'http://example.com/x'}", "$ref", "1"},
        {"{'oneOf':[{'type':'string','format':'date'},{'type':'string','format':'email'}]}", "oneOf",
            "\"2024-01-01\""},
        {"{'type':'object','minProperties':3}", "minProperties", "{}"},
        {"{'type':'array','contains':{'const':1},'minItems':2}", "contains", "[2,2]"},
        {"{'type':'number','multipleOf':1.23456789012}", "multipleOf", "7"},
        {"{'not':{'multipleOf':2}}", "not", "4"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        struct json_notes notes;
        struct grammar *g = schema_grammar(rows[i].schema, &lenient, &notes, &err);
        if (!g)
            fail_msg("%s: %s", rows[i].schema, err.text);
        if (notes.n != 1 || strcmp(notes.at[0], rows[i].note) != 0)
            fail_msg("%s notes \"%s\"", rows[i].schema, notes.n ? notes.at[0] : "nothing");
        if (!grammar_matches(g, span_of(rows[i].text)))
            fail_msg("%s does not match %s", rows[i].schema, rows[i].text);
        grammar_drop(g);
    }
}

static void test_notes_have_a_limit(void **state)
{
    char schema[4000] = "{'type':'object','properties':{";
    struct error err = {0};
    struct json_notes notes;
    (void)state;
    for (int i = 0; i < 20; i++)
        snprintf(schema + strlen(schema), sizeof(schema) - strlen(schema),
            "%s'p%d':{'type':'array','uniqueItems':true}", i ? "," : "", i);
    strcat(schema, "}}");
    struct grammar *g = schema_grammar(schema, &lenient, &notes, &err);
    assert_non_null(g);
    assert_int_equal(notes.n, JSON_NOTES_MAX);
    assert_int_equal(notes.more, 20 - JSON_NOTES_MAX);
    grammar_drop(g);
}

/* ---- hostile schemas ---- */

struct text {
    char *at;
    size_t n, room;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int size = vsnprintf(t->at + t->n, t->room - t->n, format, list);
    va_end(list);
    assert_true(size >= 0 && (size_t)size < t->room - t->n);
    t->n += (size_t)size;
}

static void many_properties(struct text *t)
{
    add(t, "{'type':'object','additionalProperties':{'type':'integer'},'properties':{");
    for (int i = 0; i < 10000; i++)
        add(t, "%s'property%d':{'type':'string','maxLength':%d}", i ? "," : "", i, i);
    add(t, "}}");
}

static void long_enum(struct text *t)
{
    add(t, "{'enum':[");
    for (int i = 0; i < 20000; i++)
        add(t, "%s'value %d'", i ? "," : "", i);
    add(t, "]}");
}

static void two_long_enums(struct text *t)
{
    add(t, "{'allOf':[");
    for (int k = 0; k < 2; k++) {
        add(t, "%s{'enum':[", k ? "," : "");
        for (int i = 0; i < 20000; i++)
            add(t, "%s%d", i ? "," : "", i * (k + 1));
        add(t, "]}");
    }
    add(t, "]}");
}

static void chain_of_references(struct text *t)
{
    add(t, "{'$ref':'#/$defs/d0','$defs':{");
    for (int i = 0; i < 5000; i++)
        add(t, "'d%d':{'type':'array','items':{'$ref':'#/$defs/d%d'}},", i, i + 1);
    add(t, "'d5000':{}}}");
}

/* Each definition refers to the next one twice, with others beside: 2^40 ways through it. */
static void doubling_references(struct text *t)
{
    add(t, "{'$ref':'#/$defs/d0','$defs':{");
    for (int i = 0; i < 40; i++)
        add(t,
            "'d%d':{'anyOf':[{'allOf':[{'$ref':'#/$defs/d%d'},{'minLength':%d}]},"
            "{'allOf':[{'$ref':'#/$defs/d%d'},{'maxLength':%d}]}]},",
            i, i + 1, i, i + 1, i + 100);
    add(t, "'d40':{'type':'string'}}}");
}

static void product_of_choices(struct text *t)
{
    add(t, "{'type':'object','allOf':[");
    for (int i = 0; i < 30; i++)
        add(t, "%s{'anyOf':[{'required':['a%d']},{'required':['b%d']},{'required':['c%d']}]}", i ? "," : "",
            i, i, i);
    add(t, "]}");
}

static void nested_counts(struct text *t)
{
    for (int i = 0; i < 30; i++)
        add(t, "{'type':'array','minItems':100000,'items':");
    add(t, "{}");
    for (int i = 0; i < 30; i++)
        add(t, "}");
}

static void many_patterns(struct text *t)
{
    add(t, "{'type':'string','allOf':[");
    for (int i = 0; i < 200; i++)
        add(t, "%s{'pattern':'(a|b)*a(a|b){%d}$'}", i ? "," : "", i % 20);
    add(t, "]}");
}

static void many_branches(struct text *t)
{
    add(t, "{'oneOf':[");
    for (int i = 0; i < 400; i++)
        add(t, "%s{'type':'object','properties':{'p%d':{}},'required':['p%d']}", i ? "," : "", i, i);
    add(t, "]}");
}

static void counted_properties(struct text *t)
{
    add(t, "{'type':'object','minProperties':500,'maxProperties':900,'properties':{");
    for (int i = 0; i < 1000; i++)
        add(t, "%s'p%d':{}", i ? "," : "", i);
    add(t, "}}");
}

static void negated_conditions(struct text *t)
{
    for (int i = 0; i < 15; i++)
        add(t, "{'if':{'not':{'properties':{'a%d':{'const':%d}}}},'then':{'required':['b%d']},'else':", i, i,
            i);
    add(t, "{}");
    for (int i = 0; i < 15; i++)
        add(t, "}");
}

static void test_hostile_schemas_end_soon(void **state)
{
    static void (*const makers[])(struct text * t) = {many_properties, long_enum, two_long_enums,
        chain_of_references, doubling_references, product_of_choices, nested_counts, many_patterns,
        many_branches, counted_properties, negated_conditions};
    struct text t = {.room = (size_t)4 << 20};
    (void)state;
    t.at = malloc(t.room);
    assert_non_null(t.at);
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        struct error err = {0};
        t.n = 0;
        makers[i](&t);
        struct grammar *g = schema_grammar(t.at, &strict, NULL, &err);
        assert_true(g || err.text[0]);
        grammar_drop(g);
    }
    free(t.at);
}

/* ---- large ones ---- */

static void tagged_union(struct text *t)
{
    add(t, "{'oneOf':[");
    for (int i = 0; i < 200; i++)
        add(t, "%s{'$ref':'#/$defs/d%d'}", i ? "," : "", i);
    add(t, "],'$defs':{");
    for (int i = 0; i < 200; i++)
        add(t,
            "%s'd%d':{'type':'object','properties':{'kind':{'const':'k%d'},'child':{'anyOf':[{'$ref':'#'},"
            "{'type':'null'}]}},'required':['kind']}",
            i ? "," : "", i, i);
    add(t, "}}");
}

static void wide_object(struct text *t)
{
    add(t, "{'type':'object','properties':{");
    for (int i = 0; i < 1000; i++)
        add(t, "%s'p%d':{'type':['string','null'],'maxLength':%d}", i ? "," : "", i, i);
    add(t, "}}");
}

static void wide_enum(struct text *t)
{
    add(t, "{'enum':[");
    for (int i = 0; i < 5000; i++)
        add(t, "%s'value %d'", i ? "," : "", i);
    add(t, "]}");
}

static void test_large_schemas_are_compiled(void **state)
{
    static const struct {
        void (*make)(struct text *t);
        const char *yes, *no;
    } rows[] = {
        {tagged_union, "{\"kind\":\"k199\",\"child\":{\"kind\":\"k7\",\"child\":null}}",
            "{\"kind\":\"k200\"}"},
        {wide_object, "{\"p0\":\"\",\"p999\":null}", "{\"p1\":\"ab\"}"},
        {wide_enum, "\"value 4999\"", "\"value 5000\""},
    };
    struct text t = {.room = (size_t)1 << 20};
    (void)state;
    t.at = malloc(t.room);
    assert_non_null(t.at);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        t.n = 0;
        rows[i].make(&t);
        struct grammar *g = schema_grammar(t.at, &strict, NULL, &err);
        if (!g)
            fail_msg("large schema %zu: %s", i, err.text);
        assert_true(grammar_matches(g, span_of(rows[i].yes)));
        assert_false(grammar_matches(g, span_of(rows[i].no)));
        grammar_drop(g);
    }
    free(t.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict_names_keyword_place_and_reason),
        cmocka_unit_test(test_otherwise_it_is_left_out_and_noted),
        cmocka_unit_test(test_notes_have_a_limit),
        cmocka_unit_test(test_hostile_schemas_end_soon),
        cmocka_unit_test(test_large_schemas_are_compiled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
