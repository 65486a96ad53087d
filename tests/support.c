/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <check.h>
#include <dirent.h>
#include <kurier/sys/clock.h>
#include <librdkafka/rdkafka.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kafka/embedded_broker.h"

static kur_embedded_broker *embedded;

bool support_is_real(void)
{
    const char *given = getenv("KURIER_BOOTSTRAP");
    return given != NULL && given[0] != '\0';
}

kur_group_protocol support_group_protocol(void)
{
    const char *wish = getenv("KURIER_GROUP_PROTOCOL");
    return wish != NULL && strcmp(wish, "consumer") == 0 ? KUR_GROUP_CONSUMER : KUR_GROUP_CLASSIC;
}

const char *support_bootstrap(void)
{
    if (support_is_real())
        return getenv("KURIER_BOOTSTRAP");
    if (embedded == NULL) {
        kur_error error = {0};
        embedded = kur_embedded_broker_new(&KUR_EMBEDDED_BROKER_OPTIONS(.log = kur_log_stderr), &error);
        ck_assert_msg(embedded != NULL, "%s", error.message);
    }
    return kur_embedded_broker_bootstrap_servers(embedded);
}

void support_stop(void)
{
    kur_embedded_broker_free(embedded);
    embedded = NULL;
}

const char *support_name(const char *prefix)
{
    static char names[64][80];
    static int next;
    char *name = names[next++ % 64];
    kur_uuid uuid;
    char text[KUR_UUID_TEXT_SIZE];
    ck_assert(kur_uuid_new(&uuid, NULL) == KUR_OK);
    kur_uuid_format(&uuid, text);
    snprintf(name, sizeof names[0], "%s-%s", prefix, text);
    return name;
}

static void create_topic(const char *name, int partitions)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_admin *admin = kur_admin_new(client, &error);
    kur_topic_spec spec = KUR_TOPIC_SPEC(.name = name, .partitions = partitions);
    kur_status status;
    int64_t until_us = kur_clock_monotonic_us() + INT64_C(60) * 1000 * 1000;
    do {
        error = (kur_error){0};
        status = kur_admin_create_topics(admin, &spec, 1, 60000, &error);
        /* A broker that was not heard for nine seconds, on a slow day, is fenced until it is heard again. */
    } while (status != KUR_OK && strstr(error.message, "currently fenced") != NULL &&
             kur_clock_monotonic_us() < until_us && poll(NULL, 0, 200) == 0);
    kur_admin_free(admin);
    kur_client_unref(client);
    ck_assert_msg(status == KUR_OK, "no topic %s: %s", name, error.message);
}

void support_create(const char *name, int partitions)
{
    kur_error error = {0};
    support_bootstrap();
    if (support_is_real())
        create_topic(name, partitions);
    else
        ck_assert_msg(kur_embedded_broker_topic(embedded, name, partitions, &error) == KUR_OK, "%s", error.message);
}

const char *support_topic(int partitions)
{
    const char *name = support_name("t");
    support_create(name, partitions);
    return name;
}

kur_client *support_client_with(const kur_property *properties)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests", .properties = properties,
                            .log = kur_log_stderr,
                            .log_level = getenv("KURIER_TEST_INFO") != NULL ? KUR_LOG_INFO : KUR_LOG_WARNING),
        &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

kur_client *support_client(void)
{
    return support_client_with(NULL);
}

int support_rdkafka_version(void)
{
    return rd_kafka_version();
}

int support_rdkafka_headers(void)
{
    return RD_KAFKA_VERSION;
}

void support_refuse(int api_key, int error)
{
    rd_kafka_mock_push_request_errors(kur__embedded_broker_cluster(embedded), (int16_t)api_key, 1,
                                      (rd_kafka_resp_err_t)error);
}

void support_elect(const char *topic, int partition)
{
    rd_kafka_mock_partition_set_leader(kur__embedded_broker_cluster(embedded), topic, partition, 1);
}

const char *support_postgres_node(const char *what)
{
    static char line[1000];
    char command[600];
    const char *source = getenv("SOURCE");
    snprintf(command, sizeof command, "'%s/script/postgres' node %s", source != NULL ? source : ".", what);
    FILE *said = popen(command, "r");
    ck_assert_ptr_nonnull(said);
    line[0] = '\0';
    while (fgets(line, sizeof line, said) != NULL)
        line[strcspn(line, "\n")] = '\0';
    ck_assert_msg(pclose(said) == 0, "%s", command);
    return line;
}

bool support_wait(const atomic_int *counter, int value)
{
    /* As WAIT_MS: on a busy machine a group's start, its topics and each transaction take seconds. */
    int64_t deadline = kur_clock_monotonic_us() + INT64_C(60) * 1000 * 1000;
    while (atomic_load(counter) < value && kur_clock_monotonic_us() < deadline)
        usleep(1000);
    return atomic_load(counter) >= value;
}

int64_t support_received_bytes(void)
{
    int64_t sum = 0;
    DIR *directory = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct tcp_info info = {0};
        socklen_t size = sizeof info;
        if (getsockopt(atoi(entry->d_name), IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
            sum += (int64_t)info.tcpi_bytes_received;
    }
    closedir(directory);
    return sum;
}

int64_t support_hour_ago_us(void)
{
    static int64_t hour_ago_us;
    if (hour_ago_us == 0)
        hour_ago_us = (kur_clock_now_us() / 1000000 - 3600) * 1000000;
    return hour_ago_us;
}
