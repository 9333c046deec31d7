/* chat_private.h - a conversation on the terminal. */
#ifndef BERTH_CHAT_PRIVATE_H
#define BERTH_CHAT_PRIVATE_H

#include "session_private.h"

/* Runs a conversation until the input ends; the request's prompt is the first message. On a terminal the conversation goes
 * on after an answer that failed. False with the reason. */
bool chat_run(struct session *s, struct error *err);

/* Answers the request's prompt alone: by the chat template where the model has one, unless the request is raw. */
bool chat_answer_once(struct session *s, struct error *err);

/* One command of a conversation, as "/save". */
struct chat_command {
    const char *name, *argument, *help;
};

/* NULL names end the table. */
extern const struct chat_command chat_commands[];

#endif
