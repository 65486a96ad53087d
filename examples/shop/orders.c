/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Orders are kept as their JSON, in a ring by age; a search tree finds them by id. A place of the ring whose order was
 * forgotten stays empty until the ring comes round.
 */
#include "orders.h"

#include <kurier/sys/clock.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

struct entry {
    char *order_id;
    kur_buffer json;
    enum order_state state;
    size_t place; /* in the ring */
};

struct orders {
    pthread_mutex_t lock; /* guards all below */
    void *tree;
    size_t next;
    struct entry *ring[ORDERS_MAX];
};

kur_status order_make(const struct order_request *request, kur_arena *arena, struct order_created *order,
                      kur_error *error)
{
    kur_uuid id;
    char *text = kur_arena_alloc(arena, KUR_UUID_TEXT_SIZE);
    if (text == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    kur_status status = kur_uuid_new(&id, error);
    if (status != KUR_OK)
        return status;
    kur_uuid_format(&id, text);
    *order = (struct order_created){.order_id = text, .customer = request->customer, .email = request->email};
    order->placed_at = request->placed_at.has ? request->placed_at.value : kur_clock_now_us();
    order->lines.items = request->lines.items;
    order->lines.count = request->lines.count;
    for (size_t i = 0; i < order->lines.count; i++)
        order->total += order->lines.items[i].amount; /* 100 lines of 12 digits fit */
    return KUR_OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->order_id, ((const struct entry *)b)->order_id);
}

static struct entry *find(orders *orders, const char *order_id)
{
    struct entry key = {.order_id = (char *)(uintptr_t)order_id};
    struct entry **found = tfind(&key, &orders->tree, compare);
    return found != NULL ? *found : NULL;
}

static void drop(orders *orders, struct entry *entry)
{
    tdelete(entry, &orders->tree, compare);
    kur_buffer_done(&entry->json);
    free(entry->order_id);
    free(entry);
}

orders *orders_new(void)
{
    orders *made = calloc(1, sizeof *made);
    if (made != NULL)
        pthread_mutex_init(&made->lock, NULL);
    return made;
}

void orders_free(orders *orders)
{
    if (orders == NULL)
        return;
    for (size_t i = 0; i < ORDERS_MAX; i++)
        if (orders->ring[i] != NULL)
            drop(orders, orders->ring[i]);
    pthread_mutex_destroy(&orders->lock);
    free(orders);
}

kur_status orders_put(orders *orders, const struct order_created *order, kur_error *error)
{
    struct entry *entry = calloc(1, sizeof *entry);
    kur_status status = KUR_ERROR_NO_MEMORY;
    if (entry != NULL && (entry->order_id = strdup(order->order_id)) != NULL)
        status = order_created_to_json(order, &entry->json, error);
    else
        kur_error_set(error, status, "out of memory");
    if (status != KUR_OK)
        goto out;
    entry->state = order_state_unknown;

    pthread_mutex_lock(&orders->lock);
    entry->place = orders->next++ % ORDERS_MAX;
    struct entry **place = &orders->ring[entry->place];
    if (*place != NULL)
        drop(orders, *place);
    *place = NULL;
    if (tsearch(entry, &orders->tree, compare) != NULL)
        *place = entry;
    else
        status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    pthread_mutex_unlock(&orders->lock);
out:
    if (status != KUR_OK && entry != NULL) {
        kur_buffer_done(&entry->json);
        free(entry->order_id);
        free(entry);
    }
    return status;
}

void orders_advance(orders *orders, const char *order_id, enum order_state state)
{
    pthread_mutex_lock(&orders->lock);
    struct entry *entry = find(orders, order_id);
    if (entry != NULL && entry->state < state)
        entry->state = state;
    pthread_mutex_unlock(&orders->lock);
}

void orders_forget(orders *orders, const char *order_id)
{
    pthread_mutex_lock(&orders->lock);
    struct entry *entry = find(orders, order_id);
    if (entry != NULL) {
        orders->ring[entry->place] = NULL;
        drop(orders, entry);
    }
    pthread_mutex_unlock(&orders->lock);
}

kur_status orders_get(orders *orders, const char *order_id, kur_arena *arena, struct order_view *view, kur_error *error)
{
    pthread_mutex_lock(&orders->lock);
    const struct entry *entry = find(orders, order_id);
    kur_status status = entry != NULL ? KUR_OK : KUR_ERROR_STALE;
    if (entry == NULL)
        kur_error_set(error, status, "no such order here: it was never taken, or long ago");
    else {
        view->state = entry->state;
        status = order_created_from_json(kur_bytes_of(entry->json.data, entry->json.size), arena, &view->order, error);
    }
    pthread_mutex_unlock(&orders->lock);
    return status;
}
