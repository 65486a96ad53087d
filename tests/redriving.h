/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the suites of redrives share: a service that is broken and then repaired, and dead letters by the thousand that
 * no service has to fail for.
 */
#ifndef KURIER_TESTS_REDRIVING_H
#define KURIER_TESTS_REDRIVING_H

#include <kurier/kurier.h>
#include <kurier/sys/record.h>
#include <stdio.h>
#include <stdlib.h>

#include "listening.h"

enum {
    REDRIVING_MAX = 100000 /* numbers that letters have */
};

/* A group of a topic, and what it has seen. Values are numbers. */
struct service {
    const char *topic, *group;
    char letters[200], retries[200];
    kur_listener *listener;
    atomic_bool is_broken;
    atomic_int broken_from;  /* numbers from here on fail although it is not broken; 0: none */
    atomic_int retried_from; /* numbers from here on fail at their first attempt; 0: none */
    const char *large;       /* a header of letters sent by hand; NULL: none */
    atomic_int handled, rejected, redriven;
    atomic_int times[REDRIVING_MAX]; /* done */
};

KUR__UNUSED static kur_outcome serve_number(kur_delivery *delivery, void *user)
{
    struct service *service = user;
    const kur_record *record = kur_delivery_record(delivery);
    kur_bytes value = kur_record_value(record), id;
    int number = value.data != NULL ? atoi((const char *)value.data) : 0, from = atomic_load(&service->broken_from);
    if (kur_record_header_last(record, "kurier-retry-redrive-id", &id) && kur_delivery_attempt(delivery) == 1)
        ++service->redriven;
    if (atomic_load(&service->is_broken) || (from > 0 && number >= from)) {
        ++service->rejected;
        return kur_reject(delivery, "mail.down", "the mail server said no to %d", number);
    }
    from = atomic_load(&service->retried_from);
    if (from > 0 && number >= from && kur_delivery_attempt(delivery) == 1) {
        ++service->rejected;
        return kur_retry(delivery, "mail.busy", "the mail server is busy");
    }
    if (number >= 0 && number < REDRIVING_MAX)
        ++service->times[number];
    ++service->handled;
    return KUR_DONE;
}

KUR__UNUSED static void name_service(struct service *service, const char *topic, const char *group)
{
    service->topic = topic;
    service->group = group;
    snprintf(service->letters, sizeof service->letters, "%s.%s.dlq", topic, group);
    snprintf(service->retries, sizeof service->retries, "%s.%s.retry-short", topic, group);
}

KUR__UNUSED static void start_service(kur_client *client, struct service *service, kur_listener_options *options)
{
    kur_error error = {0};
    options->retry_topics = &KUR_RETRY_TOPICS(.partitions = 0);
    options->commit_interval_ms = 50;
    service->listener = make(client, options, service->topic, service->group, serve_number, service);
    ck_ok(kur_listener_start(service->listener, &error), error);
}

KUR__UNUSED static void stop_service(struct service *service)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(service->listener, WAIT_MS, &error), error);
    kur_listener_free(service->listener);
    service->listener = NULL;
}

/* `count` numbers from `first` on, in partitions one after the other. */
KUR__UNUSED static void send_numbers(kur_client *client, const char *topic, int partitions, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", i % 10);
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, i % partitions, key, value);
    }
    flush(client);
}

/* A letter as the retry layer leaves it, by hand. */
KUR__UNUSED static void send_letter(kur_client *client, const struct service *service, int32_t partition, int number,
                                    const kur_retry_view *given)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    char value[16];
    const kur_header own[] = {{"trace", kur_bytes_text("t-1")},
                              {"secret", kur_bytes_text("s")},
                              {"large", kur_bytes_text(service->large != NULL ? service->large : "")}};
    int size = snprintf(value, sizeof value, "%d", number);
    kur_record *record = kur_record_build(&(kur_record_parts){.topic = service->topic,
                                                              .partition = partition,
                                                              .offset = number,
                                                              .timestamp_us = 1000000,
                                                              .key = kur_bytes_text("k"),
                                                              .value = kur_bytes_of(value, (size_t)size),
                                                              .headers = own,
                                                              .header_count = service->large != NULL ? 3 : 2},
                                          &error);
    kur_retry_view view = given != NULL ? *given : KUR_RETRY_VIEW(.cause = "mail.down");
    const kur_header *headers;
    size_t count;
    view.attempt = view.attempt > 0 ? view.attempt : 5;
    view.topic = view.topic != NULL ? view.topic : service->topic;
    view.group = view.group != NULL ? view.group : service->group;
    view.partition = partition;
    view.offset = number;
    view.failed_us = view.failed_us != 0 ? view.failed_us : 2000000;
    ck_ok(kur_retry_write(record, KUR_HEADERS_KURIER, KUR_TIER_DEAD, &view, 0, arena, &headers, &count, &error), error);
    kur_status status;
    while ((status = kur_producer_send(kur_client_producer(client, &error),
                                       &KUR_MESSAGE(.topic = service->letters, .partition = KUR_PARTITION(partition),
                                                    .key = kur_bytes_text("k"), .value = kur_record_value(record),
                                                    .headers = headers, .header_count = count, .verbatim = true),
                                       &error)) == KUR_ERROR_QUEUE_FULL)
        nap(10);
    ck_ok(status, error);
    kur_record_free(record);
    kur_arena_free(arena);
}

KUR__UNUSED static bool wait_until(const atomic_int *counter, int wanted)
{
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(10))
        if (atomic_load(counter) >= wanted)
            return true;
    return false;
}

/* The end offsets of a topic, summed; 0 while it is not there. */
KUR__UNUSED static int64_t count_records(kur_client *client, const char *topic)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_admin *admin = kur_admin_new(client, &error);
    const kur_topic_view *view;
    int64_t sum = 0;
    kur_status status = kur_admin_describe_topic(admin, topic, WAIT_MS, arena, &view, &error);
    ck_assert_msg(status == KUR_OK || status == KUR_ERROR_UNKNOWN_TOPIC, "%s", error.message);
    for (size_t i = 0; status == KUR_OK && i < view->partition_count; i++)
        sum += view->partitions[i]->end_offset > 0 ? view->partitions[i]->end_offset : 0;
    kur_admin_free(admin);
    kur_arena_free(arena);
    return sum;
}

/* What has become of a plan's records, once none is pending. */
KUR__UNUSED static kur_redrive_outcomes outcomes_of(kur_client *client, const char *id)
{
    kur_error error = {0};
    kur_redrive_watch *watch = kur_redrive_watch_new(client, id, &error);
    kur_redrive_outcomes outcomes = KUR_REDRIVE_OUTCOMES(.pending = 1);
    ck_assert_msg(watch != NULL, "%s", error.message);
    for (int64_t until_ms = now_ms() + WAIT_MS; outcomes.pending > 0; nap(50)) {
        ck_assert_msg(now_ms() < until_ms, "%lld are pending", (long long)outcomes.pending);
        ck_ok(kur_redrive_watch_look(watch, WAIT_MS, &outcomes, &error), error);
    }
    kur_redrive_watch_free(watch);
    return outcomes;
}

#endif
