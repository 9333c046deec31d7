/* test_limits.c - processors and memory, read from made-up /proc and /sys trees.
 *
 * The affinity is the real one: a test that needs more processors than a quota allows asks how many there are, and one that
 * needs a single processor sets its affinity.
 */
#include "scratch.h"

#include "berth/base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#define ROOT "root"
#define CGROUP ROOT "/sys/fs/cgroup"
#define GIB ((uint64_t)1 << 30)

static struct limits read_limits(void)
{
    struct limits l;
    limits_read(&l, ROOT);
    assert_true(l.cpus >= 1);
    return l;
}

static unsigned processors(void)
{
    cpu_set_t set;
    assert_return_code(sched_getaffinity(0, sizeof(set), &set), errno);
    return (unsigned)CPU_COUNT(&set);
}

static void machine_of_8_gib(const char *cgroups)
{
    scratch_write(ROOT "/proc/meminfo", "MemTotal:        8388608 kB\nMemFree:         4194304 kB\n");
    scratch_write(ROOT "/proc/self/cgroup", cgroups);
}

/* Most quotas here are below one processor, so that they limit every machine; the text shows which one was found. */
static void check_cpus(const struct limits *l, unsigned cpus, const char *from)
{
    assert_string_equal(l->cpus_from, from);
    assert_int_equal(l->cpus, cpus);
}

static void check_memory(const struct limits *l, uint64_t bytes, const char *from)
{
    assert_string_equal(l->memory_from, from);
    assert_int_equal(l->memory, bytes);
}

static void check_no_limit(const struct limits *l)
{
    char from[96];
    snprintf(from, sizeof(from), "affinity of %u", processors());
    check_cpus(l, processors(), from);
    check_memory(l, 8 * GIB, "the machine");
}

static void test_without_groups_affinity_and_machine_decide(void **state)
{
    (void)state;
    machine_of_8_gib("0::/\n");
    struct limits l = read_limits();
    check_no_limit(&l);
}

