/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/schemas.h>: where the schemas of events are kept, as the library sees it: a few functions, which
 * <kurier/registry.h> has for a schema registry, and which a test can have for a table.
 */
#ifndef KURIER_SCHEMAS_H
#define KURIER_SCHEMAS_H

#include <kurier/schema.h>
#include <kurier/uuid.h>

KUR_BEGIN_DECLS

/** How a value says with which schema it was written. */
typedef enum kur_wire_format {
    KUR_WIRE_CONFLUENT = 0, /**< a byte 0 and the schema's id, 4 bytes, big-endian (Confluent, "Wire Format", V0) */
    KUR_WIRE_HEADER,        /**< the schema's GUID in the header __value_schema_id (Confluent, V1) */
    KUR_WIRE_SINGLE_OBJECT, /**< C3 01 and the fingerprint, 8 bytes, little-endian (Avro, "Single-object encoding") */
    KUR_WIRE_PLAIN          /**< it does not: the type's own schema */
} kur_wire_format;

/** A schema where it is kept. */
typedef struct kur_schema_place {
    size_t size;
    uint32_t id; /**< 0: it has none */
    bool has_guid;
    kur_uuid guid;
    char url[512]; /**< "" or where a person finds it: ce_dataschema */
} kur_schema_place;

#define KUR_SCHEMA_PLACE(...) KUR__OPTIONS(kur_schema_place, __VA_ARGS__)

/**
 * Functions that find schemas. All may be called by any thread, also several at once; each waits for `timeout_ms` at
 * most. What they return:
 * KUR_ERROR_UNKNOWN_SCHEMA: there is no such schema, for certain: waiting does not help, and the value is poison;
 * KUR_ERROR_UNREACHABLE, KUR_ERROR_TIMEOUT: asking again may help: nothing is lost, and nothing rejected for it;
 * KUR_ERROR_AUTHENTICATION, KUR_ERROR_AUTHORIZATION, KUR_ERROR_CONFIG: somebody has to mend something; as above;
 * KUR_ERROR_SYNTAX, KUR_ERROR_TOO_LARGE: it is there and cannot be read: poison;
 * KUR_ERROR_UNSUPPORTED: it is of another kind than Avro's, such as JSON Schema: data that are JSON are read, and all
 * others are poison;
 * KUR_ERROR_NO_MEMORY.
 */
typedef struct kur_schemas {
    size_t size;
    void *state;
    /** The schema of an id. The caller has a reference. */
    kur_status (*by_id)(void *state, uint32_t id, int timeout_ms, kur_schema **schema, kur_error *error);
    /** Likewise of a GUID; NULL: it knows none. */
    kur_status (*by_guid)(void *state, const kur_uuid *guid, int timeout_ms, kur_schema **schema, kur_error *error);
    /** Likewise of a fingerprint; NULL: it knows none. */
    kur_status (*by_fingerprint)(void *state, uint64_t fingerprint, int timeout_ms, kur_schema **schema,
                                 kur_error *error);
    /**
     * Where the schema of what is written to `topic` is kept; registers it if that is allowed. KUR_ERROR_MISMATCH: what
     * is kept there is not compatible.
     */
    kur_status (*place)(void *state, const char *topic, kur_schema *schema, int timeout_ms, kur_schema_place *place,
                        kur_error *error);
} kur_schemas;

KUR_END_DECLS

#endif
