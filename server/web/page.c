/* page.c - GET /ui: one HTML file for people, as the build compressed it.
 *
 * The program has no code that compresses or decompresses, so a client that does not take gzip is told so in a sentence.
 * The policy allows the page's own script and style by their hashes, and requests to this server alone.
 */
#include "page_private.h"

#include "berth/server/http/reply.h"

#include <string.h>
#include <strings.h>

static const char html[] = "text/html; charset=utf-8";
static const char plain[] = "text/plain; charset=utf-8";

/* Whether the parameters behind a coding are a weight of zero: ";q=0", ";q=0.000". */
static bool is_refused(const char *at, size_t size)
{
    static const char digits[] = "0.";
    const char *end = at + size, *q = memchr(at, '=', size);
    if (!q)
        return false;
    for (q++; q < end && *q != ' '; q++)
        if (!strchr(digits, *q))
            return false;
    return true;
}

/* Whether the value of accept-encoding, which may be NULL, takes gzip. */
static bool accepts_gzip(const char *value)
{
    bool any = false;
    while (value && *value) {
        value += strspn(value, ", \t");
        size_t size = strcspn(value, ","), name = strcspn(value, ",; \t");
        bool taken = !is_refused(value + name, size - name);
        if (name == 4 && strncasecmp(value, "gzip", name) == 0)
            return taken;
        any = any || (name == 1 && *value == '*' && taken);
        value += size;
    }
    return any;
}

/* Whether the value of if-none-match, which may be NULL, has the page's tag. */
static bool is_known(const char *value)
{
    return value && (strstr(value, web_page_etag) || strcmp(value, "*") == 0);
}

static void add_headers(struct reply *r)
{
    reply_header(r, "vary", "accept-encoding");
    reply_header(r, "cache-control", "no-cache");
    reply_header(r, "etag", web_page_etag);
    reply_header(r, "content-security-policy", web_page_policy);
    reply_header(r, "x-content-type-options", "nosniff");
    reply_header(r, "referrer-policy", "no-referrer");
}

void web_page_answer(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)s;
    if (!accepts_gzip(http_request_header(q, "accept-encoding"))) {
        reply_constant(r, 406, plain,
            "This page is sent compressed: ask with 'accept-encoding: gzip' (curl --compressed).\n");
        reply_header(r, "vary", "accept-encoding");
        return;
    }
    if (is_known(http_request_header(q, "if-none-match"))) {
        reply_constant(r, 304, NULL, "");
        add_headers(r);
        return;
    }
    reply_constant(r, 200, html, "");
    r->body = web_page;
    r->size = web_page_size;
    add_headers(r);
    reply_header(r, "content-encoding", "gzip");
}
