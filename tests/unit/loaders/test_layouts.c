/* test_layouts.c - directories without manifests that programs keep their models in: Hugging Face's cache, LM Studio's tree.
 */
#include "scanned.h"

#include "berth/base/text.h"

#define HF VOLUME "/models--org--tiny-GGUF"
#define IN "models--org--tiny-GGUF/snapshots/c0ffee/"

/* A file of a snapshot as the cache has it: a link to a blob. */
static void snapshot_file(const char *repository, const char *revision, const char *name)
{
    static unsigned blob;
    char path[512], target[512];
    snprintf(path, sizeof(path), "%s/blobs/%08x", repository, ++blob);
    scratch_write(path, "x");
    snprintf(target, sizeof(target), "../../%sblobs/%08x", strchr(name, '/') ? "../" : "", blob);
    snprintf(path, sizeof(path), "%s/snapshots/%s/%s", repository, revision, name);
    scratch_link(target, path);
}

static void repository_with(const char *name)
{
    scratch_write(HF "/refs/main", "c0ffee");
    snapshot_file(HF, "c0ffee", name);
    snapshot_file(HF, "c0ffee", "config.json");
    snapshot_file(HF, "c0ffee", "README.md");
}

/* ---- Hugging Face ---- */

static void test_a_repository_is_one_model_by_its_own_name(void **state)
{
    (void)state;
    repository_with("tiny-Q4_0.gguf");
    put("plain.gguf");
    put("version.txt");
    put(".locks/models--org--tiny-GGUF/x.lock");
    expect(VOLUME, "org/tiny-GGUF <- " IN "tiny-Q4_0.gguf\nplain <- plain.gguf\n");
    expect_layouts(VOLUME, "Hugging Face cache ;");
}

static void test_the_volume_may_be_above_the_cache_or_below_it(void **state)
{
    (void)state;
    scratch_write("h/hub/models--org--tiny-GGUF/refs/main", "c0ffee\n");
    snapshot_file("h/hub/models--org--tiny-GGUF", "c0ffee", "tiny.gguf");
    scratch_write("h/token", "secret");
    scratch_write("h/stored_tokens", "secret");
    scratch_write("h/xet/cache/chunk", "x");
    scratch_write("h/datasets/data/x.arrow", "x");
    expect("h", "org/tiny-GGUF <- hub/models--org--tiny-GGUF/snapshots/c0ffee/tiny.gguf\n");
    expect_layouts("h", "Hugging Face cache hub;");
    expect("h/hub", "org/tiny-GGUF <- models--org--tiny-GGUF/snapshots/c0ffee/tiny.gguf\n");
    expect("h/hub/models--org--tiny-GGUF", "org/tiny-GGUF <- snapshots/c0ffee/tiny.gguf\n");
    assert_return_code(mkdir(VOLUME, 0755), errno);
    assert_return_code(rename("h", VOLUME "/cache"), errno);
    expect(VOLUME, "org/tiny-GGUF <- cache/hub/models--org--tiny-GGUF/snapshots/c0ffee/tiny.gguf\n");
}

static void test_several_quantizations_have_the_file_in_their_ids(void **state)
{
    (void)state;
    repository_with("tiny-Q4_0.gguf");
    snapshot_file(HF, "c0ffee", "tiny-Q8_0.gguf");
    snapshot_file(HF, "c0ffee", "BF16/tiny-BF16-00001-of-00002.gguf");
    snapshot_file(HF, "c0ffee", "BF16/tiny-BF16-00002-of-00002.gguf");
    expect(VOLUME, "org/tiny-GGUF/BF16/tiny-BF16 <- " IN "BF16/tiny-BF16-00001-of-00002.gguf\n"
                   "org/tiny-GGUF/tiny-Q4_0 <- " IN "tiny-Q4_0.gguf\n"
                   "org/tiny-GGUF/tiny-Q8_0 <- " IN "tiny-Q8_0.gguf\n");
}

static void test_projectors_and_matrices_do_not_count_as_quantizations(void **state)
{
    (void)state;
    repository_with("tiny-Q4_0-00001-of-00002.gguf");
    snapshot_file(HF, "c0ffee", "tiny-Q4_0-00002-of-00002.gguf");
    snapshot_file(HF, "c0ffee", "mmproj-F16.gguf");
    snapshot_file(HF, "c0ffee", "imatrix_org.gguf");
    expect(VOLUME, "org/tiny-GGUF <- " IN "tiny-Q4_0-00001-of-00002.gguf\n"
                   "org/tiny-GGUF/imatrix_org <- " IN "imatrix_org.gguf\n"
                   "org/tiny-GGUF/mmproj-F16 <- " IN "mmproj-F16.gguf\n");
}

