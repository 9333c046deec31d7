/* test_layer_kinds.c - properties of single kinds of layers: mixtures of experts, latent attention, streams,
 * short convolutions, state spaces, RWKV.
 *
 * test_decoder.c shows for all kinds that chunks, threads, other sequences and instruction sets change no byte.
 */
#include "decoder_bench.h"
#include "every.h"

#include <sys/mman.h>
#include <unistd.h>

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

static uint8_t *bytes_of(const struct bench *b, const char *name, size_t *size)
{
    const struct tensor *t = checkpoint_tensor(&b->tiny.gguf->checkpoint, name);
    assert_non_null(t);
    *size = t->size;
    return (uint8_t *)(uintptr_t)t->data; /* the file lies in the test's own memory */
}

/* ---- mixtures of experts ---- */

#define LAYERS 2

/* With a router of zeros all experts are equally probable, and the first ones are chosen. */
static void choose_first_experts(const struct bench *b)
{
    for (size_t layer = 0; layer < LAYERS; layer++) {
        char name[64];
        size_t size;
        snprintf(name, sizeof(name), "blk.%zu.ffn_gate_inp.weight", layer);
        uint8_t *router = bytes_of(b, name, &size);
        memset(router, 0, size);
    }
}

/* Allows or forbids access to the pages that have only weights of experts that are not chosen. Returns their number. */
static size_t protect_others(const struct bench *b, int protection)
{
    static const char *const parts[] = {"gate", "up", "down"};
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    size_t pages = 0;
    for (size_t i = 0; i < LAYERS * 3; i++) {
        char name[64];
        size_t size;
        snprintf(name, sizeof(name), "blk.%zu.ffn_%s_exps.weight", i / 3, parts[i % 3]);
        uintptr_t start = (uintptr_t)bytes_of(b, name, &size), end = start + size;
        uintptr_t first = (start + size / TINY_EXPERTS * TINY_EXPERTS_USED + page - 1) / page * page;
        uintptr_t last = end / page * page;
        if (first >= last)
            continue;
        assert_int_equal(mprotect((void *)first, last - first, protection), 0);
        pages += (last - first) / page;
    }
    return pages;
}

static void test_experts_that_no_row_chose_are_not_touched(void **state)
{
    (void)state;
    enum { N = 40 };
    static const size_t chunks[] = {1, 7, N};
    struct bench b;
    bench_open(&b, "olmoe", ATTENTION_F16);
    choose_first_experts(&b);
    float *expected = read_plainly(&b, N, N), *out = logits_for(N);
    assert_true(protect_others(&b, PROT_NONE) >= LAYERS * 3);
    for (enum isa set = ISA_PLAIN; set < ISA_SETS; set++) {
        struct error err = {0};
        if (!isa_has(set))
            continue;
        assert_true(isa_select(isa_name(set), &err));
        for (size_t c = 0; c < 3; c++) {
            use_threads(&b, (unsigned)c + 1);
            read_all(&b, N, chunks[c], false, out);
            assert_same(out, expected, N, "with pages that must not be read");
        }
    }
    protect_others(&b, PROT_READ | PROT_WRITE);
    free(out);
    free(expected);
    bench_close(&b);
}

/* The router gives NaN: so are the results, and nothing else is written. */
static void test_a_router_of_no_numbers_harms_nothing(void **state)
{
    (void)state;
    enum { N = 70 };
    struct bench b;
    bench_open(&b, "granitemoe", ATTENTION_F16);
    size_t size;
    uint8_t *router = bytes_of(&b, "blk.0.ffn_gate_inp.weight", &size);
    memset(router, 0xff, size);
    float *out = read_plainly(&b, N, N);
    for (size_t i = 0; i < N * TINY_VOCABULARY; i++)
        assert_true(out[i] != out[i]);
    free(out);
    bench_close(&b);
}

