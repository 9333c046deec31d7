/* test_mount.c - volumes of all kinds.
 *
 * Whatever is in a volume, the process starts, logs what it found, serves the valid models and lists the others with a
 * reason. Whatever happens to a file that is served, the process lives.
 */
#include "mounted.h"
#include "reciting_model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- volumes without models ---- */

static void assert_serves_nothing(const char *models)
{
    struct server *s = serve(models);
    assert_body(s, "/", 200, HELLO);
    assert_body(s, "/readyz", 200, "{\"status\":\"ready\"}");
    assert_int_equal(count_models(s), 0);
    char *line = server_wait_log(s, "no model is loaded; put a .gguf in ");
    assert_non_null(strstr(line, models));
    assert_non_null(strstr(line, "docker run"));
    free(line);
    server_stop(s);
}

static void test_an_empty_volume_starts_and_says_how_to_mount(void **state)
{
    (void)state;
    assert_serves_nothing(temp_dir());
}

static void test_a_missing_volume_starts_and_says_how_to_mount(void **state)
{
    (void)state;
    assert_serves_nothing(path_in(temp_dir(), "not-there"));
}

static void test_a_volume_of_documentation_alone_is_empty(void **state)
{
    static const char *const others[] = {"README.md", "LICENSE", "notes.txt", "fetch.sh", "train.py",
        ".hidden.gguf", ".git/model.gguf", "config.json", "tokenizer.json", "page.html", "..data/model.gguf",
        "copy.gguf.part", "SHA256SUMS", "lost+found/x.bin", "model.gguf~"};
    (void)state;
    const char *dir = temp_dir();
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        write_file(dir, others[i], "text", 4);
    assert_serves_nothing(dir);
}

static void test_a_volume_that_comes_later_is_waited_for(void **state)
{
    (void)state;
    const char *dir = temp_dir(), *models = path_in(dir, "models");
    struct server *s =
        server_start(&(struct setup){.models = models, .unhealthy = true, .env = {"MODEL_INIT_MODE=async"}});
    assert_body(s, "/health", 503, "{\"status\":\"loading\"}");
    struct answer a = server_get(s, "/readyz");
    assert_int_equal(a.status, 503);
    json_t *ready = answer_json(&a);
    assert_string_equal(json_string_value(json_object_get(ready, "status")), "loading");
    json_decref(ready);
    assert_string_equal(answer_header(&a, "retry-after"), "1");
    answer_release(&a);
    assert_body(s, "/livez", 200, "{\"status\":\"alive\"}");
    assert_body(s, "/", 200, HELLO);
    write_tiny_model(dir, "aside/tiny.gguf", &(struct tiny_model){0});
    assert_int_equal(rename(path_in(dir, "aside"), models), 0);
    server_wait_status(s, "/health", 200);
    assert_mapped(s, "tiny");
    assert_body(s, "/", 200, LOADED);
    server_wait_status(s, "/readyz", 200);
    server_stop(s);
}

/* ---- names ---- */

static void test_the_lessons_file_is_loaded_and_said_so_in_its_words(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "model.bin", "dummy model data\n", 17);
    struct server *s = serve(dir);
    char *line = server_wait_log(s, text_of("Loading model from %s/model.bin", dir));
    assert_non_null(strstr(line, "\"state\":\"mapped\""));
    assert_non_null(strstr(line, "\"format\":\"raw\""));
    assert_non_null(strstr(line, "\"bytes\":17"));
    free(line);
    assert_mapped(s, "model");
    assert_body(s, "/", 200, LOADED);
    server_stop(s);
}

static void test_a_single_file_is_a_volume(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, "one.gguf");
    write_gguf(dir, "two.gguf");
    struct server *s = serve(path_in(dir, "one.gguf"));
    assert_int_equal(count_models(s), 1);
    assert_mapped(s, "one");
    free(server_wait_log(s, text_of("Loading model from %s/one.gguf", dir)));
    server_stop(s);
}

