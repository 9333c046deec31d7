/* result.c - the one table from results of the engine to HTTP. */
#include "berth/server/result.h"

#define RETRY_SECONDS 1

/* clang-format off */
static const struct row {
    unsigned status, retry_after;
    const char *code;
} rows[RESULTS] = {
    [RESULT_OK] = {.status = 200},
    [RESULT_BAD_REQUEST] = {.status = 400},
    [RESULT_UNSUPPORTED] = {.status = 400, .code = "model_not_supported"},
    [RESULT_TOO_LONG] = {.status = 400, .code = "context_length_exceeded"},
    [RESULT_BUSY] = {.status = 429, .retry_after = RETRY_SECONDS, .code = "rate_limit_exceeded"},
    [RESULT_NO_MEMORY] = {.status = 503, .retry_after = RETRY_SECONDS},
    [RESULT_LOST] = {.status = 503, .retry_after = RETRY_SECONDS, .code = "model_failed"},
    [RESULT_STOPPING] = {.status = 503, .retry_after = RETRY_SECONDS},
    [RESULT_QUEUE_TIMEOUT] = {.status = 503, .retry_after = RETRY_SECONDS},
    [RESULT_TIMEOUT] = {.status = 504},
    [RESULT_CANCELLED] = {.status = 499},
    [RESULT_FAILED] = {.status = 500},
};
/* clang-format on */

struct result_reply result_reply(enum result r)
{
    const struct row *row = &rows[r];
    return (struct result_reply){
        .status = row->status,
        .code = row->code,
        .retry_after = row->retry_after,
    };
}
