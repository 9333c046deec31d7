/* checkpoint.c - look-ups in a checkpoint's tables.
 *
 * Both tables are sorted once, when the loader has completed them. Two entries of one name are found then, and each
 * look-up is a binary search. Lengths of strings are checked in each walk, because the file may have changed since the
 * loader validated it.
 */
#include "berth/loaders/checkpoint.h"
#include "berth/base/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 96 /* room for a key or a name in a message */
#define TEMPLATE_KEY "tokenizer.chat_template"

static const char *shown(char out[SHOWN], struct span name)
{
    text_escape(out, SHOWN, name);
    return out;
}

/* ---- for loaders ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct checkpoint_value *x = a, *y = b;
    return span_compare(x->key, y->key);
}

static int compare_names(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return span_compare((*x)->name, (*y)->name);
}

static bool sort_values(struct checkpoint *c, struct error *err)
{
    if (c->n_values)
        qsort(c->values, c->n_values, sizeof(*c->values), compare_keys);
    for (size_t i = 1; i < c->n_values; i++) {
        uint64_t a = c->values[i - 1].offset, b = c->values[i].offset;
        char key[SHOWN];
        if (compare_keys(&c->values[i - 1], &c->values[i]) == 0)
            return error_set(err, "key \"%s\" appears twice, with values at bytes %" PRIu64 " and %" PRIu64,
                shown(key, c->values[i].key), a < b ? a : b, a < b ? b : a);
    }
    return true;
}

static bool sort_tensors(struct checkpoint *c, struct error *err)
{
    c->by_name = calloc(c->n_tensors + 1, sizeof(*c->by_name));
    if (!c->by_name)
        return error_set(err, "no memory for a table of %zu tensors", c->n_tensors);
    for (size_t i = 0; i < c->n_tensors; i++)
        c->by_name[i] = &c->tensors[i];
    qsort(c->by_name, c->n_tensors, sizeof(*c->by_name), compare_names);
    for (size_t i = 1; i < c->n_tensors; i++) {
        const struct tensor *a = c->by_name[i - 1], *b = c->by_name[i];
        char name[SHOWN];
        if (span_compare(a->name, b->name) == 0)
            return error_set(err, "tensor \"%s\" appears twice, as number %zu and %zu of the table",
                shown(name, a->name), (size_t)((a < b ? a : b) - c->tensors) + 1,
                (size_t)((a < b ? b : a) - c->tensors) + 1);
    }
    return true;
}

bool checkpoint_index(struct checkpoint *c, struct error *err)
{
    return sort_values(c, err) && sort_tensors(c, err);
}

void checkpoint_release(struct checkpoint *c)
{
    free(c->values);
    free(c->tensors);
    free(c->by_name);
    free(c->files);
    *c = (struct checkpoint){0};
}

/* ---- values ---- */

const struct checkpoint_value *checkpoint_find(const struct checkpoint *c, const char *key)
{
    const struct checkpoint_value wanted = {.key = span_of(key)};
    return c->n_values ? bsearch(&wanted, c->values, c->n_values, sizeof(wanted), compare_keys) : NULL;
}

bool checkpoint_is_array_of(const struct checkpoint_value *v, enum checkpoint_kind kind)
{
    return v->is_array && v->kind == kind;
}

static enum checkpoint_got wrong(
    const struct checkpoint_value *v, const char *what, const char *more, struct error *err)
{
    char key[SHOWN], place[48] = "";
    if (v->offset)
        snprintf(place, sizeof(place), " at byte %" PRIu64, v->offset);
    error_set(err, "key \"%s\"%s %s%s", shown(key, v->key), place, what, more);
    return CHECKPOINT_WRONG;
}

static enum checkpoint_got wrong_type(const struct checkpoint_value *v, const char *needed, struct error *err)
{
    char more[64];
    snprintf(more, sizeof(more), "%s; %s is needed", v->type, needed);
    return wrong(v, "has type ", more, err);
}

/* Bits of item `i`, which is a number. */
static uint64_t bits_of(const struct checkpoint_value *v, size_t i)
{
    uint64_t bits = 0;
    for (size_t b = v->width; b > 0; b--)
        bits = bits << 8 | v->bytes.at[i * v->width + b - 1];
    return bits;
}

static bool is_negative(const struct checkpoint_value *v, uint64_t bits)
{
    return v->kind == CHECKPOINT_SIGNED && bits >> (8 * v->width - 1);
}

