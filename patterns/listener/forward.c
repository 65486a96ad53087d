/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: records on their way to a retry topic or to the dead letters, and back.
 *
 * A record is forwarded as it is, key, value and headers byte for byte, with headers of ours that say what has happened
 * to it. It carries the time of the forward, for retention would take one with the old time away at once; its first
 * time travels in a header. When it comes from a retry topic it is made as it was: topic, partition, offset and
 * timestamp are those that its headers name, and so handlers, and who forwards it again, see the record that it was
 * first. What stands in the headers is believed on a retry topic of this group alone.
 *
 * A record that is refused as too large is judged by itself: librdkafka says the same of all that were in a batch with
 * it. So it is sent again alone; then, when it was to be tried again, to the dead letters; there without what can be
 * left out; and in the end as a stub that tells where it is to be found.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/record.h>
#include <string.h>

#include "listener/crash.h"
#include "listener/keeper.h"
#include "listener/topics.h"

enum {
    TRIMMED_BYTES = 4096, /* of headers, when a record is too large */
    STUB_KEY_BYTES = 4096,
    FEWER_US = 300 * 1000 * 1000 /* a partition that was not there is not looked for again */
};

#define LONGEST_ORDERED_US (3600 * INT64_C(1000000))
#define DAY_US INT64_C(86400000000)
#define MOST_AHEAD_US (KUR_RETRY_DAYS_MAX * DAY_US)

/* How much of a record is sent, from one refusal as too large to the next. */
enum {
    WHOLE = 0,
    ALONE,
    TRIMMED,
    STUB
};

/* ---- What is told of a record ---- */

/* What a record of a main topic says of when it is to come; false when that is no time. 0: nothing. */
static bool read_asked(const kur_record *record, int64_t *due_us)
{
    kur_bytes value;
    *due_us = 0;
    return !kur_record_header_last(record, KUR_DUE_HEADER, &value) || value.data == NULL ||
           kur_time_parse(value.data, value.size, due_us, NULL) == KUR_OK;
}

/*
 * Of a record on a main topic nothing is believed, but one thing is carried on: that somebody has sent it again, by
 * which its outcome is followed and a loop of redrives found. It changes nothing that is done here.
 */
static kur_status read_redrive(kur_listener *listener, const kur_record *record, int64_t wall_us, kur_arena *arena,
                               kur_retry_view *view, kur_error *error)
{
    kur_bytes header;
    kur_retry_view told = KUR_RETRY_VIEW();
    if (kur_record_header_last(record, "kurier-retry-attempt", &header))
        atomic_fetch_add_explicit(&listener->ignored, 1, memory_order_relaxed);
    if (!kur_record_header_last(record, "kurier-retry-redrive-id", &header))
        return KUR_OK;
    kur_status status = kur_retry_read(record, listener->tiers->options.headers, wall_us, arena, &told, error);
    if (status == KUR_OK) {
        view->redriven = told.redriven;
        view->redrive_id = told.redrive_id;
    }
    return status;
}

/* What its headers say, if they may be believed; else what it is itself. */
static kur_status read_history(kur_listener *listener, const kur__work *work, int64_t wall_us, kur_arena *arena,
                               kur_retry_view *view, kur_error *error)
{
    const kur_record *record = work->item;
    *view = KUR_RETRY_VIEW();
    kur_status status = work->source->tier == KUR_TIER_MAIN
                            ? read_redrive(listener, record, wall_us, arena, view, error)
                            : kur_retry_read(record, listener->tiers->options.headers, wall_us, arena, view, error);
    if (status != KUR_OK)
        return status;
    view->topic = kur_record_topic(record);
    view->partition = kur_record_partition(record);
    view->offset = kur_record_offset(record);
    view->timestamp_us = kur_record_timestamp_us(record);
    view->group = listener->group;
    return KUR_OK;
}

