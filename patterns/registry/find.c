/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas that are known, or are fetched by one thread for all that ask for them.
 */
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

/* What a fetch is about. */
struct finding {
    kur_registry *registry;
    const struct timespec *deadline;
    const char *subject;
    int version;
    uint32_t id;
    const kur_uuid *guid;
};

static kur_status fetch(struct finding *finding, const kur__question *question, kur__found **found, int *code,
                        kur_error *error)
{
    kur__answer answer = {0};
    kur_status status = kur__registry_fetch(finding->registry, question, finding->deadline, found, &answer, error);
    *code = answer.code;
    kur_buffer_done(&answer.body);
    return status;
}

static kur_status find(struct finding *finding, const kur__key *key, kur__fetch fetch_by, kur__found **found,
                       kur_error *error)
{
    fetch_by.user = finding;
    return kur__cache_get(&finding->registry->cache, key, &fetch_by, finding->deadline, found, error);
}

/* ---- By id ---- */

static kur_status fetch_id(void *user, kur__found **found, kur_error *error)
{
    struct finding *finding = user;
    char path[40];
    int code;
    snprintf(path, sizeof path, "/schemas/ids/%u", finding->id);
    return fetch(finding, &(kur__question){.method = "GET", .path = path, .id = finding->id}, found, &code, error);
}

kur_status kur__registry_by_id(kur_registry *registry, uint32_t id, const struct timespec *deadline, kur__found **found,
                               kur_error *error)
{
    /* A registry takes a larger one for no number, and says so in the words of a path that it does not know. */
    if (id > INT32_MAX)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_SCHEMA, "no schema registry has a schema %u", id);
    struct finding finding = {.registry = registry, .deadline = deadline, .id = id};
    kur__key key;
    key.size = (size_t)snprintf(key.bytes, sizeof key.bytes, "i%u", id);
    return find(&finding, &key, (kur__fetch){.run = fetch_id, .for_us = INT64_MAX}, found, error);
}

/* ---- By GUID ---- */

/* Whether there is a registry's API at all, which older ones have without GUIDs. */
static kur_status look_for_api(struct finding *finding, kur_error *error)
{
    kur__answer answer = {0};
    kur_status status =
        kur__registry_ask(finding->registry, &(kur__question){.method = "GET", .path = "/schemas/types"},
                          finding->deadline, NULL, NULL, &answer, error);
    kur_buffer_done(&answer.body);
    return status;
}

/*
 * A registry without GUIDs says 404 as to any path that it does not know. Then it is not the value's schema that is to
 * be waited for: anybody can write a GUID on a record.
 */
static kur_status fetch_guid(void *user, kur__found **found, kur_error *error)
{
    struct finding *finding = user;
    char path[32 + KUR_UUID_TEXT_SIZE] = "/schemas/guids/", *text = path + strlen(path);
    int code;
    kur_error why = {0};
    kur_uuid_format(finding->guid, text);
    kur_status status = fetch(finding, &(kur__question){.method = "GET", .path = path}, found, &code, &why);
    if (status == KUR_ERROR_CONFIG && code == 404 && look_for_api(finding, &why) == KUR_OK)
        status =
            kur_error_set(&why, KUR_ERROR_UNKNOWN_SCHEMA, "the schema registry knows no GUIDs, nor schema %s", text);
    else if (why.code != KUR_OK)
        status = why.code;
    if (status != KUR_OK)
        *error = why;
    return status;
}

kur_status kur__registry_by_guid(kur_registry *registry, const kur_uuid *guid, const struct timespec *deadline,
                                 kur__found **found, kur_error *error)
{
    struct finding finding = {.registry = registry, .deadline = deadline, .guid = guid};
    kur__key key = {.bytes = "g"};
    memcpy(key.bytes + 1, guid->bytes, sizeof guid->bytes);
    key.size = 1 + sizeof guid->bytes;
    return find(&finding, &key, (kur__fetch){.run = fetch_guid, .for_us = INT64_MAX}, found, error);
}

/* ---- By version ---- */

kur_status kur__registry_fetch_version(kur_registry *registry, const char *subject, int version,
                                       const struct timespec *deadline, kur__found **found, kur_error *error)
{
    kur_buffer path = {0};
    kur__answer answer = {0};
    kur_status status = kur__registry_version_path(&path, subject, version);
    kur__question question = {.method = "GET", .path = path.data, .version = version, .needs_id = true};
    if (status != KUR_OK)
        kur_error_set(error, status, "out of memory");
    else
        status = kur__registry_fetch(registry, &question, deadline, found, &answer, error);
    kur_buffer_done(&answer.body);
    kur_buffer_done(&path);
    return status;
}

static kur_status fetch_version(void *user, kur__found **found, kur_error *error)
{
    const struct finding *finding = user;
    return kur__registry_fetch_version(finding->registry, finding->subject, finding->version, finding->deadline, found,
                                       error);
}

kur_status kur__registry_by_version(kur_registry *registry, const char *subject, int version,
                                    const struct timespec *deadline, kur__found **found, kur_error *error)
{
    struct finding finding = {.registry = registry, .deadline = deadline, .subject = subject, .version = version};
    kur__key key;
    kur__registry_version_key(&key, subject, version);
    int64_t for_us = version > 0 ? INT64_MAX : registry->options.latest_ms * INT64_C(1000);
    return find(&finding, &key, (kur__fetch){.run = fetch_version, .for_us = for_us}, found, error);
}

void kur__registry_forget_latest(kur_registry *registry, const char *subject)
{
    kur__key key;
    kur__registry_version_key(&key, subject, 0);
    kur__cache_drop(&registry->cache, &key);
}
