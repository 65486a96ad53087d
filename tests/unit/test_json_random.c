/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Random records through JSON and back. What the writer made is judged by jansson and by the texts that this file makes
 * by itself, with the C library's calendar and printf; what the reader made, by comparing with what went in. The same
 * seed gives the same records: KURIER_SEED repeats a run.
 */
#include "check_main.h"
#include "shop.h"

#include <float.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ROUNDS = 5000,
    MOST_ITEMS = 4
};

/* ---- Random values ---- */

static uint64_t state;
static kur_arena *arena;

/* xorshift64*: small, and the same everywhere. */
static uint64_t next_random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static size_t below(size_t limit)
{
    return (size_t)(next_random() >> 11) % limit;
}

static bool coin(void)
{
    return below(2) == 1;
}

static const char *random_text(size_t most)
{
    static const char *const parts[] = {"a",
                                        "Z",
                                        "0",
                                        " ",
                                        "\"",
                                        "\\",
                                        "/",
                                        "\b",
                                        "\f",
                                        "\n",
                                        "\r",
                                        "\t",
                                        "\x01",
                                        "\x1f",
                                        "\x7f",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xef\xbf\xbd",
                                        "\xf0\x9f\x98\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "</script>",
                                        "{",
                                        "]",
                                        ",",
                                        ":",
                                        "null",
                                        "\\u0000"};
    char text[256] = "";
    for (size_t i = below(most + 1); i > 0; i--)
        strcat(text, parts[below(sizeof parts / sizeof *parts)]);
    return kur_arena_copy(arena, text, strlen(text));
}

/* Small numbers, limits, and all bits at random. */
static int64_t random_int64(void)
{
    static const int64_t limits[] = {0,         -1,        INT64_MAX,        INT64_MIN,
                                     INT32_MAX, INT32_MIN, INT64_C(1) << 53, (INT64_C(1) << 53) + 1};
    switch (below(3)) {
    case 0:
        return (int64_t)below(200) - 100;
    case 1:
        return limits[below(sizeof limits / sizeof *limits)];
    default:
        return (int64_t)next_random();
    }
}

static int64_t within(int64_t low, int64_t high)
{
    return low + (int64_t)(next_random() % ((uint64_t)high - (uint64_t)low + 1));
}

static double random_double(void)
{
    double number;
    if (coin())
        return (double)within(-100000, 100000) / 1000;
    do {
        uint64_t bits = next_random();
        memcpy(&number, &bits, sizeof number);
    } while (!isfinite(number));
    return number;
}

static float random_float(void)
{
    float number;
    if (coin())
        return (float)within(-100000, 100000) / 1000;
    do {
        uint32_t bits = (uint32_t)next_random();
        memcpy(&number, &bits, sizeof number);
    } while (!isfinite(number));
    return number;
}

static int32_t random_day(void)
{
    return (int32_t)within(-719162, 2932896);
}

static kur_bytes random_bytes(void)
{
    uint8_t bytes[40];
    size_t size = below(sizeof bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)next_random();
    return kur_bytes_of(kur_arena_copy(arena, bytes, size), size);
}

/* A key that no other of its map is: they differ in the digit they begin with. */
static const char *random_key(size_t index)
{
    char key[300];
    snprintf(key, sizeof key, "%zu%s", index, random_text(4));
    return kur_arena_copy(arena, key, strlen(key));
}

/* Sets .items and .count of a list or a map. */
#define ITEMS(list)                                                                                                    \
    do {                                                                                                               \
        (list).count = below(MOST_ITEMS + 1);                                                                          \
        (list).items = kur_arena_alloc(arena, (list).count * sizeof *(list).items);                                    \
    } while (0)

static void random_containers(struct kinds *kinds)
{
    ITEMS(kinds->words);
    for (size_t i = 0; i < kinds->words.count; i++)
        kinds->words.items[i] = random_text(12);
    ITEMS(kinds->grid);
    for (size_t i = 0; i < kinds->grid.count; i++) {
        ITEMS(kinds->grid.items[i]);
        for (size_t j = 0; j < kinds->grid.items[i].count; j++)
            kinds->grid.items[i].items[j] = (int32_t)random_int64();
    }
    ITEMS(kinds->weights);
    for (size_t i = 0; i < kinds->weights.count; i++) {
        kinds->weights.items[i].key = random_key(i);
        kinds->weights.items[i].value = random_double();
    }
    ITEMS(kinds->flags);
    for (size_t i = 0; i < kinds->flags.count; i++) {
        kinds->flags.items[i].key = random_key(i);
        ITEMS(kinds->flags.items[i].value);
        for (size_t j = 0; j < kinds->flags.items[i].value.count; j++)
            kinds->flags.items[i].value.items[j] = coin();
    }
    ITEMS(kinds->days);
    for (size_t i = 0; i < kinds->days.count; i++) {
        kinds->days.items[i].has = coin();
        kinds->days.items[i].value = random_day();
    }
    kinds->mark.has = coin();
    for (size_t i = 0; i < sizeof kinds->mark.value.data; i++)
        kinds->mark.value.data[i] = (uint8_t)next_random();
}

