/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A relay over the driver in memory and the embedded broker: what is committed is sent in its keys' order, whatever
 * fails once; what is refused is parked, with what is behind it; relays share and take over.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../failing.h"
#include "../memory_driver.h"
#include "../relaying.h"

/* ---- Order ---- */

START_TEST(test_relay__sends_what_is_committed_in_order)
{
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(4);
    relaying_open(&bed, memory_database(16));
    relaying_send_many(&bed, topic, 20, 0, 3000);
    kur_relay *relay = relaying_start(&bed, NULL);
    relaying_send_many(&bed, topic, 20, 3000, 3000);
    relaying_read_all(topic, 6000, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    ck_assert_int_eq(seen.records, 6000);
    ck_assert(memory_wait(bed.database, 0, 0));
    relaying_await(relay, health.sent == 6000 && health.depth == 0);
    kur_relay_health health = relaying_health(relay);
    ck_assert(health.is_running);
    ck_assert_int_eq(health.shards, 16);
    ck_assert_int_eq(health.takeovers, 16);
    ck_assert_int_eq(health.repeated, 0);
    ck_assert_int_eq(health.failing_ms, 0);
    int64_t latencies = 0;
    for (int i = 0; i < KUR_RELAY_LATENCY_BUCKETS; i++)
        latencies += health.latency[i];
    ck_assert_int_eq(latencies, 6000);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_relay__sends_what_is_committed_in_order, NULL};
    int failed = check_main("relay", tests);
    consuming_stop();
    return failed;
}
