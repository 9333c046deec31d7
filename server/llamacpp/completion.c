/* completion.c - POST /completion and /infill. */
#include "llamacpp_private.h"

#include "berth/server/api/fill_in_middle.h"

static bool take(json_t *request, json_t *into, const char *name, struct api_error *c)
{
    json_t *value = json_object_get(request, name);
    if (value && json_object_set(into, name, value) != 0)
        return api_error_no_memory(c);
    json_object_del(request, name);
    return true;
}

/* Answers with a call whose prompt may be made here. */
static bool answer(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct translated_request *call, struct api_error *c)
{
    json_t *kept = json_object();
    call->request = request;
    call->writer = &llamacpp_writer;
    call->original = kept;
    call->limit_only = true;
    bool good = (kept || api_error_no_memory(c)) && take(request, kept, "response_fields", c) &&
                llamacpp_settle_fields(s->options, request, kept, c) && completion_answer(s, q, r, call, c);
    json_decref(kept);
    return good;
}

static bool complete(
    struct server *s, const struct http_request *q, struct reply *r, json_t *request, struct api_error *c)
{
    struct translated_request call = {.asked = request};
    if (llamacpp_is_mixed(json_object_get(request, "prompt")))
        call.make_prompt = llamacpp_mixed_prompt;
    return llamacpp_check_fields(request, false, c) && answer(s, q, r, request, &call, c);
}

/* ---- the middle of a text ---- */

static bool make_infill(struct prompt *p, const struct requested_model *m,
    const struct translated_request *call, struct api_error *c)
{
    const json_t *asked = call->asked;
    return fill_in_middle_prompt(p, m->text,
        &(struct fill_in_middle){.prefix = json_object_get(asked, "input_prefix"),
            .prefix_name = "input_prefix",
            .suffix = json_object_get(asked, "input_suffix"),
            .begun = json_object_get(asked, "prompt"),
            .extra = json_object_get(asked, "input_extra"),
            .most = json_integer_value(json_object_get(call->request, "max_tokens"))},
        "input_suffix", c);
}

/* The two that editors send to bound an answer in time and by its indentation bound it by nothing here: n_predict and
 * stop strings do. */
static bool infill(
    struct server *s, const struct http_request *q, struct reply *r, json_t *request, struct api_error *c)
{
    json_t *asked = json_object();
    struct translated_request call = {.asked = asked, .make_prompt = make_infill};
    bool good = (asked || api_error_no_memory(c)) && llamacpp_check_fields(request, true, c) &&
                llamacpp_take_infill(request, asked, c);
    good = good && answer(s, q, r, request, &call, c);
    json_decref(asked);
    return good;
}

/* ---- the routes ---- */

static void run(struct server *s, const struct http_request *q, struct reply *r,
    bool (*answers)(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
        struct api_error *c))
{
    struct api_error c = {0};
    json_t *request = api_request(q, &c);
    if (!request || !answers(s, q, r, request, &c))
        api_error_reply(&c, q, r);
    json_decref(request);
}

static void run_completion(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, complete);
}

static void run_infill(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, infill);
}

void llamacpp_completion(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_completion);
}

void llamacpp_infill(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_infill);
}
