/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what has become of the records of a plan.
 *
 * All topics of the groups' are read from the plan's marks on, once, by a consumer without a group; what carries the
 * plan's id is noted: among the dead letters by the place that it had first, elsewhere by where it waits. A look then
 * asks for the groups' commits first and reads to the ends of the topics afterwards. A group finishes a record only
 * when its forward is acknowledged; so whatever a commit tells as finished has, by the time of the ends, either left
 * its forward in one of these topics, or none. What is noted and not finished is pending, and all that is neither has
 * succeeded.
 *
 * A transaction that is open hides what is behind it; a look waits for it, for the ends are those of all records.
 */
#include <kurier/ledger.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <stdlib.h>
#include <string.h>

#include "redrive/redrive.h"

enum {
    BATCH = 500,
    POLL_MS = 50,
    TIMEOUT_LEAST_MS = 10
};

static const char id_header[] = "kurier-retry-redrive-id";

/* A record of the plan that waits, or waited. */
struct waiting {
    size_t topic;
    int32_t partition;
    int64_t offset;
    uint64_t origin; /* hash of the place that it had first */
};

struct partition {
    int64_t next, end;
    int64_t committed;      /* -1: nothing */
    kur_ledger_view ledger; /* what is finished above it; of `answers` */
};

struct topic {
    const char *name; /* of the arena */
    bool is_dead;
    size_t count;
    struct partition *partitions;
};

struct kur_redrive_watch {
    kur_client *client;
    char id[KUR_UUID_TEXT_SIZE];
    kur_admin *admin;
    kur__books books;
    bool has_books;
    kur__redrive_entry *entry;
    kur_arena *arena, *answers, *scratch; /* names; what was committed; other answers, and the record at hand */
    kur_consumer *consumer;
    struct topic *topics;
    size_t topic_count;
    kur_error failed; /* in a callback */
    struct waiting *waiting;
    size_t waiting_count, waiting_capacity;
    kur__place_set dead;
};

/* ---- Making ---- */

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: the outcomes of a plan");
}

kur_redrive_watch *kur_redrive_watch_new(kur_client *client, const char *id, kur_error *error)
{
    kur_uuid uuid;
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    if (id == NULL || kur_uuid_parse(id, strlen(id), &uuid, NULL) != KUR_OK) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "id is not that of a plan");
        return NULL;
    }
    kur_redrive_watch *watch = kur_calloc(1, sizeof *watch);
    if (watch == NULL) {
        no_memory(error);
        return NULL;
    }
    watch->client = kur_client_ref(client);
    kur_uuid_format(&uuid, watch->id);
    watch->arena = kur_arena_new();
    watch->answers = kur_arena_new();
    watch->scratch = kur_arena_new();
    if (watch->arena == NULL || watch->answers == NULL || watch->scratch == NULL)
        no_memory(error);
    else
        watch->admin = kur_admin_new(client, error);
    if (watch->admin != NULL)
        return watch;
    kur_redrive_watch_free(watch);
    return NULL;
}

/* Everything that was read, so that it is read anew. */
static void forget(kur_redrive_watch *watch)
{
    kur_consumer_free(watch->consumer);
    watch->consumer = NULL;
    for (size_t i = 0; i < watch->topic_count; i++)
        kur_free(watch->topics[i].partitions);
    kur_free(watch->topics);
    watch->topics = NULL;
    watch->topic_count = watch->waiting_count = 0;
    kur_free(watch->dead.places);
    watch->dead = (kur__place_set){0};
    if (watch->arena != NULL)
        kur_arena_reset(watch->arena);
}

void kur_redrive_watch_free(kur_redrive_watch *watch)
{
    if (watch == NULL)
        return;
    forget(watch);
    kur_free(watch->waiting);
    kur_admin_free(watch->admin);
    if (watch->has_books)
        kur__books_done(&watch->books);
    kur_arena_free(watch->arena);
    kur_arena_free(watch->answers);
    kur_arena_free(watch->scratch);
    kur_client_unref(watch->client);
    kur_free(watch);
}

