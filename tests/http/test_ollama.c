/* test_ollama.c - Ollama's API: chats and prompts whole and as lines of JSON, models, what is refused.
 *
 * The models recite (reciting_model.h), so the tests know each byte.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPHABET "abcdefghijklmnopqrstuvwxyz."
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
#define WHOLE "\"stream\":false"
#define TOOLS                                                                                                  \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":"           \
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}},\"required\":" \
    "[\"city\"],\"additionalProperties\":false}}}]"
#define CALLER                                                                                                \
    "{# <tool_call><think> #}{{ tools }}{% for m in messages %}{{ m.role }}: {{ m.content }}"                 \
    "{% for c in m.tool_calls %}({{ c.id }} {{ c.function.arguments.city }}){% endfor %}"                     \
    "{% if m.tool_call_id %}[{{ m.tool_call_id }} {{ m.name }}]{% endif %}"                                   \
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}\n{% endfor %}assistant:" \
    "\n{{ '' }}"

static struct server *server;

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

/* The lines of a stream. The caller drops the list. */
static json_t *lines_of(const char *target, const char *body)
{
    struct answer a = server_post(server, target, NULL, body);
    json_t *all = json_array();
    assert_int_equal(a.status, 200);
    assert_string_equal(answer_header(&a, "content-type"), "application/x-ndjson");
    for (char *line = a.body, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            fail_msg("a line has no end: %s", line);
        json_t *one = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);
        if (!one)
            fail_msg("no JSON: %s", line);
        json_array_append_new(all, one);
    }
    assert_true(json_array_size(all) > 1);
    answer_release(&a);
    return all;
}

/* What the strings at `path` of all lines are together. */
static char *joined(const json_t *lines, const char *path)
{
    static char text[4096];
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(lines); i++)
        strncat(text, text_at(json_array_get(lines, i), path), sizeof(text) - strlen(text) - 1);
    return text;
}

static void assert_figures(const json_t *last, const char *reason, long long prompt, long long generated)
{
    assert_true(json_is_true(json_at(last, "done")));
    assert_text(last, "done_reason", reason);
    assert_int_equal(number_at(last, "prompt_eval_count"), prompt);
    assert_int_equal(number_at(last, "eval_count"), generated);
    assert_true(number_at(last, "eval_duration") > 0);
    assert_true(number_at(last, "total_duration") >= number_at(last, "eval_duration"));
    assert_true(number_at(last, "prompt_eval_duration") >= 0);
    assert_int_equal(number_at(last, "load_duration"), 0);
}

/* "2026-11-29T11:02:18.261420613Z" */
static void assert_time(const char *text)
{
    int year, month, day, hour, minute, second, taken = 0;
    long nano;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%9ldZ%n", &year, &month, &day, &hour, &minute, &second, &nano,
            &taken) != 7 ||
        taken != 30 || year < 2020)
        fail_msg("%s is no time", text);
}

/* ---- answers ---- */

static void test_a_chat_is_answered_whole_when_no_stream_is_wanted(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/api/chat", 200, "{\"model\":\"tiny:latest\"," WHOLE "," HELLO "}");
    assert_text(a, "model", "tiny:latest");
    assert_time(text_at(a, "created_at"));
    assert_text(a, "message.role", "assistant");
    assert_text(a, "message.content", ALPHABET);
    assert_null(json_object_get(json_at(a, "message"), "tool_calls"));
    assert_null(json_object_get(json_at(a, "message"), "thinking"));
    assert_figures(a, "stop", 24, 28);
    json_decref(a);
}

static void test_a_chat_is_a_stream_of_lines_otherwise(void **state)
{
    (void)state;
    json_t *lines = lines_of("/api/chat", "{\"model\":\"tiny\"," HELLO "}");
    size_t n = json_array_size(lines);
    assert_string_equal(joined(lines, "message.content"), ALPHABET);
    for (size_t i = 0; i + 1 < n; i++) {
        const json_t *line = json_array_get(lines, i);
        assert_true(json_is_false(json_at(line, "done")));
        assert_null(json_object_get(line, "done_reason"));
        assert_text(line, "message.role", "assistant");
        assert_time(text_at(line, "created_at"));
    }
    assert_figures(json_array_get(lines, n - 1), "stop", 24, 28);
    json_decref(lines);
}

