/* commands.c - the list of commands, `berth help`, `berth version`, and the message about an unknown command. */
#include "flags_private.h"

#include "berth/base/near.h"
#include "berth/server/http/http.h"
#include "berth/server/options.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

#define HELP_COLUMN 24 /* where the text after a flag or a command begins */

const struct command *const commands[] = {&command_serve, &command_inspect, &command_generate, &command_bench,
    &command_health, &command_tokenize, &command_render, &command_logits, &command_completions,
    &command_version, &command_help_command, NULL};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int command_unknown(const char *name)
{
    char shown[200];
    struct stat there;
    struct near near = near_begin(span_of(name));
    for (size_t i = 0; commands[i]; i++)
        near_try(&near, commands[i]->name);
    text_escape(shown, sizeof(shown), span_of(name));
    if (near.name)
        fprintf(stderr, "berth: unknown command %s; did you mean %s?\n", shown, near.name);
    else if (stat(name, &there) == 0 && S_ISDIR(there.st_mode))
        fprintf(stderr, "berth: unknown command %s; to serve that directory: berth serve %s\n", shown, shown);
    else if (stat(name, &there) == 0)
        fprintf(stderr,
            "berth: unknown command %s; to serve that file: berth serve %s; to chat with it: "
            "berth generate --chat -m %s\n",
            shown, shown, shown);
    else
        fprintf(stderr, "berth: unknown command %s; see berth help\n", shown);
    return 2;
}

/* ---- help ---- */

/* "  NAME   text", the text's further lines below its first one. */
static void print_entry(const char *name, const char *text)
{
    int used = printf("  %s", name);
    for (const char *line = text; *line;) {
        size_t size = strcspn(line, "\n");
        if (used >= HELP_COLUMN) {
            putchar('\n');
            used = 0;
        }
        printf("%*s%.*s\n", HELP_COLUMN - used, "", (int)size, line);
        used = 0;
        line += size + (line[size] == '\n');
    }
}

static void print_flag(const struct command_flag *f)
{
    char name[80];
    snprintf(name, sizeof(name), "%s%s%s%s%s", f->letter ? f->letter : "", f->letter ? ", " : "", f->name,
        f->value ? " " : "", f->value ? f->value : "");
    print_entry(name, f->help);
}

int command_help(const struct command *c)
{
    struct error err = {0};
    printf("berth %s%s%s\n", c->name, c->usage[0] ? " " : "", c->usage);
    if (c->about)
        printf("\n%s\n", c->about);
    for (size_t s = 0; s < sizeof(c->flags) / sizeof(c->flags[0]); s++) {
        if (c->flags[s].n)
            putchar('\n');
        for (size_t i = 0; i < c->flags[s].n; i++)
            print_flag(&c->flags[s].at[i]);
    }
    if (c->server_options) {
        puts("\nOptions; a flag overrides its environment variable:");
        options_print(stdout);
    }
    if (c->notes)
        printf("\n%s\n", c->notes);
    if (c->print_more)
        c->print_more();
    return flush_output(&err) ? 0 : command_failed(NULL, &err);
}

static int help_all(void)
{
    struct error err = {0};
    puts("berth serves the model files of a directory over HTTP.\n\nUsage:");
    for (size_t i = 0; commands[i]; i++) {
        char usage[120];
        snprintf(usage, sizeof(usage), "berth %s %s", commands[i]->name, commands[i]->usage);
        printf("  %-44s %s\n", usage, commands[i]->summary);
    }
    puts("\n`berth help NAME` or `berth NAME --help` explains one command.\n"
         "\nOptions of serve and health; a flag overrides its environment variable:");
    options_print(stdout);
    return flush_output(&err) ? 0 : command_failed(NULL, &err);
}

static int cmd_help(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help_all();
    const struct command *c = command_find(name);
    return c ? command_help(c) : command_unknown(name);
}

const struct command command_help_command = {
    .name = "help",
    .run = cmd_help,
    .usage = "[NAME]",
    .summary = "print this, or the help of one command",
    .operand = OPERAND_COMMAND,
};

/* ---- version ---- */

static int cmd_version(int argc, char **argv)
{
    struct error err = {0};
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return command_help(&command_version);
    puts("berth " BERTH_VERSION);
    printf("libmicrohttpd %s, jansson %s, %s %s, %s\n", http_library_version(), jansson_version_str(),
        COMPILER, __VERSION__, MACHINE);
    return flush_output(&err) ? 0 : command_failed(NULL, &err);
}

const struct command command_version = {
    .name = "version",
    .run = cmd_version,
    .usage = "",
    .summary = "print the version",
    .about = "Prints the version of berth, of its libraries, and of the compiler.",
};
