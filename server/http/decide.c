/* decide.c - finds a request's route by its first line and headers, or refuses it.
 *
 * The order of the checks is the order in which faults are reported: the connection, the size of the headers, the page's
 * origin, the API key, path and method, the coding of the body.
 */
#include "http_private.h"

#include "berth/server/http/api_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STRAY_BODY_MAX 65536 /* bytes of a body that is read and dropped, where the route takes none */

void decide_refuse(struct http_session *s, unsigned status, const char *message)
{
    reply_error(&s->reply, s->dialect, status, message, NULL, NULL);
}

/* ---- the path ---- */

/* The path of a target in absolute form ("http://host/path"), which proxies send and every server must take. */
static const char *without_origin(const char *target)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0    ? 7
                    : strncasecmp(target, "https://", 8) == 0 ? 8
                                                              : 0;
    if (!scheme)
        return target;
    const char *rest = target + scheme + strcspn(target + scheme, "/?");
    return *rest == '/' ? rest : "/";
}

/* Finds the row, and decodes path and names into the room behind the target. */
static struct route_match find_route(struct http_session *s)
{
    struct http_request *q = &s->request;
    const char *path = without_origin(q->target);
    size_t size = strcspn(path, "?");
    char *raw = s->target + strlen(s->target) + 1, *decoded = raw + size + 1, *at = decoded + size + 1;
    memcpy(raw, path, size);
    raw[size] = '\0';
    decoded[route_decode(span_of(raw), decoded)] = '\0';
    q->path = decoded;
    struct route_match match = router_find(s->http->router, q->method, raw);
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++) {
        q->params[i] = (struct span){(const uint8_t *)at, route_decode(match.params[i], at)};
        at += q->params[i].size;
    }
    return match;
}

/* ---- redirects ---- */

/* Appends the path, and encodes characters that a Location header cannot have. */
static void add_encoded(struct strbuf *b, const char *path, size_t size)
{
    static const char safe[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/@!$&'()*+,;=";
    for (size_t i = 0; i < size; i++) {
        if (path[i] && strchr(safe, path[i]))
            strbuf_add(b, (struct span){(const uint8_t *)path + i, 1});
        else
            strbuf_format(b, "%%%02X", (unsigned char)path[i]);
    }
}

/* Redirects "/health/" to "/health", with its query, as the FastAPI service does. The location has neither scheme nor host,
 * because behind a proxy the server does not know them. It begins with one slash, because two would be a host. */
static bool redirect_slash(struct http_session *s)
{
    const struct http_request *q = &s->request;
    const char *path = q->path + (q->path[0] == '/' ? strspn(q->path, "/") - 1 : 0);
    const char *query = strchr(q->target, '?');
    size_t size = strlen(path);
    while (size > 0 && path[size - 1] == '/')
        size--;
    if (size == 0 || !path[size])
        return false;
    struct strbuf b;
    strbuf_init(&b, 8 * s->target_room);
    add_encoded(&b, path, size);
    struct route_match match = router_find(s->http->router, q->method, b.text);
    bool known = !b.failed && (match.route || match.allow[0]);
    if (query)
        strbuf_text(&b, query);
    char *location = strbuf_take(&b, NULL);
    if (!known || !location) {
        free(location);
        return false;
    }
    reply_constant(&s->reply, 307, NULL, "");
    reply_header_owned(&s->reply, "location", location);
    return true;
}

/* ---- refusals ---- */

/* On a connection over the limits only probes are answered. */
static bool refuse_connection(struct http_session *s)
{
    unsigned status = s->connection.refuse;
    if (!status || (s->request.route && s->request.route->probe))
        return false;
    decide_refuse(
        s, status, status == 429 ? "Too many connections from this address" : "Too many connections");
    reply_retry_after(&s->reply, 1);
    s->reply.close = true;
    return true;
}

/* The first line and the headers, in bytes. */
static size_t header_size(const struct http_request *q)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

static bool refuse_size(struct http_session *s)
{
    const struct http_config *config = &s->http->config;
    if (strlen(s->request.target) > config->max_uri)
        decide_refuse(s, 414, "URI Too Long");
    else if (header_size(&s->request) > config->max_header)
        decide_refuse(s, 431, "Request Header Fields Too Large");
    else
        return false;
    s->reply.close = true;
    return true;
}

/* Anthropic's clients send the key in a header of its own. Checked before the body is read, so that the body of a request
 * without a key takes no memory. */
static bool refuse_key(struct http_session *s)
{
    const struct api_keys *keys = s->http->config.keys;
    if (!keys || !s->dialect->needs_key)
        return false;
    const char *bearer = http_request_header(&s->request, "authorization");
    const char *bare = http_request_header(&s->request, "x-api-key");
    bool given = bearer || bare;
    s->request.key = api_keys_of_header(keys, bearer);
    if (s->request.key == 0)
        s->request.key = api_keys_find(keys, bare);
    if (s->request.key > 0)
        return false;
    reply_error(&s->reply, s->dialect, 401,
        given ? "The API key is not valid"
              : "An API key is needed, in a header Authorization: Bearer KEY or x-api-key: KEY",
        NULL, given ? "invalid_api_key" : NULL);
    reply_header(&s->reply, "www-authenticate", "Bearer");
    return true;
}

static bool refuse_route(struct http_session *s, const struct route_match *match)
{
    if (!route_knows_method(s->request.method)) {
        decide_refuse(s, 501, "Not Implemented");
    } else if (!match->route && match->allow[0]) {
        memcpy(s->allow, match->allow, sizeof(s->allow));
        decide_refuse(s, 405, "Method Not Allowed");
        reply_header_owned(&s->reply, "allow", strdup(s->allow));
    } else if (!match->route && !redirect_slash(s)) {
        decide_refuse(s, 404, "Not Found");
    }
    return s->reply.status != 0;
}

/* Encoded bodies are refused, because they are not decoded. */
static bool refuse_coding(struct http_session *s)
{
    char shown[100], message[300];
    const char *coding = http_request_header(&s->request, "content-encoding");
    if (!coding || s->request.route->body_max == 0 || !coding[0] || strcasecmp(coding, "identity") == 0)
        return false;
    text_escape(shown, sizeof(shown), span_of(coding));
    snprintf(message, sizeof(message),
        "The content-encoding '%s' is not supported; send the body without one", shown);
    decide_refuse(s, 415, message);
    reply_header(&s->reply, "accept-encoding", "identity");
    return true;
}

void decide(struct http_session *s)
{
    struct http_request *q = &s->request;
    struct route_match match = find_route(s);
    q->route = match.route;
    q->dialect = match.dialect;
    s->route_number = match.number;
    s->dialect = match.dialect;
    uint64_t max = s->http->config.max_body;
    uint64_t row = q->route && q->route->body_max > 0 ? q->route->body_max : STRAY_BODY_MAX;
    s->body_max = (size_t)(row < max ? row : max);
    (void)(refuse_connection(s) || refuse_size(s) || browser_decide(s) || refuse_key(s) ||
           refuse_route(s, &match) || refuse_coding(s));
}
