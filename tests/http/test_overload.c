/* test_overload.c - clients that are slow, too many, or send too much do not harm the others.
 *
 * Deadlines are set to a second here, so that tests are short. Each is also checked from below, because otherwise a server
 * that cuts every client at once would pass.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define HOST "Host: berth\r\n"
#define SECOND_AT_LEAST 900
#define SECOND_AT_MOST 3500 /* deadlines are checked at intervals, and the machine may be busy */

/* Sends a byte of filler every 50 ms until an answer comes or the connection ends. Returns the time that took. */
static int trickle(struct wire *w, struct answer *a, const char *filler)
{
    int64_t start = now_ms();
    while (now_ms() < start + WAIT_MS && !w->ended)
        if (wire_answer(w, a, false, 50) || !wire_say(w, filler))
            break;
    return (int)(now_ms() - start);
}

static void assert_a_second(int ms)
{
    if (ms < SECOND_AT_LEAST || ms > SECOND_AT_MOST)
        fail_msg("it took %d ms, not about a second", ms);
}

static void assert_cut_with_408(struct server *s, const char *start, const char *filler)
{
    struct wire w;
    struct answer a = {0};
    wire_open(&w, s);
    wire_say(&w, start);
    assert_a_second(trickle(&w, &a, filler));
    assert_int_equal(a.status, 408);
    assert_true(wire_ends(&w, WAIT_MS));
    answer_release(&a);
    wire_close(&w);
}

static void test_headers_that_trickle_in_are_cut_at_the_deadline(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--header-timeout", "1"}});
    assert_cut_with_408(s, "GET /health HTTP/1.1\r\n" HOST "X: ", "a");
    assert_cut_with_408(s, "GET /", "a");
    server_assert_healthy(s);
    server_stop(s);
}

static void test_a_body_that_trickles_in_is_cut_at_the_deadline(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--body-timeout", "1"}});
    assert_cut_with_408(s, "POST /nope HTTP/1.1\r\n" HOST "Content-Length: 5000\r\n\r\n", "a");
    assert_cut_with_408(s, "POST /nope HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n");
    server_assert_healthy(s);
    server_stop(s);
}

/* Sends requests for pages and reads no reply, until the server cannot send any more. */
static void ask_without_reading(struct wire *w)
{
    static const char request[] = "GET /docs HTTP/1.1\r\n" HOST "\r\n";
    size_t one = sizeof(request) - 1, size = 2000 * one, at = 0;
    char *many = malloc(size);
    assert_non_null(many);
    for (size_t i = 0; i < size; i += one)
        memcpy(many + i, request, one);
    for (ssize_t sent = 1; sent > 0; at = (at + (size_t)sent) % size)
        sent = send(w->fd, many + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    free(many);
}

static void test_an_answer_that_is_not_taken_is_cut_at_the_deadline(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--write-timeout", "1"}});
    size_t before = server_files_at_rest(s);
    struct wire w;
    wire_open(&w, s);
    ask_without_reading(&w);
    server_wait_open_files(s, before + 1);
    assert_a_second(server_wait_open_files(s, before));
    wire_close(&w);
    server_assert_healthy(s);
    server_stop(s);
}

static void test_an_idle_connection_is_closed_silently(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--keep-alive", "1"}});
    struct wire w;
    struct answer a;
    wire_open(&w, s);
    for (int i = 0; i < 3; i++) {
        wire_say(&w, "GET /health HTTP/1.1\r\n" HOST "\r\n");
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_int_equal(a.status, 200);
        answer_release(&a);
        assert_false(wire_ends(&w, 300)); /* each request starts the time anew */
        assert_false(w.ended);
    }
    int64_t start = now_ms();
    assert_true(wire_ends(&w, WAIT_MS));
    assert_true(now_ms() - start <= SECOND_AT_MOST);
    wire_close(&w);
    server_stop(s);
}

static void test_a_connection_that_says_nothing_is_closed(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--header-timeout", "1"}});
    size_t before = server_files_at_rest(s);
    struct wire w;
    wire_open(&w, s);
    server_wait_open_files(s, before + 1);
    assert_a_second(server_wait_open_files(s, before));
    wire_close(&w);
    server_stop(s);
}

/* ---- how many ---- */

static void open_all(struct wire *wires, size_t n, struct server *s, const char *say)
{
    for (size_t i = 0; i < n; i++) {
        wire_open(&wires[i], s);
        wire_say(&wires[i], say);
    }
}

static void close_all(struct wire *wires, size_t n)
{
    for (size_t i = 0; i < n; i++)
        wire_close(&wires[i]);
}

/* Opens `n` connections, makes one request on each, and keeps them open. */
static void hold(struct wire *wires, size_t n, struct server *s)
{
    open_all(wires, n, s, "GET /nope HTTP/1.1\r\n" HOST "\r\n");
    for (size_t i = 0; i < n; i++) {
        struct answer a;
        assert_true(wire_answer(&wires[i], &a, false, WAIT_MS));
        assert_int_equal(a.status, 404);
        answer_release(&a);
    }
}

static void assert_turned_away(struct server *s, int status)
{
    struct answer a = server_get(s, "/nope");
    assert_int_equal(a.status, status);
    const char *wait = answer_header(&a, "retry-after");
    assert_non_null(wait);
    assert_true(atoi(wait) > 0);
    json_t *body = answer_json(&a);
    assert_true(json_string_length(json_object_get(body, "detail")) > 0);
    json_decref(body);
    answer_release(&a);
}

static void assert_probes_answer(struct server *s)
{
    static const char *const probes[] = {"/health", "/livez", "/readyz", "/v2/health/live", "/metrics"};
    for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
        struct answer a = server_get(s, probes[i]);
        assert_int_equal(a.status, 200);
        answer_release(&a);
    }
}

