/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a record that was polled is librdkafka's message under another name. One that stands by itself is a
 * struct of ours behind a pointer whose lowest bit is set, which no message's is: telling the two apart touches no
 * memory, and what is never built costs nothing. It is one piece of memory; texts and values in it end with a NUL, as
 * librdkafka's do. Headers are told by where they are in it, in half the room that pointers take, and of their names
 * those that most records have, which would be half of what a record in a retry topic takes, are not copied. A copy is
 * built from the parts of another record, whose headers are asked for one by one.
 */
#include <kurier/sys/memory.h>
#include <kurier/sys/record.h>
#include <string.h>

#include "base/error.h"
#include "kafka/record.h"

static const struct {
    const char *text;
    size_t size;
} known[] = {
#define KNOWN_NAME(name)                                                                                               \
    {                                                                                                                  \
        name, sizeof(name) - 1                                                                                         \
    }
    KNOWN_NAME("kurier-retry-attempt"),
    KNOWN_NAME("kurier-retry-due"),
    KNOWN_NAME("kurier-retry-first-failed"),
    KNOWN_NAME("kurier-retry-failed"),
    KNOWN_NAME("kurier-retry-topic"),
    KNOWN_NAME("kurier-retry-partition"),
    KNOWN_NAME("kurier-retry-offset"),
    KNOWN_NAME("kurier-retry-timestamp"),
    KNOWN_NAME("kurier-retry-group"),
    KNOWN_NAME("kurier-retry-cause"),
    KNOWN_NAME("kurier-retry-message"),
    KNOWN_NAME("kurier-retry-code"),
    KNOWN_NAME("kurier-retry-history"),
    KNOWN_NAME("kurier-retry-writer"),
    KNOWN_NAME("ce_specversion"),
    KNOWN_NAME("ce_id"),
    KNOWN_NAME("ce_source"),
    KNOWN_NAME("ce_type"),
    KNOWN_NAME("ce_time"),
    KNOWN_NAME("ce_traceparent"),
    KNOWN_NAME("content-type"),
    KNOWN_NAME("traceparent"),
#undef KNOWN_NAME
};
enum {
    KNOWN_COUNT = sizeof known / sizeof *known
};

static const uint32_t is_known = UINT32_C(1) << 31;

/* Which of them it is; KNOWN_COUNT: none. */
static uint32_t find_known(const char *name, size_t size)
{
    uint32_t i = 0;
    while (i < KNOWN_COUNT && (known[i].size != size || memcmp(known[i].text, name, size) != 0))
        i++;
    return i;
}

kur_header kur__record_copy_header(const struct kur__record_copy *copy, size_t index)
{
    const struct kur__header_place *place = &copy->headers[index];
    const char *begin = (const char *)copy;
    return (kur_header){(place->name & is_known) != 0 ? known[place->name & ~is_known].text : begin + place->name,
                        kur_bytes_of(place->value != 0 ? begin + place->value : NULL, place->size)};
}

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
    size_t size = sizeof(struct kur__record_copy) + parts->header_count * sizeof(struct kur__header_place) +
                  strlen(parts->topic) + 1 + size_of(parts->key) + size_of(parts->value);
    kur_header header;
    for (size_t i = 0; i < parts->header_count && header_at(parts, record, i, &header); i++) {
        size_t length = strlen(header.name);
        size += (find_known(header.name, length) == KNOWN_COUNT ? length + 1 : 0) + size_of(header.value);
    }
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

static struct kur__header_place keep_header(const struct kur__record_copy *copy, char **at, const kur_header *header)
{
    kur_bytes name = kur_bytes_text(header->name);
    uint32_t number = find_known(name.data, name.size);
    struct kur__header_place place = {.name = number | is_known};
    if (number == KNOWN_COUNT)
        place.name = (uint32_t)((const char *)keep(at, name).data - (const char *)copy);
    kur_bytes value = keep(at, header->value);
    place.value = value.data != NULL ? (uint32_t)((const char *)value.data - (const char *)copy) : 0;
    place.size = (uint32_t)value.size;
    return place;
}

static kur_record *build(const kur_record_parts *parts, const kur_record *record, kur_error *error)
{
    size_t size = memory_of(parts, record);
    struct kur__record_copy *copy = size <= INT32_MAX ? kur_malloc(size) : NULL; /* no record of Kafka's is larger */
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
         copy->header_count++)
        copy->headers[copy->header_count] = keep_header(copy, &at, &header);
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
