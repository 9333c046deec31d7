/* test_weights.c - the weights of bench_kernels have values that real models have. */
#include "bench/weights.h"

#include "berth/base/half.h"
#include "berth/base/tensor.h"
#include "berth/kernels/matmul.h"

#include <stdarg.h>
#include <setjmp.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES 200001 /* more than the pattern that is repeated, and no whole number of blocks */

static void test_every_type_with_kernels_can_be_filled_and_no_other(void **state)
{
    (void)state;
    static uint8_t bytes[64];
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++) {
        struct matmul_weight w;
        bool listed = false;
        uint32_t type;
        for (size_t i = 0; weights_type(i, &type); i++)
            listed = listed || type == id;
        bool has_kernels = id == TENSOR_F32 || id == TENSOR_F16 || id == TENSOR_BF16 ||
                           (matmul_weight_init(&w, id, NULL, 1, 256, false) && matmul_takes_packed(&w));
        assert_int_equal(listed, has_kernels);
        assert_int_equal(weights_fill(bytes, sizeof(bytes), id), has_kernels);
    }
}

/* Not subnormal, for one; for the other, as large as weights of models are. */
static void check_values(const struct quant *q, const uint8_t *blocks, size_t n)
{
    float values[256], most = 0;
    double sum = 0, squares = 0;
    for (size_t b = 0; b < n; b++) {
        quant_to_floats(q, values, blocks + b * q->block_bytes, 1);
        for (size_t i = 0; i < q->block_elems; i++) {
            const float size = fabsf(values[i]);
            if (!(size == 0 || (size >= 0x1p-40f && size <= 1)))
                fail_msg("%s: weight %zu of block %zu is %a", tensor_type_find(q->id)->name, i, b,
                    (double)values[i]);
            most = fmaxf(most, size);
            sum += (double)values[i];
            squares += (double)values[i] * (double)values[i];
        }
    }
    const double count = (double)(n * q->block_elems), mean = sum / count;
    assert_true(most > 0.25f);
    assert_true(fabs(mean) < 0.25);
    assert_true(sqrt(squares / count - mean * mean) > 0.05);
}

/* The float16 scales and minima, wherever the block has them. */
static void check_halves(const struct quant *q, const uint8_t *blocks, size_t n)
{
    static const struct {
        uint32_t type;
        size_t at[2], n;
    } halves[] = {
        {TENSOR_F16, {0}, 1},
        {TENSOR_Q4_0, {0}, 1},
        {TENSOR_Q4_1, {0, 2}, 2},
        {TENSOR_Q5_0, {0}, 1},
        {TENSOR_Q5_1, {0, 2}, 2},
        {TENSOR_Q8_0, {0}, 1},
        {TENSOR_Q2_K, {80, 82}, 2},
        {TENSOR_Q3_K, {108}, 1},
        {TENSOR_Q4_K, {0, 2}, 2},
        {TENSOR_Q5_K, {0, 2}, 2},
        {TENSOR_Q6_K, {208}, 1},
        {TENSOR_IQ4_NL, {0}, 1},
        {TENSOR_IQ4_XS, {0}, 1},
        {TENSOR_TQ1_0, {52}, 1},
        {TENSOR_TQ2_0, {64}, 1},
        {TENSOR_Q1_0, {0}, 1},
        {TENSOR_Q2_0, {0}, 1},
        {TENSOR_IQ2_XXS, {0}, 1},
        {TENSOR_IQ2_XS, {0}, 1},
        {TENSOR_IQ2_S, {0}, 1},
        {TENSOR_IQ3_XXS, {0}, 1},
        {TENSOR_IQ3_S, {0}, 1},
        {TENSOR_IQ1_S, {0}, 1},
    };
    for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
        for (size_t b = 0; halves[i].type == q->id && b < n; b++)
            for (size_t h = 0; h < halves[i].n; h++) {
                uint16_t bits;
                memcpy(&bits, blocks + b * q->block_bytes + halves[i].at[h], sizeof(bits));
                if (!(fabsf(half_to_float(bits)) >= 0x1p-14f))
                    fail_msg("%s: scale %zu of block %zu is %a", tensor_type_find(q->id)->name, h, b,
                        (double)half_to_float(bits));
            }
}

static void test_no_weight_and_no_scale_is_subnormal(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(BYTES);
    uint32_t type;
    assert_non_null(bytes);
    for (size_t i = 0; weights_type(i, &type); i++) {
        const struct quant *q = quant_find(type);
        memset(bytes, 0xff, BYTES);
        assert_true(weights_fill(bytes, BYTES, type));
        check_values(q, bytes, BYTES / q->block_bytes);
        check_halves(q, bytes, BYTES / q->block_bytes);
        for (size_t at = BYTES / q->block_bytes * q->block_bytes; at < BYTES; at++)
            assert_int_equal(bytes[at], 0);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_with_kernels_can_be_filled_and_no_other),
        cmocka_unit_test(test_no_weight_and_no_scale_is_subnormal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
