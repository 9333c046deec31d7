/* format_private.h - a row of the table of chat formats, and the parts of the grammar of an answer. */
#ifndef BERTH_FORMAT_PRIVATE_H
#define BERTH_FORMAT_PRIVATE_H

#include "berth/engine/chat/chat_format.h"

enum chat_id_place { CHAT_ID_NONE, CHAT_ID_BEFORE_NAME, CHAT_ID_AFTER_NAME, CHAT_ID_AFTER_ARGUMENTS };

/* How calls are written:
 *     trigger gap list_open CALL separator CALL … list_close list_end
 * with, for each CALL:
 *     open [id] before_name NAME [id] after_name ARGUMENTS [id] close
 * A piece that is NULL is empty. Where there is no trigger, `open` of the first call tells that calls begin. */
struct chat_calls {
    const char *trigger, *gap, *list_open, *separator, *list_close,
        *list_end; /* gap and list_end may be left out */
    const char *open, *before_name, *other_before_name, *after_name, *close;

    enum chat_id_place id_place;
    const char *id_open, *id_close;
    bool id_is_number; /* else nine letters or digits, which may be left out */

    /* Calls may stand for the whole answer without the trigger: an answer that begins as a call does, is one. With
     * `name_decides` up to and with the name and after_name; else up to before_name. */
    bool implicit, name_decides;
    /* An answer may begin with a call in JSON without any mark, or in a block of code, in a layout of the model's own. */
    bool loose;
    bool repeats; /* text and calls may follow a call; else an answer ends after its calls */

    /* Arguments are one JSON object, or with `keyed` one by one:
     *     key_open NAME key_close VALUE comma …
     * with VALUE either raw_open TEXT raw_close, for strings where raw_close is given, or value_open JSON value_close. */
    bool keyed, python;
    const char *key_open, *key_close, *raw_open, *raw_close, *value_open, *value_close, *comma;
};

enum chat_call_ids { CHAT_IDS_RANDOM, CHAT_IDS_NINE, CHAT_IDS_FUNCTIONS };

#define CHAT_WORDS 3

struct chat_format {
    const char *name;
    const char *words[CHAT_WORDS]; /* of the template, all of them; a row without words fits every template */
    const char *reasoning_open, *reasoning_close; /* NULL: no reasoning */
    const char *text_open, *text_close; /* marks around text; NULL: none */
    const struct chat_calls *calls;
    enum chat_call_ids ids; /* what ids of calls look like */
    bool instructed; /* the template does not write tools */
    bool harmony; /* channels: the grammar is made by harmony.c */
};

/* "" for NULL. */
struct span chat_piece(const char *piece);

/* ---- earlier messages: history.c ---- */

bool chat_has_role(struct value message, const char *name);
bool chat_is_result(struct value message); /* of a tool */
/* Appends a content's text: a string, or the texts of parts on lines of their own. */
void chat_add_content(struct strbuf *out, struct value message);

/* ---- the grammar ---- */

/* The making of one grammar. */
struct chat_build {
    const struct chat_form *form;
    const struct chat_format *format;
    const struct chat_calls *calls; /* NULL: the answer has none */
    struct grammar_builder *b;
    struct json_notes *notes; /* NULL: nobody asks */
    const struct chat_tool *failed; /* whose parameters made the builder fail; NULL: none */
    size_t first_tool, n_tools; /* of form->tools: those that may be called */
    grammar_node *arguments; /* [n_tools], with what closes the call */
    grammar_node *values; /* [n_tools]: the arguments alone */
    grammar_node named; /* a name and what is behind it */
    grammar_node
        text; /* any text, with calls and reasoning in it; NODE_NEVER where the form does not allow it */
};

/* The bytes and control tokens of a piece, as marks. */
grammar_node chat_mark(const struct chat_build *f, const char *piece);
/* The part of a piece by which it is found in text, and what is behind it. */
struct grammar_marker chat_marker(const struct chat_build *f, const char *piece, grammar_node *rest);
/* The marks or nothing. */
grammar_node chat_mark_optional(const struct chat_build *f, const char *piece);

/* Text without reasoning and calls, as the form wants it. */
grammar_node chat_answer_text(struct chat_build *f);
bool chat_answer_is_free(const struct chat_build *f);
/* Arguments of a tool as one JSON object. */
grammar_node chat_json_arguments(struct chat_build *f, const struct chat_tool *tool);

/* Fills f->arguments and f->named. */
void chat_calls_prepare(struct chat_build *f);
/* All calls of an answer, from the trigger on. */
grammar_node chat_calls_whole(struct chat_build *f);
/* What is behind the marker of the first call; `rest` is behind the marker, too. */
grammar_node chat_calls_behind(struct chat_build *f, grammar_node rest);
/* Appends the text number `start` of those with which calls begin without a trigger. False when there are fewer. */
bool chat_calls_start(const struct chat_build *f, size_t start, struct strbuf *out);
/* What is behind that text. */
grammar_node chat_calls_from_start(struct chat_build *f, size_t start);
/* What a loose call begins with: one of chat_loose_fences, which is empty first, and one of chat_loose_names. Both end in
 * NULL. The function's name and a quote follow. */
extern const char *const chat_loose_fences[], *const chat_loose_names[];

/* The piece by which calls are found in text. */
const char *chat_trigger(const struct chat_build *f);
/* f->text with what may stand at the beginning alone: calls without marks, and with `reasoning`, what is behind the mark
 * that opens it. */
grammar_node chat_beginning(struct chat_build *f, grammar_node reasoning);
/* An answer in channels. */
grammar_node chat_harmony(struct chat_build *f);

/* Newlines that the family writes beside its marks: two at most. */
grammar_node chat_newlines(const struct chat_build *f);

/* The text ends with the mark, but for white space. */
bool chat_ends_with_mark(struct span text, const char *mark);
/* The end of a prompt says that the reasoning is over: the template wrote an empty one. */
bool chat_format_closes_reasoning(const struct chat_format *f, struct span prompt_end);

grammar_node chat_sequence3(const struct chat_build *f, grammar_node a, grammar_node b, grammar_node c);

#endif
