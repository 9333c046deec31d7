/* loader.h - from a path to a mapped, validated, described model, whatever its format.
 *
 * Formats are known by their content. What the engine reads of a model is its checkpoint; a file of a format
 * that no loader knows is mapped and listed, and has none.
 */
#ifndef BERTH_LOADER_H
#define BERTH_LOADER_H

#include "berth/loaders/checkpoint.h"
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

struct gguf_model;
struct loader;

/* A loaded model: its files and what the loader found out. */
struct loaded {
    const struct loader *loader; /* how to release it; for nobody but loader.c */
    struct model_info info;
    struct mapping **maps; /* [n_maps], the main file first */
    size_t n_maps;
    const struct checkpoint *checkpoint; /* what the engine reads; NULL: the format's content is not read */
    struct gguf_model
        *gguf; /* the reading of the loader "gguf", which owns the checkpoint; NULL for others */
};

/* Opens, maps, validates and describes the model at `path` below the volume.
 * False with the reason, which begins with the path; then `l` is empty. Close what was loaded with
 * loaded_close. */
bool loaded_open(struct loaded *l, const struct volume *v, const char *path, struct error *err);
void loaded_close(struct loaded *l);

/* Why a model has no checkpoint, as a sentence for a person that names the format where that is known. */
const char *loaded_unread(const struct loaded *l);

uint64_t loaded_mapped_bytes(const struct loaded *l);
uint64_t loaded_resident_bytes(const struct loaded *l);

/* False with the reason when one of its files changed; see mapping_intact. */
bool loaded_intact(struct loaded *l, struct error *err);

/* Length of `name` without an extension that some loader claims (without regard to case). */
size_t loader_stem(const char *name);

#endif