static void test_above_the_limit_of_connections_all_but_probes_are_told_to_come_back(void **state)
{
    struct wire wires[8];
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--max-connections", "8"}});
    hold(wires, 8, s);
    assert_turned_away(s, 503);
    assert_probes_answer(s);
    close_all(wires, 8);
    server_wait_status(s, "/nope", 404);
    server_stop(s);
}

static void test_above_the_limit_of_an_address_only_that_address_is_told_to_come_back(void **state)
{
    struct wire wires[4], other;
    struct answer a;
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--max-connections-per-address=4"}});
    hold(wires, 4, s);
    assert_turned_away(s, 429);
    assert_probes_answer(s);
    wire_open_from(&other, s, "127.0.0.2");
    wire_say(&other, "GET /nope HTTP/1.1\r\n" HOST "\r\n");
    assert_true(wire_answer(&other, &a, false, WAIT_MS));
    assert_int_equal(a.status, 404);
    answer_release(&a);
    wire_close(&other);
    close_all(wires, 4);
    server_wait_status(s, "/nope", 404);
    server_stop(s);
}

static void test_hundreds_of_slow_clients_keep_nobody_from_the_probes(void **state)
{
    enum { N = 600 };
    static struct wire wires[N];
    (void)state;
    struct server *s = server_start(&(struct setup){
        .args = {"--header-timeout", "1", "--max-connections", "300", "--max-connections-per-address", "0"}});
    size_t before = server_files_at_rest(s);
    open_all(wires, N, s, "GET / HTTP/1.1\r\nX: ");
    for (int i = 0; i < 5; i++)
        assert_probes_answer(s);
    server_wait_open_files(s, before); /* all are cut, although the clients keep them open */
    server_wait_status(s, "/nope", 404);
    close_all(wires, N);
    server_stop(s);
}

/* The server finds the requests of all of them in one look: it is held while they are sent. */
static void assert_all_answered_at_once(struct server *s, struct wire *wires, size_t n)
{
    kill(s->pid, SIGSTOP);
    for (size_t i = 0; i < n; i++)
        wire_say(&wires[i], "GET /health HTTP/1.1\r\n" HOST "\r\n");
    kill(s->pid, SIGCONT);
    for (size_t i = 0; i < n; i++) {
        struct answer a;
        if (!wire_answer(&wires[i], &a, false, WAIT_MS))
            fail_msg("of %zu requests at one moment number %zu gets no answer", n, i);
        assert_int_equal(a.status, 200);
        answer_release(&a);
    }
}

static void test_hundreds_of_requests_at_one_moment_are_all_answered(void **state)
{
    static const size_t crowds[] = {128, 256, 300, 384};
    static struct wire wires[384];
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    for (size_t i = 0; i < sizeof(crowds) / sizeof(*crowds); i++) {
        hold(wires, crowds[i], s);
        assert_all_answered_at_once(s, wires, crowds[i]);
        close_all(wires, crowds[i]);
    }
    server_stop(s);
}

static void test_out_of_descriptors_the_server_waits_without_spinning_and_recovers(void **state)
{
    enum { N = 100 };
    static struct wire wires[N];
    (void)state;
    struct server *s = server_start(&(struct setup){.open_files = 64, .args = {"--header-timeout", "2"}});
    open_all(wires, N, s, "GET / HTTP/1.1\r\nX: ");
    double busy = server_cpu_seconds(s);
    assert_false(server_has_ended(s, 1000)); /* the second over which its time is measured */
    busy = server_cpu_seconds(s) - busy;
    if (busy > 0.3)
        fail_msg("%.2f s of processor time in one second of waiting", busy);
    close_all(wires, N);
    server_wait_status(s, "/nope", 404);
    server_stop(s);
}

