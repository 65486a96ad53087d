/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "postgres/postgres.h"

#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>

enum {
    CONNECT_TIMEOUT_MS = 10000
};

static void free_postgres(void *database)
{
    struct kur__postgres *postgres = database;
    if (postgres->conninfo != NULL)
        explicit_bzero(postgres->conninfo, strlen(postgres->conninfo)); /* there may be a password in it */
    kur_free(postgres->conninfo);
    pthread_mutex_destroy(&postgres->lock);
    kur_free(postgres);
}

static const kur_driver driver = {.size = sizeof(kur_driver),
                                  .name = "postgres",
                                  .schema = KUR__POSTGRES_SCHEMA,
                                  .connect = kur__pg_connect,
                                  .disconnect = kur__pg_disconnect,
                                  .free = free_postgres,
                                  .begin = kur__pg_begin,
                                  .commit = kur__pg_commit,
                                  .rollback = kur__pg_rollback,
                                  .schema_text = kur__pg_schema_text,
                                  .migrate = kur__pg_migrate,
                                  .schema_read = kur__pg_schema_read,
                                  .outbox_add = kur__pg_add,
                                  .outbox_warn = kur__pg_warn,
                                  .outbox_claim = kur__pg_claim,
                                  .outbox_read = kur__pg_read,
                                  .outbox_delete = kur__pg_delete,
                                  .outbox_park = kur__pg_park,
                                  .outbox_raise = kur__pg_raise,
                                  .outbox_figures = kur__pg_figures,
                                  .outbox_shards = kur__pg_look_shards,
                                  .outbox_relays = kur__pg_relays,
                                  .outbox_parked = kur__pg_parked,
                                  .outbox_unpark = kur__pg_unpark,
                                  .outbox_drop = kur__pg_drop,
                                  .inbox_join = kur__pg_join,
                                  .inbox_enter = kur__pg_enter,
                                  .inbox_leave_open = kur__pg_leave_open,
                                  .inbox_move = kur__pg_move,
                                  .inbox_reset = kur__pg_reset,
                                  .inbox_note = kur__pg_note,
                                  .inbox_forget = kur__pg_forget,
                                  .inbox_positions = kur__pg_positions,
                                  .inbox_remove = kur__pg_remove};

/* A name that needs no quotes, and says nothing else in a statement. */
static bool is_schema_name(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return size > 0 && size <= 48 && name[size] == '\0' && (*name < '0' || *name > '9');
}

static kur_status check_options(const kur_postgres_options *options, kur_error *error)
{
    if (options->schema != NULL && !is_schema_name(options->schema))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "kur_postgres_options.schema is not [a-z_][a-z0-9_]{0,47}");
    if (options->connect_timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "kur_postgres_options.connect_timeout_ms is negative");
    if (options->conninfo == NULL)
        return KUR_OK;
    char *why = NULL, line[300];
    PQconninfoOption *parsed = PQconninfoParse(options->conninfo, &why);
    if (parsed != NULL) {
        PQconninfoFree(parsed);
        return KUR_OK;
    }
    if (why == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    kur__pg_mask(why, line, sizeof line);
    PQfreemem(why);
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "kur_postgres_options.conninfo: %s", line);
}

static struct kur__postgres *new_postgres(const kur_postgres_options *options)
{
    struct kur__postgres *made = kur_calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->conninfo = kur_strdup(options->conninfo);
    if ((made->conninfo == NULL) != (options->conninfo == NULL)) {
        kur_free(made);
        return NULL;
    }
    const char *schema = options->schema != NULL ? options->schema : "kurier";
    memcpy(made->schema, schema, strlen(schema) + 1);
    made->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    made->prepares = options->prepares;
    pthread_mutex_init(&made->lock, NULL);
    return made;
}

kur_database *kur_postgres_new(const kur_postgres_options *given, kur_error *error)
{
    kur_postgres_options options;
    if (kur_options_take(&options, sizeof options, given, "kur_postgres_options", error) != KUR_OK ||
        check_options(&options, error) != KUR_OK)
        return NULL;
    struct kur__postgres *postgres = new_postgres(&options);
    if (postgres == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    kur_database *database = kur_database_new(&driver, postgres, error);
    if (database == NULL)
        free_postgres(postgres);
    return database;
}
