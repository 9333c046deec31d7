/* test_timeouts.c - the deadlines of an answer count from the moment when its request has come, not from the moment
 * when it has been understood.
 *
 * One request worker takes long requests, one after the other. So a request with a long body waits behind those that
 * came before it.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdlib.h>
#include <string.h>

#define COMPLETIONS "/v1/completions"
#define AHEAD 8 /* requests that take long to understand */
#define LONG_BYTES 3000000
#define PADDING 70000 /* makes a body long; the field is ignored */

static char *padding, *text;

/* Asks for the tokens of a long text and reads no answer. */
static void ask_long(struct events *e, const struct server *s)
{
    events_ask(e, s, "/v1/tokenize", text_of("{\"text\":\"%s\"}", text));
}

/* The answer to a request that stands behind the long ones. */
static struct answer ask_behind(const struct server *s, const char *fields)
{
    struct events ahead[AHEAD];
    for (size_t i = 0; i < AHEAD; i++)
        ask_long(&ahead[i], s);
    struct answer a = server_post(s, COMPLETIONS, NULL,
        text_of("{\"prompt\":\"a\",\"max_tokens\":2,%s\"user\":\"%s\"}", fields, padding));
    for (size_t i = 0; i < AHEAD; i++)
        events_close(&ahead[i]);
    return a;
}

static struct server *start(const char *option, const char *value)
{
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){.context = 1 << 20});
    return server_start(&(struct setup){.models = dir, .args = {"--request-memory", "1G", option, value}});
}

static void test_the_queue_timeout_counts_from_arrival(void **state)
{
    (void)state;
    struct server *s = start("--queue-timeout", "0.1");
    struct answer a = ask_behind(s, "");
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "waited"));
    assert_non_null(answer_header(&a, "retry-after"));
    answer_release(&a);
    server_stop(s);
}

static void test_the_job_timeout_counts_from_arrival(void **state)
{
    (void)state;
    struct server *s = start("--job-timeout", "0.1");
    struct answer a = ask_behind(s, "");
    assert_int_equal(a.status, 504);
    answer_release(&a);
    a = ask_behind(s, "\"stream\":true,"); /* nothing was sent yet: the status can tell it */
    assert_int_equal(a.status, 504);
    answer_release(&a);
    server_stop(s);
}

static void test_without_a_wait_the_same_request_is_answered(void **state)
{
    (void)state;
    struct server *s = start("--job-timeout", "5");
    json_t *a = server_post_json(
        s, COMPLETIONS, 200, text_of("{\"prompt\":\"a\",\"max_tokens\":2,\"user\":\"%s\"}", padding));
    assert_string_equal(text_at(a, "choices.0.text"), "bc");
    json_decref(a);
    server_stop(s);
}

static int make_texts(void **state)
{
    (void)state;
    padding = calloc(1, PADDING + 1);
    text = calloc(1, LONG_BYTES + 1);
    if (!padding || !text)
        return -1;
    memset(padding, 'x', PADDING);
    memset(text, 'x', LONG_BYTES);
    return 0;
}

static int end(void **state)
{
    free(padding);
    free(text);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_queue_timeout_counts_from_arrival),
        cmocka_unit_test(test_the_job_timeout_counts_from_arrival),
        cmocka_unit_test(test_without_a_wait_the_same_request_is_answered),
    };
    return cmocka_run_group_tests(tests, make_texts, end);
}
