/* sampling.c - what a model's file, or the manifest that names it, says of requests that leave it open: sampling settings,
 * a system text, where to stop. */
#include "scheduler_private.h"

#include "text_model_private.h"

#define TOP_K_MAX 1000000

/* The number under the key, if the file has one in the range; else *out stays. */
static void read_number(const struct checkpoint *k, const char *key, float least, float most, float *out)
{
    double number;
    struct error ignored = {0};
    if (checkpoint_get_f64(k, key, &number, &ignored) == CHECKPOINT_GOT && number >= (double)least &&
        number <= (double)most)
        *out = (float)number;
}

struct sampler_options sampling_of_checkpoint(const struct checkpoint *k)
{
    uint64_t top_k;
    struct error ignored = {0};
    struct sampler_options o = sampler_defaults;
    read_number(k, "general.sampling.temp", 0, 5, &o.temperature);
    read_number(k, "general.sampling.top_p", 0, 1, &o.top_p);
    read_number(k, "general.sampling.min_p", 0, 1, &o.min_p);
    read_number(k, "general.sampling.typical_p", 0, 1, &o.typical_p);
    read_number(k, "general.sampling.penalty_repeat", 0.0625f, 16, &o.repetition_penalty);
    read_number(k, "general.sampling.penalty_present", -2, 2, &o.presence_penalty);
    read_number(k, "general.sampling.penalty_freq", -2, 2, &o.frequency_penalty);
    if (checkpoint_get_u64(k, "general.sampling.top_k", &top_k, &ignored) == CHECKPOINT_GOT &&
        top_k <= TOP_K_MAX)
        o.top_k = (uint32_t)top_k;
    return o;
}

/* Strings that are empty, or longer than a request's may be, are left out. */
static void read_stops(const struct checkpoint *k, struct text_defaults *d)
{
    const struct checkpoint_value *v = checkpoint_find(k, "general.sampling.stop");
    size_t pos = 0;
    if (!v || !checkpoint_is_array_of(v, CHECKPOINT_STRING))
        return;
    for (uint64_t i = 0; i < v->count && d->n_stops < TEXT_STOPS_MAX; i++) {
        struct span stop = checkpoint_next_string(v->bytes, &pos);
        if (stop.size > 0 && stop.size <= TEXT_STOP_BYTES)
            d->stops[d->n_stops++] = stop;
    }
}

struct text_defaults defaults_of_checkpoint(const struct checkpoint *k)
{
    struct error ignored = {0};
    struct text_defaults d = {0};
    uint64_t limit = 0;
    checkpoint_get_text(k, "default.system", &d.system, &ignored);
    checkpoint_get_text(k, "default.template", &d.other_template, &ignored);
    checkpoint_get_u64(k, "general.sampling.n_predict", &limit, &ignored);
    d.max_tokens = limit < SIZE_MAX / 2 ? (size_t)limit : 0;
    d.seeded = checkpoint_get_u64(k, "general.sampling.seed", &d.seed, &ignored) == CHECKPOINT_GOT;
    read_stops(k, &d);
    return d;
}
