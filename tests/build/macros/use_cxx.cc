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
    struct heard *heard = static_cast<struct heard *>(user);
    heard->is_right = strcmp(event->order_id, "o-1") == 0;
    if (++heard->events == 1)
        return order_placed_emit(delivery, event, nullptr) == KUR_OK ? KUR_DONE : KUR_REJECT;
    if (heard->events == 3)
        kur_listener_request_stop(heard->listener);
    return KUR_DONE;
}

static kur_status give_token(kur_token_request *request, void *user, kur_error *error)
{
    auto token = KUR_TOKEN(.value = static_cast<const char *>(user), .expires_us = INT64_MAX);
    return kur_token_give(request, &token, error);
}

static const char *handle(kur_client *client)
{
    kur_error error = {};
    const char *const topics[] = {"orders", nullptr};
    auto retry = KUR_RETRY_POLICY(.attempts = 2);
    auto options = KUR_LISTENER_OPTIONS(.group = "handlers", .topics = topics, .retry = &retry);
    struct heard heard = {kur_listener_new(client, &options, &error), 0, false};
    NEED(heard.listener != nullptr);
    NEED(order_placed_on(heard.listener, on_order_placed, &heard) == KUR_OK);
    NEED(kur_listener_run(heard.listener, &error) == KUR_OK);
    NEED(heard.events == 3 && heard.is_right);
    auto health = KUR_LISTENER_HEALTH();
    NEED(kur_listener_health_get(heard.listener, &health, &error) == KUR_OK && !health.is_running);
    kur_listener_free(heard.listener);
    return nullptr;
}

static const char *retry()
{
    kur_error error = {};
    kur_buffer name = {};
    auto topics = KUR_RETRY_TOPICS(.prefix = "eu");
    NEED(kur_retry_topic(&name, &topics, "orders", nullptr, KUR_TIER_DEAD, nullptr, &error) == KUR_OK);
    NEED(strcmp(name.data, "eu.orders.dlq") == 0);
    kur_buffer_done(&name);
    auto view = KUR_RETRY_VIEW(.attempt = 2);
    NEED(kur_retry_read(nullptr, KUR_HEADERS_KURIER, 0, nullptr, &view, &error) == KUR_ERROR_INVALID_ARGUMENT);
    return view.attempt == 2 ? nullptr : "view";
}

static const char *letters()
{
    kur_error error = {};
    auto line = KUR_LETTER_LINE(.partition = 1);
    auto progress = KUR_LETTER_PROGRESS(.total = 1);
    auto counts = KUR_LETTER_COUNTS(.given = 1);
    auto filter = KUR_LETTER_FILTER(.type = "shop");
    auto reading = KUR_LETTER_READER_OPTIONS(.timeout_ms = 1);
    auto grouping = KUR_LETTER_GROUPS_OPTIONS(.by = KUR_LETTERS_BY_CAUSE);
    NEED(!kur_letter_fits(nullptr, &filter, 0));
    NEED(kur_letter_reader_new(nullptr, &reading, &error) == nullptr);
    kur_letter_groups *groups = kur_letter_groups_new(&grouping, &error);
    NEED(groups != nullptr);
    kur_letter_groups_free(groups);
    auto writing = KUR_LETTER_WRITER_OPTIONS(.timeout_ms = 1);
    NEED(kur_letter_writer_new(nullptr, &writing, &error) == nullptr);
    NEED(kur_letter_parse(kur_bytes_text("{"), nullptr, &line, &error) != KUR_OK);
    return line.partition == 1 && progress.total == 1 && counts.given == 1 ? nullptr : "letters";
}

static const char *redrive()
{
    kur_error error = {};
    kur_arena *arena = kur_arena_new();
    auto ledger = KUR_LEDGER_VIEW(.end = 1);
    NEED(kur_ledger_read("", 7, arena, &ledger, &error) == KUR_OK && ledger.end == 7);
    kur_arena_free(arena);
    auto plan = KUR_REDRIVE_PLAN_OPTIONS(.max_redriven = 1);
    auto progress = KUR_REDRIVE_PROGRESS(.count = 1);
    auto outcomes = KUR_REDRIVE_OUTCOMES(.count = 1);
    auto run = KUR_REDRIVE_RUN_OPTIONS(.rate = 1.5);
    NEED(kur_redrive_run(nullptr, "id", &run, &progress, &error) == KUR_ERROR_INVALID_ARGUMENT);
    return plan.max_redriven == 1 && outcomes.count == 1 ? nullptr : "redrive";
}

/* Outbox, relay and inbox, without a database; the drivers are libraries of their own. */
static const char *databases(const struct order_placed *event)
{
    kur_error error = {};
    auto outbox = KUR_OUTBOX_OPTIONS(.record_bytes = 1);
    auto relay = KUR_RELAY_OPTIONS(.poll_ms = 2);
    auto health = KUR_RELAY_HEALTH(.shards = 3);
    auto inbox = KUR_INBOX_OPTIONS(.consumer = "theirs");
    auto inbox_health = KUR_INBOX_HEALTH(.handled = 4);
    auto postgres = KUR_POSTGRES_OPTIONS(.schema = "theirs");
    auto sqlite = KUR_SQLITE_OPTIONS(.path = "theirs");
    NEED(kur_outbox_new(nullptr, nullptr, &outbox, &error) == nullptr);
    NEED(order_placed_outbox(nullptr, nullptr, event, nullptr, &error) == KUR_ERROR_INVALID_ARGUMENT);
    NEED(kur_relay_new(nullptr, &relay, &error) == nullptr);
    NEED(kur_relay_health_read(nullptr, &health, &error) == KUR_ERROR_INVALID_ARGUMENT);
    NEED(inbox.consumer != nullptr && inbox_health.handled == 4);
    return postgres.schema != nullptr && sqlite.path != nullptr ? nullptr : "databases";
}

