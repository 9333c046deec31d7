/* health.c - GET /v2/health/live and /v2/health/ready. */
#include "oip_private.h"

#include "berth/server/json/body.h"
#include "berth/server/readiness.h"

static const char json[] = "application/json";

void oip_live(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    if (server_lives(s))
        reply_constant(r, 200, json, "{\"live\":true}");
    else
        reply_constant(r, 503, json, "{\"live\":false}");
}

void oip_ready(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    struct readiness now = server_readiness(s);
    if (!now.status) {
        reply_constant(r, 200, json, "{\"ready\":true}");
        return;
    }
    json_t *body = json_pack("{s:b}", "ready", 0);
    readiness_describe(&now, body);
    reply_json(r, 503, body);
    reply_retry_after(r, READINESS_RETRY_SECONDS);
}