static void test_a_repository_without_gguf_is_one_entry(void **state)
{
    (void)state;
    repository_with("model-00001-of-00002.safetensors");
    snapshot_file(HF, "c0ffee", "model-00002-of-00002.safetensors");
    snapshot_file(HF, "c0ffee", "a.bin");
    snapshot_file(HF, "c0ffee", "tokenizer.json");
    expect(VOLUME, "org/tiny-GGUF <- " IN "model-00001-of-00002.safetensors\n");
}

static void test_the_revision_is_the_one_that_main_names(void **state)
{
    (void)state;
    repository_with("tiny.gguf");
    snapshot_file(HF, "0ldfee", "old.gguf");
    expect(VOLUME, "org/tiny-GGUF <- " IN "tiny.gguf\n");
    scratch_write(HF "/refs/main", "0ldfee");
    expect(VOLUME, "org/tiny-GGUF <- models--org--tiny-GGUF/snapshots/0ldfee/old.gguf\n");
    assert_return_code(unlink(HF "/refs/main"), errno);
    expect(VOLUME,
        "org/tiny-GGUF <- models--org--tiny-GGUF ! models--org--tiny-GGUF: has several snapshots and no "
        "refs/main that names one of them\n");
    scratch_write(HF "/refs/main", "../../..");
    expect(VOLUME,
        "org/tiny-GGUF <- models--org--tiny-GGUF ! models--org--tiny-GGUF: refs/main: names no revision\n");
    scratch_write(HF "/refs/main", "badbad");
    expect(VOLUME,
        "org/tiny-GGUF <- models--org--tiny-GGUF ! models--org--tiny-GGUF: refs/main names a revision that "
        "is not in snapshots: badbad\n");
}

static void test_a_single_snapshot_needs_no_main(void **state)
{
    (void)state;
    snapshot_file(VOLUME "/models--gpt2", "c0ffee", "gpt2.gguf");
    expect(VOLUME, "gpt2 <- models--gpt2/snapshots/c0ffee/gpt2.gguf\n");
}

static void test_what_is_no_model_in_a_cache_is_left_out_or_told(void **state)
{
    (void)state;
    snapshot_file(VOLUME "/datasets--org--data", "c0ffee", "data.gguf");
    snapshot_file(VOLUME "/models--org--tokens", "c0ffee", "tokenizer.json");
    expect(VOLUME,
        "org/tokens <- models--org--tokens ! models--org--tokens: has no model file in its snapshot\n");
}

static void test_links_of_a_cache_stay_in_the_volume(void **state)
{
    (void)state;
    scratch_write("secret", "x");
    repository_with("tiny.gguf");
    assert_return_code(unlink(HF "/snapshots/c0ffee/tiny.gguf"), errno);
    scratch_link("../../../../secret", HF "/snapshots/c0ffee/tiny.gguf");
    expect(VOLUME, "org/tiny-GGUF <- " IN "tiny.gguf ! " IN
                   "tiny.gguf: links to ../../../../secret, outside the volume\n");
    assert_return_code(unlink(HF "/snapshots/c0ffee/tiny.gguf"), errno);
    scratch_link("../../blobs/gone", HF "/snapshots/c0ffee/tiny.gguf");
    expect(VOLUME, "org/tiny-GGUF <- " IN "tiny.gguf ! " IN "tiny.gguf: broken link to ../../blobs/gone\n");
    assert_return_code(unlink(HF "/snapshots/c0ffee/tiny.gguf"), errno);
    scratch_link("tiny.gguf", HF "/snapshots/c0ffee/tiny.gguf");
    expect(VOLUME,
        "org/tiny-GGUF <- " IN "tiny.gguf ! " IN "tiny.gguf: links to tiny.gguf, in a loop of links\n");
    assert_return_code(rename(HF "/snapshots", HF "/elsewhere"), errno);
    scratch_link("../..", HF "/snapshots");
    expect(VOLUME,
        "org/tiny-GGUF <- models--org--tiny-GGUF/snapshots ! models--org--tiny-GGUF/snapshots: links to "
        "../.., outside the volume\n");
}

