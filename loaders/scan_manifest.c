/* scan_manifest.c - lists the model that a manifest describes: what the layouts with manifests share. */
#include "manifest_private.h"
#include "scan_walk_private.h"

#include "berth/base/text.h"

#include <stdlib.h>
#include <string.h>

void scan_list_manifest(struct scan_walk *w, char *path, char *id, const struct volume_layout *layout)
{
    struct error err = {0};
    struct manifest m;
    struct value_arena *arena = scan_keep(w, value_arena_new(MANIFEST_ARENA));
    bool good =
        arena && path && manifest_read(&m, arena, w->v, path, &err) && manifest_check(&m, w->v, path, &err);
    if (!arena || !path) {
        free(path);
        free(id);
    } else if (!good) {
        scan_list(w, (struct scan_found){
                         .path = path, .label = id, .version = 1, .reason = err.text, .layout = layout});
    } else {
        scan_list(w, (struct scan_found){.path = scan_keep(w, strdup(manifest_find(&m, LAYER_WEIGHTS)->path)),
                         .label = id,
                         .manifest = path,
                         .version = 1,
                         .layout = layout});
    }
    value_arena_free(arena);
}

void scan_list_failed(
    struct scan_walk *w, const char *path, const char *reason, const struct volume_layout *layout)
{
    scan_list(w, (struct scan_found){.path = scan_keep(w, strdup(path)),
                     .label = scan_keep(w, strdup(path)),
                     .version = 1,
                     .reason = reason,
                     .layout = layout});
}

char *scan_docker_name(struct scan_walk *w, struct span name)
{
    static const char *const own[] = {"index.docker.io/", "docker.io/", "library/"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        size_t size = strlen(own[i]);
        if (name.size > size && memcmp(name.at, own[i], size) == 0)
            name = (struct span){name.at + size, name.size - size};
    }
    return scan_text(w, "%.*s", (int)name.size, (const char *)name.at);
}
