/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier outbox list` and `kurier outbox show`: rows that were parked.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "outbox.h"
#include "payload.h"
#include "table.h"
#include "text.h"

enum {
    KEY_MAX = 40,
    ERROR_MAX = 200,
    LIMIT_DEFAULT = 100
};

/* ---- A row, for programs ---- */

static void put_json(const struct invocation *call, kur_buffer *json, const kur_parked_view *row, bool is_whole)
{
    json_open(json, NULL, '{');
    json_number(json, "id", row->id);
    json_number(json, "shard", row->shard);
    json_text(json, "topic", row->topic);
    if (row->partition > 0)
        json_number(json, "partition", row->partition - 1);
    else
        json_null(json, "partition");
    payload_json(call, json, "key", row->key);
    json_bool(json, "behind", row->is_behind);
    json_number(json, "attempts", row->attempts);
    json_text(json, "error", row->error);
    json_time(json, "created", row->created_us);
    json_time(json, "parked", row->parked_us);
    if (is_whole) {
        payload_header_list_json(call, json, row->headers, row->header_count);
        payload_json(call, json, "value", row->value);
    } else if (row->value.data != NULL) {
        json_number(json, "value_bytes", (int64_t)row->value.size);
    } else {
        json_null(json, "value_bytes");
    }
    json_close(json, '}');
}

/* ---- list ---- */

struct listing {
    struct outbox *outbox;
    struct table table;
    struct objects objects;
    int64_t count, limit, now_us;
};

static void put_duration(struct table *table, int64_t duration_us)
{
    kur_buffer text = {0};
    text_duration(&text, duration_us > 0 ? duration_us : 0);
    table_text(table, text.data);
    kur_buffer_done(&text);
}

static void put_row(struct listing *listing, const kur_parked_view *row)
{
    struct table *table = &listing->table;
    kur_buffer key = {0}, error = {0};
    if (row->key.data != NULL && !kur_bytes_is_utf8(row->key) && !listing->outbox->stored.call.unmask)
        text_need(kur_buffer_print(&key, "(%zu bytes)", row->key.size));
    else if (row->key.data != NULL)
        payload_cut(&listing->outbox->stored.call, &key, row->key, KEY_MAX);
    else
        text_put(&key, "-");
    payload_cut(&listing->outbox->stored.call, &error,
                kur_bytes_text(row->is_behind       ? "(behind a row of its key)"
                               : row->error != NULL ? row->error
                                                    : "-"),
                ERROR_MAX);
    table_cell(table, "%" PRId64, row->id);
    if (row->partition > 0)
        table_cell(table, "%s/%" PRId32, row->topic, row->partition - 1);
    else
        table_text(table, row->topic);
    table_text(table, key.data);
    put_duration(table, listing->now_us - row->created_us);
    put_duration(table, listing->now_us - row->parked_us);
    table_cell(table, "%d", row->attempts);
    table_text(table, error.data);
    kur_buffer_done(&key);
    kur_buffer_done(&error);
}

/* The one behind the last that is listed ends it, and tells that there are more. */
static int take(const kur_parked_view *row, void *user)
{
    struct listing *listing = user;
    if (listing->count == listing->limit)
        return EXIT_PARTIAL;
    listing->count++;
    if (listing->objects.output == OUTPUT_TABLE) {
        put_row(listing, row);
        return EXIT_DONE;
    }
    kur_buffer json = {0};
    put_json(&listing->outbox->stored.call, &json, row, false);
    json_print(&listing->objects, &json);
    kur_buffer_done(&json);
    return EXIT_DONE;
}

static int run_list(struct invocation *call)
{
    static const char *const headings[] = {">ID", "TOPIC", "KEY", ">AGE", ">PARKED", ">ATTEMPTS", "ERROR", NULL};
    struct outbox *outbox = outbox_of(call);
    struct place place;
    struct listing listing = {.outbox = outbox,
                              .table = {.headings = headings},
                              .objects = {.output = call->output},
                              .limit = outbox->limit >= 0 ? outbox->limit : LIMIT_DEFAULT,
                              .now_us = kur_clock_now_us()};
    int status = database_begin_outbox(&outbox->stored, &place);
    if (status == EXIT_DONE) {
        status = outbox_each_parked(outbox, &place, take, &listing);
        table_print(&listing.table);
        json_end(&listing.objects);
    }
    if (status == EXIT_PARTIAL) {
        fflush(stdout);
        command_note(call->noun, "there are more: --limit");
        status = EXIT_DONE;
    }
    if (status == EXIT_DONE && listing.count == 0 && call->output == OUTPUT_TABLE)
        command_note(call->noun, "nothing is parked%s", outbox->topic != NULL ? " that goes there" : "");
    database_end(&place);
    return status;
}

static const struct option list_list[] = {
    {"--topic", "TOPIC", "to this topic; may end with * for all that begin so", OPTION_IN(TEXT, struct outbox, topic)},
    {"--limit", "N", "so many; default 100", OPTION_IN(NUMBER, struct outbox, limit), .least = 1},
    {.name = NULL}};
static const struct options list_options = {.list = list_list};

const struct verb outbox_list = {
    .name = "list",
    .summary = "parked rows, and why they were refused",
    .about = "Rows that were refused for good, by shard and id: where they would go, how old they are, when they were "
             "parked, how often they were tried, and why they were refused; and rows that wait behind one of their "
             "key, which were not tried.",
    .options = {&list_options, &output_options, &unmask_options, &database_options},
    .state = &outbox_state.stored.call,
    .run = run_list};

/* ---- show ---- */

static void print(const struct invocation *call, const kur_parked_view *row)
{
    bool is_coloured = table_has_colours();
    printf("%s%" PRId64 "%s\n", is_coloured ? "\x1b[1m" : "", row->id, is_coloured ? "\x1b[0m" : "");
    payload_print("topic", row->topic);
    if (row->partition > 0)
        printf("  %-13s %" PRId32 "\n", "partition", row->partition - 1);
    printf("  %-13s %d\n", "shard", row->shard);
    payload_print("error", row->is_behind ? "none: it waits behind a row of its key" : row->error);
    printf("  %-13s %d\n", "attempts", row->attempts);
    payload_print_time("added", row->created_us);
    payload_print_time("parked", row->parked_us);
    payload_print_line(call, "key", row->key);
    payload_print_header_list(call, row->headers, row->header_count);
    payload_print_value(call, row->value);
}

static int show(struct outbox *outbox, const struct place *place, int64_t id)
{
    const struct invocation *call = &outbox->stored.call;
    kur_error error = {0};
    const kur_parked_view *row;
    kur_arena *arena = kur_arena_new();
    text_need(arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    int status = EXIT_DONE;
    if (kur_outbox_find_parked(place->outbox, id, arena, &row, &error) != KUR_OK) {
        status = database_fail(&outbox->stored, &error);
    } else if (call->output == OUTPUT_TABLE) {
        print(call, row);
    } else {
        struct objects objects = {.output = call->output};
        kur_buffer json = {0};
        put_json(call, &json, row, true);
        json_print(&objects, &json);
        json_end(&objects);
        kur_buffer_done(&json);
    }
    kur_arena_free(arena);
    return status;
}

static int run_show(struct invocation *call)
{
    struct outbox *outbox = outbox_of(call);
    struct place place;
    int64_t id;
    if (call->argument_count != 1)
        return command_refuse(call->noun, "which row? kurier outbox list has their ids");
    int status = outbox_read_id(call, call->arguments[0], &id);
    if (status != EXIT_DONE)
        return status;
    status = database_begin_outbox(&outbox->stored, &place);
    if (status == EXIT_DONE)
        status = show(outbox, &place, id);
    database_end(&place);
    return status;
}

const struct verb outbox_show = {
    .name = "show",
    .arguments = "ID",
    .summary = "all of one parked row",
    .about = "All of one parked row: why it was refused, key, headers and value. What looks like a secret is masked; "
             "bytes that are no text are shown by --unmask alone. What is not parked yet is not shown.",
    .options = {&output_options, &unmask_options, &database_options},
    .state = &outbox_state.stored.call,
    .run = run_show};
