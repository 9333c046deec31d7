/* test_process.c - how the program starts, what it says, and how it ends.
 *
 * A wrong option ends it with 2, a port in use with 1, a signal with 0, at any moment.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: berth\r\n"
#define AT_ONCE 1000 /* milliseconds; a stop that waits for something takes longer */

/* ---- help, version, commands ---- */

static void test_help_comes_by_each_of_its_names(void **state)
{
    static const char *const ways[][2] = {
        {"help", NULL}, {"--help", NULL}, {"-h", NULL}, {"serve", "--help"}};
    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        struct outcome o = outcome_of(&(struct setup){.bare = true, .args = {ways[i][0], ways[i][1]}});
        assert_int_equal(o.code, 0);
        assert_non_null(strstr(o.out, "--models"));
        assert_string_equal(o.err, "");
        outcome_release(&o);
    }
}

static void test_help_lists_every_option_with_its_variable_and_default(void **state)
{
    static const struct {
        const char *flag, *variable, *initial;
    } options[] = {
        {"--models", "BERTH_MODELS", "/app/models"},
        {"--init-mode", "BERTH_INIT_MODE", "sync"},
        {"--init-mode", "MODEL_INIT_MODE", "sync"},
        {"--require", "BERTH_REQUIRE", "none"},
        {"--prefault", "BERTH_PREFAULT", "off"},
        {"--alias", "BERTH_ALIAS", "none"},
        {"--chat-template", "BERTH_CHAT_TEMPLATE", "none"},
        {"--host", "BERTH_HOST", "0.0.0.0"},
        {"--port", "BERTH_PORT", "8000"},
        {"--api-key-file", "BERTH_API_KEY_FILE", "none"},
        {"--cors-origin", "BERTH_CORS_ORIGIN", "none"},
        {"--allowed-host", "BERTH_ALLOWED_HOST", "none"},
        {"--threads", "BERTH_THREADS", "0"},
        {"--http-threads", "BERTH_HTTP_THREADS", "0"},
        {"--cpu", "BERTH_CPU", "auto"},
        {"--context", "BERTH_CONTEXT", "0"},
        {"--kv-memory", "BERTH_KV_MEMORY", "0"},
        {"--prefix-age", "BERTH_PREFIX_AGE", "300"},
        {"--kv-type", "BERTH_KV_TYPE", "f16"},
        {"--prefix-cache", "BERTH_PREFIX_CACHE", "on"},
        {"--slots", "BERTH_SLOTS", "16"},
        {"--chunk", "BERTH_CHUNK", "256"},
        {"--queue", "BERTH_QUEUE", "256"},
        {"--queue-timeout", "BERTH_QUEUE_TIMEOUT", "60"},
        {"--job-timeout", "BERTH_JOB_TIMEOUT", "3600"},
        {"--ping", "BERTH_PING", "10"},
        {"--log", "BERTH_LOG", "auto"},
        {"--log-level", "BERTH_LOG_LEVEL", "info"},
        {"--drain-delay", "BERTH_DRAIN_DELAY", "0"},
        {"--grace", "BERTH_GRACE", "8"},
        {"--max-connections", "BERTH_MAX_CONNECTIONS", "1024"},
        {"--max-connections-per-address", "BERTH_MAX_CONNECTIONS_PER_ADDRESS", "512"},
        {"--max-body", "BERTH_MAX_BODY", "32M"},
        {"--max-header", "BERTH_MAX_HEADER", "16K"},
        {"--max-uri", "BERTH_MAX_URI", "8K"},
        {"--header-timeout", "BERTH_HEADER_TIMEOUT", "10"},
        {"--body-timeout", "BERTH_BODY_TIMEOUT", "60"},
        {"--write-timeout", "BERTH_WRITE_TIMEOUT", "60"},
        {"--keep-alive", "BERTH_KEEP_ALIVE", "75"},
    };
    (void)state;
    struct outcome o = outcome_of(&(struct setup){.bare = true, .args = {"help"}});
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        char *at = strstr(o.out, text_of("\n  %s ", options[i].flag));
        if (!at)
            fail_msg("%s is not in the help", options[i].flag);
        char *next = strstr(at + 1, "\n  --");
        const char *entry = text_of("%.*s\n", next ? (int)(next - at) : 400, at);
        if (!strstr(entry, options[i].variable))
            fail_msg("%s is not in the help's %s", options[i].variable, entry);
        if (!strstr(entry, text_of("default %s,", options[i].initial)))
            fail_msg("the default of %s is not %s in: %s", options[i].flag, options[i].initial, entry);
    }
    outcome_release(&o);
}

