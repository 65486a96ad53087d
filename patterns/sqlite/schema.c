/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The tables. A number of their own says how they are; those who change it add a step from each earlier one.
 * The outbox is one tree, by shard and id, without an index or a counter beside it: what a commit writes is pages, and
 * an event is to cost its writer one.
 */
#include "sqlite/sqlite.h"

/* Types are checked, for SQLite takes any in any column; a row that cannot be read back could never be deleted. */
static const char tables[] =
    "CREATE TABLE IF NOT EXISTS main.kurier_meta(\n"
    "  one INTEGER PRIMARY KEY CHECK (one = 1),\n"
    "  schema INTEGER NOT NULL,\n"
    "  shards INTEGER NOT NULL CHECK (shards BETWEEN 1 AND 256),\n"
    "  id BLOB NOT NULL);\n"
    "CREATE TABLE IF NOT EXISTS main.kurier_outbox(\n"
    "  shard INTEGER NOT NULL CHECK (typeof(shard) = 'integer'),\n"
    "  id INTEGER NOT NULL CHECK (typeof(id) = 'integer' AND id & 255 = shard),\n"
    "  mark INTEGER NOT NULL CHECK (typeof(mark) = 'integer'),\n"
    "  topic TEXT NOT NULL,\n"
    "  partition INTEGER NOT NULL,\n"
    "  \"key\" BLOB,\n"
    "  headers BLOB,\n"
    "  value BLOB,\n"
    "  created INTEGER NOT NULL,\n"
    "  PRIMARY KEY (shard, id)) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.kurier_outbox_relay(\n"
    "  name TEXT PRIMARY KEY NOT NULL,\n"
    "  guarantee INTEGER NOT NULL,\n"
    "  lease_until INTEGER NOT NULL,\n"
    "  is_owner INTEGER NOT NULL) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.kurier_outbox_parked(\n"
    "  id INTEGER PRIMARY KEY NOT NULL,\n"
    "  shard INTEGER NOT NULL CHECK (typeof(shard) = 'integer'),\n"
    "  mark INTEGER NOT NULL CHECK (typeof(mark) = 'integer'),\n"
    "  topic TEXT NOT NULL,\n"
    "  partition INTEGER NOT NULL,\n"
    "  \"key\" BLOB,\n"
    "  headers BLOB,\n"
    "  value BLOB,\n"
    "  created INTEGER NOT NULL,\n"
    "  is_behind INTEGER NOT NULL,\n"
    "  error TEXT,\n"
    "  attempts INTEGER NOT NULL,\n"
    "  parked INTEGER NOT NULL);\n"
    "CREATE INDEX IF NOT EXISTS main.kurier_outbox_parked_shard ON kurier_outbox_parked(shard);\n"
    "CREATE INDEX IF NOT EXISTS main.kurier_outbox_parked_key ON kurier_outbox_parked(shard, \"key\", is_behind);\n"
    "CREATE TABLE IF NOT EXISTS main.kurier_outbox_blocked(\n"
    "  shard INTEGER NOT NULL,\n"
    "  \"key\" BLOB NOT NULL,\n"
    "  first_id INTEGER NOT NULL,\n"
    "  PRIMARY KEY (shard, \"key\")) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.kurier_inbox_position(\n"
    "  consumer TEXT NOT NULL,\n"
    "  topic TEXT NOT NULL,\n"
    "  partition INTEGER NOT NULL,\n"
    "  log_id BLOB NOT NULL,\n"
    "  first_offset INTEGER NOT NULL,\n"
    "  next_offset INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  PRIMARY KEY (consumer, topic, partition)) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.kurier_inbox_done(\n"
    "  consumer TEXT NOT NULL,\n"
    "  topic TEXT NOT NULL,\n"
    "  partition INTEGER NOT NULL,\n"
    "  \"offset\" INTEGER NOT NULL,\n"
    "  is_open INTEGER NOT NULL,\n"
    "  PRIMARY KEY (consumer, topic, partition, \"offset\")) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.kurier_inbox_message(\n"
    "  consumer TEXT NOT NULL,\n"
    "  event_id TEXT NOT NULL,\n"
    "  noted INTEGER NOT NULL,\n"
    "  PRIMARY KEY (consumer, event_id)) WITHOUT ROWID;\n"
    "CREATE INDEX IF NOT EXISTS main.kurier_inbox_message_noted ON kurier_inbox_message(consumer, noted);\n";

static const char meta[] = "INSERT INTO main.kurier_meta(one, schema, shards, id)\n"
                           "  SELECT 1, %d, %d, randomblob(16) WHERE NOT EXISTS (SELECT 1 FROM main.kurier_meta);\n";

