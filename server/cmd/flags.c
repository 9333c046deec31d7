/* flags.c - the parser of every command's flags, and its messages. */
#include "flags_private.h"

#include "berth/base/near.h"
#include "berth/base/strbuf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_BYTES 300

static const struct command_flag *find_flag(
    const struct command *c, const char *name, size_t size, size_t *base)
{
    for (size_t s = 0; s < sizeof(c->flags) / sizeof(c->flags[0]); s++) {
        *base = c->flags[s].base;
        for (size_t i = 0; i < c->flags[s].n; i++) {
            const struct command_flag *f = &c->flags[s].at[i];
            if (strlen(f->name) == size && memcmp(f->name, name, size) == 0)
                return f;
            if (f->letter && strlen(f->letter) == size && memcmp(f->letter, name, size) == 0)
                return f;
        }
    }
    return NULL;
}

static bool unknown_flag(const struct command *c, const char *name, size_t size, struct error *err)
{
    char shown[200];
    struct span given = {(const uint8_t *)name, size};
    struct near near = near_begin(given);
    for (size_t s = 0; s < sizeof(c->flags) / sizeof(c->flags[0]); s++)
        for (size_t i = 0; i < c->flags[s].n; i++)
            near_try(&near, c->flags[s].at[i].name);
    near_try(&near, "--help");
    text_escape(shown, sizeof(shown), given);
    if (near.name)
        return error_set(err, "unknown option %s; did you mean %s?", shown, near.name);
    return error_set(err, "unknown option %s", shown);
}

/* ---- values ---- */

static bool read_count(const struct command_flag *f, const char *text, uint64_t *out, struct error *err)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    /* Bounds are doubles. All are below 2^53, and so exact, except the largest possible count. */
    bool in = (double)*out >= f->least && (f->most == 0 || (double)*out <= f->most);
    if (errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && in)
        return true;
    if (f->most == 0)
        return error_set(err, "%s takes a whole number", f->name);
    return error_set(err, "%s takes a whole number from %.0f to %.0f", f->name, f->least, f->most);
}

static bool read_real(const struct command_flag *f, const char *text, float *out, struct error *err)
{
    char *end;
    double value = strtod(text, &end);
    *out = (float)value;
    if (end != text && *end == '\0' && value >= f->least && value <= f->most)
        return true;
    return error_set(err, "%s takes a number from %g to %g", f->name, f->least, f->most);
}

static bool read_word(const struct command_flag *f, const char *text, const char **out, struct error *err)
{
    char list[LIST_BYTES] = "";
    for (size_t i = 0; f->choices[i]; i++) {
        const char *between = i == 0 ? "" : f->choices[i + 1] ? ", " : " or ";
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%s", between, f->choices[i]);
        if (strcmp(text, f->choices[i]) == 0) {
            *out = f->choices[i];
            return true;
        }
    }
    return error_set(err, "%s takes %s, not \"%.100s\"", f->name, list, text);
}

static bool add_text(
    const struct command_flag *f, const char *text, struct flag_texts *out, struct error *err)
{
    if (!text[0] || out->n == FLAG_TEXTS_MAX)
        return error_set(err, "%s takes a text that is not empty, at most %d times", f->name, FLAG_TEXTS_MAX);
    out->at[out->n++] = text;
    return true;
}

static bool set_flag(const struct command_flag *f, const char *value, void *field, struct error *err)
{
    switch (f->kind) {
    case FLAG_SWITCH:
        *(bool *)field = true;
        return true;
    case FLAG_TEXT:
        *(const char **)field = value;
        return true;
    case FLAG_WORD:
        return read_word(f, value, field, err);
    case FLAG_TEXTS:
        return add_text(f, value, field, err);
    case FLAG_COUNT:
        return read_count(f, value, field, err);
    case FLAG_REAL:
        return read_real(f, value, field, err);
    }
    return false;
}

/* ---- arguments ---- */

/* Reads the flag argv[*at] and its value; *at is then the index of the last argument that was read. */
static bool read_flag(const struct command *c, int argc, char **argv, int *at, void *out, struct error *err)
{
    const char *name = argv[*at], *value = NULL;
    size_t base, size = strncmp(name, "--", 2) == 0 ? strcspn(name, "=") : strlen(name);
    const struct command_flag *f = find_flag(c, name, size, &base);
    if (!f)
        return unknown_flag(c, name, size, err);
    if (name[size] == '=' && f->kind == FLAG_SWITCH)
        return error_set(err, "%s takes no value", f->name);
    if (name[size] == '=')
        value = name + size + 1;
    else if (f->kind != FLAG_SWITCH && *at + 1 < argc)
        value = argv[++*at];
    else if (f->kind != FLAG_SWITCH)
        return error_set(err, "%.*s needs a value: %s", (int)size, name, f->value);
    return set_flag(f, value, (char *)out + base + f->field, err);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

enum flags_result flags_read(
    const struct command *c, int argc, char **argv, void *out, struct operands *operands, struct error *err)
{
    bool flags = true;
    *operands = (struct operands){.at = calloc((size_t)argc + 1, sizeof(*operands->at))};
    if (!operands->at) {
        error_set(err, "memory is short");
        return FLAGS_WRONG;
    }
    if (asks_for_help(argc, argv))
        return FLAGS_HELP;
    for (int i = 1; i < argc; i++) {
        if (flags && strcmp(argv[i], "--") == 0)
            flags = false;
        else if (!flags || argv[i][0] != '-' || !argv[i][1])
            operands->at[operands->n++] = argv[i];
        else if (!read_flag(c, argc, argv, &i, out, err))
            return FLAGS_WRONG;
    }
    return FLAGS_READ;
}

void operands_release(struct operands *o)
{
    free(o->at);
    *o = (struct operands){0};
}

/* ---- messages ---- */

int command_wrong(const struct command *c, const struct error *err)
{
    char shown[sizeof(err->text) * 4];
    text_escape(shown, sizeof(shown), span_of(err->text));
    bool asks = shown[0] && shown[strlen(shown) - 1] == '?';
    fprintf(stderr, "berth: %s: %s%s berth %s --help\n", c->name, shown, asks ? " See" : "; see", c->name);
    return 2;
}

int command_failed(const char *path, const struct error *err)
{
    char shown[4096] = "";
    if (path)
        text_escape(shown, sizeof(shown), span_of(path));
    /* The reason may begin with the file's name or path already. */
    const char *slash = strrchr(shown, '/'), *name = slash ? slash + 1 : shown;
    bool named = strncmp(err->text, name, strlen(name)) == 0 || strncmp(err->text, shown, strlen(shown)) == 0;
    fprintf(stderr, "berth: %s%s%s\n", named ? "" : shown, named ? "" : ": ", err->text);
    return 1;
}

bool flush_output(struct error *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    return error_set(err, "cannot write to standard output: %s", strerror(errno));
}
