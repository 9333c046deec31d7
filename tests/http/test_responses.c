/* test_responses.c - OpenAI's Responses API over HTTP: responses whole and streamed, counts, refusals, Codex.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool_models.h"

#define RESPONSES "/v1/responses"
#define COUNT "/v1/responses/input_tokens"
#define HELLO "\"input\":\"Hello\""
#define SCHEMA                                                                                               \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"],"          \
    "\"additionalProperties\":false}"
#define TOOLS                                                                                                 \
    "\"tools\":[{\"type\":\"function\",\"name\":\"weather\",\"description\":\"Tells\",\"parameters\":" SCHEMA \
    ",\"strict\":true},{\"type\":\"function\",\"name\":\"other\",\"parameters\":{\"type\":\"object\","        \
    "\"additionalProperties\":false}}]"

static struct server *server;

static json_t *asked(const char *model, const char *fields)
{
    return server_post_json(server, RESPONSES, 200, text_of("{\"model\":\"%s\",%s}", model, fields));
}

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

static void assert_null_at(const json_t *value, const char *path)
{
    if (!json_is_null(json_at(value, path)))
        fail_msg("%s is not null", path);
}

/* ---- whole responses ---- */

static void test_a_response_is_answered_whole(void **state)
{
    (void)state;
    json_t *a = asked("letters", HELLO);
    assert_int_equal(strncmp(text_at(a, "id"), "resp_", 5), 0);
    assert_text(a, "object", "response");
    assert_text(a, "status", "completed");
    assert_text(a, "model", "letters");
    assert_int_equal(json_array_size(json_at(a, "output")), 1);
    assert_text(a, "output.0.type", "message");
    assert_text(a, "output.0.role", "assistant");
    assert_text(a, "output.0.status", "completed");
    assert_text(a, "output.0.content.0.type", "output_text");
    assert_text(a, "output.0.content.0.text", "abcdefghijklmnopqrstuvwxyz.");
    assert_int_equal(json_array_size(json_at(a, "output.0.content.0.annotations")), 0);
    assert_int_equal(number_at(a, "usage.input_tokens"), (int)strlen("user: Hello\nassistant:\n"));
    assert_int_equal(number_at(a, "usage.output_tokens"), 28);
    assert_int_equal(number_at(a, "usage.total_tokens"), number_at(a, "usage.input_tokens") + 28);
    assert_true(number_at(a, "completed_at") >= number_at(a, "created_at"));
    json_decref(a);
}

/* Clients with typed models want every member, also those that are null. */
static void test_a_response_repeats_its_request(void **state)
{
    static const char *const nulls[] = {"error", "incomplete_details", "previous_response_id", "instructions",
        "max_output_tokens", "max_tool_calls", "safety_identifier", "prompt_cache_key", "user",
        "reasoning.effort", "reasoning.summary"};
    (void)state;
    json_t *a = asked("letters", HELLO);
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
        assert_null_at(a, nulls[i]);
    assert_true(json_is_false(json_at(a, "store")) && json_is_false(json_at(a, "background")));
    assert_true(json_is_true(json_at(a, "parallel_tool_calls")));
    assert_text(a, "truncation", "disabled");
    assert_text(a, "tool_choice", "auto");
    assert_text(a, "text.format.type", "text");
    assert_true(json_number_value(json_at(a, "temperature")) > 0.79);
    assert_int_equal(json_object_size(json_at(a, "metadata")), 0);
    json_decref(a);
    a = asked("letters", HELLO
        ",\"instructions\":\"Be brief\",\"max_output_tokens\":40,\"metadata\":{\"a\":\"b\"},\"store\":true,"
        "\"temperature\":0.3,\"top_p\":0.5,\"prompt_cache_key\":\"k\",\"user\":\"u\",\"truncation\":\"auto\","
        "\"parallel_tool_calls\":false,\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},\"service_tier\":"
        "\"auto\",\"tool_choice\":\"none\"," TOOLS);
    assert_text(a, "instructions", "Be brief");
    assert_int_equal(number_at(a, "max_output_tokens"), 40);
    assert_text(a, "metadata.a", "b");
    assert_true(json_is_false(json_at(a, "store")));
    assert_true(json_real_value(json_at(a, "temperature")) > 0.29 &&
                json_real_value(json_at(a, "temperature")) < 0.31);
    assert_text(a, "prompt_cache_key", "k");
    assert_text(a, "reasoning.effort", "low");
    assert_text(a, "tool_choice", "none");
    assert_text(a, "tools.0.name", "weather");
    assert_null_at(a, "tools.1.description");
    json_decref(a);
}

