/* test_streams.c - answers that take their time: clients that leave, clients that do not read, full queues, files
 * that vanish, and the server's own end.
 *
 * A slow model (tiny_model.h) takes milliseconds a token, so that all of this can happen while it answers.
 */
#include "events.h"
#include "reciting_model.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMPLETIONS "/v1/completions"
#define RUNNING(model) "berth_jobs_running{model=\"" model "\"}"
#define QUEUED(model) "berth_jobs_queued{model=\"" model "\"}"
#define CANCELLED(model) "berth_jobs_total{model=\"" model "\",finish=\"cancelled\"}"

/* Digits and euro signs without end, for some seconds. */
static const char endless[] = "{\"model\":\"slow\",\"prompt\":\"0\",\"max_tokens\":4000,\"stream\":true}";
static const char endless_whole[] = "{\"model\":\"slow\",\"prompt\":\"0\",\"max_tokens\":4000}";

static const char *models(void)
{
    const char *dir = temp_dir();
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    return dir;
}

static struct server *start(const char *const args[])
{
    struct setup setup = {.models = models()};
    for (size_t i = 0; args && args[i]; i++)
        setup.args[i] = args[i];
    return server_start(&setup);
}

static void assert_answers(const struct server *s)
{
    json_t *a =
        server_post_json(s, COMPLETIONS, 200, "{\"model\":\"tiny\",\"prompt\":\"a\",\"max_tokens\":2}");
    assert_string_equal(text_at(a, "choices.0.text"), "bc");
    json_decref(a);
}

static void test_a_client_that_leaves_a_stream_frees_its_place(void **state)
{
    (void)state;
    struct server *s = start(NULL);
    struct events e;
    events_open(&e, s, COMPLETIONS, endless);
    json_decref(events_json(&e));
    metric_wait(s, RUNNING("slow"), 1);
    events_close(&e);
    metric_wait(s, CANCELLED("slow"), 1);
    metric_wait(s, RUNNING("slow"), 0);
    metric_wait(s, "berth_http_requests_running", 1); /* the one that asks */
    server_stop(s);
}

static void test_a_client_that_leaves_before_a_whole_reply_frees_its_place(void **state)
{
    (void)state;
    struct server *s = start(NULL);
    struct events e;
    events_ask(&e, s, COMPLETIONS, endless_whole);
    metric_wait(s, RUNNING("slow"), 1);
    int64_t left = now_ms();
    events_close(&e);
    metric_wait(s, CANCELLED("slow"), 1);
    metric_wait(s, RUNNING("slow"), 0);
    assert_true(now_ms() - left < 2000);
    char *line = server_wait_log(s, "\"status\":499");
    free(line);
    server_stop(s);
}

static void test_a_client_that_leaves_the_queue_frees_its_place(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--slots", "1", NULL});
    struct events first, second;
    events_open(&first, s, COMPLETIONS, endless);
    metric_wait(s, RUNNING("slow"), 1);
    events_ask(&second, s, COMPLETIONS, endless_whole);
    metric_wait(s, QUEUED("slow"), 1);
    events_close(&second);
    metric_wait(s, QUEUED("slow"), 0);
    metric_wait(s, CANCELLED("slow"), 1);
    metric_wait(s, RUNNING("slow"), 1);
    events_close(&first);
    server_stop(s);
}

