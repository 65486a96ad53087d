/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters without a broker: names of topics, what is read of a record, filters, groups, hashes and discards.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../letters.h"
#include "deadletter/deadletter.h"

static kur_arena *arena;

#define HOUR_US (INT64_C(3600) * 1000 * 1000)

/* A letter as the listener leaves it; freed with its record. */
static kur_letter make_letter(const char *cause, const char *type, const char *failed, int64_t offset)
{
    const kur_header headers[] = {{"ce_specversion", kur_bytes_text("1.0")},
                                  {"ce_id", kur_bytes_text("i-1")},
                                  {"ce_source", kur_bytes_text("/s")},
                                  {"ce_type", kur_bytes_text(type)},
                                  {"kurier-retry-topic", kur_bytes_text("orders")},
                                  {"kurier-retry-partition", kur_bytes_text("2")},
                                  {"kurier-retry-offset", kur_bytes_text("17")},
                                  {"kurier-retry-group", kur_bytes_text("email")},
                                  {"kurier-retry-code", kur_bytes_text("mail.c:88")},
                                  {"kurier-retry-failed", kur_bytes_text(failed)},
                                  {"kurier-retry-cause", kur_bytes_text(cause)}};
    kur_record *record = letter_record(&(kur_record_parts){.topic = "orders.email.dlq",
                                                           .partition = 1,
                                                           .offset = offset,
                                                           .timestamp_us = 1000,
                                                           .key = kur_bytes_text("k"),
                                                           .value = kur_bytes_text("{}"),
                                                           .headers = headers,
                                                           .header_count = COUNT_OF(headers)});
    return letter_of(record, arena);
}

static void drop_letter(const kur_letter *letter)
{
    kur_record_free((kur_record *)(uintptr_t)letter->record);
}

START_TEST(test_deadletter__topics)
{
    static const char *const are[] = {"orders.email.dlq", "a.dlq", "orders.email.dlq-poison", "x.dlq-a.dlq-b2",
                                      "orders-dlt"};
    static const char *const are_not[] = {"",
                                          ".dlq",
                                          "orders",
                                          "orders.dlq.x",
                                          "orders.dlq-",
                                          "orders.dlq-A",
                                          "orders.dlq_x",
                                          "orders.email.retry-short",
                                          "-dlt",
                                          "orders.dlq-123456789012345678901234567890123"};
    for (size_t i = 0; i < COUNT_OF(are); i++)
        ck_assert_msg(kur_letter_is_topic(are[i]), "%s", are[i]);
    for (size_t i = 0; i < COUNT_OF(are_not); i++)
        ck_assert_msg(!kur_letter_is_topic(are_not[i]), "%s", are_not[i]);
    ck_assert(!kur_letter_is_topic(NULL));
}
END_TEST

START_TEST(test_deadletter__what_a_letter_tells)
{
    kur_letter letter = make_letter("smtp.timeout", "shop.order.v1", "2026-11-28T21:30:00.000001Z", 5);
    ck_assert_str_eq(letter.topic, "orders.email.dlq");
    ck_assert_str_eq(letter.type, "shop.order.v1");
    ck_assert_str_eq(letter.retry->cause, "smtp.timeout");
    ck_assert_str_eq(letter.retry->topic, "orders");
    ck_assert_int_eq(letter.retry->offset, 17);
    ck_assert_int_eq(letter.failed_us % 1000000, 1);
    ck_assert_int_eq(letter.style, KUR_HEADERS_KURIER);
    ck_assert_ptr_nonnull(letter.event);
    drop_letter(&letter);
    /* Spring's, though it was moved to a topic of another name. */
    const kur_header spring[] = {{"kafka_original-topic", kur_bytes_text("parcels")},
                                 {"kafka_original-partition", kur_bytes_of("\0\0\0\3", 4)},
                                 {"kafka_original-offset", kur_bytes_of("\0\0\0\0\0\0\0\7", 8)},
                                 {"__TypeId__", kur_bytes_text("com.example.\x1bParcel")}};
    kur_record *record =
        letter_record(&(kur_record_parts){.timestamp_us = 7000, .headers = spring, .header_count = COUNT_OF(spring)});
    letter = letter_of(record, arena);
    ck_assert_int_eq(letter.style, KUR_HEADERS_SPRING);
    ck_assert_str_eq(letter.retry->topic, "parcels");
    ck_assert_str_eq(letter.type, "com.example.?Parcel");
    ck_assert_ptr_null(letter.event);
    ck_assert_int_eq(letter.failed_us, 7000);
    kur_record_free(record);
    /* One that tells nothing. */
    record = letter_record(&(kur_record_parts){.timestamp_us = -1});
    letter = letter_of(record, arena);
    ck_assert_str_eq(letter.type, "");
    ck_assert_str_eq(letter.retry->cause, "");
    ck_assert_ptr_null(letter.retry->topic);
    ck_assert_int_eq(letter.failed_us, -1);
    kur_record_free(record);
}
END_TEST

