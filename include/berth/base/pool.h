/* pool.h - a fixed number of workers that run one function together.
 *
 * A forward pass is a few hundred short steps. Each step is divided among all workers, and each waits for the step
 * before. A run calls the same function in every worker, with the worker's index, and ends when all calls have
 * returned. The caller of pool_run is worker 0; the others are threads. Inside a run the workers can meet at
 * barriers.
 *
 * A worker that waits (at a barrier, for the end of a run or for the next run) first spins for some tens of
 * microseconds, because the others usually arrive within that time, and then sleeps. An idle pool uses no processor
 * time. With more workers than processors no worker spins: the worker that it waits for may need the processor, and
 * spinning would use up the cgroup's quota.
 *
 * A pool runs one function at a time. It belongs to one thread, the scheduler's.
 *
 * The pool's threads block all signals except those that a thread raises in itself. SIGBUS is one of these: the guard
 * of mapped models (mapping.h) needs it. Their stacks have 1 MiB.
 */
#ifndef BERTH_POOL_H
#define BERTH_POOL_H

#include "berth/base/error.h"

#define POOL_MAX 1024 /* workers */

struct pool;

/* The work of worker `index`, of `n`: 0 is the thread that called pool_run. */
typedef void (*pool_work)(void *context, unsigned index, unsigned n);

/* Starts n - 1 threads. `processors` is how many this process may use, as limits.h has it.
 * Returns NULL with the reason when n is 0 or above POOL_MAX, or memory or threads are lacking. */
struct pool *pool_new(unsigned n, unsigned processors, struct error *err);

/* Ends the threads. No run may be in progress. `p` may be NULL. */
void pool_free(struct pool *p);

/* How many workers there are, at least 1. */
unsigned pool_size(const struct pool *p);

/* Calls work(context, index, n) once for every index below n, at the same time, and returns when all calls have
 * returned. Workers see what the caller wrote before, and the caller sees afterwards what they wrote. Returns false
 * and calls nothing when a run is in progress, in this thread or another. */
bool pool_run(struct pool *p, pool_work work, void *context);

/* Inside a run: waits until all workers have arrived. Every worker must call it equally often. What a worker wrote
 * before a barrier is seen by all workers after it. Outside a run it returns false at once. */
bool pool_barrier(struct pool *p);

#endif
