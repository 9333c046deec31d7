/* requested_model.c - finds the model that a request names, and checks that it can do what is asked.
 *
 * A model that does not exist, is still loading, has failed, or lacks a part is refused with the reason. The refusal of
 * an unknown name lists the known ones. A request may leave the name out where exactly one model can answer.
 */
#include "berth/server/api/requested_model.h"

#include "berth/base/strbuf.h"

#include <string.h>

#define NAMES_TOLD 400 /* bytes of a list of ids in a message */
#define RETRY_SECONDS 1

/* Writes the ids of the models that are mapped, "a, b, c, …", for a message. */
static const char *list_names(struct server *s, char out[NAMES_TOLD])
{
    size_t n, used = 0;
    struct model **models = catalog_hold_all(s->catalog, &n);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const char *id = models[i]->id;
        if (model_state(models[i]) != MODEL_MAPPED)
            continue;
        if (used + strlen(id) + 8 > NAMES_TOLD) {
            snprintf(out + used, NAMES_TOLD - used, ", …");
            break;
        }
        used += (size_t)snprintf(out + used, NAMES_TOLD - used, "%s%s", used ? ", " : "", id);
    }
    catalog_drop_all(s->catalog, models, n);
    return out[0] ? out : "none";
}

static bool embeds(const struct served_model *m)
{
    return served_model_describe(m).kind == SERVED_EMBED;
}

/* Whether the decoder is of the kind that is asked for. */
static bool is_kind(struct text_model *t, unsigned needs)
{
    return !(needs & NEEDS_DECODER) || embeds(text_model_served(t)) == ((needs & NEEDS_EMBEDDING) != 0);
}

static bool has_parts(struct text_model *t, unsigned needs)
{
    if (!is_kind(t, needs))
        return false;
    for (int part = 0; part < TEXT_PARTS; part++)
        if ((needs & 1u << part) && text_model_lacks(t, (enum text_part)part))
            return false;
    return true;
}

/* The only model that can do what is asked, or else the only one that is mapped, so that the refusal tells what it
 * lacks. It is held. NULL when there are none or several. */
static struct model *only_model(struct server *s, unsigned needs)
{
    size_t n, able = 0, mapped = 0;
    struct error ignored = {0};
    struct model *found = NULL, *any = NULL, **models = catalog_hold_all(s->catalog, &n);
    for (size_t i = 0; i < n && able < 2; i++) {
        if (model_state(models[i]) != MODEL_MAPPED)
            continue;
        mapped++;
        any = models[i];
        struct text_model *t = text_model_of(catalog_serve(s->catalog, models[i], &ignored));
        if (!t || !has_parts(t, needs))
            continue;
        able++;
        found = models[i];
    }
    struct model *meant = able == 1 ? found : able == 0 && mapped == 1 && n == 1 ? any : NULL;
    if (meant)
        meant = catalog_hold(s->catalog, span_of(meant->id));
    catalog_drop_all(s->catalog, models, n);
    return meant;
}

/* No model is mapped, so that a request without a name finds none: tells why. The state may change, so the client may
 * try again. */
static bool refuse_without_models(struct server *s, struct api_error *c)
{
    size_t n;
    char shown[200];
    struct model **models = catalog_hold_all(s->catalog, &n);
    const struct model *failed = NULL;
    for (size_t i = 0; i < n && !failed; i++)
        if (model_state(models[i]) == MODEL_FAILED)
            failed = models[i];
    c->retry_after = RETRY_SECONDS;
    text_escape(shown, sizeof(shown), span_of(s->options->models));
    if (failed)
        api_error_status(c, 503, "model_failed", "model", "The model '%s' has failed: %.500s", failed->id,
            failed->reason.text);
    else
        api_error_status(
            c, 503, "model_not_loaded", "model", "No model is loaded; put a .gguf file in %s", shown);
    catalog_drop_all(s->catalog, models, n);
    return false;
}

static bool any_mapped(struct server *s)
{
    return catalog_progress(s->catalog).mapped > 0;
}

