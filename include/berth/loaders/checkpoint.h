/* checkpoint.h - what the engine reads of a model, whatever the format of its files.
 *
 * A checkpoint is a table of typed values, a table of tensors and a list of side files. A loader fills it and
 * the engine reads it; neither knows the other. All formats use GGUF's names: "general.architecture",
 * "llama.block_count", "tokenizer.ggml.tokens", "blk.0.attn_q.weight". A loader whose format has other names
 * translates them. Keys that GGUF does not have, and that loaders of other formats write:
 *
 *   ARCHITECTURE.rope.halves                bool: element i of a head is paired with element i + n/2, not with its
 *                                           neighbour, whatever the architecture's GGUF files do
 *   tokenizer.ggml.lstrip_token_ids         arrays of ids: white space on the left, or the right, of these tokens belongs
 *   tokenizer.ggml.rstrip_token_ids         to them. Where the first is there, token_type tells all marks
 *   tokenizer.ggml.end_token_ids            array of ids: these tokens end an answer, beside those that other keys name
 *   tokenizer.ggml.space_prefix_first       bool: the prefix of add_space_prefix stands at the start of a text alone, and
 *                                           not behind special tokens in it
 *   tokenizer.ggml.bert_normalizer          bool: WordPiece cleans a text as BertNormalizer of tokenizers does: Hangul
 *                                           syllables become all of their letters where accents are dropped, and control
 *                                           characters but tab and line ends are left out. Without it, as programs
 *                                           do that read GGUF
 *   tokenizer.ggml.max_word_characters      of WordPiece: a longer word is the unknown token
 *
 * Every span points into a mapped file or into memory that the loader owns. It is valid until the model is
 * closed. A mapped file can change at any time, so a reader checks each length in it again.
 */
#ifndef BERTH_CHECKPOINT_H
#define BERTH_CHECKPOINT_H

#include "berth/base/error.h"
#include "berth/base/tensor.h"

enum checkpoint_kind {
    CHECKPOINT_UNSIGNED,
    CHECKPOINT_SIGNED, /* two's complement */
    CHECKPOINT_REAL, /* IEEE 754, width 4 or 8 */
    CHECKPOINT_BOOL, /* one byte, 0 or 1 */
    CHECKPOINT_STRING /* UTF-8 by convention; unchecked */
};

/* A value, or an array of values of one kind. */
struct checkpoint_value {
    struct span key;
    enum checkpoint_kind kind; /* of the value; of each item of an array */
    uint8_t width; /* bytes of a number: 1, 2, 4 or 8; 0 for strings */
    bool is_array;
    uint64_t count; /* items of an array; 1 otherwise */
    /* Numbers are little-endian, at any alignment, without gaps. A string is its bytes. In an array of strings
     * each string stands behind its length, an unsigned number of 8 bytes. */
    struct span bytes;
    uint64_t offset; /* of the value in its file, for messages; 0 when it lies in no file */
    const char *type; /* the format's name of the type, for messages: "u32", "array" */
};

/* A file that lies beside the weights and that the engine may ask for: "preprocessor_config.json". */
struct checkpoint_file {
    struct span name; /* path below the model's directory */
    struct span bytes;
};

/* The tables are allocated with malloc and owned by the checkpoint. Their spans are not. */
struct checkpoint {
    struct checkpoint_value *values; /* [n_values], sorted by key */
    size_t n_values;
    struct tensor *tensors; /* [n_tensors], in the order of the files */
    size_t n_tensors;
    const struct tensor **by_name; /* [n_tensors], sorted by name */
    struct checkpoint_file *files; /* [n_files], in any order; GGUF has none */
    size_t n_files;
};

/* ---- for loaders ---- */

/* Completes a checkpoint whose values and tensors are filled in, in any order: sorts the values and makes
 * `by_name`. False with the reason, which names the key or the tensor, when one appears twice or when there
 * is no memory. */
bool checkpoint_index(struct checkpoint *c, struct error *err);

/* Frees the tables and empties the checkpoint. */
void checkpoint_release(struct checkpoint *c);

/* ---- for the engine ---- */

/* Writes the value of `key` to *out and returns CHECKPOINT_GOT. Otherwise *out does not change: CHECKPOINT_ABSENT when
 * there is no such key; CHECKPOINT_WRONG, with the reason, when the value has another kind or does not fit. An integer of
 * any width is a u64 when it is not negative; a real of any width is an f64. */
enum checkpoint_got { CHECKPOINT_GOT, CHECKPOINT_ABSENT, CHECKPOINT_WRONG };
enum checkpoint_got checkpoint_get_u64(
    const struct checkpoint *c, const char *key, uint64_t *out, struct error *err);
enum checkpoint_got checkpoint_get_f64(
    const struct checkpoint *c, const char *key, double *out, struct error *err);
enum checkpoint_got checkpoint_get_bool(
    const struct checkpoint *c, const char *key, bool *out, struct error *err);
enum checkpoint_got checkpoint_get_text(
    const struct checkpoint *c, const char *key, struct span *out, struct error *err);

/* The source of a chat template. `name` is NULL for the default one; a model may have others, such as "tool_use". Results
 * as above. */
enum checkpoint_got checkpoint_chat_template(
    const struct checkpoint *c, const char *name, struct span *out, struct error *err);

/* The value with this key, for arrays above all, or NULL. */
const struct checkpoint_value *checkpoint_find(const struct checkpoint *c, const char *key);

bool checkpoint_is_array_of(const struct checkpoint_value *v, enum checkpoint_kind kind);

/* Item `i` (below v->count) as a number. False when it is no integer, is negative, or is no real. A bool is an
 * integer here. */
bool checkpoint_item_u64(const struct checkpoint_value *v, size_t i, uint64_t *out);
bool checkpoint_item_f64(const struct checkpoint_value *v, size_t i, double *out);

/* Walks the strings of an array: start with *pos = 0; each call returns the next one. Empty beyond the end. */
struct span checkpoint_next_string(struct span bytes, size_t *pos);

/* The tensor with this name, or NULL. Its place in the order of the files is the pointer less c->tensors. */
const struct tensor *checkpoint_tensor(const struct checkpoint *c, const char *name);

/* The side file with this path, or NULL. */
const struct checkpoint_file *checkpoint_side_file(const struct checkpoint *c, const char *name);

#endif
