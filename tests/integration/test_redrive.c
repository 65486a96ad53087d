/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters, sent again: what is planned and what is left out, what a run sends, and when it does not.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>
#include <stdlib.h>

#include "../consuming.h"
#include "../redriving.h"

#define client consuming_client()

/* Most of these have services; kurier redrive is tested on the embedded broker, too, with one. */
#define SLOW "the embedded broker's groups take most of a session for each topic that is made"

static kur_arena *arena;

static struct service *new_service(int partitions)
{
    struct service *service = calloc(1, sizeof *service);
    name_service(service, support_topic(partitions), support_name("g"));
    return service;
}

static const kur_redrive_view *try_plan(const struct service *service, kur_redrive_plan_options *options,
                                        kur_status wanted, kur_error *error)
{
    const char *topics[] = {service->letters, NULL};
    const kur_redrive_view *plan = NULL;
    *error = (kur_error){0};
    if (options->topics == NULL)
        options->topics = topics;
    if (options->who == NULL)
        options->who = "ann";
    ck_status(kur_redrive_plan(client, options, arena, &plan, error), wanted, *error);
    options->topics = NULL;
    return plan;
}

static const kur_redrive_view *plan_of(const struct service *service, kur_redrive_plan_options *options)
{
    kur_error error;
    kur_redrive_plan_options none = KUR_REDRIVE_PLAN_OPTIONS(.who = "ann");
    return try_plan(service, options != NULL ? options : &none, KUR_OK, &error);
}

static kur_redrive_progress run_plan(const char *id, kur_redrive_run_options *options, kur_status wanted)
{
    kur_error error = {0};
    kur_redrive_run_options none = KUR_REDRIVE_RUN_OPTIONS(.who = "ann");
    kur_redrive_progress progress = KUR_REDRIVE_PROGRESS();
    if (options == NULL)
        options = &none;
    if (options->who == NULL)
        options->who = "ann";
    ck_status(kur_redrive_run(client, id, options, &progress, &error), wanted, error);
    return progress;
}

static const kur_redrive_view *look_at(const char *id)
{
    kur_error error = {0};
    kur_redrive_list list;
    ck_ok(kur_redrive_look(client, id, WAIT_MS, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 1);
    return list.items[0];
}

/* A group that reads its retry topic, and has never rejected anything. */
static struct service *quiet_service(int partitions)
{
    struct service *service = new_service(partitions);
    start_service(client, service, &KUR_LISTENER_OPTIONS(.concurrency = 1));
    send_numbers(client, service->topic, partitions, 90000, partitions);
    ck_assert(wait_until(&service->handled, partitions));
    ck_assert(wait_for(service->listener, is_assigned, 4 * partitions)); /* and its three retry topics */
    return service;
}

/* A service that has rejected these numbers, and is repaired. */
static struct service *repaired_service(int partitions, int count, kur_listener_options *options)
{
    struct service *service = new_service(partitions);
    kur_listener_options none = KUR_LISTENER_OPTIONS(.concurrency = 2);
    service->is_broken = true;
    start_service(client, service, options != NULL ? options : &none);
    ck_assert(wait_for(service->listener, is_assigned, 4 * partitions)); /* whose coming is a rebalance */
    send_numbers(client, service->topic, partitions, 0, count);
    for (int64_t until_ms = now_ms() + WAIT_MS; count_records(client, service->letters) < count; nap(20))
        ck_assert_msg(now_ms() < until_ms, "not all are dead");
    service->is_broken = false;
    return service;
}

static void drop_service(struct service *service)
{
    if (service->listener != NULL)
        stop_service(service);
    free(service);
}

/* ---- From the dead letters to the handler, and what is told of it ---- */

START_TEST(test_redrive__goes_through)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = repaired_service(2, 60, NULL);
    int64_t letters = count_records(client, service->letters);
    const kur_redrive_view *plan = plan_of(service, NULL);
    ck_assert_int_eq(plan->count, letters);
    ck_assert_int_eq(plan->state, KUR_REDRIVE_PLANNED);
    ck_assert_uint_eq(plan->route_count, 1);
    ck_assert_str_eq(plan->routes[0]->target, service->retries);
    ck_assert_str_eq(plan->routes[0]->group, service->group);
    ck_assert_int_eq(service->handled, 0);

    /* A dry run sends nothing. */
    kur_redrive_progress progress =
        run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.dry_run = true, .digest = plan->digest), KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_PLANNED);
    ck_assert_int_eq(count_records(client, service->retries), 0);
    run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.digest = "00"), KUR_ERROR_MISMATCH);

    progress = run_plan(plan->id, NULL, KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_DONE);
    ck_assert_int_eq(progress.acknowledged, letters);
    ck_assert_int_eq(progress.sent, letters);
    kur_redrive_outcomes outcomes = outcomes_of(client, plan->id);
    ck_assert_int_eq(outcomes.succeeded, letters);
    ck_assert_int_eq(outcomes.failed, 0);
    ck_assert_int_eq(service->handled, letters);
    ck_assert_int_eq(service->redriven, letters);
    for (int i = 0; i < 60; i++)
        ck_assert_int_eq(service->times[i], 1);
    ck_assert_int_eq(look_at(plan->id)->state, KUR_REDRIVE_DONE);
    run_plan(plan->id, NULL, KUR_ERROR_INVALID_STATE);

    /* What was sent is left out of the next plan, unless that is asked for. */
    kur_error error;
    try_plan(service, &KUR_REDRIVE_PLAN_OPTIONS(.tier = KUR_TIER_MAIN), KUR_ERROR_INVALID_STATE, &error);
    ck_says(error, "60 were sent by an earlier run");
    plan = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.force = KUR_REDRIVE_FORCE_SENT));
    ck_assert_int_eq(plan->count, letters);
    drop_service(service);
}
END_TEST

