/* command.h - the subcommands: `berth NAME …`, one function and one row in main's table each.
 *
 * argv[0] is the command's name. The result is the process's exit status: 0, 1 for what failed, 2 for
 * wrong usage.
 */
#ifndef BERTH_COMMAND_H
#define BERTH_COMMAND_H

int cmd_serve(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_health(int argc, char **argv);
int cmd_render(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);

#endif
