/* test_manifests.c - stores in which manifests name models: Ollama's, Docker's, OCI layouts; and hostile ones. */
#include "scanned.h"

#include "berth/base/text.h"

#include <time.h>

#define OLLAMA VOLUME "/manifests/registry.ollama.ai/library/"
#define BY " by manifests/registry.ollama.ai/library/"
#define MODEL "application/vnd.ollama.image.model"

/* 64 digits that end in `n`. */
static const char *hex(unsigned n)
{
    static char texts[8][65];
    static unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, 65, "%064x", n);
    return text;
}

static void layer_in(char *out, size_t size, const char *type, const char *digest)
{
    snprintf(out, size,
        "{\"schemaVersion\":2,\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":1}]}", type,
        digest);
}

/* A manifest of one layer, and the layer's blob. */
static void manifest(const char *path, unsigned n)
{
    char text[512], blob[256], digest[80];
    snprintf(digest, sizeof(digest), "sha256:%s", hex(n));
    layer_in(text, sizeof(text), MODEL, digest);
    scratch_write(path, text);
    snprintf(blob, sizeof(blob), VOLUME "/blobs/sha256-%s", hex(n));
    scratch_write(blob, "x");
}

/* The manifest tiny:latest with this text. */
static void manifest_of(const char *text)
{
    scratch_write(OLLAMA "tiny/latest", text);
}

static void expect_refused(const char *reason)
{
    struct scan s;
    scan(&s, VOLUME);
    const struct scan_model *m = find(&s, "tiny:latest");
    assert_null(m->manifest);
    assert_non_null(m->reason);
    assert_int_equal(strncmp(m->reason, "manifests/registry.ollama.ai/library/tiny/latest: ", 50), 0);
    if (!strstr(m->reason, reason))
        fail_msg("\"%s\" has no \"%s\"", m->reason, reason);
    scan_release(&s);
}

/* ---- Ollama ---- */

static void test_models_have_the_names_of_ollama_s_own_lists(void **state)
{
    (void)state;
    manifest(OLLAMA "llama3.2/latest", 1);
    manifest(OLLAMA "llama3.2/1b", 2);
    manifest(VOLUME "/manifests/registry.ollama.ai/user/m/7b", 3);
    manifest(VOLUME "/manifests/hf.co/org/m-GGUF/Q4_K_M", 4);
    expect(VOLUME,
        "hf.co/org/m-GGUF:Q4_K_M <- "
        "blobs/sha256-0000000000000000000000000000000000000000000000000000000000000004 by "
        "manifests/hf.co/org/m-GGUF/Q4_K_M\n"
        "llama3.2:1b <- blobs/sha256-0000000000000000000000000000000000000000000000000000000000000002" BY
        "llama3.2/1b\n"
        "llama3.2:latest <- blobs/sha256-0000000000000000000000000000000000000000000000000000000000000001" BY
        "llama3.2/latest\n"
        "user/m:7b <- blobs/sha256-0000000000000000000000000000000000000000000000000000000000000003 by "
        "manifests/registry.ollama.ai/user/m/7b\n");
    expect_layouts(VOLUME, "Ollama store ;");
}

static void test_two_names_of_the_same_weights_are_two_models(void **state)
{
    (void)state;
    struct scan s;
    manifest(OLLAMA "a/latest", 1);
    manifest(OLLAMA "b/latest", 1);
    scan(&s, VOLUME);
    assert_int_equal(s.n_models, 2);
    assert_string_equal(find(&s, "a:latest")->path, find(&s, "b:latest")->path);
    scan_release(&s);
}

static void test_a_store_may_lie_below_the_volume_with_keys_beside_it(void **state)
{
    (void)state;
    struct scan s;
    manifest(OLLAMA "tiny/latest", 1);
    assert_return_code(mkdir("ollama", 0755), errno);
    assert_return_code(rename(VOLUME, "ollama/models"), errno);
    assert_return_code(rename("ollama", VOLUME), errno);
    put("id_ed25519");
    put("id_ed25519.pub");
    put("history");
    put("logs/server.log");
    scan(&s, VOLUME);
    assert_int_equal(s.n_models, 1);
    assert_string_equal(
        find(&s, "tiny:latest")->manifest, "models/manifests/registry.ollama.ai/library/tiny/latest");
    scan_release(&s);
    expect_layouts(VOLUME, "Ollama store models;");
}

