/* scan.c - walks a volume and decides by names what is a model.
 *
 * A directory whose names are those of a known layout is listed by its row (layout_*.c), any other by its files' names.
 * Depth, the number of names and the number of models are bounded.
 *
 * The id of a model is its path below the volume, without the extension and without numeric directories, which are
 * versions. If a version holds exactly one model, the file's name is left out, too: m/1/model.gguf is "m". In a version at
 * the top of the volume the file's name remains: 1/model.gguf is "model".
 */
#include "scan_walk_private.h"

#include "berth/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define VERSION_DIGITS 18 /* so many fit in 64 bits */

/* Asked in this order. */
static const struct volume_layout *const layouts[] = {
    &layout_huggingface, &layout_docker, &layout_oci, &layout_ollama, &layout_lmstudio};

#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

/* Finds out the type of a link's target, or of an entry whose type the directory does not give. */
static void entry_resolve(struct scan_walk *w, const struct place *at, struct entry *e)
{
    struct error err = {0};
    struct stat st;
    char *path = scan_join(w, at->path, e->name, strlen(e->name));
    if (path && volume_stat(w->v, path, &st, &err)) {
        e->type = (unsigned char)IFTODT(st.st_mode);
    } else if (path) {
        e->reason = scan_keep(w, strdup(err.text));
    }
    free(path);
}

/* Gets the reason for a pipe, a socket or a device from volume_open_file, which does not open those. */
static void refuse_odd(const struct scan_walk *w, const char *path, struct error *why)
{
    int fd = volume_open_file(w->v, path, why);
    if (fd >= 0)
        close(fd);
}

/* An executable without an extension that begins with "#!" is a script. Only here the scan opens a file
 * that may be a model. */
static bool is_program(const struct scan_walk *w, const char *path, const char *name)
{
    struct stat st;
    struct error err = {0};
    if (strchr(name, '.') || !volume_stat(w->v, path, &st, &err) || !(st.st_mode & 0111))
        return false;
    char head[2] = "";
    int fd = volume_open_file(w->v, path, &err);
    if (fd < 0)
        return false;
    ssize_t got = pread(fd, head, sizeof(head), 0);
    close(fd);
    return got == 2 && memcmp(head, "#!", 2) == 0;
}

static char *split_first(struct scan_walk *w, const char *name, size_t stem)
{
    char *first = NULL;
    int wrote = asprintf(&first, "%.*s-00001%s", (int)stem, name, name + stem + strlen("-00001"));
    return scan_keep(w, wrote < 0 ? NULL : first);
}

/* A split model is listed under its first file. Where that is missing, it is listed once, under the lowest number that
 * exists, with the reason. True when `e` must not be listed by itself. */
static bool split_belongs(
    struct scan_walk *w, struct listing *l, const struct entry *e, size_t stem, struct error *why)
{
    size_t other = 0;
    const char *orphan = l->orphan ? l->orphan->name : NULL;
    char *first = split_first(w, e->name, stem);
    bool there = !first || listing_find(l, first);
    bool told =
        orphan && split_number(orphan, &other) && other == stem && strncmp(orphan, e->name, stem) == 0;
    if (!there && !told) {
        char name[SCAN_NAME_ROOM], missing[SCAN_NAME_ROOM];
        text_escape(name, sizeof(name), span_of(e->name));
        text_escape(missing, sizeof(missing), span_of(first));
        error_set(why, "%s: is a part of a split model whose first file, %s, is missing", name, missing);
        l->orphan = e;
    }
    free(first);
    return there || told;
}

static void visit_file(struct scan_walk *w, const struct place *at, struct listing *l, const struct entry *e)
{
    size_t stem = 0;
    struct error why = {0};
    if (split_number(e->name, &stem) > 1 && split_belongs(w, l, e, stem, &why))
        return;
    char *path = scan_join(w, at->path, e->name, strlen(e->name));
    if (!path)
        return;
    if (e->reason)
        error_set(&why, "%s", e->reason);
    else if (e->type != DT_REG)
        refuse_odd(w, path, &why);
    else if (is_program(w, path, e->name)) {
        free(path);
        return;
    }
    scan_list(w, (struct scan_found){.path = path,
                     .label = scan_join(w, at->label, e->name, scan_stem(e->name)),
                     .version = at->version,
                     .reason = why.text[0] ? why.text : NULL,
                     .layout = at->layout});
}

static bool version_of(const char *name, uint64_t *version)
{
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || digits > VERSION_DIGITS || name[digits])
        return false;
    *version = strtoull(name, NULL, 10);
    return true;
}

