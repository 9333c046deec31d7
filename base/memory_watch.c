/* memory_watch.c - reads /proc/self/statm and /proc/meminfo, which stay open. */
#include "berth/base/memory_watch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN_PART 8 /* short when less than this part of the limit is left, */
#define MACHINE_PART 20 /* or less than this part of the machine's memory */
#define TEXT_ROOM 4096

struct memory_watch {
    uint64_t limit;
    int statm, meminfo; /* -1: cannot be read */
};

static int open_below(const char *root, const char *path)
{
    char full[PATH_MAX];
    int length = snprintf(full, sizeof(full), "%s%s", root, path);
    return length > 0 && (size_t)length < sizeof(full) ? open(full, O_RDONLY | O_CLOEXEC) : -1;
}

struct memory_watch *memory_watch_new(const char *root, uint64_t limit)
{
    struct memory_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->limit = limit;
    w->statm = open_below(root, "/proc/self/statm");
    w->meminfo = open_below(root, "/proc/meminfo");
    return w;
}

void memory_watch_free(struct memory_watch *w)
{
    if (!w)
        return;
    if (w->statm >= 0)
        close(w->statm);
    if (w->meminfo >= 0)
        close(w->meminfo);
    free(w);
}

static bool read_text(int fd, char out[TEXT_ROOM])
{
    ssize_t size = fd >= 0 ? pread(fd, out, TEXT_ROOM - 1, 0) : -1;
    out[size > 0 ? size : 0] = '\0';
    return size > 0;
}

/* statm: all, resident and shared (file) pages. */
static bool own_is_short(const struct memory_watch *w)
{
    char text[TEXT_ROOM];
    uint64_t all, resident, shared, page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (w->limit == 0 || !read_text(w->statm, text) ||
        sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &all, &resident, &shared) != 3 || shared > resident)
        return false;
    return (resident - shared) * page > w->limit - w->limit / OWN_PART;
}

/* Finds the number after a name at the beginning of a line. */
static bool find_kib(const char *text, const char *name, uint64_t *out)
{
    const char *at = strstr(text, name);
    return at && sscanf(at + strlen(name), " %" SCNu64, out) == 1;
}

static bool machine_is_short(const struct memory_watch *w)
{
    char text[TEXT_ROOM];
    uint64_t total, available;
    return read_text(w->meminfo, text) && find_kib(text, "MemTotal:", &total) &&
           find_kib(text, "MemAvailable:", &available) && available < total / MACHINE_PART;
}

bool memory_watch_is_short(struct memory_watch *w)
{
    return own_is_short(w) || machine_is_short(w);
}
