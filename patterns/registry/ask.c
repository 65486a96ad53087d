/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * One question, until there is an answer or the time is over.
 *
 * Design notes
 *
 * A round asks one URL after another, beginning with the one that answered last. What all of them would say ends it: a
 * yes, a no, a log-in that is refused. What concerns one URL alone (its certificate, a proxy without a registry behind
 * it) leads to the next, and so does what may pass; only the latter makes another round, after a wait that is random
 * below a bound that doubles. A URL that does not answer takes its share of the time that is left, not all of it.
 *
 * That a schema is not there is asked of the others, too, once: a server of the registry's that is behind the others
 * says so of one that is new, and a record is rejected for good by it. It counts unless one of them has it.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

#define WARN_EVERY_US INT64_C(10000000)

/* What an answer means for the question. */
enum verdict {
    ENDS = 1, /* it is the answer, yes or no */
    DENIES,   /* it is the answer if no other URL has another */
    NEXT,     /* another URL may know better */
    PASSES    /* likewise, and so may this one, later */
};

int kur__left_ms(const struct timespec *deadline)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left =
        (int64_t)(deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec + 999999) / 1000000;
    return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* ---- What an answer means ---- */

static enum verdict pass(kur_status *status, kur_status meant, enum verdict verdict)
{
    *status = meant;
    return verdict;
}

/* 404 is said by whoever does not know the path, too, and is then no word on a schema. */
static enum verdict judge_code(const kur__question *question, const kur__answer *answer, kur_status *status)
{
    bool is_read = strcmp(question->method, "GET") == 0;
    int code = answer->code;
    if (code >= 200 && code < 300)
        return pass(status, KUR_OK, ENDS);
    if (code == 401)
        return pass(status, KUR_ERROR_AUTHENTICATION, ENDS);
    if (code == 403)
        return pass(status, KUR_ERROR_AUTHORIZATION, ENDS);
    if (code == 404 && answer->error_code > 40400 && answer->error_code < 40500)
        return pass(status, KUR_ERROR_UNKNOWN_SCHEMA, DENIES);
    if (code == 409 && !is_read)
        return pass(status, KUR_ERROR_MISMATCH, ENDS);
    if (code == 413 && !is_read)
        return pass(status, KUR_ERROR_TOO_LARGE, ENDS);
    if (code == 422 && !is_read && answer->error_code == 42201)
        return pass(status, KUR_ERROR_SYNTAX, ENDS);
    if (code == 422 && !is_read && (answer->error_code == 42202 || answer->error_code == 42203))
        return pass(status, KUR_ERROR_INVALID_ARGUMENT, ENDS);
    if (code == 408 || code == 429 || (code >= 500 && code < 600))
        return pass(status, KUR_ERROR_UNREACHABLE, PASSES);
    return pass(status, KUR_ERROR_CONFIG, NEXT);
}

/* What was said, where, and by which words. */
static void say(const kur_registry *registry, const kur__url *url, const kur__question *question, kur_status status,
                const kur__answer *answer, const char *words, kur_error *error)
{
    char said[400], number[24] = "";
    snprintf(said, sizeof said, "%s", words);
    kur__registry_hide(registry, said);
    if (answer->error_code != 0)
        snprintf(number, sizeof number, " (%d)", answer->error_code);
    if (answer->code == 0)
        kur_error_set(error, status, "%s%s: %s", url->base, question->path, said);
    else if (answer->code >= 300 && answer->code < 400)
        kur_error_set(error, status, "%s%s: %d, it leads elsewhere, where nobody follows", url->base, question->path,
                      answer->code);
    else if (status == KUR_ERROR_CONFIG && answer->code == 404)
        kur_error_set(error, status, "%s%s: 404, there is no schema registry", url->base, question->path);
    else
        kur_error_set(error, status, "%s%s: %d%s%s%s", url->base, question->path, answer->code, number,
                      said[0] != '\0' ? ": " : "", said);
}

/* ---- One URL ---- */

/* All that is asked in one go. */
struct asking {
    kur_registry *registry;
    const kur__question *question;
    const struct timespec *deadline;
    kur__read_answer *read;
    void *user;
    kur__answer *answer;
    kur_error *error; /* the last one; not NULL */
};

static enum verdict judge_exchange(kur_status status)
{
    switch (status) {
    case KUR_ERROR_NO_MEMORY:
    case KUR_ERROR_TOO_LARGE:
        return ENDS;
    case KUR_ERROR_CONFIG:
        return NEXT;
    default:
        return PASSES;
    }
}