static void test_digests_that_are_none_are_refused(void **state)
{
    static const char *const digests[] = {"../../x", "sha256:../../../../../../etc/passwd", "",
        "sha256:", "sha256:000000000000000000000000000000000000000000000000000000000000000",
        "sha256:00000000000000000000000000000000000000000000000000000000000000000",
        "sha256:ABCDEF0000000000000000000000000000000000000000000000000000000000",
        "sha256:000000000000000000000000000000000000000000000000000000000000000/",
        "sha512:0000000000000000000000000000000000000000000000000000000000000000",
        "sha256-0000000000000000000000000000000000000000000000000000000000000000"};
    (void)state;
    manifest(OLLAMA "tiny/latest", 0);
    for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        char text[512];
        layer_in(text, sizeof(text), MODEL, digests[i]);
        manifest_of(text);
        expect_refused("which is not sha256: and 64 digits of 0-9a-f");
    }
}

static void test_manifests_that_are_none_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"", "is not JSON"},
        {"{\"layers\":[", "is not JSON"},
        {"[]", "is no JSON object"},
        {"{}", "has no layer with the weights of a model"},
        {"{\"layers\":{}}", "has no layer with the weights of a model"},
        {"{\"layers\":[1]}", "layer 0 has the digest \"\""},
        {"{\"layers\":[{\"mediaType\":\"" MODEL "\",\"digest\":7}]}", "layer 0 has the digest \"\""},
    };
    (void)state;
    manifest(OLLAMA "tiny/latest", 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        manifest_of(rows[i][0]);
        expect_refused(rows[i][1]);
    }
}

static void test_a_manifest_without_end_is_not_read(void **state)
{
    (void)state;
    struct timespec start, end;
    manifest(OLLAMA "tiny/latest", 0);
    assert_return_code(truncate(OLLAMA "tiny/latest", (off_t)1 << 30), errno);
    clock_gettime(CLOCK_MONOTONIC, &start);
    expect_refused("has 1073741824 bytes; at most 1048576 are read of such a file");
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(end.tv_sec - start.tv_sec < 2);
    char *text = malloc(1 << 20);
    memset(text, '[', 1 << 20);
    scratch_bytes(OLLAMA "tiny/latest", text, 1 << 20);
    free(text);
    expect_refused("nested too deeply");
}

static void test_too_many_layers_are_refused(void **state)
{
    (void)state;
    char *text = calloc(1, 1 << 16);
    manifest(OLLAMA "tiny/latest", 0);
    strcpy(text, "{\"layers\":[");
    for (int i = 0; i < 65; i++)
        sprintf(
            text + strlen(text), "%s{\"mediaType\":\"x\",\"digest\":\"sha256:%s\"}", i ? "," : "", hex(0));
    strcat(text, "]}");
    manifest_of(text);
    free(text);
    expect_refused("has more than 64 layers");
}

static void test_layers_that_are_not_read_are_named(void **state)
{
    static const char *const rows[][2] = {
        {"application/vnd.ollama.image.adapter", "the model has an adapter"},
        {"application/vnd.ollama.image.projector", "the model has a projector"},
        {"application/vnd.ollama.image.messages", "the model has messages that precede each chat"},
        {"application/vnd.ollama.image.tensor; name=x; dtype=F16",
            "the model has tensors that are no GGUF file"},
        {"application/vnd.docker.ai.mmproj", "the model has a projector"},
        {"application/vnd.docker.ai.safetensors", "the model has weights in safetensors"},
        {"application/vnd.oci.image.layer.v1.tar+gzip", "is a container image, whose layers are archives"},
    };
    (void)state;
    manifest(OLLAMA "tiny/latest", 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[512], digest[80];
        snprintf(digest, sizeof(digest), "sha256:%s", hex(0));
        layer_in(text, sizeof(text), rows[i][0], digest);
        manifest_of(text);
        expect_refused(rows[i][1]);
    }
}

static void test_blobs_that_are_missing_or_elsewhere_are_told(void **state)
{
    (void)state;
    char blob[256];
    scratch_write("secret", "x");
    manifest(OLLAMA "tiny/latest", 5);
    snprintf(blob, sizeof(blob), VOLUME "/blobs/sha256-%s", hex(5));
    assert_return_code(unlink(blob), errno);
    expect_refused(
        "a layer cannot be read: blobs/sha256-0000000000000000000000000000000000000000000000000000000000000005: "
        "is not there");
    scratch_link("../../secret", blob);
    expect_refused("links to ../../secret, outside the volume");
    assert_return_code(unlink(blob), errno);
    scratch_link(strrchr(blob, '/') + 1, blob);
    expect_refused("in a loop of links");
    assert_return_code(unlink(OLLAMA "tiny/latest"), errno);
    scratch_link("../../../../../secret", OLLAMA "tiny/latest");
    expect_refused("links to ../../../../../secret, outside the volume");
}

