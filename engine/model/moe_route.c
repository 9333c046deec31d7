/* moe_route.c - which experts work on a row, and with which weights.
 *
 * Scores are computed from the logits of all experts. Where the layer has groups of experts, a group's score is the sum
 * of its two best experts' scores, and only experts of the best groups can be chosen (DeepSeek-V3, arXiv 2412.19437). A
 * bias balances how often experts are chosen; it does not change their weights. Of equal scores the first one wins, and
 * so does the first of all when none is a number, so that a choice depends on its row alone.
 */
#include "layer_moe_private.h"

#include <math.h>

#define LEAST_SUM 6.103515625e-5f /* weights are divided by no less: the smallest normal float16 */

static float softplus(float x)
{
    return x > 20.0f ? x : vector_log(1.0f + vector_exp(x));
}

/* Turns logits into scores, in place. */
static void score(enum moe_gating gating, float *x, size_t n)
{
    switch (gating) {
    case MOE_SOFTMAX:
        vector_softmax(x, x, n);
        break;
    case MOE_SIGMOID:
        for (size_t i = 0; i < n; i++)
            x[i] = 1.0f / (1.0f + vector_exp(-x[i]));
        break;
    case MOE_SQRT_SOFTPLUS:
        for (size_t i = 0; i < n; i++)
            x[i] = sqrtf(softplus(x[i]));
        break;
    case MOE_SOFTMAX_OF_CHOSEN:
        break;
    }
}

/* The best expert of first ... end - 1 that is not taken; `end` when all are. */
static size_t best_expert(const struct moe_choice *c, size_t first, size_t end)
{
    size_t best = end;
    for (size_t i = first; i < end; i++)
        if (!c[i].taken && (best == end || c[i].score > c[best].score))
            best = i;
    return best;
}

static float group_score(struct moe_choice *c, size_t first, size_t end)
{
    size_t best = best_expert(c, first, end);
    c[best].taken = true;
    size_t second = best_expert(c, first, end);
    c[best].taken = false;
    return c[best].score + (second < end ? c[second].score : 0.0f);
}

/* Takes the experts of all groups but the best ones, so that they cannot be chosen. */
static void choose_groups(const struct moe_layer *l, struct moe_choice *c)
{
    size_t size = l->n_expert / l->n_groups;
    for (size_t g = 0; g < l->n_groups; g++) {
        c[g].group_score = group_score(c, g * size, (g + 1) * size);
        c[g].group_taken = false;
    }
    for (size_t used = 0; used < l->n_groups_used; used++) {
        size_t best = l->n_groups;
        for (size_t g = 0; g < l->n_groups; g++)
            if (!c[g].group_taken && (best == l->n_groups || c[g].group_score > c[best].group_score))
                best = g;
        c[best].group_taken = true;
    }
    for (size_t i = 0; i < l->n_expert; i++)
        c[i].taken = !c[i / size].group_taken;
}

void moe_weigh(const struct moe_layer *l, float *weights)
{
    float sum = 0;
    if (l->gating == MOE_SOFTMAX_OF_CHOSEN)
        vector_softmax(weights, weights, l->n_used);
    for (size_t rank = 0; rank < l->n_used; rank++)
        sum += weights[rank];
    if (sum < LEAST_SUM)
        sum = LEAST_SUM;
    for (size_t rank = 0; rank < l->n_used && l->normalized; rank++)
        weights[rank] /= sum;
    if (l->weights_scale != 1)
        vector_scale(weights, weights, l->weights_scale, l->n_used);
}

void moe_route(
    const struct moe_layer *l, struct moe_choice *choices, float *router, uint32_t *chosen, float *weights)
{
    for (size_t i = 0; i < l->n_expert && l->by_logits; i++)
        choices[i].score = router[i];
    score(l->gating, router, l->n_expert);
    for (size_t i = 0; i < l->n_expert; i++) {
        if (!l->by_logits)
            choices[i].score = l->selection_bias ? router[i] + l->selection_bias[i] : router[i];
        choices[i].taken = false;
    }
    if (l->n_groups > 1)
        choose_groups(l, choices);
    for (size_t rank = 0; rank < l->n_used; rank++) {
        chosen[rank] = (uint32_t)best_expert(choices, 0, l->n_expert);
        weights[rank] = router[chosen[rank]];
        choices[chosen[rank]].taken = true;
    }
    moe_weigh(l, weights);
}
