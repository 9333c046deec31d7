/* loader.h - from a path to a mapped, validated, described model, whatever its format.
 *
 * Formats are recognized by their content. The engine reads a model's checkpoint. A file of a format that no loader
 * knows is mapped and listed, and has no checkpoint.
 */
#ifndef BERTH_LOADER_H
#define BERTH_LOADER_H

#include "berth/loaders/checkpoint.h"
#include "berth/loaders/mapping.h"
#include "berth/loaders/volume.h"

/* The description of a model in its file. Empty strings and zeros where the file has none. */
struct model_info {
    const char *format; /* "gguf", "safetensors", "raw": the row's name */
    const char *kind; /* what a model of this kind does: "generate", "embed", or "" when that is unknown */
    char name[128]; /* the model's own name, escaped */
    char architecture[64]; /* escaped */
    char quantization[32]; /* "Q4_K_M" */
    uint64_t parameters;
    uint64_t context; /* tokens */
};

struct gguf_model;
struct hf_model;
struct layer_settings;
struct loader;

/* A loaded model: its files and what the loader found out. */
struct loaded {
    const struct loader *loader; /* for loader.c alone */
    struct model_info info;
    struct mapping **maps; /* [n_maps], the main file first */
    size_t n_maps;
    const struct checkpoint *checkpoint; /* what the engine reads; NULL: no loader reads this format */
    /* The reading of the loader "gguf", which owns the checkpoint; NULL for others. */
    struct gguf_model *gguf;
    /* The reading of the loader "safetensors", which owns the checkpoint; NULL for others. */
    struct hf_model *hf;
    /* What the layers of a manifest add to the file's checkpoint; NULL without a manifest. */
    struct layer_settings *settings;
    const char *const *parts; /* [n_parts], paths of a split model's files while it is opened, or NULL */
    size_t n_parts;
};

/* Opens, maps, validates and describes the model at `path` below the volume.
 * False with the reason, which begins with the path; then `l` is empty. Close what was loaded with
 * loaded_close. */
bool loaded_open(struct loaded *l, const struct volume *v, const char *path, struct error *err);
void loaded_close(struct loaded *l);

/* The same for a model of which `manifest`, a path below the volume that scan_volume gave, names the files: a manifest of
 * Ollama, Docker or OCI. Its other layers are in the checkpoint as if the file had them, and win:
 *
 *   general.sampling.*        Ollama's parameters: temp, top_k, top_p, min_p, typical_p, penalty_repeat, penalty_present,
 *                             penalty_freq; seed and n_predict, unsigned; stop, an array of strings
 *   default.system            the system text of a chat that has none
 *   default.template          what kind of chat template the manifest has and berth does not run: "Go template"
 *   tokenizer.chat_template   a layer with a Jinja template
 *
 * False with the reason. */
bool loaded_open_manifest(struct loaded *l, const struct volume *v, const char *manifest, struct error *err);

/* What a file is that is a part of a model and none by itself: "a projector for images"; NULL for a model. */
const char *loaded_companion(const struct loaded *l);

/* Why a model has no checkpoint, as a sentence for a person that names the format where that is known. */
const char *loaded_unread(const struct loaded *l);

uint64_t loaded_mapped_bytes(const struct loaded *l);
uint64_t loaded_resident_bytes(const struct loaded *l);

/* False with the reason when one of its files changed; see mapping_intact. */
bool loaded_intact(struct loaded *l, struct error *err);

/* Length of `name` without an extension that some loader claims (without regard to case). */
size_t loader_stem(const char *name);

#endif
