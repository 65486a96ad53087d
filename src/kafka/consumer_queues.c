/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a queue for each partition (.room). Without it all partitions share librdkafka's one queue, in which a
 * paused partition's records would stand in the way: so librdkafka throws them away, and fetches them again. Here polls
 * leave the queue of a partition alone that is paused or has no room; librdkafka knows of no pause, and stops fetching
 * when the queue is long enough. What the group says, and errors of brokers, come in the one queue as ever.
 *
 * librdkafka sends a partition to the one queue when it is assigned, unless the program has said before where its
 * records go: nowhere else.
 *
 * Queues are opened and closed by the polling thread, under the consumer's lock where others look for them.
 *
 * Where there will be no room for long, what was fetched is thrown away all the same: a partition's queue is bounded by
 * the values in it, and headers and librdkafka's own may be ten times as much. It goes on by a seek: that answers, too,
 * whether librdkafka has given up on the partition meanwhile, by an error that was thrown away.
 *
 * A thread of librdkafka that finds all its partitions full looks again in a second; from 2.2 on sooner, by a property.
 * Before, it is woken by a request that goes to the same broker and whose answer nobody waits for, each time that a
 * share of what may be queued was taken out.
 */

#include "kafka/consumer.h"

enum {
    LOOKS_BY_ITSELF_SINCE = 0x02020000,
    WAKE_SHARE = 4,
    WAKE_RECORDS = 25000, /* a quarter of queued.min.messages */
    DRAIN = 64
};

void kur__queue_watch(const kur_consumer *consumer, const kur__partition *partition)
{
    static const uint64_t one = 1;
    int fd = atomic_load(&consumer->fd);
    if (partition->queue != NULL && fd >= 0)
        rd_kafka_queue_io_event_enable(partition->queue, fd, &one, sizeof one);
}

void kur__queue_open(const kur_consumer *consumer, kur__partition *partition)
{
    if (consumer->room == NULL || partition->queue != NULL)
        return;
    partition->queue =
        rd_kafka_queue_get_partition(consumer->rk, kur__partition_topic(partition), partition->partition);
    if (partition->queue == NULL)
        return; /* then its records come in the one queue */
    rd_kafka_queue_forward(partition->queue, NULL);
    kur__queue_watch(consumer, partition);
}

void kur__queue_drain(kur__partition *partition)
{
    rd_kafka_message_t *messages[DRAIN];
    ssize_t got;
    while ((got = rd_kafka_consume_batch_queue(partition->queue, 0, messages, DRAIN)) > 0)
        for (ssize_t i = 0; i < got; i++)
            rd_kafka_message_destroy(messages[i]);
}

void kur__queue_close(kur__partition *partition)
{
    if (partition->queue == NULL)
        return;
    rd_kafka_queue_io_event_enable(partition->queue, -1, NULL, 0);
    kur__queue_drain(partition); /* librdkafka keeps it for as long as it knows the partition */
    rd_kafka_queue_destroy(partition->queue);
    partition->queue = NULL;
}

static void wake_fetcher(const kur_consumer *consumer, kur__partition *partition, rd_kafka_message_t *const *taken,
                         size_t count)
{
    if (rd_kafka_version() >= LOOKS_BY_ITSELF_SINCE)
        return;
    for (size_t i = 0; i < count; i++)
        partition->taken_bytes += (int64_t)taken[i]->len;
    partition->taken += count;
    if (partition->taken_bytes < consumer->fetch_ahead_bytes / WAKE_SHARE && partition->taken < WAKE_RECORDS)
        return;
    partition->taken_bytes = 0;
    partition->taken = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    kur__partition_add(partition, list)->offset = RD_KAFKA_OFFSET_END;
    (void)rd_kafka_offsets_for_times(consumer->rk, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
}

/* What it says that there will be no room for, or again, is told to librdkafka in the next poll. */
static size_t room_of(kur_consumer *consumer, kur__partition *partition)
{
    size_t room = consumer->room(consumer, kur__partition_topic(partition), partition->partition, consumer->user);
    bool had_none = partition->has_no_room_soon;
    partition->has_no_room_soon = room == KUR_ROOM_NOT_SOON;
    consumer->is_busy |= partition->has_no_room_soon != had_none;
    return had_none || partition->has_no_room_soon ? 0 : room;
}

/* How many records may be taken and are there. */
static size_t open_records(kur_consumer *consumer, kur__partition *partition)
{
    if (partition->queue == NULL || atomic_load_explicit(&partition->is_paused, memory_order_relaxed))
        return 0;
    size_t there = rd_kafka_queue_length(partition->queue);
    if (there == 0 && !partition->has_no_room_soon)
        return 0;
    size_t room = room_of(consumer, partition);
    return room < there ? room : there;
}

static size_t take_turn(kur_consumer *consumer, kur__partition *partition, rd_kafka_message_t **messages,
                        size_t capacity)
{
    size_t most = open_records(consumer, partition);
    most = most < capacity ? most : capacity;
    if (most == 0)
        return 0;
    /* Never more than there is: librdkafka would look at the clock. */
    ssize_t got = rd_kafka_consume_batch_queue(partition->queue, 0, messages, most);
    if (got <= 0)
        return 0;
    wake_fetcher(consumer, partition, messages, (size_t)got);
    return (size_t)got;
}

size_t kur__queues_take(kur_consumer *consumer, rd_kafka_message_t **messages, size_t capacity)
{
    size_t taken = 0, count = HASH_COUNT(consumer->table);
    kur__partition *at = consumer->turn != NULL ? consumer->turn : consumer->table;
    /* One turn each: the room is that before the poll. */
    for (; taken < capacity && count > 0; count--) {
        taken += take_turn(consumer, at, messages + taken, capacity - taken);
        at = at->hh.next != NULL ? at->hh.next : consumer->table;
    }
    consumer->turn = at;
    return taken;
}

bool kur__queues_have(kur_consumer *consumer)
{
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (open_records(consumer, at) > 0)
            return true;
    return false;
}
