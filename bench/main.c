/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: each bench runs in a process of its own, so that none inherits the other's threads, memory or first
 * calls; and the embedded broker in a third, so that its work is not counted as the client's. They end with their
 * parent.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static const struct {
    const char *name;
    void (*run)(const bench_options *options);
    bool needs_broker;
} benches[] = {
    {"startup", bench_startup, false},
    {"size", bench_size, false},
    {"produce", bench_produce, true},
    {"publish", bench_publish, true},
    {"consume", bench_consume, true},
    {"envelope", bench_envelope, true},
    {"transaction", bench_transaction, true},
    {"listener", bench_listener, true},
    {"ordering", bench_ordering, true},
    {"ledger", bench_ledger, false},
#ifdef BENCH_HAS_AVRO
    {"avro", bench_avro, false},
#endif
    {"retry", bench_retry, true},
    {"deadletter", bench_deadletter, true},
    {"redrive", bench_redrive, true},
    {"outbox", bench_outbox, true},
    {"inbox", bench_inbox, true},
    {"tls", bench_tls, false}, /* it finds its own */
};
enum {
    BENCHES = sizeof benches / sizeof *benches
};

static void end_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}

/* Starts an embedded broker in a process of its own; its address stays valid. */
static pid_t start_embedded(bench_options *options)
{
    static char address[128];
    int ends[2];
    pid_t parent = getpid();
    if (pipe(ends) != 0)
        bench_fail("pipe");
    pid_t child = fork();
    if (child == 0) {
        kur_error error = {0};
        end_with_parent(parent);
        kur_embedded_broker *broker = kur_embedded_broker_new(NULL, &error);
        if (broker == NULL)
            bench_fail("embedded broker: %s", error.message);
        const char *servers = kur_embedded_broker_bootstrap_servers(broker);
        if (write(ends[1], servers, strlen(servers) + 1) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], address, sizeof address - 1) <= 0)
        bench_fail("the embedded broker did not start");
    close(ends[0]);
    options->bootstrap = address;
    return child;
}

static bool run_bench(int number, const bench_options *options)
{
    pid_t parent = getpid();
    int status;
    fflush(stdout);
    fprintf(stderr, "bench: %s…\n", benches[number].name);
    pid_t child = fork();
    if (child == 0) {
        end_with_parent(parent);
        benches[number].run(options);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        bench_fail("%s: no process", benches[number].name);
    if (status != 0)
        fprintf(stderr, "bench: %s did not end well\n", benches[number].name);
    return status == 0;
}

static void usage(FILE *to)
{
    fprintf(to, "usage: kurier-bench [--embedded] [--library FILE] [--runs N] [--json] [NAME...]\n"
                "script/bench builds and calls it. A broker is named by KAFKA_BOOTSTRAP_SERVERS.\n");
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"embedded", no_argument, NULL, 'e'},   {"library", required_argument, NULL, 'l'},
        {"runs", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
    bench_options options = {.bootstrap = getenv("KAFKA_BOOTSTRAP_SERVERS"), .real = true};
    bool wanted[BENCHES] = {false}, needs_broker = false, well = true;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        switch (option) {
        case 'e':
            options.real = false;
            break;
        case 'l':
            options.library = optarg;
            break;
        case 'r':
            options.runs = atoi(optarg);
            if (options.runs < 1 || options.runs > BENCH_RUNS_MAX)
                bench_fail("--runs is not 1 to %d: %s", BENCH_RUNS_MAX, optarg);
            break;
        case 'j':
            options.json = true;
            break;
        default:
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    for (int i = 0; i < BENCHES; i++) {
        wanted[i] = optind == argc;
        for (int j = optind; j < argc; j++)
            wanted[i] = wanted[i] || strcmp(argv[j], benches[i].name) == 0;
        needs_broker = needs_broker || (wanted[i] && benches[i].needs_broker);
    }
    pid_t embedded = needs_broker && !options.real ? start_embedded(&options) : 0;
    if (needs_broker && options.bootstrap == NULL)
        bench_fail("no broker: set KAFKA_BOOTSTRAP_SERVERS, or give --embedded");
    bench_heading(&options);
    for (int i = 0; i < BENCHES; i++)
        if (wanted[i])
            well = run_bench(i, &options) && well;
    if (embedded > 0) {
        kill(embedded, SIGKILL);
        waitpid(embedded, NULL, 0);
    }
    return well ? 0 : 1;
}