/* The attempt that has failed, behind those that are told already. */
static kur_status add_attempt(const kur_listener *listener, const kur__work *work, int64_t wall_us, kur_arena *arena,
                              kur_retry_view *view, kur_error *error)
{
    const struct kur__extra *extra = work->extra;
    const kur_attempt_view **attempts = kur_arena_alloc(arena, (view->attempt_count + 1) * sizeof(*attempts));
    kur_attempt_view *last = kur_arena_alloc(arena, sizeof *last);
    if (attempts == NULL || last == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: the history of a record");
    if (view->attempt_count > 0)
        memcpy(attempts, view->attempts, view->attempt_count * sizeof(*attempts));
    view->cause = extra != NULL ? extra->cause : "";
    view->message = extra != NULL ? extra->reason : "";
    view->code = extra != NULL ? extra->code : "";
    *last = (kur_attempt_view){.size = sizeof *last, .attempt = work->attempts, .at_us = wall_us, .cause = view->cause};
    attempts[view->attempt_count++] = last;
    view->attempts = attempts;
    view->failed_us = wall_us;
    if (view->first_failed_us == 0) {
        /* It may have failed in place before; with KUR_SINCE_RECORD that is not what first_us tells. */
        bool is_known = work->first_us != 0 && listener->timeout_since == KUR_SINCE_FIRST_FAILURE;
        view->first_failed_us = is_known ? work->first_us + atomic_load(&listener->wall_ahead_us) : wall_us;
    }
    return KUR_OK;
}

/*
 * The time that a record was given before is kept to the microsecond, by one that is moved, and by one that is to come
 * later: the clock may have been set since it was taken in. Else it is as long from now as the machine says.
 */
static int64_t due_there(const kur_listener *listener, const kur__work *work, int64_t told_us, int64_t wall_us)
{
    int64_t asked_us;
    int64_t due_us = work->then_us + listener->wall_ahead_us + 1;
    if (work->is_unrun && work->source->tier == KUR_TIER_ORDERED && told_us > due_us)
        return due_us; /* it was more than may be */
    if (work->is_unrun && work->source->tier != KUR_TIER_MAIN)
        return told_us;
    bool is_asked = work->is_unrun && listener->options.allow_due && read_asked(work->item, &asked_us);
    if (is_asked && asked_us > 0 && asked_us <= wall_us + MOST_AHEAD_US)
        return asked_us;
    return due_us;
}

static kur_status describe(kur_listener *listener, const kur__work *work, kur_tier tier, kur_arena *arena,
                           kur_retry_view *view, kur_error *error)
{
    int64_t wall_us = kur_clock_now_us();
    kur_status status = read_history(listener, work, wall_us, arena, view, error);
    if (status == KUR_OK && !work->is_unrun) /* when it failed, however long it takes to forward it */
        status = add_attempt(listener, work, work->since_us + listener->wall_ahead_us, arena, view, error);
    view->writer = tier == KUR_TIER_ORDERED ? listener->writer : "";
    view->attempt = tier == KUR_TIER_DEAD ? work->attempts : work->attempts + 1;
    view->due_us = tier == KUR_TIER_DEAD ? 0 : due_there(listener, work, view->due_us, wall_us);
    return status;
}

/* ---- Out ---- */

struct kur__forward *kur__forward_prepare(kur_listener *listener, kur__work *work)
{
    const kur__partition *partition = work->source->partition;
    struct kur__extra *extra = kur__extra_of(work);
    if (extra == NULL)
        return NULL;
    extra->forward.listener = listener;
    extra->forward.work = work;
    extra->forward.is_acknowledged = extra->forward.is_kept = extra->forward.is_to_keep = false;
    const char *topic = partition->home != NULL ? partition->home->topic : partition->topic;
    struct kur__there *there = kur__topics_there(listener, topic, (kur_tier)work->to, extra->cause);
    extra->forward.there = there;
    extra->forward.topic = there != NULL ? kur__topics_name(listener, topic, (kur_tier)work->to, extra->cause) : NULL;
    if (there != NULL && work->tries == 0)
        extra->forward.takes_any_partition = partition->number >= atomic_load(&there->fewer) &&
                                             kur_clock_monotonic_us() < atomic_load(&there->fewer_by_us);
    return &extra->forward;
}

void kur__forward_arrived(const struct kur__forward *forward)
{
    struct kur__there *there = forward->there;
    int32_t number = forward->work->source->partition->number;
    int64_t now_us = kur_clock_monotonic_us();
    if (!forward->has_missed || !forward->takes_any_partition)
        return;
    if (now_us < atomic_load(&there->fewer_by_us) && number >= atomic_load(&there->fewer))
        return;
    atomic_store(&there->fewer, number);
    atomic_store(&there->fewer_by_us, now_us + FEWER_US);
}

kur_status kur__forward_send(kur_listener *listener, kur_producer *producer, const kur__work *work,
                             kur_result_callback *callback, kur_arena *arena, kur_error *error)
{
    struct kur__forward *forward = &((struct kur__extra *)work->extra)->forward;
    const kur_record *record = work->item;
    kur_tier tier = (kur_tier)work->to;
    kur_retry_view view;
    kur_message message = KUR_MESSAGE(.key = kur_record_key(record), .value = kur_record_value(record),
                                      .tombstone = kur_record_value(record).data == NULL, .on_result = callback,
                                      .user = forward, .verbatim = true);
    message.topic = forward->topic;
    if (message.topic == NULL)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "there is no topic yet for what failed");
    kur_status status = describe(listener, work, tier, arena, &view, error);
    if (forward->stage == STUB) {
        view.is_stub = true;
        message.tombstone = false;
        message.value = kur_bytes_of("", 0);
        if (message.key.size > STUB_KEY_BYTES)
            message.key = kur_bytes_of(NULL, 0);
    }
    size_t most = forward->stage >= TRIMMED ? TRIMMED_BYTES : 0;
    if (status == KUR_OK)
        status = kur_retry_write(record, listener->tiers->options.headers, tier, &view, most, arena, &message.headers,
                                 &message.header_count, error);
    if (!forward->takes_any_partition || tier == KUR_TIER_ORDERED)
        message.partition = KUR_PARTITION(work->source->partition->number);
    if (status == KUR_OK)
        status = kur_producer_send(producer, &message, error);
    return status;
}

