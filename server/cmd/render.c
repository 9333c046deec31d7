/* render.c - prints the prompt that a chat request becomes.
 *
 * The template is the model's own, or a file that has only a template. So a prompt, or the reason why a template fails, can
 * be seen without a model.
 */
#include "find_model_private.h"
#include "flags_private.h"

#include "berth/engine/template/chat.h"
#include "berth/loaders/loader.h"
#include "berth/server/command.h"
#include "berth/server/api/json_value.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUEST_MAX ((size_t)16 << 20)
#define MEMORY_MAX ((size_t)512 << 20)

/* Reads all of standard input. NULL with the reason; the caller frees the text. */
static char *read_request(size_t *size, struct error *err)
{
    size_t room = (size_t)1 << 16;
    char *text = malloc(room);
    for (*size = 0; text;) {
        *size += fread(text + *size, 1, room - *size, stdin);
        if (*size < room)
            break;
        char *more = room < REQUEST_MAX ? realloc(text, room * 2) : NULL;
        if (!more) {
            free(text);
            error_set(err, "standard input: the request has more than %zu bytes", room);
            return NULL;
        }
        text = more;
        room *= 2;
    }
    if (text && !ferror(stdin))
        return text;
    error_set(err, "cannot read standard input: %s", strerror(errno));
    free(text);
    return NULL;
}

static json_t *parse_request(struct error *err)
{
    size_t size;
    json_error_t wrong;
    char *text = read_request(&size, err);
    if (!text)
        return NULL;
    json_t *request = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
    if (!request)
        error_set(err, "standard input, line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
    free(text);
    return request;
}

static bool print(const struct chat_template *c, const json_t *request, struct error *err)
{
    struct value vars;
    struct chat_prompt prompt;
    struct value_arena *arena = value_arena_new(MEMORY_MAX);
    bool good = arena ? json_chat_variables(arena, request, c->bos, c->eos, &vars, err)
                      : error_set(err, "no memory for the request");
    if (good && !chat_render(c, arena, vars, (int64_t)time(NULL), &prompt, err))
        good = prompt.refused == CHAT_NO_MESSAGE ? error_prefix(err, "the chat template") : false;
    if (good) {
        fwrite(prompt.text.text, 1, prompt.text.size, stdout);
        template_text_release(&prompt.text);
        good = flush_output(err);
    }
    value_arena_free(arena);
    return good;
}

/* The template of a loaded file: the model's own, or the file itself when it is no model. */
static bool read_template(struct chat_template *c, const struct loaded *l, struct error *err)
{
    if (l->checkpoint)
        return chat_template_read(c, l->checkpoint, err);
    *c = (struct chat_template){.bos = value_undefined, .eos = value_undefined};
    return chat_template_replace(c, mapping_bytes(l->maps[0]), err);
}

static bool render(const char *path, struct error *err)
{
    struct volume v;
    struct loaded l;
    struct chat_template c;
    if (!mapping_guard(err) || volume_open(&v, path, err) != VOLUME_OPEN)
        return false;
    if (!loaded_open(&l, &v, v.single, err)) {
        volume_close(&v);
        return false;
    }
    bool good = read_template(&c, &l, err);
    if (good) {
        json_t *request = parse_request(err);
        good = request && print(&c, request, err) && loaded_intact(&l, err);
        json_decref(request);
    }
    chat_template_release(&c);
    loaded_close(&l);
    volume_close(&v);
    return good;
}

struct render_args {
    const char *path;
};

static bool take_operand(struct render_args *r, const struct operands *o, struct error *err)
{
    if (o->n + (r->path != NULL) != 1)
        return error_set(err, "one FILE is needed; the request comes from standard input");
    if (!r->path)
        r->path = o->at[0];
    return true;
}

int cmd_render(int argc, char **argv)
{
    struct render_args r = {0};
    struct operands operands;
    struct error err = {0};
    enum flags_result result = flags_read(&command_render, argc, argv, &r, &operands, &err);
    bool good = result == FLAGS_READ && take_operand(&r, &operands, &err);
    operands_release(&operands);
    if (result == FLAGS_HELP)
        return command_help(&command_render);
    if (!good)
        return command_wrong(&command_render, &err);
    char *path = find_model(r.path, &err);
    good = path && render(path, &err);
    int status = good ? 0 : command_failed(r.path, &err);
    free(path);
    return status;
}

static const struct command_flag flags[] = {
    {.name = "--model",
        .letter = "-m",
        .value = "FILE",
        .kind = FLAG_TEXT,
        .field = offsetof(struct render_args, path),
        .help = "the same as FILE"},
};

const struct command command_render = {
    .name = "render",
    .run = cmd_render,
    .usage = "FILE <REQUEST",
    .summary = "print the prompt that a chat request becomes",
    .about =
        "Reads a chat request as JSON from standard input and prints the prompt that a chat template makes of it.\n"
        "FILE is a GGUF file, whose own template and tokens are used, or a file that holds a template.\n"
        "\n"
        "  {\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}],\n"
        "   \"tools\": [], \"documents\": [], \"add_generation_prompt\": true, \"chat_template_kwargs\": {}}\n"
        "\n"
        "Only messages is required. The members of chat_template_kwargs become variables of the template, as\n"
        "bos_token and eos_token for a template that comes without a model.",
    .notes = "Exit status: 0; 1 when the file, the template or the request is at fault; 2 for wrong usage.",
    .flags = {{flags, sizeof(flags) / sizeof(flags[0]), 0}},
    .operand = OPERAND_FILE,
};
