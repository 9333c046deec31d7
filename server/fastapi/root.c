/* root.c - the greeting, the service's own health routes, and metrics.
 *
 * Probes ask these again and again, under any load: the answers are constants or come from atomics, and wait for
 * nothing.
 */
#include "fastapi_private.h"

#include "berth/base/strbuf.h"
#include "berth/server/json/body.h"
#include "berth/server/metrics.h"
#include "berth/server/readiness.h"
#include "berth/server/server.h"

#include <string.h>

static const char json[] = "application/json";

void fastapi_root(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    bool mounted = catalog_progress(s->catalog).mapped > 0;
    reply_constant(r, 200, json,
        mounted ? "{\"message\":\"Model loaded from volume mount\"}"
                : "{\"message\":\"Hello from Docker!\"}");
}

void fastapi_health(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    if (catalog_progress(s->catalog).ended) {
        reply_constant(r, 200, json, "{\"status\":\"healthy\"}");
        return;
    }
    reply_constant(r, 503, json, "{\"status\":\"loading\"}");
    reply_retry_after(r, READINESS_RETRY_SECONDS);
}

void fastapi_livez(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    if (server_lives(s))
        reply_constant(r, 200, json, "{\"status\":\"alive\"}");
    else
        reply_constant(r, 503, json, "{\"status\":\"stuck\"}");
}

void fastapi_readyz(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    struct readiness now = server_readiness(s);
    if (!now.status) {
        reply_constant(r, 200, json, "{\"status\":\"ready\"}");
        return;
    }
    json_t *body = json_object();
    readiness_describe(&now, body);
    reply_json(r, 503, body);
    reply_retry_after(r, READINESS_RETRY_SECONDS);
}

void fastapi_metrics(struct server *s, const struct http_request *q, struct reply *r)
{
    const char *accept = http_request_header(q, "accept");
    (void)s;
    (void)accept;
    struct strbuf out;
    size_t size;
    strbuf_init(&out, 16 * 1024 * 1024);
    metrics_write(s, &out);
    char *text = strbuf_take(&out, &size);
    reply_owned(r, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
}
