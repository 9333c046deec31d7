/* completion_start.c - from a checked request and its prompts to jobs.
 *
 * Either all jobs of a request are submitted, or none runs.
 */
#include "berth/server/api/completion.h"

#include "berth/base/log.h"
#include "berth/engine/scheduler/engine.h"
#include "berth/server/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define COMPLETIONS_MAX_TOKENS 16 /* OpenAI's default of max_tokens */
#define JOB_BYTES 1024 /* of a job beside what its request makes large */
#define CHOICE_BYTES 2048 /* the same of a choice, here and in the engine */

/* ---- the jobs ---- */

static void wake(void *context)
{
    struct completion *a = context;
    suspended_wake(a->suspended);
}

static uint64_t random_number(void)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        number = (uint64_t)time(NULL);
    return number;
}

static struct job_request job_request(
    const struct completion *a, const struct completion_setup *setup, size_t index)
{
    const struct completion_params *w = setup->params;
    const struct tokenizer_ids *ids = &a->prompts[index].prompt.ids;
    bool scores = w->max_tokens == 0;
    return (struct job_request){
        .kind = scores ? JOB_SCORE : JOB_GENERATE,
        .model = a->requested_model.served,
        .prompt = ids->at,
        .n_prompt = ids->n,
        .n_choices = scores ? 1 : (uint32_t)w->n,
        .max_tokens = (uint64_t)w->max_tokens < SIZE_MAX ? (size_t)w->max_tokens : SIZE_MAX,
        .sampling =
            {
                .temperature = (float)w->temperature,
                .top_k = w->top_k <= 0           ? 0
                         : w->top_k < UINT32_MAX ? (uint32_t)w->top_k
                                                 : UINT32_MAX,
                .top_p = (float)w->top_p,
                .min_p = (float)w->min_p,
                .typical_p = (float)w->typical_p,
                .presence_penalty = (float)w->presence_penalty,
                .frequency_penalty = (float)w->frequency_penalty,
                .repetition_penalty = (float)w->repetition_penalty,
                .seed = (uint64_t)w->seed,
                .bias = w->bias,
                .n_bias = w->n_bias,
            },
        .logprobs = w->logprobs,
        .n_top = (uint32_t)w->n_top,
        .echo_logprobs = a->logprobs && a->echo,
        .text = text_model_tokenizer(a->requested_model.text) != NULL,
        .special_text = w->special_text,
        .stops = w->stops,
        .n_stops = w->n_stops,
        .stop_tokens = w->stop_tokens,
        .n_stop_tokens = w->n_stop_tokens,
        .ignore_end = w->ignore_end,
        /* What counts in completion_tokens is in the four lists, by which clients slice. */
        .end_token = a->route == FOR_COMPLETIONS && w->logprobs,
        .grammar = setup->grammar,
        .budget_tag = CHAT_TAG_REASONING,
        .budget = w->reasoning_budget >= 0 ? (size_t)w->reasoning_budget : SIZE_MAX,
        .budget_end = setup->reasoning_end.at,
        .n_budget_end = w->reasoning_budget >= 0 ? setup->reasoning_end.n : 0,
        .cache_prompt = w->cache_prompt,
        .arrived = a->arrived,
        .memory = &a->server->request_memory,
    };
}

static bool submit(
    struct completion *a, const struct completion_setup *setup, size_t index, struct api_error *c)
{
    struct error err = {0};
    struct job_request request = job_request(a, setup, index);
    struct job *j = job_new(&request, wake, a);
    a->prompts[index].job = j;
    if (!j)
        return api_error_no_memory(c);
    enum result result = served_model_submit(j, &err);
    if (result == RESULT_OK)
        return true;
    struct result_reply reply = result_reply(result);
    c->retry_after = reply.retry_after;
    return api_error_status(c, reply.status, reply.code, NULL, "%s", err.text);
}