static void test_an_answer_that_is_cut_is_incomplete(void **state)
{
    (void)state;
    json_t *a = asked("letters", HELLO ",\"max_output_tokens\":3");
    assert_text(a, "status", "incomplete");
    assert_text(a, "incomplete_details.reason", "max_output_tokens");
    assert_text(a, "output.0.status", "incomplete");
    assert_text(a, "output.0.content.0.text", "abc");
    assert_null_at(a, "completed_at");
    json_decref(a);
    a = asked("twice", HELLO ",\"max_output_tokens\":14," TOOLS);
    const char *came = text_at(a, "output.0.arguments");
    assert_text(a, "output.0.status", "incomplete");
    assert_int_equal(strncmp("{\"city\": \"Rome\"}", came, strlen(came)), 0);
    json_decref(a);
}

static void test_items_come_in_the_order_in_which_the_model_wrote_them(void **state)
{
    (void)state;
    json_t *a = asked("thinker", HELLO "," TOOLS);
    assert_int_equal(json_array_size(json_at(a, "output")), 3);
    assert_text(a, "output.0.type", "reasoning");
    assert_text(a, "output.0.content.0.text", "Hm, Rome.");
    assert_int_equal(json_array_size(json_at(a, "output.0.summary")), 0);
    assert_text(a, "output.1.content.0.text", "I look.");
    assert_text(a, "output.2.type", "function_call");
    assert_text(a, "output.2.name", "weather");
    assert_text(a, "output.2.arguments", "{\"city\": \"Rome\"}");
    assert_text(a, "output.2.status", "completed");
    assert_text(a, "status", "completed");
    assert_true(number_at(a, "usage.output_tokens_details.reasoning_tokens") > 0);
    json_decref(a);
    a = asked("thinker", HELLO ",\"reasoning\":{\"summary\":\"auto\"}," TOOLS);
    assert_text(a, "output.0.summary.0.type", "summary_text");
    assert_text(a, "output.0.summary.0.text", "Hm, Rome.");
    json_decref(a);
    a = asked("twice", HELLO "," TOOLS);
    assert_int_equal(json_array_size(json_at(a, "output")), 2);
    assert_string_not_equal(text_at(a, "output.0.call_id"), text_at(a, "output.1.call_id"));
    assert_string_not_equal(text_at(a, "output.0.id"), text_at(a, "output.1.id"));
    json_decref(a);
}

static void test_probabilities_come_where_they_are_asked_for(void **state)
{
    static const char *const fields[] = {
        "\"include\":[\"message.output_text.logprobs\",\"reasoning.encrypted_content\"],\"top_logprobs\":2",
        "\"top_logprobs\":2"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *a = asked("letters", text_of(HELLO ",\"max_output_tokens\":2,%s", fields[i]));
        assert_int_equal(json_array_size(json_at(a, "output.0.content.0.logprobs")), 2);
        assert_text(a, "output.0.content.0.logprobs.1.token", "b");
        assert_int_equal(json_array_size(json_at(a, "output.0.content.0.logprobs.1.top_logprobs")), 2);
        json_decref(a);
    }
    /* Those of the reasoning are not the text's. */
    json_t *a = asked("thinker", HELLO ",\"top_logprobs\":1,\"max_output_tokens\":60");
    const json_t *first = json_at(a, "output.1.content.0.logprobs.0.token");
    assert_non_null(strstr("I look.", json_string_value(first)));
    json_decref(a);
}

/* ---- streams ---- */

/* A stream, put together again as its clients do. */
struct streamed {
    char order[2048];
    char text[256], reasoning[256], arguments[2][256];
    long long n_items, n_calls, sequence;
    json_t *last; /* the response of the last event */
};

static void add(char *to, size_t room, const json_t *event)
{
    strncat(to, text_at(event, "delta"), room - strlen(to) - 1);
}

