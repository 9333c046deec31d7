/* line_edit.c - a line editor: the terminal, the keys, and their functions. line_view.c draws.
 *
 * A key comes as bytes: a character, a control byte, or a sequence that begins with ESC. The table `bindings` maps the
 * bytes of a key to a function. Bytes that are not a whole key yet stay in `input`.
 */
#include "line_edit_private.h"

#include "line_text_private.h"
#include "line_view_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)1 << 24)
#define HISTORY_MAX 500
#define SEQUENCE_MAX 16
#define ESCAPE_MS 50 /* within which the rest of a key's sequence comes */
#define PASTE_MARKED "\033[?2004h" /* makes the terminal mark pasted text */
#define PASTE_PLAIN "\033[?2004l"
#define PASTE_BEGINS "\033[200~"
#define PASTE_ENDS "\033[201~"

struct line_edit {
    int in, out;
    struct termios before, typing, answering;
    struct strbuf input; /* bytes read and not used yet */
    struct line_text text;
    struct line_view view;
    char *history[HISTORY_MAX];
    size_t n_history, place; /* place: index of the earlier line that is shown; n_history: the new text */
    char *draft; /* the new text while an earlier line is shown */
    bool pasting, gone; /* gone: the terminal has closed */
    int pending; /* the result of the last key: an enum line_result, or NOTHING */
};

enum { NOTHING = -1 };

static struct span text_of(const struct line_edit *e)
{
    return (struct span){(const uint8_t *)e->text.bytes.text, e->text.bytes.size};
}

static void replace(struct line_edit *e, const char *text)
{
    line_text_erase(&e->text, 0, e->text.bytes.size);
    line_text_insert(&e->text, span_of(text));
}

/* ---- functions of keys ---- */

static void key_left(struct line_edit *e)
{
    e->text.cursor = line_text_previous(&e->text, e->text.cursor);
}

static void key_right(struct line_edit *e)
{
    e->text.cursor = line_text_next(&e->text, e->text.cursor);
}

static void key_home(struct line_edit *e)
{
    e->text.cursor = line_text_row_start(&e->text, e->text.cursor);
}

static void key_end(struct line_edit *e)
{
    e->text.cursor = line_text_row_end(&e->text, e->text.cursor);
}

static void key_word_left(struct line_edit *e)
{
    e->text.cursor = line_text_word_start(&e->text, e->text.cursor);
}

static void key_word_right(struct line_edit *e)
{
    e->text.cursor = line_text_word_end(&e->text, e->text.cursor);
}

static void key_backspace(struct line_edit *e)
{
    if (e->text.cursor > 0)
        line_text_erase(&e->text, line_text_previous(&e->text, e->text.cursor), e->text.cursor);
}

static void key_delete(struct line_edit *e)
{
    size_t from = e->text.cursor;
    line_text_erase(&e->text, from, line_text_next(&e->text, from));
}

static void key_delete_word(struct line_edit *e)
{
    line_text_erase(&e->text, line_text_word_start(&e->text, e->text.cursor), e->text.cursor);
}

static void key_delete_to_start(struct line_edit *e)
{
    line_text_erase(&e->text, line_text_row_start(&e->text, e->text.cursor), e->text.cursor);
}

static void key_delete_to_end(struct line_edit *e)
{
    size_t from = e->text.cursor, to = line_text_row_end(&e->text, from);
    line_text_erase(&e->text, from, to == from ? line_text_next(&e->text, from) : to);
}

static void key_end_of_input(struct line_edit *e)
{
    if (e->text.bytes.size == 0)
        e->pending = LINE_END;
    else
        key_delete(e);
}

/* Shows the earlier line at `place`, or the new text. */
static void show_history(struct line_edit *e, size_t place)
{
    if (e->place == e->n_history) {
        free(e->draft);
        e->draft = strdup(e->text.bytes.text);
    }
    e->place = place;
    const char *text = place < e->n_history ? e->history[place] : e->draft;
    replace(e, text ? text : "");
}

static void key_up(struct line_edit *e)
{
    if (!line_text_up(&e->text) && e->place > 0)
        show_history(e, e->place - 1);
}

static void key_down(struct line_edit *e)
{
    if (!line_text_down(&e->text) && e->place < e->n_history)
        show_history(e, e->place + 1);
}

