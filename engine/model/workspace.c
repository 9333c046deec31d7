/* workspace.c - checks a batch, and lays out the memory that its forward call works in.
 *
 * One block has everything except the list of runs. The same function lays it out twice, the first time to add up its
 * size. It only grows. After the call only the results in it are used.
 */
#include "forward_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64
/* Up to so many rows each worker has a residual of its own rather than wait for others. */
#define ALONE_ROWS 4

struct decoder_workspace *decoder_workspace_new(void)
{
    return calloc(1, sizeof(struct decoder_workspace));
}

void decoder_workspace_free(struct decoder_workspace *w)
{
    if (!w)
        return;
    free(w->memory);
    free(w->runs);
    free(w);
}

/* ---- the batch ---- */

static bool check_row(const struct forward *f, size_t i, struct error *err)
{
    const struct decoder_row *r = &f->batch->rows[i];
    uint32_t vocabulary = f->d->shape.n_vocab;
    if (!r->embedding && (r->token < 0 || (uint32_t)r->token >= vocabulary))
        return error_set(err, "token %" PRId32 " is not one of the model's %" PRIu32, r->token, vocabulary);
    if (f->d->positions.rows > 0 && r->position >= f->d->positions.rows)
        return error_set(err, "position %" PRIu32 " is behind the model's last, %zu", r->position,
            f->d->positions.rows - 1);
    return true;
}

static bool begins_run(const struct decoder_batch *b, size_t i)
{
    return i == 0 || b->rows[i].sequence != b->rows[i - 1].sequence;
}

/* Counts runs and results. Refuses rows whose keys and values would be written to positions that are not reserved. */
static bool count(struct forward *f, struct error *err)
{
    const struct decoder_batch *b = f->batch;
    for (size_t i = 0; i < f->n; i++) {
        const struct decoder_row *r = &b->rows[i];
        bool begins = begins_run(b, i);
        size_t expected = begins ? sequence_length(r->sequence) : (size_t)b->rows[i - 1].position + 1;
        if (!check_row(f, i, err))
            return false;
        if (r->position != expected || !sequence_is_reserved(r->sequence, r->position))
            return error_set(err,
                "row %zu of the batch is at position %" PRIu32 " instead of %zu, or unreserved", i,
                r->position, expected);
        f->n_runs += begins;
        f->n_out += r->output != DECODER_NOTHING;
        f->logits |= r->output == DECODER_LOGITS;
        f->hidden |= r->output == DECODER_HIDDEN;
    }
    f->cache = sequence_cache(b->rows[0].sequence);
    return true;
}

static bool list_runs(struct forward *f, struct decoder_workspace *w, struct error *err)
{
    const struct decoder_batch *b = f->batch;
    if (f->n_runs > w->runs_room) {
        struct batch_run *more = realloc(w->runs, f->n_runs * sizeof(*more));
        if (!more)
            return error_set(err, "no memory for a batch of %zu sequences", f->n_runs);
        w->runs = more;
        w->runs_room = f->n_runs;
    }
    f->runs = w->runs;
    struct batch_run *run = f->runs - 1;
    for (size_t i = 0; i < f->n; i++) {
        if (begins_run(b, i))
            *++run = (struct batch_run){.sequence = b->rows[i].sequence,
                .pages = {[KV_GLOBAL] = sequence_pages(b->rows[i].sequence, KV_GLOBAL),
                    [KV_WINDOWED] = sequence_pages(b->rows[i].sequence, KV_WINDOWED)},
                .row = i,
                .start = b->rows[i].position};
        run->n++;
        run->end = b->rows[i].position + 1;
    }
    return true;
}

static void list_wanted(struct forward *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        if (f->batch->rows[i].output != DECODER_NOTHING)
            f->wanted[n++] = i;
}

/* ---- the memory ---- */

void *layout_take(struct layout *l, size_t bytes)
{
    void *taken = l->base ? l->base + l->at : NULL;
    l->at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return taken;
}

float *layout_floats(struct layout *l, size_t rows, size_t columns)
{
    return layout_take(l, rows * columns * sizeof(float));
}

static size_t packed_bytes(const struct forward *f)
{
    size_t bytes = matmul_packed_bytes(f->n, (f->d->packed_columns + 31) / 32 * 32);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Memory from `passing` is used only during one `run`, so it begins at the same place for all kinds. */
static void lay_out_kinds(struct forward *f, struct layout *l)
{
    struct layout none = {.base = NULL}, lasting = *l;
    for (size_t i = 0; f->d->kinds[i]; i++) /* finds the end of the lasting memory */
        f->d->kinds[i]->workspace(f, &lasting, &none);
    size_t start = lasting.at, end = start;
    for (size_t i = 0; f->d->kinds[i]; i++) {
        struct layout passing = {.base = l->base, .at = start};
        f->d->kinds[i]->workspace(f, l, &passing);
        end = larger(end, passing.at);
    }
    l->at = end;
}

static size_t lay_out(struct forward *f, uint8_t *base)
{
    struct layout l = {.base = base};
    size_t n = f->n, residuals = f->alone ? pool_size(f->pool) : 1, n_embd = f->d->shape.n_embd;
    f->wanted = layout_take(&l, f->n_out * sizeof(*f->wanted));
    f->x = layout_floats(&l, residuals * n, n_embd);
    f->normed = layout_floats(&l, residuals * n, n_embd);
    f->high = layout_floats(&l, forward_keeps_high(f->d) ? residuals * n : 0, n_embd);
    f->low = layout_floats(&l, f->d->low_state ? residuals * n : 0, n_embd);
    f->spare = layout_floats(&l, forward_needs_spare(f->d) ? residuals * n : 0, n_embd);
    f->streams = layout_floats(&l, residuals * n, (size_t)f->d->shape.n_streams * n_embd);
    f->inputs = layout_floats(&l, n, (size_t)f->d->shape.n_input * f->d->shape.n_layer);
    f->input_gates = layout_floats(&l, n, f->d->shape.n_input);
    f->packed_bytes = packed_bytes(f);
    f->packed = layout_take(&l, residuals * f->packed_bytes);
    f->sum = layout_floats(&l, n, n_embd);
    f->out = layout_floats(&l, f->n_out, f->out_stride);
    lay_out_kinds(f, &l);
    return l.at;
}

size_t decoder_row_bytes(const struct decoder *d, struct pool *pool)
{
    struct forward f = {.d = d, .pool = pool, .n = 1024};
    return lay_out(&f, NULL) / f.n;
}

static bool grow(struct decoder_workspace *w, size_t size, size_t rows, struct error *err)
{
    if (size <= w->size)
        return true;
    free(w->memory);
    w->memory = aligned_alloc(ALIGNMENT, size);
    w->size = w->memory ? size : 0;
    return w->memory || error_set(err, "no memory for a batch of %zu rows: %zu bytes", rows, size);
}

bool forward_prepare(struct forward *f, struct decoder_workspace *w, struct error *err)
{
    const struct decoder_shape *s = &f->d->shape;
    if (!count(f, err) || !list_runs(f, w, err))
        return false;
    if (s->encoder && f->logits)
        return error_set(err, "the model is an encoder: it has vectors and no logits");
    f->alone = f->n <= ALONE_ROWS;
    f->out_stride = f->logits ? s->n_vocab : s->n_embd;
    if (f->logits && f->hidden)
        f->out_stride = larger(s->n_vocab, s->n_embd);
    if (!grow(w, lay_out(f, NULL), f->n, err))
        return false;
    lay_out(f, w->memory);
    list_wanted(f);
    return true;
}