static void take_event(struct streamed *s, const json_t *event)
{
    const char *type = text_at(event, "type");
    assert_int_equal(number_at(event, "sequence_number"), s->sequence++);
    note_event(s->order, sizeof(s->order), type + strlen("response."));
    if (json_object_get(event, "response")) {
        json_decref(s->last);
        s->last = json_incref((json_t *)(uintptr_t)json_at(event, "response"));
        return;
    }
    if (strcmp(type, "response.output_item.added") == 0) {
        assert_int_equal(number_at(event, "output_index"), s->n_items++);
        s->n_calls += strcmp(text_at(event, "item.type"), "function_call") == 0;
    }
    assert_int_equal(number_at(event, "output_index"), s->n_items - 1);
    if (strcmp(type, "response.output_text.delta") == 0)
        add(s->text, sizeof(s->text), event);
    if (strstr(type, "response.reasoning") && strstr(type, ".delta"))
        add(s->reasoning, sizeof(s->reasoning), event);
    if (strcmp(type, "response.function_call_arguments.delta") == 0)
        add(s->arguments[s->n_calls - 1], sizeof(s->arguments[0]), event);
}

static struct streamed streamed_of(const struct server *at, const char *model, const char *fields)
{
    struct events e;
    struct streamed s = {0};
    events_open(&e, at, RESPONSES, text_of("{\"model\":\"%s\",\"stream\":true,%s}", model, fields));
    for (json_t *event; (event = events_named(&e)); json_decref(event))
        take_event(&s, event);
    events_close(&e);
    return s;
}

static struct streamed streamed(const char *model, const char *fields)
{
    return streamed_of(server, model, fields);
}

#define BEGIN "created in_progress "
#define TEXT_ITEM                                                                                            \
    "output_item.added content_part.added output_text.delta output_text.done content_part.done "             \
    "output_item.done "
#define CALL_ITEM                                                                                            \
    "output_item.added function_call_arguments.delta function_call_arguments.done output_item.done "
#define REASONING_ITEM                                                                                       \
    "output_item.added content_part.added reasoning_text.delta reasoning_text.done content_part.done "       \
    "output_item.done "
#define SUMMARY_ITEM                                                                                         \
    "output_item.added reasoning_summary_part.added reasoning_summary_text.delta "                           \
    "reasoning_summary_text.done reasoning_summary_part.done output_item.done "

static void test_the_events_of_a_stream_come_in_order(void **state)
{
    (void)state;
    struct streamed s = streamed("thinker", HELLO "," TOOLS);
    assert_string_equal(s.order, BEGIN REASONING_ITEM TEXT_ITEM CALL_ITEM "completed ");
    assert_string_equal(s.reasoning, "Hm, Rome.");
    assert_string_equal(s.text, "I look.");
    assert_string_equal(s.arguments[0], "{\"city\": \"Rome\"}");
    json_decref(s.last);
    s = streamed("thinker", HELLO ",\"reasoning\":{\"summary\":\"detailed\"}," TOOLS);
    assert_string_equal(s.order, BEGIN SUMMARY_ITEM TEXT_ITEM CALL_ITEM "completed ");
    assert_string_equal(s.reasoning, "Hm, Rome.");
    json_decref(s.last);
    s = streamed("twice", HELLO "," TOOLS);
    assert_string_equal(s.order, BEGIN CALL_ITEM CALL_ITEM "completed ");
    assert_string_equal(s.arguments[1], "{}");
    json_decref(s.last);
    s = streamed("letters", HELLO ",\"max_output_tokens\":3");
    assert_string_equal(s.order, BEGIN TEXT_ITEM "incomplete ");
    assert_text(s.last, "incomplete_details.reason", "max_output_tokens");
    json_decref(s.last);
}

/* But for what differs from answer to answer. */
static void forget(json_t *response)
{
    static const char *const changing[] = {"id", "created_at", "completed_at", "usage"};
    size_t i;
    json_t *item;
    for (size_t k = 0; k < sizeof(changing) / sizeof(changing[0]); k++)
        json_object_del(response, changing[k]);
    json_array_foreach(json_object_get(response, "output"), i, item)
    {
        json_object_del(item, "id");
        json_object_del(item, "call_id");
    }
}

