/* metrics_models.c - what the engine counts for each model, as berth's own families and, for routers that choose among
 * replicas, under the names that vLLM made common: the Gateway API inference extension and llm-d read those.
 */
#include "metrics_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/server/server.h"

#include <inttypes.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A model that answers. */
struct model_sample {
    struct server *server;
    const char *id;
    const struct served_model *served;
    const struct model_metrics *metrics;
    double kv_usage; /* of all models: see kv_usage_of */
};

static uint64_t load(const atomic_uint_fast64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

/* ---- the engine's counters ---- */

static void add_histogram(
    struct strbuf *out, const char *name, const char *id, const struct model_histogram *h)
{
    uint64_t below = 0;
    for (size_t i = 0; i <= MODEL_METRICS_BOUNDS; i++) {
        below += load(&h->buckets[i]);
        strbuf_format(out, "%s_bucket{", name);
        metrics_label(out, "model", id);
        if (i < MODEL_METRICS_BOUNDS)
            strbuf_format(out, ",le=\"%g\"} %" PRIu64 "\n", model_metrics_bounds[i], below);
        else
            strbuf_format(out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
    }
    strbuf_format(out, "%s_sum{", name);
    metrics_label(out, "model", id);
    strbuf_format(out, "} %.9f\n%s_count{", (double)load(&h->sum_ns) * 1e-9, name);
    metrics_label(out, "model", id);
    strbuf_format(out, "} %" PRIu64 "\n", below);
}

static void add_endings(struct strbuf *out, const char *name, const char *id, const struct model_metrics *t)
{
    static const char *const how[] = {
        [JOB_STOP] = "stop", [JOB_LENGTH] = "length", [JOB_FAILED] = "failed", [JOB_CANCELLED] = "cancelled"};
    for (size_t i = JOB_STOP; i <= JOB_CANCELLED; i++) {
        strbuf_format(out, "%s{", name);
        metrics_label(out, "model", id);
        strbuf_format(out, ",finish=\"%s\"} %" PRIu64 "\n", how[i], load(&t->jobs_ended[i]));
    }
}

/* ---- vLLM's gauges ---- */

/* Of the memory for sequences, which all models share, the part in use. Prefixes that nobody uses are given back as soon
 * as somebody wants their room, so they count as free. */
static double kv_usage_of(struct server *s, struct model *const models[], size_t n)
{
    uint64_t limit = kv_budget_limit(engine_budget(s->engine)),
             used = kv_budget_used(engine_budget(s->engine));
    uint64_t idle = 0;
    for (size_t i = 0; i < n; i++) {
        const struct served_model *t = model_served(models[i]);
        idle += t ? load(&served_model_metrics(t)->prefix_bytes) : 0;
    }
    return limit > 0 && used > idle ? (double)(used - idle) / (double)limit : 0;
}

static void add_kv_usage(struct strbuf *out, const char *name, const struct model_sample *m)
{
    strbuf_format(out, "%s{", name);
    metrics_label(out, "model_name", m->id);
    strbuf_format(out, "} %.6g\n", m->kv_usage);
}

/* vLLM's blocks are berth's pages. */
static void add_cache_config(struct strbuf *out, const char *name, const struct model_sample *m)
{
    struct served_description d = served_model_describe(m->served);
    uint64_t page = d.kv_bytes_per_token * d.kv_page_tokens;
    if (page == 0)
        return;
    strbuf_format(out, "%s{", name);
    metrics_label(out, "model_name", m->id);
    strbuf_format(out,
        ",block_size=\"%zu\",num_gpu_blocks=\"%" PRIu64
        "\",cache_dtype=\"%s\",enable_prefix_caching=\"%s\"} 1\n",
        d.kv_page_tokens, kv_budget_limit(engine_budget(m->server->engine)) / page, d.kv_type,
        d.prefix_cache ? "True" : "False");
}

/* ---- the families ---- */

#define OF(field) offsetof(struct model_metrics, field)

/* A figure of struct model_metrics, of which each count is worth `unit`; or what `write` writes. */
/* clang-format off */
static const struct model_family {
    const char *name, *kind, *help;
    size_t at; /* offset in struct model_metrics */
    double unit;
    const char *label; /* "model" where it is NULL */
    void (*write)(struct strbuf *out, const char *name, const struct model_sample *m);
} model_families[] = {
    {"berth_prompt_tokens_total", "counter", "Tokens of prompts that were read.", OF(prompt_tokens), 1, NULL, NULL},
    {"berth_cached_tokens_total", "counter", "Tokens of prompts that had been read before.", OF(cached_tokens), 1, NULL, NULL},
    {"berth_generated_tokens_total", "counter", "Tokens of answers.", OF(generated_tokens), 1, NULL, NULL},
    {"berth_jobs_total", "counter", "Prompts that were dealt with, by how it ended.", OF(jobs_ended), 1, NULL, NULL},
    {"berth_jobs_refused_total", "counter", "Prompts that found the queue full.", OF(jobs_refused), 1, NULL, NULL},
    {"berth_jobs_queued", "gauge", "Prompts that wait.", OF(queued), 1, NULL, NULL},
    {"berth_jobs_running", "gauge", "Prompts that are worked on.", OF(running), 1, NULL, NULL},
    {"berth_queue_seconds", "histogram", "From a prompt's arrival to the first work on it.", OF(queue_time), 1, NULL, NULL},
    {"berth_first_token_seconds", "histogram", "From a prompt's arrival to its answer's first token.", OF(first_token), 1, NULL, NULL},
    {"berth_between_tokens_seconds", "histogram", "From one token of an answer to the next.", OF(between_tokens), 1, NULL, NULL},
    {"berth_job_seconds", "histogram", "From a prompt's arrival to the end of its answers.", OF(whole), 1, NULL, NULL},
    {"berth_kv_bytes", "gauge", "Memory for what a model has read.", OF(kv_bytes), 1, NULL, NULL},
    {"berth_prefix_bytes", "gauge", "Of it, what is kept only for prompts that begin in the same way.", OF(prefix_bytes), 1, NULL, NULL},
    {"berth_preemptions_total", "counter", "Answers that gave their memory back and were read again.", OF(preemptions), 1, NULL, NULL},
    {"berth_forward_calls_total", "counter", "Steps of a model.", OF(forward_calls), 1, NULL, NULL},
    {"berth_forward_rows_total", "counter", "Tokens in these steps.", OF(forward_rows), 1, NULL, NULL},
    {"berth_forward_seconds_total", "counter", "Time in these steps.", OF(forward_ns), 1e-9, NULL, NULL},
    {"vllm:num_requests_waiting", "gauge", "Prompts that wait, as vLLM names it.", OF(queued), 1, "model_name", NULL},
    {"vllm:num_requests_running", "gauge", "Prompts that are worked on, as vLLM names it.", OF(running), 1, "model_name", NULL},
    {"vllm:kv_cache_usage_perc", "gauge", "Memory for sequences that is in use, of all models, from 0 to 1.", 0, 0, NULL, add_kv_usage},
    {"vllm:cache_config_info", "gauge", "Tokens of a page of keys and values, and how many pages there can be.", 0, 0, NULL, add_cache_config},
};
/* clang-format on */

static void add_figure(struct strbuf *out, const struct model_family *f, const struct model_sample *m)
{
    const void *at = (const char *)m->metrics + f->at;
    strbuf_format(out, "%s{", f->name);
    metrics_label(out, f->label ? f->label : "model", m->id);
    strbuf_format(out, "} %.15g\n", (double)load(at) * f->unit);
}

static void add_sample(struct strbuf *out, const struct model_family *f, const struct model_sample *m)
{
    const void *at = (const char *)m->metrics + f->at;
    if (f->write)
        f->write(out, f->name, m);
    else if (f->at == OF(jobs_ended))
        add_endings(out, f->name, m->id, m->metrics);
    else if (strcmp(f->kind, "histogram") == 0)
        add_histogram(out, f->name, m->id, at);
    else
        add_figure(out, f, m);
}

void metrics_write_models(struct server *s, struct strbuf *out)
{
    size_t n;
    struct model **models = catalog_hold_all(s->catalog, &n);
    double usage = kv_usage_of(s, models, n);
    for (size_t i = 0; i < COUNT_OF(model_families); i++) {
        const struct model_family *f = &model_families[i];
        metrics_head(out, f->name, f->kind, f->help);
        for (size_t k = 0; k < n; k++) {
            const struct served_model *t = model_served(models[k]);
            if (t && served_model_describe(t).answers)
                add_sample(out, f,
                    &(struct model_sample){.server = s,
                        .id = models[k]->id,
                        .served = t,
                        .metrics = served_model_metrics(t),
                        .kv_usage = usage});
        }
    }
    catalog_drop_all(s->catalog, models, n);
}