/* Too large for the retry topic: then it has had its attempts. A handler must not see it without what was left out. */
static void give_up(const kur_listener *listener, kur__work *work, const char *why)
{
    bool is_kept = listener->tiers->has_dead_letters;
    kur_client_log(listener->client, KUR_LOG_WARNING,
                   "group %s: %s [%d] at offset %lld is too large for the %s topic, and %s: %s", listener->group,
                   kur_record_topic(work->item), (int)kur_record_partition(work->item),
                   (long long)kur_record_offset(work->item), kur_tier_name((kur_tier)work->to),
                   is_kept ? "goes to the dead letters" : "is rejected", why);
    work->to = is_kept ? KUR_TIER_DEAD : KUR_TIER_MAIN;
    if (!is_kept)
        work->effect = KUR__EFFECT_REJECT;
}

void kur__forward_judge(kur_listener *listener, kur__work *work, const kur_error *error)
{
    struct kur__forward *forward = &((struct kur__extra *)work->extra)->forward;
    if (forward->topic == NULL)
        return; /* it is being made, and who makes it tells what is in the way */
    bool has_its_place = work->to == KUR_TIER_ORDERED;
    if ((error->code == KUR_ERROR_UNKNOWN_TOPIC || error->code == KUR_ERROR_INVALID_ARGUMENT) && !has_its_place) {
        forward->has_missed = !forward->takes_any_partition;
        forward->takes_any_partition = forward->has_missed;
        if (forward->has_missed)
            return; /* that number may not be there, and it goes another way */
    }
    if (error->code == KUR_ERROR_TOO_LARGE && forward->stage < STUB) {
        forward->stage++;
        if (forward->stage == TRIMMED && work->to != KUR_TIER_DEAD) {
            forward->stage = ALONE;
            give_up(listener, work, error->message);
        }
        if (forward->stage == STUB)
            kur_client_log(listener->client, KUR_LOG_ERROR,
                           "group %s: %s [%d] at offset %lld is too large for the dead letters: they tell where it is "
                           "to be found, as long as it is there: %s",
                           listener->group, kur_record_topic(work->item), (int)kur_record_partition(work->item),
                           (long long)kur_record_offset(work->item), error->message);
        return;
    }
    kur__retries_failed(listener);
    bool is_refused = error->code != KUR_ERROR_UNKNOWN_OUTCOME; /* else it may be there, and goes once more */
    if (is_refused && work->to == KUR_TIER_DEAD && listener->tiers->options.failure == KUR_DEAD_LETTER_STOP)
        kur__listener_fail(listener, error);
    if (!kur__once_in_a_while(&listener->next_forward_warning_us))
        return;
    kur_client_log(listener->client, KUR_LOG_WARNING,
                   "group %s: a record %s forwarded to the %s topic, is not finished, and will be sent again: %s",
                   listener->group, is_refused ? "cannot be" : "may not have been", kur_tier_name((kur_tier)work->to),
                   error->message);
}

static void on_result(const kur_result *result, void *user)
{
    struct kur__forward *forward = user;
    kur__work *work = forward->work;
    kur_listener *listener = forward->listener;
    forward->is_acknowledged = result->status == KUR_DELIVERED;
    work->landed = result->offset;
    if (forward->is_acknowledged)
        kur__forward_arrived(forward);
    else
        kur__forward_judge(listener, work, &result->error);
    KUR__CRASH_POINT("forward-answered");
    kur__mailbox_push(listener, work, true);
}

