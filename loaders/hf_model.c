/* hf_model.c - a model in safetensors files, and the directory that they were downloaded with.
 *
 * The main file is DIRECTORY/model.safetensors, or the first of its shards, which model.safetensors.index.json lists. All
 * files beside it that say something of the model are mapped and watched like the weights, so a change of any of them
 * fails the model. A safetensors file without a config.json beside it is described as far as it goes, and cannot answer.
 */
#include "hf_private.h"
#include "json_scan_private.h"

#include "berth/base/value_json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARENA_MAX ((size_t)512 << 20)
#define SHARDS_MAX 1024
#define PATH_ROOM 4096

static bool name_file(const char *path, struct error *err)
{
    char shown[HF_SHOWN];
    text_escape(shown, sizeof(shown), span_of(path));
    return error_prefix(err, "%s", shown);
}

/* ---- side files ---- */

static bool add_file(struct hf_model *m, const char *name, struct span bytes, struct error *err)
{
    struct checkpoint *c = &m->checkpoint;
    if (c->n_files == m->files_room) {
        const size_t room = 2 * m->files_room + 16;
        struct checkpoint_file *grown = realloc(c->files, room * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, "a list of files");
        c->files = grown;
        m->files_room = room;
    }
    char *copy = hf_memory(m, strlen(name) + 1, err);
    if (!copy)
        return false;
    strcpy(copy, name);
    c->files[c->n_files++] = (struct checkpoint_file){.name = span_of(copy), .bytes = bytes};
    return true;
}

static bool path_of(const struct hf_model *m, const char *name, char out[PATH_ROOM], struct error *err)
{
    const int size =
        snprintf(out, PATH_ROOM, "%.*s%s", (int)m->directory.size, (const char *)m->directory.at, name);
    return (size > 0 && size < PATH_ROOM) || error_set(err, "a path is too long");
}

