/* lex.c - cuts a template into text, tags and the tokens in tags.
 *
 * Most of it is about white space, which becomes part of the prompt. "-" beside a delimiter strips all white space on that
 * side. A block tag or a comment removes the line break after it (trim_blocks) and the blanks between the start of its line
 * and itself (lstrip_blocks), except where it has a "+". There is one pass, which goes back only over the text before a tag.
 */
#include "template_private.h"

#include "berth/base/character.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BRACKETS 200 /* open at a time, in one tag */

struct lexer {
    struct value_arena *arena;
    struct error *err;
    struct span source; /* with "\n" for every line break */
    size_t pos;
    unsigned line;
    bool line_start; /* the last tag ended in a line break, or there was none yet */
    struct template_token *tokens;
    size_t n, room;
    char brackets[MAX_BRACKETS]; /* closing brackets that are still to come in the tag */
    size_t n_brackets;
};

static bool fail(struct lexer *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct lexer *x, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(x->err, "line %u: %s", x->line, text);
}

static struct template_token *add(struct lexer *x, enum template_token_kind kind, struct span text)
{
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 256;
        struct template_token *more = value_alloc(x->arena, room * sizeof(*more));
        if (!more) {
            fail(x, "no memory for the template");
            return NULL;
        }
        if (x->n > 0)
            memcpy(more, x->tokens, x->n * sizeof(*more));
        x->tokens = more;
        x->room = room;
    }
    struct template_token *t = &x->tokens[x->n++];
    *t = (struct template_token){.kind = kind, .line = x->line, .text = text};
    return t;
}

static struct span rest(const struct lexer *x)
{
    return (struct span){x->source.at + x->pos, x->source.size - x->pos};
}

static bool looks_at(const struct lexer *x, const char *text)
{
    size_t size = strlen(text);
    struct span s = rest(x);
    return s.size >= size && memcmp(s.at, text, size) == 0;
}

static void advance(struct lexer *x, size_t size)
{
    for (size_t i = 0; i < size; i++)
        x->line += x->source.at[x->pos + i] == '\n';
    x->pos += size;
}

static void skip_space(struct lexer *x)
{
    for (size_t size; (size = space_at(rest(x))) > 0;)
        advance(x, size);
}

/* Skips the end of a tag if it is here: `close`, with or without "-" or "+" before it. `trims` is for blocks and
 * comments. */
static bool skip_close(struct lexer *x, const char *close, bool trims)
{
    char strip_all[4] = "-", keep[4] = "+";
    memcpy(strip_all + 1, close, 3);
    memcpy(keep + 1, close, 3);
    if (looks_at(x, strip_all)) {
        advance(x, 3);
        skip_space(x);
    } else if (trims && looks_at(x, keep)) {
        advance(x, 3);
    } else if (looks_at(x, close)) {
        advance(x, 2);
        if (trims && looks_at(x, "\n"))
            advance(x, 1);
    } else {
        return false;
    }
    x->line_start = x->source.at[x->pos - 1] == '\n';
    return true;
}

/* The text before a tag, without the white space that the tag removes. */
static struct span before_tag(const struct lexer *x, struct span text, char sign, bool block)
{
    if (sign == '-') {
        for (size_t size; (size = space_before(text)) > 0;)
            text.size -= size;
    } else if (sign != '+' && block) {
        struct span blank = text;
        while (blank.size > 0 && blank.at[blank.size - 1] != '\n') {
            size_t size = space_before(blank);
            if (size == 0)
                return text;
            blank.size -= size;
        }
        if (blank.size > 0 || x->line_start)
            return blank;
    }
    return text;
}

static bool add_data(struct lexer *x, struct span text)
{
    return text.size == 0 || add(x, TOKEN_DATA, text);
}

/* Whether a tag of this one word is here, as in {% raw %}; `size` is its length without the closing part. */
static bool word_tag(const struct lexer *x, const char *word, size_t *size)
{
    struct span s = rest(x);
    size_t at = 2;
    if (s.size < 2 || s.at[0] != '{' || s.at[1] != '%')
        return false;
    at += at < s.size && (s.at[at] == '-' || s.at[at] == '+');
    for (size_t n; (n = space_at((struct span){s.at + at, s.size - at})) > 0;)
        at += n;
    if (s.size - at < strlen(word) || memcmp(s.at + at, word, strlen(word)) != 0)
        return false;
    at += strlen(word);
    for (size_t n; (n = space_at((struct span){s.at + at, s.size - at})) > 0;)
        at += n;
    *size = at;
    return s.size - at >= 2 &&
           (memcmp(s.at + at, "%}", 2) == 0 ||
               (s.size - at >= 3 && memchr("-+", s.at[at], 2) && memcmp(s.at + at + 1, "%}", 2) == 0));
}