/* More prompts than slots and queue have places could never be accepted. */
static bool check_number(const struct completion *a, struct api_error *c)
{
    const struct engine_options *o = engine_options_of(a->server->engine);
    return a->n_prompts <= o->slots + o->queue ||
           api_error_bad(c, "prompt",
               "a request may have at most %zu prompts: as many as --slots and --queue together",
               o->slots + o->queue);
}

/* As OpenAI documents it: of a completion, prompt and max_tokens must fit the context together; of a chat, max_tokens
 * is only an upper bound. */
static bool check_length(const struct completion *a, const struct completion_params *w, struct api_error *c)
{
    size_t context = text_model_context(a->requested_model.text);
    bool chat = a->route == FOR_CHAT;
    for (size_t i = 0; i < a->n_prompts; i++) {
        size_t n = a->prompts[i].prompt.ids.n;
        if (n == 0)
            return api_error_bad(c, chat ? "messages" : "prompt", "the prompt has no tokens");
        if (n > context)
            return api_error_status(c, 400, "context_length_exceeded", chat ? "messages" : "prompt",
                "This model's maximum context length is %zu tokens. However, your %s %zu tokens. Please reduce "
                "the length of the %s.",
                context, chat ? "messages resulted in" : "prompt has", n, chat ? "messages" : "prompt");
        if (!chat && !w->limit_only && w->max_tokens != COMPLETION_UNLIMITED &&
            (uint64_t)w->max_tokens > context - n)
            return api_error_status(c, 400, "context_length_exceeded", "max_tokens",
                "This model's maximum context length is %zu tokens. However, your prompt has %zu and you asked "
                "for %lld more. Please reduce the prompt or 'max_tokens'.",
                context, n, (long long)w->max_tokens);
    }
    return true;
}

static void make_id(struct completion *a)
{
    uint64_t high = random_number(), low = random_number();
    snprintf(a->id, sizeof(a->id), "%016llx%08llx", (unsigned long long)high,
        (unsigned long long)(low & 0xffffffff));
}

static void init_choice(struct completion *a, size_t index, const struct chat_form *form)
{
    struct choice *c = &a->choices[index];
    const struct prompt *p = &a->prompts[index / a->n_choices].prompt;
    c->unprefixed = a->echo && p->text_size > 0 && p->text[0] != ' ';
    delta_init(&c->delta, &a->server->request_memory);
    chat_reader_init(&c->reader, form, &a->server->request_memory);
    c->stopped_by = -1;
}

static struct completion *completion_new(
    struct server *s, const struct http_request *q, const struct completion_setup *setup)
{
    const struct completion_params *w = setup->params;
    size_t n = setup->n_prompts;
    struct completion *a = calloc(1, sizeof(*a));
    struct completion_prompt *all = calloc(n, sizeof(*all));
    struct choice *choices = calloc(n * (size_t)w->n, sizeof(*choices));
    if (!a || !all || !choices) {
        free(a);
        free(all);
        free(choices);
        return NULL;
    }
    *a = (struct completion){
        .async = {&completion_kind, setup->writer->ping},
        .server = s,
        .writer = setup->writer,
        .dialect = q->dialect,
        .requested_model = *setup->model,
        .suspended = q->suspended,
        .request_id = q->id,
        .route = setup->route,
        .stream = w->stream,
        .include_usage = w->stream && w->include_usage,
        .continuous_usage = w->stream && w->continuous_usage,
        .logprobs = w->logprobs,
        .hides_reasoning = !w->include_reasoning,
        .echo = w->echo,
        .token_ids = w->token_ids,
        .n_top = (uint32_t)w->n_top,
        .max_tokens = w->max_tokens,
        .temperature = w->temperature,
        .top_p = w->top_p,
        .request = json_incref(setup->request),
        .created = (int64_t)time(NULL),
        .arrived = q->arrived,
        .prompts = all,
        .n_prompts = n,
        .n_running = n,
        .choices = choices,
        .n_choices = (size_t)w->n,
    };
    make_id(a);
    for (size_t i = 0; i < n; i++) {
        all[i].prompt = setup->prompts[i];
        setup->prompts[i] = (struct prompt){0};
    }
    for (size_t i = 0; i < n * a->n_choices; i++)
        init_choice(a, i, setup->form);
    if (setup->notes)
        a->notes = *setup->notes;
    delta_init(&a->scratch, &s->request_memory);
    strbuf_init(&a->first_events, ANSWER_MAX);
    a->first_events.budget = &s->request_memory;
    *setup->model = (struct requested_model){0};
    return a;
}

