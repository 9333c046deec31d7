/* test_routes.c - right and wrong requests for every route, and the exact bytes of the replies.
 *
 * All tests use one server, whose volume has a raw file, a GGUF file and a nested id. The last test stops it and checks how
 * it ended.
 */
#include "harness.h"
#include "reciting_model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JSON_TYPE "application/json"
#define NOT_FOUND "{\"detail\":\"Not Found\"}"
#define NOT_ALLOWED "{\"detail\":\"Method Not Allowed\"}"
#define LOCATION(path) path

static struct server *server;

struct exchange {
    const char *method;
    const char *target;
    int status;
    const char *type; /* NULL: JSON, but not looked at in a redirect */
    const char *body; /* NULL: not looked at */
    const char *allow; /* NULL: the header is absent */
    const char *location; /* NULL: the header is absent */
};

static void assert_header(
    const struct exchange *row, const struct answer *a, const char *name, const char *value)
{
    const char *got = answer_header(a, name);
    if ((got == NULL) != (value == NULL) || (got && strcmp(got, value) != 0))
        fail_msg("%s %s: %s is \"%s\", not \"%s\"", row->method, row->target, name, got ? got : "(absent)",
            value ? value : "(absent)");
}

static void assert_exchange(const struct exchange *row)
{
    struct answer a = server_request(server, row->method, row->target, NULL);
    if (a.status != row->status)
        fail_msg("%s %s: %d, not %d: %s", row->method, row->target, a.status, row->status, a.body);
    if (row->status != 307)
        assert_header(row, &a, "content-type", row->type ? row->type : JSON_TYPE);
    if (row->body && strcmp(a.body, row->body) != 0)
        fail_msg("%s %s: the body is \"%s\", not \"%s\"", row->method, row->target, a.body, row->body);
    assert_header(row, &a, "allow", row->allow);
    assert_header(row, &a, "location", row->location);
    answer_release(&a);
}

static void assert_exchanges(const struct exchange *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_exchange(&rows[i]);
}

#define ASSERT_EXCHANGES(rows) assert_exchanges(rows, sizeof(rows) / sizeof(*(rows)))

static void test_the_plain_routes_answer_their_exact_bytes(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "GET", .target = "/", .status = 200,
         .body = "{\"message\":\"Model loaded from volume mount\"}"},
        {.method = "GET", .target = "/health", .status = 200, .body = "{\"status\":\"healthy\"}"},
        {.method = "GET", .target = "/livez", .status = 200, .body = "{\"status\":\"alive\"}"},
        {.method = "GET", .target = "/readyz", .status = 200, .body = "{\"status\":\"ready\"}"},
        {.method = "GET", .target = "/v2/health/live", .status = 200, .body = "{\"live\":true}"},
        {.method = "GET", .target = "/v2/health/ready", .status = 200, .body = "{\"ready\":true}"},
        {.method = "GET", .target = "/metrics", .status = 200,
         .type = "text/plain; version=0.0.4; charset=utf-8"},
        {.method = "GET", .target = "/openapi.json", .status = 200},
        {.method = "GET", .target = "/docs", .status = 200, .type = "text/html; charset=utf-8"},
        {.method = "GET", .target = "/redoc", .status = 200, .type = "text/html; charset=utf-8"},
        {.method = "GET", .target = "/v1/models", .status = 200},
        {.method = "GET", .target = "/health?a=b&c=/../d", .status = 200, .body = "{\"status\":\"healthy\"}"},
        {.method = "GET", .target = "/health?", .status = 200, .body = "{\"status\":\"healthy\"}"},
        {.method = "GET", .target = "/?x", .status = 200,
         .body = "{\"message\":\"Model loaded from volume mount\"}"},
    };
    /* clang-format on */
    (void)state;
    ASSERT_EXCHANGES(rows);
}

static void test_an_empty_volume_says_hello_from_docker(void **state)
{
    (void)state;
    struct server *empty = server_start(&(struct setup){0});
    struct answer a = server_get(empty, "/");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"message\":\"Hello from Docker!\"}");
    answer_release(&a);
    a = server_get(empty, "/v1/models");
    assert_string_equal(a.body, "{\"object\":\"list\",\"data\":[]}");
    answer_release(&a);
    server_stop(empty);
}