static void test_without_proc_and_sys_there_is_still_an_answer(void **state)
{
    (void)state;
    struct limits l = read_limits();
    assert_int_equal(l.cpus, processors());
    assert_int_equal(l.memory, (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void test_affinity_is_what_the_scheduler_allows(void **state)
{
    (void)state;
    cpu_set_t old, one;
    assert_return_code(sched_getaffinity(0, sizeof(old), &old), errno);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &old))
            CPU_SET(i, &one);
    assert_return_code(sched_setaffinity(0, sizeof(one), &one), errno);
    struct limits l = read_limits();
    assert_return_code(sched_setaffinity(0, sizeof(old), &old), errno);
    check_cpus(&l, 1, "affinity of 1");
}

static void test_version_2_limits_are_read(void **state)
{
    (void)state;
    machine_of_8_gib("0::/\n");
    scratch_write(CGROUP "/cpu.max", "50000 100000\n");
    scratch_write(CGROUP "/memory.max", "1073741824\n");
    scratch_write(CGROUP "/memory.high", "max\n");
    struct limits l = read_limits();
    check_cpus(&l, 1, "cgroup quota of 0.50 (/sys/fs/cgroup/cpu.max)");
    check_memory(&l, GIB, "cgroup limit (/sys/fs/cgroup/memory.max)");
}

static void test_a_quota_is_rounded_down(void **state)
{
    (void)state;
    char text[64], from[96];
    unsigned all = processors();
    machine_of_8_gib("0::/\n");
    /* Half a processor less than there are. */
    snprintf(text, sizeof(text), "%u 10000\n", all * 10000 - 5000);
    scratch_write(CGROUP "/cpu.max", text);
    snprintf(from, sizeof(from), "cgroup quota of %.2f (/sys/fs/cgroup/cpu.max)", (double)all - 0.5);
    struct limits l = read_limits();
    check_cpus(&l, all > 1 ? all - 1 : 1, from);
}

static void test_a_quota_above_the_affinity_changes_nothing(void **state)
{
    (void)state;
    char text[64];
    machine_of_8_gib("0::/\n");
    snprintf(text, sizeof(text), "%u 100000\n", processors() * 100000 + 50000);
    scratch_write(CGROUP "/cpu.max", text);
    scratch_write(CGROUP "/memory.max", "17179869184\n");
    struct limits l = read_limits();
    check_no_limit(&l);
}

static void test_the_parents_limits_count(void **state)
{
    (void)state;
    machine_of_8_gib("0::/kubepods/pod1/main\n");
    scratch_write(CGROUP "/kubepods/pod1/main/cpu.max", "max 100000\n");
    scratch_write(CGROUP "/kubepods/pod1/main/memory.max", "max\n");
    scratch_write(CGROUP "/kubepods/pod1/cpu.max", "75000 100000\n");
    scratch_write(CGROUP "/kubepods/pod1/memory.high", "2147483648\n");
    scratch_write(CGROUP "/kubepods/cpu.max", "80000 100000\n");
    scratch_write(CGROUP "/kubepods/memory.max", "4294967296\n");
    struct limits l = read_limits();
    check_cpus(&l, 1, "cgroup quota of 0.75 (/sys/fs/cgroup/kubepods/pod1/cpu.max)");
    check_memory(&l, 2 * GIB, "cgroup limit (/sys/fs/cgroup/kubepods/pod1/memory.high)");
}

static void test_a_group_that_is_not_to_be_seen_leaves_the_root(void **state)
{
    (void)state;
    machine_of_8_gib("0::/../../other\n");
    scratch_write(CGROUP "/cpu.max", "25000 100000\n");
    scratch_write(ROOT "/sys/other/cpu.max", "10000 100000\n");
    struct limits l = read_limits();
    check_cpus(&l, 1, "cgroup quota of 0.25 (/sys/fs/cgroup/cpu.max)");
}

static void test_version_1_limits_are_read(void **state)
{
    (void)state;
    machine_of_8_gib(
        "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:cpuset:/\n1:name=systemd:/docker/abc\n");
    scratch_write(CGROUP "/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "50000\n");
    scratch_write(CGROUP "/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "200000\n");
    scratch_write(CGROUP "/memory/docker/abc/memory.limit_in_bytes", "268435456\n");
    scratch_write(CGROUP "/memory/memory.limit_in_bytes", "9223372036854771712\n");
    struct limits l = read_limits();
    check_cpus(&l, 1, "cgroup quota of 0.25 (/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us)");
    check_memory(&l, GIB / 4, "cgroup limit (/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes)");
}

static void test_version_1_in_a_container_is_read_at_the_root(void **state)
{
    (void)state;
    machine_of_8_gib("4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n");
    scratch_write(CGROUP "/cpu/cpu.cfs_quota_us", "40000\n");
    scratch_write(CGROUP "/cpu/cpu.cfs_period_us", "100000\n");
    scratch_write(CGROUP "/memory/memory.limit_in_bytes", "536870912\n");
    struct limits l = read_limits();
    check_cpus(&l, 1, "cgroup quota of 0.40 (/sys/fs/cgroup/cpu/cpu.cfs_quota_us)");
    check_memory(&l, GIB / 2, "cgroup limit (/sys/fs/cgroup/memory/memory.limit_in_bytes)");
}

static void test_version_1_without_limits_has_none(void **state)
{
    (void)state;
    machine_of_8_gib("2:memory:/\n1:cpu:/\n0::/\n");
    scratch_write(CGROUP "/cpu/cpu.cfs_quota_us", "-1\n");
    scratch_write(CGROUP "/cpu/cpu.cfs_period_us", "100000\n");
    scratch_write(CGROUP "/memory/memory.limit_in_bytes", "9223372036854771712\n");
    struct limits l = read_limits();
    check_no_limit(&l);
}

static void test_both_versions_together_are_read(void **state)
{
    (void)state;
    machine_of_8_gib("4:memory:/a\n1:cpu:/a\n0::/a\n");
    scratch_write(CGROUP "/memory/a/memory.limit_in_bytes", "1073741824\n");
    scratch_write(CGROUP "/unified/a/cpu.max", "30000 100000\n");
    struct limits l = read_limits();
    check_cpus(&l, 1, "cgroup quota of 0.30 (/sys/fs/cgroup/unified/a/cpu.max)");
    check_memory(&l, GIB, "cgroup limit (/sys/fs/cgroup/memory/a/memory.limit_in_bytes)");
}

static void test_what_is_not_understood_does_not_limit(void **state)
{
    (void)state;
    static const char *const cpu[] = {"", "\n", "max", "max 100000", "-1 100000", "50000", "50000 0", "0 0",
        "50000 99999999999999999999999", "0 100000", "5e4 100000", "50000 100000 more", "50000,100000",
        "99999999999999999999999 100000"};
    static const char *const memory[] = {"", "max\n", "-1", "0", "12 MB", "0x100", "99999999999999999999999"};
    machine_of_8_gib("nonsense\n:\n7:\n::\n0::/\n9:memory,,cpu:\n");
    for (size_t i = 0; i < sizeof(cpu) / sizeof(*cpu); i++) {
        scratch_write(CGROUP "/cpu.max", cpu[i]);
        struct limits l = read_limits();
        check_no_limit(&l);
    }
    for (size_t i = 0; i < sizeof(memory) / sizeof(*memory); i++) {
        scratch_write(CGROUP "/memory.max", memory[i]);
        struct limits l = read_limits();
        check_no_limit(&l);
    }
}

/* In place, as a control group's files change; of the same size, so that no moment has half of it. */
static void rewrite(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
    close(fd);
}

static void check_watched(struct limits_watch *w, unsigned cpus, const char *wanted)
{
    char from[LIMITS_FROM];
    assert_int_equal(limits_watch_cpus(w, from), cpus);
    assert_string_equal(from, wanted);
}

static void test_a_watch_sees_quotas_that_change_and_come_and_go(void **state)
{
    (void)state;
    char all[LIMITS_FROM];
    snprintf(all, sizeof(all), "affinity of %u", processors());
    machine_of_8_gib("0::/pod/main\n");
    scratch_write(CGROUP "/pod/main/cpu.max", "max   100000\n");
    struct limits_watch *w = limits_watch_new(ROOT);
    assert_non_null(w);
    check_watched(w, processors(), all);
    rewrite(CGROUP "/pod/main/cpu.max", "50000 100000\n");
    check_watched(w, 1, "cgroup quota of 0.50 (/sys/fs/cgroup/pod/main/cpu.max)");
    scratch_write(CGROUP "/pod/cpu.max", "25000 100000\n"); /* was not there at first */
    check_watched(w, 1, "cgroup quota of 0.25 (/sys/fs/cgroup/pod/cpu.max)");
    rewrite(CGROUP "/pod/cpu.max", "max   100000\n");
    check_watched(w, 1, "cgroup quota of 0.50 (/sys/fs/cgroup/pod/main/cpu.max)");
    rewrite(CGROUP "/pod/main/cpu.max", "max   100000\n");
    check_watched(w, processors(), all);
    limits_watch_free(w);
}

static void test_a_watch_reads_what_it_has_opened_where_nothing_can_be_opened_any_more(void **state)
{
    (void)state;
    machine_of_8_gib("3:cpu,cpuacct:/a\n0::/\n");
    scratch_write(CGROUP "/cpu/a/cpu.cfs_quota_us", "-1    \n");
    scratch_write(CGROUP "/cpu/a/cpu.cfs_period_us", "100000\n");
    scratch_write(CGROUP "/cpu.max", "90000 100000\n");
    struct limits_watch *w = limits_watch_new(ROOT);
    assert_non_null(w);
    rewrite(CGROUP "/cpu/a/cpu.cfs_quota_us", "30000 \n");
    int kept = open(CGROUP "/cpu.max", O_WRONLY | O_CLOEXEC);
    assert_return_code(kept, errno);
    assert_return_code(rename(ROOT "/sys", ROOT "/gone"), errno);
    check_watched(w, 1, "cgroup quota of 0.30 (/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us)");
    assert_int_equal(pwrite(kept, "20000", 5, 0), 5);
    check_watched(w, 1, "cgroup quota of 0.20 (/sys/fs/cgroup/cpu.max)");
    close(kept);
    limits_watch_free(w);
}

static void *watch_elsewhere(void *context)
{
    static char from[LIMITS_FROM];
    limits_watch_cpus(context, from);
    return from;
}

static void test_a_watch_sees_the_affinity_change_from_any_thread(void **state)
{
    (void)state;
    pthread_t thread;
    void *from;
    cpu_set_t old, one;
    machine_of_8_gib("0::/\n");
    struct limits_watch *w = limits_watch_new(ROOT);
    assert_non_null(w);
    assert_return_code(sched_getaffinity(0, sizeof(old), &old), errno);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &old))
            CPU_SET(i, &one);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof(old), &old);
    assert_return_code(sched_setaffinity(0, sizeof(one), &one), errno);
    assert_int_equal(pthread_create(&thread, &attributes, watch_elsewhere, w), 0);
    pthread_join(thread, &from);
    pthread_attr_destroy(&attributes);
    assert_return_code(sched_setaffinity(0, sizeof(old), &old), errno);
    assert_string_equal(from, "affinity of 1");
    limits_watch_free(w);
}

