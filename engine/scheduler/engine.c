/* engine.c - the scheduler's thread, submission, and the list of models.
 *
 * Other threads only append requests to queues, set flags and ask for a model to be removed, under one lock that is held
 * briefly. Everything else belongs to the scheduler's thread, so a step needs no lock. Without work the thread sleeps.
 */
#include "scheduler_private.h"

#include "berth/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACK_BYTES ((size_t)1 << 21) /* the thread computes, too, and kernels take up to 512 KiB of stack */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the thread ---- */

/* Removes models that are leaving and have no requests left. With the lock. */
static void remove_leaving(struct engine *e)
{
    struct schedule *before = NULL, *next;
    for (struct schedule *s = e->schedules; s; s = next) {
        next = s->next;
        if (!s->leaving || s->queue || s->requests) {
            before = s;
            continue;
        }
        if (before)
            before->next = next;
        else
            e->schedules = next;
        if (e->served == s)
            e->served = NULL;
        s->gone = true;
        pthread_cond_broadcast(&e->left);
    }
}

static bool has_work(const struct engine *e)
{
    for (const struct schedule *s = e->schedules; s; s = s->next)
        if (s->queue || s->requests)
            return true;
    return false;
}

/* Sleeps until it is woken, or until it is time to look at idle prefixes. With the lock. */
static void sleep_without_work(struct engine *e)
{
    atomic_store_explicit(&e->turned_ns, 0, memory_order_relaxed);
    if (!prefixes_are_kept(e)) {
        pthread_cond_wait(&e->work, &e->lock);
        return;
    }
    uint64_t until = now_ns() + (uint64_t)(PREFIX_SWEEP_SECONDS * 1e9);
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
    pthread_cond_timedwait(&e->work, &e->lock, &t);
    prefixes_sweep(e);
}

/* Waits until there is work. False when the thread must end. */
static bool wait_for_work(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    for (remove_leaving(e); !atomic_load(&e->stopping) && !has_work(e); remove_leaving(e))
        sleep_without_work(e);
    pthread_mutex_unlock(&e->lock);
    atomic_store_explicit(&e->turned_ns, now_ns(), memory_order_relaxed);
    return !atomic_load(&e->stopping);
}

static unsigned threads_for(const struct engine_options *o, unsigned processors)
{
    unsigned most = o->threads_most > 0 && o->threads_most < POOL_MAX ? o->threads_most : POOL_MAX;
    return processors < 1 ? 1 : processors > most ? most : processors;
}

/* Makes the new pool before it frees the old one. When that fails the old pool stays in use. */
static void change_threads(struct engine *e, unsigned threads, unsigned processors, const char *from)
{
    struct error why = {0};
    struct pool *pool = pool_new(threads, processors, &why);
    if (!pool) {
        log_line(LOG_WARN, "compute threads stay as they are",
            LOG_FIELDS(log_count("threads", pool_size(e->pool)), log_count("cpus", processors),
                log_text("cpus_from", from), log_text("reason", why.text)));
        return;
    }
    pool_free(e->pool);
    e->pool = pool;
    atomic_store(&e->threads, threads);
    log_line(LOG_INFO, "compute threads change",
        LOG_FIELDS(
            log_count("threads", threads), log_count("cpus", processors), log_text("cpus_from", from)));
}

/* Adapts the number of threads when a quota or the affinity has changed. */
static void follow_processors(struct engine *e)
{
    const struct engine_options *o = &e->options;
    char from[LIMITS_FROM] = "";
    double now = scheduler_now();
    if (!o->processors_now || (e->looked > 0 && now - e->looked < o->look_seconds))
        return;
    e->looked = now;
    unsigned processors = o->processors_now(o->watch, from);
    if (atomic_exchange(&e->processors, processors) == processors)
        return; /* a pool that could not be made is not tried again until the number changes */
    unsigned threads = threads_for(o, processors);
    if (threads != pool_size(e->pool))
        change_threads(e, threads, processors, from);
}

