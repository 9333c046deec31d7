/* fields.c - the fields of OpenAI's requests, one row each: honoured, ignored or refused.
 *
 * The table has every field of OpenAI's reference for chat completions and completions, and those that other
 * servers have added and berth honours. A field is ignored only when it cannot change the answer. One that is
 * refused may be there with the value that stands for its absence. docs/openai.md has the same table for
 * people, and tests/docs compares the two. What no row knows is ignored, and named in the log at debug level.
 */
#include "openai_private.h"

#include "berth/base/log.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum treatment { HONOURED, IGNORED, REFUSED };

enum kind {
    ELSEWHERE, /* read with the prompt, or by `read` alone */
    TRUTH,
    INTEGER,
    NUMBER,
};

typedef bool field_read(const json_t *value, struct completion_params *w, struct api_error *c);
typedef bool field_harmless(const json_t *value);

/* Small types: there are many rows. */
struct field {
    const char *name;
    uint8_t routes; /* of enum fields_route */
    uint8_t treatment, kind; /* enum treatment, enum kind */
    uint16_t at; /* offset in struct completion_params */
    float least, most;
    field_read *read; /* instead of a kind */
    field_harmless *harmless; /* of a refused field: a value that changes nothing */
};

#define UNKNOWN_TOLD 8 /* fields of one request that the log tells of: it is not the client's to fill */
#define BOTH (FOR_CHAT | FOR_COMPLETIONS)
#define AT(name) offsetof(struct completion_params, name)

static field_read read_stop, read_stop_tokens, read_stream_options, read_logit_bias, read_seed, read_logprobs,
    read_best_of;
static field_harmless is_empty, is_no_choice, is_text_format, is_text_alone, is_medium;

