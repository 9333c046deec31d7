/* test_sampler.c - which tokens may be sampled and how often; only the seed and the history decide.
 *
 * Frequencies are compared with exact probabilities, with a fixed seed, so a test gives the same result each time. The
 * tolerance of five deviations is for changes of the generator.
 */
#include "berth/engine/scheduler/sampler.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DRAWS 20000
#define MOST 64 /* tokens of a small vocabulary */

static const struct sampler_options plain = {
    .temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1, .seed = 7};

static struct sampler *sampler_of(const struct sampler_options *o, size_t vocabulary)
{
    struct sampler *s = sampler_new(o, vocabulary);
    assert_non_null(s);
    return s;
}

/* The first token that a new sampler samples from these logits. */
static int32_t first(const struct sampler_options *o, const float *logits, size_t n)
{
    float copy[MOST];
    struct sampler *s = sampler_of(o, n);
    memcpy(copy, logits, n * sizeof(float));
    int32_t token = sampler_next(s, copy);
    sampler_free(s);
    return token;
}

/* How often each of n tokens comes in DRAWS samples. */
static void count(const struct sampler_options *o, const float *logits, size_t n, size_t counts[])
{
    float copy[MOST];
    struct sampler *s = sampler_of(o, n);
    memset(counts, 0, n * sizeof(*counts));
    for (int i = 0; i < DRAWS; i++) {
        memcpy(copy, logits, n * sizeof(float));
        int32_t token = sampler_next(s, copy);
        assert_true(token >= 0 && (size_t)token < n);
        counts[token]++;
    }
    sampler_free(s);
}

/* `wanted` are weights; a token of weight 0 must never be sampled. */
static void assert_distribution(
    const struct sampler_options *o, const float *logits, const double *wanted, size_t n)
{
    size_t counts[MOST];
    double total = 0;
    count(o, logits, n, counts);
    for (size_t i = 0; i < n; i++)
        total += wanted[i];
    for (size_t i = 0; i < n; i++) {
        double p = wanted[i] / total, expected = p * DRAWS;
        double deviation = sqrt(DRAWS * p * (1 - p));
        if (fabs((double)counts[i] - expected) > 5 * deviation + 1e-9)
            fail_msg("token %zu came %zu times, expected %.1f ± %.1f", i, counts[i], expected, deviation);
    }
}

#define LOG2 0.69314718f
/* Probabilities 1/2, 1/4, 1/8, 1/16, 1/16. */
static const float halves[5] = {3 * LOG2, 2 * LOG2, 1 * LOG2, 0, 0};

static void test_without_filters_every_token_comes_as_often_as_its_probability(void **state)
{
    (void)state;
    assert_distribution(&plain, halves, (double[]){8, 4, 2, 1, 1}, 5);
}

static void test_temperature_sharpens_and_flattens(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.temperature = 0.5f;
    assert_distribution(&o, halves, (double[]){64, 16, 4, 1, 1}, 5);
    o.temperature = 2;
    assert_distribution(&o, halves, (double[]){sqrt(8), 2, sqrt(2), 1, 1}, 5);
}

static void test_at_temperature_0_the_largest_wins_and_of_equals_the_lower_id(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.temperature = 0;
    assert_int_equal(first(&o, (float[]){1, 5, 3, 5}, 4), 1);
    assert_int_equal(first(&o, (float[]){-INFINITY, -5, NAN, -6}, 4), 1);
}

static void test_a_tiny_temperature_is_as_good_as_none(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.temperature = 1e-38f;
    assert_int_equal(first(&o, (float[]){1, 4.9f, 3, 5}, 4), 3);
}

static void test_top_k_keeps_the_k_best_and_of_equals_the_lower_ids(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.top_k = 2;
    assert_distribution(&o, halves, (double[]){8, 4, 0, 0, 0}, 5);
    o.top_k = 4;
    assert_distribution(&o, halves, (double[]){8, 4, 2, 1, 0}, 5);
    o.top_k = 1;
    assert_distribution(&o, (float[]){2, 3, 3, 1}, (double[]){0, 1, 0, 0}, 4);
    o.top_k = 100;
    assert_distribution(&o, halves, (double[]){8, 4, 2, 1, 1}, 5);
}

static void test_top_p_keeps_as_few_as_reach_it(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.top_p = 0.74f;
    assert_distribution(&o, halves, (double[]){8, 4, 0, 0, 0}, 5);
    o.top_p = 0.76f;
    assert_distribution(&o, halves, (double[]){8, 4, 2, 0, 0}, 5);
    o.top_p = 0.9f;
    assert_distribution(&o, halves, (double[]){8, 4, 2, 1, 0}, 5);
    o.top_p = 0;
    assert_distribution(&o, halves, (double[]){1, 0, 0, 0, 0}, 5);
}

