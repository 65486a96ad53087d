/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What operators look at, and take away: shards and relays, what is kept of an inbox's consumers.
 */
#include "postgres/postgres.h"

/* ---- Relays and shards ---- */

struct relays {
    kur_outbox_take_relay *take;
    void *user;
};

static kur_status take_relay(const PGresult *result, int i, void *user, kur_error *error)
{
    const struct relays *to = user;
    const kur_outbox_relay relay = {.size = sizeof relay,
                                    .name = kur__pg_text(result, i, 0),
                                    .guarantee = (int32_t)kur__pg_int(result, i, 1),
                                    .lease_until_us = kur__pg_time_us(result, i, 2)};
    return to->take(&relay, to->user, error);
}

kur_status kur__pg_relays(void *connection, kur_outbox_take_relay *take, void *user, kur_error *error)
{
    return kur__pg_each(connection, "looking at relays",
                        "SELECT name, guarantee, lease_until FROM @.outbox_relay WHERE lease_until > clock_timestamp()"
                        " ORDER BY name",
                        NULL, take_relay, &(struct relays){take, user}, error);
}

struct shards {
    kur_outbox_take_shard *take;
    void *user;
};

static kur_status take_shard(const PGresult *result, int i, void *user, kur_error *error)
{
    const struct shards *to = user;
    const kur_outbox_shard shard = {.size = sizeof shard,
                                    .shard = (int32_t)kur__pg_int(result, i, 0),
                                    .owner = PQgetisnull(result, i, 1) ? NULL : kur__pg_text(result, i, 1),
                                    .floor = kur__pg_int(result, i, 2),
                                    .raised_us = kur__pg_time_us(result, i, 3)};
    return to->take(&shard, to->user, error);
}

kur_status kur__pg_look_shards(void *connection, kur_outbox_take_shard *take, void *user, kur_error *error)
{
    return kur__pg_each(connection, "looking at shards",
                        "SELECT s.shard, r.name, s.floor, CASE WHEN s.next_x > pg_snapshot_xmin(pg_current_snapshot())"
                        " THEN s.noted ELSE clock_timestamp() END FROM @.outbox_shard s LEFT JOIN @.outbox_relay r"
                        " ON r.name = s.owner AND r.takes_shards AND r.lease_until > clock_timestamp()"
                        " ORDER BY s.shard",
                        NULL, take_shard, &(struct shards){take, user}, error);
}

/* ---- Inboxes ---- */

struct positions {
    kur_inbox_take_position *take;
    void *user;
};

static kur_status take_position(const PGresult *result, int i, void *user, kur_error *error)
{
    const struct positions *to = user;
    kur_inbox_position position = {.size = sizeof position,
                                   .consumer = kur__pg_text(result, i, 0),
                                   .topic = kur__pg_text(result, i, 1),
                                   .partition = (int32_t)kur__pg_int(result, i, 2),
                                   .first = kur__pg_int(result, i, 4),
                                   .next = kur__pg_int(result, i, 5),
                                   .epoch = kur__pg_int(result, i, 6),
                                   .done = kur__pg_int(result, i, 7),
                                   .open = kur__pg_int(result, i, 8)};
    kur_bytes log_id = kur__pg_bytes(result, i, 3);
    if (log_id.size == sizeof position.log_id.bytes)
        memcpy(position.log_id.bytes, log_id.data, log_id.size);
    return to->take(&position, to->user, error);
}

/* Names are sorted by their bytes, whatever the database's language. */
kur_status kur__pg_positions(void *connection, const char *consumer, kur_inbox_take_position *take, void *user,
                             kur_error *error)
{
    struct kur__pg_values values = {0};
    kur__pg_add_bytes(&values, KUR__PG_TEXT, kur_bytes_text(consumer));
    return kur__pg_each(connection, "looking at positions",
                        "SELECT p.consumer, p.topic, p.partition, p.log_id, p.first_offset, p.next_offset, p.epoch,"
                        " (SELECT count(*) FROM @.inbox_done d WHERE d.position = p.id AND NOT d.is_open),"
                        " (SELECT count(*) FROM @.inbox_done d WHERE d.position = p.id AND d.is_open)"
                        " FROM @.inbox_position p WHERE $1 IS NULL OR p.consumer = $1"
                        " ORDER BY p.consumer COLLATE \"C\", p.topic COLLATE \"C\", p.partition",
                        &values, take_position, &(struct positions){take, user}, error);
}

#define THESE " WHERE consumer = $1 AND ($2 IS NULL OR topic = $2) AND ($3 < 0 OR partition = $3)"

/* The lock first, by itself: rows that were made while it was waited for are seen by the next statement alone. */
static kur_status remove_in(PGconn *connection, const char *consumer, const char *topic, int32_t partition,
                            int32_t *count, kur_error *error)
{
    struct kur__pg_values values = {0}, whose = {0};
    PGresult *result = NULL;
    kur__pg_add_text(&values, consumer);
    kur__pg_add_bytes(&values, KUR__PG_TEXT, kur_bytes_text(topic));
    kur__pg_add_int4(&values, topic != NULL ? partition : -1);
    kur__pg_add_text(&whose, consumer);
    kur_status status =
        kur__pg_run(connection, "waiting for handlers",
                    "SELECT FROM @.inbox_position" THESE " ORDER BY topic, partition FOR UPDATE", &values, NULL, error);
    if (status == KUR_OK)
        status = kur__pg_run(connection, "forgetting a consumer",
                             "WITH gone AS (DELETE FROM @.inbox_position" THESE " RETURNING id),"
                             " done AS (DELETE FROM @.inbox_done d USING gone g WHERE d.position = g.id)"
                             " SELECT count(*) FROM gone",
                             &values, &result, error);
    if (status == KUR_OK)
        *count = (int32_t)kur__pg_int(result, 0, 0);
    PQclear(result);
    if (status == KUR_OK && topic == NULL)
        status = kur__pg_run(connection, "forgetting a consumer's noted ids",
                             "DELETE FROM @.inbox_message WHERE consumer = $1", &whose, NULL, error);
    return status;
}

kur_status kur__pg_remove(void *connection, const char *consumer, const char *topic, int32_t partition, int32_t *count,
                          kur_error *error)
{
    int32_t removed = 0;
    kur_status status = kur__pg_begin_own(connection, error);
    if (status == KUR_OK)
        status = kur__pg_end(connection, remove_in(connection, consumer, topic, partition, &removed, error), error);
    if (status == KUR_OK)
        *count = removed;
    return status;
}
