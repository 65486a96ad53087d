/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters on a broker: written as a listener leaves them, read, grouped, filtered, exported and brought back,
 * discarded.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../consuming.h"
#include "../letters.h"
#include "../transactions.h"

static kur_arena *arena;

/* ---- Writing ---- */

static int written;
static atomic_int delivered;

static void on_result(const kur_result *result, void *user)
{
    (void)user;
    ck_assert_msg(result->status == KUR_DELIVERED, "%s", result->error.message);
    atomic_fetch_add(&delivered, 1);
}

/* A record of an event that failed, as the retry layer writes it to the dead letters. */
static void write_letter(const char *topic, int32_t partition, const char *cause, const char *type, int64_t failed_us,
                         kur_bytes key, kur_bytes value)
{
    kur_error error = {0};
    kur_arena *own = kur_arena_new();
    const kur_header first[] = {{"ce_specversion", kur_bytes_text("1.0")},
                                {"ce_id", kur_bytes_text("i")},
                                {"ce_source", kur_bytes_text("/s")},
                                {"ce_type", kur_bytes_text(type)},
                                {"twice", kur_bytes_text("1")},
                                {"twice", kur_bytes_of("\0\xff", 2)},
                                {"none", kur_bytes_of(NULL, 0)}};
    kur_record *record = letter_record(&(kur_record_parts){.topic = "orders",
                                                           .partition = 1,
                                                           .offset = 40 + written,
                                                           .timestamp_us = 1000000,
                                                           .key = key,
                                                           .value = value,
                                                           .headers = first,
                                                           .header_count = COUNT_OF(first)});
    kur_retry_view view =
        KUR_RETRY_VIEW(.attempt = 5, .topic = "orders", .partition = 1, .offset = 40 + written, .timestamp_us = 1000000,
                       .group = "email", .cause = cause, .message = "it did not answer", .code = "mail.c:88",
                       .first_failed_us = failed_us - 1000000, .failed_us = failed_us, .redrive_id = "");
    const kur_header *headers;
    size_t count;
    ck_ok(kur_retry_write(record, KUR_HEADERS_KURIER, KUR_TIER_DEAD, &view, 0, own, &headers, &count, &error), error);
    ck_ok(kur_producer_send(kur_client_producer(consuming_client(), &error),
                            &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition), .key = key,
                                         .value = value, .tombstone = value.data == NULL, .headers = headers,
                                         .header_count = count, .on_result = on_result),
                            &error),
          error);
    written++;
    kur_record_free(record);
    kur_arena_free(own);
}

static void settle(void)
{
    kur_error error = {0};
    ck_ok(kur_producer_flush(kur_client_producer(consuming_client(), &error), 30000, &error), error);
    ck_assert_int_eq(atomic_load(&delivered), written);
}

/* A topic of dead letters that no other test uses. */
static const char *dead_topic(int partitions)
{
    static char names[16][120];
    static int next_name;
    char *name = names[next_name++ % 16];
    snprintf(name, sizeof names[0], "%s.email.dlq", support_name("d"));
    support_create(name, partitions);
    return name;
}

/* ---- Reading ---- */

static kur_letter_reader *open_reader(const char *topic, const kur_letter_reader_options *given)
{
    kur_error error = {0};
    kur_letter_reader_options options = *given;
    const char *const topics[] = {topic, NULL};
    if (options.topics == NULL)
        options.topics = topics;
    kur_letter_reader *reader = kur_letter_reader_new(consuming_client(), &options, &error);
    ck_assert_msg(reader != NULL, "%s", error.message);
    return reader;
}

static const kur_letter *next_letter(kur_letter_reader *reader)
{
    kur_error error = {0};
    const kur_letter *letter;
    ck_ok(kur_letter_reader_next(reader, &letter, &error), error);
    return letter;
}

static int count_letters(const char *topic, const kur_letter_reader_options *options)
{
    kur_letter_reader *reader = open_reader(topic, options);
    int count = 0;
    while (next_letter(reader) != NULL)
        count++;
    ck_assert_ptr_null(next_letter(reader));
    kur_letter_reader_free(reader);
    return count;
}

static void write_many(const char *topic, int partitions, int count)
{
    int64_t now_us = kur_clock_now_us();
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        write_letter(topic, i % partitions, i % 3 == 0 ? "poison" : "smtp.timeout", i % 2 == 0 ? "a.v1" : "b.v1",
                     now_us - (int64_t)i * 60 * 1000000, kur_bytes_text(key), kur_bytes_text("{\"a\":1}"));
    }
    settle();
}