START_TEST(test_redrive__fails_again)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = repaired_service(2, 50, NULL);
    service->broken_from = 30;
    const kur_redrive_view *plan = plan_of(service, NULL);
    run_plan(plan->id, NULL, KUR_OK);
    kur_redrive_outcomes outcomes = outcomes_of(client, plan->id);
    ck_assert_int_eq(outcomes.failed, 20);
    ck_assert_int_eq(outcomes.succeeded, 30);

    /* The new letters are the next plan's, until they were sent too often. */
    for (int round = 2; round <= 3; round++) {
        plan = plan_of(service, NULL);
        ck_assert_int_eq(plan->count, 20);
        run_plan(plan->id, NULL, KUR_OK);
        ck_assert_int_eq(outcomes_of(client, plan->id).failed, 20);
    }
    kur_error error;
    try_plan(service, &KUR_REDRIVE_PLAN_OPTIONS(.tier = KUR_TIER_MAIN), KUR_ERROR_INVALID_STATE, &error);
    ck_says(error, "20 were sent again too often");
    service->broken_from = 0;
    plan = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.force = KUR_REDRIVE_FORCE_LOOPS));
    ck_assert_int_eq(plan->count, 20);
    run_plan(plan->id, NULL, KUR_OK);
    ck_assert_int_eq(outcomes_of(client, plan->id).succeeded, 20);
    drop_service(service);
}
END_TEST

/* ---- Canaries ---- */

START_TEST(test_redrive__canary)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = repaired_service(2, 40, NULL);
    service->is_broken = true;
    const kur_redrive_view *plan = plan_of(service, NULL);
    kur_redrive_progress progress = run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.canary = 7), KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_ABORTED);
    ck_assert_int_eq(progress.acknowledged, 7);
    ck_assert_int_eq(progress.sent, 7);
    ck_assert_int_eq(progress.failed, 7);
    ck_assert_int_eq(count_records(client, service->retries), 7);
    run_plan(plan->id, NULL, KUR_ERROR_INVALID_STATE);

    /* The rest, and those that have failed again, go when it is repaired; and the canary first. */
    service->is_broken = false;
    plan = plan_of(service, NULL);
    ck_assert_int_eq(plan->count, 40);
    progress = run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.canary = 7), KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_DONE);
    ck_assert_int_eq(outcomes_of(client, plan->id).succeeded, 40);

    /* One without an outcome stops the run, which can go on. */
    stop_service(service);
    plan = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.force = KUR_REDRIVE_FORCE_SENT));
    progress = run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.canary = 3, .canary_wait_ms = 1), KUR_ERROR_TIMEOUT);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_STOPPED);
    ck_assert_int_eq(progress.acknowledged, 3);
    progress = run_plan(plan->id, NULL, KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_DONE);
    ck_assert_int_eq(progress.sent, plan->count - 3);
    drop_service(service);
}
END_TEST

/* ---- What is left out, and what is refused ---- */

