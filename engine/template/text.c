/* text.c - what is done to strings: by characters, not bytes, and with their origin kept.
 *
 * Strings are valid UTF-8: the template was checked, and whoever makes values of a client's text checks that.
 */
#include "template_private.h"

#include <string.h>

size_t put_character(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i > 1; i--, code >>= 6)
        out[i - 1] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(leads[n] | code);
    return n;
}

uint32_t get_character(struct span s, size_t *size)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *size = text_character(s);
    if (*size == 0) { /* not UTF-8, against the contract: stay inside the string */
        *size = 1;
        return 0xfffd;
    }
    uint32_t code = s.at[0] & masks[*size];
    for (size_t i = 1; i < *size; i++)
        code = code << 6 | (s.at[i] & 0x3f);
    return code;
}

static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

size_t space_at(struct span s)
{
    size_t size = 0;
    return s.size > 0 && is_space(get_character(s, &size)) ? size : 0;
}

static struct span last_character(struct span s)
{
    size_t size = 1;
    while (size < 4 && size < s.size && (s.at[s.size - size] & 0xc0) == 0x80)
        size++;
    return (struct span){s.at + s.size - size, size};
}

size_t space_before(struct span s)
{
    return s.size > 0 ? space_at(last_character(s)) : 0;
}

size_t count_characters(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.size; i++)
        n += (s.at[i] & 0xc0) != 0x80;
    return n;
}

size_t character_offset(struct span s, size_t n)
{
    for (size_t i = 0; i < s.size; i++)
        if ((s.at[i] & 0xc0) != 0x80 && n-- == 0)
            return i;
    return s.size;
}

size_t find_bytes(struct span in, struct span what, size_t from)
{
    if (from > in.size)
        return SIZE_MAX;
    if (what.size == 0)
        return from;
    const uint8_t *at = memmem(in.at + from, in.size - from, what.at, what.size);
    return at ? (size_t)(at - in.at) : SIZE_MAX;
}

bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.at[i] >= 0x80)
            return false;
    return true;
}

/* Whether a character is to be stripped: white space, or one of `characters`. */
static bool strips(struct span c, const struct value *characters)
{
    return characters ? find_bytes(value_span(*characters), c, 0) != SIZE_MAX : space_at(c) > 0;
}

struct value strip(const struct value *whole_text, const struct value *characters, bool left, bool right)
{
    struct value s = *whole_text;
    while (left && s.text.size > 0) {
        size_t size;
        get_character(value_span(s), &size);
        if (!strips((struct span){(const uint8_t *)s.text.at, size}, characters))
            break;
        s = value_part(s, size, s.text.size);
    }
    while (right && s.text.size > 0) {
        struct span c = last_character(value_span(s));
        if (!strips(c, characters))
            break;
        s = value_part(s, 0, s.text.size - c.size);
    }
    return s;
}

size_t line_end(struct value s, size_t at, size_t *next)
{
    for (size_t i = at; i < s.text.size; i++) {
        size_t size;
        uint32_t c = get_character((struct span){(const uint8_t *)s.text.at + i, s.text.size - i}, &size);
        bool pair = c == '\r' && i + 1 < s.text.size && s.text.at[i + 1] == '\n';
        *next = i + (pair ? 2 : size);
        if ((c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029)
            return i;
        i += size - 1;
    }
    *next = s.text.size;
    return s.text.size;
}

size_t find_last(struct span in, struct span what)
{
    for (size_t at = in.size >= what.size ? in.size - what.size + 1 : 0; at > 0; at--)
        if (what.size == 0 || memcmp(in.at + at - 1, what.at, what.size) == 0)
            return at - 1;
    return SIZE_MAX;
}

bool pad_text(
    struct template_run *r, const struct value *s, size_t left, size_t right, const struct value *fill)
{
    const struct value blank = value_literal(" ");
    for (size_t i = 0; i < left + right; i++) {
        if (i == left && !run_add_text(r, s))
            return false;
        if (!run_step(r, 1) || !run_add_text(r, fill ? fill : &blank))
            return false;
    }
    return right > 0 || run_add_text(r, s);
}

bool replace_text(struct template_run *r, struct value s, struct value old, struct value new, int64_t count,
    struct value *out)
{
    size_t start = r->size, at = 0, from = 0;
    struct span in = value_span(s), what = value_span(old);
    for (; count != 0 && run_step(r, 1); count--) {
        size_t found = find_bytes(in, what, from);
        if (found == SIZE_MAX)
            break;
        if (!run_add_part(r, &s, at, found) || !run_add_text(r, &new))
            return false;
        at = found + what.size;
        from = at;
        if (what.size == 0) { /* between all characters */
            if (at == in.size)
                break;
            size_t size;
            get_character((struct span){in.at + at, in.size - at}, &size);
            from = at + size;
        }
    }
    return run_add_part(r, &s, at, in.size) && run_take(r, start, out);
}

bool join_texts(
    struct template_run *r, const struct value *list, const struct value *between, struct value *out)
{
    size_t start = r->size;
    for (size_t i = 0; i < list->list->n; i++)
        if ((i > 0 && !print_text(r, between)) || !print_text(r, &list->list->items[i]))
            return false;
    return run_take(r, start, out);
}
