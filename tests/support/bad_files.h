/* bad_files.h - one file for every way in which a GGUF file can be wrong, and the reason with which it is refused.
 *
 * A row of the table at the end has a function that writes the file, and words of the reason. The valid file, from which
 * the rows differ, comes first. Include it after cmocka.h.
 */
#ifndef BERTH_TESTS_BAD_FILES_H
#define BERTH_TESTS_BAD_FILES_H

#include "gguf_writer.h"

enum { F32 = TENSOR_F32, F16 = TENSOR_F16, Q4_0 = TENSOR_Q4_0, Q4_K = TENSOR_Q4_K };

#define HUGE_COUNT ((uint64_t)1 << 63)

struct bad_file {
    const char *name;
    void (*write)(struct writer *w);
    const char *reason;
};

/* --- The valid file --- */

static void write_right(struct writer *w)
{
    write_header(w, 3, 2, 1);
    write_pair_text(w, "general.architecture", "llama");
    write_tensor(w, "a", DIMS(32, 2), Q4_0, 0);
    write_tensor(w, "b", DIMS(4), F32, 64);
    write_padding(w, 32);
    write_zeros(w, 64 + 16);
}

/* A file of one key, which the caller writes, and no tensors. */
static void write_one_pair(struct writer *w)
{
    write_header(w, 3, 0, 1);
}

/* A file of one tensor with enough bytes behind it. */
static void write_one_tensor(
    struct writer *w, const char *name, const uint64_t dims[], uint32_t type, uint64_t offset)
{
    write_header(w, 3, 1, 0);
    write_tensor(w, name, dims, type, offset);
    write_padding(w, 32);
    write_zeros(w, 4096);
}

/* --- Headers --- */

static void write_one_byte(struct writer *w)
{
    write_bytes(w, "G", 1);
}

static void write_seven_bytes(struct writer *w)
{
    write_bytes(w, "GGUF\3\0\0", 7);
}

static void write_bad_magic(struct writer *w)
{
    write_right(w);
    w->at[3] = 'X';
}

static void write_version(struct writer *w, uint32_t version)
{
    write_header(w, version, 2, 1);
    size_t header = w->size;
    struct writer right = {0};
    write_right(&right);
    write_bytes(w, right.at + header, right.size - header);
    writer_release(&right);
}

static void write_version_0(struct writer *w)
{
    write_version(w, 0);
}

static void write_version_1(struct writer *w)
{
    write_version(w, 1);
}

static void write_version_4(struct writer *w)
{
    write_version(w, 4);
}

static void write_big_endian(struct writer *w)
{
    write_version(w, 0x03000000);
}

static void write_tensors_beyond_the_file(struct writer *w)
{
    write_header(w, 3, 1000, 0);
    write_zeros(w, 1000);
}

static void write_tensors_huge(struct writer *w)
{
    write_header(w, 3, HUGE_COUNT, 0);
}

static void write_tensors_all_ones(struct writer *w)
{
    write_header(w, 3, UINT64_MAX, 0);
}

static void write_tensors_above_the_limit(struct writer *w)
{
    write_header(w, 3, 262145, 0);
    write_zeros(w, 262145 * 25);
}

static void write_pairs_huge(struct writer *w)
{
    write_header(w, 3, 0, HUGE_COUNT);
}

static void write_pairs_above_the_limit(struct writer *w)
{
    write_header(w, 3, 0, 65537);
    write_zeros(w, 65537 * 14);
}

/* --- Keys --- */

static void write_key_empty(struct writer *w)
{
    write_one_pair(w);
    write_pair_u32(w, "", 7);
}

static void write_key_too_long(struct writer *w)
{
    write_one_pair(w);
    write_u64(w, 65536);
    write_zeros(w, 65536 + 8);
}

static void write_key_huge(struct writer *w)
{
    write_one_pair(w);
    write_u64(w, HUGE_COUNT);
    write_zeros(w, 64);
}

static void write_key_beyond_the_file(struct writer *w)
{
    write_one_pair(w);
    write_u64(w, 100);
    write_zeros(w, 64);
}

