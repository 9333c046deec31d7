/* test_options.c - flags, environment, defaults, and the words for what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/options.h"

#include "berth/base/log.h"
#include "berth/kernels/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 16
#define LINE_BYTES 256

/* Splits `line` into words, in `store`: options point into them. */
static int words(const char *line, char store[LINE_BYTES], char *out[WORDS_MAX])
{
    int n = 0;
    assert_true(strlen(line) < LINE_BYTES);
    strcpy(store, line);
    for (char *word = strtok(store, " "); word && n < WORDS_MAX - 1; word = strtok(NULL, " "))
        out[n++] = word;
    out[n] = NULL;
    return n;
}

static enum options_result read_line(
    struct options *o, const char *flags, const char *environment, struct error *err)
{
    static char flag_store[LINE_BYTES], variable_store[LINE_BYTES];
    char *argv[WORDS_MAX], *variables[WORDS_MAX];
    int argc = words(flags, flag_store, argv);
    words(environment, variable_store, variables);
    *err = (struct error){0};
    return options_read(o, argc, argv, variables, err);
}

static void test_defaults_are_those_of_the_documentation(void **state)
{
    struct options o;
    struct error err;
    (void)state;
    assert_int_equal(read_line(&o, "", "", &err), OPTIONS_READ);
    assert_string_equal(o.models, "/app/models");
    assert_string_equal(o.host, "0.0.0.0");
    assert_int_equal(o.port, 8000);
    assert_int_equal(o.wait_for_volume, 0);
    assert_int_equal(o.log, OPTION_LOG_AUTO);
    assert_int_equal(o.log_level, LOG_INFO);
    assert_int_equal(o.max_body, 32 << 20);
    assert_int_equal(o.max_header, 16 << 10);
    assert_true(o.grace == 8 && o.drain_delay == 0);
}

static void test_a_flag_beats_the_environment_which_beats_the_default(void **state)
{
    struct options o;
    struct error err;
    (void)state;
    assert_int_equal(
        read_line(&o, "--port 1 --grace=0.5", "BERTH_PORT=2 BERTH_HOST=::1", &err), OPTIONS_READ);
    assert_int_equal(o.port, 1);
    assert_string_equal(o.host, "::1");
    assert_true(o.grace == 0.5);
    assert_int_equal(read_line(&o, "", "MODEL_INIT_MODE=async", &err), OPTIONS_READ);
    assert_int_equal(o.wait_for_volume, 1);
    assert_int_equal(read_line(&o, "", "MODEL_INIT_MODE=async BERTH_INIT_MODE=sync", &err), OPTIONS_READ);
    assert_int_equal(o.wait_for_volume, 0);
}

static void test_a_choice_is_the_place_of_its_word(void **state)
{
    static const char *const words[] = {[OPTION_KV_F16] = "--kv-type f16",
        [OPTION_KV_F32] = "--kv-type f32",
        [OPTION_KV_Q8_0] = "--kv-type q8_0"};
    struct options o;
    struct error err;
    (void)state;
    for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
        assert_int_equal(read_line(&o, words[i], "", &err), OPTIONS_READ);
        assert_int_equal(o.kv_type, i);
    }
    assert_int_equal(read_line(&o, "", "BERTH_KV_TYPE=q8_0", &err), OPTIONS_READ);
    assert_int_equal(o.kv_type, OPTION_KV_Q8_0);
    assert_int_equal(read_line(&o, "--kv-type q8", "", &err), OPTIONS_BAD);
}

static void test_cpu_takes_the_name_of_every_instruction_set(void **state)
{
    (void)state;
    struct options o;
    struct error err;
    char flags[64];
    for (int set = 0; set < ISA_SETS; set++) {
        snprintf(flags, sizeof(flags), "--cpu %s", isa_name((enum isa)set));
        assert_int_equal(read_line(&o, flags, "", &err), OPTIONS_READ);
        assert_string_equal(options_cpu(&o), isa_name((enum isa)set));
    }
    assert_int_equal(read_line(&o, "", "", &err), OPTIONS_READ);
    assert_string_equal(options_cpu(&o), "auto");
}

static void test_an_empty_variable_and_a_service_link_set_nothing(void **state)
{
    struct options o;
    struct error err;
    (void)state;
    assert_int_equal(read_line(&o, "", "BERTH_PORT= BERTH_HOST=", &err), OPTIONS_READ);
    assert_int_equal(o.port, 8000);
    assert_int_equal(read_line(&o, "", "BERTH_PORT=tcp://10.96.0.12:8000", &err), OPTIONS_READ);
    assert_int_equal(o.port, 8000);
}

static void test_bytes_take_units(void **state)
{
    struct options o;
    struct error err;
    (void)state;
    assert_int_equal(read_line(&o, "--max-body 64K --max-header=8192", "", &err), OPTIONS_READ);
    assert_int_equal(o.max_body, 65536);
    assert_int_equal(o.max_header, 8192);
    assert_int_equal(read_line(&o, "--max-body 2G", "", &err), OPTIONS_READ);
    assert_int_equal(o.max_body, UINT64_C(2) << 30);
}

