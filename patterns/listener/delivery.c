/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one record in a worker's hands: which handler is for it, what it says, and what that means. When what
 * was said by kur_retry or kur_reject and what was returned differ, the one that keeps the record counts.
 *
 * The envelope is read only when somebody asks for it, so that a listener of plain records does not pay for it.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/codec.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "listener/delivery.h"

#define DELAY_MAX_US (KUR_RETRY_DAYS_MAX * INT64_C(86400000000))

/* ---- What is rarely needed ---- */

struct kur__extra *kur__extra_of(kur__work *work)
{
    struct kur__extra *extra = work->extra;
    if (extra == NULL && (extra = kur_calloc(1, sizeof *extra)) != NULL)
        extra->cause = extra->reason = extra->code = "";
    return work->extra = extra;
}

void kur__extra_drop_emits(struct kur__extra *extra)
{
    while (extra->emits != NULL) {
        struct kur__emit *next = extra->emits->next;
        kur_buffer_done(&extra->emits->type);
        kur_buffer_done(&extra->emits->key);
        kur_buffer_done(&extra->emits->data);
        kur_free(extra->emits);
        extra->emits = next;
    }
    extra->last_emit = NULL;
    extra->emit_count = 0;
}

void kur__extra_free(kur__work *work)
{
    struct kur__extra *extra = work->extra;
    work->extra = NULL;
    if (extra == NULL)
        return;
    kur__extra_drop_emits(extra);
    kur_free(extra->said);
    kur_free(extra);
}

/* Whether a text is one line of ASCII, as most are, that fits as it is. */
static bool is_plain(const char *text, size_t room)
{
    size_t size = 0;
    while (text[size] >= ' ' && text[size] < 0x7f)
        size++;
    return text[size] == '\0' && size < room;
}

static const char *put(char **at, const char *text, size_t size)
{
    char *to = *at;
    memcpy(to, text, size);
    *at = to + size;
    return to;
}

/* A cause is a name of printable ASCII; what else it may be, it becomes a header one day. */
void kur__extra_say(struct kur__extra *extra, const char *cause, const char *reason, const char *code)
{
    kur_error cut; /* one line of UTF-8, cut at a character's boundary */
    cause = cause != NULL ? cause : "";
    reason = reason != NULL ? reason : "";
    if (!is_plain(reason, sizeof cut.message)) {
        kur_error_set(&cut, KUR_ERROR_CANCELLED, "%s", reason);
        reason = cut.message;
    }
    size_t cause_size = strnlen(cause, KUR__CAUSE - 1), reason_size = strlen(reason) + 1, code_size = strlen(code) + 1;
    kur_free(extra->said);
    extra->cause = extra->reason = extra->code = "";
    extra->said = kur_malloc(cause_size + 1 + reason_size + code_size);
    if (extra->said == NULL)
        return;
    char *at = extra->said;
    for (size_t i = 0; i < cause_size; i++)
        *at++ = (char)(cause[i] > ' ' && cause[i] < 0x7f ? cause[i] : '_');
    *at++ = '\0';
    extra->cause = extra->said;
    extra->reason = put(&at, reason, reason_size);
    extra->code = put(&at, code, code_size);
}

/* ---- What handlers call ---- */

static void read_event(kur_delivery *delivery, kur_error *error)
{
    if (delivery->has_read)
        return;
    delivery->has_read = true;
    delivery->event = KUR_EVENT_VIEW(.client = delivery->worker->listener->client);
    delivery->broken = kur_event_read(delivery->record, delivery->worker->arena, &delivery->event, error);
}

const kur_event_view *kur_delivery_event(kur_delivery *delivery)
{
    if (delivery == NULL)
        return NULL;
    read_event(delivery, NULL);
    return delivery->broken == KUR_OK ? &delivery->event : NULL;
}

const kur_record *kur_delivery_record(const kur_delivery *delivery)
{
    return delivery != NULL ? delivery->record : NULL;
}

void *kur_delivery_worker(const kur_delivery *delivery)
{
    return delivery != NULL ? delivery->worker->state : NULL;
}

int kur_delivery_attempt(const kur_delivery *delivery)
{
    return delivery != NULL ? delivery->attempt : 0;
}

bool kur_delivery_is_current(const kur_delivery *delivery)
{
    return delivery != NULL && !delivery->is_deferred && kur__work_is_current(delivery->work);
}

kur_delivery *kur_delivery_here(kur_delivery *delivery, const char *file, int line)
{
    if (delivery != NULL) {
        delivery->file = file;
        delivery->line = line;
    }
    return delivery;
}

