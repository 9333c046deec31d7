/* vector.c - passes each call to the functions of the selected instruction set.
 *
 * A function that has several steps is put together here, once for all sets, so that they all give the same bits.
 */
#include "vector_private.h"

#include "kernels/isa_private.h"

/* clang-format off */
static const struct vector_set *const sets[ISA_SETS] = {
    [ISA_PLAIN]  = &vector_plain,
    [ISA_AVX2]   = ISA_X86(vector_avx2),
    [ISA_AVX512] = ISA_X86(vector_avx512),
    [ISA_NEON]   = ISA_ARM64(vector_neon),
};
/* clang-format on */

static const struct vector_set *selected(void)
{
    enum isa set = isa_selected();
    while (!sets[set])
        set = isa_base(set);
    return sets[set];
}

float vector_sum(const float *x, size_t n)
{
    return selected()->sum(x, n);
}

float vector_dot(const float *a, const float *b, size_t n)
{
    return selected()->dot(a, b, n);
}

float vector_max(const float *x, size_t n)
{
    return selected()->max(x, n);
}

void vector_add(float *out, const float *a, const float *b, size_t n)
{
    selected()->add(out, a, b, n);
}

void vector_multiply(float *out, const float *a, const float *b, size_t n)
{
    selected()->multiply(out, a, b, n);
}

void vector_divide(float *out, const float *x, float divisor, size_t n)
{
    selected()->divide(out, x, divisor, n);
}

void vector_scale(float *out, const float *x, float factor, size_t n)
{
    selected()->scale(out, x, factor, n);
}

void vector_add_scaled(float *out, const float *x, float factor, size_t n)
{
    selected()->add_scaled(out, x, factor, n);
}

void vector_rms_norm(float *out, const float *x, const float *weight, float epsilon, size_t n)
{
    const struct vector_set *set = selected();
    float mean_square = set->dot(x, x, n) / (float)n;
    set->normalize(out, x, 0.0f, 1.0f / __builtin_sqrtf(mean_square + epsilon), weight, NULL, n);
}

void vector_layer_norm(
    float *out, const float *x, const float *weight, const float *bias, float epsilon, size_t n)
{
    const struct vector_set *set = selected();
    float mean = set->sum(x, n) / (float)n;
    float variance = set->square_sum(x, mean, n) / (float)n;
    set->normalize(out, x, mean, 1.0f / __builtin_sqrtf(variance + epsilon), weight, bias, n);
}

void vector_gate(float *out, const float *gate, const float *up, enum vector_gate f, size_t n)
{
    selected()->gate(out, gate, up, f, n);
}

void vector_softplus(float *out, const float *x, size_t n)
{
    selected()->softplus(out, x, n);
}

void vector_xielu(float *out, const float *x, const struct vector_xielu *f, size_t n)
{
    float low[256], powers[256];
    for (size_t at = 0; at < n; at += 256) {
        size_t count = n - at < 256 ? n - at : 256;
        for (size_t i = 0; i < count; i++)
            low[i] = x[at + i] > f->least ? f->least : x[at + i];
        selected()->exp_sum(powers, low, 0.0f, count);
        for (size_t i = 0; i < count; i++) {
            float v = x[at + i];
            float curve = v > 0 ? f->positive * v * v : f->negative * ((powers[i] - 1.0f) - v);
            out[at + i] = curve + f->linear * v;
        }
    }
}

void vector_clamp(float *out, const float *x, float limit, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] < -limit ? -limit : x[i] > limit ? limit : x[i];
}

void vector_softcap(float *out, const float *x, float cap, size_t n)
{
    selected()->softcap(out, x, cap, n);
}

float vector_exp_sum(const float *x, float max, size_t n)
{
    return selected()->exp_sum(NULL, x, max, n);
}

void vector_softmax(float *out, const float *x, size_t n)
{
    const struct vector_set *set = selected();
    float sum = set->exp_sum(out, x, set->max(x, n), n);
    set->divide(out, out, sum, n);
}

void vector_rotate(float *x, const float *cos_sin, size_t pairs, bool halves)
{
    selected()->rotate(x, cos_sin, pairs, halves);
}
