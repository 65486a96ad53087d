/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What operators look at, and take away: shards and relays, what is kept of an inbox's consumers.
 */
#include "sqlite/sqlite.h"

#include <kurier/sys/clock.h>

/* Hands a row of a statement to whoever takes it. */
typedef kur_status hand_out(sqlite3_stmt *statement, const void *taker, kur_error *error);

static kur_status each(sqlite3 *db, const char *sql, const struct kur__value *values, hand_out *hand, const void *taker,
                       kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    kur_status status = kur__sqlite_statement(db, sql, &statement, error);
    if (status == KUR_OK)
        status = kur__sqlite_bind(statement, values, error);
    bool is_row = status == KUR_OK;
    while (is_row && status == KUR_OK) {
        status = kur__sqlite_step(statement, &is_row, error);
        if (is_row)
            status = hand(statement, taker, error);
    }
    if (is_row)
        kur__sqlite_reset(statement);
    return status;
}

static const char *text_of(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text != NULL ? text : "";
}

/* ---- Relays and shards ---- */

struct relays_taker {
    kur_outbox_take_relay *take;
    void *user;
};

static kur_status hand_relay(sqlite3_stmt *statement, const void *taker, kur_error *error)
{
    const struct relays_taker *to = taker;
    const kur_outbox_relay relay = {.size = sizeof relay,
                                    .name = text_of(statement, 0),
                                    .guarantee = sqlite3_column_int(statement, 1),
                                    .lease_until_us = sqlite3_column_int64(statement, 2)};
    return to->take(&relay, to->user, error);
}

kur_status kur__sqlite_relays(void *connection, kur_outbox_take_relay *take, void *user, kur_error *error)
{
    return each(connection,
                "SELECT name, guarantee, lease_until FROM kurier_outbox_relay WHERE lease_until > ?1 ORDER BY name",
                KUR__VALUES(kur__int(kur_clock_now_us())), hand_relay, &(struct relays_taker){take, user}, error);
}

struct shards_taker {
    kur_outbox_take_shard *take;
    void *user;
};

/* One row stands for all shards: they are one relay's. */
static kur_status hand_shards(sqlite3_stmt *statement, const void *taker, kur_error *error)
{
    const struct shards_taker *to = taker;
    kur_outbox_shard shard = {
        .size = sizeof shard, .owner = (const char *)sqlite3_column_text(statement, 1), .floor = -1};
    int32_t count = sqlite3_column_int(statement, 0);
    kur_status status = KUR_OK;
    for (; shard.shard < count && status == KUR_OK; shard.shard++)
        status = to->take(&shard, to->user, error);
    return status;
}

kur_status kur__sqlite_shards(void *connection, kur_outbox_take_shard *take, void *user, kur_error *error)
{
    return each(connection,
                "SELECT shards, (SELECT name FROM kurier_outbox_relay WHERE is_owner AND lease_until > ?1) "
                "FROM kurier_meta",
                KUR__VALUES(kur__int(kur_clock_now_us())), hand_shards, &(struct shards_taker){take, user}, error);
}

/* ---- Inboxes ---- */

struct positions_taker {
    kur_inbox_take_position *take;
    void *user;
};

static kur_status hand_position(sqlite3_stmt *statement, const void *taker, kur_error *error)
{
    const struct positions_taker *to = taker;
    kur_inbox_position position = {.size = sizeof position,
                                   .consumer = text_of(statement, 0),
                                   .topic = text_of(statement, 1),
                                   .partition = sqlite3_column_int(statement, 2),
                                   .first = sqlite3_column_int64(statement, 4),
                                   .next = sqlite3_column_int64(statement, 5),
                                   .epoch = sqlite3_column_int64(statement, 6),
                                   .done = sqlite3_column_int64(statement, 7),
                                   .open = sqlite3_column_int64(statement, 8)};
    kur_bytes log_id = kur__sqlite_bytes(statement, 3);
    if (log_id.size == sizeof position.log_id.bytes)
        memcpy(position.log_id.bytes, log_id.data, log_id.size);
    return to->take(&position, to->user, error);
}

kur_status kur__sqlite_positions(void *connection, const char *consumer, kur_inbox_take_position *take, void *user,
                                 kur_error *error)
{
    static const char sql[] =
        "SELECT consumer, topic, partition, log_id, first_offset, next_offset, epoch, (SELECT count(*) FROM "
        "kurier_inbox_done AS d WHERE d.consumer = p.consumer AND d.topic = p.topic AND d.partition = p.partition AND "
        "NOT is_open), (SELECT count(*) FROM kurier_inbox_done AS d WHERE d.consumer = p.consumer AND d.topic = "
        "p.topic AND d.partition = p.partition AND is_open) FROM kurier_inbox_position AS p WHERE ?1 IS NULL OR "
        "consumer = ?1 ORDER BY consumer, topic, partition";
    return each(connection, sql, KUR__VALUES(kur__text(consumer)), hand_position, &(struct positions_taker){take, user},
                error);
}

#define THESE " WHERE consumer = ?1 AND (?2 IS NULL OR topic = ?2) AND (?3 < 0 OR partition = ?3)"

static kur_status remove_in(sqlite3 *db, const char *consumer, const char *topic, int32_t partition, int32_t *count,
                            kur_error *error)
{
    const struct kur__value values[] = {
        kur__text(consumer), kur__text(topic), kur__int(topic != NULL ? partition : -1), {0}};
    kur_status status = kur__sqlite_run(db, "DELETE FROM kurier_inbox_done" THESE, values, error);
    if (status == KUR_OK)
        status = kur__sqlite_run(db, "DELETE FROM kurier_inbox_position" THESE, values, error);
    *count = sqlite3_changes(db);
    if (status == KUR_OK && topic == NULL)
        status = kur__sqlite_run(db, "DELETE FROM kurier_inbox_message WHERE consumer = ?1",
                                 KUR__VALUES(kur__text(consumer)), error);
    return status;
}

kur_status kur__sqlite_remove(void *connection, const char *consumer, const char *topic, int32_t partition,
                              int32_t *count, kur_error *error)
{
    int32_t removed = 0;
    kur_status status = kur__sqlite_begin(connection, error);
    if (status != KUR_OK)
        return status;
    status = kur__sqlite_end(connection, remove_in(connection, consumer, topic, partition, &removed, error), error);
    if (status == KUR_OK)
        *count = removed;
    return status;
}
