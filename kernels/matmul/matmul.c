/* matmul.c - divides products into tiles and passes them to the kernels of the selected instruction set.
 *
 * Tokens are taken in chunks. All tiles of rows are computed for one chunk before the next one, so that the chunk's
 * activations stay in L2 while the weights are read in the order of the file. A tile always has MATMUL_ROWS rows. The
 * last tile of a matrix starts early enough to be whole; the rows that it shares with the tile before are computed
 * twice and stored once. A matrix with fewer rows than a tile is copied, a piece of k at a time, into a buffer of a
 * whole tile.
 *
 * Weights of types without kernels are converted to floats by quant.h, a piece at a time, and multiplied as F32.
 */
#include "berth/kernels/matmul.h"

#include "kernels/isa_private.h"
#include "matmul_private.h"

#include "berth/base/tensor.h"

#include <string.h>

#define PIECE 256 /* elements of k that are copied or converted at a time: the largest block */
/* Stride of a piece's rows; no power of two, so that rows do not share cache sets. */
#define PIECE_FLOATS (PIECE + 16)
#define PIECE_BYTES 320 /* the same for a piece of blocks: 256 elements of Q8_0 have 272 bytes */

#define FLOAT_CHUNK 64 /* tokens at most, where activations are floats */
#define GATHERED                                                                                             \
    (FLOAT_CHUNK *                                                                                           \
        PIECE) /* activations that are gathered at a time: with the sums of TILES tiles they fit L2 */
#define TILES 8 /* that use one gathering */

/* ---- which kernels a type has ---- */

/* A type that has kernels, and its place in struct matmul_kernels: an index of `int8` or of `floats`. */
struct form {
    uint32_t id; /* enum tensor_type_id, tensor.h */
    bool is_int8;
    int index;
};

static const struct form forms[] = {
    {.id = TENSOR_F32, .index = MATMUL_F32},
    {.id = TENSOR_F16, .index = MATMUL_F16},
    {.id = TENSOR_BF16, .index = MATMUL_BF16},
    {.id = TENSOR_Q4_0, .is_int8 = true, .index = MATMUL_Q4_0},
    {.id = TENSOR_Q4_1, .is_int8 = true, .index = MATMUL_Q4_1},
    {.id = TENSOR_Q8_0, .is_int8 = true, .index = MATMUL_Q8_0},
    {.id = TENSOR_Q4_K, .is_int8 = true, .index = MATMUL_Q4_K},
    {.id = TENSOR_Q5_K, .is_int8 = true, .index = MATMUL_Q5_K},
    {.id = TENSOR_Q6_K, .is_int8 = true, .index = MATMUL_Q6_K},
    {.id = TENSOR_Q5_0, .is_int8 = true, .index = MATMUL_Q5_0},
    {.id = TENSOR_Q5_1, .is_int8 = true, .index = MATMUL_Q5_1},
    {.id = TENSOR_Q2_K, .is_int8 = true, .index = MATMUL_Q2_K},
    {.id = TENSOR_Q3_K, .is_int8 = true, .index = MATMUL_Q3_K},
    {.id = TENSOR_IQ4_NL, .is_int8 = true, .index = MATMUL_IQ4_NL},
    {.id = TENSOR_IQ4_XS, .is_int8 = true, .index = MATMUL_IQ4_XS},
    {.id = TENSOR_MXFP4, .is_int8 = true, .index = MATMUL_MXFP4},
    {.id = TENSOR_TQ1_0, .is_int8 = true, .index = MATMUL_TQ1_0},
    {.id = TENSOR_TQ2_0, .is_int8 = true, .index = MATMUL_TQ2_0},
    {.id = TENSOR_Q1_0, .is_int8 = true, .index = MATMUL_Q1_0},
    {.id = TENSOR_Q2_0, .is_int8 = true, .index = MATMUL_Q2_0},
    {.id = TENSOR_NVFP4, .is_int8 = true, .index = MATMUL_NVFP4},
    {.id = TENSOR_IQ2_XXS, .is_int8 = true, .index = MATMUL_IQ2_XXS},
    {.id = TENSOR_IQ2_XS, .is_int8 = true, .index = MATMUL_IQ2_XS},
    {.id = TENSOR_IQ2_S, .is_int8 = true, .index = MATMUL_IQ2_S},
    {.id = TENSOR_IQ3_XXS, .is_int8 = true, .index = MATMUL_IQ3_XXS},
    {.id = TENSOR_IQ3_S, .is_int8 = true, .index = MATMUL_IQ3_S},
    {.id = TENSOR_IQ1_S, .is_int8 = true, .index = MATMUL_IQ1_S},
    {.id = TENSOR_IQ1_M, .is_int8 = true, .index = MATMUL_IQ1_M},
};

