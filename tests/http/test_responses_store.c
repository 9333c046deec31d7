/* test_responses_store.c - responses that are kept with --store: conversations that go on from them, and their routes.
 */
#include "events.h"
#include "reciting_model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool_models.h"

#define RESPONSES "/v1/responses"
#define COUNT "/v1/responses/input_tokens"
#define KEY(key) "Authorization: Bearer " key "\r\n"
#define ALPHABET "abcdefghijklmnopqrstuvwxyz."
#define SCHEMA "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}"
#define TOOLS "\"tools\":[{\"type\":\"function\",\"name\":\"weather\",\"parameters\":" SCHEMA "}]"

static struct server *server;

/* ---- asking ---- */

static json_t *sent(const struct server *s, const char *method, const char *target, const char *headers,
    const char *body, int status)
{
    struct answer a =
        body ? server_post(s, target, headers, body) : server_request(s, method, target, headers);
    if (a.status != status)
        fail_msg("%s %s %s: %d: %s", method, target, body ? body : "", a.status, a.body);
    json_t *value = answer_json(&a);
    answer_release(&a);
    return value;
}

static json_t *asked(const char *model, const char *fields)
{
    return sent(server, "POST", RESPONSES, NULL, text_of("{\"model\":\"%s\",%s}", model, fields), 200);
}

/* The same, after the response; the id of the answer is stored in next[64]. */
static json_t *asked_after(const char *model, const char *previous, const char *fields, char *next)
{
    json_t *a = asked(model, text_of("\"previous_response_id\":\"%s\",%s", previous, fields));
    snprintf(next, 64, "%s", text_at(a, "id"));
    return a;
}

static void ask(const char *model, const char *fields, char *id)
{
    json_t *a = asked(model, fields);
    snprintf(id, 64, "%s", text_at(a, "id"));
    json_decref(a);
}

static json_t *got(const char *path, int status)
{
    return sent(server, "GET", text_of(RESPONSES "/%s", path), NULL, NULL, status);
}

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *text = text_at(value, path);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, text, wanted);
}

static void assert_status(const char *path, int status)
{
    json_decref(got(path, status));
}

/* A request that goes on from `previous` has the prompt of the chat. */
static void assert_prompt(const char *previous, const char *fields, const char *chat)
{
    json_t *a = sent(server, "POST", COUNT, NULL,
        text_of("{\"model\":\"thinker\",\"previous_response_id\":\"%s\",%s}", previous, fields), 200);
    json_t *b = sent(server, "POST", "/v1/tokenize", NULL, text_of("{\"model\":\"thinker\",%s}", chat), 200);
    if (number_at(a, "input_tokens") != number_at(b, "count"))
        fail_msg("%s: %lld tokens, not the %lld of %s", fields, number_at(a, "input_tokens"),
            number_at(b, "count"), chat);
    json_decref(a);
    json_decref(b);
}

