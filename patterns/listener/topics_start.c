/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a thread that makes or checks the listener's own topics, beside its work: neither the start nor the
 * topics that are listened to wait for it. It looks at all families that are not ready, and sleeps until it is to try
 * again, or a pattern has matched something new, or the listener ends. What is in the way is told, and tried again,
 * unless waiting cannot help: then the listener ends.
 *
 * Of a topic that is listened to and is not there nothing can be known; its own topics come when it has come.
 *
 * Each question has a short time, longer after each that was not answered, so that freeing the listener need not wait
 * for brokers that are silent.
 */
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>
#include <stdio.h>
#include <string.h>

#include "listener/topics.h"

enum {
    QUESTION_MS = 1000,
    QUESTION_MS_MAX = 4000,
    AGAIN_MS = 1000,
    MISSING_MS = 5000, /* between two looks for a topic that is listened to and is not there */
    IDLE_MS = 60000,
    MORE_BYTES = 16,    /* " and 99 more" */
    INVALID_TOPIC = 17, /* Kafka's numbers: a name that no topic can have beside the others */
    INVALID_CONFIG = 40 /* a setting that the broker will never take */
};

/* What a look has found. */
struct look {
    kur_topic_list topics; /* those that there are */
    bool is_embedded;
    bool has_news; /* a family has become ready, whoever has made its topics */
    int waits_ms;  /* the next look is due then */
    kur_buffer missing, command, line;
    size_t missing_count;
};

/* ---- Telling ---- */

static void tell(struct kur__tiers *tiers, const kur_error *error, const char *what, const char *needs)
{
    /* The client says by itself that no broker answers. */
    bool is_first_time_out = error->code == KUR_ERROR_TIMEOUT && tiers->next_tell_us == 0;
    if (!kur__once_in_a_while(&tiers->next_tell_us) || is_first_time_out)
        return;
    kur_client_log(tiers->listener->client, KUR_LOG_WARNING, "group %s: its topics of %s are not ready yet: %s%s",
                   tiers->listener->group, what, error->message, needs);
}

/* What a refusal asks for. */
static void name_rights(const struct kur__tiers *tiers, const struct kur__family *family, bool is_source,
                        kur_buffer *needs)
{
    if (is_source) {
        kur_buffer_print(needs, "; needed are the rights Describe and DescribeConfigs on topic %s",
                         family->names[KUR_TIER_MAIN]);
        return;
    }
    const char *name = family->retries[0];
    const char *end = strstr(name, ".retry-");
    kur_buffer_print(needs, "; needed are the rights %sDescribe and DescribeConfigs on topics that begin with %.*s",
                     tiers->options.topics == KUR_TOPICS_CREATE ? "Create, " : "",
                     end != NULL ? (int)(end - name) + 1 : (int)strlen(name), name);
}

/* Whether the listener ends with it. What somebody may have made that matches a pattern is told, and does not end it.
 */
static bool is_for_good(const struct kur__tiers *tiers, const kur_error *error)
{
    return error->code == KUR_ERROR_UNSUPPORTED ||
           (error->code == KUR_ERROR_INVALID_ARGUMENT && tiers->listener->pattern == NULL) ||
           (error->code == KUR_ERROR_CONFIG && (error->kafka_code == 0 || error->kafka_code == INVALID_CONFIG)) ||
           (error->code == KUR_ERROR_AUTHORIZATION && tiers->options.topics == KUR_TOPICS_CHECK);
}

static void take_error(struct kur__tiers *tiers, const struct kur__family *family, bool is_source,
                       const kur_error *error)
{
    char storage[400] = "";
    kur_buffer needs = kur_buffer_over(storage, sizeof storage);
    if (error->code == KUR_ERROR_AUTHORIZATION && family != NULL)
        name_rights(tiers, family, is_source, &needs);
    if (error->kafka_code == INVALID_TOPIC)
        kur_buffer_print(&needs, "; Kafka makes no topic a_b beside a.b: .retry_topics.prefix gives other names");
    if (is_for_good(tiers, error)) {
        kur_error ends = *error;
        if (needs.size > 0)
            kur_error_set(&ends, error->code, "%.*s%s", (int)(sizeof ends.message - 1 - needs.size), error->message,
                          needs.data);
        kur__listener_fail(tiers->listener, &ends);
    } else {
        tell(tiers, error, family != NULL ? family->names[KUR_TIER_MAIN] : "all that it listens to", needs.data);
    }
    kur_buffer_done(&needs);
}

