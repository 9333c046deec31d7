/* deliver.c - turns logits into tokens, and tokens into pieces of answers.
 *
 * All threads of the pool sample; the scheduler's thread does the rest. A slot may end here, and its request with it.
 */
#include "scheduler_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* True when reasoning has used its budget up, and its end comes next. */
static bool is_forced(const struct slot *l)
{
    const struct job_request *r = l->request->params;
    return l->n_forced < r->n_budget_end && l->n_budget >= r->budget &&
           (l->n_forced > 0 || output_tag(l->output) == r->budget_tag);
}

/* Tokens that the model's file suppresses are never chosen. */
static void suppress(const struct text_model *m, float *logits)
{
    size_t n = 0;
    const int32_t *ids = m->tokenizer ? tokenizer_suppressed(m->tokenizer, &n) : NULL;
    for (size_t i = 0; i < n; i++)
        if ((size_t)ids[i] < decoder_n_vocab(m->decoder))
            logits[ids[i]] = -INFINITY;
}

/* A token that is forced is not sampled, so that penalties and random numbers do not count it. */
static int32_t next_token(struct slot *l, float *logits)
{
    int32_t forced = is_forced(l) ? l->request->params->budget_end[l->n_forced] : SAMPLER_NONE;
    if (forced == SAMPLER_NONE || (l->grammar && !grammar_matcher_allows(l->grammar, forced))) {
        suppress(l->request->schedule->model, logits);
        return sampler_next(l->sampler, logits);
    }
    l->n_forced++;
    return forced;
}

/* Log probabilities are of the logits as the model gave them. The sampler changes logits, so it gets a copy. */
static void sample(struct slot *l, float *copy)
{
    const struct job_request *r = l->request->params;
    size_t n = decoder_n_vocab(l->request->schedule->model->decoder);
    if (!r->logprobs) {
        l->token = next_token(l, l->logits);
        return;
    }
    memcpy(copy, l->logits, n * sizeof(*copy));
    l->token = next_token(l, copy);
    l->logprob = sampler_logprobs(l->logits, n, l->token, l->top, r->n_top);
}

struct sampling_work {
    const struct schedule *schedule;
    float *copies; /* [members][vocabulary] */
};

/* Samples every n-th slot. Over a large vocabulary sampling takes as long as some layers, so all threads do it. */
static void sample_some(void *context, unsigned index, unsigned n)
{
    const struct sampling_work *d = context;
    const struct schedule *s = d->schedule;
    size_t width = decoder_n_vocab(s->model->decoder), turn = 0;
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->n_rows > 0 && s->slots[i]->logits && turn++ % n == index)
            sample(s->slots[i], d->copies ? d->copies + index * width : NULL);
}

bool deliver_sample(struct engine *e, const struct schedule *s)
{
    size_t copies = 0, n = 0;
    for (size_t i = 0; i < s->n_slots; i++) {
        const struct slot *l = s->slots[i];
        if (l->n_rows == 0 || !l->logits)
            continue;
        n++;
        if (l->request->params->logprobs)
            copies = pool_size(e->pool) * decoder_n_vocab(s->model->decoder);
    }
    if (copies > e->copies_room) {
        float *more = realloc(e->copies, copies * sizeof(*more));
        if (!more)
            return false;
        e->copies = more;
        e->copies_room = copies;
    }
    struct sampling_work d = {.schedule = s, .copies = e->copies};
    if (n > 1)
        return pool_run(e->pool, sample_some, &d);
    sample_some(&d, 0, 1);
    return true;
}

static void count_token(struct slot *l, double now)
{
    struct request *t = l->request;
    struct model_metrics *m = &t->schedule->model->served.metrics;
    if (t->first_token <= 0) {
        t->first_token = now;
        model_histogram_add(&m->first_token, now - t->arrived);
    }
    if (l->n_sampled > 0)
        model_histogram_add(&m->between_tokens, now - l->last_token);
    l->last_token = now;
    t->usage.generated_tokens++;
    atomic_fetch_add_explicit(&m->generated_tokens, 1, memory_order_relaxed);
}

