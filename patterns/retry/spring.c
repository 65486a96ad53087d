/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what Spring Kafka writes on its retry topics and dead letters (@RetryableTopic, as of 4.1), in binary:
 *
 *     retry_topic-attempts             int32, the next attempt, of dead letters too; one byte in old versions
 *     retry_topic-backoff-timestamp    when it is due, in milliseconds: a two's complement of as few bytes as will do
 *     retry_topic-original-timestamp   likewise, of the record in its first topic
 *     kafka_original-topic, -partition, -offset, -timestamp, -timestamp-type    text, int32, int64, int64, text
 *     kafka_dlt-original-consumer-group                                         text, under this name everywhere
 *     kafka_exception-fqcn, -cause-fqcn, -message, -stacktrace                  text, of the last failure
 *
 * all of them with the highest byte first. Its values pile up from hop to hop, and it believes the last one. Where only
 * dead letters are written (DeadLetterPublishingRecoverer) all names have a dlt- in them, and where the key could not
 * be read the exception is the key's: both are read.
 *
 * What it has no header for is written in ours beside its own, which it passes on as any header of the record's. Such a
 * value is therefore as old as the last hop of ours.
 */
#include <string.h>

#include "retry/retry.h"

#define ATTEMPTS "retry_topic-attempts"
#define BACKOFF_TIMESTAMP "retry_topic-backoff-timestamp"
#define ORIGINAL_TIMESTAMP "retry_topic-original-timestamp"
#define TIMESTAMP_TYPE "kafka_original-timestamp-type"
#define GROUP "kafka_dlt-original-consumer-group"

enum part {
    PART_ATTEMPTS,
    PART_BACKOFF,
    PART_ORIGINAL,
    PART_GROUP,
    PART_TOPIC,
    PART_PARTITION,
    PART_OFFSET,
    PART_TIMESTAMP,
    PART_CAUSE,
    PART_FQCN,
    PART_MESSAGE,
    PART_COUNT
};

/* The first name of a part is what is written; of those that a record has the earliest in this list counts. */
static const struct name {
    const char *name;
    enum part part;
} names[] = {
    {ATTEMPTS, PART_ATTEMPTS},
    {BACKOFF_TIMESTAMP, PART_BACKOFF},
    {ORIGINAL_TIMESTAMP, PART_ORIGINAL},
    {GROUP, PART_GROUP},
    {"kafka_original-topic", PART_TOPIC},
    {"kafka_original-partition", PART_PARTITION},
    {"kafka_original-offset", PART_OFFSET},
    {"kafka_original-timestamp", PART_TIMESTAMP},
    {"kafka_exception-cause-fqcn", PART_CAUSE},
    {"kafka_exception-fqcn", PART_FQCN},
    {"kafka_exception-message", PART_MESSAGE},
    {"kafka_key-exception-fqcn", PART_FQCN},
    {"kafka_key-exception-message", PART_MESSAGE},
    {"kafka_dlt-original-topic", PART_TOPIC},
    {"kafka_dlt-original-partition", PART_PARTITION},
    {"kafka_dlt-original-offset", PART_OFFSET},
    {"kafka_dlt-original-timestamp", PART_TIMESTAMP},
    {"kafka_dlt-exception-cause-fqcn", PART_CAUSE},
    {"kafka_dlt-exception-fqcn", PART_FQCN},
    {"kafka_dlt-exception-message", PART_MESSAGE},
    {"kafka_dlt-key-exception-fqcn", PART_FQCN},
    {"kafka_dlt-key-exception-message", PART_MESSAGE},
};

enum {
    NAMES = sizeof names / sizeof *names
};

