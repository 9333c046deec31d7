/* requested_model.h - the model that a request names, and what it needs of it.
 */
#ifndef BERTH_REQUESTED_MODEL_H
#define BERTH_REQUESTED_MODEL_H

#include "berth/engine/scheduler/text_model.h"
#include "berth/server/api/api_error.h"

struct requested_model {
    struct model *model; /* held; NULL for none */
    struct served_model *served;
    struct text_model *text; /* the same model */
};

enum model_need {
    NEEDS_DECODER = 1 << TEXT_DECODER,
    NEEDS_TOKENIZER = 1 << TEXT_TOKENIZER,
    NEEDS_CHAT = 1 << TEXT_CHAT,
    NEEDS_EMBEDDING = 1 << TEXT_PARTS /* with the decoder: it makes vectors of texts; without: it generates */
};

/* Finds and holds the model that the request names, or the only one that can answer, and checks that it has the parts
 * of `needs` (enum model_need). Give it back with requested_model_release, after false too. */
bool requested_model_find(
    struct requested_model *m, struct server *s, const json_t *request, unsigned needs, struct api_error *c);
void requested_model_release(struct requested_model *m, struct server *s);

#endif
