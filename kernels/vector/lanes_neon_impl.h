/* lanes_neon_impl.h - the operations of lanes_impl.h for NEON: sixteen floats in four registers.
 *
 * It only uses what every arm64 processor has. Maxima are comparisons and selections, because NEON's own maximum of a
 * number and a NaN is the NaN.
 */
#ifndef BERTH_LANES_NEON_IMPL_H
#define BERTH_LANES_NEON_IMPL_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

struct lanes {
    float32x4_t a, b, c, d; /* fields, because compilers keep an array in memory */
};

/* Applies a function of four floats to the four registers of one, two or three arguments. */
#define LANES_1(f, x)                                                                                        \
    (struct lanes)                                                                                           \
    {                                                                                                        \
        f((x).a), f((x).b), f((x).c), f((x).d)                                                               \
    }
#define LANES_2(f, x, y)                                                                                     \
    (struct lanes)                                                                                           \
    {                                                                                                        \
        f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)                                   \
    }
#define LANES_3(f, x, y, z)                                                                                  \
    (struct lanes)                                                                                           \
    {                                                                                                        \
        f((x).a, (y).a, (z).a), f((x).b, (y).b, (z).b), f((x).c, (y).c, (z).c), f((x).d, (y).d, (z).d)       \
    }

LANES_INLINE struct lanes lanes_set(float x)
{
    float32x4_t v = vdupq_n_f32(x);
    return (struct lanes){v, v, v, v};
}

LANES_INLINE struct lanes lanes_load(const float *p)
{
    return (struct lanes){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}

LANES_INLINE void lanes_store(float *p, struct lanes x)
{
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}

LANES_INLINE struct lanes lanes_load_half(const uint16_t *p)
{
    float16x8_t low = vreinterpretq_f16_u16(vld1q_u16(p)), high = vreinterpretq_f16_u16(vld1q_u16(p + 8));
    return (struct lanes){vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low),
        vcvt_f32_f16(vget_low_f16(high)), vcvt_high_f32_f16(high)};
}

LANES_INLINE void lanes_store_half(uint16_t *p, struct lanes x)
{
    vst1q_u16(p, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.a), x.b)));
    vst1q_u16(p + 8, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.c), x.d)));
}

LANES_INLINE struct lanes lanes_load_int8(const int8_t *p)
{
    int8x16_t bytes = vld1q_s8(p);
    int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    return (struct lanes){vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
        vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))};
}

LANES_INLINE void lanes_store_int8(int8_t *p, struct lanes x)
{
    int16x8_t low = vmovn_high_s32(vmovn_s32(vcvtnq_s32_f32(x.a)), vcvtnq_s32_f32(x.b));
    int16x8_t high = vmovn_high_s32(vmovn_s32(vcvtnq_s32_f32(x.c)), vcvtnq_s32_f32(x.d));
    vst1q_s8(p, vmovn_high_s16(vmovn_s16(low), high));
}

LANES_INLINE struct lanes lanes_add(struct lanes x, struct lanes y)
{
    return LANES_2(vaddq_f32, x, y);
}

LANES_INLINE struct lanes lanes_sub(struct lanes x, struct lanes y)
{
    return LANES_2(vsubq_f32, x, y);
}

LANES_INLINE struct lanes lanes_mul(struct lanes x, struct lanes y)
{
    return LANES_2(vmulq_f32, x, y);
}

LANES_INLINE struct lanes lanes_div(struct lanes x, struct lanes y)
{
    return LANES_2(vdivq_f32, x, y);
}

LANES_INLINE struct lanes lanes_fma(struct lanes x, struct lanes y, struct lanes z)
{
    return LANES_3(vfmaq_f32, z, x, y);
}

LANES_INLINE float32x4_t lanes_max_of_four(float32x4_t x, float32x4_t y)
{
    return vbslq_f32(vcgtq_f32(x, y), x, y);
}

LANES_INLINE struct lanes lanes_max(struct lanes x, struct lanes y)
{
    return LANES_2(lanes_max_of_four, x, y);
}

