/* tokenizer_private.h - what the files of the tokenizer share: the vocabulary, and the session of one call.
 *
 *   tokenizer.c    the table of kinds, the call
 *   vocabulary.c   token texts and the hash that finds them
 *   roles.c        which tokens end a text, which mark a gap, which are marks
 *   special.c      special tokens inside a text
 *   guard.c        tokens that the text of a message never becomes
 *   pretokenize.c  words, for byte-level BPE
 *   repair.c, sentencepiece.c, prefixes.c   what several kinds share
 *   bpe.c, spm.c   kinds that merge, by merge.c; merges.c has the merges that a file lists
 *   wordpiece.c, unigram.c, rwkv.c, plamo2.c   kinds that choose tokens
 */
#ifndef BERTH_TOKENIZER_PRIVATE_H
#define BERTH_TOKENIZER_PRIVATE_H

#include "pretokenizer_private.h"

#include "berth/engine/tokenizer/tokenizer.h"
#include "berth/engine/tokenizer/unicode.h"

#define TOKEN_BYTES_MAX 4096 /* of a token's text */
#define SPECIAL_BYTES_MAX 256 /* of a special token's text */
#define PROBES_MAX 4096 /* steps in a hash table; only a vocabulary of chosen collisions needs more */
#define NO_SLOT UINT32_MAX

/* --- Sets of bits --- */

#define BITS_A_SLOT 8 /* of a hash table that has a set of bits in front of it */

static inline bool bits_hold(const uint8_t *bits, size_t bit)
{
    return bits[bit / 8] >> bit % 8 & 1;
}

static inline void bits_set(uint8_t *bits, size_t bit)
{
    bits[bit / 8] |= (uint8_t)(1u << bit % 8);
}

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
    bool is_end : 1; /* it ends an answer */
    bool is_shown : 1; /* a mark that separates parts of an answer, and is part of its text */
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
    uint8_t *bits; /* a bit for each token's hash: most texts are no tokens */
    size_t bits_mask;
};

/* Makes v->slots and v->longest from the tokens. */
bool vocabulary_index(struct vocabulary *v, struct error *err);
/* The same tokens, without slots. False when memory is short. */
bool vocabulary_copy(struct vocabulary *v, const struct vocabulary *from);
bool vocabulary_read(struct vocabulary *v, const struct checkpoint *c, struct error *err);
void vocabulary_release(struct vocabulary *v);
struct span vocabulary_text(const struct vocabulary *v, size_t id);
int32_t vocabulary_find(const struct vocabulary *v, struct span text);
/* The same, but never a mark, because merges must not make one. */
int32_t vocabulary_find_word(const struct vocabulary *v, struct span text);
/* The same for many texts: the memory of several of them is prefetched before the first is read. */
void vocabulary_find_all(const struct vocabulary *v, const struct span *texts, size_t n, int32_t *ids);
bool vocabulary_is_mark(const struct vocabulary *v, int32_t id); /* a control token, or the unknown one */
bool text_holds(struct span text, const char *lower); /* the letters of `lower`, in any case, somewhere */
uint32_t vocabulary_hash(struct span text);
/* The number of slots for a table of `n` entries: the smallest power of two that leaves at least half as many free. */
size_t vocabulary_slots(size_t n);

/* --- One call --- */

/* A piece of text that may merge with its right neighbour. */
struct symbol {
    uint32_t place, size; /* its bytes in the text */
    int32_t id; /* its token, or TOKENIZER_NONE */
    uint32_t next, previous; /* NO_SYMBOL at the ends */
    uint32_t rank; /* of the merge with the next one, the lowest first; RANK_NONE: they do not merge */
    int32_t merged; /* the token that the merge makes */
    bool by_others; /* any of its bytes is not the template's */
};
#define NO_SYMBOL UINT32_MAX
#define RANK_NONE UINT32_MAX

/* The symbols of a part of a text. */
struct merge_window {
    struct symbol *symbols;
    size_t n, symbols_room;
    size_t from, bytes; /* of the text; 0 bytes: not filled */
};

