/* mounted.h - a server's replies about the models on its volume. Include it after harness.h. */
#ifndef BERTH_TESTS_MOUNTED_H
#define BERTH_TESTS_MOUNTED_H

#include "harness.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADED "{\"message\":\"Model loaded from volume mount\"}"
#define HELLO "{\"message\":\"Hello from Docker!\"}"

static inline void assert_body(struct server *s, const char *target, int status, const char *body)
{
    struct answer a = server_get(s, target);
    if (a.status != status || strcmp(a.body, body) != 0)
        fail_msg("%s: %d %s, not %d %s", target, a.status, a.body, status, body);
    answer_release(&a);
}

/* The target of a model, with every byte but letters, digits and slashes percent-encoded. */
static inline const char *target_of(const char *id)
{
    char target[4096] = "/v1/models/";
    for (size_t n = strlen(target); *id && n < sizeof(target) - 4; id++, n = strlen(target))
        snprintf(
            target + n, 4, isalnum((unsigned char)*id) || *id == '/' ? "%c" : "%%%02X", (unsigned char)*id);
    return text_of("%s", target);
}

/* A text member of a model's berth object ("" for null), which lives as long as the program. */
static inline const char *told(struct server *s, const char *id, const char *member)
{
    json_t *model = server_json(s, target_of(id));
    const char *value = json_string_value(json_object_get(json_object_get(model, "berth"), member));
    const char *kept = text_of("%s", value ? value : "");
    json_decref(model);
    return kept;
}

static inline size_t count_models(struct server *s)
{
    json_t *list = server_json(s, "/v1/models");
    size_t n = json_array_size(json_object_get(list, "data"));
    json_decref(list);
    return n;
}

static inline void assert_mapped(struct server *s, const char *id)
{
    if (strcmp(told(s, id, "state"), "mapped") != 0)
        fail_msg("%s is %s: %s", id, told(s, id, "state"), told(s, id, "reason"));
}

static inline void assert_failed(struct server *s, const char *id, const char *reason)
{
    assert_string_equal(told(s, id, "state"), "failed");
    if (!strstr(told(s, id, "reason"), reason))
        fail_msg("the reason of %s is \"%s\", without \"%s\"", id, told(s, id, "reason"), reason);
}

/* Waits until the server has noticed a change, at most the 5 seconds within which it must. */
static inline void wait_failed(struct server *s, const char *id)
{
    int64_t deadline = now_ms() + 5000;
    while (strcmp(told(s, id, "state"), "failed") != 0) {
        if (now_ms() > deadline)
            fail_msg("%s is still %s", id, told(s, id, "state"));
        pause_ms(20);
    }
    assert_true(strlen(told(s, id, "reason")) > 0);
}

static inline struct server *serve(const char *models)
{
    return server_start(&(struct setup){.models = models});
}

#endif
