/* test_messages_api.c - Anthropic's API over HTTP: messages whole and streamed, and what the model is told.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool_models.h"

#define MESSAGES "/v1/messages"
#define COUNT "/v1/messages/count_tokens"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
#define SCHEMA                                                                                               \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"],"          \
    "\"additionalProperties\":false}"
#define TOOLS                                                                                                \
    "\"tools\":[{\"name\":\"weather\",\"description\":\"Tells\",\"input_schema\":" SCHEMA "},"               \
    "{\"name\":\"other\",\"input_schema\":{\"type\":\"object\",\"additionalProperties\":false}}]"

static struct server *server;

static json_t *asked(const char *model, const char *fields)
{
    return server_post_json(
        server, MESSAGES, 200, text_of("{\"model\":\"%s\",\"max_tokens\":600,%s}", model, fields));
}

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

static void test_a_message_is_answered_whole(void **state)
{
    (void)state;
    json_t *a = asked("letters", HELLO);
    assert_int_equal(strncmp(text_at(a, "id"), "msg_", 4), 0);
    assert_text(a, "type", "message");
    assert_text(a, "role", "assistant");
    assert_text(a, "model", "letters");
    assert_int_equal(json_array_size(json_at(a, "content")), 1);
    assert_text(a, "content.0.type", "text");
    assert_text(a, "content.0.text", "abcdefghijklmnopqrstuvwxyz.");
    assert_text(a, "stop_reason", "end_turn");
    assert_true(json_is_null(json_at(a, "stop_sequence")));
    assert_int_equal(number_at(a, "usage.output_tokens"), 28);
    assert_int_equal(number_at(a, "usage.cache_creation_input_tokens"), 0);
    assert_int_equal(number_at(a, "usage.input_tokens") + number_at(a, "usage.cache_read_input_tokens"),
        (int)strlen("user: Hello\nassistant:\n"));
    json_decref(a);
}

static void test_why_an_answer_ended(void **state)
{
    static const struct {
        const char *model, *fields, *reason, *sequence, *text;
    } rows[] = {
        {"letters", "\"max_tokens\":3," HELLO, "max_tokens", NULL, "abc"},
        {"letters", "\"max_tokens\":99,\"stop_sequences\":[\"z\",\"ghi\"]," HELLO, "stop_sequence", "ghi",
            "abcdef"},
        {"letters", "\"max_tokens\":99,\"stop_sequences\":[]," HELLO, "end_turn", NULL,
            "abcdefghijklmnopqrstuvwxyz."},
        {"twice", "\"max_tokens\":600," HELLO "," TOOLS, "tool_use", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = server_post_json(
            server, MESSAGES, 200, text_of("{\"model\":\"%s\",%s}", rows[i].model, rows[i].fields));
        assert_text(a, "stop_reason", rows[i].reason);
        if (rows[i].sequence)
            assert_text(a, "stop_sequence", rows[i].sequence);
        else
            assert_true(json_is_null(json_at(a, "stop_sequence")));
        if (rows[i].text)
            assert_text(a, "content.0.text", rows[i].text);
        json_decref(a);
    }
}

static void test_a_last_message_of_the_assistant_is_gone_on_with(void **state)
{
    (void)state;
    json_t *a = asked("letters",
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":\"abc\"}]");
    assert_text(a, "content.0.text", "defghijklmnopqrstuvwxyz.");
    json_decref(a);
}

static void test_blocks_come_in_the_order_in_which_the_model_wrote_them(void **state)
{
    (void)state;
    json_t *a = asked("thinker", HELLO "," TOOLS);
    assert_int_equal(json_array_size(json_at(a, "content")), 3);
    assert_text(a, "content.0.type", "thinking");
    assert_text(a, "content.0.thinking", "Hm, Rome.");
    assert_text(a, "content.0.signature", "");
    assert_text(a, "content.1.text", "I look.");
    assert_text(a, "content.2.type", "tool_use");
    assert_text(a, "content.2.name", "weather");
    assert_text(a, "content.2.input.city", "Rome");
    assert_true(strlen(text_at(a, "content.2.id")) > 0);
    assert_true(number_at(a, "usage.output_tokens_details.thinking_tokens") > 0);
    json_decref(a);
    a = asked("twice", HELLO "," TOOLS);
    assert_int_equal(json_array_size(json_at(a, "content")), 2);
    assert_text(a, "content.1.name", "other");
    assert_int_equal(json_object_size(json_at(a, "content.1.input")), 0);
    assert_string_not_equal(text_at(a, "content.0.id"), text_at(a, "content.1.id"));
    json_decref(a);
}

static void test_a_call_that_is_cut_keeps_what_came_of_it(void **state)
{
    (void)state;
    json_t *a = server_post_json(
        server, MESSAGES, 200, "{\"model\":\"twice\",\"max_tokens\":14," HELLO "," TOOLS "}");
    const char *came = text_at(a, "content.0.input.INVALID_JSON");
    assert_text(a, "stop_reason", "max_tokens");
    assert_int_equal(strncmp("{\"city\": \"Rome\"}", came, strlen(came)), 0);
    json_decref(a);
}

/* ---- streams ---- */