/* As files of the first mixtures have them. The numbers are the same. */
static void test_experts_may_have_tensors_of_their_own(void **state)
{
    (void)state;
    enum { N = 40 };
    static const struct tiny_edit edit = {.each_expert = true};
    struct bench whole, split;
    bench_open(&whole, "granitemoe", ATTENTION_F16);
    bench_open_edited(&split, "granitemoe", ATTENTION_F16, &edit);
    float *expected = read_plainly(&whole, N, N), *out = read_plainly(&split, N, N);
    assert_same(out, expected, N, "each expert by itself");
    free(out);
    free(expected);
    bench_close(&whole);
    bench_close(&split);
    assert_refused("granitemoe", (struct tiny_edit){.each_expert = true, .without = "blk.1.ffn_up.4.weight"},
        "blk.1.ffn_up.4.weight");
    assert_refused("granitemoe",
        (struct tiny_edit){
            .each_expert = true, .tensor = "blk.0.ffn_down.3.weight", .columns = 96, .rows = 64},
        "another type");
}

static void test_mixtures_that_contradict_themselves_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct tiny_edit edit;
        const char *reason;
    } cases[] = {
        {{.without = "expert_used_count"}, "expert_used_count"},
        {{.key = "expert_used_count", .value = 0}, "expert_used_count"},
        {{.key = "expert_used_count", .value = 7}, "expert_used_count"},
        {{.key = "expert_count", .value = 4}, "ffn_gate_inp.weight"},
        {{.key = "expert_count", .value = 1e6}, "expert_count"},
        {{.key = "expert_count", .value = 0}, "ffn_down.weight is missing"},
        {{.key = "expert_feed_forward_length", .value = 64}, "ffn_gate_exps.weight"},
        {{.key = "expert_shared_feed_forward_length", .value = 64}, "ffn_up_shexp.weight"},
        {{.key = "expert_gating_func", .value = 5}, "expert_gating_func"},
        {{.key = "expert_group_count", .value = 4}, "expert_group_count"},
        {{.key = "leading_dense_block_count", .value = 1}, "blk.0.ffn_down.weight is missing"},
        {{.key = "interleave_moe_layer_step", .value = 2}, "blk.0.ffn_down.weight is missing"},
        {{.key = "nextn_predict_layers", .value = 2}, "nextn_predict_layers"},
        {{.without = "blk.1.ffn_up_shexp.weight"}, "blk.1.ffn_up_shexp.weight"},
        {{.without = "blk.1.ffn_up_exps.weight"}, "blk.1.ffn_up_exps.weight"},
        {{.tensor = "blk.0.ffn_up_exps.weight", .columns = 64, .rows = 96}, "blk.0.ffn_up_exps.weight"},
        {{.tensor = "blk.0.ffn_up_exps.bias", .columns = 96, .rows = 5}, "blk.0.ffn_up_exps.bias"},
        {{.tensor = "blk.0.ffn_down_exps.scale", .columns = 5, .rows = 1}, "blk.0.ffn_down_exps.scale"},
        {{.tensor = "blk.0.exp_probs_b.bias", .columns = 5, .rows = 1}, "blk.0.exp_probs_b.bias"},
        {{.tensor = "blk.0.ffn_gate_inp_shexp.weight", .columns = 32, .rows = 1}, "ffn_gate_inp_shexp"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused("granitemoe", cases[i].edit, cases[i].reason);
    assert_refused("gemma2", (struct tiny_edit){.key = "expert_count", .value = 8}, "expert_count");
}

/* ---- latent attention ---- */

static void test_latents_that_contradict_themselves_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct tiny_edit edit;
        const char *reason;
    } cases[] = {
        {{.without = "attention.kv_lora_rank"}, "kv_lora_rank"},
        {{.key = "attention.kv_lora_rank", .value = 1024}, "a latent of 1024"},
        {{.key = "attention.key_length_mla", .value = 8}, "a head of 8"},
        {{.key = "attention.key_length_mla", .value = 48}, "attn_q_b.weight"},
        {{.key = "attention.value_length_mla", .value = 32}, "attn_v_b.weight"},
        {{.key = "attention.q_lora_rank", .value = 64}, "attn_q_a.weight"},
        {{.without = "attention.q_lora_rank"}, "attn_q.weight is missing"},
        {{.without = "blk.1.attn_v_b.weight"}, "blk.1.attn_v_b.weight"},
        {{.without = "blk.0.attn_kv_a_norm.weight"}, "blk.0.attn_kv_a_norm.weight"},
        {{.tensor = "blk.0.attn_kv_b.weight", .columns = 32, .rows = 100}, "blk.0.attn_kv_b.weight"},
        {{.tensor = "blk.0.attn_kv_b.weight", .columns = 32, .rows = 128}, "attn_k_b.weight does not belong"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused("deepseek2", cases[i].edit, cases[i].reason);
}

/* ---- streams ---- */

static void test_streams_that_contradict_themselves_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct tiny_edit edit;
        const char *reason;
    } cases[] = {
        {{.key = "altup.num_inputs", .value = 3}, "altup_proj.weight"},
        {{.key = "altup.num_inputs", .value = 1}, "altup_proj.weight"},
        {{.key = "altup.num_inputs", .value = 9}, "altup.num_inputs"},
        {{.key = "altup.active_idx", .value = 1}, "altup.active_idx"},
        {{.key = "activation_sparsity_scale", .value = 1}, "activation_sparsity_scale"},
        {{.key = "attention.shared_kv_layers", .value = 5}, "shared_kv_layers"},
        {{.key = "attention.shared_kv_layers", .value = 4}, "layer 1 has none"},
        {{.without = "attention.sliding_window"}, "attention.sliding_window"},
        {{.without = "altup_unembd_proj.weight"}, "altup_unembd_proj.weight"},
        {{.without = "blk.1.altup_router.weight"}, "blk.1.altup_router.weight"},
        {{.without = "blk.4.altup_correct_scale.weight"}, "blk.4.altup_correct_scale.weight"},
        {{.without = "blk.0.laurel_l.weight"}, "blk.0.laurel_l.weight"},
        {{.without = "blk.0.laurel_r.weight"}, "blk.0.laurel_r.weight"},
        {{.tensor = "blk.2.altup_predict_coef.weight", .columns = 4, .rows = 4}, "blk.2.altup_predict_coef"},
        {{.tensor = "blk.0.laurel_l.weight", .columns = 64, .rows = 128}, "laurel_l"},
        {{.tensor = "blk.0.attn_v.weight", .columns = 64, .rows = 64}, "blk.0.attn_v.weight"},
        {{.without = "blk.0.attn_v.weight"}, "blk.0.attn_v.weight"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused("gemma3n", cases[i].edit, cases[i].reason);
}

/* ---- short convolutions ---- */

static void test_convolutions_that_contradict_themselves_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct tiny_edit edit;
        const char *reason;
    } cases[] = {
        {{.without = "shortconv.l_cache"}, "shortconv.l_cache"},
        {{.key = "shortconv.l_cache", .value = 4}, "blk.0.shortconv.conv.weight"},
        {{.key = "shortconv.l_cache", .value = 1000}, "shortconv.l_cache"},
        {{.without = "blk.1.shortconv.in_proj.weight"}, "blk.1.shortconv.in_proj.weight"},
        {{.without = "blk.3.shortconv.out_proj.weight"}, "blk.3.shortconv.out_proj.weight"},
        {{.without = "blk.2.attn_q_norm.weight"}, "blk.2.attn_q_norm.weight"},
        {{.without = "token_embd_norm.weight"}, "token_embd_norm.weight"},
        {{.tensor = "blk.0.shortconv.conv.weight", .columns = 64, .rows = 3}, "blk.0.shortconv.conv.weight"},
        {{.tensor = "blk.0.attn_q.weight", .columns = 64, .rows = 64}, "blk.0.attn_q.weight"},
        {{.tensor = "blk.0.shortconv.conv.bias", .columns = 64, .rows = 1}, "blk.0.shortconv.conv.bias"},
        {{.key = "attention.head_count", .value = 3}, "head_count"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused("lfm2", cases[i].edit, cases[i].reason);
}

/* A checkpoint that a call passes in the middle of its rows is the state that a call up to there leaves. */
static void test_checkpoints_inside_a_chunk_are_exact(void **state)
{
    (void)state;
    enum { N = 150, MARK = 101 };
    struct bench b;
    bench_open(&b, "lfm2", ATTENTION_F16);
    float *expected = read_plainly(&b, N, N), *out = logits_for(N);
    use_threads(&b, 3);
    for (size_t chunk = 1; chunk <= N; chunk += 37) {
        struct sequence *s = sequence_new(b.cache);
        sequence_mark(s, MARK);
        read_chunks(&b, s, N, chunk, NULL, out);
        assert_same(out, expected, N, "whole");
        struct sequence *fork = sequence_fork(s, 140);
        assert_int_equal(sequence_length(fork), 128);
        read_chunks(&b, fork, N, 5, NULL, out + 128 * TINY_VOCABULARY);
        assert_int_equal(sequence_cut(s, MARK), MARK);
        read_chunks(&b, s, N, 7, NULL, out + MARK * TINY_VOCABULARY);
        assert_int_equal(sequence_cut(s, 63), 0);
        read_chunks(&b, s, N, N, NULL, out);
        assert_same(out, expected, N, "after cuts");
        sequence_free(fork);
        sequence_free(s);
    }
    free(out);
    free(expected);
    bench_close(&b);
}

/* ---- state spaces ---- */

static void test_state_spaces_that_contradict_themselves_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        struct tiny_edit edit;
        const char *reason;
    } cases[] = {
        {"jamba", {.without = "ssm.inner_size"}, "ssm.inner_size"},
        {"jamba", {.key = "ssm.inner_size", .value = 64}, "blk.0.ssm_in.weight"},
        {"jamba", {.key = "ssm.inner_size", .value = 1e8}, "ssm.inner_size"},
        {"jamba", {.key = "ssm.conv_kernel", .value = 65}, "ssm.conv_kernel"},
        {"jamba", {.key = "ssm.state_size", .value = 0}, "ssm.state_size"},
        {"jamba", {.key = "ssm.state_size", .value = 8}, "blk.0.ssm_a"},
        {"jamba", {.key = "ssm.time_step_rank", .value = 9}, "blk.0.ssm_dt_norm.weight"},
        {"jamba", {.without = "blk.2.ssm_x.weight"}, "blk.2.ssm_x.weight"},
        {"jamba", {.without = "blk.0.ssm_a"}, "blk.0.ssm_a"},
        {"jamba", {.without = "blk.0.ffn_norm.weight"}, "blk.0.ffn_norm.weight"},
        {"nemotron_h", {.key = "ssm.time_step_rank", .value = 5}, "contradict"},
        {"nemotron_h", {.key = "ssm.group_count", .value = 3}, "contradict"},
        {"nemotron_h", {.key = "ssm.group_count", .value = 1}, "blk.0.ssm_in.weight"},
        {"nemotron_h", {.without = "ssm.group_count"}, "ssm.group_count"},
        {"nemotron_h", {.without = "blk.0.ssm_dt.bias"}, "blk.0.ssm_dt.bias"},
        {"nemotron_h", {.tensor = "blk.3.ssm_norm.weight", .columns = 96, .rows = 1},
            "blk.3.ssm_norm.weight"},
        {"nemotron_h", {.tensor = "blk.1.attn_q.weight", .columns = 64, .rows = 64}, "blk.1.attn_q.weight"},
        {"nemotron_h", {.tensor = "blk.1.ffn_norm.weight", .columns = 64, .rows = 1},
            "blk.1.ffn_norm.weight does not belong"},
        {"nemotron_h", {.without = "blk.4.attn_norm.weight"}, "blk.4.attn_norm.weight"},
        {"falcon-h1", {.without = "blk.1.ssm_in.weight"}, "blk.1.ssm_in.weight"},
        {"falcon-h1", {.without = "blk.1.attn_q.weight"}, "blk.1.attn_q.weight"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].arch, cases[i].edit, cases[i].reason);
}

