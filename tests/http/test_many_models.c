/* test_many_models.c - thousands of models on a volume, and more than the process may open. */
#include "mounted.h"
#include "reciting_model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 3200

/* A volume of small models that answer. */
static const char *volume_of_many(size_t n)
{
    const char *dir = temp_dir();
    for (size_t i = 0; i < n; i++)
        write_tiny_model(dir, text_of("m%zu.gguf", i), &(struct tiny_model){.no_template = true});
    return dir;
}

/* Not by strstr: under the sanitizers it looks at all of the text each time. */
static size_t count_of(const char *text, const char *part)
{
    size_t n = 0, size = strlen(part);
    for (const char *at = text; *at; at++)
        n += *at == *part && strncmp(at, part, size) == 0;
    return n;
}

/* Models are opened one after the other when the first load has ended. */
static void wait_until_all_answer(struct server *s, size_t n)
{
    for (int64_t end = now_ms() + 10 * WAIT_MS;; pause_ms(100)) {
        char *log = server_log(s);
        size_t answering = count_of(log, "\"ready: completions only");
        free(log);
        if (answering == n)
            return;
        if (now_ms() > end)
            fail_msg("%zu of %zu models answer", answering, n);
    }
}

/* More models than descriptors: the rest fails by name, clients are let in, and nothing spins. */
static void test_models_beyond_the_open_files_are_refused_by_name(void **state)
{
    enum { FILES = 256, MODELS = 400 };
    (void)state;
    const char *dir = volume_of_many(MODELS);
    struct server *s = server_start(&(struct setup){.models = dir, .open_files = FILES});
    server_wait_status(s, "/readyz", 200);
    json_t *list = server_json(s, "/v1/models");
    size_t mapped = 0, refused = 0, i;
    json_t *model;
    json_array_foreach(json_object_get(list, "data"), i, model)
    {
        const json_t *berth = json_object_get(model, "berth");
        const char *reason = json_string_value(json_object_get(berth, "reason"));
        if (strcmp(json_string_value(json_object_get(berth, "state")), "failed") != 0)
            mapped++;
        else if (reason && strstr(reason, "the process may open 256 files"))
            refused++;
    }
    json_decref(list);
    assert_true(mapped >= FILES / 4);
    assert_int_equal(mapped + refused, MODELS);
    struct wire w[64];
    for (size_t k = 0; k < 64; k++)
        wire_open(&w[k], s);
    server_assert_healthy(s);
    for (size_t k = 0; k < 64; k++)
        wire_close(&w[k]);
    wait_until_all_answer(s, mapped);
    double before = server_cpu_seconds(s);
    pause_ms(1000);
    assert_true(server_cpu_seconds(s) - before < 0.2);
    server_stop(s);
}

static void test_metrics_of_thousands_of_models_are_whole(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.models = volume_of_many(MANY)});
    if (server_logged(s, "\"state\":\"failed\"")) {
        printf("SKIPPED: %d models: this user may open too few files\n", MANY);
        server_stop(s);
        return;
    }
    wait_until_all_answer(s, MANY);
    for (int open = 0; open < 2; open++) {
        struct answer a =
            server_request(s, "GET", "/metrics", open ? "Accept: application/openmetrics-text\r\n" : NULL);
        assert_int_equal(a.status, 200);
        assert_true(a.body_size > 16 << 20);
        assert_int_equal(count_of(a.body, "berth_model_mapped_bytes{"), MANY);
        assert_int_equal(count_of(a.body, "berth_job_seconds_count{"), MANY);
        assert_int_equal(count_of(a.body, "vllm:cache_config_info{"), MANY);
        assert_int_equal(count_of(a.body, "# TYPE berth_job_seconds histogram\n"), 1);
        assert_string_equal(a.body + a.body_size - 4, open ? "EOF\n" : "} 1\n");
        answer_release(&a);
    }
    server_assert_healthy(s);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_beyond_the_open_files_are_refused_by_name),
        cmocka_unit_test(test_metrics_of_thousands_of_models_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