/* Routers choose among replicas by these figures. */
static void test_routers_find_the_gauges_of_vllm(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--slots", "1", "--kv-memory", "16M", NULL});
    struct events first, second;
    metric_wait(s, "vllm:num_requests_running{model_name=\"slow\"}", 0);
    metric_wait(s, "vllm:kv_cache_usage_perc{model_name=\"slow\"}", 0);
    events_open(&first, s, COMPLETIONS, endless);
    metric_wait(s, "vllm:num_requests_running{model_name=\"slow\"}", 1);
    events_ask(&second, s, COMPLETIONS, endless_whole);
    metric_wait(s, "vllm:num_requests_waiting{model_name=\"slow\"}", 1);
    metric_wait(s, "vllm:num_requests_waiting{model_name=\"tiny\"}", 0);
    double usage = metric(s, "vllm:kv_cache_usage_perc{model_name=\"slow\"}");
    assert_true(usage > 0 && usage <= 1);
    struct answer a = server_get(s, "/metrics");
    const char *config =
        strstr(a.body, "\nvllm:cache_config_info{model_name=\"slow\",block_size=\"64\",num_gpu_blocks=\"");
    assert_non_null(config);
    char *pages = strstr(config, "num_gpu_blocks=\"") + strlen("num_gpu_blocks=\"");
    assert_true(strtoul(pages, &pages, 10) > 0);
    assert_memory_equal(pages, "\",cache_dtype=\"f16\",enable_prefix_caching=\"True\"} 1\n",
        strlen("\",cache_dtype=\"f16\",enable_prefix_caching=\"True\"} 1\n"));
    answer_release(&a);
    events_close(&second);
    events_close(&first);
    metric_wait(s, "vllm:num_requests_running{model_name=\"slow\"}", 0);
    metric_wait(s, "vllm:kv_cache_usage_perc{model_name=\"slow\"}", 0); /* what is only kept is free */
    server_stop(s);
}

static void test_health_and_other_models_answer_beside_a_stream(void **state)
{
    (void)state;
    struct server *s = start(NULL);
    struct events e;
    events_open(&e, s, COMPLETIONS, endless);
    assert_answers(s);
    server_assert_healthy(s);
    json_decref(events_json(&e));
    events_close(&e);
    server_stop(s);
}

static void test_what_is_sent_behind_a_request_is_answered_behind_it(void **state)
{
    static const char body[] = "{\"model\":\"slow\",\"prompt\":\"0\",\"max_tokens\":5}";
    static const char head[] = "POST " COMPLETIONS " HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s";
    (void)state;
    struct server *s = start(NULL);
    struct wire w;
    struct answer a;
    const char *post = text_of(head, strlen(body), body);
    wire_open(&w, s);
    assert_true(wire_say(&w, text_of("%sGET /health HTTP/1.1\r\nHost: x\r\n\r\n%s", post, post)));
    for (int i = 0; i < 3; i++) {
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_int_equal(a.status, 200);
        assert_non_null(strstr(a.body, i == 1 ? "healthy" : "\"12345\""));
        answer_release(&a);
    }
    wire_close(&w);
    server_stop(s);
}

static void test_a_full_queue_is_told_with_429(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--slots", "1", "--queue", "1", NULL});
    struct events running, waiting;
    events_open(&running, s, COMPLETIONS, endless);
    metric_wait(s, RUNNING("slow"), 1);
    events_ask(&waiting, s, COMPLETIONS, endless);
    metric_wait(s, QUEUED("slow"), 1);
    struct answer a = server_post(s, COMPLETIONS, NULL, endless);
    assert_int_equal(a.status, 429);
    assert_non_null(answer_header(&a, "retry-after"));
    json_t *body = answer_json(&a);
    assert_string_equal(text_at(body, "error.type"), "rate_limit_error");
    assert_string_equal(text_at(body, "error.code"), "rate_limit_exceeded");
    json_decref(body);
    answer_release(&a);
    metric_wait(s, "berth_jobs_refused_total{model=\"slow\"}", 1);
    events_close(&running);
    events_close(&waiting);
    server_stop(s);
}

/* With 429 clients would retry for ever. */
static void test_more_prompts_than_there_will_ever_be_room_for_are_refused_with_400(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--slots", "1", "--queue", "1", NULL});
    json_decref(server_post_json(
        s, COMPLETIONS, 400, "{\"model\":\"slow\",\"max_tokens\":1,\"prompt\":[\"a\",\"b\",\"c\"]}"));
    json_t *body = server_post_json(
        s, COMPLETIONS, 200, "{\"model\":\"slow\",\"max_tokens\":1,\"prompt\":[\"a\",\"b\"]}");
    assert_string_equal(text_at(body, "choices.1.text"), "c");
    json_decref(body);
    server_stop(s);
}