static void test_a_stream_ends_with_the_response_that_is_answered_whole(void **state)
{
    static const char *const models[] = {"thinker", "twice", "letters"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct streamed s = streamed(models[i], HELLO "," TOOLS);
        json_t *whole = asked(models[i], HELLO "," TOOLS);
        assert_int_equal(number_at(s.last, "usage.output_tokens"), number_at(whole, "usage.output_tokens"));
        forget(whole);
        forget(s.last);
        assert_true(json_equal(whole, s.last));
        json_decref(whole);
        json_decref(s.last);
    }
}

static void test_a_job_that_fails_ends_its_stream_in_a_failure(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    struct server *s = server_start(&(struct setup){.models = dir, .args = {"--job-timeout", "2"}});
    server_wait_status(s, "/readyz", 200);
    struct streamed said = streamed_of(s, "slow", HELLO ",\"ignore_eos\":true");
    size_t size = strlen(said.order);
    assert_true(size > 7 && strcmp(said.order + size - 7, "failed ") == 0);
    assert_text(said.last, "status", "failed");
    assert_text(said.last, "error.code", "server_error");
    assert_true(strlen(text_at(said.last, "error.message")) > 0);
    json_decref(said.last);
    server_stop(s);
}

/* It waits for a slot: the client is told that it was accepted, and that the server lives. */
static void test_a_stream_that_waits_begins_and_says_that_it_lives(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    const char *endless = "{\"model\":\"slow\",\"stream\":true,\"ignore_eos\":true," HELLO "}";
    struct events slow, waiting;
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    struct server *s =
        server_start(&(struct setup){.models = dir, .args = {"--slots", "1", "--ping", "0.1"}});
    server_wait_status(s, "/readyz", 200);
    events_open(&slow, s, RESPONSES, endless);
    json_decref(events_named(&slow));
    events_open(&waiting, s, RESPONSES, endless);
    static const char *const types[] = {"response.created", "response.in_progress"};
    for (size_t i = 0; i < 2; i++) {
        json_t *event = events_named(&waiting);
        assert_text(event, "type", types[i]);
        json_decref(event);
    }
    char *ping = events_next(&waiting);
    assert_string_equal(ping, ": ping");
    free(ping);
    events_close(&waiting);
    events_close(&slow);
    server_stop(s);
}

/* ---- what the model is told ---- */

static long long counted(const char *fields)
{
    json_t *a = server_post_json(server, COUNT, 200, text_of("{\"model\":\"thinker\",%s}", fields));
    long long n = number_at(a, "input_tokens");
    assert_text(a, "object", "response.input_tokens");
    json_decref(a);
    return n;
}

static void assert_prompt(const char *fields, const char *prompt)
{
    json_t *a = server_post_json(server, "/v1/tokenize", 200, text_of("{\"model\":\"thinker\",%s}", prompt));
    long long n = counted(fields), wanted = number_at(a, "count");
    if (n != wanted)
        fail_msg("%s: %lld tokens, not the %lld of %s", fields, n, wanted, prompt);
    json_decref(a);
}

static void test_items_become_the_messages_of_a_chat(void **state)
{
    (void)state;
    assert_prompt(HELLO, "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]");
    assert_prompt(
        "\"instructions\":\"Be\",\"input\":[{\"role\":\"developer\",\"content\":\"brief\"},"
        "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"Hel\"},"
        "{\"type\":\"input_text\",\"text\":\"lo\"}]},{\"role\":\"user\",\"content\":\"there\"}]",
        "\"messages\":[{\"role\":\"system\",\"content\":\"Be\\n\\nbrief\"},{\"role\":\"user\",\"content\":"
        "\"Hel\\nlo\\n\\nthere\"}]");
    assert_prompt(
        "\"input\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],"
        "\"content\":[{\"type\":\"reasoning_text\",\"text\":\"Hm\"}],\"encrypted_content\":null},"
        "{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"m\",\"status\":\"completed\",\"content\":[{\"type\":"
        "\"output_text\",\"text\":\"I look\",\"annotations\":[]}]},{\"type\":\"function_call\",\"id\":\"fc\",\"call_id\":"
        "\"c1\",\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"},{\"type\":\"function_call\","
        "\"call_id\":\"c2\",\"name\":\"other\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":"
        "\"c1\",\"output\":\"sunny\"},{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":[{\"type\":"
        "\"input_text\",\"text\":\"gone\"}]},{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
        "\"So\"}]},{\"role\":\"assistant\",\"content\":\"Sunny\"},{\"role\":\"user\",\"content\":\"Thanks\"}]",
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":\"I look\","
        "\"reasoning_content\":\"Hm\",\"tool_calls\":["
        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}},"
        "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"other\",\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"name\":\"weather\",\"tool_call_id\":\"c1\",\"content\":\"sunny\"},"
        "{\"role\":\"tool\",\"name\":\"other\",\"tool_call_id\":\"c2\",\"content\":\"gone\"},"
        "{\"role\":\"assistant\",\"content\":\"Sunny\",\"reasoning_content\":\"So\"},"
        "{\"role\":\"user\",\"content\":\"Thanks\"}]");
}

