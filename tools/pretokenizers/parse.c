/* parse.c - from the text of an expression to its tree. */
#include "parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODES 0x110000u

struct reader {
    const char *text, *at;
    const struct alphabet *alphabet;
};

_Noreturn void fail(const char *what, const char *text)
{
    fprintf(stderr, "pretokenizers: %s: %s\n", what, text);
    exit(1);
}

void *need(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);
    if (!memory)
        fail("no memory", "");
    return memory;
}

/* --- The alphabet --- */

static const uint32_t han[][2] = {{0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0x20000, 0x2a6df},
    {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b820, 0x2ceaf}, {0x2ceb0, 0x2ebef}, {0x2f800, 0x2fa1f}};
#define N_HAN (sizeof(han) / sizeof(han[0]))

static int compare_codes(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void add_cuts(struct alphabet *a, uint32_t first, uint32_t last)
{
    if (last < ASCII)
        return;
    a->cuts[a->n_cuts++] = first;
    a->cuts[a->n_cuts++] = last + 1;
}

/* Reads \uXXXX or \u{X…}, with *at behind the u. */
static uint32_t read_hex(const char **at)
{
    char digits[9] = "";
    bool braces = **at == '{';
    size_t n = braces ? strcspn(++*at, "}") : 4;
    if (n > 8 || strlen(*at) < n)
        fail("a bad code point", *at);
    memcpy(digits, *at, n);
    *at += n + braces;
    return (uint32_t)strtoul(digits, NULL, 16);
}

/* Finds every code point outside ASCII that the text names. */
static void read_alphabet(struct alphabet *a, const char *text)
{
    a->cuts = need(2 * strlen(text) + 2 * N_HAN, sizeof(*a->cuts));
    for (const char *at = text; *at;) {
        if (*at & 0x80)
            fail("a character outside ASCII is written as \\uXXXX", text);
        if (strncmp(at, "\\p{Han}", 7) == 0)
            for (size_t i = 0; i < N_HAN; i++)
                add_cuts(a, han[i][0], han[i][1]);
        bool code = strncmp(at, "\\u", 2) == 0;
        at += code || (at[0] == '\\' && at[1]) ? 2 : 1;
        if (code) {
            uint32_t c = read_hex(&at);
            add_cuts(a, c, c);
        }
    }
    qsort(a->cuts, a->n_cuts, sizeof(*a->cuts), compare_codes);
    size_t n = 0;
    for (size_t i = 0; i < a->n_cuts; i++)
        if (a->cuts[i] > ASCII && (n == 0 || a->cuts[n - 1] != a->cuts[i]))
            a->cuts[n++] = a->cuts[i];
    a->n_cuts = n;
    a->size = ASCII + (n + 1) * CATEGORIES + 1;
}

static int ascii_category(int c)
{
    static const char *const members[CATEGORIES] = {
        [4] = "!\"#%&'()*,-./:;?@[\\]_{}", [5] = "$+<=>^`|~", [6] = "\t\n\v\f\r "};
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
        return 1;
    if (c >= '0' && c <= '9')
        return 2;
    for (int i = 4; c && i < 7; i++)
        if (strchr(members[i], c))
            return i;
    return 0;
}

/* --- Sets --- */

static void add_range(const struct alphabet *a, bool *set, uint32_t first, uint32_t last)
{
    if (first > last)
        fail("a range that ends before it begins", "");
    for (uint32_t c = first; c <= last && c < ASCII; c++)
        set[c] = true;
    for (size_t i = 0; i <= a->n_cuts; i++) {
        uint32_t from = i ? a->cuts[i - 1] : ASCII;
        if (from < first || from > last)
            continue;
        for (size_t category = 0; category < CATEGORIES; category++)
            set[ASCII + i * CATEGORIES + category] = true;
    }
}

static void add_category(const struct alphabet *a, bool *set, int category)
{
    for (int c = 0; c < ASCII; c++)
        set[c] = set[c] || ascii_category(c) == category;
    for (size_t i = 0; i <= a->n_cuts; i++)
        set[ASCII + i * CATEGORIES + (size_t)category] = true;
}

static void invert(const struct alphabet *a, bool *set)
{
    for (size_t i = 0; i + 1 < a->size; i++) /* the end is in no set but that of $ and of a look-ahead */
        set[i] = !set[i];
}

/* White space outside ASCII counts as \v. */
static void close_set(const struct alphabet *a, bool *set)
{
    for (size_t i = 0; i <= a->n_cuts; i++)
        set[ASCII + i * CATEGORIES + 6] = set['\v'];
}

/* \p{X}, with r->at behind the p. */
static void read_property(struct reader *r, bool *set)
{
    static const char *const names[CATEGORIES] = {"", "{L}", "{N}", "{M}", "{P}", "{S}", ""};
    for (int i = 1; i < 6; i++)
        if (strncmp(r->at, names[i], 3) == 0) {
            add_category(r->alphabet, set, i);
            r->at += 3;
            return;
        }
    if (strncmp(r->at, "{Han}", 5) != 0)
        fail("an unknown property", r->at);
    r->at += 5;
    for (size_t i = 0; i < N_HAN; i++)
        add_range(r->alphabet, set, han[i][0], han[i][1]);
}

/* Reads a class such as \s into the set, and returns CODES; or reads one character and returns it. */
static uint32_t read_member(struct reader *r, bool *set)
{
    static const char escaped[] = "rntvf", meant[] = "\r\n\t\v\f";
    char c = *r->at++;
    if (c != '\\')
        return (uint8_t)c;
    c = *r->at++;
    const char *known = c ? strchr(escaped, c) : NULL;
    if (known)
        return (uint8_t)meant[known - escaped];
    if (c == 'u')
        return read_hex(&r->at);
    if (c != 'p' && c != 's' && c != 'S' && c != 'd') {
        if (c == 0 || ascii_category(c) == 1 || ascii_category(c) == 2)
            fail("an unknown escape", r->text);
        return (uint8_t)c;
    }
    bool *own = need(r->alphabet->size, 1);
    if (c == 'p')
        read_property(r, own);
    else if (c == 'd')
        add_range(r->alphabet, own, '0', '9');
    else
        add_category(r->alphabet, own, 6);
    if (c == 'S')
        invert(r->alphabet, own);
    for (size_t i = 0; i < r->alphabet->size; i++)
        set[i] = set[i] || own[i];
    return CODES;
}

/* Members up to the closing bracket or the two dashes. */
static void read_members(struct reader *r, bool *set)
{
    while (*r->at && *r->at != ']' && strncmp(r->at, "--", 2) != 0) {
        uint32_t first = read_member(r, set), last = first;
        if (first != CODES && r->at[0] == '-' && r->at[1] != ']' && r->at[1] != '-') {
            r->at++;
            last = read_member(r, set);
        }
        if (last != CODES)
            add_range(r->alphabet, set, first, last);
    }
}

/* A set in brackets, with r->at behind the opening one. */
static bool *read_set(struct reader *r)
{
    bool *set = need(r->alphabet->size, 1), *without = need(r->alphabet->size, 1), negative = *r->at == '^';
    r->at += negative;
    read_members(r, set);
    if (*r->at == '-') {
        r->at += 2;
        read_members(r, without);
    }
    if (*r->at++ != ']')
        fail("a set without an end", r->text);
    for (size_t i = 0; i < r->alphabet->size; i++)
        set[i] = set[i] && !without[i];
    if (negative)
        invert(r->alphabet, set);
    close_set(r->alphabet, set);
    return set;
}

/* --- The tree --- */

static struct tree *parse_either(struct reader *r);

static struct tree *grow(enum kind kind, struct tree *left, struct tree *right)
{
    struct tree *t = need(1, sizeof(*t));
    t->kind = kind;
    t->left = left;
    t->right = right;
    return t;
}

/* $, or what is in the parentheses of a look-ahead, which is one member, with r->at behind what opens it. */
static struct tree *parse_look(struct reader *r, bool end_alone, bool negative)
{
    struct tree *t = grow(LOOK, NULL, NULL);
    t->set = need(r->alphabet->size, 1);
    if (!end_alone) {
        uint32_t c = read_member(r, t->set);
        if (c != CODES)
            add_range(r->alphabet, t->set, c, c);
        if (*r->at++ != ')')
            fail("a look-ahead of more than one character", r->text);
        if (negative)
            invert(r->alphabet, t->set);
        close_set(r->alphabet, t->set);
    }
    t->set[r->alphabet->size - 1] = end_alone || negative;
    return t;
}

static struct tree *parse_atom(struct reader *r)
{
    if (strncmp(r->at, "(?=", 3) == 0 || strncmp(r->at, "(?!", 3) == 0) {
        r->at += 3;
        return parse_look(r, false, r->at[-1] == '!');
    }
    if (*r->at == '(') {
        r->at += strncmp(r->at, "(?:", 3) == 0 ? 3 : 1;
        struct tree *t = parse_either(r);
        if (*r->at++ != ')')
            fail("a parenthesis without an end", r->text);
        return t;
    }
    if (*r->at == '$') {
        r->at++;
        return parse_look(r, true, false);
    }
    struct tree *t = grow(SET, NULL, NULL);
    if (*r->at == '[') {
        r->at++;
        t->set = read_set(r);
        return t;
    }
    if (strchr(")|*+?{}", *r->at))
        fail("a sign in the wrong place", r->at);
    t->set = need(r->alphabet->size, 1);
    uint32_t c = read_member(r, t->set);
    if (c != CODES)
        add_range(r->alphabet, t->set, c, c);
    close_set(r->alphabet, t->set);
    return t;
}

static struct tree *parse_repeated(struct reader *r)
{
    struct tree *t = parse_atom(r);
    while (*r->at && strchr("*+?{", *r->at)) {
        t = grow(REPEATED, t, NULL);
        char sign = *r->at++;
        t->least = sign == '+';
        t->most = sign == '?' ? 1 : -1;
        if (sign != '{')
            continue;
        char *end;
        t->least = t->most = (int)strtol(r->at, &end, 10);
        if (*end == ',')
            t->most = (int)strtol(end + 1, &end, 10);
        if (*end != '}' || t->most < t->least)
            fail("a bad count", r->at);
        r->at = end + 1;
    }
    return t;
}

static struct tree *parse_joined(struct reader *r)
{
    struct tree *t = grow(EMPTY, NULL, NULL);
    while (*r->at && *r->at != '|' && *r->at != ')')
        t = grow(JOINED, t, parse_repeated(r));
    return t;
}

static struct tree *parse_either(struct reader *r)
{
    struct tree *t = parse_joined(r);
    while (*r->at == '|') {
        r->at++;
        t = grow(EITHER, t, parse_joined(r));
    }
    return t;
}

struct tree *parse(const char *text, struct alphabet *alphabet)
{
    read_alphabet(alphabet, text);
    struct reader r = {text, text, alphabet};
    struct tree *t = parse_either(&r);
    if (*r.at)
        fail("a closing parenthesis too many", text);
    return t;
}
