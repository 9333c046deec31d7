/* test_http.c - the HTTP server by itself, on loopback, with routes of the test's own.
 *
 * What handlers are given, what they may reply, and in which order slow handlers run.
 */
#include "harness.h"

#include "berth/base/log.h"
#include "berth/server/http/http.h"
#include "berth/server/http/stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD " HTTP/1.1\r\nHost: localhost\r\n"

static const char text_type[] = "text/plain";

static void write_error(
    struct reply *r, unsigned status, const char *message, const char *param, const char *code)
{
    (void)param;
    (void)code;
    reply_owned(r, status, text_type, strdup(message), strlen(message));
}

static const struct dialect plain = {.write = write_error},
                            strict = {.prefix = "/keyed", .write = write_error};

/* ---- handlers ---- */

static void add_named(struct strbuf *b, const char *name, struct span value)
{
    strbuf_format(b, "%s=", name);
    strbuf_add(b, value);
    strbuf_text(b, ";");
}

static void run_echo(struct server *s, const struct http_request *q, struct reply *r)
{
    struct strbuf b;
    size_t size;
    const char *header = http_request_header(q, "X-Test"), *query = http_request_query(q, "q");
    (void)s;
    strbuf_init(&b, 100000);
    add_named(&b, "a", http_request_param(q, "a"));
    add_named(&b, "rest", http_request_param(q, "rest"));
    add_named(&b, "none", http_request_param(q, "none"));
    add_named(&b, "header", span_of(header ? header : "(none)"));
    add_named(&b, "query", span_of(query ? query : "(none)"));
    add_named(&b, "peer", span_of(q->peer));
    add_named(&b, "path", span_of(q->path));
    char *text = strbuf_take(&b, &size);
    reply_owned(r, 200, text_type, text, size);
    reply_header(r, "x-constant", "1");
    reply_header_owned(r, "x-owned", strdup("2"));
}

static void run_constant(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)s;
    (void)q;
    reply_constant(r, 200, text_type, "constant");
    reply_header(r, "x-constant", "1");
}

static void run_other_constant(struct server *s, const struct http_request *q, struct reply *r)
{
    run_constant(s, q, r);
    r->n_headers = 0;
    reply_header(r, "x-constant", "2");
}

struct numbers {
    struct reply_writer writer;
    unsigned next, n;
};

static atomic_uint n_released;

static bool more_numbers(struct reply_writer *w, struct strbuf *out)
{
    struct numbers *n = (struct numbers *)(void *)w;
    strbuf_format(out, "%u\n", n->next++);
    return n->next < n->n;
}

static void release_numbers(struct reply_writer *w)
{
    atomic_fetch_add(&n_released, 1);
    free(w);
}

static const struct reply_writer_kind numbers_kind = {more_numbers, release_numbers};

static void run_numbers(struct server *s, const struct http_request *q, struct reply *r)
{
    struct numbers *n = calloc(1, sizeof(*n));
    (void)s;
    assert_non_null(n);
    struct span count = http_request_param(q, "n");
    char text[16] = "";
    memcpy(text, count.at, count.size < 15 ? count.size : 15);
    *n = (struct numbers){.writer = {&numbers_kind}, .n = (unsigned)atoi(text)};
    reply_written(r, 200, text_type, &n->writer);
}

struct summing {
    struct body_sink sink;
    size_t bytes, pieces;
    unsigned long sum;
};

static bool take_sum(struct body_sink *b, struct span piece, struct reply *r)
{
    struct summing *s = (struct summing *)(void *)b;
    s->bytes += piece.size;
    s->pieces++;
    for (size_t i = 0; i < piece.size; i++) {
        s->sum += piece.at[i];
        if (piece.at[i] == '!') {
            reply_constant(r, 422, text_type, "no exclamation");
            return false;
        }
    }
    return true;
}

static void release_sum(struct body_sink *b)
{
    atomic_fetch_add(&n_released, 1);
    free(b);
}

