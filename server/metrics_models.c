/* metrics_models.c - what loading and the engine count for each model, as berth's own families and, for routers that
 * choose among replicas, under the names that vLLM made common: the Gateway API inference extension and llm-d read those.
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
    double kv_usage; /* of all models: see metrics_kv_usage */
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

double metrics_kv_usage(struct server *s, struct model *const models[], size_t n)
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

/* ---- figures of loading ---- */

static double load_seconds(const struct model *m)
{
    return m->load_seconds;
}

static double mapped_bytes(const struct model *m)
{
    return (double)loaded_mapped_bytes(&m->loaded);
}

static double resident_bytes(const struct model *m)
{
    return (double)loaded_resident_bytes(&m->loaded);
}

/* ---- the families ---- */

/* Of each model that has been loaded, whether it answers or not. */
/* clang-format off */
static const struct load_family {
    const char *name, *kind, *help;
    double (*figure)(const struct model *);
} load_families[] = {
    {"berth_model_load_seconds", "gauge", "Time from opening a model's file to its state.", load_seconds},
    {"berth_model_mapped_bytes", "gauge", "Bytes of a model's files mapped into memory.", mapped_bytes},
    {"berth_model_resident_bytes", "gauge", "Mapped bytes that are in memory, as last measured.", resident_bytes},
};
/* clang-format on */

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
    {"berth_prompt_tokens_total", "counter", "Tokens of prompts that were computed.", OF(prompt_tokens), 1, NULL, NULL},
    {"berth_cached_tokens_total", "counter", "Tokens of prompts that came from the prefix cache.", OF(cached_tokens), 1, NULL, NULL},
    {"berth_generated_tokens_total", "counter", "Tokens of answers.", OF(generated_tokens), 1, NULL, NULL},
    {"berth_jobs_total", "counter", "Prompts that were dealt with, by how it ended.", OF(jobs_ended), 1, NULL, NULL},
    {"berth_jobs_refused_total", "counter", "Prompts that found the queue full.", OF(jobs_refused), 1, NULL, NULL},
    {"berth_jobs_queued", "gauge", "Prompts that wait.", OF(queued), 1, NULL, NULL},
    {"berth_jobs_running", "gauge", "Prompts that are worked on.", OF(running), 1, NULL, NULL},
    {"berth_queue_seconds", "histogram", "From a prompt's arrival to the first work on it.", OF(queue_time), 1, NULL, NULL},
    {"berth_first_token_seconds", "histogram", "From a prompt's arrival to its answer's first token.", OF(first_token), 1, NULL, NULL},
    {"berth_between_tokens_seconds", "histogram", "From one token of an answer to the next.", OF(between_tokens), 1, NULL, NULL},
    {"berth_job_seconds", "histogram", "From a prompt's arrival to the end of its answers.", OF(whole), 1, NULL, NULL},
    {"berth_kv_bytes", "gauge", "KV cache of a model.", OF(kv_bytes), 1, NULL, NULL},
    {"berth_prefix_bytes", "gauge", "Part of it that is kept only for later prompts.", OF(prefix_bytes), 1, NULL, NULL},
    {"berth_preemptions_total", "counter", "Answers that were preempted.", OF(preemptions), 1, NULL, NULL},
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

size_t metrics_n_model_families(void)
{
    return COUNT_OF(load_families) + COUNT_OF(model_families);
}

void metrics_model_head(struct strbuf *out, size_t family)
{
    if (family < COUNT_OF(load_families)) {
        const struct load_family *f = &load_families[family];
        metrics_head(out, f->name, f->kind, f->help);
    } else {
        const struct model_family *f = &model_families[family - COUNT_OF(load_families)];
        metrics_head(out, f->name, f->kind, f->help);
    }
}

static void add_load_sample(struct strbuf *out, const struct load_family *f, const struct model *m)
{
    if (model_state(m) == MODEL_LOADING)
        return;
    strbuf_format(out, "%s{", f->name);
    metrics_label(out, "model", m->id);
    strbuf_format(out, "} %.15g\n", f->figure(m));
}

void metrics_model_sample(
    struct strbuf *out, size_t family, const struct metrics_walk *w, const struct model *m)
{
    if (family < COUNT_OF(load_families)) {
        add_load_sample(out, &load_families[family], m);
        return;
    }
    const struct served_model *t = model_served(m);
    if (t && served_model_describe(t).answers)
        add_sample(out, &model_families[family - COUNT_OF(load_families)],
            &(struct model_sample){.server = w->server,
                .id = m->id,
                .served = t,
                .metrics = served_model_metrics(t),
                .kv_usage = w->kv_usage});
}