void kur__forward_keep(kur_listener *listener, kur__work *work)
{
    ((struct kur__extra *)work->extra)->forward.is_to_keep = true;
    listener->keeper->forwarded(listener->keeper->user, listener, work);
}

void kur__forward_kept(kur_listener *listener, kur__work *work, bool is_kept)
{
    struct kur__forward *forward = &((struct kur__extra *)work->extra)->forward;
    forward->is_kept = is_kept;
    forward->is_to_keep = !is_kept;
    kur__mailbox_push(listener, work, true);
}

void kur__forward_begin(kur_listener *listener, kur__work *work, int64_t now_us)
{
    kur_error error = {0};
    const struct kur__extra *extra = work->extra;
    if (extra != NULL && extra->forward.is_to_keep) {
        kur__forward_keep(listener, work);
        return;
    }
    if (kur__forward_prepare(listener, work) == NULL) {
        kur__machine_effect(&listener->machine, work, false, now_us);
        return;
    }
    kur_status status = kur__effect_producer(listener, &error);
    if (status == KUR_OK)
        status = kur__forward_send(listener, listener->producer, work, on_result, listener->arena, &error);
    kur_arena_reset(listener->arena);
    KUR__CRASH_POINT("forwarded");
    if (status == KUR_OK)
        return;
    kur__forward_judge(listener, work, &error);
    if (error.fatal)
        kur__listener_fail(listener, &error);
    kur__effect_end(listener, work, now_us);
}

bool kur__forward_goes_alone(const kur__work *work)
{
    const struct kur__extra *extra = work->extra;
    return work->to != KUR_TIER_MAIN && extra != NULL && extra->forward.stage >= ALONE;
}

/* ---- Back ---- */

static void warn_of_header(kur_listener *listener, const kur_record *record, const char *what)
{
    if (!kur__once_in_a_while(&listener->next_header_warning_us))
        return;
    kur_client_log(listener->client, KUR_LOG_WARNING, "group %s: %s [%d] at offset %lld: %s", listener->group,
                   kur_record_topic(record), (int)kur_record_partition(record), (long long)kur_record_offset(record),
                   what);
}

