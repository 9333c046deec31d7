/* test_vector.c - rows of floats: the plain functions compared with the C library in double, the others with the plain ones,
 * bit by bit.
 */
#include "berth/kernels/vector.h"

#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MOST 1024

static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 100, 576, 1000};
#define N_SIZES (sizeof(sizes) / sizeof(*sizes))

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

/* All NaNs count as equal, because it is not defined which of two an addition keeps. */
static bool same(float a, float b)
{
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

static void assert_same(const float *want, const float *got, size_t n, const char *what, size_t size)
{
    for (size_t i = 0; i < n; i++)
        if (!same(want[i], got[i]))
            fail_msg("%s, %s, n = %zu: element %zu is %a, not %a", isa_name(isa_selected()), what, size, i,
                (double)got[i], (double)want[i]);
}

static uint32_t seed;

static uint32_t dice(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Between -most and most, some of them tiny. */
static void fill(float *x, size_t n, float most)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = ((float)(dice() % 20001) / 10000.0f - 1.0f) * most;
        if (dice() % 11 == 0)
            x[i] *= 1e-5f;
    }
}

/* ---- against the C library ---------------------------------------------------------------------------- */

/* How far `got` is from `want`, in units of the last place of a float32 near `want`. */
static double away(float got, double want)
{
    int exponent;
    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1.0, exponent - 24 < -149 ? -149 : exponent - 24);
}

static float erf_by_gate(float x)
{
    float out, in = x;
    vector_gate(&out, &in, NULL, VECTOR_GELU_ERF, 1);
    return out;
}

static float softplus(float x)
{
    float out;
    vector_softplus(&out, &x, 1);
    return out;
}

