/* bench_kernels.c - measures products by weights, beside what the machine can do at all.
 *
 *     bench_kernels [THREADS] [SET] [TYPE]...
 *     bench_kernels --limits [THREADS] [SET]
 *
 * The table has a part for each instruction set of the machine, or for the one that is named, and a row for each type
 * that has kernels, or for those that are named. The columns:
 *   1 token      weights larger than any cache, which are read from memory: GB/s of weights are what counts
 *   from cache   one token by weights that fit the second-level cache: what the kernel itself can do
 *   8, 512       so many tokens
 * GMAC/s count multiply-adds of a weight by an activation. The time includes packing the activations. The line above a
 * part has the limits, measured right before with as many threads: int8 dot products on registers, and memory read in
 * order. A figure is the best of several turns, because other work on the machine can only make a turn slower.
 *
 * --limits prints these two limits alone, as one JSON object; SET is auto unless it is named. int8_gmacs is null for a
 * set that has no measure here.
 */
#include "berth/kernels/isa.h"
#include "berth/kernels/matmul.h"
#include "berth/base/pool.h"
#include "berth/base/tensor.h"
#include "bench/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS 2048
#define WEIGHTS ((size_t)128 << 20) /* bytes, for one token: four times the largest cache that was met */
#define CACHED ((size_t)192 << 10) /* bytes that stay in a second-level cache */
#define CACHED_REPEATS 64 /* of the product in a turn, which is too short otherwise */
#define ROWS 2048 /* for many tokens */
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

/* A loop of twelve dot products on registers, and how many multiply-adds one of them does. */
struct peak_loop {
    pool_work run;
    unsigned macs;
};

#if defined(__x86_64__)
/* Twelve sums, because one alone would measure the latency of an addition. */
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define VNNI_512(n) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #n "\n"
#define VNNI_256(n) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #n "\n"
#define MADDUBS(n) "vpmaddubsw %%ymm14, %%ymm15, %%ymm12\nvpaddw %%ymm12, %%ymm" #n ", %%ymm" #n "\n"
#define SUMS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"

static void peak_avx512(void *context, unsigned index, unsigned n)
{
    (void)context, (void)index, (void)n;
    for (int i = 0; i < PEAK_STEPS; i++)
        __asm__ volatile(TWELVE(VNNI_512)::: SUMS);
}

static void peak_avxvnni(void *context, unsigned index, unsigned n)
{
    (void)context, (void)index, (void)n;
    for (int i = 0; i < PEAK_STEPS; i++)
        __asm__ volatile(TWELVE(VNNI_256)::: SUMS);
}

static void peak_avx2(void *context, unsigned index, unsigned n)
{
    (void)context, (void)index, (void)n;
    for (int i = 0; i < PEAK_STEPS; i++)
        __asm__ volatile(TWELVE(MADDUBS)::: SUMS, "xmm12");
}

static const struct peak_loop peaks[ISA_SETS] = {
    [ISA_AVX2] = {peak_avx2, 32}, [ISA_AVXVNNI] = {peak_avxvnni, 32}, [ISA_AVX512] = {peak_avx512, 64}};
#else
static const struct peak_loop peaks[ISA_SETS];
#endif

/* GMAC/s, or 0 where nothing measures it. */
static double peak(struct pool *pool, enum isa set)
{
    if (!peaks[set].run)
        return 0;
    return 12.0 * PEAK_STEPS * peaks[set].macs * pool_size(pool) / best_of(pool, peaks[set].run, NULL) * 1e-9;
}

struct memory {
    const uint8_t *data;
    size_t size;
    uint64_t seen[POOL_MAX];
};

/* Four places at a time: the hardware prefetcher does not get all that memory gives from one alone. */
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
    size_t repeats;
};

static void product_once(struct product *p, unsigned index, unsigned n)
{
    if (p->in.packed) {
        size_t units = matmul_pack_units(p->in.tokens), from = units * index / n;
        matmul_pack(&p->in, from, units * (index + 1) / n - from);
        pool_barrier(p->pool);
    }
    size_t tiles = p->w.rows / MATMUL_TILE, from = tiles * index / n * MATMUL_TILE;
    size_t end = tiles * (index + 1) / n * MATMUL_TILE;
    matmul_rows(&p->w, &p->in, from, end - from, p->out, p->w.rows);
}

