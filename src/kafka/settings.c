/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: librdkafka lists what is in force under its own names, in clear, and does not say where a value came
 * from. A property that users set by another name (linger.ms) is found by setting it alone and looking at what has
 * changed.
 */
#include <kurier/sys/memory.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"

/* Names and values in turn, as librdkafka hands them out: of the handle, and of its topics. */
struct dump {
    const char **pairs[2];
    size_t counts[2];
};

static struct dump dump_of(rd_kafka_conf_t *conf)
{
    struct dump dump = {0};
    dump.pairs[0] = rd_kafka_conf_dump(conf, &dump.counts[0]);
    rd_kafka_topic_conf_t *topic_conf = rd_kafka_conf_get_default_topic_conf(conf);
    if (topic_conf != NULL)
        dump.pairs[1] = rd_kafka_topic_conf_dump(topic_conf, &dump.counts[1]);
    return dump;
}

static void dump_done(struct dump *dump)
{
    for (size_t i = 0; i < 2; i++)
        if (dump->pairs[i] != NULL)
            rd_kafka_conf_dump_free(dump->pairs[i], dump->counts[i]);
}

static const char *find_in(const char **pairs, size_t count, const char *name)
{
    for (size_t i = 0; i + 1 < count; i += 2)
        if (strcmp(pairs[i], name) == 0)
            return pairs[i + 1];
    return NULL;
}

static const char *dump_find(const struct dump *dump, const char *name)
{
    const char *value = find_in(dump->pairs[0], dump->counts[0], name);
    return value != NULL ? value : find_in(dump->pairs[1], dump->counts[1], name);
}

/* Whether `name` is the one that librdkafka lists a setting under. */
static bool is_listed_as(const struct dump *plain, const char *set_name, const char *value, const char *name)
{
    rd_kafka_conf_t *alone = rd_kafka_conf_new();
    bool is = false;
    if (rd_kafka_conf_set(alone, set_name, value, NULL, 0) == RD_KAFKA_CONF_OK) {
        struct dump dump = dump_of(alone);
        const char *before = dump_find(plain, name), *after = dump_find(&dump, name);
        is = after != NULL && (before == NULL || strcmp(before, after) != 0);
        dump_done(&dump);
    }
    rd_kafka_conf_destroy(alone);
    return is;
}

/* Where the value in force was set: the last one set counts. */
static const char *origin_of(const kur__config *config, const struct dump *plain, const char *name, const char *value)
{
    const char *set_name, *set_value, *set_origin, *origin = NULL;
    for (const kur__setting *s = kur__config_next(config, NULL, &set_name, &set_value, &set_origin); s != NULL;
         s = kur__config_next(config, s, &set_name, &set_value, &set_origin))
        if (strcmp(set_name, name) == 0 ||
            (dump_find(plain, set_name) == NULL && is_listed_as(plain, set_name, set_value, name)))
            origin = set_origin;
    if (origin != NULL)
        return origin;
    const char *before = dump_find(plain, name);
    return before != NULL && strcmp(before, value) == 0 ? "librdkafka" : "kurier";
}

/* Paths are no secrets, whatever they lead to. */
static bool is_masked(const char *name)
{
    static const char path[] = ".location";
    size_t size = strlen(name);
    bool is_path = size >= sizeof path && strcmp(name + size - (sizeof path - 1), path) == 0;
    return kur__config_is_secret(name) && !is_path;
}

static const char *copy(kur_arena *arena, const char *text)
{
    return kur_arena_copy(arena, text, strlen(text));
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const kur_setting *)a)->name, ((const kur_setting *)b)->name);
}

static kur_status take(const kur_client *client, const struct dump *dump, const struct dump *plain, kur_arena *arena,
                       kur_setting *settings, size_t *count, kur_error *error)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j + 1 < dump->counts[i]; j += 2) {
            const char *name = dump->pairs[i][j], *value = dump->pairs[i][j + 1];
            /* Callbacks and other pointers, which alone are written so. */
            if (strchr(name, '_') != NULL || strcmp(name, "opaque") == 0)
                continue;
            /* Old properties of topics that the handle has by the same name, where they count. */
            if (i == 1 && find_in(dump->pairs[0], dump->counts[0], name) != NULL)
                continue;
            const char *origin = origin_of(kur__client_config(client), plain, name, value);
            bool is_default = strcmp(origin, "librdkafka") == 0;
            kur_setting setting = {.size = sizeof setting,
                                   .name = copy(arena, name),
                                   .value = copy(arena, is_masked(name) && !is_default ? "[hidden]" : value),
                                   .origin = copy(arena, origin)};
            if (setting.name == NULL || setting.value == NULL || setting.origin == NULL)
                return kur__error_no_memory(error);
            settings[(*count)++] = setting;
        }
    return KUR_OK;
}

kur_status kur_client_settings(const kur_client *client, kur_role role, kur_arena *arena, const kur_setting **settings,
                               size_t *count, kur_error *error)
{
    if (client == NULL || arena == NULL || settings == NULL || count == NULL)
        return kur_error_null(error, client == NULL     ? "client"
                                     : arena == NULL    ? "arena"
                                     : settings == NULL ? "settings"
                                                        : "count");
    if (role != KUR_ROLE_PRODUCER && role != KUR_ROLE_CONSUMER)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "role is neither producer nor consumer");
    rd_kafka_conf_t *conf =
        kur__client_conf(client, role == KUR_ROLE_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, error);
    if (conf == NULL)
        return KUR_ERROR_CONFIG;
    rd_kafka_conf_t *plain_conf = rd_kafka_conf_new();
    struct dump dump = dump_of(conf), plain = dump_of(plain_conf);
    rd_kafka_topic_conf_t *plain_topic = NULL;
    if (plain.pairs[1] == NULL) {
        /* A configuration without any topic property has no list of them. */
        plain_topic = rd_kafka_topic_conf_new();
        plain.pairs[1] = rd_kafka_topic_conf_dump(plain_topic, &plain.counts[1]);
    }
    size_t made = 0;
    kur_setting *all = kur_arena_alloc(arena, (dump.counts[0] + dump.counts[1]) / 2 * sizeof *all);
    kur_status status =
        all != NULL ? take(client, &dump, &plain, arena, all, &made, error) : kur__error_no_memory(error);
    if (status == KUR_OK) {
        qsort(all, made, sizeof *all, compare);
        *settings = all;
        *count = made;
    }
    dump_done(&dump);
    dump_done(&plain);
    if (plain_topic != NULL)
        rd_kafka_topic_conf_destroy(plain_topic);
    rd_kafka_conf_destroy(plain_conf);
    rd_kafka_conf_destroy(conf);
    return status;
}
