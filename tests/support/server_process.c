/* server_process.c - starts servers as child processes, reads their logs, and ends them; see harness.h.
 *
 * The log goes to a file, not to a pipe, so that a server never waits for a test to read.
 */
#include "harness.h"

#include "harness_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 48
#define ENV_MAX 512

extern char **environ;

static const char *program(void)
{
    const char *path = getenv("BERTH");
    return path ? path : "build/berth";
}

static bool is_berths(const char *variable)
{
    return strncmp(variable, "BERTH", 5) == 0 || strncmp(variable, "MODEL_INIT_MODE=", 16) == 0;
}

/* The environment without the variables that berth reads, and then the variables of the test. */
static void list_environment(const struct setup *setup, const char *list[static ENV_MAX])
{
    size_t n = 0;
    for (char **e = environ; *e && n < ENV_MAX - 20; e++)
        if (!is_berths(*e))
            list[n++] = *e;
    for (size_t i = 0; i < 16 && setup->env[i]; i++)
        list[n++] = setup->env[i];
    list[n] = NULL;
}

static void list_arguments(const struct setup *setup, const char *list[static ARGS_MAX])
{
    size_t n = 0;
    list[n++] = "berth";
    if (!setup->bare) {
        list[n++] = "--models";
        list[n++] = setup->models ? setup->models : temp_dir();
        list[n++] = "--host";
        list[n++] = setup->host ? setup->host : "127.0.0.1";
        list[n++] = "--port";
        list[n++] = text_of("%d", setup->port);
    }
    for (size_t i = 0; i < 32 && setup->args[i]; i++)
        list[n++] = setup->args[i];
    list[n] = NULL;
}

/* The writing end of a full pipe. The reading end stays open in the child, which does not read. */
static int stuck_pipe(void)
{
    int ends[2];
    if (pipe(ends))
        return -1;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    char junk[4096] = {0};
    while (write(ends[1], junk, sizeof(junk)) > 0)
        continue;
    while (write(ends[1], junk, 1) > 0)
        continue;
    fcntl(ends[1], F_SETFL, 0);
    return ends[1];
}

static bool place_standard_files(const struct setup *setup, int out, int err)
{
    int in = open("/dev/null", O_RDONLY);
    if (setup->out == OUT_STUCK)
        out = stuck_pipe();
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        return false;
    if (setup->stdin_closed)
        close(0);
    if (setup->out == OUT_CLOSED)
        close(1);
    return true;
}

