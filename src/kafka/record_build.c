/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a record that was polled is librdkafka's message under another name. One that stands by itself is a
 * struct of ours behind a pointer whose lowest bit is set, which no message's is: telling the two apart touches no
 * memory, and what is never built costs nothing. It is one piece of memory; texts and values in it end with a NUL, as
 * librdkafka's do. A copy is built from the parts of another record, whose headers are asked for one by one.
 */
#include <kurier/sys/memory.h>
#include <kurier/sys/record.h>
#include <string.h>

#include "base/error.h"
#include "kafka/record.h"

/* The header at `index` of a record to be built: from an array, or from another record. */
static bool header_at(const kur_record_parts *parts, const kur_record *record, size_t index, kur_header *header)
{
    if (record != NULL)
        return kur_record_header(record, index, header);
    *header = parts->headers[index];
    return true;
}

static size_t size_of(kur_bytes bytes)
{
    return bytes.data != NULL ? bytes.size + 1 : 0;
}

static size_t memory_of(const kur_record_parts *parts, const kur_record *record)
{
    size_t size = sizeof(struct kur__record_copy) + parts->header_count * sizeof(kur_header) + strlen(parts->topic) +
                  1 + size_of(parts->key) + size_of(parts->value);
    kur_header header;
    for (size_t i = 0; i < parts->header_count && header_at(parts, record, i, &header); i++)
        size += strlen(header.name) + 1 + size_of(header.value);
    return size;
}

static kur_bytes keep(char **at, kur_bytes bytes)
{
    if (bytes.data == NULL)
        return kur_bytes_of(NULL, 0);
    char *to = *at;
    memcpy(to, bytes.data, bytes.size);
    to[bytes.size] = '\0';
    *at += bytes.size + 1;
    return kur_bytes_of(to, bytes.size);
}

static kur_record *build(const kur_record_parts *parts, const kur_record *record, kur_error *error)
{
    size_t size = memory_of(parts, record);
    struct kur__record_copy *copy = kur_malloc(size);
    if (copy == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    *copy = (struct kur__record_copy){.memory = size,
                                      .offset = parts->offset,
                                      .timestamp_us = parts->timestamp_us,
                                      .partition = parts->partition,
                                      .leader_epoch = parts->leader_epoch};
    char *at = (char *)(copy->headers + parts->header_count);
    kur_header header;
    for (; copy->header_count < parts->header_count && header_at(parts, record, copy->header_count, &header);
         copy->header_count++) {
        kur_header *to = &copy->headers[copy->header_count];
        to->name = keep(&at, kur_bytes_text(header.name)).data;
        to->value = keep(&at, header.value);
    }
    copy->topic = keep(&at, kur_bytes_text(parts->topic)).data;
    copy->key = keep(&at, parts->key);
    copy->value = keep(&at, parts->value);
    return (kur_record *)(void *)((char *)copy + 1);
}

kur_record *kur_record_build(const kur_record_parts *parts, kur_error *error)
{
    const char *missing = parts == NULL                                       ? "parts"
                          : parts->topic == NULL                              ? "parts.topic"
                          : parts->header_count > 0 && parts->headers == NULL ? "parts.headers"
                                                                              : NULL;
    for (size_t i = 0; missing == NULL && i < parts->header_count; i++)
        missing = parts->headers[i].name == NULL ? "the name of a header" : NULL;
    if (missing != NULL) {
        kur_error_null(error, missing);
        return NULL;
    }
    return build(parts, NULL, error);
}

/* All of a record but its headers. */
static kur_record_parts parts_of(const kur_record *record)
{
    return (kur_record_parts){.topic = kur_record_topic(record),
                              .partition = kur_record_partition(record),
                              .leader_epoch = kur_record_leader_epoch(record),
                              .offset = kur_record_offset(record),
                              .timestamp_us = kur_record_timestamp_us(record),
                              .key = kur_record_key(record),
                              .value = kur_record_value(record),
                              .header_count = kur_record_header_count(record)};
}

kur_record *kur_record_copy(const kur_record *record, kur_error *error)
{
    if (record == NULL) {
        kur_error_null(error, "record");
        return NULL;
    }
    kur_record_parts parts = parts_of(record);
    return build(&parts, record, error);
}

size_t kur_record_memory(const kur_record *record)
{
    if (record == NULL)
        return 0;
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->memory;
    kur_record_parts parts = parts_of(record);
    return memory_of(&parts, record);
}

void kur_record_free(kur_record *copy)
{
    if (kur__record_is_copy(copy))
        kur_free((char *)(void *)copy - 1);
}
