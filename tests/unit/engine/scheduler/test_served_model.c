/* test_served_model.c - a kind of model is a row of operations, and callers do not depend on the kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "berth/engine/scheduler/model_operations.h"

#include <string.h>

#include "rig.h"

static const struct engine_options options = {
    .threads = 1, .processors = 1, .kv_memory = 1 << 24, .chunk = 16, .slots = 2, .queue = 4};

/* A kind of model that is not in the engine's table. */
struct echo_model {
    struct served_model served;
    unsigned submitted, closed;
};

static void describe_echo(const struct served_model *m, struct served_description *out)
{
    (void)m;
    out->answers = true;
    out->context = 7;
}

static void close_echo(struct served_model *m)
{
    ((struct echo_model *)(void *)m)->closed++;
}

static enum result submit_echo(struct served_model *m, struct job *j, struct error *err)
{
    (void)j;
    ((struct echo_model *)(void *)m)->submitted++;
    error_set(err, "nobody has time");
    return RESULT_BUSY;
}

static const struct model_operations echo_operations = {
    .kind = SERVED_EMBED, .describe = describe_echo, .close = close_echo, .submit = submit_echo};

static struct job *job_for(struct served_model *m, const int32_t *ids, size_t n)
{
    const struct job_request q = {.kind = JOB_GENERATE,
        .model = m,
        .prompt = ids,
        .n_prompt = n,
        .n_choices = 1,
        .max_tokens = 1,
        .sampling = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1}};
    struct job *j = job_new(&q, NULL, NULL);
    assert_non_null(j);
    return j;
}

static void test_a_row_of_its_own_is_described_asked_and_closed(void **state)
{
    (void)state;
    struct error err = {0};
    const int32_t ids[1] = {1};
    struct echo_model m = {0};
    served_model_init(&m.served, &echo_operations, NULL, NULL, &(struct served_model_options){.id = "echo"});
    struct served_description d = served_model_describe(&m.served);
    assert_int_equal(d.kind, SERVED_EMBED);
    assert_true(d.answers);
    assert_false(d.chats);
    assert_int_equal(d.context, 7);
    assert_null(text_model_of(&m.served));
    struct job *j = job_for(&m.served, ids, 1);
    assert_int_equal(served_model_submit(j, &err), RESULT_BUSY);
    assert_string_equal(err.text, "nobody has time");
    assert_int_equal(m.submitted, 1);
    served_model_close(&m.served);
    assert_int_equal(m.closed, 1);
    job_release(j);
}

static void test_a_lost_model_is_asked_no_more_and_the_first_reason_stays(void **state)
{
    (void)state;
    struct error err = {0};
    const int32_t ids[1] = {1};
    struct echo_model m = {0};
    served_model_init(&m.served, &echo_operations, NULL, NULL, &(struct served_model_options){0});
    assert_string_equal(m.served.id, "");
    served_model_lose(&m.served, &(struct error){.text = "its file was cut"});
    served_model_lose(&m.served, &(struct error){.text = "something else"});
    struct job *j = job_for(&m.served, ids, 1);
    assert_int_equal(served_model_submit(j, &err), RESULT_LOST);
    assert_string_equal(err.text, "its file was cut");
    assert_int_equal(m.submitted, 0);
    job_release(j);
}

static void test_a_text_model_says_what_it_has_and_lacks(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &options);
    struct served_model *m = text_model_served(r.m[0]);
    struct served_description d = served_model_describe(m);
    assert_int_equal(d.kind, SERVED_GENERATE);
    assert_string_equal(served_kind_name(d.kind), "generate");
    assert_true(d.answers);
    assert_false(d.chats);
    assert_string_equal(d.lacks->text, "the tokenizer was left out");
    assert_int_equal(d.context, text_model_context(r.m[0]));
    assert_string_equal(d.kv_type, "f16");
    assert_int_equal(d.kv_page_tokens, ATTENTION_BLOCK);
    assert_true(d.kv_bytes_per_token > 0);
    assert_ptr_equal(text_model_of(m), r.m[0]);
    assert_null(text_model_lacks(r.m[0], TEXT_DECODER));
    assert_non_null(text_model_lacks(r.m[0], TEXT_CHAT));
    assert_null(text_model_chat(r.m[0]));
    assert_int_equal(text_model_n_vocab(r.m[0]), TINY_VOCABULARY);
    rig_stop(&r);
}

static void test_a_file_of_no_kind_is_not_opened(void **state)
{
    (void)state;
    struct error err = {0};
    struct loaded raw = {0};
    assert_false(served_model_fits(&raw));
    assert_null(served_model_open(NULL, &raw, &(struct served_model_options){0}, &err));
    assert_non_null(strstr(err.text, "no language model"));
    served_model_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_of_its_own_is_described_asked_and_closed),
        cmocka_unit_test(test_a_lost_model_is_asked_no_more_and_the_first_reason_stays),
        cmocka_unit_test(test_a_text_model_says_what_it_has_and_lacks),
        cmocka_unit_test(test_a_file_of_no_kind_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
