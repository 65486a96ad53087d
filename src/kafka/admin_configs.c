/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Settings of topics: read, written, and the typed ones as Kafka writes them.
 *
 * Design notes: IncrementalAlterConfigs came with librdkafka 2.2. A library that was built with an older one finds it
 * when it runs with a newer one, for the references are weak. Without it AlterConfigs replaces all settings of a topic,
 * so those that are set are read and written back with the new ones: what somebody else sets in between is lost.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kafka/admin.h"

#if RD_KAFKA_VERSION < 0x020200ff
/* As rdkafka.h of 2.2.0 declares them. */
rd_kafka_error_t *rd_kafka_ConfigResource_add_incremental_config(rd_kafka_ConfigResource_t *config, const char *name,
                                                                 int op_type, const char *value);
void rd_kafka_IncrementalAlterConfigs(rd_kafka_t *rk, rd_kafka_ConfigResource_t **configs, size_t config_cnt,
                                      const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *rkqu);
const rd_kafka_event_t *rd_kafka_event_IncrementalAlterConfigs_result(rd_kafka_event_t *rkev);
const rd_kafka_ConfigResource_t **rd_kafka_IncrementalAlterConfigs_result_resources(const rd_kafka_event_t *result,
                                                                                    size_t *cntp);
#define RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET 0
#endif
#pragma weak rd_kafka_ConfigResource_add_incremental_config
#pragma weak rd_kafka_IncrementalAlterConfigs
#pragma weak rd_kafka_event_IncrementalAlterConfigs_result
#pragma weak rd_kafka_IncrementalAlterConfigs_result_resources

enum {
    AT_ONCE = 500 /* topics, of some forty settings each */
};

static bool has_incremental(void)
{
    return rd_kafka_IncrementalAlterConfigs != NULL && rd_kafka_ConfigResource_add_incremental_config != NULL &&
           rd_kafka_event_IncrementalAlterConfigs_result != NULL &&
           rd_kafka_IncrementalAlterConfigs_result_resources != NULL;
}

/* ---- Reading ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const kur_config_view *const *)a)->name, (*(const kur_config_view *const *)b)->name);
}

static kur_status take_entries(kur__admin_call *call, const rd_kafka_ConfigResource_t *resource,
                               const kur_config_view *const **configs, size_t *count)
{
    size_t entry_count = 0;
    bool ok = true;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &entry_count);
    kur_config_view **views = kur__views_new(call->arena, entry_count, sizeof(kur_config_view));
    if (views == NULL)
        return kur__admin_no_memory(call);
    for (size_t i = 0; i < entry_count; i++) {
        bool is_secret = rd_kafka_ConfigEntry_is_sensitive(entries[i]) != 0;
        views[i]->name = kur__arena_text(call->arena, rd_kafka_ConfigEntry_name(entries[i]), &ok);
        views[i]->value = is_secret ? NULL : kur__arena_text(call->arena, rd_kafka_ConfigEntry_value(entries[i]), &ok);
        views[i]->is_set = rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG;
        views[i]->is_read_only = rd_kafka_ConfigEntry_is_read_only(entries[i]) != 0;
    }
    if (!ok)
        return kur__admin_no_memory(call);
    qsort(views, entry_count, sizeof *views, by_name);
    *configs = (const kur_config_view *const *)views;
    *count = entry_count;
    return KUR_OK;
}

/* The one resource of an answer, when the broker did what it was asked for. */
static kur_status check_resource(kur__admin_call *call, const rd_kafka_ConfigResource_t **resources, size_t count,
                                 const char *topic)
{
    if (count != 1)
        return kur__admin_failed(call, RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "settings of topic %s", topic);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[0]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return KUR_OK;
    const char *text = code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
                           ? "to see them takes DESCRIBE_CONFIGS, to change them ALTER_CONFIGS"
                           : rd_kafka_ConfigResource_error_string(resources[0]);
    return kur__admin_failed(call, code, text, "settings of topic %s", topic);
}

/* The resources come in the order of the topics. NULL with the call's error set. */
static rd_kafka_event_t *ask_configs(kur__admin_call *call, const char *const *topics, size_t count,
                                     const rd_kafka_ConfigResource_t ***resources)
{
    rd_kafka_ConfigResource_t **asked = kur_arena_alloc(call->arena, count * sizeof *asked);
    if (asked == NULL) {
        kur__admin_no_memory(call);
        return NULL;
    }
    kur__admin_request request;
    for (size_t i = 0; i < count; i++)
        asked[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i]);
    kur__admin_request_init(call, &request);
    rd_kafka_DescribeConfigs(call->handle->rk, asked, count, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "settings of topics");
    rd_kafka_ConfigResource_destroy_array(asked, count);
    if (event == NULL)
        return NULL;
    size_t answered = 0;
    *resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &answered);
    if (answered == count)
        return event;
    rd_kafka_event_destroy(event);
    kur__admin_failed(call, RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "settings of %zu topics", count);
    return NULL;
}

static kur_status read_once(kur__admin_call *call, const char *topic, const kur_config_view *const **configs,
                            size_t *count)
{
    const rd_kafka_ConfigResource_t **resources;
    rd_kafka_event_t *event = ask_configs(call, &topic, 1, &resources);
    if (event == NULL)
        return call->error.code;
    kur_status status = check_resource(call, resources, 1, topic);
    if (status == KUR_OK)
        status = take_entries(call, resources[0], configs, count);
    rd_kafka_event_destroy(event);
    return status;
}

