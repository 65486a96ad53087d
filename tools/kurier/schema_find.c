/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "schema.h"
#include "text.h"

/* ---- What it is ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), length = strlen(end);
    return size > length && strcmp(text + size - length, end) == 0;
}

static bool is_file(const char *what)
{
    return strcmp(what, "-") == 0 || strchr(what, '/') != NULL || ends_with(what, ".avsc") || ends_with(what, ".json");
}

/* SUBJECT:VERSION taken apart; without a version, and for "latest", 0. */
static const char *split_version(const struct invocation *call, const char *what, int *version)
{
    const char *colon = strrchr(what, ':');
    int64_t number = 0;
    *version = 0;
    if (colon == NULL || colon == what ||
        (strcmp(colon + 1, "latest") != 0 && !text_read_number(colon + 1, 1, INT32_MAX, &number)))
        return what;
    *version = (int)number;
    const char *subject = kur_arena_copy(call->arena, what, (size_t)(colon - what));
    text_need(subject != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    return subject;
}

/* ---- Finding it ---- */

static int open_registry(struct invocation *call, kur_registry **registry)
{
    int status = EXIT_DONE;
    if (*registry == NULL)
        *registry = registry_open(call, schema_state.normalizes, &status);
    return status;
}

static const char *call_it(const struct invocation *call, const char *before, const char *name, const char *behind)
{
    kur_buffer text = {0};
    text_need(kur_buffer_print(&text, "%s%s%s", before, name, behind));
    const char *words = kur_arena_copy(call->arena, text.data, text.size);
    text_need(words != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    kur_buffer_done(&text);
    return words;
}

static int take(const struct invocation *call, kur_status status, const kur_error *error, struct schema_found *found)
{
    if (status != KUR_OK)
        return command_error(call->noun, error);
    found->text = kur_schema_text(found->schema);
    found->kind = "AVRO";
    return EXIT_DONE;
}

static int find_id(struct invocation *call, kur_registry *registry, const char *what, uint32_t id,
                   struct schema_found *found)
{
    kur_error error = {0};
    const kur_schemas *schemas = kur_registry_schemas(registry);
    found->name = call_it(call, "id ", what, "");
    found->id = id;
    kur_status status = schemas->by_id(schemas->state, id, call->connection.timeout_ms, &found->schema, &error);
    return take(call, status, &error, found);
}

static int find_guid(struct invocation *call, kur_registry *registry, const char *what, const kur_uuid *guid,
                     struct schema_found *found)
{
    kur_error error = {0};
    const kur_schemas *schemas = kur_registry_schemas(registry);
    found->name = call_it(call, "GUID ", what, "");
    kur_status status = schemas->by_guid(schemas->state, guid, call->connection.timeout_ms, &found->schema, &error);
    return take(call, status, &error, found);
}

static int find_version(struct invocation *call, kur_registry *registry, const char *what, struct schema_found *found)
{
    char number[16];
    kur_error error = {0};
    kur_subject_version got = KUR_SUBJECT_VERSION();
    int version;
    const char *subject = split_version(call, what, &version);
    if (kur_registry_version(registry, subject, version, call->connection.timeout_ms, call->arena, &got, &error) !=
        KUR_OK)
        return command_error(call->noun, &error);
    snprintf(number, sizeof number, ":%d", got.version);
    *found = (struct schema_found){.name = call_it(call, "", got.subject, number),
                                   .schema = got.schema,
                                   .text = got.text,
                                   .kind = got.kind,
                                   .subject = got.subject,
                                   .version = got.version,
                                   .id = got.id,
                                   .references = got.references.references,
                                   .reference_count = got.references.count};
    return EXIT_DONE;
}

int schema_find(struct invocation *call, kur_registry **registry, const char *what, struct schema_found *found)
{
    int64_t id;
    kur_uuid guid;
    *found = (struct schema_found){.name = what};
    if (is_file(what)) {
        int status = schema_file_read(call, registry, what, &found->schema);
        return status == EXIT_DONE ? take(call, KUR_OK, NULL, found) : status;
    }
    int status = open_registry(call, registry);
    if (status != EXIT_DONE)
        return status;
    if (text_read_number(what, 0, UINT32_MAX, &id))
        return find_id(call, *registry, what, (uint32_t)id, found);
    if (kur_uuid_parse(what, strlen(what), &guid, NULL) == KUR_OK)
        return find_guid(call, *registry, what, &guid, found);
    return find_version(call, *registry, what, found);
}

int schema_find_avro(struct invocation *call, kur_registry **registry, const char *what, struct schema_found *found)
{
    int status = schema_find(call, registry, what, found);
    if (status == EXIT_DONE && found->schema == NULL)
        status = command_fail(call->noun, "%.250s is of kind %.60s, not one of Avro's", found->name, found->kind);
    return status;
}

void schema_found_done(struct schema_found *found)
{
    kur_schema_unref(found->schema);
    found->schema = NULL;
}
