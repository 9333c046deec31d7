/* test_character.c - classes and cases of characters beyond ASCII, against what Unicode has for them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/base/character.h"

#include <cmocka.h>

static void check_map(uint32_t code, enum character_to to, size_t n, uint32_t first, uint32_t last)
{
    uint32_t out[CHARACTER_MAPPED_MAX];
    assert_int_equal(character_map(code, to, out), n);
    assert_int_equal(out[0], first);
    assert_int_equal(out[n - 1], last);
}

static void test_a_character_becomes_one_or_several_in_another_case(void **state)
{
    (void)state;
    check_map('a', CHARACTER_UPPER, 1, 'A', 'A');
    check_map(0xe9, CHARACTER_UPPER, 1, 0xc9, 0xc9);
    check_map(0xdf, CHARACTER_UPPER, 2, 'S', 'S');
    check_map(0xdf, CHARACTER_TITLE, 2, 'S', 's');
    check_map(0xdf, CHARACTER_FOLD, 2, 's', 's');
    check_map(0x130, CHARACTER_LOWER, 2, 'i', 0x307);
    check_map(0x1c6, CHARACTER_TITLE, 1, 0x1c5, 0x1c5);
    check_map(0x1f80, CHARACTER_UPPER, 2, 0x1f08, 0x399);
    check_map(0x1f80, CHARACTER_TITLE, 1, 0x1f88, 0x1f88);
    check_map(0xfb03, CHARACTER_UPPER, 3, 'F', 'I');
    check_map(0x10428, CHARACTER_UPPER, 1, 0x10400, 0x10400);
    check_map(0x13a0, CHARACTER_FOLD, 1, 0x13a0, 0x13a0);
    check_map(0x4e00, CHARACTER_UPPER, 1, 0x4e00, 0x4e00);
}

static void test_classes_and_case_are_unicodes(void **state)
{
    (void)state;
    assert_int_equal(character_class(0x4e00), CHARACTER_ALPHA | CHARACTER_NUMERIC | CHARACTER_PRINTABLE);
    assert_int_equal(character_class(0xb2), CHARACTER_DIGIT | CHARACTER_NUMERIC | CHARACTER_PRINTABLE);
    assert_int_equal(character_class(0x661),
        CHARACTER_DECIMAL | CHARACTER_DIGIT | CHARACTER_NUMERIC | CHARACTER_PRINTABLE);
    assert_int_equal(character_class(0x200b) & CHARACTER_PRINTABLE, 0);
    assert_int_equal(character_class(0x10ffff), 0);
    assert_int_equal(character_case(0xe9), CHARACTER_IS_LOWER);
    assert_int_equal(character_case(0x100), CHARACTER_IS_UPPER);
    assert_int_equal(character_case(0x101), CHARACTER_IS_LOWER);
    assert_int_equal(character_case(0x1c5), CHARACTER_IS_TITLE);
    assert_int_equal(character_case(0x4e00), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_character_becomes_one_or_several_in_another_case),
        cmocka_unit_test(test_classes_and_case_are_unicodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
