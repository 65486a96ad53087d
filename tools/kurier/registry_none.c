/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * In place of the library kurier-registry, where it is not built: there is never a registry, and so nothing is asked.
 */
#include <kurier/registry.h>
#include <kurier/sys/error.h>

static kur_status none(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                         "this kurier was built without the schema registry's client: build it where libcurl is, with "
                         "-Dregistry=enabled; files of schemas are read without it");
}

kur_registry *kur_registry_new(const kur_registry_options *options, kur_error *error)
{
    (void)options;
    none(error);
    return NULL;
}

void kur_registry_free(kur_registry *registry)
{
    (void)registry;
}

const kur_schemas *kur_registry_schemas(kur_registry *registry)
{
    (void)registry;
    return NULL;
}

kur_status kur_registry_subjects(kur_registry *registry, int timeout_ms, kur_arena *arena, const char *const **subjects,
                                 size_t *count, kur_error *error)
{
    (void)registry, (void)timeout_ms, (void)arena, (void)subjects, (void)count;
    return none(error);
}

kur_status kur_registry_versions(kur_registry *registry, const char *subject, int timeout_ms, kur_arena *arena,
                                 const int **versions, size_t *count, kur_error *error)
{
    (void)registry, (void)subject, (void)timeout_ms, (void)arena, (void)versions, (void)count;
    return none(error);
}

kur_status kur_registry_version(kur_registry *registry, const char *subject, int version, int timeout_ms,
                                kur_arena *arena, kur_subject_version *found, kur_error *error)
{
    (void)registry, (void)subject, (void)version, (void)timeout_ms, (void)arena, (void)found;
    return none(error);
}

kur_status kur_registry_look_up(kur_registry *registry, const char *subject, kur_schema *schema,
                                const kur_subject_references *references, int timeout_ms, kur_arena *arena,
                                kur_subject_version *found, kur_error *error)
{
    (void)registry, (void)subject, (void)schema, (void)references, (void)timeout_ms, (void)arena, (void)found;
    return none(error);
}

kur_status kur_registry_register(kur_registry *registry, const char *subject, kur_schema *schema,
                                 const kur_subject_references *references, int timeout_ms, uint32_t *id,
                                 kur_error *error)
{
    (void)registry, (void)subject, (void)schema, (void)references, (void)timeout_ms, (void)id;
    return none(error);
}

kur_status kur_registry_check(kur_registry *registry, const char *subject, int version, kur_schema *schema,
                              const kur_subject_references *references, int timeout_ms, kur_arena *arena,
                              bool *is_compatible, const char **messages, kur_error *error)
{
    (void)registry, (void)subject, (void)version, (void)schema, (void)references, (void)timeout_ms, (void)arena;
    (void)is_compatible, (void)messages;
    return none(error);
}

kur_status kur_registry_level(kur_registry *registry, const char *subject, int timeout_ms, kur_arena *arena,
                              const char **level, kur_error *error)
{
    (void)registry, (void)subject, (void)timeout_ms, (void)arena, (void)level;
    return none(error);
}
