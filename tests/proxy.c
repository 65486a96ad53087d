/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one thread with poll(). Requests are followed by their frames (size in 4 bytes, API key in 2), so that
 * one can be found; nothing is read from sockets while all is held, and so what the other side has sent comes late and
 * not never. TLS would hide the frames: only plain connections.
 */
#include "proxy.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LINKS_MAX = 64,
    PREFIX_SIZE = 6,       /* of a frame: its size and its API key */
    END_TXN_ERROR_AT = 12, /* in an answer of version 0 or 1, behind size, number and throttle time */
    END_TXN_SIZE = 14
};

/* A client's connection and the proxy's own to the broker. */
struct link {
    int client, broker;
    unsigned char prefix[PREFIX_SIZE];
    size_t prefix_size; /* bytes of it that are there */
    size_t left;        /* bytes of the frame that are still to come */
    bool ends_on_answer, spoils_answer;
};

struct proxy {
    struct sockaddr_in broker;
    int listener;
    int wake[2];
    pthread_t thread;
    struct link links[LINKS_MAX];
    int count;
    atomic_bool stopping;
    atomic_int mode;
    atomic_int lose_key; /* -1: none */
    atomic_int loss;
    atomic_bool lost;
    _Atomic(const char *) cut_text; /* NULL: none */
    atomic_int cut_skip;
    _Atomic(const char *) misdirected; /* NULL: none */
};

/* ---- All connections of this process ---- */

/* Ports and the broker's address, in the network's order; a port of 0: none. */
static _Atomic(uint32_t) redirect_from, redirect_to, redirect_address;

/* In place of the C library's, for all that is in this process: librdkafka above all. */
__attribute__((visibility("default"))) int proxied_connect(int fd, const struct sockaddr *address,
                                                           socklen_t size) __asm__("connect");

int proxied_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    struct sockaddr_in changed;
    uint32_t from = atomic_load(&redirect_from);
    if (from != 0 && address->sa_family == AF_INET && size == sizeof changed) {
        memcpy(&changed, address, sizeof changed);
        if (changed.sin_port == from && changed.sin_addr.s_addr == atomic_load(&redirect_address)) {
            changed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            changed.sin_port = (in_port_t)atomic_load(&redirect_to);
            return (int)syscall(SYS_connect, fd, &changed, sizeof changed);
        }
    }
    return (int)syscall(SYS_connect, fd, address, size);
}

/* ---- Links ---- */

static void link_close(struct link *link)
{
    close(link->client);
    close(link->broker);
    link->client = link->broker = -1;
}

static void accept_link(struct proxy *proxy)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    int broker = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (atomic_load(&proxy->mode) == PROXY_CUT || proxy->count == LINKS_MAX ||
        syscall(SYS_connect, broker, &proxy->broker, sizeof proxy->broker) != 0) {
        close(client);
        close(broker);
        return;
    }
    /* Who does not read while the one thread writes to it would hold up all others, and itself. */
    const struct timeval patience = {.tv_sec = 2};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(broker, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    proxy->links[proxy->count++] = (struct link){.client = client, .broker = broker};
}

static bool write_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t wrote = send(fd, bytes, size, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        bytes += wrote;
        size -= (size_t)wrote;
    }
    return true;
}

/* A request that sends records, from behind its API key on: if its topic is the one, its last character changes. */
static void misdirect(struct proxy *proxy, unsigned char *bytes, size_t size)
{
    const char *topic = atomic_load(&proxy->misdirected);
    unsigned char *found = topic != NULL ? memmem(bytes, size, topic, strlen(topic)) : NULL;
    if (found == NULL)
        return;
    unsigned char *last = found + strlen(topic) - 1;
    *last = *last == 'x' ? 'y' : 'x';
    atomic_store(&proxy->misdirected, NULL);
    atomic_store(&proxy->lost, true);
}

