/* test_volume.c - what the volume opens, what it refuses, and the reasons. */
#include "scratch.h"

#include "berth/loaders/volume.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static void volume_of(struct volume *v, const char *path)
{
    struct error err = {0};
    assert_int_equal(volume_open(v, path, &err), VOLUME_OPEN);
    assert_string_equal(err.text, "");
}

/* Opens a file and compares what is in it. */
static void expect_file(const struct volume *v, const char *path, const char *content)
{
    struct error err = {0};
    char bytes[64] = "";
    int fd = volume_open_file(v, path, &err);
    assert_string_equal(err.text, "");
    assert_true(fd >= 0);
    assert_true(read(fd, bytes, sizeof(bytes) - 1) >= 0);
    assert_string_equal(bytes, content);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
}

static void expect_refusal(const struct volume *v, const char *path, const char *reason)
{
    struct error err = {0};
    assert_int_equal(volume_open_file(v, path, &err), -1);
    assert_string_equal(err.text, reason);
}

static void test_a_directory_is_a_volume(void **state)
{
    (void)state;
    struct volume v;
    scratch_write("models/a/model.bin", "weights");
    volume_of(&v, "models//");
    assert_string_equal(v.path, "models");
    assert_null(v.single);
    expect_file(&v, "a/model.bin", "weights");
    volume_close(&v);
    assert_int_equal(v.dir, -1);
}

static void test_a_file_is_a_volume_of_that_file_wherever_it_links(void **state)
{
    (void)state;
    struct volume v;
    scratch_write("blobs/sha", "weights");
    scratch_link("../blobs/sha", "models/model.gguf");
    volume_of(&v, "models/model.gguf");
    assert_string_equal(v.path, "models");
    assert_string_equal(v.single, "model.gguf");
    expect_file(&v, v.single, "weights");
    volume_close(&v);

    scratch_write("plain.bin", "here");
    volume_of(&v, "plain.bin");
    assert_string_equal(v.path, ".");
    expect_file(&v, v.single, "here");
    volume_close(&v);
}

static void test_a_volume_that_is_a_link_is_followed_anywhere(void **state)
{
    (void)state;
    struct volume v;
    scratch_write("far/away/model.bin", "weights");
    char process[64];
    snprintf(process, sizeof(process), "/proc/%d/cwd/far/away", (int)getpid());
    scratch_link(process, "models");
    volume_of(&v, "models");
    expect_file(&v, "model.bin", "weights");
    volume_close(&v);
}

static void test_a_volume_that_is_not_there_is_missing_not_refused(void **state)
{
    (void)state;
    struct volume v;
    struct error err = {0};
    assert_int_equal(volume_open(&v, "nowhere", &err), VOLUME_MISSING);
    assert_string_equal(err.text, "nowhere: is not there");

    scratch_link("/proc/0/root/models", "models");
    assert_int_equal(volume_open(&v, "models", &err), VOLUME_MISSING);
    assert_string_equal(err.text, "models: broken link to /proc/0/root/models");
    volume_close(&v);
}

static void test_a_pipe_is_no_volume(void **state)
{
    (void)state;
    struct volume v;
    struct error err = {0};
    assert_return_code(mkfifo("pipe", 0644), errno);
    assert_int_equal(volume_open(&v, "pipe", &err), VOLUME_REFUSED);
    assert_string_equal(err.text, "pipe: is a pipe, neither a directory nor a regular file");
}

static void test_links_inside_the_volume_are_followed(void **state)
{
    struct scratch *s = *state;
    struct volume v;
    char absolute[128];
    scratch_write("models/..2026_11_23/model.gguf", "weights");
    scratch_link("..2026_11_23", "models/..data");
    scratch_link("..data/model.gguf", "models/model.gguf");
    snprintf(absolute, sizeof(absolute), "%s/models/model.gguf", s->path);
    scratch_link(absolute, "models/absolute.gguf");
    scratch_link("../model.gguf", "models/sub/up.gguf");
    volume_of(&v, "models");
    expect_file(&v, "model.gguf", "weights");
    expect_file(&v, "absolute.gguf", "weights");
    expect_file(&v, "sub/up.gguf", "weights");
    volume_close(&v);
}

static void test_links_that_leave_the_volume_are_refused_by_name(void **state)
{
    (void)state;
    struct volume v;
    scratch_write("secret", "not a model");
    scratch_write("models/model.gguf", "weights");
    scratch_write("models-too/model.gguf", "not a model");
    scratch_link("../secret", "models/relative.gguf");
    scratch_link("/etc/passwd", "models/absolute.gguf");
    scratch_link("/etc", "models/directory");
    scratch_link("../models-too/model.gguf", "models/neighbour.gguf");
    scratch_link("../models/model.gguf", "models/around.gguf");
    volume_of(&v, "models");
    expect_refusal(&v, "relative.gguf", "relative.gguf: links to ../secret, outside the volume");
    expect_refusal(&v, "absolute.gguf", "absolute.gguf: links to /etc/passwd, outside the volume");
    expect_refusal(&v, "directory/passwd", "directory/passwd: links to /etc, outside the volume");
    expect_refusal(
        &v, "neighbour.gguf", "neighbour.gguf: links to ../models-too/model.gguf, outside the volume");
    expect_refusal(&v, "../secret", "../secret: lies outside the volume");
    expect_refusal(&v, "/etc/passwd", "/etc/passwd: lies outside the volume");
    /* The path leaves the volume and comes back, which is allowed. */
    expect_file(&v, "around.gguf", "weights");
    volume_close(&v);
}

