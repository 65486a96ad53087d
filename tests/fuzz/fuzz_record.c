/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Records as librdkafka gives them: what is purged before it is sent comes back as a message with key, value and
 * headers like a received one. The input is a row of texts, each ended by 0xFF: the name of an extension to look for,
 * then name, value, name, value, …, and what is left is the record's value. A value of the one byte 0xFE is null.
 */
#include "fuzz.h"

#include <kurier/librdkafka.h>
#include <strings.h>

static rd_kafka_t *rk;
static rd_kafka_queue_t *queue;

int LLVMFuzzerInitialize(int *count, char ***arguments);

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    queue = rd_kafka_queue_get_main(rk);
    return 0;
}

static kur_bytes null_if_asked(kur_bytes value)
{
    return value.size == 1 && *(const uint8_t *)value.data == 0xfe ? kur_bytes_of(NULL, 0) : value;
}

static rd_kafka_event_t *make(rd_kafka_headers_t *headers, kur_bytes key, kur_bytes value)
{
    need(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("fuzz"), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                           RD_KAFKA_V_KEY(key.data, key.size),
                           RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size), RD_KAFKA_V_HEADERS(headers),
                           RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR);
    need(rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE) == RD_KAFKA_RESP_ERR_NO_ERROR);
    for (;;) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 10000);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            return event;
        need(event != NULL);
        rd_kafka_event_destroy(event);
    }
}

/* Reads all headers twice, by index and by name: both agree on the last of each name. */
static void walk(const kur_record *record, size_t expected)
{
    kur_header header, other;
    size_t count = 0;
    for (; kur_record_header(record, count, &header); count++) {
        kur_bytes last = {0};
        need(kur_record_header_last(record, header.name, &last));
        bool found = false;
        for (size_t i = count; kur_record_header(record, i, &other); i++)
            found = strcmp(header.name, other.name) == 0 ? kur_bytes_equal(last, other.value) : found;
        need(found);
        if (count > 64)
            break; /* pairs, so that the square stays small */
    }
    need(count > 64 || (count == expected && kur_record_header_count(record) == expected));
}

static void read_event(const kur_record *record, const char *extension, kur_arena *arena)
{
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW();
    kur_status status = kur_event_read(record, arena, &view, &error);
    if (status != KUR_OK) {
        need_error(status, &error);
        return;
    }
    need_event(&view);
    need(kur_bytes_equal(view.key, kur_record_key(record)) && same_text(view.topic, "fuzz"));
    need_text(kur_event_extension(&view, extension), false);
    need_text(kur_event_extension(&view, ""), false);
    if (view.mode != KUR_EVENT_PLAIN) {
        need(same_text(kur_event_extension(&view, "id"), view.id));
        need(same_text(kur_event_extension(&view, "type"), view.type));
    } else {
        need(kur_event_extension(&view, extension) == NULL);
    }
    need_child(&view, KUR_EVENT_BINARY, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size), extension = kur_bytes_text(""), name, value;
    kur_arena *arena = kur_arena_new();
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    size_t count = 0;
    take_text(&input, arena, &extension);
    for (; take_text(&input, arena, &name) && take_text(&input, arena, &value); count++) {
        value = null_if_asked(value);
        /* The length is given: a name may hold a NUL, which cuts it. */
        rd_kafka_header_add(headers, name.data, (ssize_t)name.size, value.data, (ssize_t)value.size);
    }
    rd_kafka_event_t *event = make(headers, null_if_asked(extension), null_if_asked(take_rest(&input, arena)));
    const kur_record *record = kur_record_of_librdkafka(rd_kafka_event_message_next(event));
    walk(record, count);
    read_event(record, extension.data, arena);
    rd_kafka_event_destroy(event);
    kur_arena_free(arena);
    return 0;
}
