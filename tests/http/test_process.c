/* test_process.c - what a server says in its log, and how it ends: a signal ends it with 0, at any moment. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: berth\r\n"
#define AT_ONCE 1000 /* milliseconds; a stop that waits for something takes longer */

/* ---- the log ---- */

static json_t *line_of(struct server *s, const char *message)
{
    char *line = server_wait_log(s, text_of("\"message\":\"%s\"", message));
    json_t *fields = json_loads(line, 0, NULL);
    assert_non_null(fields);
    free(line);
    return fields;
}

static void test_the_start_is_told_in_the_log(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.models = volume_with_a_model()});
    json_t *starts = line_of(s, "berth starts"), *listening = line_of(s, "listening");
    json_t *loaded = line_of(s, "first load ended");
    assert_true(json_is_string(json_object_get(starts, "version")));
    assert_true(json_integer_value(json_object_get(starts, "cpus")) > 0);
    assert_true(json_string_length(json_object_get(starts, "cpus_from")) > 0);
    assert_true(json_integer_value(json_object_get(starts, "memory_bytes")) > 0);
    assert_true(json_string_length(json_object_get(starts, "memory_from")) > 0);
    assert_true(json_integer_value(json_object_get(starts, "threads")) > 0);
    assert_int_equal(json_integer_value(json_object_get(listening, "port")), s->port);
    assert_string_equal(
        json_string_value(json_object_get(listening, "address")), text_of("127.0.0.1:%d", s->port));
    assert_int_equal(json_integer_value(json_object_get(loaded, "models")), 1);
    assert_int_equal(json_integer_value(json_object_get(loaded, "failed")), 0);
    json_decref(starts);
    json_decref(listening);
    json_decref(loaded);
    server_stop(s);
}

static void test_each_line_has_time_level_and_message_in_front(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.models = volume_with_a_model()});
    char *log = server_log(s), *rest = log;
    size_t lines = 0;
    for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n"), lines++) {
        unsigned year, month, day, hour, minute, second, ms;
        int end = 0;
        sscanf(line, "{\"time\":\"%4u-%2u-%2uT%2u:%2u:%2u.%3uZ\",\"level\":\"%*[a-z]\",\"message\":\"%n",
            &year, &month, &day, &hour, &minute, &second, &ms, &end);
        if (end == 0)
            fail_msg("a line of another form: %s", line);
    }
    assert_true(lines >= 3);
    free(log);
    server_stop(s);
}

static void test_the_log_as_text_is_for_people(void **state)
{
    (void)state;
    struct server *s = server_start(
        &(struct setup){.models = volume_with_a_model(), .text_log = true, .args = {"--log", "text"}});
    struct answer a = server_request(s, "GET", "/nope", "X-Request-Id: in-text\r\n");
    free(server_wait_log(s, "id=in-text"));
    char *log = server_log(s), *rest = log;
    for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n")) {
        unsigned hour, minute, second, ms;
        char level[8] = "";
        int got = sscanf(line, "%2u:%2u:%2u.%3u %7[a-z] ", &hour, &minute, &second, &ms, level);
        if (got != 5 || !strstr("debug info warn error", level))
            fail_msg("a line of another form: %s", line);
    }
    free(log);
    answer_release(&a);
    server_stop(s);
}

static void test_lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.port = free_port(), .args = {"--log-level", "error"}});
    struct answer a = server_get(s, "/nope");
    char *log = server_log(s);
    assert_string_equal(log, "");
    free(log);
    answer_release(&a);
    server_stop(s);
}

/* ---- standard files ---- */

static void assert_serves_and_stops(const struct setup *setup)
{
    struct server *s = server_start(setup);
    for (int i = 0; i < 300; i++) {
        struct answer a = server_get(s, "/nope"); /* a line of the log each */
        assert_int_equal(a.status, 404);
        answer_release(&a);
    }
    server_assert_healthy(s);
    server_stop(s);
}

static void test_closed_standard_files_are_no_hindrance(void **state)
{
    (void)state;
    assert_serves_and_stops(&(struct setup){.stdin_closed = true});
    assert_serves_and_stops(&(struct setup){.out = OUT_CLOSED, .port = free_port()});
    assert_serves_and_stops(&(struct setup){.out = OUT_CLOSED, .stdin_closed = true, .port = free_port()});
}

