/* layout_lmstudio.c - the tree of LM Studio: PUBLISHER/REPOSITORY/FILE.gguf.
 *
 * It has no file that tells it. It is known by its shape: all model files lie exactly three levels deep, and some are GGUF.
 * The id of a model is PUBLISHER/REPOSITORY, with the file where the repository has several.
 */
#include "scan_walk_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Length of PUBLISHER/REPOSITORY when the path has three parts; else 0. */
static size_t repository_size(const char *path)
{
    const char *first = strchr(path, '/'), *second = first ? strchr(first + 1, '/') : NULL;
    return second && !strchr(second + 1, '/') ? (size_t)(second - path) : 0;
}

static bool is_gguf(const char *path)
{
    size_t size = strlen(path);
    return size > 5 && strcasecmp(path + size - 5, ".gguf") == 0;
}

/* What has a reason may be a directory that could not be read. */
static bool has_shape(const struct scan *s)
{
    bool gguf = false;
    for (size_t i = 0; i < s->n_models; i++) {
        const struct scan_model *m = &s->models[i];
        if (m->layout || m->version != 1 || (!m->reason && repository_size(m->path) == 0))
            return false;
        gguf = gguf || (repository_size(m->path) > 0 && is_gguf(m->path));
    }
    return gguf;
}

static bool same_repository(const char *a, const char *b, size_t size)
{
    return repository_size(b) == size && strncmp(a, b, size) == 0;
}

/* The files of one repository lie side by side in the order of the walk. They are taken out, and come back settled. */
static void settle_from(struct scan_walk *w, struct scan_model *all, size_t n)
{
    struct scan *s = w->s;
    for (size_t i = 0, end; i < n; i = end) {
        size_t first = s->n_models, size = repository_size(all[i].path);
        for (end = i; end < n && (end == i || (size && same_repository(all[i].path, all[end].path, size)));
             end++) {
            all[end].layout = layout_lmstudio.title;
            s->models[s->n_models++] = all[end];
        }
        char *label = size ? scan_keep(w, strndup(all[i].path, size)) : NULL;
        if (label)
            scan_settle_repository(w, first, label);
        free(label);
    }
}

static void settle(struct scan_walk *w)
{
    struct scan *s = w->s;
    size_t n = s->n_models;
    if (!has_shape(s))
        return;
    struct scan_model *all = scan_keep(w, malloc(n * sizeof(*all)));
    if (!all)
        return;
    memcpy(all, s->models, n * sizeof(*all));
    s->n_models = 0;
    scan_recognize(w, &layout_lmstudio, "");
    settle_from(w, all, n);
    free(all);
}

const struct volume_layout layout_lmstudio = {
    .title = "LM Studio tree",
    .settle = settle,
};