static bool lex_raw(struct lexer *x, size_t size)
{
    unsigned line = x->line;
    advance(x, size);
    if (looks_at(x, "+%}"))
        return fail(x, "unexpected '+'");
    skip_close(x, "%}", false);
    size_t start = x->pos, end;
    while (x->pos < x->source.size && !word_tag(x, "endraw", &end))
        advance(x, 1);
    if (x->pos == x->source.size) {
        x->line = line;
        return fail(x, "raw has no endraw");
    }
    struct span text = {x->source.at + start, x->pos - start};
    if (!add_data(x, before_tag(x, text, (char)x->source.at[x->pos + 2], true)))
        return false;
    advance(x, end);
    return skip_close(x, "%}", true);
}

static bool lex_comment(struct lexer *x)
{
    unsigned line = x->line;
    advance(x, 2);
    if (looks_at(x, "-") || looks_at(x, "+"))
        advance(x, 1);
    while (x->pos < x->source.size && !looks_at(x, "#}") && !looks_at(x, "-#}") && !looks_at(x, "+#}"))
        advance(x, 1);
    if (skip_close(x, "#}", true))
        return true;
    x->line = line;
    return fail(x, "a comment has no end");
}

/* ---- inside tags ---- */

static unsigned digit_of(uint8_t c)
{
    return isdigit(c) ? (unsigned)(c - '0') : isalpha(c) ? (unsigned)(tolower(c) - 'a') + 10 : 99;
}

/* Digits with single underscores between them; returns how many bytes. */
static size_t digits_at(struct span s, size_t at, unsigned base)
{
    size_t start = at;
    while (at < s.size) {
        size_t here = at + (at > start && s.at[at] == '_');
        if (here >= s.size || digit_of(s.at[here]) >= base)
            break;
        at = here + 1;
    }
    return at - start;
}

/* The length of the float at the start of `s`, or 0: digits with a fraction, an exponent or both. */
static size_t float_at(struct span s)
{
    size_t at = digits_at(s, 0, 10), whole = at;
    if (at == 0)
        return 0;
    size_t n = at < s.size && s.at[at] == '.' ? digits_at(s, at + 1, 10) : 0;
    at += n ? n + 1 : 0;
    if (at < s.size && (s.at[at] == 'e' || s.at[at] == 'E')) {
        size_t sign = at + 1 < s.size && (s.at[at + 1] == '+' || s.at[at + 1] == '-');
        n = digits_at(s, at + 1 + sign, 10);
        at += n ? n + 1 + sign : 0;
    }
    return at > whole ? at : 0;
}

static bool lex_float(struct lexer *x, size_t size)
{
    char text[400];
    size_t n = 0;
    if (size >= sizeof(text))
        return fail(x, "a number is too long");
    for (size_t i = 0; i < size; i++)
        if (x->source.at[x->pos + i] != '_')
            text[n++] = (char)x->source.at[x->pos + i];
    text[n] = '\0';
    struct template_token *t = add(x, TOKEN_FLOAT, (struct span){x->source.at + x->pos, size});
    if (!t)
        return false;
    t->real = strtod(text, NULL);
    x->pos += size;
    return true;
}

static bool lex_integer(struct lexer *x)
{
    struct span s = rest(x);
    static const struct {
        char letter;
        unsigned base;
    } bases[] = {{'b', 2}, {'o', 8}, {'x', 16}};
    size_t start = 0, size = 0;
    unsigned base = 10;
    for (size_t i = 0; s.size > 2 && s.at[0] == '0' && i < 3; i++)
        if (tolower(s.at[1]) == bases[i].letter) {
            base = bases[i].base;
            start = s.at[2] == '_' ? 3 : 2;
            size = digits_at(s, start, base);
        }
    if (size == 0) {
        base = 10;
        start = 0;
        size = digits_at(s, 0, s.at[0] == '0' ? 1 : 10); /* no zeros in front */
    }
    struct template_token *t = add(x, TOKEN_INTEGER, (struct span){s.at, start + size});
    for (size_t i = start; t && i < start + size; i++)
        if (s.at[i] != '_' && !t->too_large)
            t->too_large = __builtin_mul_overflow(t->integer, (int64_t)base, &t->integer) ||
                           __builtin_add_overflow(t->integer, (int64_t)digit_of(s.at[i]), &t->integer);
    x->pos += start + size;
    return t != NULL;
}

