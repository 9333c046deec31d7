/* completion.c - completion files for bash, zsh and fish, from the tables of commands and options. */
#include "flags_private.h"

#include "berth/base/strbuf.h"
#include "berth/server/options.h"

#include <stdio.h>
#include <string.h>

/* One flag as a shell wants it, of a command's table or of the options. */
struct shell_flag {
    const char *name, *letter, *value;
    const char *const *choices;
    const char *help;
    bool repeats;
};

/* The flag at `index` of a command, counted over its tables and then the options of the server. */
static bool flag_at(const struct command *c, size_t index, struct shell_flag *out)
{
    struct option_name o;
    for (size_t s = 0; s < sizeof(c->flags) / sizeof(c->flags[0]); s++) {
        if (index < c->flags[s].n) {
            const struct command_flag *f = &c->flags[s].at[index];
            *out =
                (struct shell_flag){f->name, f->letter, f->value, f->choices, f->help, f->kind == FLAG_TEXTS};
            return true;
        }
        index -= c->flags[s].n;
    }
    if (!c->server_options || !options_name(index, &o))
        return false;
    *out = (struct shell_flag){o.flag, NULL, o.value, o.choices, o.help, false};
    return true;
}

static void print_choices(const char *const *choices)
{
    for (size_t i = 0; choices[i]; i++)
        printf("%s%s", i ? " " : "", choices[i]);
}

static void print_names(void)
{
    for (size_t i = 0; commands[i]; i++)
        printf("%s%s", i ? " " : "", commands[i]->name);
}

/* The first line of a text, for the inside of single quotes; characters of `special` get a backslash. */
static void print_quoted(const char *text, const char *special)
{
    for (; *text && *text != '\n'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
            continue;
        }
        if (strchr(special, *text))
            putchar('\\');
        putchar(*text);
    }
}

/* ---- bash ---- */

static void bash_values(const struct command *c)
{
    struct shell_flag f;
    for (size_t i = 0; flag_at(c, i, &f); i++) {
        if (!f.choices)
            continue;
        printf("    %s:%s) COMPREPLY=($(compgen -W '", c->name, f.name);
        print_choices(f.choices);
        puts("' -- \"$cur\")); return ;;");
    }
}

static void bash_flags(const struct command *c)
{
    struct shell_flag f;
    printf("    %s) flags='--help", c->name);
    for (size_t i = 0; flag_at(c, i, &f); i++)
        printf(" %s%s%s", f.letter ? f.letter : "", f.letter ? " " : "", f.name);
    puts("' ;;");
}

static void bash(void)
{
    puts("# Completion of berth for bash, printed by `berth completion bash`.\n"
         "_berth() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=serve flags=\n"
         "    COMPREPLY=()\n"
         "    if [[ $COMP_CWORD = 1 && $cur != -* ]]; then");
    fputs("        COMPREPLY=($(compgen -W '", stdout);
    print_names();
    puts("' -- \"$cur\"))\n"
         "        return\n"
         "    fi\n"
         "    [[ ${COMP_WORDS[1]} = -* ]] || command=${COMP_WORDS[1]}\n"
         "    case $command:$prev in");
    for (size_t i = 0; commands[i]; i++)
        bash_values(commands[i]);
    fputs("    help:help) COMPREPLY=($(compgen -W '", stdout);
    print_names();
    puts("' -- \"$cur\")); return ;;\n"
         "    completion:completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")); return ;;\n"
         "    esac\n"
         "    [[ $cur = -* ]] || return # files, by the default of complete\n"
         "    case $command in");
    for (size_t i = 0; commands[i]; i++)
        bash_flags(commands[i]);
    puts("    esac\n"
         "    COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n"
         "}\n"
         "complete -o default -F _berth berth");
}

/* ---- zsh ---- */

static void zsh_flag(const struct shell_flag *f)
{
    const char *once = f->repeats ? "*" : "";
    printf(" \\\n            '%s%s[", once, f->name);
    print_quoted(f->help, "[]:\\");
    putchar(']');
    if (f->value) {
        putchar(':');
        print_quoted(f->value, ":\\");
        putchar(':');
    }
    if (f->choices) {
        putchar('(');
        print_choices(f->choices);
        putchar(')');
    } else if (f->value && (strstr(f->value, "FILE") || strstr(f->value, "PATH"))) {
        fputs("_files", stdout);
    }
    putchar('\'');
    if (f->letter)
        printf(" \\\n            '%s[the same as %s]:%s:_files'", f->letter, f->name, f->value);
}

