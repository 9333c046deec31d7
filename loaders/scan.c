/* scan.c - walks a volume and decides by names what is a model.
 *
 * All names of a directory are read and sorted before any of them is examined. So the result does not depend on the order
 * in which the file system lists them, and the files of a split model are neighbours. Depth, the number of names and the
 * number of models are bounded.
 *
 * The id of a model is its path below the volume, without the extension and without numeric directories, which are
 * versions. If a version holds exactly one model, the file's name is left out, too: m/1/model.gguf is "m". In a version at
 * the top of the volume the file's name remains: 1/model.gguf is "model".
 */
#include "berth/loaders/scan.h"

#include "scan_private.h"

#include "berth/loaders/loader.h"
#include "berth/base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define NAMES_MAX 262144 /* names that one scan examines; further ones are left out */
#define VERSION_DIGITS 18 /* so many fit in 64 bits */
#define NAME_ROOM 200

/* A directory on the way down. The chain of them shows whether a link leads back to one of them. */
struct place {
    const char *path; /* below the volume, "" for itself */
    const char *label; /* the path without versions, which ids are made from */
    uint64_t version;
    unsigned level; /* of the names in it; 1 at the top */
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

/* Returns `allocated`. When it is NULL the walk has failed for lack of memory. */
static void *keep(struct scan_walk *w, void *allocated)
{
    if (!allocated) {
        w->failed = true;
        error_set(w->err, "out of memory");
    }
    return allocated;
}

static char *join(struct scan_walk *w, const char *directory, const char *name, size_t size)
{
    char *path = NULL;
    int wrote = asprintf(&path, "%s%s%.*s", directory, directory[0] ? "/" : "", (int)size, name);
    return keep(w, wrote < 0 ? NULL : path);
}

static char *escaped(struct scan_walk *w, const char *text)
{
    size_t room = strlen(text) * 4 + 4;
    char *out = keep(w, malloc(room));
    if (out)
        text_escape(out, room, span_of(text));
    return out;
}

static void model_release(struct scan_model *m)
{
    free(m->id);
    free(m->path);
    free(m->reason);
}

/* Lists a model. Takes over `path` and `label`, which may be NULL when memory ran out; `reason` is copied. */
static void list_model(struct scan_walk *w, char *path, char *label, uint64_t version, const char *reason)
{
    struct scan *s = w->s;
    struct scan_model m = {.path = path, .version = version};
    struct error ignored = {0};
    struct stat st;
    if (path && !reason && volume_stat(w->v, path, &st, &ignored)) {
        m.dev = st.st_dev;
        m.ino = st.st_ino;
    }
    bool full = s->n_models == SCAN_MODELS_MAX;
    s->n_left_out += full;
    if (!full && !w->failed && s->n_models == w->room) {
        size_t room = w->room ? w->room * 2 : 16;
        struct scan_model *models = keep(w, realloc(s->models, room * sizeof(*models)));
        s->models = models ? models : s->models;
        w->room = models ? room : w->room;
    }
    if (!full && !w->failed) {
        m.id = escaped(w, label);
        m.reason = reason ? keep(w, strdup(reason)) : NULL;
    }
    free(label);
    if (full || w->failed)
        model_release(&m);
    else
        s->models[s->n_models++] = m;
}

/* NAME-00002-of-00005.gguf: the file's number, 0 when it is no part of a split; `*stem` is NAME's length. */
static unsigned split_number(const char *name, size_t *stem)
{
    static const char shape[] = "-00000-of-00000.gguf";
    size_t size = strlen(name), tail = sizeof(shape) - 1;
    if (size <= tail)
        return 0;
    const char *end = name + size - tail;
    for (size_t i = 0; i < tail; i++)
        if (shape[i] == '0' ? !isdigit((unsigned char)end[i]) : tolower((unsigned char)end[i]) != shape[i])
            return 0;
    unsigned number = (unsigned)strtoul(end + 1, NULL, 10);
    unsigned count = (unsigned)strtoul(end + 10, NULL, 10);
    if (number < 1 || number > count)
        return 0;
    *stem = size - tail;
    return number;
}

static size_t stem_of(const char *name)
{
    size_t stem;
    return split_number(name, &stem) ? stem : loader_stem(name);
}

static int entry_order(const void *a, const void *b)
{
    const struct entry *first = a, *second = b;
    return strcmp(first->name, second->name);
}

static const struct entry *listing_find(const struct listing *l, const char *name)
{
    struct entry key = {.name = (char *)(uintptr_t)name};
    return l->n ? bsearch(&key, l->entries, l->n, sizeof(key), entry_order) : NULL;
}

static void listing_release(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->entries[i].name);
        free(l->entries[i].reason);
    }
    free(l->entries);
}

