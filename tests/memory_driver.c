/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one lock guards everything of a database. What a transaction has added stands in the tables with its
 * connection as the owner, and is seen by others when the owner is taken off, at commit; what it holds (a place in an
 * inbox) is waited for on `changed`. Each function of the driver begins with `enter`, which counts it and lets it fail,
 * and ends with `leave`.
 */
#include "memory_driver.h"

#include <check.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEMA = 1,
    LOCK_WAIT_MS = 10000,
    WAIT_MS = 60000,
    NAMES_MAX = 64
};

struct bytes {
    char *data; /* NULL: none */
    size_t size;
};

struct row {
    int64_t id;
    int32_t shard, partition;
    uint32_t mark;
    char *topic;
    struct bytes key, headers, value;
    int64_t created_us;
    struct connection *owner; /* in whose transaction it was added; NULL: committed */
    /* Of a parked one. */
    bool is_behind;
    char *error;
    int32_t attempts;
    int64_t parked_us;
};

struct blocked {
    int32_t shard;
    struct bytes key;
    int64_t first_id;
};

struct shard {
    int64_t floor, floor_us;
    char *owner; /* a relay's name */
    int64_t lease_until_us;
};

struct relay {
    char *name;
    int32_t guarantee;
    int64_t until_us;
    bool takes_shards;
};

struct position {
    char *consumer, *topic;
    int32_t partition;
    kur_uuid log_id;
    int64_t first, next, epoch;
};

struct done {
    size_t position; /* its index */
    int64_t offset;
    bool is_open;
    struct connection *owner; /* who added it, or closes it */
    bool was_open;            /* before its owner closed it */
    bool leaves;              /* when its owner commits */
};

struct note {
    char *consumer, *event_id;
    int64_t noted_us;
    struct connection *owner;
};

/* A sum of the service's, or a part of one that a transaction adds. */
struct sum {
    char *name;
    int64_t value;
    struct connection *owner;
};

struct table {
    void *items;
    size_t count, capacity, item_size;
};

struct memory {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int32_t schema, shard_count;
    kur_uuid id;
    int64_t next_id, forward_us, commits;
    bool one_relay, is_away;
    struct shard shards[KUR_OUTBOX_SHARDS_MAX];
    struct table rows;   /* by id */
    struct table parked; /* by shard and id */
    struct table blocked, relays, positions, done, notes, sums;
    struct connection *connections;

    struct memory_fault fault;
    int fault_seen;
    bool has_failed;
    memory_hook *hook;
    void *hook_user;
    struct {
        const char *name;
        int count;
    } calls[NAMES_MAX];
};

struct connection {
    struct memory *memory;
    struct connection *next;
    bool in_transaction, has_failed, is_broken;
    int64_t own_commits;
    size_t held[8]; /* positions that its transaction holds */
    size_t held_count;
    const struct memory_fault *late; /* what the call at hand ends with though it is done */
};

/* ---- Tables ---- */

static void *must(void *memory)
{
    ck_assert_ptr_nonnull(memory);
    return memory;
}

static char *copy_text(const char *text)
{
    return text != NULL ? must(strdup(text)) : NULL;
}

static struct bytes copy_bytes(kur_bytes from)
{
    struct bytes copy = {from.data != NULL ? must(malloc(from.size + 1)) : NULL, from.size};
    if (from.size > 0)
        memcpy(copy.data, from.data, from.size);
    return copy;
}

static kur_bytes view_bytes(const struct bytes *bytes)
{
    return kur_bytes_of(bytes->data, bytes->size);
}

static bool same_bytes(const struct bytes *a, const struct bytes *b)
{
    return kur_bytes_equal(view_bytes(a), view_bytes(b));
}

static void *at(const struct table *table, size_t index)
{
    return (char *)table->items + index * table->item_size;
}

static void *insert(struct table *table, size_t index, const void *item)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        table->items = must(realloc(table->items, table->capacity * table->item_size));
    }
    char *place = at(table, index);
    memmove(place + table->item_size, place, (table->count - index) * table->item_size);
    memcpy(place, item, table->item_size);
    table->count++;
    return place;
}

static void *append(struct table *table, const void *item)
{
    return insert(table, table->count, item);
}

/* Without freeing what it points to. */
static void remove_at(struct table *table, size_t index)
{
    char *place = at(table, index);
    memmove(place, place + table->item_size, (table->count - index - 1) * table->item_size);
    table->count--;
}

/* Takes out what `goes` says, in one pass. */
static size_t remove_if(struct table *table, bool (*goes)(void *item, void *user), void *user)
{
    size_t kept = 0, count = table->count;
    for (size_t i = 0; i < count; i++) {
        void *item = at(table, i);
        if (goes(item, user))
            continue;
        if (kept != i)
            memcpy(at(table, kept), item, table->item_size);
        kept++;
    }
    table->count = kept;
    return count - kept;
}

static void row_done(struct row *row)
{
    free(row->topic);
    free(row->key.data);
    free(row->headers.data);
    free(row->value.data);
    free(row->error);
}

