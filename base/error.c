/* error.c - formats the sentence of an error. */
#include "berth/base/error.h"

#include <stdarg.h>
#include <stdio.h>

bool error_set(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    err->no_memory = false;
    return false;
}

bool error_no_memory(struct error *err, const char *what)
{
    error_set(err, "no memory for %s", what);
    err->no_memory = true;
    return false;
}

bool error_prefix(struct error *err, const char *format, ...)
{
    struct error old = *err;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof(err->text) ? (size_t)n : sizeof(err->text) - 1;
    const char *parts[] = {": ", old.text};
    for (size_t i = 0; i < 2; i++)
        for (const char *c = parts[i]; *c && used + 1 < sizeof(err->text); c++)
            err->text[used++] = *c;
    err->text[used] = '\0';
    return false;
}
