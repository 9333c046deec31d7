/* scratch.h - a directory of its own for each test, and functions that make files in it.
 *
 * Every function asserts that it succeeds.
 */
#ifndef BERTH_TESTS_SCRATCH_H
#define BERTH_TESTS_SCRATCH_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

struct scratch {
    char path[96];
    int home; /* the working directory before the test, which runs in the new one */
};

static inline int scratch_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    const char *base = getenv("TMPDIR");
    int size = snprintf(s->path, sizeof(s->path), "%s/berth-test-XXXXXX", base ? base : "/tmp");
    assert_true(size > 0 && (size_t)size < sizeof(s->path));
    assert_non_null(mkdtemp(s->path));
    assert_return_code(chmod(s->path, 0755), 0);
    s->home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(s->home >= 0);
    assert_return_code(chdir(s->path), 0);
    *state = s;
    return 0;
}

static inline int scratch_forget(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)walk;
    return kind == FTW_DP || kind == FTW_DNR ? rmdir(path) : unlink(path);
}

static inline int scratch_teardown(void **state)
{
    struct scratch *s = *state;
    assert_return_code(fchdir(s->home), 0);
    close(s->home);
    /* On FUSE, reading a large directory while it is emptied may skip names. */
    int left = -1;
    for (int attempt = 0; attempt < 5 && left != 0; attempt++)
        left = nftw(s->path, scratch_forget, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(left, 0);
    free(s);
    return 0;
}

/* Makes the directories that `path` passes through. */
static inline void scratch_parents(const char *path)
{
    char part[4096];
    snprintf(part, sizeof(part), "%s", path);
    for (char *at = part + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        mkdir(part, 0755);
        *at = '/';
    }
}

static inline void scratch_bytes(const char *path, const void *bytes, size_t size)
{
    scratch_parents(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    assert_return_code(close(fd), 0);
}

static inline void scratch_write(const char *path, const char *text)
{
    scratch_bytes(path, text, strlen(text));
}

static inline void scratch_link(const char *target, const char *path)
{
    scratch_parents(path);
    assert_return_code(symlink(target, path), 0);
}

/* Whether the files are on FUSE, as in containers of some engines: berth treats it as a remote file system. */
static inline bool scratch_is_fuse(void)
{
    struct statfs fs;
    assert_return_code(statfs(".", &fs), 0);
    return fs.f_type == 0x65735546;
}

static inline size_t scratch_count(const char *directory)
{
    size_t n = 0;
    char line[4096];
    FILE *file = fopen(directory, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        n++;
    fclose(file);
    return n;
}

#endif
