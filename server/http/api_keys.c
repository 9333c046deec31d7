/* api_keys.c - reads a file of keys, and compares a client's key with each of them.
 *
 * All of the client's text is compared with every key, also after a difference or a match. So the time depends only on the
 * length of the client's text.
 */
#include "berth/server/http/api_keys.h"

#include "berth/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX 65536
#define SCHEME "Bearer "

struct api_keys {
    char text[FILE_MAX + 1]; /* the file; each key ends in a NUL */
    const char **at; /* [n], into text */
    size_t n;
};

/* Whether a header can hold the key: printable ASCII without spaces. */
static bool is_good(const char *key)
{
    for (const char *c = key; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return true;
}

static char *without_space(char *line)
{
    line += strspn(line, " \t\r");
    size_t size = strlen(line);
    while (size > 0 && strchr(" \t\r", line[size - 1]))
        line[--size] = '\0';
    return line;
}

static bool split(struct api_keys *k, struct error *err)
{
    char *rest = k->text;
    size_t number = 1;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"), number++) {
        char *key = without_space(line);
        if (!*key || *key == '#')
            continue;
        if (!is_good(key))
            return error_set(
                err, "line %zu: a key may have only printable ASCII characters, and no spaces", number);
        const char **at = realloc(k->at, (k->n + 1) * sizeof(*at));
        if (!at)
            return error_set(err, "no memory for the keys");
        k->at = at;
        k->at[k->n++] = key;
    }
    return k->n > 0 || error_set(err, "there is no key in it");
}

static bool read_file(struct api_keys *k, const char *path, struct error *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return error_set(err, "%s", strerror(errno));
    size_t size = fread(k->text, 1, sizeof(k->text), f);
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed)
        return error_set(err, "cannot be read");
    if (size > FILE_MAX)
        return error_set(err, "more than %d bytes", FILE_MAX);
    if (memchr(k->text, '\0', size))
        return error_set(err, "there is a NUL byte in it");
    k->text[size] = '\0';
    return true;
}

struct api_keys *api_keys_read(const char *path, struct error *err)
{
    struct api_keys *k = calloc(1, sizeof(*k));
    if (k && read_file(k, path, err) && split(k, err))
        return k;
    if (!k)
        error_set(err, "no memory for the keys");
    char shown[200];
    text_escape(shown, sizeof(shown), span_of(path));
    error_prefix(err, "the file of API keys, %s", shown);
    api_keys_free(k);
    return NULL;
}

void api_keys_free(struct api_keys *k)
{
    if (!k)
        return;
    free(k->at);
    explicit_bzero(k->text, sizeof(k->text));
    free(k);
}

static bool is_same(const char *key, const char *given, size_t size)
{
    size_t key_size = strlen(key), different = key_size ^ size;
    for (size_t i = 0; i < size; i++)
        different |= (unsigned char)(given[i] ^ key[i % key_size]);
    return different == 0;
}

size_t api_keys_of_header(const struct api_keys *k, const char *authorization)
{
    if (!authorization || strncasecmp(authorization, SCHEME, strlen(SCHEME)) != 0)
        return 0;
    const char *given = authorization + strlen(SCHEME);
    return api_keys_find(k, given + strspn(given, " "));
}

size_t api_keys_find(const struct api_keys *k, const char *given)
{
    size_t size = given ? strlen(given) : 0, found = 0;
    /* A key that is twice in the file has its first number. */
    for (size_t i = k->n; i > 0; i--)
        found = is_same(k->at[i - 1], given, size) ? i : found;
    return found;
}
