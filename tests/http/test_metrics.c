/* test_metrics.c - /metrics, read by a parser of the exposition formats of this file's own. */
#include "harness.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct server *server;

struct sample {
    char series[512]; /* name and labels, as printed */
    char family[128]; /* of the TYPE line in force */
    char kind[16];
    double value;
};

static struct sample samples[4096];
static size_t n_samples;

static size_t name_length(const char *at)
{
    size_t n = 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == ':')
        n++;
    return n && !isdigit((unsigned char)at[0]) ? n : 0;
}

/* The end of {name="value",...} at `at`, which may be absent; NULL when it is malformed. */
static const char *after_labels(const char *at)
{
    if (*at != '{')
        return at;
    do {
        at++;
        size_t n = name_length(at);
        if (n == 0 || strncmp(at + n, "=\"", 2) != 0)
            return NULL;
        for (at += n + 2; *at && *at != '"'; at++)
            if (*at == '\\' && (*++at == '\0' || !strchr("\\\"n", *at)))
                return NULL;
        at += *at == '"';
    } while (*at == ',');
    return *at == '}' ? at + 1 : NULL;
}

static void read_sample(const char *line, const char *family, const char *kind)
{
    struct sample *s = &samples[n_samples++];
    size_t n = name_length(line);
    const char *end = n ? after_labels(line + n) : NULL;
    char *after = NULL;
    if (!end || *end != ' ' || (size_t)(end - line) >= sizeof(s->series) || n_samples == 4096)
        fail_msg("not a sample: %s", line);
    snprintf(s->series, sizeof(s->series), "%.*s", (int)(end - line), line);
    snprintf(s->family, sizeof(s->family), "%s", family);
    snprintf(s->kind, sizeof(s->kind), "%s", kind);
    s->value = strtod(end + 1, &after);
    if (after == end + 1 || *after != '\0')
        fail_msg("not a number: %s", line);
    if (strncmp(line, family, strlen(family)) != 0)
        fail_msg("a sample outside its family %s: %s", family, line);
    for (struct sample *other = samples; other < s; other++)
        if (strcmp(other->series, s->series) == 0)
            fail_msg("a series printed twice: %s", line);
}

static bool is_kind(const char *kind)
{
    return strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0 || strcmp(kind, "histogram") == 0;
}

/* Reads an exposition into `samples` and checks the format on the way. */
static void read_exposition(struct answer a)
{
    char family[128] = "", kind[16] = "", *rest = a.body;
    assert_true(a.body_size > 0 && a.body[a.body_size - 1] == '\n');
    n_samples = 0;
    for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n")) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            char next[128] = "";
            assert_int_equal(sscanf(line, "# TYPE %127s %15s", next, kind), 2);
            assert_true(is_kind(kind));
            for (size_t i = 0; i < n_samples; i++)
                assert_string_not_equal(samples[i].family, next);
            memcpy(family, next, sizeof(family));
        } else if (strncmp(line, "# HELP ", 7) != 0) {
            assert_true(family[0] != '\0');
            read_sample(line, family, kind);
        }
    }
    answer_release(&a);
}

static void read_metrics(void)
{
    read_exposition(server_get(server, "/metrics"));
}

/* The sum of all counters whose series has both words in quotes. */
static double counted(const char *route, const char *code)
{
    double sum = 0;
    for (size_t i = 0; i < n_samples; i++)
        if (strcmp(samples[i].kind, "counter") == 0 && strstr(samples[i].series, text_of("\"%s\"", route)) &&
            strstr(samples[i].series, text_of("\"%s\"", code)))
            sum += samples[i].value;
    return sum;
}

static void test_metrics_are_valid_and_describe_the_process(void **state)
{
    static const char *const families[] = {"process_start_time_seconds", "process_resident_memory_bytes",
        "process_open_fds", "process_cpu_seconds_total"};
    (void)state;
    read_metrics();
    assert_true(n_samples > 10);
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        bool there = false;
        for (size_t j = 0; j < n_samples; j++)
            there |= strcmp(samples[j].family, families[i]) == 0;
        if (!there)
            fail_msg("%s is missing", families[i]);
    }
}

static void test_requests_are_counted_by_route_and_code(void **state)
{
    (void)state;
    read_metrics();
    double before = counted("/v1/models", "200"), missed = counted("/v1/models/{id}", "404");
    for (int i = 0; i < 5; i++) {
        struct answer a = server_get(server, "/v1/models");
        answer_release(&a);
        a = server_get(server, text_of("/v1/models/none-%d", i));
        answer_release(&a);
    }
    read_metrics();
    assert_true(counted("/v1/models", "200") == before + 5);
    assert_true(counted("/v1/models/{id}", "404") == missed + 5);
}

