/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "relaying.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void relaying_open(struct relaying *bed, kur_database *database)
{
    kur_error error = {0};
    ck_assert_ptr_nonnull(database);
    bed->client = support_client();
    bed->database = database;
    bed->outbox = kur_outbox_new(bed->client, database, NULL, &error);
    ck_assert_msg(bed->outbox != NULL, "%s", error.message);
}

void relaying_close(struct relaying *bed)
{
    kur_outbox_free(bed->outbox);
    kur_database_free(bed->database);
    kur_client_unref(bed->client);
}

kur_relay *relaying_start(struct relaying *bed, const kur_relay_options *options)
{
    kur_error error = {0};
    kur_relay *relay = kur_relay_new(bed->outbox, options, &error);
    ck_assert_msg(relay != NULL, "%s", error.message);
    ck_ok(kur_relay_start(relay, &error), error);
    return relay;
}

void relaying_end(kur_relay *relay)
{
    kur_error error = {0};
    ck_ok(kur_relay_stop(relay, 60000, &error), error);
    kur_relay_free(relay);
}

/* ---- Adding ---- */

void *relaying_connect(struct relaying *bed)
{
    kur_error error = {0};
    void *connection = NULL;
    ck_ok(kur_database_driver(bed->database)->connect(kur_database_state(bed->database), &connection, &error), error);
    return connection;
}

void relaying_disconnect(struct relaying *bed, void *connection)
{
    kur_database_driver(bed->database)->disconnect(connection);
}

void relaying_begin(struct relaying *bed, void *connection)
{
    kur_error error = {0};
    ck_ok(kur_database_driver(bed->database)->begin(connection, &error), error);
}

void relaying_commit(struct relaying *bed, void *connection)
{
    kur_error error = {0};
    ck_ok(kur_database_driver(bed->database)->commit(connection, &error), error);
}

void *relaying_write(struct relaying *bed)
{
    void *connection = relaying_connect(bed);
    relaying_begin(bed, connection);
    return connection;
}

void relaying_written(struct relaying *bed, void *connection)
{
    relaying_commit(bed, connection);
    relaying_disconnect(bed, connection);
}

void relaying_add(struct relaying *bed, void *connection, const char *topic, int key, int number)
{
    kur_error error = {0};
    char key_text[16], text[16];
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(text, sizeof text, "%d", number);
    kur_message message = KUR_MESSAGE(.topic = topic, .value = kur_bytes_text(text));
    if (key >= 0)
        message.key = kur_bytes_text(key_text);
    ck_ok(kur_outbox_add(bed->outbox, connection, &message, &error), error);
}

void relaying_send(struct relaying *bed, const char *topic, int key, int number)
{
    void *connection = relaying_write(bed);
    relaying_add(bed, connection, topic, key, number);
    relaying_written(bed, connection);
}

void relaying_send_many(struct relaying *bed, const char *topic, int keys, int first, int count)
{
    void *connection = relaying_write(bed);
    for (int i = first; i < first + count; i++)
        relaying_add(bed, connection, topic, i % keys, i);
    relaying_written(bed, connection);
}

/* ---- Topics ---- */

const char *relaying_topic(struct relaying *bed, const char *name, int partitions, kur_cleanup cleanup, int64_t limit)
{
    kur_error error = {0};
    kur_admin *admin = kur_admin_new(bed->client, &error);
    kur_arena *arena = kur_arena_new();
    kur_topic_differences differences;
    kur_topic_spec spec =
        KUR_TOPIC_SPEC(.name = name, .partitions = partitions, .cleanup = cleanup, .max_message_bytes = limit);
    ck_ok(kur_admin_apply_topics(admin, &spec, 1, 30000, arena, &differences, &error), error);
    kur_arena_free(arena);
    kur_admin_free(admin);
    return name;
}

static const char probe[] = "probe";

static bool takes(const char *topic, int64_t size)
{
    static char value[300000];
    kur_error error = {0};
    kur_producer *producer = kur_client_producer(consuming_client(), &error);
    kur_message message =
        KUR_MESSAGE(.topic = topic, .key = kur_bytes_text(probe), .value = kur_bytes_of(value, (size_t)size));
    return kur_producer_send_wait(producer, &message, 30000, NULL, &error) == KUR_OK;
}

