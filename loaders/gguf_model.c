/* gguf_model.c - a model in the GGUF format, in one file or several.
 *
 * A large model may be split into files NAME-00001-of-00003.gguf. Each is a complete GGUF file with tensors of its own; the
 * first has the model's keys. The files' names and their keys (split.no, split.count, split.tensors.count) must agree,
 * because a part of another model may have a fitting name. No tensor may appear in two parts.
 */
#include "berth/loaders/gguf.h"
#include "loader_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOWN 128 /* room for a path in a message */

/* --- The parts of a split model --- */

/* The numbers in the name of a part. */
struct part_name {
    size_t number_at; /* index of the part's five digits in the path */
    unsigned number; /* from 1 */
    unsigned count;
};

static bool five_digits(const char *at, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 5; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(at[i] - '0');
    }
    return true;
}

/* Whether `path` ends in -00001-of-00003.gguf. */
static bool part_name_read(struct part_name *p, const char *path)
{
    const size_t tail_size = strlen("-00001-of-00003.gguf");
    size_t size = strlen(path);
    if (size < tail_size)
        return false;
    const char *tail = path + size - tail_size;
    p->number_at = size - tail_size + 1;
    return tail[0] == '-' && five_digits(tail + 1, &p->number) && strncmp(tail + 6, "-of-", 4) == 0 &&
           five_digits(tail + 10, &p->count) && strcasecmp(tail + 15, ".gguf") == 0;
}

/* Checks that a part has this key with this value. */
static bool check_split_key(const struct gguf *g, const char *key, uint64_t expected, struct error *err)
{
    uint64_t value = 0;
    enum checkpoint_got got = checkpoint_get_u64(&g->checkpoint, key, &value, err);
    if (got == CHECKPOINT_WRONG)
        return false;
    if (got == CHECKPOINT_ABSENT)
        return error_set(err, "has no key \"%s\", so it is no part of a split model", key);
    if (value != expected)
        return error_set(err, "key \"%s\" is %" PRIu64 "; %" PRIu64 " is needed", key, value, expected);
    return true;
}

/* Maps and reads part number `i` (from 0) and appends it to the model. */
static bool add_part(
    struct loaded *l, const struct volume *v, const char *path, size_t i, size_t count, struct error *err)
{
    struct gguf_model *m = l->gguf;
    struct mapping *map = loaded_add_file(l, v, path, err);
    if (!map)
        return false;
    struct gguf *g = gguf_read(mapping_bytes(map), err);
    if (g)
        m->files[m->n_files++] = g;
    if (g && check_split_key(g, "split.no", i, err) && check_split_key(g, "split.count", count, err))
        return true;
    char shown[SHOWN];
    text_escape(shown, sizeof(shown), span_of(path));
    return error_prefix(err, "%s", shown);
}

static bool add_parts(struct loaded *l, const struct volume *v, const char *path,
    const struct part_name *name, struct error *err)
{
    char *part = strdup(path);
    if (!part)
        return error_set(err, "no memory");
    bool good = true;
    for (size_t i = 1; i < name->count && good; i++) {
        char digits[16];
        snprintf(digits, sizeof(digits), "%05zu", i + 1);
        memcpy(part + name->number_at, digits, 5);
        good = add_part(l, v, part, i, name->count, err);
    }
    free(part);
    return good;
}

/* The files of a split model where a manifest names them. */
static bool add_named_parts(struct loaded *l, const struct volume *v, uint64_t count, struct error *err)
{
    struct gguf_model *m = l->gguf;
    if (count != l->n_parts)
        return error_set(err,
            "key \"split.count\" is %" PRIu64 ", but the manifest names %zu files of weights", count,
            l->n_parts);
    struct gguf **files = realloc(m->files, l->n_parts * sizeof(struct gguf *));
    if (!files)
        return error_set(err, "no memory");
    m->files = files;
    bool good = check_split_key(m->files[0], "split.no", 0, err);
    for (size_t i = 1; i < l->n_parts && good; i++)
        good = add_part(l, v, l->parts[i], i, l->n_parts, err);
    return good;
}

