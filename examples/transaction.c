/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Reads orders, writes their totals, exactly once: what is written and the offset of what was read are committed
 * together. Kill it at any point and start it again: no total is missing, and none is there twice for who reads
 * committed. Needs a real Kafka: script/kafka run build/examples/transaction
 */
#include <kurier/kurier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    stop = number;
}

struct job {
    const kur_record *order;
    const kur_group_metadata *group;
};

/* May run more than once for a record, and does the same each time. */
static kur_status write_total(kur_producer *producer, void *user, kur_error *error)
{
    const struct job *job = user;
    kur_bytes order = kur_record_value(job->order);
    char total[32];
    int size = snprintf(total, sizeof total, "%zu", order.size); /* a real one would look into it */
    kur_status status = kur_producer_send(
        producer,
        &KUR_MESSAGE(.topic = "totals", .key = kur_record_key(job->order), .value = kur_bytes_of(total, (size_t)size)),
        error);
    kur_position next =
        KUR_POSITION(.topic = kur_record_topic(job->order), .partition = kur_record_partition(job->order),
                     .offset = kur_record_offset(job->order) + 1);
    return status != KUR_OK ? status : kur_transaction_send_offsets(producer, &next, 1, job->group, 10000, error);
}

int main(void)
{
    kur_error error = {0};
    const char *instance = getenv("INSTANCE"); /* the same after a restart, and of no other instance */
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.log = kur_log_stderr), &error);
    kur_producer *producer = kur_producer_new(
        client, &KUR_PRODUCER_OPTIONS(.transactional_id = instance != NULL ? instance : "totals-1"), &error);
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = "totals"), &error);
    kur_status status = kur_consumer_subscribe(consumer, (const char *const[]){"orders", NULL}, &error);
    while (status == KUR_OK && !stop) {
        kur_record *order = NULL;
        status = kur_consumer_poll(consumer, 500, &order, &error);
        if (status == KUR_ERROR_UNKNOWN_TOPIC)
            status = KUR_OK; /* nobody has ordered yet */
        if (order == NULL)
            continue;
        kur_group_metadata *group = kur_consumer_group_metadata(consumer, &error);
        status = group == NULL
                     ? error.code
                     : kur_transaction_run(&producer, write_total, &(struct job){order, group}, 60000, &error);
        if (kur_status_of_kafka(error.kafka_code) == KUR_ERROR_NOT_COMMITTED && status == KUR_ERROR_MUST_ABORT) {
            /* The group has moved on. Whoever has the partition now reads the order again, perhaps this instance. */
            kur_consumer_seek(consumer, kur_record_topic(order), kur_record_partition(order), KUR_OFFSET_COMMITTED,
                              NULL);
            status = KUR_OK;
        }
        kur_group_metadata_free(group);
        kur_consumer_free_records(consumer, &order, 1);
    }
    if (status != KUR_OK) /* KUR_ERROR_UNKNOWN_OUTCOME too: the next start reads on where the offsets say */
        fprintf(stderr, "totals: %s\n", error.message);
    kur_consumer_free(consumer);
    kur_producer_free(producer);
    kur_client_unref(client);
    return status == KUR_OK ? 0 : 1;
}
