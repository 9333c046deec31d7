/* test_cmd_logits.c - the command as a shell sees it: bytes, reasons, exit status. */
#include "berth/server/command.h"
#include "scratch.h"
#include "tiny_model.h"

#include <stdio.h>

#define ARGUMENTS 24

/* The output and the exit status of a run. */
struct logits_run {
    int status;
    uint8_t out[64 * TINY_VOCABULARY * sizeof(float)];
    size_t size;
    char reason[1024];
};

static int setup(void **state)
{
    struct tiny t;
    struct error err = {0};
    scratch_setup(state);
    tiny_make(&t, "llama", NULL, &err);
    if (!t.gguf)
        fail_msg("%s", err.text);
    scratch_bytes("m.gguf", t.w.at, t.w.size);
    scratch_bytes("plain.txt", (const uint8_t *)"no model\n", 9);
    tiny_release(&t);
    return 0;
}

static size_t read_back(const char *name, void *to, size_t room)
{
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    size_t n = fread(to, 1, room, f);
    fclose(f);
    return n;
}

/* Puts a file in the place of a standard stream until restore. */
static int redirect(FILE *stream, const char *name, int flags)
{
    fflush(stream);
    int kept = dup(fileno(stream)), file = open(name, flags, 0600);
    assert_true(kept >= 0 && file >= 0);
    assert_true(dup2(file, fileno(stream)) >= 0);
    close(file);
    return kept;
}

static void restore(FILE *stream, int kept)
{
    fflush(stream);
    assert_true(dup2(kept, fileno(stream)) >= 0);
    close(kept);
}

/* Runs `berth logits` with the words of a line as its arguments. */
static void run(struct logits_run *o, const char *line, const char *input)
{
    char words[256], *argv[ARGUMENTS + 1] = {"logits"}, *rest;
    int argc = 1;
    snprintf(words, sizeof(words), "%s", line);
    for (char *w = strtok_r(words, " ", &rest); w && argc < ARGUMENTS; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    scratch_bytes("in", (const uint8_t *)input, strlen(input));
    clearerr(stdin);
    int in = redirect(stdin, "in", O_RDONLY);
    int out = redirect(stdout, "out", O_WRONLY | O_CREAT | O_TRUNC);
    int err = redirect(stderr, "err", O_WRONLY | O_CREAT | O_TRUNC);
    o->status = cmd_logits(argc, argv);
    restore(stderr, err);
    restore(stdout, out);
    restore(stdin, in);
    o->size = read_back("out", o->out, sizeof(o->out));
    o->reason[read_back("err", o->reason, sizeof(o->reason) - 1)] = '\0';
}

static void test_options_anywhere_and_ids_from_either_side_give_the_same_bytes(void **state)
{
    (void)state;
    static const char *const lines[] = {"m.gguf 5 95 0 17", "--chunk 1 m.gguf 5 95 0 17 --threads 3",
        "m.gguf --cpu plain 5 95 --chunk=3 0 17", ". 5 95 0 17", "-m m.gguf 5 95 0 17",
        "--kv-type f16 -- m.gguf 5 95 0 17"};
    static struct logits_run first, o;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        run(i == 0 ? &first : &o, lines[i], "");
        assert_int_equal(i == 0 ? first.status : o.status, 0);
        assert_true(i == 0 || (o.size == first.size && memcmp(o.out, first.out, o.size) == 0));
    }
    assert_int_equal(first.size, 4 * TINY_VOCABULARY * sizeof(float));
    run(&o, "m.gguf -", " 5 95\n0\t17");
    assert_int_equal(o.status, 0);
    assert_int_equal(o.size, first.size);
    assert_memory_equal(o.out, first.out, o.size);
}

static void test_other_numbers_come_of_other_kinds_of_arithmetic(void **state)
{
    (void)state;
    static struct logits_run first, o;
    run(&first, "m.gguf 5 95 0 17", "");
    static const char *const lines[] = {
        "m.gguf 5 95 0 17 --kv-type f32", "m.gguf 5 95 0 17 --kv-type q8_0", "m.gguf 5 95 0 17 --float"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        run(&o, lines[i], "");
        assert_int_equal(o.size, first.size);
        assert_memory_not_equal(o.out, first.out, o.size);
    }
}

static void test_what_cannot_be_run_is_said_and_writes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *line, *input, *reason;
        int status;
    } cases[] = {
        {"", "", "FILE is needed", 2},
        {"m.gguf", "", "token ids are needed", 2},
        {"m.gguf 1 -", "2", "not both", 2},
        {"m.gguf 1 x", "", "not a token id: x", 2},
        {"m.gguf 1 -1", "", "unknown option -1", 2},
        {"m.gguf 1 --chunk 0", "", "from 1 to", 2},
        {"m.gguf 1 --threads 1000000", "", "from 1 to", 2},
        {"m.gguf 1 --chunk", "", "--chunk needs a value", 2},
        {"m.gguf 1 --kv-type q8", "", "--kv-type takes f16, f32 or q8_0", 2},
        {"m.gguf 1 --cpu fast", "", "fast", 2},
        {"m.gguf 95 96", "", "id 96 is not below the vocabulary's size, 96", 1},
        {"m.gguf -", "1 2 no", "has no, which", 1},
        {"plain.txt 1", "", "plain.txt: is not a model in a format that berth can run", 1},
        {"none.gguf 1", "", "none.gguf", 1},
    };
    static struct logits_run o;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run(&o, cases[i].line, cases[i].input);
        if (o.status != cases[i].status || o.size != 0 || !strstr(o.reason, cases[i].reason))
            fail_msg(
                "\"%s\" gave status %d, %zu bytes and \"%s\"", cases[i].line, o.status, o.size, o.reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_options_anywhere_and_ids_from_either_side_give_the_same_bytes, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_other_numbers_come_of_other_kinds_of_arithmetic, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            test_what_cannot_be_run_is_said_and_writes_nothing, setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
