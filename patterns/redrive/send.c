/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: letters on their way. Answers come on the producer's thread, in any order; flights stand in a ring in
 * the order in which they were sent, and are taken out in that order, so that what has been taken out is everything up
 * to a place. Nothing is given up for time: a record waits until a broker answers, as the listener's forwards do.
 *
 * librdkafka says "too large" of all that were in a batch with one that is. So that counts for a record that was alone
 * on its way; of others it is a failure like any, from which the caller sends again, one by one.
 */
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/text.h>
#include <pthread.h>
#include <string.h>

#include "listener/crash.h"
#include "redrive/redrive.h"

enum {
    RING = 16384, /* a power of 2 */
    QUEUE_WAIT_MS = 100
};

#define RECORD_BYTES_MAX INT64_C(1000000000)

struct kur__sender {
    kur_client *client;
    const kur__redrive_plan *plan;
    kur_producer *producer;
    kur_arena *arena;
    kur__flight *ring;
    size_t head, tail, limit; /* of the caller's thread */
    pthread_mutex_t lock;     /* of what stands below, and of the flights' states */
    kur_error failed;         /* the first */
};

kur__sender *kur__sender_new(kur_client *client, const kur__redrive_plan *plan, kur_error *error)
{
    kur__sender *sender = kur_calloc(1, sizeof *sender);
    if (sender == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a sender");
        return NULL;
    }
    pthread_mutex_init(&sender->lock, NULL);
    sender->client = kur_client_ref(client);
    sender->plan = plan;
    sender->limit = RING;
    sender->arena = kur_arena_new();
    sender->ring = kur_calloc(RING, sizeof *sender->ring);
    if (sender->ring == NULL || sender->arena == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a sender");
    else
        sender->producer =
            kur_producer_new(client,
                             &KUR_PRODUCER_OPTIONS(.queue_wait_ms = QUEUE_WAIT_MS, .delivery_timeout_ms = KUR_NONE,
                                                   .record_bytes = RECORD_BYTES_MAX),
                             error);
    if (sender->producer != NULL)
        return sender;
    kur__sender_free(sender);
    return NULL;
}

void kur__sender_free(kur__sender *sender)
{
    if (sender == NULL)
        return;
    kur_producer_free(sender->producer);
    pthread_mutex_destroy(&sender->lock);
    kur_arena_free(sender->arena);
    kur_free(sender->ring);
    kur_client_unref(sender->client);
    kur_free(sender);
}

kur_producer *kur__sender_producer(kur__sender *sender)
{
    return sender->producer;
}

size_t kur__sender_open(const kur__sender *sender)
{
    return sender->tail - sender->head;
}

void kur__sender_limit(kur__sender *sender, size_t limit)
{
    sender->limit = limit > 0 && limit < RING ? limit : RING;
}

bool kur__sender_has_room(const kur__sender *sender)
{
    return kur__sender_open(sender) < sender->limit;
}

/* ---- What is sent ---- */

static bool is_stripped(const kur__redrive_plan *plan, const char *name)
{
    for (size_t i = 0; plan->strip != NULL && plan->strip[i] != NULL; i++)
        if (kur_text_fits(name, plan->strip[i]))
            return true;
    for (size_t i = 0; plan->set != NULL && plan->set[i].name != NULL; i++)
        if (strcmp(name, plan->set[i].name) == 0)
            return true;
    return false;
}

/* The retry's own headers stand last and are never stripped: no plan names them. */
static const kur_header *change(kur__sender *sender, const kur_header *headers, size_t *count)
{
    const kur__redrive_plan *plan = sender->plan;
    size_t set = 0, kept = 0;
    while (plan->set != NULL && plan->set[set].name != NULL)
        set++;
    if (set == 0 && (plan->strip == NULL || plan->strip[0] == NULL))
        return headers;
    kur_header *changed = kur_arena_alloc(sender->arena, (*count + set + 1) * sizeof *changed);
    if (changed == NULL)
        return NULL;
    for (size_t i = 0; i < *count; i++)
        if (!is_stripped(plan, headers[i].name))
            changed[kept++] = headers[i];
    for (size_t i = 0; i < set; i++)
        changed[kept++] = plan->set[i];
    *count = kept;
    return changed;
}

/* A record that is due at once, with its first attempt to come: what it died of is behind it. */
static kur_status describe(kur__sender *sender, const kur_letter *letter, const kur__redrive_route *route,
                           kur_message *message, kur_error *error)
{
    kur_retry_view view = *letter->retry;
    view.attempt = 1;
    view.due_us = view.first_failed_us = 0;
    view.redriven = letter->retry->redriven + 1;
    view.redrive_id = sender->plan->id;
    view.writer = "";
    kur_header_style style = route->tier == KUR_TIER_MAIN                  ? letter->style
                             : kur__redrive_is_spring(route->view.letters) ? KUR_HEADERS_SPRING
                                                                           : KUR_HEADERS_KURIER;
    kur_status status = kur_retry_write(letter->record, style, route->tier, &view, 0, sender->arena, &message->headers,
                                        &message->header_count, error);
    if (status != KUR_OK)
        return status;
    message->headers = change(sender, message->headers, &message->header_count);
    return message->headers != NULL ? KUR_OK
                                    : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: headers of a letter");
}

/* The number that it had first, where the topic has it; else that of its key. */
static int32_t partition_of(const kur_letter *letter, const kur__redrive_route *route)
{
    int32_t first = letter->retry->partition >= 0 ? letter->retry->partition : letter->partition;
    return first < route->partitions ? KUR_PARTITION(first) : 0;
}

static void on_result(const kur_result *result, void *user)
{
    kur__flight *flight = user;
    kur__sender *sender = flight->sender;
    bool is_there = result->status == KUR_DELIVERED;
    KUR__CRASH_POINT("redrive-acknowledged");
    pthread_mutex_lock(&sender->lock);
    flight->state = is_there ? 1 : result->error.code == KUR_ERROR_TOO_LARGE ? 2 : 3;
    if (!is_there && sender->failed.code == KUR_OK)
        sender->failed = result->error;
    pthread_mutex_unlock(&sender->lock);
}

kur_status kur__sender_send(kur__sender *sender, const kur_letter *letter, const kur__redrive_route *route,
                            size_t range, kur_error *error)
{
    kur__flight *flight = &sender->ring[sender->tail & (RING - 1)];
    kur_bytes value = kur_record_value(letter->record);
    kur_message message =
        KUR_MESSAGE(.topic = route->view.target, .partition = partition_of(letter, route),
                    .key = kur_record_key(letter->record), .value = value, .tombstone = value.data == NULL,
                    .verbatim = true, .on_result = on_result, .user = flight);
    kur_arena_reset(sender->arena);
    kur_status status = describe(sender, letter, route, &message, error);
    if (status != KUR_OK)
        return status;
    *flight = (kur__flight){.sender = sender, .range = range, .offset = letter->offset};
    kur__redrive_sum_of(letter, &flight->sum);
    status = kur_producer_send(sender->producer, &message, error);
    if (status == KUR_ERROR_TOO_LARGE) { /* told at once, and for certain */
        flight->state = 2;
        pthread_mutex_lock(&sender->lock);
        if (sender->failed.code == KUR_OK)
            kur_error_set(&sender->failed, status, "the letter is larger than anything that can be sent");
        pthread_mutex_unlock(&sender->lock);
        status = KUR_OK;
    }
    sender->tail += status == KUR_OK;
    KUR__CRASH_POINT("redrive-sent");
    return status;
}

int kur__sender_take(kur__sender *sender, kur__flight *flight, kur_error *error)
{
    if (sender->head == sender->tail)
        return 0;
    pthread_mutex_lock(&sender->lock);
    *flight = sender->ring[sender->head & (RING - 1)];
    int state = flight->state;
    if (state >= 2 && error != NULL)
        *error = sender->failed;
    if (state >= 2)
        sender->failed = (kur_error){0};
    pthread_mutex_unlock(&sender->lock);
    sender->head += state > 0;
    return state;
}