static void key_new_line(struct line_edit *e)
{
    line_text_insert(&e->text, span_of("\n"));
}

static void key_enter(struct line_edit *e)
{
    if (e->text.cursor > 0 && e->text.cursor == e->text.bytes.size &&
        e->text.bytes.text[e->text.cursor - 1] == '\\') {
        key_backspace(e);
        key_new_line(e);
    } else {
        e->pending = LINE_READ;
    }
}

static void write_all(struct line_edit *e, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(e->out, text, size);
        if (n < 0 && errno != EINTR) {
            e->gone = true;
            return;
        }
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

static void write_text(struct line_edit *e, const char *text)
{
    write_all(e, text, strlen(text));
}

static void key_clear_screen(struct line_edit *e)
{
    write_text(e, "\033[H\033[2J");
    e->view.cursor_row = 0;
}

/* Leaves the text on the screen, and moves the cursor below it. */
static void leave_text(struct line_edit *e, const char *mark)
{
    struct strbuf out;
    strbuf_init(&out, TEXT_MAX);
    e->view.cursor = e->text.bytes.size;
    e->view.text = text_of(e);
    line_view_draw(&e->view, &out);
    strbuf_text(&out, mark);
    strbuf_text(&out, "\r\n");
    write_all(e, out.text, out.size);
    strbuf_release(&out);
    e->view.cursor_row = 0;
}

static void key_interrupt(struct line_edit *e)
{
    if (e->text.bytes.size == 0) {
        e->pending = LINE_INTERRUPTED;
        return;
    }
    leave_text(e, "^C");
    replace(e, "");
    e->place = e->n_history;
}

static void key_stop(struct line_edit *e)
{
    leave_text(e, "^Z");
    write_text(e, PASTE_PLAIN);
    tcsetattr(e->in, TCSADRAIN, &e->before);
    raise(SIGTSTP);
    tcsetattr(e->in, TCSADRAIN, &e->typing);
    write_text(e, PASTE_MARKED);
}

static void key_paste(struct line_edit *e)
{
    e->pasting = true;
}

static const struct key_binding {
    const char *bytes;
    void (*act)(struct line_edit *e);
} bindings[] = {{"\r", key_enter}, {"\n", key_enter}, {"\033\r", key_new_line}, {"\033\n", key_new_line},
    {"\033[A", key_up}, {"\033[B", key_down}, {"\033[C", key_right}, {"\033[D", key_left}, {"\033OA", key_up},
    {"\033OB", key_down}, {"\033OC", key_right}, {"\033OD", key_left}, {"\033[H", key_home},
    {"\033[F", key_end}, {"\033OH", key_home}, {"\033OF", key_end}, {"\033[1~", key_home},
    {"\033[4~", key_end}, {"\033[7~", key_home}, {"\033[8~", key_end}, {"\033[3~", key_delete},
    {"\033[1;5C", key_word_right}, {"\033[1;5D", key_word_left}, {"\033[1;3C", key_word_right},
    {"\033[1;3D", key_word_left}, {"\033f", key_word_right}, {"\033b", key_word_left},
    {"\033\x7f", key_delete_word}, {PASTE_BEGINS, key_paste}, {"\x01", key_home}, {"\x02", key_left},
    {"\x03", key_interrupt}, {"\x04", key_end_of_input}, {"\x05", key_end}, {"\x06", key_right},
    {"\x08", key_backspace}, {"\x0b", key_delete_to_end}, {"\x0c", key_clear_screen}, {"\x0e", key_down},
    {"\x10", key_up}, {"\x15", key_delete_to_start}, {"\x17", key_delete_word}, {"\x1a", key_stop},
    {"\x7f", key_backspace}};

/* ---- from bytes to keys ---- */

/* Length of the key's sequence at the start of the input, 0 when its end has not come. An ESC before another key is a
 * sequence with it (Alt). */
static size_t sequence_size(const char *at, size_t n)
{
    if (n < 2)
        return 0;
    if (at[1] != '[' && at[1] != 'O')
        return 2;
    for (size_t i = 2; i < n; i++)
        if ((at[i] >= 0x40 && at[i] <= 0x7e) || i == SEQUENCE_MAX)
            return i + 1;
    return 0;
}

static void use_input(struct line_edit *e, size_t n)
{
    e->input.size -= n;
    memmove(e->input.text, e->input.text + n, e->input.size + 1);
}

static void press(struct line_edit *e, size_t n)
{
    for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++) {
        if (strlen(bindings[i].bytes) == n && memcmp(bindings[i].bytes, e->input.text, n) == 0) {
            use_input(e, n);
            bindings[i].act(e);
            return;
        }
    }
    use_input(e, n); /* a key without a function */
}