static const struct body_sink_kind summing_kind = {take_sum, release_sum};

static struct body_sink *receive_sum(struct server *s, const struct http_request *q, struct reply *r)
{
    struct summing *sum = calloc(1, sizeof(*sum));
    (void)s;
    assert_non_null(sum);
    if (http_request_header(q, "x-refuse")) {
        free(sum);
        reply_constant(r, 403, text_type, "refused");
        return NULL;
    }
    sum->sink.kind = &summing_kind;
    return &sum->sink;
}

static void run_sum(struct server *s, const struct http_request *q, struct reply *r)
{
    struct summing *sum = (struct summing *)(void *)q->sink;
    char *text = NULL;
    (void)s;
    assert_int_equal(q->body.size, 0);
    int size =
        asprintf(&text, "%zu bytes, sum %lu, several pieces %d", sum->bytes, sum->sum, sum->pieces > 1);
    reply_owned(r, 200, text_type, text, (size_t)size);
}

/* Slow handlers wait at this gate while it is shut. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static unsigned n_inside, n_ran;

static void set_gate(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

static unsigned count_of(const unsigned *counter)
{
    pthread_mutex_lock(&gate_lock);
    unsigned n = *counter;
    pthread_mutex_unlock(&gate_lock);
    return n;
}

/* The client has the last byte of a reply before the server lets go of what made it. */
static void wait_released(unsigned n)
{
    for (int64_t end = now_ms() + WAIT_MS; atomic_load(&n_released) != n; pause_ms(1))
        if (now_ms() > end)
            fail_msg("%u released, not %u", atomic_load(&n_released), n);
}

static void wait_count(const unsigned *counter, unsigned n)
{
    for (int64_t end = now_ms() + WAIT_MS; count_of(counter) != n; pause_ms(1))
        if (now_ms() > end)
            fail_msg("%u, not %u", count_of(counter), n);
}

static void run_gate(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)s;
    bool waits = q->body.size > 0 && q->body.at[0] == 'w';
    pthread_mutex_lock(&gate_lock);
    n_inside++;
    while (waits && !gate_open && !http_request_left(q)) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec = (soon.tv_nsec + 10000000) % 1000000000;
        soon.tv_sec += soon.tv_nsec < 10000000;
        pthread_cond_timedwait(&gate_moved, &gate_lock, &soon);
    }
    n_inside--;
    n_ran++;
    pthread_mutex_unlock(&gate_lock);
    bool left = http_request_left(q);
    if (left && !atomic_load(q->useless))
        abort(); /* no assertion of cmocka's works on this thread */
    if (!left)
        reply_constant(r, 200, text_type, "through");
}

/* Events in many small steps, without a wake between them. */
struct steps {
    struct async_reply async;
    unsigned looks, mores;
};

static enum async_reply_state look_steps(struct async_reply *l, bool begin, struct reply *r)
{
    struct steps *t = (struct steps *)(void *)l;
    (void)begin;
    if (++t->looks < 50)
        return ASYNC_AGAIN;
    r->status = 200;
    r->content_type = text_type;
    r->events = true;
    return ASYNC_STREAM;
}

static enum async_reply_more more_steps(struct async_reply *l, struct strbuf *out)
{
    struct steps *t = (struct steps *)(void *)l;
    if (++t->mores % 10 == 0)
        strbuf_format(out, "%u,", t->mores);
    return t->mores == 100 ? ASYNC_END : ASYNC_MORE_NOW;
}

static void release_steps(struct async_reply *l)
{
    free(l);
}

static const struct async_reply_kind steps_kind = {look_steps, more_steps, release_steps};

static void run_steps(struct server *s, const struct http_request *q, struct reply *r)
{
    struct steps *t = calloc(1, sizeof(*t));
    (void)s;
    (void)q;
    assert_non_null(t);
    t->async.kind = &steps_kind;
    r->async = &t->async;
}

