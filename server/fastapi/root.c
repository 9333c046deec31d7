/* root.c - the greeting, health in its several dialects, and metrics.
 *
 * Probes ask these all day and under any load: they are constants or atomics, and wait for nothing.
 */
#include "berth/server/api.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/base/strbuf.h"

/* After which the engine's thread is taken to hang. One step of a large model on a small machine takes
 * minutes, and to restart such a one would end in the same place; so this is long. */
#define STUCK_SECONDS 900

#define RETRY_SECONDS 1 /* after which it is worth asking again */

static const char json[] = "application/json";

void api_root(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    bool mounted = catalog_progress(s->catalog).mapped > 0;
    reply_constant(r, 200, json,
        mounted ? "{\"message\":\"Model loaded from volume mount\"}"
                : "{\"message\":\"Hello from Docker!\"}");
}

void api_health(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    if (catalog_progress(s->catalog).ended)
        reply_constant(r, 200, json, "{\"status\":\"healthy\"}");
    else
        reply_constant(r, 503, json, "{\"status\":\"loading\"}");
    r->retry_after = r->status == 503 ? RETRY_SECONDS : 0;
}

void api_livez(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    if (engine_heartbeat_age(s->engine) < STUCK_SECONDS)
        reply_constant(r, 200, json, "{\"status\":\"alive\"}");
    else
        reply_constant(r, 503, json, "{\"status\":\"stuck\"}");
}

void api_v2_live(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    if (engine_heartbeat_age(s->engine) < STUCK_SECONDS)
        reply_constant(r, 200, json, "{\"live\":true}");
    else
        reply_constant(r, 503, json, "{\"live\":false}");
}

/* Adds the members that say why the server is not ready; false when it is. */
static bool add_unreadiness(struct server *s, json_t *body)
{
    struct error err = {0};
    struct catalog_progress p = catalog_progress(s->catalog);
    if (atomic_load(&s->draining)) {
        json_object_set_new(body, "status", json_string("draining"));
        return true;
    }
    if (catalog_ready(s->catalog, &err))
        return false;
    json_object_set_new(body, "status", json_string(p.ended ? "not ready" : "loading"));
    json_object_set_new(
        body, "models", json_pack("{s:I, s:I}", "done", (json_int_t)p.done, "total", (json_int_t)p.total));
    if (p.ended)
        json_object_set_new(body, "reason", json_string(err.text));
    return true;
}

void api_readyz(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    json_t *body = json_object();
    if (add_unreadiness(s, body)) {
        reply_json(r, 503, body);
        r->retry_after = RETRY_SECONDS;
        return;
    }
    json_decref(body);
    reply_constant(r, 200, json, "{\"status\":\"ready\"}");
}

void api_v2_ready(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    json_t *body = json_pack("{s:b}", "ready", 0);
    if (add_unreadiness(s, body)) {
        reply_json(r, 503, body);
        r->retry_after = RETRY_SECONDS;
        return;
    }
    json_decref(body);
    reply_constant(r, 200, json, "{\"ready\":true}");
}

void api_metrics(struct server *s, const struct http_request *q, struct reply *r)
{
    struct strbuf out;
    size_t size;
    (void)q;
    strbuf_init(&out, 16 * 1024 * 1024);
    metrics_write(s, &out);
    char *text = strbuf_take(&out, &size);
    reply_owned(r, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
}