bool kur__spring_is_header(const char *name)
{
    static const char *const prefixes[] = {"retry_topic-", "kafka_original-", "kafka_dlt-", "kafka_exception-",
                                           "kafka_key-exception-"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* ---- Reading ---- */

static void collect(const kur_record *record, kur_bytes parts[PART_COUNT])
{
    kur_bytes values[NAMES] = {{NULL, 0}};
    kur_header header;
    for (size_t i = 0; kur_record_header(record, i, &header); i++)
        for (size_t k = 0; kur__spring_is_header(header.name) && k < NAMES; k++)
            if (strcmp(header.name, names[k].name) == 0)
                values[k] = header.value;
    for (size_t k = NAMES; k-- > 0;)
        if (values[k].data != NULL)
            parts[names[k].part] = values[k];
}

/* A two's complement of `size` bytes, at most eight, the highest first. */
static int64_t read_number(kur_bytes value)
{
    const uint8_t *bytes = value.data;
    uint64_t number = value.size > 0 && bytes[0] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < value.size; i++)
        number = number << 8 | bytes[i];
    return (int64_t)number;
}

/*
 * Its readers take one byte, which is not signed, or four. What is above 32,767 is the first attempt to them; here it
 * counts as many, so that nobody gets attempts by forging a large number. On dead letters, too, stands the attempt that
 * would have come next.
 */
static int read_attempt(kur__retry_reader *reader, kur_bytes value, bool is_dead)
{
    if (value.data == NULL)
        return 1;
    int64_t next = value.size == 1 ? *(const uint8_t *)value.data : value.size == 4 ? read_number(value) : 0;
    int64_t attempt = is_dead && next > 1 ? next - 1 : next;
    if (attempt >= 1 && attempt <= KUR_RETRY_ATTEMPTS_MAX)
        return (int)attempt;
    reader->is_clamped = true;
    return attempt < 1 ? 1 : KUR_RETRY_ATTEMPTS_MAX;
}

/* Milliseconds of `least` to eight bytes; -1 when they are none. */
static int64_t read_milliseconds(kur__retry_reader *reader, kur_bytes value, size_t least)
{
    if (value.data == NULL)
        return -1;
    int64_t number = value.size >= least && value.size <= 8 ? read_number(value) : -2;
    /* Spring writes -1 itself, where a record has no timestamp. */
    reader->is_clamped = reader->is_clamped || number < -1;
    return number < 0 ? -1 : number;
}

static int64_t read_due(kur__retry_reader *reader, kur_bytes value)
{
    int64_t due_ms = read_milliseconds(reader, value, 1);
    if (due_ms <= reader->latest_us / 1000)
        return due_ms < 0 ? 0 : due_ms * 1000;
    reader->is_clamped = true;
    return reader->latest_us;
}

static int64_t read_timestamp(kur__retry_reader *reader, const kur_bytes *parts)
{
    int64_t timestamp_ms = read_milliseconds(reader, parts[PART_TIMESTAMP], 8);
    if (parts[PART_TIMESTAMP].data == NULL)
        timestamp_ms = read_milliseconds(reader, parts[PART_ORIGINAL], 1);
    return timestamp_ms >= 0 && timestamp_ms <= INT64_MAX / 1000 ? timestamp_ms * 1000 : -1;
}

/* A number of exactly so many bytes; -1 when it is none. */
static int64_t read_exactly(kur_bytes value, size_t size)
{
    return value.data != NULL && value.size == size ? read_number(value) : -1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), ending = strlen(end);
    return size > ending && strcmp(text + size - ending, end) == 0;
}

void kur__spring_read(kur__retry_reader *reader, const kur_record *record, kur_retry_view *view)
{
    kur_bytes parts[PART_COUNT] = {{NULL, 0}};
    collect(record, parts);
    bool is_dead = ends_with(kur_record_topic(record), "-dlt");
    view->attempt = read_attempt(reader, parts[PART_ATTEMPTS], is_dead);
    int64_t due_us = read_due(reader, parts[PART_BACKOFF]);
    view->due_us = is_dead ? 0 : due_us;
    view->topic = kur__retry_topic_name(reader, parts[PART_TOPIC]);
    view->partition = (int32_t)read_exactly(parts[PART_PARTITION], 4);
    view->offset = read_exactly(parts[PART_OFFSET], 8);
    view->timestamp_us = read_timestamp(reader, parts);
    view->group = kur__retry_group(reader, parts[PART_GROUP]);
    /* The outer exception is nearly always one of the framework's own. */
    view->cause = kur__retry_cause(reader, parts[parts[PART_CAUSE].size > 0 ? PART_CAUSE : PART_FQCN]);
    view->message = kur__retry_text(reader, parts[PART_MESSAGE], KUR__RETRY_MESSAGE_MAX, false);
}

/* ---- Writing ---- */

static void add_number(kur__retry_writer *writer, const char *name, int64_t number, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((uint64_t)number >> 8 * (size - 1 - i));
    kur__retry_add(writer, name, KUR__RETRY_NEEDED, bytes, size);
}