/* Where a row of an id is, or would be. */
static size_t row_index(const struct memory *memory, int64_t id)
{
    size_t low = 0, high = memory->rows.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (((struct row *)at(&memory->rows, middle))->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct row *find_row(const struct memory *memory, const kur_outbox_id *id)
{
    for (size_t i = row_index(memory, id->id); i < memory->rows.count; i++) {
        struct row *row = at(&memory->rows, i);
        if (row->id != id->id)
            break;
        if (row->shard == id->shard && row->mark == id->mark && row->owner == NULL)
            return row;
    }
    return NULL;
}

static struct blocked *find_blocked(const struct memory *memory, int32_t shard, const struct bytes *key)
{
    for (size_t i = 0; i < memory->blocked.count && key->data != NULL; i++) {
        struct blocked *blocked = at(&memory->blocked, i);
        if (blocked->shard == shard && same_bytes(&blocked->key, key))
            return blocked;
    }
    return NULL;
}

static int64_t now_us(const struct memory *memory)
{
    return kur_clock_now_us() + memory->forward_us;
}

/* ---- The end of a transaction ---- */

struct ending {
    struct connection *connection;
    bool commits;
};

static bool end_row(void *item, void *user)
{
    struct ending *ending = user;
    struct row *row = item;
    if (row->owner != ending->connection)
        return false;
    row->owner = NULL;
    if (!ending->commits)
        row_done(row);
    return !ending->commits;
}

static bool end_done(void *item, void *user)
{
    struct ending *ending = user;
    struct done *done = item;
    if (done->owner != ending->connection)
        return false;
    done->owner = NULL;
    if (!ending->commits && done->was_open)
        done->is_open = true;
    bool goes = ending->commits ? done->leaves : !done->was_open;
    done->was_open = done->leaves = false;
    return goes;
}

static bool end_note(void *item, void *user)
{
    struct ending *ending = user;
    struct note *note = item;
    if (note->owner != ending->connection)
        return false;
    note->owner = NULL;
    if (!ending->commits) {
        free(note->consumer);
        free(note->event_id);
    }
    return !ending->commits;
}

static bool end_sum(void *item, void *user)
{
    struct ending *ending = user;
    struct sum *sum = item;
    if (sum->owner != ending->connection)
        return false;
    sum->owner = NULL;
    if (!ending->commits)
        free(sum->name);
    return !ending->commits;
}

static void note_change(struct connection *connection)
{
    connection->memory->commits++;
    connection->own_commits++;
}

static void end_transaction(struct connection *connection, bool commits)
{
    struct memory *memory = connection->memory;
    struct ending ending = {connection, commits};
    if (!connection->in_transaction)
        return;
    remove_if(&memory->rows, end_row, &ending);
    remove_if(&memory->done, end_done, &ending);
    remove_if(&memory->notes, end_note, &ending);
    remove_if(&memory->sums, end_sum, &ending);
    connection->in_transaction = connection->has_failed = false;
    connection->held_count = 0;
    if (commits)
        note_change(connection);
    pthread_cond_broadcast(&memory->changed);
}

/* ---- The frame of each call ---- */

enum place {
    ALONE, /* one by itself */
    INSIDE /* in the caller's transaction */
};

static const struct memory_fault *count_call(struct memory *memory, const char *name)
{
    for (size_t i = 0; i < NAMES_MAX; i++) {
        if (memory->calls[i].name == NULL)
            memory->calls[i].name = name;
        if (strcmp(memory->calls[i].name, name) == 0) {
            memory->calls[i].count++;
            break;
        }
    }
    const struct memory_fault *fault = &memory->fault;
    if (fault->nth == 0 || (fault->call != NULL && strcmp(fault->call, name) != 0))
        return NULL;
    int times = fault->times == 0 ? 1 : fault->times, seen = ++memory->fault_seen;
    if (seen < fault->nth || seen >= fault->nth + times)
        return NULL;
    memory->has_failed = true;
    return fault;
}

/* The connection ends as the status says, and so does the call. */
static kur_status make_fail(struct connection *connection, const char *name, kur_status status, bool retriable,
                            kur_error *error)
{
    if (status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_UNKNOWN_OUTCOME) {
        end_transaction(connection, false);
        connection->is_broken = true;
    } else if (connection->in_transaction) {
        connection->has_failed = true;
    }
    kur_error_set(error, status, "memory: %s was made to fail", name);
    if (error != NULL && retriable)
        error->retriable = true;
    return status;
}

static void tell_hook(struct memory *memory, const char *name)
{
    pthread_mutex_lock(&memory->lock);
    memory_hook *hook = memory->hook;
    void *user = memory->hook_user;
    pthread_mutex_unlock(&memory->lock);
    if (hook != NULL)
        hook(name, user);
}

/* With KUR_OK the lock is held, and `leave` ends it. */
static kur_status enter(struct connection *connection, const char *name, enum place place, kur_error *error)
{
    struct memory *memory = connection->memory;
    kur_status status = KUR_OK;
    tell_hook(memory, name);
    pthread_mutex_lock(&memory->lock);
    const struct memory_fault *fault = count_call(memory, name);
    connection->late = NULL;
    if (connection->is_broken)
        status = kur_error_set(error, KUR_ERROR_UNREACHABLE, "memory: the connection is broken");
    else if (place == INSIDE && !connection->in_transaction)
        status = kur_error_set(error, KUR_ERROR_INVALID_STATE, "memory: no transaction is open");
    else if (place == INSIDE && connection->has_failed)
        status = kur_error_set(error, KUR_ERROR_INVALID_STATE, "memory: the transaction has failed");
    else if (place == ALONE && connection->in_transaction)
        status = kur_error_set(error, KUR_ERROR_INVALID_STATE, "memory: %s in a transaction", name);
    else if (fault != NULL && !fault->happens)
        status = make_fail(connection, name, fault->status, fault->retriable, error);
    else if (memory->schema != SCHEMA && strstr(name, "box_") != NULL)
        status = kur_error_set(error, KUR_ERROR_SCHEMA, "memory: there are no tables");
    else
        connection->late = fault;
    if (status != KUR_OK)
        pthread_mutex_unlock(&memory->lock);
    return status;
}

static kur_status leave(struct connection *connection, const char *name, kur_status status, kur_error *error)
{
    struct memory *memory = connection->memory;
    if (status == KUR_OK && connection->late != NULL)
        status = make_fail(connection, name, connection->late->status, connection->late->retriable, error);
    pthread_cond_broadcast(&memory->changed);
    pthread_mutex_unlock(&memory->lock);
    return status;
}

/* ---- Connections ---- */

static kur_status driver_connect(void *database, void **made, kur_error *error)
{
    struct memory *memory = database;
    kur_status status = KUR_OK;
    tell_hook(memory, "connect");
    struct connection *connection = must(calloc(1, sizeof *connection));
    connection->memory = memory;
    pthread_mutex_lock(&memory->lock);
    const struct memory_fault *fault = count_call(memory, "connect");
    if (memory->is_away)
        status = kur_error_set(error, KUR_ERROR_UNREACHABLE, "memory: the database is away");
    else if (fault != NULL)
        status = make_fail(connection, "connect", fault->status, fault->retriable, error);
    if (status == KUR_OK) {
        connection->next = memory->connections;
        memory->connections = connection;
        *made = connection;
    } else {
        free(connection);
    }
    pthread_mutex_unlock(&memory->lock);
    return status;
}

static void driver_disconnect(void *given)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    tell_hook(memory, "disconnect");
    pthread_mutex_lock(&memory->lock);
    count_call(memory, "disconnect");
    end_transaction(connection, false);
    struct connection **at_it = &memory->connections;
    while (*at_it != connection)
        at_it = &(*at_it)->next;
    *at_it = connection->next;
    pthread_cond_broadcast(&memory->changed);
    pthread_mutex_unlock(&memory->lock);
    free(connection);
}

static void free_blocked(struct blocked *blocked)
{
    free(blocked->key.data);
}

static void driver_free(void *database)
{
    struct memory *memory = database;
    ck_assert_msg(memory->connections == NULL, "memory: a connection was not closed");
    for (size_t i = 0; i < memory->rows.count; i++)
        row_done(at(&memory->rows, i));
    for (size_t i = 0; i < memory->parked.count; i++)
        row_done(at(&memory->parked, i));
    for (size_t i = 0; i < memory->blocked.count; i++)
        free_blocked(at(&memory->blocked, i));
    for (size_t i = 0; i < memory->relays.count; i++)
        free(((struct relay *)at(&memory->relays, i))->name);
    for (size_t i = 0; i < memory->positions.count; i++) {
        struct position *position = at(&memory->positions, i);
        free(position->consumer);
        free(position->topic);
    }
    for (size_t i = 0; i < memory->notes.count; i++) {
        struct note *note = at(&memory->notes, i);
        free(note->consumer);
        free(note->event_id);
    }
    for (size_t i = 0; i < memory->sums.count; i++)
        free(((struct sum *)at(&memory->sums, i))->name);
    for (int i = 0; i < KUR_OUTBOX_SHARDS_MAX; i++)
        free(memory->shards[i].owner);
    struct table *tables[] = {&memory->rows,      &memory->parked, &memory->blocked, &memory->relays,
                              &memory->positions, &memory->done,   &memory->notes,   &memory->sums};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        free(tables[i]->items);
    pthread_cond_destroy(&memory->changed);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static kur_status driver_begin(void *given, kur_error *error)
{
    struct connection *connection = given;
    kur_status status = enter(connection, "begin", ALONE, error);
    if (status != KUR_OK)
        return status;
    connection->in_transaction = true;
    return leave(connection, "begin", KUR_OK, error);
}

static void driver_rollback(void *given)
{
    struct connection *connection = given;
    tell_hook(connection->memory, "rollback");
    pthread_mutex_lock(&connection->memory->lock);
    count_call(connection->memory, "rollback");
    end_transaction(connection, false);
    pthread_mutex_unlock(&connection->memory->lock);
}

static kur_status driver_commit(void *given, kur_error *error)
{
    struct connection *connection = given;
    if (connection->in_transaction && connection->has_failed) {
        driver_rollback(connection);
        return kur_error_set(error, KUR_ERROR_DATABASE, "memory: the transaction had failed, and is rolled back");
    }
    kur_status status = enter(connection, "commit", INSIDE, error);
    if (status == KUR_ERROR_DATABASE)
        driver_rollback(connection);
    if (status != KUR_OK)
        return status;
    end_transaction(connection, true);
    return leave(connection, "commit", KUR_OK, error);
}

static kur_status driver_changes(void *given, int64_t *number, kur_error *error)
{
    struct connection *connection = given;
    kur_status status = enter(connection, "changes", ALONE, error);
    if (status != KUR_OK)
        return status;
    *number = connection->memory->commits - connection->own_commits;
    return leave(connection, "changes", KUR_OK, error);
}

/* ---- Schema ---- */

static kur_status driver_schema_text(void *database, int32_t from, int32_t shards, kur_buffer *buffer, kur_error *error)
{
    (void)database;
    if (from < SCHEMA && kur_buffer_print(buffer, "make tables with %d shards;\n", (int)shards) != KUR_OK)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    return KUR_OK;
}

static void make_tables(struct memory *memory, int32_t shards)
{
    memory->schema = SCHEMA;
    memory->shard_count = shards;
    memory->next_id = 1;
    ck_assert_int_eq(kur_uuid_new(&memory->id, NULL), KUR_OK);
}

static kur_status driver_migrate(void *given, int32_t shards, kur_error *error)
{
    struct connection *connection = given;
    kur_status status = enter(connection, "migrate", ALONE, error);
    if (status != KUR_OK)
        return status;
    if (connection->memory->schema == 0)
        make_tables(connection->memory, shards);
    note_change(connection);
    return leave(connection, "migrate", KUR_OK, error);
}

static kur_status driver_schema_read(void *given, int32_t *schema, int32_t *shards, kur_uuid *id, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "schema_read", ALONE, error);
    if (status != KUR_OK)
        return status;
    *schema = memory->schema;
    *shards = memory->shard_count;
    *id = memory->id;
    return leave(connection, "schema_read", KUR_OK, error);
}

/* ---- Outbox: the writer's side ---- */

static struct row copy_row(const kur_outbox_row *from)
{
    return (struct row){.id = from->id,
                        .shard = from->shard,
                        .partition = from->partition,
                        .mark = from->mark,
                        .topic = copy_text(from->topic),
                        .key = copy_bytes(from->key),
                        .headers = copy_bytes(from->headers),
                        .value = copy_bytes(from->value),
                        .created_us = from->created_us};
}

static kur_outbox_row view_row(const struct row *row)
{
    return (kur_outbox_row){.size = sizeof(kur_outbox_row),
                            .id = row->id,
                            .shard = row->shard,
                            .partition = row->partition,
                            .mark = row->mark,
                            .topic = row->topic,
                            .key = view_bytes(&row->key),
                            .headers = view_bytes(&row->headers),
                            .value = view_bytes(&row->value),
                            .created_us = row->created_us};
}

static kur_status driver_outbox_add(void *database, void *transaction, const kur_outbox_row *given, kur_error *error)
{
    struct connection *connection = transaction;
    struct memory *memory = database;
    if (connection->memory != memory)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "memory: the connection is another database's");
    kur_status status = enter(connection, "outbox_add", INSIDE, error);
    if (status != KUR_OK)
        return status;
    ck_assert(given->id == 0 && given->shard >= 0 && given->shard < memory->shard_count);
    struct row row = copy_row(given);
    row.id = memory->next_id++;
    row.created_us = now_us(memory);
    row.owner = connection;
    insert(&memory->rows, row_index(memory, row.id), &row);
    return leave(connection, "outbox_add", KUR_OK, error);
}

