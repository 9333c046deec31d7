/* test_openapi.c - what /openapi.json says of the bodies that routes take, held against the routes.
 *
 * Requests are made from the schemas: whatever a route describes, it takes or refuses by name, and a route that is added
 * later is tested as soon as it is described.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct server *server;
static json_t *api;

/* ---- the descriptions ---- */

typedef void visit(const char *path, const json_t *operation, const json_t *schema);

/* Visits every POST with the schema of its body. */
static size_t each_post(visit *sees)
{
    const char *path;
    json_t *route;
    size_t n = 0;
    json_object_foreach(json_object_get(api, "paths"), path, route)
    {
        const json_t *post = json_object_get(route, "post"), *at = json_object_get(post, "requestBody");
        if (!post)
            continue;
        at = json_object_get(json_object_get(at, "content"), "application/json");
        sees(path, post, json_object_get(at, "schema"));
        n++;
    }
    return n;
}

static bool answers(const json_t *operation)
{
    return json_object_get(json_object_get(operation, "responses"), "200") != NULL;
}

/* ---- examples ---- */

static json_t *example(const json_t *schema);

static json_t *example_of_object(const json_t *schema)
{
    json_t *object = json_object();
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        json_object_set_new(
            object, name, example(json_object_get(json_object_get(schema, "properties"), name)));
    }
    return object;
}

static json_t *example_of_type(const char *type, const json_t *schema)
{
    const json_t *items = json_object_get(schema, "items"), *most = json_object_get(schema, "maximum");
    double number = json_number_value(json_object_get(schema, "minimum"));
    if (strcmp(type, "string") == 0)
        return json_string("a");
    if (strcmp(type, "boolean") == 0)
        return json_true();
    if (strcmp(type, "array") == 0)
        return items ? json_pack("[o]", example(items)) : json_array();
    if (strcmp(type, "object") == 0)
        return example_of_object(schema);
    if (number < 1)
        number = most && json_number_value(most) < 1 ? json_number_value(most) : 1;
    return strcmp(type, "integer") == 0 ? json_integer((json_int_t)number) : json_real(number);
}

/* A value that the schema allows. */
static json_t *example(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type"), *words = json_object_get(schema, "enum");
    const char *name = json_string_value(json_object_get(schema, "$ref"));
    if (name)
        return example(json_object_get(
            json_object_get(json_object_get(api, "components"), "schemas"), strrchr(name, '/') + 1));
    if (json_object_get(schema, "const"))
        return json_deep_copy(json_object_get(schema, "const"));
    if (words)
        return json_deep_copy(json_array_get(words, 0));
    if (json_object_get(schema, "anyOf"))
        return example(json_array_get(json_object_get(schema, "anyOf"), 0));
    if (!type)
        return json_true();
    return example_of_type(json_string_value(json_is_array(type) ? json_array_get(type, 0) : type), schema);
}

/* A value of a type that the schema does not allow; NULL where it does not say types. */
static json_t *wrong_example(const json_t *schema)
{
    static const char *const types[] = {"object", "array", "string", "boolean", "number"};
    static const char *const values[] = {"{\"odd\":[1]}", "[[1]]", "\"odd\"", "true", "5.5"};
    const json_t *type = json_object_get(schema, "type");
    for (size_t i = 0; type && i < sizeof(types) / sizeof(types[0]); i++) {
        bool allowed = json_is_string(type) && strcmp(json_string_value(type), types[i]) == 0;
        for (size_t k = 0; k < json_array_size(type); k++)
            allowed |= strcmp(json_string_value(json_array_get(type, k)), types[i]) == 0;
        if (!allowed)
            return json_loads(values[i], JSON_DECODE_ANY, NULL);
    }
    return NULL;
}

/* What a body must have, and a model that answers it. */
static json_t *least_body(const json_t *schema)
{
    json_t *body = example_of_object(schema);
    const json_t *properties = json_object_get(schema, "properties"),
                 *one_of = json_object_get(schema, "anyOf");
    const json_t *name = json_array_get(json_object_get(json_array_get(one_of, 0), "required"), 0);
    if (name)
        json_object_set_new(
            body, json_string_value(name), example(json_object_get(properties, json_string_value(name))));
    if (json_object_get(properties, "model"))
        json_object_set_new(
            body, "model", json_string(json_object_get(properties, "encoding_format") ? "vectors" : "tiny"));
    return body;
}

/* ---- requests ---- */

static int post(const char *path, const json_t *body, char *answer, size_t size)
{
    char *text = json_dumps(body, JSON_COMPACT);
    struct answer a = server_post(server, path, "", text);
    int status = a.status;
    snprintf(answer, size, "%s", a.body ? a.body : "");
    answer_release(&a);
    free(text);
    return status;
}

/* The refusal has the name between quotes, alone or with what is in it: 'options.seed', 'messages[0]'. */
static bool tells(const char *answer, const char *name)
{
    char quoted[100];
    size_t size = (size_t)snprintf(quoted, sizeof(quoted), "'%s", name);
    for (const char *at = strstr(answer, quoted); at; at = strstr(at + 1, quoted))
        if (at[size] && strchr("'.[:", at[size]))
            return true;
    return false;
}

static bool tells_one_of(const char *answer, const json_t *body)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (tells(answer, name))
            return true;
    }
    return false;
}