/* A stream, put together again as its clients do. */
struct streamed {
    char order[1024];
    char text[256], thinking[256], input[2][256];
    int n_blocks, n_calls;
    json_t *start, *end; /* message_start, message_delta */
};

static void add(char *to, size_t room, const json_t *delta, const char *member)
{
    strncat(to, text_at(delta, member), room - strlen(to) - 1);
}

static void take_delta(struct streamed *s, const json_t *delta)
{
    const char *type = text_at(delta, "type");
    note_event(s->order, sizeof(s->order), type);
    if (strcmp(type, "text_delta") == 0)
        add(s->text, sizeof(s->text), delta, "text");
    if (strcmp(type, "thinking_delta") == 0)
        add(s->thinking, sizeof(s->thinking), delta, "thinking");
    if (strcmp(type, "input_json_delta") == 0)
        add(s->input[s->n_calls - 1], sizeof(s->input[0]), delta, "partial_json");
}

static struct streamed streamed(const char *model, const char *fields)
{
    struct events e;
    struct streamed s = {0};
    events_open(&e, server, MESSAGES,
        text_of("{\"model\":\"%s\",\"max_tokens\":600,\"stream\":true,%s}", model, fields));
    for (json_t *event; (event = events_named(&e)); json_decref(event)) {
        const char *type = text_at(event, "type");
        bool delta = strcmp(type, "content_block_delta") == 0;
        if (strcmp(type, "content_block_start") == 0) {
            assert_int_equal(number_at(event, "index"), s.n_blocks++);
            s.n_calls += strcmp(text_at(event, "content_block.type"), "tool_use") == 0;
            note_event(s.order, sizeof(s.order), text_at(event, "content_block.type"));
        } else if (delta || strcmp(type, "content_block_stop") == 0) {
            assert_int_equal(number_at(event, "index"), s.n_blocks - 1);
        }
        if (delta)
            take_delta(&s, json_at(event, "delta"));
        else if (strcmp(type, "content_block_start") != 0)
            note_event(s.order, sizeof(s.order), type);
        if (strcmp(type, "message_start") == 0)
            s.start = json_incref(event);
        if (strcmp(type, "message_delta") == 0)
            s.end = json_incref(event);
    }
    events_close(&e);
    return s;
}

static void drop(struct streamed *s)
{
    json_decref(s->start);
    json_decref(s->end);
}

static void test_the_events_of_a_stream_come_in_order(void **state)
{
    (void)state;
    struct streamed s = streamed("thinker", HELLO "," TOOLS);
    assert_string_equal(s.order,
        "message_start thinking thinking_delta signature_delta content_block_stop "
        "text text_delta content_block_stop tool_use input_json_delta content_block_stop "
        "message_delta message_stop ");
    assert_string_equal(s.thinking, "Hm, Rome.");
    assert_string_equal(s.text, "I look.");
    assert_string_equal(s.input[0], "{\"city\": \"Rome\"}");
    assert_text(s.start, "message.role", "assistant");
    assert_int_equal(json_array_size(json_at(s.start, "message.content")), 0);
    assert_true(json_is_null(json_at(s.start, "message.stop_reason")));
    assert_text(s.end, "delta.stop_reason", "tool_use");
    assert_int_equal(number_at(s.start, "message.usage.input_tokens") +
                         number_at(s.start, "message.usage.cache_read_input_tokens"),
        number_at(s.end, "usage.input_tokens") + number_at(s.end, "usage.cache_read_input_tokens"));
    drop(&s);
    s = streamed("twice", HELLO "," TOOLS);
    assert_string_equal(s.order,
        "message_start tool_use input_json_delta content_block_stop tool_use input_json_delta "
        "content_block_stop message_delta message_stop ");
    assert_string_equal(s.input[1], "{}");
    drop(&s);
    s = streamed("letters", HELLO ",\"stop_sequences\":[\"cd\"]");
    assert_string_equal(
        s.order, "message_start text text_delta content_block_stop message_delta message_stop ");
    assert_string_equal(s.text, "ab");
    assert_text(s.end, "delta.stop_sequence", "cd");
    assert_int_equal(number_at(s.end, "usage.output_tokens"), 4);
    drop(&s);
}

