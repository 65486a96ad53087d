/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is not as it should be, and making it so.
 *
 * Design notes: compare reads; ensure makes what is missing, then compares; apply makes, compares, changes what can be
 * changed in place, and compares again. The last comparison is what is told: what is left, not what was intended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/admin.h"
#include "kafka/client.h"

enum {
    OTHER_DIFFERENCES = 3 /* of one topic, beside its settings */
};

enum goal {
    COMPARE,
    ENSURE,
    APPLY
};

/* ---- Comparing ---- */

/* Differences of one call: room for all that there can be. */
struct found {
    kur_arena *arena;
    kur_topic_difference **items;
    size_t count;
    bool ok;
};

static kur_topic_difference *add(struct found *found, const char *topic, kur_topic_aspect aspect, const char *name,
                                 const char *wanted, const char *actual)
{
    kur_topic_difference *difference = found->items[found->count++];
    difference->topic = kur__arena_text(found->arena, topic, &found->ok);
    difference->aspect = aspect;
    difference->name = kur__arena_text(found->arena, name, &found->ok);
    difference->wanted = kur__arena_text(found->arena, wanted, &found->ok);
    difference->actual = kur__arena_text(found->arena, actual, &found->ok);
    return difference;
}

static void compare_number(struct found *found, const char *topic, kur_topic_aspect aspect, const char *name,
                           int wanted, int actual, const char *why)
{
    char wanted_text[16], actual_text[16];
    if (wanted == 0 || wanted == actual)
        return;
    snprintf(wanted_text, sizeof wanted_text, "%d", wanted);
    snprintf(actual_text, sizeof actual_text, "%d", actual);
    kur_topic_difference *difference = add(found, topic, aspect, name, wanted_text, actual_text);
    difference->can_apply = why == NULL;
    difference->why = why;
}

static void compare_counts(struct found *found, const kur_topic_spec *spec, const struct rd_kafka_metadata_topic *topic,
                           bool is_embedded)
{
    int replication = topic->partition_cnt > 0 ? topic->partitions[0].replica_cnt : 0;
    for (int i = 1; i < topic->partition_cnt; i++)
        if (topic->partitions[i].replica_cnt < replication)
            replication = topic->partitions[i].replica_cnt;
    compare_number(found, spec->name, KUR_TOPIC_PARTITIONS, "partitions", spec->partitions, topic->partition_cnt,
                   is_embedded                               ? "the embedded broker chooses it"
                   : spec->partitions < topic->partition_cnt ? "partitions cannot be taken away"
                                                             : NULL);
    compare_number(found, spec->name, KUR_TOPIC_REPLICATION, "replication", spec->replication, replication,
                   is_embedded ? "the embedded broker chooses it" : "it needs a reassignment by Kafka's own tools");
}

/* Kafka writes lists such as cleanup.policy in the order in which they were set. */
static bool is_same(const char *name, const char *wanted, const char *actual)
{
    if (actual == NULL)
        return false;
    if (strcmp(name, "cleanup.policy") == 0)
        return kur__cleanup_of_text(wanted) == kur__cleanup_of_text(actual);
    if (strcmp(wanted, actual) == 0)
        return true;
    char *wanted_end, *actual_end;
    double a = strtod(wanted, &wanted_end), b = strtod(actual, &actual_end);
    return wanted_end != wanted && *wanted_end == '\0' && actual_end != actual && *actual_end == '\0' &&
           !(a < b || a > b) && a < 9e15 && a > -9e15;
}

static kur_status compare_configs(kur__admin_call *call, struct found *found, const kur__topic_wanted *wanted)
{
    const kur_config_view *const *configs = NULL;
    size_t count = 0;
    if (wanted->config_count == 0 || call->is_embedded)
        return KUR_OK;
    kur_status status = kur__admin_read_configs(call, wanted->spec.name, &configs, &count);
    for (size_t i = 0; status == KUR_OK && i < wanted->config_count; i++) {
        const kur_property *config = &wanted->configs[i];
        const kur_config_view *is = NULL;
        for (size_t k = 0; k < count && is == NULL; k++)
            is = strcmp(configs[k]->name, config->name) == 0 ? configs[k] : NULL;
        if (is == NULL)
            return kur_error_set(&call->error, KUR_ERROR_CONFIG, "topic %s: the broker knows no setting %s",
                                 wanted->spec.name, config->name);
        if (is_same(config->name, config->value, is->value))
            continue;
        kur_topic_difference *difference =
            add(found, wanted->spec.name, KUR_TOPIC_SETTING, config->name, config->value, is->value);
        difference->can_apply = !is->is_read_only;
        difference->why = is->is_read_only ? "the broker does not let it be changed" : NULL;
    }
    return status;
}