static void fail_with(const char *path, const json_t *body, int status, const char *answer)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    fail_msg("POST %s %s: %d %.600s", path, text, status, answer);
}

/* ---- the tests ---- */

static void see_members(const char *path, const json_t *operation, const json_t *schema)
{
    const char *name;
    json_t *member;
    json_t *properties = json_object_get(schema, "properties");
    if (!answers(operation)) {
        assert_true(json_is_false(json_object_get(json_object_get(operation, "requestBody"), "required")));
        return;
    }
    if (json_object_size(properties) == 0)
        fail_msg("POST %s is described without the members of its body", path);
    json_object_foreach(properties, name, member)
    {
        if (!json_is_object(member) || json_object_size(member) == 0)
            fail_msg("POST %s: '%s' is described without what it may be", path, name);
        if (json_object_get(json_object_get(schema, "x-refused"), name))
            fail_msg("POST %s: '%s' is taken and refused", path, name);
    }
}

static void test_every_body_is_described_member_by_member(void **state)
{
    (void)state;
    assert_true(each_post(see_members) > 20);
}

static void try_members(const char *path, const json_t *operation, const json_t *schema)
{
    char answer[4096];
    const char *name;
    json_t *member;
    if (!answers(operation))
        return;
    json_t *body = least_body(schema);
    int status = post(path, body, answer, sizeof(answer));
    if (status != 200)
        fail_with(path, body, status, answer);
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        json_t *more = json_copy(body);
        if (!json_object_get(body, name))
            json_object_set_new(more, name, example(member));
        status = post(path, more, answer, sizeof(answer));
        if (status != 200 && !(status == 400 && tells_one_of(answer, more)))
            fail_with(path, more, status, answer);
        json_decref(more);
    }
    json_decref(body);
}

static void test_what_is_described_is_taken_or_refused_by_name(void **state)
{
    (void)state;
    each_post(try_members);
}

static void try_wrong_members(const char *path, const json_t *operation, const json_t *schema)
{
    char answer[4096];
    const char *name;
    json_t *member;
    if (!answers(operation))
        return;
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        json_t *body = least_body(schema), *wrong = wrong_example(member);
        if (wrong) {
            json_object_set(body, name, wrong);
            int status = post(path, body, answer, sizeof(answer));
            if (status != 400 || !tells(answer, name))
                fail_with(path, body, status, answer);
        }
        json_decref(wrong);
        json_decref(body);
    }
}

static void test_a_value_of_another_type_is_refused_by_name(void **state)
{
    (void)state;
    each_post(try_wrong_members);
}

static void try_others(const char *path, const json_t *operation, const json_t *schema)
{
    char answer[4096];
    size_t i;
    const char *name;
    json_t *member;
    if (!answers(operation))
        return;
    json_array_foreach(json_object_get(schema, "x-ignored"), i, member)
    {
        json_t *body = least_body(schema);
        json_object_set_new(body, json_string_value(member), json_pack("{s:[i]}", "odd", 1));
        int status = post(path, body, answer, sizeof(answer));
        if (status != 200)
            fail_with(path, body, status, answer);
        json_decref(body);
    }
    json_object_foreach(json_object_get(schema, "x-refused"), name, member)
    {
        json_t *body = least_body(schema);
        json_object_set_new(body, name, json_string("odd"));
        json_object_set_new(body, "repeat_penalty", json_real(1.5)); /* some are refused beside it alone */
        int status = post(path, body, answer, sizeof(answer));
        if (status != 400 || !tells(answer, name))
            fail_with(path, body, status, answer);
        json_decref(body);
    }
}

static void test_what_is_said_to_be_ignored_or_refused_is(void **state)
{
    (void)state;
    each_post(try_others);
}

static void try_misspelt(const char *path, const json_t *operation, const json_t *schema)
{
    char answer[4096];
    const char *name;
    json_t *member;
    if (!answers(operation))
        return;
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        if (strlen(name) < 7) /* one letter makes another word of a short one */
            continue;
        json_t *body = least_body(schema);
        json_object_set_new(body, text_of("%sz", name), json_true());
        int status = post(path, body, answer, sizeof(answer));
        if (status != 400 || !tells(answer, name))
            fail_with(path, body, status, answer);
        json_decref(body);
    }
}

static void test_a_misspelt_name_is_refused_with_the_right_one(void **state)
{
    (void)state;
    each_post(try_misspelt);
}

static int begin(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){.fills = true, .context = 1024});
    write_tiny_model(dir, "vectors.gguf", &(struct tiny_model){0});
    server = server_start(
        &(struct setup){.models = dir, .args = {"--max-tokens-default", "8", "--pooling", "vectors=mean"}});
    server_wait_status(server, "/readyz", 200);
    api = server_json(server, "/openapi.json");
    return 0;
}

static int end(void **state)
{
    json_decref(api);
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_body_is_described_member_by_member),
        cmocka_unit_test(test_what_is_described_is_taken_or_refused_by_name),
        cmocka_unit_test(test_a_value_of_another_type_is_refused_by_name),
        cmocka_unit_test(test_what_is_said_to_be_ignored_or_refused_is),
        cmocka_unit_test(test_a_misspelt_name_is_refused_with_the_right_one),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
