/* test_cursor.c - a cursor reads what is there, and never a byte more. */
#include "berth/base/cursor.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t counting[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void test_integers_are_read_little_endian_at_any_address(void **state)
{
    (void)state;
    struct error err = {0};
    struct cursor c = {.bytes = {counting, sizeof(counting)}, .err = &err};

    assert_int_equal(cursor_u8(&c, "a"), 0x01);
    assert_int_equal(cursor_u16(&c, "b"), 0x0302);
    assert_int_equal(cursor_u32(&c, "c"), 0x07060504);
    assert_true(cursor_u64(&c, "d") == 0x0f0e0d0c0b0a0908);
    assert_int_equal(c.pos, sizeof(counting));
    assert_false(c.failed);
    assert_string_equal(err.text, "");
}

static void test_the_largest_integers_keep_all_their_bits(void **state)
{
    (void)state;
    uint8_t ones[15];
    memset(ones, 0xff, sizeof(ones));
    struct error err = {0};
    struct cursor c = {.bytes = {ones, sizeof(ones)}, .err = &err};

    assert_int_equal(cursor_u8(&c, "a"), UINT8_MAX);
    assert_int_equal(cursor_u16(&c, "b"), UINT16_MAX);
    assert_true(cursor_u32(&c, "c") == UINT32_MAX);
    assert_true(cursor_u64(&c, "d") == UINT64_MAX);
}

/* Every length of file against every length taken; the block ends where the file ends. */
static void test_a_take_gives_all_or_nothing_at_every_length(void **state)
{
    (void)state;
    for (size_t size = 0; size <= sizeof(counting); size++) {
        uint8_t *bytes = malloc(size + (size == 0));
        memcpy(bytes, counting, size);
        for (size_t want = 0; want <= sizeof(counting) + 1; want++) {
            struct error err = {0};
            struct cursor c = {.bytes = {bytes, size}, .err = &err};
            struct span s = cursor_take(&c, want, "the thing");

            assert_int_equal(c.failed, want > size);
            assert_int_equal(s.size, want > size ? 0 : want);
            assert_int_equal(c.pos, s.size);
            if (!c.failed)
                assert_ptr_equal(s.at, bytes);
        }
        free(bytes);
    }
}

static void test_the_reason_names_field_place_and_what_is_left(void **state)
{
    (void)state;
    struct error err = {0};
    struct cursor c = {.bytes = {counting, 7}, .err = &err};

    cursor_u32(&c, "the version");
    cursor_u64(&c, "the number of tensors");
    assert_string_equal(err.text, "the number of tensors at byte 4 takes 8 bytes, but only 3 are left");
}

static void test_a_length_near_two_to_the_64_does_not_wrap(void **state)
{
    (void)state;
    const uint64_t lengths[] = {
        UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 14, (uint64_t)1 << 63, (uint64_t)1 << 32};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct error err = {0};
        struct cursor c = {.bytes = {counting, sizeof(counting)}, .pos = 1, .err = &err};
        struct span s = cursor_take(&c, lengths[i], "a string");

        assert_true(c.failed);
        assert_int_equal(s.size, 0);
        assert_int_equal(c.pos, 1);
    }
}

static void test_the_first_failure_sticks(void **state)
{
    (void)state;
    struct error err = {0};
    struct cursor c = {.bytes = {counting, 3}, .err = &err};

    cursor_u64(&c, "the first");
    char reason[sizeof(err.text)];
    memcpy(reason, err.text, sizeof(reason));
    assert_int_equal(cursor_u8(&c, "the second"), 0);
    assert_int_equal(cursor_take(&c, 1, "the third").size, 0);
    assert_int_equal(cursor_count(&c, 1, "the fourth"), 0);
    assert_false(cursor_fail(&c, "the fifth"));
    assert_int_equal(c.pos, 0);
    assert_string_equal(err.text, reason);
}

static void test_a_count_that_cannot_fit_is_refused_and_one_that_can_is_not(void **state)
{
    (void)state;
    uint8_t file[8 + 12] = {0};
    for (uint8_t count = 0; count < 6; count++) {
        file[0] = count;
        struct error err = {0};
        struct cursor c = {.bytes = {file, sizeof(file)}, .err = &err};
        size_t got = cursor_count(&c, 3, "the number of keys");

        assert_int_equal(got, count <= 4 ? count : 0);
        assert_int_equal(c.failed, count > 4);
        assert_int_equal(strstr(err.text, "the number of keys at byte 0 is 5") != NULL, count == 5);
    }
}

static void test_an_enormous_count_is_refused(void **state)
{
    (void)state;
    uint8_t file[16];
    memset(file, 0xff, sizeof(file));
    struct error err = {0};
    struct cursor c = {.bytes = {file, sizeof(file)}, .err = &err};

    assert_int_equal(cursor_count(&c, 1, "the number of keys"), 0);
    assert_true(c.failed);
    assert_non_null(strstr(err.text, "18446744073709551615"));
}

static void test_without_a_place_for_the_reason_a_failure_is_one_all_the_same(void **state)
{
    (void)state;
    struct cursor c = {.bytes = {counting, 4}};
    assert_int_equal(cursor_u32(&c, "a"), 0x04030201);
    assert_int_equal(cursor_u8(&c, "b"), 0);
    assert_true(c.failed);
    assert_int_equal(c.pos, 4);
}

static void test_an_empty_file_is_refused_not_touched(void **state)
{
    (void)state;
    struct error err = {0};
    struct cursor c = {.bytes = {NULL, 0}, .err = &err};

    assert_int_equal(cursor_take(&c, 0, "nothing").size, 0);
    assert_false(c.failed);
    assert_int_equal(cursor_u8(&c, "a byte"), 0);
    assert_true(c.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_read_little_endian_at_any_address),
        cmocka_unit_test(test_the_largest_integers_keep_all_their_bits),
        cmocka_unit_test(test_a_take_gives_all_or_nothing_at_every_length),
        cmocka_unit_test(test_the_reason_names_field_place_and_what_is_left),
        cmocka_unit_test(test_a_length_near_two_to_the_64_does_not_wrap),
        cmocka_unit_test(test_the_first_failure_sticks),
        cmocka_unit_test(test_a_count_that_cannot_fit_is_refused_and_one_that_can_is_not),
        cmocka_unit_test(test_an_enormous_count_is_refused),
        cmocka_unit_test(test_without_a_place_for_the_reason_a_failure_is_one_all_the_same),
        cmocka_unit_test(test_an_empty_file_is_refused_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
