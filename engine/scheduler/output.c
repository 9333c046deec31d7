/* output.c - a buffer of text that is not sent yet, and the tokens that it came from.
 *
 * Positions are bytes in that buffer. Bytes that the detokenizer holds back lie behind its end. Each stop string has a
 * Knuth-Morris-Pratt automaton, whose state is the length of its longest beginning that the text ends in. So each byte
 * costs the same whatever the strings are, and the longest state is how many bytes have to be held back.
 */
#include "output_private.h"

#include "job_private.h"

#include "berth/engine/grammar/builder.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 28)

struct stop {
    struct span text;
    int32_t number; /* among the request's stop strings */
    size_t *
        border; /* [text.size]; of the first i + 1 bytes: the length of the longest proper prefix that is a suffix */
};

struct output_stops {
    size_t n;
    struct stop at[];
};

struct unsent {
    int32_t id;
    float logprob;
    bool ends;
    size_t start, end; /* of its text */
};

/* Bytes up to `end` that no earlier stretch has. */
struct tagged {
    size_t end;
    uint16_t tag;
};

struct output {
    const struct job_request *params;
    const struct output_stops *stops;
    uint32_t choice;
    bool prompt;
    const struct stop *cut; /* the stop string that ended the answer; NULL: none did */
    struct detokenizer detokenizer;
    struct strbuf text;
    struct grammar_matcher *grammar; /* NULL for none */
    struct tagged
        *tagged; /* [n_tagged]: stretches of the text and of what is held behind it; with a grammar */
    size_t n_tagged, tagged_room;
    uint16_t tag; /* of the last byte, or of the last control token */
    struct unsent *unsent; /* [n_unsent] */
    struct sampler_logprob *tops; /* [n_unsent][n_top], where the request wants log probabilities */
    size_t n_unsent, room;
    size_t *states; /* [stops->n] */
};

/* ---- stop strings ---- */

/* The state after `byte`. */
static size_t next_state(const struct stop *s, size_t state, uint8_t byte)
{
    if (state == s->text.size)
        state = s->border[state - 1];
    while (state > 0 && s->text.at[state] != byte)
        state = s->border[state - 1];
    return state + (s->text.at[state] == byte);
}

static void find_borders(struct stop *s)
{
    s->border[0] = 0;
    for (size_t i = 1; i < s->text.size; i++)
        s->border[i] = next_state(s, s->border[i - 1], s->text.at[i]);
}

struct output_stops *output_stops_new(const struct span *stops, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += stops[i].size;
    struct output_stops *s = malloc(sizeof(*s) + n * sizeof(s->at[0]) + bytes * sizeof(size_t));
    if (!s)
        return NULL;
    size_t *border = (size_t *)(s->at + n);
    s->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (stops[i].size == 0)
            continue;
        struct stop *stop = &s->at[s->n++];
        *stop = (struct stop){stops[i], (int32_t)i, border};
        find_borders(stop);
        border += stops[i].size;
    }
    return s;
}

void output_stops_free(struct output_stops *s)
{
    free(s);
}

/* The longest stop string that is complete with this byte, or NULL. */
static const struct stop *follow_stops(struct output *a, uint8_t byte)
{
    const struct stop *longest = NULL;
    for (size_t i = 0; i < a->stops->n; i++) {
        const struct stop *stop = &a->stops->at[i];
        a->states[i] = next_state(stop, a->states[i], byte);
        if (a->states[i] == stop->text.size && (!longest || stop->text.size > longest->text.size))
            longest = stop;
    }
    return longest;
}

/* Feeds the text from `from` on to the automata. Cuts the text before the first stop string that is complete. */
static void look_for_stops(struct output *a, size_t from)
{
    if (a->prompt)
        return;
    for (size_t i = from; i < a->text.size; i++) {
        const struct stop *stop = follow_stops(a, (uint8_t)a->text.text[i]);
        if (!stop)
            continue;
        a->text.size = i + 1 - stop->text.size;
        a->cut = stop;
        return;
    }
}

/* Bytes at the end that may become a stop string. */
static size_t bytes_in_doubt(const struct output *a)
{
    size_t most = 0;
    for (size_t i = 0; !a->prompt && i < a->stops->n; i++)
        if (a->states[i] > most)
            most = a->states[i];
    size_t marker = a->grammar ? grammar_matcher_in_doubt(a->grammar) : 0;
    marker -= marker < a->detokenizer.n_held ? marker : a->detokenizer.n_held;
    return marker > most ? (marker < a->text.size ? marker : a->text.size) : most;
}

/* ---- the life of an answer ---- */

