/* test_value.c - the arena's limit, lists and maps that grow, strings with origins, JSON as values. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/api/json_value.h"
#include "berth/base/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_an_arena_gives_no_more_than_its_limit_and_stays_failed(void **state)
{
    (void)state;
    struct value_arena *a = value_arena_new(1000);
    size_t got = 0;
    while (value_alloc(a, 100))
        got += 100;
    assert_true(got > 0 && got <= 1000);
    assert_true(value_arena_failed(a));
    assert_null(value_alloc(a, 1));
    assert_int_equal(value_list(a, 0).kind, VALUE_UNDEFINED);
    assert_int_equal(value_map(a, 0).kind, VALUE_UNDEFINED);
    assert_int_equal(value_string(a, span_of("x"), VALUE_FROM_MESSAGE).kind, VALUE_UNDEFINED);
    value_arena_free(a);
}

static void test_sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct value_arena *a = value_arena_new(SIZE_MAX);
    assert_null(value_alloc(a, SIZE_MAX));
    assert_int_equal(value_list(a, SIZE_MAX / 2).kind, VALUE_UNDEFINED);
    value_arena_free(a);
    value_arena_free(NULL);
}

static void test_lists_and_maps_grow_and_keep_their_order(void **state)
{
    (void)state;
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    struct value list = value_list(a, 0), map = value_map(a, 0);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i % 500);
        assert_true(value_append(a, list, value_integer(i)));
        assert_true(value_set(a, map, value_string(a, span_of(key), VALUE_FROM_MESSAGE), value_integer(i)));
    }
    assert_int_equal(list.list->n, 1000);
    assert_int_equal(list.list->items[999].integer, 999);
    assert_int_equal(map.map->n, 500);
    assert_true(value_is(map.map->pairs[7].key, "7"));
    assert_int_equal(value_find(map, span_of("7"))->integer, 507);
    assert_null(value_find(map, span_of("500")));
    assert_null(value_find(list, span_of("7")));
    value_arena_free(a);
}

static void test_a_part_of_a_string_keeps_the_origin_of_its_bytes(void **state)
{
    (void)state;
    static const uint16_t marks[] = {1, 1, 0, 0};
    struct value s = value_literal("abcd");
    s.text.marks = marks;
    struct value part = value_part(s, 1, 3);
    assert_true(value_is(part, "bc"));
    assert_int_equal(value_origin_at(&part.text, 0), VALUE_FROM_TEMPLATE);
    assert_int_equal(value_origin_at(&part.text, 1), VALUE_FROM_MESSAGE);
    assert_true(value_is(value_part(s, 3, 99), "d"));
    assert_true(value_is(value_part(s, 9, 2), ""));
}

static struct value convert(struct value_arena *a, const char *text, struct error *err)
{
    struct value v = value_undefined;
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    if (!json_to_value(a, json, &v, err))
        v = value_undefined;
    json_decref(json);
    return v;
}

static void test_json_becomes_values_in_its_order(void **state)
{
    (void)state;
    struct error err = {0};
    struct value_arena *a = value_arena_new((size_t)1 << 16);
    struct value v = convert(a, "{\"z\":[1,2.5,true,null,\"t\"],\"a\":{}}", &err);
    assert_int_equal(v.kind, VALUE_MAP);
    assert_true(value_is(v.map->pairs[0].key, "z"));
    const struct value_list *l = v.map->pairs[0].value.list;
    assert_int_equal(l->items[0].integer, 1);
    assert_true(l->items[1].real == 2.5);
    assert_true(l->items[2].boolean);
    assert_int_equal(l->items[3].kind, VALUE_NULL);
    assert_int_equal(l->items[4].text.origin, VALUE_FROM_MESSAGE);
    value_arena_free(a);
}

static void test_json_that_does_not_fit_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct error err = {0};
    struct value_arena *a = value_arena_new(100);
    assert_int_equal(convert(a, "[[[[1,2,3,4,5,6,7,8,9]]]]", &err).kind, VALUE_UNDEFINED);
    assert_non_null(strstr(err.text, "memory"));
    value_arena_free(a);
}

static bool variables(const char *text, struct error *err)
{
    struct value vars;
    *err = (struct error){0};
    struct value_arena *a = value_arena_new((size_t)1 << 16);
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    bool good = json_chat_variables(a, json, value_undefined, value_undefined, &vars, err);
    json_decref(json);
    value_arena_free(a);
    return good;
}

static void test_a_field_of_a_wrong_type_is_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"[]", "object"}, {"{}", "'messages'"},
        {"{\"messages\":1}", "'messages'"}, {"{\"messages\":[1]}", "'messages[0]'"},
        {"{\"messages\":[],\"tools\":{}}", "'tools'"},
        {"{\"messages\":[],\"add_generation_prompt\":1}", "'add_generation_prompt'"},
        {"{\"messages\":[],\"chat_template_kwargs\":[]}", "'chat_template_kwargs'"}};
    struct error err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(variables(bad[i][0], &err));
        assert_non_null(strstr(err.text, bad[i][1]));
    }
    assert_true(variables("{\"messages\":[],\"tools\":null,\"model\":\"x\"}", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_arena_gives_no_more_than_its_limit_and_stays_failed),
        cmocka_unit_test(test_sizes_that_overflow_are_refused),
        cmocka_unit_test(test_lists_and_maps_grow_and_keep_their_order),
        cmocka_unit_test(test_a_part_of_a_string_keeps_the_origin_of_its_bytes),
        cmocka_unit_test(test_json_becomes_values_in_its_order),
        cmocka_unit_test(test_json_that_does_not_fit_is_refused_with_a_reason),
        cmocka_unit_test(test_a_field_of_a_wrong_type_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