/* ---- Outbox: the relay's side ---- */

static void give_back(struct memory *memory, const char *relay)
{
    for (int32_t i = 0; i < memory->shard_count; i++) {
        struct shard *shard = &memory->shards[i];
        if (shard->owner != NULL && strcmp(shard->owner, relay) == 0) {
            free(shard->owner);
            shard->owner = NULL;
        }
    }
}

struct going_relay {
    const char *name;
    int64_t now_us;
};

static bool relay_goes(void *item, void *user)
{
    struct relay *relay = item;
    struct going_relay *going = user;
    bool goes = strcmp(relay->name, going->name) == 0 || relay->until_us <= going->now_us;
    if (goes)
        free(relay->name);
    return goes;
}

/* How many shards are a relay's share; it is among those that are there. */
static int32_t share_of(const struct memory *memory)
{
    int32_t relays = 0;
    for (size_t i = 0; i < memory->relays.count; i++)
        relays += ((struct relay *)at(&memory->relays, i))->takes_shards;
    if (memory->one_relay)
        return memory->shard_count;
    return (memory->shard_count + relays - 1) / relays;
}

static void take_shards(struct memory *memory, const kur_outbox_claim *claim, int64_t now, int32_t *shards,
                        size_t *count)
{
    int32_t share = share_of(memory);
    size_t taken = 0;
    bool other_has = false;
    for (int own = 1; own >= 0; own--) {
        for (int32_t i = 0; i < memory->shard_count; i++) {
            struct shard *shard = &memory->shards[i];
            bool is_own = shard->owner != NULL && strcmp(shard->owner, claim->relay) == 0;
            bool is_free = shard->owner == NULL || shard->lease_until_us <= now;
            other_has = other_has || (!is_own && !is_free);
            if (own == 1 ? !is_own : is_own || !is_free || (memory->one_relay && other_has))
                continue;
            if ((int32_t)taken == share) {
                if (own == 1) {
                    free(shard->owner);
                    shard->owner = NULL;
                }
                continue;
            }
            if (own == 0) {
                free(shard->owner);
                shard->owner = copy_text(claim->relay);
            }
            shard->lease_until_us = now + claim->lease_ms * INT64_C(1000);
            shards[taken++] = i;
        }
    }
    *count = taken;
}

