/* tokenizer_private.h - what the files of the tokenizer share: the vocabulary, and what one call works with.
 *
 *   tokenizer.c    the table of kinds, the call
 *   vocabulary.c   token texts and the hash that finds them
 *   roles.c        which tokens end a text, mark a gap, are marks at all
 *   special.c      special tokens inside a text
 *   guard.c        tokens that the text of a message never becomes
 *   pretokenize.c  words, for byte-level BPE
 *   bpe.c, spm.c   the two kinds; both merge by merge.c
 */
#ifndef BERTH_TOKENIZER_PRIVATE_H
#define BERTH_TOKENIZER_PRIVATE_H

#include "berth/engine/tokenizer/tokenizer.h"

#define TOKEN_BYTES_MAX 4096 /* of a token's text */
#define SPECIAL_BYTES_MAX 256 /* of a special token's text */
#define PROBES_MAX 4096 /* steps in a hash table; a vocabulary that needs more was made for that */
#define NO_SLOT UINT32_MAX

/* --- Vocabulary --- */

enum vocab_token_kind { /* the numbers of tokenizer.ggml.token_type */
    TOKEN_UNDEFINED = 0,
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

struct vocab_token {
    uint32_t at; /* of its text, in vocabulary.bytes */
    uint16_t size;
    uint8_t kind; /* enum vocab_token_kind */
    bool is_end : 1; /* a model that says this has said all */
    bool is_shown : 1; /* a mark that parts an answer: it is part of the text */
    bool strip_left : 1, strip_right : 1; /* white space on this side of it belongs to it */
};

struct vocabulary {
    struct span bytes; /* the array of texts, in the file */
    struct vocab_token *tokens; /* [n] */
    size_t n;
    size_t longest; /* bytes of the longest text */
    struct {
        uint32_t hash, id; /* id NO_SLOT: free */
    } * slots; /* [mask + 1] */
    size_t mask;
};

bool vocabulary_read(struct vocabulary *v, const struct checkpoint *c, struct error *err);
void vocabulary_release(struct vocabulary *v);
struct span vocabulary_text(const struct vocabulary *v, size_t id);
int32_t vocabulary_find(const struct vocabulary *v, struct span text);
/* The same, but never a mark: no words add up to one. */
int32_t vocabulary_find_word(const struct vocabulary *v, struct span text);
/* The same for many texts: the memory of several of them is requested before the first is read. */
void vocabulary_find_all(const struct vocabulary *v, const struct span *texts, size_t n, int32_t *ids);
bool vocabulary_is_mark(const struct vocabulary *v, int32_t id); /* a control token, or the unknown one */
bool text_holds(struct span text, const char *lower); /* the letters of `lower`, in any case, somewhere */
/* The smallest power of two with room for `n` and half as many free. */
size_t vocabulary_slots(size_t n);

/* --- One call --- */

/* A piece of text that may merge with its right neighbour. */
struct symbol {
    uint32_t place; /* where it begins in the merge_text */
    uint32_t source; /* the same for the kind, which knows what it counts */
    uint32_t at, size; /* its bytes in the window, for kinds that merge by text */
    int32_t id; /* its token, or TOKENIZER_NONE */
    uint32_t next, previous; /* NO_SYMBOL at the ends */
    uint32_t rank; /* of merging it with the next one, the lower the sooner; RANK_NONE: never */
    int32_t merged; /* the token that gives */
    uint8_t within; /* with `source` */
    bool by_others; /* any of its bytes is not the template's */
};
#define NO_SYMBOL UINT32_MAX
#define RANK_NONE UINT32_MAX

/* The symbols of a part of a text. */
struct merge_window {
    struct symbol *symbols;
    uint8_t *bytes; /* for kinds that merge by text */
    size_t symbols_room, bytes_room;
    struct symbol from; /* what the window begins at: its place, source and within */
};

/* All that one call to tokenizer_encode works with; grows as needed, freed at its end. */
struct tokenizer_session {
    const struct tokenizer *t;
    const struct tokenizer_guard *guard; /* NULL for none */
    struct tokenizer_ids *ids;
    struct error *err;
    uint32_t *codes; /* code points of a fragment */
    uint8_t *classes; /* of each: enum unicode_class, and WORD_STARTS */
    struct merge_window windows[2];
    uint64_t *heap; /* rank and symbol of pairs that may merge */
    size_t codes_room, classes_room, heap_room;
};

/* Makes *memory at least n items of `item` bytes large, what was in it stays. */
bool session_room(struct tokenizer_session *s, void *memory, size_t *room, size_t n, size_t item);
bool session_add(struct tokenizer_session *s, int32_t id);

/* Sets rank and merged of the symbol `left` with its next one, which exists. */
typedef void merge_rank(const struct tokenizer_session *s, const struct merge_window *w, struct symbol *left,
    const struct symbol *right);

/* A text whose symbols merge, and how a kind does that. Places are numbered through from 0; each symbol begins at one. */
struct merge_text {
    struct span text;
    const uint8_t *trusted; /* [text.size], enum tokenizer_source, or NULL: the guard does not apply */
    size_t places;
    /* Makes the *n symbols of the places from w->from.place to `end`, linked in order. A symbol begins at the first one;
     * one that begins before `end` is made whole. False when memory is short. */
    bool (*link)(struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w, size_t end,
        size_t *n);
    merge_rank *rank;
    /* Adds the ids of a symbol that merges no more. */
    bool (*emit)(struct tokenizer_session *s, const struct merge_window *w, const struct symbol *symbol);
};

/* Merges the symbols of the text by rank and then from the left, until none merges any more, and emits them in order. */
bool merge_text(struct tokenizer_session *s, const struct merge_text *m);

/* Whether the guard keeps this token from standing for the text of a message, or of an earlier answer. */
bool tokenizer_is_guarded(const struct tokenizer *t, const struct tokenizer_guard *g, int32_t id);
bool tokenizer_is_guarded_in_answer(const struct tokenizer *t, const struct tokenizer_guard *g, int32_t id);

/* --- Words --- */

#define WORD_STARTS 0x80 /* set in a class: a word starts at this code point */

struct pretokenizer;
const struct pretokenizer *pretokenizer_find(struct span name);
const char *pretokenizer_name(const struct pretokenizer *p);
bool pretokenizer_ignores_merges(const struct pretokenizer *p); /* a word that is a token is that token */
bool pretokenizer_adds_bos(const struct pretokenizer *p); /* where the file does not say */
/* Marks with WORD_STARTS where words start; codes and classes are [n]. */
void pretokenize(const struct pretokenizer *p, const uint32_t *codes, uint8_t *classes, size_t n);

/* --- Special tokens inside a text --- */

struct specials {
    int32_t *ids; /* [n], the longest text first */
    size_t n;
    struct {
        uint64_t hash;
        int32_t id;
    } * slots; /* [mask + 1] */
    size_t mask;
    uint8_t first[256]; /* whether a special token begins with this byte */
};

struct special_found {
    size_t from, to; /* white space that belongs to it included */
    int32_t id;
};

bool specials_init(struct specials *x, const struct vocabulary *v, struct error *err);
void specials_release(struct specials *x);
/* Looks for the special tokens in a text. *taken says of each byte whether it belongs to one; it is the caller's to free,
 * and NULL when there is none. False when memory is short. */
bool specials_find(
    const struct tokenizer *t, const struct tokenizer_text *in, uint8_t **taken, struct error *err);
/* The first special token at *at or behind it, and *at moves past it. False when there is none. */
bool specials_next(const struct tokenizer *t, const struct tokenizer_text *in, const uint8_t *taken,
    size_t *at, struct special_found *found);

/* --- Kinds --- */

struct merges {
    struct {
        int32_t left, right, merged;
    } * at; /* [n], by rank */
    size_t n;
    uint32_t *slots; /* [mask + 1] of ranks; NO_SLOT: free */
    size_t mask;
};

struct tokenizer_kind {
    const char *name; /* in tokenizer.ggml.model */
    bool adds_bos; /* where neither the file nor its pre-tokenizer says */
    int32_t bos, eos, unknown; /* where the file does not say; TOKENIZER_NONE: none then */
    bool (*read)(struct tokenizer *t, const struct checkpoint *c, struct error *err);
    /* Adds the ids of what lies between two special tokens, which is not empty. `trusted` is NULL or [text.size]. */
    bool (*encode)(struct tokenizer_session *s, struct span text, const uint8_t *trusted);
    void (*piece)(const struct tokenizer *t, int32_t id, struct strbuf *out);
};

struct tokenizer {
    const struct tokenizer_kind *kind;
    const struct pretokenizer *pre; /* NULL for kinds without */
    struct vocabulary vocabulary;
    struct specials specials;
    struct merges merges; /* of byte-level BPE */
    const uint8_t *scores; /* of SentencePiece: [n] floats in the file, at any alignment; NULL: all 0 */
    int32_t byte_ids[256]; /* the token of each single byte */
    int32_t special[TOKENIZER_SPECIALS];
    bool add_bos, add_eos, space_prefix;
};

extern const struct tokenizer_kind tokenizer_bpe, tokenizer_spm;
/* Which tokens are marks, and which end a text: by the file's keys, and by their texts. */
bool tokenizer_read_roles(struct tokenizer *t, const struct checkpoint *c, struct error *err);
void tokenizer_bpe_release(struct tokenizer *t);

/* A key that may be missing; false with the reason when it is there and wrong. */
bool tokenizer_key_bool(const struct checkpoint *c, const char *key, bool *out, struct error *err);

#endif
