/* completion.h - a request whose jobs are running: its prompts, jobs, choices, and what they have said so far.
 *
 * A request has prompts, each prompt a job, each job n choices. The pieces of a job become events: text, reasoning, calls
 * of tools. A stream writes each event at once; a whole reply gathers those of each choice. How they are written is the
 * business of a dialect: a completion writer. All of it counts in the server's request_memory, since a request of some
 * kilobytes may ask for gigabytes.
 */
#ifndef BERTH_COMPLETION_H
#define BERTH_COMPLETION_H

#include "berth/engine/chat/chat_format.h"
#include "berth/server/api/completion_params.h"
#include "berth/server/api/prompt.h"
#include "berth/server/http/stream.h"

#define ANSWER_ID_MAX 48
#define CALL_ID_MAX 96
#define ANSWER_MAX ((size_t)64 << 20) /* bytes of all choices of a request */

/* What is new of a choice, or all of it. Lists are stored as their items in JSON, with commas between. */
struct delta {
    struct strbuf text, reasoning;
    struct strbuf ids; /* token ids of the answer */
    struct strbuf tokens; /* with log probabilities: the objects of a chat, or the texts of the tokens */
    struct strbuf logprobs, top, offsets; /* the other three lists of a completion */
};

/* A call of a tool. */
struct tool_call {
    char id[CALL_ID_MAX];
    struct strbuf name, arguments; /* arguments: JSON */
    bool whole; /* otherwise the answer was cut inside it */
};

/* A stretch of an answer, in the order in which the model wrote them. */
struct answer_part {
    enum chat_event kind; /* CHAT_TEXT, CHAT_REASONING, CHAT_CALL_BEGIN */
    size_t at, size; /* of text and reasoning: its bytes in the delta; of a call: its number, and 1 */
    size_t tokens; /* where its tokens begin in the delta's list */
};

struct choice {
    struct delta delta; /* all of it; empty where nothing is gathered */
    struct chat_reader reader;
    struct tool_call *calls; /* [n_gathered] */
    size_t n_gathered;
    struct answer_part *parts; /* [n_parts]; of what is gathered */
    size_t n_parts, parts_room;
    size_t n_calls; /* so far, gathered or not */
    char call_id[CALL_ID_MAX]; /* of the last one: the model's own, or made here */
    bool has_call_id; /* the model wrote the id of the call that begins next */
    int32_t stopped_by; /* which of the request's stop strings ended it; -1: none */
    size_t characters; /* of all tokens so far: the text offset of the next token */
    size_t generated; /* tokens so far */
    size_t reasoning_tokens; /* of these */
    bool begun; /* its first event was written */
    bool echoed; /* its first piece was used */
    bool unprefixed; /* the tokenizer put a space in front that is not in the text */
    enum job_finish finish;
    struct { /* the writer's own */
        size_t index; /* of the block or item that is open, or of the next one, */
        int kind; /* and what it is; 0: none is open */
        bool text; /* something was written in it */
    } open;
};

struct completion_prompt {
    struct prompt prompt;
    struct job *job;
    struct job_piece *rest; /* pieces that were taken from the job and not yet used */
    bool last; /* nothing comes after them */
    bool ended;
    struct job_usage usage; /* once ended */
};

struct completion_writer;

struct completion {
    struct async_reply async; /* first: the two are cast into each other */
    struct server *server;
    const struct completion_writer *writer;
    const struct dialect *dialect; /* of errors before the reply has begun */
    struct requested_model requested_model;
    struct suspended *suspended;
    const char *request_id; /* of the client's request, which lives longer */
    enum fields_route route;
    bool stream, logprobs, echo, token_ids;
    bool hides_reasoning; /* it is generated, and not told */
    bool include_usage,
        continuous_usage; /* of a stream: usage in an event of its own at the end, in every event */
    uint32_t n_top;
    int64_t max_tokens;
    double temperature, top_p; /* as they were used, for dialects that tell them */
    char id[ANSWER_ID_MAX]; /* without a prefix */
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
    struct json_notes notes; /* what of the tools' schemas is not enforced */
    json_t *request; /* as the client sent it, for writers that repeat parts of it; NULL otherwise */
    size_t sequence; /* the writer's own: number of the next event */
    bool begun, finished; /* the stream: its first event, its end is written */
    unsigned status; /* HTTP status of a failure; 0 for none */
    const char *code; /* OpenAI's code of it; NULL for none */
    unsigned retry_after; /* seconds; 0 for none */
    struct error why;
};

