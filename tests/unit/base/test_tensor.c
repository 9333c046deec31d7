/* test_tensor.c - the sizes of blocks, compared with an independent list.
 *
 * The module adds up a block's parts; this list has the totals that other readers of the format use.
 */
#include "berth/base/tensor.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    uint32_t id;
    const char *name;
    uint32_t elems, bytes;
} known[] = {
    {0, "F32", 1, 4},
    {1, "F16", 1, 2},
    {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},
    {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},
    {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},
    {12, "Q4_K", 256, 144},
    {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},
    {15, "Q8_K", 256, 292},
    {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},
    {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136},
    {24, "I8", 1, 1},
    {25, "I16", 1, 2},
    {26, "I32", 1, 4},
    {27, "I64", 1, 8},
    {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},
    {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},
    {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},
    {42, "Q2_0", 64, 18},
};
static const size_t n_known = sizeof(known) / sizeof(known[0]);

static void test_every_type_has_the_size_that_the_format_gives_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_known; i++) {
        const struct tensor_type *t = tensor_type_find(known[i].id);
        assert_non_null(t);
        assert_int_equal(t->id, known[i].id);
        assert_string_equal(t->name, known[i].name);
        assert_int_equal(t->block_elems, known[i].elems);
        assert_int_equal(t->block_bytes, known[i].bytes);
    }
}

static void test_ids_that_are_removed_or_not_yet_given_have_no_type(void **state)
{
    (void)state;
    size_t found = 0;
    for (uint32_t id = 0; id < 1000; id++)
        found += tensor_type_find(id) != NULL;
    assert_int_equal(found, n_known);
    const uint32_t none[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_null(tensor_type_find(none[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_has_the_size_that_the_format_gives_it),
        cmocka_unit_test(test_ids_that_are_removed_or_not_yet_given_have_no_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
