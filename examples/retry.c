/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Retry by topic: a call that nobody answers waits in a retry topic, and holds up no other; one that was tried often
 * enough, or will never be answered, becomes a dead letter. examples/dead_letters.c reads those.
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_DUE(F, S)                                                                                                 \
    F(S, STRING, customer, .flags = KUR_KEY)                                                                           \
    F(S, INT32, number, .min = "1")
KUR_EVENT(call_due, "calls.call.due", 1, CALL_DUE);
KUR_EVENT_DEFINE(call_due, CALL_DUE, .topic = "calls");

static kur_outcome on_call(kur_delivery *delivery, const struct call_due *call, void *user)
{
    (void)user;
    if (call->number == 13)
        return kur_retry(delivery, "line.dead", "nobody ever answers");
    if (call->number == 14)
        return kur_reject(delivery, "number.unknown", "there is no customer %s", call->customer);
    if (call->number % 10 == 0 && kur_delivery_attempt(delivery) == 1)
        return kur_retry_after(delivery, 2000, "line.closed", "they open in two seconds");
    if (call->number % 3 == 0 && kur_delivery_attempt(delivery) <= 2)
        return kur_retry(delivery, "line.busy", "the line is busy");
    printf("%s: call %d, attempt %d\n", call->customer, call->number, kur_delivery_attempt(delivery));
    return KUR_DONE;
}

static void add_calls(kur_client *client, int count, kur_error *error)
{
    kur_producer *producer = kur_client_producer(client, error);
    for (int i = 1; i <= count && error->code == KUR_OK; i++) {
        char customer[32];
        snprintf(customer, sizeof customer, "customer %d", i % 7);
        call_due_publish(producer, &(struct call_due){.customer = customer, .number = i}, NULL, error);
    }
    if (error->code == KUR_OK)
        kur_producer_flush(producer, 30000, error);
}

static void make_calls(kur_client *client, kur_error *error)
{
    kur_retry_policy policy =
        KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 4, .delay_ms = 250, .multiplier = 2);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = "phone", .topics = (const char *[]){"calls", NULL},
                                                        .concurrency = 8, .retry = &policy);
    kur_listener *listener = kur_listener_new(client, &options, error);
    call_due_on(listener, on_call, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    kur_listener_run(listener, error); /* until SIGTERM or SIGINT */
    const kur_retry_health *health = NULL;
    kur_arena *arena = kur_arena_new();
    kur_listener_retries(listener, arena, &health, NULL);
    for (size_t i = 0; health != NULL && i < health->cause_count; i++)
        printf("%s: %lld tried again, %lld dead\n", health->causes[i]->cause, (long long)health->causes[i]->retried,
               (long long)health->causes[i]->dead);
    kur_arena_free(arena);
    kur_listener_free(listener);
}

int main(int argc, char **argv)
{
    int count = argc == 2 ? atoi(argv[1]) : 0;
    if (argc > 1 && count < 1) {
        printf("usage: %s [N]\n\nAdds N calls, or makes them. Broker: KAFKA_BOOTSTRAP_SERVERS.\n", argv[0]);
        return strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    count > 0 ? add_calls(client, count, &error) : make_calls(client, &error);
    if (error.code != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
