/* openai_answer_private.h - an answer that is being given: what openai_answer.c gathers and openai_json.c writes.
 *
 * A request has prompts, each prompt a job, each job n choices. What comes is put as JSON into a fragment: a stream
 * writes it at once, a whole reply gathers for each choice what belongs to it. What is gathered is counted, since a
 * request of some kilobytes may ask for gigabytes.
 */
#ifndef BERTH_OPENAI_ANSWER_PRIVATE_H
#define BERTH_OPENAI_ANSWER_PRIVATE_H

#include "openai_private.h"

#define ANSWER_ID_MAX 48
#define ANSWER_MAX ((size_t)64 << 20) /* bytes of all choices of a request together */

/* The parts of a fragment that are lists are the items alone, with commas between. */
struct fragment {
    struct strbuf text;
    struct strbuf ids; /* of the answer's tokens */
    struct strbuf tokens; /* with log probabilities: chat's objects, or the tokens' texts */
    struct strbuf logprobs, top, offsets; /* completions' other three lists */
};

struct choice {
    struct fragment fragment; /* of a whole reply */
    size_t characters; /* of the tokens so far, where the next one's text begins */
    bool begun; /* a stream has told of it */
    bool unprefixed; /* the space that the tokenizer puts in front is not in the text */
    enum job_finish finish;
};

struct asked {
    struct prompt prompt;
    struct job *job;
    bool ended;
    struct job_usage usage; /* once ended */
};

struct answer {
    struct later later; /* first: the two are cast into each other */
    struct server *server;
    struct asked_model asked_model;
    struct sleeper *sleeper;
    enum fields_route route;
    bool stream, include_usage, logprobs, echo, token_ids;
    uint32_t n_top;
    int64_t max_tokens;
    char id[ANSWER_ID_MAX];
    int64_t created;
    struct asked *asked; /* [n_asked] */
    size_t n_asked, n_running;
    struct choice *choices; /* [n_asked][n_choices] */
    size_t n_choices;
    struct fragment scratch; /* what comes of one piece */
    size_t held; /* bytes of all choices' fragments; they are part of the server's answer_bytes */
    struct strbuf first_events; /* with which a stream begins */
    bool told_all; /* its end is written */
    unsigned status; /* of what went wrong; 0 for nothing */
    struct error why;
};

void fragment_init(struct fragment *f);
void fragment_clear(struct fragment *f);
void fragment_release(struct fragment *f);
bool fragment_failed(const struct fragment *f);
size_t fragment_bytes(const struct fragment *f);
void fragment_join(struct fragment *to, const struct fragment *from); /* puts it behind what is there */

/* Adds a piece's text and tokens. */
void fragment_add(
    const struct answer *a, struct choice *c, struct fragment *f, const struct job_piece *piece);

/* A whole reply's body. */
void openai_write_whole(const struct answer *a, struct strbuf *out);

/* Events: one with a fragment of a choice, where it has anything; the end of a choice; usage, where it is wanted;
 * an error; the last. */
void openai_write_begin(const struct answer *a, size_t index, struct strbuf *out);
void openai_write_fragment(
    const struct answer *a, size_t index, const struct fragment *f, struct strbuf *out);
void openai_write_finish(const struct answer *a, size_t index, struct strbuf *out);
void openai_write_usage(const struct answer *a, struct strbuf *out);
void openai_write_error(unsigned status, const char *message, struct strbuf *out);
void openai_write_done(struct strbuf *out);

#endif