/* Returns the type's index in `int8` or `floats`, or -1. */
static int kernel_of(const struct quant *q, bool is_int8)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (forms[i].id == q->id && forms[i].is_int8 == is_int8)
            return forms[i].index;
    return -1;
}

/* clang-format off */
static const struct matmul_kernels *const sets[ISA_SETS] = {
    [ISA_PLAIN]   = &matmul_plain,
    [ISA_AVX2]    = ISA_X86(matmul_avx2),
    [ISA_AVXVNNI] = ISA_X86(matmul_avxvnni),
    [ISA_AVX512]  = ISA_X86(matmul_avx512),
    [ISA_NEON]    = ISA_ARM64(matmul_neon),
    [ISA_DOTPROD] = ISA_ARM64(matmul_dotprod),
    [ISA_I8MM]    = ISA_ARM64(matmul_i8mm),
};
/* clang-format on */

static const struct matmul_kernels *selected(void)
{
    enum isa set = isa_selected();
    while (!sets[set])
        set = isa_base(set);
    return sets[set];
}

bool matmul_weight_init(
    struct matmul_weight *w, uint32_t type, const void *data, size_t rows, size_t columns, bool as_float)
{
    const struct quant *q = quant_find(type);
    if (!q || columns == 0 || columns % q->block_elems != 0)
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
    return !w->as_float && kernel_of(w->type, true) >= 0;
}

/* ---- the packed form: by chunks of tokens, [blocks][tokens of the chunk] ---- */

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

size_t matmul_packed_bytes(size_t tokens, size_t columns)
{
    return tokens * (columns / MATMUL_BLOCK) * sizeof(struct matmul_block);
}

size_t matmul_pack_units(size_t tokens)
{
    return tokens;
}

/* Takes MATMUL_PACKED blocks of one token after the other, so that neighbouring writes lie together. */
void matmul_pack(const struct matmul_input *in, size_t first, size_t count)
{
    size_t blocks = in->columns / MATMUL_BLOCK, end = first + count;
    for (size_t chunk = first / MATMUL_CHUNK * MATMUL_CHUNK; chunk < end; chunk += MATMUL_CHUNK) {
        size_t step = at_most(in->tokens - chunk, MATMUL_CHUNK), stop = at_most(end, chunk + step);
        struct matmul_block *out = (struct matmul_block *)(void *)in->packed + chunk * blocks;
        for (size_t b = 0; b < blocks; b += MATMUL_PACKED)
            for (size_t t = first > chunk ? first : chunk; t < stop; t++)
                selected()->pack(out + b * step + (t - chunk), step,
                    in->x + t * in->stride + b * MATMUL_BLOCK, at_most(blocks - b, MATMUL_PACKED));
    }
}

/* ---- one tile ---- */

struct matmul_tile {
    const struct matmul_kernels *k;
    const struct matmul_weight *w;
    size_t row, rows; /* the first row, and how many rows the matrix has for it */
    size_t tokens;
    float (*sums)[MATMUL_ROWS];
};

