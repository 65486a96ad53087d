/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "kafka/record.h"

#include <kurier/consumer.h>
#include <kurier/librdkafka.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "event/attribute.h"
#include "event/envelope.h"

const kur_record *kur_record_of_librdkafka(const rd_kafka_message_t *message)
{
    return (const kur_record *)message;
}

const char *kur_record_topic(const kur_record *record)
{
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->topic;
    return record != NULL ? rd_kafka_topic_name(kur__record_message(record)->rkt) : NULL;
}

int32_t kur_record_partition(const kur_record *record)
{
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->partition;
    return record != NULL ? kur__record_message(record)->partition : -1;
}

int64_t kur_record_offset(const kur_record *record)
{
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->offset;
    return record != NULL ? kur__record_message(record)->offset : -1;
}

kur_bytes kur_record_key(const kur_record *record)
{
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->key;
    const rd_kafka_message_t *message = kur__record_message(record);
    return message != NULL ? kur_bytes_of(message->key, message->key_len) : kur_bytes_of(NULL, 0);
}

kur_bytes kur_record_value(const kur_record *record)
{
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->value;
    const rd_kafka_message_t *message = kur__record_message(record);
    return message != NULL ? kur_bytes_of(message->payload, message->len) : kur_bytes_of(NULL, 0);
}

int64_t kur_record_timestamp_us(const kur_record *record)
{
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->timestamp_us;
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    int64_t timestamp_ms = record != NULL ? rd_kafka_message_timestamp(kur__record_message(record), &type) : -1;
    /* A producer can write any number there. */
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || timestamp_ms < 0 || timestamp_ms > INT64_MAX / 1000)
        return -1;
    return timestamp_ms * 1000;
}

int32_t kur_record_leader_epoch(const kur_record *record)
{
    if (kur__record_is_copy(record))
        return kur__record_copy(record)->leader_epoch;
#ifdef KUR__HAS_LEADER_EPOCH
    int32_t epoch = record != NULL ? rd_kafka_message_leader_epoch(kur__record_message(record)) : -1;
    return epoch >= 0 ? KUR_LEADER_EPOCH(epoch) : 0;
#else
    return 0;
#endif
}

/* ---- Headers ---- */

/* Those of a record, whichever kind it is; of a copy they are in it. */
struct headers {
    const struct kur__record_copy *copy;
    const rd_kafka_headers_t *list; /* NULL: none */
};

static struct headers headers_of(const kur_record *record)
{
    rd_kafka_headers_t *list = NULL;
    if (kur__record_is_copy(record))
        return (struct headers){.copy = kur__record_copy(record)};
    if (record == NULL || rd_kafka_message_headers(kur__record_message(record), &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        list = NULL;
    return (struct headers){.list = list};
}

static bool header_at(const struct headers *headers, size_t index, kur_header *header)
{
    if (headers->copy != NULL) {
        if (index >= headers->copy->header_count)
            return false;
        *header = kur__record_copy_header(headers->copy, index);
        return true;
    }
    return headers->list != NULL && rd_kafka_header_get_all(headers->list, index, &header->name, &header->value.data,
                                                            &header->value.size) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

size_t kur_record_header_count(const kur_record *record)
{
    struct headers headers = headers_of(record);
    return headers.copy != NULL   ? headers.copy->header_count
           : headers.list != NULL ? rd_kafka_header_cnt(headers.list)
                                  : 0;
}

bool kur_record_header(const kur_record *record, size_t index, kur_header *header)
{
    struct headers headers = headers_of(record);
    return header != NULL && header_at(&headers, index, header);
}

bool kur_record_header_last(const kur_record *record, const char *name, kur_bytes *value)
{
    if (name == NULL || value == NULL)
        return false;
    /* Not by rd_kafka_header_get_last: that does not find a name which a NUL cuts, and which by its index is the name.
     */
    kur_header header;
    for (size_t i = kur_record_header_count(record); i > 0; i--)
        if (kur_record_header(record, i - 1, &header) && strcmp(header.name, name) == 0) {
            *value = header.value;
            return true;
        }
    return false;
}

/* ---- Events ---- */

kur_status kur_event_read(const kur_record *record, kur_arena *arena, kur_event_view *view, kur_error *error)
{
    if (record == NULL || view == NULL)
        return kur_error_null(error, record == NULL ? "record" : "view");
    if (view->size < sizeof(size_t))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "view.size is not set: start from KUR_EVENT_VIEW()");
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    struct headers headers = headers_of(record);
    kur_header header;
    for (size_t i = 0; header_at(&headers, i, &header); i++)
        kur__envelope_take(&reader, header.name, header.value);

    kur_event_view made = {.size = view->size < sizeof made ? view->size : sizeof made,
                           .record = record,
                           .key = kur_record_key(record),
                           .data = kur_record_value(record),
                           .topic = kur_record_topic(record),
                           .partition = kur_record_partition(record),
                           .offset = kur_record_offset(record),
                           .timestamp_us = kur_record_timestamp_us(record)};
    if (view->size >= offsetof(kur_event_view, client) + sizeof view->client)
        made.client = view->client;
    kur_status status = kur__envelope_finish(&reader, arena, &made, error);
    if (status == KUR_OK)
        memcpy(view, &made, made.size);
    return status;
}

const char *kur_event_extension(const kur_event_view *view, const char *name)
{
    if (view == NULL || name == NULL)
        return NULL;
    const char *found = NULL;
    for (size_t i = 0; i < view->parsed_count; i++)
        if (strcmp(view->parsed[i].name, name) == 0)
            found = view->parsed[i].value.data;
    if (view->mode != KUR_EVENT_BINARY)
        return found;
    struct headers headers = headers_of(view->record);
    kur_header header;
    for (size_t i = 0; header_at(&headers, i, &header); i++)
        if (header.value.data != NULL && strncasecmp(header.name, "ce_", 3) == 0 &&
            strcasecmp(header.name + 3, name) == 0) /* a null header says nothing, here as in the envelope */
            found = kur__attribute_text_or_null(header.value);
    return found;
}
