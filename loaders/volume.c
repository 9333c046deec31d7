/* volume.c - opens files and directories below the volume, and no others.
 *
 * There are two ways. The kernel's openat2 follows a path that may not leave the directory, in one step, so a rename
 * cannot interfere. But it refuses every absolute link, even one that points back into the volume, and old kernels and
 * strict sandboxes do not have it. Then the file is found through O_PATH, its real path is compared with the volume's, and
 * the file is opened by that path from the volume down without following links. It must be the file that was found.
 *
 * Every file is examined through O_PATH before it is opened for reading. That never blocks and has no side effect, while
 * opening a pipe or a device could have one.
 */
#include "berth/loaders/volume.h"

#include "berth/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_ROOM 200 /* for a name in a reason, which must leave room for the rest of the sentence */
#define WALK_ATTEMPTS 8

/* openat2(2), by its numbers: not every C library has its header. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#define RESOLVE_NO_MAGICLINKS 0x02u
#define RESOLVE_BENEATH 0x08u

struct open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

static int open_beneath(int dir, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int fd = -1;
    /* EAGAIN means that a rename elsewhere interfered with a ".." of the path. */
    for (int attempt = 0; attempt < WALK_ATTEMPTS; attempt++) {
        fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd;
}

static bool same_file(int a, int b)
{
    struct stat first, second;
    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static bool real_place(int fd, char out[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, out, PATH_MAX - 1);
    if (size < 0)
        return false;
    out[size] = '\0';
    return true;
}

/* The part of `place` below `root`, or NULL when it is not below. */
static const char *place_below(const char *root, const char *place)
{
    size_t size = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(root, place, size) != 0)
        return NULL;
    if (place[size] == '\0')
        return ".";
    return place[size] == '/' && place[size + 1] != '\0' ? place + size + 1 : NULL;
}

/* The second way. -1 with EXDEV when the file lies outside, ENOSYS when /proc does not show where it lies. */
static int open_by_place(int dir, const char *path, int flags)
{
    int found = openat(dir, path, O_PATH | O_CLOEXEC);
    if (found < 0)
        return -1;
    char root[PATH_MAX], place[PATH_MAX];
    bool placed = real_place(dir, root) && real_place(found, place);
    const char *below = placed ? place_below(root, place) : NULL;
    int fd = below ? openat(dir, below, flags | O_NOFOLLOW) : -1;
    int code = below ? errno : placed ? EXDEV : ENOSYS;
    if (fd >= 0 && !same_file(fd, found)) {
        close(fd);
        fd = -1;
        code = EXDEV;
    }
    close(found);
    errno = code;
    return fd;
}

static int reach(const struct volume *v, const char *path, int flags)
{
    flags |= O_CLOEXEC;
    if (v->anywhere)
        return openat(v->dir, path, flags);
    int fd = open_beneath(v->dir, path, flags);
    if (fd < 0 && (errno == EXDEV || errno == ENOSYS || errno == EPERM || errno == EAGAIN))
        fd = open_by_place(v->dir, path, flags);
    return fd;
}

static void printable(char out[NAME_ROOM], const char *name)
{
    text_escape(out, NAME_ROOM, span_of(name));
}

/* Where the last link on `path` points, made printable; false when there is none. */
static bool last_link(int dir, const char *path, char out[NAME_ROOM])
{
    char part[PATH_MAX], target[PATH_MAX];
    int size = snprintf(part, sizeof(part), "%s", path);
    if (size < 0 || (size_t)size >= sizeof(part))
        return false;
    for (;;) {
        ssize_t got = readlinkat(dir, part, target, sizeof(target) - 1);
        if (got >= 0) {
            target[got] = '\0';
            printable(out, target);
            return true;
        }
        char *slash = strrchr(part, '/');
        if (!slash || slash == part)
            return false;
        *slash = '\0';
    }
}

static bool is_link(int dir, const char *path)
{
    struct stat st;
    return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a pipe";
    if (S_ISSOCK(mode))
        return "a socket";
    return S_ISCHR(mode) || S_ISBLK(mode) ? "a device" : "of an unknown kind";
}

static void refuse_access(int dir, const char *path, const char *name, struct error *err)
{
    struct stat st;
    if (fstatat(dir, path, &st, 0) != 0) {
        error_set(err,
            "%s: cannot be reached by user id %u: Permission denied on a directory above it; "
            "make that searchable, e.g. chmod a+x",
            name, (unsigned)geteuid());
        return;
    }
    error_set(err,
        "%s: cannot be read by user id %u: Permission denied (owner %u, mode %04o); "
        "make it readable, e.g. chmod %s",
        name, (unsigned)geteuid(), (unsigned)st.st_uid, (unsigned)st.st_mode & 07777u,
        S_ISDIR(st.st_mode) ? "a+rx" : "a+r");
}