static void test_four_levels_are_looked_at_and_no_more(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, "a.gguf");
    write_gguf(dir, "b/a.gguf");
    write_gguf(dir, "c/b/a.gguf");
    write_gguf(dir, "d/c/b/a.gguf");
    write_gguf(dir, "e/d/c/b/a.gguf");
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 4);
    assert_mapped(s, "a");
    assert_mapped(s, "b/a");
    assert_mapped(s, "c/b/a");
    assert_mapped(s, "d/c/b/a");
    server_stop(s);
}

static void test_the_highest_version_serves(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, "m/1/model.gguf");
    write_gguf(dir, "m/9/model.gguf");
    write_gguf(dir, "m/10/model.gguf");
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 1);
    assert_mapped(s, "m");
    assert_string_equal(told(s, "m", "version"), "10");
    assert_non_null(strstr(told(s, "m", "path"), "m/10/model.gguf"));
    server_stop(s);
}

static void test_two_files_that_claim_one_id_are_both_named(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, "twin.gguf");
    write_file(dir, "twin.bin", "x", 1);
    write_gguf(dir, "other.gguf");
    struct server *s = serve(dir);
    assert_failed(s, "twin", "twin.gguf");
    assert_failed(s, "twin", "twin.bin");
    assert_mapped(s, "other");
    assert_int_equal(count_models(s), 2);
    server_stop(s);
}

static void test_hostile_names_are_listed_as_valid_json(void **state)
{
    static const char *const names[] = {"new\nline.bin", "quo\"te.bin", "back\\slash.bin", "tab\tbell\a.bin",
        "\xff\xfe\x80.bin", "\x1b[31mred.bin", "<script>alert(1)<script>.bin", "caf\xc3\xa9.bin",
        "per%20cent.bin", "sp ace.bin", "q?u#e&ry.bin", "{\"id\":1}.bin", "-rf.bin",
        "\xe2\x80\xaereverse.bin", "$(id).bin"};
    enum { N = sizeof(names) / sizeof(*names) };
    char longest[256];
    (void)state;
    const char *dir = temp_dir();
    for (size_t i = 0; i < N; i++)
        write_file(dir, names[i], "x", 1);
    size_t most = (size_t)pathconf(dir, _PC_NAME_MAX); /* 255, and a little less on some file systems */
    assert_true(most > 200 && most < sizeof(longest));
    memset(longest, 'n', most - 4);
    strcpy(longest + most - 4, ".bin");
    write_file(dir, longest, "x", 1);
    struct server *s = serve(dir);
    json_t *list = server_json(s, "/v1/models"), *model;
    size_t i;
    assert_int_equal(json_array_size(json_object_get(list, "data")), N + 1);
    json_array_foreach(json_object_get(list, "data"), i, model)
    {
        const char *id = json_string_value(json_object_get(model, "id"));
        for (const char *c = id; *c; c++)
            assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
        assert_mapped(s, id);
    }
    json_decref(list);
    server_stop(s); /* which reads each line of the log as JSON */
}

static void test_ten_thousand_files_are_bounded_and_do_not_hold_up_the_start(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    for (int i = 0; i < 10000; i++)
        write_file(dir, text_of("d%d/f%d.bin", i % 10, i), "x", 1);
    int64_t start = now_ms();
    struct server *s = serve(dir);
    assert_in_range(now_ms() - start, 0, 5000);
    size_t n = count_models(s);
    assert_in_range(n, 1000, 10000);
    server_assert_healthy(s);
    free(server_wait_log(s, text_of("%zu", 10000 - n))); /* how many were left out */
    server_stop(s);
}