START_TEST(test_redrive__left_out)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = quiet_service(1);
    kur_error error = {0};
    kur_letter_writer *writer = kur_letter_writer_new(client, NULL, &error);
    const char *topics[] = {service->letters, NULL};
    for (int i = 0; i < 3; i++)
        send_letter(client, service, 0, i, NULL);
    send_letter(client, service, 0, 3, &KUR_RETRY_VIEW(.cause = "a", .is_stub = true));
    send_letter(client, service, 0, 4, &KUR_RETRY_VIEW(.cause = "a", .redriven = 3, .redrive_id = "r"));
    send_letter(client, service, 0, 5, &KUR_RETRY_VIEW(.cause = "a", .topic = "kurier.redrive"));
    send_letter(client, service, 0, 6, &KUR_RETRY_VIEW(.cause = "other"));
    flush(client);
    kur_letter_reader *reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = topics), &error);
    const kur_letter *letter;
    ck_ok(kur_letter_reader_next(reader, &letter, &error), error);
    ck_ok(kur_letter_writer_discard(writer, letter, "a test", "ann", &error), error);
    ck_ok(kur_letter_writer_finish(writer, WAIT_MS, NULL, &error), error);
    kur_letter_reader_free(reader);

    const kur_redrive_view *plan = plan_of(service, NULL);
    ck_assert_int_eq(plan->count, 3);
    ck_assert_int_eq(plan->left_out->discarded, 1);
    ck_assert_int_eq(plan->left_out->stubs, 1);
    ck_assert_int_eq(plan->left_out->looped, 1);
    ck_assert_int_eq(plan->left_out->unknown, 1);
    const kur_letter_filter filter = KUR_LETTER_FILTER(.cause = "oth*");
    plan = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.filter = &filter));
    ck_assert_int_eq(plan->count, 1);
    kur_filter *where = kur_filter_new("header(\"trace\") = \"t-1\" and cause != \"other\"", &error);
    const kur_letter_filter wide = KUR_LETTER_FILTER(.where = where);
    const kur_redrive_view *by_where = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.filter = &wide));
    kur_filter_free(where);
    ck_assert_int_eq(by_where->count, 2);
    run_plan(by_where->id, &KUR_REDRIVE_RUN_OPTIONS(.dry_run = true), KUR_OK);

    /* What changes between plan and run is seen, and nothing is sent: a discard, and another run. */
    reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = topics, .filter = &filter), &error);
    ck_ok(kur_letter_reader_next(reader, &letter, &error), error);
    const kur_redrive_view *all = plan_of(service, NULL), *again = plan_of(service, NULL);
    ck_ok(kur_letter_writer_discard(writer, letter, "a test", "ann", &error), error);
    ck_ok(kur_letter_writer_finish(writer, WAIT_MS, NULL, &error), error);
    kur_letter_reader_free(reader);
    kur_letter_writer_free(writer);
    run_plan(plan->id, NULL, KUR_ERROR_STALE);
    run_plan(all->id, NULL, KUR_ERROR_STALE);
    ck_assert_int_eq(count_records(client, service->retries), 0);
    all = plan_of(service, NULL);
    again = plan_of(service, NULL);
    ck_assert_int_eq(all->count, 2);
    run_plan(all->id, NULL, KUR_OK);
    run_plan(again->id, NULL, KUR_ERROR_STALE);
    ck_assert_int_eq(count_records(client, service->retries), 2);
    drop_service(service);
}
END_TEST

/* Letters that come after the plan are none of it. */
START_TEST(test_redrive__is_frozen)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = quiet_service(2);
    for (int i = 0; i < 20; i++)
        send_letter(client, service, i % 2, i, NULL);
    flush(client);
    const kur_redrive_view *plan = plan_of(service, NULL);
    for (int i = 20; i < 50; i++)
        send_letter(client, service, i % 2, i, NULL);
    flush(client);
    ck_assert_int_eq(plan->count, 20);
    ck_assert_int_eq(run_plan(plan->id, NULL, KUR_OK).acknowledged, 20);
    ck_assert_int_eq(outcomes_of(client, plan->id).succeeded, 20);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(service->times[i], i < 20);
    ck_assert_int_eq(plan_of(service, NULL)->count, 30);
    drop_service(service);
}
END_TEST

