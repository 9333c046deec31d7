/* scheduler.c - one step: whose turn it is, which rows are read, what comes of them.
 *
 * Models take turns. In a step every lane that answers reads one token, and lanes that still read their prompt share
 * what `chunk` allows; less where rows are slow, so that a stream beside a long prompt stalls for a fraction of a
 * second, and so that a step, after which a client's leaving is noticed, is never long. None of this can be seen in
 * an answer: the bits of a row do not depend on the batch that it was in.
 */
#include "scheduler_private.h"

#include "berth/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_SECONDS 1.0 /* that prompts may take in a step, */
#define STALL_SECONDS 0.25 /* and beside lanes that answer */
#define ROWS_LEAST 32 /* rows for prompts in a step, however slow they are */
#define ECHO_BYTES ((size_t)16 << 20) /* of logits for the prompt's own tokens, in a step */
#define PROGRESS_SECONDS 1.0 /* between two lines in the log */

double scheduler_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- what has to end ---- */

struct verdict {
    enum job_finish finish;
    unsigned status;
    struct error why;
};

/* True when the task must go, and why. */
static bool is_over(const struct engine *e, const struct task *t, double now, struct verdict *v)
{
    *v = (struct verdict){.finish = JOB_FAILED, .status = 503};
    if (atomic_load_explicit(job_cancelled(t->job), memory_order_relaxed)) {
        *v = (struct verdict){.finish = JOB_CANCELLED};
    } else if (atomic_load(&e->stopping)) {
        error_set(&v->why, "the server is stopping");
    } else if (t->schedule->leaving) {
        error_set(&v->why, "the model is being unloaded");
    } else if (t->deadline > 0 && now > t->deadline) {
        v->status = 504;
        error_set(&v->why, "the request took longer than %.3g seconds", t->deadline - t->submitted);
    } else if (t->admitted <= 0 && e->options.queue_timeout > 0 &&
               now - t->submitted > e->options.queue_timeout) {
        error_set(
            &v->why, "the request waited longer than %.3g seconds for its turn", e->options.queue_timeout);
    } else {
        return false;
    }
    return true;
}

/* Takes the first task that must go out of the queue. NULL when there is none. */
static struct task *take_from_queue(struct engine *e, struct schedule *s, double now, struct verdict *v)
{
    struct task *found = NULL;
    pthread_mutex_lock(&e->lock);
    for (struct task **at = &s->queue; *at; at = &(*at)->next) {
        if (!is_over(e, *at, now, v))
            continue;
        found = *at;
        *at = found->next;
        if (s->queue_end == &found->next)
            s->queue_end = at;
        s->n_queued--;
        break;
    }
    pthread_mutex_unlock(&e->lock);
    if (found)
        atomic_fetch_sub_explicit(&s->model->metrics.queued, 1, memory_order_relaxed);
    return found;
}

void scheduler_sweep(struct engine *e)
{
    struct verdict v;
    double now = scheduler_now();
    for (struct schedule *s = e->schedules; s; s = s->next) {
        for (struct task *t; (t = take_from_queue(e, s, now, &v));)
            task_refuse(t, v.finish, v.status, &v.why);
        for (struct task *t = s->tasks, *next; t; t = next) {
            next = t->next;
            if (is_over(e, t, now, &v))
                task_end(t, v.finish, v.status, &v.why);
        }
    }
}

/* False when the model's file has changed; then all of its jobs have failed. */
static bool is_intact(struct engine *e, struct schedule *s)
{
    struct error why = {0};
    struct text_model *m = s->model;
    if (!atomic_load_explicit(&m->lost, memory_order_acquire) && !loaded_intact(m->loaded, &why))
        text_model_lose(m, &why);
    if (!atomic_load_explicit(&m->lost, memory_order_acquire))
        return true;
    schedule_fail_all(e, s, 503, &m->lost_reason);
    return false;
}

/* ---- who may begin ---- */

static bool has_work(struct engine *e, struct schedule *s)
{
    pthread_mutex_lock(&e->lock);
    bool queued = s->queue != NULL;
    pthread_mutex_unlock(&e->lock);
    return queued || s->tasks;
}

/* The next model that has work, after the one that was served last. */
static struct schedule *next_turn(struct engine *e)
{
    struct schedule *first = e->served && e->served->next ? e->served->next : e->schedules, *s = first;
    do {
        if (!s || has_work(e, s))
            break;
        s = s->next ? s->next : e->schedules;
    } while (s != first);
    e->served = s;
    return s && has_work(e, s) ? s : NULL;
}