static const struct route rows[] = {
    {.method = "GET", .path = "/echo/{a}/to/{rest}", .run = run_echo},
    {.method = "GET", .path = "/constant", .run = run_constant},
    {.method = "GET", .path = "/other-constant", .run = run_other_constant},
    {.method = "GET", .path = "/numbers/{n}", .run = run_numbers},
    {.method = "POST", .path = "/sum", .run = run_sum, .receive = receive_sum, .body_max = 1 << 20},
    {.method = "POST", .path = "/gate", .run = run_gate, .slow = true, .body_max = 1 << 20},
    {.method = "POST", .path = "/steps", .run = run_steps, .slow = true, .body_max = 1 << 20},
};

static const struct route keyed_rows[] = {{.method = "GET", .path = "/keyed/x", .run = run_constant}};

static const struct route_table tables[] = {{&plain, rows, COUNT_OF(rows)}, {&strict, keyed_rows, 1}};
static const struct route_table *const joined[] = {&tables[0], &tables[1]};

/* ---- the server under test; the harness's client finds its port in `at` ---- */

static struct http *http;
static struct server at;

static int begin(void **state)
{
    static const struct http_config config = {
        .host = "127.0.0.1",
        .threads = 1,
        .workers = 2,
        .connections =
            {.most = 100, .header_timeout = 10, .body_timeout = 10, .write_timeout = 10, .keep_alive = 10},
        .max_body = 1 << 20,
        .max_header = 16384,
        .max_uri = 8192,
        .tables = joined,
        .n_tables = COUNT_OF(joined),
    };
    struct error err = {0};
    (void)state;
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    http = http_open(&config, &at, &err);
    if (!http || !http_start(http, &err))
        fail_msg("%s", err.text);
    at.port = (int)http_port(http);
    strcpy(at.host, "127.0.0.1");
    n_inside = n_ran = 0;
    atomic_store(&n_released, 0);
    set_gate(false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    set_gate(true);
    if (http)
        http_close(http);
    http = NULL;
    return 0;
}

static void wait_running(unsigned n)
{
    for (int64_t end = now_ms() + WAIT_MS; atomic_load(&http_counters_of(http)->requests_running) != n;) {
        if (now_ms() > end)
            fail_msg("never were %u requests running at once", n);
        http_tick(http);
        pause_ms(1);
    }
}

static void expect_body(const char *target, const char *headers, int status, const char *body)
{
    struct answer a = server_request(&at, "GET", target, headers);
    assert_int_equal(a.status, status);
    assert_string_equal(a.body, body);
    answer_release(&a);
}

static void test_a_handler_sees_names_query_headers_and_the_client(void **state)
{
    (void)state;
    expect_body("/echo/one/to/two/three", NULL, 200,
        "a=one;rest=two/three;none=;header=(none);query=(none);peer=127.0.0.1;path=/echo/one/to/two/three;");
    expect_body("/echo/a%2Fb%20c/to/d%2fe?x=1&q=f%26g+h", "x-tEST: yes\r\n", 200,
        "a=a/b c;rest=d/e;none=;header=yes;query=f&g h;peer=127.0.0.1;path=/echo/a/b c/to/d/e;");
    expect_body("http://localhost/echo/1/to/2?q", NULL, 200,
        "a=1;rest=2;none=;header=(none);query=;peer=127.0.0.1;path=/echo/1/to/2;");
}

static void test_a_reply_has_the_headers_that_it_was_given(void **state)
{
    (void)state;
    struct answer a = server_get(&at, "/echo/1/to/2");
    assert_string_equal(answer_header(&a, "x-constant"), "1");
    assert_string_equal(answer_header(&a, "x-owned"), "2");
    answer_release(&a);
}

/* Constant replies are kept by their connection: another one must not be taken for them. */
static void test_constant_replies_of_one_connection_do_not_mix(void **state)
{
    static const struct {
        const char *target, *header;
    } asked[] = {{"/constant", "1"}, {"/constant", "1"}, {"/other-constant", "2"}, {"/constant", "1"}};
    struct wire w;
    char last[64] = "";
    (void)state;
    wire_open(&w, &at);
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        struct answer a;
        wire_say(&w, text_of("GET %s" HEAD "\r\n", asked[i].target));
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_string_equal(a.body, "constant");
        assert_string_equal(answer_header(&a, "x-constant"), asked[i].header);
        assert_string_not_equal(answer_header(&a, "x-request-id"), last);
        snprintf(last, sizeof(last), "%s", answer_header(&a, "x-request-id"));
        answer_release(&a);
    }
    wire_close(&w);
}

