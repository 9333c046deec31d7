/* origins.c - compares origins and host names, and recognizes host names that a stranger cannot register. */
#include "berth/server/http/origins.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* ---- "host:port" ---- */

struct authority {
    struct span host; /* without brackets and a last dot */
    unsigned port;
};

/* False when it is no host with or without a port. */
static bool read_authority(const char *text, unsigned default_port, struct authority *out)
{
    bool bracket = text[0] == '[';
    size_t size = bracket ? strcspn(text, "]") : strcspn(text, ":");
    const char *rest = text + size + (bracket && text[size]);
    if ((bracket && !text[size]) || strcspn(text, "/?#@\\ ") != strlen(text))
        return false;
    out->host = (struct span){(const uint8_t *)text + bracket, size - bracket};
    if (!bracket && size > 1 && text[size - 1] == '.')
        out->host.size--;
    out->port = default_port;
    if (*rest == ':' && rest[1]) {
        size_t digits = strspn(rest + 1, DIGITS);
        out->port = (unsigned)strtoul(rest + 1, NULL, 10);
        return out->host.size > 0 && digits <= 5 && !rest[1 + digits];
    }
    return out->host.size > 0 && (!*rest || strcmp(rest, ":") == 0);
}

static bool same_text(struct span a, struct span b)
{
    return a.size == b.size && strncasecmp((const char *)a.at, (const char *)b.at, a.size) == 0;
}

/* ---- origins ---- */

/* The length of the scheme before "://", 0 without one. */
static size_t scheme_size(const char *origin)
{
    size_t size = strspn(origin, LETTERS DIGITS "+.-");
    return size > 0 && strchr(LETTERS, origin[0]) && strncmp(origin + size, "://", 3) == 0 ? size : 0;
}

/* 0 for schemes that have none. */
static unsigned default_port(const char *origin)
{
    return strncasecmp(origin, "http://", 7) == 0 ? 80 : strncasecmp(origin, "https://", 8) == 0 ? 443 : 0;
}

/* Copies a listed name without a slash at its end. False when it is too long. */
static bool copy_listed(struct span listed, char out[ORIGIN_MAX])
{
    size_t size = listed.size;
    size -= size > 1 && listed.at[size - 1] == '/' && listed.at[size - 2] != '/';
    if (size >= ORIGIN_MAX)
        return false;
    memcpy(out, listed.at, size);
    out[size] = '\0';
    return true;
}

bool origin_is_valid(struct span origin)
{
    char text[ORIGIN_MAX];
    struct authority a;
    if (!copy_listed(origin, text))
        return false;
    if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0)
        return true;
    size_t scheme = scheme_size(text);
    if (scheme == 0 || strchr(text, '*'))
        return false;
    /* Applications may have schemes without a host: "file://". */
    return read_authority(text + scheme + 3, 0, &a) || (!text[scheme + 3] && default_port(text) == 0);
}

static bool same_origin(struct span listed, const char *origin)
{
    char text[ORIGIN_MAX];
    struct authority a, b;
    size_t size = scheme_size(origin);
    if (!copy_listed(listed, text))
        return false;
    if (strcasecmp(text, origin) == 0)
        return true;
    return size > 0 && size == scheme_size(text) && strncasecmp(text, origin, size) == 0 &&
           read_authority(text + size + 3, default_port(text), &a) &&
           read_authority(origin + size + 3, default_port(origin), &b) && same_text(a.host, b.host) &&
           a.port == b.port;
}

const char *origin_allowed(const struct origins *o, const char *origin)
{
    for (size_t i = 0; i < o->n_allowed; i++) {
        if (span_is(o->allowed[i], "*"))
            return "*";
        if (same_origin(o->allowed[i], origin))
            return origin;
    }
    return NULL;
}

bool origin_is_foreign(const char *origin, const char *host)
{
    struct authority a, b;
    unsigned port = default_port(origin);
    if (port == 0 || !host)
        return true;
    return !read_authority(origin + scheme_size(origin) + 3, port, &a) || !read_authority(host, port, &b) ||
           !same_text(a.host, b.host) || a.port != b.port;
}

/* ---- hosts ---- */

bool origin_host_is_valid(struct span host)
{
    char text[ORIGIN_MAX];
    struct authority a;
    return span_is(host, "*") ||
           (copy_listed(host, text) && !text[strcspn(text, ":*/")] && read_authority(text, 0, &a));
}

static bool is_address(struct span host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    if (host.size >= sizeof(text))
        return false;
    memcpy(text, host.at, host.size);
    text[host.size] = '\0';
    return inet_pton(AF_INET, text, &ignored) == 1 || inet_pton(AF_INET6, text, &ignored) == 1;
}

static bool is_under(struct span host, const char *suffix)
{
    size_t size = strlen(suffix);
    return host.size > size && strncasecmp((const char *)host.at + host.size - size, suffix, size) == 0;
}

bool origin_host_is_known(const struct origins *o, const char *host)
{
    /* Nobody can register a name under these: clusters, multicast DNS, and names reserved for private use. */
    static const char *const reserved[] = {".svc", ".local", ".localhost", ".internal"};
    char text[ORIGIN_MAX];
    struct authority a, listed;
    for (size_t i = 0; i < o->n_hosts; i++)
        if (span_is(o->hosts[i], "*"))
            return true;
    if (!read_authority(host, 80, &a))
        return false;
    if (is_address(a.host) || !memchr(a.host.at, '.', a.host.size))
        return true;
    for (size_t i = 0; i < COUNT_OF(reserved); i++)
        if (is_under(a.host, reserved[i]))
            return true;
    for (size_t i = 0; i < o->n_hosts; i++)
        if (copy_listed(o->hosts[i], text) && read_authority(text, 80, &listed) &&
            same_text(a.host, listed.host))
            return true;
    return false;
}

/* ---- headers ---- */

bool origin_header_is_allowed(struct span name)
{
    /* A name, or the beginning of names where it ends in "-". */
    static const char *const allowed[] = {"accept", "authorization", "content-type", "x-api-key",
        "x-request-id", "anthropic-", "openai-", "x-stainless-"};
    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        size_t size = strlen(allowed[i]);
        bool prefix = allowed[i][size - 1] == '-';
        if ((prefix ? name.size > size : name.size == size) &&
            strncasecmp((const char *)name.at, allowed[i], size) == 0)
            return true;
    }
    return false;
}
