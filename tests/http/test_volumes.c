/* test_volumes.c - volumes that people bring: Git LFS pointers, broken links, caches and directories of Hugging Face,
 * models that lie too deep, formats that berth does not run, and models that come while it runs.
 */
#include "hf_directory.h"
#include "mounted.h"
#include "reciting_model.h"

#include <sys/stat.h>
#include <unistd.h>

static void link_to(const char *dir, const char *name, const char *target)
{
    assert_int_equal(symlink(target, path_in(dir, name)), 0);
}

/* The last reason of /readyz, once it is "not ready". */
static const char *reason_not_ready(struct server *s)
{
    int64_t deadline = now_ms() + WAIT_MS;
    for (;;) {
        struct answer a = server_get(s, "/readyz");
        json_t *body = answer_json(&a);
        const char *reason = json_string_value(json_object_get(body, "reason"));
        const char *kept = reason && !strstr(reason, "being opened") ? text_of("%s", reason) : NULL;
        json_decref(body);
        answer_release(&a);
        if (kept)
            return kept;
        if (now_ms() > deadline)
            fail_msg("/readyz gives no reason");
        pause_ms(20);
    }
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" has no \"%s\"", text, part);
}

static void test_a_git_lfs_pointer_is_named_as_one(void **state)
{
    static const char pointer[] =
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
        "size 105454432\n";
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "model.gguf", pointer, sizeof(pointer) - 1);
    write_file(dir, "weights.bin", pointer, sizeof(pointer) - 1);
    struct server *s = serve(dir);
    assert_failed(s, "model", "model.gguf: is a Git LFS pointer, not the model itself");
    assert_failed(s, "model", "git lfs pull");
    assert_failed(s, "weights", "weights.bin: is a Git LFS pointer");
    assert_has(reason_not_ready(s), "Git LFS pointer");
    char *line = server_wait_log(s, "model.gguf: is a Git LFS pointer");
    assert_has(line, "\"level\":\"error\"");
    free(line);
    assert_body(s, "/", 200, HELLO);
    server_stop(s);
}

static void test_a_broken_link_is_told_with_its_target(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    link_to(dir, "model.gguf", "../blobs/gone");
    struct server *s = serve(dir);
    assert_failed(s, "model", "model.gguf: broken link to ../blobs/gone");
    free(server_wait_log(s, "model.gguf: broken link to ../blobs/gone"));
    assert_has(
        reason_not_ready(s), "the model model cannot answer: model.gguf: broken link to ../blobs/gone");
    server_stop(s);
    const char *volume = path_in(temp_dir(), "models");
    assert_int_equal(symlink("nowhere", volume), 0);
    s = serve(volume);
    char *line = server_wait_log(s, "no model is loaded; put a .gguf in ");
    assert_has(line, "broken link to nowhere");
    free(line);
    server_stop(s);
}

static void test_a_volume_without_models_says_what_to_do(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "README.md", "text", 4);
    struct server *s = serve(dir);
    char *line = server_wait_log(s, text_of("no model is loaded; put a .gguf in %s", dir));
    assert_has(line, "\"level\":\"warn\"");
    assert_has(line, "\"reason\":\"there is no model file in it\"");
    free(line);
    server_stop(s);
}

static void test_a_model_that_lies_too_deep_is_told_with_where_and_how_deep(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, "one/two/three/four/five.gguf");
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 0);
    char *line = server_wait_log(s, "no model is loaded; put a .gguf in ");
    assert_has(line,
        "there is no model file in its first 4 levels; deeper directories are not scanned (first: one/two/three/four)");
    free(line);
    server_stop(s);
    write_gguf(dir, "here.gguf"); /* with another model it is a remark */
    s = serve(dir);
    assert_mapped(s, "here");
    line = server_wait_log(s, "directories that lie deeper than berth scans were left out");
    assert_has(line, "\"levels\":4");
    assert_has(line, "\"first\":\"one/two/three/four\"");
    free(line);
    server_stop(s);
}

#define CACHE "models--org--tiny-GGUF"
#define BLOB CACHE "/blobs/3f786850e387550fdab836ed7e6dc881de23001b"
#define SNAPSHOT CACHE "/snapshots/89e6c98d92887913cadf06b2adb97f26cde4849b"

static void test_a_hugging_face_cache_is_one_model_that_needs_no_name(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny", &(struct tiny_model){0});
    write_file(dir, BLOB, "", 0);
    assert_int_equal(rename(path_in(dir, "tiny"), path_in(dir, BLOB)), 0);
    write_file(dir, CACHE "/blobs/89e6c98d92887913cadf06b2adb97f26cde4849b", "{\"a\":1}", 7);
    write_file(dir, CACHE "/refs/main", "89e6c98d92887913cadf06b2adb97f26cde4849b", 40);
    write_file(dir, SNAPSHOT "/README.md", "text", 4);
    link_to(dir, SNAPSHOT "/tiny.gguf", "../../blobs/3f786850e387550fdab836ed7e6dc881de23001b");
    link_to(dir, SNAPSHOT "/config.json", "../../blobs/89e6c98d92887913cadf06b2adb97f26cde4849b");
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 1);
    assert_mapped(s, "org/tiny-GGUF");
    server_wait_status(s, "/readyz", 200);
    struct wire w;
    struct answer a;
    wire_open(&w, s);
    assert_true(wire_say(&w, "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 29\r\n\r\n"
                             "{\"prompt\":\"a\",\"max_tokens\":2}"));
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 200);
    assert_has(a.body, "\"text\":\"bc\"");
    answer_release(&a);
    wire_close(&w);
    server_stop(s);
}

