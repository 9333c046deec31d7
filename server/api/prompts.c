/* prompts.c - prompts as token ids, made of text or of lists of ids. */
#include "berth/server/api/prompt.h"

#include "berth/server/api/completion_params.h"

#include <stdlib.h>

#define BYTES_PER_TOKEN 64 /* more than the tokens of any real text have on average */
#define BYTES_LEAST 65536

struct prompt prompt_for(struct server *s, const struct http_request *q)
{
    return (struct prompt){.ids.stop = q->useless, .memory = &s->request_memory};
}

void prompt_release(struct prompt *p)
{
    tokenizer_ids_release(&p->ids);
    free(p->text);
    *p = (struct prompt){0};
}

/* A text that is far too long is refused before it is tokenized, since that takes long. */
bool prompt_check_size(const struct text_model *t, size_t bytes, const char *param, struct api_error *c)
{
    size_t most = TOKENIZER_TEXT_MAX;
    if (text_model_context(t) < TOKENIZER_TEXT_MAX / BYTES_PER_TOKEN)
        most = text_model_context(t) * BYTES_PER_TOKEN;
    if (most < BYTES_LEAST)
        most = BYTES_LEAST;
    if (bytes <= most)
        return true;
    return api_error_status(c, 400, "context_length_exceeded", param,
        "This model's maximum context length is %zu tokens. However, your text has %zu bytes, which is more "
        "than fits. Please reduce its length.",
        text_model_context(t), bytes);
}

bool prompt_failed(const struct prompt *p, const char *param, const struct error *err, struct api_error *c)
{
    if (p->ids.stop && atomic_load(p->ids.stop))
        return api_error_status(c, 503, NULL, NULL, "The client has left, or the server is shutting down");
    return api_error_of(c, param, err);
}

bool prompt_add_text(struct prompt *p, const struct text_model *t, const struct tokenizer_text *in,
    const char *param, struct api_error *c)
{
    struct error err = {0};
    return prompt_check_size(t, in->text.size, param, c) &&
           (tokenizer_encode(text_model_tokenizer(t), in, &p->ids, &err) || prompt_failed(p, param, &err, c));
}

bool prompt_add_id(struct prompt *p, int32_t id, struct api_error *c)
{
    struct tokenizer_ids *ids = &p->ids;
    if (ids->n == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 16;
        int32_t *at = realloc(ids->at, room * sizeof(*at));
        if (!at)
            return api_error_no_memory(c);
        ids->at = at;
        ids->room = room;
    }
    ids->at[ids->n++] = id;
    return true;
}

bool prompt_add_ids(
    struct prompt *p, size_t vocabulary, const json_t *list, const char *param, struct api_error *c)
{
    size_t n = json_array_size(list);
    int32_t *ids = malloc((n ? n : 1) * sizeof(*ids));
    if (!ids)
        return api_error_no_memory(c);
    p->ids = (struct tokenizer_ids){.at = ids, .n = n, .room = n};
    for (size_t i = 0; i < n; i++) {
        if (!api_token_id(json_array_get(list, i), vocabulary, &ids[i]))
            return api_error_bad(
                c, param, "'%s[%zu]' is not a token id; this model has 0 to %zu", param, i, vocabulary - 1);
    }
    return true;
}