void relaying_limit(struct relaying *bed, const char *topic, int64_t limit)
{
    relaying_topic(bed, topic, 1, KUR_CLEANUP_DEFAULT, limit);
    int64_t until_us = kur_clock_monotonic_us() + PATIENCE_US;
    while (!takes(topic, limit - 5000) || takes(topic, limit + 5000)) {
        ck_assert_msg(kur_clock_monotonic_us() < until_us, "%s does not go by its new limit", topic);
        poll(NULL, 0, 5);
    }
}

/* ---- Seeing ---- */

static void see(struct relaying_seen *seen, const kur_record *record)
{
    kur_bytes key = kur_record_key(record);
    if (kur_bytes_equal(key, kur_bytes_text(probe)))
        return;
    int at = number(record);
    ck_assert_int_ge(at, 0);
    ck_assert_int_lt(at, RELAYING_NUMBERS);
    seen->records++;
    if (seen->times[at]++ > 0)
        return;
    seen->distinct++;
    if (key.data == NULL)
        return;
    char text[16] = "";
    ck_assert(key.size > 1 && key.size < sizeof text);
    memcpy(text, key.data, key.size);
    int k = atoi(text + 1);
    ck_assert_int_lt(k, RELAYING_KEYS);
    seen->disorder += at + 1 <= seen->last[k];
    seen->last[k] = at + 1;
}

static int partitions_of(const char *topic)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_admin *admin = kur_admin_new(consuming_client(), &error);
    const kur_topic_view *view = NULL;
    ck_ok(kur_admin_describe_topic(admin, topic, 30000, arena, &view, &error), error);
    int count = (int)view->partition_count;
    kur_admin_free(admin);
    kur_arena_free(arena);
    return count;
}

static void read_topic(const char *topic, int distinct, bool all, struct relaying_seen *seen)
{
    kur_error error = {0};
    kur_position positions[32];
    int count = partitions_of(topic);
    memset(seen, 0, sizeof *seen);
    ck_assert_int_le(count, 32);
    for (int i = 0; i < count; i++)
        positions[i] = KUR_POSITION(.topic = topic, .partition = i, .offset = KUR_OFFSET_BEGINNING);
    kur_consumer *consumer =
        consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("reader"), .start = KUR_START_EARLIEST));
    ck_ok(kur_consumer_assign(consumer, positions, (size_t)count, &error), error);
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    bool is_over = false;
    while (seen->distinct < distinct || (all && !is_over)) {
        kur_record *record = NULL;
        ck_assert_msg(kur_clock_monotonic_us() < deadline, "%d of %d numbers came", seen->distinct, distinct);
        ck_ok(kur_consumer_poll(consumer, 500, &record, &error), error);
        is_over = record == NULL;
        if (record == NULL)
            continue;
        see(seen, record);
        drop(consumer, record);
    }
    kur_consumer_free(consumer);
}

void relaying_read(const char *topic, int distinct, struct relaying_seen *seen)
{
    read_topic(topic, distinct, false, seen);
}

void relaying_read_all(const char *topic, int distinct, struct relaying_seen *seen)
{
    read_topic(topic, distinct, true, seen);
}

kur_relay_health relaying_health(kur_relay *relay)
{
    kur_relay_health health = KUR_RELAY_HEALTH(0);
    kur_error error = {0};
    ck_ok(kur_relay_health_read(relay, &health, &error), error);
    return health;
}

void relaying_await_rows(struct relaying *bed, int64_t waiting, int64_t parked)
{
    const kur_driver *driver = kur_database_driver(bed->database);
    void *connection = relaying_connect(bed);
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    kur_outbox_figures figures = {.size = sizeof figures};
    for (;;) {
        kur_error error = {0};
        ck_ok(driver->outbox_figures(connection, &figures, &error), error);
        if (figures.depth == waiting && figures.parked + figures.behind == parked)
            break;
        ck_assert_msg(kur_clock_monotonic_us() < deadline, "%lld rows wait, %lld and %lld are parked",
                      (long long)figures.depth, (long long)figures.parked, (long long)figures.behind);
        poll(NULL, 0, 10);
    }
    relaying_disconnect(bed, connection);
}

kur_parked_list relaying_parked(struct relaying *bed, kur_arena *arena)
{
    kur_error error = {0};
    kur_parked_list parked = {0};
    ck_ok(kur_outbox_parked(bed->outbox, 0, 0, 1000, arena, &parked, &error), error);
    return parked;
}
