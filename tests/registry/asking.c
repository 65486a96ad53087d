/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * asking URLS CA_FILE CERTIFICATE_FILE KEY_FILE: asks a registry for schema 7, and prints what comes of it. "" is none.
 */
#include <kurier/registry.h>
#include <stdio.h>

static const char *given(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

int main(int count, char **arguments)
{
    if (count != 5)
        return 2;
    kur_error error = {0};
    kur_schema *schema = NULL;
    kur_registry *registry = kur_registry_new(
        &KUR_REGISTRY_OPTIONS(.urls = arguments[1], .user = "alice", .password = "canary-alice", .retries = KUR_NONE,
                              .ca_file = given(arguments[2]), .certificate_file = given(arguments[3]),
                              .key_file = given(arguments[4])),
        &error);
    const kur_schemas *schemas = kur_registry_schemas(registry);
    if (schemas != NULL)
        schemas->by_id(schemas->state, 7, 10000, &schema, &error);
    printf("%s %s\n", kur_status_name(error.code), schema != NULL ? kur_schema_name(schema) : error.message);
    kur_schema_unref(schema);
    kur_registry_free(registry);
    return 0;
}
