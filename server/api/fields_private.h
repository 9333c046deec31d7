/* fields_private.h - what the readers of a request's fields share.
 *
 * fields.c has the fields that are honoured or ignored, fields_refused.c those that are refused, and values.c reads
 * single values.
 */
#ifndef BERTH_FIELDS_PRIVATE_H
#define BERTH_FIELDS_PRIVATE_H

#include "berth/server/api/completion_params.h"

#include "berth/base/near.h"

/* ---- the rows: fields.c ---- */

enum treatment { HONOURED, IGNORED };

enum kind {
    ELSEWHERE, /* read with the prompt or the model, or not at all */
    OWN, /* by the row's function */
    TRUTH,
    INTEGER,
    TOKENS, /* an integer; -1 stands for as many as fit */
    NUMBER,
};

typedef bool field_read(const json_t *value, struct completion_params *w, struct api_error *c);

/* Small types: there are many rows. */
struct field {
    const char *name;
    uint8_t routes; /* of enum fields_route */
    uint8_t treatment, kind; /* enum treatment, enum kind */
    uint16_t at; /* offset in struct completion_params */
    float least, most;
    field_read *read; /* of kind OWN */
};

#define MANY 9e15f /* every whole number up to here has a double of its own */

/* Row number i, or NULL behind the last one. */
const struct field *field_at(size_t i);

/* ---- values: values.c ---- */

enum whole_result {
    WHOLE_YES,
    WHOLE_TOO_LARGE, /* a whole number beyond 64 bits: `out` is the nearest one that fits */
    WHOLE_NO, /* no number, or one with a fraction */
};

/* The value as a whole number. 4 and 4.0 are the same number. */
enum whole_result value_whole(const json_t *value, int64_t *out);

/* True when the value is the string `word`. */
bool value_is_word(const json_t *value, const char *word);

/* ---- fields that are refused: fields_refused.c ---- */

/* Values of a refused field that stand for its absence. null always does. */
enum neutral_value {
    NEUTRAL_NONE = 0,
    NEUTRAL_EMPTY = 1, /* false, "", [] and {} */
    NEUTRAL_ZERO = 2,
    NEUTRAL_ONE = 4,
    NEUTRAL_MINUS_ONE = 8,
    NEUTRAL_TRUE = 16,
    NEUTRAL_NO_CHOICE = 32, /* "none" and "auto" */
    NEUTRAL_TEXT = 64, /* {"type": "text"} and ["text"] */
    NEUTRAL_SAME_AS_N = 128, /* the value of "n" */
    NEUTRAL_NO_PENALTY = 256, /* any value of a request that has no penalty on repetition */
};

struct refused_field {
    const char *name;
    uint16_t routes; /* of enum fields_route */
    uint16_t neutral; /* of enum neutral_value */
    const char *instead; /* what berth has instead, as the message tells it; NULL for nothing */
};

const struct refused_field *refused_field_at(size_t i); /* NULL behind the last one */
/* What of a refused field passes and what there is instead, as the message tells it. */
void refused_field_tell(const struct refused_field *f, char *out, size_t size);

/* The row of a name on a route, or NULL. Route 0 stands for any route. */
const struct refused_field *refused_field_find(const char *name, unsigned route);

/* Compares with the name of each refused field of the route. */
void refused_fields_near(struct near *n, unsigned route);

/* True when `value` stands for the field's absence; otherwise an error that names the field. */
bool refused_field_check(
    const struct refused_field *f, const json_t *value, const json_t *request, struct api_error *c);

#endif