static void test_version_is_the_one_in_the_file(void **state)
{
    char version[64] = "";
    (void)state;
    FILE *f = fopen("VERSION", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%63s", version), 1);
    fclose(f);
    struct outcome o = outcome_of(&(struct setup){.bare = true, .args = {"version"}});
    assert_int_equal(o.code, 0);
    assert_int_equal(strncmp(o.out, text_of("berth %s\n", version), strlen(version) + 7), 0);
    outcome_release(&o);
}

static void assert_refused(const struct setup *setup, int code, const char *says)
{
    struct outcome o = outcome_of(setup);
    if (o.code != code || !strstr(o.err, says))
        fail_msg("expected status %d and: %s\ngot %d and: %s", code, says, o.code, o.err);
    assert_string_equal(o.out, "");
    assert_int_equal(strncmp(o.err, "berth: ", 7), 0);
    assert_ptr_equal(strchr(o.err, '\n'), o.err + strlen(o.err) - 1); /* one line */
    outcome_release(&o);
}

static void test_a_command_that_is_none_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(&(struct setup){.bare = true, .args = {"frobnicate"}}, 2, "frobnicate");
    assert_refused(&(struct setup){.bare = true, .args = {"Serve"}}, 2, "Serve");
}

/* ---- options ---- */

static void test_a_bad_value_is_refused_naming_flag_and_value(void **state)
{
    static const struct {
        const char *flag, *value, *allowed;
    } bad[] = {
        {"--port", "http", "a whole number from 0 to 65535"},
        {"--port", "65536", "from 0 to 65535"},
        {"--port", "-1", "from 0 to 65535"},
        {"--port", "", "from 0 to 65535"},
        {"--port", "8000x", "from 0 to 65535"},
        {"--port", "0x50", "from 0 to 65535"},
        {"--port", " 80", "from 0 to 65535"},
        {"--port", "80.5", "from 0 to 65535"},
        {"--port", "99999999999999999999999999", "from 0 to 65535"},
        {"--threads", "1025", "from 0 to 1024"},
        {"--threads", "many", "from 0 to 1024"},
        {"--http-threads", "17", "from 0 to 16"},
        {"--log", "xml", "text|json|auto"},
        {"--log-level", "loud", "debug|info|warn|error"},
        {"--init-mode", "later", "sync|async"},
        {"--prefault", "maybe", "on|off"},
        {"--drain-delay", "-1", "from 0 to 3600"},
        {"--drain-delay", "3601", "from 0 to 3600"},
        {"--drain-delay", "nan", "from 0 to 3600"},
        {"--drain-delay", "inf", "from 0 to 3600"},
        {"--grace", "1e3", "from 0 to 3600"},
        {"--max-connections", "0", "from 1 to 65536"},
        {"--max-connections", "65537", "from 1 to 65536"},
        {"--max-header", "100", "from 4096 to 1048576"},
        {"--max-body", "10X", "bytes"},
        {"--max-body", "1MM", "bytes"},
        {"--header-timeout", "0", "seconds"},
        {"--models", "", "not empty"},
        {"--host", "no such host", "address"},
        {"--host", "256.0.0.1", "address"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const char *start = text_of("berth: %s: \"%s\" is not allowed: ", bad[i].flag, bad[i].value);
        assert_refused(&(struct setup){.bare = true, .args = {bad[i].flag, bad[i].value}}, 2, start);
        const char *joined = text_of("%s=%s", bad[i].flag, bad[i].value);
        assert_refused(&(struct setup){.bare = true, .args = {"serve", joined}}, 2, bad[i].allowed);
    }
}

static void test_a_bad_variable_is_refused_naming_it(void **state)
{
    (void)state;
    assert_refused(
        &(struct setup){.env = {"BERTH_PORT=http"}}, 2, "berth: BERTH_PORT: \"http\" is not allowed: ");
    assert_refused(
        &(struct setup){.env = {"BERTH_GRACE=soon"}}, 2, "berth: BERTH_GRACE: \"soon\" is not allowed: ");
    assert_refused(
        &(struct setup){.env = {"MODEL_INIT_MODE=x"}}, 2, "berth: MODEL_INIT_MODE: \"x\" is not allowed: ");
}

static void test_an_option_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_refused(&(struct setup){.bare = true, .args = {"--prot", "1"}}, 2,
        "berth: unknown option --prot; did you mean --port?\n");
    assert_refused(&(struct setup){.bare = true, .args = {"--prot=1"}}, 2, "unknown option --prot;");
    assert_refused(&(struct setup){.bare = true, .args = {"--frobnicate=1"}}, 2,
        "berth: unknown option --frobnicate; see berth help\n");
    assert_refused(&(struct setup){.bare = true, .args = {"-p", "1"}}, 2, "unknown option -p;");
    assert_refused(&(struct setup){.bare = true, .args = {"serve", "stray"}}, 2, "stray");
    assert_refused(&(struct setup){.bare = true, .args = {"--port"}}, 2, "--port");
    assert_refused(&(struct setup){.bare = true, .args = {"--\x1b[31mred"}}, 2, "\\x1b[31mred");
}

