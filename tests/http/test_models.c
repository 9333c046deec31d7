/* test_models.c - what /v1/models tells of each model, and of their aliases.
 *
 * The models recite (reciting_model.h).
 */
#include "events.h"
#include "reciting_model.h"

#include <string.h>

static struct server *server;

static void assert_string_at(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

/* The model of the list with this id, once the models are open. */
static const json_t *listed(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(json_at(list, "data")); i++) {
        const json_t *m = json_array_get(json_at(list, "data"), i);
        if (strcmp(text_at(m, "id"), id) == 0)
            return m;
    }
    fail_msg("%s is not listed", id);
    return NULL;
}

/* The list, once the watcher has opened all models that can be opened. */
static json_t *opened_list(void)
{
    int64_t deadline = now_ms() + WAIT_MS;
    for (;;) {
        json_t *list = server_json(server, "/v1/models");
        size_t closed = 0;
        for (size_t i = 0; i < json_array_size(json_at(list, "data")); i++)
            closed += json_is_null(json_at(json_array_get(json_at(list, "data"), i), "berth.generates"));
        if (closed <= 1) /* raw.bin is no model of text */
            return list;
        json_decref(list);
        if (now_ms() > deadline)
            fail_msg("the models are not opened");
        pause_ms(20);
    }
}

static void test_the_list_of_models_tells_what_each_can(void **state)
{
    static const struct {
        const char *id;
        bool generates, chats;
    } rows[] = {{"tiny", true, true}, {"Other", true, true}, {"mute", true, false}, {"alien", false, false}};
    (void)state;
    json_decref(opened_list());
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *m = server_json(server, text_of("/v1/models/%s", rows[i].id));
        assert_int_equal(json_is_true(json_at(m, "berth.generates")), rows[i].generates);
        assert_int_equal(json_is_true(json_at(m, "berth.chats")), rows[i].chats);
        assert_int_equal(json_is_null(json_at(m, "berth.lacks")), rows[i].chats);
        if (rows[i].chats)
            assert_string_at(m, "berth.aliases.0", "Other");
        json_decref(m);
    }
}

static bool has_capability(const json_t *m, const char *name)
{
    for (size_t i = 0; i < json_array_size(json_at(m, "capabilities")); i++)
        if (strcmp(json_string_value(json_array_get(json_at(m, "capabilities"), i)), name) == 0)
            return true;
    return false;
}

static void test_the_context_length_is_told_under_every_name(void **state)
{
    static const struct {
        const char *id;
        int context;
        bool completes, chats;
    } rows[] = {{"tiny", 512, true, true}, {"long", 600, true, true}, {"mute", 512, true, false},
        {"Other", 512, true, true}};
    (void)state;
    json_t *list = opened_list();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const json_t *m = listed(list, rows[i].id);
        assert_int_equal(number_at(m, "context_length"), rows[i].context);
        assert_int_equal(number_at(m, "max_model_len"), rows[i].context);
        assert_int_equal(number_at(m, "meta.n_ctx"), rows[i].context);
        assert_int_equal(number_at(m, "meta.n_ctx_train"), rows[i].context == 600 ? 4096 : 512);
        assert_true(number_at(m, "meta.size") > 0);
        assert_int_equal(has_capability(m, "completion"), rows[i].completes);
        assert_int_equal(has_capability(m, "chat"), rows[i].chats);
        assert_int_equal(has_capability(m, "tools"), rows[i].chats);
        assert_false(has_capability(m, "thinking"));
    }
    assert_int_equal(json_array_size(json_at(listed(list, "alien"), "capabilities")), 0);
    assert_true(json_is_null(json_at(listed(list, "raw"), "context_length")));
    json_decref(list);
}

static void test_an_alias_is_a_model_of_its_own(void **state)
{
    (void)state;
    json_t *list = opened_list();
    const json_t *alias = listed(list, "Other"), *tiny = listed(list, "tiny");
    assert_string_at(alias, "root", "tiny");
    assert_string_at(alias, "object", "model");
    assert_string_at(tiny, "root", "tiny");
    assert_true(json_equal(json_at(alias, "berth.path"), json_at(tiny, "berth.path")));
    json_t *one = server_json(server, "/v1/models/Other");
    assert_string_at(one, "id", "Other");
    assert_string_at(one, "root", "tiny");
    json_decref(one);
    json_decref(list);
}

static void test_models_that_can_chat_come_first(void **state)
{
    bool others = false;
    (void)state;
    json_t *list = opened_list();
    size_t n = json_array_size(json_at(list, "data"));
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(json_at(list, "data"), i);
        if (has_capability(m, "chat") && others)
            fail_msg("%s can chat, and stands behind one that cannot", text_at(m, "id"));
        others = others || !has_capability(m, "chat");
    }
    json_decref(list);
}

/* A client may name no model; then the reason why none answers is the server's, not the client's. */
static void test_without_a_model_that_answers_a_request_is_503_with_the_reason(void **state)
{
    static const struct {
        const char *file, *code, *told;
    } rows[] = {{NULL, "model_not_loaded", "No model is loaded; put a .gguf file in /"},
        {"broken.gguf", "model_failed", "The model 'broken' has failed: broken.gguf"}};
    static const struct {
        const char *target, *body;
    } requests[] = {{"/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"},
        {"/v1/completions", "{\"prompt\":\"a\"}"}, {"/v1/tokenize", "{\"text\":\"a\"}"}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *dir = temp_dir();
        if (rows[i].file)
            write_file(dir, rows[i].file, "GGUF\3\0\0\0", 8);
        struct server *other = server_start(&(struct setup){.models = dir});
        for (size_t k = 0; k < 3; k++) {
            json_t *a = server_post_json(other, requests[k].target, 503, requests[k].body);
            assert_string_at(a, "error.code", rows[i].code);
            assert_string_at(a, "error.type", "server_error");
            if (!strstr(text_at(a, "error.message"), rows[i].told))
                fail_msg("%s", text_at(a, "error.message"));
            json_decref(a);
        }
        server_stop(other);
    }
}

static int start(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "long.gguf", &(struct tiny_model){.context = 4096});
    write_tiny_model(dir, "mute.gguf", &(struct tiny_model){.no_template = true});
    write_tiny_model(dir, "alien.gguf", &(struct tiny_model){.architecture = "martian"});
    write_file(dir, "raw.bin", "raw", 3);
    server =
        server_start(&(struct setup){.models = dir, .args = {"--alias", "Other=tiny", "--context", "600"}});
    return 0;
}

static int stop(void **state)
{
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_of_models_tells_what_each_can),
        cmocka_unit_test(test_the_context_length_is_told_under_every_name),
        cmocka_unit_test(test_an_alias_is_a_model_of_its_own),
        cmocka_unit_test(test_models_that_can_chat_come_first),
        cmocka_unit_test(test_without_a_model_that_answers_a_request_is_503_with_the_reason),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