static void test_directories_in_circles_end_in_a_cache_too(void **state)
{
    (void)state;
    repository_with("tiny.gguf");
    scratch_link("..", HF "/snapshots/c0ffee/up");
    struct scan s;
    scan(&s, VOLUME);
    assert_int_equal(s.n_models, 1);
    assert_string_equal(find(&s, "org/tiny-GGUF")->path, IN "tiny.gguf");
    scan_release(&s);
}

static void test_a_snapshot_is_two_directories_deep_and_no_more(void **state)
{
    (void)state;
    struct scan s;
    scratch_write(HF "/refs/main", "c0ffee");
    scratch_write(HF "/snapshots/c0ffee/a/b/x.gguf", "x");
    scratch_write(HF "/snapshots/c0ffee/a/b/c/deep.gguf", "x");
    scan(&s, VOLUME);
    assert_string_equal(find(&s, "org/tiny-GGUF")->path, IN "a/b/x.gguf");
    assert_string_equal(s.too_deep, IN "a/b/c");
    scan_release(&s);
}

/* ---- LM Studio ---- */

static void test_the_tree_of_lm_studio_has_ids_of_two_parts(void **state)
{
    (void)state;
    put("lmstudio-community/tiny-GGUF/tiny-Q4_0.gguf");
    put("lmstudio-community/tiny-GGUF/mmproj-tiny-F16.gguf");
    put("lmstudio-community/two-GGUF/two-Q4_0.gguf");
    put("lmstudio-community/two-GGUF/two-Q8_0.gguf");
    put("bartowski/big-GGUF/big-00001-of-00002.gguf");
    put("bartowski/big-GGUF/big-00002-of-00002.gguf");
    put("mlx/tiny-4bit/model.safetensors");
    put("mlx/tiny-4bit/config.json");
    expect(VOLUME,
        "bartowski/big-GGUF <- bartowski/big-GGUF/big-00001-of-00002.gguf\n"
        "lmstudio-community/tiny-GGUF <- lmstudio-community/tiny-GGUF/tiny-Q4_0.gguf\n"
        "lmstudio-community/tiny-GGUF/mmproj-tiny-F16 <- lmstudio-community/tiny-GGUF/mmproj-tiny-F16.gguf\n"
        "lmstudio-community/two-GGUF/two-Q4_0 <- lmstudio-community/two-GGUF/two-Q4_0.gguf\n"
        "lmstudio-community/two-GGUF/two-Q8_0 <- lmstudio-community/two-GGUF/two-Q8_0.gguf\n"
        "mlx/tiny-4bit <- mlx/tiny-4bit/model.safetensors\n");
    expect_layouts(VOLUME, "LM Studio tree ;");
}

static void test_other_trees_keep_their_paths_as_ids(void **state)
{
    (void)state;
    put("a/b/model.gguf");
    put("other.gguf");
    expect(VOLUME, "a/b/model <- a/b/model.gguf\nother <- other.gguf\n");
    expect_layouts(VOLUME, "");
    assert_return_code(unlink(VOLUME "/other.gguf"), errno);
    put("a/b/1/model.gguf");
    expect(VOLUME, "a/b <- a/b/1/model.gguf\na/b/model <- a/b/model.gguf\n");
    expect_layouts(VOLUME, "");
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_a_repository_is_one_model_by_its_own_name),
        IN_SCRATCH(test_the_volume_may_be_above_the_cache_or_below_it),
        IN_SCRATCH(test_several_quantizations_have_the_file_in_their_ids),
        IN_SCRATCH(test_projectors_and_matrices_do_not_count_as_quantizations),
        IN_SCRATCH(test_a_repository_without_gguf_is_one_entry),
        IN_SCRATCH(test_the_revision_is_the_one_that_main_names),
        IN_SCRATCH(test_a_single_snapshot_needs_no_main),
        IN_SCRATCH(test_what_is_no_model_in_a_cache_is_left_out_or_told),
        IN_SCRATCH(test_links_of_a_cache_stay_in_the_volume),
        IN_SCRATCH(test_directories_in_circles_end_in_a_cache_too),
        IN_SCRATCH(test_a_snapshot_is_two_directories_deep_and_no_more),
        IN_SCRATCH(test_the_tree_of_lm_studio_has_ids_of_two_parts),
        IN_SCRATCH(test_other_trees_keep_their_paths_as_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
