/* safetensors.c - the table of a safetensors file, read by a scan of its header.
 *
 * As the format demands, the tensors fill the bytes behind the header without a gap. So one walk in the order of their
 * places shows that none overlaps another or lies outside.
 */
#include "berth/loaders/safetensors.h"

#include "json_scan_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX ((uint64_t)100000000) /* bytes: the format's own limit */
#define TENSORS_MAX ((size_t)1 << 18)
#define SHOWN 96 /* room for a name in a message */

static const struct {
    const char *name;
    enum tensor_type_id id;
} types[] = {
    {"F32", TENSOR_F32},
    {"F16", TENSOR_F16},
    {"BF16", TENSOR_BF16},
    {"F64", TENSOR_F64},
    {"I64", TENSOR_I64},
    {"I32", TENSOR_I32},
    {"I16", TENSOR_I16},
    {"I8", TENSOR_I8},
};

bool safetensors_begins(struct span head)
{
    return head.size > 9 && head.at[6] == 0 && head.at[7] == 0 && head.at[8] == '{';
}

void safetensors_release(struct safetensors *s)
{
    free(s->tensors);
    free(s->by_name);
    *s = (struct safetensors){0};
}

/* ---- one tensor ---- */

static bool refuse(struct json_scan *s, struct span name, const char *what, struct span more)
{
    char shown[SHOWN], detail[SHOWN];
    text_escape(shown, sizeof(shown), name);
    text_escape(detail, sizeof(detail), more);
    if (!s->failed)
        error_set(s->err, "tensor \"%s\" %s%s", shown, what, detail);
    s->failed = true;
    return false;
}

static bool read_type(struct json_scan *s, struct span name, struct tensor *t)
{
    struct span type;
    if (!json_scan_text(s, &type))
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (span_is(type, types[i].name))
            t->type = tensor_type_find(types[i].id);
    return t->type || refuse(s, name, "has a dtype that berth does not read: ", type);
}

/* The file's shape is that of C: the last dimension is the row. */
static bool read_shape(struct json_scan *s, struct span name, struct tensor *t)
{
    uint64_t shape[TENSOR_MAX_RANK];
    bool first = true;
    t->rank = 0;
    for (json_scan_enter(s, '['); json_scan_item(s, &first); t->rank++) {
        if (t->rank == TENSOR_MAX_RANK)
            return refuse(s, name, "has more than four dimensions", span_of(""));
        if (json_scan_whole(s, &shape[t->rank]) && shape[t->rank] == 0)
            return refuse(s, name, "has a dimension of 0", span_of(""));
        if (s->failed)
            return false;
    }
    t->elems = 1;
    for (uint32_t i = 0; i < TENSOR_MAX_RANK && !s->failed; i++) {
        t->dim[i] = i < t->rank ? shape[t->rank - 1 - i] : 1;
        if (__builtin_mul_overflow(t->elems, t->dim[i], &t->elems))
            return refuse(s, name, "has more elements than 64 bits count", span_of(""));
    }
    return !s->failed;
}

/* Where it begins and ends, counted from the end of the header. */
static bool read_place(struct json_scan *s, uint64_t place[2])
{
    bool first = true;
    size_t n = 0;
    for (json_scan_enter(s, '['); json_scan_item(s, &first); n++)
        if (n == 2 || !json_scan_whole(s, &place[n]))
            return json_scan_fail(s, "two offsets are needed");
    return !s->failed && (n == 2 || json_scan_fail(s, "two offsets are needed"));
}

static bool check_size(struct json_scan *s, struct tensor *t, const uint64_t place[2])
{
    uint64_t size;
    if (__builtin_mul_overflow(t->elems, t->type->block_bytes, &size))
        return refuse(s, t->name, "takes more bytes than 64 bits count", span_of(""));
    if (place[1] < place[0] || place[1] - place[0] != size)
        return refuse(s, t->name, "has data_offsets that contradict its shape and dtype", span_of(""));
    t->offset = place[0];
    t->size = size;
    return true;
}

