/* test_decoder.c - the forward pass: the same bytes however it is run, and models that are refused.
 *
 * The reference is a sequence that is computed token by token, alone, by one thread in plain C. Every other way must give
 * the same bytes: in chunks, by several threads, beside other sequences, with other instructions, on forked and cut
 * sequences. tests/models/logits compares the numbers with the reference program.
 */
#include "berth/kernels/isa.h"
#include "berth/engine/model/decoder.h"
#include "berth/kernels/matmul.h"
#include "decoder_bench.h"
#include "every.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

static const char *const archs[] = {"llama", "gemma2", "granitemoe", "olmoe", "lfm2", "falcon-h1",
    "nemotron_h", "deepseek2", "qwen35", "kimi-linear", "arwkv7", "rwkv6qwen2"};

/* Models and types of the KV cache for these tests. */
static const struct {
    const char *arch;
    enum attention_type type;
} kinds[] = {{"llama", ATTENTION_F16}, {"gemma2", ATTENTION_F16}, {"gemma2", ATTENTION_Q8_0},
    {"granitemoe", ATTENTION_F16}, {"olmoe", ATTENTION_Q8_0}, {"lfm2", ATTENTION_F16},
    {"deepseek2", ATTENTION_F16}, {"deepseek2", ATTENTION_Q8_0}, {"smallthinker", ATTENTION_F16},
    {"arctic", ATTENTION_F16}, {"maion-coder", ATTENTION_F16}, {"lfm2", ATTENTION_Q8_0},
    {"mamba", ATTENTION_F16}, {"jamba", ATTENTION_F16}, {"falcon-h1", ATTENTION_F16},
    {"nemotron_h", ATTENTION_F16}, {"plamo", ATTENTION_F16}, {"gemma4", ATTENTION_F16},
    {"k2-horizon", ATTENTION_F16}, {"granite_swa", ATTENTION_F16}, {"qwen35", ATTENTION_F16},
    {"kimi-linear", ATTENTION_Q8_0}, {"rwkv7", ATTENTION_F16}, {"arwkv7", ATTENTION_F16},
    {"rwkv6", ATTENTION_F16}, {"rwkv6qwen2", ATTENTION_F16}};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- however it is run ---- */

#define POSITIONS 100
#define SHARE 5 /* of the ways, one is tried with each kind and set; the others are with the next ones */

static void check_ways(
    struct bench *b, const float *expected, const char *arch, const char *cpu, size_t turn, size_t share)
{
    static const size_t chunks[] = {1, 7, 64, 512};
    float *out = logits_for(POSITIONS);
    for (unsigned threads = 1; threads <= 3; threads++) {
        use_threads(b, threads);
        for (size_t c = 0; c < 4; c++)
            for (int among = 0; among < 2; among++) {
                char what[128];
                size_t way = threads * 8 + c * 2 + (size_t)among;
                if (way % every() != 0 || (way + turn) % share != 0)
                    continue;
                snprintf(what, sizeof(what), "%s on %s, %u threads, chunks of %zu, %s", arch, cpu, threads,
                    chunks[c], among ? "among others" : "alone");
                read_all(b, POSITIONS, chunks[c], among, out);
                assert_same(out, expected, POSITIONS, what);
            }
    }
    free(out);
}

static void test_chunks_threads_neighbours_and_instructions_change_no_byte(void **state)
{
    (void)state;
    for (size_t k = 0; k<KINDS; k += every()> 1 ? 3 : 1) {
        struct bench b;
        bench_open(&b, kinds[k].arch, kinds[k].type);
        float *expected = read_plainly(&b, POSITIONS, 1);
        assert_lively(expected, POSITIONS);
        for (enum isa set = ISA_PLAIN; set < ISA_SETS; set++) {
            struct error err = {0};
            if (!isa_has(set))
                continue;
            assert_true(isa_select(isa_name(set), &err));
            check_ways(&b, expected, kinds[k].arch, isa_name(set), k + set, k == 0 ? 1 : SHARE);
        }
        free(expected);
        bench_close(&b);
    }
}