/* What two tokens merge into; rank RANK_NONE: nothing. */
struct pair_found {
    uint64_t key; /* both, and whether any of their bytes is not the template's */
    uint32_t rank;
    int32_t merged;
};

/* A token that a text begins with, and its bytes. */
struct prefix_found {
    int32_t id;
    uint32_t size;
};

/* The memory of one call of tokenizer_encode. It grows as needed and is freed at the end of the call. */
struct tokenizer_session {
    const struct tokenizer *t;
    const struct tokenizer_guard *guard; /* NULL for none */
    struct tokenizer_ids *ids;
    struct error *err;
    uint8_t *escaped, *marks; /* a fragment with U+2581 for spaces, and who wrote its bytes */
    uint8_t *repaired, *repaired_marks; /* a fragment as UTF-8 */
    int32_t *choices; /* the best token at each character */
    uint32_t *codes; /* code points of a fragment */
    uint8_t *classes; /* of each: enum unicode_class, and WORD_STARTS */
    struct merge_window windows[2];
    unsigned overlap; /* of the next window with this one, as a shift of its bytes */
    uint64_t *heap; /* rank and symbol of pairs that may merge */
    struct pair_found *pairs; /* of bytes merged so far, from some on */
    size_t n_merged;
    struct prefix_found *found; /* [n_found], at a place whose first found_bytes say so */
    size_t n_found, found_room, found_bytes;
    const uint8_t *found_in;
    size_t escaped_room, marks_room, repaired_room, repaired_marks_room;
    size_t choices_room, codes_room, classes_room, heap_room;
    bool by_others; /* any byte of the fragment is not the template's, for kinds that cannot tell which */
    bool is_first; /* the fragment begins the text */
    size_t n_escaped,
        next_symbol; /* of unigram: bytes of the part in `escaped`, where its last character ends, */
    bool in_word, is_prefixed, ends_unknown; /* and how the parts before ended */
};

/* Makes *memory at least n items of `item` bytes large and keeps its content. */
bool session_room(struct tokenizer_session *s, void *memory, size_t *room, size_t n, size_t item);
bool session_add(struct tokenizer_session *s, int32_t id);

/* A text whose symbols merge, and the functions of its kind. The text is not empty. */
struct merge_text {
    struct span text;
    const uint8_t *trusted; /* [text.size], enum tokenizer_source, or NULL: the guard does not apply */
    /* The bytes of the symbol that begins at this place, before any merge. */
    size_t (*size)(struct span text, size_t place);
    /* Its id, or TOKENIZER_NONE. */
    int32_t (*id)(const struct tokenizer_session *s, const struct merge_text *m, const struct symbol *symbol);
    /* Sets rank and merged of the symbol `left` with its next one; rank is RANK_NONE. */
    void (*rank)(const struct tokenizer_session *s, const struct merge_text *m, struct symbol *left,
        const struct symbol *right);
    /* Appends the ids of a symbol after all merges. */
    bool (*emit)(struct tokenizer_session *s, const struct merge_text *m, const struct symbol *symbol);
};

/* Merges the symbols of the text by rank, equal ranks from the left, until no pair merges, and emits them in order. */
bool merge_text(struct tokenizer_session *s, const struct merge_text *m);

/* Whether the text of a message, or of an earlier answer, must not become this token. */
bool tokenizer_is_guarded(const struct tokenizer *t, const struct tokenizer_guard *g, int32_t id);
bool tokenizer_is_guarded_in_answer(const struct tokenizer *t, const struct tokenizer_guard *g, int32_t id);

/* The same, and marks as well. The longest token of "rwkv" and the best ones of "plamo2" may be marks, as in the
 * reference, but not of text by others. */
bool is_forbidden(const struct tokenizer_session *s, int32_t id);

/* --- Words --- */

#define WORD_STARTS 0x80 /* set in a class: a word starts at this code point */

const struct pretokenizer *pretokenizer_find(struct span name);
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
    uint8_t starts[65536 / 8]; /* a bit for each two bytes with which a special token begins */
};

struct special_found {
    size_t from, to; /* white space that belongs to it included */
    int32_t id;
};

