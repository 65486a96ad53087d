/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The policy of retries, a line for each of its knobs and of the outcomes: how often a record is handled, through which
 * topics it goes, and where it ends; by topic, and in place first; said by a handler, a ticket or for a batch; in every
 * order that may be had; exactly-once where a broker can.
 */
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../listening.h"

enum {
    RECORDS = 4,
    AT_ONCE = 24, /* runs */
    HOUR_MS = 3600 * 1000,
    PLENTY = 1000
};

/* How a failure is said. */
enum says {
    RETRY = 0,
    AFTER, /* 120 ms */
    AT,    /* in 120 ms */
    LONG_AGO,
    NOTHING, /* no outcome */
    DONE,    /* after it has said that it fails: the one that keeps the record counts */
    REJECT
};

static const char *const fatal[] = {"test.fatal", "poison.*", NULL}, *const retriable[] = {"test.*", NULL};

struct line {
    const char *name;
    kur_retry_policy policy; /* but for the mode */
    enum says says;
    int failures; /* before it is done */
    const char *cause;
    int attempts; /* that are made */
    bool dies;
    int64_t least_ms; /* before the second attempt */
    int64_t age_ms;   /* of the record */
};

#define JITTERING(...)                                                                                                 \
    {                                                                                                                  \
        .size = sizeof(kur_retry_policy), __VA_ARGS__                                                                  \
    }
#define POLICY(...) JITTERING(.jitter = KUR_NONE, __VA_ARGS__)
#define SOON .delay_ms = 50, .multiplier = 1

static const struct line lines[] = {
    {"is done", POLICY(SOON), RETRY, 0, "test.fails", 1, false, 0, 0},
    {"all attempts", POLICY(SOON), RETRY, 4, "test.fails", 5, false, 50, 0},
    {"one too few", POLICY(SOON), RETRY, 5, "test.fails", 5, true, 50, 0},
    {"one attempt", POLICY(SOON, .attempts = 1), RETRY, PLENTY, "test.fails", 1, true, 0, 0},
    {"three attempts", POLICY(SOON, .attempts = 3), RETRY, PLENTY, "test.fails", 3, true, 50, 0},
    {"without end", POLICY(SOON, .attempts = KUR_NONE), RETRY, 8, "test.fails", 9, false, 50, 0},
    {"delay", POLICY(.delay_ms = 700, .attempts = 2), RETRY, 1, "test.fails", 2, false, 700, 0},
    {"multiplier", POLICY(.delay_ms = 100, .multiplier = 3), RETRY, 3, "test.fails", 4, false, 100, 0},
    {"largest delay", POLICY(.delay_ms = 100, .multiplier = 1000, .delay_max_ms = 200), RETRY, 4, "test.fails", 5,
     false, 100, 0},
    {"jitter", JITTERING(.delay_ms = 400, .multiplier = 1, .jitter = 0.5), RETRY, 2, "test.fails", 3, false, 200, 0},
    {"time-out", POLICY(.delay_ms = 1500, .multiplier = 1, .timeout_ms = 2500), RETRY, PLENTY, "test.fails", 2, true,
     1500, 0},
    {"time-out of an old record", POLICY(SOON, .timeout_ms = HOUR_MS, .timeout_since = KUR_SINCE_RECORD), RETRY, PLENTY,
     "test.fails", 1, true, 0, 2 * HOUR_MS},
    {"time-out of a newer one", POLICY(SOON, .timeout_ms = HOUR_MS, .timeout_since = KUR_SINCE_RECORD), RETRY, 2,
     "test.fails", 3, false, 50, HOUR_MS / 2},
    {"old, and the time-out since it failed", POLICY(SOON, .timeout_ms = HOUR_MS), RETRY, 2, "test.fails", 3, false, 50,
     2 * HOUR_MS},
    {"fatal", POLICY(SOON, .fatal = fatal), RETRY, PLENTY, "test.fatal", 1, true, 0, 0},
    {"fatal by its beginning", POLICY(SOON, .fatal = fatal), RETRY, PLENTY, "poison.pill", 1, true, 0, 0},
    {"not fatal", POLICY(SOON, .fatal = fatal), RETRY, 2, "test.fails", 3, false, 50, 0},
    {"retriable", POLICY(SOON, .retriable = retriable), RETRY, 2, "test.fails", 3, false, 50, 0},
    {"not retriable", POLICY(SOON, .retriable = retriable), RETRY, PLENTY, "disk.full", 1, true, 0, 0},
    {"fatal before retriable", POLICY(SOON, .fatal = fatal, .retriable = retriable), RETRY, PLENTY, "test.fatal", 1,
     true, 0, 0},
    {"in place for longer", POLICY(SOON, .in_place_attempts = 4), RETRY, 4, "test.fails", 5, false, 50, 0},
    {"in place for all", POLICY(SOON, .in_place_attempts = 7), RETRY, PLENTY, "test.fails", 5, true, 50, 0},
    {"retry after", POLICY(.delay_ms = HOUR_MS), AFTER, 3, "test.fails", 4, false, 120, 0},
    {"retry after, too often", POLICY(.delay_ms = HOUR_MS, .attempts = 3), AFTER, PLENTY, "test.fails", 3, true, 120,
     0},
    {"retry at", POLICY(.delay_ms = HOUR_MS), AT, 3, "test.fails", 4, false, 100, 0},
    {"retry at a time that is over", POLICY(.delay_ms = HOUR_MS), LONG_AGO, 3, "test.fails", 4, false, 0, 0},
    {"no outcome", POLICY(SOON), NOTHING, 2, "", 3, false, 50, 0},
    {"no outcome, too often", POLICY(SOON, .attempts = 2), NOTHING, PLENTY, "kurier.no_outcome", 2, true, 50, 0},
    {"said again, and returned done", POLICY(SOON), DONE, 2, "test.fails", 3, false, 50, 0},
    {"said again, and returned done, too often", POLICY(SOON, .attempts = 2), DONE, PLENTY, "test.fails", 2, true, 50,
     0},
    {"rejected", POLICY(SOON), REJECT, PLENTY, "test.never", 1, true, 0, 0},
};

