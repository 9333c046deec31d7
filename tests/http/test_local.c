/* test_local.c - the commands that run a model without a server: berth generate and berth bench.
 *
 * The answers of the model are known (reciting_model.h), so the output is compared with them.
 */
#include "harness.h"

#include "reciting_model.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALPHABET "bcdefghijklmnopqrstuvwxyz."

static const char *dir;

static int setup_model(void **state)
{
    (void)state;
    dir = temp_dir();
    write_tiny_model(dir, "m.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    write_tiny_model(dir, "odd.gguf", &(struct tiny_model){.architecture = "oddity"});
    write_tiny_model(dir, "base.gguf", &(struct tiny_model){.no_template = true});
    write_tiny_model(dir, "bare.gguf", &(struct tiny_model){.no_tokenizer = true, .no_template = true});
    return 0;
}

/* Runs a command on a model; args[2] names it, and the rest follows. */
static struct outcome run(const char *command, const char *model, const char *const args[])
{
    struct setup s = {.bare = true, .stdin_closed = true, .args = {command, "-m", path_in(dir, model)}};
    for (size_t i = 0; args[i]; i++)
        s.args[3 + i] = args[i];
    return outcome_of(&s);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *read_text(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *f = fopen(path, "r");
    assert_non_null(text);
    assert_non_null(f);
    assert_true(fread(text, 1, 65535, f) < 65535);
    fclose(f);
    return text;
}

static void assert_says(const char *const args[], const char *wanted)
{
    struct outcome o = run("generate", "m.gguf", args);
    if (o.code != 0 || strcmp(o.out, wanted) != 0)
        fail_msg("status %d, \"%s\" instead of \"%s\": %s", o.code, o.out, wanted, o.err);
    assert_non_null(strstr(o.err, "[prompt: "));
    outcome_release(&o);
}

static void test_a_text_is_gone_on_with_to_the_model_s_end(void **state)
{
    (void)state;
    assert_says(ARGS("--raw", "a"), ALPHABET);
    assert_says(ARGS("--temperature", "0", "--raw", "--", "-x"), "yz.");
}

static void test_an_answer_is_as_long_as_asked_for_and_ends_before_a_stop_text(void **state)
{
    (void)state;
    assert_says(ARGS("--raw", "--max-tokens", "3", "a"), "bcd");
    assert_says(ARGS("--raw", "--stop", "nothing", "a", "--stop", "efg"), "bcd");
    assert_says(ARGS("--raw", "--ignore-end", "--special", "--max-tokens", "4", "y"), "z.<|im_end|>a");
}

/* After the template the model answers what follows a newline; a plain text "c" is continued with "d". */
static void test_a_prompt_goes_through_the_chat_template_where_there_is_one(void **state)
{
    (void)state;
    assert_says(ARGS("c"), "a" ALPHABET);
    assert_says(ARGS("--system", "Recite.", "c"), "a" ALPHABET);
    assert_says(ARGS("--raw", "c"), "defghijklmnopqrstuvwxyz.");
    struct outcome o = run("generate", "base.gguf", ARGS("c"));
    assert_int_equal(o.code, 0);
    assert_string_equal(o.out, "defghijklmnopqrstuvwxyz.");
    outcome_release(&o);
    o = run("generate", "m.gguf", ARGS("--raw", "."));
    assert_int_equal(o.code, 0);
    assert_string_equal(o.out, "");
    assert_non_null(strstr(o.err, "the model ended its answer without a text"));
    outcome_release(&o);
}

static void test_a_conversation_is_made_by_the_model_s_template(void **state)
{
    (void)state;
    assert_says(ARGS("--chat", "--system", "Recite.", "Hello"), "a" ALPHABET);
}

static void assert_fails(
    const char *command, const char *model, const char *const args[], int code, const char *why)
{
    struct outcome o = run(command, model, args);
    if (o.code != code || !strstr(o.err, why))
        fail_msg("status %d instead of %d, \"%s\" instead of \"%s\"", o.code, code, o.err, why);
    assert_string_equal(o.out, "");
    outcome_release(&o);
}

static void test_what_cannot_be_run_is_told_with_the_file_s_name(void **state)
{
    (void)state;
    assert_fails("generate", "odd.gguf", ARGS("a"), 1, "odd.gguf: ");
    assert_fails("generate", "odd.gguf", ARGS("a"), 1, "\"oddity\"");
    assert_fails("generate", "none.gguf", ARGS("a"), 1, "none.gguf");
    assert_fails("generate", ".", ARGS("a"), 1, "the directory has several models; name one of them: ");
    assert_fails("generate", "base.gguf", ARGS("--system", "x", "a"), 1, "--system needs a chat template: ");
    assert_fails("generate", "nn.gguf", ARGS("a"), 1, "there is no such file; did you mean m.gguf?");
    assert_fails("generate", "bare.gguf", ARGS("a"), 1, "bare.gguf: ");
    assert_fails("generate", "bare.gguf", ARGS("--chat"), 1, "bare.gguf: ");
    assert_fails("bench", "odd.gguf", ARGS("--json"), 1, "\"oddity\"");
    assert_fails("generate", "m.gguf", ARGS("--cpu", "abacus", "a"), 1, "abacus");
}

static void test_wrong_usage_is_status_2_and_named(void **state)
{
    (void)state;
    assert_fails("generate", "m.gguf", ARGS("--frequency", "a"), 2, "unknown option --frequency; see berth");
    assert_fails(
        "generate", "m.gguf", ARGS("--temprature", "1", "a"), 2, "did you mean --temperature? See berth");
    assert_fails("generate", "m.gguf", ARGS("--top-p", "2", "a"), 2, "--top-p takes a number from 0 to 1");
    assert_fails("generate", "m.gguf", ARGS("--top-p", "nan", "a"), 2, "--top-p takes a number from 0 to 1");
    assert_fails("generate", "m.gguf", ARGS("--max-tokens"), 2, "--max-tokens needs a value: N");
    assert_fails("generate", "m.gguf", ARGS("--raw=1", "a"), 2, "--raw takes no value");
    assert_fails("generate", "m.gguf", ARGS("--raw", "--chat"), 2, "exclude each other");
    assert_fails("generate", "m.gguf", ARGS("a", "b"), 2, "one PROMPT");
    assert_fails("generate", "m.gguf", ARGS("--seed", "1"), 2, "a PROMPT is needed");
    assert_fails("bench", "m.gguf", ARGS("--streams", "0"), 2, "--streams takes a whole number from 1");
    assert_fails("bench", "m.gguf", ARGS("--kv-type", "q4"), 2, "f16, f32 or q8_0");
    assert_fails("bench", "m.gguf", ARGS("more"), 2, "more");
}

static void test_bench_tells_its_figures_as_json_without_a_tokenizer(void **state)
{
    (void)state;
    struct outcome o = run("bench", "bare.gguf",
        ARGS("--json", "--prompt", "40", "--new", "5", "--depth", "9", "--streams", "3", "--repeat", "2",
            "--threads", "2", "--cpu", "plain", "--kv-type", "q8_0"));
    json_error_t wrong;
    assert_int_equal(o.code, 0);
    json_t *j = json_loads(o.out, 0, &wrong);
    assert_non_null(j);
    static const char *const speeds[] = {
        "prefill_tokens_per_second", "decode_tokens_per_second", "mixed_tokens_per_second"};
    for (size_t i = 0; i < 3; i++)
        assert_true(json_real_value(json_object_get(j, speeds[i])) > 0);
    assert_int_equal(json_integer_value(json_object_get(j, "threads")), 2);
    assert_int_equal(json_integer_value(json_object_get(j, "depth")), 9);
    assert_string_equal(json_string_value(json_object_get(j, "cpu")), "plain");
    assert_string_equal(json_string_value(json_object_get(j, "kv_type")), "q8_0");
    json_decref(j);
    outcome_release(&o);
}

static void test_bench_prints_a_table(void **state)
{
    (void)state;
    struct outcome o = run("bench", "m.gguf", ARGS("--prompt", "40", "--new", "5", "--repeat", "1"));
    assert_int_equal(o.code, 0);
    assert_non_null(strstr(o.out, "read      40 tokens after      0"));
    assert_non_null(strstr(o.out, "write      5 tokens after      1,   1 at a time"));
    assert_null(strstr(o.out, "together"));
    outcome_release(&o);
    o = run("bench", "m.gguf", ARGS("--prompt", "20", "--new", "5", "--depth", "70", "--repeat", "2"));
    assert_int_equal(o.code, 0);
    assert_non_null(strstr(o.out, "read      20 tokens after     70"));
    assert_non_null(strstr(o.out, "write      5 tokens after     70,   1 at a time"));
    outcome_release(&o);
}

static void test_bench_fits_its_requests_to_the_context(void **state)
{
    (void)state;
    struct outcome o = run("bench", "m.gguf", ARGS("--repeat", "1"));
    assert_int_equal(o.code, 0);
    assert_non_null(strstr(o.out, "read     448 tokens after      0"));
    assert_non_null(strstr(o.err, "the context is 512 tokens: reading 448 and writing 64 instead"));
    outcome_release(&o);
    o = run("bench", "m.gguf",
        ARGS("--repeat", "1", "--context", "20", "--depth", "16", "--streams", "2", "--json"));
    assert_int_equal(o.code, 0);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "prompt")), 2);
    assert_int_equal(json_integer_value(json_object_get(j, "new")), 2);
    json_decref(j);
    outcome_release(&o);
    assert_fails(
        "bench", "m.gguf", ARGS("--depth", "510"), 1, "--depth 510 leaves no room in the context of 512");
}