static void test_a_file_of_8_gib_is_mapped_without_being_read(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    struct statfs fs;
    assert_int_equal(statfs(dir, &fs), 0);
    if (fs.f_type == 0x65735546) {
        printf(
            "SKIPPED: a file of 8 GiB: %s is a FUSE, from which berth reads a file whole before it serves\n",
            dir);
        skip();
    }
    write_file(dir, "huge.bin", NULL, (size_t)8 << 30);
    int64_t start = now_ms();
    struct server *s = serve(dir);
    assert_in_range(now_ms() - start, 0, 2000);
    json_t *model = server_json(s, "/v1/models/huge"), *own = json_object_get(model, "berth");
    assert_int_equal(json_integer_value(json_object_get(own, "bytes_mapped")), (json_int_t)8 << 30);
    assert_in_range(json_integer_value(json_object_get(own, "bytes_resident")), 0, 64 << 20);
    json_decref(model);
    server_stop(s);
}

/* ---- links and odd files ---- */

static void link_to(const char *dir, const char *name, const char *target)
{
    assert_int_equal(symlink(target, path_in(dir, name)), 0);
}

static void test_links_inside_the_volume_are_followed(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, ".one/tiny.gguf");
    write_gguf(dir, ".two/tiny.gguf");
    link_to(dir, "linked.gguf", ".one/tiny.gguf");
    link_to(dir, "absolute.gguf", path_in(dir, ".two/tiny.gguf"));
    link_to(dir, "second.gguf", ".one/tiny.gguf");
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 2);
    assert_mapped(s, "linked");
    assert_mapped(s, "absolute");
    server_stop(s);
}

static void test_a_kubernetes_volume_is_read_and_survives_its_swap(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, "..2026_01/tiny.gguf");
    link_to(dir, "..data", "..2026_01");
    link_to(dir, "tiny.gguf", "..data/tiny.gguf");
    struct server *s = serve(dir);
    assert_int_equal(count_models(s), 1);
    assert_mapped(s, "tiny");
    write_gguf(dir, "..2026_02/tiny.gguf");
    link_to(dir, "..data_tmp", "..2026_02");
    assert_int_equal(rename(path_in(dir, "..data_tmp"), path_in(dir, "..data")), 0);
    assert_int_equal(unlink(path_in(dir, "..2026_01/tiny.gguf")), 0);
    assert_false(server_has_ended(s, 2500)); /* longer than the server takes to notice a change */
    assert_mapped(s, "tiny");
    server_stop(s);
}

static void test_a_link_that_leaves_the_volume_is_refused_by_name(void **state)
{
    (void)state;
    const char *dir = temp_dir(), *outside = temp_dir();
    write_gguf(outside, "secret.gguf");
    link_to(dir, "absolute.gguf", path_in(outside, "secret.gguf"));
    link_to(dir, "upward.gguf", "../../../../../../etc/passwd");
    link_to(dir, "directory", outside);
    write_gguf(dir, "good.gguf");
    struct server *s = serve(dir);
    assert_failed(s, "absolute", "outside");
    assert_failed(s, "upward", "outside");
    assert_mapped(s, "good");
    struct answer a = server_get(s, "/v1/models");
    assert_null(strstr(a.body, "directory/secret"));
    answer_release(&a);
    server_stop(s);
}

static void test_links_that_lead_nowhere_are_listed_with_their_reason(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    link_to(dir, "dangling.gguf", "gone.gguf");
    link_to(dir, "loop.gguf", "loop.gguf");
    write_gguf(dir, "deep/good.gguf");
    link_to(dir, "deep/up", "..");
    struct server *s = serve(dir);
    assert_failed(s, "dangling", "dangling.gguf");
    assert_failed(s, "loop", "loop.gguf");
    assert_failed(s, "deep/up", "deep/up");
    assert_mapped(s, "deep/good");
    assert_int_equal(count_models(s), 4);
    server_stop(s);
}

static void test_the_volume_itself_may_be_a_link(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_gguf(dir, "real/tiny.gguf");
    link_to(dir, "models", path_in(dir, "real"));
    struct server *s = serve(path_in(dir, "models"));
    assert_mapped(s, "tiny");
    server_stop(s);
}