static void write_key_twice(struct writer *w)
{
    write_header(w, 3, 0, 3);
    write_pair_u32(w, "twice", 7);
    write_pair_u32(w, "other", 7);
    write_pair_u32(w, "twice", 8);
}

/* --- Values --- */

static void write_value_type_unknown(struct writer *w)
{
    write_one_pair(w);
    write_key(w, "k", 13);
    write_u64(w, 0);
}

static void write_bool_two(struct writer *w)
{
    write_one_pair(w);
    write_pair_integer(w, "k", GGUF_BOOL, 2);
}

static void write_bool_in_array(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_BOOL, 3);
    write_bytes(w, "\1\0\xff", 3);
}

static void write_string_huge(struct writer *w)
{
    write_one_pair(w);
    write_key(w, "k", GGUF_STRING);
    write_u64(w, UINT64_MAX);
    write_zeros(w, 16);
}

static void write_string_one_too_long(struct writer *w)
{
    write_one_pair(w);
    write_key(w, "k", GGUF_STRING);
    write_u64(w, 17);
    write_zeros(w, 16);
}

static void write_hostile_key(struct writer *w)
{
    write_one_pair(w);
    write_key(w, "\x1b[2J\xff\n", 99);
    write_u64(w, 0);
}

/* --- Arrays --- */

static void write_array_of_arrays(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_ARRAY, 1);
    write_u32(w, GGUF_U8);
    write_u64(w, 1);
    write_zeros(w, 1);
}

static void write_array_type_unknown(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", 13, 1);
    write_zeros(w, 8);
}

static void write_array_count_huge(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_U64, HUGE_COUNT / 4);
    write_zeros(w, 64);
}

static void write_array_count_wraps(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_U32, ((uint64_t)1 << 62) + 1);
    write_zeros(w, 64);
}

static void write_array_one_too_many(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_U32, 5);
    write_zeros(w, 4 * 4 + 3);
}

static void write_array_above_the_limit(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_U8, ((uint64_t)1 << 24) + 1);
    uint8_t *zeros = calloc(1, ((size_t)1 << 24) + 1);
    assert_non_null(zeros);
    write_bytes(w, zeros, ((size_t)1 << 24) + 1);
    free(zeros);
}

static void write_strings_too_many(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_STRING, 3);
    write_text(w, "a");
    write_text(w, "b");
    write_zeros(w, 7);
}

static void write_strings_one_too_long(struct writer *w)
{
    write_one_pair(w);
    write_pair_array(w, "k", GGUF_STRING, 2);
    write_text(w, "a");
    write_u64(w, 1000);
    write_zeros(w, 10);
}

/* --- Alignment --- */

static void write_alignment(struct writer *w, uint32_t alignment)
{
    write_one_pair(w);
    write_pair_u32(w, "general.alignment", alignment);
}

static void write_alignment_0(struct writer *w)
{
    write_alignment(w, 0);
}

static void write_alignment_3(struct writer *w)
{
    write_alignment(w, 3);
}

static void write_alignment_4(struct writer *w)
{
    write_alignment(w, 4);
}

static void write_alignment_48(struct writer *w)
{
    write_alignment(w, 48);
}

static void write_alignment_131072(struct writer *w)
{
    write_alignment(w, 131072);
}

static void write_alignment_huge(struct writer *w)
{
    write_alignment(w, (uint32_t)1 << 31);
}

static void write_alignment_u64(struct writer *w)
{
    write_one_pair(w);
    write_pair_integer(w, "general.alignment", GGUF_U64, 32);
}

static void write_alignment_text(struct writer *w)
{
    write_one_pair(w);
    write_pair_text(w, "general.alignment", "32");
}

/* --- Tensors --- */

static void write_name_too_long(struct writer *w)
{
    write_one_tensor(w, "0123456789012345678901234567890123456789012345678901234567890123", DIMS(4), F32, 0);
}

static void write_name_empty(struct writer *w)
{
    write_one_tensor(w, "", DIMS(4), F32, 0);
}