static void test_a_prompt_is_a_chat_unless_it_is_raw(void **state)
{
    (void)state;
    json_t *a =
        server_post_json(server, "/api/generate", 200, "{\"model\":\"tiny\",\"prompt\":\"Hello\"," WHOLE "}");
    assert_text(a, "response", ALPHABET);
    assert_null(json_object_get(a, "message"));
    assert_figures(a, "stop", 24, 28);
    json_decref(a);
    a = server_post_json(
        server, "/api/generate", 200, "{\"model\":\"tiny\",\"system\":\"S\",\"prompt\":\"Hello\"," WHOLE "}");
    assert_figures(a, "stop", 24 + 8 + 1 + 2, 28);
    json_decref(a);
    json_t *lines = lines_of("/api/generate", "{\"model\":\"tiny\",\"prompt\":\"xyz\",\"raw\":true}");
    assert_string_equal(joined(lines, "response"), ".");
    assert_figures(json_array_get(lines, json_array_size(lines) - 1), "stop", 3, 2);
    json_decref(lines);
}

static void test_a_model_without_a_template_goes_on_with_the_prompt(void **state)
{
    (void)state;
    json_t *a =
        server_post_json(server, "/api/generate", 200, "{\"model\":\"bare\",\"prompt\":\"xyz\"," WHOLE "}");
    assert_text(a, "response", ".");
    json_decref(a);
}

static void test_options_change_the_answer(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/api/chat", 200,
        "{\"model\":\"tiny\"," WHOLE "," HELLO
        ",\"options\":{\"num_predict\":5,\"num_ctx\":4096,\"numa\":true,"
        "\"seed\":-1,\"temperature\":0,\"top_k\":1,\"unknown\":[]},\"keep_alive\":\"5m\",\"truncate\":true}");
    assert_text(a, "message.content", "abcde");
    assert_figures(a, "length", 24, 5);
    json_decref(a);
    a = server_post_json(server, "/api/generate", 200,
        "{\"model\":\"tiny\"," WHOLE ",\"raw\":true,\"prompt\":\"a\",\"options\":{\"stop\":[\"fg\"]}}");
    assert_text(a, "response", "bcde");
    assert_text(a, "done_reason", "stop");
    json_decref(a);
    a = server_post_json(server, "/api/generate", 200,
        "{\"model\":\"tiny\"," WHOLE ",\"raw\":true,\"prompt\":\"0\",\"options\":{\"num_predict\":100000}}");
    assert_figures(a, "length", 1, 511);
    json_decref(a);
}

static void test_log_probabilities_come_as_objects_on_both_routes(void **state)
{
    static const char *const bodies[] = {
        "{\"model\":\"tiny\"," WHOLE "," HELLO
        ",\"logprobs\":true,\"top_logprobs\":2,\"options\":{\"num_predict\":2}}",
        "{\"model\":\"tiny\"," WHOLE ",\"raw\":true,\"prompt\":\"\\n\",\"logprobs\":true,\"top_logprobs\":2,"
        "\"options\":{\"num_predict\":2}}"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *a = server_post_json(server, i ? "/api/generate" : "/api/chat", 200, bodies[i]);
        assert_int_equal(json_array_size(json_at(a, "logprobs")), 2);
        assert_text(a, "logprobs.0.token", "a");
        assert_text(a, "logprobs.1.top_logprobs.0.token", "b");
        assert_int_equal(json_array_size(json_at(a, "logprobs.1.top_logprobs")), 2);
        assert_true(json_number_value(json_at(a, "logprobs.1.logprob")) <= 0);
        json_decref(a);
    }
}

