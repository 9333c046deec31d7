/* harness.h - a real server as a child process, and a client that sends exactly the bytes that it is given.
 *
 * A test starts the program named by the environment variable BERTH (build/berth when unset) on a free loopback port,
 * sends requests over TCP, and stops it by SIGTERM. Stopping is also a check: the exit status is 0, standard error is
 * empty, and each line of the log is a JSON object. Nothing here sleeps in the hope that something happens: it looks
 * again until the answer is right or the deadline is over.
 *
 * A wait that reaches its deadline fails the test. A server that is left by a failed test ends with the test program.
 */
#ifndef BERTH_TESTS_HARNESS_H
#define BERTH_TESTS_HARNESS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <sys/types.h>

#include <cmocka.h>
#include <jansson.h>

#define WAIT_MS 8000 /* longer than anything here takes on a busy machine */
#define UNPRIVILEGED 65532 /* the user and group of the container image */

/* Where the server's standard output goes. */
enum server_out {
    OUT_FILE, /* a file that the harness reads as the log */
    OUT_CLOSED,
    OUT_STUCK, /* a full pipe that nobody reads */
};

/* How a server is started. All zero: an empty volume on 127.0.0.1, any free port. */
struct setup {
    const char *models; /* NULL: an empty directory */
    const char *host; /* NULL: 127.0.0.1 */
    int port; /* 0: any free one, read from the log; needed where there is no log to read */
    const char *args[32]; /* more arguments, NULL at the end */
    const char *env[16]; /* NAME=value, NULL at the end */
    unsigned open_files; /* RLIMIT_NOFILE, 0: as it is */
    enum server_out out;
    bool stdin_closed;
    bool unprivileged; /* as uid UNPRIVILEGED; needs root */
    bool bare; /* no --models, --host and --port: only `args` */
    bool unhealthy; /* do not wait for /health to say 200, only for the port */
    bool text_log; /* the log is not JSON */
};

struct server {
    pid_t pid;
    int port;
    char host[64];
    char out_path[256];
    char err_path[256];
    bool text_log;
    bool ended;
    int status; /* as waitpid has it, once ended */
};

/* Starts a server and waits until it listens, and unless told otherwise until its first load has ended. */
struct server *server_start(const struct setup *setup);

/* Ends it by SIGTERM and checks how it ended. Frees it. */
void server_stop(struct server *s);

/* The same for a server that ends, or has ended, for another reason. */
void server_expect_end(struct server *s);

/* Ends it by SIGKILL, and does not check what it wrote. Frees it. */
void server_kill(struct server *s);

/* True when the process has ended within `ms`. */
bool server_has_ended(struct server *s, int ms);

double server_cpu_seconds(const struct server *s);
size_t server_open_files(const struct server *s);

/* The same, after earlier connections have been closed. */
size_t server_files_at_rest(const struct server *s);

/* Waits until it has `n` open files. Returns how many milliseconds that took. */
int server_wait_open_files(const struct server *s, size_t n);

/* The log so far, in a buffer that the caller frees. */
char *server_log(const struct server *s);

/* Waits until a line of the log contains `text`, and returns the line (the caller frees it). */
char *server_wait_log(const struct server *s, const char *text);

/* True when a line of the log contains `text` now. */
bool server_logged(const struct server *s, const char *text);

/* One run of the program to its end, at most WAIT_MS. */
struct outcome {
    int code; /* exit status; 128 + signal when killed by one */
    char *out;
    char *err;
};

struct outcome outcome_of(const struct setup *setup);
void outcome_release(struct outcome *o);

/* A connection. */
struct wire {
    int fd;
    char *data; /* received and not yet taken */
    size_t size;
    size_t room;
    bool ended; /* the other side closed it, or reset it */
};

/* An answer. */
struct answer {
    int status; /* 0: none came */
    char *head; /* status line and headers, as they came */
    char *body; /* ends in a NUL that body_size does not count */
    size_t body_size;
};

/* Connects within WAIT_MS. wire_try_open gives false where the connection is refused. */
void wire_open(struct wire *w, const struct server *s);
bool wire_try_open(struct wire *w, const struct server *s);

/* Connects from another address of this machine, as 127.0.0.2. */
void wire_open_from(struct wire *w, const struct server *s, const char *address);
void wire_close(struct wire *w);

/* Sends all bytes. False when the other side has gone or takes nothing for WAIT_MS. */
bool wire_send(struct wire *w, const void *bytes, size_t size);
bool wire_say(struct wire *w, const char *text);

/* Begins a POST: sends the head and returns when the server has read it and waits for the body of `size` bytes. */
void wire_begin_post(struct wire *w, const char *path, size_t size);

/* Takes the next answer. False, with status 0, when the connection ended or `ms` passed before it came. */
bool wire_answer(struct wire *w, struct answer *a, bool to_head, int ms);

/* Takes the head of the next answer alone. False when none came. */
bool wire_head(struct wire *w, struct answer *a, int ms);

/* Receives more, waiting until the deadline (of now_ms). False when nothing came. */
bool wire_more(struct wire *w, int64_t deadline);

/* True when the other side closes within `ms` and sends nothing more before. */
bool wire_ends(struct wire *w, int ms);

void answer_release(struct answer *a);

/* The value of a header, compared without regard to case, or NULL. Valid until the next call. */
const char *answer_header(const struct answer *a, const char *name);

/* The body as JSON. The test fails when it is not JSON, or has a member twice. */
json_t *answer_json(const struct answer *a);

/* One request on a connection of its own; `headers` are whole lines with their ends, or NULL. */
struct answer server_request(
    const struct server *s, const char *method, const char *target, const char *headers);
struct answer server_get(const struct server *s, const char *target);

/* The JSON of a 200 to a GET of `target`; fails the test on any other status. The caller drops it. */
json_t *server_json(const struct server *s, const char *target);

/* GETs `target` again and again until the status is `status`; fails the test when it never is. */
void server_wait_status(const struct server *s, const char *target, int status);

/* Fails the test unless /health answers 200 on a new connection. */
void server_assert_healthy(const struct server *s);

/* Fails the test unless / answers with this message. */
void server_assert_root(const struct server *s, const char *message);

/* A new empty directory, removed when the program ends. The string lives as long as the program. */
const char *temp_dir(void);

/* A file at `dir`/`name` of `size` bytes; directories on the way are made. `bytes` NULL: zero bytes. */
void write_file(const char *dir, const char *name, const void *bytes, size_t size);

/* The smallest valid GGUF file: version 3, no tensors, an architecture. */
void write_gguf(const char *dir, const char *name);

/* A new directory with such a file, tiny.gguf. */
const char *volume_with_a_model(void);

/* "dir/name" in a string that lives as long as the program. */
const char *path_in(const char *dir, const char *name);

/* A port of 127.0.0.1 that nobody listened on a moment ago. */
int free_port(void);

/* printf into a new string, which lives as long as the program. */
const char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

int64_t now_ms(void);
void pause_ms(int ms); /* between two checks of a condition; never to wait for it */

/* Removes what the harness made. The group teardown of each program. */
int harness_end(void **state);

#endif
