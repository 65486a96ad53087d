/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier doctor`: what can be found out by reading: topics, the group's offsets and what stands beside them, clocks.
 */
#include <kurier/librdkafka.h>
#include <kurier/sys/clock.h>

#include "doctor.h"

enum {
    READ_MS = 3000,
    CLOCK_MS = 5000,   /* so far ahead a record may be */
    LEDGER_FULL = 3500 /* of 4,096 characters; from 3,072 on the partition waits */
};

/* A topic's last record. */
struct last {
    int64_t time_ms; /* -1: not known */
    rd_kafka_timestamp_type_t kind;
};

/* What one fetch says: a topic may be seen without being readable. Returns NO_ERROR when nothing came as well. */
static rd_kafka_resp_err_t fetch_one(rd_kafka_t *rk, const char *topic, int32_t partition, struct last *last)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_TAIL(1);
    rd_kafka_resp_err_t code = rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_message_t *message = code == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_consumer_poll(rk, READ_MS) : NULL;
    if (message != NULL) {
        code = message->err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            last->time_ms = rd_kafka_message_timestamp(message, &last->kind);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_assign(rk, NULL);
    return code;
}

/* Retries are due by the clock, and records carry it. */
static void examine_clock(const char *name, const struct last *last)
{
    int64_t ahead_ms = last->time_ms - kur_clock_now_us() / 1000;
    if (last->time_ms < 0 || ahead_ms < CLOCK_MS)
        return;
    if (last->kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME)
        doctor_doubtful(
            "clock",
            "%s: the broker's clock is at least %lld s ahead of this machine's; set both by NTP: retries are "
            "due by the clock",
            name, (long long)ahead_ms / 1000);
    else
        doctor_doubtful("clock",
                        "%s: its last record is %lld s in the future; the clock of who wrote it is ahead, or this "
                        "machine's is behind: set both by NTP, for retries are due by the clock",
                        name, (long long)ahead_ms / 1000);
}

static void examine_topic(struct examination *e, rd_kafka_t *rk, const char *name)
{
    struct last last = {-1, RD_KAFKA_TIMESTAMP_NOT_AVAILABLE};
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    rd_kafka_resp_err_t code =
        topic != NULL ? rd_kafka_metadata(rk, 0, topic, &metadata, e->timeout_ms) : RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
    int partitions = 0, leaderless = 0;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_metadata_topic_t *found = &metadata->topics[0];
        code = found->err;
        partitions = found->partition_cnt;
        for (int i = 0; i < partitions; i++)
            leaderless += found->partitions[i].leader < 0;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic != NULL)
        rd_kafka_topic_destroy(topic);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && partitions > 0)
        code = fetch_one(rk, name, 0, &last);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        doctor_ill(e, EXIT_TOPIC, "topic",
                   "let this user have READ (consuming) or WRITE (producing) on it: kafka-acls.sh --add",
                   "%s: it may not be read", name);
    else if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
             (code == RD_KAFKA_RESP_ERR_NO_ERROR && partitions == 0))
        doctor_ill(e, EXIT_TOPIC, "topic", "create it, or correct the name; it may also be hidden from this user",
                   "%s: not there", name);
    else if (leaderless > 0)
        doctor_ill(e, EXIT_TOPIC, "topic", "bring the brokers of its replicas back",
                   "%s: %d of %d partitions have no leader", name, leaderless, partitions);
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        doctor_ill(e, EXIT_TOPIC, "topic", NULL, "%s: %s", name, rd_kafka_err2str(code));
    else
        doctor_well("topic", "%s: %d partitions, readable", name, partitions);
    examine_clock(name, &last);
}

/* librdkafka goes on looking for the coordinator of a group that it may not see, and tells it beside. */
static bool is_forbidden_group(kur_consumer *consumer)
{
    kur_error error = {0};
    kur_record *record = NULL;
    kur_status status = kur_consumer_poll(consumer, 500, &record, &error);
    if (record != NULL)
        kur_consumer_free_records(consumer, &record, 1);
    return status == KUR_ERROR_AUTHORIZATION && error.kafka_code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
}

/* ---- What the group has committed ---- */

/* One partition that stands where its log is not. */
static void examine_place(const struct examination *e, const kur_partition_lag *one)
{
    if (one->committed >= 0 && one->committed < one->start_offset)
        doctor_doubtful(
            "group",
            "%s: %s [%d]: offsets %lld to %lld are gone and were never finished: retention is too short for how far "
            "it is behind",
            e->group, one->topic, (int)one->partition, (long long)one->committed, (long long)one->start_offset - 1);
    else if (one->committed > one->end_offset)
        doctor_doubtful(
            "group",
            "%s: %s [%d]: %lld is committed, and the log ends at %lld: was the topic made anew? kurier offsets "
            "plan moves the group",
            e->group, one->topic, (int)one->partition, (long long)one->committed, (long long)one->end_offset);
}

/* What is told beside its offset: whether a listener could read it, and has room to tell more. */
static kur_status examine_text(const struct examination *e, const kur_partition_lag *one, kur_arena *arena,
                               int64_t *finished)
{
    kur_ledger_view ledger = KUR_LEDGER_VIEW();
    kur_error error = {0};
    if (one->committed < 0 || one->metadata == NULL)
        return KUR_OK;
    kur_status status = kur_ledger_read(one->metadata, one->committed, arena, &ledger, &error);
    if (status != KUR_OK)
        doctor_doubtful("ledger", "%s: %s [%d]: %s: what was finished above %lld is done again%s", e->group, one->topic,
                        (int)one->partition, error.message, (long long)one->committed,
                        status == KUR_ERROR_MISMATCH ? "; does another program commit in this group?" : "");
    else if (strlen(one->metadata) > LEDGER_FULL)
        doctor_doubtful(
            "ledger",
            "%s: %s [%d]: the text beside the offset is nearly full (%zu characters): offset %lld has not been "
            "finished for long, and the partition is not read further until it is: kurier events show "
            "%s/%d/%lld",
            e->group, one->topic, (int)one->partition, strlen(one->metadata), (long long)one->committed, one->topic,
            (int)one->partition, (long long)one->committed);
    *finished += ledger.finished;
    return status;
}

static void examine_committed(struct examination *e, kur_client *client)
{
    kur_error error = {0};
    const kur_group_lag *lag;
    kur_arena *arena = kur_arena_new();
    kur_admin *admin = kur_admin_new(client, &error);
    int64_t finished = 0;
    size_t wrong = 0;
    kur_status status =
        arena == NULL ? KUR_ERROR_NO_MEMORY : kur_admin_group_lag(admin, e->group, e->timeout_ms, arena, &lag, &error);
    if (status == KUR_ERROR_UNKNOWN_TOPIC) {
        doctor_doubtful("group", "%s: has committed nothing and has no members: the name may be another", e->group);
    } else if (status != KUR_OK) {
        doctor_doubtful("group", "%s: how far it is could not be found out: %s", e->group, error.message);
    } else {
        for (size_t i = 0; i < lag->partition_count; i++) {
            examine_place(e, lag->partitions[i]);
            wrong += examine_text(e, lag->partitions[i], arena, &finished) != KUR_OK;
        }
        if (wrong == 0)
            doctor_well("ledger", "%s: %lld offsets are finished above what is committed", e->group,
                        (long long)finished);
    }
    kur_admin_free(admin);
    kur_arena_free(arena);
}

static bool examine_group(struct examination *e, kur_consumer *consumer, const char *topic)
{
    rd_kafka_t *rk = kur_consumer_librdkafka(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, topic, 0);
    rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, e->timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = one->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ? one->err : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT && is_forbidden_group(consumer))
        code = RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        doctor_ill(e, EXIT_TOPIC, "group", "let this user have READ on the group: kafka-acls.sh --add --group …",
                   "%s: this user may not use it", e->group);
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        doctor_ill(e, EXIT_TOPIC, "group", NULL, "%s: %s", e->group, rd_kafka_err2str(code));
    else
        doctor_well("group", "%s: its offsets may be read", e->group);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

void doctor_read(struct examination *e, kur_client *client)
{
    kur_error error = {0};
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = e->group != NULL ? e->group : "kurier-doctor"), &error);
    if (consumer == NULL) {
        doctor_ill(e, EXIT_FAILED, "topic", NULL, "%s", error.message);
        return;
    }
    rd_kafka_t *rk = kur_consumer_librdkafka(consumer);
    for (size_t i = 0; i < e->topic_count; i++)
        examine_topic(e, rk, e->topics[i]);
    if (e->group != NULL && examine_group(e, consumer, e->topic_count > 0 ? e->topics[0] : "kurier-doctor"))
        examine_committed(e, client);
    kur_consumer_free(consumer);
}