/* With more positions than one and a half splits, a few rows are divided by splits, and a chunk is not. */
static void test_long_sequences_are_divided_without_a_trace(void **state)
{
    (void)state;
    enum { LONG = 1100, TAIL = 12 };
    static const char *const long_archs[] = {
        "llama", "gemma2", "llama", "deepseek2", "refact", "k2-horizon", "granite_swa"};
    static const enum attention_type types[] = {ATTENTION_F32, ATTENTION_F32, ATTENTION_Q8_0, ATTENTION_F16,
        ATTENTION_F32, ATTENTION_Q8_0, ATTENTION_F32};
    for (size_t a = 0; a<sizeof(types) / sizeof(types[0]); a += every()> 1 ? 6 : 1) {
        struct bench b;
        bench_open(&b, long_archs[a], types[a]);
        float *expected = read_plainly(&b, LONG, 512), *out = logits_for(LONG);
        for (unsigned threads = 1; threads <= 3; threads++) {
            struct error err = {0};
            assert_true(isa_select("auto", &err));
            use_threads(&b, threads);
            struct sequence *s = sequence_new(b.cache);
            read_chunks(&b, s, LONG - TAIL, 512, NULL, out);
            read_chunks(&b, s, LONG - 3, 1, NULL, out + (LONG - TAIL) * TINY_VOCABULARY);
            read_chunks(&b, s, LONG, 3, NULL, out + (LONG - 3) * TINY_VOCABULARY);
            assert_same(out, expected, LONG, long_archs[a]);
            sequence_free(s);
        }
        free(out);
        free(expected);
        bench_close(&b);
    }
}

static void test_forked_and_cut_sequences_go_on_as_fresh_ones(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct bench b;
        bench_open(&b, kinds[k].arch, kinds[k].type);
        float *expected = read_plainly(&b, POSITIONS, POSITIONS), *out = logits_for(POSITIONS);
        use_threads(&b, 2);
        struct sequence *s = sequence_new(b.cache);
        read_chunks(&b, s, POSITIONS, 50, NULL, out);
        struct sequence *fork = sequence_fork(s, 70);
        size_t cut = sequence_cut(s, 33), forked = sequence_length(fork);
        bool recurrent = kv_cache_state_bytes(b.cache) > 0;
        assert_true(recurrent ? cut <= 33 && forked <= 70 : cut == 33 && forked == 70);
        read_chunks(&b, s, POSITIONS, 9, NULL, out + cut * TINY_VOCABULARY);
        assert_same(out, expected, POSITIONS, "cut");
        read_chunks(&b, fork, POSITIONS, 80, NULL, out + forked * TINY_VOCABULARY);
        assert_same(out, expected, POSITIONS, "forked");
        sequence_free(fork);
        sequence_free(s);
        free(out);
        free(expected);
        bench_close(&b);
    }
}

/* The embedding's row of a token, as it enters the first layer. */
static void embedding_of(const struct bench *b, int32_t token, float *out)
{
    const struct tensor *t = checkpoint_tensor(&b->tiny.gguf->checkpoint, "token_embd.weight");
    half_to_floats(out, t->data + (size_t)token * TINY_WIDTH * 2, TINY_WIDTH);
    for (size_t i = 0; strcmp(b->tiny.arch, "gemma2") == 0 && i < TINY_WIDTH; i++)
        out[i] *= 8; /* the root of its width */
}

static void test_embeddings_in_place_of_tokens_give_the_same(void **state)
{
    (void)state;
    enum { N = 20 };
    for (size_t a = 0; a < sizeof(archs) / sizeof(archs[0]); a++) {
        struct bench b;
        struct error err = {0};
        bench_open(&b, archs[a], ATTENTION_F16);
        float *expected = read_plainly(&b, N, N), *out;
        float rows_of[N][TINY_WIDTH];
        struct decoder_row rows[N];
        size_t n = 0;
        struct sequence *s = sequence_new(b.cache);
        assert_true(sequence_reserve(s, N));
        for (size_t i = 0; i < N; i++) {
            add_row(rows, &n, s, 0, i, DECODER_LOGITS);
            embedding_of(&b, rows[i].token, rows_of[i]);
            rows[i].embedding = rows_of[i];
            rows[i].token = -1;
        }
        const struct decoder_batch batch = {.rows = rows, .n = N, .causal = true};
        assert_true(decoder_forward(b.decoder, b.workspace, b.pool, &batch, NULL, &out, &err));
        assert_same(out, expected, N, archs[a]);
        sequence_free(s);
        free(expected);
        bench_close(&b);
    }
}

