/* command.h - the subcommands: `berth NAME ...`.
 *
 * A command is a function, and a description from which its help, its parser, the shell completions and "did you
 * mean" are made. Both stand in the command's own file; server/cmd/commands.c lists the descriptions. argv[0] is the
 * command's name. A command returns the exit status of the process: 0, 1 when it failed, 2 for wrong usage.
 */
#ifndef BERTH_COMMAND_H
#define BERTH_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum flag_kind {
    FLAG_SWITCH, /* bool */
    FLAG_TEXT, /* const char * */
    FLAG_WORD, /* const char *, one of `choices` */
    FLAG_TEXTS, /* struct flag_texts, which the flag adds to each time; empty texts are refused */
    FLAG_COUNT, /* uint64_t */
    FLAG_REAL, /* float */
};

#define FLAG_TEXTS_MAX 16

struct flag_texts {
    const char *at[FLAG_TEXTS_MAX];
    size_t n;
};

/* One flag of a command. */
struct command_flag {
    const char *name, *letter; /* "--model"; "-m" or NULL */
    const char *value; /* what help shows for the value; NULL for a switch */
    enum flag_kind kind;
    size_t field; /* offset in the struct that the flags are read into */
    double least, most; /* of counts and reals */
    const char *const *choices; /* of a word; NULL at the end */
    const char *help; /* one or more lines */
};

/* Flags that lie at `base` of the command's struct. */
struct flag_set {
    const struct command_flag *at;
    size_t n, base;
};

enum operand_kind { OPERAND_NONE, OPERAND_FILE, OPERAND_COMMAND, OPERAND_SHELL };

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage; /* what follows the name */
    const char *summary; /* one line for `berth help` */
    const char *about, *notes; /* paragraphs of its own help, before and after the flags; NULL: none */
    void (*print_more)(void); /* prints what follows the notes; NULL: nothing */
    struct flag_set flags[2];
    enum operand_kind operand; /* what the shell completes where no flag is typed */
    bool server_options; /* takes the options of options.h as well */
    bool takes_signals; /* runs with SIGTERM and SIGINT blocked */
};

/* Every command, NULL at the end; the first is the one that runs when none is named. */
extern const struct command *const commands[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* Prints the help of one command on standard output. Returns the exit status. */
int command_help(const struct command *c);

/* Prints on standard error that there is no command of that name, and which one was probably meant. Returns 2. */
int command_unknown(const char *name);

extern const struct command command_serve, command_inspect, command_generate, command_bench, command_health,
    command_render, command_tokenize, command_logits, command_completions, command_version,
    command_help_command;

int cmd_serve(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_health(int argc, char **argv);
int cmd_render(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);

#endif
