/* pretokenize.c - cuts text into words; byte-level BPE merges within a word.
 *
 * Each model family was trained with one regular expression or with a series of them, each of which cuts the pieces that
 * the ones before have left. The functions here match what those expressions match, and examine each character a bounded
 * number of times. A row of the table of names says which of them a family uses.
 *
 * Source of the expressions: the families' tokenizer.json files, in the form that llama.cpp uses, because its ids are the
 * reference. So letters outside ASCII count as both upper and lower case.
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

enum line_tail { TAIL_NONE, TAIL_LINES, TAIL_LINES_AND_SLASHES };

struct stage;

/* A part of the text between two borders of earlier stages. A match does not examine text beyond it. */
struct piece {
    const uint32_t *codes;
    const uint8_t *classes;
    size_t end;
    const struct stage *stage;
};

/* Returns where the match that begins at `at` ends; `at` when nothing matches there. */
typedef size_t (*match)(const struct piece *p, size_t at);

struct stage {
    match match;
    unsigned digits; /* most in a word */
    enum line_tail tail; /* what a run of punctuation includes at its end */
    bool marks; /* combining marks count as letters */
    bool cased; /* a word changes case once, from upper to lower */
    bool suffix; /* contractions such as 's belong to the word before */
    bool no_contractions;
};

/* --- Classes of characters --- */

static enum unicode_class class_at(const struct piece *p, size_t at)
{
    return (enum unicode_class)(p->classes[at] & ~WORD_STARTS);
}

static bool is(const struct piece *p, size_t at, enum unicode_class class)
{
    return at < p->end && class_at(p, at) == class;
}

static bool is_code(const struct piece *p, size_t at, uint32_t code)
{
    return at < p->end && p->codes[at] == code;
}

/* Equal to a letter of ASCII, without regard to case. */
static bool is_letter(const struct piece *p, size_t at, uint32_t lower)
{
    return at < p->end && (p->codes[at] | 0x20) == lower;
}

static bool is_line_end(const struct piece *p, size_t at)
{
    return is_code(p, at, '\r') || is_code(p, at, '\n');
}

/* A letter of a word; with `marks`, a combining mark as well. */
static bool is_word(const struct piece *p, size_t at)
{
    return is(p, at, UNICODE_LETTER) || (p->stage->marks && is(p, at, UNICODE_MARK));
}

static bool is_upper(const struct piece *p, size_t at)
{
    return is(p, at, UNICODE_LETTER) && !(p->codes[at] >= 'a' && p->codes[at] <= 'z');
}

static bool is_lower(const struct piece *p, size_t at)
{
    return is(p, at, UNICODE_LETTER) && !(p->codes[at] >= 'A' && p->codes[at] <= 'Z');
}

/* Neither letter nor number nor space: punctuation, symbols and all the rest. */
static bool is_other(const struct piece *p, size_t at)
{
    return at < p->end && !is_word(p, at) && !is(p, at, UNICODE_LETTER) && !is(p, at, UNICODE_NUMBER) &&
           !is(p, at, UNICODE_SPACE);
}

/* --- Parts that several expressions share --- */

static size_t run_of(const struct piece *p, size_t at, enum unicode_class class)
{
    while (is(p, at, class))
        at++;
    return at;
}

static size_t numbers(const struct piece *p, size_t at, size_t most)
{
    size_t from = at;
    while (at - from < most && is(p, at, UNICODE_NUMBER))
        at++;
    return at;
}

/* 's 't 'm 'd 're 've 'll */
static size_t contraction(const struct piece *p, size_t at, bool any_case)
{
    bool (*letter)(const struct piece *, size_t, uint32_t) = any_case ? is_letter : is_code;
    if (!is_code(p, at, '\''))
        return at;
    size_t a = at + 1, b = at + 2;
    if (letter(p, a, 's') || letter(p, a, 't') || letter(p, a, 'm') || letter(p, a, 'd'))
        return at + 2;
    if ((letter(p, a, 'r') && letter(p, b, 'e')) || (letter(p, a, 'v') && letter(p, b, 'e')) ||
        (letter(p, a, 'l') && letter(p, b, 'l')))
        return at + 3;
    return at;
}

/* White space, without the last character when other text follows: that one begins the next word. */
static size_t spaces(const struct piece *p, size_t at)
{
    size_t end = run_of(p, at, UNICODE_SPACE);
    return end - at > 1 && end < p->end ? end - 1 : end;
}

/* White space up to its last line end; `at` when it has none. */
static size_t lines(const struct piece *p, size_t at)
{
    size_t end = at;
    for (size_t i = at; is(p, i, UNICODE_SPACE); i++)
        if (is_line_end(p, i))
            end = i + 1;
    return end;
}

