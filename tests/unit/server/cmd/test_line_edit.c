/* test_line_edit.c - the line editor on a pseudo-terminal: how keys change a text, and what the screen shows.
 *
 * A thread types the keys. What the editor draws goes through a small screen of this file's own, so a test sees rows and
 * the place of the cursor as a person would.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "server/cmd/line_edit_private.h"
#include "server/cmd/width_private.h"

#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS 6
#define COLUMNS 20
#define CELL 16 /* bytes of a cell: a character with its marks */

/* ---- a screen ---- */

struct screen {
    char cells[ROWS][COLUMNS][CELL]; /* "" is blank; the second half of a wide character holds "\1" */
    size_t row, column;
};

static void scroll(struct screen *s)
{
    if (s->row < ROWS)
        return;
    memmove(s->cells[0], s->cells[1], sizeof(s->cells[0]) * (ROWS - 1));
    memset(s->cells[ROWS - 1], 0, sizeof(s->cells[0]));
    s->row = ROWS - 1;
}

static void clear_from_cursor(struct screen *s)
{
    memset(s->cells[s->row][s->column], 0, sizeof(s->cells[0]) - s->column * CELL);
    for (size_t r = s->row + 1; r < ROWS; r++)
        memset(s->cells[r], 0, sizeof(s->cells[r]));
}

/* One sequence that begins behind ESC; returns its size. */
static size_t take_sequence(struct screen *s, const char *at)
{
    char *end;
    assert_int_equal(at[0], '[');
    if (at[1] == '?')
        return strcspn(at, "hl") + 1;
    size_t n = strtoul(at + 1, &end, 10);
    switch (*end) {
    case 'A':
        assert_true(n <= s->row);
        s->row -= n;
        break;
    case 'C':
        s->column += n;
        break;
    case 'J':
        if (n == 2)
            memset(s->cells, 0, sizeof(s->cells));
        else
            clear_from_cursor(s);
        break;
    case 'H':
        s->row = s->column = 0;
        break;
    default:
        fail_msg("the screen does not know ESC%.8s", at);
    }
    return (size_t)(end + 1 - at);
}

static void put_on(struct screen *s, const char *at, size_t size)
{
    unsigned width = (unsigned)text_width((struct span){(const uint8_t *)at, size});
    if (width == 0) {
        assert_true(s->column > 0);
        strncat(s->cells[s->row][s->column - 1], at, size);
        return;
    }
    assert_true(s->column + width <= COLUMNS);
    snprintf(s->cells[s->row][s->column], CELL, "%.*s", (int)size, at);
    if (width == 2)
        strcpy(s->cells[s->row][s->column + 1], "\1");
    s->column += width;
}

static void show(struct screen *s, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        struct span rest = {(const uint8_t *)text + i, size - i};
        if (text[i] == '\r') {
            s->column = 0;
            i++;
        } else if (text[i] == '\n') {
            s->row++;
            scroll(s);
            i++;
        } else if (text[i] == '\033') {
            i += 1 + take_sequence(s, text + i + 1);
        } else {
            size_t n = text_character(rest);
            assert_true(n > 0);
            put_on(s, text + i, n);
            i += n;
        }
    }
}

/* ---- a terminal ---- */

struct pseudo_terminal {
    int master, slave, silent[2]; /* silent: a descriptor that never can be read */
    struct line_edit *editor;
    struct strbuf line;
    struct screen screen;
    const char *keys;
    bool typed;
    char drawn[1 << 18]; /* since the last read began */
    size_t n_drawn;
};

static int setup(void **state)
{
    struct pseudo_terminal *f = calloc(1, sizeof(*f));
    struct winsize size = {.ws_row = ROWS, .ws_col = COLUMNS};
    assert_non_null(f);
    setenv("TERM", "xterm", 1);
    assert_int_equal(openpty(&f->master, &f->slave, NULL, NULL, &size), 0);
    assert_int_equal(pipe(f->silent), 0);
    f->editor = line_edit_open(f->slave, f->slave);
    assert_non_null(f->editor);
    strbuf_init(&f->line, 1 << 24);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct pseudo_terminal *f = *state;
    line_edit_close(f->editor);
    strbuf_release(&f->line);
    close(f->master);
    close(f->slave);
    close(f->silent[0]);
    close(f->silent[1]);
    free(f);
    return 0;
}

