/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "reach.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TCP_MS = 3000
};

/* Connects to one address, at most TCP_MS; 0 or an errno. */
static int connect_to(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), failed = 0;
    socklen_t size = sizeof failed;
    if (fd < 0)
        return errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        failed = errno;
        struct pollfd one = {.fd = fd, .events = POLLOUT};
        if (failed == EINPROGRESS && poll(&one, 1, TCP_MS) == 0)
            failed = ETIMEDOUT;
        else if (failed == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0)
            failed = errno;
    }
    close(fd);
    return failed;
}

bool reach(const char *host, const char *port, char why[REACH_TEXT_SIZE], const char **advice)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    int failed = getaddrinfo(host, port, &hints, &addresses);
    if (failed != 0) {
        snprintf(why, REACH_TEXT_SIZE, "the name cannot be resolved here: %s", gai_strerror(failed));
        *advice = "correct the name, or add it to DNS or /etc/hosts of this machine";
        return false;
    }
    failed = ENOENT;
    for (const struct addrinfo *a = addresses; a != NULL && failed != 0; a = a->ai_next)
        failed = connect_to(a);
    freeaddrinfo(addresses);
    snprintf(why, REACH_TEXT_SIZE, "%s", strerror(failed));
    *advice = failed == ECONNREFUSED ? "start the broker, or correct the port: nobody listens there"
                                     : "look for a firewall, a wrong address, or a machine that is down";
    return failed == 0;
}

bool reach_split(const char *text, size_t size, char host[REACH_HOST_SIZE], char port[REACH_PORT_SIZE])
{
    const char *scheme = memmem(text, size, "://", 3);
    if (scheme != NULL) {
        size -= (size_t)(scheme + 3 - text);
        text = scheme + 3;
    }
    const char *colon = memrchr(text, ':', size);
    size_t host_size = colon != NULL ? (size_t)(colon - text) : size;
    if (host_size > 1 && text[0] == '[' && text[host_size - 1] == ']') {
        text++;
        host_size -= 2;
    }
    if (host_size == 0 || host_size > 255 || (colon != NULL && text + size - colon > 8))
        return false;
    snprintf(host, REACH_HOST_SIZE, "%.*s", (int)host_size, text);
    snprintf(port, REACH_PORT_SIZE, "%.*s", colon != NULL ? (int)strcspn(colon + 1, ", ") : 4,
             colon != NULL ? colon + 1 : "9092");
    return true;
}