static kur_status compare_one(kur__admin_call *call, struct found *found, const kur__topic_wanted *wanted)
{
    const struct rd_kafka_metadata *metadata = NULL;
    const char *name = wanted->spec.name;
    kur_status status = kur__admin_metadata(call, name, &metadata);
    if (status != KUR_OK)
        return status;
    const struct rd_kafka_metadata_topic *topic = kur__metadata_find(metadata, name);
    if (topic == NULL)
        add(found, name, KUR_TOPIC_EXISTENCE, "topic", "", NULL)->can_apply = true;
    else if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = kur__admin_failed(call, topic->err, NULL, "topic %s", name);
    else
        compare_counts(found, &wanted->spec, topic, call->is_embedded);
    rd_kafka_metadata_destroy(metadata);
    if (status == KUR_OK && topic != NULL)
        status = compare_configs(call, found, wanted);
    return status;
}

static kur_status compare(kur__admin_call *call, const kur__topic_wanted *wanted, size_t count, struct found *found)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        most += OTHER_DIFFERENCES + wanted[i].config_count;
    *found = (struct found){call->arena, kur__views_new(call->arena, most, sizeof(kur_topic_difference)), 0, true};
    if (found->items == NULL)
        return kur__admin_no_memory(call);
    for (size_t i = 0; i < count; i++) {
        size_t before = found->count;
        kur_status status;
        while ((status = compare_one(call, found, &wanted[i])) != KUR_OK && kur__admin_again(call))
            found->count = before;
        if (status != KUR_OK)
            return status;
    }
    return found->ok ? KUR_OK : kur__admin_no_memory(call);
}

/* ---- Changing ---- */

/* By asking for it as a producer: the embedded broker has no other way, and newer ones listen to who asks. */
static kur_status ask_for(kur__admin_call *call, rd_kafka_t *producer, const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
    rd_kafka_resp_err_t code =
        handle != NULL ? rd_kafka_metadata(producer, 0, handle, &metadata, kur__deadline_left_ms(&call->deadline))
                       : rd_kafka_last_error();
    if (handle != NULL)
        rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kur__admin_failed(call, code, NULL, "topic %s", topic);
    rd_kafka_metadata_destroy(metadata);
    return kur__admin_wait_topic(call, topic, 1);
}

static kur_status make_embedded(kur__admin_call *call, const kur__topic_wanted *missing, size_t count)
{
    kur__connection connection;
    kur_client *client = call->admin->client;
    rd_kafka_conf_t *conf = kur__client_conf(client, RD_KAFKA_PRODUCER, &call->error);
    rd_kafka_t *producer = conf == NULL ? NULL
                                        : kur__connection_open(&connection, kur__client_log(client), NULL,
                                                               RD_KAFKA_PRODUCER, conf, &call->error);
    if (producer == NULL)
        return call->error.code;
    kur_status status = KUR_OK;
    for (size_t i = 0; status == KUR_OK && i < count; i++)
        status = ask_for(call, producer, missing[i].spec.name);
    rd_kafka_destroy(producer);
    kur__connection_done(&connection);
    return status;
}

