/* limits.c - reads the affinity and the control groups, and keeps the smallest limit.
 *
 * A group's limit holds for all groups below it, so the limits of every group from the process's own up to the root are
 * read. Inside a container /proc/self/cgroup may have the host's path, which does not exist there. Then the root of the
 * mounted tree is the container's own group, so the root is read in any case.
 */
#include "berth/base/limits.h"

#include "berth/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define AFFINITY_MAX 65536 /* processors */
#define FILE_ROOM 16384

/* The files that hold one group's quota. */
struct quota {
    struct quota *next;
    bool v1;
    int fd, period_fd; /* -1: not open */
    char *file, *period_file; /* the latter in version 1 */
};

struct limits_watch {
    char *root;
    struct quota *quotas, **end; /* the process's own group first */
};

struct cgroup_search {
    struct limits *out; /* NULL: memory limits are not read */
    struct limits_watch *watch;
    const char *root;
};

/* Where a controller's groups are: version 2 has one tree, version 1 one for each controller. */
struct tree {
    const char *mount; /* "/sys/fs/cgroup/memory" */
    const char *group; /* "/kubepods/pod1" */
    void (*ask)(struct cgroup_search *s, const char *directory);
};

static int open_file(const char *root, const char *path)
{
    char full[PATH_MAX];
    int length = snprintf(full, sizeof(full), "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof(full))
        return -1;
    return open(full, O_RDONLY | O_CLOEXEC);
}

/* Reads the file from its beginning, even when it was read before. */
static bool read_open(int fd, char out[FILE_ROOM])
{
    size_t size = 0;
    ssize_t got = 0;
    while (size + 1 < FILE_ROOM && (got = pread(fd, out + size, FILE_ROOM - 1 - size, (off_t)size)) > 0)
        size += (size_t)got;
    out[size] = '\0';
    return got >= 0 && size > 0;
}

static bool read_file(const char *root, const char *path, char out[FILE_ROOM])
{
    int fd = open_file(root, path);
    if (fd < 0)
        return false;
    bool good = read_open(fd, out);
    close(fd);
    return good;
}

/* Reads a whole number at *text and moves *text after it. Returns false for anything else, also for a sign. */
static bool take_number(const char **text, uint64_t *out)
{
    if (**text < '0' || **text > '9')
        return false;
    char *end;
    errno = 0;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

static bool at_end(const char *text)
{
    return text[strspn(text, " \n")] == '\0';
}

static bool read_number(const char *root, const char *path, uint64_t *out)
{
    char text[FILE_ROOM];
    const char *at = text;
    return read_file(root, path, text) && take_number(&at, out) && at_end(at);
}

/* "directory/name"; false when it is too long. */
static bool file_in(char out[PATH_MAX], const char *directory, const char *name)
{
    int length = snprintf(out, PATH_MAX, "%s/%s", directory, name);
    return length > 0 && length < PATH_MAX;
}

/* Names a source in LIMITS_FROM bytes. A long path is cut at its beginning. */
static void tell(char out[LIMITS_FROM], const char *what, const char *path)
{
    size_t room = LIMITS_FROM - strlen(what) - sizeof(" (…)");
    size_t size = strlen(path);
    bool whole = size <= room;
    snprintf(out, LIMITS_FROM, "%s (%s%s)", what, whole ? "" : "…", whole ? path : path + (size - room));
}

static void found_memory(struct cgroup_search *s, uint64_t bytes, const char *file)
{
    /* In version 1, no limit is a number far above any machine's memory. */
    if (bytes == 0 || (s->out->memory && s->out->memory <= bytes))
        return;
    s->out->memory = bytes;
    tell(s->out->memory_from, "cgroup limit", file);
}

/* Adds a group that may have a quota. Without memory the group is left out. */
static void add_quota(struct cgroup_search *s, const char *directory, bool v1)
{
    char file[PATH_MAX], period_file[PATH_MAX];
    struct quota *q = calloc(1, sizeof(*q));
    if (!q)
        return;
    *q = (struct quota){.v1 = v1, .fd = -1, .period_fd = -1};
    if (file_in(file, directory, v1 ? "cpu.cfs_quota_us" : "cpu.max") &&
        file_in(period_file, directory, "cpu.cfs_period_us")) {
        q->file = strdup(file);
        q->period_file = strdup(period_file);
    }
    *s->watch->end = q;
    s->watch->end = &q->next;
}

static void ask_cpu_v2(struct cgroup_search *s, const char *directory)
{
    add_quota(s, directory, false);
}

static void ask_cpu_v1(struct cgroup_search *s, const char *directory)
{
    add_quota(s, directory, true);
}

static void ask_memory(struct cgroup_search *s, const char *directory, const char *name)
{
    char file[PATH_MAX];
    uint64_t bytes;
    if (s->out && file_in(file, directory, name) && read_number(s->root, file, &bytes))
        found_memory(s, bytes, file);
}

static void ask_v2(struct cgroup_search *s, const char *directory)
{
    ask_cpu_v2(s, directory);
    ask_memory(s, directory, "memory.max");
    /* The kernel slows a group above memory.high down, which is nearly as bad for a server as an end by memory.max. */
    ask_memory(s, directory, "memory.high");
}

static void ask_memory_v1(struct cgroup_search *s, const char *directory)
{
    ask_memory(s, directory, "memory.limit_in_bytes");
}

/* Reads the limits of the group and of all above it. With a path that has "..", of a group outside the mounted tree, only
 * those of the root. */
static void climb(struct cgroup_search *s, const struct tree *t)
{
    char directory[PATH_MAX];
    int length = snprintf(directory, sizeof(directory), "%s%s", t->mount, t->group);
    if (length < 0 || (size_t)length >= sizeof(directory) || strstr(t->group, ".."))
        length = snprintf(directory, sizeof(directory), "%s", t->mount);
    size_t top = strlen(t->mount);
    size_t end = (size_t)length;
    for (;;) {
        while (end > top && directory[end - 1] == '/')
            end--;
        directory[end] = '\0';
        t->ask(s, directory);
        if (end <= top)
            return;
        while (directory[end - 1] != '/')
            end--;
    }
}

static bool lists(const char *controllers, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = controllers; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == size && strncmp(at, name, size) == 0)
            return true;
    return false;
}

/* A version 1 tree is mounted under its controllers' names ("cpu,cpuacct"), and often under each alone. */
static void ask_v1(struct cgroup_search *s, const char *controllers, const char *group)
{
    static const struct {
        const char *name;
        void (*ask)(struct cgroup_search *s, const char *directory);
    } known[] = {{"cpu", ask_cpu_v1}, {"memory", ask_memory_v1}};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (!lists(controllers, known[i].name))
            continue;
        char mount[PATH_MAX];
        if (file_in(mount, CGROUP_ROOT, controllers))
            climb(s, &(struct tree){.mount = mount, .group = group, .ask = known[i].ask});
        if (strcmp(controllers, known[i].name) != 0 && file_in(mount, CGROUP_ROOT, known[i].name))
            climb(s, &(struct tree){.mount = mount, .group = group, .ask = known[i].ask});
    }
}

