/* request.c - from the fields of llama.cpp's /completion to OpenAI's.
 *
 * Most have the same names, and keep them. `samplers` says which filters of candidates are used; their order is always
 * berth's own.
 */
#include "llamacpp_private.h"

#include "berth/server/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define RANDOM_SEED 4294967295 /* what llama.cpp calls a seed of chance, beside -1 */
#define NEVER (-100) /* the bias of a token that never comes */

/* ---- fields ---- */

enum { COMPLETION = 1, INFILL = 2 };

#define ON(routes) ((unsigned)FIELD_ON * (routes))

#define PROMPT                                                                                                          \
    "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":[\"string\",\"integer\"," \
    "\"array\"]}}]}"

/* The others are those of OpenAI's completions. OpenAI's own that mean nothing here are ignored. */
/* clang-format off */
static const struct dialect_field rows[] = {
    {"prompt", FIELD_READ | ON(COMPLETION) | FIELD_REQUIRED, NULL, PROMPT},
    {"prompt", FIELD_READ | ON(INFILL), NULL, SCHEMA_STRING},
    {"input_prefix", FIELD_READ | ON(INFILL), NULL, SCHEMA_STRING},
    {"input_suffix", FIELD_READ | ON(INFILL), NULL, SCHEMA_STRING},
    {"input_extra", FIELD_READ | ON(INFILL), NULL, "{\"type\":[\"array\",\"null\"],\"maxItems\":256,\"items\":{\"type\":\"object\","
        "\"required\":[\"text\"]}}"},
    {"n_predict", FIELD_READ, NULL, SCHEMA_NUMBER},
    {"max_tokens", FIELD_READ, NULL, SCHEMA_NUMBER},
    {"temperature", FIELD_READ, NULL, "{\"type\":[\"number\",\"null\"],\"maximum\":2}"},
    {"n_probs", FIELD_READ, NULL, "{\"type\":[\"integer\",\"null\"],\"maximum\":20}"},
    {"return_tokens", FIELD_READ, NULL, SCHEMA_TRUTH},
    {"logit_bias", FIELD_READ, NULL, "{\"type\":[\"object\",\"array\",\"null\"],\"items\":{\"type\":\"array\",\"minItems\":2,\"maxItems\":2}}"},
    {"samplers", FIELD_READ, NULL, "{\"anyOf\":[{\"type\":\"array\",\"items\":{\"type\":\"string\"}},{\"enum\":[null,false,\"\",{}]}]}"},
    {"response_fields", FIELD_READ, NULL, SCHEMA_LIST},

    {"n", FIELD_IGNORED, NULL, NULL},
    {"echo", FIELD_IGNORED, NULL, NULL},
    {"logprobs", FIELD_IGNORED, NULL, NULL},
    {"stream_options", FIELD_IGNORED, NULL, NULL},
    {"max_completion_tokens", FIELD_IGNORED, NULL, NULL},
    {"return_token_ids", FIELD_IGNORED, NULL, NULL},
    {"add_special", FIELD_IGNORED | ON(INFILL), NULL, NULL},
    {"n_indent", FIELD_IGNORED | ON(INFILL), NULL, NULL},
    {"t_max_predict_ms", FIELD_IGNORED | ON(INFILL), NULL, NULL},

    {"suffix", FIELD_REFUSED | ON(INFILL), "; use 'input_suffix'", NULL},
};
/* clang-format on */

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static bool describe(unsigned route, size_t i, struct route_field *out)
{
    const struct dialect_fields d = {rows, N_ROWS, route, completion_params_text_field};
    return dialect_describe(&d, i, out);
}

bool llamacpp_completion_field(size_t i, struct route_field *out)
{
    return describe(COMPLETION, i, out);
}

bool llamacpp_infill_field(size_t i, struct route_field *out)
{
    return describe(INFILL, i, out);
}

bool llamacpp_check_fields(const json_t *request, bool infill, struct api_error *c)
{
    const struct dialect_fields d = {rows, N_ROWS, infill ? INFILL : COMPLETION, NULL};
    return dialect_check(&d, request, c);
}

bool llamacpp_take_infill(json_t *request, json_t *into, struct api_error *c)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        json_t *value = rows[i].use / FIELD_ON == INFILL ? json_object_get(request, rows[i].name) : NULL;
        if (value && json_object_set(into, rows[i].name, value) != 0)
            return api_error_no_memory(c);
        if (value)
            json_object_del(request, rows[i].name);
    }
    return true;
}

static bool put_new(json_t *request, const char *name, json_t *value, struct api_error *c)
{
    return json_object_set_new(request, name, value) == 0 || api_error_no_memory(c);
}

/* ---- single fields ---- */

/* No limit is as many as fit, not OpenAI's. 0 is a prompt that is read, so that a later request finds it in the prefix
 * cache; OpenAI's 0 would score it instead. One token is made then, and not told. */
