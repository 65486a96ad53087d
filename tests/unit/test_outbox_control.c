/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Control records: what is written reads back, and nothing else is read.
 */
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "outbox/control.h"

static const kur_uuid database = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

enum {
    HEAD_SIZE = 21 /* of a value: all before its rows */
};

static kur_status read_text(const char *key, kur_bytes value, kur_error *error)
{
    kur_outbox_id *rows = NULL;
    size_t count = 0;
    *error = (kur_error){0};
    kur_status status = kur__control_read(kur_bytes_text(key), value, 7, &database, &rows, &count, error);
    kur_free(rows);
    return status;
}

START_TEST(test_outbox_control__round_trip)
{
    static const int64_t ids[] = {1, 2, 129, 130, 20000, INT64_C(1) << 40, INT64_MAX - 1, INT64_MAX};
    enum {
        COUNT = sizeof ids / sizeof *ids
    };
    kur__control control = {0};
    kur_error error = {0};
    kur_outbox_id *rows = NULL;
    size_t count = 0;
    char key[KUR__CONTROL_KEY_SIZE];
    kur__control_key(7, key);
    ck_assert_str_eq(key, "7");
    for (int round = 0; round < 2; round++) { /* the second one into the same memory */
        ck_assert_int_eq(kur__control_begin(&control, &database), KUR_OK);
        for (int i = 0; i < COUNT; i++)
            ck_assert_int_eq(kur__control_add(&control, ids[i], 0xfffffff0u + (uint32_t)i), KUR_OK);
        ck_ok(kur__control_read(kur_bytes_text(key), kur__control_value(&control), 7, &database, &rows, &count, &error),
              error);
        ck_assert_uint_eq(count, COUNT);
        for (int i = 0; i < COUNT; i++) {
            ck_assert_int_eq(rows[i].id, ids[i]);
            ck_assert_int_eq(rows[i].shard, 7);
            ck_assert_uint_eq(rows[i].mark, 0xfffffff0u + (uint32_t)i);
        }
        kur_free(rows);
    }
    kur__control_done(&control);
}
END_TEST

START_TEST(test_outbox_control__layout_stays)
{
    static const char expected[] = "\x01\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" /* form, id */
                                   "\x00\x00\x00\x02"
                                   "\x05\x01\x02\x03\x04"
                                   "\x80\x01\xff\xfe\xfd\xfc";
    kur__control control = {0};
    ck_assert_int_eq(kur__control_begin(&control, &database), KUR_OK);
    ck_assert_int_eq(kur__control_add(&control, 5, 0x01020304), KUR_OK);
    ck_assert_int_eq(kur__control_add(&control, 133, 0xfffefdfc), KUR_OK);
    ck_assert(kur_bytes_equal(kur__control_value(&control), kur_bytes_of(expected, sizeof expected - 1)));
    kur__control_done(&control);
}
END_TEST

/* Ids far apart, as many as there is room for: what is refused leaves what was there. */
START_TEST(test_outbox_control__is_bounded)
{
    kur__control control = {0};
    kur_error error = {0};
    kur_outbox_id *rows = NULL;
    size_t count = 0, added = 0;
    ck_assert_int_eq(kur__control_begin(&control, &database), KUR_OK);
    kur_status status = KUR_OK;
    while ((status = kur__control_add(&control, (int64_t)(added + 1) << 40, 1)) == KUR_OK)
        added++;
    ck_assert_int_eq(status, KUR_ERROR_TOO_LARGE);
    ck_assert_uint_le(kur__control_value(&control).size, KUR__CONTROL_BYTES_MAX);
    ck_assert_uint_gt(added, 80000);
    ck_ok(kur__control_read(kur_bytes_text("7"), kur__control_value(&control), 7, &database, &rows, &count, &error),
          error);
    ck_assert_uint_eq(count, added);
    kur_free(rows);
    kur__control_done(&control);
}
END_TEST

