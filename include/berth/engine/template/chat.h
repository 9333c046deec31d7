/* chat.h - from the messages of a chat to a prompt, by a model's template, without losing a message.
 *
 * Templates differ in what they take: content as a string or as a list of parts, a role "developer" or none. Short probes
 * are rendered when a template is first used, to find out what it takes. Each prompt is checked for text of every system,
 * developer, user and tool message. Messages of the assistant are not checked: templates leave earlier reasoning out on
 * purpose.
 */
#ifndef BERTH_CHAT_H
#define BERTH_CHAT_H

#include "berth/engine/template/chat_template.h"

#define CHAT_NO_MESSAGE SIZE_MAX

struct chat_prompt {
    struct template_text text; /* empty after a failure */
    size_t refused; /* after a failure: the message that is at fault, or CHAT_NO_MESSAGE */
    /* A system text was moved to the first user's text, for the first time with this template. */
    bool moved_first;
};

/* Renders the template with the variables `vars` of json_chat_variables, allocating in `a`.
 *   - "developer" becomes "system" where the template does not know that role.
 *   - A content is a string, or a list of parts {"type": "text", "text": …}; it is given as the template takes it.
 *     Parts that become a string are joined by newlines.
 *   - A message of which the prompt shows no byte is rendered once more with another text. Where the prompt stays the
 *     same, the message is lost. A lost system text is put in front of the first user's text. Any other lost message
 *     fails.
 * False with the reason when that fails, or template_render does. From any thread. */
bool chat_render(const struct chat_template *c, struct value_arena *a, struct value vars, int64_t now,
    struct chat_prompt *out, struct error *err);

/* Prompts of plain messages of system, user and assistant, *n of them: they show what the template writes around
 * messages. They belong to the template. NULL when memory is short. */
const struct template_text *chat_written(const struct chat_template *c, size_t *n);

#endif
