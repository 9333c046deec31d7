/* pretokenize.c - cuts text into words; byte-level BPE merges within a word.
 *
 * How each family cuts is said in the file `pretokenizers`, from which the build makes automata: see
 * pretokenizer_private.h. A behaviour is a series of stages. Each stage cuts the pieces that the stages before have left,
 * and examines nothing beyond a piece.
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

/* A part of the text between two borders of earlier stages. */
struct piece {
    const uint32_t *codes;
    uint8_t *classes;
    size_t from, end;
};

static unsigned category(const struct piece *p, size_t at)
{
    return p->classes[at] & ~(unsigned)WORD_STARTS;
}

/* --- Regular expressions --- */

static unsigned class_of(const struct regex *r, const struct piece *p, size_t at)
{
    if (at == p->end)
        return r->end_class;
    uint32_t code = p->codes[at];
    if (code < 0x80)
        return r->ascii[code];
    size_t low = 0, high = r->n_cuts; /* the number of cuts at or before the code point */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->cuts[middle] <= code)
            low = middle + 1;
        else
            high = middle;
    }
    return r->classes[low * REGEX_CATEGORIES + category(p, at)];
}

#define STEP ((size_t)512) /* code points from one place to the next at which a state is remembered */

/* What a long search has found: who is in `state` at one of the places from `from` to `to`, each a multiple of STEP,
 * finds no longer match, and stops at `end`. */
struct searched {
    size_t state, from, to, end;
    size_t examined; /* where the last search stopped */
};

/* Where the match that begins at `at` ends, or SIZE_MAX. before->examined is the place at which the automaton stopped. A
 * long run of white space is read once only, though many matches begin in it and each asks what follows it. */
static size_t match(const struct regex *r, const struct piece *p, size_t at, struct searched *before)
{
    size_t found = SIZE_MAX, state = r->start;
    struct searched now = {.state = SIZE_MAX};
    for (;; at++) {
        if (at % STEP == 0) {
            if (state == before->state && at >= before->from && at <= before->to) {
                before->examined = before->end;
                return found;
            }
            if (state != now.state)
                now = (struct searched){.state = state, .from = at};
            now.to = at;
        }
        const struct regex_state *s = &regex_states[state];
        const struct regex_cell *cell = &regex_cells[s->base + class_of(r, p, at)];
        unsigned step = cell->owner == state ? cell->step : s->usual;
        if (step & REGEX_MATCHED)
            found = at;
        state = step & ~REGEX_MATCHED;
        if (state == REGEX_DEAD || at == p->end)
            break;
    }
    now.end = at;
    if (now.state != SIZE_MAX && (found == SIZE_MAX || found < now.from))
        *before = now;
    before->examined = at;
    return found;
}

/* Text between two matches stays whole. */
static void cut_regex(const struct regex *r, const struct piece *p)
{
    struct searched before = {.state = SIZE_MAX};
    for (size_t at = p->from; at < p->end;) {
        size_t end = match(r, p, at, &before);
        if (end == SIZE_MAX || end == at) {
            at = r->skip && before.examined > at ? before.examined : at + 1;
            continue;
        }
        p->classes[at] |= WORD_STARTS;
        if (end < p->end)
            p->classes[end] |= WORD_STARTS;
        at = end;
    }
}

/* --- Threes --- */

static bool is_in_run(const struct threes *t, const struct piece *p, size_t at)
{
    if (at == p->end)
        return false;
    return t->numbers ? category(p, at) == UNICODE_NUMBER : p->codes[at] >= '0' && p->codes[at] <= '9';
}

/* A run whose size is no multiple of three begins with one or two characters of no three. */
static void cut_run(const struct threes *t, const struct piece *p, size_t from, size_t end)
{
    for (size_t at = from + (end - from) % 3; at <= end; at += 3)
        if (at != (t->ends ? from : end) && at < p->end)
            p->classes[at] |= WORD_STARTS;
}

static void cut_threes(const struct threes *t, const struct piece *p)
{
    for (size_t at = p->from, end; at < p->end; at = end + (end == at)) {
        for (end = at; is_in_run(t, p, end);)
            end++;
        cut_run(t, p, at, end);
    }
}

/* --- The table of names --- */

const struct pretokenizer *pretokenizer_find(struct span name)
{
    for (size_t i = 0; i < n_pretokenizers; i++)
        if (span_is(name, pretokenizers[i].name))
            return &pretokenizers[i];
    return NULL;
}

void pretokenize(const struct pretokenizer *p, const uint32_t *codes, uint8_t *classes, size_t n)
{
    if (n > 0)
        classes[0] |= WORD_STARTS;
    for (size_t i = 0; i < p->n_stages; i++) {
        const struct stage *stage = &p->stages[i];
        for (size_t from = 0, end; from < n; from = end) {
            for (end = from + 1; end < n && !(classes[end] & WORD_STARTS);)
                end++;
            const struct piece piece = {codes, classes, from, end};
            if (stage->regex)
                cut_regex(stage->regex, &piece);
            else
                cut_threes(&stage->threes, &piece);
        }
    }
}
