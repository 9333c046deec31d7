/* chat.c - a conversation on the terminal: messages, commands, and what happens when the context is full.
 *
 * The conversation is a chat request as the server takes it. Before each answer all of it is rendered and tokenized; the
 * engine takes the earlier turns from its prefix cache. When it does not fit the context any more, the oldest turns are
 * dropped, with a note.
 */
#include "chat_private.h"

#include "flags_private.h"
#include "line_edit_private.h"

#include "berth/base/near.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROMPT "> "
#define ANSWER_SHARE 4 /* a quarter of the context is kept for the answer */

struct chat {
    struct session *session;
    json_t *request; /* {"messages": [...]} */
    struct line_edit *editor; /* NULL: lines are read as they come */
    struct strbuf typed; /* without an editor: bytes of standard input that are not used yet */
    char *saved; /* the file of the last /save */
    bool asks; /* input comes from a terminal */
    bool ended; /* /exit */
};

/* ---- messages ---- */

static json_t *messages_of(const struct chat *c)
{
    return json_object_get(c->request, "messages");
}

static bool add_message(struct chat *c, const char *role, struct span text)
{
    return json_array_append_new(messages_of(c),
               json_pack("{s:s, s:s%}", "role", role, "content", (const char *)text.at, text.size)) == 0;
}

static bool has_role(const json_t *message, const char *role)
{
    const char *own = json_string_value(json_object_get(message, "role"));
    return own && strcmp(own, role) == 0;
}

static bool has_system(const struct chat *c)
{
    return has_role(json_array_get(messages_of(c), 0), "system");
}

static bool set_system(struct chat *c, struct span text)
{
    json_t *message = json_pack("{s:s, s:s%}", "role", "system", "content", (const char *)text.at, text.size);
    if (!message)
        return false;
    if (has_system(c))
        json_array_remove(messages_of(c), 0);
    return json_array_insert_new(messages_of(c), 0, message) == 0;
}

/* Drops the oldest message and those after it up to the next one of the user. Returns how many; 0 when only the last
 * message is left. */
static size_t drop_turn(struct chat *c)
{
    size_t first = has_system(c), n = 0;
    while (first + 1 < json_array_size(messages_of(c))) {
        if (n > 0 && has_role(json_array_get(messages_of(c), first), "user"))
            break;
        json_array_remove(messages_of(c), first);
        n++;
    }
    return n;
}

/* ---- answers ---- */

/* The ids of the conversation, with the oldest turns dropped until there is room for an answer. */
static bool fit(struct chat *c, struct tokenizer_ids *ids, struct error *err)
{
    size_t context = session_context(c->session), room = context / ANSWER_SHARE, dropped = 0;
    if (room > c->session->request->max_tokens)
        room = (size_t)c->session->request->max_tokens;
    for (;;) {
        tokenizer_ids_release(ids);
        if (!session_chat_ids(c->session, c->request, ids, err))
            return false;
        size_t n = ids->n + room > context ? drop_turn(c) : 0;
        if (n == 0)
            break;
        dropped += n;
    }
    if (dropped > 0)
        fprintf(stderr, "(the context of %zu tokens is full: the oldest %zu messages were dropped)\n",
            context, dropped);
    if (ids->n < context)
        return true;
    return error_set(
        err, "the message has %zu tokens with the template, and the context %zu", ids->n, context);
}

/* Adds a message and its answer. When that fails the message is removed. */
static bool turn(struct chat *c, struct span text, struct error *err)
{
    struct strbuf said;
    struct tokenizer_ids ids = {0};
    strbuf_init(&said, SESSION_TEXT_MAX);
    bool added = add_message(c, "user", text) || error_set(err, "the message is not UTF-8");
    bool good = added && fit(c, &ids, err) && session_answer(c->session, &ids, &said, err);
    /* An answer that is not UTF-8 is kept as an empty one. */
    if (good && !add_message(c, "assistant", (struct span){(const uint8_t *)said.text, said.size}))
        good = add_message(c, "assistant", span_of(""));
    if (added && !good)
        json_array_remove(messages_of(c), json_array_size(messages_of(c)) - 1);
    tokenizer_ids_release(&ids);
    strbuf_release(&said);
    return good;
}

static bool open_chat(struct chat *c, struct session *s, struct error *err)
{
    const char *system = s->request->system;
    *c = (struct chat){.session = s, .request = json_pack("{s:[]}", "messages")};
    strbuf_init(&c->typed, SESSION_TEXT_MAX);
    if (!c->request)
        return error_set(err, "memory is short");
    return !system || set_system(c, span_of(system)) || error_set(err, "--system takes UTF-8");
}

static void close_chat(struct chat *c)
{
    line_edit_close(c->editor);
    json_decref(c->request);
    strbuf_release(&c->typed);
    free(c->saved);
}