START_TEST(test_deadletter__hostile)
{
    enum {
        MANY = 10000
    };
    kur_header *headers = calloc(MANY, sizeof *headers);
    char *names = calloc(MANY, 64), *large = malloc(4 << 20);
    static const char *const known[] = {
        "kurier-retry-attempt", "kurier-retry-history",    "kurier-retry-cause", "ce_type",
        "kurier-retry-failed",  "kafka_exception-message", "content-type",       "__TypeId__"};
    memset(large, '\xc3', 4 << 20);
    srand(2);
    for (int i = 0; i < MANY; i++) {
        snprintf(names + 64 * i, 64, "%s", known[rand() % (int)COUNT_OF(known)]);
        headers[i] = (kur_header){names + 64 * i, kur_bytes_of(large + rand() % 100, (size_t)(rand() % 300))};
    }
    headers[MANY - 1].value = kur_bytes_of(large, 4 << 20);
    kur_record *record = letter_record(&(kur_record_parts){.headers = headers, .header_count = MANY});
    int64_t start_us = kur_clock_monotonic_us();
    kur_letter_groups *groups = kur_letter_groups_new(NULL, NULL);
    kur_error error = {0};
    kur_letter_group_list list;
    kur_letter letter = letter_of(record, arena);
    ck_ok(kur_letter_groups_add(groups, &letter, &error), error);
    ck_ok(kur_letter_groups_list(groups, arena, &list, &error), error);
    ck_assert_uint_lt(strlen(list.items[0]->cause), 256);
    ck_assert_int_lt(kur_clock_monotonic_us() - start_us, 500 * 1000);
    kur_letter_groups_free(groups);
    kur_record_free(record);
    free(headers);
    free(names);
    free(large);
}
END_TEST

