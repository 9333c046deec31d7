/* find_model_private.h - which model file the arguments of a command mean. */
#ifndef BERTH_FIND_MODEL_PRIVATE_H
#define BERTH_FIND_MODEL_PRIVATE_H

#include "berth/base/error.h"

#include <stdbool.h>

/* The path of the model file that `given` means:
 *
 *   a file         itself
 *   a directory    the one GGUF model in it
 *   NULL           the one GGUF model in the current directory; where it has none, the one in the directory that
 *                  BERTH_MODELS names, else in /app/models. Prints on standard error which one it is.
 *
 * NULL with the reason, which lists the models when there are several, and suggests a name when there is none. The
 * caller frees the path. */
char *find_model(const char *given, struct error *err);

/* Whether an argument before a prompt names a model: it ends in ".gguf", or it is a file that begins with "GGUF", or a
 * directory. */
bool names_model(const char *argument);

#endif
