/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier outbox status`: how an outbox is, and who sends what it holds.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <stdlib.h>

#include "outbox.h"
#include "table.h"
#include "text.h"

enum {
    DEPTH_EXACT = 10000 /* above, it is estimated */
};

struct relay {
    char *name;
    int32_t guarantee;
    int64_t lease_until_us;
};

struct shard {
    char *owner; /* NULL: none */
    int64_t floor, raised_us;
    int32_t number;
};

struct status {
    int32_t schema, shard_count;
    kur_uuid id;
    kur_outbox_figures figures;
    struct relay *relays;
    struct shard *shards;
    size_t relays_read, shards_read;
};

/* ---- Reading ---- */

static char *copy(const char *text)
{
    char *made = text != NULL ? strdup(text) : NULL;
    text_need(text == NULL || made != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    return made;
}

static kur_status take_relay(const kur_outbox_relay *relay, void *user, kur_error *error)
{
    struct status *status = user;
    (void)error;
    struct relay *more = realloc(status->relays, (status->relays_read + 1) * sizeof *more);
    text_need(more != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    status->relays = more;
    more[status->relays_read++] = (struct relay){copy(relay->name), relay->guarantee, relay->lease_until_us};
    return KUR_OK;
}

static kur_status take_shard(const kur_outbox_shard *shard, void *user, kur_error *error)
{
    struct status *status = user;
    (void)error;
    struct shard *more = realloc(status->shards, (status->shards_read + 1) * sizeof *more);
    text_need(more != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    status->shards = more;
    more[status->shards_read++] = (struct shard){copy(shard->owner), shard->floor, shard->raised_us, shard->shard};
    return KUR_OK;
}

static kur_status read_status(const struct place *place, struct status *status, kur_error *error)
{
    const kur_driver *driver = place->driver;
    status->figures.size = sizeof status->figures;
    kur_status read = driver->schema_read(place->connection, &status->schema, &status->shard_count, &status->id, error);
    if (read == KUR_OK)
        read = driver->outbox_figures(place->connection, &status->figures, error);
    if (read == KUR_OK)
        read = driver->outbox_relays(place->connection, take_relay, status, error);
    if (read == KUR_OK)
        read = driver->outbox_shards(place->connection, take_shard, status, error);
    return read;
}

static void release(struct status *status)
{
    for (size_t i = 0; i < status->relays_read; i++)
        free(status->relays[i].name);
    for (size_t i = 0; i < status->shards_read; i++)
        free(status->shards[i].owner);
    free(status->relays);
    free(status->shards);
}

static const char *guarantee_name(int32_t guarantee)
{
    return guarantee == KUR_EXACTLY_ONCE ? "exactly once" : "at least once";
}

static bool is_of(const struct shard *shard, const char *owner)
{
    return owner == NULL ? shard->owner == NULL : shard->owner != NULL && strcmp(shard->owner, owner) == 0;
}

/* ---- For programs ---- */

static void put_shards(kur_buffer *json, const struct status *status)
{
    json_open(json, "shards", '[');
    for (size_t i = 0; i < status->shards_read; i++) {
        const struct shard *shard = &status->shards[i];
        json_open(json, NULL, '{');
        json_number(json, "shard", shard->number);
        json_text(json, "owner", shard->owner);
        if (shard->floor >= 0)
            json_number(json, "floor", shard->floor);
        else
            json_null(json, "floor");
        json_time(json, "floor_looked_at", shard->raised_us > 0 ? shard->raised_us : -1);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_relays(kur_buffer *json, const struct status *status)
{
    json_open(json, "relays", '[');
    for (size_t i = 0; i < status->relays_read; i++) {
        const struct relay *relay = &status->relays[i];
        json_open(json, NULL, '{');
        json_text(json, "relay", relay->name);
        json_text(json, "guarantee", guarantee_name(relay->guarantee));
        json_time(json, "lease_until", relay->lease_until_us);
        json_open(json, "shards", '[');
        for (size_t k = 0; k < status->shards_read; k++)
            if (is_of(&status->shards[k], relay->name))
                json_number(json, NULL, status->shards[k].number);
        json_close(json, ']');
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* Milliseconds since a time; null for 0. */
static void put_age(kur_buffer *json, const char *name, int64_t time_us, int64_t now_us)
{
    if (time_us > 0)
        json_number(json, name, now_us > time_us ? (now_us - time_us) / 1000 : 0);
    else
        json_null(json, name);
}

static void print_json(const struct invocation *call, const struct place *place, const struct status *status)
{
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    char id[KUR_UUID_TEXT_SIZE];
    int64_t now_us = kur_clock_now_us();
    const kur_outbox_figures *figures = &status->figures;
    kur_uuid_format(&status->id, id);
    json_open(&json, NULL, '{');
    json_text(&json, "database", place->driver->name);
    json_number(&json, "schema", status->schema);
    json_text(&json, "id", id);
    json_number(&json, "waiting", figures->depth);
    json_bool(&json, "waiting_is_estimated", figures->depth > DEPTH_EXACT);
    json_time(&json, "oldest", figures->oldest_us > 0 ? figures->oldest_us : -1);
    put_age(&json, "oldest_ms", figures->oldest_us, now_us);
    json_number(&json, "parked", figures->parked);
    json_number(&json, "behind", figures->behind);
    json_number(&json, "blocked_keys", figures->blocked);
    put_age(&json, "floor_ms", figures->floor_us, now_us);
    put_shards(&json, status);
    put_relays(&json, status);
    json_close(&json, '}');
    json_print(&objects, &json);
    json_end(&objects);
    kur_buffer_done(&json);
}

/* ---- And for people ---- */

/* "0-3,5": those of an owner, neighbours in one; "" for none. */
static void put_range(kur_buffer *text, const struct status *status, const char *owner)
{
    const struct shard *shards = status->shards;
    text_put(text, "");
    for (size_t i = 0, end; i < status->shards_read; i = end) {
        end = i + 1;
        if (!is_of(&shards[i], owner))
            continue;
        while (end < status->shards_read && is_of(&shards[end], owner))
            end++;
        text_need(kur_buffer_print(text, "%s%" PRId32, text->size > 0 ? "," : "", shards[i].number));
        if (end > i + 1)
            text_need(kur_buffer_print(text, "-%" PRId32, shards[end - 1].number));
    }
}

static void print_ago(const char *name, const char *text, int64_t time_us, int64_t now_us)
{
    kur_buffer ago = {0};
    text_duration(&ago, now_us > time_us ? now_us - time_us : 0);
    printf("%-12s  %s%s ago\n", name, text, ago.data);
    kur_buffer_done(&ago);
}

static void print_figures(const struct place *place, const struct status *status, int64_t now_us)
{
    char id[KUR_UUID_TEXT_SIZE];
    const kur_outbox_figures *figures = &status->figures;
    kur_uuid_format(&status->id, id);
    printf("%-12s  %s, schema %" PRId32 ", %" PRId32 " shards, id %s\n", "database", place->driver->name,
           status->schema, status->shard_count, id);
    printf("%-12s  %s%" PRId64 " rows\n", "waiting", figures->depth > DEPTH_EXACT ? "about " : "", figures->depth);
    if (figures->oldest_us > 0)
        print_ago("oldest", "written ", figures->oldest_us, now_us);
    printf("%-12s  %" PRId64 " rows, and %" PRId64 " behind them; %" PRId64 " keys are blocked\n", "parked",
           figures->parked, figures->behind, figures->blocked);
    if (place->driver->one_relay)
        return; /* there is no floor, and nobody who could hold it */
    if (figures->floor_us > 0)
        print_ago("floor", "moved, or had nothing to pass, ", figures->floor_us, now_us);
    else
        printf("%-12s  not moved yet: no relay has been at work\n", "floor");
}

static void print_relays(const struct status *status, int64_t now_us)
{
    static const char *const headings[] = {"RELAY", "GUARANTEE", ">LEASE", "SHARDS", NULL};
    struct table table = {.headings = headings};
    for (size_t i = 0; i < status->relays_read; i++) {
        const struct relay *relay = &status->relays[i];
        kur_buffer left = {0}, range = {0};
        text_duration(&left, relay->lease_until_us > now_us ? relay->lease_until_us - now_us : 0);
        put_range(&range, status, relay->name);
        table_text(&table, relay->name);
        table_text(&table, guarantee_name(relay->guarantee));
        table_text(&table, left.data);
        table_text(&table, relay->guarantee == KUR_EXACTLY_ONCE ? "by its group" : range.size > 0 ? range.data : "-");
        kur_buffer_done(&left);
        kur_buffer_done(&range);
    }
    if (status->relays_read > 0)
        putchar('\n');
    table_print(&table);
}

/* What a person should know, on standard error. */
static void warn(const struct invocation *call, const struct status *status)
{
    kur_buffer range = {0};
    bool is_by_group = status->relays_read > 0 && status->relays[0].guarantee == KUR_EXACTLY_ONCE;
    put_range(&range, status, NULL);
    if (status->relays_read == 0)
        command_note(call->noun, "no relay is at work");
    else if (!is_by_group && range.size > 0)
        command_note(call->noun, "nobody has shards %s: relays share them within seconds", range.data);
    if (is_by_group) {
        char id[KUR_UUID_TEXT_SIZE];
        kur_uuid_format(&status->id, id);
        command_note(call->noun, "who has which shard: kurier groups show kurier.outbox.%s, unless --control named it",
                     id);
    }
    kur_buffer_done(&range);
}

static int run(struct invocation *call)
{
    struct outbox *outbox = outbox_of(call);
    struct place place;
    struct status status = {0};
    kur_error error = {0};
    int how = database_begin(&outbox->stored, &place);
    if (how == EXIT_DONE && read_status(&place, &status, &error) != KUR_OK)
        how = database_fail(&outbox->stored, &error);
    if (how == EXIT_DONE && call->output == OUTPUT_TABLE) {
        int64_t now_us = kur_clock_now_us();
        print_figures(&place, &status, now_us);
        print_relays(&status, now_us);
        fflush(stdout);
        warn(call, &status);
    } else if (how == EXIT_DONE) {
        print_json(call, &place, &status);
    }
    release(&status);
    database_end(&place);
    return how;
}

const struct verb outbox_status = {
    .name = "status",
    .summary = "what waits, what is parked, and which relays are at work",
    .about = "How an outbox is: rows that wait to be sent (above 10,000 an estimate) and how old the oldest is, rows "
             "that were refused, rows behind them and how many keys that blocks, and since when the beginning of the "
             "scan has not moved, which tells of a long transaction; then the relays that are there, with their "
             "shards. docs/guide/outbox-operating.md says what to watch.",
    .options = {&output_options, &database_options},
    .state = &outbox_state.stored.call,
    .run = run};
