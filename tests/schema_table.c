/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "schema_table.h"

#include <kurier/sys/clock.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"

kur_uuid schema_table_guid(uint32_t id)
{
    kur_uuid guid = {{0xfe, 0xed}};
    memcpy(guid.bytes + 12, &id, sizeof id);
    return guid;
}

static void hold(schema_table *table, int id)
{
    atomic_fetch_add(&table->held, 1);
    while (id == atomic_load(&table->held_id))
        usleep(1000);
    atomic_fetch_sub(&table->held, 1);
}

static kur_status ask(schema_table *table, uint32_t id, int timeout_ms, kur_error *error)
{
    int away = atomic_load(&table->away), asked = atomic_load(&table->asked);
    if (asked < SCHEMA_TABLE_TIMES)
        atomic_store(&table->asked_at_us[asked], kur_clock_monotonic_us());
    atomic_fetch_add(&table->asked, 1);
    atomic_store(&table->waited_ms, timeout_ms);
    if (id != 0 && (int)id == atomic_load(&table->held_id))
        hold(table, (int)id);
    if (away != KUR_OK)
        usleep((useconds_t)atomic_load(&table->silent_ms) * 1000);
    if (away == KUR_OK && id != 0 && (int)id == atomic_load(&table->away_id))
        away = KUR_ERROR_UNREACHABLE;
    return away == KUR_OK ? KUR_OK : kur_error_set(error, (kur_status)away, "the table is away");
}

static kur_status find(schema_table *table, uint32_t id, kur_schema **schema, kur_error *error)
{
    kur_status status = kur_error_set(error, KUR_ERROR_UNKNOWN_SCHEMA, "the table has none");
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i].id != id && !(i == 0 && id >= SCHEMA_TABLE_SAME && id < 1000000))
            continue;
        if (table->rows[i].text != NULL) {
            status = kur_schema_parse(kur_bytes_text(table->rows[i].text), NULL, 0, schema, error);
        } else if (table->rows[i].schema == NULL) {
            status = kur_error_set(error, KUR_ERROR_UNSUPPORTED, "it is a JSON Schema");
        } else {
            *schema = kur_schema_ref(table->rows[i].schema);
            status = KUR_OK;
        }
        break;
    }
    pthread_mutex_unlock(&table->lock);
    return status;
}

static kur_status by_id(void *state, uint32_t id, int timeout_ms, kur_schema **schema, kur_error *error)
{
    kur_status status = ask(state, id, timeout_ms, error);
    return status == KUR_OK ? find(state, id, schema, error) : status;
}

static kur_status by_guid(void *state, const kur_uuid *guid, int timeout_ms, kur_schema **schema, kur_error *error)
{
    uint32_t id;
    memcpy(&id, guid->bytes + 12, sizeof id);
    kur_status status = ask(state, id, timeout_ms, error);
    return status == KUR_OK ? find(state, id, schema, error) : status;
}

static kur_status by_fingerprint(void *state, uint64_t fingerprint, int timeout_ms, kur_schema **schema,
                                 kur_error *error)
{
    schema_table *table = state;
    kur_status status = ask(table, 0, timeout_ms, error);
    uint32_t id = 0;
    if (status != KUR_OK)
        return status;
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].schema != NULL && kur_schema_fingerprint(table->rows[i].schema) == fingerprint)
            id = table->rows[i].id;
    pthread_mutex_unlock(&table->lock);
    return id != 0 ? find(table, id, schema, error) : kur_error_set(error, KUR_ERROR_UNKNOWN_SCHEMA, "none has it");
}

static void add(schema_table *table, uint32_t id, kur_schema *schema, const char *text)
{
    ck_assert_uint_lt(table->count, SCHEMA_TABLE_ROWS);
    table->rows[table->count].id = id;
    table->rows[table->count].text = text;
    table->rows[table->count++].schema = schema != NULL ? kur_schema_ref(schema) : NULL;
}

/* Registers what is not there yet. */
static kur_status place(void *state, const char *topic, kur_schema *schema, int timeout_ms, kur_schema_place *result,
                        kur_error *error)
{
    schema_table *table = state;
    uint32_t id = 0;
    ck_assert_uint_eq(result->size, sizeof *result);
    atomic_fetch_add(&table->placed, 1);
    kur_status status = ask(table, 0, timeout_ms, error);
    if (status != KUR_OK)
        return status;
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].schema != NULL &&
            kur_schema_fingerprint(table->rows[i].schema) == kur_schema_fingerprint(schema))
            id = table->rows[i].id;
    if (id == 0) {
        id = 100 + (uint32_t)table->count;
        add(table, id, schema, NULL);
    }
    pthread_mutex_unlock(&table->lock);
    if (atomic_load(&table->has_no_names))
        return KUR_OK;
    result->id = id;
    result->has_guid = true;
    result->guid = schema_table_guid(id);
    snprintf(result->url, sizeof result->url, "https://schemas.test/%s/%u", topic, (unsigned)id);
    return KUR_OK;
}

void schema_table_init(schema_table *table)
{
    memset(table, 0, sizeof *table);
    pthread_mutex_init(&table->lock, NULL);
    table->schemas = (kur_schemas){.size = sizeof table->schemas,
                                   .state = table,
                                   .by_id = by_id,
                                   .by_guid = by_guid,
                                   .by_fingerprint = by_fingerprint,
                                   .place = place};
}

void schema_table_done(schema_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        kur_schema_unref(table->rows[i].schema);
    pthread_mutex_destroy(&table->lock);
}

void schema_table_add(schema_table *table, uint32_t id, kur_schema *schema)
{
    pthread_mutex_lock(&table->lock);
    add(table, id, schema, NULL);
    pthread_mutex_unlock(&table->lock);
}

void schema_table_add_text(schema_table *table, uint32_t id, const char *text)
{
    pthread_mutex_lock(&table->lock);
    add(table, id, NULL, text);
    pthread_mutex_unlock(&table->lock);
}