/* clang-format off */
static const struct field fields[] = {
    {"model", BOTH, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"messages", FOR_CHAT, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"prompt", FOR_COMPLETIONS, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"max_completion_tokens", FOR_CHAT, HONOURED, INTEGER, AT(max_completion_tokens), 1, 1e9f, NULL, NULL},
    {"max_tokens", FOR_CHAT, HONOURED, INTEGER, AT(max_tokens), 1, 1e9f, NULL, NULL},
    {"max_tokens", FOR_COMPLETIONS, HONOURED, INTEGER, AT(max_tokens), 0, 1e9f, NULL, NULL},
    {"n", BOTH, HONOURED, INTEGER, AT(n), 1, JOB_CHOICES_MAX, NULL, NULL},
    {"stream", BOTH, HONOURED, TRUTH, AT(stream), 0, 0, NULL, NULL},
    {"stream_options", BOTH, HONOURED, ELSEWHERE, 0, 0, 0, read_stream_options, NULL},
    {"temperature", BOTH, HONOURED, NUMBER, AT(temperature), 0, 2, NULL, NULL},
    {"top_p", BOTH, HONOURED, NUMBER, AT(top_p), 0, 1, NULL, NULL},
    {"presence_penalty", BOTH, HONOURED, NUMBER, AT(presence_penalty), -2, 2, NULL, NULL},
    {"frequency_penalty", BOTH, HONOURED, NUMBER, AT(frequency_penalty), -2, 2, NULL, NULL},
    {"logit_bias", BOTH, HONOURED, ELSEWHERE, 0, 0, 0, read_logit_bias, NULL},
    {"seed", BOTH, HONOURED, ELSEWHERE, 0, 0, 0, read_seed, NULL},
    {"stop", BOTH, HONOURED, ELSEWHERE, 0, 0, 0, read_stop, NULL},
    {"logprobs", FOR_CHAT, HONOURED, TRUTH, AT(logprobs), 0, 0, NULL, NULL},
    {"top_logprobs", FOR_CHAT, HONOURED, INTEGER, AT(n_top), 0, JOB_LOGPROBS_MAX, NULL, NULL},
    {"logprobs", FOR_COMPLETIONS, HONOURED, ELSEWHERE, 0, 0, 0, read_logprobs, NULL},
    {"echo", FOR_COMPLETIONS, HONOURED, TRUTH, AT(echo), 0, 0, NULL, NULL},
    {"reasoning_effort", FOR_CHAT, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},

    {"metadata", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"parallel_tool_calls", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"prediction", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"prompt_cache_key", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"prompt_cache_retention", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"safety_identifier", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"service_tier", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"store", FOR_CHAT, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"user", BOTH, IGNORED, ELSEWHERE, 0, 0, 0, NULL, NULL},

    {"audio", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"best_of", FOR_COMPLETIONS, REFUSED, ELSEWHERE, 0, 0, 0, read_best_of, NULL},
    {"function_call", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_no_choice},
    {"functions", FOR_CHAT, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"modalities", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_text_alone},
    {"response_format", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_text_format},
    {"suffix", FOR_COMPLETIONS, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"tool_choice", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_no_choice},
    {"tools", FOR_CHAT, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"verbosity", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_medium},
    {"web_search_options", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, NULL},

    /* not OpenAI's */
    {"top_k", BOTH, HONOURED, INTEGER, AT(top_k), -1, 1e9f, NULL, NULL},
    {"min_p", BOTH, HONOURED, NUMBER, AT(min_p), 0, 1, NULL, NULL},
    {"typical_p", BOTH, HONOURED, NUMBER, AT(typical_p), 0, 1, NULL, NULL},
    {"repetition_penalty", BOTH, HONOURED, NUMBER, AT(repetition_penalty), 0.0625f, 16, NULL, NULL},
    {"repeat_penalty", BOTH, HONOURED, NUMBER, AT(repetition_penalty), 0.0625f, 16, NULL, NULL},
    {"stop_token_ids", BOTH, HONOURED, ELSEWHERE, 0, 0, 0, read_stop_tokens, NULL},
    {"ignore_eos", BOTH, HONOURED, TRUTH, AT(ignore_end), 0, 0, NULL, NULL},
    {"return_token_ids", BOTH, HONOURED, TRUTH, AT(token_ids), 0, 0, NULL, NULL},
    {"special_text", BOTH, HONOURED, TRUTH, AT(special_text), 0, 0, NULL, NULL},
    {"cache_prompt", BOTH, HONOURED, TRUTH, AT(cache_prompt), 0, 0, NULL, NULL},
    {"add_generation_prompt", FOR_CHAT, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"chat_template_kwargs", FOR_CHAT, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"documents", FOR_CHAT, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"add_special", FOR_COMPLETIONS, HONOURED, ELSEWHERE, 0, 0, 0, NULL, NULL},
    {"grammar", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"json_schema", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"guided_json", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"min_tokens", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"structured_outputs", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"guided_regex", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"guided_choice", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"guided_grammar", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"allowed_token_ids", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"bad_words", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"use_beam_search", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"include_stop_str_in_output", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"truncate_prompt_tokens", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"n_predict", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"mirostat", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"dry_multiplier", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"xtc_probability", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"dynatemp_range", BOTH, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"chat_template", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"continue_final_message", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
    {"echo", FOR_CHAT, REFUSED, ELSEWHERE, 0, 0, 0, NULL, is_empty},
};
/* clang-format on */

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* ---- values that stand for nothing ---- */

static bool is_empty(const json_t *value)
{
    return json_is_false(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_number(value) && json_number_value(value) == 0);
}

static bool is_word(const json_t *value, const char *word)
{
    return json_is_string(value) && json_string_length(value) == strlen(word) &&
           strcmp(json_string_value(value), word) == 0;
}

static bool is_no_choice(const json_t *value)
{
    return is_word(value, "none") || is_word(value, "auto");
}

static bool is_text_format(const json_t *value)
{
    return json_is_object(value) && is_word(json_object_get(value, "type"), "text");
}

static bool is_text_alone(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) == 1 && is_word(json_array_get(value, 0), "text");
}

static bool is_medium(const json_t *value)
{
    return is_word(value, "medium");
}

/* ---- fields of their own kind ---- */

static bool add_stop(const json_t *value, struct completion_params *w, struct api_error *c)
{
    size_t size = json_string_length(value);
    if (!json_is_string(value) || size == 0)
        return api_error_bad(c, "stop", "'stop' must be a string that is not empty, or a list of such");
    if (size > COMPLETION_STOP_BYTES)
        return api_error_bad(c, "stop", "a string of 'stop' may have %d bytes, and this one has %zu",
            COMPLETION_STOP_BYTES, size);
    w->stops[w->n_stops++] = (struct span){(const uint8_t *)json_string_value(value), size};
    return true;
}

