/* catalog_names.c - which model a name means: ids, aliases, spellings that clients use, and options that name models.
 *
 * An exact id wins over an exact alias, and both win over other spellings: case makes no difference then, and the
 * endings ".gguf" and ":latest", which other servers' clients add, are left out. Last come the path of a file in a
 * layout whose ids leave it out, and a repository with a quantization: ORG/NAME:Q4_0.
 */
#include "catalog_private.h"

#include "berth/base/log.h"

#include <string.h>
#include <strings.h>

#define SHOWN 200

/* ---- spellings ---- */

static bool equal(struct span a, struct span b)
{
    return span_compare(a, b) == 0;
}

static bool equal_loosely(struct span a, struct span b)
{
    return a.size == b.size && strncasecmp((const char *)a.at, (const char *)b.at, a.size) == 0;
}

static struct span without(struct span name, const char *ending)
{
    size_t size = strlen(ending);
    if (name.size > size && strncasecmp((const char *)name.at + name.size - size, ending, size) == 0)
        name.size -= size;
    return name;
}

static struct model *find(
    const struct model_list *l, struct span name, bool (*same)(struct span a, struct span b))
{
    for (size_t i = 0; i < l->n; i++)
        if (same(span_of(l->models[i]->id), name))
            return l->models[i];
    return NULL;
}

static struct span stem_of(struct span name)
{
    return without(without(name, ":latest"), ".gguf");
}

/* "m" and "m:latest" are one name, whichever of them is the id. */
static bool equal_untagged(struct span id, struct span name)
{
    return equal_loosely(without(id, ":latest"), stem_of(name));
}

/* Whether a name means the model with this id. */
static bool means(struct span name, const char *id)
{
    return span_is(name, id) || equal_untagged(span_of(id), name);
}

static struct model *find_id(const struct model_list *l, struct span name)
{
    struct model *m = find(l, name, equal);
    m = m ? m : find(l, stem_of(name), equal_loosely);
    m = m ? m : find(l, name, equal_loosely);
    return m ? m : find(l, name, equal_untagged);
}

static bool ends_loosely(struct span text, struct span ending)
{
    return text.size > ending.size &&
           equal_loosely((struct span){text.at + text.size - ending.size, ending.size}, ending);
}

/* Whether the name is the model's repository, a colon and its quantization, which ends the name of its file. */
static bool names_quantization(const struct model *m, struct span name)
{
    const uint8_t *colon = name.size ? memrchr(name.at, ':', name.size) : NULL;
    struct span id = span_of(m->id), file = stem_of(span_of(m->path));
    if (!colon)
        return false;
    struct span repository = {name.at, (size_t)(colon - name.at)};
    struct span type = {colon + 1, name.size - repository.size - 1};
    bool inside = id.size > repository.size && id.at[repository.size] == '/';
    id.size = inside ? repository.size : id.size;
    return type.size > 0 && equal_loosely(id, repository) && ends_loosely(file, type) &&
           strchr("-.", file.at[file.size - type.size - 1]);
}

/* Of the layouts that have files under their own names: ids may leave those out, and clients may name a file by its
 * quantization. Weights of a Hugging Face directory have the same name in all of them. */
static struct model *find_file(const struct model_list *l, struct span name)
{
    for (size_t i = 0; i < l->n; i++) {
        struct model *m = l->models[i];
        if (m->layout && !m->manifest && !span_ends_with(span_of(m->path), ".safetensors") &&
            (equal_loosely(stem_of(span_of(m->path)), stem_of(name)) || names_quantization(m, name)))
            return m;
    }
    return NULL;
}

/* ---- aliases ---- */

/* The next entry of a list of NAME=ID, or ID=KIND, with a comma between; false at its end. */
static bool next_alias(const char **at, struct span *name, struct span *id)
{
    while (**at == ',')
        ++*at;
    size_t size = strcspn(*at, ","), equals = strcspn(*at, "=,");
    *name = (struct span){(const uint8_t *)*at, equals};
    *id = (struct span){(const uint8_t *)*at + equals + 1, equals < size ? size - equals - 1 : 0};
    *at += size;
    return size > 0;
}

