/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How plans stand, and what is said to their runners.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <string.h>

#include "redrive/redrive.h"

/* The topic comes with the first plan: before that there is none. */
static kur_status open_books(kur__books *books, kur_client *client, int timeout_ms, kur_error *error)
{
    kur_error why = {0};
    bool is_there;
    kur_admin *admin = kur_admin_new(client, &why);
    kur_status status = kur__audit_is_there(admin, timeout_ms, &is_there, &why);
    kur_admin_free(admin);
    if (status == KUR_OK && is_there)
        status = kur__books_open(books, client, timeout_ms, &why);
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}

static kur_status list_entries(const kur__books *books, const char *id, kur_arena *arena, kur_redrive_list *list,
                               kur_error *error)
{
    const kur_redrive_view **items = kur_arena_alloc(arena, (books->count + 1) * sizeof *items);
    size_t count = 0;
    if (items == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: plans");
    for (size_t i = books->count; i-- > 0;) {
        if (id != NULL && strcmp(books->entries[i]->id, id) != 0)
            continue;
        items[count] = kur__redrive_view_of(books->entries[i], arena, error);
        if (items[count++] == NULL)
            return KUR_ERROR_NO_MEMORY;
    }
    if (id != NULL && count == 0)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "there is no plan %.60s", id);
    *list = (kur_redrive_list){count, items};
    return KUR_OK;
}

kur_status kur_redrive_look(kur_client *client, const char *id, int timeout_ms, kur_arena *arena,
                            kur_redrive_list *list, kur_error *error)
{
    kur__books books = {0};
    if (client == NULL)
        return kur_error_null(error, "client");
    if (arena == NULL || list == NULL || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             timeout_ms < 0 ? "timeout_ms is negative" : "arena or list is NULL");
    kur_status status = open_books(&books, client, timeout_ms, error);
    if (status == KUR_OK)
        status = list_entries(&books, id, arena, list, error);
    kur__books_done(&books);
    return status;
}

static kur_status say(kur__books *books, kur_client *client, const char *id, const char *action, const char *who,
                      int timeout_ms, kur_error *error)
{
    const kur__redrive_entry *entry = kur__books_find(books, id);
    if (entry == NULL)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "there is no plan %.60s", id);
    kur_redrive_state state = kur__redrive_state_of(entry);
    if (kur__redrive_is_over(state))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "plan %s is %s", id, kur_redrive_state_name(state));
    kur_error why = {0};
    kur__redrive_event event = {.action = action, .who = who, .at_us = kur_clock_now_us()};
    kur_producer *producer = kur_producer_new(client, NULL, &why);
    kur_status status = producer != NULL ? kur__books_event(producer, id, &event, timeout_ms, NULL, &why) : why.code;
    kur_producer_free(producer);
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}

kur_status kur_redrive_tell(kur_client *client, const char *id, kur_redrive_wish wish, const char *who, int timeout_ms,
                            kur_error *error)
{
    static const char *const actions[] = {NULL, "pause", "resume", "cancel"};
    kur__books books = {0};
    if (client == NULL)
        return kur_error_null(error, "client");
    if (id == NULL || wish < KUR_REDRIVE_PAUSE || wish > KUR_REDRIVE_CANCEL || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "id is NULL, wish is none, or timeout_ms is negative");
    kur_status status = kur__audit_check(who, "who", error);
    if (status == KUR_OK)
        status = open_books(&books, client, timeout_ms, error);
    if (status == KUR_OK)
        status = say(&books, client, id, actions[wish], who, timeout_ms, error);
    kur__books_done(&books);
    return status;
}
