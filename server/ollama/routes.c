/* routes.c - the table of Ollama's API, and how its errors are written. */
#include "berth/server/routes.h"

#include "ollama_private.h"

/* Bytes, and never more than --max-body. */
#define OLLAMA_BODY_MAX ((size_t)8 << 20)

static const char json[] = "application/json";

/* What Ollama's program does to models. A body is read, so that the client gets the answer. */
#define REFUSED(verb, pattern)                                                                               \
    {                                                                                                        \
        .method = verb, .path = pattern, .run = ollama_refused, .body_max = OLLAMA_BODY_MAX,                 \
        .tag = "ollama", .summary = "Refused",                                                               \
        .description = "berth serves the models of its volume and changes none.",                            \
        .answers = {{403, "This server does not do that", json, "Error"}},                                   \
    }

/* clang-format off */
static const struct route rows[] = {
    {.method = "POST", .path = "/api/chat", .run = ollama_chat, .slow = true, .body_max = OLLAMA_BODY_MAX,
     .field = ollama_chat_field,
     .stream = "application/x-ndjson",
     .tag = "ollama", .summary = "Goes on with a chat",
     .description = "As Ollama's, a stream of JSON lines unless stream is false; docs/ollama.md tells of the fields.",
     .answers = {{200, "The answer, or lines with its parts", json, "Any"},
                 {400, "Something in the request cannot be honoured", json, "Error"},
                 {404, "No model has this name", json, "Error"}}},
    {.method = "POST", .path = "/api/generate", .run = ollama_generate, .slow = true, .body_max = OLLAMA_BODY_MAX,
     .field = ollama_generate_field,
     .stream = "application/x-ndjson",
     .tag = "ollama", .summary = "Answers a prompt, or goes on with a text",
     .description = "As Ollama's, a stream of JSON lines unless stream is false; docs/ollama.md tells of the fields.",
     .answers = {{200, "The answer, or lines with its parts", json, "Any"},
                 {400, "Something in the request cannot be honoured", json, "Error"},
                 {404, "No model has this name", json, "Error"}}},
    {.method = "GET", .path = "/api/tags", .run = ollama_tags,
     .tag = "ollama", .summary = "The models that can be asked",
     .description = "Those that are mapped and can answer, and their aliases.",
     .answers = {{200, "The models", json, "Any"}}},
    {.method = "GET", .path = "/api/ps", .run = ollama_ps,
     .tag = "ollama", .summary = "The models that are open",
     .description = "All that are mapped, once they are opened for answers: none is unloaded.",
     .answers = {{200, "The models", json, "Any"}}},
    {.method = "POST", .path = "/api/show", .run = ollama_show, .slow = true, .body_max = 65536,
     .field = ollama_show_field,
     .tag = "ollama", .summary = "One model",
     .description = "The keys of its file, its template, its capabilities.",
     .answers = {{200, "The model", json, "Any"},
                 {404, "No model has this name", json, "Error"}}},
    {.method = "GET", .path = "/api/version", .run = ollama_version,
     .tag = "ollama", .summary = "The version of Ollama whose API this is",
     .description = "Clients compare it with the least that they work with.",
     .answers = {{200, "The version", json, "Any"}}},
    REFUSED("POST", "/api/pull"), REFUSED("POST", "/api/push"), REFUSED("POST", "/api/create"),
    REFUSED("POST", "/api/copy"), REFUSED("POST", "/api/blobs/{digest}"), REFUSED("DELETE", "/api/delete"),
    REFUSED("POST", "/api/embed"), REFUSED("POST", "/api/embeddings"),
};
/* clang-format on */

static void write_error(
    struct reply *r, unsigned status, const char *message, const char *param, const char *code)
{
    char room[1024];
    (void)param;
    (void)code;
    reply_json(r, status, json_pack("{s:s}", "error", json_message(message, room, sizeof(room))));
}

const struct dialect ollama_dialect = {
    .prefix = "/api", .error = "Error", .needs_key = true, .write = write_error};

const struct route_table ollama_routes = {&ollama_dialect, rows, sizeof(rows) / sizeof(rows[0])};
