/* test_quant.c - the values of blocks, compared with the reference's.
 *
 * The vectors in tests/vectors/quant are the reference's; its README says how they were made. Blocks and results end right
 * before a page that must not be accessed.
 */
#include "berth/kernels/quant.h"

#include "berth/base/tensor.h"

#include <stdarg.h>
#include <setjmp.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER "tests/vectors/quant/"

/* `size` bytes that end at the end of a page. An access to the next page ends the program. */
struct edge {
    void *map;
    size_t mapped;
    uint8_t *at;
};

static struct edge edge_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct edge e = {.mapped = (size + page - 1) / page * page + page};
    e.map = mmap(NULL, e.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(e.map != MAP_FAILED);
    assert_return_code(mprotect((char *)e.map + e.mapped - page, page, PROT_NONE), 0);
    e.at = (uint8_t *)e.map + e.mapped - page - size;
    return e;
}

static void edge_free(struct edge e)
{
    assert_return_code(munmap(e.map, e.mapped), 0);
}

/* A whole file, at an edge. */
static struct edge read_file(const char *type, const char *what, size_t *size)
{
    char path[128];
    snprintf(path, sizeof(path), FOLDER "%s.%s", type, what);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is not there; start the test in the project's folder", path);
    assert_return_code(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    struct edge e = edge_new(*size);
    assert_int_equal(fread(e.at, 1, *size, file), *size);
    fclose(file);
    return e;
}

/* A float's bits; those of all NaNs are one. */
static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits;
}

static void compare(const struct tensor_type *t, const float *got, const uint8_t *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t want;
        memcpy(&want, wanted + i * sizeof(want), sizeof(want));
        if (bits_of(got[i]) != want)
            fail_msg("%s, block %zu, element %zu: %08" PRIx32 " (%g), but the reference has %08" PRIx32,
                t->name, i / t->block_elems, i % t->block_elems, bits_of(got[i]), (double)got[i], want);
    }
}

static void test_every_type_of_tensor_can_be_read_and_has_its_size(void **state)
{
    (void)state;
    size_t found = 0;
    for (uint32_t id = 0; id < 1000; id++) {
        const struct tensor_type *t = tensor_type_find(id);
        const struct quant *q = quant_find(id);
        if (!t) {
            assert_null(q);
            continue;
        }
        assert_non_null(q);
        assert_int_equal(q->id, id);
        assert_int_equal(q->block_elems, t->block_elems);
        assert_int_equal(q->block_bytes, t->block_bytes);
        assert_true((q->block != NULL) != (q->row != NULL));
        found++;
    }
    assert_int_equal(found, 35);
    assert_null(quant_find(UINT32_MAX));
}

static void check_chosen_blocks(const struct tensor_type *t)
{
    size_t n_bytes, n_wanted;
    struct edge blocks = read_file(t->name, "blocks", &n_bytes);
    struct edge wanted = read_file(t->name, "values", &n_wanted);
    size_t n = n_bytes / t->block_bytes, elems = n * t->block_elems;
    assert_int_equal(n_bytes, n * t->block_bytes);
    assert_int_equal(n_wanted, elems * sizeof(float));
    assert_true(n >= 10);

    /* A row that ends at the edge, of every length down to none. */
    for (size_t skip = 0; skip <= n; skip++) {
        size_t left = elems - skip * t->block_elems;
        struct edge out = edge_new(left * sizeof(float));
        quant_to_floats(
            quant_find(t->id), (float *)(void *)out.at, blocks.at + skip * t->block_bytes, n - skip);
        compare(t, (const float *)(const void *)out.at, wanted.at + (elems - left) * sizeof(float), left);
        edge_free(out);
    }
    edge_free(blocks);
    edge_free(wanted);
}

static void test_values_are_the_references_to_the_bit_up_to_a_page_that_is_not_there(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++)
        if (tensor_type_find(id))
            check_chosen_blocks(tensor_type_find(id));
}

