/* test_checkpoint.c - a checkpoint filled as a loader fills it, from memory and without a GGUF file, and read
 * as the engine reads it.
 *
 * test_gguf.c has the same tests for the checkpoint of a GGUF file.
 */
#include "berth/loaders/checkpoint.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS "\3\0\0\0\0\0\0\0<s>\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0hi"

static struct span bytes_of(const char *at, size_t size)
{
    return (struct span){(const uint8_t *)at, size};
}

static struct checkpoint_value number(
    const char *key, enum checkpoint_kind kind, size_t width, const char *at)
{
    return (struct checkpoint_value){.key = span_of(key),
        .kind = kind,
        .width = (uint8_t)width,
        .count = 1,
        .bytes = bytes_of(at, width),
        .type = "number"};
}

static struct checkpoint_value text(const char *key, const char *value)
{
    return (struct checkpoint_value){
        .key = span_of(key), .kind = CHECKPOINT_STRING, .count = 1, .bytes = span_of(value), .type = "text"};
}

static struct checkpoint_value array(
    const char *key, enum checkpoint_kind kind, size_t width, uint64_t count, struct span bytes)
{
    return (struct checkpoint_value){.key = span_of(key),
        .kind = kind,
        .width = (uint8_t)width,
        .is_array = true,
        .count = count,
        .bytes = bytes,
        .type = "array"};
}

static struct tensor tensor(const char *name)
{
    static const float weights[4];
    return (struct tensor){.name = span_of(name),
        .rank = 1,
        .dim = {4, 1, 1, 1},
        .type = tensor_type_find(0),
        .elems = 4,
        .size = sizeof(weights),
        .data = (const uint8_t *)weights};
}

static void fill(struct checkpoint *c, const struct checkpoint_value *values, size_t n_values,
    const struct tensor *tensors, size_t n_tensors)
{
    *c = (struct checkpoint){.n_values = n_values, .n_tensors = n_tensors};
    c->values = malloc((n_values + 1) * sizeof(*values));
    c->tensors = malloc((n_tensors + 1) * sizeof(*tensors));
    assert_non_null(c->values);
    assert_non_null(c->tensors);
    if (n_values)
        memcpy(c->values, values, n_values * sizeof(*values));
    if (n_tensors)
        memcpy(c->tensors, tensors, n_tensors * sizeof(*tensors));
}

