/* rig.h - an engine with two tiny models of different families, for tests of whoever works with them.
 *
 * Include it behind cmocka.h.
 */
#ifndef BERTH_TESTS_RIG_H
#define BERTH_TESTS_RIG_H

#include "engine/scheduler/text_model_private.h"

#include "berth/engine/scheduler/engine.h"

#include "tiny_model.h"

struct rig {
    struct engine *e;
    struct tiny tiny[2];
    struct loaded loaded[2];
    struct text_model *m[2];
};

/* The second model has windows of 32 tokens. */
static inline void rig_start(struct rig *r, const struct engine_options *o)
{
    struct error err = {0};
    static const char *const archs[2] = {"llama", "gemma2"};
    const struct served_model_options options = {.no_tokenizer = true};
    memset(r, 0, sizeof(*r));
    r->e = engine_new(o, &err);
    for (int i = 0; i < 2 && r->e; i++) {
        tiny_make(&r->tiny[i], archs[i], NULL, &err);
        r->loaded[i] = (struct loaded){.loader = &loader_gguf, .parsed = &r->tiny[i].model};
        r->m[i] = text_model_of(served_model_open(r->e, &r->loaded[i], &options, &err));
        if (!r->m[i] || !r->m[i]->decoder)
            fail_msg("%s%s", err.text, r->m[i] ? r->m[i]->missing[TEXT_DECODER].text : "");
    }
    if (!r->e)
        fail_msg("%s", err.text);
}

/* Models are let go of while the engine runs, which waits for the scheduler; nothing may be left then. */
static inline void rig_stop(struct rig *r)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&r->m[i]->served.metrics.running), 0);
        assert_int_equal(atomic_load(&r->m[i]->served.metrics.queued), 0);
        served_model_close(&r->m[i]->served);
    }
    assert_int_equal(atomic_load(&engine_budget(r->e)->used), 0);
    engine_stop(r->e);
    engine_free(r->e);
    tiny_release(&r->tiny[0]);
    tiny_release(&r->tiny[1]);
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
