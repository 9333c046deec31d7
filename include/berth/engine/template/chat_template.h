/* chat_template.h - the chat template that a model brings, and the tokens it names.
 *
 * A file without one has none: no other is put in its place.
 */
#ifndef BERTH_CHAT_TEMPLATE_H
#define BERTH_CHAT_TEMPLATE_H

#include "berth/loaders/gguf.h"
#include "berth/engine/template/template.h"

struct chat_template {
    struct template *parsed; /* NULL when the file has none or it failed */
    struct value bos, eos; /* texts of the tokens, or VALUE_UNDEFINED; they lie in the mapped file */
};

/* Reads `tokenizer.chat_template` of the file's keys, and the texts of the tokens that begin and end a
 * sequence. False with the reason when there is no template, or it is not understood. */
bool chat_template_read(struct chat_template *c, const struct gguf *g, struct error *err);
void chat_template_release(struct chat_template *c);

#endif
