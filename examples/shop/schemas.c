/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Two types share a topic in the shop, so a schema's subject is called by topic and type.
 */
#include "schemas.h"

#include <errno.h>
#include <kurier/sys/error.h>
#include <stdio.h>
#ifdef SHOP_WITH_REGISTRY
#include <kurier/registry.h>
#endif

/* ---- The client ---- */

#ifdef SHOP_WITH_REGISTRY
static kur_registry *registry; /* of this process */

static const kur_schemas *open_registry(const struct service *service, kur_error *error)
{
    kur_registry_options how = KUR_REGISTRY_OPTIONS(.urls = service->registry_urls, .log = kur_log_stderr,
                                                    .subjects = KUR_SUBJECT_TOPIC_RECORD);
    how.registers = true; /* in a shop that sells something, a release does */
    registry = kur_registry_new(&how, error);
    return kur_registry_schemas(registry);
}

void schemas_end(void)
{
    kur_registry_free(registry);
    registry = NULL;
}
#else
static const kur_schemas *open_registry(const struct service *service, kur_error *error)
{
    (void)service;
    kur_error_set(error, KUR_ERROR_UNSUPPORTED, "the shop was built without the schema registry's client");
    return NULL;
}

void schemas_end(void)
{
}
#endif

kur_client *service_client(const struct service *service, kur_error *error)
{
    char source[64];
    snprintf(source, sizeof source, "/services/%s", service->name);
    kur_client_options options =
        KUR_CLIENT_OPTIONS(.bootstrap_servers = service->bootstrap, .properties_file = service->properties_file,
                           .source = source, .log = kur_log_stderr);
    if (service->registry_urls != NULL) {
        options.schemas = open_registry(service, error);
        options.format = KUR_FORMAT_AVRO;
        if (options.schemas == NULL)
            return NULL;
    }
    return kur_client_new(&options, error);
}

/* ---- Schemas in files ---- */

static int fail(const struct service *service, const char *what, const char *why)
{
    fprintf(stderr, "shop-%s: %s: %s\n", service->name, what, why);
    return 1;
}

static int write_one(const struct service *service, const char *directory, const struct service_event *event)
{
    char path[1024];
    kur_error error = {0};
    kur_schema *schema = NULL;
    if (event->schema(&schema, &error) != KUR_OK)
        return fail(service, event->topic, error.message);
    kur_bytes text = kur_schema_text(schema);
    snprintf(path, sizeof path, "%s/%s-%s.avsc", directory, event->topic, kur_schema_name(schema));
    FILE *file = fopen(path, "w");
    bool is_written = file != NULL && fwrite(text.data, 1, text.size, file) == text.size;
    is_written = file != NULL && fclose(file) == 0 && is_written;
    kur_schema_unref(schema);
    if (!is_written)
        return fail(service, path, strerror(errno));
    printf("%s\n", path);
    return 0;
}

int schemas_write(const struct service *service, const char *directory)
{
    int status = 0;
    for (const struct service_event *event = service->events; event != NULL && event->topic != NULL; event++)
        if (status == 0)
            status = write_one(service, directory, event);
    return status;
}
