/* fields_refused.c - fields that would change the answer and that berth does not have.
 *
 * The table has what llama.cpp, vLLM, SGLang, Ollama, TGI, LM Studio, text-generation-webui, KoboldCpp and the hosted
 * services honour. To pass such a field over would give another answer than the client asked for, so it is refused,
 * with the fields that do the same here. A value that stands for the field's absence passes.
 */
#include "fields_private.h"

#include <stdio.h>
#include <string.h>

#define CHAT FOR_CHAT
#define TEXT FOR_COMPLETIONS
#define BOTH (FOR_CHAT | FOR_COMPLETIONS)

#define NONE NEUTRAL_NONE
#define EMPTY NEUTRAL_EMPTY
#define ZERO NEUTRAL_ZERO
#define ONE NEUTRAL_ONE
#define OFF (NEUTRAL_MINUS_ONE | NEUTRAL_ZERO)

/* clang-format off */
static const struct refused_field refused[] = {
    /* OpenAI's */
    {"audio", CHAT, NONE, NULL},
    {"best_of", BOTH, ONE | NEUTRAL_SAME_AS_N, "'n'"},
    {"modalities", CHAT, NEUTRAL_TEXT, NULL},
    {"web_search_options", CHAT, NONE, NULL},

    /* what is asked */
    {"prompt", CHAT, EMPTY, "'messages'"},
    {"messages", TEXT, EMPTY, "'prompt'"},
    {"system", BOTH, EMPTY, "'messages'"},
    {"inputs", BOTH, EMPTY, "'messages' or 'prompt'"},
    {"parameters", BOTH, EMPTY, "fields of the request itself"},
    {"options", BOTH, EMPTY, "fields of the request itself"},
    {"extra_body", BOTH, EMPTY, "fields of the request itself"},
    {"images", BOTH, EMPTY, NULL},
    {"image_data", BOTH, EMPTY, NULL},
    {"prompt_embeds", BOTH, EMPTY, NULL},
    {"multi_modal_data", BOTH, EMPTY, NULL},
    {"mm_processor_kwargs", BOTH, EMPTY, NULL},
    {"chat_template", CHAT, EMPTY, "'chat_template_kwargs'"},
    {"template", BOTH, EMPTY, NULL},
    {"echo", CHAT, EMPTY, NULL},
    {"add_special_tokens", CHAT, EMPTY, NULL},
    {"add_special_tokens", TEXT, NEUTRAL_TRUE, "'add_special'"},
    {"add_bos_token", TEXT, NEUTRAL_TRUE, "'add_special'"},
    {"truncate_prompt_tokens", BOTH, EMPTY | OFF, NULL},
    {"truncate", BOTH, EMPTY | ZERO, NULL},
    {"safe_prompt", BOTH, EMPTY, NULL},
    {"instructions", BOTH, EMPTY, "'messages'"},

    /* how long the answer is */
    {"n_predict", BOTH, NEUTRAL_MINUS_ONE, "'max_tokens'"},
    {"num_predict", BOTH, NEUTRAL_MINUS_ONE, "'max_tokens'"},
    {"max_new_tokens", BOTH, NONE, "'max_tokens'"},
    {"max_output_tokens", BOTH, NONE, "'max_tokens'"},
    {"max_tokens_to_sample", BOTH, NONE, "'max_tokens'"},
    {"max_length", BOTH, NONE, "'max_tokens'"},
    {"min_tokens", BOTH, EMPTY | ZERO, NULL},
    {"min_new_tokens", BOTH, EMPTY | ZERO, NULL},
    {"min_length", BOTH, EMPTY | ZERO, NULL},
    {"n_indent", BOTH, EMPTY | ZERO, NULL},
    {"t_max_predict_ms", BOTH, EMPTY | OFF, "'max_tokens'"},
    {"stop_sequences", BOTH, EMPTY, "'stop'"},
    {"stop_sequence", BOTH, EMPTY, "'stop'"},
    {"stop_strings", BOTH, EMPTY, "'stop'"},
    {"stop_words", BOTH, EMPTY, "'stop'"},
    {"stopping_strings", BOTH, EMPTY, "'stop'"},
    {"custom_stopping_strings", BOTH, EMPTY, "'stop'"},
    {"stop_regex", BOTH, EMPTY, "'stop'"},
    {"include_stop_str_in_output", BOTH, EMPTY, NULL},
    {"no_stop_trim", BOTH, EMPTY, NULL},
    {"ban_eos_token", BOTH, EMPTY, "'ignore_eos'"},
    {"bypass_eos", BOTH, EMPTY, "'ignore_eos'"},
    {"repetition_detection", BOTH, EMPTY, NULL},

    /* how many answers, and what comes with them */
    {"n_cmpl", BOTH, ONE, "'n'"},
    {"num_return_sequences", BOTH, ONE, "'n'"},
    {"num_generations", BOTH, ONE, "'n'"},
    {"top_logprobs", TEXT, EMPTY | ZERO, "'logprobs'"},
    {"n_probs", BOTH, EMPTY | ZERO, "'logprobs'"},
    {"top_n_tokens", BOTH, EMPTY | ZERO, "'logprobs'"},
    {"logprob_token_ids", BOTH, EMPTY, "'logprobs'"},
    {"prompt_logprobs", CHAT, EMPTY, NULL},
    {"prompt_logprobs", TEXT, EMPTY, "'echo' with 'logprobs'"},
    {"decoder_input_details", BOTH, EMPTY, "'echo' with 'logprobs'"},
    {"post_sampling_probs", BOTH, EMPTY, NULL},
    {"return_full_text", BOTH, EMPTY, "'echo'"},
    {"return_tokens", BOTH, EMPTY, "'return_token_ids'"},
    {"return_tokens_as_token_ids", BOTH, EMPTY, "'return_token_ids'"},
    {"skip_special_tokens", BOTH, NEUTRAL_TRUE, "'special_text'"},

    /* which token is taken */
    {"temp", BOTH, NONE, "'temperature'"},
    {"do_sample", BOTH, NEUTRAL_TRUE, "'temperature'"},
    {"greedy", BOTH, EMPTY, "'temperature'"},
    {"temperature_last", BOTH, EMPTY, NULL},
    {"dynatemp", BOTH, EMPTY, "'temperature'"},
    {"dynatemp_range", BOTH, EMPTY | ZERO, "'temperature'"},
    {"dynamic_temperature", BOTH, EMPTY, "'temperature'"},
    {"smoothing_factor", BOTH, EMPTY | ZERO, "'temperature'"},
    {"samplers", BOTH, EMPTY, "'top_k', 'top_p', 'min_p' and 'typical_p'"},
    {"sampler_order", BOTH, EMPTY, "'top_k', 'top_p', 'min_p' and 'typical_p'"},
    {"sampler_priority", BOTH, EMPTY, "'top_k', 'top_p', 'min_p' and 'typical_p'"},
    {"typical", BOTH, ONE, "'typical_p'"},
    {"top_a", BOTH, EMPTY | ZERO, "'top_p' or 'min_p'"},
    {"top_n_sigma", BOTH, EMPTY | OFF, "'top_p' or 'min_p'"},
    {"nsigma", BOTH, EMPTY | ZERO, "'top_p' or 'min_p'"},
    {"tfs", BOTH, ONE, "'typical_p'"},
    {"tfs_z", BOTH, ONE, "'typical_p'"},
    {"epsilon_cutoff", BOTH, EMPTY | ZERO, "'min_p'"},
    {"eta_cutoff", BOTH, EMPTY | ZERO, "'min_p'"},
    {"min_keep", BOTH, EMPTY | ZERO | ONE, NULL},
    {"skew", BOTH, EMPTY | ZERO, NULL},
    {"adaptive_target", BOTH, EMPTY | NEUTRAL_MINUS_ONE, NULL},
    {"mirostat", BOTH, EMPTY | ZERO, "'temperature' and 'top_p'"},
    {"mirostat_mode", BOTH, EMPTY | ZERO, "'temperature' and 'top_p'"},
    {"xtc_probability", BOTH, EMPTY | ZERO, NULL},
    {"penalty_alpha", BOTH, EMPTY | ZERO, NULL},
    {"guidance_scale", BOTH, ONE, NULL},
    {"cfg_scale", BOTH, ONE, NULL},
    {"negative_prompt", BOTH, EMPTY, NULL},
    {"watermark", BOTH, EMPTY, NULL},
    {"watermarking", BOTH, EMPTY, NULL},
    {"random_seed", BOTH, NONE, "'seed'"},
    {"sampling_seed", BOTH, NONE, "'seed'"},
    {"sampler_seed", BOTH, NONE, "'seed'"},
    {"lora", BOTH, EMPTY, NULL},
    {"lora_request", BOTH, EMPTY, NULL},
    {"lora_path", BOTH, EMPTY, NULL},
    {"adapter_id", BOTH, EMPTY, "'model'"},
    {"search_parameters", BOTH, EMPTY, NULL},
    {"enable_search", BOTH, EMPTY, NULL},

    /* penalties */
    {"rep_pen", BOTH, ONE, "'repetition_penalty'"},
    {"rep_pen_range", BOTH, EMPTY | NEUTRAL_NO_PENALTY, "'repetition_penalty'"},
    {"penalty_range", BOTH, EMPTY | OFF | NEUTRAL_NO_PENALTY, "'repetition_penalty'"},
    {"repetition_penalty_range", BOTH, EMPTY | OFF | NEUTRAL_NO_PENALTY, "'repetition_penalty'"},
    {"repeat_last_n", BOTH, NEUTRAL_MINUS_ONE | NEUTRAL_NO_PENALTY, "'repetition_penalty'"},
    {"penalize_nl", BOTH, NEUTRAL_TRUE | NEUTRAL_NO_PENALTY, "'logit_bias'"},
    {"encoder_repetition_penalty", BOTH, ONE, "'repetition_penalty'"},
    {"no_repeat_ngram_size", BOTH, EMPTY | ZERO, "'repetition_penalty'"},
    {"dry_multiplier", BOTH, EMPTY | ZERO, "'repetition_penalty'"},

    /* several answers, of which one is taken */
    {"use_beam_search", BOTH, EMPTY, "'n'"},
    {"num_beams", BOTH, ONE, "'n'"},
    {"num_beam_groups", BOTH, ONE, "'n'"},
    {"diversity_penalty", BOTH, EMPTY | ZERO, NULL},
    {"length_penalty", BOTH, ONE, NULL},
    {"early_stopping", BOTH, EMPTY, NULL},

    /* what an answer may be */
    {"grammar_string", BOTH, EMPTY, "'grammar'"},
    {"format", BOTH, EMPTY, "'response_format'"},
    {"regex_pattern", BOTH, EMPTY, "'guided_regex'"},
    {"structural_tag", BOTH, EMPTY, "'response_format'"},
    {"allowed_token_ids", BOTH, EMPTY, "'logit_bias'"},
    {"bad_words", BOTH, EMPTY, "'logit_bias'"},
    {"banned_tokens", BOTH, EMPTY, "'logit_bias'"},
    {"banned_strings", BOTH, EMPTY, "'logit_bias'"},
    {"custom_token_bans", BOTH, EMPTY, "'logit_bias'"},
    {"logits_processors", BOTH, EMPTY, "'logit_bias'"},
    {"logits_processor", BOTH, EMPTY, "'logit_bias'"},
    {"custom_logit_processor", BOTH, EMPTY, "'logit_bias'"},
    {"custom_params", BOTH, EMPTY, NULL},
    {"token_healing", BOTH, EMPTY, NULL},
    {"vllm_xargs", BOTH, EMPTY, NULL},

    /* reasoning */
    {"reasoning", CHAT, EMPTY, "'reasoning_effort'"},
};
/* clang-format on */

