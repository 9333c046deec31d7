/* test_unicode.c - code points, their classes, and where a stream of text may be cut. */
#include "berth/engine/tokenizer/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_classes_are_unicode_s(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        enum unicode_class class;
    } known[] = {
        {0, UNICODE_CONTROL},
        {'a', UNICODE_LETTER},
        {'Z', UNICODE_LETTER},
        {'0', UNICODE_NUMBER},
        {' ', UNICODE_SPACE},
        {'\n', UNICODE_SPACE},
        {0x1c, UNICODE_CONTROL},
        {0x85, UNICODE_SPACE},
        {'!', UNICODE_PUNCTUATION},
        {'$', UNICODE_SYMBOL},
        {0xad, UNICODE_CONTROL},
        {0xb2, UNICODE_NUMBER},
        {0x301, UNICODE_MARK},
        {0x378, UNICODE_OTHER},
        {0x4dbf, UNICODE_LETTER},
        {0x4e00, UNICODE_LETTER},
        {0x9fff, UNICODE_LETTER},
        {0xd7a3, UNICODE_LETTER},
        {0xd800, UNICODE_CONTROL},
        {0xe000, UNICODE_CONTROL},
        {0x3000, UNICODE_SPACE},
        {0x180e, UNICODE_CONTROL},
        {0x1f642, UNICODE_SYMBOL},
        {0x2160, UNICODE_NUMBER},
        {0x20000, UNICODE_LETTER},
        {0x10ffff, UNICODE_OTHER},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        assert_int_equal(unicode_class(known[i].code), known[i].class);
}

static void test_lower_case_and_decompositions_are_unicode_s(void **state)
{
    (void)state;
    static const struct {
        uint32_t code, lower, first;
    } rows[] = {{'A', 'a', 'A'}, {'z', 'z', 'z'}, {0, 0, 0}, {0xc9, 0xe9, 'E'}, {0x100, 0x101, 'A'},
        {0x101, 0x101, 'a'}, {0x130, 0x69, 'I'}, {0x1e9e, 0xdf, 0x1e9e}, {0xac00, 0xac00, 0x1100},
        {0xd7a3, 0xd7a3, 0x1112}, {0x1ea4, 0x1ea5, 'A'}, {0xf900, 0xf900, 0x8c48},
        {0x10400, 0x10428, 0x10400}, {0x2fa1d, 0x2fa1d, 0x2a600}, {0x10ffff, 0x10ffff, 0x10ffff}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(unicode_lower(rows[i].code), rows[i].lower);
        assert_int_equal(unicode_decomposed(rows[i].code), rows[i].first);
    }
}

static void test_every_code_point_comes_back_from_its_bytes(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        uint8_t *bytes = malloc(UNICODE_BYTES);
        size_t size = unicode_write(bytes, code), pos = 0;
        bytes = realloc(bytes, size); /* the exact size, so that a sanitizer detects a read beyond it */
        assert_int_equal(unicode_read((struct span){bytes, size}, &pos), code);
        assert_int_equal(pos, size);
        free(bytes);
    }
}

/* Checks how many bytes of a text that is not UTF-8 become U+FFFD. */
static void assert_replaced(const char *text, size_t size, size_t replaced)
{
    struct span s = {(const uint8_t *)text, size};
    size_t pos = 0, n = 0;
    while (pos < size)
        n += unicode_read(s, &pos) == UNICODE_REPLACEMENT;
    assert_int_equal(pos, size);
    assert_int_equal(n, replaced);
}

static void test_each_byte_that_begins_no_character_is_replaced_alone(void **state)
{
    (void)state;
    assert_replaced("\x80", 1, 1);
    assert_replaced("\xc3", 1, 1);
    assert_replaced("\xe4\xb8", 2, 2);
    assert_replaced("\xe4\xb8"
                    "a",
        3, 2);
    assert_replaced("\xf0\x9f\x99", 3, 3);
    assert_replaced("\xff\xfe", 2, 2);
    assert_replaced("\xc0\xaf", 2, 2); /* overlong */
    assert_replaced("\xe0\x80\xaf", 3, 3);
    assert_replaced("\xf4\x90\x80\x80", 4, 4); /* beyond U+10FFFF */
    assert_replaced("\xed\xa0\x80", 3, 0); /* a surrogate passes */
}

static size_t unfinished(const char *text)
{
    return unicode_unfinished(span_of(text));
}

static void test_a_stream_is_held_where_a_character_is_not_complete(void **state)
{
    (void)state;
    assert_int_equal(unfinished(""), 0);
    assert_int_equal(unfinished("abc"), 0);
    assert_int_equal(unfinished("a\xc3"), 1);
    assert_int_equal(unfinished("a\xc3\xa9"), 0);
    assert_int_equal(unfinished("\xe4\xb8"), 2);
    assert_int_equal(unfinished("\xf0\x9f\x99"), 3);
    assert_int_equal(unfinished("\xf0\x9f\x99\x82"), 0);
    assert_int_equal(unfinished("\x82\x82\x82\x82"), 0);
    assert_int_equal(unfinished("\xff"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_are_unicode_s),
        cmocka_unit_test(test_lower_case_and_decompositions_are_unicode_s),
        cmocka_unit_test(test_every_code_point_comes_back_from_its_bytes),
        cmocka_unit_test(test_each_byte_that_begins_no_character_is_replaced_alone),
        cmocka_unit_test(test_a_stream_is_held_where_a_character_is_not_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
