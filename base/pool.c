/* pool.c - workers that wait for each other at gates.
 *
 * A gate is a counter that only rises, and a way to wait until it differs from a value that was read before. There are
 * two gates: `start` opens when there is something to run or the pool ends, `meet` opens when the last worker has
 * arrived at a barrier. The end of a run is such a barrier, too.
 *
 * A wake is never missed. A worker that is about to sleep first adds itself to the sleepers and then reads
 * the counter again. The thread that opens the gate first raises the counter and then reads the sleepers. All four are
 * sequentially consistent, so at least one of them sees the other. The lock covers the time between the last read and
 * the sleep itself.
 */
#include "berth/base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACK_BYTES ((size_t)1 << 20)
#define SPIN_NANOSECONDS 50000
#define SPINS_A_LOOK 32 /* pauses between two looks at the clock */
#define CACHE_LINE 64

struct gate {
    _Alignas(CACHE_LINE) atomic_uint count;
    atomic_uint sleepers;
    pthread_mutex_t lock;
    pthread_cond_t moved;
};

struct pool_worker {
    struct pool *pool;
    unsigned index;
    pthread_t thread;
};

struct pool {
    struct gate start, meet;
    _Alignas(CACHE_LINE) atomic_uint arrived; /* at the barrier, so far */
    atomic_bool running;
    unsigned n;
    bool spins;
    /* Written between runs, before the start gate opens. */
    bool ending;
    pool_work work;
    void *context;
    struct pool_worker workers[]; /* [n]; the first is the caller, without a thread */
};

/* ---- gates ---- */

static void pause_processor(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void gate_init(struct gate *g)
{
    atomic_init(&g->count, 0);
    atomic_init(&g->sleepers, 0);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->moved, NULL);
}

static void gate_release(struct gate *g)
{
    pthread_cond_destroy(&g->moved);
    pthread_mutex_destroy(&g->lock);
}

static void gate_open(struct gate *g)
{
    atomic_fetch_add(&g->count, 1);
    if (atomic_load(&g->sleepers) == 0)
        return;
    pthread_mutex_lock(&g->lock);
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

/* Spins for a limited time. Returns true when the gate has opened meanwhile. */
static bool gate_spin(struct gate *g, unsigned seen)
{
    uint64_t end = now() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if (atomic_load_explicit(&g->count, memory_order_acquire) != seen)
                return true;
            pause_processor();
        }
    } while (now() < end);
    return false;
}

/* Waits until the gate's count is no longer `seen`. */
static void gate_wait(struct gate *g, unsigned seen, bool spins)
{
    if (atomic_load_explicit(&g->count, memory_order_acquire) != seen || (spins && gate_spin(g, seen)))
        return;
    pthread_mutex_lock(&g->lock);
    atomic_fetch_add(&g->sleepers, 1);
    while (atomic_load(&g->count) == seen)
        pthread_cond_wait(&g->moved, &g->lock);
    atomic_fetch_sub(&g->sleepers, 1);
    pthread_mutex_unlock(&g->lock);
}

/* ---- runs ---- */

/* The counter is read before the arrival: the gate cannot open until this worker has arrived. */
static void meet(struct pool *p)
{
    unsigned seen = atomic_load_explicit(&p->meet.count, memory_order_relaxed);
    if (atomic_fetch_add(&p->arrived, 1) + 1 < p->n) {
        gate_wait(&p->meet, seen, p->spins);
        return;
    }
    atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
    gate_open(&p->meet);
}

static void *member_run(void *context)
{
    struct pool_worker *m = context;
    struct pool *p = m->pool;
    for (unsigned seen = 0;; seen++) {
        gate_wait(&p->start, seen, p->spins);
        if (p->ending)
            return NULL;
        p->work(p->context, m->index, p->n);
        meet(p);
    }
}

bool pool_run(struct pool *p, pool_work work, void *context)
{
    if (atomic_exchange(&p->running, true))
        return false;
    p->work = work;
    p->context = context;
    if (p->n > 1)
        gate_open(&p->start);
    work(context, 0, p->n);
    if (p->n > 1)
        meet(p);
    atomic_store(&p->running, false);
    return true;
}

bool pool_barrier(struct pool *p)
{
    if (!atomic_load_explicit(&p->running, memory_order_relaxed))
        return false;
    if (p->n > 1)
        meet(p);
    return true;
}

unsigned pool_size(const struct pool *p)
{
    return p->n;
}

/* ---- threads ---- */

/* Other threads handle the signals of the process. A signal that a thread raises in itself must reach it. */
static void thread_signals(sigset_t *set)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigfillset(set);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(set, own[i]);
}

/* Starts the threads of workers 1 and up. Returns how many workers there are then; when they are fewer than p->n, the
 * reason is in *failed. */
static unsigned start_threads(struct pool *p, int *failed)
{
    pthread_attr_t attributes;
    *failed = pthread_attr_init(&attributes);
    if (*failed != 0)
        return 1;
    *failed = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigset_t wanted, before;
    thread_signals(&wanted);
    pthread_sigmask(SIG_SETMASK, &wanted, &before); /* a thread inherits the mask of its creator */
    unsigned n = 1;
    while (n < p->n && *failed == 0) {
        struct pool_worker *m = &p->workers[n];
        *failed = pthread_create(&m->thread, &attributes, member_run, m);
        n += *failed == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return n;
}

/* Ends the threads of the first n workers, which must be idle, and frees the pool. */
static void end(struct pool *p, unsigned n)
{
    p->ending = true;
    gate_open(&p->start);
    for (unsigned i = 1; i < n; i++)
        pthread_join(p->workers[i].thread, NULL);
    gate_release(&p->start);
    gate_release(&p->meet);
    free(p);
}

static struct pool *allocate(unsigned n)
{
    size_t size = sizeof(struct pool) + n * sizeof(struct pool_worker);
    size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct pool *p = aligned_alloc(CACHE_LINE, size);
    if (p)
        memset(p, 0, size);
    return p;
}

struct pool *pool_new(unsigned n, unsigned processors, struct error *err)
{
    if (n == 0 || n > POOL_MAX) {
        error_set(err, "%u compute threads are not possible, only 1 to %d", n, POOL_MAX);
        return NULL;
    }
    struct pool *p = allocate(n);
    if (!p) {
        error_set(err, "no memory for %u compute threads", n);
        return NULL;
    }
    gate_init(&p->start);
    gate_init(&p->meet);
    p->n = n;
    p->spins = n <= processors;
    for (unsigned i = 0; i < n; i++)
        p->workers[i] = (struct pool_worker){.pool = p, .index = i};

    int failed = 0;
    unsigned started = n == 1 ? 1 : start_threads(p, &failed);
    if (started < n) {
        error_set(err, "only %u of %u compute threads could be started: %s", started, n, strerror(failed));
        end(p, started);
        return NULL;
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (p)
        end(p, p->n);
}