static void fail_without_token(struct slot *l)
{
    const struct job_request *r = l->request->params;
    struct error why = {0};
    bool forbidden = r->sampling.n_bias > 0;
    error_set(&why, "no token could be sampled: %s",
        forbidden && l->grammar ? "the biases and the form of the answer together forbid all tokens"
        : forbidden             ? "the biases forbid all tokens"
        : l->grammar            ? "the vocabulary has no token that the form of the answer allows"
                                : "the model's logits are not numbers");
    request_fail(l->request, forbidden || l->grammar ? RESULT_BAD_REQUEST : RESULT_FAILED, &why);
}

/* Adds the sampled token to the answer, and ends the slot when it is the last one. */
static void take_token(struct slot *l)
{
    struct request *t = l->request;
    const struct job_request *r = t->params;
    struct job_piece *piece;
    if (l->token == SAMPLER_NONE) {
        fail_without_token(l);
        return;
    }
    count_token(l, scheduler_now());
    enum output_result result = output_add(
        l->output, l->token, r->logprobs ? l->logprob : NAN, r->logprobs && r->n_top ? l->top : NULL);
    if (result == OUTPUT_NO_MEMORY || !slot_append(l, l->token)) {
        request_no_memory(t);
        return;
    }
    request_update_usage(t);
    l->n_budget += r->n_budget_end > 0 && output_tag(l->output) == r->budget_tag;
    if (result == OUTPUT_STOPPED || (l->grammar && grammar_matcher_is_over(l->grammar)))
        slot_end(l, JOB_STOP);
    else if (l->n_sampled >= r->max_tokens || l->known >= t->schedule->model->context)
        slot_end(l, JOB_LENGTH);
    else if (!output_take(l->output, JOB_RUNNING, &piece))
        request_no_memory(t);
    else
        request_push(t, piece, l->n_sampled);
}

/* Sends the log probabilities of the prompt's own tokens. False when that ended the request. */
static bool take_echo(struct slot *l)
{
    struct request *t = l->request;
    const struct job_request *r = t->params;
    struct sampler_logprob
        top[JOB_LOGPROBS_MAX]; /* not the slot's `top`, which belongs to the sampled token */
    size_t n = decoder_n_vocab(t->schedule->model->decoder);
    for (size_t i = 0; i < l->n_echo; i++) {
        int32_t id = r->prompt[t->n_echoed];
        float logprob = sampler_logprobs(l->echo_logits + i * n, n, id, top, r->n_top);
        if (output_add(t->echo, id, logprob, r->n_top ? top : NULL) != OUTPUT_GOES_ON) {
            request_no_memory(t);
            return false;
        }
        t->n_echoed++;
    }
    return request_send_echo(t, t->n_echoed < r->n_prompt ? JOB_RUNNING : JOB_LENGTH);
}

/* Counts the computed tokens of the prompt, and keeps its sequence for further choices when all are computed. */
static void count_prompt(struct slot *l)
{
    struct request *t = l->request;
    size_t length = sequence_length(l->sequence), n = t->params->n_prompt;
    size_t done = length < n ? length : n;
    if (done <= t->usage.prompt_done || l->choice > 0)
        return;
    atomic_fetch_add_explicit(
        &t->schedule->model->served.metrics.prompt_tokens, done - t->usage.prompt_done, memory_order_relaxed);
    t->usage.prompt_done = done;
    request_update_usage(t);
    if (done < request_computes(t->params) || t->prompt_computed)
        return;
    t->prompt_computed = true;
    if (t->params->n_choices > 1 && request_samples(t->params))
        t->prompt = sequence_fork(l->sequence, n - 1); /* without memory each choice computes the prompt */
}

static void deliver(struct slot *l)
{
    slot_keep_prefix(l);
    count_prompt(l);
    if (slot_has_echo(l) && l->n_echo > 0 && !take_echo(l))
        return;
    if (l->logits)
        take_token(l);
    else if (slot_left(l) == 0)
        slot_end(l, JOB_LENGTH);
}

/* The end of a slot may end other slots of its request, so the next one is searched from the start each time. */
void deliver_answers(struct schedule *s)
{
    for (struct slot *l; (l = slot_in_batch(s));) {
        l->n_rows = 0;
        deliver(l);
    }
}