START_TEST(test_dead_letters__read_and_filtered)
{
    const char *topic = dead_topic(3);
    write_many(topic, 3, 30);
    kur_letter_reader *reader = open_reader(topic, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0));
    int64_t last[3] = {-1, -1, -1};
    const kur_letter *letter;
    int count = 0;
    while ((letter = next_letter(reader)) != NULL) {
        count++;
        ck_assert_int_gt(letter->offset, last[letter->partition]);
        last[letter->partition] = letter->offset;
        ck_assert_str_eq(letter->topic, topic);
        ck_assert_str_eq(letter->retry->topic, "orders");
        ck_assert_str_eq(letter->retry->message, "it did not answer");
        ck_assert_int_eq(letter->retry->attempt, 5);
        ck_assert_str_eq(letter->event->id, "i");
        ck_assert(kur_bytes_equal(kur_record_value(letter->record), kur_bytes_text("{\"a\":1}")));
        ck_assert(!letter->is_discarded);
    }
    kur_letter_progress progress = KUR_LETTER_PROGRESS();
    kur_letter_reader_progress(reader, &progress, NULL);
    kur_letter_reader_free(reader);
    ck_assert_int_eq(count, 30);
    ck_assert_int_eq(progress.read, 30);
    ck_assert_int_eq(progress.given, 30);
    ck_assert_int_eq(progress.passed, 30);
    ck_assert_int_eq(progress.total, 30);

    const struct {
        kur_letter_filter filter;
        int count;
    } cases[] = {{KUR_LETTER_FILTER(.cause = "smtp.*"), 20},
                 {KUR_LETTER_FILTER(.cause = "poison", .type = "a.v1"), 5},
                 {KUR_LETTER_FILTER(.group = "email", .origin = "orders"), 30},
                 {KUR_LETTER_FILTER(.group = "sms"), 0},
                 {KUR_LETTER_FILTER(.key = kur_bytes_text("k7")), 1},
                 {KUR_LETTER_FILTER(.older_than_ms = 600000), 20},
                 {KUR_LETTER_FILTER(.younger_than_ms = 630000), 11},
                 {KUR_LETTER_FILTER(.partition = KUR_PARTITION(2)), 10},
                 {KUR_LETTER_FILTER(.partition = KUR_PARTITION(2), .from_offset = 4, .to_offset = 6), 2},
                 {KUR_LETTER_FILTER(.from_offset = 9), 3},
                 {KUR_LETTER_FILTER(.from_offset = 1000), 0},
                 {KUR_LETTER_FILTER(.partition = KUR_PARTITION(7)), 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        ck_assert_msg(count_letters(topic, &KUR_LETTER_READER_OPTIONS(.filter = &cases[i].filter)) == cases[i].count,
                      "case %zu", i);
}
END_TEST

/* What comes while it reads is not read; several topics at once, one of them empty. */
START_TEST(test_dead_letters__ends_where_it_started)
{
    const char *topic = dead_topic(2), *other = dead_topic(1), *empty = dead_topic(4);
    const char *const topics[] = {topic, other, empty, NULL};
    write_many(topic, 2, 10);
    write_many(other, 1, 5);
    kur_letter_reader *reader = open_reader(NULL, &KUR_LETTER_READER_OPTIONS(.topics = topics));
    ck_assert_ptr_nonnull(next_letter(reader));
    write_many(topic, 2, 10);
    write_many(empty, 4, 4);
    int count = 1;
    while (next_letter(reader) != NULL)
        count++;
    ck_assert_int_eq(count, 15);
    kur_letter_reader_free(reader);
    ck_assert_int_eq(count_letters(empty, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0)), 4);
}
END_TEST

/* More partitions than are read at a time, most of them in no need of it. */
START_TEST(test_dead_letters__many_partitions)
{
    const char *topic = dead_topic(40), *other = dead_topic(40);
    const char *const topics[] = {topic, other, NULL};
    int count = 0, in_last = 0;
    write_many(topic, 40, 200);
    write_many(other, 13, 26);
    kur_letter_reader *reader = open_reader(NULL, &KUR_LETTER_READER_OPTIONS(.topics = topics));
    for (const kur_letter *letter; (letter = next_letter(reader)) != NULL; count++)
        in_last += letter->partition == 39;
    kur_letter_reader_free(reader);
    ck_assert_int_eq(count, 226);
    ck_assert_int_eq(in_last, 5);
}
END_TEST

static bool is_one_of(const char *topic, void *user)
{
    const char *const *names = user;
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], topic) == 0)
            return true;
    return false;
}