START_TEST(test_redrive__headers)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = quiet_service(2);
    kur_error error = {0};
    const char *strip[] = {"sec*", NULL}, *own[] = {"kurier-*", NULL};
    const kur_header set[] = {{"trace", kur_bytes_text("t-2")}, {"none", {0}}, {NULL, {0}}};
    send_letter(client, service, 1, 7, NULL);
    flush(client);
    try_plan(service, &KUR_REDRIVE_PLAN_OPTIONS(.strip = own), KUR_ERROR_INVALID_ARGUMENT, &error);
    const kur_redrive_view *plan = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.strip = strip, .set = set));
    run_plan(plan->id, NULL, KUR_OK);
    ck_assert_int_eq(outcomes_of(client, plan->id).succeeded, 1);

    const char *topics[] = {service->retries, NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    kur_record *record = NULL;
    for (int64_t until_ms = now_ms() + WAIT_MS; record == NULL && now_ms() < until_ms;)
        ck_ok(kur_consumer_poll(consumer, 100, &record, &error), error);
    ck_assert_ptr_nonnull(record);
    kur_bytes value;
    kur_retry_view view = KUR_RETRY_VIEW();
    ck_ok(kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
    ck_assert(!kur_record_header_last(record, "secret", &value));
    ck_assert(kur_record_header_last(record, "trace", &value) && kur_bytes_equal(value, kur_bytes_text("t-2")));
    ck_assert(kur_record_header_last(record, "none", &value) && value.data == NULL);
    ck_assert(kur_bytes_equal(kur_record_value(record), kur_bytes_text("7")));
    ck_assert_int_eq(kur_record_partition(record), 1);
    ck_assert_int_eq(view.attempt, 1);
    ck_assert_int_eq(view.due_us, 0);
    ck_assert_int_eq(view.redriven, 1);
    ck_assert_str_eq(view.redrive_id, plan->id);
    ck_assert_str_eq(view.topic, service->topic);
    ck_assert_int_eq(view.offset, 7);
    ck_assert_str_eq(view.writer, "");
    kur_consumer_free_records(consumer, &record, 1);
    kur_consumer_free(consumer);
    drop_service(service);
}
END_TEST

/* Without a group that takes them letters stay where they are. */
START_TEST(test_redrive__targets)
{
    struct service *service = new_service(1);
    kur_error error;
    support_create(service->letters, 1);
    send_letter(client, service, 0, 1, NULL);
    flush(client);
    if (support_is_real()) { /* the embedded broker makes what is asked for */
        try_plan(service, &KUR_REDRIVE_PLAN_OPTIONS(.tier = KUR_TIER_SHORT), KUR_ERROR_INVALID_STATE, &error);
        ck_says(error, "there is no such topic");
    }
    support_create(service->retries, 1);
    try_plan(service, &KUR_REDRIVE_PLAN_OPTIONS(.tier = KUR_TIER_SHORT), KUR_ERROR_INVALID_STATE, &error);
    ck_says(error, "does not read it");
    const kur_redrive_view *plan = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.force = KUR_REDRIVE_FORCE_UNREAD));
    ck_assert_int_eq(plan->count, 1);
    ck_assert_int_eq(run_plan(plan->id, NULL, KUR_OK).acknowledged, 1);
    try_plan(service, &KUR_REDRIVE_PLAN_OPTIONS(.target = KUR_REDRIVE_ORIGIN, .force = KUR_REDRIVE_FORCE_SENT),
             KUR_ERROR_INVALID_STATE, &error);
    ck_says(error, "does not read it");
    drop_service(service);
}
END_TEST

/* Everybody sees them again; the id travels on all the same when one fails. */
START_TEST(test_redrive__origin)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = repaired_service(1, 10, NULL);
    service->broken_from = 8;
    const kur_redrive_view *plan = plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.target = KUR_REDRIVE_ORIGIN));
    ck_assert_int_eq(plan->count, 10);
    ck_assert_str_eq(plan->routes[0]->target, service->topic);
    ck_assert_int_eq(run_plan(plan->id, NULL, KUR_OK).acknowledged, 10);
    kur_redrive_outcomes outcomes = outcomes_of(client, plan->id);
    ck_assert_int_eq(outcomes.failed, 2);
    ck_assert_int_eq(outcomes.succeeded, 8);
    ck_assert_int_eq(count_records(client, service->topic), 20);
    ck_assert_int_eq(plan_of(service, NULL)->count, 2);
    drop_service(service);
}
END_TEST

