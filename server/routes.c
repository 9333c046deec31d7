/* routes.c - the table of routes, and the match of a method and path against it. */
#include "berth/server/http/route.h"

#include "berth/server/api.h"
#include "berth/server/metrics.h"

#include <stdio.h>
#include <string.h>

/* And never more than --max-body. What a body is read into can be twenty times as large. */
#define BODY_MAX ((size_t)8 << 20)

static const char json[] = "application/json";
static const char html[] = "text/html; charset=utf-8";

/* clang-format off */
const struct route routes[] = {
    {.method = "GET", .path = "/", .run = api_root,
     .tag = "service", .summary = "Whether a model was mounted",
     .description = "The greeting of a service without a model, or the word that one came from the volume.",
     .answers = {{200, "The service runs", json, "Message"}}},
    {.method = "GET", .path = "/health", .run = api_health, .probe = true,
     .tag = "health", .summary = "Health",
     .description = "Healthy once the first load has ended, whatever became of single models.",
     .answers = {{200, "The first load has ended", json, "Health"},
                 {503, "Models are loading", json, "Health"}}},
    {.method = "GET", .path = "/livez", .run = api_livez, .probe = true,
     .tag = "health", .summary = "Liveness",
     .description = "Answers while the server's loop turns and the engine's does; says nothing about models.",
     .answers = {{200, "Alive", json, "Health"},
                 {503, "One step of the engine takes longer than any should", json, "Health"}}},
    {.method = "GET", .path = "/readyz", .run = api_readyz, .probe = true,
     .tag = "health", .summary = "Readiness",
     .description = "Ready once the first load has ended and the required models (else at least one, where "
                    "the volume has any) are mapped. Stays so until the server is told to stop.",
     .answers = {{200, "Ready", json, "Readiness"},
                 {503, "Loading, not ready, or draining", json, "Readiness"}}},
    {.method = "GET", .path = "/v2/health/live", .run = api_v2_live, .probe = true, .dialect = DIALECT_OIP,
     .tag = "health", .summary = "Liveness, Open Inference Protocol",
     .description = "As /livez.",
     .answers = {{200, "Alive", json, "ServerLive"},
                 {503, "Stuck", json, "ServerLive"}}},
    {.method = "GET", .path = "/v2/health/ready", .run = api_v2_ready, .probe = true, .dialect = DIALECT_OIP,
     .tag = "health", .summary = "Readiness, Open Inference Protocol",
     .description = "As /readyz.",
     .answers = {{200, "Ready", json, "ServerReady"},
                 {503, "Not ready", json, "ServerReady"}}},
    {.method = "GET", .path = "/v1/models", .run = api_models, .dialect = DIALECT_OPENAI,
     .tag = "models", .summary = "The models on the volume",
     .description = "OpenAI's list, each model with what berth knows of it; failed ones too, with the "
                    "reason, last.",
     .answers = {{200, "All models", json, "ModelList"}}},
    {.method = "GET", .path = "/v1/models/{id}", .run = api_model, .dialect = DIALECT_OPENAI,
     .tag = "models", .summary = "One model",
     .description = "The id may contain slashes, as they are or as %2F.",
     .answers = {{200, "The model", json, "Model"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/chat/completions", .run = api_chat, .dialect = DIALECT_OPENAI,
     .slow = true, .body_max = BODY_MAX,
     .tag = "answers", .summary = "Goes on with a chat",
     .description = "As OpenAI's, whole or as a stream of events; docs/openai.md tells of every field.",
     .answers = {{200, "The answer, or events with its chunks", json, "ChatCompletion"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/completions", .run = api_completions, .dialect = DIALECT_OPENAI,
     .slow = true, .body_max = BODY_MAX,
     .tag = "answers", .summary = "Goes on with a text",
     .description = "As OpenAI's, whole or as a stream of events; docs/openai.md tells of every field.",
     .answers = {{200, "The answers, or events with their chunks", json, "Completion"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/tokenize", .run = api_tokenize, .dialect = DIALECT_OPENAI,
     .slow = true, .body_max = BODY_MAX,
     .tag = "tokens", .summary = "The token ids of a text or a chat",
     .description = "Takes text, prompt or messages, add_special, parse_special and with_pieces.",
     .answers = {{200, "The ids", json, "Tokens"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/detokenize", .run = api_detokenize, .dialect = DIALECT_OPENAI,
     .slow = true, .body_max = BODY_MAX,
     .tag = "tokens", .summary = "The text of token ids",
     .description = "Takes tokens, and special: whether special tokens are shown.",
     .answers = {{200, "The text", json, "Text"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "GET", .path = "/metrics", .run = api_metrics, .probe = true,
     .tag = "service", .summary = "Metrics for Prometheus",
     .description = "Text format 0.0.4. Answered from memory.",
     .answers = {{200, "All metrics", "text/plain; version=0.0.4; charset=utf-8", NULL}}},
    {.method = "GET", .path = "/openapi.json", .run = api_openapi,
     .tag = "documentation", .summary = "This description",
     .description = "OpenAPI 3.1, made from the route table.",
     .answers = {{200, "The OpenAPI document", json, "Any"}}},
    {.method = "GET", .path = "/docs", .run = api_docs,
     .tag = "documentation", .summary = "A page of the routes",
     .description = "Plain HTML; nothing is fetched from elsewhere.",
     .answers = {{200, "The page", html, NULL}}},
    {.method = "GET", .path = "/redoc", .run = api_docs,
     .tag = "documentation", .summary = "The same page",
     .description = "Under the second name that FastAPI has for it.",
     .answers = {{200, "The page", html, NULL}}},
};
/* clang-format on */

const size_t n_routes = sizeof(routes) / sizeof(routes[0]);
_Static_assert(sizeof(routes) / sizeof(routes[0]) < METRICS_ROUTES_MAX, "a row of counters for every route");

static const char *const methods[] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"};

bool route_knows_method(const char *method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i], method) == 0)
            return true;
    return false;
}

static bool path_matches(const char *pattern, const char *path, struct span *rest)
{
    const char *brace = strchr(pattern, '{');
    *rest = (struct span){0};
    if (!brace)
        return strcmp(pattern, path) == 0;
    size_t size = (size_t)(brace - pattern);
    if (strncmp(pattern, path, size) != 0 || !path[size])
        return false;
    *rest = span_of(path + size);
    return true;
}

struct route_match route_find(const char *method, const char *path)
{
    struct route_match match = {0};
    for (size_t i = 0; i < n_routes; i++) {
        struct span rest;
        if (!path_matches(routes[i].path, path, &rest))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return (struct route_match){.route = &routes[i], .rest = rest};
        size_t used = strlen(match.allow);
        snprintf(match.allow + used, sizeof(match.allow) - used, "%s%s", used ? ", " : "", routes[i].method);
    }
    return match;
}

enum dialect route_dialect(const char *path)
{
    if (strncmp(path, "/v1/", 4) == 0 || strcmp(path, "/v1") == 0)
        return DIALECT_OPENAI;
    if (strncmp(path, "/v2/", 4) == 0 || strcmp(path, "/v2") == 0)
        return DIALECT_OIP;
    return DIALECT_FASTAPI;
}
