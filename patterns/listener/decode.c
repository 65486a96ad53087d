/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: an event is decoded on its worker, which may have to ask for a schema. Where that cannot be had now,
 * the record comes again in its order, later each time, and that was no attempt: whatever ails a registry costs no
 * record. What is wrong with the record itself is poison.
 *
 * Who has failed to get one holds all others off for a while, and for as long as it has waited: a registry that is
 * silent must not have the workers, which have records whose schemas are known. And the record that failed waits longer
 * than it holds others off, so that one schema that cannot be had is not asked for in place of one that can.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/codec.h>
#include <kurier/sys/log.h>

#include "listener/delivery.h"

#define FIRST_OFF_US INT64_C(50000)
#define LAST_OFF_US INT64_C(2000000)
#define FIRST_WAIT_US INT64_C(100000)
#define LAST_WAIT_US INT64_C(5000000)

static int64_t doubled(int64_t first_us, int64_t last_us, int times)
{
    return times < 16 && first_us << times < last_us ? first_us << times : last_us;
}

static kur_outcome put_off(kur_delivery *delivery, int64_t delay_us)
{
    atomic_fetch_add_explicit(&delivery->worker->listener->schema_waits, 1, memory_order_relaxed);
    return kur__delivery_again(delivery, delay_us);
}

static kur_outcome put_off_longer(kur_delivery *delivery, int64_t since_us, const kur_error *error)
{
    kur_listener *listener = delivery->worker->listener;
    int64_t now_us = kur_clock_monotonic_us(), asked_us = now_us - since_us;
    int64_t off_us = doubled(FIRST_OFF_US, LAST_OFF_US, atomic_fetch_add(&listener->schema_failures, 1));
    struct kur__extra *extra = kur__extra_of(delivery->work);
    int64_t wait_us = doubled(FIRST_WAIT_US, LAST_WAIT_US, extra != NULL ? extra->schema_waits++ : INT8_MAX);
    off_us = off_us > asked_us ? off_us : asked_us;
    atomic_store(&listener->no_schema_before_us, now_us + off_us);
    if (kur__once_in_a_while(&listener->next_schema_warning_us))
        kur_client_log(listener->client, KUR_LOG_WARNING,
                       "group %s: %s [%d] at offset %lld waits for its schema, and what is behind it in its order: %s",
                       listener->group, kur_record_topic(delivery->record), (int)kur_record_partition(delivery->record),
                       (long long)kur_record_offset(delivery->record), error->message);
    return put_off(delivery, wait_us > off_us ? wait_us : off_us + FIRST_OFF_US);
}

static kur_status decode(kur_delivery *delivery, const kur_type *type, void *event, int wait_ms, kur_error *error)
{
    return kur_event_decode_within(&delivery->event, type, delivery->worker->arena, event, wait_ms, error);
}

/* Its schema is not known: asks for it, unless nobody is to. KUR_ERROR_TIMEOUT and the like: the outcome is there. */
static kur_status ask(kur_delivery *delivery, const kur_type *type, void *event, kur_outcome *outcome, kur_error *error)
{
    kur_listener *listener = delivery->worker->listener;
    int64_t since_us = kur_clock_monotonic_us(), off_us = atomic_load(&listener->no_schema_before_us) - since_us;
    if (off_us > 0) {
        *outcome = put_off(delivery, off_us);
        return KUR_ERROR_TIMEOUT;
    }
    kur_status status = decode(delivery, type, event, -1, error);
    if (kur_status_is_of_schemas(status))
        *outcome = put_off_longer(delivery, since_us, error);
    else
        atomic_store(&listener->schema_failures, 0);
    return status;
}

bool kur__delivery_decode(kur_delivery *delivery, const kur_type *type, void *event, kur_outcome *outcome)
{
    kur_error error = {0};
    kur_status status = decode(delivery, type, event, 0, &error);
    if (status == KUR_ERROR_TIMEOUT)
        status = ask(delivery, type, event, outcome, &error);
    if (status == KUR_ERROR_NO_MEMORY)
        *outcome = kur_retry(delivery, "kurier.no_memory", "%s", error.message);
    else if (status == KUR_ERROR_UNKNOWN_SCHEMA)
        *outcome = kur_reject(delivery, "kurier.unknown_schema", "%s", error.message);
    else if (status != KUR_OK && !kur_status_is_of_schemas(status))
        *outcome = kur_reject(delivery, "kurier.undecodable", "%s", error.message);
    return status == KUR_OK;
}
