/* oip_private.h - the handlers of the Open Inference Protocol's routes. */
#ifndef BERTH_OIP_PRIVATE_H
#define BERTH_OIP_PRIVATE_H

#include "berth/server/http/reply.h"

void oip_live(struct server *s, const struct http_request *q, struct reply *r);
void oip_ready(struct server *s, const struct http_request *q, struct reply *r);

#endif