static void *run(void *context)
{
    struct engine *e = context;
    while (wait_for_work(e)) {
        follow_processors(e);
        prefixes_sweep(e);
        scheduler_sweep(e);
        scheduler_step(e);
    }
    scheduler_sweep(e); /* ends all requests that are left */
    atomic_store_explicit(&e->turned_ns, 0, memory_order_relaxed);
    pthread_mutex_lock(&e->lock);
    e->stopped = true;
    remove_leaving(e);
    pthread_cond_broadcast(&e->left);
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* The main thread handles signals. This thread takes only those that it raises itself, such as SIGBUS on a mapped
 * file. */
static bool start_thread(struct engine *e, struct error *err)
{
    sigset_t blocked, before;
    pthread_attr_t attributes;
    sigfillset(&blocked);
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = pthread_create(&e->thread, &attributes, run, e);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0 || error_set(err, "cannot start the scheduler's thread: %s", strerror(failed));
}

/* ---- the life of an engine ---- */

struct engine *engine_new(const struct engine_options *o, struct error *err)
{
    struct engine *e = calloc(1, sizeof(*e));
    if (!e) {
        error_set(err, "no memory for the engine");
        return NULL;
    }
    e->options = *o;
    e->options.chunk += o->chunk == 0;
    e->options.slots += o->slots == 0;
    kv_budget_set_limit(&e->budget, o->kv_memory);
    e->threads = o->threads;
    e->processors = o->processors;
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&e->left, NULL);
    e->pool = pool_new(o->threads, o->processors, err);
    e->workspace = e->pool ? decoder_workspace_new() : NULL;
    if (e->pool && !e->workspace)
        error_set(err, "no memory for the engine");
    if (e->workspace && start_thread(e, err))
        return e;
    e->stopped = true;
    engine_free(e);
    return NULL;
}