static enum verdict ask_one(struct asking *asking, const kur__url *url, int timeout_ms, kur_status *status)
{
    kur__answer *answer = asking->answer;
    kur_error failure = {0};
    char words[400] = "";
    *status = kur__http_exchange(asking->registry, url, asking->question, timeout_ms, answer, &failure);
    if (*status != KUR_OK) {
        say(asking->registry, url, asking->question, *status, answer, failure.message, asking->error);
        return judge_exchange(*status);
    }
    kur_bytes body = kur_bytes_of(answer->body.data, answer->body.size);
    if (answer->code >= 300)
        kur__reply_refusal(body, &answer->error_code, words, sizeof words);
    enum verdict verdict = judge_code(asking->question, answer, status);
    if (*status != KUR_OK) {
        say(asking->registry, url, asking->question, *status, answer, words, asking->error);
        return verdict;
    }
    if (asking->read != NULL && (*status = asking->read(asking->user, body, &failure)) != KUR_OK) {
        say(asking->registry, url, asking->question, *status, answer, failure.message, asking->error);
        return *status == KUR_ERROR_UNREACHABLE ? PASSES : ENDS;
    }
    return ENDS;
}

/* ---- Rounds ---- */

static size_t first_url(kur_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    size_t first = registry->first_url;
    pthread_mutex_unlock(&registry->lock);
    return first;
}

static void note_answer(kur_registry *registry, size_t url)
{
    pthread_mutex_lock(&registry->lock);
    registry->first_url = url;
    pthread_mutex_unlock(&registry->lock);
}

static void warn(kur_registry *registry, const kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us();
    pthread_mutex_lock(&registry->lock);
    bool is_quiet = now_us < registry->quiet_until_us;
    if (!is_quiet)
        registry->quiet_until_us = now_us + WARN_EVERY_US;
    pthread_mutex_unlock(&registry->lock);
    kur__registry_log(registry, is_quiet ? KUR_LOG_DEBUG : KUR_LOG_WARNING, "schema registry: %s", error->message);
}

static enum verdict ask_round(struct asking *asking, kur_status *status)
{
    kur_registry *registry = asking->registry;
    size_t count = registry->url_count, first = first_url(registry);
    enum verdict worst = NEXT;
    kur_error denied = {0};
    for (size_t i = 0; i < count; i++) {
        size_t at = (first + i) % count;
        int left_ms = kur__left_ms(asking->deadline), share_ms = left_ms / (int)(count - i);
        if (left_ms == 0)
            break;
        if (share_ms > registry->options.timeout_ms)
            share_ms = registry->options.timeout_ms;
        enum verdict verdict = ask_one(asking, &registry->urls[at], share_ms > 0 ? share_ms : 1, status);
        if (verdict == ENDS) {
            if (asking->answer->code != 0)
                note_answer(registry, at);
            return ENDS;
        }
        if (verdict == DENIES)
            denied = *asking->error;
        else
            warn(registry, asking->error);
        worst = verdict == PASSES ? PASSES : worst;
    }
    if (denied.code == KUR_OK)
        return worst;
    *asking->error = denied;
    *status = denied.code;
    return ENDS;
}

/* A random wait below a bound that doubles, or what the registry has asked for; half of the time that is left at most.
 */
static void wait_for_round(struct asking *asking, int round)
{
    int64_t bound_ms = asking->registry->first_wait_ms, wait_ms, most_ms = asking->registry->most_wait_ms;
    for (int i = 0; i < round && bound_ms < most_ms; i++)
        bound_ms *= 2;
    bound_ms = bound_ms < most_ms ? bound_ms : most_ms;
    kur_uuid random = {{0}};
    uint32_t dice = UINT32_MAX / 2;
    if (kur_uuid_new(&random, NULL) == KUR_OK)
        memcpy(&dice, random.bytes + 12, sizeof dice);
    wait_ms = dice % (bound_ms + 1);
    int64_t asked_ms = asking->answer->retry_after_ms < most_ms ? asking->answer->retry_after_ms : most_ms;
    wait_ms = wait_ms > asked_ms ? wait_ms : asked_ms;
    int left_ms = kur__left_ms(asking->deadline);
    wait_ms = wait_ms < left_ms / 2 ? wait_ms : left_ms / 2;
    struct timespec pause = {wait_ms / 1000, (long)(wait_ms % 1000) * 1000000};
    while (nanosleep(&pause, &pause) != 0)
        ;
}

kur_status kur__registry_ask(kur_registry *registry, const kur__question *question, const struct timespec *deadline,
                             kur__read_answer *read, void *user, kur__answer *answer, kur_error *error)
{
    kur_error last = {0};
    struct asking asking = {registry, question, deadline, read, user, answer, &last};
    kur_status status = KUR_ERROR_TIMEOUT;
    for (int round = 0; kur__left_ms(deadline) > 0; round++) {
        enum verdict verdict = ask_round(&asking, &status);
        if (verdict != PASSES || round == registry->options.retries)
            break;
        wait_for_round(&asking, round);
    }
    if (status == KUR_OK)
        return KUR_OK;
    if (last.message[0] == '\0')
        return kur_error_set(error, KUR_ERROR_TIMEOUT, "there was no time to ask the schema registry");
    if (error != NULL)
        *error = last;
    return status;
}
