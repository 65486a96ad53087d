/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Letters as lines of JSON: what is written reads back byte for byte, and what others write is read or refused.
 */
#include <stdlib.h>
#include <string.h>

#include "../letters.h"

static kur_arena *arena;

static void set_up(void)
{
    arena = kur_arena_new();
}
static void tear_down(void)
{
    kur_arena_free(arena);
}

static void same_bytes(kur_bytes a, kur_bytes b)
{
    ck_assert(kur_bytes_equal(a, b));
}

/* Writes a record and reads it back; everything is as it was. */
static char *round_trip(const kur_record_parts *parts)
{
    kur_error error = {0};
    kur_record *record = letter_record(parts);
    kur_letter letter = letter_of(record, arena);
    kur_buffer text = {0};
    kur_letter_line line = KUR_LETTER_LINE();
    ck_ok(kur_letter_export(&letter, &text, &error), error);
    ck_assert_int_eq(text.data[text.size - 1], '\n');
    ck_assert_ptr_eq(memchr(text.data, '\n', text.size - 1), NULL);
    for (size_t i = 0; i + 1 < text.size; i++)
        ck_assert_msg(text.data[i] >= 0x20 && text.data[i] < 0x7f, "a byte %d", text.data[i]);
    ck_ok(kur_letter_parse(kur_bytes_of(text.data, text.size), arena, &line, &error), error);
    ck_assert_str_eq(line.topic, kur_record_topic(record));
    ck_assert_int_eq(line.partition, parts->partition);
    ck_assert_int_eq(line.offset, parts->offset);
    ck_assert_int_eq(line.timestamp_ms, parts->timestamp_us >= 0 ? parts->timestamp_us / 1000 : -1);
    same_bytes(line.key, parts->key);
    same_bytes(line.value, parts->value);
    ck_assert_uint_eq(line.header_count, parts->header_count);
    for (size_t i = 0; i < line.header_count; i++) {
        ck_assert_str_eq(line.headers[i].name, parts->headers[i].name);
        same_bytes(line.headers[i].value, parts->headers[i].value);
    }
    char *copy = kur_arena_copy(arena, text.data, text.size);
    kur_buffer_done(&text);
    kur_record_free(record);
    return copy;
}

START_TEST(test_letter_line__round_trips)
{
    const kur_header headers[] = {{"a", kur_bytes_text("1")},
                                  {"a", kur_bytes_text("2")},
                                  {"", kur_bytes_of("", 0)},
                                  {"null", kur_bytes_of(NULL, 0)},
                                  {"raw", kur_bytes_of("\0\xff\x80", 3)},
                                  {"br\xfcnn", kur_bytes_text("a name that is no UTF-8")},
                                  {"zw\xc3\xb6lf", kur_bytes_text("\xf0\x9f\x90\x92")},
                                  {"a", kur_bytes_text("3")}};
    char *line = round_trip(&(kur_record_parts){.partition = 3,
                                                .offset = INT64_C(1) << 60,
                                                .timestamp_us = INT64_C(1764365400123) * 1000,
                                                .key = kur_bytes_text("k\"\\\n\t\x1b[2J"),
                                                .value = kur_bytes_of("a\0b", 3),
                                                .headers = headers,
                                                .header_count = COUNT_OF(headers)});
    ck_assert_ptr_ne(strstr(line, "\\u001b[2J"), NULL);
    ck_assert_ptr_ne(strstr(line, "{\"base64\":\"AP+A\"}"), NULL);
    ck_assert_ptr_ne(strstr(line, "\\ud83d\\udc12"), NULL);
    ck_assert_ptr_ne(strstr(line, "\"offset\":1152921504606846976,\"timestamp_ms\":1764365400123"), NULL);
    /* Nothing at all, and nothing but emptiness. */
    round_trip(&(kur_record_parts){.timestamp_us = -1});
    round_trip(&(kur_record_parts){.key = kur_bytes_of("", 0), .value = kur_bytes_of("", 0)});
    round_trip(&(kur_record_parts){.value = kur_bytes_of("\xc2\x9b"
                                                         "31m\x7f\xe2\x80\xae",
                                                         9)});
}
END_TEST

START_TEST(test_letter_line__every_byte)
{
    uint8_t bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    for (size_t size = 0; size <= sizeof bytes; size++)
        round_trip(
            &(kur_record_parts){.key = kur_bytes_of(bytes, size), .value = kur_bytes_of(bytes + size, 256 - size)});
    srand(1);
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 32; i++)
            bytes[i] = (uint8_t)(rand() % 4 == 0 ? rand() : "\xc3\xb6\xf0\x9f\x90\x92\"\\"[rand() % 8]);
        round_trip(&(kur_record_parts){.value = kur_bytes_of(bytes, (size_t)(rand() % 33))});
    }
}
END_TEST

