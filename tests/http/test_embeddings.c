/* test_embeddings.c - POST /v1/embeddings: its forms of input and output, and what it refuses.
 *
 * The models recite: a token's vector depends on the token alone, so a mean of equal tokens is the token's vector.
 */
#include "events.h"
#include "reciting_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 64

static struct server *server;

static json_t *embed(const char *members)
{
    return server_post_json(server, "/v1/embeddings", 200, text_of("{\"model\":\"mean\",%s}", members));
}

/* Vector i as floats. */
static void vector_of(const json_t *a, size_t i, size_t width, float *out)
{
    const json_t *list = json_at(a, text_of("data.%zu.embedding", i));
    assert_int_equal(json_array_size(list), width);
    for (size_t k = 0; k < width; k++)
        out[k] = (float)json_number_value(json_array_get(list, k));
}

static double length_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* The first vector of an answer of one. */
static void vector(const char *members, size_t width, float *out)
{
    json_t *a = embed(members);
    assert_int_equal(json_array_size(json_at(a, "data")), 1);
    vector_of(a, 0, width, out);
    json_decref(a);
}

/* ---- input ---- */

static void test_a_text_has_a_vector(void **state)
{
    float x[WIDTH];
    (void)state;
    json_t *a = embed("\"input\":\"ab\",\"user\":\"u\"");
    assert_string_equal(text_at(a, "object"), "list");
    assert_string_equal(text_at(a, "model"), "mean");
    assert_string_equal(text_at(a, "data.0.object"), "embedding");
    assert_int_equal(number_at(a, "data.0.index"), 0);
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 2);
    assert_int_equal(number_at(a, "usage.total_tokens"), 2);
    vector_of(a, 0, WIDTH, x);
    assert_true(fabs(length_of(x, WIDTH) - 1) < 1e-6);
    json_decref(a);
    a = server_post_json(server, "/embeddings", 200, "{\"model\":\"mean\",\"input\":\"a\"}");
    json_decref(a);
}

static void test_strings_and_ids_alone_and_in_lists_have_the_same_vectors(void **state)
{
    float one[WIDTH], other[WIDTH], x[WIDTH];
    (void)state;
    vector("\"input\":\"xyz\"", WIDTH, one);
    vector("\"input\":\"q\"", WIDTH, other);
    assert_memory_not_equal(one, other, sizeof(one));
    static const char *const lists[] = {"[\"xyz\",\"q\",\"xyz\"]", "[[120,121,122],[113],[120,121,122]]"};
    for (size_t i = 0; i < 2; i++) {
        json_t *a = embed(text_of("\"input\":%s", lists[i]));
        assert_int_equal(json_array_size(json_at(a, "data")), 3);
        assert_int_equal(number_at(a, "usage.prompt_tokens"), 7);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(number_at(a, text_of("data.%zu.index", k)), k);
            vector_of(a, k, WIDTH, x);
            assert_memory_equal(x, k == 1 ? other : one, sizeof(x));
        }
        json_decref(a);
    }
    vector("\"input\":[120,121,122]", WIDTH, x);
    assert_memory_equal(x, one, sizeof(x));
}

static void test_the_pooling_is_that_of_the_option(void **state)
{
    float first[WIDTH], last[WIDTH], x[WIDTH];
    (void)state;
    vector("\"input\":\"x\"", WIDTH, first);
    vector("\"input\":\"z\"", WIDTH, last);
    json_t *a = server_post_json(server, "/v1/embeddings", 200, "{\"model\":\"last\",\"input\":\"xyz\"}");
    vector_of(a, 0, WIDTH, x);
    assert_memory_equal(x, last, sizeof(x));
    json_decref(a);
    a = server_post_json(server, "/v1/embeddings", 200, "{\"model\":\"cls\",\"input\":\"xyz\"}");
    vector_of(a, 0, WIDTH, x);
    assert_memory_equal(x, first, sizeof(x));
    json_decref(a);
}

