/* test_embed.c - vectors of texts: their numbers, and that nothing changes their bytes. */
#include "berth/kernels/isa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "embedding.h"

/* ---- the numbers ---- */

/* What pooling makes of the reference's vectors. */
static void pool(enum pooling p, const double *x, size_t n, size_t dimensions, double *out)
{
    double length = 0;
    for (size_t i = 0; i < dimensions; i++) {
        double sum = 0, weights = 0, most = x[i];
        for (size_t t = 0; t < n; t++) {
            double weight = p == POOLING_WEIGHTED_MEAN ? (double)t + 1 : 1;
            sum += weight * x[t * ENC_WIDTH + i];
            weights += weight;
            most = fmax(most, x[t * ENC_WIDTH + i]);
        }
        out[i] = p == POOLING_CLS    ? x[i]
                 : p == POOLING_LAST ? x[(n - 1) * ENC_WIDTH + i]
                 : p == POOLING_MAX  ? most
                                     : sum / weights;
        length += out[i] * out[i];
    }
    for (size_t i = 0; i < dimensions; i++)
        out[i] /= sqrt(length);
}

static void check_texts(
    const struct embed_rig *r, enum pooling p, const struct texts *t, const float *got, size_t dimensions)
{
    size_t at = 0;
    for (size_t i = 0; i < t->n; at += t->sizes[i++]) {
        double *x = malloc(t->sizes[i] * ENC_WIDTH * sizeof(*x)), wanted[ENC_WIDTH];
        encoder_run(&r->encoder, t->ids + at, t->sizes[i], x);
        pool(p, x, t->sizes[i], dimensions, wanted);
        free(x);
        for (size_t k = 0; k < dimensions; k++)
            if (!(fabs((double)got[i * dimensions + k] - wanted[k]) < 2e-5))
                fail_msg("%s, %s, text %zu of %u tokens, element %zu: %g instead of %g",
                    r->encoder.form->arch, pooling_name(p), i, t->sizes[i], k,
                    (double)got[i * dimensions + k], wanted[k]);
    }
}

static void test_every_architecture_gives_the_numbers_of_its_formulas(void **state)
{
    static struct texts t;
    (void)state;
    fill_texts(&t, 12);
    add_text(&t, 600, 99);
    for (size_t f = 0; f < ENCODER_FORMS; f++) {
        struct embed_rig r;
        start(&r, &usual, encoder_forms[f].arch, 1, POOLING_UNKNOWN);
        float *got = embed(&r, &t, ENC_WIDTH);
        check_texts(&r, POOLING_MEAN, &t, got, ENC_WIDTH);
        free(got);
        stop(&r);
    }
}

static void test_every_pooling_and_fewer_dimensions(void **state)
{
    static struct texts t;
    (void)state;
    fill_texts(&t, 12);
    static const enum pooling all[] = {
        POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_WEIGHTED_MEAN, POOLING_MAX};
    for (size_t p = 0; p < 5; p++) {
        struct embed_rig r;
        start(&r, &usual, "bert", p < 3 ? (int)p + 1 : -1, p < 3 ? POOLING_UNKNOWN : all[p]);
        assert_int_equal(served_model_describe(r.m).pooling, all[p]);
        float *got = embed(&r, &t, ENC_WIDTH), *few = embed(&r, &t, 7);
        check_texts(&r, all[p], &t, got, ENC_WIDTH);
        check_texts(&r, all[p], &t, few, 7);
        free(got);
        free(few);
        stop(&r);
    }
}

/* ---- the same bytes ---- */

/* Each text alone, by one thread in plain C. */
static float *embed_plainly(struct embed_rig *r, const struct texts *all)
{
    static struct texts one;
    float *out = malloc(all->n * ENC_WIDTH * sizeof(*out));
    size_t at = 0;
    for (size_t i = 0; i < all->n; at += all->sizes[i++]) {
        one.n = 1;
        one.tokens = one.sizes[0] = all->sizes[i];
        memcpy(one.ids, all->ids + at, one.tokens * sizeof(one.ids[0]));
        float *vector = embed(r, &one, ENC_WIDTH);
        memcpy(out + i * ENC_WIDTH, vector, ENC_WIDTH * sizeof(*out));
        free(vector);
    }
    return out;
}

/* Each number of threads with one of the chunks, by turns. */
static void check_ways(
    bool causal, const struct texts *t, const float *expected, const char *set, unsigned turn)
{
    static const size_t chunks[] = {1, 50, 512};
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct embed_rig r;
        struct engine_options o = usual;
        o.threads = threads;
        o.chunk = chunks[(threads + turn) % 3];
        if (causal)
            start_causal(&r, &o, POOLING_MEAN);
        else
            start(&r, &o, "bert", 1, POOLING_UNKNOWN);
        float *got = embed(&r, t, ENC_WIDTH);
        if (memcmp(got, expected, t->n * ENC_WIDTH * sizeof(*got)) != 0)
            fail_msg("%s, %s, %u threads, chunks of %zu: other bytes", causal ? "causal" : "bert", set,
                threads, o.chunk);
        free(got);
        stop(&r);
    }
}

static void test_neighbours_threads_chunks_and_instructions_change_no_byte(void **state)
{
    static struct texts t;
    (void)state;
    fill_texts(&t, 12);
    for (int causal = 0; causal < 2; causal++) {
        struct embed_rig r;
        struct error err = {0};
        struct engine_options o = usual;
        o.threads = 1;
        assert_true(isa_select("plain", &err));
        if (causal)
            start_causal(&r, &o, POOLING_MEAN);
        else
            start(&r, &o, "bert", 1, POOLING_UNKNOWN);
        float *expected = embed_plainly(&r, &t);
        stop(&r);
        for (enum isa set = ISA_PLAIN; set < ISA_SETS; set++)
            if (isa_has(set) && isa_select(isa_name(set), &err))
                check_ways(causal, &t, expected, isa_name(set), set);
        assert_true(isa_select("auto", &err));
        free(expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_architecture_gives_the_numbers_of_its_formulas),
        cmocka_unit_test(test_every_pooling_and_fewer_dimensions),
        cmocka_unit_test(test_neighbours_threads_chunks_and_instructions_change_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
