/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What <kurier/registry.h> promises, but for what a client uses (schemas.c).
 */
#include <jansson.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/thread.h>
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
}

/* ---- A call begins and ends ---- */

kur_status kur__registry_enter(kur_registry *registry, const char *subject, int timeout_ms, struct timespec *deadline,
                               kur_error *error)
{
    if (registry == NULL)
        return kur_error_null(error, "the registry");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is less than 0");
    if (subject != NULL && (subject[0] == '\0' || strlen(subject) > KUR__SUBJECT_MAX))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "a subject's name has 1 to %d bytes", KUR__SUBJECT_MAX);
    *deadline = kur_deadline_after(timeout_ms);
    pthread_mutex_lock(&registry->lock);
    registry->under_way++;
    pthread_mutex_unlock(&registry->lock);
    return KUR_OK;
}

void kur__registry_leave(kur_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    if (--registry->under_way == 0)
        pthread_cond_broadcast(&registry->idle);
    pthread_mutex_unlock(&registry->lock);
}

/* Likewise of a call that is about a subject. */
static kur_status enter(kur_registry *registry, const char *subject, int timeout_ms, struct timespec *deadline,
                        kur_error *error)
{
    if (registry != NULL && subject == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the subject is NULL");
    return kur__registry_enter(registry, subject, timeout_ms, deadline, error);
}

static kur_status check_schema(const kur_schema *schema, const kur_subject_references *references, kur_error *error)
{
    if (schema == NULL)
        return kur_error_null(error, "the schema");
    if (references == NULL)
        return KUR_OK;
    if (references->count > KUR__REGISTRY_REFERENCES)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "more than %d references", KUR__REGISTRY_REFERENCES);
    for (size_t i = 0; i < references->count; i++)
        if (references->references[i].name == NULL || references->references[i].subject == NULL ||
            references->references[i].version < 1)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "reference %zu has no name, subject or version", i);
    return KUR_OK;
}

/* ---- Questions ---- */

static int append_body(const char *data, size_t size, void *user)
{
    return kur_buffer_append(user, data, size) == KUR_OK ? 0 : -1;
}

static bool add_references(json_t *object, const kur_subject_references *references)
{
    if (references == NULL || references->count == 0)
        return true;
    json_t *list = json_array();
    bool is_added = json_object_set_new(object, "references", list) == 0;
    for (size_t i = 0; i < references->count && is_added; i++) {
        const kur_subject_reference *reference = &references->references[i];
        is_added = json_array_append_new(list, json_pack("{s:s, s:s, s:i}", "name", reference->name, "subject",
                                                         reference->subject, "version", reference->version)) == 0;
    }
    return is_added;
}

/* The body that names a schema. Avro's is what is meant when nothing is said. */
static kur_status body_of(const kur_schema *schema, const kur_subject_references *references, kur_buffer *body,
                          kur_error *error)
{
    kur_bytes text = kur_schema_text(schema);
    json_t *object = json_object();
    bool is_whole = json_object_set_new(object, "schema", json_stringn(text.data, text.size)) == 0 &&
                    add_references(object, references) &&
                    json_dump_callback(object, append_body, body, JSON_COMPACT) == 0;
    json_decref(object);
    return is_whole ? KUR_OK : no_memory(error);
}

/* `subject` stands between the two parts, percent-encoded; NULL: neither it nor its slash. */
static kur_status path_of(kur_buffer *path, const char *before, const char *subject, const char *behind,
                          kur_error *error)
{
    kur_status status = kur_buffer_print(path, "%s%s", before, subject != NULL ? "/" : "");
    if (status == KUR_OK && subject != NULL)
        status = kur__registry_encode(path, subject);
    if (status == KUR_OK)
        status = kur_buffer_print(path, "%s", behind);
    return status == KUR_OK ? KUR_OK : no_memory(error);
}

