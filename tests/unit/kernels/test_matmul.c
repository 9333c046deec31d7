/* test_matmul.c - products: plain C compared with arithmetic in double, every other set of kernels with plain C.
 *
 * Between sets, and between ways to divide a product, bytes are compared. Weights end at the end of a page, so they begin
 * at any address. They are random bytes, which are drawn again until their values have a usual size.
 */
#include "berth/kernels/matmul.h"

#include "berth/kernels/isa.h"
#include "berth/base/tensor.h"
#include "every.h"

#include <stdarg.h>
#include <setjmp.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define GAP 3 /* floats between the rows of x and of outputs, which must not be read or written */

static uint64_t state_of_random = 1;

static uint32_t draw(void)
{
    state_of_random = state_of_random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state_of_random >> 32);
}

/* Between -1 and 1. */
static float draw_float(void)
{
    return (float)((int32_t)draw()) * 0x1p-31f;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits;
}

/* ---- a product: weights at the end of a page, activations, packed ---- */

struct product {
    struct matmul_weight w;
    struct matmul_input in;
    void *map;
    size_t mapped;
    float *x;
};

/* The values of a block are of a size that keeps sums from being one element's alone. */
static bool is_sane(const struct quant *q, const uint8_t *block)
{
    float values[256], most = 0;
    quant_to_floats(q, values, block, 1);
    for (size_t i = 0; i < q->block_elems; i++) {
        if (!isfinite(values[i]))
            return false;
        most = fmaxf(most, fabsf(values[i]));
    }
    return most > 1e-3f && most < 1e3f;
}

/* Of large integers none are small: the last try counts. */
static void draw_block(const struct quant *q, uint8_t *at)
{
    for (int tries = 0; tries < 1000; tries++) {
        for (size_t i = 0; i < q->block_bytes; i++)
            at[i] = (uint8_t)draw();
        if (is_sane(q, at))
            return;
    }
    if (q->id == TENSOR_F64) /* those are too rare */
        memcpy(at, &(double){(double)draw_float()}, sizeof(double));
}

static void product_new(
    struct product *p, uint32_t type, size_t rows, size_t columns, size_t tokens, bool as_float)
{
    memset(p, 0, sizeof(*p));
    assert_true(matmul_weight_init(&p->w, type, NULL, rows, columns, as_float));
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = rows * p->w.row_bytes;
    p->mapped = (size + page - 1) / page * page + page;
    p->map = mmap(NULL, p->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p->map != MAP_FAILED);
    uint8_t *data = (uint8_t *)p->map + p->mapped - page - size;
    for (size_t at = 0; at < size; at += p->w.type->block_bytes)
        draw_block(p->w.type, data + at);
    assert_return_code(mprotect((char *)p->map + p->mapped - page, page, PROT_NONE), 0);
    p->w.data = data;

    size_t stride = columns + GAP;
    p->x = malloc(tokens * stride * sizeof(*p->x));
    assert_non_null(p->x);
    for (size_t i = 0; i < tokens * stride; i++)
        p->x[i] = draw_float();
    p->in = (struct matmul_input){.x = p->x, .stride = stride, .tokens = tokens, .columns = columns};
    if (matmul_takes_packed(&p->w))
        p->in.packed = aligned_alloc(64, (matmul_packed_bytes(tokens, columns) + 63) / 64 * 64);
}

static void product_free(struct product *p)
{
    assert_return_code(munmap(p->map, p->mapped), 0);
    free(p->x);
    free(p->in.packed);
}

static void select_set(enum isa set)
{
    struct error err = {0};
    assert_true(isa_select(isa_name(set), &err));
}

/* Rows first ... first + count - 1 of all tokens into out, which has room for all rows. */
static void run(const struct product *p, size_t first, size_t count, float *out)
{
    size_t units = matmul_pack_units(p->in.tokens);
    if (p->in.packed) { /* in two goes, as two threads would */
        matmul_pack(&p->in, units / 2, units - units / 2);
        matmul_pack(&p->in, 0, units / 2);
    }
    matmul_rows(&p->w, &p->in, first, count, out, p->w.rows + GAP);
}

static size_t out_floats(const struct product *p)
{
    return p->in.tokens * (p->w.rows + GAP);
}

static float *out_new(const struct product *p)
{
    float *out = malloc(out_floats(p) * sizeof(*out));
    assert_non_null(out);
    for (size_t i = 0; i < out_floats(p); i++)
        out[i] = 77.0f;
    return out;
}

