/* layout_oci.c - an OCI image layout: what `docker save`, skopeo, oras and podman write, unpacked.
 *
 *     index.json          {"manifests": [{"digest": "sha256:…", "annotations": {…}}]}
 *     blobs/sha256/HEX    manifests, and the layers that they name
 *
 * A manifest whose layers are GGUF files is a model. Its id is the name in its annotations; where that is a tag alone, the
 * directory's name and the tag. An index may name further indexes, two deep. Source: OCI's image-spec, image-layout.md.
 */
#include "manifest_private.h"
#include "scan_walk_private.h"

#include "berth/base/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define INDEXES 3 /* in each other, index.json counted */
#define MANIFESTS_MAX 1024 /* that a layout's indexes name in all */
#define SHORT_HEX 12

struct index_walk {
    struct scan_walk *w;
    const struct place *at;
    struct value_arena *arena;
    size_t named; /* manifests so far */
};

static bool claims(struct scan_walk *w, const struct place *at, const struct listing *l)
{
    (void)w;
    (void)at;
    return listing_has(l, "index.json", DT_REG) && listing_has(l, "blobs", DT_DIR);
}

static struct span note(struct value descriptor, const char *name)
{
    const struct value *notes = value_find(descriptor, span_of("annotations"));
    return notes ? text_member(*notes, name) : (struct span){0};
}

/* The name that a descriptor has by itself; empty for none. */
static struct span name_of(struct value descriptor)
{
    struct span name = note(descriptor, "io.containerd.image.name");
    return name.size ? name : note(descriptor, "org.opencontainers.image.ref.name");
}

/* A reference has a path or a tag behind a colon, a tag alone has neither. */
static char *id_of(const struct index_walk *x, struct span name, const char *hex)
{
    const char *label = x->at->label;
    bool whole = name.size && (memchr(name.at, '/', name.size) || memchr(name.at, ':', name.size));
    if (whole)
        return scan_docker_name(x->w, name);
    if (name.size)
        return scan_text(x->w, "%s%s%.*s", label, label[0] ? ":" : "", (int)name.size, (const char *)name.at);
    return scan_text(x->w, "%s%s%.*s", label, label[0] ? "@" : "", SHORT_HEX, hex);
}

static void read_index(struct index_walk *x, const char *path, struct span name, unsigned depth);

static bool is_index(struct value descriptor)
{
    struct span type = text_member(descriptor, "mediaType");
    return span_is(type, "application/vnd.oci.image.index.v1+json") ||
           span_is(type, "application/vnd.docker.distribution.manifest.list.v2+json");
}

static void read_descriptor(struct index_walk *x, struct value d, struct span name, unsigned depth)
{
    const char *hex = digest_hex(text_member(d, "digest"));
    struct span own = name_of(d);
    /* What a builder attests about an image is no image. */
    if (!hex || note(d, "vnd.docker.reference.type").size)
        return;
    name = own.size ? own : name;
    char *path =
        scan_text(x->w, "%s%sblobs/sha256/%.*s", x->at->path, x->at->path[0] ? "/" : "", MANIFEST_HEX, hex);
    if (!path)
        return;
    if (!is_index(d)) {
        scan_list_manifest(x->w, path, id_of(x, name, hex), &layout_oci);
        return;
    }
    read_index(x, path, name, depth + 1);
    free(path);
}

static void read_index(struct index_walk *x, const char *path, struct span name, unsigned depth)
{
    struct error err = {0};
    struct value all;
    if (depth >= INDEXES)
        error_set(&err, "%s: is an index in an index in an index; no further ones are read", path);
    if (err.text[0] || !json_file_read(x->w->v, path, x->arena, &all, &err)) {
        scan_list_failed(x->w, path, err.text, &layout_oci);
        return;
    }
    const struct value_list *list = list_member(all, "manifests").list;
    for (size_t i = 0; i < list->n && !x->w->failed; i++) {
        if (x->named++ == MANIFESTS_MAX)
            x->w->s->n_left_out++;
        if (x->named <= MANIFESTS_MAX)
            read_descriptor(x, list->items[i], name, depth);
    }
}

static void visit(struct scan_walk *w, const struct place *at, struct listing *l)
{
    (void)l;
    struct index_walk x = {.w = w, .at = at, .arena = scan_keep(w, value_arena_new(MANIFEST_ARENA))};
    char *path = scan_join(w, at->path, "index.json", strlen("index.json"));
    scan_recognize(w, &layout_oci, at->path);
    if (x.arena && path)
        read_index(&x, path, (struct span){0}, 0);
    free(path);
    value_arena_free(x.arena);
}

const struct volume_layout layout_oci = {
    .title = "OCI image layout",
    .claims = claims,
    .visit = visit,
};
