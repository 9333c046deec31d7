/* chat_template.c - takes the template and its special tokens from a checkpoint. */
#include "berth/engine/template/chat_template.h"

#include "chat_private.h"

#include <stdlib.h>

/* The text of the token whose id is the key's value; undefined when there is none. Vocabularies of all kinds have the
 * plain text of special tokens. */
static struct value token_text(const struct checkpoint *model, const char *key)
{
    const struct checkpoint_value *tokens = checkpoint_find(model, "tokenizer.ggml.tokens");
    struct error ignored = {0};
    uint64_t id;
    if (checkpoint_get_u64(model, key, &id, &ignored) != CHECKPOINT_GOT || !tokens ||
        !checkpoint_is_array_of(tokens, CHECKPOINT_STRING) || id >= tokens->count)
        return value_undefined;
    struct span text = {NULL, 0};
    size_t pos = 0;
    for (uint64_t i = 0; i <= id; i++)
        text = checkpoint_next_string(tokens->bytes, &pos);
    for (size_t i = 0, size; i < text.size; i += size) {
        size = text_character((struct span){text.at + i, text.size - i});
        if (size == 0)
            return value_undefined;
    }
    return value_borrow(text, VALUE_FROM_TEMPLATE);
}

bool chat_template_read(struct chat_template *c, const struct checkpoint *model, struct error *err)
{
    struct span source;
    *c = (struct chat_template){.bos = token_text(model, "tokenizer.ggml.bos_token_id"),
        .eos = token_text(model, "tokenizer.ggml.eos_token_id")};
    enum checkpoint_got got = checkpoint_chat_template(model, NULL, &source, err);
    if (got == CHECKPOINT_ABSENT)
        return error_set(err, "the file has no chat template (no key tokenizer.chat_template)");
    if (got != CHECKPOINT_GOT)
        return false;
    return chat_template_replace(c, source, err);
}

bool chat_template_replace(struct chat_template *c, struct span source, struct error *err)
{
    chat_template_release(c);
    struct template *parsed = template_parse(source, err);
    if (!parsed)
        return error_prefix(err, "the chat template");
    c->kept = malloc(sizeof(*c->kept));
    if (!c->kept) {
        template_free(parsed);
        return error_set(err, "no memory for the chat template");
    }
    atomic_init(&c->kept->traits, NULL);
    atomic_flag_clear(&c->kept->moved);
    c->parsed = parsed;
    return true;
}

void chat_template_release(struct chat_template *c)
{
    template_free(c->parsed);
    if (c->kept)
        chat_traits_free(atomic_load(&c->kept->traits));
    free(c->kept);
    c->parsed = NULL;
    c->kept = NULL;
}
