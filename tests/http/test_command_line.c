/* test_command_line.c - help, version, commands, and the options: by flag, by variable, and wrong ones.
 *
 * A wrong option ends the program with 2, before it listens.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void test_a_variable_sets_an_option_and_a_flag_beats_it(void **state)
{
    (void)state;
    int port = free_port();
    const char *models = text_of("BERTH_MODELS=%s", volume_with_a_model());
    const char *port_set = text_of("BERTH_PORT=%d", port);
    struct server *s = server_start(
        &(struct setup){.bare = true, .port = port, .env = {models, "BERTH_HOST=127.0.0.1", port_set}});
    server_assert_root(s, "Model loaded from volume mount");
    server_stop(s);
    s = server_start(&(struct setup){.models = temp_dir(), .env = {models, port_set}});
    assert_int_not_equal(s->port, port);
    server_assert_root(s, "Hello from Docker!");
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
        cmocka_unit_test(test_health_refuses_bad_options_as_the_server_does),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