static void make_socket(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
}

static void test_pipes_sockets_and_empty_files_are_no_models(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    assert_int_equal(mkfifo(path_in(dir, "pipe.gguf"), 0666), 0);
    make_socket(path_in(dir, "socket.gguf"));
    write_file(dir, "empty.gguf", "", 0);
    write_gguf(dir, "good.gguf");
    struct server *s = serve(dir);
    assert_failed(s, "pipe", "pipe.gguf");
    assert_failed(s, "socket", "socket.gguf");
    assert_failed(s, "empty", "empty");
    assert_mapped(s, "good");
    server_stop(s);
}

/* Whether the tests run as root, which is needed to start the server as another user; prints a line when they do not. */
static bool is_root(void)
{
    if (geteuid() != 0)
        printf("SKIPPED: files that the server may not read: the tests do not run as root\n");
    return geteuid() == 0;
}

static void test_files_that_cannot_be_read_are_told_with_the_user(void **state)
{
    (void)state;
    if (!is_root())
        skip();
    const char *dir = temp_dir();
    write_gguf(dir, "private.gguf");
    chmod(path_in(dir, "private.gguf"), 0600);
    write_gguf(dir, "closed/tiny.gguf");
    chmod(path_in(dir, "closed"), 0700);
    write_gguf(dir, "good.gguf");
    struct server *s = server_start(&(struct setup){.models = dir, .unprivileged = true});
    assert_failed(s, "private", "65532");
    assert_failed(s, "private", "Permission denied");
    assert_failed(s, "closed", "65532");
    assert_mapped(s, "good");
    assert_body(s, "/", 200, LOADED);
    server_stop(s);
}

static void test_a_volume_that_cannot_be_read_is_told_with_the_user(void **state)
{
    (void)state;
    if (!is_root())
        skip();
    const char *dir = temp_dir();
    write_gguf(dir, "tiny.gguf");
    chmod(dir, 0700);
    struct server *s = server_start(&(struct setup){.models = dir, .unprivileged = true});
    char *line = server_wait_log(s, "Permission denied");
    assert_non_null(strstr(line, "65532"));
    assert_non_null(strstr(line, dir));
    free(line);
    assert_body(s, "/", 200, HELLO);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_volume_starts_and_says_how_to_mount),
        cmocka_unit_test(test_a_missing_volume_starts_and_says_how_to_mount),
        cmocka_unit_test(test_a_volume_of_documentation_alone_is_empty),
        cmocka_unit_test(test_a_volume_that_comes_later_is_waited_for),
        cmocka_unit_test(test_the_lessons_file_is_loaded_and_said_so_in_its_words),
        cmocka_unit_test(test_a_single_file_is_a_volume),
        cmocka_unit_test(test_four_levels_are_looked_at_and_no_more),
        cmocka_unit_test(test_the_highest_version_serves),
        cmocka_unit_test(test_two_files_that_claim_one_id_are_both_named),
        cmocka_unit_test(test_hostile_names_are_listed_as_valid_json),
        cmocka_unit_test(test_ten_thousand_files_are_bounded_and_do_not_hold_up_the_start),
        cmocka_unit_test(test_a_file_of_8_gib_is_mapped_without_being_read),
        cmocka_unit_test(test_links_inside_the_volume_are_followed),
        cmocka_unit_test(test_a_kubernetes_volume_is_read_and_survives_its_swap),
        cmocka_unit_test(test_a_link_that_leaves_the_volume_is_refused_by_name),
        cmocka_unit_test(test_links_that_lead_nowhere_are_listed_with_their_reason),
        cmocka_unit_test(test_the_volume_itself_may_be_a_link),
        cmocka_unit_test(test_pipes_sockets_and_empty_files_are_no_models),
        cmocka_unit_test(test_files_that_cannot_be_read_are_told_with_the_user),
        cmocka_unit_test(test_a_volume_that_cannot_be_read_is_told_with_the_user),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
