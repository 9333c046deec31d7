/* test_loader_manifest.c - models that are opened by their manifests: the settings of layers, and weights in several. */
#include "gguf_writer.h"
#include "scratch.h"

#include <stdio.h>

#define MANIFEST "manifests/h/n/m/t"
#define OLLAMA "application/vnd.ollama.image."

static struct volume volume;

static int setup(void **state)
{
    struct error err = {0};
    scratch_setup(state);
    return volume_open(&volume, ".", &err) == VOLUME_OPEN ? 0 : -1;
}

static int teardown(void **state)
{
    volume_close(&volume);
    return scratch_teardown(state);
}

static const char *blob_path(unsigned n)
{
    static char path[128];
    snprintf(path, sizeof(path), "blobs/sha256-%064x", n);
    return path;
}

static void text_blob(unsigned n, const char *text)
{
    scratch_write(blob_path(n), text);
}

static void write_blob(unsigned n, struct writer *w)
{
    struct span bytes = writer_done(w);
    scratch_bytes(blob_path(n), bytes.at, bytes.size);
    writer_release(w);
}

/* A GGUF file of one tensor, with a temperature and a template of its own. */
static void gguf_blob(unsigned n)
{
    struct writer w = {0};
    write_header(&w, 3, 1, 4);
    write_pair_text(&w, "general.architecture", "llama");
    write_key(&w, "general.sampling.temp", GGUF_F32);
    write_bytes(&w, &(float){0.25f}, 4);
    write_pair_u32(&w, "general.sampling.top_k", 7);
    write_pair_text(&w, "tokenizer.chat_template", "the file's");
    write_tensor(&w, "a", DIMS(8), TENSOR_F32, 0);
    write_padding(&w, 32);
    write_zeros(&w, 32);
    write_blob(n, &w);
}

/* Types and blobs, in turn; a title behind a "|" in the type. */
static void manifest(const char *const *types, size_t n)
{
    char text[4096] = "{\"layers\":[";
    for (size_t i = 0; i < n; i++) {
        const char *bar = strchr(types[i], '|');
        size_t size = bar ? (size_t)(bar - types[i]) : strlen(types[i]);
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
            "%s{\"mediaType\":\"%.*s\",\"digest\":\"sha256:%064zx\",\"annotations\":{"
            "\"org.cncf.model.filepath\":\"%s\"}}",
            i ? "," : "", (int)size, types[i], i, bar ? bar + 1 : "");
    }
    strcat(text, "]}");
    scratch_write(MANIFEST, text);
}

static void opens(struct loaded *l)
{
    struct error err = {0};
    if (!loaded_open_manifest(l, &volume, MANIFEST, &err))
        fail_msg("%s", err.text);
}

static void refused(const char *reason)
{
    struct loaded l;
    struct error err = {0};
    assert_false(loaded_open_manifest(&l, &volume, MANIFEST, &err));
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" has no \"%s\"", err.text, reason);
}

static void expect_real(const struct loaded *l, const char *key, double wanted)
{
    double number = 0;
    struct error err = {0};
    assert_int_equal(checkpoint_get_f64(l->checkpoint, key, &number, &err), CHECKPOINT_GOT);
    assert_true(number == wanted);
}

static void expect_count(const struct loaded *l, const char *key, uint64_t wanted)
{
    uint64_t number = 0;
    struct error err = {0};
    assert_int_equal(checkpoint_get_u64(l->checkpoint, key, &number, &err), CHECKPOINT_GOT);
    assert_int_equal(number, wanted);
}

static void expect_text(const struct loaded *l, const char *key, const char *wanted)
{
    struct span text = {0};
    struct error err = {0};
    assert_int_equal(checkpoint_get_text(l->checkpoint, key, &text, &err), CHECKPOINT_GOT);
    assert_true(span_is(text, wanted));
}

