/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "kafka/client.h"

#include <errno.h>
#include <kurier/producer.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "event/attribute.h"
#include "kafka/config.h"
#include "kafka/producer.h"
#include <kurier/sys/options.h>

enum {
    SOURCE_SIZE_MAX = 1000
};

struct kur_client {
    atomic_size_t references;
    kur__config config;
    kur__security security;
    kur__log log;
    char *source;
    kur__codec codec;
    pthread_mutex_t lock;   /* guards producer */
    kur_producer *producer; /* made at the first call, freed with the client */
};

/* The properties that the library's promises stand on, beneath whatever users set. */
static const kur_property common_defaults[] = {
    {"socket.nagle.disable", "true"},
};
static const kur_property producer_defaults[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"partitioner", "murmur2_random"},
    /* What kur_producer_options names as defaults; here, so that the client's properties can set them. */
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "65536"},
    {"linger.ms", "5"},
    {"message.timeout.ms", "120000"},
};
static const kur_property consumer_defaults[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    /* A topic that is made after the subscription is found by then; librdkafka's own five minutes look like a hang. */
    {"topic.metadata.refresh.interval.ms", "10000"},
};

static kur_status set_defaults(rd_kafka_conf_t *conf, const kur_property *defaults, size_t count, kur_error *error)
{
    char why[256];
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_conf_set(conf, defaults[i].name, defaults[i].value, why, sizeof why) != RD_KAFKA_CONF_OK)
            return kur_error_set(error, KUR_ERROR_CONFIG, "librdkafka %s: %s", rd_kafka_version_str(), why);
    return KUR_OK;
}

