/* routes.c - the table of the service itself: greeting, health, metrics, documentation. */
#include "berth/server/routes.h"

#include "fastapi_private.h"

#include "berth/server/json/body.h"

static const char json[] = "application/json";
static const char html[] = "text/html; charset=utf-8";

/* clang-format off */
static const struct route rows[] = {
    {.method = "GET", .path = "/", .run = fastapi_root, .any_host = true, .no_head = true,
     .tag = "service", .summary = "Whether a model was mounted",
     .description = "One greeting without a model, another when a model was loaded from the volume.",
     .answers = {{200, "The service runs", json, "Message"}}},
    {.method = "GET", .path = "/health", .run = fastapi_health, .probe = true, .no_head = true,
     .tag = "health", .summary = "Health",
     .description = "Healthy once the first load has ended, whatever became of single models.",
     .answers = {{200, "The first load has ended", json, "Health"},
                 {503, "Models are loading", json, "Health"}}},
    {.method = "GET", .path = "/livez", .run = fastapi_livez, .probe = true,
     .tag = "health", .summary = "Liveness",
     .description = "Answers while the HTTP threads and the engine work; says nothing about models.",
     .answers = {{200, "Alive", json, "Health"},
                 {503, "One step of the engine takes longer than any should", json, "Health"}}},
    {.method = "GET", .path = "/readyz", .run = fastapi_readyz, .probe = true,
     .tag = "health", .summary = "Readiness",
     .description = "Ready while the required models (else at least one, where the volume has any) can be used; "
                    "not while models load or the server stops.",
     .answers = {{200, "Ready", json, "Readiness"},
                 {503, "Loading, not ready, or draining", json, "Readiness"}}},
    {.method = "GET", .path = "/metrics", .run = fastapi_metrics, .probe = true,
     .tag = "service", .summary = "Metrics for Prometheus",
     .description = "Text format 0.0.4, or OpenMetrics 1.0.0 where accept asks for it. Answered from memory.",
     .answers = {{200, "All metrics", "text/plain; version=0.0.4; charset=utf-8", NULL}}},
    {.method = "GET", .path = "/openapi.json", .run = fastapi_openapi,
     .tag = "documentation", .summary = "This description",
     .description = "OpenAPI 3.1, made from the tables of routes.",
     .answers = {{200, "The OpenAPI document", json, "Any"}}},
    {.method = "GET", .path = "/docs", .run = fastapi_docs,
     .tag = "documentation", .summary = "A page of the routes",
     .description = "Plain HTML; nothing is fetched from elsewhere.",
     .answers = {{200, "The page", html, NULL}}},
    {.method = "GET", .path = "/redoc", .run = fastapi_docs,
     .tag = "documentation", .summary = "The same page",
     .description = "Under the second name that FastAPI has for it.",
     .answers = {{200, "The page", html, NULL}}},
};
/* clang-format on */

static void write_error(
    struct reply *r, unsigned status, const char *message, const char *param, const char *code)
{
    char room[1024];
    (void)param;
    (void)code;
    reply_json(r, status, json_pack("{s:s}", "detail", json_message(message, room, sizeof(room))));
}

/* No prefix: paths that belong to no API are answered as the FastAPI service answers them. */
const struct dialect fastapi_dialect = {.error = "Detail", .write = write_error};

const struct route_table fastapi_routes = {&fastapi_dialect, rows, sizeof(rows) / sizeof(rows[0])};