static void product(void *context, unsigned index, unsigned n)
{
    struct product *p = context;
    for (size_t i = 0; i < p->repeats; i++)
        product_once(p, index, n);
}

/* Seconds that a product of `rows` rows takes, or exits without memory. */
static double time_product(struct pool *pool, struct product *p, size_t tokens)
{
    float *x = malloc(tokens * COLUMNS * sizeof(*x));
    p->pool = pool;
    p->in = (struct matmul_input){.x = x, .stride = COLUMNS, .tokens = tokens, .columns = COLUMNS};
    if (matmul_takes_packed(&p->w))
        p->in.packed = aligned_alloc(64, matmul_packed_bytes(tokens, COLUMNS));
    p->out = malloc(tokens * p->w.rows * sizeof(*p->out));
    if (!x || !p->out || (matmul_takes_packed(&p->w) && !p->in.packed)) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(1);
    }
    for (size_t k = 0; k < tokens * COLUMNS; k++)
        x[k] = (float)(k * 37 % 101) - 50.0f;
    double took = best_of(pool, product, p) / (double)p->repeats;
    free(x);
    free(p->in.packed);
    free(p->out);
    return took;
}

static void print_row(struct pool *pool, uint32_t type, uint8_t *weights)
{
    struct matmul_weight one;
    if (!weights_fill(weights, WEIGHTS, type) || !matmul_weight_init(&one, type, weights, 1, COLUMNS, false))
        return;
    const struct {
        size_t tokens, rows, repeats;
    } columns[] = {{1, WEIGHTS / one.row_bytes / MATMUL_TILE * MATMUL_TILE, 1},
        {1, CACHED / one.row_bytes / MATMUL_TILE * MATMUL_TILE, CACHED_REPEATS}, {8, ROWS, 1},
        {512, ROWS, 1}};
    printf("%-8s", tensor_type_find(type)->name);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        struct product p = {.repeats = columns[i].repeats};
        size_t rows = columns[i].rows ? columns[i].rows : MATMUL_TILE;
        matmul_weight_init(&p.w, type, weights, rows, COLUMNS, false);
        double took = time_product(pool, &p, columns[i].tokens);
        printf("%9.1f%8.2f", (double)(rows * COLUMNS * columns[i].tokens) / took * 1e-9,
            (double)(rows * p.w.row_bytes) / took * 1e-9);
    }
    printf("\n");
    fflush(stdout);
}

static double reading(struct pool *pool, const uint8_t *weights)
{
    struct memory m = {.data = weights, .size = WEIGHTS};
    return WEIGHTS / best_of(pool, read_part, &m) * 1e-9;
}

static void print_limits(struct pool *pool, const uint8_t *weights)
{
    double int8 = peak(pool, isa_selected());
    char shown[32] = "null";
    if (int8 > 0)
        snprintf(shown, sizeof(shown), "%.1f", int8);
    printf("{\"cpu\":\"%s\",\"threads\":%u,\"int8_gmacs\":%s,\"read_gbs\":%.2f}\n", isa_name(isa_selected()),
        pool_size(pool), shown, reading(pool, weights));
}

/* Whether the type is among the words, or there is none. */
static bool wanted(uint32_t type, char **words, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], tensor_type_find(type)->name) == 0)
            return true;
    return n <= 0;
}

/* `only` may be NULL: all sets but plain. */
static void print_tables(struct pool *pool, uint8_t *weights, const char *only, char **types, int n_types)
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
        printf("         1 token: GMAC/s GB/s    from cache        8 tokens       512 tokens\n");
        uint32_t type;
        for (size_t i = 0; weights_type(i, &type); i++)
            if (wanted(type, types, n_types))
                print_row(pool, type, weights);
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
    uint8_t *memory = pool ? aligned_alloc(64, WEIGHTS + 64) : NULL;
    if (!memory) {
        fprintf(stderr, "bench_kernels: %s\n", pool ? "no memory" : err.text);
        return 1;
    }
    uint8_t *weights = memory + 32; /* tensors of a GGUF file lie at multiples of 32 */
    memset(weights, 1, WEIGHTS); /* so that it is there before reading is timed */
    if (limits)
        print_limits(pool, weights);
    else
        print_tables(pool, weights, set, rest + 2, left - 2);
    free(memory);
    pool_free(pool);
    return 0;
}
