/* test_pool.c - the compute pool: which workers are called, how they wait, and what an idle pool costs.
 *
 * Every test of a run is made with pools of 1 to 7 workers, once as if there were processors for all, so that workers spin,
 * and once as if there was one, so that they sleep. A worker that is not woken makes a test hang; an alarm ends it.
 */
#include "berth/base/pool.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 7
#define PATIENCE 120 /* seconds that a test may take */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct pool *pool_of(unsigned n, unsigned processors)
{
    struct error err = {0};
    struct pool *p = pool_new(n, processors, &err);
    if (!p)
        fail_msg("%s", err.text);
    return p;
}

/* Calls `check` with pools of every size, of workers that spin and of workers that sleep. */
static void with_every_pool(void (*check)(struct pool *p))
{
    for (unsigned n = 1; n <= MOST; n++)
        for (unsigned sleepy = 0; sleepy < 2; sleepy++) {
            struct pool *p = pool_of(n, sleepy ? 1 : MOST);
            check(p);
            pool_free(p);
        }
}

/* ---- calls ---- */

struct calls {
    unsigned n, of_index[MOST]; /* plain numbers: the pool must order the accesses */
    pthread_t caller;
    bool wrong;
};

static void count_call(void *context, unsigned index, unsigned n)
{
    struct calls *c = context;
    c->of_index[index]++;
    if (n != c->n || (index == 0) != (pthread_equal(c->caller, pthread_self()) != 0))
        c->wrong = true;
}

static void run_often(struct pool *p, unsigned runs)
{
    struct calls c = {.n = pool_size(p), .caller = pthread_self()};
    for (unsigned i = 0; i < runs; i++)
        if (!pool_run(p, count_call, &c))
            fail_msg("run %u was refused", i);
    assert_false(c.wrong);
    for (unsigned i = 0; i < MOST; i++)
        assert_int_equal(c.of_index[i], i < c.n ? runs : 0);
}

static void a_thousand_runs(struct pool *p)
{
    run_often(p, 1000);
}

static void test_every_index_runs_once_a_run_and_0_is_the_caller(void **state)
{
    (void)state;
    with_every_pool(a_thousand_runs);
}

static void test_a_hundred_thousand_runs_lose_nobody(void **state)
{
    (void)state;
    struct pool *p = pool_of(2, 2);
    run_often(p, 100000);
    pool_free(p);
    p = pool_of(3, 1);
    run_often(p, 100000 / (SANITIZED ? 10 : 2));
    pool_free(p);
}

static void dawdle(unsigned microseconds)
{
    struct timespec t = {.tv_nsec = (long)microseconds * 1000};
    nanosleep(&t, NULL);
}

/* Workers arrive at different times, some when the others have just stopped spinning. */
static void come_late(void *context, unsigned index, unsigned n)
{
    struct calls *c = context;
    (void)n;
    dawdle((c->of_index[index]++ * 7 + index * 13) % 90);
}

static void test_workers_that_come_late_are_waited_for_awake_or_asleep(void **state)
{
    (void)state;
    struct pool *p = pool_of(2, 2);
    struct calls c = {.n = 2};
    for (unsigned i = 0; i < 3000; i++) {
        assert_true(pool_run(p, come_late, &c));
        dawdle(i % 80);
    }
    assert_int_equal(c.of_index[0], 3000);
    assert_int_equal(c.of_index[1], 3000);
    pool_free(p);
}

/* ---- barriers ---- */

#define ROUNDS 200

struct rounds {
    struct pool *pool;
    unsigned at[MOST]; /* the round of each worker; plain numbers, too */
    atomic_uint wrong;
};

/* Between two barriers all workers are in the same round. */
static void walk(void *context, unsigned index, unsigned n)
{
    struct rounds *r = context;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        r->at[index] = round;
        if (!pool_barrier(r->pool))
            atomic_fetch_add(&r->wrong, 1);
        for (unsigned i = 0; i < n; i++)
            if (r->at[i] != round)
                atomic_fetch_add(&r->wrong, 1);
        pool_barrier(r->pool);
    }
}

static void walk_in_step(struct pool *p)
{
    struct rounds r = {.pool = p};
    for (unsigned run = 0; run < 5; run++) {
        memset(r.at, 0, sizeof(r.at));
        assert_true(pool_run(p, walk, &r));
        assert_int_equal(atomic_load(&r.wrong), 0);
        for (unsigned i = 0; i < pool_size(p); i++)
            assert_int_equal(r.at[i], ROUNDS);
    }
}

static void test_nobody_passes_a_barrier_before_the_last_has_come(void **state)
{
    (void)state;
    with_every_pool(walk_in_step);
}

/* ---- misuse ---- */

struct nested {
    struct pool *pool;
    atomic_uint refused, called;
};

