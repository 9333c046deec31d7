/* test_answers.c - choices, log probabilities, ends and text of answers. */
#include "berth/kernels/isa.h"
#include "berth/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <unistd.h>

#include <cmocka.h>

#include "asked.h"

/* ---- choices ---- */

static void test_choices_are_what_separate_requests_with_the_next_seeds_say(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 3; /* fewer than choices */
    rig_start(&r, &o);
    for (size_t i = 0; i < 5; i++) {
        struct job_request q = request(&r, 0, 70, 30);
        q.sampling.seed += i;
        ask_alone(&alone[i], &q);
    }
    assert_memory_not_equal(alone[0].said[0].ids, alone[1].said[0].ids, 30 * sizeof(int32_t));
    uint64_t prompt = atomic_load(&r.m[0]->served.metrics.prompt_tokens),
             rows = atomic_load(&r.m[0]->served.metrics.forward_rows);
    struct job_request q = request(&r, 0, 70, 30);
    q.n_choices = 5;
    ask_alone(&others[0], &q);
    for (size_t i = 0; i < 5; i++)
        assert_same(&others[0].said[i], &alone[i].said[0]);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.prompt_tokens) - prompt, 70);
    /* The prompt once, its last token again for four, and all tokens but the last of each. */
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.forward_rows) - rows, 70 + 4 + 5 * 29);
    assert_int_equal(others[0].usage.generated_tokens, 150);
    rig_stop(&r);
}

static void test_a_request_of_many_choices_lets_others_have_their_turn(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 2;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 40);
    q.n_choices = 8;
    plug(&plugged, &q);
    q = request(&r, 1, 5, 5);
    ask(&others[1], &q);
    q = request(&r, 2, 5, 5);
    ask(&others[2], &q);
    uint64_t before = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    finish(&others[2]);
    /* The first two choices have both slots for 40 steps; all eight would have them for 160. */
    assert_true(others[1].calls_at_wake - before <= 50);
    assert_true(others[2].calls_at_wake - before <= 60);
    finish(&plugged);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(plugged.said[i].n, 40);
    rig_stop(&r);
}

/* ---- probabilities ---- */

static void test_the_score_of_a_prompt_is_what_its_tokens_had_when_they_were_drawn(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 13;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 50, 40);
    q.logprobs = true;
    q.n_top = 3;
    q.sampling.temperature = 0;
    ask_alone(&alone[0], &q);
    const struct said *s = &alone[0].said[0];
    assert_int_equal(s->n, 40);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(s->best[i], s->ids[i]);
    memcpy(prompts[0] + 50, s->ids, 40 * sizeof(int32_t));
    q = (struct job_request){
        .kind = JOB_SCORE, .model = &r.m[0]->served, .prompt = prompts[0], .n_prompt = 90, .n_choices = 1};
    ask_alone(&others[0], &q);
    const struct said *p = &others[0].prompt;
    assert_int_equal(p->n, 90);
    assert_int_equal(others[0].said[0].n, 0);
    assert_int_equal(others[0].said[0].finish, JOB_LENGTH);
    assert_true(isnan(p->logprobs[0]));
    assert_memory_equal(p->ids, prompts[0], 90 * sizeof(int32_t));
    assert_memory_equal(p->logprobs + 50, s->logprobs, 40 * sizeof(float));
    for (size_t i = 1; i < 50; i++)
        assert_true(p->logprobs[i] < 0);
    rig_stop(&r);
}

static void test_an_echoed_prompt_comes_before_the_answer_and_changes_nothing_of_it(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t n = 1; n < 200; n += 99) {
        struct job_request q = request(&r, 0, n, 10);
        ask_alone(&alone[0], &q);
        q.echo_logprobs = true;
        q.n_top = 2;
        q.n_choices = 2;
        ask_alone(&others[0], &q);
        assert_same(&others[0].said[0], &alone[0].said[0]);
        assert_int_equal(others[0].prompt.n, n);
        assert_int_equal(others[0].said[1].n, 10);
    }
    rig_stop(&r);
}

static void test_nothing_to_write_is_an_answer_of_no_tokens(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 0);
    q.n_choices = 3;
    ask_alone(&alone[0], &q);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(alone[0].said[i].n, 0);
        assert_int_equal(alone[0].said[i].finish, JOB_LENGTH);
    }
    assert_int_equal(calls(&r, 0), 0);
    q.kind = JOB_SCORE;
    q.n_prompt = 1;
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].prompt.n, 1);
    q.n_prompt = 5;
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].prompt.n, 5);
    assert_int_equal(alone[0].said[2].finish, JOB_LENGTH);
    rig_stop(&r);
}

static void test_an_answer_ends_at_the_context_s_end(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    r.m[0]->context = 200;
    struct job_request q = request(&r, 0, 195, 1000);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].said[0].n, 5);
    assert_int_equal(alone[0].said[0].finish, JOB_LENGTH);
    rig_stop(&r);
}

