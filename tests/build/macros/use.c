/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "shop.h"

#include <kurier/postgres.h>
#include <kurier/registry.h>
#include <kurier/sqlite.h>

#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return #condition;                                                                                         \
    } while (0)

struct heard {
    kur_listener *listener;
    int events;
    bool is_right;
};

/* Two are published; the first of them is answered by a third. */
static kur_outcome on_order_placed(kur_delivery *delivery, const struct order_placed *event, void *user)
{
    struct heard *heard = user;
    heard->is_right = strcmp(event->order_id, "o-1") == 0;
    if (++heard->events == 1)
        return order_placed_emit(delivery, event, NULL) == KUR_OK ? KUR_DONE : KUR_REJECT;
    if (heard->events == 3)
        kur_listener_request_stop(heard->listener);
    return KUR_DONE;
}

static kur_status give_token(kur_token_request *request, void *user, kur_error *error)
{
    return kur_token_give(request, &KUR_TOKEN(.value = user, .expires_us = INT64_MAX), error);
}

static const char *handle(kur_client *client)
{
    kur_error error = {0};
    const char *const topics[] = {"orders", NULL};
    struct heard heard = {0};
    heard.listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = "handlers", .topics = topics, .retry = &KUR_RETRY_POLICY(.attempts = 2)),
        &error);
    NEED(heard.listener != NULL);
    NEED(order_placed_on(heard.listener, on_order_placed, &heard) == KUR_OK);
    NEED(kur_listener_run(heard.listener, &error) == KUR_OK);
    NEED(heard.events == 3 && heard.is_right);
    kur_listener_health health = KUR_LISTENER_HEALTH();
    NEED(kur_listener_health_get(heard.listener, &health, &error) == KUR_OK && !health.is_running);
    kur_listener_free(heard.listener);
    return NULL;
}

static const char *retry(void)
{
    kur_error error = {0};
    kur_buffer name = {0};
    NEED(kur_retry_topic(&name, &KUR_RETRY_TOPICS(.prefix = "eu"), "orders", NULL, KUR_TIER_DEAD, NULL, &error) ==
         KUR_OK);
    NEED(strcmp(name.data, "eu.orders.dlq") == 0);
    kur_buffer_done(&name);
    kur_retry_view view = KUR_RETRY_VIEW(.attempt = 2);
    NEED(kur_retry_read(NULL, KUR_HEADERS_KURIER, 0, NULL, &view, &error) == KUR_ERROR_INVALID_ARGUMENT);
    return view.attempt == 2 ? NULL : "view";
}

static const char *letters(void)
{
    kur_error error = {0};
    kur_letter_line line = KUR_LETTER_LINE(.partition = 1);
    kur_letter_progress progress = KUR_LETTER_PROGRESS(.total = 1);
    kur_letter_counts counts = KUR_LETTER_COUNTS(.given = 1);
    NEED(!kur_letter_fits(NULL, &KUR_LETTER_FILTER(.type = "shop"), 0));
    NEED(kur_letter_reader_new(NULL, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 1), &error) == NULL);
    kur_letter_groups *groups = kur_letter_groups_new(&KUR_LETTER_GROUPS_OPTIONS(.by = KUR_LETTERS_BY_CAUSE), &error);
    NEED(groups != NULL);
    kur_letter_groups_free(groups);
    NEED(kur_letter_writer_new(NULL, &KUR_LETTER_WRITER_OPTIONS(.timeout_ms = 1), &error) == NULL);
    NEED(kur_letter_parse(kur_bytes_text("{"), NULL, &line, &error) != KUR_OK);
    return line.partition == 1 && progress.total == 1 && counts.given == 1 ? NULL : "letters";
}

static const char *redrive(void)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_ledger_view ledger = KUR_LEDGER_VIEW(.end = 1);
    NEED(kur_ledger_read("", 7, arena, &ledger, &error) == KUR_OK && ledger.end == 7);
    kur_arena_free(arena);
    kur_redrive_plan_options plan = KUR_REDRIVE_PLAN_OPTIONS(.max_redriven = 1);
    kur_redrive_progress progress = KUR_REDRIVE_PROGRESS(.count = 1);
    kur_redrive_outcomes outcomes = KUR_REDRIVE_OUTCOMES(.count = 1);
    NEED(kur_redrive_run(NULL, "id", &KUR_REDRIVE_RUN_OPTIONS(.rate = 1.5), &progress, &error) ==
         KUR_ERROR_INVALID_ARGUMENT);
    return plan.max_redriven == 1 && outcomes.count == 1 ? NULL : "redrive";
}

