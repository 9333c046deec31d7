/* result.h - which HTTP answer a result of the engine becomes. */
#ifndef BERTH_SERVER_RESULT_H
#define BERTH_SERVER_RESULT_H

#include "berth/engine/scheduler/result.h"

struct result_reply {
    unsigned status;
    const char *code; /* a machine's word for it, for dialects whose errors have one; NULL for none */
    unsigned retry_after; /* seconds after which the same request may succeed; 0: it will not by itself */
};

/* `r` is not RESULT_OK. */
struct result_reply result_reply(enum result r);

#endif