/* --- GPT-2's words --- */

static size_t match_gpt2(const struct piece *p, size_t at)
{
    size_t end = contraction(p, at, false);
    if (end > at)
        return end;
    size_t from = at + is_code(p, at, ' ');
    if ((end = run_of(p, from, UNICODE_LETTER)) > from || (end = run_of(p, from, UNICODE_NUMBER)) > from)
        return end;
    while (is_other(p, end))
        end++;
    return end > from ? end : spaces(p, at);
}

/* --- The words of Llama 3 and of those that followed --- */

/* Upper-case letters, then lower-case ones; one of the two may be missing. When the second run would be empty, a letter of
 * both cases at the end of the first one counts as the second. */
static size_t cased_letters(const struct piece *p, size_t at)
{
    size_t upper = at, end;
    while (is_upper(p, upper))
        upper++;
    for (end = upper; is_lower(p, end);)
        end++;
    if (end > upper)
        return end;
    while (end > at && !is_lower(p, end - 1))
        end--;
    return end > at ? end : upper;
}

static size_t letters(const struct piece *p, size_t at)
{
    if (p->stage->cased)
        return cased_letters(p, at);
    while (is_word(p, at))
        at++;
    return at;
}

/* Letters, with one character in front of them that is not a letter, a number or a line end. */
static size_t word(const struct piece *p, size_t at)
{
    bool leads = !is_line_end(p, at) && !is(p, at, UNICODE_LETTER) && !is(p, at, UNICODE_NUMBER);
    size_t end = leads ? letters(p, at + 1) : at;
    if (!leads || end == at + 1)
        end = letters(p, at);
    return p->stage->suffix && end > at ? contraction(p, end, true) : end;
}

static size_t punctuation(const struct piece *p, size_t at)
{
    size_t from = at + is_code(p, at, ' '), end = from;
    while (is_other(p, end))
        end++;
    if (end == from)
        return at;
    while (p->stage->tail != TAIL_NONE &&
           (is_line_end(p, end) || (p->stage->tail == TAIL_LINES_AND_SLASHES && is_code(p, end, '/'))))
        end++;
    return end;
}

static size_t match_llama3(const struct piece *p, size_t at)
{
    size_t end = p->stage->no_contractions || p->stage->suffix ? at : contraction(p, at, true);
    if (end > at || (end = word(p, at)) > at || (end = numbers(p, at, p->stage->digits)) > at ||
        (end = punctuation(p, at)) > at || (end = lines(p, at)) > at)
        return end;
    return spaces(p, at);
}

/* --- Expressions of a series --- */

static size_t match_numbers(const struct piece *p, size_t at)
{
    return numbers(p, at, p->stage->digits);
}

static size_t match_three_digits(const struct piece *p, size_t at)
{
    for (size_t i = at; i < at + 3; i++)
        if (i >= p->end || p->codes[i] < '0' || p->codes[i] > '9')
            return at;
    return at + 3;
}

/* Punctuation, with those ASCII symbols that the expression of `default` names: all but the backtick. */
static size_t match_punctuation(const struct piece *p, size_t at)
{
    while (is(p, at, UNICODE_PUNCTUATION) ||
           (is(p, at, UNICODE_SYMBOL) && p->codes[at] < 0x80 && p->codes[at] != '`'))
        at++;
    return at;
}

/* --- The table --- */

#define STAGES 4
#define ANY_NUMBER UINT32_MAX

struct pretokenizer {
    const char *name; /* in tokenizer.ggml.pre */
    bool ignores_merges, adds_bos;
    const struct stage *stages; /* rows without a match are not used */
};

static const struct stage gpt2[STAGES] = {{.match = match_gpt2}};
static const struct stage starcoder[STAGES] = {
    {.match = match_numbers, .digits = 1},
    {.match = match_gpt2},
};
static const struct stage llama3[STAGES] = {{.match = match_llama3, .digits = 3, .tail = TAIL_LINES}};
static const struct stage qwen2[STAGES] = {{.match = match_llama3, .digits = 1, .tail = TAIL_LINES}};
static const struct stage qwen35[STAGES] = {
    {.match = match_llama3, .digits = 1, .tail = TAIL_LINES, .marks = true},
};
static const struct stage seed_coder[STAGES] = {{.match = match_llama3, .digits = 1, .tail = TAIL_NONE}};
static const struct stage tekken[STAGES] = {
    {.match = match_llama3,
        .digits = 1,
        .tail = TAIL_LINES_AND_SLASHES,
        .cased = true,
        .no_contractions = true},
};
static const struct stage gpt4o[STAGES] = {
    {.match = match_llama3, .digits = 3, .tail = TAIL_LINES_AND_SLASHES, .cased = true, .suffix = true},
};
static const struct stage plain[STAGES] = {
    {.match = match_punctuation},
    {.match = match_gpt2},
    {.match = match_numbers, .digits = ANY_NUMBER},
    {.match = match_three_digits},
};

