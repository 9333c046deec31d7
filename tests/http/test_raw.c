/* test_raw.c - requests that no correct client sends, byte by byte.
 *
 * Each row is one attempt: a request that two parsers could read in two ways, one that is cut, too long, or not HTTP. The
 * row has the status of the answer, and whether the connection stays open; after each attempt a new connection is served.
 * Where a row hides a second request inside the first, its path is /smuggled: that word must never appear in the log, and
 * the connection never gives two answers for one request.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOST "Host: berth-test\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: berth-test\r\n\r\n"
#define GET_HEALTH "GET /health HTTP/1.1\r\n" HOST
#define POST_NOPE "POST /nope HTTP/1.1\r\n" HOST
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define BYTES(literal) .start = literal, .start_size = sizeof(literal) - 1

/* Whether the connection stays open after the answer. */
enum after {
    CLOSES, /* the default of a row */
    KEEPS, /* the next request on it is answered */
    EITHER,
};

/* `start`, then `times` copies of `filler`, then `end`. */
struct attempt {
    const char *name;
    const char *start;
    size_t start_size;
    int statuses[4]; /* any of them */
    bool silent; /* or none: the connection may be closed without an answer */
    enum after after;
    const char *filler;
    size_t times;
    const char *end;
};

static struct server *server;

