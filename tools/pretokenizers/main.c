/* pretokenizers LIST OUT: compiles the list of pre-tokenizers to the tables that berth is built with.
 *
 * LIST is engine/tokenizer/pretokenizers, which tells its own form; OUT is a C file for
 * engine/tokenizer/pretokenizer_private.h. The program runs on the machine that builds.
 */
#include "regex.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 256 /* of names, behaviours, stages, regexes, and of words with a meaning of their own */
#define LINE 4096
#define CELLS 65536
#define STATES_MOST 32768

struct list {
    char *let[MOST][2];
    size_t n_lets;
    struct {
        char *name;
        size_t first, n; /* of its stages */
    } words[MOST];
    size_t n_words;
    struct {
        char *text; /* of the regex, or what follows @threes */
        bool skip, threes;
        size_t regex; /* its number */
    } stages[MOST];
    size_t n_stages;
    struct {
        char *name, *words, *flags;
    } names[MOST];
    size_t n_names;
};

struct tables {
    char *text[MOST]; /* of each regex, with the mark of @skip in front */
    size_t n, start[MOST];
    struct automaton *automata[MOST];
    size_t n_states, n_cells; /* in use */
    unsigned base[STATES_MOST], usual[STATES_MOST], owner[CELLS], step[CELLS];
};

static char *copy(const char *text, size_t n)
{
    char *made = need(n, 1);
    memcpy(made, text, n);
    return made;
}

static char *joined(const char *a, const char *b)
{
    char *made = need(strlen(a) + strlen(b), 1);
    strcpy(made, a);
    strcat(made, b);
    return made;
}

/* --- Reading the list --- */

/* What {NAME} at this place stands for, or NULL: a count or a property. */
static const char *meaning(const struct list *l, const char *begin, const char *at)
{
    size_t size = strcspn(at, "}") - 1;
    if (!isalpha((unsigned char)at[1]) || (at - begin >= 2 && at[-2] == '\\'))
        return NULL;
    for (size_t i = 0; i < l->n_lets; i++)
        if (strlen(l->let[i][0]) == size && memcmp(l->let[i][0], at + 1, size) == 0)
            return l->let[i][1];
    fail("a name that stands for nothing", at);
}

/* The text with {NAME} replaced by what the name stands for. */
static char *expanded(const struct list *l, const char *text)
{
    char *made = copy("", 0);
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "{");
        made = joined(made, copy(at, n));
        at += n;
        const char *found = *at ? meaning(l, text, at) : NULL;
        if (found) {
            made = joined(joined(joined(made, "(?:"), found), ")");
            at += strcspn(at, "}") + 1;
        } else if (*at) {
            made = joined(made, copy(at++, 1));
        }
    }
    return made;
}

static char *next_word(char **line)
{
    char *word = *line + strspn(*line, " ");
    *line = word + strcspn(word, " ");
    if (**line)
        *(*line)++ = 0;
    return word;
}

static void read_stage(struct list *l, char *line)
{
    if (l->n_words == 0 || l->n_stages == MOST)
        fail("a stage too many", line);
    l->words[l->n_words - 1].n++;
    l->stages[l->n_stages].skip = strncmp(line, "@skip ", 6) == 0;
    l->stages[l->n_stages].threes = strncmp(line, "@threes ", 8) == 0;
    if (*line == '@')
        line += strcspn(line, " ") + 1;
    l->stages[l->n_stages++].text = expanded(l, line);
}

/* A line that goes on with the stage above. */
static void read_rest(struct list *l, const char *sign, char *line)
{
    if (l->n_stages == 0)
        fail("no stage to go on with", line);
    char **text = &l->stages[l->n_stages - 1].text;
    *text = joined(joined(*text, sign), expanded(l, line));
}

