/* mapping.c - maps files, and keeps the process alive when one of them changes.
 *
 * The SIGBUS handler must not use locks or the heap. It finds the live maps in a fixed table of atomics. A slot's size is
 * written before its address, the address is cleared first when a slot is freed, and the handler reads the address again
 * after the size: so it never pairs the size of one map with the address of another. Zero pages are mapped over the whole
 * map at once: one page at a time would split a large map into more areas than the kernel allows.
 */
#include "berth/loaders/mapping.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LARGE_PAGE ((size_t)2 << 20)
#define READ_SLICE ((size_t)8 << 20)
#define POPULATE_SLICE ((size_t)32 << 20)
#define POPULATE_READ 22 /* MADV_POPULATE_READ, Linux 5.14 */
#define NAME_ROOM 200

static_assert(ATOMIC_POINTER_LOCK_FREE == 2, "the signal handler needs atomics without locks");
static_assert(ATOMIC_LONG_LOCK_FREE == 2 && ATOMIC_BOOL_LOCK_FREE == 2, "likewise");

/* Values of a slot's start that are no address. */
enum { SLOT_FREE, SLOT_TAKEN };

struct mapping_slot {
    atomic_uintptr_t start;
    atomic_size_t size; /* in whole pages */
    atomic_bool lost;
    atomic_ulong resident; /* bytes, as last measured */
};

static struct mapping_slot slots[MAPPING_MAX];
static atomic_size_t slots_used; /* the slots from here on were never taken */
static size_t slots_most = MAPPING_MAX;
static char slots_reason[200] = "too many files are mapped at once";

/* How a file has changed since it was opened. The first change that is seen stays. */
enum change { UNCHANGED, CHANGE_CUT, CHANGE_GREW, CHANGE_REWRITTEN, CHANGE_UNREADABLE, CHANGE_GONE };

struct mapping {
    int fd;
    char *name;
    struct mapping_slot *slot; /* NULL until the file is mapped */
    uint8_t *bytes;
    size_t size, whole; /* of the file; rounded up to pages */
    struct stat opened_stat; /* of the file when it was opened */
    atomic_int change;
};

static struct mapping_slot *slot_take(void)
{
    for (size_t i = 0; i < slots_most; i++) {
        uintptr_t start = SLOT_FREE;
        if (!atomic_compare_exchange_strong(&slots[i].start, &start, SLOT_TAKEN))
            continue;
        size_t used = atomic_load(&slots_used);
        while (used <= i && !atomic_compare_exchange_weak(&slots_used, &used, i + 1))
            ;
        return &slots[i];
    }
    return NULL;
}

static void slot_show(struct mapping_slot *s, uintptr_t start, size_t size)
{
    atomic_store(&s->lost, false);
    atomic_store(&s->resident, 0);
    atomic_store(&s->size, size);
    atomic_store(&s->start, start);
}

/* The live map that holds `address`, or NULL. Called by the signal handler. */
static struct mapping_slot *slot_find(uintptr_t address)
{
    size_t used = atomic_load(&slots_used);
    for (size_t i = 0; i < used; i++) {
        uintptr_t start = atomic_load(&slots[i].start);
        size_t size = atomic_load(&slots[i].size);
        if (start > SLOT_TAKEN && address - start < size && atomic_load(&slots[i].start) == start)
            return &slots[i];
    }
    return NULL;
}

/* Marks the map lost before its pages become zeros, so that no thread reads zeros from a map that is not marked. The
 * system call is made directly, because the C library's mmap may wait for a lock. */
static bool slot_lose(struct mapping_slot *s)
{
    atomic_store(&s->lost, true);
    uintptr_t start = atomic_load(&s->start);
    long got = syscall(SYS_mmap, start, atomic_load(&s->size), PROT_READ,
        MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
    return (uintptr_t)got == start;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    bool fault = info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR || info->si_code == BUS_MCEERR_AR;
    struct mapping_slot *s = fault ? slot_find((uintptr_t)info->si_addr) : NULL;
    if (!s || !slot_lose(s)) {
        /* Not in a mapping: a bug. The instruction runs again, faults again and ends the process at that place. */
        signal(number, SIG_DFL);
        if (!fault)
            raise(number);
    }
    errno = saved;
}

bool mapping_guard(struct error *err)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL) != 0)
        return error_set(err, "cannot install the handler of SIGBUS: %s", strerror(errno));
    return true;
}

void mapping_limit(size_t most, const char *why)
{
    slots_most = most < MAPPING_MAX ? most : MAPPING_MAX;
    snprintf(slots_reason, sizeof(slots_reason), "%s", why);
}

static bool complain(const struct mapping *m, struct error *err, const char *reason)
{
    char name[NAME_ROOM];
    text_escape(name, sizeof(name), span_of(m->name));
    return error_set(err, "%s: %s", name, reason);
}

