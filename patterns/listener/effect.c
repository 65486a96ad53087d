/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: making outcomes durable. What a handler has emitted is sent by the listener's own producer and counts
 * when all of it is acknowledged; what was acknowledged once is not sent again. What goes to a retry topic or to the
 * dead letters is forwarded (forward.c). A rejected record may also go to on_rejected, on a worker's thread, for it may
 * wait; or it is dropped, or ends the listener and stays unfinished, as .dead_letters says.
 *
 * Effects that fail come again from the machine, after a while: nothing is given up here.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <stdio.h>

#include "listener/crash.h"
#include "listener/shell.h"
#include "listener/topics.h"

enum {
    BURST_US = 15 * 1000,
    QUEUE_KBYTES = 16384,
    QUEUE_KBYTES_MAX = 2000000 /* librdkafka's own, about */
};

static void warn(kur_listener *listener, const struct kur__emit *emit, const kur_error *error)
{
    if (!kur__once_in_a_while(&listener->next_emit_warning_us))
        return;
    kur_client_log(
        listener->client, KUR_LOG_WARNING,
        "group %s: an event emitted to %s is not in Kafka, its record is not finished, and it will be sent again: %s",
        listener->group, emit->topic, error->message);
}

static void on_result(const kur_result *result, void *user)
{
    struct kur__emit *emit = user;
    kur__work *work = emit->work;
    struct kur__extra *extra = work->extra;
    emit->is_acknowledged = result->status == KUR_DELIVERED;
    if (!emit->is_acknowledged)
        warn(emit->listener, emit, &result->error);
    if (--extra->pending == 0) {
        KUR__CRASH_POINT("emit-answered");
        kur__mailbox_push(emit->listener, work, true);
    }
}

kur_status kur__effect_producer(kur_listener *listener, kur_error *error)
{
    if (listener->producer != NULL)
        return KUR_OK;
    /* Results come where the control thread takes everything else in; a record never times out behind our back; and
     * there is room for all that may be held. */
    const kur_listener_options *options = &listener->options;
    int window_kbytes = listener->tiers != NULL ? listener->tiers->options.window_kbytes : 0;
    int64_t kbytes = 2 * ((int64_t)options->hold_kbytes + window_kbytes) + QUEUE_KBYTES;
    listener->producer = kur_producer_new(
        listener->client,
        &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .delivery_timeout_ms = KUR_NONE,
                              .queue_wait_ms = KUR_NONE, .record_bytes = KUR__RECORD_BYTES,
                              .queue_kbytes = (int)(kbytes < QUEUE_KBYTES_MAX ? kbytes : QUEUE_KBYTES_MAX)),
        error);
    if (listener->producer == NULL)
        return error->code;
    return kur__control_watch(listener, kur_producer_fd(listener->producer), error);
}

kur_status kur__emit_send(kur_producer *producer, struct kur__emit *emit, const kur_event_view *parent,
                          kur_result_callback *callback, kur_error *error)
{
    kur_publish_options options = KUR_PUBLISH_OPTIONS(.topic = emit->topic, .id = emit->id, .parent = parent,
                                                      .on_result = callback, .user = emit);
    kur_header schema = {KUR_SCHEMA_HEADER,
                         kur_bytes_of(emit->encoding.schema_header, sizeof emit->encoding.schema_header)};
    options.content_type = emit->encoding.content_type;
    options.data_schema = emit->encoding.data_schema[0] != '\0' ? emit->encoding.data_schema : NULL;
    if (emit->encoding.has_schema_header) {
        options.headers = &schema;
        options.header_count = 1;
    }
    if (emit->has_key)
        options.key = kur_bytes_of(emit->key.data != NULL ? emit->key.data : "", emit->key.size);
    kur_bytes data = kur_bytes_of(emit->data.data != NULL ? emit->data.data : "", emit->data.size);
    return kur_producer_publish_raw(producer, emit->type.data, data, &options, error);
}

/* Sends what is not acknowledged; when nothing could be sent, the effect has failed at once. */
static void begin_emits(kur_listener *listener, kur__work *work, int64_t now_us)
{
    kur_error error = {0};
    kur_event_view parent = KUR_EVENT_VIEW();
    struct kur__extra *extra = work->extra;
    kur_status status = kur__effect_producer(listener, &error);
    bool has_parent = kur_event_read(work->item, listener->arena, &parent, NULL) == KUR_OK;
    extra->pending = 1; /* for us, so that the last result does not come before we are through */
    for (struct kur__emit *emit = extra->emits; emit != NULL && status == KUR_OK; emit = emit->next) {
        if (emit->is_acknowledged)
            continue;
        emit->listener = listener;
        extra->pending++;
        status = kur__emit_send(listener->producer, emit, has_parent ? &parent : NULL, on_result, &error);
        if (status != KUR_OK)
            extra->pending--;
    }
    kur_arena_reset(listener->arena);
    if (status != KUR_OK)
        warn(listener, extra->emits, &error);
    if (error.fatal)
        kur__listener_fail(listener, &error);
    KUR__CRASH_POINT("emitted");
    if (--extra->pending == 0)
        kur__effect_end(listener, work, now_us);
}

