/* readiness.c - the server's health, from the catalog's and the engine's atomics. */
#include "berth/server/readiness.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/server/server.h"

/* Seconds in one step after which the engine's thread counts as hanging. It is long because one step of a large model on a
 * small machine takes minutes, and a restart would not help. */
#define STUCK_SECONDS 900

struct readiness server_readiness(const struct server *s)
{
    struct readiness r = {0};
    struct catalog_progress p = catalog_progress(s->catalog);
    if (atomic_load(&s->draining)) {
        r.status = "draining";
        r.draining = true;
        return r;
    }
    if (catalog_ready(s->catalog, &r.reason)) {
        r.reason = (struct error){0};
        return r;
    }
    r.status = p.ended ? "not ready" : "loading";
    r.done = p.done;
    r.total = p.total;
    if (!p.ended)
        r.reason = (struct error){0};
    return r;
}

void readiness_describe(const struct readiness *r, json_t *into)
{
    json_object_set_new(into, "status", json_string(r->status));
    if (!r->draining)
        json_object_set_new(into, "models",
            json_pack("{s:I, s:I}", "done", (json_int_t)r->done, "total", (json_int_t)r->total));
    if (r->reason.text[0])
        json_object_set_new(into, "reason", json_string(r->reason.text));
}

bool server_lives(const struct server *s)
{
    return engine_heartbeat_age(s->engine) < STUCK_SECONDS;
}
