/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A race on purpose: a result's callback, which runs on the producer's own thread, counts in a variable that main
 * counts in as well. With --locked both hold a mutex, and nothing is wrong. test_planted_race.sh sees that
 * ThreadSanitizer tells the two apart, behind librdkafka's threads as much as in front of them.
 */
#include <kurier/kurier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool locked;
static int count;
static atomic_int results;

static void count_one(void)
{
    if (locked)
        pthread_mutex_lock(&lock);
    count++;
    if (locked)
        pthread_mutex_unlock(&lock);
}

static void on_result(const kur_result *result, void *user)
{
    (void)result;
    (void)user;
    count_one();
    /* Relaxed: it orders nothing. */
    atomic_fetch_add_explicit(&results, 1, memory_order_relaxed);
}

int main(int argc, char **argv)
{
    enum {
        RECORDS = 200,
        PATIENCE_MS = 30000
    };
    kur_error error = {0};
    locked = argc > 1 && strcmp(argv[1], "--locked") == 0;
    kur_embedded_broker *broker = kur_embedded_broker_new(&KUR_EMBEDDED_BROKER_OPTIONS(.log = kur_log_stderr), &error);
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = kur_embedded_broker_bootstrap_servers(broker), .source = "/tests"),
        &error);
    kur_producer *producer = kur_client_producer(client, &error);
    kur_status status = KUR_OK;
    for (int i = 0; i < RECORDS && status == KUR_OK; i++)
        status = kur_producer_send(
            producer, &KUR_MESSAGE(.topic = "races", .value = kur_bytes_text("x"), .on_result = on_result), &error);
    for (int i = 0; i < PATIENCE_MS && atomic_load_explicit(&results, memory_order_relaxed) < RECORDS; i++) {
        count_one();
        usleep(1000);
    }
    if (status == KUR_OK)
        status = kur_producer_flush(producer, 30000, &error);
    kur_client_unref(client);
    kur_embedded_broker_free(broker);
    if (status != KUR_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    /* By now the producer's thread has ended. */
    printf("counted %d\n", count);
    return atomic_load(&results) == RECORDS ? 0 : 1;
}
