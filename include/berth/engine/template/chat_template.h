/* chat_template.h - the chat template of a model's file, and the tokens that it names.
 *
 * There is no built-in template for a file without one.
 */
#ifndef BERTH_CHAT_TEMPLATE_H
#define BERTH_CHAT_TEMPLATE_H

#include "berth/loaders/checkpoint.h"
#include "berth/engine/template/template.h"

struct chat_kept; /* results of the probes, see chat.h */

struct chat_template {
    struct template *parsed; /* NULL when the file has none or it failed */
    struct value bos, eos; /* texts of the tokens, or VALUE_UNDEFINED; they lie in the mapped file */
    struct chat_kept *kept; /* not NULL where `parsed` is not */
};

/* Reads `tokenizer.chat_template` of the file's keys, and the texts of the tokens that begin and end a
 * sequence. False with the reason when there is no template, or it is not understood. */
bool chat_template_read(struct chat_template *c, const struct checkpoint *model, struct error *err);

/* Parses `source` in place of the template that `c` has; its tokens stay. False with the reason, and without a template,
 * when it is not understood. */
bool chat_template_replace(struct chat_template *c, struct span source, struct error *err);
void chat_template_release(struct chat_template *c);

#endif
