/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the names of a listener's own topics are made when it is made, or, with a pattern, when a topic matches
 * first, and stay for as long as it lives, whatever becomes of the topic: what was forwarded under a name goes on under
 * it. They only get more: in front of a list, which the thread that makes the topics walks without a lock, and in a
 * table of names, which is the control thread's.
 *
 * Of the retry topics those are made that the policy needs. Another one is read where it is there: the records that
 * wait in it are from before `.keep_order` was asked for, or was not any more.
 *
 * Kafka takes `.` and `_` for the same where names of topics collide; so does this.
 */
#include "listener/topics.h"

#include <inttypes.h>
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/text.h>
#include <kurier/sys/thread.h>
#include <kurier/sys/topic.h>
#include <string.h>

enum {
    WINDOW_RECORDS = 50000,
    WINDOW_KBYTES = 32768,
    REPLICATION_MAX = 32767,
    SPRING_MAX_H = 24, /* what is due later than that counts as due at once */
    BUCKETS_MIN = 32
};

/* ---- Options ---- */

static kur_status wrong(kur_error *error, const char *what)
{
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".retry_topics%s", what);
}

/* What a record's way back depends on is not for the user to set otherwise. */
static kur_status check_configs(const kur_property *configs, kur_error *error)
{
    static const char *const ours[] = {"cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes"};
    for (size_t i = 0; configs != NULL && configs[i].name != NULL; i++) {
        if (configs[i].name[0] == '\0' || configs[i].value == NULL)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 ".retry_topics.configs[%zu] has an empty name or no value", i);
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
            if (strcmp(configs[i].name, ours[k]) == 0)
                return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                     ".retry_topics.configs[%zu]: %s is the library's to set: records that wait must "
                                     "stay%s",
                                     i, ours[k], k == 1 ? "; .retention_ms is that of dead letters" : "");
    }
    return KUR_OK;
}

static kur_status check(const kur_retry_topics *options, kur_error *error)
{
    if (options->topics != KUR_TOPICS_CREATE && options->topics != KUR_TOPICS_CHECK)
        return wrong(error, ".topics is not a kur_topics");
    if (options->headers != KUR_HEADERS_KURIER && options->headers != KUR_HEADERS_SPRING)
        return wrong(error, ".headers is not a kur_header_style");
    if (options->failure != KUR_DEAD_LETTER_KEEP && options->failure != KUR_DEAD_LETTER_STOP)
        return wrong(error, ".failure is not a kur_dead_letter_failure");
    if (options->partitions < 0)
        return wrong(error, ".partitions is negative");
    if (options->replication < 0 || options->replication > REPLICATION_MAX)
        return wrong(error, ".replication is not 1 to 32,767");
    if (options->retention_ms < KUR_NONE)
        return wrong(error, ".retention_ms is negative");
    if (options->window_records < 0)
        return wrong(error, ".window_records is negative");
    if (options->window_kbytes < 0)
        return wrong(error, ".window_kbytes is negative");
    if (options->written_only && options->headers != KUR_HEADERS_SPRING)
        return wrong(error, ".written_only is for topics that services with Spring Kafka read: KUR_HEADERS_SPRING");
    for (size_t i = 0; options->routes != NULL && options->routes[i].cause != NULL; i++)
        if (options->routes[i].cause[0] == '\0' || options->routes[i].suffix == NULL)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 ".retry_topics.routes[%zu] has an empty cause or no suffix", i);
    return check_configs(options->configs, error);
}

static const char *keep_text(struct kur__tiers *tiers, const char *text, bool *ok)
{
    if (text == NULL)
        return NULL;
    const char *kept = kur_arena_copy(tiers->arena, text, strlen(text));
    *ok = *ok && kept != NULL;
    return kept;
}

