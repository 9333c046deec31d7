/* test_scan.c - the models of a volume, by their names: ids, versions, splits, links, and hostile names. */
#include "scanned.h"

#include <errno.h>
#include <sys/wait.h>
#include <time.h>

static void test_an_empty_volume_has_no_models(void **state)
{
    (void)state;
    assert_return_code(mkdir(VOLUME, 0755), errno);
    expect(VOLUME, "");
}

static void test_ids_are_paths_without_the_extension_in_order(void **state)
{
    (void)state;
    put("model.bin");
    put("b/Llama-3.2-1B.Q4_K_M.GGUF");
    put("b/c/weights");
    put("a.b.onnx");
    put("labels.json");
    expect(VOLUME, "a.b <- a.b.onnx\n"
                   "b/Llama-3.2-1B.Q4_K_M <- b/Llama-3.2-1B.Q4_K_M.GGUF\n"
                   "b/c/weights <- b/c/weights\n"
                   "labels.json <- labels.json\n"
                   "model <- model.bin\n");
}

static void test_what_is_no_model_by_name_is_skipped(void **state)
{
    (void)state;
    static const char *const skipped[] = {".hidden.gguf", ".cache/model.gguf", "..data/model.gguf", "README",
        "readme.md", "LICENSE", "License.gguf.txt", "NOTICE", "CHANGELOG.rst", "CARD.HTML", "plot.png",
        "run.py", "convert.sh", "Makefile", "config.json", "tokenizer.json", "tokenizer_config.json",
        "vocab.txt", "model.safetensors.index.json", "chat_template.jinja", "config.pbtxt", "tokenizer.model",
        "model.sha256", "SHA256SUMS", "model.gguf.sig", "model.gguf.part", "model.gguf.crdownload",
        "model.gguf~", ".model.gguf.swp", "new.tmp", "lost+found/model.gguf", "fetch.partial/model.gguf",
        "tokenizer.JSON"};
    for (size_t i = 0; i < sizeof(skipped) / sizeof(*skipped); i++)
        put(skipped[i]);
    expect(VOLUME, "");
    put("c");
    put("h");
    put("md");
    put("notes.md/kept.gguf");
    expect(VOLUME, "c <- c\nh <- h\nmd <- md\nnotes.md/kept <- notes.md/kept.gguf\n");
}

static void test_an_executable_script_without_extension_is_no_model(void **state)
{
    (void)state;
    scratch_write(VOLUME "/fetch", "#!/bin/sh\n");
    scratch_write(VOLUME "/weights", "\x7f"
                                     "ELF");
    scratch_write(VOLUME "/plain", "#! not executable");
    scratch_write(VOLUME "/one", "#");
    assert_return_code(chmod(VOLUME "/fetch", 0755), errno);
    assert_return_code(chmod(VOLUME "/weights", 0755), errno);
    assert_return_code(chmod(VOLUME "/one", 0755), errno);
    expect(VOLUME, "one <- one\nplain <- plain\nweights <- weights\n");
}

static void test_four_levels_are_seen_and_a_fifth_is_not(void **state)
{
    (void)state;
    put("a/b/c/model.gguf");
    put("a/b/c/d/deep.gguf");
    expect(VOLUME, "a/b/c/model <- a/b/c/model.gguf\n");
}

static void test_the_highest_version_counts_and_leaves_the_id(void **state)
{
    (void)state;
    put("m/1/model.gguf");
    put("m/9/model.gguf");
    put("m/10/model.gguf");
    put("m/config.pbtxt");
    put("m/11"); /* a file is no version */
    put("m/9999999999999999999/model.gguf"); /* nor is a number of 19 digits */
    put("m/-12/model.gguf");
    expect(VOLUME, "m <- m/10/model.gguf v10\n"
                   "m/-12/model <- m/-12/model.gguf\n"
                   "m/11 <- m/11\n"
                   "m/9999999999999999999/model <- m/9999999999999999999/model.gguf\n");
}

static void test_several_models_in_a_version_keep_their_names(void **state)
{
    (void)state;
    put("m/2/base.gguf");
    put("m/2/small.gguf");
    put("m/2/README.md");
    expect(VOLUME, "m/base <- m/2/base.gguf v2\nm/small <- m/2/small.gguf v2\n");
}

