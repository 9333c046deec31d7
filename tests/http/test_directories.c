/* test_directories.c - volumes that are directories of other programs answer: Hugging Face's cache, Ollama's store, Docker's,
 * OCI's, LM Studio's; berth inspect says what they are; names with slashes and tags work in every dialect.
 */
#include "events.h"
#include "mounted.h"
#include "reciting_model.h"

#include <sys/stat.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"
#define ALPHABET "abcdefghijklmnopqrstuvwxyz."
#define ASKS "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
#define HUB "models--org--tiny-GGUF"
#define NAMES "manifests/registry.ollama.ai/library/"

static void link_to(const char *dir, const char *name, const char *target)
{
    write_file(dir, name, "", 0);
    assert_int_equal(unlink(path_in(dir, name)), 0);
    assert_int_equal(symlink(target, path_in(dir, name)), 0);
}

static void model_at(const char *dir, const char *name, const struct tiny_model *m)
{
    write_file(dir, name, "", 0);
    write_tiny_model(dir, name, m);
}

static void text_at_path(const char *dir, const char *name, const char *text)
{
    write_file(dir, name, text, strlen(text));
}

static const char *hex_of(unsigned n)
{
    return text_of("%064x", n);
}

/* ---- the volumes ---- */

static const char *hugging_face(const char *below)
{
    const char *dir = temp_dir();
    model_at(dir, text_of("%s" HUB "/blobs/b1", below), &(struct tiny_model){0});
    text_at_path(dir, text_of("%s" HUB "/refs/main", below), "c0ffee");
    link_to(dir, text_of("%s" HUB "/snapshots/c0ffee/tiny-Q4_0.gguf", below), "../../blobs/b1");
    return dir;
}

struct layer {
    const char *type;
    unsigned blob;
};

static void ollama_model(const char *dir, const char *name, const struct layer *layers, size_t n)
{
    const char *text = "{\"schemaVersion\":2,\"layers\":[";
    for (size_t i = 0; i < n; i++)
        text = text_of("%s%s{\"mediaType\":\"application/vnd.ollama.image.%s\",\"digest\":\"sha256:%s\"}",
            text, i ? "," : "", layers[i].type, hex_of(layers[i].blob));
    text_at_path(dir, text_of(NAMES "%s", name), text_of("%s]}", text));
}

#define LAYERS(...)                                                                                          \
    (const struct layer[]){__VA_ARGS__}, sizeof((const struct layer[]){__VA_ARGS__}) / sizeof(struct layer)

/* 1: the model, 2: one without a template, 3: parameters, 4: a system text, 5: a Go template. */
static const char *ollama(void)
{
    const char *dir = temp_dir();
    model_at(dir, text_of("blobs/sha256-%s", hex_of(1)), &(struct tiny_model){0});
    model_at(dir, text_of("blobs/sha256-%s", hex_of(2)), &(struct tiny_model){.no_template = true});
    text_at_path(dir, text_of("blobs/sha256-%s", hex_of(3)),
        "{\"temperature\":0.5,\"top_k\":5,\"stop\":[\"fg\"],\"num_predict\":20,\"seed\":7}");
    text_at_path(dir, text_of("blobs/sha256-%s", hex_of(4)), "Be brief.");
    text_at_path(dir, text_of("blobs/sha256-%s", hex_of(5)), "{{ .System }} {{ .Prompt }}");
    ollama_model(dir, "tiny/latest", LAYERS({"model", 1}, {"template", 5}));
    ollama_model(dir, "tiny/brief", LAYERS({"model", 1}, {"params", 3}, {"system", 4}));
    ollama_model(dir, "bare/latest", LAYERS({"model", 2}, {"template", 5}));
    ollama_model(dir, "seeing/latest", LAYERS({"model", 1}, {"projector", 2}));
    ollama_model(dir, "lost/latest", LAYERS({"model", 9}));
    return dir;
}

static void assert_chats(struct server *s, const char *name, const char *answer)
{
    json_t *a = server_post_json(s, CHAT, 200, text_of("{\"model\":\"%s\"," ASKS "}", name));
    assert_string_equal(text_at(a, "choices.0.message.content"), answer);
    json_decref(a);
}

/* ---- Hugging Face ---- */

