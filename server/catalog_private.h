/* catalog_private.h - what catalog.c, which lists and loads, and catalog_text.c, which makes models ready for
 * answers, share.
 */
#ifndef BERTH_CATALOG_PRIVATE_H
#define BERTH_CATALOG_PRIVATE_H

#include "berth/server/catalog.h"
#include "berth/loaders/scan.h"

struct catalog {
    const struct options *options;
    uint64_t memory; /* bytes that the process may use */
    struct engine *engine; /* NULL: models are not made ready for answers */
    char *chat_template; /* [template_size], or NULL */
    size_t template_size;
    struct volume volume;
    bool volume_open;
    struct scan scan; /* owns the models' ids and paths */
    struct model *models; /* [n_models], in the order of ids */
    char **paths; /* [n_models], escaped */
    size_t n_models;

    atomic_bool listed, ended, stopping;
    atomic_size_t done, mapped, failed;

    pthread_t watcher;
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t wake; /* stopping was set, or the watcher has ended */
    bool keeper_ended;
};

double catalog_now(void); /* seconds, monotonic */

/* The id that an alias stands for; empty for none. */
struct span catalog_id_of_alias(const struct catalog *c, struct span alias);

/* Opens all models that are mapped, one after the other. Called by the watcher. */
void catalog_open_all(struct catalog *c);

/* Called when the file of a model has changed: its jobs fail. */
void catalog_lose(struct model *m);

#endif
