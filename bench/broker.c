/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "broker.h"

#include <stdio.h>
#include <string.h>

enum {
    ADMIN_MS = 30000
};

kur_client *bench_client(const bench_options *options)
{
    kur_error error = {0};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = options->bootstrap, .client_id = "bench",
                                           .properties = options->properties, .source = "/bench", .log = kur_log_stderr,
                                           .log_level = KUR_LOG_WARNING),
                       &error);
    if (client == NULL)
        bench_fail("client: %s", error.message);
    return client;
}

kur_producer *bench_producer(kur_client *client, kur_dispatch dispatch)
{
    kur_error error = {0};
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.dispatch = dispatch), &error);
    if (producer == NULL)
        bench_fail("producer: %s", error.message);
    return producer;
}

/* ---- Topics ---- */

static rd_kafka_t *admin_new(const bench_options *options)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", options->bootstrap, why, sizeof why) != RD_KAFKA_CONF_OK)
        bench_fail("%s", why);
    for (const kur_property *p = options->properties; p != NULL && p->name != NULL; p++)
        if (rd_kafka_conf_set(conf, p->name, p->value, why, sizeof why) != RD_KAFKA_CONF_OK)
            bench_fail("%s", why);
    rd_kafka_t *admin = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (admin == NULL)
        bench_fail("%s", why);
    return admin;
}

void bench_topic_new(const bench_options *options, char name[64], const char *purpose, int partitions)
{
    kur_uuid uuid;
    char text[KUR_UUID_TEXT_SIZE], why[256];
    if (kur_uuid_new(&uuid, NULL) != KUR_OK)
        bench_fail("no random bytes");
    kur_uuid_format(&uuid, text);
    snprintf(name, 64, "bench-%s-%s", purpose, text);
    if (!options->real)
        return;
    rd_kafka_t *admin = admin_new(options);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof why);
    rd_kafka_CreateTopics(admin, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("the topic %s was not made: %s", name,
                   event != NULL ? rd_kafka_event_error_string(event) : "no answer");
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
}

void bench_topic_delete(const bench_options *options, const char *name)
{
    if (!options->real)
        return;
    rd_kafka_t *admin = admin_new(options);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(admin, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fprintf(stderr, "bench: the topic %s was not deleted\n", name);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
}

/* ---- Bare handles ---- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk, (void)opaque;
    fprintf(stderr, "bench: librdkafka: %s: %s\n", rd_kafka_err2name((rd_kafka_resp_err_t)code), reason);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    if (level < 4) /* errors: properties of the other role are warned of, here as there */
        fprintf(stderr, "bench: librdkafka: %s: %s\n", facility, text);
}

static rd_kafka_conf_t *conf_like(rd_kafka_t *ours, void *opaque)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(rd_kafka_conf(ours));
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_ssl_cert_verify_cb(conf, NULL); /* ours, with an opaque of ours */
    return conf;
}

/* With ours it would fence us. */
static void own_transactions(rd_kafka_conf_t *conf)
{
    char id[128] = "";
    size_t size = sizeof id - 8;
    if (rd_kafka_conf_get(conf, "transactional.id", id, &size) != RD_KAFKA_CONF_OK || id[0] == '\0')
        return;
    strcat(id, "-bare");
    rd_kafka_conf_set(conf, "transactional.id", id, NULL, 0);
}

rd_kafka_t *bench_bare_producer(rd_kafka_t *ours, void *opaque,
                                void (*on_report)(rd_kafka_t *, const rd_kafka_message_t *, void *))
{
    char why[256];
    rd_kafka_conf_t *conf = conf_like(ours, opaque);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    own_transactions(conf);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk == NULL)
        bench_fail("%s", why);
    return rk;
}

rd_kafka_t *bench_bare_consumer(rd_kafka_t *ours, const char *group)
{
    char why[256];
    rd_kafka_conf_t *conf = conf_like(ours, NULL);
    rd_kafka_conf_set_rebalance_cb(conf, NULL);
    if (rd_kafka_conf_set(conf, "group.id", group, why, sizeof why) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", why, sizeof why) != RD_KAFKA_CONF_OK)
        bench_fail("%s", why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (rk == NULL)
        bench_fail("%s", why);
    rd_kafka_poll_set_consumer(rk);
    return rk;
}

static rd_kafka_topic_partition_list_t *beginning(const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(BENCH_PARTITIONS);
    for (int32_t i = 0; i < BENCH_PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = 0;
    return list;
}

rd_kafka_t *bench_bare_reader(kur_client *client, const char *topic)
{
    kur_error error = {0};
    kur_consumer *ours = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = "bench"), &error);
    if (ours == NULL)
        bench_fail("consumer: %s", error.message);
    rd_kafka_t *reader = bench_bare_consumer(kur_consumer_librdkafka(ours), "bench");
    rd_kafka_topic_partition_list_t *list = beginning(topic);
    rd_kafka_resp_err_t code = rd_kafka_assign(reader, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("assign: %s", rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
    kur_consumer_free(ours);
    return reader;
}

void bench_rewind(rd_kafka_t *consumer, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = beginning(topic);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(consumer, list, ADMIN_MS);
    if (error != NULL)
        bench_fail("seek: %s", rd_kafka_error_string(error));
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            bench_fail("seek: %s", rd_kafka_err2str(list->elems[i].err));
    rd_kafka_topic_partition_list_destroy(list);
}

void bench_read(rd_kafka_queue_t *queue, rd_kafka_message_t **messages, size_t count)
{
    size_t have = 0;
    while (have < count) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, ADMIN_MS, messages + have, count - have);
        if (got <= 0)
            bench_fail("reading: nothing came");
        for (ssize_t i = 0; i < got; i++)
            if (messages[have + (size_t)i]->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                bench_fail("reading: %s", rd_kafka_message_errstr(messages[have + (size_t)i]));
        have += (size_t)got;
    }
}

void bench_fill(kur_client *client, const char *topic, size_t records, size_t size, size_t keys)
{
    char key[32], value[BENCH_RECORD_MAX];
    kur_error error = {0};
    kur_producer *producer = bench_producer(client, KUR_DISPATCH_THREAD);
    memset(value, 'x', sizeof value);
    for (size_t i = 0; i < records; i++) {
        kur_message message = KUR_MESSAGE(.topic = topic, .value = kur_bytes_of(value, size));
        if (keys > 0) {
            snprintf(key, sizeof key, "key-%zu", i * 2654435761u % keys);
            message.key = kur_bytes_text(key);
        } else {
            message.partition = KUR_PARTITION((int32_t)(i % BENCH_PARTITIONS));
        }
        kur_status status;
        while ((status = kur_producer_send(producer, &message, &error)) == KUR_ERROR_QUEUE_FULL)
            continue;
        if (status != KUR_OK)
            bench_fail("send: %s", error.message);
    }
    if (kur_producer_flush(producer, 60000, &error) != KUR_OK)
        bench_fail("flush: %s", error.message);
    if (kur_producer_free(producer) > 0)
        bench_fail("records were not delivered");
}