static void listing_add(struct scan_walk *w, struct listing *l, const struct dirent *d, enum name_kind kind)
{
    if (l->n == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        struct entry *entries = keep(w, realloc(l->entries, room * sizeof(*entries)));
        l->entries = entries ? entries : l->entries;
        l->room = entries ? room : l->room;
    }
    char *name = w->failed ? NULL : keep(w, strdup(d->d_name));
    if (name)
        l->entries[l->n++] = (struct entry){.name = name, .kind = kind, .type = d->d_type};
}

/* Reads the names in a directory, except those that are skipped. False with the reason when that fails, perhaps halfway. */
static bool listing_read(
    struct scan_walk *w, struct listing *l, const struct place *at, int fd, struct error *err)
{
    char name[NAME_ROOM];
    text_escape(name, sizeof(name), span_of(at->path[0] ? at->path : w->v->path));
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    if (!directory) {
        error_set(err, "%s: cannot be read: %s", name, strerror(errno));
        if (copy >= 0)
            close(copy);
        return false;
    }
    const struct dirent *d;
    while (errno = 0, !w->failed && (d = readdir(directory)) != NULL) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        w->s->n_files++;
        enum name_kind kind = name_kind(d->d_name);
        if (!name_kind_is_skipped(kind) && w->s->n_files > NAMES_MAX)
            w->s->n_left_out++;
        else if (!name_kind_is_skipped(kind))
            listing_add(w, l, d, kind);
    }
    int code = errno;
    closedir(directory);
    if (l->n)
        qsort(l->entries, l->n, sizeof(*l->entries), entry_order);
    return code == 0 ? true : error_set(err, "%s: cannot be read to its end: %s", name, strerror(code));
}

