/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The registry's client against a fake one: what is asked, what is kept, who waits for whom, and every way in which a
 * server fails. A real one: tests/integration/test_registry_real.c.
 */
#include <kurier/arena.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../fake_registry.h"
#include "registry/registry.h"

#define SOON 20000 /* ms: longer than anything here takes that goes well */

#define NOT_FOUND "{\"error_code\":40403,\"message\":\"Schema not found\"}"
#define RECORD "{\"type\":\"record\",\"name\":\"n.A\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"
/* The same as a text within JSON, and once more with documentation. */
#define RECORD_QUOTED                                                                                                  \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"n.A\\\",\\\"fields\\\":[{\\\"name\\\":\\\"a\\\",\\\"type\\\":"      \
    "\\\"int\\\"}]}"
#define DOCUMENTED                                                                                                     \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"A\\\",\\\"namespace\\\":\\\"n\\\",\\\"doc\\\":\\\"all\\\","         \
    "\\\"fields\\\":[{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"int\\\",\\\"default\\\":3}]}"
#define GUID "0f0e0d0c-0b0a-4908-8706-050403020100"

static struct fake *fake;
static kur_error error;

/* A registry of the fake's that is not patient. */
static kur_registry *open_with(kur_registry_options options)
{
    if (options.urls == NULL)
        options.urls = fake_url(fake);
    error = (kur_error){0};
    kur_registry *registry = kur_registry_new(&options, &error);
    ck_assert_msg(registry != NULL, "%s", error.message);
    registry->first_wait_ms = registry->most_wait_ms = 1;
    return registry;
}
#define open_registry(...) open_with(KUR_REGISTRY_OPTIONS(__VA_ARGS__))

static kur_status by_id(kur_registry *registry, uint32_t id, int timeout_ms)
{
    const kur_schemas *schemas = kur_registry_schemas(registry);
    kur_schema *schema = NULL;
    error = (kur_error){0};
    kur_status status = schemas->by_id(schemas->state, id, timeout_ms, &schema, &error);
    ck_assert_int_eq(status, error.code);
    ck_assert((schema != NULL) == (status == KUR_OK));
    kur_schema_unref(schema);
    return status;
}

static kur_schema *parse(const char *text)
{
    kur_schema *schema = NULL;
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    return schema;
}

/* ---- Finding, and keeping ---- */

