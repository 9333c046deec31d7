/* model_operations.h - the interface that a kind of model implements, for files of the engine alone.
 *
 * A new kind is a file that defines a struct whose first member is a struct served_model, and a row of operations; the
 * row joins the table in served_model.c. Catalog and dialects do not change. server/ does not include this header
 * (tests/layers).
 */
#ifndef BERTH_MODEL_OPERATIONS_H
#define BERTH_MODEL_OPERATIONS_H

#include "berth/engine/scheduler/served_model.h"

#include "berth/base/error.h"

#include <stdatomic.h>

struct model_operations {
    enum served_kind kind;
    /* Whether a loaded file is of this kind. The first row that claims a file opens it. */
    bool (*claims)(const struct loaded *l, const struct served_model_options *o);
    /* As served_model_open. Calls served_model_init on what it made. */
    struct served_model *(*open)(
        struct engine *e, struct loaded *l, const struct served_model_options *o, struct error *err);
    /* Fills in all fields but `kind`, which is set already. */
    void (*describe)(const struct served_model *m, struct served_description *out);
    /* As served_model_close; never called with NULL. */
    void (*close)(struct served_model *m);
    /* As served_model_submit. The model is not lost. */
    enum result (*submit)(struct served_model *m, struct job *j, struct error *err);
};

/* What all kinds have in common: the first member of a kind's own struct. */
struct served_model {
    const struct model_operations *operations;
    struct engine *engine;
    struct loaded *loaded; /* borrowed */
    const char *id; /* borrowed; "" for none */
    struct model_metrics metrics;
    atomic_bool losing, lost; /* lost: lost_reason is written and stays */
    struct error lost_reason;
};

void served_model_init(struct served_model *m, const struct model_operations *operations, struct engine *e,
    struct loaded *l, const struct served_model_options *o);

bool served_model_is_lost(const struct served_model *m);

extern const struct model_operations text_generation, text_embedding;

#endif
