/* family_apertus.c - Apertus: xIELU in feed-forwards without a gate.
 *
 * Facts: the model's code on the hub, arXiv 2411.13010 and llama.cpp's loader. The names of the curve's keys have no
 * architecture before them. Two of the numbers are stored before a softplus.
 */
#include "arch_private.h"

/* One number for each layer, or one for all. */
static bool read_number(const struct arch_keys *k, const char *name, uint32_t n_layer, uint32_t i, float *out)
{
    const struct checkpoint_value *v = checkpoint_find(k->file, name);
    double value;
    if (!v)
        return error_set(k->err, "key %s is missing", name);
    if (v->is_array && v->count < n_layer)
        return error_set(k->err, "key %s has fewer items than the model has layers", name);
    if (!checkpoint_item_f64(v, v->is_array ? i : 0, &value) || !(value > -1e6 && value < 1e6))
        return error_set(k->err, "key %s is no number from -1e6 to 1e6", name);
    *out = (float)value;
    return true;
}

static bool read_apertus(struct decoder *d, const struct arch_keys *k)
{
    uint32_t n = d->shape.n_layer;
    for (uint32_t i = 0; i < n; i++) {
        struct vector_xielu *c = &d->layers[i].dense.curve;
        if (!read_number(k, "xielu.alpha_p", n, i, &c->positive) ||
            !read_number(k, "xielu.alpha_n", n, i, &c->negative) ||
            !read_number(k, "xielu.beta", n, i, &c->linear) || !read_number(k, "xielu.eps", n, i, &c->least))
            return false;
        vector_softplus(&c->positive, &c->positive, 1);
        vector_softplus(&c->negative, &c->negative, 1);
        c->negative += c->linear;
    }
    return true;
}

/* clang-format off */
const struct arch family_apertus[] = {
    {.name = "apertus", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.ungated = true, .xielu = true}, .read = read_apertus},
    {.name = NULL},
};
/* clang-format on */