static void test_2048_texts_are_answered_in_order(void **state)
{
    float letters[26][WIDTH], x[WIDTH];
    char *body = malloc(2048 * 8);
    size_t size = 0;
    (void)state;
    for (int i = 0; i < 26; i++)
        vector(text_of("\"input\":\"%c\"", 'a' + i), WIDTH, letters[i]);
    for (int i = 0; i < 2048; i++)
        size += (size_t)sprintf(body + size, "%s\"%c%c\"", i ? "," : "", 'a' + i % 26, 'a' + i % 26);
    json_t *a = embed(text_of("\"input\":[%s]", body));
    free(body);
    assert_int_equal(json_array_size(json_at(a, "data")), 2048);
    assert_int_equal(number_at(a, "usage.total_tokens"), 4096);
    for (size_t i = 0; i < 2048; i += 51) {
        vector_of(a, i, WIDTH, x);
        for (size_t k = 0; k < WIDTH; k++)
            assert_true(fabsf(x[k] - letters[i % 26][k]) < 1e-6f);
    }
    json_decref(a);
}

/* ---- output ---- */

static unsigned digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(digits, c);
    assert_true(c != '\0' && at != NULL);
    return (unsigned)(at - digits);
}

static size_t decode(const char *text, uint8_t *out, size_t room)
{
    size_t n = 0;
    for (; *text; text += 4) {
        unsigned three = digit_of(text[0]) << 18 | digit_of(text[1]) << 12;
        three |= text[2] == '=' ? 0 : digit_of(text[2]) << 6;
        three |= text[3] == '=' ? 0 : digit_of(text[3]);
        for (size_t i = 0; i < 3 - (size_t)(text[2] == '=') - (size_t)(text[3] == '='); i++) {
            assert_true(n < room);
            out[n++] = (uint8_t)(three >> (16 - 8 * i));
        }
    }
    return n;
}

static void test_base64_has_the_same_floats_as_numbers(void **state)
{
    (void)state;
    for (size_t width = 62; width <= 64; width++) {
        float numbers[WIDTH], bytes[WIDTH];
        vector(text_of("\"input\":\"hello\",\"dimensions\":%zu,\"encoding_format\":\"float\"", width), width,
            numbers);
        json_t *a = embed(
            text_of("\"input\":[\"hello\",\"b\"],\"dimensions\":%zu,\"encoding_format\":\"base64\"", width));
        size_t size = decode(text_at(a, "data.0.embedding"), (uint8_t *)(void *)bytes, sizeof(bytes));
        assert_int_equal(size, width * sizeof(float));
        assert_memory_equal(bytes, numbers, size);
        json_decref(a);
    }
}

static void test_fewer_dimensions_are_the_first_and_have_a_length_of_one(void **state)
{
    float all[WIDTH], few[8], whole[WIDTH];
    (void)state;
    vector("\"input\":\"hello\"", WIDTH, all);
    vector("\"input\":\"hello\",\"dimensions\":8", 8, few);
    assert_true(fabs(length_of(few, 8) - 1) < 1e-6);
    for (size_t i = 0; i < 8; i++)
        assert_true(fabs((double)few[i] - (double)all[i] / length_of(all, 8)) < 1e-6);
    vector("\"input\":\"hello\",\"normalize\":false", WIDTH, whole);
    assert_true(fabs(length_of(whole, WIDTH) - 1) > 1e-3);
    for (size_t i = 0; i < WIDTH; i++)
        assert_true(fabs((double)all[i] - (double)whole[i] / length_of(whole, WIDTH)) < 1e-6);
}

/* ---- long texts ---- */

static const char *letters(char c, size_t n)
{
    char *text = malloc(n + 1);
    memset(text, c, n);
    text[n] = '\0';
    const char *kept = text_of("%s", text);
    free(text);
    return kept;
}

