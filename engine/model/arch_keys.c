/* arch_keys.c - reads the keys of an architecture. */
#include "arch_keys_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *arch_key_name(char name[ARCH_KEY_ROOM], const struct arch_keys *k, const char *rest)
{
    snprintf(name, ARCH_KEY_ROOM, "%s.%s", k->architecture, rest);
    const struct checkpoint_value *v = checkpoint_find(k->file, name);
    if (v)
        k->read[v - k->file->values] = true;
    return name;
}

bool arch_key_number(
    const struct arch_keys *k, const char *rest, uint32_t most, uint32_t fallback, uint32_t *out)
{
    char name[ARCH_KEY_ROOM];
    uint64_t value = 0;
    if (checkpoint_get_u64(k->file, arch_key_name(name, k, rest), &value, k->err) == CHECKPOINT_WRONG)
        return false;
    if (value > most)
        return error_set(k->err, "key %s is %" PRIu64 "; %" PRIu32 " is the most", name, value, most);
    *out = value ? (uint32_t)value : fallback;
    return true;
}

bool arch_key_size(
    const struct arch_keys *k, const char *rest, uint32_t most, uint32_t fallback, uint32_t *out)
{
    char name[ARCH_KEY_ROOM];
    if (!arch_key_number(k, rest, most, fallback, out))
        return false;
    if (*out == 0)
        return error_set(k->err, "key %s is missing, or 0", arch_key_name(name, k, rest));
    if (*out > most)
        return error_set(k->err, "key %s is %" PRIu32 "; %" PRIu32 " is the most",
            arch_key_name(name, k, rest), *out, most);
    return true;
}

bool arch_key_real(const struct arch_keys *k, const char *rest, double fallback, double *out)
{
    char name[ARCH_KEY_ROOM];
    double value = 0;
    if (checkpoint_get_f64(k->file, arch_key_name(name, k, rest), &value, k->err) == CHECKPOINT_WRONG)
        return false;
    if (!isfinite(value) || fabs(value) > 1e15)
        return error_set(k->err, "key %s is %g; a finite number up to 1e15 is needed", name, value);
    *out = value == 0 ? fallback : value;
    return true;
}

bool arch_key_float(const struct arch_keys *k, const char *rest, double fallback, float *out)
{
    double value;
    if (!arch_key_real(k, rest, fallback, &value))
        return false;
    *out = (float)value;
    return true;
}

bool arch_key_bool(const struct arch_keys *k, const char *rest, bool fallback, bool *out)
{
    char name[ARCH_KEY_ROOM];
    *out = fallback;
    return checkpoint_get_bool(k->file, arch_key_name(name, k, rest), out, k->err) != CHECKPOINT_WRONG;
}

uint64_t arch_key_item(const struct checkpoint_value *a, size_t i)
{
    uint64_t value;
    return checkpoint_item_u64(a, i, &value) ? value : UINT64_MAX;
}

bool arch_key_layers(struct decoder *d, const struct arch_keys *k, const char *rest, uint32_t least,
    void (*set)(struct layer *l, uint32_t value))
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *pair = checkpoint_find(k->file, arch_key_name(name, k, rest));
    uint32_t n = d->shape.n_layer;
    if (pair && pair->is_array) {
        if (pair->count != n)
            return error_set(
                k->err, "key %s has %" PRIu64 " items for %" PRIu32 " layers", name, pair->count, n);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t value = arch_key_item(pair, i);
            if (value < least || value > DECODER_SIZE_MAX)
                return error_set(k->err,
                    "item %" PRIu32 " of key %s is no whole number from %" PRIu32 " to %u", i, name, least,
                    DECODER_SIZE_MAX);
            set(&d->layers[i], (uint32_t)value);
        }
        return true;
    }
    uint32_t value;
    if (!arch_key_size(k, rest, DECODER_SIZE_MAX, 0, &value))
        return false;
    for (uint32_t i = 0; i < n; i++)
        set(&d->layers[i], value);
    return true;
}
