/* reciting_model.c - writes the model of reciting_model.h.
 *
 * The embedding of a token is a row of +1 and -1, by a hash of its id; two such rows are nearly orthogonal. The output's
 * row for token t is the sum of the embeddings of the tokens that t follows.
 */
#include "harness.h"

#include "reciting_model.h"

#include "gguf_writer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define WIDTH 64 /* of the embedding */
#define HEADS 2
#define ALIGNMENT 32
#define TENSORS_MAX 256

static const char chat_template[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/* ---- a text that is recited ---- */

#define PIECES_MAX 160
#define PIECE_LEAST 4 /* bytes */

/* The tokens behind TINY_VOCABULARY, each with a text of its own: each follows the one before it. */
static struct {
    char text[PIECES_MAX][256];
    unsigned n;
} pieces;

static bool is_piece(const char *text, size_t size)
{
    for (unsigned i = 0; i < pieces.n; i++)
        if (strlen(pieces.text[i]) == size && memcmp(pieces.text[i], text, size) == 0)
            return true;
    return false;
}

static void split(const char *text)
{
    pieces.n = 0;
    for (size_t size; text && *text; text += size) {
        size = strlen(text) < PIECE_LEAST ? strlen(text) : PIECE_LEAST;
        while (text[size] && ((text[size] & 0xc0) == 0x80 || is_piece(text, size)))
            size++;
        assert_true(pieces.n < PIECES_MAX && size < sizeof(pieces.text[0]));
        memcpy(pieces.text[pieces.n], text, size);
        pieces.text[pieces.n++][size] = '\0';
    }
}

static unsigned n_vocabulary(void)
{
    return TINY_VOCABULARY + pieces.n;
}

/* ---- the vocabulary ---- */

/* The text of a byte in byte-level vocabularies: a visible character is itself, any other a character from U+0100 on. */
static void byte_text(unsigned byte, char out[4])
{
    unsigned n = 0, code = byte;
    for (unsigned b = 0; b < 256; b++) {
        bool seen = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte && !seen)
            code = 256 + n;
        n += !seen;
    }
    size_t size = 0;
    if (code < 0x80) {
        out[size++] = (char)code;
    } else {
        out[size++] = (char)(0xc0 | code >> 6);
        out[size++] = (char)(0x80 | (code & 0x3f));
    }
    out[size] = '\0';
}

static void write_vocabulary(struct writer *w, const struct tiny_model *m)
{
    write_pair_text(w, "tokenizer.ggml.model", "gpt2");
    write_pair_text(w, "tokenizer.ggml.pre", "gpt-2");
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, n_vocabulary());
    for (unsigned i = 0; i < 256; i++) {
        char text[4];
        byte_text(i, text);
        write_text(w, text);
    }
    write_text(w, "<|im_start|>");
    write_text(w, "<|im_end|>");
    for (unsigned i = 0; i < pieces.n; i++) {
        char all[4 * sizeof(pieces.text[0])] = "";
        for (const char *c = pieces.text[i]; *c; c++)
            byte_text((unsigned char)*c, all + strlen(all));
        write_text(w, all);
    }
    write_pair_array(w, "tokenizer.ggml.token_type", GGUF_I32, n_vocabulary());
    for (unsigned i = 0; i < n_vocabulary(); i++)
        write_u32(w, i < 256 || i >= TINY_VOCABULARY ? 1 : m->mark_kind ? (uint32_t)m->mark_kind : 3);
    write_pair_array(w, "tokenizer.ggml.merges", GGUF_STRING, 0);
    write_pair_u32(w, "tokenizer.ggml.eos_token_id", TINY_END);
    if (m->begins) {
        write_pair_u32(w, "tokenizer.ggml.bos_token_id", TINY_START);
        write_key(w, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
        write_bytes(w, "\1", 1);
    }
    if (!m->fills)
        return;
    write_pair_u32(w, "tokenizer.ggml.fim_pre_token_id", 1);
    write_pair_u32(w, "tokenizer.ggml.fim_suf_token_id", 2);
    write_pair_u32(w, "tokenizer.ggml.fim_mid_token_id", '\n');
    write_pair_u32(w, "tokenizer.ggml.fim_rep_token_id", 3);
    write_pair_u32(w, "tokenizer.ggml.fim_sep_token_id", 4);
}

/* ---- its answers ---- */

static int follower(int id)
{
    if (pieces.n > 0 && (id == '\n' || id == TINY_END))
        return TINY_VOCABULARY;
    if (id >= TINY_VOCABULARY)
        return id + 1 < (int)n_vocabulary() ? id + 1 : TINY_END;
    if (id == '\n' || id == TINY_END)
        return 'a';
    if ((id >= 'a' && id < 'z') || (id >= '0' && id < '9'))
        return id + 1;
    switch (id) {
    case 'z':
        return '.';
    case '.':
        return TINY_END;
    case '9':
        return 0xe2;
    case 0xe2:
        return 0x82;
    case 0x82:
        return 0xac;
    case 0xac:
        return '0';
    default:
        return -1;
    }
}

static float sign(unsigned token, unsigned i)
{
    uint32_t x = token * 0x9e3779b9u + i * 0x85ebca6bu + 0x1234567u;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return (x >> 16) & 1 ? 1.0f : -1.0f;
}

static void fill_embedding(float *at)
{
    for (unsigned t = 0; t < n_vocabulary(); t++)
        for (unsigned i = 0; i < WIDTH; i++)
            at[t * WIDTH + i] = sign(t, i);
}

static void fill_output(float *at)
{
    for (int t = 0; t < (int)n_vocabulary(); t++)
        for (unsigned i = 0; follower(t) >= 0 && i < WIDTH; i++)
            at[(unsigned)follower(t) * WIDTH + i] += sign((unsigned)t, i);
}

