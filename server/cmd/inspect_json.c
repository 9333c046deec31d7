/* inspect_json.c - shows a model as one JSON object, on one line.
 *
 * It has everything, also whole vocabularies. Keys and tensors are lists, not members of an object: names in a file need
 * not be UTF-8, and two of them could become the same member. NaN and infinities are null.
 */
#include "inspect_private.h"

#include "berth/loaders/scan.h"

#include <inttypes.h>

static void add_member(struct strbuf *out, const char *name, const char *value)
{
    strbuf_format(out, ",\"%s\":", name);
    if (value[0])
        strbuf_json(out, span_of(value));
    else
        strbuf_text(out, "null");
}

static void add_number(struct strbuf *out, const char *name, uint64_t value)
{
    strbuf_format(out, ",\"%s\":%" PRIu64, name, value);
}

/* Zero means that the file has no such figure. */
static void add_number_or_null(struct strbuf *out, const char *name, uint64_t value)
{
    if (value)
        add_number(out, name, value);
    else
        strbuf_format(out, ",\"%s\":null", name);
}

static void add_items(struct strbuf *out, const struct gguf_pair *p)
{
    struct error ignored;
    struct cursor c = {.bytes = p->bytes, .err = &ignored};
    size_t pos = 0;
    strbuf_text(out, "[");
    for (uint64_t i = 0; i < p->count; i++) {
        if (i > 0)
            strbuf_text(out, ",");
        if (p->item == GGUF_STRING)
            strbuf_json(out, checkpoint_next_string(p->bytes, &pos));
        else
            inspect_scalar(out, &c, p->item, "null");
        inspect_flush(out);
    }
    strbuf_text(out, "]");
}

static void add_value(struct strbuf *out, const struct gguf_pair *p)
{
    struct error ignored;
    struct cursor c = {.bytes = p->bytes, .err = &ignored};
    if (p->type == GGUF_ARRAY)
        add_items(out, p);
    else if (p->type == GGUF_STRING)
        strbuf_json(out, p->bytes);
    else
        inspect_scalar(out, &c, p->type, "null");
}

static void add_pair(struct strbuf *out, const struct gguf_pair *p)
{
    strbuf_text(out, "{\"key\":");
    strbuf_json(out, p->key);
    strbuf_format(out, ",\"type\":\"%s\"", gguf_type_name(p->type));
    if (p->type == GGUF_ARRAY)
        strbuf_format(out, ",\"items\":\"%s\",\"count\":%" PRIu64, gguf_type_name(p->item), p->count);
    strbuf_text(out, ",\"value\":");
    add_value(out, p);
    strbuf_text(out, "}");
    inspect_flush(out);
}

static void add_tensor(struct strbuf *out, const struct tensor *t, size_t file)
{
    strbuf_text(out, "{\"name\":");
    strbuf_json(out, t->name);
    strbuf_format(out, ",\"type\":\"%s\",\"shape\":[", t->type->name);
    for (uint32_t i = 0; i < t->rank; i++)
        strbuf_format(out, "%s%" PRIu64, i ? "," : "", t->dim[i]);
    strbuf_format(out,
        "],\"elements\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"offset\":%" PRIu64 ",\"file\":%zu}", t->elems,
        t->size, t->offset, file);
    inspect_flush(out);
}

static void add_files(struct strbuf *out, const struct loaded *l)
{
    const struct gguf_model *m = l->gguf;
    strbuf_text(out, ",\"files\":[");
    for (size_t i = 0; i < l->n_maps; i++) {
        strbuf_format(out, "%s{\"name\":", i ? "," : "");
        strbuf_json(out, span_of(mapping_name(l->maps[i])));
        add_number(out, "bytes", mapping_bytes(l->maps[i]).size);
        if (m) {
            add_number(out, "version", m->files[i]->version);
            add_number(out, "alignment", m->files[i]->alignment);
            add_number(out, "data_offset", m->files[i]->data_offset);
        }
        strbuf_text(out, "}");
    }
    strbuf_text(out, "]");
}

static void add_sampling(struct strbuf *out, const struct gguf *g)
{
    struct sampling_setting settings[INSPECT_SAMPLING];
    size_t n = inspect_sampling(g, settings);
    strbuf_text(out, ",\"sampling\":{");
    for (size_t i = 0; i < n; i++) {
        strbuf_text(out, i ? "," : "");
        strbuf_json(out, settings[i].name);
        strbuf_text(out, ":");
        add_value(out, settings[i].pair);
    }
    strbuf_text(out, "}");
}

static void add_tables(struct strbuf *out, const struct gguf_model *m)
{
    const char *comma = "";
    strbuf_text(out, ",\"metadata\":[");
    for (size_t i = 0; i < m->files[0]->n_pairs; i++) {
        strbuf_text(out, i ? "," : "");
        add_pair(out, &m->files[0]->pairs[i]);
    }
    strbuf_text(out, "],\"tensors\":[");
    for (size_t f = 0; f < m->n_files; f++) {
        for (size_t i = 0; i < m->files[f]->checkpoint.n_tensors; i++) {
            strbuf_text(out, comma);
            add_tensor(out, &m->files[f]->checkpoint.tensors[i], f);
            comma = ",";
        }
    }
    strbuf_text(out, "]");
}

static void add_totals(struct strbuf *out, const struct gguf_model *m)
{
    struct type_total totals[INSPECT_TYPES];
    size_t n = inspect_totals(m, totals);
    strbuf_text(out, ",\"types\":[");
    for (size_t i = 0; i < n; i++) {
        strbuf_format(out, "%s{\"type\":\"%s\"", i ? "," : "", totals[i].type->name);
        add_number(out, "tensors", totals[i].tensors);
        add_number(out, "elements", totals[i].elems);
        add_number(out, "bytes", totals[i].bytes);
        strbuf_text(out, "}");
    }
    strbuf_text(out, "]");
}

static void add_found(struct strbuf *out, const struct loaded *l, const struct scan_model *found)
{
    struct strbuf text;
    strbuf_init(&text, 65536);
    inspect_settings(&text, l);
    add_member(out, "id", found->id);
    add_member(out, "layout", found->layout ? found->layout : "");
    add_member(out, "settings", text.text);
    strbuf_release(&text);
}

void inspect_json(
    struct strbuf *out, const struct loaded *l, const char *path, const struct scan_model *found)
{
    const char *why;
    strbuf_text(out, "{\"path\":");
    strbuf_json(out, span_of(path));
    if (found)
        add_found(out, l, found);
    add_member(out, "format", l->info.format);
    add_member(out, "kind", l->info.kind);
    add_member(out, "name", l->info.name);
    add_member(out, "architecture", l->info.architecture);
    add_member(out, "quantization", l->info.quantization);
    add_number_or_null(out, "parameters", l->info.parameters);
    add_number_or_null(out, "context", l->info.context);
    add_number(out, "bytes", loaded_mapped_bytes(l));
    strbuf_format(out, ",\"supported\":%s", inspect_supported(l, &why) ? "true" : "false");
    add_files(out, l);
    if (l->gguf) {
        add_sampling(out, ((const struct gguf_model *)l->gguf)->files[0]);
        add_tables(out, l->gguf);
        add_totals(out, l->gguf);
    }
    strbuf_text(out, "}\n");
}
