/* test_request_memory.c - requests under way share a budget, and what exceeds it is answered 503.
 *
 * The second half gives a server the budget that it has in a container of 64 MB, and looks how much memory it took at
 * most while requests asked for far more.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET "1M"
#define LARGE 200000 /* bytes of a text that needs twice the budget */
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"

static struct server *server;

static void assert_small_is_answered(void)
{
    json_t *a = server_post_json(server, "/v1/chat/completions", 200, "{" HELLO ",\"max_tokens\":2}");
    assert_string_equal(text_at(a, "choices.0.message.content"), "ab");
    json_decref(a);
}

static void assert_too_large(const char *target, const char *body)
{
    struct answer a = server_post(server, target, NULL, body);
    if (a.status != 503)
        fail_msg("%s: %d %s", target, a.status, a.body);
    assert_non_null(answer_header(&a, "retry-after"));
    answer_release(&a);
}

static void test_a_body_that_takes_more_than_is_left_is_answered_503(void **state)
{
    (void)state;
    char *text = calloc(1, LARGE + 1), *ids = calloc(1, 2 * LARGE);
    assert_non_null(text);
    assert_non_null(ids);
    memset(text, 'x', LARGE);
    for (size_t i = 0; i + 1 < LARGE; i += 2)
        memcpy(ids + i, "7,", 2);
    for (int i = 0; i < 20; i++) { /* what was taken is given back each time */
        assert_too_large("/v1/completions", text_of("{\"prompt\":\"%s\"}", text));
        assert_too_large("/v1/completions", text_of("{\"prompt\":[%s7]}", ids));
        assert_too_large(
            "/v1/chat/completions", text_of("{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text));
        assert_too_large("/v1/tokenize", text_of("{\"text\":\"%s\"}", text));
        assert_too_large("/v1/detokenize", text_of("{\"tokens\":[%s7]}", ids));
        assert_small_is_answered();
    }
    free(text);
    free(ids);
}

static void test_an_answer_that_grows_beyond_the_budget_is_answered_503(void **state)
{
    (void)state;
    static const char body[] =
        "{" HELLO ",\"n\":100,\"logprobs\":true,\"top_logprobs\":20,\"max_tokens\":26}";
    for (int i = 0; i < 3; i++) {
        assert_too_large("/v1/chat/completions", body);
        assert_small_is_answered();
    }
}

static void test_a_reply_of_many_ids_counts(void **state)
{
    (void)state;
    char *text = calloc(1, 70001);
    assert_non_null(text);
    memset(text, 'x', 70000);
    json_t *a = server_post_json(server, "/v1/tokenize", 200, text_of("{\"text\":\"%.50000s\"}", text));
    assert_int_equal(number_at(a, "count"), 50000);
    json_decref(a);
    assert_too_large("/v1/tokenize", text_of("{\"text\":\"%.50000s\",\"with_pieces\":true}", text));
    assert_small_is_answered();
    free(text);
}

/* ---- in a small container ---- */

#define CONTAINER ((size_t)64 << 20)
#define CONTAINER_BUDGET "24M" /* as request_memory_default(CONTAINER) */
#define SPARE ((size_t)6 << 20) /* for what the kernel counts beside the process */
#define KEPT 24 /* connections that are kept open */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* it takes much more memory itself */
#else
#define SANITIZED 0
#endif

static struct server *small_server(const char *budget)
{
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){.context = 65536});
    return server_start(&(struct setup){.models = dir,
        .args = {
            "--request-memory", budget, "--kv-memory", "8M", "--prefix-cache", "off", "--threads", "1"}});
}