static void test_a_long_path_is_cut_in_front(void **state)
{
    (void)state;
    machine_of_8_gib(
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0123456789abcdef.slice/"
        "cri-containerd-0123456789abcdef.scope\n");
    scratch_write(CGROUP "/kubepods.slice/kubepods-burstable.slice/"
                         "kubepods-burstable-pod0123456789abcdef.slice/"
                         "cri-containerd-0123456789abcdef.scope/memory.max",
        "1048576\n");
    struct limits l = read_limits();
    assert_int_equal(strlen(l.memory_from), sizeof(l.memory_from) - 1);
    assert_true(strncmp(l.memory_from, "cgroup limit (…", strlen("cgroup limit (…")) == 0);
    assert_non_null(strstr(l.memory_from, "abcdef.scope/memory.max)"));
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_without_groups_affinity_and_machine_decide),
        IN_SCRATCH(test_without_proc_and_sys_there_is_still_an_answer),
        IN_SCRATCH(test_affinity_is_what_the_scheduler_allows),
        IN_SCRATCH(test_version_2_limits_are_read),
        IN_SCRATCH(test_a_quota_is_rounded_down),
        IN_SCRATCH(test_a_quota_above_the_affinity_changes_nothing),
        IN_SCRATCH(test_the_parents_limits_count),
        IN_SCRATCH(test_a_group_that_is_not_to_be_seen_leaves_the_root),
        IN_SCRATCH(test_version_1_limits_are_read),
        IN_SCRATCH(test_version_1_in_a_container_is_read_at_the_root),
        IN_SCRATCH(test_version_1_without_limits_has_none),
        IN_SCRATCH(test_both_versions_together_are_read),
        IN_SCRATCH(test_what_is_not_understood_does_not_limit),
        IN_SCRATCH(test_a_watch_sees_quotas_that_change_and_come_and_go),
        IN_SCRATCH(test_a_watch_reads_what_it_has_opened_where_nothing_can_be_opened_any_more),
        IN_SCRATCH(test_a_watch_sees_the_affinity_change_from_any_thread),
        IN_SCRATCH(test_a_long_path_is_cut_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
