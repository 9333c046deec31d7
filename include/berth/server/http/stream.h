/* stream.h - replies that come after the handler has returned, whole or as a stream of events.
 *
 * A handler that cannot answer yet leaves a struct async_reply in its reply. The connection is then suspended.
 * suspended_wake resumes it, and the HTTP server asks the async reply what there is. When the client leaves, the
 * async reply is released at once.
 */
#ifndef BERTH_STREAM_H
#define BERTH_STREAM_H

#include "berth/server/http/reply.h"

/* A suspended connection. suspended_wake may be called from any thread, any number of times, until `release` has
 * returned. */
struct suspended;
void suspended_wake(struct suspended *z);

enum async_reply_state {
    ASYNC_NOT_YET, /* look again after the next wake */
    ASYNC_AGAIN, /* look again soon: there is more to do than one call should */
    ASYNC_WHOLE, /* the reply is filled in */
    ASYNC_STREAM, /* its status and content type are filled in; the body comes by `more` */
};

enum async_reply_more {
    ASYNC_MORE, /* call again after the next wake, or when what was appended is sent */
    ASYNC_MORE_NOW, /* call again soon, also when nothing was appended */
    ASYNC_END, /* these were the last bytes */
};

struct async_reply {
    const struct async_reply_kind *kind;
    const char *ping; /* what a stream sends when it has nothing else to send for long; NULL: a comment */
};

/* Called on an HTTP thread, one at a time. None may wait, and no call should take more than some milliseconds: other
 * connections wait for the thread. */
struct async_reply_kind {
    /* `begin`: the client has received nothing for long; a stream begins now, with or without an event. */
    enum async_reply_state (*look)(struct async_reply *l, bool begin, struct reply *r);
    /* Appends what there is; may append nothing. */
    enum async_reply_more (*more)(struct async_reply *l, struct strbuf *out);
    /* All was sent, or the client has left. */
    void (*release)(struct async_reply *l);
};

#endif