static bool read_stop(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_array(value))
        return add_stop(value, w, c);
    if (json_array_size(value) > COMPLETION_STOPS_MAX)
        return api_error_bad(c, "stop", "'stop' may have %d strings", COMPLETION_STOPS_MAX);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!add_stop(json_array_get(value, i), w, c))
            return false;
    return true;
}

static bool read_stop_tokens(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_array(value) || json_array_size(value) > COMPLETION_STOPS_MAX)
        return api_error_bad(
            c, "stop_token_ids", "'stop_token_ids' must be a list of at most %d ids", COMPLETION_STOPS_MAX);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *id = json_array_get(value, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return api_error_bad(c, "stop_token_ids", "'stop_token_ids[%zu]' is no token id", i);
        w->stop_tokens[w->n_stop_tokens++] = (int32_t)json_integer_value(id);
    }
    return true;
}

static bool read_stream_options(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_object(value))
        return api_error_bad(c, "stream_options", "'stream_options' must be an object");
    return openai_truth(value, "include_usage", false, &w->include_usage, c);
}

static bool read_logit_bias(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_object(value) || json_object_size(value) > COMPLETION_BIAS_MAX)
        return api_error_bad(c, "logit_bias",
            "'logit_bias' must be an object of token ids and numbers, with at most %d members",
            COMPLETION_BIAS_MAX);
    w->logit_bias = value;
    return true;
}

static bool read_seed(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_integer(value))
        return api_error_bad(c, "seed", "'seed' must be an integer");
    w->seed = json_integer_value(value);
    w->seeded = true;
    return true;
}

/* How many of the best come with each token. False, which clients of the chat's manner send, is none; how many true
 * would be nobody says. */
static bool read_logprobs(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (json_is_false(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > JOB_LOGPROBS_MAX)
        return api_error_bad(c, "logprobs", "'logprobs' must be an integer from 0 to %d", JOB_LOGPROBS_MAX);
    w->logprobs = true;
    w->n_top = json_integer_value(value);
    return true;
}

static bool read_best_of(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_integer(value))
        return api_error_bad(c, "best_of", "'best_of' must be an integer");
    w->best_of = json_integer_value(value);
    return true;
}

/* ---- the table at work ---- */

bool openai_truth(const json_t *request, const char *name, bool otherwise, bool *out, struct api_error *c)
{
    const json_t *value = json_object_get(request, name);
    *out = otherwise;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_boolean(value))
        return api_error_bad(c, name, "'%s' must be true or false", name);
    *out = json_is_true(value);
    return true;
}

static bool read_integer(const struct field *f, const json_t *value, int64_t *out, struct api_error *c)
{
    if (!json_is_integer(value))
        return api_error_bad(c, f->name, "'%s' must be an integer", f->name);
    *out = json_integer_value(value);
    if ((double)*out < (double)f->least || (double)*out > (double)f->most)
        return api_error_bad(c, f->name, "'%s' is %" PRId64 ", and must be from %.0f to %.0f", f->name, *out,
            (double)f->least, (double)f->most);
    return true;
}

static bool read_number(const struct field *f, const json_t *value, double *out, struct api_error *c)
{
    if (!json_is_number(value))
        return api_error_bad(c, f->name, "'%s' must be a number", f->name);
    *out = json_number_value(value);
    if (!(*out >= (double)f->least && *out <= (double)f->most))
        return api_error_bad(c, f->name, "'%s' is %g, and must be from %g to %g", f->name, *out,
            (double)f->least, (double)f->most);
    return true;
}

static bool read_field(
    const struct field *f, const json_t *value, struct completion_params *w, struct api_error *c)
{
    void *at = (char *)w + f->at;
    if (f->read)
        return f->read(value, w, c);
    if (f->treatment == REFUSED && !(f->harmless && f->harmless(value)))
        return api_error_status(c, 400, "unsupported_parameter", f->name,
            "'%s' would change the answer, and this server cannot honour it%s", f->name,
            f->harmless ? " with this value" : "");
    switch ((enum kind)f->kind) {
    case ELSEWHERE:
        return true;
    case TRUTH:
        if (!json_is_boolean(value))
            return api_error_bad(c, f->name, "'%s' must be true or false", f->name);
        *(bool *)at = json_is_true(value);
        return true;
    case INTEGER:
        return read_integer(f, value, at, c);
    case NUMBER:
        return read_number(f, value, at, c);
    }
    return true;
}

