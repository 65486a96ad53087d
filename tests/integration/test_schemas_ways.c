/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events in Avro by the ways that change something else as well: out of an outbox, into an inbox, and through an
 * exactly-once listener. While their schemas cannot be had nothing is changed, and nothing is lost.
 */
#include <kurier/sys/codec.h>
#include <stdio.h>

#include "../listening.h"
#include "../memory_driver.h"
#include "../relaying.h"
#include "../schema_table.h"

#define SALE(F, S)                                                                                                     \
    F(S, STRING, sku, .flags = KUR_KEY)                                                                                \
    F(S, INT64, number)
KUR_EVENT(sale, "shop.sale", 1, SALE);
KUR_EVENT_DEFINE(sale, SALE, .topic = "sales");
static char bill_topic[128]; /* known when the test runs */
#define BILL(F, S)                                                                                                     \
    F(S, INT64, number, .flags = KUR_KEY)                                                                              \
    F(S, DECIMAL(9, 2), amount)
KUR_EVENT(bill, "shop.bill", 1, BILL);
KUR_EVENT_DEFINE(bill, BILL, .topic = bill_topic);

enum {
    SALES = 60
};

static schema_table table;
static kur_client *client;
static kur_wire_format form;
static const char *topic, *group;
static atomic_int done, wrong, seen[SALES];

static void make_client(void)
{
    kur_error error = {0};
    client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                                                .schemas = &table.schemas, .format = KUR_FORMAT_AVRO, .wire = form),
                            &error);
    ck_assert_msg(client != NULL, "%s", error.message);
}

static void begin(kur_wire_format wire)
{
    done = wrong = 0;
    memset(seen, 0, sizeof seen);
    schema_table_init(&table);
    form = wire;
    make_client();
    topic = support_topic(3);
    group = support_name("ways");
}

static void end(void)
{
    kur_client_unref(client);
    schema_table_done(&table);
}

static struct sale sale_of(int number, char sku[16])
{
    snprintf(sku, 16, "s%d", number);
    return (struct sale){.sku = sku, .number = number};
}

static void publish(void)
{
    kur_error error = {0};
    for (int i = 0; i < SALES; i++) {
        char sku[16];
        const struct sale sale = sale_of(i, sku);
        ck_ok(sale_publish(kur_client_producer(client, &error), &sale, &KUR_PUBLISH_OPTIONS(.topic = topic), &error),
              error);
    }
    flush(client);
}

/* A client that has not written anything knows no schema yet. */
static void forget_schemas(void)
{
    kur_client_unref(client);
    make_client();
}

static bool has_waited(const kur_listener_health *health, int64_t wanted)
{
    return health->schema_waits >= wanted;
}

/* On the threads of handlers nothing is asserted. */
static void count(kur_delivery *delivery, int64_t number)
{
    kur_bytes header;
    bool has_header = kur_record_header_last(kur_delivery_record(delivery), KUR_SCHEMA_HEADER, &header);
    wrong += has_header != (form == KUR_WIRE_HEADER) || number < 0 || number >= SALES ||
             strcmp(kur_delivery_event(delivery)->content_type, "application/avro") != 0;
    seen[number >= 0 && number < SALES ? number : 0]++;
    done++;
}

static void expect_each_once(void)
{
    ck_assert_int_eq(wrong, 0);
    for (int i = 0; i < SALES; i++)
        ck_assert_msg(seen[i] == 1, "%d: %d times", i, (int)seen[i]);
}

/* ---- Outbox ---- */

static kur_outcome on_sale(kur_delivery *delivery, const struct sale *sale, void *user)
{
    (void)user;
    count(delivery, sale->number);
    return KUR_DONE;
}

/* What is rolled back is not sent; and what cannot be encoded is not added. */
static void add_sales(kur_database *database, kur_outbox *outbox)
{
    kur_error error = {0};
    const kur_publish_options options = KUR_PUBLISH_OPTIONS(.topic = topic);
    char sku[16];
    struct sale sale = sale_of(0, sku);
    void *transaction = memory_begin(database);
    atomic_store(&table.away, KUR_ERROR_UNREACHABLE);
    ck_status(sale_outbox(outbox, transaction, &sale, &options, &error), KUR_ERROR_UNREACHABLE, error);
    atomic_store(&table.away, KUR_OK);
    ck_ok(sale_outbox(outbox, transaction, &sale, &options, &error), error);
    memory_rollback(transaction);
    ck_assert_uint_eq(memory_count(database).rows, 0);
    for (int i = 0; i < SALES; i += 10) {
        transaction = memory_begin(database);
        for (int j = i; j < i + 10; j++) {
            sale = sale_of(j, sku);
            ck_ok(sale_outbox(outbox, transaction, &sale, &options, &error), error);
        }
        memory_commit(transaction);
    }
    kur_outbox_committed(outbox);
}