static void test_a_prompt_that_waits_too_long_is_told_with_503(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--slots", "1", "--queue-timeout", "0.2", NULL});
    struct events running;
    events_open(&running, s, COMPLETIONS, endless);
    metric_wait(s, RUNNING("slow"), 1);
    for (int stream = 0; stream < 2; stream++) {
        struct answer a = server_post(s, COMPLETIONS, NULL, stream ? endless : endless_whole);
        assert_int_equal(a.status, 503);
        assert_non_null(answer_header(&a, "retry-after"));
        answer_release(&a);
    }
    events_close(&running);
    server_stop(s);
}

static void test_an_answer_that_takes_too_long_ends_in_an_error(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--job-timeout", "0.3", NULL});
    struct answer a = server_post(s, COMPLETIONS, NULL, endless_whole);
    assert_int_equal(a.status, 504);
    answer_release(&a);
    struct events e;
    size_t errors = 0;
    events_open(&e, s, COMPLETIONS, endless);
    for (json_t *chunk = events_json(&e); chunk; chunk = events_json(&e)) {
        assert_int_equal(errors, 0); /* it is the last before [DONE] */
        errors += json_object_get(chunk, "error") != NULL;
        json_decref(chunk);
    }
    assert_int_equal(errors, 1);
    events_close(&e);
    server_stop(s);
}

static void test_a_stream_that_waits_says_that_it_lives(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--slots", "1", "--ping", "0.1", NULL});
    struct events running, waiting;
    events_open(&running, s, COMPLETIONS, endless);
    metric_wait(s, RUNNING("slow"), 1);
    events_open(&waiting, s, COMPLETIONS, endless); /* the head comes with the first ping */
    for (int i = 0; i < 2; i++) {
        char *event = events_next(&waiting);
        assert_string_equal(event, ": ping");
        free(event);
    }
    events_close(&running);
    json_t *chunk = events_json(&waiting);
    assert_non_null(chunk);
    json_decref(chunk);
    events_close(&waiting);
    server_stop(s);
}

static void test_the_log_tells_how_far_a_long_prompt_has_been_read(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--chunk", "1", "--log-level", "debug", NULL});
    struct events e;
    char ids[2 * 4000 + 2] = "0";
    for (size_t i = 1; i < 4000; i++)
        memcpy(ids + 2 * i - 1, ",0", 3);
    events_ask(&e, s, COMPLETIONS, text_of("{\"model\":\"slow\",\"prompt\":[%s]}", ids));
    char *line = server_wait_log(s, "reading a prompt");
    json_t *told = json_loads(line, 0, NULL);
    assert_string_equal(text_at(told, "model"), "slow");
    assert_in_range(number_at(told, "done"), 1, 3999);
    assert_int_equal(number_at(told, "of"), 4000);
    json_decref(told);
    free(line);
    events_close(&e);
    server_stop(s);
}

static void test_fields_that_mean_nothing_are_told_in_a_few_lines(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--log-level", "debug", NULL});
    char fields[50 * 16] = "";
    for (size_t i = 0; i < 50; i++)
        strcat(fields, text_of(",\"odd_%zu\":1", i));
    json_decref(server_post_json(
        s, COMPLETIONS, 200, text_of("{\"model\":\"tiny\",\"prompt\":\"a\",\"max_tokens\":1%s}", fields)));
    char *log = server_log(s);
    size_t told = 0;
    for (const char *at = log; (at = strstr(at, "\"odd_")); at++)
        told++;
    assert_int_equal(told, 8);
    free(log);
    server_stop(s);
}