START_TEST(test_registry__an_id_is_asked_for_once)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    const kur_schemas *schemas = kur_registry_schemas(registry);
    kur_schema *schema = NULL;
    fake_answer(fake, "GET /schemas/ids/7", 200, "{\"schema\":\"" RECORD_QUOTED "\",\"more\":[{}]}");
    ck_ok(schemas->by_id(schemas->state, 7, SOON, &schema, &error), error);
    ck_assert_str_eq(kur_schema_name(schema), "n.A");
    ck_assert(kur_bytes_equal(kur_schema_text(schema), kur_bytes_text(RECORD)));
    kur_schema_unref(schema);
    char asked[4096];
    fake_last(fake, asked);
    ck_assert_ptr_nonnull(strstr(asked, "\r\nAccept: application/vnd.schemaregistry.v1+json"));
    ck_assert_ptr_nonnull(strstr(asked, "\r\nUser-Agent: kurier/" KUR_VERSION_TEXT "\r\n"));
    ck_assert_ptr_null(strstr(asked, "Authorization"));
    for (int i = 0; i < 100; i++)
        ck_ok(by_id(registry, 7, 0), error); /* no time is needed */
    ck_assert_int_eq(fake_count(fake, NULL), 1);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__what_is_not_there_is_asked_for_again)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_answer(fake, "GET /schemas/ids/8", 404, NOT_FOUND);
    fake_answer(fake, "GET /schemas/ids/8", 404, NOT_FOUND);
    fake_answer(fake, "GET /schemas/ids/8", 200, "{\"schema\":\"\\\"string\\\"\"}");
    for (int i = 0; i < 2; i++) {
        ck_status(by_id(registry, 8, SOON), KUR_ERROR_UNKNOWN_SCHEMA, error);
        ck_says(error, "/schemas/ids/8: 404 (40403): Schema not found");
    }
    ck_ok(by_id(registry, 8, SOON), error);
    /* What the registry would take for no number is not asked. */
    ck_status(by_id(registry, 4000000000, SOON), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_assert_int_eq(fake_count(fake, NULL), 3);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* Only a registry's own word says that a schema is not there: the record is rejected for good by it. */
START_TEST(test_registry__another_404_is_no_word_on_a_schema)
{
    static const char *const bodies[] = {"{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}",
                                         "{\"error_code\":0,\"message\":\"no such path\"}",
                                         "<html>Not Found</html>",
                                         "",
                                         "{\"message\":\"x\"}",
                                         "{\"error_code\":\"40403\"}",
                                         "[40403]"};
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        fake_answer(fake, "GET /schemas/ids/8", 404, bodies[i]);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ck_status(by_id(registry, 8, SOON), KUR_ERROR_CONFIG, error);
        ck_says(error, "there is no schema registry");
    }
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__guids)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    const kur_schemas *schemas = kur_registry_schemas(registry);
    kur_schema *schema = NULL;
    kur_uuid guid;
    ck_ok(kur_uuid_parse(GUID, strlen(GUID), &guid, &error), error);
    /* A registry that knows none: anybody can write a GUID on a record, which must not stop what comes behind it. */
    ck_status(schemas->by_guid(schemas->state, &guid, SOON, &schema, &error), KUR_ERROR_CONFIG, error);
    fake_answer(fake, "GET /schemas/types", 200, "[\"AVRO\"]");
    ck_status(schemas->by_guid(schemas->state, &guid, SOON, &schema, &error), KUR_ERROR_UNKNOWN_SCHEMA, error);
    fake_answer(fake, "GET /schemas/guids/" GUID, 200, "{\"schema\":\"\\\"long\\\"\",\"guid\":\"" GUID "\"}");
    for (int i = 0; i < 2; i++) {
        ck_ok(schemas->by_guid(schemas->state, &guid, SOON, &schema, &error), error);
        ck_assert_str_eq(kur_schema_name(schema), "long");
        kur_schema_unref(schema);
    }
    ck_assert_int_eq(fake_count(fake, "GET /schemas/guids/" GUID), 3);
    ck_assert(schemas->by_fingerprint == NULL);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__a_thousand_are_kept)
{
    static char requests[1001][64];
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    for (int i = 0; i < 1001; i++) {
        snprintf(requests[i], sizeof *requests, "GET /schemas/ids/%d", i + 1);
        fake_answer(fake, requests[i], 200, "{\"schema\":\"\\\"int\\\"\"}");
    }
    for (uint32_t i = 1; i <= 1000; i++)
        ck_ok(by_id(registry, i, SOON), error);
    ck_ok(by_id(registry, 1, SOON), error); /* used: the second is the oldest now */
    ck_ok(by_id(registry, 1001, SOON), error);
    ck_assert_int_eq(fake_count(fake, NULL), 1001);
    ck_ok(by_id(registry, 1, SOON), error);
    ck_assert_int_eq(fake_count(fake, NULL), 1001);
    ck_ok(by_id(registry, 2, SOON), error);
    ck_assert_int_eq(fake_count(fake, NULL), 1002);
    ck_assert_uint_eq(registry->cache.count, 1000);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* ---- Who waits for whom ---- */

struct asker {
    pthread_t thread;
    kur_registry *registry;
    int timeout_ms;
    kur_status status;
    kur_error error;
};

static void *ask(void *user)
{
    struct asker *asker = user;
    const kur_schemas *schemas = kur_registry_schemas(asker->registry);
    kur_schema *schema = NULL;
    asker->status = schemas->by_id(schemas->state, 7, asker->timeout_ms, &schema, &asker->error);
    kur_schema_unref(schema);
    return NULL;
}

static void start_askers(struct asker *askers, int count, kur_registry *registry, int timeout_ms)
{
    for (int i = 0; i < count; i++) {
        askers[i] = (struct asker){.registry = registry, .timeout_ms = timeout_ms};
        ck_assert_int_eq(kur_thread_start(&askers[i].thread, ask, &askers[i]), 0);
    }
}

static void join_askers(struct asker *askers, int count, kur_status expected)
{
    for (int i = 0; i < count; i++) {
        pthread_join(askers[i].thread, NULL);
        ck_assert_msg(askers[i].status == expected, "%d: %s", i, askers[i].error.message);
        ck_assert_int_eq(askers[i].error.code, expected);
    }
}

/* Until so many calls are under way. */
static void await_calls(kur_registry *registry, size_t count)
{
    size_t under_way = 0;
    struct timespec deadline = kur_deadline_after(30000);
    while (under_way < count && kur__left_ms(&deadline) > 0) {
        sched_yield();
        pthread_mutex_lock(&registry->lock);
        under_way = registry->under_way;
        pthread_mutex_unlock(&registry->lock);
    }
    ck_assert_uint_eq(under_way, count);
}

START_TEST(test_registry__one_asks_for_all)
{
    struct asker askers[16];
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_tell(fake, "GET /schemas/ids/7", FAKE_HELD, 200, NULL, "{\"schema\":\"\\\"int\\\"\"}");
    fake_answer(fake, "GET /schemas/ids/9", 200, "{\"schema\":\"\\\"int\\\"\"}");
    start_askers(askers, 16, registry, SOON);
    fake_await(fake, "GET /schemas/ids/7", 1);
    await_calls(registry, 16);
    ck_ok(by_id(registry, 9, SOON), error); /* others do not wait */
    fake_release(fake);
    join_askers(askers, 16, KUR_OK);
    ck_assert_int_eq(fake_count(fake, "GET /schemas/ids/7"), 1);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__an_error_is_for_all_who_wait)
{
    struct asker askers[8];
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_tell(fake, "GET /schemas/ids/7", FAKE_HELD, 403, NULL, "{\"error_code\":40301,\"message\":\"not for you\"}");
    start_askers(askers, 8, registry, SOON);
    fake_await(fake, "GET /schemas/ids/7", 1);
    await_calls(registry, 8);
    fake_release(fake);
    join_askers(askers, 8, KUR_ERROR_AUTHORIZATION);
    ck_assert_int_eq(fake_count(fake, NULL), 1);
    for (int i = 0; i < 8; i++)
        ck_says(askers[i].error, "403 (40301): not for you");
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__who_waits_has_its_own_time)
{
    struct asker first, second;
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_tell(fake, "GET /schemas/ids/7", FAKE_HELD, 200, NULL, "{\"schema\":\"\\\"int\\\"\"}");
    start_askers(&first, 1, registry, SOON);
    fake_await(fake, "GET /schemas/ids/7", 1);
    start_askers(&second, 1, registry, 50);
    join_askers(&second, 1, KUR_ERROR_TIMEOUT);
    fake_release(fake);
    join_askers(&first, 1, KUR_OK);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* The time of the one that asks is over: the other one, which has more, asks by itself. */
START_TEST(test_registry__who_has_more_time_asks_again)
{
    struct asker first, second;
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_tell(fake, "GET /schemas/ids/7", FAKE_SILENT, 200, NULL, "");
    fake_answer(fake, "GET /schemas/ids/7", 200, "{\"schema\":\"\\\"int\\\"\"}");
    start_askers(&first, 1, registry, 700);
    fake_await(fake, "GET /schemas/ids/7", 1);
    start_askers(&second, 1, registry, SOON);
    join_askers(&first, 1, KUR_ERROR_TIMEOUT);
    join_askers(&second, 1, KUR_OK);
    ck_assert_int_eq(fake_count(fake, NULL), 2);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* ---- What fails ---- */

START_TEST(test_registry__what_passes_is_asked_for_again)
{
    static const struct {
        enum fake_way way;
        int code;
        const char *body;
    } bad[] = {
        {FAKE_GOOD, 500, "{\"error_code\":50001,\"message\":\"store\"}"},
        {FAKE_GOOD, 503, "<html>"},
        {FAKE_GOOD, 429, ""},
        {FAKE_GOOD, 408, ""},
        {FAKE_CLOSES, 0, ""},
        {FAKE_TRUNCATED, 200, "{\"schema\":\"\\\"int\\\"\"}"},
        {FAKE_GOOD, 200, "<html>log in here</html>"},
        {FAKE_GOOD, 200, ""},
        {FAKE_GOOD, 200, "[]"},
        {FAKE_GOOD, 200, "{\"schema\":{}}"},
        {FAKE_GOOD, 200, "{\"no schema\":1}"},
        {FAKE_GOOD, 200, "{\"schema\":\"\\\"int\\\"\",\"id\":8}"},
        {FAKE_GOOD, 200, "{\"schema\":\"\\\"int\\\"\",\"id\":-1}"},
        {FAKE_GOOD, 200, "{\"schema\":\"\\\"int\\\"\",\"guid\":\"x\"}"},
        {FAKE_GOOD, 200, "{\"schema\":\"\\\"int\\\"\",\"references\":{}}"},
        {FAKE_GOOD, 200, "{\"schema\":\"\\\"int\\\"\",\"references\":[{\"name\":\"n\"}]}"},
        {FAKE_GOOD, 200, "{\"schema\":\"\\\"int\\\"\",\"references\":[7]}"},
        {FAKE_ENDLESS, 500, "{\"error_code\":50001,\"message\":\"store\"}"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fake = fake_start();
        kur_registry *registry = open_registry(.timeout_ms = 0);
        fake_tell(fake, "GET /schemas/ids/7", bad[i].way, bad[i].code, NULL, bad[i].body);
        fake_tell(fake, "GET /schemas/ids/7", bad[i].way, bad[i].code, NULL, bad[i].body);
        fake_answer(fake, "GET /schemas/ids/7", 200, "{\"schema\":\"\\\"int\\\"\",\"id\":7}");
        ck_assert_msg(by_id(registry, 7, SOON) == KUR_OK, "%zu: %s", i, error.message);
        ck_assert_int_eq(fake_count(fake, NULL), 3);
        kur_registry_free(registry);
        fake_stop(fake);
    }
}
END_TEST

START_TEST(test_registry__after_four_rounds_it_is_told)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_answer(fake, "GET /schemas/ids/7", 500, "{\"error_code\":50001,\"message\":\"the store\\nis away\"}");
    ck_status(by_id(registry, 7, SOON), KUR_ERROR_UNREACHABLE, error);
    ck_assert(error.retriable);
    ck_says(error, "/schemas/ids/7: 500 (50001): the store");
    ck_assert_ptr_null(strchr(error.message, '\n'));
    ck_assert_int_eq(fake_count(fake, NULL), 4);
    kur_registry_free(registry);

    registry = open_registry(.retries = KUR_NONE);
    ck_status(by_id(registry, 7, SOON), KUR_ERROR_UNREACHABLE, error);
    ck_assert_int_eq(fake_count(fake, NULL), 5);
    kur_registry_free(registry);
    fake_stop(fake);

    registry = open_registry(.urls = "http://127.0.0.1:1");
    ck_status(by_id(registry, 7, SOON), KUR_ERROR_UNREACHABLE, error);
    ck_says(error, "http://127.0.0.1:1/schemas/ids/7: ");
    kur_registry_free(registry);
}
END_TEST

START_TEST(test_registry__what_will_not_pass_is_told_at_once)
{
    static const struct {
        int code;
        kur_status status;
        const char *body, *says;
    } bad[] = {
        {401, KUR_ERROR_AUTHENTICATION, "", "401"},
        {403, KUR_ERROR_AUTHORIZATION, "", "403"},
        {302, KUR_ERROR_CONFIG, "", "leads elsewhere"},
        {400, KUR_ERROR_CONFIG, "{\"error_code\":400,\"message\":\"what?\"}", "400 (400): what?"},
        {422, KUR_ERROR_CONFIG, "{\"error_code\":42201,\"message\":\"what?\"}", "422 (42201)"},
        {409, KUR_ERROR_CONFIG, "", "409"},
        {200, KUR_ERROR_SYNTAX, "{\"schema\":\"{\\\"type\\\":\\\"nonsense\\\"}\"}", "the schema of /schemas/ids/7: "},
        {200, KUR_ERROR_UNSUPPORTED, "{\"schema\":\"{}\",\"schemaType\":\"PROTOBUF\"}", "of kind PROTOBUF"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fake = fake_start();
        kur_registry *registry = open_registry(.timeout_ms = 0);
        fake_tell(fake, "GET /schemas/ids/7", FAKE_GOOD, bad[i].code, "Location: /elsewhere\r\n", bad[i].body);
        fake_answer(fake, "GET /elsewhere", 200, "{\"schema\":\"\\\"int\\\"\"}");
        ck_status(by_id(registry, 7, SOON), bad[i].status, error);
        ck_says(error, bad[i].says);
        ck_assert_int_eq(fake_count(fake, NULL), 1);
        kur_registry_free(registry);
        fake_stop(fake);
    }
}
END_TEST

START_TEST(test_registry__an_answer_is_bounded_while_it_comes)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.response_bytes = 100000);
    fake_tell(fake, "GET /schemas/ids/7", FAKE_ENDLESS, 200, NULL, "{\"schema\":\"\\\"int\\\"\"}                     ");
    ck_status(by_id(registry, 7, SOON), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "larger than 100000 bytes");
    /* Deep, and of many values: bounded before it is made anything of. */
    char *deep = calloc(1, 90001);
    memset(deep, '[', 90000);
    fake_answer(fake, "GET /subjects", 200, deep);
    kur_arena *arena = kur_arena_new();
    const char *const *names = NULL;
    size_t count = 0;
    ck_status(kur_registry_subjects(registry, SOON, arena, &names, &count, &error), KUR_ERROR_UNREACHABLE, error);
    ck_says(error, "nests too deep");
    kur_arena_free(arena);
    free(deep);
    /* Headers count as well. */
    char *headers = malloc(400001);
    for (size_t size = 0; size < 400000; size += 16)
        memcpy(headers + size, "X: 0123456789a\r\n", 17);
    fake_tell(fake, "GET /schemas/ids/8", FAKE_GOOD, 200, headers, "{\"schema\":\"\\\"int\\\"\"}");
    ck_status(by_id(registry, 8, SOON), KUR_ERROR_TOO_LARGE, error);
    free(headers);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__the_time_is_kept)
{
    struct timespec before = kur_deadline_after(0), after;
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_tell(fake, "GET /schemas/ids/7", FAKE_SILENT, 200, NULL, "");
    ck_status(by_id(registry, 7, 300), KUR_ERROR_TIMEOUT, error);
    ck_says(error, "/schemas/ids/7: ");
    after = kur_deadline_after(0);
    long took_ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    ck_assert_int_ge(took_ms, 290);
    ck_assert_int_lt(took_ms, 5000);
    ck_status(by_id(registry, 7, 0), KUR_ERROR_TIMEOUT, error);
    /* It is a request's time that is over, and there are no more rounds. */
    kur_registry_free(registry);
    registry = open_registry(.timeout_ms = 50, .retries = 1);
    int asked = fake_count(fake, NULL);
    ck_status(by_id(registry, 7, SOON), KUR_ERROR_TIMEOUT, error);
    ck_assert_int_eq(fake_count(fake, NULL), asked + 2);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__several_urls)
{
    char urls[256];
    fake = fake_start();
    struct fake *second = fake_start();
    fake_answer(second, "GET /base/schemas/ids/7", 200, "{\"schema\":\"\\\"int\\\"\"}");
    fake_answer(second, "GET /base/schemas/ids/8", 200, "{\"schema\":\"\\\"int\\\"\"}");
    fake_tell(fake, "GET /schemas/ids/7", FAKE_SILENT, 200, NULL, "");
    snprintf(urls, sizeof urls, " http://127.0.0.1:1 ,%s/,%s/base/", fake_url(fake), fake_url(second));
    kur_registry *registry = open_registry(.urls = urls, .timeout_ms = 200);
    ck_ok(by_id(registry, 7, SOON), error); /* nobody, one that is silent, one that answers: in the first round */
    ck_assert_int_eq(fake_count(fake, NULL), 1);
    ck_ok(by_id(registry, 8, SOON), error); /* asked first now */
    ck_assert_int_eq(fake_count(fake, NULL), 1);
    ck_assert_int_eq(fake_count(second, NULL), 2);
    kur_registry_free(registry);
    /* The time is the caller's: one that is silent does not take all of it. */
    snprintf(urls, sizeof urls, "%s,%s/base", fake_url(fake), fake_url(second));
    registry = open_registry(.urls = urls);
    ck_ok(by_id(registry, 7, 4000), error);
    kur_registry_free(registry);
    /* One that is behind says that it is not there; one that is away does not make a no of it. */
    fake_answer(fake, "GET /schemas/ids/8", 404, NOT_FOUND);
    snprintf(urls, sizeof urls, "http://127.0.0.1:1,%s,%s/base", fake_url(fake), fake_url(second));
    registry = open_registry(.urls = urls);
    ck_ok(by_id(registry, 8, SOON), error);
    ck_assert_int_eq(fake_count(fake, "GET /schemas/ids/8"), 1);
    kur_registry_free(registry);
    snprintf(urls, sizeof urls, "%s,http://127.0.0.1:1", fake_url(fake));
    registry = open_registry(.urls = urls);
    ck_status(by_id(registry, 8, SOON), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_says(error, "/schemas/ids/8: 404 (40403)");
    ck_assert_int_eq(fake_count(fake, "GET /schemas/ids/8"), 2);
    kur_registry_free(registry);
    /* One that is no registry leads to the next, and is not asked again. */
    snprintf(urls, sizeof urls, "%s,%s", fake_url(fake), fake_url(second));
    registry = open_registry(.urls = urls);
    fake_answer(second, "GET /schemas/ids/9", 404, NOT_FOUND);
    ck_status(by_id(registry, 9, SOON), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_assert_int_eq(fake_count(fake, "GET /schemas/ids/9"), 1);
    kur_registry_free(registry);
    fake_stop(second);
    fake_stop(fake);
}
END_TEST

/* ---- What a schema names ---- */

#define NAMES_A                                                                                                        \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"n.B\\\",\\\"fields\\\":[{\\\"name\\\":\\\"x\\\",\\\"type\\\":"      \
    "\\\"n.A\\\"}]}"
#define NAMES_A_AND_B                                                                                                  \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"n.C\\\",\\\"fields\\\":[{\\\"name\\\":\\\"x\\\",\\\"type\\\":"      \
    "\\\"n.A\\\"},{\\\"name\\\":\\\"y\\\",\\\"type\\\":\\\"n.B\\\"}]}"
#define REFERENCE(name, subject, version) "{\"name\":\"" name "\",\"subject\":\"" subject "\",\"version\":" version "}"

START_TEST(test_registry__what_a_schema_names_is_fetched)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    kur_arena *arena = kur_arena_new();
    fake_answer(fake, "GET /schemas/ids/3", 200,
                "{\"schema\":\"" NAMES_A_AND_B
                "\",\"references\":[" REFERENCE("n.A", "a/b c", "1") "," REFERENCE("n.B", "b", "2") "]}");
    fake_answer(fake, "GET /subjects/a%2Fb%20c/versions/1?deleted=true", 200,
                "{\"subject\":\"a/b c\",\"version\":1,\"id\":1,\"schema\":\"" RECORD_QUOTED "\"}");
    fake_answer(fake, "GET /subjects/b/versions/2?deleted=true", 200,
                "{\"subject\":\"b\",\"version\":2,\"id\":2,\"schema\":\"" NAMES_A
                "\",\"references\":[" REFERENCE("n.A", "a/b c", "1") "]}");
    ck_ok(by_id(registry, 3, SOON), error);
    ck_assert_int_eq(fake_count(fake, NULL), 3);
    /* They are known by their versions then. */
    kur_subject_version version = KUR_SUBJECT_VERSION();
    ck_ok(kur_registry_version(registry, "b", 2, SOON, arena, &version, &error), error);
    ck_assert_int_eq(fake_count(fake, NULL), 3);
    ck_assert_uint_eq(version.id, 2);
    ck_assert_uint_eq(version.references.count, 1);
    ck_assert_str_eq(version.references.references[0].name, "n.A");
    ck_assert_str_eq(version.references.references[0].subject, "a/b c");
    ck_assert_int_eq(version.references.references[0].version, 1);
    ck_assert_str_eq(kur_schema_name(version.schema), "n.B");
    kur_schema_unref(version.schema);
    kur_arena_free(arena);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__circles_end)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    fake_answer(fake, "GET /schemas/ids/3", 200,
                "{\"schema\":\"\\\"int\\\"\",\"references\":[" REFERENCE("n.A", "a", "1") "]}");
    fake_answer(fake, "GET /subjects/a/versions/1?deleted=true", 200,
                "{\"id\":1,\"schema\":\"\\\"int\\\"\",\"references\":[" REFERENCE("n.B", "b", "1") "]}");
    fake_answer(fake, "GET /subjects/b/versions/1?deleted=true", 200,
                "{\"id\":2,\"schema\":\"\\\"int\\\"\",\"references\":[" REFERENCE("n.A", "a", "1") "]}");
    ck_status(by_id(registry, 3, SOON), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "deeper than 16");
    ck_assert_int_lt(fake_count(fake, NULL), 20);
    /* Many, each with many. */
    kur_buffer text = {0};
    kur_buffer_print(&text, "{\"id\":1,\"schema\":\"\\\"int\\\"\",\"references\":[" REFERENCE("n.A", "b", "1"));
    for (int i = 0; i < 100; i++)
        kur_buffer_print(&text, "," REFERENCE("n.A", "b", "%d"), i + 2);
    kur_buffer_print(&text, "]}");
    fake_answer(fake, "GET /schemas/ids/4", 200, text.data);
    ck_status(by_id(registry, 4, SOON), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "101 schemas");
    kur_buffer_done(&text);
    fake_answer(fake, "GET /schemas/ids/5", 200,
                "{\"schema\":\"\\\"int\\\"\",\"references\":[" REFERENCE("n.A", "gone", "1") "]}");
    ck_status(by_id(registry, 5, SOON), KUR_ERROR_CONFIG, error);
    fake_answer(fake, "GET /subjects/gone/versions/1?deleted=true", 404, NOT_FOUND);
    ck_status(by_id(registry, 5, SOON), KUR_ERROR_UNKNOWN_SCHEMA, error);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* ---- Where a type's schema is kept ---- */

/* What a step does when its nth allocation fails: it says so, or does without what is only kept; and nothing is left.
 */
static kur_status step(kur_registry *registry, int which, kur_schema *schema, kur_arena *arena, kur_error *failure)
{
    const kur_schemas *schemas = kur_registry_schemas(registry);
    kur_schema *found = NULL;
    kur_subject_version version = KUR_SUBJECT_VERSION();
    kur_schema_place place = KUR_SCHEMA_PLACE(.id = 0);
    bool is_compatible;
    const char *messages = NULL;
    kur_status status = KUR_OK;
    if (which == 0)
        status = schemas->by_id(schemas->state, 3, SOON, &found, failure);
    else if (which == 1)
        status = schemas->place(schemas->state, "orders", schema, SOON, &place, failure);
    else if (which == 2)
        status = kur_registry_version(registry, "b", 2, SOON, arena, &version, failure);
    else
        status = kur_registry_check(registry, "s", 0, schema, NULL, SOON, arena, &is_compatible, &messages, failure);
    kur_schema_unref(found);
    kur_schema_unref(version.schema);
    return status;
}

START_TEST(test_registry__memory_that_fails)
{
    fake = fake_start();
    kur_schema *schema = parse(RECORD);
    fake_answer(fake, "GET /schemas/ids/3", 200,
                "{\"schema\":\"" NAMES_A "\",\"references\":[" REFERENCE("n.A", "a", "1") "]}");
    fake_answer(fake, "GET /subjects/a/versions/1?deleted=true", 200,
                "{\"version\":1,\"id\":1,\"schema\":\"" RECORD_QUOTED "\"}");
    fake_answer(fake, "GET /subjects/b/versions/2", 200,
                "{\"version\":2,\"id\":3,\"schema\":\"" NAMES_A "\",\"references\":[" REFERENCE("n.A", "a", "1") "]}");
    fake_answer(fake, "POST /subjects/orders-value", 200, "{\"id\":5,\"schema\":\"" RECORD_QUOTED "\"}");
    fake_answer(fake, "POST /compatibility/subjects/s/versions?verbose=true", 200,
                "{\"is_compatible\":false,\"messages\":[\"one\"]}");
    for (int which = 0; which < 4; which++) {
        long nth = 1, failed = 0;
        bool has_failed = true;
        for (; has_failed; nth++) {
            kur_error failure = {0};
            kur_status status = KUR_ERROR_NO_MEMORY;
            failing_begin(nth, true);
            kur_arena *arena = kur_arena_new();
            kur_registry *registry = kur_registry_new(
                &KUR_REGISTRY_OPTIONS(.urls = fake_url(fake), .user = "alice", .password = "canary"), &failure);
            if (registry != NULL && arena != NULL)
                status = step(registry, which, schema, arena, &failure);
            kur_registry_free(registry);
            kur_arena_free(arena);
            has_failed = failing_has_failed();
            long live = failing_live();
            failing_end();
            ck_assert_msg(live == 0, "%d: %ld are left when the %ldth fails", which, live, nth);
            ck_assert_msg(status == KUR_OK || (has_failed && status == KUR_ERROR_NO_MEMORY), "%d: %ldth: %s", which,
                          nth, failure.message);
            failed += status != KUR_OK;
        }
        printf("# allocations that were made to fail in step %d: %ld\n", which, failed);
        ck_assert_int_gt(failed, 10);
    }
    kur_schema_unref(schema);
    fake_stop(fake);
}
END_TEST

static kur_status find_place(kur_registry *registry, kur_schema *schema, kur_schema_place *place)
{
    const kur_schemas *schemas = kur_registry_schemas(registry);
    error = (kur_error){0};
    *place = KUR_SCHEMA_PLACE(.id = 0);
    kur_status status = schemas->place(schemas->state, "orders", schema, SOON, place, &error);
    ck_assert_int_eq(status, error.code);
    return status;
}

START_TEST(test_registry__a_place_is_looked_up)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    kur_schema *schema = parse(RECORD);
    kur_schema_place place;
    char asked[4096], url[256];
    fake_answer(fake, "POST /subjects/orders-value", 404, "{\"error_code\":40401,\"message\":\"Subject not found\"}");
    fake_answer(fake, "POST /subjects/orders-value", 200,
                "{\"subject\":\"orders-value\",\"version\":1,\"id\":5,\"guid\":\"" GUID "\",\"schema\":\"" RECORD_QUOTED
                "\"}");
    ck_status(find_place(registry, schema, &place), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_says(error, "n.A is not registered under orders-value, and .registers is off");
    for (int i = 0; i < 3; i++) {
        ck_ok(find_place(registry, schema, &place), error);
        ck_assert_uint_eq(place.id, 5);
        ck_assert(place.has_guid && place.guid.bytes[0] == 0x0f && place.guid.bytes[15] == 0);
        snprintf(url, sizeof url, "%s/schemas/ids/5", fake_url(fake));
        ck_assert_str_eq(place.url, url);
    }
    ck_assert_int_eq(fake_count(fake, NULL), 2);
    fake_last(fake, asked);
    ck_assert_ptr_nonnull(strstr(asked, "\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n"));
    ck_assert_ptr_nonnull(strstr(asked, "\r\n\r\n{\"schema\":\"" RECORD_QUOTED "\"}"));
    ck_assert_ptr_null(strstr(asked, "Expect"));
    kur_schema_unref(schema);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* What is behind an id must be what is written: readers take the bytes for what it says. */
START_TEST(test_registry__another_schema_is_no_place)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    kur_schema *schema = parse(RECORD);
    kur_schema_place place;
    fake_answer(fake, "POST /subjects/orders-value", 200, "{\"id\":5,\"schema\":\"\\\"int\\\"\"}");
    ck_status(find_place(registry, schema, &place), KUR_ERROR_MISMATCH, error);
    ck_says(error, "schema 5 is encoded otherwise than n.A: ");
    fake_answer(fake, "POST /subjects/orders-value", 200, "{\"id\":5,\"schema\":\"{}\",\"schemaType\":\"JSON\"}");
    ck_status(find_place(registry, schema, &place), KUR_ERROR_MISMATCH, error);
    ck_says(error, "none of Avro's");
    kur_registry_free(registry);

    registry = open_registry(.registers = true);
    fake_answer(fake, "POST /subjects/orders-value/versions", 200, "{\"id\":6}");
    fake_answer(fake, "GET /schemas/ids/6", 200, "{\"schema\":\"\\\"int\\\"\"}");
    ck_status(find_place(registry, schema, &place), KUR_ERROR_MISMATCH, error);
    kur_schema_unref(schema);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

static char logged[4096];

static void log_line(kur_log_level level, const char *message, void *user)
{
    (void)user;
    size_t size = strlen(logged);
    snprintf(logged + size, sizeof logged - size, "%s: %s\n", kur_log_level_name(level), message);
}

START_TEST(test_registry__a_place_is_registered)
{
    fake = fake_start();
    logged[0] = '\0';
    kur_registry *registry =
        open_registry(.registers = true, .normalizes = true, .log = log_line, .subjects = KUR_SUBJECT_RECORD);
    kur_schema *schema = parse(RECORD);
    kur_schema_place place;
    fake_answer(fake, "POST /subjects/n.A/versions?normalize=true", 409,
                "{\"error_code\":409,\"message\":\"reader's a has no default\"}");
    fake_answer(fake, "POST /subjects/n.A/versions?normalize=true", 200, "{\"id\":6}");
    fake_answer(fake, "GET /schemas/ids/6", 200, "{\"schema\":\"" DOCUMENTED "\",\"guid\":\"" GUID "\"}");
    ck_status(find_place(registry, schema, &place), KUR_ERROR_MISMATCH, error);
    ck_says(error, "409 (409): reader's a has no default");
    ck_ok(find_place(registry, schema, &place), error);
    ck_ok(find_place(registry, schema, &place), error);
    ck_assert_uint_eq(place.id, 6);
    ck_assert(place.has_guid);
    ck_assert_int_eq(fake_count(fake, NULL), 3);
    ck_assert_ptr_nonnull(strstr(logged, "info: schema registry: n.A is registered under n.A, id 6\n"));
    kur_registry_free(registry);
    /* What cannot be seen yet is there. */
    registry = open_registry(.registers = true, .subjects = KUR_SUBJECT_TOPIC_RECORD);
    fake_answer(fake, "POST /subjects/orders-n.A/versions", 200, "{\"id\":9}");
    fake_answer(fake, "GET /schemas/ids/9", 404, NOT_FOUND);
    ck_ok(find_place(registry, schema, &place), error);
    ck_assert(place.id == 9 && !place.has_guid);
    kur_schema_unref(schema);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

static int64_t now_us = 1000000;

static int64_t tell_now(void *user)
{
    (void)user;
    return now_us;
}

START_TEST(test_registry__latest_is_believed_for_a_time)
{
    static const kur_clock clock = {tell_now, tell_now, NULL};
    fake = fake_start();
    kur_registry *registry = open_registry(.uses_latest = true, .latest_ms = 1000, .retries = KUR_NONE);
    kur_schema *schema = parse(RECORD), *same = parse(RECORD);
    kur_schema_place place;
    kur_clock_set(&clock);
    fake_answer(fake, "GET /subjects/orders-value/versions/latest", 200,
                "{\"version\":1,\"id\":5,\"schema\":\"" DOCUMENTED "\"}");
    fake_answer(fake, "GET /subjects/orders-value/versions/latest", 200,
                "{\"version\":2,\"id\":6,\"schema\":\"" RECORD_QUOTED "\"}");
    fake_answer(fake, "GET /subjects/orders-value/versions/latest", 503, "");
    ck_ok(find_place(registry, schema, &place), error);
    ck_assert_uint_eq(place.id, 5);
    now_us += 999999;
    ck_ok(find_place(registry, schema, &place), error);
    ck_assert_uint_eq(place.id, 5);
    now_us += 1;
    ck_ok(find_place(registry, schema, &place), error);
    ck_assert_uint_eq(place.id, 6);
    ck_assert_int_eq(fake_count(fake, NULL), 2);
    /* The registry is away: what was known serves, and it is asked again in a while. */
    now_us += 1000000;
    for (int i = 0; i < 2; i++) {
        ck_ok(find_place(registry, schema, &place), error);
        ck_assert_uint_eq(place.id, 6);
        ck_assert_int_eq(fake_count(fake, NULL), 3);
    }
    now_us += 10000000;
    ck_ok(find_place(registry, schema, &place), error);
    ck_assert_int_eq(fake_count(fake, NULL), 4);
    /* Who was not told before is told that it is away. */
    ck_status(find_place(registry, same, &place), KUR_ERROR_UNREACHABLE, error);
    kur_clock_set(NULL);
    kur_schema_unref(schema);
    kur_schema_unref(same);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__another_latest_is_no_place)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.uses_latest = true, .latest_ms = KUR_NONE);
    kur_schema *schema = parse(RECORD);
    kur_schema_place place;
    /* It reads what is written, but bytes would be missing. */
    fake_answer(
        fake, "GET /subjects/orders-value/versions/latest", 200,
        "{\"version\":1,\"id\":5,\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"n.A\\\",\\\"fields\\\":[{"
        "\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"int\\\"},{\\\"name\\\":\\\"b\\\",\\\"type\\\":\\\"int\\\","
        "\\\"default\\\":1}]}\"}");
    ck_status(find_place(registry, schema, &place), KUR_ERROR_MISMATCH, error);
    ck_says(error, "schema 5 reads what n.A is, but is encoded otherwise");
    ck_status(find_place(registry, schema, &place), KUR_ERROR_MISMATCH, error);
    ck_assert_int_eq(fake_count(fake, NULL), 2);
    kur_schema_unref(schema);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* ---- The other calls ---- */

START_TEST(test_registry__subjects_and_versions)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.latest_ms = KUR_NONE);
    kur_arena *arena = kur_arena_new();
    const char *const *names = NULL;
    const int *versions = NULL;
    size_t count = 0;
    kur_subject_version version = KUR_SUBJECT_VERSION();
    fake_answer(fake, "GET /subjects", 200, "[\"b\",\"a \\u00e4\"]");
    fake_answer(fake, "GET /subjects/b/versions", 200, "[1,2,7]");
    fake_answer(fake, "GET /subjects/b/versions/latest", 200,
                "{\"subject\":\"b\",\"version\":7,\"id\":3,\"schemaType\":\"JSON\",\"schema\":\"{}\"}");
    ck_ok(kur_registry_subjects(registry, SOON, arena, &names, &count, &error), error);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(names[0], "b");
    ck_assert_str_eq(names[1], "a ä");
    ck_ok(kur_registry_versions(registry, "b", SOON, arena, &versions, &count, &error), error);
    ck_assert(count == 3 && versions[0] == 1 && versions[1] == 2 && versions[2] == 7);
    ck_ok(kur_registry_version(registry, "b", 0, SOON, arena, &version, &error), error);
    ck_assert_int_eq(version.version, 7);
    ck_assert_str_eq(version.kind, "JSON");
    ck_assert(kur_bytes_equal(version.text, kur_bytes_text("{}")));
    ck_assert_ptr_null(version.schema);
    fake_answer(fake, "GET /subjects/b/versions/8", 404, "{\"error_code\":40402,\"message\":\"Version not found\"}");
    ck_status(kur_registry_version(registry, "b", 8, SOON, arena, &version, &error), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_status(kur_registry_version(registry, "b", -1, SOON, arena, &version, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_status(kur_registry_version(registry, "", 1, SOON, arena, &version, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_registry_version(registry, NULL, 1, SOON, arena, &version, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_status(kur_registry_version(registry, "b", 1, -1, arena, &version, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    /* Not what was asked for. */
    fake_answer(fake, "GET /subjects/b/versions/2", 200, "{\"version\":7,\"id\":3,\"schema\":\"\\\"int\\\"\"}");
    ck_status(kur_registry_version(registry, "b", 2, SOON, arena, &version, &error), KUR_ERROR_UNREACHABLE, error);
    ck_says(error, "the answer is version 7, not 2");
    fake_answer(fake, "GET /subjects/c/versions", 200, "[2,1]");
    ck_status(kur_registry_versions(registry, "c", SOON, arena, &versions, &count, &error), KUR_ERROR_UNREACHABLE,
              error);
    fake_answer(fake, "GET /subjects/d/versions", 200, "[\"x\"]");
    ck_status(kur_registry_versions(registry, "d", SOON, arena, &versions, &count, &error), KUR_ERROR_UNREACHABLE,
              error);
    kur_arena_free(arena);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__registering_and_checking)
{
    static const kur_subject_reference reference = {"n.A", "a", 1};
    static const kur_subject_references references = {&reference, 1};
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    kur_arena *arena = kur_arena_new();
    kur_schema *schema = parse(RECORD);
    kur_subject_version version = KUR_SUBJECT_VERSION();
    uint32_t id = 0;
    bool is_compatible = true;
    const char *messages = NULL;
    char asked[4096];
    fake_answer(fake, "GET /subjects/s/versions/latest", 200, "{\"version\":1,\"id\":1,\"schema\":\"\\\"int\\\"\"}");
    fake_answer(fake, "POST /subjects/s/versions", 200, "{\"id\":2147483647}");
    ck_ok(kur_registry_version(registry, "s", 0, SOON, arena, &version, &error), error);
    kur_schema_unref(version.schema);
    ck_ok(kur_registry_register(registry, "s", schema, &references, SOON, &id, &error), error);
    ck_assert_uint_eq(id, INT32_MAX);
    fake_last(fake, asked);
    ck_assert_ptr_nonnull(strstr(asked, "\"references\":[{\"name\":\"n.A\",\"subject\":\"a\",\"version\":1}]}"));
    ck_ok(kur_registry_version(registry, "s", 0, SOON, arena, &version, &error), error);
    kur_schema_unref(version.schema);
    ck_assert_int_eq(fake_count(fake, "GET /subjects/s/versions/latest"), 2); /* there may be another now */

    fake_answer(fake, "POST /compatibility/subjects/s/versions/3?verbose=true", 200, "{\"is_compatible\":true}");
    fake_answer(fake, "POST /compatibility/subjects/s/versions?verbose=true", 200,
                "{\"is_compatible\":false,\"messages\":[\"one\\nline\",7,\"\",\"two\"]}");
    ck_ok(kur_registry_check(registry, "s", 3, schema, NULL, SOON, arena, &is_compatible, &messages, &error), error);
    ck_assert(is_compatible);
    ck_assert_str_eq(messages, "");
    ck_ok(kur_registry_check(registry, "s", 0, schema, NULL, SOON, arena, &is_compatible, &messages, &error), error);
    ck_assert(!is_compatible);
    ck_assert_str_eq(messages, "one line\ntwo");

    /* Whoever wants no words. */
    ck_assert_int_eq(kur_registry_look_up(registry, "s", schema, NULL, SOON, arena, &version, NULL), KUR_ERROR_CONFIG);
    fake_answer(fake, "POST /subjects/s", 200, "{\"id\":1,\"schema\":\"{\"}");
    ck_assert_int_eq(kur_registry_look_up(registry, "s", schema, NULL, SOON, arena, &version, NULL), KUR_ERROR_SYNTAX);
    fake_answer(fake, "POST /subjects/t/versions", 422, "{\"error_code\":42201,\"message\":\"Invalid schema\"}");
    ck_status(kur_registry_register(registry, "t", schema, NULL, SOON, &id, &error), KUR_ERROR_SYNTAX, error);
    fake_answer(fake, "POST /subjects/u/versions", 200, "{\"schema\":\"\\\"int\\\"\"}");
    ck_status(kur_registry_register(registry, "u", schema, NULL, SOON, &id, &error), KUR_ERROR_UNREACHABLE, error);
    ck_status(kur_registry_register(registry, "u", NULL, NULL, SOON, &id, &error), KUR_ERROR_UNREACHABLE,
              error); /* the first error stays */
    kur_schema_unref(schema);
    kur_arena_free(arena);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__levels)
{
    fake = fake_start();
    kur_registry *registry = open_registry(.timeout_ms = 0);
    kur_arena *arena = kur_arena_new();
    const char *level = NULL;
    char asked[4096];
    fake_answer(fake, "GET /config", 200, "{\"compatibilityLevel\":\"BACKWARD\"}");
    fake_answer(fake, "GET /config/s?defaultToGlobal=true", 200, "{\"compatibilityLevel\":\"FULL\"}");
    fake_answer(fake, "GET /config/new?defaultToGlobal=true", 404, "{\"error_code\":40408,\"message\":\"none\"}");
    ck_ok(kur_registry_level(registry, NULL, SOON, arena, &level, &error), error);
    ck_assert_str_eq(level, "BACKWARD");
    ck_ok(kur_registry_level(registry, "s", SOON, arena, &level, &error), error);
    ck_assert_str_eq(level, "FULL");
    ck_ok(kur_registry_level(registry, "new", SOON, arena, &level, &error), error);
    ck_assert_str_eq(level, "BACKWARD");
    fake_answer(fake, "PUT /config/s", 200, "{\"compatibility\":\"NONE\"}");
    fake_answer(fake, "PUT /config", 422, "{\"error_code\":42203,\"message\":\"Invalid level\"}");
    ck_ok(kur_registry_set_level(registry, "s", "NONE", SOON, &error), error);
    fake_last(fake, asked);
    ck_assert_ptr_nonnull(strstr(asked, "\r\n\r\n{\"compatibility\":\"NONE\"}"));
    ck_status(kur_registry_set_level(registry, NULL, "BAD", SOON, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_registry_set_level(registry, NULL, "x\",", SOON, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_int_eq(fake_count(fake, "PUT /config"), 1);
    kur_arena_free(arena);
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

/* ---- Passwords ---- */

START_TEST(test_registry__log_ins)
{
    char asked[4096];
    fake = fake_start();
    fake_answer(fake, "GET /schemas/ids/7", 404, NOT_FOUND);
    kur_registry *registry = open_registry(.user = "alice", .password = "canary-1");
    ck_status(by_id(registry, 7, SOON), KUR_ERROR_UNKNOWN_SCHEMA, error);
    fake_last(fake, asked);
    ck_assert_ptr_nonnull(strstr(asked, "\r\nAuthorization: Basic YWxpY2U6Y2FuYXJ5LTE=\r\n"));
    kur_registry_free(registry);
    registry = open_registry(.token = "canary-2", .cluster = "lsrc-1");
    ck_status(by_id(registry, 7, SOON), KUR_ERROR_UNKNOWN_SCHEMA, error);
    fake_last(fake, asked);
    ck_assert_ptr_nonnull(strstr(asked, "\r\nAuthorization: Bearer canary-2\r\n"));
    ck_assert_ptr_nonnull(strstr(asked, "\r\ntarget-sr-cluster: lsrc-1\r\n"));
    kur_registry_free(registry);
    fake_stop(fake);
}
END_TEST

START_TEST(test_registry__secrets_are_shown_nowhere)
{
    fake = fake_start();
    logged[0] = '\0';
    fake_tell(fake, "GET /schemas/ids/7", FAKE_ECHO, 404, NULL, NULL);
    fake_tell(fake, "GET /schemas/ids/8", FAKE_ECHO, 500, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        kur_registry_options options = KUR_REGISTRY_OPTIONS(.log = log_line, .retries = KUR_NONE);
        options.user = i == 0 ? "alice" : NULL;
        options.password = i == 0 ? "canary-1" : NULL;
        options.token = i == 1 ? "canary-2" : NULL;
        kur_registry *registry = open_with(options);
        for (uint32_t id = 7; id <= 8; id++) {
            by_id(registry, id, SOON);
            ck_says(error, "GET /schemas/ids/");
            ck_says(error, "*****");
            ck_assert_ptr_null(strstr(error.message, "canary"));
            ck_assert_ptr_null(strstr(error.message, "YWxpY2U6"));
        }
        kur_registry_free(registry);
    }
    ck_assert_ptr_nonnull(strstr(logged, "500"));
    ck_assert_ptr_null(strstr(logged, "canary"));
    ck_assert_ptr_null(strstr(logged, "YWxpY2U6"));
    fake_stop(fake);
}
END_TEST

static void refused(kur_registry_options options, kur_status status, const char *says)
{
    error = (kur_error){0};
    kur_registry *registry = kur_registry_new(&options, &error);
    ck_assert_ptr_null(registry);
    ck_assert_msg(error.code == status, "%s: %s", kur_status_name(error.code), error.message);
    ck_says(error, says);
    ck_assert_ptr_null(strstr(error.message, "canary"));
}
#define refuse(status, says, ...) refused(KUR_REGISTRY_OPTIONS(__VA_ARGS__), status, says)

START_TEST(test_registry__options)
{
    static const char *const local[] = {"http://localhost:8081", "http://127.0.0.1", "http://127.9.9.9:1/x",
                                        "http://[::1]:8081"};
    static const char *const others[] = {"http://registry:8081",      "http://127.0.0.1.evil.org",
                                         "http://localhost.evil.org", "http://126.0.0.1",
                                         "http://127evil.org",        "http://[::2]"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        kur_registry_free(open_registry(.urls = local[i], .user = "a", .password = "canary"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        refuse(KUR_ERROR_CONFIG, "in the clear", .urls = others[i], .user = "a", .password = "canary");
        refuse(KUR_ERROR_CONFIG, "in the clear", .urls = others[i], .token = "canary");
        kur_registry_free(open_registry(.urls = others[i]));
        kur_registry_free(open_registry(.urls = others[i], .token = "canary", .allows_clear = true));
    }
    kur_registry_free(open_registry(.urls = "https://registry", .token = "canary"));
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".urls is not set", .urls = NULL);
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".urls is not set", .urls = " , ");
    refuse(KUR_ERROR_CONFIG, "is no URL", .urls = "http://a:99999999");
    refuse(KUR_ERROR_CONFIG, "http:// or https://", .urls = "http://a,ftp://b");
    refuse(KUR_ERROR_CONFIG, ".user and .password", .urls = "https://canary:canary@host");
    refuse(KUR_ERROR_CONFIG, "no query", .urls = "https://host?key=canary");
    refuse(KUR_ERROR_CONFIG, "no query", .urls = "https://host#canary");
    refuse(KUR_ERROR_CONFIG, "more than 16",
           .urls = "http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://"
                   "a,http://a,http://a,http://a,http://a,http://a,http://a");
    refuse(KUR_ERROR_INVALID_ARGUMENT, "go together", .urls = "https://a", .user = "a");
    refuse(KUR_ERROR_INVALID_ARGUMENT, "exclude each other", .urls = "https://a", .user = "a", .password = "canary",
           .token = "canary");
    refuse(KUR_ERROR_INVALID_ARGUMENT, "exclude each other", .urls = "https://a", .registers = true,
           .uses_latest = true);
    refuse(KUR_ERROR_INVALID_ARGUMENT, "no colon", .urls = "https://a", .user = "a:b", .password = "canary");
    refuse(KUR_ERROR_INVALID_ARGUMENT, "control character", .urls = "https://a", .token = "canary\r\nX: y");
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".cluster", .urls = "https://a", .cluster = "c");
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".key_file", .urls = "https://a", .key_file = "/dev/null");
    refuse(KUR_ERROR_CONFIG, ".ca_file: /nowhere", .urls = "https://a", .ca_file = "/nowhere");
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".retries", .urls = "https://a", .retries = -2);
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".timeout_ms", .urls = "https://a", .timeout_ms = -1);
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".latest_ms", .urls = "https://a", .latest_ms = -2);
    refuse(KUR_ERROR_INVALID_ARGUMENT, ".response_bytes", .urls = "https://a", .response_bytes = INT64_C(65) << 20);
    ck_assert_ptr_null(kur_registry_schemas(NULL));
    kur_registry_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_registry__an_id_is_asked_for_once,
                                  test_registry__what_is_not_there_is_asked_for_again,
                                  test_registry__another_404_is_no_word_on_a_schema,
                                  test_registry__guids,
                                  test_registry__a_thousand_are_kept,
                                  test_registry__one_asks_for_all,
                                  test_registry__an_error_is_for_all_who_wait,
                                  test_registry__who_waits_has_its_own_time,
                                  test_registry__who_has_more_time_asks_again,
                                  test_registry__what_passes_is_asked_for_again,
                                  test_registry__after_four_rounds_it_is_told,
                                  test_registry__what_will_not_pass_is_told_at_once,
                                  test_registry__an_answer_is_bounded_while_it_comes,
                                  test_registry__the_time_is_kept,
                                  test_registry__several_urls,
                                  test_registry__what_a_schema_names_is_fetched,
                                  test_registry__circles_end,
                                  test_registry__memory_that_fails,
                                  test_registry__a_place_is_looked_up,
                                  test_registry__another_schema_is_no_place,
                                  test_registry__a_place_is_registered,
                                  test_registry__latest_is_believed_for_a_time,
                                  test_registry__another_latest_is_no_place,
                                  test_registry__subjects_and_versions,
                                  test_registry__registering_and_checking,
                                  test_registry__levels,
                                  test_registry__log_ins,
                                  test_registry__secrets_are_shown_nowhere,
                                  test_registry__options,
                                  NULL};
    return check_main("registry", tests);
}
