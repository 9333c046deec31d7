/* test_chat_random.c - 10,000 calls of random bytes that a grammar allows, over all formats: each has arguments that are JSON
 * with the members that are required, and no text is lost.
 *
 * A walk takes random tokens among the allowed ones, mostly bytes that writers like. It hurries to an end after a while: a
 * bare string gets its close, and elsewhere brackets and quotes come first.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "chat_answer.h"
#include "chat_examples.h"

#define CALLS 10000
#define STEPS_MAX 20000
#define N_TOOLS 8

static const struct {
    const char *name, *parameters;
    const char *required[4];
} tools[N_TOOLS] = {
    {"weather", WEATHER_PARAMETERS, {"city"}},
    {"add", ADD_PARAMETERS, {"a", "b"}},
    {"weather_at",
        "{\"type\": \"object\", \"properties\": {\"at\": {\"type\": \"object\", \"properties\": {\"lat\": "
        "{\"type\": \"number\"}, \"lon\": {\"type\": \"number\"}}, \"required\": [\"lat\", \"lon\"]}}, "
        "\"required\": [\"at\"]}",
        {"at"}},
    {"write.file",
        "{\"properties\": {\"path\": {\"type\": \"string\"}, \"text\": {\"type\": \"string\"}, \"mode\": "
        "{\"type\": [\"integer\", \"null\"]}}, \"required\": [\"path\", \"text\"]}",
        {"path", "text"}},
    {"tags",
        "{\"type\": \"object\", \"properties\": {\"all\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, "
        "\"maxItems\": 4}, \"on\": {\"type\": \"boolean\"}, \"none\": {\"type\": \"null\"}}, \"required\": "
        "[\"none\"], \"additionalProperties\": false}",
        {"none"}},
    {"nothing", "{\"type\": \"object\", \"properties\": {}, \"additionalProperties\": false}", {NULL}},
    {"code",
        "{\"type\": \"object\", \"properties\": {\"id\": {\"type\": \"string\", \"pattern\": \"^[A-Z]{2}-[0-9]+$\"}, "
        "\"kind\": {\"enum\": [1, \"two\", null]}}, \"required\": [\"id\", \"kind\"]}",
        {"id", "kind"}},
    {"optional",
        "{\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"integer\"}, \"y\": {\"type\": \"string\"}}}",
        {NULL}},
};

static uint32_t seed = 1;

static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* One token that is allowed, or -1. */
static int32_t choose(struct following *f, bool hurry)
{
    static const char closing[] = "\"}])>|, :\n<[{(=/0123456789",
                      liked[] = "abcxyzABC-_.0123456789 \n\"\\/{}[]<>'|:,u=tfn";
    for (size_t i = 0; hurry && i < sizeof(closing) - 1; i++)
        if (dice(4) > 0 && grammar_matcher_allows(f->m, (uint8_t)closing[i]))
            return (uint8_t)closing[i];
    for (int i = 0; i < 40; i++) {
        int32_t token = dice(8) > 0 ? (uint8_t)liked[dice(sizeof(liked) - 1)] : (int32_t)dice(256);
        if (grammar_matcher_allows(f->m, token))
            return token;
    }
    int32_t from = (int32_t)dice(256);
    for (int32_t i = 0; i < 256; i++)
        if (grammar_matcher_allows(f->m, (from + i) % 256))
            return (from + i) % 256;
    return -1;
}

static void check_call(const struct told_call *c, const struct strbuf *said)
{
    size_t t = 0;
    json_error_t why;
    while (t < N_TOOLS && strcmp(tools[t].name, c->name) != 0)
        t++;
    if (t == N_TOOLS)
        fail_msg("a call of '%s': %s", c->name, said->text);
    json_t *arguments = json_loadb(c->arguments.text, c->arguments.size, JSON_ALLOW_NUL, &why);
    if (!arguments)
        fail_msg("%s: %s: %s", c->name, c->arguments.text, why.text);
    assert_true(json_is_object(arguments));
    for (size_t i = 0; i < 4 && tools[t].required[i]; i++)
        if (!json_object_get(arguments, tools[t].required[i]))
            fail_msg("%s has no %s: %s", c->name, tools[t].required[i], c->arguments.text);
    json_decref(arguments);
}

