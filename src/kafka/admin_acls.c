/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what: made, listed, deleted, printed. Our numbers are Kafka's, and so librdkafka's.
 */
#include <kurier/access.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "base/error.h"
#include "kafka/admin.h"

enum {
    TEXT_SIZE_MAX = 1000,
    UNKNOWN = 0,
    ANY = 1 /* each of Kafka's lists has it there */
};

/* ---- To and from librdkafka ---- */

static kur_status check_text(const char *text, const char *name, bool needed, kur_error *error)
{
    if (text == NULL ? !needed
                     : text[0] != '\0' && strnlen(text, TEXT_SIZE_MAX + 1) <= TEXT_SIZE_MAX &&
                           kur_bytes_is_utf8(kur_bytes_text(text)))
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is %s, longer than %d bytes or not UTF-8", name,
                         needed ? "missing" : "empty", TEXT_SIZE_MAX);
}

static kur_status check_acl(const kur_acl *acl, bool is_made, kur_error *error)
{
    kur_status status = check_text(acl->name, ".name", is_made, error);
    if (status == KUR_OK)
        status = check_text(acl->principal, ".principal", is_made, error);
    if (status == KUR_OK)
        status = check_text(acl->host, ".host", false, error);
    if (status != KUR_OK)
        return status;
    const char *wrong = NULL;
    if ((is_made || acl->resource != 0) && (acl->resource < KUR_ACL_TOPIC || acl->resource > KUR_ACL_TRANSACTIONAL_ID))
        wrong = ".resource is missing or not a kur_acl_resource";
    else if (acl->pattern != 0 && acl->pattern != KUR_ACL_LITERAL && acl->pattern != KUR_ACL_PREFIXED)
        wrong = ".pattern is not a kur_acl_pattern";
    else if ((is_made || acl->operation != 0) &&
             (acl->operation < KUR_ACL_ALL || acl->operation > KUR_ACL_IDEMPOTENT_WRITE))
        wrong = ".operation is missing or not a kur_acl_operation";
    else if (acl->permission != 0 && acl->permission != KUR_ACL_DENY && acl->permission != KUR_ACL_ALLOW)
        wrong = ".permission is not a kur_acl_permission";
    else if (is_made && acl->principal != NULL && strchr(acl->principal, ':') == NULL)
        wrong = ".principal has no type in front: \"User:alice\"";
    return wrong == NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s", wrong);
}

static kur_status take_acl(kur_acl *acl, const void *given, bool is_made, kur_error *error)
{
    kur_status status = kur_options_take(acl, sizeof *acl, given, "kur_acl", error);
    return status == KUR_OK ? check_acl(acl, is_made, error) : status;
}

/* The one thing that a checked entry can fail for. */
static kur_status unsupported_resource(kur_error *error, const char *why)
{
    return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "%s: librdkafka %s does not know this resource or operation",
                         why, rd_kafka_version_str());
}

static rd_kafka_AclBinding_t *binding_of(const kur_acl *acl, kur_error *error)
{
    char why[256] = "";
    rd_kafka_AclBinding_t *binding = rd_kafka_AclBinding_new(
        (rd_kafka_ResourceType_t)acl->resource, acl->name,
        (rd_kafka_ResourcePatternType_t)(acl->pattern != 0 ? acl->pattern : KUR_ACL_LITERAL), acl->principal,
        acl->host != NULL ? acl->host : "*", (rd_kafka_AclOperation_t)acl->operation,
        (rd_kafka_AclPermissionType_t)(acl->permission != 0 ? acl->permission : KUR_ACL_ALLOW), why, sizeof why);
    if (binding == NULL)
        unsupported_resource(error, why);
    return binding;
}

static rd_kafka_AclBindingFilter_t *filter_of(const kur_acl *acl, kur_error *error)
{
    char why[256] = "";
    rd_kafka_AclBindingFilter_t *filter = rd_kafka_AclBindingFilter_new(
        (rd_kafka_ResourceType_t)(acl->resource != 0 ? (int)acl->resource : ANY), acl->name,
        (rd_kafka_ResourcePatternType_t)(acl->pattern != 0 ? (int)acl->pattern : ANY), acl->principal, acl->host,
        (rd_kafka_AclOperation_t)(acl->operation != 0 ? (int)acl->operation : ANY),
        (rd_kafka_AclPermissionType_t)(acl->permission != 0 ? (int)acl->permission : ANY), why, sizeof why);
    if (filter == NULL)
        unsupported_resource(error, why);
    return filter;
}

