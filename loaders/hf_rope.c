/* hf_rope.c - the rotation that config.json describes, its scaling, the context and windows of attention.
 *
 * Files of transformers pair element i of a head with element i + n/2; those of GGUF's "llama" pair neighbours, and have
 * their rows in another order. No row is moved: the key rope.halves tells the engine.
 *
 * Source: modeling_rope_utils.py of transformers.
 */
#include "hf_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WHOLE_TURN 6.283185307179586
#define FACTORS_MAX 1024

struct hf_rope {
    struct value map; /* of rope_scaling or rope_parameters; undefined: no scaling */
    const char *field;
    uint64_t n_rot;
    double theta;
};

static bool refuse_in(const struct hf_rope *r, const char *name, const char *what, struct error *err)
{
    char field[HF_KEY_ROOM];
    snprintf(field, sizeof(field), "%s.%s", r->field, name);
    return hf_refuse(field, what, err);
}

/* A member of the scaling; NULL when it is missing or null. */
static const struct value *member(const struct hf_rope *r, const char *name)
{
    const struct value *v = r->map.kind == VALUE_MAP ? value_find(r->map, span_of(name)) : NULL;
    return v && v->kind != VALUE_NULL ? v : NULL;
}

static bool number(const struct hf_rope *r, const char *name, double fallback, double *out, struct error *err)
{
    const struct value *v = member(r, name);
    *out = fallback;
    if (v && v->kind != VALUE_INTEGER && v->kind != VALUE_FLOAT)
        return refuse_in(r, name, "is no number", err);
    if (v)
        *out = v->kind == VALUE_INTEGER ? (double)v->integer : v->real;
    return isfinite(*out) || refuse_in(r, name, "is no finite number", err);
}

/* A number above 0, which must be there. */
static bool positive(const struct hf_rope *r, const char *name, double *out, struct error *err)
{
    return number(r, name, 0, out, err) &&
           (*out > 0 || refuse_in(r, name, "is missing, or not above 0", err));
}

static bool check_members(const struct hf_rope *r, struct error *err)
{
    static const char *const known[] = {"rope_type", "type", "factor", "original_max_position_embeddings",
        "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "attention_factor", "mscale",
        "mscale_all_dim", "long_factor", "short_factor", "rope_theta", "partial_rotary_factor", "truncate"};
    for (size_t i = 0; r->map.kind == VALUE_MAP && i < r->map.map->n; i++) {
        const struct value *key = &r->map.map->pairs[i].key;
        bool good = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            good = good || value_is(*key, known[k]);
        char shown[48];
        text_escape(shown, sizeof(shown), value_span(*key));
        if (!good)
            return refuse_in(r, shown, "is not known to berth", err);
    }
    return true;
}

/* Newer files have all of it in rope_parameters, by kind of layer where there are two. */
static bool find_map(const struct hf_model *m, struct hf_rope *r, const char *kind, struct error *err)
{
    r->field = hf_field(m, "rope_parameters") ? "rope_parameters" : "rope_scaling";
    const struct value *v = hf_field(m, r->field);
    const struct value *part = v && v->kind == VALUE_MAP ? value_find(*v, span_of(kind)) : NULL;
    if (v && v->kind != VALUE_MAP)
        return hf_refuse(r->field, "is no object", err);
    r->map = part ? *part : v ? *v : value_undefined;
    if (part && part->kind != VALUE_MAP)
        return hf_refuse(r->field, "has a member that is no object", err);
    return check_members(r, err);
}

/* ---- kinds of scaling ---- */

static bool scale_linear(struct hf_model *m, const struct hf_rope *r, struct error *err)
{
    char key[HF_KEY_ROOM];
    double factor;
    return positive(r, "factor", &factor, err) &&
           hf_add_text(m, hf_key(key, m, "rope.scaling.type"), span_of("linear"), err) &&
           hf_add_real(m, hf_key(key, m, "rope.scaling.factor"), factor, err);
}

