/* find_model.c - finds the model that a command line names, and lists the models that exist when it names none. */
#include "find_model_private.h"

#include "berth/base/near.h"
#include "berth/base/strbuf.h"
#include "berth/loaders/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SHOWN 5 /* models that a message lists */
#define EXTENSION ".gguf"

/* Models of a directory, as paths from the current directory. */
struct found_models {
    char **paths;
    size_t n;
    bool failed; /* memory was short */
};

static void model_list_release(struct found_models *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->paths[i]);
    free(c->paths);
    *c = (struct found_models){0};
}

static void model_list_add(struct found_models *c, const char *dir, const char *name)
{
    char *path = NULL;
    char **more = realloc(c->paths, (c->n + 1) * sizeof(*more));
    if (more)
        c->paths = more;
    bool here = strcmp(dir, ".") == 0;
    if (!more || asprintf(&path, "%s%s%s", here ? "" : dir, here ? "" : "/", name) < 0) {
        c->failed = true;
        return;
    }
    c->paths[c->n++] = path;
}

static bool is_gguf_name(const char *name)
{
    size_t size = strlen(name), tail = sizeof(EXTENSION) - 1;
    return size > tail && strcasecmp(name + size - tail, EXTENSION) == 0;
}

/* Part 2 or later of a model in several files, as NAME-00002-of-00003.gguf. */
static bool is_later_part(const char *name)
{
    unsigned part = 0, parts = 0;
    int end = 0;
    size_t size = strlen(name), tail = sizeof("-00002-of-00003" EXTENSION) - 1;
    if (size <= tail)
        return false;
    return sscanf(name + size - tail, "-%5u-of-%5u%n", &part, &parts, &end) == 2 && end == 15 && part > 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The GGUF files that lie directly in a directory, sorted. */
static void list_files(struct found_models *c, const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (const struct dirent *e; (e = readdir(d));) {
        struct stat there;
        if (e->d_name[0] == '.' || !is_gguf_name(e->d_name) || is_later_part(e->d_name))
            continue;
        if (fstatat(dirfd(d), e->d_name, &there, 0) == 0 && S_ISREG(there.st_mode))
            model_list_add(c, dir, e->d_name);
    }
    closedir(d);
    if (c->n)
        qsort(c->paths, c->n, sizeof(*c->paths), by_name);
}

/* The GGUF models of a directory of models, as a server lists them. False with the reason when it cannot be read. */
static bool list_models(struct found_models *c, const char *dir, struct error *err)
{
    struct volume v;
    struct scan s = {0};
    if (volume_open(&v, dir, err) != VOLUME_OPEN)
        return false;
    bool good = scan_volume(&s, &v, err);
    for (size_t i = 0; good && i < s.n_models; i++)
        if (!s.models[i].reason && (is_gguf_name(s.models[i].path) || s.models[i].manifest ||
                                       span_ends_with(span_of(s.models[i].path), ".safetensors")))
            model_list_add(c, dir, s.models[i].path);
    scan_release(&s);
    volume_close(&v);
    return good;
}

static void add_names(struct strbuf *out, const struct found_models *c)
{
    char shown[300];
    for (size_t i = 0; i < c->n && i < SHOWN; i++) {
        text_escape(shown, sizeof(shown), span_of(c->paths[i]));
        strbuf_format(out, "%s%s", i ? ", " : "", shown);
    }
    if (c->n > SHOWN)
        strbuf_format(out, " and %zu more", c->n - SHOWN);
}

/* Returns the only model of the list, which the caller frees. NULL with the reason when there is not exactly one. */
static char *take_one(struct found_models *c, const char *where, struct error *err)
{
    struct strbuf text;
    char *path = NULL;
    strbuf_init(&text, sizeof(err->text));
    if (c->failed) {
        error_set(err, "memory is short");
    } else if (c->n == 1) {
        path = c->paths[0];
        c->n = 0;
    } else if (c->n == 0) {
        error_set(err, "there is no " EXTENSION " file in %s", where);
    } else {
        add_names(&text, c);
        error_set(err, "%s has several models; name one of them: %s", where, text.text);
    }
    strbuf_release(&text);
    return path;
}

static char *find_in_directory(const char *dir, struct error *err)
{
    struct found_models c = {0};
    char *path = list_models(&c, dir, err) ? take_one(&c, "the directory", err) : NULL;
    model_list_release(&c);
    return path;
}

static char *find_anywhere(struct error *err)
{
    struct found_models c = {0};
    struct error ignored = {0};
    const char *volume = getenv("BERTH_MODELS"), *where = "the current directory";
    char shown[400];
    list_files(&c, ".");
    if (c.n == 0) {
        where = volume && volume[0] ? volume : "/app/models";
        if (!list_models(&c, where, &ignored) || c.n == 0)
            where = "the current directory";
    }
    char *path = take_one(&c, where, err);
    model_list_release(&c);
    if (path) {
        text_escape(shown, sizeof(shown), span_of(path));
        fprintf(stderr, "berth: no model is named; using %s\n", shown);
    } else {
        error_prefix(err, "a model is needed, as -m FILE");
    }
    return path;
}

/* Writes that there is no file `given`, and which GGUF file of that directory has a similar name. */
static void not_there(const char *given, struct error *err)
{
    char dir[4096], shown[400];
    struct found_models c = {0};
    const char *slash = strrchr(given, '/'), *name = slash ? slash + 1 : given;
    snprintf(
        dir, sizeof(dir), "%.*s", slash ? (int)(slash - given + (slash == given)) : 1, slash ? given : ".");
    list_files(&c, dir);
    struct near near = near_begin(span_of(name));
    for (size_t i = 0; i < c.n; i++) {
        const char *last = strrchr(c.paths[i], '/');
        near_try(&near, last ? last + 1 : c.paths[i]);
    }
    text_escape(shown, sizeof(shown), span_of(near.name ? near.name : ""));
    if (near.name)
        error_set(err, "there is no such file; did you mean %s?", shown);
    else
        error_set(err, "there is no such file");
    model_list_release(&c);
}

char *find_model(const char *given, struct error *err)
{
    struct stat there;
    if (!given)
        return find_anywhere(err);
    if (stat(given, &there) == 0 && S_ISDIR(there.st_mode))
        return find_in_directory(given, err);
    /* Why a file cannot be opened is found out later; for a file that does not exist there may be a suggestion. */
    if (lstat(given, &there) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        not_there(given, err);
        return NULL;
    }
    char *path = strdup(given);
    if (!path)
        error_set(err, "memory is short");
    return path;
}

bool names_model(const char *argument)
{
    char head[4] = "";
    struct stat there;
    if (is_gguf_name(argument))
        return true;
    if (stat(argument, &there) != 0)
        return false;
    if (S_ISDIR(there.st_mode))
        return true;
    int fd = S_ISREG(there.st_mode) ? open(argument, O_RDONLY | O_CLOEXEC) : -1;
    bool gguf =
        fd >= 0 && read(fd, head, sizeof(head)) == (ssize_t)sizeof(head) && memcmp(head, "GGUF", 4) == 0;
    if (fd >= 0)
        close(fd);
    return gguf;
}
