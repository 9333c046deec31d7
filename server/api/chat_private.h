/* chat_private.h - what the files that read a chat request share. */
#ifndef BERTH_CHAT_REQUEST_PRIVATE_H
#define BERTH_CHAT_REQUEST_PRIVATE_H

#include "berth/server/api/chat.h"

#include "fields_private.h"

/* ---- chat_messages.c ---- */

/* True when every message is one that templates can take. */
bool chat_messages_check(const json_t *request, struct api_error *c);

/* Checks `tools` and `functions`, and leaves in `tools` those that the template is to see. */
bool chat_tools_settle(json_t *request, struct api_error *c);

/* ---- chat_prompt.c ---- */

/* `think` and `thinking` are other names for enable_thinking; an object may have a budget beside its type, which becomes
 * reasoning_budget. A request that is settled does not change any more. */
bool chat_thinking_settle(json_t *request, struct api_error *c);

/* ---- chat_tools.c ---- */

/* Brings tools, calls and results among the variables of json_chat_variables into the form that the template takes. */
bool chat_tools_for_template(struct value_arena *a, const struct chat_format *format,
    const struct template *template, struct value *variables, struct error *err);

/* ---- answer_form.c ---- */

/* The grammar of the answer that the request asks for, from the model's kept ones or made here. *grammar is NULL when
 * anything is allowed. `prompt` is the chat's, NULL for completions, which have neither reasoning nor tools. *form gets
 * what a chat reader needs, and points into the prompt. */
bool answer_form_grammar(const struct requested_model *m, const json_t *request, const struct prompt *prompt,
    struct byte_budget *memory, struct grammar **grammar, struct chat_form *form, struct json_notes *notes,
    struct api_error *c);

#endif
