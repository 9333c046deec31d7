/* tokenizer.h - from text to token ids and back, by the vocabulary of a model's file.
 *
 * A tokenizer is read from the keys tokenizer.ggml.* of a file and needs none of its tensors. It never changes once it is
 * made, so any number of threads may use it. It borrows the file's bytes: token texts, scores and merges stay in the
 * mapping.
 *
 * Kinds: "gpt2", byte-level BPE behind one of many pre-tokenizers; "gemma4", BPE of characters; "llama", the BPE of
 * SentencePiece; "t5", its unigram model; "bert", WordPiece; "rwkv"; "plamo2". Ids are those of the reference
 * implementation (llama.cpp), for any bytes, valid UTF-8 or not.
 *
 * Special tokens (those that mark turns, documents, ends) are recognized in text only where the caller allows it, and
 * merges never make one, so a message cannot forge a turn. Tokens that a model's author added as words ("user-defined")
 * are recognized in any text, except that a guard may forbid some of them in messages.
 *
 * A call takes at most 16 bytes for each byte of its text, the ids included, and a fixed amount.
 */
#ifndef BERTH_TOKENIZER_H
#define BERTH_TOKENIZER_H

#include "berth/loaders/checkpoint.h"
#include "berth/base/strbuf.h"

#include <stdatomic.h>

#define TOKENIZER_NONE (-1) /* no such token */
#define TOKENIZER_TEXT_MAX ((size_t)1 << 24) /* bytes of one text; a longer one is refused */

struct tokenizer;

/* Reads the vocabulary. NULL with the reason: no vocabulary, a model or pre-tokenizer that berth does not
 * know (it is named), or one that contradicts itself. `g` and its bytes must live longer. */
struct tokenizer *tokenizer_new(const struct checkpoint *c, struct error *err);
void tokenizer_free(struct tokenizer *t);

struct tokenizer_ids {
    int32_t *at; /* [n] */
    size_t n, room;
    const atomic_bool
        *stop; /* once it is true no more ids are added: tokenizer_encode fails; NULL for never */
};
void tokenizer_ids_release(struct tokenizer_ids *ids);

/* Who wrote a byte of a text. */
enum tokenizer_source {
    TOKENIZER_BY_OTHERS,
    TOKENIZER_BY_TEMPLATE, /* special tokens are recognized here alone */
    TOKENIZER_BY_MODEL, /* an earlier answer, as others have sent it */
};

/* A set of tokens that text by others never becomes: the user-defined ones that a chat template writes around messages.
 * White space is never in it. Tokens that end an answer are guarded in any case. */
struct tokenizer_guard;

struct tokenizer_guard *tokenizer_guard_new(void); /* empty; NULL when memory is short */
void tokenizer_guard_free(struct tokenizer_guard *g); /* NULL is fine */

/* Adds the tokens that the template wrote in a text whose bytes are by `trusted` (enum tokenizer_source). False with the
 * reason when memory is short. */
bool tokenizer_guard_add(struct tokenizer_guard *g, const struct tokenizer *t, struct span text,
    const uint8_t *trusted, struct error *err);

struct tokenizer_text {
    struct span text;
    bool add_special; /* add what the file wants around a text: BOS, EOS */
    bool parse_special; /* recognize special tokens */
    const uint8_t *trusted; /* [text.size] of enum tokenizer_source, or NULL: all of it is by the template */
    const struct tokenizer_guard *guard; /* with `trusted`; NULL for none */
};

/* Appends the ids of the text to `ids`, in time n log n of its size. False with the reason when memory is short or the
 * text is too long; `ids` then holds what it held, and perhaps more. */
bool tokenizer_encode(
    const struct tokenizer *t, const struct tokenizer_text *in, struct tokenizer_ids *ids, struct error *err);

const char *tokenizer_model(const struct tokenizer *t); /* "gpt2", "llama" ... */
const char *tokenizer_pre(const struct tokenizer *t); /* the pre-tokenizer's name; "" where there is none */
size_t tokenizer_size(const struct tokenizer *t); /* ids are 0 … size - 1 */
size_t tokenizer_bytes(const struct tokenizer *t); /* memory it takes */

enum tokenizer_special {
    TOKENIZER_BOS, /* begins a text */
    TOKENIZER_EOS, /* ends one */
    TOKENIZER_EOT, /* ends a turn */
    TOKENIZER_EOM, /* ends a message that a tool is to answer */
    TOKENIZER_UNKNOWN,
    TOKENIZER_PAD,
    TOKENIZER_SEPARATOR, /* ends a text, or stands between two, of an encoder */
    TOKENIZER_MASK,
    TOKENIZER_FIM_PREFIX, /* fill in the middle: before the gap, */
    TOKENIZER_FIM_SUFFIX, /* after it, */
    TOKENIZER_FIM_MIDDLE, /* the gap itself */
    TOKENIZER_FIM_PAD,
    TOKENIZER_FIM_REPOSITORY,
    TOKENIZER_FIM_FILE,
    TOKENIZER_SPECIALS
};

/* The id of a special token, or TOKENIZER_NONE. */
int32_t tokenizer_special(const struct tokenizer *t, enum tokenizer_special which);
bool tokenizer_adds_bos(const struct tokenizer *t);
bool tokenizer_adds_eos(const struct tokenizer *t);

/* True for every token that ends an answer: EOS, EOT and their like. */
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);

/* True for tokens that are marks rather than text: control tokens and the unknown token. */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);

/* The tokens that the file says are never generated: [*n] ids. */
const int32_t *tokenizer_suppressed(const struct tokenizer *t, size_t *n);

/* The token's own text as the file has it ("Ġthe", "<0x0A>"); empty for an id out of range. */
struct span tokenizer_text_of(const struct tokenizer *t, int32_t id);

/* The id of the token whose text in the file this is, or TOKENIZER_NONE. */
int32_t tokenizer_find(const struct tokenizer *t, struct span text);

/* Appends the bytes that a token stands for (" the", "\n"). They need not be whole characters. With `special`, special
 * tokens add their text; without, only those that separate parts of an answer ("<|channel|>") do. Appends nothing for an
 * id out of range. */
void tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, struct strbuf *out);

/* Tokens to text, one by one. The text never ends inside a character: bytes of an incomplete character are held back. */
struct detokenizer {
    const struct tokenizer *tokenizer;
    bool special; /* special tokens as their text; otherwise they are left out */
    bool strip; /* the first token begins a text: leave out the space that the tokenizer puts in front */
    size_t n_held;
    uint8_t held[3];
};

void detokenizer_add(struct detokenizer *d, int32_t id, struct strbuf *out);
/* Appends what is still held, which is no whole character. */
void detokenizer_end(struct detokenizer *d, struct strbuf *out);

#endif
