/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/sys/clock.h>

#include <stdatomic.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_now_us(void *user)
{
    (void)user;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(void *user)
{
    (void)user;
    return read_clock(CLOCK_MONOTONIC);
}

static const kur_clock system_clock = {system_now_us, system_monotonic_us, NULL};
static _Atomic(const kur_clock *) current = &system_clock;

int64_t kur_clock_now_us(void)
{
    const kur_clock *clock = atomic_load_explicit(&current, memory_order_acquire);
    return clock->now_us(clock->user);
}

int64_t kur_clock_monotonic_us(void)
{
    const kur_clock *clock = atomic_load_explicit(&current, memory_order_acquire);
    return clock->monotonic_us(clock->user);
}

void kur_clock_set(const kur_clock *clock)
{
    atomic_store_explicit(&current, clock != NULL ? clock : &system_clock, memory_order_release);
}