START_TEST(test_deadletter__filter)
{
    kur_letter letter = make_letter("smtp.timeout", "shop.order.v1", "2026-11-28T20:00:00Z", 5);
    int64_t now_us = letter.failed_us + 2 * HOUR_US;
    const struct {
        kur_letter_filter filter;
        bool fits;
    } cases[] = {
        {KUR_LETTER_FILTER(.cause = NULL), true},
        {KUR_LETTER_FILTER(.cause = "smtp.timeout"), true},
        {KUR_LETTER_FILTER(.cause = "smtp."), false},
        {KUR_LETTER_FILTER(.cause = "smtp.*"), true},
        {KUR_LETTER_FILTER(.cause = "*"), true},
        {KUR_LETTER_FILTER(.cause = ""), false},
        {KUR_LETTER_FILTER(.type = "shop.order.v1"), true},
        {KUR_LETTER_FILTER(.type = "shop.parcel.*"), false},
        {KUR_LETTER_FILTER(.group = "email"), true},
        {KUR_LETTER_FILTER(.group = "mail"), false},
        {KUR_LETTER_FILTER(.origin = "orders"), true},
        {KUR_LETTER_FILTER(.origin = "parcels"), false},
        {KUR_LETTER_FILTER(.older_than_ms = 7200000), true},
        {KUR_LETTER_FILTER(.older_than_ms = 7200001), false},
        {KUR_LETTER_FILTER(.younger_than_ms = 7200000), false},
        {KUR_LETTER_FILTER(.younger_than_ms = 7200001), true},
        {KUR_LETTER_FILTER(.key = kur_bytes_text("k")), true},
        {KUR_LETTER_FILTER(.key = kur_bytes_text("")), false},
        {KUR_LETTER_FILTER(.partition = KUR_PARTITION(1)), true},
        {KUR_LETTER_FILTER(.partition = KUR_PARTITION(0)), false},
        {KUR_LETTER_FILTER(.from_offset = 5, .to_offset = 6), true},
        {KUR_LETTER_FILTER(.from_offset = 6), false},
        {KUR_LETTER_FILTER(.to_offset = 5), false},
        {KUR_LETTER_FILTER(.cause = "smtp.*", .group = "mail"), false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        ck_assert_msg(kur_letter_fits(&letter, &cases[i].filter, now_us) == cases[i].fits, "case %zu", i);
    kur_filter *where = kur_filter_new("attempt = 1 and age = 2h", NULL);
    ck_assert(kur_letter_fits(&letter, &KUR_LETTER_FILTER(.cause = "smtp.*", .where = where), now_us));
    ck_assert(!kur_letter_fits(&letter, &KUR_LETTER_FILTER(.cause = "x", .where = where), now_us));
    ck_assert(!kur_letter_fits(&letter, &KUR_LETTER_FILTER(.where = where), now_us + 1));
    kur_filter_free(where);
    ck_assert(kur_letter_fits(&letter, NULL, now_us));
    ck_assert(!kur_letter_fits(NULL, NULL, now_us));
    drop_letter(&letter);
    /* One without a time has no age, one without an origin fits none. */
    kur_record *record = letter_record(&(kur_record_parts){.timestamp_us = -1});
    letter = letter_of(record, arena);
    ck_assert(!kur_letter_fits(&letter, &KUR_LETTER_FILTER(.older_than_ms = 1), now_us));
    ck_assert(!kur_letter_fits(&letter, &KUR_LETTER_FILTER(.younger_than_ms = 1), now_us));
    ck_assert(!kur_letter_fits(&letter, &KUR_LETTER_FILTER(.origin = "*"), now_us));
    kur_record_free(record);
}
END_TEST

static kur_letter_groups *groups_of(const kur_letter_groups_options *options)
{
    kur_error error = {0};
    kur_letter_groups *groups = kur_letter_groups_new(options, &error);
    ck_assert_msg(groups != NULL, "%s", error.message);
    return groups;
}

static void count(kur_letter_groups *groups, const char *cause, const char *type, const char *failed, int64_t offset)
{
    kur_error error = {0};
    kur_letter letter = make_letter(cause, type, failed, offset);
    ck_ok(kur_letter_groups_add(groups, &letter, &error), error);
    drop_letter(&letter);
}

START_TEST(test_deadletter__groups)
{
    kur_error error = {0};
    kur_letter_group_list list;
    kur_letter_groups *groups = groups_of(NULL);
    count(groups, "smtp.timeout", "a.v1", "2026-11-28T20:00:02Z", 1);
    count(groups, "poison", "a.v1", "2026-11-28T20:00:00Z", 2);
    count(groups, "smtp.timeout", "a.v1", "2026-11-28T20:00:03Z", 3);
    count(groups, "smtp.timeout", "a.v1", "2026-11-28T20:00:01Z", 4);
    count(groups, "smtp.timeout", "b.v1", "2026-11-28T20:00:01Z", 5);
    ck_ok(kur_letter_groups_list(groups, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 3);
    const kur_letter_group *one = list.items[0];
    ck_assert_int_eq(one->count, 3);
    ck_assert_str_eq(one->cause, "smtp.timeout");
    ck_assert_str_eq(one->type, "a.v1");
    ck_assert_str_eq(one->code, "mail.c:88");
    ck_assert_ptr_null(one->group);
    ck_assert_int_eq(one->last_us - one->first_us, 2000000);
    ck_assert_str_eq(one->sample_topic, "orders.email.dlq");
    ck_assert_int_eq(one->sample_partition, 1);
    ck_assert_int_eq(one->sample_offset, 3);
    ck_assert_str_eq(list.items[1]->type, "b.v1");
    ck_assert_str_eq(list.items[2]->cause, "poison");
    kur_letter_groups_free(groups);

    groups =
        groups_of(&(kur_letter_groups_options){.size = sizeof(kur_letter_groups_options), .by = KUR_LETTERS_BY_GROUP});
    count(groups, "x", "a.v1", "2026-11-28T20:00:02Z", 1);
    count(groups, "y", "b.v1", "2026-11-28T20:00:02Z", 2);
    ck_ok(kur_letter_groups_list(groups, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_str_eq(list.items[0]->group, "email");
    ck_assert_ptr_null(list.items[0]->cause);
    kur_letter_groups_free(groups);
    ck_assert_ptr_null(kur_letter_groups_new(&KUR_LETTER_GROUPS_OPTIONS(.by = 32), &error));
    ck_assert_ptr_null(kur_letter_groups_new(&KUR_LETTER_GROUPS_OPTIONS(.max = -2), &error));
}
END_TEST

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Whatever stands on letters, there are no more groups than may be, and no more memory. */
START_TEST(test_deadletter__groups_are_bounded)
{
    kur_error error = {0};
    kur_letter_group_list list;
    kur_letter_groups *groups = groups_of(&KUR_LETTER_GROUPS_OPTIONS(.max = 1000));
    size_t full = 0;
    for (int i = 0; i < 20000; i++) {
        char cause[40];
        kur_arena_reset(arena);
        snprintf(cause, sizeof cause, "cause.%d", i);
        count(groups, cause, "a.v1", "2026-11-28T20:00:02Z", i);
        if (i == 2000)
            full = allocated();
    }
    ck_assert_uint_le(allocated(), full + 4096);
    ck_ok(kur_letter_groups_list(groups, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 1001);
    int64_t sum = 0;
    for (size_t i = 0; i < list.count; i++) {
        sum += list.items[i]->count;
        ck_assert_int_eq(list.items[i]->is_rest, i == 1000);
    }
    ck_assert_int_eq(sum, 20000);
    ck_assert_int_eq(list.items[1000]->count, 19000);
    ck_assert_int_eq(list.items[1000]->sample_offset, 19999);
    ck_assert_ptr_null(list.items[1000]->cause);
    kur_letter_groups_free(groups);
}
END_TEST

/* ---- Hashes and discards ---- */

static void check_sha(const char *text, size_t times, const char *expected)
{
    kur__sha256 hash;
    uint8_t digest[32];
    char hex[65];
    kur__sha256_init(&hash);
    for (size_t i = 0; i < times; i++)
        kur__sha256_add(&hash, text, strlen(text));
    kur__sha256_end(&hash, digest);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    ck_assert_str_eq(hex, expected);
}

/* By the processor's own instructions and without them. */
START_TEST(test_deadletter__sha256_either_way)
{
    uint32_t one[8] = {1, 2, 3, 4, 5, 6, 7, 8}, other[8];
    uint8_t block[64];
    srand(1);
    memcpy(other, one, sizeof other);
    for (int i = 0; i < 1000; i++) {
        for (size_t n = 0; n < sizeof block; n++)
            block[n] = (uint8_t)rand();
        kur__sha256_mix(one, block);
        kur__sha256_mix_plain(other, block);
        ck_assert_mem_eq(one, other, sizeof one);
    }
}
END_TEST

START_TEST(test_deadletter__sha256)
{
    check_sha("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha("aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

/* A null is not an empty one, and what stands in one place is not what stands in the next. */
START_TEST(test_deadletter__hash_tells_letters_apart)
{
    const kur_header one[] = {{"a", kur_bytes_text("b")}}, other[] = {{"ab", kur_bytes_text("")}},
                     null[] = {{"ab", kur_bytes_of(NULL, 0)}};
    const kur_record_parts parts[] = {{.timestamp_us = -1},
                                      {.timestamp_us = 0},
                                      {.key = kur_bytes_text("")},
                                      {.value = kur_bytes_text("")},
                                      {.key = kur_bytes_text("ab")},
                                      {.key = kur_bytes_text("a"), .value = kur_bytes_text("b")},
                                      {.headers = one, .header_count = 1},
                                      {.headers = other, .header_count = 1},
                                      {.headers = null, .header_count = 1}};
    char hashes[COUNT_OF(parts)][65];
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        kur_record *record = letter_record(&parts[i]);
        kur_letter letter = letter_of(record, arena);
        kur_letter_hash(&letter, hashes[i]);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(strcmp(hashes[i], hashes[j]) != 0, "%zu is as %zu", i, j);
        kur_record_free(record);
    }
}
END_TEST

static void take(kur__discards *discards, kur_bytes key, kur_bytes value)
{
    kur_record *record =
        letter_record(&(kur_record_parts){.topic = KUR_LETTER_AUDIT_TOPIC, .key = key, .value = value});
    ck_assert(kur__discards_take(discards, record));
    kur_record_free(record);
}

START_TEST(test_deadletter__discards)
{
    static const char *const topics[] = {"parcels.dlq", "orders.email.dlq", NULL};
    kur__discards discards = {.topics = topics};
    kur_buffer key = {0}, value = {0};
    kur_letter letter = make_letter("a", "b.v1", "2026-11-28T20:00:02Z", 5);
    kur_letter same_place = make_letter("another", "b.v1", "2026-11-28T20:00:02Z", 5);
    kur_letter same_bytes = make_letter("a", "b.v1", "2026-11-28T20:00:02Z", 6);
    ck_assert_int_eq(kur__discard_write(&letter, "say \"no\"\x1b", "me", 0, &key, &value), KUR_OK);
    ck_assert_str_eq(key.data, "discard orders.email.dlq 1 5");
    ck_assert_ptr_nonnull(
        strstr(value.data, "\"reason\":\"say \\\"no\\\"\\u001b\",\"who\":\"me\",\"at\":\"1970-01-01T00:00:00Z\""));
    ck_assert(!kur__discards_have(&discards, 1, &letter));
    take(&discards, kur_bytes_of(key.data, key.size), kur_bytes_of(value.data, value.size));
    ck_assert(kur__discards_have(&discards, 1, &letter));
    ck_assert(!kur__discards_have(&discards, 0, &letter));
    ck_assert(!kur__discards_have(&discards, 1, &same_place));
    ck_assert(!kur__discards_have(&discards, 1, &same_bytes));
    /* A null value gives it back, the next one takes it again; a value that is broken hides nothing. */
    take(&discards, kur_bytes_of(key.data, key.size), kur_bytes_of(NULL, 0));
    ck_assert(!kur__discards_have(&discards, 1, &letter));
    take(&discards, kur_bytes_of(key.data, key.size), kur_bytes_of(value.data, value.size));
    ck_assert(kur__discards_have(&discards, 1, &letter));
    take(&discards, kur_bytes_of(key.data, key.size), kur_bytes_of(value.data, value.size - 1));
    ck_assert(!kur__discards_have(&discards, 1, &letter));
    static const char *const foreign[] = {"",
                                          "discard",
                                          "discard ",
                                          "discard orders.email.dlq",
                                          "discard orders.email.dlq 1",
                                          "discard orders.email.dlq 1 ",
                                          "discard orders.email.dlq 1 5 ",
                                          "discard orders.email.dlq -1 5",
                                          "discard orders.email.dlq 1 5x",
                                          "discard orders.email.dlq 99999999999 5",
                                          "discard orders.email.dlq 1 99999999999999999999",
                                          "discard others.dlq 1 5",
                                          "plan orders.email.dlq 1 5"};
    size_t before = discards.count;
    for (size_t i = 0; i < COUNT_OF(foreign); i++)
        take(&discards, kur_bytes_text(foreign[i]), kur_bytes_of(value.data, value.size));
    take(&discards, kur_bytes_of(NULL, 0), kur_bytes_of(NULL, 0));
    ck_assert_uint_eq(discards.count, before);
    /* Many. */
    for (int i = 0; i < 5000; i++) {
        char text[64];
        snprintf(text, sizeof text, "discard parcels.dlq %d %d", i % 7, i);
        take(&discards, kur_bytes_text(text), kur_bytes_of(value.data, value.size));
    }
    ck_assert_uint_eq(discards.count, before + 5000);
    kur__discards_done(&discards);
    kur_buffer_done(&key);
    kur_buffer_done(&value);
    drop_letter(&letter);
    drop_letter(&same_place);
    drop_letter(&same_bytes);
}
END_TEST

START_TEST(test_deadletter__arguments)
{
    kur_error error = {0};
    const char *const none[] = {NULL}, *const wrong[] = {"a b", NULL}, *const good[] = {"a.dlq", NULL};
    kur_letter_progress progress = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1"), &error);
    ck_assert_ptr_null(kur_letter_reader_new(NULL, NULL, &error));
    ck_assert_ptr_null(kur_letter_reader_new(client, NULL, &error));
    ck_says(error, ".topics");
    ck_assert_ptr_null(kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = none), &error));
    ck_assert_ptr_null(kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = wrong), &error));
    ck_says(error, "\"a b\"");
    ck_assert_ptr_null(
        kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = good, .timeout_ms = -1), &error));
    ck_assert_ptr_null(kur_letter_reader_new(
        client, &KUR_LETTER_READER_OPTIONS(.topics = good, .filter = &KUR_LETTER_FILTER(.from_offset = -1)), &error));
    ck_says(error, ".filter");
    kur_letter_reader *reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = good), &error);
    ck_assert_ptr_nonnull(reader);
    ck_status(kur_letter_reader_next(reader, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_letter_reader_progress(reader, &progress, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_letter_reader_next(NULL, NULL, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    kur_letter_reader_free(reader);
    kur_letter_reader_free(NULL);
    kur_letter_groups_free(NULL);
    kur_letter_writer_free(NULL);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_deadletter__topics,
                                  test_deadletter__what_a_letter_tells,
                                  test_deadletter__hostile,
                                  test_deadletter__filter,
                                  test_deadletter__groups,
                                  test_deadletter__groups_are_bounded,
                                  test_deadletter__sha256,
                                  test_deadletter__sha256_either_way,
                                  test_deadletter__hash_tells_letters_apart,
                                  test_deadletter__discards,
                                  test_deadletter__arguments,
                                  NULL};
    arena = kur_arena_new();
    int status = check_main("deadletter", tests);
    kur_arena_free(arena);
    return status;
}
