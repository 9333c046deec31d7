/* local_private.h - a model and an engine for one command: opened and run as in the server, without HTTP. */
#ifndef BERTH_LOCAL_PRIVATE_H
#define BERTH_LOCAL_PRIVATE_H

#include "berth/engine/scheduler/engine.h"
#include "berth/server/command.h"
#include "berth/loaders/loader.h"

struct local_options {
    const char *path; /* -m; NULL: not given */
    const char *cpu; /* a name of isa_select */
    const char *kv_type; /* one of local_kv_types */
    uint64_t threads; /* 0: as many as the limits allow */
    uint64_t context; /* 0: the model's */
    uint64_t slots, chunk;
    bool as_float;
    bool no_tokenizer;
};

extern const struct local_options local_defaults;

/* What --kv-type takes; NULL at the end. */
extern const char *const local_kv_types[];

/* The flags that are read into a struct local_options. */
#define LOCAL_N_FLAGS 6
extern const struct command_flag local_flags[LOCAL_N_FLAGS];

struct local {
    char *path; /* of the model file */
    struct volume volume;
    struct loaded loaded;
    struct engine *engine;
    struct served_model *served;
    struct text_model *model; /* the same */
    unsigned threads;
    int woken; /* eventfd: some job has something to take */
};

/* Opens the model file that find_model finds for o->path, and starts an engine. False with the reason, which begins
 * with the file's name where there is a file; then there is nothing to close. */
bool local_open(struct local *l, const struct local_options *o, struct error *err);
void local_close(struct local *l);

/* Puts the file's name in front of a reason that does not begin with it. Returns false. */
bool local_name_file(const char *path, struct error *err);

/* Hands the engine a job that wakes local_wait. NULL with the reason. */
struct job *local_submit(struct local *l, const struct job_request *r, struct error *err);

/* Waits until some job has something to take, until `also` (a descriptor, or -1) can be read, or for `seconds` (below
 * 0: no limit). Returns whether `also` can be read. */
bool local_wait(struct local *l, int also, double seconds);

#endif