START_TEST(test_redrive__compacted_origin)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    struct service *service = new_service(1);
    kur_error error = {0};
    service->topic = support_name("compacted");
    name_service(service, service->topic, service->group);
    kur_admin *admin = kur_admin_new(client, &error);
    const kur_topic_spec spec = KUR_TOPIC_SPEC(.name = service->topic, .partitions = 1, .cleanup = KUR_CLEANUP_COMPACT);
    ck_ok(kur_admin_create_topics(admin, &spec, 1, WAIT_MS, &error), error);
    kur_admin_free(admin);
    service->is_broken = true;
    start_service(client, service, &KUR_LISTENER_OPTIONS(.concurrency = 1));
    ck_assert(wait_for(service->listener, is_assigned, 4));
    send_numbers(client, service->topic, 1, 0, 3);
    ck_assert(wait_until(&service->rejected, 3));
    for (int64_t until_ms = now_ms() + WAIT_MS; count_records(client, service->letters) < 3 && now_ms() < until_ms;)
        nap(20);
    try_plan(service, &KUR_REDRIVE_PLAN_OPTIONS(.target = KUR_REDRIVE_ORIGIN), KUR_ERROR_INVALID_STATE, &error);
    ck_says(error, "compacted");
    const kur_redrive_view *plan =
        plan_of(service, &KUR_REDRIVE_PLAN_OPTIONS(.target = KUR_REDRIVE_ORIGIN, .force = KUR_REDRIVE_FORCE_COMPACTED));
    ck_assert_int_eq(plan->count, 3);
    drop_service(service);
}
END_TEST

/* ---- Takers of every kind ---- */

static void redrive_to(kur_listener_options *options, int partitions, int topics, const char *tier)
{
    struct service *service = new_service(partitions);
    char target[200];
    snprintf(target, sizeof target, "%s.%s.%s", service->topic, service->group, tier);
    service->is_broken = true;
    start_service(client, service, options);
    ck_assert(wait_for(service->listener, is_assigned, topics * partitions)); /* whose coming is a rebalance */
    send_numbers(client, service->topic, partitions, 0, 40);
    /* Not by the offsets of the letters, where marks of transactions count too. */
    ck_assert(wait_for(service->listener, has_rejected, 40));
    service->is_broken = false;
    send_numbers(client, service->topic, partitions, 100, 20); /* of the same keys */
    ck_assert(wait_until(&service->handled, 20));
    service->broken_from = 35;
    const kur_redrive_view *plan = plan_of(service, NULL);
    ck_assert_str_eq(plan->routes[0]->target, target);
    ck_assert_int_eq(plan->count, 40);
    ck_assert_int_eq(
        run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.canary = 5, .canary_refail = 1.0), KUR_OK).acknowledged, 40);
    kur_redrive_outcomes outcomes = outcomes_of(client, plan->id);
    ck_assert_int_eq(outcomes.failed, 5);
    ck_assert_int_eq(outcomes.succeeded, 35);
    for (int i = 0; i < 35; i++)
        ck_assert_int_eq(service->times[i], 1);
    drop_service(service);
}

START_TEST(test_redrive__to_keep_order)
{
    skip_unless(support_is_real(), SLOW);
    const kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .keep_order = true, .attempts = 1);
    redrive_to(&KUR_LISTENER_OPTIONS(.concurrency = 4, .order = KUR_ORDER_BY_KEY, .retry = &policy), 2, 2,
               "retry-ordered");
}
END_TEST

START_TEST(test_redrive__to_exactly_once)
{
    skip_unless(support_is_real(), "the embedded broker has no transactions");
    redrive_to(&KUR_LISTENER_OPTIONS(.concurrency = 2, .guarantee = KUR_EXACTLY_ONCE), 2, 4, "retry-short");
}
END_TEST

