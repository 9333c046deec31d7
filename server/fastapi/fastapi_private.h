/* fastapi_private.h - the handlers of the routes that speak as FastAPI does. */
#ifndef BERTH_FASTAPI_PRIVATE_H
#define BERTH_FASTAPI_PRIVATE_H

#include "berth/server/http/reply.h"

extern const struct dialect fastapi_dialect; /* {"detail": …} */

/* root.c */
void fastapi_root(struct server *s, const struct http_request *q, struct reply *r);
void fastapi_health(struct server *s, const struct http_request *q, struct reply *r);
void fastapi_livez(struct server *s, const struct http_request *q, struct reply *r);
void fastapi_readyz(struct server *s, const struct http_request *q, struct reply *r);
void fastapi_metrics(struct server *s, const struct http_request *q, struct reply *r);

/* docs.c */
void fastapi_openapi(struct server *s, const struct http_request *q, struct reply *r);
void fastapi_docs(struct server *s, const struct http_request *q, struct reply *r);

#endif