static void random_kinds(struct kinds *kinds)
{
    memset(kinds, 0, sizeof *kinds);
    kinds->text = random_text(20);
    kinds->raw = random_bytes();
    kinds->yes = coin();
    kinds->small = (int32_t)random_int64();
    kinds->large = random_int64();
    kinds->narrow = random_float();
    kinds->wide = random_double();
    kinds->at = within(INT64_C(-62135596800000000), INT64_C(253402300799999999));
    kinds->at -= coin() ? kinds->at % 1000000 : 0;
    kinds->day = random_day();
    kinds->amount = coin() ? within(-99999, 99999) : within(-INT64_C(999999999999999999), INT64_C(999999999999999999));
    for (size_t i = 0; i < sizeof kinds->id.bytes; i++)
        kinds->id.bytes[i] = (uint8_t)next_random();
    kinds->shade = (enum colour)within(colour_red, colour_other);
    kinds->maybe.has = coin();
    kinds->maybe.value = random_int64();
    kinds->gift.has = coin();
    kinds->gift.value.sku = kur_arena_copy(arena, "12345678", 1 + below(8));
    kinds->gift.value.quantity = (int32_t)within(1, 999);
    kinds->gift.value.price = within(0, 999999999999);
    random_containers(kinds);
}

/* ---- The oracle ---- */

static void is_text(const json_t *json, const char *text)
{
    ck_assert(json_is_string(json));
    ck_assert_uint_eq(json_string_length(json), strlen(text));
    ck_assert_str_eq(json_string_value(json), text);
}

static void is_integer(const json_t *json, int64_t number)
{
    ck_assert(json_is_integer(json));
    ck_assert_int_eq(json_integer_value(json), number);
}

static void is_double(const json_t *json, double number)
{
    ck_assert(json_is_number(json));
    double found = json_number_value(json);
    ck_assert_msg(found == number, "%.17g is %.17g", number, found);
}

static void is_day(const json_t *json, int32_t day)
{
    char text[64];
    struct tm tm;
    time_t seconds = (time_t)day * 86400;
    gmtime_r(&seconds, &tm);
    snprintf(text, sizeof text, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    is_text(json, text);
}

static void is_time(const json_t *json, int64_t time_us)
{
    char text[128], fraction[32] = "";
    struct tm tm;
    int us = (int)((time_us % 1000000 + 1000000) % 1000000);
    time_t seconds = (time_us - us) / 1000000;
    gmtime_r(&seconds, &tm);
    if (us % 1000 != 0)
        snprintf(fraction, sizeof fraction, ".%06d", us);
    else if (us != 0)
        snprintf(fraction, sizeof fraction, ".%03d", us / 1000);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
    is_text(json, text);
}

/* By digits alone: the point goes in from behind. */
static void is_decimal(const json_t *json, int64_t unscaled, int scale)
{
    char digits[40], text[48];
    int size = snprintf(digits, sizeof digits, "%0*" PRIu64, scale + 1,
                        unscaled < 0 ? 0 - (uint64_t)unscaled : (uint64_t)unscaled);
    snprintf(text, sizeof text, "%s%.*s.%s", unscaled < 0 ? "-" : "", size - scale, digits, digits + size - scale);
    is_text(json, text);
}

static void is_base64(const json_t *json, kur_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *data = bytes.data;
    char text[80] = "";
    size_t used = 0;
    for (size_t bit = 0; bit < bytes.size * 8; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++)
            value = value << 1 | (i < bytes.size * 8 ? data[i / 8] >> (7 - i % 8) & 1u : 0u);
        text[used++] = digits[value];
    }
    while (used % 4 != 0)
        text[used++] = '=';
    is_text(json, text);
}

static void is_uuid(const json_t *json, const kur_uuid *uuid)
{
    char text[40];
    const uint8_t *b = uuid->bytes;
    snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    is_text(json, text);
}

static const json_t *member(const json_t *tree, const char *name)
{
    const json_t *found = json_object_get(tree, name);
    ck_assert_msg(found != NULL, "no %s", name);
    return found;
}

/* A list or object with so many items. */
static const json_t *container(const json_t *json, size_t count, bool is_map)
{
    ck_assert(is_map ? json_is_object(json) : json_is_array(json));
    ck_assert_uint_eq(is_map ? json_object_size(json) : json_array_size(json), count);
    return json;
}

