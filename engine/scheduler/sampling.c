/* sampling.c - a model's own sampling settings: keys of its file, else those that all models have. */
#include "scheduler_private.h"

#include "text_model_private.h"

#define TOP_K_MAX 1000000

/* The number under the key, if the file has one in the range; else *out stays. */
static void read_number(const struct gguf *g, const char *key, float least, float most, float *out)
{
    double number;
    struct error ignored = {0};
    if (gguf_get_f64(g, key, &number, &ignored) == GGUF_GOT && number >= (double)least &&
        number <= (double)most)
        *out = (float)number;
}

struct sampler_options sampling_of_file(const struct gguf *g)
{
    uint64_t top_k;
    struct error ignored = {0};
    struct sampler_options o = sampler_defaults;
    read_number(g, "general.sampling.temp", 0, 5, &o.temperature);
    read_number(g, "general.sampling.top_p", 0, 1, &o.top_p);
    read_number(g, "general.sampling.min_p", 0, 1, &o.min_p);
    read_number(g, "general.sampling.penalty_repeat", 0.0625f, 16, &o.repetition_penalty);
    if (gguf_get_u64(g, "general.sampling.top_k", &top_k, &ignored) == GGUF_GOT && top_k <= TOP_K_MAX)
        o.top_k = (uint32_t)top_k;
    return o;
}
