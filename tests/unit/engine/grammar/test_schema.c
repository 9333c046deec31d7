/* test_schema.c - keyword by keyword: which texts a schema's grammar matches, and which it does not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "schema_grammar.h"

#include <stdio.h>

#include <cmocka.h>

#define TEXTS_MOST 10

/* Quotes are written as ' in schemas and texts. */
struct row {
    const char *schema;
    const char *yes[TEXTS_MOST], *no[TEXTS_MOST];
};

static bool matches(struct grammar *g, const char *text)
{
    char quoted[1000];
    snprintf(quoted, sizeof(quoted), "%s", text);
    for (char *at = quoted; *at; at++)
        if (*at == '\'')
            *at = '"';
    return grammar_matches(g, span_of(quoted));
}

static void check(const struct row *rows, size_t n)
{
    static const struct json_schema_options options = {.strict = true};
    for (size_t i = 0; i < n; i++) {
        struct error err = {0};
        struct grammar *g = schema_grammar(rows[i].schema, &options, NULL, &err);
        if (!g)
            fail_msg("%s: %s", rows[i].schema, err.text);
        for (size_t k = 0; k < TEXTS_MOST && rows[i].yes[k]; k++)
            if (!matches(g, rows[i].yes[k]))
                fail_msg("%s does not match %s", rows[i].schema, rows[i].yes[k]);
        for (size_t k = 0; k < TEXTS_MOST && rows[i].no[k]; k++)
            if (matches(g, rows[i].no[k]))
                fail_msg("%s matches %s", rows[i].schema, rows[i].no[k]);
        grammar_drop(g);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_types(void **state)
{
    static const struct row rows[] = {
        {"{}", {"1", "'a'", "null", "[1, {}]", "{'a': []}", "-1.5e3"}, {"", "nul", "{a:1}", "01", "+1"}},
        {"true", {"1", "'a'", "null"}, {""}},
        {"{'type':'null'}", {"null"}, {"0", "'null'"}},
        {"{'type':'boolean'}", {"true", "false"}, {"True", "1"}},
        {"{'type':'integer'}", {"0", "-7", "123456789012345678"},
            {"1.0", "-0", "1e3", "1234567890123456789"}},
        {"{'type':'number'}", {"0", "-0.5", "1e3", "1E-289"},
            {"1e999", "1e290", ".5", "1.", "NaN", "Infinity"}},
        {"{'type':'string'}", {"''", "'é\\n\\u00e9'"}, {"'", "'\n'", "a"}},
        {"{'type':['string','null']}", {"'a'", "null"}, {"1"}},
        {"{'type':'string','nullable':true}", {"'a'", "null"}, {"1"}},
        {"{'minimum':2}", {"2", "3.5"}, {"1", "'a'"}},
        {"{'properties':{'a':{'type':'null'}}}", {"{}", "{'a': null}"}, {"{'a': 1}", "{'b': 1}", "[]"}},
    };
    (void)state;
    CHECK(rows);
}

static void test_strings(void **state)
{
    static const struct row rows[] = {
        {"{'type':'string','minLength':1,'maxLength':2}", {"'a'", "'é😀'", "'\\u00e9a'", "'\\uD83D\\uDE00a'"},
            {"''", "'abc'", "'\\uD83D'"}},
        {"{'type':'string','maxLength':0}", {"''"}, {"'a'"}},
        {"{'type':'string','minLength':3}", {"'abc'", "'abcdefgh'"}, {"'ab'"}},
        {"{'type':'string','maxLength':100000}", {"''", "'abc'"}, {"1"}},
        {"{'type':'string','pattern':'^a+$'}", {"'a'", "'aaa'"}, {"''", "'ab'", "'\\u0061'"}},
        {"{'type':'string','pattern':'b'}", {"'abc'", "'b'", "'\\nb'"}, {"'ac'"}},
        {"{'type':'string','pattern':'^[^b]$'}", {"'a'", "'\\\\'", "'\\n'", "'\\u0001'"}, {"'b'", "'\n'"}},
        {"{'type':'string','pattern':'^\\\\d{3}$','minLength':3}", {"'123'"}, {"'12'", "'1234'"}},
        {"{'type':'string','pattern':'^[ab]+$','minLength':2,'maxLength':3}", {"'ab'", "'aba'"},
            {"'a'", "'abab'", "'ac'"}},
        {"{'type':'string','format':'date'}", {"'2024-02-29'", "'2023-12-31'"},
            {"'2023-02-29'", "'2023-13-01'", "'2023-04-31'", "'23-01-01'"}},
        {"{'type':'string','format':'date-time'}",
            {"'2024-02-29T23:59:59Z'", "'2024-01-01T00:00:00.5+02:00'"},
            {"'2024-02-29T24:00:00Z'", "'2024-02-29'", "'2024-02-29T23:59:59'"}},
        {"{'type':'string','format':'uuid'}", {"'123e4567-e89b-12d3-a456-426614174000'"},
            {"'123e4567e89b12d3a456426614174000'"}},
        {"{'type':'string','format':'ipv4'}", {"'1.2.3.255'"}, {"'1.2.3.256'", "'1.2.3'", "'01.2.3.4'"}},
        {"{'type':'string','format':'ipv6'}", {"'::1'", "'1:2:3:4:5:6:7:8'", "'fe80::a:1'", "'::'"},
            {"'1:2'", "'1::2::3'", "':::'", "'1:2:3:4:5:6:7:8:9'"}},
        {"{'type':'string','format':'email'}", {"'a.b@example.com'"}, {"'a'", "'@b.c'", "'a@b'"}},
        {"{'type':'string','format':'uri'}", {"'https://example.com/a?b=c#d'"},
            {"'example.com'", "'http://a b'"}},
        {"{'type':'string','format':'duration'}", {"'P3DT4H'", "'P2W'", "'PT5M'"},
            {"'P'", "'PT'", "'P1Y2D'"}},
        {"{'type':'string','format':'password'}", {"'anything'"}, {"1"}},
    };
    (void)state;
    CHECK(rows);
}

static void test_numbers(void **state)
{
    static const struct row rows[] = {
        {"{'type':'integer','minimum':-5,'maximum':12}", {"-5", "-1", "0", "9", "10", "12"},
            {"-6", "13", "-0", "100", "1.5", "05"}},
        {"{'type':'integer','exclusiveMinimum':0,'exclusiveMaximum':10}", {"1", "9"}, {"0", "10"}},
        {"{'type':'integer','minimum':1.5,'maximum':3.5}", {"2", "3"}, {"1", "4"}},
        {"{'type':'integer','minimum':100}", {"100", "101", "99999999"}, {"99", "-100"}},
        {"{'type':'integer','maximum':-7}", {"-7", "-8", "-70"}, {"-6", "7", "0"}},
        {"{'type':'integer','minimum':5,'exclusiveMinimum':true}", {"6"}, {"5"}},
        {"{'type':'integer','multipleOf':7}", {"0", "7", "-14", "700"}, {"1", "8", "701"}},
        {"{'type':'integer','multipleOf':86400,'minimum':1}", {"86400", "172800"}, {"0", "86401"}},
        {"{'type':'integer','multipleOf':2.5}", {"5", "10"}, {"2", "7"}},
        {"{'type':'number','minimum':0,'maximum':1}", {"0", "1", "0.5", "0.000001", "1.0", "0.0"},
            {"1.1", "-0.1", "2", "1.01", "-0"}},
        {"{'type':'number','exclusiveMinimum':0,'exclusiveMaximum':1}", {"0.1", "0.99"},
            {"0", "1", "0.0", "1.0"}},
        {"{'type':'number','minimum':-1.25,'maximum':-0.5}", {"-1.25", "-1.2", "-0.5", "-1"},
            {"-1.26", "-0.4", "0", "1"}},
        {"{'type':'number','minimum':9.5}", {"9.5", "9.75", "10", "123456.5"}, {"9.4", "9", "-10"}},
        {"{'type':'number','multipleOf':0.01}", {"1", "1.5", "1.25", "-0.07"}, {"1.255"}},
        {"{'type':'number','multipleOf':0.25,'minimum':0,'maximum':1}", {"0.00", "0.25", "1.00"},
            {"0.30", "1.25"}},
        {"{'type':'number','multipleOf':5,'minimum':1}", {"5", "10"}, {"5.5", "7", "0"}},
        {"{'type':'number','not':{'const':1},'minimum':0,'maximum':2}", {"0", "0.5", "1.5", "2"},
            {"1", "1.0"}},
    };
    (void)state;
    CHECK(rows);
}

static void test_objects(void **state)
{
    static const struct row rows[] = {
        {"{'type':'object','properties':{'a':{'type':'integer'},'b':{'type':'null'}},'required':['a']}",
            {"{'a':1}", "{'a': 1, 'b': null}", "{\n  'a': 1,\n  'b': null\n}"},
            {"{}", "{'b':null}", "{'b':null,'a':1}", "{'a':1,'c':2}", "{'a':1,}", "{ }"}},
        {"{'type':'object','properties':{'a':{'type':'null'},'b':{'type':'null'}}}",
            {"{}", "{'a':null}", "{'b':null}", "{'a':null,'b':null}"},
            {"{'a':null,'a':null}", "{,'b':null}"}},
        {"{'type':'object','required':['z']}", {"{'z':1}", "{'z':1,'a':[]}"}, {"{}", "{'a':1}"}},
        {"{'type':'object','additionalProperties':false}", {"{}"}, {"{'a':1}"}},
        {"{'type':'object','properties':{'a':{'type':'null'}},'additionalProperties':{'type':'integer'}}",
            {"{}", "{'a':null,'b':1,'cd':2}", "{'aa':1}"},
            {"{'b':null}", "{'a':1}", "{'b':1,'a':null}", "{'':1}"}},
        {"{'type':'object','patternProperties':{'^x':{'type':'null'},'y$':{'type':['null','integer']}}}",
            {"{}", "{'xa':null}", "{'ay':1}", "{'xy':null}"}, {"{'xa':1}", "{'xy':1}", "{'a':1}"}},
        {"{'type':'object','propertyNames':{'pattern':'^[a-z]{1,2}$'}}", {"{'ab':1}"},
            {"{'abc':1}", "{'A':1}"}},
        {"{'type':'object','propertyNames':{'enum':['p','q']},'additionalProperties':{'type':'null'}}",
            {"{'p':null,'q':null}"}, {"{'r':null}"}},
        {"{'type':'object','minProperties':1,'properties':{'a':{'type':'null'},'b':{'type':'null'}}}",
            {"{'a':null}", "{'b':null}", "{'a':null,'b':null}"}, {"{}"}},
        {"{'type':'object','maxProperties':1,'properties':{'a':{'type':'null'},'b':{'type':'null'}}}",
            {"{'a':null}", "{'b':null}", "{}"}, {"{'a':null,'b':null}"}},
        {"{'type':'object','minProperties':1}", {"{'a':1}"}, {"{}"}},
        {"{'type':'object','maxProperties':2}", {"{}", "{'a':1,'b':2}"}, {"{'a':1,'b':2,'c':3}"}},
        {"{'type':'object','maxProperties':0}", {"{}"}, {"{'a':1}"}},
        {"{'properties':{'a':false,'b':true},'type':'object'}", {"{}", "{'b':[1]}"}, {"{'a':1}"}},
        {"{'properties':{'a\\'b':{'type':'null'}},'type':'object'}", {"{}"}, {"{'a':null}"}},
        {"{'type':'object','properties':{'a':{}},'dependentRequired':{'a':['b']}}", {"{}", "{'a':1,'b':2}"},
            {"{'a':1}"}},
        {"{'type':'object','properties':{'a':{},'b':{}},'dependentSchemas':{'a':{'required':['b']}}}",
            {"{}", "{'b':1}", "{'a':1,'b':2}"}, {"{'a':1}"}},
        {"{'allOf':[{'properties':{'a':{'type':'null'}}},{'properties':{'b':{'type':'null'}}}],'type':'object',"
         "'unevaluatedProperties':false}",
            {"{}", "{'a':null,'b':null}"}, {"{'c':1}"}},
        {"{'$ref':'#/$defs/x','unevaluatedProperties':{'type':'integer'},'$defs':{'x':{'type':'object',"
         "'properties':{'a':{'type':'null'}}}}}",
            {"{'a':null,'b':1}"}, {"{'b':null}"}},
    };
    (void)state;
    CHECK(rows);
}

static void test_arrays(void **state)
{
    static const struct row rows[] = {
        {"{'type':'array','items':{'type':'integer'}}", {"[]", "[1]", "[1, 2]", "[\n  1,\n  2\n]"},
            {"[,1]", "[1,]", "['a']", "[ ]"}},
        {"{'type':'array','items':{'type':'null'},'minItems':1,'maxItems':2}", {"[null]", "[null,null]"},
            {"[]", "[null,null,null]"}},
        {"{'type':'array','prefixItems':[{'type':'null'},{'type':'integer'}],'items':false}",
            {"[]", "[null]", "[null,1]"}, {"[1]", "[null,1,2]"}},
        {"{'type':'array','prefixItems':[{'type':'null'}],'items':{'type':'integer'},'minItems':2}",
            {"[null,1]", "[null,1,2]"}, {"[null]", "[]", "[1,1]"}},
        {"{'type':'array','items':[{'type':'null'}],'additionalItems':{'type':'integer'}}",
            {"[null,1]", "[]"}, {"[1]", "[null,null]"}},
        {"{'type':'array','items':false}", {"[]"}, {"[1]"}},
        {"{'type':'array','maxItems':0}", {"[]"}, {"[1]"}},
        {"{'type':'array','items':{'enum':['a','b',1]},'uniqueItems':true}",
            {"[]", "['a']", "['b','a']", "[1,'a','b']"}, {"['a','a']", "['a','b','a']", "['c']"}},
        {"{'type':'array','items':{'enum':[1,2,3,4,5,6,7,8]},'uniqueItems':true,'minItems':2,'maxItems':3}",
            {"[1,2]", "[2,5,8]"}, {"[1]", "[1,1]", "[1,2,3,4]"}},
        {"{'type':'array','items':{'type':'boolean'},'uniqueItems':true}", {"[true,false]", "[false]"},
            {"[true,true]"}},
        {"{'type':'array','uniqueItems':true,'maxItems':1}", {"[]", "[5]"}, {"[1,2]"}},
        {"{'type':'array','items':{'type':'integer'},'contains':{'minimum':5}}", {"[5]", "[1,7]", "[9,1]"},
            {"[]", "[1]"}},
        {"{'type':'array','items':{'type':'integer'},'contains':{'minimum':5},'minContains':2,'maxContains':2}",
            {"[5,6]", "[1,7,2,8]"}, {"[5]", "[5,6,7]"}},
        {"{'type':'array','items':{'type':'integer'},'contains':{'minimum':5},'minItems':2,'maxItems':3}",
            {"[1,5]", "[5,6]", "[1,2,7]"}, {"[5]", "[1,2]", "[1,1,1,5]", "[]"}},
        {"{'type':'array','prefixItems':[{'type':'null'}],'contains':{'const':1},'maxContains':1,'maxItems':3}",
            {"[null,1]", "[null,2,1]"}, {"[null]", "[null,1,1]", "[1]"}},
        {"{'type':'array','prefixItems':[{'type':'null'}],'unevaluatedItems':false}", {"[]", "[null]"},
            {"[null,1]"}},
    };
    (void)state;
    CHECK(rows);
}

static void test_constants(void **state)
{
    static const struct row rows[] = {
        {"{'enum':['a',1,null,true,[1,{'b':2}],{'c':[]}]}",
            {"'a'", "1", "null", "true", "[1, {'b': 2}]", "{'c': []}"}, {"'b'", "false", "[1]", "{}"}},
        {"{'const':'a\\nb'}", {"'a\\nb'"}, {"'ab'"}},
        {"{'const':1.5}", {"1.5"}, {"1", "1.50"}},
        {"{'const':0.1}", {"0.1"}, {"0.10000000000000001"}},
        {"{'enum':['a',1,2.5,null],'type':['number','null']}", {"1", "2.5", "null"}, {"'a'"}},
        {"{'enum':[1,2,3,4],'minimum':2,'multipleOf':2}", {"2", "4"}, {"1", "3"}},
        {"{'enum':['ab','abc','x'],'pattern':'^a','maxLength':2}", {"'ab'"}, {"'abc'", "'x'"}},
        {"{'allOf':[{'enum':[1,2,3]},{'enum':[2,3,4]},{'not':{'const':3}}]}", {"2"}, {"1", "3", "4"}},
    };
    (void)state;
    CHECK(rows);
}

static void test_schemas_together(void **state)
{
    static const struct row rows[] = {
        {"{'anyOf':[{'type':'string'},{'type':'integer'}]}", {"'a'", "1"}, {"null"}},
        {"{'anyOf':[{'required':['a']},{'required':['b']}],'properties':{'a':{'type':'null'},'b':{'type':'null'}},"
         "'type':'object'}",
            {"{'a':null}", "{'b':null}", "{'a':null,'b':null}"}, {"{}"}},
        {"{'allOf':[{'minimum':2},{'maximum':4}],'type':'integer'}", {"2", "4"}, {"1", "5"}},
        {"{'allOf':[{'properties':{'a':{'minimum':3}}},{'properties':{'a':{'type':'integer'}},'required':['a']}],"
         "'type':'object'}",
            {"{'a':3}"}, {"{'a':2}", "{'a':3.5}", "{}"}},
        {"{'oneOf':[{'type':'string'},{'type':'integer'}]}", {"'a'", "1"}, {"1.5"}},
        {"{'oneOf':[{'properties':{'k':{'const':'a'},'v':{'type':'null'}},'required':['k']},{'properties':{'k':"
         "{'const':'b'}},'required':['k']}],'type':'object'}",
            {"{'k':'a','v':null}", "{'k':'b'}"}, {"{'k':'b','v':null}", "{}"}},
        {"{'oneOf':[{'required':['a']},{'required':['b']}],'type':'object','properties':{'a':{},'b':{}}}",
            {"{'a':1}", "{'b':1}"}, {"{'a':1,'b':1}", "{}"}},
        {"{'oneOf':[{'properties':{'a':{'type':'null'}},'required':['a'],'additionalProperties':false},"
         "{'properties':{'b':{}},'required':['b'],'additionalProperties':false}],'type':'object'}",
            {"{'a':null}", "{'b':1}"}, {"{'a':null,'b':1}", "{}"}},
        {"{'oneOf':[{'type':'integer'},{'minimum':2}]}", {"1", "2.5"}, {"2", "3"}},
        {"{'oneOf':[{'pattern':'^a'},{'pattern':'^b'}],'type':'string'}", {"'a'", "'bx'"}, {"'c'"}},
        {"{'not':{'type':'string'}}", {"1", "null", "{}"}, {"'a'"}},
        {"{'type':'string','not':{'enum':['a','b']}}", {"'c'", "''", "'aa'"}, {"'a'", "'b'"}},
        {"{'type':'string','not':{'pattern':'^x'}}", {"'ax'", "''"}, {"'x'", "'xa'"}},
        {"{'type':'object','properties':{'a':{},'b':{}},'not':{'required':['a']}}", {"{}", "{'b':1}"},
            {"{'a':1}"}},
        {"{'type':'object','properties':{'t':{'enum':['x','y']},'v':{}},'required':['t'],'if':{'properties':{'t':"
         "{'const':'x'}}},'then':{'required':['v']}}",
            {"{'t':'x','v':1}", "{'t':'y'}", "{'t':'y','v':1}"}, {"{'t':'x'}"}},
        {"{'type':'integer','not':{'not':{'minimum':3}}}", {"3"}, {"2"}},
    };
    (void)state;
    CHECK(rows);
}

static void test_references(void **state)
{
    static const struct row rows[] = {
        {"{'$ref':'#/definitions/a','definitions':{'a':{'type':'null'}}}", {"null"}, {"1"}},
        {"{'properties':{'v':{'type':'null'},'next':{'$ref':'#'}},'type':'object'}",
            {"{}", "{'next':{'next':{'v':null}}}"}, {"{'next':1}"}},
        {"{'$defs':{'tree':{'type':'array','items':{'$ref':'#/$defs/tree'}}},'$ref':'#/$defs/tree'}",
            {"[]", "[[],[[]]]"}, {"[1]"}},
        {"{'$ref':'#/$defs/a~1b~0c%25d','$defs':{'a/b~c%d':{'type':'null'}}}", {"null"}, {"1"}},
        {"{'$ref':'#x','$defs':{'q':{'$anchor':'x','type':'null'}}}", {"null"}, {"1"}},
        {"{'$id':'http://e.com/root','$ref':'item','$defs':{'q':{'$id':'item','type':'null'}}}", {"null"},
            {"1"}},
        {"{'$id':'http://e.com/root','$ref':'http://e.com/root#/$defs/q','$defs':{'q':{'type':'null'}}}",
            {"null"}, {"1"}},
        {"{'$ref':'#/$defs/a','minimum':3,'$defs':{'a':{'type':'integer'}}}", {"3"}, {"2", "3.5"}},
        {"{'anyOf':[{'type':'null'},{'type':'array','items':{'$ref':'#'},'maxItems':1}]}",
            {"null", "[[null]]"}, {"[1]"}},
        {"{'$ref':'#/properties/a','properties':{'a':{'type':'null'}}}", {"null"}, {"{}"}},
    };
    (void)state;
    CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_schemas_together),
        cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
