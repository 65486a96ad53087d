/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas, by ids, GUIDs and versions, with all that they name.
 *
 * What a schema names is fetched first, by subject and version, which never change, up to a depth and a number in all;
 * so a circle, which no registry has, ends. It is looked for in the cache and kept there, but is no flight of its own:
 * see cache.c.
 */
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

/* One schema with those behind it. */
struct gathering {
    kur_registry *registry;
    const struct timespec *deadline;
    struct {
        const kur_subject_reference *reference;
        kur__found *found;
    } had[KUR__REGISTRY_REFERENCES];
    size_t count;
    bool is_told; /* which of them fails */
};

static kur_status gather(struct gathering *gathering, const kur__question *question, int depth, kur__found **found,
                         kur__answer *answer, kur_error *error);

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
}

/* ---- Versions ---- */

void kur__registry_version_key(kur__key *key, const char *subject, int version)
{
    key->size = (size_t)snprintf(key->bytes, sizeof key->bytes, "%c%d/%s", version > 0 ? 'v' : 'l', version, subject);
}

kur_status kur__registry_version_path(kur_buffer *path, const char *subject, int version)
{
    kur_status status = kur_buffer_print(path, "/subjects/");
    if (status == KUR_OK)
        status = kur__registry_encode(path, subject);
    if (status == KUR_OK)
        status =
            version > 0 ? kur_buffer_print(path, "/versions/%d", version) : kur_buffer_print(path, "/versions/latest");
    return status;
}

/* ---- What a schema names ---- */

static kur_status too_many(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_TOO_LARGE,
                         "what it names is more than %d schemas, or deeper than %d (do they name each other?)",
                         KUR__REGISTRY_REFERENCES, KUR__REGISTRY_DEPTH);
}

/* What was deleted is found as well: it is named still. */
static kur_status fetch_reference(struct gathering *gathering, const kur_subject_reference *reference, int depth,
                                  kur__found **found, kur_error *error)
{
    kur_buffer path = {0};
    kur__answer answer = {0};
    kur_status status = kur__registry_version_path(&path, reference->subject, reference->version);
    if (status == KUR_OK)
        status = kur_buffer_print(&path, "?deleted=true");
    kur__question question = {.method = "GET", .path = path.data, .version = reference->version, .needs_id = true};
    if (status != KUR_OK)
        no_memory(error);
    else
        status = gather(gathering, &question, depth, found, &answer, error);
    kur_buffer_done(&answer.body);
    kur_buffer_done(&path);
    return status;
}

static kur_status add_reference(struct gathering *gathering, const kur_subject_reference *reference, int depth,
                                kur__found **found, kur_error *error)
{
    kur__key key;
    kur__found *got;
    if (depth == KUR__REGISTRY_DEPTH || strlen(reference->subject) > KUR__SUBJECT_MAX)
        return too_many(error);
    kur__registry_version_key(&key, reference->subject, reference->version);
    if ((got = kur__cache_look(&gathering->registry->cache, &key)) == NULL) {
        kur_status status = fetch_reference(gathering, reference, depth + 1, &got, error);
        if (status != KUR_OK)
            return status;
        kur__cache_keep(&gathering->registry->cache, &key, got, INT64_MAX);
    }
    if (gathering->count == KUR__REGISTRY_REFERENCES) {
        kur__found_unref(got);
        return too_many(error);
    }
    gathering->had[gathering->count].reference = reference;
    gathering->had[gathering->count++].found = *found = got;
    return KUR_OK;
}

/* What is named twice is the same schema. */
static kur_status get_reference(struct gathering *gathering, const kur_subject_reference *reference, int depth,
                                kur_schema **schema, kur_error *error)
{
    kur__found *found = NULL;
    kur_status status = KUR_OK;
    for (size_t i = 0; i < gathering->count && found == NULL; i++)
        if (gathering->had[i].reference->version == reference->version &&
            strcmp(gathering->had[i].reference->subject, reference->subject) == 0)
            found = gathering->had[i].found;
    if (found == NULL)
        status = add_reference(gathering, reference, depth, &found, error);
    if (status == KUR_OK && found->schema == NULL)
        status = kur_error_set(error, KUR_ERROR_SYNTAX, "it names version %d of %s, which is none of Avro's",
                               reference->version, reference->subject);
    if (status == KUR_OK)
        *schema = found->schema;
    return status;
}

static kur_status parse(struct gathering *gathering, kur__found *found, int depth, kur_error *error)
{
    const kur_subject_references *named = &found->reply.references;
    kur_schema_reference *references = kur_arena_alloc(found->arena, named->count * sizeof *references);
    kur_status status = references != NULL ? KUR_OK : no_memory(error);
    for (size_t i = 0; i < named->count && status == KUR_OK; i++) {
        references[i].name = named->references[i].name;
        status = get_reference(gathering, &named->references[i], depth, &references[i].schema, error);
    }
    if (status == KUR_OK)
        status = kur_schema_parse(found->reply.text, references, named->count, &found->schema, error);
    return status;
}

/* ---- One schema ---- */

struct reading {
    kur__found *found;
    const kur__question *question;
};

/* The answer is a schema, and the one that was asked for. */
static kur_status read_schema(void *user, kur_bytes body, kur_error *error)
{
    struct reading *reading = user;
    const kur__question *question = reading->question;
    kur__reply *reply = &reading->found->reply;
    kur_arena_reset(reading->found->arena);
    kur_status status = kur__reply_schema(body, reading->found->arena, reply, error);
    if (status != KUR_OK)
        return status;
    if (reply->text.data == NULL || (question->needs_id && !reply->has_id))
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "the answer is no schema registry's: %s",
                             reply->text.data == NULL ? "schema" : "id");
    if (question->version > 0 && reply->version != 0 && reply->version != question->version)
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "the answer is version %d, not %d", reply->version,
                             question->version);
    if (question->id > 0 && reply->has_id && reply->id != question->id)
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "the answer is schema %u, not %u", reply->id, question->id);
    return KUR_OK;
}

static kur_status gather(struct gathering *gathering, const kur__question *question, int depth, kur__found **found,
                         kur__answer *answer, kur_error *error)
{
    struct reading reading = {kur__found_new(), question};
    if (reading.found == NULL)
        return no_memory(error);
    kur_status status =
        kur__registry_ask(gathering->registry, question, gathering->deadline, read_schema, &reading, answer, error);
    if (status == KUR_OK && strcmp(reading.found->reply.kind, "AVRO") == 0) {
        kur_error why = {0};
        status = parse(gathering, reading.found, depth, &why);
        if (status != KUR_OK && gathering->is_told)
            kur_error_set(error, status, "%s", why.message);
        else if (status != KUR_OK)
            kur_error_set(error, status, "the schema of %s: %s", question->path, why.message);
        gathering->is_told |= status != KUR_OK;
    }
    if (status == KUR_OK)
        *found = reading.found;
    else
        kur__found_unref(reading.found);
    return status;
}

kur_status kur__registry_fetch(kur_registry *registry, const kur__question *question, const struct timespec *deadline,
                               kur__found **found, kur__answer *answer, kur_error *error)
{
    struct gathering *gathering = kur_calloc(1, sizeof *gathering);
    if (gathering == NULL)
        return no_memory(error);
    gathering->registry = registry;
    gathering->deadline = deadline;
    kur_status status = gather(gathering, question, 0, found, answer, error);
    for (size_t i = 0; i < gathering->count; i++)
        kur__found_unref(gathering->had[i].found);
    kur_free(gathering);
    return status;
}
