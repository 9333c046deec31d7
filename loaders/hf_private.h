/* hf_private.h - what the files share that read a Hugging Face directory as it was downloaded.
 *
 *   hf_model.c       the row of the table of loaders: shards, side files, what belongs together
 *   hf_values.c      keys of the checkpoint that is made
 *   hf_config.c      config.json to keys, a row for each architecture
 *   hf_rope.c        the rotation, its scaling and windows
 *   hf_bert.c        what is beside config.json of an encoder
 *   hf_tensors.c     names of tensors
 *   hf_tokenizer.c   tokenizer.json to keys: its parts, and what they must be
 *   hf_vocabulary.c  tokens and their kinds
 *   hf_merges.c      merges of BPE
 *   hf_words.c       normalizers, and what cuts a text into words
 *   hf_special.c     roles of tokens, the chat template, generation_config.json
 *
 * A directory is translated to what a GGUF file of the same model holds, so the engine knows nothing of it. What would
 * change an answer and has no translation is refused, with the names of the file and of the field.
 */
#ifndef BERTH_HF_PRIVATE_H
#define BERTH_HF_PRIVATE_H

#include "loader_private.h"

#include "berth/base/value.h"
#include "berth/loaders/safetensors.h"

#define HF_SHOWN 96 /* room for a name in a message */
#define HF_KEY_ROOM 80

struct hf_arch;

/* A model while it is opened, and what it owns afterwards: loaded->hf of a "safetensors" model. */
struct hf_model {
    struct checkpoint checkpoint;
    struct value_arena *arena; /* of values, names and tensors that are made */
    size_t values_room, tensors_room;
    bool lacks_config; /* a file by itself, without the directory's files */
    size_t files_room;
    /* While it is opened: */
    struct value_arena *scratch; /* of what is read of JSON files */
    struct loaded *loaded;
    const struct volume *volume;
    struct span directory; /* of the weights, with its slash; empty at the top */
    struct value config;
    const struct hf_arch *arch;
};

/* ---- hf_model.c ---- */

/* Maps DIRECTORY/`name`. *there tells whether there is such a file; false with the reason when there is and it cannot be
 * opened. */
bool hf_side_file(struct hf_model *m, const char *name, struct span *bytes, bool *there, struct error *err);

/* The same, read as a JSON object. Its largest members are strings of their JSON: "vocab" and "merges" of the model of
 * tokenizer.json, and the tokens that tokenizer_config.json repeats. *out is an empty map where there is no such file. */
bool hf_json_file(struct hf_model *m, const char *name, struct value *out, bool *there, struct error *err);

/* ---- hf_values.c: each returns false when memory is short ---- */

/* The key's text is copied. */
bool hf_add_text(struct hf_model *m, const char *key, struct span text, struct error *err);
bool hf_add_whole(struct hf_model *m, const char *key, uint64_t number, struct error *err);
bool hf_add_real(struct hf_model *m, const char *key, double number, struct error *err);
bool hf_add_bool(struct hf_model *m, const char *key, bool flag, struct error *err);
/* An array; `bytes` lie in the arena. `width` is 0 for strings. */
bool hf_add_array(struct hf_model *m, const char *key, enum checkpoint_kind kind, uint8_t width,
    uint64_t count, struct span bytes, struct error *err);
/* Memory of the arena, or NULL with the reason. */
void *hf_memory(struct hf_model *m, size_t size, struct error *err);
bool hf_add_tensor(struct hf_model *m, const struct tensor *t, struct error *err);
/* A tensor of float32 that the loader makes: n numbers, which lie in the arena. */
bool hf_add_floats(struct hf_model *m, const char *name, const float *values, size_t n, struct error *err);

void hf_put_u64(uint8_t out[8], uint64_t number); /* little-endian */

/* ---- hf_config.c ---- */

/* Tensors of an architecture, by the names that its files have. */
struct hf_name {
    const char *from; /* "layers.#.self_attn.q_proj" */
    const char *to; /* "blk.#.attn_q"; NULL: no answer depends on it */
};

/* What the field sliding_window means. */
enum hf_window {
    HF_WINDOW_NONE, /* nothing */
    HF_WINDOW_ALWAYS, /* all layers have it, and the engine's row has none: it limits the context */
    HF_WINDOW_FLAGGED, /* the same where use_sliding_window is true */
    HF_WINDOW_KEY, /* the engine's row reads it */
};

struct hf_arch {
    const char *class; /* of config.json's "architectures" */
    const char *type; /* of its "model_type" */
    const char *gguf; /* general.architecture */
    const struct hf_name *const *names; /* tables, NULL at the end */
    enum hf_window window;
    bool tied; /* where the file does not say whether the output is the embedding */
    bool norm_plus_one; /* files have norms less 1 */
    bool encoder;
    uint64_t head; /* size of a head where the file does not say it; 0: its even share */
    double theta; /* base of the rotation where the file does not say it; 0: 10000 */
    const char *activation, *activation_field; /* what the feed-forward must be; 0: "silu" in hidden_act */
    const char *const
        *reads; /* fields that `read` reads and that other rows refuse, NULL at the end; may be NULL */
    bool (*read)(struct hf_model *m, struct error *err); /* keys beyond the common ones; may be NULL */
};

