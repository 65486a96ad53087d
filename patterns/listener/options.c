/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a listener is told, checked before anything is made of it: an error names the option.
 */
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/text.h>
#include <kurier/sys/topic.h>
#include <string.h>

#include "listener/shell.h"
#include "listener/topics.h"

enum {
    CONCURRENCY_MAX = 10000,
    BATCH_MAX = 10000,
    CAUSES_MAX = 256,
    DELAY_MS = 1000,
    DELAY_MAX_MS = 60000,
    ORDERED_MAX_MS = 3600000
};

static kur_status wrong(kur_error *error, const char *what)
{
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s", what);
}

struct number {
    const char *name;
    int64_t value, least;
};

static kur_status check_numbers(const struct number *numbers, size_t count, kur_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i].value < numbers[i].least)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is negative", numbers[i].name);
    return KUR_OK;
}

/* ---- The policy ---- */

static kur_status copy_causes(char ***to, const char *const *from, const char *name, kur_error *error)
{
    size_t count = 0;
    if (from == NULL)
        return KUR_OK;
    for (; from[count] != NULL; count++)
        if (count == CAUSES_MAX || from[count][0] == '\0' || strlen(from[count]) >= KUR__CAUSE)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s[%zu]: 1 to 63 characters, and 256 at most",
                                 name, count);
    *to = kur_calloc(count + 1, sizeof **to);
    for (size_t i = 0; i < count && *to != NULL; i++)
        if (((*to)[i] = kur_strdup(from[i])) == NULL)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    return *to != NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
}

static bool is_in(char *const *causes, const char *cause)
{
    for (size_t i = 0; causes[i] != NULL; i++)
        if (kur_text_fits(cause, causes[i]))
            return true;
    return false;
}

bool kur__listener_is_fatal(const kur_listener *listener, const char *cause)
{
    return (listener->fatal != NULL && is_in(listener->fatal, cause)) ||
           (listener->retriable != NULL && !is_in(listener->retriable, cause));
}

static kur_status check_policy(const kur_retry_policy *policy, kur_error *error)
{
    const int64_t most_ms = KUR_RETRY_DAYS_MAX * INT64_C(86400000);
    const struct number numbers[] = {{".retry.attempts", policy->attempts, KUR_NONE},
                                     {".retry.delay_ms", policy->delay_ms, 0},
                                     {".retry.delay_max_ms", policy->delay_max_ms, 0},
                                     {".retry.timeout_ms", policy->timeout_ms, 0},
                                     {".retry.in_place_attempts", policy->in_place_attempts, 0}};
    kur_status status = check_numbers(numbers, sizeof numbers / sizeof *numbers, error);
    if (status != KUR_OK)
        return status;
    if (policy->delay_ms > most_ms || policy->delay_max_ms > most_ms)
        return wrong(error, ".retry.delay_ms or .delay_max_ms is above 30 days");
    if (policy->timeout_ms > INT64_MAX / 1000000)
        return wrong(error, ".retry.timeout_ms is absurd");
    if (policy->attempts > KUR_RETRY_ATTEMPTS_MAX)
        return wrong(error, ".retry.attempts is above 10,000: KUR_NONE is no end");
    if (policy->multiplier != 0 && !(policy->multiplier >= 1 && policy->multiplier <= 1000))
        return wrong(error, ".retry.multiplier is not 1 to 1,000");
    if (!(policy->jitter == KUR_NONE || (policy->jitter >= 0 && policy->jitter <= 1)))
        return wrong(error, ".retry.jitter is not 0 to 1");
    if (policy->mode != KUR_RETRY_IN_PLACE && policy->mode != KUR_RETRY_BY_TOPIC &&
        policy->mode != KUR_RETRY_IN_PLACE_THEN_BY_TOPIC)
        return wrong(error, ".retry.mode is not a kur_retry_mode");
    if (policy->timeout_since != KUR_SINCE_FIRST_FAILURE && policy->timeout_since != KUR_SINCE_RECORD)
        return wrong(error, ".retry.timeout_since is not a kur_retry_since");
    if (policy->keep_order && policy->mode == KUR_RETRY_IN_PLACE)
        return wrong(error, ".retry.keep_order needs .mode by topic: in place the order is kept anyway");
    if (policy->keep_order && (policy->delay_ms > ORDERED_MAX_MS || policy->delay_max_ms > ORDERED_MAX_MS))
        return wrong(error, ".retry.delay_ms or .delay_max_ms is above an hour, and .keep_order: all of a key wait so "
                            "long");
    if (policy->in_place_attempts != 0 && policy->mode != KUR_RETRY_IN_PLACE_THEN_BY_TOPIC)
        return wrong(error, ".retry.in_place_attempts needs .mode = KUR_RETRY_IN_PLACE_THEN_BY_TOPIC");
    if (policy->delay_max_ms != 0 && policy->delay_max_ms < (policy->delay_ms != 0 ? policy->delay_ms : DELAY_MS))
        return wrong(error, ".retry.delay_max_ms is below .delay_ms");
    return KUR_OK;
}

