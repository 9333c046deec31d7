/* test_schema_suite.c - no text that the JSON Schema Test Suite calls invalid matches a schema's grammar.
 *
 * JSON_SCHEMA_SUITE names the folder `tests` of the suite, with draft7 and draft2020-12 in it. Each group is a
 * schema with values. In strict mode the schema is refused, and counted so, or no invalid value matches, compact or
 * indented. A table says for each file of the suite how many groups are enforced, how many are refused, and how many of
 * the valid values match; the last line says which schema took longest to compile. Few valid values have to match: a
 * grammar allows one order of members, and one way to write most things.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/engine/grammar/grammar.h"
#include "berth/engine/grammar/sources.h"
#include "berth/server/api/json_value.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct counts {
    unsigned enforced, refused, invalid, wrong, valid, matched;
};

static struct counts all;
static double slowest;
static char slowest_name[2000];

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool matches(struct grammar *g, const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
    assert_non_null(text);
    bool matched = grammar_matches(g, span_of(text));
    free(text);
    return matched;
}

static struct grammar *compile(const json_t *schema, const char *name, struct error *err)
{
    struct value_arena *arena = value_arena_new((size_t)1 << 24);
    struct grammar_builder *b = grammar_builder_new(0);
    struct json_schema_options options = {.strict = true};
    struct value v = value_undefined;
    assert_true(arena && b);
    assert_true(json_to_value(arena, schema, &v, err));
    double start = cpu_ms();
    grammar_node root = grammar_json_schema(b, v, &options, NULL);
    struct grammar *g = grammar_build(b, root, err);
    double took = cpu_ms() - start;
    if (took > slowest) {
        slowest = took;
        snprintf(slowest_name, sizeof(slowest_name), "%s", name);
    }
    grammar_builder_free(b);
    value_arena_free(arena);
    return g;
}

static void run_group(const char *file, const json_t *group, struct counts *counts)
{
    char name[2000];
    struct error err = {0};
    json_t *schema = json_object_get(group, "schema");
    if (strstr(file, "draft7/") && json_is_object(schema) && !json_object_get(schema, "$schema"))
        json_object_set_new(schema, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    snprintf(name, sizeof(name), "%s: %s", file, json_string_value(json_object_get(group, "description")));
    struct grammar *g = compile(schema, name, &err);
    if (!g) {
        counts->refused++;
        assert_true(err.text[0]);
        if (getenv("BERTH_JSON_SCHEMA_WHY"))
            printf("    %s: %s\n", name, err.text);
        return;
    }
    counts->enforced++;
    size_t i;
    const json_t *test;
    json_array_foreach(json_object_get(group, "tests"), i, test)
    {
        const json_t *value = json_object_get(test, "data");
        bool compact = matches(g, value, JSON_COMPACT), indented = matches(g, value, JSON_INDENT(2));
        if (json_is_true(json_object_get(test, "valid"))) {
            counts->valid++;
            counts->matched += compact && indented;
            continue;
        }
        counts->invalid++;
        if (compact || indented) {
            counts->wrong++;
            printf("    %s: the invalid value matches: %s\n", name,
                json_string_value(json_object_get(test, "description")));
        }
    }
    grammar_drop(g);
}

static void run_file(const char *folder, const char *file)
{
    char path[1000];
    json_error_t wrong;
    struct counts counts = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    json_t *groups = json_load_file(path, JSON_ALLOW_NUL, &wrong);
    if (!groups) { /* integers that jansson does not read */
        printf("  %-28s not read: %s\n", file, wrong.text);
        return;
    }
    size_t i;
    const json_t *group;
    json_array_foreach(groups, i, group) run_group(path, group, &counts);
    json_decref(groups);
    printf("  %-28s enforced %3u  refused %3u  invalid %3u  valid %3u of %3u match\n", file, counts.enforced,
        counts.refused, counts.invalid, counts.matched, counts.valid);
    all.enforced += counts.enforced;
    all.refused += counts.refused;
    all.invalid += counts.invalid;
    all.wrong += counts.wrong;
    all.valid += counts.valid;
    all.matched += counts.matched;
}

/* What is no part of the promise: contentEncoding and contentMediaType only describe. */
static bool is_left_out(const char *folder, const char *file)
{
    return strcmp(file, "content.json") == 0 && strstr(folder, "draft7/optional");
}

static int only_json(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

static void run_folder(const char *suite, const char *name)
{
    char path[500];
    struct dirent **files = NULL;
    snprintf(path, sizeof(path), "%s/%s", suite, name);
    int n = scandir(path, &files, only_json, alphasort);
    if (n < 0)
        fail_msg("%s cannot be read", path);
    printf("%s\n", name);
    for (int i = 0; i < n; i++) {
        if (!is_left_out(path, files[i]->d_name))
            run_file(path, files[i]->d_name);
        free(files[i]);
    }
    free(files);
}

static void test_no_invalid_value_matches(void **state)
{
    static const char *const folders[] = {"draft7", "draft2020-12", "draft7/optional",
        "draft2020-12/optional", "draft7/optional/format", "draft2020-12/optional/format"};
    const char *suite = getenv("JSON_SCHEMA_SUITE");
    (void)state;
    if (!suite) {
        printf("SKIPPED: the JSON Schema Test Suite: JSON_SCHEMA_SUITE names no folder\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        run_folder(suite, folders[i]);
    printf(
        "enforced %u, refused %u; %u invalid values; %u of %u valid values match; slowest %.1f ms of CPU: %s\n",
        all.enforced, all.refused, all.invalid, all.matched, all.valid, slowest, slowest_name);
    assert_true(all.invalid > 0);
    assert_int_equal(all.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_invalid_value_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