static void test_settings_of_layers_are_keys_of_the_checkpoint(void **state)
{
    (void)state;
    static const char *const types[] = {
        OLLAMA "model", OLLAMA "params", OLLAMA "system", OLLAMA "template", OLLAMA "license"};
    struct loaded l;
    size_t pos = 0;
    gguf_blob(0);
    text_blob(1,
        "{\"temperature\":0.5,\"top_p\":1,\"repeat_penalty\":1.1,\"seed\":42,\"num_predict\":-1,\"num_ctx\":99,"
        "\"stop\":[\"<|end|>\",\"User:\"],\"min_p\":null,\"mirostat\":\"odd\"}");
    text_blob(2, "Be \"brief\".\n");
    text_blob(3, "{{ .Prompt }}");
    manifest(types, 5);
    opens(&l);
    assert_int_equal(l.n_maps, 1);
    assert_string_equal(l.info.format, "gguf");
    expect_real(&l, "general.sampling.temp", 0.5);
    expect_real(&l, "general.sampling.top_p", 1);
    expect_real(&l, "general.sampling.penalty_repeat", 1.1);
    expect_count(&l, "general.sampling.top_k", 7); /* the file's */
    expect_count(&l, "general.sampling.seed", 42);
    expect_count(&l, "general.sampling.n_predict", 0);
    expect_text(&l, "default.system", "Be \"brief\".\n");
    expect_text(&l, "default.template", "Go template");
    expect_text(&l, "tokenizer.chat_template", "the file's");
    assert_null(checkpoint_find(l.checkpoint, "general.sampling.min_p"));
    const struct checkpoint_value *stop = checkpoint_find(l.checkpoint, "general.sampling.stop");
    assert_true(checkpoint_is_array_of(stop, CHECKPOINT_STRING) && stop->count == 2);
    assert_true(span_is(checkpoint_next_string(stop->bytes, &pos), "<|end|>"));
    assert_true(span_is(checkpoint_next_string(stop->bytes, &pos), "User:"));
    assert_int_equal(l.checkpoint->n_tensors, 1);
    assert_non_null(checkpoint_tensor(l.checkpoint, "a"));
    loaded_close(&l);
    loaded_close(&l); /* is empty, and may be closed again */
}

static void test_a_template_of_jinja_takes_the_place_of_the_file_s(void **state)
{
    (void)state;
    static const char *const types[] = {
        "application/vnd.docker.ai.gguf.v3", "application/vnd.docker.ai.chat.template.jinja"};
    struct loaded l;
    gguf_blob(0);
    text_blob(1, "{{ messages }}");
    manifest(types, 2);
    opens(&l);
    expect_text(&l, "tokenizer.chat_template", "{{ messages }}");
    loaded_close(&l);
}

static void test_parameters_of_a_wrong_type_are_named(void **state)
{
    (void)state;
    static const char *const types[] = {OLLAMA "model", OLLAMA "params"};
    static const char *const rows[][2] = {
        {"{\"temperature\":\"hot\"}", "\"temperature\" must be a number"},
        {"{\"top_k\":1.5}", "\"top_k\" must be a whole number"},
        {"{\"stop\":[1]}", "\"stop\" must be a list of strings"},
        {"{\"stop\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]}",
            "\"stop\" has 17 strings; at most 16 are used"},
        {"[]", "is no JSON object"},
        {"{", "is not JSON"},
    };
    gguf_blob(0);
    manifest(types, 2);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        text_blob(1, rows[i][0]);
        refused(rows[i][1]);
        refused(blob_path(1));
    }
    text_blob(1, "{\"stop\":\"one\"}");
    struct loaded l;
    opens(&l);
    assert_int_equal(checkpoint_find(l.checkpoint, "general.sampling.stop")->count, 1);
    loaded_close(&l);
    assert_return_code(truncate(blob_path(1), 1 << 30), 0);
    refused("has 1073741824 bytes");
}

static void test_a_system_text_is_utf_8(void **state)
{
    (void)state;
    static const char *const types[] = {OLLAMA "model", OLLAMA "system"};
    gguf_blob(0);
    manifest(types, 2);
    text_blob(1, "caf\xe9");
    refused("0000000000000001: is not UTF-8");
}