/* Where the log ends in a transaction's mark, and what is behind the end of then comes while it is read. */
START_TEST(test_dead_letters__of_transactions)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = dead_topic(1);
    const char *names[] = {topic, NULL};
    kur_producer *producer = transactional(consuming_client(), support_name("letters"));
    send_committed(producer, topic, "1");
    send_committed(producer, topic, "2");
    kur_letter_topic_list list;
    ck_ok(kur_letter_topics(consuming_client(), is_one_of, names, 30000, arena, &list, &error), error);
    ck_assert_int_eq(list.items[0]->count, 4); /* with the marks */
    ck_assert_int_ge(list.items[0]->newest_us, list.items[0]->oldest_us);
    kur_letter_reader *reader = open_reader(topic, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0));
    const kur_letter *letter = next_letter(reader);
    ck_assert_int_eq(letter->offset, 0);
    send_committed(producer, topic, "3");
    letter = next_letter(reader);
    ck_assert_int_eq(letter->offset, 2);
    ck_assert_ptr_null(next_letter(reader));
    kur_letter_progress progress = KUR_LETTER_PROGRESS();
    ck_ok(kur_letter_reader_progress(reader, &progress, &error), error);
    ck_assert_int_eq(progress.passed, 4);
    ck_assert_int_eq(progress.read, 2);
    kur_letter_reader_free(reader);
    kur_producer_free(producer);
}
END_TEST

/* What retention has taken is not waited for. */
START_TEST(test_dead_letters__cut_at_the_beginning)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    kur_error error = {0};
    const char *topic = dead_topic(1);
    write_many(topic, 1, 5);
    kur_admin *admin = kur_admin_new(consuming_client(), &error);
    ck_ok(kur_admin_delete_records(admin, &KUR_POSITION(.topic = topic, .offset = 3), 1, 30000, &error), error);
    ck_assert_int_eq(count_letters(topic, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0)), 2);
    ck_assert_int_eq(count_letters(topic, &KUR_LETTER_READER_OPTIONS(.filter = &KUR_LETTER_FILTER(.from_offset = 1,
                                                                                                  .to_offset = 4))),
                     1);
    kur_admin_free(admin);
}
END_TEST

static bool give_up(const kur_letter_progress *progress, void *user)
{
    ++*(int *)user;
    ck_assert_int_le(progress->passed, progress->total);
    return false;
}

START_TEST(test_dead_letters__errors)
{
    kur_error error = {0};
    const kur_letter *letter;
    int told = 0;
    const char *topic = dead_topic(1);
    write_many(topic, 1, 300);
    kur_letter_reader *reader =
        open_reader(topic, &KUR_LETTER_READER_OPTIONS(.filter = &KUR_LETTER_FILTER(.cause = "never"),
                                                      .on_progress = give_up, .user = &told));
    ck_status(kur_letter_reader_next(reader, &letter, &error), KUR_ERROR_CANCELLED, error);
    ck_assert_int_eq(told, 1);
    error = (kur_error){0};
    ck_status(kur_letter_reader_next(reader, &letter, &error), KUR_ERROR_CANCELLED, error);
    kur_letter_reader_free(reader);
    if (support_is_real()) {
        reader = open_reader("nowhere.email.dlq", &KUR_LETTER_READER_OPTIONS(.timeout_ms = 5000));
        ck_status(kur_letter_reader_next(reader, &letter, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
        ck_says(error, "nowhere.email.dlq");
        kur_letter_reader_free(reader);
    }
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    const char *const topics[] = {topic, NULL};
    reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = topics, .timeout_ms = 300), &error);
    ck_status(kur_letter_reader_next(reader, &letter, &error), KUR_ERROR_TIMEOUT, error);
    kur_letter_reader_free(reader);
    kur_client_unref(client);
}
END_TEST

/* ---- Lines ---- */

static kur_buffer export_all(const char *topic)
{
    kur_error error = {0};
    kur_buffer lines = {0};
    kur_letter_reader *reader = open_reader(topic, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0));
    for (const kur_letter *letter; (letter = next_letter(reader)) != NULL;)
        ck_ok(kur_letter_export(letter, &lines, &error), error);
    kur_letter_reader_free(reader);
    return lines;
}

