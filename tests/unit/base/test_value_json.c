/* test_value_json.c - the JSON reader: what it reads, and where it stops. */
#include "berth/base/value_json.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct value read_in(struct value_arena *a, const char *text)
{
    struct error err = {0};
    struct value v;
    if (!value_read_json(a, span_of(text), &v, &err))
        fail_msg("%s: %s", text, err.text);
    return v;
}

static void test_values_of_every_kind_are_read(void **state)
{
    (void)state;
    struct value_arena *a = value_arena_new(1 << 16);
    struct value v =
        read_in(a, " {\"a\" : [1, -2.5e3, true ,false,null, \"x\"], \"b\":{}, \"a\": \"last\"}\n");
    assert_int_equal(v.kind, VALUE_MAP);
    assert_int_equal(v.map->n, 2);
    assert_true(value_is(*value_find(v, span_of("a")), "last"));
    v = read_in(a, "[1,-2.5e3,true,false,null,[],123456789012345678,1234567890123456789012]");
    const struct value *items = v.list->items;
    assert_int_equal(items[0].integer, 1);
    assert_true(items[1].kind == VALUE_FLOAT && items[1].real == -2500);
    assert_true(items[2].boolean && !items[3].boolean && items[4].kind == VALUE_NULL);
    assert_int_equal(items[5].list->n, 0);
    assert_int_equal(items[6].integer, 123456789012345678);
    assert_int_equal(items[7].kind, VALUE_FLOAT);
    value_arena_free(a);
}

static void test_strings_and_their_escapes_are_read(void **state)
{
    static const struct {
        const char *json, *text;
        size_t size;
    } rows[] = {
        {"\"\"", "", 0},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz", 10},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"\"\\u0000\"", "\0", 1},
        {"\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80", 4},
    };
    (void)state;
    struct value_arena *a = value_arena_new(1 << 16);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct value v = read_in(a, rows[i].json);
        assert_int_equal(v.kind, VALUE_STRING);
        assert_int_equal(v.text.size, rows[i].size);
        assert_memory_equal(v.text.at, rows[i].text, rows[i].size);
    }
    value_arena_free(a);
}

static void test_what_is_not_json_is_refused(void **state)
{
    static const char *const texts[] = {"", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"",
        "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}", "{1:1}", "[1 2]", "1 2", "{} x", "nul", "tru", "True",
        "NaN", "Infinity", "+1", "-", "01", "1.", ".5", "1e", "1e+", "0x1", "\"", "\"a", "\"\\", "\"\\\"",
        "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud83d\"", "\"\\ud83d\\u0041\"", "\"\\ude00\"", "\"a\nb\"",
        "\"\x01\"", "\"\xff\"", "\"\xc3\"", "'a'", "//\n1", "\xef\xbb\xbf{}"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct value_arena *a = value_arena_new(1 << 16);
        struct error err = {0};
        struct value v;
        /* In a block of its own size: a sanitizer sees a read beyond it. */
        size_t size = strlen(texts[i]);
        uint8_t *bytes = malloc(size ? size : 1);
        memcpy(bytes, texts[i], size);
        if (value_read_json(a, (struct span){bytes, size}, &v, &err))
            fail_msg("\"%s\" was read", texts[i]);
        assert_int_equal(strncmp(err.text, "byte ", 5), 0);
        free(bytes);
        value_arena_free(a);
    }
}

static void test_depth_members_and_memory_are_bounded(void **state)
{
    (void)state;
    struct error err = {0};
    struct value v;
    char *text = malloc(1 << 20);
    struct value_arena *a = value_arena_new(1 << 20);
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_true(value_read_json(a, (struct span){(uint8_t *)text, 128}, &v, &err));
    memset(text, '[', 1 << 20);
    assert_false(value_read_json(a, (struct span){(uint8_t *)text, 1 << 20}, &v, &err));
    assert_non_null(strstr(err.text, "nested too deeply"));
    size_t size = 0;
    text[size++] = '{';
    for (int i = 0; i <= 4096; i++)
        size += (size_t)snprintf(text + size, 32, "%s\"%d\":0", i ? "," : "", i);
    text[size++] = '}';
    assert_false(value_read_json(a, (struct span){(uint8_t *)text, size}, &v, &err));
    assert_non_null(strstr(err.text, "too many members"));
    value_arena_free(a);
    a = value_arena_new(1000);
    memset(text, 'a', 5000);
    text[0] = text[4999] = '"';
    assert_false(value_read_json(a, (struct span){(uint8_t *)text, 5000}, &v, &err));
    assert_non_null(strstr(err.text, "more memory"));
    value_arena_free(a);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_kind_are_read),
        cmocka_unit_test(test_strings_and_their_escapes_are_read),
        cmocka_unit_test(test_what_is_not_json_is_refused),
        cmocka_unit_test(test_depth_members_and_memory_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