/* `yes` in the lanes whose comparison in `mask` was true, `no` in the others. */
LANES_INLINE float32x4_t lanes_choose_four(float32x4_t mask, float32x4_t yes, float32x4_t no)
{
    return vbslq_f32(vreinterpretq_u32_f32(mask), yes, no);
}

LANES_INLINE float32x4_t lanes_less_of_four(float32x4_t x, float32x4_t y)
{
    return vreinterpretq_f32_u32(vcltq_f32(x, y));
}

LANES_INLINE float32x4_t lanes_at_most_of_four(float32x4_t x, float32x4_t y)
{
    return vreinterpretq_f32_u32(vcleq_f32(x, y));
}

LANES_INLINE struct lanes lanes_less(struct lanes x, struct lanes y, struct lanes yes, struct lanes no)
{
    struct lanes mask = LANES_2(lanes_less_of_four, x, y);
    return LANES_3(lanes_choose_four, mask, yes, no);
}

LANES_INLINE struct lanes lanes_at_most(struct lanes x, struct lanes y, struct lanes yes, struct lanes no)
{
    struct lanes mask = LANES_2(lanes_at_most_of_four, x, y);
    return LANES_3(lanes_choose_four, mask, yes, no);
}

LANES_INLINE float32x4_t lanes_xor_four(float32x4_t x, float32x4_t y)
{
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}

LANES_INLINE struct lanes lanes_xor(struct lanes x, struct lanes y)
{
    return LANES_2(lanes_xor_four, x, y);
}

LANES_INLINE float32x4_t lanes_and_four(float32x4_t x, float32x4_t y)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}

LANES_INLINE struct lanes lanes_and(struct lanes x, struct lanes y)
{
    return LANES_2(lanes_and_four, x, y);
}

LANES_INLINE float32x4_t lanes_raise_four(float32x4_t x, float32x4_t rounded)
{
    uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(rounded), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x), exponent));
}

LANES_INLINE struct lanes lanes_raise(struct lanes x, struct lanes rounded)
{
    return LANES_2(lanes_raise_four, x, rounded);
}

LANES_INLINE struct lanes lanes_even_twice(struct lanes x)
{
    return LANES_2(vtrn1q_f32, x, x);
}

LANES_INLINE struct lanes lanes_odd_twice(struct lanes x)
{
    return LANES_2(vtrn2q_f32, x, x);
}

LANES_INLINE struct lanes lanes_swapped(struct lanes x)
{
    return LANES_1(vrev64q_f32, x);
}

LANES_INLINE struct lanes lanes_sub_add(struct lanes x, struct lanes y)
{
    float32x4_t minus = vreinterpretq_f32_u64(vdupq_n_u64(0x80000000)); /* in even lanes */
    struct lanes signs = {minus, minus, minus, minus};
    return lanes_add(x, lanes_xor(y, signs));
}

LANES_INLINE void lanes_split(struct lanes x, struct lanes y, struct lanes *even, struct lanes *odd)
{
    *even = (struct lanes){
        vuzp1q_f32(x.a, x.b), vuzp1q_f32(x.c, x.d), vuzp1q_f32(y.a, y.b), vuzp1q_f32(y.c, y.d)};
    *odd = (struct lanes){
        vuzp2q_f32(x.a, x.b), vuzp2q_f32(x.c, x.d), vuzp2q_f32(y.a, y.b), vuzp2q_f32(y.c, y.d)};
}

LANES_INLINE float lanes_sum(struct lanes x)
{
    float32x4_t four = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    return vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
}

LANES_INLINE float lanes_most(struct lanes x)
{
    float32x4_t four = lanes_max_of_four(lanes_max_of_four(x.d, x.b), lanes_max_of_four(x.c, x.a));
    float32x2_t low = vget_low_f32(four), high = vget_high_f32(four);
    float32x2_t two = vbsl_f32(vcgt_f32(high, low), high, low);
    float even = vget_lane_f32(two, 0), odd = vget_lane_f32(two, 1);
    return odd > even ? odd : even;
}

LANES_INLINE float lanes_lowest(struct lanes x)
{
    return vgetq_lane_f32(x.a, 0);
}

#endif