static bool merge_tables(struct gguf_model *m, struct error *err)
{
    const struct checkpoint *first = &m->files[0]->checkpoint;
    struct checkpoint *all = &m->merged;
    for (size_t i = 0; i < m->n_files; i++)
        all->n_tensors += m->files[i]->checkpoint.n_tensors;
    all->values = calloc(first->n_values + 1, sizeof(*all->values));
    all->tensors = calloc(all->n_tensors + 1, sizeof(*all->tensors));
    if (!all->values || !all->tensors)
        return error_set(err, "no memory for a table of %zu tensors", all->n_tensors);
    all->n_values = first->n_values;
    memcpy(all->values, first->values, first->n_values * sizeof(*all->values));
    size_t at = 0;
    for (size_t i = 0; i < m->n_files; i++) {
        const struct checkpoint *part = &m->files[i]->checkpoint;
        memcpy(all->tensors + at, part->tensors, part->n_tensors * sizeof(*all->tensors));
        at += part->n_tensors;
    }
    return checkpoint_index(all, err) || error_prefix(err, "the parts together");
}

static bool merge(struct gguf_model *m, struct error *err)
{
    if (!merge_tables(m, err))
        return false;
    const size_t n = m->merged.n_tensors;
    uint64_t expected = n;
    if (checkpoint_get_u64(&m->merged, "split.tensors.count", &expected, err) == CHECKPOINT_WRONG)
        return false;
    if (expected != n)
        return error_set(err,
            "key \"split.tensors.count\" is %" PRIu64 ", but the %zu parts hold %zu tensors", expected,
            m->n_files, n);
    return true;
}

/* Whether the first file, by its name and its keys, is the first part of `count`. */
static bool check_first_part(const struct part_name *name, uint64_t count, struct error *err)
{
    if (name->count != count)
        return error_set(
            err, "key \"split.count\" is %" PRIu64 ", but the file's name says %u parts", count, name->count);
    if (name->number == 1)
        return true;
    return error_set(err, "is part %u of %u; open the first part", name->number, name->count);
}

static bool read_parts(
    struct loaded *l, const struct volume *v, const char *path, uint64_t count, struct error *err)
{
    struct gguf_model *m = l->gguf;
    struct part_name name;
    if (!part_name_read(&name, path))
        return error_set(err,
            "key \"split.count\" is %" PRIu64
            ", but the file is not named as a part of a split model is: NAME-00001-of-%05" PRIu64 ".gguf",
            count, count);
    if (!check_first_part(&name, count, err) || !check_split_key(m->files[0], "split.no", 0, err))
        return false;
    struct gguf **files = realloc(m->files, name.count * sizeof(struct gguf *));
    if (!files)
        return error_set(err, "no memory");
    m->files = files;
    return add_parts(l, v, path, &name, err) && merge(m, err);
}

static bool read_files(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    struct gguf_model *m = l->gguf = calloc(1, sizeof(*m));
    if (m)
        m->files = calloc(1, sizeof(struct gguf *));
    if (!m || !m->files)
        return error_set(err, "no memory");
    m->files[0] = gguf_read(mapping_bytes(l->maps[0]), err);
    if (!m->files[0])
        return false;
    m->n_files = 1;
    /* A model that was split and merged again has 0 here. */
    uint64_t count = 1;
    if (checkpoint_get_u64(&m->files[0]->checkpoint, "split.count", &count, err) == CHECKPOINT_WRONG)
        return false;
    if (l->n_parts > 1 || (l->n_parts == 1 && count > 1))
        return add_named_parts(l, v, count, err) && merge(m, err);
    struct part_name name;
    if (count <= 1 && part_name_read(&name, path) && name.count > 1)
        return error_set(err, "is named as part %u of %u, but has no key \"split.count\" that says so",
            name.number, name.count);
    return count <= 1 || read_parts(l, v, path, count, err);
}

/* --- The row of the table of loaders --- */

static const char *const gguf_extensions[] = {".gguf", NULL};

static bool gguf_probe(struct span head)
{
    return head.size >= 4 && memcmp(head.at, "GGUF", 4) == 0;
}

static bool gguf_read_model(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    if (!read_files(l, v, path, err))
        return false;
    const struct gguf_model *m = l->gguf;
    l->checkpoint = m->n_files > 1 ? &m->merged : &m->files[0]->checkpoint;
    return model_info_read(&l->info, l->checkpoint, err);
}

static void gguf_release(struct loaded *l)
{
    struct gguf_model *m = l->gguf;
    if (!m)
        return;
    for (size_t i = 0; i < m->n_files; i++)
        gguf_free(m->files[i]);
    checkpoint_release(&m->merged);
    free(m->files);
    free(m);
}

const struct loader loader_gguf = {
    .name = "gguf",
    .extensions = gguf_extensions,
    .probe = gguf_probe,
    .read = gguf_read_model,
    .release = gguf_release,
};