/* Scales only beyond max_position_embeddings, which is the longest context. */
static bool scale_dynamic(struct hf_model *m, const struct hf_rope *r, struct error *err)
{
    (void)m, (void)r, (void)err;
    return true;
}

/* What cosine and sine are multiplied by, where the file says it. */
static double magnitude(double factor, double weight)
{
    return factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1;
}

static bool original_context(
    struct hf_model *m, const struct hf_rope *r, uint64_t *context, struct error *err)
{
    uint64_t most;
    double original;
    if (!hf_whole(m, "max_position_embeddings", 0, &most, err) ||
        !hf_whole(m, "original_max_position_embeddings", most, &most, err) ||
        !number(r, "original_max_position_embeddings", (double)most, &original, err))
        return false;
    if (!(original >= 1 && original < 1e9))
        return refuse_in(r, "original_max_position_embeddings", "is no number of tokens", err);
    *context = (uint64_t)original;
    return true;
}

static bool scale_yarn(struct hf_model *m, const struct hf_rope *r, struct error *err)
{
    char key[HF_KEY_ROOM];
    double factor, fast, slow, told, weight, all;
    uint64_t context;
    const struct value *truncate = member(r, "truncate");
    if (truncate && truncate->kind == VALUE_BOOL && !truncate->boolean)
        return refuse_in(r, "truncate", "is false, which berth does not compute", err);
    if (!positive(r, "factor", &factor, err) || !number(r, "beta_fast", 32, &fast, err) ||
        !number(r, "beta_slow", 1, &slow, err) || !number(r, "attention_factor", 0, &told, err) ||
        !number(r, "mscale", 0, &weight, err) || !number(r, "mscale_all_dim", 0, &all, err) ||
        !original_context(m, r, &context, err))
        return false;
    if (told == 0)
        told = weight != 0 && all != 0 ? magnitude(factor, weight) / magnitude(factor, all)
                                       : magnitude(factor, 1);
    /* The engine multiplies by the usual factor itself. */
    return hf_add_text(m, hf_key(key, m, "rope.scaling.type"), span_of("yarn"), err) &&
           hf_add_real(m, hf_key(key, m, "rope.scaling.factor"), factor, err) &&
           hf_add_real(m, hf_key(key, m, "rope.scaling.attn_factor"), told / magnitude(factor, 1), err) &&
           hf_add_real(m, hf_key(key, m, "rope.scaling.yarn_beta_fast"), fast, err) &&
           hf_add_real(m, hf_key(key, m, "rope.scaling.yarn_beta_slow"), slow, err) &&
           hf_add_whole(m, hf_key(key, m, "rope.scaling.original_context_length"), context, err);
}

/* Llama 3.1: slow pairs turn `factor` times slower, fast ones as before, with a ramp between. */
static bool scale_llama3(struct hf_model *m, const struct hf_rope *r, struct error *err)
{
    double factor, low, high;
    uint64_t context;
    const size_t pairs = (size_t)r->n_rot / 2;
    if (!positive(r, "factor", &factor, err) || !positive(r, "low_freq_factor", &low, err) ||
        !positive(r, "high_freq_factor", &high, err) || !original_context(m, r, &context, err))
        return false;
    if (high <= low)
        return refuse_in(r, "high_freq_factor", "is not above low_freq_factor", err);
    float *factors = hf_memory(m, (pairs + 1) * sizeof(*factors), err);
    for (size_t i = 0; factors && i < pairs; i++) {
        const double turns =
            (double)context * pow(r->theta, -2.0 * (double)i / (double)r->n_rot) / WHOLE_TURN;
        const double share = (turns - low) / (high - low);
        factors[i] = (float)(turns > high ? 1 : turns < low ? factor : 1 / ((1 - share) / factor + share));
    }
    return factors && hf_add_floats(m, "rope_freqs.weight", factors, pairs, err);
}

