/* tool_models.h - models that recite reasoning, text and calls of tools, for tests of the APIs that tell of them.
 *
 * Include it after events.h and reciting_model.h.
 */
#ifndef BERTH_TESTS_TOOL_MODELS_H
#define BERTH_TESTS_TOOL_MODELS_H

/* A template that tells of a family by a word in a comment, and writes tools, calls, results and earlier reasoning. */
#define TOOL_TEMPLATE(words)                                                                                 \
    "{# " words " #}{% if tools %}{{ tools }}{% endif %}{% for m in messages %}{{ m.role }}: "               \
    "{% if m.reasoning_content %}({{ m.reasoning_content }}) {% endif %}{{ m.content }}"                     \
    "{% for c in m.tool_calls %} [{{ c.id }} {{ c.function.name }} {{ c.function.arguments }}]{% endfor %}"  \
    "{% if m.role == 'tool' %} <{{ m.name }} {{ m.tool_call_id }}>{% endif %}{{ '\\n' }}{% endfor %}"        \
    "{% if add_generation_prompt %}assistant:{% if enable_thinking is defined %} {{ enable_thinking }}"      \
    "{% endif %}{% if reasoning_effort is defined %} {{ reasoning_effort }}{% endif %}{{ '\\n' }}{% endif %}"

/* The thinker reasons, writes and calls; the other calls twice. */
static const struct {
    const char *name, *template, *recites;
} tool_models[] = {
    {"letters", TOOL_TEMPLATE("<tool_call>"), NULL},
    {"thinker", TOOL_TEMPLATE("<tool_call><think>"),
        "<think>\nHm, Rome.\n</think>\n\nI look.\n"
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"},
    {"twice", TOOL_TEMPLATE("<tool_call>"),
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n"
        "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>"},
};

static inline const char *tool_models_volume(void)
{
    const char *dir = temp_dir();
    for (size_t i = 0; i < sizeof(tool_models) / sizeof(tool_models[0]); i++)
        write_tiny_model(dir, text_of("%s.gguf", tool_models[i].name),
            &(struct tiny_model){
                .context = 16384, .template = tool_models[i].template, .recites = tool_models[i].recites});
    return dir;
}

/* Appends "TYPE " to the order of the events, unless the event before was of the same type. */
static inline void note_event(char *order, size_t room, const char *type)
{
    size_t size = strlen(order), last = strlen(type) + 1;
    if (size >= last && strncmp(order + size - last, type, last - 1) == 0 &&
        (size == last || order[size - last - 1] == ' '))
        return;
    assert_true(size + last + 1 < room);
    snprintf(order + size, room - size, "%s ", type);
}

#endif
