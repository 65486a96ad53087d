/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier broker`: the embedded broker, for other processes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

enum {
    TOPICS_MAX = 256,
    NAME_SIZE_MAX = 249,
    PARTITIONS_DEFAULT = 4
};

struct topic {
    char name[NAME_SIZE_MAX + 1];
    int partitions;
};

struct plan {
    int brokers;
    bool is_verbose;
    size_t topic_count;
    struct topic topics[TOPICS_MAX];
};

static void help(void)
{
    printf("usage: kurier broker [--topic NAME[:PARTITIONS]]… [--brokers N] [--verbose]\n"
           "\n"
           "Serves Kafka's protocol on 127.0.0.1, for tests and demos, until SIGINT or SIGTERM. The first line printed "
           "is\n"
           "its address, such as 127.0.0.1:40123; by then the topics are there and it can be used:\n"
           "\n"
           "  export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:40123\n"
           "\n"
           "  --topic NAME[:PARTITIONS]  make a topic, with %d partitions unless told otherwise; may be repeated\n"
           "  --brokers N                so many brokers in the cluster (1 to 16; default 1)\n"
           "  --verbose                  the broker's own messages on standard error\n"
           "  --help                     print this\n"
           "\n"
           "What it cannot do:\n"
           "  - keep anything: records are in memory and end with the process\n"
           "  - keep more than 5 MB or 100,000 batches of a partition: older ones go\n"
           "  - transactions: aborted records are visible\n"
           "  - create, delete or describe topics by request: a topic that a client names first appears with 4 "
           "partitions\n"
           "  - look up offsets by time\n"
           "  - listen on a port of your choice, or on another address\n"
           "The first rebalance of a group takes 3 s; later ones take a second less than its session time-out, 44 s by "
           "default.\n"
           "For the real thing: script/kafka start.\n",
           PARTITIONS_DEFAULT);
}

static bool read_number(const char *text, int least, int most, int *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most)
        return false;
    *number = (int)value;
    return true;
}

static int read_topic(struct plan *plan, const char *text)
{
    if (text == NULL)
        return command_refuse("broker", "--topic needs a name, such as orders:6");
    if (plan->topic_count == TOPICS_MAX)
        return command_refuse("broker", "more than %d topics", TOPICS_MAX);
    struct topic *topic = &plan->topics[plan->topic_count++];
    const char *colon = strrchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : strlen(text);
    topic->partitions = PARTITIONS_DEFAULT;
    if (size == 0 || size > NAME_SIZE_MAX)
        return command_refuse("broker", "--topic \"%.60s\": the name is not 1 to %d characters", text, NAME_SIZE_MAX);
    if (colon != NULL && !read_number(colon + 1, 1, 1000, &topic->partitions))
        return command_refuse("broker", "--topic \"%.60s\": the number of partitions is not 1 to 1000", text);
    memcpy(topic->name, text, size);
    return EXIT_DONE;
}

static int read_arguments(struct plan *plan, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        int status = EXIT_DONE;
        if (command_option(argc, argv, &i, "--topic", &value))
            status = read_topic(plan, value);
        else if (command_option(argc, argv, &i, "--brokers", &value)) {
            if (value == NULL || !read_number(value, 1, 16, &plan->brokers))
                status = command_refuse("broker", "--brokers needs a number from 1 to 16");
        } else if (strcmp(argv[i], "--verbose") == 0)
            plan->is_verbose = true;
        else
            status = command_refuse("broker", "what is \"%.60s\"?", argv[i]);
        if (status != EXIT_DONE)
            return status;
    }
    return EXIT_DONE;
}

static kur_embedded_broker *start(const struct plan *plan, kur_error *error)
{
    kur_embedded_broker *broker = kur_embedded_broker_new(
        &KUR_EMBEDDED_BROKER_OPTIONS(.brokers = plan->brokers, .log = plan->is_verbose ? kur_log_stderr : NULL), error);
    for (size_t i = 0; i < plan->topic_count && broker != NULL; i++) {
        const struct topic *topic = &plan->topics[i];
        kur_error why = {0};
        if (kur_embedded_broker_topic(broker, topic->name, topic->partitions, &why) != KUR_OK) {
            kur_error_set(error, why.code, "--topic \"%.60s\": %s", topic->name, why.message);
            kur_embedded_broker_free(broker);
            return NULL;
        }
    }
    return broker;
}

static int run(int argc, char **argv)
{
    static struct plan plan;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help();
            return EXIT_DONE;
        }
    int status = read_arguments(&plan, argc, argv);
    if (status != EXIT_DONE)
        return status;

    /* Blocked before the broker's threads start, so that the signal comes to this one. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    kur_error error = {0};
    kur_embedded_broker *broker = start(&plan, &error);
    if (broker == NULL)
        return command_fail("broker", "%s", error.message);
    printf("%s\n", kur_embedded_broker_bootstrap_servers(broker));
    if (fflush(stdout) == 0) {
        int signal;
        sigwait(&signals, &signal);
    } else
        status = command_fail("broker", "the address could not be printed: %s", strerror(errno));
    kur_embedded_broker_free(broker);
    return status;
}

const struct command broker_command = {"broker", "a broker in memory, for tests and demos", run};