enum {
    LINES = sizeof lines / sizeof *lines
};

enum way {
    PLAIN = 0,
    TICKET,
    BATCH,
    WAYS
};

/* A line that is tried in one way. */
struct run {
    const struct line *line;
    kur_retry_mode mode;
    enum way way;
    kur_order order;
    kur_guarantee guarantee;
    char topic[80], group[80]; /* its own: names that are given are used again after a while */
    kur_listener *listener;
    atomic_int handled[RECORDS];
    _Atomic int64_t failed_us[RECORDS];
    atomic_int wrong, early;
};

static kur_client *client;

static int64_t header_us(const kur_record *record, const char *name)
{
    kur_bytes value;
    int64_t at_us = 0;
    if (kur_record_header_last(record, name, &value) && value.data != NULL)
        kur_time_parse(value.data, value.size, &at_us, NULL);
    return at_us;
}

/* Counts an attempt; whether it fails. */
static bool begin_attempt(struct run *run, kur_delivery *delivery, int *number)
{
    const kur_record *record = kur_delivery_record(delivery);
    int64_t now_us = kur_clock_now_us(), due_us = header_us(record, "kurier-retry-due");
    *number = atoi(kur_record_value(record).data);
    ck_assert(*number >= 0 && *number < RECORDS);
    int attempt = ++run->handled[*number];
    int64_t failed_us = run->failed_us[*number], factor = run->line->policy.multiplier == 3 && attempt == 3 ? 3 : 1;
    run->wrong += kur_delivery_attempt(delivery) != attempt || strcmp(kur_record_topic(record), run->topic) != 0;
    run->early += attempt > 1 && now_us < failed_us + factor * run->line->least_ms * 1000;
    run->early += now_us < due_us;
    run->failed_us[*number] = kur_clock_now_us();
    return attempt <= run->line->failures;
}

