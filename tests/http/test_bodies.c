/* test_bodies.c - bodies of any bytes: what is read as JSON, and what is refused.
 *
 * The model recites (reciting_model.h), so the tests know each byte.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"

static struct server *server;

static void test_a_body_that_is_no_object_is_refused(void **state)
{
    static const char *const bodies[] = {"", "[]", "{", "{\"n\":1,\"n\":2}", "\xef\xbb\xbf", "7"};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        json_t *a = server_post_json(server, CHAT, 400, bodies[i]);
        assert_true(json_is_null(json_at(a, "error.param")));
        json_decref(a);
    }
}

static void test_a_body_of_more_values_than_fit_memory_is_refused(void **state)
{
    (void)state;
    static char many[3 << 20];
    for (size_t i = 0; i + 3 < sizeof(many); i += 3)
        memcpy(many + i, "{},", 3);
    json_t *a = server_post_json(server, CHAT, 400, text_of("{\"messages\":[%s{}]}", many));
    assert_non_null(strstr(text_at(a, "error.message"), "more values"));
    json_decref(a);
    /* In a text the same bytes are no values. */
    a = server_post_json(server, CHAT, 400,
        text_of("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"\\\"%s\"}]}", many));
    assert_string_equal(text_at(a, "error.code"), "context_length_exceeded");
    json_decref(a);
}

static void test_a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, CHAT, 200, "\xef\xbb\xbf{" HELLO ",\"max_tokens\":2}");
    assert_string_equal(text_at(a, "choices.0.message.content"), "ab");
    json_decref(a);
}

/* Where no field needs them, integers of any size are legal. */
static void test_integers_beyond_64_bits_are_read(void **state)
{
    static const char *const fields[] = {"\"user_number\":18446744073709551617",
        "\"metadata\":{\"big\":[-99999999999999999999999999]}", "\"top_k\":18446744073709551617",
        "\"max_completion_tokens\":2,\"metadata\":{\"big\":9223372036854775808}",
        "\"seed\":18446744073709551615", "\"seed\":-18446744073709551615"};
    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        json_t *a = server_post_json(
            server, CHAT, i == 2 ? 400 : 200, text_of("{" HELLO ",\"max_tokens\":2,\"n\":2,%s}", fields[i]));
        if (i == 2)
            assert_string_equal(text_at(a, "error.param"), "top_k");
        else
            assert_string_equal(text_at(a, "choices.1.message.content"), "ab");
        json_decref(a);
    }
    /* Token ids and the other integers of such a body are integers still. */
    json_t *a = server_post_json(server, "/v1/completions", 200,
        "{\"model\":\"tiny\",\"prompt\":[97,98],\"max_tokens\":2,\"seed\":340282366920938463463374607431768211456,"
        "\"stop_token_ids\":[7],\"return_token_ids\":true}");
    assert_string_equal(text_at(a, "choices.0.text"), "cd");
    assert_int_equal(number_at(a, "choices.0.prompt_token_ids.1"), 98);
    json_decref(a);
    a = server_post_json(server, CHAT, 400, "{" HELLO ",\"max_tokens\":99999999999999999999999.5}");
    assert_string_equal(text_at(a, "error.param"), "max_tokens");
    json_decref(a);
}

static void test_a_number_that_no_double_holds_is_refused(void **state)
{
    char digits[401];
    (void)state;
    memset(digits, '9', 400);
    digits[400] = 0;
    json_t *a = server_post_json(server, CHAT, 400, text_of("{" HELLO ",\"seed\":%s}", digits));
    assert_non_null(strstr(text_at(a, "error.message"), "overflow"));
    json_decref(a);
    a = server_post_json(server, CHAT, 400, "{" HELLO ",\"seed\":1e999}");
    json_decref(a);
}

