/* test_mapping.c - files that stay, change, shrink and vanish while they are mapped. */
#include "scratch.h"

#include "berth/loaders/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define MIB ((size_t)1 << 20)

/* Also installs the handler of SIGBUS, because cmocka installs its own for each test. */
static struct mapping *map(const char *path)
{
    struct error err = {0};
    assert_true(mapping_guard(&err));
    struct mapping *m = mapping_open(open(path, O_RDONLY | O_CLOEXEC), path, &err);
    assert_string_equal(err.text, "");
    assert_non_null(m);
    return m;
}

/* A file of `size` bytes, each of them 1. */
static void write_ones(const char *path, size_t size)
{
    uint8_t *ones = malloc(size);
    assert_non_null(ones);
    memset(ones, 1, size);
    scratch_bytes(path, ones, size);
    free(ones);
}

static uint64_t sum(struct span s)
{
    uint64_t total = 0;
    for (size_t i = 0; i < s.size; i++)
        total += s.at[i];
    return total;
}

static void expect_intact(struct mapping *m)
{
    struct error err = {0};
    assert_true(mapping_intact(m, &err));
    assert_string_equal(err.text, "");
}

static void expect_changed(struct mapping *m, const char *reason)
{
    struct error err = {0};
    assert_false(mapping_intact(m, &err));
    assert_non_null(strstr(err.text, reason));
    assert_non_null(strstr(err.text, mapping_name(m)));
}

/* Waits until a second write changes the file's time. */
static void wait_for_the_clock(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void overwrite(const char *path, off_t at, const char *text)
{
    wait_for_the_clock();
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
    close(fd);
}

static void test_a_map_shows_the_file_and_no_byte_more(void **state)
{
    (void)state;
    scratch_write("model.bin", "weights");
    struct mapping *m = map("model.bin");
    assert_int_equal(mapping_bytes(m).size, 7);
    assert_memory_equal(mapping_bytes(m).at, "weights", 7);
    assert_string_equal(mapping_name(m), "model.bin");
    expect_intact(m);
    mapping_close(m);
}

static void test_large_files_lie_at_a_large_page(void **state)
{
    (void)state;
    write_ones("model.bin", 3 * MIB + 5);
    struct mapping *m = map("model.bin");
    assert_int_equal((uintptr_t)mapping_bytes(m).at % (2 * MIB), 0);
    assert_int_equal(sum(mapping_bytes(m)), 3 * MIB + 5);
    mapping_close(m);
}

static void test_empty_files_and_directories_are_refused_and_closed(void **state)
{
    (void)state;
    struct error err = {0};
    scratch_write("empty.bin", "");
    int fd = open("empty.bin", O_RDONLY | O_CLOEXEC);
    assert_null(mapping_open(fd, "empty.bin", &err));
    assert_string_equal(err.text, "empty.bin: is empty");
    assert_int_equal(fcntl(fd, F_GETFD), -1);

    fd = open(".", O_RDONLY | O_CLOEXEC);
    assert_null(mapping_open(fd, "a\nb", &err));
    assert_string_equal(err.text, "a\\x0ab: is not a regular file");
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_a_file_too_large_for_the_address_space_is_refused(void **state)
{
    (void)state;
    struct rlimit old, small;
    struct error err = {0};
    scratch_write("model.bin", "x");
    assert_return_code(truncate("model.bin", (off_t)(4096 * MIB)), errno);
    assert_return_code(getrlimit(RLIMIT_AS, &old), errno);
    small = (struct rlimit){.rlim_cur = 2048 * MIB, .rlim_max = old.rlim_max};
    int fd = open("model.bin", O_RDONLY | O_CLOEXEC);
    assert_return_code(setrlimit(RLIMIT_AS, &small), errno);
    struct mapping *m = mapping_open(fd, "model.bin", &err);
    assert_return_code(setrlimit(RLIMIT_AS, &old), errno);
    assert_null(m);
    assert_string_equal(err.text, "model.bin: cannot be mapped: Cannot allocate memory");
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_eight_sparse_gibibytes_are_mapped(void **state)
{
    (void)state;
    scratch_write("model.bin", "first");
    assert_return_code(truncate("model.bin", (off_t)(8192 * MIB)), errno);
    overwrite("model.bin", (off_t)(8192 * MIB - 4), "last");
    struct mapping *m = map("model.bin");
    struct span s = mapping_bytes(m);
    assert_int_equal(s.size, 8192 * MIB);
    assert_memory_equal(s.at, "first", 5);
    assert_memory_equal(s.at + s.size - 4, "last", 4);
    mapping_close(m);
}

struct reader {
    struct span bytes;
    atomic_bool *stop;
    atomic_uint *passes;
    atomic_ulong *last; /* sum: what is computed must be used, or the compiler leaves it out */
};

static void *read_on(void *argument)
{
    struct reader *r = argument;
    while (!atomic_load(r->stop)) {
        atomic_store(r->last, sum(r->bytes));
        atomic_fetch_add(r->passes, 1);
    }
    return NULL;
}

static void let_pass(atomic_uint *passes, unsigned n)
{
    unsigned target = atomic_load(passes) + n;
    while (atomic_load(passes) < target)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void test_a_file_cut_in_half_under_two_readers_is_survived_and_told(void **state)
{
    (void)state;
    atomic_bool stop = false;
    atomic_uint passes = 0;
    atomic_ulong last = 0;
    pthread_t threads[2];
    write_ones("model.bin", 32 * MIB);
    struct mapping *m = map("model.bin");
    struct reader reader = {.bytes = mapping_bytes(m), .stop = &stop, .passes = &passes, .last = &last};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &reader), 0);
    let_pass(&passes, 2);
    assert_int_equal(atomic_load(&last), 32 * MIB);
    assert_return_code(truncate("model.bin", (off_t)(16 * MIB)), errno);
    let_pass(&passes, 6);
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&last), 0);
    assert_int_equal(sum(mapping_bytes(m)), 0);
    expect_changed(m, "was cut short");

    /* Restoring the size makes nothing whole again. */
    assert_return_code(truncate("model.bin", (off_t)(32 * MIB)), errno);
    expect_changed(m, "was cut short");
    mapping_close(m);
}

