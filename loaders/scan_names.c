/* scan_names.c - the table of names that are no models. Adding one is a row. */
#include "scan_private.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Compared without regard to case. A pattern has at most one star, at the start or at the end. */
static const struct {
    const char *pattern;
    enum name_kind kind;
} names[] = {
    {".*", HIDDEN},
    {"*.md", DOCUMENTATION},
    {"*.txt", DOCUMENTATION},
    {"*.rst", DOCUMENTATION},
    {"*.html", DOCUMENTATION},
    {"*.pdf", DOCUMENTATION},
    {"*.png", DOCUMENTATION},
    {"*.jpg", DOCUMENTATION},
    {"*.jpeg", DOCUMENTATION},
    {"*.svg", DOCUMENTATION},
    {"*.gif", DOCUMENTATION},
    {"*.css", DOCUMENTATION},
    {"license*", DOCUMENTATION},
    {"readme*", DOCUMENTATION},
    {"notice*", DOCUMENTATION},
    {"changelog*", DOCUMENTATION},
    {"authors*", DOCUMENTATION},
    {"*.py", SCRIPT},
    {"*.sh", SCRIPT},
    {"*.ipynb", SCRIPT},
    {"*.js", SCRIPT},
    {"*.ts", SCRIPT},
    {"*.c", SCRIPT},
    {"*.h", SCRIPT},
    {"*.go", SCRIPT},
    {"*.rs", SCRIPT},
    {"*.lua", SCRIPT},
    {"*.pl", SCRIPT},
    {"*.rb", SCRIPT},
    {"*.bat", SCRIPT},
    {"*.ps1", SCRIPT},
    {"makefile", SCRIPT},
    {"dockerfile", SCRIPT},
    {"config.json", SIDE_FILE},
    {"*_config.json", SIDE_FILE},
    {"tokenizer.json", SIDE_FILE},
    {"chat_template.json", SIDE_FILE},
    {"config_sentence_transformers.json", SIDE_FILE},
    {"model_index.json", SIDE_FILE},
    {"trainer_state.json", SIDE_FILE},
    {"*_results.json", SIDE_FILE},
    {"special_tokens_map.json", SIDE_FILE},
    {"added_tokens.json", SIDE_FILE},
    {"vocab.json", SIDE_FILE},
    {"modules.json", SIDE_FILE},
    {"tokenizer.model", SIDE_FILE},
    {"sentencepiece.bpe.model", SIDE_FILE},
    {"spiece.model", SIDE_FILE},
    {"*.tiktoken", SIDE_FILE},
    {"training_args.bin", SIDE_FILE},
    {"*.index.json", SIDE_FILE},
    {"*.jinja", SIDE_FILE},
    {"config.pbtxt", SIDE_FILE},
    {"id_ed25519*", SIDE_FILE},
    {"history", SIDE_FILE},
    {"*.log", SIDE_FILE},
    {"*.lock", SIDE_FILE},
    {"cachedir.tag", SIDE_FILE},
    {"stored_tokens", SIDE_FILE},
    {"sha256sums", SIDE_FILE},
    {"*.sha256", SIDE_FILE},
    {"*.md5", SIDE_FILE},
    {"*.asc", SIDE_FILE},
    {"*.sig", SIDE_FILE},
    {"*.part", UNFINISHED},
    {"*.partial", UNFINISHED},
    {"*.tmp", UNFINISHED},
    {"*.temp", UNFINISHED},
    {"*.incomplete", UNFINISHED},
    {"*.download", UNFINISHED},
    {"*.crdownload", UNFINISHED},
    {"*.aria2", UNFINISHED},
    {"*.swp", UNFINISHED},
    {"*~", UNFINISHED},
    {"lost+found", SYSTEM},
};

#define N_NAMES (sizeof(names) / sizeof(*names))

static bool matches(const char *name, size_t size, const char *pattern)
{
    size_t length = strlen(pattern);
    if (pattern[0] == '*')
        return size >= length - 1 && strcasecmp(name + size - (length - 1), pattern + 1) == 0;
    if (pattern[length - 1] == '*')
        return strncasecmp(name, pattern, length - 1) == 0;
    return strcasecmp(name, pattern) == 0;
}

enum name_kind name_kind(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < N_NAMES; i++)
        if (matches(name, size, names[i].pattern))
            return names[i].kind;
    return MODEL;
}

bool name_kind_is_skipped(enum name_kind kind)
{
    return kind == HIDDEN || kind == UNFINISHED || kind == SYSTEM;
}