static void same(const struct product *p, const float *got, const float *wanted, const char *what)
{
    for (size_t i = 0; i < out_floats(p); i++)
        if (bits_of(got[i]) != bits_of(wanted[i]))
            fail_msg("%s, %s: %s, %zu rows of %zu by %zu tokens: token %zu, row %zu is %a and not %a", what,
                isa_name(isa_selected()), tensor_type_find(p->w.type->id)->name, p->w.rows, p->w.columns,
                p->in.tokens, i / (p->w.rows + GAP), i % (p->w.rows + GAP), (double)got[i],
                (double)wanted[i]);
}

/* ---- plain C is right ---- */

/* The values of row r, in a buffer of this function. */
static const float *row_values(const struct product *p, size_t r)
{
    static float values[4096];
    quant_to_floats(p->w.type, values, p->w.data + r * p->w.row_bytes, p->w.columns / p->w.type->block_elems);
    return values;
}

/* Tokens that are 1 at one element and 0 elsewhere give the weights back. */
static void check_elements(uint32_t type, bool as_float)
{
    const size_t columns = 512;
    struct product p;
    product_new(&p, type, 2, columns, columns, as_float);
    for (size_t t = 0; t < columns; t++)
        for (size_t i = 0; i < columns; i++)
            p.x[t * p.in.stride + i] = t == i;
    float *out = out_new(&p);
    run(&p, 0, 2, out);
    for (size_t r = 0; r < 2; r++) {
        const float *w = row_values(&p, r);
        for (size_t i = 0; i < columns; i++) {
            float most = 0; /* of the block, whose minimum may nearly cancel what is added to it */
            for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
                most = fmaxf(most, fabsf(w[j]));
            float got = out[i * (2 + GAP) + r], allowed = matmul_takes_packed(&p.w) ? most * 1e-5f : 0;
            if (!(fabsf(got - w[i]) <= allowed))
                fail_msg("%s: element %zu is %g and not %g", tensor_type_find(type)->name, i, (double)got,
                    (double)w[i]);
        }
    }
    free(out);
    product_free(&p);
}

static void test_a_token_that_is_one_at_one_element_gives_that_weight(void **state)
{
    (void)state;
    select_set(ISA_PLAIN);
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++)
        if (quant_find(id)) {
            check_elements(id, false);
            check_elements(id, true);
        }
}

/* Packing may err by half a step of the block's scale, and float32 a little. */
static double allowed_error(const struct product *p, const float *w, const float *x)
{
    double allowed = 0;
    for (size_t b = 0; b < p->w.columns; b += 32) {
        double size = 0, most = 0;
        for (size_t i = b; i < b + 32; i++) {
            size += fabs((double)w[i]);
            most = fmax(most, fabs((double)x[i]));
        }
        allowed += size * most * (matmul_takes_packed(&p->w) ? 0.501 / 127 + 1e-5 : 1e-5);
    }
    return allowed;
}

static void check_product(uint32_t type, bool as_float)
{
    struct product p;
    product_new(&p, type, 33, 512, 7, as_float);
    float *out = out_new(&p);
    run(&p, 0, 33, out);
    for (size_t t = 0; t < 7; t++)
        for (size_t r = 0; r < 33; r++) {
            const float *w = row_values(&p, r), *x = p.x + t * p.in.stride;
            double sum = 0;
            for (size_t i = 0; i < p.w.columns; i++)
                sum += (double)w[i] * (double)x[i];
            double got = (double)out[t * (33 + GAP) + r];
            if (!(fabs(got - sum) <= allowed_error(&p, w, x)))
                fail_msg(
                    "%s: token %zu, row %zu: %g and not %g", tensor_type_find(type)->name, t, r, got, sum);
        }
    free(out);
    product_free(&p);
}

static void test_plain_products_are_those_of_double_within_the_rounding_of_activations(void **state)
{
    (void)state;
    select_set(ISA_PLAIN);
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++)
        if (quant_find(id)) {
            check_product(id, false);
            check_product(id, true);
        }
}

/* ---- the types with an int8 path ---- */