/* ---- any bytes ---- */

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Cuts, doubles, exchanges and overwrites pieces of a body. */
static size_t spoil(char *body, size_t size, size_t room, uint32_t *state)
{
    static const char bytes[] = "{}[]\",:\\0123456789.eE+-ntf \x80\xff\xe2\xf0\t\n";
    for (uint32_t n = 1 + draw(state) % 4; n > 0 && size > 2; n--) {
        size_t at = draw(state) % size, length = 1 + draw(state) % 12;
        if (length > size - at)
            length = size - at;
        switch (draw(state) % 3) {
        case 0:
            memmove(body + at, body + at + length, size - at - length);
            size -= length;
            break;
        case 1:
            if (size + length > room)
                break;
            memmove(body + at + length, body + at, size - at);
            size += length;
            break;
        default:
            body[at] = bytes[draw(state) % (sizeof(bytes) - 1)];
        }
    }
    return size;
}

static void test_spoiled_requests_are_answered_or_refused(void **state)
{
    static const struct {
        const char *target, *body;
    } seeds[] = {
        {CHAT, "{\"model\":\"tiny\"," HELLO
               ",\"max_tokens\":3,\"stop\":[\"x\",\"y\"],\"logit_bias\":{\"5\":-1.5},"
               "\"temperature\":0.5,\"logprobs\":true,\"top_logprobs\":2,\"n\":2,\"seed\":12}"},
        {CHAT,
            "{\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"\\u20ac\\n\"}]},"
            "{\"role\":\"assistant\",\"tool_calls\":[]}],\"chat_template_kwargs\":{\"a\":[1,{}]},\"max_tokens\":2}"},
        {"/v1/completions",
            "{\"model\":\"tiny\",\"prompt\":[\"ab\",\"<|im_end|>\"],\"max_tokens\":2,\"echo\":true,"
            "\"logprobs\":3,\"stop_token_ids\":[7,8],\"top_k\":5,\"min_p\":0.1}"},
        {"/v1/completions",
            "{\"model\":\"tiny\",\"prompt\":[[97,98],[99]],\"max_tokens\":0,\"echo\":true,\"logprobs\":1}"},
        {"/v1/tokenize", "{\"model\":\"tiny\",\"text\":\"a\\u0000b\",\"with_pieces\":true}"},
        {"/v1/detokenize", "{\"model\":\"tiny\",\"tokens\":[97,226,130,172,257]}"},
    };
    uint32_t seed = 1;
    (void)state;
    struct wire w;
    struct answer a;
    wire_open(&w, server);
    for (int i = 0; i < 3000; i++) {
        char body[1024];
        size_t which = draw(&seed) % (sizeof(seeds) / sizeof(*seeds)), size = strlen(seeds[which].body);
        memcpy(body, seeds[which].body, size);
        size = spoil(body, size, sizeof(body), &seed);
        char head[256];
        int length = snprintf(head, sizeof(head),
            "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", seeds[which].target, size);
        if (!wire_send(&w, head, (size_t)length) || !wire_send(&w, body, size) ||
            !wire_answer(&w, &a, false, WAIT_MS))
            fail_msg("no answer to request %d: %.*s", i, (int)size, body);
        if (a.status != 200 && a.status != 400 && a.status != 404)
            fail_msg("request %d: %d: %.*s: %s", i, a.status, (int)size, body, a.body);
        json_t *value = json_loadb(a.body, a.body_size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        if (!value)
            fail_msg("request %d: %.*s: no JSON: %s", i, (int)size, body, a.body);
        json_decref(value);
        answer_release(&a);
    }
    wire_close(&w);
    server_assert_healthy(server);
}

static int start(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    server = server_start(&(struct setup){.models = dir});
    return 0;
}

static int stop(void **state)
{
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_that_is_no_object_is_refused),
        cmocka_unit_test(test_a_body_of_more_values_than_fit_memory_is_refused),
        cmocka_unit_test(test_a_byte_order_mark_is_skipped),
        cmocka_unit_test(test_integers_beyond_64_bits_are_read),
        cmocka_unit_test(test_a_number_that_no_double_holds_is_refused),
        cmocka_unit_test(test_spoiled_requests_are_answered_or_refused),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
