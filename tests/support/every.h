/* every.h - thins the sweep of a test out, for emulators, which are slow. */
#ifndef BERTH_TESTS_UNIT_EVERY_H
#define BERTH_TESTS_UNIT_EVERY_H

#include <stddef.h>
#include <stdlib.h>

/* With the variable EVERY=N about each Nth is tried, otherwise all are. */
static inline size_t every(void)
{
    const char *text = getenv("EVERY");
    long n = text ? strtol(text, NULL, 10) : 1;
    return n > 1 ? (size_t)n : 1;
}

#endif
