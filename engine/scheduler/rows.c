/* rows.c - which rows a step computes, and which logits belong to which slot.
 *
 * A slot that decodes gets one row in each step. rows_share divides the prefill budget among the slots in prefill.
 */
#include "scheduler_private.h"

#include <stdlib.h>

#define WORKSPACE_BYTES ((size_t)12 << 20) /* the most that rows of prompts take in a step, */
#define ROWS_ENOUGH 128 /* but so many rows are always allowed */
#define ECHO_BYTES ((size_t)16 << 20) /* the most that logits for the prompt's own tokens take in a step */

size_t slot_left(const struct slot *l)
{
    return l->known - sequence_length(l->sequence);
}

static bool slot_prefills(const struct slot *l)
{
    return slot_left(l) > 1;
}

/* Beyond some hundred rows a step gains almost no speed, and its workspace is never freed. */
static size_t rows_in_memory(const struct engine *e, const struct schedule *s)
{
    size_t rows = WORKSPACE_BYTES / decoder_row_bytes(s->model->decoder, e->pool);
    return rows > ROWS_ENOUGH ? rows : ROWS_ENOUGH;
}

struct prefill_load rows_load(const struct engine *e)
{
    struct prefill_load l = {0};
    for (const struct schedule *each = e->schedules; each; each = each->next) {
        size_t own = 0;
        for (size_t i = 0; i < each->n_slots; i++)
            own += slot_prefills(each->slots[i]);
        l.prefilling += own;
        l.decoding += each->n_slots - own;
        l.decode_seconds += prefill_decode_seconds(&each->prefill_cost, each->n_slots - own);
    }
    return l;
}

/* Rows that prompts of this model may have in this step. The prefill budget of a round of all models is divided among
 * the models by how many of their slots are in prefill. */
static size_t rows_for_prompts(const struct engine *e, const struct schedule *s, size_t prefilling)
{
    const struct prefill_load l = rows_load(e);
    size_t rows = prefill_budget(&s->prefill_cost, &l, e->options.chunk), most = rows_in_memory(e, s);
    rows = rows < most ? rows : most;
    if (l.decoding > 0 && prefilling < l.prefilling)
        rows = rows * prefilling / l.prefilling;
    return rows > 0 ? rows : 1;
}

bool slot_has_echo(const struct slot *l)
{
    return l->request->echo && l->choice == 0;
}

/* Gives up to `rows` more rows to a slot in prefill. Returns how many it took. */
static size_t give(struct slot *l, size_t rows)
{
    size_t take = slot_left(l) - l->n_rows;
    if (take > rows)
        take = rows;
    if (slot_has_echo(l)) {
        size_t most = ECHO_BYTES / sizeof(float) / decoder_n_vocab(l->request->schedule->model->decoder);
        most = most > 1 ? most : 1;
        if (l->n_rows + take > most)
            take = most > l->n_rows ? most - l->n_rows : 0;
    }
    l->n_rows += take;
    return take;
}

/* The slot with the fewest tokens to compute of those that are in prefill and have no rows yet; the older one of two that
 * are equal. */
static struct slot *shortest_prefill(const struct schedule *s)
{
    struct slot *found = NULL;
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->n_rows == 0 && !s->slots[i]->waits &&
            (!found || slot_left(s->slots[i]) < slot_left(found)))
            found = s->slots[i];
    return found;
}

/* Marks slots that wait for the oldest slot in prefill, because it computes the tokens that they need. They wait for no
 * other slot: the oldest one gets rows in every step, at least as many as they would get. Returns how many wait. */
static size_t let_wait(const struct schedule *s, const struct slot *oldest)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_slots; i++) {
        struct slot *l = s->slots[i];
        l->waits = l->n_rows == 0 && slot_may_wait(oldest, l);
        n += l->waits;
    }
    return n;
}