/* Follows the frames up to the end of the request that is looked for; returns how many bytes may pass. */
static size_t follow(struct proxy *proxy, struct link *link, unsigned char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        if (link->prefix_size < PREFIX_SIZE) {
            link->prefix[link->prefix_size++] = bytes[at++];
            if (link->prefix_size < PREFIX_SIZE)
                continue;
            const unsigned char *p = link->prefix;
            link->left = ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]) - 2;
            if ((p[4] << 8 | p[5]) == atomic_load(&proxy->lose_key)) {
                atomic_store(&proxy->lose_key, -1);
                int loss = atomic_load(&proxy->loss);
                link->ends_on_answer = loss == PROXY_CUT_ANSWER;
                link->spoils_answer = loss == PROXY_SPOIL_ANSWER;
                if (!link->ends_on_answer && !link->spoils_answer)
                    atomic_store(&proxy->mode, PROXY_HOLD);
                if (loss == PROXY_LOSE_REQUEST)
                    return at >= PREFIX_SIZE ? at - PREFIX_SIZE : 0;
            }
            if ((p[4] << 8 | p[5]) == PROXY_API_PRODUCE)
                misdirect(proxy, bytes + at, size - at < link->left ? size - at : link->left);
            continue;
        }
        size_t step = size - at < link->left ? size - at : link->left;
        at += step;
        link->left -= step;
        if (link->left == 0)
            link->prefix_size = 0;
    }
    return size;
}

/* What is sent at once is a request: whether this one is the one that is waited for. */
static bool is_cut(struct proxy *proxy, const unsigned char *bytes, size_t size)
{
    const char *text = atomic_load(&proxy->cut_text);
    if (text == NULL || memmem(bytes, size, text, strlen(text)) == NULL || atomic_fetch_sub(&proxy->cut_skip, 1) > 0)
        return false;
    atomic_store(&proxy->cut_text, NULL);
    return true;
}

/* From one side to the other; false when the link has ended. */
static bool pass(struct proxy *proxy, struct link *link, bool is_request)
{
    unsigned char bytes[16384];
    int was = atomic_load(&proxy->mode);
    ssize_t got = recv(is_request ? link->client : link->broker, bytes, sizeof bytes, 0);
    if (got <= 0)
        return false;
    if (!is_request && link->ends_on_answer) {
        atomic_store(&proxy->lost, true);
        return false;
    }
    if (!is_request && link->spoils_answer && got >= END_TXN_SIZE) {
        memset(bytes + END_TXN_ERROR_AT, 0xff, 2); /* UNKNOWN_SERVER_ERROR, -1 */
        link->spoils_answer = false;
        atomic_store(&proxy->lost, true);
    }
    if (is_request && is_cut(proxy, bytes, (size_t)got)) {
        link->ends_on_answer = true;
        if (atomic_load(&proxy->loss) == PROXY_CUT_REQUEST) {
            atomic_store(&proxy->lost, true);
            return false;
        }
    }
    size_t may = is_request ? follow(proxy, link, bytes, (size_t)got) : (size_t)got;
    bool sent = write_all(is_request ? link->broker : link->client, bytes, may);
    if (is_request && was == PROXY_PASS && atomic_load(&proxy->mode) == PROXY_HOLD)
        atomic_store(&proxy->lost, true);
    return sent;
}

static void serve_links(struct proxy *proxy, const struct pollfd *fds, int count)
{
    for (int i = 0; i < count; i++) {
        struct link *link = &proxy->links[i];
        bool goes_on = atomic_load(&proxy->mode) != PROXY_CUT;
        if (goes_on && atomic_load(&proxy->mode) == PROXY_PASS && fds[2 * i].revents != 0)
            goes_on = pass(proxy, link, true);
        if (goes_on && atomic_load(&proxy->mode) == PROXY_PASS && fds[2 * i + 1].revents != 0)
            goes_on = pass(proxy, link, false);
        if (!goes_on)
            link_close(link);
    }
    int kept = 0;
    for (int i = 0; i < proxy->count; i++)
        if (proxy->links[i].client >= 0)
            proxy->links[kept++] = proxy->links[i];
    proxy->count = kept;
}