static const char *place_of(const kur_delivery *delivery, char code[KUR__CODE])
{
    const char *file = delivery->file, *name = file != NULL ? strrchr(file, '/') : NULL;
    if (file == NULL)
        return "";
    snprintf(code, KUR__CODE, "%.*s:%d", KUR__CODE - 16, name != NULL ? name + 1 : file, delivery->line);
    return code;
}

static void say(kur_delivery *delivery, kur_outcome outcome, const char *cause, const char *format, va_list arguments)
{
    char reason[KUR__REASON], code[KUR__CODE];
    if (delivery == NULL || delivery->is_deferred)
        return;
    delivery->said = outcome;
    struct kur__extra *extra = kur__extra_of(delivery->work);
    vsnprintf(reason, sizeof reason, format != NULL ? format : "", arguments);
    if (extra != NULL)
        kur__extra_say(extra, cause, reason, place_of(delivery, code));
    delivery->file = NULL;
}

kur_outcome kur_retry(kur_delivery *delivery, const char *cause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(delivery, KUR_RETRY, cause, format, arguments);
    va_end(arguments);
    if (delivery != NULL)
        delivery->has_delay = false;
    return KUR_RETRY;
}

static void set_delay(kur_delivery *delivery, int64_t delay_us)
{
    delivery->has_delay = true;
    delivery->delay_us = delay_us <= 0 ? 0 : delay_us < DELAY_MAX_US ? delay_us : DELAY_MAX_US;
}

kur_outcome kur_retry_after(kur_delivery *delivery, int64_t delay_ms, const char *cause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(delivery, KUR_RETRY, cause, format, arguments);
    va_end(arguments);
    if (delivery != NULL)
        set_delay(delivery, delay_ms < DELAY_MAX_US / 1000 ? delay_ms * 1000 : DELAY_MAX_US);
    return KUR_RETRY;
}

kur_outcome kur_retry_at(kur_delivery *delivery, int64_t time_us, const char *cause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(delivery, KUR_RETRY, cause, format, arguments);
    va_end(arguments);
    if (delivery != NULL)
        set_delay(delivery, time_us - kur_clock_now_us());
    return KUR_RETRY;
}

kur_outcome kur_reject(kur_delivery *delivery, const char *cause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(delivery, KUR_REJECT, cause, format, arguments);
    va_end(arguments);
    return KUR_REJECT;
}

kur_status kur_delivery_defer(kur_delivery *delivery, kur_ticket *ticket, kur_error *error)
{
    if (delivery == NULL || ticket == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is NULL", delivery == NULL ? "delivery" : "ticket");
    if (delivery->is_deferred)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the delivery was deferred before");
    if (delivery->is_in_inbox)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "a handler of an inbox cannot be deferred: its transaction ends when it returns");
    if (delivery->is_in_batch)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "a record of a batch cannot be deferred: a listener with a batch handler needs each "
                             "outcome when the handler returns");
    kur__work *work = delivery->work;
    /* Also of a copy: the handler may go on reading what it has, which goes when it has returned. */
    kur_record *copy = kur_record_copy(work->item, error);
    if (copy == NULL)
        return KUR_ERROR_NO_MEMORY;
    bool was_copy = work->is_copy;
    work->item = copy;
    work->is_copy = true;
    delivery->is_deferred = true;
    work->is_deferred = true;
    kur_status status = kur__ticket_open(delivery->worker->listener, work, ticket, error);
    if (status == KUR_OK)
        return KUR_OK;
    delivery->is_deferred = work->is_deferred = false;
    work->item = (void *)(uintptr_t)delivery->record;
    work->is_copy = was_copy;
    kur_consumer_free_records(delivery->worker->listener->consumer, &copy, 1);
    return status;
}