/* Continues the prompt as plain text. */
static bool answer_raw(struct session *s, struct error *err)
{
    struct strbuf said;
    struct tokenizer_ids ids = {0};
    strbuf_init(&said, SESSION_TEXT_MAX);
    bool good =
        session_text_ids(s, span_of(s->request->prompt), &ids, err) && session_answer(s, &ids, &said, err);
    tokenizer_ids_release(&ids);
    strbuf_release(&said);
    return good;
}

bool chat_answer_once(struct session *s, struct error *err)
{
    struct chat c;
    bool raw = s->request->raw || session_no_chat(s);
    if (raw && s->request->system)
        return error_set(err, "--system needs a chat template%s%s",
            s->request->raw ? ", and --raw does without it" : ": ",
            s->request->raw ? "" : session_no_chat(s));
    if (raw)
        return answer_raw(s, err);
    bool good = open_chat(&c, s, err) && turn(&c, span_of(s->request->prompt), err);
    close_chat(&c);
    return good;
}

/* ---- commands ---- */

const struct chat_command chat_commands[] = {
    {"/help", "", "list these commands"},
    {"/clear", "", "clear the conversation; the system prompt stays"},
    {"/system", " [TEXT]", "set the system prompt, or show it"},
    {"/save", " FILE", "write the conversation as a chat request, in JSON"},
    {"/exit", "", "end; so does Ctrl-D"},
    {NULL, NULL, NULL},
};

static void do_help(struct chat *c, struct span argument)
{
    (void)c;
    (void)argument;
    for (size_t i = 0; chat_commands[i].name; i++) {
        int used = fprintf(stderr, "  %s%s", chat_commands[i].name, chat_commands[i].argument);
        fprintf(stderr, "%*s%s\n", 20 - used, "", chat_commands[i].help);
    }
    fputs("Ctrl-C ends an answer. Up brings back earlier lines; Alt-Enter begins a new line of a message.\n",
        stderr);
}

static void do_clear(struct chat *c, struct span argument)
{
    (void)argument;
    while (json_array_size(messages_of(c)) > (size_t)has_system(c))
        json_array_remove(messages_of(c), json_array_size(messages_of(c)) - 1);
    fputs("The conversation was cleared.\n", stderr);
}

static void do_system(struct chat *c, struct span argument)
{
    const json_t *text = json_object_get(json_array_get(messages_of(c), 0), "content");
    if (argument.size > 0)
        fputs(set_system(c, argument) ? "The system prompt is set.\n" : "The text is not UTF-8.\n", stderr);
    else if (has_system(c))
        fprintf(stderr, "%s\n", json_string_value(text));
    else
        fputs("There is no system prompt; /system TEXT sets one.\n", stderr);
}

static void do_save(struct chat *c, struct span argument)
{
    char *path = argument.size ? strndup((const char *)argument.at, argument.size) : NULL;
    if (!path && c->saved && argument.size == 0)
        path = strdup(c->saved);
    if (!path) {
        fputs("Name a file: /save FILE\n", stderr);
        return;
    }
    /* A file that this conversation has written may be overwritten, no other. */
    bool again = c->saved && strcmp(c->saved, path) == 0;
    FILE *file = fopen(path, again ? "w" : "wx");
    bool good = file && json_dumpf(c->request, file, JSON_INDENT(2)) == 0 && fputc('\n', file) != EOF;
    int code = errno;
    if (file && fclose(file) != 0) {
        good = false;
        code = errno;
    }
    fprintf(stderr, good ? "%s was written.\n" : "%s: %s\n", path, strerror(code));
    if (good) {
        free(c->saved);
        c->saved = path;
    } else {
        free(path);
    }
}

static void do_exit(struct chat *c, struct span argument)
{
    (void)argument;
    c->ended = true;
}

static const struct {
    const char *name;
    void (*run)(struct chat *c, struct span argument);
} actions[] = {{"/help", do_help}, {"/?", do_help}, {"/clear", do_clear}, {"/system", do_system},
    {"/save", do_save}, {"/exit", do_exit}, {"/quit", do_exit}, {"/bye", do_exit}};

static struct span trimmed(struct span s)
{
    while (s.size > 0 && strchr(" \t\r\n", s.at[s.size - 1]))
        s.size--;
    while (s.size > 0 && strchr(" \t\r\n", s.at[0])) {
        s.at++;
        s.size--;
    }
    return s;
}

/* Whether `word` could only be a command: a slash and letters. A path has another slash. */
static bool looks_like_command(struct span word)
{
    for (size_t i = 1; i < word.size; i++)
        if (!((word.at[i] | 0x20) >= 'a' && (word.at[i] | 0x20) <= 'z'))
            return false;
    return word.size > 1;
}

static void say_unknown(struct span word)
{
    char shown[100];
    struct near near = near_begin((struct span){word.at + 1, word.size - 1});
    for (size_t i = 0; chat_commands[i].name; i++)
        near_try(&near, chat_commands[i].name + 1);
    text_escape(shown, sizeof(shown), word);
    if (near.name)
        fprintf(stderr, "There is no command %s; did you mean /%s?\n", shown, near.name);
    else
        fprintf(stderr, "There is no command %s; /help lists them.\n", shown);
}

