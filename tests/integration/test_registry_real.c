/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The registry's client against a real one, which KURIER_REGISTRY names: script/registry run.
 */
#include <kurier/arena.h>
#include <kurier/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"

#define SOON 30000

#define ORDER(fields)                                                                                                  \
    "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"id\",\"type\":"            \
    "\"string\"}" fields "]}"
#define WITH_NOTE ORDER(",{\"name\":\"note\",\"type\":\"string\",\"default\":\"\"}")
#define WITH_PRICE ORDER(",{\"name\":\"price\",\"type\":\"long\"}")

static kur_error error;
static kur_arena *arena;

static kur_registry *open_with(kur_registry_options options)
{
    options.urls = getenv("KURIER_REGISTRY");
    error = (kur_error){0};
    kur_registry *registry = kur_registry_new(&options, &error);
    ck_assert_msg(registry != NULL, "%s", error.message);
    arena = kur_arena_new();
    return registry;
}
#define open_registry(...) open_with(KUR_REGISTRY_OPTIONS(.timeout_ms = SOON, __VA_ARGS__))

static void close_registry(kur_registry *registry)
{
    kur_registry_free(registry);
    kur_arena_free(arena);
}

/* A subject that no other run has, with all that a URL must not have in it. */
static const char *subject_of(const char *name)
{
    static char subject[128];
    static int number;
    snprintf(subject, sizeof subject, "%s ä/%%?#-%d-%d", name, (int)getpid(), number++);
    return subject;
}

static kur_schema *parse(const char *text)
{
    kur_schema *schema = NULL;
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    return schema;
}

static uint32_t put(kur_registry *registry, const char *subject, const char *text)
{
    kur_schema *schema = parse(text);
    uint32_t id = 0;
    ck_ok(kur_registry_register(registry, subject, schema, NULL, SOON, &id, &error), error);
    kur_schema_unref(schema);
    return id;
}

static const char *without_registry = "no schema registry: script/registry run";

START_TEST(test_registry_real__register_find_look_up)
{
    skip_unless(getenv("KURIER_REGISTRY") != NULL, without_registry);
    kur_registry *registry = open_registry(.latest_ms = KUR_NONE);
    const kur_schemas *schemas = kur_registry_schemas(registry);
    const char *subject = subject_of("order");
    uint32_t first = put(registry, subject, ORDER(""));
    ck_assert_uint_gt(first, 0);
    ck_assert_uint_eq(put(registry, subject, ORDER("")), first);
    uint32_t second = put(registry, subject, WITH_NOTE);
    ck_assert_uint_ne(second, first);

    kur_schema *schema = NULL, *wanted = parse(WITH_NOTE);
    ck_ok(schemas->by_id(schemas->state, second, SOON, &schema, &error), error);
    ck_ok(kur_schema_same_encoding(schema, wanted, &error), error);
    kur_schema_unref(schema);
    kur_subject_version version = KUR_SUBJECT_VERSION();
    ck_ok(kur_registry_version(registry, subject, 0, SOON, arena, &version, &error), error);
    ck_assert_uint_eq(version.id, second);
    ck_assert_int_eq(version.version, 2);
    ck_assert_str_eq(version.subject, subject);
    ck_assert_str_eq(version.kind, "AVRO");
    kur_schema_unref(version.schema);
    ck_ok(kur_registry_version(registry, subject, 1, SOON, arena, &version, &error), error);
    ck_assert_uint_eq(version.id, first);
    kur_schema_unref(version.schema);
    ck_ok(kur_registry_look_up(registry, subject, wanted, NULL, SOON, arena, &version, &error), error);
    ck_assert_uint_eq(version.id, second);
    kur_schema_unref(version.schema);
    kur_schema_unref(wanted);

    const int *versions = NULL;
    size_t count = 0;
    ck_ok(kur_registry_versions(registry, subject, SOON, arena, &versions, &count, &error), error);
    ck_assert(count == 2 && versions[0] == 1 && versions[1] == 2);
    const char *const *subjects = NULL;
    bool is_there = false;
    ck_ok(kur_registry_subjects(registry, SOON, arena, &subjects, &count, &error), error);
    for (size_t i = 0; i < count; i++)
        is_there = is_there || strcmp(subjects[i], subject) == 0;
    ck_assert(is_there);
    close_registry(registry);
}
END_TEST

