/* routes.c - the table of the routes that llama.cpp's server has at the root, and one of vLLM's; how errors are written.
 *
 * Those that are OpenAI's under another path (/models, /chat/completions, /tokenize, /detokenize) are rows of OpenAI's
 * table.
 */
#include "berth/server/routes.h"

#include "llamacpp_private.h"

#include <string.h>

/* Bytes, and never more than --max-body. */
#define LLAMACPP_BODY_MAX ((size_t)8 << 20)

static const char json[] = "application/json";

/* clang-format off */
static const struct route rows[] = {
    {.method = "POST", .path = "/completion", .also = "/completions", .run = llamacpp_completion,
     .slow = true, .body_max = LLAMACPP_BODY_MAX, .field = llamacpp_completion_field, .stream = "text/event-stream",
     .tag = "llama.cpp", .summary = "Goes on with a text",
     .description = "As llama.cpp's; docs/llamacpp.md tells of the fields. /completions is the same.",
     .answers = {{200, "The answer, or events with its parts", json, "Any"},
                 {400, "Something in the request cannot be honoured", json, "LlamaCppError"},
                 {404, "No model has this id", json, "LlamaCppError"}}},
    {.method = "POST", .path = "/infill", .run = llamacpp_infill,
     .slow = true, .body_max = LLAMACPP_BODY_MAX, .field = llamacpp_infill_field, .stream = "text/event-stream",
     .tag = "llama.cpp", .summary = "Writes what stands between two texts",
     .description = "As llama.cpp's: input_prefix, input_suffix, input_extra, and the fields of /completion.",
     .answers = {{200, "The answer, or events with its parts", json, "Any"},
                 {400, "The model has no tokens for it, or something cannot be honoured", json, "LlamaCppError"},
                 {404, "No model has this id", json, "LlamaCppError"}}},
    {.method = "POST", .path = "/apply-template", .run = llamacpp_apply_template,
     .slow = true, .body_max = LLAMACPP_BODY_MAX, .field = completion_params_prompt_field,
     .tag = "llama.cpp", .summary = "The text that the model's template makes of a chat",
     .description = "Takes messages, tools and what else a chat takes.",
     .answers = {{200, "The prompt", json, "Any"},
                 {400, "Something in the request cannot be honoured", json, "LlamaCppError"},
                 {404, "No model has this id", json, "LlamaCppError"}}},
    {.method = "GET", .path = "/props", .run = llamacpp_props, .slow = true,
     .tag = "llama.cpp", .summary = "A model's template, context and sampling settings",
     .description = "?model=NAME says which; it need not where only one can answer.",
     .answers = {{200, "The properties", json, "Any"},
                 {404, "No model has this id", json, "LlamaCppError"}}},
    {.method = "POST", .path = "/props", .run = llamacpp_refused, .body_max = 65536,
     .tag = "llama.cpp", .summary = "Refuses to change properties",
     .description = "A server's settings are its options.",
     .answers = {{403, "This server does not do that", json, "LlamaCppError"}}},
    {.method = "GET", .path = "/slots", .run = llamacpp_slots, .slow = true,
     .tag = "llama.cpp", .summary = "How many of a model's slots are taken",
     .description = "?model=NAME as for /props; with ?fail_on_no_slot=1 it is 503 when none is free. Nobody's text is "
                    "shown.",
     .answers = {{200, "The slots", json, "List"},
                 {404, "No model has this id", json, "LlamaCppError"},
                 {503, "No slot is free", json, "LlamaCppError"}}},
    {.method = "POST", .path = "/slots/{id}", .run = llamacpp_refused, .body_max = 65536,
     .tag = "llama.cpp", .summary = "Refuses to save, restore or erase a slot",
     .description = "Prompts that were read are kept and found again without it.",
     .answers = {{403, "This server does not do that", json, "LlamaCppError"}}},
    {.method = "GET", .path = "/tokenizer_info", .run = llamacpp_tokenizer_info, .slow = true,
     .tag = "vLLM", .summary = "A model's special tokens and chat template",
     .description = "As vLLM's, for clients that render chats themselves; ?model=NAME as for /props.",
     .answers = {{200, "What there is", json, "Any"},
                 {404, "No model has this id", json, "LlamaCppError"}}},
};
/* clang-format on */

static const char *type_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"}, {404, "not_found_error"},
        {501, "not_supported_error"}, {503, "unavailable_error"}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 500 ? "server_error" : "invalid_request_error";
}

static void write_error(
    struct reply *r, unsigned status, const char *message, const char *param, const char *code)
{
    char room[1024];
    const char *type = type_of(status);
    if (code && strcmp(code, "context_length_exceeded") == 0)
        type = "exceed_context_size_error";
    reply_json(r, status,
        json_pack("{s:{s:i, s:s, s:s, s:s?}}", "error", "code", (int)status, "message",
            json_message(message, room, sizeof(room)), "type", type, "param", param));
}

/* No prefix: its paths are at the root, where others are answered as the FastAPI service does. */
const struct dialect llamacpp_dialect = {.error = "LlamaCppError", .needs_key = true, .write = write_error};

const struct route_table llamacpp_routes = {&llamacpp_dialect, rows, sizeof(rows) / sizeof(rows[0])};
