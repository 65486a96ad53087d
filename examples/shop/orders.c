/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Orders are kept as their JSON, in a ring by age; a search tree finds them by id.
 */
#include "orders.h"

#include <kurier/sys/clock.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

struct kept {
    char *order_id;
    kur_buffer json;
    enum order_state state;
    size_t place; /* in the ring */
};

struct orders {
    pthread_mutex_t lock; /* guards all below */
    void *tree;
    size_t next;
    struct kept *ring[ORDERS_MAX];
};

/* ---- Requests and answers ---- */

static kur_status make(const struct order_request *request, kur_arena *arena, struct order_created *order,
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

bool orders_read(const struct http_request *request, struct order_created *order, struct http_answer *answer)
{
    kur_error error = {0};
    struct order_request wish;
    if (!http_is_json(request)) {
        http_problem(answer, 415, "say that it is JSON: content-type: application/json");
        return false;
    }
    kur_status status = order_request_from_json(request->body, request->arena, &wish, &error);
    if (status == KUR_OK)
        status = make(&wish, request->arena, order, &error);
    if (status != KUR_OK)
        http_problem(answer, error.retriable ? 503 : 400, "%s", error.message);
    return status == KUR_OK;
}

void orders_receipt(struct http_answer *answer, int status, const char *order_id, enum order_state state)
{
    struct order_receipt receipt = {.order_id = order_id, .state = state};
    answer->status = status;
    snprintf(answer->location, sizeof answer->location, "/orders/%s", order_id);
    order_receipt_to_json(&receipt, &answer->body, NULL);
}

void orders_view(const struct http_request *request, enum order_state state, const char *json,
                 struct http_answer *answer)
{
    kur_error error = {0};
    struct order_view view = {.state = state};
    if (json == NULL) {
        http_problem(answer, 404, "no such order here: it was never taken, or long ago");
        return;
    }
    kur_status status = order_created_from_json(kur_bytes_text(json), request->arena, &view.order, &error);
    if (status == KUR_OK)
        status = order_view_to_json(&view, &answer->body, &error);
    answer->status = 200;
    if (status != KUR_OK)
        http_problem(answer, 503, "%s", error.message);
}

/* ---- Memory ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct kept *)a)->order_id, ((const struct kept *)b)->order_id);
}

static struct kept *find(struct orders *orders, const char *order_id)
{
    struct kept key = {.order_id = (char *)(uintptr_t)order_id};
    struct kept **found = tfind(&key, &orders->tree, compare);
    return found != NULL ? *found : NULL;
}

static void drop(struct orders *orders, struct kept *kept)
{
    tdelete(kept, &orders->tree, compare);
    kur_buffer_done(&kept->json);
    free(kept->order_id);
    free(kept);
}

struct orders *orders_new(void)
{
    struct orders *made = calloc(1, sizeof *made);
    if (made != NULL)
        pthread_mutex_init(&made->lock, NULL);
    return made;
}

void orders_free(struct orders *orders)
{
    if (orders == NULL)
        return;
    for (size_t i = 0; i < ORDERS_MAX; i++)
        if (orders->ring[i] != NULL)
            drop(orders, orders->ring[i]);
    pthread_mutex_destroy(&orders->lock);
    free(orders);
}

kur_status orders_put(struct orders *orders, const struct order_created *order, kur_error *error)
{
    struct kept *kept = calloc(1, sizeof *kept);
    kur_status status = KUR_ERROR_NO_MEMORY;
    if (kept != NULL && (kept->order_id = strdup(order->order_id)) != NULL)
        status = order_created_to_json(order, &kept->json, error);
    else
        kur_error_set(error, status, "out of memory");
    if (status != KUR_OK)
        goto out;
    kept->state = order_state_unknown;

    pthread_mutex_lock(&orders->lock);
    kept->place = orders->next++ % ORDERS_MAX;
    struct kept **place = &orders->ring[kept->place];
    if (*place != NULL)
        drop(orders, *place);
    *place = NULL;
    if (tsearch(kept, &orders->tree, compare) != NULL)
        *place = kept;
    else
        status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    pthread_mutex_unlock(&orders->lock);
out:
    if (status != KUR_OK && kept != NULL) {
        kur_buffer_done(&kept->json);
        free(kept->order_id);
        free(kept);
    }
    return status;
}

void orders_advance(struct orders *orders, const char *order_id, enum order_state state)
{
    pthread_mutex_lock(&orders->lock);
    struct kept *kept = find(orders, order_id);
    if (kept != NULL && kept->state < state)
        kept->state = state;
    pthread_mutex_unlock(&orders->lock);
}

void orders_show(struct orders *orders, const struct http_request *request, struct http_answer *answer)
{
    pthread_mutex_lock(&orders->lock);
    const struct kept *kept = find(orders, request->rest);
    orders_view(request, kept != NULL ? kept->state : 0, kept != NULL ? kept->json.data : NULL, answer);
    pthread_mutex_unlock(&orders->lock);
}