static bool add_factors(
    struct hf_model *m, const struct hf_rope *r, const char *name, const char *tensor, struct error *err)
{
    const struct value *list = member(r, name);
    const size_t pairs = (size_t)r->n_rot / 2;
    if (!list || list->kind != VALUE_LIST || list->list->n != pairs)
        return refuse_in(r, name, "is no list of a number for each pair", err);
    float *factors = hf_memory(m, (pairs + 1) * sizeof(*factors), err);
    for (size_t i = 0; factors && i < pairs; i++) {
        const struct value *v = &list->list->items[i];
        if (v->kind != VALUE_INTEGER && v->kind != VALUE_FLOAT)
            return refuse_in(r, name, "has an item that is no number", err);
        factors[i] = (float)(v->kind == VALUE_INTEGER ? (double)v->integer : v->real);
    }
    return factors && hf_add_floats(m, tensor, factors, pairs, err);
}

/* Two sets of divisors, for contexts up to the original one and above. */
static bool scale_longrope(struct hf_model *m, const struct hf_rope *r, struct error *err)
{
    char key[HF_KEY_ROOM];
    double told;
    uint64_t context, most;
    if (strcmp(m->arch->gguf, "phi3") != 0)
        return refuse_in(r, "rope_type", "is \"longrope\", which berth runs with Phi3ForCausalLM alone", err);
    if (!original_context(m, r, &context, err) || !hf_whole(m, "max_position_embeddings", 0, &most, err) ||
        !number(r, "attention_factor", 0, &told, err))
        return false;
    const double factor = (double)most / (double)context;
    if (told == 0)
        told = factor <= 1 ? 1 : sqrt(1 + log(factor) / log((double)context));
    return add_factors(m, r, "long_factor", "rope_factors_long.weight", err) &&
           add_factors(m, r, "short_factor", "rope_factors_short.weight", err) &&
           hf_add_real(m, hf_key(key, m, "rope.scaling.attn_factor"), told, err) &&
           hf_add_whole(m, hf_key(key, m, "rope.scaling.original_context_length"), context, err);
}

static const struct {
    const char *name;
    bool (*read)(struct hf_model *m, const struct hf_rope *r, struct error *err);
} kinds[] = {
    {"default", scale_dynamic}, /* nothing is scaled */
    {"dynamic", scale_dynamic},
    {"linear", scale_linear},
    {"yarn", scale_yarn},
    {"llama3", scale_llama3},
    {"longrope", scale_longrope},
    {"su", scale_longrope},
};

static bool read_scaling(struct hf_model *m, const struct hf_rope *r, struct error *err)
{
    const struct value *type = member(r, "rope_type");
    const char *name = type ? "rope_type" : "type";
    char shown[48], what[100];
    type = type ? type : member(r, "type");
    if (!type)
        return r->map.kind != VALUE_MAP ||
               (!member(r, "factor") ? true : refuse_in(r, "rope_type", "is missing", err));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (value_is(*type, kinds[i].name))
            return kinds[i].read(m, r, err);
    text_escape(shown, sizeof(shown), type->kind == VALUE_STRING ? value_span(*type) : span_of("no string"));
    snprintf(what, sizeof(what), "is \"%s\", which is not known", shown);
    return refuse_in(r, name, what, err);
}

/* ---- the rotation ---- */

bool hf_read_rope(struct hf_model *m, uint64_t head, struct error *err)
{
    char key[HF_KEY_ROOM];
    struct hf_rope r = {.n_rot = head};
    double share;
    if (!find_map(m, &r, "full_attention", err) ||
        !hf_number(m, "rope_theta", m->arch->theta > 0 ? m->arch->theta : 10000, &r.theta, err) ||
        !number(&r, "rope_theta", r.theta, &r.theta, err) ||
        !hf_number(m, "partial_rotary_factor", 1, &share, err) ||
        !number(&r, "partial_rotary_factor", share, &share, err))
        return false;
    if (!(r.theta > 1))
        return hf_refuse("rope_theta", "is not above 1", err);
    if (!(share > 0 && share <= 1))
        return hf_refuse("partial_rotary_factor", "is not above 0 and at most 1", err);
    r.n_rot = (uint64_t)((double)head * share);
    return hf_add_real(m, hf_key(key, m, "rope.freq_base"), r.theta, err) &&
           hf_add_whole(m, hf_key(key, m, "rope.dimension_count"), r.n_rot, err) &&
           hf_add_bool(m, hf_key(key, m, "rope.halves"), true, err) && read_scaling(m, &r, err);
}

