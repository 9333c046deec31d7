/* template.h - runs chat templates, which are written in Jinja 2.
 *
 * Text comes out byte for byte as jinja2 3.1 makes it in the environment that Hugging Face's transformers
 * sets up: trim_blocks, lstrip_blocks, break and continue, the immutable sandbox, a `tojson` that does not
 * escape for HTML, raise_exception(), strftime_now() and the tag `generation`. What berth cannot do is refused with
 * its line where a rendering reaches it, never skipped; a template is refused as a whole for its syntax alone.
 *
 * A template comes from a stranger, with the model: parsing takes linear time and bounded depth, and a
 * rendering has limits of steps, memory, output and depth.
 *
 * Where text would differ from Python's, it is refused rather than guessed: integers beyond 64 bits, objects that print
 * their address.
 */
#ifndef BERTH_TEMPLATE_H
#define BERTH_TEMPLATE_H

#include "berth/base/error.h"
#include "berth/base/value.h"

#define TEMPLATE_SOURCE_MAX ((size_t)1 << 18) /* bytes of a template */

struct template;

/* Parses a template's source, which is copied. NULL with the reason, which names the line: bad syntax, a
 * construct that is not known, a source too long, too deep or not UTF-8. */
struct template *template_parse(struct span source, struct error *err);
void template_free(struct template *t); /* NULL is fine */

/* Limits of one rendering. Zeros stand for the defaults. */
struct template_limits {
    uint64_t steps; /* 20 million */
    size_t memory; /* bytes of values made on the way: 256 MiB */
    size_t output; /* bytes: 16 MiB */
    const struct value_arena *beside; /* in whose budget the values count; NULL: in none */
};

/* A prompt, and where each of its bytes comes from: special tokens are looked for in runs of
 * VALUE_FROM_TEMPLATE only. */
struct template_text {
    char *text; /* [size], UTF-8, and a NUL after it */
    uint8_t *marks; /* [size] of enum value_origin; numbered parts are VALUE_FROM_MESSAGE */
    uint8_t *shown; /* a bit for each number; see template_text_shows */
    size_t size;
};

/* Renders `t` with the variables of the map `vars`; `now` is the time for strftime_now, which shows it as local time.
 * False with the reason, which names the line, when the template raises an error, uses what berth does not know or
 * reaches a limit; `out` is empty then. A template may be rendered by several threads at a time. */
bool template_render(const struct template *t, struct value vars, int64_t now,
    const struct template_limits *limits, struct template_text *out, struct error *err);
void template_text_release(struct template_text *t);

/* True when any byte of the text is of the part with this number (VALUE_FROM_NUMBERED). */
bool template_text_shows(const struct template_text *t, size_t number);

/* True when the word occurs in the template's source. */
bool template_names(const struct template *t, const char *word);

#endif