/* An answer without a token of text has no blocks. */
static void test_an_empty_answer_has_its_first_and_last_events(void **state)
{
    (void)state;
    struct streamed s = streamed("letters", HELLO ",\"stop_sequences\":[\"a\"]");
    assert_string_equal(s.order, "message_start message_delta message_stop ");
    drop(&s);
}

static void test_a_job_that_fails_ends_its_stream_in_an_error(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    struct events e;
    char last[64] = "";
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    struct server *s = server_start(&(struct setup){.models = dir, .args = {"--job-timeout", "1"}});
    events_open(&e, s, MESSAGES,
        "{\"model\":\"slow\",\"max_tokens\":4000,\"stream\":true,\"ignore_eos\":true," HELLO "}");
    for (json_t *event; (event = events_named(&e)); json_decref(event)) {
        assert_string_not_equal(last, "error");
        snprintf(last, sizeof(last), "%s", text_at(event, "type"));
        if (strcmp(last, "error") == 0) {
            assert_text(event, "error.type", "timeout_error");
            assert_true(strlen(text_at(event, "error.message")) > 0);
            assert_true(strlen(text_at(event, "request_id")) > 0);
        }
    }
    assert_string_equal(last, "error");
    events_close(&e);
    server_stop(s);
}

/* ---- what the model is told ---- */

