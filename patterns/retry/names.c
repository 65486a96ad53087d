/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a group's retry topics and dead letters of a topic are called. The names of the tiers are the ends of the names
 * of topics, so that the one is found from the other.
 */
#include <kurier/retry.h>
#include <kurier/sys/error.h>
#include <kurier/sys/options.h>
#include <kurier/sys/topic.h>
#include <string.h>

#define MINUTE_US INT64_C(60000000)

enum {
    NAME_MAX = 249,
    SUFFIX_MAX = 32
};

static const struct ending {
    kur_tier tier;
    const char *name;   /* of the tier */
    const char *ending; /* of its topics */
} endings[] = {{KUR_TIER_MAIN, "main", ""},
               {KUR_TIER_SHORT, "short", "retry-short"},
               {KUR_TIER_MEDIUM, "medium", "retry-medium"},
               {KUR_TIER_LONG, "long", "retry-long"},
               {KUR_TIER_ORDERED, "ordered", "retry-ordered"},
               {KUR_TIER_DEAD, "dlq", "dlq"}};

static const struct ending *ending_of(kur_tier tier)
{
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (endings[i].tier == tier)
            return &endings[i];
    return NULL;
}

const char *kur_tier_name(kur_tier tier)
{
    const struct ending *ending = ending_of(tier);
    return ending != NULL ? ending->name : "?";
}

kur_tier kur_retry_tier_for(int64_t delay_us)
{
    return delay_us < MINUTE_US ? KUR_TIER_SHORT : delay_us < 60 * MINUTE_US ? KUR_TIER_MEDIUM : KUR_TIER_LONG;
}

static bool is_suffix(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return size >= 1 && size <= SUFFIX_MAX && text[size] == '\0';
}

kur_tier kur_retry_tier_of(const char *topic)
{
    /* No ending has a dot in it. */
    const char *dot = topic != NULL ? strrchr(topic, '.') : NULL;
    if (dot == NULL || dot == topic)
        return KUR_TIER_MAIN;
    for (size_t i = 1; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(dot + 1, endings[i].ending) == 0)
            return endings[i].tier;
    return strncmp(dot, ".dlq-", 5) == 0 && is_suffix(dot + 5) ? KUR_TIER_DEAD : KUR_TIER_MAIN;
}

/* ---- Names that are made ---- */

/* Why no topic has the characters of a part of its name; the part is not empty. */
static kur_status check_characters(const char *what, const char *text, const char *help, kur_error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (text[strspn(text, allowed)] == '\0')
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                         "%s \"%.100s\" cannot be part of a topic's name, which has A-Z a-z 0-9 . _ - only%s", what,
                         text, help);
}

static const char prefix_helps[] = ": set .prefix in the kur_retry_topics";

static kur_status check_parts(const kur_retry_topics *topics, const char *topic, const char *group, kur_error *error)
{
    if (!kur_topic_is_valid(topic))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "\"%.100s\" is not a topic's name, 1 to 249 characters of A-Z a-z 0-9 . _ -", topic);
    if (topics->headers == KUR_HEADERS_SPRING)
        return topics->prefix == NULL ? KUR_OK
                                      : kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                                      ".prefix: Spring Kafka's names of topics have none");
    if (topics->prefix != NULL && topics->prefix[0] == '\0')
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".prefix is empty");
    if (topics->prefix != NULL)
        return check_characters(".prefix", topics->prefix, "", error);
    if (group == NULL || group[0] == '\0')
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "retry topics and dead letters of %.100s are named for a group, and there is none", topic);
    return check_characters("the group", group, prefix_helps, error);
}

static kur_status check_suffix(kur_tier tier, const char *suffix, kur_error *error)
{
    if (suffix == NULL)
        return KUR_OK;
    if (tier != KUR_TIER_DEAD)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "a suffix \"%.40s\" is for dead letters only", suffix);
    if (!is_suffix(suffix))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "the suffix \"%.40s\" of dead letters is not 1 to 32 of a-z 0-9 -", suffix);
    return KUR_OK;
}

static kur_status print(kur_buffer *name, const kur_retry_topics *topics, const char *topic, const char *group,
                        const struct ending *ending, const char *suffix)
{
    const char *dash = suffix != NULL ? "-" : "";
    suffix = suffix != NULL ? suffix : "";
    if (ending->tier == KUR_TIER_MAIN)
        return kur_buffer_print(name, "%s", topic);
    if (topics->headers == KUR_HEADERS_SPRING)
        return kur_buffer_print(name, "%s%s%s-%s", topic, dash, suffix,
                                ending->tier == KUR_TIER_DEAD ? "dlt" : "retry");
    const char *first = topics->prefix != NULL ? topics->prefix : topic;
    const char *second = topics->prefix != NULL ? topic : group;
    return kur_buffer_print(name, "%s.%s.%s%s%s", first, second, ending->ending, dash, suffix);
}

kur_status kur_retry_topic(kur_buffer *name, const kur_retry_topics *topics, const char *topic, const char *group,
                           kur_tier tier, const char *suffix, kur_error *error)
{
    kur_retry_topics taken;
    const struct ending *ending = ending_of(tier);
    if (name == NULL || topic == NULL)
        return kur_error_null(error, name == NULL ? "name" : "topic");
    if (ending == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%d is not a kur_tier", (int)tier);
    kur_status status = kur_options_take(&taken, sizeof taken, topics, "kur_retry_topics", error);
    if (status == KUR_OK && taken.headers != KUR_HEADERS_KURIER && taken.headers != KUR_HEADERS_SPRING)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".headers is not a kur_header_style");
    if (status == KUR_OK)
        status = check_parts(&taken, topic, group, error);
    if (status == KUR_OK)
        status = check_suffix(tier, suffix, error);
    if (status != KUR_OK)
        return status;

    char storage[2 * NAME_MAX];
    kur_buffer made = kur_buffer_over(storage, sizeof storage);
    status = print(&made, &taken, topic, group, ending, suffix);
    if (status == KUR_OK && made.size > NAME_MAX)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                               "%.60s… is %zu characters long, and no topic's name is longer than 249%s", made.data,
                               made.size, taken.headers == KUR_HEADERS_SPRING ? "" : ": set a shorter .prefix");
    else if (status != KUR_OK || kur_buffer_append(name, made.data, made.size) != KUR_OK)
        status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    kur_buffer_done(&made);
    return status;
}