static const struct field *find_field(const char *name, enum fields_route route)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if ((fields[i].routes & (unsigned)route) && strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

/* What only two fields together tell. */
static bool check_together(struct completion_params *w, enum fields_route route, struct api_error *c)
{
    if (route == FOR_CHAT && w->n_top > 0 && !w->logprobs)
        return api_error_bad(c, "top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
    if (w->best_of && w->best_of != 1 && w->best_of != w->n)
        return api_error_status(c, 400, "unsupported_parameter", "best_of",
            "'best_of' would change the answer, and this server honours it only where it equals 'n'");
    if (w->max_completion_tokens != COMPLETION_UNLIMITED && w->max_tokens != COMPLETION_UNLIMITED &&
        w->max_completion_tokens != w->max_tokens)
        return api_error_bad(
            c, "max_tokens", "'max_tokens' and 'max_completion_tokens' contradict each other");
    if (w->max_completion_tokens != COMPLETION_UNLIMITED)
        w->max_tokens = w->max_completion_tokens;
    return true;
}

bool completion_params_read(
    struct completion_params *w, const json_t *request, enum fields_route route, struct api_error *c)
{
    const char *name;
    json_t *value;
    size_t n_unknown = 0;
    *w = (struct completion_params){
        .n = 1,
        .max_tokens = route == FOR_CHAT ? COMPLETION_UNLIMITED : 16, /* as OpenAI has it */
        .max_completion_tokens = COMPLETION_UNLIMITED,
        .temperature = 1,
        .top_p = 1,
        .typical_p = 1,
        .repetition_penalty = 1,
        .cache_prompt = true,
    };
    /* jansson promises not to change an object that is only gone through. */
    json_object_foreach((json_t *)(uintptr_t)request, name, value)
    {
        const struct field *f = find_field(name, route);
        if (!f && n_unknown++ < UNKNOWN_TOLD)
            log_line(LOG_DEBUG, "a request has a field that means nothing here",
                LOG_FIELDS(log_text("field", name)));
        if (f && !json_is_null(value) && !read_field(f, value, w, c))
            return false;
    }
    return check_together(w, route, c);
}

static bool read_bias(
    const char *name, const json_t *value, size_t vocabulary, struct sampler_bias *out, struct api_error *c)
{
    char *end, param[96];
    unsigned long id = strtoul(name, &end, 10);
    double bias = json_number_value(value);
    char shown[64];
    text_escape(shown, sizeof(shown), span_of(name));
    snprintf(param, sizeof(param), "logit_bias.%s", shown);
    if (name[0] < '0' || name[0] > '9' || *end || id >= vocabulary)
        return api_error_bad(
            c, param, "'logit_bias': %s is no token id; the model's are 0 to %zu", shown, vocabulary - 1);
    if (!json_is_number(value) || !(bias >= -100 && bias <= 100))
        return api_error_bad(
            c, param, "'logit_bias': the bias of %s must be a number from -100 to 100", shown);
    *out = (struct sampler_bias){(int32_t)id, (float)bias};
    return true;
}

bool completion_params_for_model(struct completion_params *w, size_t vocabulary, struct api_error *c)
{
    const char *name;
    json_t *value;
    for (size_t i = 0; i < w->n_stop_tokens; i++)
        if ((size_t)w->stop_tokens[i] >= vocabulary)
            return api_error_bad(
                c, "stop_token_ids", "'stop_token_ids[%zu]' is no token id of this model", i);
    if (!w->logit_bias || json_object_size(w->logit_bias) == 0)
        return true;
    w->bias = calloc(json_object_size(w->logit_bias), sizeof(*w->bias));
    if (!w->bias)
        return api_error_status(c, 500, NULL, NULL, "no memory for the request");
    json_object_foreach((json_t *)(uintptr_t)w->logit_bias, name, value)
    {
        if (!read_bias(name, value, vocabulary, &w->bias[w->n_bias], c))
            return false;
        w->n_bias++;
    }
    return true;
}

void completion_params_release(struct completion_params *w)
{
    free(w->bias);
    w->bias = NULL;
}