static bool take_binding(kur_arena *arena, kur_acl *acl, const rd_kafka_AclBinding_t *binding)
{
    bool ok = true;
    int resource = (int)rd_kafka_AclBinding_restype(binding);
    acl->resource = resource != UNKNOWN ? (kur_acl_resource)resource : KUR_ACL_OTHER;
    acl->pattern = (kur_acl_pattern)rd_kafka_AclBinding_resource_pattern_type(binding);
    acl->name = kur__arena_text(arena, rd_kafka_AclBinding_name(binding), &ok);
    acl->principal = kur__arena_text(arena, rd_kafka_AclBinding_principal(binding), &ok);
    acl->host = kur__arena_text(arena, rd_kafka_AclBinding_host(binding), &ok);
    acl->operation = (kur_acl_operation)rd_kafka_AclBinding_operation(binding);
    acl->permission = (kur_acl_permission)rd_kafka_AclBinding_permission_type(binding);
    return ok;
}

static kur_status take_bindings(kur__admin_call *call, const rd_kafka_AclBinding_t **bindings, size_t count,
                                kur_acl_list *list)
{
    bool ok = true;
    kur_acl **acls = kur__views_new(call->arena, count, sizeof(kur_acl));
    for (size_t i = 0; acls != NULL && i < count; i++)
        ok = take_binding(call->arena, acls[i], bindings[i]) && ok;
    if (acls == NULL || !ok)
        return kur__admin_no_memory(call);
    *list = (kur_acl_list){count, (const kur_acl *const *)acls};
    return KUR_OK;
}

/* ---- List ---- */

/*
 * librdkafka passes no error on that a broker gives here: to a client without rights, and where there is no authorizer,
 * the list is empty.
 */
static kur_status list_once(kur__admin_call *call, rd_kafka_AclBindingFilter_t *filter, kur_acl_list *list)
{
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    rd_kafka_DescribeAcls(call->handle->rk, filter, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "ACLs");
    if (event == NULL)
        return call->error.code;
    size_t count = 0;
    const rd_kafka_AclBinding_t **bindings =
        rd_kafka_DescribeAcls_result_acls(rd_kafka_event_DescribeAcls_result(event), &count);
    kur_status status = take_bindings(call, bindings, count, list);
    rd_kafka_event_destroy(event);
    return status;
}

/* Brokers hear of a change later than who has made it: waits until some entry matches, or none does any more. */
static kur_status wait_until(kur__admin_call *call, rd_kafka_AclBindingFilter_t *filter, bool some)
{
    kur_acl_list list;
    kur_status status;
    do
        status = list_once(call, filter, &list);
    while ((status == KUR_OK ? (list.count > 0) != some : call->error.retriable) && kur__admin_pause(call));
    if (status != KUR_OK || (list.count > 0) == some)
        return status;
    return kur_error_set(&call->error, KUR_ERROR_TIMEOUT, "ACLs: %s within %d ms",
                         some ? "what was made is not there" : "what was deleted is still there", call->timeout_ms);
}

/* ---- Create ---- */

static kur_status create(kur__admin_call *call, rd_kafka_AclBinding_t **bindings, size_t count)
{
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    rd_kafka_CreateAcls(call->handle->rk, bindings, count, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "creating ACLs");
    if (event == NULL)
        return call->error.code;
    kur_status status = KUR_OK;
    size_t result_count = 0;
    const rd_kafka_acl_result_t **results =
        rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &result_count);
    for (size_t i = 0; status == KUR_OK && i < result_count; i++) {
        const rd_kafka_error_t *refused = rd_kafka_acl_result_error(results[i]);
        if (refused != NULL)
            status =
                kur__admin_failed(call, rd_kafka_error_code(refused), rd_kafka_error_string(refused), "acls[%zu]", i);
    }
    rd_kafka_event_destroy(event);
    return status;
}