/* The code of a \x, \u or \U escape with `digits` digits after `s`, or -1. */
static int64_t hex_escape(struct span s, size_t digits)
{
    int64_t code = 0;
    if (s.size < digits)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        if (!isxdigit(s.at[i]))
            return -1;
        code = code * 16 + digit_of(s.at[i]);
    }
    return code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? -1 : code;
}

/* Writes the character of the escape after a backslash, and returns how many bytes of `s` it took; 0 for one that is wrong
 * or not supported. Other characters are no escapes, and stay with their backslash. */
static size_t escape_at(struct span s, char *out, size_t *n)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    const char *simple = s.at[0] ? strchr(from, s.at[0]) : NULL;
    if (simple) {
        out[(*n)++] = to[simple - from];
        return 1;
    }
    if (s.at[0] == '\n')
        return 1;
    if (s.at[0] == 'x' || s.at[0] == 'u' || s.at[0] == 'U') {
        size_t digits = s.at[0] == 'x' ? 2 : s.at[0] == 'u' ? 4 : 8;
        int64_t code = hex_escape((struct span){s.at + 1, s.size - 1}, digits);
        if (code < 0)
            return 0;
        *n += put_character((uint32_t)code, out + *n);
        return digits + 1;
    }
    if (s.at[0] == 'N')
        return 0;
    size_t octal = 0;
    unsigned code = 0;
    while (octal < 3 && octal < s.size && s.at[octal] >= '0' && s.at[octal] <= '7')
        code = code * 8 + (unsigned)(s.at[octal++] - '0');
    if (octal > 0) {
        *n += put_character(code, out + *n);
        return octal;
    }
    out[(*n)++] = '\\';
    out[(*n)++] = (char)s.at[0];
    return 1;
}

static bool lex_string(struct lexer *x)
{
    struct span s = rest(x);
    uint8_t quote = s.at[0];
    size_t end = 1;
    while (end < s.size && s.at[end] != quote)
        end += s.at[end] == '\\' ? 2 : 1;
    if (end >= s.size)
        return fail(x, "a string has no end");
    /* No escape becomes longer: it has at least as many bytes as the character that it stands for. */
    char *text = value_alloc(x->arena, end + 4);
    if (!text)
        return fail(x, "no memory for the template");
    size_t n = 0;
    for (size_t i = 1; i < end;) {
        if (s.at[i] != '\\') {
            text[n++] = (char)s.at[i++];
            continue;
        }
        size_t took = escape_at((struct span){s.at + i + 1, end - i - 1}, text, &n);
        if (took == 0)
            return fail(x, "the escape \\%c in a string is wrong, or not supported", s.at[i + 1]);
        i += took + 1;
    }
    bool good = add(x, TOKEN_STRING, (struct span){(const uint8_t *)text, n}) != NULL;
    advance(x, end + 1);
    return good;
}

static bool balance(struct lexer *x, char c)
{
    static const char open[] = "([{", close[] = ")]}";
    const char *at = strchr(open, c);
    if (at) {
        if (x->n_brackets == MAX_BRACKETS)
            return fail(x, "more than %d nested brackets", MAX_BRACKETS);
        x->brackets[x->n_brackets++] = close[at - open];
    } else if (strchr(close, c)) {
        if (x->n_brackets == 0)
            return fail(x, "unexpected '%c'", c);
        char expected = x->brackets[--x->n_brackets];
        if (expected != c)
            return fail(x, "unexpected '%c', expected '%c'", c, expected);
    }
    return true;
}

static bool lex_operator(struct lexer *x)
{
    static const char *const operators[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~",
        "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"};
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (!looks_at(x, operators[i]))
            continue;
        if (!balance(x, operators[i][0]))
            return false;
        bool good = add(x, TOKEN_OPERATOR, span_of(operators[i])) != NULL;
        x->pos += strlen(operators[i]);
        return good;
    }
    char shown[16];
    struct span s = rest(x);
    text_escape(shown, sizeof(shown), (struct span){s.at, text_character(s)});
    return fail(x, "unexpected character '%s'", shown);
}

