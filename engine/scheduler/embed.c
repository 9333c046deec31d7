/* embed.c - the schedule of a model that makes vectors of texts.
 *
 * A step takes texts of all jobs in turn, one each, and runs them as one forward call, packed and without padding, as far as
 * the rows of the step go. Those are as many as a prompt would get there (prefill.c), at most --chunk. A text that is longer
 * is computed alone: whole, where its tokens see each other in both directions; in parts, one a step, where they see only
 * what is before them. The next step begins with the job whose text did not fit. So a text waits, beside the step that
 * runs, for one step at most of each job that came before, however many texts these have.
 *
 * Keys and values of a text are kept for its steps alone. A part of a text gives them back when an answer of another model
 * needs the memory, and begins again.
 */
#include "scheduler_private.h"

#include <stdlib.h>
#include <string.h>

/* Tokens of texts that one model has accepted and not computed; a model without any takes a job of any size. */
#define TOKENS_WAITING_MAX ((size_t)1 << 20)

/* A request's texts, and how far they are computed. */
struct embedding {
    size_t text; /* the one that is next */
    size_t next; /* where its tokens begin among the job's, */
    size_t at; /* and where those begin of the first text that has no vector yet */
    size_t done; /* positions of it that are computed, in the steps before */
    struct sequence *sequence; /* of these; NULL for none */
    double sum[]; /* [n_embd], of the text that is being computed */
};

/* Rows of one text in this step. */
struct text_run {
    struct request *request;
    struct sequence *sequence;
    size_t text, at, from, n; /* positions from … from + n - 1 */
};

static size_t size_of(const struct request *t, size_t text)
{
    return t->params->text_sizes[text];
}

/* ---- submission ---- */

static enum result check_sizes(const struct text_model *m, const struct job_request *r, struct error *err)
{
    size_t tokens = 0;
    for (size_t i = 0; i < r->n_texts; i++) {
        size_t size = r->text_sizes[i];
        if (size > m->context) {
            error_set(err, "text %zu has %zu tokens; the model's context is %zu", i, size, m->context);
            return RESULT_TOO_LONG;
        }
        if (size == 0) {
            error_set(err, "text %zu has no tokens", i);
            return RESULT_BAD_REQUEST;
        }
        tokens += size;
    }
    if (r->n_texts > 0 && tokens == r->n_prompt)
        return RESULT_OK;
    error_set(err, "there are %zu texts of %zu tokens, and %zu tokens", r->n_texts, tokens, r->n_prompt);
    return RESULT_BAD_REQUEST;
}

static enum result check_texts(const struct text_model *m, const struct job_request *r, struct error *err)
{
    size_t width = decoder_n_embd(m->decoder);
    if (r->dimensions > 0 && r->dimensions <= width)
        return check_sizes(m, r, err);
    error_set(err, "the model's vectors have %zu dimensions", width);
    return RESULT_BAD_REQUEST;
}

static enum result check(
    const struct engine *e, const struct text_model *m, const struct job_request *r, struct error *err)
{
    size_t longest = 0;
    if (r->kind != JOB_EMBED) {
        error_set(err, "the model makes vectors of texts, and no text");
        return RESULT_UNSUPPORTED;
    }
    enum result result = check_texts(m, r, err);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < r->n_texts; i++)
        longest = r->text_sizes[i] > longest ? r->text_sizes[i] : longest;
    if (kv_cache_least_bytes_for(m->cache, longest, longest) <= kv_budget_limit(&e->budget))
        return RESULT_OK;
    error_set(err, "a text of %zu tokens needs more than the memory for keys and values", longest);
    return RESULT_TOO_LONG;
}

/* With the engine's lock. */
static bool takes(struct engine *e, struct request *t, struct error *err)
{
    (void)e;
    struct schedule *s = t->schedule;
    size_t waiting = atomic_load(&s->tokens_waiting), n = t->params->n_prompt;
    if (waiting > 0 && (n > TOKENS_WAITING_MAX || waiting > TOKENS_WAITING_MAX - n))
        return error_set(err, "the queue is full: %zu tokens of texts are waiting", waiting);
    atomic_fetch_add(&s->tokens_waiting, n);
    return true;
}

