/* routes.c - the table of the Open Inference Protocol. */
#include "berth/server/routes.h"

#include "oip_private.h"

#include "berth/server/json/body.h"

static const char json[] = "application/json";

/* clang-format off */
static const struct route rows[] = {
    {.method = "GET", .path = "/v2/health/live", .run = oip_live, .probe = true,
     .tag = "health", .summary = "Liveness, Open Inference Protocol",
     .description = "As /livez.",
     .answers = {{200, "Alive", json, "ServerLive"},
                 {503, "Stuck", json, "ServerLive"}}},
    {.method = "GET", .path = "/v2/health/ready", .run = oip_ready, .probe = true,
     .tag = "health", .summary = "Readiness, Open Inference Protocol",
     .description = "As /readyz.",
     .answers = {{200, "Ready", json, "ServerReady"},
                 {503, "Not ready", json, "ServerReady"}}},
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

static const struct dialect oip_dialect = {.prefix = "/v2", .error = "Error", .write = write_error};

const struct route_table oip_routes = {&oip_dialect, rows, sizeof(rows) / sizeof(rows[0])};
