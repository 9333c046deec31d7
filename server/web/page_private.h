/* page_private.h - the page as server/web/make-page writes it: compressed by gzip, with what its headers say. */
#ifndef BERTH_WEB_PAGE_PRIVATE_H
#define BERTH_WEB_PAGE_PRIVATE_H

#include <stddef.h>

struct server;
struct http_request;
struct reply;

extern const unsigned char web_page[]; /* [web_page_size] */
extern const size_t web_page_size;
extern const char web_page_etag[]; /* with its quotes */
extern const char web_page_policy[]; /* Content-Security-Policy, with the hashes of its script and style */

/* Answers GET /ui. */
void web_page_answer(struct server *s, const struct http_request *q, struct reply *r);

#endif
