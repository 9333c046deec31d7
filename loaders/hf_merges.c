/* hf_merges.c - the merges of BPE, as tokenizer.json lists them: "a b", or ["a", "b"].
 *
 * Byte-level BPE has them in GGUF, too. SentencePiece's kind has scores there instead: of two neighbours those merge that
 * make the token with the highest score. Files of transformers list all pairs that make a token, one token after the other,
 * so the place in the list is the score. A list in another order is refused.
 */
#include "hf_private.h"
#include "json_scan_private.h"

#include <stdlib.h>
#include <string.h>

#define MERGES_MAX ((size_t)1 << 23)
#define NO_MERGE (-1e9f) /* the score of tokens that no merge makes */

struct merge_pair {
    struct span text; /* as it is written: one string, or the left side */
    struct span right; /* of a pair; NULL: one string */
};

/* Reads the next merge. False at the end, and after a failure. */
static bool next_merge(struct json_scan *s, bool *first, struct merge_pair *out)
{
    bool begins = true;
    *out = (struct merge_pair){0};
    if (!json_scan_item(s, first))
        return false;
    if (json_scan_peek(s) != '[')
        return json_scan_text(s, &out->text);
    return json_scan_enter(s, '[') &&
           ((json_scan_item(s, &begins) && json_scan_text(s, &out->text) && json_scan_item(s, &begins) &&
                json_scan_text(s, &out->right) && !json_scan_item(s, &begins) && !s->failed) ||
               json_scan_fail(s, "two texts are needed"));
}

static bool count_merges(struct span text, size_t *n, size_t *bytes, struct error *err)
{
    struct json_scan s = {.text = text, .err = err};
    struct merge_pair merge;
    bool first = true;
    *n = *bytes = 0;
    for (json_scan_enter(&s, '['); next_merge(&s, &first, &merge); ++*n)
        *bytes += merge.text.size + merge.right.size + 1;
    return !s.failed && (*n <= MERGES_MAX || json_scan_fail(&s, "too many merges"));
}

/* Writes both sides, with one space between, to `out`. False for an escape that JSON does not have, and for a side of a
 * pair that has a space itself. */
static bool write_merge(const struct merge_pair *merge, uint8_t *out, size_t *size)
{
    size_t right;
    if (!json_scan_unescape(merge->text, out, size))
        return false;
    if (!merge->right.at)
        return *size > 2 && memchr(out + 1, ' ', *size - 2);
    out[*size] = ' ';
    if (!json_scan_unescape(merge->right, out + *size + 1, &right) || memchr(out, ' ', *size) ||
        memchr(out + *size + 1, ' ', right))
        return false;
    *size += 1 + right;
    return true;
}

/* ---- as merges ---- */

static bool add_merges(
    struct hf_model *m, const struct hf_tokenizer *t, size_t n, size_t bytes, struct error *err)
{
    struct json_scan s = {.text = t->merges, .err = err};
    struct merge_pair merge;
    bool first = true;
    uint8_t *packed = hf_memory(m, bytes + 8 * n + 1, err), *at = packed;
    if (!packed)
        return false;
    size_t left = n;
    for (json_scan_enter(&s, '['); left > 0 && next_merge(&s, &first, &merge); left--) {
        size_t size;
        if (merge.text.size + merge.right.size + 1 > bytes)
            return json_scan_fail(&s, "the file changed");
        bytes -= merge.text.size + merge.right.size + 1;
        if (!write_merge(&merge, at + 8, &size))
            return json_scan_fail(&s, "a merge that is no two texts without a space");
        hf_put_u64(at, size);
        at += 8 + size;
    }
    return !s.failed && hf_add_array(m, "tokenizer.ggml.merges", CHECKPOINT_STRING, 0, n - left,
                            (struct span){packed, (size_t)(at - packed)}, err);
}

/* ---- as scores ---- */

struct ids {
    uint32_t *slots; /* [mask + 1] of id + 1; 0: free */
    size_t mask;
    const struct hf_tokenizer *t;
};

static size_t hash_of(struct span text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < text.size; i++)
        h = (h ^ text.at[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 29);
}

