/* test_log.c - lines as text and as JSON, hostile values, and a reader that does not read. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Standard output becomes a pipe while a test logs. */
static int saved_stdout, reader;

static void capture(void)
{
    int ends[2];
    fflush(stdout);
    assert_return_code(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    saved_stdout = dup(STDOUT_FILENO);
    assert_return_code(dup2(ends[1], STDOUT_FILENO), 0);
    close(ends[1]);
    reader = ends[0];
}

static size_t captured(char *text, size_t room)
{
    size_t used = 0;
    ssize_t got;
    while (used + 1 < room && (got = read(reader, text + used, room - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    return used;
}

static void release(void)
{
    dup2(saved_stdout, STDOUT_FILENO);
    close(saved_stdout);
    close(reader);
}

static json_t *only_line(const char *text)
{
    const char *end = strchr(text, '\n');
    assert_non_null(end);
    assert_int_equal(end[1], '\0');
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    return line;
}

static void test_a_json_line_holds_message_and_fields(void **state)
{
    char text[8192];
    (void)state;
    log_setup(LOG_INFO, LOG_FORMAT_JSON);
    capture();
    log_line(LOG_WARN, "a \"message\"",
        LOG_FIELDS(log_text("file", "a\nb\xff"), log_count("bytes", INT64_MAX), log_seconds("seconds", 0.25),
            log_text("none", NULL)));
    captured(text, sizeof(text));
    release();
    json_t *line = only_line(text);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "message")), "a \"message\"");
    assert_string_equal(json_string_value(json_object_get(line, "file")), "a\nb\xef\xbf\xbd");
    assert_true(json_real_value(json_object_get(line, "seconds")) == 0.25);
    assert_string_equal(json_string_value(json_object_get(line, "none")), "");
    assert_int_equal(
        strlen(json_string_value(json_object_get(line, "time"))), strlen("2026-01-01T00:00:00.000Z"));
    assert_non_null(strstr(text, "\"bytes\":9223372036854775807"));
    json_decref(line);
}

static void test_a_text_line_quotes_what_is_not_a_word(void **state)
{
    char text[8192];
    (void)state;
    log_setup(LOG_INFO, LOG_FORMAT_TEXT);
    capture();
    log_line(LOG_INFO, "moved\x1b[2J",
        LOG_FIELDS(
            log_text("a", "word"), log_text("b", "two words"), log_text("c", ""), log_text("d", "x=\"1\"")));
    captured(text, sizeof(text));
    release();
    assert_non_null(strstr(text, " info  moved\\x1b[2J a=word b=\"two words\" c=\"\" d=\"x=\\\"1\\\"\"\n"));
}

static void test_lines_below_the_level_are_dropped(void **state)
{
    char text[8192];
    (void)state;
    log_setup(LOG_WARN, LOG_FORMAT_TEXT);
    capture();
    log_line(LOG_INFO, "quiet", NULL);
    log_line(LOG_ERROR, "loud", NULL);
    captured(text, sizeof(text));
    release();
    assert_null(strstr(text, "quiet"));
    assert_non_null(strstr(text, "loud"));
}

static void test_a_line_too_long_for_a_pipe_is_cut_and_still_valid(void **state)
{
    char text[16384], *huge = malloc(20001);
    (void)state;
    assert_non_null(huge);
    memset(huge, '\n', 20000);
    huge[20000] = '\0';
    log_setup(LOG_INFO, LOG_FORMAT_JSON);
    capture();
    log_line(LOG_INFO, huge, LOG_FIELDS(log_text("a", huge), log_text("b", huge), log_text("c", huge)));
    size_t size = captured(text, sizeof(text));
    release();
    assert_true(size > 1000 && size <= 4096);
    json_t *line = only_line(text);
    assert_string_equal(json_string_value(json_object_get(line, "fields")), "left out, too long");
    json_decref(line);
    free(huge);
}

static void test_a_reader_that_falls_behind_blocks_nobody_and_is_told_later(void **state)
{
    static char text[1 << 20];
    (void)state;
    log_setup(LOG_INFO, LOG_FORMAT_JSON);
    capture();
    fcntl(STDOUT_FILENO, F_SETFL, 0); /* a blocking pipe, as a container's log is */
    for (int i = 0; i < 5000; i++)
        log_line(LOG_INFO, "filler that makes a pipe of 64 KiB full soon", NULL);
    size_t first = captured(text, sizeof(text));
    assert_true(first > 50000 && first <= 65536);
    log_line(LOG_INFO, "after", NULL);
    captured(text, sizeof(text));
    release();
    const char *dropped = strstr(text, "\"lines\":");
    assert_non_null(dropped);
    assert_true(strtol(dropped + 8, NULL, 10) > 4000);
    assert_non_null(strstr(text, "\"after\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_json_line_holds_message_and_fields),
        cmocka_unit_test(test_a_text_line_quotes_what_is_not_a_word),
        cmocka_unit_test(test_lines_below_the_level_are_dropped),
        cmocka_unit_test(test_a_line_too_long_for_a_pipe_is_cut_and_still_valid),
        cmocka_unit_test(test_a_reader_that_falls_behind_blocks_nobody_and_is_told_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