static bool keep_configs(struct kur__tiers *tiers, const kur_property *from)
{
    size_t count = 0;
    bool ok = true;
    while (from != NULL && from[count].name != NULL)
        count++;
    kur_property *configs = kur_arena_alloc(tiers->arena, (count + 1) * sizeof *configs);
    if (configs == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        configs[i] = (kur_property){keep_text(tiers, from[i].name, &ok), keep_text(tiers, from[i].value, &ok)};
    configs[count] = (kur_property){0};
    tiers->options.configs = configs;
    return ok;
}

static bool keep_routes(struct kur__tiers *tiers, const kur_dead_letter_route *from)
{
    size_t count = 0;
    bool ok = true;
    while (from != NULL && from[count].cause != NULL)
        count++;
    kur_dead_letter_route *routes = kur_arena_alloc(tiers->arena, (count + 1) * sizeof *routes);
    if (routes == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        routes[i] =
            (kur_dead_letter_route){keep_text(tiers, from[i].cause, &ok), keep_text(tiers, from[i].suffix, &ok)};
    routes[count] = (kur_dead_letter_route){0};
    tiers->options.routes = routes;
    tiers->route_count = count;
    return ok;
}

static kur_status take_options(struct kur__tiers *tiers, const kur_retry_topics *given, kur_error *error)
{
    kur_retry_topics *options = &tiers->options;
    kur_status status = kur_options_take(options, sizeof *options, given, "kur_retry_topics", error);
    options->size = sizeof *options;
    if (status == KUR_OK)
        status = check(options, error);
    if (status != KUR_OK)
        return status;
    options->window_records = options->window_records != 0 ? options->window_records : WINDOW_RECORDS;
    options->window_kbytes = options->window_kbytes != 0 ? options->window_kbytes : WINDOW_KBYTES;
    bool ok = true;
    options->prefix = keep_text(tiers, options->prefix, &ok);
    if (!ok || !keep_configs(tiers, options->configs) || !keep_routes(tiers, options->routes))
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    return KUR_OK;
}

/* ---- The table of names ---- */

static char same_to_kafka(char c)
{
    return c == '_' ? '.' : c;
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)same_to_kafka(*name)) * 16777619u;
    return hash;
}

static bool collides(const char *a, const char *b)
{
    for (; *a != '\0' && same_to_kafka(*a) == same_to_kafka(*b); a++)
        b++;
    return *a == '\0' && *b == '\0';
}

/* The one with this name, or, unless `is_exact`, one that Kafka takes for the same. */
static const struct kur__tier_name *find(const struct kur__tiers *tiers, const char *name, bool is_exact)
{
    if (tiers == NULL || tiers->bucket_count == 0)
        return NULL;
    const struct kur__tier_name *at = tiers->buckets[hash_of(name) & (tiers->bucket_count - 1)];
    while (at != NULL && !(is_exact ? strcmp(at->name, name) == 0 : collides(at->name, name)))
        at = at->next;
    return at;
}

static void link_up(struct kur__tiers *tiers, struct kur__tier_name *entry)
{
    struct kur__tier_name **bucket = &tiers->buckets[hash_of(entry->name) & (tiers->bucket_count - 1)];
    entry->next = *bucket;
    *bucket = entry;
}

/* Room for so many more. */
static bool grow(struct kur__tiers *tiers, size_t more)
{
    size_t count = tiers->bucket_count > 0 ? tiers->bucket_count : BUCKETS_MIN;
    while (count < tiers->name_count + more)
        count *= 2;
    if (count == tiers->bucket_count)
        return true;
    struct kur__tier_name **old = tiers->buckets;
    size_t old_count = tiers->bucket_count;
    struct kur__tier_name **buckets = kur_calloc(count, sizeof *buckets);
    if (buckets == NULL)
        return false;
    tiers->buckets = buckets;
    tiers->bucket_count = count;
    for (size_t i = 0; i < old_count; i++)
        for (struct kur__tier_name *at = old[i], *next; at != NULL; at = next) {
            next = at->next;
            link_up(tiers, at);
        }
    kur_free(old);
    return true;
}

/* ---- Names ---- */

static const char *make_name(struct kur__tiers *tiers, const char *topic, kur_tier tier, const char *suffix,
                             kur_error *error)
{
    tiers->name.size = 0;
    if (kur_retry_topic(&tiers->name, &tiers->options, topic, tiers->listener->group, tier, suffix, error) != KUR_OK)
        return NULL;
    const char *kept = kur_arena_copy(tiers->arena, tiers->name.data, tiers->name.size);
    if (kept == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: the name of a topic");
    return kept;
}

static bool make_names(struct kur__tiers *tiers, struct kur__family *family, const char *topic, const char **routes,
                       kur_error *error)
{
    for (int tier = 0; tier < KUR__TIERS; tier++)
        if (tier != KUR_TIER_DEAD || tiers->has_dead_letters) {
            family->names[tier] = make_name(tiers, topic, (kur_tier)tier, NULL, error);
            if (family->names[tier] == NULL)
                return false;
        }
    for (size_t i = 0; i < tiers->route_count && tiers->has_dead_letters; i++) {
        routes[i] = make_name(tiers, topic, KUR_TIER_DEAD, tiers->options.routes[i].suffix, error);
        if (routes[i] == NULL)
            return false;
    }
    family->routes = routes;
    return true;
}

/* Appends to a list of names, each once. */
static void append(const char **list, const char *name)
{
    while (*list != NULL && strcmp(*list, name) != 0)
        list++;
    *list = name;
}

/* A name is one family's alone; of the same tier's twice it is one. */
static bool enter(struct kur__tiers *tiers, struct kur__family *family, const char *name, kur_tier tier,
                  kur_error *error)
{
    const struct kur__tier_name *other = find(tiers, name, false);
    if (other != NULL && other->family != family) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                      "%s, which belongs to topic %s, and %s, which belongs to topic %s, are the same to Kafka; "
                      ".retry_topics.prefix gives other names",
                      name, family->names[KUR_TIER_MAIN], other->name, other->family->names[KUR_TIER_MAIN]);
        return false;
    }
    struct kur__tier_name *entry = other == NULL ? kur_arena_alloc(tiers->arena, sizeof *entry) : NULL;
    if (other == NULL && entry == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: the names of topics");
        return false;
    }
    if (entry != NULL) {
        *entry = (struct kur__tier_name){.name = name, .family = family, .tier = tier};
        link_up(tiers, entry);
        tiers->name_count++;
    }
    return true;
}

