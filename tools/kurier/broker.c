/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier broker`: the embedded broker, for other processes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "command.h"
#include "text.h"

enum {
    TOPICS_MAX = 256,
    NAME_SIZE_MAX = 249,
    PARTITIONS_DEFAULT = 4
};

struct topic {
    char name[NAME_SIZE_MAX + 1];
    int64_t partitions;
};

static struct broker {
    struct invocation call;
    int64_t brokers;
    size_t topic_count;
    struct topic topics[TOPICS_MAX];
} state;

/* ---- Options ---- */

static int read_topic(struct invocation *call, const char *text)
{
    if (state.topic_count == TOPICS_MAX)
        return command_refuse(call->noun, "more than %d topics", TOPICS_MAX);
    struct topic *topic = &state.topics[state.topic_count++];
    const char *colon = strrchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : strlen(text);
    topic->partitions = PARTITIONS_DEFAULT;
    if (size == 0 || size > NAME_SIZE_MAX)
        return command_refuse(call->noun, "--topic \"%.60s\": the name is not 1 to %d characters", text, NAME_SIZE_MAX);
    if (colon != NULL && !text_read_number(colon + 1, 1, 1000, &topic->partitions))
        return command_refuse(call->noun, "--topic \"%.60s\": the number of partitions is not 1 to 1000", text);
    memcpy(topic->name, text, size);
    return EXIT_DONE;
}

static const struct option list[] = {{"--topic", "NAME[:PARTITIONS]",
                                      "make a topic, with 4 partitions unless told otherwise; may be repeated",
                                      .kind = OPTION_CALL, .read = read_topic, .needs = "a name, such as orders:6"},
                                     {"--brokers", "N", "so many brokers in the cluster (1 to 16; default 1)",
                                      OPTION_IN(NUMBER, struct broker, brokers), .least = 1, .most = 16},
                                     {"--verbose", NULL, "the broker's own messages on standard error",
                                      OPTION_IN(FLAG, struct broker, call.connection.is_verbose)},
                                     {.name = NULL}};
static const struct options options = {.list = list};

/* ---- Running ---- */

static kur_embedded_broker *start(const struct broker *plan, kur_error *error)
{
    kur_embedded_broker *broker = kur_embedded_broker_new(
        &KUR_EMBEDDED_BROKER_OPTIONS(.brokers = (int)plan->brokers,
                                     .log = plan->call.connection.is_verbose ? kur_log_stderr : NULL),
        error);
    for (size_t i = 0; i < plan->topic_count && broker != NULL; i++) {
        const struct topic *topic = &plan->topics[i];
        kur_error why = {0};
        if (kur_embedded_broker_topic(broker, topic->name, (int)topic->partitions, &why) != KUR_OK) {
            kur_error_set(error, why.code, "--topic \"%.60s\": %s", topic->name, why.message);
            kur_embedded_broker_free(broker);
            return NULL;
        }
    }
    return broker;
}

static int run(struct invocation *call)
{
    int status = EXIT_DONE;

    /* Blocked before the broker's threads start, so that the signal comes to this one. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    kur_error error = {0};
    kur_embedded_broker *broker = start(&state, &error);
    if (broker == NULL)
        return command_error(call->noun, &error);
    printf("%s\n", kur_embedded_broker_bootstrap_servers(broker));
    if (fflush(stdout) == 0) {
        int signal;
        sigwait(&signals, &signal);
    } else
        status = command_fail(call->noun, "the address could not be printed: %s", strerror(errno));
    kur_embedded_broker_free(broker);
    return status;
}

static const struct verb verb = {
    .about =
        "Serves Kafka's protocol on 127.0.0.1, for tests and demos, until SIGINT or SIGTERM. The first line printed "
        "is its address, such as 127.0.0.1:40123; by then the topics are there and it can be used:\n"
        "\n"
        "  export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:40123\n",
    .notes =
        "What it cannot do:\n"
        "\n"
        "  - keep anything: records are in memory and end with the process\n"
        "  - keep more than 5 MB or 100,000 batches of a partition: older ones go\n"
        "  - transactions: aborted records are visible\n"
        "  - create, delete or describe topics by request: a topic that a client names\n"
        "    first appears with 4 partitions\n"
        "  - look up offsets by time\n"
        "  - listen on a port of your choice, or on another address\n"
        "\n"
        "The first rebalance of a group takes 3 s; later ones take a second less than its session time-out, 44 s by "
        "default.\n"
        "\n"
        "For the real thing: script/kafka start.",
    .options = {&options},
    .state = &state.call,
    .run = run};
static const struct verb *const verbs[] = {&verb, NULL};

const struct noun broker_noun = {
    .name = "broker", .summary = "a broker in memory, for tests and demos", .verbs = verbs};
