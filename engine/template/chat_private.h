/* chat_private.h - what a template takes, and messages in that form. */
#ifndef BERTH_CHAT_PRIVATE_H
#define BERTH_CHAT_PRIVATE_H

#include "berth/engine/template/chat.h"

#include <stdatomic.h>

#define CHAT_WRITTEN_MAX 8

/* The results of the probes of a template. Constant once it is made. */
struct chat_traits {
    bool system_parts, other_parts; /* the content of these messages is a list of parts */
    bool knows_developer;
    struct template_text written[CHAT_WRITTEN_MAX]; /* [n_written], see chat_written */
    size_t n_written;
};

/* What a template keeps between renderings. */
struct chat_kept {
    _Atomic(struct chat_traits *) traits; /* NULL until the first use */
    atomic_flag moved; /* the caller has been told that a system text was moved */
};

/* The template's traits, which belong to it. The first call renders the probes. NULL when memory is short. */
const struct chat_traits *chat_traits_of(const struct chat_template *c);
void chat_traits_free(struct chat_traits *t);

/* A copy of a message with the role and the form of content that a template with these traits takes. The content has the
 * origin `origin`. A message that is not a map is returned as it is. */
struct value chat_message(
    struct value_arena *a, const struct chat_traits *t, struct value message, unsigned origin);

/* A list of messages, in place of `messages` in a copy of the variables. */
struct value chat_with_messages(struct value_arena *a, struct value vars, struct value messages);

struct value chat_copy(struct value_arena *a, struct value map); /* one level deep */
/* Two strings with `between` in the middle, of the second one's origin. */
struct value chat_join(struct value_arena *a, struct value first, const char *between, struct value second);

bool chat_is_system(struct value message); /* its role is system or developer */
bool chat_is_answer(struct value message); /* its role is assistant or model */

#endif