static void test_a_client_that_does_not_read_is_cut_off_and_stalls_nobody(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--write-timeout", "0.5", NULL});
    struct events stuck = {0};
    /* With all that a token can bring an answer is some megabytes, more than sockets hold. */
    const char *body =
        "{\"model\":\"tiny\",\"prompt\":\"0\",\"max_tokens\":500,\"logprobs\":20,\"stream\":true,"
        "\"n\":100}";
    events_ask(&stuck, s, COMPLETIONS, body);
    for (int64_t deadline = now_ms() + WAIT_MS;
         metric(s, "berth_http_connections_refused_total{reason=\"write_timeout\"}") < 1;) {
        if (now_ms() > deadline)
            fail_msg("a client that does not read is not cut off");
        assert_answers(s);
    }
    metric_wait(s, RUNNING("tiny"), 0);
    events_close(&stuck);
    server_stop(s);
}

static void test_a_file_cut_short_ends_its_streams_and_nothing_else(void **state)
{
    (void)state;
    const char *dir = models();
    struct server *s = server_start(&(struct setup){.models = dir});
    struct events e;
    size_t errors = 0;
    events_open(&e, s, COMPLETIONS, endless);
    json_decref(events_json(&e));
    assert_int_equal(truncate(path_in(dir, "slow.gguf"), 4096), 0);
    for (json_t *chunk = events_json(&e); chunk; chunk = events_json(&e)) {
        errors += json_object_get(chunk, "error") != NULL;
        json_decref(chunk);
    }
    assert_int_equal(errors, 1);
    events_close(&e);
    assert_answers(s);
    free(server_wait_log(s, "changed under its map"));
    json_t *refused = server_post_json(s, COMPLETIONS, 503, endless);
    json_decref(refused);
    assert_answers(s);
    server_stop(s);
}

/* ---- shutdown ---- */

static void test_running_streams_finish_within_the_grace(void **state)
{
    (void)state;
    struct server *s = start(NULL);
    struct events e;
    size_t n = 0;
    events_open(&e, s, COMPLETIONS,
        "{\"model\":\"slow\",\"prompt\":\"0\",\"max_tokens\":20,\"stream\":true,\"logprobs\":0}");
    json_decref(events_json(&e));
    kill(s->pid, SIGTERM);
    for (json_t *chunk = events_json(&e); chunk; chunk = events_json(&e)) {
        assert_null(json_object_get(chunk, "error"));
        n++;
        json_decref(chunk);
    }
    assert_true(n > 5);
    events_close(&e);
    server_expect_end(s);
}

static void test_what_is_left_after_the_grace_ends_in_an_error(void **state)
{
    (void)state;
    struct server *s = start((const char *const[]){"--grace", "0.2", "--slots", "1", NULL});
    struct events stream, whole;
    size_t errors = 0;
    events_open(&stream, s, COMPLETIONS, endless);
    json_decref(events_json(&stream));
    events_ask(&whole, s, COMPLETIONS, endless_whole);
    metric_wait(s, QUEUED("slow"), 1);
    int64_t told = now_ms();
    kill(s->pid, SIGTERM);
    for (json_t *chunk = events_json(&stream); chunk; chunk = events_json(&stream)) {
        errors += json_object_get(chunk, "error") != NULL;
        json_decref(chunk);
    }
    assert_int_equal(errors, 1);
    struct answer a;
    assert_true(wire_answer(&whole.wire, &a, false, WAIT_MS));
    assert_int_equal(a.status, 503);
    answer_release(&a);
    server_expect_end(s);
    assert_true(now_ms() - told < 3000);
    events_close(&stream);
    events_close(&whole);
}

/* ---- keys ---- */