bool hf_read_local_rope(struct hf_model *m, struct error *err)
{
    char key[HF_KEY_ROOM];
    struct hf_rope r = {.n_rot = 0};
    double theta;
    const struct value *both = hf_field(m, "rope_parameters");
    if (!hf_number(m, "rope_local_base_freq", 10000, &theta, err))
        return false;
    if (both && both->kind == VALUE_MAP && value_find(*both, span_of("sliding_attention")) &&
        (!find_map(m, &r, "sliding_attention", err) || !number(&r, "rope_theta", theta, &theta, err)))
        return false;
    return hf_add_real(m, hf_key(key, m, "rope.freq_base_swa"), theta, err);
}

/* ---- context and windows ---- */

/* Which layers have a window: layer_types, or an array by sliding_window_pattern; *any: one of them has. */
static bool read_layer_types(struct hf_model *m, bool *any, struct error *err)
{
    const struct value *types = hf_field(m, "layer_types");
    char key[HF_KEY_ROOM];
    *any = true;
    if (!types)
        return true;
    if (types->kind != VALUE_LIST)
        return hf_refuse("layer_types", "is no list", err);
    uint8_t *flags = hf_memory(m, types->list->n + 1, err);
    *any = false;
    for (size_t i = 0; flags && i < types->list->n; i++) {
        const struct value *v = &types->list->items[i];
        flags[i] = value_is(*v, "sliding_attention");
        *any = *any || flags[i];
        if (!flags[i] && !value_is(*v, "full_attention"))
            return hf_refuse(
                "layer_types", "has an item that is neither full_attention nor sliding_attention", err);
    }
    return flags && (m->arch->window != HF_WINDOW_KEY || strcmp(m->arch->gguf, "phi3") == 0 ||
                        hf_add_array(m, hf_key(key, m, "attention.sliding_window_pattern"), CHECKPOINT_BOOL,
                            1, types->list->n, (struct span){flags, types->list->n}, err));
}

static bool read_window(struct hf_model *m, uint64_t *window, struct error *err)
{
    const struct value *flag = hf_field(m, "use_sliding_window");
    uint64_t period;
    char key[HF_KEY_ROOM];
    bool any;
    const bool used = m->arch->window == HF_WINDOW_FLAGGED ? flag && flag->kind == VALUE_BOOL && flag->boolean
                                                           : m->arch->window != HF_WINDOW_NONE;
    if (!read_layer_types(m, &any, err) || !hf_whole(m, "sliding_window", 0, window, err) ||
        !hf_whole(m, "sliding_window_pattern", 0, &period, err))
        return false;
    if (!used || !any)
        *window = 0;
    return period == 0 || hf_field(m, "layer_types") || m->arch->window != HF_WINDOW_KEY ||
           hf_add_whole(m, hf_key(key, m, "attention.sliding_window_pattern"), period, err);
}

bool hf_read_context(struct hf_model *m, struct error *err)
{
    uint64_t context, window;
    char key[HF_KEY_ROOM];
    if (!hf_whole(m, "max_position_embeddings", 0, &context, err) || !read_window(m, &window, err))
        return false;
    if (context == 0)
        return hf_refuse("max_position_embeddings", "is missing, or 0", err);
    const bool by_engine = m->arch->window == HF_WINDOW_KEY;
    if (window > 0 && by_engine && !hf_add_whole(m, hf_key(key, m, "attention.sliding_window"), window, err))
        return false;
    /* Up to the window's size it hides nothing. */
    if (window > 0 && !by_engine && window < context)
        context = window;
    return hf_add_whole(m, hf_key(key, m, "context_length"), context, err);
}
