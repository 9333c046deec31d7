/* harness.c - starts servers, reads their logs, speaks raw HTTP to them; see harness.h.
 *
 * The log goes to a file and not through a pipe of ours, so that no server ever waits for a test to read. The
 * client reads whole answers by their Content-Length alone: a second way to find the end would hide an answer too
 * many. Streams of events are read in events.c.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 48
#define ENV_MAX 512

extern char **environ;

/* Strings that live until harness_end, in a list. */
struct kept {
    struct kept *next;
    char text[];
};

static struct kept *kept_texts;
static char temp_root[128];
static unsigned temp_count;

/* ---- time, strings, files ---- */

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

const char *text_of(const char *format, ...)
{
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    va_end(values);
    struct kept *k = malloc(sizeof(*k) + (size_t)length + 1);
    assert_non_null(k);
    vsnprintf(k->text, (size_t)length + 1, format, again);
    va_end(again);
    k->next = kept_texts;
    kept_texts = k;
    return k->text;
}

const char *path_in(const char *dir, const char *name)
{
    return text_of("%s/%s", dir, name);
}

const char *temp_dir(void)
{
    if (!temp_root[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(temp_root, sizeof(temp_root), "%s/berth-http-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(temp_root) || chmod(temp_root, 0755))
            fail_msg("cannot make %s: %s", temp_root, strerror(errno));
    }
    const char *dir = text_of("%s/%u", temp_root, temp_count++);
    if (mkdir(dir, 0755))
        fail_msg("cannot make %s: %s", dir, strerror(errno));
    return dir;
}

static void make_parents(const char *path)
{
    char part[4096];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) && errno != EEXIST)
            fail_msg("cannot make %s: %s", part, strerror(errno));
        *slash = '/';
    }
}