static kur_status claim_shards(struct memory *memory, const kur_outbox_claim *claim, int32_t *shards, size_t *count,
                               kur_error *error)
{
    int64_t now = now_us(memory);
    *count = 0;
    remove_if(&memory->relays, relay_goes, &(struct going_relay){claim->relay, now});
    if (claim->ends) {
        give_back(memory, claim->relay);
        return KUR_OK;
    }
    for (size_t i = 0; i < memory->relays.count; i++) {
        const struct relay *other = at(&memory->relays, i);
        if (other->guarantee != claim->guarantee)
            return kur_error_set(error, KUR_ERROR_INVALID_STATE, "memory: relay %s has the other guarantee",
                                 other->name);
    }
    append(&memory->relays, &(struct relay){.name = copy_text(claim->relay),
                                            .guarantee = claim->guarantee,
                                            .until_us = now + claim->lease_ms * INT64_C(1000),
                                            .takes_shards = claim->takes_shards});
    if (claim->takes_shards)
        take_shards(memory, claim, now, shards, count);
    else
        give_back(memory, claim->relay);
    return KUR_OK;
}

static kur_status driver_outbox_claim(void *given, const kur_outbox_claim *claim, int32_t *shards, size_t *count,
                                      kur_error *error)
{
    struct connection *connection = given;
    kur_status status = enter(connection, "outbox_claim", ALONE, error);
    if (status != KUR_OK)
        return status;
    note_change(connection);
    status = claim_shards(connection->memory, claim, shards, count, error);
    return leave(connection, "outbox_claim", status, error);
}

static bool row_is_blocked(const struct memory *memory, const struct row *row)
{
    const struct blocked *blocked = find_blocked(memory, row->shard, &row->key);
    return blocked != NULL && blocked->first_id < row->id;
}

static kur_status driver_outbox_read(void *given, const int32_t *shards, size_t count, int32_t rows, size_t bytes,
                                     kur_outbox_take *take, void *user, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_read", ALONE, error);
    if (status != KUR_OK)
        return status;
    size_t size = 0;
    for (size_t shard = 0; shard < count; shard++) {
        int32_t taken = 0;
        for (size_t i = 0; i < memory->rows.count && status == KUR_OK && size < bytes && taken < rows; i++) {
            const struct row *row = at(&memory->rows, i);
            if (row->owner != NULL || row->shard != shards[shard] || row->id <= memory->shards[row->shard].floor)
                continue;
            kur_outbox_row view = view_row(row);
            view.is_blocked = row_is_blocked(memory, row);
            taken++;
            size += row->key.size + row->headers.size + row->value.size;
            status = take(&view, user, error);
        }
    }
    return leave(connection, "outbox_read", status, error);
}

static bool row_is_gone(void *item, void *user)
{
    struct row *row = item;
    (void)user;
    bool goes = row->id < 0;
    if (goes)
        row_done(row);
    return goes;
}

static kur_status driver_outbox_delete(void *given, const kur_outbox_id *ids, size_t count, size_t *deleted,
                                       kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_delete", ALONE, error);
    if (status != KUR_OK)
        return status;
    struct row **found = must(calloc(count + 1, sizeof *found));
    for (size_t i = 0; i < count; i++)
        found[i] = find_row(memory, &ids[i]);
    for (size_t i = 0; i < count; i++)
        if (found[i] != NULL)
            found[i]->id = -1;
    free(found);
    size_t gone = remove_if(&memory->rows, row_is_gone, NULL);
    if (deleted != NULL)
        *deleted = gone;
    note_change(connection);
    return leave(connection, "outbox_delete", KUR_OK, error);
}

static size_t parked_index(const struct memory *memory, int32_t shard, int64_t id)
{
    size_t i = 0;
    for (; i < memory->parked.count; i++) {
        const struct row *row = at(&memory->parked, i);
        if (row->shard > shard || (row->shard == shard && row->id >= id))
            break;
    }
    return i;
}

static void block(struct memory *memory, const struct row *row)
{
    if (row->key.data == NULL)
        return;
    struct blocked *blocked = find_blocked(memory, row->shard, &row->key);
    if (blocked == NULL)
        append(&memory->blocked, &(struct blocked){row->shard, copy_bytes(view_bytes(&row->key)), row->id});
    else if (blocked->first_id > row->id)
        blocked->first_id = row->id;
}

static kur_status driver_outbox_park(void *given, const kur_outbox_parked_row *rows, size_t count, bool blocks_keys,
                                     kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_park", ALONE, error);
    if (status != KUR_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        const kur_outbox_parked_row *parks = &rows[i];
        struct row *there = find_row(memory, &(kur_outbox_id){parks->row.id, parks->row.shard, parks->row.mark});
        if (there == NULL || (parks->is_behind && !row_is_blocked(memory, there)))
            continue;
        struct row row = *there;
        remove_at(&memory->rows, (size_t)(there - (struct row *)memory->rows.items));
        row.is_behind = parks->is_behind;
        row.error = copy_text(parks->error);
        row.attempts = parks->attempts;
        row.parked_us = now_us(memory);
        insert(&memory->parked, parked_index(memory, row.shard, row.id), &row);
        if (blocks_keys && !row.is_behind)
            block(memory, &row);
    }
    note_change(connection);
    return leave(connection, "outbox_park", KUR_OK, error);
}

static kur_status driver_outbox_raise(void *given, const int32_t *shards, size_t count, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_raise", ALONE, error);
    if (status != KUR_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        struct shard *shard = &memory->shards[shards[i]];
        int64_t floor = memory->next_id - 1;
        for (size_t k = memory->rows.count; k > 0; k--) { /* those of open transactions too */
            const struct row *row = at(&memory->rows, k - 1);
            if (row->shard == shards[i])
                floor = row->id - 1;
        }
        if (floor > shard->floor)
            shard->floor = floor;
        shard->floor_us = now_us(memory);
    }
    note_change(connection);
    return leave(connection, "outbox_raise", KUR_OK, error);
}

static kur_status driver_outbox_figures(void *given, kur_outbox_figures *figures, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_figures", ALONE, error);
    if (status != KUR_OK)
        return status;
    *figures = (kur_outbox_figures){.size = sizeof *figures, .blocked = (int64_t)memory->blocked.count};
    for (size_t i = 0; i < memory->rows.count; i++) {
        const struct row *row = at(&memory->rows, i);
        if (row->owner != NULL)
            continue;
        figures->depth++;
        if (figures->oldest_us == 0 || row->created_us < figures->oldest_us)
            figures->oldest_us = row->created_us;
    }
    for (size_t i = 0; i < memory->parked.count; i++) {
        bool is_behind = ((struct row *)at(&memory->parked, i))->is_behind;
        figures->behind += is_behind;
        figures->parked += !is_behind;
    }
    for (int32_t i = 0; i < memory->shard_count; i++)
        if (i == 0 || memory->shards[i].floor_us < figures->floor_us)
            figures->floor_us = memory->shards[i].floor_us;
    return leave(connection, "outbox_figures", KUR_OK, error);
}

static kur_status driver_outbox_shards(void *given, kur_outbox_take_shard *take, void *user, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_shards", ALONE, error);
    if (status != KUR_OK)
        return status;
    for (int32_t i = 0; i < memory->shard_count && status == KUR_OK; i++) {
        const struct shard *shard = &memory->shards[i];
        bool is_owned = shard->owner != NULL && shard->lease_until_us > now_us(memory);
        kur_outbox_shard view = {.size = sizeof view,
                                 .shard = i,
                                 .owner = is_owned ? shard->owner : NULL,
                                 .floor = shard->floor,
                                 .raised_us = shard->floor_us};
        status = take(&view, user, error);
    }
    return leave(connection, "outbox_shards", status, error);
}

