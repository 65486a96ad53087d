/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct watch {
    const struct service *service;
    kur_listener *listener;
    pthread_t thread;
    pthread_mutex_t lock; /* guards `ends` */
    pthread_cond_t changed;
    bool ends;
};

/* One line: what waits in each tier, and what is dead since the start. "" when it is not known. */
static void look(const struct watch *watch, kur_arena *arena, char *line, size_t size)
{
    const kur_retry_health *health;
    line[0] = '\0';
    if (kur_listener_retries(watch->listener, arena, &health, NULL) != KUR_OK)
        return;
    size_t used = (size_t)snprintf(line, size, "retries:");
    for (size_t i = 0; i < health->tier_count && used < size; i++) {
        const kur_tier_health *tier = health->tiers[i];
        if (tier->tier == KUR_TIER_ORDERED)
            continue; /* no service of the shop keeps an order there */
        int64_t count = tier->tier == KUR_TIER_DEAD ? tier->forwarded : tier->parked;
        used += (size_t)snprintf(line + used, size - used, " %s=%" PRId64, kur_tier_name(tier->tier), count);
    }
}

/* False when it is to end. */
static bool wait_a_little(struct watch *watch)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 500 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&watch->lock);
    int waited = 0;
    while (!watch->ends && waited == 0)
        waited = pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
    bool goes_on = !watch->ends;
    pthread_mutex_unlock(&watch->lock);
    return goes_on;
}

static void *run(void *user)
{
    struct watch *watch = user;
    char line[200], before[200] = "retries: short=0 medium=0 long=0 dlq=0";
    while (wait_a_little(watch)) {
        kur_arena *arena = kur_arena_new();
        if (arena != NULL)
            look(watch, arena, line, sizeof line);
        if (arena != NULL && line[0] != '\0' && strcmp(line, before) != 0) {
            memcpy(before, line, sizeof before);
            service_say(watch->service, "", "%s", line);
        }
        kur_arena_free(arena);
    }
    return NULL;
}

struct watch *watch_begin(const struct service *service, kur_listener *listener)
{
    struct watch *watch = listener != NULL ? calloc(1, sizeof *watch) : NULL;
    if (watch == NULL)
        return NULL;
    watch->service = service;
    watch->listener = listener;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->changed, NULL);
    if (pthread_create(&watch->thread, NULL, run, watch) == 0)
        return watch;
    free(watch);
    return NULL;
}

void watch_end(struct watch *watch)
{
    if (watch == NULL)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->ends = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
