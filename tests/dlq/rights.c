/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the administrator of a broker with access control does, for tests of the command line (script/kafka run
 * --secure):
 *
 *     rights topic NAME PARTITIONS                makes a topic
 *     rights gone NAME                            deletes one, if it is there
 *     rights compacted NAME PARTITIONS            makes a compacted one
 *     rights commit GROUP TOPIC PARTITION OFFSET  a group that has no members has read so far
 *     rights allow NAME OPERATION…                the user may do that with a topic: READ, WRITE, CREATE, DESCRIBE, …
 *     rights allow-group NAME OPERATION…          and that with a group
 *     rights forbid                               the user may do nothing
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MS = 30000
};

static kur_client *log_in(kur_error *error)
{
    const kur_property properties[] = {{"security.protocol", "SSL"},
                                       {"ssl.ca.location", getenv("KURIER_SECURE_CA")},
                                       {"ssl.certificate.location", getenv("KURIER_SECURE_ADMIN_CERTIFICATE")},
                                       {"ssl.key.location", getenv("KURIER_SECURE_ADMIN_KEY")},
                                       {NULL, NULL}};
    return kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = getenv("KURIER_SECURE_MTLS"), .properties = properties), error);
}

static kur_status allow(kur_admin *admin, const char *principal, kur_acl_resource resource, const char *name,
                        const char *operation, kur_error *error)
{
    static const struct {
        const char *name;
        kur_acl_operation operation;
    } known[] = {{"READ", KUR_ACL_READ},
                 {"WRITE", KUR_ACL_WRITE},
                 {"CREATE", KUR_ACL_CREATE},
                 {"DESCRIBE", KUR_ACL_DESCRIBE},
                 {"DESCRIBE_CONFIGS", KUR_ACL_DESCRIBE_CONFIGS}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, operation) == 0)
            return kur_admin_create_acls(
                admin,
                &KUR_ACL(.resource = resource, .name = name, .principal = principal, .operation = known[i].operation),
                1, TIMEOUT_MS, error);
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "what is %s?", operation);
}

static kur_status run(kur_admin *admin, int count, char **arguments, kur_error *error)
{
    char principal[200];
    kur_status status = KUR_OK;
    snprintf(principal, sizeof principal, "User:%s", getenv("KURIER_SECURE_USER"));
    bool is_compacted = count == 3 && strcmp(arguments[0], "compacted") == 0;
    if (is_compacted || (count == 3 && strcmp(arguments[0], "topic") == 0)) {
        const kur_topic_spec spec = {.size = sizeof spec,
                                     .name = arguments[1],
                                     .partitions = atoi(arguments[2]),
                                     .cleanup = is_compacted ? KUR_CLEANUP_COMPACT : KUR_CLEANUP_DEFAULT};
        return kur_admin_ensure_topics(admin, &spec, 1, TIMEOUT_MS, NULL, NULL, error);
    }
    if (count == 5 && strcmp(arguments[0], "commit") == 0)
        return kur_admin_set_group_offsets(
            admin, arguments[1],
            &KUR_POSITION(.topic = arguments[2], .partition = atoi(arguments[3]), .offset = atoll(arguments[4])), 1,
            TIMEOUT_MS, error);
    if (count == 2 && strcmp(arguments[0], "gone") == 0) {
        const char *const names[] = {arguments[1], NULL};
        status = kur_admin_delete_topics(admin, names, TIMEOUT_MS, error);
        return status == KUR_ERROR_UNKNOWN_TOPIC ? KUR_OK : status;
    }
    if (count == 1 && strcmp(arguments[0], "forbid") == 0)
        return kur_admin_delete_acls(admin, &KUR_ACL(.principal = principal), TIMEOUT_MS, NULL, NULL, error);
    bool is_group = count > 2 && strcmp(arguments[0], "allow-group") == 0;
    if (count < 3 || (!is_group && strcmp(arguments[0], "allow") != 0))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "topic, compacted, gone, commit, allow, allow-group or forbid");
    for (int i = 2; i < count && status == KUR_OK; i++)
        status = allow(admin, principal, is_group ? KUR_ACL_GROUP : KUR_ACL_TOPIC, arguments[1], arguments[i], error);
    return status;
}

int main(int argc, char **argv)
{
    kur_error error = {0};
    kur_client *client = log_in(&error);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_status status = admin != NULL ? run(admin, argc - 1, argv + 1, &error) : error.code;
    if (status != KUR_OK)
        fprintf(stderr, "rights: %s\n", error.message);
    kur_admin_free(admin);
    kur_client_unref(client);
    return status != KUR_OK;
}