static void zsh_command(const struct command *c)
{
    struct shell_flag f;
    printf("    %s)\n        _arguments '--help[explain the command]'", c->name);
    for (size_t i = 0; flag_at(c, i, &f); i++)
        zsh_flag(&f);
    if (c->operand == OPERAND_FILE)
        fputs(" \\\n            '*:file:_files'", stdout);
    if (c->operand == OPERAND_SHELL)
        fputs(" \\\n            '1:shell:(bash zsh fish)'", stdout);
    if (c->operand == OPERAND_COMMAND) {
        fputs(" \\\n            '1:command:(", stdout);
        print_names();
        fputs(")'", stdout);
    }
    puts(" ;;");
}

static void zsh(void)
{
    puts("#compdef berth\n"
         "# Completion of berth for zsh, printed by `berth completion zsh`.\n"
         "_berth() {\n"
         "    local command=serve\n"
         "    local -a names=(");
    for (size_t i = 0; commands[i]; i++) {
        printf("        '%s:", commands[i]->name);
        print_quoted(commands[i]->summary, ":\\");
        puts("'");
    }
    puts("    )\n"
         "    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
         "        _describe command names\n"
         "        return\n"
         "    fi\n"
         "    if [[ $words[2] != -* ]]; then\n"
         "        command=$words[2]\n"
         "        shift words\n"
         "        (( CURRENT-- ))\n"
         "    fi\n"
         "    case $command in");
    for (size_t i = 0; commands[i]; i++)
        zsh_command(commands[i]);
    puts("    esac\n"
         "}\n"
         "_berth \"$@\"");
}

/* ---- fish ---- */

static void fish_flag(const struct command *c, const struct shell_flag *f)
{
    bool first = c == commands[0];
    fputs("complete -c berth -n '", stdout);
    fputs(first ? "__berth_serves" : "__fish_seen_subcommand_from ", stdout);
    printf("%s' -l %s", first ? "" : c->name, f->name + 2);
    if (f->letter)
        printf(" -s %s", f->letter + 1);
    if (f->value)
        fputs(strstr(f->value, "FILE") || strstr(f->value, "PATH") ? " -r" : " -x", stdout);
    if (f->choices) {
        fputs(" -a '", stdout);
        print_choices(f->choices);
        putchar('\'');
    }
    fputs(" -d '", stdout);
    print_quoted(f->help, "\\");
    puts("'");
}

static void fish(void)
{
    struct shell_flag f;
    puts("# Completion of berth for fish, printed by `berth completion fish`.\n"
         "function __berth_serves\n"
         "    set -l words (commandline -opc)\n"
         "    test (count $words) -lt 2; or string match -q -- '-*' $words[2]; or test $words[2] = serve\n"
         "end");
    for (size_t i = 0; commands[i]; i++) {
        printf("complete -c berth -n __fish_use_subcommand -a %s -d '", commands[i]->name);
        print_quoted(commands[i]->summary, "\\");
        puts("'");
    }
    for (size_t i = 0; commands[i]; i++)
        for (size_t k = 0; flag_at(commands[i], k, &f); k++)
            fish_flag(commands[i], &f);
    fputs("complete -c berth -n '__fish_seen_subcommand_from help' -f -a '", stdout);
    print_names();
    puts("'\ncomplete -c berth -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'");
}

/* ---- the command ---- */

static int cmd_completion(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    struct operands operands;
    struct error err = {0};
    enum flags_result result = flags_read(&command_completions, argc, argv, NULL, &operands, &err);
    const char *shell = operands.n == 1 ? operands.at[0] : "";
    operands_release(&operands);
    if (result == FLAGS_HELP)
        return command_help(&command_completions);
    for (size_t i = 0; result == FLAGS_READ && i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shell, shells[i].name) != 0)
            continue;
        shells[i].print();
        return flush_output(&err) ? 0 : command_failed(NULL, &err);
    }
    if (result == FLAGS_READ)
        error_set(&err, "a shell is needed: bash, zsh or fish");
    return command_wrong(&command_completions, &err);
}

const struct command command_completions = {
    .name = "completion",
    .run = cmd_completion,
    .usage = "bash|zsh|fish",
    .summary = "print the completion file of a shell",
    .about =
        "Prints a file that completes berth's commands and options in a shell; `make install` installs all three.\n"
        "For the shell at hand: source <(berth completion bash)",
    .notes = "Exit status: 0; 2 for wrong usage.",
    .operand = OPERAND_SHELL,
};
