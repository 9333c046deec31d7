/* json_value.h - from a request's JSON to values, and to the variables that a chat template sees. */
#ifndef BERTH_JSON_VALUE_H
#define BERTH_JSON_VALUE_H

#include "berth/base/error.h"
#include "berth/base/value.h"

#include <jansson.h>

/* A copy of `json` in the arena; its strings are VALUE_FROM_MESSAGE. False with the reason when it is nested
 * deeper than VALUE_DEPTH or the arena is full. */
bool json_to_value(struct value_arena *a, const json_t *json, struct value *out, struct error *err);

/* Puts in the place of a string that is JSON what it says; with `objects_only` where that is an object. Other values, and
 * what is nested too deep, stay as they are. */
void json_parse_value(struct value_arena *a, struct value *text, bool objects_only);

/* The variables of a chat request: messages, tools and documents (none where the request has none),
 * add_generation_prompt (true unless the request says otherwise), bos_token and eos_token where they are
 * strings, and every member of chat_template_kwargs, which wins. The rest of the request is not looked at.
 * A message's role is VALUE_FROM_TEMPLATE when it is one of the known words: templates make delimiters of it. Arguments
 * of calls that are JSON become values. The content of a message with calls is a text, empty where it is null or
 * missing; members for calls that are null or an empty list are left out.
 * False with the reason, which names the field, when one of these has a wrong type. */
bool json_chat_variables(struct value_arena *a, const json_t *request, struct value bos, struct value eos,
    struct value *out, struct error *err);

#endif
