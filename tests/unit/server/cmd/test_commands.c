/* test_commands.c - help, the words for what is misspelt, and the completion files, for every command there is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "scratch.h"

#include "berth/engine/model/decoder.h"
#include "berth/server/command.h"
#include "berth/server/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_BYTES 65536

static char out_text[OUTPUT_BYTES], err_text[OUTPUT_BYTES];

static void read_back(const char *name, char text[OUTPUT_BYTES])
{
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    text[fread(text, 1, OUTPUT_BYTES - 1, f)] = '\0';
    fclose(f);
}

static int redirected(FILE *stream, const char *name)
{
    fflush(stream);
    int kept = dup(fileno(stream)), file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(kept >= 0 && file >= 0 && dup2(file, fileno(stream)) >= 0);
    close(file);
    return kept;
}

static void restore(FILE *stream, int kept)
{
    fflush(stream);
    assert_true(dup2(kept, fileno(stream)) >= 0);
    close(kept);
}

/* Runs a command with up to two arguments; what it printed is in out_text and err_text. */
static int run(const char *name, const char *first, const char *second)
{
    char *argv[] = {(char *)(uintptr_t)name, (char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL};
    int argc = 1 + (first != NULL) + (second != NULL);
    const struct command *c = command_find(name);
    assert_non_null(c);
    int out = redirected(stdout, "out"), err = redirected(stderr, "err");
    int status = c->run(argc, argv);
    restore(stderr, err);
    restore(stdout, out);
    read_back("out", out_text);
    read_back("err", err_text);
    return status;
}

static void assert_has(const char *text, const char *what, const char *where)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in %s", what, where);
}

static void test_every_command_explains_itself_by_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        char first[200], help[OUTPUT_BYTES];
        const struct command *c = commands[i];
        if (c == &command_help_command)
            continue;
        snprintf(first, sizeof(first), "berth %s%s%s\n", c->name, c->usage[0] ? " " : "", c->usage);
        assert_int_equal(run(c->name, "--help", NULL), 0);
        assert_string_equal(err_text, "");
        assert_int_equal(strncmp(out_text, first, strlen(first)), 0);
        memcpy(help, out_text, sizeof(help));
        assert_int_equal(run("help", c->name, NULL), 0);
        assert_string_equal(out_text, help);
        for (size_t s = 0; s < 2; s++)
            for (size_t k = 0; k < c->flags[s].n; k++)
                assert_has(help, c->flags[s].at[k].name, c->name);
        assert_int_equal(run("help", NULL, NULL), 0);
        assert_has(out_text, c->summary, "berth help");
    }
}

static void test_the_help_of_inspect_lists_every_architecture(void **state)
{
    (void)state;
    assert_int_equal(run("inspect", "--help", NULL), 0);
    for (size_t i = 0; decoder_architecture(i); i++)
        assert_has(out_text, decoder_architecture(i), "the help of inspect");
}

static void test_what_is_misspelt_is_told_with_what_was_meant(void **state)
{
    static const struct {
        const char *command, *argument, *said;
    } cases[] = {{"inspect", "--jsn", "unknown option --jsn; did you mean --json?"},
        {"tokenize", "--specail", "did you mean --special?"}, {"logits", "--chunks", "did you mean --chunk?"},
        {"bench", "--jsno", "did you mean --json?"}, {"generate", "--temp", "did you mean --temperature?"},
        {"generate", "--top_p", "did you mean --top-p?"}, {"render", "--modle", "did you mean --model?"},
        {"serve", "--prot", "did you mean --port?"}, {"health", "--hots", "did you mean --host?"},
        {"serve", "--verison", "did you mean --version?"}, {"inspect", "--hlep", "did you mean --help?"},
        {"help", "genrate", "unknown command genrate; did you mean generate?"},
        {"help", "metadata", "unknown command metadata; see berth help"},
        {"completion", "csh", "a shell is needed: bash, zsh or fish"},
        {"generate", "--xylophone", "unknown option --xylophone; see berth generate --help"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run(cases[i].command, cases[i].argument, NULL), 2);
        assert_string_equal(out_text, "");
        assert_has(err_text, cases[i].said, err_text);
    }
}