static void test_fields_reach_the_chat(void **state)
{
    (void)state;
    assert_prompt(HELLO ",\"reasoning\":{\"effort\":\"low\"}",
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"reasoning_effort\":\"low\"");
    assert_prompt(HELLO "," TOOLS,
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"tools\":[{\"type\":\"function\",\"function\":"
        "{\"name\":\"weather\",\"description\":\"Tells\",\"parameters\":" SCHEMA
        ",\"strict\":true}},{\"type\":"
        "\"function\",\"function\":{\"name\":\"other\",\"parameters\":{\"type\":\"object\","
        "\"additionalProperties\":false}}}]");
    json_t *a = asked("twice", HELLO "," TOOLS ",\"parallel_tool_calls\":false");
    assert_int_equal(json_array_size(json_at(a, "output")), 1);
    json_decref(a);
    static const char *const choices[] = {"{\"type\":\"function\",\"name\":\"other\"}",
        "{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"name\":\"other\"}]}"};
    for (size_t i = 0; i < 2; i++) {
        a = asked(
            "letters", text_of(HELLO "," TOOLS ",\"max_output_tokens\":100,\"tool_choice\":%s", choices[i]));
        assert_text(a, "output.0.name", "other");
        json_decref(a);
    }
}

static void test_an_answer_has_the_form_of_its_format(void **state)
{
    (void)state;
    json_t *a = asked("letters", HELLO
        ",\"text\":{\"verbosity\":\"low\",\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"strict\":true,"
        "\"schema\":{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}},\"required\":[\"ok\"],"
        "\"additionalProperties\":false}}}");
    json_t *said = json_loads(text_at(a, "output.0.content.0.text"), 0, NULL);
    assert_true(json_is_boolean(json_object_get(said, "ok")));
    assert_text(a, "text.format.name", "n");
    assert_null_at(a, "text.format.description");
    json_decref(said);
    json_decref(a);
    a = asked("letters", HELLO ",\"max_output_tokens\":5,\"text\":{\"format\":{\"type\":\"json_object\"}}");
    assert_int_equal(text_at(a, "output.0.content.0.text")[0], '{');
    json_decref(a);
}

/* ---- Codex ---- */

#define LONG_TEXT                                                                                              \
    "You are an agent in a terminal. Read before you write. Keep to the style of the code. Never commit what " \
    "was not asked for. Tell in one sentence what you did. Use the tools when you need them. "
#define CODEX(more)                                                                                                  \
    "{\"model\":\"thinker\",\"stream\":true,\"store\":false,\"instructions\":\"" LONG_TEXT LONG_TEXT                 \
        LONG_TEXT "\","                                                                                              \
    "\"input\":[{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_text\",\"text\":"        \
    "\"<permissions>all</permissions>\"}]},{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"          \
    "\"input_text\",\"text\":\"<environment_context>/src</environment_context>\"}]},{\"type\":\"message\",\"role\":" \
    "\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"How is the weather?\"}]}" more                        \
    "],\"tools\":["                                                                                                  \
    "{\"type\":\"function\",\"name\":\"weather\",\"description\":\"Tells\",\"strict\":false,\"parameters\":" SCHEMA  \
    "},{\"type\":\"custom\",\"name\":\"apply_patch\",\"format\":{\"type\":\"grammar\"}},{\"type\":\"web_search\"},"  \
    "{\"type\":\"local_shell\"},{\"type\":\"namespace\",\"name\":\"mcp\",\"tools\":[]},{\"type\":"                   \
    "\"image_generation\"}],\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,\"reasoning\":{\"effort\":null,"   \
    "\"summary\":\"auto\"},\"include\":[\"reasoning.encrypted_content\"],\"prompt_cache_key\":\"k\","                \
    "\"client_metadata\":{\"id\":\"1\"}}"

