/* render.c - prints the prompt that a chat request becomes.
 *
 * The template is the model's own, or a file with nothing else in it: what is sent to the model can be seen
 * before there is a model, and why a template fails, too.
 */
#include "berth/engine/template/chat_template.h"
#include "berth/server/command.h"
#include "berth/server/openai/json_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUEST_MAX ((size_t)16 << 20)
#define MEMORY_MAX ((size_t)512 << 20)

static const char usage[] =
    "berth render FILE\n"
    "\n"
    "Reads a chat request as JSON from standard input and prints the prompt that the template makes of it.\n"
    "FILE is a GGUF file, whose own template and tokens are taken, or a file that holds a template.\n"
    "\n"
    "  {\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}],\n"
    "   \"tools\": [], \"documents\": [], \"add_generation_prompt\": true, \"chat_template_kwargs\": {}}\n"
    "\n"
    "Only messages must be there. Members of chat_template_kwargs become variables of the template:\n"
    "bos_token and eos_token for one that comes without a model.\n"
    "\n"
    "Exit status: 0; 1 when file, template or request is at fault; 2 for wrong usage.";

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
    json_t *request = json_loadb(text, size, JSON_REJECT_DUPLICATES, &wrong);
    if (!request)
        error_set(err, "standard input, line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
    free(text);
    return request;
}

static bool print(const struct chat_template *c, const json_t *request, struct error *err)
{
    struct value vars;
    struct template_text prompt;
    struct value_arena *arena = value_arena_new(MEMORY_MAX);
    bool good = arena ? json_chat_variables(arena, request, c->bos, c->eos, &vars, err)
                      : error_set(err, "no memory for the request");
    if (good && !template_render(c->parsed, vars, (int64_t)time(NULL), NULL, &prompt, err))
        good = error_prefix(err, "the chat template");
    if (good) {
        fwrite(prompt.text, 1, prompt.size, stdout);
        template_text_release(&prompt);
        if (fflush(stdout) != 0 || ferror(stdout))
            good = error_set(err, "cannot write to standard output: %s", strerror(errno));
    }
    value_arena_free(arena);
    return good;
}

/* The template of a loaded file: the model's own, or the file itself when it is no model. */
static bool read_template(struct chat_template *c, const struct loaded *l, struct error *err)
{
    if (l->loader == &loader_gguf)
        return chat_template_read(c, ((const struct gguf_model *)l->parsed)->files[0], err);
    *c = (struct chat_template){.bos = value_undefined, .eos = value_undefined};
    c->parsed = template_parse(mapping_bytes(l->maps[0]), err);
    return c->parsed != NULL || error_prefix(err, "the chat template");
}

static bool render(const char *path, struct error *err)
{
    struct volume v;
    struct loaded l;
    if (!mapping_guard(err) || volume_open(&v, path, err) != VOLUME_OPEN)
        return false;
    if (!v.single || !loaded_open(&l, &v, v.single, err)) {
        bool directory = !v.single;
        volume_close(&v);
        return directory ? error_set(err, "a file is needed, and this is a directory") : false;
    }
    struct chat_template c;
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

int cmd_render(int argc, char **argv)
{
    char shown[400];
    struct error err = {0};
    const char *path = argc > 1 ? argv[1] : "";
    if (argc == 2 && (strcmp(path, "--help") == 0 || strcmp(path, "-h") == 0))
        return puts(usage) < 0 || fflush(stdout) != 0;
    if (argc == 3 && strcmp(path, "--") == 0)
        path = argv[2];
    else if (argc != 2 || (path[0] == '-' && path[1])) {
        fprintf(stderr, "berth: render: one FILE is needed; see berth render --help\n");
        return 2;
    }
    if (render(path, &err))
        return 0;
    size_t size = text_escape(shown, sizeof(shown), span_of(path));
    bool named = strncmp(err.text, shown, size) == 0 && strncmp(err.text + size, ": ", 2) == 0;
    fprintf(stderr, "berth: %s: %s\n", shown, named ? err.text + size + 2 : err.text);
    return 1;
}
