/* test_model_names.c - which model answers a request: spellings of its id, aliases, the default model, and options that
 * name models which are not there.
 *
 * Each model has a context of its own length, which /v1/tokenize tells beside the id.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define TEXT "/v1/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"

static const char *volume(void)
{
    const char *dir = temp_dir();
    write_tiny_model(dir, "Small-Model.gguf", &(struct tiny_model){.context = 500});
    write_tiny_model(dir, "org/Other.gguf", &(struct tiny_model){.context = 600});
    return dir;
}

static struct server *start(const char *option, const char *value)
{
    return server_start(&(struct setup){.models = volume(), .args = {option, value}});
}

/* Each route answers a request for `name` as the model `id`. */
static void assert_means(const struct server *s, const char *name, const char *id)
{
    json_t *a =
        server_post_json(s, CHAT, 200, text_of("{\"model\":\"%s\"," HELLO ",\"max_tokens\":2}", name));
    assert_string_equal(text_at(a, "choices.0.message.content"), "ab");
    assert_string_equal(text_at(a, "model"), id);
    json_decref(a);
    a = server_post_json(s, TEXT, 200, text_of("{\"model\":\"%s\",\"prompt\":\"a\",\"max_tokens\":2}", name));
    assert_string_equal(text_at(a, "choices.0.text"), "bc");
    assert_string_equal(text_at(a, "model"), id);
    json_decref(a);
    a = server_post_json(s, "/v1/tokenize", 200, text_of("{\"model\":\"%s\",\"text\":\"a\"}", name));
    assert_string_equal(text_at(a, "model"), id);
    assert_int_equal(number_at(a, "max_model_len"), strcmp(id, "Small-Model") == 0 ? 500 : 600);
    json_decref(a);
}

static void assert_unknown(const struct server *s, const char *name)
{
    json_t *a = server_post_json(s, CHAT, 404, text_of("{\"model\":\"%s\"," HELLO "}", name));
    assert_string_equal(text_at(a, "error.code"), "model_not_found");
    assert_string_equal(text_at(a, "error.param"), "model");
    assert_non_null(strstr(text_at(a, "error.message"), "Small-Model"));
    json_decref(a);
}

static void test_a_model_answers_to_the_spellings_that_clients_use(void **state)
{
    static const char *const spellings[][2] = {{"Small-Model", "Small-Model"}, {"small-model", "Small-Model"},
        {"SMALL-MODEL", "Small-Model"}, {"Small-Model.gguf", "Small-Model"},
        {"small-model.GGUF", "Small-Model"}, {"small-model:latest", "Small-Model"},
        {"Small-Model.gguf:latest", "Small-Model"}, {"org/Other", "org/Other"},
        {"ORG/other.gguf", "org/Other"}, {"org/other:latest", "org/Other"}, {"nick", "Small-Model"},
        {"NICK:latest", "Small-Model"}};
    static const char *const others[] = {
        "Small", "Small-Model.ggu", "Small-Model:7b", "Other", "latest", ":latest", ".gguf"};
    (void)state;
    struct server *s = start("--alias", "Nick=small-model.gguf");
    for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++)
        assert_means(s, spellings[i][0], spellings[i][1]);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_unknown(s, others[i]);
    json_t *m = server_json(s, "/v1/models/small-model.gguf");
    assert_string_equal(text_at(m, "root"), "Small-Model");
    json_decref(m);
    server_stop(s);
}

static void test_the_default_model_answers_to_names_that_nobody_knows(void **state)
{
    (void)state;
    struct server *s = start("--default-model", "org/other.gguf");
    assert_means(s, "gpt-4o-mini", "org/Other");
    assert_means(s, "", "org/Other"); /* two models could answer a request without a name */
    assert_means(s, "small-model", "Small-Model"); /* a name that is known keeps its model */
    json_t *a = server_post_json(s, TEXT, 200, "{\"prompt\":\"a\",\"max_tokens\":2}");
    assert_string_equal(text_at(a, "model"), "org/Other");
    json_decref(a);
    /* It is not listed under that name. */
    struct answer r = server_get(s, "/v1/models/gpt-4o-mini");
    assert_int_equal(r.status, 404);
    answer_release(&r);
    server_stop(s);
    s = start(NULL, NULL);
    assert_unknown(s, "gpt-4o-mini");
    a = server_post_json(s, TEXT, 400, "{\"prompt\":\"a\"}");
    assert_string_equal(text_at(a, "error.param"), "model");
    json_decref(a);
    server_stop(s);
}

/* The warning names the option, and the model as it is spelt there; the server starts all the same. */
static void assert_warned(const char *option, const char *value, const char *model, const char *alias)
{
    struct server *s = start(option, value);
    char *line = server_wait_log(s, "an option names a model that is not on the volume");
    if (!strstr(line, text_of("\"option\":\"%s\"", option)) ||
        !strstr(line, text_of("\"model\":\"%s\"", model)))
        fail_msg("%s %s: %s", option, value, line);
    if (alias ? !strstr(line, text_of("\"alias\":\"%s\"", alias)) : strstr(line, "\"alias\"") != NULL)
        fail_msg("%s %s: %s", option, value, line);
    assert_non_null(strstr(line, "\"level\":\"warn\""));
    free(line);
    assert_means(s, "small-model", "Small-Model");
    server_stop(s);
}

static void test_options_that_name_absent_models_are_warned_of(void **state)
{
    (void)state;
    assert_warned("--alias", "X=nothere", "nothere", "X");
    assert_warned("--alias", "Good=Small-Model,X=no\there", "no\\\\x09here", "X");
    assert_warned("--require", "nothere", "nothere", NULL);
    assert_warned("--require", "small-model,nothere", "nothere", NULL);
    assert_warned("--default-model", "nothere", "nothere", NULL);
    static const char *const good[][2] = {{"--alias", "X=small-model,Y=ORG/other.gguf"},
        {"--require", "Small-Model,org/other:latest"}, {"--default-model", "SMALL-model"}};
    for (size_t i = 0; i < 3; i++) {
        struct server *s = start(good[i][0], good[i][1]);
        free(server_wait_log(s, "first load ended")); /* what warns comes before */
        assert_false(server_logged(s, "names a model that is not on the volume"));
        server_stop(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_model_answers_to_the_spellings_that_clients_use),
        cmocka_unit_test(test_the_default_model_answers_to_names_that_nobody_knows),
        cmocka_unit_test(test_options_that_name_absent_models_are_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