static bool complain_errno(const struct mapping *m, struct error *err, const char *what)
{
    char reason[128];
    snprintf(reason, sizeof(reason), "%s: %s", what, strerror(errno));
    return complain(m, err, reason);
}

static bool examine(struct mapping *m, struct error *err)
{
    if (fstat(m->fd, &m->opened_stat) != 0)
        return complain_errno(m, err, "cannot be examined");
    if (!S_ISREG(m->opened_stat.st_mode))
        return complain(m, err, "is not a regular file");
    if (m->opened_stat.st_size <= 0)
        return complain(m, err, "is empty");
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t size = (uint64_t)m->opened_stat.st_size;
    if (size > SIZE_MAX / 2)
        return complain(m, err, "is too large for this machine's addresses");
    m->size = (size_t)size;
    m->whole = (m->size + page - 1) / page * page;
    return true;
}

/* Maps at the boundary of a large page: reserves more addresses than needed, and unmaps those before and after. */
static void *map_aligned(int fd, size_t whole)
{
    size_t reserved = whole + LARGE_PAGE;
    void *room = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    uint8_t *first = room;
    size_t before = (LARGE_PAGE - (uintptr_t)first % LARGE_PAGE) % LARGE_PAGE;
    uint8_t *start = first + before;
    if (before > 0)
        munmap(first, before);
    munmap(start + whole, LARGE_PAGE - before);
    void *map = mmap(start, whole, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
    if (map == MAP_FAILED) {
        int code = errno;
        munmap(start, whole);
        errno = code;
    }
    return map;
}

static bool map_file(struct mapping *m, struct error *err)
{
    struct mapping_slot *slot = slot_take();
    if (!slot)
        return complain(m, err, slots_reason);
    void *map = m->size < LARGE_PAGE ? mmap(NULL, m->whole, PROT_READ, MAP_PRIVATE, m->fd, 0)
                                     : map_aligned(m->fd, m->whole);
    if (map == MAP_FAILED) {
        atomic_store(&slot->start, SLOT_FREE);
        return complain_errno(m, err, "cannot be mapped");
    }
    m->slot = slot;
    m->bytes = map;
    slot_show(slot, (uintptr_t)map, m->whole);
    /* Advice: the map works without it. */
    madvise(map, m->whole, MADV_HUGEPAGE);
    madvise(map, m->whole, MADV_DONTDUMP);
    return true;
}

struct mapping *mapping_open(int fd, const char *name, struct error *err)
{
    struct mapping *m = calloc(1, sizeof(*m));
    char *copy = strdup(name);
    if (!m || !copy) {
        free(m);
        free(copy);
        close(fd);
        error_set(err, "out of memory");
        return NULL;
    }
    m->fd = fd;
    m->name = copy;
    if (!examine(m, err) || !map_file(m, err)) {
        mapping_close(m);
        return NULL;
    }
    return m;
}

void mapping_close(struct mapping *m)
{
    if (!m)
        return;
    /* The slot is freed first: once the addresses are unmapped they may be used for something else. */
    if (m->slot) {
        atomic_store(&m->slot->start, SLOT_FREE);
        munmap(m->bytes, m->whole);
    }
    close(m->fd);
    free(m->name);
    free(m);
}

struct span mapping_bytes(const struct mapping *m)
{
    return (struct span){.at = m->bytes, .size = m->size};
}

const char *mapping_name(const struct mapping *m)
{
    return m->name;
}

int64_t mapping_modified(const struct mapping *m)
{
    return (int64_t)m->opened_stat.st_mtim.tv_sec;
}

static enum change compare(const struct mapping *m)
{
    struct stat now;
    if (fstat(m->fd, &now) != 0)
        return CHANGE_GONE;
    if (now.st_size != m->opened_stat.st_size)
        return now.st_size < m->opened_stat.st_size ? CHANGE_CUT : CHANGE_GREW;
    if (now.st_mtim.tv_sec != m->opened_stat.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != m->opened_stat.st_mtim.tv_nsec || now.st_dev != m->opened_stat.st_dev ||
        now.st_ino != m->opened_stat.st_ino)
        return CHANGE_REWRITTEN;
    return atomic_load(&m->slot->lost) ? CHANGE_UNREADABLE : UNCHANGED;
}

bool mapping_intact(struct mapping *m, struct error *err)
{
    static const char *const reasons[] = {
        [CHANGE_CUT] = "was cut short while it was mapped; replace a file by rename",
        [CHANGE_GREW] = "grew while it was mapped; replace a file by rename",
        [CHANGE_REWRITTEN] = "was rewritten in place while it was mapped; replace a file by rename",
        [CHANGE_UNREADABLE] = "could not be read from its file system while it was mapped",
        [CHANGE_GONE] = "could not be examined any more while it was mapped",
    };
    int change = atomic_load(&m->change);
    if (change == UNCHANGED) {
        int seen = (int)compare(m);
        if (seen == UNCHANGED)
            return true;
        /* On failure `change` is set to the change that another thread saw first. */
        if (atomic_compare_exchange_strong(&m->change, &change, seen))
            change = seen;
    }
    return complain(m, err, reasons[change]);
}

bool mapping_is_remote(const struct mapping *m)
{
    static const uint32_t remote[] = {
        0x00006969, /* NFS */
        0x0000517b, /* SMB */
        0xff534d42, /* CIFS */
        0xfe534d42, /* SMB 2 and 3 */
        0x01021997, /* 9p */
        0x65735546, /* FUSE, virtiofs */
        0x00c36400, /* Ceph */
        0x0bd00bd0, /* Lustre */
        0x47504653, /* GPFS */
        0x5346414f, /* AFS */
    };
    struct statfs fs;
    if (fstatfs(m->fd, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof(remote) / sizeof(*remote); i++)
        if ((uint32_t)fs.f_type == remote[i])
            return true;
    return false;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool goes_on(const struct mapping *m, mapping_progress progress, void *context, size_t done)
{
    return !progress || progress(context, done, m->size);
}

bool mapping_read_ahead(struct mapping *m, mapping_progress progress, void *context, struct error *err)
{
    size_t room = smaller(m->size, READ_SLICE);
    void *buffer = malloc(room);
    if (!buffer)
        return error_set(err, "out of memory");
    bool ok = true;
    for (size_t done = 0; ok && done < m->size;) {
        ssize_t got = pread(m->fd, buffer, smaller(room, m->size - done), (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            ok = complain_errno(m, err, "cannot be read");
        else if (got == 0)
            ok = complain(m, err, "was cut short while it was read");
        else
            ok = goes_on(m, progress, context, done += (size_t)got);
    }
    free(buffer);
    return ok;
}

bool mapping_prefault(struct mapping *m, mapping_progress progress, void *context, struct error *err)
{
    for (size_t done = 0; done < m->whole;) {
        size_t slice = smaller(POPULATE_SLICE, m->whole - done);
        if (madvise(m->bytes + done, slice, POPULATE_READ) != 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            if (errno == EINVAL || errno == ENOSYS)
                return mapping_read_ahead(m, progress, context, err);
            return complain_errno(m, err, "cannot be read into memory");
        }
        done += slice;
        if (!goes_on(m, progress, context, smaller(done, m->size)))
            return false;
    }
    return mapping_intact(m, err);
}

/* A live map while it is measured. */
struct measure {
    struct mapping_slot *slot;
    uintptr_t start;
    size_t size;
    uint64_t resident;
};

static int measure_order(const void *a, const void *b)
{
    const struct measure *first = a, *second = b;
    return (first->start > second->start) - (first->start < second->start);
}

static size_t measure_start(struct measure *list, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < room; i++) {
        struct measure live = {
            .slot = &slots[i],
            .start = atomic_load(&slots[i].start),
            .size = atomic_load(&slots[i].size),
        };
        if (live.start > SLOT_TAKEN)
            list[n++] = live;
    }
    qsort(list, n, sizeof(*list), measure_order);
    return n;
}

static struct measure *measure_find(struct measure *list, size_t n, uintptr_t address)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address - list[low - 1].start < list[low - 1].size ? &list[low - 1] : NULL;
}

/* An area begins with a line "7f0c00000000-7f0c40000000 r--p …"; lines with its figures follow, one of which is
 * "Rss: 1024 kB". A map may consist of several areas. */
static void measure_read(FILE *smaps, struct measure *list, size_t n)
{
    char *line = NULL;
    size_t room = 0;
    struct measure *at = NULL;
    while (getline(&line, &room, smaps) >= 0) {
        if (strncmp(line, "Rss:", 4) == 0 && at) {
            at->resident += strtoull(line + 4, NULL, 10) * 1024;
        } else if (line[0] < 'A' || line[0] > 'Z') {
            at = measure_find(list, n, (uintptr_t)strtoull(line, NULL, 16));
        }
    }
    free(line);
}

/* Needs no lock: when two threads measure at the same time, either result may stay. */
void mapping_measure(void)
{
    size_t room = atomic_load(&slots_used);
    struct measure *list = room > 0 ? malloc(room * sizeof(*list)) : NULL;
    FILE *smaps = list ? fopen("/proc/self/smaps", "re") : NULL;
    if (smaps) {
        size_t n = measure_start(list, room);
        measure_read(smaps, list, n);
        for (size_t i = 0; i < n; i++)
            if (atomic_load(&list[i].slot->start) == list[i].start)
                atomic_store(&list[i].slot->resident, (unsigned long)list[i].resident);
        fclose(smaps);
    }
    free(list);
}

uint64_t mapping_resident(const struct mapping *m)
{
    return atomic_load(&m->slot->resident);
}
