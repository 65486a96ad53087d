/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of retry headers share: a record of given headers, and comparisons.
 */
#ifndef KURIER_TESTS_RETRYING_H
#define KURIER_TESTS_RETRYING_H

#include <kurier/retry.h>
#include <kurier/sys/record.h>
#include <string.h>

#include "../check_main.h"

#define NOW INT64_C(1795988000000000) /* 2026-11-29T21:33:20Z */
#define DAY INT64_C(86400000000)

static kur_arena *arena;

/* A record of these headers, up to one without a name; freed by the next one. */
static kur_record *record;

static inline const kur_record *make(const kur_header *headers)
{
    size_t count = 0;
    while (headers[count].name != NULL)
        count++;
    kur_record *before = record; /* what is given may stand in it */
    record = kur_record_build(&(kur_record_parts){.topic = "orders.email.retry-short",
                                                  .partition = 3,
                                                  .offset = 7,
                                                  .timestamp_us = NOW,
                                                  .key = {"k", 1},
                                                  .value = {"v", 1},
                                                  .headers = headers,
                                                  .header_count = count},
                              NULL);
    kur_record_free(before);
    ck_assert_ptr_nonnull(record);
    return record;
}
#define RECORD(...) make((const kur_header[]){__VA_ARGS__, {NULL, {0}}})
#define TEXT(name, text)                                                                                               \
    {                                                                                                                  \
        name,                                                                                                          \
        {                                                                                                              \
            text, sizeof(text) - 1                                                                                     \
        }                                                                                                              \
    }

static inline void ck_nothing(const kur_retry_view *view)
{
    ck_assert_int_eq(view->attempt, 1);
    ck_assert_int_eq(view->due_us, 0);
    ck_assert_int_eq(view->first_failed_us, 0);
    ck_assert_int_eq(view->failed_us, 0);
    ck_assert_ptr_null(view->topic);
    ck_assert_int_eq(view->partition, -1);
    ck_assert_int_eq(view->offset, -1);
    ck_assert_int_eq(view->timestamp_us, -1);
    ck_assert_ptr_null(view->group);
    ck_assert_str_eq(view->cause, "");
    ck_assert_str_eq(view->message, "");
    ck_assert_str_eq(view->code, "");
    ck_assert_uint_eq(view->attempt_count, 0);
    ck_assert_int_eq(view->redriven, 0);
    ck_assert_str_eq(view->redrive_id, "");
    ck_assert(!view->is_stub);
}

static inline void ck_same(const kur_retry_view *a, const kur_retry_view *b)
{
    ck_assert_int_eq(a->attempt, b->attempt);
    ck_assert_int_eq(a->due_us, b->due_us);
    ck_assert_int_eq(a->first_failed_us, b->first_failed_us);
    ck_assert_int_eq(a->failed_us, b->failed_us);
    ck_assert_pstr_eq(a->topic, b->topic);
    ck_assert_int_eq(a->partition, b->partition);
    ck_assert_int_eq(a->offset, b->offset);
    ck_assert_int_eq(a->timestamp_us, b->timestamp_us);
    ck_assert_pstr_eq(a->group, b->group);
    ck_assert_str_eq(a->cause, b->cause);
    ck_assert_str_eq(a->message, b->message);
    ck_assert_str_eq(a->code, b->code);
    ck_assert_uint_eq(a->attempt_count, b->attempt_count);
    for (size_t i = 0; i < a->attempt_count; i++) {
        ck_assert_int_eq(a->attempts[i]->attempt, b->attempts[i]->attempt);
        ck_assert_int_eq(a->attempts[i]->at_us, b->attempts[i]->at_us);
        ck_assert_str_eq(a->attempts[i]->cause, b->attempts[i]->cause);
    }
    ck_assert_int_eq(a->redriven, b->redriven);
    ck_assert_str_eq(a->redrive_id, b->redrive_id);
    ck_assert_int_eq(a->is_stub, b->is_stub);
    ck_assert_int_eq(a->is_clamped, b->is_clamped);
}

static inline void ck_headers(const kur_header *headers, size_t count, const kur_header *expected)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_pstr_eq(headers[i].name, expected[i].name);
        ck_assert_msg(kur_bytes_equal(headers[i].value, expected[i].value), "%s", headers[i].name);
    }
    ck_assert_ptr_null(expected[count].name);
}

static inline size_t bytes_of(const kur_header *headers, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(headers[i].name) + headers[i].value.size + 10;
    return size;
}

static inline bool has(const kur_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(headers[i].name, name) == 0)
            return true;
    return false;
}

#endif