/* The types that matmul.h lists, and where their blocks have their float scales. */
static const struct int8_type {
    uint32_t id;
    size_t scales[2]; /* offsets; the second may be 0 for none */
    enum {
        HALF,
        POWER,
        SMALL_FLOATS,
        SPREAD
    } form; /* a float16; one byte, the exponent of a power of two; four
                                                        bytes; a float16 in the upper bits of four words */
} int8_types[] = {
    {.id = TENSOR_Q4_0},
    {.id = TENSOR_Q4_1, .scales = {0, 2}},
    {.id = TENSOR_Q5_0},
    {.id = TENSOR_Q5_1, .scales = {0, 2}},
    {.id = TENSOR_Q8_0},
    {.id = TENSOR_Q2_K, .scales = {80, 82}},
    {.id = TENSOR_Q3_K, .scales = {108}},
    {.id = TENSOR_Q4_K, .scales = {0, 2}},
    {.id = TENSOR_Q5_K, .scales = {0, 2}},
    {.id = TENSOR_Q6_K, .scales = {208}},
    {.id = TENSOR_IQ4_NL},
    {.id = TENSOR_IQ4_XS},
    {.id = TENSOR_MXFP4, .form = POWER},
    {.id = TENSOR_TQ1_0, .scales = {52}},
    {.id = TENSOR_TQ2_0, .scales = {64}},
    {.id = TENSOR_Q1_0},
    {.id = TENSOR_Q2_0},
    {.id = TENSOR_NVFP4, .form = SMALL_FLOATS},
    {.id = TENSOR_IQ2_XXS},
    {.id = TENSOR_IQ2_XS},
    {.id = TENSOR_IQ2_S},
    {.id = TENSOR_IQ3_XXS},
    {.id = TENSOR_IQ3_S},
    {.id = TENSOR_IQ1_S},
    {.id = TENSOR_IQ1_M, .form = SPREAD, .scales = {48}},
};
#define INT8_TYPES (sizeof(int8_types) / sizeof(int8_types[0]))

static void test_the_types_that_are_promised_an_int8_path_have_one_on_every_set(void **state)
{
    (void)state;
    for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
        if (!isa_has((enum isa)set))
            continue;
        select_set((enum isa)set);
        for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++) {
            bool promised = false;
            for (size_t i = 0; i < INT8_TYPES; i++)
                promised = promised || int8_types[i].id == id;
            struct matmul_weight w;
            if (quant_find(id) && matmul_weight_init(&w, id, NULL, 1, 256, false))
                assert_int_equal(matmul_takes_packed(&w), promised);
        }
    }
}

/* ---- all are the same ---- */

/* x with blocks of zeros, of numbers that are very small and very large, and of single spikes. */
static void make_extreme(struct product *p)
{
    for (size_t t = 0; t < p->in.tokens; t++)
        for (size_t i = 0; i < p->w.columns; i++) {
            static const float sizes[8] = {1, 0, 1e-38f, 1e-36f, 1e10f, 1, 1e-3f, 100};
            p->x[t * p->in.stride + i] *= sizes[(t + i / 32) % 8] * (draw() % 8 == 0 ? 10 : 1);
        }
}

/* The product by plain C, and by every set there is; whole, in pieces of rows, and token by token. */
static void compare_all(struct product *p)
{
    select_set(ISA_PLAIN);
    float *wanted = out_new(p), *got;
    run(p, 0, p->w.rows, wanted);
    for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
        if (!isa_has((enum isa)set))
            continue;
        select_set((enum isa)set);
        got = out_new(p);
        run(p, 0, p->w.rows, got);
        same(p, got, wanted, "whole");
        free(got);

        got = out_new(p);
        for (size_t row = 0, step = 16; row < p->w.rows; row += step, step = step % 48 + 16)
            run(p, row, p->w.rows - row < step ? p->w.rows - row : step, got);
        same(p, got, wanted, "in pieces of rows");
        free(got);

        got = out_new(p);
        for (size_t t = 0; t < p->in.tokens; t++) {
            struct product one = *p;
            one.in.x += t * p->in.stride;
            one.in.tokens = 1;
            run(&one, 0, p->w.rows, got + t * (p->w.rows + GAP));
        }
        same(p, got, wanted, "token by token");
        free(got);
    }
    free(wanted);
}

static size_t columns_for(uint32_t type, size_t i)
{
    static const size_t any[] = {1, 15, 33, 64, 100, 272}, small[] = {32, 96, 256, 288};
    size_t block = quant_find(type)->block_elems;
    return block == 1 ? any[i % 6] : block == 32 ? small[i % 4] : (i % 3 + 1) * block;
}