static void test_a_writer_gives_a_body_of_any_size(void **state)
{
    (void)state;
    struct answer a = server_get(&at, "/numbers/20000");
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_size, 108890);
    assert_int_equal(strncmp(a.body, "0\n1\n2\n", 6), 0);
    assert_string_equal(a.body + a.body_size - 6, "19999\n");
    answer_release(&a);
    expect_body("/numbers/1", NULL, 200, "0\n");
    a = server_request(&at, "HEAD", "/numbers/5", NULL);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    wait_released(3);
}

static void test_a_client_that_leaves_a_writer_releases_it(void **state)
{
    struct wire w;
    struct answer a;
    (void)state;
    wire_open(&w, &at);
    wire_say(&w, "GET /numbers/2000000000" HEAD "\r\n");
    assert_true(wire_head(&w, &a, WAIT_MS));
    answer_release(&a);
    wire_close(&w);
    wait_released(1);
}

/* ---- bodies in pieces ---- */

static struct answer post(const char *target, const char *headers, const char *body, size_t size)
{
    struct wire w;
    struct answer a = {0};
    wire_open(&w, &at);
    wire_say(&w, text_of("POST %s" HEAD "Connection: close\r\n%sContent-Length: %zu\r\n\r\n", target,
                     headers ? headers : "", size));
    wire_send(&w, body, size);
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_true(wire_ends(&w, WAIT_MS));
    wire_close(&w);
    return a;
}

static void test_a_body_comes_in_pieces_where_a_route_wants_it(void **state)
{
    char *body = malloc(1 << 20);
    (void)state;
    assert_non_null(body);
    memset(body, 'a', 1 << 20);
    struct answer a = post("/sum", NULL, body, 1 << 20);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "1048576 bytes, sum 101711872, several pieces 1");
    answer_release(&a);
    a = post("/sum", NULL, "", 0);
    assert_string_equal(a.body, "0 bytes, sum 0, several pieces 0");
    answer_release(&a);
    /* A refusal in the middle, and one at the head: the rest is read and dropped. */
    body[1000] = '!';
    a = post("/sum", NULL, body, 1 << 20);
    assert_int_equal(a.status, 422);
    assert_string_equal(a.body, "no exclamation");
    answer_release(&a);
    a = post("/sum", "x-refuse: 1\r\n", body, 1 << 20);
    assert_int_equal(a.status, 403);
    answer_release(&a);
    free(body);
    wait_released(3);
}

static void test_a_client_that_leaves_in_its_body_releases_the_sink(void **state)
{
    struct wire w;
    (void)state;
    wire_open(&w, &at);
    wire_say(&w, "POST /sum" HEAD "Content-Length: 100\r\n\r\nhalf");
    wire_close(&w);
    for (int64_t until = now_ms() + WAIT_MS; atomic_load(&n_released) != 1;) {
        assert_true(now_ms() < until);
        http_tick(http);
        pause_ms(1);
    }
}

/* ---- slow handlers ---- */

static void ask(struct wire *w, const char *target, char first, size_t size)
{
    char *body = malloc(size);
    assert_non_null(body);
    memset(body, first, size);
    wire_open(w, &at);
    wire_say(w, text_of("POST %s" HEAD "Content-Length: %zu\r\n\r\n", target, size));
    wire_send(w, body, size);
    free(body);
}

static void expect_status(struct wire *w, int status)
{
    struct answer a;
    assert_true(wire_answer(w, &a, false, WAIT_MS));
    assert_int_equal(a.status, status);
    answer_release(&a);
}

