/* api.h - the handlers that rows of the route table name.
 *
 * A handler checks its whole request, then fills the reply. It runs on an HTTP thread, so it must not wait
 * for anything but memory; on a route that is marked slow it runs on a thread of server/http/request_workers.c, may take its
 * time to compute, and may leave an answer that comes later (stream.h).
 */
#ifndef BERTH_API_H
#define BERTH_API_H

#include "berth/server/http/reply.h"
#include "berth/server/server.h"

/* api_root.c: the service itself */
void api_root(struct server *s, const struct http_request *q, struct reply *r);
void api_health(struct server *s, const struct http_request *q, struct reply *r);
void api_livez(struct server *s, const struct http_request *q, struct reply *r);
void api_readyz(struct server *s, const struct http_request *q, struct reply *r);
void api_v2_live(struct server *s, const struct http_request *q, struct reply *r);
void api_v2_ready(struct server *s, const struct http_request *q, struct reply *r);
void api_metrics(struct server *s, const struct http_request *q, struct reply *r);

/* api_models.c: what is on the volume */
void api_models(struct server *s, const struct http_request *q, struct reply *r);
void api_model(struct server *s, const struct http_request *q, struct reply *r);

/* chat.c, completions.c: what a model answers */
void api_chat(struct server *s, const struct http_request *q, struct reply *r);
void api_completions(struct server *s, const struct http_request *q, struct reply *r);

/* api_tokenize.c: what a model's tokenizer makes of a text, and back */
void api_tokenize(struct server *s, const struct http_request *q, struct reply *r);
void api_detokenize(struct server *s, const struct http_request *q, struct reply *r);

/* api_docs.c: the routes described */
void api_openapi(struct server *s, const struct http_request *q, struct reply *r);
void api_docs(struct server *s, const struct http_request *q, struct reply *r);

/* Frees what the two made; nobody may be asking any more. */
void api_docs_free(struct server *s);

#endif