bool specials_init(struct specials *x, const struct vocabulary *v, struct error *err);
void specials_release(struct specials *x);
/* Finds the special tokens in a text. *taken shows for each byte whether it belongs to one; the caller frees it. It is
 * NULL when there is none. False when memory is short. */
bool specials_find(
    const struct tokenizer *t, const struct tokenizer_text *in, uint8_t **taken, struct error *err);
/* Finds the first special token at or after *at, and moves *at past it. False when there is none. */
bool specials_next(const struct tokenizer *t, const struct tokenizer_text *in, const uint8_t *taken,
    size_t *at, struct special_found *found);

/* --- Kinds --- */

/* Texts that merges take or make although they are no tokens. */
struct extras {
    uint8_t *bytes;
    struct {
        uint32_t at, size, hash;
    } * at; /* [n] */
    uint32_t *slots; /* [mask + 1] of indices; NO_SLOT: free */
    size_t n, room, n_bytes, bytes_room, mask;
};

struct merge {
    int32_t left, right; /* tokens; from vocabulary.n on extra texts */
    int32_t merged; /* what they become; TOKENIZER_NONE: a mark, so they do not merge */
    uint32_t rank; /* NO_SLOT: free */
};

struct merges {
    struct merge *slots; /* [mask + 1], a hash table of the n merges */
    size_t n, mask;
    uint8_t *bits; /* a bit for each pair's hash: most pairs do not merge */
    size_t bits_mask;
    struct extras extras;
};

bool merges_read(struct tokenizer *t, const struct checkpoint *c, bool may_miss, struct error *err);
void merges_release(struct merges *m);
/* The token or the extra text that this is, but never a mark; TOKENIZER_NONE for neither. */
int32_t merges_find(const struct tokenizer *t, struct span text);
/* The merge of two tokens, or NULL. Either may be TOKENIZER_NONE. */
const struct merge *merges_rank(const struct merges *m, int32_t left, int32_t right);
/* Takes out the merges that make a mark, once it is known which tokens are marks. */
void merges_drop_marks(struct tokenizer *t);

/* Whether any byte of [size] is not the template's; `trusted` may be NULL. */
bool is_by_others(const uint8_t *trusted, size_t size);
/* Replaces a text that is not UTF-8 by a copy in the session, with U+FFFD for each byte that is none. */
bool repair_text(struct tokenizer_session *s, struct span *text, const uint8_t **trusted);

/* The bytes of a character by its first one. Text that is not UTF-8 is cut by it, too, as in the reference. */
size_t symbol_bytes(uint8_t first);
/* The same for the character at a place, within the text. */
size_t symbol_size(struct span text, size_t place);
#define SPACE_MARK_BYTES 3
extern const uint8_t space_mark[SPACE_MARK_BYTES]; /* U+2581 */

enum space_prefix {
    SPACE_PREFIX_NONE,
    SPACE_PREFIX_TEXT, /* in front of the text */
    SPACE_PREFIX_LINES, /* in front of each line that is not empty and begins with no space */
};
/* Replaces the text and who wrote it by a copy in the session, with U+2581 for each space and for each prefix. */
bool escape_spaces(
    struct tokenizer_session *s, struct span *text, const uint8_t **trusted, enum space_prefix prefix);
/* Whether any token has these two bytes side by side; find_joints is called before. */
bool has_joint(const struct tokenizer *t, uint8_t left, uint8_t right);
void find_joints(struct tokenizer *t);
int byte_of_piece(struct span text); /* of "<0x0A>" the 10; -1: none */
int32_t find_byte_piece(const struct vocabulary *v, uint8_t byte);
void sentencepiece_piece(const struct tokenizer *t, int32_t id, struct strbuf *out);
bool read_scores(struct tokenizer *t, const struct checkpoint *c, struct error *err);
float score_of(const struct tokenizer *t, int32_t id); /* 0 where the file has none */

/* --- Tokens that begin a text --- */

#define PREFIX_ALL 0xffu
#define PREFIX_WORDS (PREFIX_ALL & ~(1u << TOKEN_UNKNOWN | 1u << TOKEN_CONTROL)) /* all but marks */

