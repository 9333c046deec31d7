/* fill_in_middle.h - prompts for the text between a prefix and a suffix, by the marks of the model's vocabulary.
 */
#ifndef BERTH_FILL_IN_MIDDLE_H
#define BERTH_FILL_IN_MIDDLE_H

#include "berth/server/api/prompt.h"

/* What a client sends; all borrowed. */
struct fill_in_middle {
    const json_t *prefix, *suffix; /* strings, or NULL for empty ones */
    const char *prefix_name; /* of its field, for errors */
    const json_t *begun; /* a string: the beginning of the middle; NULL for none */
    const json_t *extra; /* a list of {"filename": …, "text": …}; NULL for none */
    int64_t most; /* tokens of the answer, for which room is left; below 0: unknown */
    bool whole; /* nothing is left out, whether it fits or not */
    bool bare; /* no token that begins a text */
};

/* True when the vocabulary has the marks. */
bool fill_in_middle_is_known(const struct tokenizer *t);

/* Fills in the ids. Unless `whole`, where they are more than fit the context, the ends of prefix and suffix that are far from the gap are
 * left out, and the first of the extra texts. False with the error; `param` names the field that asks for it. */
bool fill_in_middle_prompt(struct prompt *p, const struct text_model *t, const struct fill_in_middle *f,
    const char *param, struct api_error *c);

#endif
