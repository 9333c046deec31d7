/* bench_http.c - measures how many requests a second a server answers, and how long each takes.
 *
 * Every connection always has one request in progress: the next is sent when the reply to the last is complete, as
 * `wrk` does. One thread with one epoll serves all connections. The server runs on one core and this program on
 * another, so the slower of the two limits the rate. The program therefore also prints how busy it was itself: near
 * 1.0 the rate is its own and not the server's.
 *
 * Prints one JSON object on a line. A reply other than 200, or a lost connection, is an error. With an error, or
 * without any reply, the rate means nothing and the exit status is 1.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 100u /* the width of a bar of the histogram */
#define BARS 2000000u /* so that they reach 0.2 s; of longer times only the maximum is known */
#define ERRORS_MAX 100 /* a server in this state is not measured any further */

struct connection {
    int fd;
    uint64_t asked; /* when the request in progress was sent */
    size_t used;
    bool answered;
    char text[CLIENT_REPLY_MAX + 1];
};

struct load {
    unsigned port;
    pid_t server; /* 0: not known */
    size_t n_connections;
    struct connection *connections;
    int epoll;
    char request[4096];
    size_t request_size;
    uint64_t replies, errors, longest;
    uint32_t *bars; /* [BARS] how many replies took so many ticks */
    struct error first_error;
};

/* Keeps the first error. Returns false. */
static bool count_error(struct load *l, const char *what)
{
    return l->errors++ > 0 ? false : error_set(&l->first_error, "%s", what);
}

static void ask(struct load *l, struct connection *c, uint64_t now)
{
    c->used = 0;
    c->answered = false;
    c->asked = now;
    if (!client_send(c->fd, l->request, l->request_size))
        count_error(l, "a request could not be sent");
}

static void ask_again(struct load *l, struct connection *c)
{
    if (c->answered)
        ask(l, c, client_now());
}

static bool open_connection(struct load *l, struct connection *c)
{
    struct epoll_event readable = {.events = EPOLLIN, .data.ptr = c};
    c->fd = client_connect(l->port);
    if (c->fd < 0)
        return count_error(l, errno == ECONNREFUSED ? "nothing listens on that port" : strerror(errno));
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &readable) != 0)
        return count_error(l, strerror(errno));
    ask(l, c, client_now());
    return true;
}

/* Replaces a connection that failed, so that the load stays the same. */
static void fail(struct load *l, struct connection *c, const char *what)
{
    count_error(l, what);
    close(c->fd);
    c->fd = -1;
    open_connection(l, c);
}

static void count_reply(struct load *l, uint64_t waited)
{
    uint64_t bar = waited / TICK_NS;
    l->replies++;
    l->bars[bar < BARS ? bar : BARS - 1]++;
    if (waited > l->longest)
        l->longest = waited;
}

static void receive(struct load *l, struct connection *c)
{
    ssize_t got = recv(c->fd, c->text + c->used, CLIENT_REPLY_MAX - c->used, MSG_DONTWAIT);
    struct reply reply;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        fail(l, c, got == 0 ? "the server closed a connection" : "a connection was lost");
        return;
    }
    c->used += (size_t)got;
    if (!client_reply(c->text, c->used, &reply) || (reply.status && c->used > reply.size)) {
        fail(l, c, "the server sent what is no reply with a Content-Length");
        return;
    }
    if (reply.status == 0 || c->used < reply.size)
        return;
    if (reply.status != 200) {
        fail(l, c, "the server answered with a status other than 200");
        return;
    }
    count_reply(l, client_now() - c->asked);
    c->answered = true;
}

static void run_until(struct load *l, uint64_t end)
{
    struct epoll_event events[128];
    while (client_now() < end && l->errors < ERRORS_MAX) {
        int n = epoll_wait(l->epoll, events, 128, 50);
        for (int i = 0; i < n; i++)
            receive(l, events[i].data.ptr);
        for (int i = 0; i < n; i++)
            ask_again(l, events[i].data.ptr);
    }
}

/* Processor time of this process, in seconds. */
static double busy_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* The time within which the given share of the replies came, in microseconds: a quantile. */
static double within(const struct load *l, double share)
{
    uint64_t wanted = (uint64_t)((double)l->replies * share), seen = 0;
    for (uint64_t i = 0; i < BARS - 1; i++) {
        seen += l->bars[i];
        if (seen > wanted)
            return ((double)i + 0.5) * TICK_NS / 1000;
    }
    return (double)l->longest / 1000;
}

/* Processor time of the server, in seconds; 0 when --pid is not given. */
static double server_seconds(const struct load *l)
{
    clockid_t clock;
    struct timespec t = {0};
    if (l->server && clock_getcpuclockid(l->server, &clock) == 0)
        clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void measure(struct load *l, double warm, double seconds)
{
    run_until(l, client_now() + (uint64_t)(warm * 1e9));
    memset(l->bars, 0, BARS * sizeof(*l->bars));
    l->replies = l->longest = 0;

    double busy = busy_seconds(), server = server_seconds(l);
    uint64_t start = client_now();
    run_until(l, start + (uint64_t)(seconds * 1e9));
    double took = (double)(client_now() - start) * 1e-9;
    busy = (busy_seconds() - busy) / took;
    server = server_seconds(l) - server;
    printf("{\"connections\":%zu,\"seconds\":%.3f,\"replies\":%llu,\"errors\":%llu,\"per_second\":%.0f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"client_busy\":%.2f,\"server_busy\":%.2f,"
           "\"server_us\":%.2f}\n",
        l->n_connections, took, (unsigned long long)l->replies, (unsigned long long)l->errors,
        (double)l->replies / took, within(l, 0.5), within(l, 0.99), (double)l->longest / 1000, busy,
        server / took, server * 1e6 / (double)(l->replies ? l->replies : 1));
}

static bool open_load(struct load *l, const char *path)
{
    l->request_size = client_request(l->request, sizeof(l->request), path, true);
    l->connections = calloc(l->n_connections, sizeof(*l->connections));
    l->bars = calloc(BARS, sizeof(*l->bars));
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l->request_size || !l->connections || !l->bars || l->epoll < 0)
        return error_set(
            &l->first_error, "--path is too long, or there is no memory for so many connections");
    for (size_t i = 0; i < l->n_connections; i++)
        if (!open_connection(l, &l->connections[i]))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct load l;
    double port = 0, pid = 0, connections = 64, seconds = 2, warm = 0.5;
    const char *path = "/health";
    const struct flag flags[] = {
        {.name = "--port", .number = &port, .least = 1},
        {.name = "--pid", .number = &pid},
        {.name = "--connections", .number = &connections, .least = 1},
        {.name = "--seconds", .number = &seconds, .least = 0.01},
        {.name = "--warm", .number = &warm},
        {.name = "--path", .text = &path},
        {0},
    };
    int used = client_flags(flags, argc, argv, &l.first_error);
    if (used != argc || port == 0) {
        fprintf(stderr,
            "bench_http: %s\nusage: bench_http --port PORT [--pid SERVER] [--connections 64] [--seconds 2] "
            "[--warm 0.5] [--path /health]\n",
            used < 0 ? l.first_error.text : "--port and nothing else but flags is wanted");
        return 2;
    }
    l.port = (unsigned)port;
    l.server = (pid_t)pid;
    l.n_connections = (size_t)connections;
    if (open_load(&l, path))
        measure(&l, warm, seconds);
    if (l.first_error.text[0])
        fprintf(stderr, "bench_http: %s\n", l.first_error.text);
    return l.replies > 0 && !l.first_error.text[0] ? 0 : 1;
}
