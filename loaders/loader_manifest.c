/* loader_manifest.c - opens a model by its manifest, and adds the settings of its layers to what the file says.
 *
 * The engine reads a checkpoint and knows no manifest: a parameter is a key of the checkpoint, under the name that GGUF has
 * for it or would have. A parameter that has no row here changes how a program runs a model, not what it answers.
 * Source: the table of parameters in Ollama's docs/modelfile.md.
 */
#include "loader_private.h"
#include "manifest_private.h"

#include "berth/base/value_json.h"

#include <stdlib.h>
#include <string.h>

#define NAME_ROOM 200
#define SETTINGS_MAX 16
#define STOPS_MAX 16 /* as many as a request may have */
#define TEXT_MAX ((size_t)1 << 20) /* of a system text or a template */

struct layer_settings {
    struct checkpoint
        checkpoint; /* the file's, with the values of the layers; the tensors are the file's own */
    struct value_arena *arena;
    struct checkpoint_value added[SETTINGS_MAX];
    size_t n_added;
};

void layer_settings_free(struct layer_settings *s)
{
    if (!s)
        return;
    value_arena_free(s->arena);
    free(s->checkpoint.values);
    free(s);
}

/* ---- values ---- */

static bool add(struct layer_settings *s, struct checkpoint_value v, struct error *err)
{
    if (!v.bytes.at && v.bytes.size)
        return value_arena_explain(s->arena, "the settings", err);
    if (s->n_added < SETTINGS_MAX)
        s->added[s->n_added++] = v;
    return true;
}

static bool add_text(struct layer_settings *s, const char *key, struct span text, struct error *err)
{
    uint8_t *bytes = value_alloc(s->arena, text.size + 1);
    if (bytes && text.size)
        memcpy(bytes, text.at, text.size);
    return add(s,
        (struct checkpoint_value){.key = span_of(key),
            .kind = CHECKPOINT_STRING,
            .count = 1,
            .bytes = {bytes, bytes ? text.size : 1},
            .type = "string"},
        err);
}

/* A number of 8 bytes, little-endian as a file's. */
static bool add_number(
    struct layer_settings *s, const char *key, enum checkpoint_kind kind, uint64_t bits, struct error *err)
{
    uint8_t *bytes = value_alloc(s->arena, 8);
    for (int i = 0; bytes && i < 8; i++)
        bytes[i] = (uint8_t)(bits >> (8 * i));
    return add(s,
        (struct checkpoint_value){.key = span_of(key),
            .kind = kind,
            .width = 8,
            .count = 1,
            .bytes = {bytes, 8},
            .type = kind == CHECKPOINT_REAL ? "f64" : "u64"},
        err);
}

static bool add_real(struct layer_settings *s, const char *key, double number, struct error *err)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return add_number(s, key, CHECKPOINT_REAL, bits, err);
}

/* Strings behind their lengths, as GGUF has them. */
static bool add_texts(
    struct layer_settings *s, const char *key, const struct value *items, size_t n, struct error *err)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += 8 + items[i].text.size;
    uint8_t *bytes = value_alloc(s->arena, size + 1), *at = bytes;
    for (size_t i = 0; bytes && i < n; i++) {
        for (int k = 0; k < 8; k++)
            *at++ = (uint8_t)((uint64_t)items[i].text.size >> (8 * k));
        memcpy(at, items[i].text.at, items[i].text.size);
        at += items[i].text.size;
    }
    return add(s,
        (struct checkpoint_value){.key = span_of(key),
            .kind = CHECKPOINT_STRING,
            .is_array = true,
            .count = n,
            .bytes = {bytes, bytes ? size : 1},
            .type = "array"},
        err);
}

/* ---- parameters ---- */

enum parameter_kind { PARAMETER_REAL, PARAMETER_COUNT, PARAMETER_SEED, PARAMETER_TEXTS };

static const struct {
    const char *name, *key;
    enum parameter_kind kind;
} parameters[] = {
    {"temperature", "general.sampling.temp", PARAMETER_REAL},
    {"top_k", "general.sampling.top_k", PARAMETER_COUNT},
    {"top_p", "general.sampling.top_p", PARAMETER_REAL},
    {"min_p", "general.sampling.min_p", PARAMETER_REAL},
    {"typical_p", "general.sampling.typical_p", PARAMETER_REAL},
    {"repeat_penalty", "general.sampling.penalty_repeat", PARAMETER_REAL},
    {"presence_penalty", "general.sampling.penalty_present", PARAMETER_REAL},
    {"frequency_penalty", "general.sampling.penalty_freq", PARAMETER_REAL},
    {"seed", "general.sampling.seed", PARAMETER_SEED},
    {"num_predict", "general.sampling.n_predict", PARAMETER_COUNT},
    {"stop", "general.sampling.stop", PARAMETER_TEXTS},
};

static bool name_layer(const char *path, struct error *err)
{
    char shown[NAME_ROOM];
    text_escape(shown, sizeof(shown), span_of(path));
    return error_prefix(err, "%s", shown);
}

static bool wrong_type(const char *name, const char *needed, struct error *err)
{
    return error_set(err, "\"%s\" must be %s", name, needed);
}

static bool add_stops(
    struct layer_settings *s, const char *name, const char *key, struct value v, struct error *err)
{
    const struct value *items = v.kind == VALUE_LIST ? v.list->items : &v;
    size_t n = v.kind == VALUE_LIST ? v.list->n : 1;
    for (size_t i = 0; i < n; i++)
        if (items[i].kind != VALUE_STRING)
            return wrong_type(name, "a list of strings", err);
    if (n > STOPS_MAX)
        return error_set(err, "\"%s\" has %zu strings; at most %d are used", name, n, STOPS_MAX);
    return n == 0 || add_texts(s, key, items, n, err);
}