static void through_an_outbox(kur_wire_format wire)
{
    kur_error error = {0};
    begin(wire);
    struct relaying bed = {.client = client, .database = memory_database(4)};
    bed.outbox = kur_outbox_new(client, bed.database, NULL, &error);
    ck_assert_msg(bed.outbox != NULL, "%s", error.message);
    add_sales(bed.database, bed.outbox);
    kur_relay *relay = relaying_start(&bed, NULL);
    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.commit_interval_ms = 50), topic, group, NULL, NULL);
    ck_ok(sale_on(listener, on_sale, NULL), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(support_wait(&done, SALES));
    ck_assert(memory_wait(bed.database, 0, 0));
    expect_each_once();
    kur_listener_free(listener);
    relaying_end(relay);
    kur_outbox_free(bed.outbox);
    kur_database_free(bed.database);
    end();
}

START_TEST(test_schemas_ways__out_of_an_outbox)
{
    through_an_outbox(KUR_WIRE_CONFLUENT);
    through_an_outbox(KUR_WIRE_HEADER);
}
END_TEST

/* ---- Inbox ---- */

static kur_outcome sell(kur_delivery *delivery, void *transaction, const struct sale *sale, void *user)
{
    (void)user;
    memory_add(transaction, sale->sku, 1);
    count(delivery, sale->number);
    return KUR_DONE;
}

START_TEST(test_schemas_ways__into_an_inbox)
{
    kur_error error = {0};
    begin(KUR_WIRE_CONFLUENT);
    publish();
    forget_schemas();
    atomic_store(&table.away, KUR_ERROR_UNREACHABLE);
    kur_database *database = memory_database(4);
    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.commit_interval_ms = 50), topic, group, NULL, NULL);
    kur_inbox *inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "shop"), &error);
    ck_assert_msg(inbox != NULL, "%s", error.message);
    ck_ok(sale_inbox(inbox, sell, NULL), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(wait_for(listener, has_waited, 3));
    ck_assert_int_eq(done, 0);
    ck_assert_uint_eq(memory_count(database).done, 0);
    atomic_store(&table.away, KUR_OK);
    ck_assert(wait_for(listener, has_finished, SALES));
    ck_assert_int_eq(health_of(listener).retried, 0);
    ck_assert_int_eq(health_of(listener).rejected, 0);
    expect_each_once();
    for (int i = 0; i < SALES; i++) {
        char sku[16];
        sale_of(i, sku);
        ck_assert_int_eq(memory_sum(database, sku), 1);
    }
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    kur_database_free(database);
    end();
}
END_TEST

/* ---- Exactly once ---- */

/* Every tenth is tried twice: what the first attempt has emitted comes to nothing. */
static kur_outcome emit_bill(kur_delivery *delivery, const struct sale *sale, void *user)
{
    (void)user;
    kur_error error = {0};
    const struct bill bill = {.number = sale->number, .amount = 100 * sale->number};
    if (bill_emit(delivery, &bill, &error) != KUR_OK)
        return kur_retry(delivery, "test.emit", "%s", error.message);
    if (sale->number % 10 == 3 && kur_delivery_attempt(delivery) == 1)
        return kur_retry_after(delivery, 1, "test.once", "again");
    return KUR_DONE;
}

static kur_outcome on_bill(kur_delivery *delivery, const struct bill *bill, void *user)
{
    (void)user;
    wrong += bill->amount != 100 * bill->number;
    count(delivery, bill->number);
    return KUR_DONE;
}

static void exactly_once(kur_wire_format wire)
{
    kur_error error = {0};
    begin(wire);
    snprintf(bill_topic, sizeof bill_topic, "%s", support_topic(1));
    publish();
    forget_schemas();
    atomic_store(&table.away, KUR_ERROR_UNREACHABLE);
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.guarantee = KUR_EXACTLY_ONCE, .concurrency = 4), topic, group, NULL, NULL);
    ck_ok(sale_on(listener, emit_bill, NULL), error);
    ck_ok(kur_listener_start(listener, &error), error);
    kur_listener *reader =
        make(client, &KUR_LISTENER_OPTIONS(.concurrency = 1), bill_topic, support_name("bills"), NULL, NULL);
    ck_ok(bill_on(reader, on_bill, NULL), error);
    ck_ok(kur_listener_start(reader, &error), error);
    ck_assert(wait_for(listener, has_waited, 3));
    atomic_store(&table.away, KUR_OK);
    ck_assert(wait_for(listener, has_finished, SALES));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert(wait_for(reader, has_finished, SALES));
    ck_assert_int_eq(health_of(listener).rejected, 0);
    expect_each_once();
    kur_listener_free(listener);
    kur_listener_free(reader);
    end();
}

START_TEST(test_schemas_ways__exactly_once)
{
    skip_unless(support_is_real(), "the embedded broker has no transactions");
    exactly_once(KUR_WIRE_CONFLUENT);
    exactly_once(KUR_WIRE_HEADER);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_schemas_ways__out_of_an_outbox, test_schemas_ways__into_an_inbox,
                                  test_schemas_ways__exactly_once, NULL};
    int result = check_main("schemas_ways", tests);
    support_stop();
    return result;
}
