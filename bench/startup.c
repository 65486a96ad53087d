/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What it takes to have a client and its producer, with no broker and no TLS: in a process that begins, where
 * librdkafka and what it links set themselves up once, and in one that has had others.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"

enum {
    RUNS = 30
};

static const char nobody[] = "127.0.0.1:1";

static double start_ours(void)
{
    kur_error error = {0};
    bench_sample start = bench_now();
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = nobody, .source = "/bench"), &error);
    kur_producer *producer = client != NULL ? kur_client_producer(client, &error) : NULL;
    double took = bench_since(start).seconds;
    if (producer == NULL)
        bench_fail("%s", error.message);
    kur_client_unref(client);
    return took;
}

/* The same properties, which our own handle has by other ways. */
static double start_bare(void)
{
    static const char *const properties[][2] = {
        {"bootstrap.servers", nobody},          {"client.id", "bench"},
        {"enable.idempotence", "true"},         {"partitioner", "murmur2_random"},
        {"socket.nagle.disable", "true"},       {"linger.ms", "5"},
        {"message.timeout.ms", "120000"},       {"queue.buffering.max.messages", "100000"},
        {"queue.buffering.max.kbytes", "65536"}};
    char why[256];
    bench_sample start = bench_now();
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], why, sizeof why) != RD_KAFKA_CONF_OK)
            bench_fail("%s", why);
    rd_kafka_conf_set_log_cb(conf, NULL);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    double took = bench_since(start).seconds;
    if (rk == NULL)
        bench_fail("%s", why);
    rd_kafka_destroy(rk);
    return took;
}

/* Runs it in a process of its own, which has started nothing yet. */
static double in_new_process(double (*measure)(void))
{
    int ends[2];
    double took = 0;
    if (pipe(ends) != 0)
        bench_fail("pipe");
    pid_t child = fork();
    if (child == 0) {
        took = measure();
        _exit(write(ends[1], &took, sizeof took) == (ssize_t)sizeof took ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &took, sizeof took) != (ssize_t)sizeof took)
        bench_fail("a process of its own did not answer");
    close(ends[0]);
    waitpid(child, NULL, 0);
    return took;
}

void bench_startup(const bench_options *options)
{
    static bench_case first, next;
    int runs = options->runs > 0 ? options->runs : RUNS;
    first = next = (bench_case){.bench = "startup",
                                .name = "first in a process",
                                .unit = "ms",
                                .baseline = "rd_kafka_new",
                                .bound = BENCH_VALUE_AT_MOST,
                                .target = 5,
                                .runs = runs};
    next.name = "a further one";
    for (int i = 0; i < runs; i++) {
        first.values[i] = in_new_process(start_ours) * 1e3;
        first.baseline_values[i] = in_new_process(start_bare) * 1e3;
    }
    for (int i = -1; i < runs; i++) {
        double ours = start_ours(), bare = start_bare();
        if (i < 0)
            continue;
        next.values[i] = ours * 1e3;
        next.baseline_values[i] = bare * 1e3;
    }
    bench_report(options, &first);
    bench_report(options, &next);
}