/* ---- how a dialect writes ---- */

/* Something new of a choice. */
struct completion_event {
    enum chat_event kind;
    size_t call; /* of the three kinds of calls: which one */
    struct span text; /* of CHAT_CALL_BEGIN: the name */
    const struct delta *lists; /* token ids and log probabilities that came with it; NULL for none */
};

/* Members may be NULL where the dialect writes nothing. */
struct completion_writer {
    const char *stream_type; /* content type of a stream */
    const char *ping; /* what a stream sends when nothing is said for long; NULL: a comment */
    bool begins_early; /* a stream that waits for long for its first event begins its choices then */
    bool gathers; /* choices are gathered in a stream, too, for what `finish` and `end` write */
    bool token_objects; /* of a completion, too, tokens with log probabilities are a chat's objects, */
    bool token_object_ids; /* and these have the token's id */
    void (*whole)(const struct completion *a, struct strbuf *out); /* the body of a whole reply */
    /* Of a stream: the first of a choice, an event, the last of a choice, the end of all that went well, an error in its
     * place. */
    void (*begin)(struct completion *a, size_t index, struct strbuf *out);
    void (*event)(struct completion *a, size_t index, const struct completion_event *e, struct strbuf *out);
    void (*finish)(struct completion *a, size_t index, struct strbuf *out);
    void (*end)(struct completion *a, struct strbuf *out);
    void (*fail)(struct completion *a, struct strbuf *out);
};

/* How a choice ended, in the words of a dialect. */
struct finish_words {
    const char *stop, *length, *calls;
};
/* The word of a choice that has ended: `calls` when the last thing that it wrote whole is a call of a tool. */
const char *choice_finish_word(const struct choice *c, const struct finish_words *words);

struct completion_totals {
    size_t prompt, cached, generated, reasoning; /* tokens */
    double prompt_seconds, generate_seconds, queued_seconds; /* the longest of all prompts */
};
/* Of all prompts and choices, as far as they have ended. */
struct completion_totals completion_totals_of(const struct completion *a);

/* ---- completion_start.c ---- */

struct completion_setup {
    enum fields_route route;
    const struct completion_writer *writer;
    struct completion_params *params;
    struct requested_model *model; /* its hold is taken over */
    struct prompt *prompts; /* [n_prompts]; their memory is taken over */
    size_t n_prompts;
    struct grammar *grammar; /* what each answer must be; NULL for anything */
    const struct json_notes *notes; /* NULL for none */
    const struct chat_form *form; /* what the grammar was made from: how answers are read */
    struct tokenizer_ids reasoning_end; /* borrowed; the ids that end the reasoning at its budget */
    json_t *request; /* for the writer; a reference is taken; NULL */
    size_t request_more; /* bytes that it takes beside what a tree of the request's body does */
};

/* Submits a job for each prompt and puts the reply that comes later into r->async. Takes over the hold on the model
 * and the memory of the prompts, and clears both, unless memory is short. False with the error. */
bool completion_start(struct server *s, const struct http_request *q, struct reply *r,
    const struct completion_setup *setup, struct api_error *c);

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
void delta_join_lists(struct delta *to, const struct delta *from); /* appends all but the text */
void delta_add_part(struct strbuf *out, const struct strbuf *part);
bool delta_has_lists(const struct delta *f);

/* Appends a piece of choice `c`: its lists, and the text of an echo. */
void delta_add(const struct completion *a, struct choice *c, struct delta *f, const struct job_piece *piece);

#endif
