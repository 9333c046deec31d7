/* scan_walk_private.h - what the files of the scan share: directories on the way down, their names, models that are listed,
 * and a row of the table of layouts.
 *
 * scan.c           walks directories, plain ones by itself and others by their layout's row
 * scan_list.c      names of a directory, the list of models
 * scan_merge.c     one entry a file, one entry an id, and one a repository
 * scan_manifest.c  the model that a manifest describes
 * layout_*.c       a layout each
 */
#ifndef BERTH_SCAN_WALK_PRIVATE_H
#define BERTH_SCAN_WALK_PRIVATE_H

#include "scan_private.h"

#include "berth/base/text.h"
#include "berth/loaders/scan.h"

#include <stdarg.h>

#define SCAN_NAMES_MAX 262144 /* names that one scan examines; further ones are left out */
#define SCAN_NAME_ROOM 200

/* A directory on the way down. The chain of them shows whether a link leads back to one of them. */
struct place {
    const char *path; /* below the volume, "" for itself */
    const char *label; /* the path without versions, which ids are made from */
    uint64_t version;
    unsigned level; /* of the names in it; 1 at the top */
    const struct volume_layout *layout; /* that it is a part of; NULL: a plain directory */
    dev_t dev;
    ino_t ino;
    const struct place *up;
};

struct scan_walk {
    struct scan *s;
    const struct volume *v;
    struct error *err;
    size_t room; /* allocated in s->models */
    bool failed; /* memory ran out or the volume itself cannot be read; err says which */
};

struct entry {
    char *name;
    enum name_kind kind;
    unsigned char type; /* DT_REG, DT_DIR and so on, after following links */
    char *reason; /* why a link could not be followed, or NULL */
};

/* The names in a directory, sorted. */
struct listing {
    struct entry *entries;
    size_t n, room;
    const struct entry
        *orphan; /* the last file that was listed in place of the missing first file of a split */
};

typedef void place_visit(struct scan_walk *w, const struct place *at, struct listing *l);

/* A way in which programs keep models in directories. It is recognized by the names in a directory. */
struct volume_layout {
    const char *title; /* "Ollama store" */
    /* Whether the directory is one. NULL: it is recognized by `settle`. */
    bool (*claims)(struct scan_walk *w, const struct place *at, const struct listing *l);
    place_visit *visit; /* lists what is in a directory that the row claims */
    /* Called with the models of the whole volume, before they are sorted; NULL: none. */
    void (*settle)(struct scan_walk *w);
};

extern const struct volume_layout layout_docker, layout_huggingface, layout_lmstudio, layout_oci,
    layout_ollama;

/* ---- scan_list.c ---- */

/* Returns `allocated`. When it is NULL the walk has failed for lack of memory. */
void *scan_keep(struct scan_walk *w, void *allocated);
char *scan_join(struct scan_walk *w, const char *directory, const char *name, size_t size);
char *scan_text(struct scan_walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *scan_escaped(struct scan_walk *w, const char *text);

/* A model to list. Its path, label and manifest are taken over; NULL path or label: memory ran out. */
struct scan_found {
    char *path, *label, *manifest;
    uint64_t version;
    const char *reason; /* copied */
    const struct volume_layout *layout;
};
void scan_list(struct scan_walk *w, struct scan_found found);
void scan_model_release(struct scan_model *m);

/* Records that the directory `path` has this layout, once. */
void scan_recognize(struct scan_walk *w, const struct volume_layout *layout, const char *path);

/* Records the first directory that lies too deep. */
void scan_too_deep(struct scan_walk *w, const struct place *up, const char *name);

/* Reads the names in a directory, except those that are skipped. False with the reason when that fails, perhaps halfway. */
bool listing_read(struct scan_walk *w, struct listing *l, const struct place *at, int fd, struct error *err);
void listing_release(struct listing *l);
const struct entry *listing_find(const struct listing *l, const char *name);
bool listing_has(const struct listing *l, const char *name, unsigned char type);
void listing_hide(struct listing *l, const char *name); /* makes the entry, where there is one, no model */

/* NAME-00002-of-00005.gguf: the file's number, 0 when it is no part of a split; `*stem` is NAME's length. */
unsigned split_number(const char *name, size_t *stem);
size_t scan_stem(
    const char *name); /* length without the numbers of a split and without the format's extension */

/* ---- scan.c ---- */

/* Opens the directory and calls `visit` with its names. A directory that cannot be read, or that links back to one above
 * it, is listed with the reason. */
void scan_enter(struct scan_walk *w, struct place *at, place_visit *visit);
void scan_visit_plain(struct scan_walk *w, const struct place *at, struct listing *l);

/* Enters the directory `name` in `up` as a part of the layout, `levels` above the depth where the scan stops. */
void scan_enter_part(struct scan_walk *w, const struct place *up, const char *name, const char *label,
    const struct volume_layout *layout, unsigned levels);

/* ---- scan_manifest.c ---- */

/* Lists the model of the manifest at `path`. Takes both texts over; either may be NULL when memory ran out. */
void scan_list_manifest(struct scan_walk *w, char *path, char *id, const struct volume_layout *layout);

/* Lists a file that should have named models, with the reason why it does not. */
void scan_list_failed(
    struct scan_walk *w, const char *path, const char *reason, const struct volume_layout *layout);

/* A reference without the names that stand for Docker's own registry. */
char *scan_docker_name(struct scan_walk *w, struct span name);

/* ---- scan_merge.c ---- */

/* Of the models from `first` on, which are the files of one repository, leaves its GGUF files, or the first file of weights
 * where it has none. The only model has the repository's id, `label`; of several, each has its own. */
void scan_settle_repository(struct scan_walk *w, size_t first, const char *label);

void scan_merge(struct scan_walk *w); /* one entry a file and one an id, sorted by id */

#endif
