/* workspace.c - looks a batch over, and lays out the memory that its forward call works in.
 *
 * One block holds everything. It is laid out twice by the same function, first to see how much it takes; it
 * only grows, and what it holds never outlives the call but for the results.
 */
#include "forward_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64
#define ALONE_ROWS                                                                                           \
    4 /* up to so many rows a worker does all of the stream itself rather than wait for others */
#define SPLIT_ITEMS 4 /* tiles and heads for each worker, from which on splits need not be divided */
#define TILE_QUERIES 48 /* what attention likes to answer at a time */

struct decoder_workspace *decoder_workspace_new(void)
{
    return calloc(1, sizeof(struct decoder_workspace));
}

void decoder_workspace_free(struct decoder_workspace *w)
{
    if (!w)
        return;
    free(w->memory);
    free(w);
}

/* ---- the batch ---- */

static bool check_row(const struct forward *f, size_t i, struct error *err)
{
    const struct decoder_row *r = &f->batch->rows[i];
    uint32_t vocabulary = f->d->shape.n_vocab;
    if (!r->embedding && (r->token < 0 || (uint32_t)r->token >= vocabulary))
        return error_set(err, "token %" PRId32 " is not one of the model's %" PRIu32, r->token, vocabulary);
    return true;
}

static bool begins_run(const struct decoder_batch *b, size_t i)
{
    return i == 0 || b->rows[i].sequence != b->rows[i - 1].sequence;
}