static void test_an_unknown_path_is_not_found_in_fastapis_words(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "GET", .target = "/nope", .status = 404, .body = NOT_FOUND},
        {.method = "POST", .target = "/nope", .status = 404, .body = NOT_FOUND},
        {.method = "DELETE", .target = "/nope", .status = 404, .body = NOT_FOUND},
        {.method = "OPTIONS", .target = "/nope", .status = 404, .body = NOT_FOUND},
        {.method = "HEAD", .target = "/nope", .status = 404, .body = ""},
        {.method = "GET", .target = "//", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "//health", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/HEALTH", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/health/x", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/healthy", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/healt", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/nope/", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/../health", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/./health", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/v1", .status = 404},
        {.method = "GET", .target = "/favicon.ico", .status = 404, .body = NOT_FOUND},
    };
    /* clang-format on */
    (void)state;
    ASSERT_EXCHANGES(rows);
}

static void test_a_wrong_method_is_refused_and_told_what_is_allowed(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "POST", .target = "/", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "POST", .target = "/health", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "PUT", .target = "/health", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "DELETE", .target = "/health", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "PATCH", .target = "/health", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "OPTIONS", .target = "/health", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "TRACE", .target = "/health", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "HEAD", .target = "/", .status = 405, .body = "", .allow = "GET"},
        {.method = "HEAD", .target = "/health", .status = 405, .body = "", .allow = "GET"},
        {.method = "OPTIONS", .target = "/", .status = 405, .body = NOT_ALLOWED, .allow = "GET"},
        {.method = "POST", .target = "/livez", .status = 405, .body = NOT_ALLOWED, .allow = "GET, HEAD"},
        {.method = "POST", .target = "/metrics", .status = 405, .body = NOT_ALLOWED, .allow = "GET, HEAD"},
        {.method = "POST", .target = "/v1/models", .status = 405, .allow = "GET, HEAD"},
        {.method = "DELETE", .target = "/v1/models/tiny", .status = 405, .allow = "GET, HEAD"},
        {.method = "POST", .target = "/v2/health/live", .status = 405, .allow = "GET, HEAD"},
    };
    /* clang-format on */
    (void)state;
    ASSERT_EXCHANGES(rows);
}

static void test_a_method_that_is_none_of_http_is_not_implemented(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "get", .target = "/health", .status = 501},
        {.method = "BREW", .target = "/", .status = 501},
        {.method = "PROPFIND", .target = "/nope", .status = 501},
    };
    /* clang-format on */
    (void)state;
    ASSERT_EXCHANGES(rows);
}

static void test_a_slash_too_many_is_redirected_whatever_the_method(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "GET", .target = "/health/", .status = 307, .body = "", .location = LOCATION("/health")},
        {.method = "POST", .target = "/health/", .status = 307, .body = "", .location = LOCATION("/health")},
        {.method = "HEAD", .target = "/health/", .status = 307, .body = "", .location = LOCATION("/health")},
        {.method = "OPTIONS", .target = "/health/", .status = 307, .body = "",
         .location = LOCATION("/health")},
        {.method = "GET", .target = "/health//", .status = 307, .body = "", .location = LOCATION("/health")},
        {.method = "GET", .target = "/health/?a=b", .status = 307, .body = "",
         .location = LOCATION("/health?a=b")},
        {.method = "GET", .target = "/health/?a=%20b&c=/", .status = 307, .body = "",
         .location = LOCATION("/health?a=%20b&c=/")},
        {.method = "GET", .target = "/v1/models/", .status = 307, .body = "",
         .location = LOCATION("/v1/models")},
        {.method = "GET", .target = "/v2/health/live/", .status = 307, .body = "",
         .location = LOCATION("/v2/health/live")},
    };
    /* clang-format on */
    (void)state;
    ASSERT_EXCHANGES(rows);
}