/* Returns the tile that has row `row` of the matrix. */
static struct matmul_tile tile_at(
    const struct matmul_weight *w, size_t row, size_t tokens, float (*sums)[MATMUL_ROWS])
{
    size_t last = w->rows > MATMUL_ROWS ? w->rows - MATMUL_ROWS : 0;
    return (struct matmul_tile){.k = selected(),
        .w = w,
        .row = row < last ? row : last,
        .rows = at_most(w->rows, MATMUL_ROWS),
        .tokens = tokens,
        .sums = sums};
}

/* Stores the sums of the rows `row` to `end` - 1, or as many of them as the tile has. */
static void tile_store(const struct matmul_tile *t, size_t row, size_t end, float *out, size_t stride)
{
    size_t stop = at_most(t->row + t->rows, end);
    if (stop - row == MATMUL_ROWS) { /* the usual case: the size is constant, so memcpy is inlined */
        for (size_t i = 0; i < t->tokens; i++)
            memcpy(out + i * stride + row, t->sums[i], sizeof(t->sums[i]));
        return;
    }
    for (size_t i = 0; i < t->tokens; i++)
        memcpy(out + i * stride + row, t->sums[i] + (row - t->row), (stop - row) * sizeof(*out));
}

static const uint8_t *tile_data(const struct matmul_tile *t, size_t row, size_t column)
{
    const struct quant *q = t->w->type;
    return t->w->data + (t->row + row) * t->w->row_bytes + column / q->block_elems * q->block_bytes;
}

static void int8_tile(const struct matmul_tile *t, const struct matmul_block *a)
{
    const struct quant *q = t->w->type;
    const int type = kernel_of(q, true);
    /* Whether a type is multiplied in integers must not depend on the CPU, because the bits of answers do not. */
    matmul_int8_tile *run = t->k->int8[type] ? t->k->int8[type] : matmul_plain.int8[type];
    if (t->rows == MATMUL_ROWS) {
        run(tile_data(t, 0, 0), t->w->row_bytes, t->w->columns / MATMUL_BLOCK, a, t->tokens, t->sums);
        return;
    }
    uint8_t piece[MATMUL_ROWS][PIECE_BYTES] = {{0}};
    for (size_t at = 0; at < t->w->columns; at += PIECE) {
        size_t n = at_most(t->w->columns - at, PIECE);
        for (size_t r = 0; r < t->rows; r++)
            memcpy(piece[r], tile_data(t, r, at), n / q->block_elems * q->block_bytes);
        run(piece[0], sizeof(piece[0]), n / MATMUL_BLOCK, a + at / MATMUL_BLOCK * t->tokens, t->tokens,
            t->sums);
    }
}

/* Adds the products of n columns from `at` on. x is [steps][tokens][MATMUL_STEP], with zeros up to a whole step. */
static void float_tile(const struct matmul_tile *t, const float *x, size_t at, size_t n)
{
    const struct quant *q = t->w->type;
    int f = kernel_of(q, false);
    if (f >= 0 && t->rows == MATMUL_ROWS) {
        size_t steps = n / MATMUL_STEP;
        t->k->floats[f](tile_data(t, 0, at), t->w->row_bytes, steps, x, t->tokens, t->sums);
        x += steps * MATMUL_STEP * t->tokens;
        at += steps * MATMUL_STEP;
        n -= steps * MATMUL_STEP;
    }
    float piece[MATMUL_ROWS][PIECE_FLOATS];
    while (n > 0) {
        size_t part = at_most(n, PIECE), steps = (part + MATMUL_STEP - 1) / MATMUL_STEP;
        if (part < PIECE || t->rows < MATMUL_ROWS)
            memset(piece, 0, sizeof(piece));
        for (size_t r = 0; r < t->rows; r++)
            quant_to_floats(q, piece[r], tile_data(t, r, at), part / q->block_elems);
        t->k->floats[MATMUL_F32]((const uint8_t *)piece, sizeof(piece[0]), steps, x, t->tokens, t->sums);
        x += steps * MATMUL_STEP * t->tokens;
        at += part;
        n -= part;
    }
}