static bool is_control(char c)
{
    return (uint8_t)c < 0x20 || c == 0x7f;
}

/* Inserts the characters at the start of the input. False when the last one is not whole and `all` is not set. */
static bool type_characters(struct line_edit *e, bool all)
{
    size_t n = 0;
    while (n < e->input.size && !is_control(e->input.text[n]))
        n++;
    bool cut = n == e->input.size && !all;
    size_t open = cut ? unicode_unfinished((struct span){(const uint8_t *)e->input.text, n}) : 0;
    for (size_t at = 0; at < n - open;) {
        struct span rest = {(const uint8_t *)e->input.text + at, n - open - at};
        size_t size = text_character(rest);
        if (size > 0)
            line_text_insert(&e->text, (struct span){rest.at, size});
        at += size > 0 ? size : 1; /* a byte that is no UTF-8 is dropped */
    }
    use_input(e, n - open);
    return open == 0;
}

/* Inserts pasted text up to the end of the paste. False when more must come first. */
static bool take_paste(struct line_edit *e, bool all)
{
    while (e->input.size > 0 && e->pasting) {
        char c = e->input.text[0];
        if (!is_control(c)) {
            if (!type_characters(e, all))
                return false;
            continue;
        }
        size_t size = c == '\033' ? sequence_size(e->input.text, e->input.size) : 1;
        if (size == 0 && !all)
            return false;
        if (size == sizeof(PASTE_ENDS) - 1 && memcmp(e->input.text, PASTE_ENDS, size) == 0)
            e->pasting = false;
        else if (c == '\t')
            line_text_insert(&e->text, span_of("\t"));
        else if (c == '\r' || c == '\n')
            key_new_line(e);
        /* A line end may come as two bytes. */
        if (c == '\r' && e->input.size > 1 && e->input.text[1] == '\n')
            size++;
        use_input(e, size ? size : 1);
    }
    return true;
}

/* Runs the functions of the keys in the input, until one gives a result. With `all` the bytes of a key that is not whole
 * are used as they are. Returns false when the rest of a key is still to come. */
static bool take_input(struct line_edit *e, bool all)
{
    while (e->input.size > 0 && e->pending == NOTHING) {
        char c = e->input.text[0];
        if (e->pasting) {
            if (!take_paste(e, all))
                return false;
        } else if (c == '\033') {
            size_t size = sequence_size(e->input.text, e->input.size);
            if (size == 0 && !all)
                return false;
            press(e, size ? size : e->input.size);
        } else if (is_control(c)) {
            press(e, 1);
        } else if (!type_characters(e, all)) {
            return false;
        }
    }
    return true;
}

/* ---- the terminal ---- */

static void measure(struct line_edit *e)
{
    struct winsize size = {0};
    if (ioctl(e->out, TIOCGWINSZ, &size) != 0)
        size = (struct winsize){0};
    e->view.columns = size.ws_col ? size.ws_col : 80;
    e->view.rows = size.ws_row ? size.ws_row : 24;
}

static void draw(struct line_edit *e)
{
    struct strbuf out;
    strbuf_init(&out, TEXT_MAX);
    measure(e);
    e->view.text = text_of(e);
    e->view.cursor = e->text.cursor;
    line_view_draw(&e->view, &out);
    write_all(e, out.text, out.size);
    strbuf_release(&out);
}

