/* raw.c - a file of a format that no other loader knows: it is mapped and listed, and its content is not read.
 *
 * This row is the last of the table and takes every file. Such a model appears in the list, and cannot answer.
 */
#include "loader_private.h"

#include "berth/loaders/safetensors.h"

#include <string.h>

/* Common extensions of model files, which are no part of a model's name. */
static const char *const raw_extensions[] = {".bin", ".onnx", ".pt", ".pth", ".ckpt", ".pkl", ".pickle",
    ".joblib", ".h5", ".keras", ".tflite", ".pb", ".npz", ".npy", ".model", ".xgb", ".ggml", ".llamafile",
    NULL};

static bool raw_probe(struct span head)
{
    (void)head;
    return true;
}

/* Formats that are recognized by their first bytes, and that berth cannot read yet. */
static bool starts(struct span bytes, const char *text)
{
    size_t size = strlen(text);
    return bytes.size >= size && memcmp(bytes.at, text, size) == 0;
}

/* An ONNX file is a protobuf message whose first fields are a small version and the producer's name. */
static bool is_onnx(struct span bytes)
{
    return bytes.size > 4 && bytes.at[0] == 0x08 && bytes.at[1] > 0 && bytes.at[1] < 32 &&
           bytes.at[2] == 0x12;
}

const char *raw_unread(struct span bytes)
{
    if (safetensors_begins(bytes))
        return "no config.json lies beside the safetensors file; berth runs directories with both, and GGUF files";
    if (is_onnx(bytes))
        return "ONNX files are not supported yet; berth runs GGUF files";
    if (starts(bytes, "PK\x03\x04") || starts(bytes, "\x80\x02"))
        return "PyTorch and pickle files are not supported; berth runs GGUF files";
    if (starts(bytes, "lmgg") || starts(bytes, "tjgg") || starts(bytes, "fmgg"))
        return "GGML files, which came before GGUF, are not supported; convert the model to GGUF";
    return "the file is in no format that berth can run; berth runs GGUF files";
}

static bool raw_read(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    (void)v, (void)path, (void)err;
    l->info.kind = "";
    return true;
}

const struct loader loader_raw = {
    .name = "raw",
    .extensions = raw_extensions,
    .probe = raw_probe,
    .read = raw_read,
};
