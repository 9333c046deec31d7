/* inspect_private.h - what the two forms of berth inspect, the table and JSON, share. */
#ifndef BERTH_INSPECT_PRIVATE_H
#define BERTH_INSPECT_PRIVATE_H

#include "berth/base/cursor.h"
#include "berth/loaders/gguf.h"
#include "berth/base/strbuf.h"

struct scan_model;

/* Each writes the model `l`, which was opened at `path`, to standard output, through the buffer `out`. `found` is what the
 * scan of a directory says of it, NULL for a single file. */
void inspect_table(
    struct strbuf *out, const struct loaded *l, const char *path, const struct scan_model *found);
void inspect_json(
    struct strbuf *out, const struct loaded *l, const char *path, const struct scan_model *found);

/* inspect_settings.c: what a manifest says of requests, "temp 0.5, stop "a" "b", system "…"", as one line; nothing without
 * a manifest. */
void inspect_settings(struct strbuf *out, const struct loaded *l);

/* A key that a loader has made, "  llama.block_count  30", as the start of a line. Long arrays are cut. */
void inspect_translated(struct strbuf *out, const struct checkpoint_value *v);

/* Writes out what is in the buffer once there is enough of it. A failure shows in ferror(stdout). */
void inspect_flush(struct strbuf *out);

/* Adds the next number or bool of this type. `odd` is written for NaN and infinities; NULL: "nan" or "inf". */
void inspect_scalar(struct strbuf *out, struct cursor *c, enum gguf_type type, const char *odd);

/* Sums over the tensors of one type. */
struct type_total {
    const struct tensor_type *type;
    uint64_t tensors, elems, bytes;
};

/* Whether berth runs the model. *why is "yes", or "no" with the reason. */
bool inspect_supported(const struct loaded *l, const char **why);

/* One of the sampling settings that a file recommends. */
struct sampling_setting {
    struct span name; /* "temp": the key without "general.sampling." */
    const struct gguf_pair *pair; /* a number or bool */
};

#define INSPECT_SAMPLING 16

/* The file's settings, in its order. Returns how many. */
size_t inspect_sampling(const struct gguf *g, struct sampling_setting found[INSPECT_SAMPLING]);

#define INSPECT_TYPES 64

/* The sums for each type that occurs, the one with most bytes first. Returns how many. */
size_t inspect_totals(const struct gguf_model *m, struct type_total totals[INSPECT_TYPES]);

/* Prints the architectures that can be run, as a paragraph of help. */
void inspect_print_architectures(void);

#endif