/* Counts runs, tiles and results; checks what would make a forward call write where it must not. */
static bool count(struct forward *f, struct error *err)
{
    const struct decoder_batch *b = f->batch;
    for (size_t i = 0; i < f->n; i++) {
        const struct decoder_row *r = &b->rows[i];
        bool begins = begins_run(b, i);
        size_t expected = begins ? sequence_length(r->sequence) : (size_t)b->rows[i - 1].position + 1;
        size_t pages;
        sequence_pages(r->sequence, &pages);
        if (!check_row(f, i, err))
            return false;
        if (r->position != expected || r->position / ATTENTION_BLOCK >= pages)
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

/* Rows of a tile: whole groups of the layer with the largest ones. */
static size_t tile_rows(const struct decoder *d)
{
    size_t group = 1;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        size_t g = d->layers[i].n_head / d->layers[i].n_head_kv;
        group = g > group ? g : group;
    }
    return group >= TILE_QUERIES ? 1 : TILE_QUERIES / group;
}

static size_t count_tiles(const struct forward *f, size_t rows)
{
    size_t tiles = 0, in_tile = 0;
    for (size_t i = 0; i < f->n; i++) {
        in_tile = begins_run(f->batch, i) || in_tile == rows ? 1 : in_tile + 1;
        tiles += in_tile == 1;
    }
    return tiles;
}

static void list_runs(struct forward *f, size_t rows)
{
    const struct decoder_batch *b = f->batch;
    size_t runs = 0, tiles = 0, out = 0;
    for (size_t i = 0; i < f->n; i++) {
        bool begins = begins_run(b, i);
        size_t pages;
        if (begins)
            f->runs[runs++] = (struct batch_run){
                .pages = sequence_pages(b->rows[i].sequence, &pages), .row = i, .start = b->rows[i].position};
        struct batch_run *r = &f->runs[runs - 1];
        r->n++;
        r->end = b->rows[i].position + 1;
        if (begins || f->tiles[tiles - 1].n == rows)
            f->tiles[tiles++] = (struct query_tile){.run = runs - 1, .row = i};
        f->tiles[tiles - 1].n++;
        if (b->rows[i].output != DECODER_NOTHING)
            f->wanted[out++] = i;
    }
}

static uint32_t longest_end(const struct decoder_batch *b)
{
    uint32_t end = 0;
    for (size_t i = 0; i < b->n; i++)
        end = b->rows[i].position >= end ? b->rows[i].position + 1 : end;
    return end;
}

/* How the batch is divided. Nothing of this changes a result. */
static size_t choose_ways(struct forward *f)
{
    unsigned workers = pool_size(f->pool);
    size_t rows = tile_rows(f->d);
    uint32_t end = longest_end(f->batch);
    f->alone = f->n <= ALONE_ROWS;
    f->split = workers > 1 && end > ATTENTION_SPLIT + ATTENTION_SPLIT / 2 &&
               f->n * f->d->kv[0].n_head_kv < SPLIT_ITEMS * workers;
    if (f->split)
        rows = 1;
    f->n_tiles = count_tiles(f, rows);
    f->n_splits = (end + ATTENTION_SPLIT - 1) / ATTENTION_SPLIT;
    f->together = !f->split && f->n_tiles == f->n_runs;
    return rows;
}

/* ---- the memory ---- */

struct layout {
    uint8_t *base; /* NULL while sizes are added up */
    size_t at;
};

static void *take(struct layout *l, size_t bytes)
{
    void *taken = l->base ? l->base + l->at : NULL;
    l->at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return taken;
}

static float *take_floats(struct layout *l, size_t rows, size_t columns)
{
    return take(l, rows * columns * sizeof(float));
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t packed_bytes(const struct forward *f)
{
    const struct decoder *d = f->d;
    size_t columns = larger(d->shape.n_embd, larger(d->att_width, d->ff_width));
    size_t bytes = d->packs ? matmul_packed_bytes(f->n, (columns + 31) / 32 * 32) : 0;
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t part_floats(const struct forward *f)
{
    const struct attention a = {.head_dim_k = f->d->shape.head_dim_k, .head_dim_v = f->d->shape.head_dim_v};
    return attention_part_floats(&a);
}

/* The queries, keys and values of a layer, and what attention makes of them, are done with when the wide rows of its
 * feed-forward part are worked out: these lie over those. */
static void lay_out_halves(struct forward *f, struct layout *l)
{
    const struct decoder *d = f->d;
    struct layout over = *l;
    f->q = take_floats(l, f->n, larger(d->q_width, d->att_width));
    f->k = take_floats(l, f->n, d->k_width);
    f->v = take_floats(l, f->n, d->v_width);
    f->att = take_floats(l, f->n, d->att_width);
    f->up = take_floats(&over, f->n, d->ff_width);
    l->at = larger(l->at, over.at);
}

static size_t lay_out(struct forward *f, uint8_t *base)
{
    const struct decoder *d = f->d;
    struct layout l = {.base = base};
    size_t n = f->n, workers = pool_size(f->pool), streams = f->alone ? workers : 1;
    size_t heads = d->q_width / d->shape.head_dim_k;
    f->runs = take(&l, f->n_runs * sizeof(*f->runs));
    f->tiles = take(&l, f->n_tiles * sizeof(*f->tiles));
    f->wanted = take(&l, f->n_out * sizeof(*f->wanted));
    f->x = take_floats(&l, streams * n, d->shape.n_embd);
    f->normed = take_floats(&l, streams * n, d->shape.n_embd);
    f->packed_bytes = packed_bytes(f);
    f->packed = take(&l, streams * f->packed_bytes);
    lay_out_halves(f, &l);
    f->sum = take_floats(&l, n, d->shape.n_embd);
    f->gate_columns = larger(MATMUL_TILE, d->ff_width / (FORWARD_PIECES * workers));
    f->gates = take_floats(&l, workers * n, f->gate_columns);
    for (size_t i = 0; i < d->n_ropes; i++)
        f->cos_sin[i] = take_floats(&l, n, d->shape.n_rot);
    f->parts = take_floats(&l, f->split ? n * heads * f->n_splits : 0, part_floats(f));
    f->out = take_floats(&l, f->n_out, f->out_stride);
    return l.at;
}

size_t decoder_row_bytes(const struct decoder *d, struct pool *pool)
{
    struct forward f = {.d = d, .pool = pool, .n = 1024};
    return lay_out(&f, NULL) / f.n;
}

bool forward_prepare(struct forward *f, struct decoder_workspace *w, struct error *err)
{
    const struct decoder_shape *s = &f->d->shape;
    if (!count(f, err))
        return false;
    size_t rows = choose_ways(f);
    f->out_stride = f->logits ? s->n_vocab : s->n_embd;
    if (f->logits && f->hidden)
        f->out_stride = larger(s->n_vocab, s->n_embd);
    size_t size = lay_out(f, NULL);
    if (size > w->size) {
        free(w->memory);
        w->memory = aligned_alloc(ALIGNMENT, size);
        w->size = w->memory ? size : 0;
        if (!w->memory)
            return error_set(err, "no memory for a batch of %zu rows: %zu bytes", f->n, size);
    }
    lay_out(f, w->memory);
    memset(f->runs, 0, f->n_runs * sizeof(*f->runs));
    list_runs(f, rows);
    return true;
}