/* States are large here, so most checkpoints are thinned out; from those that are kept all goes on as before. */
static void test_a_long_sequence_goes_on_from_each_checkpoint_that_is_kept(void **state)
{
    (void)state;
    enum { N = 1300, CHUNK = 300, LAST = 1200, MARK = 1111 }; /* the last call begins at LAST */
    static const char *const archs[] = {"jamba", "falcon-h1", "nemotron_h", "rwkv7", "rwkv6"};
    for (size_t a = 0; a < (every() > 1 ? 1 : sizeof(archs) / sizeof(archs[0]));
         a++) { /* one where a test is slow */
        struct bench b;
        bench_open(&b, archs[a], ATTENTION_F16);
        size_t each = kv_cache_checkpoint_every(b.cache), from = 0;
        assert_int_equal(each, 256);
        float *expected = read_plainly(&b, N, 64), *out = logits_for(N);
        use_threads(&b, 2);
        struct sequence *s = sequence_new(b.cache);
        sequence_mark(s, MARK);
        read_chunks(&b, s, N, CHUNK, NULL, out);
        assert_same(out, expected, N, "whole");
        for (size_t n = N; n > 0; n = from) {
            struct sequence *fork = sequence_fork(s, n - 1);
            from = sequence_length(fork);
            assert_true(from == 0 || from == MARK ||
                        (from % each == 0 && kv_cache_keeps_checkpoint(b.cache, from, LAST)));
            size_t end = from + 40 < N ? from + 40 : N;
            read_chunks(&b, fork, end, 7, NULL, out);
            assert_same(out, expected + from * TINY_VOCABULARY, end - from, "from a checkpoint");
            sequence_free(fork);
        }
        sequence_free(s);
        free(out);
        free(expected);
        bench_close(&b);
    }
}

