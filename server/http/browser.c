/* browser.c - requests of pages of other origins (CORS), and host names that a page could have registered.
 *
 * A request of a page has a header with the page's origin. Where the origin is allowed, every reply, also an error, has a
 * header for it, and the browser lets the page read the reply. Before some requests the browser sends an OPTIONS request
 * to learn what is allowed (a preflight).
 */
#include "http_private.h"

#include <stdio.h>
#include <string.h>

#define NAME_SHOWN 200

/* ---- preflights ---- */

/* Appends the requested header names that are allowed. */
static void add_requested(struct strbuf *out, const char *names)
{
    while (names && *names) {
        names += strspn(names, ", \t");
        size_t size = strcspn(names, ", \t");
        struct span name = {(const uint8_t *)names, size};
        if (size > 0 && origin_header_is_allowed(name)) {
            strbuf_text(out, ", ");
            strbuf_add(out, name);
        }
        names += size;
    }
}

/* False when the request is no preflight. */
static bool answer_preflight(struct http_session *s)
{
    struct strbuf headers;
    const struct http_request *q = &s->request;
    if (strcmp(q->method, "OPTIONS") != 0 || !http_request_header(q, "access-control-request-method"))
        return false;
    strbuf_init(&headers, 16384);
    strbuf_text(&headers, "authorization, content-type, x-api-key, anthropic-version");
    add_requested(&headers, http_request_header(q, "access-control-request-headers"));
    reply_constant(&s->reply, 204, NULL, "");
    reply_header(&s->reply, "access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    reply_header_owned(&s->reply, "access-control-allow-headers", strbuf_take(&headers, NULL));
    reply_header(&s->reply, "access-control-max-age", "600");
    if (http_request_header(q, "access-control-request-private-network"))
        reply_header(&s->reply, "access-control-allow-private-network", "true");
    return true;
}

/* ---- refusals ---- */

/* `format` has one %s, for the name. */
static void refuse_name(struct http_session *s, const char *format, const char *name)
{
    char shown[NAME_SHOWN], message[2 * NAME_SHOWN];
    text_escape(shown, sizeof(shown), span_of(name));
    snprintf(message, sizeof(message), format, shown);
    decide_refuse(s, 403, message);
}

/* A page whose host name resolves to this machine has the server's own origin; only the Host header shows the name. With
 * API keys such a page can do nothing. A client that sends no Host header is not a browser. */
static bool refuse_host(struct http_session *s)
{
    const struct http_config *config = &s->http->config;
    const struct http_request *q = &s->request;
    bool safe = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    bool open = safe && q->route && (q->route->probe || q->route->any_host);
    if (config->keys || open || !q->host || origin_host_is_known(&config->origins, q->host))
        return false;
    refuse_name(s, "The host name '%s' is not allowed; --allowed-host adds it", q->host);
    return true;
}

static bool refuse_origin(struct http_session *s, const char *origin)
{
    static const char *const harmless[] = {"GET", "HEAD", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strcmp(s->request.method, harmless[i]) == 0)
            return false;
    if (s->http->config.keys || s->allow_origin || !origin_is_foreign(origin, s->request.host))
        return false;
    refuse_name(s, "Pages of the origin '%s' may not use this server; --cors-origin allows it", origin);
    return true;
}

/* ---- for decide.c and respond.c ---- */

bool browser_decide(struct http_session *s)
{
    const char *origin = http_request_header(&s->request, "origin");
    s->allow_origin = origin ? origin_allowed(&s->http->config.origins, origin) : NULL;
    return refuse_host(s) || (s->allow_origin && answer_preflight(s)) || (origin && refuse_origin(s, origin));
}

void browser_add_headers(const struct http_session *s, struct MHD_Response *response)
{
    if (!s->allow_origin)
        return;
    MHD_add_response_header(response, "access-control-allow-origin", s->allow_origin);
    MHD_add_response_header(response, "access-control-expose-headers", "x-request-id, retry-after");
    if (strcmp(s->allow_origin, "*") != 0)
        MHD_add_response_header(response, "vary", "origin");
}
