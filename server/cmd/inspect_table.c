/* inspect_table.c - shows a model to a person: what it is, its keys, its tensors, and sums by type.
 *
 * A column is as wide as its widest cell, up to a limit; a longer name shifts only its own row. Text from the file is
 * escaped by text_escape, so it can neither control the terminal nor break a row.
 */
#include "inspect_private.h"
#include "width_private.h"

#include "berth/loaders/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VALUE_WIDTH 100
#define ITEM_ROOM 48
#define NAME_ROOM 80
#define NAME_WIDTH 64 /* of the column of names, at most */

static size_t width_of(const char *text)
{
    return text_width(span_of(text));
}

static void add_spaces(struct strbuf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        strbuf_text(out, " ");
}

static void add_left(struct strbuf *out, const char *text, size_t width)
{
    size_t taken = width_of(text);
    strbuf_text(out, text);
    add_spaces(out, (taken < width ? width - taken : 0) + 2);
}

static void add_right(struct strbuf *out, const char *text, size_t width)
{
    size_t taken = width_of(text);
    add_spaces(out, taken < width ? width - taken : 0);
    strbuf_text(out, text);
    add_spaces(out, 2);
}

static void end_row(struct strbuf *out)
{
    while (!out->failed && out->size && out->text[out->size - 1] == ' ')
        out->text[--out->size] = '\0';
    strbuf_text(out, "\n");
    inspect_flush(out);
}

static size_t wider(size_t width, const char *text, size_t limit)
{
    size_t taken = width_of(text);
    return taken > width ? (taken < limit ? taken : limit) : width;
}

static const char *decimal(char out[TEXT_NUMBER], uint64_t value)
{
    snprintf(out, TEXT_NUMBER, "%" PRIu64, value);
    return out;
}

/* --- What it is --- */

static void add_fact(struct strbuf *out, const char *name, const char *value)
{
    if (!value[0])
        return;
    add_left(out, name, 12);
    strbuf_text(out, value);
    end_row(out);
}

static void add_fact_bytes(struct strbuf *out, const char *name, uint64_t bytes)
{
    char number[TEXT_NUMBER], text[80];
    if (bytes < 1024)
        snprintf(text, sizeof(text), "%" PRIu64 " bytes", bytes);
    else
        snprintf(text, sizeof(text), "%s (%" PRIu64 " bytes)", text_bytes(number, bytes), bytes);
    add_fact(out, name, text);
}

/* Adds nothing for 0, which means that the file has no such figure. */
static void add_fact_count(struct strbuf *out, const char *name, uint64_t count, const char *unit)
{
    char number[TEXT_NUMBER], text[80];
    if (count < 1000000)
        snprintf(text, sizeof(text), "%" PRIu64 "%s", count, unit);
    else
        snprintf(text, sizeof(text), "%s (%" PRIu64 "%s)", text_count(number, count), count, unit);
    if (count)
        add_fact(out, name, text);
}

static void add_parts(struct strbuf *out, const struct loaded *l)
{
    char name[512], size[TEXT_NUMBER], text[640];
    for (size_t i = 0; i < l->n_maps && l->n_maps > 1; i++) {
        text_escape(name, sizeof(name), span_of(mapping_name(l->maps[i])));
        snprintf(text, sizeof(text), "%s, %s", name, text_bytes(size, mapping_bytes(l->maps[i]).size));
        add_fact(out, i == 0 ? "parts" : " ", text);
    }
}

static void add_sampling(struct strbuf *out, const struct gguf *g)
{
    struct strbuf text;
    struct sampling_setting settings[INSPECT_SAMPLING];
    size_t n = inspect_sampling(g, settings);
    strbuf_init(&text, 1024);
    for (size_t i = 0; i < n; i++) {
        char name[40];
        struct error ignored;
        struct cursor c = {.bytes = settings[i].pair->bytes, .err = &ignored};
        text_escape(name, sizeof(name), settings[i].name);
        strbuf_format(&text, "%s%s ", i ? ", " : "", name);
        inspect_scalar(&text, &c, settings[i].pair->type, NULL);
    }
    add_fact(out, "sampling", text.text);
    strbuf_release(&text);
}

static void add_found(struct strbuf *out, const struct loaded *l, const struct scan_model *found)
{
    struct strbuf text;
    strbuf_init(&text, 65536);
    add_fact(out, "id", found->id);
    add_fact(out, "found in", found->layout ? found->layout : "");
    inspect_settings(&text, l);
    add_fact(out, "settings", text.text);
    strbuf_release(&text);
}

