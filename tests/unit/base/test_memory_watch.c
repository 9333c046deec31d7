/* test_memory_watch.c - when memory is short, by made-up /proc trees. */
#include "scratch.h"

#include "berth/base/memory_watch.h"

#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static void machine(unsigned total_mib, unsigned available_mib)
{
    char text[200];
    snprintf(text, sizeof(text), "MemTotal:   %u kB\nMemFree:  7 kB\nMemAvailable:   %u kB\nBuffers: 1 kB\n",
        total_mib * 1024, available_mib * 1024);
    scratch_write("root/proc/meminfo", text);
}

/* `own` is private, the rest of what is resident is files. */
static void process(unsigned own_mib, unsigned files_mib)
{
    char text[200];
    unsigned pages = (unsigned)(MIB / (uint64_t)sysconf(_SC_PAGESIZE));
    snprintf(
        text, sizeof(text), "99999999 %u %u 10 0 300 0\n", (own_mib + files_mib) * pages, files_mib * pages);
    scratch_write("root/proc/self/statm", text);
}

static bool is_short(uint64_t limit)
{
    struct memory_watch *w = memory_watch_new("root", limit);
    assert_non_null(w);
    bool answer = memory_watch_is_short(w);
    memory_watch_free(w);
    return answer;
}

static void test_own_memory_near_the_limit_is_short_and_mapped_models_do_not_count(void **state)
{
    (void)state;
    machine(8000, 4000);
    process(100, 700);
    assert_false(is_short(800 * MIB));
    process(701, 0);
    assert_true(is_short(800 * MIB));
    process(699, 4000);
    assert_false(is_short(800 * MIB));
    assert_false(is_short(0));
}

static void test_a_machine_with_next_to_nothing_left_is_short(void **state)
{
    (void)state;
    process(10, 0);
    machine(8000, 401);
    assert_false(is_short(8000 * MIB));
    machine(8000, 399);
    assert_true(is_short(8000 * MIB));
}

static void test_what_is_open_is_read_again_and_again(void **state)
{
    (void)state;
    machine(8000, 4000);
    process(10, 0);
    struct memory_watch *w = memory_watch_new("root", 800 * MIB);
    assert_false(memory_watch_is_short(w));
    int fd = open("root/proc/self/statm", O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, "99999 90000000 0\n", 17), 17);
    close(fd);
    assert_true(memory_watch_is_short(w));
    memory_watch_free(w);
}

static void test_a_system_that_does_not_tell_is_never_short(void **state)
{
    (void)state;
    assert_false(is_short(1));
    scratch_write("root/proc/self/statm", "nothing");
    scratch_write("root/proc/meminfo", "MemTotal: 100 kB\n");
    assert_false(is_short(1));
    memory_watch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_own_memory_near_the_limit_is_short_and_mapped_models_do_not_count, scratch_setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_machine_with_next_to_nothing_left_is_short, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_what_is_open_is_read_again_and_again, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_system_that_does_not_tell_is_never_short, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
