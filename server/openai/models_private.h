/* models_private.h - shapes of the list of models for clients that are not OpenAI's, see models_shapes.c. */
#ifndef BERTH_MODELS_PRIVATE_H
#define BERTH_MODELS_PRIVATE_H

#include "berth/server/catalog.h"

#include <jansson.h>

/* `id` is the model's own or an alias; `context` is 0 when it is not known. */
json_t *models_anthropic(const struct model *m, struct span id, uint64_t context);
json_t *models_anthropic_list(json_t *data); /* takes the list over */
json_t *models_anthropic_unknown(const char *message, const char *request_id);
json_t *models_codex(struct span id, uint64_t context);

#endif
