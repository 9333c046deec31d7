/* fields.c - the fields of a completion request that are honoured or ignored, one row each, and how they are read.
 *
 * The table has every field of OpenAI's reference for chat completions and completions that berth honours, and those
 * of other servers. A field is ignored only when it cannot change the answer. fields_refused.c has the fields that
 * would. docs/openai.md has the same tables for people, and tests/docs compares them. A name that is in no table is
 * refused when it is near a known one, since the client then means another; else it is ignored, and named in the log
 * at debug level.
 */
#include "fields_private.h"

#include "berth/base/log.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_TOLD 8 /* unknown fields of one request that the log names: a client must not fill it */
#define LONG_NAME 10 /* characters of a name from which two mistakes are still the same word */
#define SHORT_NAME 5 /* up to here another character makes another word: "step", "stop" */

#define CHAT FOR_CHAT
#define TEXT FOR_COMPLETIONS
#define BOTH (FOR_CHAT | FOR_COMPLETIONS)
#define AT(name) .at = offsetof(struct completion_params, name)

static field_read read_stop, read_stop_tokens, read_stream_options, read_logit_bias, read_seed, read_logprobs,
    read_cache_salt, read_suffix;

/* clang-format off */
static const struct field fields[] = {
    /* OpenAI's */
    {"model", BOTH, HONOURED, .kind = ELSEWHERE},
    {"messages", CHAT, HONOURED, .kind = ELSEWHERE},
    {"prompt", TEXT, HONOURED, .kind = ELSEWHERE},
    {"max_completion_tokens", CHAT, HONOURED, .kind = TOKENS, AT(max_completion_tokens), .least = 1, .most = MANY},
    {"max_completion_tokens", TEXT, HONOURED, .kind = TOKENS, AT(max_completion_tokens), .least = 0, .most = MANY},
    {"max_tokens", CHAT, HONOURED, .kind = TOKENS, AT(max_tokens), .least = 1, .most = MANY},
    {"max_tokens", TEXT, HONOURED, .kind = TOKENS, AT(max_tokens), .least = 0, .most = MANY},
    {"n", BOTH, HONOURED, .kind = INTEGER, AT(n), .least = 1, .most = JOB_CHOICES_MAX},
    {"stream", BOTH, HONOURED, .kind = TRUTH, AT(stream)},
    {"stream_options", BOTH, HONOURED, .kind = OWN, .read = read_stream_options},
    {"temperature", BOTH, HONOURED, .kind = NUMBER, AT(temperature), .least = 0, .most = 2},
    {"top_p", BOTH, HONOURED, .kind = NUMBER, AT(top_p), .least = 0, .most = 1},
    {"presence_penalty", BOTH, HONOURED, .kind = NUMBER, AT(presence_penalty), .least = -2, .most = 2},
    {"frequency_penalty", BOTH, HONOURED, .kind = NUMBER, AT(frequency_penalty), .least = -2, .most = 2},
    {"logit_bias", BOTH, HONOURED, .kind = OWN, .read = read_logit_bias},
    {"seed", BOTH, HONOURED, .kind = OWN, .read = read_seed},
    {"stop", BOTH, HONOURED, .kind = OWN, .read = read_stop},
    {"logprobs", CHAT, HONOURED, .kind = TRUTH, AT(logprobs)},
    {"top_logprobs", CHAT, HONOURED, .kind = INTEGER, AT(n_top), .least = 0, .most = JOB_LOGPROBS_MAX},
    {"logprobs", TEXT, HONOURED, .kind = OWN, .read = read_logprobs},
    {"echo", TEXT, HONOURED, .kind = TRUTH, AT(echo)},
    {"suffix", TEXT, HONOURED, .kind = OWN, .read = read_suffix},
    {"tools", CHAT, HONOURED, .kind = ELSEWHERE},
    {"functions", CHAT, HONOURED, .kind = ELSEWHERE},
    {"tool_choice", CHAT, HONOURED, .kind = ELSEWHERE},
    {"function_call", CHAT, HONOURED, .kind = ELSEWHERE},
    {"parallel_tool_calls", CHAT, HONOURED, .kind = ELSEWHERE},
    {"response_format", BOTH, HONOURED, .kind = ELSEWHERE},
    {"reasoning_effort", CHAT, HONOURED, .kind = ELSEWHERE},

    {"metadata", BOTH, IGNORED, .kind = ELSEWHERE},
    {"prediction", CHAT, IGNORED, .kind = ELSEWHERE},
    {"prompt_cache_key", BOTH, IGNORED, .kind = ELSEWHERE},
    {"prompt_cache_retention", BOTH, IGNORED, .kind = ELSEWHERE},
    {"safety_identifier", BOTH, IGNORED, .kind = ELSEWHERE},
    {"service_tier", BOTH, IGNORED, .kind = ELSEWHERE},
    {"store", BOTH, IGNORED, .kind = ELSEWHERE},
    {"user", BOTH, IGNORED, .kind = ELSEWHERE},
    {"verbosity", BOTH, IGNORED, .kind = ELSEWHERE},

    /* of other servers */
    {"top_k", BOTH, HONOURED, .kind = INTEGER, AT(top_k), .least = -1, .most = MANY},
    {"min_p", BOTH, HONOURED, .kind = NUMBER, AT(min_p), .least = 0, .most = 1},
    {"typical_p", BOTH, HONOURED, .kind = NUMBER, AT(typical_p), .least = 0, .most = 1},
    {"repetition_penalty", BOTH, HONOURED, .kind = NUMBER, AT(repetition_penalty), .least = 0.0625f, .most = 16},
    {"repeat_penalty", BOTH, HONOURED, .kind = NUMBER, AT(repetition_penalty), .least = 0.0625f, .most = 16},
    {"stop_token_ids", BOTH, HONOURED, .kind = OWN, .read = read_stop_tokens},
    {"ignore_eos", BOTH, HONOURED, .kind = TRUTH, AT(ignore_end)},
    {"return_token_ids", BOTH, HONOURED, .kind = TRUTH, AT(token_ids)},
    {"special_text", BOTH, HONOURED, .kind = TRUTH, AT(special_text)},
    {"cache_prompt", BOTH, HONOURED, .kind = TRUTH, AT(cache_prompt)},
    {"cache_salt", BOTH, HONOURED, .kind = OWN, .read = read_cache_salt},
    {"add_generation_prompt", CHAT, HONOURED, .kind = ELSEWHERE},
    {"chat_template_kwargs", CHAT, HONOURED, .kind = ELSEWHERE},
    {"continue_final_message", CHAT, HONOURED, .kind = ELSEWHERE},
    {"enable_thinking", CHAT, HONOURED, .kind = ELSEWHERE},
    {"think", CHAT, HONOURED, .kind = ELSEWHERE},
    {"thinking", CHAT, HONOURED, .kind = ELSEWHERE},
    {"reasoning_format", CHAT, HONOURED, .kind = ELSEWHERE},
    {"include_reasoning", CHAT, HONOURED, .kind = TRUTH, AT(include_reasoning)},
    {"reasoning_budget", CHAT, HONOURED, .kind = INTEGER, AT(reasoning_budget), .least = -1, .most = MANY},
    {"thinking_budget", CHAT, HONOURED, .kind = INTEGER, AT(reasoning_budget), .least = -1, .most = MANY},
    {"thinking_budget_tokens", CHAT, HONOURED, .kind = INTEGER, AT(reasoning_budget), .least = -1, .most = MANY},
    {"thinking_token_budget", CHAT, HONOURED, .kind = INTEGER, AT(reasoning_budget), .least = -1, .most = MANY},
    {"guided_json", BOTH, HONOURED, .kind = ELSEWHERE},
    {"guided_json_object", BOTH, HONOURED, .kind = ELSEWHERE},
    {"guided_regex", BOTH, HONOURED, .kind = ELSEWHERE},
    {"guided_choice", BOTH, HONOURED, .kind = ELSEWHERE},
    {"guided_grammar", BOTH, HONOURED, .kind = ELSEWHERE},
    {"structured_outputs", BOTH, HONOURED, .kind = ELSEWHERE},
    {"json_schema", BOTH, HONOURED, .kind = ELSEWHERE},
    {"regex", BOTH, HONOURED, .kind = ELSEWHERE},
    {"ebnf", BOTH, HONOURED, .kind = ELSEWHERE},
    {"grammar", BOTH, HONOURED, .kind = ELSEWHERE},
    {"documents", CHAT, HONOURED, .kind = ELSEWHERE},
    {"add_special", TEXT, HONOURED, .kind = ELSEWHERE},

    {"dry_base", BOTH, IGNORED, .kind = ELSEWHERE},
    {"dry_allowed_length", BOTH, IGNORED, .kind = ELSEWHERE},
    {"dry_penalty_last_n", BOTH, IGNORED, .kind = ELSEWHERE},
    {"dry_sequence_breakers", BOTH, IGNORED, .kind = ELSEWHERE},
    {"dynatemp_exponent", BOTH, IGNORED, .kind = ELSEWHERE},
    {"dynatemp_low", BOTH, IGNORED, .kind = ELSEWHERE},
    {"dynatemp_high", BOTH, IGNORED, .kind = ELSEWHERE},
    {"smoothing_curve", BOTH, IGNORED, .kind = ELSEWHERE},
    {"adaptive_decay", BOTH, IGNORED, .kind = ELSEWHERE},
    {"mirostat_tau", BOTH, IGNORED, .kind = ELSEWHERE},
    {"mirostat_eta", BOTH, IGNORED, .kind = ELSEWHERE},
    {"xtc_threshold", BOTH, IGNORED, .kind = ELSEWHERE},
    {"rep_pen_slope", BOTH, IGNORED, .kind = ELSEWHERE},
    {"guided_decoding_backend", BOTH, IGNORED, .kind = ELSEWHERE},
    {"guided_whitespace_pattern", BOTH, IGNORED, .kind = ELSEWHERE},
    {"spaces_between_special_tokens", BOTH, IGNORED, .kind = ELSEWHERE},
    {"truncation_side", BOTH, IGNORED, .kind = ELSEWHERE},
    {"truncation_length", BOTH, IGNORED, .kind = ELSEWHERE},
    {"num_ctx", BOTH, IGNORED, .kind = ELSEWHERE},
    {"n_keep", BOTH, IGNORED, .kind = ELSEWHERE},
    {"n_discard", BOTH, IGNORED, .kind = ELSEWHERE},
    {"n_cache_reuse", BOTH, IGNORED, .kind = ELSEWHERE},
    {"id_slot", BOTH, IGNORED, .kind = ELSEWHERE},
    {"keep_alive", BOTH, IGNORED, .kind = ELSEWHERE},
    {"priority", BOTH, IGNORED, .kind = ELSEWHERE},
    {"request_id", BOTH, IGNORED, .kind = ELSEWHERE},
    {"session_id", BOTH, IGNORED, .kind = ELSEWHERE},
    {"stream_interval", BOTH, IGNORED, .kind = ELSEWHERE},
    {"timings_per_token", BOTH, IGNORED, .kind = ELSEWHERE},
    {"return_progress", BOTH, IGNORED, .kind = ELSEWHERE},
    {"mode", BOTH, IGNORED, .kind = ELSEWHERE},
    {"models", BOTH, IGNORED, .kind = ELSEWHERE},
};
/* clang-format on */

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* ---- fields with a reader of their own ---- */

