/* routes.c - the table of OpenAI's API, and how its errors are written. */
#include "berth/server/routes.h"

#include "openai_private.h"
#include "responses_private.h"

/* Bytes, and never more than --max-body. What a body is read into can be twenty times as large. */
#define OPENAI_BODY_MAX ((size_t)8 << 20)

static const char json[] = "application/json";

/* clang-format off */
static const struct route rows[] = {
    {.method = "GET", .path = "/v1/models", .also = "/models", .run = openai_models,
     .tag = "models", .summary = "The models on the volume",
     .description = "OpenAI's list, each model with what berth knows of it; failed ones too, with the "
                    "reason, last.",
     .answers = {{200, "All models", json, "ModelList"}}},
    {.method = "GET", .path = "/v1/models/{id}", .run = openai_model,
     .tag = "models", .summary = "One model",
     .description = "The id may contain slashes, as they are or as %2F.",
     .answers = {{200, "The model", json, "Model"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/chat/completions", .also = "/chat/completions", .run = openai_chat,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = completion_params_chat_field,
     .stream = "text/event-stream",
     .tag = "answers", .summary = "Goes on with a chat",
     .description = "As OpenAI's, whole or as a stream of events; docs/openai.md tells of every field.",
     .answers = {{200, "The answer, or events with its chunks", json, "ChatCompletion"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/completions", .run = openai_completions,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = completion_params_text_field,
     .stream = "text/event-stream",
     .tag = "answers", .summary = "Goes on with a text",
     .description = "As OpenAI's, whole or as a stream of events; docs/openai.md tells of every field.",
     .answers = {{200, "The answers, or events with their chunks", json, "Completion"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/embeddings", .also = "/embeddings", .run = openai_embeddings,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = openai_embeddings_field,
     .tag = "embeddings", .summary = "Vectors of texts",
     .description = "As OpenAI's; docs/embeddings.md tells of every field.",
     .answers = {{200, "A vector for each text, in their order", json, "EmbeddingList"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/responses", .run = openai_responses,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = responses_field, .stream = "text/event-stream",
     .tag = "answers", .summary = "Goes on with a chat, as the Responses API",
     .description = "Whole or as a stream of events; docs/responses.md tells of every field.",
     .answers = {{200, "The response, or events that tell of it", json, "Response"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/responses/input_tokens", .run = openai_responses_input_tokens,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = responses_field,
     .tag = "tokens", .summary = "How many tokens the prompt of a response has",
     .description = "Takes the request that /v1/responses would get.",
     .answers = {{200, "The number", json, "InputTokens"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/responses/compact", .run = openai_responses_compact,
     .body_max = OPENAI_BODY_MAX,
     .tag = "answers", .summary = "Is refused: conversations are not made shorter here",
     .description = "OpenAI's answer has a summary that only OpenAI can read.",
     .answers = {{404, "It is not supported", json, "OpenAIError"}}},
    {.method = "GET", .path = "/v1/responses/{id}", .run = openai_response,
     .tag = "answers", .summary = "A response that is kept",
     .description = "With --store, until it is deleted or the memory is needed for newer ones.",
     .answers = {{200, "The response", json, "Response"},
                 {400, "Something in the query cannot be honoured", json, "OpenAIError"},
                 {404, "No response that is kept has this id", json, "OpenAIError"}}},
    {.method = "DELETE", .path = "/v1/responses/{id}", .run = openai_response_delete,
     .tag = "answers", .summary = "Deletes a response that is kept",
     .description = "Responses that go on from it stay whole.",
     .answers = {{200, "It is deleted", json, "Any"},
                 {404, "No response that is kept has this id", json, "OpenAIError"}}},
    {.method = "GET", .path = "/v1/responses/{id}/input_items", .run = openai_response_input_items, .slow = true,
     .tag = "answers", .summary = "The items that a response was made from",
     .description = "Those of all the conversation before it, too. Takes limit (1 to 100), order (asc or desc) and "
                    "after (an id) in the query.",
     .answers = {{200, "A page of the items", json, "Any"},
                 {400, "Something in the query cannot be honoured", json, "OpenAIError"},
                 {404, "No response that is kept has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/chat/completions/render", .run = openai_render_chat,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = completion_params_chat_field,
     .tag = "tokens", .summary = "The token ids of a chat",
     .description = "As vLLM's: what /v1/chat/completions would send to the model, and how it would sample.",
     .answers = {{200, "The ids and the sampling parameters", json, "Any"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/completions/render", .run = openai_render_completions,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = completion_params_text_field,
     .tag = "tokens", .summary = "The token ids of prompts",
     .description = "As vLLM's: a list with an entry for each prompt of /v1/completions.",
     .answers = {{200, "The ids and the sampling parameters", json, "List"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/tokenize", .also = "/tokenize", .run = openai_tokenize,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = openai_tokenize_field,
     .tag = "tokens", .summary = "The token ids of a text or a chat",
     .description = "Takes text, prompt, content or messages, and how special tokens are read, in the names of "
                    "llama.cpp and of vLLM; /tokenize is the same.",
     .answers = {{200, "The ids", json, "Tokens"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
    {.method = "POST", .path = "/v1/detokenize", .also = "/detokenize", .run = openai_detokenize,
     .slow = true, .body_max = OPENAI_BODY_MAX, .field = openai_detokenize_field,
     .tag = "tokens", .summary = "The text of token ids",
     .description = "Takes tokens, and special: whether special tokens are shown, as they are at /detokenize.",
     .answers = {{200, "The text", json, "Text"},
                 {400, "Something in the request cannot be honoured", json, "OpenAIError"},
                 {404, "No model has this id", json, "OpenAIError"}}},
};
/* clang-format on */

static const char *type_of(unsigned status)
{
    return status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
}

static void write_error(
    struct reply *r, unsigned status, const char *message, const char *param, const char *code)
{
    char room[1024];
    /* By this code, clients know an error after which they may try again. */
    if (status == 429 && !code)
        code = "rate_limit_exceeded";
    reply_json(r, status,
        json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", json_message(message, room, sizeof(room)),
            "type", type_of(status), "param", param, "code", code));
}

/* Where Docker Model Runner has this API. */
static const char *const more_prefixes[] = {"/engines/v1", "/engines/llama.cpp/v1", NULL};

const struct dialect openai_dialect = {.prefix = "/v1",
    .more_prefixes = more_prefixes,
    .error = "OpenAIError",
    .needs_key = true,
    .write = write_error};

const struct route_table openai_routes = {&openai_dialect, rows, sizeof(rows) / sizeof(rows[0])};
