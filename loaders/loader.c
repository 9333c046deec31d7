/* loader.c - the table of formats, and the steps of loading that all formats share.
 *
 * A model is open when all of its files are mapped and validated; on any failure everything is closed again. A file that
 * is cut while it is validated reads as zeros. So the result of the validation, good or bad, counts only if the files are
 * intact afterwards.
 */
#include "loader_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_BYTES 64
#define NAME_ROOM 200

/* Asked in this order; the last one knows every file. */
static const struct loader *const loaders[] = {&loader_gguf, &loader_safetensors, &loader_raw};

#define N_LOADERS (sizeof(loaders) / sizeof(*loaders))

static const struct loader *loader_for(struct span bytes)
{
    struct span head = {.at = bytes.at, .size = bytes.size < HEAD_BYTES ? bytes.size : HEAD_BYTES};
    size_t i = 0;
    while (i + 1 < N_LOADERS && !loaders[i]->probe(head))
        i++;
    return loaders[i];
}

static bool ends_in(const char *name, size_t size, const char *extension)
{
    size_t tail = strlen(extension);
    return size > tail && strcasecmp(name + size - tail, extension) == 0;
}

/* Without Git LFS, git clone writes a small text file in the place of each large one. */
static bool check_pointer(struct span bytes, struct error *err)
{
    static const char start[] = "version https://git-lfs.github.com/spec/";
    size_t size = sizeof(start) - 1;
    if (bytes.size < size || memcmp(bytes.at, start, size) != 0)
        return true;
    return error_set(err, "is a Git LFS pointer, not the model itself; fetch the model with git lfs pull");
}

/* Refuses a file that has a format's extension and content that no loader knows: it was cut, or is still being written.
 * Only a file without such an extension is raw. */
static bool check_claim(const struct loader *found, const char *path, struct error *err)
{
    for (size_t i = 0; i + 1 < N_LOADERS && found == loaders[N_LOADERS - 1]; i++)
        for (const char *const *e = loaders[i]->extensions; *e; e++)
            if (ends_in(path, strlen(path), *e))
                return error_set(err,
                    "is named as a %s file, but does not begin as one; it may be incomplete",
                    loaders[i]->name);
    return true;
}

struct mapping *loaded_add_file(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    struct mapping **maps = realloc(l->maps, (l->n_maps + 1) * sizeof(*maps));
    if (!maps) {
        error_set(err, "out of memory");
        return NULL;
    }
    l->maps = maps;
    int fd = volume_open_file(v, path, err);
    struct mapping *m = fd < 0 ? NULL : mapping_open(fd, path, err);
    if (m)
        l->maps[l->n_maps++] = m;
    return m;
}

static void name_file(const char *path, struct error *err)
{
    char name[NAME_ROOM];
    text_escape(name, sizeof(name), span_of(path));
    error_prefix(err, "%s", name);
}

static bool open_first(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    struct mapping *m = loaded_add_file(l, v, path, err);
    if (!m) {
        loaded_close(l);
        return false;
    }
    l->loader = loader_for(mapping_bytes(m));
    l->info.format = l->loader->name;
    bool valid = check_pointer(mapping_bytes(m), err) && check_claim(l->loader, path, err) &&
                 l->loader->read(l, v, path, err);
    if (!valid)
        name_file(path, err);
    struct error changed = {0};
    if (!loaded_intact(l, &changed)) {
        *err = changed;
        valid = false;
    }
    if (!valid)
        loaded_close(l);
    return valid;
}

bool loaded_open(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    *l = (struct loaded){.info = {.format = "", .kind = ""}};
    return open_first(l, v, path, err);
}

bool loaded_open_parts(
    struct loaded *l, const struct volume *v, const char *const *parts, size_t n, struct error *err)
{
    *l = (struct loaded){.info = {.format = "", .kind = ""}, .parts = parts, .n_parts = n};
    bool good = open_first(l, v, parts[0], err);
    l->parts = NULL;
    l->n_parts = 0;
    return good;
}

void loaded_close(struct loaded *l)
{
    layer_settings_free(l->settings);
    /* The parsed tables point into the mappings. */
    if (l->loader && l->loader->release)
        l->loader->release(l);
    for (size_t i = 0; i < l->n_maps; i++)
        mapping_close(l->maps[i]);
    free(l->maps);
    *l = (struct loaded){.info = {.format = "", .kind = ""}};
}

const char *loaded_unread(const struct loaded *l)
{
    return l->checkpoint || !l->n_maps ? "" : raw_unread(mapping_bytes(l->maps[0]));
}

/* By the file's own keys: general.type of ggml's docs/gguf.md, and the architecture that projectors have. */
const char *loaded_companion(const struct loaded *l)
{
    static const struct {
        const char *key, *text, *what;
    } rows[] = {
        {"general.type", "adapter", "an adapter, which changes the weights of a model"},
        {"general.type", "mmproj", "a projector, which turns images into a model's input"},
        {"general.type", "imatrix", "an importance matrix, which tools read that quantize a model"},
        {"general.architecture", "clip", "a projector, which turns images into a model's input"},
    };
    struct span text;
    struct error ignored = {0};
    for (size_t i = 0; l->checkpoint && i < sizeof(rows) / sizeof(rows[0]); i++)
        if (checkpoint_get_text(l->checkpoint, rows[i].key, &text, &ignored) == CHECKPOINT_GOT &&
            span_is(text, rows[i].text))
            return rows[i].what;
    return NULL;
}

uint64_t loaded_mapped_bytes(const struct loaded *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->n_maps; i++)
        sum += mapping_bytes(l->maps[i]).size;
    return sum;
}

uint64_t loaded_resident_bytes(const struct loaded *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->n_maps; i++)
        sum += mapping_resident(l->maps[i]);
    return sum;
}

bool loaded_intact(struct loaded *l, struct error *err)
{
    for (size_t i = 0; i < l->n_maps; i++)
        if (!mapping_intact(l->maps[i], err))
            return false;
    return true;
}

size_t loader_stem(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < N_LOADERS; i++)
        for (const char *const *e = loaders[i]->extensions; *e; e++)
            if (ends_in(name, size, *e))
                return size - strlen(*e);
    return size;
}