/* The name that comes next behind `name` (NULL: the first). */
static const struct relay *next_relay(const struct memory *memory, const char *name)
{
    const struct relay *next = NULL;
    for (size_t i = 0; i < memory->relays.count; i++) {
        const struct relay *relay = at(&memory->relays, i);
        if (relay->until_us > now_us(memory) && (name == NULL || strcmp(relay->name, name) > 0) &&
            (next == NULL || strcmp(relay->name, next->name) < 0))
            next = relay;
    }
    return next;
}

static kur_status driver_outbox_relays(void *given, kur_outbox_take_relay *take, void *user, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_relays", ALONE, error);
    if (status != KUR_OK)
        return status;
    for (const struct relay *relay = next_relay(memory, NULL); relay != NULL && status == KUR_OK;
         relay = next_relay(memory, relay->name)) {
        kur_outbox_relay view = {
            .size = sizeof view, .name = relay->name, .guarantee = relay->guarantee, .lease_until_us = relay->until_us};
        status = take(&view, user, error);
    }
    return leave(connection, "outbox_relays", status, error);
}

/* ---- Outbox: what was parked ---- */

static kur_status driver_outbox_parked(void *given, const kur_outbox_id *after, int32_t rows,
                                       kur_outbox_take_parked *take, void *user, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "outbox_parked", ALONE, error);
    if (status != KUR_OK)
        return status;
    size_t first = after != NULL ? parked_index(memory, after->shard, after->id + 1) : 0;
    for (size_t i = first; i < memory->parked.count && i - first < (size_t)rows && status == KUR_OK; i++) {
        const struct row *row = at(&memory->parked, i);
        kur_outbox_parked_row view = {.row = view_row(row),
                                      .is_behind = row->is_behind,
                                      .error = row->error,
                                      .attempts = row->attempts,
                                      .parked_us = row->parked_us};
        status = take(&view, user, error);
    }
    return leave(connection, "outbox_parked", status, error);
}

/* The first row of the same key that was refused and is parked, from `from` on. */
static struct row *refused_of_key(const struct memory *memory, int32_t shard, const struct bytes *key)
{
    for (size_t i = 0; i < memory->parked.count && key->data != NULL; i++) {
        struct row *row = at(&memory->parked, i);
        if (row->shard == shard && !row->is_behind && same_bytes(&row->key, key))
            return row;
    }
    return NULL;
}

static void put_back(struct memory *memory, const struct row *parked)
{
    struct row row = *parked;
    struct shard *shard = &memory->shards[row.shard];
    free(row.error);
    row.error = NULL;
    row.is_behind = false;
    insert(&memory->rows, row_index(memory, row.id), &row);
    if (shard->floor >= row.id)
        shard->floor = row.id - 1;
}

/* What waited for a row of this key goes on, unless another one of it is parked. */
static void unblock(struct memory *memory, int32_t shard, const struct bytes *key)
{
    struct blocked *blocked = find_blocked(memory, shard, key);
    const struct row *other = refused_of_key(memory, shard, key);
    if (blocked == NULL)
        return;
    if (other != NULL) {
        blocked->first_id = other->id;
        return;
    }
    for (size_t i = memory->parked.count; i > 0; i--) {
        const struct row *row = at(&memory->parked, i - 1);
        if (row->shard == shard && same_bytes(&row->key, key)) {
            put_back(memory, row);
            remove_at(&memory->parked, i - 1);
        }
    }
    free_blocked(blocked);
    remove_at(&memory->blocked, (size_t)(blocked - (struct blocked *)memory->blocked.items));
}

static kur_status end_parking(void *given, const char *name, int64_t id, bool is_dropped, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, name, ALONE, error);
    if (status != KUR_OK)
        return status;
    size_t i = 0;
    while (i < memory->parked.count && ((struct row *)at(&memory->parked, i))->id != id)
        i++;
    if (i == memory->parked.count) {
        status = kur_error_set(error, KUR_ERROR_STALE, "memory: no row %lld is parked", (long long)id);
        return leave(connection, name, status, error);
    }
    struct row row = *(struct row *)at(&memory->parked, i);
    if (row.is_behind) {
        const struct row *first = refused_of_key(memory, row.shard, &row.key);
        status = kur_error_set(error, KUR_ERROR_INVALID_STATE, "memory: row %lld waits behind row %lld", (long long)id,
                               (long long)(first != NULL ? first->id : 0));
        return leave(connection, name, status, error);
    }
    remove_at(&memory->parked, i);
    if (!is_dropped)
        put_back(memory, &row);
    unblock(memory, row.shard, &row.key);
    if (is_dropped)
        row_done(&row);
    note_change(connection);
    return leave(connection, name, KUR_OK, error);
}

static kur_status driver_outbox_unpark(void *connection, int64_t id, kur_error *error)
{
    return end_parking(connection, "outbox_unpark", id, false, error);
}

static kur_status driver_outbox_drop(void *connection, int64_t id, kur_error *error)
{
    return end_parking(connection, "outbox_drop", id, true, error);
}

/* ---- Inbox ---- */

/* The index of a place's position, or how many there are. */
static size_t find_position(const struct memory *memory, const char *consumer, const char *topic, int32_t partition)
{
    size_t i = 0;
    for (; i < memory->positions.count; i++) {
        const struct position *position = at(&memory->positions, i);
        if (position->partition == partition && strcmp(position->consumer, consumer) == 0 &&
            strcmp(position->topic, topic) == 0)
            break;
    }
    return i;
}

static struct done *find_done(const struct memory *memory, size_t position, int64_t offset)
{
    for (size_t i = 0; i < memory->done.count; i++) {
        struct done *done = at(&memory->done, i);
        if (done->position == position && done->offset == offset)
            return done;
    }
    return NULL;
}

static bool is_held(const struct memory *memory, size_t position)
{
    for (const struct connection *c = memory->connections; c != NULL; c = c->next)
        for (size_t i = 0; i < c->held_count; i++)
            if (c->held[i] == position)
                return true;
    return false;
}

/* Waits for what another transaction holds; an error when it took too long, or the connection has broken meanwhile. */
static kur_status wait_changed(struct connection *connection, const struct timespec *deadline, kur_error *error)
{
    struct memory *memory = connection->memory;
    if (pthread_cond_timedwait(&memory->changed, &memory->lock, deadline) != 0) {
        kur_error_set(error, KUR_ERROR_DATABASE, "memory: a lock was not had in time");
        if (error != NULL)
            error->retriable = true;
        return KUR_ERROR_DATABASE;
    }
    if (connection->is_broken)
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "memory: the connection is broken");
    return KUR_OK;
}

struct forgotten {
    size_t position;
    int64_t from, below; /* INT64_MAX: all, what is open too */
};

