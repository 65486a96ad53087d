/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"
#include "kafka/config.h"

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
                       no_value[] = {{"linger.ms", NULL}, {NULL, NULL}},
                       secret[] = {{"sasl.password", CANARY "\n"}, {"linger.ms", CANARY}, {NULL, NULL}};
    const struct {
        kur_client_options options;
        const char *says;
    } wrong[] = {
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "\xff"), "bootstrap"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .client_id = "\xff"), "client"},
        {KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .source = "a\nb"), "source"},
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
        if (i != 8)
            ck_assert_ptr_null(strstr(error.message, CANARY));
    }
    free(long_text);
    kur_error error = {0};
    kur_client_options unsized = {.bootstrap_servers = "a:1"};
    ck_assert_ptr_null(kur_client_new(&unsized, &error));
    ck_says(error, "size");
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
    const TTest *const tests[] = {test_config__servers_from_everywhere,
                                  test_config__later_settings_count,
                                  test_config__errors_have_the_line,
                                  test_config__files_that_cannot_be_read,
                                  test_config__options_are_checked,
                                  test_config__options_of_another_size,
                                  NULL};
    return check_main("config", tests);
}
