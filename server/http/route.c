/* route.c - joins the tables of routes, and matches a method and a path against them.
 *
 * A pattern is compared with the encoded path, whose characters are decoded one by one. So %2F does not end a name, and
 * "/%68ealth" is "/health".
 */
#include "berth/server/http/route.h"

#include "berth/server/http/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct router_row {
    const struct route *route;
    const struct dialect *dialect;
    size_t literals; /* characters of the pattern that stand for themselves */
};

struct router {
    const struct dialect *fallback;
    size_t n;
    struct router_row rows[]; /* [n] */
};

/* ---- the tables ---- */

static size_t count_literals(const char *pattern)
{
    size_t n = 0;
    for (bool name = false; *pattern; pattern++) {
        name = name || *pattern == '{';
        n += !name;
        name = name && *pattern != '}';
    }
    return n;
}

struct router *router_new(const struct route_table *const *tables, size_t n)
{
    size_t rows = 0;
    for (size_t i = 0; i < n; i++)
        rows += tables[i]->n;
    struct router *r = calloc(1, sizeof(*r) + rows * sizeof(r->rows[0]));
    if (!r)
        return NULL;
    r->fallback = tables[0]->dialect;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < tables[i]->n; k++) {
            const struct route *route = &tables[i]->rows[k];
            r->rows[r->n++] = (struct router_row){route, tables[i]->dialect, count_literals(route->path)};
        }
    return r;
}

void router_free(struct router *r)
{
    free(r);
}

size_t router_size(const struct router *r)
{
    return r->n;
}

const struct route *router_row(const struct router *r, size_t number)
{
    return r->rows[number].route;
}

const struct dialect *router_dialect(const struct router *r, size_t number)
{
    return r->rows[number].dialect;
}

/* ---- characters of a path ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character at the start of at[size], decoded, and in *taken how many bytes it has there. */
static char decoded(const char *at, size_t size, size_t *taken)
{
    int high = size >= 3 && at[0] == '%' ? hex_digit(at[1]) : -1;
    int low = high >= 0 ? hex_digit(at[2]) : -1;
    *taken = low >= 0 ? 3 : 1;
    return low >= 0 ? (char)(high * 16 + low) : at[0];
}

size_t route_decode(struct span text, char *out)
{
    size_t n = 0;
    for (size_t at = 0, taken; at < text.size; at += taken)
        out[n++] = decoded((const char *)text.at + at, text.size - at, &taken);
    return n;
}

/* ---- the match ---- */

struct matching {
    bool lenient; /* several slashes count as one */
    struct span *params;
};

static bool match_from(const struct matching *m, const char *pattern, const char *path, size_t n_params);

/* `pattern` is the rest after a name, which begins at `path`. Tries all ends of the name, the nearest first. */
static bool match_name(const struct matching *m, const char *pattern, const char *path, size_t n_params)
{
    size_t size = strlen(path), taken;
    if (size == 0 || n_params == ROUTE_PARAMS_MAX)
        return false;
    m->params[n_params] = (struct span){(const uint8_t *)path, size};
    if (!*pattern)
        return true;
    for (size_t end = 0; end < size && path[end] != '/';) {
        decoded(path + end, size - end, &taken);
        end += taken;
        m->params[n_params].size = end;
        if (match_from(m, pattern, path + end, n_params + 1))
            return true;
    }
    return false;
}

/* The rest of the path behind the characters of *pattern up to its end or its next name, where *pattern then is. NULL
 * when they differ. */
static const char *match_literals(bool lenient, const char **pattern, const char *path)
{
    for (; **pattern && **pattern != '{'; ++*pattern) {
        size_t taken = 1;
        char c = *path == '%' ? decoded(path, strnlen(path, 3), &taken) : *path;
        if (c != **pattern)
            return NULL;
        path += taken;
        while (lenient && **pattern == '/' && *path == '/')
            path++;
    }
    return path;
}

/* Matches the rest of a pattern against the rest of a path. Recurses once for each name. */
static bool match_from(const struct matching *m, const char *pattern, const char *path, size_t n_params)
{
    path = match_literals(m->lenient, &pattern, path);
    if (!path)
        return false;
    if (!*pattern)
        return !*path;
    const char *end = strchr(pattern, '}');
    return end && match_name(m, end + 1, path, n_params);
}

static bool answers(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0 && !route->no_head);
}

static void add_method(char allow[ROUTE_ALLOW_MAX], const char *method)
{
    const char *there = strstr(allow, method);
    size_t used = strlen(allow);
    if (!there)
        snprintf(allow + used, ROUTE_ALLOW_MAX - used, "%s%s", used ? ", " : "", method);
}

/* What is behind the prefix, where the path begins with it as whole segments; else NULL. */
static const char *behind_prefix(const char *prefix, const char *path)
{
    const char *rest = match_literals(true, &prefix, path);
    return rest && (*rest == '/' || !*rest) ? rest : NULL;
}

/* Matches a path against all patterns of a row. */
static bool match_row(const struct router_row *row, const char *path, struct span params[ROUTE_PARAMS_MAX])
{
    const struct matching m = {.lenient = row->dialect->prefix != NULL, .params = params};
    const char *const *prefix = row->dialect->more_prefixes;
    if (match_from(&m, row->route->path, path, 0) ||
        (row->route->also && match_from(&m, row->route->also, path, 0)))
        return true;
    for (const char *rest; prefix && *prefix; prefix++) {
        rest = behind_prefix(*prefix, path);
        if (rest && match_from(&m, row->route->path + strlen(row->dialect->prefix), rest, 0))
            return true;
    }
    return false;
}

static size_t longer(size_t longest, const char *prefix, const char *path)
{
    size_t size = prefix ? strlen(prefix) : 0;
    return size > longest && behind_prefix(prefix, path) ? size : longest;
}

/* The dialect with the longest prefix that the path has. */
static const struct dialect *dialect_of(const struct router *r, const char *path)
{
    const struct dialect *best = r->fallback;
    size_t longest = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct dialect *d = r->rows[i].dialect;
        size_t size = longer(longest, d->prefix, path);
        for (const char *const *prefix = d->more_prefixes; prefix && *prefix; prefix++)
            size = longer(size, *prefix, path);
        best = size > longest ? d : best;
        longest = size;
    }
    return best;
}

struct route_match router_find(const struct router *r, const char *method, const char *path)
{
    struct route_match match = {.number = r->n, .dialect = dialect_of(r, path)};
    size_t literals = 0, told = 0; /* of the row that answers, and of those whose methods are told */
    for (size_t i = 0; i < r->n; i++) {
        const struct router_row *row = &r->rows[i];
        struct span params[ROUTE_PARAMS_MAX] = {{0}};
        if (!match_row(row, path, params))
            continue;
        if (!answers(row->route, method)) {
            if (row->literals < told)
                continue; /* "/v1/responses/compact" is "/v1/responses/{id}", too */
            if (row->literals > told)
                match.allow[0] = '\0';
            told = row->literals;
            match.dialect = match.route ? match.dialect : row->dialect;
            add_method(match.allow, row->route->method);
            if (answers(row->route, "HEAD"))
                add_method(match.allow, "HEAD");
        } else if (!match.route || row->literals > literals) {
            literals = row->literals;
            match.route = row->route;
            match.number = i;
            match.dialect = row->dialect;
            memcpy(match.params, params, sizeof(params));
        }
    }
    return match;
}

static const char *const methods[] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"};

bool route_knows_method(const char *method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i], method) == 0)
            return true;
    return false;
}