static void test_the_other_maps_keep_their_bytes_when_one_is_lost(void **state)
{
    (void)state;
    write_ones("a.bin", 4 * MIB);
    write_ones("b.bin", 4 * MIB);
    write_ones("c.bin", 4 * MIB);
    struct mapping *a = map("a.bin"), *b = map("b.bin"), *c = map("c.bin");
    assert_return_code(truncate("b.bin", 0), errno);
    assert_int_equal(sum(mapping_bytes(b)), 0);
    assert_int_equal(sum(mapping_bytes(a)), 4 * MIB);
    assert_int_equal(sum(mapping_bytes(c)), 4 * MIB);
    expect_intact(a);
    expect_changed(b, "was cut short");
    expect_intact(c);
    mapping_close(a);
    mapping_close(b);
    mapping_close(c);
}

static void test_pages_that_were_lost_are_told_though_the_file_looks_the_same(void **state)
{
    (void)state;
    struct stat st;
    write_ones("model.bin", 2 * MIB);
    struct mapping *m = map("model.bin");
    assert_return_code(stat("model.bin", &st), errno);
    assert_return_code(truncate("model.bin", 0), errno);
    assert_int_equal(sum(mapping_bytes(m)), 0);
    assert_return_code(truncate("model.bin", st.st_size), errno);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_return_code(utimensat(AT_FDCWD, "model.bin", times, 0), errno);
    expect_changed(m, "could not be read");
    mapping_close(m);
}

static void test_a_hundred_bytes_cut_off_raise_no_signal_and_are_told(void **state)
{
    (void)state;
    write_ones("model.bin", 8192);
    struct mapping *m = map("model.bin");
    assert_return_code(truncate("model.bin", 8192 - 100), errno);
    assert_int_equal(sum(mapping_bytes(m)), 8192 - 100);
    expect_changed(m, "was cut short");
    mapping_close(m);
}