/* ---- the model that is not named ---- */

/* Runs the program in a directory, with the text as its standard input. */
static struct outcome run_in(const char *where, const char *input, const char *const args[])
{
    const char *berth = getenv("BERTH");
    char here[4096], program[8192];
    assert_non_null(getcwd(here, sizeof(here)));
    if (!berth)
        berth = "build/berth";
    snprintf(program, sizeof(program), "%s/%s", berth[0] == '/' ? "" : here, berth);
    const char *out = path_in(dir, "run.out"), *err = path_in(dir, "run.err"), *in = path_in(dir, "run.in");
    write_file(dir, "run.in", input, strlen(input));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *argv[32] = {program};
        for (size_t i = 0; args[i]; i++)
            argv[i + 1] = (char *)(uintptr_t)args[i];
        if (!freopen(in, "r", stdin) || !freopen(out, "w", stdout) || !freopen(err, "w", stderr) ||
            chdir(where))
            _exit(126);
        unsetenv("BERTH_MODELS");
        execv(program, argv);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct outcome o = {.code = WEXITSTATUS(status), .out = read_text(out), .err = read_text(err)};
    return o;
}

static void assert_run_in(
    const char *where, const char *const args[], int code, const char *said, const char *noted)
{
    struct outcome o = run_in(where, "", args);
    if (o.code != code || strcmp(o.out, said) != 0 || !strstr(o.err, noted))
        fail_msg("status %d, \"%s\", \"%s\"", o.code, o.out, o.err);
    outcome_release(&o);
}