static json_t *codex_turn(const char *body)
{
    struct events e;
    struct streamed s = {0};
    events_open(&e, server, RESPONSES, body);
    for (json_t *event; (event = events_named(&e)); json_decref(event))
        take_event(&s, event);
    events_close(&e);
    assert_string_equal(s.order, BEGIN SUMMARY_ITEM TEXT_ITEM CALL_ITEM "completed ");
    return s.last;
}

static void test_a_second_turn_reads_little_of_the_first_again(void **state)
{
    (void)state;
    json_t *first = codex_turn(CODEX(""));
    long long prompt = number_at(first, "usage.input_tokens");
    assert_int_equal(json_array_size(json_at(first, "warnings")), 5);
    assert_int_equal(json_array_size(json_at(first, "tools")), 1);
    json_decref(first);
    json_t *second = codex_turn(CODEX(
        ",{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"Hm, Rome.\"}],\"content\":null,"
        "\"encrypted_content\":null},{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
        "\"output_text\",\"text\":\"I look.\"}]},{\"type\":\"function_call\",\"name\":\"weather\",\"arguments\":"
        "\"{\\\"city\\\": \\\"Rome\\\"}\",\"call_id\":\"c1\"},{\"type\":\"function_call_output\",\"call_id\":"
        "\"c1\",\"output\":\"sunny\"}"));
    assert_true(prompt > 900);
    assert_true(number_at(second, "usage.input_tokens_details.cached_tokens") * 100 >= (prompt - 1) * 95);
    json_decref(second);
}

static void test_a_probe_with_an_empty_input_is_answered(void **state)
{
    static const char *const inputs[] = {"\"input\":[],", "\"input\":\"\",", "", "\"input\":null,"};
    (void)state;
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        json_t *a = asked("letters", text_of("%s\"instructions\":\"\",\"max_output_tokens\":1", inputs[i]));
        assert_text(a, "status", "incomplete");
        assert_int_equal(number_at(a, "usage.output_tokens"), 1);
        json_decref(a);
    }
}

static void test_models_are_listed_for_codex_beside_the_others(void **state)
{
    (void)state;
    json_t *list = server_json(server, "/v1/models?client_version=0.150.0");
    assert_int_equal(json_array_size(json_at(list, "data")), 3);
    assert_int_equal(json_array_size(json_at(list, "models")), 3);
    assert_text(list, "models.0.slug", text_at(list, "data.0.id"));
    assert_int_equal(number_at(list, "models.0.context_window"), 16384);
    assert_text(list, "models.0.visibility", "list");
    assert_true(strlen(text_at(list, "models.0.base_instructions")) > 100);
    json_decref(list);
}

/* ---- refusals ---- */

