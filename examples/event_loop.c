/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A listener without threads of its own for handlers: they run in the caller's poll loop, beside whatever else it waits
 * for, and need no locks.
 */
#include <inttypes.h>
#include <kurier/kurier.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    AT_ONCE = 100, /* records, before the loop looks at the others */
    REPORT_MS = 1000,
    STOP_MS = 10000
};

static kur_outcome on_record(kur_delivery *delivery, void *user)
{
    int64_t *bytes = user;
    *bytes += (int64_t)kur_record_value(kur_delivery_record(delivery)).size;
    return KUR_DONE;
}

static kur_status loop(kur_listener *listener, int signals, const int64_t *bytes, kur_error *error)
{
    struct pollfd waits[] = {{.fd = kur_listener_fd(listener), .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    int64_t records = 0;
    kur_status status = kur_listener_start(listener, error);
    while (status == KUR_OK && (waits[1].revents & POLLIN) == 0) {
        int ran = 0, ready = poll(waits, 2, REPORT_MS);
        if (ready > 0 && (waits[0].revents & POLLIN) != 0)
            status = kur_listener_dispatch(listener, AT_ONCE, &ran, error);
        records += ran;
        if (ran > 0)
            printf("%" PRId64 " records, %" PRId64 " bytes\n", records, *bytes);
    }
    return status == KUR_OK ? kur_listener_stop(listener, STOP_MS, error) : status;
}

int main(int argc, char **argv)
{
    if (argc != 3 || argv[1][0] == '-') {
        printf(
            "usage: %s TOPIC GROUP\n\nCounts records and their bytes until Ctrl-C. KAFKA_BOOTSTRAP_SERVERS names the "
            "broker.\n",
            argv[0]);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    int64_t bytes = 0;

    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.log = kur_log_stderr), &error);
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = argv[2], .topics = (const char *[]){argv[1], NULL},
                                               .dispatch = KUR_DISPATCH_CALLER),
                         &error);
    kur_listener_on_record(listener, on_record, &bytes);
    if (loop(listener, signals, &bytes, &error) != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_listener_free(listener);
    kur_client_unref(client);
    close(signals);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