static void test_a_percent_encoded_path_is_the_same_path(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "GET", .target = "/%68ealth", .status = 200, .body = "{\"status\":\"healthy\"}"},
        {.method = "GET", .target = "/heal%74h", .status = 200, .body = "{\"status\":\"healthy\"}"},
        {.method = "GET", .target = "/%48ealth", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "/v1/%6dodels", .status = 200},
        {.method = "GET", .target = "/v1/models/nest/deep/model", .status = 200},
        {.method = "GET", .target = "/v1/models/nest%2Fdeep%2fmodel", .status = 200},
        {.method = "GET", .target = "/v1/models/nest%2fdeep/m%6fdel", .status = 200},
        {.method = "GET", .target = "/v1/models/nest%252Fdeep%252Fmodel", .status = 404},
        {.method = "GET", .target = "/v1/models/nest/deep", .status = 404},
    };
    /* clang-format on */
    (void)state;
    ASSERT_EXCHANGES(rows);
}

static void test_under_an_apis_prefix_several_slashes_are_one(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "GET", .target = "//v1/models", .status = 200},
        {.method = "GET", .target = "///v1//models", .status = 200},
        {.method = "GET", .target = "//v1//models//nest/deep/model", .status = 200},
        {.method = "GET", .target = "/v2//health/live", .status = 200, .body = "{\"live\":true}"},
        {.method = "GET", .target = "//v1/models/", .status = 307, .body = "", .location = "/v1/models"},
        {.method = "GET", .target = "//v1/nope", .status = 404},
        {.method = "POST", .target = "//v1/models", .status = 405, .allow = "GET, HEAD"},
        {.method = "GET", .target = "//livez", .status = 404, .body = NOT_FOUND},
        {.method = "GET", .target = "//evil.example/health/", .status = 404, .body = NOT_FOUND},
    };
    /* clang-format on */
    (void)state;
    ASSERT_EXCHANGES(rows);
}

static void test_head_is_get_without_a_body_but_for_the_fastapi_service(void **state)
{
    static const char *const targets[] = {"/livez", "/readyz", "/v1/models", "/v1/models/tiny",
        "/v1/models/none", "/v2/health/live", "/metrics", "/openapi.json", "/docs"};
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct answer get = server_get(server, targets[i]);
        struct answer head = server_request(server, "HEAD", targets[i], NULL);
        assert_int_equal(head.status, get.status);
        assert_int_equal(head.body_size, 0);
        const char *type = text_of("%s", answer_header(&get, "content-type"));
        assert_string_equal(answer_header(&head, "content-type"), type);
        answer_release(&get);
        answer_release(&head);
    }
}

/* ---- errors in their dialects ---- */

static void assert_openai_error(const char *method, const char *target, int status, const char *code)
{
    struct answer a = server_request(server, method, target, NULL);
    assert_int_equal(a.status, status);
    json_t *body = answer_json(&a), *error = json_object_get(body, "error");
    assert_int_equal(json_object_size(body), 1);
    assert_int_equal(json_object_size(error), 4);
    assert_true(json_string_length(json_object_get(error, "message")) > 0);
    assert_true(json_string_length(json_object_get(error, "type")) > 0);
    json_t *param = json_object_get(error, "param"), *got = json_object_get(error, "code");
    assert_true(json_is_null(param) || json_is_string(param));
    assert_true(json_is_null(got) || json_is_string(got));
    if (code)
        assert_string_equal(json_string_value(got), code);
    json_decref(body);
    answer_release(&a);
}

static void test_errors_under_v1_are_openais(void **state)
{
    (void)state;
    assert_openai_error("GET", "/v1/models/none", 404, "model_not_found");
    assert_openai_error("GET", "/v1/models/none/at/all", 404, "model_not_found");
    assert_openai_error("GET", "/v1/nope", 404, NULL);
    assert_openai_error("GET", "/v1/", 404, NULL);
    assert_openai_error("POST", "/v1/models", 405, NULL);
    assert_openai_error("POST", "/v1/models/tiny", 405, NULL);
    assert_openai_error("POST", "/v1/chat/completions", 400, NULL);
    assert_openai_error("GET", "/v1/chat/completions", 405, NULL);
    assert_openai_error("POST", "/v1/rerank", 404, NULL);
}