static const char *publish(const struct order_placed *event)
{
    kur_error error = {};
    auto broker_options = KUR_EMBEDDED_BROKER_OPTIONS(.brokers = 1);
    kur_embedded_broker *broker = kur_embedded_broker_new(&broker_options, &error);
    auto security = KUR_SECURITY_OPTIONS(.token = give_token);
    auto client_options = KUR_CLIENT_OPTIONS(.bootstrap_servers = kur_embedded_broker_bootstrap_servers(broker),
                                             .source = "/theirs", .security = &security);
    kur_client *client = kur_client_new(&client_options, &error);
    auto producer_options = KUR_PRODUCER_OPTIONS(.linger_ms = KUR_NONE);
    kur_producer *producer = kur_producer_new(client, &producer_options, &error);
    auto consumer_options = KUR_CONSUMER_OPTIONS(.group = "theirs");
    kur_consumer *consumer = kur_consumer_new(client, &consumer_options, &error);
    NEED(producer != nullptr && consumer != nullptr);

    kur_result result = {};
    result.size = sizeof result;
    auto publish_options = KUR_PUBLISH_OPTIONS(.partition = KUR_PARTITION(1));
    NEED(order_placed_publish_wait(producer, event, &publish_options, 30000, &result, &error) == KUR_OK);
    NEED(result.partition == 1);
    NEED(order_placed_publish(producer, event, nullptr, &error) == KUR_OK);
    auto message = KUR_MESSAGE(.topic = "orders", .tombstone = true, .key = kur_bytes_text("k"));
    NEED(kur_producer_send(producer, &message, &error) == KUR_OK);
    auto position = KUR_POSITION(.topic = "orders", .partition = 0, .offset = 1, .leader_epoch = KUR_LEADER_EPOCH(3));
    NEED(kur_consumer_commit(consumer, &position, 1, 1000, &error) == KUR_ERROR_NOT_COMMITTED);
    NEED(kur_producer_flush(producer, 30000, &error) == KUR_OK);
    kur_admin *admin = kur_admin_new(client, &error);
    auto spec = KUR_TOPIC_SPEC(.name = "orders");
    NEED(kur_admin_ensure_topics(admin, &spec, 1, 30000, nullptr, nullptr, &error) == KUR_OK);
    auto acl = KUR_ACL(.name = "orders");
    NEED(kur_admin_create_acls(admin, &acl, 1, 1, &error) == KUR_ERROR_INVALID_ARGUMENT);
    auto reset = KUR_RESET_OPTIONS(.topic = "orders");
    NEED(kur_admin_plan_reset(admin, "theirs", &reset, 1, nullptr, nullptr, &error) == KUR_ERROR_INVALID_ARGUMENT);
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
    kur_error error = {};
    kur_schema *schema = nullptr;
    auto place = KUR_SCHEMA_PLACE(.id = 7);
    auto registry = KUR_REGISTRY_OPTIONS(.urls = "http://localhost:8081");
    auto version = KUR_SUBJECT_VERSION(.version = 3);
    NEED(order_line_schema(&schema, &error) == KUR_OK);
    NEED(kur_schema_fingerprint(schema) != 0);
    kur_schema_unref(schema);
    return place.id == 7 && registry.urls != nullptr && version.version == 3 ? nullptr : "schemas";
}

extern "C" const char *use_everything(void)
{
    kur_error error = {};
    struct order_placed event;
    order_placed_init(&event);
    order_line lines[2] = {{"a", 1}, {"b", 2}};
    event.order_id = "o-1";
    event.first = lines[0];
    event.lines.items = lines;
    event.lines.count = 2;
    event.status = order_status_on_hold;
    NEED(order_placed_validate(&event, &error) == KUR_OK);

    kur_buffer json = {}, text = {};
    NEED(order_placed_to_json(&event, &json, &error) == KUR_OK);
    NEED(order_placed_print(&event, &text, &error) == KUR_OK);
    kur_arena *arena = kur_arena_new();
    struct order_placed back;
    NEED(order_placed_from_json(kur_bytes_of(json.data, json.size), arena, &back, &error) == KUR_OK);
    NEED(order_placed_compare(&event, &back) == 0);
    auto view = KUR_EVENT_VIEW(.type = "shop.order.placed.v2", .data = kur_bytes_of(json.data, json.size));
    NEED(kur_event_is(&view, &order_placed_type));
    NEED(order_placed_read(&view, arena, &back, &error) == KUR_OK);

    const char *failed = retry();
    if (failed == nullptr)
        failed = letters();
    if (failed == nullptr)
        failed = redrive();
    if (failed == nullptr)
        failed = databases(&back);
    if (failed == nullptr)
        failed = schemas();
    if (failed == nullptr)
        failed = publish(&back);
    kur_arena_free(arena);
    kur_buffer_done(&json);
    kur_buffer_done(&text);
    return failed;
}
