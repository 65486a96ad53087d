/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Records are librdkafka's messages. Each one that is held counts as a reference to the consumer, for a handle with
 * messages outside never ends its destruction: kur_consumer_free closes, and whoever gives the last reference back
 * destroys.
 *
 * A handle that was not closed in time waits in its destruction for requests that a silent broker has not answered:
 * a minute and more (socket.timeout.ms, session.timeout.ms), and nothing can make it give them up. It is destroyed on a
 * thread of its own then, after which nothing of the client's is called any more.
 *
 * Closing goes in this order: the thread that asks is told to end; the group is left through librdkafka's close queue,
 * while rebalance callbacks and the answers of commits are served; that thread is waited for; commits that are not
 * answered yet are given up. Nothing in it waits longer than it was told to.
 */
#include <inttypes.h>
#include <kurier/librdkafka.h>
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"
#include "kafka/record.h"
#include <kurier/sys/options.h>
#include <kurier/sys/thread.h>

enum {
    FETCH_BYTES = 1048576, /* of a partition, librdkafka's own */
    FETCH_WAIT_MS = 500,   /* librdkafka's own */
    FETCH_WAIT_ROOM_MS = 100,
    FETCH_BYTES_MIN = 262144,
    FETCH_AHEAD_KBYTES = 65536,
    CLOSE_MS = 10000,
    CLOSE_SLICE_MS = 50,
    FETCH_AHEAD = 6, /* records: a batch is larger than the nearest cache */
    INSTANCE_ID_SIZE_MAX = 249,
    COOPERATIVE_SINCE = 0x020a0000,      /* before, assignments are lost under periodic commits */
    CONSUMER_PROTOCOL_SINCE = 0x020c0000 /* before, it was a preview */
};

/* librdkafka assigns only where a group is named, also when nothing is ever asked of it. */
#define BROADCAST_GROUP "kurier.broadcast"

/* ---- Configuration ---- */

static kur_status set_text(rd_kafka_conf_t *conf, const char *name, const char *value, kur_error *error)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: %s", name, why);
    return KUR_OK;
}

static kur_status set_number(rd_kafka_conf_t *conf, const char *name, int number, kur_error *error)
{
    char value[16];
    snprintf(value, sizeof value, "%d", number);
    return set_text(conf, name, value, error);
}

static int get_number(const rd_kafka_conf_t *conf, const char *name)
{
    char value[32];
    size_t size = sizeof value;
    return rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK ? atoi(value) : 0;
}

static bool has_value(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
    char value[64];
    size_t size = sizeof value;
    return rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK && strcmp(value, expected) == 0;
}

/* How partitions are divided, and how a member is found to be gone: by the members, or by the broker. */
static kur_status configure_group(rd_kafka_conf_t *conf, const kur_consumer_options *options, kur_error *error)
{
    static const char *const assignors[] = {NULL, "range", "roundrobin", "cooperative-sticky"};
    if (options->protocol == KUR_GROUP_CONSUMER)
        return set_text(conf, "group.protocol", "consumer", error);
    kur_status status = KUR_OK;
    if (options->assignor != KUR_ASSIGNOR_DEFAULT)
        status = set_text(conf, "partition.assignment.strategy", assignors[options->assignor], error);
    else if (has_value(conf, "partition.assignment.strategy", "range,roundrobin")) /* librdkafka's default */
        status = set_text(conf, "partition.assignment.strategy", "range", error);
    if (status == KUR_OK && options->session_timeout_ms != 0)
        status = set_number(conf, "session.timeout.ms", options->session_timeout_ms, error);
    /* A member that is to be missed soon has to be heard of often. */
    int session_ms = get_number(conf, "session.timeout.ms");
    if (status == KUR_OK && get_number(conf, "heartbeat.interval.ms") > session_ms / 3)
        status = set_number(conf, "heartbeat.interval.ms", session_ms / 3 > 0 ? session_ms / 3 : 1, error);
    return status;
}

/*
 * librdkafka waits before it fetches again once it has enough: a second, until that became a property. Where it is
 * none, a small store would run empty each time, so that it is not made smaller than librdkafka's own; but for queues
 * of our own, which see to that themselves.
 */