/* Bytes that stay while the jobs run: prompts with the jobs' copies of them, stop strings with their automata, biases,
 * choices. */
static size_t bytes_held(const struct completion_params *w, const struct prompt *prompts, size_t n)
{
    size_t job = w->n_bias * sizeof(w->bias[0]) + JOB_BYTES, bytes = sizeof(struct completion);
    for (size_t i = 0; i < w->n_stops; i++)
        job += w->stops[i].size * (1 + sizeof(size_t));
    for (size_t i = 0; i < n; i++)
        bytes += (prompts[i].ids.room + prompts[i].ids.n) * sizeof(int32_t) + prompts[i].text_size;
    return bytes + n * (job + (size_t)w->n * (sizeof(struct choice) + CHOICE_BYTES));
}

/* Sets the limit of a request that has none. */
static void set_max_tokens(struct completion_params *w, enum fields_route route,
    const struct options *options, const struct text_defaults *d)
{
    if (w->max_tokens != COMPLETION_UNSET)
        return;
    w->max_tokens = d->max_tokens                 ? (int64_t)d->max_tokens
                    : options->max_tokens_default ? (int64_t)options->max_tokens_default
                                                  : COMPLETION_UNLIMITED;
    if (route == FOR_COMPLETIONS && !d->max_tokens && w->max_tokens > COMPLETIONS_MAX_TOKENS)
        w->max_tokens = COMPLETIONS_MAX_TOKENS;
}

_Static_assert(TEXT_STOPS_MAX <= COMPLETION_STOPS_MAX && TEXT_STOP_BYTES <= COMPLETION_STOP_BYTES,
    "a model's stops are those of a request");

/* Gives the fields that the request does not have what the model says of them. */
static void set_defaults(struct completion_params *w, enum fields_route route, const struct options *options,
    const struct text_model *m)
{
    const struct text_defaults *d = text_model_defaults(m);
    set_max_tokens(w, route, options, d);
    completion_params_set_sampling(w, text_model_sampling(m));
    if (w->n_stops == 0) {
        memcpy(w->stops, d->stops, d->n_stops * sizeof(w->stops[0]));
        w->n_stops = d->n_stops;
    }
    if (!w->seeded)
        w->seed = d->seeded ? (int64_t)d->seed : (int64_t)random_number();
}

/* Logs an unknown member of stream_options, once in the life of the process. */
static void log_stream_option(struct server *s, const struct completion_params *w)
{
    if (w->unknown_stream_option && !atomic_exchange(&s->told_stream_option, true))
        log_line(LOG_INFO, "an unknown member of 'stream_options' is ignored; others are not logged",
            LOG_FIELDS(log_text("member", w->unknown_stream_option)));
}

bool completion_start(struct server *s, const struct http_request *q, struct reply *r,
    const struct completion_setup *setup, struct api_error *c)
{
    struct completion_params *w = setup->params;
    set_defaults(w, setup->route, s->options, setup->model->text);
    log_stream_option(s, w);
    size_t bytes = bytes_held(w, setup->prompts, setup->n_prompts);
    if (setup->request)
        bytes += request_memory_of_body(q->body) + setup->request_more;
    if (!byte_budget_take(&s->request_memory, bytes))
        return request_memory_refuse(c);
    struct completion *a = completion_new(s, q, setup);
    if (!a) {
        byte_budget_give(&s->request_memory, bytes);
        return api_error_no_memory(c);
    }
    a->held = bytes;
    bool good = check_number(a, c) && check_length(a, w, c);
    for (size_t i = 0; good && i < setup->n_prompts; i++)
        good = submit(a, setup, i, c);
    if (good)
        r->async = &a->async;
    else
        completion_release(a);
    return good;
}
