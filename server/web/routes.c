/* routes.c - the route of the page. Its errors are read by people, so they are plain sentences. */
#include "berth/server/routes.h"

#include "page_private.h"

#include "berth/server/http/reply.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct route rows[] = {
    {.method = "GET", .path = "/ui", .run = web_page_answer,
     .tag = "documentation", .summary = "The page for people",
     .description = "Models, chat, completion, graphs and this reference as one HTML file, compressed by gzip. "
                    "--ui off takes it away.",
     .answers = {{200, "The page", "text/html; charset=utf-8", NULL},
                 {304, "The page that the client has is this one", "text/html; charset=utf-8", NULL},
                 {406, "The client does not take gzip", "text/plain; charset=utf-8", NULL}}},
};
/* clang-format on */

static void write_error(
    struct reply *r, unsigned status, const char *message, const char *param, const char *code)
{
    static const char plain[] = "text/plain; charset=utf-8";
    char text[1024];
    (void)param;
    (void)code;
    int size = snprintf(text, sizeof(text), "%s\n", message);
    char *copy = size > 0 ? strdup(text) : NULL;
    reply_owned(r, status, plain, copy, copy ? strlen(copy) : 0);
}

static const struct dialect dialect = {.write = write_error};

const struct route_table web_routes = {&dialect, rows, sizeof(rows) / sizeof(rows[0])};