/* clang-format off */
static const struct attempt attempts[] = {
    /* Where does the body end? */
    {.name = "length, then chunked",
     BYTES(POST_NOPE "Content-Length: 5\r\n" CHUNKED "\r\n0\r\n\r\n" SMUGGLED), .statuses = {400}},
    {.name = "chunked, then length", BYTES(POST_NOPE CHUNKED "Content-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400}},
    {.name = "two lengths", BYTES(POST_NOPE "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" SMUGGLED),
     .statuses = {400}},
    {.name = "two lengths, the larger first",
     BYTES(POST_NOPE "Content-Length: 44\r\nContent-Length: 0\r\n\r\n" SMUGGLED), .statuses = {400}},
    {.name = "the same length twice", BYTES(POST_NOPE "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
     .statuses = {400}},
    {.name = "a list of lengths", BYTES(POST_NOPE "Content-Length: 5, 5\r\n\r\nhello"), .statuses = {400}},
    {.name = "a length with a plus", BYTES(POST_NOPE "Content-Length: +5\r\n\r\nhello"), .statuses = {400}},
    {.name = "a negative length", BYTES(POST_NOPE "Content-Length: -1\r\n\r\n" SMUGGLED), .statuses = {400}},
    {.name = "a hexadecimal length", BYTES(POST_NOPE "Content-Length: 0x5\r\n\r\nhello"), .statuses = {400}},
    {.name = "a length in two words", BYTES(POST_NOPE "Content-Length: 5 5\r\n\r\nhello"), .statuses = {400}},
    {.name = "an empty length", BYTES(POST_NOPE "Content-Length:\r\n\r\n" SMUGGLED), .statuses = {400}},
    {.name = "a length that ends in letters", BYTES(POST_NOPE "Content-Length: 5abc\r\n\r\nhello"),
     .statuses = {400}},
    {.name = "a length of more than 64 bits",
     BYTES(POST_NOPE "Content-Length: 18446744073709551621\r\n\r\nhello"), .statuses = {400, 413}},
    {.name = "a length of 53 digits",
     BYTES(POST_NOPE "Content-Length: 10000000000000000000000000000000000000000000000000005\r\n\r\nhello"),
     .statuses = {400, 413}},
    {.name = "a space before the colon of a length", BYTES(POST_NOPE "Content-Length : 44\r\n\r\n" SMUGGLED),
     .statuses = {400}},
    {.name = "chunked, then identity",
     BYTES(POST_NOPE CHUNKED "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "identity, then chunked",
     BYTES(POST_NOPE "Transfer-Encoding: identity\r\n" CHUNKED "\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "chunked twice", BYTES(POST_NOPE CHUNKED CHUNKED "\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "chunked twice in one line",
     BYTES(POST_NOPE "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "xchunked", BYTES(POST_NOPE "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "identity", BYTES(POST_NOPE "Transfer-Encoding: identity\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "gzip, chunked", BYTES(POST_NOPE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "a vertical tab before chunked",
     BYTES(POST_NOPE "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" SMUGGLED), .statuses = {400, 501}},
    {.name = "a parameter after chunked",
     BYTES(POST_NOPE "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" SMUGGLED), .statuses = {400, 501}},
    {.name = "quoted chunked", BYTES(POST_NOPE "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "an empty transfer coding", BYTES(POST_NOPE "Transfer-Encoding:\r\n\r\n" SMUGGLED),
     .statuses = {400, 501}},
    {.name = "a space before the colon of chunked",
     BYTES(POST_NOPE "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED), .statuses = {400}},
    {.name = "chunked under HTTP/1.0",
     BYTES("POST /nope HTTP/1.0\r\n" HOST "Connection: keep-alive\r\n" CHUNKED "\r\n0\r\n\r\n" SMUGGLED),
     .statuses = {400}},
    {.name = "a length that Connection disowns",
     BYTES(POST_NOPE "Connection: Content-Length\r\nContent-Length: 44\r\n\r\n" SMUGGLED), .statuses = {404},
     .after = KEEPS},
    {.name = "a request as another's body", BYTES(GET_HEALTH "Content-Length: 44\r\n\r\n" SMUGGLED),
     .statuses = {200}, .after = KEEPS},
    {.name = "a request as a chunk", BYTES(GET_HEALTH CHUNKED "\r\n2c\r\n" SMUGGLED "\r\n0\r\n\r\n"),
     .statuses = {200}, .after = KEEPS},
    {.name = "a length in the trailer", BYTES(GET_HEALTH CHUNKED "\r\n0\r\nContent-Length: 44\r\n\r\n"),
     .statuses = {200}, .after = KEEPS},

    /* Chunks. */
    {.name = "a chunk extension", BYTES(GET_HEALTH CHUNKED "\r\n5;a=b\r\nhello\r\n0\r\n\r\n"),
     .statuses = {200}, .after = KEEPS},
    {.name = "chunks for no route", BYTES(POST_NOPE CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n"), .statuses = {404},
     .after = KEEPS},
    {.name = "lines of chunks that end in LF", BYTES(GET_HEALTH CHUNKED "\r\n5\nhello\n0\n\n" SMUGGLED),
     .statuses = {400}},
    {.name = "a chunk size that is no number", BYTES(GET_HEALTH CHUNKED "\r\ng\r\nhello\r\n0\r\n\r\n"),
     .statuses = {400}},
    {.name = "a chunk size with 0x", BYTES(GET_HEALTH CHUNKED "\r\n0x5\r\nhello\r\n0\r\n\r\n"),
     .statuses = {400}},
    {.name = "a negative chunk size", BYTES(GET_HEALTH CHUNKED "\r\n-5\r\nhello\r\n0\r\n\r\n"),
     .statuses = {400}},
    {.name = "an empty chunk size", BYTES(GET_HEALTH CHUNKED "\r\n\r\nhello\r\n0\r\n\r\n"),
     .statuses = {400}},
    {.name = "a space before the chunk size", BYTES(GET_HEALTH CHUNKED "\r\n 5\r\nhello\r\n0\r\n\r\n"),
     .statuses = {400}},
    {.name = "a chunk size of more than 64 bits",
     BYTES(GET_HEALTH CHUNKED "\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"), .statuses = {400, 413}},
    {.name = "a chunk longer than it says", BYTES(GET_HEALTH CHUNKED "\r\n3\r\nhello\r\n0\r\n\r\n"),
     .statuses = {400}},

    /* Lines and what stands in them. */
    {.name = "a request line that ends in LF", BYTES("GET /health HTTP/1.1\n" HOST "\r\n"),
     .statuses = {400}},
    {.name = "headers that end in LF", BYTES("GET /health HTTP/1.1\r\nHost: berth-test\n\n"),
     .statuses = {400}},
    {.name = "a bare CR in a header", BYTES(GET_HEALTH "X: a\rb\r\n\r\n"), .statuses = {400}},
    {.name = "a folded header", BYTES(GET_HEALTH "X: a\r\n b\r\n\r\n"), .statuses = {400}},
    {.name = "a folded length", BYTES(POST_NOPE "Content-Length:\r\n 44\r\n\r\n" SMUGGLED),
     .statuses = {400}},
    {.name = "a first header that begins with a space",
     BYTES("GET /health HTTP/1.1\r\n Host: berth-test\r\n\r\n"), .statuses = {400}},
    {.name = "NUL in a value", BYTES(GET_HEALTH "X: a\0b\r\n\r\n"), .statuses = {400}},
    {.name = "NUL in a name", BYTES(GET_HEALTH "X\0Y: a\r\n\r\n"), .statuses = {400}},
    {.name = "NUL in the path", BYTES("GET /hea\0lth HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400},
     .silent = true},
    {.name = "a space in a name", BYTES(GET_HEALTH "X Y: a\r\n\r\n"), .statuses = {400}},
    {.name = "a bracket in a name", BYTES(GET_HEALTH "X(Y: a\r\n\r\n"), .statuses = {400}},
    {.name = "a byte of 0x80 in a name", BYTES(GET_HEALTH "X\x80: a\r\n\r\n"), .statuses = {400}},
    {.name = "no name", BYTES(GET_HEALTH ": a\r\n\r\n"), .statuses = {400}},
    {.name = "no colon", BYTES(GET_HEALTH "nonsense\r\n\r\n"), .statuses = {400}},
    {.name = "two hosts", BYTES(GET_HEALTH "Host: other\r\n\r\n"), .statuses = {400}},
    {.name = "no host", BYTES("GET /health HTTP/1.1\r\n\r\n"), .statuses = {400}},
    {.name = "%00 in the path", BYTES("GET /health%00 HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400, 404},
     .after = EITHER},
    {.name = "%00 in a model's id", BYTES("GET /v1/models/%00 HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {400, 404}, .after = EITHER},
    {.name = "two spaces after the method", BYTES("GET  /health HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {400}},
    {.name = "tabs instead of spaces", BYTES("GET\t/health\tHTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {400, 501}, .silent = true},
    {.name = "a space in the target", BYTES("GET /hea lth HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400}},
    {.name = "an empty line before the request", BYTES("\r\n" GET_HEALTH "\r\n"), .statuses = {200},
     .after = KEEPS},
    {.name = "two empty lines before the request", BYTES("\r\n\r\n" GET_HEALTH "\r\n"),
     .statuses = {200, 400}, .silent = true, .after = EITHER},

    /* Methods, versions, expectations. */
    {.name = "a method with a bracket", BYTES("G(T /health HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400, 501},
     .after = EITHER},
    {.name = "a method in small letters", BYTES("get /health HTTP/1.1\r\n" HOST "\r\n"), .statuses = {501},
     .after = EITHER},
    {.name = "a method of 5000 bytes", BYTES(""), .statuses = {400, 414, 431, 501}, .after = EITHER,
     .filler = "A", .times = 5000, .end = " /health HTTP/1.1\r\n" HOST "\r\n"},
    {.name = "TRACE", BYTES("TRACE /health HTTP/1.1\r\n" HOST "\r\n"), .statuses = {405}, .after = KEEPS},
    {.name = "CONNECT", BYTES("CONNECT berth-test:80 HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400, 404, 405},
     .after = EITHER},
    {.name = "HTTP/1.2", BYTES("GET /health HTTP/1.2\r\n" HOST "\r\n"), .statuses = {200, 505},
     .after = EITHER},
    {.name = "HTTP/2.0", BYTES("GET /health HTTP/2.0\r\n" HOST "\r\n"), .statuses = {400, 505}},
    {.name = "HTTP/11.1", BYTES("GET /health HTTP/11.1\r\n" HOST "\r\n"), .statuses = {400, 505}},
    {.name = "http/1.1", BYTES("GET /health http/1.1\r\n" HOST "\r\n"), .statuses = {400, 505}},
    {.name = "HTTP/1.", BYTES("GET /health HTTP/1.\r\n" HOST "\r\n"), .statuses = {400, 505}},
    {.name = "no version", BYTES("GET /health\r\n\r\n"), .statuses = {400, 505}},
    {.name = "the preface of HTTP/2", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), .statuses = {400, 501, 505}},
    {.name = "an unknown expectation", BYTES(GET_HEALTH "Expect: bogus\r\n\r\n"), .statuses = {200, 417},
     .after = EITHER},
    {.name = "an upgrade to h2c",
     BYTES(GET_HEALTH "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"), .statuses = {200},
     .after = KEEPS},
    {.name = "an upgrade to websocket", BYTES(GET_HEALTH "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
     .statuses = {200}, .after = KEEPS},

    /* Targets. */
    {.name = "a way up", BYTES("GET /../../etc/passwd HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400, 404},
     .after = KEEPS},
    {.name = "an encoded way up", BYTES("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {400, 404}, .after = KEEPS},
    {.name = "a way up from a model", BYTES("GET /v1/models/../../etc/passwd HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {400, 404}, .after = KEEPS},
    {.name = "an encoded way up from a model",
     BYTES("GET /v1/models/..%2f..%2fetc%2fpasswd HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400, 404},
     .after = KEEPS},
    {.name = "a percent sign alone", BYTES("GET /% HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400, 404},
     .after = EITHER},
    {.name = "a percent sign and no digits", BYTES("GET /%zz HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {400, 404}, .after = EITHER},
    {.name = "a path that is not UTF-8", BYTES("GET /v1/models/%ff%fe HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {400, 404}, .after = EITHER},
    {.name = "an asterisk", BYTES("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), .statuses = {200, 400, 404, 405},
     .after = EITHER},
    {.name = "an absolute target", BYTES("GET http://berth-test/health HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {200}, .after = KEEPS},
    {.name = "an absolute target without a path", BYTES("GET HTTP://berth-test HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {200}, .after = KEEPS},
    {.name = "a target without a slash", BYTES("GET health HTTP/1.1\r\n" HOST "\r\n"), .statuses = {400, 404},
     .after = EITHER},
    {.name = "a line break in a redirect", BYTES("GET /health/?%0d%0aX:y HTTP/1.1\r\n" HOST "\r\n"),
     .statuses = {307}, .after = KEEPS},

    /* Sizes. */
    {.name = "a target of 9000 bytes", BYTES("GET /"), .statuses = {414}, .filler = "a", .times = 9000,
     .end = " HTTP/1.1\r\n" HOST "\r\n"},
    {.name = "a target of 100000 bytes", BYTES("GET /"), .statuses = {414}, .filler = "a", .times = 100000,
     .end = " HTTP/1.1\r\n" HOST "\r\n"},
    {.name = "a query of 9000 bytes", BYTES("GET /health?"), .statuses = {414}, .filler = "a", .times = 9000,
     .end = " HTTP/1.1\r\n" HOST "\r\n"},
    {.name = "a header of 20000 bytes", BYTES(GET_HEALTH "X: "), .statuses = {431}, .filler = "a",
     .times = 20000, .end = "\r\n\r\n"},
    {.name = "a header of 200000 bytes", BYTES(GET_HEALTH "X: "), .statuses = {431}, .filler = "a",
     .times = 200000, .end = "\r\n\r\n"},
    {.name = "a header's name of 20000 bytes", BYTES(GET_HEALTH), .statuses = {431}, .filler = "a",
     .times = 20000, .end = ": x\r\n\r\n"},
    {.name = "10000 headers", BYTES(GET_HEALTH), .statuses = {431}, .filler = "a: b\r\n", .times = 10000,
     .end = "\r\n"},
    {.name = "4200 empty headers", BYTES(GET_HEALTH), .statuses = {431}, .filler = "a:\r\n", .times = 4200,
     .end = "\r\n"},
    {.name = "a cookie of 15000 bytes", BYTES(GET_HEALTH "Cookie: "), .statuses = {200}, .after = KEEPS,
     .filler = "a", .times = 15000, .end = "\r\n\r\n"},
    {.name = "a target of 8000 bytes", BYTES("GET /"), .statuses = {404}, .after = KEEPS, .filler = "a",
     .times = 8000, .end = " HTTP/1.1\r\n" HOST "\r\n"},
    {.name = "a body said to be too long", BYTES(GET_HEALTH "Content-Length: 70000\r\n\r\n"),
     .statuses = {413}},
    {.name = "chunks that are too long", BYTES(GET_HEALTH CHUNKED "\r\n"), .statuses = {413},
     .filler = "20\r\naaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\r\n", .times = 2200, .end = "0\r\n\r\n"},
    {.name = "a body at the limit", BYTES(GET_HEALTH "Content-Length: 65536\r\n\r\n"), .statuses = {200},
     .after = KEEPS, .filler = "abcdefgh", .times = 8192, .end = ""},

    /* No HTTP at all. */
    {.name = "a TLS handshake", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
     .statuses = {400, 501, 505}, .silent = true},
    {.name = "one NUL", BYTES("\0\r\n\r\n"), .statuses = {400, 501, 505}, .silent = true},
    {.name = "bytes of 0xff", BYTES("\xff\xff\xff\xff\r\n\r\n"), .statuses = {400, 501, 505}, .silent = true},
    {.name = "half a request", BYTES("GET /hea"), .statuses = {408}},
    {.name = "half a header", BYTES(GET_HEALTH "X: "), .statuses = {408}},
    {.name = "half a body", BYTES(POST_NOPE "Content-Length: 5\r\n\r\nhel"), .statuses = {408}},
    {.name = "half a chunk", BYTES(GET_HEALTH CHUNKED "\r\n5\r\nhel"), .statuses = {408}},
};
/* clang-format on */

/* Sends the attempt. The server may answer and close before all of it is sent. */
static void say(struct wire *w, const struct attempt *t)
{
    size_t unit = t->filler ? strlen(t->filler) : 0;
    char *filling = malloc(unit * t->times + 1);
    assert_non_null(filling);
    for (size_t i = 0; i < t->times; i++)
        memcpy(filling + i * unit, t->filler, unit);
    if (wire_send(w, t->start, t->start_size) && wire_send(w, filling, unit * t->times) && t->end)
        wire_say(w, t->end);
    free(filling);
}

static bool is_among(int status, const int *statuses)
{
    for (size_t i = 0; i < 4; i++)
        if (statuses[i] && statuses[i] == status)
            return true;
    return false;
}

/* One more request on the same connection gets the one answer that is left. */
static bool is_kept(struct wire *w)
{
    struct answer a;
    if (!wire_say(w, "GET /after HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"))
        return false;
    bool answered = wire_answer(w, &a, false, WAIT_MS) && a.status == 404;
    answer_release(&a);
    return answered && wire_ends(w, WAIT_MS);
}

static bool ends_as_it_should(struct wire *w, const struct attempt *t)
{
    if (t->after == KEEPS)
        return is_kept(w);
    if (t->after == CLOSES)
        return wire_ends(w, WAIT_MS);
    shutdown(w->fd, SHUT_WR);
    return wire_ends(w, WAIT_MS);
}

static bool try_one(const struct attempt *t)
{
    struct wire w;
    struct answer a;
    wire_open(&w, server);
    say(&w, t);
    bool answered = wire_answer(&w, &a, false, WAIT_MS);
    bool right = answered ? is_among(a.status, t->statuses) : t->silent && w.ended;
    bool ended = right && (!answered || ends_as_it_should(&w, t));
    if (!right)
        print_error("%s: status %d: %s\n", t->name, a.status, answered ? a.body : "(no answer)");
    else if (!ended)
        print_error("%s: after the %d the connection is not as it should be: %.*s\n", t->name, a.status,
            (int)w.size, w.size ? w.data : "");
    answer_release(&a);
    wire_close(&w);
    server_assert_healthy(server);
    return right && ended;
}

static void test_each_odd_request_gets_one_answer_and_harms_nobody(void **state)
{
    size_t n = sizeof(attempts) / sizeof(*attempts), wrong = 0;
    (void)state;
    for (size_t i = 0; i < n; i++)
        wrong += !try_one(&attempts[i]);
    print_message("%zu odd requests\n", n);
    if (wrong)
        fail_msg("%zu of %zu", wrong, n);
}

static void test_a_refusal_is_json_that_says_why_and_has_an_id(void **state)
{
    /* clang-format off */
    static const struct attempt rows[] = {
        {.name = "a long target", BYTES("GET /"), .statuses = {414}, .filler = "a", .times = 9000,
         .end = " HTTP/1.1\r\n" HOST "\r\n"},
        {.name = "a long body", BYTES(GET_HEALTH "Content-Length: 70000\r\n\r\n"), .statuses = {413}},
        {.name = "a slow client", BYTES("GET /hea"), .statuses = {408}},
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct wire w;
        struct answer a;
        wire_open(&w, server);
        say(&w, &rows[i]);
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_int_equal(a.status, rows[i].statuses[0]);
        json_t *body = answer_json(&a);
        assert_true(json_string_length(json_object_get(body, "detail")) > 0);
        json_decref(body);
        answer_release(&a);
        wire_close(&w);
    }
}

static void test_a_hundred_pipelined_requests_are_answered_in_order(void **state)
{
    static const struct {
        const char *request;
        int status;
    } kinds[] = {
        {GET_HEALTH "\r\n", 200},
        {"GET /nope HTTP/1.1\r\n" HOST "\r\n", 404},
        {"POST /health HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 405},
        {"GET /health/ HTTP/1.1\r\n" HOST "\r\n", 307},
        {POST_NOPE CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n", 404},
    };
    struct wire w;
    (void)state;
    char *all = calloc(100, 256);
    assert_non_null(all);
    for (int i = 0; i < 100; i++)
        strcat(all, text_of("%.*sX-Request-Id: n-%d\r\n%s",
                        (int)(strstr(kinds[i % 5].request, "\r\n") + 2 - kinds[i % 5].request),
                        kinds[i % 5].request, i, strstr(kinds[i % 5].request, "\r\n") + 2));
    wire_open(&w, server);
    assert_true(wire_say(&w, all));
    for (int i = 0; i < 100; i++) {
        struct answer a;
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        assert_int_equal(a.status, kinds[i % 5].status);
        assert_string_equal(answer_header(&a, "x-request-id"), text_of("n-%d", i));
        answer_release(&a);
    }
    shutdown(w.fd, SHUT_WR);
    assert_true(wire_ends(&w, WAIT_MS));
    wire_close(&w);
    free(all);
}

static void test_a_bad_request_in_a_pipeline_ends_it(void **state)
{
    struct wire w;
    struct answer a;
    (void)state;
    wire_open(&w, server);
    wire_say(
        &w, GET_HEALTH "\r\n" POST_NOPE "Content-Length: 5\r\n" CHUNKED "\r\n0\r\n\r\n" SMUGGLED SMUGGLED);
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 200);
    answer_release(&a);
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 400);
    answer_release(&a);
    assert_true(wire_ends(&w, WAIT_MS));
    wire_close(&w);
}

static void test_a_request_may_come_one_byte_at_a_time(void **state)
{
    static const char request[] = POST_NOPE CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n";
    struct wire w;
    struct answer a;
    (void)state;
    wire_open(&w, server);
    for (size_t i = 0; i < sizeof(request) - 1; i++)
        assert_true(wire_send(&w, request + i, 1));
    assert_true(wire_answer(&w, &a, false, WAIT_MS));
    assert_int_equal(a.status, 404);
    answer_release(&a);
    assert_true(is_kept(&w));
    wire_close(&w);
}

static void test_clients_that_vanish_at_any_byte_harm_nobody(void **state)
{
    static const char request[] = POST_NOPE CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n";
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)state;
    for (size_t cut = 0; cut < sizeof(request); cut++) {
        struct wire w;
        wire_open(&w, server);
        wire_send(&w, request, cut);
        /* Every other one leaves by a reset. */
        if (cut % 2)
            setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        wire_close(&w);
    }
    server_assert_healthy(server);
}

static void test_nothing_was_smuggled_and_the_server_ends_cleanly(void **state)
{
    (void)state;
    struct answer a = server_request(server, "GET", "/nope", "X-Request-Id: the-last-line\r\n");
    free(server_wait_log(server, "the-last-line"));
    assert_false(server_logged(server, "smuggled"));
    answer_release(&a);
    server_stop(server);
}

static int begin(void **state)
{
    (void)state;
    server = server_start(&(struct setup){.args = {"--header-timeout", "1", "--body-timeout", "1"}});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_odd_request_gets_one_answer_and_harms_nobody),
        cmocka_unit_test(test_a_refusal_is_json_that_says_why_and_has_an_id),
        cmocka_unit_test(test_a_hundred_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_a_bad_request_in_a_pipeline_ends_it),
        cmocka_unit_test(test_a_request_may_come_one_byte_at_a_time),
        cmocka_unit_test(test_clients_that_vanish_at_any_byte_harm_nobody),
        cmocka_unit_test(test_nothing_was_smuggled_and_the_server_ends_cleanly),
    };
    return cmocka_run_group_tests(tests, begin, harness_end);
}