void write_file(const char *dir, const char *name, const void *bytes, size_t size)
{
    const char *path = path_in(dir, name);
    make_parents(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        fail_msg("cannot make %s: %s", path, strerror(errno));
    if (bytes)
        assert_int_equal(write(fd, bytes, size), size);
    else
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

void write_gguf(const char *dir, const char *name)
{
    static const char file[] = "GGUF\x03\0\0\0"
                               "\0\0\0\0\0\0\0\0" /* no tensors */
                               "\x01\0\0\0\0\0\0\0" /* one pair */
                               "\x14\0\0\0\0\0\0\0general.architecture"
                               "\x08\0\0\0" /* a string */
                               "\x05\0\0\0\0\0\0\0llama";
    write_file(dir, name, file, sizeof(file) - 1);
}

static char *read_whole(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("cannot read %s: %s", path, strerror(errno));
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char *text = malloc((size_t)st.st_size + 1);
    assert_non_null(text);
    ssize_t got = read(fd, text, (size_t)st.st_size);
    assert_true(got >= 0);
    text[got] = '\0';
    close(fd);
    return text;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

int harness_end(void **state)
{
    (void)state;
    while (kept_texts) {
        struct kept *next = kept_texts->next;
        free(kept_texts);
        kept_texts = next;
    }
    if (temp_root[0])
        nftw(temp_root, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    temp_root[0] = '\0';
    return 0;
}

int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* ---- the child ---- */

static const char *program(void)
{
    const char *path = getenv("BERTH");
    return path ? path : "build/berth";
}

static bool is_berths(const char *variable)
{
    return strncmp(variable, "BERTH", 5) == 0 || strncmp(variable, "MODEL_INIT_MODE=", 16) == 0;
}

/* The surroundings without what berth would read, then what the test adds. */
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

/* A pipe's full writing end; the reading end stays open in the child, which reads none. */
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
    /* By descriptor: another user may not be able to walk to the path. */
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

/* Why a server that should listen does not, with what it said. */
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

/* ---- the client ---- */

static bool wait_for(int fd, short events, int64_t deadline)
{
    int64_t left = deadline - now_ms();
    struct pollfd p = {.fd = fd, .events = events};
    return left >= 0 && poll(&p, 1, (int)left) == 1;
}

/* `from`: the IPv4 address to connect from, or NULL. */
static int connect_to(const char *host, int port, const char *from)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
    assert_true(is_v6 || inet_pton(AF_INET, host, &v4.sin_addr) == 1);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    struct sockaddr_in source = {.sin_family = AF_INET};
    if (from)
        assert_true(inet_pton(AF_INET, from, &source.sin_addr) == 1 &&
                    bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0);
    int failed = is_v6 ? connect(fd, (struct sockaddr *)&v6, sizeof(v6))
                       : connect(fd, (struct sockaddr *)&v4, sizeof(v4));
    socklen_t size = sizeof(failed);
    if (failed && (errno != EINPROGRESS || !wait_for(fd, POLLOUT, now_ms() + WAIT_MS) ||
                      getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) || failed)) {
        close(fd);
        return -1;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

bool wire_try_open(struct wire *w, const struct server *s)
{
    *w = (struct wire){.fd = connect_to(s->host, s->port, NULL)};
    return w->fd >= 0;
}

void wire_open(struct wire *w, const struct server *s)
{
    if (!wire_try_open(w, s))
        fail_msg("cannot connect to %s port %d", s->host, s->port);
}

void wire_open_from(struct wire *w, const struct server *s, const char *address)
{
    *w = (struct wire){.fd = connect_to(s->host, s->port, address)};
    if (w->fd < 0)
        fail_msg("cannot connect from %s", address);
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    free(w->data);
    *w = (struct wire){.fd = -1};
}

bool wire_send(struct wire *w, const void *bytes, size_t size)
{
    const char *at = bytes;
    int64_t deadline = now_ms() + WAIT_MS;
    while (size > 0) {
        ssize_t sent = send(w->fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0 && !wait_for(w->fd, POLLOUT, deadline))
            return false;
        at += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

bool wire_say(struct wire *w, const char *text)
{
    return wire_send(w, text, strlen(text));
}

/* Receives what is there, waiting for it until the deadline. False when nothing came. */
static bool receive(struct wire *w, int64_t deadline)
{
    if (w->ended || !wait_for(w->fd, POLLIN, deadline))
        return false;
    if (w->room - w->size < 65536) {
        w->room = w->room * 2 + 131072;
        w->data = realloc(w->data, w->room);
        assert_non_null(w->data);
    }
    ssize_t got = recv(w->fd, w->data + w->size, w->room - w->size - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return true;
    w->ended = got <= 0;
    w->size += got > 0 ? (size_t)got : 0;
    w->data[w->size] = '\0';
    return got > 0;
}

static char *copy_of(const char *bytes, size_t size)
{
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

static void take(struct wire *w, size_t size)
{
    memmove(w->data, w->data + size, w->size - size + 1);
    w->size -= size;
}

/* Length of the head at the start of what was received, 0 while it is not whole. */
static size_t head_size(const struct wire *w)
{
    char *end = w->size ? memmem(w->data, w->size, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - w->data) + 4 : 0;
}

static bool take_head(struct wire *w, struct answer *a, int64_t deadline)
{
    while (head_size(w) == 0)
        if (!receive(w, deadline))
            return false;
    size_t size = head_size(w);
    a->head = copy_of(w->data, size);
    take(w, size);
    if (sscanf(a->head, "HTTP/1.%*1[01] %3d", &a->status) != 1)
        fail_msg("no HTTP answer: %.200s", a->head);
    return true;
}

bool wire_head(struct wire *w, struct answer *a, int ms)
{
    *a = (struct answer){0};
    return take_head(w, a, now_ms() + ms);
}

bool wire_more(struct wire *w, int64_t deadline)
{
    return receive(w, deadline);
}

bool wire_answer(struct wire *w, struct answer *a, bool to_head, int ms)
{
    int64_t deadline = now_ms() + ms;
    *a = (struct answer){0};
    if (!take_head(w, a, deadline))
        return false;
    if (a->status == 100) {
        answer_release(a);
        return wire_answer(w, a, to_head, ms);
    }
    const char *length = answer_header(a, "content-length");
    if (!length)
        fail_msg("an answer without its length: %s", a->head);
    a->body_size = to_head ? 0 : strtoul(length, NULL, 10);
    while (w->size < a->body_size)
        if (!receive(w, deadline)) {
            answer_release(a);
            return false;
        }
    a->body = copy_of(w->size ? w->data : "", a->body_size);
    if (a->body_size)
        take(w, a->body_size);
    return true;
}

bool wire_ends(struct wire *w, int ms)
{
    int64_t deadline = now_ms() + ms;
    while (w->size == 0 && receive(w, deadline))
        continue;
    return w->ended && w->size == 0;
}

void answer_release(struct answer *a)
{
    free(a->head);
    free(a->body);
    *a = (struct answer){0};
}

const char *answer_header(const struct answer *a, const char *name)
{
    static char value[8192];
    size_t length = strlen(name);
    for (const char *line = strstr(a->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) || line[length] != ':')
            continue;
        line += length + 1;
        line += strspn(line, " \t");
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\r\n"), line);
        return value;
    }
    return NULL;
}

json_t *answer_json(const struct answer *a)
{
    json_error_t err;
    json_t *value = json_loadb(a->body, a->body_size, JSON_REJECT_DUPLICATES, &err);
    if (!value)
        fail_msg("not JSON: %s at byte %d of: %.400s", err.text, err.position, a->body);
    return value;
}

struct answer server_request(
    const struct server *s, const char *method, const char *target, const char *headers)
{
    struct wire w;
    struct answer a = {0};
    wire_open(&w, s);
    char *text = NULL;
    int length = asprintf(&text, "%s %s HTTP/1.1\r\nHost: berth.test\r\nConnection: close\r\n%s\r\n", method,
        target, headers ? headers : "");
    assert_true(length > 0);
    if (!wire_say(&w, text) || !wire_answer(&w, &a, strcmp(method, "HEAD") == 0, WAIT_MS))
        fail_msg("no answer to %s %.200s", method, target);
    if (!wire_ends(&w, WAIT_MS))
        fail_msg("after the answer to %s %.200s: more bytes, or no end: %.200s", method, target, w.data);
    free(text);
    wire_close(&w);
    return a;
}

struct answer server_get(const struct server *s, const char *target)
{
    return server_request(s, "GET", target, NULL);
}

json_t *server_json(const struct server *s, const char *target)
{
    struct answer a = server_get(s, target);
    if (a.status != 200)
        fail_msg("%s: %d: %s", target, a.status, a.body);
    json_t *value = answer_json(&a);
    answer_release(&a);
    return value;
}

void server_wait_status(const struct server *s, const char *target, int status)
{
    int64_t deadline = now_ms() + WAIT_MS;
    for (;;) {
        struct answer a = server_get(s, target);
        int got = a.status;
        if (now_ms() > deadline)
            fail_msg("%s still answers %d, not %d: %s", target, got, status, a.body);
        answer_release(&a);
        if (got == status)
            return;
        pause_ms(2);
    }
}

void server_assert_healthy(const struct server *s)
{
    struct answer a = server_get(s, "/health");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"status\":\"healthy\"}");
    answer_release(&a);
}