static void test_a_hugging_face_cache_answers_in_every_dialect(void **state)
{
    (void)state;
    static const char *const places[] = {"", "hub/"};
    for (size_t i = 0; i < 2; i++) {
        struct server *s = serve(hugging_face(places[i]));
        assert_int_equal(count_models(s), 1);
        assert_mapped(s, "org/tiny-GGUF");
        server_wait_status(s, "/readyz", 200);
        assert_chats(s, "org/tiny-GGUF", ALPHABET);
        assert_chats(s, "org/tiny-gguf", ALPHABET);
        json_decref(server_json(s, "/v1/models/org%2Ftiny-GGUF"));
        json_decref(server_json(s, "/v1/models/org/tiny-GGUF"));
        json_t *a = server_post_json(
            s, "/api/chat", 200, "{\"model\":\"org/tiny-GGUF:latest\",\"stream\":false," ASKS "}");
        assert_string_equal(text_at(a, "message.content"), ALPHABET);
        json_decref(a);
        a = server_post_json(
            s, "/v1/messages", 200, "{\"model\":\"org/tiny-GGUF\",\"max_tokens\":50," ASKS "}");
        assert_string_equal(text_at(a, "content.0.text"), ALPHABET);
        json_decref(a);
        a = server_post_json(s, "/v1/responses", 200, "{\"model\":\"org/tiny-GGUF\",\"input\":\"Hello\"}");
        assert_string_equal(text_at(a, "output.0.content.0.text"), ALPHABET);
        json_decref(a);
        a = server_post_json(s, "/api/show", 200, "{\"model\":\"org/tiny-GGUF\"}");
        json_decref(a);
        json_decref(server_json(s, "/props?model=org/tiny-GGUF"));
        json_decref(server_json(s, "/props?model=org%2Ftiny-GGUF"));
        free(server_wait_log(s, "\"layout\":\"Hugging Face cache\""));
        server_stop(s);
    }
}

static void test_a_revision_that_comes_later_is_told(void **state)
{
    (void)state;
    const char *dir = hugging_face("");
    struct server *s = serve(dir);
    assert_mapped(s, "org/tiny-GGUF");
    model_at(dir, HUB "/blobs/b2", &(struct tiny_model){0});
    link_to(dir, HUB "/snapshots/decaf/tiny-Q4_0.gguf", "../../blobs/b2");
    text_at_path(dir, HUB "/refs/main", "decaf");
    int64_t deadline = now_ms() + 30000; /* berth scans now and then */
    while (!server_logged(s, "a model has another file now") && now_ms() < deadline)
        pause_ms(50);
    char *line = server_wait_log(s, "a model has another file now; restart berth to serve it");
    assert_non_null(strstr(line, "\"id\":\"org/tiny-GGUF\""));
    free(line);
    assert_chats(s, "org/tiny-GGUF", ALPHABET);
    server_stop(s);
}

static void test_a_quantization_of_several_is_named(void **state)
{
    (void)state;
    const char *dir = hugging_face("");
    model_at(dir, HUB "/snapshots/c0ffee/tiny-Q8_0.gguf", &(struct tiny_model){.recites = "eight bits"});
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 2);
    assert_mapped(s, "org/tiny-GGUF/tiny-Q8_0");
    assert_chats(s, "org/tiny-GGUF/tiny-Q8_0", "eight bits");
    assert_chats(s, "org/tiny-GGUF/tiny-Q4_0.gguf", ALPHABET);
    assert_chats(s, "org/tiny-GGUF:Q8_0", "eight bits");
    assert_chats(s, "org/tiny-gguf:q4_0", ALPHABET);
    static const char *const unknown[] = {
        "org/tiny-GGUF", "org/tiny-GGUF:0", "org/tiny-GGUF:Q6_K", "org/tiny:Q8_0"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        json_decref(server_post_json(s, CHAT, 404, text_of("{\"model\":\"%s\"," ASKS "}", unknown[i])));
    server_stop(s);
}

/* ---- Ollama ---- */

static void test_an_ollama_store_answers_by_its_names(void **state)
{
    (void)state;
    struct server *s = serve(ollama());
    assert_int_equal(count_models(s), 5);
    assert_mapped(s, "tiny:latest");
    assert_mapped(s, "tiny:brief");
    server_wait_status(s, "/readyz", 200);
    assert_chats(s, "tiny:latest", ALPHABET);
    assert_chats(s, "tiny", ALPHABET);
    json_decref(server_json(s, "/v1/models/tiny"));
    json_decref(server_json(s, "/v1/models/tiny%3Alatest"));
    assert_failed(s, "seeing:latest", "the model has a projector");
    assert_failed(s, "lost:latest", "a layer cannot be read: blobs/sha256-");
    json_t *a = server_json(s, "/api/tags");
    size_t n = json_array_size(json_object_get(a, "models"));
    assert_int_equal(n, 3);
    json_decref(a);
    free(server_wait_log(s, "\"layout\":\"Ollama store\""));
    server_stop(s);
}

