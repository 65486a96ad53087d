/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: random bytes are fetched from the kernel for 32 UUIDs at a time, for a system call apiece would be
 * most of the cost. A generator's state is the process's, under one mutex that is held for some nanoseconds. A process
 * that forks takes the mutex first, and the child throws its copy of the random bytes away: they are the parent's.
 */
#include <kurier/uuid.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include <kurier/sys/clock.h>

enum {
    RANDOM_SIZE = 10,
    POOL_SIZE = 256,
    COUNTER_MAX = 0xfff
};

static struct {
    pthread_mutex_t lock; /* guards all of this */
    int64_t last_ms;
    unsigned counter; /* within the millisecond */
    size_t used;
    uint8_t pool[POOL_SIZE];
} generator = {.lock = PTHREAD_MUTEX_INITIALIZER, .used = POOL_SIZE};

static void before_fork(void)
{
    pthread_mutex_lock(&generator.lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&generator.lock);
}

static void after_fork_in_child(void)
{
    generator.used = POOL_SIZE;
    pthread_mutex_unlock(&generator.lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static bool take_random(uint8_t random[RANDOM_SIZE])
{
    if (generator.used + RANDOM_SIZE > POOL_SIZE) {
        /* Up to 256 bytes are never given in part (getrandom(2)), but waiting for the first seed can be interrupted. */
        ssize_t got;
        do
            got = getrandom(generator.pool, POOL_SIZE, 0);
        while (got < 0 && errno == EINTR);
        if (got != POOL_SIZE)
            return false;
        generator.used = 0;
    }
    memcpy(random, generator.pool + generator.used, RANDOM_SIZE);
    generator.used += RANDOM_SIZE;
    return true;
}

/*
 * The millisecond and the count within it. The count starts at random in the lower half, so that there is room above;
 * when it is used up, or the clock went back, the milliseconds run ahead of the clock.
 */
static void take_time(int64_t now_ms, const uint8_t random[RANDOM_SIZE], int64_t *ms, unsigned *counter)
{
    if (now_ms > generator.last_ms) {
        generator.last_ms = now_ms;
        generator.counter = (random[8] << 8 | random[9]) & (COUNTER_MAX >> 1);
    } else if (++generator.counter > COUNTER_MAX) {
        generator.last_ms++;
        generator.counter = 0;
    }
    *ms = generator.last_ms;
    *counter = generator.counter;
}

kur_status kur_uuid_new(kur_uuid *uuid, kur_error *error)
{
    if (uuid == NULL)
        return kur_error_null(error, "uuid");
    uint8_t random[RANDOM_SIZE];
    int64_t ms = 0;
    unsigned counter = 0;
    int64_t now_ms = kur_clock_now_us() / 1000;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);

    pthread_mutex_lock(&generator.lock);
    bool taken = take_random(random);
    if (taken)
        take_time(now_ms, random, &ms, &counter);
    pthread_mutex_unlock(&generator.lock);
    if (!taken)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no random bytes from the system: %s", strerror(errno));

    for (int i = 0; i < 6; i++)
        uuid->bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    uuid->bytes[6] = (uint8_t)(0x70 | counter >> 8);
    uuid->bytes[7] = (uint8_t)counter;
    memcpy(uuid->bytes + 8, random, 8);
    uuid->bytes[8] = (uint8_t)(0x80 | (random[0] & 0x3f));
    return KUR_OK;
}

static bool dash_before(int byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void kur_uuid_format(const kur_uuid *uuid, char text[KUR_UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    if (text != NULL)
        text[0] = '\0';
    if (uuid == NULL || text == NULL)
        return;
    for (int i = 0; i < 16; i++) {
        if (dash_before(i))
            *text++ = '-';
        *text++ = digits[uuid->bytes[i] >> 4];
        *text++ = digits[uuid->bytes[i] & 0xf];
    }
    *text = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_uuid(const char *text, kur_uuid *uuid)
{
    for (int i = 0; i < 16; i++) {
        if (dash_before(i) && *text++ != '-')
            return false;
        int high = digit_value(*text++);
        int low = digit_value(*text++);
        if (high < 0 || low < 0)
            return false;
        uuid->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

kur_status kur_uuid_parse(const char *text, size_t size, kur_uuid *uuid, kur_error *error)
{
    if (text == NULL || uuid == NULL)
        return kur_error_null(error, text == NULL ? "text" : "uuid");
    kur_uuid found;
    if (size != KUR_UUID_TEXT_SIZE - 1 || !read_uuid(text, &found))
        return kur_error_set(error, KUR_ERROR_SYNTAX, "expected a UUID of 36 characters, found \"%.*s\"",
                             size < 40 ? (int)size : 40, text);
    *uuid = found;
    return KUR_OK;
}
