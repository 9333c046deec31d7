/* test_listening.c - addresses and ports, and `berth health`, which asks a server at its address. */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- listening ---- */

static int listen_on(const char *host, int *port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
    inet_pton(AF_INET, host, &v4.sin_addr);
    struct sockaddr *at = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t size = is_v6 ? sizeof(v6) : sizeof(v4);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, at, size) || listen(fd, 8) || getsockname(fd, at, &size)) {
        close(fd);
        return -1;
    }
    *port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
    return fd;
}

/* Whether this machine has IPv6; prints a line when it has not. */
static bool has_ipv6(void)
{
    static int known = -1;
    int port, fd = known < 0 ? listen_on("::1", &port) : -1;
    if (known < 0 && fd < 0)
        printf("SKIPPED: the listener on IPv6: this machine has no address ::1\n");
    known = known < 0 ? fd >= 0 : known;
    if (fd >= 0)
        close(fd);
    return known;
}

static void assert_port_in_use(const char *host, const char *shown)
{
    int port, fd = listen_on(host, &port);
    assert_true(fd >= 0);
    const char *says = text_of("berth: cannot listen on %s:%d: Address ", shown, port);
    struct outcome o = outcome_of(&(struct setup){.host = host, .port = port});
    assert_int_equal(o.code, 1);
    assert_int_equal(strncmp(o.err, says, strlen(says)), 0);
    assert_non_null(strstr(o.err, "in use\n")); /* the words between are the C library's */
    outcome_release(&o);
    close(fd);
}

static void test_a_port_in_use_is_named(void **state)
{
    (void)state;
    assert_port_in_use("127.0.0.1", "127.0.0.1");
    if (has_ipv6())
        assert_port_in_use("::1", "[::1]");
}

static void test_two_servers_cannot_share_a_port(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    struct outcome o = outcome_of(&(struct setup){.port = s->port});
    assert_int_equal(o.code, 1);
    assert_non_null(strstr(o.err, "in use\n"));
    outcome_release(&o);
    server_stop(s);
}

static void test_a_port_just_left_can_be_taken_again(void **state)
{
    int port = free_port();
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct server *s = server_start(&(struct setup){.port = port});
        server_assert_healthy(s);
        server_stop(s);
    }
}

static void test_the_loopback_of_ipv6_is_served(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    struct server *s = server_start(&(struct setup){.host = "::1"});
    free(server_wait_log(s, text_of("[::1]:%d", s->port)));
    server_assert_healthy(s);
    server_stop(s);
}

static void test_the_wildcard_of_ipv6_is_both_families(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    int port = free_port();
    const char *number = text_of("%d", port);
    struct server *s = server_start(&(struct setup){.bare = true,
        .host = "::1",
        .port = port,
        .args = {"--host", "::", "--port", number, "--models", temp_dir()}});
    server_assert_healthy(s);
    strcpy(s->host, "127.0.0.1");
    server_assert_healthy(s);
    server_stop(s);
}

static void test_localhost_is_an_address(void **state)
{
    int port = free_port();
    (void)state;
    struct server *s = server_start(&(struct setup){.bare = true,
        .port = port,
        .args = {"--host=localhost", text_of("--port=%d", port), "--models", temp_dir()}});
    server_assert_healthy(s);
    server_stop(s);
}

/* ---- berth health ---- */

static int health_of(const char *host, int port)
{
    struct outcome o = outcome_of(
        &(struct setup){.bare = true, .args = {"health", "--host", host, "--port", text_of("%d", port)}});
    int code = o.code;
    outcome_release(&o);
    return code;
}

static void test_health_says_by_its_status_whether_a_server_is_healthy(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    assert_int_equal(health_of("127.0.0.1", s->port), 0);
    assert_int_equal(health_of("0.0.0.0", s->port), 0);
    int port = s->port;
    server_stop(s);
    assert_int_equal(health_of("127.0.0.1", port), 1);
}

static void test_health_reads_the_variables_that_the_server_reads(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){0});
    struct setup probe = {.bare = true, .args = {"health"}, .env = {text_of("BERTH_PORT=%d", s->port)}};
    struct outcome o = outcome_of(&probe);
    assert_int_equal(o.code, 0);
    outcome_release(&o);
    server_stop(s);
}

static void test_health_of_a_server_that_is_loading_is_bad(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){
        .models = path_in(temp_dir(), "later"), .unhealthy = true, .args = {"--init-mode", "async"}});
    assert_int_equal(health_of("127.0.0.1", s->port), 1);
    server_stop(s);
}

static void test_health_does_not_wait_for_ever(void **state)
{
    int port, fd = listen_on("127.0.0.1", &port);
    (void)state;
    assert_int_equal(health_of("127.0.0.1", port), 1); /* connects, and is never answered */
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port_in_use_is_named),
        cmocka_unit_test(test_two_servers_cannot_share_a_port),
        cmocka_unit_test(test_a_port_just_left_can_be_taken_again),
        cmocka_unit_test(test_the_loopback_of_ipv6_is_served),
        cmocka_unit_test(test_the_wildcard_of_ipv6_is_both_families),
        cmocka_unit_test(test_localhost_is_an_address),
        cmocka_unit_test(test_health_says_by_its_status_whether_a_server_is_healthy),
        cmocka_unit_test(test_health_reads_the_variables_that_the_server_reads),
        cmocka_unit_test(test_health_of_a_server_that_is_loading_is_bad),
        cmocka_unit_test(test_health_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