static void test_under_v1_a_key_is_asked_for_and_elsewhere_not(void **state)
{
    static const struct {
        const char *header;
        int status;
    } rows[] = {
        {NULL, 401},
        {"Authorization: Bearer wrong\r\n", 401},
        {"Authorization: Bearer first-ke\r\n", 401},
        {"Authorization: Bearer first-keyy\r\n", 401},
        {"Authorization: Bearer \r\n", 401},
        {"Authorization: first-key\r\n", 401},
        {"Authorization: Bearer first-key\r\n", 200},
        {"authorization: bearer second-key\r\n", 200},
    };
    (void)state;
    const char *dir = temp_dir(), *keys = "# keys\n\nfirst-key\n  second-key \r\n";
    write_file(dir, "keys", keys, strlen(keys));
    struct server *s = start((const char *const[]){"--api-key-file", path_in(dir, "keys"), NULL});
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct answer a = server_request(s, "GET", "/v1/models", rows[i].header);
        if (a.status != rows[i].status)
            fail_msg("%s: %d, not %d", rows[i].header, a.status, rows[i].status);
        if (a.status == 401)
            assert_string_equal(answer_header(&a, "www-authenticate"), "Bearer");
        answer_release(&a);
    }
    static const char *const open[] = {
        "/", "/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"};
    server_wait_status(s, "/readyz", 200);
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
        struct answer a = server_get(s, open[i]);
        assert_int_equal(a.status, 200);
        answer_release(&a);
    }
    struct answer a = server_post(s, COMPLETIONS, NULL, endless);
    assert_int_equal(a.status, 401);
    json_t *body = json_loads(a.body, 0, NULL); /* as OpenAI's own server words it, too */
    assert_string_equal(text_at(body, "error.type"), "invalid_request_error");
    json_decref(body);
    assert_false(server_logged(s, "first-key"));
    answer_release(&a);
    server_stop(s);
}

static void test_a_file_of_keys_without_any_keeps_the_server_from_starting(void **state)
{
    static const char *const files[] = {"", "# none\n", "a key\n"};
    (void)state;
    const char *dir = temp_dir();
    for (size_t i = 0; i < 3; i++) {
        write_file(dir, "keys", files[i], strlen(files[i]));
        struct outcome o = outcome_of(&(struct setup){.args = {"--api-key-file", path_in(dir, "keys")}});
        assert_int_equal(o.code, 1);
        assert_non_null(strstr(o.err, "keys"));
        outcome_release(&o);
    }
}

static void test_one_template_may_stand_for_all(void **state)
{
    (void)state;
    const char *dir = temp_dir(), *template = "{{ messages[0].content }}9";
    write_file(dir, "template", template, strlen(template));
    struct server *s = start((const char *const[]){"--chat-template", path_in(dir, "template"), NULL});
    json_t *a = server_post_json(s, "/v1/chat/completions", 200,
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":4}");
    assert_string_equal(text_at(a, "choices.0.message.content"), TINY_EURO "0");
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 2);
    json_decref(a);
    server_stop(s);
}

static void test_the_only_model_is_told_what_it_lacks_without_being_named(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "bare.gguf", &(struct tiny_model){.no_template = true});
    struct server *s = server_start(&(struct setup){.models = dir});
    json_t *a = server_post_json(
        s, "/v1/chat/completions", 400, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
    assert_non_null(strstr(text_at(a, "error.message"), "/v1/completions"));
    assert_string_equal(text_at(a, "error.code"), "model_not_supported");
    json_decref(a);
    server_stop(s);
}

/* ---- options of the engine ---- */

static void test_engine_options_change_no_answer(void **state)
{
    static const char *const options[][2] = {{"--cpu", "plain"}, {"--kv-type", "f32"}, {"--kv-type", "q8_0"},
        {"--kv-memory", "2M"}, {"--chunk", "1"}, {"--slots", "2"}, {"--threads", "1"}};
    (void)state;
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        struct server *s = start((const char *const[]){options[i][0], options[i][1], NULL});
        json_t *a = server_post_json(s, COMPLETIONS, 200,
            "{\"model\":\"tiny\",\"prompt\":[\"0\",\"a\"],\"n\":2,\"max_tokens\":12,\"temperature\":1}");
        assert_string_equal(text_at(a, "choices.1.text"), "123456789" TINY_EURO);
        assert_string_equal(text_at(a, "choices.2.text"), "bcdefghijklm");
        json_decref(a);
        server_stop(s);
    }
}

