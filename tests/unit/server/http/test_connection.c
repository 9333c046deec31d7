/* test_connection.c - limits on connections, phases and deadlines, on real sockets. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/http/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct connection_limits limits_of(uint64_t all, uint64_t per_address)
{
    return (struct connection_limits){
        .most = all,
        .most_per_address = per_address,
        .header_timeout = 0.05,
        .body_timeout = 0.05,
        .write_timeout = 0.05,
        .keep_alive = 0.05,
    };
}

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &a.sin_addr), 1);
    return a;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* What the client of a pair reads within two seconds: the bytes, 0 at the end of the stream, -1 for
 * nothing. */
static ssize_t client_reads(int fd, char *text, size_t room)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 2000) != 1)
        return -1;
    ssize_t got = recv(fd, text, room - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return got;
}

struct fixture {
    struct connection_limits limits;
    struct http_counters counters;
    struct connections *all;
    int pair[2]; /* the server's end, the client's */
    struct connection c;
};

static void open_one(struct fixture *f)
{
    struct sockaddr_in a = address_of("127.0.0.1");
    f->limits = limits_of(10, 0);
    memset(&f->counters, 0, sizeof(f->counters));
    f->all = connections_new(&f->limits, &f->counters);
    assert_non_null(f->all);
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, f->pair), 0);
    connections_add(f->all, &f->c, f->pair[0], (const struct sockaddr *)&a);
}

static void close_one(struct fixture *f)
{
    connections_remove(f->all, &f->c);
    close(f->pair[0]);
    close(f->pair[1]);
    assert_int_equal(atomic_load(&f->counters.connections_open), 0);
    connections_free(f->all);
}

static void expect_cut(enum phase phase, const char *answer, enum connection_end end)
{
    struct fixture f;
    char text[512];
    open_one(&f);
    assert_true(connection_enter(f.all, &f.c, phase));
    connections_expire(f.all);
    pause_ms(1);
    assert_true(connection_enter(f.all, &f.c, phase)); /* not late yet */
    pause_ms(100);
    connections_expire(f.all);
    if (answer) {
        assert_true(client_reads(f.pair[1], text, sizeof(text)) > 0);
        assert_non_null(strstr(text, answer));
    }
    assert_int_equal(client_reads(f.pair[1], text, sizeof(text)), 0);
    assert_false(connection_enter(f.all, &f.c, PHASE_WORK));
    if (end != CONNECTION_ENDS)
        assert_int_equal(atomic_load(&f.counters.connections_ended[end]), 1);
    close_one(&f);
}

static void test_a_late_request_is_told_408_and_cut(void **state)
{
    (void)state;
    expect_cut(PHASE_HEADER, "HTTP/1.1 408 Request Timeout\r\n", CONNECTION_HEADER_LATE);
    expect_cut(PHASE_BODY, "HTTP/1.1 408 Request Timeout\r\n", CONNECTION_BODY_LATE);
}

static void test_a_client_that_does_not_read_or_ask_is_cut_without_a_word(void **state)
{
    (void)state;
    expect_cut(PHASE_WRITE, NULL, CONNECTION_WRITE_LATE);
    expect_cut(PHASE_IDLE, NULL, CONNECTION_ENDS);
}

static void test_work_has_no_deadline(void **state)
{
    struct fixture f;
    (void)state;
    open_one(&f);
    assert_true(connection_enter(f.all, &f.c, PHASE_WORK));
    pause_ms(100);
    connections_expire(f.all);
    assert_true(connection_enter(f.all, &f.c, PHASE_WRITE));
    close_one(&f);
}