/* In the last layer a feed-forward may have a state, too, which depends on all rows. */
static void test_rows_whose_results_nobody_wants_leave_their_states(void **state)
{
    (void)state;
    enum { N = 60, READ = 45, LAST = 59 };
    static const char *const archs[] = {"lfm2", "jamba", "qwen35", "rwkv7", "arwkv7", "rwkv6", "rwkv6qwen2"};
    for (size_t a = 0; a < sizeof(archs) / sizeof(archs[0]); a++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            struct bench b;
            struct error err = {0};
            struct decoder_row rows[N];
            float *out;
            bench_open(&b, archs[a], ATTENTION_F16);
            float *expected = read_plainly(&b, N, N), *last = expected + LAST * TINY_VOCABULARY;
            use_threads(&b, threads);
            struct sequence *s = sequence_new(b.cache);
            for (size_t at = 0; at < N; at = sequence_length(s)) {
                size_t n = 0, end = at < READ ? at + 15 * threads : N;
                end = end < N ? end : N;
                assert_true(sequence_reserve(s, end));
                for (size_t i = at; i < end; i++)
                    add_row(rows, &n, s, 0, i, i == LAST ? DECODER_LOGITS : DECODER_NOTHING);
                const struct decoder_batch batch = {.rows = rows, .n = n, .causal = true};
                if (!decoder_forward(b.decoder, b.workspace, b.pool, &batch, NULL, &out, &err))
                    fail_msg("%s", err.text);
            }
            assert_same(out, last, 1, archs[a]);
            sequence_free(s);
            free(expected);
            bench_close(&b);
        }
}