static void test_a_version_at_the_top_gives_the_id_of_its_file(void **state)
{
    (void)state;
    put("1/old.gguf");
    put("3/model.gguf");
    expect(VOLUME, "model <- 3/model.gguf v3\n");
}

static void test_a_split_is_listed_once_by_its_first_file(void **state)
{
    (void)state;
    put("big-00001-of-00003.gguf");
    put("big-00002-of-00003.gguf");
    put("big-00003-of-00003.gguf");
    put("m/1/big-00001-of-00002.gguf");
    put("m/1/big-00002-of-00002.gguf");
    expect(VOLUME, "big <- big-00001-of-00003.gguf\nm <- m/1/big-00001-of-00002.gguf\n");
}

static void test_a_split_without_its_first_file_is_listed_once_with_the_reason(void **state)
{
    (void)state;
    put("big-00002-of-00003.gguf");
    put("big-00003-of-00003.gguf");
    put("odd-00004-of-00003.gguf"); /* beyond its own count: a name like any other */
    expect(VOLUME, "big <- big-00002-of-00003.gguf ! big-00002-of-00003.gguf: is a part of a split "
                   "model whose first file, big-00001-of-00003.gguf, is missing\n"
                   "odd-00004-of-00003 <- odd-00004-of-00003.gguf\n");
}

static void test_two_files_with_one_id_are_one_entry_that_names_both(void **state)
{
    (void)state;
    put("model.bin");
    put("model.gguf");
    put("model.onnx");
    put("m.bin");
    put("m/1/model.gguf");
    expect(VOLUME,
        "m <- m.bin ! m.bin and m/1/model.gguf have the same id; rename all but one\n"
        "model <- model.bin ! model.bin and model.gguf and 1 more have the same id; rename all but one\n");
}

static void test_kubernetes_links_are_followed_and_seen_once(void **state)
{
    (void)state;
    put("..2026_11_23_15_00_00.1/model.gguf");
    scratch_link("..2026_11_23_15_00_00.1", VOLUME "/..data");
    scratch_link("..data/model.gguf", VOLUME "/model.gguf");
    expect(VOLUME, "model <- model.gguf\n");
}

static void test_links_to_directories_are_followed_inside_the_volume(void **state)
{
    (void)state;
    put("real/model.gguf");
    scratch_link("real", VOLUME "/alias");
    put("m/2/model.gguf");
    scratch_link("2", VOLUME "/m/7");
    expect(VOLUME, "alias/model <- alias/model.gguf\nm <- m/7/model.gguf v7\n");
}

static void test_a_file_with_several_paths_is_one_model(void **state)
{
    (void)state;
    put("z/real.gguf");
    scratch_link("z/real.gguf", VOLUME "/soft.gguf");
    assert_return_code(link(VOLUME "/z/real.gguf", VOLUME "/hard.gguf"), errno);
    put("other.gguf");
    expect(VOLUME, "hard <- hard.gguf\nother <- other.gguf\n");
}