static bool add_stop(const json_t *value, struct completion_params *w, struct api_error *c)
{
    size_t size = json_string_length(value);
    if (!json_is_string(value) || size == 0)
        return api_error_bad(c, "stop", "'stop' must be a string, or a list of strings that are not empty");
    if (size > COMPLETION_STOP_BYTES)
        return api_error_bad(
            c, "stop", "a string of 'stop' may have %d bytes; this one has %zu", COMPLETION_STOP_BYTES, size);
    w->stops[w->n_stops++] = (struct span){(const uint8_t *)json_string_value(value), size};
    return true;
}

/* An empty string stands for none, since clients with one text field for it send that. */
static bool read_stop(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (json_is_string(value) && json_string_length(value) == 0)
        return true;
    if (!json_is_array(value))
        return add_stop(value, w, c);
    if (json_array_size(value) > COMPLETION_STOPS_MAX)
        return api_error_bad(c, "stop", "'stop' may have %d strings; this one has %zu", COMPLETION_STOPS_MAX,
            json_array_size(value));
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!add_stop(json_array_get(value, i), w, c))
            return false;
    return true;
}

static bool read_stop_tokens(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_array(value) || json_array_size(value) > COMPLETION_STOPS_MAX)
        return api_error_bad(c, "stop_token_ids", "'stop_token_ids' must be a list of at most %d token ids",
            COMPLETION_STOPS_MAX);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!api_token_id(json_array_get(value, i), SIZE_MAX, &w->stop_tokens[w->n_stop_tokens++]))
            return api_error_bad(c, "stop_token_ids", "'stop_token_ids[%zu]' is not a token id", i);
    return true;
}

