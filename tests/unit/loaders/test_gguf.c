/* test_gguf.c - valid files are read as they were written, and their values are returned by type.
 *
 * Invalid files are in test_bad_files.c, except a file that is cut at every byte, and files at the limits.
 */
#include "berth/loaders/gguf.h"
#include "gguf_writer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { F32 = TENSOR_F32, F16 = TENSOR_F16, Q4_0 = TENSOR_Q4_0 };

/* Reads what was written, or fails the test with the reader's reason. */
static struct gguf *read_written(struct writer *w)
{
    struct error err = {0};
    struct gguf *g = gguf_read(writer_done(w), &err);
    if (!g)
        fail_msg("refused: %s", err.text);
    return g;
}

/* Two keys and three tensors with every kind of padding between them. */
static void write_small(struct writer *w, uint32_t version)
{
    write_header(w, version, 3, 2);
    write_pair_text(w, "general.architecture", "llama");
    write_pair_u32(w, "llama.context_length", 2048);
    write_tensor(w, "a", DIMS(3), F32, 0);
    write_tensor(w, "b", DIMS(64, 2), Q4_0, 32);
    write_tensor(w, "c", DIMS(2, 2, 2, 2), F16, 32 + 96);
    write_padding(w, 32);
    write_zeros(w, 32 + 96 + 32);
}

static void test_both_versions_are_read_as_they_were_written(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct writer w = {0};
        write_small(&w, version);
        struct gguf *g = read_written(&w);

        assert_int_equal(g->version, version);
        assert_int_equal(g->alignment, 32);
        assert_int_equal(g->n_pairs, 2);
        assert_int_equal(g->checkpoint.n_tensors, 3);
        assert_int_equal(g->data_offset % 32, 0);
        assert_int_equal(g->data_offset, w.size - (32 + 96 + 32));
        gguf_free(g);
        writer_release(&w);
    }
}

static void test_a_tensor_has_name_shape_type_place_and_size(void **state)
{
    (void)state;
    struct writer w = {0};
    write_small(&w, 3);
    struct gguf *g = read_written(&w);
    const struct tensor *b = checkpoint_tensor(&g->checkpoint, "b"),
                        *c = checkpoint_tensor(&g->checkpoint, "c");

    assert_ptr_equal(b, &g->checkpoint.tensors[1]);
    assert_true(span_is(b->name, "b"));
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->dim[0], 64);
    assert_int_equal(b->dim[1], 2);
    assert_int_equal(b->dim[2], 1);
    assert_int_equal(b->dim[3], 1);
    assert_string_equal(b->type->name, "Q4_0");
    assert_int_equal(b->elems, 128);
    assert_int_equal(b->size, 4 * 18);
    assert_int_equal(b->offset, g->data_offset + 32);
    assert_ptr_equal(b->data, w.at + b->offset);
    assert_int_equal(c->offset, g->data_offset + 128);
    assert_int_equal(c->elems, 16);
    assert_null(checkpoint_tensor(&g->checkpoint, "d"));
    assert_null(checkpoint_tensor(&g->checkpoint, ""));
    gguf_free(g);
    writer_release(&w);
}

static void test_a_file_cut_at_any_byte_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct writer w = {0};
    write_small(&w, 3);
    writer_done(&w);
    for (size_t cut = 0; cut < w.size; cut++) {
        uint8_t *bytes = malloc(cut + (cut == 0));
        if (cut)
            memcpy(bytes, w.at, cut);
        struct error err = {0};

        assert_null(gguf_read((struct span){bytes, cut}, &err));
        assert_true(strstr(err.text, "left") || strstr(err.text, "the file ends at"));
        free(bytes);
    }
    writer_release(&w);
}

static void test_the_padding_after_the_last_tensor_may_be_missing(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 1, 0);
    write_tensor(&w, "a", DIMS(3), F32, 0);
    write_padding(&w, 32);
    write_zeros(&w, 12);
    struct gguf *g = read_written(&w);

    assert_int_equal(g->checkpoint.tensors[0].size, 12);
    assert_ptr_equal(g->checkpoint.tensors[0].data + 12, w.at + w.size);
    gguf_free(g);
    writer_release(&w);
}

