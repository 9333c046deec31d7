/* test_selective_scan.c - the selective scan and its convolution: the plain functions compared with their formulas in double, the
 * others with the plain ones, bit by bit, whole and token by token.
 */
#include "berth/kernels/scan.h"

#include "berth/kernels/isa.h"
#include "berth/kernels/vector.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <math.h>
#include <string.h>

#include <cmocka.h>

#define TOKENS 9
#define STATES 40 /* the most */
#define STRIDE (SCAN_ROWS + 3)
#define CHANNELS 70
#define TAPS 5

static uint32_t seed = 1;

static float dice(float most)
{
    seed = seed * 1664525u + 1013904223u;
    return ((float)(seed >> 8 & 0xffff) / 32768.0f - 1.0f) * most;
}

static void fill(float *x, size_t n, float most)
{
    for (size_t i = 0; i < n; i++)
        x[i] = dice(most);
}

/* What a scan reads, and what it has written. */
struct data {
    float before[STATES * SCAN_ROWS], after[STATES * SCAN_ROWS], a[STATES * SCAN_ROWS];
    float x[TOKENS * STRIDE], z[TOKENS * STRIDE], dt[TOKENS * STRIDE], d[SCAN_ROWS], b[TOKENS * STATES],
        c[TOKENS * STATES];
    float y[TOKENS * STRIDE];
};

static void make(struct data *d)
{
    fill(d->before, STATES * SCAN_ROWS, 1.0f);
    fill(d->x, TOKENS * STRIDE, 3.0f);
    fill(d->z, TOKENS * STRIDE, 3.0f);
    fill(d->d, SCAN_ROWS, 1.0f);
    fill(d->b, TOKENS * STATES, 1.0f);
    fill(d->c, TOKENS * STATES, 1.0f);
    for (size_t i = 0; i < STATES * SCAN_ROWS; i++)
        d->a[i] = -fabsf(dice(8.0f));
    for (size_t i = 0; i < TOKENS * STRIDE; i++)
        d->dt[i] = fabsf(dice(1.0f));
    memset(d->after, 0, sizeof(d->after));
    memset(d->y, 0, sizeof(d->y));
}

/* `first` tokens in one call, the others one by one. */
static void run(struct data *d, bool channels, size_t rows, size_t states, bool zeros, size_t first)
{
    for (size_t t = 0, n = first; t < TOKENS; t += n, n = 1) {
        const float *before = zeros ? NULL : d->before;
        struct scan_block s = {.rows = rows,
            .states = states,
            .tokens = n,
            .before = t > 0 ? d->after : before,
            .after = d->after,
            .x = d->x + t * STRIDE,
            .x_stride = STRIDE,
            .dt = d->dt + t * STRIDE,
            .dt_stride = STRIDE,
            .a = d->a,
            .d = d->d,
            .z = d->z + t * STRIDE,
            .z_stride = STRIDE,
            .b = d->b + t * STATES,
            .c = d->c + t * STATES,
            .b_stride = STATES,
            .c_stride = STATES,
            .y = d->y + t * STRIDE,
            .y_stride = STRIDE};
        (channels ? scan_channels : scan_head)(&s);
    }
}

static void check_row(const struct data *d, bool channels, size_t row, size_t states, bool zeros)
{
    double state[STATES];
    for (size_t k = 0; k < states; k++)
        state[k] = zeros ? 0 : (double)d->before[k * SCAN_ROWS + row];
    for (size_t t = 0; t < TOKENS; t++) {
        double dt = (double)d->dt[t * STRIDE + (channels ? row : 0)], y = 0;
        for (size_t k = 0; k < states; k++) {
            double a = (double)d->a[channels ? k * SCAN_ROWS + row : 0];
            state[k] =
                state[k] * exp(dt * a) + (double)d->b[t * STATES + k] * (double)d->x[t * STRIDE + row] * dt;
            y += state[k] * (double)d->c[t * STATES + k];
        }
        double z = (double)d->z[t * STRIDE + row];
        y += (double)d->d[channels ? row : 0] * (double)d->x[t * STRIDE + row];
        assert_true(fabs((double)d->y[t * STRIDE + row] - y * z / (1 + exp(-z))) < 1e-4);
    }
    for (size_t k = 0; k < states; k++)
        assert_true(fabs((double)d->after[k * SCAN_ROWS + row] - state[k]) < 1e-5);
}