static bool read_stream_options(const json_t *value, struct completion_params *w, struct api_error *c)
{
    const char *name;
    json_t *member;
    if (!json_is_object(value))
        return api_error_bad(c, "stream_options", "'stream_options' must be an object");
    /* jansson does not change an object that is only iterated. */
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        if (strcmp(name, "include_usage") != 0 && strcmp(name, "continuous_usage_stats") != 0 &&
            strcmp(name, "include_obfuscation") != 0)
            w->unknown_stream_option = name;
    }
    return api_truth(value, "include_usage", false, &w->include_usage, c) &&
           api_truth(value, "continuous_usage_stats", false, &w->continuous_usage, c);
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

/* Of a whole number beyond 64 bits the nearest double's bits are the seed. */
static bool read_seed(const json_t *value, struct completion_params *w, struct api_error *c)
{
    double number = json_real_value(value);
    switch (value_whole(value, &w->seed)) {
    case WHOLE_YES:
        break;
    case WHOLE_TOO_LARGE:
        memcpy(&w->seed, &number, sizeof(w->seed));
        break;
    case WHOLE_NO:
        return api_error_bad(c, "seed", "'seed' must be an integer");
    }
    w->seeded = true;
    return true;
}

/* How many of the most probable tokens come with each token. Chat clients send false, which is no log probabilities;
 * true does not say how many. */
