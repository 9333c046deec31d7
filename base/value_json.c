/* value_json.c - a JSON reader by recursive descent, to a bounded depth. */
#include "berth/base/value_json.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 64 /* characters of a number */
#define WHOLE_DIGITS 18 /* so many fit in 64 bits */
#define MEMBERS_MAX 4096 /* of one map: each is compared with those before it */

struct json_input {
    struct value_arena *arena;
    struct span text;
    size_t at;
    unsigned depth;
    struct error *err;
};

static bool fail(const struct json_input *in, const char *what)
{
    return error_set(in->err, "byte %zu: %s", in->at, what);
}

static int peek(const struct json_input *in)
{
    return in->at < in->text.size ? in->text.at[in->at] : -1;
}

static void skip_space(struct json_input *in)
{
    for (int c = peek(in); c == ' ' || c == '\n' || c == '\t' || c == '\r'; c = peek(in))
        in->at++;
}

/* Skips white space and `c`. False when something else is there. */
static bool take(struct json_input *in, char c)
{
    skip_space(in);
    if (peek(in) != c)
        return false;
    in->at++;
    return true;
}

/* ---- strings ---- */

static bool four_digits(struct json_input *in, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        int c = peek(in);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return fail(in, "four hexadecimal digits are needed");
        *code = *code * 16 + (unsigned)digit;
    }
    return true;
}

static char *put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (char)(lead[more] | code >> (6 * more));
    while (more-- > 0)
        *out++ = (char)(0x80 | (code >> (6 * more) & 0x3f));
    return out;
}