static void test_clients_that_leave_in_mid_request_free_their_places_before_any_deadline(void **state)
{
    static const char *const starts[] = {
        "",
        "GET /hea",
        "GET /health HTTP/1.1\r\n" HOST,
        "POST /nope HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel",
        "GET /health HTTP/1.1\r\n" HOST "\r\n",
    };
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--header-timeout", "60"}});
    size_t before = server_files_at_rest(s);
    for (int i = 0; i < 500; i++) {
        struct wire w;
        wire_open(&w, s);
        wire_say(&w, starts[i % 5]);
        wire_close(&w);
    }
    server_wait_open_files(s, before);
    server_stop(s);
}

/* ---- how big ---- */

static int status_of_length(struct server *s, const char *start, size_t filler)
{
    struct wire w;
    struct answer a;
    char *text = calloc(1, filler + 200);
    assert_non_null(text);
    strcpy(text, start);
    memset(text + strlen(text), 'a', filler);
    strcat(text, strncmp(start, "GET / ", 6) == 0 ? "\r\n\r\n" : " HTTP/1.1\r\n" HOST "\r\n");
    wire_open(&w, s);
    wire_say(&w, text);
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    int status = a.status;
    answer_release(&a);
    wire_close(&w);
    free(text);
    return status;
}

static void test_the_limit_of_the_target_is_exact(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--max-uri", "1000"}});
    assert_int_equal(status_of_length(s, "GET /", 999), 404);
    assert_int_equal(status_of_length(s, "GET /", 1000), 414);
    assert_int_equal(status_of_length(s, "GET /?", 998), 200);
    assert_int_equal(status_of_length(s, "GET /?", 999), 414);
    server_stop(s);
}

static void test_the_limit_of_the_headers_holds_and_can_be_moved(void **state)
{
    static const char start[] = "GET / HTTP/1.1\r\n" HOST "X: ";
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--max-header", "4096"}});
    assert_int_equal(status_of_length(s, start, 3900), 200);
    assert_int_equal(status_of_length(s, start, 4200), 431);
    server_stop(s);
    s = server_start(&(struct setup){.args = {"--max-header", "65536"}});
    assert_int_equal(status_of_length(s, start, 60000), 200);
    assert_int_equal(status_of_length(s, start, 70000), 431);
    server_stop(s);
}

static void test_a_body_announced_too_long_is_refused_before_it_is_sent(void **state)
{
    static const char *const lengths[] = {"65537", "34000000", "9000000000000000000"};
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct wire w;
        struct answer a;
        wire_open(&w, s);
        wire_say(&w, text_of("GET /health HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n", lengths[i]));
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_int_equal(a.status, 413);
        assert_true(wire_ends(&w, WAIT_MS));
        answer_release(&a);
        wire_close(&w);
    }
    server_stop(s);
}

/* The test's own limit of open files is raised to what the system allows, for 600 connections. */
static int begin(void **state)
{
    struct rlimit limit;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_that_trickle_in_are_cut_at_the_deadline),
        cmocka_unit_test(test_a_body_that_trickles_in_is_cut_at_the_deadline),
        cmocka_unit_test(test_an_answer_that_is_not_taken_is_cut_at_the_deadline),
        cmocka_unit_test(test_an_idle_connection_is_closed_silently),
        cmocka_unit_test(test_a_connection_that_says_nothing_is_closed),
        cmocka_unit_test(test_above_the_limit_of_connections_all_but_probes_are_told_to_come_back),
        cmocka_unit_test(test_above_the_limit_of_an_address_only_that_address_is_told_to_come_back),
        cmocka_unit_test(test_hundreds_of_slow_clients_keep_nobody_from_the_probes),
        cmocka_unit_test(test_hundreds_of_requests_at_one_moment_are_all_answered),
        cmocka_unit_test(test_out_of_descriptors_the_server_waits_without_spinning_and_recovers),
        cmocka_unit_test(test_clients_that_leave_in_mid_request_free_their_places_before_any_deadline),
        cmocka_unit_test(test_the_limit_of_the_target_is_exact),
        cmocka_unit_test(test_the_limit_of_the_headers_holds_and_can_be_moved),
        cmocka_unit_test(test_a_body_announced_too_long_is_refused_before_it_is_sent),
    };
    return cmocka_run_group_tests(tests, begin, harness_end);
}