bool catalog_check_aliases(const struct catalog *c, struct error *err)
{
    struct span name, id;
    for (const char *at = c->options->alias; next_alias(&at, &name, &id);) {
        char shown[SHOWN];
        text_escape(shown, sizeof(shown), name);
        if (name.size == 0 || id.size == 0)
            return error_set(err, "--alias takes NAME=ID, not \"%s\"", shown);
    }
    return true;
}

bool catalog_check_poolings(const struct catalog *c, struct error *err)
{
    struct span id, kind;
    enum pooling found;
    for (const char *at = c->options->pooling; next_alias(&at, &id, &kind);) {
        char shown[SHOWN];
        text_escape(shown, sizeof(shown), id);
        if (id.size == 0 || !pooling_find(kind, &found))
            return error_set(err,
                "--pooling takes ID=KIND, where KIND is mean, cls, last, weighted-mean or max; see that of \"%s\"",
                shown);
    }
    return true;
}

enum pooling catalog_pooling(const struct catalog *c, const char *wanted)
{
    struct span id, kind;
    enum pooling found;
    for (const char *at = c->options->pooling; next_alias(&at, &id, &kind);)
        if (means(id, wanted) && pooling_find(kind, &found))
            return found;
    return POOLING_UNKNOWN;
}

struct span catalog_alias(const struct catalog *c, const char *wanted, size_t n)
{
    struct span name, id;
    for (const char *at = c->options->alias; next_alias(&at, &name, &id);)
        if (means(id, wanted) && n-- == 0)
            return name;
    return (struct span){0};
}

/* ---- names ---- */

static struct model *find_alias(const struct catalog *c, const struct model_list *l, struct span wanted,
    bool (*same)(struct span a, struct span b))
{
    struct span name, id;
    for (const char *at = c->options->alias; next_alias(&at, &name, &id);)
        if (same(name, wanted))
            return find_id(l, id);
    return NULL;
}

struct model *list_find(const struct catalog *c, const struct model_list *l, struct span name)
{
    if (name.size == 0)
        return NULL;
    struct model *m = find(l, name, equal);
    m = m ? m : find_alias(c, l, name, equal);
    if (m)
        return m;
    m = find_id(l, name);
    m = m ? m : find_alias(c, l, stem_of(name), equal_loosely);
    m = m ? m : find_alias(c, l, name, equal_loosely);
    return m ? m : find_file(l, name);
}

/* ---- options that name models ---- */

static void warn(const char *option, struct span name, struct span id)
{
    char shown[SHOWN], shown_name[SHOWN];
    text_escape(shown, sizeof(shown), id);
    text_escape(shown_name, sizeof(shown_name), name);
    log_line(LOG_WARN, "an option names a model that is not on the volume",
        LOG_FIELDS(log_text("option", option), log_text("model", shown),
            name.size ? log_text("alias", shown_name) : (struct log_field){.key = NULL}));
}

void catalog_warn_of_names(struct catalog *c)
{
    struct model_list *l = list_take(c);
    struct span name, id;
    for (const char *at = c->options->alias; next_alias(&at, &name, &id);)
        if (!find_id(l, id))
            warn("--alias", name, id);
    for (const char *at = c->options->require; *at;) {
        size_t size = strcspn(at, ",");
        struct span required = {(const uint8_t *)at, size};
        if (size && !list_find(c, l, required))
            warn("--require", (struct span){0}, required);
        at += size + (at[size] == ',');
    }
    const char *fallback = c->options->default_model;
    if (fallback && fallback[0] && !list_find(c, l, span_of(fallback)))
        warn("--default-model", (struct span){0}, span_of(fallback));
    list_drop(c, l);
}
