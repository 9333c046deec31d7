/* session_private.h - one run of `berth generate`: the model, the request, and answers printed as they come. */
#ifndef BERTH_SESSION_PRIVATE_H
#define BERTH_SESSION_PRIVATE_H

#include "local_private.h"

#include <jansson.h>

#define SESSION_TEXT_MAX ((size_t)1 << 24) /* bytes of a line, a prompt or an answer */

/* The values of the flags. A real that was not given is NAN; top_k is SESSION_UNSET. */
#define SESSION_UNSET UINT64_MAX

struct generate_request {
    struct local_options local;
    float temperature, top_p, min_p, repeat_penalty;
    uint64_t top_k, max_tokens, seed;
    struct flag_texts stops;
    const char *prompt; /* NULL: none */
    const char *system; /* NULL: none */
    bool chat, raw, ignore_end, special;
};

struct session {
    struct local local;
    const struct generate_request *request;
    struct sampler_options sampling;
    int signals; /* signalfd of SIGINT, SIGTERM and SIGHUP, which are blocked */
    bool ending; /* SIGTERM or SIGHUP has come: no further message is read or answered */
};

/* False with the reason; then there is nothing to close. */
bool session_open(struct session *s, const struct generate_request *r, struct error *err);
void session_close(struct session *s);

/* Reads the signals that have come. True when SIGINT was one of them. Sets s->ending for the others. */
bool session_interrupted(struct session *s);

/* Positions that prompt and answer may have together. */
size_t session_context(const struct session *s);

/* Why the model cannot chat; NULL when it can. */
const char *session_no_chat(const struct session *s);

/* The ids of a chat request, by the model's template, and of a text as it is. False with the reason. */
bool session_chat_ids(
    const struct session *s, const json_t *chat, struct tokenizer_ids *ids, struct error *err);
bool session_text_ids(
    const struct session *s, struct span text, struct tokenizer_ids *ids, struct error *err);

/* Generates an answer, prints it on standard output while it comes, and appends it to `said`. Prints the speed on standard
 * error. SIGINT ends the answer, which is no error. False with the reason. */
bool session_answer(
    struct session *s, const struct tokenizer_ids *ids, struct strbuf *said, struct error *err);

#endif