/* Reads what is drawn, until `mark` was in it. */
static void read_until(struct pseudo_terminal *f, const char *mark)
{
    do {
        ssize_t n = read(f->master, f->drawn + f->n_drawn, sizeof(f->drawn) - 1 - f->n_drawn);
        if (n <= 0)
            return;
        f->n_drawn += (size_t)n;
        f->drawn[f->n_drawn] = '\0';
    } while (!strstr(f->drawn, mark));
}

/* Types the keys after the editor has taken over the terminal. Before that Ctrl-C would be a signal. */
static void *type_keys(void *context)
{
    struct pseudo_terminal *f = context;
    read_until(f, "\033[?2004h");
    f->typed = write(f->master, f->keys, strlen(f->keys)) == (ssize_t)strlen(f->keys);
    return NULL;
}

/* Reads a line while these keys are typed, and shows on the screen all that was drawn. A bell marks its end, since
 * output comes through a pseudo-terminal with some delay. */
static enum line_result read_keys(struct pseudo_terminal *f, const char *keys)
{
    pthread_t person;
    f->keys = keys;
    f->n_drawn = 0;
    f->drawn[0] = '\0';
    assert_int_equal(pthread_create(&person, NULL, type_keys, f), 0);
    enum line_result result = line_edit_read(f->editor, "> ", f->silent[0], &f->line);
    pthread_join(person, NULL);
    assert_true(f->typed);
    assert_int_equal(write(f->slave, "\a", 1), 1);
    read_until(f, "\a");
    show(&f->screen, f->drawn, f->n_drawn - 1);
    return result;
}

static void assert_reads(struct pseudo_terminal *f, const char *keys, const char *wanted)
{
    assert_int_equal(read_keys(f, keys), LINE_READ);
    assert_string_equal(f->line.text, wanted);
    line_edit_remember(f->editor, (struct span){(const uint8_t *)f->line.text, f->line.size});
}

static void draws(struct pseudo_terminal *f, const char *keys)
{
    assert_int_equal(read_keys(f, keys), LINE_READ);
}

static void assert_row(const struct pseudo_terminal *f, size_t row, const char *wanted)
{
    char text[COLUMNS * CELL + 1] = "";
    size_t blanks = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        const char *cell = f->screen.cells[row][c];
        if (cell[0] == '\0') {
            blanks++;
        } else if (cell[0] != '\1') {
            for (; blanks > 0; blanks--)
                strcat(text, " ");
            strcat(text, cell);
        }
    }
    if (strcmp(text, wanted) != 0)
        fail_msg("row %zu is \"%s\" instead of \"%s\"", row, text, wanted);
}

/* ---- tests ---- */

static void test_keys_edit_the_text(void **state)
{
    static const struct {
        const char *keys, *wanted;
    } cases[] = {{"hello\r", "hello"}, {"hello\n", "hello"}, {"ac\033[Db\r", "abc"},
        {"ac\x02"
         "b\r",
            "abc"},
        {"bc\x01"
         "a\r",
            "abc"},
        {"bc\033[H"
         "a\x05"
         "d\r",
            "abcd"},
        {"bc\033OH"
         "a\033OF"
         "d\r",
            "abcd"},
        {"abx\x7f"
         "c\r",
            "abc"},
        {"abx\x08"
         "c\r",
            "abc"},
        {"xabc\x01\033[3~\r", "abc"}, {"xabc\x01\x04\r", "abc"}, {"one two\x17three\r", "one three"},
        {"one two  \x17three\r", "one three"}, {"gone\x15kept\r", "kept"},
        {"kept gone\x01\033[1;5C\x0b\r", "kept"}, {"one two\033[1;5Dx\r", "one xtwo"},
        {"one two\033b\033bx\r", "xone two"}, {"a\033[Zb\r", "ab"}, {"a\tb\r", "ab"},
        {"a\x1d"
         "b\r",
            "ab"},
        {"\x7f\x17\x15\x0b\033[Da\r", "a"}, {"lost\x03kept\r", "kept"}, {"", ""}};
    for (size_t i = 0; cases[i].keys[0]; i++)
        assert_reads(*state, cases[i].keys, cases[i].wanted);
}

