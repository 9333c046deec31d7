/* request_memory.h - memory that requests take while they are parsed, run and answered.
 *
 * All requests share one budget (struct server). In it count bodies as they are received, what parsing and tokenizing a body
 * may need, the values that a template makes, prompts while they run, pieces of answers, and replies until they are sent.
 * Beyond the budget a request is answered 503, or its stream ends in an error.
 */
#ifndef BERTH_REQUEST_MEMORY_H
#define BERTH_REQUEST_MEMORY_H

#include "berth/base/budget.h"
#include "berth/base/text.h"

#include <stdint.h>

/* The budget where --request-memory does not set it: three eighths of what the process may use, at most 1 GiB. `memory`
 * is in bytes, 0 for an unknown limit. */
size_t request_memory_default(uint64_t memory);

/* Bytes that a body of JSON takes at most until its prompts are token ids: its tree, the copies of its texts on the way
 * to a prompt, and the tokenizer's share. */
size_t request_memory_of_body(struct span body);

#endif
