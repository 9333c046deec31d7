/* tokenize.c - text from standard input to token ids, by a model file's vocabulary.
 *
 * It opens the file by the way that the server takes and asks the tokenizer that the server asks, so the ids
 * are those that the model would see. The tensors are not touched, and need not be there.
 */
#include "berth/server/command.h"
#include "berth/loaders/loader.h"
#include "berth/engine/tokenizer/tokenizer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)1 << 30)
#define READ_BYTES ((size_t)1 << 16)
#define PATH_ROOM 4096

static const char usage[] =
    "berth tokenize FILE [--special] [--parse] [--nul] <TEXT\n"
    "\n"
    "Prints the token ids of the text on standard input, by the vocabulary of the GGUF file FILE: one line,\n"
    "a space between two ids. The file needs no tensors.\n"
    "\n"
    "  --special   add what the model wants around a text (BOS, EOS)\n"
    "  --parse     recognize special tokens in the text\n"
    "  --nul       many texts, each ended by a NUL byte; a line of ids each\n"
    "\n"
    "Exit status: 0; 1 when the file cannot be read or its tokenizer is not known; 2 for wrong usage.";

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
        error_set(err, "standard input holds more than %zu bytes, or memory is short", INPUT_MAX);
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

/* The texts of the input, each in its turn. A last one without its NUL counts when it is not empty. */
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
    if (good && (fflush(stdout) != 0 || ferror(stdout)))
        return error_set(err, "cannot write to standard output: %s", strerror(errno));
    return good;
}

static bool tokenize_loaded(struct loaded *l, const struct tokenize_args *r, struct error *err)
{
    if (l->loader != &loader_gguf)
        return error_set(err, "is no GGUF file");
    struct tokenizer *t = tokenizer_new(((struct gguf_model *)l->parsed)->files[0], err);
    bool good = t && tokenize_input(t, r, err) && loaded_intact(l, err);
    tokenizer_free(t);
    return good;
}

static bool tokenize_file(const struct volume *v, const struct tokenize_args *r, struct error *err)
{
    struct loaded l;
    if (!v->single)
        return error_set(err, "is a directory; name a file in it");
    if (!loaded_open(&l, v, v->single, err))
        return false;
    bool good = tokenize_loaded(&l, r, err);
    loaded_close(&l);
    return good;
}

static bool run(const struct tokenize_args *r, struct error *err)
{
    struct volume v;
    if (!mapping_guard(err) || volume_open(&v, r->path, err) != VOLUME_OPEN)
        return false;
    bool good = tokenize_file(&v, r, err);
    volume_close(&v);
    return good;
}

static int wrong(const char *what, const char *argument)
{
    char shown[200];
    text_escape(shown, sizeof(shown), span_of(argument));
    fprintf(stderr, "berth: tokenize: %s%s; see berth tokenize --help\n", what, shown);
    return 2;
}

/* 0, or the exit status when the arguments make no sense, which has been said then. */
static int read_arguments(struct tokenize_args *r, int argc, char **argv)
{
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && strcmp(argv[i], "--special") == 0)
            r->special = true;
        else if (options && strcmp(argv[i], "--parse") == 0)
            r->parse = true;
        else if (options && strcmp(argv[i], "--nul") == 0)
            r->nul = true;
        else if (options && argv[i][0] == '-' && argv[i][1])
            return wrong("unknown option ", argv[i]);
        else if (r->path)
            return wrong("one FILE at a time, not also ", argv[i]);
        else
            r->path = argv[i];
    }
    return r->path ? 0 : wrong("a FILE is needed", "");
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int cmd_tokenize(int argc, char **argv)
{
    struct tokenize_args r = {0};
    struct error err = {0};
    if (asks_for_help(argc, argv))
        return puts(usage) < 0 || fflush(stdout) != 0;
    int status = read_arguments(&r, argc, argv);
    if (status)
        return status;
    signal(SIGPIPE, SIG_DFL);
    if (run(&r, &err))
        return 0;
    char shown[PATH_ROOM];
    text_escape(shown, sizeof(shown), span_of(r.path));
    /* A reason from below begins with the file's name already, or with its path. */
    const char *name = strrchr(shown, '/');
    name = name ? name + 1 : shown;
    bool named = strncmp(err.text, name, strlen(name)) == 0 || strncmp(err.text, shown, strlen(shown)) == 0;
    fprintf(stderr, "berth: %s%s%s\n", named ? "" : shown, named ? "" : ": ", err.text);
    return 1;
}
