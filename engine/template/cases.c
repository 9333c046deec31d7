/* cases.c - upper, lower and title case, with Python's rules on top of the tables of base/character.
 *
 * A character may become up to three. Each has the origin of the one that it was.
 */
#include "template_private.h"

#include "berth/base/character.h"

static uint32_t character_at(struct value s, size_t at, size_t *size)
{
    return get_character((struct span){(const uint8_t *)s.text.at + at, s.text.size - at}, size);
}

/* Whether a letter with case stands next to a place: before it or from it on, past characters that do not count. */
static bool cased_before(struct value s, size_t at)
{
    while (at > 0) {
        size_t start = at - 1, size;
        while (start > 0 && ((uint8_t)s.text.at[start] & 0xc0) == 0x80)
            start--;
        uint32_t c = character_at(s, start, &size);
        if (!(character_class(c) & CHARACTER_IGNORABLE))
            return character_case(c) != 0;
        at = start;
    }
    return false;
}

static bool cased_from(struct value s, size_t at)
{
    for (size_t size; at < s.text.size; at += size) {
        uint32_t c = character_at(s, at, &size);
        if (!(character_class(c) & CHARACTER_IGNORABLE))
            return character_case(c) != 0;
    }
    return false;
}

/* Writes the character at a place in another case. At the end of a word the lower case of a sigma is another one. */
static bool put(
    struct template_run *r, struct value s, size_t at, uint32_t c, size_t size, enum character_to to)
{
    uint32_t out[CHARACTER_MAPPED_MAX];
    char bytes[4 * CHARACTER_MAPPED_MAX];
    size_t n, filled = 0;
    n = character_map(c, to, out);
    if (c == 0x3a3 && !run_step(r, s.text.size / 16))
        return false;
    if (c == 0x3a3 && to == CHARACTER_LOWER && cased_before(s, at) && !cased_from(s, at + size))
        out[0] = 0x3c2;
    for (size_t i = 0; i < n; i++)
        filled += put_character(out[i], bytes + filled);
    return run_add(r, (struct span){(const uint8_t *)bytes, filled}, value_origin_at(&s.text, at));
}

/* What stands between words, for Jinja's filter. */
static bool separates(uint32_t c)
{
    char bytes[4];
    bool sign = c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    return sign || space_at((struct span){(const uint8_t *)bytes, put_character(c, bytes)}) > 0;
}

/* The rest of the word whose first character ends at `at`. */
static struct value rest_of_word(struct value s, size_t at)
{
    size_t end = at, size;
    while (end < s.text.size && !separates(character_at(s, end, &size)))
        end += size;
    return value_part(s, at, end);
}

static enum character_to case_of(enum letter_case to, uint32_t c, bool first, bool before_cased)
{
    switch (to) {
    case CASE_UPPER:
        return CHARACTER_UPPER;
    case CASE_FOLD:
        return CHARACTER_FOLD;
    case CASE_CAPITAL:
        return first ? CHARACTER_TITLE : CHARACTER_LOWER;
    case CASE_TITLE:
        return first ? CHARACTER_UPPER : CHARACTER_LOWER;
    case CASE_WORDS:
        return before_cased ? CHARACTER_LOWER : CHARACTER_TITLE;
    case CASE_SWAP:
        return character_case(c) & CHARACTER_IS_LOWER ? CHARACTER_UPPER : CHARACTER_LOWER;
    case CASE_LOWER:
        break;
    }
    return CHARACTER_LOWER;
}

bool change_case(struct template_run *r, const struct value *s, enum letter_case to, struct value *out)
{
    size_t start = r->size, size, begins = 0;
    struct value word = *s; /* where the case of a sigma is decided; it begins at `begins` */
    bool first = true, before_cased = false;
    for (size_t at = 0; at < s->text.size; at += size) {
        uint32_t c = character_at(*s, at, &size);
        struct value part = value_part(*s, at, at + size);
        bool separator = to == CASE_TITLE && separates(c);
        if (to == CASE_TITLE && first && !separator) {
            begins = at + size;
            word = rest_of_word(*s, begins);
        }
        enum character_to how = case_of(to, c, first, before_cased);
        bool keeps = separator || (to == CASE_SWAP && !(character_case(c) & ~(unsigned)CHARACTER_IS_TITLE));
        bool inside = at >= begins && at - begins < word.text.size;
        if (keeps ? !run_add_text(r, &part)
                  : !put(r, inside ? word : part, inside ? at - begins : 0, c, size, how))
            return false;
        first = separator;
        before_cased = to == CASE_WORDS && character_case(c) != 0;
        if (!run_step(r, 1))
            return false;
    }
    bool markup = s->text.markup, taken = run_take(r, start, out);
    out->text.markup = taken && markup;
    return taken;
}

bool all_characters(struct template_run *r, struct value s, unsigned classes, struct value *out)
{
    bool all = s.text.size > 0;
    for (size_t at = 0, size; at < s.text.size && all; at += size)
        all = (character_class(character_at(s, at, &size)) & classes) != 0;
    *out = value_bool(all);
    return run_step(r, s.text.size / 4);
}

/* islower and isupper: a letter of this case and none of another. */
bool all_cased(struct template_run *r, struct value s, unsigned wanted, struct value *out)
{
    bool any = false, other = false;
    for (size_t at = 0, size; at < s.text.size && !other; at += size) {
        unsigned is = character_case(character_at(s, at, &size));
        any = any || is == wanted;
        other = is && is != wanted;
    }
    *out = value_bool(any && !other);
    return run_step(r, s.text.size / 4);
}

/* Each word begins with an upper letter, and goes on with lower ones. */
bool is_title(struct template_run *r, struct value s, struct value *out)
{
    bool any = false, good = true, before = false;
    for (size_t at = 0, size; at < s.text.size && good; at += size) {
        unsigned is = character_case(character_at(s, at, &size));
        good = !is || before == (is == CHARACTER_IS_LOWER);
        any = any || is;
        before = is != 0;
    }
    *out = value_bool(any && good);
    return run_step(r, s.text.size / 4);
}
