/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "dead_letters.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SEND_MS = 10000,
    ADDED = 8 /* headers */
};

/* The texts of the headers that are added. */
struct origin {
    char partition[16], offset[24], attempts[16], timestamp[KUR_TIME_TEXT_SIZE];
};

KUR_PRINTF(2, 3)
static void say(kur_log_level level, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    kur_log_stderr(level, text, NULL);
}

static kur_status send(const struct dead_letters *letters, const kur_message *message, kur_error *error)
{
    return kur_producer_send_wait(kur_client_producer(letters->client, error), message, SEND_MS, NULL, error);
}

kur_status dead_letters_take(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    const struct dead_letters *letters = user;
    const kur_record *record = kur_delivery_record(delivery);
    struct origin origin;
    char topic[600];
    snprintf(topic, sizeof topic, "%s.%s.dlq", kur_record_topic(record), letters->group);
    snprintf(origin.partition, sizeof origin.partition, "%" PRId32, kur_record_partition(record));
    snprintf(origin.offset, sizeof origin.offset, "%" PRId64, kur_record_offset(record));
    snprintf(origin.attempts, sizeof origin.attempts, "%d", kur_delivery_attempt(delivery));
    kur_time_format(kur_record_timestamp_us(record), origin.timestamp);

    const kur_header added[ADDED] = {{"kurier-dead-topic", kur_bytes_text(kur_record_topic(record))},
                                     {"kurier-dead-partition", kur_bytes_text(origin.partition)},
                                     {"kurier-dead-offset", kur_bytes_text(origin.offset)},
                                     {"kurier-dead-timestamp", kur_bytes_text(origin.timestamp)},
                                     {"kurier-dead-group", kur_bytes_text(letters->group)},
                                     {"kurier-dead-attempts", kur_bytes_text(origin.attempts)},
                                     {"kurier-dead-cause", kur_bytes_text(cause)},
                                     {"kurier-dead-reason", kur_bytes_text(reason)}};
    kur_error error = {0};
    size_t own = 0, count = kur_record_header_count(record);
    kur_header *headers = calloc(count + ADDED, sizeof *headers);
    if (headers == NULL)
        return KUR_ERROR_NO_MEMORY;
    while (own < count && kur_record_header(record, own, &headers[own]))
        own++;
    memcpy(headers + own, added, sizeof added);
    kur_bytes value = kur_record_value(record);
    kur_status status =
        send(letters,
             &KUR_MESSAGE(.topic = topic, .key = kur_record_key(record), .value = value,
                          .tombstone = value.data == NULL, .headers = headers, .header_count = own + ADDED),
             &error);
    free(headers);
    if (status == KUR_ERROR_TOO_LARGE || status == KUR_ERROR_INVALID_ARGUMENT) {
        say(KUR_LOG_WARNING, "%s takes a note in place of the record: %s", topic, error.message);
        status = send(letters, &KUR_MESSAGE(.topic = topic, .tombstone = true, .headers = added, .header_count = ADDED),
                      &error);
    }
    if (status == KUR_OK)
        say(KUR_LOG_WARNING, "%s [%s] at offset %s is now in %s: %s: %s", kur_record_topic(record), origin.partition,
            origin.offset, topic, cause, reason);
    else
        say(KUR_LOG_ERROR, "group %s: a dead letter cannot be written to %s, and is tried again: %s", letters->group,
            topic, error.message);
    return status;
}
