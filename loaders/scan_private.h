/* scan_private.h - what a name says about a file, before anything is opened. */
#ifndef BERTH_SCAN_PRIVATE_H
#define BERTH_SCAN_PRIVATE_H

#include <stdbool.h>

enum name_kind { MODEL, HIDDEN, DOCUMENTATION, SCRIPT, SIDE_FILE, UNFINISHED, SYSTEM };

enum name_kind name_kind(const char *name);

/* Whether a directory of this kind is left out as well, and not only a file: one may well be called "v1.c" or
 * "notice-of-intent". */
bool name_kind_is_skipped(enum name_kind kind);

#endif
