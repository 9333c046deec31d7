/* test_text.c - UTF-8, hostile names, sizes, growing text, errors. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/base/error.h"
#include "berth/base/strbuf.h"
#include "berth/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The exact bytes on the heap, so that a sanitizer detects a read beyond them. */
static struct span on_heap(const char *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    return (struct span){copy, size};
}

static void test_a_character_is_as_long_as_utf8_says_and_no_other_byte_is_one(void **state)
{
    static const struct {
        const char *bytes;
        size_t size, length;
    } cases[] = {
        {"", 0, 0},
        {"a", 1, 1},
        {"\x00", 1, 1},
        {"\x7f", 1, 1},
        {"\x80", 1, 0},
        {"\xc0\x80", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xc2\x80", 2, 2},
        {"\xdf\xbf", 2, 2},
        {"\xc3", 1, 0},
        {"\xc3(", 2, 0},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xe0\xa0\x80", 3, 3},
        {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0},
        {"\xef\xbf\xbf", 3, 3},
        {"\xe2\x82", 2, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xf0\x90\x80\x80", 4, 4},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xff", 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct span s = on_heap(cases[i].bytes, cases[i].size);
        if (text_character(s) != cases[i].length)
            fail_msg("case %zu: %zu instead of %zu", i, text_character(s), cases[i].length);
        free((void *)(uintptr_t)s.at);
    }
}

static void test_what_is_escaped_is_printable_and_can_be_told_apart(void **state)
{
    char out[64];
    (void)state;
    assert_int_equal(text_escape(out, sizeof(out), span_of("model é.gguf")), 13);
    assert_string_equal(out, "model é.gguf");
    text_escape(out, sizeof(out), span_of("a\n\x1b[31m\x7f"));
    assert_string_equal(out, "a\\x0a\\x1b[31m\\x7f");
    text_escape(out, sizeof(out), span_of("\xff\\xff"));
    assert_string_equal(out, "\\xff\\\\xff");
    text_escape(
        out, sizeof(out), span_of("a\u202etxt.exe\u2028")); /* a right-to-left override, a line break */
    assert_string_equal(out, "a\\xe2\\x80\\xaetxt.exe\\xe2\\x80\\xa8");
    text_escape(out, sizeof(out), span_of("\xc2\x9b")); /* CSI as a C1 control */
    assert_string_equal(out, "\\xc2\\x9b");
}

static void test_what_does_not_fit_is_cut_between_characters_and_marked(void **state)
{
    (void)state;
    for (size_t size = 1; size < 40; size++) {
        char *out = malloc(size);
        assert_non_null(out);
        size_t length = text_escape(out, size,
            span_of("éééé\n\n\xff\xff"
                    "abcdefgh"));
        assert_true(length < size);
        assert_int_equal(strlen(out), length);
        for (size_t pos = 0; pos < length;) {
            size_t character = text_character((struct span){(uint8_t *)out + pos, length - pos});
            assert_true(character > 0);
            pos += character;
        }
        if (size > 3 && size < 33)
            assert_true(span_ends_with(span_of(out), "…"));
        free(out);
    }
}

static void test_sizes_and_counts_read_as_people_write_them(void **state)
{
    static const struct {
        uint64_t value;
        const char *bytes, *count;
    } cases[] = {
        {0, "0 B", "0"},
        {999, "999 B", "999"},
        {1000, "1000 B", "1.0 K"},
        {1023, "1023 B", "1.0 K"},
        {1024, "1.0 KiB", "1.0 K"},
        {1048575, "1.0 MiB", "1.0 M"},
        {134515008, "128.3 MiB", "134.5 M"},
        {UINT64_C(8) << 30, "8.0 GiB", "8.6 B"},
        {UINT64_MAX, "16.0 EiB", "18446744.1 T"},
    };
    char out[TEXT_NUMBER];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_string_equal(text_bytes(out, cases[i].value), cases[i].bytes);
        assert_string_equal(text_count(out, cases[i].value), cases[i].count);
    }
}

static void test_spans_compare_by_bytes_then_length(void **state)
{
    (void)state;
    assert_true(span_compare(span_of("a"), span_of("b")) < 0);
    assert_true(span_compare(span_of("a"), span_of("ab")) < 0);
    assert_true(span_compare(span_of("b"), span_of("ab")) > 0);
    assert_int_equal(span_compare(span_of("ab"), span_of("ab")), 0);
    assert_int_equal(span_compare((struct span){NULL, 0}, span_of("")), 0);
    assert_true(span_compare(span_of("\x7f"), span_of("\x80")) < 0);
    assert_true(span_is(span_of("abc"), "abc"));
    assert_false(span_is(span_of("abc"), "ab"));
    assert_true(span_is((struct span){NULL, 0}, ""));
    assert_true(span_ends_with(span_of("model.gguf"), ".gguf"));
    assert_false(span_ends_with(span_of("gguf"), ".gguf"));
}

static void test_text_grows_to_its_limit_and_not_beyond(void **state)
{
    struct strbuf b;
    (void)state;
    strbuf_init(&b, 1000);
    for (int i = 0; i < 100; i++)
        strbuf_format(&b, "%s", "0123456789");
    assert_false(b.failed);
    assert_int_equal(b.size, 1000);
    assert_int_equal(strlen(b.text), 1000);
    strbuf_text(&b, "x");
    assert_true(b.failed);
    assert_int_equal(b.size, 1000);
    size_t size;
    assert_null(strbuf_take(&b, &size));
    assert_int_equal(size, 0);
}

static void test_a_taken_text_is_the_callers(void **state)
{
    struct strbuf b;
    size_t size;
    (void)state;
    strbuf_init(&b, 100);
    strbuf_text(&b, "mine");
    char *text = strbuf_take(&b, &size);
    assert_string_equal(text, "mine");
    assert_int_equal(size, 4);
    assert_null(b.text);
    free(text);
}

static void test_a_json_string_is_valid_whatever_the_bytes(void **state)
{
    struct strbuf b;
    (void)state;
    strbuf_init(&b, 1000);
    strbuf_json(&b, (struct span){(const uint8_t *)"a\"b\\c\n\r\t\x01\0é\xff\x7f", 14});
    assert_string_equal(b.text, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u0000é\xef\xbf\xbd\\u007f\"");
    strbuf_release(&b);
}

static void test_an_error_keeps_its_first_reason_behind_the_context(void **state)
{
    struct error err = {0};
    (void)state;
    assert_false(error_set(&err, "byte %d is missing", 7));
    assert_false(error_prefix(&err, "%s", "model.gguf"));
    assert_string_equal(err.text, "model.gguf: byte 7 is missing");
}

static void test_a_long_error_is_cut_not_overrun(void **state)
{
    struct error err = {0};
    char text[2000];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    error_set(&err, "short");
    error_prefix(&err, "%.*s", (int)sizeof(err.text) - 4, text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void test_a_number_is_written_as_printf_writes_it(void **state)
{
    static const int64_t numbers[] = {0, 1, -1, 9, 10, 99, 100, 1234567890, INT64_MAX, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char expected[32];
        struct strbuf b;
        snprintf(expected, sizeof(expected), "%lld", (long long)numbers[i]);
        strbuf_init(&b, 100);
        strbuf_integer(&b, numbers[i]);
        assert_string_equal(b.text, expected);
        strbuf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_character_is_as_long_as_utf8_says_and_no_other_byte_is_one),
        cmocka_unit_test(test_what_is_escaped_is_printable_and_can_be_told_apart),
        cmocka_unit_test(test_what_does_not_fit_is_cut_between_characters_and_marked),
        cmocka_unit_test(test_sizes_and_counts_read_as_people_write_them),
        cmocka_unit_test(test_spans_compare_by_bytes_then_length),
        cmocka_unit_test(test_text_grows_to_its_limit_and_not_beyond),
        cmocka_unit_test(test_a_taken_text_is_the_callers),
        cmocka_unit_test(test_a_json_string_is_valid_whatever_the_bytes),
        cmocka_unit_test(test_an_error_keeps_its_first_reason_behind_the_context),
        cmocka_unit_test(test_a_long_error_is_cut_not_overrun),
        cmocka_unit_test(test_a_number_is_written_as_printf_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
