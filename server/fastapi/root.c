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

#include <stdint.h>
#include <stdlib.h>

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

/* ---- metrics: written as they are sent, so that any number of models needs little memory ---- */

struct exposition {
    struct reply_writer writer;
    struct metrics_walk *walk;
    bool open; /* in OpenMetrics */
};

static bool metrics_piece(struct reply_writer *w, struct strbuf *out)
{
    struct exposition *e = (struct exposition *)(void *)w;
    struct strbuf plain;
    if (!e->open)
        return metrics_more(e->walk, out);
    strbuf_init(&plain, SIZE_MAX);
    bool more = metrics_more(e->walk, &plain);
    if (plain.failed)
        out->failed = true;
    else
        metrics_add_openmetrics(plain.text, out);
    if (!more)
        strbuf_text(out, METRICS_OPENMETRICS_END);
    strbuf_release(&plain);
    return more;
}

static void metrics_release(struct reply_writer *w)
{
    struct exposition *e = (struct exposition *)(void *)w;
    metrics_end(e->walk);
    free(e);
}

void fastapi_metrics(struct server *s, const struct http_request *q, struct reply *r)
{
    static const struct reply_writer_kind kind = {metrics_piece, metrics_release};
    struct exposition *e = calloc(1, sizeof(*e));
    if (e && !(e->walk = metrics_begin(s))) {
        free(e);
        e = NULL;
    }
    if (e) {
        e->writer.kind = &kind;
        e->open = metrics_wants_openmetrics(http_request_header(q, "accept"));
    }
    reply_written(r, 200, e && e->open ? METRICS_OPENMETRICS : METRICS_TEXT, e ? &e->writer : NULL);
}