/* In as few bytes as hold the number and its sign. */
static void add_shortest(kur__retry_writer *writer, const char *name, int64_t number)
{
    size_t size = 1;
    while (size < 8 && number >> (8 * size - 1) != 0 && number >> (8 * size - 1) != -1)
        size++;
    add_number(writer, name, number, size);
}

static void add_text(kur__retry_writer *writer, const char *name, kur__retry_rank rank, const char *text, size_t most)
{
    char clean[KUR__RETRY_MESSAGE_MAX + 1];
    bool is_changed;
    size_t size = text != NULL ? kur__retry_clean(clean, text, strlen(text), most, &is_changed) : 0;
    if (size > 0)
        kur__retry_add(writer, name, rank, clean, size);
}

/* The one that stands there, for nobody else knows it: kur_record has no type. */
static const char *timestamp_type(const kur_record *record, bool has_timestamp)
{
    static const char *const types[] = {"CreateTime", "LogAppendTime", "NoTimestampType"};
    kur_bytes value;
    bool is_there = kur_record_header_last(record, TIMESTAMP_TYPE, &value);
    for (size_t i = 0; is_there && i < sizeof types / sizeof *types; i++)
        if (kur_bytes_equal(value, kur_bytes_text(types[i])))
            return types[i];
    return has_timestamp ? types[0] : types[2];
}

/* Readers of Spring's take the topic that they read from for the origin where none is told, so that one always is. */
static void add_origin(kur__retry_writer *writer, const kur_record *record, const kur_retry_view *view)
{
    bool is_told = view->topic != NULL;
    int64_t timestamp_us = is_told ? view->timestamp_us : kur_record_timestamp_us(record);
    int64_t timestamp_ms = timestamp_us >= 0 ? timestamp_us / 1000 : -1;
    add_text(writer, "kafka_original-topic", KUR__RETRY_NEEDED, is_told ? view->topic : kur_record_topic(record),
             KUR__RETRY_MESSAGE_MAX);
    add_number(writer, "kafka_original-partition", is_told ? view->partition : kur_record_partition(record), 4);
    add_number(writer, "kafka_original-offset", is_told ? view->offset : kur_record_offset(record), 8);
    add_number(writer, "kafka_original-timestamp", timestamp_ms, 8);
    add_text(writer, TIMESTAMP_TYPE, KUR__RETRY_NEEDED, timestamp_type(record, timestamp_ms >= 0), KUR__RETRY_TEXT_MAX);
    if (view->group != NULL && view->group[0] != '\0')
        kur__retry_add(writer, GROUP, KUR__RETRY_NEEDED, view->group, strlen(view->group));
    add_shortest(writer, ORIGINAL_TIMESTAMP, timestamp_ms);
}

void kur__spring_write(kur__retry_writer *writer, const kur_record *record, kur_tier tier, const kur_retry_view *view)
{
    char cause[KUR__RETRY_CAUSE_MAX + 1] = "";
    bool is_changed;
    if (view->cause != NULL)
        kur__retry_clean_cause(cause, view->cause, strlen(view->cause), &is_changed);
    add_text(writer, "kafka_exception-fqcn", KUR__RETRY_NEEDED, cause, KUR__RETRY_CAUSE_MAX);
    add_text(writer, "kafka_exception-cause-fqcn", KUR__RETRY_NEEDED, cause, KUR__RETRY_CAUSE_MAX);
    add_text(writer, "kafka_exception-message", KUR__RETRY_IS_MESSAGE, view->message, KUR__RETRY_MESSAGE_MAX);
    add_origin(writer, record, view);
    int attempt = view->attempt < 1 ? 1 : view->attempt;
    attempt = attempt < KUR_RETRY_ATTEMPTS_MAX ? attempt : KUR_RETRY_ATTEMPTS_MAX;
    add_number(writer, ATTEMPTS, tier == KUR_TIER_DEAD ? attempt + 1 : attempt, 4);
    /* Rounded up, so that nobody is early. A dead letter is due when it failed. */
    int64_t due_us = tier == KUR_TIER_DEAD ? view->failed_us : view->due_us;
    if (due_us > 0)
        add_shortest(writer, BACKOFF_TIMESTAMP, due_us / 1000 + (due_us % 1000 != 0));
}