static bool find_unnamed(struct requested_model *m, struct server *s, unsigned needs, struct api_error *c)
{
    char names[NAMES_TOLD];
    struct error why = {0};
    m->model = only_model(s, needs);
    if (!m->model)
        m->model = catalog_hold_default(s->catalog);
    if (m->model)
        return true;
    if (!any_mapped(s))
        return refuse_without_models(s, c);
    if (!catalog_some_answers(s->catalog, &why))
        return api_error_status(c, 503, "model_not_loaded", "model", "No model can answer: %.500s", why.text);
    return api_error_bad(c, "model", "'model' is missing; name one of the models: %s", list_names(s, names));
}

static bool find(
    struct requested_model *m, struct server *s, const json_t *request, unsigned needs, struct api_error *c)
{
    char names[NAMES_TOLD], shown[200];
    const json_t *name = json_object_get(request, "model");
    if (name && !json_is_null(name) && !json_is_string(name))
        return api_error_bad(c, "model", "'model' must be a string");
    if (!name || json_is_null(name) || json_string_length(name) == 0)
        return find_unnamed(m, s, needs, c);
    struct span id = {(const uint8_t *)json_string_value(name), json_string_length(name)};
    m->model = catalog_hold(s->catalog, id);
    if (!m->model)
        m->model = catalog_hold_default(s->catalog);
    if (m->model)
        return true;
    text_escape(shown, sizeof(shown), id);
    return api_error_status(c, 404, "model_not_found", "model",
        "The model '%s' does not exist. The models are: %s", shown, list_names(s, names));
}

static bool check_state(const struct requested_model *m, struct api_error *c)
{
    switch (model_state(m->model)) {
    case MODEL_LOADING:
        c->retry_after = RETRY_SECONDS;
        return api_error_status(c, 503, "model_loading", "model", "The model is loading");
    case MODEL_FAILED:
        c->retry_after = RETRY_SECONDS;
        return api_error_status(
            c, 503, "model_failed", "model", "The model has failed: %.500s", m->model->reason.text);
    default:
        return true;
    }
}

static bool check_parts(const struct text_model *t, unsigned needs, struct api_error *c)
{
    static const char *const sentences[TEXT_PARTS] = {
        [TEXT_DECODER] = "This model cannot answer",
        [TEXT_TOKENIZER] = "This model takes prompts of token ids only",
        [TEXT_CHAT] = "This model cannot chat, but it completes text with /v1/completions",
    };
    for (int part = 0; part < TEXT_PARTS; part++) {
        const struct error *why = text_model_lacks(t, (enum text_part)part);
        if ((needs & 1u << part) && why)
            return api_error_status(
                c, 400, "model_not_supported", "model", "%s: %.400s", sentences[part], why->text);
    }
    return true;
}

static bool check_kind(struct text_model *t, unsigned needs, struct api_error *c)
{
    if (is_kind(t, needs))
        return true;
    return api_error_status(c, 400, "model_not_supported", "model",
        needs & NEEDS_EMBEDDING ? "This model generates text, and makes no embeddings"
                                : "This model makes embeddings with /v1/embeddings, and generates no text");
}

bool requested_model_find(
    struct requested_model *m, struct server *s, const json_t *request, unsigned needs, struct api_error *c)
{
    struct error why = {0};
    *m = (struct requested_model){0};
    if (!catalog_progress(s->catalog).ended) {
        c->retry_after = RETRY_SECONDS;
        return api_error_status(c, 503, "model_loading", NULL, "The models are loading");
    }
    if (!find(m, s, request, needs, c) || !check_state(m, c))
        return false;
    m->served = catalog_serve(s->catalog, m->model, &why);
    m->text = text_model_of(m->served);
    if (m->served && !m->text)
        error_set(&why, "it is not a model of text");
    if (!m->text)
        return api_error_status(
            c, 400, "model_not_supported", "model", "This model cannot answer: %.500s", why.text);
    return check_kind(m->text, needs, c) && check_parts(m->text, needs, c);
}

void requested_model_release(struct requested_model *m, struct server *s)
{
    if (m->model)
        catalog_drop(s->catalog, m->model);
    *m = (struct requested_model){0};
}
