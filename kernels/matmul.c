/* matmul.c - cuts products into tiles and gives them to the kernels of the CPU.
 *
 * Tokens are taken by chunks, and for each all tiles of rows, so that a chunk's activations stay in L2 while the
 * weights stream past in the order of the file. A tile always has MATMUL_ROWS rows: the last one of a matrix
 * begins early enough to be whole, and what other tiles have is computed again and dropped. Rows that are too
 * few for one tile are copied, a piece of k at a time, to where there is room behind them.
 *
 * Types without kernels of their own become floats a piece at a time, by quant.h, and go the way of F32.
 */
#include "berth/matmul.h"

#include "berth/cpu.h"
#include "matmul_private.h"

#include <string.h>

#define PIECE 256 /* elements of k that are copied or made floats at a time: the largest block */
#define PIECE_FLOATS (PIECE + 16) /* rows of a piece; no power of two, so that they share no cache set */
#define PIECE_BYTES 320 /* the same in blocks: 256 elements of Q8_0 have 272 */

/* ---- what the types have ---- */

static const int8_t int8_of[] = {[2] = MATMUL_Q4_0 + 1,
    [3] = MATMUL_Q4_1 + 1,
    [8] = MATMUL_Q8_0 + 1,
    [12] = MATMUL_Q4_K + 1,
    [13] = MATMUL_Q5_K + 1,
    [14] = MATMUL_Q6_K + 1};

/* Which column of a kernel's tables a type has, or -1. */
static int int8_index(const struct quant *q)
{
    return q->id < sizeof(int8_of) ? int8_of[q->id] - 1 : -1;
}

static int float_index(const struct quant *q)
{
    switch (q->id) {
    case 0:
        return MATMUL_F32;
    case 1:
        return MATMUL_F16;
    case 30:
        return MATMUL_BF16;
    default:
        return -1;
    }
}

static const struct matmul_kernels *kernels(void)
{
#if defined(__x86_64__)
    if (cpu_selected() == CPU_AVX512)
        return &matmul_avx512;
#endif
    return &matmul_plain;
}

bool matmul_weight_init(
    struct matmul_weight *w, uint32_t type, const void *data, size_t rows, size_t columns, bool as_float)
{
    const struct quant *q = quant_find(type);
    if (!q || columns % q->block_elems != 0)
        return false;
    *w = (struct matmul_weight){.type = q,
        .data = data,
        .rows = rows,
        .columns = columns,
        .row_bytes = columns / q->block_elems * q->block_bytes,
        .as_float = as_float};
    return true;
}

bool matmul_takes_packed(const struct matmul_weight *w)
{
    return !w->as_float && int8_index(w->type) >= 0;
}

/* ---- the packed form: by chunks of tokens, [blocks][tokens of the chunk] ---- */

static size_t chunk_tokens(size_t tokens, size_t first)
{
    return tokens - first < MATMUL_CHUNK ? tokens - first : MATMUL_CHUNK;
}

size_t matmul_packed_bytes(size_t tokens, size_t columns)
{
    return tokens * (columns / MATMUL_BLOCK) * sizeof(struct matmul_block);
}

size_t matmul_pack_units(size_t tokens)
{
    return tokens;
}

void matmul_pack(const struct matmul_input *in, size_t first, size_t count)
{
    size_t blocks = in->columns / MATMUL_BLOCK;
    for (size_t t = first; t < first + count; t++) {
        size_t chunk = t / MATMUL_CHUNK * MATMUL_CHUNK;
        struct matmul_block *out = (struct matmul_block *)in->packed + chunk * blocks + (t - chunk);
        kernels()->pack(out, chunk_tokens(in->tokens, chunk), in->x + t * in->stride, blocks);
    }
}

/* ---- tiles ---- */

struct tile {
    const struct matmul_kernels *k;
    const struct matmul_weight *w;
    const struct matmul_input *in;
    size_t row, rows; /* where it begins; how many rows of it there are */
    size_t token, tokens;
    float (*sums)[MATMUL_ROWS];
};

