/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Our side of the suite with Spring Kafka: commands on lines, answers on lines, as spring.py describes them. Headers,
 * and texts that may be anything, are in hexadecimal.
 */
#include <kurier/retry.h>
#include <kurier/sys/record.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINE_MAX_BYTES = 1 << 20,
    WORDS_MAX = 200
};

static kur_arena *arena;
static char *words[WORDS_MAX];
static size_t word_count;

static void fail(const char *why)
{
    fprintf(stderr, "spring-peer: %s\n", why);
    exit(1);
}

static const char *word(size_t index)
{
    if (index >= word_count)
        fail("a word is missing");
    return words[index];
}

static int64_t number(size_t index)
{
    return strtoll(word(index), NULL, 10);
}

/* "-" is NULL. */
static const char *text(size_t index)
{
    return strcmp(word(index), "-") != 0 ? word(index) : NULL;
}

static kur_bytes bytes_of(const char *digits, size_t size)
{
    if (size == 1 && digits[0] == '-')
        return kur_bytes_of(NULL, 0);
    char *bytes = kur_arena_alloc(arena, size / 2 + 1);
    for (size_t i = 0; i < size / 2; i++) {
        unsigned byte;
        if (sscanf(digits + 2 * i, "%2x", &byte) != 1)
            fail("not hexadecimal");
        bytes[i] = (char)byte;
    }
    return kur_bytes_of(bytes, size / 2);
}

static void print_hexadecimal(const char *value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", (unsigned char)value[i]);
}

/* topic partition offset ms header… */
static kur_record *take_record(size_t at)
{
    kur_header headers[WORDS_MAX];
    kur_error error = {0};
    size_t count = 0;
    for (size_t i = at + 4; i < word_count; i++, count++) {
        const char *colon = strchr(words[i], ':');
        if (colon == NULL)
            fail("a header without a colon");
        headers[count].name = bytes_of(words[i], (size_t)(colon - words[i])).data;
        headers[count].value = bytes_of(colon + 1, strlen(colon + 1));
    }
    kur_record *record = kur_record_build(&(kur_record_parts){.topic = word(at),
                                                              .partition = (int32_t)number(at + 1),
                                                              .offset = number(at + 2),
                                                              .timestamp_us = number(at + 3) * 1000,
                                                              .headers = headers,
                                                              .header_count = count},
                                          &error);
    if (record == NULL)
        fail(error.message);
    return record;
}

static kur_tier tier_of(const char *name)
{
    for (int tier = KUR_TIER_MAIN; tier <= KUR_TIER_DEAD; tier++)
        if (strcmp(name, kur_tier_name((kur_tier)tier)) == 0)
            return (kur_tier)tier;
    fail("no such tier");
    return KUR_TIER_MAIN;
}

/* name TIER SUFFIX */
static void name(void)
{
    kur_buffer made = {0};
    kur_error error = {0};
    kur_retry_topics topics = KUR_RETRY_TOPICS(.headers = KUR_HEADERS_SPRING);
    if (kur_retry_topic(&made, &topics, "orders", NULL, tier_of(word(1)), text(2), &error) != KUR_OK)
        fail(error.message);
    printf("%s", made.data);
    kur_buffer_done(&made);
}

/* read NOW_US topic partition offset ms header… */
static void read_record(void)
{
    kur_error error = {0};
    kur_retry_view view = KUR_RETRY_VIEW();
    kur_record *record = take_record(2);
    if (kur_retry_read(record, KUR_HEADERS_SPRING, number(1), arena, &view, &error) != KUR_OK)
        fail(error.message);
    printf("%d %lld %s %d %lld %lld %s ", view.attempt, (long long)view.due_us, view.topic != NULL ? view.topic : "-",
           (int)view.partition, (long long)view.offset, (long long)view.timestamp_us,
           view.group != NULL ? view.group : "-");
    printf("%s ", view.cause[0] != '\0' ? view.cause : "-");
    print_hexadecimal(view.message, strlen(view.message));
    printf(" %s", view.is_clamped ? "clamped" : "-");
    kur_record_free(record);
}

/* write TIER attempt due_us topic partition offset timestamp_us group cause  topic partition offset ms header… */
static void write_record(void)
{
    kur_error error = {0};
    const kur_header *headers;
    size_t count;
    kur_retry_view view = KUR_RETRY_VIEW(.attempt = (int)number(2), .due_us = number(3), .topic = text(4),
                                         .partition = (int32_t)number(5), .offset = number(6),
                                         .timestamp_us = number(7), .group = text(8), .cause = text(9), .message = "no",
                                         .first_failed_us = 1000000, .failed_us = 2000000);
    kur_record *record = take_record(10);
    if (kur_retry_write(record, KUR_HEADERS_SPRING, tier_of(word(1)), &view, 0, arena, &headers, &count, &error) !=
        KUR_OK)
        fail(error.message);
    for (size_t i = 0; i < count; i++) {
        printf(i > 0 ? " " : "");
        print_hexadecimal(headers[i].name, strlen(headers[i].name));
        printf(":");
        if (headers[i].value.data == NULL)
            printf("-");
        print_hexadecimal(headers[i].value.data, headers[i].value.size);
    }
    kur_record_free(record);
}

int main(void)
{
    char *line = malloc(LINE_MAX_BYTES);
    arena = kur_arena_new();
    if (line == NULL || arena == NULL)
        fail("no memory");
    while (fgets(line, LINE_MAX_BYTES, stdin) != NULL) {
        kur_arena_reset(arena);
        line[strcspn(line, "\n")] = '\0';
        word_count = 0;
        for (char *next = strtok(line, " "); next != NULL && word_count < WORDS_MAX; next = strtok(NULL, " "))
            words[word_count++] = next;
        if (strcmp(word(0), "name") == 0)
            name();
        else if (strcmp(word(0), "read") == 0)
            read_record();
        else
            write_record();
        printf("\n");
        fflush(stdout);
    }
    kur_arena_free(arena);
    free(line);
    return 0;
}