START_TEST(test_letter_line__what_it_died_of)
{
    const kur_header headers[] = {
        {"kurier-retry-topic", kur_bytes_text("orders")}, {"kurier-retry-partition", kur_bytes_text("2")},
        {"kurier-retry-offset", kur_bytes_text("17")},    {"kurier-retry-cause", kur_bytes_text("smtp.timeout")},
        {"kurier-retry-attempt", kur_bytes_text("5")},    {"kurier-retry-group", kur_bytes_text("email")}};
    const char *line = round_trip(&(kur_record_parts){.headers = headers, .header_count = COUNT_OF(headers)});
    ck_assert_ptr_ne(strstr(line, "\"letter\":{\"attempt\":5,\"cause\":\"smtp.timeout\""), NULL);
    ck_assert_ptr_ne(strstr(line, "\"origin\":{\"partition\":2,\"offset\":17,\"topic\":\"orders\"}"), NULL);
}
END_TEST

START_TEST(test_letter_line__many_and_large)
{
    size_t size = 8 * 1024 * 1024;
    char *large = malloc(size);
    kur_header *headers = calloc(10000, sizeof *headers);
    memset(large, 'x', size);
    large[7] = '\0';
    for (int i = 0; i < 10000; i++)
        headers[i] = (kur_header){i % 2 == 0 ? "twice" : "once", kur_bytes_of(large, (size_t)(i % 9))};
    round_trip(&(kur_record_parts){.value = kur_bytes_of(large, size), .headers = headers, .header_count = 10000});
    large[8] = '\xff';
    round_trip(&(kur_record_parts){.value = kur_bytes_of(large, size)});
    free(headers);
    free(large);
}
END_TEST

static kur_letter_line parsed(const char *text)
{
    kur_error error = {0};
    kur_letter_line line = KUR_LETTER_LINE();
    ck_ok(kur_letter_parse(kur_bytes_text(text), arena, &line, &error), error);
    return line;
}

START_TEST(test_letter_line__of_other_writers)
{
    kur_letter_line line = parsed("{\"key\":null,\"value\":null,\"headers\":[]}");
    ck_assert_ptr_eq(line.topic, NULL);
    ck_assert_int_eq(line.partition, -1);
    ck_assert_int_eq(line.timestamp_ms, -1);
    ck_assert_ptr_eq(line.key.data, NULL);
    line =
        parsed(" {\n\t\"headers\" : [ [ \"a\" , { \"base64\" : \"\" } ] ] , \"value\" : \"\\ud83d\\udc12\\/\" ,\r\n"
               "\"letter\": {\"x\": [1, -2.5e3, {\"y\": {}}, [], \"\\\"]\", true, false, null]}, \"timestamp_ms\":null,"
               "\"key\":\"zw\xc3\xb6lf\"} \n");
    ck_assert_str_eq(line.value.data, "\xf0\x9f\x90\x92/");
    ck_assert_str_eq(line.key.data, "zw\xc3\xb6lf");
    ck_assert_ptr_ne(line.headers[0].value.data, NULL);
    ck_assert_uint_eq(line.headers[0].value.size, 0);
}
END_TEST