/* ---- Its topics ---- */

static kur__redrive_role role_of(const kur__redrive_plan *plan, const char *topic)
{
    for (size_t i = 0; i < plan->route_count; i++) {
        const kur__redrive_route *route = &plan->routes[i];
        kur__redrive_role role =
            route->view.refused[0] == '\0' ? kur__redrive_role_of(route, topic) : KUR__REDRIVE_NONE;
        if (role != KUR__REDRIVE_NONE)
            return role;
    }
    return KUR__REDRIVE_NONE;
}

static struct topic *find(kur_redrive_watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->topic_count; i++)
        if (strcmp(watch->topics[i].name, name) == 0)
            return &watch->topics[i];
    return NULL;
}

static int64_t mark_of(const kur__redrive_plan *plan, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < plan->mark_count; i++)
        if (plan->marks[i].partition == partition && strcmp(plan->marks[i].topic, topic) == 0)
            return plan->marks[i].end;
    return 0;
}

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *positions, size_t count,
                         void *user)
{
    kur_redrive_watch *watch = user;
    for (size_t i = 0; i < count && what == KUR_ASSIGNED; i++) {
        const kur_position *one = kur_options_at(positions, i);
        int64_t from = mark_of(&watch->entry->plan, one->topic, one->partition);
        if (from > one->offset)
            kur_consumer_seek(consumer, one->topic, one->partition, from < one->end ? from : one->end, NULL);
    }
}

static void on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    kur_redrive_watch *watch = user;
    int64_t to = gap->code == KUR_ERROR_SYNTAX ? gap->offset + 1 : gap->low;
    if (to < 0)
        kur_error_set(&watch->failed, gap->code, "%s", gap->message);
    else
        kur_consumer_seek(consumer, gap->topic, gap->partition, to, NULL);
}

static kur_status subscribe(kur_redrive_watch *watch, kur_error *error)
{
    kur_error why = {0};
    const char **names = kur_arena_alloc(watch->arena, (watch->topic_count + 1) * sizeof *names);
    if (names == NULL)
        return no_memory(error);
    for (size_t i = 0; i < watch->topic_count; i++)
        names[i] = watch->topics[i].name;
    watch->consumer = kur_consumer_new(
        watch->client,
        &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .on_rebalance = on_rebalance, .on_gap = on_gap, .user = watch),
        &why);
    kur_status status = kur_consumer_subscribe(watch->consumer, names, &why);
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}

static kur_status add_topic(kur_redrive_watch *watch, const kur_topic_view *view, bool is_dead, kur_error *error)
{
    struct topic *more = kur_realloc(watch->topics, (watch->topic_count + 1) * sizeof *more);
    if (more == NULL)
        return no_memory(error);
    watch->topics = more;
    struct topic *topic = &more[watch->topic_count];
    *topic = (struct topic){.name = kur_arena_copy(watch->arena, view->name, strlen(view->name)),
                            .is_dead = is_dead,
                            .count = view->partition_count,
                            .partitions = kur_calloc(view->partition_count + 1, sizeof *topic->partitions)};
    if (topic->name == NULL || topic->partitions == NULL) {
        kur_free(topic->partitions);
        return no_memory(error);
    }
    watch->topic_count++;
    for (size_t n = 0; n < topic->count; n++)
        topic->partitions[n].next = topic->partitions[n].committed = -1;
    return KUR_OK;
}