static void test_a_request_without_a_prompt_loads_or_unloads(void **state)
{
    static const struct {
        const char *target, *fields, *reason;
    } rows[] = {
        {"/api/chat", "", "load"},
        {"/api/chat", ",\"messages\":[]", "load"},
        {"/api/generate", ",\"prompt\":\"\"", "load"},
        {"/api/generate", ",\"keep_alive\":0", "unload"},
        {"/api/chat", ",\"keep_alive\":\"0s\"", "unload"},
        {"/api/chat", ",\"keep_alive\":\"5m\"", "load"},
        {"/api/chat", ",\"keep_alive\":-1", "load"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a =
            server_post_json(server, rows[i].target, 200, text_of("{\"model\":\"tiny\"%s}", rows[i].fields));
        assert_true(json_is_true(json_at(a, "done")));
        assert_text(a, "done_reason", rows[i].reason);
        assert_text(a, strstr(rows[i].target, "chat") ? "message.content" : "response", "");
        json_decref(a);
    }
}

/* ---- calls and thinking ---- */

static void test_a_call_is_told_whole_with_its_arguments_as_an_object(void **state)
{
    (void)state;
    json_t *a =
        server_post_json(server, "/api/chat", 200, "{\"model\":\"caller\"," WHOLE "," HELLO "," TOOLS "}");
    assert_text(a, "message.tool_calls.0.function.name", "weather");
    assert_text(a, "message.tool_calls.0.function.arguments.city", "Ro  \"me");
    assert_int_equal(number_at(a, "message.tool_calls.0.function.arguments.days"), 3);
    assert_int_equal(number_at(a, "message.tool_calls.0.function.index"), 0);
    assert_int_equal(strncmp(text_at(a, "message.tool_calls.0.id"), "call_call", 9) == 0, 0);
    assert_text(a, "message.thinking", "Hm.");
    assert_text(a, "done_reason", "stop");
    json_decref(a);
    json_t *lines = lines_of("/api/chat", "{\"model\":\"caller\"," HELLO "," TOOLS "}");
    size_t calls = 0, thinking = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *message = json_at(json_array_get(lines, i), "message");
        thinking += json_object_get(message, "thinking") != NULL;
        if (!json_object_get(message, "tool_calls"))
            continue;
        calls++;
        assert_text(message, "tool_calls.0.function.arguments.city", "Ro  \"me");
    }
    assert_int_equal(calls, 1);
    assert_true(thinking > 0);
    json_decref(lines);
}

static void test_a_call_that_is_cut_is_left_out(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/api/chat", 200,
        "{\"model\":\"caller\"," WHOLE "," HELLO "," TOOLS ",\"options\":{\"num_predict\":22}}");
    assert_null(json_object_get(json_at(a, "message"), "tool_calls"));
    assert_text(a, "message.content", "");
    assert_text(a, "done_reason", "length");
    json_decref(a);
}

/* The ids of calls are made here, and a result has that of its call. */
static void test_the_template_sees_calls_and_results_and_thinking(void **state)
{
    (void)state;
    json_t *asked = json_loads("{\"model\":\"caller\",\"messages\":["
                               "{\"role\":\"user\",\"content\":\"u\"},"
                               "{\"role\":\"assistant\",\"thinking\":\"t\",\"tool_calls\":["
                               "{\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}},"
                               "{\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Oslo\"}}}]},"
                               "{\"role\":\"tool\",\"content\":\"1\",\"tool_name\":\"weather\"},"
                               "{\"role\":\"tool\",\"content\":\"2\",\"tool_name\":\"weather\"}],"
                               "\"options\":{\"num_predict\":1},\"stream\":false}",
        0, NULL);
    static const char prompt[] = "user: u\nassistant: (call00001 Rome)(call00002 Oslo)<think>t</think>\n"
                                 "tool: 1[call00001 weather]\ntool: 2[call00002 weather]\nassistant:\n";
    (void)state;
    char *body = json_dumps(asked, 0);
    json_t *a = server_post_json(server, "/api/chat", 200, body);
    assert_int_equal(number_at(a, "prompt_eval_count"), strlen(prompt));
    json_decref(a);
    free(body);
    json_decref(asked);
}

static void test_a_format_is_what_the_answer_must_be(void **state)
{
    static const char *const formats[] = {"\"json\"",
        "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"boolean\"}},\"required\":[\"n\"],"
        "\"additionalProperties\":false}"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *a = server_post_json(server, "/api/generate", 200,
            text_of("{\"model\":\"json\",\"prompt\":\"x\"," WHOLE ",\"format\":%s}", formats[i]));
        json_t *said = json_loads(text_at(a, "response"), 0, NULL);
        if (!said || !json_is_boolean(json_at(said, "n")))
            fail_msg("%s", text_at(a, "response"));
        json_decref(said);
        json_decref(a);
    }
}