/* ---- requests ---- */

/* The request ends. One that was never taken out of the queue has no embedding yet. */
static void release(struct request *t)
{
    struct embedding *b = t->embedding;
    atomic_fetch_sub(&t->schedule->tokens_waiting, t->params->n_prompt - (b ? b->at : 0));
    if (b)
        sequence_free(b->sequence);
    free(b);
}

/* Takes all of the queue: requests wait among the others for their turns. */
static void take_queue(struct engine *e, struct schedule *s)
{
    struct request **end = &s->requests;
    while (*end)
        end = &(*end)->next;
    for (struct request *t; (t = schedule_pop(e, s)); end = &t->next) {
        t->number = e->n_admitted++;
        t->next = NULL;
        t->usage.prompt_tokens = t->params->n_prompt;
        t->embedding = calloc(1, sizeof(*t->embedding) + decoder_n_embd(s->model->decoder) * sizeof(double));
        *end = t;
        atomic_fetch_add_explicit(&s->model->served.metrics.running, 1, memory_order_relaxed);
    }
}

/* Ends those for which there was no memory. */
static void drop_unmade(struct schedule *s)
{
    for (struct request *t = s->requests, *next; t; t = next) {
        next = t->next;
        if (!t->embedding)
            request_no_memory(t);
    }
}

/* ---- the rows of a step ---- */

static size_t rows_of_step(const struct engine *e, const struct schedule *s)
{
    struct prefill_load l = rows_load(e);
    l.prefilling++; /* this step, beside the slots */
    size_t rows = prefill_budget(&s->prefill_cost, &l, e->options.chunk);
    return l.decoding > 0 && rows > l.prefilling ? rows / l.prefilling : rows;
}

/* A step: its runs so far, and what it may have. */
struct text_batch {
    struct text_run *runs; /* [n_runs] */
    size_t n_runs, room;
    size_t rows, most;
};

static bool make_room(struct text_batch *b)
{
    if (b->n_runs < b->room)
        return true;
    size_t room = b->room ? 2 * b->room : 32;
    struct text_run *more = realloc(b->runs, room * sizeof(*more));
    if (!more)
        return false;
    b->runs = more;
    b->room = room;
    return true;
}

/* Keys and values for the rows of a run. Idle prefixes go first, then parts of younger requests' texts, so that the oldest
 * request always gets on. */
static bool reserve(struct engine *e, struct schedule *s, struct text_run *r)
{
    if (!r->sequence)
        r->sequence = sequence_new(s->model->cache);
    while (r->sequence && !sequence_reserve(r->sequence, r->from + r->n))
        if (!memory_drop_kept(e, r->request->number + 1))
            return sequence_reserve_least(r->sequence, r->from + r->n);
    return r->sequence != NULL;
}

/* Adds the next text of the request, or a part of it, where it fits and gets memory. */
static void add_text(struct engine *e, struct schedule *s, struct text_batch *b, struct request *t)
{
    struct embedding *m = t->embedding;
    size_t n = size_of(t, m->text) - m->done;
    if (b->rows > 0 && n > b->most - b->rows)
        return;
    if (n > b->most && decoder_is_causal(s->model->decoder))
        n = b->most;
    struct text_run run = {t, m->sequence, m->text, m->next, m->done, n};
    m->sequence = NULL;
    if (!make_room(b) || !reserve(e, s, &run)) {
        m->sequence = run.sequence;
        return;
    }
    b->runs[b->n_runs++] = run;
    b->rows += n;
    if (run.from + n < size_of(t, m->text))
        return; /* deliver goes on with the text */
    m->next += size_of(t, m->text++);
    m->done = 0;
}