/* Whatever the bytes are, there is one entry, and it has its weights or a reason. */
static void test_damaged_manifests_are_models_or_have_a_reason(void **state)
{
    (void)state;
    static char whole[1024], text[1024];
    uint32_t random = 1;
    size_t read = 0;
    manifest(OLLAMA "tiny/latest", 3);
    snprintf(whole, sizeof(whole),
        "{\"config\":{\"digest\":\"x\"},\"layers\":[{\"mediaType\":\"" MODEL
        "\",\"digest\":\"sha256:%s\",\"size\":1e9,\"annotations\":{\"a\\u0041\":null}}]}",
        hex(3));
    for (int i = 0; i < 3000; i++) {
        size_t size = strlen(whole);
        strcpy(text, whole);
        for (int k = 0; k < 1 + i % 3; k++) {
            random = random * 1664525 + 1013904223;
            text[(random >> 8) % size] = "{}[]\",:\\u0\xff\x80 e-\0"[(random >> 3) % 17];
        }
        scratch_bytes(OLLAMA "tiny/latest", text, i % 7 ? size : (random >> 5) % size);
        struct scan s;
        scan(&s, VOLUME);
        assert_int_equal(s.n_models, 1);
        assert_true(!s.models[0].manifest == !!s.models[0].reason);
        read += !s.models[0].reason;
        scan_release(&s);
    }
    print_message("%zu of 3000 are still manifests\n", read);
    assert_true(read > 100 && read < 2900);
}

static void test_only_four_names_make_a_model(void **state)
{
    (void)state;
    struct scan s;
    manifest(OLLAMA "tiny/latest", 1);
    put("manifests/stray");
    put("manifests/registry.ollama.ai/stray");
    put("manifests/registry.ollama.ai/library/stray");
    put("manifests/registry.ollama.ai/library/tiny/deep/stray");
    scratch_link("../..", VOLUME "/manifests/registry.ollama.ai/library/loop");
    scan(&s, VOLUME);
    assert_int_equal(s.n_models, 2);
    assert_null(find(&s, "tiny:latest")->reason);
    assert_non_null(strstr(s.models[0].reason, "links back to a directory that it lies in"));
    assert_string_equal(s.too_deep, "manifests/registry.ollama.ai/library/tiny/deep");
    scan_release(&s);
}

static void test_a_name_that_two_have_is_refused(void **state)
{
    (void)state;
    struct scan s;
    manifest(OLLAMA "tiny/latest", 1);
    assert_return_code(rename(VOLUME, "store"), errno);
    assert_return_code(mkdir(VOLUME, 0755), errno);
    assert_return_code(rename("store", VOLUME "/store"), errno);
    put("tiny:latest.gguf");
    scan(&s, VOLUME);
    assert_int_equal(s.n_models, 1);
    assert_non_null(strstr(find(&s, "tiny:latest")->reason, "have the same id; rename all but one"));
    scan_release(&s);
}

/* ---- OCI and Docker ---- */

static void blob(unsigned n, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), VOLUME "/blobs/sha256/%s", hex(n));
    scratch_write(path, text);
}

/* The blob `n` is a manifest that names blob `weights`. */
static void oci_manifest(unsigned n, unsigned weights, const char *type, const char *title)
{
    char text[1024];
    snprintf(text, sizeof(text),
        "{\"schemaVersion\":2,\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"sha256:%s\",\"annotations\":{"
        "\"org.opencontainers.image.title\":\"%s\"}}]}",
        type, hex(weights), title);
    blob(n, text);
    blob(weights, "x");
}

static void expect_model(const char *id, unsigned weights)
{
    char path[256];
    struct scan s;
    scan(&s, VOLUME);
    const struct scan_model *m = find(&s, id);
    if (m->reason)
        fail_msg("%s: %s", id, m->reason);
    snprintf(path, sizeof(path), "blobs/sha256/%s", hex(weights));
    assert_string_equal(m->path, path);
    scan_release(&s);
}