static void add_facts(
    struct strbuf *out, const struct loaded *l, const char *path, const struct scan_model *found)
{
    const struct gguf_model *m = l->gguf;
    char text[512];
    const char *why;
    text_escape(text, sizeof(text), span_of(path));
    add_fact(out, "file", text);
    add_fact_bytes(out, "size", loaded_mapped_bytes(l));
    if (m)
        snprintf(text, sizeof(text), "%s, version %" PRIu32, l->info.format, m->files[0]->version);
    else
        snprintf(text, sizeof(text), "%s%s", l->info.format,
            l->checkpoint ? ", Hugging Face directory"
            : l->hf       ? ", without its directory"
                          : ": not a format that berth knows");
    add_fact(out, "format", text);
    if (found)
        add_found(out, l, found);
    add_fact(out, "architecture", l->info.architecture);
    add_fact(out, "name", l->info.name);
    add_fact(out, "quantization", l->info.quantization);
    add_fact(out, "kind", l->info.kind);
    add_fact_count(out, "parameters", l->info.parameters, "");
    add_fact_count(out, "context", l->info.context, " tokens");
    if (m)
        add_fact(out, "alignment", decimal(text, m->files[0]->alignment));
    inspect_supported(l, &why);
    add_fact(out, "supported", why);
    if (m)
        add_sampling(out, m->files[0]);
    add_parts(out, l);
}

/* --- Keys --- */

static void add_quoted(struct strbuf *out, struct span s, size_t width)
{
    char text[VALUE_WIDTH + 8];
    text_escape(text, width < sizeof(text) ? width : sizeof(text), s);
    strbuf_format(out, "\"%s\"", text);
}

static void add_items(struct strbuf *out, const struct gguf_pair *p)
{
    struct error ignored;
    struct cursor c = {.bytes = p->bytes, .err = &ignored};
    size_t pos = 0, start = out->size;
    strbuf_format(out, "[%" PRIu64 "] ", p->count);
    for (uint64_t i = 0; i < p->count && !out->failed; i++) {
        if (out->size - start > VALUE_WIDTH - ITEM_ROOM / 2) {
            strbuf_text(out, "…");
            return;
        }
        if (p->item == GGUF_STRING)
            add_quoted(out, checkpoint_next_string(p->bytes, &pos), ITEM_ROOM);
        else
            inspect_scalar(out, &c, p->item, NULL);
        strbuf_text(out, i + 1 < p->count ? ", " : "");
    }
}

static void add_value(struct strbuf *out, const struct gguf_pair *p)
{
    struct error ignored;
    struct cursor c = {.bytes = p->bytes, .err = &ignored};
    if (p->type == GGUF_ARRAY)
        add_items(out, p);
    else if (p->type == GGUF_STRING)
        add_quoted(out, p->bytes, VALUE_WIDTH);
    else
        inspect_scalar(out, &c, p->type, NULL);
}

/* "u32", "array of string" */
static const char *type_of(char out[TEXT_NUMBER], const struct gguf_pair *p)
{
    const char *item = p->type == GGUF_ARRAY ? gguf_type_name(p->item) : "";
    snprintf(out, TEXT_NUMBER, "%s%s%s", gguf_type_name(p->type), item[0] ? " of " : "", item);
    return out;
}

static void add_pairs(struct strbuf *out, const struct gguf *g)
{
    char key[NAME_ROOM], type[TEXT_NUMBER];
    size_t key_width = 0, type_width = 0;
    for (size_t i = 0; i < g->n_pairs; i++) {
        text_escape(key, sizeof(key), g->pairs[i].key);
        key_width = wider(key_width, key, NAME_WIDTH);
        type_width = wider(type_width, type_of(type, &g->pairs[i]), TEXT_NUMBER);
    }
    strbuf_format(out, "\nmetadata, %zu keys\n", g->n_pairs);
    for (size_t i = 0; i < g->n_pairs; i++) {
        text_escape(key, sizeof(key), g->pairs[i].key);
        add_spaces(out, 2);
        add_left(out, key, key_width);
        add_left(out, type_of(type, &g->pairs[i]), type_width);
        add_value(out, &g->pairs[i]);
        end_row(out);
    }
}

/* --- Tensors --- */

enum { NAME, TYPE, SHAPE, ELEMENTS, BYTES, OFFSET, TENSOR_COLUMNS };

static const char *const tensor_head[TENSOR_COLUMNS] = {
    "name", "type", "shape", "elements", "bytes", "offset"};

struct inspect_row {
    char text[TENSOR_COLUMNS][128];
};

