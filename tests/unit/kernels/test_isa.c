/* test_isa.c - the list of instruction sets, and which of them is selected. */
#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_plain_is_selected_until_another_is(void **state)
{
    (void)state;
    assert_int_equal(isa_selected(), ISA_PLAIN);
}

static void test_every_set_that_the_machine_has_can_be_chosen_by_name_and_no_other(void **state)
{
    (void)state;
    assert_true(isa_has(ISA_PLAIN));
    for (int set = 0; set < ISA_SETS; set++) {
        struct error err = {0};
        const char *name = isa_name((enum isa)set);
        enum isa before = isa_selected();
        assert_int_equal(isa_select(name, &err), isa_has((enum isa)set));
        assert_int_equal(isa_selected(), isa_has((enum isa)set) ? (enum isa)set : before);
        assert_int_equal(strstr(err.text, name) != NULL, !isa_has((enum isa)set));
    }
}

static void test_auto_is_the_best_there_is(void **state)
{
    (void)state;
    struct error err = {0};
    assert_true(isa_select("auto", &err));
    for (int set = (int)isa_selected() + 1; set < ISA_SETS; set++)
        assert_false(isa_has((enum isa)set));
    assert_true(isa_has(isa_selected()));
}

static void test_an_unknown_name_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    enum isa before = isa_selected();
    assert_false(isa_select("avx\n1024", &err));
    assert_non_null(strstr(err.text, "avx\\x0a1024"));
    assert_int_equal(isa_selected(), before);
    for (int set = 0; set < ISA_SETS; set++) /* the message lists what there is */
        assert_non_null(strstr(err.text, isa_name((enum isa)set)));
}

/* A room without kernels for a set uses those of its base, so every chain must end at plain and stay on the machine. */
static void test_the_base_of_a_set_runs_wherever_the_set_does(void **state)
{
    (void)state;
    for (int i = 0; i < ISA_SETS; i++) {
        enum isa set = (enum isa)i;
        int steps = 0;
        for (; isa_base(set) != set; set = isa_base(set), steps++) {
            assert_true(steps < ISA_SETS);
            assert_true(isa_has(isa_base(set)) || !isa_has(set));
        }
        assert_int_equal(set, ISA_PLAIN);
    }
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
    assert_true(isa_select("auto", &err));
#if defined(__x86_64__) /* elsewhere no kernel asks */
    kib = kib_of_first_cache();
    if (kib == 0) {
        print_message("this system does not tell the size of the first cache in /sys\n");
        skip();
    }
    if (isa_l1_prefetch_bytes() == SIZE_MAX) /* a processor that has no other way */
        return;
#endif
    assert_true(isa_l1_prefetch_bytes() >= kib * 1024 / 4 && isa_l1_prefetch_bytes() <= kib * 1024 / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_is_selected_until_another_is),
        cmocka_unit_test(test_every_set_that_the_machine_has_can_be_chosen_by_name_and_no_other),
        cmocka_unit_test(test_auto_is_the_best_there_is),
        cmocka_unit_test(test_an_unknown_name_is_refused_and_changes_nothing),
        cmocka_unit_test(test_the_base_of_a_set_runs_wherever_the_set_does),
        cmocka_unit_test(test_what_is_asked_for_goes_to_the_nearest_cache_where_it_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