static void test_a_client_that_left_is_noticed_when_all_it_sent_was_read(void **state)
{
    struct fixture f;
    char text[8];
    (void)state;
    open_one(&f);
    f.limits.header_timeout = 60;
    assert_true(connection_enter(f.all, &f.c, PHASE_HEADER));
    assert_int_equal(send(f.pair[1], "GET", 3, 0), 3);
    shutdown(f.pair[1], SHUT_WR);
    connections_expire(f.all);
    assert_true(connection_enter(f.all, &f.c, PHASE_HEADER)); /* there is still something to read */
    assert_int_equal(recv(f.pair[0], text, sizeof(text), 0), 3);
    connections_expire(f.all);
    assert_true(connection_enter(f.all, &f.c, PHASE_WORK)); /* what was read was a request */
    connections_expire(f.all);
    connections_expire(f.all);
    assert_true(connection_enter(f.all, &f.c, PHASE_HEADER)); /* it may wait for its answer all the same */
    connections_expire(f.all);
    connections_expire(f.all);
    assert_false(connection_enter(f.all, &f.c, PHASE_WORK));
    assert_int_equal(client_reads(f.pair[1], text, sizeof(text)), 0);
    close_one(&f);
}

static void test_each_phase_begins_a_time_of_its_own(void **state)
{
    struct fixture f;
    (void)state;
    open_one(&f);
    for (int i = 0; i < 6; i++) {
        pause_ms(20);
        assert_true(connection_enter(f.all, &f.c, i % 2 ? PHASE_IDLE : PHASE_HEADER));
        connections_expire(f.all);
    }
    assert_true(connection_enter(f.all, &f.c, PHASE_WORK));
    close_one(&f);
}

static void test_connections_over_the_limits_are_marked_with_the_right_status(void **state)
{
    struct connection_limits o = limits_of(4, 2);
    struct http_counters m;
    struct connection c[6];
    static const char *const from[] = {
        "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};
    static const unsigned refuse[] = {0, 0, 429, 0, 503, 503};
    (void)state;
    memset(&m, 0, sizeof(m));
    struct connections *all = connections_new(&o, &m);
    for (int i = 0; i < 6; i++) {
        struct sockaddr_in a = address_of(from[i]);
        connections_add(all, &c[i], -1, (const struct sockaddr *)&a);
        assert_int_equal(c[i].refuse, refuse[i]);
    }
    assert_int_equal(atomic_load(&m.connections_open), 6);
    /* A place that is given back is free again. */
    for (int i = 0; i < 3; i++)
        connections_remove(all, &c[i]);
    struct sockaddr_in a = address_of("10.0.0.1");
    connections_add(all, &c[0], -1, (const struct sockaddr *)&a);
    assert_int_equal(c[0].refuse, 0);
    for (int i = 3; i < 7; i++)
        connections_remove(all, &c[i % 6]);
    connections_free(all);
}

static void test_one_client_is_one_address_on_both_kinds_of_socket(void **state)
{
    struct connection_limits o = limits_of(10, 1);
    struct http_counters m;
    struct connection four, six;
    struct sockaddr_in a = address_of("10.0.0.1");
    struct sockaddr_in6 b = {.sin6_family = AF_INET6};
    (void)state;
    memset(&m, 0, sizeof(m));
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.0.1", &b.sin6_addr), 1);
    struct connections *all = connections_new(&o, &m);
    connections_add(all, &four, -1, (const struct sockaddr *)&a);
    connections_add(all, &six, -1, (const struct sockaddr *)&b);
    assert_int_equal(four.refuse, 0);
    assert_int_equal(six.refuse, 429);
    connections_remove(all, &four);
    connections_remove(all, &six);
    connections_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_late_request_is_told_408_and_cut),
        cmocka_unit_test(test_a_client_that_does_not_read_or_ask_is_cut_without_a_word),
        cmocka_unit_test(test_work_has_no_deadline),
        cmocka_unit_test(test_a_client_that_left_is_noticed_when_all_it_sent_was_read),
        cmocka_unit_test(test_each_phase_begins_a_time_of_its_own),
        cmocka_unit_test(test_connections_over_the_limits_are_marked_with_the_right_status),
        cmocka_unit_test(test_one_client_is_one_address_on_both_kinds_of_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
