/* hf_values.c - writes the keys and tensors of a checkpoint that is made from a directory. */
#include "hf_private.h"

#include <stdlib.h>
#include <string.h>

void hf_put_u64(uint8_t out[8], uint64_t number)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(number >> (8 * i));
}

void *hf_memory(struct hf_model *m, size_t size, struct error *err)
{
    void *at = value_alloc(m->arena, size);
    if (!at)
        value_arena_explain(m->arena, "the directory's tables", err);
    return at;
}

static struct span copy(struct hf_model *m, struct span text, struct error *err)
{
    uint8_t *at = hf_memory(m, text.size + 1, err);
    if (at && text.size)
        memcpy(at, text.at, text.size);
    return (struct span){at, at ? text.size : 0};
}

static bool add(struct hf_model *m, const char *key, struct checkpoint_value v, struct error *err)
{
    struct checkpoint *c = &m->checkpoint;
    if (c->n_values == m->values_room) {
        const size_t room = 2 * m->values_room + 32;
        struct checkpoint_value *grown = realloc(c->values, room * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, "the keys");
        c->values = grown;
        m->values_room = room;
    }
    v.key = copy(m, span_of(key), err);
    if (!v.key.at)
        return false;
    c->values[c->n_values++] = v;
    return true;
}

bool hf_add_text(struct hf_model *m, const char *key, struct span text, struct error *err)
{
    const struct span bytes = copy(m, text, err);
    return bytes.at && add(m, key,
                           (struct checkpoint_value){
                               .kind = CHECKPOINT_STRING, .count = 1, .bytes = bytes, .type = "string"},
                           err);
}

static bool add_number(struct hf_model *m, const char *key, enum checkpoint_kind kind, uint64_t bits,
    const char *type, struct error *err)
{
    uint8_t *bytes = hf_memory(m, 8, err);
    if (!bytes)
        return false;
    hf_put_u64(bytes, bits);
    const uint8_t width = kind == CHECKPOINT_BOOL ? 1 : 8;
    return add(m, key,
        (struct checkpoint_value){
            .kind = kind, .width = width, .count = 1, .bytes = {bytes, width}, .type = type},
        err);
}

bool hf_add_whole(struct hf_model *m, const char *key, uint64_t number, struct error *err)
{
    return add_number(m, key, CHECKPOINT_UNSIGNED, number, "u64", err);
}

bool hf_add_real(struct hf_model *m, const char *key, double number, struct error *err)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return add_number(m, key, CHECKPOINT_REAL, bits, "f64", err);
}

bool hf_add_bool(struct hf_model *m, const char *key, bool flag, struct error *err)
{
    return add_number(m, key, CHECKPOINT_BOOL, flag, "bool", err);
}

bool hf_add_array(struct hf_model *m, const char *key, enum checkpoint_kind kind, uint8_t width,
    uint64_t count, struct span bytes, struct error *err)
{
    return add(m, key,
        (struct checkpoint_value){
            .kind = kind, .width = width, .is_array = true, .count = count, .bytes = bytes, .type = "array"},
        err);
}

bool hf_add_tensor(struct hf_model *m, const struct tensor *t, struct error *err)
{
    struct checkpoint *c = &m->checkpoint;
    if (c->n_tensors == m->tensors_room) {
        const size_t room = 2 * m->tensors_room + 256;
        struct tensor *grown = realloc(c->tensors, room * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, "a table of tensors");
        c->tensors = grown;
        m->tensors_room = room;
    }
    c->tensors[c->n_tensors++] = *t;
    return true;
}

bool hf_add_floats(struct hf_model *m, const char *name, const float *values, size_t n, struct error *err)
{
    const struct span copied = copy(m, span_of(name), err);
    const struct tensor t = {.name = copied,
        .rank = 1,
        .dim = {n, 1, 1, 1},
        .type = tensor_type_find(TENSOR_F32),
        .elems = n,
        .size = n * sizeof(*values),
        .data = (const uint8_t *)values};
    return copied.at && hf_add_tensor(m, &t, err);
}