static void test_a_model_tells_how_keys_and_values_are_kept(void **state)
{
    static const char *const types[] = {"f16", "q8_0"};
    long long bytes[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct server *s = start((const char *const[]){"--kv-type", types[i], NULL});
        json_t *a = server_post_json(s, COMPLETIONS, 200, "{\"model\":\"tiny\",\"prompt\":\"0\"}");
        json_decref(a);
        a = server_json(s, "/v1/models/tiny");
        assert_string_equal(text_at(a, "berth.kv_type"), types[i]);
        bytes[i] = number_at(a, "berth.kv_bytes_per_token");
        json_decref(a);
        server_stop(s);
    }
    assert_true(2 * bytes[1] > bytes[0] && 5 * bytes[1] < 3 * bytes[0]);
}

static void test_the_context_may_be_lowered_and_not_raised(void **state)
{
    static const struct {
        const char *option;
        int context;
    } rows[] = {{"64", 64}, {"100000", 512}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct server *s = start((const char *const[]){"--context", rows[i].option, NULL});
        for (int over = 0; over < 2; over++) {
            json_t *a = server_post_json(s, COMPLETIONS, over ? 400 : 200,
                text_of(
                    "{\"model\":\"tiny\",\"prompt\":\"0\",\"max_tokens\":%d}", rows[i].context - 1 + over));
            if (over)
                assert_string_equal(text_at(a, "error.code"), "context_length_exceeded");
            else
                assert_int_equal(number_at(a, "usage.total_tokens"), rows[i].context);
            json_decref(a);
        }
        server_stop(s);
    }
}

static void test_an_option_that_cannot_be_honoured_keeps_the_server_from_starting(void **state)
{
    static const char *const bad[][2] = {{"--cpu", "sse"}, {"--kv-type", "q4"}, {"--alias", "x"},
        {"--chat-template", "/none/such"}, {"--slots", "0"}};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct outcome o = outcome_of(&(struct setup){.args = {bad[i][0], bad[i][1]}});
        assert_true(o.code == 1 || o.code == 2);
        assert_int_not_equal(strlen(o.err), 0);
        outcome_release(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_that_leaves_a_stream_frees_its_place),
        cmocka_unit_test(test_a_client_that_leaves_before_a_whole_reply_frees_its_place),
        cmocka_unit_test(test_a_client_that_leaves_the_queue_frees_its_place),
        cmocka_unit_test(test_routers_find_the_gauges_of_vllm),
        cmocka_unit_test(test_health_and_other_models_answer_beside_a_stream),
        cmocka_unit_test(test_what_is_sent_behind_a_request_is_answered_behind_it),
        cmocka_unit_test(test_a_full_queue_is_told_with_429),
        cmocka_unit_test(test_more_prompts_than_there_will_ever_be_room_for_are_refused_with_400),
        cmocka_unit_test(test_a_prompt_that_waits_too_long_is_told_with_503),
        cmocka_unit_test(test_an_answer_that_takes_too_long_ends_in_an_error),
        cmocka_unit_test(test_a_stream_that_waits_says_that_it_lives),
        cmocka_unit_test(test_the_log_tells_how_far_a_long_prompt_has_been_read),
        cmocka_unit_test(test_fields_that_mean_nothing_are_told_in_a_few_lines),
        cmocka_unit_test(test_a_client_that_does_not_read_is_cut_off_and_stalls_nobody),
        cmocka_unit_test(test_a_file_cut_short_ends_its_streams_and_nothing_else),
        cmocka_unit_test(test_running_streams_finish_within_the_grace),
        cmocka_unit_test(test_what_is_left_after_the_grace_ends_in_an_error),
        cmocka_unit_test(test_under_v1_a_key_is_asked_for_and_elsewhere_not),
        cmocka_unit_test(test_a_file_of_keys_without_any_keeps_the_server_from_starting),
        cmocka_unit_test(test_one_template_may_stand_for_all),
        cmocka_unit_test(test_the_only_model_is_told_what_it_lacks_without_being_named),
        cmocka_unit_test(test_engine_options_change_no_answer),
        cmocka_unit_test(test_a_model_tells_how_keys_and_values_are_kept),
        cmocka_unit_test(test_the_context_may_be_lowered_and_not_raised),
        cmocka_unit_test(test_an_option_that_cannot_be_honoured_keeps_the_server_from_starting),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
