/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A registry as <kurier/schemas.h> has it: what producers and consumers ask.
 *
 * Design notes
 *
 * A reader that is told "no such schema" rejects the record for good. So that is said only on a registry's own word
 * (404 with a code of its own), or where there cannot be one; whatever else is in the way is told as such.
 *
 * A writer puts an id in front of bytes that are encoded as its type's own schema says. So the schema behind the id
 * must be encoded like that, and the registry's answer is believed only if it is.
 */
#include <curl/curl.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/thread.h>
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

/* What is too old of a latest serves so much longer, each time that the registry cannot be asked. */
#define STALE_US INT64_C(10000000)

/* ---- Reading ---- */

/* Takes the schema out of what was found; one of another kind cannot be read. */
static kur_status take_schema(kur_status status, kur__found *found, kur_schema **schema, kur_error *error)
{
    if (status != KUR_OK)
        return status;
    if (found->schema != NULL)
        *schema = kur_schema_ref(found->schema);
    else
        status = kur_error_set(error, KUR_ERROR_UNSUPPORTED, "the registry's schema is of kind %s, not Avro's",
                               found->reply.kind);
    kur__found_unref(found);
    return status;
}

static kur_status by_id(void *state, uint32_t id, int timeout_ms, kur_schema **schema, kur_error *error)
{
    struct timespec deadline;
    kur__found *found = NULL;
    kur_status status = kur__registry_enter(state, NULL, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = kur__registry_by_id(state, id, &deadline, &found, error);
    status = take_schema(status, found, schema, error);
    kur__registry_leave(state);
    return status;
}

static kur_status by_guid(void *state, const kur_uuid *guid, int timeout_ms, kur_schema **schema, kur_error *error)
{
    struct timespec deadline;
    kur__found *found = NULL;
    kur_status status = kur__registry_enter(state, NULL, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = kur__registry_by_guid(state, guid, &deadline, &found, error);
    status = take_schema(status, found, schema, error);
    kur__registry_leave(state);
    return status;
}

/* ---- Writing ---- */

struct placing {
    kur_registry *registry;
    const struct timespec *deadline;
    const char *subject;
    kur_schema *schema;
};

/* What was found stands for the schema only if it is encoded like it. */
static kur_status compare(const struct placing *placing, const kur__found *found, uint32_t id, kur_error *error)
{
    kur_error why = {0};
    if (found->schema == NULL)
        return kur_error_set(error, KUR_ERROR_MISMATCH, "%s: schema %u is none of Avro's", placing->subject, id);
    kur_status status = kur_schema_same_encoding(found->schema, placing->schema, error);
    if (status != KUR_ERROR_MISMATCH)
        return status;
    if (kur_schema_reads(found->schema, placing->schema, &why) == KUR_OK)
        return kur_error_set(error, KUR_ERROR_MISMATCH, "%s: schema %u reads what %s is, but is encoded otherwise",
                             placing->subject, id, kur_schema_name(placing->schema));
    return kur_error_set(error, why.code, "%s: schema %u is encoded otherwise than %s: %s", placing->subject, id,
                         kur_schema_name(placing->schema), why.message);
}

/* Where a schema is kept; keeps the schema, by whose address it is found. */
static kur_status make_place(const struct placing *placing, const kur__reply *reply, kur__found **found,
                             kur_error *error)
{
    kur__found *made = kur__found_new();
    if (made == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    made->reply = (kur__reply){.id = reply->id, .has_guid = reply->has_guid, .guid = reply->guid, .kind = "AVRO"};
    made->schema = kur_schema_ref(placing->schema);
    *found = made;
    return KUR_OK;
}

/*
 * Registers, and sees what is under the id then: an older registry tells the GUID, if it has any, only so. What cannot
 * be seen yet may be there all the same: another of its servers has answered.
 */
static kur_status place_new(const struct placing *placing, kur__found **found, kur_error *error)
{
    kur__found *seen = NULL;
    kur__reply reply = {0};
    kur_arena *arena = kur_arena_new();
    kur_status status = arena != NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    if (status == KUR_OK)
        status = kur__registry_register(placing->registry, placing->subject, placing->schema, NULL, placing->deadline,
                                        arena, &reply, error);
    if (status == KUR_OK && !reply.has_guid &&
        kur__registry_by_id(placing->registry, reply.id, placing->deadline, &seen, NULL) == KUR_OK) {
        reply.has_guid = seen->reply.has_guid;
        reply.guid = seen->reply.guid;
        status = compare(placing, seen, reply.id, error);
    }
    if (status == KUR_OK)
        status = make_place(placing, &reply, found, error);
    kur__found_unref(seen);
    kur_arena_free(arena);
    return status;
}

static kur_status place_known(const struct placing *placing, kur__found **found, kur_error *error)
{
    kur_registry *registry = placing->registry;
    kur__found *known = NULL;
    kur_error why = {0};
    kur_status status =
        registry->options.uses_latest
            ? kur__registry_fetch_version(registry, placing->subject, 0, placing->deadline, &known, &why)
            : kur__registry_look_up(registry, placing->subject, placing->schema, NULL, placing->deadline, &known, &why);
    if (status == KUR_ERROR_UNKNOWN_SCHEMA)
        kur_error_set(error, status, "%s is not registered under %s, and .registers is off: %s",
                      kur_schema_name(placing->schema), placing->subject, why.message);
    else if (status != KUR_OK)
        *error = why;
    else
        status = compare(placing, known, known->reply.id, error);
    if (status == KUR_OK)
        status = make_place(placing, &known->reply, found, error);
    kur__found_unref(known);
    return status;
}

static kur_status fetch_place(void *user, kur__found **found, kur_error *error)
{
    const struct placing *placing = user;
    return placing->registry->options.registers ? place_new(placing, found, error) : place_known(placing, found, error);
}

static kur_status subject_of(const kur_registry *registry, const char *topic, const kur_schema *schema, char *subject,
                             size_t size, kur_error *error)
{
    const char *name = kur_schema_name(schema);
    int length = 0;
    switch (registry->options.subjects) {
    case KUR_SUBJECT_TOPIC:
        length = snprintf(subject, size, "%s-value", topic);
        break;
    case KUR_SUBJECT_RECORD:
        length = snprintf(subject, size, "%s", name);
        break;
    case KUR_SUBJECT_TOPIC_RECORD:
        length = snprintf(subject, size, "%s-%s", topic, name);
        break;
    }
    if (length > 0 && (size_t)length < size)
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic and schema give no subject of 1 to %zu bytes",
                         size - 1);
}

/* The schema's address is the key. */
static kur_status find_place(struct placing *placing, kur__found **found, kur_error *error)
{
    kur_registry *registry = placing->registry;
    bool uses_latest = registry->options.uses_latest;
    int64_t latest_us = registry->options.latest_ms * INT64_C(1000);
    kur__fetch fetch = {.run = fetch_place,
                        .user = placing,
                        .for_us = uses_latest ? latest_us : INT64_MAX,
                        .stale_us = uses_latest && latest_us > 0 ? STALE_US : 0};
    kur__key key;
    key.size = (size_t)snprintf(key.bytes, sizeof key.bytes, "p%p/%s", (const void *)placing->schema, placing->subject);
    return kur__cache_get(&registry->cache, &key, &fetch, placing->deadline, found, error);
}

static kur_status place(void *state, const char *topic, kur_schema *schema, int timeout_ms, kur_schema_place *result,
                        kur_error *error)
{
    kur_registry *registry = state;
    char subject[KUR__SUBJECT_MAX + 1];
    struct timespec deadline;
    struct placing placing = {registry, &deadline, subject, schema};
    kur__found *found = NULL;
    if (topic == NULL || schema == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the topic or the schema is NULL");
    kur_status status = subject_of(registry, topic, schema, subject, sizeof subject, error);
    if (status == KUR_OK)
        status = kur__registry_enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = find_place(&placing, &found, error);
    if (status == KUR_OK) {
        kur_schema_place made = {
            .size = sizeof made, .id = found->reply.id, .has_guid = found->reply.has_guid, .guid = found->reply.guid};
        int length = snprintf(made.url, sizeof made.url, "%s/schemas/ids/%u", registry->urls[0].base, found->reply.id);
        if (length < 0 || (size_t)length >= sizeof made.url)
            made.url[0] = '\0';
        kur_options_give(result, &made, sizeof made);
    }
    kur__found_unref(found);
    kur__registry_leave(registry);
    return status;
}

void kur__registry_schemas_init(kur_registry *registry)
{
    registry->schemas = (kur_schemas){
        .size = sizeof registry->schemas, .state = registry, .by_id = by_id, .by_guid = by_guid, .place = place};
}

/* ---- From the beginning to the end ---- */

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

kur_registry *kur_registry_new(const kur_registry_options *options, kur_error *error)
{
    static pthread_once_t started = PTHREAD_ONCE_INIT;
    pthread_once(&started, start_curl);
    kur_registry *registry = kur_calloc(1, sizeof *registry);
    if (registry == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&registry->lock, NULL);
    kur_condition_init(&registry->idle);
    kur__cache_init(&registry->cache);
    kur__registry_schemas_init(registry);
    if (kur__registry_options_take(registry, options, error) == KUR_OK)
        return registry;
    kur_registry_free(registry);
    return NULL;
}

void kur_registry_free(kur_registry *registry)
{
    if (registry == NULL)
        return;
    pthread_mutex_lock(&registry->lock);
    while (registry->under_way > 0)
        pthread_cond_wait(&registry->idle, &registry->lock);
    pthread_mutex_unlock(&registry->lock);
    while (registry->handle_count > 0)
        kur__http_close(registry->handles[--registry->handle_count]);
    kur__cache_done(&registry->cache);
    kur__registry_options_done(registry);
    pthread_cond_destroy(&registry->idle);
    pthread_mutex_destroy(&registry->lock);
    kur_free(registry);
}

const kur_schemas *kur_registry_schemas(kur_registry *registry)
{
    return registry != NULL ? &registry->schemas : NULL;
}
