/* decoder_bench.h - a tiny decoder with everything that is needed to run it, and the reference for its logits.
 *
 * The reference is a sequence that is computed token by token, alone, by one thread in plain C. For tests with cmocka.
 */
#ifndef BERTH_TESTS_DECODER_BENCH_H
#define BERTH_TESTS_DECODER_BENCH_H

#include "berth/engine/model/decoder.h"
#include "berth/kernels/isa.h"
#include "tiny_model.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#define ROWS_MAX 2048
#define OTHERS 7

/* A model and everything that is needed to run it. */
struct bench {
    struct tiny tiny;
    struct decoder *decoder;
    struct kv_budget budget;
    struct kv_cache *cache;
    struct decoder_workspace *workspace;
    struct pool *pool;
};

static inline void bench_open_edited(
    struct bench *b, const char *arch, enum attention_type type, const struct tiny_edit *edit)
{
    struct error err = {0};
    *b = (struct bench){0};
    tiny_make(&b->tiny, arch, edit, &err);
    b->decoder = b->tiny.gguf ? decoder_new(&b->tiny.gguf->checkpoint, false, &err) : NULL;
    if (!b->decoder)
        fail_msg("%s", err.text);
    size_t n;
    const struct layer_state *layers = decoder_layer_states(b->decoder, &n);
    b->budget.limit = UINT64_MAX;
    b->cache = kv_cache_new(&b->budget, type, layers, n);
    b->workspace = decoder_workspace_new();
    assert_non_null(b->cache);
    assert_non_null(b->workspace);
}

static inline void bench_open(struct bench *b, const char *arch, enum attention_type type)
{
    bench_open_edited(b, arch, type, NULL);
}

static inline void use_threads(struct bench *b, unsigned threads)
{
    struct error err = {0};
    pool_free(b->pool);
    b->pool = pool_new(threads, 2, &err);
    assert_non_null(b->pool);
}

static inline void bench_close(struct bench *b)
{
    assert_int_equal(atomic_load(&b->budget.used), 0);
    pool_free(b->pool);
    decoder_workspace_free(b->workspace);
    kv_cache_free(b->cache);
    decoder_free(b->decoder);
    tiny_release(&b->tiny);
}

static inline int32_t token_at(size_t sequence, size_t position)
{
    return (int32_t)((position * 37 + position * position * 11 + sequence * 29 + 5) % TINY_VOCABULARY);
}

static inline void add_row(struct decoder_row *rows, size_t *n, struct sequence *s, size_t which,
    size_t position, enum decoder_output output)
{
    rows[(*n)++] = (struct decoder_row){
        .sequence = s, .position = (uint32_t)position, .token = token_at(which, position), .output = output};
}

static inline void add_others(
    struct decoder_row *rows, size_t *n, struct sequence **others, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        size_t length = sequence_length(others[i]), count = i % 3 + 1;
        assert_true(sequence_reserve(others[i], length + count));
        for (size_t k = 0; k < count; k++)
            add_row(rows, n, others[i], i + 1, length + k, i % 2 ? DECODER_LOGITS : DECODER_NOTHING);
    }
}

/* Computes the positions from the sequence's length to before `end`, `chunk` at a time, and writes their logits to `out`,
 * from the first of these positions on. */
static inline void read_chunks(
    struct bench *b, struct sequence *s, size_t end, size_t chunk, struct sequence **others, float *out)
{
    static struct decoder_row rows[ROWS_MAX];
    for (size_t at = sequence_length(s); at < end;) {
        size_t count = end - at < chunk ? end - at : chunk, n = 0, before = 0;
        float *logits;
        struct error err = {0};
        if (others)
            add_others(rows, &n, others, 0, 3);
        for (size_t i = 0; i < n; i++)
            before += rows[i].output != DECODER_NOTHING;
        assert_true(sequence_reserve(s, at + count));
        for (size_t i = 0; i < count; i++)
            add_row(rows, &n, s, 0, at + i, DECODER_LOGITS);
        if (others)
            add_others(rows, &n, others, 3, OTHERS);
        const struct decoder_batch batch = {.rows = rows, .n = n, .causal = true};
        if (!decoder_forward(b->decoder, b->workspace, b->pool, &batch, NULL, &logits, &err))
            fail_msg("%s", err.text);
        at += count;
        assert_int_equal(sequence_length(s), at);
        memcpy(out, logits + before * TINY_VOCABULARY, count * TINY_VOCABULARY * sizeof(float));
        out += count * TINY_VOCABULARY;
    }
}

static inline void read_all(struct bench *b, size_t n, size_t chunk, bool among, float *out)
{
    struct sequence *s = sequence_new(b->cache), *others[OTHERS];
    for (size_t i = 0; i < OTHERS; i++)
        others[i] = sequence_new(b->cache);
    read_chunks(b, s, n, chunk, among ? others : NULL, out);
    for (size_t i = 0; i < OTHERS; i++)
        sequence_free(others[i]);
    sequence_free(s);
}

static inline void assert_same(const float *a, const float *b, size_t positions, const char *what)
{
    for (size_t i = 0; i < positions; i++)
        if (memcmp(a + i * TINY_VOCABULARY, b + i * TINY_VOCABULARY, TINY_VOCABULARY * sizeof(float)) != 0)
            fail_msg("%s: position %zu has other bytes", what, i);
}

static inline float *logits_for(size_t positions)
{
    float *out = malloc(positions * TINY_VOCABULARY * sizeof(float));
    assert_non_null(out);
    return out;
}

/* The reference for n positions. */
static inline float *read_plainly(struct bench *b, size_t n, size_t chunk)
{
    struct error err = {0};
    assert_true(isa_select("plain", &err));
    use_threads(b, 1);
    float *out = logits_for(n);
    read_all(b, n, chunk, false, out);
    return out;
}

static inline void assert_lively(const float *logits, size_t positions)
{
    size_t n = positions * TINY_VOCABULARY;
    float least = logits[0], most = logits[0];
    for (size_t i = 0; i < n; i++) {
        assert_true(logits[i] == logits[i] && logits[i] - logits[i] == 0); /* a finite number */
        least = logits[i] < least ? logits[i] : least;
        most = logits[i] > most ? logits[i] : most;
    }
    assert_true(most - least > 1);
    assert_memory_not_equal(
        logits, logits + (positions - 1) * TINY_VOCABULARY, TINY_VOCABULARY * sizeof(float));
}

#endif