/* Bytes of the character at the start of `s` that can begin a name, or be in one; 0 when it cannot. */
static size_t name_character(struct span s, bool first)
{
    size_t size = 0;
    uint32_t c = s.size > 0 ? get_character(s, &size) : 0;
    if (c < 0x80)
        return c == '_' || (first ? isalpha((int)c) : isalnum((int)c)) ? 1 : 0;
    unsigned rest = first ? 0 : CHARACTER_DECIMAL | CHARACTER_IGNORABLE;
    return character_class(c) & (CHARACTER_ALPHA | rest) ? size : 0;
}

static bool lex_word(struct lexer *x)
{
    struct span s = rest(x);
    size_t size = 0;
    if ((size = name_character(s, true)) > 0) {
        for (size_t next; (next = name_character((struct span){s.at + size, s.size - size}, false)) > 0;)
            size += next;
        bool good = add(x, TOKEN_NAME, (struct span){s.at, size}) != NULL;
        x->pos += size;
        return good;
    }
    if (isdigit(s.at[0])) {
        bool after_dot = x->pos > 0 && s.at[-1] == '.';
        size = after_dot ? 0 : float_at(s);
        return size ? lex_float(x, size) : lex_integer(x);
    }
    return s.at[0] == '\'' || s.at[0] == '"' ? lex_string(x) : lex_operator(x);
}

static bool lex_tag(struct lexer *x, bool block)
{
    const char *close = block ? "%}" : "}}";
    unsigned line = x->line;
    if (!add(x, block ? TOKEN_BLOCK_BEGIN : TOKEN_PRINT_BEGIN, (struct span){NULL, 0}))
        return false;
    advance(x, 2);
    if (looks_at(x, "-") || looks_at(x, "+"))
        advance(x, 1);
    x->n_brackets = 0;
    for (;;) {
        unsigned at = x->line;
        if (x->n_brackets == 0 && skip_close(x, close, block)) {
            struct template_token *t =
                add(x, block ? TOKEN_BLOCK_END : TOKEN_PRINT_END, (struct span){NULL, 0});
            if (t)
                t->line = at;
            return t != NULL;
        }
        size_t before = x->pos;
        skip_space(x);
        if (x->pos > before)
            continue;
        if (x->pos == x->source.size) {
            x->line = line;
            return fail(x, "a tag that begins here has no end");
        }
        if (!lex_word(x))
            return false;
    }
}

static bool lex_all(struct lexer *x)
{
    while (x->pos < x->source.size) {
        size_t start = x->pos, size;
        while (x->pos < x->source.size && !looks_at(x, "{{") && !looks_at(x, "{%") && !looks_at(x, "{#"))
            x->pos++;
        struct span text = {x->source.at + start, x->pos - start};
        char kind = x->source.size - x->pos > 1 ? (char)x->source.at[x->pos + 1] : '\0';
        char sign = x->source.size - x->pos > 2 ? (char)x->source.at[x->pos + 2] : '\0';
        struct span kept = x->pos < x->source.size ? before_tag(x, text, sign, kind != '{') : text;
        if (!add_data(x, kept))
            return false;
        size_t end = x->pos;
        x->pos = start;
        advance(x, end - start);
        if (x->pos == x->source.size)
            break;
        bool good = kind == '#'                                ? lex_comment(x)
                    : kind == '%' && word_tag(x, "raw", &size) ? lex_raw(x, size)
                                                               : lex_tag(x, kind == '%');
        if (!good)
            return false;
    }
    return add(x, TOKEN_END, (struct span){NULL, 0}) != NULL;
}

/* Makes every line break "\n" and leaves out one at the very end. */
static bool normalize(struct lexer *x, struct span source)
{
    uint8_t *copy = value_alloc(x->arena, source.size + 1);
    if (!copy)
        return error_set(x->err, "no memory for the template");
    size_t n = 0;
    for (size_t i = 0; i < source.size; i++) {
        if (source.at[i] == '\r' && i + 1 < source.size && source.at[i + 1] == '\n')
            continue;
        copy[n++] = source.at[i] == '\r' ? '\n' : source.at[i];
    }
    n -= n > 0 && copy[n - 1] == '\n';
    x->source = (struct span){copy, n};
    return true;
}

struct template_token *template_lex(struct value_arena *arena, struct span source, struct error *err)
{
    struct lexer x = {.arena = arena, .err = err, .line = 1, .line_start = true};
    for (size_t i = 0, size; i < source.size; i += size) {
        size = text_character((struct span){source.at + i, source.size - i});
        if (size == 0) {
            error_set(err, "the template is not UTF-8 at byte %zu", i);
            return NULL;
        }
    }
    return normalize(&x, source) && lex_all(&x) ? x.tokens : NULL;
}