/* One line of /proc/self/cgroup: "4:memory:/pod", or "0::/pod" for version 2. */
static void ask_line(struct cgroup_search *s, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return;
    *group++ = '\0';
    controllers++;
    if (*controllers) {
        ask_v1(s, controllers, group);
        return;
    }
    climb(s, &(struct tree){.mount = CGROUP_ROOT, .group = group, .ask = ask_v2});
    climb(s, &(struct tree){.mount = CGROUP_ROOT "/unified", .group = group, .ask = ask_v2});
}

static void ask_cgroups(struct cgroup_search *s)
{
    char text[FILE_ROOM], *rest = NULL;
    if (!read_file(s->root, "/proc/self/cgroup", text)) {
        ask_v2(s, CGROUP_ROOT);
        return;
    }
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        ask_line(s, line);
}

/* ---- processors ---- */

static bool read_kept(const struct limits_watch *w, int *fd, const char *file, char out[FILE_ROOM])
{
    if (*fd < 0 && file)
        *fd = open_file(w->root, file);
    return *fd >= 0 && read_open(*fd, out);
}

/* "150000 100000" in cpu.max: microseconds of processor time in every period of so many. "max" in place of the first
 * means no limit. Version 1 has a file for each, and -1 for no limit. */
static bool read_quota(const struct limits_watch *w, struct quota *q, uint64_t *quota, uint64_t *period)
{
    char text[FILE_ROOM];
    const char *at = text;
    if (!read_kept(w, &q->fd, q->file, text) || !take_number(&at, quota))
        return false;
    if (q->v1) {
        if (!at_end(at) || !read_kept(w, &q->period_fd, q->period_file, text))
            return false;
        at = text;
    } else {
        at += *at == ' ';
    }
    return take_number(&at, period) && at_end(at) && *quota > 0 && *period > 0;
}

