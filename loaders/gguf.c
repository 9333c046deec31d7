/* gguf.c - reads the tables of keys and tensors of a file, or gives the reason why it cannot.
 *
 * The file is read once, front to back, through one cursor: header, pairs, tensors. Then the offsets of the tensors are
 * checked. A count is compared with the bytes that are left before memory is allocated for it, a length before it is
 * followed, and a product is checked for overflow. Tensors have to lie in the table's order without gaps, so one running
 * sum shows that no tensor overlaps another or exceeds the file.
 *
 * Time and memory grow with the tables alone, and the tables have limits, so that a huge file of random bytes
 * costs little. Sorting the tables for the checkpoint finds repeated names. Nothing recurses.
 */
#include "berth/loaders/gguf.h"
#include "berth/base/cursor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX ((size_t)1 << 16) /* models have dozens */
#define TENSORS_MAX ((size_t)1 << 18) /* models have hundreds, those with many experts some ten thousand */
#define ITEMS_MAX ((size_t)1 << 24) /* of an array; the largest vocabularies have some 300,000 */
#define TABLES_MAX ((size_t)1 << 30) /* bytes of all keys and values */
#define KEY_MAX 65535
#define NAME_MAX_BYTES 63
#define ALIGNMENT_MIN 8
#define ALIGNMENT_MAX 65536
#define ALIGNMENT_DEFAULT 32
#define PAIR_MIN (8 + 1 + 4 + 1) /* the smallest pair: length, a key of one byte, type, a value of one byte */
#define TENSOR_MIN (8 + 1 + 4 + 4 + 8) /* the smallest tensor: length, name, rank 0, type, offset */

#define SHOWN 96 /* room for a key or a name in a message */

static const struct {
    const char *name;
    uint8_t bytes; /* 0: carries its own length */
    enum checkpoint_kind kind; /* of a scalar */
} value_types[GGUF_TYPES] = {
    [GGUF_U8] = {"u8", 1, CHECKPOINT_UNSIGNED},
    [GGUF_I8] = {"i8", 1, CHECKPOINT_SIGNED},
    [GGUF_U16] = {"u16", 2, CHECKPOINT_UNSIGNED},
    [GGUF_I16] = {"i16", 2, CHECKPOINT_SIGNED},
    [GGUF_U32] = {"u32", 4, CHECKPOINT_UNSIGNED},
    [GGUF_I32] = {"i32", 4, CHECKPOINT_SIGNED},
    [GGUF_F32] = {"f32", 4, CHECKPOINT_REAL},
    [GGUF_BOOL] = {"bool", 1, CHECKPOINT_BOOL},
    [GGUF_STRING] = {"string", 0, CHECKPOINT_STRING},
    [GGUF_ARRAY] = {"array", 0, CHECKPOINT_STRING},
    [GGUF_U64] = {"u64", 8, CHECKPOINT_UNSIGNED},
    [GGUF_I64] = {"i64", 8, CHECKPOINT_SIGNED},
    [GGUF_F64] = {"f64", 8, CHECKPOINT_REAL},
};

const char *gguf_type_name(enum gguf_type type)
{
    return (unsigned)type < GGUF_TYPES ? value_types[type].name : "unknown";
}

static const char *shown(char out[SHOWN], struct span name)
{
    text_escape(out, SHOWN, name);
    return out;
}

static uint64_t padded(uint64_t size, uint32_t alignment)
{
    return (size + alignment - 1) & ~(uint64_t)(alignment - 1);
}

/* --- The header --- */

static bool check_version(struct cursor *c, uint32_t version)
{
    if (version != 0 && (version & 0xffff) == 0)
        return cursor_fail(c,
            "the file is big-endian (its version at byte 4 reads %" PRIu32
            "); berth reads little-endian files",
            version);
    if (version != 2 && version != 3)
        return cursor_fail(
            c, "the GGUF version at byte 4 is %" PRIu32 "; berth reads versions 2 and 3", version);
    return true;
}

static bool read_header(struct cursor *c, struct gguf *g)
{
    struct span magic = cursor_take(c, 4, "the magic number");
    if (!c->failed && !span_is(magic, "GGUF"))
        return cursor_fail(c, "the file does not begin with \"GGUF\"");
    g->version = cursor_u32(c, "the version");
    if (c->failed || !check_version(c, g->version))
        return false;
    g->checkpoint.n_tensors = cursor_count(c, TENSOR_MIN, "the number of tensors");
    g->n_pairs = cursor_count(c, PAIR_MIN, "the number of keys");
    if (g->checkpoint.n_tensors > TENSORS_MAX)
        return cursor_fail(c, "the number of tensors at byte 8 is %zu; %zu is the most",
            g->checkpoint.n_tensors, TENSORS_MAX);
    if (g->n_pairs > PAIRS_MAX)
        return cursor_fail(c, "the number of keys at byte 16 is %zu; %zu is the most", g->n_pairs, PAIRS_MAX);
    return !c->failed;
}