static kur_status set_fetch_ahead(rd_kafka_conf_t *conf, const kur_consumer_options *options, kur_error *error)
{
    char why[256];
    int kbytes = options->fetch_ahead_kbytes;
    if (rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "5", why, sizeof why) != RD_KAFKA_CONF_OK &&
        options->room == NULL)
        kbytes = kbytes > FETCH_AHEAD_KBYTES ? kbytes : FETCH_AHEAD_KBYTES;
    kur_status status = set_number(conf, "queued.max.messages.kbytes", kbytes, error);
    /* One fetch goes over the bound by what it brings, and its memory is one piece until its last record is freed. */
    int fetch = kbytes < FETCH_BYTES / 256 ? kbytes * 256 : FETCH_BYTES;
    fetch = fetch > FETCH_BYTES_MIN ? fetch : FETCH_BYTES_MIN;
    if (status == KUR_OK && options->room != NULL && get_number(conf, "fetch.message.max.bytes") == FETCH_BYTES)
        status = set_number(conf, "fetch.message.max.bytes", fetch, error);
    /*
     * A partition with enough fetched is left out of a fetch, and while that one waits for records of the others there
     * is no further: where they are idle, what is fetched of the busy one has to last so long.
     */
    if (status == KUR_OK && options->room != NULL && get_number(conf, "fetch.wait.max.ms") == FETCH_WAIT_MS)
        status = set_number(conf, "fetch.wait.max.ms", FETCH_WAIT_ROOM_MS, error);
    return status;
}

/* What the options leave out is the client's properties', or librdkafka's own. */
static kur_status configure(rd_kafka_conf_t *conf, const kur_consumer_options *options, kur_error *error)
{
    bool is_broadcast = options->audience == KUR_BROADCAST;
    kur_status status = set_text(conf, "group.id", is_broadcast ? BROADCAST_GROUP : options->group, error);
    if (status == KUR_OK && options->group_instance_id != NULL)
        status = set_text(conf, "group.instance.id", options->group_instance_id, error);
    if (status == KUR_OK && options->fetch_ahead_kbytes != 0)
        status = set_fetch_ahead(conf, options, error);
    if (status == KUR_OK && options->isolation != KUR_ISOLATION_DEFAULT)
        status = set_text(conf, "isolation.level",
                          options->isolation == KUR_READ_COMMITTED ? "read_committed" : "read_uncommitted", error);
    if (status == KUR_OK && options->max_poll_interval_ms != 0)
        status = set_number(conf, "max.poll.interval.ms", options->max_poll_interval_ms, error);
    if (status == KUR_OK)
        status = configure_group(conf, options, error);
    /* Nobody may be asked to poll sooner than he would be missed. */
    int session_ms = get_number(conf, "session.timeout.ms");
    if (status == KUR_OK && get_number(conf, "max.poll.interval.ms") < session_ms)
        status = set_number(conf, "max.poll.interval.ms", session_ms, error);
    return status;
}

static kur_status check_versions(const kur_consumer_options *options, kur_error *error)
{
    if (options->assignor == KUR_ASSIGNOR_COOPERATIVE_STICKY && options->protocol == KUR_GROUP_CLASSIC &&
        rd_kafka_version() < COOPERATIVE_SINCE)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                             ".assignor: cooperative-sticky loses assignments before librdkafka 2.10, and this is %s; "
                             "use KUR_ASSIGNOR_RANGE",
                             rd_kafka_version_str());
    if (options->protocol == KUR_GROUP_CONSUMER && rd_kafka_version() < CONSUMER_PROTOCOL_SINCE)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                             ".protocol: KUR_GROUP_CONSUMER needs librdkafka 2.12 or later, and this is %s",
                             rd_kafka_version_str());
    return KUR_OK;
}

static bool is_text(const char *text, size_t size_max)
{
    return text[0] != '\0' && strnlen(text, size_max + 1) <= size_max && kur_bytes_is_utf8(kur_bytes_text(text));
}

static kur_status check_audience(const kur_consumer_options *options, kur_error *error)
{
    if (options->audience != KUR_AUDIENCE_GROUP && options->audience != KUR_BROADCAST)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".audience is not a kur_audience");
    if (options->audience == KUR_AUDIENCE_GROUP && (options->group == NULL || !is_text(options->group, 1000)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".group is missing, longer than 1,000 bytes or not UTF-8");
    if (options->audience == KUR_BROADCAST &&
        (options->group != NULL || options->group_instance_id != NULL || options->session_timeout_ms != 0 ||
         options->assignor != KUR_ASSIGNOR_DEFAULT || options->protocol != KUR_GROUP_CLASSIC ||
         options->companions != NULL))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "KUR_BROADCAST has no .group, nor .group_instance_id, .session_timeout_ms, .assignor, "
                             ".protocol or .companions of one");
    return KUR_OK;
}