/* Takes out again what was entered of a family that cannot be. */
static void leave(struct kur__tiers *tiers, const struct kur__family *family)
{
    for (size_t i = 0; i < tiers->bucket_count; i++)
        for (struct kur__tier_name **at = &tiers->buckets[i]; *at != NULL;)
            if ((*at)->family == family) {
                *at = (*at)->next;
                tiers->name_count--;
            } else {
                at = &(*at)->next;
            }
}

static bool enter_all(struct kur__tiers *tiers, struct kur__family *family, kur_error *error)
{
    bool ok = true;
    for (int tier = 0; ok && tier < KUR__TIERS; tier++)
        ok = family->names[tier] == NULL || enter(tiers, family, family->names[tier], (kur_tier)tier, error);
    for (size_t i = 0; ok && i < tiers->route_count && tiers->has_dead_letters; i++)
        ok = enter(tiers, family, family->routes[i], KUR_TIER_DEAD, error);
    if (!ok)
        leave(tiers, family);
    return ok;
}

kur_status kur__tiers_add(struct kur__tiers *tiers, const char *topic, const struct kur__family **added,
                          kur_error *error)
{
    struct kur__family *family = kur_arena_alloc(tiers->arena, sizeof *family);
    const char **routes = kur_arena_alloc(tiers->arena, (tiers->route_count + 1) * sizeof *routes);
    const char **dead = kur_arena_alloc(tiers->arena, (tiers->route_count + 2) * sizeof *dead);
    const char **retries = kur_arena_alloc(tiers->arena, (KUR__TIERS + 1) * sizeof *retries);
    struct kur__there *there = kur_arena_alloc(tiers->arena, (KUR__TIERS + tiers->route_count) * sizeof *there);
    const char **companions = kur_arena_alloc(tiers->arena, (KUR__TIERS + 1) * sizeof *companions);
    if (family == NULL || routes == NULL || dead == NULL || retries == NULL || there == NULL || companions == NULL ||
        !grow(tiers, KUR__TIERS + tiers->route_count))
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: the names of topics");
    atomic_init(&family->is_ready, false);
    kur_error why = {0};
    if (!make_names(tiers, family, topic, routes, &why) || !enter_all(tiers, family, &why)) {
        if (error != NULL)
            *error = why;
        return why.code;
    }
    for (int tier = KUR_TIER_SHORT; tier < KUR_TIER_DEAD; tier++)
        if ((tier == KUR_TIER_ORDERED) == tiers->keeps_order)
            append(retries, family->names[tier]);
    if (tiers->has_dead_letters)
        append(dead, family->names[KUR_TIER_DEAD]);
    for (size_t i = 0; i < tiers->route_count && tiers->has_dead_letters; i++)
        append(dead, routes[i]);
    family->retries = retries;
    family->read = tiers->options.written_only ? retries + KUR__TIERS : retries; /* zeroed: the list's end */
    family->companions = companions;
    family->dead = dead;
    family->there = there;
    family->next = atomic_load(&tiers->first);
    atomic_store(&tiers->first, family);
    *added = family;
    return KUR_OK;
}

/* ---- Looking up ---- */

const struct kur__family *kur__tiers_find(struct kur__tiers *tiers, const char *topic)
{
    if (tiers != NULL && tiers->seen != NULL && strcmp(tiers->seen->names[KUR_TIER_MAIN], topic) == 0)
        return tiers->seen;
    const struct kur__tier_name *found = find(tiers, topic, true);
    if (found == NULL || found->tier != KUR_TIER_MAIN)
        return NULL;
    return tiers->seen = found->family;
}

