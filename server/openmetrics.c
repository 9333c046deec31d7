/* openmetrics.c - from Prometheus' text format to OpenMetrics.
 *
 * There are few differences: the family of a counter is named without _total, the bounds of a histogram are written with a
 * point ("1.0"), and the last line marks the end.
 */
#include "berth/server/metrics.h"

#include "berth/base/strbuf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char total[] = "_total";

static struct span part(const char *at, size_t size)
{
    return (struct span){(const uint8_t *)at, size};
}

/* "# HELP NAME …" or "# TYPE NAME …" */
static void add_comment(const char *line, size_t size, struct strbuf *out)
{
    size_t begin = strlen("# HELP "), name = strcspn(line + begin, " \n"), suffix = strlen(total);
    bool counter = name > suffix && strncmp(line + begin + name - suffix, total, suffix) == 0;
    strbuf_add(out, part(line, begin + name - (counter ? suffix : 0)));
    strbuf_add(out, part(line + begin + name, size - begin - name));
}

static void add_sample(const char *line, size_t size, struct strbuf *out)
{
    static const char label[] = "le=\"";
    const char *bound = memmem(line, size, label, strlen(label));
    size_t digits = bound ? strspn(bound + strlen(label), "0123456789") : 0;
    size_t split = bound ? (size_t)(bound - line) + strlen(label) + digits : 0;
    if (digits == 0 || line[split] != '"') {
        strbuf_add(out, part(line, size));
        return;
    }
    strbuf_add(out, part(line, split));
    strbuf_text(out, ".0");
    strbuf_add(out, part(line + split, size - split));
}

void metrics_add_openmetrics(const char *text, struct strbuf *out)
{
    while (*text) {
        size_t size = strcspn(text, "\n");
        size += text[size] == '\n';
        if (*text == '#')
            add_comment(text, size, out);
        else
            add_sample(text, size, out);
        text += size;
    }
}

/* The weight that an Accept header gives a media type: q of its entry, 0 without one. */
static double weight(const char *accept, const char *media)
{
    for (const char *at = accept; *at; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " \t");
        size_t size = strcspn(at, ",; \t"), entry = strcspn(at, ",");
        if (size != strlen(media) || strncasecmp(at, media, size) != 0)
            continue;
        const char *q = memmem(at, entry, "q=", 2);
        return q ? strtod(q + 2, NULL) : 1;
    }
    return 0;
}

bool metrics_wants_openmetrics(const char *accept)
{
    double open = accept ? weight(accept, "application/openmetrics-text") : 0;
    return open > 0 && open >= weight(accept, "text/plain");
}