static void test_json_files_beside_a_hugging_face_model_are_none(void **state)
{
    (void)state;
    static const char *const files[] = {"m/config.json", "m/quantize.json", "m/anything.JSON",
        "m/model.safetensors", "m/adapter_config.json", "m/spiece.model", "alone/model.json",
        "chat_template.json", "trainer_state.json"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        put(files[i]);
    expect(VOLUME, "alone/model.json <- alone/model.json\nm <- m/model.safetensors\n");
}

static void test_what_lies_too_deep_is_named(void **state)
{
    (void)state;
    struct scan s;
    put("a/b/c/x.gguf");
    scan(&s, VOLUME);
    assert_null(s.too_deep);
    assert_int_equal(s.n_models, 1);
    scan_release(&s);
    put("a/b/d/e\n/x.gguf");
    put("a/b/d/f/x.gguf");
    put("a/b/d/.hidden/x.gguf");
    scan(&s, VOLUME);
    assert_string_equal(s.too_deep, "a/b/d/e\\x0a");
    assert_int_equal(s.n_models, 1);
    scan_release(&s);
}

static void test_links_in_a_circle_end_and_are_told(void **state)
{
    (void)state;
    put("a/model.gguf");
    scratch_link("..", VOLUME "/a/up");
    scratch_link(".", VOLUME "/a/self");
    scratch_link("itself.gguf", VOLUME "/itself.gguf");
    expect(VOLUME, "a/model <- a/model.gguf\n"
                   "a/self <- a/self ! a/self: links back to a directory that it lies in\n"
                   "a/up <- a/up ! a/up: links back to a directory that it lies in\n"
                   "itself <- itself.gguf ! itself.gguf: links to itself.gguf, in a loop of links\n");
}

static void test_what_cannot_be_loaded_is_listed_with_its_reason(void **state)
{
    (void)state;
    put("good.gguf");
    scratch_link("/etc/passwd", VOLUME "/out.gguf");
    scratch_link("/etc", VOLUME "/outdir");
    scratch_link("none", VOLUME "/dangling.gguf");
    scratch_link("none", VOLUME "/README.md");
    assert_return_code(mkfifo(VOLUME "/pipe.gguf", 0644), errno);
    expect(VOLUME, "dangling <- dangling.gguf ! dangling.gguf: broken link to none\n"
                   "good <- good.gguf\n"
                   "out <- out.gguf ! out.gguf: links to /etc/passwd, outside the volume\n"
                   "outdir <- outdir ! outdir: links to /etc, outside the volume\n"
                   "pipe <- pipe.gguf ! pipe.gguf: is a pipe, not a regular file\n");
}

static int scan_as_a_stranger(void)
{
    struct error err = {0};
    struct volume v;
    struct scan s;
    if (geteuid() == 0 && (setgid(65532) != 0 || setuid(65532) != 0))
        return 1;
    if (volume_open(&v, VOLUME, &err) != VOLUME_OPEN || !scan_volume(&s, &v, &err) || s.n_models != 2)
        return 2;
    const char *reason = s.models[0].reason;
    bool told = strcmp(s.models[0].id, "closed") == 0 && reason &&
                strstr(reason, "closed: cannot be read by user id ") && strstr(reason, "chmod a+rx");
    return told && strcmp(s.models[1].id, "open") == 0 && !s.models[1].reason ? 0 : 3;
}

static void test_a_directory_without_permission_is_listed_with_its_reason(void **state)
{
    (void)state;
    put("closed/model.gguf");
    put("open.gguf");
    assert_return_code(chmod(VOLUME "/closed", 0), errno);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(scan_as_a_stranger());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_return_code(chmod(VOLUME "/closed", 0755), errno);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_hostile_names_are_escaped_in_ids_and_kept_in_paths(void **state)
{
    (void)state;
    char longest[256], full[300];
    size_t most = (size_t)pathconf(".", _PC_NAME_MAX); /* 255, and a little less on some file systems */
    assert_true(most > 200 && most < sizeof(longest));
    memset(longest, '\xff', most);
    longest[most] = '\0';
    snprintf(full, sizeof(full), VOLUME "/%s", longest);
    scratch_write(full, "x");
    put("\"};\n\x1b[2J\xc3\x28\\.gguf");
    put("Modell-\xc3\xbc.gguf");
    struct scan s;
    scan(&s, VOLUME);
    assert_int_equal(s.n_models, 3);
    assert_string_equal(find(&s, "Modell-\xc3\xbc")->path, "Modell-\xc3\xbc.gguf");
    const struct scan_model *hostile = find(&s, "\"};\\x0a\\x1b[2J\\xc3(\\\\");
    assert_string_equal(hostile->path, "\"};\n\x1b[2J\xc3\x28\\.gguf");
    assert_int_equal(strlen(s.models[2].id), 4 * most);
    assert_string_equal(s.models[2].path, longest);
    scan_release(&s);
}

static void test_a_single_file_is_the_one_model(void **state)
{
    (void)state;
    put("a/model.gguf");
    put("a/other.gguf");
    put("big-00001-of-00002.gguf");
    expect(VOLUME "/a/model.gguf", "model <- model.gguf\n");
    expect(VOLUME "/big-00001-of-00002.gguf", "big <- big-00001-of-00002.gguf\n");
}

static void test_many_files_are_bounded_counted_and_fast(void **state)
{
    (void)state;
    struct scan s;
    struct timespec start, end;
    assert_return_code(mkdir(VOLUME, 0755), errno);
    for (unsigned i = 0; i < 10000; i++) {
        char path[64];
        snprintf(path, sizeof(path), VOLUME "/%05u.gguf", i);
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    scan(&s, VOLUME);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    print_message("10000 names: %.1f ms\n", seconds * 1e3);
    assert_int_equal(s.n_models, SCAN_MODELS_MAX);
    assert_int_equal(s.n_files, 10000);
    assert_int_equal(s.n_left_out, 10000 - SCAN_MODELS_MAX);
    assert_string_equal(s.models[0].id, "00000");
    assert_string_equal(s.models[SCAN_MODELS_MAX - 1].id, "04095");
    /* A tenth of that is usual; the rest is for sanitizers and busy machines. */
    assert_true(seconds < 1.0);
    scan_release(&s);
}

static void test_links_that_multiply_names_are_bounded(void **state)
{
    (void)state;
    struct scan s;
    assert_return_code(mkdir(VOLUME, 0755), errno);
    assert_return_code(mkdir(VOLUME "/many", 0755), errno);
    for (unsigned i = 0; i < 2000; i++) {
        char path[64];
        snprintf(path, sizeof(path), VOLUME "/many/.%04u", i);
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    }
    for (unsigned i = 0; i < 200; i++) {
        char path[64];
        snprintf(path, sizeof(path), VOLUME "/l%03u", i);
        scratch_link("many", path);
    }
    scan(&s, VOLUME);
    /* 201 names at the top and 131 times 2000 are more than 262144: the other 70 directories are not
     * entered. */
    assert_int_equal(s.n_files, 201 + 131 * 2000);
    assert_int_equal(s.n_left_out, 70);
    assert_int_equal(s.n_models, 0);
    scan_release(&s);
}

static void test_a_scan_leaves_no_descriptor_behind(void **state)
{
    (void)state;
    put("a/b/model.gguf");
    put("a/run");
    assert_return_code(chmod(VOLUME "/a/run", 0755), errno);
    scratch_link("..", VOLUME "/a/up");
    assert_return_code(mkfifo(VOLUME "/pipe", 0644), errno);
    int before = open(".", O_PATH | O_CLOEXEC);
    struct scan s;
    scan(&s, VOLUME);
    scan_release(&s);
    int after = open(".", O_PATH | O_CLOEXEC);
    assert_int_equal(after, before + 1);
    close(before);
    close(after);
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_an_empty_volume_has_no_models),
        IN_SCRATCH(test_ids_are_paths_without_the_extension_in_order),
        IN_SCRATCH(test_what_is_no_model_by_name_is_skipped),
        IN_SCRATCH(test_an_executable_script_without_extension_is_no_model),
        IN_SCRATCH(test_four_levels_are_seen_and_a_fifth_is_not),
        IN_SCRATCH(test_the_highest_version_counts_and_leaves_the_id),
        IN_SCRATCH(test_several_models_in_a_version_keep_their_names),
        IN_SCRATCH(test_a_version_at_the_top_gives_the_id_of_its_file),
        IN_SCRATCH(test_a_split_is_listed_once_by_its_first_file),
        IN_SCRATCH(test_a_split_without_its_first_file_is_listed_once_with_the_reason),
        IN_SCRATCH(test_two_files_with_one_id_are_one_entry_that_names_both),
        IN_SCRATCH(test_kubernetes_links_are_followed_and_seen_once),
        IN_SCRATCH(test_links_to_directories_are_followed_inside_the_volume),
        IN_SCRATCH(test_a_file_with_several_paths_is_one_model),
        IN_SCRATCH(test_json_files_beside_a_hugging_face_model_are_none),
        IN_SCRATCH(test_what_lies_too_deep_is_named),
        IN_SCRATCH(test_links_in_a_circle_end_and_are_told),
        IN_SCRATCH(test_what_cannot_be_loaded_is_listed_with_its_reason),
        IN_SCRATCH(test_a_directory_without_permission_is_listed_with_its_reason),
        IN_SCRATCH(test_hostile_names_are_escaped_in_ids_and_kept_in_paths),
        IN_SCRATCH(test_a_single_file_is_the_one_model),
        IN_SCRATCH(test_many_files_are_bounded_counted_and_fast),
        IN_SCRATCH(test_links_that_multiply_names_are_bounded),
        IN_SCRATCH(test_a_scan_leaves_no_descriptor_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
