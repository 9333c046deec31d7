/* models_shapes.c - the list of models as two clients want it that ask at OpenAI's path.
 *
 * Anthropic's clients send a header anthropic-version and get their own list. Codex looks for the member `models`, and takes
 * from it how large a model's context is, which tools it may offer, and the text that it gives the model as instructions.
 */
#include "models_private.h"

#include <time.h>

static const char codex_instructions[] =
    "You are a coding agent in a terminal on the user's computer. Use the tools to read files and to run commands. "
    "Look at the code before you change it. Change only what the task needs, in the style of the code around it, and "
    "check the result with the project's own tests or build. Go on until the task is done, then tell briefly what you "
    "changed. Ask before anything that cannot be undone.";

/* A time as RFC 3339 has it. */
static json_t *time_of(int64_t seconds)
{
    char text[32];
    time_t at = (time_t)seconds;
    struct tm parts;
    if (!gmtime_r(&at, &parts) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return json_null();
    return json_string(text);
}

static json_t *string_of(struct span text)
{
    return json_stringn((const char *)text.at, text.size);
}

static json_t *number_or_null(uint64_t number)
{
    return number ? json_integer((json_int_t)number) : json_null();
}

json_t *models_anthropic(const struct model *m, struct span id, uint64_t context)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:n}", "type", "model", "id", string_of(id),
        "display_name", string_of(id), "created_at", time_of(m->created), "lifecycle", "active",
        "max_input_tokens", number_or_null(context), "max_tokens", number_or_null(context), "capabilities");
}

json_t *models_anthropic_list(json_t *data)
{
    size_t n = json_array_size(data);
    const json_t *first = json_object_get(json_array_get(data, 0), "id");
    const json_t *last = json_object_get(json_array_get(data, n - 1), "id");
    return json_pack("{s:s?, s:s?, s:b, s:o}", "first_id", json_string_value(first), "last_id",
        json_string_value(last), "has_more", 0, "data", data);
}

json_t *models_anthropic_unknown(const char *message, const char *request_id)
{
    return json_pack("{s:s, s:{s:s, s:s}, s:s?}", "type", "error", "error", "type", "not_found_error",
        "message", message, "request_id", request_id);
}

json_t *models_codex(struct span id, uint64_t context)
{
    json_t *model = json_pack("{s:o, s:o, s:n, s:[], s:s, s:s, s:b, s:i, s:n, s:n, s:s}", "slug",
        string_of(id), "display_name", string_of(id), "description", "supported_reasoning_levels",
        "shell_type", "shell_command", "visibility", "list", "supported_in_api", 1, "priority", 1,
        "availability_nux", "upgrade", "base_instructions", codex_instructions);
    json_t *more =
        json_pack("{s:b, s:b, s:n, s:n, s:{s:s, s:i}, s:b, s:o, s:[], s:[s]}", "supports_reasoning_summaries",
            1, "support_verbosity", 0, "default_verbosity", "apply_patch_tool_type", "truncation_policy",
            "mode", "bytes", "limit", 10000, "supports_parallel_tool_calls", 1, "context_window",
            number_or_null(context), "experimental_supported_tools", "input_modalities", "text");
    json_object_update(model, more);
    json_decref(more);
    return model;
}