/* A question whose path and body are made; given back by let_go. */
struct call {
    kur_buffer path, body;
    kur__answer answer;
    kur_arena *arena;
    const char *const **texts;
    const int **numbers;
    size_t *count;
    const char **text;
    bool *is_true;
    kur__reply *reply;
};

static void let_go(struct call *call)
{
    kur_buffer_done(&call->path);
    kur_buffer_done(&call->body);
    kur_buffer_done(&call->answer.body);
}

static kur_status ask(kur_registry *registry, const char *method, struct call *call, const struct timespec *deadline,
                      kur__read_answer *read, kur_error *error)
{
    kur__question question = {
        .method = method, .path = call->path.data, .body = kur_bytes_of(call->body.data, call->body.size)};
    return kur__registry_ask(registry, &question, deadline, read, call, &call->answer, error);
}

/* ---- Lists ---- */

static kur_status read_names(void *user, kur_bytes body, kur_error *error)
{
    struct call *call = user;
    return kur__reply_names(body, call->arena, call->texts, call->count, error);
}

kur_status kur_registry_subjects(kur_registry *registry, int timeout_ms, kur_arena *arena, const char *const **subjects,
                                 size_t *count, kur_error *error)
{
    struct timespec deadline;
    struct call call = {.arena = arena, .texts = subjects, .count = count};
    kur_status status = kur__registry_enter(registry, NULL, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = path_of(&call.path, "/subjects", NULL, "", error);
    if (status == KUR_OK)
        status = ask(registry, "GET", &call, &deadline, read_names, error);
    let_go(&call);
    kur__registry_leave(registry);
    return status;
}

static kur_status read_numbers(void *user, kur_bytes body, kur_error *error)
{
    struct call *call = user;
    return kur__reply_numbers(body, call->arena, call->numbers, call->count, error);
}

kur_status kur_registry_versions(kur_registry *registry, const char *subject, int timeout_ms, kur_arena *arena,
                                 const int **versions, size_t *count, kur_error *error)
{
    struct timespec deadline;
    struct call call = {.arena = arena, .numbers = versions, .count = count};
    kur_status status = enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = path_of(&call.path, "/subjects", subject, "/versions", error);
    if (status == KUR_OK)
        status = ask(registry, "GET", &call, &deadline, read_numbers, error);
    let_go(&call);
    kur__registry_leave(registry);
    return status;
}

/* ---- A version ---- */

static bool copy_references(const kur_subject_references *from, kur_arena *arena, kur_subject_references *to)
{
    kur_subject_reference *copies = kur_arena_alloc(arena, from->count * sizeof *copies);
    bool is_whole = copies != NULL;
    for (size_t i = 0; i < from->count && is_whole; i++) {
        const kur_subject_reference *reference = &from->references[i];
        copies[i].name = kur_arena_copy(arena, reference->name, strlen(reference->name));
        copies[i].subject = kur_arena_copy(arena, reference->subject, strlen(reference->subject));
        copies[i].version = reference->version;
        is_whole = copies[i].name != NULL && copies[i].subject != NULL;
    }
    *to = (kur_subject_references){copies, from->count};
    return is_whole;
}

/* Copies what was found for the caller; `subject` is what it asked for. */
static kur_status give(const kur__found *found, const char *subject, kur_arena *arena, kur_subject_version *version,
                       kur_error *error)
{
    const kur__reply *reply = &found->reply;
    const char *name = reply->subject != NULL ? reply->subject : subject;
    kur_subject_version made = {.size = sizeof made, .version = reply->version, .id = reply->id};
    made.subject = kur_arena_copy(arena, name, strlen(name));
    made.kind = kur_arena_copy(arena, reply->kind, strlen(reply->kind));
    made.text = kur_bytes_of(kur_arena_copy(arena, reply->text.data, reply->text.size), reply->text.size);
    if (made.subject == NULL || made.kind == NULL || made.text.data == NULL ||
        !copy_references(&reply->references, arena, &made.references))
        return no_memory(error);
    made.schema = found->schema != NULL ? kur_schema_ref(found->schema) : NULL;
    kur_options_give(version, &made, sizeof made);
    return KUR_OK;
}

kur_status kur_registry_version(kur_registry *registry, const char *subject, int version, int timeout_ms,
                                kur_arena *arena, kur_subject_version *found, kur_error *error)
{
    struct timespec deadline;
    kur__found *got = NULL;
    if (registry != NULL && version < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "a version is 1 or more, 0 is the latest");
    kur_status status = enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = kur__registry_by_version(registry, subject, version, &deadline, &got, error);
    if (status == KUR_OK)
        status = give(got, subject, arena, found, error);
    kur__found_unref(got);
    kur__registry_leave(registry);
    return status;
}

kur_status kur__registry_look_up(kur_registry *registry, const char *subject, kur_schema *schema,
                                 const kur_subject_references *references, const struct timespec *deadline,
                                 kur__found **found, kur_error *error)
{
    struct call call = {0};
    kur_status status =
        path_of(&call.path, "/subjects", subject, registry->options.normalizes ? "?normalize=true" : "", error);
    if (status == KUR_OK)
        status = body_of(schema, references, &call.body, error);
    kur__question question = {.method = "POST",
                              .path = call.path.data,
                              .body = kur_bytes_of(call.body.data, call.body.size),
                              .needs_id = true};
    if (status == KUR_OK)
        status = kur__registry_fetch(registry, &question, deadline, found, &call.answer, error);
    let_go(&call);
    return status;
}

kur_status kur_registry_look_up(kur_registry *registry, const char *subject, kur_schema *schema,
                                const kur_subject_references *references, int timeout_ms, kur_arena *arena,
                                kur_subject_version *found, kur_error *error)
{
    struct timespec deadline;
    kur__found *got = NULL;
    kur_status status = registry != NULL ? check_schema(schema, references, error) : KUR_OK;
    if (status == KUR_OK)
        status = enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = kur__registry_look_up(registry, subject, schema, references, &deadline, &got, error);
    if (status == KUR_OK)
        status = give(got, subject, arena, found, error);
    kur__found_unref(got);
    kur__registry_leave(registry);
    return status;
}

/* ---- Registering ---- */

static kur_status read_registered(void *user, kur_bytes body, kur_error *error)
{
    struct call *call = user;
    kur_status status = kur__reply_schema(body, call->arena, call->reply, error);
    if (status == KUR_OK && !call->reply->has_id)
        status = kur_error_set(error, KUR_ERROR_UNREACHABLE, "the answer is no schema registry's: id");
    return status;
}

kur_status kur__registry_register(kur_registry *registry, const char *subject, kur_schema *schema,
                                  const kur_subject_references *references, const struct timespec *deadline,
                                  kur_arena *arena, kur__reply *reply, kur_error *error)
{
    struct call call = {.arena = arena, .reply = reply};
    kur_status status = path_of(&call.path, "/subjects", subject,
                                registry->options.normalizes ? "/versions?normalize=true" : "/versions", error);
    if (status == KUR_OK)
        status = body_of(schema, references, &call.body, error);
    if (status == KUR_OK)
        status = ask(registry, "POST", &call, deadline, read_registered, error);
    if (status == KUR_OK) {
        kur__registry_forget_latest(registry, subject);
        kur__registry_log(registry, KUR_LOG_INFO, "schema registry: %s is registered under %s, id %u",
                          kur_schema_name(schema), subject, reply->id);
    }
    let_go(&call);
    return status;
}

kur_status kur_registry_register(kur_registry *registry, const char *subject, kur_schema *schema,
                                 const kur_subject_references *references, int timeout_ms, uint32_t *id,
                                 kur_error *error)
{
    struct timespec deadline;
    kur__reply reply = {0};
    kur_status status = registry != NULL ? check_schema(schema, references, error) : KUR_OK;
    if (status == KUR_OK)
        status = enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    kur_arena *arena = kur_arena_new();
    status = arena != NULL
                 ? kur__registry_register(registry, subject, schema, references, &deadline, arena, &reply, error)
                 : no_memory(error);
    if (status == KUR_OK && id != NULL)
        *id = reply.id;
    kur_arena_free(arena);
    kur__registry_leave(registry);
    return status;
}

/* ---- Compatibility ---- */

static kur_status read_check(void *user, kur_bytes body, kur_error *error)
{
    struct call *call = user;
    return kur__reply_check(body, call->arena, call->is_true, call->text, error);
}

kur_status kur_registry_check(kur_registry *registry, const char *subject, int version, kur_schema *schema,
                              const kur_subject_references *references, int timeout_ms, kur_arena *arena,
                              bool *is_compatible, const char **messages, kur_error *error)
{
    struct timespec deadline;
    struct call call = {.arena = arena, .text = messages, .is_true = is_compatible};
    char behind[64] = "/versions?verbose=true";
    if (registry != NULL && version < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "a version is 1 or more, 0 means all that count");
    kur_status status = registry != NULL ? check_schema(schema, references, error) : KUR_OK;
    if (status == KUR_OK)
        status = enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    if (version > 0)
        snprintf(behind, sizeof behind, "/versions/%d?verbose=true", version);
    status = path_of(&call.path, "/compatibility/subjects", subject, behind, error);
    if (status == KUR_OK)
        status = body_of(schema, references, &call.body, error);
    if (status == KUR_OK)
        status = ask(registry, "POST", &call, &deadline, read_check, error);
    let_go(&call);
    kur__registry_leave(registry);
    return status;
}

static kur_status read_level(void *user, kur_bytes body, kur_error *error)
{
    struct call *call = user;
    return kur__reply_level(body, call->arena, call->text, error);
}

kur_status kur_registry_level(kur_registry *registry, const char *subject, int timeout_ms, kur_arena *arena,
                              const char **level, kur_error *error)
{
    struct timespec deadline;
    struct call call = {.arena = arena, .text = level};
    kur_status status = kur__registry_enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = path_of(&call.path, "/config", subject, subject != NULL ? "?defaultToGlobal=true" : "", error);
    if (status == KUR_OK)
        status = ask(registry, "GET", &call, &deadline, read_level, error);
    if (status == KUR_ERROR_UNKNOWN_SCHEMA && subject != NULL) { /* it has none of its own, or is not there yet */
        call.path.size = 0;
        status = path_of(&call.path, "/config", NULL, "", error);
        if (status == KUR_OK)
            status = ask(registry, "GET", &call, &deadline, read_level, error);
    }
    let_go(&call);
    kur__registry_leave(registry);
    return status;
}

kur_status kur_registry_set_level(kur_registry *registry, const char *subject, const char *level, int timeout_ms,
                                  kur_error *error)
{
    struct timespec deadline;
    struct call call = {0};
    if (registry != NULL &&
        (level == NULL || level[0] == '\0' || strspn(level, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != strlen(level)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "a level looks like BACKWARD or FULL_TRANSITIVE");
    kur_status status = kur__registry_enter(registry, subject, timeout_ms, &deadline, error);
    if (status != KUR_OK)
        return status;
    status = path_of(&call.path, "/config", subject, "", error);
    if (status == KUR_OK && kur_buffer_print(&call.body, "{\"compatibility\":\"%s\"}", level) != KUR_OK)
        status = no_memory(error);
    if (status == KUR_OK)
        status = ask(registry, "PUT", &call, &deadline, NULL, error);
    if (status == KUR_ERROR_CONFIG && call.answer.code == 400)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the schema registry knows no level %s", level);
    let_go(&call);
    kur__registry_leave(registry);
    return status;
}