static kur_status check_options(const kur_consumer_options *options, kur_error *error)
{
    kur_status status = check_audience(options, error);
    if (status != KUR_OK)
        return status;
    if (options->start_at_us < 0 || (options->start_at_us > 0 && options->start != KUR_START_TIME))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".start_at_us is negative, or .start is not KUR_START_TIME");
    if (options->start < 0 || options->start > KUR_START_TIME || options->session_timeout_ms < 0 ||
        options->max_poll_interval_ms < 0 || options->fetch_ahead_kbytes < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".start, .session_timeout_ms, .max_poll_interval_ms or .fetch_ahead_kbytes is not valid");
    if (options->group_instance_id != NULL && !is_text(options->group_instance_id, INSTANCE_ID_SIZE_MAX))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".group_instance_id is empty, longer than %d bytes or not UTF-8", INSTANCE_ID_SIZE_MAX);
    if (options->assignor < 0 || options->assignor > KUR_ASSIGNOR_COOPERATIVE_STICKY || options->isolation < 0 ||
        options->isolation > KUR_READ_UNCOMMITTED || options->protocol < 0 || options->protocol > KUR_GROUP_CONSUMER)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".assignor, .protocol or .isolation is not valid");
    if (options->protocol == KUR_GROUP_CONSUMER &&
        (options->assignor != KUR_ASSIGNOR_DEFAULT || options->session_timeout_ms != 0))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".assignor and .session_timeout_ms are the broker's with KUR_GROUP_CONSUMER");
    return check_versions(options, error);
}

/* ---- New, close, free ---- */

static void on_answer(rd_kafka_t *rk, void *user)
{
    (void)rk;
    kur__consumer_wake(user);
}

