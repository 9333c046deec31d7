/* request.c - headers, query and parameters of a request. */
#include "http_private.h"

#include <string.h>

struct span http_request_param(const struct http_request *q, const char *name)
{
    size_t index = 0, size = strlen(name);
    for (const char *at = q->route ? strchr(q->route->path, '{') : NULL; at && index < ROUTE_PARAMS_MAX;
         at = strchr(at + 1, '{'), index++)
        if (strncmp(at + 1, name, size) == 0 && at[1 + size] == '}')
            return q->params[index];
    return (struct span){0};
}

const char *http_request_header(const struct http_request *q, const char *name)
{
    return q->connection ? MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name) : NULL;
}

const char *http_request_query(const struct http_request *q, const char *name)
{
    const char *value = NULL;
    if (!q->connection || MHD_lookup_connection_value_n(q->connection, MHD_GET_ARGUMENT_KIND, name,
                              strlen(name), &value, NULL) != MHD_YES)
        return NULL;
    return value ? value : "";
}

bool http_request_left(const struct http_request *q)
{
    return q->suspended && suspended_left(q->suspended);
}
