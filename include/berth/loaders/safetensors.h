/* safetensors.h - reads the table of a safetensors file.
 *
 * The file is a number of 8 bytes, little-endian; a JSON object of that many bytes, which gives each tensor's type, shape
 * and place; and the tensors' bytes. Reading it validates all of it against the file's size and copies none of it: names
 * and tensors point into the mapped bytes. Tensors may begin at any address, since nothing aligns them.
 *
 * Source of the format: the documentation of Hugging Face's safetensors.
 */
#ifndef BERTH_SAFETENSORS_H
#define BERTH_SAFETENSORS_H

#include "berth/base/error.h"
#include "berth/base/tensor.h"

/* One file's tensors, in the order of their bytes, under the file's own names. The first dimension is the row, as in
 * GGUF: it is the last one of the file's shape. */
struct safetensors {
    struct tensor *tensors; /* [n] */
    const struct tensor **by_name; /* [n], sorted by name */
    size_t n;
};

/* False with the reason, which names the tensor or the byte: no safetensors file, cut short, a type that tensors cannot
 * have, more than four dimensions, a place that contradicts the shape, or bytes that belong to two tensors or to none. */
bool safetensors_read(struct safetensors *s, struct span bytes, struct error *err);
void safetensors_release(struct safetensors *s);

/* The tensor with this name, or NULL. */
const struct tensor *safetensors_find(const struct safetensors *s, struct span name);

/* Whether a file with these first bytes (at least 9) may be one. */
bool safetensors_begins(struct span head);

#endif