static void test_a_rewrite_of_the_same_size_is_told(void **state)
{
    (void)state;
    scratch_write("model.bin", "weights");
    struct mapping *m = map("model.bin");
    overwrite("model.bin", 0, "WEIGHTS");
    expect_changed(m, "was rewritten in place");
    mapping_close(m);
}

static void test_an_appended_byte_is_told(void **state)
{
    (void)state;
    scratch_write("model.bin", "weights");
    struct mapping *m = map("model.bin");
    overwrite("model.bin", 7, "!");
    expect_changed(m, "grew");
    mapping_close(m);
}

static void test_a_file_replaced_by_rename_stays_the_old_one(void **state)
{
    (void)state;
    scratch_write("model.bin", "old");
    struct mapping *m = map("model.bin");
    wait_for_the_clock();
    scratch_write("aside", "new");
    assert_return_code(rename("aside", "model.bin"), errno);
    expect_intact(m);
    assert_memory_equal(mapping_bytes(m).at, "old", 3);
    mapping_close(m);
}

static void test_deleting_linking_and_chmod_harm_no_map(void **state)
{
    (void)state;
    scratch_write("model.bin", "weights");
    struct mapping *m = map("model.bin");
    wait_for_the_clock();
    assert_return_code(link("model.bin", "second.bin"), errno);
    expect_intact(m);
    assert_return_code(chmod("model.bin", 0600), errno);
    expect_intact(m);
    assert_return_code(unlink("model.bin"), errno);
    assert_return_code(unlink("second.bin"), errno);
    expect_intact(m);
    assert_memory_equal(mapping_bytes(m).at, "weights", 7);
    mapping_close(m);
}

