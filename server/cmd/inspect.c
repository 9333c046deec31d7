/* inspect.c - shows the content of a model file, or of each model of a directory.
 *
 * It opens models as the server does. A file that it refuses would be listed as failed by the server, with the same
 * reason. A change of the file while it is shown is reported at the end, because the output may be a mixture.
 */
#include "flags_private.h"
#include "inspect_private.h"

#include "berth/loaders/scan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>

#define FLUSH_BYTES ((size_t)1 << 16)
#define OUTPUT_MAX ((size_t)1 << 31) /* held between two flushes: the longest text of a file fits */
#define PATH_ROOM 4096

struct inspect_args {
    const char *path;
    bool json;
    size_t shown; /* models so far */
};

void inspect_flush(struct strbuf *out)
{
    if (out->size < FLUSH_BYTES || out->failed)
        return;
    fwrite(out->text, 1, out->size, stdout);
    out->size = 0;
    out->text[0] = '\0';
}

/* Writes out the rest. False with the reason when anything was not written. */
static bool finish(struct strbuf *out, struct error *err)
{
    if (out->failed)
        return error_set(err, "no memory for the output");
    fwrite(out->text, 1, out->size, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_set(err, "cannot write to standard output: %s", strerror(errno));
    return true;
}

static bool show(struct inspect_args *r, struct loaded *l, const char *path, const struct scan_model *found,
    struct error *err)
{
    struct strbuf out;
    strbuf_init(&out, OUTPUT_MAX);
    if (r->shown++ > 0 && !r->json)
        strbuf_text(&out, "\n");
    if (r->json)
        inspect_json(&out, l, path, found);
    else
        inspect_table(&out, l, path, found);
    bool good = finish(&out, err) && loaded_intact(l, err);
    strbuf_release(&out);
    return good;
}

/* Prints why `full` was not shown. A reason from the loader begins with the file's path below the volume, which is left
 * out, because `full` is the whole path. */
static void report(const char *full, const char *path, const char *reason)
{
    char shown[PATH_ROOM], below[PATH_ROOM];
    size_t skip = text_escape(below, sizeof(below), span_of(path));
    if (path[0] && strncmp(reason, below, skip) == 0 && strncmp(reason + skip, ": ", 2) == 0)
        reason += skip + 2;
    text_escape(shown, sizeof(shown), span_of(full));
    fprintf(stderr, "berth: %s: %s\n", shown, reason);
}

/* `found` is NULL for a single file. */
static bool inspect_one(struct inspect_args *r, const struct volume *v, const char *path, const char *full,
    const struct scan_model *found)
{
    struct loaded l;
    struct error err = {0};
    bool opened = found && found->manifest ? loaded_open_manifest(&l, v, found->manifest, &err)
                                           : loaded_open(&l, v, path, &err);
    if (!opened) {
        report(full, path, err.text);
        return false;
    }
    bool good = show(r, &l, full, found, &err);
    if (!good)
        report(full, path, err.text);
    loaded_close(&l);
    return good;
}

static bool inspect_found(struct inspect_args *r, const struct volume *v, const struct scan_model *m)
{
    char full[PATH_ROOM];
    const char *path = m->path ? m->path : "";
    int size = snprintf(full, sizeof(full), "%s/%s", v->path, path);
    if (size < 0 || (size_t)size >= sizeof(full)) {
        report(r->path, "", "contains a path that is too long");
        return false;
    }
    if (m->reason) {
        report(full, path, m->reason);
        return false;
    }
    return inspect_one(r, v, path, full, m);
}

/* What the directory is, where it is more than plain files. In JSON each model says so. */
static void show_layouts(struct inspect_args *r, const struct volume *v, const struct scan *s)
{
    char root[PATH_ROOM];
    text_escape(root, sizeof(root), span_of(v->path));
    for (size_t i = 0; i < s->n_layouts && !r->json; i++, r->shown++)
        printf(
            "%s%s%s: %s\n", root, s->layouts[i].path[0] ? "/" : "", s->layouts[i].path, s->layouts[i].title);
}

static void report_none(const struct inspect_args *r, const struct scan *s)
{
    char reason[PATH_ROOM];
    snprintf(reason, sizeof(reason),
        "there is no model file in its first %d levels; deeper directories are not scanned (first: %s)",
        SCAN_DEPTH, s->too_deep ? s->too_deep : "");
    report(r->path, "", s->too_deep ? reason : "there is no model file in it");
}

static bool inspect_all(struct inspect_args *r, const struct volume *v)
{
    struct scan s = {0};
    struct error err = {0};
    bool good = scan_volume(&s, v, &err);
    if (!good)
        report(r->path, v->path, err.text);
    show_layouts(r, v, &s);
    if (good && s.n_models == 0)
        report_none(r, &s);
    good = good && s.n_models > 0;
    bool all = good;
    for (size_t i = 0; good && i < s.n_models; i++)
        all = inspect_found(r, v, &s.models[i]) && all;
    if (s.n_left_out > 0) {
        report(r->path, "", "has more models than berth lists; name a directory below it");
        all = false;
    }
    scan_release(&s);
    return all;
}

static bool inspect(struct inspect_args *r)
{
    struct volume v;
    struct error err = {0};
    if (!mapping_guard(&err) || volume_open(&v, r->path, &err) != VOLUME_OPEN) {
        report(r->path, r->path, err.text);
        return false;
    }
    bool good = v.single ? inspect_one(r, &v, v.single, r->path, NULL) : inspect_all(r, &v);
    volume_close(&v);
    return good;
}

static bool take_operand(struct inspect_args *r, const struct operands *o, struct error *err)
{
    if (o->n > 1)
        return error_set(err, "one PATH at a time, not also %s", o->at[1]);
    if (o->n == 1 && r->path)
        return error_set(err, "one PATH at a time, not also %s", o->at[0]);
    if (o->n == 1)
        r->path = o->at[0];
    return r->path || error_set(err, "a PATH is needed");
}

int cmd_inspect(int argc, char **argv)
{
    struct inspect_args r = {0};
    struct operands operands;
    struct error err = {0};
    enum flags_result result = flags_read(&command_inspect, argc, argv, &r, &operands, &err);
    bool good = result == FLAGS_READ && take_operand(&r, &operands, &err);
    operands_release(&operands);
    if (result == FLAGS_HELP)
        return command_help(&command_inspect);
    if (!good)
        return command_wrong(&command_inspect, &err);
    /* A reader that ends early (`| head`) ends the command, without a message. */
    signal(SIGPIPE, SIG_DFL);
    return inspect(&r) ? 0 : 1;
}

static const struct command_flag flags[] = {
    {.name = "--json",
        .kind = FLAG_SWITCH,
        .field = offsetof(struct inspect_args, json),
        .help = "one JSON object a model, each on its line, with everything in it"},
    {.name = "--model",
        .letter = "-m",
        .value = "PATH",
        .kind = FLAG_TEXT,
        .field = offsetof(struct inspect_args, path),
        .help = "the same as PATH"},
};

const struct command command_inspect = {
    .name = "inspect",
    .run = cmd_inspect,
    .usage = "PATH [--json]",
    .summary = "show the metadata and the tensors of a model file",
    .about =
        "Shows the model file PATH: a summary, its metadata and its tensors. Of a directory, what kind it is (the\n"
        "cache of Hugging Face, the store of Ollama or of Docker, an OCI layout, LM Studio's tree) and every model\n"
        "in it, one after the other.",
    .notes = "Exit status: 0; 1 when a file is not a valid model or cannot be read; 2 for wrong usage.",
    .print_more = inspect_print_architectures,
    .flags = {{flags, sizeof(flags) / sizeof(flags[0]), 0}},
    .operand = OPERAND_FILE,
};
