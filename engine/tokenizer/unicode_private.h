/* unicode_private.h - the form of the generated tables; see tools/unicode-tables. */
#ifndef BERTH_UNICODE_PRIVATE_H
#define BERTH_UNICODE_PRIVATE_H

#include "berth/engine/tokenizer/unicode.h"

struct unicode_run {
    uint32_t first : 24, class : 8; /* of all code points up to the next row's */
};

/* A run of code points, one or two apart, and what each becomes. */
struct unicode_map {
    uint32_t first : 21, n : 7;
    uint32_t by_two : 1; /* code points and targets are two apart */
    uint32_t same : 1; /* all have the same target */
    uint32_t to; /* of the first */
};

extern const struct unicode_map unicode_lower_maps[], unicode_first_maps[]; /* sorted */
extern const size_t n_unicode_lower_maps, n_unicode_first_maps;
extern const uint8_t unicode_ascii[128]; /* classes */
extern const struct unicode_run unicode_runs[]; /* sorted; the first begins at 0 */
extern const size_t n_unicode_runs;

#endif