/* How many tokens the prompt of a request has; each byte is one. */
static long long counted(const char *fields)
{
    json_t *a = server_post_json(server, COUNT, 200, text_of("{\"model\":\"thinker\",%s}", fields));
    long long n = number_at(a, "input_tokens");
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

static void test_system_text_and_blocks_become_the_messages_of_a_chat(void **state)
{
    (void)state;
    assert_prompt("\"system\":\"Be brief\"," HELLO,
        "\"messages\":[{\"role\":\"system\",\"content\":\"Be brief\"},{\"role\":\"user\",\"content\":\"Hello\"}]");
    assert_prompt(
        "\"system\":[{\"type\":\"text\",\"text\":\"Be\",\"cache_control\":{\"type\":\"ephemeral\"}},"
        "{\"type\":\"text\",\"text\":\"brief\"}],\"messages\":[{\"role\":\"user\",\"content\":["
        "{\"type\":\"text\",\"text\":\"Hel\"},{\"type\":\"document\",\"source\":{\"type\":\"text\","
        "\"media_type\":\"text/plain\",\"data\":\"lo\"}}]}]",
        "\"messages\":[{\"role\":\"system\",\"content\":\"Be\\nbrief\"},{\"role\":\"user\",\"content\":"
        "\"Hel\\nlo\"}]");
    assert_prompt(
        "\"messages\":[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"user\",\"content\":\"two\"}]",
        "\"messages\":[{\"role\":\"user\",\"content\":\"one\\n\\ntwo\"}]");
}

static void test_calls_results_and_thinking_of_earlier_turns_are_told(void **state)
{
    (void)state;
    assert_prompt(
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":["
        "{\"type\":\"thinking\",\"thinking\":\"Hm\",\"signature\":\"x\"},"
        "{\"type\":\"redacted_thinking\",\"data\":\"abc\"},{\"type\":\"text\",\"text\":\"I \"},"
        "{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"weather\","
        "\"input\":{\"city\":\"Rome\"}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"other\",\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":[{\"type\":"
        "\"text\",\"text\":\"sunny\"}]},{\"type\":\"tool_result\",\"tool_use_id\":\"t2\",\"is_error\":true,"
        "\"content\":\"gone\"},{\"type\":\"text\",\"text\":\"And now?\"}]}]",
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":\"I look\","
        "\"reasoning_content\":\"Hm\",\"tool_calls\":["
        "{\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}},"
        "{\"id\":\"t2\",\"type\":\"function\",\"function\":{\"name\":\"other\",\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"name\":\"weather\",\"tool_call_id\":\"t1\",\"content\":\"sunny\"},"
        "{\"role\":\"tool\",\"name\":\"other\",\"tool_call_id\":\"t2\",\"content\":\"Error: gone\"},"
        "{\"role\":\"user\",\"content\":\"And now?\"}]");
}

static void test_tools_reach_the_template_and_those_of_other_servers_are_left_out(void **state)
{
    (void)state;
    assert_prompt(HELLO "," TOOLS, HELLO
        ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"description\":\"Tells\","
        "\"parameters\":" SCHEMA "}},{\"type\":\"function\",\"function\":{\"name\":\"other\",\"parameters\":"
        "{\"type\":\"object\",\"additionalProperties\":false}}}]");
    json_t *a =
        asked("letters", HELLO ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]");
    assert_text(a, "stop_reason", "end_turn");
    assert_non_null(strstr(text_at(a, "warnings.0"), "web_search_20250305"));
    json_decref(a);
    assert_int_equal(counted(HELLO ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"),
        counted(HELLO));
}

/* It changes with every request, so that no prefix would be found again. */
static void test_the_line_for_billing_is_not_in_the_prompt(void **state)
{
    (void)state;
    long long n = counted("\"system\":\"Be brief\"," HELLO);
    assert_int_equal(
        counted("\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cc_version=2.1; "
                "cch=ab12;\"},{\"type\":\"text\",\"text\":\"Be brief\"}]," HELLO),
        n);
    assert_int_equal(counted("\"system\":\"x-anthropic-billing-header: cch=77;\\nBe brief\"," HELLO), n);
    assert_true(counted("\"system\":\"Be brief x-anthropic-billing-header:\"," HELLO) > n);
}

static void test_thinking_is_turned_on_and_off_limited_and_hidden(void **state)
{
    static const struct {
        const char *thinking, *told;
    } rows[] = {
        {"{\"type\":\"enabled\",\"budget_tokens\":1024}", "True"},
        {"{\"type\":\"adaptive\"}", "True"},
        {"{\"type\":\"disabled\"}", "False"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(counted(text_of(HELLO ",\"thinking\":%s", rows[i].thinking)),
            counted(HELLO) + 1 + (long long)strlen(rows[i].told));
    assert_int_equal(counted(HELLO ",\"output_config\":{\"effort\":\"max\"}"),
        counted(HELLO) + (long long)strlen(" high"));
    json_t *a = asked("thinker", HELLO ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2}");
    assert_true(strlen(text_at(a, "content.0.thinking")) < strlen("Hm, Rome."));
    json_decref(a);
    a = asked("thinker", HELLO ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}");
    assert_text(a, "content.0.type", "thinking");
    assert_text(a, "content.0.thinking", "");
    json_decref(a);
    struct streamed s =
        streamed("thinker", HELLO ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}");
    assert_string_equal(s.thinking, "");
    assert_non_null(strstr(s.order, "thinking signature_delta content_block_stop "));
    drop(&s);
}

static void test_the_choice_of_tools_holds(void **state)
{
    (void)state;
    json_t *a = asked("twice", HELLO "," TOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"other\"}");
    assert_text(a, "content.0.name", "other");
    json_decref(a);
    a = asked(
        "twice", HELLO "," TOOLS ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}");
    assert_int_equal(json_array_size(json_at(a, "content")), 1);
    assert_text(a, "content.0.name", "weather");
    json_decref(a);
    a = server_post_json(server, MESSAGES, 200,
        "{\"model\":\"letters\",\"max_tokens\":60,\"tool_choice\":{\"type\":\"any\"}," HELLO "," TOOLS "}");
    assert_text(a, "content.0.type", "tool_use");
    json_decref(a);
    a = asked("twice", HELLO "," TOOLS ",\"tool_choice\":{\"type\":\"none\"}");
    assert_text(a, "content.0.type", "text");
    assert_text(a, "stop_reason", "end_turn");
    json_decref(a);
}

static void test_an_answer_has_the_form_of_its_schema(void **state)
{
#define FORM                                                                                                    \
    "{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}}," \
    "\"required\":[\"ok\"],\"additionalProperties\":false}}"
    static const char *const fields[] = {
        "\"output_config\":{\"format\":" FORM "}", "\"output_format\":" FORM};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *a = asked("letters", text_of(HELLO ",%s", fields[i]));
        json_t *said = json_loads(text_at(a, "content.0.text"), 0, NULL);
        assert_true(json_is_boolean(json_object_get(said, "ok")));
        json_decref(said);
        json_decref(a);
    }
}

/* ---- a conversation as Claude Code has it ---- */

#define LONG_TEXT                                                                                            \
    "You are an agent that helps with software. Read before you write. Keep to the style of the code. "      \
    "Never commit what was not asked for. Tell in one sentence what you did. Use the tools when you need "   \
    "them, several at once when they do not depend on each other. "
#define CLAUDE_CODE(cch, more)                                                                                   \
    "{\"model\":\"thinker\",\"max_tokens\":2000,\"stream\":true,\"temperature\":1,\"metadata\":{\"user_id\":"    \
    "\"user_1\"},\"betas\":[\"b\"],\"context_management\":{\"edits\":[]},\"thinking\":{\"type\":\"enabled\","    \
    "\"budget_tokens\":1024},\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: "             \
    "cc_version=2.1.100; cc_entrypoint=cli; cch=" cch                                                            \
    ";\"},{\"type\":\"text\",\"text\":\"" LONG_TEXT LONG_TEXT LONG_TEXT                                          \
    "\",\"cache_control\":{\"type\":\"ephemeral\"}}]," TOOLS ",\"messages\":["                                   \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"<system-reminder>Today</system-reminder>\"}," \
    "{\"type\":\"text\",\"text\":\"How is the weather?\",\"cache_control\":{\"type\":\"ephemeral\"}}]}" more     \
    "]}"

static const json_t *turn(const char *body, json_t **usage)
{
    struct events e;
    events_open(&e, server, MESSAGES, body);
    for (json_t *event; (event = events_named(&e)); json_decref(event))
        if (strcmp(text_at(event, "type"), "message_delta") == 0)
            *usage = json_incref((json_t *)(uintptr_t)json_at(event, "usage"));
    events_close(&e);
    assert_non_null(*usage);
    return *usage;
}

/* The second turn has another line for billing, and the first one's answer and its result behind the prompt. */
static void test_a_second_turn_reads_little_of_the_first_again(void **state)
{
    (void)state;
    json_t *first, *second;
    turn(CLAUDE_CODE("11111", ""), &first);
    long long prompt = number_at(first, "input_tokens") + number_at(first, "cache_read_input_tokens");
    turn(
        CLAUDE_CODE("22222",
            ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"Hm, Rome.\",\"signature\":\"\"},"
            "{\"type\":\"text\",\"text\":\"I look.\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"weather\","
            "\"input\":{\"city\":\"Rome\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
            "\"tool_use_id\":\"toolu_1\",\"content\":\"sunny\",\"cache_control\":{\"type\":\"ephemeral\"}}]}"),
        &second);
    /* The prompts part where the first one tells the assistant to begin. */
    long long shared = prompt - (long long)strlen(" True\n");
    assert_true(prompt > 1000);
    assert_true(number_at(second, "cache_read_input_tokens") * 100 >= shared * 95);
    json_decref(first);
    json_decref(second);
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
        cmocka_unit_test(test_a_message_is_answered_whole),
        cmocka_unit_test(test_why_an_answer_ended),
        cmocka_unit_test(test_a_last_message_of_the_assistant_is_gone_on_with),
        cmocka_unit_test(test_blocks_come_in_the_order_in_which_the_model_wrote_them),
        cmocka_unit_test(test_a_call_that_is_cut_keeps_what_came_of_it),
        cmocka_unit_test(test_the_events_of_a_stream_come_in_order),
        cmocka_unit_test(test_an_empty_answer_has_its_first_and_last_events),
        cmocka_unit_test(test_a_job_that_fails_ends_its_stream_in_an_error),
        cmocka_unit_test(test_system_text_and_blocks_become_the_messages_of_a_chat),
        cmocka_unit_test(test_calls_results_and_thinking_of_earlier_turns_are_told),
        cmocka_unit_test(test_tools_reach_the_template_and_those_of_other_servers_are_left_out),
        cmocka_unit_test(test_the_line_for_billing_is_not_in_the_prompt),
        cmocka_unit_test(test_thinking_is_turned_on_and_off_limited_and_hidden),
        cmocka_unit_test(test_the_choice_of_tools_holds),
        cmocka_unit_test(test_an_answer_has_the_form_of_its_schema),
        cmocka_unit_test(test_a_second_turn_reads_little_of_the_first_again),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