static void shape_of(char *out, size_t size, const struct tensor *t)
{
    size_t used = (size_t)snprintf(out, size, "[");
    for (uint32_t i = 0; i < t->rank; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, i ? ", " : "", t->dim[i]);
    snprintf(out + used, size - used, "]");
}

static void tensor_row_fill(struct inspect_row *row, const struct tensor *t)
{
    text_escape(row->text[NAME], NAME_ROOM, t->name);
    snprintf(row->text[TYPE], sizeof(row->text[TYPE]), "%s", t->type->name);
    shape_of(row->text[SHAPE], sizeof(row->text[SHAPE]), t);
    decimal(row->text[ELEMENTS], t->elems);
    decimal(row->text[BYTES], t->size);
    decimal(row->text[OFFSET], t->offset);
}

static void add_tensor_row(struct strbuf *out, const char *const text[], const size_t widths[])
{
    add_spaces(out, 2);
    for (int i = 0; i < TENSOR_COLUMNS; i++) {
        if (i < ELEMENTS)
            add_left(out, text[i], widths[i]);
        else
            add_right(out, text[i], widths[i]);
    }
    end_row(out);
}

static void measure_tensors(const struct checkpoint *c, size_t widths[])
{
    struct inspect_row row;
    for (size_t i = 0; i < c->n_tensors; i++) {
        tensor_row_fill(&row, &c->tensors[i]);
        for (int column = 0; column < TENSOR_COLUMNS; column++)
            widths[column] = wider(widths[column], row.text[column], NAME_WIDTH);
    }
}

static void add_tensor_rows(struct strbuf *out, const struct checkpoint *c, const size_t widths[])
{
    struct inspect_row row;
    const char *text[TENSOR_COLUMNS];
    for (size_t i = 0; i < c->n_tensors; i++) {
        tensor_row_fill(&row, &c->tensors[i]);
        for (int column = 0; column < TENSOR_COLUMNS; column++)
            text[column] = row.text[column];
        add_tensor_row(out, text, widths);
    }
}

static void add_tensors(struct strbuf *out, const struct gguf_model *m)
{
    size_t n = 0, widths[TENSOR_COLUMNS] = {0};
    for (int column = 0; column < TENSOR_COLUMNS; column++)
        widths[column] = width_of(tensor_head[column]);
    for (size_t f = 0; f < m->n_files; f++) {
        n += m->files[f]->checkpoint.n_tensors;
        measure_tensors(&m->files[f]->checkpoint, widths);
    }
    strbuf_format(out, "\ntensors, %zu\n", n);
    if (n)
        add_tensor_row(out, tensor_head, widths);
    for (size_t f = 0; f < m->n_files; f++) {
        if (m->n_files > 1)
            strbuf_format(out, "  part %zu\n", f + 1);
        add_tensor_rows(out, &m->files[f]->checkpoint, widths);
    }
}

/* Keys and tensors that a loader has made of files with other names. */
static void add_translated(struct strbuf *out, const struct checkpoint *c)
{
    size_t widths[TENSOR_COLUMNS] = {0};
    if (!c)
        return;
    strbuf_format(out, "\nmetadata, %zu keys, under the names of GGUF\n", c->n_values);
    for (size_t i = 0; i < c->n_values; i++) {
        inspect_translated(out, &c->values[i]);
        end_row(out);
    }
    strbuf_format(out, "\ntensors, %zu, under the names of GGUF\n", c->n_tensors);
    for (int column = 0; column < TENSOR_COLUMNS; column++)
        widths[column] = width_of(tensor_head[column]);
    measure_tensors(c, widths);
    add_tensor_row(out, tensor_head, widths);
    add_tensor_rows(out, c, widths);
}

static void add_totals(struct strbuf *out, const struct gguf_model *m)
{
    struct type_total totals[INSPECT_TYPES];
    size_t n = inspect_totals(m, totals);
    strbuf_text(out, n ? "\ntypes\n" : "");
    for (size_t i = 0; i < n; i++) {
        char elems[TEXT_NUMBER], bytes[TEXT_NUMBER];
        strbuf_format(out, "  %-8s %6" PRIu64 " tensors %8s elements %10s", totals[i].type->name,
            totals[i].tensors, text_count(elems, totals[i].elems), text_bytes(bytes, totals[i].bytes));
        end_row(out);
    }
}

void inspect_table(
    struct strbuf *out, const struct loaded *l, const char *path, const struct scan_model *found)
{
    add_facts(out, l, path, found);
    if (!l->gguf) {
        add_translated(out, l->checkpoint);
        return;
    }
    const struct gguf_model *m = l->gguf;
    add_pairs(out, m->files[0]);
    add_tensors(out, m);
    add_totals(out, m);
}