/* Runs `line` when it is a command. False when it is a message. */
static bool run_command(struct chat *c, struct span line)
{
    struct span word = {line.at, 0}, argument;
    if (line.size == 0 || line.at[0] != '/')
        return false;
    while (word.size < line.size && !strchr(" \t\n", line.at[word.size]))
        word.size++;
    argument = trimmed((struct span){line.at + word.size, line.size - word.size});
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (span_is(word, actions[i].name)) {
            actions[i].run(c, argument);
            return true;
        }
    }
    if (!c->asks || !looks_like_command(word))
        return false;
    say_unknown(word);
    return true;
}

/* ---- input ---- */

/* The next line of standard input, without its end, in `line`. */
static enum line_result read_plain(struct chat *c, struct strbuf *line)
{
    struct pollfd fds[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN}, {.fd = c->session->signals, .events = POLLIN}};
    struct strbuf *typed = &c->typed;
    for (;;) {
        uint8_t block[4096];
        const char *end = memchr(typed->text, '\n', typed->size);
        size_t size = end ? (size_t)(end - typed->text) : typed->size;
        ssize_t n = 1;
        if (!end && poll(fds, 2, -1) < 0 && errno != EINTR)
            return LINE_END;
        if (!end && fds[1].revents)
            return LINE_SIGNALLED;
        if (!end && fds[0].revents)
            n = read(STDIN_FILENO, block, sizeof(block));
        if (end || (n <= 0 && size > 0)) {
            strbuf_add(line, (struct span){(const uint8_t *)typed->text, size});
            typed->size -= size + (end != NULL);
            memmove(typed->text, typed->text + size + (end != NULL), typed->size + 1);
            return LINE_READ;
        }
        if (n <= 0 || typed->failed)
            return LINE_END;
        if (fds[0].revents)
            strbuf_add(typed, (struct span){block, (size_t)n});
    }
}

static enum line_result read_line(struct chat *c, struct strbuf *line)
{
    line->size = 0;
    line->text[0] = '\0';
    if (c->editor)
        return line_edit_read(c->editor, PROMPT, c->session->signals, line);
    if (c->asks)
        fputs(PROMPT, stderr);
    return read_plain(c, line);
}

/* ---- the conversation ---- */

static void print_banner(const struct chat *c)
{
    const struct model_info *info = &c->session->local.loaded.info;
    char path[400];
    text_escape(path, sizeof(path), span_of(c->session->local.path));
    fprintf(stderr, "%s (%s%s%s), context %zu tokens.\nCommands: ", info->name[0] ? info->name : path,
        info->architecture, info->quantization[0] ? " " : "", info->quantization,
        session_context(c->session));
    for (size_t i = 0; chat_commands[i].name; i++)
        fprintf(stderr, "%s%s%s", i ? ", " : "", chat_commands[i].name, chat_commands[i].argument);
    fputs(".\n", stderr);
}

/* A message that fails ends the conversation, except on a terminal. */
static bool take_turn(struct chat *c, struct span text, struct error *err)
{
    if (turn(c, text, err))
        return true;
    if (!c->asks || c->session->ending)
        return false;
    fprintf(stderr, "berth: %s\n", err->text);
    err->text[0] = '\0';
    return true;
}

static bool take_line(struct chat *c, struct span line, struct error *err)
{
    struct span text = trimmed(line);
    if (text.size == 0)
        return true;
    if (c->editor)
        line_edit_remember(c->editor, text);
    return run_command(c, text) || take_turn(c, line, err);
}

static bool converse(struct chat *c, struct error *err)
{
    struct strbuf line;
    bool good = true;
    strbuf_init(&line, SESSION_TEXT_MAX);
    while (good && !c->ended && !c->session->ending) {
        if (c->asks)
            fputs("\n", stderr);
        enum line_result result = read_line(c, &line);
        if (result == LINE_SIGNALLED && !session_interrupted(c->session))
            continue;
        if (result != LINE_READ)
            break;
        good = take_line(c, (struct span){(const uint8_t *)line.text, line.size}, err);
    }
    strbuf_release(&line);
    return good;
}

bool chat_run(struct session *s, struct error *err)
{
    struct chat c;
    const char *reason = session_no_chat(s);
    if (reason)
        return error_set(err, "%s", reason);
    bool good = open_chat(&c, s, err);
    c.asks = isatty(STDIN_FILENO);
    c.editor = c.asks ? line_edit_open(STDIN_FILENO, STDERR_FILENO) : NULL;
    if (good && c.asks)
        print_banner(&c);
    if (good && s->request->prompt)
        good = take_turn(&c, span_of(s->request->prompt), err);
    good = good && converse(&c, err);
    close_chat(&c);
    return good;
}