/* Every flag of every command, and every option, stands in each shell's file. */
static void test_completion_files_know_every_option(void **state)
{
    static const struct {
        const char *shell, *before;
    } shells[] = {{"bash", " --"}, {"zsh", "--"}, {"fish", " -l "}};
    struct option_name o;
    (void)state;
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        char wanted[100];
        size_t options = 0;
        assert_int_equal(run("completion", shells[i].shell, NULL), 0);
        for (size_t c = 0; commands[c]; c++) {
            assert_has(out_text, commands[c]->name, shells[i].shell);
            for (size_t s = 0; s < 2; s++) {
                for (size_t k = 0; k < commands[c]->flags[s].n; k++) {
                    snprintf(wanted, sizeof(wanted), "%s%s", shells[i].before,
                        commands[c]->flags[s].at[k].name + 2);
                    assert_has(out_text, wanted, shells[i].shell);
                }
            }
        }
        for (; options_name(options, &o); options++) {
            snprintf(wanted, sizeof(wanted), "%s%s", shells[i].before, o.flag + 2);
            assert_has(out_text, wanted, shells[i].shell);
        }
        assert_true(options > 30);
    }
}

/* What a shell script prints. */
static void shell(const char *program, const char *script)
{
    int out = redirected(stdout, "shell.out");
    pid_t child = fork();
    if (child == 0) {
        execlp(program, program, "-c", script, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    restore(stdout, out);
    read_back("shell.out", out_text);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s ended with %d: %s", program, status, out_text);
}

/* The words that bash offers behind `berth WORDS`, of which the last is begun; "-" stands for an empty one. */
static void completes_in_bash(const char *words, int last, const char *wanted)
{
    char script[1000];
    snprintf(script, sizeof(script),
        ". ./berth.bash; COMP_WORDS=(berth %s); COMP_CWORD=%d; _berth; echo \"${COMPREPLY[@]}\"", words,
        last);
    shell("bash", script);
    if (strcmp(out_text, wanted) != 0)
        fail_msg("berth %s: \"%s\" instead of \"%s\"", words, out_text, wanted);
}

static void test_bash_completes_commands_options_and_choices(void **state)
{
    (void)state;
    assert_int_equal(run("completion", "bash", NULL), 0);
    assert_int_equal(rename("out", "berth.bash"), 0);
    completes_in_bash("gen", 1, "generate\n");
    completes_in_bash("generate --temp", 2, "--temperature\n");
    completes_in_bash("generate --kv-type ''", 3, "f16 f32 q8_0\n");
    completes_in_bash("serve --kv-type q", 3, "q8_0\n");
    completes_in_bash("--init-mode ''", 2, "sync async\n");
    completes_in_bash("--max-b", 1, "--max-body\n");
    completes_in_bash("help ren", 2, "render\n");
    completes_in_bash("inspect --mod", 2, "--model\n");
    completes_in_bash("inspect ''", 2, "\n");
}

static bool has_program(const char *name)
{
    char script[100];
    snprintf(script, sizeof(script), "command -v %s >/dev/null", name);
    return system(script) == 0;
}

/* The shell reads its file without running it. */
static void parses(const char *name)
{
    char file[40], script[100];
    snprintf(file, sizeof(file), "berth.%s", name);
    snprintf(script, sizeof(script), "%s -n ./%s", name, file);
    assert_int_equal(run("completion", name, NULL), 0);
    assert_int_equal(rename("out", file), 0);
    if (!has_program(name)) {
        printf("SKIPPED: %s's completion file: there is no %s\n", name, name);
        skip();
    }
    shell("sh", script);
}

static void test_zsh_takes_its_file(void **state)
{
    (void)state;
    parses("zsh");
}

static void test_fish_takes_its_file(void **state)
{
    (void)state;
    parses("fish");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_every_command_explains_itself_by_both_ways, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_the_help_of_inspect_lists_every_architecture, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_what_is_misspelt_is_told_with_what_was_meant, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_completion_files_know_every_option, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_bash_completes_commands_options_and_choices, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_zsh_takes_its_file, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_fish_takes_its_file, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
