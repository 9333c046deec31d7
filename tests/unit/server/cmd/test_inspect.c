/* test_inspect.c - what `berth inspect` prints, run as a process of its own with its output in files. */
#include "berth/server/command.h"
#include "gguf_writer.h"
#include "scratch.h"

#include <jansson.h>
#include <sys/wait.h>

static char out_text[1 << 20], err_text[1 << 16];

static void read_back(const char *path, char *text, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(text, 1, room - 1, f);
    text[size] = '\0';
    fclose(f);
}

static void send_to(const char *path, int fd)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || dup2(file, fd) < 0)
        _exit(99);
    close(file);
}

/* Runs the command and returns its exit status; what it wrote stands in out_text and err_text. */
static int run_to(const char *out, const char *const arguments[])
{
    const char *argv[8] = {"inspect"};
    int argc = 1;
    for (size_t i = 0; arguments[i]; i++)
        argv[argc++] = arguments[i];
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        send_to(out, STDOUT_FILENO);
        send_to(".err", STDERR_FILENO);
        int status = cmd_inspect(argc, (char **)(uintptr_t)argv);
        fflush(NULL);
        _exit(status);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    read_back(".err", err_text, sizeof(err_text));
    if (strcmp(out, ".out") == 0)
        read_back(".out", out_text, sizeof(out_text));
    return WEXITSTATUS(status);
}

#define RUN(...) run_to(".out", (const char *const[]){__VA_ARGS__, NULL})

static void assert_says(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("\"%s\" is not in:\n%s", words, text);
}

static void write_file(const char *path, struct writer *w)
{
    struct span bytes = writer_done(w);
    scratch_bytes(path, bytes.at, bytes.size);
    writer_release(w);
}

static void write_model(const char *path)
{
    struct writer w = {0};
    write_header(&w, 3, 2, 7);
    write_pair_text(&w, "general.architecture", "llama");
    write_pair_text(&w, "general.name", "Small");
    write_pair_u32(&w, "llama.context_length", 2048);
    write_pair_integer(&w, "llama.epsilon", GGUF_F32, 0x3727c5ac);
    write_pair_integer(&w, "llama.odd", GGUF_F32, 0x7fc00000);
    write_pair_integer(&w, "llama.least", GGUF_I64, (uint64_t)1 << 63);
    write_pair_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 500);
    for (int i = 0; i < 500; i++)
        write_text(&w, i % 2 ? "odd" : "even");
    write_tensor(&w, "token_embd.weight", DIMS(32, 40), TENSOR_Q8_0, 0);
    write_tensor(&w, "blk.0.norm.weight", DIMS(32), TENSOR_F32, 1376);
    write_padding(&w, 32);
    write_zeros(&w, 1376 + 128);
    write_file(path, &w);
}

/* Text in every place where a file may have text, chosen to steer terminals and to break rows and JSON. */
static void write_hostile(const char *path)
{
    static const char bad[] = "\x1b[2J\"\\\n\r\t\xff\xc2\x9b\x7f\xed\xa0\x80";
    struct writer w = {0};
    write_header(&w, 3, 1, 4);
    write_pair_text(&w, "general.architecture", bad);
    write_pair_text(&w, "general.name", bad);
    write_pair_text(&w, bad, bad);
    write_pair_array(&w, "a", GGUF_STRING, 3);
    for (int i = 0; i < 3; i++)
        write_text(&w, bad);
    write_tensor(&w, bad, DIMS(8), TENSOR_F32, 0);
    write_padding(&w, 32);
    write_zeros(&w, 32);
    write_file(path, &w);
}

static void assert_harmless(const char *text)
{
    struct span rest = span_of(text);
    while (rest.size > 0) {
        size_t size = text_character(rest);
        assert_true(size > 0);
        assert_true(rest.at[0] == '\n' || (rest.at[0] >= 0x20 && rest.at[0] != 0x7f));
        assert_false(rest.at[0] == 0xc2 && rest.at[1] < 0xa0);
        rest = (struct span){rest.at + size, rest.size - size};
    }
}

static void test_the_table_tells_what_the_file_holds(void **state)
{
    (void)state;
    write_model("m.gguf");
    assert_int_equal(RUN("m.gguf"), 0);

    assert_string_equal(err_text, "");
    assert_says(out_text, "file          m.gguf\n");
    assert_says(out_text, "format        gguf, version 3\narchitecture  llama\nname          Small\n");
    assert_says(out_text, "quantization  Q8_0\nkind          generate\nparameters    1312\n");
    assert_says(out_text, "context       2048 tokens\nalignment     32\n");
    assert_says(out_text, "\n  llama.context_length   u32              2048\n");
    assert_says(out_text, "\n  llama.epsilon          f32              1e-05\n");
    assert_says(out_text, "\n  llama.odd              f32              nan\n");
    assert_says(out_text, "\n  llama.least            i64              -9223372036854775808\n");
    assert_says(out_text, "  array of string  [500] \"even\", \"odd\", ");
    assert_says(out_text, ", …\n");
    assert_says(out_text, "\n  token_embd.weight  Q8_0  [32, 40]      1280   1360 ");
    assert_says(out_text, "\n  F32           1 tensors       32 elements      128 B\n");
}

