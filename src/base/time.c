/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the C library's calendar functions read the environment, take locks and differ in range, so the
 * conversions are written out, in the proleptic Gregorian calendar with years that begin in March: then the leap day
 * is the last of its year and no table is needed.
 */
#include "base/time.h"

#include "base/error.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US (INT64_C(86400) * SECOND_US)

enum {
    DAYS_BEFORE_1970 = 719468
}; /* from 0000-03-01 */

static const int64_t first_day = -719162; /* 0001-01-01 */
static const int64_t last_day = 2932896;  /* 9999-12-31 */

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - DAYS_BEFORE_1970;
}

static void date_from_days(int64_t days, int *year, int *month, int *day)
{
    days += DAYS_BEFORE_1970;
    int64_t era = days / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * from_march + 2) / 5 + 1);
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static char *put_digits(char *text, uint32_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        text[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return text + digits;
}

bool kur__date_has_text(int64_t days)
{
    return days >= first_day && days <= last_day;
}

bool kur__time_has_text(int64_t time_us)
{
    return time_us >= first_day * DAY_US && time_us < (last_day + 1) * DAY_US;
}

size_t kur_date_format(int32_t days, char text[KUR_DATE_TEXT_SIZE])
{
    if (text == NULL)
        return 0;
    text[0] = '\0';
    if (!kur__date_has_text(days))
        return 0;
    int year, month, day;
    date_from_days(days, &year, &month, &day);
    char *end = put_digits(text, (uint32_t)year, 4);
    *end++ = '-';
    end = put_digits(end, (uint32_t)month, 2);
    *end++ = '-';
    end = put_digits(end, (uint32_t)day, 2);
    *end = '\0';
    return (size_t)(end - text);
}

size_t kur_time_format(int64_t time_us, char text[KUR_TIME_TEXT_SIZE])
{
    int64_t days = time_us / DAY_US - (time_us % DAY_US < 0);
    if (text == NULL)
        return 0;
    text[0] = '\0';
    if (!kur__time_has_text(time_us))
        return 0;
    int64_t rest = time_us - days * DAY_US;
    uint32_t seconds = (uint32_t)(rest / SECOND_US), fraction = (uint32_t)(rest % SECOND_US);

    char *end = text + kur_date_format((int32_t)days, text);
    *end++ = 'T';
    end = put_digits(end, seconds / 3600, 2);
    *end++ = ':';
    end = put_digits(end, seconds / 60 % 60, 2);
    *end++ = ':';
    end = put_digits(end, seconds % 60, 2);
    if (fraction != 0) {
        *end++ = '.';
        end = fraction % 1000 == 0 ? put_digits(end, fraction / 1000, 3) : put_digits(end, fraction, 6);
    }
    *end++ = 'Z';
    *end = '\0';
    return (size_t)(end - text);
}

/* What is left to read. Each step says whether it found what it wants. */
struct reader {
    const char *text;
    const char *end;
};

static bool read_digits(struct reader *reader, int digits, int *number)
{
    if (reader->end - reader->text < digits)
        return false;
    int value = 0;
    for (int i = 0; i < digits; i++) {
        char c = reader->text[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    reader->text += digits;
    *number = value;
    return true;
}

/* A letter is wanted in upper case and read in both. */
static bool read_character(struct reader *reader, char wanted)
{
    if (reader->text == reader->end)
        return false;
    char c = *reader->text;
    if (c != wanted && (wanted < 'A' || wanted > 'Z' || c != (wanted | 0x20)))
        return false;
    reader->text++;
    return true;
}

static bool read_date(struct reader *reader, int64_t *days)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!read_digits(reader, 4, &year) || !read_character(reader, '-') || !read_digits(reader, 2, &month) ||
        !read_character(reader, '-') || !read_digits(reader, 2, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1] ||
        (month == 2 && day == 29 && !leap))
        return false;
    *days = days_from_date(year, month, day);
    return true;
}

/* Digits behind the point, of which six count. */
static bool read_fraction(struct reader *reader, int64_t *fraction_us)
{
    int64_t unit = SECOND_US / 10;
    *fraction_us = 0;
    if (!read_character(reader, '.'))
        return true;
    const char *start = reader->text;
    for (; reader->text < reader->end && *reader->text >= '0' && *reader->text <= '9'; reader->text++) {
        *fraction_us += (*reader->text - '0') * unit;
        unit /= 10;
    }
    return reader->text > start;
}

static bool read_offset(struct reader *reader, int64_t *offset_us)
{
    *offset_us = 0;
    if (read_character(reader, 'Z'))
        return true;
    int sign = reader->text < reader->end && *reader->text == '-' ? -1 : 1;
    int hours, minutes;
    if (reader->text == reader->end || (*reader->text != '+' && *reader->text != '-'))
        return false;
    reader->text++;
    if (!read_digits(reader, 2, &hours) || !read_character(reader, ':') || !read_digits(reader, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    *offset_us = sign * (hours * 60 + minutes) * 60 * SECOND_US;
    return true;
}

static bool read_time(struct reader *reader, int64_t *time_us)
{
    int64_t days, fraction, offset;
    int hour, minute, second;
    if (!read_date(reader, &days) || (!read_character(reader, 'T') && !read_character(reader, ' ')))
        return false;
    if (!read_digits(reader, 2, &hour) || !read_character(reader, ':') || !read_digits(reader, 2, &minute) ||
        !read_character(reader, ':') || !read_digits(reader, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    if (!read_fraction(reader, &fraction) || !read_offset(reader, &offset))
        return false;
    int64_t seconds = (hour * 60 + minute) * 60 + second;
    int64_t time = days * DAY_US + seconds * SECOND_US + fraction - offset;
    if (!kur__time_has_text(time))
        return false;
    *time_us = time;
    return true;
}

static int shown(size_t size)
{
    return size < 40 ? (int)size : 40;
}

kur_status kur_time_parse(const char *text, size_t size, int64_t *time_us, kur_error *error)
{
    if (text == NULL || time_us == NULL)
        return kur_error_null(error, text == NULL ? "text" : "time_us");
    struct reader reader = {text, text + size};
    int64_t time;
    if (!read_time(&reader, &time) || reader.text != reader.end)
        return kur_error_set(error, KUR_ERROR_SYNTAX, "expected a time such as 2026-01-31T12:00:00Z, found \"%.*s\"",
                             shown(size), text);
    *time_us = time;
    return KUR_OK;
}

kur_status kur_date_parse(const char *text, size_t size, int32_t *days, kur_error *error)
{
    if (text == NULL || days == NULL)
        return kur_error_null(error, text == NULL ? "text" : "days");
    struct reader reader = {text, text + size};
    int64_t found;
    if (!read_date(&reader, &found) || reader.text != reader.end)
        return kur_error_set(error, KUR_ERROR_SYNTAX, "expected a date such as 2026-01-31, found \"%.*s\"", shown(size),
                             text);
    *days = (int32_t)found;
    return KUR_OK;
}