/* Where nobody is at work, one may always begin: more memory will not come. */
static bool may_begin(const struct engine *e, const struct schedule *s, size_t positions)
{
    return memory_lanes(e) == 0 || memory_allows(e, s->model, positions);
}

static struct task *task_with_choices(const struct schedule *s)
{
    struct task *t = s->tasks;
    while (t && (!t->prompt_read || t->n_started == t->request->n_choices))
        t = t->next;
    return t;
}

static bool begin_again(const struct engine *e, struct schedule *s, struct lane *l)
{
    if (!may_begin(e, s, l->known + 1))
        return false;
    l->sequence = sequence_new(s->model->cache);
    if (!l->sequence) {
        task_no_memory(l->task);
        return true;
    }
    schedule_remove(s, l);
    schedule_insert(s, l);
    return true;
}

/* While a lane of some model waits for memory, nobody new takes any. */
static bool anyone_is_aside(const struct engine *e)
{
    for (const struct schedule *s = e->schedules; s; s = s->next)
        if (s->aside)
            return true;
    return false;
}

/* Lets the oldest lane that was set aside, the next choice of a task or the next task of the queue begin. False when
 * there is none, or no room for the first of them: those behind it wait, too, so that nobody waits for ever. */
static bool begin_one(struct engine *e, struct schedule *s)
{
    if (s->aside)
        return begin_again(e, s, s->aside);
    if (anyone_is_aside(e))
        return false;
    struct task *t = task_with_choices(s);
    if (t) {
        size_t positions = t->prompt ? 2 * ATTENTION_BLOCK : t->request->n_prompt + 1;
        return may_begin(e, s, positions) && (lane_start(t), true);
    }
    pthread_mutex_lock(&e->lock);
    t = s->queue; /* stays there: only this thread takes tasks out */
    pthread_mutex_unlock(&e->lock);
    if (!t || !may_begin(e, s, task_reads(t->request) + 1))
        return false;
    t = schedule_pop(e, s);
    if (task_admit(e, t))
        lane_start(t);
    return true;
}

/* ---- which rows ---- */

static size_t left_to_read(const struct lane *l)
{
    return l->known - sequence_length(l->sequence);
}

/* Rows that prompts may have in this step. */
static size_t rows_for_prompts(const struct engine *e, const struct schedule *s, bool beside_answers)
{
    size_t rows = e->options.chunk;
    double seconds = beside_answers ? STALL_SECONDS : STEP_SECONDS;
    if (s->row_seconds * (double)rows > seconds)
        rows = (size_t)(seconds / s->row_seconds);
    size_t least = e->options.chunk < ROWS_LEAST ? e->options.chunk : ROWS_LEAST;
    return rows > least ? rows : least;
}

static bool has_echo(const struct lane *l)
{
    return l->task->echo && l->choice == 0;
}

/* Gives up to `rows` more rows to a lane that reads. Returns how many it took. */
static size_t give(struct lane *l, size_t rows)
{
    size_t take = left_to_read(l) - l->n_rows;
    if (take > rows)
        take = rows;
    if (has_echo(l)) {
        size_t most = ECHO_BYTES / sizeof(float) / decoder_vocabulary(l->task->request->model->decoder);
        most = most > 1 ? most : 1;
        if (l->n_rows + take > most)
            take = most > l->n_rows ? most - l->n_rows : 0;
    }
    l->n_rows += take;
    return take;
}

/* Of the lanes that read and have no rows yet the one with the least to read; the older one of equals. */
static struct lane *shortest_reader(const struct schedule *s)
{
    struct lane *found = NULL;
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i]->n_rows == 0 && (!found || left_to_read(s->lanes[i]) < left_to_read(found)))
            found = s->lanes[i];
    return found;
}

/* One row for each lane that answers. Of the rows for prompts the oldest reader has half, so that it gets done; the
 * rest goes to the shortest prompts first, so that they need not wait for it. */
static void share_rows(const struct engine *e, struct schedule *s)
{
    struct lane *oldest = NULL;
    size_t readers = 0;
    for (size_t i = s->n_lanes; i-- > 0;) {
        struct lane *l = s->lanes[i];
        bool reads = left_to_read(l) > 1;
        l->n_rows = !reads;
        readers += reads;
        oldest = reads ? l : oldest;
    }
    if (!oldest)
        return;
    size_t left = rows_for_prompts(e, s, readers < s->n_lanes);
    left -= give(oldest, readers > 1 ? (left + 1) / 2 : left);
    for (struct lane *l; left > 0 && (l = shortest_reader(s));)
        left -= give(l, left);
    give(oldest, left);
}