kur_status kur_delivery_emit(kur_delivery *delivery, const kur_type *type, const void *event, kur_error *error)
{
    if (delivery == NULL || type == NULL || event == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is NULL",
                             delivery == NULL ? "delivery"
                             : type == NULL   ? "type"
                                              : "event");
    if (delivery->is_deferred)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "emit before the delivery is deferred");
    if (delivery->is_in_inbox) /* a crash after the commit would lose it: the record counts as done */
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "a handler of an inbox cannot emit: add the event to an outbox in the transaction");
    if (type->topic == NULL)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s has no topic: set .topic in KUR_EVENT_DEFINE", type->name);
    struct kur__extra *extra = kur__extra_of(delivery->work);
    struct kur__emit *emit = kur_calloc(1, sizeof *emit);
    if (extra == NULL || emit == NULL) {
        kur_free(emit);
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: an emitted event");
    }
    kur_uuid id;
    kur_status status =
        extra->emit_count < KUR__EMITS
            ? kur_uuid_new(&id, error)
            : kur_error_set(error, KUR_ERROR_TOO_LARGE, "more than %d events emitted for one", KUR__EMITS);
    if (status == KUR_OK)
        status = kur_type_event_name(type, &emit->type, error);
    if (status == KUR_OK)
        status = kur_type_key(type, event, &emit->key, &emit->has_key, error);
    if (status == KUR_OK)
        status = kur_event_encode(delivery->worker->listener->client, type, event, type->topic, KUR_FORMAT_DEFAULT,
                                  &emit->data, &emit->encoding, error);
    if (status != KUR_OK) {
        kur_buffer_done(&emit->type);
        kur_buffer_done(&emit->key);
        kur_buffer_done(&emit->data);
        kur_free(emit);
        return status;
    }
    kur_uuid_format(&id, emit->id);
    emit->topic = type->topic;
    emit->work = delivery->work;
    if (extra->last_emit != NULL)
        extra->last_emit->next = emit;
    else
        extra->emits = emit;
    extra->last_emit = emit;
    extra->emit_count++;
    return KUR_OK;
}

/* ---- Which handler ---- */

static kur_outcome reject_with(kur_delivery *delivery, const char *cause, const kur_error *error)
{
    return kur_reject(delivery, cause, "%s", error->message);
}

static kur_outcome count_unknown(kur_delivery *delivery)
{
    atomic_fetch_add_explicit(&delivery->worker->listener->unknown, 1, memory_order_relaxed);
    return KUR_DONE;
}

static kur_outcome call_record_handler(kur_delivery *delivery, const struct kur__record_handler *handler)
{
    return handler->function(delivery, handler->user);
}

static kur_outcome call_typed(kur_delivery *delivery, const struct kur__handler *handler)
{
    kur_outcome outcome;
    void *event = kur_arena_alloc(delivery->worker->arena, handler->type->size);
    if (event == NULL)
        return kur_retry(delivery, "kurier.no_memory", "out of memory: an event");
    if (!kur__delivery_decode(delivery, handler->type, event, &outcome))
        return outcome;
    return handler->invoke(handler->function, delivery, event, handler->user);
}

static bool has_handler(const struct kur__record_handler *handler)
{
    return handler->function != NULL || handler->batch != NULL;
}

int kur__delivery_route(kur_delivery *delivery, kur_outcome *outcome)
{
    kur_listener *listener = delivery->worker->listener;
    const struct kur__record_handler *tombstone = &listener->on_tombstone;
    kur_error error = {0};
    *outcome = KUR_NO_OUTCOME;
    if (listener->handler_count == 0 && has_handler(&listener->on_record) && tombstone->function == NULL)
        return KUR__FOR_RECORD;
    read_event(delivery, &error);
    if (delivery->broken == KUR_ERROR_NO_MEMORY) {
        *outcome = kur_retry(delivery, "kurier.no_memory", "%s", error.message);
        return KUR__FOR_NOBODY;
    }
    for (int i = 0; i < listener->handler_count && delivery->broken == KUR_OK; i++) {
        if (!kur_event_is(&delivery->event, listener->handlers[i].type))
            continue;
        if (delivery->event.data.data != NULL)
            return i;
        if (tombstone->function != NULL)
            return KUR__FOR_TOMBSTONE;
        *outcome = count_unknown(delivery);
        return KUR__FOR_NOBODY;
    }
    bool is_bare = delivery->broken == KUR_OK && delivery->event.type == NULL;
    if (is_bare && delivery->event.data.data == NULL && tombstone->function != NULL)
        return KUR__FOR_TOMBSTONE;
    if (has_handler(&listener->on_record))
        return KUR__FOR_RECORD;
    if (delivery->broken != KUR_OK)
        *outcome = reject_with(delivery, "kurier.not_an_event", &error);
    else if (listener->options.unknown == KUR_UNKNOWN_REJECT)
        *outcome = kur_reject(delivery, "kurier.unknown_type", "nobody handles %s",
                              delivery->event.type != NULL ? delivery->event.type : "a record without a type");
    else
        *outcome = count_unknown(delivery);
    return KUR__FOR_NOBODY;
}

kur_outcome kur__delivery_call(kur_delivery *delivery, int handler)
{
    const kur_listener *listener = delivery->worker->listener;
    if (handler == KUR__FOR_RECORD)
        return call_record_handler(delivery, &listener->on_record);
    if (handler == KUR__FOR_TOMBSTONE)
        return call_record_handler(delivery, &listener->on_tombstone);
    return call_typed(delivery, &listener->handlers[handler]);
}

