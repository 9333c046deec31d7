/* main.c - finds the subcommand and runs it.
 *
 * SIGTERM and SIGINT are blocked before anything else: as process 1 of a container an unblocked signal
 * without a handler would be lost, and a stop that comes in the first millisecond has to count. `serve`
 * takes them when it is up; the other commands unblock them.
 */
#include "berth/server/command.h"
#include "berth/server/http/http.h"
#include "berth/server/options.h"
#include "berth/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#ifdef __clang__
#define COMPILER "clang"
#else
#define COMPILER "gcc"
#endif
#if defined(__x86_64__)
#define MACHINE "x86-64"
#elif defined(__aarch64__)
#define MACHINE "arm64"
#else
#define MACHINE "another processor"
#endif

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    bool takes_signals;
    const char *usage, *help;
};

static const struct command commands[] = {
    {"serve", cmd_serve, true, "serve [OPTIONS]", "serve the models (this is done without a command, too)"},
    {"inspect", cmd_inspect, false, "inspect PATH [--json]", "show what a model file holds"},
    {"generate", cmd_generate, false, "generate [OPTIONS]", "let a model answer on the terminal"},
    {"bench", cmd_bench, false, "bench [OPTIONS]", "measure how fast a model reads and writes"},
    {"health", cmd_health, false, "health [OPTIONS]",
        "ask a running server for its health: exit status 0 or 1"},
    {"tokenize", cmd_tokenize, false, "tokenize FILE [OPTIONS]", "print the token ids of a text"},
    {"render", cmd_render, false, "render FILE", "print the prompt that a chat request becomes"},
    {"logits", cmd_logits, false, "logits FILE ID...", "print the logits of every position as float32"},
    {"version", cmd_version, false, "version", "print the version"},
    {"help", cmd_help, false, "help", "print this"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "berth: cannot write to standard output: %s\n", strerror(errno));
    return 1;
}

static int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("berth " BERTH_VERSION);
    printf("libmicrohttpd %s, jansson %s, %s %s, %s\n", http_library_version(), jansson_version_str(),
        COMPILER, __VERSION__, MACHINE);
    return finish_output();
}

static int cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("berth serves the model files of a directory over HTTP, mapped where they lie.\n\nUsage:");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  berth %-24s %s\n", commands[i].usage, commands[i].help);
    puts("\nOptions of serve and health; a flag beats its environment variable:");
    options_print(stdout);
    return finish_output();
}

/* A descriptor 0, 1 or 2 that is closed would be given to the next file or socket, and log lines would go
 * there. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
            return;
}

static const struct command *command_named(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static const struct command *find_command(int argc, char **argv)
{
    if (argc < 2)
        return &commands[0];
    if (strcmp(argv[1], "--version") == 0)
        return command_named("version");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return command_named("help");
    if (argv[1][0] == '-')
        return &commands[0];
    return command_named(argv[1]);
}

int main(int argc, char **argv)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigprocmask(SIG_BLOCK, &stops, NULL);
    fill_standard_descriptors();

    const struct command *command = find_command(argc, argv);
    if (!command) {
        char shown[200];
        text_escape(shown, sizeof(shown), span_of(argv[1]));
        fprintf(stderr, "berth: unknown command %s; see berth help\n", shown);
        return 2;
    }
    /* A client that leaves must not end the server; a reader that leaves does end the other commands, quietly. */
    if (command->takes_signals)
        signal(SIGPIPE, SIG_IGN);
    else
        sigprocmask(SIG_UNBLOCK, &stops, NULL);
    bool named = argc > 1 && argv[1][0] != '-';
    return command->run(argc - named, argv + named);
}
