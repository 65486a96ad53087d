/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the suites of dead letters share: records put together by hand, read as letters.
 */
#ifndef KURIER_TESTS_LETTERS_H
#define KURIER_TESTS_LETTERS_H

#include <kurier/kurier.h>
#include <kurier/sys/record.h>

#include "check_main.h"

/* The size of an array that stands as it is. */
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A record of these parts; the topic is "t.g.dlq" unless it is said. Freed by kur_record_free. */
static inline kur_record *letter_record(const kur_record_parts *given)
{
    kur_error error = {0};
    kur_record_parts parts = *given;
    if (parts.topic == NULL)
        parts.topic = "t.g.dlq";
    kur_record *record = kur_record_build(&parts, &error);
    ck_assert_msg(record != NULL, "%s", error.message);
    return record;
}

static inline kur_letter letter_of(const kur_record *record, kur_arena *arena)
{
    kur_error error = {0};
    kur_letter letter = {.size = sizeof letter};
    ck_ok(kur_letter_read(record, arena, &letter, &error), error);
    return letter;
}

#endif