/* Outbox, relay and inbox, without a database; the drivers are libraries of their own. */
static const char *databases(const struct order_placed *event)
{
    kur_error error = {0};
    kur_outbox_options outbox = KUR_OUTBOX_OPTIONS(.record_bytes = 1);
    kur_relay_options relay = KUR_RELAY_OPTIONS(.poll_ms = 2);
    kur_relay_health health = KUR_RELAY_HEALTH(.shards = 3);
    kur_inbox_options inbox = KUR_INBOX_OPTIONS(.consumer = "theirs");
    kur_inbox_health inbox_health = KUR_INBOX_HEALTH(.handled = 4);
    kur_postgres_options postgres = KUR_POSTGRES_OPTIONS(.schema = "theirs");
    kur_sqlite_options sqlite = KUR_SQLITE_OPTIONS(.path = "theirs");
    NEED(kur_outbox_new(NULL, NULL, &outbox, &error) == NULL);
    NEED(order_placed_outbox(NULL, NULL, event, NULL, &error) == KUR_ERROR_INVALID_ARGUMENT);
    NEED(kur_relay_new(NULL, &relay, &error) == NULL);
    NEED(kur_relay_health_read(NULL, &health, &error) == KUR_ERROR_INVALID_ARGUMENT);
    NEED(inbox.consumer != NULL && inbox_health.handled == 4);
    return postgres.schema != NULL && sqlite.path != NULL ? NULL : "databases";
}

static const char *publish(const struct order_placed *event)
{
    kur_error error = {0};
    kur_embedded_broker *broker = kur_embedded_broker_new(&KUR_EMBEDDED_BROKER_OPTIONS(.brokers = 1), &error);
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = kur_embedded_broker_bootstrap_servers(broker),
                                           .source = "/theirs", .security = &KUR_SECURITY_OPTIONS(.token = give_token)),
                       &error);
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.linger_ms = KUR_NONE), &error);
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = "theirs"), &error);
    NEED(producer != NULL && consumer != NULL);

    kur_result result = {.size = sizeof result};
    NEED(order_placed_publish_wait(producer, event, &KUR_PUBLISH_OPTIONS(.partition = KUR_PARTITION(1)), 30000, &result,
                                   &error) == KUR_OK);
    NEED(result.partition == 1);
    NEED(order_placed_publish(producer, event, NULL, &error) == KUR_OK);
    NEED(kur_producer_send(producer, &KUR_MESSAGE(.topic = "orders", .tombstone = true, .key = kur_bytes_text("k")),
                           &error) == KUR_OK);
    kur_position position =
        KUR_POSITION(.topic = "orders", .partition = 0, .offset = 1, .leader_epoch = KUR_LEADER_EPOCH(3));
    NEED(kur_consumer_commit(consumer, &position, 1, 1000, &error) == KUR_ERROR_NOT_COMMITTED);
    NEED(kur_producer_flush(producer, 30000, &error) == KUR_OK);
    kur_admin *admin = kur_admin_new(client, &error);
    NEED(kur_admin_ensure_topics(admin, &KUR_TOPIC_SPEC(.name = "orders"), 1, 30000, NULL, NULL, &error) == KUR_OK);
    NEED(kur_admin_create_acls(admin, &KUR_ACL(.name = "orders"), 1, 1, &error) == KUR_ERROR_INVALID_ARGUMENT);
    NEED(kur_admin_plan_reset(admin, "theirs", &KUR_RESET_OPTIONS(.topic = "orders"), 1, NULL, NULL, &error) ==
         KUR_ERROR_INVALID_ARGUMENT);
    kur_admin_free(admin);
    kur_consumer_free(consumer);
    NEED(kur_producer_free(producer) == 0);
    const char *failed = handle(client);
    kur_client_unref(client);
    kur_embedded_broker_free(broker);
    return failed;
}

static const char *schemas(void)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    kur_schema_place place = KUR_SCHEMA_PLACE(.id = 7);
    kur_registry_options registry = KUR_REGISTRY_OPTIONS(.urls = "http://localhost:8081");
    kur_subject_version version = KUR_SUBJECT_VERSION(.version = 3);
    NEED(order_line_schema(&schema, &error) == KUR_OK);
    NEED(kur_schema_fingerprint(schema) != 0);
    kur_schema_unref(schema);
    return place.id == 7 && registry.urls != NULL && version.version == 3 ? NULL : "schemas";
}

const char *use_everything(void)
{
    kur_error error = {0};
    struct order_placed event;
    order_placed_init(&event);
    KUR_ITEM(order_placed, lines) lines[2] = {{"a", 1}, {"b", 2}};
    event.order_id = "o-1";
    event.first = lines[0];
    event.lines.items = lines;
    event.lines.count = 2;
    event.status = order_status_on_hold;
    NEED(order_placed_validate(&event, &error) == KUR_OK);

    kur_buffer json = {0}, text = {0};
    NEED(order_placed_to_json(&event, &json, &error) == KUR_OK);
    NEED(order_placed_print(&event, &text, &error) == KUR_OK);
    kur_arena *arena = kur_arena_new();
    struct order_placed back;
    NEED(order_placed_from_json(kur_bytes_of(json.data, json.size), arena, &back, &error) == KUR_OK);
    NEED(order_placed_compare(&event, &back) == 0);
    kur_event_view view = KUR_EVENT_VIEW(.type = "shop.order.placed.v2", .data = kur_bytes_of(json.data, json.size));
    NEED(kur_event_is(&view, &order_placed_type));
    NEED(order_placed_read(&view, arena, &back, &error) == KUR_OK);

    const char *failed = retry();
    if (failed == NULL)
        failed = letters();
    if (failed == NULL)
        failed = redrive();
    if (failed == NULL)
        failed = databases(&back);
    if (failed == NULL)
        failed = schemas();
    if (failed == NULL)
        failed = publish(&back);
    kur_arena_free(arena);
    kur_buffer_done(&json);
    kur_buffer_done(&text);
    return failed;
}