/* An entry is a filter that matches nothing but itself. */
static kur_status wait_for_all(kur__admin_call *call, rd_kafka_AclBinding_t **bindings, size_t count)
{
    kur_status status = KUR_OK;
    for (size_t i = 0; status == KUR_OK && i < count; i++)
        status = wait_until(call, bindings[i], true);
    return status;
}

static kur_status make_bindings(const kur_acl *acls, size_t count, rd_kafka_AclBinding_t **bindings, size_t *made,
                                kur_error *error)
{
    for (; *made < count; (*made)++) {
        kur_acl acl;
        kur_status status = take_acl(&acl, kur_options_at(acls, *made), true, error);
        if (status == KUR_OK && (bindings[*made] = binding_of(&acl, error)) == NULL)
            status = KUR_ERROR_UNSUPPORTED;
        if (status != KUR_OK) {
            kur__error_prefix(error, "acls[%zu]: ", *made);
            return status;
        }
    }
    return KUR_OK;
}

kur_status kur_admin_create_acls(kur_admin *admin, const kur_acl *acls, size_t count, int timeout_ms, kur_error *error)
{
    if (admin == NULL || acls == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : "acls");
    if (count == 0 || count > KUR__ADMIN_COUNT_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "count is not 1 to %d", KUR__ADMIN_COUNT_MAX);
    kur_arena *arena = kur_arena_new();
    rd_kafka_AclBinding_t **bindings = kur_arena_alloc(arena, count * sizeof *bindings);
    size_t made = 0;
    kur_status status =
        bindings != NULL ? make_bindings(acls, count, bindings, &made, error) : kur__error_no_memory(error);
    if (status == KUR_OK) {
        kur__admin_call call;
        status = kur__admin_begin(&call, admin, timeout_ms, arena);
        if (status == KUR_OK)
            status = kur__admin_needs_kafka(&call, "keep ACLs");
        if (status == KUR_OK)
            do
                status = create(&call, bindings, count);
            while (status != KUR_OK && kur__admin_again(&call));
        if (status == KUR_OK)
            status = wait_for_all(&call, bindings, count);
        status = kur__admin_end(&call, status, error);
    }
    if (made > 0)
        rd_kafka_AclBinding_destroy_array(bindings, made);
    kur_arena_free(arena);
    return status;
}

/* ---- List and delete, as users call them ---- */

typedef kur_status request_of_filter(kur__admin_call *call, rd_kafka_AclBindingFilter_t *filter, kur_acl_list *list);

static kur_status delete_once(kur__admin_call *call, rd_kafka_AclBindingFilter_t *filter, kur_acl_list *list)
{
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    rd_kafka_DeleteAcls(call->handle->rk, &filter, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "deleting ACLs");
    if (event == NULL)
        return call->error.code;
    size_t response_count = 0, count = 0;
    const rd_kafka_DeleteAcls_result_response_t **responses =
        rd_kafka_DeleteAcls_result_responses(rd_kafka_event_DeleteAcls_result(event), &response_count);
    const rd_kafka_error_t *refused =
        response_count == 1 ? rd_kafka_DeleteAcls_result_response_error(responses[0]) : NULL;
    kur_status status = KUR_OK;
    if (refused != NULL)
        status = kur__admin_failed(call, rd_kafka_error_code(refused), rd_kafka_error_string(refused), "deleting ACLs");
    else if (response_count != 1)
        status = kur__admin_failed(call, RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "deleting ACLs");
    if (status == KUR_OK) {
        const rd_kafka_AclBinding_t **bindings =
            rd_kafka_DeleteAcls_result_response_matching_acls(responses[0], &count);
        status = take_bindings(call, bindings, count, list);
    }
    rd_kafka_event_destroy(event);
    return status == KUR_OK ? wait_until(call, filter, false) : status;
}

static kur_status run(kur_admin *admin, request_of_filter *once, const kur_acl *match, int timeout_ms, kur_arena *arena,
                      kur_acl_list *acls, kur_error *error)
{
    rd_kafka_AclBindingFilter_t *filter = filter_of(match, error);
    if (filter == NULL)
        return KUR_ERROR_UNSUPPORTED;
    kur__admin_call call;
    kur_acl_list list;
    kur_status status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = kur__admin_needs_kafka(&call, "keep ACLs");
    if (status == KUR_OK)
        do
            status = once(&call, filter, &list);
        while (status != KUR_OK && kur__admin_again(&call));
    if (status == KUR_OK && acls != NULL)
        *acls = list;
    rd_kafka_AclBinding_destroy(filter);
    return kur__admin_end(&call, status, error);
}