static void test_a_text_that_is_too_long_is_cut_only_when_asked_for(void **state)
{
    float first[WIDTH], x[WIDTH];
    (void)state;
    json_t *a = server_post_json(server, "/v1/embeddings", 400,
        text_of("{\"model\":\"mean\",\"input\":[\"a\",\"%s\"]}", letters('b', 513)));
    assert_string_equal(text_at(a, "error.code"), "context_length_exceeded");
    assert_string_equal(text_at(a, "error.param"), "input[1]");
    assert_non_null(strstr(text_at(a, "error.message"), "is 512 tokens"));
    assert_non_null(strstr(text_at(a, "error.message"), "'input[1]' has 513 tokens"));
    json_decref(a);
    vector("\"input\":\"b\"", WIDTH, first);
    a = embed(text_of(
        "\"input\":[\"%s%s\"],\"truncate_prompt_tokens\":-1", letters('b', 512), letters('c', 200000)));
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 512);
    vector_of(a, 0, WIDTH, x);
    for (size_t i = 0; i < WIDTH; i++)
        assert_true(fabsf(x[i] - first[i]) < 1e-6f);
    json_decref(a);
    a = embed("\"input\":[[98,98,99],[98]],\"truncate_prompt_tokens\":2");
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 3);
    json_decref(a);
}

/* ---- what is refused ---- */

static void test_what_makes_no_sense_is_refused_and_named(void **state)
{
    static const struct {
        const char *members, *param, *words;
    } rows[] = {
        {"\"user\":\"u\"", "input", "must be a string, a list"},
        {"\"input\":null", "input", "must be"},
        {"\"input\":\"\"", "input", "empty"},
        {"\"input\":[]", "input", "not empty"},
        {"\"input\":[\"a\",\"\"]", "input[1]", "empty"},
        {"\"input\":[[97],[]]", "input[1]", "no tokens"},
        {"\"input\":7", "input", "must be"},
        {"\"input\":[\"a\",7]", "input[1]", "must be a string"},
        {"\"input\":[7,\"a\"]", "input", "'input[1]' is not a token id"},
        {"\"input\":[[7],\"a\"]", "input[1]", "must be a list"},
        {"\"input\":[258]", "input", "0 to 257"},
        {"\"input\":[-1]", "input", "not a token id"},
        {"\"input\":\"a\",\"dimensions\":0", "dimensions", "dimensions"},
        {"\"input\":\"a\",\"dimensions\":65", "dimensions", "1 to 64"},
        {"\"input\":\"a\",\"dimensions\":\"8\"", "dimensions", "integer"},
        {"\"input\":\"a\",\"dimensions\":8.5", "dimensions", "integer"},
        {"\"input\":\"a\",\"dimensions\":1e300", "dimensions", "1 to 64"},
        {"\"input\":\"a\",\"truncate_prompt_tokens\":1e300", "truncate_prompt_tokens", "1 to 512"},
        {"\"input\":\"a\",\"encoding_format\":\"int8\"", "encoding_format", "encoding_format"},
        {"\"input\":\"a\",\"truncate_prompt_tokens\":513", "truncate_prompt_tokens", "1 to 512"},
        {"\"input\":\"a\",\"truncate_prompt_tokens\":-2", "truncate_prompt_tokens", "truncate_prompt_tokens"},
        {"\"input\":\"a\",\"normalize\":1", "normalize", "true or false"},
        {"\"input\":\"a\",\"dimension\":8", "dimension", "dimensions"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = server_post_json(
            server, "/v1/embeddings", 400, text_of("{\"model\":\"mean\",%s}", rows[i].members));
        if (strcmp(text_at(a, "error.param"), rows[i].param) != 0 ||
            !strstr(text_at(a, "error.message"), rows[i].words))
            fail_msg("%s: %s: %s", rows[i].members, text_at(a, "error.param"), text_at(a, "error.message"));
        assert_string_equal(text_at(a, "error.type"), "invalid_request_error");
        json_decref(a);
    }
    char *body = calloc(2049, 4);
    for (int i = 0; i < 2049; i++)
        memcpy(body + 4 * i, ",\"a\"", 4);
    json_t *a = server_post_json(server, "/v1/embeddings", 400,
        text_of("{\"model\":\"mean\",\"input\":[%.*s]}", 4 * 2049 - 1, body + 1));
    free(body);
    assert_string_equal(text_at(a, "error.param"), "input");
    assert_non_null(strstr(text_at(a, "error.message"), "2048 texts; this one has 2049"));
    json_decref(a);
}

static void test_each_kind_of_model_does_what_it_is_for(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body, *words;
    } rows[] = {
        {"/v1/embeddings", "{\"model\":\"talks\",\"input\":\"a\"}",
            "generates text, and makes no embeddings"},
        {"/v1/chat/completions", "{\"model\":\"mean\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
            "makes embeddings"},
        {"/v1/completions", "{\"model\":\"mean\",\"prompt\":\"a\"}", "makes embeddings"},
    };
    for (size_t i = 0; i < 3; i++) {
        json_t *a = server_post_json(server, rows[i].path, 400, rows[i].body);
        assert_string_equal(text_at(a, "error.code"), "model_not_supported");
        assert_non_null(strstr(text_at(a, "error.message"), rows[i].words));
        json_decref(a);
    }
    json_t *a = server_post_json(server, "/v1/completions", 200, "{\"prompt\":\"a\",\"max_tokens\":1}");
    assert_string_equal(text_at(a, "model"), "talks"); /* the only one that generates */
    json_decref(a);
    a = server_post_json(server, "/v1/tokenize", 200, "{\"model\":\"mean\",\"text\":\"ab\"}");
    assert_int_equal(number_at(a, "count"), 2);
    json_decref(a);
}