static void begin_reject(kur_listener *listener, kur__work *work, int64_t now_us)
{
    const struct kur__extra *extra = work->extra;
    if (listener->options.on_rejected != NULL) {
        kur__queue_push(&listener->rejected, work);
        return;
    }
    kur_error error;
    const kur_record *record = work->item;
    if (listener->options.dead_letters == KUR_NO_DEAD_LETTER) {
        kur_client_log(listener->client, KUR_LOG_WARNING,
                       "group %s: dropped after %d attempts: %s [%d] at offset %lld: %s: %s", listener->group,
                       (int)work->attempts, kur_record_topic(record), (int)kur_record_partition(record),
                       (long long)kur_record_offset(record), extra != NULL ? extra->cause : "",
                       extra != NULL ? extra->reason : "");
        work->verdict.outcome = KUR_DONE;
        kur__effect_end(listener, work, now_us);
        return;
    }
    kur_error_set(&error, KUR_ERROR_REJECTED,
                  "%s [%d] at offset %lld was rejected after %d attempts, and there is no .on_rejected: %s: %s",
                  kur_record_topic(record), (int)kur_record_partition(record), (long long)kur_record_offset(record),
                  (int)work->attempts, extra != NULL ? extra->cause : "", extra != NULL ? extra->reason : "");
    kur__listener_fail(listener, &error);
    /* It stays unfinished, and goes back with all that is held at the end. */
    kur__machine_effect(&listener->machine, work, false, now_us);
}

static void begin(kur_listener *listener, kur__work *work, int64_t now_us)
{
    if (work->effect == KUR__EFFECT_EMIT)
        begin_emits(listener, work, now_us);
    else if (work->effect == KUR__EFFECT_FORWARD)
        kur__forward_begin(listener, work, now_us);
    else
        begin_reject(listener, work, now_us);
}

/*
 * librdkafka has no more than five requests of a partition on their way, and while something older than its linger time
 * waits for one of them, its thread turns in circles. So nothing is given to it when the first of what is on its way is
 * some time ago: the next ones are on their way together, when that has its answers.
 */
static bool holds_back(kur_listener *listener, int64_t now_us)
{
    if (listener->producer == NULL)
        return false;
    if (kur_producer_pending(listener->producer) == 0)
        listener->burst_us = now_us;
    return now_us - listener->burst_us >= BURST_US;
}

/* One that is to be judged by itself goes when nothing else is on its way, and nothing else until it is judged. */
void kur__effects_begin(kur_listener *listener, int64_t now_us)
{
    kur__work *work;
    if (listener->is_alone_out && kur_producer_pending(listener->producer) > 0)
        return;
    listener->is_alone_out = false;
    while (listener->alone == NULL && !holds_back(listener, now_us) &&
           (work = kur__machine_next_effect(&listener->machine, now_us)) != NULL) {
        if (kur__forward_goes_alone(work))
            listener->alone = work;
        else
            begin(listener, work, now_us);
    }
    work = listener->alone;
    if (work == NULL || kur_producer_pending(listener->producer) > 0)
        return;
    listener->alone = NULL;
    if (!kur__source_is_ours(work->source)) { /* its partition has gone while it waited */
        kur__machine_effect(&listener->machine, work, false, now_us);
        return;
    }
    listener->is_alone_out = true;
    begin(listener, work, now_us);
}

/* It has been tried, and no topic is there for it. */
static bool is_stranded(const kur__work *work)
{
    const struct kur__extra *extra = work->extra;
    return work->effect == KUR__EFFECT_FORWARD && work->tries > 0 && !work->issued && extra != NULL &&
           extra->forward.topic == NULL;
}

/* Nobody makes topics during a stop. */
bool kur__effects_are_over(const kur_listener *listener)
{
    const kur__machine *machine = &listener->machine;
    if (machine->running > 0 || kur__machine_is_drained(machine))
        return machine->running == 0;
    for (const kur__source *source = machine->oldest; source != NULL; source = source->newer)
        for (const kur__work *work = source->settling > 0 ? source->oldest : NULL; work != NULL; work = work->newer)
            if (work->state == KUR__SETTLING && !is_stranded(work))
                return false;
    return true;
}

void kur__effect_end(kur_listener *listener, kur__work *work, int64_t now_us)
{
    bool is_durable = true;
    const struct kur__extra *extra = work->extra;
    if (work->effect == KUR__EFFECT_REJECT)
        is_durable = work->verdict.outcome == KUR_DONE;
    if (work->effect == KUR__EFFECT_FORWARD)
        is_durable = extra != NULL && extra->forward.is_acknowledged;
    if (is_durable && work->effect == KUR__EFFECT_FORWARD && listener->keeper != NULL && !extra->forward.is_kept) {
        if (!extra->forward.is_to_keep && !listener->keeper_has_ended) {
            kur__forward_keep(listener, work);
            return;
        }
        is_durable = false; /* the keeper could not, and is asked again; or there is none any more */
    }
    for (struct kur__emit *emit = extra != NULL ? extra->emits : NULL; emit != NULL; emit = emit->next)
        is_durable = is_durable && emit->is_acknowledged;
    if (is_durable && (work->effect == KUR__EFFECT_REJECT || work->to == KUR_TIER_DEAD))
        atomic_fetch_add_explicit(&listener->rejected_count, 1, memory_order_relaxed);
    if (is_durable && work->effect == KUR__EFFECT_FORWARD)
        kur__retries_forwarded(listener, work);
    if (!is_durable)
        kur__record_unpin(listener, work);
    kur__machine_effect(&listener->machine, work, is_durable, now_us);
}