/* ---- conversations ---- */

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define SAYS(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

static void test_a_conversation_goes_on_from_a_response(void **state)
{
    char first[64], second[64], third[64];
    (void)state;
    json_t *a = asked("letters", "\"input\":\"Hello\",\"instructions\":\"Be brief\"");
    snprintf(first, sizeof(first), "%s", text_at(a, "id"));
    assert_true(json_is_true(json_at(a, "store")) && json_is_null(json_at(a, "previous_response_id")));
    json_decref(a);
    /* The instructions of the first are gone. */
    assert_prompt(
        first, "\"input\":\"More\"", "\"messages\":[" USER("Hello") "," SAYS(ALPHABET) "," USER("More") "]");
    a = asked_after("letters", first, "\"input\":\"More\",\"instructions\":\"Now\"", second);
    assert_text(a, "previous_response_id", first);
    assert_true(json_is_true(json_at(a, "store")));
    json_decref(a);
    assert_prompt(second, "\"instructions\":\"Last\",\"input\":[{\"role\":\"user\",\"content\":\"Third\"}]",
        "\"messages\":[{\"role\":\"system\",\"content\":\"Last\"}," USER("Hello") "," SAYS(ALPHABET) "," USER(
            "More") "," SAYS(ALPHABET) "," USER("Third") "]");
    /* Nothing new may be said, and two may go on from the same one. */
    assert_prompt(first, "\"input\":[]", "\"messages\":[" USER("Hello") "," SAYS(ALPHABET) "]");
    json_decref(asked_after("letters", first, "\"input\":\"Else\"", third));
    assert_prompt(third, "\"input\":\"x\"",
        "\"messages\":[" USER("Hello") "," SAYS(ALPHABET) "," USER("Else") "," SAYS(ALPHABET) "," USER(
            "x") "]");
    json_decref(sent(server, "DELETE", text_of(RESPONSES "/%s", first), NULL, NULL, 200));
    a = asked_after("letters", third, "\"input\":\"x\"", second);
    assert_true(number_at(a, "usage.input_tokens_details.cached_tokens") > 60);
    json_decref(a);
}

#define THOUGHT "\"reasoning_content\":\"Hm, Rome.\""
#define CALLS(id)                                                                                            \
    "\"tool_calls\":[{\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":" \
    "{\"city\": \"Rome\"}}}]"

static void test_reasoning_and_calls_are_part_of_it(void **state)
{
    char first[64], call[128];
    (void)state;
    json_t *a = asked(
        "thinker", "\"input\":[{\"role\":\"developer\",\"content\":\"Rules\"}," USER("Hello") "]," TOOLS);
    snprintf(first, sizeof(first), "%s", text_at(a, "id"));
    snprintf(call, sizeof(call), "%s", text_at(a, "output.2.call_id"));
    json_decref(a);
    assert_prompt(first,
        text_of(
            "\"instructions\":\"Be\",\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"%s\",\"output\":"
            "\"sunny\"}]",
            call),
        text_of("\"messages\":[{\"role\":\"system\",\"content\":\"Be\\n\\nRules\"}," USER(
                    "Hello") ",{\"role\":"
                             "\"assistant\",\"content\":\"I look.\"," THOUGHT
                             "," CALLS("%s") "},{\"role\":\"tool\",\"name\":"
                                             "\"weather\",\"tool_call_id\":\"%s\",\"content\":\"sunny\"}]",
            call, call));
}

static void test_an_item_is_sent_by_reference(void **state)
{
    static const char *const unheard[] = {"rs_1", "rs__", "rs_%s_9", "msg_%s_0", "rs_%s_0x", "rs_%s_in0", ""};
    char hex[64], fields[512];
    (void)state;
    json_t *a = asked("thinker", "\"input\":\"Hello\"," TOOLS);
    snprintf(hex, sizeof(hex), "%s", text_at(a, "id") + strlen("resp_"));
    for (size_t i = 0; i < sizeof(unheard) / sizeof(unheard[0]); i++) {
        const char *at = strstr(unheard[i], "%s");
        const char *id =
            at ? text_of("%.*s%s%s", (int)(at - unheard[i]), unheard[i], hex, at + 2) : unheard[i];
        json_t *b = sent(server, "POST", RESPONSES, NULL,
            text_of("{\"model\":\"thinker\",\"input\":[" USER(
                        "Hi") ",{\"type\":\"item_reference\",\"id\":\"%s\"}]}",
                id),
            404);
        assert_text(b, "error.param", "input[1]");
        assert_text(b, "error.message", text_of("Item with id '%s' not found.", id));
        json_decref(b);
    }
    snprintf(fields, sizeof(fields),
        "\"input\":[" USER(
            "Hello") ",{\"type\":\"item_reference\",\"id\":\"%s\"},{\"type\":\"item_reference\",\"id\":\"%s\"}]",
        text_at(a, "output.0.id"), text_at(a, "output.1.id"));
    assert_prompt("", fields,
        "\"messages\":[" USER("Hello") ",{\"role\":\"assistant\",\"content\":\"I look.\"," THOUGHT "}]");
    /* What is kept is the item, not the reference. */
    json_t *b = asked("thinker", text_of("%s,\"max_output_tokens\":1", fields));
    json_decref(sent(server, "DELETE", text_of(RESPONSES "/%s", text_at(a, "id")), NULL, NULL, 200));
    json_t *items = got(text_of("%s/input_items?order=asc", text_at(b, "id")), 200);
    assert_true(json_equal(json_at(items, "data.2"), json_at(a, "output.1")));
    json_decref(items);
    json_decref(b);
    json_decref(a);
}

/* ---- what is kept ---- */

static void test_a_response_is_read_and_deleted(void **state)
{
    char path[128];
    (void)state;
    json_t *a = asked("thinker", "\"input\":\"Hello\",\"metadata\":{\"a\":\"b\"}," TOOLS);
    json_t *b = got(text_at(a, "id"), 200);
    assert_true(json_equal(a, b));
    json_decref(b);
    snprintf(path, sizeof(path), "%s", text_at(a, "id"));
    b = sent(server, "DELETE", text_of(RESPONSES "/%s", path), NULL, NULL, 200);
    assert_text(b, "id", path);
    assert_text(b, "object", "response");
    assert_true(json_is_true(json_at(b, "deleted")));
    json_decref(b);
    b = got(path, 404);
    assert_non_null(strstr(text_at(b, "error.message"), path));
    assert_text(b, "error.type", "invalid_request_error");
    json_decref(b);
    json_decref(sent(server, "DELETE", text_of(RESPONSES "/%s", path), NULL, NULL, 404));
    assert_status(text_of("%s/input_items", path), 404);
    json_decref(a);
    ask("letters", "\"input\":\"Hello\"", path);
    assert_status(text_of("%s?stream=true", path), 400);
}

static void test_what_is_not_to_be_kept_is_not(void **state)
{
    (void)state;
    json_t *a = asked("letters", "\"input\":\"Hello\",\"store\":false");
    assert_true(json_is_false(json_at(a, "store")));
    assert_status(text_at(a, "id"), 404);
    json_decref(a);
    a = sent(
        server, "POST", RESPONSES, NULL, "{\"model\":\"letters\",\"input\":\"Hello\",\"store\":\"no\"}", 400);
    assert_text(a, "error.param", "store");
    json_decref(a);
}

/* The response of the last event. */
static json_t *streamed(const struct server *s, const char *body)
{
    struct events e;
    json_t *last = NULL;
    events_open(&e, s, RESPONSES, body);
    for (json_t *event; (event = events_named(&e)); json_decref(event))
        if (json_object_get(event, "response")) {
            json_decref(last);
            last = json_incref((json_t *)(uintptr_t)json_at(event, "response"));
        }
    events_close(&e);
    return last;
}

static void test_streams_and_cut_answers_are_kept(void **state)
{
    static const char *const fields[] = {"\"stream\":true", "\"stream\":true,\"max_output_tokens\":3"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *a = streamed(server, text_of("{\"model\":\"letters\",\"input\":\"Hello\",%s}", fields[i]));
        assert_text(a, "status", i ? "incomplete" : "completed");
        json_t *b = got(text_at(a, "id"), 200);
        assert_true(json_equal(a, b));
        assert_prompt(text_at(a, "id"), "\"input\":\"x\"",
            i ? "\"messages\":[" USER("Hello") "," SAYS("abc") "," USER("x") "]"
              : "\"messages\":[" USER("Hello") "," SAYS(ALPHABET) "," USER("x") "]");
        json_decref(a);
        json_decref(b);
    }
    /* A call that was cut is no call. */
    json_t *a = asked("twice", "\"input\":\"Hello\",\"max_output_tokens\":14," TOOLS);
    assert_text(a, "output.0.status", "incomplete");
    assert_prompt(text_at(a, "id"), "\"input\":\"x\"", "\"messages\":[" USER("Hello\\n\\nx") "]");
    json_decref(a);
}

static void test_a_failed_response_is_not_kept(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    struct server *s =
        server_start(&(struct setup){.models = dir, .args = {"--job-timeout", "2", "--store", "1M"}});
    server_wait_status(s, "/readyz", 200);
    json_t *a = streamed(s, "{\"input\":\"Hello\",\"ignore_eos\":true,\"stream\":true}");
    assert_text(a, "status", "failed");
    json_decref(sent(s, "GET", text_of(RESPONSES "/%s", text_at(a, "id")), NULL, NULL, 404));
    json_decref(a);
    server_stop(s);
}

/* ---- what is not found ---- */

static void assert_not_found(const struct server *s, const char *headers, const char *id)
{
    json_t *a = sent(s, "POST", RESPONSES, headers,
        text_of("{\"model\":\"letters\",\"input\":\"x\",\"previous_response_id\":\"%s\"}", id), 400);
    assert_text(a, "error.code", "previous_response_not_found");
    assert_text(a, "error.param", "previous_response_id");
    assert_text(a, "error.message", text_of("Previous response with id '%s' not found.", id));
    json_decref(a);
}

static void test_an_unknown_response_is_told(void **state)
{
    (void)state;
    assert_not_found(server, NULL, "resp_unheard");
    json_decref(asked("letters", "\"input\":\"Hello\",\"previous_response_id\":\"\""));
    json_decref(asked("letters", "\"input\":\"Hello\",\"previous_response_id\":null"));
    json_t *a = sent(server, "POST", RESPONSES, NULL,
        "{\"model\":\"letters\",\"input\":\"Hello\",\"previous_response_id\":7}", 400);
    assert_text(a, "error.param", "previous_response_id");
    json_decref(a);
    assert_status("resp_unheard", 404);
    assert_status("resp_%22/with/more", 404);
}

static void test_a_key_reads_no_other_key_s_responses(void **state)
{
    (void)state;
    static const char keys[] = "the-first\nthe-second\n";
    const char *dir = temp_dir();
    write_file(dir, "keys", keys, strlen(keys));
    struct server *s = server_start(&(struct setup){
        .models = tool_models_volume(), .args = {"--store", "1M", "--api-key-file", path_in(dir, "keys")}});
    server_wait_status(s, "/readyz", 200);
    json_t *a =
        sent(s, "POST", RESPONSES, KEY("the-first"), "{\"model\":\"letters\",\"input\":\"Hello\"}", 200);
    const char *id = text_at(a, "id"), *path = text_of(RESPONSES "/%s", id);
    assert_not_found(s, KEY("the-second"), id);
    json_decref(sent(s, "GET", path, KEY("the-second"), NULL, 404));
    json_decref(sent(s, "GET", text_of("%s/input_items", path), KEY("the-second"), NULL, 404));
    json_decref(sent(s, "DELETE", path, KEY("the-second"), NULL, 404));
    json_decref(sent(s, "GET", path, NULL, NULL, 401));
    json_decref(sent(s, "GET", path, "x-api-key: the-first\r\n", NULL, 200));
    json_decref(sent(s, "POST", RESPONSES, KEY("the-first"),
        text_of("{\"model\":\"letters\",\"input\":\"x\",\"previous_response_id\":\"%s\"}", id), 200));
    json_decref(a);
    server_stop(s);
}

static void test_the_oldest_make_room(void **state)
{
    char ids[6][64];
    (void)state;
    struct server *s = server_start(
                      &(struct setup){.models = tool_models_volume(), .args = {"--store", "6K"}}),
                  *kept = server;
    server_wait_status(s, "/readyz", 200);
    server = s;
    for (size_t i = 0; i < 6; i++)
        ask("letters", "\"input\":\"Hello\"", ids[i]);
    assert_true(metric(s, "berth_responses_kept") >= 2 && metric(s, "berth_responses_kept") < 6);
    assert_true(metric(s, "berth_responses_kept_bytes") <= 6 * 1024);
    assert_not_found(s, NULL, ids[0]);
    assert_status(ids[0], 404);
    json_decref(asked_after("letters", ids[5], "\"input\":\"x\"", ids[0]));
    /* Larger than the store: it is answered, and nothing else is lost. */
    char *text = calloc(1, 8001);
    memset(text, 'x', 8000);
    ask("letters", text_of("\"input\":\"%s\"", text), ids[1]);
    assert_status(ids[1], 404);
    assert_status(ids[0], 200);
    free(server_wait_log(s, "a response is not kept"));
    free(text);
    server_stop(s);
    server = kept;
}

static void test_without_a_store_the_routes_say_so(void **state)
{
    static const char *const paths[] = {"resp_1", "resp_1/input_items", "resp_1/input_items?limit=900"};
    (void)state;
    struct server *s = server_start(&(struct setup){.models = tool_models_volume()});
    server_wait_status(s, "/readyz", 200);
    json_t *a =
        sent(s, "POST", RESPONSES, NULL, "{\"model\":\"letters\",\"input\":\"x\",\"store\":true}", 200);
    assert_true(json_is_false(json_at(a, "store")));
    json_decref(a);
    for (size_t i = 0; i < 3; i++) {
        a = sent(s, "GET", text_of(RESPONSES "/%s", paths[i]), NULL, NULL, 404);
        assert_non_null(strstr(text_at(a, "error.message"), "--store"));
        json_decref(a);
    }
    json_decref(sent(s, "DELETE", RESPONSES "/resp_1", NULL, NULL, 404));
    server_stop(s);
}

/* ---- lists of items ---- */

static void test_the_items_of_a_response_are_listed(void **state)
{
    char first[64], second[64];
    (void)state;
    ask("letters", "\"input\":\"Hello\"", first);
    json_t *a = got(text_of("%s/input_items", first), 200);
    assert_text(a, "object", "list");
    assert_int_equal(json_array_size(json_at(a, "data")), 1);
    assert_text(a, "data.0.type", "message");
    assert_text(a, "data.0.role", "user");
    assert_text(a, "data.0.content.0.type", "input_text");
    assert_text(a, "data.0.content.0.text", "Hello");
    assert_text(a, "first_id", text_at(a, "data.0.id"));
    assert_true(json_is_false(json_at(a, "has_more")));
    json_decref(a);
    json_decref(asked_after("letters", first,
        "\"input\":[{\"role\":\"assistant\",\"content\":\"I\"},{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":"
        "\"n\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"id\":\"mine\",\"call_id\":\"c\",\"output\":"
        "\"o\"}," USER("More") "]",
        second));
    a = got(text_of("%s/input_items?order=asc", second), 200);
    assert_int_equal(json_array_size(json_at(a, "data")), 6);
    assert_text(a, "data.0.content.0.text", "Hello");
    assert_text(a, "data.1.content.0.text", ALPHABET);
    assert_text(a, "data.2.content.0.type", "output_text");
    assert_text(a, "data.3.type", "function_call");
    assert_text(a, "data.4.id", "mine");
    assert_text(a, "data.5.content.0.text", "More");
    json_t *b = got(text_of("%s/input_items", second), 200);
    assert_true(json_equal(json_at(a, "data.5"), json_at(b, "data.0")));
    json_decref(b);
    b = got(text_of("%s/input_items?order=asc&limit=2&after=%s", second, text_at(a, "data.2.id")), 200);
    assert_int_equal(json_array_size(json_at(b, "data")), 2);
    assert_text(b, "first_id", text_at(a, "data.3.id"));
    assert_text(b, "last_id", "mine");
    assert_true(json_is_true(json_at(b, "has_more")));
    json_decref(b);
    b = got(text_of("%s/input_items?after=%s", second, text_at(a, "data.0.id")), 200);
    assert_true(json_is_null(json_at(b, "first_id")) && json_is_null(json_at(b, "last_id")));
    json_decref(b);
    json_decref(a);
}

static void test_a_page_that_cannot_be_is_refused(void **state)
{
    static const char *const rows[][2] = {{"limit=0", "limit"}, {"limit=101", "limit"}, {"limit=a", "limit"},
        {"limit=", "limit"}, {"order=up", "order"}, {"after=resp_1", "after"}};
    char id[64];
    (void)state;
    ask("letters", "\"input\":\"Hello\"", id);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = got(text_of("%s/input_items?%s", id, rows[i][0]), 400);
        assert_text(a, "error.param", rows[i][1]);
        json_decref(a);
    }
}

static void test_conversations_are_not_compacted(void **state)
{
    (void)state;
    json_t *a =
        sent(server, "POST", RESPONSES "/compact", NULL, "{\"model\":\"letters\",\"input\":\"Hello\"}", 404);
    assert_text(a, "error.code", "unsupported_endpoint");
    assert_text(a, "error.type", "invalid_request_error");
    assert_non_null(strstr(text_at(a, "error.message"), "compact"));
    json_decref(a);
}

/* ---- many at once ---- */

#define TALKERS 4

static void *talk(void *context)
{
    char id[64] = "", body[256];
    bool *good = context;
    *good = true;
    for (size_t i = 0; *good && i < 8; i++) {
        snprintf(body, sizeof(body),
            "{\"model\":\"letters\",\"input\":\"Hello\",\"previous_response_id\":\"%s\"}", id);
        struct answer a = server_post(server, RESPONSES, NULL, body);
        const char *at = a.status == 200 ? strstr(a.body, "resp_") : NULL;
        *good = at != NULL;
        if (at)
            snprintf(id, sizeof(id), "%.*s", (int)strcspn(at, "\""), at);
        answer_release(&a);
    }
    return NULL;
}

static void test_conversations_go_on_side_by_side(void **state)
{
    pthread_t threads[TALKERS];
    bool good[TALKERS] = {false};
    (void)state;
    for (size_t i = 0; i < TALKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, talk, &good[i]), 0);
    for (size_t i = 0; i < TALKERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < TALKERS; i++)
        assert_true(good[i]);
}