rd_kafka_conf_t *kur__client_conf(const kur_client *client, rd_kafka_type_t role, kur_error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool produces = role == RD_KAFKA_PRODUCER;
    kur_status status = set_defaults(conf, common_defaults, sizeof common_defaults / sizeof *common_defaults, error);
    if (status == KUR_OK)
        status =
            produces
                ? set_defaults(conf, producer_defaults, sizeof producer_defaults / sizeof *producer_defaults, error)
                : set_defaults(conf, consumer_defaults, sizeof consumer_defaults / sizeof *consumer_defaults, error);
    if (status == KUR_OK)
        status = kur__config_apply(&client->config, conf, error);
    if (status == KUR_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

const kur__log *kur__client_log(const kur_client *client)
{
    return &client->log;
}

kur__security *kur__client_security(const kur_client *client)
{
    /* Its secrets have a lock of their own, and nothing else of it changes. */
    return (kur__security *)&client->security;
}

const kur__config *kur__client_config(const kur_client *client)
{
    return &client->config;
}

kur__codec *kur__client_codec(const kur_client *client)
{
    /* Its cache has a lock of its own, and nothing else of it changes. */
    return (kur__codec *)(uintptr_t)&client->codec;
}

const char *kur__client_source(const kur_client *client)
{
    return client->source;
}

static kur_status set_from(kur_client *client, const char *origin, const char *name, const char *value,
                           kur_error *error)
{
    client->config.origin = origin;
    kur_status status = kur__config_set(&client->config, name, value, error);
    client->config.origin = NULL;
    return status;
}

/* From the weakest source to the strongest. */
static kur_status collect(kur_client *client, const kur_client_options *options, kur_error *error)
{
    const char *environment = getenv("KAFKA_BOOTSTRAP_SERVERS");
    const char *program = program_invocation_short_name;
    kur_status status = KUR_OK;
    if (program != NULL && program[0] != '\0' && kur_bytes_is_utf8(kur_bytes_text(program)))
        status = set_from(client, "program", "client.id", program, error);
    if (status == KUR_OK && environment != NULL && environment[0] != '\0') {
        status = set_from(client, "KAFKA_BOOTSTRAP_SERVERS", "bootstrap.servers", environment, error);
        if (status != KUR_OK)
            kur__error_prefix(error, "KAFKA_BOOTSTRAP_SERVERS: ");
    }
    if (status == KUR_OK && options->properties_file != NULL)
        status = kur__config_load(&client->config, options->properties_file, error);
    if (status == KUR_OK && options->bootstrap_servers != NULL)
        status = set_from(client, ".bootstrap_servers", "bootstrap.servers", options->bootstrap_servers, error);
    if (status == KUR_OK && options->client_id != NULL)
        status = set_from(client, ".client_id", "client.id", options->client_id, error);
    for (const kur_property *p = options->properties; status == KUR_OK && p != NULL && p->name != NULL; p++)
        status = set_from(client, ".properties", p->name, p->value, error);
    if (status != KUR_OK)
        return status;
    const char *servers = kur__config_get(&client->config, "bootstrap.servers");
    if (servers == NULL)
        servers = kur__config_get(&client->config, "metadata.broker.list");
    if (servers == NULL || servers[strspn(servers, " ,")] == '\0')
        return kur_error_set(
            error, KUR_ERROR_CONFIG,
            "no bootstrap servers: set .bootstrap_servers, KAFKA_BOOTSTRAP_SERVERS, or bootstrap.servers in "
            "the properties file");
    return KUR_OK;
}

static kur_status check_security(kur_client *client, kur_error *error)
{
    rd_kafka_conf_t *conf = kur__client_conf(client, RD_KAFKA_PRODUCER, error);
    if (conf == NULL)
        return KUR_ERROR_CONFIG;
    kur_status status = kur__security_check(&client->security, &client->config, conf, &client->log, error);
    rd_kafka_conf_destroy(conf);
    return status;
}

kur_client *kur_client_new(const kur_client_options *given, kur_error *error)
{
    kur_client_options options;
    kur_security_options security;
    if (kur_options_take(&options, sizeof options, given, "kur_client_options", error) != KUR_OK ||
        kur_options_take(&security, sizeof security, options.security, "kur_security_options", error) != KUR_OK)
        return NULL;
    if (options.source != NULL && (options.source[0] == '\0' || strlen(options.source) > SOURCE_SIZE_MAX ||
                                   !kur__attribute_is_text(kur_bytes_text(options.source)))) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                      ".source is empty, longer than %d bytes, or not UTF-8 without control characters",
                      SOURCE_SIZE_MAX);
        return NULL;
    }
    if ((options.properties_file != NULL && options.properties_file[0] == '\0') ||
        (options.client_id != NULL && options.client_id[0] == '\0')) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is empty",
                      options.client_id != NULL && options.client_id[0] == '\0' ? ".client_id" : ".properties_file");
        return NULL;
    }
    if (options.log_level < 0 || options.log_level > KUR_LOG_DEBUG) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".log_level is not a kur_log_level");
        return NULL;
    }
    kur_client *client = kur_calloc(1, sizeof *client);
    if (client == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    atomic_init(&client->references, 1);
    pthread_mutex_init(&client->lock, NULL);
    kur__security_init(&client->security, &security);
    client->config.allows_code = security.allow_code;
    client->log = (kur__log){options.log, options.log_user, options.log_level != 0 ? options.log_level : KUR_LOG_INFO,
                             &client->security.secrets};
    client->source = kur_strdup(options.source);
    kur_status status = kur__codec_init(&client->codec, &options, error);
    if (status == KUR_OK)
        status = options.source != NULL && client->source == NULL ? kur__error_no_memory(error)
                                                                  : collect(client, &options, error);
    if (status == KUR_OK)
        status = check_security(client, error);
    if (status == KUR_OK)
        return client;
    kur_client_unref(client);
    return NULL;
}

kur_client *kur_client_ref(kur_client *client)
{
    if (client != NULL)
        atomic_fetch_add(&client->references, 1);
    return client;
}

void kur_client_unref(kur_client *client)
{
    if (client == NULL || atomic_fetch_sub(&client->references, 1) != 1)
        return;
    kur_producer_free(client->producer);
    kur__config_done(&client->config);
    kur__security_done(&client->security);
    kur__codec_done(&client->codec);
    pthread_mutex_destroy(&client->lock);
    kur_free(client->source);
    kur_free(client);
}

kur_producer *kur_client_producer(kur_client *client, kur_error *error)
{
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    pthread_mutex_lock(&client->lock);
    if (client->producer == NULL)
        client->producer = kur__producer_new_unowned(client, NULL, error);
    kur_producer *producer = client->producer;
    pthread_mutex_unlock(&client->lock);
    return producer;
}

kur_status kur_client_check(kur_client *client, int timeout_ms, kur_error *error)
{
    if (client == NULL)
        return kur_error_null(error, "client");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    kur_producer *producer = kur_client_producer(client, error);
    return producer != NULL ? kur__producer_check(producer, timeout_ms, error) : KUR_ERROR_CONFIG;
}

void kur_client_log(const kur_client *client, kur_log_level level, const char *format, ...)
{
    if (client == NULL || format == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    kur__log_print_list(&client->log, level, format, arguments);
    va_end(arguments);
}
