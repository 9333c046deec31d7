/* test_lost_files.c - models that are bad, required, or lost while the server runs, and what readiness says then. */
#include "mounted.h"
#include "reciting_model.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- bad files, and readiness ---- */

static void write_bad_gguf(const char *dir, const char *name)
{
    write_file(dir, name, "GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0\0", 24);
}

static void test_a_bad_file_fails_alone(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_bad_gguf(dir, "bad.gguf");
    write_tiny_model(dir, "good.gguf", &(struct tiny_model){0});
    struct server *s = serve(dir);
    assert_failed(s, "bad", "tensor");
    assert_mapped(s, "good");
    assert_body(s, "/", 200, LOADED);
    server_wait_status(s, "/readyz", 200);
    char *line = server_wait_log(s, text_of("Loading model from %s/bad.gguf", dir));
    assert_non_null(strstr(line, "\"state\":\"failed\""));
    assert_non_null(strstr(line, "tensor"));
    free(line);
    server_stop(s);
}

/* The reason that a route gives for 503, or NULL while it gives another status. */
static const char *reason_of(struct server *s, const char *target, const char *member, const json_t *value)
{
    struct answer a = server_get(s, target);
    json_t *body = answer_json(&a);
    bool right = a.status == 503 && json_equal(json_object_get(body, member), value);
    const char *reason = right ? text_of("%s", json_string_value(json_object_get(body, "reason"))) : NULL;
    json_decref(body);
    answer_release(&a);
    return reason;
}

/* The reason of a server that will not be ready, once both routes give the same. Models are opened after the first load,
 * and the reason changes with that. */
static const char *reason_not_ready(struct server *s)
{
    json_t *not_ready = json_string("not ready");
    const char *reason = NULL, *other = NULL;
    for (int64_t end = now_ms() + WAIT_MS;; pause_ms(20)) {
        reason = reason_of(s, "/readyz", "status", not_ready);
        other = reason_of(s, "/v2/health/ready", "ready", json_false());
        if (reason && other && strcmp(reason, other) == 0 && !strstr(reason, "being opened"))
            break;
        if (now_ms() > end)
            fail_msg("/readyz: %s; /v2/health/ready: %s", reason ? reason : "ready", other ? other : "ready");
    }
    json_decref(not_ready);
    return reason;
}

/* Waits until the server is not ready for a reason that contains `text`: models are opened after the first load. */
static void wait_reason(struct server *s, const char *text)
{
    server_wait_status(s, "/readyz", 503);
    for (int64_t end = now_ms() + WAIT_MS; !strstr(reason_not_ready(s), text); pause_ms(20))
        if (now_ms() > end)
            fail_msg("not \"%s\" but \"%s\"", text, reason_not_ready(s));
}

static void test_bad_files_alone_are_healthy_but_not_ready(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_bad_gguf(dir, "bad.gguf");
    struct server *s = serve(dir);
    assert_body(s, "/", 200, HELLO);
    assert_true(strlen(reason_not_ready(s)) > 0);
    server_assert_healthy(s);
    server_stop(s);
}

static void test_required_models_decide_on_readiness(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_bad_gguf(dir, "bad.gguf");
    write_tiny_model(dir, "good.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "nest/too.gguf", &(struct tiny_model){.no_template = true});
    write_gguf(dir, "dumb.gguf");
    struct server *s = server_start(&(struct setup){.models = dir, .args = {"--require", "good,nest/too"}});
    server_wait_status(s, "/readyz", 200);
    server_stop(s);
    s = server_start(&(struct setup){.models = dir, .args = {"--require", "good,dumb"}});
    wait_reason(s, "dumb cannot answer: key llama.block_count");
    server_stop(s);
    s = server_start(&(struct setup){.models = dir, .args = {"--require", "good,absent"}});
    wait_reason(s, "absent");
    server_assert_healthy(s);
    server_stop(s);
    s = server_start(&(struct setup){.models = dir, .env = {"BERTH_REQUIRE=bad"}});
    wait_reason(s, "bad");
    server_stop(s);
    s = server_start(&(struct setup){.args = {"--require", "good"}});
    wait_reason(s, "good");
    server_stop(s);
}

static void test_prefaulting_reads_a_model_before_the_server_is_ready(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "model.bin", NULL, 8 << 20);
    struct server *s = server_start(&(struct setup){.models = dir, .args = {"--prefault", "on"}});
    int64_t deadline = now_ms() + WAIT_MS;
    json_int_t resident = 0;
    while (resident < 8 << 20) {
        json_t *model = server_json(s, "/v1/models/model");
        resident = json_integer_value(json_object_get(json_object_get(model, "berth"), "bytes_resident"));
        json_decref(model);
        if (now_ms() > deadline)
            fail_msg("%lld bytes are resident", (long long)resident);
        pause_ms(20);
    }
    server_stop(s);
}