static kur_status check_keep_order(const kur_listener_options *options, kur_error *error)
{
    if (options->order != KUR_ORDER_BY_KEY)
        return wrong(error, ".retry.keep_order needs .order = KUR_ORDER_BY_KEY");
    if (options->allow_due)
        return wrong(error,
                     ".allow_due and .retry.keep_order: a record that is to come later has no place behind others");
    if (options->retry_topics != NULL && options->retry_topics->headers != KUR_HEADERS_KURIER)
        return wrong(error,
                     ".retry.keep_order needs .retry_topics.headers = KUR_HEADERS_KURIER: Spring's do not tell who "
                     "has written them");
    if ((options->assignor != KUR_ASSIGNOR_DEFAULT && options->assignor != KUR_ASSIGNOR_RANGE) ||
        options->protocol != KUR_GROUP_CLASSIC)
        return wrong(error, ".retry.keep_order needs .assignor = KUR_ASSIGNOR_RANGE: a topic's partition and its retry "
                            "topic's belong to one member");
    if (options->guarantee == KUR_EXACTLY_ONCE)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, ".retry.keep_order with KUR_EXACTLY_ONCE is not there yet");
    return KUR_OK;
}

kur_status kur__listener_take_policy(kur_listener *listener, const kur_retry_policy *given, kur_error *error)
{
    kur_retry_policy policy;
    kur__machine_options *to = &listener->decisions;
    kur_status status = kur_options_take(&policy, sizeof policy, given, "kur_retry_policy", error);
    if (status == KUR_OK)
        status = check_policy(&policy, error);
    if (status == KUR_OK && policy.mode != KUR_RETRY_IN_PLACE && listener->options.order == KUR_ORDER_BY_PARTITION)
        status = wrong(error, ".retry.mode: KUR_ORDER_BY_PARTITION is kept in place alone");
    if (status == KUR_OK && policy.mode != KUR_RETRY_IN_PLACE && listener->options.audience == KUR_BROADCAST)
        status = wrong(error, ".retry.mode: KUR_BROADCAST has no group, whose retry topics these are");
    if (status == KUR_OK && policy.keep_order)
        status = check_keep_order(&listener->options, error);
    if (status == KUR_OK)
        status = copy_causes(&listener->fatal, policy.fatal, ".retry.fatal", error);
    if (status == KUR_OK)
        status = copy_causes(&listener->retriable, policy.retriable, ".retry.retriable", error);
    if (status != KUR_OK)
        return status;
    int64_t delay_ms = policy.delay_ms != 0 ? policy.delay_ms : DELAY_MS;
    int64_t most_ms = delay_ms > DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS;
    to->attempts = policy.attempts == 0 ? 5 : policy.attempts == KUR_NONE ? 0 : policy.attempts;
    to->delay_us = delay_ms * 1000;
    to->delay_max_us = (policy.delay_max_ms != 0 ? policy.delay_max_ms : most_ms) * 1000;
    to->multiplier = policy.multiplier != 0 ? policy.multiplier : 2;
    to->jitter = policy.jitter == KUR_NONE ? 0 : policy.jitter != 0 ? policy.jitter : 0.2;
    to->timeout_us = policy.timeout_ms * 1000;
    to->mode = policy.mode;
    to->in_place_attempts = policy.in_place_attempts != 0 ? policy.in_place_attempts : 2;
    to->keep_order = policy.keep_order;
    listener->timeout_since = policy.timeout_since;
    return KUR_OK;
}

/* ---- What else there is ---- */

/* What is read. */
static kur_status check_topics(const kur_listener_options *options, kur_error *error)
{
    if ((options->topics == NULL || options->topics[0] == NULL) == (options->pattern == NULL))
        return wrong(error, "either .topics or .pattern says what is read");
    if (options->exclude != NULL && options->pattern == NULL)
        return wrong(error, ".exclude needs .pattern");
    for (size_t i = 0; options->pattern == NULL && options->topics[i] != NULL; i++)
        if (!kur_topic_is_valid(options->topics[i]))
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 ".topics[%zu] is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"", i,
                                 options->topics[i]);
    for (size_t i = 1; options->pattern == NULL && options->topics[i] != NULL; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(options->topics[i], options->topics[k]) == 0)
                return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".topics[%zu]: %s is there twice", i,
                                     options->topics[i]);
    kur_status status = KUR_OK;
    if (options->pattern != NULL)
        status = kur_topic_pattern_check(options->pattern, ".pattern", error);
    if (status == KUR_OK && options->exclude != NULL)
        status = kur_topic_pattern_check(options->exclude, ".exclude", error);
    return status;
}

