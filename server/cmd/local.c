/* local.c - what berth generate and berth bench have in common: flags, a model, an engine, and how to wait for it. */
#include "local_private.h"

#include "berth/kernels/isa.h"
#include "berth/base/limits.h"
#include "berth/base/pool.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

const struct local_options local_defaults = {
    .cpu = "auto", .kv_type = ATTENTION_F16, .slots = 1, .chunk = 256};

/* ---- flags ---- */

const char *local_text(int argc, char **argv, int *at, struct error *err)
{
    if (*at + 1 < argc)
        return argv[++*at];
    error_set(err, "%s needs a value", argv[*at]);
    return NULL;
}

bool local_number(
    int argc, char **argv, int *at, uint64_t least, uint64_t most, uint64_t *out, struct error *err)
{
    const char *flag = argv[*at], *text = local_text(argc, argv, at, err);
    char *end;
    if (!text)
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= least && *out <= most)
        return true;
    return error_set(err, "%s takes a whole number from %llu to %llu", flag, (unsigned long long)least,
        (unsigned long long)most);
}

bool local_real(int argc, char **argv, int *at, double least, double most, float *out, struct error *err)
{
    const char *flag = argv[*at], *text = local_text(argc, argv, at, err);
    char *end;
    if (!text)
        return false;
    double value = strtod(text, &end);
    *out = (float)value;
    if (end != text && *end == '\0' && value >= least && value <= most)
        return true;
    return error_set(err, "%s takes a number from %g to %g", flag, least, most);
}

static bool read_kv_type(const char *text, enum attention_type *out, struct error *err)
{
    if (!text)
        return false;
    return attention_type_find(text, out) || error_set(err, "--kv-type takes f16, f32 or q8_0");
}

enum local_flag local_flag(struct local_options *o, int argc, char **argv, int *at, struct error *err)
{
    const char *flag = argv[*at];
    bool good = true;
    if (strcmp(flag, "-m") == 0 || strcmp(flag, "--model") == 0)
        good = (o->path = local_text(argc, argv, at, err)) != NULL;
    else if (strcmp(flag, "--cpu") == 0)
        good = (o->cpu = local_text(argc, argv, at, err)) != NULL;
    else if (strcmp(flag, "--threads") == 0)
        good = local_number(argc, argv, at, 1, POOL_MAX, &o->threads, err);
    else if (strcmp(flag, "--context") == 0)
        good = local_number(argc, argv, at, 1, UINT32_MAX, &o->context, err);
    else if (strcmp(flag, "--kv-type") == 0)
        good = read_kv_type(local_text(argc, argv, at, err), &o->kv_type, err);
    else if (strcmp(flag, "--float") == 0)
        o->as_float = true;
    else
        return LOCAL_OTHER;
    return good ? LOCAL_TAKEN : LOCAL_WRONG;
}

bool local_asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int local_wrong(const char *command, const struct error *err)
{
    char shown[800];
    text_escape(shown, sizeof(shown), span_of(err->text));
    fprintf(stderr, "berth: %s: %s; see berth %s --help\n", command, shown, command);
    return 2;
}

int local_failed(const char *path, const struct error *err)
{
    char shown[4096];
    text_escape(shown, sizeof(shown), span_of(path));
    /* A reason from below begins with the file's name already, or with its path. */
    const char *name = strrchr(shown, '/');
    name = name ? name + 1 : shown;
    bool named = strncmp(err->text, name, strlen(name)) == 0 || strncmp(err->text, shown, strlen(shown)) == 0;
    fprintf(stderr, "berth: %s%s%s\n", named ? "" : shown, named ? "" : ": ", err->text);
    return 1;
}

/* ---- the model ---- */

static bool open_file(struct local *l, const char *path, struct error *err)
{
    if (volume_open(&l->volume, path, err) != VOLUME_OPEN)
        return err->text[0] != '\0' ? false : error_set(err, "there is no such file");
    bool single = l->volume.single != NULL;
    if (single && loaded_open(&l->loaded, &l->volume, l->volume.single, err))
        return true;
    volume_close(&l->volume);
    return single ? false : error_set(err, "is a directory; name a file in it");
}

static bool start_engine(struct local *l, const struct local_options *o, struct error *err)
{
    struct limits limits;
    limits_read(&limits, "");
    l->threads = o->threads ? (unsigned)o->threads : limits.cpus;
    const struct engine_options engine = {.threads = l->threads,
        .processors = limits.cpus,
        .kv_memory = limits.memory / 2,
        .kv_type = o->kv_type,
        .prefix_cache = true,
        .chunk = o->chunk,
        .slots = o->slots,
        .queue = JOB_CHOICES_MAX};
    l->engine = engine_new(&engine, err);
    return l->engine != NULL;
}

static bool make_model(struct local *l, const struct local_options *o, struct error *err)
{
    const struct served_model_options options = {
        .as_float = o->as_float, .context = o->context, .no_tokenizer = o->no_tokenizer};
    l->served = served_model_open(l->engine, &l->loaded, &options, err);
    l->model = text_model_of(l->served);
    const struct error *why = l->model ? text_model_lacks(l->model, TEXT_DECODER) : NULL;
    return l->model && (!why || error_set(err, "%s", why->text));
}

bool local_open(struct local *l, const struct local_options *o, struct error *err)
{
    *l = (struct local){.woken = -1};
    if (!isa_select(o->cpu, err) || !mapping_guard(err) || !open_file(l, o->path, err))
        return false;
    l->woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool good = l->woken >= 0 || error_set(err, "cannot make an event descriptor: %s", strerror(errno));
    if (good && start_engine(l, o, err) && make_model(l, o, err))
        return true;
    local_close(l);
    return false;
}

void local_close(struct local *l)
{
    if (l->engine)
        engine_stop(l->engine);
    served_model_close(l->served);
    engine_free(l->engine);
    loaded_close(&l->loaded);
    volume_close(&l->volume);
    if (l->woken >= 0)
        close(l->woken);
}

/* ---- jobs ---- */

static void wake(void *context)
{
    const struct local *l = context;
    const uint64_t one = 1;
    /* It fails only where the counter is full: then there is something to read already. */
    if (write(l->woken, &one, sizeof(one)) < 0)
        return;
}

struct job *local_submit(struct local *l, const struct job_request *r, struct error *err)
{
    struct job *j = job_new(r, wake, l);
    if (!j) {
        error_set(err, "memory is short");
        return NULL;
    }
    if (served_model_submit(j, err) == RESULT_OK)
        return j;
    job_release(j);
    return NULL;
}

bool local_wait(struct local *l, int also)
{
    uint64_t count;
    struct pollfd fds[2] = {{.fd = l->woken, .events = POLLIN}, {.fd = also, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        continue;
    if (read(l->woken, &count, sizeof(count)) < 0)
        return fds[1].revents != 0;
    return fds[1].revents != 0;
}
