/* completion_private.h - an answer that is being given: what completion.c gathers and json.c writes.
 *
 * A request has prompts, each prompt a job, each job n choices. What comes is put as JSON into a delta: a stream
 * writes it at once, a whole reply gathers for each choice what belongs to it. What is gathered is counted, since a
 * request of some kilobytes may ask for gigabytes.
 */
#ifndef BERTH_COMPLETION_PRIVATE_H
#define BERTH_COMPLETION_PRIVATE_H

#include "openai_private.h"

#define ANSWER_ID_MAX 48
#define ANSWER_MAX ((size_t)64 << 20) /* bytes of all choices of a request together */

/* The parts of a delta that are lists are the items alone, with commas between. */
struct delta {
    struct strbuf text;
    struct strbuf ids; /* of the answer's tokens */
    struct strbuf tokens; /* with log probabilities: chat's objects, or the tokens' texts */
    struct strbuf logprobs, top, offsets; /* completions' other three lists */
};

struct choice {
    struct delta delta; /* of a whole reply */
    size_t characters; /* of the tokens so far, where the next one's text begins */
    size_t generated; /* tokens so far */
    bool begun; /* a stream has told of it */
    bool unprefixed; /* the space that the tokenizer puts in front is not in the text */
    enum job_finish finish;
};

struct completion_prompt {
    struct prompt prompt;
    struct job *job;
    struct job_piece *rest; /* pieces that were taken from the job and not yet used */
    bool last; /* nothing comes after them */
    bool ended;
    struct job_usage usage; /* once ended */
};

struct completion {
    struct async_reply async; /* first: the two are cast into each other */
    struct server *server;
    struct requested_model requested_model;
    struct suspended *suspended;
    enum fields_route route;
    bool stream, logprobs, echo, token_ids;
    bool include_usage, continuous_usage; /* of a stream: usage in an event of its own at the end, in every event */
    uint32_t n_top;
    int64_t max_tokens;
    char id[ANSWER_ID_MAX];
    int64_t created;
    double arrived; /* as http_request has it */
    struct completion_prompt *prompts; /* [n_prompts] */
    size_t n_prompts, n_running;
    struct choice *choices; /* [n_prompts][n_choices] */
    size_t n_choices;
    struct delta scratch; /* what comes of one piece */
    size_t gathered; /* bytes of all choices' deltas */
    size_t held; /* bytes taken of the server's request_memory, for prompts and deltas */
    struct strbuf first_events; /* with which a stream begins */
    bool told_all; /* its end is written */
    unsigned status; /* of what went wrong; 0 for nothing */
    const char *code; /* beside it; NULL for none */
    unsigned retry_after; /* seconds; 0: do not */
    struct error why;
};

void delta_init(struct delta *f);
void delta_clear(struct delta *f);
void delta_release(struct delta *f);
bool delta_failed(const struct delta *f);
size_t delta_bytes(const struct delta *f);
void delta_join(struct delta *to, const struct delta *from); /* puts it behind what is there */

/* Adds a piece's text and tokens. */
void delta_add(const struct completion *a, struct choice *c, struct delta *f, const struct job_piece *piece);

/* A whole reply's body. */
void openai_write_whole(const struct completion *a, struct strbuf *out);

/* Events: one with a delta of a choice, where it has anything; the end of a choice; usage, where it is wanted;
 * an error; the last. */
void openai_write_begin(const struct completion *a, size_t index, struct strbuf *out);
void openai_write_fragment(
    const struct completion *a, size_t index, const struct delta *f, struct strbuf *out);
void openai_write_finish(const struct completion *a, size_t index, struct strbuf *out);
void openai_write_usage(const struct completion *a, struct strbuf *out);
void openai_write_error(unsigned status, const char *code, const char *message, struct strbuf *out);
void openai_write_done(struct strbuf *out);

#endif