static bool settle_limit(const struct options *o, json_t *request, json_t *kept, struct api_error *c)
{
    const json_t *n = json_object_get(request, "n_predict");
    const char *name = api_is_absent(n) ? "max_tokens" : "n_predict";
    json_int_t most = o->max_tokens_default ? (json_int_t)o->max_tokens_default : -1;
    n = json_object_get(request, name);
    if (!api_is_absent(n) && !json_is_number(n))
        return api_error_bad(c, name, "'%s' must be an integer", name);
    double number = api_is_absent(n) ? -1 : json_number_value(n);
    if (!api_is_absent(n) && number >= 0)
        most = number < 1e15 ? (json_int_t)number : -1;
    else if (!api_is_absent(n))
        most = -1;
    json_object_del(request, "n_predict");
    return (most != 0 || put_new(kept, "reads_only", json_true(), c)) &&
           put_new(request, "max_tokens", json_integer(most == 0 ? 1 : most), c);
}

/* A seed of chance has 32 bits, which every client can send again. */
static bool settle_seed(json_t *request, struct api_error *c)
{
    const json_t *seed = json_object_get(request, "seed");
    double number = json_number_value(seed);
    uint32_t made;
    if (!api_is_absent(seed) && !(json_is_number(seed) && (number == -1 || number == (double)RANDOM_SEED)))
        return true;
    if (getrandom(&made, sizeof(made), 0) != sizeof(made))
        made = (uint32_t)time(NULL);
    return put_new(request, "seed", json_integer((json_int_t)made), c);
}

/* Below 0 llama.cpp takes the most probable token, as at 0. */
static bool settle_temperature(json_t *request, struct api_error *c)
{
    const json_t *value = json_object_get(request, "temperature");
    if (!json_is_number(value) || json_number_value(value) >= 0)
        return true;
    return put_new(request, "temperature", json_integer(0), c);
}

static bool settle_probabilities(json_t *request, struct api_error *c)
{
    json_t *n = json_object_get(request, "n_probs");
    if (api_is_absent(n) || (json_is_number(n) && json_number_value(n) <= 0)) {
        json_object_del(request, "n_probs");
        return true;
    }
    if (json_number_value(n) > JOB_LOGPROBS_MAX)
        return api_error_bad(c, "n_probs", "'n_probs' must be an integer from 0 to %d", JOB_LOGPROBS_MAX);
    bool good = json_object_set(request, "logprobs", n) == 0 || api_error_no_memory(c);
    json_object_del(request, "n_probs");
    return good;
}

static bool settle_tokens(json_t *request, struct api_error *c)
{
    bool tokens, stream;
    if (!api_truth(request, "return_tokens", false, &tokens, c) ||
        !api_truth(request, "stream", false, &stream, c))
        return false;
    json_object_del(request, "return_tokens");
    return put_new(request, "return_token_ids", json_boolean(tokens || stream), c);
}

/* ---- biases ---- */

static bool add_bias(json_t *map, const json_t *token, json_t *bias, struct api_error *c)
{
    char name[32];
    if (!json_is_integer(token))
        return api_error_bad(c, "logit_bias", "'logit_bias': a token must be named by its id");
    snprintf(name, sizeof(name), "%" JSON_INTEGER_FORMAT, json_integer_value(token));
    int bad = json_is_false(bias) ? json_object_set_new(map, name, json_integer(NEVER))
                                  : json_object_set(map, name, bias);
    return bad == 0 || api_error_no_memory(c);
}

/* A list of pairs [ID, BIAS] as a map. */
static bool map_of_pairs(json_t *map, const json_t *pairs, struct api_error *c)
{
    if (json_array_size(pairs) > COMPLETION_BIAS_MAX)
        return api_error_bad(c, "logit_bias", "'logit_bias' may have %d tokens", COMPLETION_BIAS_MAX);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        if (!json_is_array(pair) || json_array_size(pair) != 2)
            return api_error_bad(c, "logit_bias", "'logit_bias' must be a map or a list of pairs");
        if (!add_bias(map, json_array_get(pair, 0), json_array_get(pair, 1), c))
            return false;
    }
    return true;
}

/* false stands for never. */
static bool settle_bias(json_t *request, struct api_error *c)
{
    json_t *bias = json_object_get(request, "logit_bias"), *value;
    const char *name;
    void *next;
    if (json_is_array(bias)) {
        json_t *map = json_object();
        bool good = map ? map_of_pairs(map, bias, c) : api_error_no_memory(c);
        good = good && (json_object_set(request, "logit_bias", map) == 0 || api_error_no_memory(c));
        json_decref(map);
        return good;
    }
    json_object_foreach_safe(bias, next, name, value)
    {
        if (json_is_false(value) && !put_new(bias, name, json_integer(NEVER), c))
            return false;
    }
    return true;
}