static bool read_logprobs(const json_t *value, struct completion_params *w, struct api_error *c)
{
    int64_t n;
    if (json_is_false(value))
        return true;
    if (value_whole(value, &n) == WHOLE_NO || n < 0 || n > JOB_LOGPROBS_MAX)
        return api_error_bad(c, "logprobs", "'logprobs' must be an integer from 0 to %d", JOB_LOGPROBS_MAX);
    w->logprobs = true;
    w->n_top = n;
    return true;
}

/* An empty text stands for none. */
static bool read_suffix(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_string(value))
        return api_error_bad(c, "suffix", "'suffix' must be a string");
    w->suffix = json_string_length(value) > 0 ? value : NULL;
    return true;
}

/* A salt keeps a client's prompts apart from those of others in the prefix cache. */
static bool read_cache_salt(const json_t *value, struct completion_params *w, struct api_error *c)
{
    if (!json_is_string(value))
        return api_error_bad(c, "cache_salt", "'cache_salt' must be a string");
    w->salted = json_string_length(value) > 0;
    return true;
}

/* ---- fields of a common kind ---- */

static bool read_integer(const struct field *f, const json_t *value, int64_t *out, struct api_error *c)
{
    const char *or_all = f->kind == TOKENS ? ", or -1 for as many as fit" : "";
    enum whole_result result = value_whole(value, out);
    if (result == WHOLE_NO)
        return api_error_bad(c, f->name, "'%s' must be an integer", f->name);
    if (f->kind == TOKENS && *out == -1) {
        *out = COMPLETION_UNLIMITED;
        return true;
    }
    if (result == WHOLE_YES && (double)*out >= (double)f->least && (double)*out <= (double)f->most)
        return true;
    double number = json_number_value(value);
    if (f->most >= MANY && number > 0)
        return api_error_bad(c, f->name, "'%s' is %.15g, which is too large", f->name, number);
    if (f->most >= MANY)
        return api_error_bad(
            c, f->name, "'%s' is %.15g; it must be at least %g%s", f->name, number, (double)f->least, or_all);
    return api_error_bad(c, f->name, "'%s' is %.15g; it must be from %g to %g%s", f->name, number,
        (double)f->least, (double)f->most, or_all);
}