static void test_a_forgotten_m_is_no_matter(void **state)
{
    (void)state;
    const char *alone = temp_dir(), *two = temp_dir(), *none = temp_dir();
    write_tiny_model(alone, "only.gguf", &(struct tiny_model){0});
    write_tiny_model(two, "one.gguf", &(struct tiny_model){0});
    write_tiny_model(two, "two.gguf", &(struct tiny_model){0});
    assert_run_in(alone, ARGS("generate", "only.gguf", "--raw", "x"), 0, "yz.", "[prompt: ");
    assert_run_in(alone, ARGS("generate", "--raw", "x"), 0, "yz.", "no model is named; using only.gguf");
    assert_run_in(two, ARGS("generate", "-m", alone, "--raw", "x"), 0, "yz.", "[prompt: ");
    assert_run_in(two, ARGS("generate", "--raw", "x"), 1, "",
        "a model is needed, as -m FILE: the current directory has several models; name one of them: one.gguf, "
        "two.gguf\n");
    assert_run_in(none, ARGS("generate", "x"), 1, "", "there is no .gguf file in the current directory");
    assert_run_in(two, ARGS("bench", "three.gguf"), 1, "", "three.gguf: there is no such file");
}

static void test_a_prompt_may_come_from_standard_input(void **state)
{
    (void)state;
    struct outcome o = run_in(dir, "x\n", ARGS("generate", "--raw", "-m", "m.gguf"));
    assert_string_equal(o.out, "yz.");
    outcome_release(&o);
    o = run_in(dir, "x\n", ARGS("generate", "--raw", "-m", "m.gguf", "-"));
    assert_string_equal(o.out, "yz.");
    outcome_release(&o);
}

/* The digits go on without end, and slowly. */
static void test_ctrl_c_ends_an_answer_and_not_the_program(void **state)
{
    (void)state;
    const char *berth = getenv("BERTH");
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        execl(berth ? berth : "build/berth", "berth", "generate", "-m", path_in(dir, "slow.gguf"), "--raw",
            "0", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    char byte;
    assert_int_equal(read(out[0], &byte, 1), 1);
    assert_int_equal(byte, '1');
    assert_return_code(kill(child, SIGINT), 0);
    size_t more = 0;
    while (read(out[0], &byte, 1) == 1)
        more++;
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(more < 4000);
    close(out[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_gone_on_with_to_the_model_s_end),
        cmocka_unit_test(test_an_answer_is_as_long_as_asked_for_and_ends_before_a_stop_text),
        cmocka_unit_test(test_a_prompt_goes_through_the_chat_template_where_there_is_one),
        cmocka_unit_test(test_a_conversation_is_made_by_the_model_s_template),
        cmocka_unit_test(test_what_cannot_be_run_is_told_with_the_file_s_name),
        cmocka_unit_test(test_wrong_usage_is_status_2_and_named),
        cmocka_unit_test(test_bench_tells_its_figures_as_json_without_a_tokenizer),
        cmocka_unit_test(test_bench_prints_a_table),
        cmocka_unit_test(test_bench_fits_its_requests_to_the_context),
        cmocka_unit_test(test_a_forgotten_m_is_no_matter),
        cmocka_unit_test(test_a_prompt_may_come_from_standard_input),
        cmocka_unit_test(test_ctrl_c_ends_an_answer_and_not_the_program),
    };
    return cmocka_run_group_tests(tests, setup_model, harness_end);
}
