/* bench_kernels.c - how fast products by weights are, beside what the machine can do at all.
 *
 *     bench_kernels [THREADS] [SET]
 *     bench_kernels --limits [THREADS] [SET]
 *
 * For every set of kernels that the machine has, or the one that is named, and every type that has kernels: one
 * token (weights too many for any cache: GB/s are what counts), 8, and 512. GMAC/s count multiply-adds of a
 * weight by an activation; packing the activations is in the time. Above the table: what int8 dot products on
 * registers reach, and reading memory in order, both with as many threads and measured right before. A figure is
 * the best of several turns, since whatever else runs on the machine can only make one worse.
 *
 * With --limits those two alone, as one JSON object; SET is then auto unless it is named. int8_gmacs is null for a set
 * that has no measure of its own here.
 */
#include "berth/kernels/isa.h"
#include "berth/kernels/matmul.h"
#include "berth/base/pool.h"
#include "berth/base/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS 2048
#define WEIGHTS ((size_t)128 << 20) /* bytes, for one token; four times the largest cache here */
#define ROWS 2048 /* for many */
#define TURNS 7

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double best_of(struct pool *pool, pool_work work, void *context)
{
    double best = 1e9;
    for (int i = 0; i < TURNS; i++) {
        double begin = now();
        pool_run(pool, work, context);
        double took = now() - begin;
        best = took < best ? took : best;
    }
    return best;
}

/* ---- what the machine can do ---- */

#define PEAK_STEPS 4000000

#if defined(__x86_64__)
/* Twelve sums, since one that waits for itself would measure latency. */
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define VNNI(n) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #n "\n"
#define MADDUBS(n) "vpmaddubsw %%ymm14, %%ymm15, %%ymm12\nvpaddw %%ymm12, %%ymm" #n ", %%ymm" #n "\n"

static void peak_avx512(void *context, unsigned index, unsigned n)
{
    (void)context, (void)index, (void)n;
    for (int i = 0; i < PEAK_STEPS; i++)
        __asm__ volatile(TWELVE(VNNI)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                         "xmm10", "xmm11");
}

static void peak_avx2(void *context, unsigned index, unsigned n)
{
    (void)context, (void)index, (void)n;
    for (int i = 0; i < PEAK_STEPS; i++)
        __asm__ volatile(TWELVE(MADDUBS)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                         "xmm10", "xmm11", "xmm12");
}

static double peak(struct pool *pool, enum isa set)
{
    double macs = 12.0 * PEAK_STEPS * (set == ISA_AVX512 ? 64 : 32) * pool_size(pool);
    return macs / best_of(pool, set == ISA_AVX512 ? peak_avx512 : peak_avx2, NULL) * 1e-9;
}
#else
static double peak(struct pool *pool, enum isa set)
{
    (void)pool, (void)set;
    return 0;
}
#endif

struct memory {
    const uint8_t *data;
    size_t size;
    uint64_t seen[POOL_MAX];
};

/* Four places at a time: from one alone, what fetches ahead does not get all that memory gives. */
static void read_part(void *context, unsigned index, unsigned n)
{
    struct memory *m = context;
    const size_t quarter = m->size / n / 4 / 64 * 64;
    const uint8_t *at = m->data + index * 4 * quarter;
    uint64_t sum = 0;
    for (size_t i = 0; i < quarter; i += 64)
        for (size_t place = 0; place < 4; place++) {
            uint64_t v[8];
            memcpy(v, at + place * quarter + i, sizeof(v));
            sum ^= v[0] ^ v[1] ^ v[2] ^ v[3] ^ v[4] ^ v[5] ^ v[6] ^ v[7];
        }
    m->seen[index] ^= sum;
}

/* ---- products ---- */

struct product {
    struct pool *pool;
    struct matmul_weight w;
    struct matmul_input in;
    float *out;
};

static void product(void *context, unsigned index, unsigned n)
{
    struct product *p = context;
    if (p->in.packed) {
        size_t units = matmul_pack_units(p->in.tokens), from = units * index / n;
        matmul_pack(&p->in, from, units * (index + 1) / n - from);
        pool_barrier(p->pool);
    }
    size_t tiles = p->w.rows / MATMUL_TILE, from = tiles * index / n * MATMUL_TILE;
    size_t end = tiles * (index + 1) / n * MATMUL_TILE;
    matmul_rows(&p->w, &p->in, from, end - from, p->out, p->w.rows);
}