static void test_parameters_and_system_text_are_defaults(void **state)
{
    (void)state;
    struct server *s = serve(ollama());
    assert_mapped(s, "tiny:brief");
    server_wait_status(s, "/readyz", 200);
    assert_chats(s, "tiny:brief", "abcde"); /* stops before "fg" */
    json_t *a = server_post_json(s, CHAT, 200, "{\"model\":\"tiny:brief\",\"stop\":\"c\"," ASKS "}");
    assert_string_equal(text_at(a, "choices.0.message.content"), "ab");
    json_decref(a);
    a = server_post_json(s, CHAT, 200, "{\"model\":\"tiny:brief\",\"stop\":\"zzz\"," ASKS "}");
    assert_string_equal(text_at(a, "choices.0.finish_reason"), "length"); /* num_predict */
    assert_string_equal(text_at(a, "choices.0.message.content"), "abcdefghijklmnopqrst");
    json_decref(a);
    a = server_post_json(
        s, CHAT, 200, "{\"model\":\"tiny:brief\",\"stop\":\"zzz\",\"max_tokens\":3," ASKS "}");
    assert_string_equal(text_at(a, "choices.0.message.content"), "abc");
    json_decref(a);
    a = server_post_json(s, "/apply-template", 200, "{\"model\":\"tiny:brief\"," ASKS "}");
    assert_non_null(
        strstr(text_at(a, "prompt"), "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello"));
    json_decref(a);
    a = server_post_json(s, "/apply-template", 200,
        "{\"model\":\"tiny:brief\",\"messages\":[{\"role\":\"system\",\"content\":\"Other.\"},"
        "{\"role\":\"user\",\"content\":\"Hi\"}]}");
    assert_null(strstr(text_at(a, "prompt"), "Be brief."));
    json_decref(a);
    a = server_post_json(s, "/apply-template", 200, "{\"model\":\"tiny\"," ASKS "}");
    assert_null(strstr(text_at(a, "prompt"), "Be brief."));
    json_decref(a);
    a = server_post_json(s, "/api/show", 200, "{\"model\":\"tiny:brief\"}");
    assert_string_equal(text_at(a, "system"), "Be brief.");
    assert_non_null(strstr(text_at(a, "parameters"), "temperature 0.5\ntop_k 5\n"));
    assert_non_null(strstr(text_at(a, "parameters"), "num_predict 20\nstop \"fg\""));
    json_decref(a);
    server_stop(s);
}

static const char *cache_limit(struct server *s)
{
    char *line = server_wait_log(s, "KV cache limit");
    const char *from = strstr(line, "\"bytes\":");
    const char *kept = text_of("%.*s", (int)strcspn(from, ","), from);
    free(line);
    return kept;
}

static void test_weights_with_several_names_are_counted_once(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    const char *wide = text_of("blobs/sha256-%s", hex_of(1));
    model_at(dir, wide, &(struct tiny_model){.width = 16384, .layers = 12});
    ollama_model(dir, "wide/one", LAYERS({"model", 1}));
    struct server *s = serve(dir);
    assert_mapped(s, "wide:one");
    const char *alone = cache_limit(s);
    server_stop(s);
    ollama_model(dir, "wide/two", LAYERS({"model", 1}));
    s = serve(dir);
    assert_mapped(s, "wide:two");
    assert_string_equal(cache_limit(s), alone);
    server_stop(s);
}

/* A message's place is told as the client counts. */
static void test_the_system_text_moves_no_message_s_number(void **state)
{
    (void)state;
    struct server *s = serve(ollama());
    assert_mapped(s, "tiny:brief");
    json_t *a = server_post_json(s, CHAT, 400,
        "{\"model\":\"tiny:brief\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"nobody\","
        "\"content\":\"b\"}]}");
    assert_string_equal(text_at(a, "error.param"), "messages[1].role");
    json_decref(a);
    server_stop(s);
}

static void test_a_go_template_is_not_run(void **state)
{
    (void)state;
    struct server *s = serve(ollama());
    assert_mapped(s, "bare:latest");
    json_t *a = server_post_json(s, CHAT, 400, "{\"model\":\"bare\"," ASKS "}");
    assert_non_null(strstr(text_at(a, "error.message"), "Go template, which berth does not run"));
    json_decref(a);
    a = server_post_json(s, "/api/generate", 400, "{\"model\":\"bare\",\"prompt\":\"a\",\"stream\":false}");
    assert_non_null(strstr(text_at(a, "error"), "Go template, which berth does not run"));
    json_decref(a);
    a = server_post_json(s, "/v1/completions", 200, "{\"model\":\"bare\",\"prompt\":\"a\",\"max_tokens\":2}");
    assert_string_equal(text_at(a, "choices.0.text"), "bc");
    json_decref(a);
    server_stop(s);
}

static void test_a_tag_that_comes_later_is_told(void **state)
{
    (void)state;
    const char *dir = ollama();
    struct server *s = serve(dir);
    assert_mapped(s, "tiny:latest");
    ollama_model(dir, "tiny/new", LAYERS({"model", 1}));
    int64_t deadline = now_ms() + 30000;
    while (!server_logged(s, "\"id\":\"tiny:new\"") && now_ms() < deadline)
        pause_ms(50);
    char *line = server_wait_log(s, "\"id\":\"tiny:new\"");
    assert_non_null(strstr(line, "a model was added; restart berth to serve it"));
    free(line);
    server_stop(s);
}