static void read_line(struct list *l, char *line)
{
    if (*line == 0 || *line == '#')
        return;
    if (strncmp(line, "    ", 4) == 0) {
        read_stage(l, line + 4);
        return;
    }
    if (strncmp(line, "  | ", 4) == 0 || strncmp(line, "  . ", 4) == 0) {
        read_rest(l, line[2] == '|' ? "|" : "", line + 4);
        return;
    }
    char *kind = next_word(&line), *name = next_word(&line);
    if (l->n_lets == MOST || l->n_words == MOST || l->n_names == MOST)
        fail("too many lines of a kind", name);
    if (strcmp(kind, "let") == 0) {
        l->let[l->n_lets][0] = name;
        l->let[l->n_lets++][1] = expanded(l, line);
    } else if (strcmp(kind, "words") == 0) {
        l->words[l->n_words].name = name;
        l->words[l->n_words++].first = l->n_stages;
    } else if (strcmp(kind, "name") == 0) {
        l->names[l->n_names].name = name;
        l->names[l->n_names].words = next_word(&line);
        l->names[l->n_names++].flags = line;
    } else {
        fail("a line of no known kind", kind);
    }
}

static void read_list(struct list *l, const char *file)
{
    char line[LINE];
    FILE *in = fopen(file, "r");
    if (!in)
        fail("cannot be read", file);
    while (fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\n")] = 0;
        read_line(l, copy(line, strlen(line)));
    }
    fclose(in);
}

/* --- Packing the automata --- */

/* A step as the tables have it, for a state whose automaton's first state is number `first`. State 0 is dead in each. */
static unsigned packed(const struct automaton *a, size_t first, size_t at)
{
    unsigned next = a->next[at] ? (unsigned)(first + (size_t)a->next[at] - 1) : 0;
    return next | (a->matched[at] ? 0x8000u : 0);
}

/* Places a row of steps in the cells: those that are not the usual one need cells of their own. */
static void place_row(struct tables *t, size_t state, const unsigned *row, size_t n)
{
    size_t most = 0, base = 0;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        for (size_t k = 0; k < n; k++)
            same += row[k] == row[i];
        if (same > most) {
            most = same;
            t->usual[state] = row[i];
        }
    }
    for (bool fits = false; !fits; base += !fits) {
        fits = true;
        for (size_t i = 0; i < n && fits; i++)
            fits = base + i < CELLS && (row[i] == t->usual[state] || t->owner[base + i] == 0);
        if (base + n > CELLS)
            fail("too many states", "");
    }
    t->base[state] = (unsigned)base;
    for (size_t i = 0; i < n; i++)
        if (row[i] != t->usual[state]) {
            t->owner[base + i] = (unsigned)state;
            t->step[base + i] = row[i];
        }
    if (base + n > t->n_cells)
        t->n_cells = base + n;
}

static void add_automaton(struct tables *t, const struct automaton *a)
{
    size_t first = t->n_states;
    t->n_states += a->n_states - 1;
    if (t->n_states > STATES_MOST)
        fail("too many states", "");
    for (size_t s = 1; s < a->n_states; s++) {
        unsigned row[256];
        for (size_t i = 0; i < a->n_classes; i++)
            row[i] = packed(a, first, s * a->n_classes + i);
        place_row(t, first + s - 1, row, a->n_classes);
    }
}

/* Compiles each regex once. */
static void compile_list(struct list *l, struct tables *t)
{
    t->n_states = 1;
    for (size_t i = 0; i < l->n_stages; i++) {
        size_t number = 0;
        if (l->stages[i].threes)
            continue;
        char *text = joined(l->stages[i].skip ? "@" : "", l->stages[i].text);
        while (number < t->n && strcmp(t->text[number], text) != 0)
            number++;
        l->stages[i].regex = number;
        if (number < t->n)
            continue;
        t->text[t->n] = text;
        t->automata[t->n] = regex_compile(l->stages[i].text);
        t->start[t->n] = t->n_states;
        add_automaton(t, t->automata[t->n++]);
    }
}

/* --- Writing --- */