/* A lane that has all the memory there is, and needs more. */
static void end_for_lack_of_memory(struct lane *l)
{
    struct error why = {0};
    if (l->n_drawn > 0) {
        lane_end(l, JOB_LENGTH);
        return;
    }
    error_set(&why, "there is not enough memory for the prompt's keys and values");
    task_fail(l->task, 503, &why);
}

/* Takes pages for all rows, oldest lanes first: whoever is set aside for that stands behind. */
static void reserve_rows(struct engine *e, struct schedule *s)
{
    for (size_t i = 0; i < s->n_lanes; i++) {
        bool alone;
        struct lane *l = s->lanes[i];
        if (l->n_rows > 0 && !memory_reserve(e, l, sequence_length(l->sequence) + l->n_rows, &alone) && alone)
            end_for_lack_of_memory(l);
    }
}

static enum decoder_output output_at(const struct lane *l, size_t position)
{
    const struct job_request *r = l->task->request;
    bool draws = task_draws(r) && position + 1 == l->known;
    bool scores = has_echo(l) && position + 1 < r->n_prompt && position + 1 >= l->task->n_echoed;
    return draws || scores ? DECODER_LOGITS : DECODER_NOTHING;
}

static bool make_room_for_rows(struct engine *e, size_t n)
{
    if (n <= e->rows_room)
        return true;
    struct decoder_row *rows = realloc(e->rows, n * sizeof(*rows));
    if (!rows)
        return false;
    e->rows = rows;
    e->rows_room = n;
    return true;
}

static size_t count_rows(const struct schedule *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_lanes; i++)
        n += s->lanes[i]->n_rows;
    return n;
}

static void fill_rows(struct engine *e, const struct schedule *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const struct lane *l = s->lanes[i];
        size_t from = sequence_length(l->sequence);
        for (size_t at = from; at < from + l->n_rows; at++)
            e->rows[n++] = (struct decoder_row){.sequence = l->sequence,
                .position = (uint32_t)at,
                .token = lane_token(l, at),
                .output = output_at(l, at)};
    }
}

/* ---- what comes of them ---- */

/* Points each lane to its part of the logits, which come in the order of rows. */
static void hand_out(const struct schedule *s, float *logits)
{
    size_t width = decoder_vocabulary(s->model->decoder);
    for (size_t i = 0; i < s->n_lanes; i++) {
        struct lane *l = s->lanes[i];
        size_t end = sequence_length(l->sequence);
        l->logits = NULL;
        l->echo_logits = logits;
        l->n_echo = 0;
        for (size_t at = end - l->n_rows; at < end; at++) {
            if (output_at(l, at) == DECODER_NOTHING)
                continue;
            if (at + 1 == l->known && task_draws(l->task->request))
                l->logits = logits;
            else
                l->n_echo++;
            logits += width;
        }
    }
}

/* Log probabilities are the model's own, so they are taken from the logits, and a copy goes to the sampler. */
static void draw(struct lane *l, float *copy)
{
    const struct job_request *r = l->task->request;
    size_t n = decoder_vocabulary(r->model->decoder);
    if (!r->logprobs) {
        l->token = sampler_next(l->sampler, l->logits);
        return;
    }
    memcpy(copy, l->logits, n * sizeof(*copy));
    l->token = sampler_next(l->sampler, copy);
    l->logprob = sampler_logprobs(l->logits, n, l->token, l->top, r->n_top);
}

struct drawing {
    const struct schedule *schedule;
    float *copies; /* [members][vocabulary] */
};

/* Lanes are drawn for side by side: over a large vocabulary that takes as long as some layers. */
static void draw_some(void *context, unsigned index, unsigned n)
{
    const struct drawing *d = context;
    const struct schedule *s = d->schedule;
    size_t width = decoder_vocabulary(s->model->decoder), turn = 0;
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i]->n_rows > 0 && s->lanes[i]->logits && turn++ % n == index)
            draw(s->lanes[i], d->copies ? d->copies + index * width : NULL);
}