static const uint8_t *tile_data(const struct tile *t, size_t row, size_t column)
{
    const struct quant *q = t->w->type;
    return t->w->data + (t->row + row) * t->w->row_bytes + column / q->block_elems * q->block_bytes;
}

static void int8_tile(const struct tile *t)
{
    matmul_int8_tile *run = t->k->int8[int8_index(t->w->type)];
    size_t blocks = t->w->columns / MATMUL_BLOCK;
    const struct matmul_block *a = (const struct matmul_block *)t->in->packed + t->token * blocks;
    if (t->rows == MATMUL_ROWS) {
        run(tile_data(t, 0, 0), t->w->row_bytes, blocks, a, t->tokens, t->sums);
        return;
    }
    uint8_t piece[MATMUL_ROWS][PIECE_BYTES] = {{0}};
    for (size_t at = 0; at < t->w->columns; at += PIECE) {
        size_t n = t->w->columns - at < PIECE ? t->w->columns - at : PIECE;
        for (size_t r = 0; r < t->rows; r++)
            memcpy(piece[r], tile_data(t, r, at), n / t->w->type->block_elems * t->w->type->block_bytes);
        run(piece[0], sizeof(piece[0]), n / MATMUL_BLOCK, a + at / MATMUL_BLOCK * t->tokens, t->tokens,
            t->sums);
    }
}

/* Runs type `f`'s kernel, and the plain one for what is no multiple of its step. */
static void run_floats(
    const struct tile *t, enum matmul_float f, const uint8_t *weights, size_t row_bytes, size_t at, size_t k)
{
    const float *x = t->in->x + t->token * t->in->stride + at;
    size_t whole = k / MATMUL_STEP * MATMUL_STEP, bytes = f == MATMUL_F32 ? 4 : 2;
    t->k->floats[f](weights, row_bytes, whole, x, t->in->stride, t->tokens, t->sums);
    if (whole < k)
        matmul_plain.floats[f](
            weights + whole * bytes, row_bytes, k - whole, x + whole, t->in->stride, t->tokens, t->sums);
}

static void float_tile(const struct tile *t)
{
    const struct quant *q = t->w->type;
    int f = float_index(q);
    if (f >= 0 && t->rows == MATMUL_ROWS) {
        run_floats(t, (enum matmul_float)f, tile_data(t, 0, 0), t->w->row_bytes, 0, t->w->columns);
        return;
    }
    float piece[MATMUL_ROWS][PIECE_FLOATS] = {{0}};
    for (size_t at = 0; at < t->w->columns; at += PIECE) {
        size_t n = t->w->columns - at < PIECE ? t->w->columns - at : PIECE;
        for (size_t r = 0; r < t->rows; r++)
            quant_to_floats(q, piece[r], tile_data(t, r, at), n / q->block_elems);
        run_floats(t, MATMUL_F32, (const uint8_t *)piece, sizeof(piece[0]), at, n);
    }
}

void matmul_rows(const struct matmul_weight *w, const struct matmul_input *in, size_t first, size_t count,
    float *out, size_t stride)
{
    _Alignas(64) float sums[MATMUL_CHUNK][MATMUL_ROWS];
    struct tile t = {.k = kernels(), .w = w, .in = in, .sums = sums};
    size_t end = first + count;
    for (t.token = 0; t.token < in->tokens; t.token += MATMUL_CHUNK) {
        t.tokens = chunk_tokens(in->tokens, t.token);
        for (size_t row = first; row < end; row += MATMUL_ROWS) {
            size_t last = w->rows > MATMUL_ROWS ? w->rows - MATMUL_ROWS : 0;
            size_t stop = end - row < MATMUL_ROWS ? end : row + MATMUL_ROWS;
            t.row = row < last ? row : last;
            t.rows = w->rows < MATMUL_ROWS ? w->rows : MATMUL_ROWS;
            memset(sums, 0, t.tokens * sizeof(sums[0]));
            if (matmul_takes_packed(w))
                int8_tile(&t);
            else
                float_tile(&t);
            for (size_t i = 0; i < t.tokens; i++)
                memcpy(out + (t.token + i) * stride + row, sums[i] + (row - t.row),
                    (stop - row) * sizeof(sums[0][0]));
        }
    }
}