static bool has_kernels(uint32_t type)
{
    struct matmul_weight w;
    return type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16 ||
           (matmul_weight_init(&w, type, NULL, 1, 256, false) && matmul_takes_packed(&w));
}

static void test_every_set_gives_the_bytes_of_plain_for_any_shape(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 15, 16, 17, 32, 33, 64, 129};
    static const size_t tokens[] = {1, 2, 3, 5, 8, 11, 12, 13, 17, 31, 64, 65, 130};
    size_t at = 0;
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++) {
        if (!quant_find(id))
            continue;
        for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
            for (size_t t = 0; t < sizeof(tokens) / sizeof(tokens[0]); t++, at++) {
                if (at % every() != 0 || (!has_kernels(id) && ((r + t) % 19 != 0 || every() > 1)))
                    continue;
                struct product p;
                product_new(&p, id, rows[r], columns_for(id, at), tokens[t], at % 7 == 0);
                if (at % 2 == 0)
                    make_extreme(&p);
                compare_all(&p);
                product_free(&p);
            }
    }
}

static void test_what_is_no_number_spoils_its_own_token_and_no_other(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++) {
        if (!quant_find(id) || (every() > 1 && !has_kernels(id)))
            continue;
        struct product p;
        product_new(&p, id, 48, 512, 5, false);
        p.x[1 * p.in.stride + 300] = INFINITY;
        p.x[3 * p.in.stride + 31] = -NAN;
        compare_all(&p);
        select_set(ISA_PLAIN);
        float *out = out_new(&p);
        run(&p, 0, 48, out);
        for (size_t i = 0; i < 5 * (48 + GAP); i++)
            if (i % (48 + GAP) < 48 && (i / (48 + GAP)) % 2 == 0)
                assert_true(isfinite(out[i]));
            else if (i % (48 + GAP) < 48)
                assert_true(!isfinite(out[i]) || !matmul_takes_packed(&p.w));
        free(out);
        product_free(&p);
    }
}

static void test_weights_of_any_bytes_give_the_same_answer_on_every_set(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++) {
        if (!quant_find(id) || !has_kernels(id))
            continue;
        for (int round = 0; round < 4; round++) {
            struct product p;
            product_new(&p, id, 64, 256, 3, false);
            uint8_t *data = (uint8_t *)p.map + (p.w.data - (const uint8_t *)p.map);
            for (size_t i = 0; i < 64 * p.w.row_bytes; i++)
                data[i] = (uint8_t)(round == 0 ? 0xff : round == 1 ? 0x80 : draw());
            compare_all(&p);
            product_free(&p);
        }
    }
}

/* Zeros, the smallest and the largest there are, infinities and NaNs; for MXFP4 exponents. */
static const uint16_t halves_to_try[] = {
    0, 0x8000, 1, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00};
static const uint8_t powers_to_try[] = {0, 1, 2, 127, 128, 253, 254, 255, 0, 1};
static const uint8_t small_floats_to_try[] = {0, 1, 7, 8, 0x7e, 0x7f, 0x80, 0x87, 0xfe, 0xff};
#define TRIED (sizeof(powers_to_try) / sizeof(powers_to_try[0]))

/* Sets one scale of all blocks of the product, which has one token, and makes x of a size that suits it. */
static void set_scale(struct product *p, const struct int8_type *type, size_t which, size_t tried)
{
    const size_t bytes = p->w.type->block_bytes;
    uint8_t *data = (uint8_t *)p->map + (p->w.data - (const uint8_t *)p->map);
    for (uint8_t *block = data; block < data + p->w.rows * p->w.row_bytes; block += bytes)
        switch (type->form) {
        case POWER:
            block[0] = powers_to_try[tried];
            for (size_t i = 1; i < bytes && block[0] > 128; i++)
                block[i] &= 0x99; /* levels of 0 and 1: with others 2^127 would be infinite */
            break;
        case SMALL_FLOATS:
            memset(block, small_floats_to_try[tried], 4);
            break;
        case SPREAD:
            for (size_t i = 0; i < 4; i++) {
                uint8_t *upper = block + type->scales[which] + 2 * i + 1;
                *upper = (uint8_t)((*upper & 15) | (halves_to_try[tried] >> (4 * i) & 15) << 4);
            }
            break;
        default:
            memcpy(block + type->scales[which], &halves_to_try[tried], sizeof(halves_to_try[tried]));
        }
    for (size_t i = 0; i < p->w.columns && type->form == POWER; i++)
        p->x[i] *= powers_to_try[tried] < 64 ? 0x1p100f : powers_to_try[tried] > 192 ? 0x1p-30f : 1.0f;
}