static void test_a_file_without_keys_or_tensors_is_valid(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 0);
    struct gguf *g = read_written(&w);

    assert_int_equal(g->n_pairs, 0);
    assert_int_equal(g->checkpoint.n_tensors, 0);
    assert_null(checkpoint_find(&g->checkpoint, "general.architecture"));
    assert_null(checkpoint_tensor(&g->checkpoint, "a"));
    gguf_free(g);
    writer_release(&w);
}

static void test_a_tensor_without_dimensions_is_one_element(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 1, 0);
    write_tensor(&w, "scale", (const uint64_t[]){0}, F32, 0);
    write_padding(&w, 32);
    write_zeros(&w, 4);
    struct gguf *g = read_written(&w);

    assert_int_equal(g->checkpoint.tensors[0].rank, 0);
    assert_int_equal(g->checkpoint.tensors[0].elems, 1);
    assert_int_equal(g->checkpoint.tensors[0].size, 4);
    gguf_free(g);
    writer_release(&w);
}

static void test_every_allowed_alignment_places_the_tensors(void **state)
{
    (void)state;
    for (uint32_t alignment = 8; alignment <= 65536; alignment *= 2) {
        struct writer w = {0};
        write_header(&w, 3, 2, 1);
        write_pair_u32(&w, "general.alignment", alignment);
        write_tensor(&w, "a", DIMS(1), F32, 0);
        write_tensor(&w, "b", DIMS(1), F32, alignment);
        write_padding(&w, alignment);
        write_zeros(&w, alignment + 4);
        struct gguf *g = read_written(&w);

        assert_int_equal(g->alignment, alignment);
        assert_int_equal(g->data_offset, w.size - alignment - 4);
        assert_int_equal(g->checkpoint.tensors[1].offset, g->data_offset + alignment);
        gguf_free(g);
        writer_release(&w);
    }
}

static void test_a_key_and_a_name_may_be_as_long_as_the_format_allows(void **state)
{
    (void)state;
    char key[65536];
    memset(key, 'k', 65535);
    key[65535] = '\0';
    struct writer w = {0};
    write_header(&w, 3, 1, 1);
    write_pair_u32(&w, key, 7);
    write_tensor(&w, key + (65535 - 63), DIMS(1), F32, 0);
    write_padding(&w, 32);
    write_zeros(&w, 4);
    struct gguf *g = read_written(&w);

    assert_non_null(checkpoint_find(&g->checkpoint, key));
    assert_null(checkpoint_find(&g->checkpoint, key + 1));
    assert_int_equal(g->checkpoint.tensors[0].name.size, 63);
    gguf_free(g);
    writer_release(&w);
}

/* One pair of every scalar type, all bits set where that is a number. */
static void write_scalars(struct writer *w)
{
    const uint32_t half = 0x3f000000;
    const uint64_t quarter = 0x3fd0000000000000;
    write_header(w, 3, 0, 12);
    write_pair_integer(w, "u8", GGUF_U8, UINT64_MAX);
    write_pair_integer(w, "i8", GGUF_I8, 127);
    write_pair_integer(w, "u16", GGUF_U16, UINT64_MAX);
    write_pair_integer(w, "i16", GGUF_I16, 32767);
    write_pair_integer(w, "u32", GGUF_U32, UINT64_MAX);
    write_pair_integer(w, "i32", GGUF_I32, UINT64_MAX);
    write_pair_integer(w, "f32", GGUF_F32, half);
    write_pair_integer(w, "bool", GGUF_BOOL, 1);
    write_pair_text(w, "text", "berth");
    write_pair_integer(w, "u64", GGUF_U64, UINT64_MAX);
    write_pair_integer(w, "i64", GGUF_I64, INT64_MAX);
    write_pair_integer(w, "f64", GGUF_F64, quarter);
}

