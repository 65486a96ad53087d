/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whether anybody listens at an address, before Kafka's protocol comes into it.
 */
#ifndef KURIER_TOOLS_REACH_H
#define KURIER_TOOLS_REACH_H

#include <stdbool.h>
#include <stddef.h>

enum {
    REACH_TEXT_SIZE = 300,
    REACH_HOST_SIZE = 256,
    REACH_PORT_SIZE = 8
};

/* "host:port", "[::1]:9092", or with "ssl://" in front, in its parts; false when it is none. */
bool reach_split(const char *text, size_t size, char host[REACH_HOST_SIZE], char port[REACH_PORT_SIZE]);

/* Connects, waiting 3 s at most for each address of the host. When nobody answers: `why`, and what to do next. */
bool reach(const char *host, const char *port, char why[REACH_TEXT_SIZE], const char **advice);

#endif