/* Part `no` of `count`, with a tensor of its own. */
static void part_blob(unsigned n, unsigned no, unsigned count)
{
    struct writer w = {0};
    char name[8];
    snprintf(name, sizeof(name), "t%u", no);
    write_header(&w, 3, 1, no ? 2 : 3);
    if (!no)
        write_pair_text(&w, "general.architecture", "llama");
    write_pair_integer(&w, "split.no", GGUF_U16, no);
    write_pair_integer(&w, "split.count", GGUF_U16, count);
    write_tensor(&w, name, DIMS(8), TENSOR_F32, 0);
    write_padding(&w, 32);
    write_zeros(&w, 32);
    write_blob(n, &w);
}

static void test_parts_of_a_split_model_are_layers(void **state)
{
    (void)state;
    static const char *const types[] = {"application/vnd.docker.ai.gguf.v3|m-00003-of-00003.gguf",
        "application/vnd.docker.ai.gguf.v3|m-00001-of-00003.gguf",
        "application/vnd.docker.ai.gguf.v3|m-00002-of-00003.gguf", "application/vnd.docker.ai.license"};
    struct loaded l;
    part_blob(0, 2, 3);
    part_blob(1, 0, 3);
    part_blob(2, 1, 3);
    manifest(types, 4);
    opens(&l);
    assert_int_equal(l.n_maps, 3);
    assert_int_equal(l.checkpoint->n_tensors, 3);
    assert_non_null(checkpoint_tensor(l.checkpoint, "t2"));
    loaded_close(&l);
    part_blob(0, 1, 3);
    refused("key \"split.no\" is 1; 2 is needed");
    manifest(types, 3);
    part_blob(0, 2, 4);
    refused("key \"split.count\" is 4; 3 is needed");
    manifest(types + 1, 1);
    part_blob(0, 0, 3);
    refused("key \"split.count\" is 3, but the manifest names 1 files of weights");
    gguf_blob(0);
    manifest(types + 1, 2);
    refused("key \"split.count\" is 1, but the manifest names 2 files of weights");
}

static void test_weights_that_are_no_gguf_have_no_checkpoint(void **state)
{
    (void)state;
    static const char *const types[] = {OLLAMA "model", OLLAMA "system"};
    struct loaded l;
    text_blob(0, "weights");
    text_blob(1, "text");
    manifest(types, 2);
    opens(&l);
    assert_null(l.checkpoint);
    loaded_close(&l);
}

static void test_companions_are_known_by_their_keys(void **state)
{
    (void)state;
    static const char *const rows[][3] = {{"general.type", "adapter", "an adapter"},
        {"general.type", "mmproj", "a projector"}, {"general.type", "imatrix", "an importance matrix"},
        {"general.architecture", "clip", "a projector"}, {"general.type", "model", NULL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct writer w = {0};
        struct loaded l;
        struct error err = {0};
        write_header(&w, 3, 1, 1);
        write_pair_text(&w, rows[i][0], rows[i][1]);
        write_tensor(&w, "a", DIMS(8), TENSOR_F32, 0);
        write_padding(&w, 32);
        write_zeros(&w, 32);
        write_blob(0, &w);
        assert_true(loaded_open(&l, &volume, blob_path(0), &err));
        const char *what = loaded_companion(&l);
        assert_true(rows[i][2] ? what && strstr(what, rows[i][2]) == what : !what);
        loaded_close(&l);
    }
}

int main(void)
{
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_FILES(test_settings_of_layers_are_keys_of_the_checkpoint),
        ON_FILES(test_a_template_of_jinja_takes_the_place_of_the_file_s),
        ON_FILES(test_parameters_of_a_wrong_type_are_named),
        ON_FILES(test_a_system_text_is_utf_8),
        ON_FILES(test_parts_of_a_split_model_are_layers),
        ON_FILES(test_weights_that_are_no_gguf_have_no_checkpoint),
        ON_FILES(test_companions_are_known_by_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
