/* test_processors.c - processors that are taken from a running server and given back: the number of threads follows, and
 * is logged.
 */
#include "events.h"
#include "reciting_model.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Asks until the server has seen how many processors there are; all answers are the same. */
static void ask_until_threads_are(const struct server *s, unsigned wanted)
{
    double end = now() + WAIT_MS * 1e-3;
    double threads = 0;
    while (threads < wanted || threads > wanted) {
        if (now() > end)
            fail_msg("%g threads, not %u", threads, wanted);
        json_t *a = server_post_json(s, "/v1/completions", 200,
            text_of("{\"model\":\"tiny\",\"max_tokens\":40,\"prompt\":\"%s\"}", "7"));
        assert_true(strncmp(text_at(a, "choices.0.text"), "89" TINY_EURO "0123", 9) == 0);
        json_decref(a);
        threads = metric(s, "berth_compute_threads");
    }
}

static void test_threads_follow_the_affinity(void **state)
{
    const char *dir = temp_dir();
    cpu_set_t all, one;
    (void)state;
    assert_return_code(sched_getaffinity(0, sizeof(all), &all), errno);
    if (CPU_COUNT(&all) < 2) {
        print_message("SKIPPED: threads that follow the affinity: there is but one processor\n");
        skip();
    }
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    struct server *s = server_start(&(struct setup){.models = dir, .args = {"--threads", "2"}});
    assert_true(metric(s, "berth_compute_threads") == 2);
    ask_until_threads_are(s, 2);
    assert_false(server_logged(s, "compute threads change"));
    assert_return_code(sched_setaffinity(s->pid, sizeof(one), &one), errno);
    ask_until_threads_are(s, 1);
    assert_true(metric(s, "berth_cpu_limit") == 1);
    char *line = server_wait_log(s, "compute threads change");
    assert_non_null(strstr(line, "affinity of 1"));
    free(line);
    assert_return_code(sched_setaffinity(s->pid, sizeof(all), &all), errno);
    ask_until_threads_are(s, 2);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_follow_the_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