static double exact_softplus(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static double gelu_erf(double x)
{
    return x / 2 * (1 + erf(x / sqrt(2.0)));
}

/* All exponents and both signs, and among fractions a step that is prime. */
static void sweep(
    const char *what, float (*f)(float), double (*truth)(double), float from, float to, double bound)
{
    for (uint64_t bits = 0; bits < UINT32_MAX; bits += 1009) {
        float x = float_of((uint32_t)bits);
        if (!(x >= from && x <= to))
            continue;
        double want = truth((double)x);
        float got = f(x);
        bool fine = isfinite((float)want) ? away(got, want) <= bound : got == (float)want;
        if (!fine)
            fail_msg("%s(%a) is %a, not %a", what, (double)x, (double)got, want);
    }
}

static void test_exp_is_within_one_unit_at_every_exponent(void **state)
{
    (void)state;
    sweep("exp", vector_exp, exp, -87.3365f, INFINITY, 1.0);
    assert_true(vector_exp(0.0f) == 1.0f && vector_exp(-0.0f) == 1.0f);
}

static void test_exp_below_the_normal_numbers_is_zero(void **state)
{
    (void)state;
    for (float x = -87.33655f; x > -1e38f; x *= 1.0001f)
        assert_true(bits_of(vector_exp(x)) == 0);
    assert_true(bits_of(vector_exp(-INFINITY)) == 0);
}

static void test_tanh_is_within_two_units_at_every_exponent(void **state)
{
    (void)state;
    sweep("tanh", vector_tanh, tanh, -INFINITY, INFINITY, 1.6);
}

static void test_softplus_is_within_three_units_at_every_exponent(void **state)
{
    (void)state;
    sweep("softplus", softplus, exact_softplus, -87.0f, INFINITY, 3.0);
    assert_true(softplus(-200.0f) == 0.0f && isnan(softplus(NAN)));
}

static void test_log_is_the_nearest_float(void **state)
{
    (void)state;
    sweep("log", vector_log, log, 0.0f, INFINITY, 0.501);
    assert_true(isnan(vector_log(-1.0f)));
}

static void test_what_is_no_number_stays_none(void **state)
{
    (void)state;
    static const uint32_t nans[] = {0x7fc00000, 0xffc00000, 0x7fc001ff, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof(nans) / sizeof(*nans); i++) {
        float x = float_of(nans[i]);
        assert_true(isnan(vector_exp(x)) && isnan(vector_tanh(x)) && isnan(vector_log(x)));
        for (int f = VECTOR_SILU; f <= VECTOR_EXP; f++) {
            float out;
            vector_gate(&out, &x, NULL, (enum vector_gate)f, 1);
            assert_true(isnan(out));
        }
    }
    float sine, cosine;
    vector_sin_cos((double)INFINITY, &sine, &cosine);
    assert_true(isnan(sine) && isnan(cosine));
    assert_true(isnan(vector_power(-1.0, 2.0)));
}

static void test_sine_and_cosine_are_the_nearest_floats_up_to_ten_million(void **state)
{
    (void)state;
    for (double angle = -1e7; angle < 1e7; angle += 139.1317) {
        float sine, cosine;
        vector_sin_cos(angle, &sine, &cosine);
        if (away(sine, sin(angle)) > 0.501 || away(cosine, cos(angle)) > 0.501)
            fail_msg("angle %a: sine %a, cosine %a", angle, (double)sine, (double)cosine);
    }
    for (int quarter = -4000; quarter < 4000; quarter++) {
        float sine, cosine;
        double angle = quarter * 1.5707963267948966;
        vector_sin_cos(angle, &sine, &cosine);
        assert_true(away(sine, sin(angle)) <= 0.501 && away(cosine, cos(angle)) <= 0.501);
    }
}

static void test_power_is_right_to_two_units_in_double(void **state)
{
    (void)state;
    for (double base = 1e-3; base < 1e7; base *= 1.371)
        for (double exponent = -40; exponent < 40; exponent += 0.371) {
            double want = pow(base, exponent), got = vector_power(base, exponent);
            if (fabs(got - want) > 2.0 * 0x1p-52 * want)
                fail_msg("%a to the %a is %a, not %a", base, exponent, got, want);
        }
    assert_true(vector_power(10.0, 400.0) == INFINITY && vector_power(10.0, -400.0) == 0.0);
    assert_true(vector_power(2.0, -1074.0) == 0x1p-1074 && vector_power(123.0, 0.0) == 1.0);
}

static void test_gates_are_what_their_formulas_say(void **state)
{
    (void)state;
    sweep("gelu by erf", erf_by_gate, gelu_erf, -2.0f, 1e30f, 24.0);
    for (double x = -30; x < 30; x += 0.00171) {
        float in = (float)x, up = 3.0f, out;
        double exact = (double)in;
        vector_gate(&out, &in, &up, VECTOR_SILU, 1);
        assert_true(fabs((double)out - 3 * exact / (1 + exp(-exact))) <= 1e-6 * fabs(exact));
        vector_gate(&out, &in, &up, VECTOR_GELU, 1);
        double inside = sqrt(2 / 3.14159265358979324) * (exact + 0.044715 * exact * exact * exact);
        assert_true(fabs((double)out - 1.5 * exact * (1 + tanh(inside))) <= 1e-6 * fabs(exact));
        vector_gate(&out, &in, &up, VECTOR_GELU_ERF, 1);
        assert_true(fabs((double)out - 3 * gelu_erf(exact)) <= 1e-6 * fabs(exact));
        vector_gate(&out, &in, &up, VECTOR_RELU, 1);
        assert_true(out == (in > 0 ? 3 * in : 0));
        vector_gate(&out, &in, &up, VECTOR_RELU_SQUARED, 1);
        assert_true(out == (in > 0 ? 3 * (in * in) : 0));
        vector_gate(&out, &in, &up, VECTOR_SIGMOID, 1);
        assert_true(fabs((double)out - 3 / (1 + exp(-exact))) <= 1e-6);
        vector_gate(&out, &in, &up, VECTOR_EXP, 1);
        assert_true(fabs((double)out - 3 * exp(exact)) <= 3e-7 * 3 * exp(exact));
        vector_softplus(&out, &in, 1);
        assert_true(fabs((double)out - log1p(exp(exact))) <= 1e-6 + 1e-7 * fabs(exact));
        static const struct vector_xielu curve = {0.8f, 1.3f, 0.5f, -1e-6f};
        vector_xielu(&out, &in, &curve, 1);
        double bent = in > 0 ? 0.8 * exact * exact : 1.3 * (expm1(fmin(exact, -1e-6)) - exact);
        assert_true(fabs((double)out - (bent + 0.5 * exact)) <= 2e-6 + 3e-7 * exact * exact);
        vector_clamp(&out, &in, 2.0f, 1);
        assert_true(out == fmaxf(-2, fminf(2, in)));
    }
}

static void test_norms_are_what_their_formulas_say(void **state)
{
    (void)state;
    static float x[MOST], weight[MOST], bias[MOST], out[MOST];
    for (size_t k = 1; k < N_SIZES; k++) {
        size_t n = sizes[k];
        fill(x, n, 3.0f);
        fill(weight, n, 2.0f);
        fill(bias, n, 1.0f);
        double sum = 0, squares = 0, spread = 0;
        for (size_t i = 0; i < n; i++) {
            sum += (double)x[i];
            squares += (double)x[i] * (double)x[i];
        }
        double mean = sum / (double)n;
        for (size_t i = 0; i < n; i++)
            spread += ((double)x[i] - mean) * ((double)x[i] - mean);
        double root = sqrt(squares / (double)n + 1e-5), deviation = sqrt(spread / (double)n + 1e-5);
        vector_rms_norm(out, x, weight, 1e-5f, n);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)out[i] - (double)x[i] / root * (double)weight[i]) < 2e-6);
        vector_layer_norm(out, x, weight, bias, 1e-5f, n);
        for (size_t i = 0; i < n; i++) {
            double want = ((double)x[i] - mean) / deviation * (double)weight[i] + (double)bias[i];
            assert_true(fabs((double)out[i] - want) < 2e-4); /* n = 2: the mean cancels nearly all */
        }
    }
}