static void test_the_unknown_model_is_named_in_the_message(void **state)
{
    (void)state;
    struct answer a = server_get(server, "/v1/models/no%22such%0amodel");
    assert_int_equal(a.status, 404);
    json_t *body = answer_json(&a), *error = json_object_get(body, "error");
    assert_non_null(strstr(json_string_value(json_object_get(error, "message")), "no\"such"));
    assert_string_equal(json_string_value(json_object_get(error, "type")), "invalid_request_error");
    json_decref(body);
    answer_release(&a);
}

static void test_errors_under_v2_are_one_sentence(void **state)
{
    /* clang-format off */
    static const struct exchange rows[] = {
        {.method = "GET", .target = "/v2/nope", .status = 404},
        {.method = "POST", .target = "/v2/health/ready", .status = 405, .allow = "GET, HEAD"},
        {.method = "GET", .target = "/v2/", .status = 404},
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_exchange(&rows[i]);
        struct answer a = server_request(server, rows[i].method, rows[i].target, NULL);
        json_t *body = answer_json(&a);
        assert_int_equal(json_object_size(body), 1);
        assert_true(json_string_length(json_object_get(body, "error")) > 0);
        json_decref(body);
        answer_release(&a);
    }
}

/* ---- the list of models ---- */

static void assert_text(const json_t *object, const char *member, const char *value)
{
    const char *got = json_string_value(json_object_get(object, member));
    if (!got || strcmp(got, value) != 0)
        fail_msg("%s is %s, not %s", member, got ? got : "no string", value);
}

static void assert_whole(const json_t *object, const char *member)
{
    if (!json_is_integer(json_object_get(object, member)))
        fail_msg("%s is no whole number", member);
}

static void assert_present(const json_t *object, const char *const *members)
{
    for (; *members; members++)
        if (!json_object_get(object, *members))
            fail_msg("%s is missing", *members);
}

static void test_a_model_is_described_in_openais_shape_and_berths(void **state)
{
    static const char *const members[] = {"state", "reason", "kind", "format", "architecture", "quantization",
        "parameters", "context", "version", "path", "files", "bytes_mapped", "bytes_resident", "load_seconds",
        NULL};
    (void)state;
    json_t *model = server_json(server, "/v1/models/tiny"), *own = json_object_get(model, "berth");
    assert_text(model, "id", "tiny");
    assert_text(model, "object", "model");
    assert_text(model, "owned_by", "berth");
    assert_whole(model, "created");
    assert_true(json_integer_value(json_object_get(model, "created")) > 1600000000);
    assert_present(own, members);
    assert_text(own, "state", "mapped");
    assert_text(own, "format", "gguf");
    assert_text(own, "architecture", "llama");
    assert_true(json_is_null(json_object_get(own, "reason")));
    assert_whole(own, "bytes_mapped");
    assert_whole(own, "bytes_resident");
    assert_true(json_is_number(json_object_get(own, "load_seconds")));
    json_decref(model);
}

static void test_a_raw_file_claims_nothing_that_it_does_not_know(void **state)
{
    static const char *const unknown[] = {
        "reason", "kind", "architecture", "quantization", "parameters", "context"};
    (void)state;
    json_t *model = server_json(server, "/v1/models/model"), *own = json_object_get(model, "berth");
    assert_text(own, "state", "mapped");
    assert_text(own, "format", "raw");
    for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
        if (!json_is_null(json_object_get(own, unknown[i])))
            fail_msg("%s of a raw file is not null", unknown[i]);
    assert_int_equal(json_integer_value(json_object_get(own, "bytes_mapped")), 5000);
    json_decref(model);
}

static void test_the_list_holds_what_each_model_says_of_itself(void **state)
{
    (void)state;
    struct answer a = server_get(server, "/v1/models");
    json_t *list = answer_json(&a), *data = json_object_get(list, "data"), *model;
    size_t i;
    assert_text(list, "object", "list");
    assert_int_equal(json_array_size(data), 5);
    json_array_foreach(data, i, model)
    {
        const char *id = json_string_value(json_object_get(model, "id"));
        json_t *alone = server_json(server, text_of("/v1/models/%s", id));
        json_object_del(json_object_get(alone, "berth"), "bytes_resident"); /* may move in between */
        json_object_del(json_object_get(model, "berth"), "bytes_resident");
        assert_true(json_equal(model, alone));
        json_decref(alone);
    }
    json_decref(list);
    answer_release(&a);
}

