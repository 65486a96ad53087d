/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Consumed offsets in a transaction, and who a consumer is in its group.
 *
 * Design notes: the broker checks generation and member of what it is given, and takes offsets with generation -1 and
 * no member unchecked. librdkafka 2.0.2 has no functions that tell them, so they are read from its serialised form (as
 * of 1.7: "CGMDv2:", generation in 4 bytes of this machine's order, then texts with a NUL: group, member, …).
 */
#include <kurier/sys/memory.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/admin.h"
#include "kafka/consumer.h"
#include "kafka/producer.h"
#include "kafka/transaction.h"
#include <kurier/sys/options.h>

enum {
    REQUEST_METADATA_SIZE_MAX = 512 * 1024 /* the broker refuses a request with about 1 MB of it */
};

struct kur_group_metadata {
    rd_kafka_consumer_group_metadata_t *of_librdkafka;
};

static kur_status read_member(const char *bytes, size_t size, int32_t *result, kur_error *error)
{
    static const char magic[] = {'C', 'G', 'M', 'D', 'v', '2', ':'};
    int32_t generation;
    size_t texts = sizeof magic + sizeof generation;
    const char *group_end = NULL;
    if (size > texts && memcmp(bytes, magic, sizeof magic) == 0)
        group_end = memchr(bytes + texts, '\0', size - texts);
    if (group_end == NULL || group_end + 1 >= bytes + size)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                             "group metadata of librdkafka %s are in a form that this version does not know",
                             rd_kafka_version_str());
    memcpy(&generation, bytes + sizeof magic, sizeof generation);
    if (generation < 0 || group_end[1] == '\0')
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "group %s: this consumer is not a member now: poll until it has an assignment",
                             bytes + texts);
    *result = generation;
    return KUR_OK;
}

static kur_status read_metadata(const rd_kafka_consumer_group_metadata_t *metadata, int32_t *generation,
                                kur_error *error)
{
    void *bytes;
    size_t size;
    rd_kafka_error_t *said = rd_kafka_consumer_group_metadata_write(metadata, &bytes, &size);
    if (said != NULL) {
        kur__error_of_kafka(error, rd_kafka_error_code(said), "group metadata");
        rd_kafka_error_destroy(said);
        return KUR_ERROR_UNSUPPORTED;
    }
    kur_status status = read_member(bytes, size, generation, error);
    rd_kafka_mem_free(NULL, bytes);
    return status;
}

int32_t kur__consumer_ask_generation(const kur_consumer *consumer)
{
    int32_t generation = -1;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(consumer->rk);
    if (metadata == NULL)
        return generation;
    read_metadata(metadata, &generation, NULL);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    return generation;
}

kur_group_metadata *kur_consumer_group_metadata(kur_consumer *consumer, kur_error *error)
{
    if (consumer == NULL) {
        kur_error_null(error, "consumer");
        return NULL;
    }
    kur_group_metadata *metadata = kur_calloc(1, sizeof *metadata);
    if (metadata == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    if (!consumer->closed)
        metadata->of_librdkafka = rd_kafka_consumer_group_metadata(consumer->rk);
    int32_t generation;
    kur_status status =
        metadata->of_librdkafka != NULL
            ? read_metadata(metadata->of_librdkafka, &generation, error)
            : kur_error_set(error, KUR_ERROR_INVALID_STATE, "group %s: the consumer is closed", consumer->group);
    if (status == KUR_OK)
        return metadata;
    kur_group_metadata_free(metadata);
    return NULL;
}

void kur_group_metadata_free(kur_group_metadata *metadata)
{
    if (metadata == NULL)
        return;
    if (metadata->of_librdkafka != NULL)
        rd_kafka_consumer_group_metadata_destroy(metadata->of_librdkafka);
    kur_free(metadata);
}

/* ---- Sending ---- */

static kur_status send_list(kur_producer *producer, const rd_kafka_topic_partition_list_t *list,
                            const kur_group_metadata *group, const struct timespec *deadline, kur_error *error)
{
    for (;;) {
        rd_kafka_error_t *said = rd_kafka_send_offsets_to_transaction(producer->rk, list, group->of_librdkafka,
                                                                      kur__deadline_left_ms(deadline));
        if (said == NULL)
            return KUR_OK;
        if (rd_kafka_error_is_retriable(said) && !kur__deadline_is_over(deadline)) {
            rd_kafka_error_destroy(said);
            kur__producer_pause(producer);
            continue;
        }
        kur_error made = {0};
        kur__transaction_judge(producer, said, "send_offsets", &made);
        if (made.code != KUR_ERROR_TIMEOUT && !made.fatal) {
            /* With a class or without: what has become of the offsets is not known. */
            made.code = KUR_ERROR_MUST_ABORT;
            producer->transaction->state = KUR__TRANSACTION_FAILED;
        }
        if (error != NULL)
            *error = made;
        return made.code;
    }
}

static kur_status send_some(kur_producer *producer, const kur_position *positions, size_t count,
                            const kur_group_metadata *group, const struct timespec *deadline, kur_error *error)
{
    rd_kafka_topic_partition_list_t *list;
    kur_status status = kur__positions_take(positions, count, 0, "positions", &list, error);
    if (status != KUR_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        kur__leader_epoch_set(&list->elems[i], ((const kur_position *)kur_options_at(positions, i))->leader_epoch);
    if (deadline != NULL)
        status = send_list(producer, list, group, deadline, error);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* How many positions go into the first request. */
static size_t count_of_request(const kur_position *positions, size_t count)
{
    size_t taken = 0;
    for (size_t bytes = 0; taken < count && bytes < REQUEST_METADATA_SIZE_MAX; taken++) {
        const char *metadata = ((const kur_position *)kur_options_at(positions, taken))->metadata;
        bytes += metadata != NULL ? strlen(metadata) : 0;
    }
    return taken;
}

static kur_status send_all(kur_producer *producer, const kur_position *positions, size_t count,
                           const kur_group_metadata *group, int timeout_ms, kur_error *error)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    if (count == 0)
        return KUR_OK;
    /* All are checked before one is sent. */
    kur_status status = send_some(producer, positions, count, group, NULL, error);
    while (status == KUR_OK && count > 0) {
        size_t some = count_of_request(positions, count);
        status = send_some(producer, positions, some, group, &deadline, error);
        positions = kur_options_at(positions, some);
        count -= some;
    }
    return status;
}

kur_status kur_transaction_send_offsets(kur_producer *producer, const kur_position *positions, size_t count,
                                        const kur_group_metadata *group, int timeout_ms, kur_error *error)
{
    if (producer != NULL && ((positions == NULL && count > 0) || group == NULL))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is NULL", group == NULL ? "group" : "positions");
    kur_status status = kur__transaction_enter(producer, "send_offsets", timeout_ms, error);
    if (status != KUR_OK)
        return status;
    switch (atomic_load(&producer->transaction->state)) {
    case KUR__TRANSACTION_OPEN:
        status = send_all(producer, positions, count, group, timeout_ms, error);
        break;
    case KUR__TRANSACTION_FAILED:
        status = kur_error_set(error, KUR_ERROR_MUST_ABORT, "transaction %.60s: it has failed: abort it",
                               producer->transaction->id);
        break;
    default:
        status = kur__transaction_wrong_state(producer, "send_offsets", error);
        break;
    }
    kur__transaction_leave(producer);
    return status;
}