/* Which of a family's topics: its tiers, then its routes. */
static size_t index_of(const struct kur__tiers *tiers, kur_tier tier, const char *cause)
{
    for (size_t i = 0; tier == KUR_TIER_DEAD && cause != NULL && i < tiers->route_count; i++)
        if (kur_text_fits(cause, tiers->options.routes[i].cause))
            return KUR__TIERS + i;
    return tier;
}

const char *kur__topics_name(const kur_listener *listener, const char *main_topic, kur_tier tier, const char *cause)
{
    const struct kur__family *family = kur__tiers_find(listener->tiers, main_topic);
    if (family == NULL || family->names[tier] == NULL)
        return NULL;
    size_t index = index_of(listener->tiers, tier, cause);
    return index < KUR__TIERS ? family->names[index] : family->routes[index - KUR__TIERS];
}

struct kur__there *kur__topics_there(const kur_listener *listener, const char *main_topic, kur_tier tier,
                                     const char *cause)
{
    const struct kur__family *family = kur__tiers_find(listener->tiers, main_topic);
    struct kur__there *there = family != NULL ? &family->there[index_of(listener->tiers, tier, cause)] : NULL;
    return there != NULL && atomic_load(&there->is_there) ? there : NULL;
}

bool kur__topics_of(const kur_listener *listener, const char *topic, const char **main_topic, kur_tier *tier)
{
    const struct kur__tier_name *found = find(listener->tiers, topic, true);
    if (found == NULL)
        return false;
    *main_topic = found->family->names[KUR_TIER_MAIN];
    *tier = found->tier;
    return true;
}

/* ---- Life ---- */

/* The longest delay that the policy comes to. */
static int64_t longest_us(const kur__machine_options *policy)
{
    double delay = (double)policy->delay_us, most = (double)policy->delay_max_us;
    int attempts = policy->attempts != 0 ? policy->attempts : KUR_RETRY_ATTEMPTS_MAX;
    for (int i = 2; i < attempts && delay < most; i++)
        delay *= policy->multiplier;
    return (int64_t)(delay < most ? delay : most);
}

static void warn_of_spring(const kur_listener *listener, const kur_retry_topics *options)
{
    const kur__machine_options *policy = &listener->decisions;
    int64_t hour_us = INT64_C(3600) * 1000000, delay_us = longest_us(policy);
    if (options->headers == KUR_HEADERS_SPRING && policy->mode != KUR_RETRY_IN_PLACE &&
        delay_us > SPRING_MAX_H * hour_us)
        kur_client_log(listener->client, KUR_LOG_WARNING,
                       "group %s: .retry has delays of up to %" PRId64 " h: a Spring service that reads these retry "
                       "topics runs at once what is due in more than %d h",
                       listener->group, (delay_us + hour_us - 1) / hour_us, SPRING_MAX_H);
}

kur_status kur__tiers_new(kur_listener *listener, const kur_listener_options *options, bool is_by_topic,
                          bool keeps_order, kur_error *error)
{
    bool has_dead_letters =
        options->audience != KUR_BROADCAST && options->on_rejected == NULL && options->dead_letters == KUR_DEAD_LETTERS;
    if (options->audience == KUR_BROADCAST && (is_by_topic || options->retry_topics != NULL))
        return wrong(error, ": KUR_BROADCAST has no group, so that it has no topics of its own");
    if (!has_dead_letters && !is_by_topic)
        return KUR_OK;
    struct kur__tiers *tiers = kur_calloc(1, sizeof *tiers);
    if (tiers == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    listener->tiers = tiers;
    tiers->listener = listener;
    tiers->has_dead_letters = has_dead_letters;
    tiers->keeps_order = keeps_order;
    atomic_init(&tiers->ends, false);
    atomic_init(&tiers->has_others, false);
    atomic_init(&tiers->has_news, false);
    pthread_mutex_init(&tiers->lock, NULL);
    kur_condition_init(&tiers->changed);
    tiers->arena = kur_arena_new();
    if (tiers->arena == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    kur_status status = take_options(tiers, options->retry_topics, error);
    for (size_t i = 0; status == KUR_OK && listener->topics != NULL && listener->topics[i] != NULL; i++) {
        const struct kur__family *added;
        status = kur__tiers_add(tiers, listener->topics[i], &added, error);
    }
    if (status == KUR_OK)
        warn_of_spring(listener, &tiers->options);
    return status;
}

void kur__tiers_free(kur_listener *listener)
{
    struct kur__tiers *tiers = listener->tiers;
    if (tiers == NULL)
        return;
    pthread_cond_destroy(&tiers->changed);
    pthread_mutex_destroy(&tiers->lock);
    kur_free(tiers->buckets);
    kur_buffer_done(&tiers->name);
    kur_arena_free(tiers->arena);
    kur_free(tiers);
    listener->tiers = NULL;
}