static void fill_ones(float *at)
{
    for (unsigned i = 0; i < WIDTH; i++)
        at[i] = 1;
}

/* ---- the file ---- */

struct tensor_row {
    char name[64];
    uint64_t dims[3]; /* ends in 0 */
    void (*fill)(float *at); /* NULL: zeros */
    uint64_t offset;
};

struct table {
    struct tensor_row rows[TENSORS_MAX];
    size_t n;
    uint64_t size;
};

static uint64_t bytes_of(const struct tensor_row *r)
{
    return 4 * r->dims[0] * (r->dims[1] ? r->dims[1] : 1);
}

static void add(struct table *t, const char *name, uint64_t columns, uint64_t rows, void (*fill)(float *at))
{
    assert_true(t->n < TENSORS_MAX);
    struct tensor_row *r = &t->rows[t->n++];
    *r = (struct tensor_row){.dims = {columns, rows}, .fill = fill, .offset = t->size};
    strncpy(r->name, name, sizeof(r->name) - 1);
    t->size += (bytes_of(r) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void list_tensors(struct table *t, uint32_t layers, uint32_t width)
{
    add(t, "token_embd.weight", WIDTH, n_vocabulary(), fill_embedding);
    add(t, "output_norm.weight", WIDTH, 0, fill_ones);
    add(t, "output.weight", WIDTH, n_vocabulary(), fill_output);
    for (uint32_t i = 0; i < layers; i++) {
        add(t, text_of("blk.%u.attn_norm.weight", i), WIDTH, 0, fill_ones);
        add(t, text_of("blk.%u.attn_q.weight", i), WIDTH, WIDTH, NULL);
        add(t, text_of("blk.%u.attn_k.weight", i), WIDTH, WIDTH, NULL);
        add(t, text_of("blk.%u.attn_v.weight", i), WIDTH, WIDTH, NULL);
        add(t, text_of("blk.%u.attn_output.weight", i), WIDTH, WIDTH, NULL);
        add(t, text_of("blk.%u.ffn_norm.weight", i), WIDTH, 0, fill_ones);
        add(t, text_of("blk.%u.ffn_gate.weight", i), WIDTH, width, NULL);
        add(t, text_of("blk.%u.ffn_up.weight", i), WIDTH, width, NULL);
        add(t, text_of("blk.%u.ffn_down.weight", i), width, WIDTH, NULL);
    }
}

static void write_sampling(struct writer *w, int which)
{
    static const struct {
        const char *key;
        float value[2];
    } rows[] = {{"temp", {1.5f, -1}}, {"top_p", {1, 2}}, {"min_p", {0, NAN}}, {"penalty_repeat", {1.25f, 0}}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_key(w, text_of("general.sampling.%s", rows[i].key), GGUF_F32);
        write_bytes(w, &rows[i].value[which - 1], sizeof(float));
    }
    write_pair_u32(w, "general.sampling.top_k", which == 1 ? 3 : UINT32_MAX);
}

static void write_keys(struct writer *w, const struct tiny_model *m, const char *architecture)
{
    float epsilon = 1e-5f;
    write_pair_text(w, "general.architecture", architecture);
    write_pair_u32(w, text_of("%s.context_length", architecture), m->context ? m->context : 512);
    write_pair_u32(w, text_of("%s.embedding_length", architecture), WIDTH);
    write_pair_u32(w, text_of("%s.block_count", architecture), m->layers ? m->layers : 1);
    write_pair_u32(w, text_of("%s.feed_forward_length", architecture), m->width ? m->width : 64);
    write_pair_u32(w, text_of("%s.attention.head_count", architecture), HEADS);
    write_key(w, text_of("%s.attention.layer_norm_rms_epsilon", architecture), GGUF_F32);
    write_bytes(w, &epsilon, sizeof(epsilon));
    if (!m->no_tokenizer)
        write_vocabulary(w, m);
    if (!m->no_template)
        write_pair_text(w, "tokenizer.chat_template", m->template ? m->template : chat_template);
    if (m->sampling)
        write_sampling(w, m->sampling);
}

static void write_data(const char *path, const struct table *t, size_t start)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)(start + t->size)), 0);
    for (size_t i = 0; i < t->n; i++) {
        const struct tensor_row *r = &t->rows[i];
        if (!r->fill)
            continue;
        float *values = calloc(1, bytes_of(r));
        assert_non_null(values);
        r->fill(values);
        assert_int_equal(pwrite(fd, values, bytes_of(r), (off_t)(start + r->offset)), (ssize_t)bytes_of(r));
        free(values);
    }
    close(fd);
}

void write_tiny_model(const char *dir, const char *name, const struct tiny_model *m)
{
    struct writer w = {0};
    struct table *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    split(m->recites);
    list_tensors(t, m->layers ? m->layers : 1, m->width ? m->width : 64);
    uint64_t pairs = 7u + (m->no_tokenizer ? 0u : 6u) + (m->no_template ? 0u : 1u) + (m->sampling ? 5u : 0u) +
                     (m->fills ? 5u : 0u) + (m->begins ? 2u : 0u);
    write_header(&w, 3, t->n, pairs);
    write_keys(&w, m, m->architecture ? m->architecture : "llama");
    for (size_t i = 0; i < t->n; i++)
        write_tensor(&w, t->rows[i].name, t->rows[i].dims, TENSOR_F32, t->rows[i].offset);
    write_padding(&w, ALIGNMENT);
    write_file(dir, name, w.at, w.size);
    write_data(path_in(dir, name), t, w.size);
    writer_release(&w);
    free(t);
}
