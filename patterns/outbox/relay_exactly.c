/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Exactly once: records, and which rows they were, in one transaction of Kafka's. Whose a shard is, is whose partition
 * of the control topic is: the relays are a group that reads it. Why it is right:
 * docs/decisions/outbox-exactly-once.md.
 *
 * Design notes. The database hears of this relay too, so that none of the other guarantee works beside it; but it gives
 * no shards. The consumer is polled once a round. A relay that does not come round, for its database is away, is thrown
 * out of the group after some time, and others have its shards.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <string.h>

#include "outbox/exactly.h"

enum {
    QUESTION_MS = 4000,
    READY_MS = 500,
    SEGMENT_BYTES = 16777216 /* compaction leaves a topic's last segment alone: of one partition */
};

/* ---- Start ---- */

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a relay");
}

/* A producer, and the name by which it puts an end to what its last life left. */
static kur_status make_line(struct kur__exact *exact, struct kur__exact_line *line, int number, kur_error *error)
{
    const kur_relay_options *options = &exact->relay->options;
    size_t size = strlen(options->control) + 1 + strlen(options->name) + sizeof ".0";
    if (line->producer != NULL)
        return KUR_OK;
    if (line->id == NULL && (line->id = kur_malloc(size)) == NULL)
        return no_memory(error);
    snprintf(line->id, size, "%s.%s.%d", options->control, options->name, number);
    return kur__exact_make_producer(exact, line, error);
}

static kur_status note_compression(struct kur__exact *exact, kur_error *error)
{
    const kur_setting *settings;
    size_t count = 0;
    kur_status status =
        kur_client_settings(exact->relay->outbox->client, KUR_ROLE_PRODUCER, exact->arena, &settings, &count, error);
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        if (strcmp(settings[i].name, "compression.type") == 0 || strcmp(settings[i].name, "compression.codec") == 0)
            exact->compresses |= strcmp(settings[i].value, "none") != 0;
    kur_arena_reset(exact->arena);
    return status;
}

static kur_status start(kur_relay *relay, kur_error *error)
{
    struct kur__exact *exact = relay->courier_state;
    if (exact == NULL) {
        exact = relay->courier_state = kur_calloc(1, sizeof *exact);
        if (exact == NULL)
            return no_memory(error);
        exact->relay = relay;
        exact->shards = relay->outbox->shards;
        exact->chunk_most = exact->rows_most = SIZE_MAX;
    }
    if (exact->arena == NULL && (exact->arena = kur_arena_new()) == NULL)
        return no_memory(error);
    kur_status status = note_compression(exact, error);
    if (status == KUR_OK)
        status = make_line(exact, &exact->line, 0, error);
    if (status == KUR_OK)
        status = make_line(exact, &exact->other, 1, error);
    return status;
}

/* ---- The control topic ---- */

/* An error that ends the relay, with what can be done. */
static kur_status refuse_topic(kur_error *error, const kur_topic_difference *difference)
{
    bool is_count = difference->aspect == KUR_TOPIC_PARTITIONS;
    return kur_error_set(error, KUR_ERROR_CONFIG, "the control topic %.100s: %s is %s, and must be %s: %s",
                         difference->topic, difference->name,
                         difference->actual != NULL ? difference->actual : "not there", difference->wanted,
                         is_count ? "a partition for each shard of the outbox; another topic is named by .control"
                                  : "what was sent last must stay there, and nothing else need");
}

static kur_status check_topic(struct kur__exact *exact, kur_error *error)
{
    char segment[16];
    const kur_relay_options *options = &exact->relay->options;
    if (exact->admin == NULL && (exact->admin = kur_admin_new(exact->relay->outbox->client, error)) == NULL)
        return error->code;
    snprintf(segment, sizeof segment, "%d", SEGMENT_BYTES);
    const kur_property configs[] = {{"segment.bytes", segment}, {NULL, NULL}};
    kur_topic_spec spec =
        KUR_TOPIC_SPEC(.name = options->control, .partitions = exact->shards, .replication = options->replicas,
                       .cleanup = KUR_CLEANUP_COMPACT, .configs = configs);
    kur_topic_differences differences = {0};
    kur_arena_reset(exact->arena);
    kur_status status = kur_admin_ensure_topics(exact->admin, &spec, 1, QUESTION_MS, exact->arena, &differences, error);
    if (status == KUR_ERROR_AUTHORIZATION) {
        kur_error why = *error;
        return kur_error_set(
            error, status,
            "%.300s; a relay needs the rights Create, Describe, DescribeConfigs, Read and Write on the "
            "topic %.100s",
            why.message, options->control);
    }
    for (size_t i = 0; status == KUR_OK && i < differences.count; i++) {
        const kur_topic_difference *difference = differences.items[i];
        if (difference->aspect == KUR_TOPIC_PARTITIONS || strcmp(difference->name, "cleanup.policy") == 0)
            status = refuse_topic(error, difference);
    }
    return status;
}