static kur_outcome say(const struct run *run, kur_delivery *delivery)
{
    const char *cause = run->line->cause;
    switch (run->line->says) {
    case RETRY:
        return kur_retry(delivery, cause, "it fails");
    case AFTER:
        return kur_retry_after(delivery, 120, cause, "it fails");
    case AT:
        return kur_retry_at(delivery, kur_clock_now_us() + 120000, cause, "it fails");
    case LONG_AGO:
        return kur_retry_at(delivery, 1000000, cause, "it fails");
    case REJECT:
        return kur_reject(delivery, cause, "it fails");
    case DONE: {
        kur_outcome said = kur_retry(delivery, cause, "it fails");
        return said == KUR_RETRY ? KUR_DONE : KUR_NO_OUTCOME;
    }
    default:
        return KUR_NO_OUTCOME;
    }
}

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    int number;
    struct run *run = user;
    return begin_attempt(run, delivery, &number) ? say(run, delivery) : KUR_DONE;
}

static kur_outcome defer(kur_delivery *delivery, void *user)
{
    int number;
    struct run *run = user;
    kur_ticket ticket;
    kur_error error = {0};
    bool fails = begin_attempt(run, delivery, &number);
    ck_ok(kur_delivery_defer(delivery, &ticket, &error), error);
    if (!fails)
        ck_ok(kur_ticket_done(ticket, &error), error);
    else if (run->line->says == REJECT)
        ck_ok(kur_ticket_reject(ticket, run->line->cause, "it fails", &error), error);
    else
        ck_ok(kur_ticket_retry(ticket, run->line->cause, "it fails", &error), error);
    return KUR_NO_OUTCOME;
}

static kur_outcome handle_batch(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    struct run *run = user;
    for (size_t i = 0; i < count; i++) {
        int number;
        if (begin_attempt(run, deliveries[i], &number) && (outcomes[i] = say(run, deliveries[i])) == KUR_NO_OUTCOME)
            outcomes[i] = KUR_RETRY;
    }
    return KUR_DONE;
}

static int in_place_of(const struct run *run)
{
    int in_place = run->line->policy.in_place_attempts;
    if (run->mode != KUR_RETRY_IN_PLACE_THEN_BY_TOPIC)
        return run->mode == KUR_RETRY_BY_TOPIC ? 1 : PLENTY;
    return in_place != 0 ? in_place : 2;
}

static int forwards_of(const struct run *run)
{
    int forwards = run->line->attempts - in_place_of(run);
    return forwards > 0 ? forwards : 0;
}

/*
 * The embedded broker's second rebalance, when the retry topics have come, takes a second less; its first one takes 3
 * s, and who is silent for a session meanwhile is no member any more.
 */
static int session_ms(void)
{
    return support_is_real() ? 10000 : 5000;
}

static void start(struct run *run)
{
    kur_error error = {0};
    kur_retry_policy policy = run->line->policy;
    policy.mode = run->mode;
    if (run->mode != KUR_RETRY_IN_PLACE_THEN_BY_TOPIC)
        policy.in_place_attempts = 0; /* it is refused */
    snprintf(run->topic, sizeof run->topic, "%s", support_topic(2));
    snprintf(run->group, sizeof run->group, "%s", support_name("p"));
    run->listener =
        make(client,
             &KUR_LISTENER_OPTIONS(.retry = &policy, .order = run->order, .concurrency = 2, .guarantee = run->guarantee,
                                   .retry_topics = &KUR_RETRY_TOPICS(), .session_timeout_ms = session_ms()),
             run->topic, run->group, NULL, NULL);
    if (run->way == BATCH)
        ck_ok(kur_listener_on_batch(run->listener, handle_batch, run), error);
    else
        ck_ok(kur_listener_on_record(run->listener, run->way == TICKET ? defer : handle, run), error);
    ck_ok(kur_listener_start(run->listener, &error), error);
}

/* When its topics are there: that they come is a rebalance, and what is in hand then is handled again. */
static void feed(struct run *run)
{
    kur_error error = {0};
    ck_assert(wait_for(run->listener, is_assigned, 2 + 3 * (support_is_real() ? 2 : 4)));
    for (int i = 0; i < RECORDS; i++) {
        char key[8], value[8];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "%d", i);
        kur_message message =
            KUR_MESSAGE(.topic = run->topic, .partition = KUR_PARTITION(i % 2), .key = kur_bytes_text(key),
                        .value = kur_bytes_text(value), .timestamp_us = kur_clock_now_us() - run->line->age_ms * 1000);
        ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
    }
    flush(client);
}