/* Finds the architecture and writes its keys. */
bool hf_read_config(struct hf_model *m, struct error *err);

/* A member of config.json; NULL when it is missing or null. */
const struct value *hf_field(const struct hf_model *m, const char *name);
/* A number of config.json. False with the reason when it is there and is none. */
bool hf_number(const struct hf_model *m, const char *name, double fallback, double *out, struct error *err);
bool hf_whole(
    const struct hf_model *m, const char *name, uint64_t fallback, uint64_t *out, struct error *err);
/* "config.json: field "X" <what>". Returns false. */
bool hf_refuse(const char *name, const char *what, struct error *err);
/* Refuses the field when it is there with another value than null, false, 0 or an empty list. */
bool hf_refuse_set(const struct hf_model *m, const char *name, struct error *err);
/* "ARCHITECTURE.rest" */
const char *hf_key(char out[HF_KEY_ROOM], const struct hf_model *m, const char *rest);
bool hf_tied(const struct hf_model *m);

/* ---- hf_rope.c ---- */

/* The rotation's base and scaling. `head` is the size of a head. */
bool hf_read_rope(struct hf_model *m, uint64_t head, struct error *err);
/* The context, and windows of attention. */
bool hf_read_context(struct hf_model *m, struct error *err);
/* The base of the rotation in layers with a window. */
bool hf_read_local_rope(struct hf_model *m, struct error *err);

/* ---- hf_bert.c ---- */

bool hf_read_bert(struct hf_model *m, struct error *err);

/* ---- hf_tensors.c ---- */

extern const struct hf_name *const hf_decoder_names[], *const hf_encoder_names[], *const hf_post_norm_names[];

/* Adds the tensors of a file under GGUF's names. */
bool hf_add_tensors(struct hf_model *m, const struct safetensors *s, struct error *err);
/* After all files: the output of a model whose output is not the embedding must be there. */
bool hf_check_tensors(const struct hf_model *m, struct error *err);

/* ---- hf_tokenizer.c and the files beside it ---- */

bool hf_read_tokenizer(struct hf_model *m, struct error *err);

/* "tokenizer.json: field "X" <what>". Returns false. */
bool hf_refuse_tokenizer(const char *name, const char *what, struct error *err);

/* tokenizer.json in its parts. */
struct hf_tokenizer {
    struct value file, model; /* its members, and those of the model in it */
    struct span vocab, merges; /* as they are written */
    const char *kind; /* tokenizer.ggml.model */
    bool wordpiece, sentencepiece; /* of texts of tokens, and of merges */
    /* The vocabulary, by id: */
    struct hf_token *tokens; /* [n] */
    size_t n, room;
    uint8_t *packed; /* the array of texts, in the model's arena */
};

/* The numbers of tokenizer.ggml.token_type. */
enum hf_token_kind {
    HF_NORMAL = 1,
    HF_UNKNOWN = 2,
    HF_CONTROL = 3,
    HF_USER_DEFINED = 4,
    HF_UNUSED = 5,
    HF_BYTE = 6,
};

struct hf_token {
    struct span
        text; /* as it is written in JSON until it is packed, then in hf_tokenizer.packed; NULL: none has the id */
    float score;
    uint8_t kind; /* enum hf_token_kind */
    bool is_plain; /* the text has no escapes of JSON */
};

/* ---- hf_vocabulary.c ---- */

/* Reads vocab and added tokens and writes their keys. tokens is freed by the caller. */
bool hf_read_vocabulary(struct hf_model *m, struct hf_tokenizer *t, struct error *err);
/* The id of a token with this text, by a walk over all; UINT64_MAX: none. */
uint64_t hf_find_token(const struct hf_tokenizer *t, struct span text);

/* ---- hf_merges.c ---- */

/* Writes the merges, or for SentencePiece's kind the scores that they stand for. */
bool hf_read_merges(struct hf_model *m, struct hf_tokenizer *t, struct error *err);

/* ---- hf_words.c ---- */

/* Reads normalizer and pre_tokenizer, and writes their keys. */
bool hf_read_words(struct hf_model *m, struct hf_tokenizer *t, struct error *err);
/* A member of a map of tokenizer.json; NULL when it is missing or null. */
const struct value *hf_member(struct value map, const char *name);
bool hf_is_type(const struct value *v, const char *type);
bool hf_is_set(struct value map, const char *name); /* a member that is true */

/* ---- hf_special.c ---- */

/* Reads which tokens have roles, what is added to a text, the chat template and the sampling settings. */
bool hf_read_special(struct hf_model *m, struct hf_tokenizer *t, struct error *err);

#endif
