/* inspect_private.h - what the two ways of showing a model, as a table and as JSON, share. */
#ifndef BERTH_INSPECT_PRIVATE_H
#define BERTH_INSPECT_PRIVATE_H

#include "berth/base/cursor.h"
#include "berth/loaders/gguf.h"
#include "berth/base/strbuf.h"

/* Each writes the model `l`, which was opened at `path`, to standard output by way of `out`. */
void inspect_table(struct strbuf *out, const struct loaded *l, const char *path);
void inspect_json(struct strbuf *out, const struct loaded *l, const char *path);

/* Writes out what has gathered, once it is enough to be worth it. A failure shows in ferror(stdout). */
void inspect_flush(struct strbuf *out);

/* Adds the next number or bool of this type. `odd` stands for what is no finite number; NULL: "nan",
 * "inf". */
void inspect_scalar(struct strbuf *out, struct cursor *c, enum gguf_type type, const char *odd);

/* What the tensors of one type amount to. */
struct type_total {
    const struct tensor_type *type;
    uint64_t tensors, elems, bytes;
};

#define INSPECT_TYPES 64

/* One total for each type that occurs, the heaviest first. Returns how many. */
size_t inspect_totals(const struct gguf_model *m, struct type_total totals[INSPECT_TYPES]);

#endif