static void test_min_p_is_a_share_of_the_best(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.min_p = 0.24f;
    assert_distribution(&o, halves, (double[]){8, 4, 2, 0, 0}, 5);
    o.min_p = 0.26f;
    assert_distribution(&o, halves, (double[]){8, 4, 0, 0, 0}, 5);
    o.min_p = 1;
    assert_distribution(&o, halves, (double[]){1, 0, 0, 0, 0}, 5);
}

/* Surprises in bits are 1, 2, 3, 4, 4, their mean 1.875: 2 is closest, then 1, then 3. */
static void test_typical_p_prefers_the_expected_surprise_to_the_most_probable(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.typical_p = 0.2f;
    assert_distribution(&o, halves, (double[]){0, 1, 0, 0, 0}, 5);
    o.typical_p = 0.7f;
    assert_distribution(&o, halves, (double[]){8, 4, 0, 0, 0}, 5);
    o.typical_p = 0.8f;
    assert_distribution(&o, halves, (double[]){8, 4, 2, 0, 0}, 5);
}

/* Of the three that top_k leaves, 8 : 4 : 2, the first two have 6/7; of all five they would have 3/4. */
static void test_top_p_counts_what_top_k_has_left(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.top_k = 3;
    o.top_p = 0.8f;
    assert_distribution(&o, halves, (double[]){8, 4, 0, 0, 0}, 5);
}

/* typical_p leaves 2 and 1 bits alone, 4 : 8; of these top_p keeps the more probable one, and min_p removes nothing. */
static void test_top_p_and_min_p_come_after_typical_p(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.typical_p = 0.7f;
    o.top_p = 0.6f;
    assert_distribution(&o, halves, (double[]){1, 0, 0, 0, 0}, 5);
    o.typical_p = 0.2f;
    o.top_p = 1;
    o.min_p = 0.9f;
    assert_distribution(&o, halves, (double[]){0, 1, 0, 0, 0}, 5);
}

static void test_the_temperature_comes_before_the_filters(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.temperature = 0.5f; /* 64 : 16 : 4 : 1 : 1: the first alone has 0.744 */
    o.top_p = 0.7f;
    assert_distribution(&o, halves, (double[]){1, 0, 0, 0, 0}, 5);
}

static void test_a_bias_is_added_and_minus_100_forbids(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    const struct sampler_bias bias[] = {{1, LOG2}, {0, -100}, {99, 5}, {-1, 5}};
    o.bias = bias;
    o.n_bias = 4;
    assert_distribution(&o, halves, (double[]){0, 8, 2, 1, 1}, 5);
    o.temperature = 0;
    assert_int_equal(first(&o, (float[]){1000, 1, 0.5f, 0, 0}, 5), 1);
}

static void test_no_token_is_drawn_where_all_are_forbidden(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    const struct sampler_bias bias[] = {{0, -100}, {1, -200}};
    o.bias = bias;
    o.n_bias = 2;
    assert_int_equal(first(&o, (float[]){1, 2}, 2), SAMPLER_NONE);
    o.temperature = 0;
    assert_int_equal(first(&o, (float[]){1, 2}, 2), SAMPLER_NONE);
    o.n_bias = 0;
    assert_int_equal(first(&o, (float[]){NAN, NAN}, 2), SAMPLER_NONE);
}

/* The tokens that a greedy sampler samples from the same logits one after the other. */
static void assert_greedy(
    struct sampler *s, const float *logits, size_t n, const int32_t *wanted, size_t n_wanted)
{
    float copy[MOST];
    for (size_t i = 0; i < n_wanted; i++) {
        memcpy(copy, logits, n * sizeof(float));
        assert_int_equal(sampler_next(s, copy), wanted[i]);
    }
}

static void test_presence_counts_once_and_frequency_each_time(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.temperature = 0;
    o.presence_penalty = 1.5f;
    struct sampler *s = sampler_of(&o, 3);
    /* 3 falls to 1.5, then 2 to 0.5: from then on 1.5 wins. */
    assert_greedy(s, (float[]){3, 2, 0}, 3, (int32_t[]){0, 1, 0, 0, 0}, 5);
    sampler_free(s);
    o.presence_penalty = 0;
    o.frequency_penalty = 0.75f;
    s = sampler_of(&o, 3);
    /* 3, 2.25, 1.5 against 2; then 1.5, 1.25 against each other */
    assert_greedy(s, (float[]){3, 2, 0}, 3, (int32_t[]){0, 0, 1, 0, 1}, 5);
    sampler_free(s);
}

