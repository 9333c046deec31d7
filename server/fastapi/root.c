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

#define METRICS_MAX ((size_t)16 << 20)

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
    struct strbuf out, open;
    size_t size;
    bool wants_open = metrics_wants_openmetrics(http_request_header(q, "accept"));
    strbuf_init(&out, METRICS_MAX);
    metrics_write(s, &out);
    if (wants_open) {
        strbuf_init(&open, METRICS_MAX);
        metrics_add_openmetrics(out.text, &open);
        strbuf_text(&open, METRICS_OPENMETRICS_END);
        open.failed = open.failed || out.failed;
        strbuf_release(&out);
        out = open;
    }
    char *text = strbuf_take(&out, &size);
    reply_owned(r, 200, wants_open ? METRICS_OPENMETRICS : METRICS_TEXT, text, size);
}
