/* scan_merge.c - from the files that were found to one entry a file, one an id, and one a repository. */
#include "scan_walk_private.h"

#include "berth/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int model_order(const void *a, const void *b)
{
    const struct scan_model *first = a, *second = b;
    int order = strcmp(first->id, second->id);
    return order ? order : strcmp(first->path, second->path);
}

/* ---- files ---- */

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

/* Keeps one path for each file: links and hard links to it are the same model. Manifests are names that somebody gave: each
 * stays, and so does what differs in its settings. */
static void merge_paths(struct scan *s)
{
    size_t kept = 0;
    qsort(s->models, s->n_models, sizeof(*s->models), file_order);
    for (size_t i = 0; i < s->n_models; i++) {
        const struct scan_model *last = kept ? &s->models[kept - 1] : NULL;
        struct scan_model *m = &s->models[i];
        if (last && m->ino && last->dev == m->dev && last->ino == m->ino && !last->manifest && !m->manifest)
            scan_model_release(m);
        else
            s->models[kept++] = *m;
    }
    s->n_models = kept;
}

/* ---- ids ---- */

static void shared_reason(struct scan_walk *w, struct scan_model *m, const struct scan_model *other, size_t n)
{
    char first[SCAN_NAME_ROOM], second[SCAN_NAME_ROOM], more[48] = "";
    text_escape(first, sizeof(first), span_of(m->path));
    text_escape(second, sizeof(second), span_of(other->path));
    if (n > 2)
        snprintf(more, sizeof(more), " and %zu more", n - 2);
    char *reason = NULL;
    if (asprintf(&reason, "%s and %s%s have the same id; rename all but one", first, second, more) < 0)
        reason = NULL;
    free(m->reason);
    m->reason = scan_keep(w, reason);
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
            scan_model_release(&s->models[i + j]);
        s->models[kept++] = s->models[i];
    }
    s->n_models = kept;
}

void scan_merge(struct scan_walk *w)
{
    struct scan *s = w->s;
    if (s->n_models == 0)
        return;
    merge_paths(s);
    qsort(s->models, s->n_models, sizeof(*s->models), model_order);
    merge_shared(w);
}

/* ---- repositories ---- */

static bool has_ending(const struct scan_model *m, const char *ending)
{
    size_t size = strlen(m->path), tail = strlen(ending);
    return size > tail && strcasecmp(m->path + size - tail, ending) == 0;
}

/* Files beside the models of a repository, by the names that the tools which make them give. */
static bool is_companion(const struct scan_model *m)
{
    const char *slash = strrchr(m->path, '/'), *name = slash ? slash + 1 : m->path;
    return strcasestr(name, "mmproj") || strcasestr(name, "imatrix");
}

/* The file that stands for weights in another format. */
static size_t representative(const struct scan *s, size_t first)
{
    for (size_t i = first; i < s->n_models; i++)
        if (has_ending(&s->models[i], ".safetensors"))
            return i;
    return first;
}

static void keep_one(struct scan *s, size_t first, size_t kept)
{
    for (size_t i = first; i < s->n_models; i++)
        if (i != kept)
            scan_model_release(&s->models[i]);
    if (kept < s->n_models)
        s->models[first] = s->models[kept];
    s->n_models = kept < s->n_models ? first + 1 : first;
}

static void keep_gguf(struct scan *s, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < s->n_models; i++)
        if (has_ending(&s->models[i], ".gguf"))
            s->models[kept++] = s->models[i];
        else
            scan_model_release(&s->models[i]);
    s->n_models = kept;
}

static void name_model(struct scan_walk *w, size_t index, const char *label)
{
    char *id = scan_escaped(w, label);
    if (!id)
        return;
    free(w->s->models[index].id);
    w->s->models[index].id = id;
}

void scan_settle_repository(struct scan_walk *w, size_t first, const char *label)
{
    struct scan *s = w->s;
    size_t gguf = 0, models = 0, last = first;
    for (size_t i = first; i < s->n_models; i++)
        gguf += has_ending(&s->models[i], ".gguf");
    if (gguf > 0)
        keep_gguf(s, first);
    else
        keep_one(s, first, representative(s, first));
    for (size_t i = first; i < s->n_models; i++)
        if (!is_companion(&s->models[i])) {
            models++;
            last = i;
        }
    if (models == 1 && label[0])
        name_model(w, last, label);
}