/* ---- samplers ---- */

/* A sampler by llama.cpp's names, and the field that turns it off, with its value then. */
struct llamacpp_sampler {
    const char *name, *other_name, *field;
    double off;
};

static const struct llamacpp_sampler samplers[] = {
    {"top_k", "top-k", "top_k", 0},
    {"top_p", "top-p", "top_p", 1},
    {"min_p", "min-p", "min_p", 0},
    {"typ_p", "typical_p", "typical_p", 1},
    {"temperature", "temp", "temperature", 1},
    {"penalties", NULL, "repeat_penalty", 1},
    {"penalties", NULL, "presence_penalty", 0},
    {"penalties", NULL, "frequency_penalty", 0},
    /* Off unless a field of theirs is on, which is refused. */
    {"dry", NULL, NULL, 0},
    {"xtc", NULL, NULL, 0},
    {"top_n_sigma", "top-n-sigma", NULL, 0},
    /* It prefers ends to other tokens that are as probable together. */
    {"infill", NULL, NULL, 0},
};

#define N_SAMPLERS (sizeof(samplers) / sizeof(samplers[0]))

static bool is_named(const struct llamacpp_sampler *s, const json_t *name)
{
    const char *text = json_string_value(name);
    return text && (strcmp(text, s->name) == 0 || (s->other_name && strcmp(text, s->other_name) == 0));
}

static bool is_listed(const struct llamacpp_sampler *s, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is_named(s, json_array_get(list, i)))
            return true;
    return false;
}

static bool check_samplers(const json_t *list, struct api_error *c)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t k = 0;
        while (k < N_SAMPLERS && !is_named(&samplers[k], json_array_get(list, i)))
            k++;
        if (k == N_SAMPLERS)
            return api_error_bad(c, "samplers",
                "'samplers[%zu]' must be top_k, top_p, min_p, typ_p, temperature, penalties, dry, xtc, "
                "top_n_sigma or infill",
                i);
    }
    return true;
}

/* A sampler that is not in the list is off. */
static bool settle_samplers(json_t *request, struct api_error *c)
{
    json_t *list = json_object_get(request, "samplers");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return true; /* a text or another value is refused with the other fields */
    if (!check_samplers(list, c))
        return false;
    for (size_t i = 0; i < N_SAMPLERS; i++)
        if (samplers[i].field && !is_listed(&samplers[i], list) &&
            !put_new(request, samplers[i].field, json_real(samplers[i].off), c))
            return false;
    json_object_del(request, "samplers");
    return true;
}

bool llamacpp_settle_fields(const struct options *o, json_t *request, json_t *kept, struct api_error *c)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].use == FIELD_IGNORED)
            json_object_del(request, rows[i].name);
    return settle_limit(o, request, kept, c) && settle_seed(request, c) && settle_temperature(request, c) &&
           settle_probabilities(request, c) && settle_tokens(request, c) && settle_bias(request, c) &&
           settle_samplers(request, c);
}

/* ---- prompts of texts and ids ---- */

bool llamacpp_is_mixed(const json_t *prompt)
{
    bool text = false, id = false;
    for (size_t i = 0; i < json_array_size(prompt); i++) {
        text = text || json_is_string(json_array_get(prompt, i));
        id = id || json_is_number(json_array_get(prompt, i));
    }
    return text && id;
}

/* What the file wants around a text is added where the prompt begins with one. */
static bool add_part(
    struct prompt *p, const struct text_model *t, const json_t *part, size_t index, struct api_error *c)
{
    int32_t id;
    size_t vocabulary = text_model_n_vocab(t);
    struct tokenizer_text in = {.text = {(const uint8_t *)json_string_value(part), json_string_length(part)},
        .add_special = index == 0,
        .parse_special = true};
    if (json_is_string(part))
        return prompt_add_text(p, t, &in, "prompt", c);
    if (api_token_id(part, vocabulary, &id))
        return prompt_add_id(p, id, c);
    return api_error_bad(c, "prompt", "'prompt[%zu]' must be a text or a token id; this model has 0 to %zu",
        index, vocabulary - 1);
}

bool llamacpp_mixed_prompt(struct prompt *p, const struct requested_model *m,
    const struct translated_request *call, struct api_error *c)
{
    const json_t *list = json_object_get(call->asked, "prompt");
    size_t context = text_model_context(m->text);
    if (!text_model_tokenizer(m->text))
        return api_error_status(c, 400, "model_not_supported", "prompt",
            "This model takes prompts of token ids only: %.500s",
            text_model_lacks(m->text, TEXT_TOKENIZER)->text);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!add_part(p, m->text, json_array_get(list, i), i, c))
            return false;
        if (p->ids.n > context)
            return api_error_status(c, 400, "context_length_exceeded", "prompt",
                "This model's maximum context length is %zu tokens. However, your prompt has more.", context);
    }
    return true;
}
