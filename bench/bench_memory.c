/* bench_memory.c - measures a server's memory with a number of idle connections.
 *
 * Opens the connections, makes one request on each, keeps all of them open and reads the memory of the process from
 * /proc. Private memory is what the machine gets back when the process ends: pages that no other process and no second
 * copy of the server shares. Pages of a mapped model are shared with the page cache, but count as private clean when
 * only one process has touched them. So measure on an empty volume.
 *
 * Prints one JSON object on a line, in KiB.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct memory {
    long rss, pss, private_clean, private_dirty;
};

static bool read_memory(long pid, struct memory *m, struct error *err)
{
    const struct {
        const char *name;
        long *kib;
    } lines[] = {
        {"Rss:", &m->rss},
        {"Pss:", &m->pss},
        {"Private_Clean:", &m->private_clean},
        {"Private_Dirty:", &m->private_dirty},
    };
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
    FILE *f = fopen(path, "re");
    size_t found = 0;
    while (f && fgets(line, sizeof(line), f))
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
            if (strncmp(line, lines[i].name, strlen(lines[i].name)) == 0) {
                *lines[i].kib = strtol(line + strlen(lines[i].name), NULL, 10);
                found++;
            }
    if (f)
        fclose(f);
    return found == sizeof(lines) / sizeof(lines[0]) || error_set(err, "%s cannot be read", path);
}

/* The connections stay open until this process ends. */
static bool sit(unsigned port, int n_connections, struct error *err)
{
    static const char path[] = "/health";
    char request[256];
    size_t size = client_request(request, sizeof(request), path, true);
    for (int i = 0; i < n_connections; i++) {
        int fd = client_connect(port);
        if (fd < 0)
            return error_set(err, "connection %d: %s", i + 1, strerror(errno));
        int status = client_ask(fd, request, size, err);
        if (status != 200)
            return error_prefix(err, "connection %d: status %d for %s", i + 1, status, path);
    }
    return true;
}

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    struct memory m = {0};
    struct error err = {0};
    double port = 0, pid = 0, connections = 1;
    const struct flag flags[] = {
        {.name = "--port", .number = &port, .least = 1},
        {.name = "--pid", .number = &pid, .least = 1},
        {.name = "--connections", .number = &connections, .least = 1},
        {0},
    };
    int used = client_flags(flags, argc, argv, &err);
    if (used != argc || port == 0 || pid == 0) {
        fprintf(stderr, "bench_memory: %s\nusage: bench_memory --port PORT --pid PID [--connections 1]\n",
            used < 0 ? err.text : "--port and --pid are wanted");
        return 2;
    }
    raise_file_limit();
    if (!sit((unsigned)port, (int)connections, &err) || !read_memory((long)pid, &m, &err)) {
        fprintf(stderr, "bench_memory: %s\n", err.text);
        return 1;
    }
    printf("{\"connections\":%d,\"rss_kib\":%ld,\"pss_kib\":%ld,\"private_kib\":%ld}\n", (int)connections,
        m.rss, m.pss, m.private_clean + m.private_dirty);
    return 0;
}