static void test_softmax_sums_to_one_and_keeps_proportions(void **state)
{
    (void)state;
    static float x[MOST], out[MOST];
    for (size_t k = 1; k < N_SIZES; k++) {
        size_t n = sizes[k];
        fill(x, n, 20.0f);
        double most = (double)vector_max(x, n), sum = 0, total = 0;
        for (size_t i = 0; i < n; i++)
            sum += exp((double)x[i] - most);
        assert_true(fabs((double)vector_exp_sum(x, (float)most, n) - sum) <= 1e-6 * sum);
        vector_softmax(out, x, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(fabs((double)out[i] - exp((double)x[i] - most) / sum) <= 2e-6);
            total += (double)out[i];
        }
        assert_true(fabs(total - 1) < 1e-5);
    }
}

static void test_a_rotation_turns_the_pairs_that_it_is_told(void **state)
{
    (void)state;
    const float cos_sin[] = {0.0f, 1.0f, 1.0f, 0.0f, -1.0f, 0.0f};
    float beside[] = {1, 2, 3, 4, 5, 6}, halves[] = {1, 3, 5, 2, 4, 6};
    const float want_beside[] = {-2, 1, 3, 4, -5, -6}, want_halves[] = {-2, 3, -5, 1, 4, -6};
    vector_rotate(beside, cos_sin, 3, false);
    vector_rotate(halves, cos_sin, 3, true);
    for (size_t i = 0; i < 6; i++)
        assert_true(beside[i] == want_beside[i] && halves[i] == want_halves[i]);
}

static void test_a_sum_goes_by_sixteen_lanes_and_a_tree(void **state)
{
    (void)state;
    float x[17] = {[0] = 1.0f, [1] = 0x1p24f, [8] = 0x1p24f, [9] = -0x1p24f, [16] = 1.0f};
    /* Lane 0 is 1 + 1, then 2 + 2^24; lanes 1 and 9 are 0 together. Added in the order of elements, both ones
     * are lost. */
    assert_true(vector_sum(x, 17) == 0x1p24f + 2.0f);
    assert_true(vector_max(x, 0) == -INFINITY);
    x[3] = NAN;
    assert_true(vector_max(x, 17) == 0x1p24f);
}

/* ---- against the plain ones --------------------------------------------------------------------------- */

struct result {
    float numbers[4];
    float rows[20][MOST];
};

/* Everything, on one input of n elements. Rows begin at odd addresses, and end where nothing may be
 * written. */