static void test_floats_are_printed_in_the_fewest_digits_that_read_back(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 5);
    write_pair_integer(&w, "a", GGUF_F32, 0x3e99999a);
    write_pair_integer(&w, "b", GGUF_F32, 0x3e99999b);
    write_pair_integer(&w, "c", GGUF_F64, 0x3fd3333333333333);
    write_pair_integer(&w, "d", GGUF_F64, 0x3fd3333333333334);
    write_pair_integer(&w, "e", GGUF_F32, 0xff800000);
    write_file("m.gguf", &w);

    assert_int_equal(RUN("m.gguf"), 0);
    assert_says(out_text, "\n  a  f32  0.3\n  b  f32  0.30000004\n");
    assert_says(out_text, "\n  c  f64  0.3\n  d  f64  0.30000000000000004\n  e  f32  -inf\n");
}

static void test_long_values_are_cut_to_a_row(void **state)
{
    (void)state;
    char text[5001];
    memset(text, 'x', 5000);
    text[5000] = '\0';
    struct writer w = {0};
    write_header(&w, 3, 0, 2);
    write_pair_text(&w, "long", text);
    write_pair_array(&w, "longer", GGUF_STRING, 40);
    for (int i = 0; i < 40; i++)
        write_text(&w, text);
    write_file("m.gguf", &w);

    assert_int_equal(RUN("m.gguf"), 0);
    for (char *line = strtok(out_text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) < 180);
}

static void test_json_holds_everything_and_is_valid(void **state)
{
    (void)state;
    write_model("m.gguf");
    assert_int_equal(RUN("--json", "m.gguf"), 0);

    json_error_t why;
    json_t *j = json_loads(out_text, JSON_REJECT_DUPLICATES, &why),
           *metadata = json_object_get(j, "metadata");
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "format")), "gguf");
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "generate");
    assert_int_equal(json_integer_value(json_object_get(j, "parameters")), 1312);
    assert_int_equal(json_array_size(metadata), 7);
    assert_true(json_is_null(json_object_get(json_array_get(metadata, 4), "value")));
    assert_true(json_integer_value(json_object_get(json_array_get(metadata, 5), "value")) == INT64_MIN);
    const json_t *tokens = json_object_get(json_array_get(metadata, 6), "value");
    assert_int_equal(json_array_size(tokens), 500);
    assert_string_equal(json_string_value(json_array_get(tokens, 499)), "odd");
    const json_t *tensor = json_array_get(json_object_get(j, "tensors"), 0);
    assert_string_equal(json_string_value(json_object_get(tensor, "name")), "token_embd.weight");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(tensor, "shape"), 1)), 40);
    assert_int_equal(json_array_size(json_object_get(j, "types")), 2);
    json_decref(j);
}

static void test_text_from_a_file_reaches_the_terminal_harmless(void **state)
{
    (void)state;
    write_hostile("m.gguf");
    assert_int_equal(RUN("m.gguf"), 0);
    assert_harmless(out_text);
    assert_says(out_text, "\\x1b[2J");

    assert_int_equal(RUN("m.gguf", "--json"), 0);
    assert_harmless(out_text);
    json_error_t why;
    json_t *j = json_loads(out_text, JSON_REJECT_DUPLICATES, &why);
    assert_non_null(j);
    json_decref(j);
}

static void test_a_bad_file_is_told_with_its_reason_and_status_1(void **state)
{
    (void)state;
    scratch_bytes("bad\n.gguf", "GGUF\3\0\0\0", 8);
    assert_int_equal(RUN("bad\n.gguf"), 1);
    assert_string_equal(out_text, "");
    assert_string_equal(err_text,
        "berth: bad\\x0a.gguf: the number of tensors at byte 8 takes 8 bytes, but only 0 "
        "are left\n");
    assert_int_equal(RUN("nowhere"), 1);
    assert_string_equal(err_text, "berth: nowhere: is not there\n");
}

static void test_a_directory_shows_all_its_models_and_fails_for_a_bad_one(void **state)
{
    (void)state;
    write_model("models/one.gguf");
    write_model("models/sub/two.gguf");
    scratch_write("models/plain.bin", "weights");
    assert_int_equal(RUN("models"), 0);
    assert_says(out_text, "file          models/one.gguf\n");
    assert_says(out_text, "\n\nfile          models/sub/two.gguf\n");
    assert_says(out_text, "\n\nfile          models/plain.bin\nsize          7 bytes\nformat        raw");

    scratch_bytes("models/bad.gguf", "GGUF\3\0\0\0", 8);
    assert_int_equal(RUN("models", "--json"), 1);
    assert_says(err_text, "berth: models/bad.gguf: the number of tensors");
    size_t objects = 0;
    for (char *line = strtok(out_text, "\n"); line; line = strtok(NULL, "\n"))
        objects += line[0] == '{' && line[strlen(line) - 1] == '}';
    assert_int_equal(objects, 3);
}

