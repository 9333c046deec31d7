/* test_wkv.c - the recurrences of RWKV: the plain function compared with its formula in double, the others with the plain
 * one, bit by bit, whole and token by token.
 */
#include "berth/kernels/wkv.h"

#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <math.h>
#include <string.h>

#include <cmocka.h>

#define TOKENS 7
#define KEYS 131 /* the most */
#define STRIDE (KEYS + 2)
#define VALUES (DELTA_COLUMNS + 1)

static uint32_t seed = 1;

static void fill(float *x, size_t n, float least, float most)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = least + (float)(seed >> 8 & 0xffff) / 65536.0f * (most - least);
    }
}

/* What a recurrence reads, and what it has written. */
struct data {
    float before[KEYS * DELTA_COLUMNS], after[KEYS * DELTA_COLUMNS];
    float r[TOKENS * STRIDE], w[TOKENS * STRIDE], k[TOKENS * STRIDE], kk[TOKENS * STRIDE], b[TOKENS * STRIDE];
    float v[TOKENS * VALUES], out[TOKENS * STRIDE];
};

static void make(struct data *d)
{
    fill(d->before, KEYS * DELTA_COLUMNS, -1, 1);
    fill(d->r, TOKENS * STRIDE, -0.2f, 0.2f);
    fill(d->w, TOKENS * STRIDE, 0, 1);
    fill(d->k, TOKENS * STRIDE, -0.1f, 0.1f);
    fill(d->kk, TOKENS * STRIDE, -0.1f, 0.1f);
    fill(d->b, TOKENS * STRIDE, -0.1f, 0.1f);
    fill(d->v, TOKENS * VALUES, -2, 2);
    memset(d->after, 0, sizeof(d->after));
    memset(d->out, 0, sizeof(d->out));
}

enum way { LINEAR, VERSION_6, VERSION_7, WAYS };

struct shape {
    size_t columns, keys;
    enum way way;
    bool zeros;
};

/* `first` tokens in one call, the others one by one. */
static void run(struct data *d, const struct shape *s, size_t first)
{
    for (size_t t = 0, n = first; t < TOKENS; t += n, n = 1) {
        const float *before = s->zeros ? NULL : d->before;
        wkv(&(struct wkv_block){.columns = s->columns,
            .keys = s->keys,
            .tokens = n,
            .before = t > 0 ? d->after : before,
            .after = d->after,
            .r = d->r + t * STRIDE,
            .w = d->w + t * STRIDE,
            .k = d->k + t * STRIDE,
            .kk = s->way == VERSION_7 ? d->kk + t * STRIDE : NULL,
            .b = s->way == VERSION_7 ? d->b + t * STRIDE : NULL,
            .early = s->way == VERSION_6,
            .v = d->v + t * VALUES,
            .out = d->out + t * STRIDE,
            .stride = STRIDE,
            .v_stride = VALUES});
    }
}

static void check_column(const struct data *d, const struct shape *s, size_t column)
{
    double state[KEYS];
    for (size_t i = 0; i < s->keys; i++)
        state[i] = s->zeros ? 0 : (double)d->before[i * DELTA_COLUMNS + column];
    for (size_t t = 0; t < TOKENS; t++) {
        double held = 0, early = 0, late = 0, v = (double)d->v[t * VALUES + column];
        for (size_t i = 0; i < s->keys; i++) {
            held += s->way == VERSION_7 ? state[i] * (double)d->kk[t * STRIDE + i] : 0;
            early += state[i] * (double)d->r[t * STRIDE + i];
        }
        for (size_t i = 0; i < s->keys; i++) {
            state[i] = state[i] * (double)d->w[t * STRIDE + i] + (double)d->k[t * STRIDE + i] * v -
                       (double)d->b[t * STRIDE + i] * held;
            late += state[i] * (double)d->r[t * STRIDE + i];
        }
        double out = s->way == VERSION_6 ? early : late;
        assert_true(fabs((double)d->out[t * STRIDE + column] - out) < 1e-5);
    }
    for (size_t i = 0; i < s->keys; i++)
        assert_true(fabs((double)d->after[i * DELTA_COLUMNS + column] - state[i]) < 1e-5);
}

static void for_each_shape(void (*check)(const struct shape *s))
{
    static const size_t columns[] = {1, 15, 16, 17, DELTA_COLUMNS}, keys[] = {1, 3, 4, 64, 128, KEYS};
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++)
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
            for (int way = 0; way < 2 * WAYS; way++)
                check(&(struct shape){columns[c], keys[k], (enum way)(way / 2), way % 2});
}

static void check_formula(const struct shape *s)
{
    static struct data d;
    make(&d);
    run(&d, s, TOKENS);
    for (size_t column = 0; column < s->columns; column++)
        check_column(&d, s, column);
    for (size_t t = 0; t < TOKENS; t++) /* nothing is written beside the columns */
        assert_true(d.out[t * STRIDE + s->columns] == 0);
}

static void test_the_recurrences_are_what_their_formulas_say(void **state)
{
    (void)state;
    for_each_shape(check_formula);
}

static void check_sets(const struct shape *s)
{
    static struct data want, got;
    struct error err;
    make(&want);
    got = want;
    assert_true(isa_select("plain", &err));
    run(&want, s, TOKENS);
    for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
        if (!isa_select(isa_name((enum isa)set), &err))
            continue;
        for (size_t first = 1; first <= TOKENS; first += 3) {
            struct data d = got;
            run(&d, s, first);
            assert_memory_equal(d.out, want.out, sizeof(d.out));
            assert_memory_equal(d.after, want.after, s->keys * DELTA_COLUMNS * sizeof(float));
        }
    }
}

static void test_every_set_gives_the_same_bits(void **state)
{
    (void)state;
    for_each_shape(check_sets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_recurrences_are_what_their_formulas_say),
        cmocka_unit_test(test_every_set_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