/* The groups' topics that there are; when others came, all is read anew. */
static kur_status find_topics(kur_redrive_watch *watch, int timeout_ms, kur_error *error)
{
    const kur__redrive_plan *plan = &watch->entry->plan;
    kur_topic_list list;
    kur_status status = kur_admin_list_topics(watch->admin, timeout_ms, watch->scratch, &list, error);
    if (status != KUR_OK)
        return status;
    status = kur__redrive_check_seen(watch->admin, plan, &list, timeout_ms, watch->scratch, error);
    size_t found = 0;
    bool is_new = watch->consumer == NULL;
    for (size_t i = 0; i < list.count && status == KUR_OK; i++) {
        const struct topic *known = find(watch, list.items[i]->name);
        if (role_of(plan, list.items[i]->name) == KUR__REDRIVE_NONE)
            continue;
        found++;
        is_new = is_new || known == NULL || known->count != list.items[i]->partition_count;
    }
    if (status != KUR_OK || (!is_new && found == watch->topic_count))
        return status;
    forget(watch);
    for (size_t i = 0; i < list.count && status == KUR_OK; i++) {
        kur__redrive_role role = role_of(plan, list.items[i]->name);
        if (role != KUR__REDRIVE_NONE)
            status = add_topic(watch, list.items[i], role == KUR__REDRIVE_DEAD, error);
    }
    return status == KUR_OK ? subscribe(watch, error) : status;
}

/* ---- What the groups have finished ---- */

static void take_commit(kur_redrive_watch *watch, const kur_position *position, kur_status *status)
{
    struct topic *topic = find(watch, position->topic);
    if (topic == NULL || position->partition < 0 || (size_t)position->partition >= topic->count)
        return;
    struct partition *partition = &topic->partitions[position->partition];
    /* Where several groups read one topic, what the slowest of them has finished counts. */
    if (partition->committed >= 0 && partition->committed <= position->offset)
        return;
    partition->committed = position->offset;
    partition->ledger = KUR_LEDGER_VIEW();
    if (position->offset >= 0 && kur_ledger_read(position->metadata, position->offset, watch->answers,
                                                 &partition->ledger, NULL) == KUR_ERROR_NO_MEMORY)
        *status = KUR_ERROR_NO_MEMORY;
}

static kur_status ask_commits(kur_redrive_watch *watch, int timeout_ms, kur_error *error)
{
    const kur__redrive_plan *plan = &watch->entry->plan;
    kur_status status = KUR_OK;
    kur_arena_reset(watch->answers);
    for (size_t i = 0; i < watch->topic_count; i++)
        for (size_t n = 0; n < watch->topics[i].count; n++)
            watch->topics[i].partitions[n].committed = -1;
    for (size_t i = 0; i < plan->route_count && status == KUR_OK; i++) {
        const char *group = plan->routes[i].view.group;
        kur_position_list list = {0};
        bool is_asked = plan->routes[i].view.refused[0] != '\0';
        for (size_t n = 0; n < i; n++)
            is_asked = is_asked || strcmp(plan->routes[n].view.group, group) == 0;
        if (!is_asked)
            status = kur_admin_group_offsets(watch->admin, group, timeout_ms, watch->answers, &list, error);
        for (size_t n = 0; n < list.count && status == KUR_OK; n++)
            take_commit(watch, list.items[n], &status);
        if (status == KUR_ERROR_NO_MEMORY)
            no_memory(error);
    }
    return status;
}