/* The first request with at least this number, or else the first of all. */
static struct request *request_from(const struct schedule *s, uint64_t number)
{
    struct request *t = s->requests;
    while (t && t->number < number)
        t = t->next;
    return t ? t : s->requests;
}

/* Takes a text of each request in turn, until a round adds none. The first whose text did not fit is the first of the
 * next step. One that gets no memory does not hold up the others, which may be those that hold it. */
static void choose_texts(struct engine *e, struct schedule *s, struct text_batch *b)
{
    struct request *t = request_from(s, s->turn);
    size_t in_vain = 0, n = 0;
    bool skipped = false;
    for (const struct request *each = s->requests; each; each = each->next)
        n++;
    while (in_vain < n && b->rows < b->most) {
        size_t before = b->n_runs;
        bool has = t->embedding->text < t->params->n_texts;
        if (has)
            add_text(e, s, b, t);
        in_vain = b->n_runs > before ? 0 : in_vain + 1;
        struct request *next = t->next ? t->next : s->requests;
        if (!skipped) {
            skipped = has && in_vain > 0;
            s->turn = skipped ? t->number : next->number;
        }
        t = next;
    }
}

/* ---- the call ---- */

static void fill_rows(struct engine *e, const struct schedule *s, const struct text_batch *b)
{
    struct decoder_row *row = e->rows;
    for (size_t i = 0; i < b->n_runs; i++) {
        const struct text_run *r = &b->runs[i];
        const int32_t *ids = r->request->params->prompt + r->at;
        size_t size = size_of(r->request, r->text);
        for (size_t at = r->from; at < r->from + r->n; at++)
            *row++ = (struct decoder_row){.sequence = r->sequence,
                .position = (uint32_t)at,
                .token = ids[at],
                .output = pooling_wants(s->model->pooling, at, size) ? DECODER_HIDDEN : DECODER_NOTHING};
    }
}

/* Pools the rows of a run. Returns the hidden states behind those that it used. */
static const float *pool_rows(const struct schedule *s, const struct text_run *r, const float *hidden)
{
    const struct job_request *q = r->request->params;
    struct embedding *b = r->request->embedding;
    size_t width = decoder_n_embd(s->model->decoder), size = size_of(r->request, r->text);
    enum pooling p = s->model->pooling;
    for (size_t at = r->from; at < r->from + r->n; at++)
        if (pooling_wants(p, at, size)) {
            pooling_add(p, b->sum, hidden, at, width);
            hidden += width;
        }
    if (r->from + r->n == size)
        pooling_end(p, b->sum, size, q->normalizes, job_vectors(r->request->job) + r->text * q->dimensions,
            q->dimensions);
    return hidden;
}

static void count_first(struct request *t)
{
    if (t->admitted > 0)
        return;
    t->admitted = scheduler_now();
    t->usage.queued_seconds = t->admitted - t->arrived;
    model_histogram_add(&t->schedule->model->served.metrics.queue_time, t->usage.queued_seconds);
}

/* A text has its vector. */
static void end_text(struct schedule *s, struct request *t, const struct text_run *r)
{
    size_t size = size_of(t, r->text);
    t->embedding->at += size;
    t->usage.prompt_done += size;
    atomic_fetch_sub(&s->tokens_waiting, size);
    atomic_fetch_add_explicit(&s->model->served.metrics.prompt_tokens, size, memory_order_relaxed);
    if (r->text + 1 == t->params->n_texts)
        request_end(t, JOB_STOP, RESULT_OK, NULL);
}

/* The vectors of the step, and the ends of requests that have all of theirs. */
static void deliver(struct schedule *s, struct text_batch *b, const float *hidden)
{
    for (size_t i = 0; i < b->n_runs; i++) {
        struct text_run *r = &b->runs[i];
        struct request *t = r->request;
        hidden = pool_rows(s, r, hidden);
        if (r->from + r->n == size_of(t, r->text)) {
            end_text(s, t, r);
            continue;
        }
        t->embedding->done = r->from + r->n;
        t->embedding->sequence = r->sequence;
        r->sequence = NULL;
    }
}

