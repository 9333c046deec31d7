/* main.c - finds the command and runs it.
 *
 * SIGTERM and SIGINT are blocked first. Process 1 of a container loses a signal that is neither blocked nor handled, and a
 * stop in the first millisecond must not be lost. `serve` takes the two when it runs; the other commands unblock them.
 */
#include "berth/server/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Opens /dev/null for each standard descriptor that is closed. Otherwise the next file or socket would get its number, and
 * log lines would be written to it. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
            return;
}

/* The command that the arguments name, and whether argv[1] is its name. NULL: there is no such command. */
static const struct command *find_command(int argc, char **argv, bool *named)
{
    *named = argc > 1;
    if (argc < 2)
        return commands[0];
    if (strcmp(argv[1], "--version") == 0)
        return &command_version;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return &command_help_command;
    *named = argv[1][0] != '-';
    return *named ? command_find(argv[1]) : commands[0];
}

int main(int argc, char **argv)
{
    bool named;
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigprocmask(SIG_BLOCK, &stops, NULL);
    fill_standard_descriptors();

    const struct command *command = find_command(argc, argv, &named);
    if (!command)
        return command_unknown(argv[1]);
    /* SIGPIPE must not end the server when a client leaves. It ends the other commands when their reader leaves. */
    if (command->takes_signals)
        signal(SIGPIPE, SIG_IGN);
    else
        sigprocmask(SIG_UNBLOCK, &stops, NULL);
    return command->run(argc - named, argv + named);
}
