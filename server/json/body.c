/* body.c - reads and writes JSON bodies. */
#include "berth/server/json/body.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL_DIGITS 10 /* small replies hold measured times; large arrays of numbers are not written here */
#define EXACT_MAX 9007199254740992.0 /* a double holds every whole number up to here */

static void *(*reallocate_memory)(void *at, size_t size);

/* An allocation failed on this thread. */
static _Thread_local bool allocation_failed;

static void *json_reallocate(void *at, size_t size)
{
    void *moved = reallocate_memory(at, size);
    allocation_failed |= !moved && size > 0;
    return moved;
}

static void *json_allocate(size_t size)
{
    return json_reallocate(NULL, size);
}

void json_setup(void *(*reallocate)(void *at, size_t size), void (*release)(void *at))
{
    reallocate_memory = reallocate;
    json_set_alloc_funcs2(json_allocate, json_reallocate, release);
}

json_t *json_parse(struct span text, size_t flags, json_error_t *why, bool *no_memory)
{
    allocation_failed = false;
    json_t *value = json_loadb((const char *)text.at, text.size, flags, why);
    *no_memory = allocation_failed;
    if (!allocation_failed)
        return value;
    json_decref(value);
    return NULL;
}

const char *json_message(const char *message, char *room, size_t size)
{
    json_t *string = json_string(message);
    json_decref(string);
    if (string)
        return message;
    text_escape(room, size, span_of(message));
    return room;
}

void reply_json(struct reply *r, unsigned status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) : NULL;
    json_decref(body);
    reply_owned(r, status, "application/json", text, text ? strlen(text) : 0);
}

size_t http_json_bytes(struct span body)
{
    static const uint16_t bytes_of[256] = {['"'] = 32, [','] = 48, ['['] = 144, ['{'] = 304};
    size_t bytes = 0;
    bool quoted = false;
    for (size_t i = 0; i < body.size; i++) {
        uint8_t c = body.at[i];
        if (c == '"')
            quoted = !quoted;
        if (quoted && c == '\\')
            i++;
        if (!quoted || c == '"')
            bytes += bytes_of[c];
    }
    return bytes;
}

/* A body may begin with a byte order mark, which some clients write. */
static struct span without_mark(struct span body)
{
    size_t size = body.size >= 3 && memcmp(body.at, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    return (struct span){body.at + size, body.size - size};
}

/* A real that is a whole number which a double holds exactly becomes an integer again. */
static json_t *whole_again(json_t *value)
{
    double number = json_real_value(value);
    if (!json_is_real(value) || number != floor(number) || fabs(number) > EXACT_MAX)
        return NULL;
    return json_integer((json_int_t)number);
}

static void make_whole(json_t *value)
{
    const char *name;
    json_t *member, *whole;
    size_t i;
    void *next;
    json_object_foreach_safe(value, next, name, member)
    {
        make_whole(member);
        whole = whole_again(member);
        if (whole)
            json_object_iter_set_new(value, json_object_key_to_iter(name), whole);
    }
    json_array_foreach(value, i, member)
    {
        make_whole(member);
        whole = whole_again(member);
        if (whole)
            json_array_set_new(value, i, whole);
    }
}

/* An integer beyond 64 bits is legal JSON that jansson refuses. Such a body is parsed again with all integers as
 * reals; those that fit are integers again then, so that only the large one is changed. */
static json_t *parse(struct span body, json_error_t *why, bool *no_memory)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *value = json_parse(body, flags, why, no_memory);
    if (value || *no_memory || json_error_code(why) != json_error_numeric_overflow)
        return value;
    value = json_parse(body, flags | JSON_DECODE_INT_AS_REAL, why, no_memory);
    make_whole(value);
    *no_memory |= allocation_failed;
    return value;
}

json_t *http_request_json(const struct http_request *q, struct error *err)
{
    json_error_t why;
    struct span body = without_mark(q->body);
    if (body.size == 0) {
        error_set(err, "the body is empty; a JSON object is expected");
        return NULL;
    }
    if (http_json_bytes(body) > HTTP_JSON_MAX) {
        error_set(err, "the body has more values in it than a request may have");
        return NULL;
    }
    bool no_memory;
    json_t *value = parse(body, &why, &no_memory);
    if (no_memory) {
        json_decref(value);
        value = NULL;
        error_no_memory(err, "the request");
    } else if (!value) {
        char text[320];
        text_escape(text, sizeof(text), span_of(why.text));
        error_set(err, "the body is not valid JSON: %s (line %d, column %d)", text, why.line, why.column);
    }
    return value;
}