/* One row for each slot that decodes. Of the rows for prompts the oldest slot in prefill gets half, so that it makes
 * progress. The rest goes to the shortest prompts first, so that they do not wait for it. */
void rows_share(const struct engine *e, struct schedule *s)
{
    struct slot *oldest = NULL;
    size_t prefilling = 0;
    for (size_t i = s->n_slots; i-- > 0;) {
        struct slot *l = s->slots[i];
        slot_take_prefix(l);
        bool prefills = slot_prefills(l);
        l->prefills = prefills;
        l->n_rows = !prefills;
        prefilling += prefills;
        oldest = prefills ? l : oldest;
    }
    if (!oldest)
        return;
    size_t left = rows_for_prompts(e, s, prefilling);
    prefilling -= let_wait(s, oldest);
    left -= give(oldest, prefilling > 1 ? (left + 1) / 2 : left);
    for (struct slot *l; left > 0 && (l = shortest_prefill(s));)
        left -= give(l, left);
    give(oldest, left);
}

/* Ends a slot that holds all of the memory and needs more. */
static void end_for_lack_of_memory(struct slot *l)
{
    struct error why = {0};
    if (l->n_sampled > 0) {
        slot_end(l, JOB_LENGTH);
        return;
    }
    error_set(&why, "the KV cache has no room for the request");
    request_fail(l->request, RESULT_NO_MEMORY, &why);
}

/* Takes pages for all rows, oldest slots first. Slots that are preempted for that come later in the list. */
void rows_reserve(struct engine *e, struct schedule *s)
{
    for (size_t i = 0; i < s->n_slots; i++) {
        bool alone;
        struct slot *l = s->slots[i];
        if (l->n_rows > 0)
            slot_thin_prefix(l);
        if (l->n_rows > 0 && !memory_reserve(e, l, sequence_length(l->sequence) + l->n_rows, &alone) && alone)
            end_for_lack_of_memory(l);
    }
}

static enum decoder_output output_at(const struct slot *l, size_t position)
{
    const struct job_request *r = l->request->params;
    bool samples = request_samples(r) && position + 1 == l->known;
    bool scores = slot_has_echo(l) && position + 1 < r->n_prompt && position + 1 >= l->request->n_echoed;
    return samples || scores ? DECODER_LOGITS : DECODER_NOTHING;
}

bool rows_make_room(struct engine *e, size_t n)
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

size_t rows_count(const struct schedule *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_slots; i++)
        n += s->slots[i]->n_rows;
    return n;
}

size_t rows_of_prompts(const struct schedule *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_slots; i++)
        n += s->slots[i]->prefills ? s->slots[i]->n_rows : 0;
    return n;
}

void rows_fill(struct engine *e, const struct schedule *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_slots; i++) {
        const struct slot *l = s->slots[i];
        size_t from = sequence_length(l->sequence);
        for (size_t at = from; at < from + l->n_rows; at++)
            e->rows[n++] = (struct decoder_row){.sequence = l->sequence,
                .position = (uint32_t)at,
                .token = slot_token(l, at),
                .output = output_at(l, at)};
    }
}

/* Points each slot to its logits, which are in the order of rows. */
void rows_hand_out(const struct schedule *s, float *logits)
{
    size_t width = decoder_n_vocab(s->model->decoder);
    for (size_t i = 0; i < s->n_slots; i++) {
        struct slot *l = s->slots[i];
        size_t end = sequence_length(l->sequence);
        l->logits = NULL;
        l->echo_logits = logits;
        l->n_echo = 0;
        for (size_t at = end - l->n_rows; at < end; at++) {
            if (output_at(l, at) == DECODER_NOTHING)
                continue;
            if (at + 1 == l->known && request_samples(l->request->params))
                l->logits = logits;
            else
                l->n_echo++;
            logits += width;
        }
    }
}

struct slot *slot_in_batch(const struct schedule *s)
{
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->n_rows > 0)
            return s->slots[i];
    return NULL;
}