static bool draw_all(struct engine *e, const struct schedule *s)
{
    size_t copies = 0, n = 0;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const struct lane *l = s->lanes[i];
        if (l->n_rows == 0 || !l->logits)
            continue;
        n++;
        if (l->task->request->logprobs)
            copies = pool_size(e->pool) * decoder_vocabulary(s->model->decoder);
    }
    if (copies > e->copies_room) {
        float *more = realloc(e->copies, copies * sizeof(*more));
        if (!more)
            return false;
        e->copies = more;
        e->copies_room = copies;
    }
    struct drawing d = {.schedule = s, .copies = e->copies};
    if (n > 1)
        return pool_run(e->pool, draw_some, &d);
    draw_some(&d, 0, 1);
    return true;
}

static void count_token(struct lane *l, double now)
{
    struct task *t = l->task;
    struct model_metrics *m = &t->request->model->metrics;
    if (t->first_token <= 0) {
        t->first_token = now;
        model_histogram_add(&m->first_token, now - t->submitted);
    }
    if (l->n_drawn > 0)
        model_histogram_add(&m->between_tokens, now - l->last_token);
    l->last_token = now;
    t->usage.generated_tokens++;
    atomic_fetch_add_explicit(&m->generated_tokens, 1, memory_order_relaxed);
}

/* The token that was drawn joins the answer, and may be its last. */
static void take_token(struct lane *l)
{
    struct task *t = l->task;
    const struct job_request *r = t->request;
    struct error why = {0};
    struct job_piece *piece;
    if (l->token == SAMPLER_NONE) {
        error_set(&why, "no token could be drawn: all are forbidden, or the model's logits are no numbers");
        task_fail(t, 500, &why);
        return;
    }
    count_token(l, scheduler_now());
    enum answer_result result = answer_add(
        l->answer, l->token, r->logprobs ? l->logprob : NAN, r->logprobs && r->n_top ? l->top : NULL);
    if (result == ANSWER_NO_MEMORY || !lane_append(l, l->token)) {
        task_no_memory(t);
        return;
    }
    task_tell_usage(t);
    if (result == ANSWER_STOPPED)
        lane_end(l, JOB_STOP);
    else if (l->n_drawn >= r->max_tokens || l->known >= r->model->context)
        lane_end(l, JOB_LENGTH);
    else if (!answer_take(l->answer, JOB_RUNNING, &piece))
        task_no_memory(t);
    else if (piece)
        job_push(t->job, piece);
}

/* The prompt's own tokens get their log probabilities. False when that ended the task. */
static bool take_echo(struct lane *l)
{
    struct task *t = l->task;
    const struct job_request *r = t->request;
    size_t n = decoder_vocabulary(r->model->decoder);
    for (size_t i = 0; i < l->n_echo; i++) {
        int32_t id = r->prompt[t->n_echoed];
        float logprob = sampler_logprobs(l->echo_logits + i * n, n, id, l->top, r->n_top);
        if (answer_add(t->echo, id, logprob, r->n_top ? l->top : NULL) != ANSWER_GOES_ON) {
            task_no_memory(t);
            return false;
        }
        t->n_echoed++;
    }
    return task_tell_echo(t, t->n_echoed < r->n_prompt ? JOB_RUNNING : JOB_LENGTH);
}

/* How far the prompt has been read. */
static void count_prompt(struct lane *l)
{
    struct task *t = l->task;
    size_t length = sequence_length(l->sequence), n = t->request->n_prompt;
    size_t done = length < n ? length : n;
    if (done <= t->usage.prompt_done || l->choice > 0)
        return;
    atomic_fetch_add_explicit(
        &t->request->model->metrics.prompt_tokens, done - t->usage.prompt_done, memory_order_relaxed);
    t->usage.prompt_done = done;
    task_tell_usage(t);
    if (done < task_reads(t->request) || t->prompt_read)
        return;
    t->prompt_read = true;
    if (t->request->n_choices > 1 && task_draws(t->request))
        t->prompt = sequence_fork(l->sequence, n - 1); /* without memory they read it themselves */
}

static void deliver(struct lane *l)
{
    count_prompt(l);
    if (has_echo(l) && l->n_echo > 0 && !take_echo(l))
        return;
    if (l->logits)
        take_token(l);
    else if (left_to_read(l) == 0)
        lane_end(l, JOB_LENGTH);
}

static struct lane *next_in_batch(const struct schedule *s)
{
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i]->n_rows > 0)
            return s->lanes[i];
    return NULL;
}

