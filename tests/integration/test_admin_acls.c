/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../administering.h"

/* Neither broker of this suite has an authorizer; test_admin_secure.c has one that does. */
START_TEST(test_admin_acls__without_an_authorizer_there_are_none)
{
    begin();
    kur_acl acl =
        KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "orders", .principal = "User:alice", .operation = KUR_ACL_READ);
    kur_acl_list list = {7, NULL};
    const char *says = support_is_real() ? "uthorizer" : "embedded broker cannot keep ACLs";
    ck_status(kur_admin_create_acls(admin, &acl, 1, 30000, &error), KUR_ERROR_UNSUPPORTED, error);
    ck_says(error, says);
    ck_status(kur_admin_delete_acls(admin, &acl, 30000, arena, &list, &error), KUR_ERROR_UNSUPPORTED, error);
    ck_says(error, says);
    ck_assert_uint_eq(list.count, 7);
    if (!support_is_real()) {
        ck_status(kur_admin_list_acls(admin, NULL, 30000, arena, &list, &error), KUR_ERROR_UNSUPPORTED, error);
        ck_says(error, says);
        return;
    }
    ck_ok(kur_admin_list_acls(admin, NULL, 30000, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(test_admin_acls__printed_for_people)
{
    const struct {
        kur_acl acl;
        const char *text;
    } cases[] = {
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .pattern = KUR_ACL_LITERAL, .name = "orders", .principal = "User:alice",
                 .host = "*", .operation = KUR_ACL_READ, .permission = KUR_ACL_ALLOW),
         "allow User:alice read on topic orders"},
        {KUR_ACL(.resource = KUR_ACL_GROUP, .pattern = KUR_ACL_PREFIXED, .name = "email-", .principal = "User:*",
                 .host = "10.0.0.7", .operation = KUR_ACL_ALL, .permission = KUR_ACL_DENY),
         "deny User:* all on group email-* from 10.0.0.7"},
        {KUR_ACL(.host = "*"), "any permission of anyone any operation on any resource of any name"},
        {KUR_ACL(.resource = KUR_ACL_OTHER, .operation = (kur_acl_operation)90), "any permission of anyone other "
                                                                                 "operation on other resource of any "
                                                                                 "name"},
    };
    error = (kur_error){0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_buffer buffer = {0};
        ck_ok(kur_acl_print(&cases[i].acl, &buffer, &error), error);
        ck_assert_str_eq(buffer.data, cases[i].text);
        kur_buffer_done(&buffer);
    }
}
END_TEST

#define REFUSES(call, text)                                                                                            \
    do {                                                                                                               \
        error = (kur_error){0};                                                                                        \
        ck_status(call, KUR_ERROR_INVALID_ARGUMENT, error);                                                            \
        ck_says(error, text);                                                                                          \
    } while (0)

START_TEST(test_admin_acls__arguments_are_checked)
{
    begin();
    char long_text[1002];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const kur_acl good =
        KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .principal = "User:a", .operation = KUR_ACL_READ);
    kur_acl_list list;
    kur_buffer buffer = {0};
    REFUSES(kur_admin_create_acls(NULL, &good, 1, 1, &error), "admin is NULL");
    REFUSES(kur_admin_create_acls(admin, NULL, 1, 1, &error), "acls is NULL");
    REFUSES(kur_admin_create_acls(admin, &good, 0, 1, &error), "count is not");
    REFUSES(kur_admin_create_acls(admin, &good, 10001, 1, &error), "count is not");
    REFUSES(kur_admin_create_acls(admin, &good, 1, -1, &error), "timeout_ms is negative");
    REFUSES(kur_admin_list_acls(NULL, &good, 1, arena, &list, &error), "admin is NULL");
    REFUSES(kur_admin_list_acls(admin, &good, 1, NULL, &list, &error), "arena is NULL");
    REFUSES(kur_admin_list_acls(admin, &good, 1, arena, NULL, &error), "acls is NULL");
    REFUSES(kur_admin_list_acls(admin, &good, -1, arena, &list, &error), "timeout_ms is negative");
    REFUSES(kur_admin_delete_acls(NULL, &good, 1, arena, &list, &error), "admin is NULL");
    REFUSES(kur_admin_delete_acls(admin, NULL, 1, arena, &list, &error), "match is NULL");
    REFUSES(kur_admin_delete_acls(admin, &good, 1, NULL, &list, &error), "arena is NULL");
    REFUSES(kur_admin_delete_acls(admin, &good, 1, arena, NULL, &error), "deleted is NULL");
    REFUSES(kur_admin_delete_acls(admin, &good, -1, NULL, NULL, &error), "timeout_ms is negative");
    REFUSES(kur_admin_delete_acls(admin, &KUR_ACL(.resource = KUR_ACL_TOPIC), 1, NULL, NULL, &error),
            "neither .name nor .principal");
    REFUSES(kur_acl_print(NULL, &buffer, &error), "acl is NULL");
    REFUSES(kur_acl_print(&good, NULL, &error), "buffer is NULL");
    REFUSES(kur_acl_print(&(kur_acl){0}, &buffer, &error), "kur_acl.size");

    const struct {
        kur_acl acl;
        const char *says;
        bool in_filters; /* wrong there as well */
    } wrong[] = {
        {{.size = 0}, "kur_acl.size", true},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .principal = "User:a", .operation = KUR_ACL_READ), ".name", false},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "", .principal = "User:a", .operation = KUR_ACL_READ), ".name",
         true},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = long_text, .principal = "User:a", .operation = KUR_ACL_READ),
         ".name", true},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "\xff", .principal = "User:a", .operation = KUR_ACL_READ), ".name",
         true},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .operation = KUR_ACL_READ), ".principal", false},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .principal = "alice", .operation = KUR_ACL_READ),
         ".principal has no type", false},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .principal = "User:a", .host = "", .operation = KUR_ACL_READ),
         ".host", true},
        {KUR_ACL(.name = "t", .principal = "User:a", .operation = KUR_ACL_READ), ".resource", false},
        {KUR_ACL(.resource = (kur_acl_resource)6, .name = "t", .principal = "User:a", .operation = KUR_ACL_READ),
         ".resource", true},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .principal = "User:a"), ".operation", false},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .principal = "User:a", .operation = (kur_acl_operation)1),
         ".operation", true},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .principal = "User:a", .operation = KUR_ACL_READ,
                 .pattern = (kur_acl_pattern)1),
         ".pattern", true},
        {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = "t", .principal = "User:a", .operation = KUR_ACL_READ,
                 .permission = (kur_acl_permission)1),
         ".permission", true},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_acl two[] = {good, wrong[i].acl};
        two[1].size = wrong[i].acl.size;
        REFUSES(kur_admin_create_acls(admin, two, 2, 1, &error), wrong[i].says);
        ck_says(error, "acls[1]");
        if (!wrong[i].in_filters)
            continue;
        REFUSES(kur_admin_list_acls(admin, &wrong[i].acl, 1, arena, &list, &error), wrong[i].says);
        REFUSES(kur_admin_delete_acls(admin, &wrong[i].acl, 1, NULL, NULL, &error), wrong[i].says);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_admin_acls__without_an_authorizer_there_are_none,
                                  test_admin_acls__printed_for_people, test_admin_acls__arguments_are_checked, NULL};
    return administer("admin_acls", tests);
}