struct prefixes {
    const struct vocabulary *vocabulary;
    unsigned kinds; /* a bit for each enum vocab_token_kind that counts */
    uint8_t *begins, *ends; /* [(mask + 1) / 8] */
    size_t mask;
};

bool prefixes_init(struct prefixes *x, const struct vocabulary *v, unsigned kinds, struct error *err);
void prefixes_release(struct prefixes *x);
size_t prefixes_bytes(const struct prefixes *x);
/* Finds the tokens with which the text goes on at a place: s->found[*n], the shorter ones first. False when memory is
 * short. The text is what it was in the call before, unless s->found_bytes has been set to 0. */
bool prefixes_at(struct tokenizer_session *s, struct span text, size_t at, size_t *n);

enum kind_ends {
    KIND_BY_KEYS, /* BOS and EOS as the file's keys say */
    KIND_WRAPS, /* BOS and the separator, whatever the keys say */
    KIND_ADDS_NOTHING, /* whatever the keys say */
};

struct tokenizer_kind {
    const char *name; /* in tokenizer.ggml.model */
    enum kind_ends ends;
    bool adds_bos, adds_eos; /* where neither the file nor its pre-tokenizer says */
    int32_t bos, eos, unknown, separator, padding,
        mask; /* where the file does not say; TOKENIZER_NONE: none then */
    bool (*read)(struct tokenizer *t, const struct checkpoint *c, struct error *err);
    /* Appends the ids of the text between two special tokens, which is not empty. `trusted` is NULL or [text.size]. */
    bool (*encode)(struct tokenizer_session *s, struct span text, const uint8_t *trusted);
    void (*piece)(const struct tokenizer *t, int32_t id, struct strbuf *out);
};

struct tokenizer {
    const struct tokenizer_kind *kind;
    struct vocabulary vocabulary;
    struct specials specials;
    int32_t special[TOKENIZER_SPECIALS];
    int32_t *suppressed; /* [n_suppressed] */
    size_t n_suppressed;
    bool add_bos, add_eos, space_prefix;
    bool prefix_first; /* of SentencePiece's BPE: the prefix stands at the start of a text alone */

    const struct pretokenizer *pre; /* of byte-level BPE, as are the merges */
    struct merges merges;
    int32_t byte_ids[256]; /* the token of each single byte */

    const uint8_t *scores; /* of SentencePiece: [n] of 4 bytes in the file, at any alignment; NULL: all 0 */
    bool scores_are_integers;
    uint8_t joints[65536 / 8]; /* a bit for each two bytes that a token has side by side */
    int32_t ascii_ids[128]; /* the token of each character of ASCII */

    struct prefixes prefixes; /* of kinds that choose among the tokens at a place */
    bool lowercase, strips_accents; /* of WordPiece */
    bool as_bert; /* texts are cleaned as tokenizers' BertNormalizer does it */
    uint64_t max_word; /* of WordPiece: characters; a longer word is the unknown token; 0: no limit */
    bool joins_spaces; /* of unigram, as what follows */
    float unknown_score;
    struct span charsmap,
        replacements; /* the file's map of characters: units of 4 bytes, texts that end in NUL */
    struct span *user_defined; /* [n_user_defined], sorted */
    size_t n_user_defined;
    struct vocabulary plain; /* of RWKV: texts without escapes, in plain_bytes */
    uint8_t *plain_bytes;
};

extern const struct tokenizer_kind tokenizer_bpe, tokenizer_gemma4, tokenizer_plamo2, tokenizer_rwkv,
    tokenizer_spm, tokenizer_unigram, tokenizer_wordpiece;
/* Finds out which tokens are marks and which end a text, by the file's keys and by the tokens' texts. */
bool tokenizer_read_roles(struct tokenizer *t, const struct checkpoint *c, struct error *err);

/* Reads a key that may be missing. False with the reason when its value has the wrong type. */
bool tokenizer_key_bool(const struct checkpoint *c, const char *key, bool *out, struct error *err);

#endif