static void write_name_huge(struct writer *w)
{
    write_header(w, 3, 1, 0);
    write_u64(w, UINT64_MAX - 7);
    write_zeros(w, 64);
}

static void write_name_twice(struct writer *w)
{
    write_header(w, 3, 3, 0);
    write_tensor(w, "twice", DIMS(8), F32, 0);
    write_tensor(w, "other", DIMS(8), F32, 32);
    write_tensor(w, "twice", DIMS(8), F32, 64);
    write_padding(w, 32);
    write_zeros(w, 96);
}

static void write_rank_5(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(1, 1, 1, 1, 1), F32, 0);
}

static void write_rank_huge(struct writer *w)
{
    write_header(w, 3, 1, 0);
    write_text(w, "t");
    write_u32(w, UINT32_MAX);
    write_zeros(w, 64);
}

static void write_dimension_0(struct writer *w)
{
    write_header(w, 3, 1, 0);
    write_text(w, "t");
    write_u32(w, 2);
    write_u64(w, 4);
    write_u64(w, 0);
    write_zeros(w, 64);
}

static void write_elements_overflow(struct writer *w)
{
    write_one_tensor(w, "t", DIMS((uint64_t)1 << 32, (uint64_t)1 << 32), F32, 0);
}

/* 2^64 + 4 elements: the product overflows to a small number. */
static void write_elements_wrap(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(4, (HUGE_COUNT / 2) + 1), F32, 0);
}

static void write_bytes_overflow(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(HUGE_COUNT), F32, 0);
}

static void write_type_unknown(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(256), 43, 0);
}

static void write_type_huge(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(256), UINT32_MAX, 0);
}

static void write_type_removed(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(256), 31, 0);
}

static void write_type_long_removed(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(256), 4, 0);
}

static void write_half_a_block(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(48, 2), Q4_0, 0);
}

static void write_row_shorter_than_a_block(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(32, 8), Q4_K, 0);
}

static void write_offset_unaligned(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(4), F32, 4);
}

static void write_offset_gap(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(4), F32, 32);
}

static void write_offset_huge(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(4), F32, UINT64_MAX - 31);
}

static void write_overlap(struct writer *w)
{
    write_header(w, 3, 2, 0);
    write_tensor(w, "a", DIMS(16), F32, 0);
    write_tensor(w, "b", DIMS(16), F32, 32);
    write_padding(w, 32);
    write_zeros(w, 128);
}

/* 4,096 elements take 1,088 bytes in blocks of 128 and 34 bytes, and 1,152 in those of 64 and 18. */
static void write_older_q2_0(struct writer *w)
{
    write_header(w, 3, 2, 0);
    write_tensor(w, "a", DIMS(256, 16), TENSOR_Q2_0, 0);
    write_tensor(w, "b", DIMS(8), F32, 1088);
    write_padding(w, 32);
    write_zeros(w, 1088 + 32);
}

static void write_last_older_q2_0(struct writer *w)
{
    write_header(w, 3, 2, 0);
    write_tensor(w, "a", DIMS(8), F32, 0);
    write_tensor(w, "b", DIMS(256, 16), TENSOR_Q2_0, 32);
    write_padding(w, 32);
    write_zeros(w, 32 + 1088);
}

static void write_overlap_of_q2_0(struct writer *w)
{
    write_header(w, 3, 2, 0);
    write_tensor(w, "a", DIMS(256, 16), TENSOR_Q2_0, 0);
    write_tensor(w, "b", DIMS(8), F32, 1056);
    write_padding(w, 32);
    write_zeros(w, 1152 + 32);
}

static void write_out_of_order(struct writer *w)
{
    write_header(w, 3, 2, 0);
    write_tensor(w, "a", DIMS(8), F32, 32);
    write_tensor(w, "b", DIMS(8), F32, 0);
    write_padding(w, 32);
    write_zeros(w, 64);
}

static void write_beyond_the_file(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(1025), F32, 0);
}

static void write_far_beyond_the_file(struct writer *w)
{
    write_one_tensor(w, "t", DIMS(HUGE_COUNT / 4), F32, 0);
}

