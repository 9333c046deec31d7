/* chat_format.h - how a family of models writes reasoning and tool calls, and how that is read.
 *
 * A chat format is a row of a table: the words of a chat template that tell it, its markers, how a call and its arguments
 * are written. From the row and a request, chat_form_build makes the grammar of one answer: reasoning, text, calls. The
 * engine follows the grammar token by token and tells the tag of each byte. A chat reader turns tagged text into what a
 * client gets: text, reasoning, and calls with arguments in JSON. So what was enforced and what is read can never differ.
 */
#ifndef BERTH_CHAT_FORMAT_H
#define BERTH_CHAT_FORMAT_H

#include "berth/base/strbuf.h"
#include "berth/base/value.h"
#include "berth/engine/grammar/grammar.h"
#include "berth/engine/grammar/sources.h"

#include <stdbool.h>

struct chat_format;
struct template;

/* The format of a model by its template's words; a generic one when no row fits. Never NULL. `t` may be NULL. */
const struct chat_format *chat_format_of(const struct template *t);
const char *chat_format_name(const struct chat_format *f); /* "hermes", "mistral", … "generic" */
/* By name, or NULL: for --chat-format and for tests. */
const struct chat_format *chat_format_find(struct span name);
/* All rows, for documentation and tests. */
const struct chat_format *chat_format_at(size_t i); /* NULL after the last one */

bool chat_format_reasons(const struct chat_format *f); /* the family marks reasoning */
/* The template writes tools itself. Otherwise the server gives it none, adds chat_format_instructions to the system text,
 * and passes earlier messages through chat_history_as_text. */
bool chat_format_has_tools(const struct chat_format *f, const struct template *t);
/* The template joins the arguments of earlier calls as text, so that they must stay strings. Others take maps. */
bool chat_format_wants_text_arguments(const struct template *t);
/* The template looks for results of tools in the member `tool_responses` of the message with the calls. */
bool chat_format_wants_responses(const struct template *t);
/* The member of a message in which the template looks for earlier reasoning: "reasoning_content" or "thinking". */
const char *chat_format_reasoning_member(const struct chat_format *f, const struct template *t);
/* Appends the id of a call of the answer: what the family's templates want to find in the history. `written` is what
 * CHAT_CALL_ID told, or empty; `random` makes ids differ. */
void chat_format_call_id(
    const struct chat_format *f, struct span name, struct span written, uint64_t random, struct strbuf *out);

/* ---- what is asked of an answer ---- */

#define CHAT_NAME_MAX 64 /* bytes of a function's name */
#define CHAT_NAME_RULE "1 to 64 letters, digits or characters of '_-.:/'"

/* True when the name of a function has CHAT_NAME_RULE. */
bool chat_tool_is_named(struct span name);

struct chat_tool {
    struct span name;
    struct value parameters; /* a schema, or VALUE_UNDEFINED: any object */
    bool strict;
};

enum chat_tool_choice { CHAT_TOOLS_NONE, CHAT_TOOLS_AUTO, CHAT_TOOLS_REQUIRED, CHAT_TOOLS_NAMED };

enum chat_answer_kind {
    CHAT_ANSWER_FREE,
    CHAT_ANSWER_JSON, /* any JSON object */
    CHAT_ANSWER_SCHEMA,
    CHAT_ANSWER_REGEX,
    CHAT_ANSWER_CHOICE,
    CHAT_ANSWER_GBNF,
};

/* What the text of an answer must be. */
struct chat_answer_form {
    enum chat_answer_kind kind;
    struct value schema; /* of CHAT_ANSWER_SCHEMA */
    struct span source; /* of CHAT_ANSWER_REGEX and CHAT_ANSWER_GBNF */
    const struct span *choices; /* [n_choices] of CHAT_ANSWER_CHOICE */
    size_t n_choices;
};

struct chat_form {
    const struct chat_format *format; /* NULL: plain text, neither reasoning nor calls (completions) */
    struct chat_answer_form answer;
    const struct chat_tool *tools; /* [n_tools] */
    size_t n_tools;
    enum chat_tool_choice choice;
    size_t named; /* of CHAT_TOOLS_NAMED: which tool */
    bool parallel; /* several calls in one answer */
    bool split_reasoning; /* reasoning is told apart; otherwise its markers are text */
    struct span
        prompt_end; /* the end of the prompt's text: the template may have opened the reasoning already */
    const struct token_trie
        *trie; /* a marker that is one control token of it is that token alone; NULL: text */
};

/* True when the form says nothing: any text, no tools, and no reasoning that is told apart. Then no grammar is needed. */
bool chat_form_is_free(const struct chat_form *form);

