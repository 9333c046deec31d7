/* prompt.h - prompts as token ids, made of text or of lists of ids.
 */
#ifndef BERTH_PROMPT_H
#define BERTH_PROMPT_H

#include "berth/server/api/requested_model.h"

#define PROMPT_END_MAX 64

struct prompt {
    struct tokenizer_ids ids;
    char *text; /* [text_size], for an echo; NULL without */
    size_t text_size;
    bool keeps_text; /* of a chat: `text` becomes what the template wrote */
    char
        end[PROMPT_END_MAX]; /* [end_size]: the last of what a chat template wrote; empty for other prompts */
    size_t end_size;
    struct byte_budget *memory; /* in which what is made on the way counts */
};
/* The error of a prompt that was not made: 503 where it is of no use any more, else 400 about `param`. */
bool prompt_failed(const struct prompt *p, const char *param, const struct error *err, struct api_error *c);
/* An empty prompt for a request: its tokenizer stops when the answer is of no use any more. */
struct prompt prompt_for(struct server *s, const struct http_request *q);
void prompt_release(struct prompt *p);

/* An error about `param` when a text has more bytes than the model's context can hold. */
bool prompt_check_size(const struct text_model *t, size_t bytes, const char *param, struct api_error *c);
/* Appends the ids of a client's text, after that check. */
bool prompt_add_text(struct prompt *p, const struct text_model *t, const struct tokenizer_text *in,
    const char *param, struct api_error *c);
bool prompt_add_id(struct prompt *p, int32_t id, struct api_error *c); /* appends one */
/* Makes the ids those of a list of integers, each in the vocabulary. */
bool prompt_add_ids(
    struct prompt *p, size_t vocabulary, const json_t *list, const char *param, struct api_error *c);

#endif