static bool done_goes(void *item, void *user)
{
    const struct done *done = item;
    const struct forgotten *forgotten = user;
    return done->owner == NULL && done->position == forgotten->position && done->offset >= forgotten->from &&
           done->offset < forgotten->below && (!done->is_open || forgotten->below == INT64_MAX);
}

static kur_status driver_inbox_join(void *given, const kur_inbox_place *place, kur_uuid *log_id, int64_t *next,
                                    int64_t *epoch, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "inbox_join", ALONE, error);
    if (status != KUR_OK)
        return status;
    size_t index = find_position(memory, place->consumer, place->topic, place->partition);
    if (index == memory->positions.count) {
        append(&memory->positions, &(struct position){.consumer = copy_text(place->consumer),
                                                      .topic = copy_text(place->topic),
                                                      .partition = place->partition,
                                                      .log_id = *log_id,
                                                      .first = place->offset,
                                                      .next = place->offset,
                                                      .epoch = 1});
        note_change(connection);
    }
    const struct position *position = at(&memory->positions, index);
    *log_id = position->log_id;
    *epoch = position->epoch;
    if (next != NULL)
        *next = position->next;
    return leave(connection, "inbox_join", KUR_OK, error);
}

static void hold(struct connection *connection, size_t position)
{
    for (size_t i = 0; i < connection->held_count; i++)
        if (connection->held[i] == position)
            return;
    ck_assert_uint_lt(connection->held_count, sizeof connection->held / sizeof *connection->held);
    connection->held[connection->held_count++] = position;
}

/* The place's row of `done` when no other transaction is at it; NULL: there is none. */
static kur_status settled_done(struct connection *connection, size_t position, int64_t offset, struct done **done,
                               kur_error *error)
{
    struct timespec deadline = kur_deadline_after(LOCK_WAIT_MS);
    kur_status status = KUR_OK;
    while (status == KUR_OK) {
        *done = find_done(connection->memory, position, offset);
        if (*done == NULL || (*done)->owner == NULL || (*done)->owner == connection)
            break;
        status = wait_changed(connection, &deadline, error);
    }
    return status;
}

/* The row of a record, when nobody else is at it, and whether that says something; the epoch is held. */
static kur_status find_place(struct connection *connection, const kur_inbox_place *place, size_t *index,
                             struct done **done, kur_inbox_turn *turn, kur_error *error)
{
    struct memory *memory = connection->memory;
    *index = find_position(memory, place->consumer, place->topic, place->partition);
    struct position *position = *index < memory->positions.count ? at(&memory->positions, *index) : NULL;
    *turn = KUR_INBOX_LOST;
    if (position == NULL || position->epoch != place->epoch)
        return KUR_OK;
    hold(connection, *index);
    kur_status status = settled_done(connection, *index, place->offset, done, error);
    if (status != KUR_OK)
        return status;
    position = at(&memory->positions, *index);
    bool is_passed = place->offset >= position->first && place->offset < position->next;
    *turn = *done != NULL ? ((*done)->is_open ? KUR_INBOX_HANDLE : KUR_INBOX_DONE)
                          : (is_passed ? KUR_INBOX_DONE : KUR_INBOX_HANDLE);
    return KUR_OK;
}

static kur_status driver_inbox_enter(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn,
                                     kur_error *error)
{
    size_t index;
    struct done *done = NULL;
    struct connection *connection = transaction;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "inbox_enter", INSIDE, error);
    if (status != KUR_OK)
        return status;
    status = find_place(connection, place, &index, &done, turn, error);
    if (status != KUR_OK)
        connection->has_failed = true;
    if (status == KUR_OK && *turn == KUR_INBOX_HANDLE && done == NULL)
        append(&memory->done, &(struct done){.position = index, .offset = place->offset, .owner = connection});
    if (status == KUR_OK && *turn == KUR_INBOX_HANDLE && done != NULL) {
        const struct position *position = at(&memory->positions, index);
        done->is_open = false;
        done->was_open = true;
        done->leaves = place->offset >= position->first && place->offset < position->next;
        done->owner = connection;
    }
    return leave(connection, "inbox_enter", status, error);
}

static kur_status driver_inbox_leave_open(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn,
                                          kur_error *error)
{
    size_t index;
    struct done *done = NULL;
    struct connection *connection = transaction;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "inbox_leave_open", INSIDE, error);
    if (status != KUR_OK)
        return status;
    status = find_place(connection, place, &index, &done, turn, error);
    if (status != KUR_OK)
        connection->has_failed = true;
    if (status == KUR_OK && *turn == KUR_INBOX_HANDLE && done == NULL)
        append(&memory->done,
               &(struct done){.position = index, .offset = place->offset, .is_open = true, .owner = connection});
    return leave(connection, "inbox_leave_open", status, error);
}

static struct position *in_force(struct memory *memory, const kur_inbox_place *place, size_t *index, kur_error *error)
{
    *index = find_position(memory, place->consumer, place->topic, place->partition);
    struct position *position = *index < memory->positions.count ? at(&memory->positions, *index) : NULL;
    if (position != NULL && position->epoch == place->epoch)
        return position;
    kur_error_set(error, KUR_ERROR_FENCED, "memory: the partition has begun anew");
    return NULL;
}

static kur_status driver_inbox_move(void *given, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error)
{
    size_t index;
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "inbox_move", ALONE, error);
    if (status != KUR_OK)
        return status;
    struct position *position = in_force(memory, place, &index, error);
    if (position == NULL)
        return leave(connection, "inbox_move", KUR_ERROR_FENCED, error);
    if (position->next < 0)
        position->first = place->offset;
    if (position->next < place->offset)
        position->next = place->offset;
    position->log_id = *log_id;
    remove_if(&memory->done, done_goes, &(struct forgotten){index, position->first, position->next});
    note_change(connection);
    return leave(connection, "inbox_move", KUR_OK, error);
}

static kur_status driver_inbox_reset(void *given, const kur_inbox_place *place, const kur_uuid *log_id,
                                     kur_error *error)
{
    size_t index;
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    struct timespec deadline = kur_deadline_after(LOCK_WAIT_MS);
    kur_status status = enter(connection, "inbox_reset", ALONE, error);
    if (status != KUR_OK)
        return status;
    if (in_force(memory, place, &index, error) == NULL)
        return leave(connection, "inbox_reset", KUR_ERROR_FENCED, error);
    while (status == KUR_OK && is_held(memory, index))
        status = wait_changed(connection, &deadline, error);
    struct position *position = in_force(memory, place, &index, status == KUR_OK ? error : NULL);
    if (status == KUR_OK && position == NULL)
        status = KUR_ERROR_FENCED;
    if (status == KUR_OK) {
        remove_if(&memory->done, done_goes, &(struct forgotten){index, place->offset, INT64_MAX});
        position->next = place->offset;
        if (position->first < 0 || position->first > place->offset)
            position->first = place->offset;
        position->log_id = *log_id;
        position->epoch++;
        note_change(connection);
    }
    return leave(connection, "inbox_reset", status, error);
}

static struct note *find_note(const struct memory *memory, const char *consumer, const char *event_id)
{
    for (size_t i = 0; i < memory->notes.count; i++) {
        struct note *note = at(&memory->notes, i);
        if (strcmp(note->consumer, consumer) == 0 && strcmp(note->event_id, event_id) == 0)
            return note;
    }
    return NULL;
}

