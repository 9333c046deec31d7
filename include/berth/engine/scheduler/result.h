/* result.h - how the engine answers a request: one value, with a sentence where it is not RESULT_OK.
 *
 * The engine knows no protocol. Which HTTP status, code and header a result becomes is decided by one table in
 * server/result.c.
 */
#ifndef BERTH_RESULT_H
#define BERTH_RESULT_H

enum result {
    RESULT_OK,
    RESULT_BAD_REQUEST, /* the request makes no sense for this model */
    RESULT_UNSUPPORTED, /* the model cannot do what is asked */
    RESULT_TOO_LONG, /* the prompt exceeds the model's context or the memory for sequences */
    RESULT_BUSY, /* the queue is full */
    RESULT_NO_MEMORY, /* memory is short now; the same request may succeed later */
    RESULT_LOST, /* the model's file changed; the model answers no more */
    RESULT_STOPPING, /* the engine stops, or the model is being unloaded */
    RESULT_QUEUE_TIMEOUT, /* the request waited too long for its turn */
    RESULT_TIMEOUT, /* the whole request took too long */
    RESULT_CANCELLED, /* by job_cancel */
    RESULT_FAILED, /* a fault of the model or the engine */
    RESULTS
};

#endif
