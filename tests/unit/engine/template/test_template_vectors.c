/* test_template_vectors.c - models' templates and small ones, compared with jinja2's results.
 *
 * tests/vectors/template/README.md says how the expected texts were made.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/api/json_value.h"
#include "berth/engine/template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER "tests/vectors/template/"

static json_t *expected, *requests;

static json_t *read_json(const char *path)
{
    json_error_t wrong;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &wrong);
    if (!json)
        fail_msg("%s: %s", path, wrong.text);
    return json;
}

static int set_up(void **state)
{
    (void)state;
    expected = read_json(FOLDER "expected.json");
    requests = read_json(FOLDER "requests.json");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(expected);
    json_decref(requests);
    return 0;
}

static struct span span_of_json(const json_t *text)
{
    return (struct span){(const uint8_t *)json_string_value(text), json_string_length(text)};
}

/* Renders and compares; `wanted` is null where jinja2 fails. Prints a difference and returns 1 for it. */
static int differs(const char *name, struct span source, struct value vars, const json_t *wanted)
{
    struct error err = {0};
    struct template_text got = {0};
    struct template *t = template_parse(source, &err);
    bool good = t && template_render(t, vars, 0, NULL, &got, &err);
    template_free(t);
    if (!good && json_is_null(wanted))
        return strncmp(err.text, "line ", 5) != 0;
    struct span text = {(const uint8_t *)got.text, got.size};
    int wrong = !good || json_is_null(wanted) || span_compare(text, span_of_json(wanted)) != 0;
    if (wrong)
        print_error("%s\n  wanted: %s\n  got:    %s%s\n", name,
            json_is_null(wanted) ? "an error" : json_string_value(wanted),
            good ? got.text : "error: ", good ? "" : err.text);
    template_text_release(&got);
    return wrong;
}

static void test_the_language_is_that_of_jinja2(void **state)
{
    (void)state;
    int wrong = 0;
    size_t i;
    json_t *row;
    struct error err = {0};
    struct value vars;
    struct value_arena *arena = value_arena_new((size_t)1 << 20);
    assert_true(json_to_value(arena, json_object_get(expected, "variables"), &vars, &err));
    json_array_foreach(json_object_get(expected, "language"), i, row)
    {
        const json_t *source = json_object_get(row, "source");
        wrong += differs(json_string_value(source), span_of_json(source), vars, json_object_get(row, "text"));
    }
    value_arena_free(arena);
    assert_true(i > 95);
    assert_int_equal(wrong, 0);
}

static char *read_text(const char *name, size_t *size)
{
    char path[200];
    snprintf(path, sizeof(path), FOLDER "%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(65536);
    *size = fread(text, 1, 65536, file);
    fclose(file);
    return text;
}

static void test_models_templates_make_the_prompts_of_jinja2(void **state)
{
    (void)state;
    int wrong = 0;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(expected, "models"), i, row)
    {
        char name[200];
        size_t size;
        struct error err = {0};
        struct value vars;
        struct value_arena *arena = value_arena_new((size_t)1 << 20);
        const char *file = json_string_value(json_object_get(row, "template"));
        const char *request = json_string_value(json_object_get(row, "request"));
        assert_true(json_chat_variables(arena, json_object_get(requests, request), value_literal("<s>"),
            value_literal("</s>"), &vars, &err));
        char *source = read_text(file, &size);
        snprintf(name, sizeof(name), "%s, %s", file, request);
        wrong +=
            differs(name, (struct span){(const uint8_t *)source, size}, vars, json_object_get(row, "text"));
        free(source);
        value_arena_free(arena);
    }
    assert_true(i > 80);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_language_is_that_of_jinja2),
        cmocka_unit_test(test_models_templates_make_the_prompts_of_jinja2),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
