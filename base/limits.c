/* limits.c - asks the scheduler and the control groups, and keeps the smallest answer.
 *
 * A group's limit holds for all groups below it, so every group from the process's own up to the root is
 * asked. Inside a container the path in /proc/self/cgroup may be that of the host, which is not to be seen
 * there; the root of what is seen is then the container's own group, and is asked in any case.
 */
#include "berth/limits.h"

#include "berth/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define AFFINITY_MAX 65536 /* processors */
#define FILE_ROOM 16384

struct search {
    struct limits *out;
    const char *root;
    double quota; /* in processors; 0 while none was found */
    char quota_file[PATH_MAX];
};

/* Where a controller's groups are: version 2 has one tree, version 1 one for each controller. */
struct tree {
    const char *mount; /* "/sys/fs/cgroup/memory" */
    const char *group; /* "/kubepods/pod1" */
    void (*ask)(struct search *s, const char *directory);
};

static bool read_file(const char *root, const char *path, char out[FILE_ROOM])
{
    char full[PATH_MAX];
    int length = snprintf(full, sizeof(full), "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof(full))
        return false;
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t size = 0;
    ssize_t got = 0;
    while (size + 1 < FILE_ROOM && (got = read(fd, out + size, FILE_ROOM - 1 - size)) > 0)
        size += (size_t)got;
    close(fd);
    out[size] = '\0';
    return got >= 0 && size > 0;
}

/* A whole number at *text, which moves behind it. False for anything else, a sign included. */
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

/* Names a source within the few bytes there are; of a long path the end tells more. */
static void tell(char out[96], const char *what, const char *path)
{
    size_t room = 96 - strlen(what) - sizeof(" (…)");
    size_t size = strlen(path);
    bool whole = size <= room;
    snprintf(out, 96, "%s (%s%s)", what, whole ? "" : "…", whole ? path : path + (size - room));
}

static void found_quota(struct search *s, uint64_t quota, uint64_t period, const char *file)
{
    if (quota == 0 || period == 0)
        return;
    double cpus = (double)quota / (double)period;
    if (s->quota > 0 && s->quota <= cpus)
        return;
    s->quota = cpus;
    snprintf(s->quota_file, sizeof(s->quota_file), "%s", file);
}

static void found_memory(struct search *s, uint64_t bytes, const char *file)
{
    /* No limit is a number far above any machine's memory in version 1. */
    if (bytes == 0 || (s->out->memory && s->out->memory <= bytes))
        return;
    s->out->memory = bytes;
    tell(s->out->memory_from, "cgroup limit", file);
}

/* "150000 100000": so many microseconds in every period of so many. "max" in front means no limit. */
static void ask_cpu_v2(struct search *s, const char *directory)
{
    char file[PATH_MAX], text[FILE_ROOM];
    const char *at = text;
    uint64_t quota, period;
    if (!file_in(file, directory, "cpu.max") || !read_file(s->root, file, text) || !take_number(&at, &quota))
        return;
    at += *at == ' ';
    if (take_number(&at, &period) && at_end(at))
        found_quota(s, quota, period, file);
}

static void ask_memory(struct search *s, const char *directory, const char *name)
{
    char file[PATH_MAX];
    uint64_t bytes;
    if (file_in(file, directory, name) && read_number(s->root, file, &bytes))
        found_memory(s, bytes, file);
}

static void ask_v2(struct search *s, const char *directory)
{
    ask_cpu_v2(s, directory);
    ask_memory(s, directory, "memory.max");
    /* Above memory.high a group is not killed but made to wait: for a server much the same. */
    ask_memory(s, directory, "memory.high");
}

static void ask_cpu_v1(struct search *s, const char *directory)
{
    char quota_file[PATH_MAX], period_file[PATH_MAX];
    uint64_t quota, period;
    if (file_in(quota_file, directory, "cpu.cfs_quota_us") && read_number(s->root, quota_file, &quota) &&
        file_in(period_file, directory, "cpu.cfs_period_us") && read_number(s->root, period_file, &period))
        found_quota(s, quota, period, quota_file);
}

static void ask_memory_v1(struct search *s, const char *directory)
{
    ask_memory(s, directory, "memory.limit_in_bytes");
}

/* Asks the group and all above it. A path that climbs is the host's business: only the root is asked then. */
static void climb(struct search *s, const struct tree *t)
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
static void ask_v1(struct search *s, const char *controllers, const char *group)
{
    static const struct {
        const char *name;
        void (*ask)(struct search *s, const char *directory);
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
static void ask_line(struct search *s, char *line)
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

static void ask_cgroups(struct search *s)
{
    char text[FILE_ROOM], *rest = NULL;
    if (!read_file(s->root, "/proc/self/cgroup", text)) {
        ask_v2(s, CGROUP_ROOT);
        return;
    }
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        ask_line(s, line);
}

static unsigned affinity(void)
{
    for (size_t room = CPU_SETSIZE; room <= AFFINITY_MAX; room *= 2) {
        cpu_set_t *set = CPU_ALLOC(room);
        size_t size = CPU_ALLOC_SIZE(room);
        if (!set)
            break;
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

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
    *out = (struct limits){.cpus = affinity()};
    snprintf(out->cpus_from, sizeof(out->cpus_from), "affinity of %u", out->cpus);
    machine_memory(out, root);

    struct search s = {.out = out, .root = root};
    ask_cgroups(&s);
    if (s.quota <= 0 || s.quota >= out->cpus)
        return;
    char what[48];
    snprintf(what, sizeof(what), "cgroup quota of %.2f", s.quota);
    tell(out->cpus_from, what, s.quota_file);
    out->cpus = s.quota < 1 ? 1 : (unsigned)s.quota;
}