/* The most memory that the process has had resident, in bytes. */
static size_t peak_of(const struct server *s)
{
    char line[256];
    size_t peak = 0;
    FILE *f = fopen(text_of("/proc/%d/status", (int)s->pid), "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtoul(line + 6, NULL, 10) * 1024;
    fclose(f);
    assert_true(peak > 0);
    return peak;
}

static void assert_survives(struct server *s)
{
    size_t peak = peak_of(s);
    if (!SANITIZED && peak > CONTAINER - SPARE)
        fail_msg("the server took %zu KiB", peak >> 10);
    json_t *a = server_post_json(s, "/v1/chat/completions", 200, "{" HELLO ",\"max_tokens\":2}");
    assert_string_equal(text_at(a, "choices.0.message.content"), "ab");
    json_decref(a);
    metric_wait(s, "berth_http_requests_running", 1); /* the one that asks */
    server_stop(s);
}

static char *repeated(const char *what, size_t n)
{
    size_t size = strlen(what);
    char *text = malloc(n * size + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * size, what, size);
    text[n * size] = '\0';
    return text;
}

#define MANY_LOGPROBS                                                                                        \
    "{" HELLO ",\"n\":64,\"logprobs\":true,\"top_logprobs\":20,\"max_tokens\":2000,\"ignore_eos\":true"

static void test_a_large_answer_does_not_end_a_small_container(void **state)
{
    (void)state;
    struct server *s = small_server(CONTAINER_BUDGET);
    struct answer a = server_post(s, "/v1/chat/completions", NULL, MANY_LOGPROBS "}");
    assert_int_equal(a.status, 503);
    assert_non_null(answer_header(&a, "retry-after"));
    answer_release(&a);
    assert_survives(s);
}

static void test_a_stream_that_nobody_reads_does_not_end_a_small_container(void **state)
{
    (void)state;
    struct server *s = small_server("8M"); /* soon full */
    struct events e;
    bool told = false;
    events_open(&e, s, "/v1/chat/completions", MANY_LOGPROBS ",\"stream\":true}");
    int64_t deadline = now_ms() + 20 * WAIT_MS; /* many tokens until the budget is full */
    while (metric(s, "berth_jobs_total{model=\"tiny\",finish=\"failed\"}") < 1 && now_ms() < deadline)
        pause_ms(20);
    for (char *one; (one = events_next(&e)); free(one))
        told = told || (strstr(one, "\"error\"") && strstr(one, "memory"));
    assert_true(told);
    events_close(&e);
    assert_survives(s);
}

static void test_a_prompt_that_is_echoed_often_does_not_end_a_small_container(void **state)
{
    (void)state;
    struct server *s = small_server(CONTAINER_BUDGET);
    int refused = 0;
    char *text = repeated("\\u0001", 5000);
    for (int stream = 0; stream < 2; stream++)
        for (int scored = 0; scored < 2; scored++) {
            struct answer a = server_post(s, "/v1/completions", NULL,
                text_of(
                    "{\"prompt\":\"%s\",\"echo\":true,\"n\":128,\"max_tokens\":%d,\"stream\":%s,\"logprobs\":%s}",
                    text, !scored, stream ? "true" : "false", scored ? "20" : "null"));
            if (a.status != 503 && a.status != 200)
                fail_msg("%d: %.200s", a.status, a.body);
            refused += a.status == 503 || strstr(a.body, "There is no memory");
            answer_release(&a);
        }
    assert_true(refused >= 2); /* with log probabilities */
    free(text);
    assert_survives(s);
}

static void test_prompts_of_ids_do_not_end_a_small_container(void **state)
{
    (void)state;
    struct server *s = small_server(CONTAINER_BUDGET);
    char *ids = repeated("[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],", 20000), *one = repeated("7,", 2000000);
    struct answer a =
        server_post(s, "/v1/completions", NULL, text_of("{\"prompt\":[%s[7]],\"max_tokens\":1}", ids));
    assert_int_equal(a.status, 503);
    answer_release(&a);
    a = server_post(s, "/v1/completions", NULL, text_of("{\"prompt\":[%s7],\"max_tokens\":1}", one));
    assert_int_equal(a.status, 503);
    answer_release(&a);
    free(ids);
    free(one);
    assert_survives(s);
}

/* A template may make more values than the request has bytes. */
static void test_a_template_that_makes_much_of_little_does_not_end_a_small_container(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny.gguf",
        &(struct tiny_model){.context = 65536,
            .template =
                "{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t + m['content'] %}"
                "{% endfor %}{{ messages[0]['content'] + '\n' }}"});
    struct server *s = server_start(&(struct setup){.models = dir,
        .args = {"--request-memory", CONTAINER_BUDGET, "--kv-memory", "8M", "--prefix-cache", "off"}});
    char *text = repeated("x", 2000);
    char *messages = repeated(text_of("{\"role\":\"assistant\",\"content\":\"%s\"},", text), 200);
    struct answer a = server_post(s, "/v1/chat/completions", NULL,
        text_of("{\"messages\":[%s{\"role\":\"user\",\"content\":\"Hello\"}]}", messages));
    if (a.status != 503)
        fail_msg("%d %s", a.status, a.body);
    answer_release(&a);
    free(text);
    free(messages);
    assert_survives(s);
}