/* Failed attempts that will come again are pending: here the second one, which is far away. */
START_TEST(test_redrive__pending)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = new_service(1);
    kur_error error = {0};
    const kur_retry_policy policy =
        KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .delay_ms = 2000, .jitter = KUR_NONE, .attempts = 2);
    start_service(client, service, &KUR_LISTENER_OPTIONS(.concurrency = 1, .retry = &policy));
    send_numbers(client, service->topic, 1, 90000, 1);
    ck_assert(wait_until(&service->handled, 1));
    ck_assert(wait_for(service->listener, is_assigned, 4));
    for (int i = 0; i < 4; i++)
        send_letter(client, service, 0, i, NULL);
    flush(client);
    atomic_store(&service->retried_from, 2); /* fails at its first attempt */
    const kur_redrive_view *plan = plan_of(service, NULL);
    run_plan(plan->id, NULL, KUR_OK);
    ck_assert(wait_until(&service->rejected, 2));
    kur_redrive_watch *watch = kur_redrive_watch_new(client, plan->id, &error);
    kur_redrive_outcomes outcomes = KUR_REDRIVE_OUTCOMES();
    ck_ok(kur_redrive_watch_look(watch, WAIT_MS, &outcomes, &error), error);
    ck_assert_int_eq(outcomes.succeeded + outcomes.pending, 4);
    ck_assert_int_ge(outcomes.pending, 2);
    kur_redrive_watch_free(watch);
    ck_assert_int_eq(outcomes_of(client, plan->id).succeeded, 4);
    ck_assert_int_eq(service->handled, 5);
    drop_service(service);
}
END_TEST

/* What the target never takes is passed, counted and told; what was in a batch with it is sent all the same. */
START_TEST(test_redrive__too_large)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    struct service *service = quiet_service(1);
    kur_error error = {0};
    kur_admin *admin = kur_admin_new(client, &error);
    kur_topic_differences differences;
    const kur_topic_spec spec = KUR_TOPIC_SPEC(.name = service->retries, .max_message_bytes = 4000);
    ck_ok(kur_admin_apply_topics(admin, &spec, 1, WAIT_MS, arena, &differences, &error), error);
    kur_admin_free(admin);
    char huge[5000];
    memset(huge, 'x', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    for (int i = 0; i < 30; i++)
        send_letter(client, service, 0, i, &KUR_RETRY_VIEW(.cause = "c"));
    flush(client);
    /* A header makes it too large: that of letter 30 alone. */
    service->large = huge;
    send_letter(client, service, 0, 30, NULL);
    service->large = NULL;
    for (int i = 31; i < 40; i++)
        send_letter(client, service, 0, i, NULL);
    flush(client);
    const kur_redrive_view *plan = plan_of(service, NULL);
    kur_redrive_progress progress = run_plan(plan->id, NULL, KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_DONE);
    ck_assert_int_eq(progress.acknowledged, 39);
    ck_assert_int_eq(progress.refused, 1);
    ck_assert_int_eq(outcomes_of(client, plan->id).succeeded, 39);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(service->times[i] > 0, i != 30);
    drop_service(service);
}
END_TEST

/* ---- Slower, and said no to ---- */

struct helper {
    const char *id;
    kur_redrive_run_options options;
    kur_redrive_progress progress;
    kur_status status;
    kur_error error;
    atomic_int acknowledged, state;
    pthread_t thread;
};

static bool note_progress(const kur_redrive_progress *progress, void *user)
{
    struct helper *helper = user;
    helper->acknowledged = (int)progress->acknowledged;
    helper->state = (int)progress->state;
    return true;
}

static void *run_beside(void *user)
{
    struct helper *helper = user;
    helper->progress = KUR_REDRIVE_PROGRESS();
    helper->status = kur_redrive_run(client, helper->id, &helper->options, &helper->progress, &helper->error);
    return NULL;
}

static void start_beside(struct helper *helper)
{
    helper->options.size = sizeof helper->options;
    helper->options.who = "bob";
    helper->options.on_progress = note_progress;
    helper->options.user = helper;
    ck_assert_int_eq(kur_thread_start(&helper->thread, run_beside, helper), 0);
}

static bool wait_for_state(const struct helper *helper, kur_redrive_state state)
{
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(10))
        if (helper->state == (int)state)
            return true;
    return false;
}

