/* layout_ollama.c - the store of Ollama: manifests name models, and blobs hold their layers.
 *
 *     manifests/registry.ollama.ai/library/llama3.2/latest   JSON: layers by media type and digest
 *     blobs/sha256-…
 *
 * A model's id is what Ollama's own lists call it: llama3.2:latest, user/model:7b, hf.co/org/model:Q4_K_M. Each manifest is
 * a model of its own, also where two name the same weights, since their settings may differ.
 */
#include "manifest_private.h"
#include "scan_walk_private.h"

#include "berth/base/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define NAME_PARTS 4 /* HOST/NAMESPACE/NAME/TAG */

static bool claims(struct scan_walk *w, const struct place *at, const struct listing *l)
{
    (void)w;
    (void)at;
    return listing_has(l, "manifests", DT_DIR) && listing_has(l, "blobs", DT_DIR);
}

/* NAME:TAG, with namespace and host where they are not Ollama's own. `label` is HOST/NAMESPACE/NAME. */
static char *id_of(struct scan_walk *w, const char *label, const char *tag)
{
    static const char host[] = "registry.ollama.ai/", namespace[] = "library/";
    if (strncmp(label, host, sizeof(host) - 1) == 0) {
        label += sizeof(host) - 1;
        if (strncmp(label, namespace, sizeof(namespace) - 1) == 0)
            label += sizeof(namespace) - 1;
    }
    return scan_text(w, "%s:%s", label, tag);
}

static void visit_names(struct scan_walk *w, const struct place *at, struct listing *l);

static void visit_name(struct scan_walk *w, const struct place *at, const struct entry *e)
{
    char *path = scan_join(w, at->path, e->name, strlen(e->name));
    char *label = scan_join(w, at->label, e->name, strlen(e->name));
    struct place in = {.path = path,
        .label = label,
        .version = 1,
        .level = at->level + 1,
        .layout = &layout_ollama,
        .up = at};
    if (path && label)
        scan_enter(w, &in, visit_names);
    free(path);
    free(label);
}

/* What is no directory above a tag's file, and what lies deeper, is no model. */
static void visit_names(struct scan_walk *w, const struct place *at, struct listing *l)
{
    for (size_t i = 0; i < l->n && !w->failed; i++) {
        const struct entry *e = &l->entries[i];
        bool many = w->s->n_files > SCAN_NAMES_MAX;
        if (e->type == DT_DIR && at->level == NAME_PARTS)
            scan_too_deep(w, at, e->name);
        else if (e->type == DT_DIR && many)
            w->s->n_left_out++;
        else if (e->type == DT_DIR)
            visit_name(w, at, e);
        else if (at->level == NAME_PARTS)
            scan_list_manifest(w, scan_join(w, at->path, e->name, strlen(e->name)),
                id_of(w, at->label, e->name), &layout_ollama);
    }
}

static void visit(struct scan_walk *w, const struct place *at, struct listing *l)
{
    (void)l;
    scan_recognize(w, &layout_ollama, at->path);
    char *path = scan_join(w, at->path, "manifests", strlen("manifests"));
    struct place in = {
        .path = path, .label = "", .version = 1, .level = 1, .layout = &layout_ollama, .up = at};
    if (path)
        scan_enter(w, &in, visit_names);
    free(path);
}

const struct volume_layout layout_ollama = {
    .title = "Ollama store",
    .claims = claims,
    .visit = visit,
};