/* A model whose loader read its numbers from a text: no value lies at a place in a file. */
static void make(struct checkpoint *c)
{
    static const uint8_t config[] = "{}";
    struct error err = {0};
    const struct checkpoint_value values[] = {
        text("general.architecture", "llama"),
        number("u8", CHECKPOINT_UNSIGNED, 1, "\xff"),
        number("u64", CHECKPOINT_UNSIGNED, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"),
        number("i16", CHECKPOINT_SIGNED, 2, "\xff\x7f"),
        number("minus", CHECKPOINT_SIGNED, 4, "\xff\xff\xff\xff"),
        number("f32", CHECKPOINT_REAL, 4, "\0\0\0\x3f"),
        number("f64", CHECKPOINT_REAL, 8, "\0\0\0\0\0\0\xd0\x3f"),
        number("yes", CHECKPOINT_BOOL, 1, "\1"),
        text("tokenizer.chat_template.tool_use", "tools"),
        text("tokenizer.chat_template", "plain"),
        array("tokenizer.ggml.tokens", CHECKPOINT_STRING, 0, 3, bytes_of(WORDS, sizeof(WORDS) - 1)),
        array("heads", CHECKPOINT_SIGNED, 4, 3, bytes_of("\4\0\0\0\xff\xff\xff\xff\0\1\0\0", 12)),
        array("pattern", CHECKPOINT_BOOL, 1, 2, bytes_of("\1\0", 2)),
        array("scores", CHECKPOINT_REAL, 8, 1, bytes_of("\0\0\0\0\0\0\xd0\x3f", 8)),
    };
    const struct tensor tensors[] = {tensor("blk.0.attn_q.weight"), tensor("a"), tensor("token_embd.weight")};
    fill(c, values, sizeof(values) / sizeof(values[0]), tensors, 3);
    c->files = malloc(sizeof(*c->files));
    assert_non_null(c->files);
    c->files[c->n_files++] = (struct checkpoint_file){span_of("1_Pooling/config.json"), {config, 2}};
    if (!checkpoint_index(c, &err))
        fail_msg("%s", err.text);
}

static void test_numbers_of_every_kind_and_width_are_got(void **state)
{
    (void)state;
    struct checkpoint c;
    struct error err = {0};
    uint64_t whole = 0;
    double real = 0;
    bool truth = false;
    make(&c);
    assert_int_equal(checkpoint_get_u64(&c, "u8", &whole, &err), CHECKPOINT_GOT);
    assert_int_equal(whole, 255);
    assert_int_equal(checkpoint_get_u64(&c, "u64", &whole, &err), CHECKPOINT_GOT);
    assert_true(whole == UINT64_MAX);
    assert_int_equal(checkpoint_get_u64(&c, "i16", &whole, &err), CHECKPOINT_GOT);
    assert_int_equal(whole, 32767);
    assert_int_equal(checkpoint_get_f64(&c, "f32", &real, &err), CHECKPOINT_GOT);
    assert_true(real == 0.5);
    assert_int_equal(checkpoint_get_f64(&c, "f64", &real, &err), CHECKPOINT_GOT);
    assert_true(real == 0.25);
    assert_int_equal(checkpoint_get_bool(&c, "yes", &truth, &err), CHECKPOINT_GOT);
    assert_true(truth);
    assert_string_equal(err.text, "");
    checkpoint_release(&c);
}

static void assert_wrong(enum checkpoint_got got, struct error *err, const char *reason)
{
    assert_int_equal(got, CHECKPOINT_WRONG);
    assert_string_equal(err->text, reason);
    err->text[0] = '\0';
}

static void test_a_value_of_another_kind_is_wrong_and_leaves_the_answer(void **state)
{
    (void)state;
    struct checkpoint c;
    struct error err = {0};
    uint64_t whole = 7;
    double real = 7.5;
    bool truth = true;
    struct span words = {0};
    make(&c);
    assert_wrong(checkpoint_get_u64(&c, "minus", &whole, &err), &err, "key \"minus\" is negative");
    assert_wrong(checkpoint_get_u64(&c, "f32", &whole, &err), &err,
        "key \"f32\" has type number; an integer is needed");
    assert_wrong(checkpoint_get_u64(&c, "yes", &whole, &err), &err,
        "key \"yes\" has type number; an integer is needed");
    assert_wrong(checkpoint_get_u64(&c, "heads", &whole, &err), &err,
        "key \"heads\" has type array; an integer is needed");
    assert_wrong(
        checkpoint_get_f64(&c, "u8", &real, &err), &err, "key \"u8\" has type number; f32 or f64 is needed");
    assert_wrong(checkpoint_get_f64(&c, "scores", &real, &err), &err,
        "key \"scores\" has type array; f32 or f64 is needed");
    assert_wrong(checkpoint_get_bool(&c, "pattern", &truth, &err), &err,
        "key \"pattern\" has type array; bool is needed");
    assert_wrong(checkpoint_get_text(&c, "tokenizer.ggml.tokens", &words, &err), &err,
        "key \"tokenizer.ggml.tokens\" has type array; string is needed");
    assert_int_equal(whole, 7);
    assert_true(real == 7.5);
    assert_true(truth);
    assert_null(words.at);
    checkpoint_release(&c);
}

static void test_a_reason_names_the_place_of_a_value_that_has_one(void **state)
{
    (void)state;
    struct checkpoint c;
    struct error err = {0};
    double real;
    struct checkpoint_value placed = text("key", "value");
    placed.offset = 77;
    fill(&c, &placed, 1, NULL, 0);
    assert_true(checkpoint_index(&c, &err));
    assert_wrong(checkpoint_get_f64(&c, "key", &real, &err), &err,
        "key \"key\" at byte 77 has type text; f32 or f64 is needed");
    checkpoint_release(&c);
}

static void test_what_is_not_there_is_absent_without_a_reason(void **state)
{
    (void)state;
    struct checkpoint c, empty = {0};
    struct error err = {0};
    uint64_t whole;
    struct span words;
    make(&c);
    assert_int_equal(checkpoint_get_u64(&c, "u9", &whole, &err), CHECKPOINT_ABSENT);
    assert_int_equal(checkpoint_get_text(&c, "", &words, &err), CHECKPOINT_ABSENT);
    assert_null(checkpoint_tensor(&c, "b"));
    assert_null(checkpoint_side_file(&c, "config.json"));
    assert_true(checkpoint_index(&empty, &err));
    assert_null(checkpoint_find(&empty, "u8"));
    assert_null(checkpoint_tensor(&empty, "a"));
    assert_string_equal(err.text, "");
    checkpoint_release(&empty);
    checkpoint_release(&c);
}

static void test_items_of_an_array_are_numbers_where_they_are_whole_or_real(void **state)
{
    (void)state;
    struct checkpoint c;
    uint64_t whole = 7;
    double real = 7.5;
    make(&c);
    const struct checkpoint_value *heads = checkpoint_find(&c, "heads"),
                                  *scores = checkpoint_find(&c, "scores");
    assert_true(checkpoint_is_array_of(heads, CHECKPOINT_SIGNED));
    assert_false(checkpoint_is_array_of(heads, CHECKPOINT_REAL));
    assert_false(checkpoint_is_array_of(checkpoint_find(&c, "u8"), CHECKPOINT_UNSIGNED));
    assert_true(checkpoint_item_u64(heads, 0, &whole));
    assert_int_equal(whole, 4);
    assert_false(checkpoint_item_u64(heads, 1, &whole));
    assert_int_equal(whole, 4);
    assert_true(checkpoint_item_u64(heads, 2, &whole));
    assert_int_equal(whole, 256);
    assert_true(checkpoint_item_u64(checkpoint_find(&c, "pattern"), 1, &whole));
    assert_int_equal(whole, 0);
    assert_false(checkpoint_item_f64(heads, 0, &real));
    assert_false(checkpoint_item_u64(scores, 0, &whole));
    assert_true(checkpoint_item_f64(scores, 0, &real));
    assert_true(real == 0.25);
    checkpoint_release(&c);
}

static void test_strings_of_an_array_are_walked_and_end(void **state)
{
    (void)state;
    struct checkpoint c;
    size_t pos = 0;
    make(&c);
    const struct checkpoint_value *tokens = checkpoint_find(&c, "tokenizer.ggml.tokens");
    assert_true(span_is(checkpoint_next_string(tokens->bytes, &pos), "<s>"));
    assert_int_equal(checkpoint_next_string(tokens->bytes, &pos).size, 0);
    assert_true(span_is(checkpoint_next_string(tokens->bytes, &pos), "hi"));
    assert_int_equal(pos, tokens->bytes.size);
    assert_int_equal(checkpoint_next_string(tokens->bytes, &pos).size, 0);
    checkpoint_release(&c);
}

static void test_chat_templates_are_found_by_name(void **state)
{
    (void)state;
    struct checkpoint c;
    struct error err = {0};
    struct span source = {0};
    char longest[300];
    make(&c);
    assert_int_equal(checkpoint_chat_template(&c, NULL, &source, &err), CHECKPOINT_GOT);
    assert_true(span_is(source, "plain"));
    assert_int_equal(checkpoint_chat_template(&c, "tool_use", &source, &err), CHECKPOINT_GOT);
    assert_true(span_is(source, "tools"));
    assert_int_equal(checkpoint_chat_template(&c, "rag", &source, &err), CHECKPOINT_ABSENT);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(checkpoint_chat_template(&c, longest, &source, &err), CHECKPOINT_ABSENT);
    checkpoint_release(&c);
}

static void test_tensors_and_side_files_are_found_by_name(void **state)
{
    (void)state;
    struct checkpoint c;
    make(&c);
    const struct tensor *t = checkpoint_tensor(&c, "token_embd.weight");
    assert_non_null(t);
    assert_int_equal(t - c.tensors, 2);
    assert_string_equal(t->type->name, "F32");
    assert_int_equal(t->dim[0], 4);
    assert_int_equal(checkpoint_tensor(&c, "a") - c.tensors, 1);
    assert_true(span_is(checkpoint_side_file(&c, "1_Pooling/config.json")->bytes, "{}"));
    checkpoint_release(&c);
}

static void test_a_key_or_a_tensor_that_appears_twice_is_refused_by_name(void **state)
{
    (void)state;
    struct checkpoint c;
    struct error err = {0};
    const struct checkpoint_value values[] = {text("b", "1"), text("a", "2"), text("b", "3")};
    const struct tensor tensors[] = {tensor("x"), tensor("y"), tensor("x")};
    fill(&c, values, 3, tensors, 2);
    assert_false(checkpoint_index(&c, &err));
    assert_non_null(strstr(err.text, "key \"b\" appears twice"));
    checkpoint_release(&c);
    fill(&c, values, 2, tensors, 3);
    assert_false(checkpoint_index(&c, &err));
    assert_string_equal(err.text, "tensor \"x\" appears twice, as number 1 and 3 of the table");
    checkpoint_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_of_every_kind_and_width_are_got),
        cmocka_unit_test(test_a_value_of_another_kind_is_wrong_and_leaves_the_answer),
        cmocka_unit_test(test_a_reason_names_the_place_of_a_value_that_has_one),
        cmocka_unit_test(test_what_is_not_there_is_absent_without_a_reason),
        cmocka_unit_test(test_items_of_an_array_are_numbers_where_they_are_whole_or_real),
        cmocka_unit_test(test_strings_of_an_array_are_walked_and_end),
        cmocka_unit_test(test_chat_templates_are_found_by_name),
        cmocka_unit_test(test_tensors_and_side_files_are_found_by_name),
        cmocka_unit_test(test_a_key_or_a_tensor_that_appears_twice_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
