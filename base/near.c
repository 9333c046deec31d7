/* near.c - the nearest of several names, by edit distance with swaps of neighbours. */
#include "berth/base/near.h"

#include <ctype.h>
#include <string.h>

#define LONGEST 64 /* characters of a name that are compared; longer names are never near */
#define PREFIX_LEAST 3

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Copies `s` without leading dashes, in lower case and with '-' for '_'. Returns the length; 0 when there is nothing
 * to compare. */
static size_t normalize(struct span s, char out[LONGEST])
{
    size_t skip = 0;
    while (skip < s.size && s.at[skip] == '-')
        skip++;
    size_t size = s.size - skip;
    if (size > LONGEST)
        return 0;
    for (size_t i = 0; i < size; i++)
        out[i] = s.at[skip + i] == '_' ? '-' : (char)tolower(s.at[skip + i]);
    return size;
}

/* The last three rows of the usual table of distances are enough: a swap looks back two rows. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][LONGEST + 1];
    for (size_t k = 0; k <= m; k++)
        rows[0][k] = k;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t k = 1; k <= m; k++) {
            now[k] = min(above[k - 1] + (a[i - 1] != b[k - 1]), min(above[k], now[k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                now[k] = min(now[k], two_above[k - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

struct near near_begin(struct span given)
{
    return (struct near){.given = given};
}

void near_try(struct near *n, const char *name)
{
    char given[LONGEST], known[LONGEST];
    size_t size = normalize(n->given, given), known_size = normalize(span_of(name), known);
    if (size == 0 || known_size == 0)
        return;
    size_t apart = distance(given, size, known, known_size);
    size_t most = known_size <= 5 ? 1 : known_size / 3;
    bool begins = size >= PREFIX_LEAST && size <= known_size && memcmp(given, known, size) == 0;
    if (apart > most && !begins)
        return;
    /* When the text is the beginning of a name, the distance is 1, so that no other name of distance 2 is preferred. */
    if (begins && apart > 1)
        apart = 1;
    /* Names that have only the length in common are not near: "-x" and "-m". */
    if (apart >= min(size, known_size))
        return;
    if (!n->name || apart < n->distance) {
        n->name = name;
        n->distance = (unsigned)apart;
    }
}