static void test_presence_and_frequency_do_not_look_at_the_prompt(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.temperature = 0;
    o.presence_penalty = o.frequency_penalty = 2;
    struct sampler *s = sampler_of(&o, 3);
    sampler_see_prompt(s, (int32_t[]){0, 0}, 2);
    assert_greedy(s, (float[]){3, 2, 0}, 3, (int32_t[]){0}, 1);
    sampler_free(s);
}

static void test_the_repetition_penalty_looks_at_prompt_and_answer_on_both_sides_of_zero(void **state)
{
    (void)state;
    struct sampler_options o = plain;
    o.temperature = 0;
    o.repetition_penalty = 2;
    struct sampler *s = sampler_of(&o, 3);
    sampler_see_prompt(s, (int32_t[]){0, 0, -5, 77}, 4);
    assert_greedy(s, (float[]){3, 2, 0}, 3, (int32_t[]){1, 0}, 2);
    sampler_free(s);
    s = sampler_of(&o, 3);
    sampler_see_prompt(s, (int32_t[]){0}, 1);
    assert_greedy(s, (float[]){-3, -4, -7}, 3, (int32_t[]){1, 0}, 2);
    sampler_free(s);
}

static void test_many_different_tokens_are_all_remembered(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct sampler_options o = plain;
    o.temperature = 0;
    o.presence_penalty = 100;
    struct sampler *s = sampler_of(&o, N);
    float *logits = malloc(N * sizeof(float));
    assert_non_null(logits);
    for (int32_t i = 0; i < N; i++) {
        for (int32_t k = 0; k < N; k++)
            logits[k] = (float)-k / (float)N;
        if (i % 50 == 0 || i == N - 1) {
            assert_int_equal(sampler_next(s, logits), i);
            continue;
        }
        logits[i] = 1000;
        assert_int_equal(sampler_next(s, logits), i);
    }
    free(logits);
    sampler_free(s);
}

static void test_a_draw_depends_on_seed_and_number_of_draws_alone(void **state)
{
    (void)state;
    float flat[16] = {0}, copy[16];
    struct sampler_options o = plain, other = plain;
    other.seed = plain.seed + 1;
    struct sampler *a = sampler_of(&o, 16), *b = sampler_of(&o, 16), *c = sampler_of(&other, 16);
    int same = 0;
    for (int i = 0; i < 200; i++) {
        memcpy(copy, flat, sizeof(flat));
        int32_t from_a = sampler_next(a, copy);
        memcpy(copy, flat, sizeof(flat));
        assert_int_equal(sampler_next(b, copy), from_a);
        memcpy(copy, flat, sizeof(flat));
        same += sampler_next(c, copy) == from_a;
    }
    assert_in_range(same, 1, 40); /* one in sixteen by chance */
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
}

/* The answers must not change between releases: these are what seed 7 samples. */
static void test_the_draws_of_a_seed_are_these(void **state)
{
    (void)state;
    float flat[16], sampled[8] = {0};
    struct sampler *s = sampler_of(&plain, 16);
    for (int i = 0; i < 8; i++) {
        memset(flat, 0, sizeof(flat));
        sampled[i] = (float)sampler_next(s, flat);
    }
    const float wanted[8] = {8, 4, 15, 14, 10, 5, 6, 9};
    assert_memory_equal(sampled, wanted, sizeof(wanted));
    sampler_free(s);
}

/* ---- large vocabularies ---- */

static uint32_t noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Which tokens a filter leaves of 150,000, by sorting all of them. */
static float least_of_top_p(float *sorted, size_t n, double top_p)
{
    double total = 0, sum = 0;
    qsort(sorted, n, sizeof(float), descending);
    for (size_t i = 0; i < n; i++)
        total += exp((double)sorted[i]);
    for (size_t i = 0; i < n; i++)
        if ((sum += exp((double)sorted[i])) >= top_p * total)
            return sorted[i];
    return sorted[n - 1];
}