static bool read_tensor(struct json_scan *s, struct span name, struct tensor *t)
{
    bool first = true, shaped = false, placed = false;
    struct span field;
    uint64_t place[2] = {0};
    *t = (struct tensor){.name = name};
    if (memchr(name.at, '\\', name.size))
        return refuse(s, name, "has a name with an escape, which berth does not read", span_of(""));
    for (json_scan_enter(s, '{'); json_scan_member(s, &first, &field);) {
        if (span_is(field, "dtype"))
            read_type(s, name, t);
        else if (span_is(field, "shape"))
            shaped = read_shape(s, name, t);
        else if (span_is(field, "data_offsets"))
            placed = read_place(s, place);
        else
            refuse(s, name, "has a field that the format does not have: ", field);
    }
    if (s->failed)
        return false;
    if (!t->type || !shaped || !placed)
        return refuse(s, name, "lacks dtype, shape or data_offsets", span_of(""));
    return check_size(s, t, place);
}

/* ---- the table ---- */

static bool add_room(struct safetensors *out, size_t *room, struct json_scan *s)
{
    if (out->n < *room)
        return true;
    if (out->n >= TENSORS_MAX)
        return json_scan_fail(s, "too many tensors");
    const size_t more = *room ? *room * 2 : 256;
    struct tensor *grown = realloc(out->tensors, more * sizeof(*grown));
    if (!grown)
        return json_scan_fail(s, "no memory for a table of tensors");
    out->tensors = grown;
    *room = more;
    return true;
}

static bool read_table(struct safetensors *out, struct json_scan *s)
{
    struct span name;
    size_t room = 0;
    bool first = true;
    for (json_scan_enter(s, '{'); json_scan_member(s, &first, &name);) {
        if (span_is(name, "__metadata__"))
            json_scan_skip(s, NULL);
        else if (add_room(out, &room, s) && read_tensor(s, name, &out->tensors[out->n]))
            out->n++;
    }
    return !s->failed && json_scan_end(s);
}

static int place_order(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Sets each tensor's offset in the file and its address. */
static bool place_tensors(struct safetensors *s, struct span file, uint64_t data, struct error *err)
{
    uint64_t expected = 0, size = file.size - data;
    char name[SHOWN];
    if (s->n)
        qsort(s->tensors, s->n, sizeof(*s->tensors), place_order);
    for (size_t i = 0; i < s->n; i++) {
        struct tensor *t = &s->tensors[i];
        text_escape(name, sizeof(name), t->name);
        if (t->offset != expected)
            return error_set(err,
                "tensor \"%s\" begins at %" PRIu64 " of the data and would %s: %" PRIu64 " is needed", name,
                t->offset, t->offset < expected ? "overlap the one before" : "leave a gap", expected);
        if (t->size > size - expected)
            return error_set(err,
                "tensor \"%s\" takes %" PRIu64 " bytes at byte %" PRIu64 ", but the file ends at %zu", name,
                t->size, data + expected, file.size);
        t->offset = data + expected;
        t->data = file.at + t->offset;
        expected += t->size;
    }
    return expected == size || error_set(err, "the tensors end at byte %" PRIu64 ", but the file at %zu",
                                   data + expected, file.size);
}

static int name_order(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return span_compare((*x)->name, (*y)->name);
}

static bool sort_names(struct safetensors *s, struct error *err)
{
    s->by_name = calloc(s->n + 1, sizeof(*s->by_name));
    if (!s->by_name)
        return error_no_memory(err, "a table of tensors");
    for (size_t i = 0; i < s->n; i++)
        s->by_name[i] = &s->tensors[i];
    if (s->n)
        qsort(s->by_name, s->n, sizeof(*s->by_name), name_order);
    return true;
}

const struct tensor *safetensors_find(const struct safetensors *s, struct span name)
{
    const struct tensor wanted = {.name = name}, *key = &wanted;
    const struct tensor **found = s->n ? bsearch(&key, s->by_name, s->n, sizeof(key), name_order) : NULL;
    return found ? *found : NULL;
}

bool safetensors_read(struct safetensors *out, struct span bytes, struct error *err)
{
    uint64_t size = 0;
    *out = (struct safetensors){0};
    for (size_t i = 8; bytes.size >= 8 && i > 0; i--)
        size = size << 8 | bytes.at[i - 1];
    if (bytes.size < 8 || size > bytes.size - 8)
        return error_set(err,
            "its header would take %" PRIu64 " bytes, but the file has %zu; it may be incomplete", size,
            bytes.size);
    if (size > HEADER_MAX)
        return error_set(
            err, "its header takes %" PRIu64 " bytes; %" PRIu64 " is the most", size, HEADER_MAX);
    struct json_scan s = {.text = {bytes.at + 8, (size_t)size}, .err = err};
    if (read_table(out, &s) && place_tensors(out, bytes, 8 + size, err) && sort_names(out, err))
        return true;
    safetensors_release(out);
    return false;
}