START_TEST(test_redrive__paused_resumed_cancelled)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = quiet_service(2);
    kur_error error = {0};
    for (int i = 0; i < 2000; i++)
        send_letter(client, service, i % 2, i, NULL);
    flush(client);
    const kur_redrive_view *plan = plan_of(service, NULL);
    struct helper helper = {.id = plan->id, .options = {.rate = 100}};
    start_beside(&helper);
    ck_assert(wait_until(&helper.acknowledged, 50));
    ck_ok(kur_redrive_tell(client, plan->id, KUR_REDRIVE_PAUSE, "ann", WAIT_MS, &error), error);
    ck_assert(wait_for_state(&helper, KUR_REDRIVE_PAUSED));
    int64_t sent = -1, until_ms = now_ms() + WAIT_MS / 6;
    while (count_records(client, service->retries) != sent && now_ms() < until_ms) { /* what was on its way comes */
        sent = count_records(client, service->retries);
        nap(500);
    }
    ck_assert_int_eq(count_records(client, service->retries), sent);
    ck_assert_int_eq(look_at(plan->id)->state, KUR_REDRIVE_PAUSED);
    ck_ok(kur_redrive_tell(client, plan->id, KUR_REDRIVE_RESUME, "ann", WAIT_MS, &error), error);
    ck_assert(wait_until(&helper.acknowledged, (int)sent + 50));
    ck_ok(kur_redrive_tell(client, plan->id, KUR_REDRIVE_CANCEL, "ann", WAIT_MS, &error), error);
    pthread_join(helper.thread, NULL);
    ck_ok(helper.status, helper.error);
    ck_assert_int_eq(helper.progress.state, KUR_REDRIVE_CANCELLED);
    ck_assert_int_eq(helper.progress.acknowledged, count_records(client, service->retries));
    ck_assert_int_lt(helper.progress.acknowledged, 2000);
    kur_redrive_outcomes outcomes = outcomes_of(client, plan->id);
    ck_assert_int_eq(outcomes.succeeded, helper.progress.acknowledged);
    ck_assert_int_eq(outcomes.state, KUR_REDRIVE_CANCELLED);
    ck_status(kur_redrive_tell(client, plan->id, KUR_REDRIVE_RESUME, "ann", WAIT_MS, &error), KUR_ERROR_INVALID_STATE,
              error);
    run_plan(plan->id, NULL, KUR_ERROR_INVALID_STATE);
    /* The rest is the next plan's; one that nobody has started is cancelled at once. */
    plan = plan_of(service, NULL);
    ck_assert_int_eq(plan->count, 2000 - helper.progress.acknowledged);
    ck_ok(kur_redrive_tell(client, plan->id, KUR_REDRIVE_CANCEL, "ann", WAIT_MS, &error), error);
    ck_assert_int_eq(look_at(plan->id)->state, KUR_REDRIVE_CANCELLED);
    drop_service(service);
}
END_TEST

/*
 * Others take what one of the group has rejected: two of them, and in the midst of it only the one that came later. The
 * letters of a partition may all be read before those of the other: the first run ends when there are some of both.
 */
START_TEST(test_redrive__to_another_member)
{
    enum {
        COUNT = 400,
        MOST = COUNT * 3 / 4
    };
    skip_unless(support_is_real(), SLOW);
    struct service *service = repaired_service(2, COUNT, NULL);
    kur_listener *first = service->listener;
    start_service(client, service, &KUR_LISTENER_OPTIONS(.concurrency = 2));
    ck_assert(wait_for(service->listener, is_assigned, 4));
    ck_assert(wait_for(first, is_assigned, 4));
    const kur_redrive_view *plan = plan_of(service, NULL);
    ck_assert_int_eq(plan->count, COUNT);
    struct helper helper = {.id = plan->id, .options = {.rate = 100, .max = MOST}};
    start_beside(&helper);
    ck_assert(wait_for(first, has_handled, COUNT + 10));
    ck_assert(wait_for(service->listener, has_handled, 10));
    kur_error error = {0};
    ck_ok(kur_listener_stop(first, WAIT_MS, &error), error);
    kur_listener_free(first);
    pthread_join(helper.thread, NULL);
    ck_ok(helper.status, helper.error);
    ck_assert_int_eq(helper.progress.acknowledged, MOST);
    ck_assert_int_eq(run_plan(plan->id, NULL, KUR_OK).acknowledged, COUNT);
    kur_redrive_outcomes outcomes = outcomes_of(client, plan->id);
    ck_assert_int_eq(outcomes.succeeded, COUNT);
    ck_assert_int_eq(outcomes.failed, 0);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(service->times[i], 1);
    drop_service(service);
}
END_TEST