/* Allocates the tables, with one entry more each, because calloc may return NULL for 0 entries. */
static bool take_memory(struct cursor *c, struct gguf *g)
{
    struct checkpoint *k = &g->checkpoint;
    g->pairs = calloc(g->n_pairs + 1, sizeof(*g->pairs));
    k->values = calloc(g->n_pairs + 1, sizeof(*k->values));
    k->tensors = calloc(k->n_tensors + 1, sizeof(*k->tensors));
    if (!g->pairs || !k->values || !k->tensors)
        return cursor_fail(c, "no memory for tables of %zu keys and %zu tensors", g->n_pairs, k->n_tensors);
    return true;
}

/* --- Keys and values --- */

static bool check_bools(struct cursor *c, const struct gguf_pair *p)
{
    for (size_t i = 0; i < p->bytes.size; i++)
        if (p->bytes.at[i] > 1)
            return cursor_fail(c, "the bool at byte %zu is %u, neither 0 nor 1",
                (size_t)(p->bytes.at - c->bytes.at) + i, p->bytes.at[i]);
    return true;
}

/* Skips `count` strings and checks their lengths. */
static bool skip_strings(struct cursor *c, size_t count)
{
    for (size_t i = 0; i < count && !c->failed; i++)
        cursor_take(c, cursor_u64(c, "the length of a string"), "a string");
    return !c->failed;
}

static bool read_array(struct cursor *c, struct gguf_pair *p)
{
    size_t at = c->pos;
    uint32_t item = cursor_u32(c, "the type of an array's items");
    if (!c->failed && item >= GGUF_TYPES)
        return cursor_fail(c,
            "the type of the array's items at byte %zu is %" PRIu32 ", which GGUF does not define", at, item);
    if (item == GGUF_ARRAY)
        return cursor_fail(c, "the array at byte %zu holds arrays, which berth does not read", at);
    p->item = (enum gguf_type)item;
    size_t bytes = value_types[item].bytes;
    size_t count = cursor_count(c, bytes ? bytes : 8, "the number of items");
    if (count > ITEMS_MAX)
        return cursor_fail(c, "the array at byte %zu has %zu items; %zu is the most", at, count, ITEMS_MAX);
    p->count = count;
    size_t start = c->pos;
    if (bytes)
        cursor_take(c, (uint64_t)count * bytes, "an array");
    else
        skip_strings(c, count);
    if (c->failed)
        return false;
    p->bytes = (struct span){c->bytes.at + start, c->pos - start};
    return item != GGUF_BOOL || check_bools(c, p);
}

static bool read_value(struct cursor *c, struct gguf_pair *p)
{
    size_t at = c->pos;
    uint32_t type = cursor_u32(c, "the type of the value");
    if (!c->failed && type >= GGUF_TYPES)
        return cursor_fail(
            c, "the type of the value at byte %zu is %" PRIu32 ", which GGUF does not define", at, type);
    if (c->failed)
        return false;
    p->type = p->item = (enum gguf_type)type;
    p->count = 1;
    p->offset = c->pos;
    if (type == GGUF_ARRAY)
        return read_array(c, p);
    uint64_t size = type == GGUF_STRING ? cursor_u64(c, "the length of a string") : value_types[type].bytes;
    p->bytes = cursor_take(c, size, "the value");
    return !c->failed && (type != GGUF_BOOL || check_bools(c, p));
}

static bool read_pair(struct cursor *c, struct gguf_pair *p)
{
    size_t at = c->pos;
    uint64_t size = cursor_u64(c, "the length of a key");
    if (!c->failed && (size == 0 || size > KEY_MAX))
        return cursor_fail(
            c, "the key at byte %zu is %" PRIu64 " bytes long; 1 to %d are allowed", at, size, KEY_MAX);
    p->key = cursor_take(c, size, "a key");
    if (c->failed)
        return false;
    if (!read_value(c, p)) {
        char key[SHOWN];
        return error_prefix(c->err, "key \"%s\"", shown(key, p->key));
    }
    if (c->pos > TABLES_MAX)
        return cursor_fail(c, "keys and values take more than %zu bytes", TABLES_MAX);
    return true;
}