static void test_dangling_and_looping_links_are_named(void **state)
{
    (void)state;
    struct volume v;
    scratch_link("gone.gguf", "models/dangling.gguf");
    scratch_link("/nowhere/gone.gguf", "models/far.gguf");
    scratch_link("b.gguf", "models/a.gguf");
    scratch_link("a.gguf", "models/b.gguf");
    volume_of(&v, "models");
    expect_refusal(&v, "dangling.gguf", "dangling.gguf: broken link to gone.gguf");
    expect_refusal(&v, "far.gguf", "far.gguf: broken link to /nowhere/gone.gguf");
    expect_refusal(&v, "a.gguf", "a.gguf: links to b.gguf, in a loop of links");
    expect_refusal(&v, "none.gguf", "none.gguf: is not there");
    volume_close(&v);
}

static void bind_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
    close(fd);
}

static void test_what_is_no_regular_file_is_refused_without_opening_it(void **state)
{
    (void)state;
    struct volume v;
    scratch_write("models/sub/model.bin", "x");
    assert_return_code(mkfifo("models/pipe.gguf", 0644), errno);
    bind_socket("models/socket.gguf");
    volume_of(&v, "models");
    expect_refusal(&v, "pipe.gguf", "pipe.gguf: is a pipe, not a regular file");
    expect_refusal(&v, "socket.gguf", "socket.gguf: is a socket, not a regular file");
    expect_refusal(&v, "sub", "sub: is a directory, not a regular file");
    volume_close(&v);

    volume_of(&v, "/dev");
    expect_refusal(&v, "null", "null: is a device, not a regular file");
    volume_close(&v);
}

