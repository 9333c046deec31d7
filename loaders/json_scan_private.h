/* json_scan_private.h - walks JSON without making a tree of it: for tables of 100,000 entries.
 *
 * A scan reads forward through mapped bytes. A function returns false at the end of what it walks, and after a failure,
 * which stays: the reason is written once, and names the byte. Nothing recurses and nothing is allocated. What is skipped
 * is not validated beyond its brackets and strings.
 *
 *     bool first = true;
 *     struct span name;
 *     for (json_scan_enter(s, '{'); json_scan_member(s, &first, &name);)
 *         if (span_is(name, "id")) json_scan_whole(s, &id); else json_scan_skip(s, NULL);
 *     good = !s->failed;
 */
#ifndef BERTH_JSON_SCAN_PRIVATE_H
#define BERTH_JSON_SCAN_PRIVATE_H

#include "berth/base/error.h"
#include "berth/base/text.h"

struct json_scan {
    struct span text;
    size_t at;
    bool failed;
    struct error *err;
};

/* Fails the scan; an earlier reason stays. Returns false. */
bool json_scan_fail(struct json_scan *s, const char *what);

/* The first byte of the next value, or 0 at the end: '{', '[', '"', or what a number or a word begins with. */
char json_scan_peek(struct json_scan *s);

bool json_scan_enter(struct json_scan *s, char open); /* '{' or '[' */

/* Goes on to the next member, or item, of what was entered; *first is true before the first one. The caller reads or skips
 * its value. `name` is as it is written, without its quotes. */
bool json_scan_member(struct json_scan *s, bool *first, struct span *name);
bool json_scan_item(struct json_scan *s, bool *first);

bool json_scan_text(
    struct json_scan *s, struct span *raw); /* a string as it is written, without its quotes */
bool json_scan_whole(struct json_scan *s, uint64_t *out); /* a whole number that is not negative */
bool json_scan_real(struct json_scan *s, double *out);
bool json_scan_skip(
    struct json_scan *s, struct span *value); /* any value; its bytes, where `value` is not NULL */

/* Nothing but white space is left. */
bool json_scan_end(struct json_scan *s);

/* Writes the string that is written as `raw` to `out`, which has room for raw.size bytes, and its length to *size. False
 * for an escape that JSON does not have. */
bool json_scan_unescape(struct span raw, uint8_t *out, size_t *size);

#endif