static void test_thinking_can_be_turned_off(void **state)
{
    (void)state;
    for (int on = 0; on < 2; on++) {
        json_t *a = server_post_json(server, "/api/chat", 200,
            text_of("{\"model\":\"switch\"," WHOLE "," HELLO ",\"think\":%s}", on ? "true" : "false"));
        assert_int_equal(
            number_at(a, "prompt_eval_count"), on ? strlen("on: Hello\n") : strlen("off: Hello\n"));
        json_decref(a);
    }
    json_t *a = server_post_json(
        server, "/api/chat", 200, "{\"model\":\"switch\"," WHOLE "," HELLO ",\"think\":\"high\"}");
    assert_int_equal(number_at(a, "prompt_eval_count"), strlen("on: high: Hello\n"));
    json_decref(a);
}

static void test_the_middle_of_a_text_is_written_where_the_vocabulary_has_its_marks(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/api/generate", 200,
        "{\"model\":\"middle\",\"prompt\":\"before\",\"suffix\":\"after\"," WHOLE "}");
    assert_text(a, "response", ALPHABET);
    assert_int_equal(number_at(a, "prompt_eval_count"), 6 + 5 + 3);
    json_decref(a);
    a = server_post_json(
        server, "/api/generate", 200, "{\"model\":\"middle\",\"suffix\":\"after\"," WHOLE "}");
    assert_int_equal(number_at(a, "prompt_eval_count"), 5 + 3);
    json_decref(a);
}

