/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a record that was polled is librdkafka's message under another name. A copy is a struct of ours behind
 * a pointer whose lowest bit is set, which no message's is: telling the two apart touches no memory, and what is not
 * copied costs nothing. A copy is one piece of memory; texts and values in it end with a NUL, as librdkafka's do.
 */
#include <kurier/consumer.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "base/error.h"
#include "kafka/record.h"

static kur_bytes keep(char **at, kur_bytes bytes)
{
    if (bytes.data == NULL)
        return bytes;
    char *to = *at;
    memcpy(to, bytes.data, bytes.size);
    to[bytes.size] = '\0';
    *at += bytes.size + 1;
    return kur_bytes_of(to, bytes.size);
}

static size_t size_of(kur_bytes bytes)
{
    return bytes.data != NULL ? bytes.size + 1 : 0;
}

kur_record *kur_record_copy(const kur_record *record, kur_error *error)
{
    if (record == NULL) {
        kur_error_null(error, "record");
        return NULL;
    }
    kur_bytes topic = kur_bytes_text(kur_record_topic(record));
    kur_bytes key = kur_record_key(record), value = kur_record_value(record);
    size_t count = kur_record_header_count(record);
    size_t size = size_of(topic) + size_of(key) + size_of(value);
    kur_header header;
    for (size_t i = 0; i < count && kur_record_header(record, i, &header); i++)
        size += strlen(header.name) + 1 + size_of(header.value);
    struct kur__record_copy *copy = kur_malloc(sizeof *copy + count * sizeof *copy->headers + size);
    if (copy == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    char *at = (char *)(copy->headers + count);
    *copy = (struct kur__record_copy){.offset = kur_record_offset(record),
                                      .timestamp_us = kur_record_timestamp_us(record),
                                      .partition = kur_record_partition(record),
                                      .leader_epoch = kur_record_leader_epoch(record)};
    for (; copy->header_count < count && kur_record_header(record, copy->header_count, &header); copy->header_count++) {
        kur_header *to = &copy->headers[copy->header_count];
        to->name = keep(&at, kur_bytes_text(header.name)).data;
        to->value = keep(&at, header.value);
    }
    copy->topic = keep(&at, topic).data;
    copy->key = keep(&at, key);
    copy->value = keep(&at, value);
    return (kur_record *)(void *)((char *)copy + 1);
}

void kur_record_free(kur_record *copy)
{
    if (kur__record_is_copy(copy))
        kur_free((char *)(void *)copy - 1);
}
