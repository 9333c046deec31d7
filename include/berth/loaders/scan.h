/* scan.h - finds the models in a volume by their names; model files are not opened.
 *
 * A directory may be the cache of Hugging Face's hub, the store of Ollama or of Docker's model runner, an OCI layout, or
 * LM Studio's tree: see layout_*.c. Their manifests are read, and bounded. All else is plain files.
 *
 * A directory with config.json and model.safetensors, or its first shard, is one model with the directory's name; of
 * what else is in it only GGUF files are listed.
 *
 * The scan is four levels deep, version directories included; a layout's own directories do not count. Names that begin with a dot, documentation, scripts, the
 * side files of Hugging Face directories are no models. A file with
 * several paths is one model, named by the first path outside blobs/. A directory with numeric sub-directories holds
 * versions of one model; the highest is used. Files NAME-00001-of-00003.gguf are one model. A link that leaves the volume,
 * a pipe, a directory that cannot be read, and an id that two files have are listed with a reason, which begins with the
 * path.
 */
#ifndef BERTH_SCAN_H
#define BERTH_SCAN_H

#include "berth/loaders/volume.h"

#include <stddef.h>
#include <stdint.h>

#define SCAN_DEPTH 4
#define SCAN_MODELS_MAX 4096
#define SCAN_LAYOUTS_MAX 16 /* that are told */

struct scan_model {
    /* Path below the volume without the format's extension, escaped, UTF-8. The only model of a version has the name of
     * the directory above (m/2/x.gguf is "m"); several have that and their own names ("m/x"). */
    char *id;
    char *path; /* of the weights below the volume, bytes as the directory has them */
    char *
        manifest; /* path of what says which files the model has, for loaded_open_manifest; NULL: `path` is all */
    const char *layout; /* title of the layout that it was found in; NULL: a plain file */
    dev_t dev; /* with ino: the file behind the path; both 0 where there is a reason */
    ino_t ino;
    uint64_t version; /* of its numeric directory; 1 when there is none */
    char *reason; /* why it cannot be loaded, or NULL */
};

/* A directory that some program keeps its models in. */
struct scan_layout {
    const char *title; /* "Ollama store" */
    char *path; /* below the volume, escaped; "" for itself */
};

struct scan {
    struct scan_model *models; /* sorted by id */
    size_t n_models;
    size_t n_files; /* names that were looked at, skipped ones included */
    size_t n_left_out; /* models beyond SCAN_MODELS_MAX */
    struct scan_layout layouts[SCAN_LAYOUTS_MAX]; /* those that were recognized first */
    size_t n_layouts;
    char *too_deep; /* the first directory that lies deeper than SCAN_DEPTH, escaped; NULL for none */
};

/* Lists the models of `v`. False with the reason when the volume itself cannot be read or memory ran out.
 * Free with scan_release either way. */
bool scan_volume(struct scan *s, const struct volume *v, struct error *err);
void scan_release(struct scan *s);

#endif
