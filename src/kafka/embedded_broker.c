/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "kafka/embedded_broker.h"

#include <kurier/sys/memory.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "kafka/connection.h"
#include "kafka/topic.h"
#include <kurier/sys/options.h>

enum {
    BROKERS_MAX = 16,
    PARTITIONS_MAX = 1000
};

struct topic {
    UT_hash_handle hh;
    char name[];
};

struct kur_embedded_broker {
    kur__log log;
    kur__connection connection;
    rd_kafka_t *rk; /* the mock cluster lives on a handle */
    rd_kafka_mock_cluster_t *cluster;
    pthread_mutex_t lock; /* guards topics */
    struct topic *topics;
};

static kur_status start(kur_embedded_broker *broker, int brokers, kur_error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "client.id", "embedded-broker", NULL, 0);
    broker->rk = kur__connection_open(&broker->connection, &broker->log, NULL, RD_KAFKA_PRODUCER, conf, error);
    if (broker->rk == NULL)
        return KUR_ERROR_SYSTEM;
    broker->cluster = rd_kafka_mock_cluster_new(broker->rk, brokers);
    if (broker->cluster == NULL)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no port on 127.0.0.1 for the embedded broker");
    return KUR_OK;
}

kur_embedded_broker *kur_embedded_broker_new(const kur_embedded_broker_options *given, kur_error *error)
{
    kur_embedded_broker_options options;
    if (kur_options_take(&options, sizeof options, given, "kur_embedded_broker_options", error) != KUR_OK)
        return NULL;
    if (options.brokers < 0 || options.brokers > BROKERS_MAX) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".brokers is not 1 to %d", BROKERS_MAX);
        return NULL;
    }
    kur_embedded_broker *broker = kur_calloc(1, sizeof *broker);
    if (broker == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    broker->log = (kur__log){options.log, options.log_user, KUR_LOG_INFO, NULL};
    pthread_mutex_init(&broker->lock, NULL);
    if (start(broker, options.brokers != 0 ? options.brokers : 1, error) == KUR_OK)
        return broker;
    kur_embedded_broker_free(broker);
    return NULL;
}

const char *kur_embedded_broker_bootstrap_servers(const kur_embedded_broker *broker)
{
    return broker != NULL ? rd_kafka_mock_cluster_bootstraps(broker->cluster) : NULL;
}

bool kur__embedded_broker_has_id(const char *cluster_id)
{
    static const char prefix[] = "mockCluster";
    return strncmp(cluster_id, prefix, sizeof prefix - 1) == 0;
}

rd_kafka_mock_cluster_t *kur__embedded_broker_cluster(const kur_embedded_broker *broker)
{
    return broker->cluster;
}

static kur_status add_topic(kur_embedded_broker *broker, const char *name, int partitions, kur_error *error)
{
    struct topic *topic;
    size_t size = strlen(name);
    HASH_FIND(hh, broker->topics, name, size, topic);
    if (topic != NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the topic %s is already there", name);
    topic = kur_calloc(1, sizeof *topic + size + 1);
    if (topic == NULL)
        return kur__error_no_memory(error);
    memcpy(topic->name, name, size);
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(broker->cluster, name, partitions, 1);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        HASH_ADD(hh, broker->topics, name, size, topic);
    if (topic->hh.tbl != NULL)
        return KUR_OK;
    kur_free(topic);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return kur__error_no_memory(error);
    /* It may have appeared by itself when a client first named it. */
    return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the topic %s cannot be made: %s", name,
                         rd_kafka_err2str(code));
}

kur_status kur_embedded_broker_topic(kur_embedded_broker *broker, const char *name, int partitions, kur_error *error)
{
    if (broker == NULL)
        return kur_error_null(error, "broker");
    if (!kur__topic_is_valid(name))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "name is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"",
                             name != NULL ? name : "NULL");
    if (partitions < 1 || partitions > PARTITIONS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "partitions is not 1 to %d", PARTITIONS_MAX);
    pthread_mutex_lock(&broker->lock);
    kur_status status = add_topic(broker, name, partitions, error);
    pthread_mutex_unlock(&broker->lock);
    return status;
}

void kur_embedded_broker_free(kur_embedded_broker *broker)
{
    if (broker == NULL)
        return;
    if (broker->cluster != NULL)
        rd_kafka_mock_cluster_destroy(broker->cluster);
    if (broker->rk != NULL) {
        rd_kafka_destroy(broker->rk);
        kur__connection_done(&broker->connection);
    }
    struct topic *topic, *next;
    HASH_ITER (hh, broker->topics, topic, next) {
        HASH_DEL(broker->topics, topic);
        kur_free(topic);
    }
    pthread_mutex_destroy(&broker->lock);
    kur_free(broker);
}