struct output *output_new(const struct job_request *r, const struct tokenizer *t,
    const struct output_stops *stops, uint32_t choice, bool prompt)
{
    struct output *a = calloc(1, sizeof(*a) + stops->n * sizeof(size_t));
    if (!a)
        return NULL;
    a->params = r;
    a->stops = stops;
    a->choice = choice;
    a->prompt = prompt;
    a->states = (size_t *)(a + 1);
    /* An answer continues the prompt, so a space at its beginning belongs to it; at the beginning of a prompt the
     * tokenizer put the space there. */
    a->detokenizer = (struct detokenizer){.tokenizer = t, .special = r->special_text, .strip = prompt};
    strbuf_init(&a->text, TEXT_MAX);
    if (!a->text.failed)
        return a;
    output_free(a);
    return NULL;
}

void output_free(struct output *a)
{
    if (!a)
        return;
    strbuf_release(&a->text);
    free(a->tagged);
    free(a->unsent);
    free(a->tops);
    free(a);
}

/* ---- tokens in ---- */

static bool ends_answer(const struct output *a, int32_t id)
{
    const struct job_request *r = a->params;
    if (a->prompt)
        return false;
    for (size_t i = 0; i < r->n_stop_tokens; i++)
        if (r->stop_tokens[i] == id)
            return true;
    return (!r->ignore_end || a->grammar) && a->detokenizer.tokenizer &&
           tokenizer_is_end(a->detokenizer.tokenizer, id);
}

static bool make_room(struct output *a)
{
    if (a->n_unsent < a->room)
        return true;
    size_t room = a->room ? a->room * 2 : 8;
    struct unsent *unsent = realloc(a->unsent, room * sizeof(*unsent));
    if (unsent)
        a->unsent = unsent;
    size_t n_top = a->params->n_top;
    struct sampler_logprob *tops = n_top ? realloc(a->tops, room * n_top * sizeof(*tops)) : NULL;
    if (tops)
        a->tops = tops;
    if (!unsent || (n_top && !tops))
        return false;
    a->room = room;
    return true;
}

/* Appends a token without text to those that are not sent yet. NULL without memory. */
static struct unsent *append(struct output *a, int32_t id, float logprob, const struct sampler_logprob *top)
{
    if (!make_room(a))
        return NULL;
    size_t n_top = a->params->n_top, at = a->text.size + a->detokenizer.n_held;
    struct unsent *token = &a->unsent[a->n_unsent];
    *token = (struct unsent){.id = id, .logprob = logprob, .start = at, .end = at};
    for (size_t i = 0; i < n_top; i++)
        a->tops[a->n_unsent * n_top + i] = top ? top[i] : (struct sampler_logprob){SAMPLER_NONE, 0};
    a->n_unsent++;
    return token;
}

/* ---- tags ---- */

void output_set_grammar(struct output *a, struct grammar_matcher *m)
{
    a->grammar = m;
}

uint16_t output_tag(const struct output *a)
{
    return a->tag;
}

/* A stretch without bytes is that of a control token. */
static bool add_tagged(struct output *a, size_t bytes, uint16_t tag)
{
    a->tag = tag;
    struct tagged *last = a->n_tagged > 0 ? &a->tagged[a->n_tagged - 1] : NULL;
    if (last && last->tag == tag) {
        last->end += bytes;
        return true;
    }
    if (a->n_tagged == a->tagged_room) {
        size_t room = a->tagged_room ? 2 * a->tagged_room : 8;
        struct tagged *more = realloc(a->tagged, room * sizeof(*more));
        if (!more)
            return false;
        a->tagged = more;
        a->tagged_room = room;
        last = a->n_tagged > 0 ? &more[a->n_tagged - 1] : NULL;
    }
    a->tagged[a->n_tagged++] = (struct tagged){(last ? last->end : 0) + bytes, tag};
    return true;
}

/* Takes the last bytes back, which turned out to be a marker's, and tags them as such. */
static bool retag_last(struct output *a, size_t bytes)
{
    size_t left = bytes;
    while (left > 0 && a->n_tagged > 0) {
        struct tagged *last = &a->tagged[a->n_tagged - 1];
        size_t start = a->n_tagged > 1 ? last[-1].end : 0, size = last->end - start;
        size_t take = left < size ? left : size;
        last->end -= take;
        left -= take;
        a->n_tagged -= take == size;
    }
    return add_tagged(a, bytes - left, GRAMMAR_TAG_MARK);
}

/* Lets the matcher take the token, and stores the tags of its bytes. A control token that is shown as text has the
 * matcher's tag for it. */
static bool follow_grammar(struct output *a, int32_t id, size_t shown)
{
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    size_t back = 0, n = grammar_matcher_accept(a->grammar, id, runs, &back), tagged = 0;
    if (back > 0 && !retag_last(a, back))
        return false;
    if (n == 0 && !add_tagged(a, 0, GRAMMAR_TAG_MARK))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!add_tagged(a, runs[i].bytes, runs[i].tag))
            return false;
        tagged += runs[i].bytes;
    }
    return shown <= tagged || add_tagged(a, shown - tagged, a->tag);
}

static bool add_text(struct output *a, int32_t id)
{
    size_t before = a->text.size + a->detokenizer.n_held;
    if (a->params->text)
        detokenizer_add(&a->detokenizer, id, &a->text);
    return !a->grammar || follow_grammar(a, id, a->text.size + a->detokenizer.n_held - before);
}