static bool limit_child(const struct setup *setup)
{
    struct rlimit limit = {.rlim_cur = setup->open_files, .rlim_max = setup->open_files};
    if (setup->open_files && setrlimit(RLIMIT_NOFILE, &limit))
        return false;
    if (setup->unprivileged && (setgid(UNPRIVILEGED) || setuid(UNPRIVILEGED)))
        return false;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

/* In the child: becomes berth, or ends with a status that no test expects. */
static void become(const struct setup *setup, const char **args, const char **env, int out, int err)
{
    int self = open(program(), O_RDONLY | O_CLOEXEC);
    if (!place_standard_files(setup, out, err) || !limit_child(setup))
        _exit(99);
    /* By descriptor, because another user may have no access to the path. */
    if (self >= 0)
        fexecve(self, (char *const *)(uintptr_t)args, (char *const *)(uintptr_t)env);
    dprintf(2, "cannot run %s: %s\n", program(), strerror(errno));
    _exit(98);
}

static struct server *spawn(const struct setup *setup)
{
    const char *args[ARGS_MAX], *env[ENV_MAX], *dir = temp_dir();
    list_arguments(setup, args);
    list_environment(setup, env);
    struct server *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    snprintf(s->out_path, sizeof(s->out_path), "%s/out", dir);
    snprintf(s->err_path, sizeof(s->err_path), "%s/err", dir);
    snprintf(s->host, sizeof(s->host), "%s", setup->host ? setup->host : "127.0.0.1");
    s->text_log = setup->text_log;
    int out = open(s->out_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int err = open(s->err_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    assert_true(out >= 0 && err >= 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0)
        become(setup, args, env, out, err);
    close(out);
    close(err);
    return s;
}

bool server_has_ended(struct server *s, int ms)
{
    int64_t deadline = now_ms() + ms;
    while (!s->ended) {
        s->ended = waitpid(s->pid, &s->status, WNOHANG) == s->pid;
        if (s->ended || now_ms() >= deadline)
            break;
        pause_ms(1);
    }
    return s->ended;
}

/* Fails the test, with what a server that does not listen has written. */
static void fail_with_output(struct server *s, const char *what)
{
    fail_msg("%s\nstandard output:\n%s\nstandard error:\n%s", what, read_whole(s->out_path),
        read_whole(s->err_path));
}

/* The port in the "listening" line, 0 while there is none. */
static int listening_port(const struct server *s)
{
    char *log = read_whole(s->out_path);
    char *line = strstr(log, "listening");
    int port = 0;
    if (line && strchr(line, '\n')) {
        char *field = strstr(line, s->text_log ? "port=" : "\"port\":");
        port = field ? atoi(field + (s->text_log ? 5 : 7)) : 0;
    }
    free(log);
    return port;
}

static void wait_for_port(struct server *s, const struct setup *setup)
{
    int64_t deadline = now_ms() + WAIT_MS;
    while (s->port == 0) {
        if (setup->port == 0) {
            s->port = listening_port(s);
        } else {
            struct wire w;
            struct server probe = *s;
            probe.port = setup->port;
            if (wire_try_open(&w, &probe)) {
                s->port = setup->port;
                wire_close(&w);
            }
        }
        if (server_has_ended(s, 1))
            fail_with_output(s, "the server ended instead of listening");
        if (now_ms() > deadline)
            fail_with_output(s, "the server does not say that it is listening");
    }
}

struct server *server_start(const struct setup *setup)
{
    struct server *s = spawn(setup);
    wait_for_port(s, setup);
    if (!setup->unhealthy)
        server_wait_status(s, "/health", 200);
    return s;
}

static void assert_log_is_json(const struct server *s)
{
    char *log = read_whole(s->out_path), *rest = log;
    for (char *line = strsep(&rest, "\n"); line && rest; line = strsep(&rest, "\n")) {
        json_error_t err;
        json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, &err);
        if (!json_is_object(value))
            fail_msg("a line of the log is no JSON object (%s): %s", err.text, line);
        json_decref(value);
    }
    free(log);
}

void server_expect_end(struct server *s)
{
    if (!server_has_ended(s, WAIT_MS))
        fail_with_output(s, "the server does not end");
    char *err = read_whole(s->err_path);
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 0)
        fail_msg("the server ended with status %#x; it said: %s", (unsigned)s->status, err);
    assert_string_equal(err, "");
    free(err);
    if (!s->text_log)
        assert_log_is_json(s);
    free(s);
}

void server_stop(struct server *s)
{
    if (server_has_ended(s, 0))
        fail_with_output(s, "the server ended before it was told to");
    kill(s->pid, SIGTERM);
    server_expect_end(s);
}

void server_kill(struct server *s)
{
    kill(s->pid, SIGKILL);
    assert_true(server_has_ended(s, WAIT_MS));
    free(s);
}

double server_cpu_seconds(const struct server *s)
{
    char *text = NULL;
    unsigned long user = 0, kernel = 0;
    FILE *f = fopen(text_of("/proc/%d/stat", (int)s->pid), "r");
    size_t size = 0;
    assert_non_null(f);
    assert_true(getline(&text, &size, f) > 0);
    fclose(f);
    /* The second field is the name in brackets; the two times are fields 14 and 15. */
    int got =
        sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    assert_int_equal(got, 2);
    free(text);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

size_t server_open_files(const struct server *s)
{
    DIR *dir = opendir(text_of("/proc/%d/fd", (int)s->pid));
    assert_non_null(dir);
    size_t n = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

size_t server_files_at_rest(const struct server *s)
{
    size_t n = server_open_files(s);
    int64_t since = now_ms();
    while (now_ms() < since + 100) {
        size_t again = server_open_files(s);
        since = again == n ? since : now_ms();
        n = again;
        pause_ms(5);
    }
    return n;
}

int server_wait_open_files(const struct server *s, size_t n)
{
    int64_t start = now_ms();
    while (server_open_files(s) != n) {
        if (now_ms() > start + WAIT_MS)
            fail_msg("the server has %zu files open, not %zu", server_open_files(s), n);
        pause_ms(5);
    }
    return (int)(now_ms() - start);
}

char *server_log(const struct server *s)
{
    return read_whole(s->out_path);
}

/* A copy of the first whole line that contains `text`, or NULL. */
static char *find_line(const struct server *s, const char *text)
{
    char *log = read_whole(s->out_path), *found = NULL, *rest = log;
    for (char *line = strsep(&rest, "\n"); line && rest && !found; line = strsep(&rest, "\n"))
        if (strstr(line, text))
            found = strdup(line);
    free(log);
    return found;
}

bool server_logged(const struct server *s, const char *text)
{
    char *line = find_line(s, text);
    free(line);
    return line != NULL;
}

char *server_wait_log(const struct server *s, const char *text)
{
    int64_t deadline = now_ms() + WAIT_MS;
    char *line = find_line(s, text);
    while (!line) {
        if (now_ms() > deadline)
            fail_msg("no line of the log contains: %s\nthe log:\n%s", text, read_whole(s->out_path));
        pause_ms(2);
        line = find_line(s, text);
    }
    return line;
}

struct outcome outcome_of(const struct setup *setup)
{
    struct server *s = spawn(setup);
    if (!server_has_ended(s, WAIT_MS)) {
        kill(s->pid, SIGKILL);
        fail_with_output(s, "the program does not end");
    }
    struct outcome o = {.out = read_whole(s->out_path), .err = read_whole(s->err_path)};
    o.code = WIFEXITED(s->status) ? WEXITSTATUS(s->status) : 128 + WTERMSIG(s->status);
    free(s);
    return o;
}

void outcome_release(struct outcome *o)
{
    free(o->out);
    free(o->err);
    *o = (struct outcome){0};
}
