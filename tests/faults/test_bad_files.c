/* test_bad_files.c - every file of bad_files.h is refused with its reason.
 *
 * Each is read twice: from a block of memory that ends where the file ends, so that a sanitizer sees a read beyond it,
 * and as a real file through the loader, as a volume does. Both refuse it with the same reason, which names what is
 * wrong and where.
 */
#include "berth/loaders/gguf.h"
#include "scratch.h"

#include <cmocka.h>

#include "bad_files.h"

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

static void assert_reason(const char *name, const char *got, const char *wanted)
{
    if (!strstr(got, wanted))
        fail_msg("%s: refused with \"%s\", not with \"%s\"", name, got, wanted);
}

static void assert_refused_as_a_file(const char *name, const char *path, const char *reason)
{
    struct loaded l;
    struct error err = {0};
    if (loaded_open(&l, &volume, path, &err))
        fail_msg("%s: opened as %s", name, l.info.format);
    assert_reason(name, err.text, reason);
    assert_null(l.maps);
    assert_null(l.gguf);
}

static void test_the_right_file_is_read(void **state)
{
    (void)state;
    struct writer w = {0};
    struct error err = {0};
    struct loaded l;
    write_right(&w);
    scratch_bytes("m.gguf", w.at, w.size);

    assert_true(loaded_open(&l, &volume, "m.gguf", &err));
    assert_string_equal(l.info.format, "gguf");
    loaded_close(&l);
    writer_release(&w);
}

static void test_every_bad_file_is_refused_from_memory_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
        struct writer w = {0};
        struct error err = {0};
        bad_files[i].write(&w);
        if (gguf_read(writer_done(&w), &err))
            fail_msg("%s: was read", bad_files[i].name);
        assert_reason(bad_files[i].name, err.text, bad_files[i].reason);
        writer_release(&w);
    }
}

static void test_every_bad_file_is_refused_by_the_loader_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
        struct writer w = {0};
        bad_files[i].write(&w);
        scratch_bytes("m.gguf", w.at, w.size);
        writer_release(&w);
        assert_refused_as_a_file(bad_files[i].name, "m.gguf", bad_files[i].reason);
    }
}

static void test_a_file_cut_at_any_byte_is_refused_by_the_loader(void **state)
{
    (void)state;
    struct writer w = {0};
    write_right(&w);
    for (size_t cut = 0; cut < w.size; cut++) {
        struct loaded l;
        struct error err = {0};
        scratch_bytes("m.gguf", w.at, cut);
        assert_false(loaded_open(&l, &volume, "m.gguf", &err));
        assert_true(strlen(err.text) > 0);
    }
    writer_release(&w);
}

/* Files that are named as GGUF files and are none: an empty file, a beginning, another content. */
static void test_a_file_named_gguf_that_does_not_begin_as_one_is_refused(void **state)
{
    (void)state;
    struct writer one = {0}, other = {0};
    write_one_byte(&one);
    write_bad_magic(&other);
    scratch_bytes("empty.gguf", "", 0);
    scratch_bytes("one.gguf", one.at, one.size);
    scratch_bytes("other.GGUF", other.at, other.size);

    assert_refused_as_a_file("empty", "empty.gguf", "empty");
    assert_refused_as_a_file(
        "one byte", "one.gguf", "is named as a gguf file, but does not begin as one; it may be incomplete");
    assert_refused_as_a_file("bad magic", "other.GGUF",
        "is named as a gguf file, but does not begin as one; it may be incomplete");
    struct error err = {0};
    assert_null(gguf_read(writer_done(&one), &err));
    assert_reason("one byte", err.text, "the magic number at byte 0 takes 4 bytes, but only 1 are left");
    assert_null(gguf_read(writer_done(&other), &err));
    assert_reason("bad magic", err.text, "the file does not begin with \"GGUF\"");
    writer_release(&one);
    writer_release(&other);
}

/* A sparse file: eight gigabytes of zeros after a header with large counts. Reading it takes little memory and time. */
static void test_a_huge_file_of_nonsense_is_refused_at_once(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 200000, 60000);
    scratch_bytes("m.gguf", w.at, w.size);
    writer_release(&w);
    assert_return_code(truncate("m.gguf", (off_t)8 << 30), 0);

    assert_refused_as_a_file("zeros", "m.gguf", "the key at byte 24 is 0 bytes long");
}

static void test_more_than_a_gigabyte_of_keys_is_refused(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 1);
    write_key(&w, "k", GGUF_STRING);
    write_u64(&w, ((uint64_t)1 << 30) + 1);
    scratch_bytes("m.gguf", w.at, w.size);
    writer_release(&w);
    assert_return_code(truncate("m.gguf", (off_t)2 << 30), 0);

    assert_refused_as_a_file("keys", "m.gguf", "keys and values take more than 1073741824 bytes");
}

#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILES(test_the_right_file_is_read),
        cmocka_unit_test(test_every_bad_file_is_refused_from_memory_with_its_reason),
        ON_FILES(test_every_bad_file_is_refused_by_the_loader_with_its_reason),
        ON_FILES(test_a_file_cut_at_any_byte_is_refused_by_the_loader),
        ON_FILES(test_a_file_named_gguf_that_does_not_begin_as_one_is_refused),
        ON_FILES(test_a_huge_file_of_nonsense_is_refused_at_once),
        ON_FILES(test_more_than_a_gigabyte_of_keys_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