static void tell_differences(struct kur__tiers *tiers, struct look *look, const kur_topic_differences *differences)
{
    for (size_t i = 0; i < differences->count && !look->is_embedded; i++) {
        const kur_topic_difference *difference = differences->items[i];
        if (difference->aspect == KUR_TOPIC_EXISTENCE || !kur__tiers_matters(tiers, difference))
            continue;
        look->line.size = 0;
        if (kur__tiers_print_mending(difference, &look->line) == KUR_OK)
            kur_client_log(tiers->listener->client, KUR_LOG_WARNING, "group %s: %s", tiers->listener->group,
                           look->line.data);
    }
}

/* ---- A family ---- */

static const kur_topic_view *find(const struct look *look, const char *name)
{
    for (size_t i = 0; i < look->topics.count; i++)
        if (strcmp(look->topics.items[i]->name, name) == 0)
            return look->topics.items[i];
    return NULL;
}

/* Where keys keep their order, a record goes on in the partition with the same number. */
static kur_status check_partitions(const struct kur__tiers *tiers, struct look *look, const char *source,
                                   const kur_topic_differences *differences, kur_error *error)
{
    for (size_t i = 0; tiers->keeps_order && i < differences->count; i++) {
        const kur_topic_difference *one = differences->items[i];
        if (one->aspect != KUR_TOPIC_PARTITIONS || kur_retry_tier_of(one->topic) == KUR_TIER_DEAD)
            continue;
        look->line.size = 0;
        if (kur__tiers_print_mending(one, &look->line) != KUR_OK)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: topics");
        return kur_error_set(error, look->is_embedded ? KUR_ERROR_UNSUPPORTED : KUR_ERROR_CONFIG,
                             ".keep_order needs as many partitions as %.100s has: %s%s", source, look->line.data,
                             look->is_embedded ? "; kur_embedded_broker_topic makes it before" : "");
    }
    return KUR_OK;
}

static void note_missing(struct kur__tiers *tiers, struct look *look, const kur_topic_spec *specs, size_t count,
                         const kur_topic_differences *differences)
{
    for (size_t i = 0; i < differences->count; i++)
        for (size_t k = 0; k < count && differences->items[i]->aspect == KUR_TOPIC_EXISTENCE; k++) {
            if (strcmp(differences->items[i]->topic, specs[k].name) != 0)
                continue;
            kur_buffer_print(&look->missing, "%s%s", look->missing_count > 0 ? ", " : "", specs[k].name);
            kur_buffer *line = &look->line;
            line->size = 0;
            bool has_line = kur__tiers_print_creation(&specs[k], line) == KUR_OK;
            kur_client_log(tiers->listener->client, KUR_LOG_ERROR, "group %s: a topic is missing, %s%s",
                           tiers->listener->group, has_line ? "which this makes: " : specs[k].name,
                           has_line ? line->data : "");
            if (look->missing_count++ == 0 && has_line)
                kur_buffer_append(&look->command, line->data, line->size);
        }
}