static void test_integers_of_every_width_are_got_as_one(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t value;
    } expected[] = {{"u8", UINT8_MAX}, {"i8", INT8_MAX}, {"u16", UINT16_MAX}, {"i16", INT16_MAX},
        {"u32", UINT32_MAX}, {"u64", UINT64_MAX}, {"i64", INT64_MAX}};
    struct writer w = {0};
    write_scalars(&w);
    struct gguf *g = read_written(&w);

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct error err = {0};
        uint64_t value = 0;
        assert_int_equal(checkpoint_get_u64(&g->checkpoint, expected[i].key, &value, &err), CHECKPOINT_GOT);
        assert_true(value == expected[i].value);
    }
    gguf_free(g);
    writer_release(&w);
}

static void test_floats_bools_and_texts_are_got_by_their_type(void **state)
{
    (void)state;
    struct writer w = {0};
    write_scalars(&w);
    struct gguf *g = read_written(&w);
    struct error err = {0};
    double number = 0;
    bool truth = false;
    struct span text = {0};

    assert_int_equal(checkpoint_get_f64(&g->checkpoint, "f32", &number, &err), CHECKPOINT_GOT);
    assert_true(number == 0.5);
    assert_int_equal(checkpoint_get_f64(&g->checkpoint, "f64", &number, &err), CHECKPOINT_GOT);
    assert_true(number == 0.25);
    assert_int_equal(checkpoint_get_bool(&g->checkpoint, "bool", &truth, &err), CHECKPOINT_GOT);
    assert_true(truth);
    assert_int_equal(checkpoint_get_text(&g->checkpoint, "text", &text, &err), CHECKPOINT_GOT);
    assert_true(span_is(text, "berth"));
    assert_string_equal(err.text, "");
    gguf_free(g);
    writer_release(&w);
}

static void test_a_value_of_another_type_is_wrong_and_says_which(void **state)
{
    (void)state;
    struct writer w = {0};
    write_scalars(&w);
    struct gguf *g = read_written(&w);
    struct error err = {0};
    uint64_t integer = 77;
    double number = 7.5;
    bool truth = true;
    struct span text = {0};

    assert_int_equal(checkpoint_get_u64(&g->checkpoint, "text", &integer, &err), CHECKPOINT_WRONG);
    assert_non_null(strstr(err.text, "key \"text\" at byte"));
    assert_non_null(strstr(err.text, "has type string; an integer is needed"));
    assert_int_equal(checkpoint_get_u64(&g->checkpoint, "i32", &integer, &err), CHECKPOINT_WRONG);
    assert_non_null(strstr(err.text, "is negative"));
    assert_int_equal(checkpoint_get_u64(&g->checkpoint, "bool", &integer, &err), CHECKPOINT_WRONG);
    assert_int_equal(checkpoint_get_u64(&g->checkpoint, "f32", &integer, &err), CHECKPOINT_WRONG);
    assert_int_equal(checkpoint_get_f64(&g->checkpoint, "u32", &number, &err), CHECKPOINT_WRONG);
    assert_non_null(strstr(err.text, "has type u32; f32 or f64 is needed"));
    assert_int_equal(checkpoint_get_bool(&g->checkpoint, "u8", &truth, &err), CHECKPOINT_WRONG);
    assert_int_equal(checkpoint_get_text(&g->checkpoint, "u8", &text, &err), CHECKPOINT_WRONG);
    assert_int_equal(integer, 77);
    assert_true(number == 7.5);
    gguf_free(g);
    writer_release(&w);
}

