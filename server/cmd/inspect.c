/* inspect.c - shows what a model file holds, or each model of a directory.
 *
 * It opens models by the way that the server takes, so what it shows is what would be served, and a file
 * that it refuses would be listed as failed with the same reason. The file may change while it is shown;
 * that is told afterwards, since what was written may be mixed.
 */
#include "berth/server/command.h"
#include "berth/loaders/scan.h"
#include "inspect_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define FLUSH_BYTES ((size_t)1 << 16)
#define OUTPUT_MAX                                                                                           \
    ((size_t)1 << 31) /* of what has gathered between two flushes: the longest text of a file */
#define PATH_ROOM 4096

static const char usage[] =
    "berth inspect PATH [--json]\n"
    "\n"
    "Shows what the model file PATH holds: what it is, its metadata and its tensors. Of a directory, every\n"
    "model in it, one after the other.\n"
    "\n"
    "  --json   one JSON object a model, each on its line, with everything in it\n"
    "\n"
    "Exit status: 0; 1 when a file is no valid model or cannot be read; 2 for wrong usage.";

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

static bool show(struct inspect_args *r, struct loaded *l, const char *path, struct error *err)
{
    struct strbuf out;
    strbuf_init(&out, OUTPUT_MAX);
    if (r->shown++ > 0 && !r->json)
        strbuf_text(&out, "\n");
    if (r->json)
        inspect_json(&out, l, path);
    else
        inspect_table(&out, l, path);
    bool good = finish(&out, err) && loaded_intact(l, err);
    strbuf_release(&out);
    return good;
}

/* Says why `full` was not shown. A reason from the loader begins with the file's path below the volume, which
 * is left out then: `full` tells more. */
static void report(const char *full, const char *path, const char *reason)
{
    char shown[PATH_ROOM], below[PATH_ROOM];
    size_t skip = text_escape(below, sizeof(below), span_of(path));
    if (path[0] && strncmp(reason, below, skip) == 0 && strncmp(reason + skip, ": ", 2) == 0)
        reason += skip + 2;
    text_escape(shown, sizeof(shown), span_of(full));
    fprintf(stderr, "berth: %s: %s\n", shown, reason);
}

static bool inspect_one(struct inspect_args *r, const struct volume *v, const char *path, const char *full)
{
    struct loaded l;
    struct error err = {0};
    if (!loaded_open(&l, v, path, &err)) {
        report(full, path, err.text);
        return false;
    }
    bool good = show(r, &l, full, &err);
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
        report(r->path, "", "holds a path that is too long");
        return false;
    }
    if (m->reason) {
        report(full, path, m->reason);
        return false;
    }
    return inspect_one(r, v, path, full);
}

static bool inspect_all(struct inspect_args *r, const struct volume *v)
{
    struct scan s = {0};
    struct error err = {0};
    bool good = scan_volume(&s, v, &err);
    if (!good)
        report(r->path, v->path, err.text);
    else if (s.n_models == 0)
        report(r->path, "", "no models are in it");
    good = good && s.n_models > 0;
    bool all = good;
    for (size_t i = 0; good && i < s.n_models; i++)
        all = inspect_found(r, v, &s.models[i]) && all;
    if (s.n_left_out > 0) {
        report(r->path, "", "holds more models than are shown at once; name a directory below it");
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
    bool good = v.single ? inspect_one(r, &v, v.single, r->path) : inspect_all(r, &v);
    volume_close(&v);
    return good;
}

static bool wrong(const char *what, const char *argument)
{
    char shown[200];
    text_escape(shown, sizeof(shown), span_of(argument));
    fprintf(stderr, "berth: inspect: %s%s; see berth inspect --help\n", what, shown);
    return false;
}

/* False when the arguments make no sense, which has been said then. */
static bool read_arguments(struct inspect_args *r, int argc, char **argv)
{
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && strcmp(argv[i], "--json") == 0)
            r->json = true;
        else if (options && argv[i][0] == '-' && argv[i][1])
            return wrong("unknown option ", argv[i]);
        else if (r->path)
            return wrong("one PATH at a time, not also ", argv[i]);
        else
            r->path = argv[i];
    }
    return r->path ? true : wrong("a PATH is needed", "");
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int cmd_inspect(int argc, char **argv)
{
    struct inspect_args r = {0};
    if (asks_for_help(argc, argv))
        return puts(usage) < 0 || fflush(stdout) != 0;
    if (!read_arguments(&r, argc, argv))
        return 2;
    /* A reader that has seen enough (`| head`) is no failure to speak of. */
    signal(SIGPIPE, SIG_DFL);
    return inspect(&r) ? 0 : 1;
}