/* ---- the others ---- */

static void test_lm_studio_s_tree_answers_by_publisher_and_repository(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    model_at(dir, "publisher/tiny-GGUF/tiny-Q4_0.gguf", &(struct tiny_model){0});
    model_at(dir, "publisher/tiny-GGUF/mmproj-F16.gguf", &(struct tiny_model){.architecture = "clip"});
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 2);
    assert_mapped(s, "publisher/tiny-GGUF");
    assert_mapped(s, "publisher/tiny-GGUF/mmproj-F16");
    assert_chats(s, "publisher/tiny-GGUF", ALPHABET);
    assert_chats(s, "publisher/tiny-GGUF/tiny-Q4_0.gguf", ALPHABET);
    json_t *a = server_post_json(s, CHAT, 400, "{\"model\":\"publisher/tiny-GGUF/mmproj-F16\"," ASKS "}");
    assert_non_null(
        strstr(text_at(a, "error.message"), "a projector, which turns images into a model's input"));
    json_decref(a);
    server_stop(s);
}

static void test_an_oci_layout_answers_by_its_reference(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    model_at(dir, text_of("blobs/sha256/%s", hex_of(1)), &(struct tiny_model){.no_template = true});
    text_at_path(dir, text_of("blobs/sha256/%s", hex_of(3)),
        "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>\n{% endfor %}");
    text_at_path(dir, text_of("blobs/sha256/%s", hex_of(2)),
        text_of(
            "{\"layers\":[{\"mediaType\":\"application/vnd.docker.ai.gguf.v3\",\"digest\":\"sha256:%s\"},"
            "{\"mediaType\":\"application/vnd.docker.ai.chat.template.jinja\",\"digest\":\"sha256:%s\"}]}",
            hex_of(1), hex_of(3)));
    text_at_path(dir, "index.json",
        text_of("{\"manifests\":[{\"digest\":\"sha256:%s\",\"annotations\":{"
                "\"org.opencontainers.image.ref.name\":\"docker.io/ai/tiny:latest\"}}]}",
            hex_of(2)));
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 1);
    assert_mapped(s, "ai/tiny:latest");
    assert_chats(s, "ai/tiny", ALPHABET);
    server_stop(s);
}

/* ---- inspect ---- */

static void assert_inspected(const char *dir, const char *flag, int code, const char *const *parts)
{
    struct outcome o = outcome_of(&(struct setup){.bare = true, .args = {"inspect", dir, flag}});
    assert_int_equal(o.code, code);
    for (; *parts; parts++)
        if (!strstr(o.out, *parts) && !strstr(o.err, *parts))
            fail_msg("no \"%s\" in:\n%s%s", *parts, o.out, o.err);
    outcome_release(&o);
}

static void test_inspect_says_what_a_directory_is(void **state)
{
    (void)state;
    const char *dir = hugging_face("hub/");
    assert_inspected(dir, NULL, 0,
        (const char *const[]){text_of("%s/hub: Hugging Face cache\n", dir), "id            org/tiny-GGUF\n",
            "found in      Hugging Face cache\n", NULL});
    assert_inspected(dir, "--json", 0,
        (const char *const[]){
            "\"id\":\"org/tiny-GGUF\",\"layout\":\"Hugging Face cache\",\"settings\":null", NULL});
    dir = ollama();
    assert_inspected(dir, NULL, 1,
        (const char *const[]){text_of("%s: Ollama store\n", dir), "id            tiny:brief\n",
            "n_predict 20, seed 7, stop \"fg\", temp 0.5, top_k 5", "system \"Be brief.\"",
            "the model has a projector, for images, which berth does not read", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hugging_face_cache_answers_in_every_dialect),
        cmocka_unit_test(test_a_quantization_of_several_is_named),
        cmocka_unit_test(test_a_revision_that_comes_later_is_told),
        cmocka_unit_test(test_an_ollama_store_answers_by_its_names),
        cmocka_unit_test(test_parameters_and_system_text_are_defaults),
        cmocka_unit_test(test_weights_with_several_names_are_counted_once),
        cmocka_unit_test(test_the_system_text_moves_no_message_s_number),
        cmocka_unit_test(test_a_go_template_is_not_run),
        cmocka_unit_test(test_a_tag_that_comes_later_is_told),
        cmocka_unit_test(test_lm_studio_s_tree_answers_by_publisher_and_repository),
        cmocka_unit_test(test_an_oci_layout_answers_by_its_reference),
        cmocka_unit_test(test_inspect_says_what_a_directory_is),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