static void test_a_hugging_face_directory_answers_as_it_was_downloaded(void **state)
{
    static uint8_t weights[HF_WEIGHTS_ROOM];
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "org/tiny/model.safetensors", weights, hf_weights(weights, 0, HF_TENSORS, 3));
    write_file(dir, "org/tiny/config.json", HF_CONFIG, strlen(HF_CONFIG));
    write_file(dir, "org/tiny/tokenizer.json", HF_TOKENIZER, strlen(HF_TOKENIZER));
    write_file(dir, "org/tiny/tokenizer_config.json", HF_TOKENIZER_CONFIG, strlen(HF_TOKENIZER_CONFIG));
    write_file(dir, "other/model.safetensors", weights, hf_weights(weights, 0, HF_TENSORS, 3));
    write_file(dir, "other/config.json", "{\"architectures\":[\"Strange\"]}", 29);
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 2);
    assert_mapped(s, "org/tiny");
    char *line = server_wait_log(s, "\"architectures\\\" is");
    assert_has(line, "other/model.safetensors: config.json: field");
    free(line);
    server_wait_status(s, "/readyz", 200);
    struct wire w;
    struct answer a;
    wire_open(&w, s);
    /* Its weights are zeros, so all tokens have one logit, and the first one wins. */
    assert_true(
        wire_say(&w, "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 65\r\n\r\n"
                     "{\"model\":\"org/tiny\",\"prompt\":\"ab\",\"max_tokens\":2,\"temperature\":0}"));
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 200);
    assert_has(a.body, "\"text\":\"aa\"");
    answer_release(&a);
    wire_close(&w);
    server_stop(s);
}

/* The root route stays as the lesson has it; a router must not send requests. */
static void test_models_that_berth_does_not_run_are_mapped_and_not_ready(void **state)
{
    static const char tensors[] = "\x02\0\0\0\0\0\0\0{}      ";
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "hf/model.safetensors", tensors, sizeof(tensors) - 1);
    static const char *const sides[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
        "generation_config.json", "special_tokens_map.json", "model.safetensors.index.json", "vocab.json",
        "merges.txt", "added_tokens.json"};
    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++)
        write_file(dir, text_of("hf/%s", sides[i]), "{}", 2);
    write_tiny_model(dir, "alien.gguf", &(struct tiny_model){.architecture = "martian"});
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 2);
    assert_mapped(s, "alien");
    assert_body(s, "/", 200, LOADED);
    server_assert_healthy(s);
    assert_has(reason_not_ready(s), "none of the 2 models on the volume can answer; the first, alien: ");
    assert_has(reason_not_ready(s), "martian");
    server_wait_status(s, "/v2/health/ready", 503);
    server_stop(s);
}

static void test_a_model_that_is_added_while_berth_runs_is_told_once_to_need_a_restart(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    struct server *s = serve(dir);
    write_tiny_model(dir, "aside/later.gguf", &(struct tiny_model){0});
    write_file(dir, "notes.txt", "text", 4);
    int64_t deadline = now_ms() + 30000; /* berth scans now and then */
    while (!server_logged(s, "a model was added; restart berth to serve it") && now_ms() < deadline)
        pause_ms(50);
    char *line = server_wait_log(s, "a model was added; restart berth to serve it");
    assert_has(line, "\"id\":\"aside/later\"");
    assert_has(line, "\"level\":\"warn\"");
    free(line);
    assert_int_equal(count_models(s), 1);
    char *log = server_log(s);
    assert_null(strstr(log, "notes"));
    free(log);
    server_stop(s);
    s = serve(dir); /* after the restart */
    assert_mapped(s, "aside/later");
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_git_lfs_pointer_is_named_as_one),
        cmocka_unit_test(test_a_broken_link_is_told_with_its_target),
        cmocka_unit_test(test_a_volume_without_models_says_what_to_do),
        cmocka_unit_test(test_a_model_that_lies_too_deep_is_told_with_where_and_how_deep),
        cmocka_unit_test(test_a_hugging_face_cache_is_one_model_that_needs_no_name),
        cmocka_unit_test(test_a_hugging_face_directory_answers_as_it_was_downloaded),
        cmocka_unit_test(test_models_that_berth_does_not_run_are_mapped_and_not_ready),
        cmocka_unit_test(test_a_model_that_is_added_while_berth_runs_is_told_once_to_need_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
