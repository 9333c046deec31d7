/* test_half.c - 16-bit floats, against their definition and against the processor's own conversion.
 *
 * The definition is computed in double, where every half and every point between two of them is exact.
 */
#include "berth/base/half.h"

#include <stdarg.h>
#include <stdbool.h>
#include <setjmp.h>

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include <cmocka.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The value of the half, by its definition. The largest exponent is treated like the others here. */
static double meaning(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 0x3ff);
    double size = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

static void test_every_half_becomes_the_float_of_the_same_worth(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        uint32_t got = bits_of(half_to_float((uint16_t)bits));
        if ((bits & 0x7fff) < 0x7c00)
            assert_int_equal(got, bits_of((float)meaning(bits)));
        else if ((bits & 0x7fff) == 0x7c00)
            assert_int_equal(got, bits & 0x8000 ? 0xff800000 : 0x7f800000);
        else
            assert_int_equal(got, (bits & 0x8000) << 16 | 0x7fc00000 | (bits & 0x3ff) << 13);
    }
}

static void test_every_half_survives_the_way_to_float_and_back(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        bool nan = (bits & 0x7fff) > 0x7c00;
        assert_int_equal(half_from_float(half_to_float((uint16_t)bits)), nan ? bits | 0x200 : bits);
    }
}

/* Each pair of neighbours has a middle. The float in the middle is rounded to the even neighbour, the next float on either
 * side to the nearer one. Infinity is the neighbour with the next value here. */
static void test_floats_go_to_the_nearest_half_and_ties_to_the_even_one(void **state)
{
    (void)state;
    for (unsigned low = 0; low < 0x7c00; low++) {
        float middle = (float)((meaning(low) + meaning(low + 1)) / 2);
        unsigned even = low + (low & 1);
        assert_int_equal(half_from_float(middle), even);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), low);
        assert_int_equal(half_from_float(nextafterf(middle, INFINITY)), low + 1);
        assert_int_equal(half_from_float(-middle), even | 0x8000);
    }
    assert_int_equal(half_from_float(65504.0f), 0x7bff);
    assert_int_equal(half_from_float(1e30f), 0x7c00);
    assert_int_equal(half_from_float(-INFINITY), 0xfc00);
    assert_int_equal(half_from_float(float_of(1)), 0);
    assert_int_equal(half_from_float(float_of(0x80000001)), 0x8000);
}

static void test_brain_floats_are_the_upper_half_and_round_to_even(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        uint32_t wide = bits << 16;
        bool nan = (bits & 0x7fff) > 0x7f80;
        assert_int_equal(bits_of(bfloat_to_float((uint16_t)bits)), wide);
        assert_int_equal(bfloat_from_float(float_of(wide)), nan ? bits | 0x40 : bits);
        if ((bits & 0x7fff) >= 0x7f80)
            continue;
        assert_int_equal(bfloat_from_float(float_of(wide + 0x7fff)), bits);
        assert_int_equal(bfloat_from_float(float_of(wide + 0x8000)), bits + (bits & 1));
        assert_int_equal(bfloat_from_float(float_of(wide + 0x8001)), bits + 1);
    }
    assert_int_equal(bfloat_from_float(float_of(0x7f800001)), 0x7fc0);
}

/* Converts five numbers by one pair of functions. The memory after the last one must not change. */
static void check_rows(size_t shift, void (*narrow)(void *, const float *, size_t), uint16_t (*one)(float),
    void (*widen)(float *, const void *, size_t), float (*back)(uint16_t))
{
    static const float values[5] = {1, -2.5f, 65504, 1e-7f, 3};
    unsigned char room[16];
    float wide[6];
    memset(room, 0x88, sizeof(room));
    memset(wide, 0x88, sizeof(wide));
    narrow(room + shift, values, 5);
    widen(wide, room + shift, 5);
    for (size_t i = 0; i < 5; i++) {
        uint16_t bits;
        memcpy(&bits, room + shift + 2 * i, sizeof(bits));
        assert_int_equal(bits, one(values[i]));
        assert_int_equal(bits_of(wide[i]), bits_of(back(bits)));
    }
    assert_int_equal(room[shift + 10], 0x88);
    assert_int_equal(bits_of(wide[5]), 0x88888888);
}

static void test_rows_at_any_address_are_their_numbers_one_by_one(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        check_rows(shift, half_from_floats, half_from_float, half_to_floats, half_to_float);
        check_rows(shift, bfloat_from_floats, bfloat_from_float, bfloat_to_floats, bfloat_to_float);
    }
}

#if defined(__x86_64__)
static bool processor_converts(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

__attribute__((target("f16c"))) static uint16_t processor_narrow(float value)
{
    return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
}

__attribute__((target("f16c"))) static float processor_widen(uint16_t bits)
{
    return _cvtsh_ss(bits);
}
#elif defined(__aarch64__)
static bool processor_converts(void)
{
    return true;
}

static uint16_t processor_narrow(float value)
{
    __fp16 half = (__fp16)value;
    uint16_t bits;
    memcpy(&bits, &half, sizeof(bits));
    return bits;
}

static float processor_widen(uint16_t bits)
{
    __fp16 half;
    memcpy(&half, &bits, sizeof(half));
    return (float)half;
}
#else
static bool processor_converts(void)
{
    return false;
}

static uint16_t processor_narrow(float value)
{
    return half_from_float(value);
}

static float processor_widen(uint16_t bits)
{
    return half_to_float(bits);
}
#endif

/* A step that is no power of two, so that all exponents come with many fractions. */
#define STEP 1009

static void test_the_processors_own_conversion_gives_the_same_bits(void **state)
{
    (void)state;
    if (!processor_converts()) {
        print_message("SKIPPED: half floats beside the processor's: it has no instruction for them\n");
        skip();
    }
    for (unsigned bits = 0; bits < 0x10000; bits++)
        assert_int_equal(bits_of(half_to_float((uint16_t)bits)), bits_of(processor_widen((uint16_t)bits)));
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += STEP) {
        float value = float_of((uint32_t)bits);
        if (half_from_float(value) != processor_narrow(value))
            fail_msg("%08x: %04x, but the processor has %04x", (unsigned)bits, half_from_float(value),
                processor_narrow(value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half_becomes_the_float_of_the_same_worth),
        cmocka_unit_test(test_every_half_survives_the_way_to_float_and_back),
        cmocka_unit_test(test_floats_go_to_the_nearest_half_and_ties_to_the_even_one),
        cmocka_unit_test(test_brain_floats_are_the_upper_half_and_round_to_even),
        cmocka_unit_test(test_rows_at_any_address_are_their_numbers_one_by_one),
        cmocka_unit_test(test_the_processors_own_conversion_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