static void test_models_that_can_answer_come_first(void **state)
{
    (void)state;
    struct answer a = server_get(server, "/v1/models");
    json_t *list = answer_json(&a), *data = json_object_get(list, "data");
    json_t *last = json_array_get(data, json_array_size(data) - 1);
    assert_text(json_array_get(data, 0), "id", "nest/deep/able");
    assert_text(last, "id", "a-bad-one");
    assert_text(json_object_get(last, "berth"), "state", "failed");
    json_decref(list);
    answer_release(&a);
}

/* ---- openapi and docs ---- */

static void test_openapi_describes_every_route(void **state)
{
    static const char *const paths[] = {"/", "/health", "/livez", "/readyz", "/v2/health/live",
        "/v2/health/ready", "/metrics", "/openapi.json", "/docs", "/redoc", "/ui", "/v1/models",
        "/v1/models/{id}", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/tokenize",
        "/v1/detokenize", "/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact",
        "/v1/responses/{id}", "/v1/responses/{id}/input_items", "/v1/messages", "/v1/messages/count_tokens",
        "/v1/chat/completions/render", "/v1/completions/render", "/api/chat", "/api/generate", "/api/tags",
        "/api/ps", "/api/show", "/api/version", "/api/pull", "/api/push", "/api/create", "/api/copy",
        "/api/blobs/{digest}", "/api/embed", "/api/embeddings", "/api/delete", "/completion", "/infill",
        "/apply-template", "/props", "/slots", "/slots/{id}", "/tokenizer_info", NULL};
    (void)state;
    struct answer a = server_get(server, "/openapi.json");
    json_t *api = answer_json(&a), *routes = json_object_get(api, "paths");
    assert_int_equal(strncmp(json_string_value(json_object_get(api, "openapi")), "3.1", 3), 0);
    assert_present(routes, paths);
    assert_int_equal(json_object_size(routes), sizeof(paths) / sizeof(*paths) - 1);
    const char *path;
    json_t *route;
    json_object_foreach(routes, path, route)
    {
        json_t *get = json_object_get(route, "get"), *post = json_object_get(route, "post");
        json_t *one = get ? get : post ? post : json_object_get(route, "delete");
        if (json_string_length(json_object_get(one, "summary")) == 0 || !json_object_get(one, "responses"))
            fail_msg("%s is described without a summary or responses", path);
        if (post && !json_object_get(post, "requestBody"))
            fail_msg("%s is described without what it takes", path);
    }
    json_decref(api);
    answer_release(&a);
}

/* Fails on an attribute of `page` that would make a browser fetch something from another place. */
static void assert_fetches_nothing(const char *page)
{
    assert_null(strcasestr(page, " src="));
    assert_null(strcasestr(page, "@import"));
    assert_null(strcasestr(page, "url("));
    assert_null(strcasestr(page, "<iframe"));
    for (const char *at = strcasestr(page, "href=\""); at; at = strcasestr(at + 1, "href=\""))
        if (strncmp(at + 6, "//", 2) == 0 || memchr(at + 6, ':', strcspn(at + 6, "\"")))
            fail_msg("a link leads away: %.80s", at);
}

static void test_the_pages_name_every_route_and_fetch_nothing_from_elsewhere(void **state)
{
    static const char *const pages[] = {"/docs", "/redoc"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct answer a = server_get(server, pages[i]);
        assert_non_null(strcasestr(a.body, "<!doctype html>"));
        assert_non_null(strstr(a.body, "/v2/health/ready"));
        assert_non_null(strstr(a.body, "/v1/models/{id}"));
        assert_fetches_nothing(a.body);
        answer_release(&a);
    }
}

/* ---- bodies ---- */

static void test_a_body_that_nobody_asked_for_changes_nothing(void **state)
{
    static const char *const requests[] = {
        "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world",
        "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n",
    };
    struct wire w;
    struct answer a;
    (void)state;
    wire_open(&w, server);
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
        assert_true(wire_say(&w, requests[i]));
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "{\"status\":\"healthy\"}");
        answer_release(&a);
    }
    wire_close(&w);
}

