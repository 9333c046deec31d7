/* test_gguf_model.c - the description of a GGUF model, and models that are split into several files. */
#include "berth/loaders/gguf.h"
#include "gguf_writer.h"
#include "scratch.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { F32 = TENSOR_F32, F16 = TENSOR_F16, Q4_0 = TENSOR_Q4_0, Q8_0 = TENSOR_Q8_0 };

static struct volume volume;

static int setup(void **state)
{
    struct error err = {0};
    scratch_setup(state);
    return volume_open(&volume, ".", &err) == VOLUME_OPEN ? 0 : -1;
}

static int teardown(void **state)
{
    volume_close(&volume);
    return scratch_teardown(state);
}

static void write_file(const char *name, struct writer *w)
{
    struct span bytes = writer_done(w);
    scratch_bytes(name, bytes.at, bytes.size);
    writer_release(w);
}

static void assert_opens(struct loaded *l, const char *name)
{
    struct error err = {0};
    if (!loaded_open(l, &volume, name, &err))
        fail_msg("%s: %s", name, err.text);
    assert_string_equal(l->info.format, "gguf");
    assert_non_null(l->checkpoint);
}

static void assert_refused(const char *name, const char *reason)
{
    struct loaded l;
    struct error err = {0};
    assert_false(loaded_open(&l, &volume, name, &err));
    if (!strstr(err.text, reason))
        fail_msg("%s was refused with \"%s\", not with \"%s\"", name, err.text, reason);
}

/* A model of one block, n_pairs further keys to be written by the caller before the tensors. */
static void write_model_head(struct writer *w, const char *arch, uint64_t n_pairs)
{
    write_header(w, 3, 3, n_pairs + 1);
    write_pair_text(w, "general.architecture", arch);
}

static void write_model_tensors(struct writer *w)
{
    write_tensor(w, "token_embd.weight", DIMS(32, 8), Q8_0, 0);
    write_tensor(w, "blk.0.attn_norm.weight", DIMS(4), F32, 288);
    write_tensor(w, "blk.0.ffn_up.weight", DIMS(32), F16, 320);
    write_padding(w, 32);
    write_zeros(w, 288 + 32 + 64);
}

static void test_a_model_is_described_from_its_keys_and_tensors(void **state)
{
    (void)state;
    struct writer w = {0};
    write_model_head(&w, "llama", 3);
    write_pair_text(&w, "general.name", "A small\nmodel");
    write_pair_u32(&w, "general.file_type", 15);
    write_pair_u32(&w, "llama.context_length", 8192);
    write_model_tensors(&w);
    write_file("m.gguf", &w);
    struct loaded l;
    assert_opens(&l, "m.gguf");

    assert_string_equal(l.info.format, "gguf");
    assert_string_equal(l.info.architecture, "llama");
    assert_string_equal(l.info.name, "A small\\x0amodel");
    assert_string_equal(l.info.quantization, "Q4_K_M");
    assert_string_equal(l.info.kind, "generate");
    assert_int_equal(l.info.parameters, 32 * 8 + 4 + 32);
    assert_int_equal(l.info.context, 8192);
    assert_int_equal(l.gguf->n_files, 1);
    loaded_close(&l);
}

static void test_without_a_known_file_type_the_heaviest_type_names_the_quantization(void **state)
{
    (void)state;
    for (int given = 0; given < 2; given++) {
        struct writer w = {0};
        write_model_head(&w, "llama", (uint64_t)given);
        if (given)
            write_pair_u32(&w, "general.file_type", 1024);
        write_model_tensors(&w);
        write_file("m.gguf", &w);
        struct loaded l;
        assert_opens(&l, "m.gguf");
        assert_string_equal(l.info.quantization, "Q8_0");
        loaded_close(&l);
    }
}

static void test_a_vocabulary_is_a_model_that_can_do_nothing(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 2);
    write_pair_text(&w, "general.architecture", "llama");
    write_pair_u32(&w, "general.file_type", 1);
    write_file("vocab.gguf", &w);
    struct loaded l;
    assert_opens(&l, "vocab.gguf");

    assert_string_equal(l.info.kind, "");
    assert_string_equal(l.info.quantization, "");
    assert_int_equal(l.info.parameters, 0);
    loaded_close(&l);
}

static void test_the_kind_follows_architecture_pooling_and_tensors(void **state)
{
    static const struct {
        const char *arch, *kind;
        uint32_t pooling; /* 9: no such key */
    } cases[] = {{"llama", "generate", 9}, {"llama", "generate", 0}, {"qwen3", "embed", 3},
        {"bert", "embed", 9}, {"bert", "embed", 2}, {"bert", "", 4}, {"nomic-bert", "embed", 1},
        {"t5", "", 9}, {"clip", "", 9}, {"never-heard-of", "generate", 9}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct writer w = {0};
        char key[64];
        snprintf(key, sizeof(key), "%s.pooling_type", cases[i].arch);
        write_model_head(&w, cases[i].arch, cases[i].pooling != 9);
        if (cases[i].pooling != 9)
            write_pair_u32(&w, key, cases[i].pooling);
        write_model_tensors(&w);
        write_file("m.gguf", &w);
        struct loaded l;
        assert_opens(&l, "m.gguf");
        assert_string_equal(l.info.kind, cases[i].kind);
        loaded_close(&l);
    }
}

