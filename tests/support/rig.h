/* rig.h - an engine with tiny models of different families, for tests of the code that works with them.
 *
 * Include it after cmocka.h.
 */
#ifndef BERTH_TESTS_RIG_H
#define BERTH_TESTS_RIG_H

#include "engine/scheduler/text_model_private.h"

#include "berth/engine/scheduler/engine.h"

#include "tiny_model.h"

#define RIG_MODELS 5

struct rig {
    struct engine *e;
    struct tiny tiny[RIG_MODELS];
    struct loaded loaded[RIG_MODELS];
    struct text_model *m[RIG_MODELS];
};

/* The second model has windows of 32 tokens, the third layers with a recurrent state, the fourth experts, the
 * fifth recurrent states that are large beside its pages. */
static inline void rig_start(struct rig *r, const struct engine_options *o)
{
    struct error err = {0};
    static const char *const archs[RIG_MODELS] = {"llama", "gemma2", "lfm2", "granitemoe", "jamba"};
    const struct served_model_options options = {.no_tokenizer = true};
    memset(r, 0, sizeof(*r));
    r->e = engine_new(o, &err);
    for (int i = 0; i < RIG_MODELS && r->e; i++) {
        tiny_make(&r->tiny[i], archs[i], NULL, &err);
        r->loaded[i] = (struct loaded){.checkpoint = &r->tiny[i].gguf->checkpoint};
        r->m[i] = text_model_of(served_model_open(r->e, &r->loaded[i], &options, &err));
        if (!r->m[i] || !r->m[i]->decoder)
            fail_msg("%s%s", err.text, r->m[i] ? r->m[i]->missing[TEXT_DECODER].text : "");
    }
    if (!r->e)
        fail_msg("%s", err.text);
}

/* Closes the models while the engine runs. No memory may be in use after that. */
static inline void rig_stop(struct rig *r)
{
    for (int i = 0; i < RIG_MODELS; i++) {
        assert_int_equal(atomic_load(&r->m[i]->served.metrics.running), 0);
        assert_int_equal(atomic_load(&r->m[i]->served.metrics.queued), 0);
        served_model_close(&r->m[i]->served);
    }
    assert_int_equal(atomic_load(&engine_budget(r->e)->used), 0);
    engine_stop(r->e);
    engine_free(r->e);
    for (int i = 0; i < RIG_MODELS; i++)
        tiny_release(&r->tiny[i]);
}

/* Tokens that look like text: different ones for every seed. */
static inline void fill(int32_t *ids, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 8) % TINY_VOCABULARY);
    }
}

#endif