void engine_stop(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool stopped = atomic_exchange(&e->stopping, true);
    pthread_cond_broadcast(&e->work);
    pthread_mutex_unlock(&e->lock);
    if (stopped)
        return;
    pthread_join(e->thread, NULL);
    pool_free(e->pool);
    e->pool = NULL;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    if (!e->stopped)
        engine_stop(e);
    pool_free(e->pool);
    if (e->workspace)
        decoder_workspace_free(e->workspace);
    free(e->rows);
    free(e->copies);
    pthread_cond_destroy(&e->left);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

const struct engine_options *engine_options_of(const struct engine *e)
{
    return &e->options;
}

struct kv_budget *engine_budget(struct engine *e)
{
    return &e->budget;
}

unsigned engine_threads(const struct engine *e)
{
    return atomic_load_explicit(&e->threads, memory_order_relaxed);
}

unsigned engine_processors(const struct engine *e)
{
    return atomic_load_explicit(&e->processors, memory_order_relaxed);
}

double engine_heartbeat_age(const struct engine *e)
{
    uint64_t turned = atomic_load_explicit(&e->turned_ns, memory_order_relaxed), now = now_ns();
    return turned > 0 && now > turned ? (double)(now - turned) * 1e-9 : 0;
}

/* ---- models ---- */

struct schedule *schedule_new(struct engine *e, struct text_model *m, const struct schedule_kind *kind)
{
    bool keeps = kind->keeps_prefixes && e->options.prefix_cache;
    struct schedule *s = calloc(1, sizeof(*s));
    struct slot **slots = calloc(e->options.slots, sizeof(struct slot *));
    struct prefix_cache *prefixes = keeps ? prefix_new(m->cache, &e->prefix_clock) : NULL;
    if (!s || !slots || (keeps && !prefixes)) {
        prefix_free(prefixes);
        free(s);
        free(slots);
        return NULL;
    }
    s->kind = kind;
    s->model = m;
    s->prefixes = prefixes;
    s->slots = slots;
    s->queue_end = &s->queue;
    pthread_mutex_lock(&e->lock);
    s->next = e->schedules;
    e->schedules = s;
    pthread_mutex_unlock(&e->lock);
    return s;
}

void schedule_leave(struct schedule *s, struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    s->leaving = true;
    if (e->stopped)
        remove_leaving(e);
    pthread_cond_broadcast(&e->work);
    while (!s->gone)
        pthread_cond_wait(&e->left, &e->lock);
    pthread_mutex_unlock(&e->lock);
    prefix_free(s->prefixes);
    free(s->slots);
    free(s);
}

/* ---- submission ---- */

static enum result check_tokens(const struct text_model *m, const struct job_request *r, struct error *err)
{
    size_t vocabulary = decoder_n_vocab(m->decoder);
    for (size_t i = 0; i < r->n_prompt; i++)
        if (r->prompt[i] < 0 || (size_t)r->prompt[i] >= vocabulary) {
            error_set(err, "token %d of the prompt is not one of the model's %zu", r->prompt[i], vocabulary);
            return RESULT_BAD_REQUEST;
        }
    return RESULT_OK;
}

/* Whether the model has the parts that the request needs. */
static enum result check_parts(const struct text_model *m, const struct job_request *r, struct error *err)
{
    if (!m->decoder)
        error_set(err, "%s", m->missing[TEXT_DECODER].text);
    else if (r->text && !m->tokenizer)
        error_set(err, "the model has no tokenizer: %s", m->missing[TEXT_TOKENIZER].text);
    else
        return RESULT_OK;
    return RESULT_UNSUPPORTED;
}

/* Appends the request to its queue, unless that is full or the engine is stopping. With the lock. */
static enum result enqueue(struct engine *e, struct request *t, struct error *err)
{
    struct schedule *s = t->schedule;
    if (atomic_load(&e->stopping) || s->leaving) {
        error_set(err, "the server is stopping");
        return RESULT_STOPPING;
    }
    s->n_queued++;
    if (!s->kind->takes(e, t, err)) {
        s->n_queued--;
        return RESULT_BUSY;
    }
    *s->queue_end = t;
    s->queue_end = &t->next;
    pthread_cond_signal(&e->work);
    return RESULT_OK;
}

static enum result check(
    const struct engine *e, const struct text_model *m, const struct job_request *r, struct error *err)
{
    enum result result = check_parts(m, r, err);
    if (result == RESULT_OK)
        result = check_tokens(m, r, err);
    return result == RESULT_OK ? m->schedule->kind->check(e, m, r, err) : result;
}

static struct request *request_new(const struct engine *e, struct text_model *m, struct job *j)
{
    struct request *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->job = j;
    t->params = job_request_of(j);
    t->schedule = m->schedule;
    double now = scheduler_now(), arrived = t->params->arrived;
    t->arrived = arrived > 0 && arrived < now ? arrived : now;
    double most = t->params->deadline > 0 ? t->params->deadline : e->options.job_timeout;
    t->deadline = most > 0 ? t->arrived + most : 0;
    return t;
}

enum result engine_submit(struct engine *e, struct job *j, struct error *err)
{
    struct text_model *m = text_model_of(job_request_of(j)->model);
    enum result result = check(e, m, job_request_of(j), err);
    if (result != RESULT_OK)
        return result;
    struct request *t = request_new(e, m, j);
    if (!t) {
        error_set(err, "memory is short");
        return RESULT_NO_MEMORY;
    }
    job_hold(j);
    atomic_fetch_add_explicit(&m->served.metrics.queued, 1, memory_order_relaxed);
    pthread_mutex_lock(&e->lock);
    result = enqueue(e, t, err);
    pthread_mutex_unlock(&e->lock);
    if (result == RESULT_OK)
        return RESULT_OK;
    atomic_fetch_sub_explicit(&m->served.metrics.queued, 1, memory_order_relaxed);
    if (result == RESULT_BUSY)
        atomic_fetch_add_explicit(&m->served.metrics.jobs_refused, 1, memory_order_relaxed);
    job_drop(j);
    free(t);
    return result;
}

struct request *schedule_pop(struct engine *e, struct schedule *s)
{
    pthread_mutex_lock(&e->lock);
    struct request *t = s->queue;
    if (t) {
        s->queue = t->next;
        if (!s->queue)
            s->queue_end = &s->queue;
        s->n_queued--;
    }
    pthread_mutex_unlock(&e->lock);
    if (t)
        atomic_fetch_sub_explicit(&s->model->served.metrics.queued, 1, memory_order_relaxed);
    return t;
}