static struct checkpoint_value value_of(const struct gguf_pair *p)
{
    return (struct checkpoint_value){
        .key = p->key,
        .kind = value_types[p->item].kind,
        .width = value_types[p->item].bytes,
        .is_array = p->type == GGUF_ARRAY,
        .count = p->count,
        .bytes = p->bytes,
        .offset = p->offset,
        .type = gguf_type_name(p->type),
    };
}

static void list_values(struct gguf *g)
{
    g->checkpoint.n_values = g->n_pairs;
    for (size_t i = 0; i < g->n_pairs; i++)
        g->checkpoint.values[i] = value_of(&g->pairs[i]);
}

static bool read_pairs(struct cursor *c, struct gguf *g)
{
    for (size_t i = 0; i < g->n_pairs; i++)
        if (!read_pair(c, &g->pairs[i]))
            return false;
    list_values(g);
    return true;
}

static const struct gguf_pair *find_pair(const struct gguf *g, const char *key)
{
    for (size_t i = 0; i < g->n_pairs; i++)
        if (span_is(g->pairs[i].key, key))
            return &g->pairs[i];
    return NULL;
}

static bool read_alignment(struct cursor *c, struct gguf *g)
{
    const struct gguf_pair *p = find_pair(g, "general.alignment");
    uint32_t value = ALIGNMENT_DEFAULT;
    if (p && p->type != GGUF_U32)
        return cursor_fail(c, "key \"general.alignment\" at byte %" PRIu64 " has type %s; u32 is needed",
            p->offset, gguf_type_name(p->type));
    if (p) {
        struct cursor number = {.bytes = p->bytes};
        value = cursor_u32(&number, "the alignment");
    }
    if (value < ALIGNMENT_MIN || value > ALIGNMENT_MAX || (value & (value - 1)) != 0)
        return cursor_fail(c,
            "key \"general.alignment\" at byte %" PRIu64 " is %" PRIu32
            "; a power of two from %d to %d is needed",
            p ? p->offset : 0, value, ALIGNMENT_MIN, ALIGNMENT_MAX);
    g->alignment = value;
    return true;
}

/* --- Tensors --- */

static bool is_removed_type(uint32_t id)
{
    return id == 4 || id == 5 || (id >= 31 && id <= 33) || (id >= 36 && id <= 38);
}

static bool read_name(struct cursor *c, struct tensor *t)
{
    size_t at = c->pos;
    uint64_t size = cursor_u64(c, "the length of a tensor's name");
    if (!c->failed && (size == 0 || size > NAME_MAX_BYTES))
        return cursor_fail(c, "the tensor's name at byte %zu is %" PRIu64 " bytes long; 1 to %d are allowed",
            at, size, NAME_MAX_BYTES);
    t->name = cursor_take(c, size, "a tensor's name");
    return !c->failed;
}

static bool read_shape(struct cursor *c, struct tensor *t)
{
    size_t at = c->pos;
    t->rank = cursor_u32(c, "the number of dimensions");
    if (t->rank > TENSOR_MAX_RANK)
        return cursor_fail(c, "the number of dimensions at byte %zu is %" PRIu32 "; %d is the most", at,
            t->rank, TENSOR_MAX_RANK);
    t->elems = 1;
    for (uint32_t i = 0; i < TENSOR_MAX_RANK; i++) {
        at = c->pos;
        t->dim[i] = i < t->rank ? cursor_u64(c, "a dimension") : 1;
        if (c->failed)
            return false;
        if (t->dim[i] == 0)
            return cursor_fail(c, "dimension %" PRIu32 " at byte %zu is 0", i, at);
        if (__builtin_mul_overflow(t->elems, t->dim[i], &t->elems))
            return cursor_fail(
                c, "the dimensions up to byte %zu multiply to more elements than 64 bits count", c->pos);
    }
    return true;
}

static bool read_type(struct cursor *c, struct tensor *t)
{
    size_t at = c->pos;
    uint32_t id = cursor_u32(c, "the type");
    if (c->failed)
        return false;
    t->type = tensor_type_find(id);
    if (is_removed_type(id))
        return cursor_fail(
            c, "its type %" PRIu32 " at byte %zu was removed from GGUF; convert the model again", id, at);
    if (!t->type)
        return cursor_fail(c, "its type %" PRIu32 " at byte %zu is unknown to berth", id, at);
    /* Kernels multiply row by row, so a block must not span two rows. */
    if (t->dim[0] % t->type->block_elems != 0)
        return cursor_fail(c, "its rows of %" PRIu64 " elements do not fill blocks of %" PRIu32 " (type %s)",
            t->dim[0], t->type->block_elems, t->type->name);
    if (__builtin_mul_overflow(t->elems / t->type->block_elems, t->type->block_bytes, &t->size))
        return cursor_fail(c, "its %" PRIu64 " elements of type %s take more bytes than 64 bits count",
            t->elems, t->type->name);
    return true;
}