/* The four digits of \u, and of a second one where the first is half of a pair. */
static bool read_code(struct json_input *in, char **out)
{
    unsigned code, low;
    if (!four_digits(in, &code))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (in->text.size - in->at < 2 || memcmp(in->text.at + in->at, "\\u", 2) != 0)
            return fail(in, "half of a surrogate pair");
        in->at += 2;
        if (!four_digits(in, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(in, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return fail(in, "half of a surrogate pair");
    }
    *out = put_utf8(*out, code);
    return true;
}

static bool read_escape(struct json_input *in, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = peek(in);
    const char *found = c > 0 ? strchr(from, c) : NULL;
    in->at++;
    if (c == 'u')
        return read_code(in, out);
    if (!found)
        return fail(in, "an escape that JSON does not have");
    *(*out)++ = to[found - from];
    return true;
}

/* A string is no longer than what it is read from. */
static bool read_string(struct json_input *in, struct value *v)
{
    size_t end = in->at;
    while (end < in->text.size && in->text.at[end] != '"')
        end += in->text.at[end] == '\\' ? 2 : 1;
    if (end >= in->text.size)
        return fail(in, "a string without its end");
    char *text = value_alloc(in->arena, end - in->at + 1), *out = text;
    if (!text)
        return value_arena_explain(in->arena, "the JSON", in->err);
    while (in->at < end) {
        size_t size = text_character((struct span){in->text.at + in->at, end - in->at});
        if (size == 0 || in->text.at[in->at] < ' ')
            return fail(in, "a string with a byte that must be escaped, or that is no UTF-8");
        if (in->text.at[in->at] == '\\') {
            in->at++;
            if (!read_escape(in, &out))
                return false;
            continue;
        }
        memcpy(out, in->text.at + in->at, size);
        out += size;
        in->at += size;
    }
    in->at = end + 1;
    *v = value_borrow((struct span){(uint8_t *)text, (size_t)(out - text)}, VALUE_FROM_TEMPLATE);
    return true;
}

/* ---- numbers and words ---- */

static size_t digits(const char *at)
{
    return strspn(at, "0123456789");
}

/* Length of the number at the start of `text`, and whether it has neither fraction nor exponent. 0: it is none. */
static size_t number_size(const char *text, bool *whole)
{
    const char *at = text + (text[0] == '-');
    size_t n = digits(at);
    if (n == 0 || (n > 1 && at[0] == '0'))
        return 0;
    at += n;
    *whole = *at != '.' && *at != 'e' && *at != 'E';
    if (*at == '.') {
        n = digits(at + 1);
        if (n == 0)
            return 0;
        at += 1 + n;
    }
    if (*at == 'e' || *at == 'E') {
        at += at[1] == '+' || at[1] == '-' ? 2 : 1;
        n = digits(at);
        if (n == 0)
            return 0;
        at += n;
    }
    return (size_t)(at - text);
}

static bool read_number(struct json_input *in, struct value *v)
{
    char text[NUMBER_MAX + 1];
    bool whole = false;
    size_t room = in->text.size - in->at;
    room = room < NUMBER_MAX ? room : NUMBER_MAX;
    memcpy(text, in->text.at + in->at, room);
    text[room] = '\0';
    size_t size = number_size(text, &whole);
    if (size == 0 || size == NUMBER_MAX)
        return fail(in, "no value, or a number that is written wrongly");
    text[size] = '\0';
    in->at += size;
    *v = whole && size <= WHOLE_DIGITS ? value_integer(strtoll(text, NULL, 10))
                                       : value_float(strtod(text, NULL));
    return true;
}

static bool read_word(struct json_input *in, struct value *v)
{
    const struct {
        const char *word;
        struct value value;
    } words[] = {{"true", value_bool(true)}, {"false", value_bool(false)}, {"null", value_null}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t size = strlen(words[i].word);
        if (in->text.size - in->at < size || memcmp(in->text.at + in->at, words[i].word, size) != 0)
            continue;
        in->at += size;
        *v = words[i].value;
        return true;
    }
    return read_number(in, v);
}

/* ---- lists and maps ---- */

static bool read_value(struct json_input *in, struct value *v);

static bool read_list(struct json_input *in, struct value *v)
{
    struct value item;
    *v = value_list(in->arena, 4);
    if (take(in, ']'))
        return true;
    do {
        if (!read_value(in, &item))
            return false;
        if (!value_append(in->arena, *v, item))
            return value_arena_explain(in->arena, "the JSON", in->err);
    } while (take(in, ','));
    return take(in, ']') || fail(in, "a list without its end");
}

static bool read_map(struct json_input *in, struct value *v)
{
    struct value key, member;
    *v = value_map(in->arena, 4);
    if (take(in, '}'))
        return true;
    do {
        if (!take(in, '"'))
            return fail(in, "the name of a member is needed");
        if (!read_string(in, &key))
            return false;
        if (!take(in, ':'))
            return fail(in, "a colon is needed");
        if (!read_value(in, &member))
            return false;
        if (v->kind == VALUE_MAP && v->map->n >= MEMBERS_MAX)
            return fail(in, "an object with too many members");
        if (!value_set(in->arena, *v, key, member))
            return value_arena_explain(in->arena, "the JSON", in->err);
    } while (take(in, ','));
    return take(in, '}') || fail(in, "an object without its end");
}

static bool read_value(struct json_input *in, struct value *v)
{
    if (take(in, '"'))
        return read_string(in, v);
    bool list = peek(in) == '[', map = peek(in) == '{';
    if (!list && !map)
        return read_word(in, v);
    if (in->depth == VALUE_DEPTH)
        return fail(in, "nested too deeply");
    in->at++;
    in->depth++;
    bool good = list ? read_list(in, v) : read_map(in, v);
    in->depth--;
    return good;
}

bool value_read_json(struct value_arena *a, struct span text, struct value *out, struct error *err)
{
    struct json_input in = {.arena = a, .text = text, .err = err};
    if (!read_value(&in, out))
        return false;
    skip_space(&in);
    if (in.at < text.size)
        return fail(&in, "something behind the end of the value");
    return !value_arena_failed(a) || value_arena_explain(a, "the JSON", err);
}
