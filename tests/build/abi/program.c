/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A service as a release's user compiled it: with that release's headers, run with a later library (test_abi.sh). It
 * hands over every kind of struct that programs lay out by themselves, and looks at what comes back.
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <string.h>

#define PAID(F, S)                                                                                                     \
    F(S, STRING, order_id, .flags = KUR_KEY)                                                                           \
    F(S, DECIMAL(12, 2), amount, .min = "0")                                                                           \
    F(S, LIST(STRING), notes)
KUR_EVENT(paid, "abi.paid", 1, PAID);
KUR_EVENT_DEFINE(paid, PAID, .topic = "paid");

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, error.message);                                 \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

static kur_error error;
static struct results {
    int delivered;
    int64_t offset;
} results;
static int assigned;

static void on_log(kur_log_level level, const char *message, void *user)
{
    (void)user;
    if (level == KUR_LOG_ERROR)
        fprintf(stderr, "%s\n", message);
}

static void on_result(const kur_result *result, void *user)
{
    struct results *into = user;
    into->delivered += result->status == KUR_DELIVERED && result->error.code == KUR_OK;
    into->offset = result->offset;
}

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                         void *user)
{
    (void)consumer;
    if (what == KUR_ASSIGNED && count == 1 && strcmp(partitions[0].topic, "paid") == 0)
        ++*(int *)user;
}

static int publish(kur_client *client)
{
    kur_producer *producer = kur_producer_new(
        client, &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .linger_ms = 1, .compression = "none"), &error);
    EXPECT(producer != NULL);
    kur_header header = {"colour", kur_bytes_text("green")};
    EXPECT(
        kur_producer_send(producer,
                          &KUR_MESSAGE(.topic = "paid", .partition = KUR_PARTITION(0), .value = kur_bytes_text("plain"),
                                       .headers = &header, .header_count = 1, .on_result = on_result, .user = &results),
                          &error) == KUR_OK);
    KUR_ITEM(paid, notes) notes[] = {"first", "second"};
    struct paid event = {.order_id = "o-1", .amount = 4250, .notes = {notes, 2}};
    kur_result result = {.size = sizeof result};
    EXPECT(paid_publish_wait(producer, &event,
                             &KUR_PUBLISH_OPTIONS(.subject = "abi", .extensions = &header, .extension_count = 1), 30000,
                             &result, &error) == KUR_OK);
    EXPECT(result.status == KUR_DELIVERED && result.offset == 1 && result.partition == 0);
    EXPECT(kur_producer_free(producer) == 0);
    EXPECT(results.delivered == 1 && results.offset == 0);
    return 0;
}

static int look(const kur_record *record, kur_arena *arena)
{
    kur_event_view view = KUR_EVENT_VIEW();
    EXPECT(kur_event_read(record, arena, &view, &error) == KUR_OK);
    EXPECT(view.partition == 0 && strcmp(view.topic, "paid") == 0 && view.record == record);
    if (view.offset == 0) {
        kur_header header;
        EXPECT(view.mode == KUR_EVENT_PLAIN && kur_bytes_equal(view.data, kur_bytes_text("plain")));
        EXPECT(kur_record_header(record, 0, &header) && strcmp(header.name, "colour") == 0);
        return 0;
    }
    struct paid event;
    EXPECT(view.mode == KUR_EVENT_BINARY && strcmp(view.type, "abi.paid.v1") == 0 && strcmp(view.subject, "abi") == 0);
    EXPECT(strcmp(kur_event_extension(&view, "colour"), "green") == 0);
    EXPECT(paid_read(&view, arena, &event, &error) == KUR_OK);
    EXPECT(strcmp(event.order_id, "o-1") == 0 && event.amount == 4250 && event.notes.count == 2);
    return 0;
}

static int consume(kur_client *client, kur_arena *arena)
{
    kur_consumer *consumer = kur_consumer_new(
        client, &KUR_CONSUMER_OPTIONS(.group = "abi", .on_rebalance = on_rebalance, .user = &assigned), &error);
    EXPECT(kur_consumer_subscribe(consumer, (const char *const[]){"paid", NULL}, &error) == KUR_OK);
    int seen = 0;
    for (int polls = 0; seen < 2 && polls < 300; polls++) {
        kur_record *record = NULL;
        EXPECT(kur_consumer_poll(consumer, 100, &record, &error) == KUR_OK);
        if (record == NULL)
            continue;
        if (look(record, arena) != 0)
            return 1;
        seen++;
        kur_consumer_free_records(consumer, &record, 1);
    }
    EXPECT(seen == 2 && assigned == 1);
    kur_position positions[] = {
        {.size = sizeof *positions, .topic = "paid", .offset = 2, .metadata = "kept"},
    };
    EXPECT(kur_consumer_commit(consumer, positions, 1, 10000, &error) == KUR_OK);
    kur_position committed = KUR_POSITION(.topic = "paid");
    EXPECT(kur_consumer_committed(consumer, &committed, arena, 10000, &error) == KUR_OK);
    EXPECT(committed.offset == 2 && strcmp(committed.metadata, "kept") == 0);
    kur_consumer_free(consumer);
    return 0;
}

int main(void)
{
    kur_embedded_broker *broker = kur_embedded_broker_new(&KUR_EMBEDDED_BROKER_OPTIONS(.brokers = 1), &error);
    EXPECT(kur_embedded_broker_topic(broker, "paid", 1, &error) == KUR_OK);
    kur_property properties[] = {{"topic.metadata.refresh.interval.ms", "5000"}, {NULL, NULL}};
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = kur_embedded_broker_bootstrap_servers(broker),
                            .properties = properties, .source = "/abi", .log = on_log, .log_level = KUR_LOG_WARNING),
        &error);
    kur_arena *arena = kur_arena_new();
    EXPECT(client != NULL && arena != NULL);
    if (publish(client) != 0 || consume(client, arena) != 0)
        return 1;
    kur_arena_free(arena);
    kur_client_unref(client);
    kur_embedded_broker_free(broker);
    printf("built with %s, runs with %s\n", KUR_VERSION_TEXT, kur_version());
    return 0;
}