static kur_status driver_inbox_note(void *transaction, const char *consumer, const char *event_id, bool *was_there,
                                    kur_error *error)
{
    struct connection *connection = transaction;
    struct memory *memory = connection->memory;
    struct timespec deadline = kur_deadline_after(LOCK_WAIT_MS);
    struct note *note = NULL;
    kur_status status = enter(connection, "inbox_note", INSIDE, error);
    if (status != KUR_OK)
        return status;
    while (status == KUR_OK && (note = find_note(memory, consumer, event_id)) != NULL && note->owner != NULL &&
           note->owner != connection)
        status = wait_changed(connection, &deadline, error);
    if (status == KUR_OK) {
        *was_there = note != NULL;
        if (note == NULL)
            append(&memory->notes,
                   &(struct note){copy_text(consumer), copy_text(event_id), now_us(memory), connection});
    } else {
        connection->has_failed = true;
    }
    return leave(connection, "inbox_note", status, error);
}

static kur_status driver_inbox_forget(void *given, const char *consumer, int64_t before_us, int32_t most,
                                      int32_t *count, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "inbox_forget", ALONE, error);
    if (status != KUR_OK)
        return status;
    *count = 0;
    for (size_t i = memory->notes.count; i > 0 && *count < most; i--) {
        struct note *note = at(&memory->notes, i - 1);
        if (note->owner != NULL || note->noted_us >= before_us || strcmp(note->consumer, consumer) != 0)
            continue;
        free(note->consumer);
        free(note->event_id);
        remove_at(&memory->notes, i - 1);
        ++*count;
    }
    note_change(connection);
    return leave(connection, "inbox_forget", KUR_OK, error);
}