/* ---- a range of rows by a chunk of tokens ---- */

static void int8_rows(const struct matmul_weight *w, const struct matmul_block *a, size_t tokens,
    size_t first, size_t end, float *out, size_t stride)
{
    _Alignas(64) float sums[MATMUL_CHUNK][MATMUL_ROWS];
    for (size_t row = first; row < end; row += MATMUL_ROWS) {
        struct matmul_tile t = tile_at(w, row, tokens, sums);
        memset(sums, 0, tokens * sizeof(sums[0]));
        int8_tile(&t, a);
        tile_store(&t, row, end, out, stride);
    }
}

/* Copies n floats of each token to [steps][tokens][MATMUL_STEP], with zeros up to a whole step. */
static void gather(float *out, const float *x, size_t stride, size_t tokens, size_t n)
{
    size_t whole = n / MATMUL_STEP, rest = n % MATMUL_STEP;
    for (size_t t = 0; t < tokens; t++, x += stride, out += MATMUL_STEP) {
        for (size_t s = 0; s < whole; s++)
            memcpy(out + s * tokens * MATMUL_STEP, x + s * MATMUL_STEP, MATMUL_STEP * sizeof(*out));
        if (rest) {
            float *last = out + whole * tokens * MATMUL_STEP;
            memset(last, 0, MATMUL_STEP * sizeof(*out));
            memcpy(last, x + whole * MATMUL_STEP, rest * sizeof(*out));
        }
    }
}

/* Gathers the activations of some columns once for several tiles, and keeps the sums of these tiles meanwhile. With few
 * tokens all columns fit, and the weights are read in the order of the file. */
static void float_rows(const struct matmul_weight *w, const float *x, size_t x_stride, size_t tokens,
    size_t first, size_t end, float *out, size_t stride)
{
    _Alignas(64) float sums[TILES][FLOAT_CHUNK][MATMUL_ROWS];
    _Alignas(64) float gathered[GATHERED];
    size_t width = GATHERED / tokens / PIECE * PIECE;
    bool as_it_lies = tokens == 1 && w->columns % MATMUL_STEP == 0;
    if (as_it_lies)
        width = w->columns;
    for (size_t row = first; row < end; row += TILES * MATMUL_ROWS) {
        for (size_t at = 0; at < w->columns; at += width) {
            size_t n = at_most(w->columns - at, width);
            if (!as_it_lies && (row == first || n < w->columns))
                gather(gathered, x + at, x_stride, tokens, n);
            for (size_t i = 0; i < TILES && row + i * MATMUL_ROWS < end; i++) {
                struct matmul_tile t = tile_at(w, row + i * MATMUL_ROWS, tokens, sums[i]);
                if (at == 0)
                    memset(sums[i], 0, tokens * sizeof(sums[i][0]));
                float_tile(&t, as_it_lies ? x : gathered, at, n);
            }
        }
        for (size_t i = 0; i < TILES && row + i * MATMUL_ROWS < end; i++) {
            struct matmul_tile t = tile_at(w, row + i * MATMUL_ROWS, tokens, sums[i]);
            tile_store(&t, row + i * MATMUL_ROWS, end, out, stride);
        }
    }
}

void matmul_rows(const struct matmul_weight *w, const struct matmul_input *in, size_t first, size_t count,
    float *out, size_t stride)
{
    const struct matmul_block *packed = (const void *)in->packed;
    const bool is_packed = matmul_takes_packed(w);
    const size_t chunk = is_packed ? MATMUL_CHUNK : FLOAT_CHUNK, blocks = w->columns / MATMUL_BLOCK;
    for (size_t t = 0; t < in->tokens; t += chunk) {
        size_t tokens = at_most(in->tokens - t, chunk);
        float *to = out + t * stride;
        if (is_packed)
            int8_rows(w, packed + t * blocks, tokens, first, first + count, to, stride);
        else
            float_rows(w, in->x + t * in->stride, in->stride, tokens, first, first + count, to, stride);
    }
}
