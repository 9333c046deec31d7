/* json_scan.c - walks JSON forward: strings, numbers, brackets. The grammar is RFC 8259. */
#include "json_scan_private.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 40 /* characters of a number */

bool json_scan_fail(struct json_scan *s, const char *what)
{
    if (!s->failed)
        error_set(s->err, "byte %zu: %s", s->at, what);
    s->failed = true;
    return false;
}

char json_scan_peek(struct json_scan *s)
{
    while (s->at < s->text.size) {
        const uint8_t c = s->text.at[s->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return (char)c;
        s->at++;
    }
    return '\0';
}

static bool take(struct json_scan *s, char c)
{
    if (s->failed || json_scan_peek(s) != c)
        return false;
    s->at++;
    return true;
}

bool json_scan_enter(struct json_scan *s, char open)
{
    return take(s, open) || json_scan_fail(s, open == '{' ? "an object is needed" : "a list is needed");
}

/* A comma between two entries; `close` ends them. */
static bool go_on(struct json_scan *s, bool *first, char close)
{
    const bool begins = *first;
    *first = false;
    if (s->failed || take(s, close))
        return false;
    return begins || take(s, ',') || json_scan_fail(s, "a comma or an end is needed");
}

bool json_scan_member(struct json_scan *s, bool *first, struct span *name)
{
    if (!go_on(s, first, '}') || !json_scan_text(s, name))
        return false;
    return take(s, ':') || json_scan_fail(s, "a colon is needed");
}

bool json_scan_item(struct json_scan *s, bool *first)
{
    return go_on(s, first, ']');
}

bool json_scan_text(struct json_scan *s, struct span *raw)
{
    if (!take(s, '"'))
        return json_scan_fail(s, "a string is needed");
    const size_t start = s->at;
    for (size_t i = start; i < s->text.size; i++) {
        const uint8_t c = s->text.at[i];
        if (c == '"') {
            *raw = (struct span){s->text.at + start, i - start};
            s->at = i + 1;
            return true;
        }
        if (c < ' ')
            break;
        i += c == '\\';
    }
    return json_scan_fail(s, "a string without its end, or with a byte that must be escaped");
}

/* Copies the characters of a number, which ends at anything else. */
static bool take_number(struct json_scan *s, char out[NUMBER_MAX + 1])
{
    size_t n = 0;
    json_scan_peek(s);
    while (!s->failed && s->at + n < s->text.size && n < NUMBER_MAX && s->text.at[s->at + n] != '\0' &&
           strchr("+-.0123456789eE", s->text.at[s->at + n]))
        n++;
    if (n > 0)
        memcpy(out, s->text.at + s->at, n);
    out[n] = '\0';
    s->at += n;
    return (n > 0 && n < NUMBER_MAX) || json_scan_fail(s, "a number is needed");
}

bool json_scan_whole(struct json_scan *s, uint64_t *out)
{
    char text[NUMBER_MAX + 1];
    const size_t at = s->at;
    if (!take_number(s, text))
        return false;
    size_t n = strspn(text, "0123456789");
    if (text[n] != '\0' || n > 19) {
        s->at = at;
        return json_scan_fail(s, "a whole number that is not negative is needed");
    }
    *out = strtoull(text, NULL, 10);
    return true;
}

bool json_scan_real(struct json_scan *s, double *out)
{
    char text[NUMBER_MAX + 1], *end;
    if (!take_number(s, text))
        return false;
    *out = strtod(text, &end);
    return *end == '\0' || json_scan_fail(s, "a number is written wrongly");
}

/* Goes behind the end of the object or list that begins here. Brackets are counted, not matched: what is skipped has no
 * meaning here. It is one loop, because most of a large file is skipped. */
static bool skip_brackets(struct json_scan *s)
{
    const uint8_t *const text = s->text.at;
    const size_t size = s->text.size;
    size_t depth = 0;
    for (size_t i = s->at; i < size; i++) {
        const uint8_t c = text[i];
        if (c == '"') {
            for (i++; i < size && text[i] != '"'; i++)
                i += text[i] == '\\';
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            s->at = i + 1;
            return true;
        }
    }
    return json_scan_fail(s, "a value is cut short");
}

/* Goes behind a number or a word. */
static bool skip_word(struct json_scan *s)
{
    const size_t start = s->at;
    while (s->at < s->text.size && s->text.at[s->at] && !strchr(",:{}[]\" \n\r\t", s->text.at[s->at]))
        s->at++;
    return s->at > start || json_scan_fail(s, "a value is needed");
}

bool json_scan_skip(struct json_scan *s, struct span *value)
{
    struct span ignored;
    const char begin = json_scan_peek(s);
    const size_t start = s->at;
    if (s->failed)
        return false;
    const bool good = begin == '{' || begin == '[' ? skip_brackets(s)
                      : begin == '"'               ? json_scan_text(s, &ignored)
                                                   : skip_word(s);
    if (value)
        *value = (struct span){s->text.at + start, s->at - start};
    return good;
}

bool json_scan_end(struct json_scan *s)
{
    return !s->failed && (json_scan_peek(s) == '\0' && s->at == s->text.size
                                 ? true
                                 : json_scan_fail(s, "something behind the end"));
}

/* ---- strings ---- */

static bool four_digits(struct span raw, size_t at, unsigned *code)
{
    *code = 0;
    if (raw.size - at < 4)
        return false;
    for (size_t i = at; i < at + 4; i++) {
        static const char digits[] = "0123456789abcdef";
        const int c = raw.at[i] >= 'A' && raw.at[i] <= 'F' ? raw.at[i] | 0x20 : raw.at[i];
        const char *found = c ? strchr(digits, c) : NULL;
        if (!found)
            return false;
        *code = *code * 16 + (unsigned)(found - digits);
    }
    return true;
}

static size_t put_utf8(uint8_t *out, unsigned code)
{
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    const size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    out[0] = (uint8_t)(lead[more] | code >> (6 * more));
    for (size_t i = 1; i <= more; i++)
        out[i] = (uint8_t)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

/* The digits behind \u, and a second escape where the first is half of a pair. */
static bool read_code(struct span raw, size_t *at, unsigned *code)
{
    unsigned low;
    if (!four_digits(raw, *at, code) || (*code >= 0xdc00 && *code < 0xe000))
        return false;
    *at += 4;
    if (*code < 0xd800 || *code >= 0xdc00)
        return true;
    if (raw.size - *at < 6 || raw.at[*at] != '\\' || raw.at[*at + 1] != 'u' ||
        !four_digits(raw, *at + 2, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *at += 6;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

bool json_scan_unescape(struct span raw, uint8_t *out, size_t *size)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t n = 0;
    for (size_t i = 0; i < raw.size;) {
        if (raw.at[i] != '\\') {
            out[n++] = raw.at[i++];
            continue;
        }
        if (++i == raw.size)
            return false;
        const uint8_t c = raw.at[i++];
        const char *found = c ? strchr(from, c) : NULL;
        unsigned code;
        if (found)
            out[n++] = (uint8_t)to[found - from];
        else if (c == 'u' && read_code(raw, &i, &code))
            n += put_utf8(out + n, code);
        else
            return false;
    }
    *size = n;
    return true;
}
