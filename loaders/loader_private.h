/* loader_private.h - a row of the table of formats.
 *
 * A format is one file in loaders/ and one row: the extensions of its files, a probe that recognizes its first bytes, and
 * a function that validates and describes a file. The last row, raw, takes every file that no other row recognizes.
 */
#ifndef BERTH_LOADER_PRIVATE_H
#define BERTH_LOADER_PRIVATE_H

#include "berth/loaders/loader.h"

struct loader {
    const char *name;
    const char *const *extensions; /* with their dot, NULL at the end; stripped from ids */
    /* Whether a file with these first bytes (up to 64) is of this format. */
    bool (*probe)(struct span head);
    /* Validates and describes: fills l->gguf, l->checkpoint and l->info. maps[0] is `path` mapped; more files
     * are appended by loaded_add_file. On failure the caller releases `l`. */
    bool (*read)(struct loaded *l, const struct volume *v, const char *path, struct error *err);
    void (*release)(struct loaded *l); /* of what `read` allocated; NULL for nothing */
};

extern const struct loader loader_gguf;
extern const struct loader loader_safetensors;
extern const struct loader loader_raw;

/* Opens the model whose files are `parts` [n], the first one first, as loaded_open does. */
bool loaded_open_parts(
    struct loaded *l, const struct volume *v, const char *const *parts, size_t n, struct error *err);

/* Frees what a manifest added. NULL is fine. */
void layer_settings_free(struct layer_settings *s);

/* Why berth cannot run a raw file, by its first bytes. */
const char *raw_unread(struct span bytes);

/* Maps one more file of a model that spans several, `path`, and appends it to l->maps. */
struct mapping *loaded_add_file(
    struct loaded *l, const struct volume *v, const char *path, struct error *err);

/* Fills name, architecture, quantization, parameters, context and kind from the checkpoint. False with the
 * reason when a key has the wrong type. */
bool model_info_read(struct model_info *info, const struct checkpoint *c, struct error *err);

#endif
