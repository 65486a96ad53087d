/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    CONNECTIONS_MAX = 8
};

struct store {
    const struct store_kind *kind;
    const char *where;
    kur_database *database;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t returned;
    void *idle[CONNECTIONS_MAX];
    size_t idle_count, given;
};

static const char *const nothing[] = {NULL};

struct store *store_open(const char *file, const char *postgres, const char *tables, kur_error *error)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->returned, NULL);
    store->kind = &store_sqlite;
    store->where = file;
    if (postgres != NULL) {
#ifdef SHOP_WITH_POSTGRES
        store->kind = &store_postgres;
        store->where = postgres;
#else
        kur_error_set(error, KUR_ERROR_UNSUPPORTED, "--postgres: built without libpq");
#endif
    }
    if (error->code == KUR_OK)
        store->database = store->kind->open(store->where, error);
    if (store->database != NULL && store_query(store, tables, nothing, NULL, NULL, error) == KUR_OK)
        return store;
    store_close(store);
    return NULL;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    while (store->idle_count > 0)
        store->kind->disconnect(store->idle[--store->idle_count]);
    kur_database_free(store->database);
    pthread_cond_destroy(&store->returned);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

kur_database *store_database(struct store *store)
{
    return store != NULL ? store->database : NULL;
}

/* Takes a connection back, if there is one that can go on. */
static void give_back(struct store *store, void *connection)
{
    bool is_kept = connection != NULL && store->kind->is_alive(connection);
    if (connection != NULL && !is_kept)
        store->kind->disconnect(connection);
    pthread_mutex_lock(&store->lock);
    if (is_kept)
        store->idle[store->idle_count++] = connection;
    store->given--;
    pthread_cond_signal(&store->returned);
    pthread_mutex_unlock(&store->lock);
}

void *store_begin(struct store *store, kur_error *error)
{
    void *connection = NULL;
    pthread_mutex_lock(&store->lock);
    while (store->given == store->kind->connections)
        pthread_cond_wait(&store->returned, &store->lock);
    store->given++;
    if (store->idle_count > 0)
        connection = store->idle[--store->idle_count];
    pthread_mutex_unlock(&store->lock);
    if (connection == NULL)
        connection = store->kind->connect(store->where, error);
    if (connection != NULL && store_run(store, connection, store->kind->begin, nothing, error) == KUR_OK)
        return connection;
    give_back(store, connection);
    return NULL;
}

kur_status store_end(struct store *store, void *transaction, kur_error *error)
{
    kur_error ignored = {0};
    kur_status status = error->code;
    if (transaction == NULL)
        return status;
    if (status == KUR_OK)
        status = store_run(store, transaction, "COMMIT", nothing, error);
    if (status != KUR_OK)
        store_run(store, transaction, "ROLLBACK", nothing, &ignored);
    give_back(store, transaction);
    return status;
}

kur_status store_run(struct store *store, void *transaction, const char *sql, const char *const values[],
                     kur_error *error)
{
    return store->kind->run(transaction, sql, values, NULL, NULL, error);
}

kur_status store_query(struct store *store, const char *sql, const char *const values[], kur_arena *arena,
                       const char *row[], kur_error *error)
{
    void *transaction = store_begin(store, error);
    if (transaction == NULL)
        return error->code;
    store->kind->run(transaction, sql, values, arena, row, error);
    return store_end(store, transaction, error);
}