static void test_without_blocks_or_an_embedding_of_tokens_there_is_no_kind(void **state)
{
    (void)state;
    static const char *const names[] = {"token_embd.weight", "blk.0.ffn_up.weight"};
    for (size_t i = 0; i < 2; i++) {
        struct writer w = {0};
        write_header(&w, 3, 1, 1);
        write_pair_text(&w, "general.architecture", "llama");
        write_tensor(&w, names[i], DIMS(8), F32, 0);
        write_padding(&w, 32);
        write_zeros(&w, 32);
        write_file("m.gguf", &w);
        struct loaded l;
        assert_opens(&l, "m.gguf");
        assert_string_equal(l.info.kind, "");
        loaded_close(&l);
    }
}

static void test_a_describing_key_of_the_wrong_type_is_refused_by_name(void **state)
{
    static const struct {
        const char *key, *reason;
        bool text;
    } cases[] = {{"general.name", "key \"general.name\" at byte", false},
        {"general.file_type", "key \"general.file_type\" at byte", true},
        {"llama.context_length", "key \"llama.context_length\" at byte", true},
        {"llama.pooling_type", "key \"llama.pooling_type\" at byte", true},
        {"split.count", "key \"split.count\" at byte", true}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct writer w = {0};
        write_model_head(&w, "llama", 1);
        if (cases[i].text)
            write_pair_text(&w, cases[i].key, "7");
        else
            write_pair_u32(&w, cases[i].key, 7);
        write_model_tensors(&w);
        write_file("m.gguf", &w);
        assert_refused("m.gguf", cases[i].reason);
    }
}

static void test_an_architecture_that_is_no_text_is_refused(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 1);
    write_pair_u32(&w, "general.architecture", 7);
    write_file("m.gguf", &w);
    assert_refused("m.gguf", "key \"general.architecture\" at byte 56 has type u32; string is needed");
}

static void test_a_model_is_known_by_content_whatever_its_name(void **state)
{
    (void)state;
    struct writer w = {0};
    write_model_head(&w, "llama", 0);
    write_model_tensors(&w);
    write_file("model.bin", &w);
    struct loaded l;
    assert_opens(&l, "model.bin");
    loaded_close(&l);
}

/* --- Split models --- */

struct part {
    unsigned no, count; /* as in the keys */
    const char *tensor;
    int64_t tensors; /* split.tensors.count; -1 leaves it out */
};

static void write_part(const char *name, struct part p)
{
    struct writer w = {0};
    write_header(&w, 3, 1, 2u + (p.tensors >= 0) + (p.no == 0));
    if (p.no == 0)
        write_pair_text(&w, "general.architecture", "llama");
    write_pair_integer(&w, "split.no", GGUF_U16, p.no);
    write_pair_integer(&w, "split.count", GGUF_U16, p.count);
    if (p.tensors >= 0)
        write_pair_integer(&w, "split.tensors.count", GGUF_I32, (uint64_t)p.tensors);
    write_tensor(&w, p.tensor, DIMS(8), F32, 0);
    write_padding(&w, 32);
    write_zeros(&w, 32);
    write_file(name, &w);
}

static void write_three_parts(void)
{
    write_part("m-00001-of-00003.gguf", (struct part){0, 3, "token_embd.weight", 3});
    write_part("m-00002-of-00003.gguf", (struct part){1, 3, "blk.0.ffn_up.weight", 3});
    write_part("m-00003-of-00003.gguf", (struct part){2, 3, "blk.1.ffn_up.weight", 3});
}

static void test_a_split_model_is_one_model_of_all_its_parts(void **state)
{
    (void)state;
    write_three_parts();
    struct loaded l;
    assert_opens(&l, "m-00001-of-00003.gguf");
    const struct gguf_model *m = l.gguf;

    assert_int_equal(m->n_files, 3);
    assert_int_equal(l.n_maps, 3);
    assert_int_equal(l.info.parameters, 24);
    assert_string_equal(l.info.architecture, "llama");
    assert_string_equal(l.info.kind, "generate");
    assert_non_null(checkpoint_tensor(&m->files[2]->checkpoint, "blk.1.ffn_up.weight"));
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(m->files[i]->checkpoint.tensors[0].data + 32,
            mapping_bytes(l.maps[i]).at + mapping_bytes(l.maps[i]).size);
    loaded_close(&l);
}