/* Reads one row of the table. `offset` counts from the start of the data until place_tensors moves it. */
static bool read_tensor(struct cursor *c, struct tensor *t)
{
    if (!read_name(c, t))
        return false;
    if (read_shape(c, t) && read_type(c, t))
        t->offset = cursor_u64(c, "the offset");
    char name[SHOWN];
    return !c->failed || error_prefix(c->err, "tensor \"%s\"", shown(name, t->name));
}

static bool read_tensors(struct cursor *c, struct gguf *g)
{
    for (size_t i = 0; i < g->checkpoint.n_tensors; i++)
        if (!read_tensor(c, &g->checkpoint.tensors[i]))
            return false;
    return true;
}

/* Checks a tensor's offset against `expected`, the end of the one before. */
static bool check_place(struct cursor *c, const struct gguf *g, const struct tensor *t, uint64_t expected)
{
    char name[SHOWN];
    shown(name, t->name);
    if (t->offset % g->alignment != 0)
        return cursor_fail(c,
            "tensor \"%s\" has offset %" PRIu64 ", which is no multiple of the alignment %" PRIu32, name,
            t->offset, g->alignment);
    if (t->offset != expected)
        return cursor_fail(c, "tensor \"%s\" has offset %" PRIu64 " and would %s: %" PRIu64 " is needed",
            name, t->offset, t->offset < expected ? "overlap the one before" : "leave a gap", expected);
    uint64_t start = g->data_offset + expected;
    if (start > c->bytes.size || t->size > c->bytes.size - start)
        return cursor_fail(c,
            "tensor \"%s\" takes %" PRIu64 " bytes at byte %" PRIu64 ", but the file ends at %zu", name,
            t->size, start, c->bytes.size);
    return true;
}

/* Older files use the id of Q2_0 for blocks of 128 elements in 34 bytes. Only the places tell: true when tensor i, at
 * `start` of the data, fits before the next tensor or the end in this form, and in the present form does not. */
static bool is_older_q2_0(const struct cursor *c, const struct gguf *g, size_t i, uint64_t start)
{
    const struct tensor *t = &g->checkpoint.tensors[i];
    if (t->type->id != TENSOR_Q2_0 || t->dim[0] % 128 != 0 || g->data_offset > c->bytes.size)
        return false;
    const uint64_t end = i + 1 < g->checkpoint.n_tensors ? t[1].offset : c->bytes.size - g->data_offset;
    const uint64_t older = t->elems / 128 * 34;
    return end >= start && t->size > end - start && older <= end - start &&
           end - start <= padded(older, g->alignment);
}

/* Sets every tensor's offset in the file and its address. Sums cannot wrap: a tensor's size is added after it was found to
 * lie inside the file. */
static bool place_tensors(struct cursor *c, struct gguf *g)
{
    g->data_offset = padded(c->pos, g->alignment);
    uint64_t expected = 0;
    for (size_t i = 0; i < g->checkpoint.n_tensors; i++) {
        struct tensor *t = &g->checkpoint.tensors[i];
        char name[SHOWN];
        if (is_older_q2_0(c, g, i, expected))
            return cursor_fail(c,
                "tensor \"%s\" has an older form of type Q2_0, with blocks of 128 elements, which is not "
                "supported; convert the model again",
                shown(name, t->name));
        if (!check_place(c, g, t, expected))
            return false;
        t->offset = g->data_offset + expected;
        t->data = c->bytes.at + t->offset;
        expected = padded(expected + t->size, g->alignment);
    }
    return true;
}

struct gguf *gguf_read(struct span bytes, struct error *err)
{
    struct cursor c = {.bytes = bytes, .err = err};
    struct gguf *g = calloc(1, sizeof(*g));
    if (!g) {
        error_set(err, "no memory");
        return NULL;
    }
    if (read_header(&c, g) && take_memory(&c, g) && read_pairs(&c, g) && read_alignment(&c, g) &&
        read_tensors(&c, g) && checkpoint_index(&g->checkpoint, err) && place_tensors(&c, g))
        return g;
    gguf_free(g);
    return NULL;
}

void gguf_free(struct gguf *g)
{
    if (!g)
        return;
    free(g->pairs);
    checkpoint_release(&g->checkpoint);
    free(g);
}