static void test_a_key_that_is_not_there_is_absent_without_a_reason(void **state)
{
    (void)state;
    struct writer w = {0};
    write_scalars(&w);
    struct gguf *g = read_written(&w);
    struct error err = {0};
    uint64_t integer = 77;
    double number;
    bool truth;
    struct span text;

    assert_int_equal(checkpoint_get_u64(&g->checkpoint, "u9", &integer, &err), CHECKPOINT_ABSENT);
    assert_int_equal(checkpoint_get_f64(&g->checkpoint, "", &number, &err), CHECKPOINT_ABSENT);
    assert_int_equal(checkpoint_get_bool(&g->checkpoint, "boo", &truth, &err), CHECKPOINT_ABSENT);
    assert_int_equal(checkpoint_get_text(&g->checkpoint, "text ", &text, &err), CHECKPOINT_ABSENT);
    assert_int_equal(integer, 77);
    assert_string_equal(err.text, "");
    gguf_free(g);
    writer_release(&w);
}

static void test_pairs_keep_the_order_and_the_places_of_the_file(void **state)
{
    (void)state;
    struct writer w = {0};
    write_scalars(&w);
    struct gguf *g = read_written(&w);

    assert_true(span_is(g->pairs[0].key, "u8"));
    assert_int_equal(g->pairs[0].offset, 24 + 8 + 2 + 4);
    assert_int_equal(g->pairs[0].count, 1);
    assert_true(span_is(g->pairs[11].key, "f64"));
    assert_int_equal(g->pairs[11].offset, w.size - 8);
    const struct checkpoint_value *text = checkpoint_find(&g->checkpoint, "text");
    assert_ptr_equal(text->bytes.at, w.at + text->offset + 8);
    assert_int_equal(text->kind, CHECKPOINT_STRING);
    assert_string_equal(text->type, "string");
    assert_int_equal(g->pairs[11].type, GGUF_F64);
    gguf_free(g);
    writer_release(&w);
}

static void test_an_array_of_strings_is_walked_in_order(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<s>", "", "b", "\xc4\xa0the"};
    struct writer w = {0};
    write_header(&w, 3, 0, 2);
    write_pair_array(&w, "tokens", GGUF_STRING, 4);
    for (size_t i = 0; i < 4; i++)
        write_text(&w, tokens[i]);
    write_pair_array(&w, "none", GGUF_STRING, 0);
    struct gguf *g = read_written(&w);
    const struct checkpoint_value *array = checkpoint_find(&g->checkpoint, "tokens");

    assert_true(checkpoint_is_array_of(array, CHECKPOINT_STRING));
    assert_int_equal(array->count, 4);
    size_t pos = 0;
    for (size_t i = 0; i < 4; i++)
        assert_true(span_is(checkpoint_next_string(array->bytes, &pos), tokens[i]));
    assert_int_equal(pos, array->bytes.size);
    assert_int_equal(checkpoint_next_string(array->bytes, &pos).size, 0);
    assert_int_equal(checkpoint_find(&g->checkpoint, "none")->count, 0);
    gguf_free(g);
    writer_release(&w);
}

/* The file may change after it was read: a length that has grown must not be followed. */
static void test_a_string_that_grew_after_reading_is_not_followed(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 1);
    write_pair_array(&w, "tokens", GGUF_STRING, 2);
    write_text(&w, "one");
    write_text(&w, "two");
    struct gguf *g = read_written(&w);
    const struct checkpoint_value *array = checkpoint_find(&g->checkpoint, "tokens");
    memset(w.at + (array->bytes.at - w.at), 0xff, 8);

    size_t pos = 0;
    assert_int_equal(checkpoint_next_string(array->bytes, &pos).size, 0);
    assert_int_equal(checkpoint_next_string(array->bytes, &pos).size, 0);
    assert_true(pos <= array->bytes.size);
    gguf_free(g);
    writer_release(&w);
}

