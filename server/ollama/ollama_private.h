/* ollama_private.h - what the routes of Ollama's API share. */
#ifndef BERTH_OLLAMA_PRIVATE_H
#define BERTH_OLLAMA_PRIVATE_H

#include "berth/server/api/translate.h"

/* The version of Ollama whose API this is: clients compare it with the least one that they work with. */
#define OLLAMA_API_VERSION "0.13.5"

extern const struct dialect ollama_dialect; /* {"error": …} */

/* ---- the handlers of the routes ---- */

void ollama_chat(struct server *s, const struct http_request *q, struct reply *r); /* generate.c */
void ollama_generate(struct server *s, const struct http_request *q, struct reply *r);
/* Replies with the error. Clients know a model that is not there by Ollama's words. `asked` may be NULL. */
void ollama_reply_refusal(
    const json_t *asked, struct api_error *c, const struct http_request *q, struct reply *r);
void ollama_tags(struct server *s, const struct http_request *q, struct reply *r); /* models.c */
void ollama_ps(struct server *s, const struct http_request *q, struct reply *r);
void ollama_version(struct server *s, const struct http_request *q, struct reply *r);
void ollama_refused(struct server *s, const struct http_request *q, struct reply *r);
void ollama_show(struct server *s, const struct http_request *q, struct reply *r); /* show.c */

/* ---- request.c ---- */

enum ollama_route { OLLAMA_CHAT = 1, OLLAMA_GENERATE = 2, OLLAMA_SHOW = 4 };

/* Describe the members of requests. */
bool ollama_chat_field(size_t i, struct route_field *out);
bool ollama_generate_field(size_t i, struct route_field *out);
bool ollama_show_field(size_t i, struct route_field *out);
/* True when the fields of a request are those that the route has, with values that they may have. */
bool ollama_check(const json_t *asked, enum ollama_route route, struct api_error *c);
/* True when `options` can be honoured, of a request that is not translated. */
bool ollama_check_options(const json_t *asked, struct api_error *c);
/* Fills `out`, an empty object, with OpenAI's fields for the chat that `asked` asks for; messages in it are changed. */
bool ollama_chat_fields(json_t *asked, json_t *out, struct api_error *c);
/* The same for a prompt: a completion when *raw, otherwise a chat of one message. */
bool ollama_generate_fields(
    const struct options *o, json_t *asked, json_t *out, bool *raw, struct api_error *c);

/* ---- json.c ---- */

/* Their completion's request is an object whose "model" is the name that the client gave. */
extern const struct completion_writer ollama_chat_writer, ollama_generate_writer;

/* Appends {"model":…,"created_at":… */
void ollama_add_head(struct strbuf *out, struct span model);
/* Appends a time in RFC 3339 with its quotes. */
void ollama_add_time(struct strbuf *out, int64_t seconds, long nanoseconds);

/* ---- models.c ---- */

/* Appends {"parent_model":…} of a model that is mapped. */
void ollama_add_details(struct strbuf *out, const struct model *m);

#endif