static void test_short_requests_do_not_wait_for_long_ones(void **state)
{
    struct wire longs[4], quick;
    (void)state;
    for (size_t i = 0; i < 4; i++)
        ask(&longs[i], "/gate", 'w', 100000);
    wait_count(&n_inside, 1); /* of two workers one never takes a long request */
    for (int i = 0; i < 3; i++) {
        ask(&quick, "/gate", 'q', 10);
        expect_status(&quick, 200);
        wire_close(&quick);
    }
    assert_int_equal(count_of(&n_inside), 1);
    set_gate(true);
    for (size_t i = 0; i < 4; i++) {
        expect_status(&longs[i], 200);
        wire_close(&longs[i]);
    }
}

static void test_requests_of_clients_that_left_are_not_run(void **state)
{
    struct wire blocking[2], left[20], waiting;
    (void)state;
    for (size_t i = 0; i < 2; i++)
        ask(&blocking[i], "/gate", 'w', 10);
    wait_count(&n_inside, 2);
    for (size_t i = 0; i < 20; i++)
        ask(&left[i], "/gate", 'q', 10);
    ask(&waiting, "/gate", 'q', 10);
    wait_running(23);
    for (size_t i = 0; i < 20; i++)
        wire_close(&left[i]);
    set_gate(true);
    expect_status(&waiting, 200);
    for (size_t i = 0; i < 2; i++) {
        expect_status(&blocking[i], 200);
        wire_close(&blocking[i]);
    }
    wire_close(&waiting);
    assert_int_equal(count_of(&n_ran), 3);
}

static void test_a_handler_learns_that_its_client_left(void **state)
{
    struct wire w;
    (void)state;
    ask(&w, "/gate", 'w', 10);
    wait_count(&n_inside, 1);
    wire_close(&w);
    wait_count(&n_inside, 0); /* the gate is still shut */
    wait_running(0);
}

static void test_when_the_work_stops_who_waits_is_told_503(void **state)
{
    struct wire running[2], waiting[3];
    (void)state;
    for (size_t i = 0; i < 2; i++)
        ask(&running[i], "/gate", 'w', 10);
    wait_count(&n_inside, 2);
    for (size_t i = 0; i < 3; i++)
        ask(&waiting[i], "/gate", 'w', i == 0 ? 100000 : 10);
    wait_running(5);
    http_stop_work(http);
    for (size_t i = 0; i < 3; i++)
        expect_status(&waiting[i], 503);
    for (size_t i = 0; i < 2; i++)
        expect_status(&running[i], 503);
    struct wire late;
    ask(&late, "/gate", 'w', 10);
    expect_status(&late, 503);
    for (size_t i = 0; i < 3; i++)
        wire_close(&waiting[i]);
    wire_close(&running[0]);
    wire_close(&running[1]);
    wire_close(&late);
}

static void test_a_long_answer_is_given_in_steps_between_others(void **state)
{
    (void)state;
    struct answer a = post("/steps", NULL, "x", 1);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "10,20,30,40,50,60,70,80,90,100,");
    answer_release(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_a_handler_sees_names_query_headers_and_the_client),
        TEST(test_a_reply_has_the_headers_that_it_was_given),
        TEST(test_constant_replies_of_one_connection_do_not_mix),
        TEST(test_a_writer_gives_a_body_of_any_size),
        TEST(test_a_client_that_leaves_a_writer_releases_it),
        TEST(test_a_body_comes_in_pieces_where_a_route_wants_it),
        TEST(test_a_client_that_leaves_in_its_body_releases_the_sink),
        TEST(test_short_requests_do_not_wait_for_long_ones),
        TEST(test_requests_of_clients_that_left_are_not_run),
        TEST(test_a_handler_learns_that_its_client_left),
        TEST(test_when_the_work_stops_who_waits_is_told_503),
        TEST(test_a_long_answer_is_given_in_steps_between_others),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