struct line_edit *line_edit_open(int in, int out)
{
    const char *terminal = getenv("TERM");
    struct line_edit *e = calloc(1, sizeof(*e));
    bool dumb = !terminal || !*terminal || strcmp(terminal, "dumb") == 0;
    if (!e || dumb || !isatty(out) || tcgetattr(in, &e->before) != 0) {
        free(e);
        return NULL;
    }
    e->in = in;
    e->out = out;
    e->answering = e->before;
    e->answering.c_iflag &= (tcflag_t) ~(ICRNL | INLCR | IXON | ISTRIP);
    e->answering.c_lflag &= (tcflag_t) ~(ECHO | ICANON | IEXTEN);
    e->answering.c_cc[VMIN] = 1;
    e->answering.c_cc[VTIME] = 0;
    e->typing = e->answering;
    e->typing.c_lflag &= (tcflag_t)~ISIG;
    strbuf_init(&e->input, TEXT_MAX);
    strbuf_init(&e->text.bytes, TEXT_MAX);
    tcsetattr(in, TCSADRAIN, &e->answering);
    return e;
}

void line_edit_close(struct line_edit *e)
{
    if (!e)
        return;
    tcsetattr(e->in, TCSADRAIN, &e->before);
    for (size_t i = 0; i < e->n_history; i++)
        free(e->history[i]);
    free(e->draft);
    strbuf_release(&e->input);
    strbuf_release(&e->text.bytes);
    free(e);
}

/* Waits for bytes and reads them. Returns false when `signals` can be read instead, or nothing came in ESCAPE_MS with
 * `brief` set. */
static bool read_more(struct line_edit *e, int signals, bool brief)
{
    uint8_t block[4096];
    struct pollfd fds[2] = {{.fd = e->in, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    int n = poll(fds, 2, brief ? ESCAPE_MS : -1);
    if (n <= 0 || fds[1].revents) {
        if (n > 0)
            e->pending = LINE_SIGNALLED;
        return false;
    }
    ssize_t got = read(e->in, block, sizeof(block));
    e->input.failed = false;
    if (got > 0)
        strbuf_add(&e->input, (struct span){block, (size_t)got});
    else if (got == 0 || errno != EINTR)
        e->gone = true;
    return got > 0;
}

/* Removes the text from the screen. */
static void hide_text(struct line_edit *e)
{
    char up[32] = "";
    if (e->view.cursor_row > 0)
        snprintf(up, sizeof(up), "\033[%zuA", e->view.cursor_row);
    write_text(e, up);
    write_text(e, "\r\033[J");
    e->view.cursor_row = 0;
}

/* After a signal the text is kept for the next call; otherwise it is moved to `line`. */
static enum line_result finish_read(struct line_edit *e, struct strbuf *line)
{
    enum line_result result = e->gone ? LINE_END : (enum line_result)e->pending;
    if (result != LINE_SIGNALLED) {
        leave_text(e, "");
        strbuf_add(line, text_of(e));
        replace(e, "");
        e->place = e->n_history;
    } else {
        hide_text(e);
    }
    write_text(e, PASTE_PLAIN);
    tcsetattr(e->in, TCSADRAIN, &e->answering);
    return result;
}

enum line_result line_edit_read(struct line_edit *e, const char *prompt, int signals, struct strbuf *line)
{
    bool whole = true;
    line->size = 0;
    line->text[0] = '\0';
    e->pending = NOTHING;
    e->view.prompt = prompt;
    tcsetattr(e->in, TCSADRAIN, &e->typing);
    write_text(e, PASTE_MARKED);
    draw(e);
    while (e->pending == NOTHING && !e->gone) {
        bool more = e->input.size > 0 && whole ? true : read_more(e, signals, !whole);
        if (e->pending == NOTHING)
            whole = take_input(e, !more);
        if (e->pending == NOTHING && !e->gone)
            draw(e);
    }
    return finish_read(e, line);
}

void line_edit_remember(struct line_edit *e, struct span text)
{
    char *copy = strndup((const char *)text.at, text.size);
    bool again = copy && e->n_history > 0 && strcmp(e->history[e->n_history - 1], copy) == 0;
    if (!copy || !*copy || again) {
        free(copy);
        return;
    }
    if (e->n_history == HISTORY_MAX) {
        free(e->history[0]);
        memmove(e->history, e->history + 1, (HISTORY_MAX - 1) * sizeof(e->history[0]));
        e->n_history--;
    }
    e->history[e->n_history++] = copy;
    e->place = e->n_history;
}