START_TEST(test_letter_line__refused)
{
    static const char *const wrong[][2] = {
        {"", "expected '{'"},
        {"[]", "expected '{'"},
        {"{}", "are missing"},
        {"{\"key\":null,\"value\":null}", "are missing"},
        {"{\"key\":null,\"value\":null,\"headers\":[]} x", "something stands behind"},
        {"{\"key\":null,\"value\":null,\"headers\":[],}", "expected a string"},
        {"{\"key\":null,\"key\":null,\"value\":null,\"headers\":[]}", "stands twice"},
        {"{\"key\":null,\"value\":null,\"headers\":[],\"topics\":\"t\"}", "no such member"},
        {"{\"key\":1,\"value\":null,\"headers\":[]}", "expected a string"},
        {"{\"key\":{\"base64\":\"A\"},\"value\":null,\"headers\":[]}", "not base64"},
        {"{\"key\":{\"base65\":\"\"},\"value\":null,\"headers\":[]}", "expected base64"},
        {"{\"key\":{},\"value\":null,\"headers\":[]}", "expected base64"},
        {"{\"key\":{\"base64\":\"\",\"x\":1},\"value\":null,\"headers\":[]}", "expected '}'"},
        {"{\"key\":\"\\ud83d\",\"value\":null,\"headers\":[]}", "surrogate"},
        {"{\"key\":\"\\udc12\\ud83d\",\"value\":null,\"headers\":[]}", "surrogate"},
        {"{\"key\":\"\\ud83d\\u0041\",\"value\":null,\"headers\":[]}", "surrogate"},
        {"{\"key\":\"\\u12g4\",\"value\":null,\"headers\":[]}", "hexadecimal"},
        {"{\"key\":\"\\x\",\"value\":null,\"headers\":[]}", "no such escape"},
        {"{\"key\":\"\t\",\"value\":null,\"headers\":[]}", "control character"},
        {"{\"key\":\"a", "ends in a string"},
        {"{\"key\":\"a\\", "ends in a string"},
        {"{\"key\":\"a\\\"", "ends in a string"},
        {"{\"key\":null,\"value\":null,\"headers\":[[\"a\"]]}", "expected ','"},
        {"{\"key\":null,\"value\":null,\"headers\":[[null,null]]}", "header's name"},
        {"{\"key\":null,\"value\":null,\"headers\":[[\"a\\u0000b\",null]]}", "header's name"},
        {"{\"key\":null,\"value\":null,\"headers\":{}}", "expected '['"},
        {"{\"partition\":-1,\"key\":null,\"value\":null,\"headers\":[]}", "out of range"},
        {"{\"partition\":2147483647,\"key\":null,\"value\":null,\"headers\":[]}", "out of range"},
        {"{\"partition\":0.5,\"key\":null,\"value\":null,\"headers\":[]}", "integer"},
        {"{\"partition\":01,\"key\":null,\"value\":null,\"headers\":[]}", "integer"},
        {"{\"offset\":9223372036854775808,\"key\":null,\"value\":null,\"headers\":[]}", "too large"},
        {"{\"timestamp_ms\":9223372036854775807,\"key\":null,\"value\":null,\"headers\":[]}", "out of range"},
        {"{\"topic\":\"\",\"key\":null,\"value\":null,\"headers\":[]}", "not the name of a topic"},
        {"{\"key\":\"\xff\",\"value\":null,\"headers\":[]}", "not UTF-8"},
        {"{\"letter\":[1,2", "expected ','"},
        {"{\"letter\":{1:2}}", "expected a name"},
        {"{\"letter\":[1,]}", "expected a value"},
        {"{\"letter\":", "ends in a value"}};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        kur_error error = {0};
        kur_letter_line line = KUR_LETTER_LINE(.partition = 77);
        kur_status status = kur_letter_parse(kur_bytes_text(wrong[i][0]), arena, &line, &error);
        ck_assert_msg(status == KUR_ERROR_SYNTAX, "%s: %s", wrong[i][0], kur_status_name(status));
        ck_assert_msg(strstr(error.message, wrong[i][1]) != NULL, "%s: %s", wrong[i][0], error.message);
        ck_assert_int_eq(line.partition, 77);
    }
}
END_TEST

START_TEST(test_letter_line__bounds)
{
    kur_error error = {0};
    kur_letter_line line = KUR_LETTER_LINE();
    char deep[400] = "{\"letter\":";
    for (int depth = 64; depth <= 65; depth++) {
        char *at = deep + strlen("{\"letter\":");
        memset(at, '[', (size_t)depth);
        memset(at + depth, ']', (size_t)depth);
        strcpy(at + 2 * depth, ",\"key\":null,\"value\":null,\"headers\":[]}");
        ck_status(kur_letter_parse(kur_bytes_text(deep), arena, &line, &error),
                  depth == 64 ? KUR_OK : KUR_ERROR_TOO_LARGE, error);
    }
    ck_status(kur_letter_parse(kur_bytes_of("x", (size_t)KUR_LETTER_LINE_MAX + 1), arena, &line, &error),
              KUR_ERROR_TOO_LARGE, error);
    ck_status(kur_letter_parse(kur_bytes_of(NULL, 0), arena, &line, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_letter_parse(kur_bytes_text("{}"), NULL, &line, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_letter_export(NULL, &(kur_buffer){0}, &error), KUR_ERROR_INVALID_ARGUMENT, error);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_letter_line__round_trips,      test_letter_line__every_byte,
                                  test_letter_line__what_it_died_of,  test_letter_line__many_and_large,
                                  test_letter_line__of_other_writers, test_letter_line__refused,
                                  test_letter_line__bounds,           NULL};
    set_up();
    int status = check_main("letter_line", tests);
    tear_down();
    return status;
}