/* White space before a line of JSON is what a comment is in a stream of events. */
static void test_a_quiet_stream_has_blanks_before_a_line(void **state)
{
    static const char body[] = "{\"prompt\":\"x\",\"raw\":true,\"options\":{\"num_predict\":1}}";
    struct events first;
    struct wire w;
    struct answer head;
    const char *dir = temp_dir();
    int64_t deadline = now_ms() + WAIT_MS;
    (void)state;
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    struct server *s =
        server_start(&(struct setup){.models = dir, .args = {"--slots", "1", "--ping", "0.1"}});
    server_wait_status(s, "/readyz", 200);
    events_open(&first, s, "/v1/completions", "{\"prompt\":\"0\",\"max_tokens\":4000,\"stream\":true}");
    wire_open(&w, s); /* without chunks */
    wire_say(&w, text_of("POST /api/generate HTTP/1.0\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body));
    assert_true(wire_head(&w, &head, WAIT_MS)); /* it comes with the first blank */
    events_close(&first);
    while (!w.ended && wire_more(&w, deadline))
        ;
    assert_true(w.ended && w.size > 0);
    size_t blanks = strspn(w.data, " ");
    assert_true(blanks > 0);
    assert_int_equal(w.data[blanks], '{');
    assert_non_null(strstr(w.data, "\"done\":true"));
    answer_release(&head);
    wire_close(&w);
    server_stop(s);
}

/* ---- refusals ---- */

static void test_what_cannot_be_honoured_is_refused_by_name(void **state)
{
    static const struct {
        const char *target, *fields;
        int status;
        const char *told;
    } rows[] = {
        {"/api/chat", "\"model\":\"nope\"," HELLO, 404, "model 'nope' not found"},
        {"/api/chat", "\"model\":\"nope\"", 404, "model 'nope' not found"},
        {"/api/generate", "\"model\":\"nope\",\"prompt\":\"x\"", 404, "model 'nope' not found"},
        {"/api/show", "\"model\":\"nope\"", 404, "model 'nope' not found"},
        {"/api/chat", "\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"images\":[\"AA==\"]}]", 400,
            "'messages[0].images' is not supported"},
        {"/api/generate", "\"prompt\":\"x\",\"images\":[\"AA==\"]", 400, "'images' is not supported"},
        {"/api/generate", "\"prompt\":\"x\",\"template\":\"{{ .Prompt }}\"", 400, "'template'"},
        {"/api/generate", "\"prompt\":\"x\",\"context\":[1,2]", 400, "'context'"},
        {"/api/generate", "\"prompt\":\"x\",\"suffix\":\"y\"", 400, "no tokens for filling in the middle"},
        {"/api/generate", "\"prompt\":7", 400, "'prompt' must be a string"},
        {"/api/chat", HELLO ",\"format\":\"xml\"", 400, "'format'"},
        {"/api/chat", HELLO ",\"think\":\"much\"", 400, "'think'"},
        {"/api/chat", HELLO ",\"stream\":1", 400, "'stream'"},
        {"/api/chat", HELLO ",\"options\":[]", 400, "'options' must be an object"},
        {"/api/chat", HELLO ",\"options\":{\"num_predict\":\"x\"}", 400, "'options.num_predict'"},
        {"/api/chat", HELLO ",\"options\":{\"mirostat\":1}", 400, "'mirostat' is not supported"},
        {"/api/chat", HELLO ",\"options\":{\"temperature\":-1}", 400, "'temperature' is -1"},
        {"/api/chat", "\"messages\":{}", 400, "'messages' must be a list"},
        {"/api/chat", "\"messages\":[7]", 400, "'messages[0]' must be an object"},
        {"/api/chat", "\"messages\":[{\"role\":\"x\",\"content\":\"\"}]", 400, "'messages[0].role'"},
        {"/api/pull", "\"model\":\"tiny\"", 403, "changes none"},
        {"/api/create", "\"model\":\"tiny\"", 403, "changes none"},
        {"/api/blobs/sha256:00", "", 403, "changes none"},
        {"/api/embed", "\"model\":\"tiny\"", 403, "at /v1/embeddings alone"},
        {"/api/nope", "", 404, "Not Found"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *model = strstr(rows[i].fields, "\"model\"") ? "" : "\"model\":\"tiny\",";
        struct answer a = server_post(
            server, rows[i].target, NULL, text_of("{%s%s}", rows[i].fields[0] ? model : "", rows[i].fields));
        json_t *error = answer_json(&a);
        if (a.status != rows[i].status || !strstr(text_at(error, "error"), rows[i].told))
            fail_msg("%s %s: %d %s", rows[i].target, rows[i].fields, a.status, a.body);
        assert_int_equal(json_object_size(error), 1);
        json_decref(error);
        answer_release(&a);
    }
    struct answer a = server_request(server, "DELETE", "/api/delete", NULL);
    assert_int_equal(a.status, 403);
    answer_release(&a);
}

/* ---- models ---- */

static const json_t *named(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(json_at(list, "models")); i++) {
        const json_t *one = json_array_get(json_at(list, "models"), i);
        if (strcmp(text_at(one, "name"), name) == 0)
            return one;
    }
    fail_msg("there is no model %s in the list", name);
    return NULL;
}

static void test_the_list_tells_models_and_aliases_with_a_tag(void **state)
{
    (void)state;
    json_t *list = server_json(server, "/api/tags");
    assert_int_equal(json_array_size(json_at(list, "models")), 7);
    const json_t *tiny = named(list, "tiny:latest"), *alias = named(list, "pet:latest");
    assert_text(tiny, "model", "tiny:latest");
    assert_time(text_at(tiny, "modified_at"));
    assert_int_equal(strlen(text_at(tiny, "digest")), 64);
    assert_string_equal(text_at(tiny, "digest"), text_at(alias, "digest"));
    assert_string_not_equal(text_at(tiny, "digest"), text_at(named(list, "bare:latest"), "digest"));
    assert_true(number_at(tiny, "size") > 1000);
    assert_text(tiny, "details.format", "gguf");
    assert_text(tiny, "details.family", "llama");
    assert_text(tiny, "details.families.0", "llama");
    assert_text(tiny, "details.parent_model", "");
    assert_non_null(strchr(text_at(tiny, "details.parameter_size"), 'K'));
    json_decref(list);
    json_t *again = server_json(server, "/api/ps");
    assert_int_equal(number_at(named(again, "tiny:latest"), "size_vram"), 0);
    assert_int_equal(number_at(named(again, "tiny:latest"), "context_length"), 512);
    assert_true(strcmp(text_at(named(again, "tiny:latest"), "expires_at"), "2100") > 0);
    json_decref(again);
}

static void test_a_model_is_shown_with_its_keys_and_capabilities(void **state)
{
    static const struct {
        const char *name, *capabilities;
    } rows[] = {
        {"bare", "completion"},
        {"tiny", "completion tools"},
        {"caller", "completion tools thinking"},
        {"middle", "completion tools insert"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char told[100] = "";
        json_t *a = server_post_json(
            server, "/api/show", 200, text_of("{\"%s\":\"%s\"}", i ? "model" : "name", rows[i].name));
        const json_t *names = json_at(a, "capabilities");
        for (size_t k = 0; k < json_array_size(names); k++)
            snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s%s", k ? " " : "",
                json_string_value(json_array_get(names, k)));
        assert_string_equal(told, rows[i].capabilities);
        const json_t *info = json_at(a, "model_info");
        assert_string_equal(json_string_value(json_object_get(info, "general.architecture")), "llama");
        assert_int_equal(json_integer_value(json_object_get(info, "llama.context_length")), 512);
        assert_true(json_is_null(json_object_get(info, "tokenizer.ggml.tokens")));
        assert_true(json_integer_value(json_object_get(info, "general.parameter_count")) > 1000);
        assert_true((strlen(text_at(a, "template")) > 0) == (i > 0));
        assert_text(a, "details.format", "gguf");
        assert_non_null(strstr(text_at(a, "parameters"), "temperature "));
        assert_non_null(strstr(text_at(a, "modelfile"), "FROM "));
        json_decref(a);
    }
}

static void test_the_version_is_one_of_ollamas(void **state)
{
    int major, minor;
    (void)state;
    json_t *a = server_json(server, "/api/version");
    assert_int_equal(sscanf(text_at(a, "version"), "%d.%d.", &major, &minor), 2);
    assert_true(major > 0 || minor >= 7); /* less than that and some clients refuse to work */
    assert_int_equal(strncmp(text_at(a, "server"), "berth ", 6), 0);
    json_decref(a);
    struct answer head = server_request(server, "HEAD", "/api/version", NULL);
    assert_int_equal(head.status, 200);
    answer_release(&head);
}

/* ---- the server ---- */

static int begin(void **state)
{
    static const struct {
        const char *name;
        struct tiny_model model;
    } models[] = {
        {"tiny.gguf", {0}},
        {"bare.gguf", {.no_template = true}},
        {"caller.gguf",
            {.template = CALLER,
                .recites = "<think>\nHm.\n</think>\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
                           "{\"city\": \"Ro  \\\"me\", \"days\": 3}}\n</tool_call>"}},
        {"json.gguf", {.recites = "{\"n\": true}"}},
        {"switch.gguf",
            {.template = "{{ 'off' if enable_thinking is false else 'on' }}: {% if reasoning_effort %}"
                         "{{ reasoning_effort }}: {% endif %}{{ messages[0].content }}\n{{ '' }}"}},
        {"middle.gguf", {.fills = true}},
    };
    const char *dir = temp_dir();
    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        write_tiny_model(dir, models[i].name, &models[i].model);
    write_file(dir, "notes.bin", NULL, 5000); /* neither of these can be asked */
    write_gguf(dir, "empty.gguf");
    server = server_start(&(struct setup){.models = dir, .args = {"--alias", "pet=tiny"}});
    server_wait_status(server, "/readyz", 200);
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) /* each is open then */
        json_decref(server_post_json(server, "/api/show", 200,
            text_of("{\"model\":\"%.*s\"}", (int)strcspn(models[i].name, "."), models[i].name)));
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
        cmocka_unit_test(test_a_chat_is_answered_whole_when_no_stream_is_wanted),
        cmocka_unit_test(test_a_chat_is_a_stream_of_lines_otherwise),
        cmocka_unit_test(test_a_prompt_is_a_chat_unless_it_is_raw),
        cmocka_unit_test(test_a_model_without_a_template_goes_on_with_the_prompt),
        cmocka_unit_test(test_options_change_the_answer),
        cmocka_unit_test(test_log_probabilities_come_as_objects_on_both_routes),
        cmocka_unit_test(test_a_request_without_a_prompt_loads_or_unloads),
        cmocka_unit_test(test_a_call_is_told_whole_with_its_arguments_as_an_object),
        cmocka_unit_test(test_a_call_that_is_cut_is_left_out),
        cmocka_unit_test(test_the_template_sees_calls_and_results_and_thinking),
        cmocka_unit_test(test_a_format_is_what_the_answer_must_be),
        cmocka_unit_test(test_thinking_can_be_turned_off),
        cmocka_unit_test(test_the_middle_of_a_text_is_written_where_the_vocabulary_has_its_marks),
        cmocka_unit_test(test_a_quiet_stream_has_blanks_before_a_line),
        cmocka_unit_test(test_what_cannot_be_honoured_is_refused_by_name),
        cmocka_unit_test(test_the_list_tells_models_and_aliases_with_a_tag),
        cmocka_unit_test(test_a_model_is_shown_with_its_keys_and_capabilities),
        cmocka_unit_test(test_the_version_is_one_of_ollamas),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
