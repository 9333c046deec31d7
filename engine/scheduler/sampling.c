/* sampling.c - a model's sampling settings: keys of its file, else sampler_defaults. */
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
    read_number(k, "general.sampling.penalty_repeat", 0.0625f, 16, &o.repetition_penalty);
    if (checkpoint_get_u64(k, "general.sampling.top_k", &top_k, &ignored) == CHECKPOINT_GOT &&
        top_k <= TOP_K_MAX)
        o.top_k = (uint32_t)top_k;
    return o;
}