static void import_all(const char *topic, const kur_buffer *lines, int expected)
{
    kur_error error = {0};
    kur_letter_counts counts = KUR_LETTER_COUNTS();
    kur_letter_writer *writer = kur_letter_writer_new(consuming_client(), NULL, &error);
    ck_assert_msg(writer != NULL, "%s", error.message);
    for (const char *at = lines->data, *end; (end = memchr(at, '\n', (size_t)(lines->data + lines->size - at))) != NULL;
         at = end + 1) {
        kur_letter_line line = KUR_LETTER_LINE();
        kur_arena_reset(arena);
        ck_ok(kur_letter_parse(kur_bytes_of(at, (size_t)(end - at)), arena, &line, &error), error);
        ck_ok(kur_letter_writer_import(writer, topic, &line, &error), error);
    }
    ck_ok(kur_letter_writer_finish(writer, 30000, &counts, &error), error);
    ck_assert_int_eq(counts.given, expected);
    ck_assert_int_eq(counts.written, expected);
    ck_assert_int_eq(counts.failed + counts.unknown, 0);
    kur_letter_writer_free(writer);
}

/* The hashes of a topic's letters, which are of all of their bytes, in their order; 0 where partitions differ. */
static size_t hashes_of(const char *topic, char hashes[][65], int32_t *partitions, size_t capacity)
{
    size_t count = 0;
    kur_letter_reader *reader = open_reader(topic, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0));
    for (const kur_letter *letter; (letter = next_letter(reader)) != NULL; count++) {
        ck_assert_uint_lt(count, capacity);
        kur_letter_hash(letter, hashes[count]);
        partitions[count] = letter->partition;
    }
    kur_letter_reader_free(reader);
    return count;
}

static int compare_hashes(const void *a, const void *b)
{
    return strcmp(a, b);
}

START_TEST(test_dead_letters__exported_and_imported)
{
    enum {
        MANY = 64
    };
    static char before[MANY][65], after[MANY][65];
    int32_t partitions[2][MANY];
    kur_error error = {0};
    const char *topic = dead_topic(2), *copy = dead_topic(2);
    int64_t now_us = kur_clock_now_us();
    uint8_t bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    write_many(topic, 2, 10);
    write_letter(topic, 0, "a", "a.v1", now_us, kur_bytes_of(NULL, 0), kur_bytes_of(NULL, 0));
    write_letter(topic, 1, "a", "a.v1", now_us, kur_bytes_of("", 0), kur_bytes_of("", 0));
    write_letter(topic, 0, "a", "a.v1", now_us, kur_bytes_of(bytes, 256), kur_bytes_of(bytes, 256));
    write_letter(topic, 1, "a", "a.v1", now_us, kur_bytes_text("k"), kur_bytes_of(bytes, 128));
    /* One of long ago, and one with as many headers as somebody likes. */
    kur_header *many = calloc(10000, sizeof *many);
    for (int i = 0; i < 10000; i++)
        many[i] = (kur_header){"h", kur_bytes_of(bytes + i % 200, (size_t)(i % 5))};
    ck_ok(kur_producer_send(kur_client_producer(consuming_client(), &error),
                            &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(1), .value = kur_bytes_text("v"),
                                         .timestamp_us = now_us - INT64_C(86400) * 1000000, .headers = many,
                                         .header_count = 10000, .verbatim = true, .on_result = on_result),
                            &error),
          error);
    written++;
    settle();
    free(many);

    kur_buffer lines = export_all(topic);
    import_all(copy, &lines, 15);
    size_t count = hashes_of(topic, before, partitions[0], MANY);
    ck_assert_uint_eq(count, 15);
    ck_assert_uint_eq(hashes_of(copy, after, partitions[1], MANY), 15);
    for (size_t round = 0; round < 2; round++) {
        int in_first = 0;
        for (size_t i = 0; i < count; i++)
            in_first += partitions[round][i] == 0;
        ck_assert_int_eq(in_first, 7);
    }
    qsort(before, count, sizeof before[0], compare_hashes);
    qsort(after, count, sizeof after[0], compare_hashes);
    for (size_t i = 0; i < count; i++)
        ck_assert_str_eq(before[i], after[i]);

    /* What was imported exports as it was, but for where it stands. */
    kur_buffer again = export_all(copy);
    ck_assert_uint_eq(again.size, lines.size + 15 * (strlen(copy) - strlen(topic)));
    kur_buffer_done(&lines);
    kur_buffer_done(&again);
}
END_TEST