static void test_an_array_of_every_item_type_spans_its_bytes(void **state)
{
    (void)state;
    static const size_t sizes[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    for (uint32_t item = 0; item < GGUF_TYPES; item++) {
        if (sizes[item] == 0)
            continue;
        struct writer w = {0};
        write_header(&w, 3, 0, 1);
        write_pair_array(&w, "x", item, 5);
        write_zeros(&w, 5 * sizes[item]);
        struct gguf *g = read_written(&w);

        assert_int_equal(g->pairs[0].count, 5);
        assert_int_equal(g->pairs[0].item, item);
        assert_int_equal(g->pairs[0].bytes.size, 5 * sizes[item]);
        assert_ptr_equal(g->pairs[0].bytes.at + g->pairs[0].bytes.size, w.at + w.size);
        gguf_free(g);
        writer_release(&w);
    }
}

static void test_types_have_the_names_of_the_format(void **state)
{
    (void)state;
    static const char *const names[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string",
        "array", "u64", "i64", "f64", "unknown"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_string_equal(gguf_type_name((enum gguf_type)i), names[i]);
}

static void test_many_keys_and_tensors_are_all_found_by_name(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    struct writer w = {0};
    write_header(&w, 3, MANY, MANY);
    char name[32];
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "k%u", i * 7919 % MANY);
        write_pair_u32(&w, name, i);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "t%u", i * 7919 % MANY);
        write_tensor(&w, name, DIMS(8), F32, 32 * (uint64_t)i);
    }
    write_padding(&w, 32);
    write_zeros(&w, 32 * MANY);
    struct gguf *g = read_written(&w);

    struct error err = {0};
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t value = 0;
        snprintf(name, sizeof(name), "k%u", i * 7919 % MANY);
        assert_int_equal(checkpoint_get_u64(&g->checkpoint, name, &value, &err), CHECKPOINT_GOT);
        assert_int_equal(value, i);
        name[0] = 't';
        assert_ptr_equal(checkpoint_tensor(&g->checkpoint, name), &g->checkpoint.tensors[i]);
    }
    gguf_free(g);
    writer_release(&w);
}

/* The time of the processor, not of the clock, and a limit far above what it takes: a reader that walks the
 * table once for every string would need minutes. */
static void test_a_large_vocabulary_is_read_in_one_walk(void **state)
{
    (void)state;
    enum { TOKENS = 150000 };
    struct writer w = {0};
    write_header(&w, 3, 0, 1);
    write_pair_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, TOKENS);
    for (int i = 0; i < TOKENS; i++)
        write_text(&w, "token");
    writer_done(&w);

    clock_t start = clock();
    struct gguf *g = read_written(&w);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 0.5);
    assert_int_equal(g->pairs[0].bytes.size, TOKENS * (8 + 5));
    gguf_free(g);
    writer_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_versions_are_read_as_they_were_written),
        cmocka_unit_test(test_a_tensor_has_name_shape_type_place_and_size),
        cmocka_unit_test(test_a_file_cut_at_any_byte_is_refused_with_a_reason),
        cmocka_unit_test(test_the_padding_after_the_last_tensor_may_be_missing),
        cmocka_unit_test(test_a_file_without_keys_or_tensors_is_valid),
        cmocka_unit_test(test_a_tensor_without_dimensions_is_one_element),
        cmocka_unit_test(test_every_allowed_alignment_places_the_tensors),
        cmocka_unit_test(test_a_key_and_a_name_may_be_as_long_as_the_format_allows),
        cmocka_unit_test(test_integers_of_every_width_are_got_as_one),
        cmocka_unit_test(test_floats_bools_and_texts_are_got_by_their_type),
        cmocka_unit_test(test_a_value_of_another_type_is_wrong_and_says_which),
        cmocka_unit_test(test_a_key_that_is_not_there_is_absent_without_a_reason),
        cmocka_unit_test(test_pairs_keep_the_order_and_the_places_of_the_file),
        cmocka_unit_test(test_an_array_of_strings_is_walked_in_order),
        cmocka_unit_test(test_a_string_that_grew_after_reading_is_not_followed),
        cmocka_unit_test(test_an_array_of_every_item_type_spans_its_bytes),
        cmocka_unit_test(test_types_have_the_names_of_the_format),
        cmocka_unit_test(test_many_keys_and_tensors_are_all_found_by_name),
        cmocka_unit_test(test_a_large_vocabulary_is_read_in_one_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