START_TEST(test_redrive__one_runner)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = quiet_service(1);
    kur_error error = {0};
    for (int i = 0; i < 600; i++)
        send_letter(client, service, 0, i, NULL);
    flush(client);
    const kur_redrive_view *plan = plan_of(service, NULL);
    struct helper helpers[3] = {{.id = plan->id}, {.id = plan->id}, {.id = plan->id}};
    for (int i = 0; i < 3; i++) {
        helpers[i].options.rate = 200;
        helpers[i].options.max = 500;
        helpers[i].options.lease_ms = 10000; /* nobody is slow for so long */
        start_beside(&helpers[i]);
    }
    int winners = 0;
    for (int i = 0; i < 3; i++) {
        pthread_join(helpers[i].thread, NULL);
        winners += helpers[i].status == KUR_OK;
        if (helpers[i].status != KUR_OK)
            ck_status(helpers[i].status, KUR_ERROR_INVALID_STATE, helpers[i].error);
    }
    ck_assert_int_eq(winners, 1);
    ck_assert_int_eq(count_records(client, service->retries), 500);
    ck_assert_int_eq(look_at(plan->id)->state, KUR_REDRIVE_STOPPED);

    /* One that has stopped is gone on with at once, by anybody. */
    kur_redrive_progress progress = run_plan(plan->id, NULL, KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_DONE);
    ck_assert_int_eq(progress.sent, 100);
    ck_assert_int_eq(outcomes_of(client, plan->id).succeeded, 600);
    ck_status(
        kur_redrive_tell(client, "0192f0c1-0000-7000-8000-000000000000", KUR_REDRIVE_PAUSE, "ann", WAIT_MS, &error),
        KUR_ERROR_UNKNOWN_TOPIC, error);
    drop_service(service);
}
END_TEST

static bool stop_at_once(const kur_redrive_progress *progress, void *user)
{
    (void)user;
    return progress->acknowledged < 20;
}

START_TEST(test_redrive__rate)
{
    skip_unless(support_is_real(), SLOW);
    struct service *service = quiet_service(1);
    for (int i = 0; i < 400; i++)
        send_letter(client, service, 0, i, NULL);
    flush(client);
    const kur_redrive_view *plan = plan_of(service, NULL);
    kur_redrive_progress progress =
        run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.rate = 100, .on_progress = stop_at_once), KUR_ERROR_CANCELLED);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_STOPPED);
    ck_assert_int_lt(progress.acknowledged, 400);
    ck_assert_int_eq(count_records(client, service->retries), progress.acknowledged);
    progress = run_plan(plan->id, &KUR_REDRIVE_RUN_OPTIONS(.rate = 1000, .max = 10), KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_STOPPED);
    ck_assert_int_eq(progress.sent, 10);
    progress = run_plan(plan->id, NULL, KUR_OK);
    ck_assert_int_eq(progress.state, KUR_REDRIVE_DONE);
    drop_service(service);
}
END_TEST

START_TEST(test_redrive__errors)
{
    kur_error error = {0};
    const kur_redrive_view *plan;
    const char *topics[] = {"orders", NULL};
    const char *names[] = {"orders.email.dlq", NULL};
    kur_redrive_plan_options options = KUR_REDRIVE_PLAN_OPTIONS(.topics = topics, .who = "ann");
    ck_status(kur_redrive_plan(client, &options, arena, &plan, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    options.topics = names;
    options.who = "";
    ck_status(kur_redrive_plan(client, &options, arena, &plan, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_redrive_run(client, NULL, NULL, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_redrive_run(client, "0192f0c1-0000-7000-8000-000000000000", &KUR_REDRIVE_RUN_OPTIONS(.who = "a"),
                              NULL, &error),
              KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_status(kur_redrive_run(client, "x", &KUR_REDRIVE_RUN_OPTIONS(.who = "a", .rate = -1), NULL, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_ptr_null(kur_redrive_watch_new(client, "x", &error));
    kur_redrive_watch_free(NULL);
    ck_assert_str_eq(kur_redrive_state_name(KUR_REDRIVE_ABORTED), "aborted");
    ck_assert_str_eq(kur_redrive_state_name((kur_redrive_state)99), "unknown");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_redrive__goes_through,
                                  test_redrive__fails_again,
                                  test_redrive__canary,
                                  test_redrive__left_out,
                                  test_redrive__is_frozen,
                                  test_redrive__headers,
                                  test_redrive__targets,
                                  test_redrive__origin,
                                  test_redrive__compacted_origin,
                                  test_redrive__to_keep_order,
                                  test_redrive__to_exactly_once,
                                  test_redrive__pending,
                                  test_redrive__too_large,
                                  test_redrive__paused_resumed_cancelled,
                                  test_redrive__to_another_member,
                                  test_redrive__one_runner,
                                  test_redrive__rate,
                                  test_redrive__errors,
                                  NULL};
    arena = kur_arena_new();
    int status = check_main("redrive", tests);
    kur_arena_free(arena);
    consuming_stop();
    return status;
}
