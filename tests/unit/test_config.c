/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"
#include "kafka/client.h"
#include "kafka/config.h"
#include "kafka/transaction.h"

#define CANARY "canary-5e1f"

static void write_file(char path[64], const char *text, size_t size)
{
    strcpy(path, "/tmp/kurier-config.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
    close(fd);
}

static kur_client *from_file(const char *text, size_t size, kur_error *error)
{
    char path[64];
    write_file(path, text, size);
    *error = (kur_error){0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.properties_file = path), error);
    unlink(path);
    return client;
}

START_TEST(test_config__servers_from_everywhere)
{
    kur_error error = {0};
    unsetenv("KAFKA_BOOTSTRAP_SERVERS");
    ck_assert_ptr_null(kur_client_new(NULL, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_CONFIG);
    ck_says(error, "KAFKA_BOOTSTRAP_SERVERS");
    setenv("KAFKA_BOOTSTRAP_SERVERS", "from-environment:1", 1);
    kur_client *client = kur_client_new(NULL, &error);
    ck_assert_ptr_nonnull(client);
    kur_client_unref(client);
    setenv("KAFKA_BOOTSTRAP_SERVERS", "", 1);
    ck_assert_ptr_null(kur_client_new(NULL, &error));
    unsetenv("KAFKA_BOOTSTRAP_SERVERS");
    client = from_file("# mine\n\n  bootstrap.servers = a:1,b:2  \r\nlinger.ms=5\n", 52, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_config__later_settings_count)
{
    kur_error error = {0};
    kur__config config = {0};
    ck_ok(kur__config_set(&config, "client.rack", "one", &error), error);
    ck_ok(kur__config_read(&config, "f", kur_bytes_text("client.rack=two\nclient.rack = three # not a comment\n"),
                           &error),
          error);
    ck_assert_str_eq(kur__config_get(&config, "client.rack"), "three # not a comment");
    ck_assert_ptr_null(kur__config_get(&config, "sasl.username"));
    kur__config_done(&config);
}
END_TEST

/* What a producer of this client with these options is told, as librdkafka has it. */
static void is_configured_with(const kur_producer_options *options, kur_client *client, const char *name,
                               const char *wanted)
{
    char value[256] = "";
    size_t size = sizeof value;
    kur_error error = {0};
    kur__transaction *transaction = NULL;
    ck_assert_ptr_nonnull(client);
    ck_ok(kur__transaction_new(options, &transaction, &error), error);
    rd_kafka_conf_t *conf = kur__client_conf(client, RD_KAFKA_PRODUCER, &error);
    ck_assert_msg(conf != NULL, "%s", error.message);
    ck_ok(kur__transaction_configure(transaction, kur__client_config(client), conf, &error), error);
    ck_assert_int_eq(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
    rd_kafka_conf_destroy(conf);
    kur__transaction_free(transaction);
    ck_assert_str_eq(value, wanted);
}

static void is_configured(kur_client *client, const char *name, const char *wanted)
{
    is_configured_with(&KUR_PRODUCER_OPTIONS(0), client, name, wanted);
}

static void is_configured_for_transactions(kur_client *client, const char *name, const char *wanted)
{
    is_configured_with(&KUR_PRODUCER_OPTIONS(.transactional_id = "t"), client, name, wanted);
}

/* From the weakest source to the strongest, each against all that are weaker. */
START_TEST(test_config__stronger_sources_count)
{
    char path[64], other_name[64];
    const kur_property properties[] = {{"client.id", "property"}, {"bootstrap.servers", "property:1"}, {NULL, NULL}};
    const char file[] = "client.id = file\nbootstrap.servers = file:1\n", alias[] = "metadata.broker.list = alias:1\n";
    kur_error error = {0};
    write_file(path, file, sizeof file - 1);
    write_file(other_name, alias, sizeof alias - 1);
    setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:1", 1);
    const struct {
        kur_client_options options;
        const char *servers, *client_id;
    } cases[] = {
        {KUR_CLIENT_OPTIONS(.source = "/s"), "environment:1", program_invocation_short_name},
        {KUR_CLIENT_OPTIONS(.properties_file = path), "file:1", "file"},
        {KUR_CLIENT_OPTIONS(.properties_file = other_name), "alias:1", program_invocation_short_name},
        {KUR_CLIENT_OPTIONS(.properties_file = path, .bootstrap_servers = "option:1", .client_id = "option"),
         "option:1", "option"},
        /* Under another name in the file, it is still the file's. */
        {KUR_CLIENT_OPTIONS(.properties_file = other_name, .bootstrap_servers = "option:1"), "option:1",
         program_invocation_short_name},
        {KUR_CLIENT_OPTIONS(.properties_file = path, .bootstrap_servers = "option:1", .client_id = "option",
                            .properties = properties),
         "property:1", "property"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_client *client = kur_client_new(&cases[i].options, &error);
        ck_assert_msg(client != NULL, "%zu: %s", i, error.message);
        is_configured(client, "bootstrap.servers", cases[i].servers);
        is_configured(client, "client.id", cases[i].client_id);
        /* Beneath all of them, what the library promises. */
        is_configured(client, "enable.idempotence", "true");
        kur_client_unref(client);
    }
    setenv("KAFKA_BOOTSTRAP_SERVERS", "\xff", 1);
    ck_assert_ptr_null(kur_client_new(NULL, &error));
    ck_says(error, "KAFKA_BOOTSTRAP_SERVERS: bootstrap.servers");
    unsetenv("KAFKA_BOOTSTRAP_SERVERS");
    unlink(path);
    unlink(other_name);
}
END_TEST

/* Values of the names that may hold a secret are shown by no error, whatever is wrong with them. */
START_TEST(test_config__secrets_are_never_shown)
{
    static const char *const names[] = {"sasl.password",
                                        "sasl.username",
                                        "ssl.key.password",
                                        "ssl.keystore.password",
                                        "ssl.key.pem",
                                        "ssl.certificate.pem",
                                        "ssl.ca.pem",
                                        "sasl.oauthbearer.config",
                                        "sasl.oauthbearer.client.secret",
                                        "sasl.oauthbearer.method",
                                        "sasl.oauthbearer.token.endpoint.url"};
    char line[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int wrong = 0; wrong < 3; wrong++) {
            kur_error error;
            int size = snprintf(line, sizeof line,
                                wrong == 0   ? "%s=%s\xff\n"
                                : wrong == 1 ? "%s %s\n"
                                             : "%s=%s\n",
                                names[i], CANARY);
            kur_client *client = from_file(line, (size_t)size, &error);
            ck_assert_msg(strstr(error.message, "canary") == NULL, "%s", error.message);
            kur_client_unref(client);
        }
    }
    /* One whose value librdkafka refuses, and quotes. */
    kur_error error = {0};
    const kur_property property[] = {{"sasl.oauthbearer.method", CANARY}, {NULL, NULL}};
    ck_assert_ptr_null(kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = property), &error));
    /* "the value is not valid", or that this librdkafka was built without it. */
    ck_says(error, "sasl.oauthbearer.method");
    ck_assert_ptr_null(strstr(error.message, CANARY));
}
END_TEST

START_TEST(test_config__errors_have_the_line)
{
    static const struct {
        const char *text;
        size_t size;
        const char *says[3];
    } wrong[] = {
        {"linger.ms=5\nlingr.ms=6\n", 23, {":2:", "lingr.ms", "did you mean linger.ms"}},
        {"\n\nno equals\n", 12, {":3:", NULL, NULL}},
        {"=5\n", 3, {":1:", NULL, NULL}},
        {"linger.ms=\xff\n", 12, {":1:", NULL, NULL}},
        {"linger.ms=a\0b\n", 14, {":1:", NULL, NULL}},
        {"linger.ms=soon\n", 15, {":1:", "linger.ms", NULL}},
        {"enable.auto.commit=true\n", 24, {":1:", "enable.auto.commit", NULL}},
        {"acks=1\n", 7, {":1:", "acks", NULL}},
        {"delivery.report.only.error=true\n", 32, {":1:", "delivery.report.only.error", "has a result"}},
        {"offset.store.method=file\n", 25, {":1:", "offset.store.method", NULL}},
        {"enable.partition.eof=true\n", 26, {":1:", "enable.partition.eof", NULL}},
        {"test.mock.num.brokers=1\n", 24, {":1:", "test.mock.num.brokers", "embedded"}},
        {"log.queue=true\n", 15, {":1:", "log.queue", NULL}},
        {"enable.idempotence=false\n", 25, {":1:", "enable.idempotence", NULL}},
        {"plugin.library.paths=/tmp/x.so\n", 31, {":1:", "plugin.library.paths", NULL}},
        {"sasl.kerberos.kinit.cmd=true\n", 29, {":1:", "sasl.kerberos.kinit.cmd", NULL}},
        {"sasl.pasword=" CANARY "\n", 25, {":1:", "did you mean sasl.password", NULL}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_error error;
        ck_assert_ptr_null(from_file(wrong[i].text, wrong[i].size, &error));
        ck_assert_msg(error.code == KUR_ERROR_CONFIG, "%zu: %s %s", i, kur_status_name(error.code), error.message);
        ck_says(error, "/tmp/kurier-config.");
        for (size_t j = 0; j < 3 && wrong[i].says[j] != NULL; j++)
            ck_says(error, wrong[i].says[j]);
        ck_assert_ptr_null(strstr(error.message, CANARY));
    }
}
END_TEST

START_TEST(test_config__files_that_cannot_be_read)
{
    kur_error error = {0};
    ck_assert_ptr_null(kur_client_new(&KUR_CLIENT_OPTIONS(.properties_file = "/nowhere/kafka.conf"), &error));
    ck_assert_int_eq(error.code, KUR_ERROR_SYSTEM);
    ck_says(error, "/nowhere/kafka.conf");
    ck_says(error, "No such file");
    ck_assert_ptr_null(kur_client_new(&KUR_CLIENT_OPTIONS(.properties_file = "/tmp"), &error));
    ck_assert_int_eq(error.code, KUR_ERROR_SYSTEM);
    ck_assert_ptr_null(kur_client_new(&KUR_CLIENT_OPTIONS(.properties_file = "/dev/zero"), &error));
    ck_assert_int_ne(error.code, KUR_OK);
}
END_TEST

START_TEST(test_config__options_are_checked)
{
    char *long_text = calloc(1, 100001);
    memset(long_text, 'a', 100000);
    const kur_property unknown[] = {{"no.such.thing", "1"}, {NULL, NULL}},
                       no_value[] = {{"linger.ms", NULL}, {NULL, NULL}}, nameless[] = {{"", "1"}, {NULL, NULL}},
                       long_name[] = {{long_text, "1"}, {NULL, NULL}},
                       no_text[] = {{"linger.ms", "\xff"}, {NULL, NULL}},
                       secret[] = {{"sasl.password", CANARY "\n"}, {"linger.ms", CANARY}, {NULL, NULL}};
    const struct {
        kur_client_options options;
        const char *says;
    } wrong[] = {
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "\xff"), "bootstrap"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .client_id = "\xff"), "client"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .source = "a\nb"), "source"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .client_id = ""), ".client_id is empty"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties_file = ""), ".properties_file is empty"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = " , "), "bootstrap"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = ""), "bootstrap"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = nameless), "name is empty"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = long_name), "name is empty or longer than"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = no_text), "linger.ms: the value is not UTF-8"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .source = ""), "source"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .source = long_text), "source"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .log_level = (kur_log_level)9), "log_level"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = unknown), "no.such.thing"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = no_value), "linger.ms"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = secret), "linger.ms"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_error error = {0};
        kur_client *client = kur_client_new(&wrong[i].options, &error);
        ck_assert_msg(client == NULL, "%zu: %s", i, wrong[i].says);
        ck_says(error, wrong[i].says);
        if (wrong[i].options.properties != secret) /* whose linger.ms is none, and may be shown */
            ck_assert_ptr_null(strstr(error.message, CANARY));
    }
    free(long_text);
    kur_error error = {0};
    kur_client_options unsized = {.bootstrap_servers = "a:1"};
    ck_assert_ptr_null(kur_client_new(&unsized, &error));
    ck_says(error, "size");
}
END_TEST