static bool read_number(const struct field *f, const json_t *value, double *out, struct api_error *c)
{
    if (!json_is_number(value))
        return api_error_bad(c, f->name, "'%s' must be a number", f->name);
    *out = json_number_value(value);
    if (!(*out >= (double)f->least && *out <= (double)f->most))
        return api_error_bad(c, f->name, "'%s' is %g; it must be from %g to %g", f->name, *out,
            (double)f->least, (double)f->most);
    return true;
}

static bool read_field(
    const struct field *f, const json_t *value, struct completion_params *w, struct api_error *c)
{
    void *at = (char *)w + f->at;
    switch ((enum kind)f->kind) {
    case ELSEWHERE:
        return true;
    case OWN:
        return f->read(value, w, c);
    case TRUTH:
        if (!json_is_boolean(value))
            return api_error_bad(c, f->name, "'%s' must be true or false", f->name);
        *(bool *)at = json_is_true(value);
        return true;
    case INTEGER:
    case TOKENS:
        return read_integer(f, value, at, c);
    case NUMBER:
        return read_number(f, value, at, c);
    }
    return true;
}

/* ---- names that are in no table ---- */

/* The row of a name on a route, or NULL. Route 0 stands for any route. */
static const struct field *find_field(const char *name, unsigned route)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if ((!route || (fields[i].routes & route)) && strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

/* True when the two have the same characters in another order. */
static bool is_swapped(const char *a, const char *b)
{
    int counts[128] = {0};
    for (; *a; a++)
        counts[*a & 127]++;
    for (; *b; b++)
        counts[*b & 127]--;
    for (size_t i = 0; i < 128; i++)
        if (counts[i] != 0)
            return false;
    return true;
}

/* True when the nearest name is what the client means. Other servers have fields of many names, so this is stricter
 * than near.h: a beginning of a name is not enough. */
static bool is_meant(const struct near *n, const char *given)
{
    if (!n->name)
        return false;
    size_t size = strlen(given), known = strlen(n->name), most = known >= LONG_NAME ? 2 : 1;
    if (n->distance > most || size + most < known || known + most < size)
        return false;
    return known > SHORT_NAME || size != known || n->distance == 0 || is_swapped(given, n->name);
}

/* Refuses a name that is near one which berth honours or refuses by name. What misspells an ignored field, or is the
 * name of another route's field, changes nothing. */
static bool check_unknown(const char *name, enum fields_route route, struct api_error *c)
{
    char shown[100];
    if (completion_params_knows(name))
        return true;
    struct near n = near_begin(span_of(name));
    for (size_t i = 0; i < N_FIELDS; i++)
        if ((fields[i].routes & (unsigned)route) && fields[i].treatment == HONOURED)
            near_try(&n, fields[i].name);
    refused_fields_near(&n, route);
    if (!is_meant(&n, name))
        return true;
    text_escape(shown, sizeof(shown), span_of(name));
    return api_error_status(
        c, 400, "unknown_parameter", shown, "'%s' is not a known field; did you mean '%s'?", shown, n.name);
}

bool completion_params_knows(const char *name)
{
    return find_field(name, 0) || refused_field_find(name, 0);
}

const struct field *field_at(size_t i)
{
    return i < N_FIELDS ? &fields[i] : NULL;
}

/* ---- a whole request ---- */

/* What depends on several fields together. */
static bool check_together(struct completion_params *w, enum fields_route route, struct api_error *c)
{
    if (route == FOR_CHAT && w->n_top > 0 && !w->logprobs)
        return api_error_bad(c, "top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
    if (w->suffix && w->echo)
        return api_error_status(
            c, 400, "unsupported_parameter", "echo", "'echo' is not supported together with 'suffix'");
    if (w->max_completion_tokens != COMPLETION_UNSET)
        w->max_tokens = w->max_completion_tokens;
    w->cache_prompt = w->cache_prompt && !w->salted;
    return true;
}

static bool read_member(const char *name, const json_t *value, const json_t *request,
    struct completion_params *w, enum fields_route route, size_t *n_unknown, struct api_error *c)
{
    const struct field *f = find_field(name, route);
    if (f)
        return json_is_null(value) || read_field(f, value, w, c);
    const struct refused_field *refused = refused_field_find(name, route);
    if (refused)
        return refused_field_check(refused, value, request, c);
    if (!check_unknown(name, route, c))
        return false;
    if (++*n_unknown <= UNKNOWN_TOLD)
        log_line(LOG_DEBUG, "an unknown field of a request is ignored", LOG_FIELDS(log_text("field", name)));
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
        .reasoning_budget = -1,
        .include_reasoning = true,
        .max_tokens = COMPLETION_UNSET,
        .max_completion_tokens = COMPLETION_UNSET,
        .temperature = NAN,
        .top_k = COMPLETION_UNSET,
        .top_p = NAN,
        .min_p = NAN,
        .typical_p = NAN,
        .presence_penalty = NAN,
        .frequency_penalty = NAN,
        .repetition_penalty = NAN,
        .cache_prompt = true,
    };
    /* jansson does not change an object that is only iterated. */
    json_object_foreach((json_t *)(uintptr_t)request, name, value)
    {
        if (!read_member(name, value, request, w, route, &n_unknown, c))
            return false;
    }
    return check_together(w, route, c);
}

static double given_or(double value, double otherwise)
{
    return isnan(value) ? otherwise : value;
}

void completion_params_set_sampling(struct completion_params *w, const struct sampler_options *d)
{
    w->temperature = given_or(w->temperature, (double)d->temperature);
    w->top_k = w->top_k == COMPLETION_UNSET ? (int64_t)d->top_k : w->top_k;
    w->top_p = given_or(w->top_p, (double)d->top_p);
    w->min_p = given_or(w->min_p, (double)d->min_p);
    w->typical_p = given_or(w->typical_p, (double)d->typical_p);
    w->presence_penalty = given_or(w->presence_penalty, (double)d->presence_penalty);
    w->frequency_penalty = given_or(w->frequency_penalty, (double)d->frequency_penalty);
    w->repetition_penalty = given_or(w->repetition_penalty, (double)d->repetition_penalty);
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
            c, param, "'logit_bias': %s is not a token id; this model has 0 to %zu", shown, vocabulary - 1);
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
                c, "stop_token_ids", "'stop_token_ids[%zu]' is not a token id of this model", i);
    if (!w->logit_bias || json_object_size(w->logit_bias) == 0)
        return true;
    w->bias = calloc(json_object_size(w->logit_bias), sizeof(*w->bias));
    if (!w->bias)
        return api_error_no_memory(c);
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
