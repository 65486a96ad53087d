/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/avro.h>: records of any described type in Avro's binary encoding (Apache Avro 1.12, "Binary Encoding"), both
 * ways, and values of any schema as JSON, for tools. Everything read is bounded by what is there.
 */
#ifndef KURIER_AVRO_H
#define KURIER_AVRO_H

#include <kurier/schema.h>

KUR_BEGIN_DECLS

/** The longest encoded value that is read. */
#define KUR_AVRO_SIZE_MAX (64 * 1024 * 1024)

/** The most items and fields that one value may have in all of those that take no bytes; all others cost their bytes.
 */
#define KUR_AVRO_ITEMS_MAX 1000000

/**
 * Appends a record as its own schema (kur_schema_of) says, after validating it. On failure the buffer is as it was.
 * KUR_ERROR_CONSTRAINT, KUR_ERROR_MISMATCH with the field's path; KUR_ERROR_TOO_LARGE (nests too deep),
 * KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_avro_write(const kur_type *type, const void *record, kur_buffer *data, kur_error *error);

/**
 * How what was written with one schema becomes a record of a type: Avro's resolution, worked out once. Never changes;
 * reference-counted; any thread.
 */
typedef struct kur_avro_plan kur_avro_plan;

/**
 * Works out a plan. `writer` NULL: the type's own schema. KUR_ERROR_MISMATCH with the path of the first field that
 * cannot be read and the rule that is broken; as kur_schema_of; KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_avro_plan_new(kur_schema *writer, const kur_type *type, kur_avro_plan **plan, kur_error *error);

/** One more reference; returns `plan`. Any thread. */
KUR_API kur_avro_plan *kur_avro_plan_ref(kur_avro_plan *plan);

/** Gives a reference back. NULL does nothing. Any thread. */
KUR_API void kur_avro_plan_unref(kur_avro_plan *plan);

/**
 * Reads a record by a plan, and validates it. What it points to lives in `arena`; `data` need not be kept. All of
 * `data` must be used up. KUR_ERROR_SYNTAX (not what the schema says: cut off, a length beyond the end, an index out of
 * range, bytes behind the end; with the field's path), KUR_ERROR_TOO_LARGE (nests deeper than KUR_DEPTH_MAX, more than
 * KUR_AVRO_ITEMS_MAX, more than 32 MiB as structs), KUR_ERROR_MISMATCH and KUR_ERROR_CONSTRAINT as kur_json_read,
 * KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_avro_read(const kur_avro_plan *plan, kur_bytes data, kur_arena *arena, void *record,
                                 kur_error *error);

/**
 * Appends a value of any schema as one line of JSON, in the forms of docs/decisions/wire.md: a described record looks
 * as kur_json_write writes it, but for what is absent, which is null. Unions without the name of their branch, fixed as
 * base64, "NaN", "Infinity" and "-Infinity" for what no JSON number is; a date or time beyond the years 0001 to 9999 as
 * the number that it is. At most 256 MiB of text. As kur_avro_read. Any thread.
 */
KUR_API kur_status kur_avro_to_json(const kur_schema *schema, kur_bytes data, kur_buffer *json, kur_error *error);

/**
 * Appends a value of any schema that is given as JSON, in the form of kur_avro_to_json; a member that is absent takes
 * its default. Of a union, the first branch that fits; for an integer, a real number's only when there is no other.
 * KUR_ERROR_SYNTAX, KUR_ERROR_MISMATCH with the path, KUR_ERROR_TOO_LARGE, KUR_ERROR_NO_MEMORY. Any
 * thread.
 */
KUR_API kur_status kur_avro_from_json(const kur_schema *schema, kur_bytes json, kur_buffer *data, kur_error *error);

KUR_END_DECLS

#endif