static void test_characters_are_edited_whole(void **state)
{
    struct pseudo_terminal *f = *state;
    assert_reads(f, "日本語\x7f!\r", "日本!");
    assert_reads(f, "é\x7f\xc3\xa9\033[D\033[Dx\r", "xé");
    assert_reads(f, "ae\xcc\x81\x7f!\r", "a!"); /* e with a combining accent */
    assert_reads(f, "👩\u200d👩\x7f.\r", "."); /* two that are joined */
    assert_reads(f, "a\xff\xc3(\r", "a("); /* bytes that are no UTF-8 */
}

static void test_what_is_pasted_is_one_text(void **state)
{
    struct pseudo_terminal *f = *state;
    assert_reads(f, "\033[200~one\ntwo\r\nthree\rfour\tfive\033[201~\r", "one\ntwo\nthree\nfour\tfive");
    assert_reads(f, "say: \033[200~\x03\x04\033[A日\n\033[201~!\r", "say: 日\n!");
    assert_reads(f, "a\\\rb\r", "a\nb");
    assert_reads(f, "a\033\rb\r", "a\nb");
    /* Without the terminal's marks each line is one of its own; none is lost. */
    assert_reads(f, "one\rtwo\rthree\r", "one");
    assert_reads(f, "", "two");
    assert_reads(f, "", "three");
}

static void test_a_paste_of_many_bytes_arrives_whole(void **state)
{
    struct pseudo_terminal *f = *state;
    static char keys[4000], wanted[4000];
    strcpy(keys, "\033[200~");
    for (size_t i = 0; i < 250; i++) {
        strcat(keys, "line 日本\r");
        strcat(wanted, i ? "\nline 日本" : "line 日本");
    }
    strcat(wanted, "\n");
    strcat(keys, "\033[201~\r");
    assert_reads(f, keys, wanted);
}

static void test_lines_of_before_come_back(void **state)
{
    struct pseudo_terminal *f = *state;
    assert_reads(f, "first\r", "first");
    assert_reads(f, "second\r", "second");
    assert_reads(f, "\033[A\r", "second");
    assert_reads(f, "\033[A\033[A\r", "first");
    assert_reads(f, "new\033[A\x10\x0e\033[B!\r", "new!");
    assert_reads(f, "\033[A\033[A\033[A\033[A\033[A\033[A\x01>\r", ">first");
    /* In a text of several rows Up and Down move between the rows first. */
    assert_reads(f, "\033[200~abc\nde\033[201~\033[Ax\033[By\r", "abxc\ndey");
}

static void test_the_ends_of_input_are_told_apart(void **state)
{
    struct pseudo_terminal *f = *state;
    char byte = 0;
    assert_int_equal(read_keys(f, "\x04"), LINE_END);
    assert_int_equal(read_keys(f, "\x03"), LINE_INTERRUPTED);
    assert_int_equal(read_keys(f, "text\x03\x03"), LINE_INTERRUPTED);
    assert_int_equal(write(f->silent[1], &byte, 1), 1);
    assert_int_equal(read_keys(f, "ha"), LINE_SIGNALLED);
    assert_int_equal(read(f->silent[0], &byte, 1), 1);
    assert_reads(f, "lf\r", "half");
}