START_TEST(test_dead_letters__import_refuses)
{
    kur_error error = {0};
    kur_letter_line line = KUR_LETTER_LINE(.timestamp_ms = -1, .partition = 9, .key = kur_bytes_text("k"));
    kur_letter_writer *writer = kur_letter_writer_new(consuming_client(), NULL, &error);
    ck_status(kur_letter_writer_import(writer, "a b", &line, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    if (support_is_real())
        ck_status(kur_letter_writer_import(writer, "nowhere.dlq", &line, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_status(kur_letter_writer_import(writer, dead_topic(1), &(kur_letter_line){0}, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_ok(kur_letter_writer_finish(writer, 1000, NULL, &error), error);
    /* A partition that the topic does not have is the key's. */
    const char *topic = dead_topic(2);
    ck_ok(kur_letter_writer_import(writer, topic, &line, &error), error);
    ck_ok(kur_letter_writer_finish(writer, 30000, NULL, &error), error);
    ck_assert_int_eq(count_letters(topic, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0)), 1);
    kur_letter_writer_free(writer);
}
END_TEST

/* ---- Discards ---- */

START_TEST(test_dead_letters__discarded)
{
    kur_error error = {0};
    const char *topic = dead_topic(2);
    write_many(topic, 2, 12);
    kur_letter_counts counts = KUR_LETTER_COUNTS();
    kur_letter_writer *writer = kur_letter_writer_new(consuming_client(), NULL, &error);
    kur_letter_reader *reader =
        open_reader(topic, &KUR_LETTER_READER_OPTIONS(.filter = &KUR_LETTER_FILTER(.cause = "poison")));
    const kur_letter *letter = next_letter(reader);
    ck_status(kur_letter_writer_discard(writer, letter, "", "me", &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "reason");
    ck_status(kur_letter_writer_discard(writer, letter, "x", "\xff", &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "who");
    for (; letter != NULL; letter = next_letter(reader))
        ck_ok(kur_letter_writer_discard(writer, letter, "sent by hand", "me@here", &error), error);
    kur_letter_reader_free(reader);
    ck_ok(kur_letter_writer_finish(writer, 30000, &counts, &error), error);
    ck_assert_int_eq(counts.written, 4);
    kur_letter_writer_free(writer);

    reader = open_reader(topic, &KUR_LETTER_READER_OPTIONS(.timeout_ms = 0));
    int count = 0;
    for (; (letter = next_letter(reader)) != NULL; count++)
        ck_assert_str_eq(letter->retry->cause, "smtp.timeout");
    kur_letter_progress progress = KUR_LETTER_PROGRESS();
    kur_letter_reader_progress(reader, &progress, NULL);
    kur_letter_reader_free(reader);
    ck_assert_int_eq(count, 8);
    ck_assert_int_eq(progress.discarded, 4);
    ck_assert_int_eq(count_letters(topic, &KUR_LETTER_READER_OPTIONS(.with_discarded = true)), 12);
}
END_TEST

/* ---- Topics ---- */

START_TEST(test_dead_letters__topics)
{
    kur_error error = {0};
    const char *topic = dead_topic(2), *empty = dead_topic(1), *other = support_topic(1);
    const char *names[] = {topic, empty, other, NULL};
    int64_t before_us = kur_clock_now_us() / 1000 * 1000;
    write_many(topic, 2, 50);
    produce(other, 0, 0, 3);
    kur_letter_topic_list list;
    ck_ok(kur_letter_topics(consuming_client(), is_one_of, names, 30000, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 2);
    for (size_t i = 0; i < 2; i++) {
        const kur_letter_topic *one = list.items[i];
        if (strcmp(one->name, empty) == 0) {
            ck_assert_int_eq(one->count, 0);
            ck_assert_int_eq(one->oldest_us, -1);
            ck_assert_int_eq(one->expires_us, 0);
            continue;
        }
        ck_assert_str_eq(one->name, topic);
        ck_assert_int_eq(one->partition_count, 2);
        ck_assert_int_eq(one->count, 50);
        ck_assert_int_ge(one->oldest_us, before_us);
        ck_assert_int_ge(one->newest_us, one->oldest_us);
        ck_assert_int_le(one->newest_us, kur_clock_now_us());
        ck_assert(!one->is_compacted);
        if (support_is_real()) {
            ck_assert_int_gt(one->retention_ms, 0);
            ck_assert_int_eq(one->expires_us, one->oldest_us + one->retention_ms * 1000);
        }
    }
    ck_status(kur_letter_topics(consuming_client(), NULL, NULL, -1, arena, &list, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_dead_letters__read_and_filtered,
                                  test_dead_letters__ends_where_it_started,
                                  test_dead_letters__many_partitions,
                                  test_dead_letters__of_transactions,
                                  test_dead_letters__cut_at_the_beginning,
                                  test_dead_letters__errors,
                                  test_dead_letters__exported_and_imported,
                                  test_dead_letters__import_refuses,
                                  test_dead_letters__discarded,
                                  test_dead_letters__topics,
                                  NULL};
    arena = kur_arena_new();
    int status = check_main("dead_letters", tests);
    kur_arena_free(arena);
    consuming_stop();
    return status;
}