/* Says why `path` could not be opened. Returns -1. */
static int refuse(int dir, const char *path, int code, struct error *err)
{
    char name[NAME_ROOM], link[NAME_ROOM];
    printable(name, path);
    bool linked = last_link(dir, path, link);
    if (code == EACCES)
        refuse_access(dir, path, name, err);
    else if (code == EXDEV && linked)
        error_set(err, "%s: links to %s, outside the volume", name, link);
    else if (code == EXDEV)
        error_set(err, "%s: lies outside the volume", name);
    else if (code == ENOENT && linked && is_link(dir, path))
        error_set(err, "%s: broken link to %s", name, link);
    else if (code == ENOENT)
        error_set(err, "%s: is not there", name);
    else if (code == ELOOP && linked)
        error_set(err, "%s: links to %s, in a loop of links", name, link);
    else if (code == ENOTDIR)
        error_set(err, "%s: is not a directory, or leads through a file", name);
    else if (code == ENOSYS)
        error_set(err, "%s: cannot be opened: the system has neither openat2 nor /proc", name);
    else
        error_set(err, "%s: cannot be opened: %s", name, strerror(code));
    return -1;
}

static bool refuse_kind(const char *path, mode_t mode, const char *wanted, struct error *err)
{
    char name[NAME_ROOM];
    printable(name, path);
    return error_set(err, "%s: is %s, %s", name, kind_of(mode), wanted);
}

static bool regular(const struct volume *v, const char *path, int fd, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        refuse(v->dir, path, errno, err);
        return false;
    }
    return S_ISREG(st.st_mode) || refuse_kind(path, st.st_mode, "not a regular file", err);
}

int volume_open_file(const struct volume *v, const char *path, struct error *err)
{
    int place = reach(v, path, O_PATH);
    if (place < 0)
        return refuse(v->dir, path, errno, err);
    bool ok = regular(v, path, place, err);
    close(place);
    if (!ok)
        return -1;
    int fd = reach(v, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return refuse(v->dir, path, errno, err);
    if (!regular(v, path, fd, err)) {
        close(fd);
        return -1;
    }
    return fd;
}

int volume_open_dir(const struct volume *v, const char *path, struct error *err)
{
    int fd = reach(v, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    return fd < 0 ? refuse(v->dir, path, errno, err) : fd;
}

bool volume_stat(const struct volume *v, const char *path, struct stat *st, struct error *err)
{
    int place = reach(v, path, O_PATH);
    if (place < 0) {
        refuse(v->dir, path, errno, err);
        return false;
    }
    bool ok = fstat(place, st) == 0;
    if (!ok)
        refuse(v->dir, path, errno, err);
    close(place);
    return ok;
}

static enum volume_result volume_absent(const char *path, int code, struct error *err)
{
    refuse(AT_FDCWD, path, code, err);
    return code == ENOENT ? VOLUME_MISSING : VOLUME_REFUSED;
}

static bool keep_path(struct volume *v, const char *path, size_t size, struct error *err)
{
    while (size > 1 && path[size - 1] == '/')
        size--;
    v->path = strndup(path, size);
    return v->path ? true : error_set(err, "out of memory");
}

static bool keep_directory(struct volume *v, const char *path, struct error *err)
{
    v->dir = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    if (v->dir < 0) {
        refuse(AT_FDCWD, path, errno, err);
        return false;
    }
    return keep_path(v, path, strlen(path), err);
}

static bool keep_file(struct volume *v, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    bool kept = slash ? keep_path(v, path, (size_t)(slash - path) + 1, err) : keep_path(v, ".", 1, err);
    if (!kept)
        return false;
    v->anywhere = true;
    v->single = strdup(slash ? slash + 1 : path);
    if (!v->single)
        return error_set(err, "out of memory");
    /* The directory need not be readable, because only one file in it is opened. */
    v->dir = open(v->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (v->dir < 0)
        refuse(AT_FDCWD, v->path, errno, err);
    return v->dir >= 0;
}

enum volume_result volume_open(struct volume *v, const char *path, struct error *err)
{
    *v = (struct volume){.dir = -1};
    struct stat st;
    int place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0)
        return volume_absent(path, errno, err);
    bool examined = fstat(place, &st) == 0;
    int code = errno;
    close(place);
    if (!examined)
        return volume_absent(path, code, err);

    bool kept = false;
    if (S_ISDIR(st.st_mode))
        kept = keep_directory(v, path, err);
    else if (S_ISREG(st.st_mode))
        kept = keep_file(v, path, err);
    else
        refuse_kind(path, st.st_mode, "neither a directory nor a regular file", err);
    if (!kept)
        volume_close(v);
    return kept ? VOLUME_OPEN : VOLUME_REFUSED;
}

void volume_close(struct volume *v)
{
    if (v->dir >= 0)
        close(v->dir);
    free(v->path);
    free(v->single);
    *v = (struct volume){.dir = -1};
}