static void judge_containers(const json_t *tree, const struct kinds *kinds)
{
    const json_t *json = container(member(tree, "words"), kinds->words.count, false);
    for (size_t i = 0; i < kinds->words.count; i++)
        is_text(json_array_get(json, i), kinds->words.items[i]);
    json = container(member(tree, "grid"), kinds->grid.count, false);
    for (size_t i = 0; i < kinds->grid.count; i++) {
        const json_t *row = container(json_array_get(json, i), kinds->grid.items[i].count, false);
        for (size_t j = 0; j < kinds->grid.items[i].count; j++)
            is_integer(json_array_get(row, j), kinds->grid.items[i].items[j]);
    }
    json = container(member(tree, "weights"), kinds->weights.count, true);
    for (size_t i = 0; i < kinds->weights.count; i++)
        is_double(member(json, kinds->weights.items[i].key), kinds->weights.items[i].value);
    json = container(member(tree, "flags"), kinds->flags.count, true);
    for (size_t i = 0; i < kinds->flags.count; i++) {
        const json_t *list =
            container(member(json, kinds->flags.items[i].key), kinds->flags.items[i].value.count, false);
        for (size_t j = 0; j < kinds->flags.items[i].value.count; j++)
            ck_assert_int_eq(json_typeof(json_array_get(list, j)),
                             kinds->flags.items[i].value.items[j] ? JSON_TRUE : JSON_FALSE);
    }
    json = container(member(tree, "days"), kinds->days.count, false);
    for (size_t i = 0; i < kinds->days.count; i++) {
        if (kinds->days.items[i].has)
            is_day(json_array_get(json, i), kinds->days.items[i].value);
        else
            ck_assert(json_is_null(json_array_get(json, i)));
    }
}

static void judge(const json_t *tree, const struct kinds *kinds)
{
    static const char *const shades[] = {"unset", "red", "dark-green", "other"};
    container(tree, 17 + (size_t)kinds->maybe.has + (size_t)kinds->gift.has + (size_t)kinds->mark.has, true);
    is_text(member(tree, "text"), kinds->text);
    is_base64(member(tree, "raw"), kinds->raw);
    if (kinds->mark.has)
        is_base64(member(tree, "mark"), kur_bytes_of(kinds->mark.value.data, sizeof kinds->mark.value.data));
    ck_assert_int_eq(json_typeof(member(tree, "yes")), kinds->yes ? JSON_TRUE : JSON_FALSE);
    is_integer(member(tree, "small"), kinds->small);
    is_integer(member(tree, "large"), kinds->large);
    ck_assert((float)json_number_value(member(tree, "narrow")) == kinds->narrow);
    is_double(member(tree, "wide"), kinds->wide);
    is_time(member(tree, "at"), kinds->at);
    is_day(member(tree, "day"), kinds->day);
    is_decimal(member(tree, "amount"), kinds->amount, 4);
    is_uuid(member(tree, "id"), &kinds->id);
    is_text(member(tree, "shade"), shades[kinds->shade]);
    if (kinds->maybe.has)
        is_integer(member(tree, "maybe"), kinds->maybe.value);
    if (kinds->gift.has) {
        const json_t *gift = container(member(tree, "gift"), 3, true);
        is_text(member(gift, "sku"), kinds->gift.value.sku);
        is_integer(member(gift, "quantity"), kinds->gift.value.quantity);
        is_decimal(member(gift, "price"), kinds->gift.value.price, 2);
    }
    judge_containers(tree, kinds);
}

/* ---- The test ---- */

static void go_round(void)
{
    struct kinds kinds, again;
    kur_buffer json = {0};
    kur_error error = {0};
    json_error_t why;
    kur_arena_reset(arena);
    random_kinds(&kinds);
    ck_ok(kinds_to_json(&kinds, &json, &error), error);
    ck_assert_ptr_null(strchr(json.data, '\n'));
    ck_assert_uint_eq(strlen(json.data), json.size);

    json_t *tree = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, &why);
    ck_assert_msg(tree != NULL, "%s: %s", why.text, json.data);
    judge(tree, &kinds);

    /* Ours, and in the form of another writer, with everything escaped that can be. */
    ck_ok(kinds_from_json(kur_bytes_of(json.data, json.size), arena, &again, &error), error);
    ck_assert_int_eq(kinds_compare(&kinds, &again), 0);
    char *other = json_dumps(tree, JSON_INDENT(3) | JSON_ENSURE_ASCII | JSON_ESCAPE_SLASH | JSON_REAL_PRECISION(17));
    ck_ok(kinds_from_json(kur_bytes_text(other), arena, &again, &error), error);
    ck_assert_int_eq(kinds_compare(&kinds, &again), 0);

    free(other);
    json_decref(tree);
    kur_buffer_done(&json);
}

START_TEST(test_json_random__goes_round)
{
    const char *given = getenv("KURIER_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : UINT64_C(20260131);
    state = seed != 0 ? seed : 1;
    printf("# %d rounds, KURIER_SEED=%" PRIu64 "\n", ROUNDS, seed);
    fflush(stdout);
    for (int i = 0; i < ROUNDS; i++)
        go_round();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_json_random__goes_round, NULL};
    arena = kur_arena_new();
    int result = check_main("json_random", tests);
    kur_arena_free(arena);
    return result;
}
