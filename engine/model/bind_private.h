/* bind_private.h - how layer kinds find their tensors.
 *
 * Each function looks a tensor up by name, checks its shape, marks it as asked for and fills in a view on the
 * mapped file. It returns false with the reason, which names the tensor, when it is missing or has another shape. A
 * missing optional tensor is no error; the pointer is NULL then.
 */
#ifndef BIND_PRIVATE_H
#define BIND_PRIVATE_H

#include "decoder_private.h"

#define STEM_ROOM 64 /* of "blk.1023.post_attention_norm" and the like */
#define NAME_ROOM 96

struct binder;

struct decoder *binder_decoder(const struct binder *b);
bool bind_refuse(struct binder *b, const char *reason); /* false */

/* A tensor's name is a stem, "blk.3.attn_q", and a part, "weight", with a dot between. */
struct stem {
    char text[STEM_ROOM];
};
struct name {
    char text[NAME_ROOM];
};
struct name bind_name(const char *stem, const char *part);
struct stem bind_stem(size_t layer, const char *rest); /* "blk.LAYER.REST" */

bool bind_has(const struct binder *b, const char *stem); /* "STEM.weight" is there */
uint64_t bind_rows(const struct binder *b, const char *stem); /* of "STEM.weight"; 0 where it is missing */

/* Memory for numbers that are made from the file's; it lives as long as the decoder. `name` is for the reason. */
float *bind_memory(struct binder *b, size_t elems, const char *name);

/* float32 [rows][columns]; a vector is one row. */
bool bind_vector(struct binder *b, const char *name, uint64_t rows, uint64_t columns, const float **out);
/* The same by blocks of rows, with rows and columns exchanged in each: *out is [blocks][columns][block], where the last
 * block is filled up with zeros. */
bool bind_blocks(
    struct binder *b, const char *name, uint64_t rows, uint64_t columns, uint64_t block, const float **out);
/* The same with all rows and columns exchanged: *out is [columns][rows]. */
bool bind_transposed(struct binder *b, const char *name, uint64_t rows, uint64_t columns, const float **out);
/* n tensors [rows][columns] (or [rows][1][columns]) side by side, exchanged: *out is [columns][n * rows]. */
bool bind_channels(struct binder *b, const char *const names[], size_t n, uint64_t rows, uint64_t columns,
    const float **out);
bool bind_optional(struct binder *b, const char *name, uint64_t rows, uint64_t columns, const float **out);

/* "STEM.weight", or "STEM" as a few converters call it: [columns], optional. */
bool bind_weight_or_stem(struct binder *b, const char *stem, uint64_t columns, const float **out);

/* [rows][columns], by its whole name. */
bool bind_matrix(
    struct binder *b, const char *name, uint64_t rows, uint64_t columns, struct matmul_weight *out);

/* "STEM.weight" [rows][columns] alone. */
bool bind_product(struct binder *b, const char *stem, uint64_t rows, uint64_t columns, struct linear *l);
/* "STEM.weight" [rows][columns], with "STEM.bias" [rows] and "STEM.scale" [1], both optional. */
bool bind_linear(struct binder *b, const char *stem, uint64_t rows, uint64_t columns, struct linear *l);

/* After the first shape.n_blocks layers have been bound: gives all layers the weights of their blocks. */
bool bind_shared_blocks(struct binder *b);

/* "STEM.weight" [experts][rows][columns], with "STEM.bias" [experts][rows] and "STEM.scale" [experts], both optional. */
bool bind_experts(struct binder *b, const char *stem, uint64_t experts, uint64_t rows, uint64_t columns,
    struct expert_weights *w);

/* Marks the tensors of a linear, where they are there, as asked for and not used. */
void bind_skip(struct binder *b, const char *stem);

#endif
