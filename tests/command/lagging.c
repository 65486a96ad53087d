/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a group leaves on a broker, step by step, for tests of the command line:
 *
 *     lagging publish TOPIC PARTITION COUNT AGE_S     records that are so old
 *     lagging commit GROUP TOPIC PARTITION OFFSET [FROM-TO…]   a listener's commit, with what is finished above
 *     lagging beside GROUP TOPIC PARTITION OFFSET TEXT         a commit with a text of anybody's beside it
 *     lagging join GROUP TOPIC                        a member that commits nothing, until standard input ends
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listener/ledger.h"

enum {
    TIMEOUT_MS = 30000
};

static int fail(const kur_error *error)
{
    fprintf(stderr, "lagging: %s\n", error->message);
    return 1;
}

static int publish(kur_client *client, char **arguments)
{
    kur_error error = {0};
    kur_producer *producer = kur_client_producer(client, &error);
    int count = atoi(arguments[2]);
    int64_t time_us = kur_clock_now_us() - atoll(arguments[3]) * 1000000;
    for (int i = 0; i < count; i++) {
        kur_message message = KUR_MESSAGE(.topic = arguments[0], .partition = KUR_PARTITION(atoi(arguments[1])),
                                          .value = kur_bytes_text("v"), .timestamp_us = time_us);
        if (kur_producer_send(producer, &message, &error) != KUR_OK)
            return fail(&error);
    }
    return kur_producer_flush(producer, TIMEOUT_MS, &error) == KUR_OK ? 0 : fail(&error);
}

static void write_ledger(char *text, int64_t offset, char **ranges, int count)
{
    static const kur__ledger_log log = {0, 0, 0};
    kur__ledger ledger;
    kur__ledger_init(&ledger, offset);
    int64_t end = offset;
    for (int i = 0; i < count; i++)
        end = atoll(strchr(ranges[i], '-') + 1);
    for (int64_t at = offset; at < end; at++)
        kur__ledger_admit(&ledger, at);
    for (int i = 0; i < count; i++)
        for (int64_t at = atoll(ranges[i]); at < atoll(strchr(ranges[i], '-') + 1); at++)
            kur__ledger_finish(&ledger, at);
    kur__ledger_write(&ledger, &log, KUR__LEDGER_TEXT_MAX, text);
    kur__ledger_done(&ledger);
}

static int commit(kur_client *client, char **arguments, const char *text)
{
    kur_error error = {0};
    kur_admin *admin = kur_admin_new(client, &error);
    kur_position position = KUR_POSITION(.topic = arguments[1], .partition = atoi(arguments[2]),
                                         .offset = atoll(arguments[3]), .metadata = text);
    kur_status status = kur_admin_set_group_offsets(admin, arguments[0], &position, 1, TIMEOUT_MS, &error);
    kur_admin_free(admin);
    return status == KUR_OK ? 0 : fail(&error);
}

static int commit_ledger(kur_client *client, char **arguments, int count)
{
    char text[KUR__LEDGER_TEXT_MAX + 1];
    write_ledger(text, atoll(arguments[3]), arguments + 4, count - 4);
    return commit(client, arguments, text);
}

static void tell(kur_consumer *consumer, kur_rebalance what, const kur_position *positions, size_t count, void *user)
{
    (void)consumer, (void)positions, (void)user;
    if (what == KUR_ASSIGNED && count > 0)
        printf("joined\n"), fflush(stdout);
}

static int join(kur_client *client, char **arguments)
{
    kur_error error = {0};
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = arguments[0], .on_rebalance = tell), &error);
    const char *topics[] = {arguments[1], NULL};
    if (consumer == NULL || kur_consumer_subscribe(consumer, topics, &error) != KUR_OK)
        return fail(&error);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    while (poll(&input, 1, 0) == 0) {
        kur_record *record = NULL;
        kur_consumer_poll(consumer, 100, &record, &error);
        kur_consumer_free_records(consumer, &record, 1);
    }
    kur_consumer_free(consumer);
    return 0;
}

int main(int argc, char **argv)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.log = NULL), &error);
    int status = 2;
    if (client == NULL)
        return fail(&error);
    if (argc == 6 && strcmp(argv[1], "publish") == 0)
        status = publish(client, argv + 2);
    else if (argc >= 6 && strcmp(argv[1], "commit") == 0)
        status = commit_ledger(client, argv + 2, argc - 2);
    else if (argc == 7 && strcmp(argv[1], "beside") == 0)
        status = commit(client, argv + 2, argv[6]);
    else if (argc == 4 && strcmp(argv[1], "join") == 0)
        status = join(client, argv + 2);
    kur_client_unref(client);
    return status;
}
