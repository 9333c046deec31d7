/* bench_start.c - measures the time from the start of a server's program to its first 200.
 *
 * The clock starts before fork. Then the program asks without a pause, one connection after the other, until the path
 * answers 200. The result is too large by one attempt at most, some 20 µs. Any command line can be measured: {port}
 * in it is replaced by the port to listen on.
 *
 * The port must be outside the range that the kernel gives to clients. Otherwise one of the thousands of attempts gets
 * the port that it connects to, connects to itself and keeps the port from the server.
 *
 * Prints one line a round: milliseconds. The exit status is 1, with the reason, when a round fails.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_NS 60000000000u /* a round fails after this time */
#define STOP_NS 5000000000u
#define ARGUMENTS_MAX 64
#define PORTS_FROM 12000u /* below the ranges that Linux gives to clients by default */
#define PORTS 8000u

struct start {
    char **command; /* NULL at the end */
    int cpu; /* processor of the server; -1: any */
    char request[4096];
    size_t request_size;
};

static bool is_free(unsigned port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

/* Returns another port every time, because a port stays in use for a while; 0 when all are in use. */
static unsigned next_port(void)
{
    static unsigned at;
    if (at == 0)
        at = (unsigned)getpid() * 37;
    for (unsigned tries = 0; tries < PORTS; tries++) {
        unsigned port = PORTS_FROM + at++ % PORTS;
        if (is_free(port))
            return port;
    }
    return 0;
}

/* Copies the command's words with the port filled in. They lie in `text`, and point into it. */
static bool fill_in(char **command, unsigned port, char *words[ARGUMENTS_MAX + 1], char *text, size_t room)
{
    size_t used = 0;
    for (int i = 0; command[i]; i++) {
        const char *hole = strstr(command[i], "{port}");
        int head = hole ? (int)(hole - command[i]) : (int)strlen(command[i]);
        char digits[16] = "";
        if (hole)
            snprintf(digits, sizeof(digits), "%u", port);
        int size =
            snprintf(text + used, room - used, "%.*s%s%s", head, command[i], digits, hole ? hole + 6 : "");
        if (i == ARGUMENTS_MAX || size < 0 || (size_t)size >= room - used)
            return false;
        words[i] = text + used;
        words[i + 1] = NULL;
        used += (size_t)size + 1;
    }
    return true;
}

/* In the child: becomes the server. Its standard error is shown, because it may hold the reason of a failure. */
static void become(char **words, int cpu)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) != 0)
            _exit(126);
    }
    execvp(words[0], words);
    _exit(127);
}

/* Asks until the answer is 200. */
static bool wait_for_200(const struct start *s, pid_t pid, unsigned port, uint64_t start, struct error *err)
{
    while (client_now() - start < DEADLINE_NS) {
        struct error why = {0};
        int fd = client_connect(port), status = 0;
        if (fd >= 0) {
            status = client_ask(fd, s->request, s->request_size, &why);
            close(fd);
        }
        if (status == 200)
            return true;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return error_set(err, "%s ended before it answered, with %s %d", s->command[0],
                WIFEXITED(status) ? "status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    return error_set(err, "%s did not answer 200 within a minute", s->command[0]);
}

static void stop(pid_t pid)
{
    uint64_t end = client_now() + STOP_NS;
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (client_now() > end)
            kill(pid, SIGKILL);
        usleep(1000);
    }
}

/* Starts the command and returns when its program runs: exec closes the pipe. Until then the child shares this
 * process's core, and requests without a pause would delay it by a time slice of the scheduler. */
static pid_t launch(char **words, int cpu)
{
    int ends[2];
    char nothing;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        become(words, cpu);
    close(ends[1]);
    while (pid > 0 && read(ends[0], &nothing, 1) < 0 && errno == EINTR) {
    }
    close(ends[0]);
    return pid;
}

static bool one_round(const struct start *s, struct error *err)
{
    char text[16384], *words[ARGUMENTS_MAX + 1] = {NULL};
    unsigned port = next_port();
    if (port == 0 || !fill_in(s->command, port, words, text, sizeof(text)))
        return error_set(err, "no port is free, or the command is too long");

    uint64_t start = client_now();
    pid_t pid = launch(words, s->cpu);
    if (pid < 0)
        return error_set(err, "cannot start a process: %s", strerror(errno));
    if (!wait_for_200(s, pid, port, start, err)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return false;
    }
    printf("%.3f\n", (double)(client_now() - start) * 1e-6);
    stop(pid);
    return true;
}

int main(int argc, char **argv)
{
    struct start s = {.cpu = -1};
    struct error err = {0};
    double rounds = 11, cpu = -1;
    const char *path = "/health";
    const struct flag flags[] = {
        {.name = "--rounds", .number = &rounds, .least = 1},
        {.name = "--cpu", .number = &cpu, .least = -1},
        {.name = "--path", .text = &path},
        {0},
    };
    int used = client_flags(flags, argc, argv, &err);
    s.request_size = client_request(s.request, sizeof(s.request), path, false);
    if (used < 0 || used == argc || !s.request_size || cpu >= CPU_SETSIZE) {
        fprintf(stderr,
            "bench_start: %s\nusage: bench_start [--rounds 11] [--cpu N] [--path /health] -- "
            "COMMAND... with {port} in it\n",
            err.text[0] ? err.text : "a command is wanted, and values that fit");
        return 2;
    }
    s.command = argv + used;
    s.cpu = (int)cpu;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < (int)rounds; i++)
        if (!one_round(&s, &err)) {
            fprintf(stderr, "bench_start: %s\n", err.text);
            return 1;
        }
    return 0;
}
