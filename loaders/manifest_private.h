/* manifest_private.h - small JSON files that name the files of a model by their digests.
 *
 * Docker's registry invented them, OCI made them a standard, and Ollama and Docker's model runner keep models so. A
 * manifest is a list of layers; each has a media type and the digest of a blob of the store. Sources: OCI's image-spec
 * (manifest.md, image-index.md, image-layout.md), Ollama's server/internal/manifest, Docker's model-runner
 * (pkg/distribution/types/config.go).
 */
#ifndef BERTH_MANIFEST_PRIVATE_H
#define BERTH_MANIFEST_PRIVATE_H

#include "berth/base/value.h"
#include "berth/loaders/volume.h"

#define MANIFEST_BYTES_MAX ((size_t)1 << 20)
#define MANIFEST_LAYERS_MAX 64
#define MANIFEST_HEX 64 /* digits of a digest */

/* Reads a file of at most `most` bytes into memory that the caller frees. False with the reason, which names it. */
bool small_file_read(
    const struct volume *v, const char *path, size_t most, struct span *out, struct error *err);

/* Reads a JSON object of at most MANIFEST_BYTES_MAX bytes. False with the reason. */
bool json_file_read(
    const struct volume *v, const char *path, struct value_arena *a, struct value *out, struct error *err);

/* The member when it is a string, or an empty span. */
struct span text_member(struct value map, const char *name);
/* The member when it is a list; empty otherwise. */
struct value list_member(struct value map, const char *name);

/* The 64 digits of "sha256:…", or NULL when the text is anything else. */
const char *digest_hex(struct span digest);

enum layer_role {
    LAYER_OTHER, /* makes no difference to an answer: a licence */
    LAYER_WEIGHTS,
    LAYER_TEMPLATE, /* a chat template of Jinja */
    LAYER_GO_TEMPLATE,
    LAYER_PARAMETERS,
    LAYER_SYSTEM,
    LAYER_REFUSED, /* without it answers would be others, or wrong; `refused` says what it is */
    LAYER_ARCHIVE /* files in a tar */
};

struct manifest_layer {
    enum layer_role role;
    const char *refused;
    struct span title; /* the name of the file that it was made from, or empty */
    char path[]; /* of the blob, below the volume */
};

/* Pointers and spans lie in the arena that it was read into. */
struct manifest {
    struct manifest_layer *layers[MANIFEST_LAYERS_MAX]; /* parts of weights in their order */
    size_t n;
};

/* Reads the manifest at `path`, which shows where its store keeps blobs. False with the reason, which begins with the
 * path. */
bool manifest_read(
    struct manifest *m, struct value_arena *a, const struct volume *v, const char *path, struct error *err);

/* The first layer of this role, or NULL. */
const struct manifest_layer *manifest_find(const struct manifest *m, enum layer_role role);

/* Whether berth can serve the model: it has weights, nothing that is refused, and every blob is there. False with the
 * reason, which begins with the path. */
bool manifest_check(const struct manifest *m, const struct volume *v, const char *path, struct error *err);

#define MANIFEST_ARENA ((size_t)32 << 20) /* what reading one may take */

#endif
