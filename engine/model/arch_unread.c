/* arch_unread.c - refuses files with a key that would change the result and that their architecture's row does not read.
 *
 * Such a file is another model than its architecture says, and would answer nonsense. Writers give many keys a value that
 * changes nothing, and some writers give all keys one: those values are listed here, and are no reason to refuse. Keys
 * that are not listed change nothing by themselves.
 */
#include "arch_private.h"

#include <stdio.h>

struct known_key {
    const char *rest; /* behind the architecture's name */
    double none, other; /* values that change nothing */
};

/* clang-format off */
static const struct known_key known[] = {
    {"altup.active_idx", 0, 0},
    {"attention.clamp_kqv", 0, 0},
    {"attention.compress_ratios", 0, 0},
    {"attention.decay_lora_rank", 0, 0},
    {"attention.gate_lora_rank", 0, 0},
    {"attention.group_norm_groups", 0, 1},
    {"attention.indexer.head_count", 0, 0},
    {"attention.kv_lora_rank", 0, 0},
    {"attention.max_alibi_bias", 0, 0},
    {"attention.output_lora_rank", 0, 0},
    {"attention.output_scale", 0, 1},
    {"attention.q_lora_rank", 0, 0},
    {"attention.relative_buckets_count", 0, 0},
    {"attention.rope_pattern", 1, 1},
    {"attention.shared_kv_layers", 0, 0},
    {"attention.sliding_window", 0, 0},
    {"attention.temperature_scale", 0, 0},
    {"attention.value_expert_count", 0, 0},
    {"attention.value_scale", 0, 1},
    {"attn_logit_softcapping", 0, 50},
    {"attn_res.block_size", 0, 0},
    {"embedding_length_per_layer_input", 0, 0},
    {"embedding_scale", 0, 1},
    {"final_logit_softcapping", 0, 30},
    {"hash_layer_count", 0, 0},
    {"hrm.layers_per_stack", 0, 0},
    {"hrm.prefix_lm", 0, 0},
    {"hyper_connection.count", 0, 0},
    {"kda.head_dim", 0, 0},
    {"logit_scale", 0, 1},
    {"num_loops", 0, 1},
    {"rescale_every_n_layers", 0, 0},
    {"residual_scale", 0, 1},
    {"rope.scaling.alpha", 0, 1},
    {"router_logit_softcapping", 0, 30},
    {"shortconv.l_cache", 0, 0},
    {"ssm.conv_kernel", 0, 0},
    {"ssm.dt_b_c_rms", 0, 0},
    {"ssm.inner_size", 0, 0},
    {"ssm.state_size", 0, 0},
    {"swiglu_clamp_exp", 0, 0},
    {"swiglu_clamp_shexp", 0, 0},
    {"token_shift_count", 0, 2},
    {"wkv.head_size", 0, 0},
};
/* clang-format on */

static bool is_neutral(const struct known_key *key, const struct checkpoint_value *v)
{
    for (size_t i = 0; i < v->count; i++) {
        double value = 0;
        uint64_t whole;
        if (checkpoint_item_u64(v, i, &whole))
            value = (double)whole;
        else if (!checkpoint_item_f64(v, i, &value))
            return false;
        if (value != key->none && value != key->other)
            return false;
    }
    return true;
}

bool arch_check_unread(const struct arch_keys *k)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char name[ARCH_KEY_ROOM];
        snprintf(name, sizeof(name), "%s.%s", k->architecture, known[i].rest);
        const struct checkpoint_value *v = checkpoint_find(k->file, name);
        if (v && !k->read[v - k->file->values] && v->kind != CHECKPOINT_STRING && !is_neutral(&known[i], v))
            return error_set(k->err,
                "key %s has a value that architecture %s has no use for: the model is another one", name,
                k->architecture);
    }
    return true;
}