static void test_a_directory_without_models_is_told(void **state)
{
    (void)state;
    assert_return_code(mkdir("empty", 0755), 0);
    assert_int_equal(RUN("empty"), 1);
    assert_string_equal(err_text, "berth: empty: there is no model file in it\n");
}

static void test_a_file_may_be_a_link_that_leads_anywhere(void **state)
{
    (void)state;
    write_model("elsewhere/m.gguf");
    scratch_link("../elsewhere/m.gguf", "here/link.gguf");
    assert_int_equal(RUN("here/link.gguf"), 0);
    assert_says(out_text, "file          here/link.gguf\n");
}

static void test_a_split_model_shows_all_parts(void **state)
{
    (void)state;
    for (unsigned part = 0; part < 2; part++) {
        char name[32];
        struct writer w = {0};
        write_header(&w, 3, 1, 2);
        write_pair_integer(&w, "split.no", GGUF_U16, part);
        write_pair_integer(&w, "split.count", GGUF_U16, 2);
        write_tensor(&w, part ? "second" : "first", DIMS(8), TENSOR_F32, 0);
        write_padding(&w, 32);
        write_zeros(&w, 32);
        snprintf(name, sizeof(name), "m-%05u-of-00002.gguf", part + 1);
        write_file(name, &w);
    }
    assert_int_equal(RUN("m-00001-of-00002.gguf"), 0);
    assert_says(out_text, "parts         m-00001-of-00002.gguf, ");
    assert_says(out_text, "\n              m-00002-of-00002.gguf, ");
    assert_says(out_text, "\n  part 2\n  second ");
    assert_int_equal(RUN("m-00002-of-00002.gguf"), 1);
    assert_says(err_text, "is part 2 of 2; open the first part");
}

static void write_with_sampling(const char *path, const char *architecture)
{
    struct writer w = {0};
    write_header(&w, 3, 0, 5);
    write_pair_text(&w, "general.architecture", architecture);
    write_pair_integer(&w, "general.sampling.temp", GGUF_F32, 0x3f19999a);
    write_pair_u32(&w, "general.sampling.top_k", 20);
    write_pair_text(&w, "general.sampling.sequence", "tk;tp");
    write_pair_u32(&w, "general.other", 7);
    write_padding(&w, 32);
    write_file(path, &w);
}

static void test_support_and_sampling_are_told(void **state)
{
    (void)state;
    write_with_sampling("s.gguf", "qwen2");
    assert_int_equal(RUN("s.gguf"), 0);
    assert_says(out_text, "supported     yes\nsampling      temp 0.6, top_k 20\n");
    assert_int_equal(RUN("s.gguf", "--json"), 0);
    assert_says(out_text, "\"supported\":true");
    assert_says(out_text, "\"sampling\":{\"temp\":0.6,\"top_k\":20}");
    write_with_sampling("o.gguf", "oddity");
    assert_int_equal(RUN("o.gguf"), 0);
    assert_says(out_text, "supported     no: berth does not run this architecture (");
    assert_int_equal(RUN("o.gguf", "--json"), 0);
    assert_says(out_text, "\"supported\":false");
    scratch_bytes("w.bin", (const uint8_t *)"weights", 7);
    assert_int_equal(RUN("w.bin"), 0);
    assert_says(out_text, "format        raw: not a format that berth knows\n");
    assert_says(out_text, "supported     no: only GGUF models and Hugging Face directories are run\n");
}

static void test_wrong_usage_has_status_2_and_help_status_0(void **state)
{
    (void)state;
    assert_int_equal(RUN(NULL), 2);
    assert_says(err_text, "a PATH is needed");
    assert_int_equal(RUN("--jsn", "m.gguf"), 2);
    assert_says(err_text, "unknown option --jsn");
    assert_int_equal(RUN("a", "b"), 2);
    assert_says(err_text, "one PATH at a time, not also b");
    assert_int_equal(RUN("--help"), 0);
    assert_says(out_text, "berth inspect PATH [--json]");
    assert_string_equal(err_text, "");
}

static void test_output_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    write_model("m.gguf");
    assert_int_equal(run_to("/dev/full", (const char *const[]){"m.gguf", NULL}), 1);
    assert_says(err_text, "cannot write to standard output: No space left on device");
}

#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_FILES(test_the_table_tells_what_the_file_holds),
        ON_FILES(test_floats_are_printed_in_the_fewest_digits_that_read_back),
        ON_FILES(test_long_values_are_cut_to_a_row),
        ON_FILES(test_json_holds_everything_and_is_valid),
        ON_FILES(test_text_from_a_file_reaches_the_terminal_harmless),
        ON_FILES(test_a_bad_file_is_told_with_its_reason_and_status_1),
        ON_FILES(test_a_directory_shows_all_its_models_and_fails_for_a_bad_one),
        ON_FILES(test_a_directory_without_models_is_told),
        ON_FILES(test_a_file_may_be_a_link_that_leads_anywhere),
        ON_FILES(test_a_split_model_shows_all_parts),
        ON_FILES(test_support_and_sampling_are_told),
        ON_FILES(test_wrong_usage_has_status_2_and_help_status_0),
        ON_FILES(test_output_that_cannot_be_written_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