static void check_scale(const struct int8_type *type, size_t which, size_t tried)
{
    struct product p;
    product_new(&p, type->id, 32, 512, 1, false);
    set_scale(&p, type, which, tried);
    compare_all(&p);
    select_set(ISA_PLAIN);
    float *out = out_new(&p);
    run(&p, 0, 32, out);
    for (size_t r = 0; r < 32; r++) {
        const float *w = row_values(&p, r);
        double sum = 0;
        for (size_t i = 0; i < p.w.columns; i++)
            sum += (double)w[i] * (double)p.x[i];
        if (isfinite(sum) ? !(fabs((double)out[r] - sum) <= allowed_error(&p, w, p.x)) : isfinite(out[r]))
            fail_msg("%s: scale %zu of kind %zu, row %zu: %g and not %g", tensor_type_find(type->id)->name,
                which, tried, r, (double)out[r], sum);
    }
    free(out);
    product_free(&p);
}

static void test_scales_that_are_zero_or_extreme_or_no_number_count_as_what_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < INT8_TYPES; i++)
        for (size_t which = 0; which == 0 || (which == 1 && int8_types[i].scales[1]); which++)
            for (size_t tried = 0; tried < TRIED; tried++)
                check_scale(&int8_types[i], which, tried);
}

/* Every byte is as large as it can be with values that are still sane, and every activation is the largest: no
 * sum of integers may overflow or saturate. */
static void test_the_largest_integers_there_can_be_add_up(void **state)
{
    (void)state;
    static const uint8_t fills[] = {0xff, 0x00, 0x80, 0x7f};
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++)
        for (size_t round = 0; quant_find(id) && has_kernels(id) && round < 8; round++) {
            struct product p;
            product_new(&p, id, 32, 256, 3, false);
            const struct quant *q = p.w.type;
            uint8_t *data = (uint8_t *)p.map + (p.w.data - (const uint8_t *)p.map);
            for (size_t at = 0; at < 32 * p.w.row_bytes; at++) {
                uint8_t was = data[at];
                data[at] = fills[round / 2];
                if (!is_sane(q, data + at / q->block_bytes * q->block_bytes))
                    data[at] = was;
            }
            for (size_t t = 0; t < 3; t++)
                for (size_t i = 0; i < 256; i++)
                    p.x[t * p.in.stride + i] =
                        (round % 2 ? -1.0f : 1.0f) * (t == 2 && i % 4 > 1 ? -1.0f : 1.0f);
            compare_all(&p);
            product_free(&p);
        }
}

static void test_a_row_that_is_no_whole_number_of_blocks_is_refused(void **state)
{
    (void)state;
    struct matmul_weight w;
    assert_false(matmul_weight_init(&w, TENSOR_Q4_0, NULL, 4, 33, false));
    assert_false(matmul_weight_init(&w, TENSOR_F32, NULL, 4, 0, false));
    assert_false(matmul_weight_init(&w, TENSOR_Q4_K, NULL, 4, 128, false));
    assert_false(matmul_weight_init(&w, 999, NULL, 4, 256, false));
    assert_true(matmul_weight_init(&w, TENSOR_Q4_K, NULL, 4, 512, false));
    assert_int_equal(w.row_bytes, 288);
    assert_true(matmul_takes_packed(&w));
    assert_true(matmul_weight_init(&w, TENSOR_Q4_K, NULL, 4, 512, true));
    assert_false(matmul_takes_packed(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_that_is_one_at_one_element_gives_that_weight),
        cmocka_unit_test(test_plain_products_are_those_of_double_within_the_rounding_of_activations),
        cmocka_unit_test(test_the_types_that_are_promised_an_int8_path_have_one_on_every_set),
        cmocka_unit_test(test_every_set_gives_the_bytes_of_plain_for_any_shape),
        cmocka_unit_test(test_what_is_no_number_spoils_its_own_token_and_no_other),
        cmocka_unit_test(test_weights_of_any_bytes_give_the_same_answer_on_every_set),
        cmocka_unit_test(test_scales_that_are_zero_or_extreme_or_no_number_count_as_what_they_are),
        cmocka_unit_test(test_the_largest_integers_there_can_be_add_up),
        cmocka_unit_test(test_a_row_that_is_no_whole_number_of_blocks_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
