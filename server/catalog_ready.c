/* catalog_ready.c - whether the server is ready, computed for each probe.
 *
 * The server stops being ready when the only model, or a required one, is lost. Probes are frequent, so this reads atomics
 * and the current list, and waits for nothing.
 */
#include "catalog_private.h"

#include <string.h>

#define SHOWN 200

/* Why a model cannot answer now. */
enum ability { ABLE, NOT_YET, FAILED, UNABLE };

static enum ability ability_of(const struct catalog *c, const struct model *m, const char **why)
{
    static const char opening[] = "it is still being opened";
    enum model_state state = model_state(m);
    const struct served_model *t = model_served(m);
    *why = state == MODEL_FAILED ? m->reason.text : opening;
    if (state != MODEL_MAPPED)
        return state == MODEL_FAILED ? FAILED : NOT_YET;
    if (!c->engine)
        return ABLE;
    if (!t && !atomic_load_explicit(&m->tried, memory_order_acquire))
        return NOT_YET;
    struct served_description d = {.lacks = &m->not_served};
    if (t)
        d = served_model_describe(t);
    *why = d.lacks ? d.lacks->text : "";
    return d.answers ? ABLE : UNABLE;
}

static bool required_answers(
    struct catalog *c, const struct model_list *l, struct span name, struct error *err)
{
    const char *why;
    char shown[SHOWN];
    text_escape(shown, sizeof(shown), name);
    const struct model *m = list_find(c, l, name);
    if (!m)
        return error_set(err, "the required model %s is not on the volume", shown);
    switch (ability_of(c, m, &why)) {
    case ABLE:
        return true;
    case NOT_YET:
        return error_set(err, "the required model %s is still being opened", shown);
    case FAILED:
        return error_set(err, "the required model %s has failed: %.400s", shown, why);
    case UNABLE:
        break;
    }
    return error_set(err, "the required model %s cannot answer: %.400s", shown, why);
}

static bool required_answer(struct catalog *c, const struct model_list *l, struct error *err)
{
    for (const char *at = c->options->require; *at;) {
        size_t size = strcspn(at, ",");
        if (size && !required_answers(c, l, (struct span){(const uint8_t *)at, size}, err))
            return false;
        at += size + (at[size] == ',');
    }
    return true;
}

static bool some_answers(struct catalog *c, const struct model_list *l, struct error *err)
{
    const char *why, *first = "";
    size_t first_at = 0;
    bool opening = false;
    for (size_t i = 0; i < l->n; i++) {
        switch (ability_of(c, l->models[i], &why)) {
        case ABLE:
            return true;
        case NOT_YET:
            opening = true;
            break;
        default:
            first_at = first[0] ? first_at : i;
            first = first[0] ? first : why;
        }
    }
    if (l->n == 0)
        return error_set(err, "no model is loaded; put a .gguf in %.300s", c->options->models);
    if (opening)
        return error_set(err, "the models are being opened");
    if (l->n == 1)
        return error_set(err, "the model %s cannot answer: %.400s", l->models[0]->id, first);
    return error_set(err, "none of the %zu models on the volume can answer; the first, %.100s: %.400s", l->n,
        l->models[first_at]->id, first);
}

bool catalog_some_answers(struct catalog *c, struct error *err)
{
    struct model_list *l = list_take(c);
    bool some = some_answers(c, l, err);
    list_drop(c, l);
    return some;
}

/* With an empty volume the server is ready: routes that need no model answer. */
bool catalog_ready(struct catalog *c, struct error *err)
{
    if (!atomic_load_explicit(&c->ended, memory_order_acquire))
        return error_set(err, "models are loading");
    struct model_list *l = list_take(c);
    bool ready = c->options->require[0] ? required_answer(c, l, err) : l->n == 0 || some_answers(c, l, err);
    list_drop(c, l);
    return ready;
}