/* ---- What it means ---- */

static int keeps(kur_outcome outcome)
{
    return outcome == KUR_DONE ? 1 : outcome == KUR_REJECT ? 2 : 3;
}

void kur__delivery_judge(kur_delivery *delivery, kur_outcome returned)
{
    kur__work *work = delivery->work;
    kur_outcome outcome =
        returned == KUR_DONE || returned == KUR_REJECT || returned == KUR_RETRY ? returned : KUR_RETRY;
    struct kur__extra *extra = work->extra;
    if (delivery->is_again) {
        work->verdict =
            (kur__verdict){.outcome = KUR_RETRY, .is_not_run = true, .has_delay = true, .delay_us = delivery->delay_us};
        return;
    }
    if (delivery->said != KUR_NO_OUTCOME && delivery->said != outcome) {
        kur_client_log(delivery->worker->listener->client, KUR_LOG_WARNING,
                       "%s [%d] at offset %lld: a handler said one outcome and returned another: the record is kept",
                       kur_record_topic(delivery->record), (int)kur_record_partition(delivery->record),
                       (long long)work->offset);
        outcome = keeps(delivery->said) > keeps(outcome) ? delivery->said : outcome;
    }
    if (outcome != returned && delivery->said == KUR_NO_OUTCOME && (extra = kur__extra_of(work)) != NULL)
        kur__extra_say(extra, "kurier.no_outcome", "the handler returned no outcome", "");
    if (outcome != KUR_DONE && extra != NULL)
        kur__extra_drop_emits(extra); /* of an attempt that came to nothing */
    work->verdict =
        (kur__verdict){.outcome = outcome,
                       .has_emits = outcome == KUR_DONE && extra != NULL && extra->emits != NULL,
                       .has_delay = delivery->has_delay && delivery->said == KUR_RETRY,
                       .is_hopeless = outcome == KUR_RETRY && kur__listener_is_fatal(delivery->worker->listener,
                                                                                     extra != NULL ? extra->cause : ""),
                       .delay_us = delivery->delay_us};
}

kur_outcome kur__delivery_again(kur_delivery *delivery, int64_t delay_us)
{
    delivery->is_again = true;
    delivery->delay_us = delay_us;
    return KUR_RETRY;
}

void kur__delivery_begin(kur_delivery *delivery, struct kur__worker *worker, kur__work *work)
{
    delivery->worker = worker;
    delivery->work = work;
    delivery->record = work->item;
    delivery->has_read = false; /* only then there is something in `event` */
    delivery->said = KUR_NO_OUTCOME;
    delivery->attempt = work->attempts;
    delivery->has_delay = delivery->is_deferred = delivery->is_in_batch = false;
    delivery->is_in_inbox = delivery->is_again = false;
    delivery->delay_us = 0;
    delivery->outcome = NULL;
    delivery->file = NULL;
    if (work->source->tier != KUR_TIER_MAIN && work->due_us > 0)
        kur__retries_late(worker->listener, kur_clock_monotonic_us() - work->due_us);
}

bool kur__deliver(struct kur__worker *worker, kur__work *work)
{
    kur_delivery delivery;
    kur_outcome returned = KUR_NO_OUTCOME;
    kur__delivery_begin(&delivery, worker, work);
    int handler = kur__delivery_route(&delivery, &returned);
    if (handler != KUR__FOR_NOBODY)
        returned = kur__delivery_call(&delivery, handler);
    if (delivery.is_deferred) {
        /* From here on the work may be finished by anybody, and is not looked at. */
        worker->done[worker->done_count++] = delivery.record;
        if (worker->done_count == sizeof worker->done / sizeof *worker->done)
            kur__worker_flush(worker);
    } else {
        kur__delivery_judge(&delivery, returned);
    }
    if (delivery.has_read)
        kur_arena_reset(worker->arena);
    return !delivery.is_deferred;
}

void kur__deliver_rejected(struct kur__worker *worker, kur__work *work)
{
    kur_listener *listener = worker->listener;
    const struct kur__extra *extra = work->extra;
    kur_delivery delivery = {.worker = worker, .work = work, .record = work->item, .attempt = work->attempts};
    kur_status status = listener->options.on_rejected(&delivery, extra != NULL ? extra->cause : "",
                                                      extra != NULL ? extra->reason : "", listener->options.user);
    work->verdict = (kur__verdict){.outcome = status == KUR_OK ? KUR_DONE : KUR_RETRY};
    if (delivery.has_read)
        kur_arena_reset(worker->arena);
}
