/* tokenize.c - prints the token ids of the text on standard input, by a model file's vocabulary.
 *
 * The file is opened and its tokenizer is made as in the server, so the ids are those that the model would get. The
 * tensors are not read, and may be missing.
 */
#include "find_model_private.h"
#include "flags_private.h"

#include "berth/loaders/loader.h"
#include "berth/engine/tokenizer/tokenizer.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)1 << 30)
#define READ_BYTES ((size_t)1 << 16)

struct tokenize_args {
    const char *path;
    bool special, parse, nul;
};

/* All of standard input, which the caller frees. NULL with the reason. */
static char *read_input(size_t *size, struct error *err)
{
    struct strbuf b;
    strbuf_init(&b, INPUT_MAX);
    for (;;) {
        uint8_t block[READ_BYTES];
        ssize_t n = read(STDIN_FILENO, block, sizeof(block));
        if (n > 0)
            strbuf_add(&b, (struct span){block, (size_t)n});
        if (n < 0 && errno != EINTR) {
            error_set(err, "cannot read standard input: %s", strerror(errno));
            strbuf_release(&b);
            return NULL;
        }
        if (n == 0 || b.failed)
            break;
    }
    if (b.failed)
        error_set(err, "standard input has more than %zu bytes, or memory is short", INPUT_MAX);
    return strbuf_take(&b, size);
}

static bool print_ids(
    const struct tokenizer *t, const struct tokenize_args *r, struct span text, struct error *err)
{
    struct tokenizer_ids ids = {0};
    const struct tokenizer_text in = {.text = text, .add_special = r->special, .parse_special = r->parse};
    bool good = tokenizer_encode(t, &in, &ids, err);
    for (size_t i = 0; good && i < ids.n; i++)
        printf("%s%d", i ? " " : "", ids.at[i]);
    if (good)
        putchar('\n');
    tokenizer_ids_release(&ids);
    return good;
}

/* Prints the ids of each text of the input. A last text without a NUL is printed when it is not empty. */
static bool print_texts(
    const struct tokenizer *t, const struct tokenize_args *r, struct span input, struct error *err)
{
    if (!r->nul)
        return print_ids(t, r, input, err);
    for (size_t at = 0; at < input.size;) {
        const uint8_t *end = memchr(input.at + at, 0, input.size - at);
        size_t size = end ? (size_t)(end - input.at) - at : input.size - at;
        if (!print_ids(t, r, (struct span){input.at + at, size}, err))
            return false;
        at += size + 1;
    }
    return true;
}

static bool tokenize_input(const struct tokenizer *t, const struct tokenize_args *r, struct error *err)
{
    size_t size = 0;
    char *input = read_input(&size, err);
    bool good = input && print_texts(t, r, (struct span){(const uint8_t *)input, size}, err);
    free(input);
    return good && flush_output(err);
}

static bool tokenize_loaded(struct loaded *l, const struct tokenize_args *r, struct error *err)
{
    if (!l->checkpoint)
        return error_set(err, "is not a model in a format that berth can run");
    struct tokenizer *t = tokenizer_new(l->checkpoint, err);
    bool good = t && tokenize_input(t, r, err) && loaded_intact(l, err);
    tokenizer_free(t);
    return good;
}

static bool tokenize_file(const struct volume *v, const struct tokenize_args *r, struct error *err)
{
    struct loaded l;
    if (!loaded_open(&l, v, v->single, err))
        return false;
    bool good = tokenize_loaded(&l, r, err);
    loaded_close(&l);
    return good;
}

static bool run(const char *path, const struct tokenize_args *r, struct error *err)
{
    struct volume v;
    if (!mapping_guard(err) || volume_open(&v, path, err) != VOLUME_OPEN)
        return false;
    bool good = tokenize_file(&v, r, err);
    volume_close(&v);
    return good;
}

static bool take_operand(struct tokenize_args *r, const struct operands *o, struct error *err)
{
    size_t n = o->n + (r->path != NULL);
    if (n > 1)
        return error_set(
            err, "one FILE at a time, not also %s; the text comes from standard input", o->at[o->n - 1]);
    if (n == 0)
        return error_set(err, "a FILE is needed");
    if (!r->path)
        r->path = o->at[0];
    return true;
}

int cmd_tokenize(int argc, char **argv)
{
    struct tokenize_args r = {0};
    struct operands operands;
    struct error err = {0};
    enum flags_result result = flags_read(&command_tokenize, argc, argv, &r, &operands, &err);
    bool good = result == FLAGS_READ && take_operand(&r, &operands, &err);
    operands_release(&operands);
    if (result == FLAGS_HELP)
        return command_help(&command_tokenize);
    if (!good)
        return command_wrong(&command_tokenize, &err);
    signal(SIGPIPE, SIG_DFL);
    char *path = find_model(r.path, &err);
    good = path && run(path, &r, &err);
    int status = good ? 0 : command_failed(r.path, &err);
    free(path);
    return status;
}

static const struct command_flag flags[] = {
    {.name = "--special",
        .kind = FLAG_SWITCH,
        .field = offsetof(struct tokenize_args, special),
        .help = "add the tokens that the model wants around a text (BOS, EOS)"},
    {.name = "--parse",
        .kind = FLAG_SWITCH,
        .field = offsetof(struct tokenize_args, parse),
        .help = "recognize special tokens in the text"},
    {.name = "--nul",
        .kind = FLAG_SWITCH,
        .field = offsetof(struct tokenize_args, nul),
        .help = "many texts, each ended by a NUL byte; a line of ids each"},
    {.name = "--model",
        .letter = "-m",
        .value = "FILE",
        .kind = FLAG_TEXT,
        .field = offsetof(struct tokenize_args, path),
        .help = "the same as FILE"},
};

const struct command command_tokenize = {
    .name = "tokenize",
    .run = cmd_tokenize,
    .usage = "FILE [OPTIONS] <TEXT",
    .summary = "print the token ids of a text",
    .about =
        "Prints the token ids of the text on standard input, by the vocabulary of the GGUF file FILE: one line,\n"
        "a space between two ids. The file needs no tensors.",
    .notes =
        "Exit status: 0; 1 when the file cannot be read or its tokenizer is not supported; 2 for wrong usage.",
    .flags = {{flags, sizeof(flags) / sizeof(flags[0]), 0}},
    .operand = OPERAND_FILE,
};