/* Some rows want logits, some their hidden state, some nothing; each alone and together. */
static void test_only_what_is_wanted_is_given_in_the_order_of_rows(void **state)
{
    (void)state;
    enum { N = 30, V = TINY_VOCABULARY, W = TINY_WIDTH };
    struct bench b;
    struct error err = {0};
    bench_open(&b, "llama", ATTENTION_F16);
    float *expected = read_plainly(&b, N, N), *out, hidden[W];
    use_threads(&b, 2);
    for (int mixed = 0; mixed < 2; mixed++) {
        struct decoder_row rows[N];
        size_t n = 0;
        struct sequence *s = sequence_new(b.cache);
        assert_true(sequence_reserve(s, N));
        for (size_t i = 0; i < N; i++)
            add_row(
                rows, &n, s, 0, i, i % 10 == 3 ? (mixed ? DECODER_LOGITS : DECODER_HIDDEN) : DECODER_NOTHING);
        rows[7].output = DECODER_HIDDEN;
        const struct decoder_batch batch = {.rows = rows, .n = N, .causal = true};
        assert_true(decoder_forward(b.decoder, b.workspace, b.pool, &batch, NULL, &out, &err));
        if (!mixed) /* rows 3, 7, 13, 23, contiguous */
            memcpy(hidden, out + W, sizeof(hidden));
        else {
            assert_memory_equal(out, expected + 3 * V, V * sizeof(float));
            assert_memory_equal(out + V, hidden, sizeof(hidden));
            assert_memory_equal(out + 2 * V, expected + 13 * V, V * sizeof(float));
            assert_memory_equal(out + 3 * V, expected + 23 * V, V * sizeof(float));
        }
        sequence_free(s);
    }
    free(expected);
    bench_close(&b);
}

/* The second time the pages have the keys of the first time, so attention before the keys are stored would give other
 * bytes. */
static void test_without_causality_all_rows_see_each_other(void **state)
{
    (void)state;
    enum { N = 60, V = TINY_VOCABULARY };
    struct bench b;
    struct error err = {0};
    bench_open(&b, "llama", ATTENTION_F16);
    float *causal = read_plainly(&b, N, N), *first = logits_for(N), *out;
    struct decoder_row rows[N];
    size_t n = 0;
    struct sequence *s = sequence_new(b.cache);
    assert_true(sequence_reserve(s, N));
    for (size_t i = 0; i < N; i++)
        add_row(rows, &n, s, 0, i, DECODER_LOGITS);
    const struct decoder_batch batch = {.rows = rows, .n = N, .causal = false};
    for (unsigned threads = 1; threads <= 2; threads++) {
        use_threads(&b, threads);
        assert_true(decoder_forward(b.decoder, b.workspace, b.pool, &batch, NULL, &out, &err));
        if (threads == 1)
            memcpy(first, out, N * V * sizeof(float));
        sequence_cut(s, 0);
        assert_true(sequence_reserve(s, N));
    }
    assert_same(out, first, N, "once more");
    assert_memory_not_equal(out, causal, V * sizeof(float));
    sequence_free(s);
    free(first);
    free(causal);
    bench_close(&b);
}

static void check_stop(const char *arch)
{
    struct bench b;
    struct error err = {0};
    float *out;
    atomic_bool stop = true;
    bench_open(&b, arch, ATTENTION_F16);
    float *expected = read_plainly(&b, 5, 5);
    use_threads(&b, 3);
    struct sequence *s = sequence_new(b.cache);
    assert_true(sequence_reserve(s, 5));
    struct decoder_row rows[5];
    size_t n = 0;
    for (size_t i = 0; i < 5; i++)
        add_row(rows, &n, s, 0, i, DECODER_LOGITS);
    const struct decoder_batch batch = {.rows = rows, .n = n, .causal = true};
    assert_false(decoder_forward(b.decoder, b.workspace, b.pool, &batch, &stop, &out, &err));
    assert_string_equal(err.text, "");
    assert_int_equal(sequence_length(s), 0);
    stop = false;
    assert_true(decoder_forward(b.decoder, b.workspace, b.pool, &batch, &stop, &out, &err));
    assert_same(out, expected, 5, "after a stop");
    sequence_free(s);
    free(expected);
    bench_close(&b);
}

