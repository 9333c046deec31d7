/* raw.c - a file of a format that no loader knows: mapped and listed, its content left alone.
 *
 * It stands last in the table and takes everything, so that a model in a format of the future, or of the
 * user's own, is there for whoever asks for its name. Nothing can be computed with it.
 */
#include "loader_private.h"

/* Common extensions of model files, which are no part of a model's name. */
static const char *const raw_extensions[] = {".bin", ".onnx", ".safetensors", ".pt", ".pth", ".ckpt", ".pkl",
    ".pickle", ".joblib", ".h5", ".keras", ".tflite", ".pb", ".npz", ".npy", ".model", ".xgb", ".ggml",
    ".llamafile", NULL};

static bool raw_probe(struct span head)
{
    (void)head;
    return true;
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