static void test_bodies_under_way_do_not_end_a_small_container(void **state)
{
    (void)state;
    struct server *s = small_server(CONTAINER_BUDGET);
    struct wire wires[KEPT];
    char *half = repeated("x", 4 << 20);
    for (size_t i = 0; i < KEPT; i++) {
        wire_open(&wires[i], s);
        assert_true(wire_say(&wires[i],
            text_of("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n", 8 << 20)));
        assert_true(wire_say(&wires[i], half));
    }
    /* There is no memory for the last ones: they are told when they are whole. */
    struct answer a;
    assert_true(wire_say(&wires[KEPT - 1], half));
    assert_true(wire_answer(&wires[KEPT - 1], &a, false, WAIT_MS));
    assert_int_equal(a.status, 503);
    assert_non_null(answer_header(&a, "retry-after"));
    assert_non_null(strstr(a.body, "\"error\""));
    answer_release(&a);
    for (size_t i = 0; i < KEPT; i++)
        wire_close(&wires[i]);
    metric_wait(s, "berth_http_requests_running", 1);
    free(half);
    assert_survives(s);
}

static void test_replies_that_nobody_reads_do_not_end_a_small_container(void **state)
{
    (void)state;
    struct server *s = small_server(CONTAINER_BUDGET);
    enum { SLOW = 8 };
    struct events slow[SLOW];
    int refused = 0;
    char *text = repeated("x", 1000000); /* its reply is 8 times as long, more than sockets hold */
    for (size_t i = 0; i < SLOW; i++) {
        events_ask(&slow[i], s, "/v1/tokenize", text_of("{\"text\":\"%s\",\"with_pieces\":true}", text));
        assert_true(wire_head(&slow[i].wire, &slow[i].head, WAIT_MS));
        refused += slow[i].head.status == 503;
        assert_true(slow[i].head.status == 200 || (i > 0 && slow[i].head.status == 503));
    }
    assert_true(refused > 0);
    for (size_t i = 0; i < SLOW; i++)
        events_close(&slow[i]);
    metric_wait(s, "berth_http_requests_running", 1);
    free(text);
    assert_survives(s);
}

static int start(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){.context = 4096});
    server = server_start(&(struct setup){.models = dir, .args = {"--request-memory", BUDGET}});
    return 0;
}

static int stop(void **state)
{
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_that_takes_more_than_is_left_is_answered_503),
        cmocka_unit_test(test_an_answer_that_grows_beyond_the_budget_is_answered_503),
        cmocka_unit_test(test_a_reply_of_many_ids_counts),
        cmocka_unit_test(test_a_large_answer_does_not_end_a_small_container),
        cmocka_unit_test(test_a_stream_that_nobody_reads_does_not_end_a_small_container),
        cmocka_unit_test(test_a_prompt_that_is_echoed_often_does_not_end_a_small_container),
        cmocka_unit_test(test_prompts_of_ids_do_not_end_a_small_container),
        cmocka_unit_test(test_a_template_that_makes_much_of_little_does_not_end_a_small_container),
        cmocka_unit_test(test_bodies_under_way_do_not_end_a_small_container),
        cmocka_unit_test(test_replies_that_nobody_reads_do_not_end_a_small_container),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
