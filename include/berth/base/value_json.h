/* value_json.h - reads JSON into a value: for the small files that describe models.
 *
 * The rooms below the server have no JSON library. Requests are read by server/json instead, with jansson.
 */
#ifndef BERTH_VALUE_JSON_H
#define BERTH_VALUE_JSON_H

#include "berth/base/value.h"

/* Reads `text`, which is one JSON value in UTF-8 (RFC 8259) with white space around it. Strings are copied into the arena,
 * as VALUE_FROM_TEMPLATE. A whole number of up to 18 digits is an integer, any other a float. Of members with one name
 * the last counts. False with the reason, which names the byte: not JSON, lists and maps nested deeper than VALUE_DEPTH, a map
 * of more than 4096 members, or a full arena. */
bool value_read_json(struct value_arena *a, struct span text, struct value *out, struct error *err);

#endif