/* Returns the smallest of all quotas, in processors, and the group that has it. 0 when there is none. */
static double smallest_quota(struct limits_watch *w, const char **file)
{
    double smallest = 0;
    uint64_t quota, period;
    for (struct quota *q = w->quotas; q; q = q->next) {
        if (!read_quota(w, q, &quota, &period))
            continue;
        double cpus = (double)quota / (double)period;
        if (smallest > 0 && smallest <= cpus)
            continue;
        smallest = cpus;
        *file = q->file;
    }
    return smallest;
}

/* Reads the affinity of the main thread, on any thread: a tool that changes the affinity of a process changes at least
 * that thread's. */
static unsigned affinity(void)
{
    for (size_t room = CPU_SETSIZE; room <= AFFINITY_MAX; room *= 2) {
        cpu_set_t *set = CPU_ALLOC(room);
        size_t size = CPU_ALLOC_SIZE(room);
        if (!set)
            break;
        int count = sched_getaffinity(getpid(), size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

unsigned limits_watch_cpus(struct limits_watch *w, char from[LIMITS_FROM])
{
    unsigned cpus = affinity();
    const char *file = NULL;
    char what[48];
    double quota = smallest_quota(w, &file);
    if (quota <= 0 || quota >= cpus) {
        snprintf(from, LIMITS_FROM, "affinity of %u", cpus);
        return cpus;
    }
    snprintf(what, sizeof(what), "cgroup quota of %.2f", quota);
    tell(from, what, file);
    return quota < 1 ? 1 : (unsigned)quota;
}

static struct limits_watch *watch_groups(const char *root, struct limits *out)
{
    struct limits_watch *w = calloc(1, sizeof(*w));
    char *kept = strdup(root);
    if (!w || !kept) {
        free(w);
        free(kept);
        return NULL;
    }
    *w = (struct limits_watch){.root = kept, .end = &w->quotas};
    ask_cgroups(&(struct cgroup_search){.out = out, .watch = w, .root = root});
    return w;
}

struct limits_watch *limits_watch_new(const char *root)
{
    char text[FILE_ROOM];
    struct limits_watch *w = watch_groups(root, NULL);
    for (struct quota *q = w ? w->quotas : NULL; q; q = q->next) {
        read_kept(w, &q->fd, q->file, text);
        if (q->v1)
            read_kept(w, &q->period_fd, q->period_file, text);
    }
    return w;
}

void limits_watch_free(struct limits_watch *w)
{
    if (!w)
        return;
    for (struct quota *q = w->quotas, *next; q; q = next) {
        next = q->next;
        if (q->fd >= 0)
            close(q->fd);
        if (q->period_fd >= 0)
            close(q->period_fd);
        free(q->file);
        free(q->period_file);
        free(q);
    }
    free(w->root);
    free(w);
}

/* ---- all of it ---- */

static void machine_memory(struct limits *out, const char *root)
{
    char text[FILE_ROOM];
    uint64_t kib = 0;
    const char *at = read_file(root, "/proc/meminfo", text) ? strstr(text, "MemTotal:") : NULL;
    if (at) {
        at += strlen("MemTotal:");
        at += strspn(at, " ");
    }
    if (at && take_number(&at, &kib) && kib < UINT64_MAX / 1024) {
        out->memory = kib * 1024;
    } else {
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        out->memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    }
    snprintf(out->memory_from, sizeof(out->memory_from), "the machine");
}

void limits_read(struct limits *out, const char *root)
{
    struct limits_watch none = {0};
    *out = (struct limits){0};
    machine_memory(out, root);
    struct limits_watch *w = watch_groups(root, out);
    out->cpus = limits_watch_cpus(w ? w : &none, out->cpus_from);
    limits_watch_free(w);
}
