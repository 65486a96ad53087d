/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier doctor`: from the configuration to a topic, one step after the other, each with what to do when it fails. The
 * first step that fails decides the exit status, and those that need it are left out.
 */
#include <kurier/librdkafka.h>
#include <kurier/sys/clock.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "doctor.h"
#include "reach.h"

enum {
    TIMEOUT_DEFAULT_S = 10
};

/* ---- Findings ---- */

void doctor_well(const char *step, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("ok    %-14s ", step);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    fflush(stdout);
}

void doctor_ill(struct examination *e, int status, const char *step, const char *advice, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAIL  %-14s ", step);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    if (advice != NULL)
        printf("      %-14s %s\n", "next:", advice);
    fflush(stdout);
    if (e->status == EXIT_DONE)
        e->status = status;
}

void doctor_doubtful(const char *step, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("note  %-14s ", step);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

/* ---- Configuration ---- */

static bool is_default(const kur_setting *setting)
{
    return strcmp(setting->origin, "librdkafka") == 0 || strcmp(setting->origin, "kurier") == 0;
}

static void show_settings(const struct examination *e, const kur_client *client)
{
    const kur_setting *settings;
    size_t count;
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    if (arena != NULL && kur_client_settings(client, KUR_ROLE_CONSUMER, arena, &settings, &count, &error) == KUR_OK)
        for (size_t i = 0; i < count; i++)
            if (e->shows_all || !is_default(&settings[i]))
                printf("        %s = %s  (%s)\n", settings[i].name, settings[i].value, settings[i].origin);
    kur_arena_free(arena);
}

static kur_client *configure(struct examination *e)
{
    kur_error error = {0};
    const struct connection *connection = &e->call.connection;
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.properties_file = connection->properties_file,
                            .bootstrap_servers = connection->bootstrap_servers, .properties = connection->properties,
                            .log = connection->is_verbose ? kur_log_stderr : NULL,
                            .security = &KUR_SECURITY_OPTIONS(.allow_clear_text = connection->allows_clear_text)),
        &error);
    if (client == NULL) {
        const char *advice =
            error.code == KUR_ERROR_SYSTEM ? "give --properties a file that is there and readable"
            : error.code == KUR_ERROR_UNSUPPORTED
                ? "install a librdkafka that has it (Debian: librdkafka1), or log in another way"
            : strstr(error.message, "allow_clear_text") != NULL
                ? "set security.protocol=SASL_SSL; --allow-clear-text tries it all the same"
                : "correct it in the file or in --set; docs/guide/configuring.md explains the properties";
        doctor_ill(e, EXIT_CONFIGURATION, "configuration", advice, "%s", error.message);
        return NULL;
    }
    doctor_well("configuration", "%s",
                e->shows_all ? "all that is in force, and where it comes from:" : "what was set:");
    show_settings(e, client);
    doctor_well("versions", "Kurier %s, librdkafka %s (compiled with %d.%d.%d)", kur_version(), rd_kafka_version_str(),
                RD_KAFKA_VERSION >> 24 & 0xff, RD_KAFKA_VERSION >> 16 & 0xff, RD_KAFKA_VERSION >> 8 & 0xff);
    return client;
}

/* The value in force of a property, in `value`; empty when it is not listed. */
static void get_setting(const kur_client *client, const char *name, char *value, size_t size)
{
    const kur_setting *settings;
    size_t count;
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    value[0] = '\0';
    if (arena != NULL && kur_client_settings(client, KUR_ROLE_CONSUMER, arena, &settings, &count, &error) == KUR_OK)
        for (size_t i = 0; i < count; i++)
            if (strcmp(settings[i].name, name) == 0)
                snprintf(value, size, "%s", settings[i].value);
    kur_arena_free(arena);
}

static void judge_versions(const kur_client *client)
{
    char mechanism[64];
    get_setting(client, "sasl.mechanisms", mechanism, sizeof mechanism);
    if (strncasecmp(mechanism, "SCRAM", 5) == 0 && rd_kafka_version() < 0x020601ff)
        doctor_doubtful("versions", "this librdkafka cannot log in by SCRAM to Kafka 4: that takes 2.6.1 or later");
}

/* ---- Network ---- */

static bool examine_address(struct examination *e, const char *step, const char *host, const char *port, bool counts)
{
    char why[REACH_TEXT_SIZE];
    const char *advice;
    int64_t start = kur_clock_monotonic_us();
    if (reach(host, port, why, &advice)) {
        doctor_well(step, "%s:%s accepts connections (%.1f ms)", host, port,
                    (double)(kur_clock_monotonic_us() - start) / 1000.0);
        return true;
    }
    if (counts)
        doctor_ill(e, EXIT_NETWORK, step, advice, "%s:%s: %s", host, port, why);
    else
        doctor_doubtful(step, "%s:%s: %s; %s", host, port, why, advice);
    return false;
}

/* One of several may be down. */
static bool examine_network(struct examination *e, const kur_client *client)
{
    char servers[4096], host[REACH_HOST_SIZE], port[REACH_PORT_SIZE];
    size_t reached = 0;
    get_setting(client, "metadata.broker.list", servers, sizeof servers);
    for (const char *at = servers; *at != '\0';) {
        size_t size = strcspn(at, ",");
        while (size > 0 && *at == ' ') {
            at++;
            size--;
        }
        if (size > 0 && !reach_split(at, size, host, port))
            doctor_doubtful("network", "%.*s is no host and port", (int)size, at);
        else if (size > 0)
            reached += examine_address(e, "network", host, port, false);
        at += size + (at[size] == ',');
    }
    if (reached == 0)
        doctor_ill(e, EXIT_NETWORK, "network", "see the notes above, and bootstrap.servers",
                   "none of the bootstrap servers can be reached");
    return reached > 0;
}

/* ---- Log-in ---- */

static bool examine_log_in(struct examination *e, kur_client *client)
{
    char protocol[32], mechanism[64];
    kur_error error = {0};
    get_setting(client, "security.protocol", protocol, sizeof protocol);
    get_setting(client, "sasl.mechanisms", mechanism, sizeof mechanism);
    bool uses_sasl = strncasecmp(protocol, "sasl", 4) == 0;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "asking for %d s at most…\n", e->timeout_ms / 1000);
    if (kur_client_check(client, e->timeout_ms, &error) == KUR_OK) {
        doctor_well("log-in", "by %s%s%s", protocol, uses_sasl ? " with " : "", uses_sasl ? mechanism : "");
        return true;
    }
    if (error.code == KUR_ERROR_AUTHENTICATION)
        doctor_ill(
            e, EXIT_LOG_IN, "log-in",
            "the guide's page on troubleshooting (docs/guide/troubleshooting.md) has this message, and what helps",
            "%s", error.message);
    else if (error.code == KUR_ERROR_CONFIG)
        doctor_ill(e, EXIT_CONFIGURATION, "log-in", "correct the file or property that it names", "%s", error.message);
    else
        doctor_ill(e, EXIT_NETWORK, "log-in",
                   "does security.protocol fit the port? The broker's log tells what it thought of the connection",
                   "%s", error.message);
    return false;
}

/* ---- Cluster, topics, group ---- */

static void examine_brokers(struct examination *e, const struct rd_kafka_metadata *metadata)
{
    char port[REACH_PORT_SIZE];
    for (int i = 0; i < metadata->broker_cnt; i++) {
        const rd_kafka_metadata_broker_t *broker = &metadata->brokers[i];
        snprintf(port, sizeof port, "%d", broker->port);
        if (!examine_address(e, "brokers", broker->host, port, true))
            printf("      %-14s broker %d tells clients this address: advertised.listeners of the broker must be one "
                   "that they "
                   "reach\n",
                   "", broker->id);
    }
}

static bool examine_cluster(struct examination *e, kur_client *client)
{
    kur_error error = {0};
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *rk = kur_producer_librdkafka(kur_client_producer(client, &error));
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &metadata, e->timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        doctor_ill(e, EXIT_NETWORK, "metadata", "try again: the cluster may just be electing", "%s",
                   rd_kafka_err2str(code));
        return false;
    }
    char *id = rd_kafka_clusterid(rk, 0);
    doctor_well("metadata", "cluster %s, %d brokers, controller %d, %d topics that this user sees",
                id != NULL ? id : "?", metadata->broker_cnt, rd_kafka_controllerid(rk, 0), metadata->topic_cnt);
    if (id != NULL)
        rd_kafka_mem_free(rk, id);
    examine_brokers(e, metadata);
    rd_kafka_metadata_destroy(metadata);
    return true;
}

/* ---- The command ---- */

static struct examination state;

static int read_topic(struct invocation *call, const char *value)
{
    if (state.topic_count == DOCTOR_TOPICS_MAX)
        return command_refuse(call->noun, "more than %d times --topic", DOCTOR_TOPICS_MAX);
    state.topics[state.topic_count++] = value;
    return EXIT_DONE;
}

static int run(struct invocation *call)
{
    struct examination *e = &state;
    e->timeout_ms = (int)(call->connection.timeout_s > 0 ? call->connection.timeout_s : TIMEOUT_DEFAULT_S) * 1000;
    kur_client *client = configure(e);
    if (client == NULL)
        return e->status;
    judge_versions(client);
    if (examine_network(e, client) && examine_log_in(e, client) && examine_cluster(e, client) &&
        (e->topic_count > 0 || e->group != NULL))
        doctor_read(e, client);
    kur_client_unref(client);
    printf("%s\n", e->status == EXIT_DONE ? "All is well." : "Something is wrong: see FAIL above.");
    return e->status;
}

static const struct option list[] = {
    {"--topic", "NAME", "is it there, and may it be read? May be repeated", .kind = OPTION_CALL, .read = read_topic},
    {"--group", "NAME", "may the group's offsets be seen, and are they, and what stands beside them, right?",
     OPTION_IN(TEXT, struct examination, group)},
    {"--all", NULL, "all settings that are in force, not only those that were set",
     OPTION_IN(FLAG, struct examination, shows_all)},
    {"--timeout", "SECONDS", "how long a broker is waited for; default 10",
     OPTION_IN(NUMBER, struct examination, call.connection.timeout_s), .least = 1, .most = 600},
    {.name = NULL}};
static const struct options options = {.list = list};

static const struct verb verb = {
    .about =
        "Finds out why Kafka cannot be reached or used, as a service would: configuration, names and ports, log-in, "
        "metadata, topics and group; and says for each what to do next. Changes nothing there, and shows no "
        "secrets.",
    .notes =
        "Exit status: 0 all is well, 1 failed otherwise, 3 the command line is wrong, 4 the configuration is, 5 no "
        "broker can be reached, 6 the log-in is refused, 7 a topic or group is missing or may not be used.",
    .options = {&options, &connect_options},
    .state = &state.call,
    .run = run};
static const struct verb *const verbs[] = {&verb, NULL};

const struct noun doctor_noun = {
    .name = "doctor", .summary = "finds out why Kafka cannot be reached or used", .verbs = verbs};