static void test_models_tell_what_they_make(void **state)
{
    (void)state;
    json_t *a = server_json(server, "/v1/models/last");
    assert_string_equal(text_at(a, "capabilities.0"), "embedding");
    assert_int_equal(json_array_size(json_at(a, "capabilities")), 1);
    assert_true(json_is_true(json_at(a, "berth.embeds")));
    assert_true(json_is_false(json_at(a, "berth.generates")));
    assert_string_equal(text_at(a, "berth.pooling"), "last");
    assert_int_equal(number_at(a, "berth.dimensions"), WIDTH);
    assert_true(json_is_null(json_at(a, "default_parameters")));
    json_decref(a);
    a = server_json(server, "/v1/models/talks");
    assert_true(json_is_false(json_at(a, "berth.embeds")));
    assert_true(json_is_null(json_at(a, "berth.pooling")));
    json_decref(a);
}

static void test_tokens_and_requests_are_counted_by_model(void **state)
{
    static const char tokens[] = "berth_prompt_tokens_total{model=\"cls\"}";
    (void)state;
    double before = metric(server, tokens);
    json_t *a =
        server_post_json(server, "/v1/embeddings", 200, "{\"model\":\"cls\",\"input\":[\"abc\",\"defg\"]}");
    json_decref(a);
    metric_wait(server, tokens, before + 7);
}

static void test_a_pooling_that_is_none_does_not_start(void **state)
{
    (void)state;
    static const char *const values[] = {"mean", "a=", "a=middle", "a=none", "a=mean,b"};
    for (size_t i = 0; i < 5; i++) {
        struct outcome o = outcome_of(&(struct setup){.args = {"--pooling", values[i]}});
        assert_int_not_equal(o.code, 0);
        assert_non_null(strstr(o.err, "--pooling takes ID=KIND"));
        outcome_release(&o);
    }
}

/* ---- */

static int begin(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    static const char *const names[] = {"talks.gguf", "mean.gguf", "last.gguf", "cls.gguf"};
    for (size_t i = 0; i < 4; i++)
        write_tiny_model(dir, names[i], &(struct tiny_model){0});
    server =
        server_start(&(struct setup){.models = dir, .args = {"--pooling", "mean=mean,last=last,CLS=cls"}});
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
        cmocka_unit_test(test_a_text_has_a_vector),
        cmocka_unit_test(test_strings_and_ids_alone_and_in_lists_have_the_same_vectors),
        cmocka_unit_test(test_the_pooling_is_that_of_the_option),
        cmocka_unit_test(test_2048_texts_are_answered_in_order),
        cmocka_unit_test(test_base64_has_the_same_floats_as_numbers),
        cmocka_unit_test(test_fewer_dimensions_are_the_first_and_have_a_length_of_one),
        cmocka_unit_test(test_a_text_that_is_too_long_is_cut_only_when_asked_for),
        cmocka_unit_test(test_what_makes_no_sense_is_refused_and_named),
        cmocka_unit_test(test_each_kind_of_model_does_what_it_is_for),
        cmocka_unit_test(test_models_tell_what_they_make),
        cmocka_unit_test(test_tokens_and_requests_are_counted_by_model),
        cmocka_unit_test(test_a_pooling_that_is_none_does_not_start),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
