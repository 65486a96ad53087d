/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: going on elsewhere. It ends the source, with all that is held of it, at once. Where the next one begins
 * is a number only when the consumer has found it out: an offset with its next poll, the beginning, the end and a time
 * when the broker has answered, while everything else goes on. Then the next source begins, and its start is committed
 * at once, without a ledger: a restart ends no replay and brings back nothing that was passed over, also when no record
 * has come meanwhile. A stop waits for that, and therefore takes no further ones.
 *
 * A place that no memory was there to remember begins with its first record.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/topic.h>
#include <string.h>

#include "listener/shell.h"

void kur__requests_free(struct kur__request *request)
{
    while (request != NULL) {
        struct kur__request *next = request->next;
        kur_free(request);
        request = next;
    }
}

/* ---- Asking: any thread ---- */

static struct kur__request *request_new(const char *topic, int32_t partition, const struct kur__place *place)
{
    size_t size = strlen(topic) + 1;
    struct kur__request *request = kur_malloc(sizeof *request + size);
    if (request == NULL)
        return NULL;
    *request = (struct kur__request){.place = *place, .partition = partition};
    memcpy(request->topic, topic, size);
    return request;
}

static kur_status ask(kur_listener *listener, const char *topic, int32_t partition, const struct kur__place *place,
                      kur_error *error)
{
    if (topic == NULL)
        return kur_error_null(error, "topic");
    if (!kur_topic_is_valid(topic) || (partition < 0 && partition != KUR_ALL_PARTITIONS))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic or partition is not valid");
    struct kur__request *request = request_new(topic, partition, place);
    if (request == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a seek");
    pthread_mutex_lock(&listener->lock);
    bool is_refused = listener->refuses_seeks;
    struct kur__request **at = &listener->requests;
    while (*at != NULL)
        at = &(*at)->next;
    if (!is_refused)
        *at = request;
    pthread_mutex_unlock(&listener->lock);
    if (is_refused) {
        kur_free(request);
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the listener stops");
    }
    kur__control_wake(listener);
    return KUR_OK;
}

kur_status kur_listener_seek(kur_listener *listener, const char *topic, int32_t partition, int64_t offset,
                             kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    if (offset < 0 && offset != KUR_OFFSET_BEGINNING && offset != KUR_OFFSET_END)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "offset is negative, and neither KUR_OFFSET_BEGINNING nor KUR_OFFSET_END");
    return ask(listener, topic, partition, &(struct kur__place){.offset = offset}, error);
}

kur_status kur_listener_seek_time(kur_listener *listener, const char *topic, int32_t partition, int64_t timestamp_us,
                                  kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    if (timestamp_us < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timestamp_us is negative");
    return ask(listener, topic, partition, &(struct kur__place){.is_time = true, .time_us = timestamp_us}, error);
}

/* ---- Doing: the control thread ---- */

/* What was polled from where it was before; there is some only when memory was short, or in the midst of it. */
static void drop_polled(kur_listener *listener, const char *topic, int32_t partition, size_t from)
{
    for (size_t i = from; i < listener->polled_count; i++) {
        kur_record *record = listener->polled[i];
        if (record != NULL && kur_record_partition(record) == partition &&
            strcmp(kur_record_topic(record), topic) == 0) {
            kur_consumer_free_records(listener->consumer, &record, 1);
            listener->polled[i] = NULL;
        }
    }
}

static struct kur__request **find_sought(kur_listener *listener, const char *topic, int32_t partition)
{
    struct kur__request **at = &listener->sought;
    while (*at != NULL && ((*at)->partition != partition || strcmp((*at)->topic, topic) != 0))
        at = &(*at)->next;
    return at;
}

/* `from`: the first of the polled records that nobody has in hands. */
static void restart(kur_listener *listener, const char *topic, int32_t partition, const struct kur__place *place,
                    size_t from)
{
    kur__source *source = kur__machine_source(&listener->machine, topic, partition);
    kur_status status = place->is_time
                            ? kur_consumer_seek_time(listener->consumer, topic, partition, place->time_us, NULL)
                            : kur_consumer_seek(listener->consumer, topic, partition, place->offset, NULL);
    listener->seen_topic = NULL;
    if (status != KUR_OK)
        return; /* it is not ours any more */
    kur__control_untake(listener, kur_clock_monotonic_us());
    if (source != NULL)
        kur__machine_drop(&listener->machine, source);
    drop_polled(listener, topic, partition, from);
    (listener->is_paused ? kur_consumer_pause : kur_consumer_resume)(listener->consumer, topic, partition, NULL);
    struct kur__request **at = find_sought(listener, topic, partition);
    if (*at == NULL)
        *at = request_new(topic, partition, place);
}

void kur__restart(kur_listener *listener, const char *topic, int32_t partition, int64_t offset)
{
    restart(listener, topic, partition, &(struct kur__place){.offset = offset}, listener->polled_next + 1);
}

/* Of all partitions of the topic that are ours: those whose place is still looked for, and those that have a source. */
static void restart_all(kur_listener *listener, const struct kur__request *request)
{
    kur__control_untake(listener, kur_clock_monotonic_us());
    for (struct kur__request *one = listener->sought; one != NULL; one = one->next)
        if (strcmp(one->topic, request->topic) == 0)
            restart(listener, one->topic, one->partition, &request->place, listener->polled_next);
    for (kur__source *source = listener->machine.oldest, *next; source != NULL; source = next) {
        next = source->newer; /* stays: what was dead and could go is gone by now */
        if (source->state != KUR__DEAD && strcmp(source->partition->topic, request->topic) == 0)
            restart(listener, request->topic, source->partition->number, &request->place, listener->polled_next);
    }
}

void kur__seek_take_requests(kur_listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    struct kur__request *requests = listener->requests;
    listener->requests = NULL;
    pthread_mutex_unlock(&listener->lock);
    for (const struct kur__request *one = requests; one != NULL; one = one->next) {
        if (one->partition == KUR_ALL_PARTITIONS)
            restart_all(listener, one);
        else
            restart(listener, one->topic, one->partition, &one->place, listener->polled_next);
    }
    kur__requests_free(requests);
}

void kur__seek_stop(kur_listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    listener->refuses_seeks = true;
    pthread_mutex_unlock(&listener->lock);
    kur__seek_take_requests(listener);
}

void kur__seek_begin_found(kur_listener *listener, int64_t now_us)
{
    for (struct kur__request **at = &listener->sought, *one; (one = *at) != NULL;) {
        int64_t offset = -1;
        kur__source *source = kur__machine_find(&listener->machine, one->topic, one->partition);
        bool is_ours = kur_consumer_position(listener->consumer, one->topic, one->partition, &offset, NULL) == KUR_OK;
        if (is_ours && source == NULL && offset < 0) {
            at = &one->next;
            continue;
        }
        if (is_ours && source == NULL)
            source = kur__source_open(
                listener, &KUR_POSITION(.topic = one->topic, .partition = one->partition, .offset = offset));
        if (is_ours && source != NULL && !listener->decisions.commits_nothing)
            kur__commit_round(listener, source, 0, now_us);
        *at = one->next;
        kur_free(one);
    }
}

void kur__seek_forget(kur_listener *listener, const char *topic, int32_t partition)
{
    struct kur__request **at = find_sought(listener, topic, partition), *one = *at;
    if (one == NULL)
        return;
    *at = one->next;
    kur_free(one);
    kur_client_log(listener->client, KUR_LOG_WARNING,
                   "group %s: %s [%d] has gone before the place was found where it was to go on: the seek is void",
                   listener->group, topic, (int)partition);
}
