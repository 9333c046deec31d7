/* translate.h - from the request of another dialect to OpenAI's chat request.
 *
 * A dialect has a table of its fields, one row each: read by its own code, copied, ignored or refused. Its messages become
 * OpenAI's by a chat builder, which keeps what one answer of the assistant was made of together: reasoning, text, calls.
 * An error that comes from below names OpenAI's fields; translate_error gives it the dialect's.
 */
#ifndef BERTH_TRANSLATE_H
#define BERTH_TRANSLATE_H

#include "berth/base/strbuf.h"
#include "berth/server/api/chat.h"
#include "berth/server/http/route.h"

/* ---- fields ---- */

/* What becomes of a field, and flags beside it. */
enum field_use {
    FIELD_READ,
    FIELD_COPIED,
    FIELD_IGNORED,
    FIELD_REFUSED,
    FIELD_USE = 3, /* the bits of the four above */
    FIELD_REQUIRED = 4,
    FIELD_ONE_OF = 8, /* one of the fields that are so is required */
    FIELD_ON =
        16 /* times bits of the dialect's own: the routes that have the field; without any, all have it */
};

struct dialect_field {
    const char *name;
    unsigned use; /* enum field_use */
    /* Copied: OpenAI's name, NULL for the same one. Refused: what the message says after "is not supported", or NULL. */
    const char *more;
    const char
        *schema; /* of a field that is read or copied: JSON Schema, for /openapi.json; NULL: any value */
};

/* The fields of a route: rows of the dialect's table, then others. */
struct dialect_fields {
    const struct dialect_field *rows; /* [n] */
    size_t n;
    unsigned route; /* one of the dialect's own bits; 0: all rows */
    bool (*others)(size_t i, struct route_field *out); /* NULL: none */
};

#define SCHEMA_STRING "{\"type\":[\"string\",\"null\"]}"
#define SCHEMA_TRUTH "{\"type\":[\"boolean\",\"null\"]}"
#define SCHEMA_INTEGER "{\"type\":[\"integer\",\"null\"]}"
#define SCHEMA_NUMBER "{\"type\":[\"number\",\"null\"]}"
#define SCHEMA_OBJECT "{\"type\":[\"object\",\"null\"]}"
#define SCHEMA_LIST "{\"type\":[\"array\",\"null\"]}"
#define SCHEMA_STRING_OR_LIST "{\"type\":[\"string\",\"array\",\"null\"]}"

/* Describes field number i. False when there are not so many. */
bool dialect_describe(const struct dialect_fields *d, size_t i, struct route_field *out);
/* Refuses what is refused unless it is null, false or empty, a name that is near one that is taken, and
 * a value that its field's schema does not allow. False with the error. */
bool dialect_check(const struct dialect_fields *d, const json_t *request, struct api_error *c);

/* The same for all rows of a table, and then the fields that every dialect takes. */
bool translate_describe(const struct dialect_field *rows, size_t n, size_t i, struct route_field *out);

/* Copies what is copied into `to`, and refuses what is refused unless it is null, false or empty. A name that is in no row
 * is refused when it is near one that is read or copied, and ignored otherwise. Berth's own fields of sampling and caching
 * are copied in every dialect. False with the error. */
bool translate_fields(
    const json_t *request, const struct dialect_field *rows, size_t n, json_t *to, struct api_error *c);

struct renamed_field {
    const char *name; /* OpenAI's */
    const char *own; /* the dialect's */
    bool whole; /* what follows the name, "[3].content", means nothing in the dialect, and is left out */
};
/* Gives an error the dialect's names: its parameter, and the quoted names in its message. */
void translate_error(struct api_error *c, const struct renamed_field *rows, size_t n);

/* True when the two are the same string. */
bool translate_is_word(const json_t *value, const char *word);

/* An OpenAI function tool. `parameters` and `strict` may be NULL. False without memory. */
bool translate_tool(json_t *tools, const json_t *name, const json_t *description, const json_t *parameters,
    const json_t *strict);

/* Appends a sentence about a tool that was left out to a list of strings. False without memory. */
bool translate_skipped_tool(json_t *warnings, size_t index, const json_t *type);

/* ---- values: schema_check.c ---- */

/* True when the schema allows the value. Otherwise the error, which names the field. What is in lists and
 * objects is not looked at. */
bool schema_check_value(const char *name, const char *schema, const json_t *value, struct api_error *c);

/* ---- messages ---- */

struct chat_builder {
    json_t *messages; /* owned until chat_builder_end */
    json_t *names; /* names of tools by the ids of calls */
    const char *role; /* of the message that is being made, user or assistant; NULL for none */
    struct strbuf text, reasoning; /* of the same */
    json_t *calls; /* of the same; NULL for none */
    bool failed; /* memory was short */
};

void chat_builder_init(struct chat_builder *b, struct byte_budget *memory);
void chat_builder_release(struct chat_builder *b);

/* A message of one text. Texts of the user that follow each other become one message, since many templates take turns
 * alone. `role` is a constant. */
void chat_builder_message(struct chat_builder *b, const char *role, struct span text);
/* Parts of a message of the assistant, which goes on until another message comes. */
void chat_builder_say(struct chat_builder *b, struct span text);
void chat_builder_reason(struct chat_builder *b, struct span text);
/* `arguments`: an object, or JSON in a string. */
void chat_builder_call(struct chat_builder *b, const json_t *id, const json_t *name, json_t *arguments);
/* The assistant has text or calls in the message that is being made. */
bool chat_builder_has_answer(const struct chat_builder *b);
void chat_builder_end_turn(struct chat_builder *b);
/* What a tool gave back. */
void chat_builder_result(struct chat_builder *b, const json_t *id, struct span text);
/* Stores the messages in the request. False with the error. */
bool chat_builder_end(struct chat_builder *b, json_t *request, struct api_error *c);

/* ---- warnings in an answer ---- */

/* Appends the member "warnings": sentences of `more`, a list of strings or NULL, and what of the schemas is not enforced.
 * Nothing where there are none. */
void answer_add_warnings(const struct completion *a, const json_t *more, struct strbuf *out);

/* The number of tokens of a translated chat's prompt. The other fields are checked, too. False with the error. */
bool chat_count(
    struct server *s, const struct http_request *q, json_t *request, size_t *n, struct api_error *c);

#endif