/* ---- files that change under the map ---- */

/* Writes into a served file, so that it is no GGUF file any more: one that still is would be served again. */
static void lose(const char *dir, const char *name)
{
    int fd = open(path_in(dir, name), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    close(fd);
}

static void test_a_file_rewritten_in_place_fails_its_model(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "other.gguf", &(struct tiny_model){.no_template = true});
    struct server *s = serve(dir);
    assert_mapped(s, "tiny");
    server_wait_status(s, "/readyz", 200);
    lose(dir, "tiny.gguf");
    wait_failed(s, "tiny");
    assert_mapped(s, "other");
    free(server_wait_log(s, "tiny.gguf"));
    server_assert_healthy(s);
    server_wait_status(s, "/readyz", 200); /* the other one can answer */
    lose(dir, "other.gguf");
    wait_failed(s, "other");
    wait_reason(s, "rewritten in place");
    struct wire w;
    struct answer a;
    wire_open(&w, s);
    assert_true(wire_say(&w,
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n"
        "{\"prompt\":\"0\"}"));
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "rewritten in place"));
    answer_release(&a);
    wire_close(&w);
    server_stop(s);
}

static void test_a_server_that_has_lost_what_it_needs_is_not_ready_and_lives(void **state)
{
    (void)state;
    for (int required = 0; required < 2; required++) {
        const char *dir = temp_dir();
        write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
        if (required)
            write_tiny_model(dir, "other.gguf", &(struct tiny_model){0});
        struct server *s = server_start(&(struct setup){
            .models = dir, .args = {required ? "--require" : NULL, required ? "tiny" : NULL}});
        server_wait_status(s, "/readyz", 200);
        lose(dir, "tiny.gguf");
        server_wait_status(s, "/readyz", 503);
        server_wait_status(s, "/v2/health/ready", 503);
        struct answer a = server_get(s, "/readyz");
        json_t *body = answer_json(&a);
        assert_string_equal(json_string_value(json_object_get(body, "status")), "not ready");
        assert_true(json_string_length(json_object_get(body, "reason")) > 0);
        json_decref(body);
        answer_release(&a);
        server_assert_healthy(s);
        server_wait_status(s, "/livez", 200);
        server_stop(s);
    }
}

static void test_a_file_cut_short_fails_its_model_and_the_process_lives(void **state)
{
    static const long sizes[] = {0, 100, 4096, 3 << 20};
    (void)state;
    const char *dir = temp_dir();
    for (size_t i = 0; i < 4; i++)
        write_file(dir, text_of("m%zu.bin", i), NULL, 4 << 20);
    struct server *s = server_start(&(struct setup){.models = dir, .args = {"--prefault", "on"}});
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(truncate(path_in(dir, text_of("m%zu.bin", i)), sizes[i]), 0);
    for (size_t i = 0; i < 4; i++)
        wait_failed(s, text_of("m%zu", i));
    server_assert_healthy(s);
    assert_body(s, "/", 200, HELLO);
    server_stop(s);
}

static void test_a_file_replaced_or_removed_is_served_as_it_was(void **state)
{
    (void)state;
    const char *dir = temp_dir(), *aside = temp_dir();
    write_gguf(dir, "replaced.gguf");
    write_gguf(dir, "removed.gguf");
    write_gguf(dir, "touched.gguf");
    struct server *s = serve(dir);
    write_bad_gguf(aside, "new.gguf");
    assert_int_equal(rename(path_in(aside, "new.gguf"), path_in(dir, "replaced.gguf")), 0);
    assert_int_equal(unlink(path_in(dir, "removed.gguf")), 0);
    assert_int_equal(chmod(path_in(dir, "touched.gguf"), 0640), 0);
    assert_false(server_has_ended(s, 2500)); /* longer than the server takes to notice a change */
    assert_mapped(s, "replaced");
    assert_mapped(s, "removed");
    assert_mapped(s, "touched");
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bad_file_fails_alone),
        cmocka_unit_test(test_bad_files_alone_are_healthy_but_not_ready),
        cmocka_unit_test(test_required_models_decide_on_readiness),
        cmocka_unit_test(test_prefaulting_reads_a_model_before_the_server_is_ready),
        cmocka_unit_test(test_a_file_rewritten_in_place_fails_its_model),
        cmocka_unit_test(test_a_server_that_has_lost_what_it_needs_is_not_ready_and_lives),
        cmocka_unit_test(test_a_file_cut_short_fails_its_model_and_the_process_lives),
        cmocka_unit_test(test_a_file_replaced_or_removed_is_served_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