START_TEST(test_outbox_control__nothing_else_is_read)
{
    kur__control control = {0};
    kur_error error = {0};
    char bytes[100];
    ck_assert_int_eq(kur__control_begin(&control, &database), KUR_OK);
    ck_status(read_text("7", kur__control_value(&control), &error), KUR_ERROR_SYNTAX, error); /* no rows */
    ck_assert_int_eq(kur__control_add(&control, 5, 1), KUR_OK);
    ck_assert_int_eq(kur__control_add(&control, 300, 2), KUR_OK);
    kur_bytes value = kur__control_value(&control);
    ck_ok(read_text("7", value, &error), error);

    ck_status(read_text("8", value, &error), KUR_ERROR_SYNTAX, error);
    ck_says(error, "its key is not its shard's number");
    ck_status(read_text("07", value, &error), KUR_ERROR_SYNTAX, error);
    for (size_t size = 0; size < value.size; size++)
        ck_status(read_text("7", kur_bytes_of(value.data, size), &error), KUR_ERROR_SYNTAX, error);
    ck_assert_uint_lt(value.size, sizeof bytes);
    memcpy(bytes, value.data, value.size);
    bytes[value.size] = 0;
    ck_status(read_text("7", kur_bytes_of(bytes, value.size + 1), &error), KUR_ERROR_SYNTAX, error);
    ck_says(error, "something follows behind its rows");

    static const struct {
        size_t at;
        char byte;
        const char *says;
    } wrongs[] = {{0, 2, "a newer version"},
                  {HEAD_SIZE - 4, 1, "as many rows"},
                  {HEAD_SIZE - 1, 1, "something follows"},
                  {HEAD_SIZE - 1, 0, "as many rows"},
                  {HEAD_SIZE, 0, "an id is not a number"},          /* the same id twice */
                  {HEAD_SIZE + 5 + 1, 0, "an id is not a number"}}; /* a number with a zero in front */
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        memcpy(bytes, value.data, value.size);
        bytes[wrongs[i].at] = wrongs[i].byte;
        ck_status(read_text("7", kur_bytes_of(bytes, value.size), &error), KUR_ERROR_SYNTAX, error);
        ck_says(error, wrongs[i].says);
    }
    kur__control_done(&control);
}
END_TEST

START_TEST(test_outbox_control__ids_do_not_overflow)
{
    char bytes[HEAD_SIZE + 2 * 13];
    kur_error error = {0};
    memset(bytes, 0, sizeof bytes);
    bytes[0] = 1;
    memcpy(bytes + 1, database.bytes, sizeof database.bytes);
    bytes[HEAD_SIZE - 1] = 2;
    for (int row = 0; row < 2; row++) { /* the largest id, twice */
        memset(bytes + HEAD_SIZE + 13 * row, 0xff, 8);
        bytes[HEAD_SIZE + 13 * row + 8] = 0x7f;
    }
    ck_status(read_text("7", kur_bytes_of(bytes, sizeof bytes), &error), KUR_ERROR_SYNTAX, error);
    ck_says(error, "an id is not a number");
}
END_TEST

START_TEST(test_outbox_control__of_another_database)
{
    static const kur_uuid other = {{0xaa}};
    kur__control control = {0};
    kur_error error = {0};
    ck_assert_int_eq(kur__control_begin(&control, &other), KUR_OK);
    ck_assert_int_eq(kur__control_add(&control, 5, 1), KUR_OK);
    ck_status(read_text("7", kur__control_value(&control), &error), KUR_ERROR_CONFIG, error);
    ck_says(error, "of another database, aa000000-");
    kur__control_done(&control);
}
END_TEST

START_TEST(test_outbox_control__an_operator_passes_over)
{
    kur_error error = {0};
    ck_ok(read_text("7", kur_bytes_of(NULL, 0), &error), error);
    ck_status(read_text("8", kur_bytes_of(NULL, 0), &error), KUR_ERROR_SYNTAX, error);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_outbox_control__round_trip,
                                  test_outbox_control__layout_stays,
                                  test_outbox_control__is_bounded,
                                  test_outbox_control__nothing_else_is_read,
                                  test_outbox_control__ids_do_not_overflow,
                                  test_outbox_control__of_another_database,
                                  test_outbox_control__an_operator_passes_over,
                                  NULL};
    return check_main("outbox_control", tests);
}