static void test_of_150000_tokens_the_filters_leave_what_sorting_all_leaves(void **state)
{
    (void)state;
    enum { N = 150000 };
    float *logits = malloc(N * sizeof(float)), *copy = malloc(N * sizeof(float));
    assert_true(logits && copy);
    uint32_t seed = 1;
    for (int i = 0; i < N; i++)
        logits[i] = (float)noise(&seed) / 0x1p21f + (float)noise(&seed) / 0x1p22f;
    for (int i = 0; i < N; i += 1000)
        logits[i] += 6;
    memcpy(copy, logits, N * sizeof(float));
    float least_k = (qsort(copy, N, sizeof(float), descending), copy[49]);
    float least_p = least_of_top_p(copy, N, 0.9);
    struct sampler_options by_k = plain, by_p = plain;
    by_k.top_k = 50;
    by_p.top_p = 0.9f;
    struct sampler *k = sampler_of(&by_k, N), *p = sampler_of(&by_p, N);
    float lowest_k = INFINITY, lowest_p = INFINITY;
    for (int i = 0; i < 1500; i++) {
        memcpy(copy, logits, N * sizeof(float));
        float sampled = logits[sampler_next(k, copy)];
        lowest_k = sampled < lowest_k ? sampled : lowest_k;
        if (i % 15)
            continue;
        memcpy(copy, logits, N * sizeof(float));
        sampled = logits[sampler_next(p, copy)];
        lowest_p = sampled < lowest_p ? sampled : lowest_p;
    }
    assert_true(lowest_k == least_k); /* each of 50 comes 30 times or so: the last one, too */
    assert_true(lowest_p >= least_p);
    sampler_free(k);
    sampler_free(p);
    free(logits);
    free(copy);
}

/* ---- log probabilities ---- */

static void test_log_probabilities_are_those_of_the_model_itself(void **state)
{
    (void)state;
    struct sampler_logprob top[3];
    float own = sampler_logprobs(halves, 5, 3, top, 3);
    assert_float_equal(own, logf(1.0f / 16), 1e-6);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(top[i].token, i);
        assert_float_equal(top[i].logprob, logf(0.5f / (float)(1 << i)), 1e-6);
    }
    assert_true(isnan(sampler_logprobs(halves, 5, 5, NULL, 0)));
}

static void test_of_equal_log_probabilities_the_lower_id_comes_first(void **state)
{
    (void)state;
    struct sampler_logprob top[4];
    sampler_logprobs((float[]){1, 3, 2, 3}, 4, 0, top, 4);
    assert_int_equal(top[0].token, 1);
    assert_int_equal(top[1].token, 3);
    assert_int_equal(top[2].token, 2);
    assert_int_equal(top[3].token, 0);
}

static void test_a_vocabulary_smaller_than_the_list_leaves_its_end_empty(void **state)
{
    (void)state;
    struct sampler_logprob top[3];
    sampler_logprobs((float[]){1, 3}, 2, 0, top, 3);
    assert_int_equal(top[1].token, 0);
    assert_int_equal(top[2].token, SAMPLER_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_filters_every_token_comes_as_often_as_its_probability),
        cmocka_unit_test(test_temperature_sharpens_and_flattens),
        cmocka_unit_test(test_at_temperature_0_the_largest_wins_and_of_equals_the_lower_id),
        cmocka_unit_test(test_a_tiny_temperature_is_as_good_as_none),
        cmocka_unit_test(test_top_k_keeps_the_k_best_and_of_equals_the_lower_ids),
        cmocka_unit_test(test_top_p_keeps_as_few_as_reach_it),
        cmocka_unit_test(test_min_p_is_a_share_of_the_best),
        cmocka_unit_test(test_typical_p_prefers_the_expected_surprise_to_the_most_probable),
        cmocka_unit_test(test_top_p_counts_what_top_k_has_left),
        cmocka_unit_test(test_top_p_and_min_p_come_after_typical_p),
        cmocka_unit_test(test_the_temperature_comes_before_the_filters),
        cmocka_unit_test(test_a_bias_is_added_and_minus_100_forbids),
        cmocka_unit_test(test_no_token_is_drawn_where_all_are_forbidden),
        cmocka_unit_test(test_presence_counts_once_and_frequency_each_time),
        cmocka_unit_test(test_presence_and_frequency_do_not_look_at_the_prompt),
        cmocka_unit_test(test_the_repetition_penalty_looks_at_prompt_and_answer_on_both_sides_of_zero),
        cmocka_unit_test(test_many_different_tokens_are_all_remembered),
        cmocka_unit_test(test_a_draw_depends_on_seed_and_number_of_draws_alone),
        cmocka_unit_test(test_the_draws_of_a_seed_are_these),
        cmocka_unit_test(test_of_150000_tokens_the_filters_leave_what_sorting_all_leaves),
        cmocka_unit_test(test_log_probabilities_are_those_of_the_model_itself),
        cmocka_unit_test(test_of_equal_log_probabilities_the_lower_id_comes_first),
        cmocka_unit_test(test_a_vocabulary_smaller_than_the_list_leaves_its_end_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