static void test_an_oci_layout_names_its_models(void **state)
{
    (void)state;
    char text[2048];
    scratch_write(VOLUME "/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    oci_manifest(1, 11, "application/vnd.docker.ai.gguf.v3", "");
    oci_manifest(2, 12, "application/vnd.oci.image.layer.v1.tar", "tiny.gguf");
    oci_manifest(3, 13, "application/vnd.cncf.model.weight.v1.raw", "");
    snprintf(text, sizeof(text), "{\"manifests\":[{\"digest\":\"sha256:%s\"}]}", hex(3));
    blob(4, text);
    snprintf(text, sizeof(text),
        "{\"manifests\":[{\"digest\":\"sha256:%s\",\"annotations\":{\"io.containerd.image.name\":"
        "\"docker.io/ai/smollm2:360M\"}},{\"digest\":\"sha256:%s\",\"annotations\":{"
        "\"org.opencontainers.image.ref.name\":\"latest\"}},{\"mediaType\":"
        "\"application/vnd.oci.image.index.v1+json\",\"digest\":\"sha256:%s\",\"annotations\":{"
        "\"org.opencontainers.image.ref.name\":\"quay.io/org/m:v1\"}},{\"digest\":\"../../x\"},7]}",
        hex(1), hex(2), hex(4));
    scratch_write(VOLUME "/index.json", text);
    expect_model("ai/smollm2:360M", 11);
    expect_model("latest", 12);
    expect_model("quay.io/org/m:v1", 13);
    expect_layouts(VOLUME, "OCI image layout ;");
    scratch_write(VOLUME "/index.json", "{");
    expect(VOLUME,
        "index.json <- index.json ! index.json: is not JSON: byte 1: the name of a member is needed\n");
}

static void test_indexes_in_each_other_end(void **state)
{
    (void)state;
    char text[512];
    struct scan s;
    snprintf(text, sizeof(text),
        "{\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"digest\":\"sha256:%s\"},"
        "{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"digest\":\"sha256:%s\"}]}",
        hex(1), hex(1));
    scratch_write(VOLUME "/index.json", text);
    blob(1, text);
    scan(&s, VOLUME);
    assert_int_equal(s.n_models, 1);
    assert_non_null(s.models[0].reason);
    scan_release(&s);
}

static void test_the_store_of_docker_s_model_runner_has_a_model_for_each_tag(void **state)
{
    (void)state;
    char text[2048], path[256];
    oci_manifest(1, 11, "application/vnd.docker.ai.gguf.v3", "");
    snprintf(path, sizeof(path), VOLUME "/blobs/sha256/%s", hex(1));
    assert_return_code(mkdir(VOLUME "/manifests", 0755), errno);
    assert_return_code(mkdir(VOLUME "/manifests/sha256", 0755), errno);
    char to[256];
    snprintf(to, sizeof(to), VOLUME "/manifests/sha256/%s", hex(1));
    assert_return_code(rename(path, to), errno);
    snprintf(text, sizeof(text),
        "{\"models\":[{\"id\":\"sha256:%s\",\"tags\":[\"index.docker.io/ai/smollm2:latest\",\"mine:v1\"],"
        "\"files\":[]},{\"id\":\"../x\",\"tags\":[\"bad\"]}]}",
        hex(1));
    scratch_write(VOLUME "/models.json", text);
    scratch_write(VOLUME "/layout.json", "{\"version\":\"1.0.0\"}");
    expect_model("ai/smollm2:latest", 11);
    expect_model("mine:v1", 11);
    expect_layouts(VOLUME, "store of Docker's model runner ;");
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_models_have_the_names_of_ollama_s_own_lists),
        IN_SCRATCH(test_two_names_of_the_same_weights_are_two_models),
        IN_SCRATCH(test_a_store_may_lie_below_the_volume_with_keys_beside_it),
        IN_SCRATCH(test_digests_that_are_none_are_refused),
        IN_SCRATCH(test_manifests_that_are_none_are_refused),
        IN_SCRATCH(test_a_manifest_without_end_is_not_read),
        IN_SCRATCH(test_too_many_layers_are_refused),
        IN_SCRATCH(test_layers_that_are_not_read_are_named),
        IN_SCRATCH(test_blobs_that_are_missing_or_elsewhere_are_told),
        IN_SCRATCH(test_damaged_manifests_are_models_or_have_a_reason),
        IN_SCRATCH(test_only_four_names_make_a_model),
        IN_SCRATCH(test_a_name_that_two_have_is_refused),
        IN_SCRATCH(test_an_oci_layout_names_its_models),
        IN_SCRATCH(test_indexes_in_each_other_end),
        IN_SCRATCH(test_the_store_of_docker_s_model_runner_has_a_model_for_each_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