/* The directory with the highest number, or NULL. */
static const struct entry *highest_version(const struct listing *l)
{
    const struct entry *best = NULL;
    uint64_t highest = 0, version;
    for (size_t i = 0; i < l->n; i++) {
        const struct entry *e = &l->entries[i];
        if (e->type != DT_DIR || !version_of(e->name, &version) || (best && version <= highest))
            continue;
        best = e;
        highest = version;
    }
    return best;
}

/* Lists a directory itself, with the reason why its content cannot be listed. For the volume's own directory the scan
 * fails instead. */
static void list_directory(struct scan_walk *w, const struct place *at, const char *reason)
{
    if (!at->path[0]) {
        w->failed = true;
        error_set(w->err, "%s", reason);
        return;
    }
    scan_list(w, (struct scan_found){.path = scan_keep(w, strdup(at->path)),
                     .label = scan_keep(w, strdup(at->label[0] ? at->label : at->path)),
                     .version = at->version,
                     .reason = reason,
                     .layout = at->layout});
}

static bool leads_back(const struct place *at)
{
    for (const struct place *up = at->up; up; up = up->up)
        if (up->dev == at->dev && up->ino == at->ino)
            return true;
    return false;
}

/* Links between directories can multiply names, so directories are not entered beyond SCAN_NAMES_MAX either. */
static bool may_enter(struct scan_walk *w, const struct place *up, const char *name)
{
    if (up->level >= SCAN_DEPTH) {
        scan_too_deep(w, up, name);
        return false;
    }
    bool many = w->s->n_files > SCAN_NAMES_MAX;
    w->s->n_left_out += many;
    return !many;
}

static void read_directory(struct scan_walk *w, const struct place *at, int fd, place_visit *visit)
{
    struct error err = {0};
    struct listing l = {0};
    if (!listing_read(w, &l, at, fd, &err))
        list_directory(w, at, err.text);
    for (size_t i = 0; i < l.n && !w->failed; i++)
        if (l.entries[i].type == DT_LNK || l.entries[i].type == DT_UNKNOWN)
            entry_resolve(w, at, &l.entries[i]);
    if (!w->failed)
        visit(w, at, &l);
    listing_release(&l);
}

void scan_enter(struct scan_walk *w, struct place *at, place_visit *visit)
{
    struct error err = {0};
    struct stat st = {0};
    char name[SCAN_NAME_ROOM];
    text_escape(name, sizeof(name), span_of(at->path));
    int fd = volume_open_dir(w->v, at->path[0] ? at->path : ".", &err);
    if (fd >= 0 && fstat(fd, &st) != 0)
        error_set(&err, "%s: cannot be examined: %s", name, strerror(errno));
    at->dev = st.st_dev;
    at->ino = st.st_ino;
    if (fd >= 0 && !err.text[0] && leads_back(at))
        error_set(&err, "%s: links back to a directory that it lies in", name);
    if (fd >= 0 && !err.text[0])
        read_directory(w, at, fd, visit);
    else
        list_directory(w, at, err.text);
    if (fd >= 0)
        close(fd);
}

void scan_enter_part(struct scan_walk *w, const struct place *up, const char *name, const char *label,
    const struct volume_layout *layout, unsigned levels)
{
    struct place at = {.path = scan_join(w, up->path, name, strlen(name)),
        .label = label,
        .version = 1,
        .level = SCAN_DEPTH - levels,
        .layout = layout,
        .up = up};
    if (at.path)
        scan_enter(w, &at, scan_visit_plain);
    free((char *)(uintptr_t)at.path);
}

/* ---- plain directories ---- */

static void visit_place(struct scan_walk *w, const struct place *at, struct listing *l)
{
    for (size_t i = 0; i < N_LAYOUTS && !at->layout; i++) {
        if (!layouts[i]->claims || !layouts[i]->claims(w, at, l))
            continue;
        layouts[i]->visit(w, at, l);
        return;
    }
    scan_visit_plain(w, at, l);
}

static void visit_directory(struct scan_walk *w, const struct place *up, const struct entry *e)
{
    if (!may_enter(w, up, e->name))
        return;
    char *path = scan_join(w, up->path, e->name, strlen(e->name));
    char *label = scan_join(w, up->label, e->name, strlen(e->name));
    struct place at = {.path = path,
        .label = label,
        .version = up->version,
        .level = up->level + 1,
        .layout = up->layout,
        .up = up};
    if (path && label)
        scan_enter(w, &at, visit_place);
    free(path);
    free(label);
}

