/* loader.h - from a path to a mapped, validated, described model, whatever its format.
 *
 * A format is one file in loaders/ and one row in the table of loader.c: the extensions that its files may
 * have, a look at the first bytes that tells whether a file is of this format, and a function that validates
 * and describes it. Formats are known by content; the last row, raw, takes what no other knows.
 */
#ifndef BERTH_LOADER_H
#define BERTH_LOADER_H

#include "berth/loaders/mapping.h"
#include "berth/loaders/volume.h"

/* What a file says of the model in it. Empty strings and zeros where it says nothing. */
struct model_info {
    const char *format; /* "gguf", "raw": the row's name */
    const char *kind; /* what it could do: "generate", "embed", or "" when that is unknown */
    char name[128]; /* the model's own name, escaped */
    char architecture[64]; /* escaped */
    char quantization[32]; /* "Q4_K_M" */
    uint64_t parameters;
    uint64_t context; /* tokens */
};

struct loader;

/* A loaded model: its files and what the loader found out. */
struct loaded {
    const struct loader *loader;
    struct model_info info;
    struct mapping **maps; /* [n_maps], the main file first */
    size_t n_maps;
    void *parsed; /* the loader's own reading (struct gguf_model *), NULL for raw */
};

struct loader {
    const char *name;
    const char *const *extensions; /* with their dot, NULL at the end; stripped from ids */
    /* Whether a file with these first bytes (up to 64) is of this format. */
    bool (*probe)(struct span head);
    /* Validates and describes. maps[0] is `path` mapped; more files are appended by loaded_add_file.
     * On failure the caller releases `l`. */
    bool (*read)(struct loaded *l, const struct volume *v, const char *path, struct error *err);
    void (*release)(void *parsed); /* NULL when there is nothing to release */
};

extern const struct loader loader_gguf;
extern const struct loader loader_raw;

/* Opens, maps, validates and describes the model at `path` below the volume.
 * False with the reason, which begins with the path; then `l` is empty. Close what was loaded with
 * loaded_close. */
bool loaded_open(struct loaded *l, const struct volume *v, const char *path, struct error *err);
void loaded_close(struct loaded *l);

/* For loaders whose model spans several files: maps `path` and appends it to l->maps. */
struct mapping *loaded_add_file(
    struct loaded *l, const struct volume *v, const char *path, struct error *err);

uint64_t loaded_mapped_bytes(const struct loaded *l);
uint64_t loaded_resident_bytes(const struct loaded *l);

/* False with the reason when one of its files changed; see mapping_intact. */
bool loaded_intact(struct loaded *l, struct error *err);

/* Length of `name` without an extension that some loader claims (without regard to case). */
size_t loader_stem(const char *name);

#endif