/* A lane that is delivered may end, and end others with it: so each is looked for anew. */
static void deliver_all(struct schedule *s)
{
    for (struct lane *l; (l = next_in_batch(s));) {
        l->n_rows = 0;
        deliver(l);
    }
}

static void fail_batch(struct schedule *s, const struct error *why)
{
    for (struct lane *l; (l = next_in_batch(s));)
        task_fail(l->task, 503, why);
}

/* ---- the step ---- */

static void count_step(struct engine *e, struct schedule *s, size_t n, double seconds)
{
    struct model_metrics *m = &s->model->metrics;
    atomic_fetch_add_explicit(&m->forward_calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->forward_rows, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->forward_ns, (uint_fast64_t)(seconds * 1e9), memory_order_relaxed);
    /* Few rows cost more each: only a batch with a prompt tells what one of those costs. */
    double each = seconds / (double)n;
    if (n >= ROWS_LEAST || n >= e->options.chunk)
        s->row_seconds = s->row_seconds > 0 ? (s->row_seconds + each) / 2 : each;
}

/* A line in the log now and then, while a long prompt is read. */
static void tell_progress(struct engine *e, const struct schedule *s)
{
    double now = scheduler_now();
    if (!log_enabled(LOG_DEBUG) || now - e->told_progress < PROGRESS_SECONDS)
        return;
    for (size_t i = 0; i < s->n_lanes; i++) {
        const struct task *t = s->lanes[i]->task;
        if (left_to_read(s->lanes[i]) <= 1 || now - t->admitted < PROGRESS_SECONDS)
            continue;
        e->told_progress = now;
        log_line(LOG_DEBUG, "reading a prompt",
            LOG_FIELDS(log_text("model", s->model->loaded->info.name),
                log_count("done", sequence_length(s->lanes[i]->sequence)),
                log_count("of", s->lanes[i]->known)));
        return;
    }
}

/* The flag that ends a forward call between layers: of the job, where it is alone. */
static const atomic_bool *stop_flag(const struct engine *e, const struct schedule *s)
{
    const struct lane *first = next_in_batch(s);
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i]->n_rows > 0 && s->lanes[i]->task != first->task)
            return &e->stopping;
    return job_cancelled(first->task->job);
}

static void run_batch(struct engine *e, struct schedule *s, size_t n)
{
    struct error why = {0};
    float *logits = NULL;
    struct decoder_batch batch = {.rows = e->rows, .n = n, .causal = true};
    double start = scheduler_now();
    bool good =
        decoder_forward(s->model->decoder, e->workspace, e->pool, &batch, stop_flag(e, s), &logits, &why);
    if (!good && !why.text[0])
        return; /* stopped: the next sweep ends whom it was for */
    count_step(e, s, n, scheduler_now() - start);
    if (!is_intact(e, s))
        return;
    if (good) {
        hand_out(s, logits);
        if (!draw_all(e, s))
            good = error_set(&why, "memory is short");
    }
    if (!good) {
        fail_batch(s, &why);
        return;
    }
    tell_progress(e, s);
    deliver_all(s);
}

/* What others may know of it: under the lock the slots that are taken, and for the metrics the bytes of its pages. */
static void publish(struct engine *e, struct schedule *s)
{
    size_t taken = s->n_lanes, pages = 0, held;
    for (const struct lane *l = s->aside; l; l = l->next)
        taken++;
    for (size_t i = 0; i < s->n_lanes; i++) {
        sequence_pages(s->lanes[i]->sequence, &held);
        pages += held;
    }
    atomic_store_explicit(
        &s->model->metrics.kv_bytes, pages * kv_cache_page_bytes(s->model->cache), memory_order_relaxed);
    pthread_mutex_lock(&e->lock);
    s->n_taken = taken;
    pthread_mutex_unlock(&e->lock);
}

void scheduler_step(struct engine *e)
{
    struct schedule *s = next_turn(e);
    if (!s)
        return;
    if (is_intact(e, s)) {
        while (s->n_lanes < e->options.slots && begin_one(e, s))
            continue;
        share_rows(e, s);
        reserve_rows(e, s);
        size_t n = count_rows(s);
        if (n > 0 && make_room_for_rows(e, n)) {
            fill_rows(e, s);
            run_batch(e, s, n);
        } else if (n > 0) {
            fail_batch(s, &(struct error){.text = "memory is short"});
        }
    }
    publish(e, s);
}