static kur_status check_audience(const kur_listener_options *options, kur_error *error)
{
    if (options->audience != KUR_AUDIENCE_GROUP && options->audience != KUR_BROADCAST)
        return wrong(error, ".audience is not a kur_audience");
    bool is_broadcast = options->audience == KUR_BROADCAST;
    if (!is_broadcast && (options->group == NULL || options->group[0] == '\0'))
        return wrong(error, ".group is missing");
    if (!is_broadcast && options->on_caught_up != NULL)
        return wrong(error, ".on_caught_up needs .audience = KUR_BROADCAST");
    if (is_broadcast && options->group != NULL)
        return wrong(error, ".group: KUR_BROADCAST has none");
    if (is_broadcast && options->commit_interval_ms != 0)
        return wrong(error, ".commit_interval_ms: KUR_BROADCAST commits nothing");
    if (options->guarantee != KUR_AT_LEAST_ONCE && options->guarantee != KUR_EXACTLY_ONCE)
        return wrong(error, ".guarantee is not a kur_guarantee");
    if (is_broadcast && options->guarantee == KUR_EXACTLY_ONCE)
        return wrong(error, ".guarantee: KUR_BROADCAST commits nothing, so that nothing can be exactly once");
    return KUR_OK;
}

kur_status kur__listener_options_check(kur_listener_options *options, kur_error *error)
{
    const struct number numbers[] = {{".deferred", options->deferred, 0},
                                     {".hold_records", options->hold_records, 0},
                                     {".hold_kbytes", options->hold_kbytes, 0},
                                     {".commit_interval_ms", options->commit_interval_ms, 0},
                                     {".drain_ms", options->drain_ms, KUR_NONE},
                                     {".batch_ms", options->batch_ms, 0},
                                     {".session_timeout_ms", options->session_timeout_ms, 0},
                                     {".max_poll_interval_ms", options->max_poll_interval_ms, 0}};
    kur_status status = check_audience(options, error);
    if (status == KUR_OK)
        status = check_topics(options, error);
    if (status == KUR_OK)
        status = check_numbers(numbers, sizeof numbers / sizeof *numbers, error);
    if (status != KUR_OK)
        return status;
    if (options->order != KUR_ORDER_BY_KEY && options->order != KUR_ORDER_BY_PARTITION &&
        options->order != KUR_UNORDERED)
        return wrong(error, ".order is not a kur_order");
    if (options->concurrency < 0 || options->concurrency > CONCURRENCY_MAX)
        return wrong(error, ".concurrency is not 1 to 10,000");
    if (options->start != KUR_START_EARLIEST && options->start != KUR_START_LATEST && options->start != KUR_START_TIME)
        return wrong(error, ".start is not a kur_start");
    if (options->unknown != KUR_UNKNOWN_FINISH && options->unknown != KUR_UNKNOWN_REJECT)
        return wrong(error, ".unknown is not a kur_unknown");
    if (options->gap != KUR_GAP_CONTINUE && options->gap != KUR_GAP_STOP)
        return wrong(error, ".gap is not a kur_gap_policy");
    if (options->missing != KUR_MISSING_WAIT && options->missing != KUR_MISSING_STOP)
        return wrong(error, ".missing is not a kur_missing");
    if (options->missing == KUR_MISSING_STOP && options->pattern != NULL)
        return wrong(error, ".missing: KUR_MISSING_STOP is for .topics; a .pattern waits for what will match");
    if (options->dispatch != KUR_DISPATCH_THREAD && options->dispatch != KUR_DISPATCH_CALLER)
        return wrong(error, ".dispatch is not a kur_dispatch");
    if (options->worker_stop != NULL && options->worker_start == NULL)
        return wrong(error, ".worker_stop needs .worker_start");
    if (options->dead_letters != KUR_DEAD_LETTERS && options->dead_letters != KUR_NO_DEAD_LETTER &&
        options->dead_letters != KUR_REJECTED_STOPS)
        return wrong(error, ".dead_letters is not a kur_dead_letters");
    if (options->dead_letters != KUR_DEAD_LETTERS && options->on_rejected != NULL)
        return wrong(error, ".dead_letters: .on_rejected takes their place");
    if (options->batch_records < 0 || options->batch_records > BATCH_MAX)
        return wrong(error, ".batch_records is not 1 to 10,000");
    options->concurrency += options->concurrency == 0;
    options->deferred = options->deferred != 0 ? options->deferred : 1000;
    options->hold_records = options->hold_records != 0 ? options->hold_records : 10000;
    options->hold_kbytes = options->hold_kbytes != 0 ? options->hold_kbytes : 65536;
    options->batch_records = options->batch_records != 0 ? options->batch_records : 500;
    if (options->batch_records > options->hold_records)
        options->batch_records = options->hold_records;
    int interval_ms = options->guarantee == KUR_EXACTLY_ONCE ? 100 : 500;
    options->commit_interval_ms = options->commit_interval_ms != 0 ? options->commit_interval_ms : interval_ms;
    options->drain_ms = options->drain_ms == KUR_NONE ? 0 : options->drain_ms != 0 ? options->drain_ms : 5000;
    return KUR_OK;
}
