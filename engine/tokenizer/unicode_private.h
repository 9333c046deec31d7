/* unicode_private.h - the form of the generated table; see tools/unicode-tables. */
#ifndef BERTH_UNICODE_PRIVATE_H
#define BERTH_UNICODE_PRIVATE_H

#include "berth/engine/tokenizer/unicode.h"

struct unicode_run {
    uint32_t first : 24, class : 8; /* of all code points up to the next row's */
};

extern const struct unicode_run unicode_runs[]; /* sorted; the first begins at 0 */
extern const size_t n_unicode_runs;

#endif