static void test_a_scan_is_what_its_formula_says(void **state)
{
    (void)state;
    static struct data d;
    for (size_t rows = 1; rows <= SCAN_ROWS; rows++)
        for (int way = 0; way < 4; way++) {
            make(&d);
            run(&d, way & 1, rows, 16, way & 2, TOKENS);
            for (size_t row = 0; row < rows; row++)
                check_row(&d, way & 1, row, 16, way & 2);
            for (size_t t = 0; t < TOKENS; t++)
                for (size_t i = rows; i < STRIDE; i++)
                    assert_true(d.y[t * STRIDE + i] == 0.0f);
        }
}

static void test_every_set_and_cut_gives_the_same_bits(void **state)
{
    (void)state;
    static struct data plain, fast;
    static const size_t sizes[] = {1, 15, 16, 17, 31, 32}, states[] = {1, 16, 40};
    struct error err;
    for (size_t i = 0; i < 6 * 3 * 4; i++) {
        size_t rows = sizes[i % 6], n = states[i / 6 % 3];
        bool channels = i / 18 & 1, zeros = i / 36 & 1;
        make(&plain);
        fast = plain;
        isa_select("plain", &err);
        run(&plain, channels, rows, n, zeros, TOKENS);
        for (int set = ISA_PLAIN; set < ISA_SETS; set++)
            for (size_t first = 1; first <= TOKENS && isa_select(isa_name((enum isa)set), &err); first += 4) {
                memset(fast.after, 0xff, sizeof(fast.after));
                run(&fast, channels, rows, n, zeros, first);
                assert_memory_equal(plain.after, fast.after, n * SCAN_ROWS * sizeof(float));
                assert_memory_equal(plain.y, fast.y, sizeof(plain.y));
            }
    }
    isa_select("plain", &err);
}

static void convolve(
    float *out, const float *x, const float *taps, const float *bias, size_t n_taps, size_t n)
{
    const float *rows[TAPS];
    for (size_t j = 0; j < n_taps; j++)
        rows[j] = x + j * CHANNELS;
    memset(out, 0, CHANNELS * sizeof(float));
    scan_convolve(out, rows, taps, CHANNELS, bias, n_taps, n);
}

static void test_a_convolution_is_what_its_formula_says_in_every_set(void **state)
{
    (void)state;
    float x[TAPS * CHANNELS], taps[TAPS * CHANNELS], bias[CHANNELS], want[CHANNELS], got[CHANNELS];
    struct error err;
    for (size_t n = 1; n <= CHANNELS; n++) {
        size_t n_taps = n % TAPS + 1;
        fill(x, TAPS * CHANNELS, 2.0f);
        fill(taps, TAPS * CHANNELS, 2.0f);
        fill(bias, CHANNELS, 1.0f);
        isa_select("plain", &err);
        convolve(want, x, taps, n % 2 ? bias : NULL, n_taps, n);
        for (size_t i = 0; i < n; i++) {
            double sum = n % 2 ? (double)bias[i] : 0;
            for (size_t j = 0; j < n_taps; j++)
                sum += (double)taps[j * CHANNELS + i] * (double)x[j * CHANNELS + i];
            assert_true(fabs((double)want[i] - sum / (1 + exp(-sum))) < 1e-5);
        }
        for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
            if (!isa_select(isa_name((enum isa)set), &err))
                continue;
            convolve(got, x, taps, n % 2 ? bias : NULL, n_taps, n);
            assert_memory_equal(want, got, sizeof(want));
        }
    }
    isa_select("plain", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_scan_is_what_its_formula_says),
        cmocka_unit_test(test_every_set_and_cut_gives_the_same_bits),
        cmocka_unit_test(test_a_convolution_is_what_its_formula_says_in_every_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