static void test_the_count_of_all_tensors_may_be_left_unsaid(void **state)
{
    (void)state;
    write_part("m-00001-of-00002.gguf", (struct part){0, 2, "a", -1});
    write_part("m-00002-of-00002.gguf", (struct part){1, 2, "b", -1});
    struct loaded l;
    assert_opens(&l, "m-00001-of-00002.gguf");
    loaded_close(&l);
}

static void test_a_model_that_was_merged_again_is_one_file(void **state)
{
    (void)state;
    write_part("merged.gguf", (struct part){0, 0, "a", 1});
    write_part("alone-00001-of-00001.gguf", (struct part){0, 1, "a", 1});
    struct loaded l;
    assert_opens(&l, "merged.gguf");
    assert_int_equal(l.n_maps, 1);
    loaded_close(&l);
    assert_opens(&l, "alone-00001-of-00001.gguf");
    assert_int_equal(l.n_maps, 1);
    loaded_close(&l);
}

static void test_a_missing_part_is_named(void **state)
{
    (void)state;
    write_part("m-00001-of-00003.gguf", (struct part){0, 3, "a", 3});
    write_part("m-00003-of-00003.gguf", (struct part){2, 3, "c", 3});
    assert_refused("m-00001-of-00003.gguf", "m-00002-of-00003.gguf: is not there");
}

static void test_a_bad_part_is_named_with_its_reason(void **state)
{
    (void)state;
    write_three_parts();
    scratch_bytes("m-00002-of-00003.gguf", "GGUF\3\0\0\0", 8);
    assert_refused("m-00001-of-00003.gguf", "m-00002-of-00003.gguf: the number of tensors at byte 8 takes");
    write_three_parts();
    write_part("m-00003-of-00003.gguf", (struct part){1, 3, "c", 3});
    assert_refused("m-00001-of-00003.gguf", "m-00003-of-00003.gguf: key \"split.no\" is 1; 2 is needed");
    write_part("m-00003-of-00003.gguf", (struct part){2, 4, "c", 3});
    assert_refused("m-00001-of-00003.gguf", "m-00003-of-00003.gguf: key \"split.count\" is 4; 3 is needed");
    struct writer w = {0};
    write_header(&w, 3, 0, 0);
    write_file("m-00003-of-00003.gguf", &w);
    assert_refused("m-00001-of-00003.gguf", "m-00003-of-00003.gguf: has no key \"split.no\"");
}

static void test_parts_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    write_three_parts();
    write_part("m-00003-of-00003.gguf", (struct part){2, 3, "blk.0.ffn_up.weight", 3});
    assert_refused(
        "m-00001-of-00003.gguf", "the parts together: tensor \"blk.0.ffn_up.weight\" appears twice");
    write_part("m-00001-of-00003.gguf", (struct part){0, 3, "token_embd.weight", 4});
    write_part("m-00003-of-00003.gguf", (struct part){2, 3, "c", 3});
    assert_refused("m-00001-of-00003.gguf", "is 4, but the 3 parts hold 3 tensors");
}

static void test_a_part_whose_name_and_keys_disagree_is_refused(void **state)
{
    (void)state;
    write_three_parts();
    assert_refused("m-00002-of-00003.gguf", "is part 2 of 3; open the first part");
    write_part("m-00001-of-00004.gguf", (struct part){0, 3, "a", 3});
    assert_refused("m-00001-of-00004.gguf", "key \"split.count\" is 3, but the file's name says 4 parts");
    write_part("m-00001-of-00005.gguf", (struct part){1, 5, "a", 3});
    assert_refused("m-00001-of-00005.gguf", "key \"split.no\" is 1; 0 is needed");
    write_part("m.gguf", (struct part){0, 3, "a", 3});
    assert_refused("m.gguf", "NAME-00001-of-00003.gguf");
}

#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILES(test_a_model_is_described_from_its_keys_and_tensors),
        ON_FILES(test_without_a_known_file_type_the_heaviest_type_names_the_quantization),
        ON_FILES(test_a_vocabulary_is_a_model_that_can_do_nothing),
        ON_FILES(test_the_kind_follows_architecture_pooling_and_tensors),
        ON_FILES(test_without_blocks_or_an_embedding_of_tokens_there_is_no_kind),
        ON_FILES(test_a_describing_key_of_the_wrong_type_is_refused_by_name),
        ON_FILES(test_an_architecture_that_is_no_text_is_refused),
        ON_FILES(test_a_model_is_known_by_content_whatever_its_name),
        ON_FILES(test_a_split_model_is_one_model_of_all_its_parts),
        ON_FILES(test_the_count_of_all_tensors_may_be_left_unsaid),
        ON_FILES(test_a_model_that_was_merged_again_is_one_file),
        ON_FILES(test_a_missing_part_is_named),
        ON_FILES(test_a_bad_part_is_named_with_its_reason),
        ON_FILES(test_parts_that_contradict_each_other_are_refused),
        ON_FILES(test_a_part_whose_name_and_keys_disagree_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
