/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/registry.h>
#include <stdio.h>

/* A service that keeps its schemas in a registry; nobody is there where it looks. */
int main(void)
{
    kur_error error = {0};
    kur_registry *registry =
        kur_registry_new(&KUR_REGISTRY_OPTIONS(.urls = "http://127.0.0.1:1", .retries = KUR_NONE), &error);
    const kur_schemas *schemas = kur_registry_schemas(registry);
    kur_schema *schema = NULL;
    printf("kurier %s\n", kur_version());
    int is_well = registry != NULL && schemas->by_id(schemas->state, 1, 5000, &schema, &error) == KUR_ERROR_UNREACHABLE;
    printf("%s\n", error.message);
    kur_registry_free(registry);
    return !is_well;
}