/* Between transactions 100 ms are long; who asks for them has them all the same. */
START_TEST(test_config__transactions_ask_again_soon)
{
    const kur_property slow[] = {{"retry.backoff.ms", "100"}, {NULL, NULL}};
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1"), &error);
    is_configured(client, "retry.backoff.ms", "100");
    is_configured_for_transactions(client, "retry.backoff.ms", "20");
    kur_client_unref(client);
    client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = slow), &error);
    is_configured_for_transactions(client, "retry.backoff.ms", "100");
    kur_client_unref(client);
}
END_TEST

/* A program that was built with newer headers, or with older ones. */
START_TEST(test_config__options_of_another_size)
{
    struct {
        kur_client_options known;
        const char *later;
    } newer = {.known = {.size = sizeof newer, .bootstrap_servers = "a:1"}};
    kur_error error = {0};
    kur_client *client = kur_client_new(&newer.known, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    kur_client_unref(client);
    newer.later = "set";
    ck_assert_ptr_null(kur_client_new(&newer.known, &error));
    ck_says(error, "does not know");
    struct {
        size_t size;
        const char *bootstrap_servers;
    } older = {sizeof older, "a:1"};
    client = kur_client_new((const kur_client_options *)(const void *)&older, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_config__servers_from_everywhere, test_config__later_settings_count,
                                  test_config__stronger_sources_count,  test_config__secrets_are_never_shown,
                                  test_config__errors_have_the_line,    test_config__files_that_cannot_be_read,
                                  test_config__options_are_checked,     test_config__transactions_ask_again_soon,
                                  test_config__options_of_another_size, NULL};
    return check_main("config", tests);
}