static kur_status open_handle(kur_consumer *consumer, const kur_consumer_options *options, kur_error *error)
{
    rd_kafka_conf_t *conf = kur__client_conf(consumer->client, RD_KAFKA_CONSUMER, error);
    if (conf == NULL)
        return KUR_ERROR_CONFIG;
    kur_status status = configure(conf, options, error);
    if (status != KUR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    consumer->requires_stable = has_value(conf, "isolation.level", "read_committed");
    size_t size = 0; /* of the instance's id, with its NUL; it may be one of the client's properties */
    bool is_static = rd_kafka_conf_get(conf, "group.instance.id", NULL, &size) == RD_KAFKA_CONF_OK && size > 1;
    if (is_static && consumer->audience == KUR_AUDIENCE_GROUP && !has_value(conf, "group.protocol", "consumer"))
        consumer->comeback = KUR__COMEBACK_DUE;
    consumer->refresh_ms = get_number(conf, "topic.metadata.refresh.interval.ms");
    consumer->room = options->room;
    consumer->fetch_ahead_bytes = get_number(conf, "queued.max.messages.kbytes") * INT64_C(1024);
    rd_kafka_conf_set_rebalance_cb(conf, kur__consumer_on_rebalance);
    consumer->rk = kur__connection_open(&consumer->connection, kur__client_log(consumer->client),
                                        kur__client_security(consumer->client), RD_KAFKA_CONSUMER, conf, error);
    if (consumer->rk == NULL)
        return KUR_ERROR_CONFIG;
    rd_kafka_poll_set_consumer(consumer->rk);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
    consumer->answers = rd_kafka_queue_new(consumer->rk);
    rd_kafka_queue_cb_event_enable(consumer->answers, on_answer, consumer);
    return KUR_OK;
}

static void destroy_handle(kur_consumer *consumer)
{
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        kur__queue_close(at);
    rd_kafka_mem_free(consumer->rk, consumer->cluster_id);
    rd_kafka_queue_cb_event_enable(consumer->answers, NULL, NULL);
    rd_kafka_queue_destroy(consumer->answers);
    rd_kafka_queue_destroy(consumer->queue);
    rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kur__connection_done(&consumer->connection);
}

static void *destroy_consumer(void *user)
{
    kur_consumer *consumer = user;
    if (consumer->rk != NULL)
        destroy_handle(consumer);
    if (consumer->incoming != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->incoming);
    if (consumer->fd >= 0)
        close(consumer->fd);
    kur__table_done(consumer);
    pthread_mutex_destroy(&consumer->lock);
    kur_client_unref(consumer->client);
    kur_free(consumer->last_answer);
    kur_free(consumer->group);
    kur_free(consumer);
    return NULL;
}

/* Whether it is destroyed elsewhere: false when there is no thread for it. The client need not last so long. */
static bool destroy_apart(kur_consumer *consumer)
{
    pthread_t thread;
    kur_client *client = consumer->client;
    kur__connection_abandon(&consumer->connection);
    consumer->client = NULL;
    if (kur_thread_start(&thread, destroy_consumer, consumer) != 0) {
        consumer->client = client;
        return false;
    }
    pthread_detach(thread);
    kur_client_unref(client);
    return true;
}

static void release(kur_consumer *consumer, size_t references)
{
    if (atomic_fetch_sub(&consumer->references, references) != references)
        return;
    if (!consumer->is_given_up || !destroy_apart(consumer))
        destroy_consumer(consumer);
}

kur_consumer *kur_consumer_new(kur_client *client, const kur_consumer_options *given, kur_error *error)
{
    kur_consumer_options options;
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    if (kur_options_take(&options, sizeof options, given, "kur_consumer_options", error) != KUR_OK ||
        check_options(&options, error) != KUR_OK)
        return NULL;
    kur_consumer *consumer = kur_calloc(1, sizeof *consumer);
    if (consumer == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    atomic_init(&consumer->references, 1);
    atomic_init(&consumer->fd, -1);
    atomic_init(&consumer->group_generation, -1);
    consumer->incoming_generation = -1;
    pthread_mutex_init(&consumer->lock, NULL);
    consumer->client = kur_client_ref(client);
    consumer->audience = options.audience;
    consumer->start = options.start;
    /* Kafka keeps milliseconds: the first one that is not before the time. */
    consumer->start_ms = options.start_at_us / 1000 + (options.start_at_us % 1000 != 0);
    consumer->on_rebalance = options.on_rebalance;
    consumer->on_gap = options.on_gap;
    consumer->companions_of = options.companions;
    consumer->user = options.user;
    consumer->group = kur_strdup(options.audience == KUR_BROADCAST ? "(broadcast)" : options.group);
    consumer->last_answer = kur__answer_new();
    bool has_memory = consumer->group != NULL && consumer->last_answer != NULL;
    kur_status status = has_memory ? open_handle(consumer, &options, error) : kur__error_no_memory(error);
    if (status == KUR_OK)
        return consumer;
    release(consumer, 1);
    return NULL;
}

static void serve_close(kur_consumer *consumer)
{
    rd_kafka_message_t *messages[64];
    ssize_t count = rd_kafka_consume_batch_queue(consumer->queue, CLOSE_SLICE_MS, messages, 64);
    for (ssize_t i = 0; i < count; i++)
        rd_kafka_message_destroy(messages[i]);
    kur__consumer_serve(consumer);
}

static kur_status leave(kur_consumer *consumer, int timeout_ms, kur_error *error)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    rd_kafka_error_t *failed = rd_kafka_consumer_close_queue(consumer->rk, consumer->queue);
    if (failed != NULL) {
        kur_status status = kur__error_of_kafka(error, rd_kafka_error_code(failed), "close");
        rd_kafka_error_destroy(failed);
        return status;
    }
    while ((!rd_kafka_consumer_closed(consumer->rk) || consumer->commits != NULL) && !kur__deadline_is_over(&deadline))
        serve_close(consumer);
    if (rd_kafka_consumer_closed(consumer->rk))
        return KUR_OK;
    consumer->is_given_up = true;
    return kur__connection_timeout(&consumer->connection, error, "close: the group was not left in time");
}

kur_status kur_consumer_close(kur_consumer *consumer, kur_error *error)
{
    return kur_consumer_close_within(consumer, CLOSE_MS, error);
}

kur_status kur_consumer_close_within(kur_consumer *consumer, int timeout_ms, kur_error *error)
{
    if (consumer == NULL)
        return kur_error_null(error, "consumer");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    if (consumer->closed)
        return KUR_OK;
    consumer->closed = true;
    consumer->is_taking = true; /* what is taken from the queue now is given to nobody */
    kur__asker_stop(consumer);
    kur_status status = leave(consumer, timeout_ms, error);
    kur__asker_join(consumer);
    kur__pattern_free(consumer->pattern);
    consumer->pattern = NULL;
    kur__missing_clear(consumer);
    kur__companions_set(consumer, NULL);
    kur__subscription_set(consumer, NULL);
    kur__comeback_done(consumer);
    kur__commit_give_up(consumer);
    return status;
}

void kur_consumer_free(kur_consumer *consumer)
{
    if (consumer == NULL)
        return;
    kur_consumer_close(consumer, NULL);
    release(consumer, 1);
}

/* What librdkafka keeps of a message lies around it, and was mostly written by another processor. */
static void fetch_ahead(const kur_record *record)
{
    for (int line = -2; line <= 4; line++)
        __builtin_prefetch((const char *)record + line * 64, 1);
}

void kur_consumer_free_records(kur_consumer *consumer, kur_record *const *records, size_t count)
{
    size_t freed = 0;
    if (records == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        if (i + FETCH_AHEAD < count)
            fetch_ahead(records[i + FETCH_AHEAD]);
        if (kur__record_is_copy(records[i])) {
            kur_record_free(records[i]);
        } else if (records[i] != NULL && consumer != NULL) {
            rd_kafka_message_destroy(kur__record_message(records[i]));
            freed++;
        }
    }
    if (freed > 0)
        release(consumer, freed);
}

uint64_t kur_consumer_generation(const kur_consumer *consumer)
{
    return consumer != NULL ? atomic_load(&consumer->generation) : 0;
}

int64_t kur_consumer_group_generation(const kur_consumer *consumer)
{
    return consumer != NULL ? atomic_load(&consumer->group_generation) : -1;
}

rd_kafka_t *kur_consumer_librdkafka(kur_consumer *consumer)
{
    return consumer != NULL ? consumer->rk : NULL;
}
