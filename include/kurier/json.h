/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/json.h>: records of any described type as JSON (RFC 8259), both ways. The forms: docs/decisions/wire.md.
 */
#ifndef KURIER_JSON_H
#define KURIER_JSON_H

#include <kurier/type.h>

KUR_BEGIN_DECLS

/** The longest JSON text that is read. */
#define KUR_JSON_SIZE_MAX (1024 * 1024)

/**
 * Appends a record as one line of JSON, in the order of its fields, after validating it. On failure the buffer is as it
 * was. KUR_ERROR_CONSTRAINT, KUR_ERROR_MISMATCH (with the field's path: NULL string, NUL or invalid UTF-8 inside, NaN,
 * year out of range), KUR_ERROR_TOO_LARGE (nests too deep), KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_json_write(const kur_type *type, const void *record, kur_buffer *json, kur_error *error);

/**
 * Reads a record and validates it. What it points to lives in `arena`; the JSON need not be kept. Absent fields take
 * their default, or fail without one. KUR_ERROR_SYNTAX (not JSON, a name twice, with line and column),
 * KUR_ERROR_TOO_LARGE (over KUR_JSON_SIZE_MAX or KUR_DEPTH_MAX), KUR_ERROR_MISMATCH and KUR_ERROR_CONSTRAINT with the
 * field's path ("lines[2].quantity: expected integer, found string"), KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_json_read(const kur_type *type, kur_bytes json, kur_arena *arena, void *record,
                                 kur_error *error);

KUR_END_DECLS

#endif