static void test_rows_are_drawn_as_they_are(void **state)
{
    struct pseudo_terminal *f = *state;
    draws(f, "short\r");
    assert_row(f, 0, "> short");
    assert_int_equal(f->screen.row, 1);
    memset(&f->screen, 0, sizeof(f->screen));
    /* Twenty columns: two of the prompt, eighteen of text, the rest on the next row. */
    draws(f, "abcdefghijklmnopqrstuvw\r");
    assert_row(f, 0, "> abcdefghijklmnopqr");
    assert_row(f, 1, "stuvw");
    memset(&f->screen, 0, sizeof(f->screen));
    /* A wide character does not fit into the last column. */
    draws(f, "abcdefghijklmnopq日本\r");
    assert_row(f, 0, "> abcdefghijklmnopq");
    assert_row(f, 1, "日本");
    memset(&f->screen, 0, sizeof(f->screen));
    draws(f, "\033[200~one\ntwo\tx\033[201~\r");
    assert_row(f, 0, "> one");
    assert_row(f, 1, "  two    x");
}

/* Changes in the middle leave nothing behind of what was drawn before. */
static void test_a_text_is_redrawn_where_it_was(void **state)
{
    struct pseudo_terminal *f = *state;
    char byte = 0;
    assert_int_equal(write(f->silent[1], &byte, 1), 1);
    assert_int_equal(read_keys(f, "abcdefghijklmnopqrstuvwxyz"), LINE_SIGNALLED);
    assert_row(f, 0, "");
    assert_int_equal(read(f->silent[0], &byte, 1), 1);
    draws(f, "\x15日本\x01x\x05y\r");
    assert_row(f, 0, "> x日本y");
    assert_row(f, 1, "");
    assert_int_equal(f->screen.row, 1);
    draws(f, "gone\x0c!\r");
    assert_row(f, 0, "> gone!");
}

/* Of a text that is longer than the screen the rows around the cursor are shown. */
static void test_a_text_may_be_longer_than_the_screen(void **state)
{
    struct pseudo_terminal *f = *state;
    draws(f, "\033[200~1\n2\n3\n4\n5\n6\n7\n8\n9\033[201~\x7f!\r");
    assert_string_equal(f->line.text, "1\n2\n3\n4\n5\n6\n7\n8\n!");
    assert_row(f, 0, "  5");
    assert_row(f, 4, "  !");
    assert_row(f, 5, "");
}

static void test_the_terminal_is_set_back(void **state)
{
    struct pseudo_terminal *f = *state;
    struct termios during, after;
    assert_int_equal(tcgetattr(f->slave, &during), 0);
    assert_true((during.c_lflag & (ICANON | ECHO)) == 0 && (during.c_lflag & ISIG));
    line_edit_close(f->editor);
    f->editor = NULL;
    assert_int_equal(tcgetattr(f->slave, &after), 0);
    assert_true((after.c_lflag & ICANON) && (after.c_lflag & ECHO) && (after.c_iflag & ICRNL));
    assert_null(line_edit_open(f->silent[0], f->slave));
    assert_null(line_edit_open(f->slave, f->silent[1]));
    setenv("TERM", "dumb", 1);
    assert_null(line_edit_open(f->slave, f->slave));
}

static void test_widths_are_those_of_terminals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {{"abc", 3}, {"é", 1}, {"e\xcc\x81", 1}, {"日本", 4}, {"한글", 4}, {"👍", 2}, {"…", 1},
        {"ａ", 2}, {"\xe2\x80\x8b", 0}, {"", 0}, {"नि", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (text_width(span_of(cases[i].text)) != cases[i].width)
            fail_msg("%s has the width %zu", cases[i].text, text_width(span_of(cases[i].text)));
}

#define ON_TERMINAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TERMINAL(test_keys_edit_the_text),
        ON_TERMINAL(test_characters_are_edited_whole),
        ON_TERMINAL(test_what_is_pasted_is_one_text),
        ON_TERMINAL(test_a_paste_of_many_bytes_arrives_whole),
        ON_TERMINAL(test_lines_of_before_come_back),
        ON_TERMINAL(test_the_ends_of_input_are_told_apart),
        ON_TERMINAL(test_rows_are_drawn_as_they_are),
        ON_TERMINAL(test_a_text_is_redrawn_where_it_was),
        ON_TERMINAL(test_a_text_may_be_longer_than_the_screen),
        ON_TERMINAL(test_the_terminal_is_set_back),
        cmocka_unit_test(test_widths_are_those_of_terminals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