kur_status kur_admin_list_acls(kur_admin *admin, const kur_acl *match, int timeout_ms, kur_arena *arena,
                               kur_acl_list *acls, kur_error *error)
{
    if (admin == NULL || arena == NULL || acls == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : arena == NULL ? "arena" : "acls");
    kur_acl taken;
    kur_status status = take_acl(&taken, match, false, error);
    return status == KUR_OK ? run(admin, list_once, &taken, timeout_ms, arena, acls, error) : status;
}

kur_status kur_admin_delete_acls(kur_admin *admin, const kur_acl *match, int timeout_ms, kur_arena *arena,
                                 kur_acl_list *deleted, kur_error *error)
{
    if (admin == NULL || match == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : "match");
    if ((arena == NULL) != (deleted == NULL))
        return kur_error_null(error, arena == NULL ? "arena" : "deleted");
    kur_acl taken;
    kur_status status = take_acl(&taken, match, false, error);
    if (status == KUR_OK && taken.name == NULL && taken.principal == NULL)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                               "match has neither .name nor .principal and would delete what was not meant");
    return status == KUR_OK ? run(admin, delete_once, &taken, timeout_ms, arena, deleted, error) : status;
}

/* ---- For people ---- */

static const char *resource_name(kur_acl_resource resource)
{
    static const char *const names[] = {[KUR_ACL_TOPIC] = "topic",
                                        [KUR_ACL_GROUP] = "group",
                                        [KUR_ACL_CLUSTER] = "cluster",
                                        [KUR_ACL_TRANSACTIONAL_ID] = "transactional id"};
    return resource == 0                                                                ? "any resource"
           : (size_t)resource < sizeof names / sizeof *names && names[resource] != NULL ? names[resource]
                                                                                        : "other resource";
}

static const char *operation_name(kur_acl_operation operation)
{
    static const char *const names[] = {[KUR_ACL_ALL] = "all",
                                        [KUR_ACL_READ] = "read",
                                        [KUR_ACL_WRITE] = "write",
                                        [KUR_ACL_CREATE] = "create",
                                        [KUR_ACL_DELETE] = "delete",
                                        [KUR_ACL_ALTER] = "alter",
                                        [KUR_ACL_DESCRIBE] = "describe",
                                        [KUR_ACL_CLUSTER_ACTION] = "cluster action",
                                        [KUR_ACL_DESCRIBE_CONFIGS] = "describe configs",
                                        [KUR_ACL_ALTER_CONFIGS] = "alter configs",
                                        [KUR_ACL_IDEMPOTENT_WRITE] = "idempotent write"};
    return operation == 0                                                                 ? "any operation"
           : (size_t)operation < sizeof names / sizeof *names && names[operation] != NULL ? names[operation]
                                                                                          : "other operation";
}

kur_status kur_acl_print(const kur_acl *given, kur_buffer *buffer, kur_error *error)
{
    if (given == NULL || buffer == NULL)
        return kur_error_null(error, given == NULL ? "acl" : "buffer");
    kur_acl acl;
    kur_status status = kur_options_take(&acl, sizeof acl, given, "kur_acl", error);
    if (status != KUR_OK)
        return status;
    bool all_hosts = acl.host == NULL || strcmp(acl.host, "*") == 0;
    status = kur_buffer_print(buffer, "%s %s %s on %s %s%s%s%s",
                              acl.permission == KUR_ACL_DENY    ? "deny"
                              : acl.permission == KUR_ACL_ALLOW ? "allow"
                                                                : "any permission of",
                              acl.principal != NULL ? acl.principal : "anyone", operation_name(acl.operation),
                              resource_name(acl.resource), acl.name != NULL ? acl.name : "of any name",
                              acl.pattern == KUR_ACL_PREFIXED ? "*" : "", all_hosts ? "" : " from ",
                              all_hosts ? "" : acl.host);
    return status == KUR_OK ? KUR_OK : kur__error_no_memory(error);
}
