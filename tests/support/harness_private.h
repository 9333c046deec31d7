/* harness_private.h - what the files of the harness share. */
#ifndef BERTH_TESTS_HARNESS_PRIVATE_H
#define BERTH_TESTS_HARNESS_PRIVATE_H

/* The whole file as text, which the caller frees. Fails the test when it cannot be read. */
char *read_whole(const char *path);

#endif
