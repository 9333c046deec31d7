/* test_cpu.c - which set of kernels is in force. */
#include "berth/cpu.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_is_in_force_until_another_is_chosen),
        cmocka_unit_test(test_every_set_that_the_machine_has_can_be_chosen_by_name_and_no_other),
        cmocka_unit_test(test_auto_is_the_best_there_is),
        cmocka_unit_test(test_an_unknown_name_is_refused_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
