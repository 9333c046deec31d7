/* layout_docker.c - the store of Docker's model runner: models.json names manifests, and blobs hold their layers.
 *
 *     models.json             {"models": [{"id": "sha256:…", "tags": ["ai/smollm2:latest"]}]}
 *     manifests/sha256/HEX
 *     blobs/sha256/HEX
 *
 * A model's id is its tag, without the name of Docker's own registry; each tag is an entry. Source: docker/model-runner,
 * pkg/distribution/internal/store.
 */
#include "manifest_private.h"
#include "scan_walk_private.h"

#include "berth/base/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static bool claims(struct scan_walk *w, const struct place *at, const struct listing *l)
{
    (void)w;
    (void)at;
    return listing_has(l, "models.json", DT_REG) && listing_has(l, "manifests", DT_DIR) &&
           listing_has(l, "blobs", DT_DIR);
}

static void list_tag(struct scan_walk *w, const struct place *at, struct span tag, const char *hex)
{
    char *manifest =
        scan_text(w, "%s%smanifests/sha256/%.*s", at->path, at->path[0] ? "/" : "", MANIFEST_HEX, hex);
    scan_list_manifest(w, manifest, scan_docker_name(w, tag), &layout_docker);
}

static void list_model(struct scan_walk *w, const struct place *at, struct value model)
{
    struct span id = text_member(model, "id");
    const char *hex = digest_hex(id);
    const struct value_list *tags = list_member(model, "tags").list;
    if (!hex)
        return;
    for (size_t i = 0; i < tags->n && !w->failed; i++)
        if (tags->items[i].kind == VALUE_STRING)
            list_tag(w, at, value_span(tags->items[i]), hex);
    if (tags->n == 0)
        list_tag(w, at, id, hex);
}

static void visit(struct scan_walk *w, const struct place *at, struct listing *l)
{
    (void)l;
    struct error err = {0};
    struct value all;
    struct value_arena *arena = scan_keep(w, value_arena_new(MANIFEST_ARENA));
    char *path = scan_join(w, at->path, "models.json", strlen("models.json"));
    scan_recognize(w, &layout_docker, at->path);
    if (arena && path && json_file_read(w->v, path, arena, &all, &err)) {
        const struct value_list *models = list_member(all, "models").list;
        for (size_t i = 0; i < models->n && !w->failed; i++)
            list_model(w, at, models->items[i]);
    } else if (arena && path) {
        scan_list_failed(w, path, err.text, &layout_docker);
    }
    free(path);
    value_arena_free(arena);
}

const struct volume_layout layout_docker = {
    .title = "store of Docker's model runner",
    .claims = claims,
    .visit = visit,
};