static void test_what_is_wrong_is_named_with_what_is_allowed(void **state)
{
    static const struct {
        const char *flags, *environment, *reason;
    } cases[] = {
        {"--port http", "", "--port: \"http\" is not allowed: a whole number from 0 to 65535"},
        {"--port 65536", "", "--port: \"65536\" is not allowed: a whole number from 0 to 65535"},
        {"--port -1", "", "--port: \"-1\" is not allowed: a whole number from 0 to 65535"},
        {"--port 1e3", "", "--port: \"1e3\" is not allowed: a whole number from 0 to 65535"},
        {"--port 80.5", "", "--port: \"80.5\" is not allowed: a whole number from 0 to 65535"},
        {"--port=", "", "--port: \"\" is not allowed: a whole number from 0 to 65535"},
        {"--port 99999999999999999999999", "",
            "--port: \"99999999999999999999999\" is not allowed: "
            "a whole number from 0 to 65535"},
        {"--grace nan", "", "--grace: \"nan\" is not allowed: a number of seconds from 0 to 3600"},
        {"--max-body 3X", "",
            "--max-body: \"3X\" is not allowed: a number of bytes (also 64K, 32M, 1G) "
            "from 1024 to 68719476736"},
        {"--log loud", "", "--log: \"loud\" is not allowed: one of text|json|auto"},
        {"--host example.org", "",
            "--host: \"example.org\" is not allowed: a numeric IPv4 or IPv6 address, or "
            "localhost"},
        {"--models=", "", "--models: \"\" is not allowed: a PATH that is not empty"},
        {"", "BERTH_PORT=abc", "BERTH_PORT: \"abc\" is not allowed: a whole number from 0 to 65535"},
        {"", "MODEL_INIT_MODE=maybe", "MODEL_INIT_MODE: \"maybe\" is not allowed: one of sync|async"},
        {"--port", "", "--port needs a value: PORT"},
        {"--prot 1", "", "unknown option --prot; did you mean --port?"},
        {"--max_body 1M", "", "unknown option --max_body; did you mean --max-body?"},
        {"--frobnicate 1", "", "unknown option --frobnicate; see berth help"},
        {"a b", "", "one PATH at a time, not also \"b\""},
        {"--port\x1b[1m 1", "", "unknown option --port\\x1b[1m; see berth help"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct options o;
        struct error err;
        assert_int_equal(read_line(&o, cases[i].flags, cases[i].environment, &err), OPTIONS_BAD);
        assert_string_equal(err.text, cases[i].reason);
    }
}

static void test_an_argument_that_is_no_flag_is_the_path_of_the_models(void **state)
{
    struct options o;
    struct error err;
    (void)state;
    assert_int_equal(read_line(&o, "--port 1 some/dir --grace 2", "BERTH_MODELS=/other", &err), OPTIONS_READ);
    assert_string_equal(o.models, "some/dir");
    assert_string_equal(o.operand, "some/dir");
    assert_true(o.port == 1 && o.grace == 2);
    assert_int_equal(read_line(&o, "--models x", "", &err), OPTIONS_READ);
    assert_null(o.operand);
}

static void test_help_is_heard_before_a_variable_that_is_wrong(void **state)
{
    struct options o;
    struct error err;
    (void)state;
    assert_int_equal(read_line(&o, "--help", "BERTH_PORT=abc", &err), OPTIONS_HELP);
    assert_int_equal(read_line(&o, "--port 1 -h", "", &err), OPTIONS_HELP);
}

static void test_help_lists_each_option_with_variable_and_default(void **state)
{
    char *text = NULL;
    size_t size;
    (void)state;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    options_print(out);
    fclose(out);
    assert_non_null(strstr(text, "--port PORT\n"));
    assert_non_null(strstr(text, "default 8000, environment BERTH_PORT\n"));
    assert_non_null(strstr(text, "default sync, environment BERTH_INIT_MODE or MODEL_INIT_MODE\n"));
    assert_non_null(strstr(text, "default none, environment BERTH_REQUIRE\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_of_the_documentation),
        cmocka_unit_test(test_a_flag_beats_the_environment_which_beats_the_default),
        cmocka_unit_test(test_a_choice_is_the_place_of_its_word),
        cmocka_unit_test(test_cpu_takes_the_name_of_every_instruction_set),
        cmocka_unit_test(test_an_empty_variable_and_a_service_link_set_nothing),
        cmocka_unit_test(test_bytes_take_units),
        cmocka_unit_test(test_what_is_wrong_is_named_with_what_is_allowed),
        cmocka_unit_test(test_an_argument_that_is_no_flag_is_the_path_of_the_models),
        cmocka_unit_test(test_help_is_heard_before_a_variable_that_is_wrong),
        cmocka_unit_test(test_help_lists_each_option_with_variable_and_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
