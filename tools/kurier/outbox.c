/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier outbox`: an outbox in a database, and its relay. Each verb, or two that belong together, is in a file beside
 * this one.
 */
#include "outbox.h"

#include <kurier/sys/text.h>

#include "text.h"

enum {
    PAGE = 20 /* rows that are in memory at once; each may have a megabyte */
};

/* A relay runs for months: what goes wrong is told without --verbose, too. */
static void log_what_is_wrong(kur_log_level level, const char *message, void *user)
{
    if (level <= KUR_LOG_WARNING)
        kur_log_stderr(level, message, user);
}

struct outbox outbox_state = {.stored.call.connection.log = log_what_is_wrong, .limit = -1};

int outbox_read_id(const struct invocation *call, const char *text, int64_t *id)
{
    if (text_read_number(text, 1, INT64_MAX - 1, id))
        return EXIT_DONE;
    return command_refuse(call->noun, "\"%.60s\" is no row's id: kurier outbox list has them", text);
}

/* The next page behind a row; the arena holds it. */
static int read_page(const struct outbox *outbox, const struct place *place, const kur_outbox_id *after,
                     kur_arena *arena, kur_parked_list *page)
{
    kur_error error = {0};
    kur_arena_reset(arena);
    if (kur_outbox_parked(place->outbox, after->shard, after->id, PAGE, arena, page, &error) != KUR_OK)
        return database_fail(&outbox->stored, &error);
    return EXIT_DONE;
}

int outbox_each_parked(struct outbox *outbox, const struct place *place, outbox_take *take, void *user)
{
    kur_outbox_id after = {0};
    kur_parked_list page = {.count = PAGE};
    int status = EXIT_DONE;
    kur_arena *arena = kur_arena_new();
    text_need(arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    while (status == EXIT_DONE && page.count == PAGE) {
        status = read_page(outbox, place, &after, arena, &page);
        for (size_t i = 0; i < page.count && status == EXIT_DONE; i++) {
            const kur_parked_view *row = page.items[i];
            after = (kur_outbox_id){.id = row->id, .shard = row->shard};
            if (outbox->topic == NULL || kur_text_fits(row->topic, outbox->topic))
                status = take(row, user);
        }
    }
    kur_arena_free(arena);
    return status;
}

/* ---- The noun ---- */

static const struct verb *const verbs[] = {&outbox_schema, &outbox_migrate, &outbox_relay,
                                           &outbox_status, &outbox_list,    &outbox_show,
                                           &outbox_unpark, &outbox_drop,    NULL};

const struct noun outbox_noun = {
    .name = "outbox",
    .summary = "an outbox in PostgreSQL or SQLite: its tables, its relay, what was refused",
    .about = "Events that services keep in their database, in the transaction that changes it, and that a relay sends "
             "to Kafka. A row that is refused for good is parked, and those of its key behind it; what changes such "
             "rows is a dry run until --execute. Only the relay needs a broker.",
    .verbs = verbs};