/* The texts of the step begin again in a later one. */
static void take_back(struct text_batch *b)
{
    for (size_t i = b->n_runs; i-- > 0;) {
        struct text_run *r = &b->runs[i];
        struct embedding *m = r->request->embedding;
        m->text = r->text;
        m->next = r->at;
        m->done = 0;
    }
}

static void fail(struct text_batch *b, const struct error *why)
{
    for (size_t i = 0; i < b->n_runs; i++) {
        struct request *t = b->runs[i].request;
        for (size_t k = i; k < b->n_runs; k++) /* it is gone when its other texts come */
            if (b->runs[k].request == t && k > i)
                b->runs[k].request = NULL;
        if (t)
            request_fail(t, RESULT_NO_MEMORY, why);
    }
}

/* The flag that ends a forward call between layers: the job's own, when all rows are of one job. */
static const atomic_bool *stop_flag(const struct engine *e, const struct text_batch *b)
{
    for (size_t i = 1; i < b->n_runs; i++)
        if (b->runs[i].request != b->runs[0].request)
            return &e->stopping;
    return job_cancelled(b->runs[0].request->job);
}

static void run_batch(struct engine *e, struct schedule *s, struct text_batch *b)
{
    struct error why = {0};
    float *hidden = NULL;
    struct decoder *d = s->model->decoder;
    const struct decoder_batch batch = {.rows = e->rows, .n = b->rows, .causal = decoder_is_causal(d)};
    for (size_t i = 0; i < b->n_runs; i++)
        count_first(b->runs[i].request);
    fill_rows(e, s, b);
    double start = scheduler_now();
    if (!decoder_forward(d, e->workspace, e->pool, &batch, stop_flag(e, b), &hidden, &why)) {
        if (why.text[0])
            fail(b, &why);
        else
            take_back(b); /* stopped by its flag: the next sweep ends the request */
        return;
    }
    schedule_count_step(s, 0, b->rows, scheduler_now() - start);
    if (schedule_is_intact(e, s))
        deliver(s, b, hidden);
}

/* No text got memory. The oldest request has taken what younger ones hold. It waits for answers to end that hold memory, and
 * for older requests of other models; where there are none it never fits. */
static void wait_or_fail(const struct engine *e, const struct schedule *s)
{
    struct request *t = s->requests;
    struct sequence *own = t->embedding->sequence;
    struct error why = {.text = "memory for keys and values is short"};
    if (kv_budget_used(&e->budget) == (own ? sequence_bytes(own) : 0))
        request_fail(t, RESULT_NO_MEMORY, &why);
}

static void step(struct engine *e, struct schedule *s)
{
    struct text_batch b = {.most = rows_of_step(e, s)};
    take_queue(e, s);
    drop_unmade(s);
    choose_texts(e, s, &b);
    if (b.n_runs > 0 && rows_make_room(e, b.rows))
        run_batch(e, s, &b);
    else if (b.n_runs > 0)
        fail(&b, &(struct error){.text = "memory is short"});
    else if (s->requests)
        wait_or_fail(e, s);
    for (size_t i = 0; i < b.n_runs; i++)
        sequence_free(b.runs[i].sequence);
    free(b.runs);
}

/* Texts of which a part is computed begin again. */
static bool give_back(struct schedule *s, uint64_t number)
{
    bool given = false;
    for (struct request *t = s->requests; t; t = t->next)
        if (t->number >= number && t->embedding && t->embedding->sequence) {
            sequence_free(t->embedding->sequence);
            t->embedding->sequence = NULL;
            t->embedding->done = 0;
            given = true;
        }
    return given;
}

const struct schedule_kind schedule_embed = {
    .check = check, .takes = takes, .step = step, .give_back = give_back, .release = release};