static int order_of(const struct position *a, const struct position *b)
{
    int order = strcmp(a->consumer, b->consumer);
    if (order == 0)
        order = strcmp(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

/* The one that comes next behind `before` (NULL: the first); those that were removed have no consumer. */
static const struct position *next_position(const struct memory *memory, const char *consumer,
                                            const struct position *before)
{
    const struct position *next = NULL;
    for (size_t i = 0; i < memory->positions.count; i++) {
        const struct position *position = at(&memory->positions, i);
        if (position->consumer[0] != '\0' && (consumer == NULL || strcmp(position->consumer, consumer) == 0) &&
            (before == NULL || order_of(position, before) > 0) && (next == NULL || order_of(position, next) < 0))
            next = position;
    }
    return next;
}

static kur_inbox_position view_position(const struct memory *memory, const struct position *position)
{
    kur_inbox_position view = {.size = sizeof view,
                               .consumer = position->consumer,
                               .topic = position->topic,
                               .partition = position->partition,
                               .log_id = position->log_id,
                               .first = position->first,
                               .next = position->next,
                               .epoch = position->epoch};
    size_t index = find_position(memory, position->consumer, position->topic, position->partition);
    for (size_t i = 0; i < memory->done.count; i++) {
        const struct done *done = at(&memory->done, i);
        bool is_open = done->is_open || done->was_open; /* until who closes it has committed */
        if (done->position != index || (done->owner != NULL && !done->was_open))
            continue;
        view.open += is_open;
        view.done += !is_open;
    }
    return view;
}

static kur_status driver_inbox_positions(void *given, const char *consumer, kur_inbox_take_position *take, void *user,
                                         kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    kur_status status = enter(connection, "inbox_positions", ALONE, error);
    if (status != KUR_OK)
        return status;
    for (const struct position *position = next_position(memory, consumer, NULL); position != NULL && status == KUR_OK;
         position = next_position(memory, consumer, position)) {
        kur_inbox_position view = view_position(memory, position);
        status = take(&view, user, error);
    }
    return leave(connection, "inbox_positions", status, error);
}

/* Its place in the table stays, for rows of records say where it is. */
static void remove_position(struct memory *memory, size_t index)
{
    struct position *position = at(&memory->positions, index);
    remove_if(&memory->done, done_goes, &(struct forgotten){index, 0, INT64_MAX});
    position->consumer[0] = '\0';
}

static bool note_goes(void *item, void *user)
{
    struct note *note = item;
    if (note->owner != NULL || strcmp(note->consumer, user) != 0)
        return false;
    free(note->consumer);
    free(note->event_id);
    return true;
}

static kur_status driver_inbox_remove(void *given, const char *consumer, const char *topic, int32_t partition,
                                      int32_t *count, kur_error *error)
{
    struct connection *connection = given;
    struct memory *memory = connection->memory;
    struct timespec deadline = kur_deadline_after(LOCK_WAIT_MS);
    kur_status status = enter(connection, "inbox_remove", ALONE, error);
    if (status != KUR_OK)
        return status;
    *count = 0;
    for (size_t i = 0; i < memory->positions.count && status == KUR_OK; i++) {
        const struct position *position = at(&memory->positions, i);
        if (strcmp(position->consumer, consumer) != 0 || (topic != NULL && strcmp(position->topic, topic) != 0) ||
            (topic != NULL && partition >= 0 && position->partition != partition))
            continue;
        while (status == KUR_OK && is_held(memory, i))
            status = wait_changed(connection, &deadline, error);
        if (status == KUR_OK) {
            remove_position(memory, i);
            ++*count;
        }
    }
    if (status == KUR_OK && topic == NULL)
        remove_if(&memory->notes, note_goes, (void *)(uintptr_t)consumer);
    note_change(connection);
    return leave(connection, "inbox_remove", status, error);
}

/* ---- What tests see ---- */

static const kur_driver driver = {.size = sizeof(kur_driver),
                                  .name = "memory",
                                  .schema = SCHEMA,
                                  .connect = driver_connect,
                                  .disconnect = driver_disconnect,
                                  .free = driver_free,
                                  .begin = driver_begin,
                                  .commit = driver_commit,
                                  .rollback = driver_rollback,
                                  .changes = driver_changes,
                                  .schema_text = driver_schema_text,
                                  .migrate = driver_migrate,
                                  .schema_read = driver_schema_read,
                                  .outbox_add = driver_outbox_add,
                                  .outbox_claim = driver_outbox_claim,
                                  .outbox_read = driver_outbox_read,
                                  .outbox_delete = driver_outbox_delete,
                                  .outbox_park = driver_outbox_park,
                                  .outbox_raise = driver_outbox_raise,
                                  .outbox_figures = driver_outbox_figures,
                                  .outbox_shards = driver_outbox_shards,
                                  .outbox_relays = driver_outbox_relays,
                                  .outbox_parked = driver_outbox_parked,
                                  .outbox_unpark = driver_outbox_unpark,
                                  .outbox_drop = driver_outbox_drop,
                                  .inbox_join = driver_inbox_join,
                                  .inbox_enter = driver_inbox_enter,
                                  .inbox_leave_open = driver_inbox_leave_open,
                                  .inbox_move = driver_inbox_move,
                                  .inbox_reset = driver_inbox_reset,
                                  .inbox_note = driver_inbox_note,
                                  .inbox_forget = driver_inbox_forget,
                                  .inbox_positions = driver_inbox_positions,
                                  .inbox_remove = driver_inbox_remove};

static kur_database *make(int shards, bool is_plain)
{
    struct memory *memory = must(calloc(1, sizeof *memory));
    struct {
        struct table *table;
        size_t item_size;
    } tables[] = {{&memory->rows, sizeof(struct row)},           {&memory->parked, sizeof(struct row)},
                  {&memory->blocked, sizeof(struct blocked)},    {&memory->relays, sizeof(struct relay)},
                  {&memory->positions, sizeof(struct position)}, {&memory->done, sizeof(struct done)},
                  {&memory->notes, sizeof(struct note)},         {&memory->sums, sizeof(struct sum)}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        tables[i].table->item_size = tables[i].item_size;
    pthread_mutex_init(&memory->lock, NULL);
    kur_condition_init(&memory->changed);
    memory->one_relay = is_plain;
    if (shards > 0)
        make_tables(memory, shards);
    kur_driver own = driver;
    own.one_relay = is_plain;
    if (is_plain)
        own.changes = NULL;
    kur_error error = {0};
    kur_database *database = kur_database_new(&own, memory, &error);
    ck_assert_msg(database != NULL, "%s", error.message);
    return database;
}

kur_database *memory_database(int shards)
{
    return make(shards, false);
}

kur_database *memory_database_plain(int shards)
{
    return make(shards, true);
}

static struct memory *lock(kur_database *database)
{
    struct memory *memory = kur_database_state(database);
    pthread_mutex_lock(&memory->lock);
    return memory;
}

static void unlock(struct memory *memory)
{
    pthread_cond_broadcast(&memory->changed);
    pthread_mutex_unlock(&memory->lock);
}

void *memory_begin(kur_database *database)
{
    kur_error error = {0};
    void *connection = NULL;
    kur_status status = driver_connect(kur_database_state(database), &connection, &error);
    if (status == KUR_OK)
        status = driver_begin(connection, &error);
    ck_assert_msg(status == KUR_OK, "%s", error.message);
    return connection;
}

void memory_commit(void *transaction)
{
    kur_error error = {0};
    ck_assert_msg(driver_commit(transaction, &error) == KUR_OK, "%s", error.message);
    driver_disconnect(transaction);
}

void memory_rollback(void *transaction)
{
    driver_rollback(transaction);
    driver_disconnect(transaction);
}

void memory_add(void *transaction, const char *name, int64_t much)
{
    struct connection *connection = transaction;
    struct memory *memory = connection->memory;
    pthread_mutex_lock(&memory->lock);
    /* One that is broken or has failed takes nothing; who goes on finds out at commit. */
    if (connection->in_transaction && !connection->has_failed)
        append(&memory->sums, &(struct sum){copy_text(name), much, connection});
    pthread_mutex_unlock(&memory->lock);
}

int64_t memory_sum(kur_database *database, const char *name)
{
    struct memory *memory = lock(database);
    int64_t sum = 0;
    for (size_t i = 0; i < memory->sums.count; i++) {
        const struct sum *part = at(&memory->sums, i);
        if (part->owner == NULL && strcmp(part->name, name) == 0)
            sum += part->value;
    }
    unlock(memory);
    return sum;
}

void memory_fail(kur_database *database, const struct memory_fault *fault)
{
    struct memory *memory = lock(database);
    memory->fault = fault != NULL ? *fault : (struct memory_fault){0};
    memory->fault_seen = 0;
    memory->has_failed = false;
    memset(memory->calls, 0, sizeof memory->calls);
    unlock(memory);
}

bool memory_has_failed(kur_database *database)
{
    struct memory *memory = lock(database);
    bool has = memory->has_failed;
    unlock(memory);
    return has;
}

int memory_calls(kur_database *database, const char *call)
{
    struct memory *memory = lock(database);
    int count = 0;
    for (size_t i = 0; i < NAMES_MAX && memory->calls[i].name != NULL; i++)
        if (call == NULL || strcmp(memory->calls[i].name, call) == 0)
            count += memory->calls[i].count;
    unlock(memory);
    return count;
}

void memory_away(kur_database *database, bool is_away)
{
    struct memory *memory = lock(database);
    memory->is_away = is_away;
    for (struct connection *c = memory->connections; is_away && c != NULL; c = c->next) {
        end_transaction(c, false);
        c->is_broken = true;
    }
    unlock(memory);
}

void memory_on_call(kur_database *database, memory_hook *hook, void *user)
{
    struct memory *memory = lock(database);
    memory->hook = hook;
    memory->hook_user = user;
    unlock(memory);
}

static struct memory_counts count_all(const struct memory *memory)
{
    struct memory_counts counts = {
        .parked = memory->parked.count, .blocked = memory->blocked.count, .relays = memory->relays.count};
    for (size_t i = 0; i < memory->rows.count; i++)
        counts.rows += ((struct row *)at(&memory->rows, i))->owner == NULL;
    for (size_t i = 0; i < memory->done.count; i++) {
        const struct done *done = at(&memory->done, i);
        counts.open += done->is_open || done->was_open;
        counts.done += !done->is_open && done->owner == NULL;
    }
    for (size_t i = 0; i < memory->notes.count; i++)
        counts.notes += ((struct note *)at(&memory->notes, i))->owner == NULL;
    for (const struct connection *c = memory->connections; c != NULL; c = c->next)
        counts.connections++;
    return counts;
}

struct memory_counts memory_count(kur_database *database)
{
    struct memory *memory = lock(database);
    struct memory_counts counts = count_all(memory);
    unlock(memory);
    return counts;
}

bool memory_wait(kur_database *database, size_t rows, size_t parked)
{
    struct memory *memory = lock(database);
    struct timespec deadline = kur_deadline_after(WAIT_MS);
    struct memory_counts counts = count_all(memory);
    while ((counts.rows != rows || counts.parked != parked) &&
           pthread_cond_timedwait(&memory->changed, &memory->lock, &deadline) == 0)
        counts = count_all(memory);
    unlock(memory);
    return counts.rows == rows && counts.parked == parked;
}

int64_t memory_floor(kur_database *database, int32_t shard)
{
    struct memory *memory = lock(database);
    int64_t floor = memory->shards[shard].floor;
    unlock(memory);
    return floor;
}

void memory_forward(kur_database *database, int64_t us)
{
    struct memory *memory = lock(database);
    memory->forward_us += us;
    unlock(memory);
}

void memory_next_id(kur_database *database, int64_t id)
{
    struct memory *memory = lock(database);
    memory->next_id = id;
    for (int i = 0; i < KUR_OUTBOX_SHARDS_MAX; i++)
        if (memory->shards[i].floor >= id)
            memory->shards[i].floor = id - 1;
    unlock(memory);
}

void memory_seize(kur_database *database, int32_t number, const char *relay, int64_t lease_us)
{
    struct memory *memory = lock(database);
    struct shard *shard = &memory->shards[number];
    free(shard->owner);
    shard->owner = copy_text(relay);
    shard->lease_until_us = now_us(memory) + lease_us;
    unlock(memory);
}