static void write_regex(FILE *out, const struct tables *t, size_t number)
{
    const struct automaton *a = t->automata[number];
    fprintf(out, "/* %s */\nstatic const uint8_t ascii_%zu[] = {",
        strstr(t->text[number], "*/") ? "" : t->text[number], number);
    for (size_t i = 0; i < ASCII; i++)
        fprintf(out, "%d,", a->ascii[i]);
    fprintf(out, "};\nstatic const uint32_t cuts_%zu[] = {", number);
    for (size_t i = 0; i < a->n_cuts; i++)
        fprintf(out, "0x%x,", (unsigned)a->cuts[i]);
    fprintf(out, "0};\nstatic const uint8_t classes_%zu[] = {", number);
    for (size_t i = 0; i < (a->n_cuts + 1) * CATEGORIES; i++)
        fprintf(out, "%d,", a->classes[i]);
    fprintf(out, "};\n");
}

static void write_regexes(FILE *out, const struct tables *t)
{
    fprintf(out,
        "#include \"engine/tokenizer/pretokenizer_private.h\"\n\nconst struct regex_state regex_states[] = {");
    for (size_t i = 0; i < t->n_states; i++)
        fprintf(out, "%s{%u,%u},", i % 8 ? "" : "\n    ", t->base[i], t->usual[i]);
    fprintf(out, "\n};\nconst struct regex_cell regex_cells[] = {");
    for (size_t i = 0; i < t->n_cells + 256; i++) /* any class of any state lies within */
        fprintf(out, "%s{%u,%u},", i % 8 ? "" : "\n    ", t->owner[i], t->step[i]);
    fprintf(out, "\n};\n");
    for (size_t i = 0; i < t->n; i++)
        write_regex(out, t, i);
    fprintf(out, "static const struct regex regexes[] = {\n");
    for (size_t i = 0; i < t->n; i++)
        fprintf(out, "    {%zu, %zu, %s, ascii_%zu, cuts_%zu, classes_%zu, %zu},\n", t->start[i],
            t->automata[i]->n_classes - 1, t->text[i][0] == '@' ? "true" : "false", i, i, i,
            t->automata[i]->n_cuts);
    fprintf(out, "};\n");
}

static const char *truth(const char *text, const char *word)
{
    return strstr(text, word) ? "true" : "false";
}

static void write_words(FILE *out, const struct list *l)
{
    for (size_t i = 0; i < l->n_words; i++) {
        fprintf(out, "static const struct stage words_%zu[] = {\n", i);
        for (size_t k = l->words[i].first; k < l->words[i].first + l->words[i].n; k++) {
            const char *text = l->stages[k].text;
            if (l->stages[k].threes)
                fprintf(out, "    {NULL, {%s, %s}},\n", truth(text, "\\p{N}"), truth(text, "ends"));
            else
                fprintf(out, "    {&regexes[%zu], {0}},\n", l->stages[k].regex);
        }
        fprintf(out, "};\n");
    }
}

static void write_names(FILE *out, const struct list *l)
{
    fprintf(out, "const struct pretokenizer pretokenizers[] = {\n");
    for (size_t i = 0; i < l->n_names; i++) {
        size_t w = 0;
        while (w < l->n_words && strcmp(l->words[w].name, l->names[i].words) != 0)
            w++;
        if (w == l->n_words)
            fail("a name with an unknown behaviour", l->names[i].name);
        const char *flags = l->names[i].flags;
        fprintf(out, "    {\"%s\", words_%zu, %zu, %s, %s, %s, %s, %s, %s, %s},\n", l->names[i].name, w,
            l->words[w].n, truth(flags, "ignore-merges"), truth(flags, "add-bos"), truth(flags, "always-bos"),
            truth(flags, "raw"), truth(flags, "escape"), truth(flags, "prefix"), truth(flags, "lines"));
    }
    fprintf(out, "};\nconst size_t n_pretokenizers = %zu;\n", l->n_names);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("usage: pretokenizers LIST OUT", "");
    struct list *l = need(1, sizeof(*l));
    struct tables *t = need(1, sizeof(*t));
    read_list(l, argv[1]);
    compile_list(l, t);
    FILE *out = fopen(argv[2], "w");
    if (!out)
        fail("cannot be written", argv[2]);
    fprintf(out, "/* Written by tools/pretokenizers from engine/tokenizer/pretokenizers. */\n");
    write_regexes(out, t);
    write_words(out, l);
    write_names(out, l);
    if (fclose(out) != 0)
        fail("cannot be written", argv[2]);
    return 0;
}
