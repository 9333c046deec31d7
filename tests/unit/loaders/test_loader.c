/* test_loader.c - from a path to an open model, or to a reason with everything closed. */
#include "scratch.h"

#include "loaders/loader_private.h"

#include <errno.h>

static void open_volume(struct volume *v)
{
    struct error err = {0};
    assert_int_equal(volume_open(v, ".", &err), VOLUME_OPEN);
}

static void expect_failure(const struct volume *v, const char *path, const char *reason)
{
    struct loaded l;
    struct error err = {0};
    assert_false(loaded_open(&l, v, path, &err));
    if (!strstr(err.text, reason) || strncmp(err.text, path, strlen(path)) != 0)
        fail_msg("\"%s\" lacks \"%s\" or does not begin with \"%s\"", err.text, reason, path);
    assert_null(l.maps);
    assert_int_equal(l.n_maps, 0);
    assert_null(l.gguf);
    loaded_close(&l);
}

static void test_a_file_that_no_loader_knows_is_raw(void **state)
{
    (void)state;
    struct volume v;
    struct loaded l;
    struct error err = {0};
    scratch_write("model.bin", "weights");
    open_volume(&v);
    assert_true(loaded_open(&l, &v, "model.bin", &err));
    assert_string_equal(l.info.format, "raw");
    assert_string_equal(l.info.kind, "");
    assert_string_equal(l.info.architecture, "");
    assert_int_equal(l.n_maps, 1);
    assert_null(l.gguf);
    assert_int_equal(loaded_mapped_bytes(&l), 7);
    assert_true(loaded_intact(&l, &err));
    mapping_measure();
    assert_true(loaded_resident_bytes(&l) >= 7);
    loaded_close(&l);
    volume_close(&v);
}

static void test_files_of_a_model_are_counted_together(void **state)
{
    (void)state;
    struct volume v;
    struct loaded l;
    struct error err = {0};
    scratch_write("model.bin", "weights");
    scratch_write("more.bin", "more");
    open_volume(&v);
    assert_true(loaded_open(&l, &v, "model.bin", &err));
    assert_non_null(loaded_add_file(&l, &v, "more.bin", &err));
    assert_int_equal(l.n_maps, 2);
    assert_int_equal(loaded_mapped_bytes(&l), 11);
    assert_null(loaded_add_file(&l, &v, "none.bin", &err));
    assert_string_equal(err.text, "none.bin: is not there");
    assert_int_equal(l.n_maps, 2);

    err = (struct error){0};
    assert_return_code(truncate("more.bin", 2), errno);
    assert_false(loaded_intact(&l, &err));
    assert_non_null(strstr(err.text, "more.bin: was cut short"));
    loaded_close(&l);
    volume_close(&v);
}

static void test_a_format_is_known_by_content_whatever_the_name(void **state)
{
    (void)state;
    struct volume v;
    struct loaded l;
    struct error err = {0};
    /* A GGUF file of version 3 without tensors and keys. */
    static const uint8_t gguf[24] = {'G', 'G', 'U', 'F', 3};
    scratch_bytes("model.bin", gguf, sizeof(gguf));
    open_volume(&v);
    if (!loaded_open(&l, &v, "model.bin", &err))
        fail_msg("%s", err.text);
    assert_string_equal(l.info.format, "gguf");
    assert_non_null(l.gguf);
    loaded_close(&l);
    volume_close(&v);
}

static void test_a_bad_file_gives_a_reason_that_names_it_and_stays_closed(void **state)
{
    (void)state;
    struct volume v;
    scratch_write("empty.bin", "");
    scratch_write("cut.gguf", "GGUF\3");
    scratch_write("other.gguf", "PK\3\4 and so on");
    assert_return_code(mkfifo("pipe.gguf", 0644), errno);
    scratch_link("/etc/passwd", "out.gguf");
    open_volume(&v);
    int before = open(".", O_PATH | O_CLOEXEC);
    expect_failure(&v, "empty.bin", "is empty");
    expect_failure(&v, "cut.gguf", "are left");
    expect_failure(&v, "other.gguf", "is named as a gguf file");
    expect_failure(&v, "pipe.gguf", "is a pipe");
    expect_failure(&v, "out.gguf", "outside the volume");
    expect_failure(&v, "none.gguf", "is not there");
    int after = open(".", O_PATH | O_CLOEXEC);
    assert_int_equal(after, before + 1);
    close(before);
    close(after);
    volume_close(&v);
}

static void test_a_stem_ends_where_a_known_extension_begins(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t stem;
    } rows[] = {
        {"model.gguf", 5},
        {"model.GGUF", 5},
        {"model.bin", 5},
        {"model.SafeTensors", 5},
        {"model.v2.onnx", 8},
        {"model.gguf.bin", 10},
        {"model.json", 10},
        {"model", 5},
        {"bin", 3},
        {".bin", 4},
        {"a.bin", 1},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(loader_stem(rows[i].name), rows[i].stem);
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_a_file_that_no_loader_knows_is_raw),
        IN_SCRATCH(test_files_of_a_model_are_counted_together),
        IN_SCRATCH(test_a_format_is_known_by_content_whatever_the_name),
        IN_SCRATCH(test_a_bad_file_gives_a_reason_that_names_it_and_stays_closed),
        cmocka_unit_test(test_a_stem_ends_where_a_known_extension_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