/* Makes those that `found` says are missing. */
static kur_status make_missing(kur__admin_call *call, kur__topic_wanted *wanted, size_t count,
                               const struct found *found)
{
    size_t missing_count = 0;
    kur__topic_wanted *missing = kur_arena_alloc(call->arena, count * sizeof *missing);
    if (missing == NULL)
        return kur__admin_no_memory(call);
    for (size_t i = 0; i < found->count; i++)
        for (size_t k = 0; k < count && found->items[i]->aspect == KUR_TOPIC_EXISTENCE; k++)
            if (strcmp(found->items[i]->topic, wanted[k].spec.name) == 0) {
                wanted[k].is_made = true;
                missing[missing_count++] = wanted[k];
            }
    if (missing_count == 0)
        return KUR_OK;
    kur_status status = call->is_embedded ? make_embedded(call, missing, missing_count)
                                          : kur__admin_make_topics(call, missing, missing_count, true);
    kur__admin_changed(call);
    return status;
}

static kur_status wait_usable(kur__admin_call *call, const kur__topic_wanted *wanted, size_t count)
{
    kur_status status = KUR_OK;
    for (size_t i = 0; status == KUR_OK && i < count; i++)
        status = kur__admin_wait_topic(call, wanted[i].spec.name, 1);
    return status;
}

static kur_status add_partitions(kur__admin_call *call, const char *topic, int partitions)
{
    char why[256], what[300];
    rd_kafka_NewPartitions_t *request_of = rd_kafka_NewPartitions_new(topic, (size_t)partitions, why, sizeof why);
    if (request_of == NULL)
        return kur_error_set(&call->error, KUR_ERROR_INVALID_ARGUMENT, "topic %s: %s", topic, why);
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    snprintf(what, sizeof what, "topic %s: adding partitions", topic);
    rd_kafka_CreatePartitions(call->handle->rk, &request_of, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, what);
    rd_kafka_NewPartitions_destroy(request_of);
    if (event == NULL)
        return call->error.code;
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
    rd_kafka_resp_err_t code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
    kur_status status = KUR_OK;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = kur__admin_failed(call, code, count == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL, "%s",
                                   what);
    rd_kafka_event_destroy(event);
    return status == KUR_OK ? kur__admin_wait_topic(call, topic, partitions) : status;
}

/* What can be changed of one topic; its differences stand together. */
static kur_status change_one(kur__admin_call *call, kur_topic_difference *const *differences, size_t count)
{
    kur_status status = KUR_OK;
    size_t config_count = 0;
    kur_property *configs = kur_arena_alloc(call->arena, count * sizeof *configs);
    if (configs == NULL)
        return kur__admin_no_memory(call);
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        const kur_topic_difference *difference = differences[i];
        if (!difference->can_apply)
            continue;
        if (difference->aspect == KUR_TOPIC_PARTITIONS)
            status = add_partitions(call, difference->topic, atoi(difference->wanted));
        else if (difference->aspect == KUR_TOPIC_SETTING)
            configs[config_count++] = (kur_property){difference->name, difference->wanted};
    }
    if (status == KUR_OK && config_count > 0)
        status = kur__admin_write_configs(call, differences[0]->topic, configs, config_count);
    return status;
}

static kur_status change(kur__admin_call *call, const struct found *found)
{
    kur_status status = KUR_OK;
    for (size_t i = 0, next; i < found->count && status == KUR_OK; i = next) {
        for (next = i + 1; next < found->count && strcmp(found->items[next]->topic, found->items[i]->topic) == 0;)
            next++;
        status = change_one(call, found->items + i, next - i);
    }
    return status;
}

/* Whether a difference is one that this call has just done away with, as far as it knows. */
static bool should_be_gone(enum goal goal, const kur__topic_wanted *wanted, size_t count,
                           const kur_topic_difference *difference)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(wanted[i].spec.name, difference->topic) == 0)
            return difference->can_apply && (goal == APPLY || wanted[i].is_made);
    return false;
}

static kur_status compare_settled(kur__admin_call *call, enum goal goal, const kur__topic_wanted *wanted, size_t count,
                                  struct found *found)
{
    kur_status status;
    bool waits;
    do {
        waits = false;
        status = compare(call, wanted, count, found);
        for (size_t i = 0; status == KUR_OK && i < found->count; i++)
            waits = waits || should_be_gone(goal, wanted, count, found->items[i]);
    } while (waits && kur__admin_settles(call));
    return status;
}