/* The slot of the text, or a free one; `steps` counts, because texts may be chosen to collide. */
static uint32_t *slot_of(const struct ids *x, struct span text, size_t *steps)
{
    size_t i = hash_of(text) & x->mask;
    while (x->slots[i] && span_compare(x->t->tokens[x->slots[i] - 1].text, text) != 0) {
        i = (i + 1) & x->mask;
        ++*steps;
    }
    return &x->slots[i];
}

#define STEPS_MAX ((size_t)1 << 28)

static bool list_ids(struct ids *x, struct error *err)
{
    size_t steps = 0;
    x->mask = 1023;
    while (x->mask < 2 * x->t->n)
        x->mask = 2 * x->mask + 1;
    x->slots = calloc(x->mask + 1, sizeof(*x->slots));
    if (!x->slots)
        return error_no_memory(err, "the vocabulary");
    for (size_t id = 0; id < x->t->n && steps < STEPS_MAX; id++)
        *slot_of(x, x->t->tokens[id].text, &steps) = (uint32_t)id + 1;
    return steps < STEPS_MAX || error_set(err, "too many of the vocabulary's tokens collide");
}

/* Gives the token that each merge makes its place, and `last` is the one that the merge before made. */
static bool score(struct json_scan *s, const struct ids *x, const struct merge_pair *merge, uint8_t *text,
    size_t rank, uint32_t *last, size_t *steps)
{
    size_t size;
    if (!write_merge(merge, text, &size))
        return json_scan_fail(s, "a merge that is no two texts without a space");
    uint8_t *gap = memchr(text, ' ', size);
    if (!gap)
        return json_scan_fail(s, "a merge that is no two texts");
    memmove(gap, gap + 1, size - (size_t)(gap + 1 - text));
    const uint32_t id = *slot_of(x, (struct span){text, size - 1}, steps);
    if (id == 0)
        return json_scan_fail(s, "a merge that makes no token");
    struct hf_token *token = &x->t->tokens[id - 1];
    if (token->score != NO_MERGE && id != *last)
        return json_scan_fail(
            s, "merges are not in the order of the tokens that they make, which berth does not run");
    if (token->score == NO_MERGE)
        token->score = -(float)rank;
    *last = id;
    return *steps < STEPS_MAX || json_scan_fail(s, "too many of the vocabulary's tokens collide");
}

static bool set_scores(
    struct hf_tokenizer *t, const struct ids *x, uint8_t *text, size_t room, struct error *err)
{
    struct json_scan s = {.text = t->merges, .err = err};
    struct merge_pair merge;
    uint32_t last = 0;
    size_t rank = 0, steps = 0;
    bool first = true;
    for (size_t i = 0; i < t->n; i++)
        t->tokens[i].score = NO_MERGE;
    for (json_scan_enter(&s, '['); next_merge(&s, &first, &merge); rank++)
        if (merge.text.size + merge.right.size + 1 > room || !score(&s, x, &merge, text, rank, &last, &steps))
            return json_scan_fail(&s, "the file changed");
    return !s.failed;
}

static bool add_scores(struct hf_model *m, const struct hf_tokenizer *t, struct error *err)
{
    uint8_t *scores = hf_memory(m, t->n * sizeof(float) + 1, err);
    for (size_t i = 0; scores && i < t->n; i++)
        memcpy(scores + i * sizeof(float), &t->tokens[i].score, sizeof(float));
    return scores && hf_add_array(m, "tokenizer.ggml.scores", CHECKPOINT_REAL, 4, t->n,
                         (struct span){scores, t->n * sizeof(float)}, err);
}

bool hf_read_merges(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    size_t n, bytes;
    if (!t->merges.at)
        return t->kind && strcmp(t->kind, "t5") == 0 ? add_scores(m, t, err) : true;
    if (!count_merges(t->merges, &n, &bytes, err))
        return error_prefix(err, "tokenizer.json: field \"model.merges\"");
    if (!t->sentencepiece)
        return add_merges(m, t, n, bytes, err) || error_prefix(err, "tokenizer.json: field \"model.merges\"");
    struct ids x = {.t = t};
    uint8_t *text = malloc(bytes + 1);
    bool good =
        text ? list_ids(&x, err) && set_scores(t, &x, text, bytes, err) : error_no_memory(err, "the merges");
    free(text);
    free(x.slots);
    return good ? add_scores(m, t, err) : error_prefix(err, "tokenizer.json: field \"model.merges\"");
}