static double real_of(const struct checkpoint_value *v, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float narrow;
    double wide;
    memcpy(&narrow, &low, sizeof(narrow));
    memcpy(&wide, &bits, sizeof(wide));
    return v->width == sizeof(float) ? (double)narrow : wide;
}

bool checkpoint_item_u64(const struct checkpoint_value *v, size_t i, uint64_t *out)
{
    bool whole = v->kind == CHECKPOINT_UNSIGNED || v->kind == CHECKPOINT_SIGNED || v->kind == CHECKPOINT_BOOL;
    uint64_t bits = whole ? bits_of(v, i) : 0;
    if (!whole || is_negative(v, bits))
        return false;
    *out = bits;
    return true;
}

bool checkpoint_item_f64(const struct checkpoint_value *v, size_t i, double *out)
{
    if (v->kind != CHECKPOINT_REAL)
        return false;
    *out = real_of(v, bits_of(v, i));
    return true;
}

enum checkpoint_got checkpoint_get_u64(
    const struct checkpoint *c, const char *key, uint64_t *out, struct error *err)
{
    const struct checkpoint_value *v = checkpoint_find(c, key);
    if (!v)
        return CHECKPOINT_ABSENT;
    if (v->is_array || (v->kind != CHECKPOINT_SIGNED && v->kind != CHECKPOINT_UNSIGNED))
        return wrong_type(v, "an integer", err);
    if (!checkpoint_item_u64(v, 0, out))
        return wrong(v, "is negative", "", err);
    return CHECKPOINT_GOT;
}

enum checkpoint_got checkpoint_get_f64(
    const struct checkpoint *c, const char *key, double *out, struct error *err)
{
    const struct checkpoint_value *v = checkpoint_find(c, key);
    if (!v)
        return CHECKPOINT_ABSENT;
    if (v->is_array || !checkpoint_item_f64(v, 0, out))
        return wrong_type(v, "f32 or f64", err);
    return CHECKPOINT_GOT;
}

enum checkpoint_got checkpoint_get_bool(
    const struct checkpoint *c, const char *key, bool *out, struct error *err)
{
    const struct checkpoint_value *v = checkpoint_find(c, key);
    if (!v)
        return CHECKPOINT_ABSENT;
    if (v->is_array || v->kind != CHECKPOINT_BOOL)
        return wrong_type(v, "bool", err);
    *out = bits_of(v, 0) != 0;
    return CHECKPOINT_GOT;
}

enum checkpoint_got checkpoint_get_text(
    const struct checkpoint *c, const char *key, struct span *out, struct error *err)
{
    const struct checkpoint_value *v = checkpoint_find(c, key);
    if (!v)
        return CHECKPOINT_ABSENT;
    if (v->is_array || v->kind != CHECKPOINT_STRING)
        return wrong_type(v, "string", err);
    *out = v->bytes;
    return CHECKPOINT_GOT;
}

enum checkpoint_got checkpoint_chat_template(
    const struct checkpoint *c, const char *name, struct span *out, struct error *err)
{
    char key[SHOWN];
    if (!name)
        return checkpoint_get_text(c, TEMPLATE_KEY, out, err);
    int size = snprintf(key, sizeof(key), TEMPLATE_KEY ".%s", name);
    return size < (int)sizeof(key) ? checkpoint_get_text(c, key, out, err) : CHECKPOINT_ABSENT;
}

struct span checkpoint_next_string(struct span bytes, size_t *pos)
{
    struct cursor c = {.bytes = bytes, .pos = *pos};
    struct span s = cursor_take(&c, cursor_u64(&c, "the length of a string"), "a string");
    *pos = c.pos;
    return s;
}

/* ---- tensors and files ---- */

const struct tensor *checkpoint_tensor(const struct checkpoint *c, const char *name)
{
    const struct tensor wanted = {.name = span_of(name)}, *at = &wanted;
    const struct tensor *const *found =
        c->n_tensors ? bsearch(&at, c->by_name, c->n_tensors, sizeof(at), compare_names) : NULL;
    return found ? *found : NULL;
}

const struct checkpoint_file *checkpoint_side_file(const struct checkpoint *c, const char *name)
{
    for (size_t i = 0; i < c->n_files; i++)
        if (span_is(c->files[i].name, name))
            return &c->files[i];
    return NULL;
}