#define N_REFUSED (sizeof(refused) / sizeof(refused[0]))

const struct refused_field *refused_field_at(size_t i)
{
    return i < N_REFUSED ? &refused[i] : NULL;
}

const struct refused_field *refused_field_find(const char *name, unsigned route)
{
    for (size_t i = 0; i < N_REFUSED; i++)
        if ((!route || (refused[i].routes & route)) && strcmp(refused[i].name, name) == 0)
            return &refused[i];
    return NULL;
}

void refused_fields_near(struct near *n, unsigned route)
{
    for (size_t i = 0; i < N_REFUSED; i++)
        if (refused[i].routes & route)
            near_try(n, refused[i].name);
}

/* ---- values that change nothing ---- */

static bool is_empty(const json_t *value)
{
    return json_is_false(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool is_number(const json_t *value, double wanted)
{
    return json_is_number(value) && json_number_value(value) == wanted;
}

static bool is_text(const json_t *value)
{
    if (json_is_array(value))
        return json_array_size(value) == 1 && value_is_word(json_array_get(value, 0), "text");
    return value_is_word(json_object_get(value, "type"), "text");
}

static bool is_same_as_n(const json_t *value, const json_t *request)
{
    const json_t *n = json_object_get(request, "n");
    return json_is_number(value) && json_is_number(n) && json_number_value(value) == json_number_value(n);
}

static bool has_no_penalty(const json_t *request)
{
    static const struct {
        const char *name;
        double off;
    } penalties[] = {
        {"repetition_penalty", 1}, {"repeat_penalty", 1}, {"presence_penalty", 0}, {"frequency_penalty", 0}};
    for (size_t i = 0; i < sizeof(penalties) / sizeof(penalties[0]); i++) {
        const json_t *value = json_object_get(request, penalties[i].name);
        if (json_is_number(value) && json_number_value(value) != penalties[i].off)
            return false;
    }
    return true;
}

static bool is_neutral(const struct refused_field *f, const json_t *value, const json_t *request)
{
    unsigned neutral = f->neutral;
    return json_is_null(value) || ((neutral & NEUTRAL_EMPTY) && is_empty(value)) ||
           ((neutral & NEUTRAL_ZERO) && is_number(value, 0)) ||
           ((neutral & NEUTRAL_ONE) && is_number(value, 1)) ||
           ((neutral & NEUTRAL_MINUS_ONE) && is_number(value, -1)) ||
           ((neutral & NEUTRAL_TRUE) && json_is_true(value)) ||
           ((neutral & NEUTRAL_NO_CHOICE) &&
               (value_is_word(value, "none") || value_is_word(value, "auto"))) ||
           ((neutral & NEUTRAL_TEXT) && is_text(value)) ||
           ((neutral & NEUTRAL_SAME_AS_N) && is_same_as_n(value, request)) ||
           ((neutral & NEUTRAL_NO_PENALTY) && has_no_penalty(request));
}

/* ---- the refusal ---- */

/* What the message tells of values that pass: the condition, or, where nothing does the same, the values. */
static const char *accepted_values(const struct refused_field *f)
{
    static const struct {
        unsigned neutral;
        bool always;
        const char *told;
    } rows[] = {
        {NEUTRAL_SAME_AS_N, true, " unless it equals 'n'"},
        {NEUTRAL_NO_PENALTY, true, " together with a penalty on repetition"},
        {NEUTRAL_NO_CHOICE, true, "; the accepted values are \"none\" and \"auto\""},
        {NEUTRAL_TEXT, true, "; the only accepted value is \"text\""},
        {NEUTRAL_TRUE, false, "; the only accepted value is true"},
        {NEUTRAL_ONE, false, "; the only accepted value is 1"},
        {NEUTRAL_ZERO, false, "; the only accepted value is 0"},
        {NEUTRAL_MINUS_ONE, false, "; the only accepted value is -1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((f->neutral & rows[i].neutral) && (rows[i].always || !f->instead))
            return rows[i].told;
    return "";
}

void refused_field_tell(const struct refused_field *f, char *out, size_t size)
{
    snprintf(out, size, "not supported%s%s%s", accepted_values(f), f->instead ? "; use " : "",
        f->instead ? f->instead : "");
}

bool refused_field_check(
    const struct refused_field *f, const json_t *value, const json_t *request, struct api_error *c)
{
    if (is_neutral(f, value, request))
        return true;
    char told[160];
    refused_field_tell(f, told, sizeof(told));
    return api_error_status(c, 400, "unsupported_parameter", f->name, "'%s' is %s", f->name, told);
}
