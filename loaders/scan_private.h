/* scan_private.h - kinds of files by their names. */
#ifndef BERTH_SCAN_PRIVATE_H
#define BERTH_SCAN_PRIVATE_H

#include <stdbool.h>

enum name_kind { MODEL, HIDDEN, DOCUMENTATION, SCRIPT, SIDE_FILE, UNFINISHED, SYSTEM };

enum name_kind name_kind(const char *name);

/* Whether directories with such names are skipped, not only files. A directory of models may be called "v1.c" or
 * "notice-of-intent". */
bool name_kind_is_skipped(enum name_kind kind);

#endif
