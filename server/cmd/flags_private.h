/* flags_private.h - reads the arguments of a command by its table of flags. */
#ifndef BERTH_FLAGS_PRIVATE_H
#define BERTH_FLAGS_PRIVATE_H

#include "berth/base/error.h"
#include "berth/server/command.h"

/* The arguments that are no flags, in order; they point to argv. */
struct operands {
    const char **at;
    size_t n;
};

enum flags_result { FLAGS_READ, FLAGS_HELP, FLAGS_WRONG };

/* Reads argv[1..argc) into the struct at `out`, which holds the defaults. "--name value" and "--name=value" mean the
 * same; after "--" everything is an operand, and so is "-". FLAGS_HELP when --help or -h stands before "--".
 * FLAGS_WRONG with the reason, which names the flag. Release the operands with operands_release in each case. */
enum flags_result flags_read(
    const struct command *c, int argc, char **argv, void *out, struct operands *operands, struct error *err);
void operands_release(struct operands *o);

/* Say what is wrong on standard error and return the exit status. */
int command_wrong(const struct command *c, const struct error *err); /* with the arguments: 2 */
int command_failed(const char *path, const struct error *err); /* with the file or the run: 1 */

/* Flushes standard output. False with the reason when not all of it was written. */
bool flush_output(struct error *err);

#endif