static void check_letters(const struct run *run)
{
    kur_error error = {0};
    kur_buffer name = {0};
    kur_arena *arena = kur_arena_new();
    ck_ok(kur_retry_topic(&name, NULL, run->topic, run->group, KUR_TIER_DEAD, NULL, &error), error);
    const char *topics[] = {name.data, NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    int seen = 0;
    for (int64_t until_ms = now_ms() + WAIT_MS; seen != (1 << RECORDS) - 1 && now_ms() < until_ms;) {
        kur_record *record = NULL;
        kur_consumer_poll(consumer, 100, &record, NULL);
        if (record == NULL)
            continue;
        kur_retry_view view = KUR_RETRY_VIEW();
        ck_ok(kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
        int bit = 1 << atoi(kur_record_value(record).data);
        ck_assert_int_eq(seen & bit, 0);
        seen |= bit;
        ck_assert_int_eq(view.attempt, run->line->attempts);
        ck_assert_str_eq(view.cause, run->line->cause);
        ck_assert_str_eq(view.message, run->line->says == NOTHING ? "the handler returned no outcome" : "it fails");
        kur_consumer_free_records(consumer, &record, 1);
    }
    ck_assert_int_eq(seen, (1 << RECORDS) - 1);
    kur_consumer_free(consumer);
    kur_arena_free(arena);
    kur_buffer_done(&name);
}

static int64_t forwarded_of(const struct run *run, kur_tier first, kur_tier last)
{
    kur_error error = {0};
    const kur_retry_health *health = NULL;
    kur_arena *arena = kur_arena_new();
    int64_t sum = 0;
    ck_ok(kur_listener_retries(run->listener, arena, &health, &error), error);
    for (size_t i = 0; i < health->tier_count; i++)
        if (health->tiers[i]->tier >= first && health->tiers[i]->tier <= last)
            sum += health->tiers[i]->forwarded;
    kur_arena_free(arena);
    return sum;
}

static void finish(struct run *run)
{
    const struct line *line = run->line;
    static const char *const ways[] = {"a handler", "a ticket", "a batch"};
    char what[200];
    snprintf(what, sizeof what, "%s, mode %d, by %s, order %d, guarantee %d", line->name, (int)run->mode,
             ways[run->way], (int)run->order, (int)run->guarantee);
    int forwards = forwards_of(run);
    wait_for(run->listener, has_finished, RECORDS * (1 + forwards));
    for (int i = 0; i < RECORDS; i++)
        ck_assert_msg(run->handled[i] == line->attempts, "%s: handled %d times and not %d", what, run->handled[i],
                      line->attempts);
    ck_assert_msg(wait_for(run->listener, has_finished, RECORDS * (1 + forwards)), "%s: not finished", what);
    ck_assert_msg(run->wrong == 0 && run->early == 0, "%s: %d early, %d wrong", what, run->early, run->wrong);
    kur_listener_health health = health_of(run->listener);
    ck_assert_msg(health.finished == RECORDS * (1 + forwards), "%s: %d finished", what, (int)health.finished);
    ck_assert_msg(health.rejected == (line->dies ? RECORDS : 0), "%s: %d rejected", what, (int)health.rejected);
    for (int64_t until_ms = now_ms() + WAIT_MS; /* it is told twice a second */
         forwarded_of(run, KUR_TIER_SHORT, KUR_TIER_DEAD) < RECORDS * (forwards + line->dies) && now_ms() < until_ms;)
        nap(10);
    ck_assert_msg(forwarded_of(run, KUR_TIER_SHORT, KUR_TIER_SHORT) == RECORDS * forwards, "%s: forwarded", what);
    ck_assert_msg(forwarded_of(run, KUR_TIER_DEAD, KUR_TIER_DEAD) == (line->dies ? RECORDS : 0), "%s: dead", what);
    if (line->dies)
        check_letters(run);
    kur_listener_free(run->listener);
}

static void run_all(struct run *runs, size_t count)
{
    client = support_client();
    for (size_t from = 0; from < count; from += AT_ONCE) {
        size_t to = from + AT_ONCE < count ? from + AT_ONCE : count;
        for (size_t i = from; i < to; i++)
            start(&runs[i]);
        for (size_t i = from; i < to; i++)
            feed(&runs[i]);
        for (size_t i = from; i < to; i++)
            finish(&runs[i]);
    }
    kur_client_unref(client);
}

/* What a ticket can say, and nothing where a batch would have to wait for a delay of its own. */
static bool can_say(enum way way, const struct line *line)
{
    return way == PLAIN || (way == TICKET && (line->says == RETRY || line->says == REJECT)) ||
           (way == BATCH && line->says != NOTHING && line->says != DONE);
}

static void run_ways(kur_retry_mode mode, kur_guarantee guarantee)
{
    static struct run runs[LINES * WAYS];
    size_t count = 0;
    memset(runs, 0, sizeof runs);
    for (int way = PLAIN; way < WAYS; way++)
        for (int i = 0; i < LINES; i++) {
            if (!can_say((enum way)way, &lines[i]) || (way != PLAIN && i % 3 != way))
                continue; /* every line in one way, some in each */
            runs[count++] = (struct run){.line = &lines[i],
                                         .mode = mode,
                                         .way = (enum way)way,
                                         .guarantee = guarantee,
                                         .order = i % 2 == 0 ? KUR_ORDER_BY_KEY : KUR_UNORDERED};
        }
    run_all(runs, count);
}

START_TEST(test_retry_policy__by_topic)
{
    run_ways(KUR_RETRY_BY_TOPIC, KUR_AT_LEAST_ONCE);
}
END_TEST

START_TEST(test_retry_policy__in_place_then_by_topic)
{
    run_ways(KUR_RETRY_IN_PLACE_THEN_BY_TOPIC, KUR_AT_LEAST_ONCE);
}
END_TEST

START_TEST(test_retry_policy__exactly_once)
{
    skip_unless(support_is_real(), "the embedded broker has no transactions");
    run_ways(KUR_RETRY_BY_TOPIC, KUR_EXACTLY_ONCE);
}
END_TEST

START_TEST(test_retry_policy__in_place_in_each_order)
{
    static struct run runs[3 * LINES];
    size_t count = 0;
    memset(runs, 0, sizeof runs);
    for (int order = KUR_ORDER_BY_KEY; order <= KUR_UNORDERED; order++)
        for (int i = order; i < LINES; i += 2)
            runs[count++] = (struct run){.line = &lines[i], .mode = KUR_RETRY_IN_PLACE, .order = (kur_order)order};
    run_all(runs, count);
}
END_TEST

/* ---- How long a record waits, and where ---- */

struct wait {
    int64_t after_ms, most_ms;
    kur_tier tier;
};

static const struct wait waits[] = {{30000, 30000, KUR_TIER_SHORT},
                                    {59900, 59900, KUR_TIER_SHORT},
                                    {65000, 65000, KUR_TIER_MEDIUM},
                                    {HOUR_MS - 5000, HOUR_MS - 5000, KUR_TIER_MEDIUM},
                                    {HOUR_MS + 5000, HOUR_MS + 5000, KUR_TIER_LONG},
                                    {INT64_C(720) * HOUR_MS, INT64_C(720) * HOUR_MS, KUR_TIER_LONG},
                                    {INT64_C(9000) * HOUR_MS, INT64_C(720) * HOUR_MS, KUR_TIER_LONG},
                                    {INT64_MAX, INT64_C(720) * HOUR_MS, KUR_TIER_LONG}};

enum {
    WAITS = sizeof waits / sizeof *waits
};

static kur_outcome wait_long(kur_delivery *delivery, void *user)
{
    int64_t after_ms = waits[atoi(kur_record_value(kur_delivery_record(delivery)).data)].after_ms;
    (void)user;
    return kur_retry_after(delivery, after_ms, "test.waits", "for long");
}

START_TEST(test_retry_policy__the_delay_says_where_it_waits)
{
    kur_error error = {0};
    client = support_client();
    kur_arena *arena = kur_arena_new();
    const char *topic = support_topic(1), *group = support_name("p");
    for (int i = 0; i < WAITS; i++) {
        char value[8];
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, 0, NULL, value);
    }
    flush(client);
    int64_t before_us = kur_clock_now_us();
    kur_listener *listener = listen(client,
                                    &KUR_LISTENER_OPTIONS(.session_timeout_ms = session_ms(),
                                                          .retry = &KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC),
                                                          .retry_topics = &KUR_RETRY_TOPICS()),
                                    topic, group, wait_long, NULL);
    ck_assert(wait_for(listener, has_finished, WAITS));
    int64_t after_us = kur_clock_now_us();
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    char names[3][200];
    const char *topics[4] = {NULL};
    for (int tier = KUR_TIER_SHORT; tier <= KUR_TIER_LONG; tier++) {
        snprintf(names[tier - KUR_TIER_SHORT], sizeof names[0], "%s.%s.retry-%s", topic, group,
                 kur_tier_name((kur_tier)tier));
        topics[tier - KUR_TIER_SHORT] = names[tier - KUR_TIER_SHORT];
    }
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    int seen = 0;
    for (int64_t until_ms = now_ms() + WAIT_MS; seen != (1 << WAITS) - 1 && now_ms() < until_ms;) {
        kur_record *record = NULL;
        kur_consumer_poll(consumer, 100, &record, NULL);
        if (record == NULL)
            continue;
        int number = atoi(kur_record_value(record).data);
        int64_t due_us = header_us(record, "kurier-retry-due");
        seen |= 1 << number;
        ck_assert_msg(kur_retry_tier_of(kur_record_topic(record)) == waits[number].tier, "%d waits in %s", number,
                      kur_record_topic(record));
        ck_assert_int_ge(due_us, before_us + waits[number].most_ms * 1000);
        ck_assert_int_le(due_us, after_us + waits[number].most_ms * 1000);
        kur_consumer_free_records(consumer, &record, 1);
    }
    ck_assert_int_eq(seen, (1 << WAITS) - 1);
    kur_consumer_free(consumer);
    kur_listener_free(listener);
    kur_arena_free(arena);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_retry_policy__what_cannot_be_is_refused)
{
    client = support_client();
    static const struct {
        kur_retry_policy policy;
        kur_order order;
        const char *says;
    } all[] = {
        {POLICY(.attempts = -7), KUR_ORDER_BY_KEY, "attempts"},
        {POLICY(.delay_ms = -1), KUR_ORDER_BY_KEY, "delay_ms"},
        {POLICY(.multiplier = 0.5), KUR_ORDER_BY_KEY, "multiplier"},
        {POLICY(.delay_max_ms = INT64_C(721) * HOUR_MS), KUR_ORDER_BY_KEY, "delay_max_ms"},
        {JITTERING(.jitter = 1.5), KUR_ORDER_BY_KEY, "jitter"},
        {POLICY(.timeout_ms = -1), KUR_ORDER_BY_KEY, "timeout_ms"},
        {POLICY(.mode = (kur_retry_mode)7), KUR_ORDER_BY_KEY, "mode"},
        {POLICY(.timeout_since = (kur_retry_since)7), KUR_ORDER_BY_KEY, "timeout_since"},
        {POLICY(.mode = KUR_RETRY_IN_PLACE_THEN_BY_TOPIC, .in_place_attempts = -1), KUR_ORDER_BY_KEY, "in_place"},
        {POLICY(.mode = KUR_RETRY_BY_TOPIC), KUR_ORDER_BY_PARTITION, "KUR_ORDER_BY_PARTITION"},
        {POLICY(.mode = KUR_RETRY_IN_PLACE_THEN_BY_TOPIC), KUR_ORDER_BY_PARTITION, "KUR_ORDER_BY_PARTITION"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kur_error error = {0};
        const char *topics[] = {"orders", NULL};
        ck_assert_ptr_null(kur_listener_new(
            client,
            &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .order = all[i].order, .retry = &all[i].policy),
            &error));
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
        ck_says(error, all[i].says);
    }
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_retry_policy__by_topic,
        test_retry_policy__in_place_then_by_topic,
        test_retry_policy__in_place_in_each_order,
        test_retry_policy__exactly_once,
        test_retry_policy__the_delay_says_where_it_waits,
        test_retry_policy__what_cannot_be_is_refused,
        NULL,
    };
    int status = check_main("retry_policy", tests);
    support_stop();
    return status;
}