static void test_where_no_token_can_be_drawn_the_job_fails(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct sampler_bias bias[TINY_VOCABULARY];
    for (int32_t i = 0; i < TINY_VOCABULARY; i++)
        bias[i] = (struct sampler_bias){i, -100};
    struct job_request q = request(&r, 0, 5, 10);
    q.sampling.bias = bias;
    q.sampling.n_bias = TINY_VOCABULARY;
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].result, RESULT_BAD_REQUEST); /* a fault of the request, not of the server */
    assert_int_equal(alone[0].said[0].finish, JOB_FAILED);
    rig_stop(&r);
}

static void test_a_stop_token_ends_an_answer_and_is_not_told(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 30);
    ask_alone(&alone[0], &q);
    int32_t stop = alone[0].said[0].ids[12];
    size_t first = 0;
    while (alone[0].said[0].ids[first] != stop)
        first++;
    q.stop_tokens = &stop;
    q.n_stop_tokens = 1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].said[0].n, first);
    assert_int_equal(others[0].said[0].finish, JOB_STOP);
    assert_memory_equal(others[0].said[0].ids, alone[0].said[0].ids, first * sizeof(int32_t));
    rig_stop(&r);
}

/* ---- text ---- */

/* A vocabulary for the tiny model: token i is "i ". */
static struct gguf *words(struct writer *w)
{
    struct error err = {0};
    char word[16];
    write_header(w, 3, 0, 4);
    write_pair_text(w, "tokenizer.ggml.model", "llama");
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, TINY_VOCABULARY);
    for (int i = 0; i < TINY_VOCABULARY; i++) {
        snprintf(word, sizeof(word), "%d ", i);
        write_text(w, word);
    }
    write_pair_array(w, "tokenizer.ggml.token_type", GGUF_I32, TINY_VOCABULARY);
    for (int i = 0; i < TINY_VOCABULARY; i++)
        write_u32(w, 4);
    write_pair_array(w, "tokenizer.ggml.scores", GGUF_F32, TINY_VOCABULARY);
    write_zeros(w, TINY_VOCABULARY * sizeof(float));
    return gguf_read(writer_done(w), &err);
}

static void test_text_comes_with_its_tokens_and_ends_at_a_stop_string(void **state)
{
    (void)state;
    struct rig r;
    struct writer w = {0};
    struct error err = {0};
    struct gguf *g = words(&w);
    rig_start(&r, &usual);
    r.m[0]->tokenizer = g ? tokenizer_new(&g->checkpoint, &err) : NULL;
    assert_non_null(r.m[0]->tokenizer);
    struct job_request q = request(&r, 0, 5, 20);
    q.text = true;
    q.echo_logprobs = true;
    ask_alone(&alone[0], &q);
    char wanted[400] = "", stop[40];
    size_t size = 0, cut = 0;
    const struct said *s = &alone[0].said[0];
    for (size_t i = 0; i < s->n; i++) {
        cut = i == 10 ? size : cut;
        size += (size_t)snprintf(wanted + size, sizeof(wanted) - size, "%d ", s->ids[i]);
    }
    assert_int_equal(s->n, 20);
    assert_string_equal(s->text, wanted);
    assert_int_equal(alone[0].prompt.n, 5);
    snprintf(stop, sizeof(stop), "%d %d %d", s->ids[10], s->ids[11], s->ids[12]);
    q.stops = (struct span[]){span_of("nowhere"), span_of(stop)};
    q.n_stops = 2;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].said[0].finish, JOB_STOP);
    assert_int_equal(others[0].said[0].n, 10);
    assert_int_equal(others[0].said[0].text_size, cut);
    assert_memory_equal(others[0].said[0].text, wanted, cut);
    assert_int_equal(others[0].usage.generated_tokens, 13);
    rig_stop(&r);
    gguf_free(g);
    writer_release(&w);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices_are_what_separate_requests_with_the_next_seeds_say),
        cmocka_unit_test(test_a_request_of_many_choices_lets_others_have_their_turn),
        cmocka_unit_test(test_the_score_of_a_prompt_is_what_its_tokens_had_when_they_were_drawn),
        cmocka_unit_test(test_an_echoed_prompt_comes_before_the_answer_and_changes_nothing_of_it),
        cmocka_unit_test(test_nothing_to_write_is_an_answer_of_no_tokens),
        cmocka_unit_test(test_an_answer_ends_at_the_context_s_end),
        cmocka_unit_test(test_where_no_token_can_be_drawn_the_job_fails),
        cmocka_unit_test(test_a_stop_token_ends_an_answer_and_is_not_told),
        cmocka_unit_test(test_text_comes_with_its_tokens_and_ends_at_a_stop_string),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