/* ---- Owning ---- */

/* Says in the database that it is there. */
static kur_status say_word(struct kur__exact *exact, bool ends, kur_error *error)
{
    kur_relay *relay = exact->relay;
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t count = 0;
    int64_t now_us = kur_clock_monotonic_us();
    if (!ends && now_us < exact->next_word_us)
        return KUR_OK;
    kur_outbox_claim claim = {.size = sizeof claim,
                              .relay = relay->options.name,
                              .guarantee = KUR_EXACTLY_ONCE,
                              .lease_ms = relay->options.lease_ms,
                              .ends = ends};
    kur_status status = relay->outbox->driver->outbox_claim(relay->connection, &claim, shards, &count, error);
    if (status == KUR_OK)
        exact->next_word_us = now_us + relay->options.lease_ms * INT64_C(1000) / 3;
    return kur__relay_checked(relay, status, error);
}

/* A new producer takes its time; it is not told as a failure before that is over. */
static kur_status get_line_ready(struct kur__exact *exact, kur_error *error)
{
    int64_t until_us = kur_clock_monotonic_us() + QUESTION_MS * INT64_C(1000);
    kur_status status;
    do {
        *error = (kur_error){0};
        status = kur__exact_get_ready(exact, READY_MS, error);
    } while (status == KUR_ERROR_TIMEOUT && !atomic_load(&exact->relay->stops) && kur_clock_monotonic_us() < until_us);
    return status;
}

/* Both at the start: what this relay's last life has left is over then, and nobody waits for it. */
static kur_status get_ready(struct kur__exact *exact, kur_error *error)
{
    kur_status status = get_line_ready(exact, error);
    if (status != KUR_OK || exact->other.need != KUR__EXACT_INIT)
        return status;
    kur__exact_turn(exact);
    status = get_line_ready(exact, error);
    kur__exact_turn(exact);
    return status;
}

static kur_status own(kur_relay *relay, kur_error *error)
{
    struct kur__exact *exact = relay->courier_state;
    kur_status status = say_word(exact, false, error);
    if (status == KUR_OK)
        status = get_ready(exact, error);
    if (status == KUR_OK && exact->consumer == NULL) {
        status = check_topic(exact, error);
        if (status == KUR_OK)
            status = kur__exact_join(exact, error);
    }
    kur_error why = {0};
    if (exact->consumer != NULL && relay->connection != NULL) { /* also when something else is in the way */
        kur_status followed = kur__exact_follow(exact, &why);
        if (status == KUR_OK && followed != KUR_OK) {
            *error = why;
            status = followed;
        }
    }
    if (exact->end.code != KUR_OK) {
        *error = exact->end;
        status = error->code;
    }
    return status;
}

static void end(kur_relay *relay)
{
    struct kur__exact *exact = relay->courier_state;
    kur_error ignored;
    if (exact == NULL)
        return;
    if (relay->connection != NULL && exact->next_word_us > 0)
        say_word(exact, true, &ignored);
    kur__exact_leave(exact);
    kur_producer_free(exact->line.producer); /* what is open is aborted */
    kur_producer_free(exact->other.producer);
    kur_admin_free(exact->admin);
    for (int32_t i = 0; i < exact->shards; i++) {
        kur_record_free(exact->places[i].last);
        kur__control_done(&exact->places[i].control);
    }
    kur_arena_free(exact->arena);
    kur_free(exact->sent);
    kur_free(exact->line.id);
    kur_free(exact->other.id);
    kur_free(exact);
    relay->courier_state = NULL;
}

const struct kur__courier kur__courier_exactly_once = {start, own, kur__exact_send, end};
