/* completion_private.h - a request whose jobs are running: its prompts, jobs, choices, and what they have said so far.
 *
 * A request has prompts, each prompt a job, each job n choices. Each piece of a job becomes a delta, in parts of JSON. A
 * stream writes it at once; a whole reply appends it to the delta of its choice. All of it counts in the server's
 * request_memory, since a request of some kilobytes may ask for gigabytes.
 */
#ifndef BERTH_COMPLETION_PRIVATE_H
#define BERTH_COMPLETION_PRIVATE_H

#include "openai_private.h"

#define ANSWER_ID_MAX 48
#define ANSWER_MAX ((size_t)64 << 20) /* bytes of all choices of a request */

/* What is new of a choice. Lists are stored as their items, with commas between. */
struct delta {
    struct strbuf text;
    struct strbuf ids; /* token ids of the answer */
    struct strbuf tokens; /* with log probabilities: the objects of a chat, or the texts of the tokens */
    struct strbuf logprobs, top, offsets; /* the other three lists of a completion */
};

struct choice {
    struct delta delta; /* all of it; empty for a stream */
    size_t characters; /* of all tokens so far: the text offset of the next token */
    size_t generated; /* tokens so far */
    bool begun; /* its first piece was used */
    bool unprefixed; /* the tokenizer put a space in front that is not in the text */
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
    bool include_usage,
        continuous_usage; /* of a stream: usage in an event of its own at the end, in every event */
    uint32_t n_top;
    int64_t max_tokens;
    char id[ANSWER_ID_MAX];
    int64_t created;
    double arrived; /* as http_request has it */
    struct completion_prompt *prompts; /* [n_prompts] */
    size_t n_prompts, n_running;
    struct choice *choices; /* [n_prompts][n_choices] */
    size_t n_choices;
    struct delta scratch; /* of one piece */
    size_t gathered; /* bytes of all choices' deltas */
    size_t held; /* bytes taken of the server's request_memory: all that does not count by itself */
    struct strbuf first_events; /* of a stream, before its head is sent */
    bool finished; /* the end of the stream is written */
    unsigned status; /* HTTP status of a failure; 0 for none */
    const char *code; /* OpenAI's code of it; NULL for none */
    unsigned retry_after; /* seconds; 0 for none */
    struct error why;
};

/* ---- completion.c ---- */

extern const struct async_reply_kind completion_kind;
/* Cancels the jobs and frees all. */
void completion_release(struct completion *a);

/* ---- delta.c ---- */

void delta_init(struct delta *f, struct byte_budget *memory);
void delta_clear(struct delta *f);
void delta_release(struct delta *f);
bool delta_failed(const struct delta *f);
size_t delta_bytes(const struct delta *f);
void delta_join(struct delta *to, const struct delta *from); /* appends */
void delta_add_part(struct strbuf *out, const struct strbuf *part);

/* Appends a piece of choice `c`. */
void delta_add(const struct completion *a, struct choice *c, struct delta *f, const struct job_piece *piece);

/* ---- json.c ---- */

/* The body of a whole reply. */
void openai_write_whole(const struct completion *a, struct strbuf *out);

/* Events of a stream: the first of a choice, one with a delta (none for an empty one), the last of a choice, usage, an
 * error, the end. */
void openai_write_begin(const struct completion *a, size_t index, struct strbuf *out);
void openai_write_fragment(
    const struct completion *a, size_t index, const struct delta *f, struct strbuf *out);
void openai_write_finish(const struct completion *a, size_t index, struct strbuf *out);
void openai_write_usage(const struct completion *a, struct strbuf *out);
void openai_write_error(unsigned status, const char *code, const char *message, struct strbuf *out);
void openai_write_done(struct strbuf *out);

#endif