/* What leads from schema `from` to this one, in a transaction that is open. */
static kur_status statements(int32_t from, int32_t shards, kur_buffer *buffer, kur_error *error)
{
    kur_status status = KUR_OK;
    if (from == 0) {
        status = kur_buffer_print(buffer, "%s", tables);
        if (status == KUR_OK)
            status = kur_buffer_print(buffer, meta, KUR__SQLITE_SCHEMA, shards);
    }
    return status == KUR_OK ? KUR_OK : kur_error_set(error, status, "out of memory");
}

kur_status kur__sqlite_schema_text(void *database, int32_t from, int32_t shards, kur_buffer *buffer, kur_error *error)
{
    (void)database;
    if (from < 0 || from > KUR__SQLITE_SCHEMA)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "from is %d: 0 to %d", from, KUR__SQLITE_SCHEMA);
    if (shards < 1 || shards > KUR_OUTBOX_SHARDS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "shards is %d: 1 to %d", shards, KUR_OUTBOX_SHARDS_MAX);
    if (from == KUR__SQLITE_SCHEMA)
        return KUR_OK;
    kur_status status = kur_buffer_print(buffer, "PRAGMA journal_mode = WAL;\nBEGIN IMMEDIATE;\n");
    if (status == KUR_OK)
        status = statements(from, shards, buffer, error);
    if (status == KUR_OK)
        status = kur_buffer_print(buffer, "COMMIT;\n");
    return status == KUR_OK ? KUR_OK : kur_error_set(error, status, "out of memory");
}

kur_status kur__sqlite_schema_read(void *connection, int32_t *schema, int32_t *shards, kur_uuid *id, kur_error *error)
{
    int64_t tables_there = 0;
    kur_status status = kur__sqlite_number(
        connection, "SELECT count(*) FROM main.sqlite_master WHERE type = 'table' AND name = 'kurier_meta'",
        KUR__NO_VALUES, &tables_there, NULL, error);
    sqlite3_stmt *statement = NULL;
    bool is_row = false;
    if (status == KUR_OK && tables_there > 0)
        status =
            kur__sqlite_statement(connection, "SELECT schema, shards, id FROM main.kurier_meta", &statement, error);
    if (statement != NULL)
        status = kur__sqlite_step(statement, &is_row, error);
    if (status != KUR_OK)
        return status;
    *schema = *shards = 0;
    *id = (kur_uuid){{0}};
    if (!is_row)
        return KUR_OK;
    *schema = sqlite3_column_int(statement, 0);
    *shards = sqlite3_column_int(statement, 1);
    kur_bytes found = kur__sqlite_bytes(statement, 2);
    bool is_known = *schema > 0 && *shards > 0 && *shards <= KUR_OUTBOX_SHARDS_MAX && found.size == sizeof id->bytes;
    if (is_known) {
        memcpy(id->bytes, found.data, sizeof id->bytes);
        id->bytes[6] = (id->bytes[6] & 0x0f) | 0x40; /* version 4: what is random */
        id->bytes[8] = (id->bytes[8] & 0x3f) | 0x80;
    }
    kur__sqlite_reset(statement);
    return is_known ? KUR_OK : kur_error_set(error, KUR_ERROR_SCHEMA, "the table kurier_meta is not as it was made");
}

kur_status kur__sqlite_migrate(void *connection, int32_t shards, kur_error *error)
{
    int32_t from = 0, shards_there = 0;
    kur_uuid id;
    kur_buffer text = {0};
    if (shards < 1 || shards > KUR_OUTBOX_SHARDS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "shards is %d: 1 to %d", shards, KUR_OUTBOX_SHARDS_MAX);
    kur_status status = kur__sqlite_begin(connection, error);
    if (status != KUR_OK)
        return status;
    status = kur__sqlite_schema_read(connection, &from, &shards_there, &id, error);
    if (status == KUR_OK && from > KUR__SQLITE_SCHEMA)
        status = kur_error_set(error, KUR_ERROR_SCHEMA, "the tables are of schema %d, and this library knows %d", from,
                               KUR__SQLITE_SCHEMA);
    if (status == KUR_OK)
        status = statements(from, shards, &text, error);
    if (status == KUR_OK && text.size > 0 && sqlite3_exec(connection, text.data, NULL, NULL, NULL) != SQLITE_OK)
        status = kur__sqlite_error(connection, "making the tables", error);
    kur_buffer_done(&text);
    return kur__sqlite_end(connection, status, error);
}