static void visit_version(struct scan_walk *w, const struct place *up, const struct entry *e)
{
    if (!may_enter(w, up, e->name))
        return;
    size_t before = w->s->n_models, left_out = w->s->n_left_out;
    char *path = scan_join(w, up->path, e->name, strlen(e->name));
    struct place at = {
        .path = path, .label = up->label, .level = up->level + 1, .layout = up->layout, .up = up};
    if (path && version_of(e->name, &at.version))
        scan_enter(w, &at, visit_place);
    free(path);
    if (w->failed || !up->label[0] || w->s->n_models != before + 1 || w->s->n_left_out != left_out)
        return;
    char *id = scan_escaped(w, up->label);
    if (id) {
        free(w->s->models[before].id);
        w->s->models[before].id = id;
    }
}

/* A directory of Hugging Face has many JSON files beside the weights, under any names. */
static bool is_side_file(const struct listing *l, const struct entry *e)
{
    static const char *const marks[] = {
        "config.json", "tokenizer.json", "tokenizer_config.json", "model_index.json", "modules.json"};
    size_t size = strlen(e->name);
    if (size < 5 || strcasecmp(e->name + size - 5, ".json") != 0)
        return false;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (listing_find(l, marks[i]))
            return true;
    return false;
}

static void visit(struct scan_walk *w, const struct place *at, struct listing *l, const struct entry *e)
{
    uint64_t number;
    bool version = version_of(e->name, &number);
    if (e->type == DT_DIR && !version)
        visit_directory(w, at, e);
    else if (e->type != DT_DIR && e->kind == MODEL && !is_side_file(l, e))
        visit_file(w, at, l, e);
}

/* ---- Hugging Face directories ---- */

/* The weights of a directory as it was downloaded: one file, or the first of several, beside a config.json. */
static const struct entry *directory_weights(const struct listing *l)
{
    static const char first[] = "model-00001-of-";
    const struct entry *whole = listing_find(l, "model.safetensors");
    if (!listing_find(l, "config.json") || whole)
        return listing_find(l, "config.json") ? whole : NULL;
    for (size_t i = 0; i < l->n; i++)
        if (strncmp(l->entries[i].name, first, sizeof(first) - 1) == 0 &&
            span_ends_with(span_of(l->entries[i].name), ".safetensors"))
            return &l->entries[i];
    return NULL;
}

/* The directory's name, where the volume itself is one. */
static char *directory_label(struct scan_walk *w, const struct place *at)
{
    const char *path = w->v->path, *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const bool none = !name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    return scan_keep(w, strdup(at->label[0] ? at->label : none ? "model" : name));
}

/* Lists the directory as one model. Everything else in it but GGUF files is a part of it. */
static void visit_model_directory(
    struct scan_walk *w, const struct place *at, struct listing *l, const struct entry *weights)
{
    scan_list(w, (struct scan_found){.path = scan_join(w, at->path, weights->name, strlen(weights->name)),
                     .label = directory_label(w, at),
                     .version = at->version,
                     .reason = weights->reason,
                     .layout = at->layout});
    for (size_t i = 0; i < l->n && !w->failed; i++)
        if (span_ends_with(span_of(l->entries[i].name), ".gguf"))
            visit(w, at, l, &l->entries[i]);
}

void scan_visit_plain(struct scan_walk *w, const struct place *at, struct listing *l)
{
    const struct entry *weights = directory_weights(l);
    if (weights) {
        visit_model_directory(w, at, l, weights);
        return;
    }
    const struct entry *version = highest_version(l);
    if (version)
        visit_version(w, at, version);
    for (size_t i = 0; i < l->n && !w->failed; i++)
        visit(w, at, l, &l->entries[i]);
}

/* ---- the whole ---- */

static void scan_single(struct scan_walk *w)
{
    const char *name = w->v->single;
    w->s->n_files = 1;
    char *path = scan_keep(w, strdup(name));
    char *label = scan_keep(w, strndup(name, scan_stem(name)));
    scan_list(w, (struct scan_found){.path = path, .label = label, .version = 1});
}

bool scan_volume(struct scan *s, const struct volume *v, struct error *err)
{
    *s = (struct scan){0};
    struct scan_walk w = {.s = s, .v = v, .err = err};
    struct place top = {.path = "", .label = "", .version = 1, .level = 1};
    if (v->single)
        scan_single(&w);
    else
        scan_enter(&w, &top, visit_place);
    for (size_t i = 0; i < N_LAYOUTS && !v->single && !w.failed; i++)
        if (layouts[i]->settle)
            layouts[i]->settle(&w);
    if (!w.failed)
        scan_merge(&w);
    return !w.failed;
}

void scan_release(struct scan *s)
{
    for (size_t i = 0; i < s->n_models; i++)
        scan_model_release(&s->models[i]);
    for (size_t i = 0; i < s->n_layouts; i++)
        free(s->layouts[i].path);
    free(s->models);
    free(s->too_deep);
    *s = (struct scan){0};
}
