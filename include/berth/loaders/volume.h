/* volume.h - the directory (or the single file) that models are mounted in. All files in it are opened here.
 *
 * Paths are relative to the volume. A symbolic link is followed while it stays under the volume, as the links
 * of a Kubernetes volume do (model.gguf -> ..data/model.gguf); one that leaves it is refused, and the reason names it.
 * Opening never blocks and has no side effect: only a regular file is opened for reading.
 */
#ifndef BERTH_VOLUME_H
#define BERTH_VOLUME_H

#include "berth/base/error.h"

#include <sys/stat.h>

struct volume {
    char *path; /* as it was given: "/app/models", or the file's directory */
    char *single; /* the one file to serve, below path; NULL for a whole directory */
    int dir; /* file descriptor of the directory */
    bool anywhere; /* links may lead out of the volume: set for a file that was named on the command line */
};

enum volume_result {
    VOLUME_OPEN,
    VOLUME_MISSING, /* the path does not exist (yet), or leads through a broken link */
    VOLUME_REFUSED, /* it exists and cannot be read; err says why, with the user id where that matters */
};

/* Opens `path`, a directory or a single regular file. Close it with volume_close unless VOLUME_MISSING. */
enum volume_result volume_open(struct volume *v, const char *path, struct error *err);
void volume_close(struct volume *v);

/* Opens a regular file below the volume for reading and returns its descriptor, which the caller closes.
 * -1 with the reason: not there, no permission (names uid), no regular file, a link that leaves the
 * volume. */
int volume_open_file(const struct volume *v, const char *path, struct error *err);

/* Opens a directory below the volume ("." for itself) for reading its entries; -1 as above. */
int volume_open_dir(const struct volume *v, const char *path, struct error *err);

/* What `path` is after following links inside the volume; false with the reason as above. */
bool volume_stat(const struct volume *v, const char *path, struct stat *st, struct error *err);

#endif