/* Runs `check` in a child after `change` has changed it, and expects it to return 0. */
static void in_a_child(bool (*change)(void), int (*check)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(change() ? check() : 99);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool become_a_stranger(void)
{
    return geteuid() != 0 || (setgid(65532) == 0 && setuid(65532) == 0);
}

/* Makes openat2 fail with `code`, by a filter for system calls: as old kernels and strict sandboxes do. */
static bool forbid_openat2(uint32_t code)
{
    struct instruction {
        uint16_t operation;
        uint8_t if_true, if_false;
        uint32_t operand;
    } filter[] = {
        {.operation = 0x20, .operand = 0}, /* load the call's number */
        {.operation = 0x15, .if_false = 1, .operand = 437}, /* is it openat2? */
        {.operation = 0x06, .operand = 0x00050000 | code}, /* fail */
        {.operation = 0x06, .operand = 0x7fff0000}, /* allow */
    };
    struct {
        unsigned short length;
        struct instruction *first;
    } program = {.length = sizeof(filter) / sizeof(*filter), .first = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, 2, &program, 0, 0) == 0 &&
           syscall(437, AT_FDCWD, ".", NULL, (size_t)0) == -1 && errno == (int)code;
}

static bool lose_openat2(void)
{
    return forbid_openat2(ENOSYS);
}

static bool be_denied_openat2(void)
{
    return forbid_openat2(EPERM);
}

static bool refused_as(const struct volume *v, const char *path, const char *format, unsigned owner)
{
    char reason[640];
    struct error err = {0};
    snprintf(reason, sizeof(reason), format, (unsigned)geteuid(), owner);
    bool refused = volume_open_file(v, path, &err) == -1 && strcmp(err.text, reason) == 0;
    if (!refused)
        fprintf(stderr, "got: %s\nnot: %s\n", err.text, reason);
    return refused;
}

static int check_unreadable(void)
{
    struct volume v;
    struct stat st;
    struct error err = {0};
    if (stat("models", &st) != 0 || volume_open(&v, "models", &err) != VOLUME_OPEN)
        return 1;
    bool ok = refused_as(&v, "model.bin",
        "model.bin: cannot be read by user id %u: Permission denied (owner %u, mode 0000); "
        "make it readable, e.g. chmod a+r",
        st.st_uid);
    ok &= refused_as(&v, "closed/model.bin",
        "closed/model.bin: cannot be reached by user id %u: Permission denied on a directory above it; "
        "make that searchable, e.g. chmod a+x",
        0);
    return ok && volume_stat(&v, "model.bin", &st, &err) ? 0 : 2;
}

static int check_unreadable_volume(void)
{
    struct volume v;
    struct error err = {0};
    if (volume_open(&v, "models", &err) != VOLUME_REFUSED)
        return 1;
    return strstr(err.text, "models: cannot be read by user id ") &&
                   strstr(err.text, "mode 0000); make it readable, e.g. chmod a+rx")
               ? 0
               : 2;
}

static void test_a_file_without_permission_names_the_user_and_the_remedy(void **state)
{
    (void)state;
    scratch_write("models/model.bin", "weights");
    scratch_write("models/closed/model.bin", "weights");
    assert_return_code(chmod("models/model.bin", 0), errno);
    assert_return_code(chmod("models/closed", 0), errno);
    in_a_child(become_a_stranger, check_unreadable);
    assert_return_code(chmod("models/closed", 0755), errno);
}

static void test_a_volume_without_permission_is_refused(void **state)
{
    (void)state;
    assert_return_code(mkdir("models", 0), errno);
    in_a_child(become_a_stranger, check_unreadable_volume);
}

static int check_links(void)
{
    static const struct {
        const char *path;
        const char *reason; /* NULL: it opens */
    } rows[] = {
        {"model.gguf", NULL},
        {"data/model.gguf", NULL},
        {"relative.gguf", "relative.gguf: links to ../secret, outside the volume"},
        {"absolute.gguf", "absolute.gguf: links to /etc/passwd, outside the volume"},
        {"neighbour.gguf", "neighbour.gguf: links to ../models-too/model.gguf, outside the volume"},
        {"loop.gguf", "loop.gguf: links to loop.gguf, in a loop of links"},
        {"pipe.gguf", "pipe.gguf: is a pipe, not a regular file"},
        {"none.gguf", "none.gguf: is not there"},
        {"../secret", "../secret: lies outside the volume"},
    };
    struct volume v;
    struct error none = {0};
    int wrong = volume_open(&v, "models", &none) != VOLUME_OPEN;
    for (size_t i = 0; !wrong && i < sizeof(rows) / sizeof(*rows); i++) {
        struct error err = {0};
        int fd = volume_open_file(&v, rows[i].path, &err);
        if ((fd >= 0) == (rows[i].reason == NULL) && (fd >= 0 || strcmp(err.text, rows[i].reason) == 0))
            continue;
        fprintf(stderr, "%s: fd %d, %s\n", rows[i].path, fd, err.text);
        wrong = 2;
    }
    return wrong;
}

static void test_without_openat2_the_same_links_are_followed_and_refused(void **state)
{
    (void)state;
    scratch_write("secret", "not a model");
    scratch_write("models/real/model.gguf", "weights");
    scratch_write("models-too/model.gguf", "not a model");
    scratch_link("real", "models/data");
    scratch_link("data/model.gguf", "models/model.gguf");
    scratch_link("../secret", "models/relative.gguf");
    scratch_link("/etc/passwd", "models/absolute.gguf");
    scratch_link("../models-too/model.gguf", "models/neighbour.gguf");
    scratch_link("loop.gguf", "models/loop.gguf");
    assert_return_code(mkfifo("models/pipe.gguf", 0644), errno);
    in_a_child(lose_openat2, check_links);
    in_a_child(be_denied_openat2, check_links);
}

static void test_stat_and_directories_follow_the_same_rule(void **state)
{
    (void)state;
    struct volume v;
    struct stat st;
    struct error err = {0};
    scratch_write("models/sub/model.bin", "weights");
    scratch_link("sub", "models/inside");
    scratch_link("..", "models/outside");
    volume_of(&v, "models");
    assert_true(volume_stat(&v, "inside/model.bin", &st, &err));
    assert_int_equal(st.st_size, 7);
    assert_false(volume_stat(&v, "outside", &st, &err));
    assert_string_equal(err.text, "outside: links to .., outside the volume");

    int fd = volume_open_dir(&v, "inside", &err);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(volume_open_dir(&v, "outside", &err), -1);
    assert_int_equal(volume_open_dir(&v, "sub/model.bin", &err), -1);
    assert_string_equal(err.text, "sub/model.bin: is not a directory, or leads through a file");
    volume_close(&v);
}

static void test_names_in_reasons_are_printable(void **state)
{
    (void)state;
    struct volume v;
    scratch_link("\x1b[2Jx", "models/\xff\n.gguf");
    volume_of(&v, "models");
    expect_refusal(&v, "\xff\n.gguf", "\\xff\\x0a.gguf: broken link to \\x1b[2Jx");
    volume_close(&v);
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_a_directory_is_a_volume),
        IN_SCRATCH(test_a_file_is_a_volume_of_that_file_wherever_it_links),
        IN_SCRATCH(test_a_volume_that_is_a_link_is_followed_anywhere),
        IN_SCRATCH(test_a_volume_that_is_not_there_is_missing_not_refused),
        IN_SCRATCH(test_a_pipe_is_no_volume),
        IN_SCRATCH(test_links_inside_the_volume_are_followed),
        IN_SCRATCH(test_links_that_leave_the_volume_are_refused_by_name),
        IN_SCRATCH(test_dangling_and_looping_links_are_named),
        IN_SCRATCH(test_what_is_no_regular_file_is_refused_without_opening_it),
        IN_SCRATCH(test_a_file_without_permission_names_the_user_and_the_remedy),
        IN_SCRATCH(test_a_volume_without_permission_is_refused),
        IN_SCRATCH(test_without_openat2_the_same_links_are_followed_and_refused),
        IN_SCRATCH(test_stat_and_directories_follow_the_same_rule),
        IN_SCRATCH(test_names_in_reasons_are_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
