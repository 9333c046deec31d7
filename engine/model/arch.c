/* arch.c - the list of architectures, and the way from a file's keys to the shape and the layers of a decoder. */
#include "arch_private.h"

#include <stdio.h>
#include <stdlib.h>

/* The order in which a refusal lists them: the most common first. */
/* clang-format off */
static const struct arch *const families[] = {
    family_llama,
    family_qwen,
    family_qwen_next,
    family_gemma,
    family_phi,
    family_mistral,
    family_granite,
    family_olmo,
    family_deepseek,
    family_glm,
    family_lfm2,
    family_bailing,
    family_bert,
    family_cohere,
    family_exaone,
    family_gated,
    family_gpt,
    family_hunyuan,
    family_jais,
    family_kimi,
    family_llama4,
    family_mamba,
    family_moe,
    family_nemotron,
    family_plamo,
    family_rwkv,
    family_apertus,
    family_loops,
    family_stablelm,
    family_starcoder,
};
/* clang-format on */

#define N_FAMILIES (sizeof(families) / sizeof(families[0]))
#define LISTED 256 /* bytes of names in a refusal */

/* The i-th row of all families; NULL behind the last one. */
static const struct arch *arch_at(size_t i)
{
    for (size_t f = 0; f < N_FAMILIES; f++)
        for (const struct arch *a = families[f]; a->name; a++)
            if (i-- == 0)
                return a;
    return NULL;
}

static const struct arch *find_arch(struct span name)
{
    for (size_t i = 0; arch_at(i); i++)
        if (span_is(name, arch_at(i)->name))
            return arch_at(i);
    return NULL;
}

const char *arch_name(size_t i)
{
    return arch_at(i) ? arch_at(i)->name : NULL;
}

bool decoder_encodes(struct span architecture)
{
    const struct arch *a = find_arch(architecture);
    return a && a->shape.encoder;
}

/* Refuses an architecture, and lists those that are supported as far as LISTED bytes go. */
static bool refuse(struct span name, struct error *err)
{
    char shown[64], list[LISTED + 64] = "";
    size_t listed = 0, n = 0;
    if (name.size == 0)
        return error_set(err, "the file has no key general.architecture");
    text_escape(shown, sizeof(shown), name);
    for (size_t size = 0; arch_at(n); n++)
        if (size < LISTED) {
            size += (size_t)snprintf(
                list + size, sizeof(list) - size, "%s%s", n > 0 ? ", " : "", arch_at(n)->name);
            listed++;
        }
    if (listed == n)
        return error_set(err, "architecture \"%s\" is not supported; berth runs %s", shown, list);
    return error_set(err,
        "architecture \"%s\" is not supported; berth runs %s and %zu more, which `berth inspect --help` lists",
        shown, list, n - listed);
}

/* A file may say that a model sees text behind a position; the row may have said so. */
static bool read_causal(struct decoder *d, const struct arch_keys *k)
{
    bool causal;
    if (!arch_key_bool(k, "attention.causal", !d->shape.not_causal, &causal))
        return false;
    d->shape.not_causal = !causal;
    return true;
}

/* Layers behind the others, which predict the tokens after the next one, are not run. */
static bool drop_further_layers(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    if (!arch_key_number(k, "nextn_predict_layers", s->n_layer - 1, 0, &s->n_further))
        return false;
    s->n_layer -= s->n_further;
    return true;
}

static struct decoder_shape shape_of(const struct shape_row *r)
{
    return (struct decoder_shape){.layer_norm = r->layer_norm,
        .norm_by_epsilon = r->norm_by_epsilon,
        .bare_norms = r->bare_norms,
        .no_pre_norms = r->no_pre_norms,
        .post_norms = r->post_norms,
        .ffn_norm_optional = r->ffn_norm_optional,
        .parallel_residual = r->parallel_residual,
        .not_causal = r->not_causal,
        .positions = r->positions,
        .result_scales = r->result_scales,
        .embedding_skip = r->embedding_skip,
        .sum_norms = r->sum_norms,
        .encoder = r->encoder,
        .first_norm_optional = r->first_norm_optional,
        .post_epsilon = r->post_epsilon,
        .mixers_scale = r->mixers_scale,
        .streams = r->streams,
        .ffn_norm = r->ffn_norm,
        .output_norm = r->output_norm,
        .embedding_norm = r->embedding_norm,
        .low_state = r->low_state,
        .unused = r->unused};
}

static bool read_row(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    return arch_read_sizes(d, a, k) && read_causal(d, k) &&
           (a->experts_unread || arch_read_experts(d, a, k)) && arch_read_rope(d, k) &&
           (!a->read || a->read(d, k)) && drop_further_layers(d, k) && arch_check_unread(k);
}

bool arch_read(struct decoder *d, const struct checkpoint *c, struct error *err)
{
    struct span name = {NULL, 0};
    if (checkpoint_get_text(c, "general.architecture", &name, err) == CHECKPOINT_WRONG)
        return false;
    const struct arch *a = find_arch(name);
    if (!a)
        return refuse(name, err);
    struct decoder_shape *s = &d->shape;
    struct arch_keys k = {
        .file = c, .architecture = a->name, .err = err, .read = calloc(c->n_values + 1, sizeof(bool))};
    *s = shape_of(&a->shape);
    d->rope = (struct rope_fields){.none = a->rope.none,
        .halves = a->rope.halves,
        .long_factors = a->rope.long_factors,
        .skip = a->rope.skip};
    snprintf(s->architecture, sizeof(s->architecture), "%s", a->name);
    s->embedding_scale = s->residual_scale = s->logit_scale = 1;
    bool good = k.read ? read_row(d, a, &k) : error_set(err, "no memory for a list of keys");
    free(k.read);
    return good;
}
