/* test_catalog.c - the watcher: loading, states, readiness, a volume that comes late, files that change. */
#include "scratch.h"

#include "berth/server/catalog.h"

#include "berth/base/log.h"

#include <time.h>

static struct options options_of(const char *require)
{
    return (struct options){.models = "models", .require = require, .alias = "", .chat_template = ""};
}

static struct catalog *start(const struct options *o)
{
    struct error err = {0};
    struct catalog *c = catalog_new(o, UINT64_C(1) << 40, &err);
    assert_non_null(c);
    assert_true(catalog_start(c, &err));
    return c;
}

static void stop(struct catalog *c)
{
    assert_true(catalog_stop(c, 5));
    catalog_free(c);
}

static bool load_has_ended(struct catalog *c)
{
    return catalog_progress(c).ended;
}

static bool one_has_failed(struct catalog *c)
{
    return catalog_progress(c).failed == 1;
}

static void await(struct catalog *c, bool (*what)(struct catalog *))
{
    for (int i = 0; i < 1000 && !what(c); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_true(what(c));
}

static void expect_unready(struct catalog *c, const char *reason)
{
    struct error err = {0};
    assert_false(catalog_ready(c, &err));
    assert_non_null(strstr(err.text, reason));
}

static void expect_ready(struct catalog *c)
{
    struct error err = {0};
    assert_true(catalog_ready(c, &err));
    assert_string_equal(err.text, "");
}

static void test_models_are_listed_with_their_state_and_the_mapped_first(void **state)
{
    struct options o = options_of("");
    (void)state;
    scratch_write("models/b.bin", "weights");
    scratch_write("models/a.gguf", "GGUFbroken");
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    struct catalog_progress p = catalog_progress(c);
    assert_true(p.total == 2 && p.done == 2 && p.mapped == 1 && p.failed == 1);
    size_t n;
    struct model **models = catalog_hold_all(c, &n);
    assert_int_equal(n, 2);
    assert_string_equal(models[0]->id, "b");
    assert_string_equal(models[1]->id, "a");
    assert_int_equal(model_state(models[1]), MODEL_FAILED);
    assert_true(models[1]->reason.text[0] != '\0');
    assert_int_equal(loaded_mapped_bytes(&models[0]->loaded), 7);
    assert_int_equal(models[0]->holders, 1);
    catalog_drop_all(c, models, n);
    struct model *m = catalog_hold(c, span_of("b"));
    assert_string_equal(m->path, "b.bin");
    assert_int_equal(m->holders, 1);
    catalog_drop(c, m);
    assert_int_equal(m->holders, 0);
    assert_null(catalog_hold(c, span_of("c")));
    expect_ready(c);
    stop(c);
}

static bool same(struct span a, const char *text)
{
    return span_is(a, text);
}

static void test_aliases_lead_to_their_models_and_ids_come_first(void **state)
{
    struct options o = options_of("");
    (void)state;
    o.alias = "nick=b,,other=b,a=b,lost=none";
    scratch_write("models/a.bin", "weights");
    scratch_write("models/b.bin", "weights");
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    static const char *const rows[][2] = {{"nick", "b"}, {"other", "b"}, {"a", "a"}, {"b", "b"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct model *m = catalog_hold(c, span_of(rows[i][0]));
        assert_non_null(m);
        assert_string_equal(m->id, rows[i][1]);
        catalog_drop(c, m);
    }
    assert_null(catalog_hold(c, span_of("lost")));
    assert_null(catalog_hold(c, span_of("nic")));
    assert_null(catalog_hold(c, span_of("")));
    assert_true(same(catalog_alias(c, "b", 0), "nick") && same(catalog_alias(c, "b", 1), "other"));
    assert_true(same(catalog_alias(c, "b", 2), "a") && catalog_alias(c, "b", 3).size == 0);
    stop(c);
}

static void test_aliases_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"nick", "nick=", "=b", "nick=b,x"};
    struct options o = options_of("");
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = {0};
        o.alias = bad[i];
        struct catalog *c = catalog_new(&o, 1, &err);
        assert_false(catalog_use_engine(c, NULL, &err));
        assert_non_null(strstr(err.text, "--alias"));
        catalog_free(c);
    }
}