static kur_status work(kur__admin_call *call, enum goal goal, kur__topic_wanted *wanted, size_t count,
                       kur_topic_differences *differences)
{
    struct found found;
    kur_status status = compare(call, wanted, count, &found);
    if (status == KUR_OK && goal != COMPARE) {
        status = make_missing(call, wanted, count, &found);
        if (status == KUR_OK)
            status = wait_usable(call, wanted, count);
        if (status == KUR_OK)
            status = compare_settled(call, ENSURE, wanted, count, &found);
    }
    if (status == KUR_OK && goal == APPLY && found.count > 0) {
        status = change(call, &found);
        kur__admin_changed(call);
        if (status == KUR_OK)
            status = compare_settled(call, APPLY, wanted, count, &found);
    }
    if (status == KUR_OK && differences != NULL)
        *differences = (kur_topic_differences){found.count, (const kur_topic_difference *const *)found.items};
    return status;
}

static kur_status begin_work(kur_admin *admin, enum goal goal, const kur_topic_spec *specs, size_t count,
                             int timeout_ms, kur_arena *arena, kur_topic_differences *differences, kur_error *error)
{
    if (admin == NULL || specs == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : "wanted");
    if ((arena == NULL) != (differences == NULL) || (goal == COMPARE && arena == NULL))
        return kur_error_null(error, arena == NULL ? "arena" : "differences");
    kur_arena *used = arena != NULL ? arena : kur_arena_new();
    if (used == NULL)
        return kur__error_no_memory(error);
    kur__topic_wanted *wanted = NULL;
    kur_status status = kur__topics_want(specs, count, used, &wanted, error);
    if (status == KUR_OK) {
        kur__admin_call call;
        kur_topic_differences result;
        status = kur__admin_begin(&call, admin, timeout_ms, used);
        if (status == KUR_OK)
            status = work(&call, goal, wanted, count, &result);
        if (status == KUR_OK && differences != NULL)
            *differences = result;
        status = kur__admin_end(&call, status, error);
    }
    if (used != arena)
        kur_arena_free(used);
    return status;
}

kur_status kur_admin_compare_topics(kur_admin *admin, const kur_topic_spec *wanted, size_t count, int timeout_ms,
                                    kur_arena *arena, kur_topic_differences *differences, kur_error *error)
{
    return begin_work(admin, COMPARE, wanted, count, timeout_ms, arena, differences, error);
}

kur_status kur_admin_ensure_topics(kur_admin *admin, const kur_topic_spec *wanted, size_t count, int timeout_ms,
                                   kur_arena *arena, kur_topic_differences *differences, kur_error *error)
{
    return begin_work(admin, ENSURE, wanted, count, timeout_ms, arena, differences, error);
}

kur_status kur_admin_apply_topics(kur_admin *admin, const kur_topic_spec *wanted, size_t count, int timeout_ms,
                                  kur_arena *arena, kur_topic_differences *differences, kur_error *error)
{
    return begin_work(admin, APPLY, wanted, count, timeout_ms, arena, differences, error);
}

/* ---- For people ---- */

static kur_status print_one(const kur_topic_difference *difference, kur_buffer *buffer)
{
    if (difference->aspect == KUR_TOPIC_EXISTENCE)
        return kur_buffer_print(buffer, "%s: missing\n", difference->topic);
    return kur_buffer_print(buffer, "%s: %s is %s, should be %s%s%s%s\n", difference->topic, difference->name,
                            difference->actual != NULL ? difference->actual : "not shown", difference->wanted,
                            difference->why != NULL ? " (" : "", difference->why != NULL ? difference->why : "",
                            difference->why != NULL ? ")" : "");
}

kur_status kur_topic_differences_print(const kur_topic_differences *differences, kur_buffer *buffer, kur_error *error)
{
    if (differences == NULL || buffer == NULL)
        return kur_error_null(error, differences == NULL ? "differences" : "buffer");
    if (differences->count > 0 && differences->items == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "differences->items is NULL");
    size_t size = buffer->size;
    for (size_t i = 0; i < differences->count; i++)
        if (print_one(differences->items[i], buffer) != KUR_OK) {
            buffer->size = size;
            if (buffer->data != NULL)
                buffer->data[size] = '\0';
            return kur__error_no_memory(error);
        }
    return KUR_OK;
}