/* What is negative stands for "no limit" and "any seed", as Ollama's defaults do. */
static bool add_parameter(struct layer_settings *s, size_t row, struct value v, struct error *err)
{
    const char *name = parameters[row].name, *key = parameters[row].key;
    enum parameter_kind kind = parameters[row].kind;
    bool number = v.kind == VALUE_INTEGER || v.kind == VALUE_FLOAT;
    if (kind == PARAMETER_TEXTS)
        return add_stops(s, name, key, v, err);
    if (!number || (kind != PARAMETER_REAL && v.kind != VALUE_INTEGER))
        return wrong_type(name, kind == PARAMETER_REAL ? "a number" : "a whole number", err);
    if (kind == PARAMETER_REAL)
        return add_real(s, key, v.kind == VALUE_INTEGER ? (double)v.integer : v.real, err);
    if (v.integer < 0)
        return kind == PARAMETER_SEED || add_number(s, key, CHECKPOINT_UNSIGNED, 0, err);
    return add_number(s, key, CHECKPOINT_UNSIGNED, (uint64_t)v.integer, err);
}

static bool add_parameters(
    struct layer_settings *s, const struct volume *v, const char *path, struct error *err)
{
    struct value all;
    if (!json_file_read(v, path, s->arena, &all, err))
        return false;
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        const struct value *found = value_find(all, span_of(parameters[i].name));
        if (found && found->kind != VALUE_NULL && !add_parameter(s, i, *found, err))
            return name_layer(path, err);
    }
    return true;
}

/* ---- layers ---- */

static bool is_utf8(struct span text)
{
    for (size_t size; text.size > 0; text.at += size, text.size -= size)
        if ((size = text_character(text)) == 0)
            return false;
    return true;
}

static bool add_file(
    struct layer_settings *s, const struct volume *v, const char *path, const char *key, struct error *err)
{
    struct span text;
    if (!small_file_read(v, path, TEXT_MAX, &text, err))
        return false;
    bool good =
        is_utf8(text) ? add_text(s, key, text, err) : error_set(err, "is not UTF-8") || name_layer(path, err);
    free((uint8_t *)(uintptr_t)text.at);
    return good;
}

static bool add_layer(
    struct layer_settings *s, const struct volume *v, const struct manifest_layer *layer, struct error *err)
{
    switch (layer->role) {
    case LAYER_PARAMETERS:
        return add_parameters(s, v, layer->path, err);
    case LAYER_SYSTEM:
        return add_file(s, v, layer->path, "default.system", err);
    case LAYER_TEMPLATE:
        return add_file(s, v, layer->path, "tokenizer.chat_template", err);
    case LAYER_GO_TEMPLATE:
        return add_text(s, "default.template", span_of("Go template"), err);
    default:
        return true;
    }
}

static bool is_added(const struct layer_settings *s, struct span key)
{
    for (size_t i = 0; i < s->n_added; i++)
        if (span_compare(s->added[i].key, key) == 0)
            return true;
    return false;
}

static int value_order(const void *a, const void *b)
{
    const struct checkpoint_value *first = a, *second = b;
    return span_compare(first->key, second->key);
}

/* The file's values but for those that a layer has, and the layers'. */
static bool join(struct layer_settings *s, const struct checkpoint *file, struct error *err)
{
    struct checkpoint *c = &s->checkpoint;
    *c = *file;
    c->n_values = 0;
    c->values = calloc(file->n_values + s->n_added + 1, sizeof(*c->values));
    if (!c->values)
        return error_no_memory(err, "the settings");
    for (size_t i = 0; i < file->n_values; i++)
        if (!is_added(s, file->values[i].key))
            c->values[c->n_values++] = file->values[i];
    for (size_t i = 0; i < s->n_added; i++)
        c->values[c->n_values++] = s->added[i];
    qsort(c->values, c->n_values, sizeof(*c->values), value_order);
    return true;
}

/* Two layers of one role: the first counts, as the second would be the same key. */
static bool is_repeated(const struct manifest *m, size_t index)
{
    return manifest_find(m, m->layers[index]->role) != m->layers[index];
}

static bool add_settings(
    struct loaded *l, const struct volume *v, const struct manifest *m, struct error *err)
{
    struct layer_settings *s = l->settings = calloc(1, sizeof(*s));
    if (s)
        s->arena = value_arena_new(MANIFEST_ARENA);
    if (!s || !s->arena)
        return error_no_memory(err, "the settings");
    bool good = true;
    for (size_t i = 0; good && i < m->n; i++)
        good = is_repeated(m, i) || add_layer(s, v, m->layers[i], err);
    if (!good || !l->checkpoint || !join(s, l->checkpoint, err))
        return good && !l->checkpoint;
    l->checkpoint = &s->checkpoint;
    return true;
}

static bool open_weights(
    struct loaded *l, const struct volume *v, const struct manifest *m, struct error *err)
{
    const char *parts[MANIFEST_LAYERS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->layers[i]->role == LAYER_WEIGHTS)
            parts[n++] = m->layers[i]->path;
    return loaded_open_parts(l, v, parts, n, err);
}

bool loaded_open_manifest(struct loaded *l, const struct volume *v, const char *manifest, struct error *err)
{
    struct manifest m;
    struct value_arena *arena = value_arena_new(MANIFEST_ARENA);
    *l = (struct loaded){.info = {.format = "", .kind = ""}};
    bool good = arena ? manifest_read(&m, arena, v, manifest, err) && manifest_check(&m, v, manifest, err)
                      : error_no_memory(err, "the manifest");
    good = good && open_weights(l, v, &m, err);
    if (good && !add_settings(l, v, &m, err)) {
        loaded_close(l);
        good = false;
    }
    value_arena_free(arena);
    return good;
}