START_TEST(test_registry_real__what_is_not_there)
{
    skip_unless(getenv("KURIER_REGISTRY") != NULL, without_registry);
    kur_registry *registry = open_registry(.retries = KUR_NONE);
    const kur_schemas *schemas = kur_registry_schemas(registry);
    const char *subject = subject_of("nothing");
    kur_schema *schema = NULL, *wanted = parse(WITH_NOTE);
    kur_subject_version version = KUR_SUBJECT_VERSION();
    kur_uuid guid = {{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}};
    const uint32_t ids[] = {0, 12345678, INT32_MAX, (uint32_t)INT32_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        ck_status(schemas->by_id(schemas->state, ids[i], SOON, &schema, &error), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_status(schemas->by_guid(schemas->state, &guid, SOON, &schema, &error), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_status(kur_registry_version(registry, subject, 0, SOON, arena, &version, &error), KUR_ERROR_UNKNOWN_SCHEMA,
              error);
    put(registry, subject, ORDER(""));
    ck_status(kur_registry_version(registry, subject, 9, SOON, arena, &version, &error), KUR_ERROR_UNKNOWN_SCHEMA,
              error);
    ck_status(kur_registry_look_up(registry, subject, wanted, NULL, SOON, arena, &version, &error),
              KUR_ERROR_UNKNOWN_SCHEMA, error);
    kur_schema_unref(wanted);
    /* An address behind which there is none. */
    char url[256];
    snprintf(url, sizeof url, "%s/nonsense", getenv("KURIER_REGISTRY"));
    kur_registry *other = kur_registry_new(&KUR_REGISTRY_OPTIONS(.urls = url), &error);
    schemas = kur_registry_schemas(other);
    ck_status(schemas->by_id(schemas->state, 1, SOON, &schema, &error), KUR_ERROR_CONFIG, error);
    ck_says(error, "there is no schema registry");
    kur_registry_free(other);
    close_registry(registry);
}
END_TEST

START_TEST(test_registry_real__compatibility)
{
    skip_unless(getenv("KURIER_REGISTRY") != NULL, without_registry);
    kur_registry *registry = open_registry(.retries = KUR_NONE);
    const char *subject = subject_of("levels"), *level = NULL, *messages = NULL;
    bool is_compatible = false;
    uint32_t id = 0;
    kur_schema *with_note = parse(WITH_NOTE), *with_price = parse(WITH_PRICE);
    ck_ok(kur_registry_level(registry, NULL, SOON, arena, &level, &error), error);
    ck_assert_str_eq(level, "BACKWARD");
    ck_ok(kur_registry_level(registry, subject, SOON, arena, &level, &error), error);
    ck_assert_str_eq(level, "BACKWARD");
    put(registry, subject, ORDER(""));
    for (int version = 0; version < 2; version++) {
        ck_ok(kur_registry_check(registry, subject, version, with_note, NULL, SOON, arena, &is_compatible, &messages,
                                 &error),
              error);
        ck_assert(is_compatible);
        ck_assert_str_eq(messages, "");
        ck_ok(kur_registry_check(registry, subject, version, with_price, NULL, SOON, arena, &is_compatible, &messages,
                                 &error),
              error);
        ck_assert(!is_compatible);
        ck_assert_ptr_nonnull(strstr(messages, "price"));
    }
    ck_status(kur_registry_register(registry, subject, with_price, NULL, SOON, &id, &error), KUR_ERROR_MISMATCH, error);
    ck_says(error, "price");
    ck_ok(kur_registry_set_level(registry, subject, "FORWARD", SOON, &error), error);
    ck_ok(kur_registry_level(registry, subject, SOON, arena, &level, &error), error);
    ck_assert_str_eq(level, "FORWARD");
    ck_ok(kur_registry_register(registry, subject, with_price, NULL, SOON, &id, &error), error);
    ck_status(kur_registry_set_level(registry, subject, "SIDEWARD", SOON, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    kur_schema_unref(with_note);
    kur_schema_unref(with_price);
    close_registry(registry);
}
END_TEST

START_TEST(test_registry_real__references)
{
    skip_unless(getenv("KURIER_REGISTRY") != NULL, without_registry);
    kur_registry *registry = open_registry(.retries = KUR_NONE);
    char order[128];
    snprintf(order, sizeof order, "%s", subject_of("order"));
    const char *text =
        "{\"type\":\"record\",\"name\":\"shop.Parcel\",\"fields\":[{\"name\":\"of\",\"type\":\"Order\"}]}";
    const char *subject = subject_of("parcel");
    put(registry, order, ORDER(""));
    kur_schema *base = parse(ORDER("")), *parcel = NULL, *schema = NULL;
    kur_schema_reference known = {"shop.Order", base};
    ck_ok(kur_schema_parse(kur_bytes_text(text), &known, 1, &parcel, &error), error);
    const kur_subject_reference reference = {"shop.Order", order, 1};
    const kur_subject_references references = {&reference, 1};
    uint32_t id = 0;
    kur_subject_version version = KUR_SUBJECT_VERSION();
    ck_ok(kur_registry_register(registry, subject, parcel, &references, SOON, &id, &error), error);
    ck_ok(kur_registry_look_up(registry, subject, parcel, &references, SOON, arena, &version, &error), error);
    ck_assert_uint_eq(version.id, id);
    ck_assert_uint_eq(version.references.count, 1);
    ck_assert_str_eq(version.references.references[0].subject, order);
    kur_schema_unref(version.schema);
    close_registry(registry);

    registry = open_registry(.retries = KUR_NONE); /* one that has seen nothing of it */
    const kur_schemas *schemas = kur_registry_schemas(registry);
    ck_ok(schemas->by_id(schemas->state, id, SOON, &schema, &error), error);
    ck_assert_str_eq(kur_schema_name(schema), "shop.Parcel");
    ck_ok(kur_schema_same_encoding(schema, parcel, &error), error);
    kur_schema_unref(schema);
    kur_schema_unref(parcel);
    kur_schema_unref(base);
    close_registry(registry);
}
END_TEST

START_TEST(test_registry_real__places)
{
    skip_unless(getenv("KURIER_REGISTRY") != NULL, without_registry);
    char topic[64], subject[80];
    snprintf(topic, sizeof topic, "orders-%d", (int)getpid());
    snprintf(subject, sizeof subject, "%s-value", topic);
    kur_registry *registry = open_registry(.retries = KUR_NONE);
    const kur_schemas *schemas = kur_registry_schemas(registry);
    kur_schema *schema = parse(WITH_NOTE), *other = parse(WITH_PRICE);
    kur_schema_place place = KUR_SCHEMA_PLACE(.id = 0);
    ck_status(schemas->place(schemas->state, topic, schema, SOON, &place, &error), KUR_ERROR_UNKNOWN_SCHEMA, error);
    close_registry(registry);

    registry = open_registry(.registers = true);
    schemas = kur_registry_schemas(registry);
    ck_ok(schemas->place(schemas->state, topic, schema, SOON, &place, &error), error);
    uint32_t id = place.id;
    ck_assert_uint_gt(id, 0);
    ck_assert_ptr_nonnull(strstr(place.url, "/schemas/ids/"));
    ck_status(schemas->place(schemas->state, topic, other, SOON, &place, &error), KUR_ERROR_MISMATCH, error);
    close_registry(registry);

    registry = open_registry(.uses_latest = true);
    schemas = kur_registry_schemas(registry);
    ck_ok(schemas->place(schemas->state, topic, schema, SOON, &place, &error), error);
    ck_assert_uint_eq(place.id, id);
    ck_status(schemas->place(schemas->state, topic, other, SOON, &place, &error), KUR_ERROR_MISMATCH, error);
    close_registry(registry);
    kur_schema_unref(schema);
    kur_schema_unref(other);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_registry_real__register_find_look_up,
                                  test_registry_real__what_is_not_there,
                                  test_registry_real__compatibility,
                                  test_registry_real__references,
                                  test_registry_real__places,
                                  NULL};
    return check_main("registry_real", tests);
}