static void never(void *context, unsigned index, unsigned n)
{
    struct nested *s = context;
    atomic_fetch_add(&s->called, 1 + 0 * (index + n));
}

static void run_inside(void *context, unsigned index, unsigned n)
{
    struct nested *s = context;
    (void)index;
    (void)n;
    if (!pool_run(s->pool, never, s))
        atomic_fetch_add(&s->refused, 1);
}

static void nest(struct pool *p)
{
    struct nested s = {.pool = p};
    assert_true(pool_run(p, run_inside, &s));
    assert_int_equal(atomic_load(&s.refused), pool_size(p));
    assert_int_equal(atomic_load(&s.called), 0);
    assert_false(pool_barrier(p));
    run_often(p, 3);
}

static void test_a_run_inside_a_run_and_a_barrier_outside_are_refused(void **state)
{
    (void)state;
    with_every_pool(nest);
}

static void test_pools_of_none_and_of_too_many_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct error err = {0};
    assert_null(pool_new(0, 2, &err));
    assert_non_null(strstr(err.text, "1 to 1024"));
    assert_null(pool_new(POOL_MAX + 1, 2, &err));
    pool_free(NULL);
}

static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* There is memory for some stacks but not for all: the threads that were started must end. */
static void test_threads_that_cannot_be_had_are_told_and_the_others_ended(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("SKIPPED: threads that cannot be had: the sanitizer needs the address space\n");
        skip();
    }
    struct rlimit before, tight;
    struct error err = {0};
    assert_return_code(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = address_space() + ((size_t)40 << 20);
    assert_return_code(setrlimit(RLIMIT_AS, &tight), 0);
    struct pool *p = pool_new(200, 2, &err);
    assert_return_code(setrlimit(RLIMIT_AS, &before), 0);
    assert_null(p);
    assert_non_null(strstr(err.text, " of 200 compute threads could be started: "));
}

/* ---- costs, and the threads themselves ---- */

static double seconds_used(void)
{
    struct rusage u;
    assert_return_code(getrusage(RUSAGE_SELF, &u), 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void test_a_pool_at_rest_uses_no_processor_time(void **state)
{
    (void)state;
    struct pool *p = pool_of(MOST, MOST);
    run_often(p, 100);
    dawdle(20000);
    double before = seconds_used();
    dawdle(500000);
    double used = seconds_used() - before;
    pool_free(p);
    /* Seven spinning workers would use a second on two processors; a sanitizer has a thread of its own. */
    if (used > (SANITIZED ? 0.05 : 0.005))
        fail_msg("%g seconds in half a second of rest", used);
}

struct threads {
    pthread_mutex_t lock;
    unsigned wrong;
    size_t stack;
};

static void look_at_thread(void *context, unsigned index, unsigned n)
{
    struct threads *t = context;
    (void)n;
    if (index == 0)
        return;
    sigset_t blocked;
    pthread_attr_t attributes;
    size_t stack = 0;
    bool good = pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGTERM) &&
                sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGUSR1) &&
                !sigismember(&blocked, SIGBUS) && !sigismember(&blocked, SIGSEGV);
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &stack);
        pthread_attr_destroy(&attributes);
    }
    pthread_mutex_lock(&t->lock);
    t->wrong += !good;
    t->stack = stack;
    pthread_mutex_unlock(&t->lock);
}

static void test_its_threads_leave_signals_to_others_but_take_sigbus(void **state)
{
    (void)state;
    sigset_t before, after;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
    struct threads t = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct pool *p = pool_of(3, 2);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
    assert_true(pool_run(p, look_at_thread, &t));
    pool_free(p);
    assert_int_equal(t.wrong, 0);
    assert_in_range(t.stack, 1 << 20, 5 << 20);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

static int set_alarm(void **state)
{
    (void)state;
    alarm(PATIENCE);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_index_runs_once_a_run_and_0_is_the_caller, set_alarm),
        cmocka_unit_test_setup(test_a_hundred_thousand_runs_lose_nobody, set_alarm),
        cmocka_unit_test_setup(test_workers_that_come_late_are_waited_for_awake_or_asleep, set_alarm),
        cmocka_unit_test_setup(test_nobody_passes_a_barrier_before_the_last_has_come, set_alarm),
        cmocka_unit_test_setup(test_a_run_inside_a_run_and_a_barrier_outside_are_refused, set_alarm),
        cmocka_unit_test_setup(test_pools_of_none_and_of_too_many_are_refused_with_a_reason, set_alarm),
        cmocka_unit_test_setup(test_threads_that_cannot_be_had_are_told_and_the_others_ended, set_alarm),
        cmocka_unit_test_setup(test_a_pool_at_rest_uses_no_processor_time, set_alarm),
        cmocka_unit_test_setup(test_its_threads_leave_signals_to_others_but_take_sigbus, set_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