/* A broken link is there: it cannot be opened, and the reason says why. */
static bool is_there(const struct hf_model *m, const char *path)
{
    struct stat st;
    return fstatat(m->volume->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool hf_side_file(struct hf_model *m, const char *name, struct span *bytes, bool *there, struct error *err)
{
    char path[PATH_ROOM];
    const struct checkpoint_file *known = checkpoint_side_file(&m->checkpoint, name);
    *there = known != NULL;
    *bytes = known ? known->bytes : (struct span){0};
    if (known)
        return true;
    if (!path_of(m, name, path, err))
        return false;
    if (!is_there(m, path))
        return true;
    const struct mapping *map = loaded_add_file(m->loaded, m->volume, path, err);
    if (!map)
        return false;
    *there = true;
    *bytes = mapping_bytes(map);
    return add_file(m, name, *bytes, err);
}

/* Members that are tables of all tokens. They are kept as they are written. */
static bool is_large(struct span name)
{
    return span_is(name, "vocab") || span_is(name, "merges") || span_is(name, "added_tokens_decoder");
}

static bool read_members(struct hf_model *m, struct json_scan *s, struct value *out);

/* Reads the value of a member. The one called "model" has the large ones in it. */
static bool read_member(struct hf_model *m, struct json_scan *s, struct span name, struct value *value)
{
    struct span text;
    if (span_is(name, "model") && json_scan_peek(s) == '{')
        return read_members(m, s, value);
    if (!json_scan_skip(s, &text))
        return false;
    *value = value_borrow(text, VALUE_FROM_TEMPLATE);
    return is_large(name) || value_read_json(m->scratch, text, value, s->err);
}

static bool read_members(struct hf_model *m, struct json_scan *s, struct value *out)
{
    struct span name;
    struct value value;
    bool first = true;
    *out = value_map(m->scratch, 16);
    for (json_scan_enter(s, '{'); json_scan_member(s, &first, &name);) {
        if (!read_member(m, s, name, &value)) {
            char shown[HF_SHOWN];
            text_escape(shown, sizeof(shown), name);
            s->failed = true;
            return error_prefix(s->err, "field \"%s\"", shown);
        }
        if (!value_set(m->scratch, *out, value_borrow(name, VALUE_FROM_TEMPLATE), value)) {
            s->failed = true;
            return value_arena_explain(m->scratch, "the JSON", s->err);
        }
    }
    return !s->failed;
}

bool hf_json_file(struct hf_model *m, const char *name, struct value *out, bool *there, struct error *err)
{
    struct span bytes;
    *out = value_map(m->scratch, 16);
    if (!hf_side_file(m, name, &bytes, there, err))
        return false;
    struct json_scan s = {.text = bytes, .err = err};
    if (!*there || (read_members(m, &s, out) && json_scan_end(&s)))
        return true;
    return error_prefix(err, "%s", name);
}

/* Files that the engine may ask for. */
static bool add_side_files(struct hf_model *m, struct error *err)
{
    static const char *const names[] = {"modules.json", "config_sentence_transformers.json",
        "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json",
        "2_Dense/model.safetensors", "preprocessor_config.json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct span bytes;
        bool there;
        if (!hf_side_file(m, names[i], &bytes, &there, err))
            return false;
    }
    return true;
}

/* ---- shards ---- */

struct shards {
    struct span names[SHARDS_MAX]; /* in the order in which the index first has them */
    struct safetensors tables[SHARDS_MAX];
    size_t n;
};

/* The number of the shard, or n where it is new. */
static size_t find_shard(const struct shards *all, struct span name)
{
    size_t i = 0;
    while (i < all->n && span_compare(all->names[i], name) != 0)
        i++;
    return i;
}

static bool open_shard(struct hf_model *m, struct shards *all, struct span name, struct error *err)
{
    char file[HF_SHOWN], path[PATH_ROOM];
    snprintf(file, sizeof(file), "%.*s", (int)name.size, (const char *)name.at);
    if (!path_of(m, file, path, err))
        return false;
    const bool main = strcmp(path, mapping_name(m->loaded->maps[0])) == 0;
    const struct mapping *map = main ? m->loaded->maps[0] : loaded_add_file(m->loaded, m->volume, path, err);
    all->names[all->n] = name;
    return map && (safetensors_read(&all->tables[all->n++], mapping_bytes(map), err) || name_file(path, err));
}

/* A shard is a file in the same directory. */
static bool check_shard(struct json_scan *s, const struct shards *all, struct span name)
{
    if (name.size >= HF_SHOWN || memchr(name.at, '/', name.size) || memchr(name.at, '\\', name.size) ||
        !span_ends_with(name, ".safetensors"))
        return json_scan_fail(s, "no name of a safetensors file in the same directory");
    return all->n < SHARDS_MAX || json_scan_fail(s, "too many files");
}

static bool read_weight_map(struct hf_model *m, struct json_scan *s, struct shards *all)
{
    struct span tensor, name;
    bool first = true;
    for (json_scan_enter(s, '{'); json_scan_member(s, &first, &tensor) && json_scan_text(s, &name);) {
        const size_t shard = find_shard(all, name);
        if (shard == all->n && (!check_shard(s, all, name) || !open_shard(m, all, name, s->err)))
            return false;
        char shown[HF_SHOWN];
        text_escape(shown, sizeof(shown), tensor);
        if (!safetensors_find(&all->tables[shard], tensor))
            return error_set(s->err, "tensor \"%s\" is not in the file that the index names for it", shown);
    }
    return !s->failed;
}

static bool read_index(
    struct hf_model *m, const char *name, struct span bytes, struct shards *all, struct error *err)
{
    struct json_scan s = {.text = bytes, .err = err};
    struct span field;
    bool first = true, good = true;
    for (json_scan_enter(&s, '{'); good && json_scan_member(&s, &first, &field);)
        good = span_is(field, "weight_map") ? read_weight_map(m, &s, all) : json_scan_skip(&s, NULL);
    if (!good || s.failed)
        return error_prefix(err, "%s", name);
    return all->n > 0 || error_set(err, "%s: names no file", name);
}

/* "model-00001-of-00003.safetensors": its index is "model.safetensors.index.json". Empty for the name of no shard. */
static void index_name(const char *path, char out[HF_SHOWN])
{
    static const char shape[] = "-00000-of-00000.safetensors";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const size_t size = strlen(name), tail = sizeof(shape) - 1;
    out[0] = '\0';
    if (size <= tail || size + 16 > HF_SHOWN)
        return;
    for (size_t i = 0; i < tail; i++) {
        const char c = name[size - tail + i];
        if (shape[i] == '0' ? c < '0' || c > '9' : c != shape[i])
            return;
    }
    snprintf(out, HF_SHOWN, "%.*s.safetensors.index.json", (int)(size - tail), name);
}

/* Reads the tables of the main file, or of all files of its index. */
static bool read_tables(struct hf_model *m, const char *path, struct shards *all, struct error *err)
{
    char name[HF_SHOWN];
    struct span bytes = {0};
    bool there = false;
    index_name(path, name);
    if (name[0] && !hf_side_file(m, name, &bytes, &there, err))
        return false;
    if (there)
        return read_index(m, name, bytes, all, err);
    if (name[0])
        return error_set(err, "is a part of a model, and %s, which lists the parts, is missing", name);
    all->n = 1;
    return safetensors_read(&all->tables[0], mapping_bytes(m->loaded->maps[0]), err);
}

static bool add_tables(struct hf_model *m, const struct shards *all, struct error *err)
{
    for (size_t i = 0; i < all->n; i++)
        if (!hf_add_tensors(m, &all->tables[i], err))
            return false;
    return true;
}

/* Of a file by itself: its tensors under their own names, to be shown. */
static bool add_untranslated(struct hf_model *m, const struct shards *all, struct error *err)
{
    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < all->tables[i].n; k++)
            if (!hf_add_tensor(m, &all->tables[i].tensors[k], err))
                return false;
    return true;
}

/* ---- the whole ---- */

static bool read_all(struct hf_model *m, const char *path, struct shards *all, struct error *err)
{
    bool there;
    if (!hf_json_file(m, "config.json", &m->config, &there, err) || !read_tables(m, path, all, err))
        return false;
    m->lacks_config = !there;
    if (!there)
        return add_untranslated(m, all, err) && checkpoint_index(&m->checkpoint, err) &&
               model_info_read(&m->loaded->info, &m->checkpoint, err);
    return hf_read_config(m, err) && add_tables(m, all, err) && add_side_files(m, err) &&
           hf_read_tokenizer(m, err) && checkpoint_index(&m->checkpoint, err) && hf_check_tensors(m, err) &&
           model_info_read(&m->loaded->info, &m->checkpoint, err);
}

static bool read_directory(struct hf_model *m, const char *path, struct error *err)
{
    struct shards *all = calloc(1, sizeof(*all));
    m->arena = value_arena_new(ARENA_MAX);
    m->scratch = value_arena_new(ARENA_MAX);
    const bool good =
        all && m->arena && m->scratch ? read_all(m, path, all, err) : error_no_memory(err, "the model");
    for (size_t i = 0; all && i < all->n; i++)
        safetensors_release(&all->tables[i]);
    free(all);
    value_arena_free(m->scratch);
    m->scratch = NULL;
    return good;
}

static bool hf_read(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    struct hf_model *m = l->hf = calloc(1, sizeof(*m));
    const char *slash = strrchr(path, '/');
    if (!m)
        return error_no_memory(err, "the model");
    m->loaded = l;
    m->volume = v;
    m->directory = (struct span){(const uint8_t *)path, slash ? (size_t)(slash - path) + 1 : 0};
    if (!read_directory(m, path, err))
        return false;
    l->checkpoint = m->lacks_config ? NULL : &m->checkpoint;
    m->loaded = NULL;
    m->directory = (struct span){0};
    return true;
}

static void hf_release(struct loaded *l)
{
    if (!l->hf)
        return;
    checkpoint_release(&l->hf->checkpoint);
    value_arena_free(l->hf->arena);
    free(l->hf);
}

static const char *const extensions[] = {".safetensors", NULL};

const struct loader loader_safetensors = {
    .name = "safetensors",
    .extensions = extensions,
    .probe = safetensors_begins,
    .read = hf_read,
    .release = hf_release,
};
