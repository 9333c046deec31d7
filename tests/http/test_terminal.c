/* test_terminal.c - the program on a pseudo-terminal, with keys that are typed: conversations of berth generate, and output
 * that is not for a terminal.
 */
#include "harness.h"

#include "reciting_model.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ALPHABET "abcdefghijklmnopqrstuvwxyz."
#define ROOM ((size_t)1 << 20)

static const char *dir;

static int setup_models(void **state)
{
    (void)state;
    dir = temp_dir();
    write_tiny_model(dir, "m.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    write_tiny_model(dir, "base.gguf", &(struct tiny_model){.no_template = true});
    return 0;
}

/* ---- a person ---- */

struct person {
    pid_t child;
    int master;
    char *seen; /* all that was on the screen, as bytes */
    size_t size, looked; /* looked: how much of it expect() has passed */
};

static void sit_down(struct person *p, const char *const args[])
{
    const char *berth = getenv("BERTH");
    char *argv[32] = {"berth"};
    for (size_t i = 0; args[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    *p = (struct person){.seen = calloc(1, ROOM)};
    assert_non_null(p->seen);
    p->child = forkpty(&p->master, NULL, NULL, &(struct winsize){.ws_row = 24, .ws_col = 80});
    assert_true(p->child >= 0);
    if (p->child == 0) {
        setenv("TERM", "xterm", 1);
        execv(berth ? berth : "build/berth", argv);
        _exit(127);
    }
}

static void type(const struct person *p, const char *keys)
{
    assert_int_equal(write(p->master, keys, strlen(keys)), strlen(keys));
}

/* Reads what comes until the deadline. False when nothing does, or the program has ended. */
static bool look(struct person *p, int64_t deadline)
{
    struct pollfd fd = {.fd = p->master, .events = POLLIN};
    int64_t left = deadline - now_ms();
    if (left <= 0 || poll(&fd, 1, (int)left) <= 0)
        return false;
    ssize_t n = read(p->master, p->seen + p->size, ROOM - 1 - p->size);
    if (n <= 0)
        return false;
    p->size += (size_t)n;
    p->seen[p->size] = '\0';
    return true;
}

/* Waits until `text` appears after the text that was expected last. */
static void expect(struct person *p, const char *text)
{
    int64_t deadline = now_ms() + WAIT_MS;
    for (const char *at; !(at = strstr(p->seen + p->looked, text));)
        if (!look(p, deadline))
            fail_msg("\"%s\" does not appear in: %s", text, p->seen + p->looked);
    p->looked = (size_t)(strstr(p->seen + p->looked, text) - p->seen) + strlen(text);
}

/* Waits for the end. Returns the exit status. */
static int leave(struct person *p)
{
    int status;
    while (look(p, now_ms() + WAIT_MS))
        continue;
    assert_int_equal(waitpid(p->child, &status, 0), p->child);
    close(p->master);
    free(p->seen);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The content of message `index` in a conversation that was saved. */
static void assert_message(const char *path, size_t index, const char *role, const char *content)
{
    json_t *saved = json_load_file(path, 0, NULL), *message;
    assert_non_null(saved);
    message = json_array_get(json_object_get(saved, "messages"), index);
    assert_string_equal(json_string_value(json_object_get(message, "role")), role);
    assert_string_equal(json_string_value(json_object_get(message, "content")), content);
    json_decref(saved);
}

/* ---- tests ---- */

static void test_a_conversation_has_a_banner_and_commands(void **state)
{
    (void)state;
    struct person p;
    const char *saved = path_in(dir, "saved.json");
    sit_down(&p, ARGS("generate", "--chat", "-m", path_in(dir, "m.gguf")));
    expect(&p, "context 512 tokens");
    expect(&p, "/help, /clear, /system [TEXT], /save FILE");
    expect(&p, "> ");
    type(&p, "Hello\r");
    expect(&p, ALPHABET);
    expect(&p, "[prompt: ");
    type(&p, "/help\r");
    expect(&p, "clear the conversation");
    type(&p, "/hlep\r");
    expect(&p, "There is no command /hlep; did you mean /help?");
    type(&p, "/system Be brief.\r");
    expect(&p, "The system prompt is set.");
    type(&p, text_of("/save %s\r", saved));
    expect(&p, "was written.");
    assert_message(saved, 0, "system", "Be brief.");
    assert_message(saved, 1, "user", "Hello");
    assert_message(saved, 2, "assistant", ALPHABET);
    type(&p, "/clear\r");
    expect(&p, "was cleared");
    type(&p, "/etc/hosts is a path\r");
    expect(&p, ALPHABET);
    type(&p, "/save\r");
    expect(&p, "was written.");
    assert_message(saved, 0, "system", "Be brief.");
    assert_message(saved, 1, "user", "/etc/hosts is a path");
    type(&p, "/exit\r");
    assert_int_equal(leave(&p), 0);
}

static void test_what_is_there_is_not_saved_over(void **state)
{
    (void)state;
    struct person p;
    write_file(dir, "kept", "kept", 4);
    sit_down(&p, ARGS("generate", "--chat", "-m", path_in(dir, "m.gguf")));
    expect(&p, "> ");
    type(&p, text_of("/save %s\r", path_in(dir, "kept")));
    expect(&p, "kept: File exists");
    type(&p, "/save\r");
    expect(&p, "Name a file");
    type(&p, "\x04");
    assert_int_equal(leave(&p), 0);
}

static void test_lines_are_edited_and_several_are_pasted(void **state)
{
    (void)state;
    struct person p;
    const char *saved = path_in(dir, "pasted.json");
    sit_down(&p, ARGS("generate", "--chat", "-m", path_in(dir, "m.gguf")));
    expect(&p, "\033[?2004h");
    type(&p, "\033[200~one\ntwo\n\nthree 日本\033[201~\x7f語!\r");
    expect(&p, ALPHABET);
    type(&p, "secnd\x02\x02o\r");
    expect(&p, ALPHABET);
    type(&p, "\033[A\x05!\r");
    expect(&p, ALPHABET);
    type(&p, text_of("/save %s\r", saved));
    expect(&p, "was written.");
    assert_message(saved, 0, "user", "one\ntwo\n\nthree 日語!");
    assert_message(saved, 2, "user", "second");
    assert_message(saved, 4, "user", "second!");
    type(&p, "\x04");
    assert_int_equal(leave(&p), 0);
}

/* The digits go on without end, and slowly. */
static void test_ctrl_c_ends_an_answer_then_the_program(void **state)
{
    (void)state;
    struct person p;
    struct termios before, after;
    sit_down(
        &p, ARGS("generate", "--chat", "--stop", "nothing", "-m", path_in(dir, "slow.gguf"), "--ignore-end"));
    assert_int_equal(tcgetattr(p.master, &before), 0);
    expect(&p, "> ");
    type(&p, "Go on\r");
    expect(&p, "abc");
    type(&p, "\x03");
    expect(&p, "[prompt: ");
    expect(&p, "> ");
    type(&p, "dropped\x03");
    expect(&p, "^C");
    assert_int_equal(tcgetattr(p.master, &after), 0);
    assert_true((after.c_lflag & ICANON) == 0);
    type(&p, "\x03");
    while (look(&p, now_ms() + WAIT_MS))
        continue;
    assert_int_equal(tcgetattr(p.master, &after), 0);
    assert_int_equal(after.c_lflag & (ICANON | ECHO | ISIG), ICANON | ECHO | ISIG);
    assert_int_equal(leave(&p), 0);
}

static void test_a_signal_ends_a_conversation_and_sets_the_terminal_back(void **state)
{
    (void)state;
    struct person p;
    struct termios after;
    sit_down(&p, ARGS("generate", "--chat", "-m", path_in(dir, "m.gguf")));
    expect(&p, "> ");
    assert_return_code(kill(p.child, SIGTERM), 0);
    while (look(&p, now_ms() + WAIT_MS))
        continue;
    assert_int_equal(tcgetattr(p.master, &after), 0);
    assert_true((after.c_lflag & ICANON) && (after.c_lflag & ECHO));
    assert_int_equal(leave(&p), 0);
}

/* A turn takes some 60 of the 512 positions. */
static void test_the_oldest_turns_go_when_the_context_is_full(void **state)
{
    (void)state;
    struct person p;
    char *long_line = calloc(1, 702);
    assert_non_null(long_line);
    memset(long_line, 'x', 700);
    long_line[700] = '\r';
    sit_down(&p, ARGS("generate", "--chat", "--system", "Recite.", "-m", path_in(dir, "m.gguf")));
    for (size_t i = 0; i < 12; i++) {
        expect(&p, "> ");
        type(&p, "Once more.\r");
        expect(&p, ALPHABET);
        expect(&p, "[prompt: ");
    }
    assert_non_null(
        strstr(p.seen, "(the context of 512 tokens is full: the oldest 2 messages were dropped)"));
    expect(&p, "> ");
    type(&p, long_line);
    expect(&p, "tokens with the template, and the context 512");
    type(&p, "And again.\r");
    expect(&p, ALPHABET);
    const char *saved = path_in(dir, "full.json");
    type(&p, text_of("/save %s\r", saved));
    expect(&p, "was written.");
    assert_message(saved, 0, "system", "Recite.");
    type(&p, "\x04");
    assert_int_equal(leave(&p), 0);
    free(long_line);
}

static void test_the_context_is_kept_within_without_a_terminal_too(void **state)
{
    (void)state;
    const char *berth = getenv("BERTH");
    char lines[20 * 12 + 1] = "", command[4096];
    for (size_t i = 0; i < 20; i++)
        strcat(lines, "Once more.\n");
    write_file(dir, "lines", lines, strlen(lines));
    snprintf(command, sizeof(command),
        "%s generate --chat -m %s <%s 2>%s | tr -d '\\n' | grep -o '%s' | wc -l",
        berth ? berth : "build/berth", path_in(dir, "m.gguf"), path_in(dir, "lines"), path_in(dir, "notes"),
        ALPHABET);
    FILE *out = popen(command, "r");
    int answers = 0;
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%d", &answers), 1);
    pclose(out);
    assert_int_equal(answers, 20);
}

static void test_reading_a_long_prompt_shows_how_far_it_is(void **state)
{
    (void)state;
    struct person p;
    char *prompt = calloc(1, 3001);
    assert_non_null(prompt);
    memset(prompt, 'x', 3000);
    sit_down(&p, ARGS("generate", "--raw", "--max-tokens", "2", "-m", path_in(dir, "slow.gguf"), prompt));
    expect(&p, "reading the prompt: ");
    expect(&p, " of 3000 tokens");
    type(&p, "\x03");
    expect(&p, "[prompt: ");
    assert_int_equal(leave(&p), 0);
    free(prompt);
}

static void test_a_model_alone_begins_a_conversation(void **state)
{
    (void)state;
    struct person p;
    sit_down(&p, ARGS("generate", path_in(dir, "m.gguf")));
    expect(&p, "Commands: /help");
    expect(&p, "> ");
    type(&p, "\x04");
    assert_int_equal(leave(&p), 0);
    sit_down(&p, ARGS("generate", path_in(dir, "base.gguf")));
    expect(&p, "a PROMPT is needed");
    assert_int_equal(leave(&p), 1);
}

static void test_logits_are_not_written_to_a_terminal(void **state)
{
    (void)state;
    struct person p;
    sit_down(&p, ARGS("logits", path_in(dir, "m.gguf"), "1", "2"));
    expect(&p, "standard output is a terminal");
    assert_int_equal(leave(&p), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_conversation_has_a_banner_and_commands),
        cmocka_unit_test(test_what_is_there_is_not_saved_over),
        cmocka_unit_test(test_lines_are_edited_and_several_are_pasted),
        cmocka_unit_test(test_ctrl_c_ends_an_answer_then_the_program),
        cmocka_unit_test(test_a_signal_ends_a_conversation_and_sets_the_terminal_back),
        cmocka_unit_test(test_the_oldest_turns_go_when_the_context_is_full),
        cmocka_unit_test(test_the_context_is_kept_within_without_a_terminal_too),
        cmocka_unit_test(test_reading_a_long_prompt_shows_how_far_it_is),
        cmocka_unit_test(test_a_model_alone_begins_a_conversation),
        cmocka_unit_test(test_logits_are_not_written_to_a_terminal),
    };
    return cmocka_run_group_tests(tests, setup_models, harness_end);
}