static void row_of_table(struct pool *pool, uint32_t type, const uint8_t *weights)
{
    static const size_t tokens[] = {1, 8, 512};
    struct matmul_weight one;
    if (!matmul_weight_init(&one, type, weights, 1, COLUMNS, false) ||
        !(matmul_takes_packed(&one) || type <= 1 || type == 30))
        return;
    printf("%-8s", tensor_type_find(type)->name);
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        size_t most = WEIGHTS / one.row_bytes / MATMUL_TILE * MATMUL_TILE;
        struct product p = {.pool = pool};
        matmul_weight_init(&p.w, type, weights, tokens[i] == 1 ? most : ROWS, COLUMNS, false);
        float *x = malloc(tokens[i] * COLUMNS * sizeof(*x));
        p.in = (struct matmul_input){.x = x, .stride = COLUMNS, .tokens = tokens[i], .columns = COLUMNS};
        if (matmul_takes_packed(&p.w))
            p.in.packed = aligned_alloc(64, matmul_packed_bytes(tokens[i], COLUMNS));
        p.out = malloc(tokens[i] * p.w.rows * sizeof(*p.out));
        if (!x || !p.out)
            exit(1);
        for (size_t k = 0; k < tokens[i] * COLUMNS; k++)
            x[k] = (float)(k * 37 % 101) - 50.0f;
        double took = best_of(pool, product, &p);
        printf("%9.1f%8.2f", (double)(p.w.rows * COLUMNS * tokens[i]) / took * 1e-9,
            (double)(p.w.rows * p.w.row_bytes) / took * 1e-9);
        free(x);
        free(p.in.packed);
        free(p.out);
    }
    printf("\n");
}

static uint32_t *make_weights(void)
{
    uint32_t *weights = aligned_alloc(64, WEIGHTS + 64), random = 1;
    if (!weights)
        return NULL;
    weights += 8; /* tensors of a GGUF file lie at multiples of 32 */
    for (size_t i = 0; i < WEIGHTS / sizeof(*weights); i++) {
        random = random * 1664525 + 1013904223;
        weights[i] = random >> 3 & 0x3bff3bff; /* no scale is infinite, whatever the type */
    }
    return weights;
}

static double reading(struct pool *pool, const uint32_t *weights)
{
    struct memory m = {.data = (const uint8_t *)weights, .size = WEIGHTS};
    return WEIGHTS / best_of(pool, read_part, &m) * 1e-9;
}

static void print_limits(struct pool *pool, const uint32_t *weights)
{
    double int8 = isa_selected() == ISA_PLAIN ? 0 : peak(pool, isa_selected());
    char shown[32] = "null";
    if (int8 > 0)
        snprintf(shown, sizeof(shown), "%.1f", int8);
    printf("{\"cpu\":\"%s\",\"threads\":%u,\"int8_gmacs\":%s,\"read_gbs\":%.2f}\n", isa_name(isa_selected()),
        pool_size(pool), shown, reading(pool, weights));
}

static void print_tables(struct pool *pool, const uint32_t *weights, const char *only)
{
    struct error err;
    for (int set = ISA_SETS - 1; set >= 0; set--) {
        const char *name = isa_name((enum isa)set);
        if (!isa_has((enum isa)set) || (only ? strcmp(only, name) != 0 : set == ISA_PLAIN))
            continue;
        isa_select(name, &err);
        printf("%s, %u threads: int8 on registers %.0f GMAC/s, ", name, pool_size(pool),
            peak(pool, (enum isa)set));
        printf("reading %.1f GB/s\n", reading(pool, weights));
        printf("         1 token: GMAC/s GB/s   8 tokens         512 tokens\n");
        for (uint32_t type = 0; type < 64; type++)
            row_of_table(pool, type, (const uint8_t *)weights);
    }
}

int main(int n, char **words)
{
    struct error err = {0};
    bool limits = n > 1 && strcmp(words[1], "--limits") == 0;
    char **rest = words + 1 + limits;
    int left = n - 1 - limits;
    unsigned threads = left > 0 ? (unsigned)atoi(rest[0]) : 1;
    const char *set = left > 1 ? rest[1] : NULL;
    struct pool *pool = isa_select(set ? set : "auto", &err) ? pool_new(threads, threads, &err) : NULL;
    uint32_t *weights = pool ? make_weights() : NULL;
    if (!weights) {
        fprintf(stderr, "bench_kernels: %s\n", pool ? "no memory" : err.text);
        return 1;
    }
    if (limits)
        print_limits(pool, weights);
    else
        print_tables(pool, weights, set);
    free(weights - 8);
    pool_free(pool);
    return 0;
}