/* The signal that ends a child which runs `crash`, 0 when it lives. */
static int signal_that_ends(void (*crash)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        crash();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_a_cut_map_of_somebody_else(void)
{
    int fd = open("foreign.bin", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const volatile char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    (void)*at;
}

static void raise_it(void)
{
    raise(SIGBUS);
}

static void touch_a_map_that_was_closed(void)
{
    struct error err = {0};
    struct mapping *m = mapping_open(open("model.bin", O_RDONLY | O_CLOEXEC), "model.bin", &err);
    struct span s = mapping_bytes(m);
    mapping_close(m);
    int fd = open("foreign.bin", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *where = (void *)(uintptr_t)s.at;
    const volatile char *at = mmap(where, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    (void)*at;
}

static void test_a_bus_error_elsewhere_still_kills(void **state)
{
    (void)state;
    write_ones("model.bin", 3 * MIB);
    struct mapping *m = map("model.bin");
    assert_int_equal(signal_that_ends(touch_a_cut_map_of_somebody_else), SIGBUS);
    assert_int_equal(signal_that_ends(raise_it), SIGBUS);
    assert_int_equal(signal_that_ends(touch_a_map_that_was_closed), SIGBUS);
    mapping_close(m);
}

static bool note_progress(void *context, uint64_t done, uint64_t total)
{
    uint64_t *seen = context;
    assert_true(done > seen[0] && done <= total);
    seen[0] = done;
    seen[1] = total;
    seen[2]++;
    return true;
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total)
{
    (void)context, (void)done, (void)total;
    return false;
}

static void test_reading_ahead_and_prefaulting_tell_their_progress(void **state)
{
    (void)state;
    struct error err = {0};
    size_t size = 65 * MIB + 77;
    write_ones("model.bin", size);
    struct mapping *m = map("model.bin");
    uint64_t ahead[3] = {0}, prefault[3] = {0};
    assert_true(mapping_read_ahead(m, note_progress, ahead, &err));
    assert_int_equal(ahead[0], size);
    assert_int_equal(ahead[1], size);
    assert_true(ahead[2] >= 9);
    assert_true(mapping_prefault(m, note_progress, prefault, &err));
    assert_int_equal(prefault[0], size);
    assert_true(prefault[2] >= 3);
    assert_true(mapping_read_ahead(m, NULL, NULL, &err) && mapping_prefault(m, NULL, NULL, &err));
    assert_string_equal(err.text, "");
    mapping_close(m);
}

static void test_reading_ahead_and_prefaulting_can_be_stopped(void **state)
{
    (void)state;
    struct error err = {0};
    write_ones("model.bin", 40 * MIB);
    struct mapping *m = map("model.bin");
    assert_false(mapping_read_ahead(m, stop_at_once, NULL, &err));
    assert_false(mapping_prefault(m, stop_at_once, NULL, &err));
    assert_string_equal(err.text, "");
    mapping_close(m);
}

/* Makes madvise not know MADV_POPULATE_READ, by a filter for system calls: as old kernels do. */
static bool forget_populate(void)
{
    struct instruction {
        uint16_t operation;
        uint8_t if_true, if_false;
        uint32_t operand;
    } filter[] = {
        {.operation = 0x20, .operand = 0}, /* load the call's number */
        {.operation = 0x15, .if_false = 3, .operand = SYS_madvise},
        {.operation = 0x20, .operand = 32}, /* load its third argument */
        {.operation = 0x15, .if_false = 1, .operand = 22},
        {.operation = 0x06, .operand = 0x00050000 | EINVAL}, /* fail */
        {.operation = 0x06, .operand = 0x7fff0000}, /* allow */
    };
    struct {
        unsigned short length;
        struct instruction *first;
    } program = {.length = sizeof(filter) / sizeof(*filter), .first = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, 2, &program, 0, 0) == 0;
}

static bool count_progress(void *context, uint64_t done, uint64_t total)
{
    unsigned *calls = context;
    *calls += done == total ? 101 : 1;
    return true;
}

static int prefault_without_populate(void)
{
    struct error err = {0};
    unsigned calls = 0;
    struct mapping *m = mapping_open(open("model.bin", O_RDONLY | O_CLOEXEC), "model.bin", &err);
    if (!m || !forget_populate() || !mapping_prefault(m, count_progress, &calls, &err))
        return 1;
    return calls == 103 ? 0 : 2; /* three slices of eight mebibytes, the last of which is the end */
}

static void test_prefaulting_reads_where_the_kernel_cannot_populate(void **state)
{
    (void)state;
    write_ones("model.bin", 20 * MIB);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(prefault_without_populate());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_reading_a_cut_file_gives_a_reason(void **state)
{
    (void)state;
    struct error ahead = {0}, prefault = {0};
    write_ones("model.bin", 16 * MIB);
    struct mapping *m = map("model.bin");
    assert_return_code(truncate("model.bin", (off_t)MIB), errno);
    assert_false(mapping_read_ahead(m, NULL, NULL, &ahead));
    assert_string_equal(ahead.text, "model.bin: was cut short while it was read");
    assert_false(mapping_prefault(m, NULL, NULL, &prefault));
    assert_true(strncmp(prefault.text, "model.bin: ", 11) == 0);
    mapping_close(m);
}

static void test_resident_bytes_follow_what_is_touched(void **state)
{
    (void)state;
    struct error err = {0};
    write_ones("touched.bin", 12 * MIB);
    scratch_write("untouched.bin", "x");
    assert_return_code(truncate("untouched.bin", (off_t)(64 * MIB)), errno);
    struct mapping *touched = map("touched.bin"), *untouched = map("untouched.bin");
    assert_int_equal(mapping_resident(touched), 0);
    assert_true(mapping_prefault(touched, NULL, NULL, &err));
    mapping_measure();
    assert_int_equal(mapping_resident(touched), 12 * MIB);
    assert_int_equal(mapping_resident(untouched), 0);

    /* A map that consists of two areas counts both. */
    struct span s = mapping_bytes(touched);
    assert_return_code(madvise((void *)(uintptr_t)s.at, 4 * MIB, MADV_DODUMP), errno);
    mapping_measure();
    assert_int_equal(mapping_resident(touched), 12 * MIB);
    mapping_close(touched);
    touched = map("touched.bin");
    assert_int_equal(mapping_resident(touched), 0);
    mapping_close(touched);
    mapping_close(untouched);
}

static void test_only_file_systems_with_another_end_are_remote(void **state)
{
    (void)state;
    scratch_write("model.bin", "weights");
    struct mapping *m = map("model.bin");
    assert_int_equal(mapping_is_remote(m), scratch_is_fuse());
    mapping_close(m);
}

/* The size of the address space, in pages. */
static size_t address_pages(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    return strtoull(text, NULL, 10);
}

static void map_pairs(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct mapping *small = map("small.bin"), *large = map("large.bin");
        mapping_close(small);
        mapping_close(large);
    }
}

static void test_many_openings_leave_no_descriptor_and_no_area(void **state)
{
    (void)state;
    write_ones("small.bin", 100);
    write_ones("large.bin", 5 * MIB + 1);
    map_pairs(1);
    size_t areas = scratch_count("/proc/self/maps"), pages = address_pages();
    int spare = open(".", O_PATH | O_CLOEXEC);
    map_pairs(200);
    assert_int_equal(scratch_count("/proc/self/maps"), areas);
    assert_int_equal(address_pages(), pages);
    int after = open(".", O_PATH | O_CLOEXEC);
    assert_int_equal(after, spare + 1);
    close(spare);
    close(after);
}

static void test_one_map_more_than_the_table_holds_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct rlimit limit = {.rlim_cur = MAPPING_MAX + 100, .rlim_max = MAPPING_MAX + 100}, old;
    assert_return_code(getrlimit(RLIMIT_NOFILE, &old), errno);
    limit.rlim_max = old.rlim_max > limit.rlim_max ? old.rlim_max : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        printf("SKIPPED: a full table of maps: this user may open too few files\n");
        skip();
    }
    scratch_write("model.bin", "weights");
    struct mapping **all = calloc(MAPPING_MAX, sizeof(*all));
    assert_non_null(all);
    for (size_t i = 0; i < MAPPING_MAX; i++)
        all[i] = map("model.bin");
    assert_null(mapping_open(open("model.bin", O_RDONLY | O_CLOEXEC), "model.bin", &err));
    assert_string_equal(err.text, "model.bin: too many files are mapped at once");
    mapping_close(all[MAPPING_MAX / 2]);
    all[MAPPING_MAX / 2] = map("model.bin");
    mapping_measure();
    for (size_t i = 0; i < MAPPING_MAX; i++)
        mapping_close(all[i]);
    free(all);
    assert_return_code(setrlimit(RLIMIT_NOFILE, &old), errno);
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_a_map_shows_the_file_and_no_byte_more),
        IN_SCRATCH(test_large_files_lie_at_a_large_page),
        IN_SCRATCH(test_empty_files_and_directories_are_refused_and_closed),
        IN_SCRATCH(test_a_file_too_large_for_the_address_space_is_refused),
        IN_SCRATCH(test_eight_sparse_gibibytes_are_mapped),
        IN_SCRATCH(test_a_file_cut_in_half_under_two_readers_is_survived_and_told),
        IN_SCRATCH(test_the_other_maps_keep_their_bytes_when_one_is_lost),
        IN_SCRATCH(test_pages_that_were_lost_are_told_though_the_file_looks_the_same),
        IN_SCRATCH(test_a_hundred_bytes_cut_off_raise_no_signal_and_are_told),
        IN_SCRATCH(test_a_rewrite_of_the_same_size_is_told),
        IN_SCRATCH(test_an_appended_byte_is_told),
        IN_SCRATCH(test_a_file_replaced_by_rename_stays_the_old_one),
        IN_SCRATCH(test_deleting_linking_and_chmod_harm_no_map),
        IN_SCRATCH(test_a_bus_error_elsewhere_still_kills),
        IN_SCRATCH(test_reading_ahead_and_prefaulting_tell_their_progress),
        IN_SCRATCH(test_reading_ahead_and_prefaulting_can_be_stopped),
        IN_SCRATCH(test_prefaulting_reads_where_the_kernel_cannot_populate),
        IN_SCRATCH(test_reading_a_cut_file_gives_a_reason),
        IN_SCRATCH(test_resident_bytes_follow_what_is_touched),
        IN_SCRATCH(test_only_file_systems_with_another_end_are_remote),
        IN_SCRATCH(test_many_openings_leave_no_descriptor_and_no_area),
        IN_SCRATCH(test_one_map_more_than_the_table_holds_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
