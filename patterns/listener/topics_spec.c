/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: how a listener's own topics should be, what of their being otherwise matters, and the lines that mend
 * it.
 *
 * A record that waits must not go: by age not before it is due, however long nobody was there to take it; by size
 * never; and not because a later one has its key. Headers are added to it, so that what the source just took is taken
 * here as well. A topic that keeps more than that, or takes more, or has more copies, is as good.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "listener/topics.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

enum {
    HEADERS_BYTES = 64 * 1024,
    LEAST_DAYS = 7
};

static bool is_compacted(const kur_topic_view *source)
{
    return source->cleanup == KUR_CLEANUP_COMPACT || source->cleanup == KUR_CLEANUP_COMPACT_AND_DELETE;
}

static int64_t retry_retention_ms(const kur_topic_view *source)
{
    if (is_compacted(source) || source->retention_ms < 0)
        return KUR_NONE;
    int64_t source_ms = source->retention_ms > LEAST_DAYS * DAY_MS ? source->retention_ms : LEAST_DAYS * DAY_MS;
    int64_t longest_ms = KUR_RETRY_DAYS_MAX * DAY_MS;
    return source_ms > INT64_MAX - longest_ms ? KUR_NONE : source_ms + longest_ms;
}

static int64_t dead_retention_ms(const kur_retry_topics *options, const kur_topic_view *source)
{
    if (options->retention_ms != 0)
        return options->retention_ms;
    return is_compacted(source) || source->retention_ms < 0 ? KUR_NONE : source->retention_ms;
}

static bool has_config(const kur_property *configs, const char *name)
{
    for (; configs->name != NULL; configs++)
        if (strcmp(configs->name, name) == 0)
            return true;
    return false;
}

size_t kur__tiers_specify(const struct kur__tiers *tiers, const struct kur__family *family,
                          const kur_topic_view *source, kur_topic_spec *specs)
{
    const kur_retry_topics *options = &tiers->options;
    int32_t partitions = (int32_t)source->partition_count;
    int32_t fewer = options->partitions > 0 && options->partitions < partitions ? options->partitions : partitions;
    kur_topic_spec spec =
        KUR_TOPIC_SPEC(.partitions = tiers->keeps_order ? partitions : fewer, .cleanup = KUR_CLEANUP_DELETE,
                       .replication = source->replication, .retention_bytes = KUR_NONE, .configs = options->configs);
    if (options->replication > 0)
        spec.replication = options->replication;
    /* As safe as the source: what was forwarded is finished there. */
    if (source->min_insync_replicas > 1 && !has_config(options->configs, "min.insync.replicas"))
        spec.min_insync_replicas =
            source->min_insync_replicas < spec.replication ? source->min_insync_replicas : spec.replication;
    if (source->max_message_bytes > 0)
        spec.max_message_bytes = source->max_message_bytes < INT32_MAX - HEADERS_BYTES
                                     ? source->max_message_bytes + HEADERS_BYTES
                                     : INT32_MAX;
    size_t count = 0;
    spec.retention_ms = retry_retention_ms(source);
    for (const char *const *name = family->retries; *name != NULL; name++) {
        spec.name = *name;
        specs[count++] = spec;
    }
    spec.partitions = fewer;
    spec.retention_ms = dead_retention_ms(options, source);
    for (const char *const *name = family->dead; *name != NULL; name++) {
        spec.name = *name;
        specs[count++] = spec;
    }
    return count;
}

static int64_t number_of(const char *text)
{
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* -1 is without limit. */
static bool is_as_long(const char *actual, const char *wanted)
{
    return number_of(actual) == KUR_NONE || (number_of(wanted) != KUR_NONE && number_of(actual) >= number_of(wanted));
}

bool kur__tiers_matters(const struct kur__tiers *tiers, const kur_topic_difference *difference)
{
    static const char *const more_is_as_good[] = {"min.insync.replicas", "max.message.bytes"};
    bool has_more = number_of(difference->actual) >= number_of(difference->wanted);
    if (difference->aspect == KUR_TOPIC_PARTITIONS)
        return !has_more || tiers->keeps_order;
    if (difference->aspect == KUR_TOPIC_REPLICATION)
        return !has_more;
    if (strcmp(difference->name, "retention.ms") == 0)
        return !is_as_long(difference->actual, difference->wanted);
    for (size_t i = 0; i < sizeof more_is_as_good / sizeof *more_is_as_good; i++)
        if (strcmp(difference->name, more_is_as_good[i]) == 0 && !has_config(tiers->options.configs, difference->name))
            return !has_more;
    return true;
}

/* ---- Commands ---- */

static const char at_the_cluster[] = "--bootstrap-server $KAFKA_BOOTSTRAP_SERVERS";

kur_status kur__tiers_print_creation(const kur_topic_spec *spec, kur_buffer *line)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"retention.ms", spec->retention_ms},
                   {"retention.bytes", spec->retention_bytes},
                   {"max.message.bytes", spec->max_message_bytes},
                   {"min.insync.replicas", spec->min_insync_replicas}};
    kur_status status = kur_buffer_print(line,
                                         "kafka-topics.sh %s --create --topic %s --partitions %" PRId32
                                         " --replication-factor %" PRId32 " --config cleanup.policy=delete",
                                         at_the_cluster, spec->name, spec->partitions, spec->replication);
    for (size_t i = 0; status == KUR_OK && i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value != 0)
            status = kur_buffer_print(line, " --config %s=%" PRId64, numbers[i].name, numbers[i].value);
    for (const kur_property *config = spec->configs; status == KUR_OK && config->name != NULL; config++)
        status = kur_buffer_print(line, " --config %s=%s", config->name, config->value);
    return status;
}

kur_status kur__tiers_print_mending(const kur_topic_difference *difference, kur_buffer *line)
{
    kur_status status = kur_buffer_print(line, "topic %s: %s is %s, and should be %s", difference->topic,
                                         difference->name, difference->actual, difference->wanted);
    if (status != KUR_OK)
        return status;
    if (!difference->can_apply)
        return difference->why != NULL ? kur_buffer_print(line, ": %s", difference->why) : KUR_OK;
    if (difference->aspect == KUR_TOPIC_PARTITIONS)
        return kur_buffer_print(line, "; this mends it: kafka-topics.sh %s --alter --topic %s --partitions %s",
                                at_the_cluster, difference->topic, difference->wanted);
    bool is_list = strchr(difference->wanted, ',') != NULL;
    return kur_buffer_print(line,
                            "; this mends it: kafka-configs.sh %s --alter --entity-type topics --entity-name %s "
                            "--add-config %s=%s%s%s",
                            at_the_cluster, difference->topic, difference->name, is_list ? "[" : "", difference->wanted,
                            is_list ? "]" : "");
}
