/* jansson_private_config.h - what jansson may use of the system: Linux with glibc or musl.
 *
 * Its dtoa.c is left out (DTOA_ENABLED 0, and deps/build does not compile it). That file keeps a list of
 * freed numbers without a lock, so two threads that print fractions at once corrupt it; and the list would
 * outlive an arena given to json_set_alloc_funcs. The C library's conversion has neither fault.
 */
#define HAVE_ATOMIC_BUILTINS 1
#define HAVE_CLOSE 1
#define HAVE_ENDIAN_H 1
#define HAVE_FCNTL_H 1
#define HAVE_GETPID 1
#define HAVE_GETTIMEOFDAY 1
#define HAVE_OPEN 1
#define HAVE_READ 1
#define HAVE_SCHED_H 1
#define HAVE_SCHED_YIELD 1
#define HAVE_STDINT_H 1
#define HAVE_SYNC_BUILTINS 1
#define HAVE_SYS_PARAM_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_UNISTD_H 1
#define USE_URANDOM 1
#define DTOA_ENABLED 0
#define INITIAL_HASHTABLE_ORDER 3