static bool is_finished(const kur_redrive_watch *watch, const struct waiting *one)
{
    const struct partition *partition = &watch->topics[one->topic].partitions[one->partition];
    const kur_ledger_view *ledger = &partition->ledger;
    if (partition->committed < 0)
        return false;
    if (one->offset < partition->committed)
        return true;
    size_t low = 0, high = ledger->range_count;
    while (low < high) { /* the first that ends behind it */
        size_t middle = low + (high - low) / 2;
        if (ledger->ranges[middle].to <= one->offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ledger->range_count && ledger->ranges[low].from <= one->offset;
}

/* ---- Reading ---- */

static kur_status ask_ends(kur_redrive_watch *watch, int timeout_ms, kur_error *error)
{
    kur_status status = KUR_OK;
    for (size_t i = 0; i < watch->topic_count && status == KUR_OK; i++) {
        const kur_topic_view *view;
        struct topic *topic = &watch->topics[i];
        status = kur_admin_describe_topic(watch->admin, topic->name, timeout_ms, watch->scratch, &view, error);
        for (size_t n = 0; status == KUR_OK && n < topic->count && n < view->partition_count; n++)
            topic->partitions[n].end = view->partitions[n]->end_offset;
    }
    return status;
}

static kur_status note(kur_redrive_watch *watch, struct topic *topic, const kur_record *record, kur_error *error)
{
    kur_retry_view view = KUR_RETRY_VIEW();
    kur_arena_reset(watch->scratch);
    kur_header_style style = kur__redrive_is_spring(topic->name) || kur_retry_tier_of(topic->name) == KUR_TIER_MAIN
                                 ? KUR_HEADERS_SPRING
                                 : KUR_HEADERS_KURIER;
    kur_status status = kur_retry_read(record, style, kur_clock_now_us(), watch->scratch, &view, error);
    if (status == KUR_OK && view.topic == NULL && style == KUR_HEADERS_SPRING)
        status = kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), watch->scratch, &view, error);
    if (status != KUR_OK)
        return status;
    uint64_t origin = view.topic != NULL ? kur__place_hash(view.topic, view.partition, view.offset)
                                         : kur__place_hash(kur_record_topic(record), kur_record_partition(record),
                                                           kur_record_offset(record));
    if (topic->is_dead)
        return kur__place_set_add(&watch->dead, origin) ? KUR_OK : no_memory(error);
    if (watch->waiting_count == watch->waiting_capacity) {
        size_t capacity = watch->waiting_capacity > 0 ? 2 * watch->waiting_capacity : 64;
        struct waiting *more = kur_realloc(watch->waiting, capacity * sizeof *more);
        if (more == NULL)
            return no_memory(error);
        watch->waiting = more;
        watch->waiting_capacity = capacity;
    }
    watch->waiting[watch->waiting_count++] = (struct waiting){.topic = (size_t)(topic - watch->topics),
                                                              .partition = kur_record_partition(record),
                                                              .offset = kur_record_offset(record),
                                                              .origin = origin};
    return KUR_OK;
}

static kur_status take(kur_redrive_watch *watch, const kur_record *record, kur_error *error)
{
    struct topic *topic = find(watch, kur_record_topic(record));
    kur_bytes id;
    if (topic == NULL || (size_t)kur_record_partition(record) >= topic->count)
        return KUR_OK;
    topic->partitions[kur_record_partition(record)].next = kur_record_offset(record) + 1;
    if (!kur_record_header_last(record, id_header, &id) || !kur_bytes_equal(id, kur_bytes_text(watch->id)))
        return KUR_OK;
    return note(watch, topic, record, error);
}

/* Whether all has been read up to the ends. */
static bool is_read(kur_redrive_watch *watch)
{
    for (size_t i = 0; i < watch->topic_count; i++)
        for (size_t n = 0; n < watch->topics[i].count; n++) {
            struct topic *topic = &watch->topics[i];
            int64_t position = -1;
            if (topic->partitions[n].next >= topic->partitions[n].end)
                continue;
            if (kur_consumer_position(watch->consumer, topic->name, (int32_t)n, &position, NULL) != KUR_OK ||
                position < topic->partitions[n].end)
                return false;
        }
    return true;
}

static kur_status read_to_ends(kur_redrive_watch *watch, int64_t until_us, kur_error *error)
{
    kur_record *batch[BATCH];
    size_t count = 0;
    kur_status status = KUR_OK;
    while (status == KUR_OK && (count > 0 || !is_read(watch))) {
        status = kur_consumer_poll_batch(watch->consumer, POLL_MS, batch, BATCH, &count, error);
        if (status == KUR_OK && watch->failed.code != KUR_OK) {
            if (error != NULL)
                *error = watch->failed;
            status = watch->failed.code;
        }
        for (size_t i = 0; i < count && status == KUR_OK; i++)
            status = take(watch, batch[i], error);
        kur_consumer_free_records(watch->consumer, batch, count);
        if (status == KUR_OK && kur_clock_monotonic_us() > until_us)
            return kur_error_set(error, KUR_ERROR_TIMEOUT, "plan %s: not everything could be read in time", watch->id);
    }
    return status;
}