/* ---- RWKV ---- */

static void test_time_mixes_that_contradict_themselves_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        struct tiny_edit edit;
        const char *reason;
    } cases[] = {
        {"rwkv7", {.without = "wkv.head_size"}, "wkv.head_size"},
        {"rwkv7", {.key = "wkv.head_size", .value = 24}, "contradict"},
        {"rwkv7", {.key = "wkv.head_size", .value = 128}, "wkv.head_size"},
        {"rwkv7", {.key = "token_shift_count", .value = 1}, "token_shift_count (1)"},
        {"arwkv7", {.without = "token_shift_count"}, "token_shift_count (2)"},
        {"rwkv7", {.without = "attention.layer_norm_epsilon"}, "layer_norm_epsilon"},
        {"rwkv7", {.key = "attention.decay_lora_rank", .value = 16}, "blk.0.time_mix_w1.weight"},
        {"rwkv7", {.key = "attention.iclr_lora_rank", .value = 16}, "blk.0.time_mix_a1.weight"},
        {"rwkv7", {.key = "attention.value_residual_mix_lora_rank", .value = 16}, "blk.1.time_mix_v1.weight"},
        {"rwkv7", {.key = "attention.gate_lora_rank", .value = 0}, "blk.0.time_mix_g1.weight"},
        {"rwkv7", {.without = "attention.iclr_lora_rank"}, "iclr_lora_rank"},
        {"rwkv7", {.without = "blk.1.time_mix_v2.weight"}, "blk.1.time_mix_v2.weight"},
        {"rwkv7", {.without = "blk.2.time_mix_ln.bias"}, "blk.2.time_mix_ln.bias"},
        {"rwkv7", {.without = "blk.2.attn_norm_2.weight"}, "blk.2.attn_norm_2.weight"},
        {"rwkv7", {.without = "token_embd_norm.weight"}, "token_embd_norm.weight"},
        {"rwkv7", {.without = "blk.0.channel_mix_lerp_k.weight"}, "blk.0.channel_mix_lerp_k.weight"},
        {"rwkv7", {.tensor = "blk.0.time_mix_lerp_fused.weight", .columns = 64, .rows = 5}, "lerp_fused"},
        {"rwkv7", {.tensor = "blk.0.channel_mix_receptance.weight", .columns = 64, .rows = 64},
            "does not belong"},
        {"arwkv7", {.tensor = "blk.0.time_mix_lerp_fused.weight", .columns = 64, .rows = 6}, "lerp_fused"},
        {"rwkv6", {.without = "blk.1.channel_mix_receptance.weight"}, "blk.1.channel_mix_receptance.weight"},
        {"rwkv6", {.without = "blk.1.time_mix_first.weight"}, "blk.1.time_mix_first.weight"},
        {"rwkv6", {.without = "blk.1.time_mix_lerp_fused.weight"}, "blk.1.time_mix_lerp_w.weight"},
        {"rwkv6", {.without = "time_mix_extra_dim"}, "time_mix_extra_dim"},
        {"rwkv6", {.key = "time_mix_extra_dim", .value = 16}, "blk.0.time_mix_w1.weight"},
        {"rwkv6", {.key = "time_decay_extra_dim", .value = 16}, "blk.0.time_mix_decay_w1.weight"},
        {"rwkv6qwen2", {.key = "attention.head_count_kv", .value = 3}, "head_count_kv (3)"},
        {"rwkv6qwen2", {.key = "attention.head_count_kv", .value = 4}, "blk.0.time_mix_key.weight"},
        {"rwkv6qwen2", {.key = "rescale_every_n_layers", .value = 2}, "rescale_every_n_layers"},
        {"rwkv6qwen2", {.tensor = "blk.0.time_mix_first.weight", .columns = 16, .rows = 4},
            "does not belong"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].arch, cases[i].edit, cases[i].reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_experts_that_no_row_chose_are_not_touched),
        cmocka_unit_test(test_a_router_of_no_numbers_harms_nothing),
        cmocka_unit_test(test_experts_may_have_tensors_of_their_own),
        cmocka_unit_test(test_mixtures_that_contradict_themselves_are_refused_by_name),
        cmocka_unit_test(test_latents_that_contradict_themselves_are_refused_by_name),
        cmocka_unit_test(test_streams_that_contradict_themselves_are_refused_by_name),
        cmocka_unit_test(test_convolutions_that_contradict_themselves_are_refused_by_name),
        cmocka_unit_test(test_state_spaces_that_contradict_themselves_are_refused_by_name),
        cmocka_unit_test(test_a_long_sequence_goes_on_from_each_checkpoint_that_is_kept),
        cmocka_unit_test(test_checkpoints_inside_a_chunk_are_exact),
        cmocka_unit_test(test_rows_whose_results_nobody_wants_leave_their_states),
        cmocka_unit_test(test_time_mixes_that_contradict_themselves_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