static void test_paths_of_strangers_make_no_new_series(void **state)
{
    (void)state;
    struct answer a = server_get(server, "/warm-up");
    answer_release(&a);
    read_metrics();
    size_t before = n_samples;
    for (int i = 0; i < 20; i++) {
        a = server_get(server, text_of("/stranger-%d", i));
        answer_release(&a);
    }
    read_metrics();
    assert_int_equal(n_samples, before);
    for (size_t i = 0; i < n_samples; i++)
        assert_null(strstr(samples[i].series, "stranger"));
}

/* The labels of a bucket without `le`, to tell histograms apart. */
static void without_le(char *out, size_t size, const char *series)
{
    const char *le = strstr(series, "le=\"");
    const char *end = strchr(le + 4, '"') + 1;
    snprintf(out, size, "%.*s%s", (int)(le - series), series, end);
}

static void test_histograms_add_up(void **state)
{
    (void)state;
    read_metrics();
    size_t wholes = 0;
    for (size_t i = 0; i < n_samples; i++) {
        const struct sample *s = &samples[i];
        if (strcmp(s->kind, "histogram") != 0 || !strstr(s->series, "_bucket{"))
            continue;
        char labels[512], next[512];
        without_le(labels, sizeof(labels), s->series);
        if (!strstr(s->series, "le=\"+Inf\"")) {
            without_le(next, sizeof(next), s[1].series);
            assert_string_equal(labels, next);
            assert_true(s[1].value >= s->value);
            continue;
        }
        /* After the last bucket come the sum and the count, which the last bucket equals. */
        bool found = false;
        for (size_t j = i + 1; j < n_samples && j <= i + 2; j++)
            if (strstr(samples[j].series, "_count")) {
                assert_true(samples[j].value == s->value);
                found = true;
            }
        assert_true(found);
        wholes++;
    }
    assert_true(wholes > 0);
}

static struct answer get_accepting(const char *accept)
{
    return server_request(server, "GET", "/metrics", text_of("Accept: %s\r\n", accept));
}

static void test_openmetrics_comes_where_it_is_preferred(void **state)
{
    static const struct {
        const char *accept;
        bool open;
    } rows[] = {
        {"application/openmetrics-text", true},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3",
            true},
        {"application/openmetrics-text;q=0.2, text/plain;q=0.9", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-textual", false},
        {"text/plain", false},
        {"*/*", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer a = get_accepting(rows[i].accept);
        const char *type = answer_header(&a, "content-type");
        assert_string_equal(type, rows[i].open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                               : "text/plain; version=0.0.4; charset=utf-8");
        assert_int_equal(strstr(a.body, "# EOF\n") != NULL, rows[i].open);
        answer_release(&a);
    }
}

/* The same samples, with the differences that the format asks for. */
static void test_openmetrics_has_the_samples_of_the_text_format(void **state)
{
    (void)state;
    read_metrics();
    size_t n = n_samples;
    struct answer a = get_accepting("application/openmetrics-text");
    const char *end = "# EOF\n";
    assert_string_equal(a.body + a.body_size - strlen(end), end);
    assert_non_null(strstr(a.body, "# TYPE process_cpu_seconds counter\n"));
    assert_non_null(strstr(a.body, "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(a.body, "le=\"1.0\""));
    assert_null(strstr(a.body, "le=\"1\""));
    assert_non_null(strstr(a.body, "le=\"0.25\""));
    for (const char *at = strstr(a.body, "# TYPE "); at; at = strstr(at + 1, "# TYPE ")) {
        size_t size = strcspn(at + 7, " ");
        assert_int_not_equal(strncmp(at + 7 + size - 6, "_total", 6), 0);
    }
    a.body[a.body_size -= strlen(end)] = '\0';
    read_exposition(a);
    assert_int_equal(n_samples, n);
}

static int begin(void **state)
{
    (void)state;
    server = server_start(&(struct setup){.models = volume_with_a_model()});
    return 0;
}

static int end(void **state)
{
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_are_valid_and_describe_the_process),
        cmocka_unit_test(test_requests_are_counted_by_route_and_code),
        cmocka_unit_test(test_paths_of_strangers_make_no_new_series),
        cmocka_unit_test(test_histograms_add_up),
        cmocka_unit_test(test_openmetrics_comes_where_it_is_preferred),
        cmocka_unit_test(test_openmetrics_has_the_samples_of_the_text_format),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