static void compute(struct result *r, size_t n, float most)
{
    static float a[MOST + 1], b[MOST + 1], c[MOST + 1];
    memset(r, 0, sizeof(*r));
    fill(a, MOST + 1, most);
    fill(b, MOST + 1, most);
    fill(c, MOST + 1, 1.0f);
    float *x = a + 1, *y = b + 1, *z = c + 1;
    r->numbers[0] = vector_sum(x, n);
    r->numbers[1] = vector_dot(x, y, n);
    r->numbers[2] = vector_max(x, n);
    r->numbers[3] = vector_exp_sum(x, r->numbers[2], n);
    vector_add(r->rows[0], x, y, n);
    vector_multiply(r->rows[1], x, y, n);
    vector_scale(r->rows[2], x, 0.3f, n);
    memcpy(r->rows[3], x, n * sizeof(float));
    vector_add_scaled(r->rows[3], y, 0.3f, n);
    vector_rms_norm(r->rows[4], x, NULL, 1e-6f, n);
    vector_rms_norm(r->rows[5], x, y, 1e-6f, n);
    vector_layer_norm(r->rows[6], x, y, z, 1e-6f, n);
    vector_layer_norm(r->rows[7], x, NULL, NULL, 1e-6f, n);
    for (int f = VECTOR_SILU; f <= VECTOR_EXP; f++)
        vector_gate(r->rows[8 + f], x, f % 2 ? NULL : y, (enum vector_gate)f, n);
    vector_softcap(r->rows[15], x, 5.0f, n);
    vector_softmax(r->rows[16], x, n);
    memcpy(r->rows[17], x, n * sizeof(float));
    vector_rotate(r->rows[17], z, n / 2, false);
    vector_rotate(r->rows[17], y, n / 2, true);
    vector_divide(r->rows[18], x, 0.3f, n);
    vector_softplus(r->rows[19], x, n);
}

static void compare_all(size_t n, float most)
{
    static struct result plain, fast;
    struct error err;
    uint32_t start = seed;
    isa_select("plain", &err);
    compute(&plain, n, most);
    for (int set = ISA_PLAIN + 1; set < ISA_SETS; set++) {
        if (!isa_select(isa_name((enum isa)set), &err))
            continue;
        seed = start;
        compute(&fast, n, most);
        assert_same(plain.numbers, fast.numbers, 4, "sums", n);
        for (size_t row = 0; row < 20; row++) {
            char what[32];
            snprintf(what, sizeof(what), "row %zu", row);
            assert_same(plain.rows[row], fast.rows[row], MOST, what, n);
        }
    }
    isa_select("plain", &err);
}

static void test_every_set_gives_the_same_bits_at_every_size(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_SIZES; k++)
        for (float most = 1e-30f; most < 1e30f; most *= 1e5f)
            compare_all(sizes[k], most);
}

/* exp, tanh and erf of numbers of every exponent, infinities and NaNs. */
static void test_every_set_gives_the_same_bits_at_every_exponent(void **state)
{
    (void)state;
    static float x[MOST], want[MOST], got[MOST];
    struct error err;
    for (uint32_t step = 0; step < 256; step++) {
        for (uint32_t i = 0; i < MOST; i++)
            x[i] = float_of((step << 24) + i * 16411u);
        for (int f = VECTOR_SILU; f <= VECTOR_EXP + 3; f++) {
            for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
                if (!isa_select(isa_name((enum isa)set), &err))
                    continue;
                float *out = set == ISA_PLAIN ? want : got;
                if (f <= VECTOR_EXP)
                    vector_gate(out, x, NULL, (enum vector_gate)f, MOST);
                else if (f == VECTOR_EXP + 1)
                    vector_softcap(out, x, 1.0f, MOST);
                else if (f == VECTOR_EXP + 2)
                    vector_softplus(out, x, MOST);
                else
                    memcpy(out, x, sizeof(x)), vector_softmax(out, out, MOST);
                assert_same(want, out, MOST, "function", step);
            }
        }
    }
    isa_select("plain", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_within_one_unit_at_every_exponent),
        cmocka_unit_test(test_exp_below_the_normal_numbers_is_zero),
        cmocka_unit_test(test_tanh_is_within_two_units_at_every_exponent),
        cmocka_unit_test(test_softplus_is_within_three_units_at_every_exponent),
        cmocka_unit_test(test_log_is_the_nearest_float),
        cmocka_unit_test(test_what_is_no_number_stays_none),
        cmocka_unit_test(test_sine_and_cosine_are_the_nearest_floats_up_to_ten_million),
        cmocka_unit_test(test_power_is_right_to_two_units_in_double),
        cmocka_unit_test(test_gates_are_what_their_formulas_say),
        cmocka_unit_test(test_norms_are_what_their_formulas_say),
        cmocka_unit_test(test_softmax_sums_to_one_and_keeps_proportions),
        cmocka_unit_test(test_a_rotation_turns_the_pairs_that_it_is_told),
        cmocka_unit_test(test_a_sum_goes_by_sixteen_lanes_and_a_tree),
        cmocka_unit_test(test_every_set_gives_the_same_bits_at_every_size),
        cmocka_unit_test(test_every_set_gives_the_same_bits_at_every_exponent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
