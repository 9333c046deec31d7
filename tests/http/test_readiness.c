/* test_readiness.c - readiness that goes with a model's file and comes back with it, and what requests are told
 * meanwhile.
 */
#include "events.h"
#include "mounted.h"
#include "reciting_model.h"

#include <fcntl.h>
#include <unistd.h>

#define TEXT "/v1/completions"

/* Writes the file's first byte: 'G' for a model, another for a file that cannot be loaded. */
static void rewrite(const char *dir, const char *name, char byte)
{
    int fd = open(path_in(dir, name), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
    close(fd);
}

static void assert_ready_is(struct server *s, int status, const char *reason)
{
    for (int64_t deadline = now_ms() + WAIT_MS;; pause_ms(20)) {
        struct answer a = server_get(s, "/readyz");
        bool is = a.status == status && strstr(a.body, reason);
        if (!is && now_ms() > deadline)
            fail_msg("/readyz: %d %s, not %d with \"%s\"", a.status, a.body, status, reason);
        answer_release(&a);
        if (is)
            break;
    }
    server_wait_status(s, "/v2/health/ready", status);
    server_assert_healthy(s);
    assert_body(s, "/livez", 200, "{\"status\":\"alive\"}");
}

static void wait_mapped(struct server *s, const char *id)
{
    int64_t deadline = now_ms() + WAIT_MS;
    while (strcmp(told(s, id, "state"), "mapped") != 0) {
        if (now_ms() > deadline)
            fail_msg("%s is still %s", id, told(s, id, "state"));
        pause_ms(20);
    }
}

static void assert_answers(struct server *s, const char *body)
{
    json_t *a = server_post_json(s, TEXT, 200, body);
    assert_string_equal(text_at(a, "choices.0.text"), "bc");
    json_decref(a);
}

static void assert_unavailable(struct server *s, const char *body, const char *code, const char *told)
{
    json_t *a = server_post_json(s, TEXT, 503, body);
    assert_string_equal(text_at(a, "error.code"), code);
    if (!strstr(text_at(a, "error.message"), told))
        fail_msg("%s", text_at(a, "error.message"));
    json_decref(a);
}

#define UNNAMED "{\"prompt\":\"a\",\"max_tokens\":2}"
#define NAMED "{\"model\":\"tiny\",\"prompt\":\"a\",\"max_tokens\":2}"

static void test_readiness_comes_back_with_the_only_model_s_file(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    struct server *s = serve(dir);
    assert_ready_is(s, 200, "ready");
    for (int i = 0; i < 2; i++) {
        rewrite(dir, "tiny.gguf", 'x');
        assert_ready_is(s, 503, "the model tiny cannot answer: ");
        assert_unavailable(s, UNNAMED, "model_failed", "The model 'tiny' has failed: ");
        assert_unavailable(s, NAMED, "model_failed", "The model has failed: ");
        rewrite(dir, "tiny.gguf", 'G');
        assert_ready_is(s, 200, "ready");
        assert_answers(s, UNNAMED);
        assert_answers(s, NAMED);
        assert_mapped(s, "tiny");
        assert_int_equal(count_models(s), 1);
        assert_body(s, "/", 200, LOADED);
    }
    free(server_wait_log(s, "a failed model is served again"));
    server_stop(s);
}

static void test_a_file_cut_short_and_copied_again_is_served_again(void **state)
{
    (void)state;
    const char *dir = temp_dir(), *aside = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(aside, "tiny.gguf", &(struct tiny_model){.context = 300});
    struct server *s = serve(dir);
    assert_ready_is(s, 200, "ready");
    assert_int_equal(truncate(path_in(dir, "tiny.gguf"), 4096), 0);
    assert_ready_is(s, 503, "the model tiny cannot answer: ");
    assert_int_equal(rename(path_in(aside, "tiny.gguf"), path_in(dir, "tiny.gguf")), 0);
    assert_ready_is(s, 200, "ready");
    assert_answers(s, UNNAMED);
    json_t *m = server_json(s, "/v1/models/tiny"); /* as it is now */
    assert_int_equal(number_at(m, "context_length"), 300);
    json_decref(m);
    server_stop(s);
}

static void test_readiness_comes_back_when_every_required_model_answers(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "other.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "spare.gguf", &(struct tiny_model){0});
    struct server *s = server_start(
        &(struct setup){.models = dir, .args = {"--require", "Tiny.gguf,other", "--default-model", "tiny"}});
    assert_ready_is(s, 200, "ready");
    rewrite(dir, "tiny.gguf", 'x');
    assert_ready_is(s, 503, "the required model Tiny.gguf has failed: tiny.gguf: was rewritten in place");
    assert_unavailable(s, UNNAMED, "model_failed", "The model has failed: "); /* the default model */
    assert_answers(s, "{\"model\":\"other\",\"prompt\":\"a\",\"max_tokens\":2}");
    rewrite(dir, "other.gguf", 'x');
    wait_failed(s, "other");
    rewrite(dir, "tiny.gguf", 'G');
    wait_mapped(s, "tiny");
    assert_ready_is(s, 503, "the required model other has failed: ");
    rewrite(dir, "other.gguf", 'G');
    assert_ready_is(s, 200, "ready");
    assert_answers(s, UNNAMED);
    server_stop(s);
}

/* Answers that are under way end in an error when the file is lost; the engine lets go of the lost model. */
static void test_a_model_is_lost_and_served_again_under_requests(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    struct server *s = serve(dir);
    assert_ready_is(s, 200, "ready");
    struct events e;
    events_open(&e, s, TEXT, "{\"prompt\":\"0\",\"max_tokens\":4000,\"stream\":true}");
    json_decref(events_json(&e));
    rewrite(dir, "slow.gguf", 'x');
    server_wait_status(s, "/readyz", 503);
    bool told = false;
    for (json_t *one; (one = events_json(&e)); json_decref(one))
        told = told || json_object_get(one, "error");
    assert_true(told);
    rewrite(dir, "slow.gguf", 'G');
    assert_ready_is(s, 200, "ready");
    events_close(&e);
    assert_answers(s, UNNAMED);
    metric_wait(s, "berth_jobs_running{model=\"slow\"}", 0);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readiness_comes_back_with_the_only_model_s_file),
        cmocka_unit_test(test_a_file_cut_short_and_copied_again_is_served_again),
        cmocka_unit_test(test_readiness_comes_back_when_every_required_model_answers),
        cmocka_unit_test(test_a_model_is_lost_and_served_again_under_requests),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