static void test_a_coded_body_is_refused_by_name(void **state)
{
    static const struct {
        const char *coding;
        int status;
    } rows[] = {{"gzip", 415}, {"deflate", 415}, {"identity, br", 415}, {"x-\"evil\"", 415},
        {"identity", 400}, {"IDENTITY", 400}, {"", 400}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *header = text_of("Content-Encoding: %s\r\nContent-Length: 2\r\n\r\n{}", rows[i].coding);
        struct wire w;
        struct answer a;
        wire_open(&w, server);
        wire_say(&w, text_of("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n%s", header));
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_int_equal(a.status, rows[i].status);
        json_t *body = answer_json(&a), *error = json_object_get(body, "error");
        const char *message = json_string_value(json_object_get(error, "message"));
        if (a.status == 415) {
            assert_non_null(strstr(message, rows[i].coding));
            assert_string_equal(answer_header(&a, "accept-encoding"), "identity");
        }
        json_decref(body);
        answer_release(&a);
        wire_close(&w);
    }
    /* A route that takes no body does not look at it. */
    struct answer a = server_request(server, "GET", "/health", "Content-Encoding: gzip\r\n");
    assert_int_equal(a.status, 200);
    answer_release(&a);
}

static void test_a_client_that_expects_to_be_asked_for_its_body_is_asked(void **state)
{
    struct wire w;
    struct answer a;
    (void)state;
    wire_open(&w, server);
    wire_say(&w, "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    wire_say(&w, "hello");
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 404);
    answer_release(&a);
    wire_close(&w);
}

static void test_the_server_ends_cleanly_after_all_that(void **state)
{
    (void)state;
    server_stop(server);
    server = NULL;
}

static int begin(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "model.bin", NULL, 5000);
    write_gguf(dir, "tiny.gguf");
    write_tiny_model(dir, "nest/deep/able.gguf", &(struct tiny_model){0});
    write_gguf(dir, "nest/deep/model.gguf");
    write_file(dir, "a-bad-one.gguf", "GGUF\x03\0\0\0cut", 11);
    server = server_start(&(struct setup){.models = dir});
    server_wait_status(server, "/readyz", 200); /* "able" is opened after /health says 200 */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plain_routes_answer_their_exact_bytes),
        cmocka_unit_test(test_an_empty_volume_says_hello_from_docker),
        cmocka_unit_test(test_an_unknown_path_is_not_found_in_fastapis_words),
        cmocka_unit_test(test_a_wrong_method_is_refused_and_told_what_is_allowed),
        cmocka_unit_test(test_a_method_that_is_none_of_http_is_not_implemented),
        cmocka_unit_test(test_a_slash_too_many_is_redirected_whatever_the_method),
        cmocka_unit_test(test_a_percent_encoded_path_is_the_same_path),
        cmocka_unit_test(test_under_an_apis_prefix_several_slashes_are_one),
        cmocka_unit_test(test_head_is_get_without_a_body_but_for_the_fastapi_service),
        cmocka_unit_test(test_errors_under_v1_are_openais),
        cmocka_unit_test(test_the_unknown_model_is_named_in_the_message),
        cmocka_unit_test(test_errors_under_v2_are_one_sentence),
        cmocka_unit_test(test_a_model_is_described_in_openais_shape_and_berths),
        cmocka_unit_test(test_a_raw_file_claims_nothing_that_it_does_not_know),
        cmocka_unit_test(test_the_list_holds_what_each_model_says_of_itself),
        cmocka_unit_test(test_models_that_can_answer_come_first),
        cmocka_unit_test(test_openapi_describes_every_route),
        cmocka_unit_test(test_the_pages_name_every_route_and_fetch_nothing_from_elsewhere),
        cmocka_unit_test(test_a_body_that_nobody_asked_for_changes_nothing),
        cmocka_unit_test(test_a_coded_body_is_refused_by_name),
        cmocka_unit_test(test_a_client_that_expects_to_be_asked_for_its_body_is_asked),
        cmocka_unit_test(test_the_server_ends_cleanly_after_all_that),
    };
    return cmocka_run_group_tests(tests, begin, harness_end);
}
