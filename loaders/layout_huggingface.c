/* layout_huggingface.c - the cache that Hugging Face's programs download into.
 *
 *     hub/models--ORG--NAME/refs/main                        the name of a revision
 *                           snapshots/REVISION/m-Q4_0.gguf   a link to ../../blobs/CHECKSUM
 *                           blobs/CHECKSUM
 *
 * The volume may be hub/, a directory above it or below it. A repository's id is ORG/NAME, with the file where it has
 * several. Of several revisions the one is used that refs/main names. Source: the documentation of huggingface_hub,
 * "Understand caching".
 */
#include "manifest_private.h"
#include "scan_walk_private.h"

#include "berth/base/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define REVISION_MAX 128
#define LEVELS 2 /* of directories in a snapshot */

/* ---- the directory above hub/ ---- */

/* What lies beside hub/ and is no model: keys of users, and caches of other kinds. */
static const char *const others[] = {
    "accelerate", "assets", "datasets", "evaluate", "metrics", "modules", "stored_tokens", "token", "xet"};

static bool is_home(const struct listing *l)
{
    if (!listing_has(l, "hub", DT_DIR))
        return false;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (listing_find(l, others[i]))
            return true;
    return false;
}

static void hide_others(struct listing *l)
{
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        listing_hide(l, others[i]);
}

/* ---- a repository ---- */

static const char *name_of(const struct scan_walk *w, const struct place *at)
{
    const char *path = at->path[0] ? at->path : w->v->path, *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* ORG/NAME of models--ORG--NAME. Of a directory with another name, its label. */
static char *label_of(struct scan_walk *w, const struct place *at)
{
    const char *name = name_of(w, at);
    bool named = begins(name, "models--");
    char *label = scan_keep(w, strdup(named ? name + strlen("models--") : at->label));
    for (char *dashes = label; named && dashes && (dashes = strstr(dashes, "--")) != NULL;) {
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    }
    return label;
}

static void list_failed(
    struct scan_walk *w, const struct place *at, const char *label, const char *what, const char *detail)
{
    char *shown = scan_escaped(w, at->path[0] ? at->path : "refs/main");
    char *reason = shown ? scan_text(w, "%s: %s%s", shown, what, detail) : NULL;
    if (reason)
        scan_list(w, (struct scan_found){.path = scan_keep(w, strdup(at->path)),
                         .label = scan_keep(w, strdup(label[0] ? label : name_of(w, at))),
                         .version = 1,
                         .reason = reason,
                         .layout = &layout_huggingface});
    free(shown);
    free(reason);
}

/* A revision is the name of a directory, and nothing else. */
static bool is_revision(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/');
}

/* Reads refs/main. False when there is no such file; the reason, in `err`, when there is one that is of no use. */
static bool read_main(struct scan_walk *w, const struct place *at, char out[REVISION_MAX], struct error *err)
{
    struct error absent = {0};
    struct stat st;
    struct span text;
    char *path = scan_join(w, at->path, "refs/main", strlen("refs/main"));
    out[0] = '\0';
    bool there = path && volume_stat(w->v, path, &st, &absent);
    if (there && small_file_read(w->v, path, REVISION_MAX - 1, &text, err)) {
        size_t size = 0;
        while (size < text.size && text.at[size] > ' ' && text.at[size] < 0x7f)
            size++;
        memcpy(out, text.at, size);
        out[size] = '\0';
        if (!is_revision(out))
            error_set(err, "refs/main: names no revision");
        free((uint8_t *)(uintptr_t)text.at);
    }
    free(path);
    return there;
}

struct snapshots {
    char only[REVISION_MAX]; /* the name of the last one */
    size_t n;
};

static bool find_snapshot(const struct listing *l, const char *name, struct snapshots *all)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct entry *e = &l->entries[i];
        if (e->type != DT_DIR || strlen(e->name) >= sizeof(all->only))
            continue;
        all->n++;
        strcpy(all->only, e->name);
    }
    return name[0] && listing_has(l, name, DT_DIR);
}

/* Lists the files of the revision that refs/main names; where there is no refs/main, of the only one. */
static void visit_snapshots(struct scan_walk *w, const struct place *at, struct listing *l)
{
    char revision[REVISION_MAX];
    struct error err = {0};
    struct snapshots all = {0};
    const struct place *repository = at->up;
    bool main = read_main(w, repository, revision, &err);
    bool found = find_snapshot(l, revision, &all);
    size_t first = w->s->n_models;
    if (err.text[0])
        list_failed(w, repository, at->label, err.text, "");
    else if (main && !found)
        list_failed(
            w, repository, at->label, "refs/main names a revision that is not in snapshots: ", revision);
    else if (!main && all.n > 1)
        list_failed(
            w, repository, at->label, "has several snapshots and no refs/main that names one of them", "");
    else if (found || all.n == 1) {
        scan_enter_part(w, at, found ? revision : all.only, at->label, &layout_huggingface, LEVELS);
        if (!w->failed)
            scan_settle_repository(w, first, at->label);
    }
    if (w->s->n_models == first && !w->failed)
        list_failed(w, repository, at->label, "has no model file in its snapshot", "");
}

/* A link that cannot be followed is told when the directory is entered. */
static bool is_repository(const struct listing *l)
{
    const struct entry *e = listing_find(l, "snapshots");
    return e && (e->type == DT_DIR || e->reason) &&
           (listing_has(l, "refs", DT_DIR) || listing_has(l, "blobs", DT_DIR));
}

static bool claims(struct scan_walk *w, const struct place *at, const struct listing *l)
{
    (void)w;
    (void)at;
    return is_repository(l) || is_home(l);
}

/* Tells the directory that the repository lies in. */
static void recognize(struct scan_walk *w, const struct place *at)
{
    const char *slash = strrchr(at->path, '/');
    char *above = scan_keep(w, strndup(at->path, slash ? (size_t)(slash - at->path) : 0));
    if (above)
        scan_recognize(w, &layout_huggingface, above);
    free(above);
}

static void visit(struct scan_walk *w, const struct place *at, struct listing *l)
{
    const char *name = name_of(w, at);
    if (!is_repository(l)) {
        hide_others(l);
        scan_visit_plain(w, at, l);
        return;
    }
    if (begins(name, "datasets--") || begins(name, "spaces--"))
        return;
    recognize(w, at);
    char *label = label_of(w, at), *path = scan_join(w, at->path, "snapshots", strlen("snapshots"));
    struct place in = {.path = path, .label = label, .version = 1, .layout = &layout_huggingface, .up = at};
    if (label && path)
        scan_enter(w, &in, visit_snapshots);
    free(label);
    free(path);
}

const struct volume_layout layout_huggingface = {
    .title = "Hugging Face cache",
    .claims = claims,
    .visit = visit,
};