static kur_status settle(struct kur__tiers *tiers, struct look *look, const struct kur__family *family,
                         const kur_topic_view *source, kur_error *error)
{
    kur_topic_differences differences = {0};
    kur_topic_spec *specs = kur_arena_alloc(tiers->answers, (KUR__TIERS + tiers->route_count + 1) * sizeof *specs);
    if (specs == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: topics");
    size_t count = kur__tiers_specify(tiers, family, source, specs);
    kur_status (*do_it)(kur_admin * admin, const kur_topic_spec *wanted, size_t wanted_count, int timeout_ms,
                        kur_arena *arena, kur_topic_differences *found, kur_error *why) =
        tiers->options.topics == KUR_TOPICS_CHECK ? kur_admin_compare_topics : kur_admin_ensure_topics;
    kur_status status = do_it(tiers->admin, specs, count, tiers->question_ms, tiers->answers, &differences, error);
    if (status == KUR_OK)
        status = check_partitions(tiers, look, source->name, &differences, error);
    if (status != KUR_OK)
        return status;
    if (tiers->options.topics == KUR_TOPICS_CHECK)
        note_missing(tiers, look, specs, count, &differences);
    tell_differences(tiers, look, &differences);
    return KUR_OK;
}

static bool is_listed(const char *const *list, const char *name)
{
    while (*list != NULL && strcmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

/* `all`: they have just been made. Else those that the list has: of the others nothing is known yet. */
static void note_there(const struct kur__tiers *tiers, const struct look *look, struct kur__family *family, bool all)
{
    size_t routes = tiers->has_dead_letters ? tiers->route_count : 0;
    for (size_t i = 0; i < KUR__TIERS + routes; i++) {
        const char *name = i < KUR__TIERS ? family->names[i] : family->routes[i - KUR__TIERS];
        bool is_made = all && name != NULL && (is_listed(family->retries, name) || is_listed(family->dead, name));
        if (is_made || (name != NULL && find(look, name) != NULL))
            atomic_store(&family->there[i].is_there, true);
    }
}

/* Whether there is a retry topic that is none of those that are made, and yet is read. */
static bool is_other(const struct kur__tiers *tiers, const struct kur__family *family, int tier)
{
    return !tiers->options.written_only && atomic_load(&family->there[tier].is_there) &&
           !is_listed(family->retries, family->names[tier]);
}

static bool has_others(const struct kur__tiers *tiers, const struct kur__family *family)
{
    bool has = false;
    for (int tier = KUR_TIER_SHORT; tier < KUR_TIER_DEAD; tier++)
        has = has || is_other(tiers, family, tier);
    return has;
}

static void look_at(struct kur__tiers *tiers, struct look *look, struct kur__family *family)
{
    kur_error error = {0};
    const kur_topic_view *source = NULL;
    if (find(look, family->names[KUR_TIER_MAIN]) == NULL) {
        look->waits_ms = look->waits_ms < MISSING_MS ? look->waits_ms : MISSING_MS;
        return;
    }
    note_there(tiers, look, family, false);
    bool is_source = true;
    kur_status status = kur_admin_describe_topic(tiers->admin, family->names[KUR_TIER_MAIN], tiers->question_ms,
                                                 tiers->answers, &source, &error);
    if (status == KUR_OK) {
        is_source = false;
        status = settle(tiers, look, family, source, &error);
    }
    if (status == KUR_OK) {
        note_there(tiers, look, family, tiers->options.topics == KUR_TOPICS_CREATE);
        atomic_store(&family->is_ready, true);
        look->has_news = true;
        if (has_others(tiers, family))
            atomic_store(&tiers->has_others, true);
        return;
    }
    look->waits_ms = AGAIN_MS;
    if (status == KUR_ERROR_TIMEOUT && tiers->question_ms < QUESTION_MS_MAX)
        tiers->question_ms *= 2;
    take_error(tiers, family, is_source, &error);
}

/* ---- A look ---- */

static bool is_over(const struct kur__tiers *tiers)
{
    return atomic_load(&tiers->ends) || atomic_load(&tiers->listener->stop_requested);
}

static bool are_all_ready(const struct kur__tiers *tiers)
{
    for (const struct kur__family *family = atomic_load(&tiers->first); family != NULL; family = family->next)
        if (!atomic_load(&family->is_ready))
            return false;
    return true;
}

static kur_status ask_topics(struct kur__tiers *tiers, struct look *look, kur_error *error)
{
    const kur_cluster_view *cluster = NULL;
    if (tiers->admin == NULL)
        tiers->admin = kur_admin_new(tiers->listener->client, error);
    if (tiers->admin == NULL)
        return error->code;
    kur_status status = kur_admin_cluster(tiers->admin, tiers->question_ms, tiers->answers, &cluster, error);
    if (status == KUR_OK)
        status = kur_admin_list_topics(tiers->admin, tiers->question_ms, tiers->answers, &look->topics, error);
    if (status == KUR_OK)
        look->is_embedded = cluster->kind == KUR_CLUSTER_EMBEDDED;
    return status;
}

/* The size of so many names of a list as there is room for, whole ones, and at least one. */
static size_t whole_names(const char *names, size_t room, size_t *count)
{
    size_t size = strcspn(names, ",");
    for (*count = 1; names[size] == ','; ++*count) {
        size_t next = size + 2 + strcspn(names + size + 2, ",");
        if (next > room)
            break;
        size = next;
    }
    return size;
}

/*
 * Nothing is made here: it is for somebody else to do, and then to start again. The log has all of it; the error has
 * room for some names, and for the first command when it is not too long: half of one would make a topic of another
 * kind.
 */
static void end_with_missing(const struct kur__tiers *tiers, struct look *look)
{
    kur_error error;
    char more[32] = "";
    bool has_names = look->missing.size > 0;
    const char *names = has_names ? look->missing.data : "topics"; /* no memory, not even for that */
    const char *others = look->missing_count > 1 ? " (more: see the log)" : "";
    const char *made_by = "; made by: ", *command = look->command.size > 0 ? look->command.data : "";
    size_t room = sizeof error.message - sizeof "missing: " - MORE_BYTES, told;
    size_t first = whole_names(names, 0, &told);
    if (command[0] == '\0' || first + strlen(made_by) + strlen(command) + strlen(others) > room) {
        made_by = "; the log has the commands that make them";
        command = others = "";
    }
    size_t size = whole_names(names, room - strlen(made_by) - strlen(command) - strlen(others), &told);
    if (has_names && told < look->missing_count)
        snprintf(more, sizeof more, " and %zu more", look->missing_count - told);
    kur_error_set(&error, KUR_ERROR_UNKNOWN_TOPIC, "missing: %.*s%s%s%s%s", (int)size, names, more, made_by, command,
                  others);
    kur__listener_fail(tiers->listener, &error);
}

/* When to look again, in ms. */
static int look_around(struct kur__tiers *tiers)
{
    kur_error error = {0};
    struct look look = {.waits_ms = IDLE_MS};
    if (are_all_ready(tiers))
        return look.waits_ms;
    kur_arena_reset(tiers->answers);
    if (ask_topics(tiers, &look, &error) != KUR_OK) {
        look.waits_ms = AGAIN_MS;
        if (error.code == KUR_ERROR_TIMEOUT && tiers->question_ms < QUESTION_MS_MAX)
            tiers->question_ms *= 2;
        take_error(tiers, NULL, false, &error);
        return look.waits_ms;
    }
    for (struct kur__family *family = atomic_load(&tiers->first); family != NULL && !is_over(tiers);
         family = family->next)
        if (!atomic_load(&family->is_ready))
            look_at(tiers, &look, family);
    if (look.missing_count > 0)
        end_with_missing(tiers, &look);
    else if (look.has_news) {
        atomic_store(&tiers->has_news, true);
        kur_consumer_look_up(tiers->listener->consumer, NULL); /* wakes the control thread too */
    }
    kur_buffer_done(&look.missing);
    kur_buffer_done(&look.command);
    kur_buffer_done(&look.line);
    return look.waits_ms;
}

static void *run(void *user)
{
    struct kur__tiers *tiers = user;
    while (!is_over(tiers)) {
        pthread_mutex_lock(&tiers->lock);
        tiers->is_changed = false;
        pthread_mutex_unlock(&tiers->lock);
        int waits_ms = look_around(tiers);
        struct timespec until = kur_deadline_after(waits_ms);
        pthread_mutex_lock(&tiers->lock);
        while (!tiers->is_changed && !is_over(tiers) &&
               pthread_cond_timedwait(&tiers->changed, &tiers->lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&tiers->lock);
    }
    return NULL;
}

/* ---- Life ---- */

static void wake(struct kur__tiers *tiers)
{
    pthread_mutex_lock(&tiers->lock);
    tiers->is_changed = true;
    pthread_cond_signal(&tiers->changed);
    pthread_mutex_unlock(&tiers->lock);
}

kur_status kur__tiers_start(kur_listener *listener, kur_error *error)
{
    struct kur__tiers *tiers = listener->tiers;
    if (tiers == NULL)
        return KUR_OK;
    tiers->question_ms = QUESTION_MS;
    tiers->answers = kur_arena_new();
    if (tiers->answers == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    int failed = kur_thread_start(&tiers->thread, run, tiers);
    if (failed != 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for the listener's topics: %s", strerror(failed));
    tiers->has_thread = true;
    return KUR_OK;
}

void kur__tiers_stop(kur_listener *listener)
{
    struct kur__tiers *tiers = listener->tiers;
    if (tiers == NULL)
        return;
    atomic_store(&tiers->ends, true);
    if (tiers->has_thread) {
        wake(tiers);
        pthread_join(tiers->thread, NULL);
    }
    tiers->has_thread = false;
    kur_admin_free(tiers->admin);
    kur_arena_free(tiers->answers);
    tiers->admin = NULL;
    tiers->answers = NULL;
}

/* ---- What is read with a topic ---- */

/* Once: nothing will have changed at the next look. */
static void refuse(struct kur__tiers *tiers, const char *topic, const kur_error *why)
{
    size_t size = strlen(topic) + 1;
    struct kur__refused *refused = kur_arena_alloc(tiers->arena, sizeof *refused + size);
    if (refused == NULL)
        return;
    memcpy(refused->topic, topic, size);
    refused->next = tiers->refused;
    tiers->refused = refused;
    kur_client_log(tiers->listener->client, KUR_LOG_ERROR, "group %s: topic %s matches and is not read: %s",
                   tiers->listener->group, topic, why->message);
}

kur_status kur__companions(kur_consumer *consumer, const char *topic, const char *const **companions, void *user,
                           kur_error *error)
{
    const kur_listener *listener = user;
    struct kur__tiers *tiers = listener->tiers;
    const char *of = NULL;
    kur_tier tier = KUR_TIER_MAIN;
    (void)consumer;
    for (const struct kur__refused *refused = tiers->refused; refused != NULL; refused = refused->next)
        if (strcmp(refused->topic, topic) == 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is not read", topic);
    const struct kur__family *family = kur__tiers_find(tiers, topic);
    if (family == NULL && kur__topics_of(listener, topic, &of, &tier))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s belongs to %s", topic, of);
    if (family == NULL) {
        kur_error why = {0};
        kur_status status = kur__tiers_add(tiers, topic, &family, &why);
        if (status != KUR_OK) {
            if (status != KUR_ERROR_NO_MEMORY)
                refuse(tiers, topic, &why);
            if (error != NULL)
                *error = why;
            return status;
        }
        wake(tiers);
    }
    const char **at = family->companions;
    for (const char *const *name = family->read; *name != NULL; name++)
        *at++ = *name;
    for (tier = KUR_TIER_SHORT; tier < KUR_TIER_DEAD; tier++)
        if (is_other(tiers, family, tier))
            *at++ = family->names[tier];
    *at = NULL;
    *companions = family->companions;
    return KUR_OK;
}

void kur__topics_hear(kur_listener *listener, int64_t now_us)
{
    if (listener->tiers != NULL && atomic_load_explicit(&listener->tiers->has_news, memory_order_relaxed) &&
        atomic_exchange(&listener->tiers->has_news, false))
        kur__machine_effects_now(&listener->machine, now_us);
}

void kur__topics_serve(kur_listener *listener)
{
    kur_error error = {0};
    if (listener->tiers == NULL || !atomic_exchange(&listener->tiers->has_others, false) || listener->pattern != NULL)
        return; /* with a pattern they are asked for at each look */
    if (kur_consumer_subscribe(listener->consumer, (const char *const *)listener->topics, &error) != KUR_OK)
        kur__listener_fail(listener, &error);
}