static int begin(void **state)
{
    (void)state;
    server = server_start(&(struct setup){.models = tool_models_volume(), .args = {"--store", "4M"}});
    server_wait_status(server, "/readyz", 200);
    return 0;
}

static int end(void **state)
{
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_conversation_goes_on_from_a_response),
        cmocka_unit_test(test_reasoning_and_calls_are_part_of_it),
        cmocka_unit_test(test_an_item_is_sent_by_reference),
        cmocka_unit_test(test_a_response_is_read_and_deleted),
        cmocka_unit_test(test_what_is_not_to_be_kept_is_not),
        cmocka_unit_test(test_streams_and_cut_answers_are_kept),
        cmocka_unit_test(test_a_failed_response_is_not_kept),
        cmocka_unit_test(test_an_unknown_response_is_told),
        cmocka_unit_test(test_a_key_reads_no_other_key_s_responses),
        cmocka_unit_test(test_the_oldest_make_room),
        cmocka_unit_test(test_without_a_store_the_routes_say_so),
        cmocka_unit_test(test_the_items_of_a_response_are_listed),
        cmocka_unit_test(test_a_page_that_cannot_be_is_refused),
        cmocka_unit_test(test_conversations_are_not_compacted),
        cmocka_unit_test(test_conversations_go_on_side_by_side),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