static void test_a_volume_that_is_missing_or_empty_is_ready_and_holds_nothing(void **state)
{
    struct options o = options_of("");
    (void)state;
    for (int empty = 0; empty < 2; empty++) {
        if (empty)
            assert_return_code(mkdir("models", 0755), 0);
        struct catalog *c = start(&o);
        await(c, load_has_ended);
        size_t n = 9;
        assert_null(catalog_hold_all(c, &n));
        assert_int_equal(n, 0);
        expect_ready(c);
        stop(c);
    }
}

static void test_a_volume_with_nothing_but_bad_files_is_not_ready(void **state)
{
    struct options o = options_of("");
    (void)state;
    scratch_write("models/a.gguf", "GGUFbroken");
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    expect_unready(c, "none of the 1 models");
    stop(c);
}

static void test_required_models_decide_on_readiness(void **state)
{
    struct options o = options_of("good,bad");
    (void)state;
    scratch_write("models/good.bin", "weights");
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    expect_unready(c, "required model bad is not on the volume");
    stop(c);

    scratch_write("models/bad.gguf", "GGUFbroken");
    c = start(&o);
    await(c, load_has_ended);
    expect_unready(c, "required model bad has failed");
    stop(c);

    o = options_of("good");
    c = start(&o);
    await(c, load_has_ended);
    expect_ready(c);
    stop(c);
}

static void test_a_late_volume_is_waited_for_when_asked(void **state)
{
    struct options o = options_of("");
    (void)state;
    o.wait_for_volume = 1;
    struct catalog *c = start(&o);
    nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
    assert_false(load_has_ended(c));
    expect_unready(c, "loading");
    scratch_write("coming/a.bin", "weights");
    assert_return_code(rename("coming", "models"), 0);
    await(c, load_has_ended);
    assert_int_equal(catalog_progress(c).mapped, 1);
    stop(c);
}

static void test_waiting_for_a_volume_ends_at_once_when_told_to_stop(void **state)
{
    struct options o = options_of("");
    (void)state;
    o.wait_for_volume = 1;
    struct catalog *c = start(&o);
    assert_true(catalog_stop(c, 0.2));
    catalog_free(c);
}

static void test_a_file_rewritten_in_place_fails_its_model_alone(void **state)
{
    struct options o = options_of("");
    (void)state;
    scratch_write("models/a.bin", "weights");
    scratch_write("models/b.bin", "weights");
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    expect_ready(c);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    int fd = open("models/a.bin", O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "WEIGHTS", 7, 0), 7);
    close(fd);
    await(c, one_has_failed);
    assert_int_equal(catalog_progress(c).mapped, 1);
    struct model *m = catalog_hold(c, span_of("a"));
    assert_int_equal(model_state(m), MODEL_FAILED);
    assert_non_null(strstr(m->reason.text, "rewritten in place"));
    catalog_drop(c, m);
    expect_ready(c); /* readiness stays */
    stop(c);
}

static void test_prefault_makes_the_whole_file_resident(void **state)
{
    struct options o = options_of("");
    size_t size = 3 << 20;
    char *bytes = calloc(1, size);
    (void)state;
    o.prefault = 1;
    scratch_bytes("models/a.bin", bytes, size);
    free(bytes);
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    struct model *m = catalog_hold(c, span_of("a"));
    mapping_measure();
    assert_true(loaded_resident_bytes(&m->loaded) >= size);
    catalog_drop(c, m);
    stop(c);
}

static int quiet(void **state)
{
    (void)state;
    log_setup(LOG_ERROR + 1, LOG_FORMAT_JSON);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_models_are_listed_with_their_state_and_the_mapped_first),
        TEST(test_aliases_lead_to_their_models_and_ids_come_first),
        TEST(test_aliases_that_are_none_are_refused),
        TEST(test_a_volume_that_is_missing_or_empty_is_ready_and_holds_nothing),
        TEST(test_a_volume_with_nothing_but_bad_files_is_not_ready),
        TEST(test_required_models_decide_on_readiness),
        TEST(test_a_late_volume_is_waited_for_when_asked),
        TEST(test_waiting_for_a_volume_ends_at_once_when_told_to_stop),
        TEST(test_a_file_rewritten_in_place_fails_its_model_alone),
        TEST(test_prefault_makes_the_whole_file_resident),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