static void test_blocks_may_lie_at_any_address(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++) {
        const struct tensor_type *t = tensor_type_find(id);
        if (!t)
            continue;
        size_t n_bytes, n_wanted;
        struct edge blocks = read_file(t->name, "blocks", &n_bytes);
        struct edge wanted = read_file(t->name, "values", &n_wanted);
        uint8_t *room = malloc(n_bytes + 8);
        float *out = malloc(n_wanted);
        assert_true(room && out);
        for (size_t shift = 0; shift < 8; shift++) {
            memcpy(room + shift, blocks.at, n_bytes);
            memset(out, 0x88, n_wanted);
            quant_to_floats(quant_find(id), out, room + shift, n_bytes / t->block_bytes);
            compare(t, out, wanted.at, n_wanted / sizeof(float));
        }
        free(room);
        free(out);
        edge_free(blocks);
        edge_free(wanted);
    }
}

static uint64_t mix(uint64_t n)
{
    uint64_t z = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The blocks and the digest are made as the README beside the vectors has it. */
static uint64_t digest(const struct tensor_type *t, size_t n)
{
    struct edge blocks = edge_new(n * t->block_bytes);
    for (size_t i = 0; i < n * t->block_bytes; i++)
        blocks.at[i] = (uint8_t)(mix(((uint64_t)(1000 + t->id) << 32) + i / 8) >> (i % 8 * 8));
    float *out = malloc(n * t->block_elems * sizeof(*out));
    assert_non_null(out);
    quant_to_floats(quant_find(t->id), out, blocks.at, n);

    uint64_t sum = 0;
    for (size_t i = 0; i < n * t->block_elems; i++)
        sum += mix(i) * bits_of(out[i]);
    free(out);
    edge_free(blocks);
    return sum;
}

static const struct tensor_type *type_named(const char *name)
{
    for (uint32_t id = 0; id < TENSOR_TYPE_IDS; id++)
        if (tensor_type_find(id) && strcmp(tensor_type_find(id)->name, name) == 0)
            return tensor_type_find(id);
    fail_msg("no type %s", name);
    return NULL;
}

static void test_a_quarter_of_a_million_random_elements_of_each_type_are_the_references(void **state)
{
    (void)state;
    FILE *file = fopen(FOLDER "digests", "r");
    assert_non_null(file);
    char line[128], name[16];
    size_t checked = 0;
    while (fgets(line, sizeof(line), file)) {
        size_t n;
        uint64_t wanted;
        if (sscanf(line, "%15s %zu %" SCNx64, name, &n, &wanted) != 3)
            continue;
        const struct tensor_type *t = type_named(name);
        uint64_t got = digest(t, n);
        if (got != wanted)
            fail_msg("%s: digest %016" PRIx64 ", but the reference's is %016" PRIx64, name, got, wanted);
        checked++;
    }
    fclose(file);
    assert_int_equal(checked, 35);
}

/* What fast kernels rely on when they unpack codebooks themselves. */
static void test_codebooks_have_no_digit_without_a_meaning(void **state)
{
    (void)state;
    const struct {
        const uint16_t *book;
        size_t n;
    } books[] = {{quant_book_iq2_xxs, 256}, {quant_book_iq2_xs, 512}, {quant_book_iq2_s, 1024},
        {quant_book_iq1, 2048}};
    for (size_t b = 0; b < sizeof(books) / sizeof(books[0]); b++)
        for (size_t e = 0; e < books[b].n; e++)
            for (unsigned k = 0; k < 8; k++)
                assert_in_range(books[b].book[e] >> (2 * k) & 3, 0, 2);
    for (size_t e = 0; e < 512; e++) {
        assert_int_equal(quant_book_iq3_s[e] & 0x8888, 0);
        assert_int_equal(quant_book_iq3_xxs[e / 2] & 0x8888, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_of_tensor_can_be_read_and_has_its_size),
        cmocka_unit_test(test_values_are_the_references_to_the_bit_up_to_a_page_that_is_not_there),
        cmocka_unit_test(test_blocks_may_lie_at_any_address),
        cmocka_unit_test(test_a_quarter_of_a_million_random_elements_of_each_type_are_the_references),
        cmocka_unit_test(test_codebooks_have_no_digit_without_a_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
