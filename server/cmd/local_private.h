/* local_private.h - a model and an engine for a command: opened and run as the server would, without HTTP. */
#ifndef BERTH_LOCAL_PRIVATE_H
#define BERTH_LOCAL_PRIVATE_H

#include "berth/engine/scheduler/engine.h"

struct local_options {
    const char *path; /* -m; NULL: not given */
    const char *cpu; /* isa_select's */
    uint64_t threads; /* 0: as many as the limits allow */
    enum attention_type kv_type;
    uint64_t context; /* 0: the model's */
    uint64_t slots, chunk;
    bool as_float;
    bool no_tokenizer;
};

extern const struct local_options local_defaults;

/* Lines for a command's usage text. */
#define LOCAL_USAGE                                                                                          \
    "  --threads N           threads that compute (default: as many as the process may use)\n"               \
    "  --cpu SET             plain, avx2, avxvnni, avx512, neon, dotprod, i8mm, or auto (default)\n"         \
    "  --kv-type TYPE        of cached keys and values: f16 (default), f32 or q8_0\n"                        \
    "  --float               multiply in float32 also where weights are quantized: exact and slow\n"         \
    "  --context N           tokens that a sequence may have, where that is less than the model's\n"

/* The value of a flag. */
enum local_flag { LOCAL_OTHER, LOCAL_TAKEN, LOCAL_WRONG };
/* Reads argv[*at], and its value behind it, when it is one of the flags above or -m; *at then stands on the last that
 * was read. LOCAL_WRONG with the reason. */
enum local_flag local_flag(struct local_options *o, int argc, char **argv, int *at, struct error *err);

/* Numbers of other flags, with their bounds. False with the reason, which names the flag. */
bool local_number(
    int argc, char **argv, int *at, uint64_t least, uint64_t most, uint64_t *out, struct error *err);
bool local_real(int argc, char **argv, int *at, double least, double most, float *out, struct error *err);
const char *local_text(int argc, char **argv, int *at, struct error *err); /* NULL: there is none */

bool local_asks_for_help(int argc, char **argv);
/* Say what is wrong on standard error, and return the exit status. */
int local_wrong(const char *command, const struct error *err); /* with the arguments: 2 */
int local_failed(const char *path, const struct error *err); /* with the file or the run: 1 */

struct local {
    struct volume volume;
    struct loaded loaded;
    struct engine *engine;
    struct served_model *served;
    struct text_model *model; /* the same */
    unsigned threads;
    int woken; /* eventfd that says that some job has something to take */
};

/* False with the reason; then there is nothing to close. */
bool local_open(struct local *l, const struct local_options *o, struct error *err);
void local_close(struct local *l);

/* A job that wakes by local.woken, handed to the engine. NULL with the reason. */
struct job *local_submit(struct local *l, const struct job_request *r, struct error *err);
/* Waits until some job has something to take, or until `also` (a descriptor, or -1) can be read: true then. */
bool local_wait(struct local *l, int also);

#endif
