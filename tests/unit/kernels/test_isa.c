/* test_isa.c - which set of kernels is in force. */
#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_plain_is_in_force_until_another_is_chosen(void **state)
{
    (void)state;
    assert_int_equal(cpu_selected(), CPU_PLAIN);
}

static void test_every_set_that_the_machine_has_can_be_chosen_by_name_and_no_other(void **state)
{
    (void)state;
    assert_true(cpu_has(CPU_PLAIN));
    for (int set = 0; set < CPU_SETS; set++) {
        struct error err = {0};
        const char *name = cpu_set_name((enum cpu_set)set);
        enum cpu_set before = cpu_selected();
        assert_int_equal(cpu_select(name, &err), cpu_has((enum cpu_set)set));
        assert_int_equal(cpu_selected(), cpu_has((enum cpu_set)set) ? (enum cpu_set)set : before);
        assert_int_equal(strstr(err.text, name) != NULL, !cpu_has((enum cpu_set)set));
    }
}

static void test_auto_is_the_best_there_is(void **state)
{
    (void)state;
    struct error err = {0};
    assert_true(cpu_select("auto", &err));
    for (int set = (int)cpu_selected() + 1; set < CPU_SETS; set++)
        assert_false(cpu_has((enum cpu_set)set));
    assert_true(cpu_has(cpu_selected()));
}

static void test_an_unknown_name_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    enum cpu_set before = cpu_selected();
    assert_false(cpu_select("avx\n1024", &err));
    assert_non_null(strstr(err.text, "avx\\x0a1024"));
    assert_int_equal(cpu_selected(), before);
}

#if defined(__x86_64__)
/* What Linux says of the first processor's first cache, which it asks in another way. 0 when it says nothing. */
static unsigned kib_of_first_cache(void)
{
    unsigned kib = 0;
    FILE *f = fopen("/sys/devices/system/cpu/cpu0/cache/index0/size", "re");
    if (f && fscanf(f, "%uK", &kib) != 1)
        kib = 0;
    if (f)
        fclose(f);
    return kib;
}
#endif

static void test_what_is_asked_for_goes_to_the_nearest_cache_where_it_fits(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned kib = 0;
    assert_true(cpu_select("auto", &err));
#if defined(__x86_64__) /* elsewhere no kernel asks */
    kib = kib_of_first_cache();
    if (kib == 0) {
        print_message("this system does not tell the size of the first cache in /sys\n");
        skip();
    }
    if (cpu_nearest_bytes() == SIZE_MAX) /* a processor that has no other way */
        return;
#endif
    assert_true(cpu_nearest_bytes() >= kib * 1024 / 4 && cpu_nearest_bytes() <= kib * 1024 / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_is_in_force_until_another_is_chosen),
        cmocka_unit_test(test_every_set_that_the_machine_has_can_be_chosen_by_name_and_no_other),
        cmocka_unit_test(test_auto_is_the_best_there_is),
        cmocka_unit_test(test_an_unknown_name_is_refused_and_changes_nothing),
        cmocka_unit_test(test_what_is_asked_for_goes_to_the_nearest_cache_where_it_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