static const char *volume_with_a_model(void)
{
    const char *dir = temp_dir();
    write_gguf(dir, "tiny.gguf");
    return dir;
}

static void assert_root_says(struct server *s, const char *message)
{
    struct answer a = server_get(s, "/");
    assert_string_equal(a.body, text_of("{\"message\":\"%s\"}", message));
    answer_release(&a);
}

static void test_a_variable_sets_an_option_and_a_flag_beats_it(void **state)
{
    (void)state;
    int port = free_port();
    const char *models = text_of("BERTH_MODELS=%s", volume_with_a_model());
    const char *port_set = text_of("BERTH_PORT=%d", port);
    struct server *s = server_start(
        &(struct setup){.bare = true, .port = port, .env = {models, "BERTH_HOST=127.0.0.1", port_set}});
    assert_root_says(s, "Model loaded from volume mount");
    server_stop(s);
    s = server_start(&(struct setup){.models = temp_dir(), .env = {models, port_set}});
    assert_int_not_equal(s->port, port);
    assert_root_says(s, "Hello from Docker!");
    server_stop(s);
}

static void test_a_service_link_of_kubernetes_is_no_port(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){
        .env = {"BERTH_PORT=tcp://10.0.0.1:8000", "BERTH_PORT_8000_TCP=tcp://10.0.0.1:8000",
            "BERTH_PORT_8000_TCP_PORT=8000", "BERTH_SERVICE_HOST=10.0.0.1", "BERTH_SERVICE_PORT=8000"}});
    char *line = server_wait_log(s, "\"BERTH_PORT\"");
    assert_non_null(strstr(line, "\"warn\""));
    assert_non_null(strstr(line, "tcp://10.0.0.1:8000"));
    free(line);
    assert_false(server_logged(s, "BERTH_PORT_8000"));
    assert_false(server_logged(s, "BERTH_SERVICE"));
    server_stop(s);
}

static void test_an_unknown_variable_is_warned_of(void **state)
{
    (void)state;
    struct server *s = server_start(&(struct setup){.env = {"BERTH_MODEL=/oops", "BERTH_PORTS=1"}});
    free(server_wait_log(s, "\"BERTH_MODEL\""));
    char *line = server_wait_log(s, "\"BERTH_PORTS\"");
    assert_non_null(strstr(line, "\"warn\""));
    free(line);
    server_stop(s);
}

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

/* Whether this machine has IPv6; says so where it has not. */
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

static void begin_request(struct wire *w, struct server *s)
{
    wire_open(w, s);
    wire_say(w, "POST /nope HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe");
    /* One whole exchange on another connection: by then the server has read the first. */
    server_assert_healthy(s);
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
    assert_root_says(s, "Hello from Docker!");
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

static void test_health_refuses_bad_options_as_the_server_does(void **state)
{
    (void)state;
    assert_refused(&(struct setup){.bare = true, .args = {"health", "--port", "x"}}, 2, "--port: \"x\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_comes_by_each_of_its_names),
        cmocka_unit_test(test_help_lists_every_option_with_its_variable_and_default),
        cmocka_unit_test(test_version_is_the_one_in_the_file),
        cmocka_unit_test(test_a_command_that_is_none_is_refused_by_name),
        cmocka_unit_test(test_a_bad_value_is_refused_naming_flag_and_value),
        cmocka_unit_test(test_a_bad_variable_is_refused_naming_it),
        cmocka_unit_test(test_an_option_that_is_none_is_refused),
        cmocka_unit_test(test_a_variable_sets_an_option_and_a_flag_beats_it),
        cmocka_unit_test(test_a_service_link_of_kubernetes_is_no_port),
        cmocka_unit_test(test_an_unknown_variable_is_warned_of),
        cmocka_unit_test(test_a_port_in_use_is_named),
        cmocka_unit_test(test_two_servers_cannot_share_a_port),
        cmocka_unit_test(test_a_port_just_left_can_be_taken_again),
        cmocka_unit_test(test_the_loopback_of_ipv6_is_served),
        cmocka_unit_test(test_the_wildcard_of_ipv6_is_both_families),
        cmocka_unit_test(test_localhost_is_an_address),
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
        cmocka_unit_test(test_a_second_signal_ends_at_once),
        cmocka_unit_test(test_a_second_signal_cuts_a_request_in_flight),
        cmocka_unit_test(test_while_draining_it_serves_but_is_not_ready),
        cmocka_unit_test(test_an_idle_server_takes_no_processor_time),
        cmocka_unit_test(test_health_says_by_its_status_whether_a_server_is_healthy),
        cmocka_unit_test(test_health_reads_the_variables_that_the_server_reads),
        cmocka_unit_test(test_health_of_a_server_that_is_loading_is_bad),
        cmocka_unit_test(test_health_does_not_wait_for_ever),
        cmocka_unit_test(test_health_refuses_bad_options_as_the_server_does),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
