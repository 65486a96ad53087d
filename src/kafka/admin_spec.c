/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How a topic should be: checked, and its settings as Kafka writes them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "kafka/admin.h"
#include "kafka/topic.h"
#include <kurier/sys/options.h>

enum {
    PARTITIONS_MAX = 100000,
    REPLICATION_MAX = 32767,
    TYPED_CONFIGS = 5,
    CONFIGS_MAX = 200
};

static const char *const cleanup_texts[] = {NULL, "delete", "compact", "compact,delete"};

static kur_status check_numbers(const kur_topic_spec *spec, kur_error *error)
{
    if (spec->partitions < 0 || spec->partitions > PARTITIONS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".partitions is not 1 to %d, or 0", PARTITIONS_MAX);
    if (spec->replication < 0 || spec->replication > REPLICATION_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".replication is not 1 to %d, or 0", REPLICATION_MAX);
    if ((unsigned)spec->cleanup > KUR_CLEANUP_COMPACT_AND_DELETE)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".cleanup is not a kur_cleanup");
    if (spec->min_insync_replicas < 0 || spec->min_insync_replicas > REPLICATION_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".min_insync_replicas is not 1 to %d, or 0",
                             REPLICATION_MAX);
    if (spec->retention_ms < KUR_NONE || spec->retention_bytes < KUR_NONE)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is negative and not KUR_NONE",
                             spec->retention_ms < KUR_NONE ? ".retention_ms" : ".retention_bytes");
    if (spec->max_message_bytes < 0 || spec->max_message_bytes > INT32_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".max_message_bytes is not 1 to %d, or 0", INT32_MAX);
    return KUR_OK;
}

static kur_status check_config(const kur_property *configs, size_t index, kur_error *error)
{
    const kur_property *config = &configs[index];
    size_t size = strlen(config->name);
    if (size == 0 || size > 249 ||
        config->name[strspn(config->name, "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0')
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".configs[%zu]: not the name of a setting: \"%.60s\"",
                             index, config->name);
    if (config->value == NULL || strlen(config->value) > 10000 || !kur_bytes_is_utf8(kur_bytes_text(config->value)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".configs[%zu]: the value of %s is NULL, longer than 10,000 bytes or not UTF-8", index,
                             config->name);
    for (size_t i = 0; i < index; i++)
        if (strcmp(configs[i].name, config->name) == 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".configs[%zu]: %s stands there twice", index,
                                 config->name);
    return KUR_OK;
}

static bool add(kur__topic_wanted *wanted, const char *name, const char *value)
{
    wanted->configs[wanted->config_count++] = (kur_property){name, value};
    return value != NULL;
}

static bool add_number(kur__topic_wanted *wanted, kur_arena *arena, const char *name, int64_t number)
{
    char text[24];
    bool ok = true;
    if (number == 0)
        return true;
    snprintf(text, sizeof text, "%" PRId64, number);
    return add(wanted, name, kur__arena_text(arena, text, &ok));
}

static bool add_typed(kur__topic_wanted *wanted, kur_arena *arena)
{
    const kur_topic_spec *spec = &wanted->spec;
    if (spec->cleanup != KUR_CLEANUP_DEFAULT)
        add(wanted, "cleanup.policy", cleanup_texts[spec->cleanup]);
    return add_number(wanted, arena, "min.insync.replicas", spec->min_insync_replicas) &&
           add_number(wanted, arena, "retention.ms", spec->retention_ms) &&
           add_number(wanted, arena, "retention.bytes", spec->retention_bytes) &&
           add_number(wanted, arena, "max.message.bytes", spec->max_message_bytes);
}

static kur_status want_one(kur__topic_wanted *wanted, const void *given, kur_arena *arena, kur_error *error)
{
    kur_topic_spec *spec = &wanted->spec;
    kur_status status = kur_options_take(spec, sizeof *spec, given, "kur_topic_spec", error);
    if (status != KUR_OK)
        return status;
    if (!kur__topic_is_valid(spec->name))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".name is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"",
                             spec->name != NULL ? spec->name : "NULL");
    status = check_numbers(spec, error);
    size_t count = 0;
    for (; status == KUR_OK && spec->configs != NULL && spec->configs[count].name != NULL; count++)
        status = count < CONFIGS_MAX
                     ? check_config(spec->configs, count, error)
                     : kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".configs has more than %d", CONFIGS_MAX);
    if (status != KUR_OK)
        return status;
    wanted->configs = kur_arena_alloc(arena, (count + TYPED_CONFIGS) * sizeof *wanted->configs);
    if (wanted->configs == NULL || !add_typed(wanted, arena))
        return kur__error_no_memory(error);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < wanted->config_count; k++)
            if (strcmp(wanted->configs[k].name, spec->configs[i].name) == 0)
                return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                     ".configs[%zu]: %s is set by its own member already", i, spec->configs[i].name);
        add(wanted, spec->configs[i].name, spec->configs[i].value);
    }
    return KUR_OK;
}

kur_status kur__topics_want(const kur_topic_spec *specs, size_t count, kur_arena *arena, kur__topic_wanted **wanted,
                            kur_error *error)
{
    if (count == 0 || count > KUR__ADMIN_COUNT_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "count is not 1 to %d", KUR__ADMIN_COUNT_MAX);
    kur__topic_wanted *all = kur_arena_alloc(arena, count * sizeof *all);
    if (all == NULL)
        return kur__error_no_memory(error);
    for (size_t i = 0; i < count; i++) {
        kur_status status = want_one(&all[i], kur_options_at(specs, i), arena, error);
        for (size_t k = 0; status == KUR_OK && k < i; k++)
            if (strcmp(all[k].spec.name, all[i].spec.name) == 0)
                status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s stands there twice", all[i].spec.name);
        if (status != KUR_OK) {
            kur__error_prefix(error, "topics[%zu]: ", i);
            return status;
        }
    }
    *wanted = all;
    return KUR_OK;
}
