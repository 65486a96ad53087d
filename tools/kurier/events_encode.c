/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier events publish --schema`: JSON becomes Avro, and names its schema as --wire says.
 */
#include <kurier/avro.h>
#include <stdio.h>

#include "events.h"
#include "schema.h"
#include "text.h"

/* The id of a file's schema: under the topic's subject, where a producer would look for it. */
static int look_up(struct invocation *call, kur_registry **registry, struct schema_found *found)
{
    kur_error error = {0};
    kur_buffer subject = {0};
    kur_subject_version version = KUR_SUBJECT_VERSION();
    int status = EXIT_DONE;
    if (*registry == NULL)
        *registry = registry_open(call, false, &status);
    if (status != EXIT_DONE)
        return status;
    text_need(kur_buffer_print(&subject, "%s-value", call->arguments[0]));
    kur_status looked = kur_registry_look_up(*registry, subject.data, found->schema, NULL, call->connection.timeout_ms,
                                             call->arena, &version, &error);
    if (looked == KUR_ERROR_UNKNOWN_SCHEMA)
        status =
            command_refuse(call->noun, "%.200s is not registered under %.200s (kurier schema register does it): %s",
                           found->name, subject.data, error.message);
    else if (looked != KUR_OK)
        status = command_error(call->noun, &error);
    found->id = version.id;
    kur_schema_unref(version.schema);
    kur_buffer_done(&subject);
    return status;
}

/* What stands before the data. */
static void put_frame(kur_buffer *data, const struct schema_found *found)
{
    unsigned char bytes[10] = {0};
    uint64_t fingerprint = kur_schema_fingerprint(found->schema);
    size_t size = events_state.wire == KUR_WIRE_CONFLUENT ? 5 : events_state.wire == KUR_WIRE_SINGLE_OBJECT ? 10 : 0;
    if (events_state.wire == KUR_WIRE_SINGLE_OBJECT) {
        bytes[0] = 0xc3;
        bytes[1] = 0x01;
        for (int i = 0; i < 8; i++)
            bytes[2 + i] = (unsigned char)(fingerprint >> (8 * i)); /* the least byte first */
    } else {
        for (int i = 0; i < 4; i++)
            bytes[1 + i] = (unsigned char)(found->id >> (24 - 8 * i)); /* the highest first */
    }
    text_need(kur_buffer_append(data, bytes, size));
}

static int encode(struct invocation *call, const struct schema_found *found, kur_buffer *value)
{
    kur_error error = {0};
    kur_buffer data = {0};
    put_frame(&data, found);
    kur_status status = kur_avro_from_json(found->schema, kur_bytes_of(value->data, value->size), &data, &error);
    text_need(status != KUR_ERROR_NO_MEMORY ? KUR_OK : status);
    if (status != KUR_OK) {
        kur_buffer_done(&data);
        return command_refuse(call->noun, "the data are not what %.250s says: %s", found->name, error.message);
    }
    kur_buffer_done(value);
    *value = data;
    events_state.content_type = events_state.wire == KUR_WIRE_PLAIN ? "avro/binary" : "application/avro";
    return EXIT_DONE;
}

int events_encode(struct invocation *call, kur_buffer *value)
{
    kur_registry *registry = NULL;
    struct schema_found found = {0};
    if (events_state.content_type != NULL)
        return command_refuse(call->noun, "either --content-type or --schema says what the data are");
    int status = schema_find_avro(call, &registry, events_state.schema, &found);
    if (status == EXIT_DONE && events_state.wire == KUR_WIRE_CONFLUENT && found.id == 0)
        status = look_up(call, &registry, &found);
    if (status == EXIT_DONE)
        status = encode(call, &found, value);
    schema_found_done(&found);
    kur_registry_free(registry);
    return status;
}