/* Finds out the type of a link's target, or of an entry whose type the directory does not give. */
static void entry_resolve(struct scan_walk *w, const struct place *at, struct entry *e)
{
    struct error err = {0};
    struct stat st;
    char *path = join(w, at->path, e->name, strlen(e->name));
    if (path && volume_stat(w->v, path, &st, &err)) {
        e->type = (unsigned char)IFTODT(st.st_mode);
    } else if (path) {
        e->reason = keep(w, strdup(err.text));
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

/* An executable without an extension that begins with "#!" is a script. Only here the scan opens a file. */
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
    return keep(w, wrote < 0 ? NULL : first);
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
        char name[NAME_ROOM], missing[NAME_ROOM];
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
    char *path = join(w, at->path, e->name, strlen(e->name));
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
    char *label = join(w, at->label, e->name, stem_of(e->name));
    list_model(w, path, label, at->version, why.text[0] ? why.text : NULL);
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

static void walk_directory(struct scan_walk *w, const struct place *at, int fd);

/* Lists a directory itself, with the reason why its content cannot be listed. For the volume's own directory the scan
 * fails instead. */
static void list_directory(struct scan_walk *w, const struct place *at, const char *reason)
{
    if (!at->path[0]) {
        w->failed = true;
        error_set(w->err, "%s", reason);
        return;
    }
    char *path = keep(w, strdup(at->path));
    char *label = keep(w, strdup(at->label[0] ? at->label : at->path));
    list_model(w, path, label, at->version, reason);
}

static bool leads_back(const struct place *at)
{
    for (const struct place *up = at->up; up; up = up->up)
        if (up->dev == at->dev && up->ino == at->ino)
            return true;
    return false;
}

/* Links between directories can multiply names, so directories are not entered beyond NAMES_MAX either. */
static bool may_enter(struct scan_walk *w, const struct place *up, const struct entry *e)
{
    if (up->level >= SCAN_DEPTH) {
        char *path = w->s->too_deep ? NULL : join(w, up->path, e->name, strlen(e->name));
        if (path)
            w->s->too_deep = escaped(w, path);
        free(path);
        return false;
    }
    bool many = w->s->n_files > NAMES_MAX;
    w->s->n_left_out += many;
    return !many;
}

static void enter(struct scan_walk *w, struct place *at)
{
    struct error err = {0};
    struct stat st = {0};
    char name[NAME_ROOM];
    text_escape(name, sizeof(name), span_of(at->path));
    int fd = volume_open_dir(w->v, at->path[0] ? at->path : ".", &err);
    if (fd >= 0 && fstat(fd, &st) != 0)
        error_set(&err, "%s: cannot be examined: %s", name, strerror(errno));
    at->dev = st.st_dev;
    at->ino = st.st_ino;
    if (fd >= 0 && !err.text[0] && leads_back(at))
        error_set(&err, "%s: links back to a directory that it lies in", name);
    if (fd >= 0 && !err.text[0])
        walk_directory(w, at, fd);
    else
        list_directory(w, at, err.text);
    if (fd >= 0)
        close(fd);
}

static void visit_directory(struct scan_walk *w, const struct place *up, const struct entry *e)
{
    if (!may_enter(w, up, e))
        return;
    char *path = join(w, up->path, e->name, strlen(e->name));
    char *label = join(w, up->label, e->name, strlen(e->name));
    struct place at = {
        .path = path, .label = label, .version = up->version, .level = up->level + 1, .up = up};
    if (path && label)
        enter(w, &at);
    free(path);
    free(label);
}

static void visit_version(struct scan_walk *w, const struct place *up, const struct entry *e)
{
    if (!may_enter(w, up, e))
        return;
    size_t before = w->s->n_models, left_out = w->s->n_left_out;
    char *path = join(w, up->path, e->name, strlen(e->name));
    struct place at = {.path = path, .label = up->label, .level = up->level + 1, .up = up};
    if (path && version_of(e->name, &at.version))
        enter(w, &at);
    free(path);
    if (w->failed || !up->label[0] || w->s->n_models != before + 1 || w->s->n_left_out != left_out)
        return;
    char *id = escaped(w, up->label);
    if (id) {
        free(w->s->models[before].id);
        w->s->models[before].id = id;
    }
}

static bool has_directory(const struct listing *l, const char *name)
{
    const struct entry *e = listing_find(l, name);
    return e && e->type == DT_DIR;
}

/* The cache of Hugging Face's hub: blobs/ has the files under their checksums, refs/ has names of revisions, and
 * snapshots/ has links to the blobs under the files' own names. */
static bool is_hub_store(const struct listing *l, const char *name)
{
    return (strcmp(name, "blobs") == 0 || strcmp(name, "refs") == 0) && has_directory(l, "snapshots");
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
    if (e->type == DT_DIR && !version && !is_hub_store(l, e->name))
        visit_directory(w, at, e);
    else if (e->type != DT_DIR && e->kind == MODEL && !is_side_file(l, e))
        visit_file(w, at, l, e);
}

static void walk_directory(struct scan_walk *w, const struct place *at, int fd)
{
    struct error err = {0};
    struct listing l = {0};
    if (!listing_read(w, &l, at, fd, &err))
        list_directory(w, at, err.text);
    for (size_t i = 0; i < l.n && !w->failed; i++)
        if (l.entries[i].type == DT_LNK || l.entries[i].type == DT_UNKNOWN)
            entry_resolve(w, at, &l.entries[i]);
    const struct entry *version = highest_version(&l);
    if (version)
        visit_version(w, at, version);
    for (size_t i = 0; i < l.n && !w->failed; i++)
        visit(w, at, &l, &l.entries[i]);
    listing_release(&l);
}

static int model_order(const void *a, const void *b)
{
    const struct scan_model *first = a, *second = b;
    int order = strcmp(first->id, second->id);
    return order ? order : strcmp(first->path, second->path);
}

/* ---- the whole ---- */

static bool in_blobs(const char *path)
{
    return strncmp(path, "blobs/", 6) == 0 || strstr(path, "/blobs/") != NULL;
}

/* Sorts by file, entries without a file first. Of the paths of one file the one that names the model comes first. */
static int file_order(const void *a, const void *b)
{
    const struct scan_model *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    if (in_blobs(x->path) != in_blobs(y->path))
        return in_blobs(x->path) ? 1 : -1;
    return model_order(a, b);
}

/* Keeps one path for each file: links and hard links to it are the same model. */
static void merge_paths(struct scan *s)
{
    size_t kept = 0;
    qsort(s->models, s->n_models, sizeof(*s->models), file_order);
    for (size_t i = 0; i < s->n_models; i++) {
        const struct scan_model *last = kept ? &s->models[kept - 1] : NULL;
        struct scan_model *m = &s->models[i];
        if (last && m->ino && last->dev == m->dev && last->ino == m->ino)
            model_release(m);
        else
            s->models[kept++] = *m;
    }
    s->n_models = kept;
}

static void shared_reason(struct scan_walk *w, struct scan_model *m, const struct scan_model *other, size_t n)
{
    char first[NAME_ROOM], second[NAME_ROOM], more[48] = "";
    text_escape(first, sizeof(first), span_of(m->path));
    text_escape(second, sizeof(second), span_of(other->path));
    if (n > 2)
        snprintf(more, sizeof(more), " and %zu more", n - 2);
    char *reason = NULL;
    if (asprintf(&reason, "%s and %s%s have the same id; rename all but one", first, second, more) < 0)
        reason = NULL;
    free(m->reason);
    m->reason = keep(w, reason);
}

/* Makes one entry with a reason of all models that have the same id. The list is sorted. */
static void merge_shared(struct scan_walk *w)
{
    struct scan *s = w->s;
    size_t kept = 0;
    for (size_t i = 0, n; i < s->n_models; i += n) {
        for (n = 1; i + n < s->n_models && strcmp(s->models[i].id, s->models[i + n].id) == 0; n++)
            ;
        if (n > 1)
            shared_reason(w, &s->models[i], &s->models[i + 1], n);
        for (size_t j = 1; j < n; j++)
            model_release(&s->models[i + j]);
        s->models[kept++] = s->models[i];
    }
    s->n_models = kept;
}

static void scan_single(struct scan_walk *w)
{
    const char *name = w->v->single;
    w->s->n_files = 1;
    char *path = keep(w, strdup(name));
    char *label = keep(w, strndup(name, stem_of(name)));
    list_model(w, path, label, 1, NULL);
}

bool scan_volume(struct scan *s, const struct volume *v, struct error *err)
{
    *s = (struct scan){0};
    struct scan_walk w = {.s = s, .v = v, .err = err};
    struct place top = {.path = "", .label = "", .version = 1, .level = 1};
    if (v->single)
        scan_single(&w);
    else
        enter(&w, &top);
    if (!w.failed && s->n_models) {
        merge_paths(s);
        qsort(s->models, s->n_models, sizeof(*s->models), model_order);
        merge_shared(&w);
    }
    return !w.failed;
}

void scan_release(struct scan *s)
{
    for (size_t i = 0; i < s->n_models; i++)
        model_release(&s->models[i]);
    free(s->models);
    free(s->too_deep);
    *s = (struct scan){0};
}