static void test_a_stop_leaves_the_sequences_as_they_were(void **state)
{
    (void)state;
    for (size_t a = 0; a < sizeof(archs) / sizeof(archs[0]); a++)
        check_stop(archs[a]);
    check_stop("rwkv7");
    check_stop("rwkv6");
}

static void test_rows_that_would_write_elsewhere_are_refused(void **state)
{
    (void)state;
    struct bench b;
    struct error err = {0};
    float *out;
    bench_open(&b, "llama", ATTENTION_F16);
    use_threads(&b, 1);
    struct sequence *s = sequence_new(b.cache);
    struct decoder_row row = {.sequence = s, .token = 1};
    const struct decoder_batch batch = {.rows = &row, .n = 1, .causal = true};
    assert_false(decoder_forward(b.decoder, b.workspace, b.pool, &batch, NULL, &out, &err));
    assert_non_null(strstr(err.text, "unreserved"));
    assert_true(sequence_reserve(s, 1));
    row.token = TINY_VOCABULARY;
    err.text[0] = '\0';
    assert_false(decoder_forward(b.decoder, b.workspace, b.pool, &batch, NULL, &out, &err));
    assert_non_null(strstr(err.text, "token 96"));
    row.token = 1;
    row.position = 1;
    err.text[0] = '\0';
    assert_false(decoder_forward(b.decoder, b.workspace, b.pool, &batch, NULL, &out, &err));
    assert_non_null(strstr(err.text, "position 1"));
    assert_int_equal(sequence_length(s), 0);
    sequence_free(s);
    bench_close(&b);
}

/* Workers pack the rows whose norms they have computed, without a barrier. */
static void test_a_unit_of_packing_is_a_token(void **state)
{
    (void)state;
    for (size_t tokens = 1; tokens < 200; tokens++)
        assert_int_equal(matmul_pack_units(tokens), tokens);
}

/* ---- models ---- */

static void assert_refused(const char *arch, struct tiny_edit edit, const char *reason)
{
    struct tiny t;
    struct error err = {0};
    tiny_make(&t, arch, &edit, &err);
    if (!t.gguf)
        fail_msg("the test's own file is wrong: %s", err.text);
    struct decoder *d = decoder_new(&t.gguf->checkpoint, false, &err);
    if (d)
        fail_msg("was taken, not refused with \"%s\"", reason);
    if (!strstr(err.text, reason))
        fail_msg("was refused with \"%s\", not with \"%s\"", err.text, reason);
    tiny_release(&t);
}

