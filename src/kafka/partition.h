/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * librdkafka's topic partitions, where it offers no function of its own.
 */
#ifndef KURIER_KAFKA_PARTITION_H
#define KURIER_KAFKA_PARTITION_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <string.h>

enum {
    KUR__METADATA_SIZE_MAX = 4096 /* the broker's limit */
};

/* The text to be committed beside the offset, NULL or "" for none; false when there is no memory. */
static inline bool kur__partition_set_metadata(rd_kafka_topic_partition_t *partition, const char *metadata)
{
    if (metadata == NULL || metadata[0] == '\0')
        return true;
    /* Freed with the list by librdkafka, with the C library's free. */
    partition->metadata = strdup(metadata);
    partition->metadata_size = partition->metadata != NULL ? strlen(metadata) : 0;
    return partition->metadata != NULL;
}

#endif