/* The reference treats the names of a row in the same way, except for the flags. */
static const struct pretokenizer pretokenizers[] = {
    {.name = "default", .stages = plain},
    {.name = "gpt-2", .stages = gpt2},
    {.name = "phi-2", .stages = gpt2},
    {.name = "a.x-4.0", .stages = gpt2},
    {.name = "exaone4", .stages = gpt2},
    {.name = "gigachat", .stages = gpt2},
    {.name = "granite-docling", .stages = gpt2},
    {.name = "jais", .stages = gpt2},
    {.name = "mellum", .stages = gpt2},
    {.name = "mpt", .stages = gpt2},
    {.name = "olmo", .stages = gpt2},
    {.name = "trillion", .stages = gpt2},
    {.name = "smollm", .stages = starcoder},
    {.name = "starcoder", .stages = starcoder},
    {.name = "refact", .stages = starcoder},
    {.name = "command-r", .stages = starcoder},
    {.name = "codeshell", .stages = starcoder},
    {.name = "exaone", .stages = starcoder},
    {.name = "mellum2", .stages = starcoder},
    {.name = "minerva-7b", .stages = starcoder},
    {.name = "llama-bpe", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "llama3", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "llama-v3", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "falcon3", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "falcon-h1", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "lfm2", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "midm-2.0", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "pixtral", .stages = llama3, .ignores_merges = true, .adds_bos = true},
    {.name = "glm4", .stages = llama3, .ignores_merges = true},
    {.name = "glm5", .stages = llama3, .ignores_merges = true},
    {.name = "chatglm-bpe", .stages = llama3},
    {.name = "dbrx", .stages = llama3},
    {.name = "smaug-bpe", .stages = llama3},
    {.name = "qwen2", .stages = qwen2},
    {.name = "bailingmoe", .stages = qwen2},
    {.name = "bailingmoe2", .stages = qwen2},
    {.name = "deepseek-r1-qwen", .stages = qwen2},
    {.name = "grok-2", .stages = qwen2},
    {.name = "hunyuan", .stages = qwen2},
    {.name = "kormo", .stages = qwen2},
    {.name = "llada-moe", .stages = qwen2},
    {.name = "megrez", .stages = qwen2},
    {.name = "solar-open", .stages = qwen2},
    {.name = "stablelm2", .stages = qwen2},
    {.name = "qwen35", .stages = qwen35},
    {.name = "seed-coder", .stages = seed_coder},
    {.name = "tekken", .stages = tekken, .ignores_merges = true, .adds_bos = true},
    {.name = "gpt-4o", .stages = gpt4o},
    {.name = "kanana2", .stages = gpt4o},
    {.name = "llama4", .stages = gpt4o},
    {.name = "minimax-m2", .stages = gpt4o},
    {.name = "talkie", .stages = gpt4o},
};

const struct pretokenizer *pretokenizer_find(struct span name)
{
    for (size_t i = 0; i < sizeof(pretokenizers) / sizeof(pretokenizers[0]); i++)
        if (span_is(name, pretokenizers[i].name))
            return &pretokenizers[i];
    return NULL;
}

const char *pretokenizer_name(const struct pretokenizer *p)
{
    return p->name;
}

bool pretokenizer_ignores_merges(const struct pretokenizer *p)
{
    return p->ignores_merges;
}

bool pretokenizer_adds_bos(const struct pretokenizer *p)
{
    return p->adds_bos;
}

/* Cuts one piece. Text between two matches stays whole. */
static void cut(const struct piece *p, uint8_t *classes, size_t from)
{
    for (size_t at = from; at < p->end;) {
        size_t end = p->stage->match(p, at);
        if (end > at) {
            classes[at] |= WORD_STARTS;
            if (end < p->end)
                classes[end] |= WORD_STARTS;
        }
        at = end > at ? end : at + 1;
    }
}

void pretokenize(const struct pretokenizer *p, const uint32_t *codes, uint8_t *classes, size_t n)
{
    if (n > 0)
        classes[0] |= WORD_STARTS;
    for (size_t i = 0; i < STAGES && p->stages[i].match; i++) {
        for (size_t from = 0, end; from < n; from = end) {
            for (end = from + 1; end < n && !(classes[end] & WORD_STARTS);)
                end++;
            const struct piece piece = {codes, classes, end, &p->stages[i]};
            cut(&piece, classes, from);
        }
    }
}