static void test_what_is_missing_is_refused_by_its_name(void **state)
{
    (void)state;
    static const char *const missing[] = {"block_count", "embedding_length", "context_length",
        "feed_forward_length", "attention.head_count", "attention.layer_norm_rms_epsilon",
        "token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.1.attn_q.weight",
        "blk.1.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_norm.weight",
        "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.1.ffn_down.weight",
        "blk.2.post_attention_norm.weight", "blk.2.post_ffw_norm.weight"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        assert_refused("gemma2", (struct tiny_edit){.without = missing[i]}, missing[i]);
}

static void test_what_contradicts_itself_is_refused_by_its_name(void **state)
{
    (void)state;
    static const struct {
        struct tiny_edit edit;
        const char *reason;
    } cases[] = {
        {{.key = "block_count", .value = 3}, "blk.2.attn_norm.weight is missing"},
        {{.key = "block_count", .value = 1}, "blk.1."},
        {{.key = "block_count", .value = 100000}, "block_count"},
        {{.key = "embedding_length", .value = 32}, "token_embd.weight"},
        {{.key = "embedding_length", .value = 4e9}, "embedding_length"},
        {{.key = "context_length", .value = 4e9}, "context_length"},
        {{.key = "feed_forward_length", .value = 64}, "ffn_down.weight"},
        {{.key = "attention.head_count", .value = 8}, "attn_q.weight"},
        {{.key = "attention.head_count", .value = 3}, "head_count"},
        {{.key = "attention.head_count_kv", .value = 4}, "attn_k.weight"},
        {{.key = "attention.head_count_kv", .value = 3}, "head_count_kv"},
        {{.key = "attention.key_length", .value = 32}, "attn_q.weight"},
        {{.key = "attention.key_length", .value = 2000}, "attention.key_length"},
        {{.key = "attention.value_length", .value = 32}, "attn_v.weight"},
        {{.key = "attention.layer_norm_rms_epsilon", .value = -1}, "layer_norm_rms_epsilon"},
        {{.key = "vocab_size", .value = 95}, "vocab_size"},
        {{.key = "rope.dimension_count", .value = 18}, "rope.dimension_count"},
        {{.key = "rope.dimension_count", .value = 7}, "rope.dimension_count"},
        {{.key = "rope.freq_base", .value = 0.5}, "rope.freq_base"},
        {{.key = "rope.scaling.factor", .value = -2.5}, "rope.scaling.factor"},
        {{.key = "rope.scaling.type", .value = 1}, "rope.scaling.type"},
        {{.tensor = "token_embd.weight", .columns = 64, .rows = 100}, "token_embd.weight"},
        {{.tensor = "output.weight", .columns = 64, .rows = 95}, "output.weight"},
        {{.tensor = "output_norm.weight", .columns = 63, .rows = 1}, "output_norm.weight"},
        {{.tensor = "blk.1.ffn_up.weight", .columns = 96, .rows = 64}, "blk.1.ffn_up.weight"},
        {{.tensor = "blk.1.attn_q.bias", .columns = 63, .rows = 1}, "blk.1.attn_q.bias"},
        {{.tensor = "rope_freqs.weight", .columns = 16, .rows = 1}, "rope_freqs.weight"},
        {{.tensor = "blk.1.attn_sinks.weight", .columns = 4, .rows = 1}, "blk.1.attn_sinks.weight"},
        {{.tensor = "blk.2.attn_norm.weight", .columns = 64, .rows = 1}, "blk.2.attn_norm.weight"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused("llama", cases[i].edit, cases[i].reason);
}

static void assert_taken(struct tiny_edit edit)
{
    struct tiny t;
    struct error err = {0};
    tiny_make(&t, "llama", &edit, &err);
    struct decoder *d = t.gguf ? decoder_new(&t.gguf->checkpoint, false, &err) : NULL;
    if (!d)
        fail_msg("key %s is refused with \"%s\"", edit.key, err.text);
    decoder_free(d);
    tiny_release(&t);
}

static void test_a_key_that_nothing_reads_is_refused_unless_it_changes_nothing(void **state)
{
    (void)state;
    static const struct tiny_edit neutral[] = {{.key = "attention.sliding_window", .value = 0},
        {.key = "final_logit_softcapping", .value = 30}, {.key = "logit_scale", .value = 1},
        {.key = "attention.invented", .value = 7}};
    static const struct tiny_edit others[] = {{.key = "attention.sliding_window", .value = 512},
        {.key = "final_logit_softcapping", .value = 31}, {.key = "logit_scale", .value = 0.5},
        {.key = "attention.max_alibi_bias", .value = 8}};
    for (size_t i = 0; i < sizeof(neutral) / sizeof(neutral[0]); i++) {
        assert_taken(neutral[i]);
        char reason[96];
        snprintf(reason, sizeof(reason), "key llama.%s has a value", others[i].key);
        assert_refused("llama", others[i], reason);
    }
}

static void test_an_unknown_architecture_is_refused_with_some_that_are_known(void **state)
{
    (void)state;
    static const char unknown[] = "nonesuch";
    assert_refused(unknown, (struct tiny_edit){0},
        "architecture \"nonesuch\" is not supported; berth runs llama, smollm3, ");
    assert_refused(unknown, (struct tiny_edit){0}, " more, which `berth inspect --help` lists");
    struct error err = {0};
    assert_null(decoder_new(&(struct checkpoint){0}, false, &err));
    assert_string_equal(err.text, "the file has no key general.architecture");
    assert_true(decoder_supports(span_of("llama")));
    assert_false(decoder_supports(span_of(unknown)));
    assert_false(decoder_supports(span_of("llam")));
}

/* The keys of the first and the tensors of both, as a split model has them. */
static struct checkpoint joined(const struct checkpoint *a, const struct checkpoint *b)
{
    struct error err = {0};
    struct checkpoint c = {.n_values = a->n_values, .n_tensors = a->n_tensors + b->n_tensors};
    c.values = malloc(c.n_values * sizeof(*c.values));
    c.tensors = malloc(c.n_tensors * sizeof(*c.tensors));
    assert_non_null(c.values);
    assert_non_null(c.tensors);
    memcpy(c.values, a->values, a->n_values * sizeof(*c.values));
    memcpy(c.tensors, a->tensors, a->n_tensors * sizeof(*c.tensors));
    memcpy(c.tensors + a->n_tensors, b->tensors, b->n_tensors * sizeof(*c.tensors));
    if (!checkpoint_index(&c, &err))
        fail_msg("%s", err.text);
    return c;
}

static void test_tensors_may_lie_in_several_files(void **state)
{
    (void)state;
    enum { N = 5 };
    static const char moved[] = "blk.1.ffn_down.weight";
    const struct tiny_edit edit = {.without = moved};
    struct bench b;
    struct tiny part;
    struct writer w = {0};
    struct error err = {0};
    bench_open(&b, "llama", ATTENTION_F16);
    float *expected = read_plainly(&b, N, N), *out = logits_for(N);
    const struct tensor *t = checkpoint_tensor(&b.tiny.gguf->checkpoint, moved);
    write_header(&w, 3, 1, 0);
    write_tensor(&w, moved, DIMS(t->dim[0], t->dim[1]), t->type->id, 0);
    write_padding(&w, 32);
    write_bytes(&w, t->data, t->size);
    tiny_make(&part, "llama", &edit, &err);
    struct gguf *second = gguf_read(writer_done(&w), &err);
    struct checkpoint model = joined(&part.gguf->checkpoint, &second->checkpoint);
    decoder_free(b.decoder);
    b.decoder = decoder_new(&model, false, &err);
    if (!b.decoder)
        fail_msg("%s", err.text);
    read_all(&b, N, N, false, out);
    assert_same(out, expected, N, "two files");
    free(out);
    free(expected);
    bench_close(&b);
    checkpoint_release(&model);
    gguf_free(second);
    writer_release(&w);
    tiny_release(&part);
}

static void test_without_an_output_tensor_the_embedding_serves(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "gemma2", ATTENTION_F16);
    assert_null(checkpoint_tensor(&b.tiny.gguf->checkpoint, "output.weight"));
    assert_int_equal(decoder_n_vocab(b.decoder), TINY_VOCABULARY);
    assert_int_equal(decoder_n_embd(b.decoder), TINY_WIDTH);
    assert_int_equal(decoder_n_ctx(b.decoder), TINY_CONTEXT);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_threads_neighbours_and_instructions_change_no_byte),
        cmocka_unit_test(test_long_sequences_are_divided_without_a_trace),
        cmocka_unit_test(test_forked_and_cut_sequences_go_on_as_fresh_ones),
        cmocka_unit_test(test_embeddings_in_place_of_tokens_give_the_same),
        cmocka_unit_test(test_only_what_is_wanted_is_given_in_the_order_of_rows),
        cmocka_unit_test(test_without_causality_all_rows_see_each_other),
        cmocka_unit_test(test_a_stop_leaves_the_sequences_as_they_were),
        cmocka_unit_test(test_rows_that_would_write_elsewhere_are_refused),
        cmocka_unit_test(test_a_unit_of_packing_is_a_token),
        cmocka_unit_test(test_what_is_missing_is_refused_by_its_name),
        cmocka_unit_test(test_what_contradicts_itself_is_refused_by_its_name),
        cmocka_unit_test(test_a_key_that_nothing_reads_is_refused_unless_it_changes_nothing),
        cmocka_unit_test(test_an_unknown_architecture_is_refused_with_some_that_are_known),
        cmocka_unit_test(test_tensors_may_lie_in_several_files),
        cmocka_unit_test(test_without_an_output_tensor_the_embedding_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
