/* test_catalog.c - the watcher: loading, states, readiness, a volume that comes late, files that change. */
#include "scratch.h"

#include "server/catalog_private.h"

#include "berth/base/log.h"

#include <time.h>

static struct options options_of(const char *require)
{
    return (struct options){
        .models = "models", .require = require, .alias = "", .default_model = "", .chat_template = ""};
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
    assert_int_equal(models[0]->references, 2);
    catalog_drop_all(c, models, n);
    struct model *m = catalog_hold(c, span_of("b"));
    assert_string_equal(m->path, "b.bin");
    assert_int_equal(m->references, 2);
    catalog_drop(c, m);
    assert_int_equal(m->references, 1);
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
    expect_unready(c, "the model a cannot answer: a.gguf: ");
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
    expect_ready(c); /* the other one is left */
    stop(c);
}

static void rewrite(const char *path)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "WEIGHTS", 7, 0), 7);
    close(fd);
}

static void test_readiness_goes_with_the_only_model_and_with_a_required_one(void **state)
{
    struct options o = options_of("");
    (void)state;
    scratch_write("models/a.bin", "weights");
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    expect_ready(c);
    rewrite("models/a.bin");
    await(c, one_has_failed);
    expect_unready(c, "the model a cannot answer: a.bin: was rewritten in place");
    struct error err = {0};
    assert_false(catalog_some_answers(c, &err));
    stop(c);

    scratch_write("models/b.bin", "weights");
    o = options_of("A.bin,b");
    c = start(&o);
    await(c, load_has_ended);
    expect_unready(c, "required model A.bin is not on the volume");
    stop(c);
    o = options_of("A,b");
    c = start(&o);
    await(c, load_has_ended);
    expect_ready(c);
    rewrite("models/b.bin");
    await(c, one_has_failed);
    expect_unready(c, "the required model b has failed: b.bin: was rewritten in place");
    stop(c);
}

static void test_names_match_without_regard_to_case_and_to_endings(void **state)
{
    struct options o = options_of("");
    (void)state;
    o.alias = "Nick=Small-Model";
    o.default_model = "other";
    scratch_write("models/Small-Model.bin", "weights");
    scratch_write("models/small-model.pt", "weights");
    scratch_write("models/other.bin", "weights");
    struct catalog *c = start(&o);
    await(c, load_has_ended);
    static const char *const rows[][2] = {{"Small-Model", "Small-Model"}, {"small-model", "small-model"},
        {"SMALL-MODEL", "Small-Model"}, {"Small-Model.gguf", "Small-Model"}, {"other:latest", "other"},
        {"OTHER.GGUF:LATEST", "other"}, {"nick", "Small-Model"}, {"NICK:latest", "Small-Model"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct model *m = catalog_hold(c, span_of(rows[i][0]));
        if (!m)
            fail_msg("%s is not known", rows[i][0]);
        assert_string_equal(m->id, rows[i][1]);
        catalog_drop(c, m);
    }
    static const char *const unknown[] = {"small", "Small-Model.ggu", ".gguf", ":latest", "other:7b"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_null(catalog_hold(c, span_of(unknown[i])));
    struct model *m = catalog_hold_default(c);
    assert_string_equal(m->id, "other");
    catalog_drop(c, m);
    stop(c);
}

/* Readers and the writer of lists run at the same time. A sanitizer detects a list or model that is freed too early. */
static atomic_bool reading;

static void *read_lists(void *context)
{
    struct catalog *c = context;
    while (atomic_load(&reading)) {
        struct model_list *l = list_take(c);
        assert_string_equal(l->models[0]->id, "a");
        list_drop(c, l);
        catalog_drop(c, catalog_hold(c, span_of("a")));
    }
    return NULL;
}

static void test_a_list_is_replaced_while_it_is_read_and_models_live_as_long_as_they_are_held(void **state)
{
    (void)state;
    struct options o = options_of("");
    struct error err = {0};
    char id[] = "a", path[] = "a.bin";
    const struct scan_model found = {.id = id, .path = path, .version = 1};
    struct catalog *c = catalog_new(&o, 1, &err);
    pthread_t threads[3];
    struct model *held = NULL;
    for (int i = 0; i < 2000; i++) {
        struct model_list *l = list_new(1);
        l->models[l->n++] = model_new(&found);
        list_publish(c, l);
        if (i == 0) {
            held = catalog_hold(c, span_of("a"));
            atomic_store(&reading, true);
            for (size_t t = 0; t < 3; t++)
                assert_int_equal(pthread_create(&threads[t], NULL, read_lists, c), 0);
        }
    }
    atomic_store(&reading, false);
    for (size_t t = 0; t < 3; t++)
        pthread_join(threads[t], NULL);
    assert_string_equal(held->id, "a");
    catalog_sweep(c); /* a list that a reader was about to refer to is freed here */
    assert_int_equal(held->references, 1);
    catalog_drop(c, held);
    catalog_sweep(c);
    assert_null(c->old_lists);
    assert_null(atomic_load(&c->retired));
    catalog_free(c);
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
        TEST(test_readiness_goes_with_the_only_model_and_with_a_required_one),
        TEST(test_names_match_without_regard_to_case_and_to_endings),
        TEST(test_a_list_is_replaced_while_it_is_read_and_models_live_as_long_as_they_are_held),
        TEST(test_prefault_makes_the_whole_file_resident),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
