/* stream.h - answers that are not there yet when a handler returns, whole or as a stream of events.
 *
 * A handler that has to wait leaves a struct async_reply in its reply. The connection then sleeps until somebody
 * wakes it, and looks at what there is each time. When the client leaves meanwhile it is released at once.
 */
#ifndef BERTH_STREAM_H
#define BERTH_STREAM_H

#include "berth/server/http/reply.h"
#include "berth/base/strbuf.h"

/* A connection that sleeps. Who works for it wakes it when there is something to see, from any thread, and as
 * often as it likes; until `release` has returned. */
struct suspended;
void suspended_wake(struct suspended *z);

enum async_reply_state {
    ASYNC_NOT_YET,
    ASYNC_WHOLE, /* the reply is filled in */
    ASYNC_STREAM, /* its status and content type are; the body comes by `more` */
};

struct async_reply {
    const struct async_reply_kind *kind;
};

/* Called on an HTTP thread, one at a time. None may wait. */
struct async_reply_kind {
    /* `begin`: the client has heard nothing for long; a stream begins now, with or without an event. */
    enum async_reply_state (*look)(struct async_reply *l, bool begin, struct reply *r);
    /* Appends what there is, perhaps nothing. False when these were the last bytes. */
    bool (*more)(struct async_reply *l, struct strbuf *out);
    void (*release)(struct async_reply *l); /* the end of it: all was sent, or the client has left */
};

#endif
