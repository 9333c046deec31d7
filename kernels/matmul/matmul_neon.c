/* matmul_neon.c - the kernels of base NEON: quantized weights by matmul_neon_int8_impl.h, float weights, and the
 * packing of activations.
 *
 * Rows of floats often lie a power of two apart and share few sets of L1. So a line of 64 bytes is loaded whole, once:
 * four rows by sixteen elements fill half of the registers. They are multiplied by eight tokens at a time, which have
 * one register of sums each.
 */
#include "matmul_neon_codes_impl.h"

#include "matmul_codes_impl.h"

#define STEP 16 /* elements of k of a quad that are in registers */
#define FLOAT_TOKENS 8

/* ---- weights in floats ---- */

/* STEP elements of 4 rows. */
INLINE void load_floats(float32x4_t w[STEP], const uint8_t *at, size_t row_bytes, enum matmul_float type)
{
    uint8x16_t raw[STEP];
    load_lanes(raw, at, row_bytes);
    load_lanes(raw + 4, at + 16, row_bytes);
    if (type == MATMUL_F32) {
        load_lanes(raw + 8, at + 32, row_bytes);
        load_lanes(raw + 12, at + 48, row_bytes);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < STEP; i += 2) {
        uint32x4_t word = vreinterpretq_u32_u8(raw[type == MATMUL_F32 ? i : i / 2]);
        if (type == MATMUL_F32) {
            w[i] = vreinterpretq_f32_u32(word);
            w[i + 1] = vreinterpretq_f32_u8(raw[i + 1]);
        } else if (type == MATMUL_F16) {
            both_halves(w + i, word);
        } else {
            w[i] = vreinterpretq_f32_u32(vshlq_n_u32(word, 16));
            w[i + 1] = vreinterpretq_f32_u32(vandq_u32(word, vdupq_n_u32(0xffff0000)));
        }
    }
}

/* Adds STEP elements to the sums of n tokens, n constant. Eight chains of additions hide their latency. */
INLINE void add_floats(
    const float32x4_t w[STEP], const float (*x)[MATMUL_STEP], size_t n, float (*sums)[MATMUL_ROWS])
{
    float32x4_t y[FLOAT_TOKENS];
#pragma GCC unroll 8
    for (size_t t = 0; t < n; t++)
        y[t] = vld1q_f32(sums[t]);
#pragma GCC unroll 4
    for (size_t i = 0; i < STEP; i += 4)
#pragma GCC unroll 8
        for (size_t t = 0; t < n; t++) {
            float32x4_t four = vld1q_f32(x[t] + i);
            y[t] = vfmaq_laneq_f32(y[t], w[i], four, 0);
            y[t] = vfmaq_laneq_f32(y[t], w[i + 1], four, 1);
            y[t] = vfmaq_laneq_f32(y[t], w[i + 2], four, 2);
            y[t] = vfmaq_laneq_f32(y[t], w[i + 3], four, 3);
        }
#pragma GCC unroll 8
    for (size_t t = 0; t < n; t++)
        vst1q_f32(sums[t], y[t]);
}

INLINE void float_tile(enum matmul_float type, const uint8_t *weights, size_t row_bytes, size_t steps,
    const float *x, size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t size = type == MATMUL_F32 ? 4 : 2, bytes = MATMUL_STEP * size;
    for (size_t s = 0; s < steps; s++, x += tokens * MATMUL_STEP) {
        prefetch(weights, row_bytes, s * bytes, (s + 1) * bytes, tokens);
        for (size_t q = 0; q < TILE_QUADS; q++)
            for (size_t i = 0; i < MATMUL_STEP; i += STEP) {
                const float(*from)[MATMUL_STEP] = (const float(*)[MATMUL_STEP])(x + i);
                float(*to)[MATMUL_ROWS] = quad_sums(sums, q);
                float32x4_t w[STEP];
                size_t t = 0;
                load_floats(w, weights + 4 * q * row_bytes + s * bytes + i * size, row_bytes, type);
                for (; t + FLOAT_TOKENS <= tokens; t += FLOAT_TOKENS)
                    add_floats(w, from + t, FLOAT_TOKENS, to + t);
                for (; t < tokens; t++)
                    add_floats(w, from + t, 1, to + t);
            }
    }
}

#define FLOAT_TILE(name, type)                                                                               \
    void matmul_neon_##name(const uint8_t *weights, size_t row_bytes, size_t steps, const float *x,          \
        size_t tokens, float sums[][MATMUL_ROWS])                                                            \
    {                                                                                                        \
        float_tile(type, weights, row_bytes, steps, x, tokens, sums);                                        \
    }
FLOAT_TILE(f32, MATMUL_F32)
FLOAT_TILE(f16, MATMUL_F16)
FLOAT_TILE(bf16, MATMUL_BF16)

/* ---- activations ---- */

void matmul_neon_pack(struct matmul_block *out, size_t step, const float *x, size_t blocks)
{
    for (; blocks-- > 0; out += step, x += MATMUL_BLOCK) {
        float32x4_t size = vdupq_n_f32(0.0f); /* becomes NaN when an element is: vmaxq keeps it */
        int32x4_t half[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
        for (size_t i = 0; i < MATMUL_BLOCK; i += 4)
            size = vmaxq_f32(size, vabsq_f32(vld1q_f32(x + i)));
        float amax = vmaxvq_f32(size);
        if (!(amax < __builtin_inff()) || amax < 0x1p-119f) {
            matmul_plain.pack(out, step, x, 1);
            continue;
        }
        float inverse = 127.0f / amax;
        for (size_t i = 0; i < MATMUL_BLOCK; i += 8) {
            int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i), inverse));
            int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i + 4), inverse));
            half[i / 16] = vaddq_s32(half[i / 16], vaddq_s32(a, b));
            vst1_s8(out->q + i, vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b))));
        }
        int32_t first = vaddvq_s32(half[0]), sum = first + vaddvq_s32(half[1]);
        out->d = amax / 127.0f;
        out->d_sum = out->d * (float)sum;
        out->minus_sum = -sum;
        out->minus_half = -first;
    }
}

const struct matmul_kernels matmul_neon = MATMUL_SET_OF_NEON;
