/* layer_private.h - the contract of a layer kind.
 *
 * A layer is a mixer, which lets a row see rows before it, and a feed-forward, which works on each row alone. Both
 * are rows of type struct layer_kind. A layer may lack one of them, and may have a second mixer beside the first. To
 * add a kind, write layer_NAME.c with its row and layer_NAME_private.h with its fields; give struct layer a member for
 * the fields (decoder_private.h) and struct forward one for the memory (forward_private.h), list the row in layer.c,
 * and let an architecture's row choose it (family_*.c).
 *
 * The order of calls: arch.c sets the fields of every layer from the file's keys, `bind` finds the weights, and
 * `state` says what a sequence stores. In each forward call `workspace` lays out memory, then all workers of the
 * pool call `begin` once and `run` for each layer of the kind.
 *
 * A forward call must not change the bits of a row with the number of workers, the other rows of the batch or the
 * cut into batches. So a sum over rows or positions runs in one fixed order, and a recurrent state steps position
 * by position.
 */
#ifndef LAYER_PRIVATE_H
#define LAYER_PRIVATE_H

#include "berth/engine/model/kv_cache.h"

struct binder;
struct decoder;
struct forward;
struct layout;
struct worker;

struct layer_kind {
    const char *name;

    /* Finds and checks the weights of layer i (bind_private.h), and sets the layer's mixer_packs or ffn_packs: whether
     * a product by the layer's input reads the packed form. False with the reason. */
    bool (*bind)(struct binder *b, size_t i);

    /* What a sequence stores for layer i. NULL for feed-forwards that store nothing; what another one stores lies behind
     * the mixer's, and it runs for all rows of a batch even in the last layer. */
    struct layer_state (*state)(const struct decoder *d, size_t i);

    /* Takes the memory of a forward call of f->n rows for all layers of the kind (layout_take). Memory from `passing`
     * belongs to the kind during `run`, memory from `lasting` during the whole call. It is called several times for each
     * forward call; the pointers of the last time are the ones to use. For decoder_row_bytes there are no runs, and
     * f->batch is NULL. */
    void (*workspace)(struct forward *f, struct layout *lasting, struct layout *passing);

    /* Before the first layer, on every worker; NULL for none. What it writes can be read after the first barrier. */
    void (*begin)(struct worker *m);

    /* For a feed-forward that reads the layer's input: called before the mixer of its layer, on every worker, which has its
     * share of the residual in m->x (forward_work_range of m->n rows). NULL for none. */
    void (*early)(struct worker *m, size_t i);

    /* Runs the kind's part of layer i on every worker. The worker's input (m->in) is the layer's input, normed,
     * [m->n][n_embd]. The result goes to f->sum [m->n][n_embd], which others may read when `run` returns, so the last
     * step ends with a barrier. A mixer writes the states for every row, and then calls forward_keep_wanted before it
     * computes its result; if that returns NULL it returns, too. */
    void (*run)(struct worker *m, size_t i);
};

#define LAYER_KINDS_MAX 16
extern const struct layer_kind *const layer_kinds[]; /* all of them, mixers first; NULL ends the list */

#endif
