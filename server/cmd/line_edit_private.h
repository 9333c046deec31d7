/* line_edit_private.h - reads lines from a person at a terminal, who can edit them.
 *
 * The terminal is set to send each key as it is pressed. Cursor keys, Home, End, Ctrl-A/E/B/F, Ctrl-left and right move;
 * Backspace, Delete, Ctrl-W/U/K/H/D delete; Up, Down, Ctrl-P/N show earlier lines; Ctrl-L clears the screen; Alt-Enter, or
 * Enter after a backslash, begins a new line of the same text; Ctrl-Z stops the process. Pasted text is inserted as it is,
 * with its line ends. Texts may be longer than a row or the screen.
 */
#ifndef BERTH_LINE_EDIT_PRIVATE_H
#define BERTH_LINE_EDIT_PRIVATE_H

#include "berth/base/strbuf.h"

struct line_edit;

enum line_result {
    LINE_READ,
    LINE_END, /* Ctrl-D in an empty line, or the terminal was closed */
    LINE_INTERRUPTED, /* Ctrl-C in an empty line; in another it drops the line */
    LINE_SIGNALLED, /* `signals` can be read; the text so far is kept for the next call */
};

/* Takes over the terminal: `in` is read and `out` is written. NULL when one of them is no terminal that can be
 * controlled, or memory is short. Between two reads typed keys are neither shown nor lost, and Ctrl-C is a signal. */
struct line_edit *line_edit_open(int in, int out);

/* Sets the terminal back as it was. NULL is fine. */
void line_edit_close(struct line_edit *e);

/* Shows the prompt (one column a byte) and reads a text into `line`, which is emptied first. */
enum line_result line_edit_read(struct line_edit *e, const char *prompt, int signals, struct strbuf *line);

/* Adds a text to the earlier lines, unless it is equal to the last of them. */
void line_edit_remember(struct line_edit *e, struct span text);

#endif