static void test_what_cannot_be_honoured_is_refused_by_name(void **state)
{
    static const struct {
        int status;
        const char *fields, *param, *said;
    } rows[] = {
        {400, HELLO ",\"previous_response_id\":\"resp_1\"", "previous_response_id", "keeps no responses"},
        {400, HELLO ",\"conversation\":\"c\"", "conversation", "keeps no conversations"},
        {400, HELLO ",\"background\":true", "background", "not supported"},
        {400, HELLO ",\"prompt\":{\"id\":\"p\"}", "prompt", "no prompt templates"},
        {400, HELLO ",\"max_output_tokens\":0", "max_output_tokens", "'max_output_tokens' is 0"},
        {400, HELLO ",\"max_tokens\":5", "max_tokens", "'max_output_tokens'"},
        {400, HELLO ",\"temperature\":3", "temperature", "'temperature'"},
        {400, HELLO ",\"instruction\":\"a\"", "instruction", "did you mean 'instructions'"},
        {400, HELLO ",\"reasoning\":{\"effort\":3}", "reasoning.effort", "a string"},
        {400, HELLO ",\"text\":{\"format\":{\"type\":\"yaml\"}}", "text.format.type", "json_schema"},
        {400,
            HELLO
            ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"strict\":true,\"schema\":{\"type\":"
            "\"string\",\"pattern\":\"(?=a)\"}}}",
            "text.format.schema", "'text.format.schema'"},
        {400, HELLO ",\"tools\":[{\"type\":\"function\"}]", "tools[0]", "'tools[0].name'"},
        {400, HELLO ",\"tool_choice\":\"required\"", "tool_choice", "needs 'tools'"},
        {400, HELLO ",\"tool_choice\":{\"type\":\"web_search\"}", "tool_choice", "allowed_tools"},
        {400, "\"input\":[{\"role\":\"robot\",\"content\":\"a\"}]", "input[0]", "role"},
        {400, "\"input\":[{\"type\":\"item_reference\",\"id\":\"m\"}]", "input[0]", "send the item itself"},
        {400, "\"input\":[{\"type\":\"computer_call\"}]", "input[0]", "'computer_call'"},
        {400, "\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"a\"}]}]",
            "input[0].content[0]", "'input_image'"},
        {400, "\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\"}]}]",
            "input[0].content[0]", "'input_file'"},
        {400, "\"input\":[{\"type\":\"function_call_output\",\"output\":\"a\"}]", "input[0]", "call_id"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = server_post_json(
            server, RESPONSES, rows[i].status, text_of("{\"model\":\"letters\",%s}", rows[i].fields));
        assert_text(a, "error.param", rows[i].param);
        if (!strstr(text_at(a, "error.message"), rows[i].said))
            fail_msg("%s: %s", rows[i].fields, text_at(a, "error.message"));
        json_decref(a);
    }
    json_t *a = server_post_json(server, RESPONSES, 404, "{\"model\":\"unheard\"," HELLO "}");
    assert_text(a, "error.code", "model_not_found");
    json_decref(a);
}

static void test_a_prompt_that_is_too_long_is_refused_with_its_code(void **state)
{
    (void)state;
    char *text = calloc(1, 20001);
    memset(text, 'x', 20000);
    json_t *a =
        server_post_json(server, RESPONSES, 400, text_of("{\"model\":\"letters\",\"input\":\"%s\"}", text));
    assert_text(a, "error.code", "context_length_exceeded");
    assert_text(a, "error.param", "input");
    json_decref(a);
    free(text);
}

static int begin(void **state)
{
    (void)state;
    server = server_start(&(struct setup){.models = tool_models_volume()});
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
        cmocka_unit_test(test_a_response_is_answered_whole),
        cmocka_unit_test(test_a_response_repeats_its_request),
        cmocka_unit_test(test_an_answer_that_is_cut_is_incomplete),
        cmocka_unit_test(test_items_come_in_the_order_in_which_the_model_wrote_them),
        cmocka_unit_test(test_probabilities_come_where_they_are_asked_for),
        cmocka_unit_test(test_the_events_of_a_stream_come_in_order),
        cmocka_unit_test(test_a_stream_ends_with_the_response_that_is_answered_whole),
        cmocka_unit_test(test_a_job_that_fails_ends_its_stream_in_a_failure),
        cmocka_unit_test(test_a_stream_that_waits_begins_and_says_that_it_lives),
        cmocka_unit_test(test_items_become_the_messages_of_a_chat),
        cmocka_unit_test(test_fields_reach_the_chat),
        cmocka_unit_test(test_an_answer_has_the_form_of_its_format),
        cmocka_unit_test(test_a_second_turn_reads_little_of_the_first_again),
        cmocka_unit_test(test_a_probe_with_an_empty_input_is_answered),
        cmocka_unit_test(test_models_are_listed_for_codex_beside_the_others),
        cmocka_unit_test(test_what_cannot_be_honoured_is_refused_by_name),
        cmocka_unit_test(test_a_prompt_that_is_too_long_is_refused_with_its_code),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