kur_status kur__admin_read_configs(kur__admin_call *call, const char *topic, const kur_config_view *const **configs,
                                   size_t *count)
{
    do {
        if (read_once(call, topic, configs, count) == KUR_OK)
            return KUR_OK;
    } while (kur__admin_again_known(call));
    return call->error.code;
}

static kur_status read_settings_once(kur__admin_call *call, kur_topic_view *const *views, const char *const *names,
                                     size_t count)
{
    const rd_kafka_ConfigResource_t **resources;
    rd_kafka_event_t *event = ask_configs(call, names, count, &resources);
    if (event == NULL)
        return call->error.code;
    kur_status status = KUR_OK;
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        if (rd_kafka_ConfigResource_error(resources[i]) == RD_KAFKA_RESP_ERR_NO_ERROR)
            status = take_entries(call, resources[i], &views[i]->configs, &views[i]->config_count);
    rd_kafka_event_destroy(event);
    return status;
}

kur_status kur__admin_read_settings(kur__admin_call *call, kur_topic_view *const *views, size_t count)
{
    const char **names = kur_arena_alloc(call->arena, count * sizeof *names);
    if (names == NULL)
        return kur__admin_no_memory(call);
    for (size_t i = 0; i < count; i++)
        names[i] = views[i]->name;
    for (size_t begin = 0; begin < count; begin += AT_ONCE) {
        size_t some = count - begin < AT_ONCE ? count - begin : AT_ONCE;
        kur_status status;
        do
            status = read_settings_once(call, views + begin, names + begin, some);
        while (status != KUR_OK && kur__admin_again(call));
        if (status != KUR_OK)
            return status;
    }
    return KUR_OK;
}

const char *kur__config_value(const kur_config_view *const *configs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(configs[i]->name, name) == 0)
            return configs[i]->value;
    return NULL;
}

/* ---- Writing ---- */

static bool names(const kur_property *configs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(configs[i].name, name) == 0)
            return true;
    return false;
}

/* All that is set, with the new values: for AlterConfigs. */
static kur_status merge(kur__admin_call *call, rd_kafka_ConfigResource_t *resource, const char *topic,
                        const kur_property *configs, size_t count)
{
    const kur_config_view *const *are;
    size_t are_count;
    kur_status status = kur__admin_read_configs(call, topic, &are, &are_count);
    for (size_t i = 0; status == KUR_OK && i < are_count; i++)
        if (are[i]->is_set && are[i]->value != NULL && !names(configs, count, are[i]->name))
            rd_kafka_ConfigResource_set_config(resource, are[i]->name, are[i]->value);
    for (size_t i = 0; status == KUR_OK && i < count; i++)
        rd_kafka_ConfigResource_set_config(resource, configs[i].name, configs[i].value);
    return status;
}

static kur_status write_merged(kur__admin_call *call, const char *topic, rd_kafka_ConfigResource_t *resource)
{
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    rd_kafka_AlterConfigs(call->handle->rk, &resource, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "settings of a topic");
    if (event == NULL)
        return call->error.code;
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
    kur_status status = check_resource(call, resources, count, topic);
    rd_kafka_event_destroy(event);
    return status;
}

static kur_status write_incremental(kur__admin_call *call, const char *topic, rd_kafka_ConfigResource_t *resource,
                                    const kur_property *configs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rd_kafka_error_t *refused = rd_kafka_ConfigResource_add_incremental_config(
            resource, configs[i].name, RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, configs[i].value);
        if (refused != NULL) {
            kur__admin_failed(call, rd_kafka_error_code(refused), rd_kafka_error_string(refused), "topic %s: %s", topic,
                              configs[i].name);
            rd_kafka_error_destroy(refused);
            return call->error.code;
        }
    }
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    rd_kafka_IncrementalAlterConfigs(call->handle->rk, &resource, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "settings of a topic");
    if (event == NULL)
        return call->error.code;
    size_t resource_count = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_IncrementalAlterConfigs_result_resources(
        rd_kafka_event_IncrementalAlterConfigs_result(event), &resource_count);
    kur_status status = check_resource(call, resources, resource_count, topic);
    rd_kafka_event_destroy(event);
    return status;
}

kur_status kur__admin_write_configs(kur__admin_call *call, const char *topic, const kur_property *configs, size_t count)
{
    kur_status status;
    do {
        rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
        if (has_incremental()) {
            status = write_incremental(call, topic, resource, configs, count);
        } else {
            status = merge(call, resource, topic, configs, count);
            if (status == KUR_OK)
                status = write_merged(call, topic, resource);
        }
        rd_kafka_ConfigResource_destroy(resource);
    } while (status != KUR_OK && kur__admin_again_known(call));
    return status;
}

/* ---- Typed settings ---- */

kur_cleanup kur__cleanup_of_text(const char *text)
{
    if (text == NULL)
        return KUR_CLEANUP_DEFAULT;
    bool compacts = strstr(text, "compact") != NULL, deletes = strstr(text, "delete") != NULL;
    return compacts && deletes ? KUR_CLEANUP_COMPACT_AND_DELETE
           : compacts          ? KUR_CLEANUP_COMPACT
           : deletes           ? KUR_CLEANUP_DELETE
                               : KUR_CLEANUP_DEFAULT;
}