/* ---- Looking ---- */

/* Drops what is finished, and counts the rest once for each origin. */
static kur_status count_pending(kur_redrive_watch *watch, int64_t *pending, kur_error *error)
{
    kur__place_set open = {0};
    size_t kept = 0;
    bool ok = true;
    for (size_t i = 0; i < watch->waiting_count && ok; i++) {
        const struct waiting one = watch->waiting[i];
        if (is_finished(watch, &one))
            continue;
        watch->waiting[kept++] = one;
        if (!kur__place_set_has(&watch->dead, one.origin))
            ok = kur__place_set_add(&open, one.origin);
    }
    if (ok)
        watch->waiting_count = kept;
    *pending = (int64_t)open.count;
    kur_free(open.places);
    return ok ? KUR_OK : no_memory(error);
}

static kur_status open_books(kur_redrive_watch *watch, int timeout_ms, kur_error *error)
{
    kur_status status = KUR_OK;
    if (!watch->has_books) {
        status = kur__books_open(&watch->books, watch->client, timeout_ms, error);
        watch->has_books = status == KUR_OK;
        if (status != KUR_OK)
            kur__books_done(&watch->books);
    }
    if (status == KUR_OK)
        status = kur__books_read(&watch->books, 0, error);
    if (status == KUR_OK && (watch->entry = kur__books_find(&watch->books, watch->id)) == NULL)
        status = kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "there is no plan %s", watch->id);
    return status;
}

static int left_ms(int64_t until_us)
{
    int64_t ms = (until_us - kur_clock_monotonic_us()) / 1000;
    return ms > TIMEOUT_LEAST_MS ? (int)ms : TIMEOUT_LEAST_MS;
}

static kur_status look(kur_redrive_watch *watch, int64_t until_us, int64_t *pending, kur_error *error)
{
    kur_arena_reset(watch->scratch);
    kur_status status = open_books(watch, left_ms(until_us), error);
    if (status == KUR_OK)
        status = find_topics(watch, left_ms(until_us), error);
    if (status == KUR_OK)
        status = ask_commits(watch, left_ms(until_us), error);
    if (status == KUR_OK)
        status = ask_ends(watch, left_ms(until_us), error);
    if (status == KUR_OK)
        status = read_to_ends(watch, until_us, error);
    return status == KUR_OK ? count_pending(watch, pending, error) : status;
}

kur_status kur_redrive_watch_look(kur_redrive_watch *watch, int timeout_ms, kur_redrive_outcomes *outcomes,
                                  kur_error *error)
{
    if (watch == NULL)
        return kur_error_null(error, "watch");
    if (outcomes == NULL || outcomes->size < sizeof(size_t) || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "outcomes is NULL, or its size is not set, or timeout_ms is negative");
    int64_t pending = 0;
    kur_status status = look(watch, kur_clock_monotonic_us() + timeout_ms * INT64_C(1000), &pending, error);
    if (status != KUR_OK)
        return status;
    /* What the runner tells may be behind what is in the topics. */
    const kur__redrive_entry *entry = watch->entry;
    int64_t failed = (int64_t)watch->dead.count, succeeded = entry->told.acknowledged - failed - pending;
    kur_redrive_outcomes now =
        KUR_REDRIVE_OUTCOMES(.state = kur__redrive_state_of(entry), .count = entry->plan.count,
                             .acknowledged = entry->told.acknowledged, .refused = entry->told.refused,
                             .succeeded = succeeded > 0 ? succeeded : 0, .failed = failed, .pending = pending);
    kur_options_give(outcomes, &now, sizeof now);
    return KUR_OK;
}
