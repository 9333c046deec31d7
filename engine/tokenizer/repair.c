/* repair.c - makes UTF-8 of any text, as the reference does before it looks at it.
 */
#include "tokenizer_private.h"

#include <string.h>

bool is_by_others(const uint8_t *trusted, size_t size)
{
    for (size_t i = 0; trusted && i < size; i++)
        if (trusted[i] != TOKENIZER_BY_TEMPLATE)
            return true;
    return false;
}

/* How many bytes the text has when U+FFFD stands for each byte that is not UTF-8. */
static size_t repaired_size(struct span text)
{
    size_t size = 0;
    for (size_t pos = 0, at = 0; pos < text.size; at = pos)
        size += unicode_read(text, &pos) == UNICODE_REPLACEMENT ? 3 : pos - at;
    return size;
}

bool repair_text(struct tokenizer_session *s, struct span *text, const uint8_t **trusted)
{
    const size_t room = repaired_size(*text);
    size_t size = 0;
    if (room == text->size) /* each repair makes a text longer */
        return true;
    if (!session_room(s, &s->repaired, &s->repaired_room, room, 1) ||
        (*trusted && !session_room(s, &s->repaired_marks, &s->repaired_marks_room, room, 1)))
        return false;
    for (size_t pos = 0, at = 0; pos < text->size; at = pos) {
        size_t written = 3;
        if (unicode_read(*text, &pos) == UNICODE_REPLACEMENT)
            unicode_write(s->repaired + size, UNICODE_REPLACEMENT);
        else
            memcpy(s->repaired + size, text->at + at, written = pos - at);
        if (*trusted)
            memset(s->repaired_marks + size, (*trusted)[at], written);
        size += written;
    }
    *text = (struct span){s->repaired, size};
    *trusted = *trusted ? s->repaired_marks : NULL;
    return true;
}
