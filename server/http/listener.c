/* listener.c - one socket, bound to a numeric address. Names are not resolved, so only listener_connect can wait. */
#include "berth/server/http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t address_size(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

static bool read_address(union address *out, const char *host, unsigned port, struct error *err)
{
    *out = (union address){0};
    if (strcasecmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons((uint16_t)port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)port);
        return true;
    }
    return error_set(err, "%s is not a numeric IPv4 or IPv6 address", host);
}

bool listener_takes(const char *host)
{
    union address a;
    struct error ignored;
    return read_address(&a, host, 0, &ignored);
}

static void describe(struct listener *l, const union address *a)
{
    char host[INET6_ADDRSTRLEN];
    bool six = a->any.sa_family == AF_INET6;
    inet_ntop(a->any.sa_family, six ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr, host,
        sizeof(host));
    l->port = ntohs(six ? a->v6.sin6_port : a->v4.sin_port);
    snprintf(l->address, sizeof(l->address), six ? "[%s]:%u" : "%s:%u", host, l->port);
}

static bool bind_and_listen(struct listener *l, const union address *a)
{
    int on = 1, off = 0;
    bool both = a->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
    l->socket = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->socket < 0)
        return false;
    setsockopt(l->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->any.sa_family == AF_INET6)
        setsockopt(l->socket, IPPROTO_IPV6, IPV6_V6ONLY, both ? &off : &on, sizeof(on));
    return bind(l->socket, &a->any, address_size(a)) == 0 && listen(l->socket, BACKLOG) == 0;
}

bool listener_open(struct listener *l, const char *host, unsigned port, struct error *err)
{
    union address a;
    *l = (struct listener){.socket = -1};
    if (!read_address(&a, host, port, err))
        return false;
    describe(l, &a);
    if (!bind_and_listen(l, &a)) {
        error_set(err, "cannot listen on %s: %s", l->address, strerror(errno));
        listener_close(l);
        return false;
    }
    socklen_t size = sizeof(a);
    getsockname(l->socket, &a.any, &size);
    describe(l, &a);
    return true;
}

void listener_close(struct listener *l)
{
    if (l->socket >= 0)
        close(l->socket);
    l->socket = -1;
}

static void make_reachable(union address *a)
{
    if (a->any.sa_family == AF_INET && a->v4.sin_addr.s_addr == htonl(INADDR_ANY))
        a->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (a->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr))
        a->v6.sin6_addr = in6addr_loopback;
}

int listener_connect(const char *host, unsigned port, double seconds, struct error *err)
{
    union address a;
    struct listener shown;
    if (!read_address(&a, host, port, err))
        return -1;
    make_reachable(&a);
    describe(&shown, &a);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval most = {
        .tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
    if (fd >= 0) {
        /* On Linux the send time-out bounds connect as well. */
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
        if (connect(fd, &a.any, address_size(&a)) == 0)
            return fd;
    }
    error_set(err, "cannot connect to %s: %s", shown.address,
        errno == EINPROGRESS ? "no answer in time" : strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}