/* The same with another place and time. */
static kur_record *rebuild(kur_listener *listener, const kur_record *record, const kur_retry_view *view)
{
    size_t count = kur_record_header_count(record);
    kur_header *headers = kur_arena_alloc(listener->arena, (count + 1) * sizeof *headers);
    if (headers == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        kur_record_header(record, i, &headers[i]);
    kur_record_parts parts = {.topic = kur_record_topic(record),
                              .partition = kur_record_partition(record),
                              .offset = kur_record_offset(record),
                              .timestamp_us =
                                  view->timestamp_us >= 0 ? view->timestamp_us : kur_record_timestamp_us(record),
                              .leader_epoch = kur_record_leader_epoch(record),
                              .key = kur_record_key(record),
                              .value = kur_record_value(record),
                              .headers = headers,
                              .header_count = count};
    if (view->topic != NULL) {
        parts.topic = view->topic;
        parts.partition = view->partition;
        parts.offset = view->offset;
        parts.leader_epoch = 0;
    }
    return kur_record_build(&parts, NULL);
}

static int64_t monotonic_of(const kur_listener *listener, int64_t at_us)
{
    int64_t monotonic_us = at_us - listener->wall_ahead_us;
    return monotonic_us != 0 ? monotonic_us : -1; /* zero says that there is none */
}

/* When a record of a main topic asks to come later. */
static int64_t due_of(kur_listener *listener, const kur_record *record, int64_t wall_us)
{
    int64_t due_us, most_us = wall_us + MOST_AHEAD_US;
    if (!read_asked(record, &due_us)) {
        warn_of_header(listener, record, KUR_DUE_HEADER " is not a time: the record comes at once");
        return 0;
    }
    if (due_us > most_us)
        warn_of_header(listener, record, KUR_DUE_HEADER " is more than 30 days ahead: the record comes after 30 days");
    return due_us < most_us ? due_us : most_us;
}

static void take_main(kur_listener *listener, const kur_record *record, kur__polled *polled)
{
    polled->stamp_us = listener->decisions.keep_order ? kur_record_timestamp_us(record) : 0;
    bool since_record = listener->decisions.timeout_us > 0 && listener->timeout_since == KUR_SINCE_RECORD;
    if (!since_record && !listener->options.allow_due)
        return;
    int64_t wall_us = kur_clock_now_us(), timestamp_us = kur_record_timestamp_us(record);
    int64_t due_us = listener->options.allow_due ? due_of(listener, record, wall_us) : 0;
    if (since_record && timestamp_us >= 0)
        polled->first_us = monotonic_of(listener, timestamp_us);
    if (due_us > wall_us)
        polled->due_us = monotonic_of(listener, due_us);
}

/*
 * By what the order knows a record: one of the main partition of that number by its place there; any other, put there
 * by hand, by all that is known of it, which it keeps when it is forwarded again, and before those.
 */
static void take_ordered(const kur__source *source, const kur_record *made, kur__polled *polled)
{
    const char *topic = kur_record_topic(made);
    int32_t number = kur_record_partition(made);
    polled->origin = kur_record_offset(made);
    polled->stamp_us = kur_record_timestamp_us(made);
    if (number == source->partition->number && strcmp(topic, source->partition->home->topic) == 0)
        return;
    uint64_t seed = (uint64_t)polled->origin * 31 + (uint32_t)number;
    polled->origin = -2 - (int64_t)(kur__key_hash(seed, kur_bytes_text(topic)) >> 2);
    polled->stamp_us = 0;
}

/* The present to its headers: a time that is cut to what may be must not be put off with each time that it is read. */
static int64_t present_of(const kur_record *record, int64_t wall_us)
{
    int64_t written_us = kur_record_timestamp_us(record);
    return written_us >= 0 && written_us < wall_us - DAY_US ? written_us + DAY_US : wall_us;
}

bool kur__forward_take(kur_listener *listener, const kur__source *source, const kur_record *record, kur__polled *polled)
{
    if (source->tier == KUR_TIER_MAIN) {
        take_main(listener, record, polled);
        return true;
    }
    int64_t present_us = present_of(record, kur_clock_now_us());
    kur_retry_view view = KUR_RETRY_VIEW();
    kur_status status =
        kur_retry_read(record, listener->tiers->options.headers, present_us, listener->arena, &view, NULL);
    bool is_foreign = view.group != NULL && strcmp(view.group, listener->group) != 0;
    if (view.is_clamped)
        warn_of_header(listener, record,
                       "its retry headers are not what this library writes: they count within their "
                       "limits");
    if (is_foreign)
        warn_of_header(listener, record,
                       "it is another group's, whose retry topic has the same name: it is left to that");
    atomic_fetch_add_explicit(&listener->foreign, is_foreign, memory_order_relaxed);
    atomic_fetch_add_explicit(&listener->clamped, view.is_clamped, memory_order_relaxed);
    bool is_ordered = source->tier == KUR_TIER_ORDERED;
    if (is_ordered && view.due_us > present_us + LONGEST_ORDERED_US)
        view.due_us = present_us + LONGEST_ORDERED_US;
    if (view.topic != NULL && strcmp(view.topic, source->partition->home->topic) != 0 &&
        !(is_ordered && strcmp(view.topic, source->partition->topic) == 0))
        view.topic = NULL; /* not where this topic's records come from: it stands for itself */
    kur_record *made = status == KUR_OK ? rebuild(listener, record, &view) : NULL;
    kur_arena_reset(listener->arena);
    if (made == NULL)
        return false;
    if (is_ordered)
        take_ordered(source, made, polled);
    polled->is_outside = view.writer == NULL || view.writer[0] == '\0';
    polled->item = made;
    polled->key = kur_record_key(made);
    polled->bytes = (uint32_t)(kur_record_memory(made) + sizeof(kur__work));
    polled->is_over = is_foreign;
    polled->written_us = monotonic_of(listener, kur_record_timestamp_us(record));
    polled->waits_us = monotonic_of(listener, view.failed_us > 0 ? view.failed_us : kur_record_timestamp_us(made));
    polled->attempts = view.attempt - 1;
    if (view.due_us > 0) /* also when that has passed: it is late */
        polled->due_us = monotonic_of(listener, view.due_us);
    bool since_record = listener->timeout_since == KUR_SINCE_RECORD;
    int64_t since_us = since_record ? kur_record_timestamp_us(made) : view.first_failed_us;
    if (since_us > 0)
        polled->first_us = monotonic_of(listener, since_us);
    return true;
}
