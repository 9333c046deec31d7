/* scan_list.c - the names of a directory, and the list of models that a scan makes.
 *
 * All names of a directory are read and sorted before any of them is examined. So the result does not depend on the order
 * in which the file system lists them, and the files of a split model are neighbours.
 */
#include "scan_walk_private.h"

#include "berth/base/text.h"
#include "berth/loaders/loader.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *scan_keep(struct scan_walk *w, void *allocated)
{
    if (!allocated) {
        w->failed = true;
        error_set(w->err, "out of memory");
    }
    return allocated;
}

char *scan_text(struct scan_walk *w, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int wrote = vasprintf(&text, format, args);
    va_end(args);
    return scan_keep(w, wrote < 0 ? NULL : text);
}

char *scan_join(struct scan_walk *w, const char *directory, const char *name, size_t size)
{
    return scan_text(w, "%s%s%.*s", directory, directory[0] ? "/" : "", (int)size, name);
}

char *scan_escaped(struct scan_walk *w, const char *text)
{
    size_t room = strlen(text) * 4 + 4;
    char *out = scan_keep(w, malloc(room));
    if (out)
        text_escape(out, room, span_of(text));
    return out;
}

/* ---- the list of models ---- */

void scan_model_release(struct scan_model *m)
{
    free(m->id);
    free(m->path);
    free(m->manifest);
    free(m->reason);
}

static void stat_model(struct scan_walk *w, struct scan_model *m)
{
    struct error ignored = {0};
    struct stat st;
    if (!volume_stat(w->v, m->path, &st, &ignored))
        return;
    m->dev = st.st_dev;
    m->ino = st.st_ino;
}

void scan_list(struct scan_walk *w, struct scan_found found)
{
    struct scan *s = w->s;
    struct scan_model m = {.path = found.path,
        .manifest = found.manifest,
        .version = found.version,
        .layout = found.layout ? found.layout->title : NULL};
    if (m.path && !found.reason)
        stat_model(w, &m);
    bool full = s->n_models == SCAN_MODELS_MAX;
    s->n_left_out += full;
    if (!full && !w->failed && s->n_models == w->room) {
        size_t room = w->room ? w->room * 2 : 16;
        struct scan_model *models = scan_keep(w, realloc(s->models, room * sizeof(*models)));
        s->models = models ? models : s->models;
        w->room = models ? room : w->room;
    }
    if (!full && !w->failed) {
        m.id = scan_escaped(w, found.label);
        m.reason = found.reason ? scan_keep(w, strdup(found.reason)) : NULL;
    }
    free(found.label);
    if (full || w->failed)
        scan_model_release(&m);
    else
        s->models[s->n_models++] = m;
}

/* ---- what a volume is ---- */

void scan_recognize(struct scan_walk *w, const struct volume_layout *layout, const char *path)
{
    struct scan *s = w->s;
    char *shown = scan_escaped(w, path);
    bool known = !shown || s->n_layouts == SCAN_LAYOUTS_MAX;
    for (size_t i = 0; !known && i < s->n_layouts; i++)
        known = s->layouts[i].title == layout->title && strcmp(s->layouts[i].path, shown) == 0;
    if (known)
        free(shown);
    else
        s->layouts[s->n_layouts++] = (struct scan_layout){.title = layout->title, .path = shown};
}

void scan_too_deep(struct scan_walk *w, const struct place *up, const char *name)
{
    char *path = w->s->too_deep ? NULL : scan_join(w, up->path, name, strlen(name));
    if (path)
        w->s->too_deep = scan_escaped(w, path);
    free(path);
}

/* ---- names ---- */

unsigned split_number(const char *name, size_t *stem)
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

size_t scan_stem(const char *name)
{
    size_t stem;
    return split_number(name, &stem) ? stem : loader_stem(name);
}

static int entry_order(const void *a, const void *b)
{
    const struct entry *first = a, *second = b;
    return strcmp(first->name, second->name);
}

const struct entry *listing_find(const struct listing *l, const char *name)
{
    struct entry key = {.name = (char *)(uintptr_t)name};
    return l->n ? bsearch(&key, l->entries, l->n, sizeof(key), entry_order) : NULL;
}

void listing_release(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->entries[i].name);
        free(l->entries[i].reason);
    }
    free(l->entries);
}

bool listing_has(const struct listing *l, const char *name, unsigned char type)
{
    const struct entry *e = listing_find(l, name);
    return e && e->type == type;
}

void listing_hide(struct listing *l, const char *name)
{
    struct entry key = {.name = (char *)(uintptr_t)name};
    struct entry *e = l->n ? bsearch(&key, l->entries, l->n, sizeof(key), entry_order) : NULL;
    if (!e)
        return;
    e->kind = HIDDEN;
    e->type = DT_REG;
}

static void listing_add(struct scan_walk *w, struct listing *l, const struct dirent *d, enum name_kind kind)
{
    if (l->n == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        struct entry *entries = scan_keep(w, realloc(l->entries, room * sizeof(*entries)));
        l->entries = entries ? entries : l->entries;
        l->room = entries ? room : l->room;
    }
    char *name = w->failed ? NULL : scan_keep(w, strdup(d->d_name));
    if (name)
        l->entries[l->n++] = (struct entry){.name = name, .kind = kind, .type = d->d_type};
}

bool listing_read(struct scan_walk *w, struct listing *l, const struct place *at, int fd, struct error *err)
{
    char name[SCAN_NAME_ROOM];
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
        if (!name_kind_is_skipped(kind) && w->s->n_files > SCAN_NAMES_MAX)
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
