/* pool.h - one team of threads that do a piece of work together.
 *
 * A forward pass is some hundred short steps, each split among all threads and each waiting for the one
 * before. So a pool has a fixed number of workers, one of which is the caller: a run gives every worker the
 * same function with its own index, and ends when all have returned. Inside a run the workers can meet at
 * barriers.
 *
 * Whoever waits, at a barrier, for the end of a run or for the next one, first spins for some tens of
 * microseconds, since another worker is most likely about to arrive, and then sleeps. A pool at rest uses no
 * processor time. Nobody spins when there are more workers than processors to run on: the one that is waited
 * for may be waiting for the processor, and a cgroup's quota is not to be burnt by waiting.
 *
 * A pool runs one thing at a time: it belongs to one thread, the scheduler's.
 *
 * The pool's threads block every signal but those that a thread raises in itself; SIGBUS among them, which a
 * mapped model's guard (mapping.h) must see. Their stacks have 1 MiB.
 */
#ifndef BERTH_POOL_H
#define BERTH_POOL_H

#include "berth/base/error.h"

#define POOL_MAX 1024 /* workers */

struct pool;

/* The work of worker `index`, of `n`: 0 is the thread that called pool_run. */
typedef void (*pool_work)(void *context, unsigned index, unsigned n);

/* Starts n - 1 threads. `processors` is how many this process may use, as limits.h tells.
 * NULL with the reason: n is 0 or above POOL_MAX, no memory, no thread to be had. */
struct pool *pool_new(unsigned n, unsigned processors, struct error *err);

/* Ends the threads. No run may be under way. NULL is fine. */
void pool_free(struct pool *p);

/* How many workers there are, at least 1. */
unsigned pool_size(const struct pool *p);

/* Calls work(context, index, n) once for every index below n, at the same time, and returns when all are
 * done. What the caller wrote before is seen by all workers, and what they wrote by the caller afterwards.
 * False, and nothing is called, when a run is under way: from inside one, or in another thread. */
bool pool_run(struct pool *p, pool_work work, void *context);

/* Inside a run: waits until every worker has come here as often as this one. All must come equally often.
 * What any wrote before is seen by all after. False outside a run, which waits for nobody. */
bool pool_barrier(struct pool *p);

#endif