static void test_a_log_that_nobody_reads_holds_up_nobody(void **state)
{
    (void)state;
    assert_serves_and_stops(&(struct setup){.out = OUT_STUCK, .port = free_port()});
}

/* ---- signals ---- */

/* Milliseconds from the signal to the end. */
static int end_by(struct server *s, int signal)
{
    int64_t start = now_ms();
    kill(s->pid, signal);
    if (!server_has_ended(s, WAIT_MS))
        fail_msg("signal %d does not end the server", signal);
    int took = (int)(now_ms() - start);
    assert_true(s->out_path[0] && server_logged(s, "\"stopped\""));
    server_expect_end(s);
    return took;
}

static void test_an_idle_server_stops_at_once(void **state)
{
    (void)state;
    assert_in_range(end_by(server_start(&(struct setup){0}), SIGTERM), 0, AT_ONCE);
    assert_in_range(
        end_by(server_start(&(struct setup){.models = volume_with_a_model()}), SIGINT), 0, AT_ONCE);
}

static void test_connections_that_only_wait_do_not_hold_up_the_stop(void **state)
{
    struct wire kept, silent;
    struct answer a;
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    wire_open(&kept, s);
    wire_open(&silent, s);
    wire_say(&kept, "GET /health HTTP/1.1\r\n" HOST "\r\n");
    assert_true(wire_answer(&kept, &a, false, WAIT_MS));
    answer_release(&a);
    assert_in_range(end_by(s, SIGTERM), 0, AT_ONCE);
    assert_true(wire_ends(&kept, WAIT_MS));
    assert_true(wire_ends(&silent, WAIT_MS));
    wire_close(&kept);
    wire_close(&silent);
}

static void test_a_server_that_is_loading_stops_at_once(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    for (int i = 0; i < 2000; i++)
        write_gguf(dir, text_of("model-%d.gguf", i));
    assert_in_range(
        end_by(server_start(&(struct setup){.models = dir, .unhealthy = true}), SIGTERM), 0, AT_ONCE);
    assert_in_range(
        end_by(server_start(&(struct setup){
                   .models = path_in(dir, "not-there"), .unhealthy = true, .args = {"--init-mode", "async"}}),
            SIGTERM),
        0, AT_ONCE);
}

static void test_a_signal_during_the_start_ends_it_with_0(void **state)
{
    (void)state;
    for (int delay = 0; delay < 12; delay++) {
        struct setup setup = {.unhealthy = true, .models = volume_with_a_model()};
        struct server *s = server_start(&setup);
        pause_ms(delay);
        assert_in_range(end_by(s, delay % 2 ? SIGTERM : SIGINT), 0, AT_ONCE);
    }
}

static void begin_request(struct wire *w, const struct server *s)
{
    wire_open(w, s);
    wire_begin_post(w, "/nope", 5);
    wire_say(w, "he");
}

static void wait_until_refused(struct server *s)
{
    struct wire w;
    int64_t deadline = now_ms() + WAIT_MS;
    while (wire_try_open(&w, s)) {
        wire_close(&w);
        if (now_ms() > deadline)
            fail_msg("the listener does not close");
        pause_ms(2);
    }
}

static void test_a_request_in_flight_is_answered_before_the_end(void **state)
{
    struct wire w;
    struct answer a;
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    begin_request(&w, s);
    kill(s->pid, SIGTERM);
    wait_until_refused(s);
    assert_false(server_has_ended(s, 200));
    wire_say(&w, "llo");
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 404);
    answer_release(&a);
    assert_true(wire_ends(&w, WAIT_MS));
    assert_true(server_has_ended(s, AT_ONCE));
    server_expect_end(s);
    wire_close(&w);
}

static void test_a_request_that_does_not_end_is_cut_after_the_grace(void **state)
{
    struct wire w;
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--grace", "0.5"}});
    begin_request(&w, s);
    assert_in_range(end_by(s, SIGTERM), 400, 2500);
    wire_close(&w);
}

static void test_half_a_body_does_not_hold_the_whole_grace(void **state)
{
    struct wire w;
    struct answer a;
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--grace", "30"}});
    wire_open(&w, s);
    wire_begin_post(&w, "/v1/completions", 100);
    wire_say(&w, "{\"half\":");
    int64_t told = now_ms();
    kill(s->pid, SIGTERM);
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "shutting down"));
    answer_release(&a);
    wire_close(&w);
    server_expect_end(s);
    assert_true(now_ms() - told < 5000);
}

