/* manifest.c - reads the manifest of a model, with a table of the media types of its layers. */
#include "manifest_private.h"

#include "scan_walk_private.h"

#include "berth/base/value_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_ROOM 200

/* ---- small files ---- */

static bool read_all(int fd, uint8_t *out, size_t size, struct error *err)
{
    for (size_t at = 0; at < size;) {
        ssize_t got = pread(fd, out + at, size - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_set(err, "cannot be read: %s", got < 0 ? strerror(errno) : "it was cut short");
        at += (size_t)got;
    }
    return true;
}

static bool name_file(const char *path, struct error *err)
{
    char name[NAME_ROOM];
    text_escape(name, sizeof(name), span_of(path));
    return error_prefix(err, "%s", name);
}

static bool read_opened(int fd, size_t most, struct span *out, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set(err, "cannot be examined: %s", strerror(errno));
    if (st.st_size < 0 || (uint64_t)st.st_size > most)
        return error_set(
            err, "has %llu bytes; at most %zu are read of such a file", (unsigned long long)st.st_size, most);
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    if (!bytes)
        return error_no_memory(err, "the file");
    *out = (struct span){bytes, (size_t)st.st_size};
    if (read_all(fd, bytes, out->size, err))
        return true;
    free(bytes);
    return false;
}

bool small_file_read(
    const struct volume *v, const char *path, size_t most, struct span *out, struct error *err)
{
    *out = (struct span){0};
    int fd = volume_open_file(v, path, err);
    if (fd < 0)
        return false;
    bool good = read_opened(fd, most, out, err) || name_file(path, err);
    close(fd);
    return good;
}

bool json_file_read(
    const struct volume *v, const char *path, struct value_arena *a, struct value *out, struct error *err)
{
    struct span text;
    if (!small_file_read(v, path, MANIFEST_BYTES_MAX, &text, err))
        return false;
    bool good = value_read_json(a, text, out, err) || error_prefix(err, "is not JSON");
    free((uint8_t *)(uintptr_t)text.at);
    if (good && out->kind != VALUE_MAP)
        good = error_set(err, "is no JSON object");
    return good || name_file(path, err);
}

struct span text_member(struct value map, const char *name)
{
    const struct value *v = value_find(map, span_of(name));
    return v && v->kind == VALUE_STRING ? value_span(*v) : (struct span){0};
}

struct value list_member(struct value map, const char *name)
{
    static const struct value_list none;
    const struct value *v = value_find(map, span_of(name));
    return v && v->kind == VALUE_LIST
               ? *v
               : (struct value){.kind = VALUE_LIST, .list = (struct value_list *)(uintptr_t)&none};
}

/* ---- layers ---- */

#define TYPE_PREFIX "application/vnd."

/* Behind TYPE_PREFIX. What follows a semicolon in a media type are its parameters. A type that ends in a star is the begin
 * of several. */
static const struct {
    const char *type;
    enum layer_role role;
    const char *refused;
} media_types[] = {
    {"ollama.image.model", LAYER_WEIGHTS, NULL},
    {"ollama.image.template", LAYER_GO_TEMPLATE, NULL},
    {"ollama.image.prompt", LAYER_GO_TEMPLATE, NULL},
    {"ollama.image.params", LAYER_PARAMETERS, NULL},
    {"ollama.image.system", LAYER_SYSTEM, NULL},
    {"ollama.image.adapter", LAYER_REFUSED, "an adapter, which changes the weights"},
    {"ollama.image.projector", LAYER_REFUSED, "a projector, for images"},
    {"ollama.image.messages", LAYER_REFUSED, "messages that precede each chat"},
    {"ollama.image.tensor", LAYER_REFUSED, "tensors that are no GGUF file"},
    {"docker.ai.gguf.v3", LAYER_WEIGHTS, NULL},
    {"docker.ai.model.file.v1+gguf", LAYER_WEIGHTS, NULL},
    {"docker.ai.gguf.v3.lora", LAYER_REFUSED, "an adapter, which changes the weights"},
    {"docker.ai.mmproj", LAYER_REFUSED, "a projector, for images"},
    {"docker.ai.chat.template.jinja", LAYER_TEMPLATE, NULL},
    {"docker.ai.safetensors", LAYER_REFUSED, "weights in safetensors; berth runs GGUF"},
    {"docker.ai.dduf", LAYER_REFUSED, "weights in DDUF; berth runs GGUF"},
    {"cncf.model.weight.v1.raw", LAYER_WEIGHTS, NULL},
    {"oci.image.layer.v1.tar*", LAYER_ARCHIVE, NULL},
    {"docker.image.rootfs.diff.tar*", LAYER_ARCHIVE, NULL},
};

const char *digest_hex(struct span digest)
{
    static const char prefix[] = "sha256:";
    const size_t skip = sizeof(prefix) - 1;
    const char *text = (const char *)digest.at;
    if (digest.size != skip + MANIFEST_HEX || memcmp(text, prefix, skip) != 0)
        return NULL;
    for (size_t i = skip; i < digest.size; i++)
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
            return NULL;
    return text + skip;
}

/* Where blobs lie, by where the manifest does: STORE/blobs/sha256/HEX and STORE/manifests/sha256/HEX have blobs as
 * STORE/blobs/sha256/HEX; Ollama's STORE/manifests/HOST/NAMESPACE/NAME/TAG has STORE/blobs/sha256-HEX. Returns the length
 * of "STORE/". */
static size_t store_size(const char *path, char *between)
{
    size_t at = strlen(path), up = 5;
    static const char digests[] = "/sha256/";
    const char *last = strrchr(path, '/');
    size_t tail = sizeof(digests) - 1;
    *between = '-';
    if (last && (size_t)(last - path) + 1 >= tail && memcmp(last + 1 - tail, digests, tail) == 0) {
        *between = '/';
        up = 3;
    }
    while (at > 0 && (path[at - 1] != '/' || --up > 0))
        at--;
    return at;
}

static bool is_type(struct span type, const char *pattern)
{
    size_t skip = sizeof(TYPE_PREFIX) - 1, size = strlen(pattern);
    if (type.size <= skip || memcmp(type.at, TYPE_PREFIX, skip) != 0)
        return false;
    type = (struct span){type.at + skip, type.size - skip};
    bool begins = pattern[size - 1] == '*';
    size -= begins;
    return (begins ? type.size >= size : type.size == size) && memcmp(type.at, pattern, size) == 0;
}

static void set_role(struct manifest_layer *layer, struct span type)
{
    const uint8_t *end = type.size ? memchr(type.at, ';', type.size) : NULL;
    type.size = end ? (size_t)(end - type.at) : type.size;
    for (size_t i = 0; i < sizeof(media_types) / sizeof(media_types[0]); i++)
        if (is_type(type, media_types[i].type)) {
            layer->role = media_types[i].role;
            layer->refused = media_types[i].refused;
        }
    /* Tools that push single files call them archives. */
    if ((layer->role == LAYER_ARCHIVE || layer->role == LAYER_OTHER) && span_ends_with(layer->title, ".gguf"))
        layer->role = LAYER_WEIGHTS;
}

static struct span title_of(struct value layer)
{
    const struct value *notes = value_find(layer, span_of("annotations"));
    struct span title = notes ? text_member(*notes, "org.cncf.model.filepath") : (struct span){0};
    return title.size || !notes ? title : text_member(*notes, "org.opencontainers.image.title");
}

static bool add_layer(
    struct manifest *m, struct value_arena *a, struct value layer, const char *path, struct error *err)
{
    char between, shown[100];
    size_t store = store_size(path, &between), room = store + sizeof("blobs/sha256-") + MANIFEST_HEX;
    struct span digest = text_member(layer, "digest");
    const char *hex = digest_hex(digest);
    text_escape(shown, sizeof(shown), digest);
    if (!hex)
        return error_set(err, "layer %zu has the digest \"%s\", which is not sha256: and 64 digits of 0-9a-f",
            m->n, shown);
    if (m->n == MANIFEST_LAYERS_MAX)
        return error_set(err, "has more than %d layers", MANIFEST_LAYERS_MAX);
    struct manifest_layer *made = value_alloc(a, sizeof(*made) + room);
    if (!made)
        return value_arena_explain(a, "the manifest", err);
    *made = (struct manifest_layer){.title = title_of(layer)};
    snprintf(made->path, room, "%.*sblobs/sha256%c%.*s", (int)store, path, between, MANIFEST_HEX, hex);
    set_role(made, text_member(layer, "mediaType"));
    m->layers[m->n++] = made;
    return true;
}

/* ---- manifests ---- */

static unsigned part_number(const struct manifest_layer *layer)
{
    char name[NAME_ROOM];
    size_t stem;
    if (layer->role != LAYER_WEIGHTS || layer->title.size == 0 || layer->title.size >= sizeof(name))
        return 0;
    memcpy(name, layer->title.at, layer->title.size);
    name[layer->title.size] = '\0';
    return split_number(name, &stem);
}

/* The parts of a split model in the order of their numbers. A manifest has few layers. */
static void order_parts(struct manifest *m)
{
    for (size_t i = 1; i < m->n; i++)
        for (size_t j = i; j > 0 && part_number(m->layers[j]) < part_number(m->layers[j - 1]); j--) {
            struct manifest_layer *other = m->layers[j];
            m->layers[j] = m->layers[j - 1];
            m->layers[j - 1] = other;
        }
}

bool manifest_read(
    struct manifest *m, struct value_arena *a, const struct volume *v, const char *path, struct error *err)
{
    struct value all;
    *m = (struct manifest){0};
    if (!json_file_read(v, path, a, &all, err))
        return false;
    struct value layers = list_member(all, "layers");
    bool good = true;
    for (size_t i = 0; good && i < layers.list->n; i++)
        good = add_layer(m, a, layers.list->items[i], path, err);
    order_parts(m);
    return good || name_file(path, err);
}

const struct manifest_layer *manifest_find(const struct manifest *m, enum layer_role role)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->layers[i]->role == role)
            return m->layers[i];
    return NULL;
}

static bool check_blob(const struct manifest_layer *layer, const struct volume *v, struct error *err)
{
    struct stat st;
    struct error why = {0};
    if (layer->role == LAYER_OTHER || volume_stat(v, layer->path, &st, &why))
        return true;
    return error_set(err, "a layer cannot be read: %.400s", why.text);
}

static bool check_layers(const struct manifest *m, const struct volume *v, struct error *err)
{
    const struct manifest_layer *refused = manifest_find(m, LAYER_REFUSED);
    if (refused)
        return error_set(err, "the model has %s, which berth does not read", refused->refused);
    if (!manifest_find(m, LAYER_WEIGHTS))
        return error_set(err, "%s",
            manifest_find(m, LAYER_ARCHIVE)
                ? "is a container image, whose layers are archives; unpack it, or mount it as a volume"
                : "has no layer with the weights of a model");
    for (size_t i = 0; i < m->n; i++)
        if (!check_blob(m->layers[i], v, err))
            return false;
    return true;
}

bool manifest_check(const struct manifest *m, const struct volume *v, const char *path, struct error *err)
{
    return check_layers(m, v, err) || name_file(path, err);
}