/* The grammar of an answer. `notes` tells what of the tools' schemas is not enforced. NULL with the reason. */
struct grammar *chat_form_build(const struct chat_form *form, struct json_notes *notes, struct error *err);

/* The text that ends reasoning, for a budget; empty when the format has none. */
struct span chat_format_reasoning_end(const struct chat_format *f);

/* True when the format and the end of a prompt say that the answer begins inside reasoning. */
bool chat_format_opens_reasoning(const struct chat_format *f, struct span prompt_end);

/* ---- templates without tools ---- */

/* Appends a system text that tells the model of the tools and how to call them in the generic format. `definitions` is
 * the request's list of tools, of which those with a name among `tools` are written. False without memory. */
bool chat_format_instructions(
    const struct chat_tool *tools, size_t n, struct value definitions, struct strbuf *out);

/* Appends a value as JSON in one line. */
void chat_write_json(struct strbuf *out, struct value v);

/* The messages with calls and results as text: calls stand in the assistant's content as the generic format writes them,
 * results in a user's message, which takes in the user's own message behind them. Others are passed on as they are.
 * VALUE_UNDEFINED without memory. */
struct value chat_history_as_text(struct value_arena *a, struct value messages);

/* The messages with results of tools in `tool_responses` of the message with their calls, for a template that looks for
 * them there: a list of {"name", "response"}, where a response is the result's text. The text of the assistant that
 * follows becomes that message's content. Others are passed on as they are. VALUE_UNDEFINED without memory. */
struct value chat_history_with_responses(struct value_arena *a, struct value messages);

/* ---- tags of the grammar, in the order in which a reader gets them ---- */

enum chat_tag {
    CHAT_TAG_TEXT = 0, /* what the user reads; GRAMMAR_TAG_NONE */
    CHAT_TAG_REASONING = 1,
    CHAT_TAG_CALL_NAME = 2,
    CHAT_TAG_ARGUMENTS = 3, /* JSON as it is */
    CHAT_TAG_KEY = 4, /* the name of an argument, bare */
    CHAT_TAG_VALUE = 5, /* JSON of an argument (in Python's style with JSON_TAG_* for its literals) */
    CHAT_TAG_RAW = 6, /* text of an argument that is a string without quotes */
    CHAT_TAG_CALL_ID = 7, /* an id that the model writes itself */
    CHAT_TAG_CALL_END = 8, /* closes a call that has no CHAT_TAG_ARGUMENTS */
    /* and GRAMMAR_TAG_MARK: syntax that nobody is shown */
};

enum chat_event {
    CHAT_TEXT,
    CHAT_REASONING,
    CHAT_CALL_ID, /* what the model wrote as the id of the call whose CHAT_CALL_BEGIN is next; few families */
    CHAT_CALL_BEGIN, /* with the name: whole, once */
    CHAT_CALL_ARGUMENTS, /* a part of the arguments' JSON */
    CHAT_CALL_END, /* the arguments are whole */
};

#define CHAT_HELD_MAX 128 /* bytes that may be the beginning of a marker */

/* What is told never ends inside a character. Newlines beside markers are syntax: they are left out, two at most on each
 * side. A marker that was begun and not finished is text. */
struct chat_reader {
    size_t n_calls; /* begun */
    bool failed; /* memory is short: what was told is not whole */
    /* The rest is private. */
    const struct chat_format *format;
    struct strbuf name, id; /* of the call that begins */
    struct strbuf out; /* of the event `kind`, not told yet */
    enum chat_event kind;
    uint16_t tag; /* of the last byte */
    uint8_t held[CHAT_HELD_MAX];
    size_t n_held;
    uint32_t depth; /* of lists and objects in arguments */
    uint16_t flags;
    uint8_t trim; /* newlines to leave out */
};

typedef void chat_reader_tell(void *context, enum chat_event event, size_t call, struct span text);

/* For an answer to this form, which is needed here alone. Without split_reasoning, reasoning is told as CHAT_TEXT, with
 * the family's markers around it. */
void chat_reader_init(struct chat_reader *r, const struct chat_form *form, struct byte_budget *memory);
void chat_reader_release(struct chat_reader *r);
/* Reads text with one tag, and tells what it means. A control token is GRAMMAR_TAG_MARK and an empty text. */
void chat_reader_add(
    struct chat_reader *r, uint16_t tag, struct span text, chat_reader_tell *tell, void *context);
/* The answer has ended; `whole`: where the grammar lets it end. Tells what was held back. A call that is cut stays cut: no
 * CHAT_CALL_END is told for it. */
void chat_reader_end(struct chat_reader *r, bool whole, chat_reader_tell *tell, void *context);
bool chat_reader_in_call(const struct chat_reader *r); /* a call has begun and not ended */

#endif