/* The rest of a body that comes within two seconds is in time. */
static void test_a_body_that_ends_in_time_is_answered_on_the_way_down(void **state)
{
    struct wire w;
    struct answer a;
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--grace", "30"}});
    wire_open(&w, s);
    wire_begin_post(&w, "/v1/completions", 10);
    wire_say(&w, "{\"half\"");
    kill(s->pid, SIGTERM);
    free(server_wait_log(s, "draining"));
    wire_say(&w, ":x}"); /* no JSON: the body was read to its end when that is said */
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 400);
    answer_release(&a);
    wire_close(&w);
    server_expect_end(s);
}

static void test_a_second_signal_ends_at_once(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--drain-delay", "60"}});
    kill(s->pid, SIGTERM);
    free(server_wait_log(s, "\"draining\""));
    int64_t start = now_ms();
    kill(s->pid, SIGTERM);
    assert_true(server_has_ended(s, WAIT_MS));
    assert_in_range(now_ms() - start, 0, AT_ONCE);
    server_expect_end(s);
}

static void test_a_second_signal_cuts_a_request_in_flight(void **state)
{
    struct wire w;
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    begin_request(&w, s);
    kill(s->pid, SIGINT);
    free(server_wait_log(s, "\"draining\""));
    assert_false(server_has_ended(s, 200));
    kill(s->pid, SIGINT);
    assert_true(server_has_ended(s, AT_ONCE));
    server_expect_end(s);
    wire_close(&w);
}

static void test_while_draining_it_serves_but_is_not_ready(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--drain-delay", "1.5"}});
    int64_t start = now_ms();
    kill(s->pid, SIGTERM);
    server_wait_status(s, "/readyz", 503);
    struct answer a = server_get(s, "/readyz");
    assert_string_equal(a.body, "{\"status\":\"draining\"}");
    answer_release(&a);
    a = server_get(s, "/v2/health/ready");
    assert_int_equal(a.status, 503);
    json_t *body = answer_json(&a);
    assert_true(json_is_false(json_object_get(body, "ready")));
    assert_string_equal(json_string_value(json_object_get(body, "status")), "draining");
    json_decref(body);
    answer_release(&a);
    a = server_get(s, "/livez");
    assert_int_equal(a.status, 200);
    answer_release(&a);
    server_assert_root(s, "Hello from Docker!");
    server_assert_healthy(s);
    assert_true(server_has_ended(s, WAIT_MS));
    assert_in_range(now_ms() - start, 1400, 3500);
    server_expect_end(s);
}

static void test_an_idle_server_takes_no_processor_time(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.models = volume_with_a_model()});
    double busy = server_cpu_seconds(s);
    assert_false(server_has_ended(s, 1000)); /* the second over which it is measured */
    busy = server_cpu_seconds(s) - busy;
    if (busy > 0.05)
        fail_msg("%.2f s of processor time in an idle second", busy);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_start_is_told_in_the_log),
        cmocka_unit_test(test_each_line_has_time_level_and_message_in_front),
        cmocka_unit_test(test_the_log_as_text_is_for_people),
        cmocka_unit_test(test_lines_below_the_level_are_left_out),
        cmocka_unit_test(test_closed_standard_files_are_no_hindrance),
        cmocka_unit_test(test_a_log_that_nobody_reads_holds_up_nobody),
        cmocka_unit_test(test_an_idle_server_stops_at_once),
        cmocka_unit_test(test_connections_that_only_wait_do_not_hold_up_the_stop),
        cmocka_unit_test(test_a_server_that_is_loading_stops_at_once),
        cmocka_unit_test(test_a_signal_during_the_start_ends_it_with_0),
        cmocka_unit_test(test_a_request_in_flight_is_answered_before_the_end),
        cmocka_unit_test(test_a_request_that_does_not_end_is_cut_after_the_grace),
        cmocka_unit_test(test_half_a_body_does_not_hold_the_whole_grace),
        cmocka_unit_test(test_a_body_that_ends_in_time_is_answered_on_the_way_down),
        cmocka_unit_test(test_a_second_signal_ends_at_once),
        cmocka_unit_test(test_a_second_signal_cuts_a_request_in_flight),
        cmocka_unit_test(test_while_draining_it_serves_but_is_not_ready),
        cmocka_unit_test(test_an_idle_server_takes_no_processor_time),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
