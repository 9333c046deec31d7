/* local.c - what berth generate and berth bench share: flags, a model, an engine, and waiting for it. */
#include "local_private.h"

#include "find_model_private.h"

#include "berth/kernels/isa.h"
#include "berth/base/limits.h"
#include "berth/base/pool.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

const struct local_options local_defaults = {.cpu = "auto", .kv_type = "f16", .slots = 1, .chunk = 256};

const char *const local_kv_types[] = {"f16", "f32", "q8_0", NULL};

/* clang-format off */
const struct command_flag local_flags[LOCAL_N_FLAGS] = {
    {.name = "--model", .letter = "-m", .value = "FILE", .kind = FLAG_TEXT,
     .field = offsetof(struct local_options, path),
     .help = "the model: a GGUF file, or a directory with one in it\n(default: the only one in the current directory)"},
    {.name = "--threads", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct local_options, threads),
     .least = 1, .most = POOL_MAX, .help = "compute threads (default: the processors that the process may use)"},
    {.name = "--cpu", .value = "SET", .kind = FLAG_TEXT, .field = offsetof(struct local_options, cpu),
     .help = "instructions: plain, avx2, avxvnni, avx512, neon, dotprod,\ni8mm, or auto (default)"},
    {.name = "--kv-type", .value = "TYPE", .kind = FLAG_WORD, .field = offsetof(struct local_options, kv_type),
     .choices = local_kv_types, .help = "of cached keys and values: f16 (default), f32 or q8_0"},
    {.name = "--float", .kind = FLAG_SWITCH, .field = offsetof(struct local_options, as_float),
     .help = "multiply in float32 also where weights are quantized: slow"},
    {.name = "--context", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct local_options, context),
     .least = 1, .most = UINT32_MAX, .help = "tokens that prompt and answer may have, where that is less than\nthe model's context"},
};
/* clang-format on */

/* ---- the model ---- */

static bool open_file(struct local *l, struct error *err)
{
    if (volume_open(&l->volume, l->path, err) != VOLUME_OPEN)
        return false;
    if (loaded_open(&l->loaded, &l->volume, l->volume.single, err))
        return true;
    volume_close(&l->volume);
    return false;
}

static bool start_engine(struct local *l, const struct local_options *o, struct error *err)
{
    struct limits limits;
    enum attention_type kv_type = ATTENTION_F16;
    limits_read(&limits, "");
    attention_type_find(o->kv_type, &kv_type);
    l->threads = o->threads ? (unsigned)o->threads : limits.cpus;
    const struct engine_options engine = {.threads = l->threads,
        .processors = limits.cpus,
        .kv_memory = limits.memory / 2,
        .kv_type = kv_type,
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

static void close_parts(struct local *l)
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

bool local_name_file(const char *path, struct error *err)
{
    char shown[400];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    text_escape(shown, sizeof(shown), span_of(name));
    if (strncmp(err->text, shown, strlen(shown)) == 0)
        return false;
    text_escape(shown, sizeof(shown), span_of(path));
    return strncmp(err->text, shown, strlen(shown)) == 0 ? false : error_prefix(err, "%s", shown);
}

static bool start(struct local *l, const struct local_options *o, struct error *err)
{
    l->woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->woken < 0)
        return error_set(err, "cannot make an event descriptor: %s", strerror(errno));
    return start_engine(l, o, err) && make_model(l, o, err);
}

bool local_open(struct local *l, const struct local_options *o, struct error *err)
{
    *l = (struct local){.woken = -1};
    if (!isa_select(o->cpu, err))
        return error_prefix(err, "--cpu");
    l->path = find_model(o->path, err);
    if (!l->path)
        return o->path ? local_name_file(o->path, err) : false;
    bool opened = mapping_guard(err) && open_file(l, err);
    if (opened && start(l, o, err))
        return true;
    if (opened)
        close_parts(l);
    local_name_file(l->path, err);
    free(l->path);
    return false;
}

void local_close(struct local *l)
{
    close_parts(l);
    free(l->path);
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

bool local_wait(struct local *l, int also, double seconds)
{
    uint64_t count;
    struct pollfd fds[2] = {{.fd = l->woken, .events = POLLIN}, {.fd = also, .events = POLLIN}};
    while (poll(fds, 2, seconds < 0 ? -1 : (int)(seconds * 1000)) < 0 && errno == EINTR)
        continue;
    if (read(l->woken, &count, sizeof(count)) < 0)
        return fds[1].revents != 0;
    return fds[1].revents != 0;
}
