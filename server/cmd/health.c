/* health.c - asks a running server for /health, in an image that has neither a shell nor curl.
 *
 * It takes the options of serve, by flag and environment, and uses the address that the server listens on. The probe of a
 * container has the container's environment but not the server's flags. So when process 1 is berth, the flags of that
 * process are read first, and the flags given here override them.
 */
#include "berth/server/command.h"
#include "berth/server/http/listener.h"
#include "berth/server/options.h"
#include "berth/base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 3.0
#define ARGUMENTS_MAX 256
#define COMMAND_LINE_MAX 32768

extern char **environ;

/* The flags of process 1 where it is `berth` serving; returns how many, 0 otherwise. They point into `text`. */
static int flags_of_first_process(char text[COMMAND_LINE_MAX], char *flags[ARGUMENTS_MAX])
{
    int fd = open("/proc/1/cmdline", O_RDONLY | O_CLOEXEC), n = 0;
    ssize_t size = fd < 0 ? 0 : read(fd, text, COMMAND_LINE_MAX - 1);
    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    for (char *at = text; at < text + size && n < ARGUMENTS_MAX; at += strlen(at) + 1)
        flags[n++] = at;
    const char *slash = strrchr(flags[0], '/');
    if (strcmp(slash ? slash + 1 : flags[0], "berth") != 0)
        return 0;
    int skip = n > 1 && strcmp(flags[1], "serve") == 0 ? 2 : 1;
    if (skip == 1 && n > 1 && flags[1][0] != '-')
        return 0;
    memmove(flags, flags + skip, (size_t)(n - skip) * sizeof(char *));
    return n - skip;
}

static bool send_request(int fd)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    return send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof(request) - 1);
}

/* Receives the whole answer as text. Returns its length, 0 when none came in time. */
static size_t receive(int fd, char *text, size_t room)
{
    size_t used = 0;
    ssize_t got;
    while (used + 1 < room && (got = recv(fd, text + used, room - 1 - used, 0)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    return used;
}

static bool check(const struct options *o, struct error *err)
{
    char text[4096];
    int fd = listener_connect(o->host, (unsigned)o->port, TIMEOUT_SECONDS, err);
    if (fd < 0)
        return false;
    size_t size = send_request(fd) ? receive(fd, text, sizeof(text)) : 0;
    close(fd);
    if (size == 0)
        return error_set(
            err, "the server on port %u accepted the connection and did not answer", (unsigned)o->port);
    const char *space = strchr(text, ' '), *body = strstr(text, "\r\n\r\n");
    long status = space ? strtol(space, NULL, 10) : 0;
    char shown[200];
    text_escape(shown, sizeof(shown), span_of(body ? body + 4 : ""));
    return status == 200 || error_set(err, "the server answers %ld: %s", status, shown);
}

/* Reads the flags of process 1, then the arguments in argv[1..argc). */
static enum options_result read_options(struct options *o, int argc, char **argv, struct error *err)
{
    static char text[COMMAND_LINE_MAX];
    char *flags[2 * ARGUMENTS_MAX];
    int n = flags_of_first_process(text, flags);
    /* The arguments are read alone first: an operand is allowed for process 1, and a mistake here. */
    enum options_result result = options_read(o, argc - 1, argv + 1, environ, err);
    if (result == OPTIONS_READ && o->operand) {
        char shown[200];
        text_escape(shown, sizeof(shown), span_of(o->operand));
        error_set(err, "health takes no argument, not \"%s\"; --host and --port set the address", shown);
        return OPTIONS_BAD;
    }
    if (result != OPTIONS_READ || n == 0)
        return result;
    for (int i = 1; i < argc && n < 2 * ARGUMENTS_MAX; i++)
        flags[n++] = argv[i];
    return options_read(o, n, flags, environ, err);
}

int cmd_health(int argc, char **argv)
{
    struct options o;
    struct error err = {0};
    switch (read_options(&o, argc, argv, &err)) {
    case OPTIONS_HELP:
        return command_help(&command_health);
    case OPTIONS_BAD:
        fprintf(stderr, "berth: %s\n", err.text);
        return 2;
    case OPTIONS_READ:
        break;
    }
    if (!check(&o, &err)) {
        fprintf(stderr, "berth: %s\n", err.text);
        return 1;
    }
    puts("healthy");
    return 0;
}

const struct command command_health = {
    .name = "health",
    .run = cmd_health,
    .usage = "[OPTIONS]",
    .summary = "ask a running server whether it is healthy",
    .about =
        "Asks the server on --host and --port for /health, within three seconds, and prints \"healthy\" when it\n"
        "is. Where process 1 is berth, the options of that process count too.",
    .notes = "Exit status: 0 when it is healthy; 1 when it is not, or does not answer; 2 for wrong usage.",
    .server_options = true,
};