static void *run(void *user)
{
    struct proxy *proxy = user;
    while (!atomic_load(&proxy->stopping)) {
        struct pollfd fds[2 + 2 * LINKS_MAX];
        short wanted = atomic_load(&proxy->mode) == PROXY_PASS ? POLLIN : 0;
        int count = proxy->count;
        fds[0] = (struct pollfd){.fd = proxy->wake[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
        for (int i = 0; i < count; i++) {
            /* A held one is left alone altogether: that its other side has gone is not to be seen either. */
            fds[2 + 2 * i] = (struct pollfd){.fd = wanted != 0 ? proxy->links[i].client : -1, .events = wanted};
            fds[3 + 2 * i] = (struct pollfd){.fd = wanted != 0 ? proxy->links[i].broker : -1, .events = wanted};
        }
        if (poll(fds, (nfds_t)(2 + 2 * count), -1) < 0)
            continue;
        char byte;
        if (fds[0].revents != 0 && read(proxy->wake[0], &byte, 1) != 1)
            continue;
        serve_links(proxy, fds + 2, count);
        if (fds[1].revents != 0)
            accept_link(proxy);
    }
    for (int i = 0; i < proxy->count; i++)
        link_close(&proxy->links[i]);
    return NULL;
}

/* ---- The outside ---- */

static void wake(struct proxy *proxy)
{
    ck_assert_int_eq(write(proxy->wake[1], "", 1), 1);
}

/* The first broker of "host:port,…". */
static struct sockaddr_in resolve(const char *bootstrap)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    struct sockaddr_in address;
    ck_assert_msg(sscanf(bootstrap, "%255[^:]:%7[0-9]", host, port) == 2, "not host:port: %s", bootstrap);
    ck_assert_msg(getaddrinfo(host, port, &hints, &found) == 0, "no address of %s", host);
    memcpy(&address, found->ai_addr, sizeof address);
    freeaddrinfo(found);
    return address;
}

struct proxy *proxy_new(const char *bootstrap)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    struct proxy *made = calloc(1, sizeof *made);
    ck_assert_ptr_nonnull(made);
    made->broker = resolve(bootstrap);
    atomic_store(&made->lose_key, -1);
    made->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(made->listener, (struct sockaddr *)&own, sizeof own), 0);
    ck_assert_int_eq(listen(made->listener, 64), 0);
    ck_assert_int_eq(getsockname(made->listener, (struct sockaddr *)&own, &size), 0);
    ck_assert_int_eq(pipe2(made->wake, O_CLOEXEC), 0);
    ck_assert_int_eq(pthread_create(&made->thread, NULL, run, made), 0);
    atomic_store(&redirect_to, own.sin_port);
    atomic_store(&redirect_address, made->broker.sin_addr.s_addr);
    atomic_store(&redirect_from, made->broker.sin_port);
    return made;
}

void proxy_set(struct proxy *proxy, proxy_mode mode)
{
    atomic_store(&proxy->mode, mode);
    wake(proxy);
}

void proxy_lose(struct proxy *proxy, int api_key, proxy_loss loss)
{
    atomic_store(&proxy->lost, false);
    atomic_store(&proxy->loss, loss);
    atomic_store(&proxy->lose_key, api_key);
}

void proxy_cut_text(struct proxy *proxy, const char *text, int skip, proxy_loss loss)
{
    ck_assert(loss == PROXY_CUT_ANSWER || loss == PROXY_CUT_REQUEST);
    atomic_store(&proxy->lost, false);
    atomic_store(&proxy->loss, loss);
    atomic_store(&proxy->cut_skip, skip);
    atomic_store(&proxy->cut_text, text);
}

void proxy_misdirect(struct proxy *proxy, const char *topic)
{
    atomic_store(&proxy->lost, false);
    atomic_store(&proxy->misdirected, topic);
}

bool proxy_has_lost(struct proxy *proxy)
{
    return atomic_load(&proxy->lost);
}

bool proxy_wait_lost(struct proxy *proxy)
{
    for (int i = 0; i < 60000 && !atomic_load(&proxy->lost); i++)
        poll(NULL, 0, 1);
    return atomic_load(&proxy->lost);
}

void proxy_free(struct proxy *proxy)
{
    atomic_store(&redirect_from, 0);
    atomic_store(&proxy->stopping, true);
    wake(proxy);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
    close(proxy->wake[0]);
    close(proxy->wake[1]);
    free(proxy);
}