/* An answer that has to call, from the beginning. Returns how many calls it made. */
static size_t walk(struct following *f, const struct chat_example *e)
{
    const char *close = NULL;
    const struct chat_format *format = chat_format_find(span_of(e->format));
    size_t in_string = 0, most = dice(200), step = 0;
    struct strbuf said;
    strbuf_init(&said, (size_t)1 << 16);
    for (; step < STEPS_MAX; step++) {
        bool may_end = grammar_matcher_may_end(f->m), raw = f->reader.tag == CHAT_TAG_RAW;
        if (may_end &&
            (step > most || f->told.n_calls >= 32 || dice(3) == 0 || grammar_matcher_is_over(f->m)))
            break;
        in_string = raw ? in_string + 1 : 0;
        if (!close && e->raw_close && in_string > 3 + dice(40))
            close = e->raw_close;
        if (!close && (f->reader.tag == CHAT_TAG_REASONING || f->reader.tag == CHAT_TAG_TEXT) && dice(8) == 0)
            close = (const char *)chat_format_reasoning_end(format).at;
        if (close && !grammar_matcher_allows(f->m, (uint8_t)*close))
            close = NULL;
        int32_t token = close ? (uint8_t)*close++ : choose(f, step > most || in_string > 30);
        if (close && !*close)
            close = NULL;
        if (token < 0 || !take(f, token))
            fail_msg("%s: nothing follows '%.*s'", e->format, (int)said.size, said.text);
        strbuf_add(&said, (struct span){&(uint8_t){(uint8_t)token}, 1});
    }
    if (!take_end(f))
        fail_msg("%s: no end behind %zu steps: %.*s", e->format, step, (int)said.size, said.text);
    for (size_t i = 0; i < f->told.n_calls; i++) {
        assert_true(f->told.calls[i].ended);
        check_call(&f->told.calls[i], &said);
    }
    assert_true(f->told.n_calls > 0);
    strbuf_release(&said);
    return f->told.n_calls;
}

static void test_ten_thousand_random_calls_have_arguments_that_hold(void **state)
{
    (void)state;
    size_t calls = 0;
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    struct chat_tool offered[N_TOOLS];
    for (size_t i = 0; i < N_TOOLS; i++)
        offered[i] = new_tool(a, tools[i].name, tools[i].parameters);
    for (size_t i = 0; i < N_CHAT_EXAMPLES; i++) {
        struct following f;
        struct chat_form form = {.format = chat_format_find(span_of(chat_examples[i].format)),
            .tools = offered,
            .n_tools = N_TOOLS,
            .choice = CHAT_TOOLS_REQUIRED,
            .parallel = true,
            .split_reasoning = true};
        follow(&f, &form, NULL);
        for (size_t own = 0; own <= CALLS / N_CHAT_EXAMPLES; begin_again(&f, &form)) {
            size_t n = walk(&f, &chat_examples[i]);
            own += n;
            calls += n;
        }
        unfollow(&f);
    }
    assert_true(calls >= CALLS);
    value_arena_free(a);
}

/* Random text in pieces of markers, which calls nothing: all of it is told. */
static void test_random_text_is_told_whole(void **state)
{
    (void)state;
    static const char *const words[] = {"<", "tool_call", "<tool", "[", "TOOL_CALLS", "{\"", "name", "think",
        "</", "\xc3\xa4", "|", "start", "a ", "\n", "parameter", "<|", "channel", "(", "｜tool", "functools",
        "END", ">x"};
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    struct chat_tool tool = new_tool(a, tools[0].name, tools[0].parameters);
    for (size_t i = 0; i < 40 * N_CHAT_EXAMPLES; i++) {
        char text[1024] = "x";
        struct following f;
        struct chat_form form = {
            .format = chat_format_find(span_of(chat_examples[i % N_CHAT_EXAMPLES].format)),
            .tools = &tool,
            .n_tools = 1,
            .choice = CHAT_TOOLS_AUTO,
            .split_reasoning = true};
        follow(&f, &form, NULL);
        if (strcmp(chat_format_name(form.format), "gpt-oss") == 0)
            take_text(&f, "<|channel|>final<|message|>");
        for (size_t k = dice(30); k > 0; k--)
            strcat(text, words[dice(sizeof(words) / sizeof(words[0]))]);
        size_t taken = take_text(&f, text);
        if (text[taken] == 0 && take_end(&f)) {
            if (f.told.n_calls == 0)
                assert_string_equal(f.told.text.text, text);
        } else {
            chat_reader_end(&f.reader, false, tell_told, &f.told);
            assert_memory_equal(f.told.text.text, text, f.told.text.size);
        }
        unfollow(&f);
    }
    value_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_thousand_random_calls_have_arguments_that_hold),
        cmocka_unit_test(test_random_text_is_told_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
