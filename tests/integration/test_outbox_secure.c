/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A relay where rights are checked: on a broker with an authorizer (script/kafka run --secure).
 */
#include <kurier/access.h>

#include "../memory_driver.h"
#include "../relaying.h"

#define NEEDS_BROKER() skip_unless(getenv("KURIER_SECURE") != NULL, "no broker with log-ins: script/kafka run --secure")

enum {
    WAIT_MS = 30000
};

/* By the client's certificate, which every version of librdkafka can. */
static kur_client *log_in(const char *certificate, const char *key)
{
    kur_error error = {0};
    const kur_property properties[] = {{"security.protocol", "SSL"},
                                       {"ssl.ca.location", getenv("KURIER_SECURE_CA")},
                                       {"ssl.certificate.location", getenv(certificate)},
                                       {"ssl.key.location", getenv(key)},
                                       {NULL, NULL}};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = getenv("KURIER_SECURE_MTLS"),
                                                            .properties = properties, .source = "/tests"),
                                        &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

static void allow(kur_admin *admin, const char *topic, kur_acl_operation operation)
{
    kur_error error = {0};
    char principal[200];
    snprintf(principal, sizeof principal, "User:%s", getenv("KURIER_SECURE_USER"));
    kur_acl acl = KUR_ACL(.resource = KUR_ACL_TOPIC, .pattern = KUR_ACL_LITERAL, .name = topic, .principal = principal,
                          .operation = operation);
    ck_ok(kur_admin_create_acls(admin, &acl, 1, WAIT_MS, &error), error);
}

static const char *make_topic(kur_admin *admin, const char *prefix, int64_t limit)
{
    kur_error error = {0};
    const char *topic = support_name(prefix);
    ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .partitions = 1, .max_message_bytes = limit), 1,
                                  WAIT_MS, &error),
          error);
    return topic;
}

struct secure {
    struct relaying bed;
    kur_client *super;
    kur_admin *admin;
    kur_arena *arena;
};

static void open_secure(struct secure *secure)
{
    kur_error error = {0};
    secure->super = log_in("KURIER_SECURE_ADMIN_CERTIFICATE", "KURIER_SECURE_ADMIN_KEY");
    secure->admin = kur_admin_new(secure->super, &error);
    secure->arena = kur_arena_new();
    secure->bed.client = log_in("KURIER_SECURE_CERTIFICATE", "KURIER_SECURE_KEY");
    secure->bed.database = memory_database(4);
    secure->bed.outbox = kur_outbox_new(secure->bed.client, secure->bed.database, NULL, &error);
    ck_assert_msg(secure->bed.outbox != NULL && secure->admin != NULL, "%s", error.message);
}

static void close_secure(struct secure *secure)
{
    relaying_close(&secure->bed);
    kur_arena_free(secure->arena);
    kur_admin_free(secure->admin);
    kur_client_unref(secure->super);
}

static int64_t end_of(kur_admin *admin, const char *topic, kur_arena *arena)
{
    kur_error error = {0};
    const kur_topic_view *view = NULL;
    ck_ok(kur_admin_describe_topic(admin, topic, WAIT_MS, arena, &view, &error), error);
    return view->partitions[0]->end_offset;
}

START_TEST(test_outbox_secure__what_is_not_allowed_is_parked)
{
    NEEDS_BROKER();
    struct secure secure;
    kur_error error = {0};
    open_secure(&secure);
    const char *open = make_topic(secure.admin, "open", 0), *hidden = make_topic(secure.admin, "hidden", 0);
    const char *seen = make_topic(secure.admin, "seen", 0); /* and no more */
    allow(secure.admin, open, KUR_ACL_WRITE);
    allow(secure.admin, seen, KUR_ACL_DESCRIBE);
    relaying_send(&secure.bed, open, 1, 0);
    relaying_send(&secure.bed, hidden, 1, 1);
    relaying_send(&secure.bed, open, 1, 2);
    relaying_send(&secure.bed, open, 2, 3);
    relaying_send(&secure.bed, seen, 2, 4);
    relaying_send(&secure.bed, open, 2, 5);
    relaying_send_many(&secure.bed, open, 1, 6, 100); /* of key 0 */
    kur_relay *relay = relaying_start(&secure.bed, NULL);
    ck_assert(memory_wait(secure.bed.database, 0, 4));
    ck_assert_int_eq(end_of(secure.admin, open, secure.arena), 102);
    kur_parked_list parked = relaying_parked(&secure.bed, secure.arena);
    ck_assert_uint_eq(parked.count, 4);
    int refused = 0;
    for (size_t i = 0; i < parked.count; i++) {
        refused += !parked.items[i]->is_behind;
        if (!parked.items[i]->is_behind)
            ck_assert_ptr_nonnull(strstr(parked.items[i]->error, "uthorization failed"));
    }
    ck_assert_int_eq(refused, 2);
    /* Once it is allowed it goes on. */
    allow(secure.admin, hidden, KUR_ACL_WRITE);
    allow(secure.admin, seen, KUR_ACL_WRITE);
    for (size_t i = 0; i < parked.count; i++)
        if (!parked.items[i]->is_behind)
            ck_ok(kur_outbox_unpark(secure.bed.outbox, parked.items[i]->id, &error), error);
    ck_assert(memory_wait(secure.bed.database, 0, 0));
    ck_assert_int_eq(end_of(secure.admin, open, secure.arena), 104);
    ck_assert_int_eq(end_of(secure.admin, hidden, secure.arena), 1);
    ck_assert_int_eq(end_of(secure.admin, seen, secure.arena), 1);
    relaying_end(relay);
    close_secure(&secure);
}
END_TEST

/* What is sent together is refused as a whole, and goes one by one. */
START_TEST(test_outbox_secure__a_limit_that_cannot_be_seen)
{
    NEEDS_BROKER();
    struct secure secure;
    open_secure(&secure);
    const char *topic = make_topic(secure.admin, "small", 3000);
    allow(secure.admin, topic, KUR_ACL_WRITE);
    relaying_send_many(&secure.bed, topic, 20, 0, 600);
    kur_relay *relay = relaying_start(&secure.bed, NULL);
    ck_assert(memory_wait(secure.bed.database, 0, 0));
    ck_assert_int_eq(end_of(secure.admin, topic, secure.arena), 600);
    kur_relay_health health = relaying_health(relay);
    ck_assert_int_eq(health.refused, 0);
    ck_assert_int_gt(health.failures, 0);
    relaying_end(relay);
    close_secure(&secure);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_outbox_secure__what_is_not_allowed_is_parked,
                                  test_outbox_secure__a_limit_that_cannot_be_seen, NULL};
    return check_main("outbox_secure", tests);
}
