/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier inbox`: what a database keeps of its consumers.
 */
#include "inbox.h"

#include <inttypes.h>
#include <stdio.h>

#include "table.h"
#include "text.h"

struct inbox inbox_state = {.to = -1};

/* ---- status ---- */

struct listing {
    struct invocation *call;
    struct table table;
    struct objects objects;
    size_t count;
};

static void put_offset(struct table *table, int64_t offset)
{
    if (offset >= 0)
        table_cell(table, "%" PRId64, offset);
    else
        table_cell(table, "?");
}

static void put_row(struct table *table, const kur_inbox_position *position)
{
    kur_buffer partition = {0};
    text_need(kur_buffer_print(&partition, "%s/%" PRId32, position->topic, position->partition));
    table_text(table, position->consumer);
    table_text(table, partition.data);
    put_offset(table, position->first);
    put_offset(table, position->next);
    table_cell(table, "%" PRId64, position->done);
    table_cell(table, "%" PRId64, position->open);
    table_cell(table, "%" PRId64, position->epoch);
    kur_buffer_done(&partition);
}

static void put_number(kur_buffer *json, const char *name, int64_t offset)
{
    if (offset >= 0)
        json_number(json, name, offset);
    else
        json_null(json, name);
}

static void put_json(kur_buffer *json, const kur_inbox_position *position)
{
    json_open(json, NULL, '{');
    json_text(json, "consumer", position->consumer);
    json_text(json, "topic", position->topic);
    json_number(json, "partition", position->partition);
    put_number(json, "first", position->first);
    put_number(json, "next", position->next);
    json_number(json, "done", position->done);
    json_number(json, "open", position->open);
    json_number(json, "epoch", position->epoch);
    json_close(json, '}');
}

static kur_status take(const kur_inbox_position *position, void *user, kur_error *error)
{
    struct listing *listing = user;
    (void)error;
    if (!command_is_named(listing->call, position->consumer))
        return KUR_OK;
    listing->count++;
    if (listing->objects.output == OUTPUT_TABLE) {
        put_row(&listing->table, position);
        return KUR_OK;
    }
    kur_buffer json = {0};
    put_json(&json, position);
    json_print(&listing->objects, &json);
    kur_buffer_done(&json);
    return KUR_OK;
}

static int run_status(struct invocation *call)
{
    static const char *const headings[] = {"CONSUMER", "PARTITION", ">FIRST", ">NEXT",
                                           ">DONE",    ">OPEN",     ">EPOCH", NULL};
    struct inbox *inbox = inbox_of(call);
    struct place place;
    struct listing listing = {.call = call, .table = {.headings = headings}, .objects = {.output = call->output}};
    kur_error error = {0};
    int status = database_begin(&inbox->stored, &place);
    if (status == EXIT_DONE && place.driver->inbox_positions(place.connection, NULL, take, &listing, &error) != KUR_OK)
        status = database_fail(&inbox->stored, &error);
    table_print(&listing.table);
    if (status == EXIT_DONE)
        json_end(&listing.objects);
    if (status == EXIT_DONE && listing.count == 0 && call->output == OUTPUT_TABLE)
        command_note(call->noun, "there are no consumers%s", call->argument_count > 0 ? " of these names" : "");
    database_end(&place);
    return status;
}

const struct verb inbox_status = {
    .name = "status",
    .arguments = "[CONSUMER…]",
    .summary = "consumers, their partitions, and what is kept of each",
    .about = "What is kept of each consumer and partition. Records from FIRST up to NEXT are done, but for those that "
             "are open. DONE are rows of records that are handled while something before them is not, which go within "
             "seconds; OPEN are rows of records that went to a retry topic or the dead letters, and are handled when "
             "they come back. EPOCH counts how often the partition has begun anew. A name may end with * for all "
             "that begin so.",
    .options = {&output_options, &database_options},
    .state = &inbox_state.stored.call,
    .run = run_status};

/* ---- The noun ---- */

static const struct verb *const verbs[] = {&inbox_status, &inbox_reset, &inbox_forget, NULL};

const struct noun inbox_noun = {
    .name = "inbox",
    .summary = "inboxes in PostgreSQL or SQLite: what is kept of their consumers",
    .about = "What a database keeps so that each event changes it once. What changes something is a dry run until "
             "--execute. The tables are the outbox's, too: kurier outbox migrate makes them.",
    .verbs = verbs};