enum output_result output_add(struct output *a, int32_t id, float logprob, const struct sampler_logprob *top)
{
    bool ends = ends_answer(a, id);
    if (ends && !a->params->end_token)
        return OUTPUT_STOPPED;
    size_t before = a->text.size;
    struct unsent *token = append(a, id, logprob, top);
    if (!token)
        return OUTPUT_NO_MEMORY;
    token->ends = ends;
    if (ends)
        return OUTPUT_STOPPED;
    if (!add_text(a, id))
        return OUTPUT_NO_MEMORY;
    token->end = a->text.size + a->detokenizer.n_held;
    look_for_stops(a, before);
    if (a->text.failed)
        return OUTPUT_NO_MEMORY;
    return a->cut ? OUTPUT_STOPPED : OUTPUT_GOES_ON;
}

/* ---- pieces out ---- */

/* How many tokens can be sent with the first `size` bytes of the text: those whose text begins in these bytes, and
 * those without text up to there. */
static size_t tokens_within(const struct output *a, size_t size)
{
    size_t n = 0;
    while (n < a->n_unsent && (a->unsent[n].start < size || a->unsent[n].end <= size))
        n++;
    return n;
}

static void fill_token(const struct output *a, size_t i, struct job_token *out)
{
    size_t n_top = a->params->n_top;
    out->id = a->unsent[i].id;
    out->logprob = a->unsent[i].logprob;
    out->ends = a->unsent[i].ends;
    if (out->top && a->tops[i * n_top].token != SAMPLER_NONE)
        memcpy(out->top, a->tops + i * n_top, n_top * sizeof(*out->top));
    else
        out->top = NULL; /* the prompt's first token has none */
}

/* Removes the first n tokens and `size` bytes, which were sent. */
static void drop(struct output *a, size_t n, size_t size)
{
    size_t n_top = a->params->n_top;
    a->n_unsent -= n;
    if (a->n_unsent > 0)
        memmove(a->unsent, a->unsent + n, a->n_unsent * sizeof(*a->unsent));
    if (a->n_unsent > 0 && n_top > 0)
        memmove(a->tops, a->tops + n * n_top, a->n_unsent * n_top * sizeof(*a->tops));
    for (size_t i = 0; i < a->n_unsent; i++) {
        a->unsent[i].start -= size;
        a->unsent[i].end -= size;
    }
    a->text.size -= size;
    memmove(a->text.text, a->text.text + size, a->text.size);
    size_t gone = 0;
    while (gone < a->n_tagged && a->tagged[gone].end <= size && (gone == 0 || a->tagged[gone].end < size))
        gone++; /* a stretch without bytes behind them stays */
    a->n_tagged -= gone;
    for (size_t i = 0; i < a->n_tagged; i++)
        a->tagged[i] = (struct tagged){a->tagged[i + gone].end - size, a->tagged[i + gone].tag};
}

/* Makes a piece of the first `size` bytes, which have one tag. */
static struct job_piece *take_stretch(struct output *a, size_t size, uint16_t tag)
{
    size_t n = tokens_within(a, size);
    struct job_piece *p = job_piece_new(a->choice, n, a->params->n_top, size, a->params->memory);
    if (!p)
        return NULL;
    p->prompt = a->prompt;
    p->tag = tag;
    p->finish = JOB_RUNNING;
    p->next = NULL;
    memcpy(p->text, a->text.text, size);
    for (size_t i = 0; i < n; i++)
        fill_token(a, i, &p->tokens[i]);
    drop(a, n, size);
    return p;
}

static void free_pieces(struct job_piece **first)
{
    for (struct job_piece *next; *first; *first = next) {
        next = (*first)->next;
        job_piece_free(*first);
    }
}

bool output_take(struct output *a, enum job_finish finish, struct job_piece **piece)
{
    struct job_piece **end = piece, *last;
    *piece = NULL;
    if (finish != JOB_RUNNING && !a->cut)
        detokenizer_end(&a->detokenizer, &a->text);
    size_t size = a->text.size - (finish == JOB_RUNNING ? bytes_in_doubt(a) : 0);
    if (a->text.failed)
        return false;
    if (tokens_within(a, size) == 0 && size == 0 && (finish == JOB_RUNNING || a->prompt))
        return true;
    do {
        bool tagged = a->n_tagged > 0;
        size_t part = tagged && a->tagged[0].end < size ? a->tagged[0].end : size;
        *end = take_stretch(a, part, tagged ? a->tagged[0].tag : a->tag);
        if (!*end) {
            free_pieces(piece);
            return false;
        }
        size -= part;
        last = *end;
        end = &last->next;
    } while (size > 0 || (a->n_tagged > 0 && a->tagged[0].end == 0));
    last->finish = a->prompt ? JOB_RUNNING : finish;
    last->stopped_by = a->cut ? a->cut->number : -1;
    return true;
}
