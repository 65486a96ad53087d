/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A TCP proxy in front of the broker that holds, cuts, or loses one request or its answer. Brokers name their own
 * addresses to their clients, so all connections that this process makes to the broker are led through the proxy: the
 * test program's connect() takes the C library's place. One at a time.
 */
#ifndef KURIER_TESTS_PROXY_H
#define KURIER_TESTS_PROXY_H

#include <stdbool.h>

typedef enum proxy_mode {
    PROXY_PASS = 0,
    PROXY_HOLD, /* connections stand, and nothing passes: a cable that is cut without anybody being told */
    PROXY_CUT   /* connections are closed, new ones too */
} proxy_mode;

typedef enum proxy_loss {
    PROXY_LOSE_REQUEST = 1, /* it never reaches the broker, and from then on all is held */
    PROXY_LOSE_ANSWER,      /* it reaches the broker, and from then on all is held */
    PROXY_CUT_ANSWER,       /* it reaches the broker, which answers: then the connection is closed, others are not */
    PROXY_CUT_REQUEST,      /* it never reaches the broker: the connection is closed, others are not */
    PROXY_SPOIL_ANSWER      /* it reaches the broker; that of an EndTxn then says that something unknown went wrong */
} proxy_loss;

/* Between this process and `bootstrap` (host:port, an IPv4 one), from now on. */
struct proxy *proxy_new(const char *bootstrap);

/* Also for the connections that are there. */
void proxy_set(struct proxy *proxy, proxy_mode mode);

/* What happens to the next request with that API key, as the protocol numbers them. */
void proxy_lose(struct proxy *proxy, int api_key, proxy_loss loss);

/*
 * Likewise for other protocols than Kafka's, in which a request is what is sent at once: what happens to the one after
 * `skip` others in which a text stands. Of the losses those that cut.
 */
void proxy_cut_text(struct proxy *proxy, const char *text, int skip, proxy_loss loss);

/*
 * The next request that sends records to `topic` names another one, which is not there: the broker refuses it, as it
 * refuses a partition that it does not lead yet. All others pass.
 */
void proxy_misdirect(struct proxy *proxy, const char *topic);

/* Whether it has happened, waited for at most a minute. */
bool proxy_wait_lost(struct proxy *proxy);

/* Whether it has happened till now. */
bool proxy_has_lost(struct proxy *proxy);

/* Closes all connections; new ones go to the broker itself. */
void proxy_free(struct proxy *proxy);

enum {
    PROXY_API_PRODUCE = 0,
    PROXY_API_OFFSET_COMMIT = 8,
    PROXY_API_END_TXN = 26,
    PROXY_API_TXN_OFFSET_COMMIT = 28
};

#endif
