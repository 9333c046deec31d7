/* generate.c - `berth generate`: an answer on the terminal, or a conversation, with the server's engine. */
#include "chat_private.h"
#include "find_model_private.h"
#include "flags_private.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- arguments ---- */

static bool take_operands(struct generate_request *g, const struct operands *o, struct error *err)
{
    size_t at = 0;
    if (!g->local.path && o->n > 0 && names_model(o->at[0]))
        g->local.path = o->at[at++];
    if (at < o->n)
        g->prompt = o->at[at++];
    if (at < o->n)
        return error_set(
            err, "one PROMPT at a time, not also \"%s\"; put a PROMPT of several words in quotes", o->at[at]);
    if (g->raw && g->chat)
        return error_set(err, "--raw and --chat exclude each other");
    return true;
}

/* All of standard input as the prompt, without its last line end. NULL with the reason. */
static char *read_prompt(struct error *err)
{
    struct strbuf text;
    ssize_t n;
    size_t size;
    strbuf_init(&text, SESSION_TEXT_MAX);
    for (uint8_t block[4096]; (n = read(STDIN_FILENO, block, sizeof(block))) != 0 && !text.failed;) {
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0)
            strbuf_add(&text, (struct span){block, (size_t)n});
    }
    if (text.failed)
        error_set(err, "standard input has more than %zu bytes, or memory is short", SESSION_TEXT_MAX);
    while (text.size > 0 && strchr("\r\n", text.text[text.size - 1]))
        text.text[--text.size] = '\0';
    if (text.size == 0)
        error_set(err, "a PROMPT is needed, or --chat");
    if (text.size > 0)
        return strbuf_take(&text, &size);
    strbuf_release(&text);
    return NULL;
}

/* Whether standard input is the prompt: PROMPT is "-", or there is none and standard input is no terminal. */
static bool prompt_is_input(const struct generate_request *g)
{
    if (g->prompt)
        return strcmp(g->prompt, "-") == 0;
    return !g->chat && !isatty(STDIN_FILENO);
}

/* ---- the run ---- */

static bool answer(struct session *s, const struct generate_request *g, struct error *err)
{
    /* Without a prompt, on a terminal, a model that can chat starts a conversation. */
    bool chats = g->chat || (!g->prompt && !g->raw && !session_no_chat(s));
    if (chats)
        return chat_run(s, err);
    return g->prompt ? chat_answer_once(s, err) : error_set(err, "a PROMPT is needed");
}

static bool run(const struct generate_request *g, struct error *err)
{
    struct session s;
    if (!session_open(&s, g, err))
        return false;
    bool good = answer(&s, g, err);
    if (!good)
        local_name_file(s.local.path, err);
    session_close(&s);
    return good;
}

int cmd_generate(int argc, char **argv)
{
    struct generate_request g = {.local = local_defaults,
        .temperature = NAN,
        .top_p = NAN,
        .min_p = NAN,
        .repeat_penalty = NAN,
        .top_k = SESSION_UNSET,
        .max_tokens = UINT32_MAX,
        .seed = (uint64_t)time(NULL)};
    struct operands operands;
    struct error err = {0};
    char *input = NULL;
    enum flags_result result = flags_read(&command_generate, argc, argv, &g, &operands, &err);
    bool good = result == FLAGS_READ && take_operands(&g, &operands, &err);
    operands_release(&operands);
    if (result == FLAGS_HELP)
        return command_help(&command_generate);
    if (good && prompt_is_input(&g)) {
        g.prompt = input = read_prompt(&err);
        good = input != NULL;
    }
    if (!good)
        return command_wrong(&command_generate, &err);
    signal(SIGPIPE, SIG_DFL);
    int status = run(&g, &err) ? 0 : command_failed(NULL, &err);
    free(input);
    return status;
}

/* clang-format off */
static const struct command_flag flags[] = {
    {.name = "--chat", .kind = FLAG_SWITCH, .field = offsetof(struct generate_request, chat),
     .help = "start a conversation; PROMPT is its first message"},
    {.name = "--raw", .kind = FLAG_SWITCH, .field = offsetof(struct generate_request, raw),
     .help = "continue PROMPT as it is, without the chat template"},
    {.name = "--system", .value = "TEXT", .kind = FLAG_TEXT, .field = offsetof(struct generate_request, system),
     .help = "the system prompt"},
    {.name = "--max-tokens", .value = "N", .kind = FLAG_COUNT,
     .field = offsetof(struct generate_request, max_tokens), .least = 1, .most = UINT32_MAX,
     .help = "tokens of an answer (default: to the end of the context)"},
    {.name = "--temperature", .value = "T", .kind = FLAG_REAL,
     .field = offsetof(struct generate_request, temperature), .most = 100,
     .help = "0 always takes the most probable token (default 0.8)"},
    {.name = "--top-k", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct generate_request, top_k),
     .most = UINT32_MAX, .help = "sample from the N most probable tokens (default 40; 0: from all)"},
    {.name = "--top-p", .value = "P", .kind = FLAG_REAL, .field = offsetof(struct generate_request, top_p),
     .most = 1, .help = "from the fewest that have this probability together (default 0.95)"},
    {.name = "--min-p", .value = "P", .kind = FLAG_REAL, .field = offsetof(struct generate_request, min_p),
     .most = 1, .help = "from those with this share of the best one's probability\n(default 0.05)"},
    {.name = "--repeat-penalty", .value = "R", .kind = FLAG_REAL,
     .field = offsetof(struct generate_request, repeat_penalty), .least = 0.01, .most = 100,
     .help = "above 1, earlier tokens become less likely (default 1)"},
    {.name = "--seed", .value = "N", .kind = FLAG_COUNT, .field = offsetof(struct generate_request, seed),
     .help = "the same seed gives the same answer (default: from the clock)"},
    {.name = "--stop", .value = "TEXT", .kind = FLAG_TEXTS, .field = offsetof(struct generate_request, stops),
     .help = "end an answer before this text; up to 16 times"},
    {.name = "--ignore-end", .kind = FLAG_SWITCH, .field = offsetof(struct generate_request, ignore_end),
     .help = "continue after the model's end token"},
    {.name = "--special", .kind = FLAG_SWITCH, .field = offsetof(struct generate_request, special),
     .help = "print special tokens too"},
};
/* clang-format on */

const struct command command_generate = {
    .name = "generate",
    .run = cmd_generate,
    .usage = "[-m FILE] [OPTIONS] [PROMPT]",
    .summary = "generate text with a model, or chat with it",
    .about =
        "Prints the model's answer to PROMPT, by its chat template. A model without one continues the text.\n"
        "PROMPT may come from standard input. Without a PROMPT, or with --chat, there is a conversation: each\n"
        "line is a message, and /help lists the commands. Ctrl-C ends an answer; at the prompt it ends the\n"
        "program, as Ctrl-D does.",
    .notes =
        "Sampling settings that are not given are the model's own (general.sampling.* of the file), else the\n"
        "defaults. The speed is printed on standard error.\n"
        "Exit status: 0; 1 when the model cannot be run; 2 for wrong usage.",
    .flags = {{flags, sizeof(flags) / sizeof(flags[0]), 0},
        {local_flags, LOCAL_N_FLAGS, offsetof(struct generate_request, local)}},
    .operand = OPERAND_FILE,
};