static void write_no_data_at_all(struct writer *w)
{
    write_header(w, 3, 1, 0);
    write_tensor(w, "t", DIMS(4), F32, 0);
}

static const struct bad_file bad_files[] = {
    {"seven bytes", write_seven_bytes, "the version at byte 4 takes 4 bytes, but only 3 are left"},
    {"version 0", write_version_0, "the GGUF version at byte 4 is 0; berth reads versions 2 and 3"},
    {"version 1", write_version_1, "the GGUF version at byte 4 is 1; berth reads versions 2 and 3"},
    {"version 4", write_version_4, "the GGUF version at byte 4 is 4; berth reads versions 2 and 3"},
    {"big-endian", write_big_endian, "the file is big-endian (its version at byte 4 reads 50331648)"},
    {"tensors beyond", write_tensors_beyond_the_file, "the number of tensors at byte 8 is 1000, which takes"},
    {"tensors huge", write_tensors_huge,
        "the number of tensors at byte 8 is 9223372036854775808, which takes"},
    {"tensors ones", write_tensors_all_ones,
        "the number of tensors at byte 8 is 18446744073709551615, which"},
    {"tensors limit", write_tensors_above_the_limit,
        "number of tensors at byte 8 is 262145; 262144 is the most"},
    {"pairs huge", write_pairs_huge, "the number of keys at byte 16 is 9223372036854775808, which takes"},
    {"pairs limit", write_pairs_above_the_limit, "the number of keys at byte 16 is 65537; 65536 is the most"},
    {"key empty", write_key_empty, "the key at byte 24 is 0 bytes long; 1 to 65535 are allowed"},
    {"key long", write_key_too_long, "the key at byte 24 is 65536 bytes long; 1 to 65535 are allowed"},
    {"key huge", write_key_huge, "the key at byte 24 is 9223372036854775808 bytes long"},
    {"key beyond", write_key_beyond_the_file, "a key at byte 32 takes 100 bytes, but only 64 are left"},
    {"key twice", write_key_twice, "key \"twice\" appears twice, with values at bytes 41 and 83"},
    {"value type", write_value_type_unknown, "key \"k\": the type of the value at byte 33 is 13"},
    {"bool", write_bool_two, "key \"k\": the bool at byte 37 is 2, neither 0 nor 1"},
    {"bool in array", write_bool_in_array, "key \"k\": the bool at byte 51 is 255, neither 0 nor 1"},
    {"string huge", write_string_huge, "key \"k\": the value at byte 45 takes 18446744073709551615 bytes"},
    {"string long", write_string_one_too_long,
        "key \"k\": the value at byte 45 takes 17 bytes, but only 16 are"},
    {"hostile key", write_hostile_key, "key \"\\x1b[2J\\xff\\x0a\": the type of the value at byte 38 is 99"},
    {"nested array", write_array_of_arrays, "key \"k\": the array at byte 37 holds arrays"},
    {"array type", write_array_type_unknown, "key \"k\": the type of the array's items at byte 37 is 13"},
    {"array huge", write_array_count_huge,
        "key \"k\": the number of items at byte 41 is 2305843009213693952"},
    {"array wraps", write_array_count_wraps,
        "key \"k\": the number of items at byte 41 is 4611686018427387905"},
    {"array beyond", write_array_one_too_many,
        "items at byte 41 is 5, which takes at least 4 bytes each, but"},
    {"array limit", write_array_above_the_limit,
        "the array at byte 37 has 16777217 items; 16777216 is the most"},
    {"strings many", write_strings_too_many,
        "key \"k\": the length of a string at byte 67 takes 8 bytes, but"},
    {"strings long", write_strings_one_too_long,
        "key \"k\": a string at byte 66 takes 1000 bytes, but only 10"},
    {"alignment 0", write_alignment_0, "key \"general.alignment\" at byte 53 is 0; a power of two from 8"},
    {"alignment 3", write_alignment_3, "key \"general.alignment\" at byte 53 is 3; a power of two from 8"},
    {"alignment 4", write_alignment_4, "key \"general.alignment\" at byte 53 is 4; a power of two from 8"},
    {"alignment 48", write_alignment_48, "key \"general.alignment\" at byte 53 is 48; a power of two from 8"},
    {"alignment 2^17", write_alignment_131072, "\"general.alignment\" at byte 53 is 131072; a power of two"},
    {"alignment 2^31", write_alignment_huge,
        "\"general.alignment\" at byte 53 is 2147483648; a power of two"},
    {"alignment u64", write_alignment_u64, "\"general.alignment\" at byte 53 has type u64; u32 is needed"},
    {"alignment text", write_alignment_text,
        "\"general.alignment\" at byte 53 has type string; u32 is needed"},
    {"name long", write_name_too_long, "the tensor's name at byte 24 is 64 bytes long; 1 to 63 are allowed"},
    {"name empty", write_name_empty, "the tensor's name at byte 24 is 0 bytes long; 1 to 63 are allowed"},
    {"name huge", write_name_huge, "the tensor's name at byte 24 is 18446744073709551608 bytes long"},
    {"name twice", write_name_twice, "tensor \"twice\" appears twice, as number 1 and 3 of the table"},
    {"rank 5", write_rank_5, "tensor \"t\": the number of dimensions at byte 33 is 5; 4 is the most"},
    {"rank huge", write_rank_huge, "tensor \"t\": the number of dimensions at byte 33 is 4294967295"},
    {"dimension 0", write_dimension_0, "tensor \"t\": dimension 1 at byte 45 is 0"},
    {"elements", write_elements_overflow,
        "tensor \"t\": the dimensions up to byte 53 multiply to more elements"},
    {"elements wrap", write_elements_wrap, "tensor \"t\": the dimensions up to byte 53 multiply to more"},
    {"bytes", write_bytes_overflow,
        "tensor \"t\": its 9223372036854775808 elements of type F32 take more bytes"},
    {"type", write_type_unknown, "tensor \"t\": its type 43 at byte 45 is unknown to berth"},
    {"type huge", write_type_huge, "tensor \"t\": its type 4294967295 at byte 45 is unknown to berth"},
    {"type removed", write_type_removed, "tensor \"t\": its type 31 at byte 45 was removed from GGUF"},
    {"type long removed", write_type_long_removed,
        "tensor \"t\": its type 4 at byte 45 was removed from GGUF"},
    {"half a block", write_half_a_block,
        "tensor \"t\": its rows of 48 elements do not fill blocks of 32 (type Q4_0)"},
    {"short row", write_row_shorter_than_a_block,
        "its rows of 32 elements do not fill blocks of 256 (type Q4_K)"},
    {"unaligned", write_offset_unaligned,
        "tensor \"t\" has offset 4, which is no multiple of the alignment 32"},
    {"gap", write_offset_gap, "tensor \"t\" has offset 32 and would leave a gap: 0 is needed"},
    {"offset huge", write_offset_huge, "tensor \"t\" has offset 18446744073709551584 and would leave a gap"},
    {"overlap", write_overlap, "tensor \"b\" has offset 32 and would overlap the one before: 64 is needed"},
    {"older q2_0", write_older_q2_0,
        "tensor \"a\" has an older form of type Q2_0, with blocks of 128 elements, which is not supported"},
    {"older q2_0 at the end", write_last_older_q2_0,
        "tensor \"b\" has an older form of type Q2_0, with blocks of 128 elements, which is not supported"},
    {"overlap of q2_0", write_overlap_of_q2_0,
        "tensor \"b\" has offset 1056 and would overlap the one before"},
    {"out of order", write_out_of_order, "tensor \"a\" has offset 32 and would leave a gap: 0 is needed"},
    {"beyond", write_beyond_the_file, "tensor \"t\" takes 4100 bytes at byte 64, but the file ends at 4160"},
    {"far beyond", write_far_beyond_the_file,
        "tensor \"t\" takes 9223372036854775808 bytes at byte 64, but the"},
    {"no data", write_no_data_at_all, "tensor \"t\" takes 16 bytes at byte 64, but the file ends at 57"},
};

#endif
