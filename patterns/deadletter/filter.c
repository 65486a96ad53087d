/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whether a letter is meant: the one place where it is judged.
 */
#include <kurier/filter.h>
#include <kurier/sys/options.h>
#include <kurier/sys/text.h>

#include "deadletter/deadletter.h"

/* A wish of NULL is any. */
static bool is_like(const char *text, const char *wish)
{
    return wish == NULL || (text != NULL && kur_text_fits(text, wish));
}

/* A letter without a time has no age, and fits no bound of it. */
static bool is_of_age(const kur_letter *letter, const kur_letter_filter *filter, int64_t now_us)
{
    if (filter->older_than_ms <= 0 && filter->younger_than_ms <= 0)
        return true;
    int64_t age_ms = (now_us - letter->failed_us) / 1000;
    return letter->failed_us >= 0 && (filter->older_than_ms <= 0 || age_ms >= filter->older_than_ms) &&
           (filter->younger_than_ms <= 0 || age_ms < filter->younger_than_ms);
}

static bool is_placed(const kur_letter *letter, const kur_letter_filter *filter)
{
    return (filter->partition == 0 || KUR_PARTITION(letter->partition) == filter->partition) &&
           letter->offset >= filter->from_offset && (filter->to_offset <= 0 || letter->offset < filter->to_offset);
}

bool kur_letter_fits(const kur_letter *letter, const kur_letter_filter *given, int64_t now_us)
{
    kur_letter_filter filter;
    if (letter == NULL || kur_options_take(&filter, sizeof filter, given, "kur_letter_filter", NULL) != KUR_OK)
        return false;
    const kur_retry_view *retry = letter->retry;
    return is_placed(letter, &filter) && is_of_age(letter, &filter, now_us) && is_like(retry->cause, filter.cause) &&
           is_like(letter->type, filter.type) && is_like(retry->group, filter.group) &&
           is_like(retry->topic, filter.origin) &&
           (filter.key.data == NULL || kur_bytes_equal(kur_record_key(letter->record), filter.key)) &&
           kur_filter_matches(filter.where, letter, now_us);
}
