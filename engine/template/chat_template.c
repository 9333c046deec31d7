/* chat_template.c - takes template and special tokens out of a GGUF file's keys. */
#include "berth/engine/template/chat_template.h"

#include "chat_private.h"

#include <stdlib.h>

/* The text of the token whose id the key holds; undefined when there is none such. A vocabulary keeps
 * special tokens as they are written, in any kind of tokenizer. */
static struct value token_text(const struct gguf *g, const char *key)
{
    const struct gguf_pair *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    struct error ignored = {0};
    uint64_t id;
    if (gguf_get_u64(g, key, &id, &ignored) != GGUF_GOT || !tokens || tokens->type != GGUF_ARRAY ||
        tokens->item != GGUF_STRING || id >= tokens->count)
        return value_undefined;
    struct span text = {NULL, 0};
    size_t pos = 0;
    for (uint64_t i = 0; i <= id; i++)
        text = gguf_next_string(tokens, &pos);
    for (size_t i = 0, size; i < text.size; i += size) {
        size = text_character((struct span){text.at + i, text.size - i});
        if (size == 0)
            return value_undefined;
    }
    return value_borrow(text, VALUE_FROM_TEMPLATE);
}

bool chat_template_read(struct chat_template *c, const struct gguf *g, struct error *err)
{
    struct span source;
    *c = (struct chat_template){.bos = token_text(g, "tokenizer.ggml.bos_token_id"),
        .eos = token_text(g, "tokenizer.ggml.eos_token_id")};
    enum gguf_got got = gguf_get_text(g, "tokenizer.chat_template", &source, err);
    if (got == GGUF_ABSENT)
        return error_set(err, "the file has no chat template (no key tokenizer.chat_template)");
    if (got != GGUF_GOT)
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
