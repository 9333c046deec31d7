/* arch_keys_private.h - reads the keys of an architecture ("llama.block_count"), and bounds their values.
 *
 * `rest` is a key's name behind the architecture's. Every function that returns bool returns false with the reason, which
 * names the key, when a value has the wrong type or is out of bounds.
 */
#ifndef ARCH_KEYS_PRIVATE_H
#define ARCH_KEYS_PRIVATE_H

#include "decoder_private.h"

#define ARCH_KEY_ROOM 96

/* The keys of a file, with the architecture's name that they begin with. */
struct arch_keys {
    const struct checkpoint *file;
    const char *architecture;
    struct error *err;
    bool *read; /* [file->n_values]: asked for */
};

/* Writes the whole name, "llama.block_count", into `name` and returns it. The key counts as read then. */
const char *arch_key_name(char name[ARCH_KEY_ROOM], const struct arch_keys *k, const char *rest);

/* A number up to `most`; `fallback` where the key is missing or 0. */
bool arch_key_number(
    const struct arch_keys *k, const char *rest, uint32_t most, uint32_t fallback, uint32_t *out);

/* The same, but a result of 0 is an error. */
bool arch_key_size(
    const struct arch_keys *k, const char *rest, uint32_t most, uint32_t fallback, uint32_t *out);

/* A finite number; `fallback` where the key is missing or 0, which writers use for "none". */
bool arch_key_real(const struct arch_keys *k, const char *rest, double fallback, double *out);
bool arch_key_float(const struct arch_keys *k, const char *rest, double fallback, float *out);

bool arch_key_bool(const struct arch_keys *k, const char *rest, bool fallback, bool *out);

/* Item i of an array; UINT64_MAX where it is no whole number. */
uint64_t arch_key_item(const struct checkpoint_value *a, size_t i);

/* One number for each layer, which `set` stores in the layer. The key has one number (at least 1) for all layers, or an
 * array with an item (at least `least`) for each. */
bool arch_key_layers(struct decoder *d, const struct arch_keys *k, const char *rest, uint32_t least,
    void (*set)(struct layer *l, uint32_t value));

#endif
